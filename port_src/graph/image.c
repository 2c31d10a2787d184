/*
 * image.c -- a graph as arrays with the keys of its vertices: making it whole,
 * looking into it, giving it back.
 *
 *     keys    ann\1bob\1..        one behind another, by the vertices' numbers
 *     slots   [0 2 0 1 ..         v + 1 by the hash of its key
 */
#include "graph/image.h"

#include <string.h>

#include "core/digest.h"
#include "core/key.h"

/* --- making --------------------------------------------------------------- */

void image_maker_init(struct image_maker *maker, struct run *run)
{
    *maker = (struct image_maker){.run = run, .keys = BUFFER(run->mem)};
}

enum status image_maker_begin(struct image_maker *maker, uint64_t room)
{
    maker->offsets = run_alloc(maker->run, room + 1, sizeof(uint64_t));
    if (!maker->offsets)
        return run_memory_status(maker->run);
    maker->room = room;
    maker->offsets[0] = 0;
    return ST_OK;
}

static void maker_close(struct image_maker *maker)
{
    REQUIRE(maker->count < maker->room);
    maker->offsets[++maker->count] = maker->keys.size;
}

enum status image_maker_add(struct image_maker *maker, struct bytes term)
{
    enum status st = key_encode(term, &maker->keys);

    if (st == ST_OK)
        maker_close(maker);
    return st;
}

enum status image_maker_add_key(struct image_maker *maker, struct bytes key)
{
    enum status st = buffer_append(&maker->keys, key);

    if (st == ST_OK)
        maker_close(maker);
    return st;
}

void image_maker_abort(struct image_maker *maker)
{
    run_free(maker->run, maker->offsets, maker->room + 1, sizeof(uint64_t));
    buffer_free(&maker->keys);
    maker->offsets = NULL;
}

static uint64_t key_hash(struct bytes key)
{
    return digest_bytes(key).low;
}

/* Where a key is, or would be. */
static uint32_t find_slot(const struct graph_image *image, struct bytes key)
{
    uint32_t mask = image->slot_count - 1;
    uint32_t slot = (uint32_t)key_hash(key) & mask;

    while (image->slots[slot] &&
           !bytes_equal(image_key(image, image->slots[slot] - 1), key))
        slot = (slot + 1) & mask;
    return slot;
}

/* At most half of the slots are taken. */
static enum status make_slots(struct run *run, struct graph_image *image)
{
    uint64_t count = 8;

    while (count < 2 * (uint64_t)image->n)
        count *= 2;
    if (count > UINT32_MAX)
        count = UINT64_C(1) << 31; /* more than are taken, still */
    if (image->n >= count)
        return ST_TOO_BIG;
    image->slots = run_zalloc(run, count, sizeof(uint32_t));
    if (!image->slots)
        return run_memory_status(run);
    image->slot_count = (uint32_t)count;
    for (uint32_t v = 0; v < image->n; v++) {
        enum status st = v % 4096 ? ST_OK : run_check(run);

        if (st < 0)
            return st;
        image->slots[find_slot(image, image_key(image, v))] = v + 1;
    }
    return ST_OK;
}

/* A block that is exactly as large as what it holds: smaller than it was, or a
 * first one for nothing at all. */
static void *fit(struct run *run, void *block, size_t size, size_t used)
{
    void *fitted;

    mem_exempt_begin(run->mem);
    fitted = mem_grow(run->mem, block, size, used > 0 ? used : 1);
    mem_exempt_end(run->mem);
    return fitted;
}

enum status image_maker_finish(struct image_maker *maker,
                               struct graph_image *ret)
{
    struct run *run = maker->run;
    struct graph_image image = {.mem = run->mem, .n = (uint32_t)maker->count};
    enum status st;

    image.keys =
        fit(run, maker->keys.data, maker->keys.capacity, maker->keys.size);
    if (!image.keys) {
        image_maker_abort(maker);
        return ST_NO_MEMORY;
    }
    image.key_bytes = maker->keys.size;
    image.key_offsets =
        fit(run, maker->offsets, (maker->room + 1) * sizeof(uint64_t),
            (maker->count + 1) * sizeof(uint64_t));
    REQUIRE(image.key_offsets); /* it only shrinks */
    maker->offsets = NULL;
    maker->keys = BUFFER(run->mem);
    st = make_slots(run, &image);
    if (st < 0) {
        image_free(&image);
        return st;
    }
    *ret = image;
    return ST_OK;
}

enum status image_both(struct run *run, const struct csr *out,
                       const struct csr *in, bool undirected, struct csr *ret)
{
    uint64_t place = 0;
    struct csr both;
    enum status st = csr_union(run, out, in, &both);

    if (st < 0 || !undirected) {
        if (st == ST_OK)
            *ret = both;
        return st;
    }
    /* Of the two entries of each loop, which stand side by side, one goes. */
    for (uint32_t v = 0; v < both.n; v++) {
        uint64_t begin = both.offsets[v];
        uint64_t end = both.offsets[v + 1];
        uint64_t loops = 0;

        both.offsets[v] = place;
        for (uint64_t e = begin; e < end; e++) {
            if (both.targets[e] == v && loops++ % 2)
                continue;
            both.targets[place] = both.targets[e];
            if (both.form == WEIGHTS_U32)
                both.weights_u32[place] = both.weights_u32[e];
            if (both.form == WEIGHTS_F64)
                both.weights_f64[place] = both.weights_f64[e];
            place++;
        }
        if (v % 4096 == 0 && (st = run_check(run)) < 0)
            break;
    }
    if (st < 0) {
        csr_free(run->mem, &both);
        return st;
    }
    both.offsets[both.n] = place;
    csr_cut(run->mem, &both, place);
    *ret = both;
    return ST_OK;
}

enum status image_complete(struct run *run, struct graph_image *image,
                           unsigned needs)
{
    enum status st = ST_OK;

    if (image->undirected)
        return ST_OK;
    if (needs & (NEED_IN | NEED_BOTH) && !image->in.offsets)
        st = csr_transpose(run, &image->out, &image->in);
    if (st == ST_OK && !image->out.offsets)
        st = csr_transpose(run, &image->in, &image->out);
    if (st == ST_OK && needs & NEED_BOTH && !image->both.offsets)
        st = image_both(run, &image->out, &image->in, false, &image->both);
    return st;
}

/* --- looking -------------------------------------------------------------- */

uint32_t image_find(const struct graph_image *image, struct bytes key)
{
    return image->slots[find_slot(image, key)] - 1; /* 0 - 1 is NO_VERTEX */
}

struct bytes image_key(const struct graph_image *image, uint32_t v)
{
    uint64_t begin = image->key_offsets[v];

    return bytes_of(image->keys + begin, image->key_offsets[v + 1] - begin);
}

struct projection image_projection(const struct graph_image *image)
{
    const struct csr *out = image->out.offsets ? &image->out : NULL;

    return (struct projection){
        .n = image->n,
        .edges = image->edges,
        .undirected = image->undirected,
        .out = out,
        .in = image->undirected   ? out
              : image->in.offsets ? &image->in
                                  : NULL,
        .both = image->undirected     ? out
                : image->both.offsets ? &image->both
                                      : NULL,
    };
}

/* --- the account ---------------------------------------------------------- */

static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void image_free(struct graph_image *image)
{
    struct mem *mem = image->mem;

    if (!mem)
        return;
    mem_free(mem, image->key_offsets,
             ((size_t)image->n + 1) * sizeof(uint64_t));
    mem_free(mem, image->keys, at_least_one(image->key_bytes));
    mem_free(mem, image->slots, (size_t)image->slot_count * sizeof(uint32_t));
    csr_free(mem, &image->out);
    csr_free(mem, &image->in);
    csr_free(mem, &image->both);
    *image = (struct graph_image){0};
}

size_t image_bytes(const struct graph_image *image)
{
    size_t bytes = csr_bytes(&image->out) + csr_bytes(&image->in) +
                   csr_bytes(&image->both);

    if (image->key_offsets)
        bytes += mem_charge(((size_t)image->n + 1) * sizeof(uint64_t));
    if (image->keys)
        bytes += mem_charge(at_least_one(image->key_bytes));
    if (image->slots)
        bytes += mem_charge((size_t)image->slot_count * sizeof(uint32_t));
    return bytes;
}

/* Blocks are what the C library knows; an account is told sizes alone. */
bool image_move(struct graph_image *image, struct mem *mem)
{
    size_t charge = image_bytes(image);

    if (mem == image->mem)
        return true;
    if (!mem_take_back(mem, charge - MEM_OVERHEAD))
        return false;
    mem_set_aside(image->mem, charge - MEM_OVERHEAD);
    image->mem = mem;
    return true;
}

uint64_t image_estimate(uint64_t vertices, uint64_t edges, uint64_t key_bytes,
                        unsigned needs, bool weights, bool undirected)
{
    uint64_t entry = weights ? 12 : 4;
    uint64_t sides = undirected ? 2
                                : 1 + !!(needs & (NEED_IN | NEED_BOTH)) +
                                      2 * !!(needs & NEED_BOTH);
    uint64_t offsets = undirected ? 1 : sides;

    /* Keys and their offsets, slots, arrays. */
    return key_bytes + vertices * (8 + 16) + offsets * (vertices + 1) * 8 +
           sides * edges * entry + 4096;
}
