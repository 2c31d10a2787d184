/*
 * dump.c -- `rhizome dump`: a store as a file that other programs read.
 *
 *     etf    a checkpoint: everything, exactly; `rhizome replay` reads it
 *     text   {Table, Element}. a line, for file:consult/1; of a graph the
 *            elements are {vertex, ...} and {edge, ...}
 *     json   an object a line
 *     csv    a line an element, one table a file
 *
 * The store is rebuilt in memory first, from its checkpoint and log, as the
 * daemon does at its start. Tables come in the order of their names, elements
 * in that of their keys.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/elements.h"
#include "cli/progress.h"
#include "cli/rebuild.h"
#include "cli/sink.h"
#include "cli/subcommands.h"
#include "cli/table_name.h"
#include "cli/term.h"
#include "core/etf.h"
#include "core/key.h"
#include "core/scan.h"
#include "log/walk.h"

enum dump_format { FORMAT_ETF, FORMAT_JSON, FORMAT_TEXT, FORMAT_CSV };

#define FORMAT_DEFAULT UINT32_MAX /* text, or with --json that */

/* The meter is looked at this often. */
#define REPORT_EVERY 4096

#define FILE_STEM_MAX 160

struct dump_options {
    struct common_options common;
    const char *table;
    unsigned format;
    const char *output;
    uint64_t until;
};

static const struct option_row rows[] = {
    {"format", 'F', OPTION_CHOICE, offsetof(struct dump_options, format),
     "etf|json|text|csv", "see above (default: text, and with --json that)"},
    {"table", 't', OPTION_TEXT, offsetof(struct dump_options, table), "NAME",
     "this table only: an Erlang term"},
    {"output", 'o', OPTION_FILE, offsetof(struct dump_options, output), "FILE",
     "write to FILE, which appears when it is complete;\n"
     "of csv also a directory, for a file per table,\n"
     "which is made if the name ends in /"},
    {"until", 'u', OPTION_COUNT, offsetof(struct dump_options, until), "SEQ",
     "the store as it was behind this mutation"},
    {NULL, 0, 0, 0, NULL, NULL},
};

struct dump {
    const struct dump_options *options;
    struct source source;
    struct rebuild rebuild;
    struct sink sink;
    struct meter meter;
    uint64_t done;
    uint64_t total;
    uint64_t opaque; /* elements whose text Erlang cannot read */

    const struct table *table;
    struct buffer name; /* the table's, as a term */
    struct buffer head; /* and as text */
    struct buffer first;
    struct buffer second;
    struct buffer line;
    struct buffer cell;
};

/* --- one element --------------------------------------------------------- */

static void decode(struct bytes key, struct buffer *ret)
{
    ret->size = 0;
    if (key_decode(key, ret) < 0)
        text_no_memory();
}

/* Leaves the element's terms in dump->first and in `*ret_second`, which is
 * NULL for a set. */
static void take_element(struct dump *dump, const struct element *element,
                         const uint8_t **ret_second)
{
    decode(element->first, &dump->first);
    if (table_has_second(dump->table)) {
        decode(element->second, &dump->second);
        *ret_second = dump->second.data;
    } else if (table_has_value(dump->table)) {
        *ret_second = element->value.data;
    } else {
        *ret_second = NULL;
    }
}

static const char *second_name(const struct table *table)
{
    return table_has_second(table)  ? "partner"
           : table_has_value(table) ? "value"
                                    : NULL;
}

static void put_text(struct dump *dump, const uint8_t *second)
{
    struct buffer *line = &dump->line;
    bool literal = true;

    text_byte(line, '{');
    text_bytes(line, buffer_bytes(&dump->head));
    text_append(line, second ? ", {" : ", ");
    term_text(line, dump->first.data, &literal);
    if (second) {
        text_append(line, ", ");
        term_text(line, second, &literal);
        text_byte(line, '}');
    }
    text_append(line, "}.\n");
    dump->opaque += !literal;
}

static void put_json(struct dump *dump, const uint8_t *second)
{
    struct buffer *line = &dump->line;

    text_append(line, "{\"table\":");
    term_json(line, dump->name.data);
    text_append(line, ",\"table_term\":");
    json_put_string(line, buffer_bytes(&dump->head));
    text_append(line, ",\"key\":");
    term_json(line, dump->first.data);
    if (second) {
        text_format(line, ",\"%s\":", second_name(dump->table));
        term_json(line, second);
    }
    text_append(line, "}\n");
}

/* Atoms and binaries of text as that text, all else as Erlang writes it. */
static void put_cell_text(struct buffer *out, const uint8_t *term)
{
    struct walk walk = {term};
    struct bytes bytes;

    if ((walk_binary(&walk, &bytes) && text_is_utf8(bytes)) ||
        ((term[0] == ETF_SMALL_ATOM_UTF8 || term[0] == ETF_ATOM_UTF8) &&
         walk_any_atom(&walk, &bytes)))
        text_bytes(out, bytes);
    else
        term_text(out, term, NULL);
}

/* RFC 4180: quotes where there are commas, quotes or ends of lines. */
static void put_cell(struct dump *dump, const uint8_t *term)
{
    struct buffer *cell = &dump->cell;
    bool quote;

    cell->size = 0;
    put_cell_text(cell, term);
    quote = strpbrk(text_string(cell), ",\"\r\n") != NULL ||
            memchr(cell->data, '\0', cell->size) != NULL;
    if (!quote) {
        text_bytes(&dump->line, buffer_bytes(cell));
        return;
    }
    text_byte(&dump->line, '"');
    for (size_t i = 0; i < cell->size; i++) {
        if (cell->data[i] == '"')
            text_byte(&dump->line, '"');
        text_byte(&dump->line, (char)cell->data[i]);
    }
    text_byte(&dump->line, '"');
}

static void put_csv(struct dump *dump, const uint8_t *second)
{
    put_cell(dump, dump->first.data);
    if (second) {
        text_byte(&dump->line, ',');
        put_cell(dump, second);
    } else if (!dump->line.size) {
        text_append(&dump->line, "\"\""); /* an empty line is no record */
    }
    text_byte(&dump->line, '\n');
}

/* What is in dump->first, and `second` if it is not NULL. */
static void put_taken(struct dump *dump, const uint8_t *second)
{
    dump->line.size = 0;
    switch ((enum dump_format)dump->options->format) {
    case FORMAT_TEXT:
        put_text(dump, second);
        break;
    case FORMAT_JSON:
        put_json(dump, second);
        break;
    case FORMAT_CSV:
        put_csv(dump, second);
        break;
    case FORMAT_ETF:
        break;
    }
    sink_bytes(&dump->sink, buffer_bytes(&dump->line));
    if (dump->done++ % REPORT_EVERY == 0)
        meter_report(&dump->meter, dump->done, dump->total);
}

static void put_element(struct dump *dump, const struct element *element)
{
    const uint8_t *second;

    take_element(dump, element, &second);
    put_taken(dump, second);
}

static void set_table(struct dump *dump, const struct table *table)
{
    dump->table = table;
    decode(table_name(table), &dump->name);
    dump->head.size = 0;
    term_text(&dump->head, dump->name.data, NULL);
}

/* --- graphs -------------------------------------------------------------- */

static void append(struct buffer *out, struct bytes term)
{
    if (buffer_append(out, term) < 0)
        text_no_memory();
}

/* {vertex, V, Value, Labels} or {edge, From, To, Label, Value}. */
static bool put_graph_element(void *context,
                              const struct element_terms *element)
{
    struct dump *dump = context;
    struct buffer *term = &dump->first;

    term->size = 0;
    if (etf_put_tuple(term, element->is_edge ? 5 : 4) < 0 ||
        etf_put_atom(term, element->is_edge ? "edge" : "vertex") < 0)
        text_no_memory();
    append(term, element->vertex);
    if (element->is_edge) {
        append(term, element->to);
        append(term, element->label);
    }
    append(term, element->value);
    if (!element->is_edge)
        append(term, element->labels);
    put_taken(dump, NULL);
    return !sink_broken(&dump->sink);
}

/* {contracted, V, Term} for each vertex that stands for others. */
static void dump_contracted(struct dump *dump, const struct graph *graph)
{
    struct view view = {.table = graph->parts[GRAPH_CONTRACTED],
                        .side = SIDE_FWD};
    struct range range = {.direction = ASCENDING};
    struct element element;
    struct scan scan;
    bool found = true;

    scan_init(&scan, cli_mem(), &view, &range, false);
    while (!sink_broken(&dump->sink)) {
        struct buffer *term = &dump->first;

        if (scan_next(&scan, &element, &found) < 0)
            text_no_memory();
        if (!found)
            break;
        term->size = 0;
        if (etf_put_tuple(term, 3) < 0 ||
            etf_put_atom(term, "contracted") < 0 ||
            key_decode(element.first, term) < 0)
            text_no_memory();
        append(term, element.value);
        put_taken(dump, NULL);
    }
    scan_free(&scan);
}

static void dump_graph(struct dump *dump, const struct table *table)
{
    struct elements elements;
    struct graph graph;

    /* A store that was rebuilt has all parts of its graphs. */
    REQUIRE(graph_open(dump->rebuild.store, table, &graph) == ST_OK);
    set_table(dump, table);
    if (dump->options->format == FORMAT_CSV)
        sink_text(&dump->sink, "element\n");
    elements_of_graph(&elements, &graph);
    elements_each(&elements, dump, put_graph_element);
    elements_free(&elements);
    dump_contracted(dump, &graph);
}

/* --- tables -------------------------------------------------------------- */

static void dump_table(struct dump *dump, const struct table *table)
{
    struct view view = {.table = table, .side = SIDE_FWD};
    struct range range = {.direction = ASCENDING};
    struct element element;
    struct scan scan;
    bool found = true;

    if (table_type(table) == TABLE_GRAPH) {
        dump_graph(dump, table);
        return;
    }
    set_table(dump, table);
    if (dump->options->format == FORMAT_CSV) {
        sink_text(&dump->sink, "key");
        sink_text(&dump->sink, second_name(table) ? "," : "");
        sink_text(&dump->sink, second_name(table) ? second_name(table) : "");
        sink_text(&dump->sink, "\n");
    }
    scan_init(&scan, cli_mem(), &view, &range, false);
    while (!sink_broken(&dump->sink)) {
        if (scan_next(&scan, &element, &found) < 0)
            text_no_memory();
        if (!found)
            break;
        put_element(dump, &element);
    }
    scan_free(&scan);
}

/* Tables of the system are named by atoms that begin with $, or are parts of
 * graphs, which stand for them. */
static bool is_system(struct dump *dump, const struct table *table)
{
    struct walk walk;
    struct bytes name;

    if (table_is_part(table))
        return true;
    decode(table_name(table), &dump->name);
    walk.at = dump->name.data;
    return walk_any_atom(&walk, &name) && name.size && name.data[0] == '$';
}

/* The table that --table asks for; -1, or an exit status. */
static int find_table(struct dump *dump, struct table **ret)
{
    const char *text = dump->options->table;
    struct table_name name;
    int status = -1;

    if (!table_name_read(&name, text))
        status = wrong_usage(&subcommand_dump,
                             "--table takes an Erlang term, not `%s`", text);
    while (status < 0 && (*ret = store_next_table(dump->rebuild.store, *ret))) {
        decode(table_name(*ret), &dump->name);
        if (table_name_is(&name, dump->name.data))
            break;
    }
    if (status < 0 && !*ret) {
        complain("%s: there is no table `%s`; `rhizome dump` without --table "
                 "shows all",
                 dump->source.path, text);
        status = EXIT_USAGE;
    }
    table_name_free(&name);
    return status;
}

static int dump_one_file(struct dump *dump, struct table *only,
                         const char *path)
{
    struct store *store = dump->rebuild.store;
    struct table *table = only;
    int status = sink_open(&dump->sink, path);
    int closed;

    if (status >= 0)
        return status;
    if (dump->options->format == FORMAT_TEXT) {
        dump->line.size = 0;
        text_format(&dump->line,
                    "%%%% -*- coding: utf-8 -*-\n%%%% rhizome dump, seq "
                    "%" PRIu64 "\n",
                    store_seq(store));
        sink_bytes(&dump->sink, buffer_bytes(&dump->line));
    }
    if (only) {
        dump_table(dump, only);
    } else {
        while ((table = store_next_table(store, table))) {
            if (!is_system(dump, table))
                dump_table(dump, table);
        }
    }
    closed = sink_close(&dump->sink, true);
    return closed;
}

/*
 * The file of a table: its name as Erlang text, with %XX for whatever is no
 * letter, digit, `_`, `@`, `-` or inner dot. A very long one is cut and gets
 * the hash of the whole.
 */
static void put_file_name(struct buffer *out, struct bytes name)
{
    size_t start = out->size;
    uint8_t hash[DIGEST_BYTES];

    for (size_t i = 0; i < name.size; i++) {
        char c = (char)name.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c >= '0' && c <= '9') || c == '_' || c == '@' ||
            (i && (c == '-' || c == '.')))
            text_byte(out, c);
        else
            text_format(out, "%%%02X", (unsigned)(uint8_t)c);
    }
    if (out->size - start > FILE_STEM_MAX) {
        out->size = start + FILE_STEM_MAX;
        digest_store(hash, digest_bytes(name));
        text_byte(out, '~');
        text_hex(out, bytes_of(hash, sizeof(hash)));
    }
    text_append(out, ".csv");
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return -1;
    return complain_io(path, "cannot be made", errno);
}

static int dump_files(struct dump *dump, struct table *only)
{
    struct store *store = dump->rebuild.store;
    struct table *table = NULL;
    struct buffer path = BUFFER(cli_mem());
    int status = make_directory(dump->options->output);

    while (status < 0 && (table = store_next_table(store, table))) {
        if (only ? table != only : is_system(dump, table))
            continue;
        set_table(dump, table);
        path.size = 0;
        text_format(&path, "%s/", dump->options->output);
        put_file_name(&path, buffer_bytes(&dump->head));
        status = dump_one_file(dump, table, text_string(&path));
    }
    buffer_free(&path);
    return status;
}

/* --- etf ----------------------------------------------------------------- */

static int write_checkpoint(void *context, struct bytes bytes)
{
    struct sink *sink = context;

    sink_bytes(sink, bytes);
    return sink_broken(sink) ? -EIO : 0;
}

static int dump_checkpoint(struct dump *dump)
{
    const struct recovery *recovery = &dump->rebuild.recovery;
    struct checkpoint_output output = {write_checkpoint, &dump->sink};
    struct progress progress = {meter_report, &dump->meter};
    struct snapshot *snapshot;
    enum status st;
    int error = 0;
    int status = sink_open(&dump->sink, dump->options->output);

    if (status >= 0)
        return status;
    if (snapshot_take(dump->rebuild.store, &snapshot) < 0 ||
        snapshot_list(snapshot) < 0)
        text_no_memory();
    st = checkpoint_write(snapshot, recovery->manifest.store_id,
                          recovery->manifest.epoch, &output, NULL, &progress,
                          &error);
    snapshot_release(snapshot);
    if (st == ST_NO_MEMORY)
        text_no_memory();
    return sink_close(&dump->sink, st == ST_OK);
}

/* --- all of it ----------------------------------------------------------- */

static bool is_directory(const char *path)
{
    struct stat stat_of;

    return path && stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
}

/* Are files written into --output? */
static bool into_directory(const struct dump_options *options)
{
    const char *path = options->output;

    return is_directory(path) ||
           (path && *path && path[strlen(path) - 1] == '/');
}

static int check_options(const struct dump_options *options)
{
    const struct subcommand *self = &subcommand_dump;
    bool directory = into_directory(options);

    if (options->format == FORMAT_ETF && options->table)
        return wrong_usage(self, "--format etf is of the whole store and "
                                 "takes no --table");
    if (options->format == FORMAT_ETF && !options->output &&
        isatty(STDOUT_FILENO))
        return wrong_usage(self, "--format etf is binary, and stdout is a "
                                 "terminal; use --output FILE");
    if (options->format == FORMAT_CSV && !options->table && !directory)
        return wrong_usage(self, "--format csv is of one table; give --table, "
                                 "or a directory with --output (DIR/)");
    if (options->format != FORMAT_CSV && directory)
        return wrong_usage(self,
                           "--output %s is a directory; only --format "
                           "csv writes into one",
                           options->output);
    return -1;
}

static int rebuild_store(struct dump *dump)
{
    int status;

    meter_start(&dump->meter, "reading", true, &dump->options->common);
    status = rebuild_run(&dump->source, true, dump->options->until,
                         &dump->meter, &dump->rebuild);
    meter_stop(&dump->meter);
    if (status >= 0)
        return status;
    /* What looks torn may be what a daemon is writing just now. */
    if (dump->rebuild.live && dump->rebuild.recovery.verdict == RECOVERY_TORN)
        return -1;
    return source_verdict(&dump->source, &dump->rebuild.recovery);
}

static int dump_store(struct dump *dump)
{
    const struct dump_options *options = dump->options;
    struct table *table = NULL;
    int status = options->table ? find_table(dump, &table) : -1;

    if (status >= 0)
        return status;
    while (!options->table &&
           (table = store_next_table(dump->rebuild.store, table)))
        dump->total += table_count(table);
    if (table)
        dump->total = table_count(table);
    meter_start(&dump->meter, "writing", false, &options->common);
    if (options->format == FORMAT_ETF)
        status = dump_checkpoint(dump);
    else if (into_directory(options))
        status = dump_files(dump, table);
    else
        status = dump_one_file(dump, table, options->output);
    meter_stop(&dump->meter);
    if (status < 0 && dump->opaque)
        note("%" PRIu64 " elements hold pids, ports, references or funs, "
             "which file:consult/1 cannot read; --format etf keeps them",
             dump->opaque);
    return status;
}

static void dump_free(struct dump *dump)
{
    rebuild_free(&dump->rebuild);
    source_close(&dump->source);
    buffer_free(&dump->name);
    buffer_free(&dump->head);
    buffer_free(&dump->first);
    buffer_free(&dump->second);
    buffer_free(&dump->line);
    buffer_free(&dump->cell);
}

static int run(int argc, char **argv)
{
    struct dump_options options = {
        .format = FORMAT_DEFAULT,
        .until = UINT64_MAX,
    };
    struct dump dump = {
        .options = &options,
        .name = BUFFER(cli_mem()),
        .head = BUFFER(cli_mem()),
        .first = BUFFER(cli_mem()),
        .second = BUFFER(cli_mem()),
        .line = BUFFER(cli_mem()),
        .cell = BUFFER(cli_mem()),
    };
    struct operands paths;
    int status = options_parse(&subcommand_dump, argc, argv, &options, &paths);

    if (options.format == FORMAT_DEFAULT)
        options.format = options.common.json ? FORMAT_JSON : FORMAT_TEXT;
    if (status < 0)
        status = check_options(&options);
    if (status >= 0)
        return status;
    status = source_open(&subcommand_dump, &paths, SOURCE_MANY, &dump.source);
    if (status < 0)
        status = rebuild_store(&dump);
    if (status < 0)
        status = dump_store(&dump);
    dump_free(&dump);
    return output_status(status < 0 ? EXIT_STOPPED : status);
}

const struct subcommand subcommand_dump = {
    .name = "dump",
    .summary = "a store as text, JSON, CSV, or one file that holds it all",
    .run = run,
    .operands = "PATH ...",
    .operands_min = 1,
    .operands_max = UINT32_MAX,
    .text =
        "Rebuilds the store in memory and writes what is in it. PATH is a "
        "store's\ndirectory (a daemon may be at work in it) or files of one: "
        "a checkpoint,\nsegments.\n\n"
        "  text   {Table, Element}. a line, for file:consult/1\n"
        "  json   {\"table\": .., \"table_term\": .., \"key\": .., \"partner\" "
        "or "
        "\"value\":\n         ..} a line\n"
        "  csv    key and partner or value, one table a file\n"
        "  etf    a checkpoint, exact and complete; `rhizome replay` reads "
        "it\n\n"
        "Tables whose names are atoms that begin with $ are the system's own: "
        "they are\nin etf, and elsewhere if --table asks for one.\n"
        "\n"
        "exit status: 0, 1 the log is damaged (nothing is written), 64 usage, "
        "65 not a\nlog, 71 no memory, 74 reading or writing failed\n",
    .examples = "  rhizome dump data > data.terms\n"
                "  rhizome dump -F csv -t people data > people.csv\n"
                "  rhizome dump -F csv -o tables/ data\n"
                "  rhizome dump -F etf --until 1000 -o backup.tlg data\n",
    .rows = rows,
};
