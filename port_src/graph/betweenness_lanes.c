/*
 * betweenness_lanes.c -- the walks of betweenness without weights.
 *
 * Four sources are walked from at once, level by level: a
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
 *     crew      walks with one set of arrays: all threads, or one alone
 *     pulls     a crew takes pieces of the vertices that pull
 *     pushes    each looks at all that push, but only at those of their
 *               targets that lie in its own range of vertices
 *
 * Thus no number is written by two, none is locked, and the sums of a crew do
 * not depend on who was first. Since what a walk is slowed down by are random
 * accesses to its numbers, all threads together walk in one set of arrays,
 * which a shared cache holds more of than of many. Only where levels have so
 * little work that threads would rather meet than work, as in a grid, which
 * the first batch shows, each takes batches with arrays of its own.
 */
#include "graph/betweenness.h"

#define NEVER UINT32_MAX        /* a depth: not reached */
#define UNUSED (UINT32_MAX - 1) /* the lane has no source */

#define PIECE_VERTICES 256 /* that pull back */

/* As many bits as two doubles have, as comparisons give them: all ones or
 * none. */
typedef int64_t two_bits __attribute__((vector_size(16)));

struct four_bits {
    two_bits low;
    two_bits high;
};

/* --- crews -------------------------------------------------------------- */

static void crew_wait(struct hand *hand)
{
    if (hand->crew > 1)
        run_barrier(hand->run);
}

/* Waits for the crew; all have the same opinion on whether to go on. */
static bool crew_goes_on(struct hand *hand)
{
    if (hand->crew > 1)
        return !team_stops(hand->run);
    return !run_stopped(hand->run);
}

/* The part of [0, n) that is this thread's. */
static uint64_t part_begin(const struct hand *hand, uint64_t n)
{
    return n * hand->thread / hand->crew;
}

static uint64_t part_end(const struct hand *hand, uint64_t n)
{
    return n * (hand->thread + 1) / hand->crew;
}

/* Where the range of a thread begins: all have as many edges, and vertices. */
static uint32_t range_begin(const struct betweenness *b, unsigned thread,
                            unsigned crew)
{
    uint64_t all = b->out->m + b->in->m + b->n;
    uint64_t aim = all / crew * thread;
    uint64_t low = 0;
    uint64_t high = bit_words(b->n);

    if (thread == crew)
        return b->n;
    while (low < high) {
        uint64_t word = (low + high) / 2;
        uint64_t v = word * 64;

        if (b->out->offsets[v] + b->in->offsets[v] + v < aim)
            low = word + 1;
        else
            high = word;
    }
    return low * 64 < b->n ? (uint32_t)(low * 64) : b->n;
}

struct hand hand_of(struct run *run, const struct betweenness *b,
                    struct walker *walker, unsigned thread, unsigned crew)
{
    return (struct hand){.run = run,
                         .walker = walker,
                         .thread = thread,
                         .crew = crew,
                         .begin = range_begin(b, thread, crew),
                         .end = range_begin(b, thread + 1, crew),
                         .work = RUN_CHECK_WORK}; /* asks at once */
}

static uint64_t first_from(const uint32_t *targets, uint64_t first,
                           uint64_t last, uint32_t v)
{
    while (first < last) {
        uint64_t middle = first + (last - first) / 2;

        if (targets[middle] < v)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

/* The entries of v, or of a crew's those that lead to the hand's range. */
static inline void row_part(const struct hand *hand, const struct csr *csr,
                            uint32_t v, uint64_t *ret_first, uint64_t *ret_last)
{
    uint64_t first = csr->offsets[v];
    uint64_t last = csr->offsets[v + 1];

    if (hand->crew > 1) {
        if (hand->begin > 0)
            first = first_from(csr->targets, first, last, hand->begin);
        if (hand->end < csr->n)
            last = first_from(csr->targets, first, last, hand->end);
    }
    *ret_first = first;
    *ret_last = last;
}

/* What pushing over so many edges costs, in pulls: all of a crew go through
 * all rows, which is a quarter of it. */
static uint64_t push_cost(const struct hand *hand, uint64_t edges)
{
    return hand->crew > 1 ? edges + edges / 4 * hand->crew : edges;
}

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

static inline bool any_lane(lanes bits)
{
    two_bits both = (two_bits)bits;

    return (both[0] | both[1]) != 0;
}

/* Which lanes have this number. */
static inline lanes lanes_with(lanes numbers, uint32_t number)
{
    return (lanes)(numbers == number);
}

static inline struct four_bits bits_widen(lanes bits)
{
    return (struct four_bits){
        (two_bits)__builtin_shufflevector(bits, bits, 0, 0, 1, 1),
        (two_bits)__builtin_shufflevector(bits, bits, 2, 2, 3, 3)};
}

static inline lanes bits_narrow(struct four_bits bits)
{
    return __builtin_shufflevector((lanes)bits.low, (lanes)bits.high, 0, 2, 4,
                                   6);
}

static inline two two_if(two_bits bits, two numbers)
{
    return (two)((two_bits)numbers & bits);
}

static inline two two_choose(two_bits bits, two yes, two no)
{
    return (two)(((two_bits)yes & bits) | ((two_bits)no & ~bits));
}

/* Lanes that reach v first with this flow have it at `depth`; others lose the
 * flow. False if there is none. */
static inline bool settle(const struct betweenness *b, struct hand *hand,
                          uint32_t v, struct four *flow, uint32_t depth)
{
    struct walker *walker = hand->walker;
    struct share *share = &walker->shares[hand->thread];
    struct four *paths = &walker->paths[v];
    lanes depths = walker->depths[v];
    struct four_bits first = bits_widen(lanes_with(depths, NEVER));
    uint64_t in_degree = csr_degree(b->in, v);
    lanes reached;

    first.low &= (two_bits)(flow->low != 0);
    first.high &= (two_bits)(flow->high != 0);
    flow->low = two_if(first.low, flow->low);
    flow->high = two_if(first.high, flow->high);
    reached = bits_narrow(first);
    if (!any_lane(reached))
        return false;
    paths->low = two_choose(first.low, flow->low, paths->low);
    paths->high = two_choose(first.high, flow->high, paths->high);
    depths = (depths & ~reached) | (reached & depth);
    walker->depths[v] = depths;
    if (!any_lane(lanes_with(depths, NEVER))) {
        walker->open[v / 64] &= ~(UINT64_C(1) << (v % 64));
        share->closed_edges += in_degree;
    }
    share->count++;
    share->out_edges += b->in == b->out ? in_degree : csr_degree(b->out, v);
    share->in_edges += in_degree;
    return true;
}

/* To `found`, from where the hand's range begins on. */
static void push_out(const struct betweenness *b, struct hand *hand,
                     uint32_t level, const struct four *now, struct four *next)
{
    const struct walker *walker = hand->walker;
    const uint32_t *targets = b->out->targets;
    uint64_t end = walker->levels[level + 1].start;
    uint32_t *found = walker->found + hand->begin;
    uint64_t touched = 0;
    uint64_t kept = 0;

    for (uint64_t i = walker->levels[level].start; i < end; i++) {
        uint32_t u = walker->list[i];
        uint64_t first;
        uint64_t last;

        row_part(hand, b->out, u, &first, &last);
        for (uint64_t e = first; e < last; e++) {
            uint32_t v = targets[e];

            if (!bit_test(walker->open, v) || is_repeated(targets, first, e))
                continue;
            if (four_is_zero(&next[v]))
                found[touched++] = v;
            four_add(&next[v], &now[u]);
        }
        if (work_stops(hand->run, &hand->work, last - first + 1))
            return;
    }
    for (uint64_t i = 0; i < touched; i++) {
        uint32_t v = found[i];

        if (settle(b, hand, v, &next[v], level + 1))
            found[kept++] = v;
        if (work_stops(hand->run, &hand->work, LANES))
            return;
    }
}

static uint64_t piece_count(uint64_t n)
{
    return (bit_words(n) + PIECE_WORDS - 1) / PIECE_WORDS;
}

/* To `found`, each piece from its own place on. */
static void pull_out(const struct betweenness *b, struct hand *hand,
                     uint32_t level, const struct four *now, struct four *next)
{
    struct walker *walker = hand->walker;
    uint64_t words = bit_words(b->n);
    bool stops = false;
    unsigned turn = 0;
    uint64_t piece;
    uint64_t piece_end;

    while (!stops &&
           parts_take(&walker->pieces, hand->thread, hand->crew,
                      piece_count(b->n), 1, &turn, &piece, &piece_end)) {
        uint64_t from = piece * PIECE_WORDS;
        uint64_t to = words - from < PIECE_WORDS ? words : from + PIECE_WORDS;
        uint32_t *found = walker->found + from * 64;
        uint32_t kept = 0;

        for (uint64_t i = from; i < to; i++)
            for (uint64_t todo = walker->open[i]; todo && !stops;
                 todo &= todo - 1) {
                uint32_t v =
                    (uint32_t)(i * 64) + (uint32_t)__builtin_ctzl(todo);
                struct four sum = gather(b->in, now, v);

                if (!four_is_zero(&sum) &&
                    settle(b, hand, v, &sum, level + 1)) {
                    next[v] = sum;
                    found[kept++] = v;
                }
                stops = work_stops(hand->run, &hand->work,
                                   csr_degree(b->in, v) + 1);
            }
        walker->counts[piece] = kept;
    }
}

/* Puts what was found into the list, in the order of pieces or of ranges. */
static void list_found(const struct betweenness *b, struct hand *hand,
                       uint32_t level, bool pulled)
{
    const struct walker *walker = hand->walker;
    uint32_t *place = walker->list + walker->levels[level + 1].start;
    uint64_t pieces = piece_count(b->n);

    if (!pulled) {
        for (unsigned i = 0; i < hand->thread; i++)
            place += walker->shares[i].count;
        memcpy(place, walker->found + hand->begin,
               walker->shares[hand->thread].count * sizeof(uint32_t));
        return;
    }
    for (uint64_t i = 0; i < part_end(hand, pieces); i++) {
        if (i >= part_begin(hand, pieces))
            memcpy(place, walker->found + i * PIECE_WORDS * 64,
                   walker->counts[i] * sizeof(uint32_t));
        place += walker->counts[i];
    }
}

/* What the crew found is the level after the last one. */
static void add_level(struct hand *hand)
{
    struct walker *walker = hand->walker;
    struct level next = walker->levels[walker->depth + 1];

    next.out_edges = next.in_edges = 0;
    walker->levels[walker->depth + 2].start = next.start;
    for (unsigned i = 0; i < hand->crew; i++) {
        walker->levels[walker->depth + 2].start += walker->shares[i].count;
        next.out_edges += walker->shares[i].out_edges;
        next.in_edges += walker->shares[i].in_edges;
        walker->open_edges -= walker->shares[i].closed_edges;
    }
    walker->levels[++walker->depth] = next;
    parts_reset(&walker->pieces, hand->run->threads);
}

static void clear_level(struct hand *hand, struct four *flow, uint32_t level)
{
    const struct walker *walker = hand->walker;
    uint64_t start = walker->levels[level].start;
    uint64_t count = walker->levels[level + 1].start - start;
    uint64_t end = start + part_end(hand, count);

    for (uint64_t i = start + part_begin(hand, count);
         i < end && !loop_stops(hand->run, i); i++)
        flow[walker->list[i]] = (struct four){{0, 0}, {0, 0}};
}

static bool is_empty(const struct walker *walker, uint32_t level)
{
    return walker->levels[level].start == walker->levels[level + 1].start;
}

/* From the last known level to the one after it. */
static bool step_out(const struct betweenness *b, struct hand *hand)
{
    struct walker *walker = hand->walker;
    uint32_t level = walker->depth;
    struct four *now = walker->flow[level % 2];
    struct four *next = walker->flow[(level + 1) % 2];
    bool pulled = push_cost(hand, walker->levels[level].out_edges) >
                  walker->open_edges + bit_words(b->n);

    walker->shares[hand->thread] = (struct share){.count = 0};
    if (pulled)
        pull_out(b, hand, level, now, next);
    else
        push_out(b, hand, level, now, next);
    if (!crew_goes_on(hand))
        return false;
    list_found(b, hand, level, pulled);
    clear_level(hand, now, level);
    crew_wait(hand);
    if (hand->thread == 0)
        add_level(hand);
    crew_wait(hand);
    return true;
}

/* Whether a level is so little work that one does it while the others wait. */
static bool is_little(const struct walker *walker, uint32_t level)
{
    const struct level *at = &walker->levels[level];

    return at[1].start - at->start + at->out_edges + at->in_edges < LITTLE_WORK;
}

static struct hand alone(const struct betweenness *b, const struct hand *hand)
{
    struct hand one = *hand;

    one.crew = 1;
    one.begin = 0;
    one.end = b->n;
    return one;
}

/* Levels until one is empty, which is then walker->depth. */
static bool walk_out(const struct betweenness *b, struct hand *hand)
{
    struct walker *walker = hand->walker;

    while (!is_empty(walker, walker->depth)) {
        if (hand->crew == 1 || !is_little(walker, walker->depth)) {
            if (!step_out(b, hand))
                return false;
            continue;
        }
        if (!crew_goes_on(hand)) /* and all have seen what is to be done */
            return false;
        if (hand->thread == 0) {
            struct hand one = alone(b, hand);

            while (!is_empty(walker, walker->depth) &&
                   is_little(walker, walker->depth) && step_out(b, &one))
                ;
        }
        crew_wait(hand);
    }
    return true;
}

/* Flow of the level after `level` is added up in `next` for those that are on
 * `level`, and lie in the hand's range. */
static void push_back(const struct betweenness *b, struct hand *hand,
                      uint32_t level, const struct four *now, struct four *next)
{
    const struct walker *walker = hand->walker;
    const struct level *levels = walker->levels;
    const uint32_t *targets = b->in->targets;

    for (uint64_t i = levels[level].start;
         i < levels[level + 1].start && !loop_stops(hand->run, i); i++) {
        uint32_t v = walker->list[i];

        if (v >= hand->begin && v < hand->end)
            bit_set(true, walker->member, v);
    }
    for (uint64_t i = levels[level + 1].start; i < levels[level + 2].start;
         i++) {
        uint32_t w = walker->list[i];
        uint64_t first;
        uint64_t last;

        row_part(hand, b->in, w, &first, &last);
        for (uint64_t e = first; e < last; e++) {
            uint32_t v = targets[e];

            if (bit_test(walker->member, v) && !is_repeated(targets, first, e))
                four_add(&next[v], &now[w]);
        }
        if (work_stops(hand->run, &hand->work, last - first + 1))
            break;
    }
    for (uint64_t i = levels[level].start;
         i < levels[level + 1].start && !loop_stops(hand->run, i); i++) {
        uint32_t v = walker->list[i];

        if (v >= hand->begin && v < hand->end)
            walker->member[v / 64] = 0;
    }
}

/* Makes of what v needs what it passes on, and adds up what it gets. */
static inline void take_delta(const struct walker *walker, uint32_t v,
                              uint32_t level, struct four *flow)
{
    struct four_bits here = bits_widen(lanes_with(walker->depths[v], level));
    const struct four *paths = &walker->paths[v];
    two low = two_if(here.low, paths->low * flow->low);
    two high = two_if(here.high, paths->high * flow->high);
    two sum = low + high;

    flow->low = two_if(here.low, (1 + low) / paths->low);
    flow->high = two_if(here.high, (1 + high) / paths->high);
    walker->sums[v] += sum[0] + sum[1];
}

static void take_deltas(struct hand *hand, uint32_t level, struct four *next)
{
    const struct walker *walker = hand->walker;
    uint64_t start = walker->levels[level].start;
    uint64_t count = walker->levels[level + 1].start - start;
    uint64_t end = start + part_end(hand, count);

    for (uint64_t i = start + part_begin(hand, count); i < end; i++) {
        uint32_t v = walker->list[i];

        take_delta(walker, v, level, &next[v]);
        if (work_stops(hand->run, &hand->work, LANES))
            return;
    }
}

static void pull_back(const struct betweenness *b, struct hand *hand,
                      uint32_t level, const struct four *now, struct four *next)
{
    struct walker *walker = hand->walker;
    uint64_t start = walker->levels[level].start;
    uint64_t count = walker->levels[level + 1].start - start;
    uint64_t from;
    uint64_t to;

    while (chunks_take(&walker->chunks, count, PIECE_VERTICES, &from, &to))
        for (uint64_t i = start + from; i < start + to; i++) {
            uint32_t v = walker->list[i];
            struct four sum = gather(b->out, now, v);

            take_delta(walker, v, level, &sum);
            next[v] = sum;
            if (work_stops(hand->run, &hand->work, csr_degree(b->out, v) + 1))
                return;
        }
}

/* From the level after it back to `level`. */
static bool step_back(const struct betweenness *b, struct hand *hand,
                      uint32_t level)
{
    struct walker *walker = hand->walker;
    const struct level *levels = walker->levels;
    struct four *now = walker->flow[(level + 1) % 2];
    struct four *next = walker->flow[level % 2];

    if (is_empty(walker, level + 1)) {
        take_deltas(hand, level, next);
    } else if (levels[level].out_edges <=
               push_cost(hand, levels[level + 1].in_edges)) {
        pull_back(b, hand, level, now, next);
    } else {
        push_back(b, hand, level, now, next);
        crew_wait(hand);
        take_deltas(hand, level, next);
    }
    if (!crew_goes_on(hand))
        return false;
    clear_level(hand, now, level + 1);
    if (hand->thread == 0)
        atomic_store(&walker->chunks.next, 0);
    crew_wait(hand);
    return true;
}

static bool walk_back(const struct betweenness *b, struct hand *hand)
{
    struct walker *walker = hand->walker;
    uint32_t level = walker->depth - 1; /* the last with a vertex */

    while (level > 0) {
        if (hand->crew == 1 || !is_little(walker, level) ||
            !is_little(walker, level + 1)) {
            if (!step_back(b, hand, level--))
                return false;
            continue;
        }
        struct hand one = alone(b, hand);

        /* Levels stay as they are: all know where the others will be. */
        do {
            if (hand->thread == 0 && !step_back(b, &one, level))
                break;
        } while (--level > 0 && is_little(walker, level));
        if (!crew_goes_on(hand))
            return false;
        crew_wait(hand);
    }
    clear_level(hand, walker->flow[1], 1);
    crew_wait(hand);
    return true;
}

/* One thread: the lanes' first level. */
static void put_sources(const struct betweenness *b, struct hand *hand,
                        const uint32_t *sources, unsigned count)
{
    struct walker *walker = hand->walker;
    struct level *levels = walker->levels;
    uint64_t size = 0;

    walker->depth = 0;
    walker->open_edges = b->in->m;
    levels[0] = (struct level){.start = 0};
    for (unsigned lane = 0; lane < count; lane++) {
        uint32_t v = sources[lane];
        struct four *flow = &walker->flow[0][v];

        if (four_is_zero(flow)) {
            walker->list[size++] = v;
            levels[0].out_edges += csr_degree(b->out, v);
            levels[0].in_edges += csr_degree(b->in, v);
        }
        *four_lane(flow, lane) = 1;
        *four_lane(&walker->paths[v], lane) = 1;
        walker->depths[v][lane] = 0;
    }
    levels[1].start = size;
    for (uint64_t i = 0; i < size; i++) {
        uint32_t v = walker->list[i];

        if (!any_lane(lanes_with(walker->depths[v], NEVER))) {
            walker->open[v / 64] &= ~(UINT64_C(1) << (v % 64));
            walker->open_edges -= csr_degree(b->in, v);
        }
    }
    parts_reset(&walker->pieces, hand->run->threads);
    atomic_store(&walker->chunks.next, 0);
}

static bool begin_lanes(const struct betweenness *b, struct hand *hand,
                        const uint32_t *sources, unsigned count)
{
    struct walker *walker = hand->walker;
    lanes none;

    for (unsigned lane = 0; lane < LANES; lane++)
        none[lane] = lane < count ? NEVER : UNUSED;
    for (uint32_t v = hand->begin; v < hand->end && !loop_stops(hand->run, v);
         v++)
        walker->depths[v] = none;
    for (uint64_t i = bit_words(hand->begin); i < bit_words(hand->end); i++)
        walker->open[i] = bit_mask(b->n, i);
    if (!crew_goes_on(hand))
        return false;
    if (hand->thread == 0)
        put_sources(b, hand, sources, count);
    crew_wait(hand);
    return true;
}

bool walk_lanes(const struct betweenness *b, struct hand *hand,
                const uint32_t *sources, unsigned count)
{
    return begin_lanes(b, hand, sources, count) && walk_out(b, hand) &&
           walk_back(b, hand);
}
