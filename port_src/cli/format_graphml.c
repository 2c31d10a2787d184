/*
 * format_graphml.c -- GraphML: XML of nodes, edges and data on them.
 *
 *     <key id="d0" for="node" attr.name="name" attr.type="string"/>
 *     <graph edgedefault="directed">
 *       <node id="1"><data key="d0">Ann</data></node>
 *       <edge source="1" target="2"/>
 *
 * XML is read with Expat (https://libexpat.github.io), piece by piece, so that
 * a file may be larger than the memory. What declares entities is refused: a
 * few lines of them can stand for gigabytes, and no graph needs any.
 *
 * Data become properties (properties.h). Labels, which GraphML does not know,
 * are data called `labels` on nodes (":person:admin") and `label` on edges, as
 * APOC has them. Elements of other programs, such as yEd's shapes, are passed
 * over; a graph within a node and an edge of many ends are errors.
 *
 * In files of ours the root says so (rhizome="1"), and keys of types that
 * GraphML has not, labels among them, say which in rhizome.type. A colon in a
 * label, and a backslash, has a backslash before it there, and no text at all
 * is text: the vertex or label <<>>.
 */
#include <expat.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/properties.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"

/* A piece of markup or a text may be this long. */
#define TOKEN_BYTES_MAX ((size_t)16 << 20)
#define DEPTH_MAX 1000

#define REPLACEMENT "\xef\xbf\xbd"

enum key_domain { KEY_OF_NODES = 1, KEY_OF_EDGES = 2 };
enum key_use { KEY_PROPERTY, KEY_LABELS, KEY_LABEL };

struct graphml_key {
    char *id;
    char *name;
    char *fallback; /* <default>; NULL: none */
    unsigned domain;
    enum key_use use;
    enum property_type type;
    uint64_t given; /* the last element that had it */
};

struct graphml_reader {
    struct import *import;
    XML_Parser parser;
    bool stopped;
    bool ours;
    bool undirected;
    bool in_graph;
    unsigned depth;
    unsigned skip; /* the depth of an element that is passed over; 0: none */

    struct graphml_key *keys;
    size_t key_count;
    struct graphml_key *key; /* the key whose <default> is read, or of <data> */
    bool in_text;            /* character data are collected */
    struct buffer text;

    bool in_element; /* a node or an edge */
    bool is_edge;
    bool wrong; /* it was complained about, and is left out */
    bool both;  /* an edge in both directions */
    uint64_t element;
    uint64_t line;
    size_t column;
    struct buffer from_text;
    struct buffer to_text;
    struct buffer from;
    struct buffer to;
    struct vertex ends[2];
    struct property_map map;
    struct buffer value;
    struct buffer label;
    struct buffer labels; /* one behind the other */
    struct bytes *items;
    size_t item_count;
    size_t item_capacity;
};

/* --- errors --------------------------------------------------------------- */

static void stop(struct graphml_reader *reader)
{
    reader->stopped = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

static uint64_t line_of(const struct graphml_reader *reader)
{
    return XML_GetCurrentLineNumber(reader->parser);
}

static size_t column_of(const struct graphml_reader *reader)
{
    return XML_GetCurrentColumnNumber(reader->parser) + 1;
}

/* An element that is left out, if that is allowed. */
static void element_wrong(struct graphml_reader *reader, const char *what,
                          const char *which)
{
    reader->wrong = true;
    if (!import_wrong(reader->import, line_of(reader), column_of(reader),
                      "%s%s%s%s", what, *which ? " `" : "", which,
                      *which ? "`" : ""))
        stop(reader);
}

static void broken(struct graphml_reader *reader, const char *what)
{
    import_broken(reader->import, line_of(reader), column_of(reader), "%s",
                  what);
    stop(reader);
}

/* --- attributes ----------------------------------------------------------- */

static const char *attribute(const XML_Char **attributes, const char *name)
{
    for (; *attributes; attributes += 2) {
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    }
    return NULL;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");

    if (!copy)
        text_no_memory();
    return copy;
}

/* A name without the prefix of its namespace. */
static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon ? colon + 1 : name;
}

/* --- keys ----------------------------------------------------------------- */

static struct graphml_key *find_key(struct graphml_reader *reader,
                                    const char *id)
{
    for (size_t i = 0; i < reader->key_count; i++) {
        if (strcmp(reader->keys[i].id, id) == 0)
            return &reader->keys[i];
    }
    return NULL;
}

/* What a key without our mark is for. */
static enum key_use guess_use(const struct graphml_reader *reader,
                              const struct graphml_key *key)
{
    if (reader->ours || key->type != PROPERTY_STRING)
        return KEY_PROPERTY;
    if (key->domain == KEY_OF_NODES && strcmp(key->name, "labels") == 0)
        return KEY_LABELS;
    if (key->domain == KEY_OF_EDGES && strcmp(key->name, "label") == 0)
        return KEY_LABEL;
    return KEY_PROPERTY;
}

static void begin_key(struct graphml_reader *reader,
                      const XML_Char **attributes)
{
    const char *id = attribute(attributes, "id");
    const char *domain = attribute(attributes, "for");
    const char *type = attribute(attributes, "attr.type");
    const char *mark = attribute(attributes, "rhizome.type");
    const char *name = attribute(attributes, "attr.name");
    struct graphml_key *keys;
    struct graphml_key key = {.type = PROPERTY_STRING};

    if (!id || !*id) {
        broken(reader, "a key has no id");
        return;
    }
    if (find_key(reader, id)) {
        broken(reader, "two keys have one id");
        return;
    }
    if (mark && strcmp(mark, "json") == 0)
        key.type = PROPERTY_JSON;
    else if (type &&
             !property_type_parse(bytes_of(type, strlen(type)), &key.type)) {
        broken(reader, "the attr.type of a key is none that is known");
        return;
    }
    if (!domain || strcmp(domain, "all") == 0)
        key.domain = KEY_OF_NODES | KEY_OF_EDGES;
    else if (strcmp(domain, "node") == 0)
        key.domain = KEY_OF_NODES;
    else if (strcmp(domain, "edge") == 0)
        key.domain = KEY_OF_EDGES;
    if (reader->key_count % 16 == 0) {
        keys = realloc(reader->keys, (reader->key_count + 16) * sizeof(*keys));
        if (!keys)
            text_no_memory();
        reader->keys = keys;
    }
    key.id = copy_text(id);
    key.name = copy_text(name && *name ? name : id);
    key.use = guess_use(reader, &key);
    if (mark && strcmp(mark, "labels") == 0)
        key.use = KEY_LABELS;
    if (mark && strcmp(mark, "label") == 0)
        key.use = KEY_LABEL;
    reader->keys[reader->key_count++] = key;
    reader->key = &reader->keys[reader->key_count - 1];
}

/* --- data ----------------------------------------------------------------- */

static struct bytes trim(struct bytes text)
{
    while (text.size && strchr(" \t\r\n", text.data[0]))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool put_label(struct graphml_reader *reader, struct buffer *out,
                      struct bytes label)
{
    if (import_put_word(reader->import, out, label))
        return true;
    element_wrong(reader, "a label is too long for an atom", "");
    return false;
}

/* The size of the first label in a list of them. */
static size_t label_size(const struct graphml_reader *reader, struct bytes text)
{
    size_t size = 0;

    while (size < text.size && text.data[size] != ':')
        size += reader->ours && text.data[size] == '\\' ? 2 : 1;
    return size < text.size ? size : text.size;
}

/* Appends a label of a list, without the backslashes of ours. */
static bool put_label_of_list(struct graphml_reader *reader, struct bytes text)
{
    struct buffer label = BUFFER(cli_mem());
    bool good;

    for (size_t i = 0; i < text.size; i++) {
        if (reader->ours && text.data[i] == '\\' && i + 1 < text.size)
            i++;
        text_byte(&label, (char)text.data[i]);
    }
    good = put_label(reader, &reader->labels, buffer_bytes(&label));
    buffer_free(&label);
    return good;
}

/* :person:admin, or one label as it is. */
static void take_labels(struct graphml_reader *reader, struct bytes text)
{
    bool marked = text.size && text.data[0] == ':';

    while (text.size) {
        size_t size;
        size_t offset = reader->labels.size;

        if (marked)
            text = bytes_of(text.data + 1, text.size - 1);
        size = marked ? label_size(reader, text) : text.size;
        if (marked ? !put_label_of_list(reader, bytes_of(text.data, size))
                   : !put_label(reader, &reader->labels, text))
            return;
        if (reader->item_count == reader->item_capacity) {
            size_t capacity =
                reader->item_capacity ? 2 * reader->item_capacity : 16;
            struct bytes *items =
                realloc(reader->items, capacity * sizeof(*items));

            if (!items)
                text_no_memory();
            reader->items = items;
            reader->item_capacity = capacity;
        }
        reader->items[reader->item_count++] = bytes_of(
            (const uint8_t *)(uintptr_t)offset, reader->labels.size - offset);
        text = bytes_of(text.data + size, text.size - size);
    }
}

static void take_data(struct graphml_reader *reader, struct graphml_key *key,
                      struct bytes text)
{
    struct buffer *terms = &reader->map.terms;
    size_t before = terms->size;
    const char *wrong;

    key->given = reader->element;
    switch (key->use) {
    case KEY_LABELS:
        take_labels(reader, text);
        return;
    case KEY_LABEL:
        reader->label.size = 0;
        if (text.size || reader->ours)
            put_label(reader, &reader->label, text);
        return;
    case KEY_PROPERTY:
        break;
    }
    if (key->type != PROPERTY_STRING)
        text = trim(text);
    wrong = property_read(terms, key->type, text);
    if (wrong) {
        struct buffer what = BUFFER(cli_mem());

        text_format(&what, "data of the type %s: %s; it is of the key",
                    property_type_name(key->type), wrong);
        element_wrong(reader, text_string(&what), key->id);
        buffer_free(&what);
        terms->size = before;
        return;
    }
    property_map_add(&reader->map, bytes_of(key->name, strlen(key->name)),
                     before);
}

static void begin_data(struct graphml_reader *reader,
                       const XML_Char **attributes)
{
    const char *id = attribute(attributes, "key");

    reader->key = NULL;
    if (!reader->in_element) {
        reader->skip = reader->depth; /* of the graph itself */
        return;
    }
    if (id)
        reader->key = find_key(reader, id);
    if (!reader->key) {
        element_wrong(reader, "data of a key that is not declared",
                      id ? id : "");
        reader->skip = reader->depth;
        return;
    }
    reader->text.size = 0;
    reader->in_text = true;
}

/* --- nodes and edges ------------------------------------------------------ */

static bool take_end(struct graphml_reader *reader, const char *name,
                     const XML_Char **attributes, struct buffer *text,
                     struct buffer *scratch, struct vertex *ret)
{
    const char *value = attribute(attributes, name);
    bool go_on = true;

    if (!value) {
        element_wrong(reader, "an element has no attribute", name);
        return false;
    }
    text->size = 0;
    text_bytes(text, bytes_of(value, strlen(value)));
    if (import_vertex_text(reader->import, buffer_bytes(text), reader->ours,
                           line_of(reader), column_of(reader), scratch, ret,
                           &go_on))
        return true;
    reader->wrong = true;
    if (!go_on)
        stop(reader);
    return false;
}

static void begin_element(struct graphml_reader *reader, bool is_edge,
                          const XML_Char **attributes)
{
    const char *directed = attribute(attributes, "directed");

    if (!reader->in_graph || reader->in_element) {
        broken(reader, "a node or edge stands in no graph");
        return;
    }
    reader->in_element = true;
    reader->is_edge = is_edge;
    reader->wrong = false;
    reader->both = false;
    reader->element++;
    reader->line = line_of(reader);
    reader->column = column_of(reader);
    reader->label.size = 0;
    reader->labels.size = 0;
    reader->item_count = 0;
    property_map_clear(&reader->map);
    if (!is_edge) {
        take_end(reader, "id", attributes, &reader->from_text, &reader->from,
                 &reader->ends[0]);
        return;
    }
    if (!take_end(reader, "source", attributes, &reader->from_text,
                  &reader->from, &reader->ends[0]) ||
        !take_end(reader, "target", attributes, &reader->to_text, &reader->to,
                  &reader->ends[1]))
        return;
    if (!directed)
        reader->both = reader->undirected;
    else if (strcmp(directed, "false") == 0)
        reader->both = true;
    else if (import_is_undirected(reader->import))
        element_wrong(reader, "a directed edge in an undirected graph", "");
}

/* What the element has not and its key gives. */
static void take_defaults(struct graphml_reader *reader)
{
    unsigned domain = reader->is_edge ? KEY_OF_EDGES : KEY_OF_NODES;

    for (size_t i = 0; i < reader->key_count && !reader->wrong; i++) {
        struct graphml_key *key = &reader->keys[i];

        if (key->fallback && (key->domain & domain) &&
            key->given != reader->element)
            take_data(reader, key,
                      bytes_of(key->fallback, strlen(key->fallback)));
    }
}

static bool give_element(struct graphml_reader *reader)
{
    struct bytes value = buffer_bytes(&reader->value);
    struct bytes label = buffer_bytes(&reader->label);

    if (!reader->is_edge) {
        for (size_t i = 0; i < reader->item_count; i++)
            reader->items[i].data =
                reader->labels.data + (uintptr_t)reader->items[i].data;
        return import_vertex(reader->import, reader->line, reader->column,
                             &reader->ends[0], value, reader->items,
                             reader->item_count);
    }
    if (!import_edge(reader->import, reader->line, reader->column,
                     &reader->ends[0], &reader->ends[1], label, value))
        return false;
    if (!reader->both || import_is_undirected(reader->import))
        return true;
    return import_edge(reader->import, reader->line, reader->column,
                       &reader->ends[1], &reader->ends[0], label, value);
}

static void end_element(struct graphml_reader *reader)
{
    reader->in_element = false;
    take_defaults(reader);
    if (reader->wrong)
        return;
    if (!property_map_value(&reader->map, reader->import, &reader->value)) {
        element_wrong(reader,
                      "two properties have one name, or it is too long for an "
                      "atom",
                      "");
        return;
    }
    if (!give_element(reader))
        stop(reader);
}

static void begin_graph(struct graphml_reader *reader,
                        const XML_Char **attributes)
{
    const char *direction = attribute(attributes, "edgedefault");

    if (reader->in_graph) {
        broken(reader, "a graph stands in another one");
        return;
    }
    reader->in_graph = true;
    reader->undirected = direction && strcmp(direction, "undirected") == 0;
    import_declare(reader->import, reader->undirected, bytes_of(NULL, 0));
}

/* --- XML ------------------------------------------------------------------ */

static void XMLCALL on_start(void *context, const XML_Char *full,
                             const XML_Char **attributes)
{
    struct graphml_reader *reader = context;
    const char *name = local_name(full);

    if (reader->stopped)
        return;
    if (++reader->depth > DEPTH_MAX) {
        broken(reader, "elements are nested too deeply");
        return;
    }
    if (reader->skip)
        return;
    if (reader->depth == 1) {
        if (strcmp(name, "graphml") != 0)
            broken(reader, "the root is no graphml");
        reader->ours = attribute(attributes, "rhizome") != NULL;
    } else if (strcmp(name, "key") == 0) {
        begin_key(reader, attributes);
    } else if (strcmp(name, "default") == 0 && reader->key) {
        reader->text.size = 0;
        reader->in_text = true;
    } else if (strcmp(name, "graph") == 0) {
        begin_graph(reader, attributes);
    } else if (strcmp(name, "node") == 0 || strcmp(name, "edge") == 0) {
        begin_element(reader, name[0] == 'e', attributes);
    } else if (strcmp(name, "data") == 0) {
        begin_data(reader, attributes);
    } else if (strcmp(name, "hyperedge") == 0) {
        element_wrong(reader, "an edge of many ends, which a graph has not",
                      "");
        reader->skip = reader->depth;
    } else {
        reader->skip = reader->depth;
    }
}

static void end_of_text(struct graphml_reader *reader, const char *name)
{
    reader->in_text = false;
    if (strcmp(name, "default") == 0) {
        free(reader->key->fallback);
        reader->key->fallback = copy_text(text_string(&reader->text));
    } else if (!reader->wrong) {
        if (reader->key->given == reader->element)
            element_wrong(reader, "an element has data twice of the key",
                          reader->key->id);
        else
            take_data(reader, reader->key, buffer_bytes(&reader->text));
    }
}

static void XMLCALL on_end(void *context, const XML_Char *full)
{
    struct graphml_reader *reader = context;
    const char *name = local_name(full);

    if (reader->stopped)
        return;
    if (reader->skip) {
        if (reader->skip == reader->depth)
            reader->skip = 0;
        reader->depth--;
        return;
    }
    reader->depth--;
    if (reader->in_text &&
        (strcmp(name, "data") == 0 || strcmp(name, "default") == 0))
        end_of_text(reader, name);
    else if (strcmp(name, "key") == 0)
        reader->key = NULL;
    else if (strcmp(name, "graph") == 0)
        reader->in_graph = false;
    else if (reader->in_element &&
             (strcmp(name, "node") == 0 || strcmp(name, "edge") == 0))
        end_element(reader);
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
    struct graphml_reader *reader = context;

    if (!reader->in_text || reader->stopped || reader->skip)
        return;
    text_bytes(&reader->text, bytes_of(text, (size_t)size));
    if (reader->text.size > TOKEN_BYTES_MAX)
        broken(reader, "a text is longer than 16 MiB");
}

static void XMLCALL on_entity(void *context, const XML_Char *name,
                              int is_parameter, const XML_Char *value,
                              int value_size, const XML_Char *base,
                              const XML_Char *system, const XML_Char *public,
                              const XML_Char *notation)
{
    (void)name;
    (void)is_parameter;
    (void)value;
    (void)value_size;
    (void)base;
    (void)system;
    (void)public;
    (void)notation;
    if (!((struct graphml_reader *)context)->stopped)
        broken(context, "the file declares entities, which are not read");
}

static bool parse_piece(struct graphml_reader *reader, struct bytes piece,
                        bool last)
{
    if (XML_Parse(reader->parser, (const char *)piece.data, (int)piece.size,
                  last) == XML_STATUS_OK)
        return true;
    if (!reader->stopped)
        import_broken(reader->import, line_of(reader), column_of(reader), "%s",
                      XML_ErrorString(XML_GetErrorCode(reader->parser)));
    return false;
}

static bool parse_all(struct graphml_reader *reader)
{
    struct input *input = import_input(reader->import);
    uint64_t fed = 0;
    struct bytes piece;

    for (;;) {
        int64_t at;

        switch (input_piece(input, &piece)) {
        case INPUT_END:
            return parse_piece(reader, bytes_of("", 0), true);
        case INPUT_FAULT:
            return import_fault(reader->import);
        case INPUT_GIVEN:
            break;
        }
        if (!parse_piece(reader, piece, false))
            return false;
        fed += piece.size;
        at = XML_GetCurrentByteIndex(reader->parser);
        if (at >= 0 && fed - (uint64_t)at > TOKEN_BYTES_MAX)
            return import_broken(reader->import, line_of(reader),
                                 column_of(reader),
                                 "the markup that begins here is longer than "
                                 "16 MiB");
    }
}

static void reader_deinit(struct graphml_reader *reader)
{
    for (size_t i = 0; i < reader->key_count; i++) {
        free(reader->keys[i].id);
        free(reader->keys[i].name);
        free(reader->keys[i].fallback);
    }
    free(reader->keys);
    free(reader->items);
    property_map_deinit(&reader->map);
    buffer_free(&reader->text);
    buffer_free(&reader->from_text);
    buffer_free(&reader->to_text);
    buffer_free(&reader->from);
    buffer_free(&reader->to);
    buffer_free(&reader->value);
    buffer_free(&reader->label);
    buffer_free(&reader->labels);
}

bool graphml_read(struct import *import)
{
    struct mem *mem = cli_mem();
    struct graphml_reader reader = {
        .import = import,
        .parser = XML_ParserCreate(NULL),
        .text = BUFFER(mem),
        .from_text = BUFFER(mem),
        .to_text = BUFFER(mem),
        .from = BUFFER(mem),
        .to = BUFFER(mem),
        .value = BUFFER(mem),
        .label = BUFFER(mem),
        .labels = BUFFER(mem),
    };
    bool good;

    if (!reader.parser)
        text_no_memory();
    property_map_init(&reader.map);
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetEntityDeclHandler(reader.parser, on_entity);
    good = parse_all(&reader) && !reader.stopped;
    XML_ParserFree(reader.parser);
    reader_deinit(&reader);
    return good;
}

/* --- writing -------------------------------------------------------------- */

struct graphml_writer {
    struct export *export;
    struct properties vertex_columns;
    struct properties edge_columns;
    bool has_labels;
    bool has_label;
    struct buffer line;
    struct buffer text;
};

static void survey(void *context, const struct element_terms *element)
{
    struct graphml_writer *writer = context;

    if (element->is_edge) {
        properties_note(&writer->edge_columns, element->value);
        writer->has_label |= !graph_is_nil(element->label);
    } else {
        properties_note(&writer->vertex_columns, element->value);
        writer->has_labels |= element->labels.data[0] != ETF_NIL;
    }
}

/* Text, or the value of an attribute; a character that XML has not is shown
 * as one that stands for it. */
static void put_xml(struct graphml_writer *writer, struct bytes text)
{
    struct buffer *out = &writer->line;

    if (!properties_is_xml(text))
        export_inexact(writer->export);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        switch (c) {
        case '&':
            text_append(out, "&amp;");
            break;
        case '<':
            text_append(out, "&lt;");
            break;
        case '>':
            text_append(out, "&gt;");
            break;
        case '"':
            text_append(out, "&quot;");
            break;
        case '\t':
        case '\n':
        case '\r':
            text_format(out, "&#%u;", c);
            break;
        default:
            if (c < 0x20) {
                text_append(out, REPLACEMENT);
            } else if (c == 0xef && !properties_is_xml(bytes_of(
                                        text.data + i, text.size - i))) {
                /* U+FFFE or U+FFFF, here or further on. */
                bool here = !properties_is_xml(bytes_of(text.data + i, 3));

                text_bytes(out, here ? BYTES(REPLACEMENT)
                                     : bytes_of(text.data + i, 3));
                i += 2;
            } else {
                text_byte(out, (char)c);
            }
        }
    }
}

static void put_term(struct graphml_writer *writer, struct bytes term)
{
    writer->text.size = 0;
    format_put_text(&writer->text, term);
    put_xml(writer, buffer_bytes(&writer->text));
}

static void put_id(struct graphml_writer *writer, struct bytes term)
{
    if (!format_vertex_is_exact(term))
        export_inexact(writer->export);
    put_term(writer, term);
}

/* As label_size() and put_label_of_list() read it. */
static void put_label_text(struct graphml_writer *writer, struct bytes label)
{
    struct buffer text = BUFFER(cli_mem());

    format_put_text(&text, label);
    writer->text.size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ':' || text.data[i] == '\\')
            text_byte(&writer->text, '\\');
        text_byte(&writer->text, (char)text.data[i]);
    }
    put_xml(writer, buffer_bytes(&writer->text));
    buffer_free(&text);
}

static void put_labels(struct graphml_writer *writer, struct bytes labels)
{
    const uint8_t *p = labels.data + 5;

    if (labels.data[0] != ETF_LIST)
        return;
    text_append(&writer->line, "<data key=\"labels\">");
    for (uint32_t i = load_be32(labels.data + 1); i; i--) {
        struct bytes label = bytes_of(p, etf_size(p));
        struct bytes word;

        if (!format_word(label, &word))
            export_inexact(writer->export);
        text_byte(&writer->line, ':');
        put_label_text(writer, label);
        p += label.size;
    }
    text_append(&writer->line, "</data>");
}

static void put_data(struct graphml_writer *writer, char kind, size_t number,
                     enum property_type type, struct bytes term)
{
    text_format(&writer->line, "<data key=\"%c%zu\">", kind, number);
    writer->text.size = 0;
    property_put(&writer->text, type, term);
    put_xml(writer, buffer_bytes(&writer->text));
    text_append(&writer->line, "</data>");
}

static void put_properties(struct graphml_writer *writer, char kind,
                           const struct properties *columns, struct bytes value)
{
    if (graph_is_nil(value))
        return;
    if (!properties_has_columns(columns, value)) {
        put_data(writer, kind, columns->count, columns->whole, value);
        return;
    }
    for (size_t i = 0; i < columns->count; i++) {
        struct bytes term = properties_find(value, columns->items[i].name);

        if (term.size)
            put_data(writer, kind, i, columns->items[i].type, term);
    }
}

static void put_vertex(struct graphml_writer *writer,
                       const struct element_terms *element)
{
    text_append(&writer->line, "<node id=\"");
    put_id(writer, element->vertex);
    text_byte(&writer->line, '"');
    if (graph_is_nil(element->value) && element->labels.data[0] == ETF_NIL) {
        text_append(&writer->line, "/>\n");
        return;
    }
    text_byte(&writer->line, '>');
    put_labels(writer, element->labels);
    put_properties(writer, 'v', &writer->vertex_columns, element->value);
    text_append(&writer->line, "</node>\n");
}

static void put_edge(struct graphml_writer *writer,
                     const struct element_terms *element)
{
    struct bytes word;

    text_append(&writer->line, "<edge source=\"");
    put_id(writer, element->vertex);
    text_append(&writer->line, "\" target=\"");
    put_id(writer, element->to);
    text_byte(&writer->line, '"');
    if (graph_is_nil(element->value) && graph_is_nil(element->label)) {
        text_append(&writer->line, "/>\n");
        return;
    }
    text_byte(&writer->line, '>');
    if (!graph_is_nil(element->label)) {
        if (!format_word(element->label, &word))
            export_inexact(writer->export);
        text_append(&writer->line, "<data key=\"label\">");
        put_term(writer, element->label);
        text_append(&writer->line, "</data>");
    }
    put_properties(writer, 'e', &writer->edge_columns, element->value);
    text_append(&writer->line, "</edge>\n");
}

static void put_element(void *context, const struct element_terms *element)
{
    struct graphml_writer *writer = context;

    writer->line.size = 0;
    if (element->is_edge)
        put_edge(writer, element);
    else
        put_vertex(writer, element);
    export_bytes(writer->export, buffer_bytes(&writer->line));
}

static void put_key(struct graphml_writer *writer, char kind, size_t number,
                    struct bytes name, enum property_type type)
{
    bool json = type == PROPERTY_JSON;

    text_format(&writer->line, "<key id=\"%c%zu\" for=\"%s\" attr.name=\"",
                kind, number, kind == 'v' ? "node" : "edge");
    put_xml(writer, name);
    text_format(&writer->line, "\" attr.type=\"%s\"%s/>\n",
                json ? "string" : property_type_name(type),
                json ? " rhizome.type=\"json\"" : "");
}

static void put_keys(struct graphml_writer *writer, char kind,
                     const struct properties *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        put_key(writer, kind, i, columns->items[i].name,
                columns->items[i].type);
    if (columns->whole != PROPERTY_NONE)
        put_key(writer, kind, columns->count, BYTES(PROPERTY_VALUE),
                columns->whole);
}

static void put_head(struct graphml_writer *writer)
{
    struct buffer *out = &writer->line;

    out->size = 0;
    text_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\" "
                     "rhizome=\"1\">\n");
    if (writer->has_labels)
        text_append(out, "<key id=\"labels\" for=\"node\" attr.name=\"labels\" "
                         "attr.type=\"string\" rhizome.type=\"labels\"/>\n");
    if (writer->has_label)
        text_append(out, "<key id=\"label\" for=\"edge\" attr.name=\"label\" "
                         "attr.type=\"string\" rhizome.type=\"label\"/>\n");
    put_keys(writer, 'v', &writer->vertex_columns);
    put_keys(writer, 'e', &writer->edge_columns);
    text_format(out, "<graph edgedefault=\"%s\">\n",
                export_is_undirected(writer->export) ? "undirected"
                                                     : "directed");
    export_bytes(writer->export, buffer_bytes(out));
}

int graphml_write(struct export *export)
{
    struct graphml_writer writer = {
        .export = export,
        .line = BUFFER(cli_mem()),
        .text = BUFFER(cli_mem()),
    };
    int status;
    bool good;

    properties_init(&writer.vertex_columns);
    properties_init(&writer.edge_columns);
    writer.vertex_columns.xml = true;
    writer.edge_columns.xml = true;
    good = export_each(export, &writer, survey);
    status = good ? export_open(export, NULL) : export_status(export);
    if (status < 0) {
        put_head(&writer);
        good = export_each(export, &writer, put_element);
        export_bytes(export, BYTES("</graph>\n</graphml>\n"));
        status = export_close(export, good);
        if (status < 0 && !good)
            status = export_status(export);
    }
    properties_deinit(&writer.vertex_columns);
    properties_deinit(&writer.edge_columns);
    buffer_free(&writer.line);
    buffer_free(&writer.text);
    return status;
}
