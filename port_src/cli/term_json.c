#include "cli/json.h"
#include "cli/term.h"
#include "cli/term_parts.h"

/*
 * A map is an object or not, and a list an array or not, and that is known
 * only at its end. So one walk over the whole term decides for every map and
 * list in it, in the order in which they begin, and a second one writes.
 * Looking ahead at each instead would cost the depth of the term.
 */
struct json_writer {
    struct buffer *out;
    struct buffer plain; /* a byte each: is it an object, is it an array? */
    size_t next;
};

static const uint8_t *decide(struct json_writer *writer, const uint8_t *p);

static const uint8_t *decide_all(struct json_writer *writer, const uint8_t *p,
                                 uint32_t count)
{
    while (count--)
        p = decide(writer, p);
    return p;
}

/* Whether a key may be one of an object whose first key has the tag `first`;
 * two kinds of keys could be the same text. */
static bool is_object_key(const uint8_t *first, const uint8_t *key)
{
    struct bytes text;
    uint8_t scratch[ATOM_BYTES_MAX];

    if (is_atom(first) && is_atom(key))
        read_atom(key, scratch, &text);
    else if (first[0] == ETF_BINARY && key[0] == ETF_BINARY)
        text = read_binary(key);
    else
        return false;
    return !(text.size && text.data[0] == '$') && text_is_utf8(text);
}

static const uint8_t *decide_map(struct json_writer *writer, const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);
    const uint8_t *first = p + 5;
    size_t index = writer->plain.size;

    text_byte(&writer->plain, true);
    p += 5;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_object_key(first, p))
            writer->plain.data[index] = false;
        p = decide(writer, p);
        p = decide(writer, p);
    }
    return p;
}

static const uint8_t *decide_list(struct json_writer *writer, const uint8_t *p)
{
    size_t index = writer->plain.size;

    if (load_be32(p + 1) == 0)
        return decide(writer, p + 5);
    text_byte(&writer->plain, true);
    p = decide_all(writer, p + 5, load_be32(p + 1));
    if (*p == ETF_NIL)
        return p + 1;
    p = decide(writer, p);
    /* It becomes text as a whole, and nobody asks about what is in it. */
    writer->plain.data[index] = false;
    writer->plain.size = index + 1;
    return p;
}

static const uint8_t *decide(struct json_writer *writer, const uint8_t *p)
{
    switch (p[0]) {
    case ETF_SMALL_TUPLE:
        return decide_all(writer, p + 2, p[1]);
    case ETF_LARGE_TUPLE:
        return decide_all(writer, p + 5, load_be32(p + 1));
    case ETF_LIST:
        return decide_list(writer, p);
    case ETF_MAP:
        return decide_map(writer, p);
    default:
        return p + etf_size(p); /* free variables of funs are not shown */
    }
}

static const uint8_t *json_term(struct json_writer *writer, const uint8_t *p);

static const uint8_t *json_terms(struct json_writer *writer, const uint8_t *p,
                                 uint32_t count)
{
    text_byte(writer->out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            text_byte(writer->out, ',');
        p = json_term(writer, p);
    }
    text_byte(writer->out, ']');
    return p;
}

static void put_base64(struct buffer *out, struct bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";

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
}

/* {"$term": "..."}: the text of what JSON has no word for. */
static const uint8_t *json_as_text(struct buffer *out, const uint8_t *p)
{
    struct buffer text = BUFFER(cli_mem());

    p = term_text(&text, p, NULL);
    text_append(out, "{\"$term\":");
    json_put_string(out, buffer_bytes(&text));
    text_byte(out, '}');
    buffer_free(&text);
    return p;
}

static const uint8_t *json_atom(struct buffer *out, const uint8_t *p,
                                bool is_key)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    struct bytes name;
    const uint8_t *end = read_atom(p, scratch, &name);

    if (!is_key &&
        (bytes_equal(name, BYTES("true")) ||
         bytes_equal(name, BYTES("false")) || bytes_equal(name, BYTES("null"))))
        text_bytes(out, name);
    else
        json_put_string(out, name);
    return end;
}

static const uint8_t *json_binary(struct buffer *out, const uint8_t *p)
{
    struct bytes bytes = read_binary(p);

    if (text_is_utf8(bytes)) {
        json_put_string(out, bytes);
    } else {
        text_append(out, "{\"$base64\":\"");
        put_base64(out, bytes);
        text_append(out, "\"}");
    }
    return bytes.data + bytes.size;
}

static const uint8_t *json_big(struct buffer *out, const uint8_t *p)
{
    struct big big;
    uint64_t magnitude = 0;
    const uint8_t *end = read_big(p, &big);

    for (size_t i = big.size; i-- > 0 && big.size <= 8;)
        magnitude = magnitude << 8 | big.bytes[i];
    if (big.size <= 8 && magnitude <= JSON_INTEGER_MAX) {
        term_text(out, p, NULL);
    } else {
        text_byte(out, '"');
        term_text(out, p, NULL);
        text_byte(out, '"');
    }
    return end;
}

static const uint8_t *json_string(struct buffer *out, const uint8_t *p)
{
    struct bytes bytes = bytes_of(p + 3, load_be16(p + 1));

    text_byte(out, '[');
    for (size_t i = 0; i < bytes.size; i++) {
        text_append(out, i ? "," : "");
        text_u64(out, bytes.data[i]);
    }
    text_byte(out, ']');
    return bytes.data + bytes.size;
}

static const uint8_t *json_map(struct json_writer *writer, const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);
    bool object = writer->plain.data[writer->next++];
    struct buffer *out = writer->out;

    text_append(out, object ? "{" : "{\"$map\":[");
    p += 5;
    for (uint32_t i = 0; i < count; i++) {
        text_append(out, i ? "," : "");
        text_append(out, object ? "" : "[");
        if (object && is_atom(p))
            p = json_atom(out, p, true);
        else
            p = json_term(writer, p);
        text_byte(out, object ? ':' : ',');
        p = json_term(writer, p);
        text_append(out, object ? "" : "]");
    }
    text_append(out, object ? "}" : "]}");
    return p;
}

static const uint8_t *json_list(struct json_writer *writer, const uint8_t *p)
{
    if (load_be32(p + 1) == 0)
        return json_term(writer, p + 5);
    if (!writer->plain.data[writer->next++])
        return json_as_text(writer->out, p);
    return json_terms(writer, p + 5, load_be32(p + 1)) + 1; /* and the nil */
}

static const uint8_t *json_term(struct json_writer *writer, const uint8_t *p)
{
    struct buffer *out = writer->out;

    switch (p[0]) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
    case ETF_NEW_FLOAT:
    case ETF_FLOAT:
        return term_text(out, p, NULL);
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG:
        return json_big(out, p);
    case ETF_SMALL_ATOM:
    case ETF_ATOM:
    case ETF_SMALL_ATOM_UTF8:
    case ETF_ATOM_UTF8:
        return json_atom(out, p, false);
    case ETF_BINARY:
        return json_binary(out, p);
    case ETF_STRING:
        return json_string(out, p);
    case ETF_NIL:
        text_append(out, "[]");
        return p + 1;
    case ETF_LIST:
        return json_list(writer, p);
    case ETF_SMALL_TUPLE:
        return json_terms(writer, p + 2, p[1]);
    case ETF_LARGE_TUPLE:
        return json_terms(writer, p + 5, load_be32(p + 1));
    case ETF_MAP:
        return json_map(writer, p);
    default:
        return json_as_text(out, p);
    }
}

const uint8_t *term_json(struct buffer *out, const uint8_t *term)
{
    struct json_writer writer = {out, BUFFER(cli_mem()), 0};

    decide(&writer, term);
    term = json_term(&writer, term);
    buffer_free(&writer.plain);
    return term;
}
