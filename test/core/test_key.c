/*
 * test_key.c -- the sortable encoding byte for byte, its limits, memory that
 * runs out, and random terms there and back. The order of any two terms is
 * judged by the BEAM itself, in key_order.exs.
 */
#include "core/key.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <time.h>
#include <cmocka.h>

#include "core/etf.h"

#include "support/term_maker.h"

static struct mem mem;

/* What stands in a buffer before an encoding is appended. */
#define BEFORE "before"

static struct buffer from_hex(const char *hex)
{
    struct buffer bytes = BUFFER(&mem);

    term_maker_hex(hex, &bytes);
    return bytes;
}

static void expect_bytes(struct bytes found, struct bytes wanted,
                         const char *what)
{
    if (bytes_equal(found, wanted))
        return;
    for (size_t i = 0; i < found.size; i++)
        print_error("%02X ", found.data[i]);
    fail_msg("wrong: %s", what);
}

/* The encoding of a term that has one, from a copy of its exact size. */
static struct buffer encoded(struct bytes term)
{
    struct buffer key = BUFFER(&mem);
    uint8_t *copy = term_maker_copy(term);
    size_t size = 0;

    assert_int_equal(etf_validate(bytes_of(copy, term.size), &size, NULL),
                     ST_OK);
    assert_int_equal(size, term.size);
    assert_int_equal(key_encode(bytes_of(copy, term.size), &key), ST_OK);
    free(copy);
    return key;
}

static struct buffer encoded_hex(const char *hex)
{
    struct buffer term = from_hex(hex);
    struct buffer key = encoded(buffer_bytes(&term));

    buffer_free(&term);
    return key;
}

/* The term of an encoding, again from a copy of its exact size. */
static struct buffer decoded(struct bytes key)
{
    struct buffer term = BUFFER(&mem);
    uint8_t *copy = term_maker_copy(key);

    assert_int_equal(key_decode(bytes_of(copy, key.size), &term), ST_OK);
    free(copy);
    return term;
}

/* key_size() finds the end alone, before zeros and before another key. */
static void expect_size(struct bytes key)
{
    static const char *const after[] = {
        "", "00", "00 00 00", "08", "19", "B8", "D2", "D4 01", "F8", "F9",
    };
    struct buffer longer = BUFFER(&mem);
    uint8_t *copy;

    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        longer.size = 0;
        assert_int_equal(buffer_append(&longer, key), ST_OK);
        term_maker_hex(after[i], &longer);
        copy = term_maker_copy(buffer_bytes(&longer));
        assert_int_equal(key_size(bytes_of(copy, longer.size)), key.size);
        free(copy);
    }
    buffer_free(&longer);
}

/* Encoding and back; the second term is canonical and encodes the same. */
static void expect_round_trip(struct bytes term)
{
    struct buffer key = encoded(term);
    struct buffer back = decoded(buffer_bytes(&key));
    struct buffer again = encoded(buffer_bytes(&back));
    struct buffer twice = decoded(buffer_bytes(&again));

    expect_bytes(buffer_bytes(&again), buffer_bytes(&key), "round trip");
    expect_bytes(buffer_bytes(&twice), buffer_bytes(&back), "canonical form");
    expect_size(buffer_bytes(&key));
    buffer_free(&key);
    buffer_free(&back);
    buffer_free(&again);
    buffer_free(&twice);
}

/* A term, its encoding, and its canonical form unless that is the same. */
static const struct {
    const char *term;
    const char *key;
    const char *canonical;
} examples[] = {
    {"61 00", "19", NULL},
    {"61 7F", "98", NULL},
    {"61 80", "99 80", NULL},
    {"62 00 00 03 E8", "9A 03 E8", NULL},
    {"62 00 01 00 00", "9B 01 00 00", NULL},
    {"62 00 98 96 80", "9B 98 96 80", NULL},
    {"6E 07 00 00 00 00 00 00 00 20", "9F 20 00 00 00 00 00 00", NULL},
    {"46 43 40 00 00 00 00 00 00", "9F 20 00 00 00 00 00 00 FB F0 00", NULL},
    {"6E 07 00 01 00 00 00 00 00 20", "9F 20 00 00 00 00 00 01", NULL},
    {"6E 08 00 FF FF FF FF FF FF FF FF", "A0 FF FF FF FF FF FF FF FF", NULL},
    {"6E 09 00 00 00 00 00 00 00 00 00 01", "A1 00 01 00 00 00 00 00 00 00 00",
     NULL},
    {"6E 09 01 01 00 00 00 00 00 00 00 01", "08 FF FE FF FF FF FF FF FF FF FF",
     NULL},
    {"6E 09 01 00 00 00 00 00 00 00 00 01", "09 00 00 00 00 00 00 00 00", NULL},
    {"46 3F F0 00 00 00 00 00 00", "1A FB F0 00", NULL},
    {"46 3F F8 00 00 00 00 00 00", "1A FF 3F E0 00 00 00 00 00 00", NULL},
    {"46 BF E0 00 00 00 00 00 00", "18 FF C0 1F FF FF FF FF FF FF", NULL},
    {"46 80 00 00 00 00 00 00 00", "19 FB EF 00", NULL},
    {"62 FF FF FF FF", "18", NULL},
    {"62 FF FF FF F7", "10 F7", NULL},
    {"62 FF FF FF 00", "10 00", NULL},
    {"62 FF FF FE FF", "0F FE FF", NULL},
    {"77 05 'false'", "A9", NULL},
    {"77 03 'nil'", "AB", NULL},
    {"77 04 'true'", "AD", NULL},
    {"77 02 'ok'", "AC 'ok' 01", NULL},
    {"77 00", "A8 01", NULL},
    {"77 05 'fals' 00", "A8 'fals' 01 FE 01", NULL},
    {"77 06 'falses'", "AA 'falses' 01", NULL},
    {"77 02 'ni'", "AA 'ni' 01", NULL},
    {"77 04 'nil' 00", "AC 'nil' 01 FE 01", NULL},
    {"77 03 'tru'", "AC 'tru' 01", NULL},
    {"77 05 'true' 01", "AE 'true' 01 FF 01", NULL},
    {"64 00 02 E9 'a'", "AE C3 A9 'a' 01", "77 03 C3 A9 'a'"},
    {"6D 00 00 00 00", "D4 01", NULL},
    {"6D 00 00 00 03 00 01 02", "D4 01 FE 01 FF 02 01", NULL},
    {"6D 00 00 00 06 'user:1'", "D4 'user:1' 01", NULL},
    {"4D 00 00 00 01 03 A0", "D4 A0 00 03", NULL},
    {"4D 00 00 00 01 03 BF", "D4 A0 00 03", "4D 00 00 00 01 03 A0"},
    {"4D 00 00 00 02 01 00 7F", "D4 01 FE 01 FE 00 01",
     "4D 00 00 00 02 01 00 00"},
    {"4D 00 00 00 01 08 A0", "D4 A0 01", "6D 00 00 00 01 A0"},
    {"68 02 77 04 'user' 61 2A", "BA AE 'user' 01 43", NULL},
    {"68 02 61 01 61 02", "BA 1A 1B", NULL},
    {"68 02 61 01 77 01 'b'", "BA 1A A8 'b' 01", NULL},
    {"68 02 46 3F F0 00 00 00 00 00 00 77 01 'a'", "BA 1A A8 'a' 01 FB F0 00",
     NULL},
    {"68 02 61 01 46 3F F0 00 00 00 00 00 00", "BA 1A 1A FB EE 00", NULL},
    {"68 02 46 3F F0 00 00 00 00 00 00 61 01", "BA 1A 1A FB F0 00", NULL},
    {"68 00", "B8", NULL},
    {"6C 00 00 00 01 61 01 61 02", "D3 1A 02 1B", NULL},
    {"6C 00 00 00 01 61 01 6A", "D3 1A 03", NULL},
    {"6C 00 00 00 02 61 01 61 02 6A", "D3 1A 1B 03", NULL},
    {"6C 00 00 00 01 61 01 6D 00 00 00 01 'a'", "D3 1A F8 D4 'a' 01", NULL},
    {"6B 00 02 'hi'", "D3 81 82 03", "6C 00 00 00 02 61 68 61 69 6A"},
    {"6C 00 00 00 01 6A 6A", "D3 D2 03", NULL},
    {"6A", "D2", NULL},
    {"6B 00 00", "D2", "6A"},
    {"74 00 00 00 00", "C9", NULL},
    {"74 00 00 00 01 77 01 'a' 61 01", "CA A8 'a' 01 1A", NULL},
    {"74 00 00 00 01 77 01 'a' 46 3F F0 00 00 00 00 00 00",
     "CA A8 'a' 01 1A FB F0 00", NULL},
    {"74 00 00 00 01 46 3F F0 00 00 00 00 00 00 77 01 'a'",
     "CA A2 BF F0 00 00 00 00 00 00 A8 'a' 01", NULL},
    {"74 00 00 00 02 46 3F F0 00 00 00 00 00 00 6A 61 02 46 40 00 00 00 00 00 "
     "00 00",
     "CB 1B A2 BF F0 00 00 00 00 00 00 1B D2 FB F0 00",
     "74 00 00 00 02 61 02 46 40 00 00 00 00 00 00 00 46 3F F0 00 00 00 00 00 "
     "00 6A"},
    {"71 77 05 'lists' 77 03 'map' 61 02", "B3 'lists' 01 'map' 01 02", NULL},
    {"71 77 01 'm' 77 01 'f' 62 00 00 00 FF", "B3 'm' 01 'f' 01 F0 FF",
     "71 77 01 'm' 77 01 'f' 61 FF"},
    {"58 77 01 'a' 00 00 00 02 00 00 00 01 FF 00 00 00",
     "B7 00 00 00 01 00 00 00 02 'a' 01 9C FF 00 00 00", NULL},
    {"67 64 00 01 'a' 00 00 00 02 00 00 00 01 03",
     "B7 00 00 00 01 00 00 00 02 'a' 01 1C",
     "58 77 01 'a' 00 00 00 02 00 00 00 01 00 00 00 03"},
    {"59 77 01 'a' 00 00 00 05 FE 00 00 00",
     "B5 'a' 01 9C FE 00 00 00 00 00 00 00 00 00 00 05", NULL},
    {"66 77 01 'a' 00 00 00 05 01", "B5 'a' 01 1A 00 00 00 00 00 00 00 05",
     "59 77 01 'a' 00 00 00 05 00 00 00 01"},
    {"78 77 01 'a' FF 00 00 00 00 00 00 05 00 00 00 01",
     "B5 'a' 01 1A FF 00 00 00 00 00 00 05", NULL},
    {"5A 00 03 77 01 'a' 00 00 00 01 00 00 00 07 00 00 00 08 00 00 00 09",
     "B0 'a' 01 1A 03 00 00 00 09 00 00 00 08 00 00 00 07", NULL},
    {"5A 00 03 77 01 'a' 00 00 00 01 00 00 00 07 00 00 00 00 00 00 00 00",
     "B0 'a' 01 1A 01 00 00 00 07", NULL},
    {"65 77 01 'a' 00 00 00 07 01", "B0 'a' 01 1A 01 00 00 00 07",
     "5A 00 03 77 01 'a' 00 00 00 01 00 00 00 07 00 00 00 00 00 00 00 00"},
    {"72 00 04 77 01 'a' 01 00 00 00 07 00 00 00 00 00 00 00 00 FF 00 00 00",
     "B0 'a' 01 1A 04 FF 00 00 00 00 00 00 00 00 00 00 00 00 00 00 07",
     "5A 00 05 77 01 'a' 00 00 00 01 00 00 00 07 00 00 00 00 00 00 00 00 "
     "FF 00 00 00 00 00 00 00"},
    {"70 00 00 00 37 01 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F "
     "00 00 00 07 00 00 00 02 77 01 'm' 61 06 62 00 01 00 00 "
     "67 77 01 'a' 00 00 00 01 00 00 00 02 03 6A 61 07",
     "B2 'm' 01 20 9B 01 00 00 1B D2 20 "
     "D4 01 FF 01 FE 01 FE 01 FE 06 01 FE 01 FF 02 03 04 05 06 07 08 09 0A "
     "0B 0C 0D 0E 0F 01",
     "70 00 00 00 49 01 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F "
     "00 00 00 07 00 00 00 02 77 01 'm' 62 00 00 00 06 62 00 01 00 00 "
     "58 77 0D 'nonode@nohost' 00 00 00 00 00 00 00 00 00 00 00 00 6A 61 07"},
};

static void worked_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct buffer key = encoded_hex(examples[i].term);
        struct buffer wanted = from_hex(examples[i].key);
        struct buffer canonical = from_hex(
            examples[i].canonical ? examples[i].canonical : examples[i].term);
        struct buffer back = decoded(buffer_bytes(&key));

        expect_bytes(buffer_bytes(&key), buffer_bytes(&wanted),
                     examples[i].term);
        expect_bytes(buffer_bytes(&back), buffer_bytes(&canonical),
                     examples[i].term);
        expect_size(buffer_bytes(&key));
        buffer_free(&key);
        buffer_free(&wanted);
        buffer_free(&canonical);
        buffer_free(&back);
    }
}

static void forms_of_one_term_have_one_encoding(void **state)
{
    static const char *const pairs[][2] = {
        {"61 05", "62 00 00 00 05"},
        {"61 05", "6E 01 00 05"},
        {"61 05", "6F 00 00 00 0A 00 05 00 00 00 00 00 00 00 00 00"},
        {"61 00", "6E 00 01"},
        {"61 00", "6E 02 01 00 00"},
        {"62 FF FF FF FF", "6E 01 01 01"},
        {"6E 09 01 00 00 00 00 00 00 00 00 01",
         "6F 00 00 00 0A 01 00 00 00 00 00 00 00 00 01 00"},
        {"46 3F F8 00 00 00 00 00 00", "63 '1.5' 00 00 00 00 00 00 00 00 00 "
                                       "00 00 00 00 00 00 00 00 00 00 00 00 "
                                       "00 00 00 00 00 00 00"},
        {"77 02 C3 A9", "64 00 01 E9"},
        {"77 02 C3 A9", "73 01 E9"},
        {"77 02 C3 A9", "76 00 02 C3 A9"},
        {"77 04 'true'", "64 00 04 'true'"},
        {"6C 00 00 00 02 61 01 61 02 6A", "6B 00 02 01 02"},
        {"6C 00 00 00 02 61 01 61 02 6A", "6C 00 00 00 01 61 01 6B 00 01 02"},
        {"6C 00 00 00 02 61 01 61 02 6A",
         "6C 00 00 00 01 61 01 6C 00 00 00 01 61 02 6B 00 00"},
        {"6A", "6C 00 00 00 00 6A"},
        {"61 05", "6C 00 00 00 00 61 05"},
        {"68 01 6A", "68 01 6C 00 00 00 00 6C 00 00 00 00 6A"},
        {"68 01 6A", "69 00 00 00 01 6A"},
        {"6D 00 00 00 01 FF", "4D 00 00 00 01 08 FF"},
        {"6D 00 00 00 00", "4D 00 00 00 00 00"},
        {"74 00 00 00 02 61 01 6A 61 02 61 03",
         "74 00 00 00 02 61 02 61 03 61 01 6A"},
        {"74 00 00 00 03 61 01 68 01 61 09 61 02 61 03 6A 6A",
         "74 00 00 00 03 6A 6A 61 01 68 01 61 09 61 02 61 03"},
        {"59 77 01 'a' 00 00 00 05 00 00 00 01",
         "78 77 01 'a' 00 00 00 00 00 00 00 05 00 00 00 01"},
        {"5A 00 01 77 01 'a' 00 00 00 01 00 00 00 07",
         "72 00 03 77 01 'a' 01 00 00 00 07 00 00 00 00 00 00 00 00"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buffer a = encoded_hex(pairs[i][0]);
        struct buffer b = encoded_hex(pairs[i][1]);

        expect_bytes(buffer_bytes(&b), buffer_bytes(&a), pairs[i][1]);
        buffer_free(&a);
        buffer_free(&b);
    }
}

/* Those that the BEAM's order cannot tell, or not for every release. */
static void chains_ascend(void **state)
{
    static const char *const ascending[] = {
        "62 FF FF FF FF",             /* -1 */
        "46 BF F0 00 00 00 00 00 00", /* -1.0 */
        "46 BF E0 00 00 00 00 00 00", /* -0.5 */
        "46 80 00 00 00 00 00 00 01", /* -5.0e-324 */
        "61 00",
        "46 80 00 00 00 00 00 00 00", /* -0.0 */
        "46 00 00 00 00 00 00 00 00",
        "46 00 00 00 00 00 00 00 01",
        "61 01",
        "46 3F F0 00 00 00 00 00 00",
        "46 3F F0 00 00 00 00 00 01",
        "46 3F FF FF FF FF FF FF FF",
        "61 02",
        /* A creation is no escape. */
        "59 77 01 'a' 00 00 00 05 00 00 00 01",
        "59 77 01 'a' 00 00 00 04 FE 00 00 00",
        "59 77 01 'a' 00 00 00 04 FF FF FF FF",
        "59 77 02 'a' 00 00 00 00 04 00 00 00 01",
        "59 77 02 'a' 01 00 00 00 04 00 00 00 01",
        "68 02 61 01 61 02",
        "68 02 61 01 46 40 00 00 00 00 00 00 00",
        "68 02 46 3F F0 00 00 00 00 00 00 61 02",
        "68 02 46 3F F0 00 00 00 00 00 00 46 40 00 00 00 00 00 00 00",
        "68 02 61 01 61 03",
        /* Maps: integers below floats in keys, -0.0 and 0.0 two keys. */
        "74 00 00 00 01 61 02 6A",
        "74 00 00 00 01 46 80 00 00 00 00 00 00 00 6A",
        "74 00 00 00 01 46 00 00 00 00 00 00 00 00 6A",
        "74 00 00 00 01 46 3F F0 00 00 00 00 00 00 6A",
        ("74 00 00 00 02 46 80 00 00 00 00 00 00 00 6A "
         "46 00 00 00 00 00 00 00 00 6A"),
    };
    struct buffer before = BUFFER(&mem);

    (void)state;
    for (size_t i = 0; i < sizeof(ascending) / sizeof(ascending[0]); i++) {
        struct buffer key = encoded_hex(ascending[i]);

        if (bytes_compare(buffer_bytes(&before), buffer_bytes(&key)) >= 0)
            fail_msg("not ascending: %s", ascending[i]);
        buffer_free(&before);
        before = key;
    }
    buffer_free(&before);
}

/* Ties whose numbers take one, two and three bytes. */
static void ties_far_apart(void **state)
{
    static const unsigned distances[] = {0,   1,   111, 112,   113,
                                         127, 128, 300, 32000, 32600};
    struct buffer before = BUFFER(&mem);

    (void)state;
    for (size_t i = sizeof(distances) / sizeof(distances[0]); i-- > 0;) {
        struct buffer term = from_hex("6C 00 00 7F 59");
        struct buffer key;

        /* 32601 times 1, one of them a float: the earlier, the greater. */
        for (unsigned n = 0; n <= 32600; n++)
            term_maker_hex(n == distances[i] ? "46 3F F0 00 00 00 00 00 00"
                                             : "61 01",
                           &term);
        term_maker_hex("6A", &term);
        expect_round_trip(buffer_bytes(&term));
        key = encoded(buffer_bytes(&term));
        assert_true(bytes_compare(buffer_bytes(&before), buffer_bytes(&key)) <
                    0);
        buffer_free(&before);
        before = key;
        buffer_free(&term);
    }
    buffer_free(&before);
}

/* Neither the encoding nor what stood before it may change on an error. */
static void expect_refused(struct bytes term, enum status wanted)
{
    struct buffer key = from_hex("'" BEFORE "'");
    uint8_t *copy = term_maker_copy(term);
    size_t size;

    assert_int_equal(etf_validate(bytes_of(copy, term.size), &size, NULL),
                     ST_OK);
    assert_int_equal(key_encode(bytes_of(copy, term.size), &key), wanted);
    expect_bytes(buffer_bytes(&key), BYTES(BEFORE), "what was there");
    buffer_free(&key);
    free(copy);
}

static void maps_with_equal_keys_are_refused(void **state)
{
    static const char *const maps[] = {
        "74 00 00 00 02 61 01 61 01 61 01 61 02",
        "74 00 00 00 02 61 01 61 01 6E 01 00 01 61 02",
        "74 00 00 00 03 77 02 C3 A9 6A 61 02 6A 73 01 E9 61 02",
        "68 02 61 01 74 00 00 00 02 6B 00 01 07 6A 6C 00 00 00 01 61 07 6A 6A",
        "74 00 00 00 01 74 00 00 00 02 61 01 61 01 61 01 61 02 6A",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct buffer term = from_hex(maps[i]);

        expect_refused(buffer_bytes(&term), ST_BAD_TERM);
        buffer_free(&term);
    }
}

/* A head with a count, `item` that often, and `last`. */
static struct buffer repeated(const char *tag, uint32_t count, const char *item,
                              const char *last)
{
    struct buffer term = from_hex(tag);
    uint8_t size[4];

    store_be32(size, count);
    assert_int_equal(buffer_append(&term, bytes_of(size, 4)), ST_OK);
    for (uint32_t i = 0; i < count; i++)
        term_maker_hex(item, &term);
    term_maker_hex(last, &term);
    return term;
}

static void encodings_have_a_limit(void **state)
{
    static const struct {
        const char *tag;
        const char *item;
        const char *last;
        uint32_t most; /* the largest count that fits */
    } cases[] = {
        {"6D", "'a'", "", KEY_BYTES_MAX - 2},
        {"6D", "00", "", (KEY_BYTES_MAX - 2) / 2},
        {"6C", "61 01", "6A", KEY_BYTES_MAX - 2},
        {"6C", "62 00 00 01 00", "6A", (KEY_BYTES_MAX - 2) / 3},
        {"6C", "77 04 'true'", "61 01", KEY_BYTES_MAX - 3},
        {"69", "6A", "", KEY_BYTES_MAX - 5},
        {"69", "46 3F F0 00 00 00 00 00 00", "", (KEY_BYTES_MAX - 7) / 2},
        {"69", "46 7F E0 00 00 00 00 00 00", "", (KEY_BYTES_MAX - 7) / 131},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer term =
            repeated(cases[i].tag, cases[i].most, cases[i].item, cases[i].last);

        expect_round_trip(buffer_bytes(&term));
        buffer_free(&term);
        term = repeated(cases[i].tag, cases[i].most + 1, cases[i].item,
                        cases[i].last);
        expect_refused(buffer_bytes(&term), ST_TOO_BIG);
        buffer_free(&term);
    }
}

/* As PROTOCOL.md says it in bytes of the term, which are a client's. */
static void terms_of_16000_bytes_fit(void **state)
{
    static const char large[] = "46 FF EF FF FF FF FF FF FF";
    static const char *const parts[] = {
        "6D 00 00 00 03 00 01 00",    /* escapes */
        "6B 00 03 FF FE FD",          /* STRING: two bytes each */
        "46 43 2F FF FF FF FF FF FF", /* a float with a long fraction */
        "46 C3 E0 00 00 00 00 00 00", /* -2^63, with a tie */
        "73 03 E9 E9 E9",             /* Latin-1 that becomes UTF-8 */
        "77 02 00 01",                /* escapes in an atom */
        "61 FF",
        "62 FF FF FF 00",
        "68 01 6A",
        "74 00 00 00 01 61 01 46 3F B9 99 99 99 99 99 9A",
    };
    struct buffer key = encoded_hex(large);

    (void)state;
    assert_in_range(key.size, 130, 135);
    buffer_free(&key);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct buffer part = from_hex(parts[i]);
        struct buffer term = from_hex("69 00 00 00 00");
        uint32_t count = (uint32_t)((16000 - 5) / part.size);

        store_be32(term.data + 1, count);
        for (uint32_t n = 0; n < count; n++)
            assert_int_equal(buffer_append(&term, buffer_bytes(&part)), ST_OK);
        key = encoded(buffer_bytes(&term));
        assert_true(key.size <= 2 * term.size + 2);
        buffer_free(&part);
        buffer_free(&term);
        buffer_free(&key);
    }
}

static void big_integers_have_a_limit(void **state)
{
    /* Tag, the length in three bytes, the bytes. */
    uint32_t most = KEY_BYTES_MAX - 4;

    (void)state;
    for (unsigned negative = 0; negative < 2; negative++) {
        for (uint32_t count = most; count <= most + 1; count++) {
            struct buffer term = BUFFER(&mem);
            uint8_t head[6] = {ETF_LARGE_BIG};

            store_be32(head + 1, count);
            head[5] = (uint8_t)negative;
            assert_int_equal(buffer_append(&term, bytes_of(head, 6)), ST_OK);
            for (uint32_t i = 0; i < count; i++)
                term_maker_hex("7B", &term);
            if (count == most)
                expect_round_trip(buffer_bytes(&term));
            else
                expect_refused(buffer_bytes(&term), ST_TOO_BIG);
            buffer_free(&term);
        }
    }
}

/* The lengths of big integers at the borders of their forms. */
static void big_integers_of_all_sizes(void **state)
{
    static const char *const lowest[] = {"00", "01", "FF"};
    static const char *const highest[] = {"01", "80", "FF"};

    (void)state;
    for (uint32_t count = 1; count < 600; count += count < 20 ? 1 : 7) {
        for (unsigned form = 0; form < 18; form++) {
            struct buffer term = BUFFER(&mem);
            uint8_t head[6] = {ETF_LARGE_BIG};

            store_be32(head + 1, count);
            head[5] = form % 2;
            assert_int_equal(buffer_append(&term, bytes_of(head, 6)), ST_OK);
            for (uint32_t i = 1; i < count; i++)
                term_maker_hex(lowest[form / 2 % 3], &term);
            term_maker_hex(highest[form / 6], &term);
            expect_round_trip(buffer_bytes(&term));
            buffer_free(&term);
        }
    }
}

/* However large a term is, the encoder stops at its limit. */
static void giant_terms_cost_bounded_memory(void **state)
{
    static const char *const heads[][3] = {
        {"6C", "61 01", "6A"},     {"6D", "'a'", ""},
        {"69", "68 00", ""},       {"69", "46 3F F0 00 00 00 00 00 00", ""},
        {"74", "61 01 61 02", ""}, {"74", "74 00 00 00 01 6A 6A 6A", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct buffer term =
            repeated(heads[i][0], 400000, heads[i][1], heads[i][2]);
        struct mem account;
        struct buffer key;

        mem_init(&account, 0);
        key = BUFFER(&account);
        assert_int_equal(key_encode(buffer_bytes(&term), &key), ST_TOO_BIG);
        assert_int_equal(key.size, 0);
        assert_true(account.peak < 20 * KEY_BYTES_MAX);
        buffer_free(&key);
        assert_int_equal(account.used, 0);
        buffer_free(&term);
    }
}

/* As deep as the validator lets them be, in every position. */
static void deep_terms_come_back(void **state)
{
    static const char *const nests[][3] = {
        {"68 01", "46 3F F0 00 00 00 00 00 00", ""},
        {"68 02 61 01", "6A", ""},
        {"68 02", "6A", "46 40 00 00 00 00 00 00 00"},
        {"6C 00 00 00 01", "61 01", "6A"},
        {"6C 00 00 00 01 61 01", "61 01", ""},
        {"6C 00 00 00 01", "61 01", "6D 00 00 00 01 00"},
        {"74 00 00 00 01", "61 01", "6A"},
        {"74 00 00 00 01 6A", "46 3F F0 00 00 00 00 00 00", ""},
        {"74 00 00 00 02 61 02", "6A", "61 01 46 3F F0 00 00 00 00 00 00"},
        {"74 00 00 00 02", "6A", "6A 61 01 46 3F F0 00 00 00 00 00 00"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(nests) / sizeof(nests[0]); i++) {
        struct buffer term = BUFFER(&mem);

        for (unsigned n = 0; n < ETF_DEPTH_MAX; n++)
            term_maker_hex(nests[i][0], &term);
        term_maker_hex(nests[i][1], &term);
        for (unsigned n = 0; n < ETF_DEPTH_MAX; n++)
            term_maker_hex(nests[i][2], &term);
        expect_round_trip(buffer_bytes(&term));
        buffer_free(&term);
    }
}

/* The processor time to decode maps in one another, each the key of the one
 * around it, many times over. */
static clock_t nested_maps_time(unsigned depth)
{
    struct buffer term = BUFFER(&mem);
    struct buffer back = BUFFER(&mem);
    struct buffer key;
    clock_t time;

    for (unsigned n = 0; n < depth; n++)
        term_maker_hex("74 00 00 00 01", &term);
    term_maker_hex("61 01", &term);
    for (unsigned n = 0; n < depth; n++)
        term_maker_hex("61 02", &term);
    key = encoded(buffer_bytes(&term));
    time = clock();
    for (unsigned n = 0; n < 1000; n++) {
        back.size = 0;
        assert_int_equal(key_decode(buffer_bytes(&key), &back), ST_OK);
    }
    time = clock() - time;
    buffer_free(&term);
    buffer_free(&back);
    buffer_free(&key);
    return time;
}

static void nested_maps_are_decoded_in_linear_time(void **state)
{
    clock_t few = nested_maps_time(120);
    clock_t many = nested_maps_time(960);

    (void)state;
    if (many > 24 * few)
        fail_msg("%ld us for 120 levels and %ld us for 960", (long)few,
                 (long)many);
}

/* A map of many keys in disorder, some of them maps, with floats. */
static struct buffer large_term(void)
{
    struct buffer term = from_hex("74 00 00 00 C8");

    for (unsigned i = 0; i < 200; i++) {
        char key[80];

        snprintf(key, sizeof(key), "74 00 00 00 02 61 02 6A 61 01 61 %02X",
                 i * 77 % 256);
        term_maker_hex(key, &term);
        term_maker_hex("46 3F F0 00 00 00 00 00 00", &term);
    }
    return term;
}

static void every_allocation_may_fail(void **state)
{
    struct buffer term = large_term();
    struct buffer whole = encoded(buffer_bytes(&term));
    struct buffer back = decoded(buffer_bytes(&whole));
    enum status st = ST_NO_MEMORY;
    struct mem account;
    struct buffer out;

    (void)state;
    for (uint64_t nth = 1; st != ST_OK; nth++) {
        mem_init(&account, 0);
        out = BUFFER(&account);
        term_maker_hex("'" BEFORE "'", &out);
        mem_fail_at(&account, nth, nth % 2);
        st = key_encode(buffer_bytes(&term), &out);
        mem_fail_at(&account, 0, false);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        if (st != ST_OK)
            expect_bytes(buffer_bytes(&out), BYTES(BEFORE), "encode");
        else
            assert_true(nth > 5);
        assert_int_equal(account.used, mem_charge(out.capacity));
        buffer_free(&out);
    }
    st = ST_NO_MEMORY;
    for (uint64_t nth = 1; st != ST_OK; nth++) {
        mem_init(&account, 0);
        out = BUFFER(&account);
        term_maker_hex("'" BEFORE "'", &out);
        mem_fail_at(&account, nth, false);
        st = key_decode(buffer_bytes(&whole), &out);
        mem_fail_at(&account, 0, false);
        if (st != ST_OK)
            expect_bytes(buffer_bytes(&out), BYTES(BEFORE), "decode");
        buffer_free(&out);
    }

    /* The limit has its own status. */
    mem_init(&account, 200);
    out = BUFFER(&account);
    assert_int_equal(key_encode(buffer_bytes(&term), &out), ST_MEMORY_LIMIT);
    assert_int_equal(out.size, 0);
    out.size = 0;
    assert_int_equal(key_decode(buffer_bytes(&whole), &out), ST_MEMORY_LIMIT);
    assert_int_equal(out.size, 0);
    buffer_free(&out);

    buffer_free(&back);
    buffer_free(&whole);
    buffer_free(&term);
}

static void unsigned_integers_have_a_short_cut(void **state)
{
    static const char *const others[] = {
        "62 FF FF FF FF",
        "46 3F F0 00 00 00 00 00 00",
        "6A",
        "77 01 'a'",
        "6E 09 00 00 00 00 00 00 00 00 00 01",
        "46 3F F8 00 00 00 00 00 00",
        "46 40 70 08 00 00 00 00 00",
        "68 00",
    };
    struct buffer key = BUFFER(&mem);
    uint64_t found;

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -2; delta < 3; delta++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            uint8_t term[11] = {ETF_SMALL_BIG, 8, 0};
            struct buffer same;

            for (unsigned i = 0; i < 8; i++)
                term[3 + i] = (uint8_t)(v >> 8 * i);
            same = encoded(bytes_of(term, sizeof(term)));
            key.size = 0;
            assert_int_equal(key_encode_u64(v, &key), ST_OK);
            expect_bytes(buffer_bytes(&key), buffer_bytes(&same), "integer");
            found = ~v;
            assert_true(key_decode_u64(buffer_bytes(&key), &found));
            assert_true(found == v);
            buffer_free(&same);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct buffer other = encoded_hex(others[i]);

        found = 77;
        assert_false(key_decode_u64(buffer_bytes(&other), &found));
        assert_int_equal(found, 77);
        buffer_free(&other);
    }
    assert_false(key_decode_u64(bytes_of(NULL, 0), &found));
    buffer_free(&key);
}

static void random_terms_come_back(void **state)
{
    struct buffer term = BUFFER(&mem);
    struct buffer key = BUFFER(&mem);
    struct random random;
    enum status st;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < 30000; i++) {
        term.size = 0;
        key.size = 0;
        term_maker_put(&random, 1 + i % 5, &term);
        st = key_encode(buffer_bytes(&term), &key);
        if (st == ST_TOO_BIG && term.size > 2000)
            continue;
        assert_int_equal(st, ST_OK);
        expect_round_trip(buffer_bytes(&term));
    }
    buffer_free(&term);
    buffer_free(&key);
}

/* Two components of a pair are cut apart wherever they meet. */
static void pairs_are_cut_apart(void **state)
{
    struct buffer term = BUFFER(&mem);
    struct buffer pair = BUFFER(&mem);
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < 30000; i++) {
        size_t first;
        uint8_t *copy;

        pair.size = 0;
        term.size = 0;
        term_maker_put(&random, i % 3, &term);
        assert_int_equal(key_encode(buffer_bytes(&term), &pair), ST_OK);
        first = pair.size;
        term.size = 0;
        term_maker_put(&random, i % 3, &term);
        assert_int_equal(key_encode(buffer_bytes(&term), &pair), ST_OK);
        copy = term_maker_copy(buffer_bytes(&pair));
        assert_int_equal(key_size(bytes_of(copy, pair.size)), first);
        free(copy);
    }
    buffer_free(&term);
    buffer_free(&pair);
}

/* Damaged terms that are still valid must encode, or be refused in order. */
static void damaged_terms_encode_or_are_refused(void **state)
{
    struct buffer term = BUFFER(&mem);
    struct buffer key = BUFFER(&mem);
    struct random random;
    enum status st;
    size_t size;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned i = 0; i < 200000; i++) {
        if (i % 10 == 0) {
            term.size = 0;
            term_maker_put(&random, 3, &term);
        }
        term.data[random_below(&random, term.size)] ^=
            (uint8_t)(1 << random_below(&random, 8));
        if (etf_validate(buffer_bytes(&term), &size, NULL) != ST_OK)
            continue;
        key.size = 0;
        st = key_encode(bytes_of(term.data, size), &key);
        if (st == ST_OK)
            expect_round_trip(bytes_of(term.data, size));
        else if (st == ST_TOO_BIG) /* a float may take 16 times its bytes */
            assert_true(16 * size > KEY_BYTES_MAX);
        else
            assert_int_equal(st, ST_BAD_TERM);
    }
    buffer_free(&term);
    buffer_free(&key);
}

static int nothing_is_left(void **state)
{
    (void)state;
    return mem.used != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_examples),
        cmocka_unit_test(forms_of_one_term_have_one_encoding),
        cmocka_unit_test(chains_ascend),
        cmocka_unit_test(ties_far_apart),
        cmocka_unit_test(maps_with_equal_keys_are_refused),
        cmocka_unit_test(encodings_have_a_limit),
        cmocka_unit_test(terms_of_16000_bytes_fit),
        cmocka_unit_test(big_integers_have_a_limit),
        cmocka_unit_test(big_integers_of_all_sizes),
        cmocka_unit_test(giant_terms_cost_bounded_memory),
        cmocka_unit_test(deep_terms_come_back),
        cmocka_unit_test(nested_maps_are_decoded_in_linear_time),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(unsigned_integers_have_a_short_cut),
        cmocka_unit_test(random_terms_come_back),
        cmocka_unit_test(pairs_are_cut_apart),
        cmocka_unit_test(damaged_terms_encode_or_are_refused),
    };

    mem_init(&mem, 0);
    return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
