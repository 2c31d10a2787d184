/*
 * test_oracle.c -- all algorithms against NetworkX, which answers from a
 * process of its own (oracle.py), and against the definitions of LDBC
 * Graphalytics (support/graph_naive.c), which it does not have.
 *
 * A graph is made up, told to the oracle, and every algorithm of the catalogue
 * is run on it and compared. One that is added to the catalogue must be added
 * to the table here, too.
 *
 * SEED replays a failure, SCALE multiplies the number of graphs, ONLY names one
 * algorithm that alone is compared. The oracle
 * runs in /usr/bin/python3, for which Debian's python3-networkx and
 * python3-numpy are; ORACLE_PYTHON names another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/durable.h"
#include "support/kernel.h"

static uint64_t seed;

/* --- the oracle --------------------------------------------------------- */

static struct {
    pid_t pid;
    FILE *to;
    FILE *from;
    char *line;
    size_t line_bytes;
} oracle;

static void become_oracle(const int to[2], const int from[2])
{
    const char *python = getenv("ORACLE_PYTHON");
    const char *directory = getenv("RHIZOME_SOURCE_DIR");
    char path[4096];

    snprintf(path, sizeof(path), "%s/test/graph/oracle.py",
             directory ? directory : ".");
    if (!python)
        python = "/usr/bin/python3";
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    close(to[0]);
    close(to[1]);
    close(from[0]);
    close(from[1]);
    execl(python, python, "-I", path, (char *)NULL);
    printf("there is no %s: install python3-networkx and python3-numpy\n",
           python);
    fflush(stdout);
    _exit(127);
}

/* The next line of the oracle, without its end; NULL if there is none. */
static char *oracle_line(void)
{
    ssize_t size = getline(&oracle.line, &oracle.line_bytes, oracle.from);

    if (size <= 0)
        return NULL;
    if (oracle.line[size - 1] == '\n')
        oracle.line[size - 1] = 0;
    return oracle.line;
}

static int oracle_start(void **state)
{
    int to[2];
    int from[2];
    char *line;

    (void)state;
    if (pipe(to) || pipe(from))
        return -1;
    fflush(stdout);
    oracle.pid = fork();
    if (oracle.pid < 0)
        return -1;
    if (oracle.pid == 0)
        become_oracle(to, from);
    close(to[0]);
    close(from[1]);
    signal(SIGPIPE, SIG_IGN);
    oracle.to = fdopen(to[1], "w");
    oracle.from = fdopen(from[0], "r");
    line = oracle_line();
    if (!line || strncmp(line, "ready", 5)) {
        fprintf(stderr, "the oracle of graphs did not start: %s\n",
                line ? line : "no word from it");
        return -1;
    }
    printf("%s\n", line);
    return 0;
}

static int oracle_stop(void **state)
{
    int status;

    (void)state;
    fclose(oracle.to);
    fclose(oracle.from);
    free(oracle.line);
    waitpid(oracle.pid, &status, 0);
    return status;
}

/* --- one graph ---------------------------------------------------------- */

static struct scene {
    struct naive_graph graph;
    struct naive_image image;
    struct random random;
    const char *name;  /* of the graph, or NULL: a random one */
    const char *about; /* the algorithm that is compared */
    bool compared;     /* that, on this graph */
    double gamma;      /* of communities, on this graph */
    uint64_t answers;  /* of the oracle, so far */
} scene;

__attribute__((format(printf, 1, 2), noreturn)) static void
disagree(const char *format, ...)
{
    char text[1000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    naive_print(&scene.graph);
    fail_msg("SEED=%llu %s: %s: %s", (unsigned long long)seed,
             scene.name ? scene.name : "a random graph", scene.about, text);
    abort();
}

static void scene_open(void)
{
    const struct naive_graph *graph = &scene.graph;

    naive_project(graph, &scene.image);
    scene.gamma = 0.5 + 0.25 * (double)random_below(&scene.random, 5);
    fprintf(oracle.to, "graph %d %u %u\n", graph->directed, graph->n, graph->m);
    for (uint32_t e = 0; e < graph->m; e++)
        fprintf(oracle.to, "%u %u %.17g\n", graph->from[e], graph->to[e],
                graph->weight[e]);
}

static void scene_close(void)
{
    naive_image_free(&scene.image);
    naive_free(&scene.graph);
}

struct answer {
    bool none;
    size_t count;
    double *numbers;
};

/* Reads what `ask NAME ...` has been answered; the caller frees the numbers. */
static struct answer oracle_answer(void)
{
    struct answer answer = {0};
    size_t room = 16;
    char *line;
    char *end;

    fflush(oracle.to);
    line = oracle_line();
    if (!line)
        disagree("the oracle has gone");
    scene.answers++;
    if (!strcmp(line, "none")) {
        answer.none = true;
        return answer;
    }
    if (strncmp(line, "ok", 2))
        disagree("the oracle: %s", line);
    answer.numbers = malloc(room * sizeof(double));
    for (line += 2;; line = end) {
        double number = strtod(line, &end);

        if (end == line)
            return answer;
        if (answer.count == room)
            answer.numbers =
                realloc(answer.numbers, (room *= 2) * sizeof(double));
        answer.numbers[answer.count++] = number;
    }
}

__attribute__((format(printf, 1, 2))) static struct answer
ask(const char *format, ...)
{
    va_list arguments;

    fprintf(oracle.to, "ask ");
    va_start(arguments, format);
    vfprintf(oracle.to, format, arguments);
    va_end(arguments);
    fprintf(oracle.to, "\n");
    return oracle_answer();
}

/* An answer with exactly so many numbers. */
#define ASK(count_, ...) expect(ask(__VA_ARGS__), count_)

static struct answer expect(struct answer answer, size_t count)
{
    if (answer.none || answer.count != count)
        disagree("the oracle gives %zu numbers, not %zu", answer.count, count);
    return answer;
}

static void answer_free(struct answer *answer)
{
    free(answer->numbers);
}

/* --- comparing ---------------------------------------------------------- */

static uint32_t any_vertex(void)
{
    return (uint32_t)random_below(&scene.random, scene.graph.n);
}

static bool close_to(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-9 * (1 + fmax(fabs(a), fabs(b)));
}

/* The nth number of a column; nil is -1 and so is no vertex. */
static double column_number(const struct column *column, uint64_t row)
{
    switch (column->type) {
    case COLUMN_VERTEX: {
        uint32_t v = ((const uint32_t *)column->data)[row];

        return v == NO_VERTEX ? -1.0 : v;
    }
    case COLUMN_U64: {
        uint64_t number = ((const uint64_t *)column->data)[row];

        return number == UINT64_MAX ? -1.0 : (double)number;
    }
    case COLUMN_F64:
        return ((const double *)column->data)[row];
    case COLUMN_BOOL:
        return ((const uint8_t *)column->data)[row];
    default:
        fail_msg("column %s is no number", column->name);
        return 0;
    }
}

static void same_column(const struct result *result, const char *name,
                        const double *numbers)
{
    const struct column *column = result_find(result, name);

    for (uint64_t row = 0; row < result->rows; row++)
        if (!close_to(column_number(column, row), numbers[row]))
            disagree("%s of row %llu is %.17g, and should be %.17g", name,
                     (unsigned long long)row, column_number(column, row),
                     numbers[row]);
}

static void same_figure(const struct result *result, const char *name,
                        double wanted)
{
    double figure = result_figure(result, name);

    if (!close_to(figure, wanted))
        disagree("%s is %.17g, and should be %.17g", name, figure, wanted);
}

/* Says that an algorithm was not compared on this graph. */
static void not_compared(void)
{
    scene.compared = false;
}

/* A kernel of this name, with now one thread and now two. */
static struct kernel a_kernel(const char *name)
{
    struct kernel kernel;

    kernel_init(&kernel, name);
    kernel.threads = 1 + (unsigned)random_below(&scene.random, 2);
    return kernel;
}

static struct result run_kernel(struct kernel *kernel)
{
    struct result result;

    kernel_must(kernel, &scene.image, &result);
    return result;
}

static void done(struct result *result)
{
    result_free(&scene.image.mem, result);
}

/* Runs `kernel` and compares a column with the answer to a question. */
static void compare_column(struct kernel *kernel, const char *column,
                           struct answer answer)
{
    struct result result = run_kernel(kernel);

    if (answer.none || answer.count != result.rows)
        disagree("there are %llu rows, and should be %zu",
                 (unsigned long long)result.rows, answer.count);
    same_column(&result, column, answer.numbers);
    done(&result);
    answer_free(&answer);
}

static bool has_edge(uint32_t from, uint32_t to)
{
    uint64_t entry;

    return csr_find(&scene.image.out, from, to, &entry);
}

/* --- paths -------------------------------------------------------------- */

/* Levels, and that each parent is a level nearer and has an edge. */
static void check_levels(const struct result *result)
{
    const uint64_t *level = result_u64s(result, "level");
    const uint32_t *parent = result_vertices(result, "parent");

    for (uint32_t v = 0; v < scene.graph.n; v++) {
        if (level[v] == 0 || level[v] == UINT64_MAX) {
            if (parent[v] != NO_VERTEX)
                disagree("%u has a parent", v);
            continue;
        }
        if (parent[v] >= scene.graph.n || !has_edge(parent[v], v) ||
            level[parent[v]] + 1 != level[v])
            disagree("%u has a wrong parent: %u", v, parent[v]);
    }
}

static void compare_bfs(void)
{
    struct kernel kernel = a_kernel("bfs");
    struct result result;
    struct answer answer;
    uint32_t source;

    if (scene.graph.n == 0) {
        not_compared();
        return;
    }
    source = any_vertex();
    answer = ASK(scene.graph.n, "bfs %u", source);
    kernel_set_vertex(&kernel, "source", source);
    result = run_kernel(&kernel);
    same_column(&result, "level", answer.numbers);
    check_levels(&result);
    done(&result);
    answer_free(&answer);
}

/* Parents are a tree of shortest paths. */
static void check_tree(const struct result *result, uint32_t source)
{
    const double *distance = result_f64s(result, "distance");
    const uint32_t *parent = result_vertices(result, "parent");

    for (uint32_t v = 0; v < scene.graph.n; v++) {
        uint32_t root = v;
        double least = INFINITY;

        if (v == source || isinf(distance[v])) {
            if (parent[v] != NO_VERTEX)
                disagree("%u has a parent", v);
            continue;
        }
        if (parent[v] >= scene.graph.n)
            disagree("%u has no parent", v);
        for (uint32_t e = 0; e < scene.graph.m; e++) {
            uint32_t from = scene.graph.from[e];
            uint32_t to = scene.graph.to[e];

            if ((from == parent[v] && to == v) ||
                (!scene.graph.directed && from == v && to == parent[v]))
                least = fmin(least, scene.graph.weight[e]);
        }
        if (!close_to(distance[parent[v]] + least, distance[v]))
            disagree("%u has a wrong parent: %u", v, parent[v]);
        for (uint32_t i = 0; i < scene.graph.n && root != source; i++)
            root = parent[root];
        if (root != source)
            disagree("parents of %u go in a circle", v);
    }
}

static void compare_sssp(void)
{
    struct kernel kernel = a_kernel("sssp");
    struct result result;
    struct answer answer;
    uint32_t source;

    if (scene.graph.n == 0) {
        not_compared();
        return;
    }
    source = any_vertex();
    kernel_set_vertex(&kernel, "source", source);
    answer = ASK(scene.graph.n, "sssp %u", source);
    result = run_kernel(&kernel);
    same_column(&result, "distance", answer.numbers);
    check_tree(&result, source);
    done(&result);
    answer_free(&answer);
}

static void compare_max_flow(void)
{
    struct kernel kernel = a_kernel("max_flow");
    struct result result;
    struct answer answer;
    uint32_t source;
    uint32_t target;

    if (scene.graph.n < 2) {
        not_compared();
        return;
    }
    source = any_vertex();
    do
        target = any_vertex();
    while (target == source);
    answer = ASK(1, "max_flow %u %u", source, target);
    kernel_set_vertex(&kernel, "source", source);
    kernel_set_vertex(&kernel, "target", target);
    result = run_kernel(&kernel);
    same_figure(&result, "flow", answer.numbers[0]);
    done(&result);
    answer_free(&answer);
}

/* --- centrality --------------------------------------------------------- */

/* At most 1e-9 from the solution. */
static void compare_page_rank(void)
{
    static const double dampings[] = {0.85, 0.5, 0.99, 0};
    struct kernel kernel = a_kernel("page_rank");
    double damping = dampings[random_below(&scene.random, 4)];
    uint32_t sources[2];
    struct answer answer;

    kernel_set_f64(&kernel, "damping", damping);
    kernel_set_f64(&kernel, "tolerance", 1e-13);
    kernel_set_u64(&kernel, "max_iterations", 100000);
    if (scene.graph.n > 0 && random_below(&scene.random, 2)) {
        sources[0] = any_vertex();
        sources[1] = any_vertex();
        kernel_set_vertices(&kernel, "sources", sources, 2);
        answer = ASK(scene.graph.n, "page_rank %.17g %u %u", damping,
                     sources[0], sources[1]);
    } else {
        answer = ASK(scene.graph.n, "page_rank %.17g", damping);
    }
    compare_column(&kernel, "rank", answer);
}

/* Weights of 0 are refused. */
static bool has_weight_of_0(void)
{
    for (uint32_t e = 0; e < scene.graph.m; e++)
        if (scene.graph.weight[e] == 0)
            return true;
    return false;
}

static void compare_betweenness(void)
{
    struct kernel kernel = a_kernel("betweenness");
    struct answer answer;
    struct result result;
    uint32_t sources[2];

    if (has_weight_of_0()) {
        if (kernel_run(&kernel, &scene.image, &result) != ST_BAD_WEIGHT)
            disagree("weights of 0 are not refused");
        not_compared();
        return;
    }
    if (scene.graph.n > 1 && random_below(&scene.random, 2)) {
        sources[0] = any_vertex();
        do
            sources[1] = any_vertex();
        while (sources[1] == sources[0]);
        kernel_set_vertices(&kernel, "sources", sources, 2);
        answer = ASK(scene.graph.n, "betweenness %d %u %u",
                     scene.graph.weighted, sources[0], sources[1]);
    } else {
        answer = ASK(scene.graph.n, "betweenness %d", scene.graph.weighted);
    }
    compare_column(&kernel, "centrality", answer);
}

static void compare_closeness(void)
{
    struct kernel kernel = a_kernel("closeness");
    unsigned improved = (unsigned)random_below(&scene.random, 2);

    kernel_set_bool(&kernel, "improved", improved);
    compare_column(
        &kernel, "score",
        ASK(scene.graph.n, "closeness %d %u", scene.graph.weighted, improved));
}

static void compare_harmonic(void)
{
    struct kernel kernel = a_kernel("harmonic");
    struct answer answer =
        ASK(scene.graph.n, "harmonic %d", scene.graph.weighted);

    if (random_below(&scene.random, 2)) {
        kernel_set_bool(&kernel, "normalized", false);
    } else {
        for (size_t v = 0; scene.graph.n > 1 && v < answer.count; v++)
            answer.numbers[v] /= scene.graph.n - 1;
    }
    compare_column(&kernel, "score", answer);
}

/* To the end. */
static struct kernel power_kernel(const char *name)
{
    struct kernel kernel = a_kernel(name);

    kernel_set_u64(&kernel, "max_iterations", 100000);
    kernel_set_f64(&kernel, "tolerance", 1e-14);
    return kernel;
}

static void compare_eigenvector(void)
{
    struct kernel kernel = power_kernel("eigenvector");
    struct answer answer = ask("eigenvector");

    if (answer.none)
        not_compared();
    else
        compare_column(&kernel, "score", answer);
}

static void compare_hits(void)
{
    struct kernel kernel = power_kernel("hits");
    struct answer answer = ask("hits");
    struct result result;

    if (answer.none) {
        not_compared();
        return;
    }
    result = run_kernel(&kernel);
    same_column(&result, "hub", answer.numbers);
    same_column(&result, "authority", answer.numbers + scene.graph.n);
    done(&result);
    answer_free(&answer);
}

static void compare_degree(void)
{
    static const char *const columns[] = {
        "out", "in", "total", "out_weight", "in_weight", "total_weight"};
    struct kernel kernel = a_kernel("degree");
    size_t n = scene.graph.n;
    struct answer answer = ASK(6 * n, "degree");
    struct result result = run_kernel(&kernel);
    bool weighted = scene.image.out.form != WEIGHTS_ONE;

    for (unsigned i = 0; i < (weighted ? 6 : 3); i++)
        same_column(&result, columns[i], answer.numbers + i * n);
    done(&result);
    answer_free(&answer);
}

/* --- communities -------------------------------------------------------- */

static void compare_components(const char *name)
{
    struct kernel kernel = a_kernel(name);
    struct answer answer = ASK(scene.graph.n, "%s", name);
    double count = 0;
    struct result result = run_kernel(&kernel);

    same_column(&result, "component", answer.numbers);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        count += answer.numbers[v] == v;
    same_figure(&result, "components", count);
    done(&result);
    answer_free(&answer);
}

static void compare_wcc(void)
{
    compare_components("wcc");
}

static void compare_scc(void)
{
    compare_components("scc");
}

static void compare_k_core(void)
{
    struct kernel kernel = a_kernel("k_core");

    compare_column(&kernel, "core", ASK(scene.graph.n, "k_core"));
}

/* The modularity that was found in all graphs. */
static double found_by_louvain;
static double found_by_leiden;
static double found_by_oracle;

/* What the oracle says of the modularity of what is found; 0 if nothing. */
static double compare_communities(const char *name)
{
    struct kernel kernel = a_kernel(name);
    struct result result;
    struct answer answer;
    double modularity = 0;

    kernel_set_f64(&kernel, "gamma", scene.gamma);
    result = run_kernel(&kernel);
    fprintf(oracle.to, "ask modularity %.17g", scene.gamma);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        fprintf(oracle.to, " %u", result_vertices(&result, "community")[v]);
    fprintf(oracle.to, "\n");
    answer = oracle_answer();
    if (answer.count == 1)
        modularity = answer.numbers[0];
    same_figure(&result, "modularity", modularity);
    done(&result);
    answer_free(&answer);
    return modularity;
}

static void compare_louvain(void)
{
    found_by_louvain += compare_communities("louvain");
}

static void compare_leiden(void)
{
    struct answer answer;

    found_by_leiden += compare_communities("leiden");
    answer = ask("communities %.17g 1", scene.gamma);
    if (answer.count == 1)
        found_by_oracle += answer.numbers[0];
    answer_free(&answer);
}

/* --- order and cycles --------------------------------------------------- */

static void compare_topological_sort(void)
{
    struct kernel kernel = a_kernel("topological_sort");
    size_t n = scene.graph.n;
    struct answer answer = ask("topological_sort");
    struct result result;
    enum status st = kernel_run(&kernel, &scene.image, &result);

    if (answer.none) {
        if (st != ST_CYCLIC)
            disagree("there is a cycle, but the status is %d", st);
        return;
    }
    if (st < 0 || answer.count != 2 * n)
        disagree("there is no cycle, but the status is %d", st);
    same_column(&result, "vertex", answer.numbers);
    for (size_t row = 0; row < n; row++) {
        uint32_t v = (uint32_t)answer.numbers[row];

        if ((double)result_u64s(&result, "level")[row] != answer.numbers[n + v])
            disagree("%u has another level", v);
    }
    done(&result);
    answer_free(&answer);
}

/* Whether these are neighbours one after the other, each once. */
static bool is_cycle(const uint32_t *vertices, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!has_edge(vertices[i], vertices[(i + 1) % count]))
            return false;
        for (uint64_t j = 0; j < i; j++)
            if (vertices[i] == vertices[j])
                return false;
    }
    return count > (scene.graph.directed ? 0 : 2);
}

static void compare_cycle(void)
{
    struct kernel kernel = a_kernel("cycle");
    struct answer answer = ASK(1, "acyclic");
    struct result result = run_kernel(&kernel);
    const struct column *cycle = result_find(&result, "cycle");

    if (result.rows != (answer.numbers[0] == 0))
        disagree("there are %llu cycles", (unsigned long long)result.rows);
    if (result.rows && !is_cycle(cycle->vertices, cycle->vertex_count))
        disagree("it is no cycle");
    done(&result);
    answer_free(&answer);
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Cycles come in any order: each is made a number, and those are sorted. */
static double cycle_hash(uint64_t length,
                         double (*vertex)(const void *, size_t),
                         const void *vertices)
{
    uint64_t hash = length;

    for (uint64_t i = 0; i < length; i++)
        hash = (hash ^ (uint64_t)vertex(vertices, i)) * 0x9E3779B97F4A7C15u +
               (hash >> 31);
    return (double)(hash >> 11);
}

static double of_doubles(const void *vertices, size_t i)
{
    return ((const double *)vertices)[i];
}

static double of_vertices(const void *vertices, size_t i)
{
    return ((const uint32_t *)vertices)[i];
}

static void compare_cycles(void)
{
    struct kernel kernel = a_kernel("cycles");
    unsigned most = 1 + (unsigned)random_below(&scene.random, 8);
    struct answer answer;
    struct result result;
    const uint64_t *offsets;
    double *hashes[2];
    size_t count = 0;

    kernel_set_u64(&kernel, "max_length", most);
    kernel_set_u64(&kernel, "limit", 3000);
    result = run_kernel(&kernel);
    if (result.rows == 3000 || scene.graph.m > 30) {
        done(&result); /* too many for the oracle */
        not_compared();
        return;
    }
    answer = ask("cycles %u", most);
    hashes[0] = malloc((answer.count + 1) * sizeof(double));
    hashes[1] = malloc((result.rows + 1) * sizeof(double));
    for (size_t i = 0; i < answer.count; i += 1 + (size_t)answer.numbers[i])
        hashes[0][count++] = cycle_hash((uint64_t)answer.numbers[i], of_doubles,
                                        answer.numbers + i + 1);
    if (count != result.rows)
        disagree("there are %llu cycles of at most %u vertices, not %zu",
                 (unsigned long long)result.rows, most, count);
    offsets = result_find(&result, "cycle")->data;
    for (uint64_t row = 0; row < result.rows; row++)
        hashes[1][row] =
            cycle_hash(offsets[row + 1] - offsets[row], of_vertices,
                       result_find(&result, "cycle")->vertices + offsets[row]);
    for (unsigned i = 0; i < 2; i++)
        qsort(hashes[i], count, sizeof(double), compare_numbers);
    for (size_t i = 0; i < count; i++)
        if (hashes[0][i] != hashes[1][i])
            disagree("other cycles of at most %u vertices", most);
    for (unsigned i = 0; i < 2; i++)
        free(hashes[i]);
    done(&result);
    answer_free(&answer);
}

/* --- triangles and neighbours ------------------------------------------- */

static void compare_triangle_count(void)
{
    struct kernel kernel = a_kernel("triangle_count");

    compare_column(&kernel, "triangles", ASK(scene.graph.n, "triangles"));
}

static void compare_lcc(void)
{
    struct kernel kernel = a_kernel("lcc");

    if (scene.graph.directed)
        not_compared(); /* the oracle has another definition for these */
    else
        compare_column(&kernel, "coefficient",
                       ASK(scene.graph.n, "clustering"));
}

static void compare_k1_coloring(void)
{
    struct kernel kernel = a_kernel("k1_coloring");
    struct answer answer = ASK(scene.graph.n, "k_core");
    struct result result = run_kernel(&kernel);
    const uint64_t *color = result_u64s(&result, "color");
    double deepest = 0;

    for (uint32_t e = 0; e < scene.graph.m; e++)
        if (scene.graph.from[e] != scene.graph.to[e] &&
            color[scene.graph.from[e]] == color[scene.graph.to[e]])
            disagree("%u and %u have one color", scene.graph.from[e],
                     scene.graph.to[e]);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        deepest = fmax(deepest, answer.numbers[v]);
    if (scene.graph.n && result_figure(&result, "colors") > deepest + 1)
        disagree("there are too many colors");
    done(&result);
    answer_free(&answer);
}

/* --- pairs of vertices -------------------------------------------------- */

static int compare_pairs(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return x[0] != y[0] ? (x[0] > y[0]) - (x[0] < y[0])
                        : (x[1] > y[1]) - (x[1] < y[1]);
}

/* Rows of from and to are the pairs of the answer, in any order. `unordered`:
 * a pair is the same turned round. */
static void same_pairs(struct kernel *kernel, bool unordered,
                       struct answer answer)
{
    struct result result = run_kernel(kernel);
    const uint32_t *from = result_vertices(&result, "from");
    const uint32_t *to = result_vertices(&result, "to");
    double *pairs = malloc((2 * result.rows + 1) * sizeof(double));

    if (answer.none || 2 * result.rows != answer.count)
        disagree("there are %llu pairs, not %zu",
                 (unsigned long long)result.rows, answer.count / 2);
    for (uint64_t row = 0; row < result.rows; row++) {
        bool turn = unordered && from[row] > to[row];

        pairs[2 * row] = turn ? to[row] : from[row];
        pairs[2 * row + 1] = turn ? from[row] : to[row];
    }
    qsort(pairs, result.rows, 2 * sizeof(double), compare_pairs);
    for (size_t i = 0; i < answer.count; i++)
        if (pairs[i] != answer.numbers[i])
            disagree("other pairs, from %.0f to %.0f", pairs[i & ~(size_t)1],
                     pairs[i | 1]);
    free(pairs);
    done(&result);
    answer_free(&answer);
}

static void compare_bridges(void)
{
    struct kernel kernel = a_kernel("bridges");

    same_pairs(&kernel, true, ask("bridges"));
}

static void compare_transitive_closure(void)
{
    struct kernel kernel = a_kernel("transitive_closure");

    same_pairs(&kernel, false, ask("transitive_closure"));
}

static void compare_transitive_reduction(void)
{
    struct kernel kernel = a_kernel("transitive_reduction");
    struct answer answer = ask("transitive_reduction");
    struct result result;
    enum status st;

    if (!answer.none) {
        same_pairs(&kernel, false, answer);
        return;
    }
    st = kernel_run(&kernel, &scene.image, &result);
    if (st != ST_CYCLIC)
        disagree("there is a cycle, but the status is %d", st);
}

static void compare_articulation_points(void)
{
    struct kernel kernel = a_kernel("articulation_points");

    compare_column(&kernel, "articulation_point",
                   ASK(scene.graph.n, "articulation_points"));
}

static void compare_spanning_forest(void)
{
    for (unsigned greatest = 0; greatest < 2; greatest++) {
        struct kernel kernel = a_kernel("spanning_forest");
        struct answer answer = ASK(2, "spanning_forest %u", greatest);
        struct result result;

        kernel_set_choice(&kernel, "objective", greatest ? "max" : "min");
        result = run_kernel(&kernel);
        same_figure(&result, "weight", answer.numbers[0]);
        same_figure(&result, "trees", answer.numbers[1]);
        if (result.rows + (uint64_t)answer.numbers[1] != scene.graph.n)
            disagree("there are %llu edges", (unsigned long long)result.rows);
        done(&result);
        answer_free(&answer);
    }
}

/* --- all of them -------------------------------------------------------- */

static struct comparison {
    const char *name;
    void (*compare)(void);
    uint64_t count; /* of graphs on which they were compared */
} comparisons[] = {
    {"bfs", compare_bfs, 0},
    {"sssp", compare_sssp, 0},
    {"page_rank", compare_page_rank, 0},
    {"wcc", compare_wcc, 0},
    {"scc", compare_scc, 0},
    {"cdlp", not_compared, 0}, /* with Graphalytics alone */
    {"lcc", compare_lcc, 0},
    {"triangle_count", compare_triangle_count, 0},
    {"topological_sort", compare_topological_sort, 0},
    {"cycle", compare_cycle, 0},
    {"cycles", compare_cycles, 0},
    {"k_core", compare_k_core, 0},
    {"spanning_forest", compare_spanning_forest, 0},
    {"bridges", compare_bridges, 0},
    {"articulation_points", compare_articulation_points, 0},
    {"louvain", compare_louvain, 0},
    {"leiden", compare_leiden, 0},
    {"max_flow", compare_max_flow, 0},
    {"k1_coloring", compare_k1_coloring, 0},
    {"transitive_closure", compare_transitive_closure, 0},
    {"transitive_reduction", compare_transitive_reduction, 0},
    {"degree", compare_degree, 0},
    {"betweenness", compare_betweenness, 0},
    {"closeness", compare_closeness, 0},
    {"harmonic", compare_harmonic, 0},
    {"eigenvector", compare_eigenvector, 0},
    {"hits", compare_hits, 0},
};

#define COMPARISONS (sizeof(comparisons) / sizeof(comparisons[0]))

/* Compares on scene.graph, which it frees. */
static void compare_all(const char *name)
{
    const char *only = getenv("ONLY");

    scene.name = name;
    scene_open();
    for (unsigned i = 0; i < COMPARISONS; i++) {
        scene.about = comparisons[i].name;
        if (only && strcmp(only, comparisons[i].name))
            continue;
        scene.compared = true;
        comparisons[i].compare();
        comparisons[i].count += scene.compared;
    }
    scene_close();
}

static void nothing_is_left_out(void **state)
{
    size_t count;
    const struct algorithm *const *all = algorithm_list(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        unsigned found_at = COMPARISONS;

        for (unsigned j = 0; j < COMPARISONS; j++)
            if (!strcmp(all[i]->name, comparisons[j].name))
                found_at = j;
        if (found_at == COMPARISONS)
            fail_msg("%s is not compared", all[i]->name);
    }
    assert_int_equal(count, COMPARISONS);
}

static void known_graphs_agree(void **state)
{
    (void)state;
    naive_karate(&scene.graph);
    compare_all("karate club");
    naive_petersen(&scene.graph);
    compare_all("Petersen");
    naive_barbell(&scene.graph, 5, 3);
    compare_all("barbell");
    naive_grid(&scene.graph, 4, 5, false);
    compare_all("grid");
    naive_grid(&scene.graph, 4, 5, true);
    compare_all("directed grid");
    naive_complete(&scene.graph, 7, false);
    compare_all("complete");
    naive_complete(&scene.graph, 5, true);
    compare_all("directed and complete");
    for (unsigned directed = 0; directed < 2; directed++) {
        naive_init(&scene.graph, 0, directed, false);
        compare_all("empty");
        naive_init(&scene.graph, 1, directed, true);
        compare_all("one vertex");
        naive_init(&scene.graph, 1, directed, true);
        naive_add(&scene.graph, 0, 0, 2.5);
        naive_add(&scene.graph, 0, 0, 1);
        compare_all("one vertex with loops");
        naive_init(&scene.graph, 9, directed, false);
        compare_all("no edges");
    }
}

static void random_graphs_agree(void **state)
{
    uint64_t rounds = durable_scale(600);

    (void)state;
    for (uint64_t round = 0; round < rounds; round++) {
        naive_random(&scene.graph, &scene.random, round % 10 ? 12 : 40,
                     round & 1, round & 2, random_below(&scene.random, 4) == 0);
        compare_all(NULL);
    }
}

/* --- Graphalytics ------------------------------------------------------- */

static void agree_bfs(void)
{
    struct kernel kernel = a_kernel("bfs");
    uint64_t *naive = malloc(scene.graph.n * sizeof(uint64_t));
    uint32_t source = any_vertex();
    struct result result;

    kernel_set_vertex(&kernel, "source", source);
    result = run_kernel(&kernel);
    naive_bfs(&scene.graph, source, naive);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        if (result_u64s(&result, "level")[v] != naive[v])
            disagree("%u has another level", v);
    check_levels(&result);
    done(&result);
    free(naive);
}

static void agree_sssp(void)
{
    struct kernel kernel = a_kernel("sssp");
    double *naive = malloc(scene.graph.n * sizeof(double));
    uint32_t source = any_vertex();
    struct result result;

    kernel_set_vertex(&kernel, "source", source);
    naive_sssp(&scene.graph, source, naive);
    result = run_kernel(&kernel);
    same_column(&result, "distance", naive);
    check_tree(&result, source);
    done(&result);
    free(naive);
}

/* Which has no weights. */
static void agree_page_rank(void)
{
    struct kernel kernel = a_kernel("page_rank");
    unsigned iterations = 1 + (unsigned)random_below(&scene.random, 20);
    double damping = (double)random_below(&scene.random, 101) / 100;
    double *naive = malloc(scene.graph.n * sizeof(double));
    struct result result;

    if (!scene.graph.weighted) {
        kernel_set_f64(&kernel, "damping", damping);
        kernel_set_u64(&kernel, "iterations", iterations);
        naive_page_rank(&scene.graph, damping, iterations, naive);
        result = run_kernel(&kernel);
        same_column(&result, "rank", naive);
        done(&result);
    }
    free(naive);
}

static void agree_wcc(void)
{
    struct kernel kernel = a_kernel("wcc");
    uint32_t *naive = malloc(scene.graph.n * sizeof(uint32_t));
    struct result result = run_kernel(&kernel);

    naive_wcc(&scene.graph, naive);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        if (result_vertices(&result, "component")[v] != naive[v])
            disagree("%u is in another component", v);
    done(&result);
    free(naive);
}

static void agree_cdlp(void)
{
    struct kernel kernel = a_kernel("cdlp");
    unsigned iterations = 1 + (unsigned)random_below(&scene.random, 12);
    uint64_t *naive = malloc(scene.graph.n * sizeof(uint64_t));
    struct result result;

    kernel_set_u64(&kernel, "iterations", iterations);
    naive_cdlp(&scene.graph, iterations, naive);
    result = run_kernel(&kernel);
    for (uint32_t v = 0; v < scene.graph.n; v++)
        if (result_vertices(&result, "label")[v] != naive[v])
            disagree("%u has another label after %u iterations", v, iterations);
    done(&result);
    free(naive);
}

static void agree_lcc(void)
{
    struct kernel kernel = a_kernel("lcc");
    double *naive = malloc(scene.graph.n * sizeof(double));
    struct result result = run_kernel(&kernel);

    naive_lcc(&scene.graph, naive);
    same_column(&result, "coefficient", naive);
    done(&result);
    free(naive);
}

static const struct {
    const char *name;
    void (*agree)(void);
} graphalytics[] = {
    {"bfs", agree_bfs}, {"page_rank", agree_page_rank},
    {"wcc", agree_wcc}, {"cdlp", agree_cdlp},
    {"lcc", agree_lcc}, {"sssp", agree_sssp},
};

static void random_graphs_agree_with_graphalytics(void **state)
{
    const char *only = getenv("ONLY");
    uint64_t rounds = durable_scale(8000);

    (void)state;
    scene.name = NULL;
    for (uint64_t round = 0; round < rounds; round++) {
        naive_random(&scene.graph, &scene.random, round % 100 ? 20 : 150,
                     round & 1, round & 2, random_below(&scene.random, 4) == 0);
        naive_project(&scene.graph, &scene.image);
        for (unsigned i = 0; scene.graph.n > 0 && i < 6; i++) {
            scene.about = graphalytics[i].name;
            if (!only || !strcmp(only, graphalytics[i].name))
                graphalytics[i].agree();
        }
        scene_close();
    }
}

/* A comparison that is left out too often compares nothing. */
static void all_were_compared(void **state)
{
    uint64_t least = UINT64_MAX;

    (void)state;
    if (getenv("ONLY"))
        return;
    for (unsigned i = 0; i < COMPARISONS; i++) {
        const struct comparison *comparison = &comparisons[i];

        if (comparison->compare == not_compared)
            continue;
        printf("%-20s on %llu graphs\n", comparison->name,
               (unsigned long long)comparison->count);
        if (comparison->count < least)
            least = comparison->count;
    }
    printf("%llu questions were answered\n", (unsigned long long)scene.answers);
    assert_true(least >= durable_scale(40));
}

static void communities_are_as_good_as_those_of_the_oracle(void **state)
{
    (void)state;
    if (getenv("ONLY"))
        return;
    printf("modularity in all: louvain %g, leiden %g, the oracle %g\n",
           found_by_louvain, found_by_leiden, found_by_oracle);
    assert_true(found_by_louvain >= 0.99 * found_by_oracle);
    assert_true(found_by_leiden >= 0.99 * found_by_oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_out),
        cmocka_unit_test(known_graphs_agree),
        cmocka_unit_test(random_graphs_agree),
        cmocka_unit_test(all_were_compared),
        cmocka_unit_test(random_graphs_agree_with_graphalytics),
        cmocka_unit_test(communities_are_as_good_as_those_of_the_oracle),
    };

    seed = random_seed();
    random_init(&scene.random, seed);
    return cmocka_run_group_tests_name("oracle", tests, oracle_start,
                                       oracle_stop);
}
