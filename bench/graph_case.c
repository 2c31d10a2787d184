/*
 * graph_case.c -- a seeded Kronecker generator, and runs of algorithms.
 */
#include "graph_case.h"

#include <stdlib.h>

#include "graph/algorithm.h"

#define EDGES_PER_VERTEX 16
#define SOURCES_MAX 64

struct graph_case {
    struct mem mem;
    struct csr plain;
    struct csr weighted; /* shares its arrays with the plain one */
};

/* splitmix64 of harness.h. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t next_random(uint64_t *state)
{
    return mix(*state += 0x9e3779b97f4a7c15u);
}

/* One edge: in each of `scale` steps a quadrant of the matrix. */
static void draw_edge(uint64_t *state, unsigned scale, uint32_t *ret_from,
                      uint32_t *ret_to)
{
    uint32_t from = 0;
    uint32_t to = 0;

    for (unsigned i = 0; i < scale; i++) {
        uint32_t percent = (uint32_t)((next_random(state) >> 32) * 100 >> 32);

        from = from << 1 | (percent >= 57 + 19);
        to = to << 1 |
             ((percent >= 57 && percent < 57 + 19) || percent >= 57 + 38);
    }
    *ret_from = from;
    *ret_to = to;
}

/* Keeps one of each run of equal targets, and no loop. */
static void make_simple(struct csr *csr)
{
    uint64_t place = 0;
    uint64_t e = 0;

    for (uint32_t v = 0; v < csr->n; v++) {
        uint64_t first = place;

        for (; e < csr->offsets[v + 1]; e++) {
            uint32_t to = csr->targets[e];

            if (to != v && (place == first || csr->targets[place - 1] != to))
                csr->targets[place++] = to;
        }
        csr->offsets[v + 1] = place;
    }
}

static bool copy_simple(struct graph_case *graph, const struct csr *csr)
{
    struct csr *plain = &graph->plain;
    uint32_t n = csr->n;
    uint64_t m = csr->offsets[n];
    size_t offset_bytes = ((size_t)n + 1) * sizeof(uint64_t);
    uint32_t *weights = mem_alloc(&graph->mem, m * sizeof(uint32_t));

    *plain = (struct csr){.n = n, .m = m};
    plain->offsets = mem_alloc(&graph->mem, offset_bytes);
    plain->targets = mem_alloc(&graph->mem, m * sizeof(uint32_t));
    if (!plain->offsets || !plain->targets || !weights)
        return false;
    memcpy(plain->offsets, csr->offsets, offset_bytes);
    memcpy(plain->targets, csr->targets, m * sizeof(uint32_t));
    for (uint32_t v = 0; v < n; v++)
        for (uint64_t e = plain->offsets[v]; e < plain->offsets[v + 1]; e++) {
            uint64_t u = plain->targets[e];
            uint64_t pair = u < v ? u << 32 | v : (uint64_t)v << 32 | u;

            weights[e] = 1 + (uint32_t)(mix(pair) % 255);
        }
    graph->weighted = *plain;
    graph->weighted.form = WEIGHTS_U32;
    graph->weighted.weights_u32 = weights;
    return true;
}

static void draw_all(unsigned scale, uint64_t seed, uint64_t count,
                     const uint32_t *numbers, uint32_t *from, uint32_t *to)
{
    uint64_t state = seed;

    for (uint64_t i = 0; i < count; i++) {
        uint32_t a;
        uint32_t b;

        draw_edge(&state, scale, &a, &b);
        from[2 * i] = to[2 * i + 1] = numbers[a];
        to[2 * i] = from[2 * i + 1] = numbers[b];
    }
}

struct graph_case *graph_case_kronecker(unsigned scale, uint64_t seed)
{
    struct graph_case *graph = calloc(1, sizeof(*graph));
    uint32_t n = UINT32_C(1) << scale;
    uint64_t count = (uint64_t)n * EDGES_PER_VERTEX;
    uint32_t *from = malloc(2 * count * sizeof(uint32_t));
    uint32_t *to = malloc(2 * count * sizeof(uint32_t));
    uint32_t *numbers = malloc(n * sizeof(uint32_t));
    struct csr csr = {0};
    uint64_t state = seed + 1;
    struct run run;
    bool done = false;

    if (!graph || !from || !to || !numbers)
        goto out;
    mem_init(&graph->mem, 0);
    run_init(&run, &graph->mem);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = (uint32_t)(next_random(&state) % (i + 1));

        numbers[i] = numbers[j];
        numbers[j] = i;
    }
    draw_all(scale, seed, count, numbers, from, to);
    if (csr_build(&run, n, 2 * count, from, to, NULL, &csr) == ST_OK) {
        make_simple(&csr);
        done = copy_simple(graph, &csr);
        csr_free(&graph->mem, &csr);
    }

out:
    free(from);
    free(to);
    free(numbers);
    if (done)
        return graph;
    free(graph);
    return NULL;
}

void graph_case_free(struct graph_case *graph)
{
    graph->plain.weights_u32 = graph->weighted.weights_u32;
    csr_free(&graph->mem, &graph->plain);
    free(graph);
}

uint64_t graph_case_vertices(const struct graph_case *graph)
{
    return graph->plain.n;
}

uint64_t graph_case_entries(const struct graph_case *graph)
{
    return graph->plain.m;
}

uint64_t graph_case_scan(const struct graph_case *graph)
{
    const struct csr *csr = &graph->plain;
    uint64_t sum = 0;

    for (uint32_t v = 0; v < csr->n; v++)
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
            sum += csr->targets[e];
    return sum;
}

/* A vertex with an edge. */
static uint32_t choose(const struct csr *csr, uint64_t *state)
{
    uint32_t v;

    do
        v = (uint32_t)(next_random(state) % csr->n);
    while (csr_degree(csr, v) == 0);
    return v;
}

/* Only what is there is set: names of parameters are those of the catalogue. */
static void set_params(const struct algorithm *algorithm, const struct csr *csr,
                       uint64_t trial, unsigned sources, uint32_t *vertices,
                       struct param *params)
{
    uint64_t state = trial;

    for (unsigned i = 0; i < sources; i++)
        vertices[i] = choose(csr, &state);
    params_default(algorithm, params);
    for (unsigned i = 0; i < algorithm->param_count; i++) {
        const char *name = algorithm->params[i].name;
        struct param *param = &params[i];

        if (!strcmp(name, "source")) {
            param->given = true;
            param->vertex = vertices[0];
        } else if (!strcmp(name, "tolerance")) {
            param->given = true;
            param->f64 = 1e-4;
        } else if (!strcmp(name, "sources") &&
                   !strcmp(algorithm->name, "betweenness")) {
            param->given = true;
            param->vertices = vertices;
            param->count = sources;
        }
    }
}

int64_t graph_case_run(const struct graph_case *graph, const char *name,
                       unsigned threads, uint64_t trial, unsigned sources)
{
    const struct algorithm *algorithm =
        algorithm_find(bytes_of(name, strlen(name)));
    const struct csr *csr =
        strcmp(name, "sssp") ? &graph->plain : &graph->weighted;
    struct projection projection = {.n = csr->n,
                                    .edges = csr->m / 2,
                                    .undirected = true,
                                    .out = csr,
                                    .in = csr,
                                    .both = csr};
    uint32_t vertices[SOURCES_MAX];
    struct param params[PARAMS_MAX];
    struct result result;
    struct mem mem;
    struct run run;
    int64_t figure = -1;

    if (!algorithm || sources == 0 || sources > SOURCES_MAX)
        return -1;
    mem_init(&mem, 0);
    run_init(&run, &mem);
    run.threads = threads;
    result_init(&result);
    set_params(algorithm, csr, trial, sources, vertices, params);
    if (algorithm->run(&run, &projection, params, &result) == ST_OK)
        figure = result.figure_count ? (int64_t)result.figures[0].u64 : 0;
    result_free(&mem, &result);
    return mem.used == 0 ? figure : -1;
}
