/*
 * graph_case.h -- Kronecker graphs and the algorithms on them for
 * bench_graph.cc, which is C++ and cannot read headers with C11 atomics.
 */
#ifndef RHIZOME_BENCH_GRAPH_CASE_H
#define RHIZOME_BENCH_GRAPH_CASE_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdint.h>

/* Opaque: an undirected projection, once with weights and once without. */
struct graph_case;

/*
 * A Kronecker graph with the parameters of Graph500 (A = 0.57, B = C = 0.19):
 * 2^scale vertices with random numbers, 16 edges for each, drawn, made
 * symmetric, and rid of loops and of all that occur twice; weights 1 .. 255,
 * the same in both directions. The same seed makes the same graph. NULL if
 * there is no memory.
 */
struct graph_case *graph_case_kronecker(unsigned scale, uint64_t seed);
void graph_case_free(struct graph_case *graph);

uint64_t graph_case_vertices(const struct graph_case *graph);
uint64_t graph_case_entries(const struct graph_case *graph);

/* Reads every entry once, in order; gives back their sum. */
uint64_t graph_case_scan(const struct graph_case *graph);

/*
 * Runs an algorithm of the catalogue with the parameters that the GAP
 * benchmark suite has: `trial` chooses the sources, `sources` is how many if
 * it takes many. Gives back the figure that two runs of the same trial must
 * agree on, or -1 if it fails.
 */
int64_t graph_case_run(const struct graph_case *graph, const char *algorithm,
                       unsigned threads, uint64_t trial, unsigned sources);

#ifdef __cplusplus
}
#endif

#endif
