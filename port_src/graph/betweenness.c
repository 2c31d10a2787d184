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
 * Without weights four sources are walked from at once, level by level: a
 * vertex has the numbers of all four side by side, so that what a random
 * access costs is paid once (as in LAGraph's batches; Then et al., "The More
 * the Merrier: Efficient Multi-Source Graph Traversal", VLDB 2014). A level is
 * the list of vertices that at least one of the four reaches in so many steps.
 *
 *     flow[a][v][lane]   what v passes on, if it is on this level for the
 *                        lane; 0 for all others
 *     flow[b][..]        what is gathered for the level after it; 0 between
 *
 * Either the level's vertices push to their targets, or those that may be
 * next pull from their sources: whichever is fewer edges, outwards as well as
 * back. In graphs with hubs that leaves most edges alone: the level with the
 * hubs is pulled into, and from the many after it, which have few edges.
 *
 * With weights it is Dijkstra's algorithm from one source after another.
 * Weights must be greater than 0: circles without weight would make infinitely
 * many shortest paths.
 *
 * Threads take batches, each with arrays of its own.
 */
#include "graph/kernels.h"

#include <math.h>

#include "graph/team.h"

#define LANES 4
#define NEVER UINT32_MAX        /* a depth: not reached */
#define UNUSED (UINT32_MAX - 1) /* the lane has no source */

/* Two doubles: what every machine that we build for adds at once. */
typedef double two __attribute__((vector_size(16)));

struct four {
    two low;
    two high;
};

struct depths {
    uint32_t of[LANES];
};

/* Arrays of one thread: those of the walk in four lanes, or of Dijkstra's. */
struct walker {
    double *sums; /* what its sources gave to each vertex */
    uint64_t work;

    struct four *paths;
    struct four *flow[2];
    struct depths *depths;
    uint64_t *open;   /* bits: some lane has not reached it */
    uint64_t *member; /* bits: it is on the level that is pushed back to */
    uint32_t *list;   /* levels, one after the other */
    uint64_t *starts; /* of levels in the list */
    uint64_t open_edges;

    double *distances;
    double *path_counts;
    double *needs;
    uint32_t *order;  /* as they were settled */
    uint32_t *heap;   /* by distance, the least first */
    uint32_t *places; /* in the heap */
};

struct betweenness {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    bool undirected;
    bool weighted;
    uint32_t *sources;
    uint32_t source_count;
    unsigned width; /* sources of a batch */

    struct walker *walkers;
    unsigned walker_count;
    double *result;
    struct chunks chunks;
    _Atomic uint64_t done;
};

/* --- four sources at once ----------------------------------------------- */

static inline void four_add(struct four *to, const struct four *from)
{
    to->low += from->low;
    to->high += from->high;
}

/* No negative number is ever in there. */
static inline bool four_is_zero(const struct four *four)
{
    two sum = four->low + four->high;

    return sum[0] + sum[1] == 0;
}

static inline double *four_lane(struct four *four, unsigned lane)
{
    return lane < 2 ? (double *)&four->low + lane
                    : (double *)&four->high + (lane - 2);
}

/* A target that stands there once more is passed over. */
static inline bool is_repeated(const uint32_t *targets, uint64_t first,
                               uint64_t e)
{
    return e > first && targets[e] == targets[e - 1];
}

/* The sum of flow over v's entries. */
static inline struct four gather(const struct csr *csr, const struct four *flow,
                                 uint32_t v)
{
    uint64_t first = csr->offsets[v];
    uint64_t last = csr->offsets[v + 1];
    struct four sum = {{0, 0}, {0, 0}};

    for (uint64_t e = first; e < last; e++)
        if (!is_repeated(csr->targets, first, e))
            four_add(&sum, &flow[csr->targets[e]]);
    return sum;
}

/* Lanes that reach v first with this flow have it at `depth`; others lose the
 * flow. False if there is none. */
static bool settle(const struct betweenness *b, struct walker *walker,
                   uint32_t v, struct four *flow, uint32_t depth)
{
    uint32_t *depths = walker->depths[v].of;
    bool found = false;
    bool open = false;

    for (unsigned lane = 0; lane < LANES; lane++) {
        double *value = four_lane(flow, lane);

        if (depths[lane] == NEVER && *value != 0) {
            depths[lane] = depth;
            *four_lane(&walker->paths[v], lane) = *value;
            found = true;
        } else {
            *value = 0;
        }
        open |= depths[lane] == NEVER;
    }
    if (!open) {
        walker->open[v / 64] &= ~(UINT64_C(1) << (v % 64));
        walker->open_edges -= csr_degree(b->in, v);
    }
    return found;
}

static bool push_out(struct run *run, const struct betweenness *b,
                     struct walker *walker, uint32_t level,
                     const struct four *now, struct four *next)
{
    const struct csr *out = b->out;
    uint64_t begin = walker->starts[level];
    uint64_t end = walker->starts[level + 1];
    uint64_t touched = end;
    uint64_t kept = end;

    for (uint64_t i = begin; i < end; i++) {
        uint32_t u = walker->list[i];
        uint64_t first = out->offsets[u];
        uint64_t last = out->offsets[u + 1];

        for (uint64_t e = first; e < last; e++) {
            uint32_t v = out->targets[e];

            if (!bit_test(walker->open, v) ||
                is_repeated(out->targets, first, e))
                continue;
            if (four_is_zero(&next[v]))
                walker->list[touched++] = v;
            four_add(&next[v], &now[u]);
        }
        if (work_stops(run, &walker->work, last - first + 1))
            return false;
    }
    for (uint64_t i = end; i < touched; i++) {
        uint32_t v = walker->list[i];

        if (settle(b, walker, v, &next[v], level + 1))
            walker->list[kept++] = v;
        if (work_stops(run, &walker->work, LANES))
            return false;
    }
    walker->starts[level + 2] = kept;
    return true;
}

static bool pull_out(struct run *run, const struct betweenness *b,
                     struct walker *walker, uint32_t level,
                     const struct four *now, struct four *next)
{
    uint64_t kept = walker->starts[level + 1];
    uint64_t words = bit_words(b->n);

    for (uint64_t i = 0; i < words; i++)
        for (uint64_t todo = walker->open[i]; todo; todo &= todo - 1) {
            uint32_t v = (uint32_t)(i * 64) + (uint32_t)__builtin_ctzl(todo);
            struct four sum = gather(b->in, now, v);

            if (!four_is_zero(&sum) && settle(b, walker, v, &sum, level + 1)) {
                next[v] = sum;
                walker->list[kept++] = v;
            }
            if (work_stops(run, &walker->work, csr_degree(b->in, v) + 1))
                return false;
        }
    walker->starts[level + 2] = kept;
    return true;
}

static uint64_t level_edges(struct run *run, const struct walker *walker,
                            const struct csr *csr, uint32_t level)
{
    uint64_t sum = 0;

    for (uint64_t i = walker->starts[level];
         i < walker->starts[level + 1] && !loop_stops(run, i); i++)
        sum += csr_degree(csr, walker->list[i]);
    return sum;
}

static void clear_level(struct run *run, const struct walker *walker,
                        struct four *flow, uint32_t level)
{
    for (uint64_t i = walker->starts[level];
         i < walker->starts[level + 1] && !loop_stops(run, i); i++)
        flow[walker->list[i]] = (struct four){{0, 0}, {0, 0}};
}

/* Levels until one is empty. `*ret_depth` is the last that is not. */
static bool walk_out(struct run *run, const struct betweenness *b,
                     struct walker *walker, uint32_t *ret_depth)
{
    struct four *now = walker->flow[0];
    struct four *next = walker->flow[1];

    for (uint32_t level = 0;; level++) {
        struct four *other = now;

        if (level_edges(run, walker, b->out, level) <=
            walker->open_edges + bit_words(b->n)) {
            if (!push_out(run, b, walker, level, now, next))
                return false;
        } else if (!pull_out(run, b, walker, level, now, next)) {
            return false;
        }
        clear_level(run, walker, now, level);
        now = next;
        next = other;
        if (walker->starts[level + 2] == walker->starts[level + 1]) {
            *ret_depth = level;
            return true;
        }
    }
}

/* Flow of the level after `level` is added up in `next` for those that are on
 * `level`. */
static bool push_back(struct run *run, const struct betweenness *b,
                      struct walker *walker, uint32_t level,
                      const struct four *now, struct four *next)
{
    const struct csr *in = b->in;
    bool goes_on = true;

    for (uint64_t i = walker->starts[level]; i < walker->starts[level + 1]; i++)
        bit_set(true, walker->member, walker->list[i]);
    for (uint64_t i = walker->starts[level + 1];
         goes_on && i < walker->starts[level + 2]; i++) {
        uint32_t w = walker->list[i];
        uint64_t first = in->offsets[w];
        uint64_t last = in->offsets[w + 1];

        for (uint64_t e = first; e < last; e++) {
            uint32_t v = in->targets[e];

            if (bit_test(walker->member, v) &&
                !is_repeated(in->targets, first, e))
                four_add(&next[v], &now[w]);
        }
        goes_on = !work_stops(run, &walker->work, last - first + 1);
    }
    for (uint64_t i = walker->starts[level]; i < walker->starts[level + 1]; i++)
        walker->member[walker->list[i] / 64] = 0;
    return goes_on;
}

static bool pull_back(struct run *run, const struct betweenness *b,
                      struct walker *walker, uint32_t level,
                      const struct four *now, struct four *next)
{
    for (uint64_t i = walker->starts[level]; i < walker->starts[level + 1];
         i++) {
        uint32_t v = walker->list[i];

        next[v] = gather(b->out, now, v);
        if (work_stops(run, &walker->work, csr_degree(b->out, v) + 1))
            return false;
    }
    return true;
}

/* Makes of what v needs what it passes on, and adds up what it gets. */
static void take_delta(struct walker *walker, uint32_t v, uint32_t level,
                       struct four *flow)
{
    double sum = 0;

    for (unsigned lane = 0; lane < LANES; lane++) {
        double *value = four_lane(flow, lane);
        double paths = *four_lane(&walker->paths[v], lane);
        double delta;

        if (walker->depths[v].of[lane] != level) {
            *value = 0;
            continue;
        }
        delta = paths * *value;
        *value = (1 + delta) / paths;
        sum += delta;
    }
    walker->sums[v] += sum;
}

static bool walk_back(struct run *run, const struct betweenness *b,
                      struct walker *walker, uint32_t depth)
{
    struct four *now = walker->flow[0];
    struct four *next = walker->flow[1];

    for (uint32_t level = depth; level > 0; level--) {
        struct four *other = now;

        if (level < depth &&
            !(level_edges(run, walker, b->out, level) <=
                      level_edges(run, walker, b->in, level + 1)
                  ? pull_back(run, b, walker, level, now, next)
                  : push_back(run, b, walker, level, now, next)))
            return false;
        for (uint64_t i = walker->starts[level]; i < walker->starts[level + 1];
             i++) {
            take_delta(walker, walker->list[i], level, &next[walker->list[i]]);
            if (work_stops(run, &walker->work, LANES))
                return false;
        }
        if (level < depth)
            clear_level(run, walker, now, level + 1);
        now = next;
        next = other;
    }
    if (depth > 0)
        clear_level(run, walker, now, 1);
    return true;
}

static void begin_lanes(struct run *run, const struct betweenness *b,
                        struct walker *walker, const uint32_t *sources,
                        unsigned count)
{
    uint32_t n = b->n;
    struct depths none;
    uint64_t size = 0;

    for (unsigned lane = 0; lane < LANES; lane++)
        none.of[lane] = lane < count ? NEVER : UNUSED;
    for (uint32_t v = 0; v < n && !loop_stops(run, v); v++)
        walker->depths[v] = none;
    for (uint64_t i = 0; i < bit_words(n); i++)
        walker->open[i] = bit_mask(n, i);
    walker->open_edges = b->in->m;
    for (unsigned lane = 0; lane < count; lane++) {
        uint32_t v = sources[lane];
        struct four *flow = &walker->flow[0][v];

        if (four_is_zero(flow))
            walker->list[size++] = v;
        *four_lane(flow, lane) = 1;
        *four_lane(&walker->paths[v], lane) = 1;
        walker->depths[v].of[lane] = 0;
    }
    for (uint64_t i = 0; i < size; i++) {
        uint32_t v = walker->list[i];
        bool open = false;

        for (unsigned lane = 0; lane < LANES; lane++)
            open |= walker->depths[v].of[lane] == NEVER;
        if (!open) {
            walker->open[v / 64] &= ~(UINT64_C(1) << (v % 64));
            walker->open_edges -= csr_degree(b->in, v);
        }
    }
    walker->starts[0] = 0;
    walker->starts[1] = size;
}

static bool walk_lanes(struct run *run, const struct betweenness *b,
                       struct walker *walker, const uint32_t *sources,
                       unsigned count)
{
    uint32_t depth;

    begin_lanes(run, b, walker, sources, count);
    return !run_stopped(run) && walk_out(run, b, walker, &depth) &&
           walk_back(run, b, walker, depth);
}

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
static uint32_t settle_all(struct run *run, const struct betweenness *b,
                           struct walker *walker, uint32_t source)
{
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
        work_stops(run, &walker->work, csr_degree(out, u) + 16);
    }
    return settled;
}

static bool walk_weighted(struct run *run, const struct betweenness *b,
                          struct walker *walker, uint32_t source)
{
    const struct csr *out = b->out;
    const double *distances = walker->distances;
    uint32_t settled = settle_all(run, b, walker, source);

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
        work_stops(run, &walker->work, csr_degree(out, v) + 1);
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

static void betweenness_team(struct run *run, void *context, unsigned thread)
{
    struct betweenness *b = context;
    struct walker *walker = &b->walkers[thread];
    size_t n = b->n;
    uint64_t from;
    uint64_t to;

    run_fill(run, walker->sums, 0, n * sizeof(double));
    if (!b->weighted) {
        run_fill(run, walker->flow[0], 0, n * sizeof(struct four));
        run_fill(run, walker->flow[1], 0, n * sizeof(struct four));
        run_fill(run, walker->member, 0, bit_words(n) * sizeof(uint64_t));
    }
    walker->work = RUN_CHECK_WORK;
    while (chunks_take(&b->chunks, b->source_count, b->width, &from, &to)) {
        if (run_stopped(run) ||
            !(b->weighted ? walk_weighted(run, b, walker, b->sources[from])
                          : walk_lanes(run, b, walker, b->sources + from,
                                       (unsigned)(to - from))))
            break;
        run_progress(run, atomic_fetch_add(&b->done, to - from) + to - from,
                     b->source_count);
    }
    run_barrier(run);
    for (size_t v = n * thread / run->threads;
         v < n * (thread + 1) / run->threads && !loop_stops(run, v); v++) {
        double sum = 0;

        for (unsigned i = 0; i < run->threads; i++)
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

#define WALKER_PARTS 14

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
    PART(starts, n + 3);
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

static enum status betweenness_start(struct run *run, struct betweenness *b,
                                     const struct param *params)
{
    uint32_t n = b->n;
    uint64_t *seen = run_zalloc(run, bit_words(n), sizeof(uint64_t));
    enum status st = ST_OK;

    b->result = run_alloc(run, n, sizeof(double));
    b->sources = run_alloc(run, n, sizeof(uint32_t));
    b->walkers = run_zalloc(run, b->walker_count, sizeof(struct walker));
    if (!seen || !b->result || !b->sources || !b->walkers)
        st = run_memory_status(run);
    else
        choose_sources(b, params, seen);
    run_free(run, seen, bit_words(n), sizeof(uint64_t));
    for (unsigned i = 0; st == ST_OK && i < b->walker_count; i++)
        st = walker_alloc(run, &b->walkers[i], n, b->weighted);
    if (st == ST_OK && b->weighted)
        st = check_weights(run, b->out);
    /* Few sources are better spread than walked from at once. */
    b->width = b->source_count / b->walker_count + 1;
    if (b->source_count % b->walker_count == 0 && b->width > 1)
        b->width--;
    if (b->weighted)
        b->width = 1;
    else if (b->width > LANES)
        b->width = LANES;
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
                            .walker_count = run->threads};
    enum status st = betweenness_start(run, &b, params);

    if (st == ST_OK)
        st = run_team(run, betweenness_team, &b);
    if (st == ST_OK) {
        ret->per_vertex = true;
        ret->rows = n;
        result_column(ret, "centrality", COLUMN_F64, b.result);
        result_u64(ret, "sources", b.source_count);
        b.result = NULL;
    }
    for (unsigned i = 0; b.walkers && i < b.walker_count; i++)
        walker_free(run, &b.walkers[i], n, b.weighted);
    run_free(run, b.walkers, b.walker_count, sizeof(struct walker));
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
