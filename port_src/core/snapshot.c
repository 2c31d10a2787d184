/*
 * snapshot.c -- snapshots, versions of tables, and forks.
 *
 * A snapshot keeps a root of the catalog, which names the tables that there
 * were, and blocks live on by epochs. That leaves the tables themselves: a
 * struct table is changed in place by every mutation. It obeys the rule that
 * blocks obey. It is born in an epoch; before its first change in a later one
 * a copy of it, a *version*, is put on the list of the youngest snapshot, with
 * the table's birth, and the table is born anew:
 *
 *     epoch      1 . . . S1 . . . S2 . . . S3 . . . now
 *     table      [ version 1 ][   version 2   ][ the live one
 *                 birth 1      birth 2          birth 4
 *     S1 sees version 1; S2 and S3 see version 2, which waits on S3's list
 *
 * What a snapshot of epoch E sees of a table is the live one if that was born
 * at or before E, else the latest version that was. Releasing S frees the
 * versions on its list that no older snapshot sees, and passes on the others.
 *
 * A dropped table leaves the catalog and stays for as long as it has versions.
 * Only so long may a snapshot, or a version of another table, point at it.
 *
 * A fork is a struct store whose catalog begins as its snapshot's. Tables in
 * it belong to the parent until a mutation asks for one: then the fork takes
 * it over, a copy with trees of the fork's own epochs and the same roots. One
 * that takes part in references is taken over with all others, for cascades
 * may lead anywhere. They are copied first, which may fail and is undone then,
 * and linked when all are there.
 *
 * The list of a snapshot is for other threads: it repeats in one block what
 * the catalog and the tables say.
 *
 *     [ listing | frozen table 0 | frozen table 1 | ... | names ]
 *
 * A checkpoint creates tables in the order in which it finds them there, so a
 * table must come after those that it refers to. They are sorted by how many
 * references can be followed one after the other from each, then by name. The
 * former is found as A. Kahn orders a graph ("Topological sorting of large
 * networks", CACM 1962): whoever waits for nobody comes out and sets free
 * those that wait for it.
 */
#include "core/snapshot.h"

#include <stdlib.h>

#include "core/store_internal.h"

struct listing {
    size_t size; /* of this block */
    struct digest digest;
    uint32_t count;
    struct frozen_table tables[];
};

/* --- snapshots ---------------------------------------------------------- */

static struct snapshot *snapshot_of(struct epoch_snapshot *epoch)
{
    return (struct snapshot *)(void *)epoch;
}

enum status snapshot_take(struct store *store, struct snapshot **ret)
{
    struct snapshot *snapshot = NULL;

    REQUIRE(!store->open);
    if (store->epochs.youngest)
        snapshot = snapshot_of(store->epochs.youngest);
    /* What was undone left the same elements in other nodes, which that one
     * does not keep from being changed. */
    if (snapshot && snapshot->seq == store->seq &&
        snapshot->epoch.epoch >= store->undone_epoch) {
        *ret = snapshot_keep(snapshot);
        return ST_OK;
    }
    snapshot = object_alloc(store, sizeof(*snapshot));
    if (!snapshot)
        return mem_status(store->mem);
    snapshot->store = store;
    snapshot->references = 1;
    snapshot->seq = store->seq;
    snapshot->catalog = store->catalog.root;
    snapshot->catalog_bytes = store->catalog.bytes;
    snapshot->part_count = store->part_count;
    epochs_snapshot(&store->epochs, &snapshot->epoch);
    *ret = snapshot;
    return ST_OK;
}

struct snapshot *snapshot_keep(struct snapshot *snapshot)
{
    snapshot->references++;
    return snapshot;
}

/* Takes a version out of its table's chain, and the table with the last. */
static void version_free(struct table *version)
{
    struct table *table = version->whole;
    struct store *store = table->store;

    *(version->newer ? &version->newer->older : &table->versions) =
        version->older;
    if (version->older)
        version->older->newer = version->newer;
    table_discard(store, version);
    if (table->dropped && !table->versions)
        table_discard(store, table);
}

static void release_versions(struct snapshot *snapshot)
{
    struct epoch_snapshot *older = snapshot->epoch.older;
    struct table *version = snapshot->dead_tables;

    while (version) {
        struct table *next = version->next_dead;

        if (!older || version->birth > older->epoch) {
            version_free(version);
        } else {
            version->next_dead = snapshot_of(older)->dead_tables;
            snapshot_of(older)->dead_tables = version;
        }
        version = next;
    }
}

void snapshot_release(struct snapshot *snapshot)
{
    struct store *store;

    if (!snapshot || --snapshot->references > 0)
        return;
    store = snapshot->store;
    release_versions(snapshot);
    epochs_release(&store->epochs, &snapshot->epoch);
    if (snapshot->listing)
        object_free(store, snapshot->listing, snapshot->listing->size);
    object_free(store, snapshot, sizeof(*snapshot));
    if (store->doomed && !store->epochs.open)
        fork_free(store);
}

uint64_t snapshot_seq(const struct snapshot *snapshot)
{
    return snapshot->seq;
}

size_t snapshot_bytes(const struct snapshot *snapshot)
{
    return snapshot->epoch.dead_bytes;
}

/* --- versions ----------------------------------------------------------- */

enum status table_touch(struct store *store, struct table *table)
{
    struct epochs *epochs = &store->epochs;
    struct snapshot *youngest;
    struct table *version;

    REQUIRE(table->store == store);
    if (table->birth > epochs->frozen)
        return ST_OK;
    version = table_copy(store, table);
    if (!version)
        return mem_status(store->mem);
    version->versions = NULL;
    version->whole = table;
    version->newer = NULL;
    version->older = table->versions;
    if (version->older)
        version->older->newer = version;
    table->versions = version;
    table->birth = epochs->now;

    youngest = snapshot_of(epochs->youngest);
    version->next_dead = youngest->dead_tables;
    youngest->dead_tables = version;
    return ST_OK;
}

struct table *snapshot_see(const struct snapshot *snapshot, struct table *table)
{
    const struct store *store = snapshot->store;
    uint64_t epoch = snapshot->epoch.epoch;
    struct table *version = table;

    if (table->store != store) /* a fork has not taken it over */
        return snapshot_see(store->base, table);
    if (table->birth <= epoch)
        return table;
    version = table->versions;
    while (version && version->birth > epoch)
        version = version->older;
    REQUIRE(version);
    return version;
}

const struct table *snapshot_find(const struct snapshot *snapshot,
                                  struct bytes name)
{
    struct tree_key key = {name, {NULL, 0}};
    struct bytes value;

    if (!tree_get(&snapshot->catalog, key, &value))
        return NULL;
    return snapshot_see(snapshot, catalog_table(value));
}

const struct table *snapshot_next_table(const struct snapshot *snapshot,
                                        const struct table *previous)
{
    struct bytes name = previous ? table_name(previous) : bytes_of(NULL, 0);
    struct table *table;

    if (!catalog_next(snapshot->store, &snapshot->catalog, name, &table))
        return NULL;
    return snapshot_see(snapshot, table);
}

struct table *table_pin(struct mem *mem, const struct table *table)
{
    struct table *pin = mem_alloc(mem, sizeof(*pin));

    if (!pin)
        return NULL;
    memcpy(pin, table, sizeof(*pin));
    memset(pin->links, 0, sizeof(pin->links));
    pin->store = NULL;
    pin->referrers = NULL;
    pin->versions = pin->whole = NULL;
    pin->newer = pin->older = pin->next_dead = NULL;
    pin->places = NULL;
    pin->name_size = 0;
    return pin;
}

void table_unpin(struct mem *mem, struct table *pin)
{
    mem_free(mem, pin, sizeof(*pin));
}

/* --- lists -------------------------------------------------------------- */

#define NOBODY UINT32_MAX

/* A table while all are being put in order. Entry i of the queue, and the
 * lists of those that wait, are fields of the visits by number. */
struct visit {
    const struct table *table;
    uint32_t place;    /* among all, by name */
    uint32_t waits;    /* references to tables that have not come out */
    uint32_t depth;    /* of the longest way through its references */
    uint32_t queue;    /* the visit that came out i-th */
    uint32_t waiting;  /* the first link that waits for this: 2 place + side */
    uint32_t after[2]; /* the link behind each of its own in such a list */
    uint32_t rank;     /* in the final order */
};

/* Lists all tables by name; returns the bytes of their names. */
static size_t visit_all(const struct snapshot *snapshot, struct visit *visits)
{
    const struct table *table = NULL;
    uint32_t place = 0;
    size_t name_bytes = 0;

    while ((table = snapshot_next_table(snapshot, table))) {
        visits[place] =
            (struct visit){.table = table, .place = place, .waiting = NOBODY};
        name_bytes += table->name_size;
        place++;
    }
    return name_bytes;
}

/* The visit of the table that a link aims at, which is one of them. */
static uint32_t visit_target(const struct visit *visits, uint32_t count,
                             const struct link *link)
{
    struct bytes name = table_name(link->target);
    uint32_t low = 0;
    uint32_t high = count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (bytes_compare(table_name(visits[middle].table), name) <= 0)
            low = middle;
        else
            high = middle;
    }
    REQUIRE(low < count && bytes_equal(table_name(visits[low].table), name));
    return low;
}

static void find_depths(struct visit *visits, uint32_t count)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < count; i++) {
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            const struct link *link = &visits[i].table->links[side];
            struct visit *target;

            if (!link->target)
                continue;
            target = &visits[visit_target(visits, count, link)];
            visits[i].waits++;
            visits[i].after[side] = target->waiting;
            target->waiting = 2 * i + side;
        }
    }
    for (uint32_t i = 0; i < count; i++)
        if (!visits[i].waits)
            visits[end++].queue = i;
    for (uint32_t head = 0; head < end; head++) {
        const struct visit *free = &visits[visits[head].queue];

        for (uint32_t wait = free->waiting; wait != NOBODY;
             wait = visits[wait / 2].after[wait % 2]) {
            struct visit *visit = &visits[wait / 2];

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
    const struct visit *const *x = a;
    const struct visit *const *y = b;

    if ((*x)->depth != (*y)->depth)
        return (*x)->depth < (*y)->depth ? -1 : 1;
    return ((*x)->place > (*y)->place) - ((*x)->place < (*y)->place);
}

/* Copies what describes the tables, in the order of `order`. */
static void freeze(struct listing *listing, struct visit *visits,
                   struct visit *const *order)
{
    uint8_t *name = (uint8_t *)&listing->tables[listing->count];

    for (uint32_t i = 0; i < listing->count; i++) {
        const struct table *table = order[i]->table;

        order[i]->rank = i;
        listing->tables[i] = (struct frozen_table){
            .name = bytes_of(name, table->name_size),
            .type = table->type,
            .next_id = table->next_id,
            .digest = table->digest,
            .roots = {table->trees[SIDE_FWD].root, table->trees[SIDE_BWD].root},
        };
        memcpy(name, table->name, table->name_size);
        name += table->name_size;
    }
    for (uint32_t i = 0; i < listing->count; i++) {
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            const struct link *link = &order[i]->table->links[side];
            uint32_t target;

            if (!link->target)
                continue;
            target = visit_target(visits, listing->count, link);
            listing->tables[i].references[side].table =
                listing->tables[visits[target].rank].name;
            listing->tables[i].references[side].on_delete = link->on_delete;
        }
    }
}

/* What store_digest() gave, from the tables by their names. */
static struct digest listing_digest(const struct snapshot *snapshot)
{
    struct digest digest = {0, 0};
    const struct table *table = NULL;

    while ((table = snapshot_next_table(snapshot, table)))
        digest = digest_chain(digest, table);
    return digest;
}

enum status snapshot_list(struct snapshot *snapshot)
{
    struct store *store = snapshot->store;
    uint32_t count = (uint32_t)snapshot->catalog.count;
    size_t visits_size = (count + 1u) * sizeof(struct visit);
    size_t order_size = (count + 1u) * sizeof(struct visit *);
    struct visit *visits;
    struct visit **order;
    struct listing *listing = NULL;
    enum status st = ST_OK;
    size_t size;

    if (snapshot->listing)
        return ST_OK;
    visits = mem_alloc(store->mem, visits_size);
    order = visits ? mem_alloc(store->mem, order_size) : NULL;
    if (!order) {
        st = mem_status(store->mem);
        goto done;
    }
    size = sizeof(*listing) + count * sizeof(listing->tables[0]) +
           visit_all(snapshot, visits);
    listing = object_alloc(store, size);
    if (!listing) {
        st = mem_status(store->mem);
        goto done;
    }
    listing->size = size;
    listing->count = count;
    listing->digest = listing_digest(snapshot);
    find_depths(visits, count);
    for (uint32_t i = 0; i < count; i++)
        order[i] = &visits[i];
    qsort(order, count, sizeof(*order), by_depth_and_place);
    freeze(listing, visits, order);
    snapshot->listing = listing;

done:
    mem_free(store->mem, order, order_size);
    mem_free(store->mem, visits, visits_size);
    return st;
}

struct digest snapshot_digest(const struct snapshot *snapshot)
{
    REQUIRE(snapshot->listing);
    return snapshot->listing->digest;
}

uint32_t snapshot_table_count(const struct snapshot *snapshot)
{
    REQUIRE(snapshot->listing);
    return snapshot->listing->count;
}

const struct frozen_table *snapshot_table(const struct snapshot *snapshot,
                                          uint32_t index)
{
    REQUIRE(snapshot->listing && index < snapshot->listing->count);
    return &snapshot->listing->tables[index];
}

/* --- forks -------------------------------------------------------------- */

enum status snapshot_fork(struct snapshot *snapshot, struct store **ret)
{
    struct store *root = snapshot->store;
    struct store *fork;

    REQUIRE(!root->base);
    fork = mem_zalloc(root->mem, sizeof(*fork));
    if (!fork)
        return mem_status(root->mem);
    epochs_fork(&fork->epochs, root->mem, &snapshot->epoch);
    store_init(fork, root);
    fork->seq = snapshot->seq;
    fork->catalog.root = snapshot->catalog;
    fork->catalog.bytes = snapshot->catalog_bytes;
    fork->part_count = snapshot->part_count;
    fork->base = snapshot_keep(snapshot);
    store_set_removed_bytes_max(fork, root->changes.removed_bytes_max);

    fork->next_fork = root->forks;
    if (fork->next_fork)
        fork->next_fork->fork_place = &fork->next_fork;
    fork->fork_place = &root->forks;
    root->forks = fork;
    *ret = fork;
    return ST_OK;
}

void fork_free(struct store *fork)
{
    struct snapshot *base = fork->base;
    struct mem *mem = fork->mem;

    fork->doomed = true;
    if (fork->epochs.open)
        return; /* a reader still keeps a snapshot of it */
    store_deinit(fork);
    *fork->fork_place = fork->next_fork;
    if (fork->next_fork)
        fork->next_fork->fork_place = fork->fork_place;
    mem_free(mem, fork, sizeof(*fork));
    snapshot_release(base);
}

struct snapshot *store_base(const struct store *store)
{
    return store->base;
}

size_t store_fork_bytes(const struct store *fork)
{
    return store_own_bytes(fork) + mem_charge(sizeof(*fork));
}

/* A copy of a table that the fork sees, in its catalog; not linked yet. */
static enum status take_copy(struct store *fork, const struct table *seen,
                             struct table **ret)
{
    struct table *own = table_copy(fork, seen);
    enum status st;

    if (!own)
        return mem_status(fork->mem);
    own->store = fork;
    own->birth = fork->epochs.now;
    own->referrers = NULL;
    own->versions = own->whole = NULL;
    own->newer = own->older = own->next_dead = NULL;
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        own->trees[side].epochs = &fork->epochs;
        own->links[side].table = own;
        own->links[side].next = NULL;
    }
    st = catalog_put(fork, own);
    if (st < 0) {
        table_discard(fork, own);
        return st;
    }
    *ret = own;
    return ST_OK;
}

/* Lets the copies refer to each other as the tables do that they are of. */
static void take_links(struct store *fork)
{
    struct table *table = NULL;

    while ((table = store_next_table(fork, table))) {
        bool parents = false;

        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            struct link *link = &table->links[side];

            if (!link->target || link->target->store == fork)
                continue;
            link->target = store_find(fork, table_name(link->target));
            parents = true;
        }
        if (parents)
            integrity_link(table);
    }
}

/* Gives the catalog the parent's tables again, in place of fresh copies. */
static void take_back(struct store *fork, struct table *copies)
{
    while (copies) {
        struct table *copy = copies;

        copies = copy->next_dead;
        catalog_put_back(fork, copy->whole);
        table_discard(fork, copy);
    }
}

/* Takes over all tables that still are the parent's, or none. */
static enum status take_all(struct store *fork)
{
    struct table *copies = NULL;
    struct table *table = NULL;
    enum status st = ST_OK;

    while (st == ST_OK && (table = store_next_table(fork, table))) {
        struct table *parents = table->whole ? table->whole : table;

        if (table->store == fork)
            continue;
        st = take_copy(fork, table, &table);
        if (st < 0)
            break;
        table->whole = parents;
        table->next_dead = copies;
        copies = table;
    }
    if (st < 0) {
        take_back(fork, copies);
        return st;
    }
    for (; copies; copies = table) {
        table = copies->next_dead;
        copies->whole = copies->next_dead = NULL;
    }
    take_links(fork);
    return ST_OK;
}

enum status fork_take_over(struct store *fork, struct table *seen,
                           struct table **ret)
{
    enum status st;

    REQUIRE(fork->base && seen->store != fork);
    if (!seen->linked)
        return take_copy(fork, seen, ret);
    st = take_all(fork);
    if (st == ST_OK)
        *ret = store_find(fork, table_name(seen));
    return st;
}
