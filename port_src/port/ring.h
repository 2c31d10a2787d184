/*
 * ring.h -- the latest entries (changes.h) in a bounded amount of memory.
 *
 * Entries have consecutive seqs. They lie in blocks; when those take
 * RING_BYTES_MAX the oldest one goes. Whoever reads has a place, which need
 * not be told when blocks go: it sees that by itself.
 */
#ifndef RHIZOME_PORT_RING_H
#define RHIZOME_PORT_RING_H

#include "core/bytes.h"
#include "core/mem.h"

#define RING_BYTES_MAX (16u << 20)

/* The largest entry there can be. */
#define RING_ENTRY_BYTES_MAX (RING_BYTES_MAX - 64)

struct block;

struct ring {
    struct mem *mem;
    struct block *first;
    struct block *last;
    struct block *spare;
    size_t bytes;       /* of all blocks, but the spare one */
    uint64_t first_seq; /* every entry from here on is there */
    uint64_t next_seq;  /* that of the next entry */
};

/* Zeros are one that is nowhere: it is looked for. */
struct ring_place {
    struct block *block;
    uint64_t block_seq; /* it is valid while a block of this seq is there */
    size_t offset;
};

/* An empty one, which takes no memory, and back to that. */
void ring_init(struct ring *ring, struct mem *mem, uint64_t next_seq);
void ring_restart(struct ring *ring, uint64_t next_seq);

/* Appends the entry of next_seq. ST_NO_MEMORY; older ones may be gone then. */
enum status ring_put(struct ring *ring, struct bytes entry);

/* `place`, or where it should be to read the entry `seq`, which is there. What
 * is read there may begin with entries before it. */
struct ring_place ring_seek(const struct ring *ring,
                            const struct ring_place *place, uint64_t seq);

/* The entries from the place to the end of its block; borrowed until one is
 * put. ring_advance() moves the place on by so many bytes of them, and to the
 * next block if that was all; it is false if nothing is left there. */
struct bytes ring_read(const struct ring_place *place);
bool ring_advance(struct ring_place *place, size_t bytes);

#endif
