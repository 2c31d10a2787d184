/*
 * betweenness.h -- what the walks of betweenness are made with: the arrays of
 * a walk, and the threads that share them.
 */
#ifndef RHIZOME_GRAPH_BETWEENNESS_H
#define RHIZOME_GRAPH_BETWEENNESS_H

#include "graph/team.h"

#define LANES 4        /* sources of a walk without weights */
#define PIECE_WORDS 16 /* of bits: vertices that pull outwards */

/* Edges and vertices of a level. With less, threads do not meet for it; and
 * with less than this many times as much on average they go apart. */
#define LITTLE_WORK 4096
#define LITTLE_WORKS 8

/* Two doubles: what every machine that we build for adds at once. */
typedef double two __attribute__((vector_size(16)));

struct four {
    two low;
    two high;
};

/* A number for each lane. */
typedef uint32_t lanes __attribute__((vector_size(16)));

/* Vertices on it are list[start .. start of the next one). */
struct level {
    uint64_t start;
    uint64_t out_edges; /* that leave them */
    uint64_t in_edges;
};

/* What one thread of a crew found in one step. */
struct share {
    uint64_t count;
    uint64_t out_edges;
    uint64_t in_edges;
    uint64_t closed_edges; /* into vertices that no lane looks for any more */
    char apart[CACHE_LINE];
};

/* Arrays of one crew: those of the walk in four lanes, or of Dijkstra's. */
struct walker {
    double *sums; /* what its sources gave to each vertex */
    bool clean;   /* between walks: flows and members are 0, sums are sums */

    struct four *paths;
    struct four *flow[2]; /* of even levels and of odd ones, outwards */
    lanes *depths;
    uint64_t *open;   /* bits: some lane has not reached it */
    uint64_t *member; /* bits: it is on the level that is pushed back to */
    uint32_t *list;   /* levels, one after the other */
    struct level *levels;
    uint32_t depth; /* the last level that is known */
    uint64_t open_edges;
    uint32_t *found;  /* by piece or by range, before they are in the list */
    uint32_t *counts; /* of pieces */
    struct share shares[RUN_THREADS_MAX];
    struct parts pieces;  /* of a level that pulls outwards */
    struct chunks chunks; /* of one that pulls back */

    double *distances;
    double *path_counts;
    double *needs;
    uint32_t *order;  /* as they were settled */
    uint32_t *heap;   /* by distance, the least first */
    uint32_t *places; /* in the heap */
};

/* One thread of a crew. */
struct hand {
    struct run *run;
    struct walker *walker;
    unsigned thread; /* of the crew's */
    unsigned crew;   /* threads */
    uint32_t begin;  /* its range of vertices: words of bits are not split */
    uint32_t end;
    uint64_t work;
};

struct betweenness {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    bool undirected;
    bool weighted;
    bool shared; /* one crew, of all threads */
    uint32_t *sources;
    uint32_t source_count;
    uint32_t source_next; /* of the crew of all threads */
    unsigned width;       /* sources of a batch of a thread alone */

    struct walker *walkers;
    unsigned walker_count; /* those with arrays */
    unsigned walker_room;
    double *result;
    struct chunks chunks;
    _Atomic uint64_t done;
};

/* A thread's place in a crew. O(log n). */
struct hand hand_of(struct run *run, const struct betweenness *b,
                    struct walker *walker, unsigned thread, unsigned crew);

/*
 * Adds what up to LANES sources give to the walker's sums, without weights;
 * all of the crew call it. The walker must be clean, and is so afterwards.
 * False if the run is to stop: to all of the crew, and nothing is clean any
 * more. O(n + m), spread over the crew.
 */
bool walk_lanes(const struct betweenness *b, struct hand *hand,
                const uint32_t *sources, unsigned count);

#endif
