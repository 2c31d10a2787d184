/*
 * export.c -- `rhizome export`: a graph as a file that others read.
 *
 *     --dir         the store is rebuilt in memory, as `rhizome dump` does it;
 *                   a daemon may be at work in the directory
 *     --from-terms  elements come from a client, as frames on stdin
 *
 * Writers of formats (format_*.c) ask for the elements as often as they need
 * to: most formats want to be told first which columns there are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "cli/elements.h"
#include "cli/progress.h"
#include "cli/rebuild.h"
#include "cli/sink.h"
#include "cli/subcommands.h"
#include "cli/term.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/key.h"

#define REPORT_EVERY 4096
#define GZIP_BYTES ((size_t)128 << 10)

struct command_options {
    struct common_options common;
    const char *dir;
    const char *graph;
    bool from_terms;
    bool gzip;
    uint64_t until;
    unsigned direction; /* of elements from a client */
    struct write_options write;
};

struct export
{
    const struct command_options *options;
    const struct format *format;
    const char *path; /* NULL: stdout */
    bool gzip;
    struct source source;
    struct rebuild rebuild;
    struct graph graph;
    struct elements elements;
    struct sink sink;
    z_stream stream;
    uint8_t *packed; /* GZIP_BYTES; NULL: nothing is compressed */

    uint64_t inexact;
    uint64_t left_out;
    uint64_t contracted; /* vertices that stand for others */
    bool in_element;     /* a writer has one, and */
    bool is_inexact;     /* has said so of it */
    bool direction_lost;
    uint64_t bytes; /* before compression */
    uint64_t total; /* elements of a round; 0: not known */
    uint64_t done;
    struct meter meter;
    int status;

    void *context;
    void (*each)(void *context, const struct element_terms *element);
};

/* --- for writers ---------------------------------------------------------- */

const struct write_options *export_options(const struct export *export)
{
    return &export->options->write;
}

bool export_is_undirected(const struct export *export)
{
    return export->options->direction == DIRECTION_AUTO
               ? export->elements.undirected
               : export->options->direction == DIRECTION_UNDIRECTED;
}

struct bytes export_weight(const struct export *export)
{
    return buffer_bytes(&export->elements.weight);
}

void export_inexact(struct export *export)
{
    if (!export->in_element || !export->is_inexact)
        export->inexact++;
    export->is_inexact = true;
}

void export_left_out(struct export *export)
{
    export->left_out++;
}

void export_direction_lost(struct export *export)
{
    export->direction_lost = true;
}

int export_status(const struct export *export)
{
    return export->elements.status ? export->elements.status : EXIT_STOPPED;
}

static bool give(void *context, const struct element_terms *element)
{
    struct export *export = context;

    export->in_element = true;
    export->is_inexact = false;
    export->each(export->context, element);
    export->in_element = false;
    if (++export->done % REPORT_EVERY == 0) {
        meter_report(&export->meter, export->done, export->total);
        return !sink_broken(&export->sink);
    }
    return true;
}

bool export_each(struct export *export, void *context,
                 void (*each)(void *context,
                              const struct element_terms *element))
{
    export->context = context;
    export->each = each;
    export->done = 0;
    return elements_each(&export->elements, export, give);
}

/* --- where it goes -------------------------------------------------------- */

static void begin_gzip(struct export *export)
{
    export->packed = malloc(GZIP_BYTES);
    export->stream = (z_stream){.zalloc = Z_NULL};
    if (!export->packed ||
        deflateInit2(&export->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                     15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        text_no_memory();
}

static void pack(struct export *export, struct bytes bytes, int flush)
{
    z_stream *stream = &export->stream;

    stream->next_in = (uint8_t *)(uintptr_t)bytes.data;
    stream->avail_in = (unsigned)bytes.size;
    do {
        stream->next_out = export->packed;
        stream->avail_out = GZIP_BYTES;
        deflate(stream, flush);
        sink_bytes(&export->sink,
                   bytes_of(export->packed, GZIP_BYTES - stream->avail_out));
    } while (!stream->avail_out);
}

void export_bytes(struct export *export, struct bytes bytes)
{
    export->bytes += bytes.size;
    if (!export->packed) {
        sink_bytes(&export->sink, bytes);
        return;
    }
    while (bytes.size) {
        size_t size = bytes.size < (64u << 20) ? bytes.size : 64u << 20;

        pack(export, bytes_of(bytes.data, size), Z_NO_FLUSH);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
}

int export_open(struct export *export, const char *name)
{
    struct buffer path = BUFFER(cli_mem());
    int status;

    if (name) {
        const char *end = export->path + strlen(export->path);

        text_format(&path, "%s%s%s%s", export->path,
                    end > export->path && end[-1] == '/' ? "" : "/", name,
                    export->gzip ? ".gz" : "");
    }
    status = sink_open(&export->sink, name ? text_string(&path) : export->path);
    if (status < 0 && export->gzip)
        begin_gzip(export);
    buffer_free(&path);
    return status;
}

int export_close(struct export *export, bool complete)
{
    if (export->packed) {
        if (complete)
            pack(export, bytes_of("", 0), Z_FINISH);
        deflateEnd(&export->stream);
        free(export->packed);
        export->packed = NULL;
    }
    return sink_close(&export->sink, complete);
}

/* --- all of it ------------------------------------------------------------ */

static int make_directory(struct export *export)
{
    if (!export->format->needs_directory)
        return -1;
    if (!export->path)
        return wrong_usage(&subcommand_export,
                           "%s is several files; name a directory for them",
                           export->format->name);
    if (mkdir(export->path, 0777) == 0 || errno == EEXIST)
        return -1;
    return complain_io(export->path, "cannot be made", errno);
}

static void put_facts(const struct export *export, double seconds)
{
    struct facts facts;

    facts_begin(&facts);
    facts_text(&facts, "file", export->path);
    facts_u64(&facts, "elements", export->done);
    facts_size(&facts, "bytes", export->bytes);
    facts_u64(&facts, "inexact", export->inexact);
    facts_u64(&facts, "left_out", export->left_out + export->contracted);
    facts_double(&facts, "seconds", seconds, 3);
    facts_end(&facts);
}

static void note_losses(const struct export *export)
{
    if (export->inexact)
        note("%" PRIu64 " elements hold what %s has no form for; import reads "
             "something else back, and jsonl keeps all",
             export->inexact, export->format->name);
    if (export->left_out)
        note("%" PRIu64 " elements are left out", export->left_out);
    if (export->contracted)
        note("%" PRIu64 " vertices stand for others; what they stand for is "
             "not exported",
             export->contracted);
    if (export->direction_lost)
        note("the graph is undirected, which %s does not say; import it with "
             "--direction undirected",
             export->format->name);
}

static int write_all(struct export *export)
{
    double begun = rebuild_clock();
    int status = make_directory(export);

    if (status >= 0)
        return status;
    meter_start(&export->meter, "exporting", false, &export->options->common);
    status = export->format->write(export);
    meter_stop(&export->meter);
    if (status >= 0)
        return status;
    note_losses(export);
    if (export->path)
        put_facts(export, rebuild_clock() - begun);
    return EXIT_STOPPED;
}

static int rebuild_store(struct export *export)
{
    int status;

    meter_start(&export->meter, "reading", true, &export->options->common);
    status = rebuild_run(&export->source, true, export->options->until,
                         &export->meter, &export->rebuild);
    meter_stop(&export->meter);
    if (status >= 0)
        return status;
    /* What looks torn may be what a daemon is writing just now. */
    if (export->rebuild.live &&
        export->rebuild.recovery.verdict == RECOVERY_TORN)
        return -1;
    return source_verdict(&export->source, &export->rebuild.recovery);
}

static int find_graph(struct export *export)
{
    const char *text = export->options->graph;
    struct store *store = export->rebuild.store;
    struct buffer name = BUFFER(cli_mem());
    struct buffer key = BUFFER(cli_mem());
    struct table *table = NULL;
    int status = -1;

    if (!term_read(&name, text) || key_encode(buffer_bytes(&name), &key) < 0)
        status = wrong_usage(&subcommand_export,
                             "--graph takes an Erlang term, not `%s`", text);
    else
        table = store_find(store, buffer_bytes(&key));
    buffer_free(&name);
    buffer_free(&key);
    if (status >= 0)
        return status;
    if (!table || table_type(table) != TABLE_GRAPH) {
        complain("%s: %s `%s`", export->options->dir,
                 table ? "this table is no graph:" : "there is no graph", text);
        return EXIT_USAGE;
    }
    if (graph_open(store, table, &export->graph) < 0) {
        complain("%s: the graph `%s` lacks a part", export->options->dir, text);
        return EXIT_DAMAGED;
    }
    return -1;
}

static int export_of_store(struct export *export)
{
    char *path = (char *)(uintptr_t) export->options->dir;
    struct operands paths = {&path, 1};
    int status = source_open(&subcommand_export, &paths, SOURCE_NO_FILE,
                             &export->source);

    if (status < 0)
        status = rebuild_store(export);
    if (status < 0)
        status = find_graph(export);
    if (status >= 0)
        return status;
    elements_of_graph(&export->elements, &export->graph);
    export->total =
        graph_vertex_count(&export->graph) + graph_edge_count(&export->graph);
    export->contracted = table_count(export->graph.parts[GRAPH_CONTRACTED]);
    return write_all(export);
}

/* Formats that begin to write at once need their elements only once. */
static bool reads_again(const struct format *format)
{
    return strcmp(format->name, "jsonl") != 0 &&
           strcmp(format->name, "dot") != 0;
}

static int export_of_frames(struct export *export)
{
    int status =
        elements_of_frames(&export->elements, reads_again(export->format));

    return status < 0 ? write_all(export) : status;
}

/* --- options -------------------------------------------------------------- */

static bool ends_in_gz(const char *path)
{
    size_t size = path ? strlen(path) : 0;

    return size > 3 && strcmp(path + size - 3, ".gz") == 0;
}

static int check_options(struct export *export, const struct operands *operands)
{
    const struct command_options *options = export->options;
    const struct subcommand *self = &subcommand_export;

    export->format = format_find(operands->items[0]);
    if (!export->format)
        return wrong_usage(self, "`%s` is no format that is written",
                           operands->items[0]);
    export->path = operands->count > 1 ? operands->items[1] : NULL;
    if (export->path && strcmp(export->path, "-") == 0)
        export->path = NULL;
    export->gzip = options->gzip || ends_in_gz(export->path);
    if (options->from_terms == (options->dir != NULL))
        return wrong_usage(self, options->from_terms
                                     ? "--from-terms takes no --dir"
                                     : "--dir DIR or --from-terms is needed");
    if (options->dir && !options->graph)
        return wrong_usage(self, "--graph NAME is missing");
    if (export->gzip && !export->path && isatty(STDOUT_FILENO))
        return wrong_usage(self, "what is compressed is binary, and stdout is "
                                 "a terminal");
    if (options->write.delimiter && !write_delimiter(options->write.delimiter))
        return wrong_usage(self,
                           "--delimiter is tab, comma, semicolon, bar or a "
                           "character, not `%s`",
                           options->write.delimiter);
    return -1;
}

static const struct option_row rows[] = {
    {"dir", 'd', OPTION_FILE, offsetof(struct command_options, dir), "DIR",
     "the store's directory"},
    {"graph", 'g', OPTION_TEXT, offsetof(struct command_options, graph), "NAME",
     "the graph, an Erlang term"},
    {"from-terms", 0, OPTION_FLAG, offsetof(struct command_options, from_terms),
     NULL,
     "read frames of elements from stdin, from a client\nof a running store"},
    {"gzip", 'z', OPTION_FLAG, offsetof(struct command_options, gzip), NULL,
     "compress it, as a FILE that ends in .gz always is"},
    {"until", 'u', OPTION_COUNT, offsetof(struct command_options, until), "SEQ",
     "the graph as it was behind this mutation"},
    {"direction", 0, OPTION_CHOICE, offsetof(struct command_options, direction),
     "auto|directed|undirected",
     "write it as such (default: auto, what the graph is)"},
    {"delimiter", 0, OPTION_TEXT,
     offsetof(struct command_options, write.delimiter), "CHARACTER",
     "edges: tab, comma, semicolon, bar, or a character\n(default: tab)"},
    {"no-header", 0, OPTION_FLAG,
     offsetof(struct command_options, write.no_header), NULL,
     "edges: without the names of columns"},
    {"limit", 0, OPTION_COUNT, offsetof(struct command_options, write.limit),
     "N", "dot: the first N vertices and N edges only"},
    {NULL, 0, 0, 0, NULL, NULL},
};

static int run(int argc, char **argv)
{
    struct command_options options = {.until = UINT64_MAX};
    struct export export = {
        .options = &options,
    };
    struct operands operands;
    int status =
        options_parse(&subcommand_export, argc, argv, &options, &operands);

    if (status >= 0)
        return status;
    status = check_options(&export, &operands);
    if (status < 0) {
        status = options.from_terms ? export_of_frames(&export)
                                    : export_of_store(&export);
        elements_free(&export.elements);
        rebuild_free(&export.rebuild);
        source_close(&export.source);
    }
    return output_status(status);
}

const struct subcommand subcommand_export = {
    .name = "export",
    .summary = "a graph as an edge list, CSV, JSON, GraphML, DOT ...",
    .run = run,
    .operands = "FORMAT [FILE]",
    .operands_min = 1,
    .operands_max = 2,
    .words = "edges|neo4j|jsonl|graphml|mtx|dot",
    .text =
        "Writes a graph of a store (a daemon may be at work in its directory) "
        "to FILE,\nwhich appears when it is complete, or to stdout. With "
        "--from-terms the elements\ncome from a client, as frames on stdin.\n"
        "\n"
        "  edges    an edge a line: from, to, label, value; without lonely "
        "vertices\n"
        "  neo4j    FILE is a directory, for nodes.csv and "
        "relationships.csv\n"
        "  jsonl    a JSON object a line; all terms, exactly\n"
        "  graphml  XML\n"
        "  mtx      Matrix Market; vertices are integers from 1 on\n"
        "  dot      for Graphviz\n"
        "\n"
        "What a format has no form for is written as text and counted; jsonl "
        "has one\nfor everything.\n"
        "\n"
        "exit status: 0, 1 the log is damaged, 64 usage, 65 no store or no "
        "frames, 71 no\nmemory, 74 reading or writing failed\n",
    .examples =
        "  rhizome export jsonl -d data -g social social.jsonl.gz\n"
        "  rhizome export neo4j -d data -g social csv/\n"
        "  rhizome export dot --limit 500 -d data -g social | dot -Tsvg\n",
    .rows = rows,
};
