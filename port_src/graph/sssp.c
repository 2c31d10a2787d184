/*
 * sssp.c -- shortest paths from one vertex, by delta-stepping.
 *
 *     bucket    0       1       2              of width delta
 *              [a c]   [b d e] [f]     per thread: lists of blocks
 *
 * A vertex whose distance falls goes into the bucket of that distance. The
 * first bucket that has any is worked off by all threads until it stays empty:
 * relaxing a vertex's edges may put others, or itself, into the same bucket
 * again. Small buckets are many rounds, wide ones much work done twice (Meyer
 * and Sanders, "Delta-stepping: a parallelizable shortest path algorithm",
 * J. Algorithms 2003). What a thread puts into the bucket at hand it works off
 * itself, without a round for all, while that is little (Zhang et al.,
 * "Optimizing ordered graph algorithms with GraphIt", CGO 2020: bucket fusion).
 *
 *     labels[v]   distance (32 bits) | parent (32 bits)      integer weights
 *                 distance as the bits of a double           others
 *
 * Both are ordered as distances are, and one compare-and-swap sets them. Of
 * parents with the same distance the least one stays, so that a tree does not
 * depend on the order of events (but where weights are 0: an edge of no weight
 * is a parent only of whom it was found by, or there could be a circle). If 32
 * bits might not hold the greatest distance, or weights are no integers, the
 * tree is found afterwards: the least u with d(u) + w = d(v).
 *
 * A distance falls by at most the greatest weight from the bucket at hand, so
 * a ring of buckets of that width is enough. Entries are not taken out when a
 * distance falls again; who finds one of an earlier bucket passes over it.
 * They lie in blocks of a pool with room for twice the vertices. Should it run
 * out, entries are dropped, and the round ends with making all buckets anew
 * from the distances, each vertex once: that pays for as many pushes as there
 * are vertices, and no memory is asked for on the way.
 */
#include "graph/kernels.h"

#include <float.h>
#include <math.h>

#include "graph/team.h"

#define BLOCK 64         /* entries */
#define RING_MAX 4096    /* buckets; the width grows where that is too few */
#define FUSED_BLOCKS 16  /* more than these are shared with the others */
#define EDGES_AHEAD 16   /* labels of targets are asked for so much before, */
#define VERTICES_AHEAD 4 /* and rows */
#define NOWHERE UINT64_MAX

enum label_form { LABELS_ONE, LABELS_U32, LABELS_F64 };

/* What one thread has. */
struct lane {
    uint64_t *ring; /* where the next entry of a bucket goes; 0: empty */
    uint32_t free;  /* blocks for reuse; 0: none */
    bool dropped;   /* an entry, since the pool was empty */
    uint64_t work;
    uint64_t first; /* its first bucket with an entry */
    char apart[CACHE_LINE];
};

/* How many blocks of a round there are, and which ones were taken; of two that
 * take turns, so that the next one's is ready. */
struct frontier {
    _Atomic uint64_t size;
    struct chunks chunks;
};

struct sssp {
    const struct csr *out;
    uint32_t n;
    uint32_t source;
    enum label_form form;
    double delta;
    double inverse;
    uint64_t ring_size; /* a power of two */

    uint64_t *labels;
    uint32_t *parents;

    uint32_t *entries;    /* of all blocks; block 0 is none */
    uint32_t *next_block; /* in a bucket's list, or a free one's */
    uint64_t blocks;
    _Atomic uint64_t blocks_used;
    uint64_t *ends; /* of blocks that all are to work off */
    struct frontier frontiers[2];

    uint64_t *rings;
    struct lane *lanes;
    unsigned lane_count;
    _Atomic uint64_t reached;
    _Atomic uint32_t orphans; /* reached, but no parent was found */
};

/* --- weights ------------------------------------------------------------ */

/* A bound of all weights of a part, at most twice the greatest. */
static double bound_of_weights(struct run *run, const struct csr *csr,
                               uint64_t from, uint64_t to)
{
    uint32_t any = 0;
    double most = 0;
    uint64_t e = from;

    if (csr->form == WEIGHTS_ONE)
        return 1;
    while (e < to && run_check(run) == ST_OK) {
        uint64_t end = to - e < RUN_CHECK_WORK ? to : e + RUN_CHECK_WORK;

        if (csr->form == WEIGHTS_U32) {
            for (; e < end; e++)
                any |= csr->weights_u32[e];
            continue;
        }
        for (; e < end; e++) {
            double weight = csr->weights_f64[e];

            if (!(weight >= 0 && weight <= DBL_MAX))
                return -1;
            most = weight > most ? weight : most;
        }
    }
    return csr->form == WEIGHTS_U32 ? any : most;
}

/* The first edge whose weight may not be. */
static enum status bad_weight(struct run *run, const struct csr *csr)
{
    for (uint32_t v = 0; v < csr->n && !loop_stops(run, v); v++)
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
            if (!(csr->weights_f64[e] >= 0 && csr->weights_f64[e] <= DBL_MAX))
                return run_fail(run, ST_BAD_WEIGHT, v, csr->targets[e],
                                "sssp takes no negative weight");
    return (enum status)atomic_load(&run->status);
}

/* --- labels ------------------------------------------------------------- */

static inline double label_distance(enum label_form form, uint64_t label)
{
    double distance;

    if (label == NOWHERE)
        return INFINITY;
    if (form != LABELS_F64)
        return (double)(label >> 32);
    memcpy(&distance, &label, sizeof(distance));
    return distance;
}

static inline uint64_t bucket_of(const struct sssp *sssp, enum label_form form,
                                 uint64_t label)
{
    return (uint64_t)(label_distance(form, label) * sssp->inverse);
}

/* --- buckets ------------------------------------------------------------ */

static uint32_t take_block(struct sssp *sssp, struct lane *lane)
{
    uint32_t block = lane->free;
    uint64_t used;

    if (block) {
        lane->free = sssp->next_block[block];
        return block;
    }
    used =
        atomic_fetch_add_explicit(&sssp->blocks_used, 1, memory_order_relaxed);
    return used < sssp->blocks ? (uint32_t)used : 0;
}

static void push(struct sssp *sssp, struct lane *lane, uint64_t bucket,
                 uint32_t v)
{
    uint64_t *slot = &lane->ring[bucket & (sssp->ring_size - 1)];
    uint64_t place = *slot;

    if (place % BLOCK == 0) {
        uint32_t block = take_block(sssp, lane);

        if (!block) {
            lane->dropped = true;
            return;
        }
        sssp->next_block[block] = place ? (uint32_t)((place - 1) / BLOCK) : 0;
        place = (uint64_t)block * BLOCK;
    }
    sssp->entries[place] = v;
    *slot = place + 1;
}

/* What v's label becomes if it is reached over entry e from u, which has
 * `label`. */
static inline __attribute__((always_inline)) uint64_t
label_over(const struct csr *out, uint64_t e, uint32_t u, uint64_t label,
           enum label_form form)
{
    double sum;

    switch (form) {
    case LABELS_ONE:
        return ((label >> 32) + 1) << 32 | u;
    case LABELS_U32:
        return ((label >> 32) + out->weights_u32[e]) << 32 | u;
    default:
        sum = label_distance(form, label) + csr_weight(out, e);
        memcpy(&label, &sum, sizeof(label));
        return label;
    }
}

/* v may have a better label than `old`, as it was seen. */
static void improve(struct sssp *sssp, struct lane *lane, uint32_t v,
                    uint64_t old, uint64_t better, uint64_t from, bool alone)
{
    bool packed = sssp->form != LABELS_F64;

    while (old > better) {
        bool falls = !packed || old >> 32 > better >> 32;

        /* Over an edge without weight only who gets nearer has a parent. */
        if (!falls && better >> 32 == from >> 32)
            return;
        if (!swap_u64(alone, &sssp->labels[v], &old, better))
            continue;
        if (falls)
            push(sssp, lane, bucket_of(sssp, sssp->form, better), v);
        return;
    }
}

static inline __attribute__((always_inline)) void
relax(struct sssp *sssp, struct lane *lane, uint32_t u, uint64_t label,
      bool alone, enum label_form form)
{
    const struct csr out = *sssp->out; /* in registers */
    const uint64_t *labels = sssp->labels;
    uint64_t last = out.offsets[u + 1];

    for (uint64_t e = out.offsets[u]; e < last; e++) {
        uint32_t v = out.targets[e];
        uint64_t better = label_over(&out, e, u, label, form);
        uint64_t old = load_u64(&labels[v]);

        if (e + EDGES_AHEAD < last)
            __builtin_prefetch(&labels[out.targets[e + EDGES_AHEAD]]);
        if (__builtin_expect(old > better, 0))
            improve(sssp, lane, v, old, better, label, alone);
    }
}

/*
 * Vertices of a bucket lie anywhere in the rows: what the one at `place` needs
 * is asked for a while before its turn. First where its row is, and its label;
 * then, unless that shows that it is to be passed over, the row.
 */
static inline __attribute__((always_inline)) void
prefetch(const struct sssp *sssp, uint64_t bucket, uint64_t place, uint64_t end,
         enum label_form form)
{
    const struct csr *out = sssp->out;
    uint32_t u;
    uint64_t row;

    if (place + 2 * VERTICES_AHEAD < end) {
        u = sssp->entries[place + 2 * VERTICES_AHEAD];
        __builtin_prefetch(&out->offsets[u]);
        __builtin_prefetch(&sssp->labels[u]);
    }
    if (place + VERTICES_AHEAD >= end)
        return;
    u = sssp->entries[place + VERTICES_AHEAD];
    if (bucket_of(sssp, form, load_u64(&sssp->labels[u])) < bucket)
        return;
    row = out->offsets[u];
    __builtin_prefetch(&out->targets[row]);
    if (form == LABELS_U32)
        __builtin_prefetch(&out->weights_u32[row]);
    else if (out->weights_f64)
        __builtin_prefetch(&out->weights_f64[row]);
}

/* Works a block off whose entries end before `end`, and frees it. */
static inline __attribute__((always_inline)) void
relax_block_as(struct run *run, struct sssp *sssp, struct lane *lane,
               uint64_t bucket, uint64_t end, bool alone, enum label_form form)
{
    uint64_t begin = (end - 1) / BLOCK * BLOCK;

    for (uint64_t i = begin; i < end; i++) {
        uint32_t u = sssp->entries[i];
        uint64_t label = load_u64(&sssp->labels[u]);

        prefetch(sssp, bucket, i, end, form);
        if (bucket_of(sssp, form, label) < bucket)
            continue;
        relax(sssp, lane, u, label, alone, form);
        if (work_stops(run, &lane->work, csr_degree(sssp->out, u) + 1))
            return;
    }
    sssp->next_block[begin / BLOCK] = lane->free;
    lane->free = (uint32_t)(begin / BLOCK);
}

static void relax_block(struct run *run, struct sssp *sssp, struct lane *lane,
                        uint64_t bucket, uint64_t end)
{
    bool alone = run->threads == 1;

#define RELAX_BLOCK(form)                                                      \
    (alone ? relax_block_as(run, sssp, lane, bucket, end, true, form)          \
           : relax_block_as(run, sssp, lane, bucket, end, false, form))

    switch (sssp->form) {
    case LABELS_ONE:
        RELAX_BLOCK(LABELS_ONE);
        break;
    case LABELS_U32:
        RELAX_BLOCK(LABELS_U32);
        break;
    case LABELS_F64:
        RELAX_BLOCK(LABELS_F64);
        break;
    }
#undef RELAX_BLOCK
}

/* The end of the block that follows in a list; 0: none. */
static uint64_t next_end(const struct sssp *sssp, uint64_t end)
{
    return (uint64_t)sssp->next_block[(end - 1) / BLOCK] * BLOCK +
           (sssp->next_block[(end - 1) / BLOCK] ? BLOCK : 0);
}

static bool is_short(const struct sssp *sssp, uint64_t end)
{
    for (unsigned i = 0; i < FUSED_BLOCKS; i++) {
        end = next_end(sssp, end);
        if (!end)
            return true;
    }
    return false;
}

/* What a thread has put into the bucket at hand, while that is little. */
static void relax_own(struct run *run, struct sssp *sssp, struct lane *lane,
                      uint64_t bucket)
{
    uint64_t *slot = &lane->ring[bucket & (sssp->ring_size - 1)];

    while (*slot && (run->threads == 1 || is_short(sssp, *slot)) &&
           !run_stopped(run)) {
        uint64_t end = *slot;

        *slot = 0;
        while (end && !run_stopped(run)) {
            uint64_t next = next_end(sssp, end);

            relax_block(run, sssp, lane, bucket, end);
            end = next;
        }
    }
}

/* Hands a thread's entries of the bucket over to all. */
static void share_bucket(struct sssp *sssp, struct lane *lane,
                         struct frontier *frontier, uint64_t bucket)
{
    uint64_t *slot = &lane->ring[bucket & (sssp->ring_size - 1)];

    for (uint64_t end = *slot; end; end = next_end(sssp, end))
        sssp->ends[atomic_fetch_add_explicit(&frontier->size, 1,
                                             memory_order_relaxed)] = end;
    *slot = 0;
}

/* The first bucket from `bucket` on in which any thread has an entry. */
static uint64_t find_bucket(struct sssp *sssp, struct lane *lane,
                            uint64_t bucket)
{
    for (uint64_t i = 0; i < sssp->ring_size; i++)
        if (lane->ring[(bucket + i) & (sssp->ring_size - 1)])
            return bucket + i;
    return NOWHERE;
}

static void reset_lane(struct sssp *sssp, struct lane *lane)
{
    memset(lane->ring, 0, sssp->ring_size * sizeof(uint64_t));
    lane->free = 0;
    lane->dropped = false;
}

/* All buckets anew: whoever may still have to be worked off. */
static void rebuild(struct run *run, struct sssp *sssp, unsigned thread,
                    uint64_t bucket)
{
    struct lane *lane = &sssp->lanes[thread];
    uint64_t from = (uint64_t)sssp->n * thread / run->threads;
    uint64_t to = (uint64_t)sssp->n * (thread + 1) / run->threads;

    run_barrier(run); /* all have seen who dropped what */
    reset_lane(sssp, lane);
    if (thread == 0)
        atomic_store(&sssp->blocks_used, 1);
    run_barrier(run);
    for (uint64_t v = from; v < to; v++) {
        uint64_t label = sssp->labels[v];

        if (label != NOWHERE && bucket_of(sssp, sssp->form, label) >= bucket)
            push(sssp, lane, bucket_of(sssp, sssp->form, label), (uint32_t)v);
        if (work_stops(run, &lane->work, 1))
            break;
    }
}

/* One thread's part of the work on a bucket. */
static void work_off(struct run *run, struct sssp *sssp, struct lane *lane,
                     struct frontier *frontier, uint64_t bucket)
{
    if (run->threads > 1) {
        uint64_t size;
        uint64_t begin;
        uint64_t end;

        share_bucket(sssp, lane, frontier, bucket);
        run_barrier(run);
        size = atomic_load(&frontier->size);
        while (chunks_take(&frontier->chunks, size, 1, &begin, &end) &&
               !run_stopped(run))
            relax_block(run, sssp, lane, bucket, sssp->ends[begin]);
    }
    relax_own(run, sssp, lane, bucket);
    lane->first = find_bucket(sssp, lane, bucket);
}

/* Rounds until no bucket has an entry; false if the run is to stop. What a
 * thread tells the others at the end of a round stays until all have begun the
 * next: two barriers a round are enough. */
static bool step_through(struct run *run, struct sssp *sssp, unsigned thread)
{
    struct lane *lane = &sssp->lanes[thread];
    uint64_t bucket = 0;

    for (uint64_t round = 0; bucket != NOWHERE; round++) {
        bool dropped = false;

        work_off(run, sssp, lane, &sssp->frontiers[round % 2], bucket);
        if (thread == 0) {
            struct frontier *next = &sssp->frontiers[(round + 1) % 2];

            atomic_store(&next->size, 0);
            atomic_store(&next->chunks.next, 0);
        }
        if (team_stops(run))
            return false;
        for (unsigned i = 0; i < run->threads; i++)
            dropped |= sssp->lanes[i].dropped;
        if (dropped) {
            rebuild(run, sssp, thread, bucket);
            lane->first = find_bucket(sssp, lane, bucket);
            run_barrier(run);
        }
        bucket = NOWHERE;
        for (unsigned i = 0; i < run->threads; i++)
            if (sssp->lanes[i].first < bucket)
                bucket = sssp->lanes[i].first;
    }
    return true;
}

/* --- the tree ----------------------------------------------------------- */

/* Whether u -> v, which is entry e, is the last step of a shortest path. */
static bool leads_to(const struct sssp *sssp, uint64_t u_label, uint64_t e)
{
    double sum = label_distance(LABELS_F64, u_label) + csr_weight(sssp->out, e);

    return sum ==
           label_distance(LABELS_F64, sssp->labels[sssp->out->targets[e]]);
}

static void find_parents(struct run *run, struct sssp *sssp, uint32_t from,
                         uint32_t to)
{
    const struct csr *out = sssp->out;
    uint64_t work = 0;

    for (uint32_t u = from; u < to; u++) {
        uint64_t label = sssp->labels[u];

        if (work_stops(run, &work, csr_degree(out, u) + 1))
            return;
        if (label == NOWHERE)
            continue;
        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++)
            if (label < sssp->labels[out->targets[e]] &&
                leads_to(sssp, label, e))
                min_u32(run->threads == 1, &sssp->parents[out->targets[e]], u);
    }
}

/*
 * Of edges that add nothing, be it that they weigh nothing or too little to
 * tell, a parent may be no nearer than its child: breadth-first from those
 * that have one there is no circle.
 */
static enum status find_other_parents(struct run *run, struct sssp *sssp)
{
    const struct csr *out = sssp->out;
    uint32_t *queue = sssp->entries;
    uint64_t size = 0;
    uint64_t work = 0;

    for (uint32_t v = 0; v < sssp->n; v++)
        if (v == sssp->source || sssp->parents[v] != NO_VERTEX)
            queue[size++] = v;
    for (uint64_t i = 0; i < size; i++) {
        uint32_t u = queue[i];
        uint64_t label = sssp->labels[u];

        for (uint64_t e = out->offsets[u]; e < out->offsets[u + 1]; e++) {
            uint32_t v = out->targets[e];

            if (v == sssp->source || sssp->parents[v] != NO_VERTEX ||
                sssp->labels[v] != label || !leads_to(sssp, label, e))
                continue;
            sssp->parents[v] = u;
            queue[size++] = v;
        }
        if (work_stops(run, &work, csr_degree(out, u) + 1))
            return (enum status)atomic_load(&run->status);
    }
    return ST_OK;
}

/* Labels of integers come apart; and all become doubles where they lie. */
static void finish_labels(struct run *run, struct sssp *sssp, uint32_t from,
                          uint32_t to)
{
    uint64_t reached = 0;
    uint32_t orphans = 0;

    for (uint32_t v = from; v < to && !loop_stops(run, v); v++) {
        uint64_t label = sssp->labels[v];
        double distance = label_distance(sssp->form, label);

        reached += label != NOWHERE;
        if (sssp->form != LABELS_F64)
            sssp->parents[v] = (uint32_t)label;
        else if (label != NOWHERE && v != sssp->source &&
                 sssp->parents[v] == NO_VERTEX)
            orphans++;
        memcpy(&sssp->labels[v], &distance, sizeof(distance));
    }
    atomic_fetch_add(&sssp->reached, reached);
    atomic_fetch_add(&sssp->orphans, orphans);
}

static void sssp_team(struct run *run, void *context, unsigned thread)
{
    struct sssp *sssp = context;
    struct lane *lane = &sssp->lanes[thread];
    uint32_t from = (uint32_t)((uint64_t)sssp->n * thread / run->threads);
    uint32_t to = (uint32_t)((uint64_t)sssp->n * (thread + 1) / run->threads);

    lane->ring = sssp->rings + thread * sssp->ring_size;
    reset_lane(sssp, lane);
    run_fill(run, sssp->labels + from, 0xff, (to - from) * sizeof(uint64_t));
    if (sssp->form == LABELS_F64)
        run_fill(run, sssp->parents + from, 0xff,
                 (to - from) * sizeof(uint32_t));
    if (team_stops(run))
        return;
    if (thread == 0) {
        sssp->labels[sssp->source] = sssp->form == LABELS_F64 ? 0 : NO_VERTEX;
        push(sssp, lane, 0, sssp->source);
    }
    run_barrier(run);
    if (!step_through(run, sssp, thread))
        return;
    if (sssp->form == LABELS_F64) {
        find_parents(run, sssp, from, to);
        run_barrier(run);
    }
    finish_labels(run, sssp, from, to);
}

/* --- the run ------------------------------------------------------------ */

struct weighing {
    const struct csr *csr;
    double parts[RUN_THREADS_MAX];
};

static void weigh_team(struct run *run, void *context, unsigned thread)
{
    struct weighing *weighing = context;
    uint64_t m = weighing->csr->m;

    weighing->parts[thread] = bound_of_weights(
        run, weighing->csr, m / run->threads * thread,
        thread + 1 == run->threads ? m : m / run->threads * (thread + 1));
}

/* A bound of all weights; ST_BAD_WEIGHT. */
static enum status weigh(struct run *run, const struct csr *csr, double *ret)
{
    struct weighing weighing = {.csr = csr};
    enum status st = run_team(run, weigh_team, &weighing);
    bool bad = false;

    if (st < 0)
        return st;
    *ret = 0;
    for (unsigned i = 0; i < run->threads; i++) {
        bad |= weighing.parts[i] < 0;
        if (weighing.parts[i] > *ret)
            *ret = weighing.parts[i];
    }
    return bad ? bad_weight(run, csr) : ST_OK;
}

enum { SSSP_SOURCE, SSSP_DELTA, SSSP_PARAMS };

static const struct param_spec sssp_params[SSSP_PARAMS] = {
    {.name = "source", .type = PARAM_VERTEX, .required = true},
    {.name = "delta", .type = PARAM_F64},
};

/*
 * Without a given one: of four vertices of average degree one has an edge that
 * leads to its own bucket, so that little is done twice. The ring must hold
 * the greatest weight, and the inverse must be a number.
 */
static void choose_delta(struct sssp *sssp, double delta, double most)
{
    const struct csr *out = sssp->out;

    if (!(delta > 0))
        delta = out->m ? most * sssp->n / (double)out->m / 4 : 1;
    if (sssp->form != LABELS_F64 && delta < 1)
        delta = 1;
    if (delta < most / (RING_MAX - 4))
        delta = most / (RING_MAX - 4);
    if (!(delta >= DBL_MIN))
        delta = DBL_MIN;
    sssp->delta = delta;
    sssp->inverse = 1 / delta;
    sssp->ring_size = 16;
    while ((double)sssp->ring_size < most * sssp->inverse + 4 &&
           sssp->ring_size < 2 * RING_MAX)
        sssp->ring_size *= 2;
}

static uint64_t block_count(uint32_t n, uint64_t ring_size, unsigned threads)
{
    return 2 * ((uint64_t)n / BLOCK + 1) + 2 * ring_size * threads + 1;
}

static uint64_t bytes_for(uint32_t n, uint64_t ring_size, unsigned threads)
{
    uint64_t blocks = block_count(n, ring_size, threads);

    return mem_charge(n * sizeof(uint64_t) + 1) +
           mem_charge(n * sizeof(uint32_t) + 1) +
           mem_charge(blocks * BLOCK * sizeof(uint32_t)) +
           mem_charge(blocks * sizeof(uint32_t)) +
           mem_charge(blocks * sizeof(uint64_t)) +
           mem_charge(ring_size * threads * sizeof(uint64_t)) +
           mem_charge(threads * sizeof(struct lane));
}

static uint64_t sssp_estimate(const struct projection *shape,
                              const struct param *params, unsigned threads)
{
    (void)params;
    return bytes_for(shape->n, 2 * RING_MAX, threads);
}

static enum status sssp_alloc(struct run *run, struct sssp *sssp)
{
    sssp->labels = run_alloc(run, sssp->n, sizeof(uint64_t));
    sssp->parents = run_alloc(run, sssp->n, sizeof(uint32_t));
    sssp->entries = run_alloc(run, sssp->blocks * BLOCK, sizeof(uint32_t));
    sssp->next_block = run_alloc(run, sssp->blocks, sizeof(uint32_t));
    sssp->ends = run_alloc(run, sssp->blocks, sizeof(uint64_t));
    sssp->rings =
        run_alloc(run, sssp->ring_size * sssp->lane_count, sizeof(uint64_t));
    sssp->lanes = run_zalloc(run, sssp->lane_count, sizeof(struct lane));
    return sssp->labels && sssp->parents && sssp->entries && sssp->next_block &&
                   sssp->ends && sssp->rings && sssp->lanes
               ? ST_OK
               : run_memory_status(run);
}

static void sssp_free(struct run *run, struct sssp *sssp)
{
    run_free(run, sssp->labels, sssp->n, sizeof(uint64_t));
    run_free(run, sssp->parents, sssp->n, sizeof(uint32_t));
    run_free(run, sssp->entries, sssp->blocks * BLOCK, sizeof(uint32_t));
    run_free(run, sssp->next_block, sssp->blocks, sizeof(uint32_t));
    run_free(run, sssp->ends, sssp->blocks, sizeof(uint64_t));
    run_free(run, sssp->rings, sssp->ring_size * sssp->lane_count,
             sizeof(uint64_t));
    run_free(run, sssp->lanes, sssp->lane_count, sizeof(struct lane));
}

static enum status sssp_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct sssp sssp = {.out = projection->out,
                        .n = n,
                        .source = params[SSSP_SOURCE].vertex,
                        .lane_count = run->threads};
    double most;
    enum status st = weigh(run, sssp.out, &most);

    if (st < 0)
        return st;
    if (sssp.out->form == WEIGHTS_ONE)
        sssp.form = LABELS_ONE;
    else if (sssp.out->form == WEIGHTS_U32 && most * n < UINT32_MAX)
        sssp.form = LABELS_U32;
    else
        sssp.form = LABELS_F64;
    choose_delta(&sssp, params[SSSP_DELTA].f64, most);
    sssp.blocks = block_count(n, sssp.ring_size, run->threads);
    atomic_store(&sssp.blocks_used, 1);
    st = sssp_alloc(run, &sssp);
    if (st == ST_OK)
        st = run_team(run, sssp_team, &sssp);
    if (st == ST_OK && sssp.orphans > 0)
        st = find_other_parents(run, &sssp);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "distance", COLUMN_F64, sssp.labels);
        result_column(ret, "parent", COLUMN_VERTEX, sssp.parents);
        result_u64(ret, "reached", sssp.reached);
        result_f64(ret, "delta", sssp.delta);
        sssp.labels = NULL;
        sssp.parents = NULL;
    }
    sssp_free(run, &sssp);
    return st;
}

const struct algorithm sssp_algorithm = {
    .name = "sssp",
    .needs = NEED_OUT | NEED_WEIGHTS,
    .params = sssp_params,
    .param_count = SSSP_PARAMS,
    .columns = {"vertex", "distance", "parent"},
    .estimate = sssp_estimate,
    .run = sssp_run,
};
