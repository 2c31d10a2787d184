/*
 * test_community.c -- Louvain and Leiden against all partitions there are, and
 * what their papers promise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <math.h>
#include <cmocka.h>

#include "support/kernel.h"

static uint64_t seed;

static const char *const names[] = {"louvain", "leiden"};

#define EACH_NAME(name)                                                        \
    for (unsigned i_ = 0; i_ < 2; i_++)                                        \
        for (const char *name = names[i_]; name; name = NULL)

static void wrong(const struct naive_graph *graph, const char *name,
                  const char *what)
{
    naive_print(graph);
    fail_msg("SEED=%llu: %s: %s", (unsigned long long)seed, name, what);
}

/* Runs to the end of what can be gained. */
static void to_the_end(struct kernel *kernel, const char *name)
{
    kernel_init(kernel, name);
    kernel_set_f64(kernel, "tolerance", 0);
    kernel_set_u64(kernel, "max_levels", 100);
    kernel_set_u64(kernel, "max_iterations", 1000);
}

/* What holds of every result: communities are named after their smallest
 * vertices, and the figures tell the truth. */
static double check_result(const struct naive_graph *graph, const char *name,
                           const struct result *result, double gamma)
{
    const uint32_t *label = result_vertices(result, "community");
    double modularity = naive_modularity(graph, label, gamma);
    uint32_t count = 0;

    assert_true(result->per_vertex);
    assert_int_equal(result->rows, graph->n);
    for (uint32_t v = 0; v < graph->n; v++) {
        if (label[v] > v || label[label[v]] != label[v])
            wrong(graph, name, "a community has the wrong name");
        count += label[v] == v;
    }
    if (fabs(modularity - result_figure(result, "modularity")) > 1e-9)
        wrong(graph, name, "the modularity is another one");
    if (count != (uint32_t)result_figure(result, "communities"))
        wrong(graph, name, "the number of communities is another one");
    return modularity;
}

/* Whether two of the communities as one would be better. */
static bool two_should_be_one(const struct naive_graph *graph,
                              const uint32_t *label, double gamma)
{
    uint32_t *joined = malloc(graph->n * sizeof(uint32_t));
    double now = naive_modularity(graph, label, gamma);
    bool ret = false;

    for (uint32_t a = 0; a < graph->n; a++)
        for (uint32_t b = 0; b < a; b++) {
            if (label[a] != a || label[b] != b)
                continue;
            for (uint32_t v = 0; v < graph->n; v++)
                joined[v] = label[v] == a ? b : label[v];
            ret = ret || naive_modularity(graph, joined, gamma) > now + 1e-9;
        }
    free(joined);
    return ret;
}

static void small_graphs_come_close_to_the_best_partition(void **state)
{
    struct random random;
    uint64_t best_found[2] = {0, 0};
    uint64_t rounds = 1500;

    (void)state;
    random_init(&random, seed);
    for (uint64_t round = 0; round < rounds; round++) {
        struct naive_graph graph;
        struct naive_image image;
        double gamma = 0.5 * (double)random_below(&random, 5);
        double best;
        double alone;
        uint32_t own[8] = {0, 1, 2, 3, 4, 5, 6, 7};

        naive_random(&graph, &random, 7, random_below(&random, 2),
                     random_below(&random, 2), false);
        naive_project(&graph, &image);
        best = naive_best_modularity(&graph, gamma);
        alone = naive_modularity(&graph, own, gamma);
        for (unsigned i = 0; i < 2; i++) {
            struct kernel kernel;
            struct result result;
            const uint32_t *label;
            double modularity;

            to_the_end(&kernel, names[i]);
            kernel_set_f64(&kernel, "gamma", gamma);
            kernel_set_u64(&kernel, "seed", round);
            kernel_must(&kernel, &image, &result);
            modularity = check_result(&graph, names[i], &result, gamma);
            label = result_vertices(&result, "community");
            if (modularity > best + 1e-9 || modularity < alone - 1e-9)
                wrong(&graph, names[i], "out of all bounds");
            best_found[i] += modularity > best - 1e-9;
            if (two_should_be_one(&graph, label, gamma))
                wrong(&graph, names[i], "two communities should be one");
            if (i == 1 && !naive_connected(&graph, label))
                wrong(&graph, names[i], "a community is not connected");
            result_free(&image.mem, &result);
        }
        naive_image_free(&image);
        naive_free(&graph);
    }
    printf("the best of all: louvain %llu, leiden %llu of %llu\n",
           (unsigned long long)best_found[0], (unsigned long long)best_found[1],
           (unsigned long long)rounds);
    assert_true(best_found[0] > rounds * 8 / 10);
    assert_true(best_found[1] > rounds * 8 / 10);
}

/* However early it stops. */
static void leiden_gives_connected_communities(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, seed + 1);
    for (unsigned round = 0; round < 1500; round++) {
        struct naive_graph graph;
        struct naive_image image;
        struct kernel kernel;
        struct result result;
        double gamma = 0.25 * (double)random_below(&random, 8);

        naive_random(&graph, &random, 60, random_below(&random, 2),
                     random_below(&random, 2), false);
        naive_project(&graph, &image);
        kernel_init(&kernel, "leiden");
        kernel_set_f64(&kernel, "gamma", gamma);
        kernel_set_f64(&kernel, "theta",
                       random_below(&random, 2) ? 0.01 : 10.0 * (round % 2));
        kernel_set_u64(&kernel, "seed", round);
        kernel_set_u64(&kernel, "max_levels", 1 + random_below(&random, 3));
        kernel_set_u64(&kernel, "max_iterations", 1 + random_below(&random, 3));
        kernel_must(&kernel, &image, &result);
        check_result(&graph, "leiden", &result, gamma);
        if (!naive_connected(&graph, result_vertices(&result, "community")))
            wrong(&graph, "leiden", "a community is not connected");
        result_free(&image.mem, &result);
        naive_image_free(&image);
        naive_free(&graph);
    }
}

static void a_seed_brings_a_result_back(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, seed + 2);
    for (unsigned round = 0; round < 200; round++) {
        struct naive_graph graph;
        struct naive_image image[2];

        naive_random(&graph, &random, 100, round % 2, true, false);
        naive_project(&graph, &image[0]);
        for (uint32_t e = 0; e < graph.m; e++)
            graph.weight[e] *= 1024; /* exactly: nothing is rounded */
        naive_project(&graph, &image[1]);
        EACH_NAME(name)
        {
            struct kernel kernel;
            struct result results[2];

            to_the_end(&kernel, name);
            kernel_set_u64(&kernel, "seed", round);
            for (unsigned i = 0; i < 2; i++)
                kernel_must(&kernel, &image[i], &results[i]);
            if (graph.n)
                assert_memory_equal(result_vertices(&results[0], "community"),
                                    result_vertices(&results[1], "community"),
                                    graph.n * sizeof(uint32_t));
            for (unsigned i = 0; i < 2; i++)
                result_free(&image[i].mem, &results[i]);
        }
        naive_image_free(&image[0]);
        naive_image_free(&image[1]);
        naive_free(&graph);
    }
}

/* The figure of a graph, by either algorithm, or by the better of ten seeds. */
static double figure_of(const struct naive_graph *graph, const char *name,
                        double gamma, const char *figure, double *ret_best)
{
    struct naive_image image;
    double first = 0;

    *ret_best = -1;
    naive_project(graph, &image);
    for (unsigned i = 0; i < 10; i++) {
        struct kernel kernel;
        struct result result;

        to_the_end(&kernel, name);
        kernel_set_f64(&kernel, "gamma", gamma);
        kernel_set_u64(&kernel, "seed", i);
        kernel_must(&kernel, &image, &result);
        check_result(graph, name, &result, gamma);
        if (i == 0)
            first = result_figure(&result, figure);
        if (result_figure(&result, "modularity") > *ret_best)
            *ret_best = result_figure(&result, "modularity");
        result_free(&image.mem, &result);
    }
    naive_image_free(&image);
    return first;
}

/* `count` cliques of `size`, each joined to the next by an edge. */
static void ring_of_cliques(struct naive_graph *graph, uint32_t count,
                            uint32_t size)
{
    naive_init(graph, count * size, false, false);
    for (uint32_t c = 0; c < count; c++) {
        for (uint32_t a = 0; a < size; a++)
            for (uint32_t b = 0; b < a; b++)
                naive_add(graph, c * size + a, c * size + b, 1);
        naive_add(graph, c * size, (c + 1) % count * size + 1, 1);
    }
}

static void known_graphs_have_known_communities(void **state)
{
    (void)state;
    EACH_NAME(name)
    {
        struct naive_graph graph;
        double best;

        naive_karate(&graph);
        assert_int_equal(graph.m, 78);
        figure_of(&graph, name, 1, "modularity", &best);
        /* The best there is: Brandes et al., "On modularity clustering". */
        assert_true(best > 0.41979 - 1e-4 && best < 0.41979 + 1e-5);
        naive_free(&graph);

        naive_barbell(&graph, 8, 0);
        assert_true(figure_of(&graph, name, 1, "communities", &best) == 2);
        naive_free(&graph);

        ring_of_cliques(&graph, 10, 6);
        assert_true(figure_of(&graph, name, 1, "communities", &best) == 10);
        /* Without a price for size, what is connected is one. */
        assert_true(figure_of(&graph, name, 0, "communities", &best) == 1);
        /* And where it is out of all measure, nothing is. */
        assert_true(figure_of(&graph, name, 1000, "communities", &best) == 60);
        naive_free(&graph);
    }
}

static void odd_graphs_are_no_trouble(void **state)
{
    (void)state;
    EACH_NAME(name)
    {
        for (unsigned directed = 0; directed < 2; directed++) {
            struct naive_graph graph;
            double best;

            naive_init(&graph, 0, directed, false);
            assert_true(figure_of(&graph, name, 1, "communities", &best) == 0);
            assert_true(best == 0);
            naive_free(&graph);

            naive_init(&graph, 3, directed, true);
            assert_true(figure_of(&graph, name, 1, "communities", &best) == 3);
            assert_true(best == 0);
            naive_add(&graph, 0, 1, 0); /* weighs nothing: is none */
            naive_add(&graph, 1, 2, 0);
            assert_true(figure_of(&graph, name, 1, "communities", &best) == 3);
            naive_add(&graph, 2, 2, 5);
            naive_add(&graph, 2, 2, 5);
            assert_true(figure_of(&graph, name, 1, "communities", &best) == 3);
            naive_add(&graph, 0, 1, 5e-324); /* the smallest float */
            figure_of(&graph, name, 1, "communities", &best);
            naive_free(&graph);
        }
    }
}

static void refused(const char *name, struct naive_graph *graph, uint32_t from,
                    uint32_t to)
{
    struct naive_image image;
    struct kernel kernel;
    struct result result;

    naive_project(graph, &image);
    kernel_init(&kernel, name);
    assert_int_equal(kernel_run(&kernel, &image, &result), ST_BAD_WEIGHT);
    assert_int_equal(kernel.fault[0], from);
    assert_int_equal(kernel.fault[1], to);
    assert_non_null(kernel.why);
    naive_image_free(&image);
    naive_free(graph);
}

static void bad_weights_are_named(void **state)
{
    static const double bad[] = {-1, -1e-300, NAN, INFINITY};

    (void)state;
    EACH_NAME(name)
    {
        struct naive_graph graph;

        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            naive_init(&graph, 5, true, true);
            naive_add(&graph, 0, 1, 1);
            naive_add(&graph, 2, 3, bad[i]);
            refused(name, &graph, 2, 3);
        }
        naive_init(&graph, 5, false, true);
        naive_add(&graph, 0, 1, 1.5e308);
        naive_add(&graph, 2, 3, 1.5e308);
        refused(name, &graph, NO_VERTEX, NO_VERTEX);
    }
}

/* Communities with few edges between them, and a hub. */
static void make_large(struct naive_graph *graph, uint32_t n, uint32_t m,
                       bool directed, bool weighted)
{
    struct random random;

    random_init(&random, seed + 3);
    naive_init(graph, n, directed, weighted);
    for (uint32_t i = 0; i < m; i++) {
        uint32_t a = (uint32_t)random_below(&random, n);
        uint32_t b = (uint32_t)random_below(&random, n);

        if (random_below(&random, 4))
            b = a / 50 * 50 + b % 50;
        if (b < n)
            naive_add(graph, a, b, (double)random_below(&random, 9) / 8);
    }
    for (uint32_t v = 0; v < n; v += 2)
        naive_add(graph, 1, v, 1);
}

static void whatever_fails_is_given_back(void **state)
{
    (void)state;
    EACH_NAME(name)
    {
        for (unsigned form = 0; form < 4; form++) {
            struct naive_graph graph;
            struct naive_image image;
            struct kernel kernel;

            make_large(&graph, 3000, 20000, form & 1, form & 2);
            naive_project(&graph, &image);
            kernel_init(&kernel, name);
            kernel_fails_cleanly(&kernel, &image);
            naive_image_free(&image);
            naive_free(&graph);
        }
    }
}

static void a_large_graph_gains_from_level_to_level(void **state)
{
    struct naive_graph graph;
    struct naive_image image;

    (void)state;
    make_large(&graph, 100000, 800000, false, false);
    naive_project(&graph, &image);
    EACH_NAME(name)
    {
        double last = -1;

        for (unsigned levels = 1; levels < 4; levels++) {
            struct kernel kernel;
            struct result result;
            double modularity;

            to_the_end(&kernel, name);
            kernel_set_u64(&kernel, "max_levels", levels);
            kernel_must(&kernel, &image, &result);
            modularity = check_result(&graph, name, &result, 1);
            assert_true(modularity > last - 1e-9);
            assert_true(result_figure(&result, "levels") <= levels);
            last = modularity;
            result_free(&image.mem, &result);
        }
        assert_true(last > 0.5);
    }
    naive_image_free(&image);
    naive_free(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_graphs_come_close_to_the_best_partition),
        cmocka_unit_test(leiden_gives_connected_communities),
        cmocka_unit_test(a_seed_brings_a_result_back),
        cmocka_unit_test(known_graphs_have_known_communities),
        cmocka_unit_test(odd_graphs_are_no_trouble),
        cmocka_unit_test(bad_weights_are_named),
        cmocka_unit_test(whatever_fails_is_given_back),
        cmocka_unit_test(a_large_graph_gains_from_level_to_level),
    };

    seed = random_seed();
    return cmocka_run_group_tests_name("communities", tests, NULL, NULL);
}
