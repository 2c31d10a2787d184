/*
 * store.h -- a set of named tables with one sequence number, one memory
 * account and one list of epochs.
 *
 * A mutation is begin, any number of table changes, then commit or rollback:
 *
 *     store_begin(store);
 *     st = table_insert(store, table, SIDE_FWD, a, b, &inserted);
 *     if (st < 0)
 *         store_rollback(store);
 *     else
 *         store_commit(store);
 *
 * A commit that changed something takes the next seq. A rollback leaves every
 * table with the contents it had (pages may be cut differently).
 */
#ifndef RHIZOME_CORE_STORE_H
#define RHIZOME_CORE_STORE_H

#include "core/change.h"
#include "core/digest.h"
#include "core/epoch.h"
#include "core/mem.h"
#include "core/table.h"

struct store_options {
    size_t memory_limit; /* bytes; 0: no limit */
};

/* The store embeds its account, whose address trees keep: never move it. */
enum status store_create(const struct store_options *options,
                         struct store **ret);
void store_free(struct store *store);

struct mem *store_mem(struct store *store);
uint64_t store_seq(const struct store *store);

/*
 * For recovery: the next commit takes `seq` + 1. Not within a command. What
 * tables and catalog have become so far counts as before the start, as to
 * table_changed_seq() and store_catalog_seq(). O(tables).
 */
void store_set_seq(struct store *store, uint64_t seq);

/*
 * The digest of everything that mutations made: tables with their names,
 * types, references, next ids, counts and elements. Neither the seq nor how
 * pages are cut takes part. O(tables).
 */
struct digest store_digest(const struct store *store);

/* The seq of the last command that created or dropped a table, 0 for none
 * since the start. See table_changed_seq(). */
uint64_t store_catalog_seq(const struct store *store);

/* More about the last error of a mutation. */
struct fault {
    const char *text;   /* a sentence of its own, or NULL */
    struct bytes table; /* encoded name of the table at fault, or empty */
    struct bytes key;   /* encoded key at fault, or empty */
};

/* Valid until the next store_begin(). */
const struct fault *store_fault(const struct store *store);

void store_begin(struct store *store);
void store_commit(struct store *store);

/*
 * Undoes every change since store_begin(). The memory limit does not count
 * and a reserve stands behind the system's allocator; if even that is not
 * enough the program ends with EXIT_NO_MEMORY, for its state would be wrong.
 */
void store_rollback(struct store *store);

/* Bytes that one command may collect in its change list; ST_TOO_BIG beyond. */
#define STORE_CHANGES_BYTES_MAX (1u << 30)

/*
 * Elements that one command removes are reported, and a report has a limit:
 * a mutation fails with ST_TOO_BIG once those in the list, as external terms,
 * must take more than `bytes` (0, as at first: never). It does not collect
 * much more than that, either. One element may always be removed, and a
 * cleared table counts for nothing.
 */
void store_set_removed_bytes_max(struct store *store, size_t bytes);

/*
 * From now on CHANGE_ADD of a row has its value, too (change.h): for those who
 * tell others what was changed. It costs a copy of each value.
 */
void store_set_keeps_values(struct store *store, bool keeps);

/* How many elements the running command has removed so far. */
uint64_t store_removed_count(const struct store *store);

/*
 * `name` is an encoded key of at most 255 bytes; NULL if there is none. In a
 * fork it may be a table of the snapshot that the fork began as, for reading
 * alone and valid until the store behind that changes.
 */
struct table *store_find(const struct store *store, struct bytes name);

/*
 * The same for a mutation, within a command. A fork takes the table over from
 * its snapshot: pointers to it that store_find() gave are no longer those of
 * this table. `*ret` is NULL if there is none. Errors: ST_NO_MEMORY,
 * ST_MEMORY_LIMIT.
 */
enum status store_find_mutable(struct store *store, struct bytes name,
                               struct table **ret);

/* The longest encoded table name, in bytes. */
#define TABLE_NAME_BYTES_MAX 255

/*
 * Creates a table. `references` holds one entry per side; a reference is
 * allowed on fwd of set, to_one and to_many and on both sides of a junction.
 * Errors: ST_TABLE_EXISTS, ST_TOO_BIG (name), ST_WRONG_TABLE_TYPE (a
 * reference where none is allowed), ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status store_table_create(struct store *store, struct bytes name,
                               enum table_type type,
                               const struct table_reference references[2],
                               struct table **ret);

/* Drops a table. ST_RESTRICTED while another table refers to it. */
enum status store_table_drop(struct store *store, struct table *table);

/* Tables in the order of their names: NULL starts, NULL ends. As store_find(),
 * and O(log n). */
struct table *store_next_table(const struct store *store,
                               const struct table *previous);

/* How many tables there are; the parts of graphs are not counted. */
uint64_t store_table_count(const struct store *store);

/*
 * The bytes that the store itself is charged with: tables, catalog, change
 * list, scratch. Equal to store_mem()->used when nobody else holds a block of
 * the account. O(tables).
 */
size_t store_bytes(const struct store *store);

/* table_check() of all, and that the account agrees with the trees. */
bool store_check(const struct store *store, char *why, size_t why_size);

#endif
