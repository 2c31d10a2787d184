/*
 * term.c -- a term as Erlang's own text, by a descent over its bytes.
 *
 * Every put_*() appends one term and gives back what is behind it. What is a
 * string, how it is escaped and which atoms are quoted follows io_lib; where
 * that leaves a choice, what erl_scan reads back decides.
 */
#include "cli/term.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/term_parts.h"

/* The shortest digits that read back as the same number, with a point. */
static void put_float(struct buffer *out, double value)
{
    char text[40];
    char *exponent;
    /* Short forms come out of 15 digits by themselves, but for numbers that
     * have fewer bits than others. */
    bool tiny = value > -1e-300 && value < 1e-300;
    int digits = tiny ? 1 : 15;

    do {
        snprintf(text, sizeof(text), "%.*g", digits, value);
    } while (strtod(text, NULL) != value && ++digits <= 17);
    exponent = strchr(text, 'e');
    if (strchr(text, '.')) {
        text_append(out, text);
    } else if (exponent) {
        text_bytes(out, bytes_of(text, (size_t)(exponent - text)));
        text_append(out, ".0");
        text_append(out, exponent);
    } else {
        text_append(out, text);
        text_append(out, ".0");
    }
}

static double read_float(const uint8_t *p)
{
    uint64_t bits = load_be64(p + 1);
    double value;

    if (p[0] == ETF_FLOAT) {
        REQUIRE(etf_float_text(p + 1, &value));
        return value;
    }
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* --- integers ------------------------------------------------------------ */

static void put_hexadecimal(struct buffer *out, const struct big *big)
{
    text_append(out, "16#");
    for (size_t i = big->size; i-- > 0;)
        text_format(out, i + 1 == big->size ? "%X" : "%02X", big->bytes[i]);
}

/*
 * Divides by 10^9 again and again, schoolbook: the square of the size. Chunks
 * of nine digits come out with the lowest first.
 */
static void put_decimal(struct buffer *out, const struct big *big)
{
    size_t limbs_count = (big->size + 3) / 4;
    size_t chunk_max = big->size * 8 / 29 + 2; /* 10^9 > 2^29 */
    struct buffer work = BUFFER(cli_mem());
    uint32_t *limbs;
    uint32_t *chunks;
    size_t chunk_count = 0;

    if (buffer_reserve(&work, 4 * (limbs_count + chunk_max)) < 0)
        text_no_memory();
    limbs = (uint32_t *)(void *)work.data;
    chunks = limbs + limbs_count;
    memset(limbs, 0, 4 * limbs_count);
    for (size_t i = 0; i < big->size; i++)
        limbs[i / 4] |= (uint32_t)big->bytes[i] << (8 * (i % 4));
    while (limbs_count) {
        uint64_t rest = 0;

        for (size_t i = limbs_count; i-- > 0;) {
            rest = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(rest / 1000000000u);
            rest %= 1000000000u;
        }
        chunks[chunk_count++] = (uint32_t)rest;
        while (limbs_count && limbs[limbs_count - 1] == 0)
            limbs_count--;
    }
    if (!chunk_count)
        chunks[chunk_count++] = 0;
    text_format(out, "%u", chunks[--chunk_count]);
    while (chunk_count)
        text_format(out, "%09u", chunks[--chunk_count]);
    buffer_free(&work);
}

static const uint8_t *put_big(struct buffer *out, const uint8_t *p)
{
    struct big big;
    const uint8_t *end = read_big(p, &big);

    if (big.negative)
        text_byte(out, '-');
    if (big.size > TERM_DECIMAL_BYTES)
        put_hexadecimal(out, &big);
    else
        put_decimal(out, &big);
    return end;
}

static void put_i64(struct buffer *out, int64_t value)
{
    if (value < 0)
        text_byte(out, '-');
    text_u64(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static bool is_integer(const uint8_t *p)
{
    return p[0] == ETF_SMALL_INTEGER || p[0] == ETF_INTEGER;
}

static int32_t read_integer(const uint8_t *p)
{
    return p[0] == ETF_SMALL_INTEGER ? p[1] : (int32_t)load_be32(p + 1);
}

static size_t integer_size(const uint8_t *p)
{
    return p[0] == ETF_SMALL_INTEGER ? 2 : 5;
}

/* --- text: characters ---------------------------------------------------- */

/* What Erlang shows as a character of a string, escaped or not. */
static bool is_printable(uint32_t c)
{
    return (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c < 0xd800) ||
           (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c <= 0x10ffff) ||
           (c >= '\b' && c <= '\r') || c == 0x1b;
}

/* Characters that turn the direction of a line, or end it. */
static bool misleads(uint32_t c)
{
    return (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0x200e || c == 0x200f || c == 0x61c || c == 0xfeff;
}

static void put_character(struct buffer *out, uint32_t c, char quote)
{
    static const char names[] = "btnvfr"; /* 8 to 13 */

    if (c == (uint32_t)quote || c == '\\')
        text_format(out, "\\%c", (char)c);
    else if (c >= '\b' && c <= '\r')
        text_format(out, "\\%c", names[c - '\b']);
    else if (c == 0x1b)
        text_append(out, "\\e");
    else if (c == 0x7f)
        text_append(out, "\\d");
    else if (c < 0x20 || (c > 0x7f && c < 0xa0))
        text_format(out, "\\%03o", (unsigned)c);
    else if (misleads(c))
        text_format(out, "\\x{%X}", (unsigned)c);
    else
        text_utf8(out, c);
}

static void put_quoted(struct buffer *out, struct bytes utf8, char quote)
{
    uint32_t c;
    size_t size;

    text_byte(out, quote);
    for (size_t at = 0; at < utf8.size; at += size) {
        REQUIRE(text_utf8_next(bytes_of(utf8.data + at, utf8.size - at), &c,
                               &size));
        put_character(out, c, quote);
    }
    text_byte(out, quote);
}

static bool is_reserved(struct bytes name)
{
    static const char words[] =
        " after and andalso band begin bnot bor bsl bsr bxor case catch cond "
        "div else end fun if let maybe not of or orelse receive rem try when "
        "xor ";
    const char *at = words;

    while ((at = strchr(at, ' ')) && at[1]) {
        const char *end = strchr(++at, ' ');

        if (bytes_equal(name, bytes_of(at, (size_t)(end - at))))
            return true;
    }
    return false;
}

static bool is_bare_atom(struct bytes name)
{
    uint32_t c;
    size_t size;

    for (size_t at = 0; at < name.size; at += size) {
        bool lower;
        bool upper;

        REQUIRE(text_utf8_next(bytes_of(name.data + at, name.size - at), &c,
                               &size));
        lower = (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff && c != 0xf7);
        upper = (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c < 0xdf && c != 0xd7);
        if (!lower && (at == 0 || !(upper || (c >= '0' && c <= '9') ||
                                    c == '_' || c == '@')))
            return false;
    }
    return name.size && !is_reserved(name);
}

static const uint8_t *put_atom(struct buffer *out, const uint8_t *p)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    struct bytes name;
    const uint8_t *end = read_atom(p, scratch, &name);

    if (is_bare_atom(name))
        text_bytes(out, name);
    else
        put_quoted(out, name, '\'');
    return end;
}

/* --- text: terms --------------------------------------------------------- */

struct writer {
    struct buffer *out;
    bool literal;
};

static const uint8_t *put_term(struct writer *writer, const uint8_t *p);

static const uint8_t *put_terms(struct writer *writer, const uint8_t *p,
                                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            text_byte(writer->out, ',');
        p = put_term(writer, p);
    }
    return p;
}

/* Beyond it a list is rather one of numbers, such as seqs; Erlang's shell
 * draws the line in the same place. */
#define LIST_CHARACTER_MAX 255

/* A list of nothing but printable characters as a string, or NULL. */
static const uint8_t *put_list_string(struct buffer *out, const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);
    const uint8_t *at = p + 5;

    for (uint32_t i = 0; i < count; i++) {
        if (!is_integer(at) || read_integer(at) < 0 ||
            read_integer(at) > LIST_CHARACTER_MAX ||
            !is_printable((uint32_t)read_integer(at)))
            return NULL;
        at += integer_size(at);
    }
    if (*at != ETF_NIL)
        return NULL;
    text_byte(out, '"');
    at = p + 5;
    for (uint32_t i = 0; i < count; i++) {
        put_character(out, (uint32_t)read_integer(at), '"');
        at += integer_size(at);
    }
    text_byte(out, '"');
    return at + 1;
}

static const uint8_t *put_list(struct writer *writer, const uint8_t *p)
{
    const uint8_t *end;

    if (load_be32(p + 1) == 0) /* no element: the tail is all there is */
        return put_term(writer, p + 5);
    end = put_list_string(writer->out, p);
    if (end)
        return end;
    text_byte(writer->out, '[');
    p = put_terms(writer, p + 5, load_be32(p + 1));
    if (*p == ETF_NIL) {
        p++;
    } else {
        text_byte(writer->out, '|');
        p = put_term(writer, p);
    }
    text_byte(writer->out, ']');
    return p;
}

/* STRING: a list of bytes. */
static const uint8_t *put_string(struct buffer *out, const uint8_t *p)
{
    struct bytes bytes = bytes_of(p + 3, load_be16(p + 1));
    bool printable = bytes.size > 0;

    for (size_t i = 0; i < bytes.size; i++)
        printable &= is_printable(bytes.data[i]);
    text_byte(out, printable ? '"' : '[');
    for (size_t i = 0; i < bytes.size; i++) {
        if (printable)
            put_character(out, bytes.data[i], '"');
        else
            text_format(out, i ? ",%u" : "%u", bytes.data[i]);
    }
    text_byte(out, printable ? '"' : ']');
    return p + 3 + bytes.size;
}

/* True if `bytes` are printable text; `*ret_ascii`: of nothing but ASCII. */
static bool is_text(struct bytes bytes, bool *ret_ascii)
{
    uint32_t c;
    size_t size;

    *ret_ascii = true;
    for (size_t at = 0; at < bytes.size; at += size) {
        if (!text_utf8_next(bytes_of(bytes.data + at, bytes.size - at), &c,
                            &size) ||
            !is_printable(c))
            return false;
        *ret_ascii &= c < 0x80;
    }
    return bytes.size > 0;
}

static void put_byte_numbers(struct buffer *out, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (i)
            text_byte(out, ',');
        text_u64(out, bytes.data[i]);
    }
}

static const uint8_t *put_binary(struct buffer *out, const uint8_t *p)
{
    struct bytes bytes = read_binary(p);
    bool ascii;

    text_append(out, "<<");
    if (is_text(bytes, &ascii)) {
        put_quoted(out, bytes, '"');
        text_append(out, ascii ? "" : "/utf8");
    } else {
        put_byte_numbers(out, bytes);
    }
    text_append(out, ">>");
    return bytes.data + bytes.size;
}

/* BIT_BINARY: the last byte has its `bits` bits at the top. */
static const uint8_t *put_bits(struct buffer *out, const uint8_t *p)
{
    uint32_t size = load_be32(p + 1);
    unsigned bits = p[5];
    const uint8_t *data = p + 6;

    text_append(out, "<<");
    if (size && bits && bits < 8) {
        put_byte_numbers(out, bytes_of(data, size - 1));
        text_format(out, "%s%u:%u", size > 1 ? "," : "",
                    data[size - 1] >> (8 - bits), bits);
    } else {
        put_byte_numbers(out, bytes_of(data, size));
    }
    text_append(out, ">>");
    return data + size;
}

static const uint8_t *put_map(struct writer *writer, const uint8_t *p)
{
    uint32_t count = load_be32(p + 1);

    text_append(writer->out, "#{");
    p += 5;
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            text_byte(writer->out, ',');
        p = put_term(writer, p);
        text_append(writer->out, " => ");
        p = put_term(writer, p);
    }
    text_byte(writer->out, '}');
    return p;
}

/* Where a pid, port or reference is from: 0 is what Erlang shows for the node
 * it runs on itself, and here it stands for one without a name. */
static const uint8_t *put_node(struct buffer *out, const uint8_t *p)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    struct bytes name;
    const uint8_t *end = read_atom(p, scratch, &name);

    if (bytes_equal(name, BYTES("nonode@nohost")))
        text_byte(out, '0');
    else
        put_atom(out, p);
    return end;
}

static const uint8_t *put_pid(struct buffer *out, const uint8_t *p)
{
    bool wide = p[0] == ETF_NEW_PID;

    text_byte(out, '<');
    p = put_node(out, p + 1);
    text_format(out, ".%u.%u>", load_be32(p), load_be32(p + 4));
    return p + 8 + (wide ? 4 : 1);
}

static const uint8_t *put_port(struct buffer *out, const uint8_t *p)
{
    uint8_t tag = p[0];

    text_append(out, "#Port<");
    p = put_node(out, p + 1);
    text_byte(out, '.');
    text_u64(out, tag == ETF_V4_PORT ? load_be64(p) : load_be32(p));
    text_byte(out, '>');
    return p + (tag == ETF_V4_PORT ? 12 : tag == ETF_NEW_PORT ? 8 : 5);
}

static const uint8_t *put_reference(struct buffer *out, const uint8_t *p)
{
    uint8_t tag = p[0];
    unsigned count = tag == ETF_REFERENCE ? 1 : load_be16(p + 1);

    text_append(out, "#Ref<");
    p = put_node(out, p + (tag == ETF_REFERENCE ? 1 : 3));
    if (tag == ETF_NEW_REFERENCE)
        p += 1; /* the creation stands before the numbers */
    else if (tag == ETF_NEWER_REFERENCE)
        p += 4;
    for (unsigned i = count; i-- > 0;)
        text_format(out, ".%u", load_be32(p + 4 * i));
    text_byte(out, '>');
    return p + 4 * (size_t)count + (tag == ETF_REFERENCE ? 1 : 0);
}

static const uint8_t *put_fun(struct buffer *out, const uint8_t *p)
{
    const uint8_t *end = p + 1 + load_be32(p + 1);
    uint32_t index = load_be32(p + 22);

    text_append(out, "#Fun<");
    p = put_atom(out, p + 30);
    p += etf_size(p); /* the old index */
    text_format(out, ".%u.", index);
    if (is_integer(p))
        put_i64(out, read_integer(p));
    else
        text_byte(out, '0');
    text_byte(out, '>');
    return end;
}

static const uint8_t *put_export(struct buffer *out, const uint8_t *p)
{
    text_append(out, "fun ");
    p = put_atom(out, p + 1);
    text_byte(out, ':');
    p = put_atom(out, p);
    text_format(out, "/%u", p[1]);
    return p + 2;
}

static const uint8_t *put_opaque(struct writer *writer, const uint8_t *p)
{
    writer->literal = false;
    switch (p[0]) {
    case ETF_PID:
    case ETF_NEW_PID:
        return put_pid(writer->out, p);
    case ETF_PORT:
    case ETF_NEW_PORT:
    case ETF_V4_PORT:
        return put_port(writer->out, p);
    case ETF_NEW_FUN:
        return put_fun(writer->out, p);
    default:
        return put_reference(writer->out, p);
    }
}

static const uint8_t *put_tuple(struct writer *writer, const uint8_t *p)
{
    bool small = p[0] == ETF_SMALL_TUPLE;
    uint32_t arity = small ? p[1] : load_be32(p + 1);

    text_byte(writer->out, '{');
    p = put_terms(writer, p + (small ? 2 : 5), arity);
    text_byte(writer->out, '}');
    return p;
}

/* Nests as deep as the term, which etf_validate() has limited. */
static const uint8_t *put_term(struct writer *writer, const uint8_t *p)
{
    struct buffer *out = writer->out;

    switch (p[0]) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
        put_i64(out, read_integer(p));
        return p + integer_size(p);
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG:
        return put_big(out, p);
    case ETF_NEW_FLOAT:
    case ETF_FLOAT:
        put_float(out, read_float(p));
        return p + (p[0] == ETF_FLOAT ? 1 + ETF_FLOAT_CHARS : 9);
    case ETF_SMALL_ATOM:
    case ETF_ATOM:
    case ETF_SMALL_ATOM_UTF8:
    case ETF_ATOM_UTF8:
        return put_atom(out, p);
    case ETF_BINARY:
        return put_binary(out, p);
    case ETF_BIT_BINARY:
        return put_bits(out, p);
    case ETF_STRING:
        return put_string(out, p);
    case ETF_NIL:
        text_append(out, "[]");
        return p + 1;
    case ETF_LIST:
        return put_list(writer, p);
    case ETF_SMALL_TUPLE:
    case ETF_LARGE_TUPLE:
        return put_tuple(writer, p);
    case ETF_MAP:
        return put_map(writer, p);
    case ETF_EXPORT:
        return put_export(out, p);
    default:
        return put_opaque(writer, p);
    }
}

const uint8_t *term_text(struct buffer *out, const uint8_t *term, bool *literal)
{
    struct writer writer = {out, true};

    term = put_term(&writer, term);
    if (literal && !writer.literal)
        *literal = false;
    return term;
}
