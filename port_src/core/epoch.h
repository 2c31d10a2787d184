/*
 * epoch.h -- who may still see a block: birth epochs and dead lists.
 *
 * One struct epochs serves all trees of a store. Every block of a tree (a
 * node, a value out of line) carries the epoch that made it. Taking a
 * snapshot ends the running epoch, so a block is private to the writer, and
 * may be changed in place or freed at once, if and only if it is younger than
 * the youngest snapshot. Otherwise the writer copies it and hands the old one
 * to epochs_retire(): it waits on the dead list of the youngest snapshot.
 *
 *     epoch   1 . . . . S1 . . . . . S2 . . . . now
 *     block      [born.............................   in S1, S2 and head
 *     block      [born........dead)                   waits on S1's list
 *     block              [born........dead)           S2's alone
 *     block                          [born..dead)     freed at once
 *
 * Releasing Si frees from its list what was born after S(i-1) and moves the
 * rest to S(i-1): the rule of the dead lists of ZFS (M. Ahrens, "How ZFS
 * snapshots really work", BSDCan 2019). No counts and no atomics: only the
 * writer's thread takes, releases and retires, while readers of a snapshot
 * touch blocks that nobody writes any more. The list runs through a word of
 * the blocks' own headers that readers never look at, so retiring takes no
 * memory and cannot fail.
 */
#ifndef RHIZOME_CORE_EPOCH_H
#define RHIZOME_CORE_EPOCH_H

#include "core/mem.h"

/* What every block begins with. */
struct epoch_block {
    uint64_t birth;
    struct epoch_block *next_dead;
    uint32_t size; /* bytes that mem_alloc() was asked for */
};

struct epoch_snapshot;

struct epochs {
    struct mem *mem;
    uint64_t now;                    /* the epoch of new blocks, from 1 */
    struct epoch_snapshot *youngest; /* NULL if no snapshot is open */
    uint64_t frozen;                 /* its epoch, 0 if none */
    uint64_t open;                   /* snapshots open now */
    size_t dead_bytes;               /* charged, and held by snapshots only */
};

void epochs_init(struct epochs *epochs, struct mem *mem);

/* True if `block` may be changed in place: no snapshot can see it. */
static inline bool epochs_writable(const struct epochs *epochs,
                                   const struct epoch_block *block)
{
    return block->birth > epochs->frozen;
}

/* A block of `size` bytes born now, its header filled in; NULL as mem.h. */
void *epochs_alloc(struct epochs *epochs, size_t size);

/*
 * Opens a snapshot: from now on no block that exists is changed. O(1).
 * The caller keeps the roots. Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status epochs_snapshot(struct epochs *epochs, struct epoch_snapshot **ret);

/* Closes it and frees what only it could see. O(its dead list). */
void epochs_release(struct epochs *epochs, struct epoch_snapshot *snapshot);

/*
 * The tree has let go of `block`: free it now, or when the last snapshot
 * that sees it closes.
 */
void epochs_retire(struct epochs *epochs, struct epoch_block *block);

#endif
