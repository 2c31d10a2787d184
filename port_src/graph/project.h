/*
 * project.h -- from tables to arrays: a graph, or a path of junctions, as CSR.
 *
 * What is made holds nothing of the store: it has the vertices as encoded keys
 * with it, and outlives the snapshot that it was made from.
 */
#ifndef RHIZOME_GRAPH_PROJECT_H
#define RHIZOME_GRAPH_PROJECT_H

#include "core/graph.h"
#include "graph/algorithm.h"
#include "graph/source.h"

/* Which vertices and edges, and what is made of them. */
struct project_spec {
    enum direction_of_edges direction; /* EDGES_IN: every edge turned round;
                                        * EDGES_BOTH: as an undirected graph */
    const uint64_t *labels;            /* of edges; NULL: all */
    size_t label_count;
    const uint64_t *vertex_labels; /* vertices with one of these; NULL: all */
    size_t vertex_label_count;
    bool weights;
};

/* Owned arrays. */
struct graph_image {
    struct mem *mem; /* that all blocks are charged to */
    uint32_t n;
    uint64_t edges;
    bool undirected;

    /* Vertex v is keys[key_offsets[v] .. key_offsets[v + 1]). */
    uint64_t *key_offsets;
    uint8_t *keys;
    uint64_t key_bytes;

    /* Slots of an open hash of keys: v + 1, or 0. A power of two. */
    uint32_t *slots;
    uint32_t slot_count;

    struct csr out;  /* empty: not made */
    struct csr in;   /* the same; always so if undirected */
    struct csr both; /* the same */
};

/*
 * Projects. `needs` (NEED_) says which of out, in and both; WEIGHTS with
 * spec->weights. One pass over the sorted tree for each direction.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT, ST_TOO_BIG (2^32 - 2 vertices), and
 * those of the run's check.
 */
enum status image_of_graph(struct run *run, const struct graph *graph,
                           const struct project_spec *spec, unsigned needs,
                           struct graph_image *ret);
/*
 * The same of a path of tables of pairs. Its vertices are the keys of the side
 * that it starts from and those that it leads to, in the order of their keys;
 * there is one edge for each pair that it connects. spec->labels,
 * vertex_labels and weights mean nothing.
 */
enum status image_of_path(struct run *run, const struct source_step *steps,
                          size_t count, const struct project_spec *spec,
                          unsigned needs, struct graph_image *ret);

/* Makes what of `needs` is not there yet. O(n + m). */
enum status image_complete(struct run *run, struct graph_image *image,
                           unsigned needs);

void image_free(struct graph_image *image);

/* Charges it to another account, which must be free of other threads for the
 * time of the call, as must its own. False, and nothing is done, if that one
 * refuses. */
bool image_move(struct graph_image *image, struct mem *mem);
size_t image_bytes(const struct graph_image *image);

/* The vertex of an encoded key, or NO_VERTEX. O(1). And back. */
uint32_t image_find(const struct graph_image *image, struct bytes key);
struct bytes image_key(const struct graph_image *image, uint32_t v);

/* As algorithms see it. */
struct projection image_projection(const struct graph_image *image);

/* Bytes that an image of so many vertices and edges takes at most. */
uint64_t image_estimate(uint64_t vertices, uint64_t edges, uint64_t key_bytes,
                        unsigned needs, bool weights, bool undirected);

#endif
