/*
 * wcc.c -- weakly connected components, by union and find on samples.
 *
 *     parent   [0 0 1 3 3 ..     a forest: parent[v] <= v, roots are their own
 *
 * Linking the ends of an edge hooks the greater of their roots below the
 * smaller one; when all edges were linked and all paths are compressed,
 * parent[v] is the smallest vertex of v's component. Links may be made by all
 * threads at once, for a root is hooked by compare-and-swap.
 *
 * Most vertices of most graphs are in one component, and a few edges of each
 * show it: after the first two of every vertex, the most frequent root of some
 * vertices drawn by lot is taken for it, and of vertices that have that root
 * no further edge is looked at. Each edge between two components has an end
 * outside of it that sees the edge, by `out` or by `in` (Sutton, Ben-Nun and
 * Barak, "Optimizing Parallel Graph Connectivity Computation via Subgraph
 * Sampling", IPDPS 2018: Afforest).
 */
#include "graph/kernels.h"

#include <stdlib.h>

#include "graph/team.h"

#define SAMPLED_EDGES 2 /* of each vertex */
#define SAMPLES 1024    /* vertices */
#define CHUNK 2048      /* vertices */

struct wcc {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    uint32_t *parents;
    uint32_t *sizes; /* by root, but for the common one */
    uint32_t common; /* the root of the component that is taken for the most */
    struct chunks steps[SAMPLED_EDGES * 2 + 3];
    _Atomic uint64_t common_size;
    _Atomic uint64_t components;
    _Atomic uint64_t largest;
};

static void link_ends(bool alone, uint32_t *parents, uint32_t u, uint32_t v)
{
    uint32_t a = load_u32(&parents[u]);
    uint32_t b = load_u32(&parents[v]);

    while (a != b) {
        uint32_t high = a > b ? a : b;
        uint32_t low = a + b - high;
        uint32_t above = load_u32(&parents[high]);

        if (above == low)
            return;
        if (above == high && swap_u32(alone, &parents[high], &above, low))
            return;
        a = load_u32(&parents[load_u32(&parents[high])]);
        b = load_u32(&parents[low]);
    }
}

/* The first edges of every vertex: the one with `index`. */
static void link_sample(struct run *run, struct wcc *wcc, struct chunks *chunks,
                        uint64_t index)
{
    const struct csr *out = wcc->out;
    bool alone = run->threads == 1;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, wcc->n, CHUNK, &from, &to) &&
           run_check(run) == ST_OK)
        for (uint32_t v = (uint32_t)from; v < to; v++)
            if (out->offsets[v] + index < out->offsets[v + 1])
                link_ends(alone, wcc->parents, v,
                          out->targets[out->offsets[v] + index]);
}

/* All paths get as short as they can. */
static void compress(struct run *run, struct wcc *wcc, struct chunks *chunks)
{
    uint32_t *parents = wcc->parents;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, wcc->n, CHUNK, &from, &to) &&
           run_check(run) == ST_OK)
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            uint32_t parent = load_u32(&parents[v]);
            uint32_t above = load_u32(&parents[parent]);

            while (parent != above) {
                store_u32(&parents[v], above);
                parent = above;
                above = load_u32(&parents[parent]);
            }
        }
}

/* Links v's edges from `first` on. False: the run is to stop. */
static bool link_rest(struct run *run, uint32_t *parents, const struct csr *csr,
                      uint32_t v, uint64_t first, uint64_t *work)
{
    bool alone = run->threads == 1;

    for (uint64_t e = csr->offsets[v] + first; e < csr->offsets[v + 1]; e++) {
        link_ends(alone, parents, v, csr->targets[e]);
        if (work_stops(run, work, 1))
            return false;
    }
    return !work_stops(run, work, 1);
}

static void link_others(struct run *run, struct wcc *wcc, struct chunks *chunks)
{
    uint64_t work = 0;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, wcc->n, CHUNK, &from, &to) &&
           run_check(run) == ST_OK)
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            if (load_u32(&wcc->parents[v]) == wcc->common)
                continue;
            if (!link_rest(run, wcc->parents, wcc->out, v, SAMPLED_EDGES,
                           &work) ||
                (wcc->in != wcc->out &&
                 !link_rest(run, wcc->parents, wcc->in, v, 0, &work)))
                return;
        }
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The most frequent root of some vertices. */
static uint32_t find_common(const struct wcc *wcc)
{
    uint32_t roots[SAMPLES];
    uint32_t common = 0;
    size_t most = 0;
    size_t length = 0;

    for (size_t i = 0; i < SAMPLES; i++)
        roots[i] = wcc->parents[(i * 0x9E3779B97F4A7C15u >> 32) * wcc->n >> 32];
    qsort(roots, SAMPLES, sizeof(roots[0]), compare_u32);
    for (size_t i = 0; i < SAMPLES; i++) {
        length = i > 0 && roots[i] == roots[i - 1] ? length + 1 : 1;
        if (length > most) {
            most = length;
            common = roots[i];
        }
    }
    return common;
}

/* Counts the vertices of each component. */
static void count_sizes(struct run *run, struct wcc *wcc, struct chunks *chunks)
{
    uint64_t common_size = 0;
    uint64_t components = 0;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, wcc->n, CHUNK, &from, &to) &&
           run_check(run) == ST_OK)
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            uint32_t root = load_u32(&wcc->parents[v]);

            components += root == v;
            if (root == wcc->common)
                common_size++;
            else if (run->threads == 1)
                wcc->sizes[root]++;
            else
                __atomic_fetch_add(&wcc->sizes[root], 1, __ATOMIC_RELAXED);
        }
    atomic_fetch_add(&wcc->common_size, common_size);
    atomic_fetch_add(&wcc->components, components);
}

static void find_largest(struct run *run, struct wcc *wcc, uint32_t from,
                         uint32_t to)
{
    uint64_t largest = atomic_load(&wcc->common_size);
    uint64_t old = 0;

    for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
        if (wcc->sizes[v] > largest)
            largest = wcc->sizes[v];
    while (old < largest &&
           !atomic_compare_exchange_strong(&wcc->largest, &old, largest))
        ;
}

static void wcc_team(struct run *run, void *context, unsigned thread)
{
    struct wcc *wcc = context;
    struct chunks *step = wcc->steps;
    uint32_t from = (uint32_t)((uint64_t)wcc->n * thread / run->threads);
    uint32_t to = (uint32_t)((uint64_t)wcc->n * (thread + 1) / run->threads);

    for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
        wcc->parents[v] = v;
    run_fill(run, wcc->sizes + from, 0, (to - from) * sizeof(uint32_t));
    if (team_stops(run))
        return;
    for (uint64_t index = 0; index < SAMPLED_EDGES; index++) {
        link_sample(run, wcc, step++, index);
        run_barrier(run);
        compress(run, wcc, step++);
        run_barrier(run);
    }
    if (thread == 0 && wcc->n > 0)
        wcc->common = find_common(wcc);
    run_barrier(run);
    link_others(run, wcc, step++);
    run_barrier(run);
    compress(run, wcc, step++);
    run_barrier(run);
    count_sizes(run, wcc, step++);
    run_barrier(run);
    find_largest(run, wcc, from, to);
}

static uint64_t wcc_estimate(const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    uint64_t n = shape->n;

    (void)params;
    (void)threads;
    return 2 * mem_charge(n * sizeof(uint32_t) + 1);
}

static enum status wcc_run(struct run *run, const struct projection *projection,
                           const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct wcc wcc = {.out = projection->out, .in = projection->in, .n = n};
    enum status st;

    (void)params;
    wcc.parents = run_alloc(run, n, sizeof(uint32_t));
    wcc.sizes = run_alloc(run, n, sizeof(uint32_t));
    st = wcc.parents && wcc.sizes ? run_team(run, wcc_team, &wcc)
                                  : run_memory_status(run);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "component", COLUMN_VERTEX, wcc.parents);
        result_u64(ret, "components", wcc.components);
        result_u64(ret, "largest", wcc.largest);
        wcc.parents = NULL;
    }
    run_free(run, wcc.parents, n, sizeof(uint32_t));
    run_free(run, wcc.sizes, n, sizeof(uint32_t));
    return st;
}

const struct algorithm wcc_algorithm = {
    .name = "wcc",
    .needs = NEED_OUT | NEED_IN,
    .columns = {"vertex", "component"},
    .estimate = wcc_estimate,
    .run = wcc_run,
};
