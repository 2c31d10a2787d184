/*
 * closure.c -- transitive closure and transitive reduction.
 *
 * Closure: the pairs (u, v) such that a way of one edge or more leads from u
 * to v; (v, v) if v lies on a cycle or has a loop. It has up to n * n pairs,
 * so a run is given a bound and fails beyond it. Vertices of one strongly
 * connected component reach the same ones: a search from the first of them
 * finds what the others copy, in the order in which it was met. O(n * m) at
 * most, but only what is reached is looked at. In an undirected graph an edge
 * leads both ways.
 *
 * Reduction: the fewest edges of an acyclic graph that have the same closure,
 * A. V. Aho, M. R. Garey and J. D. Ullman, "The transitive reduction of a
 * directed graph", SIAM J. Comput. 1(2), 1972: those u -> w that no longer way
 * goes beside. The edges of u are taken in topological order of their targets.
 * One that a search from an earlier target has been to is not needed;
 * otherwise it is, and a search goes on from there. Such a search never passes
 * the last of u's targets. O(n * m) at most, and O(n + m) where there are few
 * ways beside edges.
 *
 * One thread. Closure: 25 bytes a vertex and up to 16 a pair; reduction: 36
 * bytes a vertex, 4 an edge and up to 16 a row.
 */
#include "graph/pieces.h"

#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

/* Rows of two ends that grow. */
struct pairs {
    struct growing from;
    struct growing to;
};

static const struct pairs no_pairs = {{.size = sizeof(uint32_t)},
                                      {.size = sizeof(uint32_t)}};

static enum status pairs_add(struct run *run, struct pairs *pairs,
                             uint32_t from, uint32_t to)
{
    enum status st = growing_room(run, &pairs->from, 1);

    if (st == ST_OK)
        st = growing_room(run, &pairs->to, 1);
    if (st < 0)
        return st;
    ((uint32_t *)pairs->from.data)[pairs->from.count++] = from;
    ((uint32_t *)pairs->to.data)[pairs->to.count++] = to;
    return ST_OK;
}

static void pairs_free(struct run *run, struct pairs *pairs)
{
    growing_free(run, &pairs->from);
    growing_free(run, &pairs->to);
}

static enum status pairs_result(struct run *run, struct pairs *pairs,
                                struct result *ret)
{
    enum status st = growing_trim(run, &pairs->from);

    if (st == ST_OK)
        st = growing_trim(run, &pairs->to);
    if (st < 0)
        return st;
    ret->rows = pairs->from.count;
    result_column(ret, "from", COLUMN_VERTEX, pairs->from.data);
    result_column(ret, "to", COLUMN_VERTEX, pairs->to.data);
    *pairs = no_pairs; /* the result has them */
    return ST_OK;
}

/* --- transitive_closure ------------------------------------------------- */

enum { CLOSURE_MAX_PAIRS, CLOSURE_PARAMS };

static const struct param_spec closure_params[CLOSURE_PARAMS] = {
    [CLOSURE_MAX_PAIRS] = {.name = "max_pairs",
                           .type = PARAM_U64,
                           .min = 0,
                           .max = 1e15,
                           .otherwise = 10e6},
};

struct closure {
    struct pace pace;
    const struct csr *out;
    uint64_t pairs_max;
    uint32_t *seen; /* by vertex: u + 1 if reached from u, which is on */
    uint32_t *queue;
    struct pairs pairs;

    struct scc_space space; /* index: the number of a vertex's component */
    uint64_t *rows;         /* by component: its first pairs, from 1; or 0 */
    uint32_t *row_counts;
};

static enum status too_many(struct closure *c, uint32_t u)
{
    return run_fail(c->pace.run, ST_ROW_LIMIT, u, NO_VERTEX,
                    "the closure has more than max_pairs pairs");
}

/* The entry behind those that lead where entry e does: a search comes by here
 * for every vertex, and edges in parallel may be many. */
static uint64_t next_target(const struct csr *csr, uint64_t e, uint64_t end)
{
    uint32_t w = csr->targets[e];
    uint64_t step = 1;
    uint64_t high;

    while (e + step < end && csr->targets[e + step] == w) {
        e += step;
        step *= 2;
    }
    high = e + step < end ? e + step : end;
    while (high - e > 1) {
        uint64_t middle = e + (high - e) / 2;

        if (csr->targets[middle] == w)
            e = middle;
        else
            high = middle;
    }
    return high;
}

/* Meets the targets of v on behalf of u. */
static enum status meet_targets(struct closure *c, uint32_t u, uint32_t v,
                                uint32_t *count)
{
    const struct csr *out = c->out;
    uint64_t end = out->offsets[v + 1];

    for (uint64_t e = out->offsets[v]; e < end; e = next_target(out, e, end)) {
        uint32_t w = out->targets[e];
        enum status st = pace_tick(&c->pace);

        if (st < 0)
            return st;
        if (c->seen[w] == u + 1)
            continue;
        if (c->pairs.from.count == c->pairs_max)
            return too_many(c, u);
        c->seen[w] = u + 1;
        c->queue[(*count)++] = w;
        st = pairs_add(c->pace.run, &c->pairs, u, w);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* Searches from u. */
static enum status reach(struct closure *c, uint32_t u, uint32_t *ret_count)
{
    uint32_t count = 0;
    enum status st = meet_targets(c, u, u, &count);

    for (uint32_t i = 0; st == ST_OK && i < count; i++) {
        st = pace_tick(&c->pace);
        if (st == ST_OK && c->queue[i] != u)
            st = meet_targets(c, u, c->queue[i], &count);
    }
    *ret_count = count;
    return st;
}

/* u reaches what those pairs say. */
static enum status copy_pairs(struct closure *c, uint32_t u, uint64_t row,
                              uint32_t count)
{
    for (uint64_t i = row; i < row + count; i++) {
        enum status st = pace_tick(&c->pace);

        if (st == ST_OK && c->pairs.from.count == c->pairs_max)
            st = too_many(c, u);
        if (st == ST_OK)
            st = pairs_add(c->pace.run, &c->pairs, u,
                           ((uint32_t *)c->pairs.to.data)[i]);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

static enum status reach_all(struct closure *c)
{
    for (uint32_t u = 0; u < c->out->n; u++) {
        uint32_t component = c->out->n - c->space.index[u];
        uint64_t row = c->pairs.from.count;
        enum status st = pace_tick(&c->pace);

        if (st < 0)
            return st;
        if (c->rows[component]) {
            st = copy_pairs(c, u, c->rows[component] - 1,
                            c->row_counts[component]);
        } else {
            st = reach(c, u, &c->row_counts[component]);
            c->rows[component] = row + 1;
        }
        if (st < 0)
            return st;
    }
    return ST_OK;
}

static enum status closure_search(struct closure *c)
{
    const struct scc_view view = {.csr = c->out};
    uint32_t n = c->out->n;
    uint32_t components;
    enum status st =
        scc_search(&c->pace, &view, &c->space, NULL, n, &components);

    if (st < 0)
        return st;
    /* What the search does not need any longer. */
    c->rows = c->space.next;
    c->row_counts = c->space.stack;
    st = run_fill(c->pace.run, c->rows, 0, (size_t)n * sizeof(c->rows[0]));
    return st < 0 ? st : reach_all(c);
}

static enum status closure_run(struct run *run,
                               const struct projection *projection,
                               const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct closure c = {
        .pace = {.run = run},
        .out = projection->out,
        .pairs_max = params[CLOSURE_MAX_PAIRS].u64,
        .pairs = no_pairs,
    };
    enum status st = scc_space_init(run, n, &c.space);

    if (st < 0)
        return st;
    c.seen = run_zalloc(run, n, sizeof(uint32_t));
    c.queue = c.seen ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    st = c.queue ? closure_search(&c) : run_memory_status(run);
    if (st == ST_OK)
        st = pairs_result(run, &c.pairs, ret);
    if (st == ST_OK)
        result_u64(ret, "pairs", ret->rows);
    pairs_free(run, &c.pairs);
    scc_space_free(run, &c.space);
    run_free(run, c.seen, n, sizeof(uint32_t));
    run_free(run, c.queue, n, sizeof(uint32_t));
    return st;
}

static uint64_t closure_estimate(const struct projection *shape,
                                 const struct param *params, unsigned threads)
{
    uint64_t pairs = (uint64_t)shape->n * shape->n;

    (void)threads;
    if (pairs > params[CLOSURE_MAX_PAIRS].u64)
        pairs = params[CLOSURE_MAX_PAIRS].u64;
    return scc_space_bytes(shape->n) +
           2 * block_bytes(shape->n, sizeof(uint32_t)) +
           2 * growing_bytes(pairs, sizeof(uint32_t));
}

const struct algorithm transitive_closure_algorithm = {
    .name = "transitive_closure",
    .needs = NEED_OUT,
    .params = closure_params,
    .param_count = CLOSURE_PARAMS,
    .columns = {"from", "to"},
    .estimate = closure_estimate,
    .run = closure_run,
};

/* --- transitive_reduction ----------------------------------------------- */

struct reduction {
    struct pace pace;
    const struct csr *out;
    const struct csr *in;
    uint32_t *order;   /* topological; later the stack of a search */
    uint32_t *place;   /* by vertex: where it is in that order */
    uint32_t *targets; /* as out's, but of each vertex in that order, once */
    uint64_t *ends;    /* of those of each vertex */
    uint32_t *seen;    /* by vertex: u + 1 if reached from u, which is on */
    uint32_t *kept;    /* by vertex w: u + 1 if u -> w stays */
    struct pairs pairs;
};

static enum status reduction_init(struct run *run,
                                  const struct projection *projection,
                                  struct reduction *r)
{
    uint32_t n = projection->n;

    *r = (struct reduction){
        .pace = {.run = run},
        .out = projection->out,
        .in = projection->in,
        .pairs = no_pairs,
    };
    r->order = run_alloc(run, n, sizeof(uint32_t));
    r->place = r->order ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    r->ends = r->place ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    r->targets = r->ends ? run_alloc(run, r->out->m, sizeof(uint32_t)) : NULL;
    r->seen = r->targets ? run_zalloc(run, n, sizeof(uint32_t)) : NULL;
    r->kept = r->seen ? run_zalloc(run, n, sizeof(uint32_t)) : NULL;
    return r->kept ? ST_OK : run_memory_status(run);
}

static void reduction_free(struct reduction *r)
{
    struct run *run = r->pace.run;
    uint32_t n = r->out->n;

    pairs_free(run, &r->pairs);
    run_free(run, r->order, n, sizeof(uint32_t));
    run_free(run, r->place, n, sizeof(uint32_t));
    run_free(run, r->ends, n, sizeof(uint64_t));
    run_free(run, r->targets, r->out->m, sizeof(uint32_t));
    run_free(run, r->seen, n, sizeof(uint32_t));
    run_free(run, r->kept, n, sizeof(uint32_t));
}

/* Hands the vertices, in topological order, to those that lead there. */
static enum status sort_targets(struct reduction *r)
{
    uint32_t n = r->out->n;
    enum status st;

    for (uint32_t v = 0; v < n; v++)
        r->ends[v] = r->out->offsets[v];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t w = r->order[i];

        r->place[w] = i;
        st = pace_tick(&r->pace);
        if (st < 0)
            return st;
        for (uint64_t e = r->in->offsets[w]; e < r->in->offsets[w + 1]; e++) {
            uint32_t v = r->in->targets[e];

            st = pace_tick(&r->pace);
            if (st < 0)
                return st;
            if (e == r->in->offsets[w] || v != r->in->targets[e - 1])
                r->targets[r->ends[v]++] = w;
        }
    }
    return ST_OK;
}

/* Marks what w reaches at places up to `last` as seen from u. */
static enum status mark_from(struct reduction *r, uint32_t u, uint32_t w,
                             uint32_t last)
{
    uint32_t *stack = r->order;
    uint32_t depth = 0;

    stack[depth++] = w;
    while (depth > 0) {
        uint32_t v = stack[--depth];

        for (uint64_t e = r->out->offsets[v]; e < r->ends[v]; e++) {
            uint32_t x = r->targets[e];
            enum status st = pace_tick(&r->pace);

            if (st < 0)
                return st;
            if (r->place[x] > last)
                break; /* and so are all behind it */
            if (r->seen[x] == u + 1)
                continue;
            r->seen[x] = u + 1;
            stack[depth++] = x;
        }
    }
    return ST_OK;
}

static enum status reduce_vertex(struct reduction *r, uint32_t u)
{
    uint64_t begin = r->out->offsets[u];
    uint64_t end = r->ends[u];
    uint32_t last = end > begin ? r->place[r->targets[end - 1]] : 0;
    enum status st;

    for (uint64_t e = begin; e < end; e++) {
        uint32_t w = r->targets[e];

        st = pace_tick(&r->pace);
        if (st == ST_OK && r->seen[w] != u + 1) {
            r->seen[w] = u + 1;
            r->kept[w] = u + 1;
            st = mark_from(r, u, w, last);
        }
        if (st < 0)
            return st;
    }
    for (uint64_t e = begin; e < r->out->offsets[u + 1]; e++) {
        uint32_t w = r->out->targets[e];

        st = pace_tick(&r->pace);
        if (st == ST_OK && r->kept[w] == u + 1) {
            r->kept[w] = 0;
            st = pairs_add(r->pace.run, &r->pairs, u, w);
        }
        if (st < 0)
            return st;
    }
    return ST_OK;
}

static enum status reduction_run(struct run *run,
                                 const struct projection *projection,
                                 const struct param *params, struct result *ret)
{
    struct reduction r;
    enum status st = reduction_init(run, projection, &r);

    (void)params;
    if (st == ST_OK)
        st = topological_order(&r.pace, r.out, r.order, NULL);
    if (st == ST_OK)
        st = sort_targets(&r);
    for (uint32_t u = 0; st == ST_OK && u < projection->n; u++) {
        st = pace_tick(&r.pace);
        if (st == ST_OK)
            st = reduce_vertex(&r, u);
    }
    if (st == ST_OK)
        st = pairs_result(run, &r.pairs, ret);
    if (st == ST_OK) {
        result_u64(ret, "kept", ret->rows);
        result_u64(ret, "removed", projection->edges - ret->rows);
    }
    reduction_free(&r);
    return st;
}

static uint64_t reduction_estimate(const struct projection *shape,
                                   const struct param *params, unsigned threads)
{
    uint64_t entries = shape->undirected ? 2 * shape->edges : shape->edges;

    (void)params;
    (void)threads;
    return topological_order_bytes(shape->n) +
           4 * block_bytes(shape->n, sizeof(uint32_t)) +
           block_bytes(shape->n, sizeof(uint64_t)) +
           block_bytes(entries, sizeof(uint32_t)) +
           2 * growing_bytes(shape->edges, sizeof(uint32_t));
}

const struct algorithm transitive_reduction_algorithm = {
    .name = "transitive_reduction",
    .needs = NEED_OUT | NEED_IN,
    .columns = {"from", "to"},
    .estimate = reduction_estimate,
    .run = reduction_run,
};
