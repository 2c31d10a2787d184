/*
 * change.h -- what a command has done so far: one list with three uses.
 *
 *   undo          store_rollback() walks it backwards;
 *   conservation  a reply to a mutation reports the removals in it;
 *   integrity     a removal that took a key's last pair sets off the tables
 *                 that refer to that key, whose removals are appended to the
 *                 list and set off others, until its end is reached.
 *
 * A record is reserved before the trees are touched, so noting a change that
 * has been made cannot fail.
 */
#ifndef RHIZOME_CORE_CHANGE_H
#define RHIZOME_CORE_CHANGE_H

#include "core/buffer.h"
#include "core/bytes.h"

struct table;

enum change_kind {
    CHANGE_ADD,     /* an element came; of a row see store_set_keeps_values() */
    CHANGE_REMOVE,  /* an element went, with the value it had */
    CHANGE_NEXT_ID, /* a pom gave out an id */
    CHANGE_CLEAR,   /* a table was emptied; its old trees are kept here */
    CHANGE_CREATE,  /* a table came */
    CHANGE_DROP,    /* a table went; it is kept here */
};

/*
 * One record. `first` and `second` are in fwd orientation; `second` is an
 * encoded key, or the external term of a value (pom, to_one), or empty (set,
 * and a row that came while values are not kept).
 * Borrowed until the list changes.
 *
 * An insertion notes its own element and what it evicts from the table: a
 * replaced value before the ADD, evicted pairs after it (of a one_to_one, that
 * of fwd, then that of bwd). What went elsewhere by references follows.
 */
struct change {
    enum change_kind kind;
    struct table *table;
    struct bytes first;
    struct bytes second;
    uint64_t count; /* CHANGE_CLEAR: the elements that went */
};

struct store;

/* The end of the list as it is now: what is noted next begins here. */
size_t store_change_mark(const struct store *store);

/*
 * Reads the record at `*position`, which begins as a mark, and moves it on to
 * the next; false at the end of the list. Records of a command are there
 * until its commit or rollback.
 */
bool store_change_next(const struct store *store, size_t *position,
                       struct change *ret);

#endif
