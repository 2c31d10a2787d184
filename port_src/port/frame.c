/*
 * frame.c -- one buffer, read at its end and taken from at its start.
 *
 *     0        start              size            capacity
 *     |  taken   | whole frames, a partial one | room  |
 *
 * Invariants:
 *   1. start <= size <= capacity.
 *   2. Bytes before `start` belong to payloads that were handed out; they are
 *      moved over only by frames_space(), never by frames_next().
 *   3. capacity <= max(FRAMES_READ_BYTES, 2 x the bytes that have arrived of
 *      one frame): a length is a claim, and only data is believed.
 *
 * The kernel writes straight into this buffer and commands read straight out
 * of it, so a request is never copied. What is moved to the front before a
 * read is one partial frame: less than a read for small frames, and a large
 * one moves at most once, for it then begins at 0.
 *
 * A ring buffer would save that move, but a frame across its seam would have
 * to be made whole for a decoder that wants one run of bytes.
 */
#include "port/frame.h"

void frames_init(struct frames *frames, struct mem *mem, size_t payload_max)
{
    frames->buffer = BUFFER(mem);
    frames->start = 0;
    frames->payload_max = payload_max;
}

void frames_deinit(struct frames *frames)
{
    buffer_free(&frames->buffer);
    frames->start = 0;
}

/* Moves what is pending to the front. */
static void frames_compact(struct frames *frames)
{
    size_t pending = frames_pending(frames);

    if (frames->start == 0)
        return;
    if (pending)
        memmove(frames->buffer.data, frames->buffer.data + frames->start,
                pending);
    frames->buffer.size = pending;
    frames->start = 0;
}

/* How large the buffer should be to go on with what has arrived. */
static size_t frames_capacity(const struct frames *frames)
{
    size_t size = frames->buffer.size;
    size_t most = size * 2;
    size_t total;

    if (size < FRAME_HEADER_BYTES || most < FRAMES_READ_BYTES)
        return FRAMES_READ_BYTES;
    total = FRAME_HEADER_BYTES + (size_t)load_be32(frames->buffer.data);
    if (total < FRAMES_READ_BYTES)
        return FRAMES_READ_BYTES;
    return total < most ? total : most;
}

enum status frames_space(struct frames *frames, uint8_t **ret_room,
                         size_t *ret_size)
{
    struct buffer *buffer = &frames->buffer;
    size_t capacity;

    frames_compact(frames);
    capacity = frames_capacity(frames);
    if (capacity <= buffer->size) /* whole frames that nobody has taken */
        capacity = buffer->size + FRAMES_READ_BYTES;
    if (capacity > buffer->capacity) {
        uint8_t *data =
            mem_grow(buffer->mem, buffer->data, buffer->capacity, capacity);

        if (!data)
            return mem_status(buffer->mem);
        buffer->data = data;
        buffer->capacity = capacity;
    }
    *ret_room = buffer->data + buffer->size;
    *ret_size = buffer->capacity - buffer->size;
    return ST_OK;
}

void frames_filled(struct frames *frames, size_t count)
{
    REQUIRE(count <= frames->buffer.capacity - frames->buffer.size);
    frames->buffer.size += count;
}

enum status frames_next(struct frames *frames, struct bytes *ret_payload,
                        bool *ret_found)
{
    const uint8_t *at;
    size_t pending = frames_pending(frames);
    size_t length;

    *ret_found = false;
    if (pending < FRAME_HEADER_BYTES)
        return ST_OK;
    at = frames->buffer.data + frames->start;
    length = load_be32(at);
    if (length > frames->payload_max)
        return ST_TOO_BIG;
    if (pending - FRAME_HEADER_BYTES < length)
        return ST_OK;
    *ret_payload = bytes_of(at + FRAME_HEADER_BYTES, length);
    *ret_found = true;
    frames->start += FRAME_HEADER_BYTES + length;
    return ST_OK;
}

void frames_shrink(struct frames *frames)
{
    if (frames_pending(frames) == 0 &&
        frames->buffer.capacity > 4 * FRAMES_READ_BYTES)
        frames_deinit(frames);
}
