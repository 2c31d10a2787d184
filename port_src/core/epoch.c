/*
 * epoch.c -- blocks, and what becomes of them when a snapshot is released.
 *
 * Pages that a release has freed are set aside as long as any snapshot is open,
 * for a store that takes one after another copies as many pages again before
 * the next is released. The allocator would have to join and cut them all, and
 * a copy goes to a page that has long left the cache: with a list of our own
 * the one that will be next can be fetched beforehand. It is worth a third of
 * the time of an insert under snapshots. The sanitizers' builds set nothing
 * aside, lest it hide a use after free.
 */
#include "core/epoch.h"

#include <stdlib.h>

#include "core/prefetch.h"

/* How much is set aside: twice what a thousand random inserts copy. Beyond
 * this size no block is, the largest branch is below it. */
#define SPARE_BYTES_MAX (4u << 20)
#define SPARE_SIZE_MAX 4096

/* Free blocks by their charge: a list for each that there is. */
struct epoch_spares {
    size_t bytes;
    struct epoch_block *lists[SPARE_SIZE_MAX / MEM_ALIGN + 1];
};

void epochs_init(struct epochs *epochs, struct mem *mem)
{
    *epochs = (struct epochs){.mem = mem, .now = 1};
}

void epochs_fork(struct epochs *epochs, struct mem *mem,
                 const struct epoch_snapshot *base)
{
    *epochs = (struct epochs){
        .mem = mem,
        .now = base->epoch + 1,
        .base = base->epoch,
        .frozen = base->epoch,
    };
}

/* --- Spare blocks ------------------------------------------------------- */

/* What is asked for: all that the charge pays for, so that blocks of one list
 * are of one size. */
static size_t block_room(size_t size)
{
#ifdef RHIZOME_SANITIZE
    return size;
#else
    return mem_charge(size) - MEM_OVERHEAD;
#endif
}

/* The list for blocks of this size; NULL if there is none. */
static struct epoch_block **spare_list(const struct epochs *epochs, size_t size)
{
    size_t charge = mem_charge(size);

    if (!epochs->spares || charge > SPARE_SIZE_MAX)
        return NULL;
    return &epochs->spares->lists[charge / MEM_ALIGN];
}

/* The first block of a list, which is not empty; NULL as mem.h. */
static struct epoch_block *spare_take(struct epochs *epochs,
                                      struct epoch_block **list, size_t size)
{
    struct epoch_block *block = *list;

    if (!mem_take_back(epochs->mem, size))
        return NULL;
    *list = block->next_dead;
    epochs->spares->bytes -= mem_charge(size);
    return block;
}

/* Into the second level: the next block of a size is some changes away. */
void epochs_expect(const struct epochs *epochs, size_t size)
{
    struct epoch_block **list = spare_list(epochs, size);

    if (list && *list)
        prefetch_bytes_later(*list, size);
}

/* False if the block is to be freed. */
static bool spare_put(struct epochs *epochs, struct epoch_block *block)
{
    struct epoch_block **list;

#ifdef RHIZOME_SANITIZE
    return false;
#endif
    if (!epochs->spares)
        epochs->spares = calloc(1, sizeof(*epochs->spares));
    list = spare_list(epochs, block->size);
    if (!list || epochs->spares->bytes >= SPARE_BYTES_MAX)
        return false;
    block->next_dead = *list;
    *list = block;
    epochs->spares->bytes += mem_charge(block->size);
    mem_set_aside(epochs->mem, block->size);
    return true;
}

static void spare_free(struct epochs *epochs)
{
    if (!epochs->spares)
        return;
    for (size_t i = 0; i <= SPARE_SIZE_MAX / MEM_ALIGN; i++) {
        struct epoch_block *block = epochs->spares->lists[i];

        while (block) {
            struct epoch_block *next = block->next_dead;

            mem_free_aside(block);
            block = next;
        }
    }
    free(epochs->spares);
    epochs->spares = NULL;
}

/* --- Blocks ------------------------------------------------------------- */

void *epochs_alloc(struct epochs *epochs, size_t size)
{
    struct epoch_block **spare = spare_list(epochs, size);
    struct epoch_block *block;

    REQUIRE(size >= sizeof(*block) && size <= UINT32_MAX);
    if (spare && *spare)
        block = spare_take(epochs, spare, size);
    else
        block = mem_alloc(epochs->mem, block_room(size));
    if (!block)
        return NULL;
    block->birth = epochs->now;
    block->next_dead = NULL;
    block->size = (uint32_t)size;
    epochs->bytes += mem_charge(size);
    return block;
}

static void block_free(struct epochs *epochs, struct epoch_block *block)
{
    epochs->bytes -= mem_charge(block->size);
    mem_free(epochs->mem, block, block->size);
}

void epochs_snapshot(struct epochs *epochs, struct epoch_snapshot *snapshot)
{
    *snapshot = (struct epoch_snapshot){
        .epoch = epochs->now,
        .older = epochs->youngest,
    };
    if (epochs->youngest)
        epochs->youngest->younger = snapshot;
    epochs->youngest = snapshot;
    epochs->frozen = epochs->now++;
    epochs->open++;
}

static void block_wait(struct epoch_snapshot *snapshot,
                       struct epoch_block *block)
{
    struct epoch_block **list = &snapshot->dead[snapshot->lane];

    snapshot->lane = (snapshot->lane + 1) % EPOCH_LANES;
    block->next_dead = *list;
    *list = block;
    snapshot->dead_bytes += mem_charge(block->size);
}

void epochs_retire(struct epochs *epochs, struct epoch_block *block)
{
    if (epochs_writable(epochs, block)) {
        block_free(epochs, block);
    } else if (!epochs_lent(epochs, block)) {
        block_wait(epochs->youngest, block);
        epochs->dead_bytes += mem_charge(block->size);
    }
}

/* A block that only the snapshot being released could see, or an older one. */
static void block_release(struct epochs *epochs, struct epoch_snapshot *older,
                          struct epoch_block *block)
{
    size_t charge = mem_charge(block->size);

    if (block->birth <= (older ? older->epoch : epochs->base)) {
        block_wait(older, block);
        return;
    }
    epochs->dead_bytes -= charge;
    epochs->bytes -= charge;
    if (!spare_put(epochs, block))
        mem_free(epochs->mem, block, block->size);
}

void epochs_release(struct epochs *epochs, struct epoch_snapshot *snapshot)
{
    struct epoch_snapshot *older = snapshot->older;
    bool more = snapshot->dead_bytes > 0;

    while (more) {
        more = false;
        for (int i = 0; i < EPOCH_LANES; i++) {
            struct epoch_block *block = snapshot->dead[i];

            if (!block)
                continue;
            snapshot->dead[i] = block->next_dead;
            __builtin_prefetch(block->next_dead, 1);
            block_release(epochs, older, block);
            more = true;
        }
    }
    if (older)
        older->younger = snapshot->younger;
    if (snapshot->younger) {
        snapshot->younger->older = older;
    } else {
        epochs->youngest = older;
        epochs->frozen = older ? older->epoch : epochs->base;
    }
    if (--epochs->open == 0)
        spare_free(epochs);
}
