#include "cli/offline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"
#include "port/replay.h"

static const char *path_of(const struct offline *offline)
{
    return offline->source.path;
}

/* --- opening -------------------------------------------------------------- */

static void note_name(void *context, const char *name)
{
    bool *taken = context;

    if (strcmp(name, "LOCK") != 0)
        *taken = true;
}

/* A directory that is missing or empty becomes a store; false: it is neither,
 * and to be opened as it is. */
static bool open_new(struct offline *offline, const char *path)
{
    struct source *source = &offline->source;
    struct stat stat_of;
    bool made = stat(path, &stat_of) < 0 && errno == ENOENT;
    bool taken = false;
    struct io *io;

    if (!made && !S_ISDIR(stat_of.st_mode))
        return false;
    if (io_open_directory(path, true, &io) < 0)
        return false;
    if (io_list(io, note_name, &taken) < 0 || taken) {
        io_free(io);
        return false;
    }
    *source = (struct source){
        .kind = SOURCE_DIRECTORY,
        .path = path,
        .io = io,
    };
    offline->is_new = true;
    offline->is_made = made;
    return true;
}

static int lock(const struct offline *offline)
{
    int64_t holder = 0;
    int error = io_lock(offline->source.io, &holder);

    if (error >= 0)
        return -1;
    if (error == -EACCES || error == -EPERM) {
        complain("%s: no permission to lock it; run as the user who owns the "
                 "store",
                 path_of(offline));
        return EXIT_IO;
    }
    if (error != -EWOULDBLOCK)
        return complain_io(path_of(offline), "cannot be locked", error);
    if (holder)
        complain("%s: process %" PRId64 " has the store open; stop it, or let "
                 "it do that itself",
                 path_of(offline), holder);
    else
        complain("%s: another process has the store open; stop it, or let it "
                 "do that itself",
                 path_of(offline));
    return EXIT_LOCKED;
}

int offline_lock(struct offline *offline, const struct subcommand *subcommand,
                 const struct operands *paths, bool create)
{
    int status = -1;

    if (!create || !open_new(offline, paths->items[0]))
        status =
            source_open(subcommand, paths, SOURCE_NO_FILE, &offline->source);
    return status < 0 ? lock(offline) : status;
}

int offline_recover(struct offline *offline, uint64_t limit,
                    const struct common_options *common)
{
    const struct store_options bounds = {.memory_limit = limit};
    struct recovery_options options = {
        .apply = replayer_apply,
        .until = UINT64_MAX,
        .settle = true,
    };
    struct replayer *replayer;
    struct meter meter;
    enum status st;
    int error = 0;

    if (store_create(&bounds, &offline->store) < 0 ||
        replayer_create(offline->store, cli_mem(), &replayer) < 0)
        text_no_memory();
    meter_start(&meter, "replaying", true, common);
    options.context = replayer;
    options.progress = (struct progress){meter_report, &meter};
    st = recover_directory(offline->source.io, offline->store, &options,
                           cli_mem(), &offline->recovery, &error);
    meter_stop(&meter);
    replayer_free(replayer);
    if (st < 0)
        return source_complain(&offline->source, offline->recovery.file, st,
                               error);
    if (offline->recovery.fresh && !offline->is_new) {
        complain("%s: there is no store any more", path_of(offline));
        return EXIT_NOT_A_LOG;
    }
    return source_verdict(&offline->source, &offline->recovery) < 0
               ? -1
               : EXIT_REFUSED;
}

int offline_open(struct offline *offline, const struct subcommand *subcommand,
                 const struct operands *paths, bool create, uint64_t limit,
                 const struct common_options *options)
{
    int status = offline_lock(offline, subcommand, paths, create);

    return status < 0 ? offline_recover(offline, limit, options) : status;
}

/* --- saving --------------------------------------------------------------- */

/* The error of a step that writes. */
static int failed(const struct offline *offline, enum status st, int error,
                  const char *what)
{
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        text_no_memory();
    complain("%s: %s: %s; %s", path_of(offline), what,
             error ? strerror(error) : status_text(st), offline->undone);
    return EXIT_IO;
}

/* As the daemon would at its start: a torn tail is set aside. */
static int open_log(struct offline *offline)
{
    struct manifest *manifest = &offline->recovery.manifest;
    enum status st = ST_OK;
    int error = 0;

    if (offline->is_new) {
        *manifest = (struct manifest){.epoch = 0};
        if (getrandom(manifest->store_id, STORE_ID_BYTES, 0) != STORE_ID_BYTES)
            return failed(offline, ST_IO, errno, "no random id");
    } else {
        st = recovery_mend(offline->source.io, &offline->recovery, &error);
    }
    if (st < 0)
        return failed(offline, st, error, "a torn tail cannot be set aside");
    /* What was changed here is in no segment: the checkpoint comes before
     * anything that would say so. */
    st = termlog_open(offline->source.io, cli_mem(), manifest,
                      store_seq(offline->store), SEGMENT_BYTES_DEFAULT,
                      &offline->log, &error);
    return st < 0 ? failed(offline, st, error, "the log cannot be opened") : -1;
}

static int log_failed(const struct offline *offline, enum status st)
{
    const char *what, *file;
    int error = termlog_error(offline->log, &what, &file);
    struct buffer text = BUFFER(cli_mem());

    text_format(&text, "cannot %s %s", what, file);
    failed(offline, st, error, text_string(&text));
    buffer_free(&text);
    return EXIT_IO;
}

static int checkpoint(struct offline *offline)
{
    struct checkpoint_job *job;
    enum status st = checkpoint_begin(offline->store, offline->log, &job);

    if (st < 0)
        return log_failed(offline, st);
    if (!job)
        return -1; /* the last one is of this very seq */
    checkpoint_run(job);
    st = checkpoint_end(job, offline->log, &offline->result);
    if (st < 0 && offline->result.why[0])
        return failed(offline, st, 0, offline->result.why);
    if (st < 0)
        return failed(offline, st, 0, "no checkpoint was made");
    offline->saved = true;
    return -1;
}

static int close_log(struct offline *offline)
{
    enum status st = termlog_sync(offline->log);

    if (st == ST_OK)
        st = termlog_close(offline->log, store_digest(offline->store));
    if (st < 0)
        return log_failed(offline, st);
    /* A full disk puts the MANIFEST off without an error. */
    if (termlog_checkpoint_seq(offline->log) != store_seq(offline->store))
        return failed(offline, ST_LOG_FULL, 0, "MANIFEST was not written");
    return -1;
}

int offline_save(struct offline *offline)
{
    int status = open_log(offline);

    if (status >= 0 || !store_seq(offline->store))
        return status;
    status = checkpoint(offline);
    return status < 0 ? close_log(offline) : status;
}

/* --- the end -------------------------------------------------------------- */

/* Leaves nothing of a store that did not come to be. */
static void drop_new(struct offline *offline)
{
    const char *path = path_of(offline);

    io_unlink(offline->source.io, "LOCK");
    if (offline->is_made)
        rmdir(path);
}

void offline_close(struct offline *offline)
{
    if (offline->is_new && !offline->log && offline->source.io)
        drop_new(offline);
    termlog_free(offline->log);
    recovery_free(&offline->recovery);
    if (offline->store)
        store_free(offline->store);
    source_close(&offline->source); /* and lets go of the lock */
}
