/*
 * term.h -- external terms as Erlang's own text, and as JSON.
 *
 * Both take a term (no version byte) that etf_validate() has passed, so that
 * nothing leads out of it and it nests ETF_DEPTH_MAX levels at most, and give
 * back the byte behind it. O(size), but for integers of thousands of digits.
 *
 * Text is one line that file:consult/1 and erl_parse read back as the same
 * term. It escapes whatever a terminal would obey. Pids, ports, references
 * and local funs have no such form and are shown as Erlang shows them.
 *
 *     foo 'Two words' 42 -1.0e22 "text" <<"binary">> <<1,2,3:4>>
 *     [a,b|c] {t} #{k => v} fun lists:map/2 <0.42.0> #Ref<0.1.2.3>
 *
 * Lists of printable Latin-1 characters, as in Erlang's shell, and binaries of
 * printable UTF-8 are shown as strings. Integers of more than
 * TERM_DECIMAL_BYTES bytes are shown in base 16, as 16#..., for decimal digits
 * cost the square of the size.
 *
 * JSON loses what it has no word for; `--format etf` is what loses nothing:
 *
 *     true false null           true false null
 *     other atoms               "atom"
 *     integers                  42, beyond 2^53 "9007199254740993"
 *     floats                    1.5
 *     binaries of UTF-8         "text"
 *     other binaries            {"$base64": "AP8="}
 *     lists, strings, tuples    [1, 2]
 *     maps                      {"k": v} if all keys are atoms, or all are
 *                               binaries of UTF-8, and none begins with $;
 *                               else {"$map": [[k, v], ...]}
 *     anything else             {"$term": "<0.42.0>"}, its text
 */
#ifndef RHIZOME_CLI_TERM_H
#define RHIZOME_CLI_TERM_H

#include "cli/text.h"

#define TERM_DECIMAL_BYTES ((size_t)32 << 10)

/* `*literal` (may be NULL) becomes false if Erlang cannot read the text back,
 * and stays as it is otherwise. */
const uint8_t *term_text(struct buffer *out, const uint8_t *term,
                         bool *literal);

const uint8_t *term_json(struct buffer *out, const uint8_t *term);

/*
 * Reads the text of a term that may name a table: what term_text() writes, but
 * for pids, ports, references and local funs, and integers in base 16.
 * Appends the term to `out`; false if `text` is none, or goes on behind it.
 */
bool term_read(struct buffer *out, const char *text);

#endif
