/*
 * random.h -- random numbers that can be had again: splitmix64 (S. Vigna).
 */
#ifndef RHIZOME_TEST_RANDOM_H
#define RHIZOME_TEST_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct random {
    uint64_t state;
};

static inline void random_init(struct random *random, uint64_t seed)
{
    random->state = seed;
}

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* SEED from the environment, or a new one; printed so that it can be. */
static inline uint64_t random_seed(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given
                        ? strtoull(given, NULL, 10)
                        : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();

    printf("SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
