/*
 * digest.c -- XXH3 (Y. Collet, xxhash.com), compiled into this file alone.
 *
 * An element is hashed as one run of bytes. Its two parts lie apart, so small
 * ones are put together on the stack, which is what nearly all are, and large
 * ones go through the streaming form: the result is the same, and neither
 * takes memory from anybody.
 */
#include "core/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if XXH_VERSION_NUMBER < 800
#error "XXH3 got its final form with xxHash 0.8.0"
#endif

/* Longer elements are streamed, whose set-up costs as much as the copy. */
#define JOINED_BYTES_MAX 512

static struct digest digest_of(XXH128_hash_t hash)
{
    return (struct digest){hash.low64, hash.high64};
}

struct digest digest_bytes(struct bytes bytes)
{
    return digest_of(XXH3_128bits(bytes.data, bytes.size));
}

static __attribute__((noinline)) struct digest streamed(struct bytes first,
                                                        struct bytes second)
{
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, first.data, first.size);
    XXH3_128bits_update(&state, second.data, second.size);
    return digest_of(XXH3_128bits_digest(&state));
}

struct digest digest_element(struct bytes first, struct bytes second)
{
    uint8_t joined[JOINED_BYTES_MAX];

    if (!second.size)
        return digest_bytes(first);
    if (first.size + second.size > sizeof(joined))
        return streamed(first, second);
    bytes_put(joined, first);
    bytes_put(joined + first.size, second);
    return digest_bytes(bytes_of(joined, first.size + second.size));
}
