/*
 * graph_load.h -- filling a graph from elements that come in any order.
 *
 *     graph_load_begin(store, table, &load);
 *     graph_load_integer(load, 17, &from);       vertices become small numbers,
 *     graph_load_vertex(load, key, &to);         in the order in which they
 * come graph_load_edge(load, from, to, 0, graph_nil);
 *     ...
 *     graph_load_finish(load, &counts);          sorts, and builds the parts
 *
 * Nothing is changed before graph_load_finish(): until then what came is kept,
 * 8 bytes an edge, 12 to 24 a vertex, and labels, values and names beside it,
 * charged to the account of the store. An element that comes twice counts as
 * it came last.
 *
 * Works outside of any command. An empty graph is built bottom-up, as a
 * checkpoint is loaded (load.h): no snapshot of it may be open, and the caller
 * sets the seq. One that holds something is changed in commands of some
 * thousand elements.
 */
#ifndef RHIZOME_CORE_GRAPH_LOAD_H
#define RHIZOME_CORE_GRAPH_LOAD_H

#include "core/graph.h"

struct graph_load;

/* How many vertices one load may bring. */
#define GRAPH_LOAD_VERTICES_MAX (UINT32_MAX - 1)

/*
 * Begins on a graph of `store`; both outlive the load. Errors: ST_NO_MEMORY,
 * ST_MEMORY_LIMIT, ST_LOG_REFUSED for a graph that lacks a part.
 */
enum status graph_load_begin(struct store *store, struct table *table,
                             struct graph_load **ret);

/* Frees all; the graph is as it was. NULL is accepted. */
void graph_load_abort(struct graph_load *load);

/*
 * The number of a vertex within this load, which brings it to the graph if it
 * is new; of an integer, or of an encoded key (an integer is the same vertex
 * either way). Copied. O(1). Errors: ST_TOO_BIG beyond
 * GRAPH_LOAD_VERTICES_MAX, ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status graph_load_integer(struct graph_load *load, int64_t vertex,
                               uint32_t *ret);
enum status graph_load_vertex(struct graph_load *load, struct bytes vertex,
                              uint32_t *ret);

/* The number of an encoded label; 0 is that of nil. Errors as above. */
enum status graph_load_label(struct graph_load *load, struct bytes label,
                             uint32_t *ret);

/*
 * Gives a vertex a value (an external term; graph_nil: none) and exactly these
 * labels, which are not 0 (ST_BAD_ARGUMENT). A vertex that only edges name has
 * neither, and keeps what it has in the graph. Copied. ST_TOO_BIG,
 * ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status graph_load_put_vertex(struct graph_load *load, uint32_t vertex,
                                  struct bytes value, const uint32_t *labels,
                                  size_t label_count);

/*
 * Puts an edge. Errors: ST_BAD_WEIGHT if its value gives no weight by the
 * graph's rule; ST_TOO_BIG, ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status graph_load_put_edge(struct graph_load *load, uint32_t from,
                                uint32_t to, uint32_t label,
                                struct bytes value);

/* What has come so far. */
uint64_t graph_load_vertex_count(const struct graph_load *load);
uint64_t graph_load_edge_count(const struct graph_load *load);

struct graph_load_counts {
    uint64_t vertices; /* different ones that came */
    uint64_t edges;
    uint64_t repeated_vertices; /* put again, with a value or not */
    uint64_t repeated_edges;
    uint64_t new_vertices; /* that the graph did not have */
    uint64_t new_edges;
};

/* What a finish tells while it runs; `done` of `total` steps. */
struct graph_load_progress {
    void (*report)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/*
 * Puts all of it into the graph and frees the load, whatever comes of it.
 * `progress` may be NULL. Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT: a graph that
 * was empty is empty again, one that was not may hold a part of it.
 *
 * Empty graph: O(n) for edges (radix sort), O(n log n) for vertices that are
 * no integers. Else O(log n) an element.
 */
enum status graph_load_finish(struct graph_load *load,
                              const struct graph_load_progress *progress,
                              struct graph_load_counts *ret);

#endif
