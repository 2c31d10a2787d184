/*
 * scc.c -- strongly connected components.
 *
 * Tarjan's search in the form that D. J. Pearce gave it ("A space-efficient
 * algorithm for finding strongly connected components", Information Processing
 * Letters 116, 2016): one number a vertex, which is first the order in which
 * it was met, then the smallest such number that it leads back to, and in the
 * end that of its component. Components are numbered downwards from `count`
 * while the numbers of vertices that wait for theirs stay at or below it, so
 * that a finished one never looks like a way back.
 *
 *     stack   [ path from the root ->        <- vertices that wait ]
 *
 * A vertex is on the path, or waits, or neither: the two share one array. The
 * path is also what recursion would have kept: `next` is the next entry, and
 * `inner` whether the vertex leads back to an earlier one.
 *
 * O(n + m), one thread; 17 bytes a vertex.
 */
#include "graph/pieces.h"

#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

enum status scc_space_init(struct run *run, uint32_t n, struct scc_space *space)
{
    *space = (struct scc_space){.n = n};
    space->index = run_zalloc(run, n, sizeof(uint32_t));
    space->stack = space->index ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    space->next = space->stack ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    space->inner = space->next ? run_alloc(run, n, sizeof(uint8_t)) : NULL;
    if (space->inner)
        return ST_OK;
    scc_space_free(run, space);
    return run_memory_status(run);
}

void scc_space_free(struct run *run, struct scc_space *space)
{
    run_free(run, space->index, space->n, sizeof(uint32_t));
    run_free(run, space->stack, space->n, sizeof(uint32_t));
    run_free(run, space->next, space->n, sizeof(uint64_t));
    run_free(run, space->inner, space->n, sizeof(uint8_t));
    *space = (struct scc_space){0};
}

uint64_t scc_space_bytes(uint64_t n)
{
    return 2 * block_bytes(n, sizeof(uint32_t)) +
           block_bytes(n, sizeof(uint64_t)) + block_bytes(n, 1);
}

/* Where a search is. */
struct scc_state {
    struct pace *pace;
    const struct scc_view *view;
    uint32_t *index;
    uint32_t *stack;
    uint64_t *next;
    uint8_t *inner;
    uint32_t depth;     /* of the path */
    uint32_t waiting;   /* where those begin that wait */
    uint32_t count;     /* where they end */
    uint32_t number;    /* of the next vertex */
    uint32_t component; /* number of the next component */
};

static void enter(struct scc_state *s, uint32_t v)
{
    s->index[v] = s->number++;
    s->stack[s->depth] = v;
    s->next[s->depth] = s->view->csr->offsets[v];
    s->inner[s->depth] = 0;
    s->depth++;
}

/* An edge that does not count: out of the group, or the way back. */
static bool passed_over(const struct scc_state *s, uint32_t v, uint32_t w)
{
    const struct scc_view *view = s->view;

    if (view->group && view->group[w] != view->id)
        return true;
    if (!view->two_way)
        return false;
    return w == v || (s->depth > 1 && w == s->stack[s->depth - 2]);
}

/* Goes on at the end of the path: to a new vertex (true), or all of its edges
 * are done. */
static enum status advance(struct scc_state *s, bool *ret_entered)
{
    const struct csr *csr = s->view->csr;
    uint32_t v = s->stack[s->depth - 1];
    uint64_t end = csr->offsets[v + 1];

    *ret_entered = false;
    for (uint64_t e = s->next[s->depth - 1]; e < end; e++) {
        uint32_t w = csr->targets[e];
        enum status st = pace_tick(s->pace);

        if (st < 0)
            return st;
        if (passed_over(s, v, w))
            continue;
        if (s->index[w] == 0) {
            s->next[s->depth - 1] = e + 1;
            enter(s, w);
            *ret_entered = true;
            return ST_OK;
        }
        if (s->index[w] < s->index[v]) {
            s->index[v] = s->index[w];
            s->inner[s->depth - 1] = 1;
        }
    }
    return ST_OK;
}

/* The end of the path is done: it waits, or is the first of a component. */
static enum status leave(struct scc_state *s)
{
    uint32_t v = s->stack[--s->depth];
    uint32_t met = s->index[v];

    if (s->inner[s->depth]) {
        uint32_t parent = s->stack[s->depth - 1];

        s->stack[--s->waiting] = v;
        if (met < s->index[parent]) {
            s->index[parent] = met;
            s->inner[s->depth - 1] = 1;
        }
        return ST_OK;
    }
    while (s->waiting < s->count && s->index[s->stack[s->waiting]] >= met) {
        enum status st = pace_tick(s->pace);

        if (st < 0)
            return st;
        s->index[s->stack[s->waiting++]] = s->component;
        s->number--;
    }
    s->index[v] = s->component--;
    s->number--;
    return ST_OK;
}

enum status scc_search(struct pace *pace, const struct scc_view *view,
                       struct scc_space *space, const uint32_t *vertices,
                       uint32_t count, uint32_t *ret_components)
{
    struct scc_state s = {
        .pace = pace,
        .view = view,
        .index = space->index,
        .stack = space->stack,
        .next = space->next,
        .inner = space->inner,
        .waiting = count,
        .count = count,
        .number = 1,
        .component = count,
    };

    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = vertices ? vertices[i] : i;
        enum status st = pace_tick(pace);

        if (st < 0)
            return st;
        if (s.index[v] != 0)
            continue;
        enter(&s, v);
        while (s.depth > 0) {
            bool entered;

            st = advance(&s, &entered);
            if (st == ST_OK && !entered)
                st = leave(&s);
            if (st < 0)
                return st;
        }
    }
    *ret_components = count - s.component;
    return ST_OK;
}

/* --- the algorithm ------------------------------------------------------ */

/* Names every component by its smallest vertex. In place: `index` becomes the
 * column. `smallest` is room for n. */
static enum status name_components(struct pace *pace, uint32_t n,
                                   uint32_t *index, uint32_t *smallest)
{
    enum status st =
        run_fill(pace->run, smallest, 0xFF, (size_t)n * sizeof(smallest[0]));

    if (st < 0)
        return st;
    for (uint32_t v = 0; v < n; v++) {
        uint32_t *name = &smallest[n - index[v]];

        st = pace_tick(pace);
        if (st < 0)
            return st;
        if (*name == NO_VERTEX)
            *name = v;
        index[v] = *name;
    }
    return ST_OK;
}

static enum status largest_component(struct pace *pace, uint32_t n,
                                     const uint32_t *component, uint32_t *sizes,
                                     uint32_t *ret)
{
    enum status st =
        run_fill(pace->run, sizes, 0, (size_t)n * sizeof(sizes[0]));

    *ret = 0;
    if (st < 0)
        return st;
    for (uint32_t v = 0; v < n; v++) {
        uint32_t size = ++sizes[component[v]];

        st = pace_tick(pace);
        if (st < 0)
            return st;
        if (size > *ret)
            *ret = size;
    }
    return ST_OK;
}

static enum status scc_run(struct run *run, const struct projection *projection,
                           const struct param *params, struct result *ret)
{
    const struct scc_view view = {.csr = projection->out};
    uint32_t n = projection->n;
    struct pace pace = {.run = run, .total = projection->out->m + 3ull * n};
    struct scc_space space;
    uint32_t components;
    uint32_t largest;
    enum status st = scc_space_init(run, n, &space);

    (void)params;
    if (st < 0)
        return st;
    st = scc_search(&pace, &view, &space, NULL, n, &components);
    if (st == ST_OK)
        st = name_components(&pace, n, space.index, space.stack);
    if (st == ST_OK)
        st = largest_component(&pace, n, space.index, space.stack, &largest);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "component", COLUMN_VERTEX, space.index);
        space.index = NULL;
        result_u64(ret, "components", components);
        result_u64(ret, "largest", largest);
    }
    scc_space_free(run, &space);
    return st;
}

static uint64_t scc_estimate(const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return scc_space_bytes(shape->n);
}

const struct algorithm scc_algorithm = {
    .name = "scc",
    .needs = NEED_OUT,
    .columns = {"vertex", "component"},
    .estimate = scc_estimate,
    .run = scc_run,
};
