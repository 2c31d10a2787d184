/*
 * graph.h -- property graphs, made of ordinary tables.
 *
 * A graph G is a table of type `graph` in the catalog, which holds no elements
 * of its own, and its parts, tables with names of the daemon's own
 * ({'$graph', Part, G}):
 *
 *   part            type          what it holds
 *   vertices        to_one        id -> vertex
 *   vertex_ids      to_one        vertex -> id
 *   vertex_values   to_one        id -> value         where it is not nil
 *   vertex_labels   many_to_many  id <-> label id
 *   labels          to_one        label id -> label
 *   label_ids       to_one        label -> label id
 *   out             to_many       from id -> arc
 *   in              to_many       to id -> arc
 *   edge_values     to_one        {from id, arc} -> value    where not nil
 *   contracted      to_one        super-vertex -> what it stands for
 *   options         to_one        option -> value
 *
 *   arc = other id                of an edge whose label is nil
 *       | {label id, other id}
 *
 * So the neighbours of a vertex stand together, by label and then by id, in
 * both directions, and everything that tables can do (snapshots, forks, the
 * log, checkpoints, the account) a graph can. Ids ascend in the order in which
 * vertices came; they are nobody's affair outside.
 *
 * Vertices, labels and values are any terms. An edge is told from others by
 * (from, to, label): edges in parallel have different labels. In an undirected
 * graph an edge is kept from the vertex with the lower id to the other one,
 * and (a, b) and (b, a) name the same edge.
 *
 * What changes is noted twice: by the parts as of any table, and once in the
 * words of the graph, as changes of the table G itself (struct graph_element):
 * replies, the change feed and the digest of G are made of these. So the
 * digest does not depend on ids, and that of the parts is not counted.
 */
#ifndef RHIZOME_CORE_GRAPH_H
#define RHIZOME_CORE_GRAPH_H

#include "core/store.h"

enum graph_part {
    GRAPH_VERTICES,
    GRAPH_VERTEX_IDS,
    GRAPH_VERTEX_VALUES,
    GRAPH_VERTEX_LABELS,
    GRAPH_LABELS,
    GRAPH_LABEL_IDS,
    GRAPH_OUT,
    GRAPH_IN,
    GRAPH_EDGE_VALUES,
    GRAPH_CONTRACTED,
    GRAPH_OPTIONS,
    GRAPH_PART_COUNT,
};

/* Where the weight of an edge comes from; where there is none it is 1. */
enum weight_rule {
    WEIGHT_NONE,  /* all weigh 1 */
    WEIGHT_VALUE, /* the value, which is a number or nil */
    WEIGHT_KEY,   /* what a map has under a key; a number, or there is none */
};

struct graph_options {
    bool undirected;
    enum weight_rule weight;
    struct bytes weight_key; /* the term, which must be a key */
};

/* A graph for reading. It borrows its tables as store_find() gives them; on
 * another thread they are pins. */
struct graph {
    const struct table *table;
    const struct table *parts[GRAPH_PART_COUNT];
    struct graph_options options; /* borrowed from the tables */
};

/* Ids of vertices count from 1. Label id 0 is that of nil. */
#define GRAPH_ID_MAX ((UINT64_C(1) << 53) - 1)

/*
 * The external term of nil, and whether a term is that: the value of what has
 * none, and the label of an edge that has none.
 */
extern const struct bytes graph_nil;
extern const struct bytes graph_nil_key; /* the same as a key */
bool graph_is_nil(struct bytes term);

/* --- tables ------------------------------------------------------------- */

/* True if an encoded name is that of a part of a graph; and the name of a part
 * (`name` and GRAPH_PART_NAME_BYTES more). */
bool graph_is_part_name(struct bytes name);
struct bytes graph_part_name(uint8_t *room, struct bytes name,
                             enum graph_part part);
#define GRAPH_PART_NAME_BYTES 32

/* The type that a part has as a table. */
enum table_type graph_part_type(enum graph_part part);

/*
 * Creates a graph within a command, or drops or clears one: all of its parts.
 * Errors: those of store_table_create(), store_table_drop(), table_clear();
 * ST_BAD_ARGUMENT for a weight key that is no key.
 */
enum status graph_create(struct store *store, struct bytes name,
                         const struct graph_options *options,
                         struct table **ret);
enum status graph_drop(struct store *store, struct table *table);
enum status graph_clear(struct store *store, struct table *table);

/*
 * The graph that `table`, which is of the type TABLE_GRAPH, stands for in
 * `store`, a store, fork or snapshot's store. O(parts * log tables).
 * ST_LOG_REFUSED if a part is missing, which only a damaged log can do.
 */
enum status graph_open(const struct store *store, const struct table *table,
                       struct graph *ret);

/* The same by pins, for a reader on another thread (snapshot.h). _unpin()
 * accepts what _pin() has left after an error. ST_NO_MEMORY. */
enum status graph_pin(struct mem *mem, const struct graph *graph,
                      struct graph *ret);
void graph_unpin(struct mem *mem, struct graph *pin);

uint64_t graph_vertex_count(const struct graph *graph);
uint64_t graph_edge_count(const struct graph *graph);

/* Bytes charged for all parts. */
size_t graph_bytes(const struct graph *graph);

/* --- reading ------------------------------------------------------------ */

/* The id of an encoded vertex; false if the graph has none. O(log n). */
bool graph_find(const struct graph *graph, struct bytes vertex,
                uint64_t *ret_id);

/*
 * The vertex of an id, an external term that is borrowed until the graph
 * changes; false if there is none. O(log n), and O(1) for one that was asked
 * for before, of a graph of the store itself (graph_memo.c). Whoever wants
 * many says so beforehand.
 */
bool graph_vertex(const struct graph *graph, uint64_t id, struct bytes *ret);
void graph_vertex_prefetch(const struct graph *graph, uint64_t id);

/* The same as a key, appended to `out`. REQUIREs that the id has a vertex.
 * ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status graph_vertex_key(const struct graph *graph, uint64_t id,
                             struct buffer *out);

/* The value of a vertex, an external term; nil if it has none. */
struct bytes graph_vertex_value(const struct graph *graph, uint64_t id);

/* The id of an encoded label, 0 for nil; false if no element has had it. And
 * the label of an id, an external term as above. */
bool graph_find_label(const struct graph *graph, struct bytes label,
                      uint64_t *ret_id);
bool graph_label(const struct graph *graph, uint64_t id, struct bytes *ret);

/* Whether a vertex has a label. */
bool graph_has_label(const struct graph *graph, uint64_t id, uint64_t label);

/* The labels of a vertex in ascending order of their ids: calls `label`. */
enum status graph_each_label(
    const struct graph *graph, uint64_t id, struct tree_entry *entry,
    enum status (*label)(void *context, uint64_t label), void *context);

/* How many vertices have a label. O(log n). */
uint64_t graph_label_count(const struct graph *graph, uint64_t label);

/* Appends the labels of a vertex as an external list, in the order of their
 * keys. `scratch` is another buffer. ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status graph_put_labels_of(const struct graph *graph, uint64_t id,
                                struct buffer *scratch, struct buffer *out);

/* Whether there is an edge, and its value (nil if it has none). In an
 * undirected graph from and to may change places. O(log n). */
bool graph_find_edge(const struct graph *graph, uint64_t from, uint64_t to,
                     uint64_t label, struct bytes *ret_value);

/* The weight of a value by the graph's rule; false if it gives no number, for
 * which no edge is put. Infinite or NaN is none. */
bool graph_weight(const struct graph_options *options, struct bytes value,
                  double *ret);

/*
 * How many edges stand at a vertex on one side of the parts, with any label or
 * with one. O(log n) each. (In an undirected graph its degree is that of both
 * sides.)
 */
#define GRAPH_LABEL_ANY UINT64_MAX
uint64_t graph_degree(const struct graph *graph, enum graph_part side,
                      uint64_t id, uint64_t label);

/*
 * A walk over the edges at a vertex in one direction: GRAPH_OUT or GRAPH_IN.
 * By label, then by the other's id. In an undirected graph walk both, and
 * leave out of GRAPH_IN the loop (other == id), which stands in both.
 */
struct graph_arc {
    uint64_t other;
    uint64_t label;
};

/* An arc's key, and what is read beyond it. */
#define GRAPH_ARC_ROOM 32

struct graph_arcs {
    const struct graph *graph;
    enum graph_part side;
    bool one_label;
    struct tree_cursor cursor;
    struct tree_run run; /* what is left of a page */
    bool has_run;        /* the cursor stands where it began */
    struct tree_entry *entry;
    bool none_fits;      /* no row of the run is of this vertex */
    uint64_t head;       /* what a row of this vertex begins with, */
    unsigned head_shift; /* in its first 64 bits without so many */
    size_t first_size;
    size_t second_size; /* of what all arcs of a label begin with */
    uint8_t first[9];   /* the encoded id */
    uint8_t second[10];
    uint8_t key[GRAPH_ARC_ROOM]; /* of an arc: begins with the run's infix */
};

/* `entry` is scratch. `label` as above. Cannot fail. O(log n). */
void graph_arcs_init(struct graph_arcs *arcs, const struct graph *graph,
                     enum graph_part side, uint64_t id, uint64_t label,
                     struct tree_entry *entry);

/* Goes on behind the first `count` arcs of a walk that has just begun. There
 * are as many. O(log n). */
void graph_arcs_skip(struct graph_arcs *arcs, uint64_t count);

/* `*ret_found` is false at the end. ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status graph_arcs_next(struct graph_arcs *arcs, struct graph_arc *ret,
                            bool *ret_found);

/* The value of the edge under an arc that a walk has just given. */
struct bytes graph_arc_value(const struct graph *graph, enum graph_part side,
                             uint64_t id, const struct graph_arc *arc);

/*
 * A walk over all vertices in the order of their ids, and one over all edges
 * by (from, label, to), each from behind a place on: 0, or zeros, start.
 */
struct graph_walk {
    const struct graph *graph;
    struct tree_cursor cursor;
    bool more;
    struct tree_entry *entry;
};

void graph_vertices_init(struct graph_walk *walk, const struct graph *graph,
                         uint64_t after, struct tree_entry *entry);

/* `*ret_vertex` is the term, borrowed from the tree. `*ret_found` is false at
 * the end. */
enum status graph_vertices_next(struct graph_walk *walk, uint64_t *ret_id,
                                struct bytes *ret_vertex, bool *ret_found);

void graph_edges_init(struct graph_walk *walk, const struct graph *graph,
                      uint64_t from, const struct graph_arc *after,
                      struct tree_entry *entry);
enum status graph_edges_next(struct graph_walk *walk, uint64_t *ret_from,
                             struct graph_arc *ret, bool *ret_found);

/* --- decoding of millions ------------------------------------------------ */

/*
 * The arc and first component of a key of the out and in trees, from the bytes
 * of a run (tree.h): what a projection reads.
 */
uint64_t graph_decode_id(const uint8_t *key);
struct graph_arc graph_decode_arc(const uint8_t *key);

/* The same of a key of edge_values. */
void graph_decode_edge(const uint8_t *key, uint64_t *ret_from,
                       struct graph_arc *ret);

/* The encoding of an id, of at most GRAPH_ID_BYTES_MAX bytes, and of an arc,
 * which takes twice that and one. They give back the size. */
#define GRAPH_ID_BYTES_MAX 9
#define GRAPH_ARC_BYTES_MAX (2 * GRAPH_ID_BYTES_MAX + 1)
size_t graph_encode_id(uint8_t *key, uint64_t id);
size_t graph_encode_arc(uint8_t *key, struct graph_arc arc);

/* --- changes ------------------------------------------------------------ */

/* A change of the table G, read from a struct change of it. Vertices and
 * labels are encoded, values external terms. */
struct graph_element {
    bool is_edge;
    bool is_contracted;  /* `value` is what a super-vertex stands for */
    struct bytes vertex; /* of an edge: from */
    struct bytes to;
    struct bytes label;
    struct bytes value;
    struct bytes labels; /* of a vertex: a list of external terms, as a term */
};

struct graph_element graph_change_element(const struct change *change);

/* Appends {vertex, V, Value, Labels}, {edge, From, To, Label, Value} or
 * {contracted, V, Term}.
 * ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status graph_element_put(const struct graph_element *element,
                              struct buffer *out);

/*
 * Mutations, between store_begin() and store_commit(). Vertices and labels are
 * encoded keys, values external terms (graph_nil: none). Errors beyond those
 * of table.h: ST_NO_VERTEX (store_fault() has it), ST_BAD_WEIGHT.
 *
 * A writer is a graph in a command: its parts are those that may be changed.
 */
struct graph_writer {
    struct store *store;
    struct table *table;
    struct table *parts[GRAPH_PART_COUNT];
    struct graph graph; /* the same, for reading */
    struct graph_options options;
    uint64_t next_id;       /* 0: not looked up yet */
    uint64_t next_label_id; /* the same */

    /* The vertex that the last edge was from. */
    uint64_t from_id;
    size_t from_size;
    uint8_t from[64];
};

/* ST_NO_MEMORY, ST_MEMORY_LIMIT. Valid until the command's end. */
enum status graph_writer_open(struct store *store, struct table *table,
                              struct graph_writer *ret);

enum outcome {
    OUTCOME_INSERTED, /* it came */
    OUTCOME_UPDATED,  /* it was there and has changed */
    OUTCOME_EXISTS,   /* it was there as it is to be: nothing changed */
};

/* Labels of one vertex. */
#define GRAPH_VERTEX_LABELS_MAX 1000

/*
 * Puts a vertex with its value and exactly these labels (encoded, in any
 * order; equal ones count once). O(log n) a label. ST_TOO_BIG for more of them
 * than there may be.
 */
enum status graph_put_vertex(struct graph_writer *writer, struct bytes vertex,
                             struct bytes value, const struct bytes *labels,
                             size_t label_count, enum outcome *ret);

/*
 * Puts an edge; vertices that are missing come with it, without value and
 * labels. O(log n).
 */
enum status graph_put_edge(struct graph_writer *writer, struct bytes from,
                           struct bytes to, struct bytes label,
                           struct bytes value, enum outcome *ret);

/* One of many edges: as in graph_put_edge(). */
struct graph_edge {
    struct bytes from;
    struct bytes to;
    struct bytes label;
    struct bytes value;

    /* graph_put_edges()'s own. */
    uint64_t ids[3];
    bool inserted;
};

/*
 * Puts edges; of two in the array that are the same the later one counts. They
 * are put in the order of the trees, and vertices get their ids in that of
 * their keys, so that neighbours in a page are met one after the other: several
 * times as fast as one by one when there are thousands. `*ret_count` tells how
 * many were inserted or updated. On an error `*ret_index` is the edge at fault.
 */
enum status graph_put_edges(struct graph_writer *writer,
                            struct graph_edge *edges, size_t count,
                            uint64_t *ret_count, size_t *ret_index);

/* Deletes a vertex with all its edges; `*ret_edges` tells how many. */
enum status graph_delete_vertex(struct graph_writer *writer,
                                struct bytes vertex, bool *ret_deleted,
                                uint64_t *ret_edges);

enum status graph_delete_edge(struct graph_writer *writer, struct bytes from,
                              struct bytes to, struct bytes label,
                              bool *ret_deleted);

/* --- many vertices as one --------------------------------------------------
 */

/* What becomes of values that meet. Numbers are added and compared as integers
 * while they are such; nil is passed over. */
enum merge_rule {
    MERGE_FIRST, /* the first one's */
    MERGE_COUNT, /* how many there are */
    MERGE_SUM,
    MERGE_MIN,
    MERGE_MAX,
    MERGE_PUT, /* a term that is given */
};

/* What a vertex stands for may take so many bytes as a term: an expansion tells
 * of it, and must fit into a reply. */
#define GRAPH_CONTRACTED_BYTES_MAX (24u << 20)

struct contract_rules {
    enum merge_rule value; /* of the super-vertex, from its members */
    struct bytes put_value;
    enum merge_rule edges; /* of edges with the same other end and label */
    struct bytes put_edges;
    bool keep_loops; /* edges among members become loops; else they go */
};

/*
 * Puts `super` in the place of its members, which go with all their edges;
 * graph_expand() undoes it. `super` may be one of them, and else must not be
 * there. Its labels are all of theirs. O(edges * log n).
 * Errors: ST_NO_VERTEX; ST_BAD_ARGUMENT for a value that is no number where the
 * rule wants one, a sum that is not finite, no members or one that is there
 * twice; ST_TOO_BIG for too many labels or GRAPH_CONTRACTED_BYTES_MAX;
 * ST_TOO_DEEP for too many contractions within one another; those of above.
 */
enum status graph_contract(struct graph_writer *writer, struct bytes super,
                           const struct bytes *members, size_t count,
                           const struct contract_rules *rules);

/*
 * Puts back what a vertex stands for, in its place; what was put at it since
 * goes. Errors: ST_NOT_FOUND if it stands for none; ST_NO_VERTEX if the other
 * end of an edge is no longer there.
 */
enum status graph_expand(struct graph_writer *writer, struct bytes super,
                         uint64_t *ret_members);

/* The term that says what a vertex stands for; false if for itself. */
bool graph_contracted(const struct graph *graph, struct bytes vertex,
                      struct bytes *ret);

/* --- bulk loading and checking ------------------------------------------- */

/*
 * After the parts were loaded without changes (a checkpoint, an import):
 * brings the digest of the table up to date. O(edges). ST_LOG_REFUSED if the
 * parts do not agree; ST_NO_MEMORY.
 */
enum status graph_settle(struct store *store, struct table *table);

/* Verifies that the parts agree with one another and with the digest; for
 * tests and tools. table_check() of each part is the caller's. */
bool graph_check(const struct store *store, const struct table *table,
                 char *why, size_t why_size);

#endif
