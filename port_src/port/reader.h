/*
 * reader.h -- a cursor over terms that etf_validate() has passed.
 *
 * Every function either reads one thing and moves behind it, or answers false
 * and stays where it was, so that a caller can try one form after another.
 * Nothing is copied: names and terms are borrowed from the frame.
 *
 * ei decodes headers and integers. It knows no end of a buffer, and so it is
 * let near validated bytes only; names of atoms are taken in place, since ei
 * would copy them (21 ns against 2).
 */
#ifndef RHIZOME_PORT_READER_H
#define RHIZOME_PORT_READER_H

#include "core/bytes.h"
#include "core/status.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct reader reader_of(struct bytes terms)
{
    return (struct reader){terms.data, terms.data + terms.size};
}

/* True if nothing is left. */
static inline bool reader_done(const struct reader *reader)
{
    return reader->at >= reader->end;
}

/* A tuple's header; its elements follow. */
bool reader_tuple(struct reader *reader, uint32_t *ret_arity);

/* The header of a tuple of exactly `arity` elements. */
bool reader_tuple_of(struct reader *reader, uint32_t arity);

/* A map's header; keys and values follow in turn. */
bool reader_map(struct reader *reader, uint32_t *ret_count);

/*
 * The bytes of an atom's name as they came: UTF-8, or Latin-1 in the two old
 * forms. They are the same for the ASCII names that the protocol knows.
 */
bool reader_atom(struct reader *reader, struct bytes *ret_name);

/* An integer in -2^63 .. 2^63 - 1, in whichever form. */
bool reader_integer(struct reader *reader, int64_t *ret_value);

/* Any term, as the bytes that it takes (no version byte). REQUIREs one. */
struct bytes reader_term(struct reader *reader);

/*
 * A list being read. Lists of small integers travel as STRING, one byte an
 * element; each of those is presented as a term of its own.
 */
struct list {
    struct reader *from;
    uint32_t left; /* elements ahead */
    bool string;
    uint8_t integer[2];
    struct reader item;
};

/* Opens a list (proper, improper or empty) or a string. */
bool reader_list(struct reader *reader, struct list *ret);

/*
 * Where to read the next element, which must then be read completely. Not to
 * be called when `left` is 0.
 */
struct reader *list_next(struct list *list);

/*
 * After the last element: moves behind the list. False, without moving, if it
 * is improper: then its tail comes next.
 */
bool list_close(struct list *list);

#endif
