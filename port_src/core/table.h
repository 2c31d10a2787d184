/*
 * table.h -- the nine types of table and their rules, on trees.
 *
 *   type          fwd tree          bwd tree      a key has at most one
 *   pom           id      -> value                fwd: value
 *   set           a
 *   to_one        a       -> value                fwd: value
 *   to_many       a b
 *   one_to_one    a b               b a           fwd: b, bwd: a
 *   one_to_many   a b               b a           bwd: a
 *   many_to_one   a b               b a           fwd: b
 *   many_to_many  a b               b a
 *   graph         nothing: graph.h
 *
 * A pair is in both trees or in neither. A key exists if and only if it has a
 * pair, which needs no bookkeeping: it is there when the tree has a pair with
 * that first component. What makes a type is one row of a table of traits and
 * one rule for inserting: whoever can have at most one partner loses the old.
 *
 * Keys arrive encoded (key.h), values as the external terms they are. The
 * `first` and `second` of a function are in the orientation of its `side`.
 *
 * Every change is noted in the store's change list (change.h) as it is made:
 * that one list undoes a failed command, tells its caller what was evicted,
 * and drives the integrity rules.
 */
#ifndef RHIZOME_CORE_TABLE_H
#define RHIZOME_CORE_TABLE_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/digest.h"
#include "core/tree.h"

struct store;
struct table;

enum table_type {
    TABLE_POM,
    TABLE_SET,
    TABLE_TO_ONE,
    TABLE_TO_MANY,
    TABLE_ONE_TO_ONE,
    TABLE_ONE_TO_MANY,
    TABLE_MANY_TO_ONE,
    TABLE_MANY_TO_MANY,
    TABLE_GRAPH,
    TABLE_TYPE_COUNT,
};

/* The types before this one have elements. */
#define TABLE_ELEMENTS_COUNT TABLE_GRAPH

enum side { SIDE_FWD, SIDE_BWD };

static inline enum side side_other(enum side side)
{
    return side == SIDE_FWD ? SIDE_BWD : SIDE_FWD;
}

/* What a deletion in the table that a side refers to does here. */
enum on_delete { ON_DELETE_RESTRICT, ON_DELETE_EVICT };

/* "This side must exist as a fwd key of `table`"; table NULL: no reference. */
struct table_reference {
    struct table *table;
    enum on_delete on_delete;
};

/* The word of a type on the wire, "many_to_many"; and back (false: none). */
const char *table_type_name(enum table_type type);
bool table_type_parse(struct bytes name, enum table_type *ret);

/* table_has_side(bwd) and table_has_value() of a type, without a table. */
bool table_type_has_bwd(enum table_type type);
bool table_type_has_value(enum table_type type);

struct bytes table_name(const struct table *table); /* encoded key */
enum table_type table_type(const struct table *table);
struct table_reference table_reference(const struct table *table,
                                       enum side side);

/* True if the type can be read and written from `side` (bwd: junctions; a
 * graph: neither). */
bool table_has_side(const struct table *table, enum side side);

/* True if a key of `side` has at most one partner: to-one, not to-many. */
bool table_is_unique(const struct table *table, enum side side);

/* True if elements are pairs of two keys; false: a key, or key and value. */
bool table_has_second(const struct table *table);

/* True if fwd keys carry an opaque value: pom and to_one. */
bool table_has_value(const struct table *table);

/* True if the table is a part of a graph: neither the digest of the store nor
 * what commands report has any of it, for the graph stands for its parts. */
bool table_is_part(const struct table *table);

/* The tree behind a side, for reading. REQUIREs table_has_side(). */
const struct tree_root *table_root(const struct table *table, enum side side);

/* Pairs (rows, elements); and the distinct keys of a side. O(1). */
uint64_t table_count(const struct table *table);
uint64_t table_key_count(const struct table *table, enum side side);

/* Bytes charged to the account for the trees of this table. O(1). */
size_t table_bytes(const struct table *table);

/* The id that the next row of a pom gets; 0 if all are given out. */
uint64_t table_next_id(const struct table *table);

/* The sum of the hashes of all elements (digest.h). O(1). */
struct digest table_digest(const struct table *table);

/*
 * The seq of the last mutation that touched this table, directly or through a
 * reference; 0 for none since the start. What a read of the table answers may
 * show mutations up to this one. After a rollback it may name the seq that the
 * next commit will take, so compare it with the lesser of it and store_seq().
 */
uint64_t table_changed_seq(const struct table *table);

/* A number that whoever visits many tables may leave with each, to know it
 * again; 0 between visits. */
uint32_t table_note(const struct table *table);
void table_set_note(struct table *table, uint32_t note);

/* Whether the side has a pair or row of `key`. The reading functions REQUIRE
 * table_has_side(). O(log n). */
bool table_has_key(const struct table *table, enum side side, struct bytes key);

/*
 * True if the element is there: (first, second) of a pair table, `first` of a
 * set, `first` with exactly the value `second` (as a term, =:=) of a to_one or
 * pom. O(log n). Errors: ST_NO_MEMORY (comparing large values).
 */
enum status table_member(struct store *store, const struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret);

/*
 * The one partner of `key` on a to-one side: an encoded key, or the value of
 * a pom or to_one. `*ret_found` tells whether there is one; `*ret` lies in
 * `entry` or in the tree, until either changes. REQUIREs table_is_unique().
 */
enum status table_get(const struct table *table, enum side side,
                      struct bytes key, struct tree_entry *entry,
                      bool *ret_found, struct bytes *ret);

/*
 * Mutations, between store_begin() and store_commit(). On error the caller
 * rolls back with store_rollback(); a mutation that fails may have changed
 * the table, the rollback undoes it.
 *
 * Common errors: ST_TOO_BIG, ST_MEMORY_LIMIT, ST_NO_MEMORY,
 * ST_MISSING_REFERENCE (store_fault() names the table that lacks the key),
 * ST_RESTRICTED (the table that still has it), ST_WRONG_TABLE_TYPE for a side
 * or a command that the type has not.
 */

/*
 * Inserts an element by the rules of the type; what it evicts is in the
 * change list. `*ret_inserted` is false if it was there already (for a
 * to_one: with an equal value): nothing changes then. Not for a pom.
 */
enum status table_insert(struct store *store, struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret_inserted);

/*
 * table_insert() from the fwd side for one of many elements that ascend:
 * `path` (tree.h) is one of the fwd tree, and stays good for the next. While it
 * is in use the table is changed by nothing else.
 */
enum status table_insert_near(struct store *store, struct table *table,
                              struct tree_path *path, struct bytes first,
                              struct bytes second, bool *ret_inserted);

/*
 * Inserts an element that takes nobody's place: `*ret_inserted` is false, and
 * nothing changes, if it is there or if it would evict another one.
 */
enum status table_insert_new(struct store *store, struct table *table,
                             enum side side, struct bytes first,
                             struct bytes second, bool *ret_inserted);

/* Deletes exactly this element, as table_member() understands it. */
enum status table_delete(struct store *store, struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret_deleted);

/* Deletes all pairs of a key, or its row. O(log n) a pair. */
enum status table_delete_key(struct store *store, struct table *table,
                             enum side side, struct bytes key,
                             uint64_t *ret_count);

/*
 * Appends a row to a pom. A rollback gives the id back; nothing else does.
 * ST_EXHAUSTED after 2^64 - 1 ids.
 */
enum status pom_insert(struct store *store, struct table *table,
                       struct bytes value, uint64_t *ret_id);

/*
 * Replaces the value of a row, by an equal one too: bytes come back as they
 * were given last. ST_NOT_FOUND if there is no such row.
 */
enum status pom_update(struct store *store, struct table *table,
                       struct bytes id, struct bytes value);

/*
 * Removes all elements in O(1); the nodes are freed at the commit. Ids are
 * not given out again. Tables that refer to this one are cleared too
 * (ON_DELETE_EVICT) or refuse (ON_DELETE_RESTRICT, if they hold a pair).
 */
enum status table_clear(struct store *store, struct table *table);

/*
 * Verifies both trees and that they agree: every pair of one is in the other,
 * unique sides are unique, references exist, the digest is that of what is
 * there. O(n log n). For tests and tools.
 */
bool table_check(const struct table *table, char *why, size_t why_size);

#endif
