/*
 * test_crash.c -- whatever happens, at whichever call.
 *
 * A durable store (durable.h) runs a script on a simulated disk. The script
 * is run once to count its calls, and then once for each call at which
 * something goes wrong: the power fails, the process is killed, the call
 * fails, a sync drops what it should have written, memory runs out. What
 * recovery makes of the disk afterwards must be the store as it was at some
 * seq, and
 *
 *     after a power cut     no less than what was known to be durable
 *     after a kill          no less than what was written
 *
 * and recovery may not refuse: nothing here is damage. From there it goes on
 * and is broken again, while it recovers and mends too.
 *
 * A failure prints SEED=, which runs that one script; SCALE=10 runs ten times
 * as many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "support/durable.h"

static uint64_t states; /* recoveries that were looked at */

static const char *const policy_names[] = {"always", "interval", "none"};

/* What one script is made of; all else follows from its seed. */
struct script {
    uint64_t seed;
    enum sync_policy policy;
    uint64_t segment_bytes;
    unsigned steps;
};

static struct script script_of(uint64_t seed)
{
    static const uint64_t sizes[] = {2048, 4096, 8192};

    return (struct script){
        .seed = seed,
        .policy = (enum sync_policy)(seed % 3),
        .segment_bytes = sizes[seed / 3 % 3],
        .steps = 30,
    };
}

/* The seeds from SEED alone or `count` of them, made from `start`. */
static bool next_seed(uint64_t *seed, uint64_t start, uint64_t count)
{
    const char *given = getenv("SEED");

    if (given && !*seed)
        *seed = strtoull(given, NULL, 10);
    else if (given || *seed >= start + count)
        return false;
    else
        *seed = *seed ? *seed + 1 : start + 1;
    return true;
}

/* Where something goes wrong; for messages. */
struct place {
    const char *what;
    uint64_t call;
    unsigned state;
};

static void fail_at(const struct durable *d, const struct place *place,
                    const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail_at(const struct durable *d, const struct place *place,
                    const char *format, ...)
{
    va_list arguments;
    char text[300];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    durable_fail(d, "%s at call %llu, state %u: %s", place->what,
                 (unsigned long long)place->call, place->state, text);
}

static void open_script(struct durable *d, struct sim_io *sim,
                        const struct script *script)
{
    durable_init(d, sim, script->seed, script->policy, script->segment_bytes);
}

/* A life on `sim` of somebody who remembers what `of` was told. */
static void inherit(struct durable *d, struct sim_io *sim,
                    const struct durable *of, uint64_t seed)
{
    durable_init(d, sim, of->seed, of->policy, of->segment_bytes);
    random_init(&d->random, seed);
    history_free(&d->history);
    history_copy(&d->history, &of->history);
    d->durable = of->durable;
    d->written = of->written;
    d->steps = of->steps;
    d->what = of->what;
}

/* Opens, and must succeed with no less than `least`. */
static void must_open(struct durable *d, const struct place *place,
                      uint64_t least, uint64_t expect)
{
    enum status st = durable_open(d, expect);

    states++;
    if (st == ST_LOG_REFUSED)
        fail_at(d, place, "refused: %s @%llu: %s (S %llu, D %llu)",
                d->recovery.file, (unsigned long long)d->recovery.offset,
                d->recovery.why, (unsigned long long)d->recovery.seq,
                (unsigned long long)d->recovery.durable);
    if (st < 0)
        fail_at(d, place, "status %d, errno %d", st, d->error);
    if (d->recovery.seq < least)
        fail_at(d, place, "recovered seq %llu, and %llu was promised",
                (unsigned long long)d->recovery.seq, (unsigned long long)least);
}

/* An orderly end leaves what needs no recovery. */
static void must_close(struct durable *d, const struct place *place)
{
    uint64_t seq;
    enum status st = durable_sync(d);

    seq = d->history.last;
    if (st == ST_OK)
        st = durable_close(d);
    if (st < 0)
        fail_at(d, place, "closing gives %d", st);
    must_open(d, place, seq, seq);
    if (d->recovery.verdict != RECOVERY_OK)
        fail_at(d, place, "torn after an orderly end");
    durable_abandon(d);
}

static struct sim_io *cut(struct sim_io *sim, struct random *random,
                          unsigned state)
{
    enum sim_power mode = state == 0   ? SIM_POWER_OLD
                          : state == 1 ? SIM_POWER_NEW
                                       : SIM_POWER_RANDOM;

    return sim_io_power_cut(sim, random, mode);
}

/*
 * The machine is off, and `sim` is what the disk has. It starts again; the
 * power fails once more while it recovers or soon after; and then it goes on
 * to an orderly end. `sim` is freed.
 */
static void second_life(struct sim_io *sim, const struct durable *of,
                        const struct place *place, struct random *random)
{
    struct durable d;
    struct sim_io *again;
    enum status st;

    inherit(&d, sim, of, random_next(random));
    sim_io_crash_at(sim, SIM_CHANGES, 1 + random_below(random, 24),
                    (enum sim_moment)random_below(random, 3));
    st = durable_open(&d, random_below(random, 2) ? of->durable : 0);
    states++;
    if (st == ST_LOG_REFUSED)
        fail_at(&d, place, "refused in the second life: %s @%llu: %s",
                d.recovery.file, (unsigned long long)d.recovery.offset,
                d.recovery.why);
    if (st == ST_OK) {
        if (d.recovery.seq < of->durable)
            fail_at(&d, place, "the second life recovered %llu of %llu",
                    (unsigned long long)d.recovery.seq,
                    (unsigned long long)of->durable);
        durable_run(&d, 6);
    } else if (!sim_io_crashed(sim)) {
        fail_at(&d, place, "the second life begins with status %d", st);
    }
    durable_abandon(&d);

    again = cut(sim, random, (unsigned)random_below(random, 5));
    d.sim = again;
    must_open(&d, place, d.durable, random_below(random, 2) ? d.durable : 0);
    if (random_below(random, 4) == 0) {
        st = durable_run(&d, 4);
        if (st < 0)
            fail_at(&d, place, "the third life gives status %d", st);
        must_close(&d, place);
    }
    durable_deinit(&d);
    sim_io_free(again);
    sim_io_free(sim);
}

/* All that is looked at when a script was stopped at one call. */
static void power_states(struct durable *d, struct place *place,
                         struct random *random, unsigned count)
{
    for (place->state = 0; place->state < count; place->state++) {
        struct sim_io *sim = cut(d->sim, random, place->state);
        struct durable after;

        if (random_below(random, 3) == 0) {
            second_life(sim, d, place, random);
            continue;
        }
        inherit(&after, sim, d, random_next(random));
        must_open(&after, place, d->durable,
                  random_below(random, 2) ? d->durable : 0);
        durable_deinit(&after);
        sim_io_free(sim);
    }
}

/* Calls of `kinds` that a script makes when nothing goes wrong. */
static uint64_t count_calls(const struct script *script, uint32_t kinds)
{
    struct sim_io *sim = sim_io_create();
    struct durable d;
    struct place place = {"nothing", 0, 0};
    uint64_t calls;

    open_script(&d, sim, script);
    must_open(&d, &place, 0, 0);
    assert_int_equal(durable_run(&d, script->steps), ST_OK);
    calls = sim_io_calls(sim, kinds);
    must_close(&d, &place);
    durable_deinit(&d);
    sim_io_free(sim);
    return calls;
}

/* Runs the script until it is stopped. The process is still there. */
static void run_to_crash(struct durable *d, const struct script *script,
                         uint64_t call, enum sim_moment moment)
{
    sim_io_crash_at(d->sim, SIM_CHANGES, call, moment);
    if (durable_open(d, 0) == ST_OK)
        durable_run(d, script->steps);
    assert_true(sim_io_crashed(d->sim));
}

/* L4 */
static void power_fails_at_every_call(void **state)
{
    uint64_t first = states;
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 1000, durable_scale(30))) {
        struct script script = script_of(seed);
        uint64_t calls = count_calls(&script, SIM_CHANGES);
        struct random random;

        random_init(&random, seed * 7919);
        for (uint64_t call = 1; call <= calls; call++) {
            struct place place = {"power cut", call, 0};
            struct sim_io *sim = sim_io_create();
            struct durable d;

            open_script(&d, sim, &script);
            run_to_crash(&d, &script, call,
                         (enum sim_moment)random_below(&random, 3));
            durable_abandon(&d);
            power_states(&d, &place, &random, 16);
            durable_deinit(&d);
            sim_io_free(sim);
        }
    }
    printf("L4: %llu states\n", (unsigned long long)(states - first));
}

/* The second process is killed too, and only the third comes to an end. */
static void killed_twice(struct durable *d, struct place *place,
                         struct random *random)
{
    uint64_t least = d->written;
    enum status st;

    io_free(sim_io_kill(d->sim));
    sim_io_crash_at(d->sim, SIM_CHANGES, 1 + random_below(random, 20),
                    (enum sim_moment)random_below(random, 3));
    st = durable_open(d, least);
    if (st == ST_LOG_REFUSED)
        fail_at(d, place, "refused after a kill: %s @%llu: %s",
                d->recovery.file, (unsigned long long)d->recovery.offset,
                d->recovery.why);
    if (st == ST_OK)
        durable_run(d, 5);
    durable_abandon(d);
    io_free(sim_io_kill(d->sim));
    must_open(d, place, least, d->written);
}

/* L6 */
static void it_is_killed_at_every_call(void **state)
{
    uint64_t first = states;
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 2000, durable_scale(12))) {
        struct script script = script_of(seed);
        uint64_t calls = count_calls(&script, SIM_CHANGES);
        struct random random;

        random_init(&random, seed * 7919);
        for (uint64_t call = 1; call <= calls; call++)
            for (int moment = SIM_BEFORE; moment <= SIM_AFTER; moment++) {
                struct place place = {"kill", call, (unsigned)moment};
                struct sim_io *sim = sim_io_create();
                struct durable d;

                open_script(&d, sim, &script);
                run_to_crash(&d, &script, call, (enum sim_moment)moment);
                durable_abandon(&d);
                if (random_below(&random, 2)) {
                    killed_twice(&d, &place, &random);
                } else {
                    io_free(sim_io_kill(sim));
                    must_open(&d, &place, d.written, d.written);
                }
                if (random_below(&random, 4) == 0) {
                    /* And then the power fails. */
                    durable_run(&d, 3);
                    durable_abandon(&d);
                    power_states(&d, &place, &random, 3);
                } else if (random_below(&random, 4) == 0) {
                    must_close(&d, &place);
                }
                durable_deinit(&d);
                sim_io_free(sim);
            }
    }
    printf("L6: %llu states\n", (unsigned long long)(states - first));
}

/* ---- L7, L8: calls that fail ---- */

/* Runs the script with a fault in it; then the fault is gone and a new
 * process starts. `least`: what it must find, by what the dead one said. */
static void run_with_fault(const struct script *script, struct sim_fault fault,
                           const char *what, struct random *random)
{
    struct place place = {what, fault.at, fault.on};
    struct sim_io *sim = sim_io_create();
    struct durable d;
    enum status st;
    uint64_t least;

    open_script(&d, sim, script);
    d.drops = fault.drop;
    sim_io_fail(sim, fault);
    st = durable_open(&d, 0);
    if (st == ST_OK)
        st = durable_run(&d, script->steps);
    if (st != ST_OK && st != ST_IO && st != ST_LOG_FULL)
        fail_at(&d, &place, "status %d", st);
    if (st != ST_OK && !fault.error)
        fail_at(&d, &place, "a call that is short fails something");
    if (d.log && st == ST_IO) {
        const char *doing, *file;

        if (!termlog_error(d.log, &doing, &file) || !file[0])
            fail_at(&d, &place, "failed, and nobody knows why");
        if (termlog_append(d.log, termlog_appended(d.log) + 1, BYTES("j")) !=
                ST_IO ||
            termlog_write(d.log) != ST_IO || termlog_sync_due(d.log) ||
            termlog_sync(d.log) != ST_IO || termlog_roll(d.log) != ST_IO)
            fail_at(&d, &place, "the log goes on after it has failed");
    }
    /* What a failed sync has dropped, nobody has. */
    least = fault.drop ? d.durable : d.written;
    durable_abandon(&d);
    io_free(sim_io_kill(sim));
    must_open(&d, &place, least, least);
    st = durable_run(&d, 3);
    if (st < 0)
        fail_at(&d, &place, "afterwards: status %d", st);
    durable_abandon(&d);
    power_states(&d, &place, random, 3);
    durable_deinit(&d);
    sim_io_free(sim);
}

/* L7 */
static void every_call_fails(void **state)
{
    static const struct {
        uint32_t kinds;
        int error;
        size_t bytes;
        const char *what;
    } faults[] = {
        {SIM_ALL, EIO, 0, "EIO"},
        {SIM_ALL, ENOSPC, 0, "ENOSPC"},
        {SIM_ALL, EDQUOT, 0, "EDQUOT"},
        {SIM_ALL, EMFILE, 0, "EMFILE"},
        {SIM_KIND(SIM_PWRITE), 0, 1, "a short write"},
        {SIM_KIND(SIM_PWRITE), ENOSPC, 13, "ENOSPC within a write"},
        {SIM_KIND(SIM_PREAD), 0, 5, "a short read"},
        {SIM_KIND(SIM_ALLOCATE) | SIM_KIND(SIM_OPEN), ENOSPC, 0,
         "ENOSPC for room"},
    };
    uint64_t first = states;
    uint64_t runs = 0;
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 3000, durable_scale(3))) {
        struct script script = script_of(seed);
        struct random random;

        random_init(&random, seed * 7919);
        for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
            uint64_t calls = count_calls(&script, faults[i].kinds);

            for (uint64_t call = 1; call <= calls; call++)
                for (int on = 0; on < 2; on++, runs++)
                    run_with_fault(&script,
                                   (struct sim_fault){
                                       .kinds = faults[i].kinds,
                                       .at = call,
                                       .on = on,
                                       .error = faults[i].error,
                                       .bytes = faults[i].bytes,
                                   },
                                   faults[i].what, &random);
        }
    }
    printf("L7: %llu faults, %llu states\n", (unsigned long long)runs,
           (unsigned long long)(states - first));
}

/* A call that takes effect and says that it did not. */
static void calls_fail_that_took_effect(void **state)
{
    static const uint32_t kinds = SIM_KIND(SIM_SYNC) |
                                  SIM_KIND(SIM_SYNC_DIRECTORY) |
                                  SIM_KIND(SIM_RENAME) | SIM_KIND(SIM_UNLINK) |
                                  SIM_KIND(SIM_PWRITE) | SIM_KIND(SIM_TRUNCATE);
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 4000, durable_scale(6))) {
        struct script script = script_of(seed);
        uint64_t calls = count_calls(&script, kinds);
        struct random random;

        random_init(&random, seed * 7919);
        for (uint64_t call = 1; call <= calls; call++)
            run_with_fault(
                &script,
                (struct sim_fault){
                    .kinds = kinds, .at = call, .error = EIO, .done = true},
                "EIO and done", &random);
    }
}

/* L8 */
static void every_sync_fails_and_drops_the_pages(void **state)
{
    uint64_t first = states;
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 5000, durable_scale(12))) {
        struct script script = script_of(seed);
        uint64_t calls = count_calls(&script, SIM_KIND(SIM_SYNC));
        struct random random;

        random_init(&random, seed * 7919);
        for (uint64_t call = 1; call <= calls; call++)
            for (int on = 0; on < 2; on++)
                run_with_fault(&script,
                               (struct sim_fault){.kinds = SIM_KIND(SIM_SYNC),
                                                  .at = call,
                                                  .on = on,
                                                  .error = EIO,
                                                  .drop = true},
                               "a sync drops", &random);
    }
    printf("L8: %llu states\n", (unsigned long long)(states - first));
}

/* ---- L9: memory ---- */

/* False if the script ended before the nth allocation. */
static bool run_without_memory(const struct script *script, uint64_t nth,
                               bool on)
{
    struct place place = {on ? "no more memory" : "no memory", nth, 0};
    struct sim_io *sim = sim_io_create();
    struct durable d;
    enum status st;
    bool reached;

    open_script(&d, sim, script);
    mem_fail_at(&d.mem, nth, on);
    st = durable_open(&d, 0);
    if (st == ST_OK)
        st = durable_run(&d, script->steps);
    reached = on ? d.mem.fail_at == 1 : !d.mem.fail_at;
    mem_fail_at(&d.mem, 0, false);
    if (st != ST_OK && !reached)
        fail_at(&d, &place, "status %d", st);
    if (st != ST_OK && st != ST_NO_MEMORY && (st != ST_IO || d.log))
        fail_at(&d, &place, "status %d", st);
    durable_abandon(&d);
    io_free(sim_io_kill(sim));
    must_open(&d, &place, d.written, d.written);
    st = durable_run(&d, 3);
    if (st < 0)
        fail_at(&d, &place, "afterwards: status %d", st);
    must_close(&d, &place);
    durable_deinit(&d);
    sim_io_free(sim);
    return reached;
}

static void every_allocation_fails(void **state)
{
    uint64_t seed = 0;
    uint64_t runs = 0;

    (void)state;
    while (next_seed(&seed, 6000, durable_scale(3)))
        for (int on = 0; on < 2; on++) {
            struct script script = script_of(seed);

            for (uint64_t nth = 1; run_without_memory(&script, nth, on); nth++)
                runs++;
        }
    printf("L9: %llu allocations\n", (unsigned long long)runs);
}

/* ---- all at once ---- */

/* Long lives, one after the other on the same disk, each ended by chance. */
static void many_lives(void **state)
{
    uint64_t first = states;
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, 7000, durable_scale(60))) {
        struct script script = script_of(seed);
        struct sim_io *sim = sim_io_create();
        struct random random;
        struct durable d;

        random_init(&random, seed * 7919);
        open_script(&d, sim, &script);
        for (unsigned life = 0; life < 30; life++) {
            struct place place = {policy_names[script.policy], life, 0};
            bool kill = random_below(&random, 3) == 0;
            struct sim_io *next;

            must_open(&d, &place, kill ? d.durable : 0, 0);
            if (random_below(&random, 2))
                sim_io_crash_at(sim, SIM_CHANGES,
                                1 + random_below(&random, 120), SIM_WITHIN);
            durable_run(&d, 1 + (unsigned)random_below(&random, 40));
            durable_abandon(&d);
            if (kill) {
                io_free(sim_io_kill(sim));
                continue;
            }
            next = cut(sim, &random, (unsigned)random_below(&random, 6));
            sim_io_free(sim);
            d.sim = sim = next;
            must_open(&d, &place, d.durable, d.durable);
            durable_abandon(&d);
        }
        durable_deinit(&d);
        sim_io_free(sim);
    }
    printf("many lives: %llu states\n", (unsigned long long)(states - first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_fails_at_every_call),
        cmocka_unit_test(it_is_killed_at_every_call),
        cmocka_unit_test(every_call_fails),
        cmocka_unit_test(calls_fail_that_took_effect),
        cmocka_unit_test(every_sync_fails_and_drops_the_pages),
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(many_lives),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    printf("%llu states in all\n", (unsigned long long)states);
    return failed;
}
