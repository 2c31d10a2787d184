/*
 * test_kernels_more.c -- components, orders, cycles, cores, centralities,
 * forests, bridges, colours and closures against versions that go through all
 * there is, on random small graphs; and graphs made to hurt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <time.h>
#include <cmocka.h>

#include "support/kernel.h"

static uint64_t seed;

#define N_MAX 12

/* A graph, and what is known of it, as matrices. */
struct small {
    struct naive_graph graph;
    struct naive_image image;
    uint32_t n;
    unsigned edges[N_MAX][N_MAX];  /* entries; a loop is one */
    bool reaches[N_MAX][N_MAX];    /* over one edge or more */
    double distance[N_MAX][N_MAX]; /* by weight */
};

static void small_reach(struct small *s)
{
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++)
            s->reaches[a][b] = s->edges[a][b] > 0;
    for (uint32_t k = 0; k < s->n; k++)
        for (uint32_t a = 0; a < s->n; a++)
            for (uint32_t b = 0; b < s->n; b++) {
                double over = s->distance[a][k] + s->distance[k][b];

                if (s->reaches[a][k] && s->reaches[k][b])
                    s->reaches[a][b] = true;
                if (over < s->distance[a][b])
                    s->distance[a][b] = over;
            }
}

/* From s->graph. */
static void small_fill(struct small *s)
{
    const struct naive_graph *graph = &s->graph;

    s->n = graph->n;
    memset(s->edges, 0, sizeof(s->edges));
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++)
            s->distance[a][b] = a == b ? 0 : INFINITY;
    for (uint32_t e = 0; e < graph->m; e++) {
        uint32_t a = graph->from[e];
        uint32_t b = graph->to[e];

        s->edges[a][b]++;
        s->distance[a][b] = fmin(s->distance[a][b], graph->weight[e]);
        if (!graph->directed && a != b) {
            s->edges[b][a]++;
            s->distance[b][a] = fmin(s->distance[b][a], graph->weight[e]);
        }
    }
    small_reach(s);
    naive_project(graph, &s->image);
}

static void small_random(struct small *s, struct random *random, uint32_t n,
                         bool weighted)
{
    naive_random(&s->graph, random, n, random_below(random, 3) != 0, weighted,
                 random_below(random, 4) == 0);
    small_fill(s);
}

/* Edges to higher numbers of a random order only. */
static void small_acyclic(struct small *s, struct random *random, uint32_t n)
{
    uint32_t name[N_MAX];
    uint32_t count = (uint32_t)random_below(random, n + 1);
    uint64_t edges = count > 1 ? random_below(random, 3 * count) : 0;

    naive_init(&s->graph, count, true, false);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = (uint32_t)random_below(random, i + 1);

        name[i] = name[j];
        name[j] = i;
    }
    while (edges-- > 0) {
        uint32_t a = (uint32_t)random_below(random, count);
        uint32_t b = (uint32_t)random_below(random, count);

        if (a != b)
            naive_add(&s->graph, name[a < b ? a : b], name[a < b ? b : a], 1);
    }
    small_fill(s);
}

static void small_free(struct small *s)
{
    naive_image_free(&s->image);
    naive_free(&s->graph);
}

static void expect(const struct small *s, bool right, const char *what)
{
    if (right)
        return;
    naive_print(&s->graph);
    fail_msg("SEED=%llu: %s", (unsigned long long)seed, what);
}

static bool near_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

/* Whether there is an edge between two different vertices, either way. */
static bool adjacent(const struct small *s, uint32_t a, uint32_t b)
{
    return a != b && (s->edges[a][b] || s->edges[b][a]);
}

static bool has_cycle(const struct small *s)
{
    for (uint32_t v = 0; v < s->n; v++)
        if (s->reaches[v][v])
            return true;
    return false;
}

/* Runs `check` on so many random graphs. */
static void on_random_graphs(void (*check)(struct small *, struct random *),
                             unsigned rounds, uint32_t n, bool weights)
{
    struct random random;

    random_init(&random, seed);
    for (unsigned round = 0; round < rounds; round++) {
        struct small s;

        small_random(&s, &random, n, weights && round % 2);
        check(&s, &random);
        small_free(&s);
    }
}

static void on_acyclic_graphs(void (*check)(struct small *, struct random *),
                              unsigned rounds)
{
    struct random random;

    random_init(&random, seed);
    for (unsigned round = 0; round < rounds; round++) {
        struct small s;

        small_acyclic(&s, &random, N_MAX);
        check(&s, &random);
        small_free(&s);
    }
}

static void run_default(struct small *s, const char *name,
                        struct result *result)
{
    struct kernel kernel;

    kernel_init(&kernel, name);
    kernel_must(&kernel, &s->image, result);
}

/* --- scc ---------------------------------------------------------------- */

static void check_scc(struct small *s, struct random *random)
{
    struct result result;
    const uint32_t *component;
    uint32_t sizes[N_MAX] = {0};
    uint32_t count = 0;
    uint32_t largest = 0;

    (void)random;
    run_default(s, "scc", &result);
    component = result_vertices(&result, "component");
    for (uint32_t v = 0; v < s->n; v++) {
        uint32_t smallest = 0;

        while (smallest != v &&
               !(s->reaches[v][smallest] && s->reaches[smallest][v]))
            smallest++;
        expect(s, component[v] == smallest, "scc: another component");
        count += smallest == v;
        if (++sizes[smallest] > largest)
            largest = sizes[smallest];
    }
    expect(s, result_figure(&result, "components") == count, "scc: count");
    expect(s, result_figure(&result, "largest") == largest, "scc: largest");
    result_free(&s->image.mem, &result);
}

static void strong_components_reach_each_other(void **state)
{
    (void)state;
    on_random_graphs(check_scc, 4000, N_MAX, false);
}

/* --- topological_sort --------------------------------------------------- */

static void check_order(struct small *s, struct random *random)
{
    struct kernel kernel;
    struct result result;
    const uint32_t *order;
    const uint64_t *level;
    bool taken[N_MAX] = {false};
    uint64_t levels[N_MAX] = {0};
    uint64_t longest = 0;

    (void)random;
    kernel_init(&kernel, "topological_sort");
    if (has_cycle(s)) {
        expect(s, kernel_run(&kernel, &s->image, &result) == ST_CYCLIC,
               "topological_sort: a cycle was not found");
        expect(s, s->reaches[kernel.fault[0]][kernel.fault[0]],
               "topological_sort: the vertex is on no cycle");
        return;
    }
    kernel_must(&kernel, &s->image, &result);
    expect(s, result.rows == s->n, "topological_sort: rows");
    order = result_vertices(&result, "vertex");
    level = result_u64s(&result, "level");
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t v = 0;

        /* The smallest that is left and that nothing left leads to. */
        for (;; v++) {
            bool ready = !taken[v];

            for (uint32_t u = 0; u < s->n; u++)
                ready = ready && (taken[u] || !s->edges[u][v]);
            if (ready)
                break;
        }
        taken[v] = true;
        for (uint32_t u = 0; u < s->n; u++)
            if (s->edges[u][v] && levels[u] + 1 > levels[v])
                levels[v] = levels[u] + 1;
        longest = levels[v] > longest ? levels[v] : longest;
        expect(s, order[i] == v, "topological_sort: another order");
        expect(s, level[i] == levels[v], "topological_sort: another level");
    }
    expect(s, result_figure(&result, "longest") == (double)longest,
           "topological_sort: longest");
    result_free(&s->image.mem, &result);
}

static void topological_order_takes_the_smallest_that_is_ready(void **state)
{
    (void)state;
    on_random_graphs(check_order, 2000, 6, false);
    on_acyclic_graphs(check_order, 2000);
}

/* --- cycle and cycles --------------------------------------------------- */

/* A number for a list of vertices below 12. */
static uint64_t code_of(const uint32_t *cycle, uint64_t length)
{
    uint64_t code = 1;

    for (uint64_t i = 0; i < length; i++)
        code = code * N_MAX + cycle[i];
    return code;
}

/* Whether it is an elementary cycle, written as cycles are written. */
static bool is_cycle(const struct small *s, const uint32_t *cycle,
                     uint64_t length)
{
    bool seen[N_MAX] = {false};

    if (length == 0 || (!s->graph.directed && length < 3))
        return false;
    for (uint64_t i = 0; i < length; i++) {
        if (seen[cycle[i]] || cycle[i] < cycle[0] ||
            !s->edges[cycle[i]][cycle[(i + 1) % length]])
            return false;
        seen[cycle[i]] = true;
    }
    return s->graph.directed || cycle[1] < cycle[length - 1];
}

struct cycle_list {
    uint64_t *codes;
    size_t count;
    size_t room;
};

static void all_cycles(const struct small *s, uint32_t *path, uint32_t length,
                       uint32_t longest, struct cycle_list *list)
{
    if (is_cycle(s, path, length)) {
        if (list->count == list->room) {
            list->room = list->room ? list->room * 2 : 64;
            list->codes = realloc(list->codes, list->room * sizeof(uint64_t));
            assert_non_null(list->codes);
        }
        list->codes[list->count++] = code_of(path, length);
    }
    if (length == longest)
        return;
    for (uint32_t w = path[0] + 1; w < s->n; w++) {
        bool fresh = s->edges[path[length - 1]][w] > 0;

        for (uint32_t i = 0; i < length; i++)
            fresh = fresh && path[i] != w;
        path[length] = w;
        if (fresh)
            all_cycles(s, path, length + 1, longest, list);
    }
}

static int by_code(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void find_all_cycles(const struct small *s, uint32_t longest,
                            struct cycle_list *list)
{
    uint32_t path[N_MAX + 1];

    *list = (struct cycle_list){0};
    for (uint32_t v = 0; v < s->n; v++) {
        path[0] = v;
        all_cycles(s, path, 1, longest, list);
    }
    if (list->count)
        qsort(list->codes, list->count, sizeof(uint64_t), by_code);
}

static void check_cycle(struct small *s, struct random *random)
{
    struct result result;
    const struct column *column;
    struct cycle_list all;

    (void)random;
    find_all_cycles(s, N_MAX, &all);
    run_default(s, "cycle", &result);
    column = result_find(&result, "cycle");
    expect(s, result.rows == (all.count > 0), "cycle: found or not");
    expect(s, result_figure(&result, "length") == (double)column->vertex_count,
           "cycle: length");
    if (result.rows)
        expect(s, is_cycle(s, column->vertices, column->vertex_count),
               "cycle: it is none");
    result_free(&s->image.mem, &result);
    free(all.codes);
}

static void check_cycles(struct small *s, struct random *random)
{
    uint32_t longest = (uint32_t)(1 + random_below(random, 10));
    struct cycle_list all;
    struct kernel kernel;
    struct result result;
    const struct column *column;
    const uint64_t *offsets;
    uint64_t *codes;
    uint64_t limit;

    find_all_cycles(s, longest, &all);
    limit = random_below(random, 3) ? 100000 : 1 + random_below(random, 20);
    kernel_init(&kernel, "cycles");
    kernel_set_u64(&kernel, "max_length", longest);
    kernel_set_u64(&kernel, "limit", limit);
    kernel_must(&kernel, &s->image, &result);
    column = result_find(&result, "cycle");
    offsets = column->data;
    expect(s, result.rows == (all.count < limit ? all.count : limit),
           "cycles: another number of them");
    expect(s, result_figure(&result, "cycles") == (double)result.rows,
           "cycles: figure");
    expect(s, result_figure(&result, "complete") == (all.count <= limit),
           "cycles: complete or not");
    codes = calloc(result.rows + 1, sizeof(uint64_t));
    assert_non_null(codes);
    for (uint64_t i = 0; i < result.rows; i++) {
        uint64_t length = offsets[i + 1] - offsets[i];

        expect(s, is_cycle(s, column->vertices + offsets[i], length),
               "cycles: that is none");
        codes[i] = code_of(column->vertices + offsets[i], length);
        expect(s, length <= longest, "cycles: too long");
    }
    qsort(codes, result.rows, sizeof(uint64_t), by_code);
    for (uint64_t i = 0; i < result.rows; i++)
        expect(s, i == 0 || codes[i] != codes[i - 1], "cycles: one twice");
    if (all.count <= limit && all.count)
        expect(s, !memcmp(codes, all.codes, all.count * sizeof(uint64_t)),
               "cycles: others");
    free(codes);
    free(all.codes);
    result_free(&s->image.mem, &result);
}

static void cycles_are_all_there_are(void **state)
{
    (void)state;
    on_random_graphs(check_cycle, 2000, 6, false);
    on_random_graphs(check_cycles, 6000, 7, false);
    on_random_graphs(check_cycles, 300, 9, false);
    on_acyclic_graphs(check_cycle, 300);
    on_acyclic_graphs(check_cycles, 300);
}

/* --- k_core and k1_coloring --------------------------------------------- */

static void check_core(struct small *s, struct random *random)
{
    struct result result;
    const uint64_t *core;
    uint64_t cores[N_MAX] = {0};
    uint64_t most = 0;

    (void)random;
    for (uint32_t k = 1; k <= s->n; k++) {
        bool in[N_MAX];
        bool changed = true;

        for (uint32_t v = 0; v < s->n; v++)
            in[v] = true;
        while (changed) {
            changed = false;
            for (uint32_t v = 0; v < s->n; v++) {
                uint32_t degree = 0;

                for (uint32_t w = 0; w < s->n; w++)
                    degree += in[w] && adjacent(s, v, w);
                if (in[v] && degree < k) {
                    in[v] = false;
                    changed = true;
                }
            }
        }
        for (uint32_t v = 0; v < s->n; v++)
            if (in[v])
                most = cores[v] = k;
    }
    run_default(s, "k_core", &result);
    core = result_u64s(&result, "core");
    for (uint32_t v = 0; v < s->n; v++)
        expect(s, core[v] == cores[v], "k_core: another core");
    expect(s, result_figure(&result, "degeneracy") == (double)most,
           "k_core: degeneracy");
    result_free(&s->image.mem, &result);

    run_default(s, "k1_coloring", &result);
    core = result_u64s(&result, "color");
    expect(s, result_figure(&result, "colors") <= (double)(most + (s->n > 0)),
           "k1_coloring: too many colours");
    for (uint32_t v = 0; v < s->n; v++) {
        expect(s, (double)core[v] < result_figure(&result, "colors"),
               "k1_coloring: no such colour");
        for (uint32_t w = 0; w < s->n; w++)
            expect(s, !adjacent(s, v, w) || core[v] != core[w],
                   "k1_coloring: neighbours of one colour");
    }
    result_free(&s->image.mem, &result);
}

static void cores_are_what_is_left_and_colors_differ(void **state)
{
    (void)state;
    on_random_graphs(check_core, 3000, N_MAX, false);
}

/* --- closeness and harmonic --------------------------------------------- */

static double naive_near(const struct small *s, uint32_t v, bool harmonic,
                         bool option)
{
    double sum = 0;
    double reached = 0;

    for (uint32_t u = 0; u < s->n; u++) {
        double distance = s->distance[u][v];

        if (u == v || distance == INFINITY)
            continue;
        reached++;
        if (!harmonic)
            sum += distance;
        else if (distance > 0)
            sum += 1 / distance;
    }
    if (sum <= 0)
        return 0;
    if (harmonic)
        return option ? sum / (s->n - 1) : sum;
    return reached / sum * (option ? reached / (s->n - 1) : 1);
}

static void check_near(struct small *s, struct random *random)
{
    bool harmonic = random_below(random, 2);
    bool option = random_below(random, 2);
    struct result results[3];
    const double *score = NULL;

    for (unsigned i = 0; i < 3; i++) {
        struct kernel kernel;

        kernel_init(&kernel, harmonic ? "harmonic" : "closeness");
        kernel.params[0].u64 = option; /* `normalized` or `improved` */
        kernel_set_u64(&kernel, "samples", i == 1 ? 1000 : 0);
        kernel.threads = i + 1;
        kernel_must(&kernel, &s->image, &results[i]);
        score = result_f64s(&results[i], "score");
        if (s->n)
            expect(s,
                   !memcmp(score, result_f64s(&results[0], "score"),
                           s->n * sizeof(double)),
                   "closeness: other bits with other threads");
    }
    for (uint32_t v = 0; v < s->n; v++)
        expect(s, near_to(score[v], naive_near(s, v, harmonic, option)),
               "closeness: another score");
    for (unsigned i = 0; i < 3; i++)
        result_free(&s->image.mem, &results[i]);
}

static void near_scores_follow_from_all_distances(void **state)
{
    (void)state;
    on_random_graphs(check_near, 2000, N_MAX, true);
}

/* Graphs of many batches, levels that are pulled and levels that are pushed:
 * against searches one by one. */
static void batches_of_searches_are_as_single_ones(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, seed);
    for (unsigned round = 0; round < 60; round++) {
        struct naive_graph graph;
        struct naive_image image;
        struct kernel kernel;
        struct result result;
        double *sum;
        uint64_t *level;
        uint32_t *reached;

        naive_random(&graph, &random, 400, round % 2, false, false);
        naive_project(&graph, &image);
        sum = calloc(graph.n + 1, sizeof(double));
        reached = calloc(graph.n + 1, sizeof(uint32_t));
        level = calloc(graph.n + 1, sizeof(uint64_t));
        for (uint32_t u = 0; u < graph.n; u++) {
            naive_bfs(&graph, u, level);
            for (uint32_t v = 0; v < graph.n; v++)
                if (level[v] != NAIVE_UNREACHED && u != v) {
                    sum[v] += (double)level[v];
                    reached[v]++;
                }
        }
        kernel_init(&kernel, "closeness");
        kernel.threads = 1 + round % 3;
        kernel_must(&kernel, &image, &result);
        for (uint32_t v = 0; v < graph.n; v++)
            if (!near_to(result_f64s(&result, "score")[v],
                         sum[v] > 0 ? reached[v] / sum[v] : 0)) {
                naive_print(&graph);
                fail_msg("SEED=%llu: vertex %u", (unsigned long long)seed, v);
            }
        result_free(&image.mem, &result);
        free(sum);
        free(reached);
        free(level);
        naive_image_free(&image);
        naive_free(&graph);
    }
}

/* What samples say is right on average. */
static void samples_stand_for_all(void **state)
{
    struct naive_graph graph;
    struct naive_image image;

    (void)state;
    naive_karate(&graph);
    for (unsigned weighted = 0; weighted < 2; weighted++) {
        double mean[34] = {0};
        struct kernel kernel;
        struct result result;

        graph.weighted = weighted;
        for (uint32_t e = 0; e < graph.m && weighted; e++)
            graph.weight[e] = 1 + e % 5;
        naive_project(&graph, &image);
        for (unsigned i = 0; i < 2000; i++) {
            kernel_init(&kernel, "harmonic");
            kernel_set_u64(&kernel, "samples", 5);
            kernel_set_u64(&kernel, "seed", seed + i);
            kernel_must(&kernel, &image, &result);
            assert_true(result_figure(&result, "samples") == 5);
            for (uint32_t v = 0; v < graph.n; v++)
                mean[v] += result_f64s(&result, "score")[v] / 2000;
            result_free(&image.mem, &result);
        }
        kernel_init(&kernel, "harmonic");
        kernel_must(&kernel, &image, &result);
        for (uint32_t v = 0; v < graph.n; v++)
            if (fabs(mean[v] / result_f64s(&result, "score")[v] - 1) > 0.05)
                fail_msg("SEED=%llu: vertex %u: %g, not %g",
                         (unsigned long long)seed, v, mean[v],
                         result_f64s(&result, "score")[v]);
        result_free(&image.mem, &result);
        naive_image_free(&image);
    }
    naive_free(&graph);
}

/* --- eigenvector and hits ----------------------------------------------- */

/* to = shift * from + what the edges bring, against them if `backwards`. */
static void naive_multiply(const struct small *s, double shift, bool backwards,
                           const double *from, double *to)
{
    const struct naive_graph *graph = &s->graph;

    for (uint32_t v = 0; v < s->n; v++)
        to[v] = shift * from[v];
    for (uint32_t e = 0; e < graph->m; e++) {
        uint32_t a = backwards ? graph->to[e] : graph->from[e];
        uint32_t b = backwards ? graph->from[e] : graph->to[e];

        to[b] += graph->weight[e] * from[a];
        if (!graph->directed && a != b)
            to[a] += graph->weight[e] * from[b];
    }
}

static void naive_normalize(double *x, uint32_t n)
{
    double squares = 0;

    for (uint32_t v = 0; v < n; v++)
        squares += x[v] * x[v];
    for (uint32_t v = 0; v < n && squares > 0; v++)
        x[v] /= sqrt(squares);
}

static void check_spectral(struct small *s, struct random *random)
{
    unsigned iterations = (unsigned)(1 + random_below(random, 20));
    double x[2][N_MAX];
    double hub[2][N_MAX];
    double authority[N_MAX];
    struct kernel kernel;
    struct result result;

    for (uint32_t v = 0; v < s->n; v++)
        x[0][v] = hub[0][v] = 1 / sqrt(s->n);
    for (unsigned i = 0; i < iterations; i++) {
        naive_multiply(s, 1, false, x[i % 2], x[1 - i % 2]);
        naive_normalize(x[1 - i % 2], s->n);
        naive_multiply(s, 0, false, hub[i % 2], authority);
        naive_multiply(s, 0, true, authority, hub[1 - i % 2]);
        naive_normalize(hub[1 - i % 2], s->n);
    }
    naive_normalize(authority, s->n);
    kernel_init(&kernel, "eigenvector");
    kernel_set_u64(&kernel, "max_iterations", iterations);
    kernel_set_f64(&kernel, "tolerance", 0);
    kernel.threads = (unsigned)(1 + random_below(random, 3));
    kernel_must(&kernel, &s->image, &result);
    for (uint32_t v = 0; v < s->n; v++)
        expect(s,
               near_to(result_f64s(&result, "score")[v], x[iterations % 2][v]),
               "eigenvector: another score");
    result_free(&s->image.mem, &result);

    kernel_init(&kernel, "hits");
    kernel_set_u64(&kernel, "max_iterations", iterations);
    kernel_set_f64(&kernel, "tolerance", 0);
    kernel_must(&kernel, &s->image, &result);
    for (uint32_t v = 0; v < s->n; v++) {
        expect(s,
               near_to(result_f64s(&result, "hub")[v], hub[iterations % 2][v]),
               "hits: another hub");
        expect(s, near_to(result_f64s(&result, "authority")[v], authority[v]),
               "hits: another authority");
    }
    result_free(&s->image.mem, &result);
}

static void powers_are_iterated_as_defined(void **state)
{
    (void)state;
    on_random_graphs(check_spectral, 2000, N_MAX, true);
}

static void karate_club_has_known_eigenvector(void **state)
{
    struct naive_graph graph;
    struct naive_image image;
    struct kernel kernel;
    struct result result;

    (void)state;
    naive_karate(&graph);
    naive_project(&graph, &image);
    kernel_init(&kernel, "eigenvector");
    kernel_set_u64(&kernel, "max_iterations", 1000);
    kernel_set_f64(&kernel, "tolerance", 1e-12);
    kernel_must(&kernel, &image, &result);
    assert_true(result_figure(&result, "converged") == 1);
    /* As published: 0.35548, 0.26595, ... 0.37336 of the first two and the
     * last member. */
    assert_true(fabs(result_f64s(&result, "score")[0] - 0.355483) < 1e-5);
    assert_true(fabs(result_f64s(&result, "score")[1] - 0.265954) < 1e-5);
    assert_true(fabs(result_f64s(&result, "score")[33] - 0.373371) < 1e-5);
    result_free(&image.mem, &result);
    naive_image_free(&image);
    naive_free(&graph);
}

/* Weights that would overflow, and a negative one. */
static void weights_are_looked_at(void **state)
{
    static const char *const names[] = {"eigenvector", "hits", "closeness",
                                        "harmonic"};

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned negative = 0; negative < 2; negative++) {
            struct naive_graph graph;
            struct naive_image image;
            struct kernel kernel;
            struct result result;

            naive_init(&graph, 3, true, true);
            naive_add(&graph, 0, 1, 1e308);
            naive_add(&graph, 0, 1, 1e308);
            naive_add(&graph, 1, 0, 1e308);
            naive_add(&graph, 1, 2, negative ? -1 : 1e-308);
            naive_project(&graph, &image);
            kernel_init(&kernel, names[i]);
            if (negative) {
                assert_int_equal(kernel_run(&kernel, &image, &result),
                                 ST_BAD_WEIGHT);
                assert_int_equal(kernel.fault[0], 1);
                assert_int_equal(kernel.fault[1], 2);
            } else {
                kernel_must(&kernel, &image, &result);
                for (uint32_t v = 0; v < 3; v++)
                    assert_true(isfinite(
                        *((const double *)result.columns[0].data + v)));
                result_free(&image.mem, &result);
            }
            naive_image_free(&image);
            naive_free(&graph);
        }
}

/* --- spanning_forest ---------------------------------------------------- */

static uint32_t root_of(const uint32_t *parent, uint32_t v)
{
    while (parent[v] != v)
        v = parent[v];
    return v;
}

/* Kruskal's, choosing the best edge that is left each time. */
static double naive_forest(const struct small *s, bool greatest,
                           uint32_t *ret_trees)
{
    const struct naive_graph *graph = &s->graph;
    uint32_t parent[N_MAX];
    double sum = 0;

    *ret_trees = s->n;
    for (uint32_t v = 0; v < s->n; v++)
        parent[v] = v;
    for (;;) {
        uint32_t best = NO_VERTEX;

        for (uint32_t e = 0; e < graph->m; e++) {
            if (root_of(parent, graph->from[e]) ==
                root_of(parent, graph->to[e]))
                continue;
            if (best == NO_VERTEX ||
                (greatest ? graph->weight[e] > graph->weight[best]
                          : graph->weight[e] < graph->weight[best]))
                best = e;
        }
        if (best == NO_VERTEX)
            return sum;
        parent[root_of(parent, graph->from[best])] =
            root_of(parent, graph->to[best]);
        sum += graph->weight[best];
        --*ret_trees;
    }
}

static bool has_edge(const struct naive_graph *graph, uint32_t from,
                     uint32_t to, double weight)
{
    for (uint32_t e = 0; e < graph->m; e++)
        if (graph->weight[e] == weight &&
            ((graph->from[e] == from && graph->to[e] == to) ||
             (!graph->directed && graph->from[e] == to &&
              graph->to[e] == from)))
            return true;
    return false;
}

static void check_forest(struct small *s, struct random *random)
{
    bool greatest = random_below(random, 2);
    uint32_t parent[N_MAX];
    uint32_t trees;
    double sum;
    double rows = 0;
    struct kernel kernel;
    struct result result;

    if (s->graph.weighted) { /* weights may be negative here */
        naive_image_free(&s->image);
        for (uint32_t e = 0; e < s->graph.m; e++)
            s->graph.weight[e] -= random_below(random, 2) ? 2 : 0;
        naive_project(&s->graph, &s->image);
    }
    sum = naive_forest(s, greatest, &trees);
    kernel_init(&kernel, "spanning_forest");
    kernel_set_choice(&kernel, "objective", greatest ? "max" : "min");
    kernel_must(&kernel, &s->image, &result);
    expect(s, near_to(result_figure(&result, "weight"), sum),
           "spanning_forest: another weight");
    expect(s, result_figure(&result, "trees") == trees,
           "spanning_forest: trees");
    for (uint32_t v = 0; v < s->n; v++)
        parent[v] = v;
    for (uint64_t i = 0; i < result.rows; i++) {
        uint32_t a = result_vertices(&result, "from")[i];
        uint32_t b = result_vertices(&result, "to")[i];
        double weight = result_f64s(&result, "weight")[i];

        expect(s, has_edge(&s->graph, a, b, weight),
               "spanning_forest: no such edge");
        expect(s, root_of(parent, a) != root_of(parent, b),
               "spanning_forest: a circle");
        parent[root_of(parent, a)] = root_of(parent, b);
        rows += weight;
    }
    expect(s, near_to(rows, sum), "spanning_forest: the rows' weight");
    result_free(&s->image.mem, &result);
}

static void forests_weigh_as_little_as_can_be(void **state)
{
    (void)state;
    on_random_graphs(check_forest, 3000, N_MAX, true);
}

/* --- bridges and articulation_points ------------------------------------ */

/* Components without one vertex (or NO_VERTEX) and one edge less between a
 * and b. */
static uint32_t parts_without(const struct small *s, uint32_t vertex,
                              uint32_t edge)
{
    uint32_t parent[N_MAX];
    uint32_t parts = s->n - (vertex != NO_VERTEX);

    for (uint32_t v = 0; v < s->n; v++)
        parent[v] = v;
    for (uint32_t e = 0; e < s->graph.m; e++) {
        uint32_t a = root_of(parent, s->graph.from[e]);
        uint32_t b = root_of(parent, s->graph.to[e]);

        if (e == edge || a == b || s->graph.from[e] == vertex ||
            s->graph.to[e] == vertex)
            continue;
        parent[a] = b;
        parts--;
    }
    return parts;
}

static void check_bicon(struct small *s, struct random *random)
{
    uint32_t parts = parts_without(s, NO_VERTEX, NO_VERTEX);
    struct result result;
    uint32_t count = 0;

    (void)random;
    run_default(s, "articulation_points", &result);
    for (uint32_t v = 0; v < s->n; v++) {
        bool is_point = parts_without(s, v, NO_VERTEX) > parts;

        expect(s, result_bools(&result, "articulation_point")[v] == is_point,
               "articulation_points: wrong");
        count += is_point;
    }
    expect(s, result_figure(&result, "articulation_points") == count,
           "articulation_points: count");
    result_free(&s->image.mem, &result);

    run_default(s, "bridges", &result);
    count = 0;
    for (uint32_t e = 0; e < s->graph.m; e++) {
        uint32_t a = s->graph.from[e];
        uint32_t b = s->graph.to[e];
        bool found = false;

        if (parts_without(s, NO_VERTEX, e) == parts)
            continue;
        count++;
        if (!s->graph.directed && a > b) {
            a = b;
            b = s->graph.from[e];
        }
        for (uint64_t i = 0; i < result.rows; i++)
            found = found || (result_vertices(&result, "from")[i] == a &&
                              result_vertices(&result, "to")[i] == b);
        expect(s, found, "bridges: one is missing");
    }
    expect(s, result.rows == count, "bridges: too many");
    expect(s, result_figure(&result, "bridges") == count, "bridges: count");
    result_free(&s->image.mem, &result);
}

static void what_parts_a_graph_is_found(void **state)
{
    (void)state;
    on_random_graphs(check_bicon, 4000, N_MAX, false);
}

/* --- transitive_closure and transitive_reduction ------------------------ */

static void check_closure(struct small *s, struct random *random)
{
    struct kernel kernel;
    struct result result;
    uint64_t count = 0;
    bool found[N_MAX][N_MAX] = {{false}};

    (void)random;
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++)
            count += s->reaches[a][b];
    kernel_init(&kernel, "transitive_closure");
    kernel_set_u64(&kernel, "max_pairs", count);
    kernel_must(&kernel, &s->image, &result);
    expect(s, result.rows == count, "transitive_closure: rows");
    for (uint64_t i = 0; i < result.rows; i++) {
        uint32_t a = result_vertices(&result, "from")[i];
        uint32_t b = result_vertices(&result, "to")[i];

        expect(s, s->reaches[a][b] && !found[a][b],
               "transitive_closure: no such pair");
        found[a][b] = true;
    }
    result_free(&s->image.mem, &result);
    if (count == 0)
        return;
    kernel_set_u64(&kernel, "max_pairs", count - 1);
    expect(s, kernel_run(&kernel, &s->image, &result) == ST_ROW_LIMIT,
           "transitive_closure: the bound was passed");
}

static void check_reduction(struct small *s, struct random *random)
{
    struct kernel kernel;
    struct result result;
    uint64_t row = 0;

    (void)random;
    kernel_init(&kernel, "transitive_reduction");
    if (has_cycle(s)) {
        expect(s, kernel_run(&kernel, &s->image, &result) == ST_CYCLIC,
               "transitive_reduction: a cycle was not found");
        expect(s, s->reaches[kernel.fault[0]][kernel.fault[0]],
               "transitive_reduction: the vertex is on no cycle");
        return;
    }
    kernel_must(&kernel, &s->image, &result);
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++) {
            bool kept = s->edges[a][b] > 0;

            for (uint32_t c = 0; c < s->n; c++)
                kept = kept && !(s->reaches[a][c] && s->reaches[c][b]);
            if (!kept)
                continue;
            expect(s,
                   row < result.rows &&
                       result_vertices(&result, "from")[row] == a &&
                       result_vertices(&result, "to")[row] == b,
                   "transitive_reduction: others");
            row++;
        }
    expect(s, row == result.rows, "transitive_reduction: too many");
    expect(s, result_figure(&result, "kept") == (double)row,
           "transitive_reduction: kept");
    expect(s, result_figure(&result, "removed") == (double)(s->graph.m - row),
           "transitive_reduction: removed");
    result_free(&s->image.mem, &result);
}

static void closures_and_reductions_keep_what_is_reached(void **state)
{
    (void)state;
    on_random_graphs(check_closure, 2000, N_MAX, false);
    on_random_graphs(check_reduction, 500, 5, false);
    on_acyclic_graphs(check_closure, 500);
    on_acyclic_graphs(check_reduction, 3000);
}

/* --- degree ------------------------------------------------------------- */

static void check_degree(struct small *s, struct random *random)
{
    const struct naive_graph *graph = &s->graph;
    uint64_t out[N_MAX] = {0};
    uint64_t in[N_MAX] = {0};
    double out_weight[N_MAX] = {0};
    double in_weight[N_MAX] = {0};
    struct result result;
    bool weighted = s->image.out.form != WEIGHTS_ONE;

    (void)random;
    for (uint32_t e = 0; e < graph->m; e++) {
        uint32_t a = graph->from[e];
        uint32_t b = graph->to[e];

        out[a]++;
        out_weight[a] += graph->weight[e];
        if (!graph->directed) {
            out[b]++;
            out_weight[b] += graph->weight[e];
            continue;
        }
        in[b]++;
        in_weight[b] += graph->weight[e];
    }
    run_default(s, "degree", &result);
    assert_int_equal(result.column_count, weighted ? 6 : 3);
    for (uint32_t v = 0; v < s->n; v++) {
        bool turned = graph->directed;

        expect(s, result_u64s(&result, "out")[v] == out[v], "degree: out");
        expect(s, result_u64s(&result, "in")[v] == (turned ? in[v] : out[v]),
               "degree: in");
        expect(s, result_u64s(&result, "total")[v] == out[v] + in[v],
               "degree: total");
        if (!weighted)
            continue;
        expect(s, near_to(result_f64s(&result, "out_weight")[v], out_weight[v]),
               "degree: out_weight");
        expect(s,
               near_to(result_f64s(&result, "in_weight")[v],
                       turned ? in_weight[v] : out_weight[v]),
               "degree: in_weight");
        expect(s,
               near_to(result_f64s(&result, "total_weight")[v],
                       out_weight[v] + in_weight[v]),
               "degree: total_weight");
    }
    result_free(&s->image.mem, &result);
}

static void degrees_count_edges(void **state)
{
    (void)state;
    on_random_graphs(check_degree, 1000, N_MAX, true);
}

/* --- failures ----------------------------------------------------------- */

static const char *const all_names[] = {
    "scc",
    "topological_sort",
    "cycle",
    "cycles",
    "k_core",
    "closeness",
    "harmonic",
    "eigenvector",
    "hits",
    "spanning_forest",
    "bridges",
    "articulation_points",
    "k1_coloring",
    "transitive_closure",
    "transitive_reduction",
    "degree",
};

#define NAMES (sizeof(all_names) / sizeof(all_names[0]))

static bool wants_acyclic(const char *name)
{
    return !strcmp(name, "topological_sort") ||
           !strcmp(name, "transitive_reduction");
}

/* Every allocation and every check may fail; also of graphs that are checked
 * often. And none takes more than it says. */
static void failures_leave_nothing_behind(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, seed);
    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < NAMES; i++) {
            uint32_t n = round < 3 ? round : round < 8 ? 40 : 120;
            uint32_t m = round < 8 ? 3 * n : 600 * n;
            bool directed = wants_acyclic(all_names[i]) || round % 2;
            struct naive_graph graph;
            struct naive_image image;
            struct kernel kernel;

            naive_init(&graph, n, directed, round % 3 == 0);
            for (uint32_t e = 0; e < m; e++) {
                uint32_t a = (uint32_t)random_below(&random, n);
                uint32_t b = (uint32_t)random_below(&random, n);

                if (wants_acyclic(all_names[i]) ? a < b : true)
                    naive_add(&graph, a, b, (double)random_below(&random, 9));
            }
            naive_project(&graph, &image);
            kernel_init(&kernel, all_names[i]);
            kernel.threads = 1 + round % 2;
            kernel_fails_cleanly(&kernel, &image);
            naive_image_free(&image);
            naive_free(&graph);
        }
}

/* --- graphs made to hurt ------------------------------------------------ */

/* The longest that the process worked between two looks at the clock. */
struct watch {
    uint64_t last;
    uint64_t longest;
    uint64_t checks;
    uint64_t stop_at; /* this check says stop; 0: none */
};

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum status look(void *context)
{
    struct watch *watch = context;
    uint64_t now = cpu_ns();

    if (now - watch->last > watch->longest)
        watch->longest = now - watch->last;
    watch->last = now;
    watch->checks++;
    return watch->checks == watch->stop_at ? ST_CANCELLED : ST_OK;
}

/* Runs all on a graph, samples where all would take for ever: none works for
 * long without asking, and each stops when it is told to. */
static void all_on(const struct naive_graph *graph, const char *shape)
{
    struct naive_image image;
    uint64_t longest = 0;
    const char *slowest = "none";

    naive_project(graph, &image);
    for (unsigned i = 0; i < NAMES; i++)
        for (unsigned again = 0; again < 2; again++) {
            struct kernel kernel;
            struct result result;
            struct watch watch = {.last = cpu_ns()};
            size_t used = image.mem.used;
            struct run run;
            enum status st;

            kernel_init(&kernel, all_names[i]);
            if (!strcmp(all_names[i], "closeness") ||
                !strcmp(all_names[i], "harmonic"))
                kernel_set_u64(&kernel, "samples", 8);
            run_init(&run, &image.mem);
            run.check = look;
            run.context = &watch;
            watch.stop_at = again ? 2 : 0;
            result_init(&result);
            st = kernel.algorithm->run(&run, &image.projection, kernel.params,
                                       &result);
            if (st != ST_OK && st != ST_CYCLIC && st != ST_ROW_LIMIT &&
                st != (again ? ST_CANCELLED : ST_OK))
                fail_msg("%s on %s: status %d", all_names[i], shape, st);
            if (again && watch.checks >= 2)
                assert_int_equal(st, ST_CANCELLED);
            look(&watch);
            if (watch.longest > longest) {
                longest = watch.longest;
                slowest = all_names[i];
            }
            result_free(&image.mem, &result);
            assert_int_equal(image.mem.used, used);
        }
    printf("%s: the longest without a check is %.1f ms (%s)\n", shape,
           (double)longest / 1e6, slowest);
#ifndef RHIZOME_SANITIZE
    assert_true(longest < 50000000);
#endif
    naive_image_free(&image);
}

#ifdef RHIZOME_SANITIZE
#define MANY 200000u
#else
#define MANY 1000000u
#endif

static void long_paths_need_no_stack(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 4; shape++) {
        struct naive_graph graph;
        bool upwards = shape % 2;

        naive_init(&graph, MANY, shape < 2, false);
        for (uint32_t v = 1; v < MANY; v++)
            naive_add(&graph, upwards ? v - 1 : v, upwards ? v : v - 1, 1);
        if (shape == 3)
            naive_add(&graph, MANY - 1, 0, 1); /* a ring */
        all_on(&graph, shape == 3 ? "a ring" : "a path");
        naive_free(&graph);
    }
}

static void hubs_are_left_in_time(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 3; shape++) {
        struct naive_graph graph;

        naive_init(&graph, MANY, shape < 2, false);
        for (uint32_t v = 1; v < MANY; v++)
            naive_add(&graph, shape == 1 ? v : 0, shape == 1 ? 0 : v, 1);
        for (uint32_t i = 0; i < MANY; i++)
            naive_add(&graph, 0, shape ? 0 : 1, 1); /* in parallel, loops */
        all_on(&graph, "a hub");
        naive_free(&graph);
    }
}

static void dense_graphs_are_left_in_time(void **state)
{
    (void)state;
    for (unsigned directed = 0; directed < 2; directed++) {
        struct naive_graph graph;

        naive_complete(&graph, 1000, directed);
        all_on(&graph, "a complete graph");
        naive_free(&graph);
    }
}

/* A ring numbered so that nothing falls away by itself, in each direction:
 * it is taken apart once its only cycle was listed. */
static void cycles_of_long_rings_are_listed_in_linear_time(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 4; shape++) {
        struct naive_graph graph;
        struct naive_image image;
        struct kernel kernel;
        struct result result;

        naive_init(&graph, MANY, shape < 2, false);
        for (uint32_t v = 0; v < MANY; v++) {
            uint32_t w = v + 1 < MANY ? v + 1 : 0;

            naive_add(&graph, shape % 2 ? v : w, shape % 2 ? w : v, 1);
        }
        naive_project(&graph, &image);
        kernel_init(&kernel, "cycles");
        kernel_set_u64(&kernel, "max_length", shape < 3 ? MANY : 100);
        kernel_must(&kernel, &image, &result);
        assert_true(result_figure(&result, "cycles") == (shape < 3));
        assert_true(result_figure(&result, "complete") == 1);
        result_free(&image.mem, &result);
        naive_image_free(&image);
        naive_free(&graph);
    }
}

/* Of a ladder of diamonds there are more than anybody has time for. */
static void endless_cycles_stop_at_the_limit(void **state)
{
    struct naive_graph graph;
    struct naive_image image;
    struct kernel kernel;
    struct result result;

    (void)state;
    naive_init(&graph, 3 * 1000, true, false);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t next = i + 1 < 1000 ? 3 * (i + 1) : 0;

        naive_add(&graph, 3 * i, 3 * i + 1, 1);
        naive_add(&graph, 3 * i, 3 * i + 2, 1);
        naive_add(&graph, 3 * i + 1, next, 1);
        naive_add(&graph, 3 * i + 2, next, 1);
    }
    naive_project(&graph, &image);
    kernel_init(&kernel, "cycles");
    kernel_set_u64(&kernel, "max_length", UINT32_MAX - 1);
    kernel_set_u64(&kernel, "limit", 5000);
    kernel_must(&kernel, &image, &result);
    assert_int_equal(result.rows, 5000);
    assert_true(result_figure(&result, "complete") == 0);
    result_free(&image.mem, &result);
    naive_image_free(&image);
    naive_free(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strong_components_reach_each_other),
        cmocka_unit_test(topological_order_takes_the_smallest_that_is_ready),
        cmocka_unit_test(cycles_are_all_there_are),
        cmocka_unit_test(cores_are_what_is_left_and_colors_differ),
        cmocka_unit_test(near_scores_follow_from_all_distances),
        cmocka_unit_test(batches_of_searches_are_as_single_ones),
        cmocka_unit_test(samples_stand_for_all),
        cmocka_unit_test(powers_are_iterated_as_defined),
        cmocka_unit_test(karate_club_has_known_eigenvector),
        cmocka_unit_test(weights_are_looked_at),
        cmocka_unit_test(forests_weigh_as_little_as_can_be),
        cmocka_unit_test(what_parts_a_graph_is_found),
        cmocka_unit_test(closures_and_reductions_keep_what_is_reached),
        cmocka_unit_test(degrees_count_edges),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(long_paths_need_no_stack),
        cmocka_unit_test(hubs_are_left_in_time),
        cmocka_unit_test(dense_graphs_are_left_in_time),
        cmocka_unit_test(cycles_of_long_rings_are_listed_in_linear_time),
        cmocka_unit_test(endless_cycles_stop_at_the_limit),
    };

    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
