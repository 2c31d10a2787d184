/*
 * replay.c -- `rhizome replay`: what a log comes to.
 *
 *     PATH ...  --recovery-->          store --> facts
 *     -         --a log, spooled-->      |
 *     -         --frames, command by     '-- --into DIR: a checkpoint of it
 *                 command-->                 and a MANIFEST
 *
 * A store that --into writes is complete or is none: the MANIFEST comes last,
 * and a directory without one is refused by everybody.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/rebuild.h"
#include "cli/spool.h"
#include "cli/subcommands.h"
#include "cli/term.h"
#include "core/etf.h"
#include "core/graph.h"
#include "core/key.h"
#include "log/walk.h"
#include "port/commands.h"
#include "port/frame.h"

/* The largest frame that the port can be told to accept. */
#define REQUEST_BYTES_MAX ((size_t)1 << 30)

struct replay_options {
    struct common_options common;
    uint64_t until;
    const char *into;
    bool verify;
};

/* What came in as requests and not as a log. */
struct requests {
    bool any;
    uint64_t count;
    uint64_t failed;
    uint64_t bytes;
};

/* What --into made. */
struct copied {
    uint8_t store_id[STORE_ID_BYTES];
    uint64_t bytes;
};

struct replay {
    const struct replay_options *options;
    const char *path;
    struct source source;
    struct rebuild rebuild;
    struct requests requests;
    struct copied copied;
};

/* --- requests from stdin ------------------------------------------------ */

/* Counts the replies of a frame that are errors, and names the first one. */
static void count_errors(struct replay *replay, struct bytes frame)
{
    struct walk walk = {frame.data + FRAME_HEADER_BYTES + 1};
    struct walk answer;
    struct bytes id, bytes, code;
    uint32_t count;

    if (frame.size <= FRAME_HEADER_BYTES + 1 || !walk_list(&walk, &count))
        return;
    for (; count; count--) {
        struct walk reply = {walk_term(&walk).data};
        bool pair = walk_tuple(&reply, 2);

        id = pair ? walk_term(&reply) : bytes_of(NULL, 0);
        if (!pair || !walk_binary(&reply, &bytes) || bytes.size < 2)
            continue; /* an event */
        answer.at = bytes.data + 1;
        if (!walk_tuple(&answer, 2) || !walk_atom(&answer, "error"))
            continue;
        if (replay->requests.failed++ == 0 && walk_tuple(&answer, 3) &&
            walk_any_atom(&answer, &code)) {
            struct buffer text = BUFFER(cli_mem());

            term_text(&text, id.data, NULL);
            note("stdin: request %s answered the error %.*s, as it may have "
                 "the first time; it is the first one",
                 text_string(&text), (int)code.size, code.data);
            buffer_free(&text);
        }
    }
}

/* Carries out one frame. False when --until is reached. */
static enum status run_frame(struct replay *replay, struct commands *commands,
                             struct writer *writer, struct bytes payload)
{
    uint64_t before = commands_figures(commands)->commands;
    enum status st = commands_open(commands, payload);

    while (st == ST_OK && commands_busy(commands) &&
           store_seq(replay->rebuild.store) < replay->options->until) {
        st = commands_step(commands);
        if (st == ST_OK && writer_size(writer)) {
            count_errors(replay, writer_frame(writer));
            writer_clear(writer);
        }
    }
    replay->requests.count += commands_figures(commands)->commands - before;
    return st;
}

static int complain_frame(const struct replay *replay, const char *separator,
                          const char *what)
{
    complain("stdin: the frame at offset %" PRIu64 "%s%s; a frame is a length "
             "of 4 bytes and an external term, as the port takes it",
             replay->requests.bytes, separator, what);
    return EXIT_NOT_A_LOG;
}

static int run_frames(struct replay *replay, struct spool *spool,
                      struct commands *commands, struct writer *writer,
                      struct frames *frames)
{
    while (store_seq(replay->rebuild.store) < replay->options->until) {
        struct bytes payload;
        uint8_t *room;
        size_t size;
        ssize_t done;
        bool found;
        enum status st = frames_next(frames, &payload, &found);

        if (st < 0)
            return complain_frame(replay, " ", "is too long, or no frame");
        if (found) {
            st = run_frame(replay, commands, writer, payload);
            if (st == ST_NO_MEMORY)
                text_no_memory();
            if (st < 0)
                return complain_frame(replay, ": ", status_text(st));
            replay->requests.bytes += FRAME_HEADER_BYTES + payload.size;
            continue;
        }
        if (frames_space(frames, &room, &size) < 0)
            text_no_memory();
        done = spool_read(spool, room, size);
        if (done < 0)
            return complain_io("stdin", "cannot be read", (int)done);
        if (done == 0)
            return frames_pending(frames)
                       ? complain_frame(replay, " ", "is cut off")
                       : -1;
        frames_filled(frames, (size_t)done);
    }
    return -1;
}

static int replay_requests(struct replay *replay, struct spool *spool)
{
    const struct store_options no_limit = {0};
    struct rebuild *rebuild = &replay->rebuild;
    struct commands *commands;
    struct writer writer;
    struct frames frames;
    double begun = rebuild_clock();
    int status;

    replay->requests.any = true;
    writer_init(&writer, cli_mem(), REQUEST_BYTES_MAX);
    frames_init(&frames, cli_mem(), REQUEST_BYTES_MAX);
    if (store_create(&no_limit, &rebuild->store) < 0 ||
        commands_create(rebuild->store, cli_mem(), &writer, &commands) < 0)
        text_no_memory();
    status = run_frames(replay, spool, commands, &writer, &frames);
    commands_free(commands);
    frames_deinit(&frames);
    writer_deinit(&writer);
    rebuild->seconds = rebuild_clock() - begun;
    rebuild->recovery.seq = store_seq(rebuild->store);
    rebuild->recovery.records = store_seq(rebuild->store);
    rebuild->recovery.bytes = replay->requests.bytes;
    return status;
}

/* --- reading ------------------------------------------------------------ */

/* A segment from the middle of a log, without what stands before it: no
 * damage, but nothing to begin with. */
static int check_beginning(const struct replay *replay)
{
    const struct recovery *recovery = &replay->rebuild.recovery;
    const struct source *source = &replay->source;
    const struct file_header *header;
    struct log_reader *reader;
    uint64_t first_seq = 1;
    int error;

    if (source->kind == SOURCE_DIRECTORY || recovery->verdict == RECOVERY_OK ||
        recovery->seq || recovery->checkpoint)
        return -1;
    for (size_t i = 0; i < source->count; i++) {
        if (strcmp(source->files[i].name, recovery->file) != 0 ||
            log_reader_open(source->files[i].io, recovery->file, cli_mem(),
                            &reader, &error) < 0)
            continue;
        header = log_reader_header(reader);
        if (header && header->kind == FILE_LOG)
            first_seq = header->first_seq;
        log_reader_close(reader);
        break;
    }
    if (first_seq <= 1)
        return -1;
    complain("%s: the log begins at mutation %" PRIu64 "; name the checkpoint "
             "or the segments before it, too",
             source_name(source, recovery->file), first_seq);
    return EXIT_USAGE;
}

static int replay_source(struct replay *replay)
{
    struct meter meter;
    int status;

    meter_start(&meter, "replaying", true, &replay->options->common);
    status = rebuild_run(&replay->source, true, replay->options->until, &meter,
                         &replay->rebuild);
    meter_stop(&meter);
    if (status < 0)
        status = check_beginning(replay);
    if (status >= 0)
        return status;
    /* While a daemon writes, half a record at the end is no news. */
    if (replay->rebuild.live &&
        replay->rebuild.recovery.verdict == RECOVERY_TORN)
        return -1;
    return source_verdict(&replay->source, &replay->rebuild.recovery);
}

/* A log that is piped in: a source that has one file. */
static int replay_spooled(struct replay *replay, struct spool *spool)
{
    struct source *source = &replay->source;
    struct log_source *file = source->files;
    const char *what = "";
    int error = spool_directory(spool, &file->io, &what);

    if (error < 0)
        return complain_io("stdin", what, error);
    file->name = SPOOL_NAME;
    source->count = 1; /* source_close() frees it */
    return replay_source(replay);
}

static int replay_stdin(struct replay *replay)
{
    static const uint8_t magic[] = {0x89, 'T', 'L', 'G'};
    struct spool spool;
    int error;

    if (isatty(STDIN_FILENO)) {
        complain("stdin is a terminal; pipe a log or frames of requests into "
                 "it");
        return EXIT_USAGE;
    }
    error = spool_open(&spool);
    if (error < 0)
        return complain_io("stdin", "cannot be read", error);
    if (!spool.start_bytes) {
        complain("stdin is empty; pipe a log or frames of requests into it");
        return EXIT_NOT_A_LOG;
    }
    if (memcmp(spool.start, magic, sizeof(magic)) == 0)
        return replay_spooled(replay, &spool);
    return replay_requests(replay, &spool);
}

/* Was all there that was asked for, and does it hold together? */
static int check_result(const struct replay *replay)
{
    const struct recovery *recovery = &replay->rebuild.recovery;
    uint64_t until = replay->options->until;
    char why[160];

    if (until != UINT64_MAX && recovery->seq < until) {
        complain("%s: the log ends at mutation %" PRIu64 ", before %" PRIu64
                 "; use --until %" PRIu64 " or less",
                 replay->path, recovery->seq, until, recovery->seq);
        return EXIT_USAGE;
    }
    if (replay->options->verify &&
        !store_check(replay->rebuild.store, why, sizeof(why))) {
        complain("%s: the store that was rebuilt contradicts itself: %s; "
                 "please report this with the log",
                 replay->path, why);
        return EXIT_DAMAGED;
    }
    return -1;
}

/* --- --into ------------------------------------------------------------- */

/* The checkpoint while it is written. */
struct target {
    struct io *io;
    bool made; /* the directory was not there before */
    int fd;
    uint64_t bytes;
};

static int target_write(void *context, struct bytes bytes)
{
    struct target *target = context;
    int error = io_write_all(target->io, target->fd, bytes.data, bytes.size,
                             target->bytes);

    target->bytes += bytes.size;
    return error;
}

static void note_name(void *context, const char *name)
{
    bool *taken = context;

    /* These may be left of an attempt that was interrupted. */
    if (strcmp(name, "LOCK") != 0 && strcmp(name, CHECKPOINT_TEMPORARY) != 0)
        *taken = true;
}

/* Opens the directory, which is to be empty, and locks it. */
static int open_target(const char *path, struct target *ret)
{
    int64_t holder;
    bool taken = false;
    int error;

    ret->made = access(path, F_OK) < 0;
    error = io_open_directory(path, true, &ret->io);
    if (error < 0) {
        ret->io = NULL;
        return complain_io(path, "cannot be made or opened", error);
    }
    error = io_list(ret->io, note_name, &taken);
    if (error == 0 && taken) {
        complain("%s: is not empty; --into needs a new directory", path);
        return EXIT_USAGE;
    }
    if (error == 0)
        error = io_lock(ret->io, &holder);
    if (error == -EWOULDBLOCK) {
        complain("%s: another process holds the directory", path);
        return EXIT_LOCKED;
    }
    return error < 0 ? complain_io(path, "cannot be used", error) : -1;
}

/* Writes the checkpoint under its temporary name, syncs it and renames it. */
static int write_checkpoint(struct target *target,
                            const struct snapshot *snapshot,
                            const struct manifest *manifest,
                            const struct progress *progress)
{
    const struct checkpoint_output output = {target_write, target};
    char name[FILE_NAME_BYTES];
    enum status st;
    int error = 0;

    io_unlink(target->io, CHECKPOINT_TEMPORARY);
    target->fd = io_open(target->io, CHECKPOINT_TEMPORARY, IO_CREATE);
    if (target->fd < 0)
        return target->fd;
    st = checkpoint_write(snapshot, manifest->store_id, manifest->epoch,
                          &output, NULL, progress, &error);
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        text_no_memory();
    error = st < 0 ? -error : io_sync(target->io, target->fd);
    io_close(target->io, target->fd);
    checkpoint_name(name, manifest->checkpoint);
    if (error == 0)
        error = io_rename(target->io, CHECKPOINT_TEMPORARY, name);
    if (error == 0)
        error = io_sync_directory(target->io, NULL);
    return error;
}

/* Half a store would be refused, and is of no use. The MANIFEST may be there,
 * if all that failed was to sync its name. */
static void unlink_all(struct target *target, uint64_t seq)
{
    char name[FILE_NAME_BYTES];

    io_unlink(target->io, MANIFEST_NAME);
    checkpoint_name(name, seq);
    io_unlink(target->io, name);
    io_unlink(target->io, CHECKPOINT_TEMPORARY);
    io_unlink(target->io, MANIFEST_TEMPORARY);
}

/* Leaves nothing of a store that did not come to be. */
static void drop_target(struct target *target, const char *path)
{
    if (!target->io)
        return;
    io_unlink(target->io, "LOCK");
    if (target->made)
        rmdir(path);
}

/* Reads back what was written, as a daemon will. */
static int check_target(const struct target *target, const char *path)
{
    const struct recovery_options options = {.until = UINT64_MAX};
    struct recovery recovery;
    int error = 0;
    enum status st = recover_directory(target->io, NULL, &options, cli_mem(),
                                       &recovery, &error);
    int status = -1;

    if (st == ST_IO) {
        status = complain_io(path, "cannot be read back", error);
    } else if (st < 0) {
        text_no_memory();
    } else if (recovery.verdict != RECOVERY_OK) {
        complain("%s: what was written is read back with a fault (%s); the "
                 "disk is not to be trusted",
                 path, recovery.why);
        status = EXIT_IO;
    }
    recovery_free(&recovery);
    return status;
}

static int write_target(struct replay *replay, struct target *target,
                        struct meter *meter)
{
    const struct progress progress = {meter_report, meter};
    const char *path = replay->options->into;
    struct manifest manifest = {.epoch = 1};
    struct snapshot *snapshot;
    int error = 0;

    if (snapshot_take(replay->rebuild.store, &snapshot) < 0 ||
        snapshot_list(snapshot) < 0)
        text_no_memory();
    manifest.checkpoint = manifest.durable = snapshot_seq(snapshot);
    manifest.digest = snapshot_digest(snapshot);
    manifest.has_checkpoint = manifest.checkpoint > 0;
    if (getrandom(manifest.store_id, STORE_ID_BYTES, 0) != STORE_ID_BYTES)
        error = -errno;
    if (error == 0 && manifest.has_checkpoint)
        error = write_checkpoint(target, snapshot, &manifest, &progress);
    if (error == 0)
        error = manifest_write(target->io, &manifest);
    snapshot_release(snapshot);
    if (error < 0) {
        unlink_all(target, manifest.checkpoint);
        return complain_io(path, "cannot be written", error);
    }
    memcpy(replay->copied.store_id, manifest.store_id, STORE_ID_BYTES);
    replay->copied.bytes = target->bytes;
    return check_target(target, path);
}

static int write_into(struct replay *replay, struct target *target)
{
    struct meter meter;
    int status;

    meter_start(&meter, "writing", false, &replay->options->common);
    status = write_target(replay, target, &meter);
    meter_stop(&meter);
    return status;
}

/* --- what came out ------------------------------------------------------ */

static void put_tables(struct facts *facts, const struct store *store)
{
    static const char *const columns[] = {"table", "type", "count", "bytes",
                                          NULL};
    struct table *table = NULL;
    struct rows rows;

    rows_begin(&rows, columns);
    while ((table = store_next_table(store, table))) {
        struct buffer term = BUFFER(cli_mem());
        uint64_t count = table_count(table);
        size_t bytes = table_bytes(table);
        struct graph graph;

        if (table_is_part(table))
            continue;
        if (table_type(table) == TABLE_GRAPH &&
            graph_open(store, table, &graph) == ST_OK) {
            count = graph_vertex_count(&graph) + graph_edge_count(&graph);
            bytes = graph_bytes(&graph);
        }
        if (key_decode(table_name(table), &term) < 0)
            text_no_memory();
        rows_term(&rows, term.data);
        rows_text(&rows, table_type_name(table_type(table)));
        rows_u64(&rows, count);
        rows_u64(&rows, bytes);
        buffer_free(&term);
    }
    facts_rows(facts, "tables", &rows);
}

static void put_torn(struct facts *facts, const struct recovery *recovery)
{
    static const char *const columns[] = {"file", "offset", "bytes", NULL};
    struct rows rows;

    rows_begin(&rows, columns);
    if (recovery->verdict == RECOVERY_TORN) {
        rows_text(&rows, recovery->file);
        rows_u64(&rows, recovery->offset);
        rows_u64(&rows, recovery->torn_bytes);
    }
    facts_rows(facts, "torn", &rows);
}

static void put_speed(struct facts *facts, const struct rebuild *rebuild)
{
    const struct recovery *recovery = &rebuild->recovery;
    double seconds = rebuild->seconds > 1e-6 ? rebuild->seconds : 1e-6;
    double mutations = (double)recovery->records / seconds;
    double bytes = (double)recovery->bytes / seconds;

    if (output_is_json()) {
        facts_double(facts, "seconds", seconds, 6);
        facts_double(facts, "mutations_per_second", mutations, 0);
        facts_double(facts, "bytes_per_second", bytes, 0);
    } else {
        struct buffer text = BUFFER(cli_mem());

        text_format(&text, "%.3f s, ", seconds);
        if (recovery->records)
            text_format(&text, "%.0f mutations/s, ", mutations);
        text_format(&text, "%.1f MB/s", bytes / 1e6);
        facts_text(facts, "time", text_string(&text));
        buffer_free(&text);
    }
}

static void put_digests(struct facts *facts, const struct replay *replay)
{
    uint64_t digests = replay->rebuild.recovery.digests;
    struct buffer text = BUFFER(cli_mem());

    if (output_is_json()) {
        facts_u64(facts, "digests_agreed", digests);
        facts_bool(facts, "verified", replay->options->verify);
        return;
    }
    if (digests == 1)
        text_append(&text, "1 recorded digest agrees");
    else if (digests)
        text_format(&text, "%" PRIu64 " recorded digests agree", digests);
    else
        text_append(&text, "none is recorded, so none was compared");
    if (replay->options->verify)
        text_append(&text, "; tables, orders, counts and references agree");
    facts_text(facts, replay->options->verify ? "verified" : "compared",
               text_string(&text));
    buffer_free(&text);
}

/* Rows, pairs, keys: all that the tables hold. */
static uint64_t count_elements(const struct store *store)
{
    struct table *table = NULL;
    uint64_t count = 0;

    while ((table = store_next_table(store, table)))
        count += table_count(table);
    return count;
}

static void put_facts(const struct replay *replay)
{
    const struct recovery *recovery = &replay->rebuild.recovery;
    struct store *store = replay->rebuild.store;
    struct facts facts;

    facts_begin(&facts);
    facts_u64(&facts, "seq", recovery->seq);
    facts_digest(&facts, "digest", store_digest(store));
    put_digests(&facts, replay);
    if (replay->requests.any) {
        facts_u64(&facts, "requests", replay->requests.count);
        facts_u64(&facts, "failed", replay->requests.failed);
    } else if (recovery->checkpoint) {
        facts_u64(&facts, "checkpoint", recovery->checkpoint);
    } else {
        facts_none(&facts, "checkpoint");
    }
    facts_u64(&facts, "mutations", recovery->records);
    facts_u64(&facts, "elements", count_elements(store));
    facts_size(&facts, "read_bytes", recovery->bytes);
    facts_size(&facts, "memory_bytes", store_mem(store)->used);
    put_speed(&facts, &replay->rebuild);
    if (!replay->requests.any)
        facts_bool(&facts, "closed", recovery->clean);
    if (replay->options->into) {
        facts_text(&facts, "into", replay->options->into);
        facts_hex(&facts, "store_id",
                  bytes_of(replay->copied.store_id, STORE_ID_BYTES));
        facts_size(&facts, "into_bytes", replay->copied.bytes);
    }
    put_torn(&facts, recovery);
    put_tables(&facts, store);
    facts_end(&facts);
}

/* --- the subcommand ----------------------------------------------------- */

static const struct option_row rows[] = {
    {"until", 'u', OPTION_COUNT, offsetof(struct replay_options, until), "SEQ",
     "stop behind this mutation: the store as it was"},
    {"verify", 'v', OPTION_FLAG, offsetof(struct replay_options, verify), NULL,
     "check the result in depth, too: each order, count\n"
     "and reference of the store"},
    {"into", 'i', OPTION_FILE, offsetof(struct replay_options, into), "DIR",
     "write it as a new store, ready for the daemon, into\n"
     "a directory that is empty or does not exist yet"},
    {NULL, 0, 0, 0, NULL, NULL},
};

static int replay_all(struct replay *replay, struct target *target)
{
    int status = -1;

    if (replay->options->into)
        status = open_target(replay->options->into, target);
    if (status < 0)
        status = replay->source.kind == SOURCE_STDIN ? replay_stdin(replay)
                                                     : replay_source(replay);
    if (status < 0)
        status = check_result(replay);
    if (status < 0 && target->io)
        status = write_into(replay, target);
    if (status < 0) {
        put_facts(replay);
        return EXIT_STOPPED;
    }
    drop_target(target, replay->options->into);
    return status;
}

static int run(int argc, char **argv)
{
    struct replay_options options = {.until = UINT64_MAX};
    struct replay replay = {.options = &options};
    struct target target = {.fd = -1};
    struct operands paths;
    int status =
        options_parse(&subcommand_replay, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    status = source_open(&subcommand_replay, &paths, SOURCE_MANY | SOURCE_DASH,
                         &replay.source);
    if (replay.source.kind == SOURCE_STDIN)
        replay.source.path = "stdin";
    replay.path = replay.source.path;
    if (status < 0)
        status = replay_all(&replay, &target);
    io_free(target.io);
    rebuild_free(&replay.rebuild);
    source_close(&replay.source);
    return output_status(status);
}

const struct subcommand subcommand_replay = {
    .name = "replay",
    .summary = "rebuild a store from its log: digest, tables, rate",
    .run = run,
    .operands = "PATH ...",
    .operands_min = 1,
    .operands_max = 10000,
    .text =
        "Reads a store's directory, or files of a log (a checkpoint or dump "
        "and the\nsegments behind it, in any order), carries out every "
        "mutation in memory and\nshows what came out. Two stores are equal if "
        "their digests are. Digests that\nthe log has recorded (in "
        "checkpoints, every 65,536 mutations, at an orderly\nend) are always "
        "compared; one that differs is damage.\n"
        "\n"
        "With `-` it reads stdin: a file of a log, or frames of requests as "
        "a client\nsends them to `rhizome port`, which are carried out on an "
        "empty store.\n"
        "\n"
        "Needs no lock: a daemon may be at work. Changes nothing but what "
        "--into names.\n"
        "\n"
        "exit status: 0, 1 the log is damaged or a digest differs, 64 usage "
        "(or --until\nis out of reach), 65 not a log, 71 no memory, 74 "
        "reading or writing failed,\n75 DIR is locked\n",
    .examples =
        "  rhizome replay --verify data\n"
        "  rhizome replay --until 120000 --into data.then data\n"
        "  rhizome replay ckpt-0000000000000400.tlg log-*.tlg\n"
        "  zstdcat night.tlg.zst | rhizome replay --json - | jq .digest\n",
    .rows = rows,
};
