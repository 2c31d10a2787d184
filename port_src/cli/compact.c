/*
 * compact.c -- `rhizome compact`: what an orderly stop with a checkpoint
 * would have done, for a store that nobody has open.
 *
 *     lock, recover                      as the daemon starts
 *     mend, checkpoint, sync, close      as the daemon stops
 *
 * There is nothing of its own in between (offline.h), so it may be interrupted
 * wherever the daemon may be: old files go when the MANIFEST that does without
 * them is on the disk.
 */
#include "cli/offline.h"
#include "cli/rebuild.h"
#include "cli/subcommands.h"

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
    struct offline offline;
    struct usage before;
    struct usage after;
    double seconds;
};

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
    struct usage usage = {compact->offline.source.io, 0, 0};

    io_list(usage.io, usage_add, &usage);
    return usage;
}

static void put_facts(const struct compact *compact)
{
    const struct recovery *recovery = &compact->offline.recovery;
    struct facts facts;

    facts_begin(&facts);
    facts_u64(&facts, "seq", recovery->seq);
    facts_digest(&facts, "digest", store_digest(compact->offline.store));
    facts_bool(&facts, "compacted", compact->offline.saved);
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

static int compact_all(struct compact *compact, const struct operands *paths,
                       const struct common_options *options)
{
    struct offline *offline = &compact->offline;
    double begun = rebuild_clock();
    int status = offline_lock(offline, &subcommand_compact, paths, false);

    if (status < 0) {
        compact->before = measure(compact);
        status = offline_recover(offline, 0, options);
    }
    if (status < 0)
        status = offline_save(offline);
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
    struct compact compact = {
        .offline.undone = "the store is as it was, or compacted",
    };
    struct operands paths;
    int status =
        options_parse(&subcommand_compact, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    status = compact_all(&compact, &paths, &options.common);
    offline_close(&compact.offline);
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
