#include "port/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/key.h"
#include "support/term_text.h"

/* The frame with one reply, whose answer `put` makes, as text. */
static void expect_answer(void (*put)(struct writer *writer),
                          const char *wanted)
{
    struct buffer text = BUFFER(test_mem());
    struct writer writer;
    struct bytes frame;
    size_t size;

    writer_init(&writer, test_mem(), 1 << 20);
    assert_int_equal(writer_reply_begin(&writer, -1), ST_OK);
    put(&writer);
    assert_int_equal(writer_status(&writer), ST_OK);
    writer_reply_end(&writer);
    frame = writer_frame(&writer);
    assert_int_equal(load_be32(frame.data), frame.size - 4);
    assert_int_equal(frame.data[4], ETF_VERSION);
    assert_int_equal(
        etf_validate(bytes_of(frame.data + 5, frame.size - 5), &size, NULL),
        ST_OK);
    assert_int_equal(size, frame.size - 5);
    term_print(&text, frame.data + writer.answer);
    assert_string_equal(text.data, wanted);
    buffer_free(&text);
    writer_deinit(&writer);
}

static void put_numbers(struct writer *writer)
{
    put_tuple(writer, 8);
    put_i64(writer, 0);
    put_i64(writer, 255);
    put_i64(writer, -1);
    put_i64(writer, INT64_MIN);
    put_i64(writer, INT64_MAX);
    put_u64(writer, 1u << 31);
    put_u64(writer, UINT64_MAX);
    put_bool(writer, true);
}

static void put_lists(struct writer *writer)
{
    size_t outer = put_list_begin(writer);
    size_t inner = put_list_begin(writer);

    put_list_end(writer, inner, 0);
    inner = put_list_begin(writer);
    put_atom(writer, "a");
    put_binary(writer, BYTES("b"));
    put_list_end(writer, inner, 2);
    inner = writer_size(writer);
    put_map(writer, 1000);
    put_truncate(writer, inner);
    put_map(writer, 1);
    put_atom(writer, "k");
    put_term(writer, BYTES("\141\7"));
    put_list_end(writer, outer, 3);
}

static void put_a_key(struct writer *writer)
{
    struct buffer key = BUFFER(test_mem());

    assert_int_equal(key_encode_u64(77, &key), ST_OK);
    put_key(writer, buffer_bytes(&key));
    buffer_free(&key);
}

static void terms_are_what_was_put(void **state)
{
    (void)state;
    expect_answer(put_numbers,
                  "{0,255,-1,-9223372036854775808,9223372036854775807,"
                  "2147483648,18446744073709551615,true}");
    expect_answer(put_lists, "[[],[a,<<\"b\">>],#{k=>7}]");
    expect_answer(put_a_key, "77");
}

/* Whatever is put before, an error answer always has room. */
static void an_error_answer_has_room(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct writer writer;
        struct mem mem;

        mem_init(&mem, 0);
        writer_init(&writer, &mem, 1 << 20);
        mem_fail_at(&mem, nth, true);
        if (writer_reply_begin(&writer, 1) == ST_OK) {
            for (unsigned i = 0; i < 100000; i++)
                put_u64(&writer, i);
            assert_int_equal(writer_status(&writer), ST_NO_MEMORY);
            writer_reply_reset(&writer);
            for (unsigned i = 0; i < WRITER_ERROR_BYTES_MAX / 4; i++)
                put_atom(&writer, "ok");
            assert_int_equal(writer_status(&writer), ST_OK);
            writer_reply_end(&writer);
            assert_true(writer_frame(&writer).size > WRITER_ERROR_BYTES_MAX);
        } else {
            assert_int_equal(nth, 1);
        }
        writer_deinit(&writer);
        assert_int_equal(mem.used, 0);
    }
}

static void no_reply_is_no_frame(void **state)
{
    struct writer writer;

    (void)state;
    writer_init(&writer, test_mem(), 1 << 20);
    assert_int_equal(writer_frame(&writer).size, 0);
    writer_deinit(&writer);
}

/* A reply that is withdrawn and added later is in the later frame. */
static void a_reply_can_wait(void **state)
{
    struct buffer waiting = BUFFER(test_mem());
    struct writer writer;
    struct bytes frame;

    (void)state;
    writer_init(&writer, test_mem(), 1 << 20);
    assert_int_equal(writer_reply_begin(&writer, 7), ST_OK);
    put_atom(&writer, "held");
    writer_reply_end(&writer);
    assert_int_equal(buffer_append(&waiting, writer_reply_withdraw(&writer)),
                     ST_OK);
    assert_int_equal(writer_size(&writer), 0);
    assert_int_equal(writer_frame(&writer).size, 0);

    assert_int_equal(writer_event_begin(&writer, "seq"), ST_OK);
    writer_reply_drop(&writer);
    assert_int_equal(writer_size(&writer), 0);
    assert_int_equal(writer_reply_begin(&writer, 8), ST_OK);
    put_atom(&writer, "first");
    writer_reply_end(&writer);
    assert_int_equal(writer_reply_begin(&writer, 9), ST_OK);
    writer_reply_drop(&writer);
    assert_int_equal(writer_reply_add(&writer, buffer_bytes(&waiting)), ST_OK);
    frame = writer_frame(&writer);
    assert_int_equal(load_be32(frame.data + 6), 2);
    assert_memory_equal(frame.data + 10, "h\2a\10", 4);
    assert_non_null(memmem(frame.data, frame.size, "h\2a\7", 4));
    assert_null(memmem(frame.data, frame.size, "a\11", 2));
    writer_deinit(&writer);
    buffer_free(&waiting);
}

static void what_is_discarded_takes_nothing(void **state)
{
    struct writer writer;

    (void)state;
    writer_init(&writer, test_mem(), 1);
    writer_discard(&writer, true);
    put_lists(&writer);
    put_numbers(&writer);
    assert_int_equal(writer_status(&writer), ST_OK);
    assert_int_equal(writer_size(&writer), 0);
    assert_int_equal(writer.out.capacity, 0);
    writer_discard(&writer, false);
    put_bool(&writer, true);
    assert_true(writer_size(&writer) > 0);
    writer_deinit(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_are_what_was_put),
        cmocka_unit_test(an_error_answer_has_room),
        cmocka_unit_test(no_reply_is_no_frame),
        cmocka_unit_test(a_reply_can_wait),
        cmocka_unit_test(what_is_discarded_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
