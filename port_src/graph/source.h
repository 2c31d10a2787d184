/*
 * source.h -- what traversals see of a graph: vertices with numbers, and the
 * arcs at each of them.
 *
 * A source is a graph (core/graph.h), a junction, or a path of junctions, on
 * the head, a version of the store, or pins of it on another thread. The
 * number of a vertex is its own for the time of the traversal: the id of a
 * graph's vertex, or one given out as vertices of junctions are met.
 *
 * Of a junction a vertex is any term that is a key of either side: a pair
 * (a, b) is an edge from a to b, without label and value. Of a path of
 * junctions [J1, J2, ...] there is an edge from a to c if there is a way
 * (a, b) in J1, (b, c) in J2, ...: one, however many ways there are.
 */
#ifndef RHIZOME_GRAPH_SOURCE_H
#define RHIZOME_GRAPH_SOURCE_H

#include "core/filter.h"
#include "core/graph.h"
#include "core/scan.h"

enum direction_of_edges { EDGES_OUT, EDGES_IN, EDGES_BOTH };

#define SOURCE_PATH_MAX 8
#define SOURCE_LABELS_MAX 1000

struct arc {
    uint64_t other;
    uint64_t label;     /* an id of the source; 0: nil */
    double weight;      /* if asked for; else 1 */
    struct bytes value; /* if asked for, else nil; lies in the tree */
    bool backwards;     /* met against its direction */
};

/* Which arcs are wanted, and what of them. All filters must hold. */
struct arcs_wanted {
    enum direction_of_edges direction;
    const uint64_t *labels; /* ids, ascending; NULL: all */
    size_t label_count;
    bool weights;
    bool values;
    struct filter *edges;    /* Condition on (key: the other end, value) */
    struct filter *vertices; /* the same on the vertex that it leads to */
    const uint64_t
        *vertex_labels; /* of the vertex that it leads to; NULL: any */
    size_t vertex_label_count;
    uint64_t degree_max; /* arcs that are taken of one vertex; 0: all */
};

/*
 * How many arcs may be looked at, wanted or not, and whom to ask meanwhile. Of
 * a path of junctions each pair on the way counts.
 */
struct budget {
    uint64_t arcs;     /* ST_ROW_LIMIT beyond */
    uint64_t examined; /* so far */
    uint64_t stride;   /* arcs between two questions, from 1 on */
    enum status (*check)(void *context); /* NULL: nobody is asked */
    void *context;
    uint64_t pause; /* the next look at all this; 0: at the first arc */
    uint64_t work;  /* since the last question, of budget_work() */
};

/* Cold half of budget_spend(). */
enum status budget_pause(struct budget *budget);

/* One arc more is looked at. ST_ROW_LIMIT, and what the check gives. */
static inline enum status budget_spend(struct budget *budget)
{
    if (__builtin_expect(budget->examined >= budget->pause, 0)) {
        enum status st = budget_pause(budget);

        if (st < 0)
            return st;
    }
    budget->examined++;
    return ST_OK;
}

/* Work that is no look at an arc, and may be much more: as much of it as 16
 * strides lets the check be asked, too. */
static inline enum status budget_work(struct budget *budget, uint64_t work)
{
    budget->work += work;
    if (__builtin_expect(budget->work < 16 * budget->stride, 1))
        return ST_OK;
    budget->work = 0;
    return budget->check ? budget->check(budget->context) : ST_OK;
}

struct source;

/* Called for each arc; a failure ends the walk and is passed on. It must not
 * ask the source for other arcs. */
typedef enum status arc_function(void *context, const struct arc *arc);

/* The graph, or the steps of a path, are copied; what they borrow must stay.
 * `mem` pays for everything; `budget` is borrowed. ST_NO_MEMORY,
 * ST_MEMORY_LIMIT. */
enum status source_of_graph(struct mem *mem, const struct graph *graph,
                            struct budget *budget, struct source **ret);

struct source_step {
    const struct table *table; /* of pairs of keys: table_has_second() */
    enum side side;            /* where the step begins */
};

enum status source_of_path(struct mem *mem, const struct source_step *steps,
                           size_t count, struct budget *budget,
                           struct source **ret);

/* NULL is accepted. */
void source_free(struct source *source);

/* The graph, or NULL for a path. */
const struct graph *source_graph(const struct source *source);

bool source_is_undirected(const struct source *source);

/* Whether its edges can be walked in a direction: a to_many knows no way
 * back. */
bool source_has_direction(const struct source *source,
                          enum direction_of_edges direction);

/*
 * The number of an encoded vertex. ST_NO_VERTEX; ST_NO_MEMORY,
 * ST_MEMORY_LIMIT. Where a path ends in a to_many any term passes for a
 * vertex, for who knows.
 */
enum status source_find(struct source *source, struct bytes vertex,
                        uint64_t *ret);

/* The id of an encoded label that is not nil, whose id is 0; false if no
 * element has it: no arc will match it. */
bool source_find_label(const struct source *source, struct bytes label,
                       uint64_t *ret);

/* The vertex of a number, an external term, until the next call; and as an
 * encoded key, until the next one for a key. Soon: it will be wanted. */
void source_vertex_prefetch(const struct source *source, uint64_t vertex);
enum status source_vertex(struct source *source, uint64_t vertex,
                          struct bytes *ret);
enum status source_vertex_key(struct source *source, uint64_t vertex,
                              struct bytes *ret);

/* A label and the value of a vertex, external terms in the tree; nil if it has
 * none. Junctions have neither. */
struct bytes source_label(const struct source *source, uint64_t label);
struct bytes source_vertex_value(const struct source *source, uint64_t vertex);

/*
 * Whether a vertex is one that `wanted` lets an arc lead to. ST_NO_MEMORY,
 * ST_MEMORY_LIMIT, and what the check of its filter gives.
 */
enum status source_vertex_wanted(struct source *source, uint64_t vertex,
                                 const struct arcs_wanted *wanted, bool *ret);

/*
 * Calls `function` for each wanted arc at a vertex; by direction (out first),
 * then label, then the other's number as far as it ascends. REQUIREs
 * source_has_direction(). Errors: those of the budget and of the filters;
 * ST_BAD_WEIGHT, see source_fault(); ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status source_arcs(struct source *source, uint64_t vertex,
                        const struct arcs_wanted *wanted,
                        arc_function *function, void *context);

/*
 * The arcs that are wanted at a vertex of a graph by their number, from 0 on,
 * where they can be told without a look at each: source_numbers_arcs(). A loop
 * of an undirected graph has two numbers; by the second one it is `backwards`.
 * O(log n) each. A `*ret` has no weight and no value. ST_ROW_LIMIT, and what
 * the budget's check gives; ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
bool source_numbers_arcs(const struct source *source,
                         const struct arcs_wanted *wanted);
uint64_t source_arc_count(const struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted);
enum status source_arc_at(struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted, uint64_t number,
                          struct arc *ret);

/* How many arcs there are; a loop of an undirected graph counts twice.
 * O(log n) a label where no filter is set, which spends one arc. Errors as
 * above. */
enum status source_degree(struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted, uint64_t *ret);

/* Whether that is O(log n) if no filter is set: not on a path of several
 * steps. */
bool source_knows_degrees(const struct source *source);

/* The ends of the edge that an error is about. */
struct source_fault {
    uint64_t from;
    uint64_t to;
};

void source_set_fault(struct source *source, uint64_t from, uint64_t to);
struct source_fault source_fault(const struct source *source);

#endif
