/*
 * format_mtx.c -- Matrix Market, the coordinates of a sparse matrix.
 *
 *     %%MatrixMarket matrix coordinate real general
 *     % comments
 *     3 3 2                 rows, columns, entries
 *     1 2 0.5               an edge from 1 to 2 with the value 0.5
 *     2 3 1e3
 *
 * Vertices are the integers from 1 to the number of rows. Where there are more
 * columns or fewer, the matrix stands between two sets: its columns go on
 * counting behind the rows. A field of `pattern` has no values. A symmetric
 * matrix is an undirected graph; in a directed one each of its entries off the
 * diagonal is two edges, with the sign turned if it is skew-symmetric.
 *
 * A head may promise billions of vertices in a line: those without an edge
 * come only if they are not many more than the entries.
 */
#include <ctype.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/csv.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/term_parts.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"

#define BANNER "%%MatrixMarket"

/* How many vertices without an edge may come. */
#define LONELY_MIN 1000000
#define LONELY_PER_ENTRY 16

enum field { FIELD_PATTERN, FIELD_INTEGER, FIELD_REAL };
enum symmetry { SYMMETRY_GENERAL, SYMMETRY_SYMMETRIC, SYMMETRY_SKEW };

struct mtx_reader {
    struct import *import;
    struct csv csv;
    enum field field;
    enum symmetry symmetry;
    bool undirected;
    uint64_t rows;
    uint64_t columns;
    uint64_t entries;
    uint64_t seen;
    int64_t shift; /* of columns */
    struct buffer value;
};

/* --- the head ------------------------------------------------------------- */

static bool is_word(const struct csv *csv, size_t i, const char *word)
{
    return i < csv->count && csv->fields[i].text.size == strlen(word) &&
           strncasecmp((const char *)csv->fields[i].text.data, word,
                       strlen(word)) == 0;
}

/* The words behind the banner. */
static bool take_banner(struct mtx_reader *reader)
{
    const struct csv *csv = &reader->csv;
    const char *wrong = NULL;
    size_t at = 0;

    if (csv->count != 5 || !is_word(csv, 1, "matrix"))
        return import_broken(reader->import, csv->line, 1,
                             "the first line is " BANNER
                             " matrix coordinate FIELD SYMMETRY");
    if (!is_word(csv, 2, "coordinate")) {
        at = 2;
        wrong = "only coordinates are read, no dense array";
    } else if (is_word(csv, 3, "pattern")) {
        reader->field = FIELD_PATTERN;
    } else if (is_word(csv, 3, "integer")) {
        reader->field = FIELD_INTEGER;
    } else if (is_word(csv, 3, "real")) {
        reader->field = FIELD_REAL;
    } else {
        at = 3;
        wrong = "the field is pattern, integer or real";
    }
    if (wrong)
        return import_broken(reader->import, csv->line, csv->fields[at].column,
                             "%s", wrong);
    if (is_word(csv, 4, "general"))
        reader->symmetry = SYMMETRY_GENERAL;
    else if (is_word(csv, 4, "symmetric"))
        reader->symmetry = SYMMETRY_SYMMETRIC;
    else if (is_word(csv, 4, "skew-symmetric"))
        reader->symmetry = SYMMETRY_SKEW;
    else
        return import_broken(reader->import, csv->line, csv->fields[4].column,
                             "the symmetry is general, symmetric or "
                             "skew-symmetric");
    return true;
}

static bool take_count(struct mtx_reader *reader, size_t i, uint64_t *ret)
{
    const struct csv_field *field = &reader->csv.fields[i];
    int64_t integer;
    double value;

    if (number_read(field->text, true, &integer, &value) != NUMBER_INTEGER ||
        integer < 0)
        return import_broken(reader->import, reader->csv.line, field->column,
                             "this is no count of rows, columns or entries");
    *ret = (uint64_t)integer;
    return true;
}

static bool put_lonely(struct mtx_reader *reader)
{
    uint64_t count =
        reader->shift ? reader->rows + reader->columns : reader->rows;

    if (count > LONELY_MIN && count / LONELY_PER_ENTRY > reader->entries) {
        note("%s: %" PRIu64 " vertices and %" PRIu64
             " entries; vertices without an edge are left out",
             reader->csv.input->name, count, reader->entries);
        return true;
    }
    for (uint64_t i = 1; i <= count; i++) {
        struct vertex vertex = {VERTEX_INTEGER, (int64_t)i, {NULL, 0}};

        if (!import_vertex(reader->import, reader->csv.line, 1, &vertex,
                           bytes_of(NULL, 0), NULL, 0))
            return false;
    }
    return true;
}

static bool take_size(struct mtx_reader *reader)
{
    const struct csv *csv = &reader->csv;

    if (csv->count != 3)
        return import_broken(reader->import, csv->line, 1,
                             "the numbers of rows, columns and entries are "
                             "expected");
    if (!take_count(reader, 0, &reader->rows) ||
        !take_count(reader, 1, &reader->columns) ||
        !take_count(reader, 2, &reader->entries))
        return false;
    if (reader->rows > INT64_MAX / 2 || reader->columns > INT64_MAX / 2)
        return import_broken(reader->import, csv->line, 1,
                             "that many rows or columns cannot be counted");
    if (reader->rows != reader->columns) {
        if (reader->symmetry != SYMMETRY_GENERAL)
            return import_broken(reader->import, csv->line, 1,
                                 "a symmetric matrix has as many rows as "
                                 "columns");
        reader->shift = (int64_t)reader->rows;
    }
    import_declare(reader->import, reader->symmetry == SYMMETRY_SYMMETRIC,
                   bytes_of(NULL, 0));
    reader->undirected = import_is_undirected(reader->import);
    return put_lonely(reader);
}

/* --- entries -------------------------------------------------------------- */

static bool take_index(struct mtx_reader *reader, size_t i, uint64_t limit,
                       int64_t *ret, bool *ret_go_on)
{
    const struct csv_field *field = &reader->csv.fields[i];
    double value;

    if (number_read(field->text, true, ret, &value) == NUMBER_INTEGER &&
        *ret >= 1 && (uint64_t)*ret <= limit)
        return true;
    *ret_go_on = import_wrong(reader->import, reader->csv.line, field->column,
                              "the %s is from 1 to %" PRIu64,
                              i ? "column" : "row", limit);
    return false;
}

static void put_number(struct mtx_reader *reader, int64_t integer, double value,
                       bool is_float, bool turned)
{
    reader->value.size = 0;
    if (is_float)
        term_put_float(&reader->value, turned ? -value : value);
    else
        term_put_integer(&reader->value, turned ? -integer : integer);
}

static bool take_entry(struct mtx_reader *reader)
{
    const struct csv *csv = &reader->csv;
    bool pattern = reader->field == FIELD_PATTERN;
    struct vertex from = {.kind = VERTEX_INTEGER};
    struct vertex to = {.kind = VERTEX_INTEGER};
    enum number_kind kind;
    int64_t integer = 0;
    double value = 0;
    bool go_on;

    if (csv->count != (pattern ? 2u : 3u))
        return import_wrong(
            reader->import, csv->line, 1, "%zu fields, and an entry has %s",
            csv->count, pattern ? "2: row, column" : "3: row, column, value");
    if (!take_index(reader, 0, reader->rows, &from.integer, &go_on) ||
        !take_index(reader, 1, reader->columns, &to.integer, &go_on))
        return go_on;
    to.integer += reader->shift;
    reader->value.size = 0;
    if (!pattern) {
        kind = number_read(csv->fields[2].text, true, &integer, &value);
        if (kind == NUMBER_INTEGER && reader->field == FIELD_REAL) {
            kind = NUMBER_FLOAT;
            value = (double)integer;
        }
        if (kind !=
            (reader->field == FIELD_REAL ? NUMBER_FLOAT : NUMBER_INTEGER))
            return import_wrong(reader->import, csv->line,
                                csv->fields[2].column,
                                reader->field == FIELD_REAL
                                    ? "the value is no finite number"
                                    : "the value is no integer of 64 bits");
        if (integer == INT64_MIN && reader->symmetry == SYMMETRY_SKEW)
            return import_wrong(reader->import, csv->line,
                                csv->fields[2].column,
                                "the value cannot be turned");
        put_number(reader, integer, value, kind == NUMBER_FLOAT, false);
    }
    if (!import_edge(reader->import, csv->line, 1, &from, &to,
                     bytes_of(NULL, 0), buffer_bytes(&reader->value)))
        return false;
    if (reader->symmetry == SYMMETRY_GENERAL || reader->undirected ||
        from.integer == to.integer)
        return true;
    if (reader->symmetry == SYMMETRY_SKEW && !pattern)
        put_number(reader, integer, value, reader->field == FIELD_REAL, true);
    return import_edge(reader->import, csv->line, 1, &to, &from,
                       bytes_of(NULL, 0), buffer_bytes(&reader->value));
}

static bool is_comment(struct bytes line)
{
    return !line.size || line.data[0] == '%';
}

static bool take_line(struct mtx_reader *reader, struct bytes line,
                      bool *in_entries)
{
    const char *wrong;

    if (reader->csv.input->line == 1) {
        if (line.size < strlen(BANNER) ||
            memcmp(line.data, BANNER, strlen(BANNER)) != 0)
            return import_broken(reader->import, 1, 1,
                                 "this does not begin with " BANNER);
    } else if (is_comment(line)) {
        return true;
    }
    wrong = csv_split(&reader->csv, line);
    if (wrong)
        return import_broken(reader->import, reader->csv.line,
                             reader->csv.column, "%s", wrong);
    if (reader->csv.input->line == 1)
        return take_banner(reader);
    if (!reader->csv.count)
        return true;
    if (!*in_entries) {
        *in_entries = true;
        return take_size(reader);
    }
    if (++reader->seen > reader->entries)
        return import_wrong(reader->import, reader->csv.line, 1,
                            "the head promises %" PRIu64 " entries, and this "
                            "is one more",
                            reader->entries);
    return take_entry(reader);
}

static bool read_lines(struct mtx_reader *reader)
{
    struct input *input = reader->csv.input;
    struct bytes line;
    bool in_entries = false;

    for (;;) {
        switch (input_line(input, &line)) {
        case INPUT_END:
            if (in_entries && reader->seen >= reader->entries)
                return true;
            return import_broken(reader->import, input->line, 0,
                                 "the file is cut off: %" PRIu64 " of %" PRIu64
                                 " entries are there",
                                 reader->seen, reader->entries);
        case INPUT_FAULT:
            return import_fault(reader->import);
        case INPUT_GIVEN:
            if (!take_line(reader, line, &in_entries))
                return false;
        }
    }
}

bool mtx_read(struct import *import)
{
    struct mtx_reader reader = {.import = import, .value = BUFFER(cli_mem())};
    bool good;

    csv_init(&reader.csv, import_input(import), CSV_SPACES);
    good = read_lines(&reader);
    csv_deinit(&reader.csv);
    buffer_free(&reader.value);
    return good;
}

/* --- writing -------------------------------------------------------------- */

struct mtx_writer {
    struct export *export;
    int64_t greatest; /* the number of rows */
    uint64_t edges;   /* those that a matrix can have */
    bool values;      /* one has a number, */
    bool floats;      /* and one a float */
    bool undirected;
    struct buffer line;
};

/* Row or column; 0: a matrix has no such one. */
static int64_t index_of(struct bytes vertex)
{
    switch (vertex.data[0]) {
    case ETF_SMALL_INTEGER:
        return vertex.data[1];
    case ETF_INTEGER:
        return (int32_t)load_be32(vertex.data + 1);
    default:
        return 0;
    }
}

static enum number_kind kind_of(struct bytes value)
{
    struct big big;

    switch (value.data[0]) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
        return NUMBER_INTEGER;
    case ETF_NEW_FLOAT:
        return NUMBER_FLOAT;
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG:
        read_big(value.data, &big);
        return big.size < 8 || (big.size == 8 && big.bytes[7] < 0x80)
                   ? NUMBER_INTEGER
                   : NUMBER_BIG;
    default:
        return NUMBER_NONE;
    }
}

/* An integer beyond 64 bits as the nearest number that a matrix has. */
static void put_big(struct mtx_writer *writer, struct bytes value)
{
    struct big big;
    double sum = 0;

    read_big(value.data, &big);
    for (size_t i = big.size; i > 0; i--)
        sum = sum * 256 + big.bytes[i - 1];
    if (!isfinite(sum))
        sum = DBL_MAX;
    text_float(&writer->line, big.negative ? -sum : sum);
}

static bool has_place(const struct element_terms *element)
{
    return index_of(element->vertex) > 0 &&
           (!element->is_edge || index_of(element->to) > 0);
}

static void survey(void *context, const struct element_terms *element)
{
    struct mtx_writer *writer = context;
    int64_t from = index_of(element->vertex);
    int64_t to = element->is_edge ? index_of(element->to) : from;
    enum number_kind kind;

    if (!has_place(element))
        return;
    if (from > writer->greatest)
        writer->greatest = from;
    if (to > writer->greatest)
        writer->greatest = to;
    if (!element->is_edge)
        return;
    writer->edges++;
    kind = kind_of(element->value);
    writer->values |= kind != NUMBER_NONE;
    writer->floats |= kind == NUMBER_FLOAT || kind == NUMBER_BIG;
}

/* The value as a number of the matrix's field; what has none weighs 1. */
static void put_value(struct mtx_writer *writer, struct bytes value)
{
    enum number_kind kind = kind_of(value);

    text_byte(&writer->line, ' ');
    if (kind == NUMBER_BIG)
        put_big(writer, value);
    else if (kind == NUMBER_NONE)
        text_append(&writer->line, "1");
    else
        format_put_text(&writer->line, value);
    if (writer->floats && (kind == NUMBER_INTEGER || kind == NUMBER_NONE))
        text_append(&writer->line, ".0");
    if (kind != (writer->floats ? NUMBER_FLOAT : NUMBER_INTEGER))
        export_inexact(writer->export);
}

static void put_edge(void *context, const struct element_terms *element)
{
    struct mtx_writer *writer = context;
    int64_t from = index_of(element->vertex);
    int64_t to = element->is_edge ? index_of(element->to) : 0;

    if (!has_place(element)) {
        export_left_out(writer->export);
        return;
    }
    if (!element->is_edge) {
        if (!graph_is_nil(element->value) || element->labels.data[0] != ETF_NIL)
            export_inexact(writer->export);
        return;
    }
    /* Of a symmetric matrix the lower half is written. */
    if (writer->undirected && from < to) {
        int64_t other = from;

        from = to;
        to = other;
    }
    writer->line.size = 0;
    text_format(&writer->line, "%" PRId64 " %" PRId64, from, to);
    if (writer->values)
        put_value(writer, element->value);
    else if (!graph_is_nil(element->value))
        export_inexact(writer->export);
    if (!graph_is_nil(element->label))
        export_inexact(writer->export);
    text_byte(&writer->line, '\n');
    export_bytes(writer->export, buffer_bytes(&writer->line));
}

int mtx_write(struct export *export)
{
    struct mtx_writer writer = {
        .export = export,
        .undirected = export_is_undirected(export),
        .line = BUFFER(cli_mem()),
    };
    bool good = export_each(export, &writer, survey);
    int status = good ? export_open(export, NULL) : export_status(export);

    if (status < 0) {
        text_append(&writer.line, BANNER);
        text_format(&writer.line,
                    " matrix coordinate %s %s\n%" PRId64 " %" PRId64 " %" PRIu64
                    "\n",
                    !writer.values  ? "pattern"
                    : writer.floats ? "real"
                                    : "integer",
                    writer.undirected ? "symmetric" : "general",
                    writer.greatest, writer.greatest, writer.edges);
        export_bytes(export, buffer_bytes(&writer.line));
        good = export_each(export, &writer, put_edge);
        status = export_close(export, good);
        if (status < 0 && !good)
            status = export_status(export);
    }
    buffer_free(&writer.line);
    return status;
}
