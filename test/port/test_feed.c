/*
 * test_feed.c -- what subscribers are told, held against what the store has
 * become: nothing twice, nothing left out, and memory that comes back.
 */
#include "port/feed.h"

#include "port/feed_host.h"

/* --- what is told ------------------------------------------------------- */

static void each_change_is_told(void **state)
{
    static const struct {
        const char *op;
        const char *told;
    } cases[] = {
        {"{create_table,s,set,#{}}", "{1,[{s,create,set}]} "},
        {"{insert,s,fwd,1}", "{2,[{s,insert,1}]} "},
        {"{insert,s,fwd,1}", ""},
        {"{delete,s,fwd,9}", ""},
        {"{insert_all,s,fwd,[2,3,[1,2]]}",
         "{3,[{s,insert,2},{s,insert,3},{s,insert,[1,2]}]} "},
        {"{delete,s,fwd,3}", "{4,[{s,delete,3}]} "},

        {"{create_table,p,pom,#{}}", "{5,[{p,create,pom}]} "},
        {"{insert_row,p,v}", "{6,[{p,insert,{1,v}}]} "},
        {"{insert_rows,p,[v,w]}", "{7,[{p,insert,{2,v}},{p,insert,{3,w}}]} "},
        {"{update_row,p,1,x}", "{8,[{p,delete,{1,v}},{p,insert,{1,x}}]} "},
        {"{batch,[{update_row,p,1,y},{update_row,p,1,z}]}",
         "{9,[{p,delete,{1,x}},{p,insert,{1,y}},{p,delete,{1,y}},"
         "{p,insert,{1,z}}]} "},
        {"{delete_key,p,fwd,2}", "{10,[{p,delete,{2,v}}]} "},

        {"{create_table,o,to_one,#{}}", "{11,[{o,create,to_one}]} "},
        {"{insert,o,fwd,{a,1}}", "{12,[{o,insert,{a,1}}]} "},
        {"{insert,o,fwd,{a,2}}", "{13,[{o,delete,{a,1}},{o,insert,{a,2}}]} "},
        {"{batch,[{insert,o,fwd,{a,3}},{insert,o,fwd,{a,4}}]}",
         "{14,[{o,delete,{a,2}},{o,insert,{a,3}},{o,delete,{a,3}},"
         "{o,insert,{a,4}}]} "},
        {"{delete,o,fwd,{a,4}}", "{15,[{o,delete,{a,4}}]} "},

        {"{create_table,m,to_many,#{}}", "{16,[{m,create,to_many}]} "},
        {"{insert_all,m,{fwd,k},[1,2]}",
         "{17,[{m,insert,{k,1}},{m,insert,{k,2}}]} "},
        {"{delete_key,m,fwd,k}", "{18,[{m,delete,{k,1}},{m,delete,{k,2}}]} "},

        {"{create_table,oo,one_to_one,#{}}", "{19,[{oo,create,one_to_one}]} "},
        {"{insert_all,oo,fwd,[{a,1},{b,2}]}",
         "{20,[{oo,insert,{a,1}},{oo,insert,{b,2}}]} "},
        {"{insert,oo,bwd,{2,a}}",
         "{21,[{oo,insert,{a,2}},{oo,delete,{a,1}},{oo,delete,{b,2}}]} "},

        {"{create_table,om,one_to_many,#{}}",
         "{22,[{om,create,one_to_many}]} "},
        {"{insert,om,fwd,{a,1}}", "{23,[{om,insert,{a,1}}]} "},
        {"{insert,om,fwd,{b,1}}",
         "{24,[{om,insert,{b,1}},{om,delete,{a,1}}]} "},

        {"{create_table,mo,many_to_one,#{}}",
         "{25,[{mo,create,many_to_one}]} "},
        {"{insert,mo,fwd,{a,1}}", "{26,[{mo,insert,{a,1}}]} "},
        {"{insert,mo,bwd,{2,a}}",
         "{27,[{mo,insert,{a,2}},{mo,delete,{a,1}}]} "},

        /* References: what goes elsewhere is told where it goes. */
        {"{create_table,mm,many_to_many,#{fwd=>{s,evict},bwd=>{s,evict}}}",
         "{28,[{mm,create,many_to_many}]} "},
        {"{insert_all,mm,fwd,[{1,2},{2,1},{2,2}]}",
         "{29,[{mm,insert,{1,2}},{mm,insert,{2,1}},{mm,insert,{2,2}}]} "},
        {"{delete,s,fwd,1}",
         "{30,[{s,delete,1},{mm,delete,{1,2}},{mm,delete,{2,1}}]} "},
        {"{clear_table,s}", "{31,[{s,clear,2},{mm,clear,1}]} "},

        /* The order of a batch is kept, whichever tables it goes through. */
        {"{batch,[{insert,s,fwd,7},{insert,mm,fwd,{7,7}},{insert,s,fwd,8}]}",
         "{32,[{s,insert,7},{mm,insert,{7,7}},{s,insert,8}]} "},
        {"{drop_table,mm}", "{33,[{mm,drop,many_to_many}]} "},

        /* What fails is not told, and what came before it is undone. */
        {"{batch,[{insert,s,fwd,9},{insert,nope,fwd,1}]}", ""},
        {"{insert_all,s,fwd,[10,11|12]}", ""},
        {"{create_table,s,pom,#{}}", ""},
        {"{insert,s,fwd,9}", "{34,[{s,insert,9}]} "},
        {"{with,#{idempotency_key=>k},{insert,s,fwd,10}}",
         "{35,[{s,insert,10}]} "},
        {"{with,#{idempotency_key=>k},{insert,s,fwd,10}}", ""},
    };
    struct host host;

    (void)state;
    open_in_memory(&host);
    expect(&host, "{subscribe,{1,0},all,now}", "{ok,{subscribed,0}}");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *text;

        call(&host, cases[i].op);
        text = told(&host, 0);
        if (strcmp(text, cases[i].told) != 0)
            fail_msg("%s\n  tells %s\n  and not %s", cases[i].op, text,
                     cases[i].told);
    }
    host_close(&host);
}

static void values_are_told_as_they_were_given(void **state)
{
    struct host host;
    uint8_t *pair;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    /* A string stays one in a value, and becomes a list in a key. */
    call(&host, "{insert,t,fwd,{\"ab\",\"cd\"}}");
    pair = host.subscribers[0].told.data;
    assert_non_null(
        memmem(pair, host.subscribers[0].told.size, "\x6b\0\2cd", 5));
    expect_told(&host, 0, "{2,[{t,insert,{[97,98],[99,100]}}]} ");
    host_close(&host);
}

static void tables_are_told_to_whom_they_are_for(void **state)
{
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,a,set,#{}}");
    expect(&host, "{subscribe,{1,0},all,now}", "{ok,{subscribed,1}}");
    expect(&host, "{subscribe,{1,1},[b],now}", "{ok,{subscribed,1}}");
    expect(&host, "{subscribe,{1,2},[{x,1},a,b,a,\"nope\"],now}",
           "{ok,{subscribed,1}}");
    expect(&host, "{subscribe,{1,3},[],now}", "{ok,{subscribed,1}}");
    expect(&host, "{subscribe,{1,4},['$keys','$answers'],now}",
           "{ok,{subscribed,1}}");
    expect(&host, "{subscribe,{1,5},\"ab\",now}", "{ok,{subscribed,1}}");
    call(&host, "{create_table,b,set,#{}}");
    call(&host, "{batch,[{insert,a,fwd,1},{insert,b,fwd,2},{insert,a,fwd,3}]}");
    call(&host, "{insert,a,fwd,4}");
    call(&host, "{create_table,97,set,#{}}");
    call(&host, "{with,#{idempotency_key=>k},{insert,a,fwd,5}}");

    expect_told(&host, 0,
                "{2,[{b,create,set}]} "
                "{3,[{a,insert,1},{b,insert,2},{a,insert,3}]} "
                "{4,[{a,insert,4}]} {5,[{97,create,set}]} "
                "{6,[{a,insert,5}]} ");
    expect_told(&host, 1, "{2,[{b,create,set}]} {3,[{b,insert,2}]} ");
    expect_told(&host, 2,
                "{2,[{b,create,set}]} "
                "{3,[{a,insert,1},{b,insert,2},{a,insert,3}]} "
                "{4,[{a,insert,4}]} {6,[{a,insert,5}]} ");
    expect_told(&host, 3, "");
    assert_non_null(strstr(told(&host, 4), "$answers,create,pom"));
    expect_told(&host, 5, "{5,[{97,create,set}]} ");
    host_close(&host);
}

static void a_mutation_for_nobody_is_passed_over(void **state)
{
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,a,set,#{}}");
    call(&host, "{create_table,b,set,#{}}");
    call(&host, "{subscribe,{1,0},[b],now}");
    for (int i = 0; i < 5000; i++)
        call(&host, test_format("{insert,a,fwd,%d}", i));
    assert_int_equal(host.subscribers[0].events, 0);
    call(&host, "{insert,b,fwd,1}");
    expect_told(&host, 0, "{5003,[{b,insert,1}]} ");
    host_close(&host);
}

static void what_is_still_there_can_be_asked_for(void **state)
{
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,a,set,#{}}");
    expect(&host, "{subscribe,{1,0},all,1}",
           "{error,{no_history,<<\"the changes from this seq on cannot be "
           "told; those from `oldest` on can\">>,#{oldest=>2}}}");
    expect(&host, "{subscribe,{1,0},all,3}", "{error,{no_history,");
    expect(&host, "{subscribe,{1,0},all,2}", "{ok,{subscribed,1}}");
    call(&host, "{insert,a,fwd,1}");
    call(&host, "{insert,a,fwd,2}");
    expect(&host, "{subscribe,{1,1},all,3}", "{ok,{subscribed,3}}");
    expect(&host, "{subscribe,{1,2},all,now}", "{ok,{subscribed,3}}");
    expect(&host, "{subscribe,{1,3},all,1}", "{error,{no_history,");
    expect(&host, "{subscribe,{1,3},all,0}", "{error,{no_history,");
    call(&host, "{insert,a,fwd,3}");
    expect_told(&host, 0,
                "{2,[{a,insert,1}]} {3,[{a,insert,2}]} {4,[{a,insert,3}]} ");
    expect_told(&host, 1, "{3,[{a,insert,2}]} {4,[{a,insert,3}]} ");
    expect_told(&host, 2, "{4,[{a,insert,3}]} ");
    host_close(&host);
}

static void the_ring_is_given_back_after_a_while(void **state)
{
    struct host host;
    size_t before;

    (void)state;
    open_in_memory(&host);
    test_clock = 1000;
    feed_set_clock(host.feed, read_test_clock);
    call(&host, "{create_table,t,to_one,#{}}");
    before = host.mem.used;
    call(&host, "{subscribe,{1,0},all,now}");
    insert_big(&host, "t", 1, MIB);
    test_clock += 100;
    insert_big(&host, "t", 2, MIB);
    expect(&host, "{unsubscribe,{1,0}}", "{ok,unsubscribed}");
    expect(&host, "{unsubscribe,{1,0}}", "{ok,absent}");
    assert_true(host.mem.used > before + 2 * MIB);

    test_clock += 59; /* it goes on meanwhile */
    call(&host, "{insert,t,fwd,{3,a}}");
    host.subscribers[0].told.size = 0;
    expect(&host, "{subscribe,{1,0},all,4}", "{ok,{subscribed,4}}");
    expect_told(&host, 0, "{4,[{t,insert,{3,a}}]} ");
    expect(&host, "{release_nobody}", "{error,{unknown_command,");
    assert_int_equal(feed_release_holder(host.feed, 2), 0);
    assert_int_equal(feed_release_holder(host.feed, 1), 1);
    test_clock += 60;
    call(&host, "{insert,t,fwd,{3,b}}");
    assert_true(host.mem.used < before + 65536);
    expect(&host, "{subscribe,{1,0},all,5}", "{error,{no_history,");

    /* And it begins anew. */
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{insert,t,fwd,{3,c}}");
    expect_told(&host, 0, "{6,[{t,delete,{3,b}},{t,insert,{3,c}}]} ");
    host_close(&host);
}

/* --- arguments ---------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
    static const struct {
        const char *op;
        const char *answer;
    } cases[] = {
        {"{subscribe,a,all,now}",
         "{error,{bad_argument,<<\"argument 1 of subscribe: must be {Holder, "
         "Number}, two integers from 0\">>,#{argument=>1}}}"},
        {"{subscribe,{1},all,now}", "{error,{bad_argument,"},
        {"{subscribe,{1,2,3},all,now}", "{error,{bad_argument,"},
        {"{subscribe,{-1,2},all,now}", "{error,{bad_argument,"},
        {"{subscribe,{1,a},all,now}", "{error,{bad_argument,"},
        {"{subscribe,{1,18446744073709551615},all,now}",
         "{error,{bad_argument,"},
        {"{subscribe,{1,2},some,now}", "{error,{bad_argument,"},
        {"{subscribe,{1,2},{a},now}", "{error,{bad_argument,"},
        {"{subscribe,{1,2},[a|b],now}", "{error,{bad_argument,"},
        {"{subscribe,{1,2},[a,#{b=>1,b=>2}],now}",
         "{error,{bad_argument,<<\"argument 2 of subscribe: a map in it holds "
         "the same key twice\">>,#{argument=>2,position=>1}}}"},
        {"{subscribe,{1,2},all,then}",
         "{error,{bad_argument,<<\"argument 3 of subscribe: must be now or a "
         "seq\">>,#{argument=>3}}}"},
        {"{subscribe,{1,2},all,-1}", "{error,{bad_argument,"},
        {"{subscribe,{1,2},all,[]}", "{error,{bad_argument,"},
        {"{subscribe,{1,0},all,now}",
         "{error,{bad_argument,<<\"there is a subscription of this name\">>,"},
        {"{subscribe,{1,2},all}", "{error,{wrong_arity,"},
        {"{unsubscribe,[]}", "{error,{bad_argument,"},
        {"{feed_ack,{1,0},-1}",
         "{error,{bad_argument,<<\"argument 2 of feed_ack: must be a count of "
         "bytes\">>,#{argument=>2}}}"},
        {"{feed_ack,{1,0},a}", "{error,{bad_argument,"},
        {"{feed_ack,a,1}", "{error,{bad_argument,"},
        {"{feed_ack,{7,7},1}", "{ok,ok}"},
        {"{feed_ack,{1,0},9223372036854775807}", "{ok,ok}"},
        {"{batch,[{subscribe,{1,2},all,now}]}", "{error,{bad_argument,"},
    };
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{subscribe,{1,0},all,now}");
    for (size_t i = 0; i < COUNT(cases); i++)
        expect(&host, cases[i].op, cases[i].answer);
    call(&host, "{create_table,t,set,#{}}");
    expect_told(&host, 0, "{1,[{t,create,set}]} ");
    host_close(&host);
}

static void there_are_bounds(void **state)
{
    struct buffer text = BUFFER(test_mem());
    struct host host;

    (void)state;
    open_in_memory(&host);
    test_append_text(&text, "{subscribe,{1,1},[");
    for (int i = 0; i < FEED_TABLES_MAX; i++)
        test_append_text(&text, test_format("%d,", i));
    test_append_text(&text, "a],now}");
    test_append(&text, "", 1);
    expect(&host, (const char *)text.data,
           "{error,{too_big,<<\"a subscription names more tables than "
           "`limit`\">>,#{position=>1000,limit=>1000}}}");

    text.size = 0;
    test_append_text(&text, "{subscribe,{1,1},[<<\"");
    for (int i = 0; i < 300; i++)
        test_append_text(&text, "n");
    test_append_text(&text, "\">>],now}");
    test_append(&text, "", 1);
    expect(&host, (const char *)text.data,
           "{error,{too_big,<<\"a table's name takes more bytes than "
           "`limit`\">>,#{position=>0,limit=>255}}}");

    for (int i = 0; i < FEED_SUBSCRIPTIONS_MAX; i++)
        expect(&host, test_format("{subscribe,{%d,%d},[t],now}", 2 + i % 7, i),
               "{ok,{subscribed,0}}");
    expect(&host, "{subscribe,{1,0},all,now}",
           "{error,{too_big,<<\"there are as many subscriptions as may be, or "
           "they name too many tables\">>,#{limit=>1000}}}");
    assert_int_equal(feed_release_holder(host.feed, 3), 143);
    expect(&host, "{subscribe,{1,0},all,now}", "{ok,{subscribed,0}}");
    for (int i = 2; i < 9; i++)
        feed_release_holder(host.feed, i);
    call(&host, "{create_table,t,set,#{}}");
    expect_told(&host, 0, "{1,[{t,create,set}]} ");
    buffer_free(&text);
    host_close(&host);
}

/* --- credit ------------------------------------------------------------- */

static void a_window_is_all_that_is_on_its_way(void **state)
{
    struct host host;
    struct subscriber *slow = &host.subscribers[0];
    struct subscriber *fast = &host.subscribers[1];

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{subscribe,{1,1},all,now}");
    for (unsigned i = 0; i < 1000; i++) {
        insert_big(&host, "t", i, 1000);
        acknowledge(&host, 1);
    }
    assert_in_range(slow->owed, 256 << 10, (256 << 10) + 1100);
    assert_true(slow->event_max < 2000);
    assert_true(fast->told.size > 1000 * 1000);

    /* What waited comes in events of 64 KiB and a little. */
    expect(&host, test_format("{feed_ack,{1,0},%zu}", slow->owed - 1),
           "{ok,ok}");
    assert_in_range(slow->owed, 512 << 10, (512 << 10) + 70000);
    assert_in_range(slow->event_max, 64 << 10, (64 << 10) + 1100);
    settle(&host);
    assert_int_equal(slow->told.size, fast->told.size);
    assert_memory_equal(slow->told.data, fast->told.data, fast->told.size);

    /* An entry is never cut. */
    insert_big(&host, "t", 0, 3 * MIB);
    assert_true(slow->owed > 3 * MIB);
    call(&host, "{insert,t,fwd,{0,x}}");
    assert_int_equal(slow->overflow, 0);
    settle(&host);
    assert_int_equal(slow->told.size, fast->told.size);
    host_close(&host);
}

/* What a pump puts is bounded, and everybody has a turn. */
static void a_pump_stops_when_the_writer_is_full(void **state)
{
    struct host host;
    bool served[SUBSCRIBERS] = {false};
    unsigned pumps = 0;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,t,to_one,#{}}");
    for (int i = 0; i < SUBSCRIBERS; i++)
        call(&host, test_format("{subscribe,{1,%d},all,now}", i));
    host.payload.size = 0;
    for (unsigned i = 0; i < 6; i++)
        insert_big(&host, "t", i, 60000);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        host.subscribers[i].events = 0;
        acknowledge(&host, i);
    }
    for (unsigned i = 0; i < 6; i++) {
        store_begin(host.store); /* without a pump */
        assert_int_equal(
            table_clear(host.store, store_next_table(host.store, NULL)), ST_OK);
        store_rollback(host.store);
    }
    insert_big(&host, "t", 7, 900000);
    assert_true(feed_more(host.feed));
    for (;;) {
        for (int i = 0; i < SUBSCRIBERS; i++)
            served[i] |= host.subscribers[i].events > 0;
        if (!feed_more(host.feed))
            break;
        assert_int_equal(feed_pump(host.feed), ST_OK);
        assert_in_range(writer_size(&host.writer), 1, 3 * MIB);
        take(&host);
        pumps++;
    }
    assert_in_range(pumps, 2, SUBSCRIBERS);
    for (int i = 0; i < SUBSCRIBERS; i++)
        assert_true(served[i]);
    host_close(&host);
}

/* --- overflow ----------------------------------------------------------- */

static void who_falls_behind_in_memory_is_told_so(void **state)
{
    struct host host;
    uint64_t first;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{subscribe,{1,1},all,now}");
    for (unsigned i = 0; i < 40; i++) {
        insert_big(&host, "t", 1, 512 << 10);
        acknowledge(&host, 1);
        assert_true(host.mem.used < 20 * MIB);
    }
    /* The first event used up the window. */
    assert_int_equal(host.subscribers[0].events, 1);
    assert_int_equal(host.subscribers[0].overflow, 0);
    acknowledge(&host, 0);
    pump(&host);
    assert_int_equal(host.subscribers[0].overflow, 3);
    expect(&host, "{unsubscribe,{1,0}}", "{ok,absent}");
    expect(&host, "{subscribe,{1,0},all,3}", "{error,{no_history,");
    first = store_seq(host.store) - 10;
    host.subscribers[0].told.size = 0;
    expect(&host,
           test_format("{subscribe,{1,0},all,%llu}", (unsigned long long)first),
           "{ok,{subscribed,");
    settle(&host);
    assert_true(host.subscribers[0].told.size > 10 * 2 * (512 << 10));
    assert_int_equal(host.subscribers[1].overflow, 0);
    host_close(&host);
}

static void what_does_not_fit_into_the_ring_breaks_it(void **state)
{
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    call(&host, "{subscribe,{1,1},[u],now}");
    insert_big(&host, "t", 1, 17 * MIB);
    assert_int_equal(host.subscribers[0].overflow, 2);
    assert_int_equal(host.subscribers[1].overflow, 2);
    assert_true(host.mem.used < 70 * MIB); /* the frame's, not the ring's */
    expect(&host, "{subscribe,{1,0},all,2}", "{error,{no_history,");
    expect(&host, "{subscribe,{1,0},all,3}", "{ok,{subscribed,2}}");
    call(&host, "{insert,t,fwd,{2,a}}");
    expect_told(&host, 0, "{3,[{t,insert,{2,a}}]} ");
    host_close(&host);
}

/* --- marks --------------------------------------------------------------- */

/* It counts when the log is synced. */
static void write_checkpoint(struct host *host)
{
    struct checkpoint_job *job;
    struct checkpoint_result result;

    assert_int_equal(checkpoint_begin(host->store, host->log, &job), ST_OK);
    assert_non_null(job);
    checkpoint_run(job);
    assert_int_equal(checkpoint_end(job, host->log, &result), ST_OK);
}

static void place_checkpoint(struct host *host)
{
    write_checkpoint(host);
    sync_all(host);
    assert_int_equal(termlog_checkpoint_seq(host->log), store_seq(host->store));
}

static void open_with_two_tables(struct host *host, struct sim_io *sim,
                                 enum sync_policy policy)
{
    host_open(host, sim, policy, 0);
    call(host, "{create_table,a,to_one,#{}}");
    call(host, "{create_table,b,to_one,#{}}");
    if (sim)
        sync_all(host);
}

static void a_checkpoint_is_marked_for_the_quiet(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    open_with_two_tables(&host, sim, SYNC_NONE);
    expect(&host, "{subscribe,{1,0},[b],now}", "{ok,{subscribed,2}}");
    call(&host, "{subscribe,{1,1},all,now}");
    call(&host, "{insert,a,fwd,{1,x}}");
    call(&host, "{insert,a,fwd,{2,x}}");
    expect(&host, "{subscribe,{1,2},[b],now}", "{ok,{subscribed,4}}");
    expect_told(&host, 0, "");
    place_checkpoint(&host);
    pump(&host);
    expect_told(&host, 0, "{4,[]} ");
    expect_told(&host, 1, "{3,[{a,insert,{1,x}}]} {4,[{a,insert,{2,x}}]} ");
    expect_told(&host, 2, ""); /* it has begun there */
    pump(&host);
    expect_told(&host, 0, "");

    /* Changes that are told say the same, and one behind is no mark's. */
    call(&host, "{insert,b,fwd,{1,x}}");
    place_checkpoint(&host);
    call(&host, "{insert,a,fwd,{3,x}}");
    expect_told(&host, 0, "{5,[{b,insert,{1,x}}]} ");
    place_checkpoint(&host);
    call(&host, "{insert,b,fwd,{2,x}}");
    expect_told(&host, 0, "{7,[{b,insert,{2,x}}]} ");
    expect_told(&host, 2, "{5,[{b,insert,{1,x}}]} {7,[{b,insert,{2,x}}]} ");

    call(&host, "{insert,a,fwd,{4,x}}");
    place_checkpoint(&host);
    pump(&host);
    expect_told(&host, 0, "{8,[]} ");
    call(&host, "{insert,b,fwd,{3,x}}");
    host_close(&host);

    /* Where that counts: after a restart, with no ring. */
    host_open(&host, sim, SYNC_NONE, 0);
    expect(&host, "{subscribe,{1,0},[b],8}", "{error,{no_history,");
    expect(&host, "{subscribe,{1,0},[b],9}", "{ok,{subscribed,9}}");
    settle(&host);
    expect_told(&host, 0, "{9,[{b,insert,{3,x}}]} ");
    host_close(&host);
    sim_io_free(sim);
}

static void the_ring_is_marked_for_the_quiet(void **state)
{
    struct host host;
    char text[64];
    unsigned long long seq;

    (void)state;
    open_with_two_tables(&host, NULL, SYNC_NONE);
    call(&host, "{subscribe,{1,0},[b],now}");
    call(&host, "{subscribe,{1,1},[a],now}");
    for (unsigned i = 0; i < 15; i++) {
        insert_big(&host, "a", 1, 512 << 10);
        acknowledge(&host, 1);
    }
    expect_told(&host, 0, "");
    for (unsigned i = 0; i < 25; i++) {
        insert_big(&host, "a", 1, 512 << 10);
        acknowledge(&host, 1);
    }
    /* An entry has two values: the ring has gone by more than twice. */
    assert_in_range(host.subscribers[0].events, 2, 3);
    assert_int_equal(host.subscribers[1].events, 40);
    expect(&host, "{subscribe,{1,2},[b],3}", "{error,{no_history,");
    snprintf(text, sizeof(text), "%s", told(&host, 0));
    assert_int_equal(sscanf(strrchr(text, '{'), "{%llu,[]}", &seq), 1);
    assert_in_range(seq, 20, 42);
    expect(&host, "{unsubscribe,{1,0}}", "{ok,unsubscribed}");
    expect(&host, test_format("{subscribe,{1,0},[b],%llu}", seq + 1),
           "{ok,{subscribed,42}}");
    call(&host, "{insert,b,fwd,{1,x}}");
    expect_told(&host, 0, "{43,[{b,insert,{1,x}}]} ");
    host_close(&host);
}

static void a_mark_needs_credit(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;
    struct subscriber *quiet = &host.subscribers[0];

    (void)state;
    open_with_two_tables(&host, sim, SYNC_NONE);
    call(&host, "{subscribe,{1,0},[b],now}");
    insert_big(&host, "b", 1, 300 << 10);
    assert_int_equal(quiet->events, 1);
    quiet->told.size = 0;
    call(&host, "{insert,a,fwd,{1,x}}");
    place_checkpoint(&host);
    pump(&host);
    call(&host, "{insert,a,fwd,{2,x}}");
    place_checkpoint(&host);
    pump(&host);
    expect_told(&host, 0, "");
    acknowledge(&host, 0);
    pump(&host);
    expect_told(&host, 0, "{5,[]} "); /* one for both */
    assert_in_range(quiet->owed, 1, 20);
    host_close(&host);
    sim_io_free(sim);
}

static void a_mark_is_durable_under_always(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct host host;

    (void)state;
    open_with_two_tables(&host, sim, SYNC_ALWAYS);
    call(&host, "{subscribe,{1,0},[b],now}");
    call(&host, "{insert,a,fwd,{1,x}}");
    write_checkpoint(&host);
    call(&host, "{insert,a,fwd,{2,x}}");
    expect_told(&host, 0, "");
    assert_int_equal(termlog_sync_begin(host.log, &host.sync), ST_OK);
    call(&host, "{insert,a,fwd,{3,x}}");
    termlog_sync_run(host.sync);
    pump(&host);
    expect_told(&host, 0, "");
    assert_int_equal(termlog_sync_end(host.log, host.sync), ST_OK);
    host.sync = NULL;
    assert_int_equal(termlog_checkpoint_seq(host.log), 3);
    assert_int_equal(termlog_durable(host.log), 4);
    pump(&host);
    expect_told(&host, 0, "{4,[]} "); /* the store is at 5 */
    sync_all(&host);
    pump(&host);
    expect_told(&host, 0, "");
    host_close(&host);
    sim_io_free(sim);
}

/* --- forks, and what a `with` says -------------------------------------- */

static void a_commit_is_told_as_one_seq(void **state)
{
    struct host host;

    (void)state;
    open_in_memory(&host);
    call(&host, "{create_table,s,set,#{}}");
    call(&host, "{create_table,t,to_one,#{}}");
    call(&host, "{subscribe,{1,0},all,now}");
    expect(&host, "{fork,{5,1},head,[{insert,s,fwd,1}]}", "{ok,{2,");
    expect(&host, "{with,#{at=>{5,1}},{insert,t,fwd,{1,a}}}", "{ok,{inserted");
    expect_told(&host, 0, "");
    call(&host, "{insert,s,fwd,9}");
    expect_told(&host, 0, "{3,[{s,insert,9}]} ");
    expect(&host, "{commit,{5,1},[{insert,t,fwd,{1,b}}]}", "{ok,{4,");
    expect_told(&host, 0,
                "{4,[{s,insert,1},{t,insert,{1,a}},{t,delete,{1,a}},"
                "{t,insert,{1,b}}]} ");

    /* What comes to nothing is not told. */
    call(&host, "{fork,{5,2},head,[{member,s,fwd,1}]}");
    call(&host, "{fork,{5,3},head,[{insert,s,fwd,2}]}");
    call(&host, "{fork,{5,4},head,[]}");
    call(&host, "{delete,s,fwd,1}");
    expect(&host, "{commit,{5,2},[{insert,s,fwd,7}]}", "{error,{conflict,");
    expect(&host, "{release,{5,3}}", "{ok,released}");
    expect(&host, "{commit,{5,4},[]}", "{ok,");
    expect(&host, "{with,#{expect=>1},{insert,s,fwd,8}}", "{error,{stale,");
    expect(&host, "{with,#{expect=>5},{insert,s,fwd,8}}", "{ok,{6,");
    expect_told(&host, 0, "{5,[{s,delete,1}]} {6,[{s,insert,8}]} ");
    host_close(&host);
}

/* --- no memory ---------------------------------------------------------- */

/* Fails the 1st, 2nd, 3rd ... allocation of the session's account from a
 * subscription to the telling. A mutation is answered or not, but what was
 * committed is told, or an overflow is. */
static void without_memory_nothing_is_told_wrong(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        static const char *const ops[] = {
            "{subscribe,{1,0},[t,u],now}",
            "{insert,t,fwd,{1,a}}",
            "{insert,t,fwd,{2,b}}",
            "{delete_key,t,fwd,1}",
        };
        struct host host;
        const char *text;
        char *subscribed = NULL;

        open_in_memory(&host);
        call(&host, "{create_table,t,to_one,#{}}");
        mem_fail_at(&host.mem, nth, false);
        for (size_t i = 0; i < COUNT(ops); i++) {
            uint64_t seq = store_seq(host.store);
            uint8_t version = ETF_VERSION;
            enum status st;

            host.payload.size = 0;
            test_append(&host.payload, &version, 1);
            term_parse(&host.payload, test_format("{1,%s}", ops[i]));
            st = commands_open(host.commands, buffer_bytes(&host.payload));
            while (st == ST_OK && commands_busy(host.commands))
                st = commands_step(host.commands);
            if (st == ST_OK)
                st = feed_pump(host.feed);
            assert_true(st == ST_OK || st == ST_NO_MEMORY);
            text = take(&host);
            if (i == 0)
                subscribed = strstr(text, "subscribed") ? "yes" : NULL;
            else if (i < 3 && store_seq(host.store) > seq && st == ST_OK)
                assert_non_null(strstr(text, "{ok,{inserted,"));
        }
        mem_fail_at(&host.mem, 0, false);
        settle(&host);
        if (!subscribed)
            assert_int_equal(host.subscribers[0].told.size, 0);
        else if (!host.subscribers[0].overflow && store_seq(host.store) == 4)
            expect_told(&host, 0,
                        "{2,[{t,insert,{1,a}}]} {3,[{t,insert,{2,b}}]} "
                        "{4,[{t,delete,{1,a}}]} ");
        if (subscribed && host.subscribers[0].overflow) {
            expect(&host, "{subscribe,{1,0},all,now}", "{ok,");
            host.subscribers[0].told.size = 0;
            call(&host, "{create_table,u,set,#{}}");
            text = told(&host, 0);
            assert_non_null(strstr(text, "{u,create,set}"));
        }
        text = host.mem.fail_at ? NULL : "done";
        host_close(&host);
        if (nth > 40)
            break;
    }
}

/* The note alone: the mutation goes on, whatever fails. */
static void a_note_without_memory_does_not_fail_the_mutation(void **state)
{
    struct host host;

    (void)state;
    for (uint64_t nth = 1; nth <= 9; nth++) {
        uint64_t seq;

        open_in_memory(&host);
        call(&host, "{create_table,t,to_one,#{}}");
        call(&host, "{subscribe,{1,0},all,now}");
        store_begin(host.store);
        assert_int_equal(
            store_table_drop(host.store, store_next_table(host.store, NULL)),
            ST_OK);
        seq = store_seq(host.store) + 1;
        mem_fail_at(&host.mem, nth, true);
        feed_note(host.feed, seq);
        mem_fail_at(&host.mem, 0, false);
        store_commit(host.store);
        commands_forget_table(host.commands);
        settle(&host);
        if (host.subscribers[0].overflow)
            assert_int_equal(host.subscribers[0].overflow, seq);
        else
            expect_told(&host, 0, "{2,[{t,drop,to_one}]} ");
        assert_true(nth < 9 || !host.subscribers[0].overflow);
        host_close(&host);
    }
}

/* --- random mutations against a model ----------------------------------- */

static void changes_make_the_store(void **state)
{
    uint64_t seed = 0;

    (void)state;
    while (next_seed(&seed, durable_scale(60))) {
        struct random random;
        struct mirror mirror = {NULL};
        struct host host;

        random_init(&random, seed);
        printf("SEED=%llu\n", (unsigned long long)seed);
        open_in_memory(&host);
        call(&host, "{subscribe,{1,0},all,now}");
        for (unsigned step = 0; step < 400; step++) {
            call(&host, made_up_mutation(&random));
            if (random_below(&random, 3))
                acknowledge(&host, 0);
            mirror_follow(&mirror, &host.subscribers[0]);
            if (step % 20 == 0)
                mirror_compare(&mirror, &host);
        }
        settle(&host);
        mirror_follow(&mirror, &host.subscribers[0]);
        mirror_compare(&mirror, &host);
        mirror_free(&mirror);
        host_close(&host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_told),
        cmocka_unit_test(values_are_told_as_they_were_given),
        cmocka_unit_test(tables_are_told_to_whom_they_are_for),
        cmocka_unit_test(a_mutation_for_nobody_is_passed_over),
        cmocka_unit_test(what_is_still_there_can_be_asked_for),
        cmocka_unit_test(the_ring_is_given_back_after_a_while),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(there_are_bounds),
        cmocka_unit_test(a_window_is_all_that_is_on_its_way),
        cmocka_unit_test(a_pump_stops_when_the_writer_is_full),
        cmocka_unit_test(who_falls_behind_in_memory_is_told_so),
        cmocka_unit_test(what_does_not_fit_into_the_ring_breaks_it),
        cmocka_unit_test(a_checkpoint_is_marked_for_the_quiet),
        cmocka_unit_test(the_ring_is_marked_for_the_quiet),
        cmocka_unit_test(a_mark_needs_credit),
        cmocka_unit_test(a_mark_is_durable_under_always),
        cmocka_unit_test(without_memory_nothing_is_told_wrong),
        cmocka_unit_test(a_note_without_memory_does_not_fail_the_mutation),
        cmocka_unit_test(changes_make_the_store),
        cmocka_unit_test(a_commit_is_told_as_one_seq),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
