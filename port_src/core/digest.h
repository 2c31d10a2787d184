/*
 * digest.h -- a number that two stores share if and only if they hold the
 * same, whatever way they came to it.
 *
 * A table's digest is the sum modulo 2^128 of a hash of each element (XXH3 of
 * 128 bits, seed 0, over `first` followed by `second` or the value). A sum
 * forgets order, so the table keeps it up to date with one addition for each
 * element that comes and one subtraction for each that goes: asking for it
 * costs nothing, and a log can record it every few thousand mutations.
 *
 * Encoded keys are canonical and self-delimiting, so what is hashed is the
 * same for terms that are =:= and different for those that are not. Values
 * are hashed as the bytes that they are.
 *
 * A digest finds mistakes, not malice: somebody who chooses elements for the
 * purpose can make two tables with one sum.
 */
#ifndef RHIZOME_CORE_DIGEST_H
#define RHIZOME_CORE_DIGEST_H

#include "core/bytes.h"

#define DIGEST_BYTES 16

struct digest {
    uint64_t low;
    uint64_t high;
};

/* The hash of one element: `second` is an encoded key, a value, or empty. */
struct digest digest_element(struct bytes first, struct bytes second);

/* The hash of a run of bytes: what sums and fields of a store end up in. */
struct digest digest_bytes(struct bytes bytes);

static inline void digest_add(struct digest *sum, struct digest term)
{
    sum->low += term.low;
    sum->high += term.high + (sum->low < term.low);
}

static inline void digest_subtract(struct digest *sum, struct digest term)
{
    uint64_t borrow = sum->low < term.low;

    sum->low -= term.low;
    sum->high -= term.high + borrow;
}

static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

/* Big-endian, `high` first, as it stands in logs and on the wire. */
static inline void digest_store(uint8_t bytes[DIGEST_BYTES], struct digest d)
{
    store_be64(bytes, d.high);
    store_be64(bytes + 8, d.low);
}

static inline struct digest digest_load(const uint8_t bytes[DIGEST_BYTES])
{
    return (struct digest){load_be64(bytes + 8), load_be64(bytes)};
}

#endif
