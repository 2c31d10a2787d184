/*
 * target.h -- where elements that are imported go: a graph, by graph_load.h,
 * or stdout, as frames that a client of a running store sends on.
 *
 * A frame is a length of four bytes, the version byte and a term:
 *
 *     {put_vertices, G, [{V, Value, Labels}]}
 *     {put_edges, G, [{From, To} | {From, To, Label} |
 *                     {From, To, Label, Value}]}
 *     {graph, G, #{directed => Boolean}}        the first: what the files say
 *     {wrong, #{file, line, column, text}}      each error
 *     {imported, #{vertices, edges, errors, bytes}}  the last, if all went well
 */
#ifndef RHIZOME_CLI_TARGET_H
#define RHIZOME_CLI_TARGET_H

#include "cli/format.h"
#include "core/graph_load.h"

/* A batch also ends at this many bytes, which no frame goes far beyond. */
#define TARGET_BATCH_BYTES ((size_t)1 << 20)

/* Elements of one kind that wait for their frame. */
struct batch {
    struct buffer terms;
    uint32_t count;
};

struct target {
    struct graph_load *load; /* NULL: frames */
    struct mem *mem;
    struct buffer key;
    struct buffer last_label; /* a term, and its number */
    uint32_t last_number;
    uint32_t *labels; /* numbers of those of one vertex */
    size_t label_capacity;

    struct bytes graph; /* frames: the name, a term */
    uint64_t batch_max;
    struct batch vertices;
    struct batch edges;
    uint64_t vertex_count;
    uint64_t edge_count;
};

/* Takes over `load`; NULL: frames for the graph `name`, an external term. */
void target_init(struct target *target, struct graph_load *load,
                 struct bytes name, uint64_t batch_max);

/* Frees it, and a load that target_take() has not taken. */
void target_deinit(struct target *target);
struct graph_load *target_take(struct target *target);

/* Errors: those of graph_load.h and key_encode(). */
enum status target_vertex(struct target *target, const struct vertex *vertex,
                          struct bytes value, const struct bytes *labels,
                          size_t label_count);
enum status target_edge(struct target *target, const struct vertex *from,
                        const struct vertex *to, struct bytes label,
                        struct bytes value);

/* Frames that are not of elements; and all that waits goes out. */
void target_graph(struct target *target, bool undirected);
void target_wrong(struct target *target, const char *file, uint64_t line,
                  size_t column, const char *text);
void target_flush(struct target *target);
void target_imported(struct target *target, uint64_t errors, uint64_t bytes);

#endif
