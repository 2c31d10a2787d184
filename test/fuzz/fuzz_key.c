/*
 * Any bytes as an external term: the validator must not read beyond them, and
 * what it passes must come through the key encoding and back unchanged.
 */
#include <stdlib.h>

#include "core/etf.h"
#include "core/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct buffer key = BUFFER(&mem);
    struct buffer term = BUFFER(&mem);
    struct buffer again = BUFFER(&mem);
    uint8_t *exact = malloc(size + 1); /* so that a sanitizer sees its end */
    size_t taken;

    mem_init(&mem, 0);
    memcpy(exact, data, size);
    exact = realloc(exact, size ? size : 1);
    if (etf_validate(bytes_of(exact, size), &taken, NULL) == ST_OK) {
        REQUIRE(taken <= size && etf_size(exact) == taken);
        if (key_encode(bytes_of(exact, taken), &key) == ST_OK) {
            REQUIRE(key_size(buffer_bytes(&key)) == key.size);
            REQUIRE(key_decode(buffer_bytes(&key), &term) == ST_OK);
            REQUIRE(etf_validate(buffer_bytes(&term), &taken, NULL) == ST_OK);
            REQUIRE(taken == term.size);
            REQUIRE(key_encode(buffer_bytes(&term), &again) == ST_OK);
            REQUIRE(bytes_equal(buffer_bytes(&key), buffer_bytes(&again)));
        }
    }
    buffer_free(&key);
    buffer_free(&term);
    buffer_free(&again);
    REQUIRE(mem.used == 0);
    free(exact);
    return 0;
}
