/*
 * core.c -- how deep in the graph a vertex lies: k-core decomposition.
 *
 * V. Batagelj and M. Zaversnik, "An O(m) algorithm for cores decomposition of
 * networks", 2003: peel off a vertex of the smallest degree, and again. Its
 * degree by then is its core number. Vertices stand in an array ordered by
 * degree, with a mark where each degree begins; one that loses a neighbour
 * changes places with the first of its degree and the mark moves behind it.
 *
 *     order   [ peeled | degree d  | d + 1      | ...
 *     begins             ^d          ^d + 1
 *
 * A neighbour counts once, however many edges lead there in either direction,
 * and a loop does not count. The targets of a vertex ascend, so that the first
 * of equal ones is known by looking at the one before.
 *
 * O(n + m), one thread; 20 bytes a vertex.
 */
#include "graph/pieces.h"

#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

/* Whether entry e of v is the first one to a neighbour. */
static inline bool is_neighbor(const struct csr *csr, uint32_t v, uint64_t e)
{
    uint32_t w = csr->targets[e];

    return w != v && (e == csr->offsets[v] || csr->targets[e - 1] != w);
}

static enum status count_neighbors(struct pace *pace, const struct csr *both,
                                   uint32_t *degree)
{
    for (uint32_t v = 0; v < both->n; v++) {
        enum status st = pace_tick(pace);

        degree[v] = 0;
        for (uint64_t e = both->offsets[v]; e < both->offsets[v + 1]; e++) {
            degree[v] += is_neighbor(both, v, e);
            st = pace_tick(pace);
            if (st < 0)
                return st;
        }
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* Sorts by degree. begins[d] is where degree d begins, place[v] where v is. */
static enum status sort_by_degree(struct pace *pace, uint32_t n,
                                  const uint32_t *degree, uint32_t *begins,
                                  uint32_t *order, uint32_t *place)
{
    uint32_t sum = 0;
    enum status st =
        run_fill(pace->run, begins, 0, (size_t)n * sizeof(begins[0]));

    if (st < 0)
        return st;
    for (uint32_t v = 0; v < n; v++) {
        begins[degree[v]]++;
        st = pace_tick(pace);
        if (st < 0)
            return st;
    }
    for (uint32_t d = 0; d < n; d++) {
        uint32_t count = begins[d];

        begins[d] = sum;
        sum += count;
    }
    for (uint32_t v = 0; v < n; v++) {
        place[v] = begins[degree[v]]++;
        order[place[v]] = v;
        st = pace_tick(pace);
        if (st < 0)
            return st;
    }
    /* What was the end of a degree is the beginning of the next. */
    memmove(begins + 1, begins, n ? (size_t)(n - 1) * sizeof(begins[0]) : 0);
    begins[0] = 0;
    return ST_OK;
}

/* u has a neighbour less. */
static inline void lower(uint32_t u, uint32_t *degree, uint32_t *begins,
                         uint32_t *order, uint32_t *place)
{
    uint32_t first = begins[degree[u]]++;
    uint32_t other = order[first];

    order[place[u]] = other;
    place[other] = place[u];
    order[first] = u;
    place[u] = first;
    degree[u]--;
}

static enum status peel(struct pace *pace, const struct csr *both,
                        uint32_t *degree, uint32_t *begins, uint32_t *order,
                        uint32_t *place)
{
    for (uint32_t i = 0; i < both->n; i++) {
        uint32_t v = order[i];
        enum status st = pace_tick(pace);

        if (st < 0)
            return st;
        for (uint64_t e = both->offsets[v]; e < both->offsets[v + 1]; e++) {
            uint32_t u = both->targets[e];

            st = pace_tick(pace);
            if (st < 0)
                return st;
            if (degree[u] > degree[v] && is_neighbor(both, v, e))
                lower(u, degree, begins, order, place);
        }
    }
    return ST_OK;
}

enum status core_peel(struct pace *pace, const struct csr *both, uint32_t *core,
                      uint32_t *order, uint32_t *ret_degeneracy)
{
    struct run *run = pace->run;
    uint32_t n = both->n;
    uint32_t *begins = run_alloc(run, (size_t)n + 1, sizeof(uint32_t));
    uint32_t *place = begins ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    enum status st = run_memory_status(run);

    if (!place)
        goto done;
    st = count_neighbors(pace, both, core);
    if (st == ST_OK)
        st = sort_by_degree(pace, n, core, begins, order, place);
    if (st == ST_OK)
        st = peel(pace, both, core, begins, order, place);
    if (st == ST_OK)
        *ret_degeneracy = n ? core[order[n - 1]] : 0;

done:
    run_free(run, begins, (size_t)n + 1, sizeof(uint32_t));
    run_free(run, place, n, sizeof(uint32_t));
    return st;
}

uint64_t core_peel_bytes(uint64_t n)
{
    return block_bytes(n + 1, sizeof(uint32_t)) +
           block_bytes(n, sizeof(uint32_t));
}

/* --- the algorithm ------------------------------------------------------ */

static enum status core_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct pace pace = {.run = run,
                        .total = 2 * projection->both->m + 4ull * n};
    uint32_t *core = run_alloc(run, n, sizeof(uint32_t));
    uint32_t *order = core ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    uint64_t *column = order ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    uint32_t degeneracy;
    enum status st = run_memory_status(run);

    (void)params;
    if (!column)
        goto done;
    st = core_peel(&pace, projection->both, core, order, &degeneracy);
    if (st < 0)
        goto done;
    for (uint32_t v = 0; v < n; v++)
        column[v] = core[v];
    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "core", COLUMN_U64, column);
    result_u64(ret, "degeneracy", degeneracy);
    column = NULL;

done:
    run_free(run, core, n, sizeof(uint32_t));
    run_free(run, order, n, sizeof(uint32_t));
    run_free(run, column, n, sizeof(uint64_t));
    return st;
}

static uint64_t core_estimate(const struct projection *shape,
                              const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return core_peel_bytes(shape->n) +
           2 * block_bytes(shape->n, sizeof(uint32_t)) +
           block_bytes(shape->n, sizeof(uint64_t));
}

const struct algorithm k_core_algorithm = {
    .name = "k_core",
    .needs = NEED_BOTH,
    .columns = {"vertex", "core"},
    .estimate = core_estimate,
    .run = core_run,
};
