/*
 * store.c -- the catalog of tables and the life of a command.
 *
 *     catalog   "inventory" -> 2        slots  0: [owner   ]
 *               "owner"     -> 0               1: free ----.
 *                                              2: [inventory]
 *
 * The catalog is a tree like any other, from a table's encoded name to the
 * number of its slot, so that tables are listed in the order of their names.
 * Slots are reused; neither their numbers nor addresses show anywhere.
 *
 * A command is everything between store_begin() and store_commit() or
 * store_rollback(). Every change in it is a record of the change list, that
 * of the catalog included, and the two ends differ in what they do with the
 * list: a commit takes the next seq if it holds anything and frees what it
 * kept alive; a rollback walks it backwards (change.c).
 *
 * A dropped table keeps its slot and its trees until the commit. Its links
 * leave the lists of the tables that it refers to at once, so that those can
 * be dropped in the same command; undoing enters them again where they were,
 * for the lists are sorted.
 *
 * What store_bytes() adds up is all that a store owns. It equals the account
 * when nobody else holds a block of it, which is how tests find leaks.
 */
#include "core/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/store_internal.h"

/* More than any page or two; never touched, so that it takes no memory. */
#define RESERVE_BYTES (256u << 10)

/* Scratch buffers above this size are freed at the end of a command. */
#define SCRATCH_KEPT_BYTES (4u << 10)

/* Holds any name, with what tree_cursor_read() may need around it. */
#define LOOKUP_BYTES 1024

#define NONE (bytes_of(NULL, 0))

/* --- Lifetime ----------------------------------------------------------- */

enum status store_create(const struct store_options *options,
                         struct store **ret)
{
    struct store *store = calloc(1, sizeof(*store));
    struct mem *mem;
    enum status st;

    if (!store)
        return ST_NO_MEMORY;
    mem = &store->mem;
    mem_init(mem, options ? options->memory_limit : 0);
    epochs_init(&store->epochs, mem);
    tree_init(&store->catalog, &store->epochs);
    store->slot_free = SLOT_NONE;
    store->changes.records = BUFFER(mem);
    store->fault_key = BUFFER(mem);
    store->entry.buffer = BUFFER(mem);
    store->key = BUFFER(mem);
    store->values[0] = BUFFER(mem);
    store->values[1] = BUFFER(mem);

    store->lookup = mem_zalloc(mem, sizeof(*store->lookup));
    if (!store->lookup) {
        st = mem_status(mem);
        goto fail;
    }
    store->lookup->buffer = BUFFER(mem);
    st = buffer_reserve(&store->lookup->buffer, LOOKUP_BYTES);
    if (st < 0)
        goto fail;
    store->reserve = malloc(RESERVE_BYTES);
    if (!store->reserve) {
        st = ST_NO_MEMORY;
        goto fail;
    }
    *ret = store;
    return ST_OK;

fail:
    store_free(store);
    return st;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    if (store->open)
        store_rollback(store);
    for (uint32_t i = 0; i < store->slot_count; i++)
        table_free(store, store->slots[i].table);
    mem_free(&store->mem, store->slots,
             store->slot_count * sizeof(*store->slots));
    tree_clear(&store->catalog);
    buffer_free(&store->changes.records);
    buffer_free(&store->fault_key);
    buffer_free(&store->entry.buffer);
    buffer_free(&store->key);
    buffer_free(&store->values[0]);
    buffer_free(&store->values[1]);
    if (store->lookup) {
        buffer_free(&store->lookup->buffer);
        mem_free(&store->mem, store->lookup, sizeof(*store->lookup));
    }
    free(store->reserve);
    free(store);
}

struct mem *store_mem(struct store *store)
{
    return &store->mem;
}

uint64_t store_seq(const struct store *store)
{
    return store->seq;
}

void store_set_seq(struct store *store, uint64_t seq)
{
    REQUIRE(!store->open);
    store->seq = seq;
    store->catalog_seq = 0;
    for (uint32_t i = 0; i < store->slot_count; i++)
        if (store->slots[i].table)
            store->slots[i].table->changed_seq = 0;
}

uint64_t store_catalog_seq(const struct store *store)
{
    return store->catalog_seq;
}

void store_set_removed_bytes_max(struct store *store, size_t bytes)
{
    store->changes.removed_bytes_max = bytes;
    store->changes.measure_at = bytes;
}

uint64_t store_removed_count(const struct store *store)
{
    return store->changes.removed;
}

static size_t buffer_charge(const struct buffer *buffer)
{
    return buffer->capacity ? mem_charge(buffer->capacity) : 0;
}

size_t store_bytes(const struct store *store)
{
    size_t bytes = 0;

    /* A dropped table keeps its slot until the commit: count it once. */
    for (uint32_t i = 0; i < store->slot_count; i++)
        if (store->slots[i].table)
            bytes += table_object_bytes(store->slots[i].table);
    if (store->slot_count)
        bytes += mem_charge(store->slot_count * sizeof(*store->slots));
    bytes += store->catalog.bytes + store->epochs.dead_bytes;
    bytes += change_kept_bytes(store);
    bytes += buffer_charge(&store->changes.records);
    bytes += buffer_charge(&store->fault_key);
    bytes += buffer_charge(&store->entry.buffer);
    bytes += buffer_charge(&store->key);
    bytes += buffer_charge(&store->values[0]);
    bytes += buffer_charge(&store->values[1]);
    bytes += mem_charge(sizeof(*store->lookup));
    bytes += buffer_charge(&store->lookup->buffer);
    return bytes;
}

/* --- Commands ----------------------------------------------------------- */

static void fault_clear(struct store *store)
{
    store->fault = (struct fault){NULL, NONE, NONE};
    buffer_free(&store->fault_key);
}

const struct fault *store_fault(const struct store *store)
{
    return &store->fault;
}

enum status store_fail(struct store *store, enum status st, const char *text,
                       struct bytes table, struct bytes key)
{
    struct fault *fault = &store->fault;

    fault_clear(store);
    fault->text = text;
    REQUIRE(table.size <= sizeof(store->fault_table));
    if (table.size)
        memcpy(store->fault_table, table.data, table.size);
    fault->table = bytes_of(store->fault_table, table.size);
    mem_exempt_begin(&store->mem);
    if (key.size && buffer_append(&store->fault_key, key) == ST_OK)
        fault->key = buffer_bytes(&store->fault_key);
    mem_exempt_end(&store->mem);
    return st;
}

void store_begin(struct store *store)
{
    REQUIRE(!store->open && !store->changes.records.size);
    store->open = true;
    fault_clear(store);
    if (!store->reserve)
        store->reserve = malloc(RESERVE_BYTES);
}

static void scratch_trim(struct buffer *buffer)
{
    if (buffer->capacity > SCRATCH_KEPT_BYTES)
        buffer_free(buffer);
}

static void command_end(struct store *store)
{
    scratch_trim(&store->entry.buffer);
    scratch_trim(&store->key);
    scratch_trim(&store->values[0]);
    scratch_trim(&store->values[1]);
    store->open = false;
}

void store_commit(struct store *store)
{
    REQUIRE(store->open);
    if (store->changes.records.size)
        store->seq++;
    change_commit(store);
    command_end(store);
}

void store_rollback(struct store *store)
{
    REQUIRE(store->open);
    change_rollback(store);
    command_end(store);
}

/* --- The catalog -------------------------------------------------------- */

/* Takes a free slot, or makes one. */
static enum status slot_take(struct store *store, uint32_t *ret)
{
    size_t size = store->slot_count * sizeof(*store->slots);
    struct slot *slots;

    if (store->slot_free == SLOT_NONE) {
        uint32_t count = store->slot_count ? store->slot_count * 2 : 4;

        if (store->slot_count > SLOT_NONE / 4)
            return ST_EXHAUSTED;
        slots =
            mem_grow(&store->mem, store->slots, size, count * sizeof(*slots));
        if (!slots)
            return mem_status(&store->mem);
        store->slots = slots;
        for (uint32_t i = count; i-- > store->slot_count;) {
            slots[i] = (struct slot){NULL, store->slot_free};
            store->slot_free = i;
        }
        store->slot_count = count;
    }
    *ret = store->slot_free;
    store->slot_free = store->slots[*ret].next_free;
    return ST_OK;
}

static void slot_give(struct store *store, uint32_t slot)
{
    store->slots[slot] = (struct slot){NULL, store->slot_free};
    store->slot_free = slot;
}

static struct tree_key catalog_key(struct bytes name)
{
    return (struct tree_key){name, NONE};
}

static struct table *slot_table(const struct store *store, struct bytes value)
{
    uint32_t slot = load_be32(value.data);

    REQUIRE(value.size == sizeof(slot) && slot < store->slot_count);
    return store->slots[slot].table;
}

struct table *store_find(const struct store *store, struct bytes name)
{
    struct bytes value;

    if (!tree_get(&store->catalog.root, catalog_key(name), &value))
        return NULL;
    return slot_table(store, value);
}

uint64_t store_table_count(const struct store *store)
{
    return store->catalog.root.count;
}

struct table *store_next_table(const struct store *store,
                               const struct table *previous)
{
    struct bytes name = previous ? table_name(previous) : NONE;
    struct tree_cut cut = {catalog_key(name), previous != NULL};
    struct tree_cursor cursor;

    if (!tree_cursor_seek(&cursor, &store->catalog.root, cut, NULL))
        return NULL;
    /* Cannot fail: the buffer has had room for any name from the start. */
    REQUIRE(tree_cursor_read(&cursor, store->lookup) == ST_OK);
    return slot_table(store, store->lookup->value);
}

void store_free_table(struct store *store, struct table *table)
{
    slot_give(store, table->slot);
    table_free(store, table);
}

void store_uncatalog(struct store *store, struct table *table)
{
    integrity_unlink(table);
    undo_delete(store, &store->catalog, catalog_key(table_name(table)));
}

void store_recatalog(struct store *store, struct table *table)
{
    uint8_t value[4];

    store_be32(value, table->slot);
    undo_put(store, &store->catalog, catalog_key(table_name(table)),
             bytes_of(value, sizeof(value)));
    integrity_link(table);
}

/* Notes a new table, and enters it in slots and catalog. */
static enum status table_enter(struct store *store, struct table *table)
{
    struct tree_change change;
    uint8_t value[4];
    enum status st;

    st = slot_take(store, &table->slot);
    if (st < 0)
        return st;
    st = change_push(store, CHANGE_CREATE, table, NONE, NONE);
    if (st < 0)
        goto fail;
    store_be32(value, table->slot);
    st = tree_add(&store->catalog, catalog_key(table_name(table)),
                  bytes_of(value, sizeof(value)), &change);
    if (st < 0) {
        change_pop(store);
        goto fail;
    }
    store->slots[table->slot].table = table;
    integrity_link(table);
    return ST_OK;

fail:
    slot_give(store, table->slot);
    return st;
}

enum status store_table_create(struct store *store, struct bytes name,
                               enum table_type type,
                               const struct table_reference references[2],
                               struct table **ret)
{
    struct table *table;
    enum status st;

    REQUIRE(store->open && name.size > 0);
    if (name.size > TABLE_NAME_BYTES_MAX)
        return store_fail(store, ST_TOO_BIG, "the table's name is too long",
                          NONE, NONE);
    if (store_find(store, name))
        return store_fail(store, ST_TABLE_EXISTS, NULL, name, NONE);

    st = table_create(store, name, type, &table);
    if (st < 0)
        return st;
    for (enum side side = SIDE_FWD; references && side <= SIDE_BWD; side++) {
        if (!references[side].table)
            continue;
        if (type == TABLE_POM || !table_has_side(table, side)) {
            st = store_fail(store, ST_WRONG_TABLE_TYPE,
                            "this side of this type cannot refer to a table",
                            name, NONE);
            goto fail;
        }
        table->links[side].target = references[side].table;
        table->links[side].on_delete = references[side].on_delete;
    }
    st = table_enter(store, table);
    if (st < 0)
        goto fail;
    *ret = table;
    return ST_OK;

fail:
    table_free(store, table);
    return st;
}

enum status store_table_drop(struct store *store, struct table *table)
{
    struct tree_change change;
    enum status st;

    REQUIRE(store->open);
    if (table->referrers)
        return store_fail(store, ST_RESTRICTED,
                          "another table refers to this one; drop it first",
                          table_name(table->referrers->table), NONE);

    mem_exempt_begin(&store->mem);
    st = change_push(store, CHANGE_DROP, table, NONE, NONE);
    if (st == ST_OK) {
        st = tree_delete(&store->catalog, catalog_key(table_name(table)), NULL,
                         &change);
        if (st == ST_OK)
            integrity_unlink(table);
        else
            change_pop(store);
    }
    mem_exempt_end(&store->mem);
    return st;
}

/* --- The digest --------------------------------------------------------- */

/* A table's name, or that of none, its length before it. */
static uint8_t *put_name(uint8_t *at, struct bytes name)
{
    store_be32(at, (uint32_t)name.size);
    if (name.size)
        memcpy(at + 4, name.data, name.size);
    return at + 4 + name.size;
}

/* Three names with their lengths and on_deletes, the type, three numbers. */
#define DESCRIPTION_BYTES_MAX                                                  \
    (3 * (4 + TABLE_NAME_BYTES_MAX + 1) + 32 + 2 * 8 + DIGEST_BYTES)

/*
 * Everything about a table, in a form that is the same everywhere and that
 * no other table shares. Digests are written to logs: it may not change.
 */
static uint8_t *describe(uint8_t *at, const struct table *table)
{
    const char *type = table_type_name(table->type);
    bool is_pom = table->type == TABLE_POM;

    at = put_name(at, table_name(table));
    at = put_name(at, bytes_of(type, strlen(type)));
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        const struct link *link = &table->links[side];

        at = put_name(at, link->target ? table_name(link->target) : NONE);
        *at++ = link->target && link->on_delete == ON_DELETE_EVICT;
    }
    store_be64(at, is_pom ? table->next_id : 0);
    store_be64(at + 8, table_count(table));
    digest_store(at + 16, table->digest);
    return at + 16 + DIGEST_BYTES;
}

/*
 * The hash of all descriptions in the order of the tables' names, as a chain:
 * each is hashed behind the hash of those before it, for which a few hundred
 * bytes on the stack are enough however many tables there are.
 */
struct digest store_digest(const struct store *store)
{
    uint8_t run[DIGEST_BYTES + DESCRIPTION_BYTES_MAX];
    struct digest digest = {0, 0};
    const struct table *table = NULL;

    while ((table = store_next_table(store, table))) {
        const uint8_t *end;

        digest_store(run, digest);
        end = describe(run + DIGEST_BYTES, table);
        digest = digest_bytes(bytes_of(run, (size_t)(end - run)));
    }
    return digest;
}

/* --- Checking ----------------------------------------------------------- */

static bool say(char *why, size_t why_size, const char *text)
{
    if (why_size)
        snprintf(why, why_size, "%s", text);
    return false;
}

bool store_check(const struct store *store, char *why, size_t why_size)
{
    const struct table *table = NULL;
    uint64_t listed = 0;
    size_t bytes = store_bytes(store);

    if (!tree_check(&store->catalog, why, why_size))
        return false;
    while ((table = store_next_table(store, table))) {
        if (store_find(store, table_name(table)) != table)
            return say(why, why_size, "a table is not found by its name");
        if (!table_check(table, why, why_size))
            return false;
        listed++;
    }
    if (listed != store_table_count(store))
        return say(why, why_size, "the catalog lists another number");
    if (bytes > store->mem.used)
        return say(why, why_size, "the tables hold more than the account");
    return true;
}
