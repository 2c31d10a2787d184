/*
 * test_store.c -- the catalog, commands that end either way, and memory that
 * comes back.
 */
#include "core/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/etf.h"
#include "core/exit.h"
#include "core/store_internal.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

static struct bytes name_of(unsigned n, struct model_text *text)
{
    *text = world_key(n);
    return model_bytes(text);
}

static struct table *create(struct store *store, unsigned n,
                            enum table_type type)
{
    struct model_text text;
    struct table *table = NULL;

    assert_int_equal(
        store_table_create(store, name_of(n, &text), type, NULL, &table),
        ST_OK);
    return table;
}

/* --- The catalog -------------------------------------------------------- */

static void tables_are_listed_in_the_order_of_their_names(void **state)
{
    struct store *store;
    struct table *table = NULL;
    struct table *last = NULL;
    struct model_text text;
    uint64_t count = 0;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    assert_null(store_next_table(store, NULL));
    store_begin(store);
    for (unsigned i = 0; i < 300; i++)
        create(store, i * 7 % 300, (enum table_type)(i % TABLE_ELEMENTS_COUNT));
    store_commit(store);
    while ((table = store_next_table(store, table))) {
        if (last)
            assert_true(bytes_compare(table_name(last), table_name(table)) < 0);
        assert_ptr_equal(store_find(store, table_name(table)), table);
        last = table;
        count++;
    }
    assert_int_equal(count, 300);
    assert_int_equal(store_table_count(store), 300);
    assert_null(store_find(store, name_of(300, &text)));

    /* Slots are used again, and half of the names come back. */
    store_begin(store);
    for (unsigned i = 0; i < 300; i += 2)
        assert_int_equal(
            store_table_drop(store, store_find(store, name_of(i, &text))),
            ST_OK);
    store_commit(store);
    store_begin(store);
    for (unsigned i = 0; i < 300; i += 4)
        create(store, i, TABLE_SET);
    store_commit(store);
    assert_int_equal(store_table_count(store), 225);
    assert_null(store_find(store, name_of(2, &text)));
    assert_int_equal(table_type(store_find(store, name_of(4, &text))),
                     TABLE_SET);
    assert_true(store_check(store, NULL, 0));
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

static void a_table_that_cannot_be_is_refused(void **state)
{
    static const uint8_t long_name[TABLE_NAME_BYTES_MAX + 1] = {0x19};
    struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};
    struct store *store;
    struct table *target;
    struct table *table;
    struct model_text text;
    struct model_text other;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    target = create(store, 0, TABLE_SET);
    assert_int_equal(
        store_table_create(store, name_of(0, &text), TABLE_POM, NULL, &table),
        ST_TABLE_EXISTS);
    assert_true(bytes_equal(store_fault(store)->table, model_bytes(&text)));
    assert_int_equal(store_table_create(store,
                                        bytes_of(long_name, sizeof(long_name)),
                                        TABLE_POM, NULL, &table),
                     ST_TOO_BIG);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            bool allowed = type != TABLE_POM &&
                           (side == SIDE_FWD || type >= TABLE_ONE_TO_ONE);

            references[side].table = target;
            references[!side].table = NULL;
            assert_int_equal(
                store_table_create(store, name_of(type * 2 + side + 1, &other),
                                   type, references, &table),
                allowed ? ST_OK : ST_WRONG_TABLE_TYPE);
            if (allowed)
                assert_ptr_equal(table_reference(table, side).table, target);
        }
    }
    store_rollback(store);
    assert_int_equal(store_table_count(store), 0);
    assert_true(store_check(store, NULL, 0));
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

static void a_referred_table_cannot_be_dropped(void **state)
{
    struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};
    struct store *store;
    struct table *target;
    struct table *table;
    struct model_text text;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    target = create(store, 0, TABLE_SET);
    references[0].table = references[1].table = target;
    assert_int_equal(store_table_create(store, name_of(1, &text),
                                        TABLE_MANY_TO_MANY, references, &table),
                     ST_OK);
    store_commit(store);

    store_begin(store);
    assert_int_equal(store_table_drop(store, target), ST_RESTRICTED);
    assert_true(bytes_equal(store_fault(store)->table, table_name(table)));
    store_rollback(store);

    /* Both, in the right order; undone, the reference stands again. */
    store_begin(store);
    assert_int_equal(store_table_drop(store, table), ST_OK);
    assert_int_equal(store_table_drop(store, target), ST_OK);
    assert_int_equal(store_table_count(store), 0);
    store_rollback(store);
    assert_true(store_check(store, NULL, 0));
    store_begin(store);
    assert_int_equal(store_table_drop(store, target), ST_RESTRICTED);
    store_rollback(store);

    store_begin(store);
    assert_int_equal(store_table_drop(store, table), ST_OK);
    assert_int_equal(store_table_drop(store, target), ST_OK);
    store_commit(store);
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

/* --- Commands ----------------------------------------------------------- */

static void seq_counts_commands_that_change_something(void **state)
{
    struct world world;
    struct model_text key = world_key(0);
    struct bytes k = model_bytes(&key);
    bool done;

    (void)state;
    world_open(&world, 0, 1);
    assert_int_equal(store_seq(world.store), 0);
    world_add_table(&world, TABLE_SET, NULL);
    assert_int_equal(store_seq(world.store), 1);
    for (int round = 0; round < 3; round++) {
        store_begin(world.store);
        assert_int_equal(
            table_insert(world.store, world.tables[0], SIDE_FWD, k, k, &done),
            ST_OK);
        assert_int_equal(done, round < 2);
        if (round)
            store_commit(world.store);
        else
            store_rollback(world.store);
        assert_int_equal(store_seq(world.store), round ? 2 : 1);
    }
    store_begin(world.store);
    store_commit(world.store);
    assert_int_equal(store_seq(world.store), 2);
    store_begin(world.store);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
    store_commit(world.store);
    assert_int_equal(store_seq(world.store), 3);
    world_close(&world);
}

/* For recovery: commits go on from there, and nothing has changed yet. */
static void the_seq_can_be_set(void **state)
{
    struct store *store;
    struct table *table;
    bool done;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    table = create(store, 0, TABLE_SET);
    assert_int_equal(
        table_insert(store, table, SIDE_FWD, BYTES("k"), NONE, &done), ST_OK);
    store_commit(store);
    assert_int_equal(store_catalog_seq(store), 1);
    store_set_seq(store, UINT64_C(1) << 40);
    assert_int_equal(store_seq(store), UINT64_C(1) << 40);
    assert_int_equal(store_catalog_seq(store), 0);
    assert_int_equal(table_changed_seq(table), 0);
    store_begin(store);
    assert_int_equal(table_clear(store, table), ST_OK);
    store_commit(store);
    assert_int_equal(store_seq(store), (UINT64_C(1) << 40) + 1);
    assert_int_equal(table_changed_seq(table), (UINT64_C(1) << 40) + 1);
    assert_int_equal(store_catalog_seq(store), 0);
    store_free(store);
}

/* Who was changed last by which command, through references too. */
static void tables_and_catalog_know_their_last_change(void **state)
{
    struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};
    struct bytes k = BYTES("\x15k");
    struct bytes value = BYTES("\x6A");
    struct table *npc, *owns, *rows;
    struct store *store;
    struct model_text text;
    uint64_t count;
    bool done;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    assert_int_equal(store_catalog_seq(store), 0);
    store_begin(store);
    npc = create(store, 0, TABLE_SET);
    rows = create(store, 1, TABLE_POM);
    references[SIDE_BWD] = (struct table_reference){npc, ON_DELETE_EVICT};
    assert_int_equal(store_table_create(store, name_of(2, &text),
                                        TABLE_MANY_TO_MANY, references, &owns),
                     ST_OK);
    store_commit(store); /* 1 */
    assert_int_equal(store_catalog_seq(store), 1);
    assert_int_equal(table_changed_seq(owns), 1);

    store_begin(store);
    assert_int_equal(table_insert(store, npc, SIDE_FWD, k, NONE, &done), ST_OK);
    store_commit(store); /* 2 */
    store_begin(store);
    assert_int_equal(table_insert(store, owns, SIDE_FWD, k, k, &done), ST_OK);
    store_commit(store); /* 3 */
    assert_int_equal(table_changed_seq(npc), 2);
    assert_int_equal(table_changed_seq(owns), 3);
    assert_int_equal(table_changed_seq(rows), 1);

    store_begin(store);
    assert_int_equal(pom_insert(store, rows, value, &count), ST_OK);
    store_commit(store); /* 4 */
    assert_int_equal(table_changed_seq(rows), 4);

    /* The deletion reaches the pair that refers to the key. */
    store_begin(store);
    assert_int_equal(table_delete_key(store, npc, SIDE_FWD, k, &count), ST_OK);
    store_commit(store); /* 5 */
    assert_int_equal(table_count(owns), 0);
    assert_int_equal(table_changed_seq(npc), 5);
    assert_int_equal(table_changed_seq(owns), 5);
    assert_int_equal(table_changed_seq(rows), 4);

    store_begin(store);
    assert_int_equal(table_clear(store, rows), ST_OK);
    store_commit(store); /* 6 */
    assert_int_equal(table_changed_seq(rows), 6);

    /* After a rollback: never below the truth, never above the next one. */
    store_begin(store);
    assert_int_equal(table_insert(store, npc, SIDE_FWD, k, NONE, &done), ST_OK);
    assert_int_equal(store_table_drop(store, owns), ST_OK);
    store_rollback(store);
    assert_in_range(table_changed_seq(npc), 5, 7);
    assert_in_range(store_catalog_seq(store), 1, 7);

    store_begin(store);
    assert_int_equal(store_table_drop(store, owns), ST_OK);
    store_commit(store); /* 7 */
    assert_int_equal(store_seq(store), 7);
    assert_int_equal(store_catalog_seq(store), 7);
    assert_int_equal(table_changed_seq(rows), 6);
    store_free(store);
}

/* What a one_to_one insert evicts, in the order that change.h promises. */
static void the_list_tells_evictions_in_order(void **state)
{
    static const enum change_kind kinds[] = {CHANGE_ADD, CHANGE_REMOVE,
                                             CHANGE_REMOVE};
    struct world world;
    struct model_text a = world_key(0);
    struct model_text b = world_key(5);
    struct model_text x = world_key(3);
    struct model_text y = world_key(8);
    struct command commands[] = {{.first = a, .second = x},
                                 {.first = b, .second = y},
                                 {.first = b, .second = x}};
    struct change change;
    size_t position;
    uint64_t done;

    (void)state;
    world_open(&world, 0, 10);
    world_add_table(&world, TABLE_ONE_TO_ONE, NULL);
    world_run(&world, &commands[0]);
    world_run(&world, &commands[1]);
    store_begin(world.store);
    position = store_change_mark(world.store);
    assert_int_equal(world_apply(&world, &commands[2], &done), ST_OK);
    for (size_t i = 0; i < 3; i++) {
        const struct model_text *first = i < 2 ? &b : &a;
        const struct model_text *second = i == 1 ? &y : &x;

        assert_true(store_change_next(world.store, &position, &change));
        assert_int_equal(change.kind, kinds[i]);
        assert_true(bytes_equal(change.first, model_bytes(first)));
        assert_true(bytes_equal(change.second, model_bytes(second)));
    }
    assert_false(store_change_next(world.store, &position, &change));
    assert_int_equal(position, store_change_mark(world.store));
    store_rollback(world.store);
    world_compare(&world);
    world_close(&world);
}

/* Drops the last table and makes another of its name, with something in it. */
static void replace_table(struct world *world, int t)
{
    struct model_text name = model_text(table_name(world->tables[t]));
    struct model_text key = world_key(1);
    struct table *table;
    uint64_t id;
    bool done;

    assert_int_equal(store_table_drop(world->store, world->tables[t]), ST_OK);
    assert_null(store_find(world->store, model_bytes(&name)));
    assert_int_equal(store_table_create(world->store, model_bytes(&name),
                                        TABLE_POM, NULL, &table),
                     ST_OK);
    assert_int_equal(pom_insert(world->store, table, model_bytes(&key), &id),
                     ST_OK);
    assert_int_equal(
        table_delete_key(world->store, table, SIDE_FWD, model_bytes(&key), &id),
        ST_OK);
    assert_int_equal(table_clear(world->store, table), ST_OK);
    table = create(world->store, 1000, TABLE_MANY_TO_ONE);
    assert_int_equal(table_insert(world->store, table, SIDE_BWD,
                                  model_bytes(&key), model_bytes(&key), &done),
                     ST_OK);
    if (random_below(&world->random, 2))
        assert_int_equal(store_table_drop(world->store, table), ST_OK);
}

/*
 * Batches of random commands over tables that refer to each other, with
 * tables replaced in between, cut off by an error or not, and rolled back.
 */
static void a_rollback_restores_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 8);) {
        struct model_reference references[2] = {{0, ON_DELETE_EVICT},
                                                {1, ON_DELETE_RESTRICT}};
        struct world world;

        world_open(&world, seed, seed % 2 ? 12 : 100);
        world_add_table(&world, TABLE_ONE_TO_MANY, NULL);
        world_add_table(&world, TABLE_TO_ONE, NULL);
        world_add_table(&world, TABLE_POM, NULL);
        world_add_table(&world, TABLE_ONE_TO_ONE, NULL);
        world_add_table(&world, TABLE_MANY_TO_MANY, references);
        for (unsigned round = 0; round < 60; round++) {
            unsigned length = (unsigned)random_below(&world.random, 60);
            uint64_t seq;
            uint64_t outcome;

            for (unsigned i = 0; i < 20; i++)
                world_step(&world);
            seq = store_seq(world.store);
            store_begin(world.store);
            for (unsigned i = 0; i < length; i++) {
                struct command command = world_command(&world);

                if (world_apply(&world, &command, &outcome) < 0)
                    break;
            }
            if (random_below(&world.random, 2))
                replace_table(&world, 4);
            store_rollback(world.store);
            assert_int_equal(store_seq(world.store), seq);
            world_compare(&world);
        }
        world_close(&world);
    }
}

static size_t evictions(struct store *store, struct table *tables[3],
                        char *order)
{
    struct change change;
    size_t position = 0;
    size_t count = 0;

    while (store_change_next(store, &position, &change))
        for (int i = 0; i < 3; i++)
            if (change.kind == CHANGE_REMOVE && change.table == tables[i])
                order[count++] = (char)('0' + i);
    order[count] = '\0';
    return count;
}

/* The order of a cascade is that of names, however the tables came about. */
static void a_cascade_does_not_depend_on_history(void **state)
{
    struct model_text key = world_key(0);
    struct bytes k = model_bytes(&key);

    (void)state;
    for (int reversed = 0; reversed < 2; reversed++) {
        struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};
        struct store *store;
        struct table *tables[3];
        char order[8];
        bool done;

        assert_int_equal(store_create(NULL, &store), ST_OK);
        store_begin(store);
        tables[0] = create(store, 0, TABLE_SET);
        references[0].table = tables[0];
        references[0].on_delete = ON_DELETE_EVICT;
        for (unsigned n = 1; n <= 2; n++) {
            unsigned at = reversed ? 3 - n : n;
            struct model_text text;

            assert_int_equal(store_table_create(store, name_of(at * 5, &text),
                                                TABLE_SET, references,
                                                &tables[at]),
                             ST_OK);
        }
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                table_insert(store, tables[i], SIDE_FWD, k, NONE, &done),
                ST_OK);
        store_commit(store);
        if (reversed) {
            store_begin(store);
            assert_int_equal(store_table_drop(store, tables[1]), ST_OK);
            store_rollback(store);
        }
        store_begin(store);
        assert_int_equal(
            table_delete(store, tables[0], SIDE_FWD, k, NONE, &done), ST_OK);
        assert_int_equal(evictions(store, tables, order), 3);
        assert_string_equal(order, "012");
        store_commit(store);
        store_free(store);
    }
}

/* --- Memory ------------------------------------------------------------- */

static void creating_without_memory_leaves_nothing(void **state)
{
    struct store *store;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    for (int on = 0; on < 2; on++) {
        for (unsigned n = 0; n < 12; n++) {
            enum status st = ST_NO_MEMORY;

            for (uint64_t nth = 1; st == ST_NO_MEMORY; nth++) {
                struct model_text text;
                struct table *table;

                store_begin(store);
                mem_fail_at(store_mem(store), nth, on);
                st = store_table_create(store, name_of(n + 100 * on, &text),
                                        TABLE_MANY_TO_MANY, NULL, &table);
                if (st < 0)
                    store_rollback(store);
                else
                    store_commit(store);
                mem_fail_at(store_mem(store), 0, false);
                assert_true(store_check(store, NULL, 0));
                assert_int_equal(store_table_count(store),
                                 12 * on + n + (st == ST_OK));
                assert_int_equal(store_mem(store)->used, store_bytes(store));
            }
            assert_int_equal(st, ST_OK);
        }
    }
    store_free(store);
}

static void a_store_beyond_its_limit_is_not_made(void **state)
{
    struct store_options options = {.memory_limit = 1};
    struct store *store;

    (void)state;
    assert_int_equal(store_create(&options, &store), ST_MEMORY_LIMIT);
}

static void the_memory_of_a_large_command_comes_back(void **state)
{
    struct world world;
    struct mem *mem;
    size_t before;

    (void)state;
    world_open(&world, 1, 1000);
    world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
    mem = store_mem(world.store);
    before = mem->used;
    for (int commit = 0; commit < 2; commit++) {
        store_begin(world.store);
        for (unsigned n = 0; n < 20000; n++) {
            struct model_text a = world_key(n % 500);
            struct model_text b = world_key(n);
            bool done;

            assert_int_equal(table_insert(world.store, world.tables[0],
                                          SIDE_FWD, model_bytes(&a),
                                          model_bytes(&b), &done),
                             ST_OK);
        }
        assert_true(mem->used > before + 20000 * 20);
        if (commit)
            store_commit(world.store);
        else
            store_rollback(world.store);
        assert_true(mem->used - table_bytes(world.tables[0]) <
                    before + (16u << 10));
    }
    store_begin(world.store);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
    store_commit(world.store);
    assert_int_equal(table_bytes(world.tables[0]), 0);
    assert_true(mem->used < before + (16u << 10));
    world_close(&world);
}

/* Deletes keys from..from + 199 of a set; the first failure. */
static enum status delete_200(struct world *world, unsigned from)
{
    enum status st = ST_OK;

    for (unsigned n = from; n < from + 200 && st == ST_OK; n++) {
        struct model_text key = world_key(n);
        bool done;

        st = table_delete(world->store, world->tables[0], SIDE_FWD,
                          model_bytes(&key), NONE, &done);
    }
    return st;
}

static void removals_have_a_limit_of_their_own(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, 1, 1000);
    world_add_table(&world, TABLE_SET, NULL);
    store_begin(world.store);
    for (unsigned n = 0; n < 200; n++) {
        struct model_text key = world_key(n);
        bool done;

        assert_int_equal(table_insert(world.store, world.tables[0], SIDE_FWD,
                                      model_bytes(&key), NONE, &done),
                         ST_OK);
    }
    store_commit(world.store);

    /* What is not there counts for nothing, and one may always go. */
    store_set_removed_bytes_max(world.store, 1);
    store_begin(world.store);
    assert_int_equal(delete_200(&world, 200), ST_OK);
    assert_int_equal(delete_200(&world, 199), ST_OK);
    assert_int_equal(store_removed_count(world.store), 1);
    assert_int_equal(delete_200(&world, 200), ST_OK);
    assert_int_equal(delete_200(&world, 0), ST_TOO_BIG);
    assert_true(store_removed_count(world.store) < 4);
    store_rollback(world.store);
    assert_int_equal(store_removed_count(world.store), 0);
    assert_int_equal(table_count(world.tables[0]), 200);

    store_set_removed_bytes_max(world.store, 0);
    store_begin(world.store);
    assert_int_equal(delete_200(&world, 0), ST_OK);
    assert_int_equal(store_removed_count(world.store), 200);
    store_rollback(world.store);

    store_begin(world.store);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
    assert_int_equal(store_removed_count(world.store), 0);
    store_commit(world.store);
    world_close(&world);
}

static void an_open_command_ends_with_its_store(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, 1, 10);
    world_add_table(&world, TABLE_ONE_TO_ONE, NULL);
    for (unsigned i = 0; i < 50; i++)
        world_step(&world);
    store_begin(world.store);
    replace_table(&world, 0);
    world_close(&world);
}

/*
 * The allocator itself can be made to fail where it may be replaced: not under
 * a sanitizer, and only with glibc. It then gives nothing until a block as
 * large as the reserve is freed, or nothing ever again.
 */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

static enum { PLENTY, SCARCE, NOTHING } supply;
static unsigned refusals;

void *malloc(size_t size)
{
    if (supply == PLENTY)
        return __libc_malloc(size);
    refusals++;
    return NULL;
}

void *realloc(void *block, size_t size)
{
    if (supply == PLENTY)
        return __libc_realloc(block, size);
    refusals++;
    return NULL;
}

void free(void *block)
{
    if (supply == SCARCE && block && malloc_usable_size(block) >= 256u << 10)
        supply = PLENTY;
    __libc_free(block);
}

/* A command whose undoing must make pages. */
static void delete_much(struct world *world)
{
    uint64_t count;

    store_begin(world->store);
    for (unsigned n = 0; n < 20; n++) {
        struct model_text key = world_key(n);

        assert_int_equal(table_delete_key(world->store, world->tables[0],
                                          SIDE_FWD, model_bytes(&key), &count),
                         ST_OK);
        assert_true(count > 0);
    }
}

static void open_full(struct world *world)
{
    world_open(world, 1, 60);
    world_add_table(world, TABLE_MANY_TO_MANY, NULL);
    for (unsigned n = 0; n < 20 * 60; n++) {
        struct command command = {.first = world_key(n / 60),
                                  .second = world_key(n % 60)};

        world_run(world, &command);
    }
}

static void a_rollback_has_a_reserve(void **state)
{
    struct world world;

    (void)state;
    open_full(&world);
    for (int round = 0; round < 2; round++) {
        delete_much(&world);
        refusals = 0;
        supply = SCARCE;
        store_rollback(world.store);
        assert_int_equal(supply, PLENTY);
        assert_int_equal(refusals, 1);
        world_compare(&world);
    }
    world_close(&world);
}

static void without_one_the_program_ends(void **state)
{
    struct world world;
    int result;
    pid_t child;

    (void)state;
    open_full(&world);
    delete_much(&world);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr))
            setvbuf(stderr, NULL, _IONBF, 0);
        supply = NOTHING;
        store_rollback(world.store);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), EXIT_NO_MEMORY);
    store_rollback(world.store);
    world_compare(&world);
    world_close(&world);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_listed_in_the_order_of_their_names),
        cmocka_unit_test(a_table_that_cannot_be_is_refused),
        cmocka_unit_test(a_referred_table_cannot_be_dropped),
        cmocka_unit_test(seq_counts_commands_that_change_something),
        cmocka_unit_test(the_seq_can_be_set),
        cmocka_unit_test(tables_and_catalog_know_their_last_change),
        cmocka_unit_test(the_list_tells_evictions_in_order),
        cmocka_unit_test(a_rollback_restores_everything),
        cmocka_unit_test(a_cascade_does_not_depend_on_history),
        cmocka_unit_test(creating_without_memory_leaves_nothing),
        cmocka_unit_test(a_store_beyond_its_limit_is_not_made),
        cmocka_unit_test(the_memory_of_a_large_command_comes_back),
        cmocka_unit_test(removals_have_a_limit_of_their_own),
        cmocka_unit_test(an_open_command_ends_with_its_store),
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(a_rollback_has_a_reserve),
        cmocka_unit_test(without_one_the_program_ends),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
