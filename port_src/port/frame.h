/*
 * frame.h -- frames out of a stream of bytes that arrives in any pieces.
 *
 *     frame = length(32 bits, big-endian) payload
 *
 * The reader of the stream asks frames_space() where to put bytes, tells with
 * frames_filled() how many came, and takes payloads with frames_next() until
 * there is none. A payload is borrowed from the buffer and stays valid until
 * frames_space() is called again.
 */
#ifndef RHIZOME_PORT_FRAME_H
#define RHIZOME_PORT_FRAME_H

#include "core/buffer.h"

/* The bytes of a length in front of every payload. */
#define FRAME_HEADER_BYTES 4

/* Room that is offered to a read, and the buffer's size when all is quiet. */
#define FRAMES_READ_BYTES (64u << 10)

struct frames {
    struct buffer buffer;
    size_t start;       /* the first byte that is not yet taken */
    size_t payload_max; /* a longer payload is refused unseen */
};

/* Nothing is allocated before the first frames_space(). */
void frames_init(struct frames *frames, struct mem *mem, size_t payload_max);
void frames_deinit(struct frames *frames);

/*
 * Offers room for at least one more byte, usually FRAMES_READ_BYTES. Memory
 * follows what has really arrived: at most twice that, whatever length a
 * frame announces. Ends the validity of payloads taken before.
 *
 * Errors: ST_NO_MEMORY.
 */
enum status frames_space(struct frames *frames, uint8_t **ret_room,
                         size_t *ret_size);

/* `count` bytes were put into the room. */
void frames_filled(struct frames *frames, size_t count);

/*
 * Takes the next payload that has arrived completely; `*ret_found` is false
 * if there is none. Errors: ST_TOO_BIG if the next frame announces more than
 * `payload_max` bytes, which is known before any of them are kept.
 */
enum status frames_next(struct frames *frames, struct bytes *ret_payload,
                        bool *ret_found);

/* Bytes that have arrived and were not taken: of a frame cut short. */
static inline size_t frames_pending(const struct frames *frames)
{
    return frames->buffer.size - frames->start;
}

/* Gives back the memory of a large frame, if nothing is pending. */
void frames_shrink(struct frames *frames);

#endif
