/*
 * edge_case.h -- a property graph in a store for bench_edges.cc, which is C++
 * and cannot read headers with C11 atomics.
 */
#ifndef RHIZOME_BENCH_EDGE_CASE_H
#define RHIZOME_BENCH_EDGE_CASE_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>
#include <stdint.h>

/* Opaque: a store with one directed graph, whose vertices are integers and
 * whose edges have neither labels nor values. */
struct edge_case;

/* NULL if there is no memory. */
struct edge_case *edge_case_create(void);
void edge_case_free(struct edge_case *graph);

/*
 * Puts the edges from[i] -> to[i] in commands of `batch` edges, as the daemon
 * carries them out. False if anything fails. Vertices are below 2^32.
 */
int edge_case_put(struct edge_case *graph, const uint32_t *from,
                  const uint32_t *to, size_t count, size_t batch);

/* Loads them into an empty graph bottom-up, as an import does. */
int edge_case_load(struct edge_case *graph, const uint32_t *from,
                   const uint32_t *to, size_t count);

uint64_t edge_case_vertices(const struct edge_case *graph);
uint64_t edge_case_edges(const struct edge_case *graph);

/* What the account of the store has been charged for all parts. */
uint64_t edge_case_bytes(const struct edge_case *graph);

/* Sums the digest up again; false if it is not what it was. */
int edge_case_settle(struct edge_case *graph);

/*
 * Projects a snapshot of the graph to rows in one direction, or in both, on
 * one thread, and frees them: how many entries there were, or -1. What it
 * takes is all of a projection: vertices and the index of their names, too.
 */
int64_t edge_case_project(struct edge_case *graph, int both_directions);

#ifdef __cplusplus
}
#endif

#endif
