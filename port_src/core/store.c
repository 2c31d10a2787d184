/*
 * store.c -- the catalog of tables and the life of a command.
 *
 *     catalog   "inventory" -> 0x55e1...20      struct table, where it is
 *               "owner"     -> 0x55e1...c0
 *
 * The catalog is a tree like any other, from a table's encoded name to its
 * address, so that tables are listed in the order of their names and a
 * snapshot keeps which there were by keeping a root. Addresses show nowhere.
 *
 * A command is everything between store_begin() and store_commit() or
 * store_rollback(). Every change in it is a record of the change list, that
 * of the catalog included, and the two ends differ in what they do with the
 * list: a commit takes the next seq if it holds anything and frees what it
 * kept alive; a rollback walks it backwards (change.c).
 *
 * A dropped table keeps its trees until the commit, and is there for as long as
 * a snapshot sees what it was. Its links
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

void store_init(struct store *store, struct store *root)
{
    struct mem *mem = root->mem;

    store->root = root;
    store->mem = mem;
    store->changes.records = BUFFER(mem);
    store->fault_key = BUFFER(mem);
    store->entry.buffer = BUFFER(mem);
    store->key = BUFFER(mem);
    store->values[0] = BUFFER(mem);
    store->values[1] = BUFFER(mem);
    for (int i = 0; i < 3; i++)
        store->notes[i] = BUFFER(mem);
    tree_init(&store->catalog, &store->epochs);
}

enum status store_create(const struct store_options *options,
                         struct store **ret)
{
    struct store *store = calloc(1, sizeof(*store));
    enum status st;

    if (!store)
        return ST_NO_MEMORY;
    mem_init(&store->own_mem, options ? options->memory_limit : 0);
    store->mem = &store->own_mem;
    epochs_init(&store->epochs, store->mem);
    store_init(store, store);

    store->lookup = mem_zalloc(store->mem, sizeof(*store->lookup));
    if (!store->lookup) {
        st = mem_status(store->mem);
        goto fail;
    }
    store->lookup->buffer = BUFFER(store->mem);
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

void store_deinit(struct store *store)
{
    struct table *table = NULL;
    bool more;

    if (store->open)
        store_rollback(store);
    more = store->catalog.root.count > 0 &&
           catalog_next(store, &store->catalog.root, NONE, &table);
    while (more) {
        struct table *done = table;

        more =
            catalog_next(store, &store->catalog.root, table_name(done), &table);
        if (done->store == store)
            table_free(store, done);
    }
    tree_clear(&store->catalog);
    buffer_free(&store->changes.records);
    buffer_free(&store->fault_key);
    buffer_free(&store->entry.buffer);
    buffer_free(&store->key);
    buffer_free(&store->values[0]);
    buffer_free(&store->values[1]);
    for (int i = 0; i < 3; i++)
        buffer_free(&store->notes[i]);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    if (store->base) {
        fork_free(store);
        return;
    }
    store_deinit(store);
    if (store->lookup) {
        buffer_free(&store->lookup->buffer);
        mem_free(store->mem, store->lookup, sizeof(*store->lookup));
    }
    free(store->reserve);
    free(store);
}

struct mem *store_mem(struct store *store)
{
    return store->mem;
}

uint64_t store_seq(const struct store *store)
{
    return store->seq;
}

void store_set_seq(struct store *store, uint64_t seq)
{
    struct table *table = NULL;

    REQUIRE(!store->open && !store->base);
    store->seq = seq;
    store->catalog_seq = 0;
    while ((table = store_next_table(store, table)))
        table->changed_seq = 0;
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

void store_set_keeps_values(struct store *store, bool keeps)
{
    store->keeps_values = keeps;
}

uint64_t store_removed_count(const struct store *store)
{
    return store->changes.removed;
}

static size_t buffer_charge(const struct buffer *buffer)
{
    return buffer->capacity ? mem_charge(buffer->capacity) : 0;
}

void *object_alloc(struct store *store, size_t size)
{
    void *object = mem_zalloc(store->mem, size);

    if (object)
        store->object_bytes += mem_charge(size);
    return object;
}

void object_free(struct store *store, void *object, size_t size)
{
    if (!object)
        return;
    store->object_bytes -= mem_charge(size);
    mem_free(store->mem, object, size);
}

size_t store_own_bytes(const struct store *store)
{
    size_t bytes = store->object_bytes;

    bytes += buffer_charge(&store->changes.records);
    bytes += buffer_charge(&store->fault_key);
    bytes += buffer_charge(&store->entry.buffer);
    bytes += buffer_charge(&store->key);
    bytes += buffer_charge(&store->values[0]);
    bytes += buffer_charge(&store->values[1]);
    for (int i = 0; i < 3; i++)
        bytes += buffer_charge(&store->notes[i]);
    /* All blocks of trees, those of the change list and dead ones as well. */
    return bytes + store->epochs.bytes;
}

size_t store_bytes(const struct store *store)
{
    size_t bytes = store_own_bytes(store);

    REQUIRE(!store->base);
    bytes += mem_charge(sizeof(*store->lookup));
    bytes += buffer_charge(&store->lookup->buffer);
    for (const struct store *fork = store->forks; fork; fork = fork->next_fork)
        bytes += store_fork_bytes(fork);
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
    mem_exempt_begin(store->mem);
    if (key.size && buffer_append(&store->fault_key, key) == ST_OK)
        fault->key = buffer_bytes(&store->fault_key);
    mem_exempt_end(store->mem);
    return st;
}

void store_begin(struct store *store)
{
    REQUIRE(!store->open && !store->changes.records.size);
    store->open = true;
    fault_clear(store);
    if (!store->root->reserve)
        store->root->reserve = malloc(RESERVE_BYTES);
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
    for (int i = 0; i < 3; i++)
        scratch_trim(&store->notes[i]);
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
    store->undone_epoch = store->epochs.now;
    command_end(store);
}

/* --- The catalog -------------------------------------------------------- */

static struct tree_key catalog_key(struct bytes name)
{
    return (struct tree_key){name, NONE};
}

struct table *catalog_table(struct bytes value)
{
    struct table *table;

    REQUIRE(value.size == sizeof(table));
    memcpy(&table, value.data, sizeof(table));
    return table;
}

static struct bytes catalog_value(struct table *const *table)
{
    return bytes_of(table, sizeof(*table));
}

enum status catalog_put(struct store *store, struct table *table)
{
    struct tree_change change;

    return tree_put(&store->catalog, catalog_key(table_name(table)),
                    catalog_value(&table), NULL, &change);
}

void catalog_put_back(struct store *store, struct table *table)
{
    undo_put(store, &store->catalog, catalog_key(table_name(table)),
             catalog_value(&table));
}

bool catalog_next(const struct store *store, const struct tree_root *catalog,
                  struct bytes previous, struct table **ret)
{
    struct tree_entry *lookup = store->root->lookup;
    struct tree_cut cut = {catalog_key(previous), previous.size > 0};
    struct tree_cursor cursor;

    if (!tree_cursor_seek(&cursor, catalog, cut, NULL))
        return false;
    /* Cannot fail: the buffer has had room for any name from the start. */
    REQUIRE(tree_cursor_read(&cursor, lookup) == ST_OK);
    *ret = catalog_table(lookup->value);
    return true;
}

/* What the store sees of a table in its catalog. */
static struct table *store_see(const struct store *store, struct table *table)
{
    return table->store == store ? table : snapshot_see(store->base, table);
}

struct table *store_find(const struct store *store, struct bytes name)
{
    struct bytes value;

    if (!tree_get(&store->catalog.root, catalog_key(name), &value))
        return NULL;
    return store_see(store, catalog_table(value));
}

enum status store_find_mutable(struct store *store, struct bytes name,
                               struct table **ret)
{
    struct table *table = store_find(store, name);

    REQUIRE(store->open);
    *ret = table;
    if (!table || table->store == store)
        return ST_OK;
    return fork_take_over(store, table, ret);
}

uint64_t store_table_count(const struct store *store)
{
    return store->catalog.root.count - store->part_count;
}

struct table *store_next_table(const struct store *store,
                               const struct table *previous)
{
    struct bytes name = previous ? table_name(previous) : NONE;
    struct table *table;

    if (!catalog_next(store, &store->catalog.root, name, &table))
        return NULL;
    return store_see(store, table);
}

void store_free_table(struct store *store, struct table *table)
{
    if (!table->versions) {
        table_free(store, table);
        return;
    }
    tree_clear(&table->trees[SIDE_FWD]);
    tree_clear(&table->trees[SIDE_BWD]);
    table->dropped = true;
}

void store_uncatalog(struct store *store, struct table *table)
{
    integrity_unlink(table);
    undo_delete(store, &store->catalog, catalog_key(table_name(table)));
    store->part_count -= table->part;
}

void store_recatalog(struct store *store, struct table *table)
{
    catalog_put_back(store, table);
    integrity_link(table);
    store->part_count += table->part;
}

/* The tables that this one refers to are about to learn of it, or forget. */
static enum status touch_targets(struct store *store, struct table *table)
{
    enum status st = ST_OK;

    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
        if (st == ST_OK && table->links[side].target)
            st = table_touch(store, table->links[side].target);
    return st;
}

/* Notes a new table, and enters it in the catalog. */
static enum status table_enter(struct store *store, struct table *table)
{
    enum status st = touch_targets(store, table);

    if (st == ST_OK)
        st = change_push(store, CHANGE_CREATE, table, NONE, NONE);
    if (st < 0)
        return st;
    st = catalog_put(store, table);
    if (st < 0) {
        change_pop(store);
        return st;
    }
    integrity_link(table);
    store->part_count += table->part;
    return ST_OK;
}

/* A fork's table may not refer to one that is not the fork's. */
static enum status own_target(struct store *store, struct table *target,
                              struct table **ret)
{
    *ret = target;
    if (target->store == store)
        return ST_OK;
    return store_find_mutable(store, table_name(target), ret);
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
        if (references[side].table->type == TABLE_GRAPH) {
            st = store_fail(store, ST_WRONG_TABLE_TYPE,
                            "no table can refer to a graph",
                            table_name(references[side].table), NONE);
            goto fail;
        }
        if (type == TABLE_POM || !table_has_side(table, side)) {
            st = store_fail(store, ST_WRONG_TABLE_TYPE,
                            "this side of this type cannot refer to a table",
                            name, NONE);
            goto fail;
        }
        st = own_target(store, references[side].table,
                        &table->links[side].target);
        if (st < 0)
            goto fail;
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

    REQUIRE(store->open && table->store == store);
    if (table->referrers)
        return store_fail(store, ST_RESTRICTED,
                          "another table refers to this one; drop it first",
                          table_name(table->referrers->table), NONE);

    mem_exempt_begin(store->mem);
    st = touch_targets(store, table);
    if (st == ST_OK)
        st = change_push(store, CHANGE_DROP, table, NONE, NONE);
    if (st == ST_OK) {
        st = tree_delete(&store->catalog, catalog_key(table_name(table)), NULL,
                         &change);
        if (st == ST_OK) {
            integrity_unlink(table);
            store->part_count -= table->part;
        } else {
            change_pop(store);
        }
    }
    mem_exempt_end(store->mem);
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
struct digest digest_chain(struct digest before, const struct table *table)
{
    uint8_t run[DIGEST_BYTES + DESCRIPTION_BYTES_MAX];
    const uint8_t *end;

    if (table->part) /* its graph stands for it */
        return before;
    digest_store(run, before);
    end = describe(run + DIGEST_BYTES, table);
    return digest_bytes(bytes_of(run, (size_t)(end - run)));
}

struct digest store_digest(const struct store *store)
{
    struct digest digest = {0, 0};
    const struct table *table = NULL;

    while ((table = store_next_table(store, table)))
        digest = digest_chain(digest, table);
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
    size_t bytes = store->catalog.bytes + store->epochs.dead_bytes;

    if (!tree_check(&store->catalog, why, why_size))
        return false;
    while ((table = store_next_table(store, table))) {
        if (store_find(store, table_name(table)) != table)
            return say(why, why_size, "a table is not found by its name");
        listed += !table->part;
        if (table->store != store)
            continue; /* lent to a fork, which changes nothing in it */
        if (!table_check(table, why, why_size))
            return false;
        bytes += table_bytes(table);
    }
    if (listed != store_table_count(store))
        return say(why, why_size, "the catalog lists another number");
    if (!store->open && !store->base && bytes != store->epochs.bytes)
        return say(why, why_size, "blocks are in no tree and on no dead list");
    if (store_bytes(store->root) > store->mem->used)
        return say(why, why_size, "the store holds more than the account");
    return true;
}
