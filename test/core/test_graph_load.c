/*
 * test_graph_load.c -- a load comes to the same graph as putting its elements
 * one by one, fails cleanly wherever memory ends, and gives all of it back.
 */
#include "core/graph_load.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/key.h"
#include "core/store_internal.h"
#include "support/random.h"
#include "support/term_text.h"

static struct bytes key_of(struct buffer *out, const char *text)
{
    struct buffer term = BUFFER(test_mem());

    term_parse(&term, text);
    out->size = 0;
    assert_int_equal(key_encode(buffer_bytes(&term), out), ST_OK);
    buffer_free(&term);
    return buffer_bytes(out);
}

static struct bytes term_of(struct buffer *out, const char *text)
{
    out->size = 0;
    term_parse(out, text);
    return buffer_bytes(out);
}

static struct table *make_graph(struct store *store, const char *name,
                                const struct graph_options *options)
{
    struct buffer key = BUFFER(test_mem());
    struct table *table;

    store_begin(store);
    assert_int_equal(graph_create(store, key_of(&key, name), options, &table),
                     ST_OK);
    store_commit(store);
    buffer_free(&key);
    return table;
}

static void assert_sound(struct store *store, struct table *table)
{
    char why[160] = "";

    if (!graph_check(store, table, why, sizeof(why)))
        fail_msg("%s", why);
    if (!store_check(store, why, sizeof(why)))
        fail_msg("%s", why);
}

static void assert_same(const struct table *a, const struct table *b)
{
    assert_true(digest_equal(table_digest(a), table_digest(b)));
}

/* --- elements, at random ------------------------------------------------- */

struct element {
    char from[40], to[40];
    char label[24];
    char value[40];
    bool is_edge;
    unsigned label_count;
};

/* Integers near and far, below zero, and other terms: few enough to meet. */
static void random_vertex(struct random *random, bool plain, char *ret)
{
    uint64_t n = random_below(random, 60);

    switch (plain ? 0 : random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        sprintf(ret, "%llu", (unsigned long long)n);
        break;
    case 3:
        sprintf(ret, "%llu", (unsigned long long)(n * 1000003 * 1000003));
        break;
    case 4:
        sprintf(ret, "-%llu", (unsigned long long)(n + 1));
        break;
    case 5:
        sprintf(ret, "<<\"a long common beginning %llu\">>",
                (unsigned long long)n);
        break;
    case 6:
        sprintf(ret, "<<\"%llu\">>", (unsigned long long)n);
        break;
    default:
        sprintf(ret, "{user, %llu}", (unsigned long long)n);
    }
}

static void random_label(struct random *random, char *ret)
{
    static const char *const labels[] = {"knows", "<<\"likes\">>", "zz", "7"};

    strcpy(ret, labels[random_below(random, 4)]);
}

/* What a round is like: plain integers, with labels, with values. */
static struct element random_element(struct random *random, unsigned kind)
{
    struct element element = {.label = "nil", .value = "nil"};

    element.is_edge = random_below(random, 4) != 0;
    random_vertex(random, !(kind & 1), element.from);
    random_vertex(random, !(kind & 1), element.to);
    if (kind & 2) {
        if (random_below(random, 2))
            random_label(random, element.label);
        element.label_count = (unsigned)random_below(random, 3);
    }
    if ((kind & 4) && random_below(random, 2))
        sprintf(element.value, "%llu",
                (unsigned long long)random_below(random, 5));
    return element;
}

static enum status load_element(struct graph_load *load,
                                const struct element *element)
{
    struct buffer key = BUFFER(test_mem());
    struct buffer value = BUFFER(test_mem());
    uint32_t labels[2] = {0, 0};
    uint32_t from, to;
    enum status st;

    term_of(&value, element->value);
    st = graph_load_label(load, key_of(&key, element->label), &labels[0]);
    if (st == ST_OK)
        st = graph_load_label(load, key_of(&key, "knows"), &labels[1]);
    if (st == ST_OK)
        st = graph_load_vertex(load, key_of(&key, element->from), &from);
    if (st == ST_OK && element->is_edge)
        st = graph_load_vertex(load, key_of(&key, element->to), &to);
    if (st == ST_OK && element->is_edge)
        st = graph_load_put_edge(load, from, to, labels[0],
                                 buffer_bytes(&value));
    else if (st == ST_OK)
        st = graph_load_put_vertex(
            load, from, buffer_bytes(&value), labels[0] ? labels : labels + 1,
            labels[0] ? element->label_count : element->label_count > 0);
    buffer_free(&key);
    buffer_free(&value);
    return st;
}

static void put_element(struct store *store, struct table *table,
                        const struct element *element)
{
    struct buffer from = BUFFER(test_mem());
    struct buffer to = BUFFER(test_mem());
    struct buffer label = BUFFER(test_mem());
    struct buffer knows = BUFFER(test_mem());
    struct buffer value = BUFFER(test_mem());
    struct graph_writer writer;
    struct bytes labels[2];
    enum outcome outcome;
    bool nil = strcmp(element->label, "nil") == 0;

    key_of(&from, element->from);
    key_of(&to, element->to);
    labels[0] = key_of(&label, element->label);
    labels[1] = key_of(&knows, "knows");
    term_of(&value, element->value);
    store_begin(store);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    if (element->is_edge)
        assert_int_equal(graph_put_edge(&writer, buffer_bytes(&from),
                                        buffer_bytes(&to), labels[0],
                                        buffer_bytes(&value), &outcome),
                         ST_OK);
    else
        assert_int_equal(graph_put_vertex(&writer, buffer_bytes(&from),
                                          buffer_bytes(&value),
                                          nil ? labels + 1 : labels,
                                          nil ? element->label_count > 0
                                              : element->label_count,
                                          &outcome),
                         ST_OK);
    store_commit(store);
    buffer_free(&from);
    buffer_free(&to);
    buffer_free(&label);
    buffer_free(&knows);
    buffer_free(&value);
}

/* Half of the elements, then the rest into what is no longer empty. */
static void a_load_is_like_single_puts(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned round = 0; round < 160; round++) {
        struct graph_options options = {
            .undirected = round & 8,
            .weight = round & 16 ? WEIGHT_VALUE : WEIGHT_NONE,
        };
        struct graph_load *load = NULL;
        struct graph_load_counts counts;
        unsigned count = (unsigned)random_below(&random, 300);
        struct table *one, *many;
        struct store *store;

        assert_int_equal(store_create(NULL, &store), ST_OK);
        one = make_graph(store, "one", &options);
        many = make_graph(store, "many", &options);
        for (unsigned half = 0; half < 2; half++) {
            assert_int_equal(graph_load_begin(store, many, &load), ST_OK);
            for (unsigned i = 0; i < count; i++) {
                struct element element = random_element(&random, round & 7);

                assert_int_equal(load_element(load, &element), ST_OK);
                put_element(store, one, &element);
            }
            assert_int_equal(graph_load_finish(load, NULL, &counts), ST_OK);
            assert_same(one, many);
            assert_sound(store, many);
        }
        store_free(store);
    }
}

static uint64_t edges_of(struct store *store, const struct table *table)
{
    struct graph graph;

    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    return graph_edge_count(&graph);
}

/* --- figures ------------------------------------------------------------- */

static void the_last_of_equal_edges_counts(void **state)
{
    static const struct graph_options options;
    struct buffer value = BUFFER(test_mem());
    struct graph_load_counts counts;
    struct graph_load *load;
    struct store *store;
    struct table *table;
    struct graph graph;
    uint32_t a, b;
    struct bytes found;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    table = make_graph(store, "g", &options);
    assert_int_equal(graph_load_begin(store, table, &load), ST_OK);
    assert_int_equal(graph_load_integer(load, 5, &a), ST_OK);
    assert_int_equal(graph_load_integer(load, INT64_MAX, &b), ST_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            graph_load_put_edge(load, a, b, 0,
                                term_of(&value, test_format("%u", i))),
            ST_OK);
    assert_int_equal(graph_load_put_edge(load, b, a, 0, graph_nil), ST_OK);
    assert_int_equal(graph_load_put_vertex(load, a, graph_nil, NULL, 0), ST_OK);
    assert_int_equal(graph_load_put_vertex(load, a, graph_nil, NULL, 0), ST_OK);
    assert_int_equal(graph_load_vertex_count(load), 2);
    assert_int_equal(graph_load_edge_count(load), 4);
    assert_int_equal(graph_load_finish(load, NULL, &counts), ST_OK);
    assert_int_equal(counts.vertices, 2);
    assert_int_equal(counts.edges, 2);
    assert_int_equal(counts.new_edges, 2);
    assert_int_equal(counts.repeated_edges, 2);
    assert_int_equal(counts.repeated_vertices, 1);
    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    assert_true(graph_find_edge(&graph, 1, 2, 0, &found));
    assert_true(bytes_equal(found, term_of(&value, "2")));
    assert_sound(store, table);
    buffer_free(&value);
    store_free(store);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct graph_options options = {.weight = WEIGHT_VALUE};
    struct buffer term = BUFFER(test_mem());
    uint32_t nil = 0;
    struct graph_load *load;
    struct store *store;
    struct table *table;
    uint32_t a;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    table = make_graph(store, "g", &options);
    assert_int_equal(graph_load_begin(store, table, &load), ST_OK);
    assert_int_equal(graph_load_integer(load, 1, &a), ST_OK);
    assert_int_equal(
        graph_load_put_edge(load, a, a, 0, term_of(&term, "heavy")),
        ST_BAD_WEIGHT);
    assert_int_equal(graph_load_put_vertex(load, a, graph_nil, &nil, 1),
                     ST_BAD_ARGUMENT);
    assert_int_equal(graph_load_edge_count(load), 0);
    graph_load_abort(load);
    graph_load_abort(NULL);
    assert_int_equal(edges_of(store, table), 0);
    assert_sound(store, table);
    buffer_free(&term);
    store_free(store);
}

/* Integers far apart, and more of them than any table of them would hold. */
static void integers_find_themselves_again(void **state)
{
    static const struct graph_options options;
    struct random random;
    struct graph_load *load;
    struct store *store;
    struct table *table;
    uint64_t *seen = calloc(200000, sizeof(*seen));
    uint32_t count = 0;

    (void)state;
    random_init(&random, random_seed());
    assert_non_null(seen);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    table = make_graph(store, "g", &options);
    assert_int_equal(graph_load_begin(store, table, &load), ST_OK);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t integer = random_below(&random, 3) == 0
                               ? random_below(&random, (uint64_t)1 << 62)
                               : random_below(&random, 8 * (uint64_t)i + 8);
        uint32_t number;

        assert_int_equal(graph_load_integer(load, (int64_t)integer, &number),
                         ST_OK);
        assert_true(number <= count);
        if (number == count)
            seen[count++] = integer;
        assert_int_equal(seen[number], integer);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;

        assert_int_equal(graph_load_integer(load, (int64_t)seen[i], &number),
                         ST_OK);
        assert_int_equal(number, i);
    }
    graph_load_abort(load);
    store_free(store);
    free(seen);
}

/* --- memory -------------------------------------------------------------- */

/* Loads the same elements with one allocation after the other failing. */
static void memory_may_end_anywhere(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 8; kind += 7) {
        static const struct graph_options options;
        struct store *store;
        struct table *table;
        uint64_t nth = 0;
        enum status st;

        assert_int_equal(store_create(NULL, &store), ST_OK);
        table = make_graph(store, "g", &options);
        do {
            struct random random = {.state = 7};
            struct graph_load_counts counts;
            struct graph_load *load = NULL;
            size_t before = store_mem(store)->used;

            mem_fail_at(store_mem(store), ++nth, true);
            st = graph_load_begin(store, table, &load);
            for (unsigned i = 0; i < 60 && st == ST_OK; i++) {
                struct element element = random_element(&random, kind);

                st = load_element(load, &element);
            }
            if (st == ST_OK)
                st = graph_load_finish(load, NULL, &counts);
            else
                graph_load_abort(load);
            mem_fail_at(store_mem(store), 0, false);
            if (st == ST_OK)
                break;
            assert_int_equal(st, ST_NO_MEMORY);
            assert_int_equal(edges_of(store, table), 0);
            assert_int_equal(store_mem(store)->used, before);
        } while (nth < 5000);
        assert_int_equal(st, ST_OK);
        assert_true(edges_of(store, table) > 10);
        assert_sound(store, table);
        store_free(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_is_like_single_puts),
        cmocka_unit_test(the_last_of_equal_edges_counts),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(integers_find_themselves_again),
        cmocka_unit_test(memory_may_end_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
