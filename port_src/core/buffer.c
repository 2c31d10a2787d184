#include "core/buffer.h"

#define BUFFER_BYTES_MIN 64

enum status buffer_grow(struct buffer *buffer, size_t extra)
{
    size_t wanted = buffer->size + extra;
    size_t capacity = buffer->capacity + buffer->capacity / 2;
    uint8_t *data;

    if (capacity < BUFFER_BYTES_MIN)
        capacity = BUFFER_BYTES_MIN;
    if (capacity < wanted)
        capacity = wanted;
    data = mem_grow(buffer->mem, buffer->data, buffer->capacity, capacity);
    if (!data)
        return mem_status(buffer->mem);
    buffer->data = data;
    buffer->capacity = capacity;
    return ST_OK;
}

void buffer_free(struct buffer *buffer)
{
    mem_free(buffer->mem, buffer->data, buffer->capacity);
    *buffer = BUFFER(buffer->mem);
}
