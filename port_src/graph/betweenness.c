/*
 * betweenness.c -- how many shortest paths lead through each vertex.
 *
 * The sum over pairs (s, t) of the part of the shortest paths from s to t that
 * pass v between its ends, exactly or for some sources s. Sums are neither
 * normalised nor extrapolated; in an undirected graph each pair counts once.
 * A path is a sequence of vertices: parallel edges are one.
 *
 *     paths(w)   sum of paths(v)                  over v just before w
 *     needs(v)   sum of (1 + delta(w)) / paths(w) over w just after v
 *     delta(v)   paths(v) needs(v)                what v gets from one source
 *
 * The first from the source outwards, the others on the way back (Brandes, "A
 * faster algorithm for betweenness centrality", J. Math. Sociology 2001).
 *
 * Without weights that is done from four sources at once, and level by level
 * (betweenness_lanes.c): by all threads in one set of arrays, or, in graphs
 * with little work on each level, by each in one of its own.
 *
 * With weights it is Dijkstra's algorithm from one source after another.
 * Weights must be greater than 0: circles without weight would make infinitely
 * many shortest paths. Threads take sources, each with arrays of its own.
 */
#include "graph/betweenness.h"

#include <math.h>

#include "graph/kernels.h"

/* --- one source with weights -------------------------------------------- */

static void heap_set(struct walker *walker, uint32_t place, uint32_t v)
{
    walker->heap[place] = v;
    walker->places[v] = place;
}

static void heap_up(struct walker *walker, uint32_t place)
{
    uint32_t v = walker->heap[place];

    while (place > 0) {
        uint32_t above = (place - 1) / 2;

        if (walker->distances[walker->heap[above]] <= walker->distances[v])
            break;
        heap_set(walker, place, walker->heap[above]);
        place = above;
    }
    heap_set(walker, place, v);
}

/* Takes the first one out of `*size`. */
static uint32_t heap_take(struct walker *walker, uint32_t *size)
{
    const double *distances = walker->distances;
    uint32_t first = walker->heap[0];
    uint32_t last = walker->heap[--*size];
    uint64_t place = 0;

    for (;;) {
        uint64_t below = 2 * place + 1;

        if (below >= *size)
            break;
        if (below + 1 < *size &&
            distances[walker->heap[below + 1]] < distances[walker->heap[below]])
            below++;
        if (distances[walker->heap[below]] >= distances[last])
            break;
        heap_set(walker, (uint32_t)place, walker->heap[below]);
        place = below;
    }
    heap_set(walker, (uint32_t)place, last);
    return first;
}

/* The weight of the lightest of parallel edges, of which e is the first; moves
 * e to the last. */
static double lightest(const struct csr *csr, uint64_t *e, uint64_t last)
{
    double least = csr_weight(csr, *e);

    while (*e + 1 < last && csr->targets[*e + 1] == csr->targets[*e]) {
        double weight = csr_weight(csr, ++*e);

        if (weight < least)
            least = weight;
    }
    return least;
}

/* Settles all that can be reached; gives back how many that are. */
static uint32_t settle_all(const struct betweenness *b, struct hand *hand,
                           uint32_t source)
{
    struct run *run = hand->run;
    struct walker *walker = hand->walker;
    const struct csr *out = b->out;
    double *distances = walker->distances;
    uint32_t settled = 0;
    uint32_t size = 1;

    for (uint32_t v = 0; v < b->n && !loop_stops(run, v); v++)
        distances[v] = INFINITY;
    distances[source] = 0;
    walker->path_counts[source] = 1;
    heap_set(walker, 0, source);
    while (size > 0 && !run_stopped(run)) {
        uint32_t u = heap_take(walker, &size);
        uint64_t last = out->offsets[u + 1];

        walker->order[settled++] = u;
        walker->needs[u] = 0;
        for (uint64_t e = out->offsets[u]; e < last; e++) {
            uint32_t v = out->targets[e];
            double sum = distances[u] + lightest(out, &e, last);

            if (sum < distances[v]) {
                if (distances[v] == INFINITY)
                    walker->places[v] = size++;
                distances[v] = sum;
                walker->path_counts[v] = walker->path_counts[u];
                heap_set(walker, walker->places[v], v);
                heap_up(walker, walker->places[v]);
            } else if (sum == distances[v] && distances[u] < sum) {
                walker->path_counts[v] += walker->path_counts[u];
            }
        }
        work_stops(run, &hand->work, csr_degree(out, u) + 16);
    }
    return settled;
}

static bool walk_weighted(const struct betweenness *b, struct hand *hand,
                          uint32_t source)
{
    struct run *run = hand->run;
    const struct walker *walker = hand->walker;
    const struct csr *out = b->out;
    const double *distances = walker->distances;
    uint32_t settled = settle_all(b, hand, source);

    while (settled-- > 1 && !run_stopped(run)) {
        uint32_t v = walker->order[settled];
        uint64_t last = out->offsets[v + 1];
        double needs = 0;
        double delta;

        for (uint64_t e = out->offsets[v]; e < last; e++) {
            uint32_t w = out->targets[e];
            double sum = distances[v] + lightest(out, &e, last);

            if (sum == distances[w] && distances[v] < sum)
                needs += walker->needs[w];
        }
        delta = walker->path_counts[v] * needs;
        walker->sums[v] += delta;
        walker->needs[v] = (1 + delta) / walker->path_counts[v];
        work_stops(run, &hand->work, csr_degree(out, v) + 1);
    }
    return !run_stopped(run);
}

static enum status check_weights(struct run *run, const struct csr *csr)
{
    uint64_t work = 0;

    for (uint32_t v = 0; v < csr->n; v++) {
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
            if (!(csr_weight(csr, e) > 0))
                return run_fail(run, ST_BAD_WEIGHT, v, csr->targets[e],
                                "betweenness takes weights above 0 alone");
        if (work_stops(run, &work, csr_degree(csr, v) + 1))
            return (enum status)atomic_load(&run->status);
    }
    return ST_OK;
}

/* --- the run ------------------------------------------------------------ */

/* Arrays that are 0 between walks; each thread of the crew some. */
static void clean(const struct betweenness *b, struct hand *hand)
{
    struct walker *walker = hand->walker;
    size_t begin = hand->begin;
    size_t count = hand->end - begin;

    if (walker->clean)
        return;
    run_fill(hand->run, walker->sums + begin, 0, count * sizeof(double));
    if (!b->weighted) {
        size_t words = bit_words(hand->end) - bit_words(begin);

        for (unsigned i = 0; i < 2; i++)
            run_fill(hand->run, walker->flow[i] + begin, 0,
                     count * sizeof(struct four));
        run_fill(hand->run, walker->member + bit_words(begin), 0,
                 words * sizeof(uint64_t));
    }
}

/* Whether there is so little work on a level that threads should go apart. */
static bool is_deep(const struct betweenness *b, const struct walker *walker)
{
    return b->out->m + b->n <
           (uint64_t)walker->depth * LITTLE_WORK * LITTLE_WORKS;
}

/* Batches one after the other, each walked by all; until it shows that this is
 * not worth it. */
static void walk_together(struct run *run, struct betweenness *b,
                          unsigned thread)
{
    struct hand hand = hand_of(run, b, &b->walkers[0], thread, run->threads);
    uint32_t next = b->source_next;

    clean(b, &hand);
    run_barrier(run);
    while (next < b->source_count) {
        uint32_t left = b->source_count - next;
        unsigned count = left < LANES ? left : LANES;

        if (!walk_lanes(b, &hand, b->sources + next, count))
            return;
        next += count;
        if (thread == 0) {
            b->source_next = next;
            run_progress(run, next, b->source_count);
        }
        if (run->threads > 1 && is_deep(b, hand.walker))
            return;
    }
}

static void walk_alone(struct run *run, struct betweenness *b, unsigned thread)
{
    struct hand hand = hand_of(run, b, &b->walkers[thread], 0, 1);
    uint32_t first = b->source_next;
    uint64_t from;
    uint64_t to;

    clean(b, &hand);
    hand.walker->clean = true;
    while (!run_stopped(run) && chunks_take(&b->chunks, b->source_count - first,
                                            b->width, &from, &to)) {
        const uint32_t *sources = b->sources + first + from;

        if (!(b->weighted
                  ? walk_weighted(b, &hand, sources[0])
                  : walk_lanes(b, &hand, sources, (unsigned)(to - from))))
            return;
        run_progress(run,
                     first + atomic_fetch_add(&b->done, to - from) + to - from,
                     b->source_count);
    }
}

static void betweenness_team(struct run *run, void *context, unsigned thread)
{
    struct betweenness *b = context;

    if (b->shared)
        walk_together(run, b, thread);
    else if (thread < b->walker_count)
        walk_alone(run, b, thread);
}

static void sum_team(struct run *run, void *context, unsigned thread)
{
    struct betweenness *b = context;
    size_t n = b->n;

    for (size_t v = n * thread / run->threads;
         v < n * (thread + 1) / run->threads && !loop_stops(run, v); v++) {
        double sum = 0;

        for (unsigned i = 0; i < b->walker_count; i++)
            if (b->walkers[i].clean) /* else there was no thread for it */
                sum += b->walkers[i].sums[v];
        b->result[v] = b->undirected ? sum / 2 : sum;
    }
}

enum { BC_SAMPLES, BC_SEED, BC_SOURCES, BC_PARAMS };

static const struct param_spec betweenness_params[BC_PARAMS] = {
    {.name = "samples", .type = PARAM_U64},
    {.name = "seed", .type = PARAM_U64},
    {.name = "sources", .type = PARAM_VERTICES},
};

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators". */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Those given, each once; or so many by lot; or all. */
static void choose_sources(struct betweenness *b, const struct param *params,
                           uint64_t *seen)
{
    const struct param *given = &params[BC_SOURCES];
    uint64_t state = params[BC_SEED].u64;
    uint32_t n = b->n;

    if (given->count > 0) {
        for (size_t i = 0; i < given->count; i++) {
            if (!bit_test(seen, given->vertices[i]))
                b->sources[b->source_count++] = given->vertices[i];
            bit_set(true, seen, given->vertices[i]);
        }
        return;
    }
    b->source_count = n;
    for (uint32_t v = 0; v < n; v++)
        b->sources[v] = v;
    if (!params[BC_SAMPLES].given || params[BC_SAMPLES].u64 >= n)
        return;
    b->source_count = (uint32_t)params[BC_SAMPLES].u64;
    for (uint32_t i = 0; i < b->source_count; i++) {
        uint32_t j =
            i +
            (uint32_t)((unsigned __int128)next_random(&state) * (n - i) >> 64);
        uint32_t v = b->sources[i];

        b->sources[i] = b->sources[j];
        b->sources[j] = v;
    }
}

/* One array of a walker: where the pointer to it is, and what it holds. */
struct part {
    void *at;
    size_t count;
    size_t size;
};

#define WALKER_PARTS 16

static unsigned walker_parts(struct walker *walker, uint64_t n, bool weighted,
                             struct part parts[WALKER_PARTS])
{
    unsigned count = 0;

#define PART(field, elements)                                                  \
    parts[count++] =                                                           \
        (struct part){&walker->field, elements, sizeof(*walker->field)}
    PART(sums, n);
    if (weighted) {
        PART(distances, n);
        PART(path_counts, n);
        PART(needs, n);
        PART(order, n);
        PART(heap, n);
        PART(places, n);
        return count;
    }
    PART(paths, n);
    PART(flow[0], n);
    PART(flow[1], n);
    PART(depths, n);
    PART(open, bit_words(n));
    PART(member, bit_words(n));
    PART(list, LANES * n);
    PART(levels, n + 3);
    PART(found, n);
    PART(counts, bit_words(n) / PIECE_WORDS + 1);
#undef PART
    return count;
}

static enum status walker_alloc(struct run *run, struct walker *walker,
                                uint64_t n, bool weighted)
{
    struct part parts[WALKER_PARTS];
    unsigned count = walker_parts(walker, n, weighted, parts);

    for (unsigned i = 0; i < count; i++) {
        void *block = run_alloc(run, parts[i].count, parts[i].size);

        if (!block)
            return run_memory_status(run);
        memcpy(parts[i].at, &block, sizeof(block));
    }
    return ST_OK;
}

static void walker_free(struct run *run, struct walker *walker, uint64_t n,
                        bool weighted)
{
    struct part parts[WALKER_PARTS];
    unsigned count = walker_parts(walker, n, weighted, parts);

    for (unsigned i = 0; i < count; i++) {
        void *block;

        memcpy(&block, parts[i].at, sizeof(block));
        run_free(run, block, parts[i].count, parts[i].size);
        memset(parts[i].at, 0, sizeof(block));
    }
}

static uint64_t betweenness_estimate(const struct projection *shape,
                                     const struct param *params,
                                     unsigned threads)
{
    struct part parts[WALKER_PARTS];
    struct walker walker;
    uint64_t n = shape->n;
    uint64_t most = 0;

    (void)params;
    for (int weighted = 0; weighted < 2; weighted++) {
        unsigned count = walker_parts(&walker, n, weighted, parts);
        uint64_t bytes = 0;

        for (unsigned i = 0; i < count; i++)
            bytes += mem_charge(parts[i].count * parts[i].size + 1);
        if (bytes > most)
            most = bytes;
    }
    return most * threads + mem_charge(threads * sizeof(struct walker)) +
           mem_charge(n * sizeof(double) + 1) +
           mem_charge(n * sizeof(uint32_t) + 1) +
           mem_charge(bit_words(n) * sizeof(uint64_t) + 1);
}

/* Arrays for more threads, as far as there is memory: fewer will do. */
static void more_walkers(struct run *run, struct betweenness *b)
{
    while (b->walker_count < b->walker_room &&
           walker_alloc(run, &b->walkers[b->walker_count], b->n, b->weighted) ==
               ST_OK)
        b->walker_count++;
    if (b->walker_count < b->walker_room)
        walker_free(run, &b->walkers[b->walker_count], b->n, b->weighted);
}

static enum status betweenness_start(struct run *run, struct betweenness *b,
                                     const struct param *params)
{
    uint32_t n = b->n;
    uint64_t *seen = run_zalloc(run, bit_words(n), sizeof(uint64_t));
    enum status st = ST_OK;

    b->result = run_alloc(run, n, sizeof(double));
    b->sources = run_alloc(run, n, sizeof(uint32_t));
    b->walkers = run_zalloc(run, b->walker_room, sizeof(struct walker));
    if (!seen || !b->result || !b->sources || !b->walkers)
        st = run_memory_status(run);
    else
        choose_sources(b, params, seen);
    run_free(run, seen, bit_words(n), sizeof(uint64_t));
    if (st == ST_OK)
        st = walker_alloc(run, &b->walkers[0], n, b->weighted);
    b->walker_count = 1;
    if (st == ST_OK && b->weighted)
        st = check_weights(run, b->out);
    return st;
}

/* What is left to do, each thread for itself. */
static enum status go_apart(struct run *run, struct betweenness *b)
{
    uint32_t left = b->source_count - b->source_next;

    more_walkers(run, b);
    b->shared = false;
    /* Few sources are better spread than walked from at once. */
    b->width = left / b->walker_count + (left % b->walker_count > 0);
    if (b->weighted)
        b->width = 1;
    else if (b->width > LANES)
        b->width = LANES;
    return run_team(run, betweenness_team, b);
}

static enum status betweenness_walk(struct run *run, struct betweenness *b)
{
    enum status st = ST_OK;

    b->shared = !b->weighted;
    if (b->shared) {
        st = run_team(run, betweenness_team, b);
        b->walkers[0].clean = true;
    }
    if (st == ST_OK && b->source_next < b->source_count)
        st = go_apart(run, b);
    if (st == ST_OK)
        st = run_team(run, sum_team, b);
    return st;
}

static enum status betweenness_run(struct run *run,
                                   const struct projection *projection,
                                   const struct param *params,
                                   struct result *ret)
{
    uint32_t n = projection->n;
    struct betweenness b = {.out = projection->out,
                            .in = projection->in,
                            .n = n,
                            .undirected = projection->undirected,
                            .weighted = projection->out->form != WEIGHTS_ONE,
                            .walker_room = run->threads};
    enum status st = betweenness_start(run, &b, params);

    if (st == ST_OK)
        st = betweenness_walk(run, &b);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "centrality", COLUMN_F64, b.result);
        result_u64(ret, "sources", b.source_count);
        b.result = NULL;
    }
    for (unsigned i = 0; b.walkers && i < b.walker_room; i++)
        walker_free(run, &b.walkers[i], n, b.weighted);
    run_free(run, b.walkers, b.walker_room, sizeof(struct walker));
    run_free(run, b.sources, n, sizeof(uint32_t));
    run_free(run, b.result, n, sizeof(double));
    return st;
}

const struct algorithm betweenness_algorithm = {
    .name = "betweenness",
    .needs = NEED_OUT | NEED_IN | NEED_WEIGHTS,
    .params = betweenness_params,
    .param_count = BC_PARAMS,
    .columns = {"vertex", "centrality"},
    .estimate = betweenness_estimate,
    .run = betweenness_run,
};
