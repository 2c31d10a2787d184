/*
 * snapshot.h -- a whole store as it was at one seq: read-only, and readable
 * on any thread while the store goes on.
 *
 * Taking one ends the running epoch (epoch.h) and copies the roots of all
 * tables with what else describes them: O(tables), whatever they hold. From
 * then on the writer copies each node that the snapshot sees before it
 * changes it.
 */
#ifndef RHIZOME_CORE_SNAPSHOT_H
#define RHIZOME_CORE_SNAPSHOT_H

#include "core/digest.h"
#include "core/store.h"

struct snapshot;

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
 * Not within a command. Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status snapshot_take(struct store *store, struct snapshot **ret);

/* On the store's own thread. Frees what only this snapshot could see. NULL is
 * accepted. Release all of them before store_free(). */
void snapshot_release(struct snapshot *snapshot);

uint64_t snapshot_seq(const struct snapshot *snapshot);

/* What store_digest() gave at that seq. */
struct digest snapshot_digest(const struct snapshot *snapshot);

/* Tables, ordered so that one comes after those that it refers to, and
 * otherwise by name. */
uint32_t snapshot_table_count(const struct snapshot *snapshot);
const struct frozen_table *snapshot_table(const struct snapshot *snapshot,
                                          uint32_t index);

#endif
