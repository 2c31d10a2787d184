/*
 * log_case.c -- making and recovering a store's directory, as the daemon and
 * `rhizome replay` do it, without either.
 */
#include "log_case.h"

#include "core/etf.h"
#include "core/store.h"
#include "log/checkpoint.h"
#include "log/recover.h"
#include "log/termlog.h"
#include "port/replay.h"

/* What is open while a directory is worked on. */
struct work {
    struct mem mem;
    struct io *io;
    struct store *store;
    struct replayer *replayer;
    struct recovery recovery;
    struct termlog *log;
};

static size_t put_atom(uint8_t *at, const char *name)
{
    size_t size = strlen(name);

    at[0] = ETF_SMALL_ATOM_UTF8;
    at[1] = (uint8_t)size;
    memcpy(at + 2, name, size);
    return 2 + size;
}

/* As term_to_binary() writes an integer below 2^31. */
static size_t put_integer(uint8_t *at, uint64_t value)
{
    if (value < 256) {
        at[0] = ETF_SMALL_INTEGER;
        at[1] = (uint8_t)value;
        return 2;
    }
    at[0] = ETF_INTEGER;
    store_be32(at + 1, (uint32_t)value);
    return 5;
}

static size_t put_tuple(uint8_t *at, uint8_t arity)
{
    at[0] = ETF_SMALL_TUPLE;
    at[1] = arity;
    return 2;
}

size_t log_case_insert(uint8_t *room, uint64_t src, uint64_t dst)
{
    size_t size = put_tuple(room, 4);

    size += put_atom(room + size, "insert");
    size += put_atom(room + size, "bench");
    size += put_atom(room + size, "fwd");
    size += put_tuple(room + size, 2);
    size += put_integer(room + size, src);
    return size + put_integer(room + size, dst);
}

static size_t put_create(uint8_t *room)
{
    size_t size = put_tuple(room, 4);

    size += put_atom(room + size, "create_table");
    size += put_atom(room + size, "bench");
    size += put_atom(room + size, "many_to_many");
    memset(room + size, 0, 5);
    room[size] = ETF_MAP;
    return size + 5;
}

static bool work_open(struct work *work, const char *path, bool create)
{
    struct recovery_options options = {
        .apply = replayer_apply,
        .until = UINT64_MAX,
    };
    int error;

    memset(work, 0, sizeof(*work));
    mem_init(&work->mem, 0);
    if (io_open_directory(path, create, &work->io) < 0 ||
        store_create(NULL, &work->store) < 0 ||
        replayer_create(work->store, &work->mem, &work->replayer) < 0)
        return false;
    options.context = work->replayer;
    return recover_directory(work->io, work->store, &options, &work->mem,
                             &work->recovery, &error) == ST_OK &&
           work->recovery.verdict == RECOVERY_OK;
}

static void work_close(struct work *work)
{
    termlog_free(work->log);
    recovery_free(&work->recovery);
    replayer_free(work->replayer);
    store_free(work->store);
    io_free(work->io);
}

/* One mutation: logged, carried out, written every so often. */
static bool work_apply(struct work *work, uint64_t seq, struct bytes term)
{
    const char *why;
    enum status st = termlog_append(work->log, seq, term);

    if (st == ST_OK)
        st = replayer_apply(work->replayer, seq, term, &why);
    if (st == ST_OK && termlog_digest_due(work->log))
        termlog_append_digest(work->log, store_digest(work->store));
    if (st == ST_OK && termlog_pending_bytes(work->log) > (64u << 10))
        st = termlog_write(work->log);
    return st == ST_OK;
}

static bool work_checkpoint(struct work *work)
{
    struct checkpoint_result result;
    struct checkpoint_job *job;

    if (checkpoint_begin(work->store, work->log, &job) < 0 || !job)
        return false;
    checkpoint_run(job);
    return checkpoint_end(job, work->log, &result) == ST_OK;
}

static bool work_fill(struct work *work, const uint64_t *src,
                      const uint64_t *dst, size_t count)
{
    uint8_t term[64];
    uint64_t seq = 1;
    int error;

    if (termlog_open(work->io, &work->mem, &work->recovery.manifest, 0,
                     SEGMENT_BYTES_DEFAULT, &work->log, &error) < 0 ||
        !work_apply(work, seq, bytes_of(term, put_create(term))))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!work_apply(work, ++seq,
                        bytes_of(term, log_case_insert(term, src[i], dst[i]))))
            return false;
    return true;
}

int log_case_make(const char *path, const uint64_t *src, const uint64_t *dst,
                  size_t count, int checkpoint)
{
    struct work work;
    bool done = work_open(&work, path, true) &&
                work_fill(&work, src, dst, count) &&
                (!checkpoint || work_checkpoint(&work)) &&
                termlog_close(work.log, store_digest(work.store)) == ST_OK;

    work_close(&work);
    return done;
}

int64_t log_case_recover(const char *path)
{
    struct work work;
    int64_t count = -1;

    if (work_open(&work, path, false))
        count = (int64_t)table_count(store_next_table(work.store, NULL));
    work_close(&work);
    return count;
}
