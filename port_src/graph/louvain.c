/*
 * louvain.c -- communities by modularity, from the small to the large.
 *
 *     level 0     each vertex alone; vertices move to where it gains most
 *     level 1     each community is a vertex; these move
 *     ...         until no move gains, or too little
 *
 * Blondel, Guillaume, Lambiotte and Lefebvre, "Fast unfolding of communities
 * in large networks", J. Stat. Mech. P10008, 2008; with the queue that is told
 * of in community.c instead of sweeps.
 *
 * O(m) for each time that all vertices of a level are looked at; the levels
 * shrink fast. Communities need not be connected: a vertex that held two
 * parts together may have left. Who minds takes Leiden.
 */
#include "graph/community.h"
#include "graph/kernels.h"

/* One level: its partition, dense, and how many communities. */
static enum status one_level(struct run *run, const struct level *level,
                             const struct community_settings *settings,
                             struct draw *draw, struct partition *partition,
                             uint32_t *scratch, uint32_t *ret_count,
                             double *ret_gain)
{
    double before;
    double after;
    enum status st =
        partition_modularity(run, level, partition, settings->gamma, &before);

    if (st >= 0)
        st = partition_improve(run, level, settings, draw, partition);
    if (st >= 0)
        st = partition_modularity(run, level, partition, settings->gamma,
                                  &after);
    if (st >= 0)
        st = partition_number(run, partition, scratch, ret_count);
    if (st >= 0)
        *ret_gain = after - before;
    return st;
}

/* All levels. `of` leads from vertices of the graph to those of the level. */
static enum status all_levels(struct run *run, const struct level *first,
                              const struct community_settings *settings,
                              uint32_t *of, uint32_t *scratch,
                              uint64_t *ret_levels)
{
    struct draw draw = {settings->seed};
    const struct level *level = first;
    struct level owned = {.borrowed = true};
    struct partition partition = {0};
    uint64_t levels = 0;
    enum status st;

    for (;;) {
        struct level merged;
        uint32_t count;
        double gain;

        st = partition_alone(run, level, &partition);
        if (st >= 0)
            st = one_level(run, level, settings, &draw, &partition, scratch,
                           &count, &gain);
        if (st < 0 || count == level->csr.n)
            break;
        st = labels_follow(run, of, first->csr.n, partition.of);
        if (st < 0 || ++levels == settings->max_levels ||
            gain <= settings->tolerance)
            break;
        st = level_merge(run, level, partition.of, count, &merged);
        if (st < 0)
            break;
        level_free(run, &owned);
        owned = merged;
        level = &owned;
        partition_free(run, &partition);
    }
    partition_free(run, &partition);
    level_free(run, &owned);
    *ret_levels = levels;
    return st;
}

static enum status louvain_run(struct run *run,
                               const struct projection *projection,
                               const struct param *params, struct result *ret)
{
    struct community_settings settings = community_settings(params);
    struct level first = {.borrowed = true};
    uint32_t n = projection->n;
    uint32_t *of = run_alloc(run, n, sizeof(uint32_t));
    uint32_t *scratch = run_alloc(run, n, sizeof(uint32_t));
    uint64_t levels;
    enum status st = of && scratch ? level_first(run, projection, &first)
                                   : run_memory_status(run);

    if (st < 0)
        goto out;
    for (uint32_t v = 0; v < n; v++)
        of[v] = v;
    st = all_levels(run, &first, &settings, of, scratch, &levels);
    if (st < 0)
        goto out;
    st = community_result(run, &first, &settings, of, levels, ret);
    of = NULL;

out:
    run_free(run, of, n, sizeof(uint32_t));
    run_free(run, scratch, n, sizeof(uint32_t));
    level_free(run, &first);
    return st;
}

static const struct param_spec params[] = {COMMUNITY_PARAMS};

const struct algorithm louvain_algorithm = {
    .name = "louvain",
    .needs = NEED_BOTH | NEED_WEIGHTS,
    .params = params,
    .param_count = sizeof(params) / sizeof(params[0]),
    .columns = {"vertex", "community"},
    .estimate = community_estimate,
    .run = louvain_run,
};
