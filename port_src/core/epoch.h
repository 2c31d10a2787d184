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
 *
 * A fork has epochs of its own that go on from its snapshot's. What it makes is
 * younger than the snapshot, and nothing younger that its parent makes can be
 * reached from it, so births tell the two kinds of blocks apart: lent ones
 * are left alone, for they wait on a dead list of the parent when their time
 * comes.
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

/*
 * The dead of a snapshot are on several lists in turn: their headers are cold
 * when it is released, and so several can be fetched at a time. By the time
 * that it is a list's turn again the next one of it has arrived.
 */
#define EPOCH_LANES 8

/* An open snapshot; whoever opens it has the room for it. */
struct epoch_snapshot {
    uint64_t epoch; /* sees the blocks born at or before it */
    struct epoch_snapshot *older;
    struct epoch_snapshot *younger;
    struct epoch_block *dead[EPOCH_LANES];
    uint32_t lane;     /* the next one's list */
    size_t dead_bytes; /* charged for them */
};

struct epoch_spares;

struct epochs {
    struct mem *mem;
    uint64_t now;                    /* the epoch of new blocks, from 1 */
    uint64_t base;                   /* of a fork: blocks up to it are lent */
    struct epoch_snapshot *youngest; /* NULL if no snapshot is open */
    uint64_t frozen;                 /* its epoch, `base` if none */
    uint64_t open;                   /* snapshots open now */
    size_t bytes;                    /* charged for all blocks, dead or not */
    size_t dead_bytes;               /* charged, and held by snapshots only */
    struct epoch_spares *spares;     /* free blocks, not charged; or NULL */
};

void epochs_init(struct epochs *epochs, struct mem *mem);

/*
 * Epochs that go on where `base`, a snapshot of others, is. The blocks that
 * it sees are lent: never changed, and never freed, by these epochs. `base`
 * stays open for as long.
 */
void epochs_fork(struct epochs *epochs, struct mem *mem,
                 const struct epoch_snapshot *base);

/* True if `block` may be changed in place: no snapshot can see it. */
static inline bool epochs_writable(const struct epochs *epochs,
                                   const struct epoch_block *block)
{
    return block->birth > epochs->frozen;
}

/* True if `block` belongs to those that these epochs are a fork of. */
static inline bool epochs_lent(const struct epochs *epochs,
                               const struct epoch_block *block)
{
    return block->birth <= epochs->base;
}

/* A block of `size` bytes born now, its header filled in; NULL as mem.h. */
void *epochs_alloc(struct epochs *epochs, size_t size);

/*
 * Fetches what the next epochs_alloc() of about this size would give: it is
 * cold while snapshots are open. To be called when there is nothing else to
 * be fetched, which is after a change, not within it.
 */
void epochs_expect(const struct epochs *epochs, size_t size);

/* Opens a snapshot: from now on no block that exists is changed. O(1).
 * The caller keeps the roots. */
void epochs_snapshot(struct epochs *epochs, struct epoch_snapshot *snapshot);

/* Closes it and frees what only it could see. O(its dead list). */
void epochs_release(struct epochs *epochs, struct epoch_snapshot *snapshot);

/*
 * The tree has let go of `block`: free it now, or when the last snapshot
 * that sees it closes.
 */
void epochs_retire(struct epochs *epochs, struct epoch_block *block);

#endif
