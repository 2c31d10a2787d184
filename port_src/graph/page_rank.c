/*
 * page_rank.c -- PageRank, of the whole graph or seen from some vertices.
 *
 *     x(v) = (1 - d) t(v) + d (sum over edges u -> v of x(u) / out(u))
 *                         + d t(v) (sum over sinks of x)
 *
 * where t is the same for all vertices, or for the given ones, and 0 for
 * others; out(u) is u's number of edges, or their weight, and a sink has none.
 * x adds up to 1 (Page, Brin, Motwani and Winograd, 1999; Haveliwala, "Topic-
 * Sensitive PageRank", WWW 2002).
 *
 * Without the sinks' term the solution is the same but for a factor, since
 * that term is a multiple of t, as the first one is. So it is left out, and
 * the ranks are scaled to 1 in the end (Gleich, "PageRank beyond the Web",
 * SIAM Review 2015). What is left is solved by Gauss-Seidel: each vertex pulls
 * from its sources what they have now, not what they had before the iteration,
 * which needs fewer iterations (Arasu et al., "PageRank computation and the
 * structure of the Web", WWW 2002). With more than one thread it depends on
 * their pace which of the two a vertex sees; all of them end at the same
 * ranks, within the tolerance.
 *
 * With a number of `iterations` exactly so many are done as they are written
 * above, each from the last one's ranks and the first from t: the definition
 * of LDBC Graphalytics. The same is done for d = 1, where the factor above
 * would be 0.
 *
 * `shares` has what each edge of a vertex carries, d x(u) / out(u): a pull
 * reads one word an edge. As long as ranks change by much these are floats,
 * of which the caches hold twice as many; sums and ranks never are.
 */
#include "graph/kernels.h"

#include <math.h>

#include "graph/team.h"

#define CHUNK 1024 /* vertices */

/* From an iteration that changed no more than this, shares are doubles: far
 * above what the rounding of floats amounts to, 6e-8. */
#define COARSE_CHANGE 2e-5

struct page_rank {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    double damping;
    double tolerance;
    uint64_t iterations_max;
    bool exact;        /* each iteration from the last one's ranks */
    uint64_t *members; /* vertices with t > 0 as bits; NULL: all */
    double teleport;   /* t of these */

    double *ranks;
    double *shares;       /* one of the two is in use, on the same memory */
    float *coarse_shares; /* else NULL */
    double *factors;      /* d / out(u), or 0 */

    struct chunks chunks[2];
    double parts[RUN_THREADS_MAX][CACHE_LINE / sizeof(double)];
    double sinks;
    double change;
    uint64_t iterations;
    bool converged;
};

static double teleport_to(const struct page_rank *pr, uint32_t v)
{
    return !pr->members || bit_test(pr->members, v) ? pr->teleport : 0;
}

/*
 * Shares of others are read while these write them, unless `alone`. A word is
 * read in one piece on all machines that we build for; the compiler's atomic
 * load would take a number through an integer register, which costs a fifth of
 * the whole run. ThreadSanitizer is shown what is meant.
 */
static inline double load_share(const double *share, bool alone)
{
#ifdef __SANITIZE_THREAD__
    double value;

    __atomic_load(share, &value, __ATOMIC_RELAXED);
    return value;
#endif
    return alone ? *share : *(const volatile double *)share;
}

static inline double load_coarse(const float *share, bool alone)
{
#ifdef __SANITIZE_THREAD__
    float value;

    __atomic_load(share, &value, __ATOMIC_RELAXED);
    return (double)value;
#endif
    return alone ? (double)*share : (double)*(const volatile float *)share;
}

static inline void store_share(struct page_rank *pr, uint32_t v, double value,
                               bool coarse)
{
    if (coarse) {
        float small = (float)value;

        __atomic_store(&pr->coarse_shares[v], &small, __ATOMIC_RELAXED);
    } else {
        __atomic_store(&pr->shares[v], &value, __ATOMIC_RELAXED);
    }
}

/* How a pull is compiled: one version for each. */
struct pull_kind {
    bool alone;
    bool coarse;
    enum weight_form form;
};

/* What an entry brings. */
static inline __attribute__((always_inline)) double
share_of(const struct page_rank *pr, uint64_t e, struct pull_kind kind)
{
    const struct csr *in = pr->in;
    uint32_t u = in->targets[e];
    double share = kind.coarse ? load_coarse(&pr->coarse_shares[u], kind.alone)
                               : load_share(&pr->shares[u], kind.alone);

    if (kind.form == WEIGHTS_U32)
        return share * in->weights_u32[e];
    return kind.form == WEIGHTS_F64 ? share * in->weights_f64[e] : share;
}

/* The sum of what comes in, in four parts: an addition waits for the one
 * before it, and would for as long as four edges take. */
static inline __attribute__((always_inline)) double
pull(const struct page_rank *pr, uint32_t v, struct pull_kind kind)
{
    uint64_t e = pr->in->offsets[v];
    uint64_t last = pr->in->offsets[v + 1];
    double sums[4] = {0, 0, 0, 0};

    for (; e + 4 <= last; e += 4)
        for (unsigned i = 0; i < 4; i++)
            sums[i] += share_of(pr, e + i, kind);
    for (; e < last; e++)
        sums[0] += share_of(pr, e, kind);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* New ranks of some vertices, and their shares unless those must stay as they
 * are; gives back how much changed. */
static inline __attribute__((always_inline)) double
pull_some(struct run *run, struct page_rank *pr, uint32_t from, uint32_t to,
          struct pull_kind kind)
{
    double scale = 1 - pr->damping + pr->damping * pr->sinks;
    double change = 0;
    uint64_t work = 0;

    for (uint32_t v = from; v < to; v++) {
        double rank = teleport_to(pr, v) * scale + pull(pr, v, kind);

        change += fabs(rank - pr->ranks[v]);
        pr->ranks[v] = rank;
        if (!pr->exact)
            store_share(pr, v, rank * pr->factors[v], kind.coarse);
        if (work_stops(run, &work, csr_degree(pr->in, v) + 1))
            break;
    }
    return change;
}

#define PULL_SOME(is_alone, is_coarse, weights)                                \
    pull_some(run, pr, from, to,                                               \
              (struct pull_kind){is_alone, is_coarse, weights})

#define PULL_FORM(weights)                                                     \
    (alone    ? coarse ? PULL_SOME(true, true, weights)                        \
                       : PULL_SOME(true, false, weights)                       \
        : coarse ? PULL_SOME(false, true, weights)                             \
              : PULL_SOME(false, false, weights))

static double pull_chunk(struct run *run, struct page_rank *pr, uint32_t from,
                         uint32_t to)
{
    /* Exact iterations leave the shares alone while they are read. */
    bool alone = run->threads == 1 || pr->exact;
    bool coarse = pr->coarse_shares;

    switch (pr->in->form) {
    case WEIGHTS_U32:
        return PULL_FORM(WEIGHTS_U32);
    case WEIGHTS_F64:
        return PULL_FORM(WEIGHTS_F64);
    default:
        return PULL_FORM(WEIGHTS_ONE);
    }
}

/* Adds up the threads' parts. Two barriers; the same sum for all. */
static double add_parts(struct run *run, struct page_rank *pr, unsigned thread,
                        double part)
{
    double sum = 0;

    pr->parts[thread][0] = part;
    run_barrier(run);
    for (unsigned i = 0; i < run->threads; i++)
        sum += pr->parts[i][0];
    run_barrier(run);
    return sum;
}

/*
 * Where the iterations begin: Graphalytics says t. Otherwise a guess is as
 * good as it is near, and in a graph without directions a vertex's rank is
 * about the part of all edges that it has.
 */
static double first_rank(const struct page_rank *pr, uint32_t v, double sharing)
{
    double rank = teleport_to(pr, v);

    if (pr->exact || pr->members || pr->in->m == 0)
        return rank;
    return (1 - pr->damping) * rank + pr->damping * sharing / pr->n *
                                          (double)csr_degree(pr->in, v) /
                                          (double)pr->in->m;
}

/* What edges of v carry: of d out(v), or 0 if it is a sink. */
static double factor_of(struct run *run, const struct page_rank *pr, uint32_t v,
                        uint64_t *work)
{
    const struct csr *out = pr->out;
    double sum = 0;

    if (out->form == WEIGHTS_ONE) {
        sum = (double)csr_degree(out, v);
    } else {
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            double weight = csr_weight(out, e);

            if (!(weight >= 0)) {
                run_fail(run, ST_BAD_WEIGHT, v, out->targets[e],
                         "page_rank takes no negative weight");
                return 0;
            }
            sum += weight;
            if (work_stops(run, work, 1))
                return 0;
        }
    }
    work_stops(run, work, 1);
    return sum > 0 ? pr->damping / sum : 0;
}

/* Shares as of the ranks; gives back what the sinks have. */
static double share_out(struct run *run, struct page_rank *pr, uint32_t from,
                        uint32_t to)
{
    double sinks = 0;

    for (uint32_t v = from; v < to && !loop_stops(run, v); v++) {
        store_share(pr, v, pr->ranks[v] * pr->factors[v], pr->coarse_shares);
        if (pr->factors[v] == 0)
            sinks += pr->ranks[v];
    }
    return sinks;
}

/* All of this thread's part of one iteration; gives back the change. */
static double pull_all(struct run *run, struct page_rank *pr,
                       struct chunks *chunks)
{
    double change = 0;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, pr->n, CHUNK, &from, &to) &&
           run_check(run) == ST_OK)
        change += pull_chunk(run, pr, (uint32_t)from, (uint32_t)to);
    return change;
}

static void page_rank_team(struct run *run, void *context, unsigned thread)
{
    struct page_rank *pr = context;
    uint32_t from = (uint32_t)((uint64_t)pr->n * thread / run->threads);
    uint32_t to = (uint32_t)((uint64_t)pr->n * (thread + 1) / run->threads);
    uint64_t work = RUN_CHECK_WORK;
    double sharing = 0; /* vertices that are no sinks */
    double sinks;
    double sum = 0;

    for (uint32_t v = from; v < to && !run_stopped(run); v++) {
        pr->factors[v] = factor_of(run, pr, v, &work);
        sharing += pr->factors[v] > 0;
    }
    sharing = add_parts(run, pr, thread, sharing);
    for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
        pr->ranks[v] = first_rank(pr, v, sharing);
    if (team_stops(run))
        return;
    sinks = share_out(run, pr, from, to);
    run_barrier(run);
    for (uint64_t i = 0; i < pr->iterations_max; i++) {
        /* Floats say nothing about smaller changes. */
        bool tells = !pr->coarse_shares || pr->tolerance >= COARSE_CHANGE;
        double change;

        if (pr->exact) {
            sinks = add_parts(run, pr, thread, sinks);
            if (thread == 0)
                pr->sinks = sinks;
            run_barrier(run);
        }
        change =
            add_parts(run, pr, thread, pull_all(run, pr, &pr->chunks[i % 2]));
        if (thread == 0) {
            atomic_store(&pr->chunks[i % 2].next, 0);
            pr->change = change;
            pr->iterations = i + 1;
            pr->converged = tells && change < pr->tolerance;
            if (change <= COARSE_CHANGE)
                pr->coarse_shares = NULL;
            run_progress(run, i + 1, pr->iterations_max);
        }
        if (team_stops(run))
            return;
        if (tells && change < pr->tolerance)
            break;
        if (pr->exact || change <= COARSE_CHANGE)
            sinks = share_out(run, pr, from, to);
        run_barrier(run);
    }
    for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
        sum += pr->ranks[v];
    sum = add_parts(run, pr, thread, sum);
    if (!pr->exact && sum > 0)
        for (uint32_t v = from; v < to && !loop_stops(run, v); v++)
            pr->ranks[v] /= sum;
}

enum {
    PR_DAMPING,
    PR_MAX_ITERATIONS,
    PR_TOLERANCE,
    PR_ITERATIONS,
    PR_SOURCES,
    PR_PARAMS
};

static const struct param_spec page_rank_params[PR_PARAMS] = {
    {.name = "damping", .type = PARAM_F64, .max = 1, .otherwise = 0.85},
    {.name = "max_iterations", .type = PARAM_U64, .otherwise = 100},
    {.name = "tolerance", .type = PARAM_F64, .otherwise = 1e-7},
    {.name = "iterations", .type = PARAM_U64},
    {.name = "sources", .type = PARAM_VERTICES},
};

static uint64_t page_rank_estimate(const struct projection *shape,
                                   const struct param *params, unsigned threads)
{
    uint64_t n = shape->n;
    uint64_t bytes = 3 * mem_charge(n * sizeof(double) + 1) +
                     mem_charge(sizeof(struct page_rank));

    (void)threads;
    if (params[PR_SOURCES].count > 0)
        bytes += mem_charge(bit_words(n) * sizeof(uint64_t) + 1);
    return bytes;
}

/* Those that are seen from, each once. */
static void put_members(struct page_rank *pr, const struct param *sources)
{
    uint64_t count = 0;

    for (size_t i = 0; i < sources->count; i++) {
        count += !bit_test(pr->members, sources->vertices[i]);
        bit_set(true, pr->members, sources->vertices[i]);
    }
    pr->teleport = 1.0 / (double)count;
}

static void put_result(const struct page_rank *pr, struct result *ret)
{
    ret->per_vertex = true;
    ret->rows = pr->n;
    result_column(ret, "rank", COLUMN_F64, pr->ranks);
    result_u64(ret, "iterations", pr->iterations);
    result_u64(ret, "converged", pr->converged);
    result_f64(ret, "change", pr->change);
}

static enum status page_rank_run(struct run *run,
                                 const struct projection *projection,
                                 const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    bool all = params[PR_SOURCES].count == 0;
    struct page_rank *pr = run_zalloc(run, 1, sizeof(*pr));
    enum status st;

    if (!pr)
        return run_memory_status(run);
    pr->out = projection->out;
    pr->in = projection->in;
    pr->n = n;
    pr->damping = params[PR_DAMPING].f64;
    pr->exact = params[PR_ITERATIONS].given || pr->damping == 1;
    pr->iterations_max = params[PR_MAX_ITERATIONS].u64;
    pr->tolerance = params[PR_TOLERANCE].f64;
    if (params[PR_ITERATIONS].given) {
        pr->iterations_max = params[PR_ITERATIONS].u64;
        pr->tolerance = -1;
    }
    pr->teleport = n > 0 ? 1.0 / n : 0;
    pr->ranks = run_alloc(run, n, sizeof(double));
    pr->shares = run_alloc(run, n, sizeof(double));
    pr->factors = run_alloc(run, n, sizeof(double));
    if (!pr->exact)
        pr->coarse_shares = (float *)(void *)pr->shares;
    if (!all)
        pr->members = run_zalloc(run, bit_words(n), sizeof(uint64_t));
    if (!pr->ranks || !pr->shares || !pr->factors || (!all && !pr->members)) {
        st = run_memory_status(run);
        goto done;
    }
    if (!all)
        put_members(pr, &params[PR_SOURCES]);
    st = run_team(run, page_rank_team, pr);
    if (st == ST_OK) {
        put_result(pr, ret);
        pr->ranks = NULL;
    }

done:
    run_free(run, pr->ranks, n, sizeof(double));
    run_free(run, pr->shares, n, sizeof(double));
    run_free(run, pr->factors, n, sizeof(double));
    run_free(run, pr->members, bit_words(n), sizeof(uint64_t));
    run_free(run, pr, 1, sizeof(*pr));
    return st;
}

const struct algorithm page_rank_algorithm = {
    .name = "page_rank",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = page_rank_params,
    .param_count = PR_PARAMS,
    .columns = {"vertex", "rank"},
    .estimate = page_rank_estimate,
    .run = page_rank_run,
};
