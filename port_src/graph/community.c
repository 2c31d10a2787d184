/*
 * community.c -- levels, partitions, and moving vertices between communities.
 *
 * What a vertex v of strength k gains in a community c that it is not in:
 *
 *     weight of its edges into c  -  gamma * k * strength(c) / total
 *
 * (times 2 / total, it is what modularity gains.) All that is needed for it
 * are the strengths of communities, and the edges of v by community: a tally,
 * which costs as many steps as v has edges.
 *
 * Vertices that may gain by a move stand in a queue, each once: all of them in
 * the beginning, in an order drawn; later those with a neighbour that has
 * moved elsewhere. So a vertex around which nothing happens is not looked at
 * again (the fast local moving of Traag, Waltman and van Eck, "From Louvain to
 * Leiden", Scientific Reports 9, 2019). A move must gain more than what
 * rounding may pretend to, or two communities could throw a vertex to and fro.
 *
 * One thread: which moves are made depends on those before, and for one seed
 * the result must be one.
 */
#include "graph/community.h"

#include <float.h>
#include <string.h>

struct community_settings community_settings(const struct param *params)
{
    return (struct community_settings){
        .gamma = params[0].f64,
        .max_levels = params[1].u64,
        .max_iterations = params[2].u64,
        .tolerance = params[3].f64,
        .seed = params[4].u64,
    };
}

uint64_t community_estimate(const struct projection *shape,
                            const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    /* Two levels that are as large as the graph, the partitions of one, and
     * what the work on it needs. */
    return (uint64_t)shape->n * 160 + shape->edges * 2 * 24 + 8192;
}

/* --- tallies ------------------------------------------------------------ */

enum status tally_create(struct run *run, uint32_t n, struct tally *ret)
{
    *ret = (struct tally){.n = n};
    ret->weight = run_zalloc(run, n, sizeof(double));
    ret->touched = run_alloc(run, n, sizeof(uint32_t));
    return ret->weight && ret->touched ? ST_OK : run_memory_status(run);
}

void tally_free(struct run *run, struct tally *tally)
{
    run_free(run, tally->weight, tally->n, sizeof(double));
    run_free(run, tally->touched, tally->n, sizeof(uint32_t));
    *tally = (struct tally){0};
}

void tally_clear(struct tally *tally)
{
    for (uint32_t i = 0; i < tally->count; i++)
        tally->weight[tally->touched[i]] = 0;
    tally->count = 0;
}

static inline void tally_add(struct tally *tally, uint32_t number,
                             double weight)
{
    if (tally->weight[number] == 0)
        tally->touched[tally->count++] = number;
    tally->weight[number] += weight;
}

enum status tally_edges(struct run *run, struct tally *tally,
                        const struct level *level, uint32_t v,
                        const uint32_t *of, const uint32_t *within)
{
    const struct csr *csr = &level->csr;
    uint64_t e = csr->offsets[v];
    uint64_t end = csr->offsets[v + 1];

    while (e < end) {
        uint64_t stop = end - e < RUN_CHECK_WORK ? end : e + RUN_CHECK_WORK;

        for (; e < stop; e++) {
            uint32_t other = csr->targets[e];
            double weight = csr_weight(csr, e);

            if (other != v && weight > 0 &&
                (!within || within[other] == within[v]))
                tally_add(tally, of[other], weight);
        }
        if (e < end) {
            enum status st = run_check(run);

            if (st < 0)
                return st;
        }
    }
    return ST_OK;
}

/* --- levels ------------------------------------------------------------- */

static enum status level_alloc(struct run *run, uint32_t n, struct level *level)
{
    level->self = run_zalloc(run, n, sizeof(double));
    level->strength = run_zalloc(run, n, sizeof(double));
    return level->self && level->strength ? ST_OK : run_memory_status(run);
}

void level_free(struct run *run, struct level *level)
{
    run_free(run, level->self, level->csr.n, sizeof(double));
    run_free(run, level->strength, level->csr.n, sizeof(double));
    if (!level->borrowed)
        csr_free(run->mem, &level->csr);
    *level = (struct level){.borrowed = true};
}

/* Strengths and loops of a vertex of the graph; a loop has one entry if the
 * graph is undirected, and two if not. */
static enum status take_vertex(struct run *run, struct level *level, uint32_t v,
                               double per_loop, uint64_t *loops)
{
    const struct csr *csr = &level->csr;
    double strength = 0;

    for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
        double weight = csr_weight(csr, e);

        if (!(weight >= 0 && weight <= DBL_MAX))
            return run_fail(run, ST_BAD_WEIGHT, v, csr->targets[e],
                            "communities need weights that are not negative");
        if (csr->targets[e] == v) {
            level->self[v] += per_loop * weight;
            ++*loops;
        } else {
            strength += weight;
        }
    }
    level->strength[v] = strength + level->self[v];
    level->total += level->strength[v];
    level->mean += strength;
    return ST_OK;
}

enum status level_first(struct run *run, const struct projection *projection,
                        struct level *ret)
{
    const struct csr *csr = projection->both;
    struct level level = {.csr = *csr, .borrowed = true};
    uint64_t loops = 0;
    uint64_t work = 0;
    enum status st = level_alloc(run, csr->n, &level);

    for (uint32_t v = 0; st >= 0 && v < csr->n; v++) {
        st =
            take_vertex(run, &level, v, projection->undirected ? 2 : 1, &loops);
        if (st >= 0)
            st = check_after(run, &work, csr_degree(csr, v));
    }
    if (st >= 0 && !(level.total <= DBL_MAX))
        st = run_fail(run, ST_BAD_WEIGHT, NO_VERTEX, NO_VERTEX,
                      "the weights add up to more than a float holds");
    if (st < 0) {
        level_free(run, &level);
        return st;
    }
    if (csr->m > loops)
        level.mean /= (double)(csr->m - loops);
    *ret = level;
    return ST_OK;
}

/* The vertices by part: those of part p are
 * members[start[p]] .. members[start[p + 1] - 1]. */
struct members {
    uint32_t n;
    uint32_t count;
    uint32_t *start;
    uint32_t *members;
};

static void members_free(struct run *run, struct members *by)
{
    run_free(run, by->start, (size_t)by->count + 2, sizeof(uint32_t));
    run_free(run, by->members, by->n, sizeof(uint32_t));
}

static enum status members_create(struct run *run, uint32_t n,
                                  const uint32_t *part, uint32_t count,
                                  struct members *by)
{
    enum status st = ST_OK;

    *by = (struct members){.n = n, .count = count};
    by->start = run_zalloc(run, (size_t)count + 2, sizeof(uint32_t));
    by->members = run_alloc(run, n, sizeof(uint32_t));
    if (!by->start || !by->members)
        return run_memory_status(run);
    /* Shifted by two, so that filling leaves the beginnings at p. */
    for (uint32_t v = 0; st >= 0 && v < n; v++) {
        by->start[part[v] + 2]++;
        st = check_at(run, v);
    }
    for (uint32_t p = 0; p < count; p++)
        by->start[p + 2] += by->start[p + 1];
    for (uint32_t v = 0; st >= 0 && v < n; v++) {
        by->members[by->start[part[v] + 1]++] = v;
        st = check_at(run, v);
    }
    return st;
}

/* The edges of a part by the part at the other end, its own among them. */
static enum status tally_part(struct run *run, struct tally *tally,
                              const struct level *level,
                              const struct members *by, uint32_t p,
                              const uint32_t *part, uint64_t *work)
{
    for (uint32_t i = by->start[p]; i < by->start[p + 1]; i++) {
        uint32_t v = by->members[i];
        enum status st = tally_edges(run, tally, level, v, part, NULL);

        if (st >= 0)
            st = check_after(run, work, csr_degree(&level->csr, v));
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* How many parts each part has edges to, as offsets. */
static enum status count_entries(struct run *run, struct tally *tally,
                                 const struct level *level,
                                 const struct members *by, const uint32_t *part,
                                 struct csr *csr)
{
    uint64_t work = 0;

    for (uint32_t p = 0; p < by->count; p++) {
        enum status st = tally_part(run, tally, level, by, p, part, &work);

        if (st < 0)
            return st;
        csr->offsets[p + 1] =
            csr->offsets[p] + tally->count - (tally->weight[p] > 0);
        tally_clear(tally);
    }
    return ST_OK;
}

static enum status fill_entries(struct run *run, struct tally *tally,
                                const struct level *level,
                                const struct members *by, const uint32_t *part,
                                struct level *merged)
{
    uint64_t work = 0;

    for (uint32_t p = 0; p < by->count; p++) {
        uint64_t place = merged->csr.offsets[p];
        enum status st = tally_part(run, tally, level, by, p, part, &work);

        if (st < 0)
            return st;
        for (uint32_t i = by->start[p]; i < by->start[p + 1]; i++) {
            merged->self[p] += level->self[by->members[i]];
            merged->strength[p] += level->strength[by->members[i]];
        }
        for (uint32_t i = 0; i < tally->count; i++) {
            uint32_t other = tally->touched[i];

            if (other == p) {
                merged->self[p] += tally->weight[p];
                continue;
            }
            merged->csr.targets[place] = other;
            merged->csr.weights_f64[place++] = tally->weight[other];
        }
        tally_clear(tally);
    }
    return ST_OK;
}

static enum status merge_into(struct run *run, const struct level *level,
                              const uint32_t *part, const struct members *by,
                              struct tally *tally, struct level *merged)
{
    struct csr *csr = &merged->csr;
    enum status st;

    csr->n = by->count;
    csr->form = WEIGHTS_F64;
    csr->offsets = run_zalloc(run, (size_t)by->count + 1, sizeof(uint64_t));
    if (!csr->offsets)
        return run_memory_status(run);
    st = level_alloc(run, by->count, merged);
    if (st < 0)
        return st;
    st = count_entries(run, tally, level, by, part, csr);
    if (st < 0)
        return st;
    csr->m = csr->offsets[by->count];
    csr->targets = run_alloc(run, csr->m, sizeof(uint32_t));
    if (!csr->targets)
        return run_memory_status(run);
    csr->weights_f64 = run_alloc(run, csr->m, sizeof(double));
    if (!csr->weights_f64)
        return run_memory_status(run);
    return fill_entries(run, tally, level, by, part, merged);
}

enum status level_merge(struct run *run, const struct level *level,
                        const uint32_t *part, uint32_t count, struct level *ret)
{
    struct level merged = {.total = level->total, .mean = level->mean};
    struct members by = {0};
    struct tally tally;
    enum status st = tally_create(run, count, &tally);

    if (st >= 0)
        st = members_create(run, level->csr.n, part, count, &by);
    if (st >= 0)
        st = merge_into(run, level, part, &by, &tally, &merged);
    members_free(run, &by);
    tally_free(run, &tally);
    if (st < 0)
        level_free(run, &merged);
    else
        *ret = merged;
    return st;
}

/* --- partitions --------------------------------------------------------- */

enum status partition_alone(struct run *run, const struct level *level,
                            struct partition *ret)
{
    uint32_t n = level->csr.n;

    *ret = (struct partition){.n = n};
    ret->of = run_alloc(run, n, sizeof(uint32_t));
    ret->sum = run_alloc(run, n, sizeof(double));
    ret->size = run_alloc(run, n, sizeof(uint32_t));
    if (!ret->of || !ret->sum || !ret->size)
        return run_memory_status(run);
    for (uint32_t v = 0; v < n; v++) {
        ret->of[v] = v;
        ret->sum[v] = level->strength[v];
        ret->size[v] = 1;
    }
    return ST_OK;
}

void partition_free(struct run *run, struct partition *partition)
{
    run_free(run, partition->of, partition->n, sizeof(uint32_t));
    run_free(run, partition->sum, partition->n, sizeof(double));
    run_free(run, partition->size, partition->n, sizeof(uint32_t));
    *partition = (struct partition){0};
}

enum status partition_add_up(struct run *run, struct partition *partition,
                             const struct level *level)
{
    for (uint32_t c = 0; c < partition->n; c++) {
        partition->sum[c] = 0;
        partition->size[c] = 0;
    }
    for (uint32_t v = 0; v < partition->n; v++) {
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        partition->sum[partition->of[v]] += level->strength[v];
        partition->size[partition->of[v]]++;
    }
    return ST_OK;
}

enum status partition_number(struct run *run, struct partition *partition,
                             uint32_t *scratch, uint32_t *ret_count)
{
    uint32_t count = 0;

    for (uint32_t c = 0; c < partition->n; c++)
        scratch[c] = NO_VERTEX;
    for (uint32_t v = 0; v < partition->n; v++) {
        uint32_t *number = &scratch[partition->of[v]];
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        if (*number == NO_VERTEX)
            *number = count++;
        partition->of[v] = *number;
    }
    *ret_count = count;
    return ST_OK;
}

enum status partition_modularity(struct run *run, const struct level *level,
                                 const struct partition *partition,
                                 double gamma, double *ret)
{
    const struct csr *csr = &level->csr;
    double within = 0;
    double expected = 0;
    uint64_t work = 0;

    if (level->total == 0) {
        *ret = 0;
        return ST_OK;
    }
    for (uint32_t c = 0; c < csr->n; c++) {
        double share = partition->sum[c] / level->total;

        expected += share * share;
    }
    for (uint32_t v = 0; v < csr->n; v++) {
        double inside = level->self[v];
        enum status st = check_after(run, &work, csr_degree(csr, v));

        if (st < 0)
            return st;
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
            if (csr->targets[e] != v &&
                partition->of[csr->targets[e]] == partition->of[v])
                inside += csr_weight(csr, e);
        within += inside / level->total;
    }
    *ret = within - gamma * expected;
    return ST_OK;
}

/* --- moving ------------------------------------------------------------- */

struct mover {
    const struct level *level;
    struct partition *partition;
    double gamma;
    struct tally tally;

    /* A ring of `count` vertices from `head` on. */
    uint32_t *queue;
    uint8_t *queued;
    uint32_t head;
    uint32_t count;

    /* Numbers of communities that have no vertices. */
    uint32_t *free;
    uint32_t free_count;
};

static void mover_deinit(struct run *run, struct mover *mover)
{
    uint32_t n = mover->level->csr.n;

    tally_free(run, &mover->tally);
    run_free(run, mover->queue, n, sizeof(uint32_t));
    run_free(run, mover->queued, n, 1);
    run_free(run, mover->free, n, sizeof(uint32_t));
}

enum status order_drawn(struct run *run, struct draw *draw, uint32_t *order,
                        uint32_t n)
{
    for (uint32_t v = 0; v < n; v++) {
        uint32_t place = (uint32_t)draw_below(draw, (uint64_t)v + 1);
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        order[v] = order[place];
        order[place] = v;
    }
    return ST_OK;
}

static enum status mover_init(struct run *run, struct mover *mover,
                              struct draw *draw)
{
    uint32_t n = mover->level->csr.n;
    enum status st = tally_create(run, n, &mover->tally);

    if (st < 0)
        return st;
    mover->queue = run_alloc(run, n, sizeof(uint32_t));
    mover->queued = run_alloc(run, n, 1);
    mover->free = run_alloc(run, n, sizeof(uint32_t));
    if (!mover->queue || !mover->queued || !mover->free)
        return run_memory_status(run);
    st = order_drawn(run, draw, mover->queue, n);
    if (st < 0)
        return st;
    memset(mover->queued, 1, n);
    mover->count = n;
    for (uint32_t c = n; c-- > 0;)
        if (mover->partition->size[c] == 0)
            mover->free[mover->free_count++] = c;
    return ST_OK;
}

static uint32_t queue_take(struct mover *mover)
{
    uint32_t v = mover->queue[mover->head];

    mover->queued[v] = 0;
    mover->count--;
    if (++mover->head == mover->level->csr.n)
        mover->head = 0;
    return v;
}

static void queue_add(struct mover *mover, uint32_t v)
{
    uint64_t place = (uint64_t)mover->head + mover->count++;

    if (place >= mover->level->csr.n)
        place -= mover->level->csr.n;
    mover->queue[place] = v;
    mover->queued[v] = 1;
}

/* Where v gains most: its own community if nothing else is better. The tally
 * has its edges. */
static uint32_t best_place(const struct mover *mover, uint32_t v)
{
    const struct partition *partition = mover->partition;
    const struct tally *tally = &mover->tally;
    uint32_t own = partition->of[v];
    double k = mover->level->strength[v];
    double pull = mover->gamma * (k / mover->level->total);
    double margin = 1e-13 * k * (1 + mover->gamma);
    double best = tally->weight[own] - pull * (partition->sum[own] - k);
    uint32_t ret = own;

    if (partition->size[own] > 1 && best < -margin) {
        best = 0;
        ret = mover->free[mover->free_count - 1];
    }
    for (uint32_t i = 0; i < tally->count; i++) {
        uint32_t c = tally->touched[i];
        double gain = tally->weight[c] - pull * partition->sum[c];

        if (c != own && gain > best + margin) {
            best = gain;
            ret = c;
        }
    }
    return ret;
}

static void move_vertex(struct mover *mover, uint32_t v, uint32_t to)
{
    struct partition *partition = mover->partition;
    uint32_t from = partition->of[v];

    if (partition->size[to] == 0)
        mover->free_count--; /* best_place() took the last one */
    partition->sum[from] -= mover->level->strength[v];
    if (--partition->size[from] == 0) {
        partition->sum[from] = 0;
        mover->free[mover->free_count++] = from;
    }
    partition->of[v] = to;
    partition->sum[to] += mover->level->strength[v];
    partition->size[to]++;
}

/* The neighbours elsewhere may follow. */
static void queue_neighbours(struct mover *mover, uint32_t v)
{
    const struct csr *csr = &mover->level->csr;
    const uint32_t *of = mover->partition->of;

    for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
        uint32_t other = csr->targets[e];

        if (!mover->queued[other] && of[other] != of[v])
            queue_add(mover, other);
    }
}

static enum status move_all(struct run *run, struct mover *mover,
                            uint64_t visits_max)
{
    uint64_t work = 0;

    for (uint64_t visits = 0; mover->count && visits < visits_max; visits++) {
        uint32_t v = queue_take(mover);
        uint32_t to;
        enum status st =
            check_after(run, &work, csr_degree(&mover->level->csr, v));

        if (st >= 0)
            st = tally_edges(run, &mover->tally, mover->level, v,
                             mover->partition->of, NULL);
        if (st < 0)
            return st;
        to = best_place(mover, v);
        tally_clear(&mover->tally);
        if (to != mover->partition->of[v]) {
            move_vertex(mover, v, to);
            queue_neighbours(mover, v);
        }
        if (visits % 4096 == 0)
            run_progress(run, atomic_load(&run->done) + 4096, 0);
    }
    return ST_OK;
}

enum status partition_improve(struct run *run, const struct level *level,
                              const struct community_settings *settings,
                              struct draw *draw, struct partition *partition)
{
    struct mover mover = {
        .level = level, .partition = partition, .gamma = settings->gamma};
    enum status st;

    if (level->total == 0)
        return ST_OK;
    st = mover_init(run, &mover, draw);
    if (st >= 0)
        st = move_all(run, &mover, settings->max_iterations * level->csr.n);
    mover_deinit(run, &mover);
    return st;
}

/* --- results ------------------------------------------------------------ */

enum status labels_follow(struct run *run, uint32_t *of, uint32_t n,
                          const uint32_t *next)
{
    for (uint32_t v = 0; v < n; v++) {
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        of[v] = next[of[v]];
    }
    return ST_OK;
}

/* Names each community after its smallest vertex, and counts them. */
static enum status name_communities(struct run *run, uint32_t *of, uint32_t n,
                                    uint32_t *scratch, uint32_t *ret_count)
{
    uint32_t count = 0;

    for (uint32_t c = 0; c < n; c++)
        scratch[c] = NO_VERTEX;
    for (uint32_t v = 0; v < n; v++) {
        enum status st = check_at(run, v);

        if (st < 0)
            return st;
        if (scratch[of[v]] == NO_VERTEX) {
            scratch[of[v]] = v;
            count++;
        }
        of[v] = scratch[of[v]];
    }
    *ret_count = count;
    return ST_OK;
}

enum status community_result(struct run *run, const struct level *first,
                             const struct community_settings *settings,
                             uint32_t *of, uint64_t levels, struct result *ret)
{
    struct partition partition = {.n = first->csr.n, .of = of};
    uint32_t n = first->csr.n;
    uint32_t count;
    double modularity;
    enum status st;

    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "community", COLUMN_VERTEX, of);
    partition.sum = run_alloc(run, n, sizeof(double));
    partition.size = run_alloc(run, n, sizeof(uint32_t));
    st = partition.sum && partition.size ? ST_OK : run_memory_status(run);
    if (st >= 0)
        st = name_communities(run, of, n, partition.size, &count);
    if (st >= 0)
        st = partition_add_up(run, &partition, first);
    if (st >= 0)
        st = partition_modularity(run, first, &partition, settings->gamma,
                                  &modularity);
    if (st >= 0) {
        result_f64(ret, "modularity", modularity);
        result_u64(ret, "communities", count);
        result_u64(ret, "levels", levels);
    }
    run_free(run, partition.sum, n, sizeof(double));
    run_free(run, partition.size, n, sizeof(uint32_t));
    return st;
}
