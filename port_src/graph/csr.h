/*
 * csr.h -- a graph as arrays: compressed sparse rows, and a projection made of
 * them.
 *
 *     offsets  [0 2 3 3 ..            vertex v has the entries
 *     targets  [1 4|0|..              offsets[v] .. offsets[v + 1]
 *     weights  [2 7|1|..
 *
 * Vertices are 0 .. n - 1. The targets of a vertex ascend; an entry that
 * occurs twice is two edges in parallel. A loop is an entry like any other.
 */
#ifndef RHIZOME_GRAPH_CSR_H
#define RHIZOME_GRAPH_CSR_H

#include "core/bytes.h"
#include "graph/run.h"

/* One less than the number that NO_VERTEX is. */
#define CSR_VERTICES_MAX (UINT32_MAX - 1)

enum weight_form {
    WEIGHTS_ONE, /* every edge weighs 1; no array */
    WEIGHTS_U32, /* all are integers from 0 to 2^32 - 1 */
    WEIGHTS_F64,
};

struct csr {
    uint32_t n;
    uint64_t m; /* entries */
    uint64_t *offsets;
    uint32_t *targets;
    enum weight_form form;
    uint32_t *weights_u32;
    double *weights_f64;
};

static inline double csr_weight(const struct csr *csr, uint64_t entry)
{
    switch (csr->form) {
    case WEIGHTS_U32:
        return csr->weights_u32[entry];
    case WEIGHTS_F64:
        return csr->weights_f64[entry];
    default:
        return 1;
    }
}

static inline uint64_t csr_degree(const struct csr *csr, uint32_t v)
{
    return csr->offsets[v + 1] - csr->offsets[v];
}

/* Whether u -> v is there, and its first entry. O(log degree). */
bool csr_find(const struct csr *csr, uint32_t u, uint32_t v,
              uint64_t *ret_entry);

/*
 * Builds one from edges in any order, which are left alone: counting sort by
 * `from` and then by `to`, O(n + m). `weights` is NULL or has a weight for
 * each; the form is the smallest that holds them all. For tests, for edges out
 * of a file, and for those who transform graphs.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT, and those of the run's check.
 */
enum status csr_build(struct run *run, uint32_t n, uint64_t m,
                      const uint32_t *from, const uint32_t *to,
                      const double *weights, struct csr *ret);

/* The same edges the other way round. O(n + m). */
enum status csr_transpose(struct run *run, const struct csr *csr,
                          struct csr *ret);

/* Entries of both: u's targets are out's and in's, merged, with all that occur
 * twice. In an undirected graph out serves as it is. O(n + m). */
enum status csr_union(struct run *run, const struct csr *out,
                      const struct csr *in, struct csr *ret);

/* Gives back what lies behind the first `m` entries. */
void csr_cut(struct mem *mem, struct csr *csr, uint64_t m);

/* Gives the arrays back; the struct is empty afterwards. */
void csr_free(struct mem *mem, struct csr *csr);

size_t csr_bytes(const struct csr *csr);

/* For tests: offsets ascend, targets are in range and ascend. */
bool csr_check(const struct csr *csr);

/*
 * What algorithms are given. `out`, `in` and `both` are there as they were
 * asked for (NEED_); in an undirected graph, where every edge but a loop has
 * an entry at each of its ends, all three are the same arrays.
 *
 * `both` of a directed graph has an entry for each edge at each of its ends: a
 * pair of edges a -> b, b -> a is two entries on either side, and a loop is
 * two entries, too.
 */
struct projection {
    uint32_t n;
    uint64_t edges; /* of the graph, each counted once */
    bool undirected;
    const struct csr *out;
    const struct csr *in;
    const struct csr *both;
};

#endif
