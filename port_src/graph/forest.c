/*
 * forest.c -- a spanning forest of least (or greatest) weight.
 *
 * O. Boruvka, "O jistem problemu minimalnim", 1926: every tree takes the
 * lightest edge that leaves it, all at once, and again, until none leaves;
 * each time at least half of those trees are gone. Edges of equal weight are
 * ordered by where they stand in the arrays, so that no two trees can choose
 * in a circle, and the forest is one and the same for a graph.
 *
 * The graph is taken as undirected: an edge of a directed one is looked at
 * from the vertex it leaves, one of an undirected one from its smaller end.
 * Weights may be negative. Loops are nothing; of edges in parallel one at most
 * is taken.
 *
 * Road not taken: Kruskal's sorts the edges, 16 bytes each; this reads them
 * log n times where they are. O(m log n), one thread; 20 bytes a vertex, and
 * as many of result.
 */
#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"
#include "graph/work.h"

#define NO_ENTRY UINT64_MAX

enum { FOREST_OBJECTIVE, FOREST_PARAMS };
enum { OBJECTIVE_MIN, OBJECTIVE_MAX };

static const char *const objectives[] = {"min", "max", NULL};

static const struct param_spec forest_params[FOREST_PARAMS] = {
    [FOREST_OBJECTIVE] = {.name = "objective",
                          .type = PARAM_CHOICE,
                          .choices = objectives,
                          .otherwise = OBJECTIVE_MIN},
};

struct forest {
    struct pace pace;
    const struct csr *out;
    bool undirected;
    bool greatest;
    uint32_t *tree; /* by vertex: its tree, named by one of its vertices */
    uint64_t *best; /* by tree: the entry to take; NO_ENTRY */
    uint32_t *best_from;
    uint32_t taken;
    uint32_t *from; /* of what was taken */
    uint32_t *to;
    double *weight;
    double sum;
};

/* Entry e is to be taken before entry `other`. */
static inline bool is_better(const struct forest *f, uint64_t e, uint64_t other)
{
    double a;
    double b;

    if (other == NO_ENTRY)
        return true;
    a = csr_weight(f->out, e);
    b = csr_weight(f->out, other);
    if (a != b)
        return f->greatest ? a > b : a < b;
    return e < other;
}

static inline void offer(struct forest *f, uint32_t tree, uint32_t from,
                         uint64_t e)
{
    if (!is_better(f, e, f->best[tree]))
        return;
    f->best[tree] = e;
    f->best_from[tree] = from;
}

/* Lets every tree find its best edge. */
static enum status choose(struct forest *f)
{
    const struct csr *out = f->out;
    enum status st = run_fill(f->pace.run, f->best, 0xFF,
                              (size_t)out->n * sizeof(f->best[0]));

    if (st < 0)
        return st;
    for (uint32_t v = 0; v < out->n; v++) {
        st = pace_tick(&f->pace);
        if (st < 0)
            return st;
        for (uint64_t e = out->offsets[v]; e < out->offsets[v + 1]; e++) {
            uint32_t w = out->targets[e];

            st = pace_tick(&f->pace);
            if (st < 0)
                return st;
            if (f->tree[v] == f->tree[w] || (f->undirected && w < v))
                continue;
            offer(f, f->tree[v], v, e);
            offer(f, f->tree[w], v, e);
        }
    }
    return ST_OK;
}

/* The name of v's tree; halves the way there for the next one who asks. */
static uint32_t find_tree(uint32_t *tree, uint32_t v)
{
    while (tree[v] != v) {
        tree[v] = tree[tree[v]];
        v = tree[v];
    }
    return v;
}

/* Takes what was chosen. Two trees may have chosen the same edge. */
static enum status take(struct forest *f)
{
    for (uint32_t v = 0; v < f->out->n; v++) {
        uint64_t e = f->best[v];
        enum status st = pace_tick(&f->pace);
        uint32_t a;
        uint32_t b;

        if (st < 0)
            return st;
        if (e == NO_ENTRY)
            continue;
        a = find_tree(f->tree, f->best_from[v]);
        b = find_tree(f->tree, f->out->targets[e]);
        if (a == b)
            continue;
        f->tree[a > b ? a : b] = a > b ? b : a;
        f->from[f->taken] = f->best_from[v];
        f->to[f->taken] = f->out->targets[e];
        f->weight[f->taken] = csr_weight(f->out, e);
        f->sum += f->weight[f->taken];
        f->taken++;
    }
    for (uint32_t v = 0; v < f->out->n; v++) {
        enum status st = pace_tick(&f->pace);

        if (st < 0)
            return st;
        f->tree[v] = find_tree(f->tree, v);
    }
    return ST_OK;
}

static enum status grow(struct forest *f)
{
    uint32_t before;

    for (uint32_t v = 0; v < f->out->n; v++)
        f->tree[v] = v;
    do {
        enum status st = choose(f);

        before = f->taken;
        if (st == ST_OK)
            st = take(f);
        if (st < 0)
            return st;
    } while (f->taken > before);
    return ST_OK;
}

/* A block of `room` elements of `size`, cut to those that are taken. */
static enum status trim(struct forest *f, void **block, uint32_t room,
                        size_t size)
{
    struct growing array = {*block, size, f->taken, room};
    enum status st = growing_trim(f->pace.run, &array);

    if (st == ST_OK)
        *block = array.data;
    return st;
}

static enum status forest_result(struct forest *f, struct result *ret)
{
    uint32_t n = f->out->n;
    void *columns[3] = {f->from, f->to, f->weight};
    static const size_t sizes[3] = {sizeof(uint32_t), sizeof(uint32_t),
                                    sizeof(double)};
    enum status st = ST_OK;
    unsigned cut = 0;

    while (cut < 3 && st == ST_OK) {
        st = trim(f, &columns[cut], n, sizes[cut]);
        cut += st == ST_OK;
    }
    f->from = f->to = NULL;
    f->weight = NULL;
    if (st < 0) {
        for (unsigned i = 0; i < 3; i++)
            run_free(f->pace.run, columns[i], i < cut ? f->taken : n, sizes[i]);
        return st;
    }
    ret->rows = f->taken;
    result_column(ret, "from", COLUMN_VERTEX, columns[0]);
    result_column(ret, "to", COLUMN_VERTEX, columns[1]);
    result_column(ret, "weight", COLUMN_F64, columns[2]);
    result_f64(ret, "weight", f->sum);
    result_u64(ret, "trees", n - f->taken);
    return ST_OK;
}

static enum status forest_run(struct run *run,
                              const struct projection *projection,
                              const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    struct forest f = {
        .pace = {.run = run},
        .out = projection->out,
        .undirected = projection->undirected,
        .greatest = params[FOREST_OBJECTIVE].u64 == OBJECTIVE_MAX,
    };
    enum status st;

    f.tree = run_alloc(run, n, sizeof(uint32_t));
    f.best = f.tree ? run_alloc(run, n, sizeof(uint64_t)) : NULL;
    f.best_from = f.best ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    f.from = f.best_from ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    f.to = f.from ? run_alloc(run, n, sizeof(uint32_t)) : NULL;
    f.weight = f.to ? run_alloc(run, n, sizeof(double)) : NULL;
    st = f.weight ? grow(&f) : run_memory_status(run);
    if (st == ST_OK)
        st = forest_result(&f, ret);
    run_free(run, f.tree, n, sizeof(uint32_t));
    run_free(run, f.best, n, sizeof(uint64_t));
    run_free(run, f.best_from, n, sizeof(uint32_t));
    run_free(run, f.from, n, sizeof(uint32_t));
    run_free(run, f.to, n, sizeof(uint32_t));
    run_free(run, f.weight, n, sizeof(double));
    return st;
}

static uint64_t forest_estimate(const struct projection *shape,
                                const struct param *params, unsigned threads)
{
    (void)params;
    (void)threads;
    return 4 * block_bytes(shape->n, sizeof(uint32_t)) +
           2 * block_bytes(shape->n, sizeof(uint64_t));
}

const struct algorithm spanning_forest_algorithm = {
    .name = "spanning_forest",
    .needs = NEED_OUT | NEED_WEIGHTS,
    .params = forest_params,
    .param_count = FOREST_PARAMS,
    .columns = {"from", "to", "weight"},
    .estimate = forest_estimate,
    .run = forest_run,
};
