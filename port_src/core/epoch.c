#include "core/epoch.h"

struct epoch_snapshot {
    uint64_t epoch; /* sees the blocks born at or before it */
    struct epoch_snapshot *older;
    struct epoch_snapshot *younger;
    struct epoch_block *dead;
};

void epochs_init(struct epochs *epochs, struct mem *mem)
{
    *epochs = (struct epochs){.mem = mem, .now = 1};
}

void *epochs_alloc(struct epochs *epochs, size_t size)
{
    struct epoch_block *block;

    REQUIRE(size >= sizeof(*block) && size <= UINT32_MAX);
    block = mem_alloc(epochs->mem, size);
    if (!block)
        return NULL;
    block->birth = epochs->now;
    block->next_dead = NULL;
    block->size = (uint32_t)size;
    return block;
}

enum status epochs_snapshot(struct epochs *epochs, struct epoch_snapshot **ret)
{
    struct epoch_snapshot *snapshot = mem_alloc(epochs->mem, sizeof(*snapshot));

    if (!snapshot)
        return mem_status(epochs->mem);
    *snapshot = (struct epoch_snapshot){
        .epoch = epochs->now,
        .older = epochs->youngest,
    };
    if (epochs->youngest)
        epochs->youngest->younger = snapshot;
    epochs->youngest = snapshot;
    epochs->frozen = epochs->now++;
    epochs->open++;
    *ret = snapshot;
    return ST_OK;
}

void epochs_retire(struct epochs *epochs, struct epoch_block *block)
{
    struct epoch_snapshot *youngest = epochs->youngest;

    if (epochs_writable(epochs, block)) {
        mem_free(epochs->mem, block, block->size);
        return;
    }
    block->next_dead = youngest->dead;
    youngest->dead = block;
    epochs->dead_bytes += mem_charge(block->size);
}

void epochs_release(struct epochs *epochs, struct epoch_snapshot *snapshot)
{
    struct epoch_snapshot *older = snapshot->older;
    uint64_t seen_before = older ? older->epoch : 0;
    struct epoch_block *block = snapshot->dead;

    while (block) {
        struct epoch_block *next = block->next_dead;

        if (block->birth > seen_before) {
            epochs->dead_bytes -= mem_charge(block->size);
            mem_free(epochs->mem, block, block->size);
        } else {
            block->next_dead = older->dead;
            older->dead = block;
        }
        block = next;
    }
    if (older)
        older->younger = snapshot->younger;
    if (snapshot->younger) {
        snapshot->younger->older = older;
    } else {
        epochs->youngest = older;
        epochs->frozen = seen_before;
    }
    epochs->open--;
    mem_free(epochs->mem, snapshot, sizeof(*snapshot));
}
