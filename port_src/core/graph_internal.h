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

enum status graph_put_contracted_note(struct buffer *out, struct bytes term);

/* Says what a vertex stands for. */
enum status graph_set_contracted(struct graph_writer *writer,
                                 struct bytes vertex, struct bytes term);

/* Of a value that gives a weight by the rule WEIGHT_KEY: the number's term. */
void graph_weight_term(const struct graph_options *options, struct bytes *term);

/* Remembers where the parts are, for the next graph_open(). It may do without
 * memory. */
void graph_note_places(struct store *store, struct table *table);

/* Reads the options out of their part. */
enum status graph_read_options(const struct table *part,
                               struct graph_options *ret);

#endif
