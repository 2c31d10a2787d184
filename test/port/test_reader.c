#include "port/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "support/term_text.h"

static struct reader read_text(struct buffer *room, const char *text)
{
    *room = BUFFER(test_mem());
    term_parse(room, text);
    return reader_of(buffer_bytes(room));
}

/* Whatever does not fit is refused, and the reader stays where it was. */
static void a_wrong_form_moves_nothing(void **state)
{
    static const char *const texts[] = {"foo",   "1",  "[]",        "[a]",
                                        "\"s\"", "{}", "<<\"b\">>", "#{}"};
    struct buffer room;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct reader reader = read_text(&room, texts[i]);
        const uint8_t *start = reader.at;
        struct bytes name;
        struct list list;
        int64_t integer;
        uint32_t count;
        int fits = 0;

        if (!reader_atom(&reader, &name))
            assert_ptr_equal(reader.at, start);
        else
            fits++;
        reader.at = start;
        if (!reader_integer(&reader, &integer))
            assert_ptr_equal(reader.at, start);
        else
            fits++;
        reader.at = start;
        if (!reader_tuple(&reader, &count))
            assert_ptr_equal(reader.at, start);
        else
            fits++;
        reader.at = start;
        assert_false(reader_tuple_of(&reader, 2));
        assert_ptr_equal(reader.at, start);
        if (!reader_map(&reader, &count))
            assert_ptr_equal(reader.at, start);
        else
            fits++;
        reader.at = start;
        if (!reader_list(&reader, &list))
            assert_ptr_equal(reader.at, start);
        else
            fits++;
        assert_int_equal(fits, i == 6 ? 0 : 1);
        buffer_free(&room);
    }
}

static void nothing_is_read_at_the_end(void **state)
{
    struct reader reader = reader_of(BYTES(""));
    struct bytes name;
    struct list list;
    int64_t integer;
    uint32_t count;

    (void)state;
    assert_true(reader_done(&reader));
    assert_false(reader_atom(&reader, &name));
    assert_false(reader_integer(&reader, &integer));
    assert_false(reader_tuple(&reader, &count));
    assert_false(reader_map(&reader, &count));
    assert_false(reader_list(&reader, &list));
}

static void expect_integer(struct bytes term, bool fits, int64_t wanted)
{
    struct reader reader = reader_of(term);
    int64_t value = 12345;

    assert_int_equal(reader_integer(&reader, &value), fits);
    if (fits)
        assert_int_equal(value, wanted);
    assert_int_equal(reader_done(&reader), fits);
}

static void integers_have_64_bits_in_any_form(void **state)
{
    (void)state;
    expect_integer(BYTES("\141\377"), true, 255);
    expect_integer(BYTES("\142\377\377\377\377"), true, -1);
    expect_integer(BYTES("\156\0\0"), true, 0);
    expect_integer(BYTES("\156\1\1\5"), true, -5);
    expect_integer(BYTES("\156\11\0\5\0\0\0\0\0\0\0\0"), true, 5);
    expect_integer(BYTES("\156\10\0\377\377\377\377\377\377\377\177"), true,
                   INT64_MAX);
    expect_integer(BYTES("\156\10\1\0\0\0\0\0\0\0\200"), true, INT64_MIN);
    expect_integer(BYTES("\156\10\0\0\0\0\0\0\0\0\200"), false, 0);
    expect_integer(BYTES("\156\10\1\1\0\0\0\0\0\0\200"), false, 0);
    expect_integer(BYTES("\156\11\0\0\0\0\0\0\0\0\0\1"), false, 0);
    expect_integer(BYTES("\157\0\0\0\1\0\7"), true, 7);
}

static void atoms_come_in_four_forms(void **state)
{
    static const struct bytes forms[] = {
        {(const uint8_t *)"\144\0\3abc", 6},
        {(const uint8_t *)"\163\3abc", 5},
        {(const uint8_t *)"\166\0\3abc", 6},
        {(const uint8_t *)"\167\3abc", 5},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct reader reader = reader_of(forms[i]);
        struct bytes name;

        assert_true(reader_atom(&reader, &name));
        assert_true(bytes_equal(name, BYTES("abc")));
        assert_true(reader_done(&reader));
    }
}

/* A list of small integers is the same list in both of its forms. */
static void expect_list(struct bytes term)
{
    struct reader reader = reader_of(term);
    struct list list;
    int64_t value;

    assert_true(reader_list(&reader, &list));
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(list.left, 4 - i);
        assert_true(reader_integer(list_next(&list), &value));
        assert_int_equal(value, i);
    }
    assert_int_equal(list.left, 0);
    assert_true(list_close(&list));
    assert_true(reader_done(&reader));
}

static void a_string_is_a_list(void **state)
{
    (void)state;
    expect_list(BYTES("\153\0\3\1\2\3"));
    expect_list(BYTES("\154\0\0\0\3\141\1\141\2\141\3\152"));
}

static void empty_and_improper_lists_end_as_they_should(void **state)
{
    struct reader reader = reader_of(BYTES("\152"));
    struct list list;

    (void)state;
    assert_true(reader_list(&reader, &list));
    assert_int_equal(list.left, 0);
    assert_true(list_close(&list));
    assert_true(reader_done(&reader));

    reader = reader_of(BYTES("\154\0\0\0\0\152")); /* LIST without elements */
    assert_true(reader_list(&reader, &list));
    assert_int_equal(list.left, 0);
    assert_true(list_close(&list));
    assert_true(reader_done(&reader));

    reader = reader_of(BYTES("\154\0\0\0\1\141\1\141\2")); /* [1 | 2] */
    assert_true(reader_list(&reader, &list));
    reader_term(list_next(&list));
    assert_false(list_close(&list));
    assert_int_equal(reader_term(&reader).size, 2);
    assert_true(reader_done(&reader));
}

static void a_term_is_all_of_its_bytes(void **state)
{
    struct buffer room;
    struct reader reader =
        read_text(&room, "{a, [1, {b, \"str\"}, #{k => <<\"v\">>}], 7}");

    (void)state;
    assert_int_equal(reader_term(&reader).size, room.size);
    assert_true(reader_done(&reader));
    buffer_free(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_form_moves_nothing),
        cmocka_unit_test(nothing_is_read_at_the_end),
        cmocka_unit_test(integers_have_64_bits_in_any_form),
        cmocka_unit_test(atoms_come_in_four_forms),
        cmocka_unit_test(a_string_is_a_list),
        cmocka_unit_test(empty_and_improper_lists_end_as_they_should),
        cmocka_unit_test(a_term_is_all_of_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
