/*
 * spectral.c -- eigenvector centrality and HITS: a vertex counts as much as
 * those that lead to it, or that it leads to.
 *
 * Eigenvector: P. Bonacich, "Factoring and weighting approaches to status
 * scores and clique identification", J. Math. Sociology 2, 1972. Power
 * iteration of x <- x + A'x, where A' takes over the edges that come in. The x
 * on the right changes no eigenvector and shifts all eigenvalues, so that a
 * bipartite graph, whose greatest ones are a pair of opposite signs, converges
 * as well.
 *
 * HITS: J. Kleinberg, "Authoritative sources in a hyperlinked environment", J.
 * ACM 46(5), 1999. authority <- A' hub, hub <- A authority; only the hubs need
 * be brought to length 1 in between.
 *
 * Vectors begin with equal elements, have length 1 (L2) in the end, and stop
 * when no element changes by more than `tolerance`, or after `max_iterations`;
 * `converged` says which. If the projection has weights they count, and may
 * not be negative.
 *
 * Every vertex pulls what it is to get, so threads share nothing but the sums:
 * these are made for every SUM_VERTICES vertices, and added up in their order,
 * so that the result has the same bits with any number of threads.
 *
 * O(n + m) an iteration. 16 bytes a vertex (HITS 24), results included.
 */
#include <math.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"
#include "graph/pieces.h"
#include "graph/team.h"

#define SUM_VERTICES 2048u

/* Weights beyond it are scaled down, lest squares of sums overflow. */
#define WEIGHT_LARGE 1e30

enum { POWER_MAX_ITERATIONS, POWER_TOLERANCE, POWER_PARAMS };

static const struct param_spec power_params[POWER_PARAMS] = {
    [POWER_MAX_ITERATIONS] = {.name = "max_iterations",
                              .type = PARAM_U64,
                              .min = 1,
                              .max = 1e9,
                              .otherwise = 100},
    [POWER_TOLERANCE] = {.name = "tolerance",
                         .type = PARAM_F64,
                         .min = 0,
                         .max = 1,
                         .otherwise = 1e-7},
};

struct power {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    uint64_t iterations_max;
    double tolerance;
    double scale; /* of weights */

    double *now; /* the eigenvector, or hubs; and the next one */
    double *next;
    double *authority;
    double *squares; /* by SUM_VERTICES vertices */
    double *changes;

    struct chunks gathering; /* each is set back where nobody takes of it */
    struct chunks scaling;
    struct chunks helping;

    uint64_t iterations;
    bool converged;
};

static uint64_t sum_count(uint64_t n)
{
    return (n + SUM_VERTICES - 1) / SUM_VERTICES;
}

/* What the entries begin .. end - 1 bring. */
static double gather(const struct csr *csr, uint64_t begin, uint64_t end,
                     double scale, const double *x)
{
    double sum = 0;

    if (csr->form == WEIGHTS_ONE)
        for (uint64_t e = begin; e < end; e++)
            sum += x[csr->targets[e]];
    else
        for (uint64_t e = begin; e < end; e++)
            sum += csr_weight(csr, e) * scale * x[csr->targets[e]];
    return sum;
}

/* What all entries of v bring; long rows in pieces. */
static double gather_row(struct run *run, const struct csr *csr, uint32_t v,
                         double scale, const double *x, uint64_t *work)
{
    uint64_t end = csr->offsets[v + 1];
    double sum = 0;

    for (uint64_t e = csr->offsets[v]; e < end; e += RUN_CHECK_WORK) {
        uint64_t stop = end - e < RUN_CHECK_WORK ? end : e + RUN_CHECK_WORK;

        sum += gather(csr, e, stop, scale, x);
        if (work_stops(run, work, stop - e))
            break;
    }
    return sum;
}

/* to <- shift * from + csr from, and the sums of squares. */
static void multiply(struct run *run, struct power *p, const struct csr *csr,
                     double shift, const double *from, double *to,
                     struct chunks *chunks)
{
    uint64_t begin;
    uint64_t end;
    uint64_t work = 0;

    while (!run_stopped(run) &&
           chunks_take(chunks, p->n, SUM_VERTICES, &begin, &end)) {
        double squares = 0;

        for (uint64_t v = begin; v < end; v++) {
            double sum =
                gather_row(run, csr, (uint32_t)v, p->scale, from, &work);

            to[v] = shift * from[v] + sum;
            squares += to[v] * to[v];
        }
        p->squares[begin / SUM_VERTICES] = squares;
        work_stops(run, &work, end - begin);
    }
}

static double length_of(const struct power *p)
{
    double sum = 0;

    for (uint64_t i = 0; i < sum_count(p->n); i++)
        sum += p->squares[i];
    return sqrt(sum);
}

/* Brings `to` to length 1, and keeps the greatest changes. */
static void normalize(struct run *run, struct power *p, const double *from,
                      double *to)
{
    double length = length_of(p);
    double factor = length > 0 ? 1 / length : 0;
    uint64_t begin;
    uint64_t end;
    uint64_t work = 0;

    while (!work_stops(run, &work, SUM_VERTICES) && !run_stopped(run) &&
           chunks_take(&p->scaling, p->n, SUM_VERTICES, &begin, &end)) {
        double change = 0;

        for (uint64_t v = begin; v < end; v++) {
            to[v] *= factor;
            change = fmax(change, fabs(to[v] - from[v]));
        }
        p->changes[begin / SUM_VERTICES] = change;
    }
}

static double greatest_change(const struct power *p)
{
    double change = 0;

    for (uint64_t i = 0; i < sum_count(p->n); i++)
        change = fmax(change, p->changes[i]);
    return change;
}

/* One thread of it. All of them decide the same from the same numbers. */
static void power_team(struct run *run, void *context, unsigned thread)
{
    struct power *p = context;
    bool hits = p->authority != NULL;
    double *now = p->now;
    double *next = p->next;
    bool converged = false;
    uint64_t i = 0;

    while (i < p->iterations_max && !converged) {
        double *other = now;

        if (hits) {
            multiply(run, p, p->in, 0, now, p->authority, &p->helping);
            if (team_stops(run))
                return;
            multiply(run, p, p->out, 0, p->authority, next, &p->gathering);
        } else {
            multiply(run, p, p->in, 1, now, next, &p->gathering);
        }
        if (team_stops(run))
            return;
        if (thread == 0) {
            atomic_store(&p->helping.next, 0);
            atomic_store(&p->gathering.next, 0);
        }
        normalize(run, p, now, next);
        if (team_stops(run))
            return;
        converged = greatest_change(p) <= p->tolerance;
        now = next;
        next = other;
        i++;
        if (thread == 0) {
            atomic_store(&p->scaling.next, 0);
            run_progress(run, i, p->iterations_max);
        }
    }
    if (thread == 0) {
        p->now = now;
        p->next = next;
        p->iterations = i;
        p->converged = converged;
    }
}

static void power_free(struct run *run, struct power *p)
{
    run_free(run, p->now, p->n, sizeof(double));
    run_free(run, p->next, p->n, sizeof(double));
    run_free(run, p->authority, p->n, sizeof(double));
    run_free(run, p->squares, sum_count(p->n), sizeof(double));
    run_free(run, p->changes, sum_count(p->n), sizeof(double));
}

static enum status power_init(struct run *run,
                              const struct projection *projection,
                              const struct param *params, bool hits,
                              struct power *p)
{
    uint32_t n = projection->n;

    *p = (struct power){
        .out = projection->out,
        .in = projection->in,
        .n = n,
        .iterations_max = params[POWER_MAX_ITERATIONS].u64,
        .tolerance = params[POWER_TOLERANCE].f64,
        .scale = 1,
    };
    p->now = run_alloc(run, n, sizeof(double));
    p->next = p->now ? run_alloc(run, n, sizeof(double)) : NULL;
    p->squares = p->next ? run_zalloc(run, sum_count(n), sizeof(double)) : NULL;
    p->changes =
        p->squares ? run_zalloc(run, sum_count(n), sizeof(double)) : NULL;
    if (p->changes && hits)
        p->authority = run_alloc(run, n, sizeof(double));
    if (!p->changes || (hits && !p->authority))
        return run_memory_status(run);
    for (uint32_t v = 0; v < n; v++)
        p->now[v] = 1 / sqrt(n);
    return ST_OK;
}

static void power_figures(const struct power *p, struct result *ret)
{
    result_u64(ret, "iterations", p->iterations);
    result_u64(ret, "converged", p->converged);
}

static uint64_t power_bytes(uint64_t n, unsigned vectors)
{
    return vectors * block_bytes(n, sizeof(double)) +
           2 * block_bytes(sum_count(n), sizeof(double));
}

/* --- eigenvector -------------------------------------------------------- */

static enum status eigenvector_run(struct run *run,
                                   const struct projection *projection,
                                   const struct param *params,
                                   struct result *ret)
{
    struct power p;
    double most = 1;
    enum status st = power_init(run, projection, params, false, &p);

    if (st == ST_OK)
        st = weights_check(run, p.in, true, &most);
    if (st == ST_OK) {
        p.scale = most > WEIGHT_LARGE ? 1 / most : 1;
        st = run_team(run, power_team, &p);
    }
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = p.n;
        result_column(ret, "score", COLUMN_F64, p.now);
        power_figures(&p, ret);
        p.now = NULL;
    }
    power_free(run, &p);
    return st;
}

static uint64_t eigenvector_estimate(const struct projection *shape,
                                     const struct param *params,
                                     unsigned threads)
{
    (void)params;
    (void)threads;
    return power_bytes(shape->n, 2);
}

const struct algorithm eigenvector_algorithm = {
    .name = "eigenvector",
    .needs = NEED_IN | NEED_WEIGHTS,
    .params = power_params,
    .param_count = POWER_PARAMS,
    .columns = {"vertex", "score"},
    .estimate = eigenvector_estimate,
    .run = eigenvector_run,
};

/* --- hits --------------------------------------------------------------- */

static enum status bring_to_length_one(struct run *run, double *x, uint32_t n)
{
    struct pace pace = {.run = run};
    enum status st = ST_OK;
    double squares = 0;
    double factor;

    for (uint32_t v = 0; st == ST_OK && v < n; v++) {
        squares += x[v] * x[v];
        st = pace_tick(&pace);
    }
    factor = squares > 0 ? 1 / sqrt(squares) : 0;
    for (uint32_t v = 0; st == ST_OK && v < n; v++) {
        x[v] *= factor;
        st = pace_tick(&pace);
    }
    return st;
}

static enum status hits_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, struct result *ret)
{
    struct power p;
    double most = 1;
    enum status st = power_init(run, projection, params, true, &p);

    if (st == ST_OK)
        st = weights_check(run, p.out, false, &most);
    if (st == ST_OK) {
        p.scale = most > 0 ? 1 / most : 1;
        st = run_team(run, power_team, &p);
    }
    if (st == ST_OK)
        st = bring_to_length_one(run, p.authority, p.n);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = p.n;
        result_column(ret, "hub", COLUMN_F64, p.now);
        result_column(ret, "authority", COLUMN_F64, p.authority);
        power_figures(&p, ret);
        p.now = NULL;
        p.authority = NULL;
    }
    power_free(run, &p);
    return st;
}

static uint64_t hits_estimate(const struct projection *shape,
                              const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return power_bytes(shape->n, 3);
}

const struct algorithm hits_algorithm = {
    .name = "hits",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = power_params,
    .param_count = POWER_PARAMS,
    .columns = {"vertex", "hub", "authority"},
    .estimate = hits_estimate,
    .run = hits_run,
};
