/*
 * test_graph_memo.c -- what a graph remembers of its vertices never differs
 * from what its trees say: ids that are given again, commands that are undone,
 * vertices of every size.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/graph.h"
#include "core/key.h"
#include "core/snapshot.h"
#include "core/store_internal.h"

#include "support/term_text.h"
#include "support/world.h"

#define VERTICES 40

struct bench {
    struct store *store;
    struct graph_writer writer;
    struct buffer term;
    struct buffer key;
    bool there[VERTICES];
};

static struct bytes name(struct bench *bench)
{
    bench->term.size = bench->key.size = 0;
    term_parse(&bench->term, "g");
    assert_int_equal(key_encode(buffer_bytes(&bench->term), &bench->key),
                     ST_OK);
    return buffer_bytes(&bench->key);
}

/* The key of vertex n, which is from two bytes to some 400 long; its term is
 * in bench->term. */
static struct bytes vertex(struct bench *bench, unsigned n)
{
    bench->term.size = bench->key.size = 0;
    term_parse(&bench->term,
               n % 2 ? test_format("<<\"%0*u\">>", (int)(n * n / 4 + 3), n)
                     : test_format("%u", n * 1000));
    assert_int_equal(key_encode(buffer_bytes(&bench->term), &bench->key),
                     ST_OK);
    return buffer_bytes(&bench->key);
}

static void begin(struct bench *bench)
{
    struct table *table;

    store_begin(bench->store);
    assert_int_equal(store_find_mutable(bench->store, name(bench), &table),
                     ST_OK);
    assert_int_equal(graph_writer_open(bench->store, table, &bench->writer),
                     ST_OK);
}

static void bench_open(struct bench *bench)
{
    const struct graph_options options = {.undirected = false};
    struct table *table;

    *bench =
        (struct bench){.term = BUFFER(test_mem()), .key = BUFFER(test_mem())};
    assert_int_equal(store_create(NULL, &bench->store), ST_OK);
    store_begin(bench->store);
    assert_int_equal(graph_create(bench->store, name(bench), &options, &table),
                     ST_OK);
    store_commit(bench->store);
}

static void bench_close(struct bench *bench)
{
    store_free(bench->store);
    buffer_free(&bench->term);
    buffer_free(&bench->key);
}

static void put(struct bench *bench, unsigned n)
{
    enum outcome outcome;

    assert_int_equal(graph_put_vertex(&bench->writer, vertex(bench, n),
                                      graph_nil, NULL, 0, &outcome),
                     ST_OK);
    bench->there[n] = true;
}

static void remove_vertex(struct bench *bench, unsigned n)
{
    uint64_t edges;
    bool deleted;

    assert_int_equal(
        graph_delete_vertex(&bench->writer, vertex(bench, n), &deleted, &edges),
        ST_OK);
    bench->there[n] = false;
}

/* Each vertex is found by its id, twice: from the tree, and as remembered. */
static void compare(struct bench *bench)
{
    const struct table *table = store_find(bench->store, name(bench));
    struct graph graph;
    struct bytes term;
    uint64_t id;

    assert_int_equal(graph_open(bench->store, table, &graph), ST_OK);
    for (unsigned n = 0; n < 2 * VERTICES; n++) {
        struct bytes key = vertex(bench, n % VERTICES);

        assert_int_equal(graph_find(&graph, key, &id),
                         bench->there[n % VERTICES]);
        if (!bench->there[n % VERTICES])
            continue;
        assert_true(graph_vertex(&graph, id, &term));
        assert_true(bytes_equal(term, buffer_bytes(&bench->term)));
    }
}

static size_t remembered(struct bench *bench)
{
    return store_find(bench->store, name(bench))->places->memo.bytes;
}

static void ids_may_be_given_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 20);) {
        struct random random;
        struct bench bench;

        random_init(&random, seed);
        bench_open(&bench);
        for (unsigned round = 0; round < 300; round++) {
            bool before[VERTICES];
            bool undone = random_below(&random, 3) == 0;

            memcpy(before, bench.there, sizeof(before));
            begin(&bench);
            for (uint64_t i = random_below(&random, 4); i < 4; i++) {
                unsigned n = (unsigned)random_below(&random, VERTICES);

                if (bench.there[n])
                    remove_vertex(&bench, n);
                else
                    put(&bench, n);
                if (random_below(&random, 2)) /* among what is not committed */
                    compare(&bench);
            }
            if (undone) {
                store_rollback(bench.store);
                memcpy(bench.there, before, sizeof(before));
            } else {
                store_commit(bench.store);
            }
            compare(&bench);
        }
        assert_true(remembered(&bench) > 0);
        bench_close(&bench);
    }
}

static void what_is_cleared_or_dropped_is_forgotten(void **state)
{
    const struct graph_options options = {.undirected = false};
    struct bench bench;
    struct table *table;
    size_t used;

    (void)state;
    bench_open(&bench);
    begin(&bench);
    for (unsigned n = 0; n < VERTICES; n++)
        put(&bench, n);
    store_commit(bench.store);
    compare(&bench);
    assert_true(remembered(&bench) > 0);

    store_begin(bench.store);
    store_find_mutable(bench.store, name(&bench), &table);
    assert_int_equal(graph_clear(bench.store, table), ST_OK);
    store_rollback(bench.store);
    compare(&bench);
    store_begin(bench.store);
    store_find_mutable(bench.store, name(&bench), &table);
    assert_int_equal(graph_clear(bench.store, table), ST_OK);
    store_commit(bench.store);
    memset(bench.there, 0, sizeof(bench.there));
    assert_int_equal(remembered(&bench), 0);

    /* The ids begin anew, with other vertices. */
    used = store_mem(bench.store)->used;
    begin(&bench);
    for (unsigned n = VERTICES; n-- > 0;)
        put(&bench, n);
    store_commit(bench.store);
    compare(&bench);
    store_begin(bench.store);
    store_find_mutable(bench.store, name(&bench), &table);
    assert_int_equal(graph_drop(bench.store, table), ST_OK);
    store_commit(bench.store);
    assert_true(store_mem(bench.store)->used < used);
    store_begin(bench.store);
    assert_int_equal(graph_create(bench.store, name(&bench), &options, &table),
                     ST_OK);
    store_commit(bench.store);
    memset(bench.there, 0, sizeof(bench.there));
    compare(&bench);
    bench_close(&bench);
}

/* What it remembers may not take the place of data. */
static void near_the_limit_nothing_is_remembered(void **state)
{
    struct bench bench;
    struct mem *mem;
    void *block;

    (void)state;
    bench_open(&bench);
    begin(&bench);
    for (unsigned n = 0; n < VERTICES; n++)
        put(&bench, n);
    store_commit(bench.store);
    mem = store_mem(bench.store);
    block = mem_alloc(mem, 1u << 20);
    mem->limit = mem->used + (100u << 10); /* there would be room */
    compare(&bench);
    assert_int_equal(remembered(&bench), 0);
    mem_free(mem, block, 1u << 20);
    mem->limit = 100 * mem->used;
    for (uint64_t nth = 1; nth < 6; nth++) { /* nor need it have memory */
        mem_fail_at(mem, nth, false);
        compare(&bench);
    }
    mem_fail_at(mem, 0, false);
    assert_true(remembered(&bench) > 0);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_may_be_given_again),
        cmocka_unit_test(what_is_cleared_or_dropped_is_forgotten),
        cmocka_unit_test(near_the_limit_nothing_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
