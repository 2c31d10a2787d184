/*
 * graph_internal.h -- what the files of a graph share, graph.c and those whose
 * names begin with graph_, and nobody else.
 */
#ifndef RHIZOME_CORE_GRAPH_INTERNAL_H
#define RHIZOME_CORE_GRAPH_INTERNAL_H

#include "core/graph.h"
#include "core/store_internal.h"

#define NONE (bytes_of(NULL, 0))

/* The first byte of `second` in a change of a graph. */
enum element_kind { ELEMENT_VERTEX, ELEMENT_EDGE, ELEMENT_CONTRACTED };

/* A key of edge_values: {from, arc}. */
#define EDGE_KEY_BYTES_MAX (1 + GRAPH_ID_BYTES_MAX + GRAPH_ARC_BYTES_MAX)
struct bytes graph_edge_key(uint8_t *room, uint64_t from, struct graph_arc arc);

/* The key of an id, or of an arc, in room of the caller's. */
struct bytes graph_id_key(uint8_t *room, uint64_t id);
struct bytes graph_arc_key(uint8_t *room, struct graph_arc arc);

/* Puts the payload of a change: `second` of a vertex, whose labels are an
 * external list, or of an edge. */
enum status graph_put_vertex_note(struct buffer *out, struct bytes labels,
                                  struct bytes value);
enum status graph_put_edge_note(struct buffer *out, struct bytes to,
                                struct bytes label, struct bytes value);

/* Which end of an edge stands first in a change: of an undirected graph the
 * lesser one, whatever their ids are. */
static inline bool graph_swaps(const struct graph_options *options,
                               struct bytes from, struct bytes to)
{
    return options->undirected && bytes_compare(from, to) > 0;
}

/* Paths (tree.h) of the two trees that say which id a key has. */
struct graph_id_paths {
    struct tree_path by_key;
    struct tree_path by_id;
};

static inline void graph_id_paths_init(struct graph_id_paths *paths)
{
    paths->by_key.depth = 0; /* the others need not be written */
    paths->by_id.depth = 0;
}

/* graph_find() by a path of the ids of vertices. */
bool graph_find_near(const struct graph *graph, struct tree_path *path,
                     struct bytes vertex, uint64_t *ret_id);

/* The id of a vertex, or of a label; what is missing is put. */
enum status graph_vertex_id(struct graph_writer *writer,
                            struct graph_id_paths *paths, struct bytes vertex,
                            uint64_t *ret);
enum status graph_label_id(struct graph_writer *writer, struct bytes label,
                           uint64_t *ret);

/* ST_BAD_WEIGHT if the graph takes weights from values and `value` has none.
 * `from` is told along. */
enum status graph_check_weight(struct graph_writer *writer, struct bytes from,
                               struct bytes value);

/* An edge as it is kept: of an undirected one the lesser id is `from`. */
struct graph_kept_edge {
    uint64_t from;
    struct graph_arc arc;
};

static inline struct graph_kept_edge
graph_keep_edge(const struct graph_options *options, uint64_t from, uint64_t to,
                uint64_t label)
{
    if (options->undirected && from > to)
        return (struct graph_kept_edge){to, {from, label}};
    return (struct graph_kept_edge){from, {to, label}};
}

/*
 * Puts an edge on its out side, and notes it. If it was not there, its in side
 * is still to be put. `path` is one of that side's tree.
 */
enum status graph_put_out(struct graph_writer *writer, struct tree_path *path,
                          struct graph_kept_edge edge, struct bytes from,
                          struct bytes to, struct bytes label,
                          struct bytes value, enum outcome *ret);
enum status graph_put_in(struct graph_writer *writer, struct tree_path *path,
                         struct graph_kept_edge edge);

enum status graph_put_contracted_note(struct buffer *out, struct bytes term);

/* Says what a vertex stands for. */
enum status graph_set_contracted(struct graph_writer *writer,
                                 struct bytes vertex, struct bytes term);

/* Of a value that gives a weight by the rule WEIGHT_KEY: the number's term. */
void graph_weight_term(const struct graph_options *options, struct bytes *term);

/* Remembers where the parts are, for the next graph_open(). It may do without
 * memory. */
void graph_note_places(struct store *store, struct table *table);

/*
 * What graph_vertex() remembers: an id's vertex, which lies there until one is
 * forgotten. Looks one up, or will soon, enters what the tree says, empties the
 * slot of an id whose vertex is deleted, and empties all. O(1).
 */
struct graph_memo;
bool graph_memo_get(const struct graph_memo *memo, uint64_t id,
                    struct bytes *ret);
void graph_memo_prefetch(const struct graph_memo *memo, uint64_t id);
void graph_memo_put(struct store *store, struct graph_memo *memo, uint64_t id,
                    struct bytes term);
void graph_memo_forget(struct store *store, struct graph_memo *memo,
                       uint64_t id);
void graph_memo_clear(struct store *store, struct graph_memo *memo);

/* Reads the options out of their part. */
enum status graph_read_options(const struct table *part,
                               struct graph_options *ret);

#endif
