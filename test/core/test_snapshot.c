/*
 * test_snapshot.c -- a store as it was, read while it goes on.
 */
#include "core/snapshot.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/store_internal.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

static struct snapshot *take(struct store *store)
{
    struct snapshot *snapshot = NULL;

    assert_int_equal(snapshot_take(store, &snapshot), ST_OK);
    assert_int_equal(snapshot_list(snapshot), ST_OK);
    return snapshot;
}

static struct table *create(struct store *store, unsigned name,
                            enum table_type type, struct table *fwd,
                            struct table *bwd)
{
    struct table_reference references[2] = {{fwd, ON_DELETE_EVICT},
                                            {bwd, ON_DELETE_RESTRICT}};
    struct model_text text = world_key(name);
    struct table *table;

    assert_int_equal(
        store_table_create(store, model_bytes(&text), type, references, &table),
        ST_OK);
    return table;
}

/* --- What describes the tables ------------------------------------------ */

static void a_snapshot_of_nothing_is_empty(void **state)
{
    struct store *store;
    struct snapshot *snapshot;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    snapshot = take(store);
    assert_int_equal(snapshot_table_count(snapshot), 0);
    assert_int_equal(snapshot_seq(snapshot), 0);
    assert_true(digest_equal(snapshot_digest(snapshot), store_digest(store)));
    snapshot_release(snapshot);
    snapshot_release(NULL);
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

/*
 * Integers name the tables, so that their order is that of the numbers:
 *
 *     25 --> 20 --> 30      5 --> 25, 15      10, 15 refer to nothing
 */
static void tables_come_after_those_they_refer_to(void **state)
{
    static const unsigned order[] = {10, 15, 30, 20, 25, 5};
    struct store *store;
    struct snapshot *snapshot;
    struct table *t10, *t15, *t20, *t25, *t30;
    const struct frozen_table *frozen;
    struct model_text name;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    t30 = create(store, 30, TABLE_SET, NULL, NULL);
    t15 = create(store, 15, TABLE_POM, NULL, NULL);
    t20 = create(store, 20, TABLE_TO_ONE, t30, NULL);
    t25 = create(store, 25, TABLE_MANY_TO_MANY, t20, t20);
    create(store, 5, TABLE_ONE_TO_MANY, t25, t15);
    t10 = create(store, 10, TABLE_TO_MANY, NULL, NULL);
    t15->next_id = 77;
    store_commit(store);
    store_set_seq(store, 1234);
    snapshot = take(store);
    assert_int_equal(snapshot_seq(snapshot), 1234);

    assert_int_equal(snapshot_table_count(snapshot), 6);
    for (uint32_t i = 0; i < 6; i++) {
        const struct table *table;

        frozen = snapshot_table(snapshot, i);
        name = world_key(order[i]);
        assert_true(bytes_equal(frozen->name, model_bytes(&name)));
        table = store_find(store, frozen->name);
        assert_int_equal(frozen->type, table_type(table));
        assert_true(frozen->next_id == table_next_id(table));
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            struct table_reference reference = table_reference(table, side);
            struct bytes target =
                reference.table ? table_name(reference.table) : NONE;

            assert_true(bytes_equal(frozen->references[side].table, target));
            if (reference.table)
                assert_int_equal(frozen->references[side].on_delete,
                                 reference.on_delete);
        }
        assert_int_equal(table_note(table), 0);
    }

    /* Names and all are the snapshot's own. */
    store_begin(store);
    assert_int_equal(store_table_drop(store, t10), ST_OK);
    store_commit(store);
    name = world_key(10);
    assert_true(
        bytes_equal(snapshot_table(snapshot, 0)->name, model_bytes(&name)));
    snapshot_release(snapshot);
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

/* Each of many tables refers to two before it; names are in another order. */
static void any_order_of_many_tables_will_do(void **state)
{
    enum { COUNT = 500 };
    struct table *tables[COUNT];
    struct random random;
    struct store *store;
    struct snapshot *snapshot;

    (void)state;
    random_init(&random, random_seed());
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    for (unsigned i = 0; i < COUNT; i++) {
        struct table *a = i ? tables[random_below(&random, i)] : NULL;
        struct table *b = i ? tables[random_below(&random, i)] : NULL;

        tables[i] = create(store, i * 7 % COUNT, TABLE_MANY_TO_MANY,
                           random_below(&random, 3) ? a : NULL,
                           random_below(&random, 3) ? b : NULL);
    }
    store_commit(store);
    snapshot = take(store);
    assert_int_equal(snapshot_table_count(snapshot), COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct frozen_table *frozen = snapshot_table(snapshot, i);
        struct table *table = store_find(store, frozen->name);

        assert_int_equal(table_note(table), 0);
        table_set_note(table, 1);
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            struct bytes target = frozen->references[side].table;

            if (target.size)
                assert_int_equal(table_note(store_find(store, target)), 1);
        }
    }
    snapshot_release(snapshot);
    store_free(store);
}

/* --- What is in them ---------------------------------------------------- */

/*
 * Reads a frozen table from end to end, both ways if it has two; false if it
 * is not what its digest and its counts say. Runs on any thread.
 */
static bool is_sound(const struct frozen_table *frozen)
{
    bool has_value = frozen->type == TABLE_POM || frozen->type == TABLE_TO_ONE;
    struct mem mem;
    bool good = true;

    mem_init(&mem, 0);
    for (enum side side = SIDE_FWD; good && side <= SIDE_BWD; side++) {
        const struct tree_root *root = &frozen->roots[side];
        struct tree_entry entry = {.buffer = BUFFER(&mem)};
        struct digest sum = {0, 0};
        struct tree_cursor cursor;
        uint64_t count = 0;
        bool more = tree_cursor_select(&cursor, root, 0);

        if (side == SIDE_BWD && frozen->type < TABLE_ONE_TO_ONE)
            return good && !root->node;
        for (; good && more; more = tree_cursor_next(&cursor)) {
            struct bytes second;

            good = tree_cursor_read(&cursor, &entry) == ST_OK;
            second = has_value ? entry.value : entry.key.second;
            digest_add(&sum, side == SIDE_FWD
                                 ? digest_element(entry.key.first, second)
                                 : digest_element(second, entry.key.first));
            count++;
        }
        buffer_free(&entry.buffer);
        good = good && count == root->count &&
               count == frozen->roots[SIDE_FWD].count &&
               digest_equal(sum, frozen->digest);
    }
    return good;
}

static bool all_sound(const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot_table_count(snapshot); i++)
        if (!is_sound(snapshot_table(snapshot, i)))
            return false;
    return true;
}

/* A snapshot, and the model as it was then. */
struct memory {
    struct snapshot *snapshot;
    struct model model;
    struct digest digest;
    uint64_t seq;
};

static void remember(struct world *world, struct memory *memory)
{
    memory->digest = store_digest(world->store);
    memory->seq = store_seq(world->store);
    memory->snapshot = take(world->store);
    model_copy(&memory->model, &world->model);
}

static const struct frozen_table *find(const struct snapshot *snapshot,
                                       struct bytes name)
{
    for (uint32_t i = 0; i < snapshot_table_count(snapshot); i++)
        if (bytes_equal(snapshot_table(snapshot, i)->name, name))
            return snapshot_table(snapshot, i);
    return NULL;
}

static void compare_side(const struct world *world, const struct memory *memory,
                         int t, enum side side)
{
    const struct frozen_table *frozen =
        find(memory->snapshot, table_name(world->tables[t]));
    struct tree_entry entry = {0};
    struct tree_cursor cursor;
    struct model_pair *list;
    size_t count = model_list(&memory->model, t, side, NULL, &list);
    size_t seen = 0;
    struct mem mem;

    mem_init(&mem, 0);
    entry.buffer = BUFFER(&mem);
    for (bool more = tree_cursor_select(&cursor, &frozen->roots[side], 0); more;
         more = tree_cursor_next(&cursor)) {
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        if (seen == count ||
            !bytes_equal(entry.key.first, model_bytes(&list[seen].first)) ||
            !bytes_equal(table_has_value(world->tables[t]) ? entry.value
                                                           : entry.key.second,
                         model_bytes(&list[seen].second)))
            world_fail(world, "a snapshot's t%d side %d differs", t, side);
        seen++;
    }
    if (seen != count)
        world_fail(world, "a snapshot's t%d side %d ends early", t, side);
    if (memory->model.tables[t].next_id != frozen->next_id)
        world_fail(world, "a snapshot's t%d has another next id", t);
    buffer_free(&entry.buffer);
    free(list);
}

static void compare_and_release(const struct world *world,
                                struct memory *memory)
{
    for (int t = 0; t < memory->model.table_count; t++)
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
            if (table_has_side(world->tables[t], side))
                compare_side(world, memory, t, side);
    assert_true(all_sound(memory->snapshot));
    assert_true(
        digest_equal(snapshot_digest(memory->snapshot), memory->digest));
    assert_true(snapshot_seq(memory->snapshot) == memory->seq);
    snapshot_release(memory->snapshot);
    model_free(&memory->model);
}

static void open_all_types(struct world *world, uint64_t seed, unsigned keys)
{
    struct model_reference references[2] = {{0, ON_DELETE_EVICT},
                                            {-1, ON_DELETE_EVICT}};

    world_open(world, seed, keys);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT - 1; type++)
        world_add_table(world, (enum table_type)(type + 1),
                        type == TABLE_MANY_TO_ONE ? references : NULL);
    world_add_table(world, TABLE_POM, NULL);
}

/* Up to four at a time, let go of in any order. */
static void snapshots_stay_as_they_were(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 4);) {
        struct memory memories[4];
        unsigned count = 0;
        struct world world;

        open_all_types(&world, seed, seed % 2 ? 15 : 150);
        for (unsigned round = 0; round < 60; round++) {
            for (unsigned i = 0; i < 100; i++)
                world_step(&world);
            if (count < 4 && random_below(&world.random, 2)) {
                remember(&world, &memories[count++]);
            } else if (count) {
                unsigned i = (unsigned)random_below(&world.random, count);

                compare_and_release(&world, &memories[i]);
                memories[i] = memories[--count];
            }
        }
        while (count)
            compare_and_release(&world, &memories[--count]);
        world_compare(&world);
        world_close(&world);
    }
}

static void a_dropped_table_can_still_be_read(void **state)
{
    struct world world;
    struct snapshot *snapshot;
    size_t used;

    (void)state;
    world_open(&world, 1, 200);
    world_add_table(&world, TABLE_ONE_TO_MANY, NULL);
    world_add_table(&world, TABLE_TO_ONE, NULL);
    for (unsigned i = 0; i < 1000; i++)
        world_step(&world);
    snapshot = take(world.store);
    used = store_mem(world.store)->used;
    store_begin(world.store);
    assert_int_equal(store_table_drop(world.store, world.tables[0]), ST_OK);
    assert_int_equal(table_clear(world.store, world.tables[1]), ST_OK);
    store_commit(world.store);
    assert_true(used < store_mem(world.store)->used + 2000);
    assert_true(all_sound(snapshot));
    assert_true(snapshot_table(snapshot, 0)->roots[SIDE_BWD].count > 0);
    snapshot_release(snapshot);
    assert_true(store_mem(world.store)->used < used / 2);
    world_close(&world);
}

/* --- On another thread -------------------------------------------------- */

struct reader {
    const struct snapshot *snapshot;
    bool sound;
};

static void *read_all(void *argument)
{
    struct reader *reader = argument;

    reader->sound = true;
    for (int round = 0; round < 3; round++)
        reader->sound = reader->sound && all_sound(reader->snapshot);
    return NULL;
}

static void another_thread_reads_while_the_store_goes_on(void **state)
{
    enum { READERS = 2 };
    struct reader readers[READERS];
    pthread_t threads[READERS];
    struct world world;
    struct random random;
    uint64_t outcome;

    (void)state;
    random_init(&random, random_seed());
    world_open(&world, random_next(&random), 1000);
    world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
    world_add_table(&world, TABLE_ONE_TO_ONE, NULL);
    world_add_table(&world, TABLE_TO_ONE, NULL);
    world_add_table(&world, TABLE_POM, NULL);
    for (unsigned round = 0; round < 20; round++) {
        for (int i = 0; i < READERS; i++) {
            readers[i].snapshot = take(world.store);
            assert_int_equal(
                pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
            for (unsigned n = 0; n < 1000; n++) {
                struct command command = world_command(&world);

                if (command.kind == COMMAND_CLEAR && random_below(&random, 9))
                    continue;
                store_begin(world.store);
                if (world_apply(&world, &command, &outcome) < 0 || n % 10 == 0)
                    store_rollback(world.store);
                else
                    store_commit(world.store);
            }
        }
        for (int i = 0; i < READERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_true(readers[i].sound);
            snapshot_release((struct snapshot *)(uintptr_t)readers[i].snapshot);
        }
    }
    assert_true(store_check(world.store, NULL, 0));
    world_close(&world);
}

/* --- Memory ------------------------------------------------------------- */

static void without_memory_nothing_is_taken(void **state)
{
    struct world world;
    struct mem *mem;
    size_t used;

    (void)state;
    open_all_types(&world, 1, 20);
    for (unsigned i = 0; i < 200; i++)
        world_step(&world);
    mem = store_mem(world.store);
    used = mem->used;
    for (uint64_t nth = 1;; nth++) {
        struct snapshot *snapshot = NULL;
        enum status st;

        mem_fail_at(mem, nth, false);
        st = snapshot_take(world.store, &snapshot);
        if (st == ST_OK) {
            st = snapshot_list(snapshot);
            if (st < 0)
                snapshot_release(snapshot);
        }
        mem_fail_at(mem, 0, false);
        if (st == ST_OK) {
            assert_true(nth > 2);
            snapshot_release(snapshot);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(mem->used, used);
        assert_int_equal(world.store->epochs.open, 0);
        for (int t = 0; t < world.model.table_count; t++)
            assert_int_equal(table_note(world.tables[t]), 0);
    }
    assert_int_equal(mem->used, used);
    world_compare(&world);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_of_nothing_is_empty),
        cmocka_unit_test(tables_come_after_those_they_refer_to),
        cmocka_unit_test(any_order_of_many_tables_will_do),
        cmocka_unit_test(snapshots_stay_as_they_were),
        cmocka_unit_test(a_dropped_table_can_still_be_read),
        cmocka_unit_test(another_thread_reads_while_the_store_goes_on),
        cmocka_unit_test(without_memory_nothing_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
