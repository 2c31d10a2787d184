/*
 * test_history.c -- subscribers that are told the past from the log, or that
 * fall behind and catch up there: it is the same that others heard at once.
 */
#include "port/history.h"

#include <ftw.h>
#include <unistd.h>

#include "core/exit.h"
#include "port/feed_host.h"
#include "support/client.h"

/* --- a store with a log ------------------------------------------------- */

static void always_tells_what_is_durable(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_ALWAYS, 0);
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{create_table,t,set,#{}}");
    call(&host, "{insert,t,fwd,1}");
    expect_told(&host, 0, "");
    assert_int_equal(termlog_sync_begin(host.log, &host.sync), ST_OK);
    call(&host, "{insert,t,fwd,2}");
    termlog_sync_run(host.sync);
    pump(&host);
    expect_told(&host, 0, "");
    assert_int_equal(termlog_sync_end(host.log, host.sync), ST_OK);
    host.sync = NULL;
    pump(&host);
    expect_told(&host, 0, "{1,[{t,create,set}]} {2,[{t,insert,1}]} ");

    /* Nor does the past: it is told as far as it is durable. */
    expect(&host, "{subscribe,{1,1},all,1}", "{ok,{subscribed,3}}");
    settle(&host);
    expect_told(&host, 1, "{1,[{t,create,set}]} {2,[{t,insert,1}]} ");
    sync_all(&host);
    settle(&host);
    expect_told(&host, 0, "{3,[{t,insert,2}]} ");
    expect_told(&host, 1, "{3,[{t,insert,2}]} ");
    host_close(&host);
    sim_io_free(sim);
}

/* A few mutations, with what a log of commands alone would not know. */
static const char *const past[] = {
    "{create_table,s,set,#{}}",
    "{create_table,o,to_one,#{fwd=>{s,evict}}}",
    "{insert_all,s,fwd,[1,2,3]}",
    "{insert,o,fwd,{1,a}}",
    "{insert,o,fwd,{1,b}}",
    "{batch,[{insert,o,fwd,{2,c}},{insert,o,fwd,{2,d}},{delete,s,fwd,1}]}",
    "{clear_table,s}",
};
static const char past_told[] =
    "{1,[{s,create,set}]} {2,[{o,create,to_one}]} "
    "{3,[{s,insert,1},{s,insert,2},{s,insert,3}]} {4,[{o,insert,{1,a}}]} "
    "{5,[{o,delete,{1,a}},{o,insert,{1,b}}]} "
    "{6,[{o,insert,{2,c}},{o,delete,{2,c}},{o,insert,{2,d}},{s,delete,1},"
    "{o,delete,{1,b}}]} {7,[{s,clear,2},{o,clear,1}]} ";

static void the_past_is_told_from_the_log(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_INTERVAL, 0);
    for (size_t i = 0; i < COUNT(past); i++)
        call(&host, past[i]);
    expect(&host, "{subscribe,{1,0},all,1}", "{ok,{subscribed,7}}");
    expect(&host, "{subscribe,{1,1},[o],0}", "{ok,{subscribed,7}}");
    expect(&host, "{subscribe,{1,2},all,7}", "{ok,{subscribed,7}}");
    expect(&host, "{subscribe,{1,3},all,8}", "{ok,{subscribed,7}}");
    assert_int_equal(host.job_count, 1); /* one at a time */
    call(&host, "{insert,s,fwd,9}");
    assert_int_equal(host.subscribers[0].events, 0);
    settle(&host);
    expect_told(&host, 0, test_format("%s{8,[{s,insert,9}]} ", past_told));
    expect_told(&host, 1,
                "{2,[{o,create,to_one}]} {4,[{o,insert,{1,a}}]} "
                "{5,[{o,delete,{1,a}},{o,insert,{1,b}}]} "
                "{6,[{o,insert,{2,c}},{o,delete,{2,c}},{o,insert,{2,d}},"
                "{o,delete,{1,b}}]} {7,[{o,clear,1}]} ");
    expect_told(&host, 2, "{7,[{s,clear,2},{o,clear,1}]} {8,[{s,insert,9}]} ");
    expect_told(&host, 3, "{8,[{s,insert,9}]} ");
    host_close(&host);

    /* After a restart it is the same; some of it is in other segments. */
    host_open(&host, sim, SYNC_NONE, 0);
    expect(&host, "{subscribe,{1,0},all,1}", "{ok,{subscribed,8}}");
    call(&host, "{drop_table,o}");
    settle(&host);
    expect_told(
        &host, 0,
        test_format("%s{8,[{s,insert,9}]} {9,[{o,drop,to_one}]} ", past_told));
    host_close(&host);
    sim_io_free(sim);
}

static void make_checkpoint(struct host *host)
{
    struct checkpoint_job *job;
    struct checkpoint_result result;

    assert_int_equal(checkpoint_begin(host->store, host->log, &job), ST_OK);
    assert_non_null(job);
    checkpoint_run(job);
    assert_int_equal(checkpoint_end(job, host->log, &result), ST_OK);
    sync_all(host);
    assert_int_equal(termlog_checkpoint_seq(host->log), result.seq);
}

static void what_a_checkpoint_covers_is_no_history(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 0);
    for (size_t i = 0; i < 5; i++)
        call(&host, past[i]);
    make_checkpoint(&host);
    for (size_t i = 5; i < COUNT(past); i++)
        call(&host, past[i]);
    expect(&host, "{subscribe,{1,0},all,5}",
           "{error,{no_history,<<\"the changes from this seq on cannot be "
           "told; those from `oldest` on can\">>,#{oldest=>6}}}");
    expect(&host, "{subscribe,{1,0},all,6}", "{ok,{subscribed,7}}");
    settle(&host);
    expect_told(&host, 0, strstr(past_told, "{6,"));
    host_close(&host);
    sim_io_free(sim);
}

/* Values so large that the ring holds only some of them. */
static void write_much(struct host *host, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        insert_big(host, "t", i % 5, 500000);
        acknowledge(host, 1);
    }
}

static void same_as_the_prompt_one(struct host *host, int index)
{
    struct buffer *a = &host->subscribers[index].told;
    struct buffer *b = &host->subscribers[1].told;

    assert_int_equal(host->subscribers[index].overflow, 0);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

static void who_falls_behind_goes_on_from_the_log(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 0);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{subscribe,{1,1},all,now}");
    call(&host, "{subscribe,{1,2},all,now}");
    write_much(&host, 40);
    assert_int_equal(host.jobs_run, 0);
    assert_true(host.subscribers[0].told.size < 2 * MIB);
    settle(&host);
    assert_true(host.jobs_run > 0);
    same_as_the_prompt_one(&host, 0);
    same_as_the_prompt_one(&host, 2);

    /* Live again: no job is needed. */
    host.jobs_run = 0;
    call(&host, "{insert,t,fwd,{1,x}}");
    settle(&host);
    assert_int_equal(host.jobs_run, 0);
    same_as_the_prompt_one(&host, 0);

    /* An entry too large for the ring comes from the log, too. */
    insert_big(&host, "t", 9, 17 * MIB);
    call(&host, "{insert,t,fwd,{1,y}}");
    settle(&host);
    assert_true(host.jobs_run > 0);
    same_as_the_prompt_one(&host, 0);
    same_as_the_prompt_one(&host, 2);
    host_close(&host);
    sim_io_free(sim);
}

static void whatever_a_log_holds_is_told(void **state)
{
    static const char *const ops[] = {
        "{create_table,s,set,#{}}",
        "{with,#{expect=>1},{insert,s,fwd,1}}",
        "{with,#{idempotency_key=>k},{insert,s,fwd,2}}",
        "{with,#{idempotency_key=>l,expect=>3},{insert,s,fwd,3}}",
        "{with,#{idempotency_key=>l,expect=>3},{insert,s,fwd,3}}",
        "{fork,{5,1},head,[{insert,s,fwd,4}]}",
        "{insert,s,fwd,5}",
        "{commit,{5,1},[{delete,s,fwd,1}]}",
        "{batch,[{create_table,u,pom,#{}},{insert_row,u,v},{clear_table,s},"
        "{drop_table,s}]}",
    };
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 0);
    call(&host, "{subscribe,{1,1},all,now}");
    call(&host, "{subscribe,{1,2},['$keys','$answers'],now}");
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_non_null(strstr(call(&host, ops[i]), "{ok,"));
    assert_int_equal(store_seq(host.store), 7);
    feed_unsubscribe(host.feed, (struct version_name){1, 1});
    feed_unsubscribe(host.feed, (struct version_name){1, 2});
    feed_set_clock(host.feed, read_test_clock);
    test_clock = UINT64_MAX; /* the ring is long gone */
    pump(&host);
    call(&host, "{subscribe,{1,0},all,1}");
    call(&host, "{subscribe,{1,3},['$keys','$answers'],1}");
    assert_int_equal(host.job_count, 1);
    settle(&host);
    same_as_the_prompt_one(&host, 0);
    assert_int_equal(host.subscribers[2].told.size,
                     host.subscribers[3].told.size);
    assert_memory_equal(host.subscribers[2].told.data,
                        host.subscribers[3].told.data,
                        host.subscribers[2].told.size);
    host_close(&host);
    sim_io_free(sim);
}

static void a_checkpoint_does_not_end_a_history_that_has_begun(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 0);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{subscribe,{1,1},all,now}");
    write_much(&host, 40);
    acknowledge(&host, 0);
    pump(&host);
    run_job(&host); /* the first slice */
    pump(&host);
    assert_true(host.subscribers[0].overflow == 0);
    make_checkpoint(&host);
    write_much(&host, 40);
    settle(&host);
    same_as_the_prompt_one(&host, 0);

    /* Before it has begun, there is nothing to be done. */
    write_much(&host, 40);
    make_checkpoint(&host);
    settle(&host);
    assert_int_not_equal(host.subscribers[0].overflow, 0);
    expect(&host,
           test_format("{subscribe,{1,0},all,%llu}",
                       (unsigned long long)host.subscribers[0].overflow),
           "{error,{no_history,");
    host_close(&host);
    sim_io_free(sim);
}

static void a_checkpoint_between_manifest_and_files_is_no_damage(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 0);
    call(&host, "{create_table,t,to_one,#{}}");
    write_much(&host, 3);
    make_checkpoint(&host);
    write_much(&host, 3);
    expect(&host, "{subscribe,{1,0},all,5}", "{ok,{subscribed,7}}");
    /* What it is going to open has gone when it looks. */
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_OPEN),
                                        .at = 2,
                                        .error = ENOENT});
    settle(&host);
    assert_int_equal(host.subscribers[0].overflow, 0);
    assert_true(host.subscribers[0].told.size > 1000000);
    host_close(&host);
    sim_io_free(sim);
}

static void damage_ends_a_history_and_nothing_else(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    test_clock = 50;
    host_open(&host, sim, SYNC_NONE, 0);
    feed_set_clock(host.feed, read_test_clock);
    for (size_t i = 0; i < COUNT(past); i++)
        call(&host, past[i]);
    sync_all(&host);
    sim_io_flip(sim, "log-0000000000000001.tlg", 300, 0x10);
    expect(&host, "{subscribe,{1,0},all,6}", "{ok,{subscribed,7}}");
    settle(&host);
    assert_int_equal(host.subscribers[0].overflow, 6);
    expect_told(&host, 0, "");
    /* It is not tried again at once. */
    expect(&host, "{subscribe,{1,0},all,6}", "{error,{no_history,");
    expect(&host, "{subscribe,{1,0},all,8}", "{ok,{subscribed,7}}");
    call(&host, "{insert,s,fwd,1}");
    expect_told(&host, 0, "{8,[{s,insert,1}]} ");
    test_clock += 60;
    sim_io_flip(sim, "log-0000000000000001.tlg", 300, 0x10);
    expect(&host, "{subscribe,{1,1},all,6}", "{ok,{subscribed,8}}");
    settle(&host);
    expect_told(&host, 1,
                test_format("%s{8,[{s,insert,1}]} ", strstr(past_told, "{6,")));
    host_close(&host);
    sim_io_free(sim);
}

/* Whatever call fails: it is told in full, or up to an overflow. */
static void files_that_cannot_be_read_end_a_history(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct sim_io *sim = sim_io_create();
        struct host host;
        const char *text;
        bool reached;

        host_open(&host, sim, SYNC_NONE, 0);
        for (size_t i = 0; i < COUNT(past); i++)
            call(&host, past[i]);
        expect(&host, "{subscribe,{1,0},all,1}", "{ok,{subscribed,7}}");
        reached = sim_io_calls(sim, SIM_ALL);
        sim_io_fail(sim,
                    (struct sim_fault){.kinds = SIM_ALL & ~SIM_KIND(SIM_CLOSE),
                                       .at = nth,
                                       .on = true,
                                       .error = EIO});
        reached = false;
        while (host.job_count) {
            uint64_t before = sim_io_calls(sim, SIM_ALL);

            run_job(&host);
            reached |= sim_io_calls(sim, SIM_ALL) - before >= nth;
            assert_int_equal(feed_pump(host.feed), ST_OK);
            take(&host);
            acknowledge(&host, 0);
        }
        sim_io_heal(sim);
        settle(&host);
        text = told(&host, 0);
        if (host.subscribers[0].overflow)
            assert_int_equal(strncmp(past_told, text, strlen(text)), 0);
        else
            assert_string_equal(text, past_told);
        host_close(&host);
        sim_io_free(sim);
        if (!reached)
            break;
    }
}

static void a_history_keeps_to_the_memory_limit(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    host_open(&host, sim, SYNC_NONE, 3 * MIB);
    call(&host, "{create_table,t,to_one,#{}}");
    for (unsigned i = 0; i < 40; i++)
        insert_big(&host, "t", i, 50000);
    expect(&host, "{subscribe,{1,0},all,2}", "{ok,{subscribed,41}}");
    settle(&host);
    assert_in_range(host.subscribers[0].overflow, 3, 40);
    expect(&host, "{subscribe,{1,0},all,41}", "{ok,{subscribed,41}}");
    settle(&host);
    assert_true(host.subscribers[0].overflow > 0);
    host_close(&host);
    sim_io_free(sim);
}

static void who_goes_takes_the_history_along(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    for (int when = 0; when < 4; when++) {
        size_t descriptors;

        host_open(&host, sim, SYNC_NONE, 0);
        if (!store_seq(host.store)) {
            call(&host, "{create_table,t,to_one,#{}}");
            write_much(&host, 6);
        }
        descriptors = sim_io_descriptors(sim);
        expect(&host, "{subscribe,{1,0},all,2}", "{ok,{subscribed,7}}");
        assert_int_equal(host.job_count, 1);
        if (when >= 1) { /* while it waits for an acknowledgement */
            run_job(&host);
            assert_true(sim_io_descriptors(sim) > descriptors);
            pump(&host);
        }
        while (when == 2 && !host.job_count) { /* during a later slice */
            acknowledge(&host, 0);
            pump(&host);
        }
        if (when == 3) {
            feed_stop(host.feed);
            host_close(&host);
            continue;
        }
        expect(&host, "{unsubscribe,{1,0}}", "{ok,unsubscribed}");
        settle(&host);
        assert_int_equal(sim_io_descriptors(sim), descriptors);
        host.subscribers[0].told.size = 0;

        /* And makes room for the next one. */
        expect(&host, "{subscribe,{1,0},all,7}", "{ok,{subscribed,7}}");
        settle(&host);
        assert_true(host.subscribers[0].told.size > 500000);
        host_close(&host);
    }
    sim_io_free(sim);
}

static void a_history_does_not_wait_for_ever(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;
    struct subscriber *other = &host.subscribers[2];

    (void)state;
    test_clock = 1;
    host_open(&host, sim, SYNC_NONE, 0);
    feed_set_clock(host.feed, read_test_clock);
    call(&host, "{create_table,t,to_one,#{}}");
    write_much(&host, 8);
    call(&host, "{subscribe,{1,0},all,2}");
    call(&host, "{subscribe,{1,2},all,2}");
    run_job(&host);
    pump(&host);
    assert_true(host.subscribers[0].owed > 0);
    assert_int_equal(other->events, 0);
    pump(&host);
    assert_int_equal(host.job_count, 0);
    test_clock += 3;
    pump(&host);
    for (int i = 0; i < 40; i++) {
        if (host.job_count)
            run_job(&host);
        pump(&host);
        acknowledge(&host, 2);
    }
    assert_true(other->told.size > 8 * 500000);
    settle(&host);
    assert_int_equal(host.subscribers[0].told.size, other->told.size);
    assert_memory_equal(host.subscribers[0].told.data, other->told.data,
                        other->told.size);

    /* Nobody else wants it: it has a minute. */
    host.subscribers[0].told.size = 0;
    call(&host, "{unsubscribe,{1,0}}");
    call(&host, "{subscribe,{1,0},all,2}");
    run_job(&host);
    pump(&host);
    test_clock += 59;
    pump(&host);
    assert_int_equal(host.job_count, 0);
    test_clock += 2;
    pump(&host);
    assert_int_equal(host.job_count, 1); /* that gives it back */
    settle(&host);
    assert_int_equal(host.subscribers[0].told.size, other->told.size);
    host_close(&host);
    sim_io_free(sim);
}

/* --- random mutations, and every way to fall behind ---------------------- */

/* What the prompt subscriber was told since `from`, but only of the table. */
static void filter_told(struct buffer *out, const struct subscriber *prompt,
                        uint64_t from, const char *only)
{
    size_t at = 0;

    while (at < prompt->told.size) {
        struct walk walk = {prompt->told.data + at};
        struct buffer kept = BUFFER(test_mem());
        uint32_t count, left = 0;
        uint64_t seq;

        at += etf_size(walk.at);
        assert_true(walk_tuple(&walk, 2));
        assert_true(walk_u64(&walk, &seq));
        assert_true(walk_list(&walk, &count));
        while (count-- > 0) {
            struct bytes change = walk_term(&walk);
            struct walk inner = {change.data};

            assert_true(walk_tuple(&inner, 3));
            if (only && !walk_atom(&inner, only))
                continue;
            test_append(&kept, change.data, change.size);
            left++;
        }
        if (left && seq >= from) {
            assert_int_equal(etf_put_tuple(out, 2), ST_OK);
            assert_int_equal(etf_put_u64(out, seq), ST_OK);
            assert_int_equal(etf_put_list(out, left), ST_OK);
            test_append(out, kept.data, kept.size);
            assert_int_equal(etf_put_nil(out), ST_OK);
        }
        buffer_free(&kept);
    }
}

/* Lets the prompt subscriber hear of everything. Time passes, so that nobody
 * keeps it from its history. */
static void keep_up(struct host *host, struct mirror *mirror)
{
    sync_all(host);
    for (int i = 0; mirror->seq < store_seq(host->store); i++) {
        assert_true(i < 1000);
        test_clock++;
        acknowledge(host, 1);
        pump(host);
        if (host->job_count)
            run_job(host);
        mirror_follow(mirror, &host->subscribers[1]);
    }
}

/* Takes the marks, {Seq, []}, out of what was told: who gets one depends. */
static void drop_marks(struct buffer *told)
{
    size_t kept = 0;

    for (size_t at = 0; at < told->size;) {
        struct walk walk = {told->data + at};
        struct bytes pair = walk_term(&walk);

        walk.at = pair.data;
        walk_tuple(&walk, 2);
        walk_term(&walk);
        if (walk.at[0] != ETF_NIL) {
            memmove(told->data + kept, pair.data, pair.size);
            kept += pair.size;
        }
        at += pair.size;
    }
    told->size = kept;
}

/*
 * Subscribers come, are slow, and go; the log is written, synced, rolled and
 * checkpointed; the ring breaks. Each is told what the prompt one was.
 */
static void everybody_is_told_the_same(void **state)
{
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, durable_scale(15))) {
        static const char *const filters[] = {"all", "[t1]", "[t2]", "[t7]"};
        static const char *const only[] = {NULL, "t1", "t2", "t7"};
        struct sim_io *sim = sim_io_create();
        struct buffer wanted = BUFFER(test_mem());
        enum sync_policy policy = (enum sync_policy)(seed % 3);
        uint64_t from[SUBSCRIBERS] = {0};
        unsigned filter[SUBSCRIBERS] = {0};
        struct mirror mirror = {NULL};
        struct random random;
        struct host host;

        random_init(&random, seed);
        printf("SEED=%llu\n", (unsigned long long)seed);
        host_open(&host, sim, policy, 0);
        feed_set_clock(host.feed, read_test_clock);
        call(&host, "{create_table,big,to_one,#{}}");
        call(&host, "{subscribe,{1,1},all,1}");
        keep_up(&host, &mirror);
        for (unsigned step = 0; step < 800; step++) {
            unsigned die = (unsigned)random_below(&random, 100);
            int i = 2 + (int)random_below(&random, SUBSCRIBERS - 2);

            if (die < 60) {
                call(&host, made_up_mutation(&random));
            } else if (die < 75) {
                acknowledge(&host, i);
            } else if (die < 85 && host.job_count) {
                run_job(&host);
            } else if (die < 88) {
                sync_all(&host);
            } else if (die < 89) {
                if (termlog_roll(host.log) == ST_OK)
                    sync_all(&host);
            } else if (die < 90 && random_below(&random, 3) == 0) {
                insert_big(&host, "big", 1, 17 * MIB);
            } else if (die < 91 && store_seq(host.store) >
                                       termlog_checkpoint_seq(host.log)) {
                keep_up(&host, &mirror); /* else it would be cut off */
                make_checkpoint(&host);
            } else if (die < 96 && !from[i]) {
                uint64_t seq = store_seq(host.store);

                from[i] = 1 + random_below(&random, seq + 1);
                filter[i] = (unsigned)random_below(&random, COUNT(filters));
                host.subscribers[i] =
                    (struct subscriber){.told = BUFFER(test_mem())};
                if (!strstr(
                        call(&host, test_format("{subscribe,{1,%d},%s,%llu}", i,
                                                filters[filter[i]],
                                                (unsigned long long)from[i])),
                        "{ok,"))
                    from[i] = 0;
            }
            pump(&host);
            if (random_below(&random, 3) == 0)
                keep_up(&host, &mirror);
            assert_int_equal(host.subscribers[1].overflow, 0);
        }
        sync_all(&host);
        settle(&host);
        sync_all(&host);
        settle(&host);
        mirror_follow(&mirror, &host.subscribers[1]);
        mirror_compare(&mirror, &host);
        for (int i = 2; i < SUBSCRIBERS; i++) {
            struct subscriber *subscriber = &host.subscribers[i];

            drop_marks(&subscriber->told);
            wanted.size = 0;
            if (from[i])
                filter_told(&wanted, &host.subscribers[1], from[i],
                            only[filter[i]]);
            if (subscriber->overflow)
                assert_true(subscriber->told.size <= wanted.size);
            else
                assert_int_equal(subscriber->told.size, wanted.size);
            if (subscriber->told.size)
                assert_memory_equal(subscriber->told.data, wanted.data,
                                    subscriber->told.size);
        }
        buffer_free(&wanted);
        mirror_free(&mirror);
        host_close(&host);
        sim_io_free(sim);
    }
}

/* --- the real program --------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

/* The system calls of the daemon are restricted, and it reads all the same. */
static void a_sealed_daemon_reads_its_log(void **state)
{
    static const char *const policies[] = {"always", "interval:10", "none"};
    char err[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        char directory[] = "/tmp/rhizome-feed-XXXXXX";
        const char *arguments[] = {"port",   "--dir",     mkdtemp(directory),
                                   "--sync", policies[i], NULL};
        struct buffer told = BUFFER(test_mem());
        struct client client;

        client_start(&client, arguments);
        assert_non_null(client_hello(&client));
        client_call(&client, "{create_table,t,to_one,#{}}");
        for (int n = 0; n < 300; n++)
            client_call(&client, test_format("{insert,t,fwd,{%d,was_%d_here}}",
                                             n % 10, n));
        assert_string_equal(client_call(&client, "{subscribe,{1,0},[t],1}"),
                            "{ok,{subscribed,301}}");
        client_call(&client, "{insert,t,fwd,{a,the_last_one}}");
        for (int n = 0; n < 30000; n++) {
            const char *events = client_events(&client);

            test_append_text(&told, events);
            if (strstr(events, "the_last_one"))
                break;
            client_call(&client, "{ping}");
        }
        test_append(&told, "", 1);
        assert_non_null(strstr((const char *)told.data, "the_last_one"));
        for (int n = 0; n < 300; n++)
            assert_non_null(
                strstr((const char *)told.data, test_format("was_%d_here", n)));

        /* It ends although a history is being read. */
        client_call(&client, "{subscribe,{1,1},[t],1}");
        assert_int_equal(client_finish(&client, err, sizeof(err)),
                         EXIT_STOPPED);
        assert_string_equal(err, "");
        buffer_free(&told);
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_tells_what_is_durable),
        cmocka_unit_test(the_past_is_told_from_the_log),
        cmocka_unit_test(what_a_checkpoint_covers_is_no_history),
        cmocka_unit_test(who_falls_behind_goes_on_from_the_log),
        cmocka_unit_test(a_checkpoint_does_not_end_a_history_that_has_begun),
        cmocka_unit_test(a_checkpoint_between_manifest_and_files_is_no_damage),
        cmocka_unit_test(damage_ends_a_history_and_nothing_else),
        cmocka_unit_test(files_that_cannot_be_read_end_a_history),
        cmocka_unit_test(a_history_keeps_to_the_memory_limit),
        cmocka_unit_test(who_goes_takes_the_history_along),
        cmocka_unit_test(a_history_does_not_wait_for_ever),
        cmocka_unit_test(everybody_is_told_the_same),
        cmocka_unit_test(whatever_a_log_holds_is_told),
        cmocka_unit_test(a_sealed_daemon_reads_its_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
