/*
 * key.h -- terms as byte strings whose memcmp() order is Erlang's term order.
 *
 * key_encode() turns one external term into a string (the format is called
 * SK1; key.c describes it) that is
 *   - order-preserving: A < B in Erlang implies enc(A) < enc(B);
 *   - exact: A =:= B if and only if enc(A) = enc(B); terms that are == but
 *     not =:= (1 and 1.0) are neighbours, the integer first. Two exceptions:
 *     -0.0 and 0.0 are always two neighbours, as from OTP 27 on, and so are
 *     local funs of two builds of a module which OTP 25 takes for equal;
 *   - self-delimiting, so that a pair is the plain concatenation of two;
 *   - reversible: key_decode() gives the term back in canonical form.
 *
 * What continues a complete encoding of the *same* term begins with a byte
 * >= KEY_ABOVE (a fraction, a trailer); what begins another term is smaller
 * and never 00. So all pairs of the first component K are those in
 * [K, K KEY_ABOVE), and zero bytes may pad a component on its right without
 * changing any order. tree.c rests on both.
 *
 * The encoding never leaves the program, but digests are taken of it, and logs
 * record them: whoever changes it makes a new FORMAT_MAJOR (log/record.h).
 */
#ifndef RHIZOME_CORE_KEY_H
#define RHIZOME_CORE_KEY_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/status.h"

/* Sorts after every continuation-free string with the same beginning. */
#define KEY_ABOVE 0xFB

/* The longest encoding of one component, in bytes. */
#define KEY_BYTES_MAX 32760

/*
 * Appends to `out` the encoding of the term at `term`, which etf_validate()
 * has passed and which takes `size` bytes.
 *
 * Errors: ST_TOO_BIG beyond KEY_BYTES_MAX (or for a map of that size in which
 * thousands of lists announce no element, which no encoder writes);
 * ST_BAD_TERM for a map with equal keys; ST_NO_MEMORY, ST_MEMORY_LIMIT. On
 * error `out` is as it was, but for its capacity.
 *
 * O(size) without maps. A map sorts its keys and passes over its values, so
 * that maps within maps cost O(size) a level. However large the term is, work
 * stops where the limit is passed: memory stays below twenty times
 * KEY_BYTES_MAX, and the worst key, a thousand maps deep, takes 0.1 s.
 */
enum status key_encode(struct bytes term, struct buffer *out);

/*
 * Appends to `out` the external term (no version byte) of the one encoded
 * component `key`: exactly the bytes that key_size() delimits. The form is
 * canonical: the shortest integer, UTF-8 atoms, NEW_FLOAT, maps in key order,
 * LIST rather than STRING. What equality does not see is not kept: a fun
 * comes back as made by the process <0.0.0> of nonode@nohost.
 *
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT; `out` is then as it was. `key` must
 * come from key_encode(). O(size), maps included.
 */
enum status key_decode(struct bytes key, struct buffer *out);

/*
 * The size of the component at the start of `key`, which holds at least one
 * whole component and may go on with another one or with zero padding.
 * `key.size` bounds what is looked at, so the look-ahead stops there.
 */
size_t key_size(struct bytes key);

/* Appends the encoding of an unsigned integer, as key_encode() would. */
enum status key_encode_u64(uint64_t value, struct buffer *out);

/* The integer that `key` encodes; false if it is no integer in 0..2^64-1. */
bool key_decode_u64(struct bytes key, uint64_t *ret_value);

#endif
