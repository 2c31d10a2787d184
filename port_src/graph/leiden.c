/*
 * leiden.c -- communities by modularity that are connected, and well.
 *
 *     level 0     vertices move to where modularity gains most
 *                 each community is taken apart again, and put together with
 *                 more care: parts of it that hold together well
 *     level 1     each such part is a vertex, and begins in the community
 *                 that it is a part of; these move
 *     ...         until each part is a community
 *
 * Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing
 * well-connected communities", Scientific Reports 9:5233, 2019.
 *
 * Taking apart (the refinement of the paper): within a community of strength
 * S, each vertex alone at first. A set of strength K is well connected if its
 * edges to the rest of the community weigh at least gamma K (S - K) / total.
 * A vertex that is still alone and well connected joins one of the parts that
 * are, and where modularity does not lose; which one is drawn, with a chance
 * that goes with exp(gain / theta), so that any good partition can come out.
 * Gains are measured in the mean weight of an edge: all weights a thousand
 * times as large leave the result as it is. With theta = 0 it is the best one.
 *
 * That parts are connected follows from how they grow: along edges. That
 * communities are holds where each is a part in the end; for runs that end
 * before that (max_levels, tolerance) those that are not connected are split
 * into what is, by which modularity can only gain.
 *
 * O(m) for each time that all vertices of a level are looked at.
 */
#include "graph/community.h"

#include <math.h>

#include "graph/kernels.h"

enum { PARAM_THETA = COMMUNITY_PARAM_COUNT };

struct refiner {
    const struct level *level;
    const struct partition *communities;
    double gamma;
    double scale; /* theta, in weights of this level */
    struct draw *draw;

    struct partition *parts;
    double *outer; /* of a part: the weight of its edges to the rest */
    uint32_t *order;
    double *chances; /* by place in the tally */
    struct tally tally;
};

static void refiner_deinit(struct run *run, struct refiner *refiner)
{
    uint32_t n = refiner->level->csr.n;

    run_free(run, refiner->outer, n, sizeof(double));
    run_free(run, refiner->order, n, sizeof(uint32_t));
    run_free(run, refiner->chances, n, sizeof(double));
    tally_free(run, &refiner->tally);
}

static enum status refiner_init(struct run *run, struct refiner *refiner)
{
    uint32_t n = refiner->level->csr.n;
    enum status st = tally_create(run, n, &refiner->tally);

    if (st < 0)
        return st;
    refiner->outer = run_zalloc(run, n, sizeof(double));
    refiner->order = run_alloc(run, n, sizeof(uint32_t));
    refiner->chances = run_alloc(run, n, sizeof(double));
    return refiner->outer && refiner->order && refiner->chances
               ? ST_OK
               : run_memory_status(run);
}

/* Before anything is joined: the edges of each vertex within its community. */
static enum status find_outer(struct run *run, struct refiner *refiner)
{
    const struct csr *csr = &refiner->level->csr;
    const uint32_t *of = refiner->communities->of;
    uint64_t work = 0;

    for (uint32_t v = 0; v < csr->n; v++) {
        enum status st =
            tally_edges(run, &refiner->tally, refiner->level, v, of, of);

        if (st >= 0)
            st = check_after(run, &work, csr_degree(csr, v));
        if (st < 0)
            return st;
        refiner->outer[v] = refiner->tally.weight[of[v]];
        tally_clear(&refiner->tally);
    }
    return ST_OK;
}

/* Whether a part holds together well with the rest of a community of strength
 * `whole`; equal but for rounding will do. */
static bool well_connected(const struct refiner *refiner, uint32_t part,
                           double whole)
{
    double strength = refiner->parts->sum[part];
    double rest = (whole - strength) / refiner->level->total;

    return refiner->outer[part] + 1e-13 * strength >=
           refiner->gamma * strength * rest;
}

/* The part that v joins: its own if it stays alone. The tally has the edges
 * of v by part. */
static uint32_t draw_part(struct refiner *refiner, uint32_t v, double whole)
{
    const struct tally *tally = &refiner->tally;
    double pull =
        refiner->gamma * (refiner->level->strength[v] / refiner->level->total);
    double best = 0; /* staying is one of them */
    uint32_t ret = v;
    double sum;
    double drawn;

    for (uint32_t i = 0; i < tally->count; i++) {
        uint32_t part = tally->touched[i];
        double gain = tally->weight[part] - pull * refiner->parts->sum[part];

        refiner->chances[i] = -1;
        if (gain < 0 || !well_connected(refiner, part, whole))
            continue;
        refiner->chances[i] = gain;
        if (gain > best) {
            best = gain;
            ret = part;
        }
    }
    if (refiner->scale == 0)
        return ret;

    /* Measured from the best, so that nothing is too large for exp(). */
    sum = exp(-best / refiner->scale);
    for (uint32_t i = 0; i < tally->count; i++) {
        double gain = refiner->chances[i];

        refiner->chances[i] =
            gain < 0 ? 0 : exp((gain - best) / refiner->scale);
        sum += refiner->chances[i];
    }
    drawn = draw_real(refiner->draw) * sum;
    for (uint32_t i = 0; i < tally->count; i++) {
        if (drawn < refiner->chances[i])
            return tally->touched[i];
        drawn -= refiner->chances[i];
    }
    return v;
}

static void join(struct refiner *refiner, uint32_t v, uint32_t part)
{
    struct partition *parts = refiner->parts;

    refiner->outer[part] += refiner->outer[v] - 2 * refiner->tally.weight[part];
    parts->of[v] = part;
    parts->sum[part] += parts->sum[v];
    parts->size[part]++;
    parts->sum[v] = 0;
    parts->size[v] = 0;
}

/* A part is named after the vertex that it grew from, so v is alone as long
 * as part v has one vertex: itself. */
static enum status refine_all(struct run *run, struct refiner *refiner)
{
    const struct partition *communities = refiner->communities;
    uint32_t n = refiner->level->csr.n;
    uint64_t work = 0;
    enum status st = order_drawn(run, refiner->draw, refiner->order, n);

    if (st < 0)
        return st;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = refiner->order[i];
        double whole = communities->sum[communities->of[v]];
        uint32_t part;

        st = check_after(run, &work, csr_degree(&refiner->level->csr, v));
        if (st < 0)
            return st;
        if (refiner->parts->size[v] != 1 ||
            communities->size[communities->of[v]] == 1 ||
            !well_connected(refiner, v, whole))
            continue;
        st = tally_edges(run, &refiner->tally, refiner->level, v,
                         refiner->parts->of, communities->of);
        if (st < 0)
            return st;
        part = draw_part(refiner, v, whole);
        if (part != v)
            join(refiner, v, part);
        tally_clear(&refiner->tally);
    }
    return ST_OK;
}

/* Takes communities apart. `parts` is each vertex alone before. */
static enum status refine(struct run *run, const struct level *level,
                          const struct community_settings *settings,
                          double theta, struct draw *draw,
                          const struct partition *communities,
                          struct partition *parts)
{
    struct refiner refiner = {.level = level,
                              .communities = communities,
                              .gamma = settings->gamma,
                              .scale = theta * level->mean,
                              .draw = draw,
                              .parts = parts};
    enum status st = refiner_init(run, &refiner);

    if (st >= 0)
        st = find_outer(run, &refiner);
    if (st >= 0)
        st = refine_all(run, &refiner);
    refiner_deinit(run, &refiner);
    return st;
}

/* --- levels ------------------------------------------------------------- */

struct leiden {
    const struct community_settings *settings;
    double theta;
    struct draw draw;
    uint32_t n;        /* of the graph */
    uint32_t *of;      /* from vertices of the graph to those of the level */
    uint32_t *scratch; /* for n */

    const struct level *level;
    struct level owned; /* the level, but for the first one */
    struct partition communities;
    struct partition parts;
    uint64_t levels;
};

/* Moves vertices; tells how many communities there are then. */
static enum status improve(struct run *run, struct leiden *leiden,
                           uint32_t *ret_count, double *ret_gain)
{
    double gamma = leiden->settings->gamma;
    double before;
    double after;
    enum status st = partition_modularity(run, leiden->level,
                                          &leiden->communities, gamma, &before);

    if (st >= 0)
        st = partition_improve(run, leiden->level, leiden->settings,
                               &leiden->draw, &leiden->communities);
    if (st >= 0)
        st = partition_modularity(run, leiden->level, &leiden->communities,
                                  gamma, &after);
    if (st >= 0)
        st = partition_number(run, &leiden->communities, leiden->scratch,
                              ret_count);
    if (st >= 0)
        st = partition_add_up(run, &leiden->communities, leiden->level);
    if (st >= 0)
        *ret_gain = after - before;
    return st;
}

/* The next level: of `count` parts, each in its community. */
static enum status ascend(struct run *run, struct leiden *leiden,
                          uint32_t count)
{
    struct partition next;
    struct level merged;
    enum status st =
        level_merge(run, leiden->level, leiden->parts.of, count, &merged);

    if (st < 0)
        return st;
    st = partition_alone(run, &merged, &next);
    /* Communities are not more than parts, so their numbers fit. */
    for (uint32_t v = 0; st >= 0 && v < leiden->level->csr.n; v++) {
        next.of[leiden->parts.of[v]] = leiden->communities.of[v];
        st = check_at(run, v);
    }
    if (st >= 0)
        st = partition_add_up(run, &next, &merged);
    if (st >= 0)
        st = labels_follow(run, leiden->of, leiden->n, leiden->parts.of);
    if (st < 0) {
        partition_free(run, &next);
        level_free(run, &merged);
        return st;
    }
    partition_free(run, &leiden->parts);
    partition_free(run, &leiden->communities);
    leiden->communities = next;
    level_free(run, &leiden->owned);
    leiden->owned = merged;
    leiden->level = &leiden->owned;
    return ST_OK;
}

/* Leaves `of` leading to communities. */
static enum status all_levels(struct run *run, struct leiden *leiden)
{
    const struct community_settings *settings = leiden->settings;
    enum status st = partition_alone(run, leiden->level, &leiden->communities);

    while (st >= 0) {
        uint32_t communities;
        uint32_t parts;
        double gain;

        st = improve(run, leiden, &communities, &gain);
        if (st < 0 || communities == leiden->level->csr.n ||
            ++leiden->levels == settings->max_levels ||
            gain <= settings->tolerance)
            break;
        st = partition_alone(run, leiden->level, &leiden->parts);
        if (st >= 0)
            st = refine(run, leiden->level, settings, leiden->theta,
                        &leiden->draw, &leiden->communities, &leiden->parts);
        if (st < 0)
            break;
        st = partition_number(run, &leiden->parts, leiden->scratch, &parts);
        if (st < 0 || parts == leiden->level->csr.n)
            break;
        st = ascend(run, leiden, parts);
    }
    if (st >= 0)
        st = labels_follow(run, leiden->of, leiden->n, leiden->communities.of);
    partition_free(run, &leiden->communities);
    partition_free(run, &leiden->parts);
    level_free(run, &leiden->owned);
    return st;
}

static uint32_t find_root(uint32_t *parent, uint32_t v)
{
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

/* Splits communities into what is connected: those are named after their
 * smallest vertices, which are the roots. */
static enum status split(struct run *run, const struct level *first,
                         uint32_t *of, uint32_t *parent)
{
    const struct csr *csr = &first->csr;
    uint64_t work = 0;

    for (uint32_t v = 0; v < csr->n; v++)
        parent[v] = v;
    for (uint32_t v = 0; v < csr->n; v++) {
        enum status st = check_after(run, &work, csr_degree(csr, v));

        if (st < 0)
            return st;
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
            uint32_t other = csr->targets[e];
            uint32_t a;
            uint32_t b;

            if (other >= v || of[other] != of[v] || csr_weight(csr, e) == 0)
                continue;
            a = find_root(parent, v);
            b = find_root(parent, other);
            parent[a > b ? a : b] = a > b ? b : a;
        }
    }
    for (uint32_t v = 0; v < csr->n; v++) {
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        of[v] = find_root(parent, v);
    }
    return ST_OK;
}

static enum status leiden_run(struct run *run,
                              const struct projection *projection,
                              const struct param *params, struct result *ret)
{
    struct community_settings settings = community_settings(params);
    struct level first = {.borrowed = true};
    struct leiden leiden = {.settings = &settings,
                            .theta = params[PARAM_THETA].f64,
                            .draw = {settings.seed},
                            .n = projection->n,
                            .owned = {.borrowed = true}};
    enum status st;

    leiden.of = run_alloc(run, leiden.n, sizeof(uint32_t));
    leiden.scratch = run_alloc(run, leiden.n, sizeof(uint32_t));
    st = leiden.of && leiden.scratch ? level_first(run, projection, &first)
                                     : run_memory_status(run);
    if (st < 0)
        goto out;
    leiden.level = &first;
    for (uint32_t v = 0; v < leiden.n; v++)
        leiden.of[v] = v;
    st = all_levels(run, &leiden);
    if (st >= 0)
        st = split(run, &first, leiden.of, leiden.scratch);
    if (st < 0)
        goto out;
    st =
        community_result(run, &first, &settings, leiden.of, leiden.levels, ret);
    leiden.of = NULL; /* the result has it, whatever was returned */

out:
    run_free(run, leiden.of, leiden.n, sizeof(uint32_t));
    run_free(run, leiden.scratch, leiden.n, sizeof(uint32_t));
    level_free(run, &first);
    return st;
}

static const struct param_spec params[] = {
    COMMUNITY_PARAMS,
    {.name = "theta", .type = PARAM_F64, .max = 1e6, .otherwise = 0.01},
};

const struct algorithm leiden_algorithm = {
    .name = "leiden",
    .needs = NEED_BOTH | NEED_WEIGHTS,
    .params = params,
    .param_count = sizeof(params) / sizeof(params[0]),
    .columns = {"vertex", "community"},
    .estimate = community_estimate,
    .run = leiden_run,
};
