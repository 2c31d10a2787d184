/*
 * log.c -- `rhizome log`: the records of a term log as lines of text.
 *
 * Files are read in the order of their seqs, each through a log_reader, which
 * checks every byte before it gives one out. Nothing is applied. What is no
 * record ends the listing: a torn tail if nothing behind it proves that
 * something durable is missing (a note, status 0), and damage otherwise (one
 * line, status 1). recover.h has the full rules; the ones here are those that
 * a single walk can see.
 *
 * Following reads on where the last record ended, ten times a second. A
 * record that is being written while we look may be half there; so with
 * --follow bytes that are no record count as not yet written, until a later
 * segment shows that nothing more will come.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/source.h"
#include "cli/subcommands.h"
#include "cli/table_name.h"
#include "cli/term.h"
#include "core/etf.h"
#include "log/reader.h"
#include "log/walk.h"

#define POLL_NS 100000000
#define REOPEN_EVERY 10 /* polls without anything new */

struct log_options {
    struct common_options common;
    uint64_t from;
    uint64_t to;
    const char *table;
    unsigned type; /* index into types, or TYPE_DEFAULT */
    bool all;
    bool follow;
};

#define TYPE_DEFAULT UINT32_MAX

/* In the order of the words of --type. */
static const struct {
    enum record_type type;
    const char *name;
} types[] = {
    {RECORD_MUTATION, "mutation"},   {RECORD_MARK, "mark"},
    {RECORD_CLOSE, "close"},         {RECORD_DIGEST, "digest"},
    {RECORD_ROLL, "roll"},           {RECORD_CHECKPOINT, "checkpoint"},
    {RECORD_TABLE, "table"},         {RECORD_ELEMENTS, "elements"},
    {RECORD_TABLE_END, "table_end"}, {RECORD_CHECKPOINT_END, "checkpoint_end"},
    {RECORD_MANIFEST, "manifest"},
};

static const struct option_row rows[] = {
    {"from", 0, OPTION_COUNT, offsetof(struct log_options, from), "SEQ",
     "begin with this mutation"},
    {"to", 0, OPTION_COUNT, offsetof(struct log_options, to), "SEQ",
     "end behind this mutation"},
    {"table", 't', OPTION_TEXT, offsetof(struct log_options, table), "NAME",
     "only what names this table: an Erlang term, such\n"
     "as people, 'my table', <<\"people\">> or {user, 1};\n"
     "looks into batches, too"},
    {"type", 0, OPTION_CHOICE, offsetof(struct log_options, type),
     "mutation|mark|close|digest|roll|checkpoint|table|elements|table_end|"
     "checkpoint_end|manifest",
     "only records of this type (default: mutations, and\n"
     "all of a checkpoint or a MANIFEST)"},
    {"all", 'a', OPTION_FLAG, offsetof(struct log_options, all), NULL,
     "records of all types"},
    {"follow", 'f', OPTION_FLAG, offsetof(struct log_options, follow), NULL,
     "show new records as they are written, until\n"
     "interrupted; with --from, what is there as well"},
    {NULL, 0, 0, 0, NULL, NULL},
};

/* A listing under way. */
struct listing {
    const struct log_options *options;
    struct source source;
    struct manifest manifest; /* of a directory */
    struct table_name table;  /* that is asked for */
    bool table_seen;
    struct buffer line;
    struct buffer text;

    struct io *io;
    char file[FILE_NAME_BYTES]; /* the current one */
    struct log_reader *reader;
    uint64_t first_seq; /* of the current segment, by its name */
    uint64_t seq;       /* of the last mutation */
    bool seq_known;
    bool closed; /* the last record was an orderly end */
    bool done;   /* behind --to */
    bool silent; /* --follow without --from: only what is new is shown */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- what to show -------------------------------------------------------- */

static bool names_table(struct listing *listing, struct walk op)
{
    struct walk name;
    struct walk first;
    uint32_t count;

    if (op.at[0] == ETF_SMALL_TUPLE && op.at[1] >= 2)
        op.at += 2;
    else if (op.at[0] == ETF_LARGE_TUPLE && load_be32(op.at + 1) >= 2)
        op.at += 5;
    else
        return false;
    first = op;
    if (walk_atom(&first, "batch") && walk_list(&first, &count)) {
        while (count--) {
            if (names_table(listing, first))
                return true;
            walk_term(&first);
        }
        return false;
    }
    name = op;
    walk_term(&name);
    if (walk_atom(&op, "with")) {
        walk_term(&op); /* its options */
        return names_table(listing, op);
    }
    return table_name_is(&listing->table, name.at);
}

static const char *type_name(uint8_t type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].type == type)
            return types[i].name;
    }
    return "unknown";
}

static bool is_wanted(struct listing *listing, const struct record *record)
{
    const struct log_options *options = listing->options;

    if (record->seq < options->from || record->seq > options->to)
        return false;
    if (options->type != TYPE_DEFAULT) {
        if (types[options->type].type != record->type)
            return false;
    } else if (!options->all && record->type != RECORD_MUTATION &&
               record->type < RECORD_CHECKPOINT) {
        return false;
    }
    if (!options->table)
        return true;
    if (!names_table(listing, (struct walk){record->payload.data + 1}))
        return false;
    listing->table_seen = true;
    return true;
}

/* A mark holds nothing but what its header says. */
static void put_op(struct listing *listing, const struct record *record)
{
    listing->text.size = 0;
    if (record->type == RECORD_MARK)
        text_format(&listing->text, "{mark,%" PRIu64 "}", record->durable);
    else
        term_text(&listing->text, record->payload.data + 1, NULL);
}

static void put_json(struct listing *listing, const struct record *record)
{
    struct json json;

    json_begin(&json, &listing->line);
    json_open(&json, '{');
    json_key(&json, "seq");
    json_u64(&json, record->seq);
    json_key(&json, "type");
    json_text(&json, type_name(record->type));
    json_key(&json, "file");
    json_text(&json, listing->file);
    json_key(&json, "offset");
    json_u64(&json, record->offset);
    json_key(&json, "durable");
    json_u64(&json, record->durable);
    json_key(&json, "op");
    json_bytes(&json, buffer_bytes(&listing->text));
    json_key(&json, "term");
    listing->text.size = 0;
    term_json(&listing->text, record->payload.data + 1);
    json_raw(&json, buffer_bytes(&listing->text));
    json_close(&json, '}');
}

static void show(struct listing *listing, const struct record *record)
{
    listing->line.size = 0;
    put_op(listing, record);
    if (listing->options->common.json) {
        put_json(listing, record);
    } else {
        text_u64(&listing->line, record->seq);
        text_byte(&listing->line, '\t');
        text_bytes(&listing->line, buffer_bytes(&listing->text));
    }
    text_byte(&listing->line, '\n');
    output_bytes(buffer_bytes(&listing->line));
}

/* Mutations that cannot be listed any more. */
static void show_gap(struct listing *listing, uint64_t from, uint64_t to)
{
    struct json json;

    listing->line.size = 0;
    json_begin(&json, &listing->line);
    json_open(&json, '{');
    json_key(&json, "type");
    json_text(&json, "gap");
    json_key(&json, "missing_from");
    json_u64(&json, from);
    json_key(&json, "missing_to");
    json_u64(&json, to);
    json_close(&json, '}');
    text_byte(&listing->line, '\n');
    output_bytes(buffer_bytes(&listing->line));
}

/* --- what is wrong ------------------------------------------------------- */

static const char *file_name(const struct listing *listing)
{
    return source_name(&listing->source, listing->file);
}

static int damaged(const struct listing *listing, uint64_t offset,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int damaged(const struct listing *listing, uint64_t offset,
                   const char *format, ...)
{
    struct buffer what = BUFFER(cli_mem());
    va_list arguments;
    char text[256];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    output_flush();
    text_append(&what, file_name(listing));
    complain("%s: offset %" PRIu64 ": %s; %s", text_string(&what), offset, text,
             source_advice(&listing->source));
    buffer_free(&what);
    return EXIT_DAMAGED;
}

static int reader_failed(const struct listing *listing)
{
    int error = 0;
    enum status st = log_reader_status(listing->reader, &error);

    return source_complain(&listing->source, listing->file, st, error);
}

/*
 * The file goes on with bytes that are no record. Records behind them that
 * were written when more than we have read was durable prove damage; so does
 * a header that is wrong where the directory says that it was synced.
 */
static int judge(struct listing *listing, bool later_segment)
{
    uint64_t offset = log_reader_offset(listing->reader);
    const char *fault = format_fault_text(log_reader_fault(listing->reader));
    uint64_t size = log_reader_size(listing->reader);
    struct record record;

    if (!log_reader_header(listing->reader) || later_segment)
        return damaged(listing, offset, "%s", fault);
    if (listing->manifest.durable > listing->seq && !listing->done)
        return damaged(listing, offset,
                       "%s, and mutations up to %" PRIu64 " were durable",
                       fault, listing->manifest.durable);
    while (log_reader_resync(listing->reader, &record) == LOG_RECORD) {
        if (record.durable > listing->seq)
            return damaged(listing, offset,
                           "%s, and the record at %" PRIu64
                           " proves that mutations up to %" PRIu64
                           " were durable",
                           fault, record.offset, record.durable);
    }
    note("%s: offset %" PRIu64 ": a torn tail of %" PRIu64
         " bytes: %s; the list ends here",
         file_name(listing), offset,
         source_torn_bytes(listing->io, listing->file, offset, size), fault);
    return -1;
}

/* Order among the records of a log. A file that somebody named may begin
 * anywhere; from there on no seq may be missing. */
static int check_order(struct listing *listing, const struct record *record)
{
    if (listing->closed)
        return damaged(listing, record->offset,
                       "a record stands behind the orderly end of the log");
    if (record->type == RECORD_MUTATION) {
        if (listing->seq_known && record->seq != listing->seq + 1)
            return damaged(listing, record->offset,
                           "mutation %" PRIu64 " was expected here, and this "
                           "is %" PRIu64,
                           listing->seq + 1, record->seq);
        listing->seq = record->seq;
        listing->seq_known = true;
    }
    listing->closed = record->type == RECORD_CLOSE;
    return -1;
}

/* --- reading ------------------------------------------------------------- */

static int take_record(struct listing *listing, const struct record *record)
{
    const struct file_header *header = log_reader_header(listing->reader);
    size_t size;
    int status = -1;

    if (header && header->kind == FILE_LOG)
        status = check_order(listing, record);
    if (status >= 0)
        return status;
    if (etf_validate(
            bytes_of(record->payload.data + 1, record->payload.size - 1), &size,
            NULL) < 0 ||
        size != record->payload.size - 1)
        return damaged(listing, record->offset,
                       "the payload is no valid external term");
    if (record->seq > listing->options->to) {
        listing->done = true;
        return -1;
    }
    if (!listing->silent && is_wanted(listing, record))
        show(listing, record);
    return -1;
}

/* Reads what there is of the current file. `*ret` is LOG_END or LOG_BAD;
 * `*ret_any` tells whether something came. */
static int read_on(struct listing *listing, enum log_read *ret, bool *ret_any)
{
    struct record record;
    int status = -1;

    *ret_any = false;
    *ret = LOG_END;
    while (status < 0 && !listing->done && !output_broken() && !interrupted) {
        *ret = log_reader_next(listing->reader, &record);
        if (*ret == LOG_FAILED)
            return reader_failed(listing);
        if (*ret != LOG_RECORD)
            return -1;
        *ret_any = true;
        status = take_record(listing, &record);
    }
    *ret = LOG_END;
    return status;
}

static void close_file(struct listing *listing)
{
    if (listing->reader)
        log_reader_close(listing->reader);
    listing->reader = NULL;
}

/* -1, or an exit status; `*ret_missing` (may be NULL: then it is an error)
 * tells that there is no such file. */
static int open_file(struct listing *listing, struct io *io, const char *name,
                     bool *ret_missing)
{
    int error = 0;
    enum status st;

    close_file(listing);
    listing->io = io;
    snprintf(listing->file, sizeof(listing->file), "%s", name);
    st = log_reader_open(io, name, cli_mem(), &listing->reader, &error);
    if (ret_missing)
        *ret_missing = st == ST_IO && error == ENOENT;
    if (st == ST_IO && error == ENOENT && ret_missing)
        return -1;
    if (st < 0) {
        listing->reader = NULL;
        return source_complain(&listing->source, name, st, error);
    }
    if (listing->source.kind == SOURCE_DIRECTORY)
        log_reader_set_store(listing->reader, listing->manifest.store_id);
    return -1;
}

/* --- files that were named ----------------------------------------------- */

static int list_files(struct listing *listing)
{
    int status = -1;

    for (size_t i = 0; status < 0 && i < listing->source.count; i++) {
        const struct log_source *file = &listing->source.files[i];
        enum log_read read;
        bool any;

        listing->seq_known = false;
        listing->closed = false;
        status = open_file(listing, file->io, file->name, NULL);
        if (status < 0)
            status = read_on(listing, &read, &any);
        if (status < 0 && read == LOG_BAD)
            status = judge(listing, false);
    }
    return status;
}

/* --- a directory --------------------------------------------------------- */

static int read_manifest(struct listing *listing)
{
    struct manifest manifest;
    const char *why = "";
    uint64_t offset = 0;
    int error = 0;
    enum status st = manifest_read(listing->source.io, cli_mem(), &manifest,
                                   &why, &offset, &error);

    snprintf(listing->file, sizeof(listing->file), "%s", MANIFEST_NAME);
    if (st == ST_LOG_REFUSED)
        return damaged(listing, offset, "%s", why);
    if (st < 0)
        return source_complain(&listing->source, MANIFEST_NAME, st, error);
    manifest_free(&listing->manifest, cli_mem());
    listing->manifest = manifest;
    return -1;
}

struct search {
    uint64_t above;
    uint64_t found; /* the smallest above it; UINT64_MAX: none */
};

static void look_at_name(void *context, const char *name)
{
    struct search *search = context;
    uint64_t first_seq;

    if (segment_name_parse(name, &first_seq) && first_seq > search->above &&
        first_seq < search->found)
        search->found = first_seq;
}

/* The first segment behind `above`, listed or not; UINT64_MAX if none. */
static uint64_t next_segment(struct listing *listing, uint64_t above)
{
    struct search search = {above, UINT64_MAX};
    const struct manifest *manifest = &listing->manifest;

    (void)io_list(listing->source.io, look_at_name, &search);
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        if (manifest->segments[i] > above &&
            manifest->segments[i] < search.found)
            search.found = manifest->segments[i];
    }
    return search.found;
}

static bool is_listed(const struct listing *listing, uint64_t first_seq)
{
    for (uint32_t i = 0; i < listing->manifest.segment_count; i++) {
        if (listing->manifest.segments[i] == first_seq)
            return true;
    }
    return false;
}

/*
 * Mutations are missing before a segment. They may be in a checkpoint that was
 * made since the MANIFEST was read, and their files gone with it.
 */
static int judge_gap(struct listing *listing, const char *name,
                     uint64_t first_seq)
{
    uint64_t expected = listing->seq + 1;
    int status = read_manifest(listing);

    snprintf(listing->file, sizeof(listing->file), "%s", name);
    if (status >= 0)
        return status;
    if (first_seq < expected || listing->manifest.checkpoint < first_seq - 1)
        return damaged(listing, 0,
                       "it begins with mutation %" PRIu64 ", and %" PRIu64
                       " was expected",
                       first_seq, expected);
    note("%s: mutations %" PRIu64 " to %" PRIu64
         " went into a checkpoint before they could be listed",
         listing->source.path, expected, first_seq - 1);
    if (listing->options->common.json && !listing->silent &&
        first_seq - 1 >= listing->options->from)
        show_gap(listing, expected, first_seq - 1);
    listing->seq_known = false;
    return -1;
}

/*
 * Opens the segment that begins with `first_seq`. One that has gone since the
 * MANIFEST was read went with a checkpoint; one that is listed is missing.
 */
static int open_segment(struct listing *listing, uint64_t first_seq,
                        bool *ret_gone)
{
    char name[FILE_NAME_BYTES];
    const struct file_header *header;
    bool missing;
    int status;

    segment_name(name, first_seq);
    status = open_file(listing, listing->source.io, name, &missing);
    *ret_gone = missing;
    if (status >= 0)
        return status;
    listing->first_seq = first_seq;
    listing->closed = false;
    if (missing) {
        status = read_manifest(listing);
        snprintf(listing->file, sizeof(listing->file), "%s", name);
        if (status < 0 && is_listed(listing, first_seq))
            return damaged(listing, 0,
                           "the file is missing, and the MANIFEST lists it");
        return status;
    }
    header = log_reader_header(listing->reader);
    if (header && memcmp(header->store_id, listing->manifest.store_id,
                         STORE_ID_BYTES) != 0)
        return damaged(listing, 0, "the file belongs to another store");
    if (header && (header->kind != FILE_LOG || header->first_seq != first_seq))
        return damaged(listing, 0, "the file is not what its name says");
    if (listing->seq_known && first_seq != listing->seq + 1)
        return judge_gap(listing, name, first_seq);
    return -1;
}

/* The segment to start with: the last one that begins at --from or before,
 * or the last one. */
static uint64_t first_segment(struct listing *listing)
{
    const struct manifest *manifest = &listing->manifest;
    uint64_t start = manifest->segment_count ? manifest->segments[0]
                                             : next_segment(listing, 0);
    uint64_t next = start;

    while (next != UINT64_MAX &&
           (listing->silent || next <= listing->options->from)) {
        start = next;
        next = next_segment(listing, next);
    }
    return start;
}

static int list_directory(struct listing *listing)
{
    uint64_t segment = first_segment(listing);
    int status = -1;

    while (status < 0 && segment != UINT64_MAX && !listing->done &&
           !output_broken()) {
        uint64_t next;
        enum log_read read = LOG_END;
        bool gone;
        bool any;

        status = open_segment(listing, segment, &gone);
        if (status < 0 && !gone)
            status = read_on(listing, &read, &any);
        next = next_segment(listing, segment);
        if (status < 0 && read == LOG_BAD) {
            /* Of an unlisted segment not even the header need be there. */
            if (!log_reader_header(listing->reader) &&
                !is_listed(listing, segment) && next == UINT64_MAX) {
                note("%s: a torn header; the list ends here",
                     file_name(listing));
                return -1;
            }
            return judge(listing, next != UINT64_MAX);
        }
        segment = next;
    }
    if (status < 0 && !listing->done && listing->seq_known &&
        !output_broken() && listing->manifest.durable > listing->seq)
        return damaged(listing, log_reader_offset(listing->reader),
                       "the log ends here, and mutations up to %" PRIu64
                       " were durable",
                       listing->manifest.durable);
    return status;
}

/* --- following ----------------------------------------------------------- */

/* False if nobody reads stdout any more. */
static bool wait_a_while(void)
{
    struct pollfd out = {STDOUT_FILENO, 0, 0};
    struct timespec time = {0, POLL_NS};

    output_flush();
    nanosleep(&time, NULL);
    return !output_broken() &&
           !(poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)));
}

/*
 * A daemon that starts again before it has written a mutation begins the same
 * segment anew: another file under the same name, of a later epoch.
 */
static int reopen_if_replaced(struct listing *listing)
{
    const struct file_header *header = log_reader_header(listing->reader);
    uint64_t epoch = header ? header->epoch : 0;
    struct log_reader *other;
    int error;

    if (log_reader_open(listing->io, listing->file, cli_mem(), &other, &error) <
        0)
        return -1;
    header = log_reader_header(other);
    if (!header || header->epoch == epoch) {
        log_reader_close(other);
        return -1;
    }
    close_file(listing);
    listing->reader = other;
    listing->closed = false;
    return -1;
}

static int follow_file(struct listing *listing)
{
    const struct log_source *file = &listing->source.files[0];
    int status = open_file(listing, file->io, file->name, NULL);
    enum log_read read;
    bool any;

    while (status < 0) {
        status = read_on(listing, &read, &any);
        listing->silent = false;
        if (status >= 0 || listing->done || interrupted || !wait_a_while())
            break;
    }
    return status;
}

static int follow_directory(struct listing *listing)
{
    uint64_t segment = first_segment(listing);
    unsigned idle = 0;
    bool gone = true;
    int status = -1;

    while (status < 0 && !interrupted) {
        uint64_t next;
        enum log_read read = LOG_END;
        bool any = false;

        if (gone && segment != UINT64_MAX)
            status = open_segment(listing, segment, &gone);
        if (status >= 0)
            return status;
        /* In this order: when a successor is there, nothing comes behind
         * what is read after that. */
        next = next_segment(listing, segment == UINT64_MAX ? 0 : segment);
        if (!gone)
            status = read_on(listing, &read, &any);
        if (status >= 0 || listing->done || output_broken())
            return status;
        if (any) {
            idle = 0;
            continue;
        }
        if (next != UINT64_MAX && read == LOG_BAD)
            return judge(listing, true);
        if (next != UINT64_MAX) {
            segment = next;
            gone = true;
            continue;
        }
        listing->silent = false; /* what was there has been read */
        if (!wait_a_while())
            return -1;
        if (++idle % REOPEN_EVERY == 0 && !gone)
            status = reopen_if_replaced(listing);
    }
    return status;
}

static void catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupt; /* without SA_RESTART: waits end */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int list(struct listing *listing)
{
    bool directory = listing->source.kind == SOURCE_DIRECTORY;
    int status = directory ? read_manifest(listing) : -1;

    if (status >= 0)
        return status;
    if (listing->options->follow) {
        catch_signals();
        return directory ? follow_directory(listing) : follow_file(listing);
    }
    return directory ? list_directory(listing) : list_files(listing);
}

/* -1, with --table encoded; or an exit status. */
static int check_options(struct listing *listing, const struct operands *paths)
{
    const char *table = listing->options->table;

    if (listing->options->follow && paths->count > 1)
        return wrong_usage(&subcommand_log, "--follow takes one PATH");
    if (table && !table_name_read(&listing->table, table))
        return wrong_usage(&subcommand_log,
                           "--table takes an Erlang term, not `%s`", table);
    return -1;
}

static int run(int argc, char **argv)
{
    struct log_options options = {
        .from = UINT64_MAX, /* not given */
        .to = UINT64_MAX,
        .type = TYPE_DEFAULT,
    };
    struct listing listing = {
        .options = &options,
        .line = BUFFER(cli_mem()),
        .text = BUFFER(cli_mem()),
    };
    struct operands paths;
    int status = options_parse(&subcommand_log, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    listing.silent = options.follow && options.from == UINT64_MAX;
    if (options.from == UINT64_MAX)
        options.from = 0;
    status = check_options(&listing, &paths);
    if (status < 0)
        status =
            source_open(&subcommand_log, &paths, SOURCE_MANY, &listing.source);
    if (status < 0)
        status = list(&listing);
    if (status < 0 && options.table && !options.follow && !listing.table_seen &&
        !output_broken())
        note("%s: nothing in the list names a table `%s`", listing.source.path,
             options.table);
    close_file(&listing);
    manifest_free(&listing.manifest, cli_mem());
    source_close(&listing.source);
    table_name_free(&listing.table);
    buffer_free(&listing.line);
    buffer_free(&listing.text);
    return output_status(status < 0 ? EXIT_STOPPED : status);
}

const struct subcommand subcommand_log = {
    .name = "log",
    .summary = "the records of a term log as Erlang terms, one a line",
    .run = run,
    .operands = "PATH ...",
    .operands_min = 1,
    .operands_max = UINT32_MAX,
    .text =
        "Prints the mutations of a store, as the clients sent them: the seq, a "
        "tab,\nand the operation. PATH is a store's directory (a daemon may be "
        "writing to it),\nor files of one, in the order in which they are "
        "named: segments, checkpoints, a\nMANIFEST. Every byte is checked "
        "first.\n"
        "\n"
        "exit status: 0 (a torn tail ends the list with a note), 1 damage, 64 "
        "usage, 65\nnot a log, 71 no memory, 74 reading or writing failed\n",
    .examples = "  rhizome log data | tail          the last mutations\n"
                "  rhizome log -f -t people data    what happens to one table\n"
                "  rhizome log --from 100 --to 200 --json data | jq .term\n",
    .rows = rows,
};
