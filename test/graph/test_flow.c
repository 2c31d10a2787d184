/*
 * test_flow.c -- maximum flow against Ford and Fulkerson on a matrix, and the
 * flow and the cut against each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <math.h>
#include <cmocka.h>

#include "support/kernel.h"

static uint64_t seed;

static void wrong(const struct naive_graph *graph, const char *what)
{
    naive_print(graph);
    fail_msg("SEED=%llu: %s", (unsigned long long)seed, what);
}

static void prepare(struct kernel *kernel, uint32_t source, uint32_t target,
                    const char *rows)
{
    kernel_init(kernel, "max_flow");
    kernel_set_vertex(kernel, "source", source);
    kernel_set_vertex(kernel, "target", target);
    kernel_set_choice(kernel, "rows", rows);
}

static bool differ(double a, double b)
{
    return fabs(a - b) > 1e-9 * (1 + fabs(a));
}

/* Capacities from u to v. */
static double capacity(const struct naive_graph *graph, uint32_t u, uint32_t v)
{
    double sum = 0;

    for (uint32_t e = 0; e < graph->m; e++)
        if ((graph->from[e] == u && graph->to[e] == v) ||
            (!graph->directed && graph->from[e] == v && graph->to[e] == u))
            sum += graph->weight[e];
    return sum;
}

/* The cut separates, and lets through what flows. */
static void check_cut(const struct naive_graph *graph,
                      const struct result *result, uint32_t source,
                      uint32_t target, double flow)
{
    const uint8_t *side = result_bools(result, "source_side");
    double through = 0;
    uint64_t edges = 0;

    assert_true(result->per_vertex);
    assert_int_equal(result->rows, graph->n);
    if (!side[source] || side[target])
        wrong(graph, "the cut does not separate source and target");
    for (uint32_t e = 0; e < graph->m; e++) {
        bool from = side[graph->from[e]];
        bool to = side[graph->to[e]];

        if ((from && !to) || (!graph->directed && to && !from)) {
            through += graph->weight[e];
            edges += graph->weight[e] > 0;
        }
    }
    if (differ(through, flow))
        wrong(graph, "the cut lets something else through than what flows");
    if (edges != (uint64_t)result_figure(result, "cut_edges"))
        wrong(graph, "another number of edges is cut");
}

/* Nothing flows beyond a capacity, and what enters a vertex leaves it. */
static void check_edges(const struct naive_graph *graph,
                        const struct result *result, uint32_t source,
                        uint32_t target, double flow)
{
    const uint32_t *from = result_vertices(result, "from");
    const uint32_t *to = result_vertices(result, "to");
    const double *amount = result_f64s(result, "flow");
    double *balance = calloc(graph->n, sizeof(double));

    assert_false(result->per_vertex);
    for (uint64_t row = 0; row < result->rows; row++) {
        if (amount[row] <= 0 ||
            amount[row] > capacity(graph, from[row], to[row]) + 1e-9)
            wrong(graph, "a capacity is not kept");
        if (row && (from[row] < from[row - 1] ||
                    (from[row] == from[row - 1] && to[row] <= to[row - 1])))
            wrong(graph, "the rows are in no order");
        balance[from[row]] -= amount[row];
        balance[to[row]] += amount[row];
    }
    for (uint32_t v = 0; v < graph->n; v++) {
        double wanted = v == source ? -flow : v == target ? flow : 0;

        if (differ(balance[v], wanted))
            wrong(graph, "what enters a vertex is not what leaves it");
    }
    free(balance);
}

static void check_flow(const struct naive_graph *graph, uint32_t source,
                       uint32_t target)
{
    double flow = naive_max_flow(graph, source, target);
    struct naive_image image;
    struct kernel kernel;
    struct result result;

    naive_project(graph, &image);
    prepare(&kernel, source, target, "vertices");
    kernel_must(&kernel, &image, &result);
    if (differ(result_figure(&result, "flow"), flow))
        wrong(graph, "another flow is the largest");
    check_cut(graph, &result, source, target, flow);
    result_free(&image.mem, &result);

    prepare(&kernel, source, target, "edges");
    kernel_must(&kernel, &image, &result);
    if (differ(result_figure(&result, "flow"), flow))
        wrong(graph, "the flow depends on what rows are asked for");
    check_edges(graph, &result, source, target, flow);
    result_free(&image.mem, &result);
    naive_image_free(&image);
}

static void random_graphs_have_the_flow_of_the_naive(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, seed);
    for (unsigned round = 0; round < 6000; round++) {
        struct naive_graph graph;
        uint32_t source;
        uint32_t target;

        naive_random(&graph, &random, 14, round & 1, round & 2, false);
        if (graph.n >= 2) {
            source = (uint32_t)random_below(&random, graph.n);
            target = (uint32_t)random_below(&random, graph.n - 1);
            target += target >= source;
            check_flow(&graph, source, target);
        }
        naive_free(&graph);
    }
}

static double flow_of(const struct naive_graph *graph, uint32_t source,
                      uint32_t target)
{
    struct naive_image image;
    struct kernel kernel;
    struct result result;
    double flow;

    naive_project(graph, &image);
    prepare(&kernel, source, target, "vertices");
    kernel_must(&kernel, &image, &result);
    flow = result_figure(&result, "flow");
    result_free(&image.mem, &result);
    naive_image_free(&image);
    return flow;
}

static void known_networks_have_known_flows(void **state)
{
    /* Cormen et al., figure 26.1: 23. */
    static const uint8_t edges[][3] = {
        {0, 1, 16}, {0, 2, 13}, {1, 3, 12}, {2, 1, 4}, {2, 4, 14},
        {3, 2, 9},  {3, 5, 20}, {4, 3, 7},  {4, 5, 4},
    };
    struct naive_graph graph;

    (void)state;
    naive_init(&graph, 6, true, true);
    for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        naive_add(&graph, edges[i][0], edges[i][1], edges[i][2]);
    assert_true(flow_of(&graph, 0, 5) == 23);
    check_flow(&graph, 0, 5);
    naive_free(&graph);

    naive_petersen(&graph); /* three paths that share no edge */
    for (uint32_t v = 1; v < 10; v++)
        assert_true(flow_of(&graph, 0, v) == 3);
    naive_free(&graph);

    naive_barbell(&graph, 6, 2);
    assert_true(flow_of(&graph, 0, 13) == 1);
    naive_free(&graph);

    naive_grid(&graph, 30, 30, false);
    assert_true(flow_of(&graph, 0, 899) == 2);
    assert_true(flow_of(&graph, 15 * 30 + 10, 15 * 30 + 20) == 4);
    naive_free(&graph);

    naive_complete(&graph, 40, true);
    assert_true(flow_of(&graph, 3, 17) == 39);
    naive_free(&graph);
}

static void odd_networks_are_no_trouble(void **state)
{
    struct naive_graph graph;

    (void)state;
    naive_init(&graph, 2, true, true);
    check_flow(&graph, 0, 1); /* no edge at all */
    naive_add(&graph, 0, 0, 7);
    naive_add(&graph, 1, 0, 7); /* the wrong way */
    naive_add(&graph, 0, 1, 0);
    assert_true(flow_of(&graph, 0, 1) == 0);
    naive_add(&graph, 0, 1, 5e-324);
    assert_true(flow_of(&graph, 0, 1) == 5e-324);
    naive_add(&graph, 0, 1, 1e300);
    naive_add(&graph, 0, 1, 1e-300);
    check_flow(&graph, 0, 1);
    naive_free(&graph);
}

static void what_cannot_be_is_refused(void **state)
{
    static const double bad[] = {-1, NAN, INFINITY};
    struct naive_graph graph;
    struct naive_image image;
    struct kernel kernel;
    struct result result;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        naive_init(&graph, 4, true, true);
        naive_add(&graph, 0, 1, 1);
        naive_add(&graph, 2, 3, bad[i]);
        naive_project(&graph, &image);
        prepare(&kernel, 0, 1, "vertices");
        assert_int_equal(kernel_run(&kernel, &image, &result), ST_BAD_WEIGHT);
        assert_int_equal(kernel.fault[0], 2);
        assert_int_equal(kernel.fault[1], 3);
        naive_image_free(&image);
        naive_free(&graph);
    }

    naive_init(&graph, 2, true, true);
    naive_add(&graph, 0, 1, 1.5e308);
    naive_add(&graph, 0, 1, 1.5e308);
    naive_project(&graph, &image);
    prepare(&kernel, 0, 1, "edges");
    assert_int_equal(kernel_run(&kernel, &image, &result), ST_BAD_WEIGHT);
    prepare(&kernel, 1, 1, "edges");
    assert_int_equal(kernel_run(&kernel, &image, &result), ST_BAD_ARGUMENT);
    assert_int_equal(kernel.fault[0], 1);
    naive_image_free(&image);
    naive_free(&graph);
}

/* Ten layers, each joined to the next. */
static void make_layers(struct naive_graph *graph, uint32_t width,
                        bool directed, bool weighted)
{
    struct random random;
    uint32_t n = 10 * width + 2;

    random_init(&random, seed + 1);
    naive_init(graph, n, directed, weighted);
    for (uint32_t v = 0; v < width; v++) {
        naive_add(graph, n - 2, v, (double)random_below(&random, 100));
        naive_add(graph, 9 * width + v, n - 1,
                  (double)random_below(&random, 100));
    }
    for (uint32_t i = 0; i < 60 * width; i++) {
        uint32_t layer = (uint32_t)random_below(&random, 9);

        naive_add(graph, layer * width + (uint32_t)random_below(&random, width),
                  (layer + 1) * width + (uint32_t)random_below(&random, width),
                  (double)random_below(&random, 100) / 16);
    }
}

static void layers_have_the_flow_of_the_naive(void **state)
{
    (void)state;
    for (unsigned form = 0; form < 4; form++) {
        struct naive_graph graph;

        make_layers(&graph, 12, form & 1, form & 2);
        check_flow(&graph, graph.n - 2, graph.n - 1);
        naive_free(&graph);
    }
}

static void whatever_fails_is_given_back(void **state)
{
    (void)state;
    for (unsigned form = 0; form < 8; form++) {
        struct naive_graph graph;
        struct naive_image image;
        struct kernel kernel;

        make_layers(&graph, 200, form & 1, form & 2);
        naive_project(&graph, &image);
        prepare(&kernel, graph.n - 2, graph.n - 1,
                form & 4 ? "edges" : "vertices");
        kernel_fails_cleanly(&kernel, &image);
        naive_image_free(&image);
        naive_free(&graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_have_the_flow_of_the_naive),
        cmocka_unit_test(known_networks_have_known_flows),
        cmocka_unit_test(odd_networks_are_no_trouble),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(layers_have_the_flow_of_the_naive),
        cmocka_unit_test(whatever_fails_is_given_back),
    };

    seed = random_seed();
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
