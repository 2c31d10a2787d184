/*
 * kernels.h -- the rows of the catalogue, one for each algorithm.
 *
 * Each is defined in the file that has its kernel.
 */
#ifndef RHIZOME_GRAPH_KERNELS_H
#define RHIZOME_GRAPH_KERNELS_H

#include "graph/algorithm.h"

extern const struct algorithm bfs_algorithm;
extern const struct algorithm sssp_algorithm;
extern const struct algorithm wcc_algorithm;
extern const struct algorithm scc_algorithm;
extern const struct algorithm topological_sort_algorithm;
extern const struct algorithm cycle_algorithm;
extern const struct algorithm cycles_algorithm;
extern const struct algorithm transitive_closure_algorithm;
extern const struct algorithm transitive_reduction_algorithm;
extern const struct algorithm spanning_forest_algorithm;
extern const struct algorithm bridges_algorithm;
extern const struct algorithm articulation_points_algorithm;
extern const struct algorithm k_core_algorithm;
extern const struct algorithm k1_coloring_algorithm;
extern const struct algorithm max_flow_algorithm;
extern const struct algorithm degree_algorithm;
extern const struct algorithm triangle_count_algorithm;
extern const struct algorithm lcc_algorithm;
extern const struct algorithm page_rank_algorithm;
extern const struct algorithm eigenvector_algorithm;
extern const struct algorithm hits_algorithm;
extern const struct algorithm closeness_algorithm;
extern const struct algorithm harmonic_algorithm;
extern const struct algorithm betweenness_algorithm;
extern const struct algorithm cdlp_algorithm;
extern const struct algorithm louvain_algorithm;
extern const struct algorithm leiden_algorithm;

#endif
