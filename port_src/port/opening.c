/*
 * opening.c -- five steps, each of which has its own way to fail.
 *
 *     directory   made if it is missing                    io
 *     lock        waited for: a predecessor may be ending  locked
 *     recover     reads all and changes nothing            log_refused, io
 *     mend        sets a torn tail aside                   io, log_full
 *     log         opened under the next epoch              io, log_full
 *
 * The lock comes before the first look at a file, and nothing is changed
 * before recovery has said that nothing durable is lost.
 */
#include "port/opening.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "port/replay.h"

#define LOCK_STEP_MS 20

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* An errno, in `file` or in the directory itself. */
static enum status failed_io(struct opening *ret, enum status st, int error,
                             const char *what, const char *file)
{
    ret->failed = st;
    ret->error = error;
    snprintf(ret->file, sizeof(ret->file), "%s", file);
    snprintf(ret->message, sizeof(ret->message), "%s%s%s: %s", what,
             file[0] ? " " : "", file, strerror(error));
    return st;
}

static enum status failed_memory(struct opening *ret, enum status st)
{
    ret->failed = st;
    snprintf(ret->message, sizeof(ret->message), "%s", status_text(st));
    return st;
}

/* --- the lock ----------------------------------------------------------- */

static enum status failed_lock(struct opening *ret)
{
    ret->failed = ST_LOCKED;
    if (ret->holder)
        snprintf(ret->message, sizeof(ret->message),
                 "process %" PRId64 " holds the directory", ret->holder);
    else
        snprintf(ret->message, sizeof(ret->message), "%s",
                 status_text(ST_LOCKED));
    return ST_LOCKED;
}

static enum status opening_lock(const struct opening_options *options,
                                struct opening *ret)
{
    const struct timespec step = {0, LOCK_STEP_MS * 1000000};
    uint64_t deadline = now_ms() + options->lock_wait_ms;

    for (;;) {
        int error = io_lock(ret->io, &ret->holder);

        if (error >= 0)
            return ST_OK;
        if (error != -EWOULDBLOCK)
            return failed_io(ret, ST_IO, -error, "the directory's lock",
                             "LOCK");
        if (now_ms() >= deadline)
            return failed_lock(ret);
        nanosleep(&step, NULL);
        if (!options->tick(options->context, 0, 0)) {
            ret->given_up = true;
            return failed_lock(ret);
        }
    }
}

/* --- recovery ----------------------------------------------------------- */

/* What tick() answers, for a recovery on this very thread. */
struct watch {
    const struct opening_options *options;
    atomic_bool cancel;
    uint64_t done; /* as told last */
    uint64_t total;
};

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    struct watch *watch = context;

    watch->done = done;
    watch->total = total;
    if (!watch->options->tick(watch->options->context, done, total))
        atomic_store(&watch->cancel, true);
}

/* One mutation takes long: still there, and no further. */
static void on_mutation_tick(void *context)
{
    struct watch *watch = context;

    on_progress(watch, watch->done, watch->total);
}

static enum status failed_refused(struct opening *ret)
{
    const struct recovery *recovery = &ret->recovery;
    char missing[96] = "";

    ret->failed = ST_LOG_REFUSED;
    if (recovery->missing_to > recovery->missing_from)
        snprintf(missing, sizeof(missing),
                 "; mutations %" PRIu64 " to %" PRIu64
                 " were durable and are missing",
                 recovery->missing_from, recovery->missing_to);
    else if (recovery->missing_to)
        snprintf(missing, sizeof(missing),
                 "; mutation %" PRIu64 " was durable and is missing",
                 recovery->missing_to);
    snprintf(ret->message, sizeof(ret->message), "%s: offset %" PRIu64 ": %s%s",
             recovery->file, recovery->offset, recovery->why, missing);
    return ST_LOG_REFUSED;
}

static enum status opening_recover(const struct opening_options *options,
                                   struct store *store, struct mem *mem,
                                   struct opening *ret)
{
    struct watch watch = {.options = options};
    struct recovery_options how = {
        .apply = replayer_apply,
        .progress = {on_progress, &watch},
        .expect_seq = options->expect_seq,
        .expect_store = options->expect_store,
        .settle = true,
        .until = UINT64_MAX,
        .cancel = &watch.cancel,
    };
    struct replayer *replayer;
    uint64_t begun = now_ms();
    enum status st;
    int error = 0;

    st = replayer_create(store, mem, &replayer);
    if (st < 0)
        return failed_memory(ret, st);
    how.context = replayer;
    replayer_set_tick(replayer, on_mutation_tick, &watch);
    st = recover_directory(ret->io, store, &how, mem, &ret->recovery, &error);
    replayer_free(replayer);
    ret->ms = now_ms() - begun;
    ret->given_up = atomic_load(&watch.cancel);
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        return failed_memory(ret, ST_NO_MEMORY);
    if (st < 0)
        return failed_io(ret, ST_IO, error, "recovery cannot read",
                         ret->recovery.file);
    return ret->recovery.verdict == RECOVERY_REFUSED ? failed_refused(ret)
                                                     : ST_OK;
}

static enum status opening_log(const struct opening_options *options,
                               struct mem *mem, struct opening *ret)
{
    struct recovery *recovery = &ret->recovery;
    enum status st;
    int error = 0;

    st = recovery_mend(ret->io, recovery, &error);
    if (st < 0)
        return failed_io(ret, st, error, "a torn tail was not set aside in",
                         recovery->file);
    st = termlog_open(ret->io, mem, &recovery->manifest, recovery->seq,
                      options->segment_bytes, &ret->log, &error);
    if (st == ST_NO_MEMORY)
        return failed_memory(ret, st);
    if (st < 0)
        return failed_io(ret, st, error, "the log cannot be opened", "");
    return ST_OK;
}

/* --- all of it ---------------------------------------------------------- */

enum status opening_run(const struct opening_options *options,
                        struct store *store, struct mem *mem,
                        struct opening *ret)
{
    enum status st;
    int error;

    memset(ret, 0, sizeof(*ret));
    error = io_open_directory(options->path, true, &ret->io);
    if (error < 0)
        return failed_io(ret, ST_IO, -error, "the directory cannot be used",
                         "");
    st = opening_lock(options, ret);
    if (st == ST_OK)
        st = opening_recover(options, store, mem, ret);
    if (st == ST_OK)
        st = opening_log(options, mem, ret);
    return st;
}

void opening_close(struct opening *opening)
{
    termlog_free(opening->log);
    opening->log = NULL;
    recovery_free(&opening->recovery);
    io_free(opening->io);
    opening->io = NULL;
}
