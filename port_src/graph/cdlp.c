/*
 * cdlp.c -- communities by label propagation.
 *
 * A vertex begins with its own number as its label. In each iteration all take,
 * at once, the label that most of their neighbours have, the least of them if
 * there are several; who has no neighbour keeps its own. Edges count, to and
 * from: a neighbour with an edge each way counts twice. The definition is that
 * of LDBC Graphalytics (after Raghavan, Albert and Kumara, "Near linear time
 * algorithm to detect community structures", Physical Review E 2007), which
 * has a fixed number of iterations; one that changes nothing is the last,
 * since all after it would be the same.
 *
 * Each thread counts in an array with a place for each label, and takes the
 * counts back by going over the neighbours again: labels get few soon, and
 * their counts stay in the cache.
 */
#include "graph/kernels.h"
#include "graph/team.h"

#define CHUNK 512 /* vertices */

struct cdlp {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    bool undirected;
    uint64_t iterations_max;
    uint32_t *labels[2]; /* of the last iteration and of this one, in turn */
    uint32_t *counts;    /* for each thread, of each label; 0 between */
    struct parts parts[2];
    _Atomic uint64_t changed[2];
    uint64_t iterations;
    unsigned last; /* which labels are the result */
};

struct choice {
    uint32_t label;
    uint32_t count;
};

static void count_labels(const struct csr *csr, uint32_t v,
                         const uint32_t *labels, uint32_t *counts,
                         struct choice *best)
{
    for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
        uint32_t label = labels[csr->targets[e]];
        uint32_t count = counts[label];

        /* More than 2^32 - 1 edges are as good as that many. */
        count += count < UINT32_MAX;
        counts[label] = count;
        if (count > best->count ||
            (count == best->count && label < best->label)) {
            best->count = count;
            best->label = label;
        }
    }
}

static void take_back(const struct csr *csr, uint32_t v, const uint32_t *labels,
                      uint32_t *counts)
{
    for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
        counts[labels[csr->targets[e]]] = 0;
}

static uint32_t choose(const struct cdlp *cdlp, uint32_t v,
                       const uint32_t *labels, uint32_t *counts)
{
    struct choice best = {labels[v], 0};

    count_labels(cdlp->out, v, labels, counts, &best);
    if (!cdlp->undirected)
        count_labels(cdlp->in, v, labels, counts, &best);
    take_back(cdlp->out, v, labels, counts);
    if (!cdlp->undirected)
        take_back(cdlp->in, v, labels, counts);
    return best.label;
}

static void iterate(struct run *run, struct cdlp *cdlp, unsigned turn,
                    unsigned thread)
{
    uint32_t *counts = cdlp->counts + (uint64_t)thread * cdlp->n;
    const uint32_t *labels = cdlp->labels[turn];
    uint32_t *next = cdlp->labels[!turn];
    uint64_t changed = 0;
    uint64_t work = RUN_CHECK_WORK;
    unsigned part = 0;
    uint64_t from;
    uint64_t to;

    while (parts_take(&cdlp->parts[turn], thread, run->threads, cdlp->n, CHUNK,
                      &part, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            uint64_t degree = csr_degree(cdlp->out, v) + 1;

            if (!cdlp->undirected)
                degree += csr_degree(cdlp->in, v);
            next[v] = choose(cdlp, v, labels, counts);
            changed += next[v] != labels[v];
            if (work_stops(run, &work, 2 * degree))
                goto done;
        }
done:
    atomic_fetch_add(&cdlp->changed[turn], changed);
}

static void cdlp_team(struct run *run, void *context, unsigned thread)
{
    struct cdlp *cdlp = context;
    uint32_t *counts = cdlp->counts + (uint64_t)thread * cdlp->n;
    uint32_t from = (uint32_t)((uint64_t)cdlp->n * thread / run->threads);
    uint32_t to = (uint32_t)((uint64_t)cdlp->n * (thread + 1) / run->threads);

    run_fill(run, counts, 0, cdlp->n * sizeof(uint32_t));
    for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
        cdlp->labels[0][v] = v;
    if (team_stops(run))
        return;
    for (uint64_t i = 0; i < cdlp->iterations_max; i++) {
        unsigned turn = i % 2;

        /* The other turn's are no longer in use, and not yet again. */
        iterate(run, cdlp, turn, thread);
        if (team_stops(run))
            return;
        if (thread == 0) {
            parts_reset(&cdlp->parts[!turn], run->threads);
            atomic_store(&cdlp->changed[!turn], 0);
            cdlp->iterations = i + 1;
            cdlp->last = !turn;
            run_progress(run, i + 1, cdlp->iterations_max);
        }
        if (atomic_load(&cdlp->changed[turn]) == 0)
            return;
        run_barrier(run);
    }
}

static const struct param_spec cdlp_params[] = {
    {.name = "iterations", .type = PARAM_U64, .otherwise = 10},
};

static uint64_t cdlp_estimate(const struct projection *shape,
                              const struct param *params, unsigned threads)
{
    uint64_t n = shape->n;

    (void)params;
    return 2 * mem_charge(n * sizeof(uint32_t) + 1) +
           mem_charge(n * threads * sizeof(uint32_t) + 1);
}

/* How many labels there are: `counts` is all zeros. */
static uint64_t count_communities(struct run *run, const struct cdlp *cdlp)
{
    uint64_t communities = 0;

    for (uint32_t v = 0; v < cdlp->n && !loop_stops(run, v); v++)
        communities += cdlp->counts[cdlp->labels[cdlp->last][v]]++ == 0;
    return communities;
}

static enum status cdlp_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, struct result *ret)
{
    uint64_t n = projection->n;
    unsigned threads = run->threads;
    struct cdlp cdlp = {.out = projection->out,
                        .in = projection->in,
                        .n = projection->n,
                        .undirected = projection->undirected,
                        .iterations_max = params[0].u64};
    enum status st;

    cdlp.labels[0] = run_alloc(run, n, sizeof(uint32_t));
    cdlp.labels[1] = run_alloc(run, n, sizeof(uint32_t));
    cdlp.counts = run_alloc(run, n * threads, sizeof(uint32_t));
    if (cdlp.labels[0] && cdlp.labels[1] && cdlp.counts)
        st = run_team(run, cdlp_team, &cdlp);
    else
        st = run_memory_status(run);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "label", COLUMN_VERTEX, cdlp.labels[cdlp.last]);
        result_u64(ret, "communities", count_communities(run, &cdlp));
        result_u64(ret, "iterations", cdlp.iterations);
        cdlp.labels[cdlp.last] = NULL;
        st = (enum status)atomic_load(&run->status);
    }
    run_free(run, cdlp.labels[0], n, sizeof(uint32_t));
    run_free(run, cdlp.labels[1], n, sizeof(uint32_t));
    run_free(run, cdlp.counts, n * threads, sizeof(uint32_t));
    return st;
}

const struct algorithm cdlp_algorithm = {
    .name = "cdlp",
    .needs = NEED_OUT | NEED_IN,
    .params = cdlp_params,
    .param_count = 1,
    .columns = {"vertex", "label"},
    .estimate = cdlp_estimate,
    .run = cdlp_run,
};
