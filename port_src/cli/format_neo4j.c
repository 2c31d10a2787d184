/*
 * format_neo4j.c -- CSV with the headers of `neo4j-admin import`.
 *
 *     id:ID,name,age:int,:LABEL            :START_ID,:END_ID,:TYPE,since:int
 *     1,Ann,36,Person;Admin                1,2,KNOWS,2019
 *
 * A file whose header has :START_ID holds relationships, one with :ID nodes.
 * What is not an id, label or type is a property, a string unless the header
 * says otherwise; an empty field is none. name:type[] is a list, whose parts
 * are separated by semicolons. A column that is :IGNORE, and so is the name
 * of an id column.
 *
 * Ids of a space, :ID(Person), are those of that space alone: the vertex is
 * the tuple {Person, Id}.
 *
 * Written are nodes.csv and relationships.csv. A value that is no map of names
 * is in a column `$value`, and what has none of Neo4j's types is in one of the
 * type `json`, which is ours. A column of nothing, `$undirected:IGNORE`, says
 * that the graph is undirected, and Neo4j passes it over.
 */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/csv.h"
#include "cli/properties.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"

#define LIST_DELIMITER ';'
#define UNDIRECTED "$undirected"

enum role {
    ROLE_ID,
    ROLE_START,
    ROLE_END,
    ROLE_LABEL,
    ROLE_TYPE,
    ROLE_SKIP,
    ROLE_PROPERTY
};

struct column {
    enum role role;
    enum property_type type;
    bool list;
    struct bytes name;  /* in reader->header */
    struct bytes space; /* of an id; empty: none */
};

struct neo4j_reader {
    struct import *import;
    struct csv csv;
    struct buffer header;
    struct column *columns;
    size_t count;
    bool relationships;
    struct property_map map;
    struct buffer value;
    struct buffer label;
    struct buffer labels;
    struct bytes *items;
    size_t item_count;
    size_t item_capacity;
    struct buffer from;
    struct buffer to;
    struct buffer scratch;
};

/* --- the header ----------------------------------------------------------- */

static bool is_called(struct bytes text, const char *name)
{
    return text.size && text.size == strlen(name) &&
           strncasecmp((const char *)text.data, name, text.size) == 0;
}

static struct bytes from(struct bytes text, size_t at)
{
    return bytes_of(text.data + at, text.size - at);
}

/* ID(Person) as ID and Person. */
static bool take_space(struct bytes *type, struct bytes *ret)
{
    const uint8_t *open =
        type->size ? memchr(type->data, '(', type->size) : NULL;
    size_t at;

    *ret = bytes_of(NULL, 0);
    if (!open)
        return true;
    at = (size_t)(open - type->data);
    if (type->data[type->size - 1] != ')')
        return false;
    *ret = bytes_of(open + 1, type->size - at - 2);
    type->size = at;
    return true;
}

static const char *read_column(struct bytes text, struct column *ret)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {
        {"id", ROLE_ID},       {"start_id", ROLE_START}, {"end_id", ROLE_END},
        {"label", ROLE_LABEL}, {"type", ROLE_TYPE},      {"ignore", ROLE_SKIP},
    };
    const uint8_t *colon =
        text.size ? memrchr(text.data, ':', text.size) : NULL;
    size_t at = colon ? (size_t)(colon - text.data) : text.size;
    struct bytes type = colon ? from(text, at + 1) : bytes_of(NULL, 0);
    const uint8_t *brace = type.size ? memchr(type.data, '{', type.size) : NULL;

    if (brace) /* {label:Person}, {timezone:...}: options of Neo4j's own */
        type.size = (size_t)(brace - type.data);
    *ret = (struct column){ROLE_PROPERTY,
                           PROPERTY_STRING,
                           false,
                           bytes_of(text.data, at),
                           {NULL, 0}};
    if (!take_space(&type, &ret->space))
        return "has no ) behind its (";
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (is_called(type, roles[i].name)) {
            ret->role = roles[i].role;
            return NULL;
        }
    }
    if (!ret->name.size)
        return "has no name";
    if (!type.size)
        return NULL;
    if (type.size > 2 && memcmp(type.data + type.size - 2, "[]", 2) == 0) {
        ret->list = true;
        type.size -= 2;
    }
    return property_type_parse(type, &ret->type) ? NULL
                                                 : "has no type that is known";
}

static const struct column *find_role(const struct neo4j_reader *reader,
                                      enum role role)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (reader->columns[i].role == role)
            return &reader->columns[i];
    }
    return NULL;
}

/* One that may stand once only. */
static bool is_repeated(const struct neo4j_reader *reader,
                        const struct column *column)
{
    for (const struct column *other = reader->columns; other < column;
         other++) {
        if (other->role != column->role || column->role == ROLE_SKIP)
            continue;
        if (column->role != ROLE_PROPERTY ||
            bytes_equal(other->name, column->name))
            return true;
    }
    return false;
}

static bool check_header(struct neo4j_reader *reader)
{
    bool start = find_role(reader, ROLE_START) != NULL;
    bool end = find_role(reader, ROLE_END) != NULL;
    bool id = find_role(reader, ROLE_ID) != NULL;

    for (size_t i = 0; i < reader->count; i++) {
        if (reader->columns[i].role == ROLE_SKIP &&
            bytes_equal(reader->columns[i].name, BYTES(UNDIRECTED)))
            import_declare(reader->import, true, bytes_of(NULL, 0));
    }
    reader->relationships = start;
    if (start != end || start == id)
        return import_broken(reader->import, reader->csv.line, 1,
                             "a header has either :ID, for nodes, or "
                             ":START_ID and :END_ID, for relationships");
    return true;
}

static bool read_header(struct neo4j_reader *reader)
{
    struct csv *csv = &reader->csv;
    size_t at = 0;

    /* Names last as long as the file. */
    reader->header.size = 0;
    for (size_t i = 0; i < csv->count; i++)
        text_bytes(&reader->header, csv->fields[i].text);
    reader->columns = calloc(csv->count, sizeof(*reader->columns));
    if (!reader->columns)
        text_no_memory();
    for (size_t i = 0; i < csv->count; i++) {
        struct bytes text =
            bytes_of(reader->header.data + at, csv->fields[i].text.size);
        const char *wrong = read_column(text, &reader->columns[i]);

        at += text.size;
        if (!wrong && is_repeated(reader, &reader->columns[i]))
            wrong = "stands twice in the header";
        reader->count = i + 1;
        if (wrong)
            return import_broken(reader->import, csv->line,
                                 csv->fields[i].column, "the column `%.*s` %s",
                                 (int)(text.size & 0xff), text.data, wrong);
    }
    return check_header(reader);
}

/* --- rows ----------------------------------------------------------------- */

/* An id; one of a space becomes {Space, Id}. */
static bool take_id(struct neo4j_reader *reader, const struct column *column,
                    const struct csv_field *field, struct buffer *room,
                    struct vertex *ret, bool *ret_go_on)
{
    struct import *import = reader->import;
    struct buffer *scratch = &reader->scratch;

    if (!import_vertex_text(
            import, field->text, field->quoted, reader->csv.line, field->column,
            column->space.size ? scratch : room, ret, ret_go_on))
        return false;
    if (!column->space.size)
        return true;
    room->size = 0;
    term_put_tuple(room, 2);
    if (!import_put_word(import, room, column->space)) {
        *ret_go_on = import_wrong(import, reader->csv.line, field->column,
                                  "the id space is too long for an atom");
        return false;
    }
    if (ret->kind == VERTEX_INTEGER)
        term_put_integer(room, ret->integer);
    else if (ret->kind == VERTEX_TEXT)
        term_put_binary(room, ret->bytes);
    else
        text_bytes(room, ret->bytes);
    *ret = (struct vertex){VERTEX_TERM, 0, buffer_bytes(room)};
    return true;
}

/* a;b;c as terms of a type, one behind the other. NULL, or what is wrong. */
static const char *take_parts(struct buffer *out, enum property_type type,
                              struct bytes text, uint32_t *ret_count)
{
    const char *wrong = NULL;

    for (*ret_count = 0; !wrong; ++*ret_count) {
        const uint8_t *stop =
            text.size ? memchr(text.data, LIST_DELIMITER, text.size) : NULL;
        size_t size = stop ? (size_t)(stop - text.data) : text.size;

        wrong = property_read(out, type, bytes_of(text.data, size));
        if (!stop) {
            ++*ret_count;
            break;
        }
        text = from(text, size + 1);
    }
    return wrong;
}

static bool take_property(struct neo4j_reader *reader,
                          const struct column *column,
                          const struct csv_field *field, bool *ret_go_on)
{
    struct buffer *terms = &reader->map.terms;
    size_t before = terms->size;
    const char *wrong;
    uint32_t count;

    if (!field->text.size && !field->quoted)
        return true;
    if (!import_check_text(reader->import, field->text, reader->csv.line,
                           field->column, ret_go_on))
        return false;
    if (column->list) {
        size_t list = term_put_list_begin(terms);

        wrong = take_parts(terms, column->type, field->text, &count);
        if (!wrong)
            term_put_list_end(terms, list, count);
    } else {
        wrong = property_read(terms, column->type, field->text);
    }
    if (wrong) {
        *ret_go_on = import_wrong(
            reader->import, reader->csv.line, field->column,
            "the property `%.*s`, %s%s: %s", (int)(column->name.size & 0xff),
            column->name.data, property_type_name(column->type),
            column->list ? "[]" : "", wrong);
        return false;
    }
    property_map_add(&reader->map, column->name, before);
    return true;
}

static void add_item(struct neo4j_reader *reader, size_t offset)
{
    if (reader->item_count == reader->item_capacity) {
        size_t capacity =
            reader->item_capacity ? 2 * reader->item_capacity : 16;
        struct bytes *items = realloc(reader->items, capacity * sizeof(*items));

        if (!items)
            text_no_memory();
        reader->items = items;
        reader->item_capacity = capacity;
    }
    reader->items[reader->item_count++] = bytes_of(
        (const uint8_t *)(uintptr_t)offset, reader->labels.size - offset);
}

/* Person;Admin */
static bool take_labels(struct neo4j_reader *reader,
                        const struct csv_field *field, bool *ret_go_on)
{
    struct bytes text = field->text;

    if (!import_check_text(reader->import, text, reader->csv.line,
                           field->column, ret_go_on))
        return false;
    while (text.size) {
        const uint8_t *stop = memchr(text.data, LIST_DELIMITER, text.size);
        size_t size = stop ? (size_t)(stop - text.data) : text.size;
        size_t offset = reader->labels.size;

        if (size && !import_put_word(reader->import, &reader->labels,
                                     bytes_of(text.data, size))) {
            *ret_go_on =
                import_wrong(reader->import, reader->csv.line, field->column,
                             "a label is too long for an atom");
            return false;
        }
        if (size)
            add_item(reader, offset);
        text = from(text, size + (stop != NULL));
    }
    return true;
}

static bool take_type(struct neo4j_reader *reader,
                      const struct csv_field *field, bool *ret_go_on)
{
    if (!field->text.size)
        return true;
    if (!import_check_text(reader->import, field->text, reader->csv.line,
                           field->column, ret_go_on))
        return false;
    if (import_put_word(reader->import, &reader->label, field->text))
        return true;
    *ret_go_on = import_wrong(reader->import, reader->csv.line, field->column,
                              "the type is too long for an atom");
    return false;
}

static bool take_field(struct neo4j_reader *reader, const struct column *column,
                       const struct csv_field *field, struct vertex *first,
                       struct vertex *second, bool *ret_go_on)
{
    switch (column->role) {
    case ROLE_ID:
    case ROLE_START:
        return take_id(reader, column, field, &reader->from, first, ret_go_on);
    case ROLE_END:
        return take_id(reader, column, field, &reader->to, second, ret_go_on);
    case ROLE_LABEL:
        return take_labels(reader, field, ret_go_on);
    case ROLE_TYPE:
        return take_type(reader, field, ret_go_on);
    case ROLE_PROPERTY:
        return take_property(reader, column, field, ret_go_on);
    case ROLE_SKIP:
        break;
    }
    return true;
}

static bool take_row(struct neo4j_reader *reader)
{
    struct csv *csv = &reader->csv;
    struct vertex first = {.kind = VERTEX_TEXT};
    struct vertex second = {.kind = VERTEX_TEXT};
    bool go_on;

    if (csv->count != reader->count)
        return import_wrong(reader->import, csv->line, 1,
                            "%zu fields, and the header has %zu", csv->count,
                            reader->count);
    property_map_clear(&reader->map);
    reader->labels.size = 0;
    reader->label.size = 0;
    reader->item_count = 0;
    for (size_t i = 0; i < reader->count; i++) {
        if (!take_field(reader, &reader->columns[i], &csv->fields[i], &first,
                        &second, &go_on))
            return go_on;
    }
    if (!property_map_value(&reader->map, reader->import, &reader->value))
        return import_wrong(reader->import, csv->line, 1,
                            "the name of a property is too long for an atom");
    if (reader->relationships)
        return import_edge(reader->import, csv->line, 1, &first, &second,
                           buffer_bytes(&reader->label),
                           buffer_bytes(&reader->value));
    for (size_t i = 0; i < reader->item_count; i++)
        reader->items[i].data =
            reader->labels.data + (uintptr_t)reader->items[i].data;
    return import_vertex(reader->import, csv->line, 1, &first,
                         buffer_bytes(&reader->value), reader->items,
                         reader->item_count);
}

static char find_delimiter(struct import *import, struct bytes line)
{
    const char *option = import_options(import)->delimiter;

    if (option && strcmp(option, "tab") == 0)
        return '\t';
    if (option && strcmp(option, "semicolon") == 0)
        return ';';
    if (option && strcmp(option, "bar") == 0)
        return '|';
    if (option && option[0] && !option[1])
        return option[0];
    if (!option && !memchr(line.data, ',', line.size))
        return memchr(line.data, '\t', line.size)  ? '\t'
               : memchr(line.data, '|', line.size) ? '|'
               : memchr(line.data, ';', line.size) ? ';'
                                                   : ',';
    return ',';
}

static bool take_line(struct neo4j_reader *reader, struct bytes line)
{
    struct csv *csv = &reader->csv;
    const char *wrong;

    if (!line.size)
        return true;
    if (!reader->count)
        csv->delimiter = find_delimiter(reader->import, line);
    wrong = csv_split(csv, line);
    if (wrong && !csv->column)
        return import_fault(reader->import);
    if (wrong)
        return import_broken(reader->import, csv->line, csv->column, "%s",
                             wrong);
    return reader->count ? take_row(reader) : read_header(reader);
}

static bool read_rows(struct neo4j_reader *reader)
{
    struct bytes line;

    for (;;) {
        switch (input_line(reader->csv.input, &line)) {
        case INPUT_END:
            return reader->count ||
                   import_broken(reader->import, 1, 1, "there is no header");
        case INPUT_FAULT:
            return import_fault(reader->import);
        case INPUT_GIVEN:
            if (!take_line(reader, line))
                return false;
        }
    }
}

bool neo4j_read(struct import *import)
{
    struct mem *mem = cli_mem();
    struct neo4j_reader reader = {
        .import = import,
        .header = BUFFER(mem),
        .value = BUFFER(mem),
        .label = BUFFER(mem),
        .labels = BUFFER(mem),
        .from = BUFFER(mem),
        .to = BUFFER(mem),
        .scratch = BUFFER(mem),
    };
    bool good;

    csv_init(&reader.csv, import_input(import), ',');
    property_map_init(&reader.map);
    good = read_rows(&reader);
    csv_deinit(&reader.csv);
    property_map_deinit(&reader.map);
    buffer_free(&reader.header);
    buffer_free(&reader.value);
    buffer_free(&reader.label);
    buffer_free(&reader.labels);
    buffer_free(&reader.from);
    buffer_free(&reader.to);
    buffer_free(&reader.scratch);
    free(reader.columns);
    free(reader.items);
    return good;
}

/* --- writing -------------------------------------------------------------- */

struct neo4j_writer {
    struct export *export;
    bool edges; /* which of the two files */
    bool undirected;
    struct properties vertex_columns;
    struct properties edge_columns;
    bool has_labels;
    bool has_types;
    struct buffer line;
    struct buffer cell;
};

static void survey(void *context, const struct element_terms *element)
{
    struct neo4j_writer *writer = context;

    if (element->is_edge) {
        properties_note(&writer->edge_columns, element->value);
        writer->has_types |= !graph_is_nil(element->label);
    } else {
        properties_note(&writer->vertex_columns, element->value);
        writer->has_labels |= element->labels.data[0] != ETF_NIL;
    }
}

/* The cell that was put; one that is empty, but there, in quotes. */
static void end_cell(struct neo4j_writer *writer)
{
    struct bytes cell = buffer_bytes(&writer->cell);

    csv_put(&writer->line, cell, ',',
            !cell.size || memchr(cell.data, 0, cell.size) != NULL);
    writer->cell.size = 0;
}

static void put_id(struct neo4j_writer *writer, struct bytes term)
{
    if (!format_vertex_is_exact(term))
        export_inexact(writer->export);
    format_put_text(&writer->cell, term);
    end_cell(writer);
}

static void put_labels(struct neo4j_writer *writer, struct bytes labels)
{
    const uint8_t *p = labels.data + 5;
    bool exact = true;

    text_byte(&writer->line, ',');
    if (labels.data[0] != ETF_LIST)
        return;
    for (uint32_t i = 0, n = load_be32(labels.data + 1); i < n; i++) {
        struct bytes label = bytes_of(p, etf_size(p));
        struct bytes word;

        exact &= format_word(label, &word) && word.size &&
                 !memchr(word.data, LIST_DELIMITER, word.size);
        if (i)
            text_byte(&writer->cell, LIST_DELIMITER);
        format_put_text(&writer->cell, label);
        p += label.size;
    }
    if (!exact)
        export_inexact(writer->export);
    end_cell(writer);
}

static void put_properties(struct neo4j_writer *writer,
                           const struct properties *columns, struct bytes value)
{
    bool nil = graph_is_nil(value);
    bool row = !nil && properties_has_columns(columns, value);

    for (size_t i = 0; i < columns->count; i++) {
        struct bytes term = row ? properties_find(value, columns->items[i].name)
                                : bytes_of(NULL, 0);

        text_byte(&writer->line, ',');
        if (!term.size)
            continue;
        property_put(&writer->cell, columns->items[i].type, term);
        end_cell(writer);
    }
    if (columns->whole == PROPERTY_NONE)
        return;
    text_byte(&writer->line, ',');
    if (nil || row)
        return;
    property_put(&writer->cell, columns->whole, value);
    end_cell(writer);
}

static void put_element(void *context, const struct element_terms *element)
{
    struct neo4j_writer *writer = context;
    struct bytes word;

    if (element->is_edge != writer->edges)
        return;
    writer->line.size = 0;
    put_id(writer, element->vertex);
    if (element->is_edge) {
        text_byte(&writer->line, ',');
        put_id(writer, element->to);
        if (writer->has_types)
            text_byte(&writer->line, ',');
        if (!graph_is_nil(element->label)) {
            if (!format_word(element->label, &word) || !word.size)
                export_inexact(writer->export);
            format_put_text(&writer->cell, element->label);
            end_cell(writer);
        }
        put_properties(writer, &writer->edge_columns, element->value);
    } else {
        if (writer->has_labels)
            put_labels(writer, element->labels);
        put_properties(writer, &writer->vertex_columns, element->value);
    }
    text_append(&writer->line, writer->undirected ? ",\n" : "\n");
    export_bytes(writer->export, buffer_bytes(&writer->line));
}

static void put_header(struct neo4j_writer *writer)
{
    const struct properties *columns =
        writer->edges ? &writer->edge_columns : &writer->vertex_columns;
    struct buffer *line = &writer->line;

    line->size = 0;
    text_append(line, writer->edges ? ":START_ID,:END_ID" : ":ID");
    if (writer->edges ? writer->has_types : writer->has_labels)
        text_append(line, writer->edges ? ",:TYPE" : ",:LABEL");
    for (size_t i = 0; i < columns->count; i++) {
        const struct property *column = &columns->items[i];

        text_byte(line, ',');
        text_bytes(&writer->cell, column->name);
        text_format(&writer->cell, ":%s", property_type_name(column->type));
        end_cell(writer);
    }
    if (columns->whole != PROPERTY_NONE)
        text_format(line, "," PROPERTY_VALUE ":%s",
                    property_type_name(columns->whole));
    text_append(line, writer->undirected ? "," UNDIRECTED ":IGNORE\n" : "\n");
    export_bytes(writer->export, buffer_bytes(line));
}

static int write_file(struct neo4j_writer *writer, const char *name)
{
    int status = export_open(writer->export, name);
    bool good;

    if (status >= 0)
        return status;
    put_header(writer);
    good = export_each(writer->export, writer, put_element);
    status = export_close(writer->export, good);
    return status < 0 && !good ? export_status(writer->export) : status;
}

int neo4j_write(struct export *export)
{
    struct neo4j_writer writer = {
        .export = export,
        .undirected = export_is_undirected(export),
        .line = BUFFER(cli_mem()),
        .cell = BUFFER(cli_mem()),
    };
    int status;

    properties_init(&writer.vertex_columns);
    properties_init(&writer.edge_columns);
    status = export_each(export, &writer, survey) ? -1 : export_status(export);
    if (status < 0)
        status = write_file(&writer, "nodes.csv");
    writer.edges = true;
    if (status < 0)
        status = write_file(&writer, "relationships.csv");
    properties_deinit(&writer.vertex_columns);
    properties_deinit(&writer.edge_columns);
    buffer_free(&writer.line);
    buffer_free(&writer.cell);
    return status;
}
