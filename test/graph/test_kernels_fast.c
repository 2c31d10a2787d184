/*
 * test_kernels_fast.c -- the kernels that were made to be fast, against others
 * that were made to be plain, on thousands of small graphs: with loops, edges
 * in parallel, parts that do not meet, one vertex, and none.
 *
 * Every run is made with one, two and three threads. It must give back all
 * memory but its result, and never take more than its estimate.
 */
#include "graph/kernels.h"

#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/random.h"

enum {
    GRAPHS = 1200,
    SMALL_MAX = 24, /* vertices of a graph with cubic oracles */
    THREADS_MAX = 3,
    EDGES_MAX = 1 << 17
};

static const struct algorithm *const kernels[] = {
    &bfs_algorithm, &sssp_algorithm,        &page_rank_algorithm,
    &wcc_algorithm, &betweenness_algorithm, &triangle_count_algorithm,
    &lcc_algorithm, &cdlp_algorithm,
};

#define KERNELS (sizeof(kernels) / sizeof(kernels[0]))

/* --- Graphs ------------------------------------------------------------- */

enum weight_kind { NO_WEIGHTS, SMALL, WITH_ZERO, BIG, FRACTIONS, WEIGHT_KINDS };

struct sample {
    struct mem mem;
    struct csr out;
    struct csr in; /* not made if undirected */
    struct projection projection;
    enum weight_kind kind;
};

static double draw_weight(struct random *random, enum weight_kind kind)
{
    switch (kind) {
    case SMALL:
        return 1 + (double)random_below(random, 20);
    case WITH_ZERO:
        return (double)random_below(random, 4);
    case BIG:
        return 1 + (double)(random_next(random) >> 33);
    default:
        return (1 + (double)random_below(random, 1000)) / 64;
    }
}

static void sample_build(struct sample *sample, uint32_t n, uint64_t m,
                         const uint32_t *from, const uint32_t *to,
                         const double *weights, bool undirected)
{
    uint32_t *a = malloc((2 * m + 1) * sizeof(*a));
    uint32_t *b = malloc((2 * m + 1) * sizeof(*b));
    double *w = malloc((2 * m + 1) * sizeof(*w));
    uint64_t count = 0;
    struct run run;

    for (uint64_t i = 0; i < m; i++) {
        a[count] = from[i];
        b[count] = to[i];
        w[count++] = weights ? weights[i] : 1;
        if (!undirected || from[i] == to[i])
            continue;
        a[count] = to[i];
        b[count] = from[i];
        w[count++] = weights ? weights[i] : 1;
    }
    memset(sample, 0, sizeof(*sample));
    mem_init(&sample->mem, 0);
    run_init(&run, &sample->mem);
    assert_int_equal(
        csr_build(&run, n, count, a, b, weights ? w : NULL, &sample->out),
        ST_OK);
    sample->projection = (struct projection){.n = n,
                                             .edges = m,
                                             .undirected = undirected,
                                             .out = &sample->out,
                                             .in = &sample->out,
                                             .both = &sample->out};
    if (!undirected) {
        assert_int_equal(csr_transpose(&run, &sample->out, &sample->in), ST_OK);
        sample->projection.in = &sample->in;
        sample->projection.both = NULL;
    }
    free(a);
    free(b);
    free(w);
}

static void sample_free(struct sample *sample)
{
    if (!sample->projection.undirected)
        csr_free(&sample->mem, &sample->in);
    csr_free(&sample->mem, &sample->out);
    assert_int_equal(sample->mem.used, 0);
}

/* Few vertices and any number of edges: some graphs are dense, some are trees
 * or chains, and some are mostly loops and repetitions. */
static void sample_draw(struct sample *sample, struct random *random,
                        uint32_t n_max, enum weight_kind kind)
{
    static uint32_t from[EDGES_MAX];
    static uint32_t to[EDGES_MAX];
    static double weights[EDGES_MAX];
    uint32_t n = (uint32_t)random_below(random, n_max + 1);
    uint64_t m = n > 0 ? random_below(random, 4 * (uint64_t)n + 2) : 0;
    unsigned shape = (unsigned)random_below(random, 4);
    bool undirected = random_below(random, 2);

    if (random_below(random, 8) == 0)
        m *= 4;
    if (m > EDGES_MAX)
        m = EDGES_MAX;
    for (uint64_t i = 0; i < m; i++) {
        from[i] = (uint32_t)random_below(random, n);
        to[i] = (uint32_t)random_below(random, n);
        if (shape == 1) /* a chain */
            to[i] = from[i] + 1 < n ? from[i] + 1 : from[i];
        if (shape == 2) /* hubs */
            to[i] = (uint32_t)random_below(random, to[i] + 1);
        if (random_below(random, 16) == 0)
            to[i] = from[i];
        if (i > 0 && random_below(random, 8) == 0) {
            from[i] = from[i - 1];
            to[i] = to[i - 1];
        }
        weights[i] = draw_weight(random, kind);
    }
    sample_build(sample, n, m, from, to, kind == NO_WEIGHTS ? NULL : weights,
                 undirected);
    sample->kind = kind;
}

/* --- Runs --------------------------------------------------------------- */

/* Whoever checks; the `nth` check from now fails. */
struct stopper {
    _Atomic uint64_t checks;
    uint64_t nth; /* 0: none */
};

static enum status stopper_check(void *context)
{
    struct stopper *stopper = context;
    uint64_t check = atomic_fetch_add(&stopper->checks, 1) + 1;

    return check == stopper->nth ? ST_CANCELLED : ST_OK;
}

static struct param *param(const struct algorithm *algorithm,
                           struct param *params, const char *name)
{
    for (unsigned i = 0; i < algorithm->param_count; i++)
        if (!strcmp(algorithm->params[i].name, name)) {
            params[i].given = true;
            return &params[i];
        }
    fail_msg("no parameter %s", name);
    return NULL;
}

static const struct figure *figure(const struct result *result,
                                   const char *name)
{
    for (unsigned i = 0; i < result->figure_count; i++)
        if (!strcmp(result->figures[i].name, name))
            return &result->figures[i];
    fail_msg("no figure %s", name);
    return NULL;
}

static const void *column(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->column_count; i++)
        if (!strcmp(result->columns[i].name, name))
            return result->columns[i].data;
    fail_msg("no column %s", name);
    return NULL;
}

/* Runs on an account of its own, which has the result alone afterwards. */
static void run_kernel(const struct algorithm *algorithm,
                       const struct sample *sample, const struct param *params,
                       unsigned threads, struct mem *mem, struct result *result)
{
    struct stopper stopper = {0};
    struct run run;
    enum status st;

    mem_init(mem, 0);
    run_init(&run, mem);
    run.threads = threads;
    run.check = stopper_check;
    run.context = &stopper;
    result_init(result);
    st = algorithm->run(&run, &sample->projection, params, result);
    if (st != ST_OK)
        fail_msg("%s: %s", algorithm->name, status_atom(st));
    assert_true(result->per_vertex);
    assert_int_equal(result->rows, sample->projection.n);
    assert_int_equal(mem->used, result_bytes(result));
    assert_true(mem->peak <=
                algorithm->estimate(&sample->projection, params, threads));
}

static void result_drop(struct mem *mem, struct result *result)
{
    result_free(mem, result);
    assert_int_equal(mem->used, 0);
}

/* --- Breadth-first search ----------------------------------------------- */

static void check_bfs(const struct sample *sample, const struct result *result,
                      const uint32_t *sources, size_t count, uint64_t depth_max)
{
    uint32_t n = sample->projection.n;
    const struct csr *out = &sample->out;
    const uint64_t *levels = column(result, "level");
    const uint32_t *parents = column(result, "parent");
    uint64_t *expected = malloc((n + 1) * sizeof(*expected));
    uint32_t *least = malloc((n + 1) * sizeof(*least));
    uint64_t reached = 0;
    bool more = true;

    memset(expected, 0xff, n * sizeof(*expected));
    memset(least, 0xff, n * sizeof(*least));
    for (size_t i = 0; i < count; i++)
        expected[sources[i]] = 0;
    for (uint64_t level = 0; more && level < depth_max; level++) {
        more = false;
        for (uint32_t u = 0; u < n; u++) {
            if (expected[u] != level)
                continue;
            for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
                uint32_t v = out->targets[e];

                if (expected[v] == UINT64_MAX) {
                    expected[v] = level + 1;
                    more = true;
                }
                if (expected[v] == level + 1 && u < least[v])
                    least[v] = u;
            }
        }
    }
    for (uint32_t v = 0; v < n; v++) {
        assert_int_equal(levels[v], expected[v]);
        assert_int_equal(parents[v], least[v]);
        reached += expected[v] != UINT64_MAX;
    }
    assert_int_equal(figure(result, "reached")->u64, reached);
    free(expected);
    free(least);
}

static void try_bfs(const struct sample *sample, struct random *random)
{
    uint32_t n = sample->projection.n;
    struct param params[PARAMS_MAX];
    uint32_t sources[4];
    uint64_t depth_max = UINT32_MAX;
    size_t count = 1 + random_below(random, 4);

    if (n == 0)
        return;
    for (size_t i = 0; i < count; i++)
        sources[i] = (uint32_t)random_below(random, n);
    params_default(&bfs_algorithm, params);
    if (count == 1) {
        param(&bfs_algorithm, params, "source")->vertex = sources[0];
    } else {
        param(&bfs_algorithm, params, "sources")->vertices = sources;
        param(&bfs_algorithm, params, "sources")->count = count;
    }
    if (random_below(random, 4) == 0) {
        depth_max = random_below(random, 5);
        param(&bfs_algorithm, params, "max_depth")->u64 = depth_max;
    }
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;

        run_kernel(&bfs_algorithm, sample, params, threads, &mem, &result);
        check_bfs(sample, &result, sources, count, depth_max);
        result_drop(&mem, &result);
    }
}

/* --- Shortest paths ----------------------------------------------------- */

/* Bellman and Ford. */
static void naive_distances(const struct csr *out, uint32_t source,
                            double *distances)
{
    bool changed = true;

    for (uint32_t v = 0; v < out->n; v++)
        distances[v] = INFINITY;
    distances[source] = 0;
    while (changed) {
        changed = false;
        for (uint32_t u = 0; u < out->n; u++)
            for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
                double sum = distances[u] + csr_weight(out, e);

                if (sum < distances[out->targets[e]]) {
                    distances[out->targets[e]] = sum;
                    changed = true;
                }
            }
    }
}

static void check_sssp(const struct sample *sample, const struct result *result,
                       uint32_t source)
{
    uint32_t n = sample->projection.n;
    const struct csr *out = &sample->out;
    const double *distances = column(result, "distance");
    const uint32_t *parents = column(result, "parent");
    double *expected = malloc(n * sizeof(*expected));
    uint32_t *least = malloc(n * sizeof(*least));

    naive_distances(out, source, expected);
    memset(least, 0xff, n * sizeof(*least));
    for (uint32_t u = n; u-- > 0;)
        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
            uint32_t v = out->targets[e];

            if (expected[u] < INFINITY && v != source &&
                expected[u] + csr_weight(out, e) == expected[v])
                least[v] = u;
        }
    for (uint32_t v = 0; v < n; v++) {
        uint32_t at = v;
        uint32_t steps = 0;

        assert_true(distances[v] == expected[v]);
        if (v == source || expected[v] == INFINITY)
            assert_int_equal(parents[v], NO_VERTEX);
        else if (sample->kind != WITH_ZERO)
            assert_int_equal(parents[v], least[v]);
        /* The tree leads to the source, over edges that add up. */
        while (expected[v] < INFINITY && at != source) {
            uint32_t parent = parents[at];
            bool fits = false;
            uint64_t e;

            assert_true(parent < n && steps++ < n);
            assert_true(csr_find(out, parent, at, &e));
            for (; e < out->offsets[parent + 1] && out->targets[e] == at; e++)
                fits |= expected[parent] + csr_weight(out, e) == expected[at];
            assert_true(fits);
            at = parent;
        }
    }
    free(expected);
    free(least);
}

static void try_sssp(const struct sample *sample, struct random *random)
{
    static const double deltas[] = {0, 0.5, 1, 3, 1e6};
    uint32_t n = sample->projection.n;
    struct param params[PARAMS_MAX];
    uint32_t source;

    if (n == 0)
        return;
    source = (uint32_t)random_below(random, n);
    params_default(&sssp_algorithm, params);
    param(&sssp_algorithm, params, "source")->vertex = source;
    param(&sssp_algorithm, params, "delta")->f64 =
        deltas[random_below(random, 5)];
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;

        run_kernel(&sssp_algorithm, sample, params, threads, &mem, &result);
        check_sssp(sample, &result, source);
        result_drop(&mem, &result);
    }
}

/* --- PageRank ----------------------------------------------------------- */

static void naive_page_rank(const struct csr *out, double damping,
                            const double *teleport, unsigned iterations,
                            double *ranks)
{
    uint32_t n = out->n;
    double *next = malloc((n + 1) * sizeof(*next));

    memcpy(ranks, teleport, n * sizeof(*ranks));
    for (unsigned i = 0; i < iterations; i++) {
        double sinks = 0;

        memset(next, 0, n * sizeof(*next));
        for (uint32_t u = 0; u < n; u++) {
            double sum = 0;

            for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++)
                sum += csr_weight(out, e);
            if (sum == 0)
                sinks += ranks[u];
            for (uint64_t e = out->offsets[u];
                 sum > 0 && e < out->offsets[u + 1]; e++)
                next[out->targets[e]] += ranks[u] * csr_weight(out, e) / sum;
        }
        for (uint32_t v = 0; v < n; v++)
            ranks[v] = teleport[v] * (1 - damping + damping * sinks) +
                       damping * next[v];
    }
    free(next);
}

static void try_page_rank(const struct sample *sample, struct random *random)
{
    const struct algorithm *algorithm = &page_rank_algorithm;
    uint32_t n = sample->projection.n;
    struct param params[PARAMS_MAX];
    double *teleport = calloc(n + 1, sizeof(*teleport));
    double *expected = malloc((n + 1) * sizeof(*expected));
    double damping = (double)random_below(random, 96) / 100;
    unsigned iterations = 1500;
    uint32_t sources[3];
    unsigned members = 0;

    params_default(algorithm, params);
    if (n > 0 && random_below(random, 3) == 0) {
        for (int i = 0; i < 3; i++) {
            sources[i] = (uint32_t)random_below(random, n);
            members += teleport[sources[i]] == 0;
            teleport[sources[i]] = 1;
        }
        param(algorithm, params, "sources")->vertices = sources;
        param(algorithm, params, "sources")->count = 3;
        for (uint32_t v = 0; v < n; v++)
            teleport[v] /= members;
    } else {
        for (uint32_t v = 0; v < n; v++)
            teleport[v] = 1.0 / n;
    }
    param(algorithm, params, "tolerance")->f64 = 1e-13;
    param(algorithm, params, "max_iterations")->u64 = 2000;
    if (random_below(random, 2) == 0) {
        iterations = (unsigned)random_below(random, 20);
        param(algorithm, params, "iterations")->u64 = iterations;
        if (random_below(random, 4) == 0)
            damping = 1;
    }
    param(algorithm, params, "damping")->f64 = damping;
    naive_page_rank(&sample->out, damping, teleport, iterations, expected);
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;
        const double *ranks;

        run_kernel(algorithm, sample, params, threads, &mem, &result);
        ranks = column(&result, "rank");
        for (uint32_t v = 0; v < n; v++)
            assert_true(fabs(ranks[v] - expected[v]) < 1e-9);
        if (iterations < 1500)
            assert_int_equal(figure(&result, "iterations")->u64, iterations);
        else if (n > 0)
            assert_true(figure(&result, "converged")->u64);
        result_drop(&mem, &result);
    }
    free(teleport);
    free(expected);
}

/* --- Components --------------------------------------------------------- */

static void try_wcc(const struct sample *sample)
{
    uint32_t n = sample->projection.n;
    const struct csr *out = &sample->out;
    uint32_t *expected = malloc((n + 1) * sizeof(*expected));
    uint64_t *sizes = calloc(n + 1, sizeof(*sizes));
    uint64_t components = 0;
    uint64_t largest = 0;
    bool changed = true;

    for (uint32_t v = 0; v < n; v++)
        expected[v] = v;
    while (changed) {
        changed = false;
        for (uint32_t u = 0; u < n; u++)
            for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
                uint32_t v = out->targets[e];
                uint32_t least =
                    expected[u] < expected[v] ? expected[u] : expected[v];

                changed |= expected[u] != expected[v];
                expected[u] = expected[v] = least;
            }
    }
    for (uint32_t v = 0; v < n; v++) {
        components += expected[v] == v;
        if (++sizes[expected[v]] > largest)
            largest = sizes[expected[v]];
    }
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;

        run_kernel(&wcc_algorithm, sample, NULL, threads, &mem, &result);
        if (n > 0)
            assert_memory_equal(column(&result, "component"), expected,
                                n * sizeof(*expected));
        assert_int_equal(figure(&result, "components")->u64, components);
        assert_int_equal(figure(&result, "largest")->u64, largest);
        result_drop(&mem, &result);
    }
    free(expected);
    free(sizes);
}

/* --- Betweenness -------------------------------------------------------- */

struct paths {
    double distance[SMALL_MAX][SMALL_MAX];
    double count[SMALL_MAX][SMALL_MAX];
};

/* Shortest distances, and then as many paths as there are last steps. */
static void naive_paths(const struct sample *sample, struct paths *paths)
{
    uint32_t n = sample->projection.n;
    const struct csr *out = &sample->out;
    double weight[SMALL_MAX][SMALL_MAX];

    for (uint32_t u = 0; u < n; u++) {
        for (uint32_t v = 0; v < n; v++)
            weight[u][v] = INFINITY;
        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++)
            weight[u][out->targets[e]] =
                fmin(weight[u][out->targets[e]], csr_weight(out, e));
    }
    for (uint32_t s = 0; s < n; s++) {
        bool done[SMALL_MAX] = {false};

        naive_distances(out, s, paths->distance[s]);
        memset(paths->count[s], 0, sizeof(paths->count[s]));
        paths->count[s][s] = 1;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t t = NO_VERTEX;

            for (uint32_t v = 0; v < n; v++)
                if (!done[v] && (t == NO_VERTEX ||
                                 paths->distance[s][v] < paths->distance[s][t]))
                    t = v;
            done[t] = true;
            for (uint32_t u = 0; t != s && u < n; u++)
                if (u != t && paths->distance[s][u] < INFINITY &&
                    paths->distance[s][u] + weight[u][t] ==
                        paths->distance[s][t])
                    paths->count[s][t] += paths->count[s][u];
        }
    }
}

static double naive_betweenness(const struct paths *paths, uint32_t n,
                                uint32_t v, const bool *is_source)
{
    double sum = 0;

    for (uint32_t s = 0; s < n; s++)
        for (uint32_t t = 0; t < n; t++)
            if (is_source[s] && s != t && s != v && t != v &&
                paths->distance[s][t] < INFINITY &&
                paths->distance[s][v] + paths->distance[v][t] ==
                    paths->distance[s][t])
                sum += paths->count[s][v] * paths->count[v][t] /
                       paths->count[s][t];
    return sum;
}

static void try_betweenness(const struct sample *sample, struct random *random)
{
    const struct algorithm *algorithm = &betweenness_algorithm;
    uint32_t n = sample->projection.n;
    struct param params[PARAMS_MAX];
    bool is_source[SMALL_MAX] = {false};
    uint32_t sources[9];
    struct paths paths;
    bool some = n > 0 && random_below(random, 2);

    if (n > SMALL_MAX || sample->kind == WITH_ZERO)
        return;
    params_default(algorithm, params);
    for (uint32_t v = 0; v < n; v++)
        is_source[v] = !some;
    if (some) {
        size_t count = 1 + random_below(random, 9);

        for (size_t i = 0; i < count; i++) {
            sources[i] = (uint32_t)random_below(random, n);
            is_source[sources[i]] = true;
        }
        param(algorithm, params, "sources")->vertices = sources;
        param(algorithm, params, "sources")->count = count;
    }
    naive_paths(sample, &paths);
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;
        const double *sums;

        run_kernel(algorithm, sample, params, threads, &mem, &result);
        sums = column(&result, "centrality");
        for (uint32_t v = 0; v < n; v++) {
            double expected = naive_betweenness(&paths, n, v, is_source);

            if (sample->projection.undirected)
                expected /= 2;
            assert_true(fabs(sums[v] - expected) < 1e-9 * (1 + expected));
        }
        result_drop(&mem, &result);
    }
}

/* --- Triangles ---------------------------------------------------------- */

static void try_triangles(const struct sample *sample)
{
    uint32_t n = sample->projection.n;
    const struct csr *out = &sample->out;
    bool(*edge)[SMALL_MAX] = calloc(SMALL_MAX, sizeof(*edge));
    uint64_t total = 0;

    if (n > SMALL_MAX) {
        free(edge);
        return;
    }
    for (uint32_t u = 0; u < n; u++)
        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++)
            edge[u][out->targets[e]] |= out->targets[e] != u;
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result counts;
        struct result coefficients;
        struct mem mems[2];

        run_kernel(&triangle_count_algorithm, sample, NULL, threads, &mems[0],
                   &counts);
        run_kernel(&lcc_algorithm, sample, NULL, threads, &mems[1],
                   &coefficients);
        total = 0;
        for (uint32_t v = 0; v < n; v++) {
            uint64_t triangles = 0;
            double degree = 0;
            double pairs = 0;

            for (uint32_t u = 0; u < n; u++) {
                if (!edge[v][u] && !edge[u][v])
                    continue;
                degree++;
                for (uint32_t w = 0; w < n; w++) {
                    if (!edge[v][w] && !edge[w][v])
                        continue;
                    pairs += edge[u][w];
                    triangles += u < w && (edge[u][w] || edge[w][u]);
                }
            }
            total += triangles;
            assert_int_equal(
                ((const uint64_t *)column(&counts, "triangles"))[v], triangles);
            assert_true(
                fabs(((const double *)column(&coefficients, "coefficient"))[v] -
                     (degree < 2 ? 0 : pairs / (degree * (degree - 1)))) <
                1e-12);
        }
        assert_int_equal(figure(&counts, "triangles")->u64, total / 3);
        result_drop(&mems[0], &counts);
        result_drop(&mems[1], &coefficients);
    }
    free(edge);
}

/* --- Labels ------------------------------------------------------------- */

static void vote(const struct csr *csr, uint32_t v, const uint32_t *labels,
                 uint32_t *votes)
{
    for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
        votes[labels[csr->targets[e]]]++;
}

static void try_cdlp(const struct sample *sample, struct random *random)
{
    uint32_t n = sample->projection.n;
    uint32_t *labels = malloc((n + 1) * sizeof(*labels));
    uint32_t *next = malloc((n + 1) * sizeof(*next));
    uint32_t *votes = malloc((n + 1) * sizeof(*votes));
    struct param params[PARAMS_MAX];
    uint64_t iterations = random_below(random, 12);

    params_default(&cdlp_algorithm, params);
    param(&cdlp_algorithm, params, "iterations")->u64 = iterations;
    for (uint32_t v = 0; v < n; v++)
        labels[v] = v;
    for (uint64_t i = 0; i < iterations; i++) {
        for (uint32_t v = 0; v < n; v++) {
            memset(votes, 0, n * sizeof(*votes));
            vote(&sample->out, v, labels, votes);
            if (!sample->projection.undirected)
                vote(&sample->in, v, labels, votes);
            next[v] = 0;
            for (uint32_t label = 1; label < n; label++)
                if (votes[label] > votes[next[v]])
                    next[v] = label;
            if (votes[next[v]] == 0)
                next[v] = labels[v];
        }
        memcpy(labels, next, n * sizeof(*labels));
    }
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;

        run_kernel(&cdlp_algorithm, sample, params, threads, &mem, &result);
        if (n > 0)
            assert_memory_equal(column(&result, "label"), labels,
                                n * sizeof(*labels));
        result_drop(&mem, &result);
    }
    free(labels);
    free(next);
    free(votes);
}

/* --- Tests -------------------------------------------------------------- */

static void try_all(const struct sample *sample, struct random *random)
{
    try_bfs(sample, random);
    try_sssp(sample, random);
    try_page_rank(sample, random);
    try_wcc(sample);
    try_betweenness(sample, random);
    try_triangles(sample);
    try_cdlp(sample, random);
}

static void small_graphs(void **state)
{
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    for (int i = 0; i < GRAPHS; i++) {
        enum weight_kind kind =
            (enum weight_kind)random_below(&random, (uint64_t)WEIGHT_KINDS);

        sample_draw(&sample, &random, i % 8 == 0 ? 3 : SMALL_MAX, kind);
        try_all(&sample, &random);
        sample_free(&sample);
    }
}

/* Large enough for directions to change, chunks to be shared out, and buckets
 * to have more than one block. */
static void larger_graphs(void **state)
{
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    for (int i = 0; i < 20; i++) {
        enum weight_kind kind =
            (enum weight_kind)random_below(&random, (uint64_t)WEIGHT_KINDS);

        sample_draw(&sample, &random, i < 15 ? 300 : 3000, kind);
        try_bfs(&sample, &random);
        try_sssp(&sample, &random);
        try_wcc(&sample);
        if (sample.projection.n < 500) {
            try_page_rank(&sample, &random);
            try_cdlp(&sample, &random);
        }
        sample_free(&sample);
    }
}

/* Stars with many more edges than one thread should have for itself, which
 * meet; every ray is there twice, and some vertices are elsewhere. */
static void hubs_are_shared_out(void **state)
{
    enum { HUBS = 3, RAYS = 10000, VERTICES = 12000, CHAINED = 2000 };
    static uint32_t from[HUBS * RAYS * 2 + CHAINED];
    static uint32_t to[HUBS * RAYS * 2 + CHAINED];
    static double weights[HUBS * RAYS * 2 + CHAINED];
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t m = 0;

        for (uint32_t hub = 0; hub < HUBS; hub++)
            for (uint32_t i = 0; i < 2 * RAYS; i++) {
                from[m] = hub;
                to[m++] = (uint32_t)random_below(&random, VERTICES);
            }
        for (uint32_t i = 0; i < CHAINED; i++) {
            from[m] = (uint32_t)random_below(&random, VERTICES);
            to[m] = i % 8 ? from[m] / 2 : i % HUBS;
            m++;
        }
        for (uint64_t i = 0; i < m; i++)
            weights[i] = draw_weight(&random, SMALL);
        sample_build(&sample, VERTICES, m, from, to, kind / 2 ? weights : NULL,
                     kind % 2);
        for (int i = 0; i < 6; i++) {
            try_bfs(&sample, &random);
            try_sssp(&sample, &random);
        }
        sample_free(&sample);
    }
}

/* Brandes' algorithm as he wrote it down; rows without repeated targets. */
static void add_brandes(const struct csr *out, uint32_t source, double *sums)
{
    uint32_t n = out->n;
    uint32_t *queue = malloc(n * sizeof(*queue));
    uint32_t *depths = malloc(n * sizeof(*depths));
    double *counts = calloc(n, sizeof(*counts));
    double *deltas = calloc(n, sizeof(*deltas));
    uint32_t size = 1;

    memset(depths, 0xff, n * sizeof(*depths));
    queue[0] = source;
    depths[source] = 0;
    counts[source] = 1;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t u = queue[i];

        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
            uint32_t v = out->targets[e];

            if (e > out->offsets[u] && v == out->targets[e - 1])
                continue;
            if (depths[v] == UINT32_MAX) {
                depths[v] = depths[u] + 1;
                queue[size++] = v;
            }
            if (depths[v] == depths[u] + 1)
                counts[v] += counts[u];
        }
    }
    while (size-- > 1) {
        uint32_t u = queue[size];

        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
            uint32_t v = out->targets[e];

            if (e > out->offsets[u] && v == out->targets[e - 1])
                continue;
            if (depths[v] == depths[u] + 1)
                deltas[u] += counts[u] / counts[v] * (1 + deltas[v]);
        }
        sums[u] += deltas[u];
    }
    free(queue);
    free(depths);
    free(counts);
    free(deltas);
}

enum {
    CREW_VERTICES = 16000,
    CREW_EDGES = 300000,
    CREW_TAIL = 300,
    CREW_SOURCES = 9
};

/* Levels with much work, most of them at hubs; then with hardly any, if there
 * is a tail, which has some of the sources. */
static void draw_for_crews(struct sample *sample, struct random *random,
                           bool undirected, bool tail)
{
    static uint32_t from[CREW_EDGES + CREW_TAIL];
    static uint32_t to[CREW_EDGES + CREW_TAIL];
    uint32_t n = CREW_VERTICES;
    uint64_t m = 0;

    while (m < CREW_EDGES) {
        uint32_t u = (uint32_t)random_below(random, n);
        uint32_t v =
            (uint32_t)random_below(random, random_below(random, n) + 1);

        from[m] = m % 2 ? u : v;
        to[m] = m % 2 ? v : u;
        m++;
    }
    for (uint32_t i = 0; tail && i < CREW_TAIL; i++) {
        from[m] = i ? n++ : 0;
        to[m++] = n;
    }
    sample_build(sample, tail ? n + 1 : n, m, from, to, NULL, undirected);
}

/* All together, and each with batches of its own after the first: sums are
 * right, and do not depend on which thread was first. */
static void threads_walk_together_or_apart(void **state)
{
    const struct algorithm *algorithm = &betweenness_algorithm;
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned kind = 0; kind < 4; kind++) {
        struct param params[PARAMS_MAX];
        uint32_t sources[CREW_SOURCES];
        double *expected;
        uint32_t n;

        draw_for_crews(&sample, &random, kind % 2, kind / 2);
        n = sample.projection.n;
        expected = calloc(n, sizeof(*expected));
        for (uint32_t i = 0; i < CREW_SOURCES; i++) {
            sources[i] = i * 1777 % CREW_VERTICES;
            if (n > CREW_VERTICES && i % 4 == 1)
                sources[i] = CREW_VERTICES + i;
            add_brandes(&sample.out, sources[i], expected);
        }
        params_default(algorithm, params);
        param(algorithm, params, "sources")->vertices = sources;
        param(algorithm, params, "sources")->count = CREW_SOURCES;
        for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
            struct result results[2];
            struct mem mems[2];
            const double *sums;

            for (unsigned i = 0; i < 2; i++)
                run_kernel(algorithm, &sample, params, threads, &mems[i],
                           &results[i]);
            sums = column(&results[0], "centrality");
            for (uint32_t v = 0; v < n; v++) {
                double sum = kind % 2 ? expected[v] / 2 : expected[v];

                assert_true(fabs(sums[v] - sum) < 1e-9 * (1 + sum));
            }
            if (threads == 1 || n == CREW_VERTICES)
                assert_memory_equal(sums, column(&results[1], "centrality"),
                                    n * sizeof(double));
            for (unsigned i = 0; i < 2; i++)
                result_drop(&mems[i], &results[i]);
        }
        free(expected);
        sample_free(&sample);
    }
}

/* Each vertex of a chain finds a shorter way to all others, so that they lie
 * in many buckets at a time: more than the pool has room for. */
static void buckets_are_made_anew(void **state)
{
    enum { CHAIN = 60, OTHERS = 4000, FAR = 2 * CHAIN };
    static uint32_t from[CHAIN * (OTHERS + 1)];
    static uint32_t to[CHAIN * (OTHERS + 1)];
    static double weights[CHAIN * (OTHERS + 1)];
    struct param params[PARAMS_MAX];
    struct sample sample;
    uint64_t m = 0;

    (void)state;
    for (uint32_t i = 0; i < CHAIN; i++) {
        if (i + 1 < CHAIN) {
            from[m] = i;
            to[m] = i + 1;
            weights[m++] = 1;
        }
        for (uint32_t j = 0; j < OTHERS; j++) {
            from[m] = i;
            to[m] = CHAIN + j;
            weights[m++] = FAR - 2.0 * i;
        }
    }
    sample_build(&sample, CHAIN + OTHERS, m, from, to, weights, false);
    params_default(&sssp_algorithm, params);
    param(&sssp_algorithm, params, "source")->vertex = 0;
    param(&sssp_algorithm, params, "delta")->f64 = 1;
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct result result;
        struct mem mem;

        run_kernel(&sssp_algorithm, &sample, params, threads, &mem, &result);
        check_sssp(&sample, &result, 0);
        result_drop(&mem, &result);
    }
    sample_free(&sample);
}

static void samples_are_vertices(void **state)
{
    const struct algorithm *algorithm = &betweenness_algorithm;
    struct param params[PARAMS_MAX];
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    sample_draw(&sample, &random, 200, NO_WEIGHTS);
    params_default(algorithm, params);
    for (uint64_t count = 0; count < 300; count += 37) {
        struct result results[2];
        struct mem mems[2];
        uint64_t n = sample.projection.n;

        param(algorithm, params, "samples")->u64 = count;
        param(algorithm, params, "seed")->u64 = 7;
        for (int i = 0; i < 2; i++)
            run_kernel(algorithm, &sample, params, 1, &mems[i], &results[i]);
        assert_int_equal(figure(&results[0], "sources")->u64,
                         count < n ? count : n);
        if (n > 0)
            assert_memory_equal(column(&results[0], "centrality"),
                                column(&results[1], "centrality"),
                                n * sizeof(double));
        for (int i = 0; i < 2; i++)
            result_drop(&mems[i], &results[i]);
    }
    sample_free(&sample);
}

static void expect_failure(const struct algorithm *algorithm,
                           const struct sample *sample, struct param *params,
                           enum status expected, uint32_t from, uint32_t to)
{
    struct result result;
    struct mem mem;
    struct run run;

    mem_init(&mem, 0);
    run_init(&run, &mem);
    run.threads = 2;
    result_init(&result);
    assert_int_equal(algorithm->run(&run, &sample->projection, params, &result),
                     expected);
    assert_int_equal(run.fault[0], from);
    assert_int_equal(run.fault[1], to);
    assert_non_null(run.why);
    result_free(&mem, &result);
    assert_int_equal(mem.used, 0);
}

static void bad_input_is_named(void **state)
{
    static const uint32_t from[] = {0, 1, 1};
    static const uint32_t to[] = {1, 2, 0};
    static const double negative[] = {1, -0.5, 2};
    static const double zero[] = {1, 0, 2};
    struct param params[PARAMS_MAX];
    struct sample sample;

    (void)state;
    sample_build(&sample, 3, 3, from, to, negative, false);
    params_default(&sssp_algorithm, params);
    param(&sssp_algorithm, params, "source")->vertex = 0;
    expect_failure(&sssp_algorithm, &sample, params, ST_BAD_WEIGHT, 1, 2);
    params_default(&page_rank_algorithm, params);
    expect_failure(&page_rank_algorithm, &sample, params, ST_BAD_WEIGHT, 1, 2);
    params_default(&bfs_algorithm, params);
    expect_failure(&bfs_algorithm, &sample, params, ST_BAD_ARGUMENT, NO_VERTEX,
                   NO_VERTEX);
    sample_free(&sample);
    sample_build(&sample, 3, 3, from, to, zero, false);
    params_default(&betweenness_algorithm, params);
    expect_failure(&betweenness_algorithm, &sample, params, ST_BAD_WEIGHT, 1,
                   2);
    sample_free(&sample);
}

/* Runs that may fail: with the nth allocation refused, or the nth check. */
static enum status run_failing(const struct algorithm *algorithm,
                               const struct sample *sample, unsigned threads,
                               uint64_t allocation, uint64_t check)
{
    struct stopper stopper = {.nth = check};
    struct param params[PARAMS_MAX];
    struct result result;
    struct mem mem;
    struct run run;
    enum status st;

    mem_init(&mem, 0);
    run_init(&run, &mem);
    run.threads = threads;
    run.check = stopper_check;
    run.context = &stopper;
    result_init(&result);
    params_default(algorithm, params);
    if (algorithm == &bfs_algorithm || algorithm == &sssp_algorithm)
        param(algorithm, params, "source")->vertex = 0;
    mem_fail_at(&mem, allocation, false);
    st = algorithm->run(&run, &sample->projection, params, &result);
    mem_fail_at(&mem, 0, false);
    if (st == ST_OK)
        assert_int_equal(mem.used, result_bytes(&result));
    result_free(&mem, &result);
    assert_int_equal(mem.used, 0);
    return st;
}

static void failures_give_all_back(void **state)
{
    static const enum weight_kind kinds[] = {NO_WEIGHTS, SMALL, FRACTIONS};
    struct random random;
    struct sample sample;

    (void)state;
    random_init(&random, random_seed());
    for (int i = 0; i < 6; i++) {
        sample_draw(&sample, &random, 400, kinds[i % 3]);
        for (size_t k = 0; sample.projection.n > 0 && k < KERNELS; k++)
            for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
                uint64_t nth = 1;
                enum status st;

                while ((st = run_failing(kernels[k], &sample, threads, nth,
                                         0)) == ST_NO_MEMORY)
                    nth++;
                assert_int_equal(st, ST_OK);
                nth = 1;
                while ((st = run_failing(kernels[k], &sample, threads, 0,
                                         nth)) == ST_CANCELLED)
                    nth += 1 + nth / 8;
                assert_int_equal(st, ST_OK);
            }
        sample_free(&sample);
    }
}

struct straggler {
    pthread_t first;
    _Atomic uint64_t checks;
    uint64_t nth; /* of the other threads' checks: fails, late */
};

static enum status straggler_check(void *context)
{
    struct straggler *straggler = context;

    if (pthread_equal(pthread_self(), straggler->first) ||
        atomic_fetch_add(&straggler->checks, 1) + 1 != straggler->nth)
        return ST_OK;
    usleep(1000);
    return ST_CANCELLED;
}

/* A thread that stops leaves its part undone while the others wait for it:
 * none of them may use that part. */
static void nobody_uses_what_was_not_done(void **state)
{
    const uint32_t n = 300;
    uint32_t from[300];
    uint32_t to[300];
    struct sample sample;

    (void)state;
    for (uint32_t v = 0; v < n; v++) {
        from[v] = v;
        to[v] = (v + 1) % n;
    }
    sample_build(&sample, n, n, from, to, NULL, false);
    mallopt(M_PERTURB, 0x55); /* what is not written is nonsense */
    for (size_t k = 0; k < KERNELS; k++)
        for (uint64_t nth = 1; nth < 8; nth++) {
            const struct algorithm *algorithm = kernels[k];
            struct straggler straggler = {.first = pthread_self(), .nth = nth};
            struct param params[PARAMS_MAX];
            struct result result;
            struct mem mem;
            struct run run;
            enum status st;

            mem_init(&mem, 0);
            run_init(&run, &mem);
            run.threads = 2;
            run.check = straggler_check;
            run.context = &straggler;
            result_init(&result);
            params_default(algorithm, params);
            if (algorithm == &bfs_algorithm || algorithm == &sssp_algorithm)
                param(algorithm, params, "source")->vertex = 0;
            st = algorithm->run(&run, &sample.projection, params, &result);
            assert_int_equal(st, atomic_load(&straggler.checks) >= nth
                                     ? ST_CANCELLED
                                     : ST_OK);
            result_free(&mem, &result);
            assert_int_equal(mem.used, 0);
        }
    mallopt(M_PERTURB, 0);
    sample_free(&sample);
}

/* Arrays for more threads may be refused: those that there are do all. */
static void fewer_arrays_will_do(void **state)
{
    const struct algorithm *algorithm = &betweenness_algorithm;
    const uint32_t n = 300;
    uint32_t from[300];
    uint32_t to[300];
    struct sample sample;
    unsigned without = 0;

    (void)state;
    for (uint32_t v = 0; v < n; v++) {
        from[v] = v;
        to[v] = (v + 1) % n;
    }
    sample_build(&sample, n, n, from, to, NULL, false);
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct param params[PARAMS_MAX];
        struct result result;
        struct mem mem;
        struct run run;
        enum status st;

        mem_init(&mem, 0);
        run_init(&run, &mem);
        run.threads = THREADS_MAX;
        result_init(&result);
        params_default(algorithm, params);
        mem_fail_at(&mem, nth, false);
        st = algorithm->run(&run, &sample.projection, params, &result);
        without += st == ST_OK && mem.fail_at == 0;
        mem_fail_at(&mem, 0, false);
        if (st == ST_OK) {
            const double *sums = column(&result, "centrality");

            /* All but those to itself, and those to who comes next. */
            for (uint32_t v = 0; v < n; v++)
                assert_true(fabs(sums[v] - (n - 1) * (n - 2) / 2.0) < 1e-6);
        } else {
            assert_int_equal(st, ST_NO_MEMORY);
        }
        result_free(&mem, &result);
        assert_int_equal(mem.used, 0);
    }
    assert_true(without > THREADS_MAX);
    sample_free(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_graphs),
        cmocka_unit_test(larger_graphs),
        cmocka_unit_test(hubs_are_shared_out),
        cmocka_unit_test(threads_walk_together_or_apart),
        cmocka_unit_test(buckets_are_made_anew),
        cmocka_unit_test(samples_are_vertices),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(failures_give_all_back),
        cmocka_unit_test(nobody_uses_what_was_not_done),
        cmocka_unit_test(fewer_arrays_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
