/*
 * coloring.c -- colours, so that no two neighbours have the same.
 *
 * D. W. Matula and L. L. Beck, "Smallest-last ordering and clustering and
 * graph coloring algorithms", J. ACM 30(3), 1983: vertices are coloured in the
 * opposite of the order in which core.c peels them off, each with the first
 * colour that no neighbour has. When a vertex is coloured at most as many of
 * its neighbours have been as its core number says: so there are at most
 * degeneracy + 1 colours, whatever the degrees, and the same ones every time.
 *
 * The graph is taken as undirected; a loop is passed over.
 *
 * O(n + m), one thread; 28 bytes a vertex.
 */
#include "graph/pieces.h"

#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

#define NO_COLOR UINT64_MAX

/* `taken[c]` is v + 1 if a neighbour of v, which is on, has colour c. */
static enum status color_all(struct pace *pace, const struct csr *both,
                             const uint32_t *order, uint32_t *taken,
                             uint64_t *color, uint64_t *ret_colors)
{
    uint64_t colors = 0;

    for (uint32_t i = both->n; i-- > 0;) {
        uint32_t v = order[i];
        uint64_t free_color = 0;
        enum status st = pace_tick(pace);

        if (st < 0)
            return st;
        for (uint64_t e = both->offsets[v]; e < both->offsets[v + 1]; e++) {
            uint64_t c = color[both->targets[e]];

            if (c != NO_COLOR)
                taken[c] = v + 1;
            st = pace_tick(pace);
            if (st < 0)
                return st;
        }
        while (taken[free_color] == v + 1)
            free_color++;
        color[v] = free_color;
        if (free_color >= colors)
            colors = free_color + 1;
    }
    *ret_colors = colors;
    return ST_OK;
}

static enum status coloring_run(struct run *run,
                                const struct projection *projection,
                                const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct pace pace = {.run = run,
                        .total = 3 * projection->both->m + 5ull * n};
    uint32_t *core = run_alloc(run, n, sizeof(uint32_t));
    uint32_t *order = core ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    uint64_t *color = order ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    uint32_t degeneracy;
    uint64_t colors;
    enum status st = run_memory_status(run);

    (void)params;
    if (!color)
        goto done;
    st = core_peel(&pace, projection->both, core, order, &degeneracy);
    if (st == ST_OK)
        st = run_fill(run, core, 0, (size_t)n * sizeof(core[0]));
    if (st == ST_OK)
        st = run_fill(run, color, 0xFF, (size_t)n * sizeof(color[0]));
    if (st == ST_OK)
        st = color_all(&pace, projection->both, order, core, color, &colors);
    if (st < 0)
        goto done;
    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "color", COLUMN_U64, color);
    result_u64(ret, "colors", colors);
    color = NULL;

done:
    run_free(run, core, n, sizeof(uint32_t));
    run_free(run, order, n, sizeof(uint32_t));
    run_free(run, color, n, sizeof(uint64_t));
    return st;
}

static uint64_t coloring_estimate(const struct projection *shape,
                                  const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return core_peel_bytes(shape->n) +
           2 * block_bytes(shape->n, sizeof(uint32_t)) +
           block_bytes(shape->n, sizeof(uint64_t));
}

const struct algorithm k1_coloring_algorithm = {
    .name = "k1_coloring",
    .needs = NEED_BOTH,
    .columns = {"vertex", "color"},
    .estimate = coloring_estimate,
    .run = coloring_run,
};
