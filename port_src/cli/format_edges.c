/*
 * format_edges.c -- a list of edges: a line each, as SNAP and most others
 * give them away.
 *
 *     # FromNodeId  ToNodeId         comments begin with # or %
 *     0    1
 *     0    2    knows    0.5         from, to, label, value
 *
 * The delimiter is looked for in the first line that is data: a tab, a comma,
 * a semicolon, a bar, else spaces. That line is a header if its first two
 * fields are names that headers have. Without one two columns are from and to,
 * a third is a value if it is a number there and a label otherwise, and four
 * are all there are.
 *
 * Lines that begin with two integers and have nothing else, or an integer as
 * value, are read by scan_integers(), a byte at a time with nothing copied:
 * that is where the time of large files goes. All others are split by csv.c.
 */
#include <ctype.h>
#include <strings.h>

#include "cli/csv.h"
#include "cli/format.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"

enum column { COLUMN_FROM, COLUMN_TO, COLUMN_LABEL, COLUMN_VALUE, COLUMN_SKIP };

#define COLUMNS_MAX 64

struct layout {
    enum column columns[COLUMNS_MAX];
    size_t count;
    bool integers; /* from, to, and at most a value: scan_integers() may */
};

struct edges_reader {
    struct import *import;
    struct csv csv;
    struct layout layout;
    struct buffer from;
    struct buffer to;
    struct buffer label;
    struct buffer value;
};

/* --- the layout ----------------------------------------------------------- */

static const struct {
    const char *name;
    enum column column;
} column_names[] = {
    {"from", COLUMN_FROM},
    {"source", COLUMN_FROM},
    {"src", COLUMN_FROM},
    {"start", COLUMN_FROM},
    {"fromnodeid", COLUMN_FROM},
    {"from_id", COLUMN_FROM},
    {"source_id", COLUMN_FROM},
    {"u", COLUMN_FROM},
    {"id1", COLUMN_FROM},
    {"node1", COLUMN_FROM},
    {"node_1", COLUMN_FROM},
    {"to", COLUMN_TO},
    {"target", COLUMN_TO},
    {"dst", COLUMN_TO},
    {"destination", COLUMN_TO},
    {"dest", COLUMN_TO},
    {"end", COLUMN_TO},
    {"tonodeid", COLUMN_TO},
    {"to_id", COLUMN_TO},
    {"target_id", COLUMN_TO},
    {"v", COLUMN_TO},
    {"id2", COLUMN_TO},
    {"node2", COLUMN_TO},
    {"node_2", COLUMN_TO},
    {"label", COLUMN_LABEL},
    {"type", COLUMN_LABEL},
    {"relation", COLUMN_LABEL},
    {"relationship", COLUMN_LABEL},
    {"value", COLUMN_VALUE},
    {"weight", COLUMN_VALUE},
    {"w", COLUMN_VALUE},
    {"score", COLUMN_VALUE},
    {"timestamp", COLUMN_VALUE},
    {"time", COLUMN_VALUE},
    {"rating", COLUMN_VALUE},
    {"-", COLUMN_SKIP},
};

static bool find_column(struct bytes name, enum column *ret)
{
    char text[32];

    if (name.size >= sizeof(text))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    for (size_t i = 0; i < sizeof(column_names) / sizeof(column_names[0]);
         i++) {
        if (strcasecmp(text, column_names[i].name) == 0) {
            *ret = column_names[i].column;
            return true;
        }
    }
    return false;
}

/* Adds a column; what is wrong with it, or NULL. */
static const char *add_column(struct layout *layout, enum column column)
{
    for (size_t i = 0; i < layout->count; i++) {
        if (layout->columns[i] == column && column != COLUMN_SKIP)
            return "stands for the same as one before it";
    }
    if (layout->count == COLUMNS_MAX)
        return "is one column too many";
    layout->columns[layout->count++] = column;
    return NULL;
}

/* Whether from and to are there; and may lines be scanned as integers? */
static bool settle_layout(struct layout *layout, enum ids ids)
{
    bool from = false;
    bool to = false;

    for (size_t i = 0; i < layout->count; i++) {
        from |= layout->columns[i] == COLUMN_FROM;
        to |= layout->columns[i] == COLUMN_TO;
    }
    layout->integers =
        ids != IDS_STRING && layout->count >= 2 && layout->count <= 3 &&
        layout->columns[0] == COLUMN_FROM && layout->columns[1] == COLUMN_TO &&
        (layout->count == 2 || layout->columns[2] == COLUMN_VALUE);
    return from && to;
}

/* --columns from,to,-,value */
static bool layout_of_option(struct edges_reader *reader, const char *text)
{
    struct import *import = reader->import;
    const char *at = text;

    for (;;) {
        size_t size = strcspn(at, ",");
        enum column column;
        const char *wrong = "is no column that is known";

        if (find_column(bytes_of(at, size), &column))
            wrong = add_column(&reader->layout, column);
        if (wrong)
            return import_broken(import, 0, 0,
                                 "--columns: `%.*s` %s; they are from, to, "
                                 "label, value, and - to leave one out",
                                 (int)size, at, wrong);
        if (!at[size])
            break;
        at += size + 1;
    }
    if (!settle_layout(&reader->layout, import_options(import)->ids))
        return import_broken(import, 0, 0, "--columns needs from and to");
    return true;
}

static bool is_header(const struct csv *csv)
{
    enum column first;
    enum column second;

    return csv->count >= 2 && find_column(csv->fields[0].text, &first) &&
           find_column(csv->fields[1].text, &second);
}

static bool layout_of_header(struct edges_reader *reader)
{
    struct csv *csv = &reader->csv;
    struct import *import = reader->import;

    for (size_t i = 0; i < csv->count; i++) {
        const struct csv_field *field = &csv->fields[i];
        enum column column;
        const char *wrong = "is no column that is known; name those of this "
                            "file with --columns, - leaves one out";

        if (find_column(field->text, &column))
            wrong = add_column(&reader->layout, column);
        if (wrong)
            return import_broken(import, csv->line, field->column, "`%.*s` %s",
                                 (int)(field->text.size & 0xff),
                                 field->text.data, wrong);
    }
    if (!settle_layout(&reader->layout, import_options(import)->ids))
        return import_broken(import, csv->line, 1,
                             "the header does not name from and to; name the "
                             "columns with --columns");
    return true;
}

/* By how many fields the first line has. */
static bool layout_of_data(struct edges_reader *reader)
{
    struct csv *csv = &reader->csv;
    struct layout *layout = &reader->layout;
    int64_t integer;
    double value;

    if (csv->count < 2 || csv->count > 4)
        return import_broken(reader->import, csv->line, 1,
                             "%zu fields; an edge has from, to, and at most a "
                             "label and a value, unless --columns names more "
                             "(is --delimiter right?)",
                             csv->count);
    layout->columns[0] = COLUMN_FROM;
    layout->columns[1] = COLUMN_TO;
    layout->columns[2] = COLUMN_LABEL;
    layout->columns[3] = COLUMN_VALUE;
    layout->count = csv->count;
    if (csv->count == 3 &&
        number_read(csv->fields[2].text, true, &integer, &value) != NUMBER_NONE)
        layout->columns[2] = COLUMN_VALUE;
    settle_layout(layout, import_options(reader->import)->ids);
    return true;
}

/* --- the delimiter -------------------------------------------------------- */

/* 0: there is none of this name. */
static char named_delimiter(const char *text)
{
    static const struct {
        const char *name;
        char delimiter;
    } names[] = {{"tab", '\t'},         {"comma", ','}, {"semicolon", ';'},
                 {"space", CSV_SPACES}, {"bar", '|'},   {"\\t", '\t'}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i].name) == 0)
            return names[i].delimiter;
    }
    if (text[0] && !text[1] && text[0] != '"' && text[0] != '\n' &&
        text[0] != '\r')
        return text[0];
    return 0;
}

static bool delimiter_of_option(struct import *import, const char *text,
                                char *ret)
{
    *ret = named_delimiter(text);
    return *ret || import_broken(import, 0, 0,
                                 "--delimiter is tab, comma, semicolon, bar, "
                                 "space or a character, not `%s`",
                                 text);
}

static char find_delimiter(struct bytes line)
{
    static const char marks[] = "\t,;|";

    for (const char *mark = marks; *mark; mark++) {
        if (memchr(line.data, *mark, line.size))
            return *mark;
    }
    return CSV_SPACES;
}

/* --- lines ---------------------------------------------------------------- */

/* A line that holds nothing. */
static bool is_comment(struct bytes line)
{
    size_t i = 0;

    while (i < line.size && (line.data[i] == ' ' || line.data[i] == '\t'))
        i++;
    return i == line.size || line.data[i] == '#' || line.data[i] == '%';
}

static inline const uint8_t *scan_digits(const uint8_t *p, const uint8_t *end,
                                         int64_t *ret)
{
    const uint8_t *begin = p;
    uint64_t value = 0;

    while (p < end && (uint8_t)(*p - '0') < 10)
        value = value * 10 + (uint64_t)(*p++ - '0');
    /* 007 is for those who look closer, and so is what may not fit. */
    if (p == begin || p - begin > 18 || (*begin == '0' && p - begin > 1))
        return NULL;
    *ret = (int64_t)value;
    return p;
}

static inline const uint8_t *scan_delimiter(const uint8_t *p,
                                            const uint8_t *end, char delimiter)
{
    if (p == end)
        return NULL;
    if (delimiter != CSV_SPACES)
        return *p == (uint8_t)delimiter ? p + 1 : NULL;
    if (*p != ' ' && *p != '\t')
        return NULL;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* Two or three integers that fill the line; 0 if it is anything else. */
static inline unsigned scan_integers(struct bytes line, char delimiter,
                                     int64_t integers[3])
{
    const uint8_t *end = line.data + line.size;
    const uint8_t *p = scan_digits(line.data, end, &integers[0]);

    p = p ? scan_delimiter(p, end, delimiter) : NULL;
    p = p ? scan_digits(p, end, &integers[1]) : NULL;
    if (!p)
        return 0;
    if (p == end)
        return 2;
    p = scan_delimiter(p, end, delimiter);
    p = p ? scan_digits(p, end, &integers[2]) : NULL;
    return p == end && p ? 3 : 0;
}

static bool split(struct edges_reader *reader, struct bytes line)
{
    struct csv *csv = &reader->csv;
    const char *wrong = csv_split(csv, line);

    if (!wrong)
        return true;
    if (!csv->column)
        return import_fault(reader->import);
    return import_broken(reader->import, csv->line, csv->column, "%s", wrong);
}

/* An edge whose fields are split; true to go on. */
static bool take_fields(struct edges_reader *reader)
{
    struct import *import = reader->import;
    const struct csv *csv = &reader->csv;
    const struct layout *layout = &reader->layout;
    struct vertex from = {.kind = VERTEX_TEXT};
    struct vertex to = {.kind = VERTEX_TEXT};
    bool go_on;

    if (csv->count > layout->count)
        return import_wrong(
            import, csv->line, csv->fields[layout->count].column,
            "%zu fields, and there are %zu columns", csv->count, layout->count);
    reader->label.size = 0;
    reader->value.size = 0;
    for (size_t i = 0; i < layout->count; i++) {
        enum column column = layout->columns[i];
        const struct csv_field *field = i < csv->count ? &csv->fields[i] : NULL;

        if (!field && column < COLUMN_LABEL)
            return import_wrong(import, csv->line, 1,
                                "%zu fields; from and to are needed",
                                csv->count);
        if (!field || column == COLUMN_SKIP)
            continue;
        if (column == COLUMN_FROM || column == COLUMN_TO) {
            bool is_from = column == COLUMN_FROM;

            if (!import_vertex_text(import, field->text, field->quoted,
                                    csv->line, field->column,
                                    is_from ? &reader->from : &reader->to,
                                    is_from ? &from : &to, &go_on))
                return go_on;
            continue;
        }
        if (!field->text.size && !field->quoted)
            continue;
        if (!import_check_text(import, field->text, csv->line, field->column,
                               &go_on))
            return go_on;
        if (column == COLUMN_VALUE && field->quoted)
            term_put_binary(&reader->value, field->text);
        else if (column == COLUMN_VALUE)
            term_put_cell(&reader->value, field->text);
        else if (!import_put_word(import, &reader->label, field->text))
            return import_wrong(import, csv->line, field->column,
                                "the label is too long for an atom, which has "
                                "255 characters at most");
    }
    return import_edge(import, csv->line, 1, &from, &to,
                       buffer_bytes(&reader->label),
                       buffer_bytes(&reader->value));
}

/* The first line that is data, or a header. */
static bool take_first(struct edges_reader *reader, struct bytes line)
{
    const struct read_options *options = import_options(reader->import);
    bool header;

    if (!options->delimiter)
        reader->csv.delimiter = find_delimiter(line);
    if (!split(reader, line))
        return false;
    header = options->header == HEADER_YES ||
             (options->header == HEADER_AUTO && is_header(&reader->csv));
    if (options->columns)
        return (layout_of_option(reader, options->columns) &&
                (header || take_fields(reader)));
    if (header)
        return layout_of_header(reader);
    return layout_of_data(reader) && take_fields(reader);
}

static bool take_line(struct edges_reader *reader, struct bytes line)
{
    struct import *import = reader->import;
    int64_t integers[3];
    unsigned count = 0;

    if (reader->layout.integers)
        count = scan_integers(line, reader->csv.delimiter, integers);
    if (count && count <= reader->layout.count) {
        struct vertex from = {VERTEX_INTEGER, integers[0], {NULL, 0}};
        struct vertex to = {VERTEX_INTEGER, integers[1], {NULL, 0}};

        reader->value.size = 0;
        if (count == 3)
            term_put_integer(&reader->value, integers[2]);
        return import_edge(import, reader->csv.input->line, 1, &from, &to,
                           bytes_of(NULL, 0), buffer_bytes(&reader->value));
    }
    if (is_comment(line))
        return true;
    if (!reader->layout.count)
        return take_first(reader, line);
    return split(reader, line) && take_fields(reader);
}

static bool read_lines(struct edges_reader *reader)
{
    struct bytes line;

    for (;;) {
        switch (input_line(reader->csv.input, &line)) {
        case INPUT_END:
            return true;
        case INPUT_FAULT:
            return import_fault(reader->import);
        case INPUT_GIVEN:
            if (!take_line(reader, line))
                return false;
        }
    }
}

bool edges_read(struct import *import)
{
    const struct read_options *options = import_options(import);
    struct edges_reader reader = {
        .import = import,
        .from = BUFFER(cli_mem()),
        .to = BUFFER(cli_mem()),
        .label = BUFFER(cli_mem()),
        .value = BUFFER(cli_mem()),
    };
    bool good;

    csv_init(&reader.csv, import_input(import), CSV_SPACES);
    good =
        !options->delimiter ||
        delimiter_of_option(import, options->delimiter, &reader.csv.delimiter);
    good = good && read_lines(&reader);
    csv_deinit(&reader.csv);
    buffer_free(&reader.from);
    buffer_free(&reader.to);
    buffer_free(&reader.label);
    buffer_free(&reader.value);
    return good;
}

/* --- writing -------------------------------------------------------------- */

struct edges_writer {
    struct export *export;
    char delimiter;
    bool labels;
    bool values;
    struct buffer line;
    struct buffer text;
};

static bool is_nil(struct bytes term)
{
    return graph_is_nil(term);
}

static void survey(void *context, const struct element_terms *element)
{
    struct edges_writer *writer = context;

    if (!element->is_edge)
        return;
    writer->labels |= !is_nil(element->label);
    writer->values |= !is_nil(element->value);
}

/*
 * A field; in quotes what csv.c would take apart, or take for a comment, and
 * text that would read as a number.
 */
static void put_field(struct edges_writer *writer, struct bytes term,
                      bool is_value)
{
    struct bytes content;
    bool text = format_is_text(term, &content);
    int64_t integer;
    double value;
    bool quotes;

    writer->text.size = 0;
    format_put_text(&writer->text, term);
    content = buffer_bytes(&writer->text);
    quotes = !content.size || strchr("# %\t", content.data[0]) ||
             (text && is_value &&
              number_read(content, false, &integer, &value) != NUMBER_NONE);
    csv_put(&writer->line, content, writer->delimiter, quotes);
}

static void put_edge(void *context, const struct element_terms *element)
{
    struct edges_writer *writer = context;
    bool value = writer->values && !is_nil(element->value);
    struct bytes word;

    if (!element->is_edge) {
        /* All that a list of edges can say of it is that edges name it. */
        if (!is_nil(element->value) || element->labels.data[0] != ETF_NIL)
            export_inexact(writer->export);
        return;
    }
    writer->line.size = 0;
    if (!format_vertex_is_exact(element->vertex) ||
        !format_vertex_is_exact(element->to) ||
        (!is_nil(element->label) && !format_word(element->label, &word)) ||
        (value && !format_value_is_exact(element->value)))
        export_inexact(writer->export);
    put_field(writer, element->vertex, false);
    text_byte(&writer->line, writer->delimiter);
    put_field(writer, element->to, false);
    if (writer->labels) {
        text_byte(&writer->line, writer->delimiter);
        if (!is_nil(element->label))
            put_field(writer, element->label, false);
    }
    if (writer->values) {
        text_byte(&writer->line, writer->delimiter);
        if (value)
            put_field(writer, element->value, true);
    }
    text_byte(&writer->line, '\n');
    export_bytes(writer->export, buffer_bytes(&writer->line));
}

static void put_header(struct edges_writer *writer)
{
    struct buffer *line = &writer->line;

    line->size = 0;
    text_format(line, "from%cto", writer->delimiter);
    if (writer->labels)
        text_format(line, "%clabel", writer->delimiter);
    if (writer->values)
        text_format(line, "%cvalue", writer->delimiter);
    text_byte(line, '\n');
    export_bytes(writer->export, buffer_bytes(line));
}

char write_delimiter(const char *text)
{
    char delimiter = named_delimiter(text);

    return delimiter == CSV_SPACES ? 0 : delimiter;
}

int edges_write(struct export *export)
{
    const struct write_options *options = export_options(export);
    struct edges_writer writer = {
        .export = export,
        .delimiter = '\t',
        .line = BUFFER(cli_mem()),
        .text = BUFFER(cli_mem()),
    };
    int status;
    bool good;

    if (options->delimiter)
        writer.delimiter = write_delimiter(options->delimiter);
    if (export_is_undirected(export))
        export_direction_lost(export);
    good = export_each(export, &writer, survey);
    status = good ? export_open(export, NULL) : export_status(export);
    if (status < 0) {
        if (!options->no_header)
            put_header(&writer);
        good = export_each(export, &writer, put_edge);
        status = export_close(export, good);
        if (status < 0 && !good)
            status = export_status(export);
    }
    buffer_free(&writer.line);
    buffer_free(&writer.text);
    return status;
}
