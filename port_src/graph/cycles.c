/*
 * cycles.c -- one cycle, or all of them.
 *
 * `cycle` is a depth-first search: the first edge back to the path closes one.
 *
 * `cycles` lists elementary cycles, those that come to no vertex twice: D. B.
 * Johnson, "Finding all the elementary circuits of a directed graph", SIAM J.
 * Comput. 4(1), 1975, and with a greatest length A. Gupta and T. Suzumura,
 * "Finding all bounded-length simple cycles in a directed graph", 2021:
 *
 *     for each vertex s that lies on a cycle of what is left
 *         list the cycles through s; take s away
 *
 * A path grows from s. lock[w] says when w may join it: if the path has fewer
 * vertices than that. At first it follows from how far s is from w, which a
 * search backwards tells; 0 where s is out of reach. A vertex that joins is
 * locked to where it stands. If it leaves and a way to s had been found from
 * it, it and those that lead to it are let in again as far as the length of
 * that way allows; if none had been found it stays locked until one of those
 * that it leads to is let in again. So no path is tried twice in vain. Without
 * a bound on the length a lock is just open or shut.
 *
 * What is left falls apart as vertices go. Johnson finds its strongly connected
 * components for each s; here that is done when the searches that found no
 * cycle have cost as much as it does. Then the cost is O(n + m) for each cycle.
 *
 *     list    [ .. | a component: done, s, to do | .. ]    todo: such pieces
 *
 * In an undirected graph a cycle has three vertices or more and is listed in
 * one direction; components are then those that hold together without any one
 * edge. A loop is a cycle of one vertex in a directed graph. Edges in parallel
 * are one. A cycle is listed from its smallest vertex on, in an undirected
 * graph towards the smaller one of that one's two neighbours.
 *
 * One thread; 54 bytes a vertex, and the cycles.
 */
#include "graph/pieces.h"

#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

/* --- cycle -------------------------------------------------------------- */

enum { STATE_NEW, STATE_PATH, STATE_DONE };

struct one {
    struct pace pace;
    const struct csr *out;
    bool two_way;
    uint8_t *state;
    uint32_t *path;
    uint64_t *next; /* by depth */
    uint32_t depth;
    uint32_t closed_at; /* where in the path the cycle begins, once found */
};

static void one_enter(struct one *one, uint32_t v)
{
    one->state[v] = STATE_PATH;
    one->next[one->depth] = one->out->offsets[v];
    one->path[one->depth++] = v;
}

/* Goes on at the end of the path: to a new vertex, back, or to the end of the
 * search (*ret_closed). */
static enum status one_step(struct one *one, bool *ret_closed)
{
    const struct csr *out = one->out;
    uint32_t v = one->path[one->depth - 1];

    for (uint64_t e = one->next[one->depth - 1]; e < out->offsets[v + 1]; e++) {
        uint32_t w = out->targets[e];
        enum status st = pace_tick(&one->pace);

        if (st < 0)
            return st;
        if (one->state[w] == STATE_DONE ||
            (one->two_way &&
             (w == v || (one->depth > 1 && w == one->path[one->depth - 2]))))
            continue;
        if (one->state[w] == STATE_NEW) {
            one->next[one->depth - 1] = e + 1;
            one_enter(one, w);
            return ST_OK;
        }
        one->closed_at = one->depth - 1;
        while (one->path[one->closed_at] != w)
            one->closed_at--;
        *ret_closed = true;
        return ST_OK;
    }
    one->state[v] = STATE_DONE;
    one->depth--;
    return ST_OK;
}

static enum status one_search(struct one *one, bool *ret_closed)
{
    for (uint32_t v = 0; v < one->out->n; v++) {
        enum status st = pace_tick(&one->pace);

        if (st < 0)
            return st;
        if (one->state[v] != STATE_NEW)
            continue;
        one_enter(one, v);
        while (one->depth > 0) {
            st = one_step(one, ret_closed);
            if (st < 0 || *ret_closed)
                return st;
        }
    }
    return ST_OK;
}

/* Copies a cycle, from its smallest vertex on. */
static void put_cycle(const uint32_t *cycle, uint32_t length, bool two_way,
                      uint32_t *to)
{
    uint32_t first = 0;
    bool backwards;

    for (uint32_t i = 1; i < length; i++)
        if (cycle[i] < cycle[first])
            first = i;
    backwards = two_way && cycle[(first + length - 1) % length] <
                               cycle[(first + 1) % length];
    for (uint32_t i = 0; i < length; i++) {
        *to++ = cycle[first];
        if (backwards)
            first = first ? first - 1 : length - 1;
        else
            first = first + 1 < length ? first + 1 : 0;
    }
}

static enum status one_result(struct one *one, bool closed, struct result *ret)
{
    struct run *run = one->pace.run;
    uint64_t rows = closed;
    uint32_t length = closed ? one->depth - one->closed_at : 0;
    uint64_t *offsets = run_zalloc(run, rows + 1, sizeof(uint64_t));
    uint32_t *vertices =
        offsets ? run_alloc(run, length, sizeof(uint32_t)) : NULL;

    if (!vertices) {
        enum status st = run_memory_status(run);

        run_free(run, offsets, rows + 1, sizeof(uint64_t));
        return st;
    }
    if (closed)
        put_cycle(one->path + one->closed_at, length, one->two_way, vertices);
    offsets[rows] = length;
    ret->rows = rows;
    result_lists(ret, "cycle", offsets, vertices);
    result_u64(ret, "length", length);
    return ST_OK;
}

static enum status one_run(struct run *run, const struct projection *projection,
                           const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct one one = {
        .pace = {.run = run, .total = projection->out->m + n},
        .out = projection->out,
        .two_way = projection->undirected,
    };
    bool closed = false;
    enum status st;

    (void)params;
    one.state = run_zalloc(run, n, sizeof(uint8_t));
    one.path = one.state ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    one.next = one.path ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    st = one.next ? one_search(&one, &closed) : run_memory_status(run);
    if (st == ST_OK)
        st = one_result(&one, closed, ret);
    run_free(run, one.state, n, sizeof(uint8_t));
    run_free(run, one.path, n, sizeof(uint32_t));
    run_free(run, one.next, n, sizeof(uint64_t));
    return st;
}

static uint64_t one_estimate(const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return block_bytes(shape->n, 1) +
           2 * block_bytes(shape->n, sizeof(uint32_t)) +
           block_bytes(shape->n, sizeof(uint64_t)) + block_bytes(2, 8);
}

const struct algorithm cycle_algorithm = {
    .name = "cycle",
    .needs = NEED_OUT,
    .columns = {"cycle"},
    .estimate = one_estimate,
    .run = one_run,
};

/* --- cycles ------------------------------------------------------------- */

enum { CYCLES_MAX_LENGTH, CYCLES_LIMIT, CYCLES_PARAMS };

static const struct param_spec cycles_params[CYCLES_PARAMS] = {
    [CYCLES_MAX_LENGTH] = {.name = "max_length",
                           .type = PARAM_U64,
                           .min = 1,
                           .max = CSR_VERTICES_MAX,
                           .otherwise = 10},
    [CYCLES_LIMIT] = {.name = "limit",
                      .type = PARAM_U64,
                      .min = 1,
                      .max = 1e12,
                      .otherwise = 1000},
};

#define LOCK_OPEN UINT32_MAX

/* From begin to end in the list. */
struct piece {
    uint32_t begin;
    uint32_t end;
};

struct cycles {
    struct pace pace;
    const struct csr *out;
    const struct csr *in;
    bool two_way;
    uint32_t length_max;
    uint64_t limit;

    struct scc_space space;
    uint32_t *group; /* by vertex: where its component began; NO_VERTEX */
    uint32_t *list;
    struct piece *todo;
    uint32_t todo_count;

    bool bounded;       /* lengths matter, in this component */
    uint32_t *lock;     /* 0 but for those in `reached` */
    uint32_t *distance; /* of those that wait to pass on what they know */
    uint32_t *reached;  /* those that s can be reached from */
    uint32_t reached_count;
    uint32_t *queue;
    uint8_t *on_path;
    uint32_t *path;
    uint32_t depth;
    uint64_t cost; /* edges looked at since something was last found */

    struct growing ends;     /* of the cycles in `vertices`: uint64_t */
    struct growing vertices; /* uint32_t */
};

/* Arrays of the path are in the space that components are found in. */
#define NEXT(c) ((c)->space.next)
#define BEST(c) ((c)->space.stack)

static enum status cost_tick(struct cycles *c)
{
    c->cost++;
    return pace_tick(&c->pace);
}

static bool is_first(const struct csr *csr, uint32_t v, uint64_t e)
{
    return e == csr->offsets[v] || csr->targets[e - 1] != csr->targets[e];
}

/* `ends` has a 0 before the first. */
static uint64_t cycles_found(const struct cycles *c)
{
    return c->ends.count - 1;
}

/* One more than are wanted is counted: then there are more. */
static bool is_full(const struct cycles *c)
{
    return cycles_found(c) > c->limit;
}

static enum status list_cycle(struct cycles *c, const uint32_t *cycle,
                              uint32_t length)
{
    struct run *run = c->pace.run;
    enum status st = growing_room(run, &c->ends, 1);

    c->cost = 0;
    if (st < 0)
        return st;
    if (cycles_found(c) < c->limit) {
        st = growing_room(run, &c->vertices, length);
        if (st < 0)
            return st;
        put_cycle(cycle, length, c->two_way,
                  (uint32_t *)c->vertices.data + c->vertices.count);
        c->vertices.count += length;
    }
    ((uint64_t *)c->ends.data)[c->ends.count++] = c->vertices.count;
    return ST_OK;
}

/* The lock of a vertex that s can be reached from over so many edges. */
static uint32_t lock_for(const struct cycles *c, uint32_t distance)
{
    return c->bounded ? c->length_max - distance + 1 : LOCK_OPEN;
}

/* Opens the locks of those from which s can be reached soon enough. */
static enum status search_backwards(struct cycles *c, uint32_t s)
{
    uint32_t id = c->group[s];

    c->distance[s] = 0;
    c->reached[0] = s;
    c->reached_count = 1;
    c->lock[s] = 1; /* it is the path's first */
    for (uint32_t i = 0; i < c->reached_count; i++) {
        uint32_t v = c->reached[i];
        uint32_t distance = c->distance[v] + 1;

        if (c->bounded && distance + 1 > c->length_max)
            break;
        for (uint64_t e = c->in->offsets[v]; e < c->in->offsets[v + 1]; e++) {
            uint32_t w = c->in->targets[e];
            enum status st = cost_tick(c);

            if (st < 0)
                return st;
            if (c->group[w] != id || c->lock[w] != 0)
                continue;
            c->lock[w] = lock_for(c, distance);
            c->distance[w] = distance;
            c->reached[c->reached_count++] = w;
        }
    }
    return ST_OK;
}

/* v, which left the path, leads to s over `distance` edges: lets it in again,
 * and those that lead to it. */
static enum status unlock(struct cycles *c, uint32_t v, uint32_t distance)
{
    uint32_t id = c->group[v];
    uint32_t count = 0;

    if (c->lock[v] >= lock_for(c, distance))
        return ST_OK;
    c->lock[v] = lock_for(c, distance);
    c->distance[v] = distance;
    c->queue[count++] = v;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t u = c->queue[i];
        uint32_t lock;

        distance = c->distance[u] + 1;
        if (c->bounded && distance + 1 > c->length_max)
            break;
        lock = lock_for(c, distance);
        for (uint64_t e = c->in->offsets[u]; e < c->in->offsets[u + 1]; e++) {
            uint32_t w = c->in->targets[e];
            enum status st = cost_tick(c);

            if (st < 0)
                return st;
            if (c->group[w] != id || c->on_path[w] || c->lock[w] >= lock)
                continue;
            c->lock[w] = lock;
            c->distance[w] = distance;
            c->queue[count++] = w;
        }
    }
    return ST_OK;
}

static void path_push(struct cycles *c, uint32_t v)
{
    c->on_path[v] = 1;
    c->lock[v] = c->bounded ? c->depth : 0;
    NEXT(c)[c->depth] = c->out->offsets[v];
    BEST(c)[c->depth] = NO_VERTEX; /* no way to s found yet */
    c->path[c->depth++] = v;
}

static enum status path_pop(struct cycles *c)
{
    uint32_t v = c->path[--c->depth];
    uint32_t best = BEST(c)[c->depth];

    c->on_path[v] = 0;
    if (best == NO_VERTEX || c->depth == 0)
        return ST_OK;
    if (best + 1 < BEST(c)[c->depth - 1])
        BEST(c)[c->depth - 1] = best + 1;
    return unlock(c, v, best);
}

/* The path has come back to s. */
static enum status close_path(struct cycles *c)
{
    BEST(c)[c->depth - 1] = 1;
    if (!c->two_way)
        return list_cycle(c, c->path, c->depth);
    if (c->depth < 3 || c->path[1] > c->path[c->depth - 1])
        return ST_OK;
    return list_cycle(c, c->path, c->depth);
}

/* Goes on at the end of the path. */
static enum status path_step(struct cycles *c, uint32_t s)
{
    const struct csr *out = c->out;
    uint32_t v = c->path[c->depth - 1];

    for (uint64_t e = NEXT(c)[c->depth - 1]; e < out->offsets[v + 1]; e++) {
        uint32_t w = out->targets[e];
        enum status st = cost_tick(c);

        if (st < 0)
            return st;
        if (w == s && v != s && is_first(out, v, e)) {
            st = close_path(c);
            if (st < 0 || is_full(c))
                return st;
        }
        if (w != s && c->depth < c->lock[w] && is_first(out, v, e)) {
            NEXT(c)[c->depth - 1] = e + 1;
            path_push(c, w);
            return ST_OK;
        }
    }
    return path_pop(c);
}

static enum status cycles_through(struct cycles *c, uint32_t s)
{
    enum status st = search_backwards(c, s);

    c->depth = 0;
    if (st == ST_OK)
        path_push(c, s);
    while (st == ST_OK && c->depth > 0 && !is_full(c))
        st = path_step(c, s);
    while (c->depth > 0)
        c->on_path[c->path[--c->depth]] = 0;
    for (uint32_t i = 0; i < c->reached_count; i++)
        c->lock[c->reached[i]] = 0;
    c->group[s] = NO_VERTEX;
    return st;
}

/* --- what is left falls apart ------------------------------------------- */

/* Sorts a piece of the list by component; their ends are in ends[]. */
static enum status sort_piece(struct cycles *c, struct piece piece,
                              uint32_t *ends)
{
    uint32_t count = piece.end - piece.begin;
    uint32_t *list = c->list + piece.begin;
    uint32_t *sorted = c->queue;
    uint32_t sum = 0;

    memset(ends, 0, (size_t)count * sizeof(ends[0]));
    for (uint32_t i = 0; i < count; i++) {
        enum status st = pace_tick(&c->pace);

        if (st < 0)
            return st;
        ends[count - c->space.index[list[i]]]++;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = ends[i];

        ends[i] = sum;
        sum += size;
    }
    for (uint32_t i = 0; i < count; i++) {
        enum status st = pace_tick(&c->pace);

        if (st < 0)
            return st;
        sorted[ends[count - c->space.index[list[i]]]++] = list[i];
    }
    memcpy(list, sorted, (size_t)count * sizeof(list[0]));
    return ST_OK;
}

/* Finds the components of a piece, whose vertices all have group `id`, and
 * puts those on the list of what to do that can have a cycle. */
static enum status take_apart(struct cycles *c, struct piece piece, uint32_t id)
{
    const struct scc_view view = {c->out, c->group, id, c->two_way};
    uint32_t count = piece.end - piece.begin;
    uint32_t *ends = c->space.stack;
    uint32_t components;
    uint32_t begin = 0;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < count; i++)
        c->space.index[c->list[piece.begin + i]] = 0;
    st = scc_search(&c->pace, &view, &c->space, c->list + piece.begin, count,
                    &components);
    if (st == ST_OK)
        st = sort_piece(c, piece, ends);
    for (uint32_t i = 0; st == ST_OK && i < components; i++) {
        struct piece part = {piece.begin + begin, piece.begin + ends[i]};
        bool small = ends[i] - begin < (c->two_way ? 3 : 2);

        for (uint32_t k = part.begin; st == ST_OK && k < part.end; k++) {
            c->group[c->list[k]] = small ? NO_VERTEX : part.begin;
            st = pace_tick(&c->pace);
        }
        if (!small)
            c->todo[c->todo_count++] = part;
        begin = ends[i];
    }
    return st;
}

/* What it costs to find the components of a piece. */
static enum status cost_of(struct cycles *c, struct piece piece, uint64_t *ret)
{
    *ret = 0;
    for (uint32_t i = piece.begin; i < piece.end; i++) {
        enum status st = pace_tick(&c->pace);

        if (st < 0)
            return st;
        *ret += 1 + csr_degree(c->out, c->list[i]);
    }
    return ST_OK;
}

static enum status search_component(struct cycles *c, struct piece piece)
{
    uint64_t whole;
    enum status st = cost_of(c, piece, &whole);

    c->bounded = c->length_max < piece.end - piece.begin;
    c->cost = 0;
    while (st == ST_OK && piece.begin < piece.end && !is_full(c)) {
        uint32_t s = c->list[piece.begin++];
        uint32_t id = c->group[s];
        uint64_t found = cycles_found(c);
        uint64_t before = c->cost;

        st = cycles_through(c, s);
        /* What was found pays for the search. */
        if (cycles_found(c) > found)
            c->cost = before;
        if (st == ST_OK && c->cost > whole)
            return take_apart(c, piece, id);
    }
    return st;
}

/* --- the whole ---------------------------------------------------------- */

static enum status list_loops(struct cycles *c)
{
    for (uint32_t v = 0; v < c->out->n && !is_full(c); v++) {
        uint64_t entry;
        enum status st = pace_tick(&c->pace);

        if (st == ST_OK && csr_find(c->out, v, v, &entry))
            st = list_cycle(c, &v, 1);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

static enum status cycles_search(struct cycles *c)
{
    uint32_t n = c->out->n;
    enum status st = ST_OK;

    for (uint32_t v = 0; v < n; v++) {
        c->list[v] = v;
        c->group[v] = 0;
    }
    if (!c->two_way)
        st = list_loops(c);
    if (st == ST_OK && c->length_max >= (c->two_way ? 3 : 2))
        st = take_apart(c, (struct piece){0, n}, 0);
    while (st == ST_OK && c->todo_count > 0 && !is_full(c))
        st = search_component(c, c->todo[--c->todo_count]);
    return st;
}

static enum status cycles_init(struct run *run,
                               const struct projection *projection,
                               const struct param *params, struct cycles *c)
{
    uint32_t n = projection->n;
    enum status st;

    *c = (struct cycles){
        .pace = {.run = run},
        .out = projection->out,
        .in = projection->in,
        .two_way = projection->undirected,
        .length_max = (uint32_t)params[CYCLES_MAX_LENGTH].u64,
        .limit = params[CYCLES_LIMIT].u64,
        .ends = {.size = sizeof(uint64_t)},
        .vertices = {.size = sizeof(uint32_t)},
    };
    st = scc_space_init(run, n, &c->space);
    if (st < 0)
        return st;
    c->group = run_alloc(run, n, sizeof(uint32_t));
    c->list = c->group ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    c->todo = c->list ? run_alloc(run, n, sizeof(struct piece)) : NULL;
    c->lock = c->todo ? run_zalloc(run, n, sizeof(uint32_t)) : NULL;
    c->distance = c->lock ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    c->reached = c->distance ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    c->queue = c->reached ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    c->path = c->queue ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    c->on_path = c->path ? run_zalloc(run, n, sizeof(uint8_t)) : NULL;
    if (!c->on_path)
        return run_memory_status(run);
    st = growing_room(run, &c->ends, 1);
    if (st == ST_OK)
        ((uint64_t *)c->ends.data)[c->ends.count++] = 0;
    return st;
}

static void cycles_free(struct cycles *c)
{
    struct run *run = c->pace.run;
    uint32_t n = c->out->n;

    scc_space_free(run, &c->space);
    run_free(run, c->group, n, sizeof(uint32_t));
    run_free(run, c->list, n, sizeof(uint32_t));
    run_free(run, c->todo, n, sizeof(struct piece));
    run_free(run, c->lock, n, sizeof(uint32_t));
    run_free(run, c->distance, n, sizeof(uint32_t));
    run_free(run, c->reached, n, sizeof(uint32_t));
    run_free(run, c->queue, n, sizeof(uint32_t));
    run_free(run, c->path, n, sizeof(uint32_t));
    run_free(run, c->on_path, n, sizeof(uint8_t));
    growing_free(run, &c->ends);
    growing_free(run, &c->vertices);
}

static enum status cycles_result(struct cycles *c, struct result *ret)
{
    struct run *run = c->pace.run;
    bool complete = !is_full(c);
    enum status st;

    if (!complete)
        c->ends.count--;
    st = growing_trim(run, &c->ends);
    if (st == ST_OK)
        st = growing_trim(run, &c->vertices);
    if (st < 0)
        return st;
    ret->rows = cycles_found(c);
    result_lists(ret, "cycle", c->ends.data, c->vertices.data);
    result_u64(ret, "cycles", ret->rows);
    result_u64(ret, "complete", complete);
    c->ends.data = NULL;
    c->ends.room = 0;
    c->vertices.data = NULL;
    c->vertices.room = 0;
    return ST_OK;
}

static enum status cycles_run(struct run *run,
                              const struct projection *projection,
                              const struct param *params, struct result *ret)
{
    struct cycles c;
    enum status st = cycles_init(run, projection, params, &c);

    if (st == ST_OK)
        st = cycles_search(&c);
    if (st == ST_OK)
        st = cycles_result(&c, ret);
    cycles_free(&c);
    return st;
}

static uint64_t cycles_estimate(const struct projection *shape,
                                const struct param *params, unsigned threads)
{
    uint64_t length = params[CYCLES_MAX_LENGTH].u64;
    uint64_t limit = params[CYCLES_LIMIT].u64;
    uint64_t n = shape->n;
    uint64_t vertices;

    (void)threads;
    if (length > n)
        length = n;
    /* Any number of vertices that no machine has will do. */
    if (__builtin_mul_overflow(limit, length, &vertices) ||
        vertices > UINT64_C(1) << 56)
        vertices = UINT64_C(1) << 56;
    return scc_space_bytes(n) + 7 * block_bytes(n, sizeof(uint32_t)) +
           block_bytes(n, sizeof(struct piece)) + block_bytes(n, 1) +
           growing_bytes(limit + 2, sizeof(uint64_t)) +
           growing_bytes(vertices, sizeof(uint32_t));
}

const struct algorithm cycles_algorithm = {
    .name = "cycles",
    .needs = NEED_OUT | NEED_IN,
    .params = cycles_params,
    .param_count = CYCLES_PARAMS,
    .columns = {"cycle"},
    .estimate = cycles_estimate,
    .run = cycles_run,
};
