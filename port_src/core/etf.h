/*
 * etf.h -- the external term format as hostile input.
 *
 * Nothing else may touch bytes from outside before etf_validate() has passed
 * them: it walks a term once, without recursion and without allocation, and
 * checks every length, count and tag against the bytes that are really there.
 * After it, ei and the key encoder may trust what they read.
 *
 * Accepted: SMALL_INTEGER 97, INTEGER 98, NEW_FLOAT 70, FLOAT 99 (the text
 * form), SMALL_BIG 110, LARGE_BIG 111, the four atoms 100 115 118 119, BINARY
 * 109, BIT_BINARY 77, STRING 107, LIST 108 (proper and improper), NIL 106,
 * SMALL_TUPLE 104, LARGE_TUPLE 105, MAP 116, PID 103 88, PORT 102 89 120,
 * REFERENCE 101 114 90, NEW_FUN 112, EXPORT 113.
 *
 * Refused with ST_BAD_TERM: compressed terms (80), the obsolete fun 117, atom
 * cache references, every other tag, floats that are not finite, atoms that
 * are no UTF-8 of at most 255 characters, sign bytes other than 0 and 1, a
 * fun whose size field is not exactly its size. What passes is what OTP
 * decodes, with one exception that is left to the key encoder: a map may
 * hold the same key twice.
 */
#ifndef RHIZOME_CORE_ETF_H
#define RHIZOME_CORE_ETF_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/status.h"

#define ETF_VERSION 131

enum etf_tag {
    ETF_NEW_FLOAT = 70,
    ETF_BIT_BINARY = 77,
    ETF_COMPRESSED = 80,
    ETF_NEW_PID = 88,
    ETF_NEW_PORT = 89,
    ETF_NEWER_REFERENCE = 90,
    ETF_SMALL_INTEGER = 97,
    ETF_INTEGER = 98,
    ETF_FLOAT = 99,
    ETF_ATOM = 100,
    ETF_REFERENCE = 101,
    ETF_PORT = 102,
    ETF_PID = 103,
    ETF_SMALL_TUPLE = 104,
    ETF_LARGE_TUPLE = 105,
    ETF_NIL = 106,
    ETF_STRING = 107,
    ETF_LIST = 108,
    ETF_BINARY = 109,
    ETF_SMALL_BIG = 110,
    ETF_LARGE_BIG = 111,
    ETF_NEW_FUN = 112,
    ETF_EXPORT = 113,
    ETF_NEW_REFERENCE = 114,
    ETF_SMALL_ATOM = 115,
    ETF_MAP = 116,
    ETF_FUN = 117,
    ETF_ATOM_UTF8 = 118,
    ETF_SMALL_ATOM_UTF8 = 119,
    ETF_V4_PORT = 120,
};

/*
 * How many containers may stand in one another. The tail of a list stands in
 * that list, whatever it is; tuples, lists and maps without elements and funs
 * without free variables count for nothing.
 */
#define ETF_DEPTH_MAX 1000

/*
 * Checks the one term (no version byte) at the start of `input` and tells in
 * `*ret_size` how many bytes it takes. Bytes after it are not looked at.
 *
 * Errors: ST_BAD_TERM, ST_TOO_DEEP; `*ret_offset` (may be NULL) is then the
 * offset of the tag at fault. O(size), about 30 ns for a ten-term tuple.
 */
enum status etf_validate(struct bytes input, size_t *ret_size,
                         size_t *ret_offset);

/*
 * The same with another limit, of at most ETF_RECORD_DEPTH_MAX: the records
 * of a log may set what a request held into a container or two more.
 */
#define ETF_RECORD_DEPTH_MAX (ETF_DEPTH_MAX + 8)

enum status etf_validate_within(struct bytes input, unsigned depth_max,
                                size_t *ret_size, size_t *ret_offset);

/*
 * The size in bytes of the term at `term`, which etf_validate() has passed.
 * Iterative, never reads beyond the term.
 */
size_t etf_size(const uint8_t *term);

/*
 * The same, but 0 if the term holds more than `count_max` terms, itself and
 * an upper bound for those in lists included. O(count_max) at most.
 */
size_t etf_size_bounded(const uint8_t *term, size_t count_max);

/*
 * Appending terms to a buffer, for what the log layer writes. Names of atoms
 * are ASCII, of 255 bytes at most. Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT; the
 * buffer is then as it was. Lists are ended with etf_put_nil(), which is all
 * that one of no elements consists of: etf_put_list() appends nothing for it.
 */
enum status etf_put_tuple(struct buffer *out, uint32_t arity);
enum status etf_put_list(struct buffer *out, uint32_t count);
enum status etf_put_nil(struct buffer *out);
enum status etf_put_map(struct buffer *out, uint32_t count);
enum status etf_put_atom(struct buffer *out, const char *name);
enum status etf_put_u64(struct buffer *out, uint64_t value);
enum status etf_put_binary(struct buffer *out, struct bytes bytes);

/* The 31 characters of the text form of a float, tag 99. */
#define ETF_FLOAT_CHARS 31

/*
 * The number that the text of a FLOAT gives, by the grammar that OTP reads;
 * false if it is none or not finite.
 */
bool etf_float_text(const uint8_t *text, double *ret);

#endif
