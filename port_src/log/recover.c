/*
 * recover.c -- one walk over the files, and the decision at its end.
 *
 *     MANIFEST   ckpt-S0   log-(S0+1)   log-...   log-...   [log-... unlisted]
 *        |          '--------- read, checked and applied in this order ------'
 *        '-- which files there must be, and what was durable when it was made
 *
 * The walk stops at the first thing that is not the next record. If it is the
 * end of the last file, all is well unless somebody knows better (D > S). If
 * it is something else, a crash may have left it or damage may have done it,
 * and look_ahead() decides by what the rest of the files proves: a record
 * written after S + 1 was durable says so. That needs no distinction between
 * the newest segment and older ones, nor between a torn record, a hole and a
 * page that reached the disk before its predecessor.
 *
 * Some things no crash leaves, whatever was durable, and they are refused at
 * once: a missing file, a bad header of a segment that the manifest lists
 * (its header was synced before), another store's segment, a valid record with
 * the wrong seq, one that the store rejects, another digest, anything behind
 * an orderly close.
 *
 * A segment may be read from the page cache after a sync that failed under
 * the program that died: then the cache shows what the disk does not have. So
 * whoever is going to write first syncs and drops from the cache what the
 * manifest does not prove to have been synced ("settle").
 */
#include "log/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/etf.h"
#include "log/walk.h"

/* Progress is told, and `cancel` looked at, every so many bytes of records;
 * small ones count for more than they have. */
#define TURN_BYTES (128u << 10)
#define TURN_RECORD_BYTES 128

/* One file of the walk. */
struct source {
    struct io *io;
    char name[FILE_NAME_BYTES];
    uint64_t first_seq; /* by the name, or by the header */
    bool listed;        /* in the manifest: it was durable */
    bool missing;
    uint64_t size;
};

struct walker {
    struct store *store;
    const struct recovery_options *options;
    struct mem *mem;
    struct recovery *ret;
    const struct manifest *manifest; /* NULL: single files */

    struct source *sources;
    uint32_t source_count;
    uint32_t source_capacity;
    struct source checkpoint; /* no name: none */

    uint8_t store_id[STORE_ID_BYTES];
    bool has_store_id;
    uint64_t epoch; /* of the last segment */
    uint64_t checkpoint_epoch;
    uint64_t file_seq; /* the last one in the current segment */
    uint64_t done;     /* bytes of the files before the current one */
    uint64_t total;
    size_t untold; /* bytes of records since progress was told */
    bool closed;   /* the last record was a close */
    int error;
};

/* --- verdicts ----------------------------------------------------------- */

static void say(struct recovery *ret, const char *file, uint64_t offset,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(struct recovery *ret, const char *file, uint64_t offset,
                const char *format, ...)
{
    va_list arguments;

    snprintf(ret->file, sizeof(ret->file), "%s", file);
    ret->offset = offset;
    va_start(arguments, format);
    vsnprintf(ret->why, sizeof(ret->why), format, arguments);
    va_end(arguments);
}

/* Ends the walk with a refusal, which say() has described. */
static enum status refused(struct walker *walker)
{
    struct recovery *ret = walker->ret;

    ret->verdict = RECOVERY_REFUSED;
    if (ret->durable > ret->seq) {
        ret->missing_from = ret->seq + 1;
        ret->missing_to = ret->durable;
    }
    return ST_LOG_REFUSED;
}

static enum status failed(struct walker *walker, const char *file, int error)
{
    snprintf(walker->ret->file, sizeof(walker->ret->file), "%s", file);
    walker->error = error < 0 ? -error : error;
    return ST_IO;
}

static enum status reader_failed(struct walker *walker, const char *file,
                                 const struct log_reader *reader)
{
    int error = 0;
    enum status st = log_reader_status(reader, &error);

    return st == ST_IO ? failed(walker, file, error) : st;
}

/* Takes note of what a record claims to have been durable. */
static void claim(struct walker *walker, const struct source *source,
                  const struct record *record)
{
    struct recovery *ret = walker->ret;

    if (record->durable <= ret->durable)
        return;
    ret->durable = record->durable;
    if (ret->durable > ret->seq) {
        snprintf(ret->proof_file, sizeof(ret->proof_file), "%s", source->name);
        ret->proof_offset = record->offset;
    }
}

/* --- progress ----------------------------------------------------------- */

static enum status turn(struct walker *walker, uint64_t offset)
{
    const struct recovery_options *options = walker->options;

    if (options->cancel && atomic_load(options->cancel))
        return failed(walker, "", ECANCELED);
    if (options->progress.report)
        options->progress.report(options->progress.context,
                                 walker->done + offset, walker->total);
    return ST_OK;
}

/* Counts a record; true when it is time to tell. */
static bool is_turn(struct walker *walker, const struct record *record)
{
    walker->untold += TURN_RECORD_BYTES + record->payload.size;
    if (walker->untold < TURN_BYTES)
        return false;
    walker->untold = 0;
    return true;
}

static void checkpoint_progress(void *context, uint64_t done, uint64_t total)
{
    (void)total;
    turn(context, done);
}

/* --- behind a fault ----------------------------------------------------- */

/* What all valid records from the reader's place on claim. */
static enum status look_ahead_in(struct walker *walker,
                                 const struct source *source,
                                 struct log_reader *reader)
{
    struct record record;

    for (;;) {
        enum log_read read = log_reader_next(reader, &record);

        if (read == LOG_BAD)
            read = log_reader_resync(reader, &record);
        if (read == LOG_FAILED)
            return reader_failed(walker, source->name, reader);
        if (read != LOG_RECORD)
            return ST_OK;
        claim(walker, source, &record);
        if (is_turn(walker, &record)) {
            enum status st = turn(walker, log_reader_offset(reader));

            if (st < 0)
                return st;
        }
    }
}

/* Bytes of a file from `offset` to its last one that is not zero. */
static enum status count_torn(struct walker *walker,
                              const struct source *source, uint64_t offset,
                              uint64_t *ret)
{
    static const size_t piece = 64 << 10;
    uint8_t *data = mem_alloc(walker->mem, piece);
    int fd = io_open(source->io, source->name, IO_READ);
    enum status st = ST_OK;
    uint64_t at = offset;

    *ret = 0;
    if (!data || fd < 0) {
        st = data ? failed(walker, source->name, fd) : ST_NO_MEMORY;
        goto out;
    }
    for (;;) {
        ssize_t count = io_pread(source->io, fd, data, piece, at);

        if (count < 0)
            st = failed(walker, source->name, (int)count);
        if (count <= 0)
            break;
        for (ssize_t i = count; i-- > 0;)
            if (data[i]) {
                *ret = at + (uint64_t)i + 1 - offset;
                break;
            }
        at += (uint64_t)count;
    }
out:
    if (fd >= 0)
        io_close(source->io, fd);
    mem_free(walker->mem, data, piece);
    return st;
}

/* The records of source `index` end at `offset`. */
static void note_tail(struct walker *walker, uint32_t index, uint64_t offset)
{
    const struct source *source = &walker->sources[index];
    struct recovery *ret = walker->ret;

    snprintf(ret->tail_file, sizeof(ret->tail_file), "%s", source->name);
    ret->tail_offset = offset;
    ret->tail_seq = source->first_seq;
}

static bool listed_behind(const struct walker *walker, uint32_t index)
{
    return index + 1 < walker->source_count &&
           walker->sources[index + 1].listed;
}

/*
 * The walk has stopped at `offset` of source `index` with more behind it that
 * it cannot use; `reader` stands there. Torn or refused?
 */
static enum status decide(struct walker *walker, uint32_t index,
                          struct log_reader *reader, uint64_t offset)
{
    struct recovery *ret = walker->ret;
    enum status st = look_ahead_in(walker, &walker->sources[index], reader);

    for (uint32_t i = index + 1; st == ST_OK && i < walker->source_count; i++) {
        const struct source *source = &walker->sources[i];
        struct log_reader *next;

        if (source->missing)
            continue;
        st = log_reader_open(source->io, source->name, walker->mem, &next,
                             &walker->error);
        if (st == ST_IO)
            return failed(walker, source->name, walker->error);
        if (st < 0)
            return st;
        log_reader_set_store(next, walker->store_id);
        st = look_ahead_in(walker, source, next);
        log_reader_close(next);
    }
    if (st < 0)
        return st;
    if (ret->durable > ret->seq) {
        /* A gap between two segments is where the first one ends. */
        if (!offset && log_reader_header(reader) && ret->tail_file[0])
            say(ret, ret->tail_file, ret->tail_offset,
                "the log breaks off at seq %" PRIu64 " and goes on in %.32s",
                ret->seq, walker->sources[index].name);
        return refused(walker);
    }
    /* A segment is listed when all before it have been synced as a whole. */
    if (listed_behind(walker, index))
        return refused(walker);

    ret->verdict = RECOVERY_TORN;
    st = count_torn(walker, &walker->sources[index], offset, &ret->torn_bytes);
    for (uint32_t i = index + 1; i < walker->source_count; i++)
        ret->torn_bytes += walker->sources[i].size;
    /* What is kept ends with this segment, or before it if it is of no use. */
    walker->source_count = offset ? index + 1 : index;
    if (offset)
        note_tail(walker, index, offset);
    return st;
}

/* --- records ------------------------------------------------------------ */

static enum status check_digest(struct walker *walker,
                                const struct source *source,
                                const struct record *record, const char *word)
{
    struct bytes term =
        bytes_of(record->payload.data + 1, record->payload.size - 1);
    struct walk walk = {term.data};
    struct bytes digest;
    size_t size;

    if (etf_validate(term, &size, NULL) < 0 || size != term.size ||
        !walk_tuple(&walk, 2) || !walk_atom(&walk, word) ||
        !walk_binary(&walk, &digest) || digest.size != DIGEST_BYTES) {
        say(walker->ret, source->name, record->offset,
            "a record of a digest has another form");
        return refused(walker);
    }
    if (!walker->store || record->seq != walker->ret->seq)
        return ST_OK;
    if (!digest_equal(digest_load(digest.data), store_digest(walker->store))) {
        say(walker->ret, source->name, record->offset,
            "the store's digest at seq %" PRIu64 " is not the recorded one",
            record->seq);
        return refused(walker);
    }
    walker->ret->digests++;
    return ST_OK;
}

static enum status apply(struct walker *walker, const struct source *source,
                         const struct record *record)
{
    struct recovery *ret = walker->ret;
    struct bytes term =
        bytes_of(record->payload.data + 1, record->payload.size - 1);
    const char *why = NULL;
    enum status st;

    if (record->seq != walker->file_seq + 1 || record->durable >= record->seq) {
        say(ret, source->name, record->offset,
            "a record of seq %" PRIu64 " stands where %" PRIu64 " is due",
            record->seq, walker->file_seq + 1);
        return refused(walker);
    }
    walker->file_seq = record->seq;
    if (record->seq <= ret->seq)
        return ST_OK; /* a mutation is applied once */
    if (walker->store) {
        st = walker->options->apply(walker->options->context, record->seq, term,
                                    &why);
        if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
            return st;
        if (st < 0) {
            say(ret, source->name, record->offset,
                "the store rejects mutation %" PRIu64 ": %s", record->seq,
                why ? why : status_text(st));
            return refused(walker);
        }
    }
    ret->seq = record->seq;
    ret->records++;
    return ST_OK;
}

static enum status take_record(struct walker *walker,
                               const struct source *source,
                               const struct record *record)
{
    struct recovery *ret = walker->ret;

    if (walker->closed) {
        say(ret, source->name, record->offset,
            "something stands behind the record of an orderly end");
        return refused(walker);
    }
    claim(walker, source, record);
    if (record->type == RECORD_MUTATION)
        return apply(walker, source, record);
    if (record->seq != walker->file_seq) {
        say(ret, source->name, record->offset,
            "a record of seq %" PRIu64 " stands where the log is at %" PRIu64,
            record->seq, walker->file_seq);
        return refused(walker);
    }
    switch (record->type) {
    case RECORD_MARK:
    case RECORD_ROLL:
        return ST_OK;
    case RECORD_DIGEST:
        return check_digest(walker, source, record, "digest");
    case RECORD_CLOSE:
        walker->closed = true;
        return check_digest(walker, source, record, "close");
    default:
        if (record->type >= 128)
            return ST_OK;
        say(ret, source->name, record->offset,
            "a record of type %u has no place in a log", record->type);
        return refused(walker);
    }
}

/* --- files -------------------------------------------------------------- */

/* Is this the segment that is due? ST_OK with `*ret_usable` false if it has
 * no header, or begins too late, which a crash may leave. */
static enum status check_header(struct walker *walker,
                                const struct source *source,
                                const struct log_reader *reader,
                                bool *ret_usable)
{
    const struct file_header *header = log_reader_header(reader);
    struct recovery *ret = walker->ret;

    *ret_usable = false;
    if (!header) {
        say(ret, source->name, 0, "%s",
            format_fault_text(log_reader_fault(reader)));
        /* What a newer program wrote, or damage to what was synced. */
        if (source->listed || log_reader_fault(reader) == FORMAT_VERSION)
            return refused(walker);
        return ST_OK;
    }
    if (header->kind != FILE_LOG) {
        say(ret, source->name, 14, "the file is no segment of a log");
        return refused(walker);
    }
    if (walker->has_store_id &&
        memcmp(header->store_id, walker->store_id, STORE_ID_BYTES) != 0) {
        say(ret, source->name, 16, "the segment is of another store");
        return refused(walker);
    }
    if (header->first_seq != source->first_seq) {
        say(ret, source->name, 40,
            "the segment begins at seq %" PRIu64 ", not as its name says",
            header->first_seq);
        return refused(walker);
    }
    if (header->epoch < walker->epoch) {
        say(ret, source->name, 32,
            "the segment is older than the one before it");
        return refused(walker);
    }
    /* Named files may overlap: a dump ends anywhere. */
    if (walker->manifest && header->first_seq <= ret->seq) {
        say(ret, source->name, 40,
            "the segment begins at seq %" PRIu64 ", and %" PRIu64 " is due",
            header->first_seq, ret->seq + 1);
        return refused(walker);
    }
    memcpy(walker->store_id, header->store_id, STORE_ID_BYTES);
    walker->has_store_id = true;
    if (header->first_seq > ret->seq + 1) {
        say(ret, source->name, 0,
            "the segment begins at seq %" PRIu64 ", and %" PRIu64 " is due",
            header->first_seq, ret->seq + 1);
        return ST_OK;
    }
    walker->epoch = header->epoch;
    walker->file_seq = header->first_seq - 1;
    *ret_usable = true;
    return ST_OK;
}

static enum status bad_bytes(struct walker *walker, uint32_t index,
                             struct log_reader *reader)
{
    const struct source *source = &walker->sources[index];
    uint64_t offset = log_reader_offset(reader);

    say(walker->ret, source->name, offset, "%s",
        format_fault_text(log_reader_fault(reader)));
    if (walker->closed) {
        say(walker->ret, source->name, offset,
            "something stands behind the record of an orderly end");
        return refused(walker);
    }
    return decide(walker, index, reader, offset);
}

/* Reads the records of source `index`; `*ret_more` tells whether the next
 * source is to be read. */
static enum status read_records(struct walker *walker, uint32_t index,
                                struct log_reader *reader, bool *ret_more)
{
    const struct source *source = &walker->sources[index];
    struct recovery *ret = walker->ret;
    struct record record;
    enum status st = ST_OK;

    *ret_more = false;
    while (st == ST_OK) {
        if (ret->seq >= walker->options->until) {
            ret->stopped = true;
            return ST_OK;
        }
        switch (log_reader_next(reader, &record)) {
        case LOG_RECORD:
            st = take_record(walker, source, &record);
            break;
        case LOG_END:
            *ret_more = true;
            note_tail(walker, index, log_reader_offset(reader));
            walker->done += log_reader_size(reader);
            return turn(walker, 0);
        case LOG_BAD:
            return bad_bytes(walker, index, reader);
        case LOG_FAILED:
            return reader_failed(walker, source->name, reader);
        }
        if (st == ST_OK && is_turn(walker, &record))
            st = turn(walker, log_reader_offset(reader));
    }
    return st;
}

static enum status read_segment(struct walker *walker, uint32_t index,
                                bool *ret_more)
{
    const struct source *source = &walker->sources[index];
    struct log_reader *reader;
    bool usable;
    enum status st;

    *ret_more = false;
    walker->closed = false;
    if (source->missing) {
        say(walker->ret, source->name, 0, "the segment is missing");
        return refused(walker);
    }
    st = log_reader_open(source->io, source->name, walker->mem, &reader,
                         &walker->error);
    if (st == ST_IO)
        return failed(walker, source->name, walker->error);
    if (st < 0)
        return st;
    st = check_header(walker, source, reader, &usable);
    if (st == ST_OK && usable) {
        st = read_records(walker, index, reader, ret_more);
    } else if (st == ST_OK) {
        log_reader_set_store(reader, walker->store_id);
        st = decide(walker, index, reader, 0);
    }
    log_reader_close(reader);
    return st;
}

/* All that was asked for has been read: is that all there was? */
static enum status check_end(struct walker *walker)
{
    struct recovery *ret = walker->ret;
    const char *file = walker->checkpoint.name;
    uint64_t offset = walker->checkpoint.size;

    ret->clean = walker->closed;
    if (ret->stopped || ret->durable <= ret->seq)
        return ST_OK;
    if (ret->tail_file[0]) {
        file = ret->tail_file;
        offset = ret->tail_offset;
    }
    say(ret, file[0] ? file : MANIFEST_NAME, offset,
        "the log ends at seq %" PRIu64 ", and %" PRIu64 " was durable",
        ret->seq, ret->durable);
    return refused(walker);
}

static enum status read_segments(struct walker *walker)
{
    bool more = true;

    for (uint32_t i = 0; more && i < walker->source_count; i++) {
        enum status st;

        /* What lies behind is of no interest, and may be damaged. */
        walker->ret->stopped = walker->ret->seq >= walker->options->until;
        if (walker->ret->stopped)
            break;
        st = read_segment(walker, i, &more);
        if (st < 0)
            return st;
    }
    return walker->ret->verdict == RECOVERY_OK ? check_end(walker) : ST_OK;
}

static enum status read_checkpoint(struct walker *walker)
{
    const struct progress progress = {checkpoint_progress, walker};
    const struct source *source = &walker->checkpoint;
    struct checkpoint_report report;
    struct recovery *ret = walker->ret;
    struct log_reader *reader;
    enum status st;

    st = log_reader_open(source->io, source->name, walker->mem, &reader,
                         &walker->error);
    if (st == ST_IO && walker->error == ENOENT && walker->manifest) {
        say(ret, source->name, 0, "the checkpoint is missing");
        return refused(walker);
    }
    if (st == ST_IO)
        return failed(walker, source->name, walker->error);
    if (st < 0)
        return st;
    if (walker->has_store_id && log_reader_header(reader) &&
        memcmp(log_reader_header(reader)->store_id, walker->store_id,
               STORE_ID_BYTES) != 0) {
        say(ret, source->name, 16, "the checkpoint is of another store");
        st = refused(walker);
    } else if (log_reader_header(reader) &&
               log_reader_header(reader)->kind != FILE_CHECKPOINT) {
        say(ret, source->name, 14, "the file is no checkpoint");
        st = refused(walker);
    } else {
        st = checkpoint_read(reader, walker->store, &progress, &report);
        if (st == ST_IO)
            st = reader_failed(walker, source->name, reader);
        if (st == ST_LOG_REFUSED) {
            say(ret, source->name, report.offset, "%s", report.why);
            st = refused(walker);
        }
        /* Nothing there looks at `cancel`. */
        if (st == ST_OK)
            st = turn(walker, log_reader_size(reader));
    }
    if (st == ST_OK) {
        const struct file_header *header = log_reader_header(reader);

        memcpy(walker->store_id, header->store_id, STORE_ID_BYTES);
        walker->has_store_id = true;
        walker->checkpoint_epoch = header->epoch;
        walker->done += log_reader_size(reader);
        ret->seq = ret->checkpoint = report.seq;
        if (walker->store)
            ret->digests++;
        if (walker->manifest &&
            (report.seq != walker->manifest->checkpoint ||
             !digest_equal(report.digest, walker->manifest->digest))) {
            say(ret, source->name, 0,
                "the checkpoint is not the one that MANIFEST names");
            st = refused(walker);
        }
    }
    log_reader_close(reader);
    return st;
}

static enum status walk_all(struct walker *walker)
{
    const struct recovery_options *options = walker->options;
    enum status st = ST_OK;

    if (walker->checkpoint.name[0]) {
        walker->total += walker->checkpoint.size;
        if (walker->manifest && options->until < walker->manifest->checkpoint) {
            say(walker->ret, walker->checkpoint.name, 0,
                "mutations up to seq %" PRIu64 " have been compacted",
                walker->manifest->checkpoint);
            return ST_NOT_FOUND;
        }
    }
    for (uint32_t i = 0; i < walker->source_count; i++)
        walker->total += walker->sources[i].size;
    walker->ret->bytes = walker->total;
    if (walker->checkpoint.name[0])
        st = read_checkpoint(walker);
    if (st == ST_OK && options->until < walker->ret->seq) {
        say(walker->ret, walker->checkpoint.name, 0,
            "mutations up to seq %" PRIu64 " have been compacted",
            walker->ret->seq);
        return ST_NOT_FOUND;
    }
    return st < 0 ? st : read_segments(walker);
}

/* --- the sources -------------------------------------------------------- */

static enum status add_source(struct walker *walker, struct io *io,
                              const char *name, uint64_t first_seq, bool listed)
{
    struct source *source;
    int64_t size;
    bool missing;
    int fd;

    if (walker->source_count == walker->source_capacity) {
        uint32_t capacity = walker->source_capacity * 2 + 8;
        struct source *grown =
            mem_grow(walker->mem, walker->sources,
                     walker->source_capacity * sizeof(*source),
                     capacity * sizeof(*source));

        if (!grown)
            return ST_NO_MEMORY;
        walker->sources = grown;
        walker->source_capacity = capacity;
    }
    fd = io_open(io, name, IO_READ);
    missing = fd == -ENOENT && listed;
    if (fd < 0 && !missing)
        return failed(walker, name, fd);
    size = missing ? 0 : io_size(io, fd);
    if (!missing)
        io_close(io, fd);
    if (size < 0)
        return failed(walker, name, (int)size);
    source = &walker->sources[walker->source_count++];
    *source = (struct source){
        .io = io,
        .first_seq = first_seq,
        .listed = listed,
        .missing = missing,
        .size = (uint64_t)size,
    };
    snprintf(source->name, sizeof(source->name), "%s", name);
    return ST_OK;
}

static int source_compare(const void *a, const void *b)
{
    const struct source *x = a;
    const struct source *y = b;

    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static void sort_sources(struct walker *walker)
{
    if (walker->source_count)
        qsort(walker->sources, walker->source_count, sizeof(*walker->sources),
              source_compare);
}

/* What a directory holds beyond its manifest. */
struct listing {
    struct walker *walker;
    struct io *io;
    uint64_t above; /* segments that begin behind this are read */
    bool any;       /* there is a segment or a checkpoint */
    enum status status;
};

static void list_one(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t seq;

    if (checkpoint_name_parse(name, &seq)) {
        listing->any = true;
        return;
    }
    if (listing->status < 0 || !segment_name_parse(name, &seq))
        return;
    listing->any = true;
    if (seq > listing->above && listing->walker->manifest)
        listing->status =
            add_source(listing->walker, listing->io, name, seq, false);
}

/* The segments that the manifest lists, and any that are newer. */
static enum status find_sources(struct walker *walker, struct io *io)
{
    const struct manifest *manifest = walker->manifest;
    struct listing listing = {walker, io, manifest->checkpoint, false, ST_OK};
    char name[FILE_NAME_BYTES];
    enum status st = ST_OK;
    int error;

    for (uint32_t i = 0; st == ST_OK && i < manifest->segment_count; i++) {
        segment_name(name, manifest->segments[i]);
        st = add_source(walker, io, name, manifest->segments[i], true);
        listing.above = manifest->segments[i];
    }
    if (st < 0)
        return st;
    error = io_list(io, list_one, &listing);
    if (error < 0)
        return failed(walker, "", error);
    sort_sources(walker);
    if (manifest->has_checkpoint) {
        int fd;

        walker->checkpoint.io = io;
        checkpoint_name(walker->checkpoint.name, manifest->checkpoint);
        fd = io_open(io, walker->checkpoint.name, IO_READ);
        if (fd >= 0) {
            int64_t size = io_size(io, fd);

            walker->checkpoint.size = size < 0 ? 0 : (uint64_t)size;
            io_close(io, fd);
        }
    }
    return listing.status;
}

/* Syncs the segments that no later one proves to have been synced, and drops
 * them from the cache. */
static enum status settle(struct walker *walker, struct io *io)
{
    int error;

    for (uint32_t i = 0; i < walker->source_count; i++) {
        const struct source *source = &walker->sources[i];
        bool proven = listed_behind(walker, i);
        int fd;

        if (proven || source->missing)
            continue;
        fd = io_open(source->io, source->name, IO_WRITE);
        if (fd < 0)
            return failed(walker, source->name, fd);
        error = io_sync(source->io, fd);
        if (error == 0)
            error = io_forget(source->io, fd);
        io_close(source->io, fd);
        if (error < 0)
            return failed(walker, source->name, error);
    }
    /* Names too: that of the newest segment, and that of a manifest whose
     * predecessor needs files which termlog_open() will remove. */
    error = io_sync_directory(io, NULL);
    return error < 0 ? failed(walker, "", error) : ST_OK;
}

/* A directory without a manifest: a new store, or one that has lost it. */
static enum status recover_nothing(struct walker *walker, struct io *io)
{
    struct listing listing = {walker, io, UINT64_MAX, false, ST_OK};
    struct recovery *ret = walker->ret;
    int error = io_list(io, list_one, &listing);

    if (error < 0)
        return failed(walker, "", error);
    if (listing.any) {
        say(ret, MANIFEST_NAME, 0,
            "the manifest is missing, and there are files that it would list");
        return refused(walker);
    }
    if (ret->durable > 0) {
        say(ret, MANIFEST_NAME, 0,
            "the directory is empty, and seq %" PRIu64 " was acknowledged",
            ret->durable);
        return refused(walker);
    }
    ret->fresh = true;
    if (getrandom(ret->manifest.store_id, STORE_ID_BYTES, 0) != STORE_ID_BYTES)
        return failed(walker, "", errno);
    return ST_OK;
}

/* The manifest of what is kept: for termlog_open(). */
static enum status keep_manifest(struct walker *walker)
{
    struct recovery *ret = walker->ret;
    struct manifest *manifest = &ret->manifest;

    manifest_free(manifest, walker->mem);
    for (uint32_t i = 0; i < walker->source_count; i++) {
        enum status st;

        if (walker->sources[i].first_seq > ret->seq)
            break; /* no mutation: it will be replaced */
        st = manifest_add_segment(manifest, walker->mem,
                                  walker->sources[i].first_seq);
        if (st < 0)
            return st;
    }
    if (walker->epoch > manifest->epoch)
        manifest->epoch = walker->epoch;
    return ST_OK;
}

static void walker_begin(struct walker *walker, struct store *store,
                         const struct recovery_options *options,
                         struct mem *mem, struct recovery *ret)
{
    memset(walker, 0, sizeof(*walker));
    memset(ret, 0, sizeof(*ret));
    ret->mem = mem;
    ret->durable = options->expect_seq;
    walker->store = store;
    walker->options = options;
    walker->mem = mem;
    walker->ret = ret;
    if (store)
        mem_exempt_begin(store_mem(store));
}

static enum status walker_end(struct walker *walker, enum status st,
                              int *ret_errno)
{
    if (walker->store)
        mem_exempt_end(store_mem(walker->store));
    mem_free(walker->mem, walker->sources,
             walker->source_capacity * sizeof(*walker->sources));
    *ret_errno = walker->error;
    return st == ST_LOG_REFUSED ? ST_OK : st;
}

static enum status recover_manifest(struct walker *walker, struct io *io)
{
    const struct recovery_options *options = walker->options;
    struct recovery *ret = walker->ret;
    const char *why = NULL;
    uint64_t offset = 0;
    enum status st;

    st = manifest_read(io, walker->mem, &ret->manifest, &why, &offset,
                       &walker->error);
    if (st == ST_NOT_FOUND)
        return recover_nothing(walker, io);
    if (st == ST_LOG_REFUSED) {
        say(ret, MANIFEST_NAME, offset, "%s", why);
        return refused(walker);
    }
    if (st < 0) {
        snprintf(ret->file, sizeof(ret->file), "%s", MANIFEST_NAME);
        return st;
    }
    walker->manifest = &ret->manifest;
    memcpy(walker->store_id, ret->manifest.store_id, STORE_ID_BYTES);
    walker->has_store_id = true;
    if (options->expect_store &&
        memcmp(options->expect_store, walker->store_id, STORE_ID_BYTES) != 0) {
        say(ret, MANIFEST_NAME, 16,
            "the directory holds another store than the one that was here");
        return refused(walker);
    }
    if (ret->manifest.durable > ret->durable)
        ret->durable = ret->manifest.durable;
    st = find_sources(walker, io);
    if (st == ST_OK && options->settle)
        st = settle(walker, io);
    if (st == ST_OK)
        st = walk_all(walker);
    return st < 0 ? st : keep_manifest(walker);
}

enum status recover_directory(struct io *io, struct store *store,
                              const struct recovery_options *options,
                              struct mem *mem, struct recovery *ret,
                              int *ret_errno)
{
    struct walker walker;
    enum status st;

    walker_begin(&walker, store, options, mem, ret);
    st = recover_manifest(&walker, io);
    return walker_end(&walker, st, ret_errno);
}

/* Enters a file that somebody named, as what its header says it is. */
static enum status add_file(struct walker *walker,
                            const struct log_source *file)
{
    const struct file_header *header;
    struct log_reader *reader;
    struct recovery *ret = walker->ret;
    enum status st;

    st = log_reader_open(file->io, file->name, walker->mem, &reader,
                         &walker->error);
    if (st == ST_IO)
        return failed(walker, file->name, walker->error);
    if (st < 0)
        return st;
    header = log_reader_header(reader);
    if (!header) {
        say(ret, file->name, 0, "%s",
            format_fault_text(log_reader_fault(reader)));
        st = refused(walker);
    } else if (header->kind == FILE_LOG) {
        st = add_source(walker, file->io, file->name, header->first_seq, false);
    } else if (header->kind == FILE_CHECKPOINT && !walker->checkpoint.name[0]) {
        walker->checkpoint.io = file->io;
        walker->checkpoint.size = log_reader_size(reader);
        snprintf(walker->checkpoint.name, sizeof(walker->checkpoint.name), "%s",
                 file->name);
    } else {
        say(ret, file->name, 14,
            header->kind == FILE_CHECKPOINT
                ? "there is a checkpoint already; give one"
                : "the file is neither a segment nor a checkpoint");
        st = refused(walker);
    }
    log_reader_close(reader);
    return st;
}

enum status recover_files(const struct log_source *sources, size_t count,
                          struct store *store,
                          const struct recovery_options *options,
                          struct mem *mem, struct recovery *ret, int *ret_errno)
{
    struct walker walker;
    enum status st = ST_OK;

    walker_begin(&walker, store, options, mem, ret);
    for (size_t i = 0; st == ST_OK && i < count; i++)
        st = add_file(&walker, &sources[i]);
    if (st == ST_OK) {
        sort_sources(&walker);
        /* Whoever only reads may begin anywhere. */
        if (!store && !walker.checkpoint.name[0] && walker.source_count)
            ret->seq = walker.sources[0].first_seq - 1;
        st = walk_all(&walker);
    }
    if (st == ST_OK) {
        memcpy(ret->manifest.store_id, walker.store_id, STORE_ID_BYTES);
        ret->manifest.epoch = walker.epoch > walker.checkpoint_epoch
                                  ? walker.epoch
                                  : walker.checkpoint_epoch;
    }
    return walker_end(&walker, st, ret_errno);
}

void recovery_free(struct recovery *recovery)
{
    if (recovery->mem)
        manifest_free(&recovery->manifest, recovery->mem);
}
