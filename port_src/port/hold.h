/*
 * hold.h -- replies that wait until what they show is on the disk.
 *
 * A reply is held with the seq that must be durable before it may leave. Syncs
 * come one after another, so two queues are enough: replies that the running
 * sync will set free, and those that need the next one. A reply that waits for
 * less is not kept behind one that waits for more.
 */
#ifndef RHIZOME_PORT_HOLD_H
#define RHIZOME_PORT_HOLD_H

#include "core/buffer.h"

struct hold {
    struct buffer running; /* entries: wait, size, bytes */
    struct buffer next;
    size_t taken;         /* bytes of `running` that have left */
    uint64_t running_seq; /* durable when the running sync is done */
};

void hold_init(struct hold *hold, struct mem *mem);
void hold_deinit(struct hold *hold);

/* Keeps a copy of a reply until `wait` is durable. ST_NO_MEMORY. */
enum status hold_put(struct hold *hold, uint64_t wait, struct bytes reply);

/* A sync begins that makes everything up to `seq` durable, which is all that
 * replies wait for so far. What the last one set free must have left. */
void hold_sync_begun(struct hold *hold, uint64_t seq);

/*
 * The next reply that `durable` sets free, and what it waited for; false if
 * there is none. Borrowed until the hold is touched again. The seqs of
 * mutations come out in ascending order.
 */
bool hold_take(struct hold *hold, uint64_t durable, uint64_t *ret_wait,
               struct bytes *ret_reply);

/* True if a reply waits for a sync that has not begun. */
static inline bool hold_wants_sync(const struct hold *hold)
{
    return hold->next.size > 0;
}

/* Bytes of replies that wait. */
static inline size_t hold_bytes(const struct hold *hold)
{
    return hold->running.size - hold->taken + hold->next.size;
}

#endif
