/*
 * format_jsonl.c -- lines of JSON that lose nothing: what is written is read
 * back as the same terms, to the byte.
 *
 *     {"type":"graph","directed":true,"weight":"none"}
 *     {"type":"vertex","id":1,"labels":["person"],"value":{"name":"Ann"}}
 *     {"type":"edge","from":1,"to":2,"label":"knows","value":0.5}
 *
 * What is not there is nil, and an order is not asked for. Terms are
 *
 *     null true false        nil true false
 *     1  1.5  "text"         an integer, a float, a binary of UTF-8
 *     [1, 2]  {"k": 1}       a list; a map whose keys are binaries of UTF-8
 *     {"$atom": "ok"}        another atom
 *     {"$tuple": [1, 2]}     a tuple
 *     {"$map": [[K, V]]}     any other map
 *     {"$integer": "123"}    an integer beyond 2^53, which other readers spoil
 *     {"$base64": "AP8="}    a binary that is no UTF-8
 *     {"$etf": "g2QAA..."}   anything else: an external term
 *
 * Keys have one spelling in the store, but values are the bytes that a client
 * sent, and so are their digests. The writer therefore reads back each value
 * that it writes; one that would come out differently is written as $etf.
 * Atoms as OTP 25 and older spell them are frequent, and get a mark on the
 * line instead: "atoms":"latin1".
 *
 * The lines that Neo4j's APOC exports are read, too: "node" with "properties",
 * "relationship" with "start" and "end".
 */
#include "cli/format.h"
#include "cli/json.h"
#include "cli/properties.h"
#include "cli/term.h"
#include "cli/term_parts.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"
#include "log/walk.h"

#define VERSION 131

/* Objects and arrays in one another; a term may be half as deep, and the
 * limit of terms counts. */
#define DEPTH_MAX 2100

/* --- JSON into a term ----------------------------------------------------- */

struct parser {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
    const char *wrong; /* NULL so far */
    unsigned depth;
    unsigned deepest;
    bool latin1; /* atoms as of old */
    bool atoms;  /* keys of objects become atoms */
    struct buffer string;
};

static bool fail(struct parser *parser, const char *wrong)
{
    if (!parser->wrong)
        parser->wrong = wrong;
    return false;
}

static void skip_space(struct parser *parser)
{
    while (parser->at < parser->end &&
           (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\r' ||
            *parser->at == '\n'))
        parser->at++;
}

/* What comes next; 0 at the end. */
static uint8_t peek(struct parser *parser)
{
    skip_space(parser);
    return parser->at < parser->end ? *parser->at : 0;
}

static bool take(struct parser *parser, uint8_t c)
{
    if (peek(parser) != c)
        return false;
    parser->at++;
    return true;
}

static bool expect(struct parser *parser, uint8_t c, const char *wrong)
{
    return take(parser, c) || fail(parser, wrong);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(struct parser *parser, uint32_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < 4; i++) {
        int digit = parser->at < parser->end ? hex_digit(*parser->at) : -1;

        if (digit < 0)
            return fail(parser, "\\u takes four hexadecimal digits");
        *ret = *ret << 4 | (uint32_t)digit;
        parser->at++;
    }
    return true;
}

/* Behind the backslash. */
static bool take_escape(struct parser *parser, struct buffer *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    uint8_t c = parser->at < parser->end ? *parser->at++ : 0;
    const char *name = c ? strchr(names, c) : NULL;
    uint32_t character;
    uint32_t low;

    if (name) {
        text_byte(out, values[name - names]);
        return true;
    }
    if (c != 'u')
        return fail(parser, "there is no such escape");
    if (!take_hex(parser, &character))
        return false;
    if (character >= 0xd800 && character < 0xdc00) {
        if (parser->end - parser->at < 2 || parser->at[0] != '\\' ||
            parser->at[1] != 'u')
            return fail(parser, "half of a surrogate pair");
        parser->at += 2;
        if (!take_hex(parser, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(parser, "half of a surrogate pair");
        character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
    } else if (character >= 0xdc00 && character < 0xe000) {
        return fail(parser, "half of a surrogate pair");
    }
    text_utf8(out, character);
    return true;
}

/* A string, appended to `out`. */
static bool take_string(struct parser *parser, struct buffer *out)
{
    if (!expect(parser, '"', "a string is expected"))
        return false;
    for (;;) {
        const uint8_t *begin = parser->at;
        uint32_t c;
        size_t size;

        while (parser->at < parser->end && *parser->at >= 0x20 &&
               *parser->at < 0x80 && *parser->at != '"' && *parser->at != '\\')
            parser->at++;
        text_bytes(out, bytes_of(begin, (size_t)(parser->at - begin)));
        if (parser->at == parser->end)
            return fail(parser, "the string has no end");
        if (*parser->at == '"') {
            parser->at++;
            return true;
        }
        if (*parser->at == '\\') {
            parser->at++;
            if (!take_escape(parser, out))
                return false;
            continue;
        }
        if (*parser->at < 0x20)
            return fail(parser, "a control character in a string is written "
                                "\\u00XX");
        if (!text_utf8_next(
                bytes_of(parser->at, (size_t)(parser->end - parser->at)), &c,
                &size))
            return fail(parser, "the text is no UTF-8 here");
        text_bytes(out, bytes_of(parser->at, size));
        parser->at += size;
    }
}

static bool put_atom(struct parser *parser, struct buffer *out,
                     struct bytes name)
{
    size_t at = out->size;
    uint32_t c;
    size_t size;

    if (!parser->latin1)
        return term_put_atom(out, name) ||
               fail(parser, "an atom has 255 characters at most");
    text_bytes(out, BYTES("\x64\0\0"));
    for (size_t i = 0; i < name.size; i += size) {
        if (!text_utf8_next(bytes_of(name.data + i, name.size - i), &c,
                            &size) ||
            c > 255 || out->size - at - 3 == 255)
            return fail(parser, "the atom is none of Latin-1");
        text_byte(out, (char)c);
    }
    out->data[at + 2] = (uint8_t)(out->size - at - 3);
    return true;
}

static bool take_word(struct parser *parser, const char *word,
                      struct buffer *out, const char *atom)
{
    size_t size = strlen(word);

    if ((size_t)(parser->end - parser->at) < size ||
        memcmp(parser->at, word, size) != 0)
        return fail(parser, "a value is expected");
    parser->at += size;
    return put_atom(parser, out, bytes_of(atom, strlen(atom)));
}

static bool is_number_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' ||
           c == 'e' || c == 'E';
}

static bool put_number(struct parser *parser, struct bytes text,
                       struct buffer *out)
{
    int64_t integer;
    double value;

    switch (number_read(text, false, &integer, &value)) {
    case NUMBER_INTEGER:
        term_put_integer(out, integer);
        return true;
    case NUMBER_BIG:
        return term_put_big(out, text) ||
               fail(parser, "the integer has more than 600 digits");
    case NUMBER_FLOAT:
        term_put_float(out, value);
        return true;
    case NUMBER_NONE:
        if (bytes_equal(text, BYTES("-0"))) {
            term_put_integer(out, 0);
            return true;
        }
    }
    return fail(parser, "this is no number, or none that is finite");
}

static bool take_number(struct parser *parser, struct buffer *out)
{
    const uint8_t *begin = parser->at;

    while (parser->at < parser->end && is_number_byte(*parser->at))
        parser->at++;
    return put_number(parser, bytes_of(begin, (size_t)(parser->at - begin)),
                      out);
}

static bool take_value(struct parser *parser, struct buffer *out);

static bool enter(struct parser *parser)
{
    if (++parser->depth > DEPTH_MAX)
        return fail(parser, "values are nested too deeply");
    if (parser->depth > parser->deepest)
        parser->deepest = parser->depth;
    return true;
}

/* The values of an array behind its bracket. */
static bool take_values(struct parser *parser, struct buffer *out,
                        uint32_t *ret)
{
    *ret = 0;
    if (take(parser, ']'))
        return true;
    do {
        if (!take_value(parser, out))
            return false;
        ++*ret;
    } while (take(parser, ','));
    return expect(parser, ']', "a comma or ] is expected");
}

static bool take_array(struct parser *parser, struct buffer *out)
{
    size_t begin = term_put_list_begin(out);
    uint32_t count;

    if (!take_values(parser, out, &count))
        return false;
    term_put_list_end(out, begin, count);
    return true;
}

/* {"$tuple": [...]}: the head is put before the size is known. */
static bool take_tuple(struct parser *parser, struct buffer *out)
{
    size_t begin = out->size;
    uint32_t count;

    if (!expect(parser, '[', "$tuple has an array"))
        return false;
    text_bytes(out, BYTES("\x69\0\0\0\0"));
    if (!take_values(parser, out, &count))
        return false;
    if (count > 255) {
        store_be32(out->data + begin + 1, count);
        return true;
    }
    out->data[begin] = ETF_SMALL_TUPLE;
    out->data[begin + 1] = (uint8_t)count;
    memmove(out->data + begin + 2, out->data + begin + 5,
            out->size - begin - 5);
    out->size -= 3;
    return true;
}

static bool end_map(struct parser *parser, struct buffer *out, size_t begin,
                    uint32_t count)
{
    term_put_map_end(out, begin, count);
    return !term_put_map_repeats(out, begin, count) ||
           fail(parser, "a key stands twice in this object");
}

static bool take_pairs(struct parser *parser, struct buffer *out)
{
    size_t begin = term_put_map_begin(out);
    uint32_t count = 0;

    if (!expect(parser, '[', "$map has an array of pairs"))
        return false;
    if (!take(parser, ']')) {
        do {
            if (!expect(parser, '[', "$map has an array of pairs") ||
                !take_value(parser, out) ||
                !expect(parser, ',', "a pair has two values") ||
                !take_value(parser, out) ||
                !expect(parser, ']', "a pair has two values"))
                return false;
            count++;
        } while (take(parser, ','));
        if (!expect(parser, ']', "a comma or ] is expected"))
            return false;
    }
    return end_map(parser, out, begin, count);
}

/* The bytes that base64 stands for, appended to `out`. */
static bool take_base64(struct parser *parser, struct buffer *out)
{
    uint32_t group = 0;
    unsigned bits = 0;
    struct bytes text;

    parser->string.size = 0;
    if (!take_string(parser, &parser->string))
        return false;
    text = buffer_bytes(&parser->string);
    while (text.size && text.data[text.size - 1] == '=')
        text.size--;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                    : c >= 'a' && c <= 'z' ? c - 'a' + 26
                    : c >= '0' && c <= '9' ? c - '0' + 52
                    : c == '+'             ? 62
                    : c == '/'             ? 63
                                           : -1;

        if (digit < 0)
            return fail(parser, "this is no base64");
        group = group << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            text_byte(out, (char)(group >> bits));
        }
    }
    return true;
}

static bool take_etf(struct parser *parser, struct buffer *out)
{
    struct buffer bytes = BUFFER(cli_mem());
    bool good = take_base64(parser, &bytes);
    size_t size;

    if (good && (bytes.size < 2 || bytes.data[0] != VERSION ||
                 etf_validate(bytes_of(bytes.data + 1, bytes.size - 1), &size,
                              NULL) < 0 ||
                 size != bytes.size - 1))
        good = fail(parser, "this is no external term");
    if (good)
        text_bytes(out, bytes_of(bytes.data + 1, bytes.size - 1));
    buffer_free(&bytes);
    return good;
}

static bool take_binary64(struct parser *parser, struct buffer *out)
{
    size_t begin = out->size;

    text_bytes(out, BYTES("\x6d\0\0\0\0"));
    if (!take_base64(parser, out))
        return false;
    store_be32(out->data + begin + 1, (uint32_t)(out->size - begin - 5));
    return true;
}

static bool take_atom(struct parser *parser, struct buffer *out)
{
    parser->string.size = 0;
    return take_string(parser, &parser->string) &&
           put_atom(parser, out, buffer_bytes(&parser->string));
}

static bool take_integer(struct parser *parser, struct buffer *out)
{
    parser->string.size = 0;
    return take_string(parser, &parser->string) &&
           put_number(parser, buffer_bytes(&parser->string), out);
}

/* clang-format off */
static const struct {
    const char *name;
    bool (*take)(struct parser *parser, struct buffer *out);
} tags[] = {
    {"$atom", take_atom},       {"$tuple", take_tuple},
    {"$map", take_pairs},       {"$integer", take_integer},
    {"$base64", take_binary64}, {"$etf", take_etf},
};
/* clang-format on */

/* An object behind its brace. */
static bool take_object(struct parser *parser, struct buffer *out)
{
    size_t begin = term_put_map_begin(out);
    uint32_t count = 0;

    if (take(parser, '}'))
        return true;
    do {
        struct bytes key;

        parser->string.size = 0;
        if (!take_string(parser, &parser->string) ||
            !expect(parser, ':', "a colon is expected"))
            return false;
        key = buffer_bytes(&parser->string);
        for (size_t i = 0; !count && i < sizeof(tags) / sizeof(tags[0]); i++) {
            if (!bytes_equal(key, bytes_of(tags[i].name, strlen(tags[i].name))))
                continue;
            out->size = begin;
            skip_space(parser);
            return tags[i].take(parser, out) &&
                   expect(parser, '}', "a tag is alone in its object");
        }
        if (parser->atoms && !term_put_atom(out, key))
            return fail(parser, "the key is too long for an atom");
        if (!parser->atoms)
            term_put_binary(out, key);
        if (!take_value(parser, out))
            return false;
        count++;
    } while (take(parser, ','));
    return expect(parser, '}', "a comma or } is expected") &&
           end_map(parser, out, begin, count);
}

static bool take_text(struct parser *parser, struct buffer *out)
{
    size_t begin = out->size;

    text_bytes(out, BYTES("\x6d\0\0\0\0"));
    if (!take_string(parser, out))
        return false;
    store_be32(out->data + begin + 1, (uint32_t)(out->size - begin - 5));
    return true;
}

/* Appends the term of a value. */
static bool take_value(struct parser *parser, struct buffer *out)
{
    uint8_t c = peek(parser);
    bool good;

    switch (c) {
    case '"':
        return take_text(parser, out);
    case 't':
        return take_word(parser, "true", out, "true");
    case 'f':
        return take_word(parser, "false", out, "false");
    case 'n':
        return take_word(parser, "null", out, "nil");
    case '{':
    case '[':
        if (!enter(parser))
            return false;
        parser->at++;
        good = c == '{' ? take_object(parser, out) : take_array(parser, out);
        parser->depth--;
        return good;
    default:
        if (is_number_byte(c))
            return take_number(parser, out);
        return fail(parser, c ? "a value is expected" : "the line is cut off");
    }
}

/* A value, and that it is no deeper than a term may be. */
static bool take_term(struct parser *parser, struct buffer *out)
{
    size_t size;

    out->size = 0;
    parser->deepest = parser->depth;
    if (!take_value(parser, out))
        return false;
    return parser->deepest < ETF_DEPTH_MAX / 4 ||
           etf_validate(buffer_bytes(out), &size, NULL) == ST_OK ||
           fail(parser, "values are nested too deeply");
}

/* --- lines ---------------------------------------------------------------- */

enum line_type { LINE_NONE, LINE_GRAPH, LINE_VERTEX, LINE_EDGE };

struct jsonl_reader {
    struct import *import;
    struct parser parser;
    enum line_type type;
    bool undirected;
    struct buffer key;
    struct buffer id; /* of a vertex, or the start of an edge */
    struct buffer to;
    struct buffer label;
    struct buffer labels; /* one behind the other */
    uint32_t label_count;
    struct buffer value;
    struct buffer weight;
    struct bytes *items; /* the labels */
    size_t item_capacity;
};

static bool take_type(struct jsonl_reader *reader)
{
    struct parser *parser = &reader->parser;
    struct bytes type;

    parser->string.size = 0;
    skip_space(parser);
    if (!take_string(parser, &parser->string))
        return false;
    type = buffer_bytes(&parser->string);
    if (bytes_equal(type, BYTES("vertex")) || bytes_equal(type, BYTES("node")))
        reader->type = LINE_VERTEX;
    else if (bytes_equal(type, BYTES("edge")) ||
             bytes_equal(type, BYTES("relationship")))
        reader->type = LINE_EDGE;
    else if (bytes_equal(type, BYTES("graph")))
        reader->type = LINE_GRAPH;
    else
        return fail(parser, "the type is graph, vertex or edge");
    return true;
}

/* A label: a term; a text may be meant as an atom. */
static bool take_label(struct jsonl_reader *reader, struct buffer *out)
{
    struct parser *parser = &reader->parser;
    bool latin1 = parser->latin1;
    bool good;

    parser->latin1 = false;
    skip_space(parser);
    if (parser->atoms && peek(parser) == '"')
        good = take_atom(parser, out);
    else
        good = take_value(parser, out);
    parser->latin1 = latin1;
    return good;
}

/* A list that is written as one $etf. */
static bool take_list(struct jsonl_reader *reader)
{
    struct buffer list = BUFFER(cli_mem());
    bool good = take_term(&reader->parser, &list);
    struct walk walk = {list.data};
    uint32_t count = 0;

    if (good && list.data[0] == ETF_STRING) {
        count = load_be16(list.data + 1);
        for (uint32_t i = 0; i < count; i++)
            term_put_integer(&reader->labels, list.data[3 + i]);
    } else if (good) {
        good = walk_list(&walk, &count);
        for (uint32_t i = 0; good && i < count; i++)
            text_bytes(&reader->labels, walk_term(&walk));
        good = (good && walk_nil(&walk)) ||
               fail(&reader->parser, "labels are an array");
    }
    reader->label_count = count;
    buffer_free(&list);
    return good;
}

static bool take_labels(struct jsonl_reader *reader)
{
    struct parser *parser = &reader->parser;

    reader->labels.size = 0;
    reader->label_count = 0;
    if (peek(parser) == '{')
        return take_list(reader);
    if (peek(parser) != '[')
        return fail(parser, "labels are an array");
    parser->at++;
    if (take(parser, ']'))
        return true;
    do {
        if (!take_label(reader, &reader->labels))
            return false;
        reader->label_count++;
    } while (take(parser, ','));
    return expect(parser, ']', "a comma or ] is expected");
}

/* APOC's {"id": "0", "labels": [...]} as a start or end: only the id counts.
 * Where it is `from` or `to` an object is a term, and the vertex. */
static bool take_end(struct jsonl_reader *reader, struct buffer *out)
{
    struct parser *parser = &reader->parser;
    struct buffer skipped = BUFFER(cli_mem());
    bool good = true;

    if (peek(parser) != '{')
        return take_term(parser, out);
    parser->at++;
    if (take(parser, '}'))
        return true;
    do {
        parser->string.size = 0;
        skip_space(parser);
        good = take_string(parser, &parser->string) &&
               expect(parser, ':', "a colon is expected");
        if (good && bytes_equal(buffer_bytes(&parser->string), BYTES("id")))
            good = take_term(parser, out);
        else if (good)
            good = take_term(parser, &skipped);
    } while (good && take(parser, ','));
    buffer_free(&skipped);
    return good && expect(parser, '}', "a comma or } is expected");
}

/* "none", "value", {"key": K} */
static bool take_weight(struct jsonl_reader *reader)
{
    struct parser *parser = &reader->parser;
    struct buffer *out = &reader->weight;

    out->size = 0;
    if (peek(parser) == '"') {
        parser->string.size = 0;
        return take_string(parser, &parser->string) &&
               put_atom(parser, out, buffer_bytes(&parser->string));
    }
    if (!take(parser, '{'))
        return fail(parser, "the weight is none, value or {\"key\": K}");
    parser->string.size = 0;
    skip_space(parser);
    if (!take_string(parser, &parser->string) ||
        !bytes_equal(buffer_bytes(&parser->string), BYTES("key")) ||
        !expect(parser, ':', "a colon is expected"))
        return fail(parser, "the weight is none, value or {\"key\": K}");
    term_put_tuple(out, 2);
    term_put_atom(out, BYTES("key"));
    return take_value(parser, out) && expect(parser, '}', "} is expected");
}

static bool is_key(const struct jsonl_reader *reader, const char *name)
{
    return bytes_equal(buffer_bytes(&reader->key),
                       bytes_of(name, strlen(name)));
}

static bool take_member(struct jsonl_reader *reader)
{
    struct parser *parser = &reader->parser;
    struct buffer skipped = BUFFER(cli_mem());
    bool good;

    if (is_key(reader, "type"))
        return take_type(reader);
    if (is_key(reader, "id") && reader->type != LINE_EDGE)
        return take_term(parser, &reader->id);
    if (is_key(reader, "from"))
        return take_term(parser, &reader->id);
    if (is_key(reader, "to"))
        return take_term(parser, &reader->to);
    if (is_key(reader, "start"))
        return take_end(reader, &reader->id);
    if (is_key(reader, "end"))
        return take_end(reader, &reader->to);
    if (is_key(reader, "label")) {
        reader->label.size = 0;
        return take_label(reader, &reader->label);
    }
    if (is_key(reader, "labels"))
        return take_labels(reader);
    if (is_key(reader, "value") || is_key(reader, "properties"))
        return take_term(parser, &reader->value);
    if (is_key(reader, "weight"))
        return take_weight(reader);
    good = take_term(parser, &skipped);
    if (good && is_key(reader, "atoms"))
        parser->latin1 =
            bytes_equal(buffer_bytes(&skipped), BYTES("\x6d\0\0\0\6latin1"));
    if (good && is_key(reader, "directed"))
        reader->undirected =
            bytes_equal(buffer_bytes(&skipped), BYTES("\x77\5"
                                                      "false"));
    buffer_free(&skipped);
    return good;
}

static bool take_members(struct jsonl_reader *reader)
{
    struct parser *parser = &reader->parser;

    if (!expect(parser, '{', "a line is an object"))
        return false;
    if (take(parser, '}'))
        return fail(parser, "the object has no type");
    do {
        reader->key.size = 0;
        skip_space(parser);
        if (!take_string(parser, &reader->key) ||
            !expect(parser, ':', "a colon is expected") || !take_member(reader))
            return false;
    } while (take(parser, ','));
    if (!expect(parser, '}', "a comma or } is expected"))
        return false;
    return !peek(parser) || fail(parser, "something stands behind the object");
}

static struct vertex vertex_of(const struct buffer *term)
{
    struct vertex vertex = {VERTEX_TERM, 0, buffer_bytes(term)};

    if (term->data[0] == ETF_SMALL_INTEGER) {
        vertex.kind = VERTEX_INTEGER;
        vertex.integer = term->data[1];
    } else if (term->data[0] == ETF_INTEGER) {
        vertex.kind = VERTEX_INTEGER;
        vertex.integer = (int32_t)load_be32(term->data + 1);
    }
    return vertex;
}

static bool give_vertex(struct jsonl_reader *reader, uint64_t line)
{
    struct vertex vertex;
    const uint8_t *p = reader->labels.data;

    if (!reader->id.size)
        return import_wrong(reader->import, line, 1, "the vertex has no id");
    if (reader->label_count > reader->item_capacity) {
        size_t capacity = 2 * (size_t)reader->label_count;
        struct bytes *items = mem_grow(cli_mem(), reader->items,
                                       reader->item_capacity * sizeof(*items),
                                       capacity * sizeof(*items));

        if (!items)
            text_no_memory();
        reader->items = items;
        reader->item_capacity = capacity;
    }
    for (uint32_t i = 0; i < reader->label_count; i++) {
        reader->items[i] = bytes_of(p, etf_size(p));
        p += reader->items[i].size;
    }
    vertex = vertex_of(&reader->id);
    return import_vertex(reader->import, line, 1, &vertex,
                         buffer_bytes(&reader->value), reader->items,
                         reader->label_count);
}

static bool give_edge(struct jsonl_reader *reader, uint64_t line)
{
    struct vertex from;
    struct vertex to;

    if (!reader->id.size || !reader->to.size)
        return import_wrong(reader->import, line, 1, "the edge has no %s",
                            reader->id.size ? "`to`" : "`from`");
    from = vertex_of(&reader->id);
    to = vertex_of(&reader->to);
    return import_edge(reader->import, line, 1, &from, &to,
                       buffer_bytes(&reader->label),
                       buffer_bytes(&reader->value));
}

static bool read_line(struct jsonl_reader *reader, struct bytes text,
                      uint64_t line)
{
    struct parser *parser = &reader->parser;

    parser->begin = parser->at = text.data;
    parser->end = text.data + text.size;
    if (!peek(parser))
        return parser->at == parser->end ||
               import_wrong(reader->import, line,
                            (size_t)(parser->at - parser->begin) + 1,
                            "a NUL byte stands in the text");
    parser->wrong = NULL;
    parser->depth = 0;
    parser->latin1 = false;
    reader->type = LINE_NONE;
    reader->undirected = false;
    reader->id.size = 0;
    reader->to.size = 0;
    reader->label.size = 0;
    reader->label_count = 0;
    reader->labels.size = 0;
    reader->value.size = 0;
    reader->weight.size = 0;
    if (!take_members(reader))
        return import_wrong(reader->import, line,
                            (size_t)(parser->at - parser->begin) + 1, "%s",
                            parser->wrong);
    switch (reader->type) {
    case LINE_GRAPH:
        import_declare(reader->import, reader->undirected,
                       buffer_bytes(&reader->weight));
        return true;
    case LINE_VERTEX:
        return give_vertex(reader, line);
    case LINE_EDGE:
        return give_edge(reader, line);
    case LINE_NONE:
        break;
    }
    return import_wrong(reader->import, line, 1, "the object has no type");
}

static bool read_lines(struct jsonl_reader *reader)
{
    struct input *input = import_input(reader->import);
    struct bytes line;

    for (;;) {
        switch (input_line(input, &line)) {
        case INPUT_END:
            return true;
        case INPUT_FAULT:
            return import_fault(reader->import);
        case INPUT_GIVEN:
            if (!read_line(reader, line, input->line))
                return false;
        }
    }
}

bool jsonl_read(struct import *import)
{
    struct mem *mem = cli_mem();
    struct jsonl_reader reader = {
        .import = import,
        .parser = {.atoms = import_options(import)->words == WORDS_ATOMS,
                   .string = BUFFER(mem)},
        .key = BUFFER(mem),
        .id = BUFFER(mem),
        .to = BUFFER(mem),
        .label = BUFFER(mem),
        .labels = BUFFER(mem),
        .value = BUFFER(mem),
        .weight = BUFFER(mem),
    };
    bool good = read_lines(&reader);

    buffer_free(&reader.parser.string);
    buffer_free(&reader.key);
    buffer_free(&reader.id);
    buffer_free(&reader.to);
    buffer_free(&reader.label);
    buffer_free(&reader.labels);
    buffer_free(&reader.value);
    buffer_free(&reader.weight);
    mem_free(mem, reader.items, reader.item_capacity * sizeof(*reader.items));
    return good;
}

/* --- a term into JSON ----------------------------------------------------- */

/* What is behind the term; NULL if it has no form but $etf. */
static const uint8_t *write_term(struct buffer *out, const uint8_t *p);

static const uint8_t *write_terms(struct buffer *out, const uint8_t *p,
                                  uint32_t count)
{
    text_byte(out, '[');
    for (uint32_t i = 0; i < count && p; i++) {
        if (i)
            text_byte(out, ',');
        p = write_term(out, p);
    }
    text_byte(out, ']');
    return p;
}

static void write_base64(struct buffer *out, struct bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";

    text_byte(out, '"');
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;

        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        text_byte(out, digits[group >> 18]);
        text_byte(out, digits[group >> 12 & 63]);
        text_byte(out, left > 1 ? digits[group >> 6 & 63] : '=');
        text_byte(out, left > 2 ? digits[group & 63] : '=');
    }
    text_byte(out, '"');
}

static const uint8_t *write_atom(struct buffer *out, const uint8_t *p)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    struct bytes name;
    const uint8_t *end = read_atom(p, scratch, &name);

    if (bytes_equal(name, BYTES("nil"))) {
        text_append(out, "null");
    } else if (bytes_equal(name, BYTES("true")) ||
               bytes_equal(name, BYTES("false"))) {
        text_bytes(out, name);
    } else {
        text_append(out, "{\"$atom\":");
        json_put_string(out, name);
        text_byte(out, '}');
    }
    return end;
}

static const uint8_t *write_big(struct buffer *out, const uint8_t *p)
{
    struct big big;
    const uint8_t *end = read_big(p, &big);

    if (big.size > 248)
        return NULL; /* too many digits to be read back */
    text_append(out, "{\"$integer\":\"");
    term_text(out, p, NULL);
    text_append(out, "\"}");
    return end;
}

static const uint8_t *write_float(struct buffer *out, const uint8_t *p)
{
    uint64_t bits = load_be64(p + 1);
    double value;

    if (p[0] != ETF_NEW_FLOAT)
        return NULL;
    memcpy(&value, &bits, sizeof(value));
    text_float(out, value);
    return p + 9;
}

static const uint8_t *write_binary(struct buffer *out, const uint8_t *p)
{
    struct bytes bytes = read_binary(p);

    if (text_is_utf8(bytes)) {
        json_put_string(out, bytes);
    } else {
        text_append(out, "{\"$base64\":");
        write_base64(out, bytes);
        text_byte(out, '}');
    }
    return bytes.data + bytes.size;
}

static const uint8_t *write_string(struct buffer *out, const uint8_t *p)
{
    uint32_t size = load_be16(p + 1);

    text_byte(out, '[');
    for (uint32_t i = 0; i < size; i++) {
        text_append(out, i ? "," : "");
        text_u64(out, p[3 + i]);
    }
    text_byte(out, ']');
    return p + 3 + size;
}

static const uint8_t *write_list(struct buffer *out, const uint8_t *p)
{
    p = write_terms(out, p + 5, load_be32(p + 1));
    return p && *p == ETF_NIL ? p + 1 : NULL;
}

static const uint8_t *write_tuple(struct buffer *out, const uint8_t *p)
{
    bool small = p[0] == ETF_SMALL_TUPLE;

    text_append(out, "{\"$tuple\":");
    p = write_terms(out, p + (small ? 2 : 5), small ? p[1] : load_be32(p + 1));
    text_byte(out, '}');
    return p;
}

/* Whether all keys are text that could be no tag. */
static bool is_object(const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);

    p += 5;
    for (; count; count--) {
        struct bytes key;

        if (p[0] != ETF_BINARY)
            return false;
        key = read_binary(p);
        if ((key.size && key.data[0] == '$') || !text_is_utf8(key))
            return false;
        p = key.data + key.size;
        p += etf_size(p);
    }
    return true;
}

static const uint8_t *write_map(struct buffer *out, const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);
    bool object = is_object(p);

    text_append(out, object ? "{" : "{\"$map\":[");
    p += 5;
    for (uint32_t i = 0; i < count && p; i++) {
        text_append(out, i ? "," : "");
        text_append(out, object ? "" : "[");
        p = write_term(out, p);
        text_byte(out, object ? ':' : ',');
        if (p)
            p = write_term(out, p);
        text_append(out, object ? "" : "]");
    }
    text_append(out, object ? "}" : "]}");
    return p;
}

static const uint8_t *write_term(struct buffer *out, const uint8_t *p)
{
    switch (p[0]) {
    case ETF_SMALL_INTEGER:
        text_u64(out, p[1]);
        return p + 2;
    case ETF_INTEGER:
        text_format(out, "%d", (int)(int32_t)load_be32(p + 1));
        return p + 5;
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG:
        return write_big(out, p);
    case ETF_NEW_FLOAT:
    case ETF_FLOAT:
        return write_float(out, p);
    case ETF_SMALL_ATOM:
    case ETF_ATOM:
    case ETF_SMALL_ATOM_UTF8:
    case ETF_ATOM_UTF8:
        return write_atom(out, p);
    case ETF_BINARY:
        return write_binary(out, p);
    case ETF_STRING:
        return write_string(out, p);
    case ETF_NIL:
        text_append(out, "[]");
        return p + 1;
    case ETF_LIST:
        return write_list(out, p);
    case ETF_SMALL_TUPLE:
    case ETF_LARGE_TUPLE:
        return write_tuple(out, p);
    case ETF_MAP:
        return write_map(out, p);
    default:
        return NULL;
    }
}

static void write_etf(struct buffer *out, struct bytes term)
{
    struct buffer bytes = BUFFER(cli_mem());

    text_byte(&bytes, (char)VERSION);
    text_bytes(&bytes, term);
    text_append(out, "{\"$etf\":");
    write_base64(out, buffer_bytes(&bytes));
    text_byte(out, '}');
    buffer_free(&bytes);
}

/* --- lines, written ------------------------------------------------------- */

struct jsonl_writer {
    struct export *export;
    struct buffer line;
    struct buffer json;
    struct buffer back; /* what was written, read again */
    struct parser parser;
};

/* A vertex or label: any spelling is the same key. */
static void put_key(struct jsonl_writer *writer, struct bytes term)
{
    size_t before = writer->line.size;

    if (!write_term(&writer->line, term.data)) {
        writer->line.size = before;
        write_etf(&writer->line, term);
    }
}

static bool reads_back(struct jsonl_writer *writer, struct bytes term,
                       bool latin1)
{
    struct parser *parser = &writer->parser;

    parser->begin = parser->at = writer->json.data;
    parser->end = parser->at + writer->json.size;
    parser->wrong = NULL;
    parser->depth = 0;
    parser->latin1 = latin1;
    return take_term(parser, &writer->back) &&
           bytes_equal(buffer_bytes(&writer->back), term);
}

/* Values are bytes, so they must come back as such. */
static void put_value(struct jsonl_writer *writer, struct bytes term)
{
    struct buffer *json = &writer->json;
    bool latin1 = false;

    if (!term.size || bytes_equal(term, BYTES("\x77\3nil")))
        return;
    json->size = 0;
    if (!write_term(json, term.data) ||
        (!reads_back(writer, term, false) &&
         !(latin1 = reads_back(writer, term, true)))) {
        json->size = 0;
        write_etf(json, term);
    }
    if (latin1)
        text_append(&writer->line, ",\"atoms\":\"latin1\"");
    text_append(&writer->line, ",\"value\":");
    text_bytes(&writer->line, buffer_bytes(json));
}

static bool is_nil(struct bytes term)
{
    return graph_is_nil(term);
}

/* One by one, so that only what needs it becomes $etf. */
static void put_labels(struct jsonl_writer *writer, struct bytes labels)
{
    const uint8_t *p = labels.data + 5;

    text_append(&writer->line, ",\"labels\":[");
    for (uint32_t i = 0, n = load_be32(labels.data + 1); i < n; i++) {
        struct bytes label = bytes_of(p, etf_size(p));

        text_append(&writer->line, i ? "," : "");
        put_key(writer, label);
        p += label.size;
    }
    text_byte(&writer->line, ']');
}

static void put_element(void *context, const struct element_terms *element)
{
    struct jsonl_writer *writer = context;
    struct buffer *line = &writer->line;

    line->size = 0;
    text_append(line, element->is_edge ? "{\"type\":\"edge\",\"from\":"
                                       : "{\"type\":\"vertex\",\"id\":");
    put_key(writer, element->vertex);
    if (element->is_edge) {
        text_append(line, ",\"to\":");
        put_key(writer, element->to);
        if (!is_nil(element->label)) {
            text_append(line, ",\"label\":");
            put_key(writer, element->label);
        }
    } else if (element->labels.data[0] == ETF_LIST) {
        put_labels(writer, element->labels);
    }
    if (!is_nil(element->value))
        put_value(writer, element->value);
    text_append(line, "}\n");
    export_bytes(writer->export, buffer_bytes(line));
}

static void put_graph(struct jsonl_writer *writer)
{
    struct buffer *line = &writer->line;
    struct bytes weight = export_weight(writer->export);

    text_format(line, "{\"type\":\"graph\",\"directed\":%s,\"weight\":",
                export_is_undirected(writer->export) ? "false" : "true");
    if (weight.data[0] == ETF_SMALL_TUPLE) {
        text_append(line, "{\"key\":");
        put_key(writer, bytes_of(weight.data + 7, weight.size - 7));
        text_byte(line, '}');
    } else {
        text_byte(line, '"');
        term_text(line, weight.data, NULL);
        text_byte(line, '"');
    }
    text_append(line, "}\n");
    export_bytes(writer->export, buffer_bytes(line));
}

int jsonl_write(struct export *export)
{
    struct jsonl_writer writer = {
        .export = export,
        .line = BUFFER(cli_mem()),
        .json = BUFFER(cli_mem()),
        .back = BUFFER(cli_mem()),
        .parser = {.string = BUFFER(cli_mem())},
    };
    int status = export_open(export, NULL);
    bool good;

    if (status < 0) {
        put_graph(&writer);
        good = export_each(export, &writer, put_element);
        status = export_close(export, good);
        if (status < 0 && !good)
            status = export_status(export);
    }
    buffer_free(&writer.line);
    buffer_free(&writer.json);
    buffer_free(&writer.back);
    buffer_free(&writer.parser.string);
    return status;
}

/* --- single terms, for other formats -------------------------------------- */

void jsonl_put_term(struct buffer *out, struct bytes term)
{
    struct jsonl_writer writer = {
        .json = BUFFER(cli_mem()),
        .back = BUFFER(cli_mem()),
        .parser = {.string = BUFFER(cli_mem())},
    };

    if (!write_term(&writer.json, term.data) ||
        !reads_back(&writer, term, false)) {
        writer.json.size = 0;
        write_etf(&writer.json, term);
    }
    text_bytes(out, buffer_bytes(&writer.json));
    buffer_free(&writer.json);
    buffer_free(&writer.back);
    buffer_free(&writer.parser.string);
}

const char *jsonl_read_term(struct buffer *out, struct bytes text)
{
    struct buffer term = BUFFER(cli_mem());
    struct parser parser = {
        .begin = text.data,
        .at = text.data,
        .end = text.data + text.size,
        .string = BUFFER(cli_mem()),
    };

    if (take_term(&parser, &term) && peek(&parser))
        fail(&parser, "something stands behind the value");
    if (!parser.wrong)
        text_bytes(out, buffer_bytes(&term));
    buffer_free(&term);
    buffer_free(&parser.string);
    return parser.wrong;
}
