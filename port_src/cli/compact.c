/*
 * compact.c -- `rhizome compact`: what an orderly stop with a checkpoint
 * would have done, for a store that nobody has open.
 *
 *     lock, recover, mend, open the log     as the daemon starts
 *     checkpoint, sync, close               as the daemon stops
 *
 * There is nothing of its own in between, so it may be interrupted wherever
 * the daemon may be: old files go when the MANIFEST that does without them is
 * on the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#include "cli/progress.h"
#include "cli/rebuild.h"
#include "cli/subcommands.h"
#include "log/checkpoint.h"
#include "log/termlog.h"
#include "port/replay.h"

struct compact_options {
    struct common_options common;
};

/* What the files of a store take. */
struct usage {
    struct io *io;
    uint64_t files;
    uint64_t bytes;
};

struct compact {
    const struct compact_options *options;
    struct source source;
    struct store *store;
    struct recovery recovery;
    struct termlog *log;
    struct usage before;
    struct usage after;
    struct checkpoint_result result;
    bool done; /* there was something to do */
    double seconds;
};

static const char *path_of(const struct compact *compact)
{
    return compact->source.path;
}

static void usage_add(void *context, const char *name)
{
    struct usage *usage = context;
    uint64_t seq;
    int64_t size;
    int fd;

    if (!segment_name_parse(name, &seq) && !checkpoint_name_parse(name, &seq))
        return;
    fd = io_open(usage->io, name, IO_READ);
    if (fd < 0)
        return;
    size = io_size(usage->io, fd);
    io_close(usage->io, fd);
    usage->files++;
    usage->bytes += size < 0 ? 0 : (uint64_t)size;
}

static struct usage measure(const struct compact *compact)
{
    struct usage usage = {compact->source.io, 0, 0};

    io_list(usage.io, usage_add, &usage);
    return usage;
}

static int lock(const struct compact *compact)
{
    int64_t holder = 0;
    int error = io_lock(compact->source.io, &holder);

    if (error >= 0)
        return -1;
    if (error == -EACCES || error == -EPERM) {
        complain("%s: no permission to lock it; run as the user who owns the "
                 "store",
                 path_of(compact));
        return EXIT_IO;
    }
    if (error != -EWOULDBLOCK)
        return complain_io(path_of(compact), "cannot be locked", error);
    if (holder)
        complain("%s: process %" PRId64 " has the store open; stop it, or let "
                 "it make a checkpoint itself",
                 path_of(compact), holder);
    else
        complain("%s: another process has the store open; stop it, or let it "
                 "make a checkpoint itself",
                 path_of(compact));
    return EXIT_LOCKED;
}

/* The error of a step that writes. */
static int failed(const struct compact *compact, enum status st, int error,
                  const char *what)
{
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        text_no_memory();
    complain("%s: %s: %s; the store is as it was, or compacted",
             path_of(compact), what, error ? strerror(error) : status_text(st));
    return EXIT_IO;
}

static int recover(struct compact *compact)
{
    const struct store_options no_limit = {0};
    struct recovery_options options = {
        .apply = replayer_apply,
        .until = UINT64_MAX,
        .settle = true,
    };
    struct replayer *replayer;
    struct meter meter;
    enum status st;
    int error = 0;

    if (store_create(&no_limit, &compact->store) < 0 ||
        replayer_create(compact->store, cli_mem(), &replayer) < 0)
        text_no_memory();
    meter_start(&meter, "replaying", true, &compact->options->common);
    options.context = replayer;
    options.progress = (struct progress){meter_report, &meter};
    st = recover_directory(compact->source.io, compact->store, &options,
                           cli_mem(), &compact->recovery, &error);
    meter_stop(&meter);
    replayer_free(replayer);
    if (st < 0)
        return source_complain(&compact->source, compact->recovery.file, st,
                               error);
    if (compact->recovery.fresh) {
        complain("%s: there is no store any more", path_of(compact));
        return EXIT_NOT_A_LOG;
    }
    return source_verdict(&compact->source, &compact->recovery) < 0
               ? -1
               : EXIT_REFUSED;
}

/* As the daemon would at its start: a torn tail is set aside. */
static int open_log(struct compact *compact)
{
    int error = 0;
    enum status st =
        recovery_mend(compact->source.io, &compact->recovery, &error);

    if (st < 0)
        return failed(compact, st, error, "a torn tail cannot be set aside");
    st = termlog_open(compact->source.io, cli_mem(),
                      &compact->recovery.manifest, compact->recovery.seq,
                      SEGMENT_BYTES_DEFAULT, &compact->log, &error);
    return st < 0 ? failed(compact, st, error, "the log cannot be opened") : -1;
}

static int log_failed(const struct compact *compact, enum status st)
{
    const char *what, *file;
    int error = termlog_error(compact->log, &what, &file);
    struct buffer text = BUFFER(cli_mem());

    text_format(&text, "cannot %s %s", what, file);
    failed(compact, st, error, text_string(&text));
    buffer_free(&text);
    return EXIT_IO;
}

static int checkpoint(struct compact *compact)
{
    struct checkpoint_job *job;
    enum status st = checkpoint_begin(compact->store, compact->log, &job);

    if (st < 0)
        return log_failed(compact, st);
    if (!job)
        return -1; /* the last one is of this very seq */
    checkpoint_run(job);
    st = checkpoint_end(job, compact->log, &compact->result);
    if (st < 0 && compact->result.why[0])
        return failed(compact, st, 0, compact->result.why);
    if (st < 0)
        return failed(compact, st, 0, "no checkpoint was made");
    compact->done = true;
    return -1;
}

static int close_log(struct compact *compact)
{
    enum status st = termlog_sync(compact->log);

    if (st == ST_OK)
        st = termlog_close(compact->log, store_digest(compact->store));
    if (st < 0)
        return log_failed(compact, st);
    /* A full disk puts the MANIFEST off without an error. */
    if (termlog_checkpoint_seq(compact->log) != store_seq(compact->store))
        return failed(compact, ST_LOG_FULL, 0, "MANIFEST was not written");
    return -1;
}

static void put_facts(const struct compact *compact)
{
    const struct recovery *recovery = &compact->recovery;
    struct facts facts;

    facts_begin(&facts);
    facts_u64(&facts, "seq", recovery->seq);
    facts_digest(&facts, "digest", store_digest(compact->store));
    facts_bool(&facts, "compacted", compact->done);
    facts_u64(&facts, "mutations", recovery->records);
    facts_u64(&facts, "files_before", compact->before.files);
    facts_u64(&facts, "files_after", compact->after.files);
    facts_size(&facts, "bytes_before", compact->before.bytes);
    facts_size(&facts, "bytes_after", compact->after.bytes);
    if (recovery->verdict == RECOVERY_TORN)
        facts_size(&facts, "torn_bytes", recovery->torn_bytes);
    facts_double(&facts, "seconds", compact->seconds, 3);
    facts_end(&facts);
}

static int compact_all(struct compact *compact)
{
    double begun = rebuild_clock();
    int status = lock(compact);

    if (status < 0) {
        compact->before = measure(compact);
        status = recover(compact);
    }
    if (status < 0)
        status = open_log(compact);
    if (status < 0 && compact->recovery.seq)
        status = checkpoint(compact);
    if (status < 0 && compact->recovery.seq)
        status = close_log(compact);
    compact->seconds = rebuild_clock() - begun;
    if (status < 0) {
        compact->after = measure(compact);
        put_facts(compact);
        status = EXIT_STOPPED;
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct compact_options options = {.common = {.json = false}};
    struct compact compact = {.options = &options};
    struct operands paths;
    int status =
        options_parse(&subcommand_compact, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    status = source_open(&subcommand_compact, &paths, SOURCE_NO_FILE,
                         &compact.source);
    if (status < 0)
        status = compact_all(&compact);
    termlog_free(compact.log);
    recovery_free(&compact.recovery);
    if (compact.store)
        store_free(compact.store);
    source_close(&compact.source); /* and lets go of the lock */
    return output_status(status);
}

static const struct option_row rows[] = {
    {NULL, 0, 0, 0, NULL, NULL},
};

const struct subcommand subcommand_compact = {
    .name = "compact",
    .summary = "replace a store's log by a checkpoint of it",
    .run = run,
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .text =
        "Recovers a store that no daemon has open, writes a checkpoint of it, "
        "and removes\nwhat that covers, once it is on the disk. May be "
        "interrupted at any moment.\nNeeds room for the checkpoint beside the "
        "old files. A running daemon does the\nsame when it is asked for a "
        "checkpoint.\n"
        "\n"
        "exit status: 0, 64 usage, 65 not a store, 71 no memory, 74 reading "
        "or writing\nfailed, 75 a process has the store open, 78 the log is "
        "damaged (nothing was\nchanged)\n",
    .examples = "  rhizome compact data\n"
                "  rhizome compact --json data | jq .bytes_after\n",
    .rows = rows,
};
