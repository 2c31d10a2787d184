/*
 * snapshot.h -- a whole store as it was at one seq, read-only, and forks of it.
 *
 * Taking a snapshot ends the running epoch (epoch.h) and copies the root of
 * the catalog: O(1), whatever the store holds. From then on the writer copies
 * each node that the snapshot sees before it changes it, and the same is done
 * with tables: the first change of a table since the youngest snapshot leaves
 * a *version* of it behind, a struct table with the roots that it had. So
 * every function that reads a table reads one of a snapshot too:
 *
 *     table = snapshot_find(snapshot, name);    the live one if nothing has
 *     table_get(table, SIDE_FWD, key, ...)      changed since, else a version
 *
 * A *fork* is a store of its own that begins as the snapshot is. It shares
 * every node with it, writes privately, and takes a table over when it is
 * first written to. It has no log and no limit of its own: what it allocates
 * is charged to the account of the store that it comes from.
 *
 * Threads. All of this is the store's own thread's. What another thread may
 * read is a pin: a copy of a table whose nodes a snapshot keeps, or the list
 * of a whole snapshot. Snapshots are counted: whoever keeps one for another
 * thread takes a reference.
 */
#ifndef RHIZOME_CORE_SNAPSHOT_H
#define RHIZOME_CORE_SNAPSHOT_H

#include "core/digest.h"
#include "core/store.h"

struct snapshot;

/*
 * Not within a command. While nothing has changed since the last one was
 * taken, it is that one again with a reference more. O(1).
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status snapshot_take(struct store *store, struct snapshot **ret);

/* A reference more. */
struct snapshot *snapshot_keep(struct snapshot *snapshot);

/* A reference less; the last one frees what only this snapshot could see,
 * O(that). NULL is accepted. Release all of them before store_free(). */
void snapshot_release(struct snapshot *snapshot);

uint64_t snapshot_seq(const struct snapshot *snapshot);

/* Bytes of what was changed or deleted since it was taken and before the next
 * one was: what waits for its release, or passes on to an older one. */
size_t snapshot_bytes(const struct snapshot *snapshot);

/*
 * A table as it was, or NULL if there was none of this name; and all tables in
 * the order of their names, as store_next_table() goes. It is for reading
 * alone, and valid until the store changes or the snapshot is released.
 * table_reference() of it may be asked for names. O(log n), and one step for
 * each snapshot since that saw the table change.
 */
const struct table *snapshot_find(const struct snapshot *snapshot,
                                  struct bytes name);
const struct table *snapshot_next_table(const struct snapshot *snapshot,
                                        const struct table *previous);

/* --- for other threads -------------------------------------------------- */

/*
 * A copy of `table` for a reader on another thread, while a snapshot is kept
 * that sees it as it is now. It has no name and no references, and is freed
 * with table_unpin() on the store's thread. NULL: ST_NO_MEMORY.
 */
struct table *table_pin(struct mem *mem, const struct table *table);
void table_unpin(struct mem *mem, struct table *pin);

/* A table as it was. All of it belongs to the snapshot. */
struct frozen_table {
    struct bytes name; /* encoded */
    enum table_type type;
    struct {
        struct bytes table; /* its encoded name; empty: no reference */
        enum on_delete on_delete;
    } references[2];
    uint64_t next_id; /* pom */
    struct digest digest;
    struct tree_root roots[2]; /* bwd of a junction; else empty */
};

/*
 * Lists all tables, so that the functions below may be called, on any thread.
 * O(tables). Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status snapshot_list(struct snapshot *snapshot);

/* What store_digest() gave at that seq. */
struct digest snapshot_digest(const struct snapshot *snapshot);

/* Tables, ordered so that one comes after those that it refers to, and
 * otherwise by name. */
uint32_t snapshot_table_count(const struct snapshot *snapshot);
const struct frozen_table *snapshot_table(const struct snapshot *snapshot,
                                          uint32_t index);

/* --- forks -------------------------------------------------------------- */

/*
 * A store that begins as `snapshot` is, at its seq, and keeps it (a reference
 * more). Every function of store.h and table.h works on it; store_free()
 * gives back all that is its own. store_mem() is the account of the store it
 * comes from. O(1); the first write to a table that takes part in references
 * costs O(tables). A fork of a fork is none (REQUIREd).
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status snapshot_fork(struct snapshot *snapshot, struct store **ret);

/* The snapshot that a fork began as; NULL if the store is no fork. */
struct snapshot *store_base(const struct store *store);

/* Bytes charged for what is the fork's own. */
size_t store_fork_bytes(const struct store *fork);

#endif
