/*
 * kernel.c -- algorithms by name, and their failures one by one.
 */
#include "support/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

void kernel_init(struct kernel *kernel, const char *name)
{
    *kernel = (struct kernel){.threads = 1};
    kernel->algorithm = algorithm_find(bytes_of(name, strlen(name)));
    if (!kernel->algorithm)
        fail_msg("there is no algorithm %s", name);
    params_default(kernel->algorithm, kernel->params);
}

static unsigned place_of(const struct kernel *kernel, const char *name,
                         enum param_type type)
{
    for (unsigned i = 0; i < kernel->algorithm->param_count; i++)
        if (!strcmp(kernel->algorithm->params[i].name, name) &&
            kernel->algorithm->params[i].type == type)
            return i;
    fail_msg("%s has no such parameter: %s", kernel->algorithm->name, name);
    return 0;
}

void kernel_set_u64(struct kernel *kernel, const char *name, uint64_t value)
{
    struct param *param = &kernel->params[place_of(kernel, name, PARAM_U64)];

    param->given = true;
    param->u64 = value;
}

void kernel_set_f64(struct kernel *kernel, const char *name, double value)
{
    struct param *param = &kernel->params[place_of(kernel, name, PARAM_F64)];

    param->given = true;
    param->f64 = value;
}

void kernel_set_bool(struct kernel *kernel, const char *name, bool value)
{
    struct param *param = &kernel->params[place_of(kernel, name, PARAM_BOOL)];

    param->given = true;
    param->u64 = value;
}

void kernel_set_vertex(struct kernel *kernel, const char *name, uint32_t v)
{
    struct param *param = &kernel->params[place_of(kernel, name, PARAM_VERTEX)];

    param->given = true;
    param->vertex = v;
}

void kernel_set_vertices(struct kernel *kernel, const char *name,
                         const uint32_t *vertices, size_t count)
{
    struct param *param =
        &kernel->params[place_of(kernel, name, PARAM_VERTICES)];

    param->given = true;
    param->vertices = vertices;
    param->count = count;
}

void kernel_set_choice(struct kernel *kernel, const char *name,
                       const char *choice)
{
    unsigned place = place_of(kernel, name, PARAM_CHOICE);
    const char *const *choices = kernel->algorithm->params[place].choices;

    kernel->params[place].given = true;
    for (unsigned i = 0; choices[i]; i++)
        if (!strcmp(choices[i], choice)) {
            kernel->params[place].u64 = i;
            return;
        }
    fail_msg("%s has no choice %s", name, choice);
}

/* With a check, or NULL. */
static enum status run_checked(struct kernel *kernel, struct naive_image *image,
                               enum status (*check)(void *), void *context,
                               struct result *ret)
{
    size_t used = image->mem.used;
    struct run run;
    enum status st;

    run_init(&run, &image->mem);
    run.threads = kernel->threads;
    run.check = check;
    run.context = context;
    result_init(ret);
    st = kernel->algorithm->run(&run, &image->projection, kernel->params, ret);
    kernel->fault[0] = run.fault[0];
    kernel->fault[1] = run.fault[1];
    kernel->why = run.why;
    if (st < 0)
        result_free(&image->mem, ret);
    else
        assert_int_equal(run.status, ST_OK);
    assert_int_equal(image->mem.used, used + result_bytes(ret));
    return st;
}

enum status kernel_run(struct kernel *kernel, struct naive_image *image,
                       struct result *ret)
{
    return run_checked(kernel, image, NULL, NULL, ret);
}

void kernel_must(struct kernel *kernel, struct naive_image *image,
                 struct result *ret)
{
    enum status st = kernel_run(kernel, image, ret);

    if (st < 0)
        fail_msg("%s: status %d: %s", kernel->algorithm->name, st,
                 kernel->why ? kernel->why : "");
}

struct countdown {
    _Atomic uint64_t left;
};

static enum status count_down(void *context)
{
    struct countdown *countdown = context;

    return atomic_fetch_sub(&countdown->left, 1) == 1 ? ST_CANCELLED : ST_OK;
}

/* The next of 1, 2, 3 ..., in larger steps further on. */
static uint64_t next_nth(uint64_t nth)
{
    return nth + 1 + nth / 50;
}

void kernel_fails_cleanly(struct kernel *kernel, struct naive_image *image)
{
    size_t used = image->mem.used;
    uint64_t estimate = kernel->algorithm->estimate(
        &image->projection, kernel->params, kernel->threads);
    struct result result;
    enum status st = ST_NO_MEMORY;

    for (uint64_t nth = 1; st < 0; nth++) {
        mem_fail_at(&image->mem, nth, false);
        st = kernel_run(kernel, image, &result);
        mem_fail_at(&image->mem, 0, false);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        result_free(&image->mem, &result);
    }
    st = ST_CANCELLED;
    for (uint64_t nth = 1; st < 0; nth = next_nth(nth)) {
        struct countdown countdown = {nth};

        st = run_checked(kernel, image, count_down, &countdown, &result);
        assert_true(st == ST_OK || st == ST_CANCELLED);
        result_free(&image->mem, &result);
    }
    assert_int_equal(image->mem.used, used);
    image->mem.peak = used;
    assert_int_equal(kernel_run(kernel, image, &result), ST_OK);
    result_free(&image->mem, &result);
    if (image->mem.peak - used > estimate)
        fail_msg("%s took %zu bytes, estimated were %llu",
                 kernel->algorithm->name, image->mem.peak - used,
                 (unsigned long long)estimate);
}

/* --- results ------------------------------------------------------------ */

const struct column *result_find(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->column_count; i++)
        if (!strcmp(result->columns[i].name, name))
            return &result->columns[i];
    fail_msg("there is no column %s", name);
    return NULL;
}

static const void *typed(const struct result *result, const char *name,
                         enum column_type type)
{
    const struct column *column = result_find(result, name);

    assert_int_equal(column->type, type);
    return column->data;
}

const uint32_t *result_vertices(const struct result *result, const char *name)
{
    return typed(result, name, COLUMN_VERTEX);
}

const uint64_t *result_u64s(const struct result *result, const char *name)
{
    return typed(result, name, COLUMN_U64);
}

const double *result_f64s(const struct result *result, const char *name)
{
    return typed(result, name, COLUMN_F64);
}

const uint8_t *result_bools(const struct result *result, const char *name)
{
    return typed(result, name, COLUMN_BOOL);
}

double result_figure(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->figure_count; i++) {
        const struct figure *figure = &result->figures[i];

        if (!strcmp(figure->name, name))
            return figure->is_float ? figure->f64 : (double)figure->u64;
    }
    fail_msg("there is no figure %s", name);
    return 0;
}
