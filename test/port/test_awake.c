#include "port/awake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#define US 1000u
#define MS 1000000u
#define SPELL (100 * US)

/* --- what it decides ---------------------------------------------------- */

/* The loop found nothing to do, looked in vain if that was due, slept, and
 * went on at `now`, `pause` later. Gives back how long it would look then. */
static uint64_t pause_of(struct awake *awake, uint64_t now, uint64_t pause)
{
    awake_spell(awake, ++awake->requests);
    awake_looked(awake, false, US, now - pause, now - pause + awake->spell);
    awake_woke(awake, now);
    return awake->spell;
}

static void short_pauses_begin_it(void **state)
{
    struct awake awake = {.spell_max = SPELL};

    (void)state;
    assert_int_equal(awake_spell(&awake, 1), 0);
    assert_int_equal(pause_of(&awake, 10 * MS, SPELL), 0);
    assert_int_equal(pause_of(&awake, 20 * MS, SPELL - 1), SPELL);
    assert_int_equal(awake_spell(&awake, 3), SPELL);
}

static void vain_looks_end_it(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL};
    uint64_t looked = 0;
    uint64_t now = 10 * MS;

    (void)state;
    for (uint64_t spell = SPELL; spell > 0; now += 10 * MS) {
        looked += spell;
        spell = pause_of(&awake, now, 5 * MS);
    }
    assert_true(looked > SPELL && looked < 2 * SPELL);
    assert_int_equal(pause_of(&awake, now, 5 * MS), 0);
}

/* Looked for one spell, and half of another later it comes. */
static void a_look_counts_as_a_part_of_the_pause(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL};

    (void)state;
    assert_int_equal(pause_of(&awake, 10 * MS, SPELL + SPELL / 2), SPELL / 2);
    assert_int_equal(pause_of(&awake, 20 * MS, SPELL + SPELL / 2), SPELL / 4);
    assert_int_equal(pause_of(&awake, 30 * MS, SPELL - 1), SPELL);
}

static void what_cannot_be_seen_is_not_looked_for(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL, .blind = true};

    (void)state;
    assert_int_equal(awake_spell(&awake, 1), 0);
    assert_int_equal(awake_spell(&awake, 2), SPELL);
}

static void a_look_that_pays_keeps_it(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL / 8};

    (void)state;
    awake_looked(&awake, true, US, 9 * MS, 10 * MS);
    assert_int_equal(awake.spell, SPELL);
    assert_false(awake.pauses);
    /* That was no pause: what comes late now says nothing. */
    awake.spell = 0;
    awake_woke(&awake, 10 * MS + 1);
    assert_int_equal(awake.spell, 0);
}

static void crowds_are_left_the_processors(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL};

    (void)state;
    assert_int_equal(awake_spell(&awake, 100), SPELL);
    assert_int_equal(awake_spell(&awake, 201), 0);
    assert_int_equal(awake_spell(&awake, 202), SPELL);
}

static void it_rests_when_others_took_the_processor(void **state)
{
    struct awake awake = {.spell_max = SPELL, .spell = SPELL};

    (void)state;
    awake_looked(&awake, false, 2 * MS, 8 * MS, 10 * MS);
    awake_woke(&awake, 10 * MS + US);
    assert_int_equal(awake.spell, 0);
    assert_int_equal(pause_of(&awake, 1000 * MS, US), 0);
    assert_int_equal(pause_of(&awake, 1010 * MS, US), SPELL);
    /* Also when something came at last. */
    awake_looked(&awake, true, MS, 1999 * MS, 2000 * MS);
    assert_int_equal(awake.spell, 0);
    assert_int_equal(pause_of(&awake, 2500 * MS, US), 0);
}

/* --- a loop with it ----------------------------------------------------- */

#define ROUNDS 2000

/* What the other end of two pipes does: a byte there, a byte back. */
struct caller {
    int to;
    int from;
};

static void *call(void *argument)
{
    struct caller *caller = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        char byte = (char)i;

        if (i % 100 == 99)
            usleep(1000); /* longer than a spell */
        if (write(caller->to, &byte, 1) != 1 ||
            read(caller->from, &byte, 1) != 1 || byte != (char)i)
            return NULL;
    }
    close(caller->to);
    return caller;
}

struct answerer {
    uint64_t requests;
    int to;
    char byte;
};

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct answerer *answerer = handle->data;

    (void)suggested;
    *buf = uv_buf_init(&answerer->byte, 1);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct answerer *answerer = stream->data;

    (void)buf;
    if (count == UV_EOF) {
        uv_close((uv_handle_t *)stream, NULL);
        return;
    }
    answerer->requests += count == 1;
    if (count == 1)
        assert_int_equal(write(answerer->to, &answerer->byte, 1), 1);
}

static void expect_answers(uint64_t spell_max)
{
    struct answerer answerer = {0};
    struct caller caller;
    struct awake awake;
    pthread_t thread;
    uv_pipe_t pipe_in;
    uv_loop_t loop;
    int there[2], back[2];
    void *ended;

    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    caller = (struct caller){there[1], back[0]};
    answerer.to = back[1];
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(awake_init(&awake, &loop, spell_max, &answerer.requests),
                     0);
    assert_int_equal(uv_pipe_init(&loop, &pipe_in, 0), 0);
    assert_int_equal(uv_pipe_open(&pipe_in, there[0]), 0);
    pipe_in.data = &answerer;
    assert_int_equal(uv_read_start((uv_stream_t *)&pipe_in, on_room, on_read),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, call, &caller), 0);
    /* It does not keep a loop that nothing else keeps. */
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_non_null(ended);
    assert_int_equal(answerer.requests, ROUNDS);
    if (spell_max) {
        uv_close((uv_handle_t *)&awake.before, NULL);
        uv_close((uv_handle_t *)&awake.after, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    close(back[0]);
    close(back[1]);
}

static void a_loop_misses_nothing(void **state)
{
    (void)state;
    expect_answers(0);
    expect_answers(SPELL);
    expect_answers(100 * (uint64_t)MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_pauses_begin_it),
        cmocka_unit_test(vain_looks_end_it),
        cmocka_unit_test(a_look_counts_as_a_part_of_the_pause),
        cmocka_unit_test(what_cannot_be_seen_is_not_looked_for),
        cmocka_unit_test(a_look_that_pays_keeps_it),
        cmocka_unit_test(crowds_are_left_the_processors),
        cmocka_unit_test(it_rests_when_others_took_the_processor),
        cmocka_unit_test(a_loop_misses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
