/*
 * order.c -- topological order.
 *
 * A. B. Kahn, "Topological sorting of large networks", CACM 5(11), 1962: take
 * a vertex that no edge leads to, take its edges away, and again. Those that
 * may be taken are kept in a heap, so that the smallest number goes first and
 * the order is one and the same for a graph.
 *
 *     order  [ taken, in order ->          <- heap of what may be taken ]
 *
 * Vertices that are left over lie on cycles or behind them. Each has an edge
 * from another one that is left over; who follows these backwards comes to a
 * vertex for the second time, and that one lies on a cycle.
 *
 * In an undirected graph every edge leads back, and is a cycle here.
 *
 * O(m + n log n), one thread; 16 bytes a vertex, and 12 of result.
 */
#include "graph/pieces.h"

#include "graph/algorithm.h"
#include "graph/kernels.h"

/* A heap that grows downwards from the end of an array: element i is
 * bottom[-i]. */
struct ready {
    uint32_t *bottom;
    uint32_t count;
};

static void ready_put(struct ready *ready, uint32_t v)
{
    uint32_t *heap = ready->bottom;
    ptrdiff_t i = ready->count++;

    while (i > 0 && heap[-((i - 1) / 2)] > v) {
        heap[-i] = heap[-((i - 1) / 2)];
        i = (i - 1) / 2;
    }
    heap[-i] = v;
}

static uint32_t ready_take(struct ready *ready)
{
    uint32_t *heap = ready->bottom;
    uint32_t first = heap[0];
    ptrdiff_t count = --ready->count;
    uint32_t last = heap[-count];
    ptrdiff_t i = 0;

    for (;;) {
        ptrdiff_t child = 2 * i + 1;

        if (child >= count)
            break;
        if (child + 1 < count && heap[-(child + 1)] < heap[-child])
            child++;
        if (heap[-child] >= last)
            break;
        heap[-i] = heap[-child];
        i = child;
    }
    heap[-i] = last;
    return first;
}

static enum status count_incoming(struct pace *pace, const struct csr *out,
                                  uint64_t *incoming)
{
    for (uint64_t e = 0; e < out->m; e++) {
        enum status st = pace_tick(pace);

        if (st < 0)
            return st;
        incoming[out->targets[e]]++;
    }
    return ST_OK;
}

static enum status take_all(struct pace *pace, const struct csr *out,
                            uint64_t *incoming, uint32_t *order,
                            uint32_t *level, uint32_t *ret_taken)
{
    /* Of an empty graph there is no last element to point to. */
    struct ready ready = {out->n ? order + out->n - 1 : order, 0};
    uint32_t taken = 0;
    enum status st;

    for (uint32_t v = 0; v < out->n; v++) {
        st = pace_tick(pace);
        if (st < 0)
            return st;
        if (level)
            level[v] = 0;
        if (!incoming[v])
            ready_put(&ready, v);
    }
    while (ready.count > 0) {
        uint32_t v = ready_take(&ready);

        order[taken++] = v;
        st = pace_tick(pace);
        if (st < 0)
            return st;
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            uint32_t w = out->targets[e];

            st = pace_tick(pace);
            if (st < 0)
                return st;
            if (level && level[w] <= level[v])
                level[w] = level[v] + 1;
            if (--incoming[w] == 0)
                ready_put(&ready, w);
        }
    }
    *ret_taken = taken;
    return ST_OK;
}

/* Fails with a vertex on a cycle. `incoming` counts edges between those that
 * are left over; `before` is room for n. */
static enum status name_cycle(struct pace *pace, const struct csr *out,
                              uint64_t *incoming, uint32_t *before)
{
    uint32_t v = NO_VERTEX;
    enum status st;

    for (uint32_t u = 0; u < out->n; u++) {
        st = pace_tick(pace);
        if (st < 0)
            return st;
        if (!incoming[u])
            continue;
        if (v == NO_VERTEX)
            v = u;
        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
            st = pace_tick(pace);
            if (st < 0)
                return st;
            before[out->targets[e]] = u;
        }
    }
    while (incoming[v]) {
        incoming[v] = 0;
        v = before[v];
        st = pace_tick(pace);
        if (st < 0)
            return st;
    }
    return run_fail(pace->run, ST_CYCLIC, v, NO_VERTEX,
                    "the vertex lies on a cycle");
}

enum status topological_order(struct pace *pace, const struct csr *out,
                              uint32_t *order, uint32_t *level)
{
    uint64_t *incoming = run_zalloc(pace->run, out->n, sizeof(uint64_t));
    uint32_t taken;
    enum status st;

    if (!incoming)
        return run_memory_status(pace->run);
    st = count_incoming(pace, out, incoming);
    if (st == ST_OK)
        st = take_all(pace, out, incoming, order, level, &taken);
    if (st == ST_OK && taken < out->n)
        st = name_cycle(pace, out, incoming, order);
    run_free(pace->run, incoming, out->n, sizeof(uint64_t));
    return st;
}

uint64_t topological_order_bytes(uint64_t n)
{
    return block_bytes(n, sizeof(uint64_t));
}

/* --- the algorithm ------------------------------------------------------ */

static enum status order_run(struct run *run,
                             const struct projection *projection,
                             const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct pace pace = {.run = run, .total = 2 * projection->out->m + 3ull * n};
    uint32_t *order = run_alloc(run, n, sizeof(uint32_t));
    uint32_t *level = order ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    uint64_t *column = level ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    uint64_t longest = 0;
    enum status st = run_memory_status(run);

    (void)params;
    if (!column)
        goto done;
    st = topological_order(&pace, projection->out, order, level);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        column[i] = level[order[i]];
        if (column[i] > longest)
            longest = column[i];
        st = pace_tick(&pace);
    }
    if (st < 0)
        goto done;
    ret->rows = n;
    result_column(ret, "vertex", COLUMN_VERTEX, order);
    result_column(ret, "level", COLUMN_U64, column);
    result_u64(ret, "vertices", n);
    result_u64(ret, "longest", longest);
    order = NULL;
    column = NULL;

done:
    run_free(run, order, n, sizeof(uint32_t));
    run_free(run, level, n, sizeof(uint32_t));
    run_free(run, column, n, sizeof(uint64_t));
    return st;
}

static uint64_t order_estimate(const struct projection *shape,
                               const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return topological_order_bytes(shape->n) +
           2 * block_bytes(shape->n, sizeof(uint32_t)) +
           block_bytes(shape->n, sizeof(uint64_t));
}

const struct algorithm topological_sort_algorithm = {
    .name = "topological_sort",
    .needs = NEED_OUT,
    .columns = {"vertex", "level"},
    .estimate = order_estimate,
    .run = order_run,
};
