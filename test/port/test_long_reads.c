/*
 * test_long_reads.c -- the real program, asked for long reads of its head, of
 * snapshots and of forks while it is written to, all in one frame, so that
 * workers read what the loop changes. Each must answer what was there when it
 * was read. Under ThreadSanitizer a race in the daemon ends it with a status.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/exit.h"
#include "support/client.h"
#include "support/term_text.h"

enum { PAIRS = 4000, ROUNDS = 40, ANSWERS = 16, KEPT = 3 };

/* --- Requests and their answers ----------------------------------------- */

struct frame {
    struct buffer text;
    int count;
};

struct answers {
    char *text[ANSWERS]; /* "N elements" for a long list */
    int count;
};

__attribute__((format(printf, 2, 3))) static void ask(struct frame *frame,
                                                      const char *format, ...)
{
    static char op[40000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(op, sizeof(op), format, arguments);
    va_end(arguments);
    test_append_text(
        &frame->text,
        test_format("%s{%d,", frame->count ? "," : "[", frame->count));
    test_append_text(&frame->text, op);
    test_append_text(&frame->text, "}");
    frame->count++;
}

/* The text of a reply; of a page, how long it is. */
static char *answer_text(const uint8_t *term)
{
    struct buffer text = BUFFER(test_mem());
    char *copy;

    if (etf_size(term) > 4000) {
        const uint8_t *items = term + 2 + etf_size(term + 2);

        assert_int_equal(term[0], ETF_SMALL_TUPLE);
        assert_int_equal(items[0], ETF_LIST);
        return test_format("%u elements", (unsigned)load_be32(items + 1));
    }
    term_print(&text, term);
    copy = test_format("%.*s", (int)text.size, (const char *)text.data);
    buffer_free(&text);
    return copy;
}

/* Events have an atom where replies have their id. */
static void take_replies(struct answers *answers, struct bytes payload)
{
    const uint8_t *at = payload.data + 6;

    assert_int_equal(payload.data[1], ETF_LIST);
    for (uint32_t n = load_be32(payload.data + 2); n > 0; n--) {
        const uint8_t *second = at + 2 + etf_size(at + 2);

        if (at[2] == ETF_SMALL_INTEGER) {
            assert_true(at[3] < ANSWERS && !answers->text[at[3]]);
            answers->text[at[3]] = answer_text(second + 6);
            answers->count++;
        }
        at += etf_size(at);
    }
}

/* Sends the frame, and waits until all of it is answered. */
static void call(struct client *client, struct frame *frame,
                 struct answers *answers)
{
    struct bytes payload;

    *answers = (struct answers){.count = 0};
    test_append(&frame->text, "]", 2);
    client_send(client, (const char *)frame->text.data);
    while (answers->count < frame->count) {
        assert_true(client_take(client, &payload));
        take_replies(answers, payload);
    }
    frame->text.size = 0;
    frame->count = 0;
}

static void expect(const struct answers *answers, int id, const char *text)
{
    if (strcmp(answers->text[id], text) != 0)
        fail_msg("request %d: %s and not %s", id, answers->text[id], text);
}

static void expect_ok(const struct answers *answers, int id)
{
    if (strncmp(answers->text[id], "{ok,", 4) != 0)
        fail_msg("request %d: %s", id, answers->text[id]);
}

/* --- What is asked ------------------------------------------------------ */

#define ALL_OF_THEM "#{where=>{'>=',key,0}}"

/* `count` pairs of one key. */
static const char *pairs_of(int key, int count)
{
    static char text[4096];
    size_t size = 0;

    for (int i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s{%d,%d}",
                                 i ? "," : "", key, i);
    return text;
}

static void fill(struct client *client)
{
    struct frame frame = {.text = BUFFER(test_mem())};
    struct answers answers;

    ask(&frame, "{create_table,t,many_to_many,#{}}");
    for (int key = 0; key < PAIRS / 100; key++) {
        ask(&frame, "{insert_all,t,fwd,[%s]}", pairs_of(key, 100));
        if (frame.count == ANSWERS)
            call(client, &frame, &answers);
    }
    if (frame.count)
        call(client, &frame, &answers);
    buffer_free(&frame.text);
}

/* One frame, in which each read is between two writes. */
static int run_round(struct client *client, int round, int there, bool durable)
{
    struct frame frame = {.text = BUFFER(test_mem())};
    struct answers answers;
    int key = 1000 + 3 * round;
    int counts[8];

    ask(&frame, "{with," ALL_OF_THEM ",{count,t,fwd,none,none}}"); /* 0 */
    counts[0] = there;
    ask(&frame, "{insert_all,t,fwd,[%s]}", pairs_of(key, 20));
    there += 20;
    ask(&frame, "{scan,t,fwd,elements,asc,none,none,100000}"); /* 2 */
    counts[1] = there;
    ask(&frame, "{delete_key,t,fwd,%d}", round ? key - 3 : 0);
    there -= round ? 20 : 100;
    ask(&frame, "{snapshot,{1,%d}}", round);
    counts[2] = there;
    ask(&frame, "{insert_all,t,bwd,[{%d,5},{%d,6}]}", key, key); /* 5 */
    there += 2;
    ask(&frame,
        "{with,#{at=>{1,%d},where=>{'>=',key,0}},{count,t,fwd,none,none}}",
        round);
    ask(&frame, "{fork,{2,%d},{1,%d},[{insert_all,t,fwd,[%s]}]}", round, round,
        pairs_of(key + 1, 10));
    counts[3] = counts[2] + 10;
    ask(&frame,
        "{with,#{at=>{2,%d}},{scan,t,bwd,elements,desc,none,none,100000}}",
        round); /* 8 */
    ask(&frame, "{commit,{2,%d},[]}", round);
    there += 10;
    ask(&frame, "{with," ALL_OF_THEM ",{count,t,bwd,none,none}}"); /* 10 */
    counts[4] = there;
    ask(&frame, "{release,{1,%d}}", round < KEPT ? 999 : round - KEPT);
    ask(&frame, "{with," ALL_OF_THEM ",{count,t,bwd,none,none}}");
    ask(&frame, "{cancel,12}"); /* 13 */
    ask(&frame, "{delete_key,t,fwd,%d}", key + 1);
    there -= 10;
    ask(&frame, durable && round % 8 == 0 ? "{checkpoint}" : "{ping}");
    call(client, &frame, &answers);

    expect(&answers, 0, test_format("{ok,%d}", counts[0]));
    expect(&answers, 1, "{ok,{20,[],[]}}");
    expect(&answers, 2, test_format("%d elements", counts[1]));
    expect_ok(&answers, 3);
    expect_ok(&answers, 4);
    expect_ok(&answers, 5);
    expect(&answers, 6, test_format("{ok,%d}", counts[2]));
    expect_ok(&answers, 7);
    expect(&answers, 8, test_format("%d elements", counts[3]));
    expect_ok(&answers, 9);
    expect(&answers, 10, test_format("{ok,%d}", counts[4]));
    expect(&answers, 11, round < KEPT ? "{ok,absent}" : "{ok,released}");
    if (strncmp(answers.text[12], "{error,{cancelled,", 18) != 0)
        expect(&answers, 12, test_format("{ok,%d}", counts[4]));
    expect_ok(&answers, 13);
    expect_ok(&answers, 14);
    expect_ok(&answers, 15);
    buffer_free(&frame.text);
    return there;
}

static void run(struct client *client, bool durable)
{
    char err[4096];
    const char *info;
    int there = PAIRS;
    int status;

    fill(client);
    for (int round = 0; round < ROUNDS; round++)
        there = run_round(client, round, there, durable);
    client_call(client, "{release_holder,1}");
    info = client_call(client, "{info}");
    assert_non_null(strstr(info, "snapshot_count=>0"));
    assert_non_null(strstr(info, "reads=>#{running=>0,waiting=>0,done=>2"));
    assert_string_equal(client_call(client, "{count,t,fwd,none,none}"),
                        test_format("{ok,%d}", there));
    status = client_finish(client, err, sizeof(err));
    if (status != EXIT_STOPPED || *err)
        fail_msg("it ended with %d: %s", status, err);
}

static void reads_see_what_was_there_when_they_were_read(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    run(&client, false);
}

static void also_while_it_syncs_and_makes_checkpoints(void **state)
{
    char path[] = "/tmp/rhizome-long-reads-XXXXXX";
    struct client client;

    (void)state;
    assert_non_null(mkdtemp(path));
    client_start_port(&client, "--dir", path);
    run(&client, true);
    assert_int_equal(system(test_format("rm -r %s", path)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_see_what_was_there_when_they_were_read),
        cmocka_unit_test(also_while_it_syncs_and_makes_checkpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
