/*
 * test_digest.c -- sums of hashes, and that tables keep theirs exactly.
 */
#include "core/digest.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/store_internal.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

static void assert_same_digest(struct digest a, struct digest b)
{
    assert_true(a.low == b.low);
    assert_true(a.high == b.high);
}

/* --- Hashes and sums ---------------------------------------------------- */

/* From the test vectors of xxHash; a log is read on every machine. */
static void the_hash_is_xxh3(void **state)
{
    static const uint8_t of_nothing[DIGEST_BYTES] = {
        0x99, 0xAA, 0x06, 0xD3, 0x01, 0x47, 0x98, 0xD8,
        0x60, 0x01, 0xC3, 0x24, 0x46, 0x8D, 0x49, 0x7F};
    uint8_t bytes[DIGEST_BYTES];

    (void)state;
    digest_store(bytes, digest_bytes(BYTES("")));
    assert_memory_equal(bytes, of_nothing, sizeof(bytes));
    assert_same_digest(digest_load(bytes), digest_bytes(BYTES("")));
    assert_same_digest(digest_element(BYTES(""), NONE),
                       digest_bytes(BYTES("")));
}

static void an_element_is_one_run_of_bytes(void **state)
{
    static uint8_t run[3000];
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (size_t i = 0; i < sizeof(run); i++)
        run[i] = (uint8_t)random_next(&random);
    for (size_t size = 0; size <= sizeof(run); size++) {
        size_t cut = random_below(&random, size + 1);
        struct digest whole = digest_bytes(bytes_of(run, size));

        assert_same_digest(
            digest_element(bytes_of(run, cut), bytes_of(run + cut, size - cut)),
            whole);
        assert_same_digest(digest_element(bytes_of(run, size), NONE), whole);
        assert_same_digest(
            digest_element(bytes_of(run, 0), bytes_of(run, size)), whole);
    }
}

static void what_is_added_can_be_subtracted(void **state)
{
    struct digest sum = {UINT64_MAX - 1, UINT64_MAX};
    struct digest carry = sum;
    struct random random;

    (void)state;
    digest_add(&carry, (struct digest){2, 0});
    assert_same_digest(carry, (struct digest){0, 0});
    digest_subtract(&carry, (struct digest){2, 0});
    assert_same_digest(carry, sum);

    random_init(&random, random_seed());
    for (int i = 0; i < 10000; i++) {
        struct digest a = {random_next(&random), random_next(&random)};
        struct digest b = {random_next(&random), random_next(&random)};
        struct digest ab = sum;
        struct digest ba = sum;

        digest_add(&ab, a);
        digest_add(&ab, b);
        digest_add(&ba, b);
        digest_add(&ba, a);
        assert_same_digest(ab, ba);
        digest_subtract(&ab, a);
        digest_subtract(&ab, b);
        assert_same_digest(ab, sum);
        sum = ba;
    }
}

/* --- Tables ------------------------------------------------------------- */

static struct digest model_digest(const struct model_table *table)
{
    struct digest sum = {0, 0};

    for (size_t i = 0; i < table->count; i++)
        digest_add(&sum, digest_element(model_bytes(&table->pairs[i].first),
                                        model_bytes(&table->pairs[i].second)));
    return sum;
}

static void compare_digests(const struct world *world)
{
    for (int t = 0; t < world->model.table_count; t++)
        if (!digest_equal(table_digest(world->tables[t]),
                          model_digest(&world->model.tables[t])))
            world_fail(world, "t%d has another digest", t);
}

/* Tables that refer to each other, of all types but set. */
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
}

static void every_command_keeps_the_digest(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        for (uint64_t seed = 0; world_next_seed(&seed, 3);) {
            struct world world;

            world_open(&world, seed, seed % 2 ? 10 : 200);
            world_add_table(&world, type, NULL);
            for (unsigned i = 0; i < 2000; i++) {
                world_step(&world);
                compare_digests(&world);
            }
            world_close(&world);
        }
    }
}

static void a_rollback_brings_the_digest_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct world world;

        open_related(&world, seed, seed % 2 ? 12 : 100);
        for (unsigned round = 0; round < 100; round++) {
            unsigned length = (unsigned)random_below(&world.random, 60);
            struct digest before;
            uint64_t outcome;
            char why[256] = "";

            for (unsigned i = 0; i < 20; i++)
                world_step(&world);
            compare_digests(&world);
            before = store_digest(world.store);
            store_begin(world.store);
            for (unsigned i = 0; i < length; i++) {
                struct command command = world_command(&world);

                if (world_apply(&world, &command, &outcome) < 0)
                    break;
            }
            store_rollback(world.store);
            compare_digests(&world);
            assert_same_digest(store_digest(world.store), before);
            if (!store_check(world.store, why, sizeof(why)))
                world_fail(&world, "%s", why);
        }
        world_close(&world);
    }
}

/* Rows come in the order of their ids, and those that went go again. */
static void copy_pom(struct world *to, const struct world *from, int t)
{
    const struct model_table *model = &from->model.tables[t];
    const struct model_text *row;
    struct bytes unused = BYTES("\x6A");
    uint64_t id;

    for (uint64_t next = 1; next < model->next_id; next++) {
        row = NULL;
        for (size_t i = 0; i < model->count; i++) {
            assert_true(
                key_decode_u64(model_bytes(&model->pairs[i].first), &id));
            if (id == next)
                row = &model->pairs[i].second;
        }
        assert_int_equal(pom_insert(to->store, to->tables[t],
                                    row ? model_bytes(row) : unused, &id),
                         ST_OK);
        assert_true(id == next);
        if (!row) {
            struct buffer key = BUFFER(store_mem(to->store));

            assert_int_equal(key_encode_u64(id, &key), ST_OK);
            assert_int_equal(table_delete_key(to->store, to->tables[t],
                                              SIDE_FWD, buffer_bytes(&key),
                                              &id),
                             ST_OK);
            buffer_free(&key);
        }
    }
}

/* Inserts what the model of `from` holds, in random order. */
static void copy_table(struct world *to, struct world *from, int t)
{
    struct model_table *model = &from->model.tables[t];
    bool inserted;

    if (model->type == TABLE_POM) {
        copy_pom(to, from, t);
        return;
    }
    for (size_t i = model->count; i > 1; i--) {
        size_t j = random_below(&from->random, i);
        struct model_pair pair = model->pairs[j];

        model->pairs[j] = model->pairs[i - 1];
        model->pairs[i - 1] = pair;
    }
    for (size_t i = 0; i < model->count; i++) {
        assert_int_equal(table_insert(to->store, to->tables[t], SIDE_FWD,
                                      model_bytes(&model->pairs[i].first),
                                      model_bytes(&model->pairs[i].second),
                                      &inserted),
                         ST_OK);
        assert_true(inserted);
    }
}

static void the_way_to_the_contents_does_not_show(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct world world;
        struct world copy;

        open_related(&world, seed, seed % 2 ? 12 : 100);
        open_related(&copy, seed, 0);
        for (unsigned i = 0; i < 3000; i++)
            world_step(&world);
        for (int t = 0; t < world.model.table_count; t++) {
            store_begin(copy.store);
            copy_table(&copy, &world, t);
            store_commit(copy.store);
            assert_same_digest(table_digest(copy.tables[t]),
                               table_digest(world.tables[t]));
        }
        assert_same_digest(store_digest(copy.store), store_digest(world.store));
        assert_true(store_seq(copy.store) != store_seq(world.store));
        world_close(&copy);
        world_close(&world);
    }
}

static void an_empty_table_has_a_digest_of_zero(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct digest zero = {0, 0};
        struct command command;
        struct world world;
        uint64_t outcome;

        world_open(&world, 1, 20);
        world_add_table(&world, type, NULL);
        assert_same_digest(table_digest(world.tables[0]), zero);
        for (unsigned i = 0; i < 100 || !world.model.tables[0].count; i++)
            world_step(&world);
        assert_false(digest_equal(table_digest(world.tables[0]), zero));
        command = (struct command){.kind = COMMAND_CLEAR};
        store_begin(world.store);
        assert_int_equal(world_apply(&world, &command, &outcome), ST_OK);
        assert_same_digest(table_digest(world.tables[0]), zero);
        store_rollback(world.store);
        compare_digests(&world);
        world_close(&world);
    }
}

static void the_check_counts_again(void **state)
{
    struct world world;
    char why[128] = "";

    (void)state;
    world_open(&world, 1, 20);
    world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
    world_step(&world);
    assert_true(table_check(world.tables[0], why, sizeof(why)));
    world.tables[0]->digest.high ^= 1;
    assert_false(table_check(world.tables[0], why, sizeof(why)));
    assert_non_null(strstr(why, "digest"));
    world.tables[0]->digest.high ^= 1;
    world_close(&world);
}

/* --- Stores ------------------------------------------------------------- */

/* What may differ between two stores. */
struct setting {
    unsigned name;
    enum table_type type;
    bool refers[2];
    enum on_delete on_delete;
    unsigned ids;      /* rows that a pom gave out and lost again */
    unsigned elements; /* of the first one */
    bool swapped;      /* the order in which tables are created */
};

static struct table *create(struct store *store, unsigned name,
                            enum table_type type,
                            const struct table_reference references[2])
{
    struct model_text text = world_key(name);
    struct table *table;

    assert_int_equal(
        store_table_create(store, model_bytes(&text), type, references, &table),
        ST_OK);
    return table;
}

static struct digest digest_of(const struct setting *setting)
{
    struct table_reference references[2] = {{NULL, ON_DELETE_RESTRICT},
                                            {NULL, ON_DELETE_RESTRICT}};
    struct table *tables[2];
    struct store *store;
    struct digest digest;
    uint64_t id;
    bool done;

    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    for (int i = 0; i < 2; i++) {
        bool second = i != setting->swapped;

        tables[second] =
            create(store, second ? 6 : 5, second ? TABLE_POM : TABLE_SET, NULL);
    }
    for (int side = 0; side < 2; side++) {
        references[side].table = setting->refers[side] ? tables[0] : NULL;
        references[side].on_delete = setting->on_delete;
    }
    create(store, setting->name, setting->type, references);
    for (unsigned i = 0; i < setting->ids; i++)
        assert_int_equal(pom_insert(store, tables[1], BYTES("\x6A"), &id),
                         ST_OK);
    assert_int_equal(table_clear(store, tables[1]), ST_OK);
    for (unsigned i = 0; i < setting->elements; i++) {
        struct model_text key = world_key(i);

        assert_int_equal(table_insert(store, tables[0], SIDE_FWD,
                                      model_bytes(&key), NONE, &done),
                         ST_OK);
    }
    store_commit(store);
    digest = store_digest(store);
    store_free(store);
    return digest;
}

static void each_difference_makes_another_digest(void **state)
{
    struct setting settings[] = {
        {.name = 10, .type = TABLE_MANY_TO_MANY},
        {.name = 11, .type = TABLE_MANY_TO_MANY},
        {.name = 10, .type = TABLE_ONE_TO_MANY},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .refers = {true, false}},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .refers = {false, true}},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .refers = {true, true}},
        {.name = 10,
         .type = TABLE_MANY_TO_MANY,
         .refers = {true, true},
         .on_delete = ON_DELETE_EVICT},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .ids = 1},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .ids = 2},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .elements = 1},
        {.name = 10, .type = TABLE_MANY_TO_MANY, .elements = 2},
    };
    size_t count = sizeof(settings) / sizeof(*settings);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct digest digest = digest_of(&settings[i]);

        for (size_t j = 0; j < count; j++) {
            settings[j].swapped = true;
            assert_int_equal(digest_equal(digest, digest_of(&settings[j])),
                             i == j);
        }
        settings[i].swapped = false;
    }
    /* What a side would do that refers to nothing does not count. */
    settings[1] = settings[0];
    settings[1].on_delete = ON_DELETE_EVICT;
    assert_same_digest(digest_of(&settings[0]), digest_of(&settings[1]));
}

static void a_store_with_nothing_differs_from_one_with_a_table(void **state)
{
    struct store *store;
    struct digest empty;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    empty = store_digest(store);
    store_begin(store);
    create(store, 0, TABLE_SET, NULL);
    assert_false(digest_equal(store_digest(store), empty));
    store_rollback(store);
    assert_same_digest(store_digest(store), empty);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_xxh3),
        cmocka_unit_test(an_element_is_one_run_of_bytes),
        cmocka_unit_test(what_is_added_can_be_subtracted),
        cmocka_unit_test(every_command_keeps_the_digest),
        cmocka_unit_test(a_rollback_brings_the_digest_back),
        cmocka_unit_test(the_way_to_the_contents_does_not_show),
        cmocka_unit_test(an_empty_table_has_a_digest_of_zero),
        cmocka_unit_test(the_check_counts_again),
        cmocka_unit_test(each_difference_makes_another_digest),
        cmocka_unit_test(a_store_with_nothing_differs_from_one_with_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
