/*
 * test_load.c -- tables filled from sorted elements: the same as those that
 * were filled by commands, or nothing at all.
 */
#include "core/load.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/store_internal.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- Loading what a model holds ----------------------------------------- */

/* Creates in `store` what the catalog of `world` holds, empty. */
static void create_alike(const struct world *world, struct store *store,
                         struct table *tables[MODEL_TABLES_MAX])
{
    store_begin(store);
    for (int t = 0; t < world->model.table_count; t++) {
        const struct model_table *model = &world->model.tables[t];
        struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};

        for (int side = 0; side < 2; side++) {
            if (model->references[side].table < 0)
                continue;
            references[side].table = tables[model->references[side].table];
            references[side].on_delete = model->references[side].on_delete;
        }
        assert_int_equal(store_table_create(store, table_name(world->tables[t]),
                                            model->type, references,
                                            &tables[t]),
                         ST_OK);
    }
    store_commit(store);
}

/* The elements of one table, as its sides order them. */
struct elements {
    struct model_pair *pairs[2];
    size_t count;
    bool has_bwd;
    uint64_t next_id;
};

static struct elements elements_of(const struct world *world, int t)
{
    struct elements elements = {
        .has_bwd = table_has_side(world->tables[t], SIDE_BWD),
        .next_id = world->model.tables[t].next_id,
    };

    for (int side = 0; side <= elements.has_bwd; side++)
        elements.count = model_list(&world->model, t, (enum side)side, NULL,
                                    &elements.pairs[side]);
    return elements;
}

static void elements_free(struct elements *elements)
{
    free(elements->pairs[SIDE_FWD]);
    free(elements->pairs[SIDE_BWD]);
}

static enum status add_one(struct loader *loader, enum side side,
                           const struct model_pair *pair)
{
    return loader_add(loader, side, model_bytes(&pair->first),
                      model_bytes(&pair->second));
}

/* Loads all, the sides one after the other or by turns. */
static enum status load(struct store *store, struct table *table,
                        const struct elements *elements, bool by_turns)
{
    size_t sides = elements->has_bwd ? 2 : 1;
    size_t total = elements->count * sides;
    struct loader *loader;
    enum status st = loader_create(store, table, &loader);

    if (st < 0)
        return st;
    for (size_t i = 0; i < total && st == ST_OK; i++) {
        size_t side = by_turns ? i % sides : i / elements->count;
        size_t at = by_turns ? i / sides : i % elements->count;

        st = add_one(loader, (enum side)side, &elements->pairs[side][at]);
    }
    if (st < 0) {
        loader_abort(loader);
        return st;
    }
    return loader_finish(loader, elements->next_id);
}

static void open_related(struct world *world, uint64_t seed, unsigned keys)
{
    struct model_reference both[2] = {{0, ON_DELETE_EVICT},
                                      {1, ON_DELETE_RESTRICT}};
    struct model_reference fwd[2] = {{3, ON_DELETE_EVICT},
                                     {-1, ON_DELETE_EVICT}};

    world_open(world, seed, keys);
    world_add_table(world, TABLE_ONE_TO_MANY, NULL);
    world_add_table(world, TABLE_TO_ONE, NULL);
    world_add_table(world, TABLE_POM, NULL);
    world_add_table(world, TABLE_ONE_TO_ONE, NULL);
    world_add_table(world, TABLE_MANY_TO_MANY, both);
    world_add_table(world, TABLE_TO_MANY, fwd);
    world_add_table(world, TABLE_MANY_TO_ONE, NULL);
    world_add_table(world, TABLE_SET, fwd);
}

/* The loaded store then takes the other one's place and goes on. */
static void a_loaded_store_equals_the_one_it_came_from(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct table *tables[MODEL_TABLES_MAX];
        struct world world;
        struct store *store;
        unsigned steps = seed % 3 ? 3000 : 30;

        open_related(&world, seed, seed % 2 ? 12 : 150);
        for (unsigned i = 0; i < steps; i++)
            world_step(&world);
        assert_int_equal(store_create(NULL, &store), ST_OK);
        create_alike(&world, store, tables);
        for (int t = 0; t < world.model.table_count; t++) {
            struct elements elements = elements_of(&world, t);

            assert_int_equal(load(store, tables[t], &elements, seed % 2),
                             ST_OK);
            elements_free(&elements);
        }
        store_set_seq(store, store_seq(world.store));
        assert_true(
            digest_equal(store_digest(store), store_digest(world.store)));
        assert_int_equal(store_mem(store)->used, store_bytes(store));

        store_free(world.store);
        world.store = store;
        memcpy(world.tables, tables, sizeof(tables));
        world_compare(&world);
        for (unsigned i = 0; i < 1000; i++)
            world_step(&world);
        world_compare(&world);
        world_close(&world);
    }
}

/* Tables of several levels; full pages are no larger than grown ones. */
static void many_pages_are_loaded_too(void **state)
{
    enum { KEYS = 300 };

    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 2);) {
        struct world world;
        struct store *store;
        struct table *tables[MODEL_TABLES_MAX];
        struct elements elements;
        char why[128] = "";
        bool done;

        world_open(&world, seed, KEYS);
        world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
        for (unsigned i = 0; i < 30000; i++) {
            struct model_text a =
                world_key((unsigned)random_below(&world.random, KEYS));
            struct model_text b =
                world_key((unsigned)random_below(&world.random, 20 * KEYS));

            store_begin(world.store);
            assert_int_equal(table_insert(world.store, world.tables[0],
                                          SIDE_FWD, model_bytes(&a),
                                          model_bytes(&b), &done),
                             ST_OK);
            store_commit(world.store);
        }

        /* Straight from tree to tree: a model of this size takes minutes. */
        assert_int_equal(store_create(NULL, &store), ST_OK);
        create_alike(&world, store, tables);
        {
            struct loader *loader;
            struct tree_entry entry = {.buffer = BUFFER(store_mem(store))};

            assert_int_equal(loader_create(store, tables[0], &loader), ST_OK);
            for (enum side side = SIDE_BWD;; side = SIDE_FWD) {
                struct tree_cursor cursor;

                for (bool more = tree_cursor_select(
                         &cursor, table_root(world.tables[0], side), 0);
                     more; more = tree_cursor_next(&cursor)) {
                    assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
                    assert_int_equal(loader_add(loader, side, entry.key.first,
                                                entry.key.second),
                                     ST_OK);
                }
                if (side == SIDE_FWD)
                    break;
            }
            buffer_free(&entry.buffer);
            assert_int_equal(loader_finish(loader, 0), ST_OK);
        }
        if (!store_check(store, why, sizeof(why)))
            world_fail(&world, "%s", why);
        assert_true(
            digest_equal(store_digest(store), store_digest(world.store)));
        assert_true(table_bytes(tables[0]) < table_bytes(world.tables[0]));

        /* What stands in it already cannot be loaded over. */
        elements = (struct elements){.count = 0};
        assert_int_equal(load(store, tables[0], &elements, false),
                         ST_BAD_ARGUMENT);
        assert_true(table_count(tables[0]) > 0);
        assert_int_equal(store_mem(store)->used, store_bytes(store));
        store_free(store);
        world_close(&world);
    }
}

/* --- What is refused ---------------------------------------------------- */

/* One table of each type in a store, and nothing in them. */
struct bench {
    struct store *store;
    struct table *tables[TABLE_ELEMENTS_COUNT];
    struct model_text keys[8]; /* ascending; the first ones are ids */
};

static int by_text(const void *a, const void *b)
{
    return model_text_compare(a, b);
}

static void bench_open(struct bench *bench)
{
    assert_int_equal(store_create(NULL, &bench->store), ST_OK);
    store_begin(bench->store);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct model_text name = world_key(type);

        assert_int_equal(store_table_create(bench->store, model_bytes(&name),
                                            type, NULL, &bench->tables[type]),
                         ST_OK);
    }
    store_commit(bench->store);
    for (unsigned i = 0; i < COUNT(bench->keys); i++)
        bench->keys[i] = world_key(i < 4 ? 5 * (i + 1) : i + 50);
    qsort(bench->keys, COUNT(bench->keys), sizeof(bench->keys[0]), by_text);
}

/* All tables are empty and hold no memory. */
static void bench_close(struct bench *bench)
{
    char why[128] = "";

    if (!store_check(bench->store, why, sizeof(why)))
        fail_msg("%s", why);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        assert_int_equal(table_count(bench->tables[type]), 0);
        assert_int_equal(table_bytes(bench->tables[type]), 0);
    }
    assert_int_equal(store_mem(bench->store)->used, store_bytes(bench->store));
    store_free(bench->store);
}

static struct bytes key(const struct bench *bench, int n)
{
    return n < 0 ? NONE : model_bytes(&bench->keys[n]);
}

static struct loader *begin(struct bench *bench, enum table_type type)
{
    struct loader *loader = NULL;

    assert_int_equal(loader_create(bench->store, bench->tables[type], &loader),
                     ST_OK);
    return loader;
}

/* A side's elements by numbers of keys; -1 is nothing. The last is wrong. */
struct wrong_order {
    enum table_type type;
    enum side side;
    int pairs[3][2];
    int count;
};

static void what_does_not_ascend_is_refused(void **state)
{
    static const struct wrong_order cases[] = {
        {TABLE_SET, SIDE_FWD, {{1, -1}, {1, -1}}, 2},
        {TABLE_SET, SIDE_FWD, {{1, -1}, {2, -1}, {0, -1}}, 3},
        {TABLE_POM, SIDE_FWD, {{1, 0}, {1, 1}}, 2},
        {TABLE_POM, SIDE_FWD, {{1, 0}, {0, 1}}, 2},
        {TABLE_TO_ONE, SIDE_FWD, {{4, 0}, {4, 1}}, 2},
        {TABLE_TO_ONE, SIDE_FWD, {{4, 0}, {3, 1}}, 2},
        {TABLE_TO_MANY, SIDE_FWD, {{4, 0}, {4, 1}, {4, 0}}, 3},
        {TABLE_TO_MANY, SIDE_FWD, {{4, 0}, {4, 1}, {4, 1}}, 3},
        {TABLE_TO_MANY, SIDE_FWD, {{4, 0}, {5, 1}, {4, 2}}, 3},
        {TABLE_MANY_TO_MANY, SIDE_FWD, {{4, 0}, {5, 1}, {4, 2}}, 3},
        {TABLE_MANY_TO_MANY, SIDE_BWD, {{4, 0}, {5, 1}, {4, 2}}, 3},
        /* A key comes again on a unique side. */
        {TABLE_ONE_TO_ONE, SIDE_FWD, {{4, 0}, {4, 1}}, 2},
        {TABLE_ONE_TO_ONE, SIDE_BWD, {{4, 0}, {4, 1}}, 2},
        {TABLE_ONE_TO_MANY, SIDE_BWD, {{3, 0}, {4, 0}, {4, 1}}, 3},
        {TABLE_MANY_TO_ONE, SIDE_FWD, {{3, 0}, {4, 0}, {4, 1}}, 3},
        /* The table has no such side. */
        {TABLE_POM, SIDE_BWD, {{0, 1}}, 1},
        {TABLE_SET, SIDE_BWD, {{0, -1}}, 1},
        {TABLE_TO_ONE, SIDE_BWD, {{0, 1}}, 1},
        {TABLE_TO_MANY, SIDE_BWD, {{0, 1}}, 1},
        /* Components too many or too few. */
        {TABLE_SET, SIDE_FWD, {{0, 1}}, 1},
        {TABLE_SET, SIDE_FWD, {{-1, -1}}, 1},
        {TABLE_TO_MANY, SIDE_FWD, {{0, -1}}, 1},
        {TABLE_TO_MANY, SIDE_FWD, {{-1, 0}}, 1},
        {TABLE_MANY_TO_MANY, SIDE_BWD, {{0, -1}}, 1},
        {TABLE_TO_ONE, SIDE_FWD, {{0, -1}}, 1},
        {TABLE_POM, SIDE_FWD, {{0, -1}}, 1},
        /* No id. */
        {TABLE_POM, SIDE_FWD, {{0, 0}, {7, 0}}, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct wrong_order *c = &cases[i];
        struct bench bench;
        struct loader *loader;

        bench_open(&bench);
        loader = begin(&bench, c->type);
        for (int n = 0; n < c->count; n++) {
            enum status st =
                loader_add(loader, c->side, key(&bench, c->pairs[n][0]),
                           key(&bench, c->pairs[n][1]));

            if (st != (n + 1 == c->count ? ST_BAD_ARGUMENT : ST_OK))
                fail_msg("case %zu, element %d: status %d", i, n, st);
        }
        loader_abort(loader);
        bench_close(&bench);
    }
}

static void sides_that_differ_are_refused(void **state)
{
    static const struct {
        int fwd[2][2];
        int bwd[2][2];
        int counts[2];
    } cases[] = {
        {{{0, 1}}, {{0}}, {1, 0}},
        {{{0}}, {{0, 1}}, {0, 1}},
        {{{0, 1}}, {{0, 1}}, {1, 1}}, /* not turned round */
        {{{0, 1}, {2, 3}}, {{1, 0}}, {2, 1}},
        {{{0, 1}}, {{1, 0}, {3, 2}}, {1, 2}},
        {{{0, 1}, {2, 3}}, {{1, 2}, {3, 0}}, {2, 2}},
        {{{0, 1}, {2, 3}}, {{1, 0}, {3, 1}}, {2, 2}},
    };

    (void)state;
    for (enum table_type type = TABLE_ONE_TO_ONE; type < TABLE_ELEMENTS_COUNT;
         type++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct bench bench;
            struct loader *loader;

            bench_open(&bench);
            loader = begin(&bench, type);
            for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
                const int(*pairs)[2] =
                    side == SIDE_FWD ? cases[i].fwd : cases[i].bwd;

                for (int n = 0; n < cases[i].counts[side]; n++)
                    assert_int_equal(loader_add(loader, side,
                                                key(&bench, pairs[n][0]),
                                                key(&bench, pairs[n][1])),
                                     ST_OK);
            }
            assert_int_equal(loader_finish(loader, 0), ST_BAD_ARGUMENT);
            bench_close(&bench);
        }
    }
}

static void ids_must_lie_below_the_next(void **state)
{
    static const struct {
        uint64_t ids[2];
        uint64_t next_id;
        enum status st;
    } cases[] = {
        {{1, 7}, 8, ST_OK},
        {{1, 7}, UINT64_MAX, ST_OK},
        {{1, 7}, 7, ST_BAD_ARGUMENT},
        {{1, 7}, 1, ST_BAD_ARGUMENT},
        {{1, 7}, 0, ST_OK},
        {{5, UINT64_MAX}, 0, ST_OK},
        {{5, UINT64_MAX}, UINT64_MAX, ST_BAD_ARGUMENT},
        {{0, 0}, 1, ST_OK}, /* no rows */
        {{0, 0}, 12, ST_OK},
        {{0, 0}, 0, ST_OK},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench bench;
        struct table *table;
        struct buffer id;
        struct loader *loader;
        uint64_t got;
        char why[128] = "";

        bench_open(&bench);
        table = bench.tables[TABLE_POM];
        id = BUFFER(store_mem(bench.store));
        loader = begin(&bench, TABLE_POM);
        for (int n = 0; n < 2 && cases[i].ids[n]; n++) {
            id.size = 0;
            assert_int_equal(key_encode_u64(cases[i].ids[n], &id), ST_OK);
            assert_int_equal(
                loader_add(loader, SIDE_FWD, buffer_bytes(&id), BYTES("\x6A")),
                ST_OK);
        }
        buffer_free(&id);
        assert_int_equal(loader_finish(loader, cases[i].next_id), cases[i].st);
        assert_true(table_next_id(table) ==
                    (cases[i].st < 0 ? 1 : cases[i].next_id));
        if (!table_check(table, why, sizeof(why)))
            fail_msg("case %zu: %s", i, why);
        store_begin(bench.store);
        assert_int_equal(pom_insert(bench.store, table, BYTES("\x6A"), &got),
                         table_next_id(table) ? ST_OK : ST_EXHAUSTED);
        assert_int_equal(table_clear(bench.store, table), ST_OK);
        store_commit(bench.store);
        bench_close(&bench);
    }

    /* The id 0 is never given out. */
    {
        struct bench bench;
        struct model_text zero = world_key(0);
        struct loader *loader;

        bench_open(&bench);
        loader = begin(&bench, TABLE_POM);
        assert_int_equal(
            loader_add(loader, SIDE_FWD, model_bytes(&zero), BYTES("\x6A")),
            ST_BAD_ARGUMENT);
        loader_abort(loader);
        bench_close(&bench);
    }
}

static void an_aborted_load_leaves_nothing(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    loader_abort(NULL);
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        int second = type == TABLE_SET ? -1 : 3;
        struct loader *loader;

        /* Twice, for the table can be begun anew. */
        for (int round = 0; round < 2; round++) {
            loader_abort(begin(&bench, type));
            loader = begin(&bench, type);
            for (int n = 0; n < 3; n++)
                assert_int_equal(loader_add(loader, SIDE_FWD, key(&bench, n),
                                            key(&bench, second)),
                                 ST_OK);
            loader_abort(loader);
        }
        loader = begin(&bench, type);
        assert_int_equal(loader_finish(loader, 1), ST_OK);
    }
    bench_close(&bench);
}

static void keys_have_a_limit(void **state)
{
    static uint8_t large[KEY_BYTES_MAX + 1];
    struct bench bench;

    (void)state;
    memset(large, 0x55, sizeof(large));
    bench_open(&bench);
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        struct bytes sides[2] = {bytes_of(large, sizeof(large)), BYTES("k")};
        struct loader *loader = begin(&bench, TABLE_MANY_TO_MANY);

        assert_int_equal(
            loader_add(loader, SIDE_FWD, sides[side], sides[side_other(side)]),
            ST_TOO_BIG);
        loader_abort(loader);
    }
    bench_close(&bench);
}

/* --- Memory ------------------------------------------------------------- */

static void a_failed_allocation_leaves_the_table_empty(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct table *tables[MODEL_TABLES_MAX];
        struct elements elements;
        struct store *store;
        struct world world;
        struct mem *mem;
        uint64_t nth;

        world_open(&world, type + 1u, 400);
        world_add_table(&world, type, NULL);
        while (world.step < 1500) {
            struct command command = world_command(&world);

            world.step++;
            if (command.kind == COMMAND_INSERT ||
                command.kind == COMMAND_POM_INSERT)
                world_run(&world, &command);
        }
        assert_int_equal(store_create(NULL, &store), ST_OK);
        create_alike(&world, store, tables);
        elements = elements_of(&world, 0);
        mem = store_mem(store);
        for (nth = 1;; nth++) {
            enum status st;

            mem_fail_at(mem, nth, nth % 2);
            st = load(store, tables[0], &elements, type % 2);
            mem_fail_at(mem, 0, false);
            assert_int_equal(mem->used, store_bytes(store));
            if (st == ST_OK)
                break;
            assert_int_equal(st, ST_NO_MEMORY);
            assert_int_equal(table_count(tables[0]), 0);
            assert_int_equal(table_bytes(tables[0]), 0);
            assert_true(table_check(tables[0], NULL, 0));
        }
        assert_true(nth > 10);
        assert_true(
            digest_equal(store_digest(store), store_digest(world.store)));
        elements_free(&elements);
        store_free(store);
        world_close(&world);
    }
}

static void the_memory_limit_counts(void **state)
{
    struct bench bench;
    struct loader *loader;
    struct mem *mem;
    enum status st = ST_OK;

    (void)state;
    bench_open(&bench);
    mem = store_mem(bench.store);
    mem->limit = mem->used;
    assert_int_equal(
        loader_create(bench.store, bench.tables[TABLE_SET], &loader),
        ST_MEMORY_LIMIT);
    mem->limit = mem->used + (200u << 10);
    loader = begin(&bench, TABLE_SET);
    for (unsigned i = 0; st == ST_OK && i < 1000000; i++) {
        uint8_t id[5] = {0x15};

        store_be32(id + 1, i + 1);
        st = loader_add(loader, SIDE_FWD, bytes_of(id, sizeof(id)), NONE);
    }
    assert_int_equal(st, ST_MEMORY_LIMIT);
    loader_abort(loader);
    mem->limit = SIZE_MAX;
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_store_equals_the_one_it_came_from),
        cmocka_unit_test(many_pages_are_loaded_too),
        cmocka_unit_test(what_does_not_ascend_is_refused),
        cmocka_unit_test(sides_that_differ_are_refused),
        cmocka_unit_test(ids_must_lie_below_the_next),
        cmocka_unit_test(an_aborted_load_leaves_nothing),
        cmocka_unit_test(keys_have_a_limit),
        cmocka_unit_test(a_failed_allocation_leaves_the_table_empty),
        cmocka_unit_test(the_memory_limit_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
