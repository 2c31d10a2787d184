/*
 * graph_memo.c -- vertices by their ids, remembered beside the tree.
 *
 *     chunks   [ . | * | . | * ]         for 4,096 ids each, made when one is
 *                    |                   asked for
 *     slots    [ 5 <term> | 0 | 255 * ]  0: not asked for yet; up to 15 bytes
 *                                   |    lie in the slot, more behind it
 *     block    [ 40 <term> | 17 <term> | ..       free ]
 *
 * A walk of two steps gives back some seventy vertices, and to search the tree
 * for each costs more than the walk. An id is a small number that is never that
 * of another vertex as long as the vertex is there, so an array does. It is
 * filled as vertices are asked for, and only of the store itself, on the loop,
 * while nothing is uncommitted: so a slot says what the tree says.
 *
 * What would make it lie is an id that is given again after its vertex was
 * deleted, so a deletion empties the slot (graph_memo_forget()). That it is
 * taken back does no harm: then the slot is empty, and the tree is asked again.
 *
 * It may do without memory, and does without for vertices of more than
 * MEMO_TERM_MAX bytes. It costs 16 bytes for each id of a chunk, and the bytes
 * of a vertex that has no room in its slot.
 */
#include <string.h>

#include "core/graph_internal.h"
#include "core/prefetch.h"
#include "core/store_internal.h"

#define CHUNK_BITS 12
#define CHUNK_IDS (1u << CHUNK_BITS)
#define BLOCK_BYTES (32u << 10)
#define MEMO_TERM_MAX 255
#define SLOT_TERM_MAX 15
#define ELSEWHERE 255

/* A cache line holds four: a vertex that is small costs one miss. */
struct slot {
    uint8_t size; /* of `term`, or ELSEWHERE */
    uint8_t term[SLOT_TERM_MAX];
};

struct memo_chunk {
    struct slot slots[CHUNK_IDS];
};

struct memo_block {
    struct memo_block *next;
    size_t used;
    uint8_t bytes[];
};

static size_t chunks_size(uint64_t count)
{
    return count * sizeof(struct memo_chunk *);
}

void graph_memo_clear(struct store *store, struct graph_memo *memo)
{
    for (uint64_t i = 0; i < memo->chunk_count; i++)
        object_free(store, memo->chunks[i], sizeof(struct memo_chunk));
    object_free(store, memo->chunks, chunks_size(memo->chunk_count));
    while (memo->blocks) {
        struct memo_block *block = memo->blocks;

        memo->blocks = block->next;
        object_free(store, block, BLOCK_BYTES);
    }
    *memo = (struct graph_memo){0};
}

static struct memo_chunk *chunk_of(const struct graph_memo *memo, uint64_t id)
{
    uint64_t i = id >> CHUNK_BITS;

    return i < memo->chunk_count ? memo->chunks[i] : NULL;
}

/* Where the size and the bytes of a vertex in a block lie. */
static const uint8_t *elsewhere(const struct slot *slot)
{
    const uint8_t *record;

    memcpy(&record, slot->term, sizeof(record));
    return record;
}

bool graph_memo_get(const struct graph_memo *memo, uint64_t id,
                    struct bytes *ret)
{
    const struct memo_chunk *chunk = chunk_of(memo, id);
    const struct slot *slot;

    if (!chunk)
        return false;
    slot = &chunk->slots[id % CHUNK_IDS];
    *ret = slot->size == ELSEWHERE
               ? bytes_of(elsewhere(slot) + 1, *elsewhere(slot))
               : bytes_of(slot->term, slot->size);
    return slot->size != 0;
}

void graph_memo_prefetch(const struct graph_memo *memo, uint64_t id)
{
    const struct memo_chunk *chunk = chunk_of(memo, id);

    if (chunk)
        prefetch_bytes(&chunk->slots[id % CHUNK_IDS], 1);
}

/* Makes the array of chunks longer; false: there is no memory. */
static bool chunks_grow(struct store *store, struct graph_memo *memo,
                        uint64_t needed)
{
    uint64_t count = 2 * memo->chunk_count;
    struct memo_chunk **chunks;

    if (count < needed)
        count = needed;
    chunks = object_alloc(store, chunks_size(count));
    if (!chunks)
        return false;
    if (memo->chunk_count)
        memcpy(chunks, memo->chunks, chunks_size(memo->chunk_count));
    object_free(store, memo->chunks, chunks_size(memo->chunk_count));
    memo->bytes += chunks_size(count - memo->chunk_count);
    memo->chunks = chunks;
    memo->chunk_count = count;
    return true;
}

static struct memo_chunk *chunk_make(struct store *store,
                                     struct graph_memo *memo, uint64_t id)
{
    uint64_t i = id >> CHUNK_BITS;

    if (i >= memo->chunk_count && !chunks_grow(store, memo, i + 1))
        return NULL;
    if (memo->chunks[i])
        return memo->chunks[i];
    memo->chunks[i] = object_alloc(store, sizeof(struct memo_chunk));
    if (memo->chunks[i])
        memo->bytes += sizeof(struct memo_chunk);
    return memo->chunks[i];
}

static uint8_t *block_take(struct store *store, struct graph_memo *memo,
                           size_t size)
{
    struct memo_block *block = memo->blocks;

    if (!block || BLOCK_BYTES - sizeof(*block) - block->used < size) {
        block = object_alloc(store, BLOCK_BYTES);
        if (!block)
            return NULL;
        memo->bytes += BLOCK_BYTES;
        block->next = memo->blocks;
        memo->blocks = block;
    }
    block->used += size;
    memo->taken += size;
    return block->bytes + block->used - size;
}

void graph_memo_put(struct store *store, struct graph_memo *memo, uint64_t id,
                    struct bytes term)
{
    struct memo_chunk *chunk;
    struct slot *slot;
    uint8_t *record;

    if (term.size > MEMO_TERM_MAX ||
        store->mem->used > store->mem->limit / 8 * 7)
        return; /* what is left is for the data */
    chunk = chunk_make(store, memo, id);
    if (!chunk)
        return;
    slot = &chunk->slots[id % CHUNK_IDS];
    if (term.size <= SLOT_TERM_MAX) {
        memcpy(slot->term, term.data, term.size);
        slot->size = (uint8_t)term.size;
        return;
    }
    record = block_take(store, memo, 1 + term.size);
    if (!record)
        return;
    *record = (uint8_t)term.size;
    memcpy(record + 1, term.data, term.size);
    memcpy(slot->term, &record, sizeof(record));
    slot->size = ELSEWHERE;
}

void graph_memo_forget(struct store *store, struct graph_memo *memo,
                       uint64_t id)
{
    struct memo_chunk *chunk = chunk_of(memo, id);
    struct slot *slot;

    if (!chunk)
        return;
    slot = &chunk->slots[id % CHUNK_IDS];
    if (slot->size == ELSEWHERE)
        memo->lost += 1u + *elsewhere(slot);
    slot->size = 0;
    if (memo->lost > BLOCK_BYTES && memo->lost > memo->taken / 2)
        graph_memo_clear(store, memo);
}
