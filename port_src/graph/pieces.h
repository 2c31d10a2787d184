/*
 * pieces.h -- algorithms that others are made of.
 *
 * All of them work at a pace, so that they stop when the run does, and give
 * back what they took; their errors are ST_NO_MEMORY, ST_MEMORY_LIMIT and
 * those of the run's check, unless they name others.
 */
#ifndef RHIZOME_GRAPH_PIECES_H
#define RHIZOME_GRAPH_PIECES_H

#include "graph/csr.h"
#include "graph/work.h"

/* --- scc.c -------------------------------------------------------------- */

/* Room for the search, for graphs of up to `n` vertices. */
struct scc_space {
    uint32_t n;
    uint32_t *index; /* by vertex; 0: not met */
    uint32_t *stack;
    uint64_t *next;
    uint8_t *inner;
};

/* Where it looks. */
struct scc_view {
    const struct csr *csr;
    const uint32_t *group; /* NULL: at all vertices; else where this is */
    uint32_t id;           /* ... this */
    bool two_way; /* an edge does not lead back to where it was taken from */
};

enum status scc_space_init(struct run *run, uint32_t n,
                           struct scc_space *space);
void scc_space_free(struct run *run, struct scc_space *space);
uint64_t scc_space_bytes(uint64_t n);

/*
 * The strongly connected components of `count` vertices, or of 0 .. count - 1
 * (vertices NULL). Their `index` must be 0. Afterwards it is the component's
 * number: above count - *ret_components, up to count.
 *
 * With two_way in an undirected graph these are the parts that hold together
 * when any one edge is taken away; parallel edges are one.
 */
enum status scc_search(struct pace *pace, const struct scc_view *view,
                       struct scc_space *space, const uint32_t *vertices,
                       uint32_t count, uint32_t *ret_components);

/* --- order.c ------------------------------------------------------------ */

/*
 * Fills order[n] with the vertices so that every edge leads to a later one:
 * of all that may come next, the smallest number does. `level`, unless NULL,
 * is by vertex the number of edges of a longest path that ends there.
 * Errors: ST_CYCLIC, with a vertex that lies on a cycle.
 */
enum status topological_order(struct pace *pace, const struct csr *out,
                              uint32_t *order, uint32_t *level);
uint64_t topological_order_bytes(uint64_t n);

/* --- core.c ------------------------------------------------------------- */

/*
 * The core number of every vertex, and the order in which they were peeled
 * off: each has at most core[v] neighbours after it. Parallel edges are one,
 * loops are none.
 */
enum status core_peel(struct pace *pace, const struct csr *both, uint32_t *core,
                      uint32_t *order, uint32_t *ret_degeneracy);
uint64_t core_peel_bytes(uint64_t n);

/* --- weights.c ---------------------------------------------------------- */

/*
 * The greatest weight; 1 if there are none. `turned`: entries lead to where
 * their edges come from.
 * Errors: ST_BAD_WEIGHT, with the ends of an edge of negative weight.
 */
enum status weights_check(struct run *run, const struct csr *csr, bool turned,
                          double *ret_greatest);

#endif
