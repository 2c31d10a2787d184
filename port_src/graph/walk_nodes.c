/*
 * walk_nodes.c -- an array and an open hash beside it, which holds places.
 *
 *     array   [7 -] [8 0] [9 0] [12 1] ...      vertex and parent, as met
 *     slots   [. 2 . . 4 1 . 3 ...]             places + 1, half of them free
 *
 * The array is the queue of a search in breadth: what was met first is expanded
 * first, and the place of the next one is all that it needs to know. Growing
 * moves both, and a chain of parents is a chain of places.
 *
 * The heap has four children a node, which makes it half as deep as a binary
 * one; its entries are compared far more often than they are moved up.
 */
#include "graph/walk_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "graph/source.h"

/* So many numbers are sorted here. */
#define FEW 400

void nodes_init(struct nodes *nodes, struct mem *mem)
{
    nodes->mem = mem;
    nodes->array = nodes->inline_array;
    nodes->count = 0;
    nodes->capacity = NODES_INLINE;
    nodes->slots = nodes->inline_slots;
    nodes->slot_count = 2 * NODES_INLINE;
    memset(nodes->inline_slots, 0, sizeof(nodes->inline_slots));
}

void nodes_free(struct nodes *nodes)
{
    if (nodes->array != nodes->inline_array)
        mem_free(nodes->mem, nodes->array,
                 nodes->capacity * sizeof(*nodes->array));
    if (nodes->slots != nodes->inline_slots)
        mem_free(nodes->mem, nodes->slots,
                 nodes->slot_count * sizeof(*nodes->slots));
    nodes->array = nodes->inline_array;
    nodes->slots = nodes->inline_slots;
    nodes->count = 0;
}

static uint32_t first_slot(const struct nodes *nodes, uint64_t vertex)
{
    return (uint32_t)mix64(vertex) & (nodes->slot_count - 1);
}

void nodes_clear(struct nodes *nodes)
{
    if (nodes->count > nodes->slot_count / 16) {
        memset(nodes->slots, 0, nodes->slot_count * sizeof(*nodes->slots));
        nodes->count = 0;
        return;
    }
    /* From the last on: what stands in front of one came before it. */
    while (nodes->count > 0) {
        uint32_t slot =
            first_slot(nodes, nodes->array[nodes->count - 1].vertex);

        while (nodes->slots[slot] != nodes->count)
            slot = (slot + 1) & (nodes->slot_count - 1);
        nodes->slots[slot] = 0;
        nodes->count--;
    }
}

uint32_t nodes_find(const struct nodes *nodes, uint64_t vertex)
{
    uint32_t slot = first_slot(nodes, vertex);

    while (nodes->slots[slot]) {
        uint32_t place = nodes->slots[slot] - 1;

        if (nodes->array[place].vertex == vertex)
            return place;
        slot = (slot + 1) & (nodes->slot_count - 1);
    }
    return NO_PLACE;
}

static enum status slots_grow(struct nodes *nodes)
{
    uint32_t count = 2 * nodes->slot_count;
    uint32_t *slots;

    if (count > UINT32_MAX / 2)
        return ST_MEMORY_LIMIT;
    slots = mem_zalloc(nodes->mem, count * sizeof(*slots));
    if (!slots)
        return mem_status(nodes->mem);
    if (nodes->slots != nodes->inline_slots)
        mem_free(nodes->mem, nodes->slots, nodes->slot_count * sizeof(*slots));
    nodes->slots = slots;
    nodes->slot_count = count;
    for (uint32_t place = 0; place < nodes->count; place++) {
        uint32_t slot = first_slot(nodes, nodes->array[place].vertex);

        while (slots[slot])
            slot = (slot + 1) & (count - 1);
        slots[slot] = place + 1;
    }
    return ST_OK;
}

static enum status array_grow(struct nodes *nodes)
{
    bool is_inline = nodes->array == nodes->inline_array;
    size_t size = nodes->capacity * sizeof(*nodes->array);
    struct node *array = mem_grow(nodes->mem, is_inline ? NULL : nodes->array,
                                  is_inline ? 0 : size, 2 * size);

    if (!array)
        return mem_status(nodes->mem);
    if (is_inline)
        memcpy(array, nodes->inline_array, size);
    nodes->array = array;
    nodes->capacity *= 2;
    return ST_OK;
}

enum status nodes_add(struct nodes *nodes, uint64_t vertex, uint32_t *ret_place,
                      bool *ret_new)
{
    uint32_t slot = first_slot(nodes, vertex);
    enum status st = ST_OK;

    for (; nodes->slots[slot]; slot = (slot + 1) & (nodes->slot_count - 1)) {
        if (nodes->array[nodes->slots[slot] - 1].vertex == vertex) {
            *ret_place = nodes->slots[slot] - 1;
            *ret_new = false;
            return ST_OK;
        }
    }
    if (nodes->count == nodes->capacity)
        st = array_grow(nodes);
    if (st == ST_OK && nodes->count >= nodes->slot_count / 2) {
        st = slots_grow(nodes);
        for (slot = first_slot(nodes, vertex);
             st == ST_OK && nodes->slots[slot];
             slot = (slot + 1) & (nodes->slot_count - 1))
            ;
    }
    if (st < 0)
        return st;
    nodes->array[nodes->count] =
        (struct node){.vertex = vertex, .parent = NO_PLACE, .first = NO_PLACE};
    *ret_place = nodes->count++;
    *ret_new = true;
    nodes->slots[slot] = nodes->count;
    return ST_OK;
}

/* --- numbers ------------------------------------------------------------- */

enum status numbers_grow(struct numbers *numbers)
{
    size_t capacity = numbers->capacity ? 2 * numbers->capacity : 64;
    uint64_t *array =
        mem_grow(numbers->mem, numbers->array,
                 numbers->capacity * sizeof(*array), capacity * sizeof(*array));

    if (!array)
        return mem_status(numbers->mem);
    numbers->array = array;
    numbers->capacity = capacity;
    return ST_OK;
}

void numbers_free(struct numbers *numbers)
{
    mem_free(numbers->mem, numbers->array,
             numbers->capacity * sizeof(*numbers->array));
    *numbers = NUMBERS(numbers->mem);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Where the run that begins at `at` ends. */
static size_t run_end(const uint64_t *array, size_t at, size_t count)
{
    if (at < count)
        at++;
    while (at < count && array[at - 1] <= array[at])
        at++;
    return at;
}

/* Merges [a, b) and [b, end) of `from` into the same places of `to`. */
static void merge_two(const uint64_t *from, uint64_t *to, size_t a, size_t b,
                      size_t end)
{
    size_t middle = b;
    size_t at = a;

    while (a < middle && b < end) { /* without a branch that depends on them */
        bool first = from[a] <= from[b];

        to[at++] = first ? from[a] : from[b];
        a += first;
        b += !first;
    }
    memcpy(to + at, from + a, (middle - a) * sizeof(*to));
    memcpy(to + at + middle - a, from + b, (end - b) * sizeof(*to));
}

/* Merges the runs that there are, two and two: the arcs of a vertex come in
 * order, so that these are few. qsort() would spend its time calling. */
static void sort_few(uint64_t *array, size_t count)
{
    uint16_t ends[FEW + 1]; /* of the runs */
    uint64_t room[FEW];
    uint64_t *from = array, *to = room;
    size_t runs = 0;

    for (size_t at = 0; at < count; runs++)
        ends[runs] = (uint16_t)(at = run_end(array, at, count));
    while (runs > 1) {
        uint64_t *merged = to;
        size_t kept = 0;
        size_t begin = 0;

        for (size_t i = 0; i < runs; i += 2) {
            size_t end = ends[i + 1 < runs ? i + 1 : i];

            merge_two(from, to, begin, ends[i], end);
            ends[kept++] = (uint16_t)end;
            begin = end;
        }
        runs = kept;
        to = from;
        from = merged;
    }
    if (from == room)
        memcpy(array, room, count * sizeof(*array));
}

/* As arcs with one label come. */
static bool is_sorted(const struct numbers *numbers, size_t begin)
{
    const uint64_t *array = numbers->array;

    for (size_t i = begin + 1; i < numbers->count; i++)
        if (array[i - 1] >= array[i])
            return false;
    return true;
}

/* Of equal ones side by side the first one stays. */
static void keep_distinct(struct numbers *numbers, size_t begin)
{
    uint64_t *array = numbers->array;
    size_t kept = begin;

    for (size_t i = begin; i < numbers->count; i++)
        if (kept == begin || array[i] != array[kept - 1])
            array[kept++] = array[i];
    numbers->count = kept;
}

void numbers_sort(struct numbers *numbers, size_t begin)
{
    size_t count = numbers->count - begin;

    if (is_sorted(numbers, begin))
        return;
    if (count <= FEW)
        sort_few(numbers->array + begin, count);
    else
        qsort(numbers->array + begin, count, sizeof(*numbers->array),
              compare_numbers);
    keep_distinct(numbers, begin);
}

/* Merges runs of `from`, two and two, into `to`. */
static enum status merge_runs(struct budget *budget, const uint64_t *from,
                              uint64_t *to, size_t count, size_t *ret_runs)
{
    size_t end;

    *ret_runs = 0;
    for (size_t begin = 0; begin < count; begin = end) {
        size_t middle = run_end(from, begin, count);
        size_t a = begin;
        size_t b = middle;

        end = run_end(from, middle, count);
        for (size_t at = begin; at < end; at++) {
            bool first = b == end || (a < middle && from[a] <= from[b]);
            enum status st = budget_work(budget, 1);

            if (st < 0)
                return st;
            to[at] = first ? from[a++] : from[b++];
        }
        ++*ret_runs;
    }
    return ST_OK;
}

enum status numbers_sort_within(struct numbers *numbers, size_t begin,
                                struct budget *budget)
{
    size_t count = numbers->count - begin;
    uint64_t *room, *from, *to;
    size_t runs = 2;
    enum status st = ST_OK;

    if (count <= FEW || is_sorted(numbers, begin)) {
        numbers_sort(numbers, begin);
        return ST_OK;
    }
    room = mem_alloc(numbers->mem, count * sizeof(*room));
    if (!room)
        return mem_status(numbers->mem);
    from = numbers->array + begin;
    to = room;
    while (runs > 1 && st == ST_OK) {
        st = merge_runs(budget, from, to, count, &runs);
        if (st == ST_OK) {
            uint64_t *merged = to;

            to = from;
            from = merged;
        }
    }
    if (st < 0 && count > NUMBERS_LATE_MAX)
        count = NUMBERS_LATE_MAX;
    if (from == room) /* all of them are there */
        memcpy(to, room, count * sizeof(*room));
    mem_free(numbers->mem, room, (numbers->count - begin) * sizeof(*room));
    numbers->count = begin + count;
    if (st < 0)
        numbers_sort(numbers, begin);
    else
        keep_distinct(numbers, begin);
    return st;
}

/* --- heaps --------------------------------------------------------------- */

static bool comes_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->turn < b->turn);
}

static enum status heap_grow(struct heap *heap)
{
    size_t capacity = heap->capacity ? 2 * heap->capacity : 64;
    struct heap_entry *array =
        mem_grow(heap->mem, heap->array, heap->capacity * sizeof(*array),
                 capacity * sizeof(*array));

    if (!array)
        return mem_status(heap->mem);
    heap->array = array;
    heap->capacity = capacity;
    return ST_OK;
}

enum status heap_push(struct heap *heap, double rank, double distance,
                      uint32_t place)
{
    struct heap_entry entry = {rank, distance, heap->turn++, place};
    size_t at;

    if (heap->count == heap->capacity) {
        enum status st = heap_grow(heap);

        if (st < 0)
            return st;
    }
    for (at = heap->count++; at > 0; at = (at - 1) / 4) {
        struct heap_entry *above = &heap->array[(at - 1) / 4];

        if (!comes_before(&entry, above))
            break;
        heap->array[at] = *above;
    }
    heap->array[at] = entry;
    return ST_OK;
}

struct heap_entry heap_pop(struct heap *heap)
{
    struct heap_entry top, last;
    size_t at = 0;

    REQUIRE(heap->count > 0);
    top = heap->array[0];
    last = heap->array[--heap->count];
    for (;;) {
        size_t child = 4 * at + 1;
        size_t end = child + 4 < heap->count ? child + 4 : heap->count;
        size_t least = child;

        if (child >= heap->count)
            break;
        for (size_t i = child + 1; i < end; i++)
            if (comes_before(&heap->array[i], &heap->array[least]))
                least = i;
        if (!comes_before(&heap->array[least], &last))
            break;
        heap->array[at] = heap->array[least];
        at = least;
    }
    heap->array[at] = last;
    return top;
}

void heap_free(struct heap *heap)
{
    mem_free(heap->mem, heap->array, heap->capacity * sizeof(*heap->array));
    *heap = HEAP(heap->mem);
}
