/* Terms as Erlang text, judged by the BEAM if there is one, and as JSON. */
#include "cli/cli_case.h"

#include "cli/term.h"
#include "core/etf.h"
#include "core/key.h"
#include "support/term_maker.h"

#define ROUNDS 3000

/* The text of the term that `hex` writes, or its JSON. */
static const char *shown(const char *hex, bool json)
{
    static struct buffer term, text;
    const uint8_t *end;
    size_t size;

    term.mem = test_mem();
    text.mem = cli_mem();
    term.size = 0;
    text.size = 0;
    term_maker_hex(hex, &term);
    assert_int_equal(etf_validate(buffer_bytes(&term), &size, NULL), ST_OK);
    assert_int_equal(size, term.size);
    end =
        json ? term_json(&text, term.data) : term_text(&text, term.data, NULL);
    assert_ptr_equal(end, term.data + term.size);
    return text_string(&text);
}

#define assert_text(hex, expected)                                             \
    assert_string_equal(shown(hex, false), expected)
#define assert_json(hex, expected)                                             \
    assert_string_equal(shown(hex, true), expected)

static void atoms_are_quoted_where_erlang_does(void **state)
{
    (void)state;
    assert_text("77 03 'abc'", "abc");
    assert_text("77 05 'a@B_9'", "a@B_9");
    assert_text("77 00", "''");
    assert_text("77 03 'Abc'", "'Abc'");
    assert_text("77 03 'a-b'", "'a-b'");
    assert_text("77 03 'end'", "'end'");
    assert_text("77 05 'maybe'", "'maybe'");
    assert_text("77 03 'a' 27 'b'", "'a\\'b'");
    assert_text("77 04 'a' 0A 1B 01", "'a\\n\\e\\001'");
    assert_text("77 02 C3 9F", "\xC3\x9F");          /* sharp s */
    assert_text("73 01 DF", "\xC3\x9F");             /* the same in Latin-1 */
    assert_text("77 02 C3 97", "'\xC3\x97'");        /* the times sign */
    assert_text("77 03 E2 82 AC", "'\xE2\x82\xAC'"); /* the euro sign */
    assert_text("77 03 E2 80 AE", "'\\x{202E}'");    /* turns the line */
}

static void numbers(void **state)
{
    (void)state;
    assert_text("61 FF", "255");
    assert_text("62 FF FF FF FE", "-2");
    assert_text("6E 08 00 00 00 00 00 00 00 00 80", "9223372036854775808");
    assert_text("6E 09 01 00 00 00 00 00 00 00 00 01", "-18446744073709551616");
    assert_text("6E 02 01 00 00", "0");
    assert_text("46 3F F8 00 00 00 00 00 00", "1.5");
    assert_text("46 40 00 00 00 00 00 00 00", "2.0");
    assert_text("46 3F B9 99 99 99 99 99 9A", "0.1");
    assert_text("46 80 00 00 00 00 00 00 00", "-0.0");
    assert_text("46 44 80 F0 CF 06 4D D5 92", "1.0e+22");
    assert_text("46 00 00 00 00 00 00 00 01", "5.0e-324");
    assert_text("46 7F EF FF FF FF FF FF FF", "1.7976931348623157e+308");
    assert_text("46 3F D3 33 33 33 33 33 34", "0.30000000000000004");
}

static void a_huge_integer_is_shown_in_hexadecimal(void **state)
{
    struct buffer term = BUFFER(test_mem());
    struct buffer text = BUFFER(cli_mem());
    uint32_t size = (1u << 20);
    uint8_t head[6] = {ETF_LARGE_BIG};

    (void)state;
    store_be32(head + 1, size);
    test_append(&term, head, sizeof(head));
    for (uint32_t i = 0; i < size; i++)
        test_append(&term, i + 1 < size ? "\xFE" : "\x01", 1);
    term_text(&text, term.data, NULL);
    assert_int_equal(text.size, 3 + 2 * size - 1);
    assert_memory_equal(text.data, "16#1FEFE", 8);
    buffer_free(&term);
    buffer_free(&text);
}

static void strings_and_binaries(void **state)
{
    (void)state;
    assert_text("6B 0003 'a\"b'", "\"a\\\"b\"");
    assert_text("6B 0002 'a' 00", "[97,0]");
    assert_text("6A", "[]");
    assert_text("6C 00000002 61 41 62 000000E9 6A", "\"A\xC3\xA9\"");
    assert_text("6C 00000002 61 41 62 000020AC 6A", "[65,8364]");
    assert_text("6C 00000001 61 41 61 42", "[65|66]");
    assert_text("6C 00000001 77 01 'a' 6A", "[a]");
    assert_text("6D 00000000", "<<>>");
    assert_text("6D 00000004 'text'", "<<\"text\">>");
    assert_text("6D 00000003 'a' C3 A9", "<<\"a\xC3\xA9\"/utf8>>");
    assert_text("6D 00000002 00 FF", "<<0,255>>");
    assert_text("4D 00000002 03 'a' A0", "<<97,5:3>>");
    assert_text("4D 00000001 01 80", "<<1:1>>");
}

static void containers(void **state)
{
    (void)state;
    assert_text("68 00", "{}");
    assert_text("68 02 77 01 'a' 61 01", "{a,1}");
    assert_text("69 00000001 61 01", "{1}");
    assert_text("74 00000000", "#{}");
    assert_text("74 00000002 77 01 'k' 61 01 61 02 6A", "#{k => 1,2 => []}");
}

static void what_has_no_literal_looks_as_in_a_shell(void **state)
{
    (void)state;
    assert_text("58 77 0D 'nonode@nohost' 0000002A 00000000 00000000",
                "<0.42.0>");
    assert_text("58 77 03 'a@b' 00000001 00000002 00000003", "<a@b.1.2>");
    assert_text("67 77 03 'a@b' 00000001 00000002 03", "<a@b.1.2>");
    assert_text("5A 0003 77 03 'a@b' 00000000 00000001 00000002 00000003",
                "#Ref<a@b.3.2.1>");
    assert_text("72 0001 77 03 'a@b' 00 00000001", "#Ref<a@b.1>");
    assert_text("65 77 03 'a@b' 00000001 00", "#Ref<a@b.1>");
    assert_text("78 77 03 'a@b' 0000000000000005 00000000", "#Port<a@b.5>");
    assert_text("59 77 03 'a@b' 00000005 00000000", "#Port<a@b.5>");
    assert_text("66 77 03 'a@b' 00000005 00", "#Port<a@b.5>");
    assert_text("71 77 05 'lists' 77 03 'map' 61 02", "fun lists:map/2");
}

static void json_has_its_mapping(void **state)
{
    (void)state;
    assert_json("77 04 'true'", "true");
    assert_json("77 04 'null'", "null");
    assert_json("77 02 'ok'", "\"ok\"");
    assert_json("61 05", "5");
    assert_json("6E 07 00 00 00 00 00 00 00 20", "9007199254740992");
    assert_json("6E 07 01 01 00 00 00 00 00 20", "\"-9007199254740993\"");
    assert_json("46 3F F8 00 00 00 00 00 00", "1.5");
    assert_json("6D 00000003 'a\"' 0A", "\"a\\\"\\n\"");
    assert_json("6D 00000002 00 FF", "{\"$base64\":\"AP8=\"}");
    assert_json("6D 00000003 00 FF 01", "{\"$base64\":\"AP8B\"}");
    assert_json("6B 0002 'ab'", "[97,98]");
    assert_json("68 02 61 01 6C 00000001 61 02 6A", "[1,[2]]");
    assert_json("6C 00000001 61 01 61 02", "{\"$term\":\"[1|2]\"}");
    assert_json("74 00000001 77 01 'k' 61 01", "{\"k\":1}");
    assert_json("74 00000001 77 04 'true' 61 01", "{\"true\":1}");
    assert_json("74 00000001 6D 00000001 'k' 61 01", "{\"k\":1}");
    /* Two kinds of keys could be the same text. */
    assert_json("74 00000002 77 01 'k' 61 01 6D 00000001 'k' 61 02",
                "{\"$map\":[[\"k\",1],[\"k\",2]]}");
    assert_json("74 00000001 77 05 '$term' 61 01",
                "{\"$map\":[[\"$term\",1]]}");
    /* A map in an improper list in a map, and a map behind it. */
    assert_json("74 00000002 77 01 'a' 6C 00000001 74 00000001 61 01 61 02 "
                "61 03 77 01 'b' 74 00000001 77 01 'c' 61 04",
                "{\"a\":{\"$term\":\"[#{1 => 2}|3]\"},\"b\":{\"c\":4}}");
    assert_json("71 77 01 'm' 77 01 'f' 61 02", "{\"$term\":\"fun m:f/2\"}");
}

/* Steps over one JSON value; NULL if there is none. */
static const char *json_skip(const char *p);

static const char *json_skip_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\' && !strchr("\"\\nu", *++p))
            return NULL;
    }
    return p + 1;
}

static const char *json_skip_all(const char *p, char close)
{
    if (*p == close)
        return p + 1;
    for (;; p++) {
        if (close == '}') {
            p = json_skip_string(p);
            if (!p || *p++ != ':')
                return NULL;
        }
        p = json_skip(p);
        if (!p || (*p != ',' && *p != close))
            return NULL;
        if (*p == close)
            return p + 1;
    }
}

static const char *json_skip(const char *p)
{
    static const char *const words[] = {"true", "false", "null"};
    char *end;

    if (*p == '"')
        return json_skip_string(p);
    if (*p == '[')
        return json_skip_all(p + 1, ']');
    if (*p == '{')
        return json_skip_all(p + 1, '}');
    for (int i = 0; i < 3; i++) {
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    }
    if (*p != '-' && (*p < '0' || *p > '9'))
        return NULL;
    strtod(p, &end);
    return end;
}

/* Random terms in every form: all of each is read, and no more; JSON is JSON;
 * and what has a literal form is read back by Erlang itself. */
static void random_terms_are_read_back(void **state)
{
    struct buffer term = BUFFER(test_mem());
    struct buffer text = BUFFER(cli_mem());
    struct buffer lines = BUFFER(cli_mem());
    char *path = in_scratch("terms");
    struct random random;
    unsigned literals = 0;

    (void)state;
    random_init(&random, random_seed());
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool literal = true;
        uint8_t *exact;
        const char *end;

        term.size = 0;
        text.size = 0;
        term_maker_put(&random, 1 + (unsigned)random_below(&random, 5), &term);
        exact = term_maker_copy(buffer_bytes(&term));
        assert_ptr_equal(term_json(&text, exact), exact + term.size);
        end = json_skip(text_string(&text));
        if (!end || *end)
            fail_msg("no JSON: %s", text_string(&text));
        text.size = 0;
        assert_ptr_equal(term_text(&text, exact, &literal), exact + term.size);
        assert_true(text_is_utf8(buffer_bytes(&text)));
        for (size_t i = 0; i < text.size; i++)
            assert_true(text.data[i] >= 0x20 && text.data[i] != 0x7f);
        free(exact);
        if (!literal)
            continue;
        literals++;
        text_hex(&lines, buffer_bytes(&term));
        text_byte(&lines, '\t');
        text_bytes(&lines, buffer_bytes(&text));
        text_byte(&lines, '\n');
    }
    assert_true(literals > ROUNDS / 10);
    file_write(path, buffer_bytes(&lines));
    buffer_free(&term);
    buffer_free(&text);
    buffer_free(&lines);
    if (system("command -v escript >/dev/null") != 0) {
        printf("no escript: Erlang was not asked\n");
        return;
    }
    assert_int_equal(
        system(test_format("escript %s/test/cli/term_oracle.escript %s",
                           getenv("RHIZOME_SOURCE_DIR"), path)),
        0);
}

static void the_deepest_term_and_the_widest(void **state)
{
    struct buffer term = BUFFER(test_mem());
    struct buffer text = BUFFER(cli_mem());
    uint32_t wide = 100000;
    uint8_t head[5] = {ETF_LIST};

    (void)state;
    for (unsigned i = 0; i < ETF_DEPTH_MAX; i++)
        test_append(&term, "\x74\0\0\0\1\x77\1k", 8);
    test_append(&term, "\x61\7", 2);
    term_text(&text, term.data, NULL);
    text.size = 0;
    term_json(&text, term.data);
    assert_int_equal(text.size, ETF_DEPTH_MAX * strlen("{\"k\":}") + 1);
    term.size = 0;
    text.size = 0;
    store_be32(head + 1, wide);
    test_append(&term, head, 5);
    for (uint32_t i = 0; i < wide; i++)
        test_append(&term, "\x68\0", 2);
    test_append(&term, "\x6A", 1);
    term_text(&text, term.data, NULL);
    assert_int_equal(text.size, 3 * wide + 1);
    buffer_free(&term);
    buffer_free(&text);
}

/* Texts that name a table, and the same as it is shown again. */
static void names_are_read(void **state)
{
    static const char *const same[] = {
        "people",
        "'My table'",
        "'$keys'",
        "<<\"people\">>",
        "<<1,2,255>>",
        "<<>>",
        "\"text\"",
        "[]",
        "{user,1,[a,b]}",
        "42",
        "-7",
        "18446744073709551615",
        "{}",
        "'it\\'s'",
        "<<\"\xC3\xA9\"/utf8>>",
        "1.5",
        "-2.0e-05",
        "99999999999999999999",
        "-18446744073709551616",
        "#{a => 1,b => [x|y]}",
        "<<1,2,3:4>>",
        "fun lists:map/2",
        "{#{},[],<<>>,0.0}",
    };
    static const char *const wrong[] = {
        "",        " ",       "{",   "{a",  "{a,}",      "<<",      "<<\"a\"",
        "<<1,",    "<<256>>", "'a",  "a b", "people. x", "#{a =>}", "<<8:3>>",
        "[a|b,c]", "1.",      "\"a", "-",   "<<1>>x",
    };
    struct buffer term = BUFFER(test_mem());
    struct buffer text = BUFFER(cli_mem());

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        term.size = 0;
        text.size = 0;
        assert_true(term_read(&term, same[i]));
        term_text(&text, term.data, NULL);
        assert_string_equal(text_string(&text), same[i]);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        term.size = 0;
        if (term_read(&term, wrong[i]))
            fail_msg("`%s` was taken for a term", wrong[i]);
    }
    /* What a shell makes awkward to quote. */
    term.size = 0;
    text.size = 0;
    assert_true(term_read(&term, " $keys "));
    term_text(&text, term.data, NULL);
    assert_string_equal(text_string(&text), "'$keys'");
    buffer_free(&term);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atoms_are_quoted_where_erlang_does),
        cmocka_unit_test(numbers),
        cmocka_unit_test(a_huge_integer_is_shown_in_hexadecimal),
        cmocka_unit_test(strings_and_binaries),
        cmocka_unit_test(containers),
        cmocka_unit_test(what_has_no_literal_looks_as_in_a_shell),
        cmocka_unit_test(json_has_its_mapping),
        cmocka_unit_test(random_terms_are_read_back),
        cmocka_unit_test(the_deepest_term_and_the_widest),
        cmocka_unit_test(names_are_read),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
