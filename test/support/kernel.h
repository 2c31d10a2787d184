/*
 * kernel.h -- running algorithms of the catalogue by their names in tests,
 * and what must hold for each of them.
 */
#ifndef RHIZOME_TEST_SUPPORT_KERNEL_H
#define RHIZOME_TEST_SUPPORT_KERNEL_H

#include "graph/algorithm.h"
#include "support/graph_naive.h"

struct kernel {
    const struct algorithm *algorithm;
    struct param params[PARAMS_MAX];
    unsigned threads;

    /* Of the last run that failed. */
    uint32_t fault[2];
    const char *why;
};

/* With defaults, and one thread. The test fails if there is none. */
void kernel_init(struct kernel *kernel, const char *name);

/* The test fails if it has no such parameter. */
void kernel_set_u64(struct kernel *kernel, const char *name, uint64_t value);
void kernel_set_f64(struct kernel *kernel, const char *name, double value);
void kernel_set_bool(struct kernel *kernel, const char *name, bool value);
void kernel_set_vertex(struct kernel *kernel, const char *name, uint32_t v);
/* The vertices are borrowed. */
void kernel_set_vertices(struct kernel *kernel, const char *name,
                         const uint32_t *vertices, size_t count);
void kernel_set_choice(struct kernel *kernel, const char *name,
                       const char *choice);

/* Runs it. What it leaves on the account is the result, and nothing else. */
enum status kernel_run(struct kernel *kernel, struct naive_image *image,
                       struct result *ret);

/* Fails the test if it fails. */
void kernel_must(struct kernel *kernel, struct naive_image *image,
                 struct result *ret);

/* Lets the 1st, 2nd ... allocation fail, and then the 1st, 2nd ... check, until
 * the run ends well: whatever fails, the account is as it was. And holds the
 * estimate against what was taken. */
void kernel_fails_cleanly(struct kernel *kernel, struct naive_image *image);

/* Columns and figures by name; the test fails if there are none. */
const uint32_t *result_vertices(const struct result *result, const char *name);
const uint64_t *result_u64s(const struct result *result, const char *name);
const double *result_f64s(const struct result *result, const char *name);
const uint8_t *result_bools(const struct result *result, const char *name);
const struct column *result_find(const struct result *result, const char *name);
double result_figure(const struct result *result, const char *name);

#endif
