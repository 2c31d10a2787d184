#include "support/term_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/etf.h"

struct mem *test_mem(void)
{
    static struct mem mem;

    if (!mem.limit)
        mem_init(&mem, 0);
    return &mem;
}

void test_append(struct buffer *out, const void *data, size_t size)
{
    REQUIRE(buffer_append(out, bytes_of(data, size)) == ST_OK);
}

void test_append_text(struct buffer *out, const char *text)
{
    test_append(out, text, strlen(text));
}

char *test_format(const char *format, ...)
{
    static char *kept[64];
    static unsigned next;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    REQUIRE(vasprintf(&text, format, arguments) >= 0);
    va_end(arguments);
    free(kept[next % 64]);
    kept[next++ % 64] = text;
    return text;
}

/* --- text to term ------------------------------------------------------- */

static void put8(struct buffer *out, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    test_append(out, &byte, 1);
}

static void put32(struct buffer *out, uint32_t value)
{
    uint8_t bytes[4];

    store_be32(bytes, value);
    test_append(out, bytes, 4);
}

static void skip_space(const char **at)
{
    while (isspace((unsigned char)**at))
        ++*at;
}

static bool take(const char **at, const char *token)
{
    skip_space(at);
    if (strncmp(*at, token, strlen(token)) != 0)
        return false;
    *at += strlen(token);
    return true;
}

static void parse_term(struct buffer *out, const char **at);

static void parse_integer(struct buffer *out, const char **at)
{
    char *end;
    bool negative = **at == '-';
    uint64_t magnitude = strtoull(*at + negative, &end, 10);

    *at = end;
    if (!negative && magnitude < 256) {
        put8(out, ETF_SMALL_INTEGER);
        put8(out, (unsigned)magnitude);
    } else if (magnitude <= INT32_MAX) {
        put8(out, ETF_INTEGER);
        put32(out, negative ? 0 - (uint32_t)magnitude : (uint32_t)magnitude);
    } else {
        put8(out, ETF_SMALL_BIG);
        put8(out, 8);
        put8(out, negative);
        for (int i = 0; i < 8; i++)
            put8(out, (unsigned)(magnitude >> (8 * i)) & 0xff);
    }
}

static void parse_atom(struct buffer *out, const char **at)
{
    const char *start = *at;
    size_t size;

    if (*start == '\'') {
        start++;
        size = strcspn(start, "'");
        *at = start + size + 1;
    } else {
        while (isalnum((unsigned char)**at) || **at == '_' || **at == '@')
            ++*at;
        size = (size_t)(*at - start);
        REQUIRE(size > 0);
    }
    put8(out, ETF_SMALL_ATOM_UTF8);
    put8(out, (unsigned)size);
    test_append(out, start, size);
}

static void parse_quoted(struct buffer *out, const char **at, bool binary)
{
    size_t size = strcspn(*at, "\"");

    put8(out, binary ? ETF_BINARY : ETF_STRING);
    if (binary) {
        put32(out, (uint32_t)size);
    } else {
        put8(out, (unsigned)size >> 8);
        put8(out, (unsigned)size & 0xff);
    }
    test_append(out, *at, size);
    *at += size + 1;
    if (binary)
        REQUIRE(take(at, ">>"));
}

/* Elements up to `close`; counts them behind a header of five bytes. */
static void parse_elements(struct buffer *out, const char **at, unsigned tag,
                           const char *close)
{
    size_t header = out->size;
    uint32_t count = 0;
    bool tail = false;

    put8(out, tag);
    put32(out, 0);
    while (!take(at, close)) {
        if (count)
            tail = take(at, "|");
        if (count && !tail)
            REQUIRE(take(at, ","));
        parse_term(out, at);
        if (tag == ETF_MAP) {
            REQUIRE(take(at, "=>"));
            parse_term(out, at);
        }
        count += !tail;
    }
    store_be32(out->data + header + 1, count);
    if (tag == ETF_LIST && count == 0)
        out->size = header;
    if (tag == ETF_LIST && !tail)
        put8(out, ETF_NIL);
}

static void parse_term(struct buffer *out, const char **at)
{
    skip_space(at);
    if (isdigit((unsigned char)**at) || **at == '-')
        parse_integer(out, at);
    else if (take(at, "<<\""))
        parse_quoted(out, at, true);
    else if (take(at, "\""))
        parse_quoted(out, at, false);
    else if (take(at, "["))
        parse_elements(out, at, ETF_LIST, "]");
    else if (take(at, "{"))
        parse_elements(out, at, ETF_LARGE_TUPLE, "}");
    else if (take(at, "#{"))
        parse_elements(out, at, ETF_MAP, "}");
    else
        parse_atom(out, at);
}

void term_parse(struct buffer *out, const char *text)
{
    parse_term(out, &text);
    skip_space(&text);
    REQUIRE(*text == '\0');
}

void frame_parse(struct buffer *out, const char *text)
{
    size_t header = out->size;

    put32(out, 0);
    put8(out, ETF_VERSION);
    term_parse(out, text);
    store_be32(out->data + header, (uint32_t)(out->size - header - 4));
}

/* --- term to text ------------------------------------------------------- */

static void print_format(struct buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print_format(struct buffer *out, const char *format, ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    test_append_text(out, text);
}

static size_t print_term(struct buffer *out, const uint8_t *term);

static size_t print_elements(struct buffer *out, const uint8_t *term,
                             uint64_t count, bool map)
{
    size_t at = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (i)
            test_append_text(out, map && i % 2 ? "=>" : ",");
        at += print_term(out, term + at);
    }
    return at;
}

static size_t print_list(struct buffer *out, const uint8_t *term)
{
    size_t at = 5;

    test_append_text(out, "[");
    at += print_elements(out, term + 5, load_be32(term + 1), false);
    if (term[at] != ETF_NIL) {
        test_append_text(out, "|");
        at += print_term(out, term + at);
    } else {
        at++;
    }
    test_append_text(out, "]");
    return at;
}

static size_t print_string(struct buffer *out, const uint8_t *term)
{
    size_t size = load_be16(term + 1);

    test_append_text(out, "[");
    for (size_t i = 0; i < size; i++)
        print_format(out, i ? ",%u" : "%u", term[3 + i]);
    test_append_text(out, "]");
    return 3 + size;
}

static size_t print_big(struct buffer *out, const uint8_t *term)
{
    uint64_t magnitude = 0;

    for (int i = term[1]; i-- > 0;)
        magnitude = magnitude << 8 | term[3 + i];
    print_format(out, "%s%llu", term[2] ? "-" : "",
                 (unsigned long long)magnitude);
    return 3u + term[1];
}

static size_t print_tuple(struct buffer *out, const uint8_t *term)
{
    bool small = term[0] == ETF_SMALL_TUPLE;
    size_t at = small ? 2 : 5;

    test_append_text(out, "{");
    at += print_elements(out, term + at, small ? term[1] : load_be32(term + 1),
                         false);
    test_append_text(out, "}");
    return at;
}

static size_t print_term(struct buffer *out, const uint8_t *term)
{
    size_t size;

    switch (term[0]) {
    case ETF_SMALL_INTEGER:
        print_format(out, "%u", term[1]);
        return 2;
    case ETF_INTEGER:
        print_format(out, "%d", (int)load_be32(term + 1));
        return 5;
    case ETF_SMALL_BIG:
        return print_big(out, term);
    case ETF_SMALL_ATOM_UTF8:
        test_append(out, term + 2, term[1]);
        return 2u + term[1];
    case ETF_BINARY:
        size = load_be32(term + 1);
        test_append_text(out, "<<\"");
        if (!memchr(term + 5, 0, size)) {
            test_append(out, term + 5, size);
        } else { /* a text has no NUL */
            for (size_t i = 0; i < size; i++)
                if (term[5 + i])
                    test_append(out, term + 5 + i, 1);
                else
                    test_append_text(out, "\\0");
        }
        test_append_text(out, "\">>");
        return 5 + size;
    case ETF_STRING:
        return print_string(out, term);
    case ETF_NIL:
        test_append_text(out, "[]");
        return 1;
    case ETF_LIST:
        return print_list(out, term);
    case ETF_SMALL_TUPLE:
    case ETF_LARGE_TUPLE:
        return print_tuple(out, term);
    case ETF_MAP:
        test_append_text(out, "#{");
        size = 5 + print_elements(out, term + 5,
                                  2 * (uint64_t)load_be32(term + 1), true);
        test_append_text(out, "}");
        return size;
    default:
        print_format(out, "~%u", term[0]);
        return etf_size(term);
    }
}

size_t term_print(struct buffer *out, const uint8_t *term)
{
    size_t size = print_term(out, term);

    test_append(out, "", 1);
    out->size--;
    return size;
}
