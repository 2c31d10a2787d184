/*
 * test_filter.c -- conditions against an evaluator that knows no short cuts,
 * and against those who send what is none.
 */
#include "core/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/key.h"
#include "support/random.h"
#include "support/term_maker.h"
#include "support/term_text.h"

/* --- strings that live until the end ------------------------------------ */

struct kept {
    struct kept *next;
    struct buffer text;
};

static struct kept *all_kept;

/* The text of a buffer, which is given up for it. */
static char *keep(struct buffer text)
{
    struct kept *kept = malloc(sizeof(*kept));

    assert_non_null(kept);
    *kept = (struct kept){all_kept, text};
    all_kept = kept;
    return (char *)text.data;
}

static int forget_all(void **state)
{
    (void)state;
    while (all_kept) {
        struct kept *kept = all_kept;

        all_kept = kept->next;
        buffer_free(&kept->text);
        free(kept);
    }
    return 0;
}

/* --- one condition at a time -------------------------------------------- */

static struct buffer parsed(const char *text)
{
    struct buffer term = BUFFER(test_mem());

    term_parse(&term, text);
    return term;
}

static struct buffer encoded(struct bytes term)
{
    struct buffer key = BUFFER(test_mem());

    assert_int_equal(key_encode(term, &key), ST_OK);
    return key;
}

/* What a condition says of (key, value); a partner if `pair`. */
static bool says(const char *condition, const char *key, const char *value,
                 bool pair)
{
    struct buffer condition_term = parsed(condition);
    struct buffer key_term = parsed(key);
    struct buffer value_term = BUFFER(test_mem());
    struct buffer first = encoded(buffer_bytes(&key_term));
    struct buffer second = BUFFER(test_mem());
    struct filter_element element = {.key = buffer_bytes(&first)};
    struct filter *filter;
    const char *why = NULL;
    struct mem mem;
    bool ret;

    if (value)
        term_parse(&value_term, value);
    if (value && pair) {
        second = encoded(buffer_bytes(&value_term));
        element.partner = buffer_bytes(&second);
    } else if (value) {
        element.value = buffer_bytes(&value_term);
    }
    mem_init(&mem, 0);
    if (filter_create(&mem, buffer_bytes(&condition_term), &filter, &why) < 0)
        fail_msg("%s: %s", condition, why);
    assert_int_equal(filter_match(filter, &element, &ret), ST_OK);
    filter_free(filter);
    assert_int_equal(mem.used, 0);
    buffer_free(&condition_term);
    buffer_free(&key_term);
    buffer_free(&value_term);
    buffer_free(&first);
    buffer_free(&second);
    return ret;
}

static void conditions_say_what_they_say(void **state)
{
    static const struct {
        const char *condition;
        const char *key;
        const char *value; /* NULL: a set */
        bool wanted;
    } rows[] = {
        {"{'=:=',key,1}", "1", "x", true},
        {"{'=:=',key,1}", "2", "x", false},
        {"{'=/=',key,1}", "2", "x", true},
        {"{'<',value,5}", "1", "4", true},
        {"{'<',value,5}", "1", "5", false},
        {"{'=<',value,5}", "1", "5", true},
        {"{'>',value,5}", "1", "5", false},
        {"{'>',value,5}", "1", "a", true},
        {"{'>=',value,5}", "1", "5", true},
        {"{'>=',value,{}}", "1", "{}", true},
        {"{'<',value,<<\"b\">>}", "1", "<<\"a\">>", true},
        {"{'<',value,<<\"b\">>}", "1", "[]", true},
        {"{'<',value,<<\"b\">>}", "1", "<<\"bb\">>", false},
        {"{'<',value,[]}", "1", "#{}", true},
        {"{'<',value,ab}", "1", "a", true},
        {"{'<',value,false}", "1", "eight", true},
        {"{'=:=',value,\"ab\"}", "1", "[97,98]", true},
        {"{'=:=',value,[97,98]}", "1", "\"ab\"", true},
        {"{in,key,[1,2,3]}", "2", "x", true},
        {"{in,key,\"abc\"}", "98", "x", true},
        {"{in,key,\"abc\"}", "1", "x", false},
        {"{in,key,[]}", "1", "x", false},
        {"{in,value,[c,{a},a,7,<<\"x\">>]}", "1", "{a}", true},
        {"{in,value,[c,{a},a,7,<<\"x\">>]}", "1", "7", true},
        {"{in,value,[c,{a},a,7,<<\"x\">>]}", "1", "b", false},
        {"{'and',[]}", "1", "x", true},
        {"{'or',[]}", "1", "x", false},
        {"{'and',[{'=:=',key,1},{'=:=',value,x}]}", "1", "x", true},
        {"{'and',[{'=:=',key,1},{'=:=',value,x}]}", "1", "y", false},
        {"{'or',[{'=:=',key,2},{'=:=',value,x}]}", "1", "x", true},
        {"{'or',[{'=:=',key,2},{'=:=',value,x}]}", "1", "y", false},
        {"{'not',{'=:=',key,1}}", "1", "x", false},
        {"{'or',[{'and',[{'=:=',key,2}]},{'not',{'or',[]}}]}", "1", "x", true},
        {"{'=:=',{element,2,value},b}", "1", "{a,b}", true},
        {"{'=:=',{element,2,key},b}", "{a,b}", "x", true},
        {"{'=:=',{element,1,{element,2,value}},c}", "1", "{a,{c}}", true},
        {"{'=:=',{map_get,k,value},1}", "1", "#{j=>2,k=>1}", true},
        {"{'=:=',{map_get,1,value},1}", "1", "#{j=>2,1=>1}", true},
        {"{'=:=',{map_get,{a},key},1}", "#{{a}=>1}", "x", true},
        {"{'>',{map_get,k,{element,2,value}},7}", "1", "{a,#{k=>8}}", true},
        /* What does not exist. */
        {"{'=/=',{element,3,value},b}", "1", "{a,b}", false},
        {"{'not',{'=/=',{element,3,value},b}}", "1", "{a,b}", true},
        {"{'=/=',{element,1,value},b}", "1", "a", false},
        {"{'=/=',{element,99999999999,value},b}", "1", "{a}", false},
        {"{'=/=',{map_get,k,value},b}", "1", "#{}", false},
        {"{'=/=',{map_get,k,value},b}", "1", "{}", false},
        {"{'=/=',{element,1,{map_get,k,value}},b}", "1", "#{k=>b}", false},
        {"{'=/=',value,b}", "1", NULL, false},
        {"{in,value,[b]}", "1", NULL, false},
        {"{'=/=',{element,1,value},b}", "1", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int pair = 0; pair < 2; pair++)
            if (says(rows[i].condition, rows[i].key, rows[i].value, pair) !=
                rows[i].wanted)
                fail_msg("%s of (%s, %s)", rows[i].condition, rows[i].key,
                         rows[i].value ? rows[i].value : "-");
}

/* A term in bytes, as a value. */
static bool says_of_hex(const char *condition_hex, const char *value_hex)
{
    struct buffer condition = BUFFER(test_mem());
    struct buffer value = BUFFER(test_mem());
    struct filter_element element = {.key = BYTES("\x1a")};
    struct filter *filter;
    const char *why;
    bool ret;

    term_maker_hex(condition_hex, &condition);
    term_maker_hex(value_hex, &value);
    element.value = buffer_bytes(&value);
    assert_int_equal(
        filter_create(test_mem(), buffer_bytes(&condition), &filter, &why),
        ST_OK);
    assert_int_equal(filter_match(filter, &element, &ret), ST_OK);
    filter_free(filter);
    buffer_free(&condition);
    buffer_free(&value);
    return ret;
}

#define EQUALS "68 03 77 03 '=:=' 77 05 'value' "

/* One term in several forms, and terms that are == alone. */
static void equality_is_exact_whatever_the_form(void **state)
{
    (void)state;
    assert_true(says_of_hex(EQUALS "61 01", "62 00000001"));
    assert_true(says_of_hex(EQUALS "62 00000001", "6E 03 00 010000"));
    assert_true(says_of_hex(EQUALS "61 01", "6F 00000001 00 01"));
    assert_true(says_of_hex(EQUALS "62 FFFFFFFF", "6E 01 01 01"));
    assert_false(says_of_hex(EQUALS "61 01", "46 3FF0000000000000"));
    assert_false(says_of_hex(EQUALS "46 3FF0000000000000", "61 01"));
    assert_true(
        says_of_hex(EQUALS "46 3FF0000000000000", "46 3FF0000000000000"));
    /* 2^63 does not fit, -2^63 does. */
    assert_false(says_of_hex(EQUALS "6E 08 00 0000000000000080",
                             "6E 08 01 0000000000000080"));
    assert_true(says_of_hex(EQUALS "6E 08 01 0000000000000080",
                            "6E 08 01 0000000000000080"));
    assert_true(says_of_hex(EQUALS "6E 08 00 0000000000000080",
                            "6E 08 00 0000000000000080"));
    /* An atom of a letter beyond ASCII, in Latin-1 and in UTF-8. */
    assert_true(says_of_hex(EQUALS "77 02 C3A4", "64 0001 E4"));
    assert_true(says_of_hex(EQUALS "73 01 E4", "76 0002 C3A4"));
    assert_false(says_of_hex(EQUALS "73 01 E4", "77 01 61"));
    /* [] in three forms; a binary of whole bytes in two. */
    assert_true(says_of_hex(EQUALS "6A", "6B 0000"));
    assert_true(says_of_hex(EQUALS "6A", "6C 00000000 6A"));
    assert_true(says_of_hex(EQUALS "6D 00000001 61", "4D 00000001 08 61"));
    /* The operator in an old form. */
    assert_true(
        says_of_hex("68 03 64 0003 '=:=' 73 05 'value' 61 01", "61 01"));
    /* A list whose tail is a list. */
    assert_true(says_of_hex("68 03 77 02 'in' 77 05 'value' "
                            "6C 00000001 61 07 6C 00000001 61 08 6B 0001 09",
                            "61 09"));
}

static enum status created(const char *text, const char **ret_why)
{
    struct buffer term = parsed(text);
    struct filter *filter = NULL;
    struct mem mem;
    enum status st;

    *ret_why = NULL;
    mem_init(&mem, 0);
    st = filter_create(&mem, buffer_bytes(&term), &filter, ret_why);
    if (st == ST_OK)
        filter_free(filter);
    assert_int_equal(mem.used, 0);
    buffer_free(&term);
    return st;
}

static void what_is_no_condition_is_refused(void **state)
{
    static const char *const texts[] = {
        "a",
        "7",
        "{}",
        "[]",
        "#{}",
        "{1,2,3}",
        "{'=:='}",
        "{'=:=',key}",
        "{'=:=',key,1,2}",
        "{'==',key,1}",
        "{'=:=',keys,1}",
        "{'=:=',{},1}",
        "{'=:=',{element,1},1}",
        "{'=:=',{element,0,key},1}",
        "{'=:=',{element,a,key},1}",
        "{'=:=',{element,-1,key},1}",
        "{'=:=',{map_get,1},1}",
        "{'=:=',{elem,1,key},1}",
        "{'=:=',{element,1,foo},1}",
        "{in,key}",
        "{in,key,a}",
        "{in,key,[a|b]}",
        "{'and',a}",
        "{'and',[a]}",
        "{'and',\"ab\"}",
        "{'and',[{'or',[]}|x]}",
        "{'or'}",
        "{'or',[],[]}",
        "{'not',[]}",
        "{'not',{'=:=',key}}",
        "{'=:=',1,key}",
        "{'=:=',{'=:=',1,2},key}",
    };
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (created(texts[i], &why) != ST_BAD_ARGUMENT)
            fail_msg("%s is accepted", texts[i]);
        assert_non_null(why);
    }
}

/* `count` times `before`, `middle`, and as often `after`. */
static char *nested(unsigned count, const char *before, const char *middle,
                    const char *after)
{
    struct buffer text = BUFFER(test_mem());

    for (unsigned i = 0; i < count; i++)
        test_append_text(&text, before);
    test_append_text(&text, middle);
    for (unsigned i = 0; i < count; i++)
        test_append_text(&text, after);
    test_append(&text, "", 1);
    return keep(text);
}

static void depth_and_parts_are_bounded(void **state)
{
    const char *why;
    char *text;

    (void)state;
    /* The operand of a comparison is a level, too. */
    text = nested(30, "{'not',", "{'=:=',key,1}", "}");
    assert_int_equal(created(text, &why), ST_OK);
    text = nested(31, "{'not',", "{'=:=',key,1}", "}");
    assert_int_equal(created(text, &why), ST_BAD_ARGUMENT);
    text = nested(900, "{'not',", "{'=:=',key,1}", "}");
    assert_int_equal(created(text, &why), ST_BAD_ARGUMENT);
    text = nested(30, "{element,1,", "key", "}");
    assert_int_equal(created(test_format("{'=:=',%s,1}", text), &why), ST_OK);
    text = nested(31, "{element,1,", "key", "}");
    assert_int_equal(created(test_format("{'=:=',%s,1}", text), &why),
                     ST_BAD_ARGUMENT);
    /* Two parts a comparison, and one the list. */
    text = nested(498, "{'<',key,1},", "{'<',key,1}", "");
    assert_int_equal(created(test_format("{'and',[%s]}", text), &why), ST_OK);
    text = nested(499, "{'<',key,1},", "{'<',key,1}", "");
    assert_int_equal(created(test_format("{'and',[%s]}", text), &why),
                     ST_BAD_ARGUMENT);
    assert_non_null(strstr(why, "1,000"));
    text = nested(FILTER_TERMS_MAX - 1, "7,", "8", "");
    assert_int_equal(created(test_format("{in,key,[%s]}", text), &why), ST_OK);
    text = nested(FILTER_TERMS_MAX, "7,", "8", "");
    assert_int_equal(created(test_format("{in,key,[%s]}", text), &why),
                     ST_TOO_BIG);
    assert_non_null(why);
}

static void what_is_too_large_to_be_a_key_compares_to_nothing(void **state)
{
    char *large = nested(KEY_BYTES_MAX, "a", "", "");
    const char *why;

    (void)state;
    assert_int_equal(
        created(test_format("{'=:=',value,<<\"%s\">>}", large), &why),
        ST_TOO_BIG);
    assert_non_null(why);
    large = test_format("<<\"%s\">>", large);
    assert_false(says("{'=:=',value,1}", "1", large, false));
    assert_false(says("{'=/=',value,1}", "1", large, false));
    assert_false(says("{'<',value,1}", "1", large, false));
    assert_false(says("{'>',value,1}", "1", large, false));
    assert_false(says("{in,value,[1,{a}]}", "1", large, false));
    assert_false(says("{'=/=',{element,1,value},{b}}", "1",
                      test_format("{%s}", large), false));
    /* What lies beside it can be compared. */
    assert_true(says("{'=:=',{element,2,value},b}", "1",
                     test_format("{%s,b}", large), false));
}

static enum status give_up(void *context)
{
    unsigned *left = context;

    return --*left ? ST_OK : ST_CANCELLED;
}

static void a_check_is_asked_now_and_then(void **state)
{
    struct buffer condition = parsed("{'=:=',{element,1,value},1}");
    struct buffer value = parsed("{a,b}");
    struct filter_element element = {.key = BYTES("\x1a"),
                                     .value = buffer_bytes(&value)};
    struct filter *filter;
    const char *why;
    unsigned left = 3;
    unsigned count = 0;
    bool ret;

    (void)state;
    assert_int_equal(
        filter_create(test_mem(), buffer_bytes(&condition), &filter, &why),
        ST_OK);
    assert_true(filter_uses_value(filter));
    assert_false(filter_uses_key(filter));
    filter_set_check(filter, 100, give_up, &left);
    while (filter_match(filter, &element, &ret) == ST_OK)
        count++;
    assert_in_range(count, 20, 301);
    filter_free(filter);
    buffer_free(&condition);
    buffer_free(&value);
}

/* --- random conditions -------------------------------------------------- */

/* An element, and what it looks like from a distance. */
struct sample {
    struct buffer key_term; /* the key's canonical form */
    struct buffer value;    /* of a pair its canonical form */
    struct buffer key;
    struct buffer partner;
    bool has_value;
    bool pair;
};

static void sample_free(struct sample *sample)
{
    buffer_free(&sample->key_term);
    buffer_free(&sample->value);
    buffer_free(&sample->key);
    buffer_free(&sample->partner);
}

/* A term of a small world, so that two of them are often equal. */
static void put_small(struct random *random, unsigned depth, struct buffer *out)
{
    static const char *const terms[] = {
        "0",
        "1",
        "-1",
        "255",
        "256",
        "2147483648",
        "-9223372036854775808",
        "9223372036854775807",
        "a",
        "b",
        "true",
        "false",
        "nil",
        "[]",
        "{}",
        "#{}",
        "<<\"\">>",
        "<<\"a\">>",
        "<<\"ab\">>",
        "\"ab\"",
        "[97,98]",
        "[a]",
        "{1}",
        "{a,1}",
        "#{a=>1}",
        "#{1=>a,a=>#{b=>2}}",
        "[a|b]",
    };
    unsigned arity;

    if (depth && random_below(random, 3) == 0) {
        arity = (unsigned)random_below(random, 4);
        test_append(out, "\x68", 1);
        test_append(out, &(uint8_t){(uint8_t)arity}, 1);
        while (arity-- > 0)
            put_small(random, depth - 1, out);
    } else if (random_below(random, 4) == 0) {
        term_maker_put(random, 2, out);
    } else if (random_below(random, 12) == 0) {
        term_maker_hex("46 3FF0000000000000", out); /* 1.0 */
    } else {
        term_parse(
            out, terms[random_below(random, sizeof(terms) / sizeof(terms[0]))]);
    }
}

/* Some term that is a key, in whichever form. */
static void put_key_term(struct random *random, struct buffer *out)
{
    struct buffer key = BUFFER(test_mem());
    size_t start = out->size;

    do {
        out->size = start;
        put_small(random, 2, out);
    } while (key_encode(bytes_of(out->data + start, out->size - start), &key) !=
             ST_OK);
    buffer_free(&key);
}

static void sample_make(struct random *random, struct sample *sample)
{
    struct buffer term = BUFFER(test_mem());

    *sample = (struct sample){
        .key_term = BUFFER(test_mem()),
        .value = BUFFER(test_mem()),
        .key = BUFFER(test_mem()),
        .partner = BUFFER(test_mem()),
        .has_value = random_below(random, 8) != 0,
        .pair = random_below(random, 2) == 0,
    };
    put_key_term(random, &term);
    assert_int_equal(key_encode(buffer_bytes(&term), &sample->key), ST_OK);
    key_decode(buffer_bytes(&sample->key), &sample->key_term);
    term.size = 0;
    put_key_term(random, &term);
    if (sample->has_value && sample->pair) {
        key_encode(buffer_bytes(&term), &sample->partner);
        key_decode(buffer_bytes(&sample->partner), &sample->value);
    } else if (sample->has_value) {
        test_append(&sample->value, term.data, term.size);
    }
    buffer_free(&term);
}

static void put_atom_term(struct buffer *out, const char *name)
{
    test_append(out, "\x77", 1);
    test_append(out, &(uint8_t){(uint8_t)strlen(name)}, 1);
    test_append_text(out, name);
}

static void put_operand(struct random *random, unsigned depth,
                        struct buffer *out)
{
    if (!depth || random_below(random, 2) == 0) {
        put_atom_term(out, random_below(random, 2) ? "key" : "value");
        return;
    }
    test_append(out, "\x68\x03", 2);
    if (random_below(random, 2) == 0) {
        put_atom_term(out, "element");
        test_append(out, "\x61", 1);
        test_append(out, &(uint8_t){(uint8_t)(1 + random_below(random, 3))}, 1);
    } else {
        put_atom_term(out, "map_get");
        put_key_term(random, out);
    }
    put_operand(random, depth - 1, out);
}

static const char *const operators[] = {"=:=", "=/=", "<", "=<", ">", ">="};

static void put_terms(struct random *random, struct buffer *out)
{
    uint8_t count = (uint8_t)random_below(random, 6);

    test_append(out, "\x6c\x00\x00\x00", 4);
    test_append(out, &count, 1);
    while (count-- > 0)
        put_key_term(random, out);
    test_append(out, "\x6a", 1);
}

static void put_condition(struct random *random, unsigned depth,
                          struct buffer *out)
{
    uint8_t count = (uint8_t)random_below(random, 4);

    switch (random_below(random, depth ? 6 : 3)) {
    case 3:
    case 4:
        test_append(out, "\x68\x02", 2);
        put_atom_term(out, random_below(random, 2) ? "and" : "or");
        test_append(out, "\x6c\x00\x00\x00", 4);
        test_append(out, &count, 1);
        while (count-- > 0)
            put_condition(random, depth - 1, out);
        test_append(out, "\x6a", 1);
        return;
    case 5:
        test_append(out, "\x68\x02", 2);
        put_atom_term(out, "not");
        put_condition(random, depth - 1, out);
        return;
    case 2:
        test_append(out, "\x68\x03", 2);
        put_atom_term(out, "in");
        put_operand(random, 2, out);
        put_terms(random, out);
        return;
    default:
        test_append(out, "\x68\x03", 2);
        put_atom_term(out, operators[random_below(random, 6)]);
        put_operand(random, 2, out);
        put_key_term(random, out);
    }
}

/* --- the naive evaluator ------------------------------------------------ */

static bool atom_is(const uint8_t *at, const char *name)
{
    return at[0] == ETF_SMALL_ATOM_UTF8 && at[1] == strlen(name) &&
           memcmp(at + 2, name, at[1]) == 0;
}

static struct bytes term_of(const uint8_t *at)
{
    return bytes_of(at, etf_size(at));
}

/* -1, 0, 1; 2 if one of them is no key. */
static int naive_order(struct bytes a, struct bytes b)
{
    struct buffer x = BUFFER(test_mem());
    struct buffer y = BUFFER(test_mem());
    int order = 2;

    if (key_encode(a, &x) == ST_OK && key_encode(b, &y) == ST_OK) {
        order = bytes_compare(buffer_bytes(&x), buffer_bytes(&y));
        order = (order > 0) - (order < 0);
    }
    buffer_free(&x);
    buffer_free(&y);
    return order;
}

/* The operand's term, or NULL. */
static const uint8_t *naive_operand(const uint8_t *at,
                                    const struct sample *sample)
{
    const uint8_t *term, *argument;
    uint32_t count;

    if (atom_is(at, "key"))
        return sample->key_term.data;
    if (atom_is(at, "value"))
        return sample->has_value ? sample->value.data : NULL;
    argument = at + 2 + etf_size(at + 2);
    term = naive_operand(argument + etf_size(argument), sample);
    if (!term)
        return NULL;
    if (atom_is(at + 2, "element")) {
        unsigned n = argument[1];

        if (*term != ETF_SMALL_TUPLE && *term != ETF_LARGE_TUPLE)
            return NULL;
        count = *term == ETF_SMALL_TUPLE ? term[1] : load_be32(term + 1);
        term += *term == ETF_SMALL_TUPLE ? 2 : 5;
        if (n > count)
            return NULL;
        while (--n > 0)
            term += etf_size(term);
        return term;
    }
    if (*term != ETF_MAP)
        return NULL;
    count = load_be32(term + 1);
    for (term += 5; count > 0; count--) {
        const uint8_t *value = term + etf_size(term);

        if (naive_order(term_of(term), term_of(argument)) == 0)
            return value;
        term = value + etf_size(value);
    }
    return NULL;
}

static bool naive_compares(const uint8_t *operator, const uint8_t * term,
                           const uint8_t *constant)
{
    int order = term ? naive_order(term_of(term), term_of(constant)) : 2;

    if (order == 2)
        return false;
    return (atom_is(operator, "=:=") && order == 0) ||
           (atom_is(operator, "=/=") && order != 0) ||
           (atom_is(operator, "<") && order < 0) ||
           (atom_is(operator, "=<") && order <= 0) ||
           (atom_is(operator, ">") && order > 0) ||
           (atom_is(operator, ">=") && order >= 0);
}

static bool naive(const uint8_t *condition, const struct sample *sample)
{
    const uint8_t *name = condition + 2;
    const uint8_t *second = name + etf_size(name);
    const uint8_t *third;
    bool is_and = atom_is(name, "and");
    bool any = false, all = true;

    if (condition[1] == 2 && !is_and && !atom_is(name, "or"))
        return !naive(second, sample);
    if (condition[1] == 2) {
        uint32_t count = load_be32(second + 1);

        for (second += 5; count > 0; count--) {
            bool holds = naive(second, sample);

            any |= holds;
            all &= holds;
            second += etf_size(second);
        }
        return is_and ? all : any;
    }
    third = second + etf_size(second);
    if (atom_is(name, "in")) {
        uint32_t count = load_be32(third + 1);
        const uint8_t *term = naive_operand(second, sample);

        for (third += 5; count > 0; count--) {
            any |= term && naive_order(term_of(term), term_of(third)) == 0;
            third += etf_size(third);
        }
        return any;
    }
    return naive_compares(name, naive_operand(second, sample), third);
}

static struct filter_element element_of(const struct sample *sample)
{
    struct filter_element element = {.key = buffer_bytes(&sample->key)};

    if (sample->has_value && sample->pair)
        element.partner = buffer_bytes(&sample->partner);
    else if (sample->has_value)
        element.value = buffer_bytes(&sample->value);
    return element;
}

static void random_conditions_say_what_a_naive_one_says(void **state)
{
    uint64_t seed = random_seed();
    struct buffer condition = BUFFER(test_mem());
    struct random random;
    unsigned met = 0, total = 0;

    (void)state;
    random_init(&random, seed);
    for (unsigned round = 0; round < 3000; round++) {
        struct filter *filter;
        const char *why = NULL;
        size_t size;

        condition.size = 0;
        put_condition(&random, 3, &condition);
        assert_int_equal(etf_validate(buffer_bytes(&condition), &size, NULL),
                         ST_OK);
        assert_int_equal(
            filter_create(test_mem(), buffer_bytes(&condition), &filter, &why),
            ST_OK);
        for (unsigned i = 0; i < 20; i++, total++) {
            struct filter_element element;
            struct sample sample;
            bool holds;

            sample_make(&random, &sample);
            element = element_of(&sample);
            assert_int_equal(filter_match(filter, &element, &holds), ST_OK);
            if (holds != naive(condition.data, &sample)) {
                struct buffer text = BUFFER(test_mem());

                term_print(&text, condition.data);
                test_append_text(&text, " of ");
                term_print(&text, sample.key_term.data);
                test_append_text(&text, ", ");
                if (sample.has_value)
                    term_print(&text, sample.value.data);
                test_append(&text, "", 1);
                fail_msg("SEED=%llu: %s", (unsigned long long)seed, text.data);
            }
            met += holds;
            sample_free(&sample);
        }
        filter_free(filter);
    }
    assert_in_range(met, total / 10, total - total / 10);
    buffer_free(&condition);
}

/* Any term at all is a condition or not, and nothing else happens. */
static void random_terms_are_refused_or_accepted(void **state)
{
    struct buffer term = BUFFER(test_mem());
    struct random random;
    struct mem mem;

    (void)state;
    random_init(&random, random_seed());
    mem_init(&mem, 0);
    for (unsigned round = 0; round < 20000; round++) {
        struct filter *filter;
        const char *why;
        uint8_t *copy;
        size_t size;

        term.size = 0;
        put_condition(&random, 3, &term);
        /* A byte is changed, as long as it stays a term. */
        for (unsigned n = (unsigned)random_below(&random, 4); n > 0; n--) {
            size_t at = random_below(&random, term.size);
            uint8_t old = term.data[at];

            term.data[at] = (uint8_t)random_next(&random);
            if (etf_validate(buffer_bytes(&term), &size, NULL) < 0 ||
                size != term.size)
                term.data[at] = old;
        }
        copy = term_maker_copy(buffer_bytes(&term));
        if (filter_create(&mem, bytes_of(copy, term.size), &filter, &why) ==
            ST_OK) {
            struct filter_element element;
            struct sample sample;
            bool holds;

            sample_make(&random, &sample);
            element = element_of(&sample);
            assert_int_equal(filter_match(filter, &element, &holds), ST_OK);
            sample_free(&sample);
            filter_free(filter);
        }
        assert_int_equal(mem.used, 0);
        free(copy);
    }
    buffer_free(&term);
}

/* Whichever allocation fails: an error, and nothing is left behind. */
static void without_memory_there_is_an_error(void **state)
{
    struct buffer condition = parsed(
        "{'and',[{'=/=',key,{z,y}},{'not',{in,{element,2,key},[a,{b},#{c=>d}]}"
        "},{'<',{map_get,{k},value},{1,2}}]}");
    struct buffer value = parsed("#{a=>1,{k}=>{1,1}}");
    struct buffer key_term = parsed("{a,#{x=>1,y=>2}}");
    struct buffer key = encoded(buffer_bytes(&key_term));
    struct filter_element element = {.key = buffer_bytes(&key),
                                     .value = buffer_bytes(&value)};
    struct mem mem;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned nth = 1;; nth++) {
        struct filter *filter = NULL;
        const char *why = NULL;
        bool holds = false;
        enum status st;

        mem_fail_at(&mem, nth, false);
        st = filter_create(&mem, buffer_bytes(&condition), &filter, &why);
        assert_null(why);
        if (st == ST_OK)
            st = filter_match(filter, &element, &holds);
        mem_fail_at(&mem, 0, false);
        if (filter && st < 0) { /* it goes on as if nothing had been */
            assert_int_equal(filter_match(filter, &element, &holds), ST_OK);
            assert_true(holds);
        }
        filter_free(filter);
        assert_int_equal(mem.used, 0);
        if (st == ST_OK) {
            assert_true(holds);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }
    buffer_free(&condition);
    buffer_free(&value);
    buffer_free(&key_term);
    buffer_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_say_what_they_say),
        cmocka_unit_test(equality_is_exact_whatever_the_form),
        cmocka_unit_test(what_is_no_condition_is_refused),
        cmocka_unit_test(depth_and_parts_are_bounded),
        cmocka_unit_test(what_is_too_large_to_be_a_key_compares_to_nothing),
        cmocka_unit_test(a_check_is_asked_now_and_then),
        cmocka_unit_test(random_conditions_say_what_a_naive_one_says),
        cmocka_unit_test(random_terms_are_refused_or_accepted),
        cmocka_unit_test(without_memory_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, forget_all);
}
