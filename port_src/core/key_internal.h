/*
 * key_internal.h -- the bytes of the sortable encoding, for key_*.c alone.
 * key.c explains them.
 */
#ifndef RHIZOME_CORE_KEY_INTERNAL_H
#define RHIZOME_CORE_KEY_INTERNAL_H

#include "core/bytes.h"
#include "core/status.h"

/* Leaves the function with a status that is an error. */
#define TRY(expression)                                                        \
    do {                                                                       \
        enum status try_status = (expression);                                 \
        if (__builtin_expect(try_status < 0, 0))                               \
            return try_status;                                                 \
    } while (0)

enum key_byte {
    /* What ends something; never the first byte of a term. */
    KEY_PARTIAL_END = 0x00, /* of a string of bits; their number follows */
    KEY_TRAILER_END = 0x00,
    KEY_STRING_END = 0x01, /* also the escape before an ESCAPED byte */
    KEY_TAIL = 0x02,       /* of a list, a term below [] */
    KEY_LIST_END = 0x03,

    KEY_BIG_NEGATIVE = 0x08,
    KEY_NEGATIVE = 0x11, /* minus n for n = 1..8 bytes */
    KEY_MINUS_ONE = 0x18,
    KEY_ZERO = 0x19,
    KEY_127 = 0x98,
    KEY_POSITIVE = 0x98, /* plus n for n = 1..8 bytes */
    KEY_BIG_POSITIVE = 0xA1,
    KEY_EXACT_FLOAT = 0xA2, /* inside the key of a map */

    KEY_ATOM_BELOW_FALSE = 0xA8,
    KEY_FALSE = 0xA9,
    KEY_ATOM_BELOW_NIL = 0xAA,
    KEY_NIL_ATOM = 0xAB,
    KEY_ATOM_BELOW_TRUE = 0xAC,
    KEY_TRUE = 0xAD,
    KEY_ATOM_ABOVE_TRUE = 0xAE,

    KEY_REFERENCE = 0xB0,
    KEY_FUN = 0xB2,
    KEY_EXPORT = 0xB3,
    KEY_PORT = 0xB5,
    KEY_PID = 0xB7,
    KEY_TUPLE = 0xB8, /* plus the arity, 0..15 */
    KEY_LARGE_TUPLE = 0xC8,
    KEY_MAP = 0xC9, /* plus the size, 0..7 */
    KEY_LARGE_MAP = 0xD1,
    KEY_NIL = 0xD2,
    KEY_LIST = 0xD3,
    KEY_BITS = 0xD4,

    KEY_BITS_TAIL = 0xF8, /* of a list, a bitstring */
    KEY_TRAILER = 0xFB,   /* KEY_ABOVE: behind the outermost term */
    KEY_ESCAPED = 0xFE,   /* plus the byte 0 or 1; behind KEY_STRING_END */
    KEY_FRACTION = 0xFF,  /* behind the integer below a float */
};

#define KEY_SMALL_TUPLE_MAX 15
#define KEY_SMALL_MAP_MAX 7
#define KEY_ATOM_BYTES_MAX 1020 /* 255 characters of four bytes */
#define KEY_REFERENCE_WORDS_MAX 5
#define KEY_BIG_BYTES_MIN 9 /* smaller integers have tags of their own */

/* What a fun keeps behind its free variables: arity, old index, MD5. */
#define KEY_FUN_REST_BYTES 21

/* A length: one byte below KEY_VAR_LONG, else KEY_VAR_LONG + k - 1 and k. */
#define KEY_VAR_LONG 0xF0

/* A tie up to KEY_TIE_MAX is the byte KEY_TIE - tie, else as in key.c. */
#define KEY_TIE 0xF0
#define KEY_TIE_MAX 0xE0
#define KEY_TIE_LONG 0x10

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* `size` bytes, 1..8, little-endian; nothing beyond them is read. */
static inline uint64_t load_le_some(const uint8_t *p, size_t size)
{
    uint32_t low;
    uint32_t high;

    if (size == 8)
        return load_le64(p);
    if (size >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + size - 4, 4);
        return low | (uint64_t)high << 8 * (size - 4);
    }
    return p[0] | (uint64_t)p[size / 2] << 8 * (size / 2) |
           (uint64_t)p[size - 1] << 8 * (size - 1);
}

/* The same in big-endian order. */
static inline uint64_t load_be_some(const uint8_t *p, size_t size)
{
    return __builtin_bswap64(load_le_some(p, size)) >> (64 - 8 * size);
}

/* How many bytes `v` > 0 takes. */
static inline unsigned bytes_of_u64(uint64_t v)
{
    return (71 - (unsigned)__builtin_clzll(v)) / 8;
}

/*
 * Marks the bytes 00 and 01 of `v`, eight at a time: bit 7 of the lowest
 * one is set. Marks above it may be false.
 */
static inline uint64_t find_special(uint64_t v)
{
    v &= UINT64_C(0xFEFEFEFEFEFEFEFE);
    return (v - UINT64_C(0x0101010101010101)) & ~v &
           UINT64_C(0x8080808080808080);
}

/* The index of the byte that the lowest mark stands for. */
static inline unsigned first_special(uint64_t marks)
{
    return (unsigned)__builtin_ctzll(marks) / 8;
}

/*
 * Where the big-endian bytes of the big integer at `p` begin, behind its tag
 * and length, and how many they are.
 */
const uint8_t *key_big_bytes(const uint8_t *p, size_t *ret_size);

/* The size of the integer at `p`, with its tag, without a fraction. */
size_t key_integer_size(const uint8_t *p);

/*
 * The end of the `count` terms at `p`, which lie before `end`. A trailer
 * belongs to none of them. No byte at or behind `end` is looked at.
 */
const uint8_t *key_skip(const uint8_t *p, const uint8_t *end, size_t count);

/*
 * The same for one term, which lies less than KEY_BYTES_MAX bytes behind
 * `start`. Of every map in it that has keys, keys_end[n] tells where they end
 * and its values begin, n being where they begin: offsets from `start`.
 */
const uint8_t *key_note_maps(const uint8_t *p, const uint8_t *end,
                             const uint8_t *start, uint16_t *keys_end);

/* Writes the integer v, in up to 9 bytes; gives the place behind it. */
static inline uint8_t *key_put_u64(uint8_t *p, uint64_t v)
{
    unsigned bytes;

    if (v < 128) {
        *p = (uint8_t)(KEY_ZERO + v);
        return p + 1;
    }
    bytes = bytes_of_u64(v);
    *p = (uint8_t)(KEY_POSITIVE + bytes);
    store_be64(p + 1, v << (64 - 8 * bytes));
    return p + 1 + bytes;
}

/* The same for the integer -1 - v. */
static inline uint8_t *key_put_complement(uint8_t *p, uint64_t v)
{
    unsigned bytes;

    if (v < 8) {
        *p = (uint8_t)(KEY_MINUS_ONE - v);
        return p + 1;
    }
    bytes = bytes_of_u64(v);
    *p = (uint8_t)(KEY_NEGATIVE - bytes);
    store_be64(p + 1, ~v << (64 - 8 * bytes));
    return p + 1 + bytes;
}

#endif
