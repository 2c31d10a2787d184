/*
 * term_text.h -- external terms as Erlang's own text, for tests.
 *
 *     foo 'two words' 42 -7 <<"bytes">> "string" [a, b | tail] {t} #{k => v}
 *
 * Reads and prints integers of 64 bits, atoms, binaries, strings, lists,
 * tuples and maps; other terms are printed as their tag, `~70`. A "string"
 * becomes STRING, a list LIST; both are printed as lists of integers.
 */
#ifndef RHIZOME_TEST_SUPPORT_TERM_TEXT_H
#define RHIZOME_TEST_SUPPORT_TERM_TEXT_H

#include "core/buffer.h"

/* Where buffers of tests come from. */
struct mem *test_mem(void);

/* Appends the term (no version byte) that `text` shows; fails the program if
 * it shows none. */
void term_parse(struct buffer *out, const char *text);

/*
 * Appends the text of the term at `term`, which must be valid, and a NUL
 * that is not counted. Returns how many bytes the term took.
 */
size_t term_print(struct buffer *out, const uint8_t *term);

/* A frame with what `text` shows: length, version byte, term. */
void frame_parse(struct buffer *out, const char *text);

/* Appends bytes, or fails the program. */
void test_append(struct buffer *out, const void *data, size_t size);
void test_append_text(struct buffer *out, const char *text);

/* A string of its own that the test need not free before its end: printf. */
char *test_format(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
