/*
 * bench_edges.cc -- suite `graph`: what a graph in a store takes, and how it
 * comes in and out.
 *
 * The graph is directed, with N random edges over N/8 vertices (16 M: over
 * 1 M), integers all; no labels, no values.
 *
 *   graph_bytes_1m        bytes that the store's account has been charged for
 *                         all parts (both directions, vertices, their ids), for
 *                         each edge, after the edges were put one a command in
 *                         random order
 *   graph_resident_1m     the same as the growth of the resident set
 *   graph_load_bytes_1m   the account after a bulk load of the same edges
 *   put_edge_1m           CPU time of a command that puts one edge, vertices
 *                         with it where they are new
 *   put_edges_1m          of an edge, where a command puts 1,000
 *   graph_settle          of an edge: the digest summed up again, as it is
 *                         after a checkpoint was loaded
 *   project_edges         edges a second, from a snapshot of the graph of 1 M
 *                         to rows in one direction, on one thread; vertices and
 *                         the index of their names are part of it. _both: rows
 *                         in both directions; _loaded: of a graph that was
 *                         loaded, not put; _16m: of the large one
 *   import_edges          edges a second, wall time of `rhizome import edges`
 *                         from its start to its end, from a list as SNAP has
 *                         them (4 M random edges over 500,000 vertices) that is
 *                         not in the page cache, to a new store on the disk.
 *                         _cpu: of the process's CPU time
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "directory.h"
#include "edge_case.h"
#include "harness.h"

using namespace bench;

namespace
{

/* As arrays, for C. */
struct edges {
    std::vector<uint32_t> from;
    std::vector<uint32_t> to;
};

edges random_edges(uint64_t n, uint64_t vertices)
{
    splitmix64 random(42);
    edges edges;

    edges.from.reserve(n);
    edges.to.reserve(n);
    for (uint64_t i = 0; i < n; i++) {
        edges.from.push_back((uint32_t)random.below(vertices));
        edges.to.push_back((uint32_t)random.below(vertices));
    }
    return edges;
}

edge_case *create()
{
    edge_case *graph = edge_case_create();

    if (!graph)
        die("no memory for a graph");
    return graph;
}

/* A few random edges are equal. */
uint64_t count_edges(const edge_case *graph, const edges &edges)
{
    uint64_t count = edge_case_edges(graph);
    uint64_t n = edges.from.size();

    if (count > n || count < n - n / 1000)
        die("%llu edges of %llu", (unsigned long long)count,
            (unsigned long long)n);
    return count;
}

edge_case *put(const edges &edges, size_t batch)
{
    edge_case *graph = create();

    if (!edge_case_put(graph, edges.from.data(), edges.to.data(),
                       edges.from.size(), batch))
        die("an edge could not be put");
    return graph;
}

edge_case *load(const edges &edges)
{
    edge_case *graph = create();

    if (!edge_case_load(graph, edges.from.data(), edges.to.data(),
                        edges.from.size()))
        die("the edges could not be loaded");
    return graph;
}

/* Edges a second, the median of some projections. */
double projection_rate(edge_case *graph, int both_directions)
{
    uint64_t count = edge_case_edges(graph);
    unsigned trials = count > 4000000 ? 3 : 9;
    std::vector<double> rates;

    for (unsigned i = 0; i < trials; i++) {
        uint64_t began = cpu_ns();
        int64_t entries = edge_case_project(graph, both_directions);

        rates.push_back(1e9 * (double)count / (double)(cpu_ns() - began));
        if (entries != (int64_t)count * (both_directions ? 2 : 1))
            die("the projection has %lld entries", (long long)entries);
    }
    std::sort(rates.begin(), rates.end());
    return rates[trials / 2];
}

void add_bytes(recorder &recorder, const char *name, const std::string &size,
               uint64_t bytes, uint64_t count)
{
    recorder.add(name + size, "bytes", "bytes", (double)bytes / (double)count);
}

/* --- 1 M ------------------------------------------------------------------ */

void run_put(recorder &recorder, const edges &edges, const std::string &size)
{
    uint64_t before = resident_bytes();
    uint64_t began = cpu_ns();
    edge_case *graph = put(edges, 1);
    double took = (double)(cpu_ns() - began);
    uint64_t count = count_edges(graph, edges);

    recorder.add("put_edge_" + size, "ns", "ns",
                 took / (double)edges.from.size());
    add_bytes(recorder, "graph_bytes_", size, edge_case_bytes(graph), count);
    add_bytes(recorder, "graph_resident_", size, resident_bytes() - before,
              count);
    began = cpu_ns();
    if (!edge_case_settle(graph))
        die("the digest has changed");
    recorder.add("graph_settle", "ns", "ns",
                 (double)(cpu_ns() - began) / (double)count);
    recorder.add("project_edges", "edges_per_s", "edges/s",
                 projection_rate(graph, 0));
    recorder.add("project_edges_both", "edges_per_s", "edges/s",
                 projection_rate(graph, 1));
    edge_case_free(graph);

    began = cpu_ns();
    graph = put(edges, 1000);
    recorder.add("put_edges_" + size, "ns", "ns",
                 (double)(cpu_ns() - began) / (double)edges.from.size());
    edge_case_free(graph);

    graph = load(edges);
    add_bytes(recorder, "graph_load_bytes_", size, edge_case_bytes(graph),
              count_edges(graph, edges));
    recorder.add("project_edges_loaded", "edges_per_s", "edges/s",
                 projection_rate(graph, 0));
    edge_case_free(graph);
}

/* --- 16 M ----------------------------------------------------------------- */

void run_large(recorder &recorder, const edges &edges)
{
    edge_case *graph = put(edges, 1000);

    add_bytes(recorder, "graph_bytes_", "16m", edge_case_bytes(graph),
              count_edges(graph, edges));
    recorder.add("project_edges_16m", "edges_per_s", "edges/s",
                 projection_rate(graph, 0));
    edge_case_free(graph);

    graph = load(edges);
    add_bytes(recorder, "graph_load_bytes_", "16m", edge_case_bytes(graph),
              count_edges(graph, edges));
    edge_case_free(graph);
}

/* --- import --------------------------------------------------------------- */

/* An edge list as those of SNAP; on the disk, and there alone. */
void write_list(const std::string &path, const edges &edges, uint64_t vertices)
{
    FILE *file = fopen(path.c_str(), "w");

    if (!file)
        die("%s: %s", path.c_str(), strerror(errno));
    fprintf(file,
            "# Directed graph (each unordered pair of nodes is saved once)\n"
            "# Nodes: %llu Edges: %zu\n# FromNodeId\tToNodeId\n",
            (unsigned long long)vertices, edges.from.size());
    for (size_t i = 0; i < edges.from.size(); i++)
        fprintf(file, "%u\t%u\n", edges.from[i], edges.to[i]);
    if (fflush(file) || fsync(fileno(file)) ||
        posix_fadvise(fileno(file), 0, 0, POSIX_FADV_DONTNEED))
        die("%s: %s", path.c_str(), strerror(errno));
    fclose(file);
}

void run_import(recorder &recorder, const edges &edges, uint64_t vertices)
{
    using clock = std::chrono::steady_clock;
    const char *executable = getenv("RHIZOME_EXECUTABLE");
    directory directory;
    std::string list = directory.path() + "/edges.txt";
    std::string store = directory.path() + "/store";
    double n = (double)edges.from.size();
    struct rusage usage;
    int status;

    if (!executable)
        die("RHIZOME_EXECUTABLE must name the daemon");
    write_list(list, edges, vertices);
    auto began = clock::now();
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execl(executable, executable, "import", "edges", list.c_str(), "--dir",
              store.c_str(), "--graph", "g", "--quiet", (char *)nullptr);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        die("the import failed");
    std::chrono::duration<double> took = clock::now() - began;
    double cpu =
        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);

    recorder.add("import_edges", "edges_per_s", "edges/s", n / took.count());
    recorder.add("import_edges_cpu", "edges_per_s", "edges/s", n / cpu);
}

bool any_wanted(const options &options, const std::vector<std::string> &names)
{
    for (const std::string &name : names)
        if (wanted(options, "graph", name))
            return true;
    return false;
}

} // namespace

int main(int argc, char **argv)
{
    options options =
        parse_options(argc, argv, "A graph in a store: bytes, in and out.");
    unsigned rounds = options.rounds ? options.rounds : options.quick ? 1 : 5;

    for (uint64_t n : options.sizes.empty() ? std::vector<uint64_t>{1000000}
                                            : options.sizes) {
        std::string size = size_name(n);

        if (!any_wanted(options,
                        {"graph_bytes_" + size, "graph_resident_" + size,
                         "graph_load_bytes_" + size, "put_edge_" + size,
                         "put_edges_" + size, "graph_settle", "project_edges",
                         "project_edges_both", "project_edges_loaded"}))
            continue;
        edges edges = random_edges(n, n / 8);
        run_rounds(options, "graph", n, rounds,
                   {{"rhizome", [&](recorder &recorder) {
                         run_put(recorder, edges, size);
                     }}});
    }
    if (!options.quick &&
        any_wanted(options, {"graph_bytes_16m", "graph_load_bytes_16m",
                             "project_edges_16m"})) {
        edges edges = random_edges(16000000, 1000000);

        run_rounds(options, "graph", 16000000, 1,
                   {{"rhizome",
                     [&](recorder &recorder) { run_large(recorder, edges); }}});
    }
    if (any_wanted(options, {"import_edges", "import_edges_cpu"})) {
        uint64_t n = options.quick ? 1000000 : 4000000;
        edges edges = random_edges(n, n / 8);

        run_rounds(options, "graph", n, rounds,
                   {{"rhizome", [&](recorder &recorder) {
                         run_import(recorder, edges, n / 8);
                     }}});
    }
    return 0;
}
