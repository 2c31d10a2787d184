/*
 * store_internal.h -- the insides of a store and of a table, for store.c,
 * change.c, table.c, integrity.c and scan.c alone.
 *
 *     store -- catalog: name -> table
 *           \- changes: the running command's records, oldest first
 *
 *     table -- trees[fwd], trees[bwd]
 *           |- links[side] ---- target ---> another table
 *           |       ^-- referrers ---------'   (all links that aim at it)
 *           \- versions -> what it was -> what it was before that
 */
#ifndef RHIZOME_CORE_STORE_INTERNAL_H
#define RHIZOME_CORE_STORE_INTERNAL_H

#include "core/change.h"
#include "core/graph.h"
#include "core/snapshot.h"
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

/*
 * A table; or a version of one, which nobody changes: of its links only the
 * names of the targets are good, and of its trees only the roots.
 */
struct table {
    const struct table_traits *traits;
    struct store *store; /* whose it is */
    enum table_type type;
    bool linked;   /* refers or is referred to: mutations must settle */
    bool dropped;  /* out of the catalog; there for its versions */
    bool part;     /* table_is_part() */
    uint32_t note; /* table_note() */
    struct tree trees[2];
    uint64_t next_id; /* pom; 0 when all ids are given out */
    struct digest digest;
    uint64_t changed_seq;
    struct link links[2];
    struct link *referrers; /* by name of their table, then by side */

    /* snapshot.c explains it. */
    uint64_t birth;         /* the epoch in which it became what it is */
    struct table *versions; /* what it was, the latest first */
    struct table *whole;    /* of a version: the table */
    struct table *newer;    /* of a version: its neighbours */
    struct table *older;
    struct table *next_dead; /* of a version: in its snapshot's list */

    /* Of a graph of the store itself, and of none of its versions: where its
     * parts are, or NULL. Freed with the table. */
    struct graph_places *places;

    size_t name_size;
    uint8_t name[];
};

/* graph_memo.c explains it. All zeros: nothing is remembered. */
struct graph_memo {
    struct memo_chunk **chunks;
    uint64_t chunk_count;
    struct memo_block *blocks;
    size_t bytes; /* of all this */
    size_t taken; /* of the blocks */
    size_t lost;  /* of those taken */
};

/* What graph_open() finds by eleven names: tables stay where they are as long
 * as they are in the catalog, and options are what they were made with. */
struct graph_places {
    struct table *parts[GRAPH_PART_COUNT];
    struct graph_options options;
    struct graph_memo memo;
};

/* What is read of a table while a snapshot is open. */
struct snapshot {
    struct epoch_snapshot epoch; /* the first: neighbours are found by it */
    struct store *store;
    uint64_t references;
    uint64_t seq;
    struct tree_root catalog;
    uint64_t part_count;
    size_t catalog_bytes;
    struct table *dead_tables; /* versions that wait for the release */
    struct listing *listing;   /* snapshot_list(), or NULL */
};

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
    struct mem own_mem;
    struct mem *mem;    /* own_mem, or that of the store it is a fork of */
    struct store *root; /* itself, or the store it is a fork of */
    struct epochs epochs;
    uint64_t seq;
    uint64_t catalog_seq;
    bool open;             /* between begin and commit or rollback */
    uint64_t undone_epoch; /* that of the last rollback */
    struct change_list changes;

    struct tree catalog;       /* encoded name -> struct table * */
    uint64_t part_count;       /* of its tables, those that are parts */
    struct tree_entry *lookup; /* with room for any name; the root's */
    size_t object_bytes;       /* charged for tables and snapshots */
    bool keeps_values;         /* store_set_keeps_values() */

    struct snapshot *base; /* of a fork: what it began as */
    struct store *forks;   /* of a root: all of them */
    struct store *next_fork;
    struct store **fork_place;
    bool doomed; /* a fork that is freed with its last snapshot */

    struct fault fault;
    uint8_t fault_table[TABLE_NAME_BYTES_MAX];
    struct buffer fault_key;

    /* Scratch of one mutation, kept because most need it again. */
    struct tree_entry entry; /* the pair being evicted */
    struct buffer key;       /* an id, or the key being evicted */
    struct buffer values[2]; /* encodings of two values compared */
    struct buffer notes[3];  /* what changes of a graph are made of */

    /* The root's; freed when a rollback gets no memory otherwise. */
    void *reserve;
};

/* --- store.c ------------------------------------------------------------ */

/* Notes what store_fault() will tell. Copies; a key that gets no memory is
 * left out. Gives back `st`, so that a caller can return it. */
enum status store_fail(struct store *store, enum status st, const char *text,
                       struct bytes table, struct bytes key);

/* An empty store but for its account and epochs. */
void store_init(struct store *store, struct store *root);

/* The bytes that are charged for the store, without those of its forks. */
size_t store_own_bytes(const struct store *store);

/* Blocks that the store owns are taken from its account and counted here. */
void *object_alloc(struct store *store, size_t size);
void object_free(struct store *store, void *object, size_t size);

/* Gives back all that a store owns but the block that it is. */
void store_deinit(struct store *store);

/* store_digest() with one table more, the next by name. */
struct digest digest_chain(struct digest before, const struct table *table);

/* The table that a value of the catalog stands for. */
struct table *catalog_table(struct bytes value);
enum status catalog_put(struct store *store, struct table *table);

/* The same where it cannot fail: to undo. */
void catalog_put_back(struct store *store, struct table *table);

/* Walks a catalog: the entry behind `previous`, or the first. */
bool catalog_next(const struct store *store, const struct tree_root *catalog,
                  struct bytes previous, struct table **ret);

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

/* Takes all elements out of a table and into the list. Of a graph `count` tells
 * how many there were, and it is left with an empty digest. */
enum status change_clear(struct store *store, struct table *table);
enum status change_clear_graph(struct store *store, struct table *table,
                               uint64_t count);

/* Notes the id that a pom gives out, and counts on. */
enum status change_next_id(struct store *store, struct table *table);

/* Frees what the records keep, or walks them backwards to undo all. Either
 * way the list is empty afterwards. */
void change_commit(struct store *store);
void change_rollback(struct store *store);

/* tree_put() and tree_delete() that do not fail: see store_rollback(). */
void undo_put(struct store *store, struct tree *tree, struct tree_key key,
              struct bytes value);
void undo_delete(struct store *store, struct tree *tree, struct tree_key key);

/* --- table.c ------------------------------------------------------------ */

/* An empty table outside of the catalog, with no references. */
enum status table_create(struct store *store, struct bytes name,
                         enum table_type type, struct table **ret);
void table_free(struct store *store, struct table *table);

/* A copy of the struct, its name with it, charged to `store`. NULL as mem.h.
 * And what gives it back, whatever has become of the trees. */
struct table *table_copy(struct store *store, const struct table *table);
void table_discard(struct store *store, struct table *table);

/*
 * Removes all pairs or the row of `key`, without a look at the references.
 * `key` may not lie in the change list, which moves as it grows.
 */
enum status table_remove_key(struct store *store, struct table *table,
                             enum side side, struct bytes key,
                             uint64_t *ret_count);

/* --- snapshot.c --------------------------------------------------------- */

/*
 * Before `table` changes: leaves a version of it to the youngest snapshot, if
 * that sees it as it is. ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status table_touch(struct store *store, struct table *table);

/* What a snapshot sees of a table that its catalog names. */
struct table *snapshot_see(const struct snapshot *snapshot,
                           struct table *table);

/* Makes a table that a fork sees its own. */
enum status fork_take_over(struct store *fork, struct table *seen,
                           struct table **ret);

/* store_free() of a fork. */
void fork_free(struct store *fork);

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
