/*
 * walk.h -- walks over a source: whatever starts at a few vertices and sees
 * what lies around them.
 *
 * A walk takes the arcs that the source gives for what is wanted, and follows
 * each in the direction in which it was met. No walk calls itself: what waits
 * lies in arrays whose memory is counted, so that a chain of a million
 * vertices is nothing special.
 *
 * Vertices are numbers of the source; there is none with the number 0. Errors
 * of all: those of source_arcs(). ST_ROW_LIMIT, ST_DEADLINE and whatever else
 * the budget gives leave behind what was found so far, which is right as far as
 * it goes. If t->limited is set as well, it was t->limit.
 */
#ifndef RHIZOME_GRAPH_WALK_H
#define RHIZOME_GRAPH_WALK_H

#include "graph/source.h"
#include "graph/walk_nodes.h"

struct traversal {
    struct source *source;
    struct mem *mem;
    struct budget *budget; /* that of the source */
    struct arcs_wanted wanted;
    uint64_t depth; /* edges from the start, at most */
    uint64_t limit; /* rows, at most */
    bool weighted;  /* edges are as long as they weigh; else 1 */

    /* NULL, or no more than the length of the way from a vertex to where the
     * walk goes. An error ends the walk. */
    enum status (*heuristic)(void *context, uint64_t vertex, double *ret);
    void *context;

    bool limited; /* there would have been more rows than `limit` */
};

/* No limits, and nothing that is not wanted. */
struct traversal traversal_of(struct source *source, struct mem *mem,
                              struct budget *budget);

/* A way, from its start on. */
struct way {
    const uint64_t *vertices;
    size_t count; /* of vertices */
    double length;
};

/* Called for each way that was found; an error ends the walk. */
typedef enum status way_function(void *context, const struct way *way);

/* --- walk_near.c: what lies around ---------------------------------------- */

/* Vertices at the other end of an arc, each once, ascending; appended. */
enum status walk_neighbors(struct traversal *t, uint64_t vertex,
                           struct numbers *ret);

/* What both have for neighbours, ascending, and how many one of them has. */
enum status walk_common(struct traversal *t, uint64_t a, uint64_t b,
                        struct numbers *ret, uint64_t *ret_all);

/* Breadth first from all starts (level 0): nodes in the order of discovery,
 * with parents and levels. `ret` is empty before. */
enum status walk_breadth(struct traversal *t, const uint64_t *starts,
                         size_t count, struct nodes *ret);

/* Depth first, as if by a function that calls itself for each arc in turn:
 * the same. The depth bounds the way that was gone. */
enum status walk_depth(struct traversal *t, uint64_t start, struct nodes *ret);

/* Edges between vertices of a set (`ret` of walk_breadth() with no depth, or
 * any other nodes), once each: calls `edge`. */
enum status walk_induced(struct traversal *t, const struct nodes *set,
                         enum status (*edge)(void *context, uint64_t from,
                                             const struct arc *arc),
                         void *context);

/* From `start` on at random for `steps` edges, or to where no arc leads on;
 * each arc is as likely as the others, or as it weighs. Appends all vertices,
 * the start first. The same seed gives the same walk (splitmix64). */
enum status walk_random(struct traversal *t, uint64_t start, uint64_t steps,
                        uint64_t seed, struct numbers *ret);

/* --- walk_shortest.c -------------------------------------------------------
 */

/*
 * A shortest way; `*ret_found` is false if there is none. Its vertices are
 * appended to `ret`. Unweighted ones are looked for from both ends at a time,
 * weighted ones too, unless there is a heuristic: then it is A*.
 * ST_BAD_WEIGHT for an edge with a negative weight, or with which a sum passes
 * what a double holds: source_fault().
 */
enum status walk_shortest(struct traversal *t, uint64_t from, uint64_t to,
                          struct numbers *ret, double *ret_length,
                          bool *ret_found);

/* Called for each place as it is settled, the nearest first. */
typedef enum status settle_function(void *context, const struct nodes *nodes,
                                    uint32_t place);

/*
 * Distances from a vertex (Dijkstra), until all targets are settled or, without
 * any, all that can be reached is. `settled` may be NULL; node->settled tells
 * afterwards. An unweighted walk obeys t->depth.
 */
enum status walk_distances(struct traversal *t, uint64_t from,
                           const uint64_t *targets, size_t count,
                           struct nodes *ret, settle_function *settled,
                           void *context);

/* Appends the way to a place by its parents, the start first. */
enum status nodes_way(const struct nodes *nodes, uint32_t place,
                      struct numbers *ret);

/* --- walk_ways.c: many ways ------------------------------------------------
 */

/* All ways as short as the shortest, as sequences of vertices. */
enum status walk_all_shortest(struct traversal *t, uint64_t from, uint64_t to,
                              way_function *function, void *context);

/* All simple ways of t->depth edges at most; to = 0: to any vertex, and each
 * way of one edge and more is told. In the order of their vertices. */
enum status walk_simple(struct traversal *t, uint64_t from, uint64_t to,
                        way_function *function, void *context);

/* --- walk_yen.c ------------------------------------------------------------
 */

/* The `k` shortest simple ways, the shortest first. */
enum status walk_k_shortest(struct traversal *t, uint64_t from, uint64_t to,
                            uint64_t k, way_function *function, void *context);

/* --- for the files of walk_ ------------------------------------------------
 */

/* One row more? ST_ROW_LIMIT, and t->limited, if `count` are there. */
static inline enum status traversal_row(struct traversal *t, uint64_t count)
{
    if (count < t->limit)
        return ST_OK;
    t->limited = true;
    return ST_ROW_LIMIT;
}

/*
 * A search by distance: what walk_shortest.c is made of.
 */
struct search {
    struct traversal *t;
    struct nodes *nodes;
    struct heap heap;
    uint32_t from;  /* the place that is being expanded */
    uint64_t depth; /* of an unweighted one */

    /* NULL, or whether an arc from the place `from` may be taken. */
    bool (*allows)(void *context, const struct search *search, uint64_t other);
    /* NULL, or called where a way was found that is shorter than the one that
     * was known (`shorter`), or as long. */
    enum status (*improved)(void *context, struct search *search,
                            uint32_t place, bool shorter);
    void *context;
    const struct arcs_wanted *wanted;
};

/* `nodes` is empty; enters `start` at the distance 0. */
enum status search_begin(struct search *search, struct traversal *t,
                         struct nodes *nodes, uint64_t start);
void search_end(struct search *search);

/* The next place by distance, which is settled now, and of which
 * search_expand() takes the arcs; NO_PLACE at the end. */
uint32_t search_next(struct search *search);
enum status search_expand(struct search *search, uint32_t place);

/* Can the arcs that are wanted be walked the other way round? */
bool traversal_reverses(const struct traversal *t);
struct arcs_wanted wanted_reversed(const struct arcs_wanted *wanted);

#endif
