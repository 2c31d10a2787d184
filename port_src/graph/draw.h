/*
 * draw.h -- random numbers that a seed brings back: splitmix64 (Steele, Lea
 * and Flood 2014), for algorithms that are told a seed.
 */
#ifndef RHIZOME_GRAPH_DRAW_H
#define RHIZOME_GRAPH_DRAW_H

#include <stdint.h>

struct draw {
    uint64_t state;
};

static inline uint64_t draw_next(struct draw *draw)
{
    uint64_t z = draw->state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* One of 0 .. bound - 1; uneven by less than bound in 2^64. */
static inline uint64_t draw_below(struct draw *draw, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)draw_next(draw) * bound) >> 64);
}

/* At least 0 and less than 1. */
static inline double draw_real(struct draw *draw)
{
    return (double)(draw_next(draw) >> 11) * 0x1p-53;
}

#endif
