/*
 * test_team.c -- the team of threads that carries a kernel out: who takes part,
 * where they meet, what they hand out among them, and how they stop. And all
 * kernels made for several threads once, so that ThreadSanitizer sees them.
 */
#include "graph/kernels.h"
#include "graph/team.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/random.h"

enum { THREADS = 4, ROUNDS = 200, ITEMS = 100000 };

/* --- Meeting ------------------------------------------------------------ */

struct meeting {
    unsigned seen[RUN_THREADS_MAX]; /* how often each took part */
    uint64_t rounds[RUN_THREADS_MAX];
    uint64_t shared; /* written by one thread between two barriers */
};

static void meet(struct run *run, void *context, unsigned thread)
{
    struct meeting *meeting = context;

    assert_true(thread < run->threads);
    meeting->seen[thread]++;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        meeting->rounds[thread] = round;
        run_barrier(run);
        for (unsigned i = 0; i < run->threads; i++)
            if (meeting->rounds[i] != round)
                abort();
        if (round % run->threads == thread)
            meeting->shared++;
        run_barrier(run);
        if (meeting->shared != round + 1)
            abort();
        run_barrier(run);
    }
}

static void all_take_part_and_meet(void **state)
{
    struct mem mem;
    struct run run;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned threads = 1; threads <= THREADS; threads++) {
        struct meeting meeting = {0};

        run_init(&run, &mem);
        run.threads = threads;
        assert_int_equal(run_team(&run, meet, &meeting), ST_OK);
        assert_int_equal(run.threads, threads);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(meeting.seen[i], i < threads);
        assert_int_equal(meeting.shared, ROUNDS);
        /* And once more with the same run. */
        memset(&meeting, 0, sizeof(meeting));
        assert_int_equal(run_team(&run, meet, &meeting), ST_OK);
        assert_int_equal(meeting.shared, ROUNDS);
    }
}

/* One is late each time, by more than the others look for it: they sleep, and
 * are woken up. */
static void meet_late(struct run *run, void *context, unsigned thread)
{
    struct meeting *meeting = context;
    const struct timespec pause = {.tv_nsec = 300000};

    for (uint64_t round = 0; round < ROUNDS / 4; round++) {
        if (round % run->threads == thread) {
            nanosleep(&pause, NULL);
            meeting->shared++;
        }
        run_barrier(run);
        if (meeting->shared != round + 1)
            abort();
        run_barrier(run);
    }
}

static void late_ones_are_waited_for(void **state)
{
    struct mem mem;
    struct run run;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned threads = 1; threads <= 2 * THREADS; threads++) {
        struct meeting meeting = {0};

        run_init(&run, &mem);
        run.threads = threads;
        assert_int_equal(run_team(&run, meet_late, &meeting), ST_OK);
        assert_int_equal(meeting.shared, ROUNDS / 4);
    }
}

/* --- Handing out -------------------------------------------------------- */

struct handing {
    struct chunks chunks;
    uint64_t size;
    uint8_t taken[ITEMS];
    uint32_t least;
    uint32_t hooked;
    uint64_t bits[(ITEMS + 63) / 64];
};

static void take(struct run *run, void *context, unsigned thread)
{
    struct handing *handing = context;
    bool alone = run->threads == 1;
    uint64_t from;
    uint64_t to;

    while (chunks_take(&handing->chunks, ITEMS, handing->size, &from, &to))
        for (uint64_t i = from; i < to; i++) {
            uint32_t old = NO_VERTEX;

            handing->taken[i]++;
            bit_set(alone, handing->bits, (uint32_t)i);
            min_u32(alone, &handing->least, ITEMS - (uint32_t)i);
            swap_u32(alone, &handing->hooked, &old, thread);
        }
}

static void every_chunk_is_taken_once(void **state)
{
    static const uint64_t sizes[] = {1, 7, 64, 4096, ITEMS, ITEMS + 1};
    static struct handing handing;
    struct mem mem;
    struct run run;

    (void)state;
    mem_init(&mem, 0);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (unsigned threads = 1; threads <= THREADS; threads++) {
            memset(&handing, 0, sizeof(handing));
            handing.size = sizes[s];
            handing.least = handing.hooked = NO_VERTEX;
            run_init(&run, &mem);
            run.threads = threads;
            assert_int_equal(run_team(&run, take, &handing), ST_OK);
            for (uint32_t i = 0; i < ITEMS; i++)
                assert_true(handing.taken[i] == 1 && bit_test(handing.bits, i));
            assert_int_equal(handing.least, 1);
            assert_true(handing.hooked < threads);
        }
}

/* --- Stopping ----------------------------------------------------------- */

struct halting {
    _Atomic uint64_t checks;
    uint64_t nth;
    unsigned rounds[RUN_THREADS_MAX];
};

static enum status halt(void *context)
{
    struct halting *halting = context;

    return atomic_fetch_add(&halting->checks, 1) + 1 >= halting->nth
               ? ST_DEADLINE
               : ST_OK;
}

static void go_on(struct run *run, void *context, unsigned thread)
{
    struct halting *halting = context;

    for (;;) {
        run_check(run);
        if (team_stops(run))
            return;
        halting->rounds[thread]++;
        run_barrier(run);
    }
}

static void all_stop_in_the_same_round(void **state)
{
    struct mem mem;
    struct run run;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned threads = 1; threads <= THREADS; threads++)
        for (uint64_t nth = 1; nth < 60; nth += 7) {
            struct halting halting = {.nth = nth};

            run_init(&run, &mem);
            run.threads = threads;
            run.check = halt;
            run.context = &halting;
            assert_int_equal(run_team(&run, go_on, &halting), ST_DEADLINE);
            for (unsigned i = 1; i < threads; i++)
                assert_int_equal(halting.rounds[i], halting.rounds[0]);
            /* A failure stays, whatever comes after it. */
            assert_int_equal(run_check(&run), ST_DEADLINE);
            assert_int_equal(run_fail(&run, ST_CYCLIC, 1, 2, "late"),
                             ST_DEADLINE);
        }
}

struct late {
    bool goes_on[RUN_THREADS_MAX];
};

static enum status stop_now(void *context)
{
    (void)context;
    return ST_CANCELLED;
}

/* The others stop when the first thread has long come to the barrier. */
static void stop_late(struct run *run, void *context, unsigned thread)
{
    struct late *late = context;

    if (thread > 0) {
        usleep(2000);
        run_check(run);
    }
    late->goes_on[thread] = !team_stops(run);
}

static void who_stops_before_a_barrier_stops_all(void **state)
{
    struct mem mem;
    struct run run;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned threads = 2; threads <= THREADS; threads++)
        for (unsigned i = 0; i < 5; i++) {
            struct late late = {{false}};

            run_init(&run, &mem);
            run.threads = threads;
            run.check = stop_now;
            assert_int_equal(run_team(&run, stop_late, &late), ST_CANCELLED);
            for (unsigned t = 0; t < threads; t++)
                assert_false(late.goes_on[t]);
        }
}

/* --- Kernels ------------------------------------------------------------ */

static void run_twice(const struct algorithm *algorithm,
                      const struct projection *projection)
{
    uint64_t figures[2] = {0, 0};

    for (unsigned i = 0; i < 2; i++) {
        struct param params[PARAMS_MAX];
        struct result result;
        struct mem mem;
        struct run run;

        mem_init(&mem, 0);
        run_init(&run, &mem);
        run.threads = i ? THREADS : 1;
        result_init(&result);
        params_default(algorithm, params);
        if (algorithm == &bfs_algorithm || algorithm == &sssp_algorithm)
            params[0].vertex = 0;
        if (algorithm == &betweenness_algorithm) {
            params[0].given = true;
            params[0].u64 = 24;
        }
        assert_int_equal(algorithm->run(&run, projection, params, &result),
                         ST_OK);
        figures[i] = result.figures[0].u64;
        result_free(&mem, &result);
        assert_int_equal(mem.used, 0);
    }
    /* How many iterations PageRank takes depends on the threads' pace. */
    if (algorithm != &page_rank_algorithm)
        assert_int_equal(figures[0], figures[1]);
}

static void kernels_share_nothing_unguarded(void **state)
{
    static const struct algorithm *const kernels[] = {
        &bfs_algorithm, &sssp_algorithm,        &page_rank_algorithm,
        &wcc_algorithm, &betweenness_algorithm, &triangle_count_algorithm,
        &lcc_algorithm, &cdlp_algorithm,
    };
    enum { VERTICES = 4000, EDGES = 40000 };
    static uint32_t from[EDGES];
    static uint32_t to[EDGES];
    static double weights[EDGES];
    struct projection projection = {.n = VERTICES, .edges = EDGES};
    struct random random;
    struct csr out;
    struct csr in;
    struct mem mem;
    struct run run;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < EDGES; i++) {
        from[i] = (uint32_t)random_below(&random, VERTICES);
        to[i] = (uint32_t)random_below(&random, 1 + from[i]);
        weights[i] = 1 + (double)random_below(&random, 100);
        if (random_below(&random, 2)) {
            uint32_t swap = from[i];

            from[i] = to[i];
            to[i] = swap;
        }
    }
    mem_init(&mem, 0);
    run_init(&run, &mem);
    for (unsigned form = 0; form < 3; form++) {
        for (unsigned i = 0; form == 2 && i < EDGES; i++)
            weights[i] /= 8;
        assert_int_equal(csr_build(&run, VERTICES, EDGES, from, to,
                                   form ? weights : NULL, &out),
                         ST_OK);
        assert_int_equal(csr_transpose(&run, &out, &in), ST_OK);
        projection.out = &out;
        projection.in = &in;
        for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++)
            run_twice(kernels[k], &projection);
        csr_free(&mem, &out);
        csr_free(&mem, &in);
    }
    assert_int_equal(mem.used, 0);
}

static enum status stop_soon(void *context)
{
    unsigned *left = context;

    return (*left)-- ? ST_OK : ST_DEADLINE;
}

static void a_block_is_filled_in_pieces(void **state)
{
    const size_t size = (size_t)50 << 20;
    struct mem mem;
    struct run run;
    unsigned left = 3;
    uint8_t *block;

    (void)state;
    mem_init(&mem, 0);
    run_init(&run, &mem);
    block = run_zalloc(&run, size, 1);
    assert_non_null(block);
    assert_int_equal(run_fill(&run, block, 7, size - 1), ST_OK);
    assert_int_equal(block[0] + block[size / 2] + block[size - 2], 21);
    assert_int_equal(block[size - 1], 0);
    assert_int_equal(run_fill(&run, block, 8, 0), ST_OK);
    run.check = stop_soon;
    run.context = &left;
    assert_int_equal(run_fill(&run, block, 8, size), ST_DEADLINE);
    assert_int_equal(block[0] + block[size - 1], 8);
    run_free(&run, block, size, 1);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_take_part_and_meet),
        cmocka_unit_test(late_ones_are_waited_for),
        cmocka_unit_test(a_block_is_filled_in_pieces),
        cmocka_unit_test(every_chunk_is_taken_once),
        cmocka_unit_test(all_stop_in_the_same_round),
        cmocka_unit_test(who_stops_before_a_barrier_stops_all),
        cmocka_unit_test(kernels_share_nothing_unguarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
