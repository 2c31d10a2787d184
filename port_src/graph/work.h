/*
 * work.h -- what kernels share: a pace at which they look up from their work,
 * arrays that grow while rows are found, and what blocks of memory cost.
 */
#ifndef RHIZOME_GRAPH_WORK_H
#define RHIZOME_GRAPH_WORK_H

#include "graph/run.h"

/* Counts edges and vertices, and asks run_check() when enough came together. */
struct pace {
    struct run *run;
    uint64_t work;  /* since the last check */
    uint64_t done;  /* before it */
    uint64_t total; /* for progress; 0: unknown */
};

static inline enum status pace_check(struct pace *pace)
{
    pace->done += pace->work;
    pace->work = 0;
    if (pace->total)
        run_progress(pace->run,
                     pace->done < pace->total ? pace->done : pace->total,
                     pace->total);
    return run_check(pace->run);
}

/* One edge or vertex more. */
static inline enum status pace_tick(struct pace *pace)
{
    if (__builtin_expect(++pace->work < RUN_CHECK_WORK, 1))
        return ST_OK;
    return pace_check(pace);
}

/* What run_alloc(run, count, size) is charged with. */
static inline uint64_t block_bytes(uint64_t count, uint64_t size)
{
    return mem_charge(count && size ? count * size : 1);
}

/* An array of elements of `size` bytes that does not know yet how many. */
struct growing {
    void *data;
    size_t size;
    uint64_t count;
    uint64_t room;
};

/* Makes room for `more` elements behind those that are there. At most twice
 * the room that is needed is taken. */
static inline enum status growing_room(struct run *run, struct growing *array,
                                       uint64_t more)
{
    uint64_t room = array->room ? array->room : 16;
    void *data;

    if (array->room - array->count >= more)
        return ST_OK;
    while (room < array->count + more)
        room *= 2;
    data = mem_grow(run->mem, array->data, array->room * array->size,
                    room * array->size);
    if (!data)
        return run_memory_status(run);
    array->data = data;
    array->room = room;
    return ST_OK;
}

/* Gives back what is not used: then it is a block of run_alloc(run, count,
 * size), which somebody else may take over. */
static inline enum status growing_trim(struct run *run, struct growing *array)
{
    uint64_t room = array->count ? array->count * array->size : 1;
    void *data =
        mem_grow(run->mem, array->data, array->room * array->size, room);

    if (!data)
        return run_memory_status(run);
    array->data = data;
    array->room = array->count;
    return ST_OK;
}

/* For those that were not trimmed. */
static inline void growing_free(struct run *run, struct growing *array)
{
    mem_free(run->mem, array->data,
             array->room ? array->room * array->size : 1);
    *array = (struct growing){.size = array->size};
}

/* Bytes that one takes at most on its way to so many elements. */
static inline uint64_t growing_bytes(uint64_t count, uint64_t size)
{
    return block_bytes(2 * count + 16, size);
}

#endif
