/*
 * run.c -- memory, threads and the end of a run.
 */
#include "graph/run.h"

#include <string.h>

#include "core/bytes.h"
#include "core/relax.h"

void run_init(struct run *run, struct mem *mem)
{
    *run = (struct run){.mem = mem, .threads = 1};
    atomic_init(&run->status, ST_OK);
    run->fault[0] = NO_VERTEX;
    run->fault[1] = NO_VERTEX;
}

/* Only the first failure counts. */
static enum status run_stop(struct run *run, enum status st)
{
    int none = ST_OK;

    atomic_compare_exchange_strong(&run->status, &none, (int)st);
    return (enum status)atomic_load(&run->status);
}

enum status run_check(struct run *run)
{
    int status = atomic_load_explicit(&run->status, memory_order_relaxed);
    enum status st;

    if (status < 0 || !run->check)
        return (enum status)status;
    st = run->check(run->context);
    return st < 0 ? run_stop(run, st) : ST_OK;
}

void run_progress(struct run *run, uint64_t done, uint64_t total)
{
    atomic_store_explicit(&run->total, total, memory_order_relaxed);
    atomic_store_explicit(&run->done, done, memory_order_relaxed);
}

void *run_alloc(struct run *run, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return mem_alloc(run->mem, bytes > 0 ? bytes : 1);
}

void *run_zalloc(struct run *run, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return mem_zalloc(run->mem, bytes ? bytes : 1);
}

void run_free(struct run *run, void *block, size_t count, size_t size)
{
    size_t bytes = count * size;

    if (block)
        mem_free(run->mem, block, bytes > 0 ? bytes : 1);
}

enum status run_memory_status(const struct run *run)
{
    return mem_status(run->mem);
}

enum status run_fill(struct run *run, void *block, int byte, size_t bytes)
{
    size_t piece = RUN_CHECK_WORK * 64;
    size_t done = 0;
    enum status st = run_check(run);

    while (st == ST_OK && done < bytes) {
        size_t size = bytes - done < piece ? bytes - done : piece;

        memset((uint8_t *)block + done, byte, size);
        done += size;
        st = run_check(run);
    }
    return st;
}

enum status run_fail(struct run *run, enum status st, uint32_t vertex,
                     uint32_t other, const char *why)
{
    run->fault[0] = vertex;
    run->fault[1] = other;
    run->why = why;
    return run_stop(run, st);
}

/* --- the barrier -------------------------------------------------------- */

/* A look takes 15 to 50 ns, as the processor has it: at most some 100 us, and
 * never less than 1 us, so that a team that has processors again finds that
 * out. */
#define PATIENCE_MAX 4096
#define PATIENCE_MIN 64

static void barrier_init(struct barrier *barrier)
{
    barrier->count = 0; /* until it is known */
    barrier->stopped = false;
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->round, 0);
    atomic_init(&barrier->sleepers, 0);
    atomic_init(&barrier->patience, PATIENCE_MAX);
    REQUIRE(!pthread_mutex_init(&barrier->mutex, NULL));
    REQUIRE(!pthread_cond_init(&barrier->next_round, NULL));
}

static void barrier_deinit(struct barrier *barrier)
{
    pthread_cond_destroy(&barrier->next_round);
    pthread_mutex_destroy(&barrier->mutex);
}

/* Whether the round ended while this looked. Patience that was in vain is
 * halved, any other doubled: threads race for that, and may. */
static bool barrier_spin(struct barrier *barrier, unsigned round)
{
    unsigned patience =
        atomic_load_explicit(&barrier->patience, memory_order_relaxed);
    bool ended = false;

    for (unsigned i = 0; i < patience && !ended; i++) {
        relax_processor(1);
        ended = atomic_load_explicit(&barrier->round, memory_order_acquire) !=
                round;
    }
    if (ended && patience < PATIENCE_MAX)
        atomic_store_explicit(&barrier->patience, patience * 2,
                              memory_order_relaxed);
    else if (!ended && patience > PATIENCE_MIN)
        atomic_store_explicit(&barrier->patience, patience / 2,
                              memory_order_relaxed);
    return ended;
}

/* Who goes to sleep counts itself first and looks at the round then: it is seen
 * by who ends the round, or sees the new one. */
static void barrier_wait(struct barrier *barrier, unsigned round)
{
    if (barrier_spin(barrier, round))
        return;
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->round) == round)
        pthread_cond_wait(&barrier->next_round, &barrier->mutex);
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
}

static void barrier_open(struct barrier *barrier, unsigned round)
{
    atomic_store(&barrier->round, round + 1);
    if (atomic_load(&barrier->sleepers) == 0)
        return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->next_round);
    pthread_mutex_unlock(&barrier->mutex);
}

void run_barrier(struct run *run)
{
    struct barrier *barrier = &run->barrier;
    unsigned round;

    if (run->threads == 1)
        return;
    round = atomic_load(&barrier->round);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == barrier->count) {
        /* Nobody reads what the last round left: all have come here. */
        barrier->stopped = run_stopped(run);
        atomic_store(&barrier->arrived, 0);
        barrier_open(barrier, round);
    } else {
        barrier_wait(barrier, round);
    }
}

/* --- the team ----------------------------------------------------------- */

struct member {
    struct run *run;
    void (*function)(struct run *run, void *context, unsigned thread);
    void *context;
    unsigned thread;
    pthread_t id;
};

static void *member_main(void *argument)
{
    struct member *member = argument;

    barrier_wait(&member->run->barrier, 0);
    member->function(member->run, member->context, member->thread);
    return NULL;
}

/*
 * Who takes part must be known before the first one begins, and is known when
 * the last one was started: until then all wait for round 1. They look for it
 * at first, for who sleeps then is often woken up on the processor of this
 * thread, and waits for it until the system has noticed.
 */
enum status run_team(struct run *run,
                     void (*function)(struct run *run, void *context,
                                      unsigned thread),
                     void *context)
{
    struct member members[RUN_THREADS_MAX];
    unsigned asked = run->threads;
    unsigned count = 1;

    REQUIRE(asked >= 1 && asked <= RUN_THREADS_MAX);
    barrier_init(&run->barrier);
    while (count < asked) {
        members[count] = (struct member){run, function, context, count, 0};
        if (pthread_create(&members[count].id, NULL, member_main,
                           &members[count]))
            break;
        count++;
    }
    run->threads = count;
    run->barrier.count = count;
    /* How long it took to start them says nothing about what they do. */
    atomic_store(&run->barrier.patience, PATIENCE_MAX);
    barrier_open(&run->barrier, 0);
    function(run, context, 0);
    for (unsigned i = 1; i < count; i++)
        pthread_join(members[i].id, NULL);
    barrier_deinit(&run->barrier);
    run->threads = asked;
    return (enum status)atomic_load(&run->status);
}
