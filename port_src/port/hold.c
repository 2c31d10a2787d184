/*
 * hold.c -- two queues of replies, each an entry behind another.
 *
 *     entry = wait(8) size(4) reply
 *
 * Replies are copied in and out: they are a few dozen bytes, and a frame is
 * then built the same way whether its replies had to wait or not.
 */
#include "port/hold.h"

/* An idle queue keeps no more than this. */
#define HOLD_KEEP_BYTES (256u << 10)

#define ENTRY_HEADER_BYTES 12

void hold_init(struct hold *hold, struct mem *mem)
{
    memset(hold, 0, sizeof(*hold));
    hold->running = BUFFER(mem);
    hold->next = BUFFER(mem);
}

void hold_deinit(struct hold *hold)
{
    buffer_free(&hold->running);
    buffer_free(&hold->next);
}

enum status hold_put(struct hold *hold, uint64_t wait, struct bytes reply)
{
    struct buffer *queue =
        wait <= hold->running_seq ? &hold->running : &hold->next;
    uint8_t header[ENTRY_HEADER_BYTES];
    enum status st = buffer_reserve(queue, sizeof(header) + reply.size);

    if (st < 0)
        return st;
    REQUIRE(reply.size <= UINT32_MAX);
    store_be64(header, wait);
    store_be32(header + 8, (uint32_t)reply.size);
    buffer_append(queue, bytes_of(header, sizeof(header)));
    buffer_append(queue, reply);
    return ST_OK;
}

/* Empties a queue all of which has left. */
static void queue_reset(struct buffer *queue)
{
    queue->size = 0;
    if (queue->capacity > HOLD_KEEP_BYTES)
        buffer_free(queue);
}

void hold_sync_begun(struct hold *hold, uint64_t seq)
{
    struct buffer empty = hold->running;

    REQUIRE(hold->taken == hold->running.size);
    queue_reset(&empty);
    hold->running = hold->next;
    hold->running_seq = seq;
    hold->next = empty;
    hold->taken = 0;
}

bool hold_take(struct hold *hold, uint64_t durable, uint64_t *ret_wait,
               struct bytes *ret_reply)
{
    const uint8_t *entry;

    if (hold->taken == hold->running.size)
        return false;
    entry = hold->running.data + hold->taken;
    if (load_be64(entry) > durable)
        return false;
    *ret_wait = load_be64(entry);
    *ret_reply = bytes_of(entry + ENTRY_HEADER_BYTES, load_be32(entry + 8));
    hold->taken += ENTRY_HEADER_BYTES + ret_reply->size;
    return true;
}
