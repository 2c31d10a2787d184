/*
 * text.h -- building text in a buffer, where running out of memory is the end.
 *
 * A command line tool has nothing to save when the system has no more memory,
 * so these functions give back nothing: they say so on stderr and end the
 * program with EXIT_NO_MEMORY. All buffers of cli/ are charged to cli_mem().
 */
#ifndef RHIZOME_CLI_TEXT_H
#define RHIZOME_CLI_TEXT_H

#include "core/buffer.h"

/* The one account of the program, without a limit. */
struct mem *cli_mem(void);

/* Ends the program with a line on stderr and EXIT_NO_MEMORY. */
_Noreturn void text_no_memory(void);

void text_bytes(struct buffer *out, struct bytes bytes);
void text_append(struct buffer *out, const char *text);
void text_byte(struct buffer *out, char byte);
void text_u64(struct buffer *out, uint64_t value);
void text_format(struct buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Two hexadecimal digits a byte. */
void text_hex(struct buffer *out, struct bytes bytes);

/* A character in UTF-8. */
void text_utf8(struct buffer *out, uint32_t character);

/* A word as a shell takes it; control characters as in $'a\nb'. */
void text_word(struct buffer *out, const char *word);

/* The same of a path, which no command takes for an option. */
void text_path(struct buffer *out, const char *path);

/* Control characters become `?`: a terminal must not obey them, and a line
 * stays one. */
void text_visible(struct buffer *out, const char *text);

/* Ends the text with a NUL that its size does not count. */
const char *text_string(struct buffer *out);

/*
 * The character at the start of `bytes` and how many bytes it takes in
 * `*ret_size`; false if they do not begin with valid UTF-8 (too long a form,
 * a surrogate or beyond 10FFFF included). `bytes` is not empty.
 */
bool text_utf8_next(struct bytes bytes, uint32_t *ret, size_t *ret_size);

/* True if all of it is UTF-8. */
bool text_is_utf8(struct bytes bytes);

#endif
