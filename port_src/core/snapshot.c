/*
 * snapshot.c -- the roots of all tables at one seq, and what describes them.
 *
 *     [ snapshot | frozen table 0 | frozen table 1 | ... | names ]
 *
 * One block of memory; a reference's name is the name of its table, which is
 * in the same block.
 *
 * A checkpoint creates tables in the order in which it finds them, so a table
 * must come after those that it refers to. They are sorted by how many
 * references can be followed one after the other from each, then by name. The
 * former is found as A. Kahn orders a graph ("Topological sorting of large
 * networks", CACM 1962): whoever waits for nobody comes out and sets free
 * those that wait for it.
 */
#include "core/snapshot.h"

#include <stdlib.h>

#include "core/store_internal.h"

struct snapshot {
    struct store *store;
    struct epoch_snapshot *epoch;
    size_t size; /* of this block */
    uint64_t seq;
    struct digest digest;
    uint32_t count;
    struct frozen_table tables[];
};

/* A table while all are being put in order. */
struct visit {
    struct table *table;
    uint32_t waits; /* references to tables that have not come out */
    uint32_t depth; /* of the longest way through its references */
    uint32_t place; /* among all, by name */
    uint32_t queue; /* entry i of the queue is a field of visit i */
};

static uint32_t reference_count(const struct table *table)
{
    return (table->links[SIDE_FWD].target != NULL) +
           (table->links[SIDE_BWD].target != NULL);
}

/* Lists all tables by name; returns the bytes of their names. */
static size_t visit_all(const struct store *store, struct visit *visits)
{
    struct table *table = NULL;
    uint32_t place = 0;
    size_t name_bytes = 0;

    while ((table = store_next_table(store, table))) {
        visits[place] = (struct visit){
            .table = table,
            .waits = reference_count(table),
            .place = place,
        };
        name_bytes += table->name_size;
        place++;
    }
    return name_bytes;
}

/* Leaves its place + 1 as a note with each table. */
static void find_depths(struct visit *visits, uint32_t count)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < count; i++) {
        visits[i].table->note = i + 1;
        if (!visits[i].waits)
            visits[end++].queue = i;
    }
    for (uint32_t head = 0; head < end; head++) {
        const struct visit *free = &visits[visits[head].queue];

        for (const struct link *link = free->table->referrers; link;
             link = link->next) {
            struct visit *visit = &visits[link->table->note - 1];

            /* They come out by depth: the last one is the deepest. */
            visit->depth = free->depth + 1;
            if (!--visit->waits)
                visits[end++].queue = visit->place;
        }
    }
    REQUIRE(end == count); /* references form no ring */
}

static int by_depth_and_place(const void *a, const void *b)
{
    const struct visit *x = a;
    const struct visit *y = b;

    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Copies what describes the tables, in the order of `visits`, and takes the
 * notes away. */
static void freeze(struct snapshot *snapshot, const struct visit *visits)
{
    uint8_t *name = (uint8_t *)&snapshot->tables[snapshot->count];

    for (uint32_t i = 0; i < snapshot->count; i++) {
        struct frozen_table *frozen = &snapshot->tables[i];
        struct table *table = visits[i].table;

        *frozen = (struct frozen_table){
            .name = bytes_of(name, table->name_size),
            .type = table->type,
            .next_id = table->next_id,
            .digest = table->digest,
            .roots = {table->trees[SIDE_FWD].root, table->trees[SIDE_BWD].root},
        };
        memcpy(name, table->name, table->name_size);
        name += table->name_size;
        table->note = i + 1;
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            const struct link *link = &table->links[side];

            if (!link->target)
                continue;
            /* The target is before it in the order, and frozen already. */
            frozen->references[side].table =
                snapshot->tables[link->target->note - 1].name;
            frozen->references[side].on_delete = link->on_delete;
        }
    }
    for (uint32_t i = 0; i < snapshot->count; i++)
        visits[i].table->note = 0;
}

enum status snapshot_take(struct store *store, struct snapshot **ret)
{
    struct mem *mem = &store->mem;
    uint32_t count = (uint32_t)store_table_count(store);
    size_t visits_size = (count + 1u) * sizeof(struct visit);
    struct visit *visits = mem_alloc(mem, visits_size);
    struct snapshot *snapshot;
    size_t size;
    enum status st;

    REQUIRE(!store->open);
    if (!visits)
        return mem_status(mem);
    size = sizeof(*snapshot) + count * sizeof(snapshot->tables[0]) +
           visit_all(store, visits);
    snapshot = mem_alloc(mem, size);
    st = snapshot ? epochs_snapshot(&store->epochs, &snapshot->epoch)
                  : mem_status(mem);
    if (st < 0)
        goto done;

    snapshot->store = store;
    snapshot->size = size;
    snapshot->seq = store->seq;
    snapshot->digest = store_digest(store);
    snapshot->count = count;
    find_depths(visits, count);
    qsort(visits, count, sizeof(*visits), by_depth_and_place);
    freeze(snapshot, visits);
    *ret = snapshot;
    snapshot = NULL; /* the caller owns it from here on */

done:
    mem_free(mem, visits, visits_size);
    mem_free(mem, snapshot, size);
    return st;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    epochs_release(&snapshot->store->epochs, snapshot->epoch);
    mem_free(&snapshot->store->mem, snapshot, snapshot->size);
}

uint64_t snapshot_seq(const struct snapshot *snapshot)
{
    return snapshot->seq;
}

struct digest snapshot_digest(const struct snapshot *snapshot)
{
    return snapshot->digest;
}

uint32_t snapshot_table_count(const struct snapshot *snapshot)
{
    return snapshot->count;
}

const struct frozen_table *snapshot_table(const struct snapshot *snapshot,
                                          uint32_t index)
{
    REQUIRE(index < snapshot->count);
    return &snapshot->tables[index];
}
