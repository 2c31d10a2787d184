/*
 * project_path.c -- a path of tables of pairs as arrays.
 *
 *     likes  a -> b     owns  b -> c        a path: an edge a -> c for each c
 *                                           that some b leads to, once
 *
 * Every key of the path gets a number by a hash. Each table becomes a csr over
 * these numbers; two that follow one another are multiplied, row by row, with
 * a mark on each target that was met (F. Gustavson, ACM TOMS 4 (3), 1978).
 * What is left are the vertices of the first and the last side, which are put
 * in the order of their keys.
 */
#include <stdlib.h>

#include "core/digest.h"
#include "core/scan.h"
#include "graph/image.h"

/* All keys that were met, by their numbers. */
struct interned {
    struct run *run;
    struct buffer bytes; /* one key behind another */
    uint64_t *offsets;   /* room + 1 */
    uint64_t count;
    uint64_t room;
    uint32_t *slots; /* number + 1, or 0 */
    uint64_t slot_count;
};

static void interned_free(struct interned *keys)
{
    buffer_free(&keys->bytes);
    run_free(keys->run, keys->offsets, keys->room + 1, sizeof(uint64_t));
    run_free(keys->run, keys->slots, keys->slot_count, sizeof(uint32_t));
}

static struct bytes interned_key(const struct interned *keys, uint64_t i)
{
    return bytes_of(keys->bytes.data + keys->offsets[i],
                    keys->offsets[i + 1] - keys->offsets[i]);
}

static uint64_t find_slot(const struct interned *keys, struct bytes key)
{
    uint64_t mask = keys->slot_count - 1;
    uint64_t slot = digest_bytes(key).low & mask;

    while (keys->slots[slot] &&
           !bytes_equal(interned_key(keys, keys->slots[slot] - 1u), key))
        slot = (slot + 1) & mask;
    return slot;
}

static enum status interned_begin(struct run *run, struct interned *keys)
{
    *keys = (struct interned){
        .run = run, .bytes = BUFFER(run->mem), .room = 512, .slot_count = 1024};
    keys->offsets = run_zalloc(run, keys->room + 1, sizeof(uint64_t));
    keys->slots = run_zalloc(run, keys->slot_count, sizeof(uint32_t));
    if (keys->offsets && keys->slots)
        return ST_OK;
    interned_free(keys);
    return run_memory_status(run);
}

/* Twice the room. */
static enum status interned_grow(struct interned *keys)
{
    struct run *run = keys->run;
    uint64_t room = 2 * keys->room;
    uint32_t *slots;
    uint64_t *offsets;

    if (room > CSR_VERTICES_MAX)
        return ST_TOO_BIG;
    offsets =
        mem_grow(run->mem, keys->offsets, (keys->room + 1) * sizeof(uint64_t),
                 (room + 1) * sizeof(uint64_t));
    if (!offsets)
        return run_memory_status(run);
    keys->offsets = offsets;
    keys->room = room;
    slots = run_zalloc(run, 2 * keys->slot_count, sizeof(uint32_t));
    if (!slots)
        return run_memory_status(run);
    run_free(run, keys->slots, keys->slot_count, sizeof(uint32_t));
    keys->slots = slots;
    keys->slot_count *= 2;
    for (uint64_t i = 0; i < keys->count; i++)
        keys->slots[find_slot(keys, interned_key(keys, i))] = (uint32_t)i + 1;
    return ST_OK;
}

static enum status intern(struct interned *keys, struct bytes key,
                          uint32_t *ret)
{
    uint64_t slot = find_slot(keys, key);
    enum status st;

    if (keys->slots[slot]) {
        *ret = keys->slots[slot] - 1;
        return ST_OK;
    }
    if (keys->count == keys->room) {
        st = interned_grow(keys);
        if (st < 0)
            return st;
        slot = find_slot(keys, key);
    }
    st = buffer_append(&keys->bytes, key);
    if (st < 0)
        return st;
    *ret = (uint32_t)keys->count;
    keys->offsets[++keys->count] = keys->bytes.size;
    keys->slots[slot] = (uint32_t)keys->count;
    return ST_OK;
}

/* --- one step ------------------------------------------------------------- */

/* Pairs of numbers. */
struct pairs {
    uint64_t count;
    uint64_t room;
    uint32_t *from;
    uint32_t *to;
};

static void pairs_free(struct run *run, struct pairs *pairs)
{
    run_free(run, pairs->from, pairs->room, sizeof(uint32_t));
    run_free(run, pairs->to, pairs->room, sizeof(uint32_t));
}

static enum status read_step(struct run *run, const struct source_step *step,
                             struct interned *keys, struct pairs *pairs)
{
    struct view view = {.table = step->table, .side = step->side};
    struct range range = {.direction = ASCENDING};
    struct scan scan;
    enum status st = ST_OK;

    *pairs = (struct pairs){.room = table_count(step->table)};
    pairs->from = run_alloc(run, pairs->room, sizeof(uint32_t));
    pairs->to = run_alloc(run, pairs->room, sizeof(uint32_t));
    if (!pairs->from || !pairs->to)
        return run_memory_status(run);
    scan_init(&scan, run->mem, &view, &range, false);
    for (;;) {
        struct element element;
        bool found;

        if (pairs->count % 4096 == 0) {
            st = run_check(run);
            if (st < 0)
                break;
        }
        st = scan_next(&scan, &element, &found);
        if (st < 0 || !found)
            break;
        st = intern(keys, element.first, &pairs->from[pairs->count]);
        if (st == ST_OK)
            st = intern(keys, element.second, &pairs->to[pairs->count]);
        if (st < 0)
            break;
        pairs->count++;
    }
    scan_free(&scan);
    return st;
}

/* --- following ------------------------------------------------------------ */

/* Edges of a, followed by those of b: each target once. `marks` is of all
 * numbers and holds what was met last from where. */
static enum status follow(struct run *run, const struct csr *a,
                          const struct csr *b, uint32_t *marks,
                          struct pairs *ret)
{
    enum status st = ST_OK;

    *ret = (struct pairs){.count = 0};
    for (uint32_t v = 0; v < b->n; v++)
        marks[v] = NO_VERTEX;
    for (uint32_t u = 0; u < a->n; u++) {
        for (uint64_t e = a->offsets[u]; e < a->offsets[u + 1]; e++) {
            uint32_t middle = a->targets[e];

            st = run_check(run);
            if (st < 0)
                return st;
            for (uint64_t f = b->offsets[middle]; f < b->offsets[middle + 1];
                 f++) {
                uint32_t to = b->targets[f];

                if (marks[to] == u)
                    continue;
                marks[to] = u;
                if (ret->count == ret->room) {
                    uint64_t room = ret->room ? 2 * ret->room : 1024;
                    uint32_t *from_block;
                    uint32_t *to_block = NULL;

                    from_block = run_alloc(run, room, sizeof(uint32_t));
                    if (from_block)
                        to_block = run_alloc(run, room, sizeof(uint32_t));
                    if (!to_block) {
                        st = run_memory_status(run);
                        run_free(run, from_block, room, sizeof(uint32_t));
                        return st;
                    }
                    if (ret->count) {
                        memcpy(from_block, ret->from,
                               ret->count * sizeof(uint32_t));
                        memcpy(to_block, ret->to,
                               ret->count * sizeof(uint32_t));
                    }
                    pairs_free(run, ret);
                    ret->from = from_block;
                    ret->to = to_block;
                    ret->room = room;
                }
                ret->from[ret->count] = u;
                ret->to[ret->count++] = to;
            }
        }
    }
    return ST_OK;
}

/* --- vertices ------------------------------------------------------------- */

struct named {
    struct bytes key;
    uint32_t number;
};

static int by_key(const void *a, const void *b)
{
    return bytes_compare(((const struct named *)a)->key,
                         ((const struct named *)b)->key);
}

/*
 * Numbers the vertices anew, in the order of their keys: `marks` says of each
 * key whether it is one, and then which.
 */
static enum status order(struct run *run, const struct interned *keys,
                         uint32_t *marks, struct graph_image *ret)
{
    struct image_maker maker;
    struct named *named;
    uint64_t count = 0;
    uint64_t room = 0;
    enum status st;

    for (uint64_t i = 0; i < keys->count; i++)
        room += marks[i] != NO_VERTEX;
    named = run_alloc(run, room, sizeof(*named));
    if (!named)
        return run_memory_status(run);
    for (uint64_t i = 0; i < keys->count; i++)
        if (marks[i] != NO_VERTEX)
            named[count++] = (struct named){interned_key(keys, i), (uint32_t)i};
    qsort(named, count, sizeof(*named), by_key);
    image_maker_init(&maker, run);
    st = image_maker_begin(&maker, count);
    for (uint64_t i = 0; st == ST_OK && i < count; i++) {
        marks[named[i].number] = (uint32_t)i;
        st = image_maker_add_key(&maker, named[i].key);
    }
    run_free(run, named, room, sizeof(*named));
    if (st == ST_OK)
        return image_maker_finish(&maker, ret);
    image_maker_abort(&maker);
    return st;
}

/* The image of all keys that the first step starts from or the last leads to.
 */
static enum status finish(struct run *run, const struct interned *keys,
                          struct pairs *pairs, uint32_t *marks,
                          const struct project_spec *spec, unsigned needs,
                          struct graph_image *ret)
{
    bool turned = spec->direction == EDGES_IN;
    struct csr out;
    enum status st = order(run, keys, marks, ret);

    if (st < 0)
        return st;
    for (uint64_t i = 0; i < pairs->count; i++) {
        pairs->from[i] = marks[pairs->from[i]];
        pairs->to[i] = marks[pairs->to[i]];
    }
    ret->edges = pairs->count;
    st = csr_build(run, ret->n, pairs->count, turned ? pairs->to : pairs->from,
                   turned ? pairs->from : pairs->to, NULL, &out);
    if (st == ST_OK && spec->direction == EDGES_BOTH) {
        struct csr in;

        st = csr_transpose(run, &out, &in);
        if (st == ST_OK) {
            st = image_both(run, &out, &in, true, &ret->out);
            csr_free(run->mem, &in);
        }
        csr_free(run->mem, &out);
        ret->undirected = true;
    } else if (st == ST_OK) {
        ret->out = out;
        st = image_complete(run, ret, needs);
    }
    if (st < 0)
        image_free(ret);
    return st;
}

/* --- the path ------------------------------------------------------------- */

/* The pairs that a path connects, from those of its first step on; `firsts`
 * and `lasts` of the vertices are marked with 0. */
static enum status connect(struct run *run, const struct source_step *steps,
                           size_t count, struct interned *keys,
                           struct pairs *ret, uint32_t **ret_marks,
                           uint64_t *ret_mark_count)
{
    struct pairs first = {0};
    uint32_t *ends = NULL; /* 0: a vertex */
    uint64_t end_count = 0;
    enum status st = read_step(run, &steps[0], keys, ret);

    /* Vertices are the keys of the first side and of the last one: the marks
     * are made when all keys are known, from copies of these pairs. */
    for (size_t i = 1; st == ST_OK && i < count; i++) {
        struct pairs next = {0};
        struct pairs both = {0};
        struct csr a = {0}, b = {0};
        uint32_t *marks = NULL;
        uint32_t n;

        st = read_step(run, &steps[i], keys, &next);
        n = (uint32_t)keys->count;
        if (st == ST_OK)
            st = csr_build(run, n, ret->count, ret->from, ret->to, NULL, &a);
        if (st == ST_OK)
            st = csr_build(run, n, next.count, next.from, next.to, NULL, &b);
        if (st == ST_OK) {
            marks = run_alloc(run, n, sizeof(uint32_t));
            st = marks ? follow(run, &a, &b, marks, &both)
                       : run_memory_status(run);
        }
        run_free(run, marks, n, sizeof(uint32_t));
        csr_free(run->mem, &a);
        csr_free(run->mem, &b);
        if (i == 1)
            first = *ret;
        else
            pairs_free(run, ret);
        *ret = both;
        if (st == ST_OK && i + 1 == count) {
            end_count = keys->count;
            ends = run_alloc(run, end_count, sizeof(uint32_t));
            if (!ends)
                st = run_memory_status(run);
            for (uint64_t v = 0; st == ST_OK && v < end_count; v++)
                ends[v] = NO_VERTEX;
            for (uint64_t e = 0; st == ST_OK && e < first.count; e++)
                ends[first.from[e]] = 0;
            for (uint64_t e = 0; st == ST_OK && e < next.count; e++)
                ends[next.to[e]] = 0;
        }
        pairs_free(run, &next);
    }
    pairs_free(run, &first);
    if (st == ST_OK && count == 1) {
        end_count = keys->count;
        ends = run_zalloc(run, end_count, sizeof(uint32_t));
        if (!ends)
            st = run_memory_status(run);
    }
    *ret_marks = ends;
    *ret_mark_count = end_count;
    return st;
}

enum status image_of_path(struct run *run, const struct source_step *steps,
                          size_t count, const struct project_spec *spec,
                          unsigned needs, struct graph_image *ret)
{
    struct graph_image image;
    struct interned keys;
    struct pairs pairs = {0};
    uint32_t *marks = NULL;
    uint64_t mark_count = 0;
    enum status st = interned_begin(run, &keys);

    REQUIRE(count >= 1);
    if (st < 0)
        return st;
    st = connect(run, steps, count, &keys, &pairs, &marks, &mark_count);
    if (st == ST_OK)
        st = finish(run, &keys, &pairs, marks, spec, needs, &image);
    run_free(run, marks, mark_count, sizeof(uint32_t));
    pairs_free(run, &pairs);
    interned_free(&keys);
    if (st == ST_OK)
        *ret = image;
    return st;
}
