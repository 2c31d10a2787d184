/*
 * closeness.c -- how near a vertex is to the others: closeness and harmonic
 * centrality.
 *
 * Distances are those from the others to the vertex, along the edges; project
 * with direction `in` for those that lead away. With r of them that reach v
 * and the sum s of their distances:
 *
 *     closeness   r / s, and `improved` times r / (n - 1): S. Wasserman and
 *                 K. Faust, "Social network analysis", 1994
 *     harmonic    the sum of 1 / distance, `normalized` divided by n - 1: M.
 *                 Marchiori and V. Latora, "Harmony in the small-world", 2000
 *
 * A vertex that nothing reaches has 0. With `samples` distances are taken from
 * so many vertices only, drawn by `seed`, and stand for all (D. Eppstein and
 * J. Wang, "Fast approximation of centrality", 2004).
 *
 * Without weights, 64 sources search at once: M. Then et al., "The more the
 * merrier: efficient multi-source graph traversal", VLDB 2014. Word v of `now`
 * has a bit for each source that meets v on this level, and what they add to
 * v's sum is the number of bits. A level with few edges is pushed by one thread
 * from a list of its vertices; one with many is pulled by all, where each
 * vertex gathers the words of those that lead to it.
 *
 * With weights, which may not be negative, a thread carries out Dijkstra's
 * algorithm from one source with a heap, and after each round of as many
 * sources as threads the distances are added up.
 *
 * Either way what is added to a vertex comes in the order of the sources, so
 * that the result has the same bits with any number of threads.
 *
 * O(samples * (n + m) / 64) where searches meet, or O(samples * (n + m log n)).
 * 53 bytes a vertex; with weights 17 and 20 for each thread.
 */
#include <math.h>

#include "graph/algorithm.h"
#include "graph/draw.h"
#include "graph/kernels.h"
#include "graph/pieces.h"
#include "graph/team.h"

#define BATCH 64

/* A level is pulled if it has more than one in so many of all edges. */
#define PULL_SHARE 4

/* Vertices that a thread takes at a time. */
#define PIECE 1024u

enum { NEAR_OPTION, NEAR_SAMPLES, NEAR_SEED, NEAR_PARAMS };

struct near {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    bool harmonic;

    uint32_t *sources;  /* NULL: all vertices */
    uint8_t *is_source; /* the same */
    uint32_t source_count;
    uint32_t source_next;

    double *sum;       /* of distances, or of their inverses; then the score */
    uint32_t *reached; /* by how many sources; closeness only */

    /* Of searches without weights. */
    uint64_t *seen;
    uint64_t *now;
    uint64_t *next;
    uint32_t *list; /* of those in `now`, if listed */
    uint32_t *next_list;
    uint32_t *touched; /* all that were seen, unless a level was pulled */
    uint32_t list_count;
    uint32_t touched_count;
    bool listed;
    bool pulled;
    uint64_t batch; /* the bits that are in use */
    uint64_t depth;
    _Atomic uint64_t front_edges; /* that leave vertices in `now` */
    bool finished;
    struct chunks chunks;

    /* Of searches with weights, one for each thread. */
    struct dijkstra {
        uint32_t source; /* NO_VERTEX: none in this round */
        double *distance;
        uint32_t *heap;
        uint32_t *place; /* in the heap */
        uint32_t *settled;
        uint32_t heap_count;
        uint32_t settled_count;
    } * searches;
    unsigned search_count;
    bool adds_alone;
};

static uint32_t source_at(const struct near *near, uint32_t i)
{
    return near->sources ? near->sources[i] : i;
}

/* So many sources are at this distance from v. */
static inline void add_distance(struct near *near, uint32_t v, double distance,
                                unsigned times)
{
    if (!near->harmonic) {
        near->sum[v] += distance * times;
        near->reached[v] += times;
    } else if (distance > 0) {
        near->sum[v] += times / distance;
    }
}

/* --- without weights ---------------------------------------------------- */

/* Forgets the last batch. All is zero before the first. */
static void clear_batch(struct near *near)
{
    size_t bytes = (size_t)near->n * sizeof(uint64_t);

    if (near->pulled) {
        memset(near->seen, 0, bytes);
        memset(near->now, 0, bytes);
        memset(near->next, 0, bytes);
    } else {
        for (uint32_t i = 0; i < near->touched_count; i++)
            near->seen[near->touched[i]] = 0;
    }
    near->pulled = false;
    near->touched_count = 0;
    near->list_count = 0;
    near->listed = true;
    near->depth = 0;
    near->front_edges = 0;
}

static void begin_batch(struct near *near)
{
    uint32_t left = near->source_count - near->source_next;
    uint32_t count = left < BATCH ? left : BATCH;

    clear_batch(near);
    near->batch = count == BATCH ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = source_at(near, near->source_next++);

        near->seen[v] = near->now[v] = UINT64_C(1) << i;
        near->list[near->list_count++] = v;
        near->touched[near->touched_count++] = v;
        near->front_edges += csr_degree(near->out, v);
    }
}

static void turn_over(struct near *near)
{
    uint64_t *words = near->now;

    near->now = near->next;
    near->next = words;
}

/* After a level that was pulled: makes the list that pushing needs. */
static void make_list(struct run *run, struct near *near)
{
    uint64_t work = 0;

    near->list_count = 0;
    for (uint32_t v = 0; v < near->n; v++) {
        near->next[v] = 0;
        if (near->now[v])
            near->list[near->list_count++] = v;
        if (work_stops(run, &work, 1))
            return;
    }
    near->listed = true;
}

/* Those in next_list are met on this level. */
static void meet(struct near *near, uint32_t count)
{
    uint64_t edges = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t w = near->next_list[i];
        uint64_t met = near->next[w];

        if (!near->seen[w] && !near->pulled)
            near->touched[near->touched_count++] = w;
        near->seen[w] |= met;
        add_distance(near, w, (double)near->depth,
                     (unsigned)__builtin_popcountll(met));
        edges += csr_degree(near->out, w);
    }
    near->front_edges = edges;
}

static void push_level(struct run *run, struct near *near, uint64_t *work)
{
    const struct csr *out = near->out;
    uint32_t *list = near->list;
    uint32_t count = 0;

    for (uint32_t i = 0; i < near->list_count; i++) {
        uint32_t v = list[i];
        uint64_t bits = near->now[v];

        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            uint32_t w = out->targets[e];
            uint64_t met = bits & ~near->seen[w];

            if (work_stops(run, work, 1))
                return;
            if (!met)
                continue;
            if (!near->next[w])
                near->next_list[count++] = w;
            near->next[w] |= met;
        }
        near->now[v] = 0;
        if (work_stops(run, work, 1))
            return;
    }
    meet(near, count);
    near->list = near->next_list;
    near->next_list = list;
    near->list_count = count;
    turn_over(near);
}

/* What one thread does until a level comes that all are to pull, or the end
 * (near->finished). */
static void push_on(struct run *run, struct near *near, uint64_t *work)
{
    for (;;) {
        /* Without edges that leave the front, nothing more is met. */
        while (near->front_edges == 0) {
            run_progress(run, near->source_next, near->source_count);
            if (near->source_next == near->source_count ||
                work_stops(run, work, BATCH)) {
                near->finished = true;
                return;
            }
            if (near->listed)
                for (uint32_t i = 0; i < near->list_count; i++)
                    near->now[near->list[i]] = 0;
            begin_batch(near);
        }
        near->depth++;
        if (near->front_edges > near->out->m / PULL_SHARE) {
            near->chunks.next = 0;
            near->front_edges = 0;
            return;
        }
        if (!near->listed)
            make_list(run, near);
        if (!run_stopped(run))
            push_level(run, near, work);
        if (run_stopped(run)) {
            near->finished = true;
            return;
        }
    }
}

/* The bits of all that lead to v, as far as they are wanted. */
static uint64_t gather_bits(struct run *run, const struct near *near,
                            uint32_t v, uint64_t wanted, uint64_t *work)
{
    const struct csr *in = near->in;
    uint64_t bits = 0;

    for (uint64_t e = in->offsets[v]; e < in->offsets[v + 1]; e++) {
        bits |= near->now[in->targets[e]];
        if ((bits & wanted) == wanted || work_stops(run, work, 1))
            break;
    }
    return bits & wanted;
}

static void pull_level(struct run *run, struct near *near, uint64_t *work)
{
    uint64_t begin;
    uint64_t end;
    uint64_t edges = 0;

    while (!run_stopped(run) &&
           chunks_take(&near->chunks, near->n, PIECE, &begin, &end)) {
        for (uint64_t i = begin; i < end; i++) {
            uint32_t v = (uint32_t)i;
            uint64_t wanted = near->batch & ~near->seen[v];
            uint64_t met = wanted ? gather_bits(run, near, v, wanted, work) : 0;

            near->next[v] = met;
            if (!met)
                continue;
            near->seen[v] |= met;
            add_distance(near, v, (double)near->depth,
                         (unsigned)__builtin_popcountll(met));
            edges += csr_degree(near->out, v);
        }
        work_stops(run, work, end - begin);
    }
    near->front_edges += edges;
}

static void hops_team(struct run *run, void *context, unsigned thread)
{
    struct near *near = context;
    uint64_t work = 0;

    for (;;) {
        if (thread == 0)
            push_on(run, near, &work);
        run_barrier(run);
        if (near->finished)
            return;
        pull_level(run, near, &work);
        run_barrier(run);
        if (thread == 0) {
            near->listed = false;
            near->pulled = true;
            turn_over(near);
        }
    }
}

static enum status search_hops(struct run *run, struct near *near)
{
    uint32_t n = near->n;
    enum status st;

    near->seen = run_zalloc(run, n, sizeof(uint64_t));
    near->now = near->seen ? run_zalloc(run, n, sizeof(uint64_t)) : NULL;
    near->next = near->now ? run_zalloc(run, n, sizeof(uint64_t)) : NULL;
    near->list = near->next ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    near->next_list = near->list ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    near->touched =
        near->next_list ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    st =
        near->touched ? run_team(run, hops_team, near) : run_memory_status(run);
    run_free(run, near->seen, n, sizeof(uint64_t));
    run_free(run, near->now, n, sizeof(uint64_t));
    run_free(run, near->next, n, sizeof(uint64_t));
    run_free(run, near->list, n, sizeof(uint32_t));
    run_free(run, near->next_list, n, sizeof(uint32_t));
    run_free(run, near->touched, n, sizeof(uint32_t));
    return st;
}

/* --- with weights ------------------------------------------------------- */

static void sift_up(struct dijkstra *d, uint32_t i, uint32_t v)
{
    double distance = d->distance[v];

    while (i > 0) {
        uint32_t parent = d->heap[(i - 1) / 2];

        if (d->distance[parent] <= distance)
            break;
        d->heap[i] = parent;
        d->place[parent] = i;
        i = (i - 1) / 2;
    }
    d->heap[i] = v;
    d->place[v] = i;
}

static uint32_t heap_take(struct dijkstra *d)
{
    uint32_t first = d->heap[0];
    uint64_t count = --d->heap_count;
    uint32_t last = d->heap[count];
    double distance = d->distance[last];
    uint64_t i = 0;

    for (;;) {
        uint64_t child = 2 * i + 1;

        if (child >= count)
            break;
        if (child + 1 < count &&
            d->distance[d->heap[child + 1]] < d->distance[d->heap[child]])
            child++;
        if (d->distance[d->heap[child]] >= distance)
            break;
        d->heap[i] = d->heap[child];
        d->place[d->heap[i]] = (uint32_t)i;
        i = child;
    }
    d->heap[i] = last;
    d->place[last] = (uint32_t)i;
    return first;
}

/* From one source to all. A distance that no number holds counts as none. */
static void search(struct run *run, const struct csr *out, struct dijkstra *d,
                   uint64_t *work)
{
    d->distance[d->source] = 0;
    d->heap_count = 1;
    d->heap[0] = d->source;
    d->place[d->source] = 0;
    while (d->heap_count > 0) {
        uint32_t v = heap_take(d);

        d->settled[d->settled_count++] = v;
        if (work_stops(run, work, 1))
            return;
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            uint32_t w = out->targets[e];
            double distance = d->distance[v] + csr_weight(out, e);

            if (work_stops(run, work, 1))
                return;
            if (distance >= d->distance[w])
                continue;
            if (d->distance[w] == INFINITY)
                d->place[w] = d->heap_count++;
            d->distance[w] = distance;
            sift_up(d, d->place[w], w);
        }
    }
}

/* Gives each thread its source, the last rounds' distances forgotten. */
static bool next_round(struct run *run, struct near *near)
{
    uint32_t begin = near->source_next;

    run_progress(run, begin, near->source_count);
    for (unsigned t = 0; t < run->threads; t++)
        near->searches[t].source = near->source_next < near->source_count
                                       ? source_at(near, near->source_next++)
                                       : NO_VERTEX;
    return begin < near->source_count;
}

/* One thread adds up if little was reached. */
static bool is_little(const struct run *run, const struct near *near)
{
    uint64_t count = 0;

    for (unsigned t = 0; t < run->threads; t++)
        count += near->searches[t].settled_count;
    return run->threads == 1 || count < near->n / 2;
}

static void add_lists(struct run *run, struct near *near, uint64_t *work)
{
    for (unsigned t = 0; t < run->threads; t++) {
        struct dijkstra *d = &near->searches[t];

        for (uint32_t i = 1; i < d->settled_count; i++) {
            uint32_t v = d->settled[i];

            add_distance(near, v, d->distance[v], 1);
            if (work_stops(run, work, 1))
                return;
        }
    }
}

static void add_pieces(struct run *run, struct near *near, uint64_t *work)
{
    uint64_t begin;
    uint64_t end;

    while (!work_stops(run, work, PIECE) && !run_stopped(run) &&
           chunks_take(&near->chunks, near->n, PIECE, &begin, &end))
        for (unsigned t = 0; t < run->threads; t++) {
            struct dijkstra *d = &near->searches[t];

            for (uint64_t v = begin; v < end; v++)
                if (v != d->source && d->distance[v] < INFINITY)
                    add_distance(near, (uint32_t)v, d->distance[v], 1);
        }
}

static void weights_team(struct run *run, void *context, unsigned thread)
{
    struct near *near = context;
    struct dijkstra *d = &near->searches[thread];
    uint64_t work = 0;

    for (uint32_t v = 0; v < near->n && !work_stops(run, &work, 1); v++)
        d->distance[v] = INFINITY;
    for (;;) {
        if (thread == 0)
            near->finished = run_stopped(run) || !next_round(run, near);
        run_barrier(run);
        if (near->finished)
            return;
        d->settled_count = 0;
        if (d->source != NO_VERTEX)
            search(run, near->out, d, &work);
        if (team_stops(run))
            return;
        if (thread == 0) {
            near->chunks.next = 0;
            near->adds_alone = is_little(run, near);
            if (near->adds_alone)
                add_lists(run, near, &work);
        }
        run_barrier(run);
        if (!near->adds_alone) {
            add_pieces(run, near, &work);
            run_barrier(run);
        }
        for (uint32_t i = 0; i < d->settled_count; i++)
            d->distance[d->settled[i]] = INFINITY;
    }
}

static enum status search_weights(struct run *run, struct near *near)
{
    uint32_t n = near->n;
    enum status st = ST_OK;

    near->search_count = run->threads;
    near->searches =
        run_zalloc(run, near->search_count, sizeof(struct dijkstra));
    if (!near->searches)
        return run_memory_status(run);
    for (unsigned t = 0; t < near->search_count && st == ST_OK; t++) {
        struct dijkstra *d = &near->searches[t];

        d->distance = run_alloc(run, n, sizeof(double));
        d->heap = d->distance ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
        d->place = d->heap ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
        d->settled = d->place ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
        st = d->settled ? ST_OK : run_memory_status(run);
    }
    if (st == ST_OK)
        st = run_team(run, weights_team, near);
    for (unsigned t = 0; t < near->search_count; t++) {
        struct dijkstra *d = &near->searches[t];

        run_free(run, d->distance, n, sizeof(double));
        run_free(run, d->heap, n, sizeof(uint32_t));
        run_free(run, d->place, n, sizeof(uint32_t));
        run_free(run, d->settled, n, sizeof(uint32_t));
    }
    run_free(run, near->searches, near->search_count, sizeof(struct dijkstra));
    return st;
}

/* --- both --------------------------------------------------------------- */

/* Draws `count` of the vertices: the beginning of a shuffle. */
static enum status draw_sources(struct run *run, struct near *near,
                                uint64_t seed)
{
    struct draw draw = {seed};
    struct pace pace = {.run = run};
    uint32_t n = near->n;
    enum status st = ST_OK;

    near->sources = run_alloc(run, n, sizeof(uint32_t));
    if (near->sources)
        near->is_source = run_zalloc(run, n, sizeof(uint8_t));
    if (!near->is_source)
        return run_memory_status(run);
    for (uint32_t v = 0; v < n; v++)
        near->sources[v] = v;
    for (uint32_t i = 0; i < near->source_count && st == ST_OK; i++) {
        uint32_t j = i + (uint32_t)draw_below(&draw, n - i);
        uint32_t v = near->sources[j];

        near->sources[j] = near->sources[i];
        near->sources[i] = v;
        near->is_source[v] = 1;
        st = pace_tick(&pace);
    }
    return st;
}

/* Sums become scores. Sources other than v itself stand for all n - 1. */
static void score(struct near *near, bool option)
{
    double others = (double)near->n - 1;

    for (uint32_t v = 0; v < near->n; v++) {
        bool itself = !near->is_source || near->is_source[v];
        double sources = (double)near->source_count - itself;
        double sum = near->sum[v];

        if (!(sum > 0))
            sum = 0;
        else if (near->harmonic)
            sum = sum / sources * (option ? 1 : others);
        else
            sum = near->reached[v] / sum *
                  (option ? near->reached[v] / sources : 1);
        near->sum[v] = sum;
    }
}

static void score_figures(const struct near *near, struct result *ret)
{
    double least = near->n ? near->sum[0] : 0;
    double most = 0;
    double sum = 0;

    for (uint32_t v = 0; v < near->n; v++) {
        least = fmin(least, near->sum[v]);
        most = fmax(most, near->sum[v]);
        sum += near->sum[v];
    }
    result_f64(ret, "min", least);
    result_f64(ret, "max", most);
    result_f64(ret, "mean", near->n ? sum / near->n : 0);
    result_u64(ret, "samples", near->source_count);
}

static enum status near_run(struct run *run,
                            const struct projection *projection,
                            const struct param *params, bool harmonic,
                            struct result *ret)
{
    uint32_t n = projection->n;
    uint64_t samples = params[NEAR_SAMPLES].u64;
    struct near near = {
        .out = projection->out,
        .in = projection->in,
        .n = n,
        .harmonic = harmonic,
        .source_count = samples && samples < n ? (uint32_t)samples : n,
        .listed = true,
    };
    double most;
    enum status st = weights_check(run, near.out, false, &most);

    if (st < 0)
        return st;
    near.sum = run_zalloc(run, n, sizeof(double));
    if (near.sum && !harmonic)
        near.reached = run_zalloc(run, n, sizeof(uint32_t));
    if (!near.sum || (!harmonic && !near.reached))
        st = run_memory_status(run);
    if (st == ST_OK && near.source_count < n)
        st = draw_sources(run, &near, params[NEAR_SEED].u64);
    if (st == ST_OK)
        st = near.out->form == WEIGHTS_ONE ? search_hops(run, &near)
                                           : search_weights(run, &near);
    if (st == ST_OK) {
        score(&near, params[NEAR_OPTION].u64);
        score_figures(&near, ret);
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "score", COLUMN_F64, near.sum);
        near.sum = NULL;
    }
    run_free(run, near.sum, n, sizeof(double));
    run_free(run, near.reached, n, sizeof(uint32_t));
    run_free(run, near.sources, n, sizeof(uint32_t));
    run_free(run, near.is_source, n, sizeof(uint8_t));
    return st;
}

static uint64_t near_estimate(const struct projection *shape,
                              const struct param *params, unsigned threads)
{
    uint64_t words = block_bytes(shape->n, sizeof(uint64_t));
    uint64_t vertices = block_bytes(shape->n, sizeof(uint32_t));
    uint64_t hops = 3 * words + 3 * vertices;
    uint64_t weights = threads * (words + 3 * vertices) +
                       block_bytes(threads, sizeof(struct dijkstra));

    (void)params;
    /* Whether there are weights is not known here. */
    return words + 2 * vertices + block_bytes(shape->n, 1) +
           (hops > weights ? hops : weights);
}

#define NEAR_SAMPLING                                                          \
    [NEAR_SAMPLES] = {.name = "samples", .type = PARAM_U64, .otherwise = 0},   \
    [NEAR_SEED] = {.name = "seed", .type = PARAM_U64, .otherwise = 0}

/* --- closeness ---------------------------------------------------------- */

static const struct param_spec closeness_params[NEAR_PARAMS] = {
    [NEAR_OPTION] = {.name = "improved", .type = PARAM_BOOL, .otherwise = 0},
    NEAR_SAMPLING,
};

static enum status closeness_run(struct run *run,
                                 const struct projection *projection,
                                 const struct param *params, struct result *ret)
{
    return near_run(run, projection, params, false, ret);
}

const struct algorithm closeness_algorithm = {
    .name = "closeness",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = closeness_params,
    .param_count = NEAR_PARAMS,
    .columns = {"vertex", "score"},
    .estimate = near_estimate,
    .run = closeness_run,
};

/* --- harmonic ----------------------------------------------------------- */

static const struct param_spec harmonic_params[NEAR_PARAMS] = {
    [NEAR_OPTION] = {.name = "normalized", .type = PARAM_BOOL, .otherwise = 1},
    NEAR_SAMPLING,
};

static enum status harmonic_run(struct run *run,
                                const struct projection *projection,
                                const struct param *params, struct result *ret)
{
    return near_run(run, projection, params, true, ret);
}

const struct algorithm harmonic_algorithm = {
    .name = "harmonic",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = harmonic_params,
    .param_count = NEAR_PARAMS,
    .columns = {"vertex", "score"},
    .estimate = near_estimate,
    .run = harmonic_run,
};
