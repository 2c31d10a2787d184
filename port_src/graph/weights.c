/*
 * weights.c -- whether weights are what an algorithm can do with.
 */
#include "graph/pieces.h"

static enum status fail_negative(struct run *run, bool turned, uint32_t v,
                                 uint32_t target)
{
    return run_fail(run, ST_BAD_WEIGHT, turned ? target : v,
                    turned ? v : target, "the weight is negative");
}

enum status weights_check(struct run *run, const struct csr *csr, bool turned,
                          double *ret_greatest)
{
    struct pace pace = {.run = run};
    double greatest = 0;

    if (csr->form == WEIGHTS_ONE) {
        *ret_greatest = 1;
        return ST_OK;
    }
    for (uint32_t v = 0; v < csr->n; v++) {
        enum status st = pace_tick(&pace);

        if (st < 0)
            return st;
        for (uint64_t e = csr->offsets[v]; e < csr->offsets[v + 1]; e++) {
            double weight = csr_weight(csr, e);

            st = pace_tick(&pace);
            if (st < 0)
                return st;
            if (!(weight >= 0))
                return fail_negative(run, turned, v, csr->targets[e]);
            if (weight > greatest)
                greatest = weight;
        }
    }
    *ret_greatest = greatest;
    return ST_OK;
}
