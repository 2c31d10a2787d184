/*
 * csr.c -- building compressed sparse rows.
 *
 * Two counting sorts, by target and then by source, each stable, leave the
 * targets of every vertex in order: O(n + m), no comparison. Turning a csr
 * round is the second of them alone, since it is read in order of its sources.
 */
#include "graph/csr.h"

#include <string.h>

bool csr_find(const struct csr *csr, uint32_t u, uint32_t v,
              uint64_t *ret_entry)
{
    uint64_t low = csr->offsets[u];
    uint64_t high = csr->offsets[u + 1];

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (csr->targets[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == csr->offsets[u + 1] || csr->targets[low] != v)
        return false;
    *ret_entry = low;
    return true;
}

static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void csr_free(struct mem *mem, struct csr *csr)
{
    mem_free(mem, csr->offsets, ((size_t)csr->n + 1) * sizeof(uint64_t));
    mem_free(mem, csr->targets, at_least_one(csr->m * sizeof(uint32_t)));
    mem_free(mem, csr->weights_u32, at_least_one(csr->m * sizeof(uint32_t)));
    mem_free(mem, csr->weights_f64, at_least_one(csr->m * sizeof(double)));
    *csr = (struct csr){0};
}

size_t csr_bytes(const struct csr *csr)
{
    size_t bytes = 0;

    if (csr->offsets)
        bytes += mem_charge(((size_t)csr->n + 1) * sizeof(uint64_t));
    if (csr->targets)
        bytes += mem_charge(at_least_one(csr->m * sizeof(uint32_t)));
    if (csr->weights_u32)
        bytes += mem_charge(at_least_one(csr->m * sizeof(uint32_t)));
    if (csr->weights_f64)
        bytes += mem_charge(at_least_one(csr->m * sizeof(double)));
    return bytes;
}

bool csr_check(const struct csr *csr)
{
    if (csr->offsets[0] != 0 || csr->offsets[csr->n] != csr->m)
        return false;
    for (uint32_t v = 0; v < csr->n; v++) {
        if (csr->offsets[v] > csr->offsets[v + 1])
            return false;
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++)
            if (csr->targets[e] >= csr->n ||
                (e > csr->offsets[v] && csr->targets[e] < csr->targets[e - 1]))
                return false;
    }
    return true;
}

/* Arrays for `m` entries with weights of a form; offsets are zeros. */
static enum status csr_alloc(struct run *run, uint32_t n, uint64_t m,
                             enum weight_form form, struct csr *csr)
{
    *csr = (struct csr){.n = n, .m = m, .form = form};
    csr->offsets = run_zalloc(run, (size_t)n + 1, sizeof(uint64_t));
    csr->targets = run_alloc(run, m, sizeof(uint32_t));
    if (form == WEIGHTS_U32)
        csr->weights_u32 = run_alloc(run, m, sizeof(uint32_t));
    if (form == WEIGHTS_F64)
        csr->weights_f64 = run_alloc(run, m, sizeof(double));
    if (csr->offsets && csr->targets &&
        (form != WEIGHTS_U32 || csr->weights_u32) &&
        (form != WEIGHTS_F64 || csr->weights_f64))
        return ST_OK;
    csr_free(run->mem, csr);
    return run_memory_status(run);
}

static void copy_weight(struct csr *to, uint64_t entry, const struct csr *from,
                        uint64_t other)
{
    if (to->form == WEIGHTS_U32)
        to->weights_u32[entry] = from->weights_u32[other];
    if (to->form == WEIGHTS_F64)
        to->weights_f64[entry] = from->weights_f64[other];
}

enum status csr_transpose(struct run *run, const struct csr *csr,
                          struct csr *ret)
{
    struct csr turned;
    uint64_t *next;
    uint64_t sum = 0;
    enum status st = csr_alloc(run, csr->n, csr->m, csr->form, &turned);

    if (st < 0)
        return st;
    next = run_alloc(run, csr->n, sizeof(uint64_t));
    if (!next) {
        st = run_memory_status(run);
        goto fail;
    }
    for (uint64_t e = 0; e < csr->m; e++)
        turned.offsets[csr->targets[e] + 1]++;
    for (uint32_t v = 0; v < csr->n; v++) {
        next[v] = sum;
        sum += turned.offsets[v + 1];
        turned.offsets[v + 1] = sum;
    }
    for (uint32_t v = 0; v < csr->n; v++) {
        if (v % 4096 == 0) {
            st = run_check(run);
            if (st < 0)
                goto fail;
        }
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
            uint64_t place = next[csr->targets[e]]++;

            turned.targets[place] = v;
            copy_weight(&turned, place, csr, e);
        }
    }
    run_free(run, next, csr->n, sizeof(uint64_t));
    *ret = turned;
    return ST_OK;

fail:
    run_free(run, next, csr->n, sizeof(uint64_t));
    csr_free(run->mem, &turned);
    return st;
}

static enum weight_form form_of(const double *weights, uint64_t m)
{
    if (!weights)
        return WEIGHTS_ONE;
    for (uint64_t e = 0; e < m; e++)
        if (!(weights[e] >= 0 && weights[e] <= UINT32_MAX) ||
            weights[e] != (uint32_t)weights[e])
            return WEIGHTS_F64;
    return WEIGHTS_U32;
}

/* Sorts the edges by `to` into rows of what leads there: the in side. */
static enum status build_in(struct run *run, uint32_t n, uint64_t m,
                            const uint32_t *from, const uint32_t *to,
                            const double *weights, struct csr *in)
{
    uint64_t sum = 0;
    uint64_t *next;
    enum status st = csr_alloc(run, n, m, form_of(weights, m), in);

    if (st < 0)
        return st;
    next = run_alloc(run, n, sizeof(uint64_t));
    if (!next) {
        csr_free(run->mem, in);
        return run_memory_status(run);
    }
    for (uint64_t e = 0; e < m; e++)
        in->offsets[to[e] + 1]++;
    for (uint32_t v = 0; v < n; v++) {
        next[v] = sum;
        sum += in->offsets[v + 1];
        in->offsets[v + 1] = sum;
    }
    for (uint64_t e = 0; e < m; e++) {
        uint64_t place = next[to[e]]++;

        if (e % RUN_CHECK_WORK == 0) {
            st = run_check(run);
            if (st < 0)
                break;
        }
        in->targets[place] = from[e];
        if (in->form == WEIGHTS_U32)
            in->weights_u32[place] = (uint32_t)weights[e];
        if (in->form == WEIGHTS_F64)
            in->weights_f64[place] = weights[e];
    }
    run_free(run, next, n, sizeof(uint64_t));
    if (st < 0)
        csr_free(run->mem, in);
    return st;
}

enum status csr_build(struct run *run, uint32_t n, uint64_t m,
                      const uint32_t *from, const uint32_t *to,
                      const double *weights, struct csr *ret)
{
    struct csr in;
    enum status st = build_in(run, n, m, from, to, weights, &in);

    if (st < 0)
        return st;
    st = csr_transpose(run, &in, ret);
    csr_free(run->mem, &in);
    return st;
}

/* The form that holds the weights of both. */
static enum weight_form wider(enum weight_form a, enum weight_form b)
{
    return a > b ? a : b;
}

static void put_entry(struct csr *csr, uint64_t place, const struct csr *from,
                      uint64_t entry)
{
    csr->targets[place] = from->targets[entry];
    if (csr->form == WEIGHTS_U32)
        csr->weights_u32[place] = (uint32_t)csr_weight(from, entry);
    if (csr->form == WEIGHTS_F64)
        csr->weights_f64[place] = csr_weight(from, entry);
}

enum status csr_union(struct run *run, const struct csr *out,
                      const struct csr *in, struct csr *ret)
{
    struct csr both;
    uint64_t place = 0;
    enum status st = csr_alloc(run, out->n, out->m + in->m,
                               wider(out->form, in->form), &both);

    if (st < 0)
        return st;
    for (uint32_t v = 0; v < out->n; v++) {
        uint64_t a = out->offsets[v];
        uint64_t b = in->offsets[v];

        while (a < out->offsets[v + 1] || b < in->offsets[v + 1]) {
            bool first =
                b == in->offsets[v + 1] ||
                (a < out->offsets[v + 1] && out->targets[a] <= in->targets[b]);

            if (first)
                put_entry(&both, place++, out, a++);
            else
                put_entry(&both, place++, in, b++);
        }
        both.offsets[v + 1] = place;
        if (v % 4096 == 0) {
            st = run_check(run);
            if (st < 0) {
                csr_free(run->mem, &both);
                return st;
            }
        }
    }
    *ret = both;
    return ST_OK;
}

/* To a smaller size, which no limit refuses and which the C library has always
 * room for. */
static void *shrink(struct mem *mem, void *block, uint64_t from, uint64_t to,
                    size_t size)
{
    void *smaller;

    if (!block)
        return NULL;
    mem_exempt_begin(mem);
    smaller = mem_grow(mem, block, at_least_one(from * size),
                       at_least_one(to * size));
    mem_exempt_end(mem);
    REQUIRE(smaller);
    return smaller;
}

void csr_cut(struct mem *mem, struct csr *csr, uint64_t m)
{
    REQUIRE(m <= csr->m);
    csr->targets = shrink(mem, csr->targets, csr->m, m, sizeof(uint32_t));
    csr->weights_u32 =
        shrink(mem, csr->weights_u32, csr->m, m, sizeof(uint32_t));
    csr->weights_f64 = shrink(mem, csr->weights_f64, csr->m, m, sizeof(double));
    csr->m = m;
}
