/*
 * test_table.c -- the eight types against the model, memory running out at
 * every allocation, and the rules of reference.
 */
#include "core/table.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/store_internal.h"

#include "support/world.h"

/* --- Against the model -------------------------------------------------- */

static void random_commands(uint64_t seed, enum table_type type, unsigned keys,
                            unsigned steps, unsigned every)
{
    struct world world;

    world_open(&world, seed, keys);
    world_add_table(&world, type, NULL);
    for (unsigned i = 1; i <= steps; i++) {
        world_step(&world);
        if (i % every == 0)
            world_compare(&world);
    }
    world_compare(&world);
    world_close(&world);
}

static void every_type_does_as_the_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 4);)
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++)
            random_commands(seed, type, 15, 1500, 3);
}

static void tables_of_many_pages_do_too(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 2);)
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++)
            random_commands(seed, type, 150, 4000, 1000);
}

/* Evicting by the new owner in place of the old one would leave (a, x) in one
 * direction and (x, b) in the other. */
static void a_steal_through_a_held_set_keeps_both_directions(void **state)
{
    struct world world;
    struct model_text a = world_key(0);
    struct model_text b = world_key(5);
    struct model_text x = world_key(3);
    struct command command = {.kind = COMMAND_INSERT, .first = a, .second = x};

    (void)state;
    world_open(&world, 0, 10);
    world_add_table(&world, TABLE_ONE_TO_MANY, NULL);
    world_run(&world, &command);
    command.first = b;
    world_run(&world, &command);
    world_compare(&world);
    assert_int_equal(table_count(world.tables[0]), 1);
    assert_false(table_has_key(world.tables[0], SIDE_FWD, model_bytes(&a)));
    assert_true(table_has_key(world.tables[0], SIDE_FWD, model_bytes(&b)));
    world_close(&world);
}

static void get_and_member_agree_with_the_model(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct world world;

        world_open(&world, 7, 12);
        world_add_table(&world, type, NULL);
        for (unsigned i = 0; i < 60; i++)
            world_step(&world);
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            struct table *table = world.tables[0];
            struct tree_entry entry = {.buffer =
                                           BUFFER(store_mem(world.store))};

            if (!table_has_side(table, side))
                continue;
            for (unsigned n = 0; n < 12; n++) {
                struct model_text key = world_key(n);
                struct model_pair *list;
                size_t count = model_list(&world.model, 0, side, &key, &list);
                struct bytes got;
                bool found;

                for (size_t i = 0; i < count; i++) {
                    assert_int_equal(table_member(world.store, table, side,
                                                  model_bytes(&key),
                                                  model_bytes(&list[i].second),
                                                  &found),
                                     ST_OK);
                    assert_true(found);
                }
                if (table_is_unique(table, side)) {
                    assert_int_equal(table_get(table, side, model_bytes(&key),
                                               &entry, &found, &got),
                                     ST_OK);
                    assert_int_equal(found, count);
                    assert_true(!found ||
                                bytes_equal(got, model_bytes(&list[0].second)));
                }
                free(list);
            }
            buffer_free(&entry.buffer);
        }
        world_close(&world);
    }
}

static void type_names_are_parsed_back(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_TYPE_COUNT; type++) {
        const char *name = table_type_name(type);
        enum table_type parsed = TABLE_TYPE_COUNT;

        assert_true(table_type_parse(bytes_of(name, strlen(name)), &parsed));
        assert_int_equal(parsed, type);
        assert_false(
            table_type_parse(bytes_of(name, strlen(name) - 1), &parsed));
    }
}

static void what_a_type_has_not_is_refused(void **state)
{
    struct world world;
    struct model_text key = world_key(0);
    struct bytes k = model_bytes(&key);
    uint64_t count;
    bool done;

    (void)state;
    world_open(&world, 0, 1);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        int t = world_add_table(&world, type, NULL);
        struct table *table = world.tables[t];
        bool junction = table_has_side(table, SIDE_BWD);
        bool pom = type == TABLE_POM;

        assert_int_equal(junction, type >= TABLE_ONE_TO_ONE);
        store_begin(world.store);
        if (!junction) {
            assert_int_equal(
                table_insert(world.store, table, SIDE_BWD, k, k, &done),
                ST_WRONG_TABLE_TYPE);
            assert_int_equal(
                table_delete(world.store, table, SIDE_BWD, k, k, &done),
                ST_WRONG_TABLE_TYPE);
            assert_int_equal(
                table_delete_key(world.store, table, SIDE_BWD, k, &count),
                ST_WRONG_TABLE_TYPE);
        }
        assert_int_equal(
            table_insert(world.store, table, SIDE_FWD, k, k, &done),
            pom ? ST_WRONG_TABLE_TYPE : ST_OK);
        assert_int_equal(pom_insert(world.store, table, k, &count),
                         pom ? ST_OK : ST_WRONG_TABLE_TYPE);
        assert_int_equal(pom_update(world.store, table, k, k),
                         pom ? ST_NOT_FOUND : ST_WRONG_TABLE_TYPE);
        assert_true(
            bytes_equal(store_fault(world.store)->table, table_name(table)));
        store_rollback(world.store);
    }
    world_compare(&world);
    world_close(&world);
}

/* --- Values ------------------------------------------------------------- */

static void values_are_compared_as_terms(void **state)
{
    static const struct {
        struct bytes a, b;
        bool equal;
    } cases[] = {
        /* 1 in two forms */
        {BYTES("\x61\x01"), BYTES("\x62\0\0\0\x01"), true},
        {BYTES("\x61\x01"), BYTES("\x62\0\0\0\x02"), false},
        {BYTES("\x61\x01"), BYTES("\x61\x02"), false},
        /* 1 and 1.0 are == and not =:= */
        {BYTES("\x61\x01"), BYTES("\x46\x3F\xF0\0\0\0\0\0\0"), false},
        /* the atom a, three ways */
        {BYTES("\x77\x01"
               "a"),
         BYTES("\x64\0\x01"
               "a"),
         true},
        {BYTES("\x77\x01"
               "a"),
         BYTES("\x73\x01"
               "a"),
         true},
        /* [1] as a string and as a list */
        {BYTES("\x6B\0\x01\x01"), BYTES("\x6C\0\0\0\x01\x61\x01\x6A"), true},
        /* a map with equal keys is no key: its bytes decide */
        {BYTES("\x74\0\0\0\x02\x61\x01\x61\x01\x61\x01\x61\x02"),
         BYTES("\x74\0\0\0\x02\x61\x01\x61\x01\x61\x01\x61\x03"), false},
    };
    struct world world;
    struct model_text key = world_key(0);
    struct bytes k = model_bytes(&key);

    (void)state;
    world_open(&world, 0, 1);
    world_add_table(&world, TABLE_TO_ONE, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct table *table = world.tables[0];
        bool done;

        store_begin(world.store);
        assert_int_equal(
            table_insert(world.store, table, SIDE_FWD, k, cases[i].a, &done),
            ST_OK);
        assert_true(done);
        assert_int_equal(
            table_insert(world.store, table, SIDE_FWD, k, cases[i].b, &done),
            ST_OK);
        assert_int_equal(done, !cases[i].equal);
        assert_int_equal(
            table_member(world.store, table, SIDE_FWD, k, cases[i].a, &done),
            ST_OK);
        assert_int_equal(done, cases[i].equal);
        assert_int_equal(
            table_delete(world.store, table, SIDE_FWD, k, cases[i].b, &done),
            ST_OK);
        assert_true(done);
        store_rollback(world.store);
    }
    world_close(&world);
}

static void values_too_big_for_a_key_are_compared_by_bytes(void **state)
{
    static uint8_t value[2 + 5 + KEY_BYTES_MAX + 1];
    struct world world;
    struct model_text key = world_key(0);
    struct bytes k = model_bytes(&key);
    bool done;

    (void)state;
    /* A tuple, since two binaries are told apart without a key. */
    value[0] = ETF_SMALL_TUPLE;
    value[1] = 1;
    value[2] = ETF_BINARY;
    store_be32(value + 3, KEY_BYTES_MAX + 1);
    world_open(&world, 0, 1);
    world_add_table(&world, TABLE_TO_ONE, NULL);
    store_begin(world.store);
    for (int round = 0; round < 2; round++) {
        for (int again = 0; again < 2; again++) {
            assert_int_equal(
                table_insert(world.store, world.tables[0], SIDE_FWD, k,
                             bytes_of(value, sizeof(value)), &done),
                ST_OK);
            assert_int_equal(done, !again);
        }
        value[sizeof(value) - 1] = 1;
    }
    store_commit(world.store);
    assert_int_equal(table_count(world.tables[0]), 1);
    world_close(&world);
}

/* --- Poms --------------------------------------------------------------- */

static uint64_t insert_row(struct world *world)
{
    struct model_text value = world_value(0);
    uint64_t id = 0;

    assert_int_equal(
        pom_insert(world->store, world->tables[0], model_bytes(&value), &id),
        ST_OK);
    return id;
}

static void ids_are_never_given_out_again(void **state)
{
    struct world world;
    uint64_t count;
    struct buffer key;

    (void)state;
    world_open(&world, 0, 1);
    world_add_table(&world, TABLE_POM, NULL);
    key = BUFFER(store_mem(world.store));
    store_begin(world.store);
    assert_int_equal(insert_row(&world), 1);
    assert_int_equal(insert_row(&world), 2);
    assert_int_equal(key_encode_u64(2, &key), ST_OK);
    assert_int_equal(table_delete_key(world.store, world.tables[0], SIDE_FWD,
                                      buffer_bytes(&key), &count),
                     ST_OK);
    assert_int_equal(count, 1);
    assert_int_equal(insert_row(&world), 3);
    store_commit(world.store);

    store_begin(world.store);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
    assert_int_equal(insert_row(&world), 4);
    store_commit(world.store);

    /* Only a rollback gives one back: the row has never been. */
    store_begin(world.store);
    assert_int_equal(insert_row(&world), 5);
    store_rollback(world.store);
    assert_int_equal(table_next_id(world.tables[0]), 5);
    assert_int_equal(table_count(world.tables[0]), 1);
    buffer_free(&key);
    world_close(&world);
}

static void the_last_id_is_the_last(void **state)
{
    struct world world;
    struct model_text value = world_value(0);
    uint64_t id;
    char why[64] = "";

    (void)state;
    world_open(&world, 0, 1);
    world_add_table(&world, TABLE_POM, NULL);
    world.tables[0]->next_id = UINT64_MAX;
    store_begin(world.store);
    assert_true(insert_row(&world) == UINT64_MAX);
    assert_int_equal(table_next_id(world.tables[0]), 0);
    assert_int_equal(
        pom_insert(world.store, world.tables[0], model_bytes(&value), &id),
        ST_EXHAUSTED);
    assert_true(table_check(world.tables[0], why, sizeof(why)));
    store_rollback(world.store);
    assert_true(table_next_id(world.tables[0]) == UINT64_MAX);
    world_close(&world);
}

/* --- Memory runs out ---------------------------------------------------- */

/* --- Stealing ----------------------------------------------------------- */

enum { OWNED_COUNT = 4000, OWNER_COUNT = 500 };

/* Keys that have one owner each, on the bwd side or, turned, on the fwd side;
 * so many that they take some hundred pages. */
struct owned {
    struct store *store;
    struct table *table;
    enum side side;               /* the unique one */
    uint64_t owners[OWNED_COUNT]; /* 0: none */
};

static void owned_open(struct owned *owned, enum table_type type)
{
    struct store_options options = {0};
    struct table_reference none[2] = {0};

    *owned =
        (struct owned){.side = type == TABLE_ONE_TO_MANY ? SIDE_BWD : SIDE_FWD};
    assert_int_equal(store_create(&options, &owned->store), ST_OK);
    store_begin(owned->store);
    assert_int_equal(store_table_create(owned->store, BYTES("\xA8t\x01"), type,
                                        none, &owned->table),
                     ST_OK);
    store_commit(owned->store);
}

static struct bytes number_key(struct buffer *buffer, uint64_t number)
{
    buffer->size = 0;
    assert_int_equal(key_encode_u64(number, buffer), ST_OK);
    return buffer_bytes(buffer);
}

/* The next change in the list: `kind` of the key and this owner. */
static void expect_change(const struct owned *owned, size_t *position,
                          enum change_kind kind, uint64_t key, uint64_t owner)
{
    struct change change;
    uint64_t got[2];

    assert_true(store_change_next(owned->store, position, &change));
    assert_int_equal(change.kind, kind);
    assert_true(key_decode_u64(change.first, &got[SIDE_FWD]));
    assert_true(key_decode_u64(change.second, &got[SIDE_BWD]));
    assert_int_equal(got[owned->side], key);
    assert_int_equal(got[side_other(owned->side)], owner);
}

/*
 * Gives a key an owner. With `failing` each allocation that this takes fails
 * once before; with `undone` it is rolled back in the end.
 */
static void give(struct owned *owned, uint64_t key, uint64_t owner,
                 bool failing, bool undone)
{
    struct mem plain;
    struct buffer buffers[2] = {BUFFER(&plain), BUFFER(&plain)};
    struct mem *mem = store_mem(owned->store);
    uint64_t former = owned->owners[key];
    uint64_t count = table_count(owned->table);
    struct digest digest = table_digest(owned->table);
    size_t position = 0;
    bool inserted;
    char why[200];

    mem_init(&plain, 0);
    for (uint64_t nth = failing ? 1 : 0;; nth++) {
        enum status st;

        store_begin(owned->store);
        mem_fail_at(mem, nth, false);
        st = table_insert(owned->store, owned->table, owned->side,
                          number_key(&buffers[0], key + 1),
                          number_key(&buffers[1], owner), &inserted);
        mem_fail_at(mem, 0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NO_MEMORY);
        store_rollback(owned->store);
        assert_int_equal(table_count(owned->table), count);
        assert_true(digest_equal(table_digest(owned->table), digest));
        assert_true(table_check(owned->table, why, sizeof(why)));
    }
    assert_int_equal(inserted, owner != former);
    if (inserted) {
        expect_change(owned, &position, CHANGE_ADD, key + 1, owner);
        if (former)
            expect_change(owned, &position, CHANGE_REMOVE, key + 1, former);
    }
    assert_int_equal(position, store_change_mark(owned->store));
    if (undone) {
        store_rollback(owned->store);
        assert_true(digest_equal(table_digest(owned->table), digest));
    } else {
        store_commit(owned->store);
        owned->owners[key] = owner;
    }
    buffer_free(&buffers[0]);
    buffer_free(&buffers[1]);
}

/* Every key has its owner, and no other pair is there. */
static void expect_owners(const struct owned *owned)
{
    struct mem plain;
    struct buffer buffers[2] = {BUFFER(&plain), BUFFER(&plain)};
    uint64_t count = 0;
    char why[200];

    mem_init(&plain, 0);
    for (uint64_t key = 0; key < OWNED_COUNT; key++) {
        bool found;

        if (!owned->owners[key])
            continue;
        count++;
        assert_int_equal(
            table_member(owned->store, owned->table, owned->side,
                         number_key(&buffers[0], key + 1),
                         number_key(&buffers[1], owned->owners[key]), &found),
            ST_OK);
        assert_true(found);
    }
    assert_int_equal(table_count(owned->table), count);
    assert_true(table_check(owned->table, why, sizeof(why)));
    buffer_free(&buffers[0]);
    buffer_free(&buffers[1]);
}

/* What the digest of a table would be by what is in one of its trees. */
static struct digest digest_of(const struct table *table, enum side side)
{
    struct mem plain;
    struct tree_entry entry = {0};
    struct tree_cursor cursor;
    struct digest sum = {0, 0};

    mem_init(&plain, 0);
    entry.buffer = BUFFER(&plain);
    for (bool more = tree_cursor_select(&cursor, table_root(table, side), 0);
         more; more = tree_cursor_next(&cursor)) {
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        digest_add(&sum,
                   side == SIDE_FWD
                       ? digest_element(entry.key.first, entry.key.second)
                       : digest_element(entry.key.second, entry.key.first));
    }
    buffer_free(&entry.buffer);
    return sum;
}

static void a_key_changes_owners(void **state)
{
    static const enum table_type types[] = {TABLE_ONE_TO_MANY,
                                            TABLE_MANY_TO_ONE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct owned owned;
        struct random random;
        struct snapshot *snapshot = NULL;
        struct digest seen = {0, 0};

        random_init(&random, random_seed());
        owned_open(&owned, types[i]);
        for (unsigned step = 0; step < 5 * OWNED_COUNT; step++) {
            if (step % 1000 == 0) { /* pages that it sees are not changed */
                assert_int_equal(snapshot_take(owned.store, &snapshot), ST_OK);
                seen = table_digest(owned.table);
            }
            give(&owned, random_below(&random, OWNED_COUNT),
                 1 + random_below(&random, OWNER_COUNT), step % 97 < 2,
                 step % 5 == 0);
            if (step % 1000 == 500) {
                const struct table *then =
                    snapshot_find(snapshot, table_name(owned.table));

                for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
                    assert_true(digest_equal(digest_of(then, side), seen));
                snapshot_release(snapshot);
            }
            if (step % 2500 == 0)
                expect_owners(&owned);
        }
        expect_owners(&owned);
        store_free(owned.store);
    }
}

/*
 * Lets the nth allocation of one command fail, for every n that it has. After
 * each failure and rollback, the contents are as before.
 */
static void fail_everywhere(struct world *world, const struct command *command,
                            bool on)
{
    struct mem *mem = store_mem(world->store);
    struct model before;
    uint64_t wanted;
    enum status model_st;

    model_copy(&before, &world->model);
    model_st = world_model_apply(&world->model, command, &wanted);
    if (model_st < 0) {
        model_free(&world->model);
        world->model = before;
        return;
    }
    for (uint64_t nth = 1;; nth++) {
        struct model after = world->model;
        uint64_t got;
        enum status st;

        if (nth > 1000)
            world_fail(world, "a command that never ends failing");
        store_begin(world->store);
        mem_fail_at(mem, nth, on);
        st = world_apply(world, command, &got);
        if (st == ST_OK) {
            mem_fail_at(mem, 0, false);
            store_commit(world->store);
            break;
        }
        store_rollback(world->store);
        mem_fail_at(mem, 0, false);
        if (st != ST_NO_MEMORY)
            world_fail(world, "failing at %llu gives status %d",
                       (unsigned long long)nth, st);
        world->model = before;
        world_compare(world);
        world->model = after;
    }
    model_free(&before);
    world_compare(world);
}

static void a_failed_allocation_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 2);) {
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
            struct world world;

            world_open(&world, seed, 10);
            world_add_table(&world, type, NULL);
            for (unsigned i = 0; i < 60; i++) {
                struct command command = world_command(&world);

                world.step++;
                fail_everywhere(&world, &command, i % 2);
            }
            world_close(&world);
        }
    }
}

/* The same where a snapshot sees all pages, so that each change copies. */
static void nor_under_a_snapshot(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 2);) {
        struct model_reference references[2] = {{0, ON_DELETE_EVICT},
                                                {0, ON_DELETE_EVICT}};
        struct world world;

        world_open(&world, seed, 40);
        world_add_table(&world, TABLE_TO_MANY, NULL);
        world_add_table(&world, TABLE_ONE_TO_MANY, references);
        for (unsigned i = 0; i < 400; i++)
            world_step(&world);
        for (unsigned i = 0; i < 60; i++) {
            struct command command = world_command(&world);
            struct snapshot *snapshot;

            world.step++;
            assert_int_equal(snapshot_take(world.store, &snapshot), ST_OK);
            fail_everywhere(&world, &command, i % 2);
            snapshot_release(snapshot);
        }
        world_close(&world);
    }
}

static void at_the_limit_reads_and_deletes_go_on(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct world world;
        struct mem *mem;
        struct command command;
        uint64_t got;
        enum status st;

        world_open(&world, 3, 200);
        world_add_table(&world, type, NULL);
        for (unsigned i = 0; i < 600; i++) {
            do
                command = world_command(&world);
            while (command.kind != COMMAND_INSERT &&
                   command.kind != COMMAND_POM_INSERT);
            world_run(&world, &command);
        }

        /* From here on nothing may be had, not even the list's buffer. */
        mem = store_mem(world.store);
        mem->limit = mem->used;
        for (unsigned i = 0; i < 200; i++) {
            struct model before;

            do
                command = world_command(&world);
            while (command.kind == COMMAND_CLEAR);
            model_copy(&before, &world.model);
            store_begin(world.store);
            st = world_apply(&world, &command, &got);
            if (st == ST_MEMORY_LIMIT && (command.kind == COMMAND_INSERT ||
                                          command.kind == COMMAND_POM_INSERT ||
                                          command.kind == COMMAND_POM_UPDATE)) {
                store_rollback(world.store);
            } else {
                assert_true(st == ST_OK || st == ST_NOT_FOUND);
                if (st == ST_OK)
                    store_commit(world.store);
                else
                    store_rollback(world.store);
                assert_int_equal(
                    world_model_apply(&world.model, &command, &got), st);
            }
            model_free(&before);
        }
        world_compare(&world);
        store_begin(world.store);
        assert_int_equal(table_clear(world.store, world.tables[0]), ST_OK);
        store_commit(world.store);
        assert_int_equal(table_count(world.tables[0]), 0);
        world_close(&world);
    }
}

/* --- References --------------------------------------------------------- */

/*
 *     t0 <-- fwd t2 bwd --> t1 <-- bwd t4, which restricts
 *                 ^
 *                 '-- fwd t3, a chain over three tables
 */
static void random_references_hold(void **state)
{
    static const enum table_type types[] = {
        TABLE_SET, TABLE_ONE_TO_MANY, TABLE_MANY_TO_MANY, TABLE_ONE_TO_ONE};

    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct model_reference both[2] = {{0, ON_DELETE_EVICT},
                                          {1, ON_DELETE_EVICT}};
        struct model_reference chain[2] = {{2, ON_DELETE_EVICT},
                                           {-1, ON_DELETE_EVICT}};
        struct model_reference restricts[2] = {{-1, ON_DELETE_EVICT},
                                               {1, ON_DELETE_RESTRICT}};
        struct world world;

        world_open(&world, seed, 12);
        world_add_table(&world, types[seed % 4], NULL);
        world_add_table(&world, TABLE_TO_ONE, NULL);
        world_add_table(&world, types[1 + seed % 3], both);
        world_add_table(&world, TABLE_TO_MANY, chain);
        if (seed % 2)
            world_add_table(&world, TABLE_MANY_TO_ONE, restricts);
        for (unsigned i = 1; i <= 3000; i++) {
            world_step(&world);
            if (i % 10 == 0)
                world_compare(&world);
        }
        world_close(&world);
    }
}

static void a_fault_names_table_and_key(void **state)
{
    struct model_reference references[2] = {{0, ON_DELETE_RESTRICT},
                                            {-1, ON_DELETE_EVICT}};
    struct model_text key = world_key(3);
    struct model_text value = world_value(0);
    struct bytes k = model_bytes(&key);
    struct bytes v = model_bytes(&value);
    const struct fault *fault;
    struct world world;
    bool done;

    (void)state;
    world_open(&world, 0, 1);
    world_add_table(&world, TABLE_SET, NULL);
    world_add_table(&world, TABLE_TO_ONE, references);
    fault = store_fault(world.store);

    store_begin(world.store);
    assert_int_equal(
        table_insert(world.store, world.tables[1], SIDE_FWD, k, v, &done),
        ST_MISSING_REFERENCE);
    assert_true(bytes_equal(fault->table, table_name(world.tables[0])));
    assert_true(bytes_equal(fault->key, k));
    store_rollback(world.store);
    assert_true(bytes_equal(fault->key, k));

    store_begin(world.store);
    assert_int_equal(fault->key.size, 0);
    assert_int_equal(
        table_insert(world.store, world.tables[0], SIDE_FWD, k, v, &done),
        ST_OK);
    assert_int_equal(
        table_insert(world.store, world.tables[1], SIDE_FWD, k, v, &done),
        ST_OK);
    store_commit(world.store);

    store_begin(world.store);
    assert_int_equal(
        table_delete(world.store, world.tables[0], SIDE_FWD, k, v, &done),
        ST_RESTRICTED);
    assert_true(bytes_equal(fault->table, table_name(world.tables[1])));
    assert_true(bytes_equal(fault->key, k));
    store_rollback(world.store);

    store_begin(world.store);
    assert_int_equal(table_clear(world.store, world.tables[0]), ST_RESTRICTED);
    store_rollback(world.store);
    assert_int_equal(table_count(world.tables[0]), 1);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_does_as_the_model_does),
        cmocka_unit_test(tables_of_many_pages_do_too),
        cmocka_unit_test(a_steal_through_a_held_set_keeps_both_directions),
        cmocka_unit_test(get_and_member_agree_with_the_model),
        cmocka_unit_test(type_names_are_parsed_back),
        cmocka_unit_test(what_a_type_has_not_is_refused),
        cmocka_unit_test(values_are_compared_as_terms),
        cmocka_unit_test(values_too_big_for_a_key_are_compared_by_bytes),
        cmocka_unit_test(ids_are_never_given_out_again),
        cmocka_unit_test(the_last_id_is_the_last),
        cmocka_unit_test(a_key_changes_owners),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
        cmocka_unit_test(nor_under_a_snapshot),
        cmocka_unit_test(at_the_limit_reads_and_deletes_go_on),
        cmocka_unit_test(random_references_hold),
        cmocka_unit_test(a_fault_names_table_and_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
