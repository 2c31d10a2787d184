#include "support/term_maker.h"

#include <stdlib.h>

#include "core/etf.h"

static unsigned below(struct random *random, unsigned bound)
{
    return (unsigned)random_below(random, bound);
}

static void put(struct buffer *out, unsigned byte)
{
    uint8_t one = (uint8_t)byte;

    REQUIRE(buffer_append(out, bytes_of(&one, 1)) == ST_OK);
}

/* `v` in big-endian order, in `size` bytes. */
static void put_number(struct buffer *out, unsigned size, uint64_t v)
{
    while (size-- > 0)
        put(out, (unsigned)(v >> 8 * size & 0xFF));
}

/* Bytes that like to be those with a meaning in the encoding. */
static void put_bytes(struct random *random, struct buffer *out, unsigned size)
{
    static const uint8_t special[] = {0, 1, 2, 0x61, 0xFB, 0xFE, 0xFF, 0x80};
    bool likes = below(random, 2);

    while (size-- > 0)
        put(out, likes ? special[below(random, 8)] : below(random, 256));
}

static void put_atom(struct random *random, struct buffer *out)
{
    static const char *const names[] = {"a",   "ok",  "true", "false",
                                        "nil", "",    "nik",  "\x01\x02",
                                        "tru", "n@h", "fals", "zz"};
    static const unsigned tags[] = {ETF_ATOM, ETF_SMALL_ATOM, ETF_ATOM_UTF8,
                                    ETF_SMALL_ATOM_UTF8};
    unsigned form = below(random, 4);
    unsigned count;
    const char *name;

    put(out, tags[form]);
    if (below(random, 2)) {
        name = names[below(random, 12)];
        put_number(out, form % 2 ? 1 : 2, strlen(name));
        while (*name)
            put(out, (uint8_t)*name++);
    } else if (form < 2) {
        count = below(random, 9);
        put_number(out, form % 2 ? 1 : 2, count);
        put_bytes(random, out, count);
    } else {
        count = below(random, form % 2 ? 60 : 256);
        put_number(out, form % 2 ? 1 : 2, 4 * (uint64_t)count);
        while (count-- > 0)
            put_number(out, 4, 0xF09F9880u + below(random, 16));
    }
}

static void put_creation(struct random *random, struct buffer *out, bool tiny)
{
    static const uint32_t creations[] = {0, 1, 3, 0xFE000000, 0xFF000000};

    if (tiny)
        put(out, below(random, 4));
    else
        put_number(out, 4, creations[below(random, 5)]);
}

static void put_pid(struct random *random, struct buffer *out)
{
    bool tiny = below(random, 2);

    put(out, tiny ? ETF_PID : ETF_NEW_PID);
    put_atom(random, out);
    put_bytes(random, out, 8);
    put_creation(random, out, tiny);
}

static void put_port(struct random *random, struct buffer *out)
{
    static const unsigned tags[] = {ETF_PORT, ETF_NEW_PORT, ETF_V4_PORT};
    unsigned form = below(random, 3);

    put(out, tags[form]);
    put_atom(random, out);
    put_bytes(random, out, form == 2 ? 8 : 4);
    put_creation(random, out, form == 0);
}

static void put_reference(struct random *random, struct buffer *out)
{
    unsigned form = below(random, 3);
    unsigned words = 1 + below(random, 5);

    if (form == 0) {
        put(out, ETF_REFERENCE);
        put_atom(random, out);
        put_bytes(random, out, 4);
        put_creation(random, out, true);
        return;
    }
    put(out, form == 1 ? ETF_NEW_REFERENCE : ETF_NEWER_REFERENCE);
    put_number(out, 2, words);
    put_atom(random, out);
    put_creation(random, out, form == 1);
    put_bytes(random, out, 4 * words);
}

static void put_fun(struct random *random, unsigned depth, struct buffer *out)
{
    size_t start = out->size;
    unsigned count = below(random, 3);

    put(out, ETF_NEW_FUN);
    put_number(out, 4, 0);
    put_bytes(random, out, 1 + 16 + 4);
    put_number(out, 4, count);
    put_atom(random, out);
    put(out, ETF_INTEGER);
    put_bytes(random, out, 4);
    put(out, ETF_SMALL_INTEGER);
    put_bytes(random, out, 1);
    put_pid(random, out);
    while (count-- > 0)
        term_maker_put(random, depth, out);
    store_be32(out->data + start + 1, (uint32_t)(out->size - start - 1));
}

static void put_big(struct random *random, struct buffer *out)
{
    unsigned size = below(random, below(random, 20) ? 20 : 600);
    bool small = size < 256 && below(random, 2);

    put(out, small ? ETF_SMALL_BIG : ETF_LARGE_BIG);
    put_number(out, small ? 1 : 4, size);
    put(out, below(random, 2));
    put_bytes(random, out, size);
}

/* Integral and others, large and tiny; never one that is not finite. */
static void put_float(struct random *random, struct buffer *out)
{
    double x = (double)(int64_t)random_next(random);
    uint64_t bits = random_next(random);
    char text[ETF_FLOAT_CHARS + 1] = {0};

    switch (below(random, 5)) {
    case 0:
        x = below(random, 5) - 2.0;
        break;
    case 1:
        x /= 1024.0 * below(random, 1000) + 1;
        break;
    case 2:
        memcpy(&x, &bits, sizeof(x));
        if ((bits >> 52 & 0x7FF) == 0x7FF)
            x = -0.0;
        break;
    default:
        break;
    }
    if (below(random, 2)) {
        memcpy(&bits, &x, sizeof(bits));
        put(out, ETF_NEW_FLOAT);
        put_number(out, 8, bits);
    } else {
        snprintf(text, sizeof(text), "%.20e", x);
        put(out, ETF_FLOAT);
        REQUIRE(buffer_append(out, bytes_of(text, ETF_FLOAT_CHARS)) == ST_OK);
    }
}

static void put_leaf(struct random *random, struct buffer *out)
{
    unsigned count;

    switch (below(random, 13)) {
    case 0:
    case 1:
        put(out, ETF_SMALL_INTEGER);
        put_bytes(random, out, 1);
        break;
    case 2:
        put(out, ETF_INTEGER);
        put_bytes(random, out, 4);
        break;
    case 3:
        put_big(random, out);
        break;
    case 4:
        put_float(random, out);
        break;
    case 5:
        put_atom(random, out);
        break;
    case 6:
        count = below(random, 30);
        put(out, ETF_BINARY);
        put_number(out, 4, count);
        put_bytes(random, out, count);
        break;
    case 7:
        count = below(random, 12);
        put(out, ETF_BIT_BINARY);
        put_number(out, 4, count);
        put(out, count ? 1 + below(random, 8) : 0);
        put_bytes(random, out, count);
        break;
    case 8:
        put(out, ETF_NIL);
        break;
    case 9:
        put_pid(random, out);
        break;
    case 10:
        put_port(random, out);
        break;
    case 11:
        put_reference(random, out);
        break;
    case 12:
        put(out, ETF_EXPORT);
        put_atom(random, out);
        put_atom(random, out);
        put(out, ETF_SMALL_INTEGER);
        put_bytes(random, out, 1);
        break;
    }
}

static void put_map(struct random *random, unsigned depth, struct buffer *out)
{
    unsigned count = below(random, below(random, 20) ? 5 : 40);
    unsigned odd = 2 * below(random, 20) + 1;

    put(out, ETF_MAP);
    put_number(out, 4, count);
    for (unsigned i = 0; i < count; i++) {
        /* {i, Term} in some order makes the keys differ. */
        if (count > 1) {
            put(out, ETF_SMALL_TUPLE);
            put(out, 2);
            put(out, ETF_SMALL_INTEGER);
            put(out, i * odd & 0xFF);
        }
        term_maker_put(random, depth, out);
        term_maker_put(random, depth, out);
    }
}

void term_maker_put(struct random *random, unsigned depth, struct buffer *out)
{
    unsigned count = below(random, 5);

    if (depth == 0 || below(random, 3) == 0) {
        put_leaf(random, out);
        return;
    }
    depth--;
    switch (below(random, 6)) {
    case 0:
    case 1:
        put(out, ETF_SMALL_TUPLE);
        put(out, count);
        break;
    case 2:
        put(out, ETF_LARGE_TUPLE);
        put_number(out, 4, count);
        break;
    case 3:
        put(out, ETF_LIST);
        put_number(out, 4, count);
        count++;
        if (below(random, 2)) {
            while (count-- > 1)
                term_maker_put(random, depth, out);
            put(out, ETF_NIL);
            return;
        }
        break;
    case 4:
        if (below(random, 2)) {
            put(out, ETF_STRING);
            put_number(out, 2, count);
            put_bytes(random, out, count);
        } else {
            put_fun(random, depth, out);
        }
        return;
    default:
        put_map(random, depth, out);
        return;
    }
    while (count-- > 0)
        term_maker_put(random, depth, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void term_maker_hex(const char *hex, struct buffer *out)
{
    while (*hex) {
        if (*hex == ' ') {
            hex++;
        } else if (*hex == '\'') {
            for (hex++; *hex != '\''; hex++)
                put(out, (uint8_t)*hex);
            hex++;
        } else {
            REQUIRE(hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0);
            put(out, (unsigned)(16 * hex_digit(hex[0]) + hex_digit(hex[1])));
            hex += 2;
        }
    }
}

uint8_t *term_maker_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);

    REQUIRE(copy);
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}
