/*
 * test_catalogue.c -- what must hold for every algorithm there is: a row that
 * makes sense, failures of memory and of the check at every place, and no more
 * memory than was estimated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "support/kernel.h"

static uint64_t seed;

/* An atom that needs no quotes. */
static bool is_plain(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    for (; *name; name++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *name))
            return false;
    return true;
}

static void check_param(const struct algorithm *algorithm,
                        const struct param_spec *spec)
{
    unsigned choices = 0;
    bool bounded = spec->min != 0 || spec->max != 0;

    if (!is_plain(spec->name))
        fail_msg("%s: %s is no name", algorithm->name, spec->name);
    while (spec->choices && spec->choices[choices])
        choices++;
    if ((spec->type == PARAM_CHOICE) != (choices > 0))
        fail_msg("%s: %s has %u choices", algorithm->name, spec->name, choices);
    if (spec->type == PARAM_CHOICE && spec->otherwise >= choices)
        fail_msg("%s: %s has a wrong default", algorithm->name, spec->name);
    if (bounded && (spec->otherwise < spec->min || spec->otherwise > spec->max))
        fail_msg("%s: the default of %s is out of its bounds", algorithm->name,
                 spec->name);
}

static void rows_make_sense(void **state)
{
    size_t count;
    const struct algorithm *const *all = algorithm_list(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(is_plain(all[i]->name));
        assert_ptr_equal(
            algorithm_find(bytes_of(all[i]->name, strlen(all[i]->name))),
            all[i]);
        assert_true(all[i]->param_count <= PARAMS_MAX);
        assert_non_null(all[i]->estimate);
        assert_non_null(all[i]->run);
        assert_true(all[i]->needs & (NEED_OUT | NEED_IN | NEED_BOTH));
        for (unsigned j = 0; j < all[i]->param_count; j++)
            check_param(all[i], &all[i]->params[j]);
    }
    assert_null(algorithm_find(BYTES("")));
    assert_null(algorithm_find(BYTES("bf")));
    assert_null(algorithm_find(BYTES("bfs2")));
}

/* Without circles if it is directed; with a hub, parallel edges, and vertices
 * of no edge. */
static void make_graph(struct naive_graph *graph, uint32_t n, bool directed,
                       bool weighted)
{
    struct random random;

    random_init(&random, seed);
    naive_init(graph, n, directed, weighted);
    for (uint32_t i = 0; i < 6 * n; i++) {
        uint32_t a = (uint32_t)random_below(&random, n - 10);
        uint32_t b = i % 8 ? (uint32_t)random_below(&random, n - 10) : n / 2;

        if (a != b)
            naive_add(graph, a < b ? a : b, a < b ? b : a,
                      1 + (double)random_below(&random, 30) / 4);
    }
}

/* Something for all that must be given, and for the first vertices asked for.
 */
static void fill_params(struct kernel *kernel)
{
    uint32_t vertex = 0;

    for (unsigned i = 0; i < kernel->algorithm->param_count; i++)
        if (kernel->algorithm->params[i].type == PARAM_VERTEX) {
            kernel->params[i].given = true;
            kernel->params[i].vertex = vertex++;
        }
}

/* On a graph of which it says that it can do nothing with it, nothing. */
static bool takes(struct kernel *kernel, struct naive_image *image)
{
    struct result result;
    enum status st = kernel_run(kernel, image, &result);

    result_free(&image->mem, &result);
    assert_true(st == ST_OK || st == ST_CYCLIC);
    return st == ST_OK;
}

static void whatever_fails_is_given_back(void **state)
{
    size_t count;
    const struct algorithm *const *all = algorithm_list(&count);

    (void)state;
    for (unsigned form = 0; form < 4; form++) {
        struct naive_graph graph;
        struct naive_image image;

        make_graph(&graph, 400, form & 1, form & 2);
        naive_project(&graph, &image);
        for (size_t i = 0; i < count; i++)
            for (unsigned threads = 1; threads <= 3; threads += 2) {
                struct kernel kernel;

                kernel_init(&kernel, all[i]->name);
                kernel.threads = threads;
                fill_params(&kernel);
                if (takes(&kernel, &image))
                    kernel_fails_cleanly(&kernel, &image);
            }
        naive_image_free(&image);
        naive_free(&graph);
    }
}

/* Columns of these results that a catalogue row must have named, in order. */
static void check_columns(const struct algorithm *algorithm,
                          const struct result *result, unsigned *seen)
{
    unsigned column = 0;

    for (unsigned i = 0; i < result->column_count + result->per_vertex; i++) {
        const char *name = result->per_vertex
                               ? (i ? result->columns[i - 1].name : "vertex")
                               : result->columns[i].name;

        while (algorithm->columns[column] &&
               strcmp(algorithm->columns[column], name))
            column++;
        if (!algorithm->columns[column])
            fail_msg("%s: no column %s at this place", algorithm->name, name);
        *seen |= 1u << column++;
    }
}

/* A row says what its results are like, and they are together. */
static void columns_are_as_promised(void **state)
{
    struct naive_graph graph;
    struct naive_image image;
    size_t count;
    const struct algorithm *const *all = algorithm_list(&count);

    (void)state;
    make_graph(&graph, 60, true, true);
    naive_project(&graph, &image);
    for (size_t i = 0; i < count; i++) {
        unsigned columns = 0;
        unsigned seen = 0;

        while (columns < COLUMNS_MAX + 1 && all[i]->columns[columns])
            assert_true(is_plain(all[i]->columns[columns++]));
        assert_null(all[i]->columns[columns]);
        assert_true(columns > 0);
        for (unsigned form = 0; form < 2; form++) {
            struct kernel kernel;
            struct result result;

            kernel_init(&kernel, all[i]->name);
            fill_params(&kernel);
            for (unsigned p = 0; p < all[i]->param_count; p++)
                if (!strcmp(all[i]->params[p].name, "rows"))
                    kernel.params[p].u64 = form;
            kernel_must(&kernel, &image, &result);
            check_columns(all[i], &result, &seen);
            result_free(&image.mem, &result);
        }
        if (seen != (1u << columns) - 1)
            fail_msg("%s: not all of its columns come", all[i]->name);
    }
    naive_image_free(&image);
    naive_free(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_make_sense),
        cmocka_unit_test(columns_are_as_promised),
        cmocka_unit_test(whatever_fails_is_given_back),
    };

    seed = random_seed();
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
