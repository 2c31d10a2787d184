/*
 * walk.h -- reading terms that the log layer wrote itself, by hand: it knows
 * no ei. etf_validate() must have passed the bytes, so no length leads out of
 * them; nothing else is taken for granted. A function that does not find what
 * it looks for answers false and stays where it is.
 */
#ifndef RHIZOME_LOG_WALK_H
#define RHIZOME_LOG_WALK_H

#include "core/bytes.h"
#include "core/etf.h"

/* `at` is the next term to look at. */
struct walk {
    const uint8_t *at;
};

/* Steps over a term, whatever it is, and gives it. */
static inline struct bytes walk_term(struct walk *walk)
{
    struct bytes term = bytes_of(walk->at, etf_size(walk->at));

    walk->at += term.size;
    return term;
}

/* Steps into a tuple of `arity` terms. */
static inline bool walk_tuple(struct walk *walk, uint32_t arity)
{
    if (walk->at[0] == ETF_SMALL_TUPLE && walk->at[1] == arity) {
        walk->at += 2;
        return true;
    }
    if (walk->at[0] == ETF_LARGE_TUPLE && load_be32(walk->at + 1) == arity) {
        walk->at += 5;
        return true;
    }
    return false;
}

static inline bool walk_map(struct walk *walk, uint32_t *ret_count)
{
    if (walk->at[0] != ETF_MAP)
        return false;
    *ret_count = load_be32(walk->at + 1);
    walk->at += 5;
    return true;
}

/* Steps into a list that is no string; its tail comes behind the elements. */
static inline bool walk_list(struct walk *walk, uint32_t *ret_count)
{
    if (walk->at[0] == ETF_NIL) {
        *ret_count = 0; /* and the nil is the tail */
        return true;
    }
    if (walk->at[0] != ETF_LIST)
        return false;
    *ret_count = load_be32(walk->at + 1);
    walk->at += 5;
    return true;
}

/* Steps over the end of a proper list. */
static inline bool walk_nil(struct walk *walk)
{
    if (walk->at[0] != ETF_NIL)
        return false;
    walk->at++;
    return true;
}

/* The name of an atom. */
static inline bool walk_any_atom(struct walk *walk, struct bytes *ret)
{
    const uint8_t *p = walk->at;

    if (p[0] == ETF_SMALL_ATOM_UTF8 || p[0] == ETF_SMALL_ATOM)
        *ret = bytes_of(p + 2, p[1]);
    else if (p[0] == ETF_ATOM_UTF8 || p[0] == ETF_ATOM)
        *ret = bytes_of(p + 3, load_be16(p + 1));
    else
        return false;
    walk->at = ret->data + ret->size;
    return true;
}

/* Steps over the atom `name`. */
static inline bool walk_atom(struct walk *walk, const char *name)
{
    struct walk behind = *walk;
    struct bytes found;

    if (!walk_any_atom(&behind, &found) ||
        !bytes_equal(found, bytes_of(name, strlen(name))))
        return false;
    *walk = behind;
    return true;
}

static inline bool walk_u64(struct walk *walk, uint64_t *ret)
{
    const uint8_t *p = walk->at;
    uint64_t value = 0;

    switch (p[0]) {
    case ETF_SMALL_INTEGER:
        value = p[1];
        break;
    case ETF_INTEGER:
        value = load_be32(p + 1);
        if (value > INT32_MAX) /* negative */
            return false;
        break;
    case ETF_SMALL_BIG: /* tag, digits, sign, the lowest digit first */
        if (p[1] > sizeof(value) || p[2] != 0)
            return false;
        for (unsigned i = p[1]; i > 0; i--)
            value = value << 8 | p[2 + i];
        break;
    default:
        return false;
    }
    walk_term(walk);
    *ret = value;
    return true;
}

static inline bool walk_binary(struct walk *walk, struct bytes *ret)
{
    if (walk->at[0] != ETF_BINARY)
        return false;
    *ret = bytes_of(walk->at + 5, load_be32(walk->at + 1));
    walk->at = ret->data + ret->size;
    return true;
}

#endif
