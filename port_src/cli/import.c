/*
 * import.c -- `rhizome import`: files as a graph.
 *
 *     --dir     the whole import is one step: files are read first, then the
 *               graph is built in memory, then a checkpoint of the store takes
 *               the place of what was on the disk
 *     --to-terms  nothing is kept: frames go to stdout as elements come
 *
 * Readers of formats (format_*.c) hand their elements to import_vertex() and
 * import_edge() here, and whatever is wrong to import_wrong(), which counts
 * errors against --max-errors.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/offline.h"
#include "cli/progress.h"
#include "cli/rebuild.h"
#include "cli/subcommands.h"
#include "cli/target.h"
#include "cli/term.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/key.h"

/* The meter is looked at this often, in elements. */
#define REPORT_EVERY 4096

#define BATCH_DEFAULT 5000
#define BATCH_MAX 1000000

/* What is shown of a vertex or the like in a message. */
#define SHOWN_BYTES 60

struct command_options {
    struct common_options common;
    const char *dir;
    const char *graph;
    const char *weight;
    bool to_terms;
    uint64_t batch;
    uint64_t errors_max;
    uint64_t memory_limit;
    struct read_options read;
};

struct import {
    const struct command_options *options;
    const struct format *format;
    struct operands files;
    struct offline offline;
    struct target target;
    struct input input;

    struct buffer name;   /* of the graph: a term, */
    struct buffer key;    /* and encoded */
    struct buffer weight; /* the rule, a term; empty: nothing said */
    bool begun;           /* the graph is there, and its options are settled */
    bool declared;        /* a file said that it is undirected */
    bool undirected;
    bool is_new;
    uint64_t seq; /* the store's, before the import */

    uint64_t elements;
    uint64_t errors;
    uint64_t bytes;            /* of files before this one */
    uint64_t total;            /* 0: not known */
    int status;                /* once it is over */
    struct graph_options rule; /* of weights, which a client's graph has */
    struct meter meter;
    char meter_text[64];
    double started;
    struct graph_load_counts counts;
    struct digest digest;
};

/* --- messages ------------------------------------------------------------- */

static void say_wrong(struct import *import, uint64_t line, size_t column,
                      const char *format, va_list arguments)
{
    struct buffer place = BUFFER(cli_mem());
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        text_no_memory();
    text_append(&place, import->input.name ? import->input.name : "");
    if (line)
        text_format(&place, ":%" PRIu64, line);
    if (line && column)
        text_format(&place, ":%zu", column);
    complain("%s: %s", text_string(&place), text);
    target_wrong(&import->target, import->input.name, line, column, text);
    buffer_free(&place);
    free(text);
}

static bool give_up(struct import *import)
{
    uint64_t limit = import->options->errors_max;

    if (limit && import->errors > limit)
        complain("more than %" PRIu64 " errors; %s", limit,
                 import->options->to_terms ? "it ends here"
                                           : "nothing was changed");
    import->status = EXIT_NOT_A_LOG;
    return false;
}

bool import_wrong(struct import *import, uint64_t line, size_t column,
                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_wrong(import, line, column, format, arguments);
    va_end(arguments);
    if (++import->errors > import->options->errors_max)
        return give_up(import);
    return true;
}

bool import_broken(struct import *import, uint64_t line, size_t column,
                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_wrong(import, line, column, format, arguments);
    va_end(arguments);
    import->errors++;
    import->status = EXIT_NOT_A_LOG;
    return false;
}

bool import_fault(struct import *import)
{
    const struct input *input = &import->input;

    if (input->error) {
        import->status = complain_io(input->name, input->fault, -input->error);
        return false;
    }
    return import_broken(import, input->line, 1, "%s", input->fault);
}

/* The beginning of a text, in one piece. */
static const char *shown(struct bytes text)
{
    static char room[SHOWN_BYTES + 4];
    size_t size = text.size < SHOWN_BYTES ? text.size : SHOWN_BYTES;

    while (size < text.size && size && (text.data[size] & 0xc0) == 0x80)
        size--;
    memcpy(room, text.data, size);
    memcpy(room + size, size < text.size ? "..." : "", 4 * (size < text.size));
    room[size + 3 * (size < text.size)] = '\0';
    return room;
}

/* --- the graph ------------------------------------------------------------ */

/* The rule that a term says; false if it says none. */
static bool weight_rule(struct bytes term, struct graph_options *ret)
{
    static const uint8_t key[] = {
        ETF_SMALL_TUPLE, 2, ETF_SMALL_ATOM_UTF8, 3, 'k', 'e', 'y'};

    if (!term.size || bytes_equal(term, BYTES("\x77\x04none"))) {
        ret->weight = WEIGHT_NONE;
    } else if (bytes_equal(term, BYTES("\x77\x05value"))) {
        ret->weight = WEIGHT_VALUE;
    } else if (term.size > sizeof(key) &&
               memcmp(term.data, key, sizeof(key)) == 0) {
        ret->weight = WEIGHT_KEY;
        ret->weight_key =
            bytes_of(term.data + sizeof(key), term.size - sizeof(key));
    } else {
        return false;
    }
    return true;
}

static bool store_failed(struct import *import, enum status st)
{
    if (st == ST_NO_MEMORY)
        text_no_memory();
    if (st == ST_MEMORY_LIMIT)
        complain("%s: the memory limit is reached; --memory-limit is %" PRIu64
                 " bytes",
                 import->options->dir, import->options->memory_limit);
    else
        complain("%s: %s", import->options->dir, status_text(st));
    import->status = st == ST_MEMORY_LIMIT ? EXIT_NO_MEMORY : EXIT_IO;
    return false;
}

/* Has even a store of nothing no room? */
static int check_limit(struct import *import)
{
    const struct store_options bounds = {
        .memory_limit = import->options->memory_limit,
    };
    struct store *store;
    enum status st = store_create(&bounds, &store);

    if (st == ST_OK)
        store_free(store);
    return st == ST_OK || store_failed(import, st) ? -1 : import->status;
}

static bool create_graph(struct import *import)
{
    struct store *store = import->offline.store;
    struct graph_options options = {.undirected = import->undirected};
    struct table *table;
    enum status st;

    weight_rule(buffer_bytes(&import->weight), &options);
    store_begin(store);
    st = graph_create(store, buffer_bytes(&import->key), &options, &table);
    if (st < 0) {
        const char *text = store_fault(store)->text;

        if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT) {
            store_rollback(store);
            return store_failed(import, st);
        }
        complain("%s: the graph %s: %s", import->options->dir,
                 import->options->graph, text ? text : status_text(st));
        store_rollback(store);
        import->status = EXIT_USAGE;
        return false;
    }
    store_commit(store);
    import->is_new = true;
    return true;
}

/* Makes the graph if there is none, and begins to load it. */
static bool begin_graph(struct import *import)
{
    struct store *store = import->offline.store;
    struct table *table = store_find(store, buffer_bytes(&import->key));
    struct graph_load *load;
    struct graph graph;
    enum status st;

    if (!table && !create_graph(import))
        return false;
    table = store_find(store, buffer_bytes(&import->key));
    if (table_type(table) != TABLE_GRAPH) {
        complain("%s: the table %s is no graph, but a %s; name another one",
                 import->options->dir, import->options->graph,
                 table_type_name(table_type(table)));
        import->status = EXIT_USAGE;
        return false;
    }
    st = graph_open(store, table, &graph);
    if (st == ST_OK)
        st = graph_load_begin(store, table, &load);
    if (st < 0)
        return store_failed(import, st);
    import->undirected = graph.options.undirected;
    import->target.load = load;
    return true;
}

static bool begin(struct import *import)
{
    unsigned direction = import->options->read.direction;

    if (import->begun)
        return true;
    import->begun = true;
    import->undirected = direction == DIRECTION_AUTO
                             ? import->declared
                             : direction == DIRECTION_UNDIRECTED;
    if (!import->options->to_terms)
        return begin_graph(import);
    target_graph(&import->target, import->undirected);
    return true;
}

void import_declare(struct import *import, bool undirected, struct bytes weight)
{
    struct graph_options options;

    if (import->begun)
        return;
    import->declared = undirected;
    if (!import->options->weight && weight_rule(weight, &options)) {
        import->weight.size = 0;
        text_bytes(&import->weight, weight);
    }
}

bool import_is_undirected(struct import *import)
{
    begin(import);
    return import->undirected;
}

struct input *import_input(struct import *import)
{
    return &import->input;
}

const struct read_options *import_options(const struct import *import)
{
    return &import->options->read;
}

/* --- elements ------------------------------------------------------------- */

bool import_check_text(struct import *import, struct bytes text, uint64_t line,
                       size_t column, bool *ret_go_on)
{
    const uint8_t *nul = text.size ? memchr(text.data, 0, text.size) : NULL;
    uint32_t c;
    size_t size;

    if (nul) {
        *ret_go_on =
            import_wrong(import, line, column + (size_t)(nul - text.data),
                         "a NUL byte stands in the text");
        return false;
    }
    for (size_t at = 0; at < text.size; at += size) {
        if (text.data[at] < 0x80) {
            size = 1;
        } else if (!text_utf8_next(bytes_of(text.data + at, text.size - at), &c,
                                   &size)) {
            *ret_go_on = import_wrong(import, line, column + at,
                                      "the text is no UTF-8 here (the byte is "
                                      "%02X)",
                                      text.data[at]);
            return false;
        }
    }
    return true;
}

bool import_vertex_text(struct import *import, struct bytes text, bool quoted,
                        uint64_t line, size_t column, struct buffer *scratch,
                        struct vertex *ret, bool *ret_go_on)
{
    enum ids ids = import->options->read.ids;
    enum number_kind kind = NUMBER_NONE;
    double value;

    *ret = (struct vertex){VERTEX_TEXT, 0, text.size ? text : BYTES("")};
    if (!text.size && !quoted) {
        *ret_go_on = import_wrong(import, line, column, "the vertex is empty");
        return false;
    }
    if (ids != IDS_STRING)
        kind = number_read(text, ids == IDS_INTEGER, &ret->integer, &value);
    if (kind == NUMBER_INTEGER) {
        ret->kind = VERTEX_INTEGER;
        return true;
    }
    if (kind == NUMBER_BIG) {
        scratch->size = 0;
        if (!term_put_big(scratch, text)) {
            *ret_go_on = import_wrong(import, line, column,
                                      "the integer has %zu digits, more than "
                                      "600; --ids string takes it as text",
                                      text.size);
            return false;
        }
        ret->kind = VERTEX_TERM;
        ret->bytes = buffer_bytes(scratch);
        return true;
    }
    if (!import_check_text(import, text, line, column, ret_go_on))
        return false;
    if (ids == IDS_INTEGER) {
        *ret_go_on = import_wrong(import, line, column,
                                  "`%s` is no integer, and --ids integer is "
                                  "asked for",
                                  shown(text));
        return false;
    }
    return true;
}

bool import_put_word(const struct import *import, struct buffer *out,
                     struct bytes word)
{
    if (import->options->read.words == WORDS_ATOMS)
        return term_put_atom(out, word);
    term_put_binary(out, word);
    return true;
}

static void report(struct import *import)
{
    double seconds = rebuild_clock() - import->started;

    if (seconds > 0)
        snprintf(import->meter_text, sizeof(import->meter_text),
                 "importing, %.2f M rows/s",
                 (double)import->elements / seconds / 1e6);
    meter_report(&import->meter, import->bytes + import->input.bytes,
                 import->total);
}

/* What came of an element; true to go on. */
static bool took(struct import *import, enum status st, uint64_t line,
                 size_t column)
{
    if (++import->elements % REPORT_EVERY == 0) {
        report(import);
        if (import->options->to_terms && output_broken())
            return false;
    }
    switch (st) {
    case ST_OK:
        return true;
    case ST_TOO_BIG:
        return import_wrong(import, line, column,
                            "a vertex or label is longer than %d bytes, or a "
                            "value than 64 MiB",
                            KEY_BYTES_MAX);
    case ST_BAD_WEIGHT:
        return import_wrong(import, line, column,
                            "the value gives no weight, which the graph asks "
                            "for: a finite number");
    case ST_BAD_ARGUMENT:
        return import_wrong(import, line, column,
                            "nil is no label of a vertex");
    case ST_BAD_TERM:
        return import_wrong(import, line, column, "a map has one key twice");
    case ST_NO_MEMORY:
    case ST_MEMORY_LIMIT:
    default:
        return store_failed(import, st);
    }
}

/* Is there somewhere for elements to go? */
static bool is_ready(struct import *import)
{
    return (import->begun || begin(import)) && import->status < 0;
}

bool import_vertex(struct import *import, uint64_t line, size_t column,
                   const struct vertex *vertex, struct bytes value,
                   const struct bytes *labels, size_t label_count)
{
    if (!is_ready(import))
        return false;
    return took(
        import,
        target_vertex(&import->target, vertex, value, labels, label_count),
        line, column);
}

bool import_edge(struct import *import, uint64_t line, size_t column,
                 const struct vertex *from, const struct vertex *to,
                 struct bytes label, struct bytes value)
{
    double weight;

    if (!is_ready(import))
        return false;
    if (!graph_weight(&import->rule, value.size ? value : graph_nil, &weight))
        return took(import, ST_BAD_WEIGHT, line, column);
    return took(import, target_edge(&import->target, from, to, label, value),
                line, column);
}

/* --- all of it ------------------------------------------------------------ */

static int read_file(struct import *import, const char *path)
{
    int status = input_open(&import->input, path);
    bool good = false;

    if (status < 0) {
        good = import->input.fault ? import_fault(import)
                                   : import->format->read(import);
        import->bytes += import->input.bytes;
    }
    input_close(&import->input);
    if (status >= 0 || good)
        return status;
    /* The reader of our stdout may have gone, which is no error. */
    return import->status < 0 ? EXIT_STOPPED : import->status;
}

static int read_files(struct import *import)
{
    int status = -1;

    import->started = rebuild_clock();
    meter_start(&import->meter, import->meter_text, true,
                &import->options->common);
    snprintf(import->meter_text, sizeof(import->meter_text), "importing");
    for (size_t i = 0; status < 0 && i < import->files.count; i++)
        status = read_file(import, import->files.items[i]);
    meter_stop(&import->meter);
    if (status < 0 && !begin(import))
        status = import->status;
    return status;
}

/* Files are known in advance, pipes are not. */
static uint64_t total_bytes(const struct import *import)
{
    uint64_t total = 0;
    struct stat stat_of;

    for (size_t i = 0; i < import->files.count; i++) {
        if (stat(import->files.items[i], &stat_of) < 0 ||
            !S_ISREG(stat_of.st_mode))
            return 0;
        total += (uint64_t)stat_of.st_size;
    }
    return total;
}

static int finish_graph(struct import *import)
{
    const struct graph_load_progress progress = {meter_report, &import->meter};
    struct store *store = import->offline.store;
    struct table *table;
    enum status st;

    meter_start(&import->meter, "building", false, &import->options->common);
    st = graph_load_finish(target_take(&import->target), &progress,
                           &import->counts);
    meter_stop(&import->meter);
    if (st < 0) {
        store_failed(import, st);
        return import->status;
    }
    /* What was loaded has no seq of its own. */
    if (store_seq(store) == import->seq &&
        (import->counts.new_vertices || import->counts.new_edges))
        store_set_seq(store, import->seq + 1);
    table = store_find(store, buffer_bytes(&import->key));
    import->digest = table_digest(table);
    return offline_save(&import->offline);
}

static void put_facts(const struct import *import)
{
    const struct graph_load_counts *counts = &import->counts;
    double seconds = rebuild_clock() - import->started;
    struct facts facts;

    facts_begin(&facts);
    facts_text(&facts, "graph", import->options->graph);
    facts_bool(&facts, "new", import->is_new);
    facts_bool(&facts, "directed", !import->undirected);
    facts_u64(&facts, "vertices", counts->vertices);
    facts_u64(&facts, "edges", counts->edges);
    facts_u64(&facts, "new_vertices", counts->new_vertices);
    facts_u64(&facts, "new_edges", counts->new_edges);
    facts_u64(&facts, "duplicates",
              counts->repeated_edges + counts->repeated_vertices);
    facts_u64(&facts, "errors", import->errors);
    facts_size(&facts, "bytes", import->bytes);
    facts_double(&facts, "seconds", seconds, 3);
    facts_u64(&facts, "seq", store_seq(import->offline.store));
    facts_digest(&facts, "digest", import->digest);
    facts_end(&facts);
}

static int import_into_store(struct import *import)
{
    const struct command_options *options = import->options;
    char *path = (char *)(uintptr_t)options->dir;
    struct operands paths = {&path, 1};
    int status;

    import->offline.undone = "the store is as it was, or has the graph";
    status = check_limit(import);
    if (status >= 0)
        return status;
    status = offline_open(&import->offline, &subcommand_import, &paths, true,
                          options->memory_limit, &options->common);
    if (status >= 0)
        return status;
    import->seq = store_seq(import->offline.store);
    status = read_files(import);
    if (status < 0)
        status = finish_graph(import);
    if (status < 0) {
        put_facts(import);
        status = EXIT_STOPPED;
    }
    return status;
}

static int import_to_terms(struct import *import)
{
    int status = read_files(import);

    target_flush(&import->target);
    if (status < 0) {
        target_imported(&import->target, import->errors, import->bytes);
        status = EXIT_STOPPED;
    }
    return status;
}

/* --- options -------------------------------------------------------------- */

static int read_weight(struct import *import)
{
    const char *text = import->options->weight;
    struct buffer *out = &import->weight;
    struct graph_options options = {.weight = WEIGHT_NONE};
    bool good = false;

    if (!text)
        return -1;
    if (strcmp(text, "none") == 0 || strcmp(text, "value") == 0) {
        good = term_put_atom(out, bytes_of(text, strlen(text)));
    } else if (strncmp(text, "key:", 4) == 0) {
        struct buffer term = BUFFER(cli_mem());
        struct buffer key = BUFFER(cli_mem());

        /* In the spelling that a graph keeps it in. */
        term_put_tuple(out, 2);
        term_put_atom(out, BYTES("key"));
        good = term_read(&term, text + 4) &&
               key_encode(buffer_bytes(&term), &key) == ST_OK &&
               key_decode(buffer_bytes(&key), out) == ST_OK;
        buffer_free(&term);
        buffer_free(&key);
    }
    good = good && weight_rule(buffer_bytes(out), &options);
    /* A graph in a store knows its rule itself. */
    if (good && import->options->to_terms)
        import->rule = options;
    if (good)
        return -1;
    return wrong_usage(&subcommand_import,
                       "--weight takes none, value or key:TERM, not `%s`",
                       text);
}

static int read_name(struct import *import)
{
    const char *text = import->options->graph;

    if (!text)
        return wrong_usage(&subcommand_import, "--graph NAME is missing");
    if (!term_read(&import->name, text) ||
        key_encode(buffer_bytes(&import->name), &import->key) < 0)
        return wrong_usage(&subcommand_import,
                           "--graph takes an Erlang term, not `%s`", text);
    /* As a key has it: the spelling that all terms of ours have. */
    import->name.size = 0;
    if (key_decode(buffer_bytes(&import->key), &import->name) < 0)
        text_no_memory();
    return -1;
}

static int check_options(struct import *import, const struct operands *operands)
{
    const struct command_options *options = import->options;
    const struct subcommand *self = &subcommand_import;
    unsigned dashes = 0;

    import->format = format_find(operands->items[0]);
    if (!import->format || !import->format->read)
        return wrong_usage(self, "`%s` is no format that is read",
                           operands->items[0]);
    if (operands->count < 2)
        return wrong_usage(self, "FILE is missing; - is stdin");
    import->files = (struct operands){operands->items + 1, operands->count - 1};
    for (size_t i = 0; i < import->files.count; i++)
        dashes += strcmp(import->files.items[i], "-") == 0;
    if (dashes > 1)
        return wrong_usage(self, "- can be read once only");
    if (options->to_terms == (options->dir != NULL))
        return wrong_usage(self, options->to_terms
                                     ? "--to-terms takes no --dir"
                                     : "--dir DIR or --to-terms is needed");
    if (options->to_terms && isatty(STDOUT_FILENO))
        return wrong_usage(self, "--to-terms is binary, and stdout is a "
                                 "terminal");
    if (!options->batch || options->batch > BATCH_MAX)
        return wrong_usage(self, "--batch is from 1 to %d", BATCH_MAX);
    return -1;
}

static const struct option_row rows[] = {
    {"dir", 'd', OPTION_FILE, offsetof(struct command_options, dir), "DIR",
     "the store's directory; made if it is missing"},
    {"graph", 'g', OPTION_TEXT, offsetof(struct command_options, graph), "NAME",
     "the graph, an Erlang term; made if it is missing"},
    {"to-terms", 0, OPTION_FLAG, offsetof(struct command_options, to_terms),
     NULL, "write frames of terms to stdout, for a client of\na running store"},
    {"ids", 0, OPTION_CHOICE, offsetof(struct command_options, read.ids),
     "auto|integer|string",
     "what vertices are that a file has as text (default:\nauto, integers "
     "where they read as such)"},
    {"words", 0, OPTION_CHOICE, offsetof(struct command_options, read.words),
     "strings|atoms",
     "what labels and names of properties become (default:\nstrings, which "
     "are binaries)"},
    {"direction", 0, OPTION_CHOICE,
     offsetof(struct command_options, read.direction),
     "auto|directed|undirected",
     "of a graph that is made (default: auto, what the\nfile says, else "
     "directed)"},
    {"weight", 'w', OPTION_TEXT, offsetof(struct command_options, weight),
     "RULE",
     "of a graph that is made, or that a client has: none,\nvalue or key:TERM"},
    {"delimiter", 0, OPTION_TEXT,
     offsetof(struct command_options, read.delimiter), "CHARACTER",
     "edges, neo4j: tab, comma, semicolon, bar, space, or\na character "
     "(default: found out)"},
    {"columns", 0, OPTION_TEXT, offsetof(struct command_options, read.columns),
     "LIST", "edges: such as from,to,-,value (- leaves one out)"},
    {"header", 0, OPTION_CHOICE, offsetof(struct command_options, read.header),
     "auto|yes|no", "edges: is the first line a header? (default: auto)"},
    {"max-errors", 'e', OPTION_COUNT,
     offsetof(struct command_options, errors_max), "N",
     "leave out up to N elements that are wrong (default:\n0, the first one "
     "ends it)"},
    {"memory-limit", 0, OPTION_COUNT,
     offsetof(struct command_options, memory_limit), "BYTES",
     "give up beyond this much memory (default: none)"},
    {"batch", 0, OPTION_COUNT, offsetof(struct command_options, batch), "N",
     "elements in a frame of --to-terms (default: 5000)"},
    {NULL, 0, 0, 0, NULL, NULL},
};

static int run(int argc, char **argv)
{
    struct command_options options = {.batch = BATCH_DEFAULT};
    struct import import = {
        .options = &options,
        .name = BUFFER(cli_mem()),
        .key = BUFFER(cli_mem()),
        .weight = BUFFER(cli_mem()),
        .input = {.fd = -1},
        .status = -1,
    };
    struct operands operands;
    int status =
        options_parse(&subcommand_import, argc, argv, &options, &operands);

    if (status >= 0)
        return status;
    status = check_options(&import, &operands);
    if (status < 0)
        status = read_name(&import);
    if (status < 0)
        status = read_weight(&import);
    if (status < 0) {
        target_init(&import.target, NULL,
                    options.to_terms ? buffer_bytes(&import.name)
                                     : bytes_of(NULL, 0),
                    options.batch);
        import.total = total_bytes(&import);
        status = options.to_terms ? import_to_terms(&import)
                                  : import_into_store(&import);
        target_deinit(&import.target);
        offline_close(&import.offline);
    }
    buffer_free(&import.name);
    buffer_free(&import.key);
    buffer_free(&import.weight);
    return output_status(status);
}

const struct subcommand subcommand_import = {
    .name = "import",
    .summary = "read files as a graph: edge lists, CSV, JSON, GraphML ...",
    .run = run,
    .operands = "FORMAT FILE ...",
    .operands_min = 1,
    .operands_max = 10000,
    .words = "edges|neo4j|jsonl|graphml|mtx",
    .text =
        "Reads files of one format, plain or compressed with gzip, and puts "
        "what they\nhold into a graph of a store that no daemon has open, in "
        "one step: after an\nerror or an interruption the store is as it was. "
        "An element that comes twice\ncounts as it came last. With --to-terms "
        "a client of a running store gets it\ninstead, as frames on stdout.\n"
        "\n"
        "  edges    an edge a line: from, to, and a label or a value; SNAP's "
        "lists, CSV\n"
        "  neo4j    files with the headers of neo4j-admin import, in any "
        "order\n"
        "  jsonl    a JSON object a line; all terms, exactly\n"
        "  graphml  XML\n"
        "  mtx      Matrix Market, coordinates\n"
        "\n"
        "exit status: 0, 64 usage, 65 the input is wrong, 71 no memory, 74 "
        "reading or\nwriting failed, 75 a process has the store open, 78 the "
        "log is damaged\n",
    .examples =
        "  rhizome import edges web-Google.txt.gz --dir data --graph web\n"
        "  rhizome import neo4j people.csv knows.csv -d data -g social\n"
        "  rhizome import jsonl --to-terms --graph g - <g.jsonl | client\n",
    .rows = rows,
};
