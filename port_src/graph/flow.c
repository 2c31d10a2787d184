/*
 * flow.c -- the maximum flow between two vertices, and a minimum cut.
 *
 * Dinic, "Algorithm for solution of a problem of maximum flow in networks with
 * power estimation", Soviet Math. Doklady 11, 1970. In phases:
 *
 *   1. breadth first from the source, over arcs that have room: levels. Ends
 *      when it meets the target; if it does not, the flow is as large as may
 *      be, and the vertices that were met are the source's side of a cut.
 *   2. depth first from the target back to the source, a level at a time. Each
 *      path that arrives carries as much as its narrowest arc has room for.
 *      An arc that leads nowhere is not looked at again in the same phase.
 *
 * Looking for paths from the far end meets few dead ends, for each vertex of a
 * level was met by way of the level before it.
 *
 * An arc is an entry of the projection's `out`: it has room for its weight
 * less what flows, and the way back for what flows. An undirected edge is two
 * arcs that face each other. Loops carry nothing. What leads into a vertex is
 * told by `entry_of`: the entries of `out` sorted by target, which is the
 * order of `in`.
 *
 * Each phase takes the target a level further away, so there are less than n:
 * O(n^2 m) in all, and O(m sqrt(n)) or so where all weights are 1. The amounts
 * are floats, exact up to 2^53 if all weights are integers. The narrowest arc
 * of a path is filled to its brim whatever rounding does, so that each phase
 * ends and the last one comes.
 */
#include <float.h>
#include <string.h>

#include "graph/kernels.h"
#include "graph/work.h"

enum { PARAM_SOURCE, PARAM_TARGET, PARAM_ROWS };
enum { ROWS_VERTICES, ROWS_EDGES };

#define NO_LEVEL UINT32_MAX

/* A step of a path: an arc by its entry, with or against its direction. */
struct step {
    uint64_t entry;
    uint32_t vertex; /* where it leads to, seen from the source */
    bool back;
};

struct flow {
    const struct csr *out;
    const struct csr *in;
    uint32_t source;
    uint32_t target;
    double *amount;     /* by entry of out */
    uint64_t *entry_of; /* by entry of in */
    uint32_t *level;
    uint32_t *queue; /* of the search for levels */
    uint64_t *next;  /* of a vertex: arcs into it that were looked at */
    struct step *path;
    struct pace pace;
};

static void flow_deinit(struct run *run, struct flow *flow)
{
    uint32_t n = flow->out->n;

    run_free(run, flow->amount, flow->out->m, sizeof(double));
    run_free(run, flow->entry_of, flow->out->m, sizeof(uint64_t));
    run_free(run, flow->level, n, sizeof(uint32_t));
    run_free(run, flow->queue, n, sizeof(uint32_t));
    run_free(run, flow->next, n, sizeof(uint64_t));
    run_free(run, flow->path, n, sizeof(struct step));
}

static enum status flow_alloc(struct run *run, struct flow *flow)
{
    uint32_t n = flow->out->n;

    flow->amount = run_alloc(run, flow->out->m, sizeof(double));
    flow->entry_of = run_alloc(run, flow->out->m, sizeof(uint64_t));
    flow->level = run_alloc(run, n, sizeof(uint32_t));
    flow->queue = run_alloc(run, n, sizeof(uint32_t));
    flow->next = run_alloc(run, n, sizeof(uint64_t));
    flow->path = run_alloc(run, n, sizeof(struct step));
    return flow->amount && flow->entry_of && flow->level && flow->queue &&
                   flow->next && flow->path
               ? ST_OK
               : run_memory_status(run);
}

static enum status flow_init(struct run *run, struct flow *flow)
{
    const struct csr *out = flow->out;
    enum status st = flow_alloc(run, flow);

    if (st < 0)
        return st;
    memcpy(flow->next, flow->in->offsets, out->n * sizeof(uint64_t));
    for (uint32_t v = 0; v < out->n; v++) {
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            double weight = csr_weight(out, e);

            if (!(weight >= 0 && weight <= DBL_MAX))
                return run_fail(run, ST_BAD_WEIGHT, v, out->targets[e],
                                "a capacity must not be negative");
            flow->amount[e] = 0;
            flow->entry_of[flow->next[out->targets[e]]++] = e;
            st = pace_tick(&flow->pace);
            if (st < 0)
                return st;
        }
    }
    return ST_OK;
}

static inline double room(const struct flow *flow, uint64_t entry, bool back)
{
    return back ? flow->amount[entry]
                : csr_weight(flow->out, entry) - flow->amount[entry];
}

/* --- levels ------------------------------------------------------------- */

static inline void meet(struct flow *flow, uint32_t v, uint32_t level,
                        uint32_t *tail)
{
    if (flow->level[v] != NO_LEVEL)
        return;
    flow->level[v] = level;
    flow->queue[(*tail)++] = v;
}

/* Meets all that v has an arc with room to. */
static enum status meet_next(struct flow *flow, uint32_t v, uint32_t *tail)
{
    const struct csr *out = flow->out;
    const struct csr *in = flow->in;
    uint32_t level = flow->level[v] + 1;
    enum status st;

    for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
        if (room(flow, e, false) > 0)
            meet(flow, out->targets[e], level, tail);
        st = pace_tick(&flow->pace);
        if (st < 0)
            return st;
    }
    for (uint64_t e = in->offsets[v]; e < in->offsets[v + 1]; e++) {
        if (room(flow, flow->entry_of[e], true) > 0)
            meet(flow, in->targets[e], level, tail);
        st = pace_tick(&flow->pace);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* Levels from the source, up to the target's. */
static enum status find_levels(struct flow *flow)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    enum status st = run_fill(flow->pace.run, flow->level, 0xff,
                              flow->out->n * sizeof(uint32_t));

    if (st < 0)
        return st;
    meet(flow, flow->source, 0, &tail);
    while (head < tail && flow->level[flow->target] == NO_LEVEL) {
        st = meet_next(flow, flow->queue[head++], &tail);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* --- paths -------------------------------------------------------------- */

/*
 * The next arc with room into v from the level before it. `next` counts those
 * that were looked at: first v's entries of in, then those of out, which are
 * arcs that flow may be sent back on. It stays at the arc that is found, which
 * may have room again for the next path.
 */
static enum status find_arc(struct flow *flow, uint32_t v, uint32_t *ret_from,
                            struct step *ret)
{
    const struct csr *out = flow->out;
    const struct csr *in = flow->in;
    uint64_t in_count = csr_degree(in, v);
    uint64_t count = in_count + csr_degree(out, v);

    for (; flow->next[v] < count; flow->next[v]++) {
        uint64_t i = flow->next[v];
        bool back = i >= in_count;
        uint64_t e =
            back ? out->offsets[v] + (i - in_count) : in->offsets[v] + i;
        uint32_t from = back ? out->targets[e] : in->targets[e];
        enum status st = pace_tick(&flow->pace);

        if (st < 0)
            return st;
        if (flow->level[from] == NO_LEVEL ||
            flow->level[from] + 1 != flow->level[v])
            continue;
        if (!back)
            e = flow->entry_of[e];
        if (room(flow, e, back) > 0) {
            *ret = (struct step){e, v, back};
            *ret_from = from;
            return ST_OK;
        }
    }
    *ret_from = NO_VERTEX;
    return ST_OK;
}

/* Sends as much as there is room for along the path, and gives how many of
 * its steps, from the target on, still have room: the rest is to be found
 * anew. */
static uint32_t send(struct flow *flow, uint32_t steps)
{
    double most = DBL_MAX;
    uint32_t keep = steps;

    for (uint32_t i = 0; i < steps; i++) {
        double here = room(flow, flow->path[i].entry, flow->path[i].back);

        if (here < most)
            most = here;
    }
    for (uint32_t i = steps; i-- > 0;) {
        const struct step *step = &flow->path[i];
        double *amount = &flow->amount[step->entry];
        double weight = csr_weight(flow->out, step->entry);

        if (room(flow, step->entry, step->back) <= most) {
            *amount = step->back ? 0 : weight;
            keep = i;
            continue;
        }
        *amount += step->back ? -most : most;
        if (room(flow, step->entry, step->back) <= 0)
            keep = i;
    }
    return keep;
}

/* Paths, until there is none from level to level any more. */
static enum status block(struct run *run, struct flow *flow)
{
    uint32_t v = flow->target;
    uint32_t steps = 0;
    enum status st =
        run_fill(run, flow->next, 0, flow->out->n * sizeof(uint64_t));

    if (st < 0)
        return st;
    for (;;) {
        uint32_t from;

        if (v == flow->source) {
            run_progress(run, atomic_load(&run->done) + 1, 0);
            steps = send(flow, steps);
            v = flow->path[steps].vertex;
            continue;
        }
        st = find_arc(flow, v, &from, &flow->path[steps]);
        if (st < 0)
            return st;
        if (from != NO_VERTEX) {
            steps++;
            v = from;
        } else if (steps > 0) {
            v = flow->path[--steps].vertex;
            flow->next[v]++;
        } else {
            return ST_OK;
        }
    }
}

static enum status fill(struct run *run, struct flow *flow)
{
    for (;;) {
        enum status st = find_levels(flow);

        if (st < 0 || flow->level[flow->target] == NO_LEVEL)
            return st;
        st = block(run, flow);
        if (st < 0)
            return st;
    }
}

/* --- results ------------------------------------------------------------ */

/* What the cut lets through at most, which is what flows; and its edges. */
static enum status sum_up(struct run *run, struct flow *flow,
                          struct result *ret)
{
    const struct csr *out = flow->out;
    double sum = 0;
    uint64_t edges = 0;

    for (uint32_t v = 0; v < out->n; v++) {
        enum status st = pace_tick(&flow->pace);

        if (st < 0)
            return st;
        if (flow->level[v] == NO_LEVEL)
            continue;
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            double weight = csr_weight(out, e);

            if (flow->level[out->targets[e]] == NO_LEVEL && weight > 0) {
                sum += weight;
                edges++;
            }
            st = pace_tick(&flow->pace);
            if (st < 0)
                return st;
        }
    }
    if (!(sum <= DBL_MAX))
        return run_fail(run, ST_BAD_WEIGHT, NO_VERTEX, NO_VERTEX,
                        "the capacities add up to more than a float holds");
    result_f64(ret, "flow", sum);
    result_u64(ret, "cut_edges", edges);
    return ST_OK;
}

static enum status give_sides(struct run *run, struct flow *flow,
                              struct result *ret)
{
    uint8_t *side = run_alloc(run, flow->out->n, 1);

    if (!side)
        return run_memory_status(run);
    for (uint32_t v = 0; v < flow->out->n; v++)
        side[v] = flow->level[v] != NO_LEVEL;
    ret->per_vertex = true;
    ret->rows = flow->out->n;
    result_column(ret, "source_side", COLUMN_BOOL, side);
    return ST_OK;
}

/* All that flows from u to v on the entries from `*entry` on that lead there,
 * which are passed. */
static double flow_of_run(const struct flow *flow, uint32_t u, uint64_t *entry)
{
    const struct csr *out = flow->out;
    uint32_t v = out->targets[*entry];
    double sum = 0;

    while (*entry < out->offsets[u + 1] && out->targets[*entry] == v)
        sum += flow->amount[(*entry)++];
    return sum;
}

struct flow_rows {
    uint32_t *from;
    uint32_t *to;
    double *flow;
};

/* Goes through pairs of vertices with a flow from the first to the second,
 * less that from the second to the first; tells how many there are, and puts
 * them down if there are rows. */
static enum status go_through(struct flow *flow, const struct flow_rows *rows,
                              uint64_t *ret_count)
{
    const struct csr *out = flow->out;
    uint64_t count = 0;

    for (uint32_t u = 0; u < out->n; u++) {
        uint64_t e = out->offsets[u];

        while (e < out->offsets[u + 1]) {
            uint32_t v = out->targets[e];
            double sum = flow_of_run(flow, u, &e);
            uint64_t opposite;
            enum status st = pace_tick(&flow->pace);

            if (st < 0)
                return st;
            if (u == v || sum == 0)
                continue;
            if (csr_find(out, v, u, &opposite))
                sum -= flow_of_run(flow, v, &opposite);
            if (sum <= 0)
                continue;
            if (rows) {
                rows->from[count] = u;
                rows->to[count] = v;
                rows->flow[count] = sum;
            }
            count++;
        }
    }
    *ret_count = count;
    return ST_OK;
}

static enum status give_edges(struct run *run, struct flow *flow,
                              struct result *ret)
{
    struct flow_rows rows;
    uint64_t count;
    enum status st = go_through(flow, NULL, &count);

    if (st < 0)
        return st;
    ret->rows = count;
    rows.from = run_alloc(run, count, sizeof(uint32_t));
    if (!rows.from)
        return run_memory_status(run);
    result_column(ret, "from", COLUMN_VERTEX, rows.from);
    rows.to = run_alloc(run, count, sizeof(uint32_t));
    if (!rows.to)
        return run_memory_status(run);
    result_column(ret, "to", COLUMN_VERTEX, rows.to);
    rows.flow = run_alloc(run, count, sizeof(double));
    if (!rows.flow)
        return run_memory_status(run);
    result_column(ret, "flow", COLUMN_F64, rows.flow);
    return go_through(flow, &rows, &count);
}

static enum status flow_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, struct result *ret)
{
    struct flow flow = {.out = projection->out,
                        .in = projection->in,
                        .source = params[PARAM_SOURCE].vertex,
                        .target = params[PARAM_TARGET].vertex,
                        .pace = {.run = run}};
    enum status st;

    if (flow.source == flow.target)
        return run_fail(run, ST_BAD_ARGUMENT, flow.source, NO_VERTEX,
                        "source and target must be different vertices");
    st = flow_init(run, &flow);
    if (st >= 0)
        st = fill(run, &flow);
    if (st >= 0)
        st = sum_up(run, &flow, ret);
    if (st >= 0)
        st = params[PARAM_ROWS].u64 == ROWS_EDGES ? give_edges(run, &flow, ret)
                                                  : give_sides(run, &flow, ret);
    flow_deinit(run, &flow);
    return st;
}

static uint64_t flow_estimate(const struct projection *shape,
                              const struct param *param, unsigned threads)
{
    uint64_t entries = shape->edges * (shape->undirected ? 2 : 1);

    (void)threads;
    return entries * (param[PARAM_ROWS].u64 == ROWS_EDGES ? 32 : 16) +
           (uint64_t)shape->n * 33 + 1024;
}

static const char *const kinds_of_rows[] = {"vertices", "edges", NULL};

static const struct param_spec params[] = {
    {.name = "source", .type = PARAM_VERTEX, .required = true},
    {.name = "target", .type = PARAM_VERTEX, .required = true},
    {.name = "rows", .type = PARAM_CHOICE, .choices = kinds_of_rows},
};

const struct algorithm max_flow_algorithm = {
    .name = "max_flow",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = params,
    .param_count = sizeof(params) / sizeof(params[0]),
    .columns = {"vertex", "source_side", "from", "to", "flow"},
    .estimate = flow_estimate,
    .run = flow_run,
};
