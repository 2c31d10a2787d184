/*
 * term_read.c -- a term from its text: what people type as a table's name.
 *
 * A descent over the text with one character of look-ahead. It nests
 * READ_DEPTH_MAX levels at most; the encoded name of a table has 255 bytes.
 */
#include <math.h>
#include <stdlib.h>

#include "cli/term.h"
#include "core/etf.h"

#define READ_DEPTH_MAX 64

struct text_reader {
    struct buffer *out;
    const char *at;
    unsigned depth;
    bool in_fun; /* an atom ends before : and / */
};

static bool read_term(struct text_reader *reader);

static void skip_space(struct text_reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n')
        reader->at++;
}

static bool take(struct text_reader *reader, const char *token)
{
    skip_space(reader);
    if (strncmp(reader->at, token, strlen(token)) != 0)
        return false;
    reader->at += strlen(token);
    return true;
}

static void put32(struct buffer *out, uint8_t tag, uint32_t value)
{
    uint8_t bytes[5] = {tag};

    store_be32(bytes + 1, value);
    text_bytes(out, bytes_of(bytes, sizeof(bytes)));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_float(struct text_reader *reader)
{
    uint8_t bytes[9] = {ETF_NEW_FLOAT};
    double value;
    uint64_t bits;
    char *end;

    value = strtod(reader->at, &end);
    if (value == HUGE_VAL || value == -HUGE_VAL)
        return false;
    reader->at = end;
    memcpy(&bits, &value, sizeof(bits));
    store_be64(bytes + 1, bits);
    text_bytes(reader->out, bytes_of(bytes, sizeof(bytes)));
    return true;
}

/* Decimal digits as an integer of any size that SMALL_BIG has. */
static bool read_big(struct text_reader *reader, bool negative, size_t digits)
{
    uint8_t big[3 + 255] = {ETF_SMALL_BIG, 0, negative};
    size_t size = 0;

    for (; digits; digits--) {
        unsigned carry = (unsigned)(*reader->at++ - '0');

        for (size_t i = 0; i < size; i++) {
            carry += big[3 + i] * 10u;
            big[3 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry && size == 255)
            return false;
        if (carry)
            big[3 + size++] = (uint8_t)carry;
    }
    big[1] = (uint8_t)size;
    text_bytes(reader->out, bytes_of(big, 3 + size));
    return true;
}

static bool read_number(struct text_reader *reader)
{
    bool negative = *reader->at == '-';
    size_t digits = strspn(reader->at + negative, "0123456789");
    const char *behind = reader->at + negative + digits;
    unsigned long value;

    if (!digits)
        return false;
    if (*behind == '.' && is_digit(behind[1]))
        return read_float(reader);
    reader->at += negative;
    if (digits > 9)
        return read_big(reader, negative, digits);
    value = strtoul(reader->at, NULL, 10);
    reader->at = behind;
    put32(reader->out, ETF_INTEGER,
          negative ? 0 - (uint32_t)value : (uint32_t)value);
    return true;
}

/* The character behind a backslash. */
static bool read_escape(struct text_reader *reader, uint32_t *ret)
{
    static const char names[] = "btnvfresd";
    static const char values[] = "\b\t\n\v\f\r\033 \177";
    char c = *reader->at;
    const char *name = c ? strchr(names, c) : NULL;
    char *end;

    if (c >= '0' && c <= '7') {
        *ret = 0;
        for (int i = 0; i < 3 && *reader->at >= '0' && *reader->at <= '7'; i++)
            *ret = *ret * 8 + (uint32_t)(*reader->at++ - '0');
        return true;
    }
    if (c == 'x' && reader->at[1] == '{') {
        *ret = (uint32_t)strtoul(reader->at + 2, &end, 16);
        reader->at = end + 1;
        return *end == '}' && *ret <= 0x10ffff;
    }
    reader->at++;
    *ret = name ? (uint32_t)values[name - names] : (uint32_t)(uint8_t)c;
    return c != '\0';
}

/* What stands between quotes, as UTF-8; the opening one has been taken. */
static bool read_quoted(struct text_reader *reader, char quote,
                        struct buffer *ret)
{
    uint32_t c;
    size_t size;

    while (*reader->at != quote) {
        if (*reader->at == '\\') {
            reader->at++;
            if (!read_escape(reader, &c))
                return false;
        } else {
            if (!*reader->at ||
                !text_utf8_next(bytes_of(reader->at, strlen(reader->at)), &c,
                                &size))
                return false;
            reader->at += size;
        }
        text_utf8(ret, c);
    }
    reader->at++;
    return true;
}

static bool put_atom(struct buffer *out, struct bytes name)
{
    uint8_t head[3] = {ETF_ATOM_UTF8, (uint8_t)(name.size >> 8),
                       (uint8_t)name.size};

    if (name.size > 1020)
        return false;
    text_bytes(out, bytes_of(head, sizeof(head)));
    text_bytes(out, name);
    return true;
}

static bool read_atom(struct text_reader *reader)
{
    const char *start = reader->at;
    struct buffer name = BUFFER(cli_mem());
    bool good;

    if (*start == '\'') {
        reader->at++;
        good = read_quoted(reader, '\'', &name) &&
               put_atom(reader->out, buffer_bytes(&name));
        buffer_free(&name);
        return good;
    }
    /* More than Erlang takes unquoted, such as `$keys` and `Elixir.Table`:
     * what stands here can only be an atom. */
    while (*reader->at && !strchr(" \t\n,{}[]<>|\"'#", *reader->at) &&
           !(reader->in_fun && strchr(":/", *reader->at)) &&
           strncmp(reader->at, "=>", 2) != 0)
        reader->at++;
    return reader->at > start &&
           put_atom(reader->out, bytes_of(start, (size_t)(reader->at - start)));
}

/* "text": a list of its characters. */
static bool read_string(struct text_reader *reader)
{
    struct buffer text = BUFFER(cli_mem());
    bool good = read_quoted(reader, '"', &text);
    size_t header = reader->out->size;
    uint32_t count = 0;
    uint32_t c;
    size_t size;

    put32(reader->out, ETF_LIST, 0);
    for (size_t at = 0; good && at < text.size; at += size) {
        if (!text_utf8_next(bytes_of(text.data + at, text.size - at), &c,
                            &size)) {
            good = false;
            break;
        }
        put32(reader->out, ETF_INTEGER, c);
        count++;
    }
    if (count)
        store_be32(reader->out->data + header + 1, count);
    else
        reader->out->size = header;
    text_byte(reader->out, ETF_NIL);
    buffer_free(&text);
    return good;
}

/* 1,2,3>> or 1,2,3:4>>: the last one may have less than eight bits. */
static bool read_byte_numbers(struct text_reader *reader, struct buffer *bytes,
                              unsigned *ret_bits)
{
    unsigned long byte;
    char *end;

    do {
        skip_space(reader);
        byte = strtoul(reader->at, &end, 10);
        if (!is_digit(*reader->at) || byte > 255)
            return false;
        reader->at = end;
        text_byte(bytes, (char)byte);
    } while (take(reader, ","));
    if (take(reader, ":")) {
        if (*reader->at < '1' || *reader->at > '7')
            return false;
        *ret_bits = (unsigned)(*reader->at++ - '0');
        if (byte >> *ret_bits)
            return false;
        bytes->data[bytes->size - 1] = (uint8_t)(byte << (8 - *ret_bits));
    }
    return take(reader, ">>");
}

/* <<"text">>, <<"text"/utf8>> (the same here), <<1,2,3>> or <<1,2,3:4>>. */
static bool read_binary(struct text_reader *reader)
{
    struct buffer bytes = BUFFER(cli_mem());
    unsigned bits = 0;
    bool good = true;

    if (take(reader, "\"")) {
        good = read_quoted(reader, '"', &bytes);
        if (good)
            take(reader, "/utf8");
        good = good && take(reader, ">>");
    } else if (!take(reader, ">>")) {
        good = read_byte_numbers(reader, &bytes, &bits);
    }
    put32(reader->out, bits ? ETF_BIT_BINARY : ETF_BINARY,
          (uint32_t)bytes.size);
    if (bits)
        text_byte(reader->out, (char)bits);
    text_bytes(reader->out, buffer_bytes(&bytes));
    buffer_free(&bytes);
    return good;
}

/* Elements up to `close`, behind a header that gets their count; those of a
 * map are pairs. */
static bool read_elements(struct text_reader *reader, uint8_t tag,
                          const char *close)
{
    size_t header = reader->out->size;
    bool tail = false;
    uint32_t count = 0;

    if (++reader->depth > READ_DEPTH_MAX)
        return false;
    put32(reader->out, tag, 0);
    if (!take(reader, close)) {
        do {
            if (!read_term(reader) ||
                (tag == ETF_MAP && (!take(reader, "=>") || !read_term(reader))))
                return false;
            count++;
        } while (take(reader, ","));
        tail = tag == ETF_LIST && take(reader, "|");
        if ((tail && !read_term(reader)) || !take(reader, close))
            return false;
    }
    reader->depth--;
    if (tag == ETF_LIST && count == 0)
        reader->out->size = header;
    else
        store_be32(reader->out->data + header + 1, count);
    if (tag == ETF_LIST && !tail)
        text_byte(reader->out, ETF_NIL);
    return true;
}

/* fun lists:map/2 */
static bool read_export(struct text_reader *reader)
{
    unsigned long arity;
    char *end;

    text_byte(reader->out, (char)ETF_EXPORT);
    if (!read_atom(reader) || !take(reader, ":") || !read_atom(reader) ||
        !take(reader, "/") || !is_digit(*reader->at))
        return false;
    arity = strtoul(reader->at, &end, 10);
    reader->at = end;
    text_byte(reader->out, (char)ETF_SMALL_INTEGER);
    text_byte(reader->out, (char)arity);
    return arity < 256;
}

static bool read_term(struct text_reader *reader)
{
    bool good;

    skip_space(reader);
    if (is_digit(*reader->at) || *reader->at == '-')
        return read_number(reader);
    if (take(reader, "<<"))
        return read_binary(reader);
    if (take(reader, "\""))
        return read_string(reader);
    if (take(reader, "["))
        return read_elements(reader, ETF_LIST, "]");
    if (take(reader, "{"))
        return read_elements(reader, ETF_LARGE_TUPLE, "}");
    if (take(reader, "#{"))
        return read_elements(reader, ETF_MAP, "}");
    if (take(reader, "fun ")) {
        reader->in_fun = true;
        good = read_export(reader);
        reader->in_fun = false;
        return good;
    }
    return read_atom(reader);
}

bool term_read(struct buffer *out, const char *text)
{
    struct text_reader reader = {out, text, 0, false};
    size_t start = out->size;
    size_t size;

    if (!read_term(&reader))
        return false;
    skip_space(&reader);
    return *reader.at == '\0' &&
           etf_validate(bytes_of(out->data + start, out->size - start), &size,
                        NULL) == ST_OK;
}
