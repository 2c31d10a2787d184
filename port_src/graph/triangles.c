/*
 * triangles.c -- triangles of each vertex, and local clustering coefficients.
 *
 * Both are about sets of neighbours: whoever has an edge with v, to it or from
 * it, counts once, and v itself does not.
 *
 *     rank     0     1     2    3      by falling number of neighbours
 *     above   [   | 0   | 0 1 | 1 2 ]  those of smaller rank
 *
 * A triangle is found once, from its vertex of greatest rank, u: the neighbours
 * above u are marked, and for each of them, v, those above v that are marked
 * close one. Nobody has more than sqrt(2 m) neighbours above, so hubs cost
 * little (Chiba and Nishizeki, "Arboricity and subgraph listing algorithms",
 * SIAM J. Computing 1985; Latapy, "Main-memory triangle computations for very
 * large (sparse (power-law)) graphs", TCS 2008). Marks are bits by rank: those
 * of the great, which are asked for most, lie together in the inner cache.
 *
 * The coefficient of v is that of LDBC Graphalytics: of all d (d - 1) pairs of
 * its d neighbours, the part that has an edge from the first to the second, or
 * 0 if d < 2. In a directed graph a triangle thus brings each of its vertices
 * one or two pairs, as the opposite side has edges one way or both ways; which
 * of them it is stands beside each entry of `above`, and in a second set of
 * marks.
 */
#include "graph/kernels.h"
#include "graph/team.h"

#define SORT_CHUNK 4096 /* vertices */
#define COUNT_CHUNK 64  /* ranks: some of them are a lot of work */

struct triangles {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    bool directed; /* pairs are counted, too */

    uint32_t *degrees; /* neighbours, each once */
    uint32_t *ranks;
    uint32_t *order;    /* vertices by rank */
    uint64_t *starts;   /* of the counting sort; then the offsets of `above` */
    uint32_t *above;    /* by rank: neighbours of smaller rank, as ranks */
    uint8_t *both_ways; /* beside them: 1 if there are edges both ways */

    uint64_t words;
    uint64_t *marks;  /* for each thread: n bits, twice if directed */
    uint64_t *counts; /* for each thread: of each rank */
    unsigned lanes;
    unsigned lanes_used; /* as many as there were threads */
    struct chunks steps[3];
    _Atomic uint64_t total;
};

/* --- neighbours --------------------------------------------------------- */

/* Walks over what v has an edge to or from, in order. */
struct neighbours {
    const struct csr *out;
    const struct csr *in;
    uint64_t a;
    uint64_t a_end;
    uint64_t b; /* nothing if undirected */
    uint64_t b_end;
    uint32_t self;
};

static struct neighbours neighbours_of(const struct triangles *graph,
                                       uint32_t v)
{
    struct neighbours walk = {.out = graph->out,
                              .in = graph->in,
                              .a = graph->out->offsets[v],
                              .a_end = graph->out->offsets[v + 1],
                              .self = v};

    if (graph->in != graph->out) {
        walk.b = graph->in->offsets[v];
        walk.b_end = graph->in->offsets[v + 1];
    }
    return walk;
}

/* The next one, and whether it is on both sides; false at the end. */
static inline bool neighbours_next(struct neighbours *walk, uint32_t *ret,
                                   bool *ret_both)
{
    const uint32_t *out = walk->out->targets;
    const uint32_t *in = walk->in->targets;

    while (walk->a < walk->a_end || walk->b < walk->b_end) {
        uint32_t x = walk->a < walk->a_end ? out[walk->a] : NO_VERTEX;
        uint32_t y = walk->b < walk->b_end ? in[walk->b] : NO_VERTEX;
        uint32_t least = x < y ? x : y;

        while (walk->a < walk->a_end && out[walk->a] == least)
            walk->a++;
        while (walk->b < walk->b_end && in[walk->b] == least)
            walk->b++;
        if (least == walk->self)
            continue;
        *ret = least;
        *ret_both = x == y;
        return true;
    }
    return false;
}

static uint64_t entries_of(const struct triangles *graph, uint32_t v)
{
    return csr_degree(graph->out, v) +
           (graph->in != graph->out ? csr_degree(graph->in, v) : 0);
}

static void count_neighbours(struct run *run, struct triangles *graph,
                             struct chunks *chunks)
{
    uint64_t work = RUN_CHECK_WORK;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, graph->n, SORT_CHUNK, &from, &to))
        for (uint32_t v = (uint32_t)from; v < to; v++) {
            struct neighbours walk = neighbours_of(graph, v);
            uint32_t degree = 0;
            uint32_t other;
            bool both;

            while (neighbours_next(&walk, &other, &both))
                degree++;
            graph->degrees[v] = degree;
            if (work_stops(run, &work, entries_of(graph, v) + 1))
                return;
        }
}

/* --- ranks -------------------------------------------------------------- */

/* A counting sort by falling degree; equal ones stay in order. */
static void rank_vertices(struct run *run, struct triangles *graph)
{
    uint64_t *starts = graph->starts; /* by degree: n of them, and one more */
    uint32_t n = graph->n;
    uint64_t sum = 0;

    run_fill(run, starts, 0, ((size_t)n + 1) * sizeof(uint64_t));
    if (run_stopped(run))
        return;
    for (uint32_t v = 0; v < n && !loop_stops(run, v); v++)
        starts[graph->degrees[v]]++;
    for (uint64_t degree = n; degree-- > 0 && !loop_stops(run, degree);) {
        uint64_t count = starts[degree];

        starts[degree] = sum;
        sum += count;
    }
    if (run_stopped(run))
        return;
    for (uint32_t v = 0; v < n && !loop_stops(run, v); v++) {
        uint32_t rank = (uint32_t)starts[graph->degrees[v]]++;

        graph->ranks[v] = rank;
        graph->order[rank] = v;
    }
}

/* Neighbours above whoever has `rank`: counted, and listed unless NULL. */
static uint64_t list_above(struct triangles *graph, uint32_t rank,
                           uint32_t *above, uint8_t *both_ways)
{
    struct neighbours walk = neighbours_of(graph, graph->order[rank]);
    uint64_t count = 0;
    uint32_t other;
    bool both;

    while (neighbours_next(&walk, &other, &both)) {
        if (graph->ranks[other] >= rank)
            continue;
        if (above)
            above[count] = graph->ranks[other];
        if (both_ways)
            both_ways[count] = both;
        count++;
    }
    return count;
}

/* starts[rank + 1]: how many there are; and then the lists. */
static void count_above(struct run *run, struct triangles *graph,
                        struct chunks *chunks, bool list)
{
    uint64_t work = RUN_CHECK_WORK;
    uint64_t from;
    uint64_t to;

    while (chunks_take(chunks, graph->n, SORT_CHUNK, &from, &to))
        for (uint32_t rank = (uint32_t)from; rank < to; rank++) {
            if (list) {
                uint64_t start = graph->starts[rank];

                list_above(graph, rank, graph->above + start,
                           graph->directed ? graph->both_ways + start : NULL);
            } else {
                graph->starts[rank + 1] = list_above(graph, rank, NULL, NULL);
            }
            if (work_stops(run, &work,
                           entries_of(graph, graph->order[rank]) + 1))
                return;
        }
}

static void degrees_team(struct run *run, void *context, unsigned thread)
{
    struct triangles *graph = context;

    count_neighbours(run, graph, &graph->steps[0]);
    run_barrier(run);
    if (thread == 0 && !run_stopped(run)) {
        rank_vertices(run, graph);
        graph->starts[0] = 0;
    }
    run_barrier(run);
    if (!run_stopped(run))
        count_above(run, graph, &graph->steps[1], false);
}

static void above_team(struct run *run, void *context, unsigned thread)
{
    struct triangles *graph = context;

    (void)thread;
    count_above(run, graph, &graph->steps[2], true);
}

/* --- triangles ---------------------------------------------------------- */

/* Those that u closes. `pairs`: counts pairs with an edge instead. */
static inline __attribute__((always_inline)) bool
close_triangles(struct run *run, const struct triangles *graph, uint32_t u,
                uint64_t *marks, uint64_t *counts, bool pairs, uint64_t *work)
{
    const uint64_t *starts = graph->starts;
    const uint32_t *above = graph->above;
    const uint8_t *both_ways = graph->both_ways;
    uint64_t *twice = marks + graph->words;
    uint64_t of_u = 0;

    for (uint64_t i = starts[u]; i < starts[u + 1]; i++) {
        uint32_t v = above[i];
        uint64_t last = starts[v + 1];
        uint64_t of_v = 0;
        unsigned uv = pairs ? 1 + both_ways[i] : 1;

        for (uint64_t j = starts[v]; j < last; j++) {
            uint32_t w = above[j];

            if (!bit_test(marks, w))
                continue;
            counts[w] += uv;
            of_v += pairs ? 1 + bit_test(twice, w) : 1;
            if (pairs)
                of_u += 1 + both_ways[j];
        }
        counts[v] += of_v;
        if (!pairs)
            of_u += of_v;
        if (work_stops(run, work, last - starts[v] + 1))
            return false;
    }
    counts[u] += of_u;
    return true;
}

static void mark(const struct triangles *graph, uint32_t u, uint64_t *marks,
                 bool on)
{
    uint64_t *twice = marks + graph->words;

    for (uint64_t i = graph->starts[u]; i < graph->starts[u + 1]; i++) {
        uint32_t v = graph->above[i];

        if (on)
            bit_set(true, marks, v);
        else
            marks[v / 64] = 0;
        if (!graph->directed)
            continue;
        if (!on)
            twice[v / 64] = 0;
        else if (graph->both_ways[i])
            bit_set(true, twice, v);
    }
}

static void count_team(struct run *run, void *context, unsigned thread)
{
    struct triangles *graph = context;
    uint64_t *marks =
        graph->marks + thread * graph->words * (graph->directed ? 2 : 1);
    uint64_t *counts = graph->counts + (uint64_t)thread * graph->n;
    uint64_t work = RUN_CHECK_WORK;
    uint64_t from;
    uint64_t to;

    if (thread == 0)
        graph->lanes_used = run->threads;
    run_fill(run, counts, 0, (size_t)graph->n * sizeof(uint64_t));
    while (chunks_take(&graph->steps[0], graph->n, COUNT_CHUNK, &from, &to))
        for (uint32_t u = (uint32_t)from; u < to; u++) {
            bool goes_on;

            mark(graph, u, marks, true);
            goes_on = graph->directed ? close_triangles(run, graph, u, marks,
                                                        counts, true, &work)
                                      : close_triangles(run, graph, u, marks,
                                                        counts, false, &work);
            mark(graph, u, marks, false);
            if (!goes_on)
                return;
        }
}

/* --- the runs ----------------------------------------------------------- */

static void triangles_free(struct run *run, struct triangles *graph,
                           uint64_t above)
{
    uint64_t n = graph->n;

    run_free(run, graph->degrees, n, sizeof(uint32_t));
    run_free(run, graph->ranks, n, sizeof(uint32_t));
    run_free(run, graph->order, n, sizeof(uint32_t));
    run_free(run, graph->starts, n + 1, sizeof(uint64_t));
    run_free(run, graph->above, above, sizeof(uint32_t));
    run_free(run, graph->both_ways, above, sizeof(uint8_t));
    run_free(run, graph->marks,
             graph->words * graph->lanes * (graph->directed ? 2 : 1),
             sizeof(uint64_t));
    run_free(run, graph->counts, n * graph->lanes, sizeof(uint64_t));
}

/* Ranks, and lists of who is above. */
static enum status build(struct run *run, struct triangles *graph,
                         uint64_t *ret_above)
{
    uint32_t n = graph->n;
    enum status st;

    graph->degrees = run_alloc(run, n, sizeof(uint32_t));
    graph->ranks = run_alloc(run, n, sizeof(uint32_t));
    graph->order = run_alloc(run, n, sizeof(uint32_t));
    graph->starts = run_alloc(run, (size_t)n + 1, sizeof(uint64_t));
    if (!graph->degrees || !graph->ranks || !graph->order || !graph->starts)
        return run_memory_status(run);
    st = run_team(run, degrees_team, graph);
    if (st < 0)
        return st;
    for (uint32_t rank = 0; rank < n; rank++)
        graph->starts[rank + 1] += graph->starts[rank];
    st = run_check(run);
    if (st < 0)
        return st;
    graph->above = run_alloc(run, graph->starts[n], sizeof(uint32_t));
    *ret_above = graph->starts[n];
    if (graph->directed)
        graph->both_ways = run_alloc(run, graph->starts[n], sizeof(uint8_t));
    if (!graph->above || (graph->directed && !graph->both_ways))
        return run_memory_status(run);
    return run_team(run, above_team, graph);
}

/* Counts of each rank in counts[0 .. n). */
static enum status count(struct run *run, struct triangles *graph)
{
    uint64_t n = graph->n;
    enum status st;

    graph->lanes = run->threads;
    graph->marks =
        run_zalloc(run, graph->words * graph->lanes * (graph->directed ? 2 : 1),
                   sizeof(uint64_t));
    graph->counts = run_alloc(run, n * graph->lanes, sizeof(uint64_t));
    if (!graph->marks || !graph->counts)
        return run_memory_status(run);
    /* If the system refuses threads there are fewer lanes. */
    atomic_store(&graph->steps[0].next, 0);
    st = run_team(run, count_team, graph);
    if (st < 0)
        return st;
    for (uint64_t i = 0; i < n && !loop_stops(run, i); i++)
        for (unsigned lane = 1; lane < graph->lanes_used; lane++)
            graph->counts[i] += graph->counts[lane * n + i];
    return (enum status)atomic_load(&run->status);
}

static enum status find_triangles(struct run *run,
                                  const struct projection *projection,
                                  struct triangles *graph, uint64_t *ret_above)
{
    enum status st;

    graph->out = projection->out;
    graph->in = projection->undirected ? projection->out : projection->in;
    graph->n = projection->n;
    graph->words = bit_words(graph->n);
    *ret_above = 0;
    st = build(run, graph, ret_above);
    return st < 0 ? st : count(run, graph);
}

static uint64_t estimate(const struct projection *shape, unsigned threads,
                         bool directed)
{
    uint64_t n = shape->n;

    return 3 * mem_charge(n * sizeof(uint32_t) + 1) +
           mem_charge((n + 1) * sizeof(uint64_t)) +
           mem_charge(shape->edges * sizeof(uint32_t) + 1) +
           mem_charge(shape->edges * sizeof(uint8_t) + 1) +
           mem_charge(bit_words(n) * threads * (directed ? 2 : 1) *
                          sizeof(uint64_t) +
                      1) +
           mem_charge(n * threads * sizeof(uint64_t) + 1) +
           mem_charge(n * sizeof(uint64_t) + 1);
}

static uint64_t triangle_count_estimate(const struct projection *shape,
                                        const struct param *params,
                                        unsigned threads)
{
    (void)params;
    return estimate(shape, threads, false);
}

static enum status triangle_count_run(struct run *run,
                                      const struct projection *projection,
                                      const struct param *params,
                                      struct result *ret)
{
    struct triangles graph = {.directed = false};
    uint32_t n = projection->n;
    uint64_t total = 0;
    uint64_t above;
    uint64_t *counts;
    enum status st = find_triangles(run, projection, &graph, &above);

    (void)params;
    if (st < 0)
        goto done;
    counts = run_alloc(run, n, sizeof(uint64_t));
    if (!counts) {
        st = run_memory_status(run);
        goto done;
    }
    for (uint32_t v = 0; v < n && !loop_stops(run, v); v++) {
        counts[v] = graph.counts[graph.ranks[v]];
        total += counts[v];
    }
    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "triangles", COLUMN_U64, counts);
    result_u64(ret, "triangles", total / 3);
    st = (enum status)atomic_load(&run->status);

done:
    triangles_free(run, &graph, above);
    return st;
}

static uint64_t lcc_estimate(const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    (void)params;
    return estimate(shape, threads, true);
}

static enum status lcc_run(struct run *run, const struct projection *projection,
                           const struct param *params, struct result *ret)
{
    bool directed = !projection->undirected;
    struct triangles graph = {.directed = directed};
    uint32_t n = projection->n;
    uint64_t pairs = 0;
    uint64_t above;
    double *coefficients;
    double sum = 0;
    enum status st = find_triangles(run, projection, &graph, &above);

    (void)params;
    if (st < 0)
        goto done;
    coefficients = run_alloc(run, n, sizeof(double));
    if (!coefficients) {
        st = run_memory_status(run);
        goto done;
    }
    for (uint32_t v = 0; v < n && !loop_stops(run, v); v++) {
        double degree = graph.degrees[v];
        uint64_t closed = graph.counts[graph.ranks[v]] * (directed ? 1 : 2);

        coefficients[v] =
            degree < 2 ? 0 : (double)closed / (degree * (degree - 1));
        sum += coefficients[v];
        pairs += closed;
    }
    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "coefficient", COLUMN_F64, coefficients);
    result_u64(ret, "pairs", pairs);
    result_f64(ret, "average", n > 0 ? sum / n : 0);
    st = (enum status)atomic_load(&run->status);

done:
    triangles_free(run, &graph, above);
    return st;
}

const struct algorithm triangle_count_algorithm = {
    .name = "triangle_count",
    .needs = NEED_OUT | NEED_IN,
    .columns = {"vertex", "triangles"},
    .estimate = triangle_count_estimate,
    .run = triangle_count_run,
};

const struct algorithm lcc_algorithm = {
    .name = "lcc",
    .needs = NEED_OUT | NEED_IN,
    .columns = {"vertex", "coefficient"},
    .estimate = lcc_estimate,
    .run = lcc_run,
};
