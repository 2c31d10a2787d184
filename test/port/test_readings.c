/*
 * test_readings.c -- long reads: what they see, what ends them, and that
 * nothing of them is left.
 *
 * Most tests have commands without a process around them, and a host that
 * runs a job when the test says so. The last ones are about the real daemon.
 */
#include "port/readings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/exit.h"
#include "core/filter.h"
#include "core/key.h"
#include "log/recover.h"
#include "port/call.h"
#include "port/replay.h"
#include "support/client.h"
#include "support/random.h"
#include "support/sim_io.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define JOBS_MAX 8
#define RUNNING_MAX 2

struct daemon {
    struct mem mem;
    struct store *store;
    struct writer writer;
    struct commands *commands;
    struct readings *readings;
    struct job *jobs[JOBS_MAX]; /* started and not run */
    size_t job_count;
    bool refuses; /* jobs */
    struct buffer payload;
    struct buffer text;

    /* With a log. */
    struct sim_io *sim;
    struct io *io;
    struct recovery recovery;
    struct termlog *log;
};

static enum status start_job(void *context, struct job *job)
{
    struct daemon *daemon = context;

    if (daemon->refuses)
        return ST_NO_MEMORY;
    assert_true(daemon->job_count < JOBS_MAX);
    daemon->jobs[daemon->job_count++] = job;
    return ST_OK;
}

static void daemon_open(struct daemon *daemon)
{
    const struct job_host host = {start_job, daemon};

    memset(daemon, 0, sizeof(*daemon));
    mem_init(&daemon->mem, 0);
    assert_int_equal(store_create(NULL, &daemon->store), ST_OK);
    writer_init(&daemon->writer, &daemon->mem, 64 << 20);
    assert_int_equal(commands_create(daemon->store, &daemon->mem,
                                     &daemon->writer, &daemon->commands),
                     ST_OK);
    daemon->readings = commands_readings(daemon->commands);
    readings_set_host(daemon->readings, LANE_READS, &host, RUNNING_MAX);
    daemon->payload = BUFFER(test_mem());
    daemon->text = BUFFER(test_mem());
}

/* Runs the job that was started first. */
static void job_run(struct daemon *daemon)
{
    struct job *job = daemon->jobs[0];

    assert_true(daemon->job_count > 0);
    daemon->job_count--;
    memmove(daemon->jobs, daemon->jobs + 1, daemon->job_count * sizeof(job));
    job->run(job);
    job->end(job);
}

static void run_all(struct daemon *daemon)
{
    readings_look(daemon->readings, SIZE_MAX);
    while (daemon->job_count) {
        job_run(daemon);
        readings_look(daemon->readings, SIZE_MAX);
    }
    assert_int_equal(readings_count(daemon->readings), 0);
    assert_int_equal(commands_later_count(daemon->commands), 0);
}

static void daemon_close(struct daemon *daemon)
{
    char why[256] = "";

    run_all(daemon);
    if (!store_check(daemon->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
    commands_free(daemon->commands);
    if (daemon->log) {
        termlog_free(daemon->log);
        recovery_free(&daemon->recovery);
    }
    writer_deinit(&daemon->writer);
    store_free(daemon->store);
    if (daemon->sim) {
        io_free(daemon->io);
        sim_io_free(daemon->sim);
    }
    buffer_free(&daemon->payload);
    buffer_free(&daemon->text);
    assert_int_equal(daemon->mem.used, 0);
}

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

/* --- requests ----------------------------------------------------------- */

static enum status run(struct daemon *daemon, const char *text)
{
    uint8_t version = ETF_VERSION;
    enum status st;

    daemon->payload.size = 0;
    test_append(&daemon->payload, &version, 1);
    term_parse(&daemon->payload, text);
    st = commands_open(daemon->commands, buffer_bytes(&daemon->payload));
    while (st == ST_OK && commands_busy(daemon->commands))
        st = commands_step(daemon->commands);
    return st;
}

/* What is in the writer, as text, and then forgotten: "1:{ok,pong} ". */
static const char *replies(struct daemon *daemon)
{
    struct bytes frame = writer_frame(&daemon->writer);
    const uint8_t *at = frame.data + 10;

    daemon->text.size = 0;
    for (uint32_t n = frame.size ? daemon->writer.replies : 0; n > 0; n--) {
        const uint8_t *second = at + 2 + etf_size(at + 2);
        size_t size;

        assert_int_equal(etf_validate(bytes_of(at, frame.size), &size, NULL),
                         ST_OK);
        term_print(&daemon->text, at + 2);
        test_append_text(&daemon->text, ":");
        assert_int_equal(second[0], ETF_BINARY);
        assert_int_equal(load_be32(second + 1), 1 + etf_size(second + 6));
        term_print(&daemon->text, second + 6);
        test_append_text(&daemon->text, " ");
        at += etf_size(at);
    }
    test_append(&daemon->text, "", 1);
    writer_clear(&daemon->writer);
    return (const char *)daemon->text.data;
}

static void expect(struct daemon *daemon, const char *requests,
                   const char *wanted)
{
    const char *text;

    assert_int_equal(run(daemon, requests), ST_OK);
    text = replies(daemon);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s\n  answers %.2000s\n  and not %s", requests, text, wanted);
}

/* One Op and its answer, on a worker if it must be. */
static const char *call(struct daemon *daemon, const char *op)
{
    assert_int_equal(run(daemon, test_format("[{1,%s}]", op)), ST_OK);
    run_all(daemon);
    return replies(daemon) + 2;
}

static void expect_call(struct daemon *daemon, const char *op,
                        const char *wanted)
{
    const char *text = call(daemon, op);

    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("%s\n  answers %.2000s\n  and not %s", op, text, wanted);
}

/* Integers from `from` up to `to` as a list; with `pair` {N div 4, N}. */
static char *numbers(unsigned from, unsigned to, bool pair)
{
    struct buffer text = BUFFER(test_mem());
    char room[64];

    test_append_text(&text, "[");
    for (unsigned n = from; n < to; n++) {
        const char *comma = n == from ? "" : ",";

        if (pair)
            snprintf(room, sizeof(room), "%s{%u,%u}", comma, n / 4, n);
        else
            snprintf(room, sizeof(room), "%s%u", comma, n);
        test_append_text(&text, room);
    }
    test_append(&text, "]", 2);
    return keep(text);
}

/* A table `t` of a set 0 .. count - 1. */
static void fill_set(struct daemon *daemon, unsigned count)
{
    expect_call(daemon, "{create_table,t,set,#{}}", "{ok,created}");
    expect_call(daemon,
                test_format("{insert_all,t,fwd,%s}", numbers(0, count, false)),
                "{ok,{");
}

#define SCAN "{scan,t,fwd,elements,asc,none,none,100000}"

/* --- what goes to a worker, and what it sees ---------------------------- */

static void short_reads_are_answered_at_once(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, LOOP_ELEMENTS_MAX);
    assert_int_equal(run(&daemon, "[{1," SCAN "}]"), ST_OK);
    assert_int_equal(readings_count(daemon.readings), 0);
    assert_string_equal(
        replies(&daemon),
        test_format("1:{ok,%s,done} ", numbers(0, LOOP_ELEMENTS_MAX, false)));
    expect_call(&daemon, "{insert,t,fwd,a}", "{ok,");
    /* One more is long; a limit, and a limit of rows, make it short. */
    expect(&daemon, "[{1," SCAN "}]", "");
    assert_int_equal(readings_count(daemon.readings), 1);
    run_all(&daemon);
    assert_string_equal(replies(&daemon),
                        test_format("1:{ok,%.*s,a],done} ",
                                    (int)strlen(numbers(0, 256, false)) - 1,
                                    numbers(0, 256, false)));
    expect(&daemon,
           "[{1,{scan,t,fwd,elements,desc,none,none,2}},"
           "{2,{with,#{rows=>2}," SCAN "}},{3,{count,t,fwd,none,none}}]",
           "1:{ok,[a,255],{after,255}} 2:{ok,[0,1],{after,1},row_limit} "
           "3:{ok,257} ");
    daemon_close(&daemon);
}

static void large_elements_go_over_to_a_worker(void **state)
{
    struct daemon daemon;
    char *value = malloc(40001);

    (void)state;
    memset(value, 'x', 40000);
    value[40000] = 0;
    daemon_open(&daemon);
    expect_call(&daemon, "{create_table,p,pom,#{}}", "{ok,created}");
    for (int i = 0; i < 4; i++)
        expect_call(&daemon, test_format("{insert_row,p,<<\"%s\">>}", value),
                    "{ok,");
    expect(&daemon, "[{1,{scan,p,fwd,values,asc,none,none,9}}]", "");
    assert_int_equal(readings_count(daemon.readings), 1);
    run_all(&daemon);
    assert_string_equal(
        replies(&daemon),
        test_format(
            "1:{ok,[<<\"%s\">>,<<\"%s\">>,<<\"%s\">>,<<\"%s\">>],done} ", value,
            value, value, value));
    /* So do conditions that have much to look at. */
    expect(&daemon,
           "[{1,{with,#{where=>{'=:=',value,{a}}},"
           "{count,p,fwd,none,none}}}]",
           "");
    assert_int_equal(readings_count(daemon.readings), 1);
    run_all(&daemon);
    assert_string_equal(replies(&daemon), "1:{ok,0} ");
    free(value);
    daemon_close(&daemon);
}

static void a_reading_sees_its_moment_and_nothing_later(void **state)
{
    struct daemon daemon;
    size_t used;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    used = store_mem(daemon.store)->used;
    /* The insert before it in its frame is there, the one behind it not. */
    assert_int_equal(run(&daemon, "[{1,{insert,t,fwd,1000}},{2," SCAN
                                  "},{3,{insert,t,fwd,1001}}]"),
                     ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(daemon.job_count, 1);
    expect_call(&daemon, "{ping}",
                "{ok,{inserted,[],[]}} 3:{ok,{inserted,[],[]}} 1:{ok,pong} ");
    daemon_close(&daemon);

    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    assert_int_equal(run(&daemon, "[{2," SCAN "},{3,{clear_table,t}},"
                                  "{4,{insert,t,fwd,x}},{5,{drop_table,t}},"
                                  "{6,{create_table,t,to_one,#{}}}]"),
                     ST_OK);
    replies(&daemon);
    run_all(&daemon);
    assert_string_equal(replies(&daemon), test_format("2:{ok,%s,done} ",
                                                      numbers(0, 1000, false)));
    assert_true(store_mem(daemon.store)->used < used);
    daemon_close(&daemon);
}

/* What a failed command has undone leaves nodes that no snapshot before it has
 * seen; a read behind it must not share such a one. */
static void reads_behind_a_failure_see_one_state(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    expect_call(&daemon, "{snapshot,{1,1}}", "{ok,");
    expect_call(&daemon,
                "{batch,[{delete,t,fwd,500},{insert,t,fwd,2000},"
                "{insert,nowhere,fwd,1}]}",
                "{error,{no_table,");
    assert_int_equal(run(&daemon, "[{2," SCAN "}]"), ST_OK);
    assert_int_equal(run(&daemon, test_format("[{3,{delete_all,t,fwd,%s}}]",
                                              numbers(450, 550, false))),
                     ST_OK);
    replies(&daemon);
    run_all(&daemon);
    assert_string_equal(replies(&daemon), test_format("2:{ok,%s,done} ",
                                                      numbers(0, 1000, false)));
    daemon_close(&daemon);
}

static void replies_come_in_the_order_of_their_ends(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    expect(&daemon,
           "[{1,{with,#{where=>{'=:=',key,1}}," SCAN "}},"
           "{2,{with,#{where=>{'=:=',key,2}}," SCAN "}},"
           "{3,{with,#{where=>{'=:=',key,3}}," SCAN "}},{4,{ping}}]",
           "4:{ok,pong} ");
    /* None begins while too much waits to leave. */
    readings_look(daemon.readings, 0);
    assert_int_equal(daemon.job_count, 0);
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(daemon.job_count, RUNNING_MAX);
    expect_call(&daemon, "{info}", "{ok,");
    daemon_close(&daemon);

    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(
            run(&daemon,
                test_format("[{%d,{with,#{where=>{'=:=',key,%d}}," SCAN "}}]",
                            i, i)),
            ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    job_run(&daemon);
    assert_string_equal(replies(&daemon), "1:{ok,[1],done} ");
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(daemon.job_count, RUNNING_MAX);
    run_all(&daemon);
    assert_string_equal(replies(&daemon), "2:{ok,[2],done} 3:{ok,[3],done} "
                                          "4:{ok,[4],done} 5:{ok,[5],done} ");
    daemon_close(&daemon);
}

/* --- limits ------------------------------------------------------------- */

static void a_deadline_ends_it_where_it_is(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    /* They are too late while they wait. */
    expect(&daemon,
           "[{1,{with,#{deadline=>0}," SCAN "}},"
           "{2,{with,#{deadline=>0,where=>{'=:=',key,7}},"
           "{count,t,fwd,{incl,3},none}}},"
           "{3,{with,#{deadline=>0},"
           "{scan,t,fwd,elements,desc,{excl,900},none,5000}}}]",
           "");
    assert_int_equal(readings_due_ms(daemon.readings), 0);
    readings_look(daemon.readings, 0);
    assert_int_equal(readings_due_ms(daemon.readings), -1);
    assert_string_equal(
        replies(&daemon),
        "1:{ok,[],none,deadline} 2:{error,{deadline,<<\"the time for the "
        "request was up before it was done\">>,"
        "#{table=>t,count=>0,next=>{incl,3}}}} "
        "3:{ok,[],{excl,900},deadline} ");
    /* And while they run. */
    expect(&daemon, "[{1,{with,#{deadline=>20}," SCAN "}}]", "");
    assert_in_range(readings_due_ms(daemon.readings), 1, 21);
    readings_look(daemon.readings, SIZE_MAX);
    usleep(25000);
    job_run(&daemon);
    assert_string_equal(replies(&daemon), "1:{ok,[],none,deadline} ");
    expect_call(&daemon, "{with,#{deadline=>infinity}," SCAN "}", "{ok,[0,1");
    /* A short read has no time to be late. */
    expect_call(&daemon,
                "{with,#{deadline=>0},{scan,t,fwd,elements,asc,none,none,1}}",
                "{ok,[0],{after,0}}");
    daemon_close(&daemon);
}

/* The Items of an answer, and what follows them. */
struct page {
    struct buffer items; /* "1,2," */
    char next[4096];
    char why[32];
};

static void take_page(const char *text, struct page *page)
{
    int depth = 0;
    const char *at, *end;

    if (strncmp(text, "{ok,[", 5) != 0)
        fail_msg("no page: %.500s", text);
    at = text + 5;
    for (end = at; depth > 0 || *end != ']'; end++)
        depth += *end == '{' || *end == '[' || *end == '#'
                     ? (*end != '#')
                     : -(*end == '}' || *end == ']');
    test_append(&page->items, at, (size_t)(end - at));
    if (end > at)
        test_append_text(&page->items, ",");
    at = end + 2;
    for (end = at; depth > 0 || (*end != ',' && *end != '}'); end++)
        depth += *end == '{' || *end == '[' ? 1 : -(*end == '}' || *end == ']');
    snprintf(page->next, sizeof(page->next), "%.*s", (int)(end - at), at);
    page->why[0] = 0;
    if (*end == ',')
        snprintf(page->why, sizeof(page->why), "%.*s",
                 (int)strcspn(end + 1, "}"), end + 1);
}

/* All Items of a scan in pages; `limits` are options of `with`. The reasons
 * are counted in `whys`, by their first letter. */
static char *scan_all(struct daemon *daemon, const char *limits,
                      const char *scan, const char *to, unsigned limit,
                      unsigned whys[256])
{
    struct page page = {.items = BUFFER(test_mem())};
    char *own_limits = strdup(limits); /* test_format() reuses its strings */
    char *own_scan = strdup(scan);

    snprintf(page.next, sizeof(page.next), "none");
    for (unsigned n = 0; strcmp(page.next, "done") != 0; n++) {
        const char *text = call(
            daemon, test_format("{with,#{%s},{scan,%s,%s,%s,%u}}", own_limits,
                                own_scan, page.next, to, limit));

        assert_true(n < 100000);
        take_page(text, &page);
        whys[(uint8_t)page.why[0]]++;
    }
    free(own_limits);
    free(own_scan);
    test_append(&page.items, "", 1);
    return keep(page.items);
}

static char *listed(unsigned from, unsigned to)
{
    char *text = numbers(from, to, false) + 1;

    text[strlen(text) - 1] = ',';
    return text;
}

static void limits_end_a_page_and_it_goes_on_from_there(void **state)
{
    unsigned whys[256] = {0};
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 3000);
    assert_string_equal(scan_all(&daemon, "rows=>700", "t,fwd,elements,asc",
                                 "none", 10000, whys),
                        listed(0, 3000));
    assert_int_equal(whys['r'], 4);
    assert_string_equal(scan_all(&daemon, "rows=>1000", "t,fwd,elements,asc",
                                 "none", 10000, whys),
                        listed(0, 3000));
    assert_int_equal(whys['r'], 6); /* the last page is all there is */
    assert_string_equal(scan_all(&daemon, "memory=>1000", "t,fwd,elements,asc",
                                 "none", 10000, whys),
                        listed(0, 3000));
    assert_in_range(whys['m'], 3, 30);
    assert_string_equal(scan_all(&daemon, "memory=>1000,rows=>301",
                                 "t,fwd,elements,asc", "none", 10000, whys),
                        listed(0, 3000));
    /* Of those that were looked at, whether or not they were wanted. */
    assert_string_equal(scan_all(&daemon,
                                 "rows=>500,where=>{in,key,[5,700,2999]}",
                                 "t,fwd,elements,asc", "none", 10000, whys),
                        "5,700,2999,");
    expect_call(&daemon, "{with,#{rows=>500,where=>{'<',key,7}}," SCAN "}",
                "{ok,[0,1,2,3,4,5,6],{after,499},row_limit}");
    expect_call(&daemon,
                "{with,#{rows=>500,where=>{'<',key,7}},"
                "{count,t,fwd,{excl,2},none}}",
                "{error,{row_limit,<<\"the request looked at as many elements "
                "as it may\">>,#{table=>t,count=>4,next=>{after,502}}}}");
    expect_call(&daemon,
                "{with,#{rows=>500,where=>{'<',key,7}},"
                "{count,t,fwd,{excl,2},{incl,502}}}",
                "{ok,4}");
    /* Nothing fits: nothing is given, and the place is the one before. */
    expect_call(&daemon, "{with,#{memory=>100}," SCAN "}", "{ok,[");
    expect_call(&daemon,
                "{with,#{memory=>9},{scan,t,fwd,elements,asc,"
                "{incl,2999},none,5}}",
                "{ok,[],{incl,2999},memory_budget}");
    expect_call(&daemon, "{with,#{memory=>1}," SCAN "}",
                "{error,{memory_budget,");
    daemon_close(&daemon);
}

static void a_count_tells_a_large_place_by_its_position(void **state)
{
    struct daemon daemon;
    char *key = malloc(1001);

    (void)state;
    memset(key, 'k', 1000);
    key[1000] = 0;
    daemon_open(&daemon);
    expect_call(&daemon, "{create_table,t,set,#{}}", "{ok,created}");
    for (int i = 0; i < 5; i++)
        expect_call(&daemon, test_format("{insert,t,fwd,<<\"%s%d\">>}", key, i),
                    "{ok,");
    expect_call(&daemon,
                "{with,#{rows=>2,where=>{'and',[]}},"
                "{count,t,fwd,{pos,1},none}}",
                "{error,{row_limit,<<\"the request looked at as many elements "
                "as it may\">>,#{table=>t,count=>2,next=>{pos,3}}}}");
    expect_call(&daemon,
                "{with,#{rows=>2,where=>{'and',[]}},"
                "{count,t,fwd,{pos,3},none}}",
                "{ok,2}");
    free(key);
    daemon_close(&daemon);
}

/* --- cancelling --------------------------------------------------------- */

#define CANCELLED "{error,{cancelled,<<\"the request was cancelled\">>,#{}}} "

static void requests_are_cancelled_by_their_id(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    expect(&daemon,
           "[{1," SCAN "},{2," SCAN "},{3," SCAN "},{4," SCAN "},{-5," SCAN
           "}]",
           "");
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(daemon.job_count, 2);
    expect(&daemon,
           "[{10,{cancel,1}},{11,{cancel,3}},{12,{cancel,-5}},{13,{cancel,7}}]",
           "10:{ok,cancelled} 11:{ok,cancelled} 12:{ok,cancelled} "
           "13:{ok,absent} ");
    readings_look(daemon.readings, SIZE_MAX);
    assert_string_equal(replies(&daemon), "3:" CANCELLED "-5:" CANCELLED);
    job_run(&daemon);
    assert_string_equal(replies(&daemon), "1:" CANCELLED);
    expect(&daemon, "[{10,{cancel,1}}]", "10:{ok,absent} ");
    run_all(&daemon);
    assert_non_null(strstr(replies(&daemon), "4:{ok,[0,1"));
    assert_non_null(
        strstr(call(&daemon, "{info}"),
               "reads=>#{running=>0,waiting=>0,done=>2,cancelled=>3}"));
    expect(&daemon, "[{1,{cancel,a}}]",
           "1:{error,{bad_argument,<<\"argument 1 of cancel: must be the Id of "
           "a request\">>,#{argument=>1}}} ");

    /* All at once, as at an end. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(run(&daemon, test_format("[{%d," SCAN "}]", i)),
                         ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    readings_cancel(daemon.readings);
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(readings_count(daemon.readings), 2);
    run_all(&daemon);
    assert_string_equal(replies(&daemon),
                        "2:" CANCELLED "3:" CANCELLED "4:" CANCELLED
                        "0:" CANCELLED "1:" CANCELLED);
    daemon_close(&daemon);
}

static void so_many_may_wait_and_no_more(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 300);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(run(&daemon, "[{1," SCAN "}]"), ST_OK);
    while (readings_bytes(daemon.readings) <= READINGS_WAITING_BYTES_MAX - 2000)
        assert_int_equal(run(&daemon, "[{1," SCAN "}]"), ST_OK);
    assert_string_equal(replies(&daemon), "");
    for (int i = 0; i < 8; i++)
        assert_int_equal(run(&daemon, "[{7," SCAN "}]"), ST_OK);
    assert_in_range(readings_bytes(daemon.readings), 0,
                    READINGS_WAITING_BYTES_MAX);
    assert_non_null(strstr(replies(&daemon), "7:{error,{memory_budget,"));
    readings_look(daemon.readings, SIZE_MAX);
    expect(&daemon, "[{1," SCAN "}]", ""); /* there is room again */
    readings_cancel(daemon.readings);
    run_all(&daemon);
    daemon_close(&daemon);
}

static void the_bytes_of_those_that_wait_are_told(void **state)
{
    struct daemon daemon;
    char *large = malloc((1 << 20) + 1);
    char *op;

    (void)state;
    memset(large, 'x', 1 << 20);
    large[1 << 20] = 0;
    daemon_open(&daemon);
    fill_set(&daemon, 300);
    op = test_format(
        "{with,#{where=>{'=:=',{map_get,<<\"%s\">>,key},1}}," SCAN "}", large);
    for (size_t i = 1; i <= 3; i++) {
        expect(&daemon, test_format("[{1,%s}]", op), "");
        assert_in_range(readings_bytes(daemon.readings), i * (1 << 20),
                        i * (2 << 20));
    }
    /* Beyond their bound one is refused, and everything else goes on. */
    assert_int_equal(run(&daemon, test_format("[{11,%s}]", op)), ST_OK);
    assert_non_null(strstr(replies(&daemon), "11:{error,{memory_budget,"));
    expect(&daemon, "[{12,{ping}}]", "12:{ok,pong} ");
    expect(&daemon, test_format("[{10,{cancel,1}}]"), "10:{ok,cancelled} ");
    readings_look(daemon.readings, 0);
    assert_int_equal(readings_bytes(daemon.readings), 0);
    replies(&daemon);
    /* A Condition must be one, also where nothing is looked at. */
    assert_int_equal(run(&daemon, "[{13,{with,#{where=>garbage},"
                                  "{count,t,fwd,{incl,zzz},{excl,zzz}}}}]"),
                     ST_OK);
    assert_non_null(strstr(replies(&daemon), "13:{error,{bad_argument,"));
    /* What is more than it may take does not even wait. */
    op = test_format(
        "{with,#{memory=>1000000,where=>{'=:=',key,<<\"%s\">>}}," SCAN "}",
        large);
    assert_int_equal(run(&daemon, test_format("[{1,%s}]", op)), ST_OK);
    assert_non_null(strstr(replies(&daemon), "1:{error,{memory_budget,"));
    /* That a term in it is too large to be a key is told by the worker. */
    op = test_format("{with,#{where=>{'=:=',key,<<\"%s\">>}}," SCAN "}", large);
    expect(&daemon, test_format("[{1,%s}]", op), "");
    run_all(&daemon);
    assert_non_null(strstr(replies(&daemon), "1:{error,{too_big,"));
    free(large);
    daemon_close(&daemon);
}

/* --- conditions against all there is ------------------------------------ */

static const char *const types[] = {"set",     "pom",         "to_one",
                                    "to_many", "one_to_many", "many_to_many"};

/* Encodes the terms of an item of a view into an element. */
static bool item_matches(struct filter *filter, const uint8_t *item, bool pair,
                         bool valued, const struct bytes *held)
{
    struct buffer keys[2] = {BUFFER(test_mem()), BUFFER(test_mem())};
    struct filter_element element = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    const uint8_t *first = pair ? item + 5 : item; /* a LARGE_TUPLE */
    const uint8_t *second = first + etf_size(first);
    bool ret;

    assert_int_equal(key_encode(bytes_of(first, etf_size(first)), &keys[0]),
                     ST_OK);
    element.key = buffer_bytes(&keys[0]);
    if (held) {
        element.partner = element.key;
        element.key = *held;
    } else if (pair && valued) {
        element.value = bytes_of(second, etf_size(second));
    } else if (pair) {
        assert_int_equal(
            key_encode(bytes_of(second, etf_size(second)), &keys[1]), ST_OK);
        element.partner = buffer_bytes(&keys[1]);
    }
    assert_int_equal(filter_match(filter, &element, &ret), ST_OK);
    buffer_free(&keys[0]);
    buffer_free(&keys[1]);
    return ret;
}

/* What a scan with a Condition must give, of one without. */
static char *naive(const char *all, const char *what, const char *condition,
                   bool pair, bool valued, bool held, unsigned *ret_count)
{
    struct buffer items = BUFFER(test_mem());
    struct buffer where = BUFFER(test_mem());
    struct buffer out = BUFFER(test_mem());
    struct buffer last = BUFFER(test_mem());
    const struct bytes held_key = BYTES("\x1c"); /* 3 */
    struct filter *filter;
    const char *why;
    const uint8_t *at;

    *ret_count = 0;
    term_parse(&items,
               test_format("[%.*s]", (int)strlen(all) - (*all != 0), all));
    term_parse(&where, condition);
    assert_int_equal(
        filter_create(test_mem(), buffer_bytes(&where), &filter, &why), ST_OK);
    at = items.data + 5;
    for (uint32_t n = *items.data == ETF_NIL ? 0 : load_be32(items.data + 1);
         n > 0; n--, at += etf_size(at)) {
        const uint8_t *show = at;

        if (!item_matches(filter, at, pair, valued, held ? &held_key : NULL))
            continue;
        ++*ret_count;
        if (pair && strcmp(what, "elements") != 0)
            show = at + 5;
        if (pair && strcmp(what, "values") == 0)
            show += etf_size(show);
        if (strcmp(what, "keys") == 0) {
            struct bytes key = bytes_of(show, etf_size(show));

            if (bytes_equal(key, buffer_bytes(&last)))
                continue;
            last.size = 0;
            test_append(&last, key.data, key.size);
        }
        term_print(&out, show);
        test_append_text(&out, ",");
    }
    test_append(&out, "", 1);
    filter_free(filter);
    buffer_free(&items);
    buffer_free(&where);
    buffer_free(&last);
    return keep(out);
}

static void fill_type(struct daemon *daemon, struct random *random,
                      const char *type)
{
    bool valued = !strcmp(type, "pom") || !strcmp(type, "to_one");

    expect_call(daemon, test_format("{create_table,t,%s,#{}}", type), "{ok,");
    for (unsigned i = 0; i < 700; i++) {
        unsigned a = (unsigned)random_below(random, 60);
        unsigned b = (unsigned)random_below(random, 400);

        if (!strcmp(type, "set"))
            call(daemon, test_format("{insert,t,fwd,{%u,%u}}", a, b));
        else if (!strcmp(type, "pom"))
            call(daemon, test_format("{insert_row,t,{%u,#{a=>%u}}}", a, b));
        else
            call(daemon, test_format(valued ? "{insert,t,fwd,{%u,#{a=>%u}}}"
                                            : "{insert,t,fwd,{%u,%u}}",
                                     valued ? i : a, b));
    }
}

static const char *const conditions[] = {
    "{'<',key,20}",
    "{'>=',value,100}",
    "{'and',[{'>',key,5},{in,value,[1,2,3,50,51,52,53,300,301,302]}]}",
    "{'or',[{'=:=',key,7},{'not',{'<',value,300}}]}",
    "{'<',{element,1,key},10}",
    "{'<',{map_get,a,value},100}",
    "{'<',{map_get,a,{element,2,value}},100}",
    "{'or',[]}",
    "{'and',[]}",
};

static void expect_where(struct daemon *daemon, struct random *random,
                         const char *type, const char *view, const char *what,
                         const char *direction)
{
    bool held = view[0] == '{';
    bool valued = !strcmp(type, "pom") || !strcmp(type, "to_one");
    bool pair = !held && strcmp(type, "set") != 0;
    unsigned whys[256] = {0};
    char *all = scan_all(daemon, "rows=>1000000",
                         test_format("t,%s,elements,%s", view, direction),
                         "none", 100000, whys);

    for (size_t i = 0; i < COUNT(conditions); i++) {
        unsigned count;
        char *wanted =
            naive(all, what, conditions[i], pair, valued, held, &count);
        unsigned rows = 1 + (unsigned)random_below(random, 800);
        unsigned limit = 1 + (unsigned)random_below(random, 300);
        unsigned memory = 2000 + (unsigned)random_below(random, 4000);
        char *given = scan_all(daemon,
                               test_format("where=>%s,rows=>%u,memory=>%u",
                                           conditions[i], rows, memory),
                               test_format("t,%s,%s,%s", view, what, direction),
                               "none", limit, whys);

        if (strcmp(given, wanted) != 0)
            fail_msg("%s %s %s %s where %s rows %u limit %u memory %u:\n%s\n"
                     "and not\n%s",
                     type, view, what, direction, conditions[i], rows, limit,
                     memory, given, wanted);
        expect_call(daemon,
                    test_format("{with,#{where=>%s},{count,t,%s,none,none}}",
                                conditions[i], view),
                    test_format("{ok,%u} ", count));
    }
}

static void conditions_give_what_a_look_at_all_gives(void **state)
{
    static const char *const whats[] = {"elements", "keys", "values"};
    uint64_t seed = random_seed();
    struct random random;

    (void)state;
    random_init(&random, seed);
    for (size_t type = 0; type < COUNT(types); type++) {
        struct daemon daemon;

        daemon_open(&daemon);
        fill_type(&daemon, &random, types[type]);
        for (unsigned i = 0; i < 12; i++) {
            const char *what = whats[i / 4];
            const char *direction = i % 2 ? "asc" : "desc";
            bool bwd = i / 2 % 2;

            if (type == 0 && i / 4 == 2)
                continue; /* a set has no values */
            if (bwd && type >= 4)
                expect_where(&daemon, &random, types[type], "bwd", what,
                             direction);
            else if (bwd && type >= 3 && i / 4 != 1)
                expect_where(&daemon, &random, types[type], "{fwd,3}", what,
                             direction);
            else if (!bwd)
                expect_where(&daemon, &random, types[type], "fwd", what,
                             direction);
        }
        daemon_close(&daemon);
    }
}

/* Keys of which only a late pair is wanted, whatever ends a page. */
static void keys_are_told_once_and_none_is_missed(void **state)
{
    unsigned whys[256] = {0};
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    expect_call(&daemon, "{create_table,t,to_many,#{}}", "{ok,created}");
    for (int key = 0; key < 5; key++)
        for (int i = 0; i < 100; i++)
            call(&daemon, test_format("{insert,t,fwd,{%d,%d}}", key, i));
    for (unsigned rows = 1; rows < 250; rows += 7)
        assert_string_equal(
            scan_all(&daemon,
                     test_format("rows=>%u,where=>{'>=',value,50}", rows),
                     "t,fwd,keys,asc", "none", 3, whys),
            "0,1,2,3,4,");
    assert_string_equal(scan_all(&daemon,
                                 "rows=>30,where=>{'and',[{'>=',value,99},"
                                 "{'=/=',key,3}]}",
                                 "t,fwd,keys,desc", "{incl,1}", 1, whys),
                        "4,2,1,");
    daemon_close(&daemon);
}

/* --- hostile and unlucky ------------------------------------------------ */

static void what_is_no_condition_is_told(void **state)
{
    static const char *const wheres[] = {
        "{}",
        "a",
        "{'==',key,1}",
        "{'and',x}",
        "{in,key,[a|b]}",
        "[[[]]]",
        "{'=:=',{element,0,key},1}",
        "#{a=>b}",
    };
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 300);
    for (size_t i = 0; i < COUNT(wheres); i++) {
        /* On the loop, on a worker, and within a batch of Ops. */
        expect_call(
            &daemon,
            test_format("{with,#{where=>%s,rows=>5}," SCAN "}", wheres[i]),
            "{error,{bad_argument,");
        expect_call(&daemon,
                    test_format("{with,#{where=>%s}," SCAN "}", wheres[i]),
                    "{error,{bad_argument,");
        expect_call(&daemon,
                    test_format("{with,#{where=>%s},{count,t,fwd,none,none}}",
                                wheres[i]),
                    "{error,{bad_argument,");
    }
    daemon_close(&daemon);
}

/* Whichever allocation fails: an answer, and nothing is left behind. */
static void without_memory_there_is_an_answer(void **state)
{
    static const char *const ops[] = {
        SCAN,
        "{with,#{where=>{'<',value,90},rows=>600},"
        "{scan,t,fwd,keys,asc,none,none,9000}}",
        "{with,#{where=>{in,{element,1,value},[{a},b]},rows=>50},"
        "{count,t,fwd,none,none}}",
    };
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    expect_call(&daemon, "{create_table,t,to_many,#{}}", "{ok,created}");
    expect_call(&daemon,
                test_format("{insert_all,t,fwd,%s}", numbers(0, 1000, true)),
                "{ok,");
    for (size_t i = 0; i < COUNT(ops); i++) {
        for (unsigned nth = 1;; nth++) {
            const char *text;
            enum status st;
            bool failed;

            mem_fail_at(&daemon.mem, nth, false);
            st = run(&daemon, test_format("[{1,%s}]", ops[i]));
            if (st == ST_OK)
                readings_look(daemon.readings, SIZE_MAX);
            failed = daemon.mem.fail_at == 0;
            mem_fail_at(&daemon.mem, 0, false);
            if (st < 0) { /* not even an error had room */
                assert_int_equal(st, ST_NO_MEMORY);
                replies(&daemon);
                continue;
            }
            run_all(&daemon);
            text = replies(&daemon);
            if (!failed)
                break;
            if (!strstr(text, "1:{error,{no_memory,") &&
                !strstr(text, "1:{ok,") && !strstr(text, "1:{error,{row_limit"))
                fail_msg("%u: %.500s", nth, text);
        }
    }
    /* No thread is to be had. */
    daemon.refuses = true;
    assert_int_equal(run(&daemon, "[{1," SCAN "}]"), ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    assert_non_null(strstr(replies(&daemon), "1:{error,{no_memory,"));
    daemon.refuses = false;
    daemon_close(&daemon);
}

static void reads_go_on_at_the_memory_limit(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    store_mem(daemon.store)->limit = store_mem(daemon.store)->used;
    assert_non_null(strstr(call(&daemon, SCAN), ",999],done}"));
    store_mem(daemon.store)->limit = SIZE_MAX;
    daemon_close(&daemon);
}

/* --- versions ----------------------------------------------------------- */

static void versions_may_go_while_they_are_read(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill_set(&daemon, 1000);
    expect_call(&daemon, "{snapshot,{1,1}}", "{ok,");
    expect_call(&daemon, "{fork,{1,2},head,[{insert,t,fwd,x}]}", "{ok,{");
    expect_call(&daemon, "{clear_table,t}", "{ok,{");
    assert_int_equal(
        run(&daemon, "[{1,{with,#{at=>{1,1}}," SCAN "}},"
                     "{2,{with,#{at=>{1,2}}," SCAN "}},"
                     "{3,{with,#{at=>{1,2},where=>{'>',key,990}}," SCAN "}},"
                     "{4,{with,#{at=>{1,2}},{insert,t,fwd,y}}},"
                     "{5,{with,#{at=>{1,2}}," SCAN "}},"
                     "{6,{release,{1,1}}},{7,{release,{1,2}}},"
                     "{8,{with,#{at=>{1,2}}," SCAN "}}]"),
        ST_OK);
    replies(&daemon);
    run_all(&daemon);
    assert_string_equal(
        replies(&daemon),
        test_format(
            "1:{ok,%.*s],done} 2:{ok,%.*s,x],done} "
            "3:{ok,[991,992,993,994,995,996,997,998,999,x],done} "
            "5:{ok,%.*s,x,y],done} ",
            (int)strlen(numbers(0, 1000, false)) - 1, numbers(0, 1000, false),
            (int)strlen(numbers(0, 1000, false)) - 1, numbers(0, 1000, false),
            (int)strlen(numbers(0, 1000, false)) - 1, numbers(0, 1000, false)));
    daemon_close(&daemon);
}

/* --- with a log --------------------------------------------------------- */

static void daemon_keep(struct daemon *daemon, enum sync_policy policy)
{
    struct recovery_options how = {.apply = replayer_apply,
                                   .until = UINT64_MAX};
    struct commands_log log = {
        .policy = policy,
        .interval_ms = 1000,
        .directory = "dir",
        .host = {start_job, daemon},
    };
    struct replayer *replayer;
    int64_t holder;
    int error;

    daemon->sim = sim_io_create();
    daemon->io = sim_io_open(daemon->sim);
    assert_int_equal(io_lock(daemon->io, &holder), 0);
    assert_int_equal(replayer_create(daemon->store, &daemon->mem, &replayer),
                     ST_OK);
    how.context = replayer;
    assert_int_equal(recover_directory(daemon->io, daemon->store, &how,
                                       &daemon->mem, &daemon->recovery, &error),
                     ST_OK);
    replayer_free(replayer);
    assert_int_equal(recovery_mend(daemon->io, &daemon->recovery, &error),
                     ST_OK);
    assert_int_equal(
        termlog_open(daemon->io, &daemon->mem, &daemon->recovery.manifest,
                     daemon->recovery.seq, 64 << 10, &daemon->log, &error),
        ST_OK);
    log.log = daemon->log;
    assert_int_equal(commands_set_log(daemon->commands, &log), ST_OK);
}

static void sync_all(struct daemon *daemon)
{
    struct sync_job *sync;
    bool more;

    assert_int_equal(termlog_sync_begin(daemon->log, &sync), ST_OK);
    commands_sync_begun(daemon->commands);
    termlog_sync_run(sync);
    assert_int_equal(termlog_sync_end(daemon->log, sync), ST_OK);
    commands_sync_ended(daemon->commands);
    assert_int_equal(commands_release(daemon->commands, SIZE_MAX, &more),
                     ST_OK);
    assert_false(more);
}

static void always_holds_what_a_reading_shows(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    daemon_keep(&daemon, SYNC_ALWAYS);
    assert_int_equal(run(&daemon, "[{1,{create_table,t,set,#{}}}]"), ST_OK);
    assert_int_equal(run(&daemon, test_format("[{2,{insert_all,t,fwd,%s}}]",
                                              numbers(0, 300, false))),
                     ST_OK);
    sync_all(&daemon);
    replies(&daemon);

    /* It shows nothing that is not durable, whatever happens meanwhile. */
    expect(&daemon, "[{1," SCAN "},{2,{insert,t,fwd,a}}]", "");
    run_all(&daemon);
    assert_string_equal(replies(&daemon),
                        test_format("1:{ok,%s,done} ", numbers(0, 300, false)));
    /* This one shows the insert, and so does an error of a count. */
    expect(&daemon,
           "[{3," SCAN "},{4,{with,#{rows=>300,where=>{'and',[]}},"
           "{count,t,fwd,none,none}}}]",
           "");
    run_all(&daemon);
    assert_string_equal(replies(&daemon), "");
    sync_all(&daemon);
    assert_string_equal(
        replies(&daemon),
        test_format("2:{ok,{inserted,[],[]}} 3:{ok,%.*s,a],done} "
                    "4:{error,{row_limit,<<\"the request looked at as many "
                    "elements as it may\">>,"
                    "#{table=>t,count=>300,next=>{after,299}}}} ",
                    (int)strlen(numbers(0, 300, false)) - 1,
                    numbers(0, 300, false)));
    assert_int_equal(termlog_close(daemon.log, store_digest(daemon.store)),
                     ST_OK);
    daemon_close(&daemon);
}

/* --- the real daemon ---------------------------------------------------- */

static char err[4096];

static void client_fill(struct client *client, unsigned count)
{
    assert_string_equal(
        client_call(client, "{create_table,t,many_to_many,#{}}"),
        "{ok,created}");
    for (unsigned n = 0; n < count; n += 2000)
        assert_memory_equal(
            client_call(client, test_format("{insert_all,t,fwd,%s}",
                                            numbers(n, n + 2000, true))),
            "{ok,{2000,", 10);
}

/* A condition that takes long. */
#define SLOW                                                                   \
    "{with,#{deadline=>infinity,where=>{'not',{'or',["                         \
    "{'=:=',{element,2,value},1},{'=:=',{element,3,key},1},"                   \
    "{'=:=',{element,2,value},{a}},{'=:=',{element,3,key},{b}}]}}},"           \
    "{count,t,fwd,none,none}}"

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Requests with the ids from 1 on, in one frame. */
static char *many(unsigned count, const char *op)
{
    struct buffer text = BUFFER(test_mem());

    for (unsigned i = 1; i <= count; i++)
        test_append_text(&text,
                         test_format("%c{%u,%s}", i == 1 ? '[' : ',', i, op));
    test_append(&text, "]", 2);
    return keep(text);
}

/* How often `part` is in all replies up to the end of the output, or to so
 * many. */
static unsigned count_replies(struct client *client, const char *part,
                              unsigned most)
{
    unsigned count = 0;
    const char *text;

    while (count < most && (text = client_replies(client)))
        while ((text = strstr(text, part))) {
            count++;
            text++;
        }
    return count;
}

static void points_are_read_while_scans_run(void **state)
{
    struct client client;
    const char *text;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 100000);
    client_send(&client, many(20, SLOW));
    client_send(&client, "[{100,{insert,t,fwd,{x,y}}},{101,{info}}]");
    text = client_replies(&client);
    assert_non_null(strstr(text, "100:{ok,{inserted,[],[]}} "));
    assert_null(strstr(text, "cancelled=>1"));
    if (!strstr(text, "101:"))
        text = client_replies(&client);
    assert_non_null(strstr(text, "reads=>#{running=>"));
    assert_int_equal(count_replies(&client, ":{ok,100000} ", 20), 20);
    text = client_call(&client, "{info}");
    assert_non_null(
        strstr(text, "reads=>#{running=>0,waiting=>0,done=>20,cancelled=>0}"));
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
    assert_string_equal(err, "");
}

static void an_end_of_input_waits_for_what_was_asked(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 20000);
    client_send(&client, many(20, SLOW));
    client_close_in(&client);
    assert_int_equal(count_replies(&client, ":{ok,20000} ", 1000), 20);
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
    assert_string_equal(err, "");
}

static void a_client_that_dies_leaves_no_work_behind(void **state)
{
    (void)state;
    for (int durably = 0; durably < 2; durably++) {
        char directory[] = "/tmp/rhizome-readings-XXXXXX";
        const char *durable[] = {"port", "--dir", directory, NULL};
        const char *memory[] = {"port", NULL};
        struct client client;
        uint64_t begun;
        int nothing;

        assert_non_null(mkdtemp(directory));
        client_start(&client, durably ? durable : memory);
        assert_non_null(client_hello(&client));
        client_fill(&client, 100000);
        client_send(&client, many(1000, SLOW));
        client_call(&client, "{ping}");
        begun = now_ms();
        nothing = open("/dev/null", O_RDONLY);
        assert_int_equal(dup2(nothing, client.out), client.out);
        close(nothing);
        assert_int_equal(client_finish(&client, err, sizeof(err)),
                         EXIT_STOPPED);
        assert_string_equal(err, "");
        assert_in_range(now_ms() - begun, 0, 2000);
        if (system(test_format("rm -r %s", directory)) != 0)
            fail();
    }
}

static void the_daemon_cancels(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 100000);
    client_send(&client, many(50, SLOW));
    client_send(&client, "[{100,{ping}},{101,{cancel,50}},{102,{cancel,1}}]");
    assert_int_equal(count_replies(&client, ":{ok,100000} ", 48), 48);
    assert_non_null(strstr(client_call(&client, "{info}"), ",cancelled=>2}"));
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
}

/* Waiting for a thread counts: nothing but the clock tells of it. */
static void those_that_wait_are_told_when_it_is_too_late(void **state)
{
    struct client client;
    uint64_t begun;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 200000);
    client_send(&client, many(60, SLOW));
    begun = now_ms();
    client_send(&client, "{1000,{with,#{deadline=>40},"
                         "{scan,t,fwd,elements,asc,none,none,100000}}}");
    assert_int_equal(count_replies(&client, "1000:{ok,[],none,deadline} ", 1),
                     1);
    assert_in_range(now_ms() - begun, 40, 1000);
    client_finish(&client, err, sizeof(err));
}

/* Pages of one store while it is written to: each is of one moment, in which
 * the table had pairs whose partners begin at one number. */
static void pages_are_of_one_moment_each(void **state)
{
    struct client client;
    unsigned first = 0;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 4000);
    for (unsigned round = 0; round < 60; round++) {
        char *frame = test_format(
            "[{7,{scan,t,fwd,values,asc,none,none,10000}},"
            "{8,{batch,[{delete_all,t,fwd,%s},{insert_all,t,fwd,%s}]}},"
            "{9,{scan,t,fwd,values,asc,none,none,10000}}]",
            numbers(first, first + 100, true),
            numbers(first + 4000, first + 4100, true));
        unsigned seen = 0;

        client_send(&client, frame);
        while (seen < 3) {
            const char *text = client_replies(&client);

            for (const char *at = text; (at = strstr(at, ":{ok,")); at++)
                seen++;
            for (int id = 7; id <= 9; id += 2) {
                const char *at = strstr(text, test_format("%d:{ok,[", id));
                unsigned from = first + (id == 9 ? 100 : 0);

                if (at && (strtoul(at + 7, NULL, 10) != from ||
                           !strstr(at, test_format(",%u],done}", from + 3999))))
                    fail_msg("round %u: %.100s", round, at);
            }
        }
        first += 100;
    }
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_reads_are_answered_at_once),
        cmocka_unit_test(large_elements_go_over_to_a_worker),
        cmocka_unit_test(a_reading_sees_its_moment_and_nothing_later),
        cmocka_unit_test(reads_behind_a_failure_see_one_state),
        cmocka_unit_test(replies_come_in_the_order_of_their_ends),
        cmocka_unit_test(a_deadline_ends_it_where_it_is),
        cmocka_unit_test(limits_end_a_page_and_it_goes_on_from_there),
        cmocka_unit_test(a_count_tells_a_large_place_by_its_position),
        cmocka_unit_test(requests_are_cancelled_by_their_id),
        cmocka_unit_test(so_many_may_wait_and_no_more),
        cmocka_unit_test(the_bytes_of_those_that_wait_are_told),
        cmocka_unit_test(conditions_give_what_a_look_at_all_gives),
        cmocka_unit_test(keys_are_told_once_and_none_is_missed),
        cmocka_unit_test(what_is_no_condition_is_told),
        cmocka_unit_test(without_memory_there_is_an_answer),
        cmocka_unit_test(reads_go_on_at_the_memory_limit),
        cmocka_unit_test(versions_may_go_while_they_are_read),
        cmocka_unit_test(always_holds_what_a_reading_shows),
        cmocka_unit_test(points_are_read_while_scans_run),
        cmocka_unit_test(an_end_of_input_waits_for_what_was_asked),
        cmocka_unit_test(a_client_that_dies_leaves_no_work_behind),
        cmocka_unit_test(the_daemon_cancels),
        cmocka_unit_test(those_that_wait_are_told_when_it_is_too_late),
        cmocka_unit_test(pages_are_of_one_moment_each),
    };

    return cmocka_run_group_tests(tests, NULL, forget_all);
}
