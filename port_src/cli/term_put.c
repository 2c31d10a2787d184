#include "cli/term_put.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/etf.h"
#include "core/key.h"

static void put32(struct buffer *out, uint8_t tag, uint32_t value)
{
    uint8_t bytes[5] = {tag};

    store_be32(bytes + 1, value);
    text_bytes(out, bytes_of(bytes, sizeof(bytes)));
}

static void put_magnitude(struct buffer *out, uint64_t value, bool negative)
{
    uint8_t bytes[11] = {ETF_SMALL_BIG, 0, negative};
    uint8_t size = 0;

    for (; value; value >>= 8)
        bytes[3 + size++] = (uint8_t)value;
    bytes[1] = size;
    text_bytes(out, bytes_of(bytes, 3u + size));
}

void term_put_integer(struct buffer *out, int64_t value)
{
    if (value >= 0 && value <= 255) {
        text_byte(out, (char)ETF_SMALL_INTEGER);
        text_byte(out, (char)value);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        put32(out, ETF_INTEGER, (uint32_t)value);
    } else {
        put_magnitude(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
                      value < 0);
    }
}

void term_put_float(struct buffer *out, double value)
{
    uint8_t bytes[9] = {ETF_NEW_FLOAT};
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    store_be64(bytes + 1, bits);
    text_bytes(out, bytes_of(bytes, sizeof(bytes)));
}

void term_put_binary(struct buffer *out, struct bytes bytes)
{
    put32(out, ETF_BINARY, (uint32_t)bytes.size);
    text_bytes(out, bytes);
}

bool term_put_atom(struct buffer *out, struct bytes name)
{
    size_t characters = 0;
    uint32_t c;
    size_t size;

    for (size_t at = 0; at < name.size; at += size, characters++) {
        if (characters == 255 ||
            !text_utf8_next(bytes_of(name.data + at, name.size - at), &c,
                            &size))
            return false;
    }
    if (name.size > 255) {
        text_byte(out, (char)ETF_ATOM_UTF8);
        text_byte(out, (char)(name.size >> 8));
    } else {
        text_byte(out, (char)ETF_SMALL_ATOM_UTF8);
    }
    text_byte(out, (char)name.size);
    text_bytes(out, name);
    return true;
}

void term_put_tuple(struct buffer *out, uint32_t arity)
{
    if (arity > 255) {
        put32(out, ETF_LARGE_TUPLE, arity);
    } else {
        text_byte(out, (char)ETF_SMALL_TUPLE);
        text_byte(out, (char)arity);
    }
}

size_t term_put_list_begin(struct buffer *out)
{
    put32(out, ETF_LIST, 0);
    return out->size - 5;
}

/* Small integers take two bytes each, and nothing else begins as they do. */
static bool is_string(const struct buffer *out, size_t begin, uint32_t count)
{
    if (count > UINT16_MAX || out->size - begin - 5 != 2 * (size_t)count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (out->data[begin + 5 + 2 * (size_t)i] != ETF_SMALL_INTEGER)
            return false;
    }
    return true;
}

void term_put_list_end(struct buffer *out, size_t begin, uint32_t count)
{
    uint8_t *data = out->data + begin;

    if (!count) {
        out->size = begin;
    } else if (is_string(out, begin, count)) {
        data[0] = ETF_STRING;
        data[1] = (uint8_t)(count >> 8);
        data[2] = (uint8_t)count;
        for (uint32_t i = 0; i < count; i++)
            data[3 + i] = data[6 + 2 * (size_t)i];
        out->size = begin + 3 + count;
        return;
    } else {
        store_be32(data + 1, count);
    }
    text_byte(out, (char)ETF_NIL);
}

size_t term_put_map_begin(struct buffer *out)
{
    put32(out, ETF_MAP, 0);
    return out->size - 5;
}

void term_put_map_end(struct buffer *out, size_t begin, uint32_t count)
{
    store_be32(out->data + begin + 1, count);
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

bool term_put_map_repeats(const struct buffer *out, size_t begin,
                          uint32_t count)
{
    const uint8_t *p = out->data + begin + 5;
    struct buffer text = BUFFER(cli_mem());
    struct bytes *keys;
    bool repeats = false;
    size_t at = 0;

    if (count < 2)
        return false;
    keys = calloc(count, sizeof(*keys));
    if (!keys)
        text_no_memory();
    for (uint32_t i = 0; i < count; i++) {
        struct bytes key = bytes_of(p, etf_size(p));
        size_t before = text.size;

        /* What is too large for a key is compared as it stands. */
        if (key_encode(key, &text) < 0)
            text_bytes(&text, key);
        keys[i].size = text.size - before;
        p += key.size;
        p += etf_size(p);
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i].data = text.data + at;
        at += keys[i].size;
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (uint32_t i = 1; i < count && !repeats; i++)
        repeats = bytes_equal(keys[i - 1], keys[i]);
    free(keys);
    buffer_free(&text);
    return repeats;
}

/* --- numbers -------------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Digits, a point or an exponent, and nothing that strtod() takes besides. */
static bool is_float(struct bytes text, double *ret)
{
    char room[64];
    char *copy = room;
    char *end;
    bool good;
    size_t i = 0;

    if (i < text.size && (text.data[i] == '-' || text.data[i] == '+'))
        i++;
    if (i == text.size || !(is_digit(text.data[i]) || text.data[i] == '.'))
        return false;
    for (; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (!is_digit(c) && c != '.' && c != 'e' && c != 'E' && c != '-' &&
            c != '+')
            return false;
    }
    if (text.size >= sizeof(room))
        copy = malloc(text.size + 1);
    if (!copy)
        text_no_memory();
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *ret = strtod(copy, &end);
    good = end == copy + text.size && isfinite(*ret);
    if (copy != room)
        free(copy);
    return good;
}

enum number_kind number_read(struct bytes text, bool loose, int64_t *ret,
                             double *ret_float)
{
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    bool negative = false;
    const uint8_t *digits;
    uint64_t value = 0;

    if (p < end && (*p == '-' || (loose && *p == '+')))
        negative = *p++ == '-';
    if (loose) {
        while (end - p > 1 && *p == '0')
            p++;
    }
    digits = p;
    while (p < end && is_digit(*p) && p - digits < 19)
        value = value * 10 + (uint64_t)(*p++ - '0');
    if (p == digits)
        return text.size && is_float(text, ret_float) ? NUMBER_FLOAT
                                                      : NUMBER_NONE;
    if (p < end) {
        const uint8_t *rest = p;

        while (rest < end && is_digit(*rest))
            rest++;
        if (rest < end)
            return is_float(text, ret_float) ? NUMBER_FLOAT : NUMBER_NONE;
    }
    /* 007 and -0 are text: as a number they would not come back as such. */
    if (!loose && *digits == '0' && (end - digits > 1 || negative))
        return NUMBER_NONE;
    if (p < end || value > (uint64_t)INT64_MAX + negative)
        return NUMBER_BIG;
    *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
    return NUMBER_INTEGER;
}

bool term_put_big(struct buffer *out, struct bytes digits)
{
    uint8_t big[3 + 255] = {ETF_SMALL_BIG};
    size_t i = 0;
    size_t size = 0;

    if (digits.size > TERM_BIG_DIGITS_MAX)
        return false;
    if (digits.data[0] == '-' || digits.data[0] == '+')
        big[2] = digits.data[i++] == '-';
    for (; i < digits.size; i++) {
        unsigned carry = digits.data[i] - (unsigned)'0';

        for (size_t j = 0; j < size; j++) {
            carry += big[3 + j] * 10u;
            big[3 + j] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            big[3 + size++] = (uint8_t)carry; /* 600 digits are 250 bytes */
    }
    big[1] = (uint8_t)size;
    text_bytes(out, bytes_of(big, 3 + size));
    return true;
}

void term_put_cell(struct buffer *out, struct bytes text)
{
    int64_t integer;
    double value;

    switch (number_read(text, false, &integer, &value)) {
    case NUMBER_INTEGER:
        term_put_integer(out, integer);
        return;
    case NUMBER_FLOAT:
        term_put_float(out, value);
        return;
    case NUMBER_BIG:
        if (term_put_big(out, text))
            return;
        break;
    case NUMBER_NONE:
        break;
    }
    term_put_binary(out, text);
}

void text_float(struct buffer *out, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    text_append(out, text);
    if (!strpbrk(text, ".e"))
        text_append(out, ".0");
}
