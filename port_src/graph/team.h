/*
 * team.h -- what kernels on several threads have in common: words that all of
 * them write, bits, and how they agree to stop.
 *
 * Words are plain ones in arrays that become results, so the atomic operations
 * here are the compiler's. All are relaxed: threads learn of each other's work
 * at barriers. Those that read and write take `alone`: a run of one thread
 * needs no locked instruction, which costs it twenty plain ones.
 */
#ifndef RHIZOME_GRAPH_TEAM_H
#define RHIZOME_GRAPH_TEAM_H

#include <string.h>

#include "graph/csr.h"

#define CACHE_LINE 64

static inline uint32_t load_u32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void store_u32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint64_t load_u64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void store_u64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* If `*word` is `*old`, it becomes `value`; else `*old` is what it is. */
static inline bool swap_u32(bool alone, uint32_t *word, uint32_t *old,
                            uint32_t value)
{
    if (alone) {
        if (*word != *old) {
            *old = *word;
            return false;
        }
        *word = value;
        return true;
    }
    return __atomic_compare_exchange_n(word, old, value, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool swap_u64(bool alone, uint64_t *word, uint64_t *old,
                            uint64_t value)
{
    if (alone) {
        if (*word != *old) {
            *old = *word;
            return false;
        }
        *word = value;
        return true;
    }
    return __atomic_compare_exchange_n(word, old, value, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The smaller one stays; gives back what was there before. */
static inline uint32_t min_u32(bool alone, uint32_t *word, uint32_t value)
{
    uint32_t old = load_u32(word);

    while (value < old && !swap_u32(alone, word, &old, value))
        ;
    return old;
}

/* --- bits --------------------------------------------------------------- */

static inline uint64_t bit_words(uint64_t n)
{
    return (n + 63) / 64;
}

static inline bool bit_test(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(bool alone, uint64_t *bits, uint32_t i)
{
    if (alone)
        bits[i / 64] |= UINT64_C(1) << (i % 64);
    else
        __atomic_fetch_or(&bits[i / 64], UINT64_C(1) << (i % 64),
                          __ATOMIC_RELAXED);
}

/* Those of word `i` that stand for one of n. */
static inline uint64_t bit_mask(uint64_t n, uint64_t i)
{
    return n - i * 64 >= 64 ? UINT64_MAX : (UINT64_C(1) << (n % 64)) - 1;
}

/* --- handing out -------------------------------------------------------- */

/*
 * Pieces of [0, n) of which each thread has a part to itself, and when that is
 * done helps with the others'. What a thread wrote in one step is still near
 * it in the next, while words that another one has are slow to come.
 */
struct parts {
    struct {
        struct chunks chunks;
        char apart[CACHE_LINE - sizeof(struct chunks)];
    } of[RUN_THREADS_MAX];
};

static inline void parts_reset(struct parts *parts, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++)
        atomic_store_explicit(&parts->of[i].chunks.next, 0,
                              memory_order_relaxed);
}

/* `*turn`, 0 at first, is how many parts this thread found done. */
static inline bool parts_take(struct parts *parts, unsigned thread,
                              unsigned threads, uint64_t n, uint64_t size,
                              unsigned *turn, uint64_t *ret_begin,
                              uint64_t *ret_end)
{
    for (; *turn < threads; ++*turn) {
        unsigned at = (thread + *turn) % threads;
        uint64_t first = n * at / threads;
        uint64_t last = n * (at + 1) / threads;

        if (!chunks_take(&parts->of[at].chunks, last - first, size, ret_begin,
                         ret_end))
            continue;
        *ret_begin += first;
        *ret_end += first;
        return true;
    }
    return false;
}

/* --- stopping ----------------------------------------------------------- */

/*
 * A barrier, and whether to stop after it. All threads are told the same, and
 * to go on only if nobody had stopped before coming here: what each was to do
 * until then is done.
 */
static inline bool team_stops(struct run *run)
{
    run_barrier(run);
    return run->threads == 1 ? run_stopped(run) : run->barrier.stopped;
}

/* Counts work of one thread; asks the run after each RUN_CHECK_WORK of it. */
static inline bool work_stops(struct run *run, uint64_t *work, uint64_t more)
{
    *work += more;
    if (*work < RUN_CHECK_WORK)
        return false;
    *work = 0;
    return run_check(run) < 0;
}

/* For loops over all vertices: asks the run at every so many of them. */
static inline bool loop_stops(struct run *run, uint64_t i)
{
    return i % RUN_CHECK_WORK == 0 && run_check(run) < 0;
}

#endif
