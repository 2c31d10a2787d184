/*
 * term_maker.h -- random external terms in every form that is accepted, and
 * bytes written as hexadecimal text.
 */
#ifndef RHIZOME_TEST_TERM_MAKER_H
#define RHIZOME_TEST_TERM_MAKER_H

#include "core/buffer.h"

#include "support/random.h"

/*
 * Appends a valid term, without version byte, of containers up to `depth`
 * levels deep. No map holds a key twice. Ends the program without memory.
 */
void term_maker_put(struct random *random, unsigned depth, struct buffer *out);

/*
 * Appends the bytes that `hex` writes, as in "68 02 6A 6A". Within quotes
 * 'like this' each character is a byte. Ends the program at other text.
 */
void term_maker_hex(const char *hex, struct buffer *out);

/*
 * A copy of `bytes` on the heap of exactly its size, so that a sanitizer
 * sees every access beyond it. The caller frees it.
 */
uint8_t *term_maker_copy(struct bytes bytes);

#endif
