/*
 * term_parts.h -- pieces of terms that the text (term.c) and the JSON
 * (term_json.c) of a term read alike. Only for these two; etf_validate() has
 * passed whatever they are given.
 */
#ifndef RHIZOME_CLI_TERM_PARTS_H
#define RHIZOME_CLI_TERM_PARTS_H

#include "core/bytes.h"
#include "core/etf.h"

/* The name of the atom at `p` in UTF-8, which lies in the term or, if the
 * atom is a Latin-1 one, in `scratch`. Gives what is behind it. */
#define ATOM_BYTES_MAX 1020

static inline const uint8_t *
read_atom(const uint8_t *p, uint8_t scratch[ATOM_BYTES_MAX], struct bytes *ret)
{
    bool small = p[0] == ETF_SMALL_ATOM || p[0] == ETF_SMALL_ATOM_UTF8;
    bool latin = p[0] == ETF_ATOM || p[0] == ETF_SMALL_ATOM;
    size_t size = small ? p[1] : load_be16(p + 1);
    size_t used = 0;

    p += small ? 2 : 3;
    *ret = bytes_of(p, size);
    if (latin) {
        for (size_t i = 0; i < size && used + 2 <= ATOM_BYTES_MAX; i++) {
            if (p[i] < 0x80) {
                scratch[used++] = p[i];
            } else {
                scratch[used++] = (uint8_t)(0xc0 | p[i] >> 6);
                scratch[used++] = (uint8_t)(0x80 | (p[i] & 0x3f));
            }
        }
        *ret = bytes_of(scratch, used);
    }
    return p + size;
}

static inline bool is_atom(const uint8_t *p)
{
    return p[0] == ETF_SMALL_ATOM || p[0] == ETF_ATOM ||
           p[0] == ETF_SMALL_ATOM_UTF8 || p[0] == ETF_ATOM_UTF8;
}

static inline struct bytes read_binary(const uint8_t *p)
{
    return bytes_of(p + 5, load_be32(p + 1));
}

/* The magnitude of a bignum: bytes, the lowest first. */
struct big {
    const uint8_t *bytes;
    size_t size; /* without leading zeros */
    bool negative;
};

static inline const uint8_t *read_big(const uint8_t *p, struct big *ret)
{
    bool small = p[0] == ETF_SMALL_BIG;
    size_t size = small ? p[1] : load_be32(p + 1);

    p += small ? 2 : 5;
    *ret = (struct big){p + 1, size, *p != 0};
    while (ret->size && ret->bytes[ret->size - 1] == 0)
        ret->size--;
    if (!ret->size)
        ret->negative = false;
    return p + 1 + size;
}

#endif
