/*
 * catalogue.c -- all algorithms, and the arrays that results are.
 */
#include <string.h>

#include "graph/algorithm.h"
#include "graph/kernels.h"

/* One file has each; in the order of PROTOCOL.md. The last one is no row. */
static const struct algorithm *const algorithms[] = {
    &bfs_algorithm,
    &sssp_algorithm,
    &wcc_algorithm,
    &scc_algorithm,
    &topological_sort_algorithm,
    &cycle_algorithm,
    &cycles_algorithm,
    &transitive_closure_algorithm,
    &transitive_reduction_algorithm,
    &spanning_forest_algorithm,
    &bridges_algorithm,
    &articulation_points_algorithm,
    &k_core_algorithm,
    &k1_coloring_algorithm,
    &max_flow_algorithm,
    &degree_algorithm,
    &triangle_count_algorithm,
    &lcc_algorithm,
    &page_rank_algorithm,
    &eigenvector_algorithm,
    &hits_algorithm,
    &closeness_algorithm,
    &harmonic_algorithm,
    &betweenness_algorithm,
    &cdlp_algorithm,
    &louvain_algorithm,
    &leiden_algorithm,
    NULL,
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]) - 1)

const struct algorithm *const *algorithm_list(size_t *ret_count)
{
    *ret_count = ALGORITHM_COUNT;
    return algorithms;
}

const struct algorithm *algorithm_find(struct bytes name)
{
    for (const struct algorithm *const *row = algorithms; *row; row++)
        if (name.size == strlen((*row)->name) &&
            !memcmp(name.data, (*row)->name, name.size))
            return *row;
    return NULL;
}

void params_default(const struct algorithm *algorithm,
                    struct param params[PARAMS_MAX])
{
    memset(params, 0, PARAMS_MAX * sizeof(params[0]));
    for (unsigned i = 0; i < algorithm->param_count; i++) {
        const struct param_spec *spec = &algorithm->params[i];

        params[i].vertex = NO_VERTEX;
        params[i].f64 = spec->otherwise;
        if (spec->type != PARAM_F64)
            params[i].u64 = (uint64_t)spec->otherwise;
    }
}

/* --- results ------------------------------------------------------------ */

static size_t element_size(enum column_type type)
{
    switch (type) {
    case COLUMN_VERTEX:
        return sizeof(uint32_t);
    case COLUMN_BOOL:
        return sizeof(uint8_t);
    default:
        return sizeof(uint64_t);
    }
}

static size_t column_bytes(const struct column *column, uint64_t rows)
{
    size_t elements = rows + (column->type == COLUMN_VERTICES);
    size_t size = elements * element_size(column->type);

    return size ? size : 1;
}

static size_t list_bytes(const struct column *column)
{
    size_t size = column->vertex_count * sizeof(uint32_t);

    return size ? size : 1;
}

void result_init(struct result *result)
{
    *result = (struct result){0};
}

void result_free(struct mem *mem, struct result *result)
{
    for (unsigned i = 0; i < result->column_count; i++) {
        struct column *column = &result->columns[i];

        mem_free(mem, column->data, column_bytes(column, result->rows));
        if (column->vertices)
            mem_free(mem, column->vertices, list_bytes(column));
    }
    result_init(result);
}

size_t result_bytes(const struct result *result)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < result->column_count; i++) {
        const struct column *column = &result->columns[i];

        bytes += mem_charge(column_bytes(column, result->rows));
        if (column->vertices)
            bytes += mem_charge(list_bytes(column));
    }
    return bytes;
}

void result_column(struct result *result, const char *name,
                   enum column_type type, void *data)
{
    REQUIRE(result->column_count < COLUMNS_MAX);
    result->columns[result->column_count++] =
        (struct column){.name = name, .type = type, .data = data};
}

void result_lists(struct result *result, const char *name, uint64_t *offsets,
                  uint32_t *vertices)
{
    result_column(result, name, COLUMN_VERTICES, offsets);
    result->columns[result->column_count - 1].vertices = vertices;
    result->columns[result->column_count - 1].vertex_count =
        offsets[result->rows];
}

static struct figure *add_figure(struct result *result, const char *name)
{
    struct figure *figure = &result->figures[result->figure_count++];

    REQUIRE(result->figure_count <= FIGURES_MAX);
    *figure = (struct figure){.name = name};
    return figure;
}

void result_u64(struct result *result, const char *name, uint64_t value)
{
    add_figure(result, name)->u64 = value;
}

void result_f64(struct result *result, const char *name, double value)
{
    struct figure *figure = add_figure(result, name);

    figure->is_float = true;
    figure->f64 = value;
}
