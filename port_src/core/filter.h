/*
 * filter.h -- conditions on elements: which of those that a walk passes are
 * wanted.
 *
 *     Condition = {Operator, Operand, Term}     '=:=' '=/=' '<' '=<' '>' '>='
 *               | {in, Operand, [Term]}
 *               | {'and', [Condition]} | {'or', [Condition]}
 *               | {'not', Condition}
 *     Operand   = key | value
 *               | {element, N, Operand}         of a tuple, from 1
 *               | {map_get, Key, Operand}
 *
 * Terms are compared in the order of keys (key.h): Erlang's, and exact. Where
 * an operand does not exist, or is too large to be a key, its comparison is
 * false, whichever operator it is.
 */
#ifndef RHIZOME_CORE_FILTER_H
#define RHIZOME_CORE_FILTER_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/status.h"

/* How deep conditions and operands may stand in one another; how many there
 * may be; how many terms all lists of `in` may hold together. */
#define FILTER_DEPTH_MAX 32
#define FILTER_NODES_MAX 1000
#define FILTER_TERMS_MAX 100000

/* Opaque. filter_create() makes one and filter_free() releases it. */
struct filter;

/*
 * Called after each so much work (see filter_set_check()); an error ends what
 * is being done with that error.
 */
typedef enum status filter_check(void *context);

/*
 * Makes a filter of `condition`, a valid external term, which is borrowed
 * until the filter is freed. O(size), and O(n log n) for a list of `in`.
 *
 * Errors: ST_BAD_ARGUMENT if it is no condition, ST_TOO_BIG if it or a term in
 * it is too large, with a sentence in `*ret_why`; ST_NO_MEMORY,
 * ST_MEMORY_LIMIT.
 */
enum status filter_create(struct mem *mem, struct bytes condition,
                          struct filter **ret, const char **ret_why);
void filter_free(struct filter *filter);

/* Lets filter_match() call `check` whenever it has looked at about `work`
 * more bytes, or conditions. A term is walked to its end before. */
void filter_set_check(struct filter *filter, size_t work, filter_check *check,
                      void *context);

/* Whether it asks for the key, and for the value, of an element. */
bool filter_uses_key(const struct filter *filter);
bool filter_uses_value(const struct filter *filter);

/* An element, as far as it exists: `key` and `partner` are encoded, `value` is
 * an external term. What is not there has no data. */
struct filter_element {
    struct bytes key;
    struct bytes partner;
    struct bytes value;
};

/*
 * Whether the element meets the condition. Allocates scratch that is kept.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT, and those of the check.
 */
enum status filter_match(struct filter *filter,
                         const struct filter_element *element, bool *ret);

#endif
