/*
 * repair.c -- `rhizome repair FILE --cut-at OFFSET`: gives up what stands
 * behind a place in a log, so that what stands before it is a store again.
 *
 * Nothing is decided here. Somebody names the place, and it is only held
 * against the file: a record must end there, and everything before it must be
 * whole. What is lost is said, and agreed to, before anything is changed.
 *
 *     a segment in a store              a file somewhere
 *     1  lock the directory
 *     2  copy it to torn/               copy it to FILE.bak
 *     3  move later segments to torn/
 *     4  cut it                         cut it
 *     5  MANIFEST: what there is now
 *
 * Each step is on the disk before the next one begins. Until the last one is
 * done recovery refuses the store, as it did before, and the same command
 * can be given again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/rebuild.h"
#include "cli/subcommands.h"
#include "cli/survey.h"

#define TORN_DIRECTORY "torn"
#define COPY_BYTES (64u << 10)

struct repair_options {
    struct common_options common;
    uint64_t cut_at;
    bool yes;
    bool force;
};

/* A segment behind the one that is cut. */
struct later {
    uint64_t first_seq;
    char name[FILE_NAME_BYTES];
};

struct repair {
    const struct repair_options *options;
    struct source source; /* one file */
    struct io *io;        /* its directory */
    const char *name;
    bool in_store; /* a segment that a MANIFEST is responsible for */
    uint64_t first_seq;
    struct manifest manifest;

    bool refused;      /* recovery refuses the store, or cuts it, */
    bool refused_here; /* and the reason lies in this file */

    /* What the survey found. */
    bool has_header;
    bool faulty;
    struct survey_fault fault; /* the first one */
    uint64_t below;            /* the last boundary up to cut_at, */
    uint64_t below_seq;        /* and the last mutation before it */
    uint64_t above;            /* the first one behind it; 0: none */
    uint64_t end;              /* of the whole records */
    uint64_t end_seq;
    uint64_t size;
    uint64_t last_seq; /* the highest that was seen anywhere */
    struct buffer later;

    uint64_t seq;       /* what will be left ends with it */
    bool whole;         /* nothing of the file will be left */
    struct buffer kept; /* names of the copies, each with a NUL */
};

static const char *file_path(const struct repair *repair)
{
    return repair->source.path;
}

static struct later *later_list(const struct repair *repair, size_t *ret_count)
{
    *ret_count = repair->later.size / sizeof(struct later);
    return (struct later *)(void *)repair->later.data;
}

/* --- what is it? -------------------------------------------------------- */

static int lock(struct repair *repair)
{
    int64_t holder = 0;
    int error = io_lock(repair->io, &holder);

    if (error == -EWOULDBLOCK) {
        complain("%s: process %" PRId64 " has the store open; stop it first",
                 file_path(repair), holder);
        return EXIT_LOCKED;
    }
    return error < 0
               ? complain_io(file_path(repair), "cannot lock its store", error)
               : -1;
}

static void list_later(void *context, const char *name)
{
    struct repair *repair = context;
    struct later later = {0, ""};

    if (!segment_name_parse(name, &later.first_seq) ||
        later.first_seq <= repair->first_seq)
        return;
    snprintf(later.name, sizeof(later.name), "%s", name);
    text_bytes(&repair->later, bytes_of(&later, sizeof(later)));
}

static int later_compare(const void *a, const void *b)
{
    const struct later *x = a;
    const struct later *y = b;

    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static int read_manifest(struct repair *repair)
{
    const struct manifest *manifest = &repair->manifest;
    const char *why = "";
    uint64_t offset;
    int error = 0;
    enum status st = manifest_read(repair->io, cli_mem(), &repair->manifest,
                                   &why, &offset, &error);
    struct later *later;
    size_t count;

    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        text_no_memory();
    if (st == ST_LOG_REFUSED) {
        complain("%s: the MANIFEST beside it is damaged, too (%s); make a new "
                 "store with rhizome replay --into",
                 file_path(repair), why);
        return EXIT_REFUSED;
    }
    if (st < 0)
        return complain_io(file_path(repair), "its MANIFEST cannot be read",
                           error);
    if (manifest->has_checkpoint && repair->first_seq <= manifest->checkpoint) {
        complain("%s: the store does not need it: mutations up to %" PRIu64
                 " are in a checkpoint",
                 file_path(repair), manifest->checkpoint);
        return EXIT_USAGE;
    }
    error = io_list(repair->io, list_later, repair);
    if (error < 0)
        return complain_io(file_path(repair), "its directory cannot be read",
                           error);
    later = later_list(repair, &count);
    if (count)
        qsort(later, count, sizeof(*later), later_compare);
    return -1;
}

/* Tells a segment of a store from a file that lies somewhere. */
static int identify(struct repair *repair)
{
    uint64_t seq;
    int fd;

    repair->io = repair->source.files[0].io;
    repair->name = repair->source.files[0].name;
    if (checkpoint_name_parse(repair->name, &seq) ||
        strcmp(repair->name, MANIFEST_NAME) == 0) {
        complain("%s: cannot be cut, for it only counts as a whole; restore a "
                 "backup",
                 file_path(repair));
        return EXIT_USAGE;
    }
    fd = io_open(repair->io, MANIFEST_NAME, IO_READ);
    if (fd >= 0)
        io_close(repair->io, fd);
    repair->in_store =
        fd >= 0 && segment_name_parse(repair->name, &repair->first_seq);
    if (!repair->in_store)
        return -1;
    /* Recovery and this must agree on what the files are. */
    return lock(repair);
}

/* Cutting here is of no use while something before it is wrong. */
static int check_before(struct repair *repair)
{
    const struct recovery_options options = {.until = UINT64_MAX};
    struct recovery recovery;
    uint64_t seq = 0;
    int error = 0;
    int status = -1;
    enum status st = recover_directory(repair->io, NULL, &options, cli_mem(),
                                       &recovery, &error);
    bool segment = segment_name_parse(recovery.file, &seq);

    if (st == ST_IO) {
        status = complain_io(recovery.file, "cannot be read", error);
    } else if (st < 0) {
        text_no_memory();
    } else if (recovery.verdict != RECOVERY_OK && !segment) {
        complain("%s: cutting it is of no use: %s: %s; restore a backup",
                 file_path(repair), recovery.file, recovery.why);
        status = EXIT_REFUSED;
    } else if (recovery.verdict != RECOVERY_OK && seq < repair->first_seq) {
        struct buffer directory = BUFFER(cli_mem());

        text_path(&directory, repair->source.names[0]);
        complain("%s: cutting it is of no use: the first fault is in %s at "
                 "offset %" PRIu64 "; see `rhizome check %s`",
                 file_path(repair), recovery.file, recovery.offset,
                 text_string(&directory));
        buffer_free(&directory);
        status = EXIT_USAGE;
    }
    repair->refused = recovery.verdict != RECOVERY_OK;
    repair->refused_here = repair->refused && seq == repair->first_seq;
    recovery_free(&recovery);
    return status;
}

/* --- where records end -------------------------------------------------- */

static void note_boundary(struct repair *repair, uint64_t offset, uint64_t seq)
{
    if (offset <= repair->options->cut_at) {
        repair->below = offset;
        repair->below_seq = seq;
    } else if (!repair->above) {
        repair->above = offset;
    }
    repair->end = offset;
    repair->end_seq = seq;
}

static void see_record(void *context, const struct record *record)
{
    struct repair *repair = context;

    if (!repair->faulty)
        note_boundary(
            repair, record->offset + RECORD_HEADER_BYTES + record->payload.size,
            record->seq);
}

static void see_fault(void *context, const struct survey_fault *fault)
{
    struct repair *repair = context;

    if (!repair->faulty)
        repair->fault = *fault;
    repair->faulty = true;
}

static int open_failed(const struct repair *repair, const char *name,
                       enum status st, int error)
{
    if (st != ST_IO)
        text_no_memory();
    complain("%s: %s cannot be read: %s", file_path(repair), name,
             strerror(error));
    return EXIT_IO;
}

/* Where the records begin: the survey tells where they end. */
static int read_header(struct repair *repair)
{
    const struct file_header *header;
    struct log_reader *reader;
    int error = 0;
    int status = -1;
    enum status st =
        log_reader_open(repair->io, repair->name, cli_mem(), &reader, &error);

    if (st < 0)
        return open_failed(repair, repair->name, st, error);
    repair->size = log_reader_size(reader);
    header = log_reader_header(reader);
    repair->has_header = header;
    if (header && header->kind != FILE_LOG) {
        complain("%s: is no segment of a log, and only counts as a whole; "
                 "restore a backup",
                 file_path(repair));
        status = EXIT_USAGE;
    } else if (!header && !repair->in_store) {
        complain("%s: is no term log, or its header is damaged: nothing in it "
                 "can be read",
                 file_path(repair));
        status = EXIT_NOT_A_LOG;
    } else if (header) {
        repair->first_seq = header->first_seq;
        note_boundary(repair, FILE_HEADER_BYTES, header->first_seq - 1);
    }
    log_reader_close(reader);
    return status;
}

static int survey_all(struct repair *repair)
{
    struct survey survey = {.watch = {see_fault, see_record, repair}};
    const struct later *later;
    size_t count;
    int error = 0;
    int status = read_header(repair);
    enum status st;

    if (status >= 0)
        return status;
    if (repair->in_store) {
        survey.has_store = true;
        memcpy(survey.store_id, repair->manifest.store_id, STORE_ID_BYTES);
    }
    st = survey_file(&survey, repair->io, repair->name, NULL, &error);
    if (st < 0)
        return open_failed(repair, repair->name, st, error);
    survey.watch.fault = NULL;
    survey.watch.record = NULL;
    later = later_list(repair, &count);
    for (size_t i = 0; i < count; i++) {
        st = survey_file(&survey, repair->io, later[i].name, NULL, &error);
        if (st < 0)
            return open_failed(repair, later[i].name, st, error);
    }
    repair->last_seq = survey.last_seq;
    if (repair->manifest.durable > repair->last_seq)
        repair->last_seq = repair->manifest.durable;
    return -1;
}

/* --- is it the right place? --------------------------------------------- */

/* The other places are in the message, for they are not easy to guess. */
static int check_place(struct repair *repair)
{
    uint64_t cut_at = repair->options->cut_at;
    const char *path = file_path(repair);

    if (cut_at == 0 && repair->in_store) {
        repair->whole = true;
        repair->seq = repair->first_seq - 1;
        return -1;
    }
    if (!repair->has_header) {
        complain("%s: its header is damaged, so all of it is lost; "
                 "--cut-at 0 sets it aside",
                 path);
        return EXIT_USAGE;
    }
    if (cut_at < FILE_HEADER_BYTES) {
        complain("%s: the first record begins at %u; cut there, or later", path,
                 FILE_HEADER_BYTES);
        return EXIT_USAGE;
    }
    if (cut_at > repair->end) {
        complain("%s: %s %" PRIu64 ", behind mutation %" PRIu64
                 "; use --cut-at %" PRIu64 " or less",
                 path,
                 repair->faulty ? "the first fault is at"
                                : "the records end at",
                 repair->end, repair->end_seq, repair->end);
        return EXIT_USAGE;
    }
    if (cut_at != repair->below) {
        complain("%s: offset %" PRIu64 " lies within a record, from %" PRIu64
                 " (behind mutation %" PRIu64 ") to %" PRIu64
                 "; cut at one of them",
                 path, cut_at, repair->below, repair->below_seq, repair->above);
        return EXIT_USAGE;
    }
    repair->seq = repair->below_seq;
    repair->whole = repair->in_store && repair->seq < repair->first_seq;
    return -1;
}

/* Is there anything behind the place but zeros? */
static bool nothing_behind(const struct repair *repair)
{
    return !repair->faulty && !repair->refused &&
           repair->options->cut_at == repair->end && !repair->later.size &&
           repair->last_seq <= repair->seq;
}

/* A fault in the file, or right behind the place where it is cut. */
static bool has_reason(const struct repair *repair)
{
    return repair->faulty || repair->refused_here ||
           (repair->refused && !repair->whole &&
            repair->options->cut_at == repair->end);
}

static void put_loss(const struct repair *repair, struct buffer *out)
{
    size_t later;

    later_list(repair, &later);
    if (!has_reason(repair))
        text_append(out, "no fault was found in it, or before it; ");
    if (repair->last_seq == repair->seq + 1)
        text_format(out, "mutation %" PRIu64 " is", repair->last_seq);
    else if (repair->last_seq > repair->seq)
        text_format(out, "mutations %" PRIu64 " to %" PRIu64 " are",
                    repair->seq + 1, repair->last_seq);
    else
        text_append(out, "no mutation that can be read is");
    text_format(out, " given up with %" PRIu64 " bytes",
                repair->size - (repair->whole ? 0 : repair->options->cut_at));
    if (later)
        text_format(out, " and %zu later segment%s", later,
                    later > 1 ? "s" : "");
    text_format(out, "; a copy is kept %s",
                repair->in_store ? "in " TORN_DIRECTORY "/" : "as FILE.bak");
}

/* No copy is written over. */
static int check_backup(const struct repair *repair)
{
    struct buffer name = BUFFER(cli_mem());
    int fd;

    text_format(&name, "%s.bak", repair->name);
    fd = io_open(repair->io, text_string(&name), IO_READ);
    buffer_free(&name);
    if (fd >= 0)
        io_close(repair->io, fd);
    if (fd == -ENOENT)
        return -1;
    complain("%s.bak: is there already; move it away first", file_path(repair));
    return EXIT_USAGE;
}

/* -1 if it is agreed to. */
static int ask(const struct repair *repair)
{
    struct buffer loss = BUFFER(cli_mem());
    char answer[16];
    int status = -1;

    put_loss(repair, &loss);
    if (!has_reason(repair) && !repair->options->force) {
        complain("%s: %s; --force says that this is meant", file_path(repair),
                 text_string(&loss));
        status = EXIT_USAGE;
    } else if (repair->options->yes) {
        note("%s: %s", file_path(repair), text_string(&loss));
    } else if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        complain("%s: %s; --yes says that this is meant, for there is nobody "
                 "to ask",
                 file_path(repair), text_string(&loss));
        status = EXIT_USAGE;
    } else {
        dprintf(STDERR_FILENO, "%s: %s.\nCut it? [y/N] ", file_path(repair),
                text_string(&loss));
        if (!fgets(answer, sizeof(answer), stdin) ||
            (answer[0] != 'y' && answer[0] != 'Y')) {
            complain("%s: nothing was changed", file_path(repair));
            status = EXIT_USAGE;
        }
    }
    buffer_free(&loss);
    return status;
}

/* --- doing it ----------------------------------------------------------- */

static int step_failed(const struct repair *repair, const char *what, int error)
{
    return complain_io(file_path(repair), what, error);
}

/* Copies what is in `from` to `to`, and syncs it. */
static int copy_file(struct io *io, int from, int to)
{
    uint8_t *data = malloc(COPY_BYTES);
    uint64_t at = 0;
    int error = 0;

    if (!data)
        text_no_memory();
    for (;;) {
        ssize_t done = io_pread(io, from, data, COPY_BYTES, at);

        if (done <= 0)
            error = (int)done;
        if (done <= 0)
            break;
        error = io_write_all(io, to, data, (size_t)done, at);
        if (error < 0)
            break;
        at += (uint64_t)done;
    }
    free(data);
    return error < 0 ? error : io_sync(io, to);
}

/* Makes a name for the whole of a file that is free in torn/, as recovery
 * does; the descriptor, or -errno. */
static int create_torn(const struct repair *repair, const char *file,
                       char name[FILE_NAME_BYTES])
{
    int fd = -EEXIST;

    for (unsigned n = 1; fd == -EEXIST && n < 1000; n++) {
        snprintf(name, FILE_NAME_BYTES, TORN_DIRECTORY "/%.40s.0.%u", file, n);
        fd = io_open(repair->io, name, IO_CREATE);
    }
    return fd;
}

static void note_kept(struct repair *repair, const char *name)
{
    text_bytes(&repair->kept, bytes_of(name, strlen(name) + 1));
}

/* A whole segment into torn/: its name changes, or it is copied. */
static int set_aside(struct repair *repair, const char *file, bool move)
{
    char name[FILE_NAME_BYTES];
    int error = 0;
    int to = create_torn(repair, file, name);

    if (to < 0)
        return to;
    if (move) {
        error = io_rename(repair->io, file, name);
    } else {
        int from = io_open(repair->io, file, IO_READ);

        error = from < 0 ? from : copy_file(repair->io, from, to);
        if (from >= 0)
            io_close(repair->io, from);
    }
    io_close(repair->io, to);
    if (error < 0)
        io_unlink(repair->io, name);
    else
        note_kept(repair, name);
    return error;
}

static int cut_file(struct repair *repair)
{
    int fd = io_open(repair->io, repair->name, IO_WRITE);
    int error =
        fd < 0 ? fd : io_truncate(repair->io, fd, repair->options->cut_at);

    if (error >= 0)
        error = io_sync(repair->io, fd);
    if (fd >= 0)
        io_close(repair->io, fd);
    return error;
}

/* MANIFEST as of what is left: that is all there is, and it is durable. */
static int write_manifest(struct repair *repair)
{
    struct manifest next = repair->manifest;
    int error;

    next.segments = NULL;
    next.segment_count = 0;
    next.durable = repair->seq;
    for (uint32_t i = 0; i < repair->manifest.segment_count; i++) {
        if (repair->manifest.segments[i] < repair->first_seq &&
            manifest_add_segment(&next, cli_mem(),
                                 repair->manifest.segments[i]) < 0)
            text_no_memory();
    }
    if (!repair->whole &&
        manifest_add_segment(&next, cli_mem(), repair->first_seq) < 0)
        text_no_memory();
    error = manifest_write(repair->io, &next);
    manifest_free(&next, cli_mem());
    return error;
}

static int sync_names(struct repair *repair)
{
    int error = io_sync_directory(repair->io, TORN_DIRECTORY);

    return error < 0 ? error : io_sync_directory(repair->io, NULL);
}

static int repair_store(struct repair *repair)
{
    const struct later *later;
    size_t count;
    int error = io_make_directory(repair->io, TORN_DIRECTORY);

    if (error == 0 && !repair->whole)
        error = set_aside(repair, repair->name, false);
    if (error == 0)
        error = sync_names(repair);
    if (error < 0)
        return step_failed(repair,
                           "nothing was changed, for it cannot be "
                           "saved in " TORN_DIRECTORY "/",
                           error);
    later = later_list(repair, &count);
    for (size_t i = 0; error == 0 && i < count; i++)
        error = set_aside(repair, later[i].name, true);
    if (error == 0 && repair->whole)
        error = set_aside(repair, repair->name, true);
    if (error == 0)
        error = sync_names(repair);
    if (error < 0)
        return step_failed(repair, "a segment cannot be set aside", error);
    error = repair->whole ? 0 : cut_file(repair);
    if (error < 0)
        return step_failed(repair,
                           "cannot be cut (it is saved in " TORN_DIRECTORY "/)",
                           error);
    error = write_manifest(repair);
    if (error < 0)
        return step_failed(repair,
                           "MANIFEST cannot be written; give the "
                           "command again",
                           error);
    return -1;
}

/* A file that no MANIFEST knows: a copy beside it. */
static int repair_file(struct repair *repair)
{
    struct buffer name = BUFFER(cli_mem());
    const char *backup;
    int from, to, error;

    text_format(&name, "%s.bak", repair->name);
    backup = text_string(&name);
    to = io_open(repair->io, backup, IO_CREATE);
    from = to < 0 ? to : io_open(repair->io, repair->name, IO_READ);
    error = from < 0 ? from : copy_file(repair->io, from, to);
    if (from >= 0)
        io_close(repair->io, from);
    if (to >= 0)
        io_close(repair->io, to);
    if (error == 0)
        error = io_sync_directory(repair->io, NULL);
    if (error == 0)
        note_kept(repair, backup);
    else if (to >= 0)
        io_unlink(repair->io, backup);
    buffer_free(&name);
    if (error < 0)
        return step_failed(repair,
                           "nothing was changed, for it cannot be "
                           "saved as FILE.bak",
                           error);
    error = cut_file(repair);
    return error < 0 ? step_failed(repair,
                                   "cannot be cut (it is saved as "
                                   "FILE.bak)",
                                   error)
                     : -1;
}

/* --- afterwards --------------------------------------------------------- */

/* What recovery says now: it must be content. */
static int check_after(const struct repair *repair)
{
    const struct recovery_options options = {.until = UINT64_MAX};
    struct recovery recovery;
    int status = -1;
    int error = 0;
    enum status st =
        repair->in_store
            ? recover_directory(repair->io, NULL, &options, cli_mem(),
                                &recovery, &error)
            : recover_files(repair->source.files, 1, NULL, &options, cli_mem(),
                            &recovery, &error);

    if (st == ST_IO) {
        status = complain_io(file_path(repair), "cannot be read back", error);
    } else if (st < 0) {
        text_no_memory();
    } else if (recovery.verdict != RECOVERY_OK) {
        complain("%s: it was cut, and recovery still says of %s: %s",
                 file_path(repair), recovery.file, recovery.why);
        status = EXIT_DAMAGED;
    }
    recovery_free(&recovery);
    return status;
}

static void put_facts(struct repair *repair, bool cut)
{
    static const char *const columns[] = {"file", NULL};
    const char *name = (const char *)repair->kept.data;
    const char *end = name + repair->kept.size;
    struct facts facts;
    struct rows rows;

    facts_begin(&facts);
    facts_text(&facts, "file", file_path(repair));
    facts_bool(&facts, "cut", cut);
    facts_u64(&facts, "cut_at", repair->whole ? 0 : repair->options->cut_at);
    facts_u64(&facts, "seq", repair->seq);
    if (repair->last_seq > repair->seq) {
        facts_u64(&facts, "lost_from", repair->seq + 1);
        facts_u64(&facts, "lost_to", repair->last_seq);
    } else {
        facts_none(&facts, "lost_from");
        facts_none(&facts, "lost_to");
    }
    rows_begin(&rows, columns);
    for (; name < end; name += strlen(name) + 1)
        rows_text(&rows, name);
    facts_rows(&facts, "saved", &rows);
    facts_end(&facts);
}

/* --- the subcommand ----------------------------------------------------- */

static int repair_all(struct repair *repair)
{
    int status = identify(repair);

    if (status < 0 && repair->in_store)
        status = read_manifest(repair);
    if (status < 0 && repair->in_store)
        status = check_before(repair);
    if (status < 0)
        status = survey_all(repair);
    if (status < 0)
        status = check_place(repair);
    if (status >= 0)
        return status;
    if (nothing_behind(repair)) {
        note("%s: nothing stands behind %" PRIu64 "; nothing was changed",
             file_path(repair), repair->options->cut_at);
        put_facts(repair, false);
        return EXIT_STOPPED;
    }
    status = repair->in_store ? -1 : check_backup(repair);
    if (status < 0)
        status = ask(repair);
    if (status < 0)
        status = repair->in_store ? repair_store(repair) : repair_file(repair);
    if (status < 0)
        status = check_after(repair);
    if (status >= 0)
        return status;
    put_facts(repair, true);
    return EXIT_STOPPED;
}

static const struct option_row rows[] = {
    {"cut-at", 'c', OPTION_COUNT, offsetof(struct repair_options, cut_at),
     "OFFSET",
     "where a record ends, at or before the first fault, as\n"
     "`rhizome check` says; 0 gives up the whole segment"},
    {"yes", 'y', OPTION_FLAG, offsetof(struct repair_options, yes), NULL,
     "do not ask; needed if stdin is no terminal"},
    {"force", 0, OPTION_FLAG, offsetof(struct repair_options, force), NULL,
     "cut although no fault was found in FILE, or before it"},
    {NULL, 0, 0, 0, NULL, NULL},
};

static int run(int argc, char **argv)
{
    struct repair_options options = {.cut_at = UINT64_MAX};
    struct repair repair = {.options = &options};
    struct operands paths;
    int status =
        options_parse(&subcommand_repair, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    if (options.cut_at == UINT64_MAX)
        return wrong_usage(&subcommand_repair,
                           "--cut-at OFFSET is missing: `rhizome check` says "
                           "where");
    repair.later = BUFFER(cli_mem());
    repair.kept = BUFFER(cli_mem());
    status =
        source_open(&subcommand_repair, &paths, SOURCE_ANY, &repair.source);
    if (status < 0 && repair.source.kind == SOURCE_DIRECTORY)
        status = wrong_usage(&subcommand_repair,
                             "%s: name the segment to cut, not its directory",
                             repair.source.path);
    if (status < 0)
        status = repair_all(&repair);
    manifest_free(&repair.manifest, cli_mem());
    buffer_free(&repair.later);
    buffer_free(&repair.kept);
    source_close(&repair.source); /* and lets go of the lock */
    return output_status(status);
}

const struct subcommand subcommand_repair = {
    .name = "repair",
    .summary = "cut a damaged segment, so that the rest is a store again",
    .run = run,
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .text =
        "Gives up everything from OFFSET on: the rest of the segment FILE, "
        "and all later\nsegments of its store. Says which mutations that are, "
        "and asks first. What is\ngiven up is kept: the file and later "
        "segments in torn/ of the store, or, of a\nfile without a MANIFEST "
        "beside it, as FILE.bak. If a backup exists, restore\nthat instead; "
        "to leave the store as it is, see `rhizome replay --until --into`.\n"
        "What no fault was found in is only cut with --force.\n"
        "\n"
        "A client that was told of lost mutations will notice, and must start "
        "anew.\n"
        "\n"
        "exit status: 0, 1 recovery still refuses it, 64 usage (or the wrong "
        "OFFSET: the\nmessage has the right one), 65 not a log, 74 reading "
        "or writing failed,\n75 a process has the store open, 78 cutting "
        "cannot help\n",
    .examples = "  rhizome repair data/log-0000000000000001.tlg --cut-at "
                "81234\n"
                "  rhizome repair copy.tlg --cut-at 81234 --yes\n",
    .rows = rows,
};
