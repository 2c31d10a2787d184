/*
 * walk_nodes.h -- vertices that a walk has met, in the order in which it met
 * them, and a heap of those that wait for their turn.
 *
 * A vertex gets a place, from 0 on, when it is met first; an open hash finds
 * the place again. Small walks, which are nearly all, live in the struct and
 * allocate nothing.
 */
#ifndef RHIZOME_GRAPH_WALK_NODES_H
#define RHIZOME_GRAPH_WALK_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mem.h"
#include "core/status.h"

#define NO_PLACE UINT32_MAX

#define NODES_INLINE 128

struct node {
    uint64_t vertex;
    uint32_t parent; /* the place that it was met from; NO_PLACE */
    uint32_t level;
    double distance; /* of weighted walks */
    uint32_t first;  /* free for the walk that has them */
    bool settled;    /* the same */
};

struct nodes {
    struct mem *mem;
    struct node *array;
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* places + 1; 0: free */
    uint32_t slot_count;
    struct node inline_array[NODES_INLINE];
    uint32_t inline_slots[2 * NODES_INLINE];
};

/* Never move one. After nodes_free() it must be initialised again. */
void nodes_init(struct nodes *nodes, struct mem *mem);
void nodes_free(struct nodes *nodes);

/* Forgets all; the memory is kept. O(what there was). */
void nodes_clear(struct nodes *nodes);

/* The place of a vertex, or NO_PLACE. */
uint32_t nodes_find(const struct nodes *nodes, uint64_t vertex);

/* The place of a vertex, which is added if it has none: `*ret_new`. Pointers
 * to nodes end then. ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status nodes_add(struct nodes *nodes, uint64_t vertex, uint32_t *ret_place,
                      bool *ret_new);

/* A number for a hash: every bit counts everywhere. */
static inline uint64_t mix64(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

/* --- numbers ------------------------------------------------------------- */

struct numbers {
    struct mem *mem;
    uint64_t *array;
    size_t count;
    size_t capacity;
};

#define NUMBERS(account) ((struct numbers){(account), NULL, 0, 0})

/* ST_NO_MEMORY, ST_MEMORY_LIMIT. */
enum status numbers_grow(struct numbers *numbers);
void numbers_free(struct numbers *numbers);

static inline enum status numbers_add(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->capacity) {
        enum status st = numbers_grow(numbers);

        if (st < 0)
            return st;
    }
    numbers->array[numbers->count++] = number;
    return ST_OK;
}

/* Sorts the numbers from `begin` on, and lets each of them stand once. For few:
 * nobody is asked whether there is time. */
void numbers_sort(struct numbers *numbers, size_t begin);

/* Left of what there was no time to sort. */
#define NUMBERS_LATE_MAX 65536

struct budget;

/*
 * The same for many: it is work of `budget`, which may end it with its error.
 * Then no more than NUMBERS_LATE_MAX of them are left, which are sorted. Takes
 * as much memory again: ST_NO_MEMORY, ST_MEMORY_LIMIT. O(n log k), where there
 * are k runs that ascend.
 */
enum status numbers_sort_within(struct numbers *numbers, size_t begin,
                                struct budget *budget);

/* --- heaps --------------------------------------------------------------- */

/* What waits, the least `rank` first and of equal ones the first that came.
 * What has become out of date is left in, and known by its distance. */
struct heap_entry {
    double rank;
    double distance;
    uint64_t turn;
    uint32_t place;
};

struct heap {
    struct mem *mem;
    struct heap_entry *array;
    size_t count;
    size_t capacity;
    uint64_t turn;
};

#define HEAP(account) ((struct heap){(account), NULL, 0, 0, 0})

/* ST_NO_MEMORY, ST_MEMORY_LIMIT. O(log n). */
enum status heap_push(struct heap *heap, double rank, double distance,
                      uint32_t place);

/* The least entry; REQUIREs one. */
struct heap_entry heap_pop(struct heap *heap);

void heap_free(struct heap *heap);

#endif
