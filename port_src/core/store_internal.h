/*
 * store_internal.h -- the insides of a store and of a table, for store.c,
 * change.c, table.c, integrity.c and scan.c alone.
 *
 *     store -- catalog: name -> slot        slots: [ table, table, free, .. ]
 *           \- changes: the running command's records, oldest first
 *
 *     table -- trees[fwd], trees[bwd]
 *           \- links[side] ---- target ---> another table
 *                   ^-- referrers ---------'   (all links that aim at it)
 */
#ifndef RHIZOME_CORE_STORE_INTERNAL_H
#define RHIZOME_CORE_STORE_INTERNAL_H

#include "core/change.h"
#include "core/store.h"
#include "core/table.h"

/* What makes a type; table.c has one row for each. */
struct table_traits {
    const char *name;
    bool unique[2];  /* a key of this side has at most one partner */
    bool has_bwd;    /* a junction: kept in two trees */
    bool has_second; /* elements are pairs of keys */
    bool has_value;  /* fwd keys carry a value */
};

/* One side of a table, and what it refers to. */
struct link {
    struct table *table; /* whose side it is */
    enum side side;
    enum on_delete on_delete;
    struct table *target; /* NULL: the side refers to nothing */
    struct link *next;    /* the next link in target->referrers */
};

struct table {
    const struct table_traits *traits;
    enum table_type type;
    bool linked; /* refers or is referred to: mutations must settle */
    uint32_t slot;
    uint32_t note; /* table_note() */
    struct tree trees[2];
    uint64_t next_id; /* pom; 0 when all ids are given out */
    struct digest digest;
    uint64_t changed_seq;
    struct link links[2];
    struct link *referrers; /* by name of their table, then by side */
    size_t name_size;
    uint8_t name[];
};

/* A place for a table, or a link in the chain of free places. */
struct slot {
    struct table *table; /* NULL: free */
    uint32_t next_free;
};

#define SLOT_NONE UINT32_MAX

/* change.c explains it. */
struct change_list {
    struct buffer records;
    size_t last;       /* offset of the newest record */
    uint64_t deferred; /* records that a commit must look at */

    /* Of REMOVE alone: what change_push() limits. */
    size_t removed_bytes_max; /* of external terms; 0: no limit */
    uint64_t removed;         /* records */
    size_t removed_bytes;     /* of their payloads, as they are encoded */
    size_t measure_at;        /* the removed_bytes to measure them at */
    size_t measured;          /* offset of the first one not measured */
    size_t measured_bytes;    /* of those before it, as external terms */
};

struct store {
    struct mem mem;
    struct epochs epochs;
    uint64_t seq;
    uint64_t catalog_seq;
    bool open; /* between begin and commit or rollback */
    struct change_list changes;

    struct tree catalog; /* encoded name -> slot, 4 bytes */
    struct slot *slots;
    uint32_t slot_count;
    uint32_t slot_free;        /* the first free one, or SLOT_NONE */
    struct tree_entry *lookup; /* with room for any name */

    struct fault fault;
    uint8_t fault_table[TABLE_NAME_BYTES_MAX];
    struct buffer fault_key;

    /* Scratch of one mutation, kept because most need it again. */
    struct tree_entry entry; /* the pair being evicted */
    struct buffer key;       /* an id, or the key being evicted */
    struct buffer values[2]; /* encodings of two values compared */

    void *reserve; /* freed when a rollback gets no memory otherwise */
};

/* --- store.c ------------------------------------------------------------ */

/* Notes what store_fault() will tell. Copies; a key that gets no memory is
 * left out. Gives back `st`, so that a caller can return it. */
enum status store_fail(struct store *store, enum status st, const char *text,
                       struct bytes table, struct bytes key);

/* Takes a table out of the catalog, or puts it back; neither can fail. */
void store_uncatalog(struct store *store, struct table *table);
void store_recatalog(struct store *store, struct table *table);

/* Frees a table that is in no catalog any more. */
void store_free_table(struct store *store, struct table *table);

/* --- change.c ----------------------------------------------------------- */

/*
 * Appends a record of a change that is about to be made, with copies of its
 * keys, and marks its table as changed by the running command. change_pop()
 * takes it back if the change was not made after all. Errors: ST_TOO_BIG,
 * ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status change_push(struct store *store, enum change_kind kind,
                        struct table *table, struct bytes first,
                        struct bytes second);
void change_pop(struct store *store);

/* digest_element() of the newest record's two components. */
struct digest change_digest(const struct store *store);

/* Takes all elements out of a table and into the list. */
enum status change_clear(struct store *store, struct table *table);

/* Notes the id that a pom gives out, and counts on. */
enum status change_next_id(struct store *store, struct table *table);

/* Frees what the records keep, or walks them backwards to undo all. Either
 * way the list is empty afterwards. */
void change_commit(struct store *store);
void change_rollback(struct store *store);

/* Bytes charged for the trees that only the list still holds. */
size_t change_kept_bytes(const struct store *store);

/* tree_put() and tree_delete() that do not fail: see store_rollback(). */
void undo_put(struct store *store, struct tree *tree, struct tree_key key,
              struct bytes value);
void undo_delete(struct store *store, struct tree *tree, struct tree_key key);

/* --- table.c ------------------------------------------------------------ */

/* An empty table outside of the catalog, with no references. */
enum status table_create(struct store *store, struct bytes name,
                         enum table_type type, struct table **ret);
void table_free(struct store *store, struct table *table);
size_t table_object_bytes(const struct table *table);

/*
 * Removes all pairs or the row of `key`, without a look at the references.
 * `key` may not lie in the change list, which moves as it grows.
 */
enum status table_remove_key(struct store *store, struct table *table,
                             enum side side, struct bytes key,
                             uint64_t *ret_count);

/* --- integrity.c -------------------------------------------------------- */

/* Enters or removes a table's links in the lists of their targets. */
void integrity_link(struct table *table);
void integrity_unlink(struct table *table);

/*
 * Applies the rules of reference to all records from `mark` on. Only needed
 * if the table that a mutation was for is `linked`.
 * Errors: ST_MISSING_REFERENCE, ST_RESTRICTED, and those of a deletion.
 */
enum status integrity_settle(struct store *store, size_t mark);

/* For table_check(). */
bool integrity_check(const struct table *table, char *why, size_t why_size);
bool integrity_check_key(const struct table *table, enum side side,
                         struct bytes key);

/* --- scan.c ------------------------------------------------------------- */

/* How many keys of `root` lie before the first pair of `key`, and before
 * what comes behind its last pair. They allocate nothing. O(log n). */
uint64_t rank_below(const struct tree_root *root, struct bytes key);
uint64_t rank_above(const struct tree_root *root, struct bytes key);

#endif
