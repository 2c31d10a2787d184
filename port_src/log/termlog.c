/*
 * termlog.c -- the log at work: one segment that grows, one job that syncs.
 *
 *     [header|record|record|record|record|  room  ]      the current segment
 *      0                          ^        ^
 *                          `offset`: written   `allocated`
 *      `pending`: records behind `offset` that are still in memory
 *
 * Room. Appending allocates room in the file before it takes a record, so
 * that a disk without any is noticed while the command can still be undone,
 * and writing what was appended cannot fail for lack of it. Room grows with
 * the file, so that an idle store holds 64 KiB and a busy one allocates every
 * 16 MiB; what is left is cut off when the segment ends. A little of it is
 * kept for the records that end a segment.
 *
 * Segments are made when the first record needs one, under a temporary name
 * until their header is written. A store that is only read writes nothing. A
 * segment that is full (a soft limit) is succeeded by one that begins with
 * the next seq; if there is no room for a new one the old one goes on.
 *
 * What must be on the disk before what, if power may fail anywhere:
 *
 *     records of a segment, and of all before it  < that they are durable
 *     the name of a segment                       < the same of its records
 *     a checkpoint, whole, under its name         < the manifest that names it
 *     the manifest that needs a file no more      < the removal of the file
 *
 * All of this is one job that syncs in that order; two never run at once. The
 * manifest need not name a new segment before its records count: recovery
 * accepts a successor that the manifest does not know yet, so a full disk may
 * put the manifest off. That is the one failure that a job survives: after a
 * failed sync nobody knows what the disk holds, the kernel may have marked the
 * lost pages as clean (Rebello et al., USENIX ATC 2020), and so the only way
 * on is a restart that reads the disk again.
 */
#include "log/termlog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/buffer.h"
#include "core/etf.h"
#include "log/record.h"

/* What a new segment takes of the disk, and the most that it grows by. */
#define ROOM_FIRST (64u << 10)
#define ROOM_STEP_MAX (16u << 20)

/* Room that only the records which end a segment may take. */
#define ROOM_RESERVED 512

/* The buffer of records that wait to be written keeps at most this. */
#define PENDING_KEPT_BYTES (256u << 10)

/* Of a log that is written this much at a time, pages are made in windows of
 * that size; see window_enter(). */
#define WINDOW_BYTES (64u << 10)
#define WINDOW_WRITE_MIN (8u << 10)

/* Segments that have ended and are not synced yet, each with a descriptor. With
 * so many the current one goes on: the disk is slower than the mutations. */
#define ROLLED_MAX 8

/* The temporary name of a segment that has no header yet. */
#define SEGMENT_TEMPORARY "log.tmp"

struct segment {
    uint64_t first_seq;
    uint64_t bytes;
};

/* What one job does, in this order. */
struct sync_job {
    struct io *io;
    uint64_t seq; /* durable afterwards */

    struct rolled *rolled; /* synced and closed */
    uint32_t rolled_count;
    int fd; /* synced; -1: none */
    uint64_t first_seq;
    bool names;
    bool has_manifest;
    struct manifest manifest;
    uint64_t checkpoint_bytes;
    char (*obsolete)[FILE_NAME_BYTES]; /* removed */
    uint32_t obsolete_count;

    int error; /* an errno */
    const char *what;
    char file[FILE_NAME_BYTES];
    bool manifest_written;
};

/* A segment that has ended and is not synced yet. */
struct rolled {
    int fd;
    uint64_t size; /* what is behind it is room, to be cut off */
    uint64_t first_seq;
};

struct termlog {
    struct io *io;
    struct mem *mem;
    uint32_t seed;
    uint64_t segment_bytes;
    struct buffer pending;

    /* The current segment; fd is -1 until a record needs one. */
    int fd;
    uint64_t first_seq;
    uint64_t offset;
    uint64_t allocated;
    bool dirty; /* written to since the last job began */

    uint64_t appended;
    uint64_t written;
    uint64_t durable;
    uint64_t claimed; /* what the last record says is durable */
    uint32_t since_digest;

    /* What the manifest will say. `manifest.segments` is not used: the list
     * is `segments`, of which the last one is the current. */
    struct manifest manifest;
    struct segment *segments;
    uint32_t segments_count;
    uint32_t segments_capacity;
    uint64_t checkpoint_on_disk;    /* the seq in the manifest on the disk */
    uint64_t checkpoint_bytes;      /* of that one */
    uint64_t checkpoint_next_bytes; /* of the one in `manifest` */
    bool manifest_dirty;
    bool names_dirty;

    struct rolled *rolled;
    uint32_t rolled_count;
    uint32_t rolled_capacity;
    char (*obsolete)[FILE_NAME_BYTES];
    uint32_t obsolete_count;
    uint32_t obsolete_capacity;

    struct sync_job job;
    bool job_running;
    bool put_off; /* the last job had no room for the manifest */
    uint64_t syncs;

    bool full;
    bool failed; /* for good */
    int error;
    const char *what;
    char file[FILE_NAME_BYTES];
};

/* --- errors ------------------------------------------------------------- */

static void log_note(struct termlog *log, int error, const char *what,
                     const char *file)
{
    log->error = error < 0 ? -error : error;
    log->what = what;
    snprintf(log->file, sizeof(log->file), "%s", file);
}

/* A failure after which nothing may be written any more. */
static enum status log_fail(struct termlog *log, int error, const char *what)
{
    char name[FILE_NAME_BYTES];

    segment_name(name, log->first_seq);
    log_note(log, error, what, name);
    log->failed = true;
    return ST_IO;
}

int termlog_error(const struct termlog *log, const char **ret_what,
                  const char **ret_file)
{
    *ret_what = log->what ? log->what : "write";
    *ret_file = log->file;
    return log->error;
}

/* --- small growing arrays ----------------------------------------------- */

/* Makes room for one more element; the array is left as it was on failure. */
static void *array_grow(struct mem *mem, void *array, uint32_t count,
                        uint32_t *capacity, size_t element)
{
    uint32_t wanted = *capacity ? *capacity * 2 : 4;
    void *grown;

    if (count < *capacity)
        return array;
    grown = mem_grow(mem, array, *capacity * element, wanted * element);
    if (grown)
        *capacity = wanted;
    return grown;
}

#define ARRAY_ROOM(log, name)                                                  \
    array_room(log, (void **)&(log)->name, (log)->name##_count,                \
               &(log)->name##_capacity, sizeof(*(log)->name))

static enum status array_room(struct termlog *log, void **array, uint32_t count,
                              uint32_t *capacity, size_t element)
{
    void *grown = array_grow(log->mem, *array, count, capacity, element);

    if (!grown)
        return ST_NO_MEMORY;
    *array = grown;
    return ST_OK;
}

/* --- opening ------------------------------------------------------------ */

static bool manifest_needs(const struct manifest *manifest, const char *name)
{
    uint64_t seq;

    if (checkpoint_name_parse(name, &seq))
        return manifest->has_checkpoint && manifest->checkpoint == seq;
    if (!segment_name_parse(name, &seq))
        return true; /* none of ours */
    for (uint32_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i] == seq)
            return true;
    return false;
}

/* Notes a name that is left over of an earlier life. Neither the manifest on
 * the disk nor the one that recovery kept has it, so it may go at once. */
static void sweep_one(void *context, const char *name)
{
    struct termlog *log = context;
    bool temporary = strcmp(name, SEGMENT_TEMPORARY) == 0 ||
                     strcmp(name, CHECKPOINT_TEMPORARY) == 0 ||
                     strcmp(name, MANIFEST_TEMPORARY) == 0;
    uint64_t seq;

    /* A segment that holds no mutation will be replaced by the next one. */
    if (segment_name_parse(name, &seq) && seq > log->appended)
        return;
    /* A checkpoint of what is to come: one that was not needed any more when
     * the power failed, or all that is left if the manifest is an old one. */
    if (checkpoint_name_parse(name, &seq) && seq > log->appended)
        return;
    if (!temporary && manifest_needs(&log->manifest, name))
        return;
    if (ARRAY_ROOM(log, obsolete) == ST_OK)
        snprintf(log->obsolete[log->obsolete_count++], FILE_NAME_BYTES, "%s",
                 name);
}

static void log_sweep(struct termlog *log)
{
    io_list(log->io, sweep_one, log);
    while (log->obsolete_count)
        io_unlink(log->io, log->obsolete[--log->obsolete_count]);
}

static uint64_t file_bytes(struct io *io, const char *name)
{
    int fd = io_open(io, name, IO_READ);
    int64_t size;

    if (fd < 0)
        return 0;
    size = io_size(io, fd);
    io_close(io, fd);
    return size < 0 ? 0 : (uint64_t)size;
}

static enum status log_take_segments(struct termlog *log,
                                     const struct manifest *manifest)
{
    char name[FILE_NAME_BYTES];

    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        enum status st = ARRAY_ROOM(log, segments);

        if (st < 0)
            return st;
        segment_name(name, manifest->segments[i]);
        log->segments[log->segments_count++] =
            (struct segment){manifest->segments[i], file_bytes(log->io, name)};
    }
    if (manifest->has_checkpoint) {
        checkpoint_name(name, manifest->checkpoint);
        log->checkpoint_bytes = file_bytes(log->io, name);
        log->checkpoint_next_bytes = log->checkpoint_bytes;
        log->checkpoint_on_disk = manifest->checkpoint;
    }
    return ST_OK;
}

enum status termlog_open(struct io *io, struct mem *mem,
                         const struct manifest *manifest, uint64_t seq,
                         uint64_t segment_bytes, struct termlog **ret,
                         int *ret_errno)
{
    struct termlog *log = mem_zalloc(mem, sizeof(*log));
    enum status st;
    int error;

    *ret_errno = 0;
    if (!log)
        return ST_NO_MEMORY;
    log->io = io;
    log->mem = mem;
    log->fd = -1;
    log->segment_bytes = segment_bytes;
    log->pending = BUFFER(mem);
    log->seed = record_seed(manifest->store_id);
    log->appended = log->written = log->durable = log->claimed = seq;
    log->first_seq = seq + 1;

    /* A new store: from here on a directory without a manifest has lost it,
     * unless it holds no record either. */
    if (manifest->epoch == 0) {
        error = manifest_write(io, manifest);
        if (error < 0) {
            *ret_errno = -error;
            st = io_error_is_full(error) ? ST_LOG_FULL : ST_IO;
            goto fail;
        }
    }
    log->manifest = *manifest;
    log_sweep(log);
    log->manifest.segments = NULL;
    log->manifest.segment_count = 0;
    log->manifest.epoch++;
    st = log_take_segments(log, manifest);
    if (st < 0)
        goto fail;
    *ret = log;
    return ST_OK;

fail:
    termlog_free(log);
    return st;
}

static void job_free(struct termlog *log)
{
    struct sync_job *job = &log->job;

    mem_free(log->mem, job->rolled, job->rolled_count * sizeof(*job->rolled));
    mem_free(log->mem, job->obsolete,
             job->obsolete_count * sizeof(*job->obsolete));
    mem_free(log->mem, job->manifest.segments,
             job->manifest.segment_count * sizeof(*job->manifest.segments));
    memset(job, 0, sizeof(*job));
}

void termlog_free(struct termlog *log)
{
    if (!log)
        return;
    REQUIRE(!log->job_running);
    for (uint32_t i = 0; i < log->rolled_count; i++)
        io_close(log->io, log->rolled[i].fd);
    if (log->fd >= 0)
        io_close(log->io, log->fd);
    buffer_free(&log->pending);
    mem_free(log->mem, log->segments,
             log->segments_capacity * sizeof(*log->segments));
    mem_free(log->mem, log->rolled,
             log->rolled_capacity * sizeof(*log->rolled));
    mem_free(log->mem, log->obsolete,
             log->obsolete_capacity * sizeof(*log->obsolete));
    mem_free(log->mem, log, sizeof(*log));
}

/* --- room and segments -------------------------------------------------- */

static struct segment *log_current(struct termlog *log)
{
    return &log->segments[log->segments_count - 1];
}

/* What the file will be long when all that was appended is written. */
static uint64_t log_end(const struct termlog *log)
{
    return log->offset + log->pending.size;
}

/* Notes that a mutation found no room; the next one may. */
static enum status log_full(struct termlog *log, int error, const char *name)
{
    log_note(log, error, "allocate room", name);
    log->full = true;
    return ST_LOG_FULL;
}

/* Makes sure that the file has room up to `end`, and some more. */
static enum status log_allocate(struct termlog *log, uint64_t end)
{
    uint64_t step =
        log->allocated < ROOM_STEP_MAX ? log->allocated : ROOM_STEP_MAX;
    uint64_t target = log->allocated + step;
    char name[FILE_NAME_BYTES];
    int error;

    if (end <= log->allocated)
        return ST_OK;
    if (target > log->segment_bytes)
        target = log->segment_bytes;
    if (target < end)
        target = end;
    error =
        io_allocate(log->io, log->fd, log->allocated, target - log->allocated);
    if (io_error_is_full(error)) { /* then only what it needs */
        target = end;
        error = io_allocate(log->io, log->fd, log->allocated,
                            target - log->allocated);
    }
    if (io_error_is_full(error)) {
        segment_name(name, log->first_seq);
        return log_full(log, error, name);
    }
    if (error < 0)
        return log_fail(log, error, "allocate room in");
    log->allocated = target;
    log->dirty = true;
    return ST_OK;
}

/* Makes the file of a segment that begins behind what was appended. */
static enum status segment_create(struct termlog *log, int *ret_fd)
{
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .minor = FORMAT_MINOR,
        .kind = FILE_LOG,
        .epoch = log->manifest.epoch,
        .first_seq = log->appended + 1,
    };
    uint8_t bytes[FILE_HEADER_BYTES];
    char name[FILE_NAME_BYTES];
    int fd, error;

    memcpy(header.store_id, log->manifest.store_id, STORE_ID_BYTES);
    file_header_write(bytes, &header);
    segment_name(name, header.first_seq);

    fd = io_open(log->io, SEGMENT_TEMPORARY, IO_CREATE);
    if (fd == -EEXIST) {
        error = io_unlink(log->io, SEGMENT_TEMPORARY);
        fd = error < 0 ? error : io_open(log->io, SEGMENT_TEMPORARY, IO_CREATE);
    }
    if (fd < 0) {
        error = fd;
        goto fail;
    }
    error = io_allocate(log->io, fd, 0, ROOM_FIRST);
    if (error == 0)
        error = io_write_all(log->io, fd, bytes, sizeof(bytes), 0);
    /* The first one of this life may replace one without a mutation that the
     * manifest lists, and what is listed must have a header at any time. */
    if (error == 0 && log->fd < 0)
        error = io_sync(log->io, fd);
    if (error == 0)
        error = io_rename(log->io, SEGMENT_TEMPORARY, name);
    if (error == 0) {
        *ret_fd = fd;
        return ST_OK;
    }
    io_close(log->io, fd);
    io_unlink(log->io, SEGMENT_TEMPORARY);

fail:
    if (io_error_is_full(error))
        return log_full(log, error, name);
    log->first_seq = header.first_seq;
    return log_fail(log, error, "create");
}

/* Makes `fd` the current segment; nothing may be pending. */
static void segment_start(struct termlog *log, int fd)
{
    log->fd = fd;
    log->first_seq = log->appended + 1;
    log->offset = FILE_HEADER_BYTES;
    log->allocated = ROOM_FIRST;
    /* Recovery keeps none without a mutation, and none ends without one. */
    REQUIRE(!log->segments_count ||
            log_current(log)->first_seq < log->first_seq);
    log->segments[log->segments_count++] =
        (struct segment){log->first_seq, FILE_HEADER_BYTES};
    log->dirty = true;
    log->names_dirty = true;
    log->manifest_dirty = true;
}

/* A record into the buffer; there must be room for it in the file. It gets its
 * checksums together with the others, when they are written. */
static enum status put_record(struct termlog *log, enum record_type type,
                              uint64_t seq, struct bytes term)
{
    size_t bytes = RECORD_HEADER_BYTES + 1 + term.size;
    enum status st = buffer_reserve(&log->pending, bytes);
    uint8_t *at;

    if (st < 0)
        return st;
    at = log->pending.data + log->pending.size;
    record_header_begin(at, type, seq, log->durable, term);
    at[RECORD_HEADER_BYTES] = ETF_VERSION;
    memcpy(at + RECORD_HEADER_BYTES + 1, term.data, term.size);
    log->pending.size += bytes;
    log->claimed = log->durable;
    return ST_OK;
}

/* The same for one that ends or describes a segment: {Word, Binary}. Its room
 * is reserved; that it gets no memory is no reason to fail. */
static void put_note(struct termlog *log, enum record_type type,
                     const char *word, struct bytes binary)
{
    struct buffer term = BUFFER(log->mem);

    if (etf_put_tuple(&term, 2) == ST_OK &&
        etf_put_atom(&term, word) == ST_OK &&
        etf_put_binary(&term, binary) == ST_OK)
        put_record(log, type, log->appended, buffer_bytes(&term));
    buffer_free(&term);
}

/* Ends the current segment in favour of `fd`. */
static enum status segment_end(struct termlog *log, int fd)
{
    char name[FILE_NAME_BYTES];
    enum status st;

    segment_name(name, log->appended + 1);
    put_note(log, RECORD_ROLL, "roll", bytes_of(name, strlen(name)));
    st = termlog_write(log);
    if (st < 0) {
        io_close(log->io, fd);
        return st;
    }
    log->rolled[log->rolled_count++] =
        (struct rolled){log->fd, log->offset, log->first_seq};
    return ST_OK;
}

/* Makes the next segment, and ends the current one if there is one. */
static enum status segment_next(struct termlog *log)
{
    enum status st = ARRAY_ROOM(log, segments);
    int fd;

    if (st == ST_OK)
        st = ARRAY_ROOM(log, rolled);
    if (st == ST_OK)
        st = segment_create(log, &fd);
    if (st == ST_OK && log->fd >= 0)
        st = segment_end(log, fd);
    if (st == ST_OK)
        segment_start(log, fd);
    return st;
}

enum status termlog_roll(struct termlog *log)
{
    if (log->failed)
        return ST_IO;
    if (log->fd < 0 || log->appended < log->first_seq)
        return ST_OK;
    return segment_next(log);
}

/* A segment for a record of `bytes`, with room for it. */
static enum status log_prepare(struct termlog *log, size_t bytes)
{
    enum status st;

    if (log->failed)
        return ST_IO;
    if (log->fd < 0) {
        st = segment_next(log);
        if (st < 0)
            return st;
    } else if (log_end(log) + bytes > log->segment_bytes &&
               log->rolled_count + log->job.rolled_count < ROLLED_MAX) {
        st = termlog_roll(log);
        if (st == ST_IO)
            return st;
    }
    return log_allocate(log, log_end(log) + bytes + ROOM_RESERVED);
}

/* --- appending ---------------------------------------------------------- */

enum status termlog_append(struct termlog *log, uint64_t seq, struct bytes term)
{
    enum status st = log_prepare(log, RECORD_HEADER_BYTES + 1 + term.size);

    REQUIRE(seq == log->appended + 1);
    if (st == ST_OK)
        st = put_record(log, RECORD_MUTATION, seq, term);
    if (st < 0)
        return st;
    log->appended = seq;
    log->since_digest++;
    log->full = false;
    return ST_OK;
}

bool termlog_digest_due(const struct termlog *log)
{
    return log->since_digest >= DIGEST_EVERY;
}

void termlog_append_digest(struct termlog *log, struct digest digest)
{
    uint8_t bytes[DIGEST_BYTES];

    log->since_digest = 0;
    if (log_prepare(log, ROOM_RESERVED) < 0)
        return;
    digest_store(bytes, digest);
    put_note(log, RECORD_DIGEST, "digest", bytes_of(bytes, sizeof(bytes)));
}

bool termlog_append_mark(struct termlog *log)
{
    static const uint8_t nil[] = {ETF_NIL};

    if (log->fd < 0 || log->failed || log->claimed >= log->durable ||
        log->durable < log->appended)
        return false;
    return log_prepare(log, ROOM_RESERVED) == ST_OK &&
           put_record(log, RECORD_MARK, log->appended,
                      bytes_of(nil, sizeof(nil))) == ST_OK;
}

/* --- writing ------------------------------------------------------------ */

/*
 * Before the first bytes of a window: writes zeros to all of it. The room that
 * it lies in reads as zeros anyhow; but the kernel chooses the size of a page
 * of its cache by the write that makes it, and one that fills an aligned window
 * gets a single large one, where those that end anywhere get many small ones,
 * each looked up, charged and mapped. So copying zeros besides costs less than
 * not to: a half for writes of 16 KiB, a third for such of 50. Windows that the
 * write fills need no help, and a log that is hardly used writes no zeros.
 */
static int window_enter(struct termlog *log)
{
    static const uint8_t zeros[WINDOW_BYTES];
    uint64_t end = log_end(log);
    uint64_t start = end - end % WINDOW_BYTES;

    if (log->pending.size < WINDOW_WRITE_MIN || start < log->offset ||
        start == end || start + WINDOW_BYTES > log->allocated)
        return 0;
    return io_write_all(log->io, log->fd, zeros, sizeof(zeros), start);
}

enum status termlog_write(struct termlog *log)
{
    int error;

    if (log->failed)
        return ST_IO;
    if (!log->pending.size)
        return ST_OK;
    records_seal(log->pending.data, log->pending.size, log->seed);
    error = window_enter(log);
    if (error == 0)
        error = io_write_all(log->io, log->fd, log->pending.data,
                             log->pending.size, log->offset);
    if (error < 0)
        return log_fail(log, error, "write");
    log->offset += log->pending.size;
    log_current(log)->bytes = log->offset;
    log->dirty = true;
    log->written = log->appended;
    log->pending.size = 0;
    if (log->pending.capacity > PENDING_KEPT_BYTES)
        buffer_free(&log->pending);
    return ST_OK;
}

uint64_t termlog_appended(const struct termlog *log)
{
    return log->appended;
}

uint64_t termlog_written(const struct termlog *log)
{
    return log->written;
}

uint64_t termlog_durable(const struct termlog *log)
{
    return log->durable;
}

size_t termlog_pending_bytes(const struct termlog *log)
{
    return log->pending.size;
}

/* --- syncing ------------------------------------------------------------ */

bool termlog_sync_needed(const struct termlog *log)
{
    return !log->failed &&
           (log->pending.size || log->dirty || termlog_sync_due(log));
}

bool termlog_sync_due(const struct termlog *log)
{
    return !log->failed &&
           (log->rolled_count || log->names_dirty || log->manifest_dirty);
}

bool termlog_put_off(const struct termlog *log)
{
    return log->put_off;
}

void termlog_break(struct termlog *log, int error, const char *what,
                   const char *file)
{
    log_note(log, error, what, file);
    log->failed = true;
}

bool termlog_broken(const struct termlog *log)
{
    return log->failed;
}

/* The manifest as it is to be, with a list of its own. */
static enum status job_manifest(struct termlog *log, struct manifest *ret)
{
    size_t bytes = log->segments_count * sizeof(*ret->segments);

    *ret = log->manifest;
    ret->durable = log->written;
    if (!bytes)
        return ST_OK;
    ret->segments = mem_alloc(log->mem, bytes);
    if (!ret->segments)
        return ST_NO_MEMORY;
    ret->segment_count = log->segments_count;
    for (uint32_t i = 0; i < log->segments_count; i++)
        ret->segments[i] = log->segments[i].first_seq;
    return ST_OK;
}

/* Moves an array of the log, of `count` elements, to the job. */
static enum status job_take(struct termlog *log, void **ret, const void *from,
                            uint32_t *count, uint32_t *ret_count,
                            size_t element)
{
    if (!*count)
        return ST_OK;
    *ret = mem_alloc(log->mem, *count * element);
    if (!*ret)
        return ST_NO_MEMORY;
    memcpy(*ret, from, *count * element);
    *ret_count = *count;
    return ST_OK;
}

enum status termlog_sync_begin(struct termlog *log, struct sync_job **ret)
{
    struct sync_job *job = &log->job;
    enum status st;

    *ret = NULL;
    if (log->failed)
        return ST_IO;
    if (log->job_running)
        return ST_OK;
    st = termlog_write(log);
    if (st < 0 || !termlog_sync_needed(log))
        return st;

    memset(job, 0, sizeof(*job));
    st = job_take(log, (void **)&job->rolled, log->rolled, &log->rolled_count,
                  &job->rolled_count, sizeof(*job->rolled));
    if (st == ST_OK)
        st = job_take(log, (void **)&job->obsolete, log->obsolete,
                      &log->obsolete_count, &job->obsolete_count,
                      sizeof(*job->obsolete));
    job->has_manifest = log->manifest_dirty;
    if (st == ST_OK && job->has_manifest)
        st = job_manifest(log, &job->manifest);
    if (st < 0) {
        job_free(log);
        return st;
    }
    job->io = log->io;
    job->seq = log->written;
    job->fd = log->fd;
    job->first_seq = log->first_seq;
    job->checkpoint_bytes = log->checkpoint_next_bytes;
    job->names = log->names_dirty;
    log->rolled_count = 0;
    log->obsolete_count = 0;
    log->names_dirty = false;
    log->manifest_dirty = false;
    log->dirty = false;
    log->job_running = true;
    *ret = job;
    return ST_OK;
}

static bool job_step(struct sync_job *job, int error, const char *what,
                     const char *file)
{
    if (error >= 0)
        return true;
    job->error = -error;
    job->what = what;
    snprintf(job->file, sizeof(job->file), "%s", file);
    return false;
}

static bool job_sync_segments(struct sync_job *job)
{
    char name[FILE_NAME_BYTES];

    for (uint32_t i = 0; i < job->rolled_count; i++) {
        struct rolled *rolled = &job->rolled[i];

        segment_name(name, rolled->first_seq);
        if (!job_step(job, io_truncate(job->io, rolled->fd, rolled->size),
                      "truncate", name) ||
            !job_step(job, io_sync(job->io, rolled->fd), "sync", name))
            return false;
        io_close(job->io, rolled->fd);
        rolled->fd = -1;
    }
    segment_name(name, job->first_seq);
    return job->fd < 0 ||
           job_step(job, io_sync(job->io, job->fd), "sync", name);
}

void termlog_sync_run(struct sync_job *job)
{
    int error;

    if (!job_sync_segments(job))
        return;
    if (job->names && !job_step(job, io_sync_directory(job->io, NULL), "sync",
                                "the directory"))
        return;
    if (!job->has_manifest)
        return;
    error = manifest_write(job->io, &job->manifest);
    if (io_error_is_full(error))
        return; /* later */
    if (!job_step(job, error, "write", MANIFEST_NAME))
        return;
    job->manifest_written = true;
    /* What nobody needs may as well stay, if removing it fails. */
    for (uint32_t i = 0; i < job->obsolete_count; i++)
        io_unlink(job->io, job->obsolete[i]);
}

/* Puts back what the manifest must be written for before it can be done. */
static void job_put_off(struct termlog *log, struct sync_job *job)
{
    log->manifest_dirty = true;
    for (uint32_t i = 0; i < job->obsolete_count; i++)
        if (ARRAY_ROOM(log, obsolete) == ST_OK)
            memcpy(log->obsolete[log->obsolete_count++], job->obsolete[i],
                   FILE_NAME_BYTES);
}

enum status termlog_sync_end(struct termlog *log, struct sync_job *job)
{
    enum status st = ST_OK;

    REQUIRE(log->job_running && job == &log->job);
    log->job_running = false;
    for (uint32_t i = 0; i < job->rolled_count; i++)
        if (job->rolled[i].fd >= 0)
            io_close(log->io, job->rolled[i].fd);
    if (job->error) {
        log_note(log, job->error, job->what, job->file);
        log->failed = true;
        st = ST_IO;
    } else {
        log->durable = job->seq;
        log->syncs++;
        log->put_off = job->has_manifest && !job->manifest_written;
        if (job->manifest_written) {
            log->checkpoint_on_disk = job->manifest.checkpoint;
            log->checkpoint_bytes = job->checkpoint_bytes;
        } else if (log->put_off)
            job_put_off(log, job);
    }
    job_free(log);
    return st;
}

enum status termlog_sync(struct termlog *log)
{
    struct sync_job *job;
    enum status st = termlog_sync_begin(log, &job);

    if (st < 0 || !job)
        return st;
    termlog_sync_run(job);
    return termlog_sync_end(log, job);
}

/* --- checkpoints and the end -------------------------------------------- */

static void log_drop_file(struct termlog *log, const char *name)
{
    snprintf(log->obsolete[log->obsolete_count++], FILE_NAME_BYTES, "%s", name);
}

enum status termlog_checkpointed(struct termlog *log, uint64_t seq,
                                 struct digest digest, uint64_t bytes)
{
    char name[FILE_NAME_BYTES];
    uint32_t covered = 0;

    REQUIRE(log->fd < 0 || log->first_seq > seq);
    while (covered < log->segments_count &&
           log->segments[covered].first_seq <= seq)
        covered++;
    /* All or nothing: what is listed will be removed. */
    while (log->obsolete_capacity < log->obsolete_count + covered + 1) {
        void *grown =
            array_grow(log->mem, log->obsolete, log->obsolete_capacity,
                       &log->obsolete_capacity, sizeof(*log->obsolete));

        if (!grown)
            return ST_NO_MEMORY;
        log->obsolete = grown;
    }
    if (log->manifest.has_checkpoint && log->manifest.checkpoint != seq) {
        checkpoint_name(name, log->manifest.checkpoint);
        log_drop_file(log, name);
    }
    for (uint32_t i = 0; i < covered; i++) {
        segment_name(name, log->segments[i].first_seq);
        log_drop_file(log, name);
    }
    if (covered)
        memmove(log->segments, log->segments + covered,
                (log->segments_count - covered) * sizeof(*log->segments));
    log->segments_count -= covered;
    log->manifest.has_checkpoint = true;
    log->manifest.checkpoint = seq;
    log->manifest.digest = digest;
    log->manifest_dirty = true;
    log->checkpoint_next_bytes = bytes;
    return ST_OK;
}

uint64_t termlog_checkpoint_seq(const struct termlog *log)
{
    return log->checkpoint_on_disk;
}

enum status termlog_close(struct termlog *log, struct digest digest)
{
    uint8_t bytes[DIGEST_BYTES];
    enum status st = termlog_sync(log);
    int error;

    if (st < 0 || log->fd < 0)
        return st;
    digest_store(bytes, digest);
    put_note(log, RECORD_CLOSE, "close", bytes_of(bytes, sizeof(bytes)));
    st = termlog_write(log);
    if (st < 0)
        return st;
    error = io_truncate(log->io, log->fd, log->offset);
    if (error < 0)
        return log_fail(log, error, "truncate");
    log->dirty = true;
    return termlog_sync(log);
}

/* --- figures ------------------------------------------------------------ */

void termlog_figures(const struct termlog *log, struct termlog_figures *ret)
{
    *ret = (struct termlog_figures){
        .epoch = log->manifest.epoch,
        .segments = log->segments_count,
        .checkpoint_seq = log->checkpoint_on_disk,
        .checkpoint_bytes = log->checkpoint_bytes,
        .syncs = log->syncs,
        .full = log->full,
    };
    for (uint32_t i = 0; i < log->segments_count; i++)
        ret->log_bytes += log->segments[i].bytes;
    ret->log_bytes += log->pending.size;
}

const uint8_t *termlog_store_id(const struct termlog *log)
{
    return log->manifest.store_id;
}

struct io *termlog_io(const struct termlog *log)
{
    return log->io;
}
