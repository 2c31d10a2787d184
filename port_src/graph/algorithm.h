/*
 * algorithm.h -- what makes an algorithm one: a row of the catalogue.
 *
 * Adding one is a file with its kernel, a `const struct algorithm`, its name in
 * catalogue.c, a paragraph of PROTOCOL.md, and tests against an oracle.
 */
#ifndef RHIZOME_GRAPH_ALGORITHM_H
#define RHIZOME_GRAPH_ALGORITHM_H

#include "graph/csr.h"

enum need {
    NEED_OUT = 1 << 0,
    NEED_IN = 1 << 1,
    NEED_BOTH = 1 << 2,
    NEED_WEIGHTS = 1 << 3, /* takes weights into account, if there are any */
};

enum param_type {
    PARAM_U64,      /* u64 */
    PARAM_F64,      /* f64; an integer will do */
    PARAM_BOOL,     /* u64: 0 or 1 */
    PARAM_VERTEX,   /* vertex */
    PARAM_VERTICES, /* vertices and count; may repeat some */
    PARAM_CHOICE,   /* u64: which of `choices` */
};

struct param_spec {
    const char *name; /* as on the wire: an atom */
    enum param_type type;
    bool required;
    double min;                 /* of a U64 or F64, both inclusive; */
    double max;                 /* 0 and 0: any that is not negative */
    double otherwise;           /* the default */
    const char *const *choices; /* ends with NULL; the default is a number */
};

struct param {
    bool given;
    uint64_t u64;
    double f64;
    uint32_t vertex; /* NO_VERTEX if not given */
    const uint32_t *vertices;
    size_t count;
};

#define PARAMS_MAX 8
#define COLUMNS_MAX 6
#define FIGURES_MAX 12

enum column_type {
    COLUMN_VERTEX,   /* uint32_t; NO_VERTEX is nil */
    COLUMN_U64,      /* uint64_t; UINT64_MAX is nil */
    COLUMN_F64,      /* double; an infinity is the atom infinity, NaN nil */
    COLUMN_BOOL,     /* uint8_t */
    COLUMN_VERTICES, /* a list: uint64_t offsets of rows + 1 into `vertices` */
};

struct column {
    const char *name;
    enum column_type type;
    void *data;
    uint32_t *vertices; /* of COLUMN_VERTICES */
    uint64_t vertex_count;
};

/* A number that sums a result up. */
struct figure {
    const char *name;
    bool is_float;
    uint64_t u64;
    double f64;
};

/*
 * Rows of columns. Those of a result `per_vertex` are one for each vertex in
 * the order of their numbers, and have no column for it: row i is vertex i's.
 * All arrays are of run->mem, with `rows` elements (rows + 1 offsets), and
 * belong to the result.
 */
struct result {
    bool per_vertex;
    uint64_t rows;
    unsigned column_count;
    struct column columns[COLUMNS_MAX];
    unsigned figure_count;
    struct figure figures[FIGURES_MAX];
};

void result_init(struct result *result);
void result_free(struct mem *mem, struct result *result);
size_t result_bytes(const struct result *result);

/* Adds a column: takes `data` over, a block that run_alloc() gave for
 * result->rows elements (set that before). */
void result_column(struct result *result, const char *name,
                   enum column_type type, void *data);

/* The same for lists; `offsets` has rows + 1 elements and `vertices` exactly
 * offsets[rows], both of run_alloc(). */
void result_lists(struct result *result, const char *name, uint64_t *offsets,
                  uint32_t *vertices);

void result_u64(struct result *result, const char *name, uint64_t value);
void result_f64(struct result *result, const char *name, double value);

struct algorithm {
    const char *name; /* as on the wire: an atom */
    unsigned needs;
    const struct param_spec *params;
    unsigned param_count;

    /* What the fields of a row are called, in their order, `vertex` first where
     * there is a row for each; NULL behind them. Some may be left out: those of
     * weights where there are none, or of rows of another kind. */
    const char *const columns[COLUMNS_MAX + 2];

    /* Bytes that a run takes at most beyond the projection, its result
     * included. */
    uint64_t (*estimate)(const struct projection *shape,
                         const struct param *params, unsigned threads);
    /* (of `shape`, only n, edges and undirected are good) */

    /*
     * Runs it. `params` has one for each spec, defaults filled in, vertices in
     * range. `*ret` is initialised; on an error it is freed by the caller.
     * Everything else that was taken is given back either way.
     */
    enum status (*run)(struct run *run, const struct projection *projection,
                       const struct param *params, struct result *ret);
};

/* All of them by name, and one or NULL. */
const struct algorithm *const *algorithm_list(size_t *ret_count);
const struct algorithm *algorithm_find(struct bytes name);

/* For tests and callers in C: the defaults of all params. */
void params_default(const struct algorithm *algorithm,
                    struct param params[PARAMS_MAX]);

#endif
