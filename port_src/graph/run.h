/*
 * run.h -- what an algorithm runs within: memory, threads, and when to stop.
 *
 *     runner     one thread, which allocates, and calls run_check() now and
 *                then: at least every RUN_CHECK_WORK edges or vertices
 *     team       run_team() lets `threads` threads, the runner among them,
 *                carry out one function; they meet at run_barrier()
 *
 * Once a check has failed every later one fails in the same way, in all
 * threads, so that a kernel unwinds from wherever it is. Memory is asked for
 * by the runner alone, outside of run_team().
 */
#ifndef RHIZOME_GRAPH_RUN_H
#define RHIZOME_GRAPH_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"
#include "core/status.h"

/* A kernel looks at run_check() after so many edges at most. */
#define RUN_CHECK_WORK (64u << 10)

#define RUN_THREADS_MAX 64

/* No vertex. */
#define NO_VERTEX UINT32_MAX

/*
 * Where a team meets. The last one to come begins the next round; the others
 * look for that a while, since a step of a kernel may be shorter than it takes
 * to wake a thread up, and sleep then, for who is missing may not even have a
 * processor. How long they look is what has been worth it lately.
 */
struct barrier {
    unsigned count;
    atomic_uint arrived;
    atomic_uint round;
    atomic_uint sleepers;
    atomic_uint patience; /* looks */
    bool stopped;         /* the run was, when the last one came */
    pthread_mutex_t mutex;
    pthread_cond_t next_round;
};

struct run {
    struct mem *mem; /* its limit is the budget of the run */
    unsigned threads;

    /* ST_OK to go on; ST_DEADLINE, ST_CANCELLED. Any thread may call it. NULL:
     * never stops. */
    enum status (*check)(void *context);
    void *context;

    atomic_int status;      /* the first failure of a check */
    _Atomic uint64_t done;  /* of `total`, whatever the kernel counts */
    _Atomic uint64_t total; /* 0: unknown */

    /* What an error is about. */
    uint32_t fault[2]; /* a vertex, or the ends of an edge; NO_VERTEX */
    const char *why;   /* a sentence, or NULL */

    struct barrier barrier;
};

/* One thread and no limit but the account's. */
void run_init(struct run *run, struct mem *mem);

/* ST_OK, or why to stop. Cheap enough for every RUN_CHECK_WORK edges. */
enum status run_check(struct run *run);

/* The same without asking: for the inner loops of a team. */
static inline bool run_stopped(struct run *run)
{
    return atomic_load_explicit(&run->status, memory_order_relaxed) < 0;
}

/* For who waits: so much of so much is done. */
void run_progress(struct run *run, uint64_t done, uint64_t total);

/*
 * Memory of the run, or NULL: run_memory_status() then says why. run_free()
 * accepts NULL.
 */
void *run_alloc(struct run *run, size_t count, size_t size); /* uninitialised */
void *run_zalloc(struct run *run, size_t count, size_t size);
void run_free(struct run *run, void *block, size_t count, size_t size);
enum status run_memory_status(const struct run *run);

/* memset(), in pieces; run_check() before each. After an error some of the
 * block is as it was. */
enum status run_fill(struct run *run, void *block, int byte, size_t bytes);

/* Fails with an offending vertex or edge; gives back `st`. */
enum status run_fail(struct run *run, enum status st, uint32_t vertex,
                     uint32_t other, const char *why);

/*
 * Carries `function` out with thread = 0 .. threads - 1 and waits for all. If
 * the system refuses a thread, fewer take part: `run->threads` is then what
 * there are for the time of the call, so read it inside.
 * Gives back run->status.
 */
enum status run_team(struct run *run,
                     void (*function)(struct run *run, void *context,
                                      unsigned thread),
                     void *context);

/* Within run_team(): waits until all threads are here. */
void run_barrier(struct run *run);

/* A piece of [0, n), handed out to whoever asks. */
struct chunks {
    _Atomic uint64_t next;
};

static inline bool chunks_take(struct chunks *chunks, uint64_t n, uint64_t size,
                               uint64_t *ret_begin, uint64_t *ret_end)
{
    uint64_t begin =
        atomic_fetch_add_explicit(&chunks->next, size, memory_order_relaxed);

    if (begin >= n)
        return false;
    *ret_begin = begin;
    *ret_end = n - begin < size ? n : begin + size;
    return true;
}

#endif
