/*
 * key_filter.c -- the encoder as a filter, for key_order.exs to judge it.
 *
 * Reads requests of {size u32, term} from stdin, where the term is external
 * format without its version byte, and answers each with
 *
 *     {size u32, encoding} {size u32, decoded term} {status u8}
 *
 * The status is 0 if all is well, else negated (and the sizes are 0), or 255
 * if key_size() does not find the end of the encoding: where nothing
 * follows, before zeros, and before the same encoding again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/etf.h"
#include "core/key.h"

static void write_sized(struct bytes bytes)
{
    uint8_t size[4];

    store_be32(size, (uint32_t)bytes.size);
    fwrite(size, 1, sizeof(size), stdout);
    fwrite(bytes.data, 1, bytes.size, stdout);
}

static bool cuts_right(struct bytes key, struct buffer *work)
{
    static const uint8_t zeros[3];
    size_t size = key.size;
    bool right = key_size(key) == size;

    work->size = 0;
    if (buffer_append(work, key) < 0 ||
        buffer_append(work, bytes_of(zeros, sizeof(zeros))) < 0)
        return false;
    right = right && key_size(buffer_bytes(work)) == size;
    work->size = size;
    if (buffer_append(work, key) < 0)
        return false;
    return right && key_size(buffer_bytes(work)) == size;
}

int main(void)
{
    struct mem mem;
    struct buffer key;
    struct buffer term;
    struct buffer work;
    uint8_t head[4];

    mem_init(&mem, 0);
    key = BUFFER(&mem);
    term = BUFFER(&mem);
    work = BUFFER(&mem);
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t size = load_be32(head);
        uint8_t *input = malloc(size ? size : 1);
        enum status st;
        size_t found;

        if (!input || fread(input, 1, size, stdin) != size)
            return EXIT_FAILURE;
        key.size = 0;
        term.size = 0;
        st = etf_validate(bytes_of(input, size), &found, NULL);
        if (st == ST_OK && found != size)
            st = ST_BAD_TERM;
        if (st == ST_OK)
            st = key_encode(bytes_of(input, size), &key);
        if (st == ST_OK)
            st = key_decode(buffer_bytes(&key), &term);
        write_sized(buffer_bytes(&key));
        write_sized(buffer_bytes(&term));
        putchar(st < 0 ? -st : cuts_right(buffer_bytes(&key), &work) ? 0 : 255);
        free(input);
    }
    buffer_free(&key);
    buffer_free(&term);
    buffer_free(&work);
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
