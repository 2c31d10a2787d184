/*
 * load.h -- filling an empty table from sorted elements: full pages built
 * bottom-up, no search, no change list. Recovery loads checkpoints with it.
 *
 * Elements come in the order of their keys (key.h), each side by itself: a
 * junction is given all its pairs twice, as fwd orders them and as bwd does,
 * so that nothing is sorted here. loader_finish() holds the two against each
 * other by count and digest.
 *
 * Works on a store that serves nobody yet: outside of any command, and
 * without a rule of reference being looked at. The caller sets the seq.
 */
#ifndef RHIZOME_CORE_LOAD_H
#define RHIZOME_CORE_LOAD_H

#include "core/store.h"

struct loader;

/* Begins on an empty `table`, of which no snapshot exists. Errors:
 * ST_BAD_ARGUMENT if it holds something; ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status loader_create(struct store *store, struct table *table,
                          struct loader **ret);

/*
 * Adds the next element of `side`, oriented as that side: `second` is an
 * encoded key, a value, or empty. The sides may be interleaved. Errors:
 * ST_BAD_ARGUMENT if it is not greater than the one before or repeats the key
 * of a unique side, or if the table has no such side; ST_TOO_BIG,
 * ST_NO_MEMORY, ST_MEMORY_LIMIT. After an error only loader_abort() may
 * follow.
 */
enum status loader_add(struct loader *loader, enum side side,
                       struct bytes first, struct bytes second);

/*
 * Puts the trees in place and frees the loader. Errors: ST_BAD_ARGUMENT if
 * the two sides of a junction differ, or if a row of a pom has an id that is
 * not below `next_id` (0: all ids are given out; ignored for other types);
 * ST_NO_MEMORY. On error everything is freed and the table is empty.
 */
enum status loader_finish(struct loader *loader, uint64_t next_id);

/* Frees all; the table stays empty. NULL is accepted. */
void loader_abort(struct loader *loader);

#endif
