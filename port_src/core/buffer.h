/*
 * buffer.h -- a growable run of bytes that its holder owns: encoded keys,
 * rebuilt entries, replies on their way out.
 *
 * Initialise one with its account, BUFFER(mem); buffer_free() gives its
 * memory back and leaves an empty buffer. Setting `size` to a smaller number
 * truncates it; the memory is kept for the next use.
 */
#ifndef RHIZOME_CORE_BUFFER_H
#define RHIZOME_CORE_BUFFER_H

#include "core/bytes.h"
#include "core/mem.h"
#include "core/status.h"

struct buffer {
    struct mem *mem;
    uint8_t *data;
    size_t size;
    size_t capacity;
};

#define BUFFER(account) ((struct buffer){(account), NULL, 0, 0})

/* Cold half of buffer_reserve(): grows by half, at least to fit. */
enum status buffer_grow(struct buffer *buffer, size_t extra);

/* Makes room for `extra` more bytes. ST_NO_MEMORY, ST_MEMORY_LIMIT. */
static inline enum status buffer_reserve(struct buffer *buffer, size_t extra)
{
    if (__builtin_expect(buffer->capacity - buffer->size >= extra, 1))
        return ST_OK;
    return buffer_grow(buffer, extra);
}

/* Appends a copy of `bytes`. ST_NO_MEMORY, ST_MEMORY_LIMIT. */
static inline enum status buffer_append(struct buffer *buffer,
                                        struct bytes bytes)
{
    enum status st = buffer_reserve(buffer, bytes.size);

    if (st < 0)
        return st;
    if (bytes.size)
        memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    buffer->size += bytes.size;
    return ST_OK;
}

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->data, buffer->size);
}

void buffer_free(struct buffer *buffer);

#endif
