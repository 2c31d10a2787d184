/*
 * ring.c -- blocks of entries, the oldest first.
 *
 *     [ 7 8 9 ][ 10 11 ][ 12 13 14      ]
 *      first                 last: appended to while there is room
 *
 * A block holds as many entries as fit, or one that is larger. The last one
 * that went is kept for the next, so that a full ring allocates nothing.
 *
 * A place remembers the first seq of its block: blocks go in the order of
 * their seqs, so a block whose seq is not below the ring's is still there.
 */
#include "port/ring.h"

#include "port/changes.h"

#define BLOCK_BYTES (64u << 10)

struct block {
    struct block *next;
    uint64_t first_seq;
    size_t capacity;
    size_t size;
    uint8_t bytes[];
};

_Static_assert(sizeof(struct block) <= RING_BYTES_MAX - RING_ENTRY_BYTES_MAX,
               "the largest entry and its block fit");

static size_t block_bytes(const struct block *block)
{
    return sizeof(*block) + block->capacity;
}

static void block_free(struct ring *ring, struct block *block)
{
    if (block)
        mem_free(ring->mem, block, block_bytes(block));
}

void ring_init(struct ring *ring, struct mem *mem, uint64_t next_seq)
{
    *ring = (struct ring){
        .mem = mem,
        .first_seq = next_seq,
        .next_seq = next_seq,
    };
}

void ring_restart(struct ring *ring, uint64_t next_seq)
{
    while (ring->first) {
        struct block *block = ring->first;

        ring->first = block->next;
        block_free(ring, block);
    }
    block_free(ring, ring->spare);
    ring_init(ring, ring->mem, next_seq);
}

static void drop_first(struct ring *ring)
{
    struct block *block = ring->first;

    ring->first = block->next;
    if (!ring->first)
        ring->last = NULL;
    ring->first_seq = ring->first ? ring->first->first_seq : ring->next_seq;
    ring->bytes -= block_bytes(block);
    if (ring->spare || block_bytes(block) != BLOCK_BYTES)
        block_free(ring, block);
    else
        ring->spare = block;
}

/* Appends a block with room for `size` bytes, and makes room for it. */
static enum status grow(struct ring *ring, size_t size)
{
    size_t bytes = sizeof(struct block) + size;
    struct block *block;

    if (bytes < BLOCK_BYTES)
        bytes = BLOCK_BYTES;
    while (ring->first && ring->bytes + bytes > RING_BYTES_MAX)
        drop_first(ring);
    block = ring->spare;
    if (block && bytes == BLOCK_BYTES)
        ring->spare = NULL;
    else
        block = mem_alloc(ring->mem, bytes);
    if (!block)
        return ST_NO_MEMORY;
    *block = (struct block){
        .first_seq = ring->next_seq,
        .capacity = bytes - sizeof(*block),
    };
    *(ring->last ? &ring->last->next : &ring->first) = block;
    ring->last = block;
    ring->bytes += bytes;
    return ST_OK;
}

enum status ring_put(struct ring *ring, struct bytes entry)
{
    struct block *block = ring->last;

    REQUIRE(entry.size <= RING_ENTRY_BYTES_MAX);
    if (!block || block->capacity - block->size < entry.size) {
        enum status st = grow(ring, entry.size);

        if (st < 0)
            return st;
        block = ring->last;
    }
    memcpy(block->bytes + block->size, entry.data, entry.size);
    block->size += entry.size;
    ring->next_seq++;
    return ST_OK;
}

struct ring_place ring_seek(const struct ring *ring,
                            const struct ring_place *place, uint64_t seq)
{
    struct block *block = ring->first;

    REQUIRE(seq >= ring->first_seq && seq < ring->next_seq);
    if (place->block && place->block_seq >= ring->first_seq)
        return *place;
    while (block->next && block->next->first_seq <= seq)
        block = block->next;
    return (struct ring_place){block, block->first_seq, 0};
}

struct bytes ring_read(const struct ring_place *place)
{
    const struct block *block = place->block;

    return bytes_of(block->bytes + place->offset, block->size - place->offset);
}

bool ring_advance(struct ring_place *place, size_t bytes)
{
    struct block *block = place->block;

    place->offset += bytes;
    if (place->offset < block->size || !block->next)
        return false;
    *place = (struct ring_place){block->next, block->next->first_seq, 0};
    return true;
}
