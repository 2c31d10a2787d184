/*
 * bicon.c -- where a graph comes apart: bridges and articulation points.
 *
 * J. Hopcroft and R. Tarjan, "Algorithm 447: efficient algorithms for graph
 * manipulation", CACM 16(6), 1973. A depth-first search numbers vertices as it
 * meets them; low[v] is the smallest number that v's subtree has an edge to.
 * If that is not before v, then the edge to v is a bridge; if a child's is not
 * before v, then v parts that child from the rest, and is an articulation
 * point unless it is a root with no other child.
 *
 * The graph is taken as undirected. Edges in parallel, a -> b and b -> a among
 * them, are no bridges: they are entries next to each other, so the edge that
 * a vertex was come to by has an equal before or behind it. Loops are nothing.
 *
 * The path is kept in parent[], where recursion would have had it.
 * O(n + m), one thread; 21 bytes a vertex.
 */
#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"
#include "graph/work.h"

#define FOUND_BRIDGE 1 /* the edge from its parent to the vertex */
#define FOUND_POINT 2  /* the vertex */

struct bicon {
    struct pace pace;
    const struct csr *both;
    uint32_t *number; /* 0: not met */
    uint32_t *low;
    uint32_t *parent;
    uint64_t *next;
    uint8_t *found;
    uint64_t bridges;
    uint64_t points;
};

static enum status bicon_init(struct run *run, const struct csr *both,
                              struct bicon *ret)
{
    uint32_t n = both->n;
    struct bicon b = {
        .pace = {.run = run, .total = both->m + 2ull * n},
        .both = both,
    };

    b.number = run_zalloc(run, n, sizeof(uint32_t));
    b.low = b.number ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    b.parent = b.low ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    b.next = b.parent ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    b.found = b.next ? run_zalloc(run, n, sizeof(uint8_t)) : NULL;
    *ret = b;
    return b.found ? ST_OK : run_memory_status(run);
}

static void bicon_free(struct bicon *b)
{
    struct run *run = b->pace.run;
    uint32_t n = b->both->n;

    run_free(run, b->number, n, sizeof(uint32_t));
    run_free(run, b->low, n, sizeof(uint32_t));
    run_free(run, b->parent, n, sizeof(uint32_t));
    run_free(run, b->next, n, sizeof(uint64_t));
    run_free(run, b->found, n, sizeof(uint8_t));
}

static uint64_t bicon_bytes(uint64_t n)
{
    return 3 * block_bytes(n, sizeof(uint32_t)) +
           block_bytes(n, sizeof(uint64_t)) + block_bytes(n, 1);
}

/* Entry e of v is the only one that leads where it leads. */
static bool is_single(const struct csr *csr, uint32_t v, uint64_t e)
{
    uint32_t w = csr->targets[e];

    return (e == csr->offsets[v] || csr->targets[e - 1] != w) &&
           (e + 1 == csr->offsets[v + 1] || csr->targets[e + 1] != w);
}

/* Looks at the edges of v that are left, up to one to a vertex that was not
 * met; that vertex, or NO_VERTEX at the end. */
static enum status next_child(struct bicon *b, uint32_t v, uint32_t *ret)
{
    const struct csr *csr = b->both;

    *ret = NO_VERTEX;
    for (uint64_t e = b->next[v]; e < csr->offsets[v + 1]; e++) {
        uint32_t w = csr->targets[e];
        enum status st = pace_tick(&b->pace);

        if (st < 0)
            return st;
        if (!b->number[w]) {
            b->next[v] = e + 1;
            *ret = w;
            return ST_OK;
        }
        if (w == b->parent[v] && is_single(csr, v, e))
            continue;
        if (b->number[w] < b->low[v])
            b->low[v] = b->number[w];
    }
    return ST_OK;
}

/* All below v is done; `p` is its parent. */
static void close_child(struct bicon *b, uint32_t v, uint32_t p)
{
    if (b->low[v] < b->low[p])
        b->low[p] = b->low[v];
    if (b->low[v] == b->number[v]) {
        b->found[v] |= FOUND_BRIDGE;
        b->bridges++;
    }
    if (b->low[v] >= b->number[p] && b->parent[p] != NO_VERTEX &&
        !(b->found[p] & FOUND_POINT)) {
        b->found[p] |= FOUND_POINT;
        b->points++;
    }
}

static enum status search_from(struct bicon *b, uint32_t root, uint32_t *number)
{
    uint32_t v = root;
    uint32_t children = 0;

    b->parent[root] = NO_VERTEX;
    b->number[root] = b->low[root] = ++*number;
    b->next[root] = b->both->offsets[root];
    while (v != NO_VERTEX) {
        uint32_t w;
        uint32_t p;
        enum status st = next_child(b, v, &w);

        if (st < 0)
            return st;
        if (w != NO_VERTEX) {
            b->parent[w] = v;
            b->number[w] = b->low[w] = ++*number;
            b->next[w] = b->both->offsets[w];
            v = w;
            continue;
        }
        p = b->parent[v];
        if (p != NO_VERTEX)
            close_child(b, v, p);
        children += p == root;
        v = p;
    }
    if (children > 1) {
        b->found[root] |= FOUND_POINT;
        b->points++;
    }
    return ST_OK;
}

static enum status search_all(struct bicon *b)
{
    uint32_t number = 0;

    for (uint32_t v = 0; v < b->both->n; v++) {
        enum status st = pace_tick(&b->pace);

        if (st == ST_OK && !b->number[v])
            st = search_from(b, v, &number);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* --- articulation_points ------------------------------------------------ */

static enum status points_run(struct run *run,
                              const struct projection *projection,
                              const struct param *params, struct result *ret)
{
    struct bicon b;
    enum status st = bicon_init(run, projection->both, &b);

    (void)params;
    if (st == ST_OK)
        st = search_all(&b);
    if (st == ST_OK) {
        for (uint32_t v = 0; v < projection->n; v++)
            b.found[v] = (b.found[v] & FOUND_POINT) != 0;
        ret->per_vertex = true;
        ret->rows = projection->n;
        result_column(ret, "articulation_point", COLUMN_BOOL, b.found);
        result_u64(ret, "articulation_points", b.points);
        b.found = NULL;
    }
    bicon_free(&b);
    return st;
}

static uint64_t points_estimate(const struct projection *shape,
                                const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return bicon_bytes(shape->n);
}

const struct algorithm articulation_points_algorithm = {
    .name = "articulation_points",
    .needs = NEED_BOTH,
    .columns = {"vertex", "articulation_point"},
    .estimate = points_estimate,
    .run = points_run,
};

/* --- bridges ------------------------------------------------------------ */

/* As the edge has them; of an undirected one the smaller first. */
static void put_ends(const struct projection *projection, uint32_t u,
                     uint32_t v, uint32_t *ret_from, uint32_t *ret_to)
{
    uint64_t entry;
    bool forwards = projection->undirected
                        ? u < v
                        : csr_find(projection->out, u, v, &entry);

    *ret_from = forwards ? u : v;
    *ret_to = forwards ? v : u;
}

static enum status list_bridges(struct bicon *b,
                                const struct projection *projection,
                                struct result *ret)
{
    struct run *run = b->pace.run;
    uint32_t *from = run_alloc(run, b->bridges, sizeof(uint32_t));
    uint32_t *to = from ? run_alloc(run, b->bridges, sizeof(uint32_t)) : NULL;
    uint64_t row = 0;
    enum status st = to ? ST_OK : run_memory_status(run);

    for (uint32_t v = 0; st == ST_OK && v < projection->n; v++) {
        if (b->found[v] & FOUND_BRIDGE) {
            put_ends(projection, b->parent[v], v, &from[row], &to[row]);
            row++;
        }
        st = pace_tick(&b->pace);
    }
    if (st < 0) {
        run_free(run, from, b->bridges, sizeof(uint32_t));
        run_free(run, to, b->bridges, sizeof(uint32_t));
        return st;
    }
    ret->rows = b->bridges;
    result_column(ret, "from", COLUMN_VERTEX, from);
    result_column(ret, "to", COLUMN_VERTEX, to);
    result_u64(ret, "bridges", b->bridges);
    return ST_OK;
}

static enum status bridges_run(struct run *run,
                               const struct projection *projection,
                               const struct param *params, struct result *ret)
{
    struct bicon b;
    enum status st = bicon_init(run, projection->both, &b);

    (void)params;
    if (st == ST_OK)
        st = search_all(&b);
    if (st == ST_OK)
        st = list_bridges(&b, projection, ret);
    bicon_free(&b);
    return st;
}

static uint64_t bridges_estimate(const struct projection *shape,
                                 const struct param *params, unsigned threads)
{
    uint64_t most = shape->edges < shape->n ? shape->edges : shape->n;

    (void)params;
    (void)threads;
    return bicon_bytes(shape->n) + 2 * block_bytes(most, sizeof(uint32_t));
}

const struct algorithm bridges_algorithm = {
    .name = "bridges",
    .needs = NEED_BOTH | NEED_OUT,
    .columns = {"from", "to"},
    .estimate = bridges_estimate,
    .run = bridges_run,
};
