/*
 * key_writer.h -- where an encoding is written, and the terms without
 * children that are written into it. For key_encode.c alone, which walks
 * through the others.
 *
 * Writing is in two steps: key_need() makes room, the plain stores that
 * follow rely on it. Functions that give a status make their own room where
 * they do not say otherwise, and leave none that a caller could rely on; they
 * fail with ST_TOO_BIG, ST_NO_MEMORY and ST_MEMORY_LIMIT. Those with `in` read
 * one term, or its head, at `*in` and move it behind.
 */
#ifndef RHIZOME_CORE_KEY_WRITER_H
#define RHIZOME_CORE_KEY_WRITER_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/key_internal.h"

/* More than any term without a length takes, or the marks around a name. */
#define KEY_SLACK 40

#define KEY_INLINE_TIES_BYTES 64

struct key_writer {
    uint8_t *p;
    uint8_t *end; /* there is room up to here */
    struct buffer *out;
    size_t start;     /* the size that `out` had, and has until all is well */
    bool exact;       /* within the key of a map */
    uint64_t skipped; /* integral numbers since the last tie */
    uint8_t *ties;    /* inline_ties, or the heap's */
    size_t tie_bytes;
    size_t tie_capacity;
    uint8_t inline_ties[KEY_INLINE_TIES_BYTES];
};

/* Begins an encoding at the end of `out`; there is room for KEY_SLACK. */
enum status key_writer_init(struct key_writer *w, struct buffer *out);

/*
 * Ends it: with `keep` the buffer takes over what was written, else it stays
 * as it was.
 */
void key_writer_deinit(struct key_writer *w, bool keep);

/* How many bytes are written. */
static inline size_t key_writer_used(const struct key_writer *w)
{
    return (size_t)(w->p - w->out->data) - w->start;
}

/* Cold half of key_need(); ST_TOO_BIG if more than the limit is written. */
enum status key_writer_grow(struct key_writer *w, size_t bytes);

/* Makes sure that `bytes` can be written. */
static inline enum status key_need(struct key_writer *w, size_t bytes)
{
    if (__builtin_expect((size_t)(w->end - w->p) >= bytes, 1))
        return ST_OK;
    return key_writer_grow(w, bytes);
}

static inline void key_put_byte(struct key_writer *w, uint8_t byte)
{
    *w->p++ = byte;
}

static inline void key_put_u32(struct key_writer *w, uint32_t v)
{
    store_be32(w->p, v);
    w->p += 4;
}

/* An integer that is a term is counted, for the ties. */
static inline void key_count_integer(struct key_writer *w)
{
    w->skipped += !w->exact;
}

static inline void key_put_i64(struct key_writer *w, int64_t v)
{
    w->p = v >= 0 ? key_put_u64(w->p, (uint64_t)v)
                  : key_put_complement(w->p, ~(uint64_t)v);
}

/*
 * Room for `wanted` items in an array that is `inline_data` at first: moves it
 * to the heap or makes it larger. On an error it stays as it was. A block on
 * the heap was asked with `*capacity` * `item_bytes`.
 */
enum status key_small_array_grow(struct mem *mem, void **data,
                                 const void *inline_data, size_t *capacity,
                                 size_t item_bytes, size_t wanted);

/*
 * An integer by its sign and the `size` little-endian bytes of its absolute
 * value, as in the external format.
 */
enum status key_put_big(struct key_writer *w, bool negative,
                        const uint8_t *digits, size_t size);

/* There must be room for KEY_SLACK bytes; notes the tie of an integral one. */
enum status key_put_float(struct key_writer *w, double x);

/* A string and its end mark. */
enum status key_put_string(struct key_writer *w, const uint8_t *bytes,
                           size_t size);

/* The same with 1..7 `bits` that count of the last byte. */
enum status key_put_partial(struct key_writer *w, const uint8_t *bytes,
                            size_t size, unsigned bits);

/* The name of an atom with its end mark, behind the atom's tag if `tagged`. */
enum status key_put_atom(struct key_writer *w, const uint8_t **in, bool tagged);

/* These need room for KEY_SLACK bytes, too. */
enum status key_put_pid(struct key_writer *w, const uint8_t **in);
enum status key_put_port(struct key_writer *w, const uint8_t **in);
enum status key_put_reference(struct key_writer *w, const uint8_t **in);
enum status key_put_export(struct key_writer *w, const uint8_t **in);

/* A fun up to its free variables, and what comes behind them. */
enum status key_put_fun_head(struct key_writer *w, const uint8_t **in,
                             uint32_t *ret_free);
enum status key_put_fun_rest(struct key_writer *w, const uint8_t *fun);

/* The ties, if there are any. */
enum status key_put_trailer(struct key_writer *w);

#endif
