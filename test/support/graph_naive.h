/*
 * graph_naive.h -- graphs as lists of edges, and what is to be known of them
 * computed by whoever has all the time in the world.
 *
 * The definitions are those of LDBC Graphalytics (v1.0.5, section 2.3) where
 * it has the algorithm, word for word; else what a textbook says. Nothing here
 * looks at a projection.
 */
#ifndef RHIZOME_TEST_SUPPORT_GRAPH_NAIVE_H
#define RHIZOME_TEST_SUPPORT_GRAPH_NAIVE_H

#include "graph/csr.h"
#include "support/random.h"

/* Edges in any order; those between the same two vertices are parallel. */
struct naive_graph {
    bool directed;
    bool weighted; /* else all weigh 1 */
    uint32_t n;
    uint32_t m;
    uint32_t capacity;
    uint32_t *from;
    uint32_t *to;
    double *weight;
};

void naive_init(struct naive_graph *graph, uint32_t n, bool directed,
                bool weighted);
void naive_add(struct naive_graph *graph, uint32_t from, uint32_t to,
               double weight);
void naive_free(struct naive_graph *graph);

/* The edges on stderr, for a test that fails. */
void naive_print(const struct naive_graph *graph);

/*
 * A random one of at most `n_max` vertices, of any density, with loops and
 * parallel edges or without; now and then empty, one vertex, a line, a ring, a
 * star, all of one component or of many. `weighted`: whole weights from 0 or 1
 * on, or fractions. `simple`: neither loops nor parallel edges (nor, directed,
 * the two edges between two vertices that face each other).
 */
void naive_random(struct naive_graph *graph, struct random *random,
                  uint32_t n_max, bool directed, bool weighted, bool simple);

/* Well-known ones. */
void naive_karate(struct naive_graph *graph); /* Zachary 1977 */
void naive_petersen(struct naive_graph *graph);
void naive_barbell(struct naive_graph *graph, uint32_t clique, uint32_t path);
void naive_grid(struct naive_graph *graph, uint32_t rows, uint32_t columns,
                bool directed);
void naive_complete(struct naive_graph *graph, uint32_t n, bool directed);

/* All that a projection may have, in memory of `mem`. */
struct naive_image {
    struct mem mem;
    struct projection projection;
    struct csr out;
    struct csr in;
    struct csr both;
};

void naive_project(const struct naive_graph *graph, struct naive_image *ret);

/* Fails the test if anything but the image is left on the account. */
void naive_image_free(struct naive_image *image);
size_t naive_image_bytes(const struct naive_image *image);

#define NAIVE_UNREACHED UINT64_MAX

/* Of Graphalytics. Arrays have n elements. */
void naive_bfs(const struct naive_graph *graph, uint32_t source,
               uint64_t *level);
void naive_page_rank(const struct naive_graph *graph, double damping,
                     unsigned iterations, double *rank);
void naive_wcc(const struct naive_graph *graph, uint32_t *smallest);
void naive_cdlp(const struct naive_graph *graph, unsigned iterations,
                uint64_t *label);
void naive_lcc(const struct naive_graph *graph, double *lcc);
void naive_sssp(const struct naive_graph *graph, uint32_t source,
                double *distance);

/* Of communities, with any labels; a directed edge counts as one that is not.
 * 0 if nothing weighs anything. */
double naive_modularity(const struct naive_graph *graph, const uint32_t *label,
                        double gamma);

/* The largest of all partitions; n at most 9. */
double naive_best_modularity(const struct naive_graph *graph, double gamma);

/* Whether all vertices of each community can be reached from one another by
 * edges within it that weigh something. */
bool naive_connected(const struct naive_graph *graph, const uint32_t *label);

/* By Ford and Fulkerson, on a matrix. Capacities are the weights. */
double naive_max_flow(const struct naive_graph *graph, uint32_t source,
                      uint32_t target);

#endif
