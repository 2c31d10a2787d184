/*
 * term_put.h -- external terms piece by piece, in the one spelling that the
 * BEAM (OTP 26 and later) gives them, so that what was read from a file has
 * the same bytes, and the same digest, as what a client sends.
 *
 * Memory as in text.h: running out of it is the end.
 */
#ifndef RHIZOME_CLI_TERM_PUT_H
#define RHIZOME_CLI_TERM_PUT_H

#include "cli/text.h"

void term_put_integer(struct buffer *out, int64_t value);
void term_put_float(struct buffer *out, double value);
void term_put_binary(struct buffer *out, struct bytes bytes);

/* A name in UTF-8; false, and nothing is put, if it is none of an atom: more
 * than 255 characters. */
bool term_put_atom(struct buffer *out, struct bytes name);

void term_put_tuple(struct buffer *out, uint32_t arity);

/*
 * Lists and maps whose size is known at their end: what _begin() gives goes
 * to _end() with the number of elements (pairs) that were put in between. A
 * list of bytes becomes a string, an empty one [].
 */
size_t term_put_list_begin(struct buffer *out);
void term_put_list_end(struct buffer *out, size_t begin, uint32_t count);
size_t term_put_map_begin(struct buffer *out);
void term_put_map_end(struct buffer *out, size_t begin, uint32_t count);

/*
 * True if two of the `count` pairs of the map at `begin`, which ends the
 * buffer, have equal keys: no map that the BEAM would take. O(n log n).
 */
bool term_put_map_repeats(const struct buffer *out, size_t begin,
                          uint32_t count);

/* How a text reads as a number. */
enum number_kind { NUMBER_NONE, NUMBER_INTEGER, NUMBER_BIG, NUMBER_FLOAT };

/*
 * Whether all of `text` is a number: an integer as it is written (with
 * `loose` also with zeros and + in front), or a finite float with a point or an
 * exponent. NUMBER_BIG is an integer beyond 64 bits, of any length.
 */
enum number_kind number_read(struct bytes text, bool loose, int64_t *ret,
                             double *ret_float);

/* The term of such an integer; false beyond TERM_BIG_DIGITS_MAX digits. */
#define TERM_BIG_DIGITS_MAX 600
bool term_put_big(struct buffer *out, struct bytes digits);

/* What a cell holds: a number if it reads as one, else a binary. */
void term_put_cell(struct buffer *out, struct bytes text);

/* The shortest text of a float that reads as the same, with a point or an
 * exponent. */
void text_float(struct buffer *out, double value);

#endif
