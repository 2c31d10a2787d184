/*
 * bench_graph.cc -- suite `graph`: algorithms on compressed sparse rows.
 *
 * The graphs are Kronecker graphs of Graph500 with 2^18 and 2^20 vertices, 16
 * edges drawn for each (graph_case.h); parameters and measures are those of
 * the GAP benchmark suite (Beamer, Asanovic and Patterson, 2015).
 *
 *   kron18_bfs_1t    breadth-first search from a source, levels and parents
 *   kron18_sssp_1t   shortest paths from a source, weights 1 .. 255
 *   kron18_pr_1t     PageRank until an iteration changes it by less than 1e-4
 *   kron18_wcc_1t    connected components
 *   kron18_bc_1t     betweenness, a source, in batches of 4
 *   kron18_tc_1t     triangles, of each vertex and of all
 *   kron18_lcc_1t    local clustering coefficients
 *   kron18_cdlp_1t   label propagation, 10 iterations
 *   kron18_..._2t    the same with two threads beside one ("one_thread")
 *
 * The peer `csr_scan` reads each entry of the rows once: what a machine gives
 * a kernel that touches nothing else. With one thread times are CPU time, with
 * two they are wall time. The graph is made once, before the children that
 * measure, which thus find the same pages.
 */
#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "graph_case.h"
#include "harness.h"

using namespace bench;

namespace
{

struct kernel {
    const char *name; /* of the case */
    const char *algorithm;
    unsigned trials;  /* in one round; scale 20 has a quarter of them */
    unsigned sources; /* for each thread */
};

const kernel kernels[] = {
    {"bfs", "bfs", 16, 1},       {"pr", "page_rank", 4, 1},
    {"wcc", "wcc", 8, 1},        {"sssp", "sssp", 4, 1},
    {"bc", "betweenness", 2, 4}, {"tc", "triangle_count", 1, 1},
    {"lcc", "lcc", 1, 1},        {"cdlp", "cdlp", 1, 1},
};

constexpr unsigned scan_trials = 32;

uint64_t wall_ns()
{
    return (uint64_t)std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

std::string case_name(unsigned scale, const kernel &kernel, unsigned threads)
{
    return "kron" + std::to_string(scale) + "_" + kernel.name + "_" +
           std::to_string(threads) + "t";
}

/* The median of some trials, ms for each source of betweenness. */
double measure(const graph_case *graph, const kernel &kernel, unsigned threads,
               unsigned batches, unsigned trials, uint64_t (*clock)())
{
    unsigned sources = kernel.sources > 1 ? kernel.sources * batches : 1;
    std::vector<double> times;

    for (unsigned trial = 0; trial < trials; trial++) {
        uint64_t began = clock();
        int64_t figure = graph_case_run(graph, kernel.algorithm, threads,
                                        1000 + trial, sources);

        times.push_back((double)(clock() - began) / 1e6 / sources);
        if (figure < 0)
            die("%s failed", kernel.algorithm);
    }
    return median(times);
}

double measure_scan(const graph_case *graph)
{
    uint64_t expected = graph_case_scan(graph);
    std::vector<double> times;

    for (unsigned trial = 0; trial < scan_trials; trial++) {
        uint64_t began = cpu_ns();
        uint64_t sum = graph_case_scan(graph);

        times.push_back((double)(cpu_ns() - began) / 1e6);
        if (sum != expected)
            die("two scans differ");
    }
    return median(times);
}

/* What must not depend on how many threads there were. */
void check_agreement(const graph_case *graph, const kernel &kernel)
{
    int64_t figures[2];

    for (unsigned threads : {1u, 2u})
        figures[threads - 1] =
            graph_case_run(graph, kernel.algorithm, threads, 1, kernel.sources);
    /* PageRank may come to its end in another iteration. */
    if (figures[0] < 0 ||
        (figures[0] != figures[1] && strcmp(kernel.algorithm, "page_rank")))
        die("%s: two threads and one differ", kernel.algorithm);
}

void run_kernel(const options &options, const graph_case *graph, unsigned scale,
                const kernel &kernel)
{
    unsigned rounds = options.quick ? 1 : 5;
    unsigned trials =
        scale > 18 || options.quick ? (kernel.trials + 3) / 4 : kernel.trials;
    uint64_t n = graph_case_vertices(graph);
    std::string one = case_name(scale, kernel, 1);
    std::string two = case_name(scale, kernel, 2);
    /* A quick run of everything does without: it takes twice as long. */
    bool both = wanted(options, "graph", two) &&
                !(options.quick && options.names.empty());

    if (both)
        check_agreement(graph, kernel);
    if (wanted(options, "graph", one))
        run_rounds(options, "graph", n, rounds,
                   {{"rhizome",
                     [=](recorder &recorder) {
                         recorder.add(
                             one, "ms", "ms",
                             measure(graph, kernel, 1, 1, trials, cpu_ns));
                     }},
                    {"csr_scan", [=](recorder &recorder) {
                         recorder.add(one, "ms", "ms", measure_scan(graph));
                     }}});
    if (both)
        run_rounds(
            options, "graph", n, rounds,
            {{"rhizome",
              [=](recorder &recorder) {
                  recorder.add(two, "ms", "ms",
                               measure(graph, kernel, 2, 2, trials, wall_ns));
              }},
             {"one_thread", [=](recorder &recorder) {
                  recorder.add(two, "ms", "ms",
                               measure(graph, kernel, 1, 2, trials, wall_ns));
              }}});
}

void run_scale(const options &options, unsigned scale)
{
    graph_case *graph = nullptr;

    for (const kernel &kernel : kernels) {
        if (!wanted(options, "graph", case_name(scale, kernel, 1)) &&
            !wanted(options, "graph", case_name(scale, kernel, 2)))
            continue;
        if (!graph)
            graph = graph_case_kronecker(scale, 42);
        if (!graph)
            die("no memory for a graph of scale %u", scale);
        run_kernel(options, graph, scale, kernel);
    }
    if (graph)
        graph_case_free(graph);
}

} // namespace

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "Algorithms on Kronecker graphs beside a scan of them.");

    run_scale(options, 18);
    if (!options.quick)
        run_scale(options, 20);
    return 0;
}
