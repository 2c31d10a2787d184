/*
 * community.h -- what Louvain and Leiden are made of: levels, partitions and
 * modularity.
 *
 * A level is a graph whose vertices stand for sets of vertices of the graph
 * that was projected; on the first one each stands for itself. Its edges are
 * seen from both ends, and add up: of a directed graph an edge either way,
 * with its weight.
 *
 *     strength(v)   the weights of v's edges, a loop's twice
 *     total         all strengths: twice the weight of all edges
 *     modularity    sum over communities c of
 *                     within(c) / total - gamma * (strength(c) / total)^2
 *
 * where within(c) has every edge inside of c twice. Edges that weigh nothing
 * are none.
 */
#ifndef RHIZOME_GRAPH_COMMUNITY_H
#define RHIZOME_GRAPH_COMMUNITY_H

#include "graph/algorithm.h"
#include "graph/draw.h"

struct level {
    struct csr csr; /* targets do not ascend, but on the first level */
    bool borrowed;  /* the csr is the projection's */
    double *self;   /* twice the loops of a vertex */
    double *strength;
    double total;
    double mean; /* of the weights of edges that are no loops */
};

/* Which community has which vertex; any numbers below n. */
struct partition {
    uint32_t n;
    uint32_t *of;
    double *sum; /* of strengths, by community */
    uint32_t *size;
};

/* Weights by community, 0 wherever nothing was added. */
struct tally {
    uint32_t n;
    double *weight;
    uint32_t *touched; /* those that are not 0 */
    uint32_t count;
};

/* As in the rows of parameters. */
struct community_settings {
    double gamma;
    uint64_t max_levels;
    uint64_t max_iterations;
    double tolerance;
    uint64_t seed;
};

/* The parameters of both algorithms, by their places. */
#define COMMUNITY_PARAMS                                                       \
    {.name = "gamma", .type = PARAM_F64, .max = 1e6, .otherwise = 1},          \
        {.name = "max_levels",                                                 \
         .type = PARAM_U64,                                                    \
         .min = 1,                                                             \
         .max = 1e6,                                                           \
         .otherwise = 10},                                                     \
        {.name = "max_iterations",                                             \
         .type = PARAM_U64,                                                    \
         .min = 1,                                                             \
         .max = 1e6,                                                           \
         .otherwise = 10},                                                     \
        {.name = "tolerance", .type = PARAM_F64, .max = 1, .otherwise = 1e-4}, \
    {                                                                          \
        .name = "seed", .type = PARAM_U64                                      \
    }

#define COMMUNITY_PARAM_COUNT 5

struct community_settings community_settings(const struct param *params);

/*
 * The first level; borrows projection->both.
 * Errors: those of memory and of the check; ST_BAD_WEIGHT, with the edge, if a
 * weight is negative or no number, and without if they add up to infinity.
 */
enum status level_first(struct run *run, const struct projection *projection,
                        struct level *ret);

/* What is left of a level if the vertices of each of `count` parts become
 * one; `part` gives each vertex one of 0 .. count - 1. O(n + m). */
enum status level_merge(struct run *run, const struct level *level,
                        const uint32_t *part, uint32_t count,
                        struct level *ret);
void level_free(struct run *run, struct level *level);

/* Each vertex alone. The struct may be freed whatever is returned. */
enum status partition_alone(struct run *run, const struct level *level,
                            struct partition *ret);
void partition_free(struct run *run, struct partition *partition);

/* `sum` and `size` anew, out of `of`. */
enum status partition_add_up(struct run *run, struct partition *partition,
                             const struct level *level);

/* Numbers the communities 0, 1, ... in the order of their first vertices, and
 * tells how many there are. `scratch` is for n elements. */
enum status partition_number(struct run *run, struct partition *partition,
                             uint32_t *scratch, uint32_t *ret_count);

enum status partition_modularity(struct run *run, const struct level *level,
                                 const struct partition *partition,
                                 double gamma, double *ret);

/*
 * Moves vertices to where modularity gains most, as long as it gains, and no
 * vertex more often than `max_iterations` times on average; into communities
 * of neighbours, or one of its own. O(m) for each time.
 */
enum status partition_improve(struct run *run, const struct level *level,
                              const struct community_settings *settings,
                              struct draw *draw, struct partition *partition);

enum status tally_create(struct run *run, uint32_t n, struct tally *ret);
void tally_free(struct run *run, struct tally *tally);

/* Adds the edges of v by the number that `of` gives to the other end; those
 * to ends outside of v's community of `within` not, if that is given. Loops
 * not. The caller clears the tally when it has looked. */
enum status tally_edges(struct run *run, struct tally *tally,
                        const struct level *level, uint32_t v,
                        const uint32_t *of, const uint32_t *within);
void tally_clear(struct tally *tally);

/* A check for every RUN_CHECK_WORK of `more` that add up in `*work`. */
static inline enum status check_after(struct run *run, uint64_t *work,
                                      uint64_t more)
{
    *work += more + 1;
    if (*work < RUN_CHECK_WORK)
        return ST_OK;
    *work = 0;
    return run_check(run);
}

/* The same for loops over vertices, which have steps of one size. */
static inline enum status check_at(struct run *run, uint32_t v)
{
    return v % RUN_CHECK_WORK ? ST_OK : run_check(run);
}

/* The numbers 0 .. n - 1 in an order drawn. */
enum status order_drawn(struct run *run, struct draw *draw, uint32_t *order,
                        uint32_t n);

/* of[v] = next[of[v]], for all n. */
enum status labels_follow(struct run *run, uint32_t *of, uint32_t n,
                          const uint32_t *next);

/* Columns and figures of `of`, which has numbers below n; takes it over, and
 * turns it into the smallest vertex of each community. */
enum status community_result(struct run *run, const struct level *first,
                             const struct community_settings *settings,
                             uint32_t *of, uint64_t levels, struct result *ret);

/* Bytes that either algorithm takes at most. */
uint64_t community_estimate(const struct projection *shape,
                            const struct param *params, unsigned threads);

#endif
