/*
 * degree.c -- how many edges a vertex has, and what they weigh.
 *
 * Of a directed graph `out` and `in` are the edges that leave and reach it,
 * and `total` is both: a loop is one of each and two in total. Of an undirected
 * graph all three are its edges, where a loop counts twice. Edges in parallel
 * are as many as they are. If the projection has weights, their sums are
 * columns as well.
 *
 * O(n), or O(n + m) with weights or in an undirected graph, for its loops.
 */
#include "graph/algorithm.h"
#include "graph/kernels.h"
#include "graph/work.h"

enum { SIDE_OUT, SIDE_IN, SIDE_TOTAL, SIDES };

static const char *const count_names[SIDES] = {"out", "in", "total"};
static const char *const weight_names[SIDES] = {"out_weight", "in_weight",
                                                "total_weight"};

struct degrees {
    struct pace pace;
    bool weighted;
    uint64_t *count[SIDES];
    double *weight[SIDES];
};

/* Of one side. `twice`: a loop has one entry and counts twice. */
static enum status add_up(struct pace *pace, const struct csr *csr, bool twice,
                          uint64_t *count, double *weight)
{
    for (uint32_t v = 0; v < csr->n; v++) {
        enum status st = pace_tick(pace);

        count[v] = csr_degree(csr, v);
        if (weight)
            weight[v] = 0;
        for (uint64_t e = csr->offsets[v];
             (weight || twice) && e < csr->offsets[v + 1]; e++) {
            bool again = twice && csr->targets[e] == v;

            count[v] += again;
            if (weight)
                weight[v] += csr_weight(csr, e) * (again ? 2 : 1);
            st = pace_tick(pace);
            if (st < 0)
                return st;
        }
        if (st < 0)
            return st;
    }
    return ST_OK;
}

static enum status fill(struct degrees *d, const struct projection *projection)
{
    bool twice = projection->undirected;
    enum status st = add_up(&d->pace, projection->out, twice,
                            d->count[SIDE_OUT], d->weight[SIDE_OUT]);

    if (st == ST_OK)
        st = add_up(&d->pace, projection->in, twice, d->count[SIDE_IN],
                    d->weight[SIDE_IN]);
    for (uint32_t v = 0; st == ST_OK && v < projection->n; v++) {
        d->count[SIDE_TOTAL][v] =
            d->count[SIDE_OUT][v] + (twice ? 0 : d->count[SIDE_IN][v]);
        if (d->weighted)
            d->weight[SIDE_TOTAL][v] =
                d->weight[SIDE_OUT][v] + (twice ? 0 : d->weight[SIDE_IN][v]);
        st = pace_tick(&d->pace);
    }
    return st;
}

static void degree_figures(const uint64_t *total, uint32_t n,
                           struct result *ret)
{
    uint64_t least = n ? total[0] : 0;
    uint64_t most = 0;
    double sum = 0;

    for (uint32_t v = 0; v < n; v++) {
        if (total[v] < least)
            least = total[v];
        if (total[v] > most)
            most = total[v];
        sum += (double)total[v];
    }
    result_u64(ret, "min", least);
    result_u64(ret, "max", most);
    result_f64(ret, "mean", n ? sum / n : 0);
}

static enum status degree_run(struct run *run,
                              const struct projection *projection,
                              const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct degrees d = {
        .pace = {.run = run},
        .weighted = projection->out->form != WEIGHTS_ONE,
    };
    enum status st = ST_OK;

    (void)params;
    for (unsigned i = 0; st == ST_OK && i < SIDES; i++) {
        d.count[i] = run_alloc(run, n, sizeof(uint64_t));
        if (d.count[i] && d.weighted)
            d.weight[i] = run_alloc(run, n, sizeof(double));
        if (!d.count[i] || (d.weighted && !d.weight[i]))
            st = run_memory_status(run);
    }
    if (st == ST_OK)
        st = fill(&d, projection);
    if (st < 0) {
        for (unsigned i = 0; i < SIDES; i++) {
            run_free(run, d.count[i], n, sizeof(uint64_t));
            run_free(run, d.weight[i], n, sizeof(double));
        }
        return st;
    }
    ret->per_vertex = true;
    ret->rows = n;
    degree_figures(d.count[SIDE_TOTAL], n, ret);
    for (unsigned i = 0; i < SIDES; i++)
        result_column(ret, count_names[i], COLUMN_U64, d.count[i]);
    for (unsigned i = 0; d.weighted && i < SIDES; i++)
        result_column(ret, weight_names[i], COLUMN_F64, d.weight[i]);
    return ST_OK;
}

static uint64_t degree_estimate(const struct projection *shape,
                                const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return 2 * SIDES * block_bytes(shape->n, sizeof(uint64_t));
}

const struct algorithm degree_algorithm = {
    .name = "degree",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .columns = {"vertex", "out", "in", "total", "out_weight", "in_weight",
                "total_weight"},
    .estimate = degree_estimate,
    .run = degree_run,
};
