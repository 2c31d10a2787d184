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

#include "core/prefetch.h"
#include "graph/team.h"

#define SAMPLED_EDGES 2 /* of each vertex */
#define SAMPLES 1024    /* vertices */
#define CHUNK 2048      /* vertices */
#define AHEAD 32        /* vertices */
#define STEPS 9

struct wcc {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    uint32_t *parents;
    uint32_t *sizes; /* by root, but for the common one */
    uint32_t common; /* the root of the component that is taken for the most */
    struct parts steps[STEPS];
    _Atomic uint64_t common_size;
    _Atomic uint64_t components;
    _Atomic uint64_t largest;
};

/* A thread, and what is handed out in the step that it is at. */
struct hand {
    struct run *run;
    struct wcc *wcc;
    struct parts *step;
    unsigned thread;
    unsigned turn;
};

/* The next vertices; false if there are none left, or the run is to stop. */
static bool hand_take(struct hand *hand, uint64_t *from, uint64_t *to)
{
    return parts_take(hand->step, hand->thread, hand->run->threads,
                      hand->wcc->n, CHUNK, &hand->turn, from, to) &&
           run_check(hand->run) == ST_OK;
}

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

/* The end of v's edge with `index`, or v if it has no such edge. */
static uint32_t sample_end(const struct csr *csr, uint32_t v, uint64_t index)
{
    uint64_t e = csr->offsets[v] + index;

    return e < csr->offsets[v + 1] ? csr->targets[e] : v;
}

/* The edges of a vertex that is AHEAD of v are asked for. */
static inline void edges_ahead(const struct csr *csr, uint32_t v, uint64_t to)
{
    if (v + AHEAD < to)
        prefetch_bytes(&csr->targets[csr->offsets[v + AHEAD]], 1);
}

/* Every vertex whose first edge leads to a smaller one hangs below that:
 * nobody else writes its parent, and there can be no circle. */
static void begin(struct hand *hand)
{
    const struct csr *out = hand->wcc->out;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            uint32_t end = sample_end(out, v, 0);

            edges_ahead(out, v, to);
            store_u32(&hand->wcc->parents[v], end < v ? end : v);
        }
}

/*
 * The first edges of every vertex, but for those that begin() has linked. What
 * another thread has written is slow to come, and is asked for some vertices
 * ahead.
 */
static void link_sample(struct hand *hand)
{
    const struct csr *out = hand->wcc->out;
    uint32_t *parents = hand->wcc->parents;
    bool alone = hand->run->threads == 1;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            edges_ahead(out, v, to);
            if (v + AHEAD / 2 < to)
                __builtin_prefetch(&parents[sample_end(out, v + AHEAD / 2, 1)]);
            if (sample_end(out, v, 0) > v)
                link_ends(alone, parents, v, sample_end(out, v, 0));
            for (uint64_t i = 1; i < SAMPLED_EDGES; i++)
                link_ends(alone, parents, v, sample_end(out, v, i));
        }
}

/* All paths get as short as they can. */
static void compress(struct hand *hand)
{
    uint32_t *parents = hand->wcc->parents;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
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

static void link_others(struct hand *hand)
{
    struct run *run = hand->run;
    const struct wcc *wcc = hand->wcc;
    uint64_t work = 0;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
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
static uint32_t most_frequent(const struct wcc *wcc)
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

static void find_common(struct hand *hand)
{
    struct wcc *wcc = hand->wcc;

    if (hand->thread == 0 && wcc->n > 0)
        wcc->common = most_frequent(wcc);
}

/* Counts the vertices of each component. */
static void count_sizes(struct hand *hand)
{
    struct wcc *wcc = hand->wcc;
    bool alone = hand->run->threads == 1;
    uint64_t common_size = 0;
    uint64_t components = 0;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            uint32_t root = load_u32(&wcc->parents[v]);

            components += root == v;
            if (root == wcc->common)
                common_size++;
            else if (alone)
                wcc->sizes[root]++;
            else
                __atomic_fetch_add(&wcc->sizes[root], 1, __ATOMIC_RELAXED);
        }
    atomic_fetch_add(&wcc->common_size, common_size);
    atomic_fetch_add(&wcc->components, components);
}

static void find_largest(struct hand *hand)
{
    struct wcc *wcc = hand->wcc;
    uint64_t largest = atomic_load(&wcc->common_size);
    uint64_t old = 0;
    uint64_t from;
    uint64_t to;

    while (hand_take(hand, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++)
            if (wcc->sizes[v] > largest)
                largest = wcc->sizes[v];
    while (old < largest &&
           !atomic_compare_exchange_strong(&wcc->largest, &old, largest))
        ;
}

/* Each step needs what all have done in those before it. */
static void (*const steps[STEPS])(struct hand *hand) = {
    begin,       compress, link_sample, compress,     find_common,
    link_others, compress, count_sizes, find_largest,
};

static void wcc_team(struct run *run, void *context, unsigned thread)
{
    struct wcc *wcc = context;
    struct hand hand = {.run = run, .wcc = wcc, .thread = thread};
    uint64_t from = (uint64_t)wcc->n * thread / run->threads;
    uint64_t to = (uint64_t)wcc->n * (thread + 1) / run->threads;

    run_fill(run, wcc->sizes + from, 0, (to - from) * sizeof(uint32_t));
    for (size_t i = 0; i < STEPS; i++) {
        hand.step = &wcc->steps[i];
        hand.turn = 0;
        steps[i](&hand);
        if (team_stops(run))
            return;
    }
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
