/*
 * graph_naive.c -- lists of edges, and slow answers about them.
 */
#include "support/graph_naive.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* --- graphs ------------------------------------------------------------- */

static void *some(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);

    assert_non_null(block);
    return block;
}

void naive_init(struct naive_graph *graph, uint32_t n, bool directed,
                bool weighted)
{
    *graph = (struct naive_graph){
        .directed = directed, .weighted = weighted, .n = n};
}

void naive_add(struct naive_graph *graph, uint32_t from, uint32_t to,
               double weight)
{
    if (graph->m == graph->capacity) {
        graph->capacity = graph->capacity ? graph->capacity * 2 : 16;
        graph->from = realloc(graph->from, graph->capacity * sizeof(uint32_t));
        graph->to = realloc(graph->to, graph->capacity * sizeof(uint32_t));
        graph->weight =
            realloc(graph->weight, graph->capacity * sizeof(double));
        assert_true(graph->from && graph->to && graph->weight);
    }
    graph->from[graph->m] = from;
    graph->to[graph->m] = to;
    graph->weight[graph->m++] = graph->weighted ? weight : 1;
}

void naive_free(struct naive_graph *graph)
{
    free(graph->from);
    free(graph->to);
    free(graph->weight);
    *graph = (struct naive_graph){0};
}

void naive_print(const struct naive_graph *graph)
{
    fprintf(stderr, "%s, %s, %u vertices, %u edges:",
            graph->directed ? "directed" : "undirected",
            graph->weighted ? "weighted" : "unweighted", graph->n, graph->m);
    for (uint32_t e = 0; e < graph->m; e++) {
        fprintf(stderr, " %u-%u", graph->from[e], graph->to[e]);
        if (graph->weighted)
            fprintf(stderr, ":%.17g", graph->weight[e]);
    }
    fprintf(stderr, "\n");
}

/* Whether there is an edge between the two, either way. */
static bool adjacent(const struct naive_graph *graph, uint32_t a, uint32_t b)
{
    for (uint32_t e = 0; e < graph->m; e++)
        if ((graph->from[e] == a && graph->to[e] == b) ||
            (graph->from[e] == b && graph->to[e] == a))
            return true;
    return false;
}

enum weights_kind { FROM_NOUGHT, FROM_ONE, FRACTIONS, FEW_FRACTIONS, KINDS };

static double random_weight(struct random *random, enum weights_kind kind)
{
    switch (kind) {
    case FROM_NOUGHT:
        return (double)random_below(random, 4);
    case FROM_ONE:
        return 1 + (double)random_below(random, 20);
    case FRACTIONS:
        return (double)(random_next(random) >> 11) * 0x1p-53;
    default:
        return 0.25 * (double)random_below(random, 5);
    }
}

static void random_edges(struct naive_graph *graph, struct random *random,
                         uint64_t count, bool simple, enum weights_kind kind)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t a = (uint32_t)random_below(random, graph->n);
        uint32_t b = (uint32_t)random_below(random, graph->n);
        bool again = !simple && graph->m && random_below(random, 8) == 0;

        if (again) { /* parallel to one, or facing it */
            uint32_t e = (uint32_t)random_below(random, graph->m);
            bool turned = random_below(random, 2);

            a = turned ? graph->to[e] : graph->from[e];
            b = turned ? graph->from[e] : graph->to[e];
        }
        if (!simple || (a != b && !adjacent(graph, a, b)))
            naive_add(graph, a, b, random_weight(random, kind));
    }
}

/* Edges of one shape, from one vertex number to the next. */
static void shaped_edges(struct naive_graph *graph, struct random *random,
                         enum weights_kind kind)
{
    uint64_t shape = random_below(random, 4);

    for (uint32_t v = 1; v < graph->n; v++) {
        uint32_t other = shape == 0   ? 0
                         : shape == 1 ? (uint32_t)random_below(random, v)
                                      : v - 1;
        bool turned = random_below(random, 4) == 0;

        naive_add(graph, turned ? v : other, turned ? other : v,
                  random_weight(random, kind));
    }
    if (shape == 3 && graph->n > 2)
        naive_add(graph, graph->n - 1, 0, random_weight(random, kind));
}

void naive_random(struct naive_graph *graph, struct random *random,
                  uint32_t n_max, bool directed, bool weighted, bool simple)
{
    uint32_t n = (uint32_t)random_below(random, (uint64_t)n_max + 1);
    enum weights_kind kind = random_below(random, KINDS);

    naive_init(graph, n, directed, weighted);
    if (n == 0)
        return;
    if (random_below(random, 5) == 0)
        shaped_edges(graph, random, kind);
    random_edges(
        graph, random,
        random_below(random, (uint64_t)n * (1 + random_below(random, 5))),
        simple, kind);
}

void naive_karate(struct naive_graph *graph)
{
    /* Neighbours with a larger number, by vertex; 0 ends a row. */
    static const uint8_t rows[][17] = {
        {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31},
        {2, 3, 7, 13, 17, 19, 21, 30},
        {3, 7, 8, 9, 13, 27, 28, 32},
        {7, 12, 13},
        {6, 10},
        {6, 10, 16},
        {16},
        {0},
        {30, 32, 33},
        {33},
        {0},
        {0},
        {0},
        {33},
        {32, 33},
        {32, 33},
        {0},
        {0},
        {32, 33},
        {33},
        {32, 33},
        {0},
        {32, 33},
        {25, 27, 29, 32, 33},
        {25, 27, 31},
        {31},
        {29, 33},
        {33},
        {31, 33},
        {32, 33},
        {32, 33},
        {32, 33},
        {33},
        {0},
    };

    naive_init(graph, 34, false, false);
    for (uint32_t v = 0; v < 34; v++)
        for (unsigned i = 0; rows[v][i]; i++)
            naive_add(graph, v, rows[v][i], 1);
}

void naive_petersen(struct naive_graph *graph)
{
    naive_init(graph, 10, false, false);
    for (uint32_t v = 0; v < 5; v++) {
        naive_add(graph, v, (v + 1) % 5, 1);
        naive_add(graph, v, v + 5, 1);
        naive_add(graph, v + 5, (v + 2) % 5 + 5, 1);
    }
}

void naive_barbell(struct naive_graph *graph, uint32_t clique, uint32_t path)
{
    uint32_t n = 2 * clique + path;

    naive_init(graph, n, false, false);
    for (uint32_t a = 0; a < clique; a++)
        for (uint32_t b = 0; b < a; b++) {
            naive_add(graph, a, b, 1);
            naive_add(graph, n - 1 - a, n - 1 - b, 1);
        }
    for (uint32_t v = clique - 1; v <= clique + path - 1; v++)
        naive_add(graph, v, v + 1, 1);
}

void naive_grid(struct naive_graph *graph, uint32_t rows, uint32_t columns,
                bool directed)
{
    naive_init(graph, rows * columns, directed, false);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < columns; c++) {
            if (c + 1 < columns)
                naive_add(graph, r * columns + c, r * columns + c + 1, 1);
            if (r + 1 < rows)
                naive_add(graph, r * columns + c, (r + 1) * columns + c, 1);
        }
}

void naive_complete(struct naive_graph *graph, uint32_t n, bool directed)
{
    naive_init(graph, n, directed, false);
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++)
            if (a < b || (directed && a != b))
                naive_add(graph, a, b, 1);
}

/* --- projections -------------------------------------------------------- */

/* The ways along edges: of an undirected one both, but one along a loop. */
static struct naive_graph ways_of(const struct naive_graph *graph)
{
    struct naive_graph ways;

    naive_init(&ways, graph->n, true, graph->weighted);
    for (uint32_t e = 0; e < graph->m; e++) {
        naive_add(&ways, graph->from[e], graph->to[e], graph->weight[e]);
        if (!graph->directed && graph->from[e] != graph->to[e])
            naive_add(&ways, graph->to[e], graph->from[e], graph->weight[e]);
    }
    return ways;
}

static void build(const struct naive_graph *graph, struct run *run,
                  struct csr *ret)
{
    assert_int_equal(csr_build(run, graph->n, graph->m, graph->from, graph->to,
                               graph->weighted ? graph->weight : NULL, ret),
                     ST_OK);
    assert_true(csr_check(ret));
}

void naive_project(const struct naive_graph *graph, struct naive_image *ret)
{
    struct run run;

    *ret = (struct naive_image){0};
    mem_init(&ret->mem, 0);
    run_init(&run, &ret->mem);
    ret->projection =
        (struct projection){.n = graph->n,
                            .edges = graph->m,
                            .undirected = !graph->directed,
                            .out = &ret->out,
                            .in = graph->directed ? &ret->in : &ret->out,
                            .both = graph->directed ? &ret->both : &ret->out};
    if (graph->directed) {
        build(graph, &run, &ret->out);
        assert_int_equal(csr_transpose(&run, &ret->out, &ret->in), ST_OK);
        assert_int_equal(csr_union(&run, &ret->out, &ret->in, &ret->both),
                         ST_OK);
    } else {
        struct naive_graph ways = ways_of(graph);

        build(&ways, &run, &ret->out);
        naive_free(&ways);
    }
}

size_t naive_image_bytes(const struct naive_image *image)
{
    return csr_bytes(&image->out) + csr_bytes(&image->in) +
           csr_bytes(&image->both);
}

void naive_image_free(struct naive_image *image)
{
    assert_int_equal(image->mem.used, naive_image_bytes(image));
    csr_free(&image->mem, &image->out);
    csr_free(&image->mem, &image->in);
    csr_free(&image->mem, &image->both);
    assert_int_equal(image->mem.used, 0);
}

/* --- Graphalytics ------------------------------------------------------- */

void naive_bfs(const struct naive_graph *graph, uint32_t source,
               uint64_t *level)
{
    struct naive_graph ways = ways_of(graph);
    bool changed = true;

    for (uint32_t v = 0; v < graph->n; v++)
        level[v] = NAIVE_UNREACHED;
    level[source] = 0;
    while (changed) {
        changed = false;
        for (uint32_t e = 0; e < ways.m; e++) {
            uint64_t from = level[ways.from[e]];

            if (from != NAIVE_UNREACHED && from + 1 < level[ways.to[e]]) {
                level[ways.to[e]] = from + 1;
                changed = true;
            }
        }
    }
    naive_free(&ways);
}

void naive_sssp(const struct naive_graph *graph, uint32_t source,
                double *distance)
{
    struct naive_graph ways = ways_of(graph);
    bool changed = true;

    for (uint32_t v = 0; v < graph->n; v++)
        distance[v] = INFINITY;
    distance[source] = 0;
    while (changed) {
        changed = false;
        for (uint32_t e = 0; e < ways.m; e++) {
            double through = distance[ways.from[e]] + ways.weight[e];

            if (through < distance[ways.to[e]]) {
                distance[ways.to[e]] = through;
                changed = true;
            }
        }
    }
    naive_free(&ways);
}

void naive_page_rank(const struct naive_graph *graph, double damping,
                     unsigned iterations, double *rank)
{
    struct naive_graph ways = ways_of(graph);
    double n = graph->n;
    double *last = some(graph->n, sizeof(double));
    uint32_t *degree = some(graph->n, sizeof(uint32_t));

    for (uint32_t e = 0; e < ways.m; e++)
        degree[ways.from[e]]++;
    for (uint32_t v = 0; v < graph->n; v++)
        rank[v] = 1 / n;
    for (unsigned i = 0; i < iterations; i++) {
        double sinks = 0;

        for (uint32_t v = 0; v < graph->n; v++) {
            last[v] = rank[v];
            if (!degree[v])
                sinks += rank[v];
        }
        for (uint32_t v = 0; v < graph->n; v++)
            rank[v] = (1 - damping) / n + damping / n * sinks;
        for (uint32_t e = 0; e < ways.m; e++)
            rank[ways.to[e]] +=
                damping * last[ways.from[e]] / degree[ways.from[e]];
    }
    free(last);
    free(degree);
    naive_free(&ways);
}

void naive_wcc(const struct naive_graph *graph, uint32_t *smallest)
{
    bool changed = true;

    for (uint32_t v = 0; v < graph->n; v++)
        smallest[v] = v;
    while (changed) {
        changed = false;
        for (uint32_t e = 0; e < graph->m; e++) {
            uint32_t *a = &smallest[graph->from[e]];
            uint32_t *b = &smallest[graph->to[e]];

            if (*a != *b) {
                *a = *b = *a < *b ? *a : *b;
                changed = true;
            }
        }
    }
}

void naive_cdlp(const struct naive_graph *graph, unsigned iterations,
                uint64_t *label)
{
    uint32_t n = graph->n;
    uint64_t *last = some(n, sizeof(uint64_t));
    uint32_t *count = some(n, sizeof(uint32_t));

    for (uint32_t v = 0; v < n; v++)
        label[v] = v;
    for (unsigned i = 0; i < iterations; i++) {
        memcpy(last, label, n * sizeof(uint64_t));
        for (uint32_t v = 0; v < n; v++) {
            uint32_t most = 0;

            memset(count, 0, n * sizeof(uint32_t));
            for (uint32_t e = 0; e < graph->m; e++) {
                bool loop = graph->from[e] == graph->to[e];

                if (graph->from[e] == v)
                    count[last[graph->to[e]]]++;
                if (graph->to[e] == v && (!loop || graph->directed))
                    count[last[graph->from[e]]]++;
            }
            for (uint32_t l = n; l-- > 0;)
                if (count[l] && count[l] >= most) {
                    most = count[l];
                    label[v] = l;
                }
        }
    }
    free(last);
    free(count);
}

void naive_lcc(const struct naive_graph *graph, double *lcc)
{
    uint32_t n = graph->n;
    uint8_t *arc = some((size_t)n * n, 1);

    for (uint32_t e = 0; e < graph->m; e++) {
        arc[(size_t)graph->from[e] * n + graph->to[e]] = 1;
        if (!graph->directed)
            arc[(size_t)graph->to[e] * n + graph->from[e]] = 1;
    }
    for (uint32_t v = 0; v < n; v++) {
        uint64_t degree = 0;
        uint64_t found = 0;

        for (uint32_t a = 0; a < n; a++) {
            if (a == v || !(arc[(size_t)v * n + a] || arc[(size_t)a * n + v]))
                continue;
            degree++;
            for (uint32_t b = 0; b < n; b++)
                found += b != v && b != a && arc[(size_t)a * n + b] &&
                         (arc[(size_t)v * n + b] || arc[(size_t)b * n + v]);
        }
        lcc[v] =
            degree < 2 ? 0 : (double)found / (double)(degree * (degree - 1));
    }
    free(arc);
}

/* --- communities -------------------------------------------------------- */

double naive_modularity(const struct naive_graph *graph, const uint32_t *label,
                        double gamma)
{
    double *strength = some(graph->n, sizeof(double));
    double total = 0;
    double q = 0;

    for (uint32_t e = 0; e < graph->m; e++) {
        strength[label[graph->from[e]]] += graph->weight[e];
        strength[label[graph->to[e]]] += graph->weight[e];
        total += 2 * graph->weight[e];
    }
    for (uint32_t e = 0; total > 0 && e < graph->m; e++)
        if (label[graph->from[e]] == label[graph->to[e]])
            q += 2 * graph->weight[e] / total;
    for (uint32_t c = 0; total > 0 && c < graph->n; c++)
        q -= gamma * strength[c] / total * strength[c] / total;
    free(strength);
    return q;
}

/* The best that can be made of `label` by choosing for v and those above. */
static double best_from(const struct naive_graph *graph, double gamma,
                        uint32_t *label, uint32_t v, uint32_t used)
{
    double best = -DBL_MAX;

    if (v == graph->n)
        return naive_modularity(graph, label, gamma);
    for (uint32_t c = 0; c <= used; c++) {
        double q;

        label[v] = c;
        q = best_from(graph, gamma, label, v + 1, used + (c == used));
        if (q > best)
            best = q;
    }
    return best;
}

double naive_best_modularity(const struct naive_graph *graph, double gamma)
{
    uint32_t label[9];

    assert_true(graph->n <= 9);
    return best_from(graph, gamma, label, 0, 0);
}

bool naive_connected(const struct naive_graph *graph, const uint32_t *label)
{
    struct naive_graph inner;
    uint32_t *smallest = some(graph->n, sizeof(uint32_t));
    bool ret = true;

    naive_init(&inner, graph->n, false, false);
    for (uint32_t e = 0; e < graph->m; e++)
        if (graph->weight[e] > 0 &&
            label[graph->from[e]] == label[graph->to[e]])
            naive_add(&inner, graph->from[e], graph->to[e], 1);
    naive_wcc(&inner, smallest);
    for (uint32_t a = 0; a < graph->n; a++)
        for (uint32_t b = 0; b < a; b++)
            ret = ret && (label[a] == label[b]) == (smallest[a] == smallest[b]);
    naive_free(&inner);
    free(smallest);
    return ret;
}

/* --- flow --------------------------------------------------------------- */

/* Some path with room, depth first; what it lets through. */
static double push(double *room, uint32_t n, uint32_t v, uint32_t target,
                   uint8_t *seen, double most)
{
    if (v == target)
        return most;
    seen[v] = 1;
    for (uint32_t next = 0; next < n; next++) {
        double here = room[(size_t)v * n + next];
        double sent;

        if (seen[next] || here <= 0)
            continue;
        sent = push(room, n, next, target, seen, here < most ? here : most);
        if (sent > 0) {
            room[(size_t)v * n + next] -= sent;
            room[(size_t)next * n + v] += sent;
            return sent;
        }
    }
    return 0;
}

double naive_max_flow(const struct naive_graph *graph, uint32_t source,
                      uint32_t target)
{
    uint32_t n = graph->n;
    struct naive_graph ways = ways_of(graph);
    double *room = some((size_t)n * n, sizeof(double));
    uint8_t *seen = some(n, 1);
    double flow = 0;
    double sent;

    for (uint32_t e = 0; e < ways.m; e++)
        room[(size_t)ways.from[e] * n + ways.to[e]] += ways.weight[e];
    do {
        memset(seen, 0, n);
        sent = push(room, n, source, target, seen, DBL_MAX);
        flow += sent;
    } while (sent > 1e-12);
    free(room);
    free(seen);
    naive_free(&ways);
    return flow;
}
