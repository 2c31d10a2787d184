#include "port/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "support/term_text.h"

/* Feeds `bytes` in pieces of `piece`, and appends each payload it gets, with
 * its size in front, to `payloads`. Gives the last status. */
static enum status feed(struct frames *frames, struct bytes bytes, size_t piece,
                        struct buffer *payloads)
{
    while (bytes.size) {
        size_t size, room_size;
        struct bytes payload;
        uint8_t *room;
        bool found;

        assert_int_equal(frames_space(frames, &room, &room_size), ST_OK);
        assert_true(room_size > 0);
        size = piece < bytes.size ? piece : bytes.size;
        size = size < room_size ? size : room_size;
        memcpy(room, bytes.data, size);
        frames_filled(frames, size);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
        for (;;) {
            enum status st = frames_next(frames, &payload, &found);

            if (st < 0)
                return st;
            if (!found)
                break;
            test_append_text(payloads, test_format("%zu:", payload.size));
            test_append(payloads, payload.data, payload.size);
        }
        frames_shrink(frames);
    }
    return ST_OK;
}

static void add_frame(struct buffer *out, const char *payload)
{
    uint8_t length[4];

    store_be32(length, (uint32_t)strlen(payload));
    test_append(out, length, 4);
    test_append_text(out, payload);
}

static void frames_survive_every_cut(void **state)
{
    struct buffer stream = BUFFER(test_mem());
    const char *wanted = "5:hello0:1:x11:world peace";

    (void)state;
    add_frame(&stream, "hello");
    add_frame(&stream, "");
    add_frame(&stream, "x");
    add_frame(&stream, "world peace");
    for (size_t piece = 1; piece <= stream.size; piece++) {
        struct buffer payloads = BUFFER(test_mem());
        struct frames frames;

        frames_init(&frames, test_mem(), 1000);
        assert_int_equal(feed(&frames, buffer_bytes(&stream), piece, &payloads),
                         ST_OK);
        assert_int_equal(payloads.size, strlen(wanted));
        assert_memory_equal(payloads.data, wanted, payloads.size);
        assert_int_equal(frames_pending(&frames), 0);
        frames_deinit(&frames);
        buffer_free(&payloads);
    }
    buffer_free(&stream);
}

static void a_partial_frame_is_pending(void **state)
{
    struct buffer payloads = BUFFER(test_mem());
    struct frames frames;

    (void)state;
    frames_init(&frames, test_mem(), 1000);
    feed(&frames, BYTES("\0\0\0\5hel"), 100, &payloads);
    assert_int_equal(payloads.size, 0);
    assert_int_equal(frames_pending(&frames), 7);
    frames_deinit(&frames);
}

static void a_length_beyond_the_limit_is_refused_unseen(void **state)
{
    static const struct bytes lengths[] = {
        {(const uint8_t *)"\0\0\3\351", 4},
        {(const uint8_t *)"\177\377\377\377", 4},
        {(const uint8_t *)"\377\377\377\377", 4},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct buffer payloads = BUFFER(test_mem());
        struct frames frames;

        frames_init(&frames, test_mem(), 1000);
        assert_int_equal(feed(&frames, lengths[i], 4, &payloads), ST_TOO_BIG);
        assert_true(frames.buffer.capacity <= FRAMES_READ_BYTES);
        frames_deinit(&frames);
    }
}

/* A length alone buys no memory; data does, and the end gives it back. */
static void memory_follows_what_has_arrived(void **state)
{
    const size_t size = 8u << 20;
    struct buffer payloads = BUFFER(test_mem());
    struct frames frames;
    uint8_t length[4];
    uint8_t *room;
    size_t room_size;
    size_t arrived;
    bool found;
    struct bytes payload;

    (void)state;
    frames_init(&frames, test_mem(), 64u << 20);
    store_be32(length, (uint32_t)size);
    feed(&frames, bytes_of(length, 4), 4, &payloads);
    assert_true(frames.buffer.capacity <= FRAMES_READ_BYTES);
    for (arrived = 4; arrived < size + 4;) {
        assert_int_equal(frames_space(&frames, &room, &room_size), ST_OK);
        assert_true(frames.buffer.capacity <= 2 * arrived ||
                    frames.buffer.capacity <= FRAMES_READ_BYTES);
        room_size =
            room_size < size + 4 - arrived ? room_size : size + 4 - arrived;
        room_size = room_size > 10000 ? 10000 : room_size;
        memset(room, 'x', room_size);
        frames_filled(&frames, room_size);
        arrived += room_size;
    }
    assert_int_equal(frames_next(&frames, &payload, &found), ST_OK);
    assert_true(found);
    assert_int_equal(payload.size, size);
    frames_shrink(&frames);
    assert_int_equal(frames.buffer.capacity, 0);
    frames_deinit(&frames);
}

static void no_memory_is_told(void **state)
{
    struct frames frames;
    struct mem mem;
    uint8_t *room;
    size_t size;

    (void)state;
    mem_init(&mem, 0);
    frames_init(&frames, &mem, 1000);
    mem_fail_at(&mem, 1, false);
    assert_int_equal(frames_space(&frames, &room, &size), ST_NO_MEMORY);
    assert_int_equal(frames_space(&frames, &room, &size), ST_OK);
    frames_deinit(&frames);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_every_cut),
        cmocka_unit_test(a_partial_frame_is_pending),
        cmocka_unit_test(a_length_beyond_the_limit_is_refused_unseen),
        cmocka_unit_test(memory_follows_what_has_arrived),
        cmocka_unit_test(no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
