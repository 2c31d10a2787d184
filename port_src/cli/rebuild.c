#include "cli/rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#include "port/replay.h"

/* Time for a writer to finish what it was doing. */
#define PAUSE_NS 50000000

/* A refusal that came as fast as this is looked at once more in any case: the
 * clock of a file system may be too coarse to show that something moved. */
#define QUICK_SECONDS 0.5

double rebuild_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- has something moved? ----------------------------------------------- */

struct moment {
    const char *directory;
    uint64_t sum;
};

/* A sum, for io_list() gives names in any order. */
static void moment_add(struct moment *moment, const char *name)
{
    struct buffer path = BUFFER(cli_mem());
    struct stat stat_of;

    text_format(&path, "%s/%s", moment->directory, name);
    if (stat(text_string(&path), &stat_of) == 0) {
        const uint64_t parts[] = {
            (uint64_t)stat_of.st_ino,
            (uint64_t)stat_of.st_size,
            (uint64_t)stat_of.st_mtim.tv_sec,
            (uint64_t)stat_of.st_mtim.tv_nsec,
        };

        moment->sum += digest_bytes(bytes_of(parts, sizeof(parts))).low;
    }
    buffer_free(&path);
}

static void moment_each(void *context, const char *name)
{
    uint64_t seq;

    if (segment_name_parse(name, &seq) || checkpoint_name_parse(name, &seq) ||
        strcmp(name, MANIFEST_NAME) == 0)
        moment_add(context, name);
}

uint64_t rebuild_moment(const struct source *source)
{
    struct moment moment = {.sum = 0};

    if (source->kind == SOURCE_DIRECTORY) {
        moment.directory = source->names[0];
        io_list(source->io, moment_each, &moment);
    }
    for (size_t i = 0; source->kind == SOURCE_FILES && i < source->count; i++) {
        moment.directory = source->names[i];
        moment_add(&moment, source->files[i].name);
    }
    return moment.sum;
}

/* --- one attempt -------------------------------------------------------- */

static enum status recover(const struct source *source,
                           const struct recovery_options *options,
                           struct rebuild *ret, int *ret_errno)
{
    if (source->kind == SOURCE_DIRECTORY)
        return recover_directory(source->io, ret->store, options, cli_mem(),
                                 &ret->recovery, ret_errno);
    return recover_files(source->files, source->count, ret->store, options,
                         cli_mem(), &ret->recovery, ret_errno);
}

static enum status attempt(const struct source *source, bool apply,
                           uint64_t until, struct meter *meter,
                           struct rebuild *ret, int *ret_errno)
{
    const struct store_options no_limit = {0};
    struct recovery_options options = {
        .progress = {meter_report, meter},
        .until = until,
    };
    struct replayer *replayer = NULL;
    double begun;
    enum status st;

    *ret_errno = 0;
    if (apply) {
        st = store_create(&no_limit, &ret->store);
        if (st == ST_OK)
            st = replayer_create(ret->store, cli_mem(), &replayer);
        if (st < 0)
            return st;
        options.apply = replayer_apply;
        options.context = replayer;
    }
    begun = rebuild_clock();
    st = recover(source, &options, ret, ret_errno);
    ret->seconds = rebuild_clock() - begun;
    replayer_free(replayer);
    return st;
}

void rebuild_free(struct rebuild *rebuild)
{
    recovery_free(&rebuild->recovery);
    if (rebuild->store)
        store_free(rebuild->store);
    *rebuild = (struct rebuild){.store = NULL};
}

/* --- until it holds ----------------------------------------------------- */

static int complain_before(const struct source *source,
                           const struct recovery *recovery, uint64_t until)
{
    uint64_t first = recovery->manifest.has_checkpoint
                         ? recovery->manifest.checkpoint
                         : recovery->seq;

    complain("%s: mutation %" PRIu64 " lies before the checkpoint, which "
             "begins at %" PRIu64 "; use --until %" PRIu64 " or later",
             source_name(source, ""), until, first, first);
    return EXIT_USAGE;
}

/* A MANIFEST among the files says nothing without the others. */
static int refuse_manifest(const struct source *source)
{
    for (size_t i = 0; source->kind == SOURCE_FILES && i < source->count; i++) {
        const struct log_source *file = &source->files[i];
        const struct file_header *header;
        struct log_reader *reader;
        int error;

        if (log_reader_open(file->io, file->name, cli_mem(), &reader, &error))
            continue; /* recovery will say why */
        header = log_reader_header(reader);
        if (header && header->kind == FILE_MANIFEST) {
            complain("%s: is the list of a store's files; name its directory",
                     source_name(source, file->name));
            log_reader_close(reader);
            return EXIT_USAGE;
        }
        log_reader_close(reader);
    }
    return -1;
}

int rebuild_run(const struct source *source, bool apply, uint64_t until,
                struct meter *meter, struct rebuild *ret)
{
    const struct timespec pause = {0, PAUSE_NS};
    enum status st;
    int error;
    int status = refuse_manifest(source);

    *ret = (struct rebuild){.store = NULL};
    if (status >= 0)
        return status;
    for (unsigned try = 1;; try++) {
        uint64_t before = rebuild_moment(source);
        bool moved, good;

        st = attempt(source, apply, until, meter, ret, &error);
        if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT || st == ST_NOT_FOUND)
            break;
        good = st == ST_OK && ret->recovery.verdict != RECOVERY_REFUSED &&
               !ret->recovery.fresh;
        moved = rebuild_moment(source) != before;
        if (good) {
            ret->live = moved;
            return -1;
        }
        if (!moved && !(try == 1 && ret->seconds < QUICK_SECONDS))
            break;
        if (try == REBUILD_TRIES) {
            note("%s: was written to each time that it was read; try again, "
                 "or read a copy",
                 source_name(source, ""));
            break;
        }
        rebuild_free(ret);
        nanosleep(&pause, NULL);
    }
    if (st == ST_NOT_FOUND)
        return complain_before(source, &ret->recovery, until);
    if (st < 0)
        return source_complain(source, ret->recovery.file, st, error);
    if (ret->recovery.fresh) {
        complain("%s: the store has gone while it was read",
                 source_name(source, ""));
        return EXIT_NOT_A_LOG;
    }
    return -1;
}
