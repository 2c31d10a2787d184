/*
 * graph_weight.c -- the number that the value of an edge is, or has under a
 * key.
 *
 * Values are external terms and stay such: nothing is decoded but the number,
 * nothing is allocated, and any thread may ask.
 */
#include <math.h>

#include "core/etf.h"
#include "core/graph_internal.h"

/* The number that an external term is; false if it is none, or not finite. */
static bool term_number(struct bytes term, double *ret)
{
    uint64_t bits;
    size_t size;

    switch (term.data[0]) {
    case ETF_SMALL_INTEGER:
        *ret = term.data[1];
        return true;
    case ETF_INTEGER:
        *ret = (int32_t)load_be32(term.data + 1);
        return true;
    case ETF_NEW_FLOAT:
        bits = load_be64(term.data + 1);
        memcpy(ret, &bits, sizeof(*ret));
        return isfinite(*ret);
    case ETF_FLOAT:
        return etf_float_text(term.data + 1, ret);
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG: {
        bool small = term.data[0] == ETF_SMALL_BIG;
        const uint8_t *sign = term.data + (small ? 2 : 5);

        size = small ? term.data[1] : load_be32(term.data + 1);
        *ret = 0;
        while (size > 0 && isfinite(*ret))
            *ret = *ret * 256 + sign[size--];
        if (*sign)
            *ret = -*ret;
        return isfinite(*ret);
    }
    default:
        return false;
    }
}

/* What an atom's name or a binary's bytes are, whichever of their forms. */
static bool term_text(struct bytes term, bool *ret_is_atom, struct bytes *ret)
{
    *ret_is_atom = true;
    switch (term.data[0]) {
    case ETF_SMALL_ATOM:
    case ETF_SMALL_ATOM_UTF8:
        *ret = bytes_of(term.data + 2, term.data[1]);
        return true;
    case ETF_ATOM:
    case ETF_ATOM_UTF8:
        *ret = bytes_of(term.data + 3, load_be16(term.data + 1));
        return true;
    case ETF_BINARY:
        *ret_is_atom = false;
        *ret = bytes_of(term.data + 5, load_be32(term.data + 1));
        return true;
    default:
        return false;
    }
}

/* Are two keys of maps the same one? Atoms and binaries by their text, all
 * else by its bytes. */
static bool same_key(struct bytes a, struct bytes b)
{
    bool atom_a, atom_b;
    struct bytes text_a, text_b;

    if (bytes_equal(a, b))
        return true;
    return term_text(a, &atom_a, &text_a) && term_text(b, &atom_b, &text_b) &&
           atom_a == atom_b && bytes_equal(text_a, text_b);
}

static bool map_get(struct bytes map, struct bytes key, struct bytes *ret)
{
    const uint8_t *at = map.data + 5;

    if (map.data[0] != ETF_MAP)
        return false;
    for (uint32_t left = load_be32(map.data + 1); left > 0; left--) {
        struct bytes found = bytes_of(at, etf_size(at));

        at += found.size;
        *ret = bytes_of(at, etf_size(at));
        if (same_key(found, key))
            return true;
        at += ret->size;
    }
    return false;
}

void graph_weight_term(const struct graph_options *options, struct bytes *term)
{
    map_get(*term, options->weight_key, term);
}

bool graph_weight(const struct graph_options *options, struct bytes value,
                  double *ret)
{
    *ret = 1;
    if (options->weight == WEIGHT_NONE || graph_is_nil(value))
        return true;
    if (options->weight == WEIGHT_KEY &&
        !map_get(value, options->weight_key, &value))
        return false;
    return term_number(value, ret);
}
