/*
 * change.c -- the change list: undo log, eviction report and integrity queue.
 *
 *     records   [ADD t a b][REMOVE t a c][CLEAR t trees][...
 *                ^0         ^previous     ^last          ^size = the mark
 *
 * One growable buffer holds the records of the running command, oldest first.
 * A record is a header of fixed size and the bytes of its two components,
 * padded so that the next header is aligned. Reading forwards adds sizes;
 * reading backwards follows `previous`, the offset of the record before.
 *
 * A record is pushed before its change is made, and popped if the change
 * turns out not to be one or fails: so what the list says has happened has
 * happened, and what has happened can always be undone.
 *
 * Two kinds keep things alive. CLEAR holds the former trees by value (a
 * struct tree may be moved) and DROP keeps the table itself. A commit frees
 * both; `deferred` counts them, so that a commit without any walks nothing.
 *
 * Undoing puts back contents, not pages. It needs memory now and then (a page
 * to split, a shared node to copy), may not be refused, and so runs exempt
 * from the limit. If the system's allocator itself gives nothing, the store's
 * reserve is freed, which is enough for a few hundred pages, and the step is
 * tried again. A store that is half undone must not answer: if that fails as
 * well, the program ends.
 *
 * The limit on what a command removes is one on external terms, for those are
 * what its caller is told, while records hold encoded keys: a key shrinks to
 * a fifteenth (a float of 1e300) or grows as it is decoded. So the records
 * are decoded to be measured, but only when their encoded bytes pass the
 * limit, and each one once; how far below the limit they are then tells when
 * to look again. Most commands only add up sizes.
 *
 * The road not taken is a copy of the trees' roots as a savepoint. It is O(1)
 * with copy-on-write trees, but makes every node shared: the next write to
 * each page would copy it, which costs every command what only the failing
 * ones need.
 */
#include "core/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/exit.h"
#include "core/key.h"
#include "core/store_internal.h"

/* Between commands the buffer keeps at most this much. */
#define CHANGES_KEPT_BYTES (64u << 10)

struct record {
    struct table *table;
    uint32_t first_size;
    uint32_t second_size;
    uint32_t previous; /* offset of the record before; itself if none */
    uint32_t kind;
};

/* The `first` component of CHANGE_CLEAR, and of CHANGE_NEXT_ID. */
struct cleared {
    struct tree trees[2];
    struct digest digest;
    uint64_t count;
};

struct former_id {
    uint64_t next_id;
};

_Static_assert(sizeof(struct record) % 8 == 0, "payloads are aligned");

static size_t record_bytes(size_t first_size, size_t second_size)
{
    size_t size = sizeof(struct record) + first_size + second_size;

    return (size + 7) & ~(size_t)7;
}

static struct record *record_at(const struct store *store, size_t offset)
{
    return (void *)(store->changes.records.data + offset);
}

static void *record_payload(struct record *record)
{
    return record + 1;
}

/* The bytes of an encoded key as an external term. */
static enum status external_bytes(struct store *store, struct bytes key,
                                  size_t *ret)
{
    struct buffer *scratch = &store->values[0];
    enum status st;

    scratch->size = 0;
    mem_exempt_begin(store->mem);
    st = key_decode(key, scratch);
    mem_exempt_end(store->mem);
    *ret = scratch->size;
    return st;
}

/* Brings `measured_bytes` up to the end of the list. */
static enum status measure_removed(struct store *store)
{
    struct change_list *list = &store->changes;
    struct change change;

    while (store_change_next(store, &list->measured, &change)) {
        bool has_value = change.table->traits->has_value;
        size_t first;
        size_t second = change.second.size;
        enum status st;

        if (change.kind != CHANGE_REMOVE || change.table->part)
            continue;
        st = external_bytes(store, change.first, &first);
        /* What follows the first vertex of an element of a graph holds keys
         * and values; as terms they are hardly smaller. */
        if (st == ST_OK && second && !has_value &&
            change.table->type != TABLE_GRAPH)
            st = external_bytes(store, change.second, &second);
        if (st < 0)
            return st;
        list->measured_bytes += first + second;
    }
    return ST_OK;
}

/* May one element more be removed? Those in the list so far are sure. */
static enum status check_removed(struct store *store, const struct table *table)
{
    struct change_list *list = &store->changes;
    size_t max = list->removed_bytes_max;
    enum status st;

    if (!max || list->removed < 2 || list->removed_bytes <= list->measure_at)
        return ST_OK;
    st = measure_removed(store);
    if (st < 0)
        return st;
    if (list->measured_bytes > max)
        return store_fail(store, ST_TOO_BIG,
                          "the reply would pass its limit and nothing was "
                          "done; ask for it in smaller pieces",
                          table_name(table), bytes_of(NULL, 0));
    list->measure_at =
        list->removed_bytes + (max - list->measured_bytes) + max / 16;
    return ST_OK;
}

enum status change_push(struct store *store, enum change_kind kind,
                        struct table *table, struct bytes first,
                        struct bytes second)
{
    struct change_list *list = &store->changes;
    size_t size = record_bytes(first.size, second.size);
    struct record *record;
    uint8_t *payload;
    enum status st;

    if (size > STORE_CHANGES_BYTES_MAX - list->records.size)
        return store_fail(store, ST_TOO_BIG,
                          "one command changes too much; send several",
                          table_name(table), bytes_of(NULL, 0));
    if (kind == CHANGE_REMOVE && !table->part) {
        st = check_removed(store, table);
        if (st < 0)
            return st;
    }
    st = table_touch(store, table);
    if (st == ST_OK)
        st = buffer_reserve(&list->records, size);
    if (st < 0)
        return st;

    record = record_at(store, list->records.size);
    record->table = table;
    record->first_size = (uint32_t)first.size;
    record->second_size = (uint32_t)second.size;
    record->previous = (uint32_t)list->last;
    record->kind = kind;
    payload = record_payload(record);
    if (first.size)
        memcpy(payload, first.data, first.size);
    if (second.size)
        memcpy(payload + first.size, second.data, second.size);

    table->changed_seq = store->seq + 1;
    if (kind == CHANGE_CREATE || kind == CHANGE_DROP)
        store->catalog_seq = store->seq + 1;
    list->last = list->records.size;
    list->records.size += size;
    list->deferred += kind == CHANGE_CLEAR || kind == CHANGE_DROP;
    if (kind == CHANGE_REMOVE && !table->part) {
        list->removed++;
        list->removed_bytes += first.size + second.size;
    }
    return ST_OK;
}

void change_pop(struct store *store)
{
    struct change_list *list = &store->changes;
    const struct record *record = record_at(store, list->last);

    REQUIRE(list->records.size > 0);
    list->deferred -=
        record->kind == CHANGE_CLEAR || record->kind == CHANGE_DROP;
    if (record->kind == CHANGE_REMOVE && !record->table->part) {
        list->removed--;
        list->removed_bytes -= (size_t)record->first_size + record->second_size;
    }
    list->records.size = list->last;
    list->last = record->previous;
}

/* The components lie side by side: no need to put them together again. */
struct digest change_digest(const struct store *store)
{
    struct record *record = record_at(store, store->changes.last);
    size_t size = (size_t)record->first_size + record->second_size;

    return digest_bytes(bytes_of(record_payload(record), size));
}

static enum status push_clear(struct store *store, struct table *table,
                              uint64_t count)
{
    struct cleared cleared;
    enum status st;

    memset(&cleared, 0, sizeof(cleared));
    cleared.count = count;
    cleared.trees[SIDE_FWD] = table->trees[SIDE_FWD];
    cleared.trees[SIDE_BWD] = table->trees[SIDE_BWD];
    cleared.digest = table->digest;
    st = change_push(store, CHANGE_CLEAR, table,
                     bytes_of(&cleared, sizeof(cleared)), bytes_of(NULL, 0));
    if (st < 0)
        return st;
    tree_init(&table->trees[SIDE_FWD], &store->epochs);
    tree_init(&table->trees[SIDE_BWD], &store->epochs);
    table->digest = (struct digest){0, 0};
    return ST_OK;
}

enum status change_clear(struct store *store, struct table *table)
{
    uint64_t count = table->trees[SIDE_FWD].root.count;

    return count ? push_clear(store, table, count) : ST_OK;
}

enum status change_clear_graph(struct store *store, struct table *table,
                               uint64_t count)
{
    REQUIRE(table->type == TABLE_GRAPH);
    return push_clear(store, table, count);
}

enum status change_next_id(struct store *store, struct table *table)
{
    struct former_id former = {table->next_id};
    enum status st;

    st = change_push(store, CHANGE_NEXT_ID, table,
                     bytes_of(&former, sizeof(former)), bytes_of(NULL, 0));
    if (st < 0)
        return st;
    table->next_id++;
    return ST_OK;
}

size_t store_change_mark(const struct store *store)
{
    return store->changes.records.size;
}

bool store_change_next(const struct store *store, size_t *position,
                       struct change *ret)
{
    struct record *record;
    const uint8_t *payload;

    if (*position >= store->changes.records.size)
        return false;
    record = record_at(store, *position);
    payload = record_payload(record);
    *ret = (struct change){.kind = (enum change_kind)record->kind,
                           .table = record->table};
    switch (ret->kind) {
    case CHANGE_ADD:
    case CHANGE_REMOVE:
        ret->first = bytes_of(payload, record->first_size);
        ret->second =
            bytes_of(payload + record->first_size, record->second_size);
        break;
    case CHANGE_CLEAR: {
        const struct cleared *cleared = record_payload(record);

        ret->count = cleared->count;
        break;
    }
    case CHANGE_NEXT_ID:
    case CHANGE_CREATE:
    case CHANGE_DROP:
        break;
    }
    *position += record_bytes(record->first_size, record->second_size);
    return true;
}

static void change_reset(struct store *store)
{
    struct change_list *list = &store->changes;

    list->records.size = 0;
    list->last = 0;
    list->deferred = 0;
    list->removed = 0;
    list->removed_bytes = 0;
    list->measure_at = list->removed_bytes_max;
    list->measured = 0;
    list->measured_bytes = 0;
    if (list->records.capacity > CHANGES_KEPT_BYTES)
        buffer_free(&list->records);
}

void change_commit(struct store *store)
{
    struct change_list *list = &store->changes;
    size_t offset = 0;

    while (list->deferred) {
        struct record *record = record_at(store, offset);
        struct cleared *cleared = record_payload(record);

        if (record->kind == CHANGE_CLEAR) {
            tree_clear(&cleared->trees[SIDE_FWD]);
            tree_clear(&cleared->trees[SIDE_BWD]);
            list->deferred--;
        }
        if (record->kind == CHANGE_DROP) {
            store_free_table(store, record->table);
            list->deferred--;
        }
        offset += record_bytes(record->first_size, record->second_size);
    }
    change_reset(store);
}

/* --- Undoing ------------------------------------------------------------ */

/* The system gave no memory: hand back what was put by for that, or end. */
static void spend_reserve(struct store *store)
{
    struct store *root = store->root;

    if (!root->reserve) {
        fprintf(stderr, "rhizome: the operating system gave no memory to "
                        "undo a failed command; its limit is too low for "
                        "this store\n");
        fflush(stderr);
        _exit(EXIT_NO_MEMORY);
    }
    free(root->reserve);
    root->reserve = NULL;
}

void undo_put(struct store *store, struct tree *tree, struct tree_key key,
              struct bytes value)
{
    struct tree_change change;

    mem_exempt_begin(store->mem);
    while (tree_put(tree, key, value, NULL, &change) < 0)
        spend_reserve(store);
    mem_exempt_end(store->mem);
}

void undo_delete(struct store *store, struct tree *tree, struct tree_key key)
{
    struct tree_change change;

    mem_exempt_begin(store->mem);
    while (tree_delete(tree, key, NULL, &change) < 0)
        spend_reserve(store);
    mem_exempt_end(store->mem);
}

static void undo_element(struct store *store, const struct change *change)
{
    struct table *table = change->table;
    const struct table_traits *traits = table->traits;
    struct bytes none = bytes_of(NULL, 0);
    struct bytes value = traits->has_value ? change->second : none;
    struct tree_key fwd = {change->first,
                           traits->has_second ? change->second : none};
    struct tree_key bwd = {fwd.second, fwd.first};

    if (table->type == TABLE_GRAPH) { /* a note: its parts have the change */
        struct digest digest = digest_element(change->first, change->second);

        if (change->kind == CHANGE_ADD)
            digest_subtract(&table->digest, digest);
        else
            digest_add(&table->digest, digest);
        return;
    }
    if (change->kind == CHANGE_ADD) {
        /* The record of a row that came is without its value. */
        if (traits->has_value)
            REQUIRE(tree_get(&table->trees[SIDE_FWD].root, fwd, &value));
        digest_subtract(&table->digest,
                        digest_element(change->first,
                                       traits->has_value ? value : fwd.second));
        undo_delete(store, &table->trees[SIDE_FWD], fwd);
        if (traits->has_bwd)
            undo_delete(store, &table->trees[SIDE_BWD], bwd);
    } else {
        digest_add(&table->digest,
                   digest_element(change->first, change->second));
        undo_put(store, &table->trees[SIDE_FWD], fwd, value);
        if (traits->has_bwd)
            undo_put(store, &table->trees[SIDE_BWD], bwd, none);
    }
}

static void undo_clear(struct table *table, const struct cleared *cleared)
{
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        /* Empty again, for all that came later has been undone. */
        REQUIRE(!table->trees[side].root.node);
        table->trees[side] = cleared->trees[side];
    }
    table->digest = cleared->digest;
}

void change_rollback(struct store *store)
{
    struct change_list *list = &store->changes;

    while (list->records.size) {
        struct record *record = record_at(store, list->last);
        const struct former_id *former = record_payload(record);
        size_t position = list->last;
        struct change change = {0};

        store_change_next(store, &position, &change);
        switch (change.kind) {
        case CHANGE_ADD:
        case CHANGE_REMOVE:
            undo_element(store, &change);
            break;
        case CHANGE_NEXT_ID:
            change.table->next_id = former->next_id;
            break;
        case CHANGE_CLEAR:
            undo_clear(change.table, record_payload(record));
            break;
        case CHANGE_CREATE:
            store_uncatalog(store, change.table);
            store_free_table(store, change.table);
            break;
        case CHANGE_DROP:
            store_recatalog(store, change.table);
            break;
        }
        change_pop(store);
    }
    change_reset(store);
}
