/*
 * test_etf.c -- terms that are accepted, terms that are not, and bytes that
 * are no terms at all. All input lies in blocks of exactly its size, so that
 * a sanitizer sees a single byte read too far.
 */
#include "core/etf.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/term_maker.h"

/* One of every form, and what OTP accepts besides what it writes. */
static const char *const accepted[] = {
    "61 00",
    "61 FF",
    "62 FF FF FF FF",
    "46 3F F8 00 00 00 00 00 00",
    "46 80 00 00 00 00 00 00 00",
    "46 00 00 00 00 00 00 00 01",
    "63 '1.50000000000000000000e+00' 00 00 00 00 00",
    "6E 00 00",
    "6E 00 01",
    "6E 03 01 07 00 00",
    "6E 09 00 00 00 00 00 00 00 00 00 01",
    "6F 00 00 00 00 00",
    "6F 00 00 00 02 01 07 08",
    "64 00 00",
    "64 00 02 'ok'",
    "64 00 01 E9",
    "73 00",
    "73 02 FF 00",
    "76 00 00",
    "76 00 02 C3 A9",
    "77 00",
    "77 04 F4 8F BF BF",
    "77 03 EF BF BF",
    "77 03 ED 9F BF",
    "77 01 00",
    "6D 00 00 00 00",
    "6D 00 00 00 03 00 01 02",
    "4D 00 00 00 00 00",
    "4D 00 00 00 01 01 FF",
    "4D 00 00 00 02 08 FF FF",
    "6A",
    "6B 00 00",
    "6B 00 02 01 02",
    "6C 00 00 00 01 61 01 6A",
    "6C 00 00 00 01 61 01 61 02",
    "6C 00 00 00 00 6A",
    "6C 00 00 00 00 61 05",
    "6C 00 00 00 01 61 01 6C 00 00 00 01 61 02 6B 00 01 03",
    "68 00",
    "68 02 61 01 6A",
    "69 00 00 00 00",
    "69 00 00 00 01 61 01",
    "74 00 00 00 00",
    "74 00 00 00 02 61 01 61 02 61 03 61 04",
    "58 77 01 'a' 00 00 00 01 00 00 00 02 FF FF FF FF",
    "67 64 00 01 'a' 00 00 00 01 00 00 00 02 03",
    "59 77 01 'a' 00 00 00 01 FF FF FF FF",
    "78 77 01 'a' 00 00 00 00 00 00 00 01 00 00 00 01",
    "66 77 01 'a' 00 00 00 01 03",
    "65 77 01 'a' 00 00 00 01 03",
    "72 00 01 77 01 'a' 03 00 00 00 01",
    "5A 00 01 77 01 'a' 00 00 00 01 00 00 00 02",
    "5A 00 05 77 01 'a' 00 00 00 01 00 00 00 01 00 00 00 02 00 00 00 03 "
    "00 00 00 04 00 00 00 05",
    "71 77 01 'm' 77 01 'f' 61 FF",
    "71 77 01 'm' 77 01 'f' 62 00 00 00 FF",
    "70 00 00 00 37 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 00 77 01 'm' 61 01 62 00 00 00 02 "
    "58 77 01 'a' 00 00 00 01 00 00 00 02 00 00 00 03",
    "70 00 00 00 37 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 02 77 01 'm' 61 01 62 00 00 00 02 "
    "67 77 01 'a' 00 00 00 01 00 00 00 02 03 6A 61 07",
};

static const char *const refused[] = {
    "",
    /* Tags: of nothing, compressed, cache reference, header, obsolete fun. */
    "00",
    "83 61 01",
    "50 00 00 00 02 78 9C 4B 64 04 00 00 C3 00 62",
    "52 00",
    "44 00",
    "75 00 00 00 00 58 77 01 'a' 00 00 00 01 00 00 00 02 00 00 00 03",
    "79 61 01",
    "FF",
    /* Floats that are not finite, text that is none. */
    "46 7F F0 00 00 00 00 00 00",
    "46 FF F0 00 00 00 00 00 00",
    "46 7F F8 00 00 00 00 00 01",
    "63 'nan' 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 00",
    "63 '1.0e400' 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 00",
    "63 '1.0x5' 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 00 00",
    /* Signs. */
    "6E 01 02 07",
    "6F 00 00 00 01 FF 07",
    /* UTF-8: cut, alone, too long, a surrogate, too high. */
    "77 01 C3",
    "77 01 80",
    "77 02 C0 80",
    "77 03 E0 80 80",
    "77 03 E2 82 41",
    "77 03 ED A0 80",
    "77 03 ED BF BF",
    "77 04 F0 80 80 80",
    "77 04 F4 90 80 80",
    "77 04 F5 80 80 80",
    "76 00 02 C3 28",
    /* Bits: none or nine of a byte, some of no byte. */
    "4D 00 00 00 01 00 FF",
    "4D 00 00 00 01 09 FF",
    "4D 00 00 00 00 01",
    /* Nodes that are no atoms, creations and words out of range. */
    "58 61 01 00 00 00 01 00 00 00 02 00 00 00 03",
    "67 77 01 'a' 00 00 00 01 00 00 00 02 04",
    "66 77 01 'a' 00 00 00 01 04",
    "65 77 01 'a' 00 00 00 01 04",
    "72 00 01 77 01 'a' 04 00 00 00 01",
    "72 00 00 77 01 'a' 03",
    "5A 00 00 77 01 'a' 00 00 00 01",
    "5A 00 06 77 01 'a' 00 00 00 01 00 00 00 01 00 00 00 02 00 00 00 03 "
    "00 00 00 04 00 00 00 05 00 00 00 06",
    "5A FF FF 77 01 'a' 00 00 00 01 00 00 00 01",
    /* Exports of 256 arguments, of a binary name. */
    "71 77 01 'm' 77 01 'f' 62 00 00 01 00",
    "71 77 01 'm' 77 01 'f' 62 FF FF FF FF",
    "71 77 01 'm' 77 01 'f' 77 01 'a'",
    "71 77 01 'm' 6D 00 00 00 01 'f' 61 01",
    /* Funs whose size is one too small, one too large, without a pid. */
    "70 00 00 00 36 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 02 77 01 'm' 61 01 62 00 00 00 02 "
    "67 77 01 'a' 00 00 00 01 00 00 00 02 03 6A 61 07 61 07",
    "70 00 00 00 38 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 02 77 01 'm' 61 01 62 00 00 00 02 "
    "67 77 01 'a' 00 00 00 01 00 00 00 02 03 6A 61 07 61 07",
    "70 00 00 00 37 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 00 77 01 'm' 61 01 62 00 00 00 02 "
    "59 77 01 'a' 00 00 00 01 00 00 00 02 00 00 00 03",
    /* Counts that no input could hold. */
    "69 FF FF FF FF 61 01",
    "6C FF FF FF FF 61 01 6A",
    "6C 7F FF FF FF C8 6A",
    "74 FF FF FF FF 61 01 61 02",
    "74 80 00 00 00 61 01 61 02",
    "74 00 00 00 01 61 01",
    "6D FF FF FF FF 00",
    "4D FF FF FF FF 01 00",
    "6F FF FF FF FF 00 00",
    "6B FF FF 00",
    "6E FF 00 00",
    "64 FF FF 'a'",
    "70 FF FF FF FF 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 00 00 00 00 77 01 'm' 61 01 62 00 00 00 02 "
    "58 77 01 'a' 00 00 00 01 00 00 00 02 00 00 00 03",
    "70 00 00 00 37 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 07 FF FF FF FF 77 01 'm' 61 01 62 00 00 00 02 "
    "58 77 01 'a' 00 00 00 01 00 00 00 02 00 00 00 03",
};

static struct mem mem;

static enum status validate_copy(struct bytes bytes, size_t *ret_size,
                                 size_t *ret_offset)
{
    uint8_t *copy = term_maker_copy(bytes);
    enum status st =
        etf_validate(bytes_of(copy, bytes.size), ret_size, ret_offset);

    if (st == ST_OK)
        assert_int_equal(etf_size(copy), *ret_size);
    free(copy);
    return st;
}

/* The term passes, cut short anywhere it does not, and nothing is read. */
static void expect_accepted(struct bytes term)
{
    size_t size = 0;
    size_t offset;

    assert_int_equal(validate_copy(term, &size, NULL), ST_OK);
    assert_int_equal(size, term.size);
    for (size_t cut = 0; cut < term.size; cut++) {
        assert_int_equal(
            validate_copy(bytes_of(term.data, cut), &size, &offset),
            ST_BAD_TERM);
        assert_true(offset <= cut);
    }
}

static void all_forms_are_accepted_and_none_is_cut(void **state)
{
    struct buffer term = BUFFER(&mem);
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        term.size = 0;
        term_maker_hex(accepted[i], &term);
        expect_accepted(buffer_bytes(&term));

        /* What follows a term is not looked at. */
        size = term.size;
        term_maker_hex("50", &term);
        assert_int_equal(validate_copy(buffer_bytes(&term), &term.size, NULL),
                         ST_OK);
        assert_int_equal(term.size, size);
    }
    buffer_free(&term);
}

static void other_terms_are_refused(void **state)
{
    struct buffer term = BUFFER(&mem);
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        term.size = 0;
        term_maker_hex(refused[i], &term);
        if (validate_copy(buffer_bytes(&term), &size, NULL) != ST_BAD_TERM)
            fail_msg("accepted: %s", refused[i]);
    }
    buffer_free(&term);
}

static void the_tag_at_fault_is_told(void **state)
{
    struct buffer term = BUFFER(&mem);
    size_t size;
    size_t offset;

    (void)state;
    term_maker_hex("68 03 61 01 6C 00 00 00 02 6A 50 6A 61 02", &term);
    assert_int_equal(validate_copy(buffer_bytes(&term), &size, &offset),
                     ST_BAD_TERM);
    assert_int_equal(offset, 10);
    term.size = 0;
    term_maker_hex("68 02 61 01 6D 00 00 00 09 'a'", &term);
    assert_int_equal(validate_copy(buffer_bytes(&term), &size, &offset),
                     ST_BAD_TERM);
    assert_int_equal(offset, 4);
    buffer_free(&term);
}

static void atoms_have_255_characters_at_most(void **state)
{
    static const struct {
        const char *head;
        const char *character;
        unsigned count;
        enum status st;
    } cases[] = {
        {"76 03 FC", "F0 9F 98 80", 255, ST_OK},
        {"76 04 00", "F0 9F 98 80", 256, ST_BAD_TERM},
        {"76 01 FE", "C3 A9", 255, ST_OK},
        {"76 02 00", "C3 A9", 256, ST_BAD_TERM},
        {"76 00 FF", "'a'", 255, ST_OK},
        {"76 01 00", "'a'", 256, ST_BAD_TERM},
        {"77 FF", "'a'", 255, ST_OK},
        {"64 00 FF", "E9", 255, ST_OK},
        {"64 01 00", "E9", 256, ST_BAD_TERM},
        {"73 FF", "E9", 255, ST_OK},
    };
    struct buffer term = BUFFER(&mem);
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        term.size = 0;
        term_maker_hex(cases[i].head, &term);
        for (unsigned n = 0; n < cases[i].count; n++)
            term_maker_hex(cases[i].character, &term);
        assert_int_equal(validate_copy(buffer_bytes(&term), &size, NULL),
                         cases[i].st);
    }
    buffer_free(&term);
}

static void floats_as_text_are_read_as_otp_reads_them(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"1.50000000000000000000e+00", 1.5},
        {"-1.0", -1.0},
        {"+1.5", 1.5},
        {"1,5", 1.5},
        {"1.0e5", 1e5},
        {"1.0E-5", 1e-5},
        {"00001.0", 1.0},
        {"1.0e-400", 0.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"1.00000000000000000000000000000", 1.0},
    };
    static const char *const bad[] = {
        "",      "1",   "1e5",  "1.",    ".5",   " 1.0", "0x1p3",   "1.0e",
        "1.0e+", "inf", "1.0 ", "--1.0", "1..0", "1.0f", "1.0e309", "-",
    };
    char text[ETF_FLOAT_CHARS];
    double value;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        memset(text, 0, sizeof(text));
        memcpy(text, good[i].text, strlen(good[i].text));
        assert_true(etf_float_text((const uint8_t *)text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(text, 0, sizeof(text));
        memcpy(text, bad[i], strlen(bad[i]));
        assert_false(etf_float_text((const uint8_t *)text, &value));
    }
}

/* `depth` times `open`, then `inner`, then `depth` times `close`. */
static void put_nested(struct buffer *term, const char *open, const char *inner,
                       const char *close, unsigned depth)
{
    term->size = 0;
    for (unsigned i = 0; i < depth; i++)
        term_maker_hex(open, term);
    term_maker_hex(inner, term);
    for (unsigned i = 0; i < depth; i++)
        term_maker_hex(close, term);
}

static void depth_is_bounded(void **state)
{
    static const struct {
        const char *open;
        const char *inner;
        const char *close;
    } cases[] = {
        {"68 01", "61 01", ""},
        {"69 00 00 00 02 61 01", "61 01", ""},
        {"68 02", "61 01", "6A"},
        {"6C 00 00 00 01", "61 01", "6A"},
        {"6C 00 00 00 01 61 01", "6A", ""}, /* tails */
        {"6C 00 00 00 00", "6A", ""},
        {"74 00 00 00 01", "61 01", "6A"}, /* keys */
        {"74 00 00 00 01 6A", "61 01", ""},
    };
    struct buffer term = BUFFER(&mem);
    size_t size;
    size_t offset;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t one;

        put_nested(&term, cases[i].open, "", "", 1);
        one = term.size;
        put_nested(&term, cases[i].open, cases[i].inner, cases[i].close,
                   ETF_DEPTH_MAX);
        assert_int_equal(validate_copy(buffer_bytes(&term), &size, NULL),
                         ST_OK);
        assert_int_equal(size, term.size);
        put_nested(&term, cases[i].open, cases[i].inner, cases[i].close,
                   ETF_DEPTH_MAX + 1);
        assert_int_equal(validate_copy(buffer_bytes(&term), &size, &offset),
                         ST_TOO_DEEP);
        assert_int_equal(offset, ETF_DEPTH_MAX * one);
        put_nested(&term, cases[i].open, cases[i].inner, cases[i].close,
                   1000000);
        assert_int_equal(validate_copy(buffer_bytes(&term), &size, NULL),
                         ST_TOO_DEEP);
    }
    buffer_free(&term);
}

static void sizes_stop_at_their_bound(void **state)
{
    struct buffer term = BUFFER(&mem);

    (void)state;
    term_maker_hex("68 03 61 01 6C 00 00 00 02 6A 6A 6A 61 02", &term);
    /* Two containers, three elements that are none, and the tail. */
    assert_int_equal(etf_size_bounded(term.data, 7), term.size);
    assert_int_equal(etf_size_bounded(term.data, 6), 0);
    term.size = 0;
    term_maker_hex("6C FF FF FF FF", &term);
    assert_int_equal(etf_size_bounded(term.data, 1000), 0);
    buffer_free(&term);
}

static void random_terms_pass_and_cut_ones_do_not(void **state)
{
    struct buffer term = BUFFER(&mem);
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < 3000; i++) {
        size_t size;

        term.size = 0;
        term_maker_put(&random, 5, &term);
        if (term.size < 300) {
            expect_accepted(buffer_bytes(&term));
        } else {
            assert_int_equal(validate_copy(buffer_bytes(&term), &size, NULL),
                             ST_OK);
            assert_int_equal(size, term.size);
        }
    }
    buffer_free(&term);
}

/* Whatever the answer is, no byte outside is read and sizes agree. */
static void damaged_terms_and_random_bytes_do_no_harm(void **state)
{
    struct buffer term = BUFFER(&mem);
    struct random random;
    size_t size;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < 300000; i++) {
        if (i % 20 == 0) {
            term.size = 0;
            term_maker_put(&random, 3, &term);
        }
        term.data[random_below(&random, term.size)] ^=
            (uint8_t)(1 << random_below(&random, 8));
        if (validate_copy(buffer_bytes(&term), &size, NULL) == ST_OK)
            assert_true(size <= term.size);
    }
    for (unsigned i = 0; i < 100000; i++) {
        term.size = 0;
        for (size_t n = random_below(&random, 40); n > 0; n--) {
            uint8_t byte = (uint8_t)random_below(&random, 256);

            /* Tags are more likely than chance would have them. */
            if (random_below(&random, 2))
                byte = (uint8_t)(97 + random_below(&random, 24));
            if (random_below(&random, 3) == 0)
                byte = (uint8_t)random_below(&random, 4);
            assert_int_equal(buffer_append(&term, bytes_of(&byte, 1)), ST_OK);
        }
        if (validate_copy(buffer_bytes(&term), &size, NULL) == ST_OK)
            assert_true(size <= term.size);
    }
    buffer_free(&term);
}

/* --- Appending ---------------------------------------------------------- */

static void expect_put(struct buffer *out, enum status st, const char *hex)
{
    struct buffer wanted = BUFFER(&mem);
    size_t size;

    term_maker_hex(hex, &wanted);
    assert_int_equal(st, ST_OK);
    if (!bytes_equal(buffer_bytes(out), buffer_bytes(&wanted)))
        fail_msg("not %s", hex);
    assert_int_equal(etf_validate(buffer_bytes(out), &size, NULL), ST_OK);
    assert_int_equal(size, out->size);
    buffer_free(&wanted);
    out->size = 0;
}

static void numbers_are_put_in_their_shortest_form(void **state)
{
    static const struct {
        uint64_t value;
        const char *hex;
    } cases[] = {
        {0, "61 00"},
        {255, "61 FF"},
        {256, "62 00 00 01 00"},
        {INT32_MAX, "62 7F FF FF FF"},
        {INT32_MAX + UINT64_C(1), "6E 04 00 00 00 00 80"},
        {UINT32_MAX, "6E 04 00 FF FF FF FF"},
        {UINT32_MAX + UINT64_C(1), "6E 05 00 00 00 00 00 01"},
        {UINT64_C(0x0102030405060708), "6E 08 00 08 07 06 05 04 03 02 01"},
        {UINT64_MAX, "6E 08 00 FF FF FF FF FF FF FF FF"},
    };
    struct buffer out = BUFFER(&mem);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_put(&out, etf_put_u64(&out, cases[i].value), cases[i].hex);
    buffer_free(&out);
}

static void terms_are_put_one_behind_another(void **state)
{
    struct buffer out = BUFFER(&mem);
    size_t size;

    (void)state;
    expect_put(&out, etf_put_tuple(&out, 0), "68 00");
    expect_put(&out, etf_put_nil(&out), "6A");
    expect_put(&out, etf_put_map(&out, 0), "74 00 00 00 00");
    expect_put(&out, etf_put_atom(&out, ""), "77 00");
    expect_put(&out, etf_put_atom(&out, "ok"), "77 02 'ok'");
    expect_put(&out, etf_put_binary(&out, bytes_of(NULL, 0)), "6D 00 00 00 00");

    assert_int_equal(etf_put_tuple(&out, 2), ST_OK);
    assert_int_equal(etf_put_list(&out, 0), ST_OK);
    assert_int_equal(etf_put_nil(&out), ST_OK);
    assert_int_equal(etf_put_list(&out, 2), ST_OK);
    assert_int_equal(etf_put_map(&out, 1), ST_OK);
    assert_int_equal(etf_put_atom(&out, "a"), ST_OK);
    assert_int_equal(etf_put_u64(&out, 1), ST_OK);
    assert_int_equal(etf_put_binary(&out, BYTES("bytes")), ST_OK);
    expect_put(&out, etf_put_nil(&out),
               "68 02 6A 6C 00 00 00 02 74 00 00 00 01 77 01 'a' 61 01 "
               "6D 00 00 00 05 'bytes' 6A");

    assert_int_equal(etf_put_tuple(&out, 256), ST_OK);
    for (int i = 0; i < 256; i++)
        assert_int_equal(etf_put_nil(&out), ST_OK);
    assert_int_equal(out.data[0], ETF_LARGE_TUPLE);
    assert_int_equal(etf_validate(buffer_bytes(&out), &size, NULL), ST_OK);
    assert_int_equal(size, out.size);
    buffer_free(&out);
}

static void without_memory_nothing_is_put(void **state)
{
    (void)state;
    for (int kind = 0; kind < 7; kind++) {
        struct buffer out = BUFFER(&mem);
        enum status st = ST_OK;

        mem_fail_at(&mem, 1, true);
        switch (kind) {
        case 0:
            st = etf_put_tuple(&out, 1);
            break;
        case 1:
            st = etf_put_tuple(&out, 1000);
            break;
        case 2:
            st = etf_put_list(&out, 1);
            break;
        case 3:
            st = etf_put_nil(&out);
            break;
        case 4:
            st = etf_put_atom(&out, "atom");
            break;
        case 5:
            st = etf_put_u64(&out, UINT64_MAX);
            break;
        case 6:
            st = etf_put_binary(&out, BYTES("bytes"));
            break;
        }
        mem_fail_at(&mem, 0, false);
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(out.size, 0);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_are_accepted_and_none_is_cut),
        cmocka_unit_test(other_terms_are_refused),
        cmocka_unit_test(the_tag_at_fault_is_told),
        cmocka_unit_test(atoms_have_255_characters_at_most),
        cmocka_unit_test(floats_as_text_are_read_as_otp_reads_them),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(sizes_stop_at_their_bound),
        cmocka_unit_test(random_terms_pass_and_cut_ones_do_not),
        cmocka_unit_test(damaged_terms_and_random_bytes_do_no_harm),
        cmocka_unit_test(numbers_are_put_in_their_shortest_form),
        cmocka_unit_test(terms_are_put_one_behind_another),
        cmocka_unit_test(without_memory_nothing_is_put),
    };

    mem_init(&mem, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
