/*
 * test_cmd_algorithm.c -- projections, runs and their results on the wire:
 * what is answered, what is shared, and that nothing is left of it.
 *
 * Commands without a process around them, and a host that runs a job when the
 * test says so, on a thread of its own. The last tests are about the real
 * daemon.
 */
#include "port/projections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/exit.h"
#include "log/recover.h"
#include "port/call.h"
#include "port/replay.h"
#include "support/client.h"
#include "support/sim_io.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define JOBS_MAX 8

struct daemon {
    struct mem mem;
    struct store *store;
    struct writer writer;
    struct commands *commands;
    struct readings *readings;
    struct job *jobs[JOBS_MAX]; /* started and not run */
    size_t job_count;
    size_t jobs_run;
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
    readings_set_host(daemon->readings, LANE_READS, &host, 2);
    readings_set_host(daemon->readings, LANE_RUNS, &host, 2);
    daemon->payload = BUFFER(test_mem());
    daemon->text = BUFFER(test_mem());
}

static void *job_main(void *job)
{
    ((struct job *)job)->run(job);
    return NULL;
}

static struct job *take_job(struct daemon *daemon)
{
    struct job *job = daemon->jobs[0];

    assert_true(daemon->job_count > 0);
    daemon->job_count--;
    daemon->jobs_run++;
    memmove(daemon->jobs, daemon->jobs + 1, daemon->job_count * sizeof(job));
    return job;
}

/* Runs the `count` jobs that were started first, side by side. */
static void jobs_run(struct daemon *daemon, size_t count)
{
    struct job *jobs[JOBS_MAX];
    pthread_t threads[JOBS_MAX];

    for (size_t i = 0; i < count; i++)
        jobs[i] = take_job(daemon);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, job_main, jobs[i]),
                         0);
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        jobs[i]->end(jobs[i]);
    }
    readings_look(daemon->readings, SIZE_MAX);
}

static void run_all(struct daemon *daemon)
{
    readings_look(daemon->readings, SIZE_MAX);
    while (daemon->job_count)
        jobs_run(daemon, daemon->job_count);
    assert_int_equal(readings_count(daemon->readings), 0);
    assert_int_equal(commands_later_count(daemon->commands), 0);
    assert_int_equal(projections_running(daemon->commands->projections), 0);
    assert_null(daemon->commands->runs);
}

static void daemon_close(struct daemon *daemon)
{
    char why[256] = "";

    run_all(daemon);
    commands_free(daemon->commands);
    if (!store_check(daemon->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
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
        term_print(&daemon->text,
                   second[0] == ETF_BINARY ? second + 6 : second);
        test_append_text(&daemon->text, " ");
        at += etf_size(at);
    }
    test_append(&daemon->text, "", 1);
    writer_clear(&daemon->writer);
    return (const char *)daemon->text.data;
}

/* One Op and its answer, by jobs if it must be. */
static const char *call(struct daemon *daemon, const char *op)
{
    assert_int_equal(run(daemon, test_format("[{1,%s}]", op)), ST_OK);
    run_all(daemon);
    return replies(daemon) + 2;
}

/* The answer begins with `wanted`. */
static void expect_call(struct daemon *daemon, const char *op,
                        const char *wanted)
{
    const char *text = call(daemon, op);

    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("%s\n  answers %.2000s\n  and not %s", op, text, wanted);
}

/* It has all of these in it; the list ends with NULL. */
static void expect_parts(struct daemon *daemon, const char *op,
                         const char *const *parts)
{
    const char *text = call(daemon, op);

    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("%s\n  answers %.2000s\n  without %s", op, text, *parts);
}

#define EXPECT_PARTS(daemon, op, ...)                                          \
    expect_parts(daemon, op, (const char *const[]){__VA_ARGS__, NULL})

static size_t used(const struct daemon *daemon)
{
    return store_mem(daemon->store)->used;
}

/* Two components: a -> b -> c -> a, c -> d, and x -> y; in this order. */
static void fill(struct daemon *daemon)
{
    expect_call(daemon, "{create_table,g,graph,#{weight=>value}}",
                "{ok,created}");
    expect_call(daemon,
                "{batch,[{put_vertices,g,[a,b,c,d,x,y]},"
                "{put_edges,g,[{a,b,nil,5},{b,c,nil,1},{c,a,nil,1},"
                "{c,d,l,7},{x,y,nil,nil}]}]}",
                "{ok,[{6,[],[]},{5,");
}

/* A ring of so many vertices, each with an edge to three others. */
static void fill_ring(struct daemon *daemon, const char *graph, unsigned count)
{
    struct buffer text = BUFFER(test_mem());

    expect_call(daemon, test_format("{create_table,%s,graph,#{}}", graph),
                "{ok,created}");
    test_append_text(&text, test_format("{put_edges,%s,[", graph));
    for (unsigned n = 0; n < count; n++)
        test_append_text(&text,
                         test_format("%s{%u,%u},{%u,%u},{%u,%u}", n ? "," : "",
                                     n, (n + 1) % count, n, (n + 7) % count, n,
                                     (n * 31 + 5) % count));
    test_append_text(&text, "]}");
    test_append(&text, "", 1);
    expect_call(daemon, (const char *)text.data, "{ok,{");
    buffer_free(&text);
}

#define WCC "{run,wcc,g,#{},summary}"

/* --- what is answered ---------------------------------------------------- */

static void a_run_answers_with_its_figures(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    EXPECT_PARTS(&daemon, WCC, "{ok,#{", "vertices=>6", "edges=>5", "rows=>6",
                 "components=>2", "largest=>4", "ms=>", "seq=>2");
    expect_call(&daemon, "{create_table,other,set,#{}}", "{ok,created}");
    EXPECT_PARTS(&daemon, WCC, "seq=>2"); /* it is the same projection */
    expect_call(&daemon, "{put_edge,g,a,b,nil,5}", "{ok,{exists,");
    expect_call(&daemon, "{put_edge,g,a,b,nil,6}", "{ok,{updated,");
    EXPECT_PARTS(&daemon, WCC, "seq=>4");
    /* An edge that may not be there has both of its ends in Details. */
    expect_call(&daemon, "{put_edge,g,a,b,nil,-1}", "{ok,{updated,");
    EXPECT_PARTS(&daemon, "{run,sssp,g,#{source=>a,weighted=>true},summary}",
                 "{error,{bad_weight,", "from=>a,to=>b");
    expect_call(&daemon, "{put_edge,g,a,b,nil,5}", "{ok,{updated,");
    EXPECT_PARTS(&daemon, "{algorithms}", "columns=>[vertex,level,parent]",
                 "columns=>[from,to]",
                 "columns=>[vertex,out,in,total,out_weight,in_weight,"
                 "total_weight]");
    EXPECT_PARTS(&daemon, "{run,scc,g,#{labels=>[l]},summary}", "vertices=>6",
                 "edges=>1", "components=>6");
    EXPECT_PARTS(&daemon, "{run,wcc,g,#{labels=>[nil,nil]},summary}",
                 "edges=>4", "components=>3");
    EXPECT_PARTS(&daemon, "{run,wcc,g,#{labels=>[none_has_it]},summary}",
                 "edges=>0", "components=>6");
    EXPECT_PARTS(&daemon, "{run,wcc,g,#{vertex_labels=>[l]},summary}",
                 "vertices=>0", "rows=>0");
    EXPECT_PARTS(&daemon,
                 "{run,page_rank,g,#{threads=>2,sources=>[a,x]},"
                 "summary}",
                 "vertices=>6", "iterations=>");
    /* A table of pairs is a graph, and so is a path of them. */
    expect_call(&daemon, "{create_table,j,many_to_many,#{}}", "{ok,created}");
    expect_call(&daemon, "{insert_all,j,fwd,[{1,2},{2,3},{4,5}]}", "{ok,{3,");
    EXPECT_PARTS(&daemon, "{run,wcc,j,#{},summary}", "vertices=>5",
                 "components=>2");
    EXPECT_PARTS(&daemon, "{run,wcc,{'$path',[{j,fwd},{j,fwd}]},#{},summary}",
                 "edges=>1");
    daemon_close(&daemon);
}

static void what_is_wrong_is_said(void **state)
{
    static const char *const cases[][2] = {
        {"{run,no_such,g,#{},summary}", "{error,{bad_argument,"},
        {"{run,1,g,#{},summary}", "{error,{bad_argument,"},
        {"{run,wcc,no_table,#{},summary}", "{error,{no_table,"},
        {"{run,wcc,s,#{},summary}", "{error,{wrong_table_type,"},
        {"{run,wcc,{'$projection',p},#{},summary}", "{error,{no_projection,"},
        {"{run,wcc,g,[],summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{},all}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,1,none}}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,{1,-1},none}}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,{1,1},asc}}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,{1,1},{component,up}}}",
         "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,{1,1},{component,asc,0}}}",
         "{error,{bad_argument,"},
        {"{run,wcc,g,#{},{rows,{1,1},{no_column,asc}}}",
         "{error,{bad_argument,"},
        {"{run,topological_sort,g,#{},{rows,{1,1},{no_column,asc}}}",
         "{error,{bad_argument,"}, /* before it finds the cycle */
        {"{run,max_flow,g,#{source=>a,target=>b},{rows,{1,1},{flow,asc}}}",
         "{error,{bad_argument,"}, /* that it has in other rows */
        {"{run,wcc,g,#{bogus=>1},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{1=>1},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{threads=>0},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{threads=>65},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{progress=>1},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{direction=>up},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{labels=>l},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{labels=>[l|m]},summary}", "{error,{bad_argument,"},
        {"{run,wcc,j,#{labels=>[l]},summary}", "{error,{bad_argument,"},
        {"{run,wcc,g,#{weighted=>yes},summary}", "{error,{bad_argument,"},
        {"{run,page_rank,g,#{damping=>2},summary}", "{error,{bad_argument,"},
        {"{run,page_rank,g,#{damping=>x},summary}", "{error,{bad_argument,"},
        {"{run,page_rank,g,#{iterations=>-1},summary}",
         "{error,{bad_argument,"},
        {"{run,page_rank,g,#{sources=>a},summary}", "{error,{bad_argument,"},
        {"{run,page_rank,g,#{sources=>[a|b]},summary}",
         "{error,{bad_argument,"},
        {"{run,bfs,g,#{source=>nobody},summary}", "{error,{no_vertex,"},
        {"{run,page_rank,g,#{sources=>[a,{q}]},summary}", "{error,{no_vertex,"},
        {"{run,topological_sort,g,#{},summary}", "{error,{cyclic,"},
        {"{project,p,no_table,#{}}", "{error,{no_table,"},
        {"{project,p,{'$projection',p},#{}}", "{error,{no_projection,"},
        {"{project,p,g,#{threads=>1}}", "{error,{bad_argument,"},
        {"{project,p,g,#{damping=>1}}", "{error,{bad_argument,"},
        {"{estimate,wcc,no_table,#{}}", "{error,{no_table,"},
        {"{result_rows,{1,1},0,1}", "{error,{no_result,"},
        {"{result_rows,1,0,1}", "{error,{bad_argument,"},
        {"{result_write,{1,1},0,1,t}", "{error,{no_result,"},
        {"{release_result,{1}}", "{error,{bad_argument,"},
        {"{with,#{where=>{'>',key,1}}," WCC "}", "{error,{bad_argument,"},
        {"{with,#{at=>{9,9}}," WCC "}", "{error,{no_snapshot,"},
        {"{with,#{at=>{5,5}},{run,wcc,{'$projection',p},#{},summary}}",
         "{error,{bad_argument,"},
        {"{fork,{7,7},head,[" WCC "]}", "{error,{bad_argument,"},
        {"{fork,{7,7},head,[{project,p,g,#{}}]}", "{error,{bad_argument,"},
        {"{batch,[{result_write,{1,1},0,1,t}]}", "{error,{bad_argument,"},
        {"{with,#{expect=>0},{result_write,{1,1},0,1,t}}",
         "{error,{bad_argument,"},
    };
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    expect_call(&daemon, "{create_table,s,set,#{}}", "{ok,created}");
    expect_call(&daemon, "{create_table,j,many_to_many,#{}}", "{ok,created}");
    expect_call(&daemon, "{snapshot,{5,5}}", "{ok,");
    before = used(&daemon);
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_call(&daemon, cases[i][0], cases[i][1]);
    projections_yield(daemon.commands->projections);
    assert_int_equal(used(&daemon), before);

    /* Which vertex, and which parameter. */
    EXPECT_PARTS(&daemon, "{run,page_rank,g,#{sources=>[a,{q}]},summary}",
                 "key=>{q}", "position=>1");
    EXPECT_PARTS(&daemon, "{run,page_rank,g,#{damping=>2},summary}",
                 "argument=>3");
    daemon_close(&daemon);
}

static void commands_tell_what_there_is(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    EXPECT_PARTS(&daemon, "{algorithms}", "#{name=>page_rank,", "name=>wcc",
                 "#{name=>sources,type=>vertices,required=>false}");
    EXPECT_PARTS(&daemon, "{estimate,wcc,g,#{}}", "vertices=>6", "edges=>5",
                 "projection_bytes=>", "run_bytes=>", "cached=>false");
    expect_call(&daemon, "{projections}", "{ok,[]}");
    expect_call(&daemon, "{running}", "{ok,[]}");
    expect_call(&daemon, WCC, "{ok,");
    EXPECT_PARTS(&daemon, "{estimate,wcc,g,#{}}", "cached=>true");
    EXPECT_PARTS(&daemon, "{projections}", "name=>none", "source=>g",
                 "current=>true", "running=>0", "vertices=>6");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>1,bytes=>",
                 "results=>#{count=>0,bytes=>0}");
    daemon_close(&daemon);
}

static void any_argument_is_survived(void **state)
{
    static const char *const ops[][5] = {
        {"project", "p", "g", "#{labels=>[l]}"},
        {"drop_projection", "p"},
        {"estimate", "wcc", "g", "#{}"},
        {"run", "bfs", "g", "#{source=>a}", "{rows,{1,2},none}"},
        {"run", "page_rank", "g", "#{sources=>[a]}", "summary"},
        {"result_rows", "{1,1}", "0", "10"},
        {"result_write", "{1,1}", "0", "10", "t"},
        {"release_result", "{1,2}"},
    };
    static const char *const odd[] = {
        "x",
        "0",
        "-1",
        "99999999999",
        "[]",
        "[x]",
        "[x|y]",
        "\"abc\"",
        "{}",
        "{1}",
        "{1,2}",
        "{1,1}",
        "{1,2,3}",
        "{pos,1}",
        "#{}",
        "#{a=>1}",
        "#{1=>2}",
        "<<\"\">>",
        "summary",
        "g",
        "t",
        "{'$path',x}",
        "{'$path',[]}",
        "{'$path',[{t,fwd}]}",
        "{'$projection',q}",
        "{'$projection'}",
        "#{labels=>[l,m,{}]}",
        "#{source=>b,sources=>\"ab\"}",
        "#{sources=>[]}",
        "#{sources=>\"ab\"}",
        "#{max_depth=>x}",
        "{rows,{1,3},{level,asc,1}}",
        "{rows,{1,1},none}",
        "'$keys'",
    };
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    expect_call(&daemon, "{create_table,t,to_one,#{}}", "{ok,created}");
    expect_call(&daemon, "{run,bfs,g,#{source=>a},{rows,{1,1},none}}", "{ok,");
    expect_call(&daemon, "{project,q,g,#{}}", "{ok,");
    for (size_t i = 0; i < COUNT(ops); i++)
        for (size_t index = 1; index < 5 && ops[i][index]; index++)
            for (size_t o = 0; o < COUNT(odd); o++) {
                struct buffer op = BUFFER(test_mem());

                for (size_t n = 0; n < 5 && ops[i][n]; n++) {
                    test_append_text(&op, n ? "," : "{");
                    test_append_text(&op, n == index ? odd[o] : ops[i][n]);
                }
                test_append(&op, "}", 2);
                call(&daemon, (const char *)op.data);
                call(&daemon, "{release_result,{1,2}}");
                call(&daemon, "{release_result,{1,3}}");
                buffer_free(&op);
            }
    expect_call(&daemon, "{ping}", "{ok,pong}");
    daemon_close(&daemon);
}

/* --- projections --------------------------------------------------------- */

static void a_projection_is_made_once_and_shared(void **state)
{
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    before = used(&daemon);
    assert_int_equal(run(&daemon, "[{1," WCC "},{2," WCC "},"
                                  "{3,{run,scc,g,#{},summary}}]"),
                     ST_OK);
    assert_int_equal(readings_count(daemon.readings), 3);
    EXPECT_PARTS(&daemon, "{running}", "");
    assert_int_equal(daemon.jobs_run, 4); /* one of them made the image */
    replies(&daemon);

    /* Others of the same kind come to it at once. */
    daemon.jobs_run = 0;
    expect_call(&daemon, WCC, "{ok,");
    assert_int_equal(daemon.jobs_run, 1);

    /* What wants more arrays adds them, while others use what there is. */
    assert_int_equal(
        run(&daemon, "[{1," WCC "},{2,{run,bridges,g,#{},summary}}]"), ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    assert_int_equal(daemon.job_count, 2);
    run_all(&daemon);
    assert_int_equal(daemon.jobs_run, 4);
    assert_non_null(strstr(replies(&daemon), "2:{ok,#{"));
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>1,");

    /* Weights are for those who want them, and these for all others. */
    expect_call(&daemon, "{run,page_rank,g,#{weighted=>true},summary}", "{ok,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>2,");
    /* Other edges make another one. */
    expect_call(&daemon, "{run,wcc,g,#{labels=>[l]},summary}", "{ok,");
    expect_call(&daemon, "{run,wcc,g,#{direction=>in},summary}", "{ok,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>4,");
    assert_true(used(&daemon) > before);

    /* A change elsewhere does them no harm. One of the graph does. */
    expect_call(&daemon, "{create_table,s,set,#{}}", "{ok,created}");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>4,");
    expect_call(&daemon, "{put_edge,g,d,x,nil,nil}", "{ok,{");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>0,bytes=>0}");
    EXPECT_PARTS(&daemon, WCC, "components=>1");
    daemon_close(&daemon);
}

static void a_named_projection_stays_as_it_is(void **state)
{
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    EXPECT_PARTS(&daemon, "{project,{my,one},g,#{weighted=>true}}",
                 "{ok,#{name=>{my,one},source=>g,", "vertices=>6", "edges=>5",
                 "seq=>2", "bytes=>");
    expect_call(&daemon, "{project,{my,one},g,#{}}", "{error,{bad_argument,");
    expect_call(&daemon, "{put_edge,g,d,x,nil,nil}", "{ok,{");
    EXPECT_PARTS(&daemon, "{run,wcc,{'$projection',{my,one}},#{},summary}",
                 "components=>2");
    EXPECT_PARTS(&daemon, "{projections}", "name=>{my,one}", "current=>false");
    expect_call(&daemon,
                "{run,wcc,{'$projection',{my,one}},#{labels=>[l]},summary}",
                "{error,{bad_argument,");
    EXPECT_PARTS(&daemon, WCC, "components=>1");

    /* The same one under another name is no other one. */
    expect_call(&daemon, "{project,two,g,#{}}", "{ok,");
    expect_call(&daemon, "{project,three,g,#{}}", "{ok,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>2,");
    expect_call(&daemon,
                "{run,sssp,{'$projection',two},"
                "#{source=>a,weighted=>true},summary}",
                "{error,{bad_argument,");

    /* Dropped while it is used: until then it is there. */
    assert_int_equal(run(&daemon,
                         "[{1,{run,wcc,{'$projection',{my,one}},#{},summary}},"
                         "{2,{drop_projection,{my,one}}},"
                         "{3,{drop_projection,{my,one}}}]"),
                     ST_OK);
    run_all(&daemon);
    assert_non_null(strstr(replies(&daemon), "components=>2"));
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>1,");
    expect_call(&daemon, "{drop_projection,two}", "{ok,dropped}");
    expect_call(&daemon, "{drop_projection,three}", "{ok,dropped}");
    expect_call(&daemon, "{drop_projection,three}", "{ok,absent}");
    expect_call(&daemon, "{clear_table,g}", "{ok,{");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>0,bytes=>0}");

    /* Two who want one name: the first one to be done gets it. */
    fill_ring(&daemon, "h", 10);
    before = used(&daemon);
    assert_int_equal(run(&daemon, "[{1,{project,p,h,#{}}},"
                                  "{2,{project,p,h,#{direction=>in}}}]"),
                     ST_OK);
    run_all(&daemon);
    EXPECT_PARTS(&daemon, "{projections}", "name=>p");
    expect_call(&daemon, "{drop_projection,p}", "{ok,dropped}");
    projections_yield(daemon.commands->projections);
    assert_int_equal(used(&daemon), before);
    daemon_close(&daemon);
}

static void versions_share_what_is_the_same(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    expect_call(&daemon, "{snapshot,{1,1}}", "{ok,2}");
    expect_call(&daemon, WCC, "{ok,");
    daemon.jobs_run = 0;
    EXPECT_PARTS(&daemon, "{with,#{at=>{1,1}}," WCC "}", "components=>2");
    assert_int_equal(daemon.jobs_run, 1); /* that of the head will do */

    expect_call(&daemon, "{put_edge,g,d,x,nil,nil}", "{ok,{");
    EXPECT_PARTS(&daemon, "{with,#{at=>{1,1}}," WCC "}", "components=>2");
    EXPECT_PARTS(&daemon, WCC, "components=>1");
    expect_call(&daemon, "{fork,{1,2},{1,1},[{put_edge,g,y,z,nil,nil}]}",
                "{ok,{");
    EXPECT_PARTS(&daemon, "{with,#{at=>{1,2}}," WCC "}", "components=>2",
                 "vertices=>7");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>1,");

    /* A fork that has seen what a run said conflicts with what changes it. */
    expect_call(&daemon, "{fork,{1,3},head,[{put_edge,g,q,z,nil,nil}]}",
                "{ok,{");
    EXPECT_PARTS(&daemon, "{with,#{at=>{1,3}}," WCC "}", "components=>2");
    expect_call(&daemon, "{put_edge,g,n,m,nil,nil}", "{ok,{");
    expect_call(&daemon, "{commit,{1,3},[]}", "{error,{conflict,");
    expect_call(&daemon, "{release_holder,1}", "{ok,2}");
    daemon_close(&daemon);
}

/* --- results ------------------------------------------------------------- */

static void rows_come_in_pages_and_in_order(void **state)
{
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    expect_call(&daemon, WCC, "{ok,");
    before = used(&daemon);
    EXPECT_PARTS(&daemon, "{run,degree,g,#{},{rows,{1,1},none}}", "rows=>6");
    assert_true(used(&daemon) > before);
    expect_call(&daemon, "{run,degree,g,#{},{rows,{1,1},none}}",
                "{error,{bad_argument,");
    expect_call(&daemon, "{run,bfs,g,#{source=>a},{rows,{1,2},none}}", "{ok,");
    expect_call(&daemon, "{result_rows,{1,2},0,3}",
                "{ok,[{a,0,nil},{b,1,a},{c,2,b}],{pos,3}}");
    expect_call(&daemon, "{result_rows,{1,2},{pos,3},100}",
                "{ok,[{d,3,c},{x,nil,nil},{y,nil,nil}],done}");
    expect_call(&daemon, "{result_rows,{1,2},6,1}", "{ok,[],done}");
    expect_call(&daemon, "{result_rows,{1,2},99,1}", "{ok,[],done}");
    expect_call(&daemon, "{result_rows,{1,2},-1,1}", "{error,{bad_argument,");
    expect_call(&daemon, "{result_rows,{1,2},0,0}", "{error,{bad_argument,");

    /* Within limits. */
    expect_call(&daemon,
                "{with,#{deadline=>1000,rows=>100,memory=>1000},"
                "{result_rows,{1,2},3,100}}",
                "{ok,[{d,3,c},{x,nil,nil},{y,nil,nil}],done}");
    expect_call(&daemon, "{with,#{rows=>2},{result_rows,{1,2},0,9}}",
                "{ok,[{a,0,nil},{b,1,a}],{pos,2},row_limit}");
    expect_call(&daemon, "{with,#{rows=>2},{result_rows,{1,2},4,9}}",
                "{ok,[{x,nil,nil},{y,nil,nil}],done}");
    expect_call(&daemon, "{with,#{memory=>20},{result_rows,{1,2},0,9}}",
                "{ok,[{a,0,nil}],{pos,1},memory_budget}");
    expect_call(&daemon, "{with,#{memory=>1},{result_rows,{1,2},0,9}}",
                "{ok,[],{pos,0},memory_budget}");
    expect_call(&daemon, "{with,#{at=>{9,9}},{result_rows,{1,2},0,9}}",
                "{error,{no_snapshot,");
    expect_call(&daemon, "{with,#{expect=>1},{result_rows,{1,2},0,9}}",
                "{error,{bad_argument,");
    expect_call(&daemon, "{with,#{rows=>1},{release_result,{1,2}}}",
                "{error,{bad_argument,");

    /* By a column: equal ones stay, nil is last either way. */
    expect_call(&daemon, "{run,bfs,g,#{source=>b},{rows,{1,3},{level,desc}}}",
                "{ok,");
    expect_call(&daemon, "{result_rows,{1,3},0,9}",
                "{ok,[{a,2,c},{d,2,c},{c,1,b},{b,0,nil},{x,nil,nil},"
                "{y,nil,nil}],done}");
    EXPECT_PARTS(&daemon, "{run,bfs,g,#{source=>b},{rows,{1,4},{level,asc,2}}}",
                 "rows=>2");
    expect_call(&daemon, "{result_rows,{1,4},0,9}",
                "{ok,[{b,0,nil},{c,1,b}],done}");
    expect_call(&daemon,
                "{run,bfs,g,#{source=>b},{rows,{1,5},{vertex,desc,2}}}",
                "{ok,");
    expect_call(&daemon, "{result_rows,{1,5},0,9}",
                "{ok,[{y,nil,nil},{x,nil,nil}],done}");
    expect_call(&daemon, "{run,page_rank,g,#{},{rows,{1,6},{rank,desc,1}}}",
                "{ok,");
    expect_call(&daemon, "{result_rows,{1,6},0,9}", "{ok,[{c,~70}],done}");
    /* Rows that are not one for each vertex, and lists. */
    expect_call(&daemon, "{run,cycles,g,#{},{rows,{1,7},none}}", "{ok,");
    EXPECT_PARTS(&daemon, "{result_rows,{1,7},0,9}", "[a,b,c]");
    expect_call(&daemon, "{run,bridges,g,#{},{rows,{1,8},{to,desc,1}}}",
                "{ok,");
    expect_call(&daemon, "{result_rows,{1,8},0,9}", "{ok,[{x,y}],done}");

    EXPECT_PARTS(&daemon, "{info}", "results=>#{count=>8,");
    expect_call(&daemon, "{release_result,{1,2}}", "{ok,released}");
    expect_call(&daemon, "{release_result,{1,2}}", "{ok,absent}");
    expect_call(&daemon, "{result_rows,{1,2},0,9}", "{error,{no_result,");
    expect_call(&daemon, "{release_holder,2}", "{ok,0}");
    expect_call(&daemon, "{release_holder,1}", "{ok,7}");
    EXPECT_PARTS(&daemon, "{info}", "results=>#{count=>0,bytes=>0}");
    projections_yield(daemon.commands->projections);
    expect_call(&daemon, WCC, "{ok,");
    assert_int_equal(used(&daemon), before);
    daemon_close(&daemon);
}

static void long_pages_are_put_by_a_worker(void **state)
{
    struct daemon daemon;
    const char *text;

    (void)state;
    daemon_open(&daemon);
    fill_ring(&daemon, "g", 2000);
    expect_call(&daemon, "{run,bfs,g,#{source=>0},{rows,{1,1},none}}", "{ok,");
    daemon.jobs_run = 0;
    expect_call(&daemon, "{result_rows,{1,1},0,256}", "{ok,[{0,0,nil},");
    assert_int_equal(daemon.jobs_run, 0);
    /* Limits end a page there, too. */
    EXPECT_PARTS(&daemon, "{with,#{rows=>1000},{result_rows,{1,1},0,10000}}",
                 "],{pos,1000},row_limit}");
    EXPECT_PARTS(&daemon, "{with,#{memory=>8192},{result_rows,{1,1},0,10000}}",
                 "{ok,[{0,0,nil},", "memory_budget}");
    EXPECT_PARTS(&daemon, "{with,#{deadline=>0},{result_rows,{1,1},0,10000}}",
                 "deadline");
    assert_int_equal(daemon.jobs_run, 3);
    daemon.jobs_run = 0;
    assert_int_equal(run(&daemon, "[{1,{result_rows,{1,1},10,10000}},"
                                  "{2,{release_result,{1,1}}}]"),
                     ST_OK);
    run_all(&daemon); /* it was there when the request was read */
    assert_int_equal(daemon.jobs_run, 1);
    text = replies(&daemon);
    assert_non_null(strstr(text, "2:{ok,released}"));
    assert_non_null(strstr(text, "1:{ok,[{"));
    assert_non_null(strstr(text, "],done}"));
    daemon_close(&daemon);
}

static void results_have_bounds(void **state)
{
    const struct version_limits limits = {2, 0};
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    results_set_limits(daemon.commands->results, &limits);
    expect_call(&daemon, "{run,wcc,g,#{},{rows,{1,1},none}}", "{ok,");
    expect_call(&daemon, "{run,wcc,g,#{},{rows,{1,2},none}}", "{ok,");
    expect_call(&daemon, "{run,wcc,g,#{},{rows,{1,3},none}}",
                "{error,{too_big,");
    /* What is not there yet has its place already, and keeps it or not. */
    expect_call(&daemon, "{release_result,{1,1}}", "{ok,released}");
    assert_int_equal(run(&daemon, "[{1,{run,wcc,g,#{},{rows,{1,4},none}}},"
                                  "{2,{run,wcc,g,#{},{rows,{1,5},none}}},"
                                  "{3,{result_rows,{1,4},0,9}},"
                                  "{4,{release_holder,1}}]"),
                     ST_OK);
    run_all(&daemon);
    assert_string_equal(
        replies(&daemon),
        "2:{error,{too_big,<<\"too many results are kept; release some\">>,"
        "#{table=>g}}} "
        "3:{error,{no_result,<<\"no result has this name: released, too old, "
        "or never made\">>,#{}}} "
        "4:{ok,2} "
        "1:{error,{cancelled,<<\"the request was cancelled\">>,#{}}} ");
    EXPECT_PARTS(&daemon, "{info}", "results=>#{count=>0,bytes=>0}");
    daemon_close(&daemon);
}

/* --- with a log ---------------------------------------------------------- */

static void daemon_keep(struct daemon *daemon, bool again)
{
    struct recovery_options how = {.apply = replayer_apply,
                                   .until = UINT64_MAX};
    struct commands_log log = {
        .policy = SYNC_NONE,
        .directory = "dir",
        .host = {start_job, daemon},
    };
    struct replayer *replayer;
    int64_t holder;
    int error;

    if (!again) {
        daemon->sim = sim_io_create();
        daemon->io = sim_io_open(daemon->sim);
    }
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

/* Ends one and starts another one with its log: the digest must be the same,
 * and there are no results. */
static void daemon_restart(struct daemon *daemon)
{
    struct digest digest = store_digest(daemon->store);
    uint64_t seq = store_seq(daemon->store);
    struct sim_io *sim = daemon->sim;

    struct io *io = daemon->io;

    assert_int_equal(termlog_close(daemon->log, digest), ST_OK);
    daemon->sim = NULL;
    daemon_close(daemon);
    io_free(io);
    daemon_open(daemon);
    daemon->sim = sim;
    daemon->io = sim_io_open(sim);
    daemon_keep(daemon, true);
    assert_true(digest_equal(digest, store_digest(daemon->store)));
    assert_int_equal(store_seq(daemon->store), seq);
}

static void rows_are_written_into_tables_and_into_the_log(void **state)
{
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    daemon_keep(&daemon, false);
    fill(&daemon);
    expect_call(&daemon, "{create_table,levels,to_one,#{}}", "{ok,created}");
    expect_call(&daemon, "{create_table,members,one_to_many,#{}}",
                "{ok,created}");
    expect_call(&daemon, "{create_table,cut,set,#{}}", "{ok,created}");
    expect_call(&daemon, "{create_table,bridges,many_to_many,#{}}",
                "{ok,created}");
    expect_call(&daemon, "{create_table,rows,pom,#{}}", "{ok,created}");
    expect_call(&daemon, "{run,bfs,g,#{source=>a},{rows,{1,1},none}}", "{ok,");
    expect_call(&daemon, "{result_write,{1,1},0,2,levels}", "{ok,{2,[],[]}}");
    expect_call(&daemon, "{result_write,{1,1},{pos,2},100,levels}",
                "{ok,{4,[],[]}}");
    expect_call(&daemon, "{result_write,{1,1},0,100,levels}", "{ok,{0,[],[]}}");
    expect_call(&daemon, "{scan,levels,fwd,elements,asc,none,none,9}",
                "{ok,[{a,0},{b,1},{c,2},{d,3},{x,nil},{y,nil}],done}");
    /* What they replace is told. */
    expect_call(&daemon, "{run,bfs,g,#{source=>b},{rows,{1,2},none}}", "{ok,");
    expect_call(&daemon, "{result_write,{1,2},0,100,levels}",
                "{ok,{4,[{a,0},{b,1},{c,2},{d,3}],[]}}");
    /* Pairs, without those that nil is half of; sets of what is true. */
    expect_call(&daemon, "{run,bridges,g,#{},{rows,{1,3},none}}", "{ok,");
    expect_call(&daemon, "{result_write,{1,3},0,100,bridges}", "{ok,{2,");
    expect_call(&daemon, "{scan,bridges,fwd,elements,asc,none,none,9}",
                "{ok,[{c,d},{x,y}],done}");
    expect_call(&daemon, "{run,articulation_points,g,#{},{rows,{1,4},none}}",
                "{ok,");
    expect_call(&daemon, "{result_write,{1,4},0,100,cut}", "{ok,{1,");
    expect_call(&daemon, "{scan,cut,fwd,elements,asc,none,none,9}",
                "{ok,[c],done}");
    expect_call(&daemon, "{result_write,{1,2},0,100,rows}",
                "{error,{wrong_table_type,");
    expect_call(&daemon, "{result_write,{1,2},0,100,g}",
                "{error,{wrong_table_type,");
    expect_call(&daemon, "{result_write,{1,2},0,100,'$keys'}",
                "{error,{bad_argument,");
    expect_call(&daemon, "{result_write,{1,2},0,100000,levels}",
                "{error,{bad_argument,");
    expect_call(&daemon, "{result_write,{1,9},0,1,levels}",
                "{error,{no_result,");
    expect_call(&daemon, "{result_write,{1,1},0,1,nowhere}",
                "{error,{no_table,");
    daemon_restart(&daemon);
    expect_call(&daemon, "{scan,levels,fwd,elements,asc,none,none,9}",
                "{ok,[{a,2},{b,0},{c,1},{d,2},{x,nil},{y,nil}],done}");
    expect_call(&daemon, "{result_rows,{1,1},0,9}", "{error,{no_result,");
    daemon_close(&daemon);
}

/* --- the account, and the end of a run ----------------------------------- */

static void nothing_is_left_of_what_is_cancelled(void **state)
{
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill_ring(&daemon, "g", 3000);
    before = used(&daemon);
    for (unsigned stage = 0; stage < 4; stage++) {
        assert_int_equal(
            run(&daemon, "[{7,{run,wcc,g,#{},{rows,{1,1},none}}}]"), ST_OK);
        readings_look(daemon.readings, SIZE_MAX);
        if (stage > 0) /* the image is made, and it waits for a thread */
            jobs_run(&daemon, 1);
        if (stage == 2)
            daemon.refuses = true;
        if (stage < 3) {
            expect_call(&daemon, "{cancel,7}", "{ok,cancelled}");
        } else { /* it ends as it likes, and then there is nobody */
            run_all(&daemon);
            replies(&daemon);
            expect_call(&daemon, "{release_holder,1}", "{ok,1}");
        }
        daemon.refuses = false;
        run_all(&daemon);
        replies(&daemon);
        projections_yield(daemon.commands->projections);
        assert_int_equal(used(&daemon), before);
        EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>0,bytes=>0}",
                     "results=>#{count=>0,bytes=>0}");
    }
    /* One of two who wait goes, and the other one gets it. */
    assert_int_equal(run(&daemon, "[{1," WCC "},{2," WCC "},{3,{cancel,1}}]"),
                     ST_OK);
    run_all(&daemon);
    assert_non_null(strstr(replies(&daemon), "2:{ok,#{"));
    /* All go, and before the job has noticed somebody comes. */
    expect_call(&daemon, "{put_edge,g,1,99,x,nil}", "{ok,{");
    assert_int_equal(run(&daemon, "[{1," WCC "},{2,{cancel,1}}]"), ST_OK);
    readings_look(daemon.readings, SIZE_MAX);
    assert_non_null(strstr(replies(&daemon), "1:{error,{cancelled,"));
    assert_int_equal(daemon.job_count, 1);
    EXPECT_PARTS(&daemon, WCC, "{ok,#{");
    daemon_close(&daemon);
}

static void deadlines_end_what_waits_and_what_runs(void **state)
{
    struct daemon daemon;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill_ring(&daemon, "g", 3000);
    before = used(&daemon);
    expect_call(&daemon, "{with,#{deadline=>0}," WCC "}", "{error,{deadline,");
    expect_call(&daemon, "{with,#{deadline=>0},{project,p,g,#{}}}",
                "{error,{deadline,");
    projections_yield(daemon.commands->projections);
    assert_int_equal(used(&daemon), before);
    expect_call(&daemon, WCC, "{ok,");
    expect_call(&daemon,
                "{with,#{deadline=>20},{run,betweenness,g,#{},"
                "{rows,{1,1},none}}}",
                "{error,{deadline,");
    expect_call(&daemon, "{with,#{deadline=>infinity}," WCC "}", "{ok,");
    projections_yield(daemon.commands->projections);
    assert_int_equal(used(&daemon), before);
    daemon_close(&daemon);
}

static void memory_has_bounds(void **state)
{
    struct daemon daemon;
    struct mem *mem;
    size_t before;

    (void)state;
    daemon_open(&daemon);
    fill_ring(&daemon, "g", 3000);
    mem = store_mem(daemon.store);
    before = used(&daemon);
    EXPECT_PARTS(&daemon, "{with,#{memory=>2000}," WCC "}",
                 "{error,{memory_budget,", "limit=>2000");

    /* No room for the projection; for the projection, but not for the run. */
    projections_yield(daemon.commands->projections);
    mem->limit = used(&daemon) + 1000;
    expect_call(&daemon, WCC, "{error,{memory_limit,");
    expect_call(&daemon, "{project,p,g,#{}}", "{error,{memory_limit,");
    assert_int_equal(used(&daemon), before);
    mem->limit = SIZE_MAX;
    expect_call(&daemon, WCC, "{ok,");
    mem->limit = used(&daemon) + 1000;
    expect_call(&daemon, "{project,p,g,#{}}", "{ok,");
    expect_call(&daemon, WCC, "{error,{memory_limit,");
    mem->limit = SIZE_MAX;
    expect_call(&daemon, "{drop_projection,p}", "{ok,dropped}");

    /* Idle projections make room for another one. */
    projections_set_cache(daemon.commands->projections, SIZE_MAX / 2);
    mem->limit = used(&daemon) + 60000;
    expect_call(&daemon, "{run,scc,g,#{direction=>in},summary}", "{ok,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>1,");
    /* And for mutations, once one was refused. */
    mem->limit = used(&daemon);
    expect_call(&daemon, "{create_table,t,set,#{}}", "{error,{memory_limit,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>0,");
    expect_call(&daemon, "{create_table,t,set,#{}}", "{ok,created}");
    expect_call(&daemon, "{drop_table,t}", "{ok,dropped}");
    mem->limit = SIZE_MAX;
    before = used(&daemon);

    /* And they have a bound of their own. */
    projections_set_cache(daemon.commands->projections, 0);
    expect_call(&daemon, WCC, "{ok,");
    EXPECT_PARTS(&daemon, "{info}", "projections=>#{count=>0,");
    assert_int_equal(used(&daemon), before);
    daemon_close(&daemon);
}

/* Every allocation of the loop fails once. */
static void want_of_memory_is_survived(void **state)
{
    static const char *const ops[] = {
        "{run,wcc,g,#{labels=>[nil]},{rows,{1,1},{component,desc,3}}}",
        "{project,p,g,#{weighted=>true}}",
        "{run,wcc,{'$projection',p},#{},summary}",
        "{estimate,wcc,g,#{}}",
        "{result_rows,{1,1},0,9}",
        "{result_write,{1,1},0,9,t}",
        "{projections}",
    };
    struct daemon daemon;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    expect_call(&daemon, "{create_table,t,to_one,#{}}", "{ok,created}");
    for (unsigned i = 0; i < 2 * COUNT(ops); i++) {
        struct mem *mem = i % 2 ? store_mem(daemon.store) : &daemon.mem;

        for (uint64_t nth = 1;; nth++) {
            enum status st;
            const char *text;
            bool failed;

            mem_fail_at(mem, nth, false);
            st = run(&daemon, test_format("[{1,%s}]", ops[i / 2]));
            if (st == ST_OK)
                run_all(&daemon);
            failed = mem->fail_at == 0;
            mem_fail_at(mem, 0, false);
            run_all(&daemon);
            if (st < 0) {
                assert_int_equal(st, ST_NO_MEMORY);
                replies(&daemon);
                continue;
            }
            text = replies(&daemon);
            if (failed && !strstr(text, "1:{error,{no_memory,") &&
                !strstr(text, "1:{error,{memory_limit,") &&
                !strstr(text, "1:{ok,"))
                fail_msg("%s, %u: %.500s", ops[i / 2], (unsigned)nth, text);
            if (!failed) {
                assert_non_null(strstr(text, "1:{ok,"));
                break;
            }
            if (i / 2 == 0)
                call(&daemon, "{release_result,{1,1}}");
            if (i / 2 == 1)
                call(&daemon, "{drop_projection,p}");
            projections_yield(daemon.commands->projections);
        }
        if (i == 0)
            call(&daemon, "{release_result,{1,1}}");
        if (i == 2)
            call(&daemon, "{drop_projection,p}");
        projections_yield(daemon.commands->projections);
    }
    /* No thread is to be had. */
    daemon.refuses = true;
    expect_call(&daemon, "{run,scc,g,#{direction=>in},summary}",
                "{error,{no_memory,");
    daemon.refuses = false;
    daemon_close(&daemon);
}

/* --- what is told meanwhile ---------------------------------------------- */

static void who_asks_is_told_of_progress(void **state)
{
    struct daemon daemon;
    int64_t due;

    (void)state;
    daemon_open(&daemon);
    fill(&daemon);
    assert_int_equal(
        run(&daemon, "[{8,{with,#{deadline=>infinity},"
                     "{run,wcc,g,#{progress=>true},summary}}},{9,{running}}]"),
        ST_OK);
    assert_non_null(
        strstr(replies(&daemon), "9:{ok,[#{id=>8,algorithm=>wcc,source=>g,"));
    due = readings_due_ms(daemon.readings);
    assert_true(due >= 0 && due <= READING_TICK_MS + 1);
    while (readings_due_ms(daemon.readings) > 0)
        ;
    readings_look(daemon.readings, 0);
    assert_non_null(strstr(replies(&daemon), "progress:{8,"));
    run_all(&daemon);
    assert_non_null(strstr(replies(&daemon), "8:{ok,#{"));
    assert_true(readings_due_ms(daemon.readings) < 0);
    daemon_close(&daemon);
}

/* --- the real daemon ----------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void client_fill(struct client *client, unsigned count)
{
    struct buffer text = BUFFER(test_mem());

    client_call(client, "{create_table,g,graph,#{}}");
    for (unsigned n = 0; n < count;) {
        text.size = 0;
        test_append_text(&text, "{put_edges,g,[");
        for (unsigned i = 0; i < 2000; i++, n++)
            test_append_text(
                &text, test_format("%s{%u,%u},{%u,%u}", i ? "," : "", n,
                                   (n + 1) % count, n, (n * 31 + 5) % count));
        test_append_text(&text, "]}");
        test_append(&text, "", 1);
        assert_non_null(
            strstr(client_call(client, (const char *)text.data), "{ok,{"));
    }
    buffer_free(&text);
}

/* Sealed, and with threads that a run starts itself. */
static void the_daemon_runs_them_beside_everything_else(void **state)
{
    struct client client;
    const char *text;
    char err[512];

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_fill(&client, 20000);
    text = client_call(&client, "{run,page_rank,g,#{threads=>2},"
                                "{rows,{1,1},{rank,desc,10}}}");
    assert_non_null(strstr(text, "{ok,#{"));
    client_send(&client,
                "[{5,{with,#{deadline=>infinity},"
                "{run,betweenness,g,#{threads=>2,progress=>true},summary}}}]");
    assert_non_null(strstr(client_call(&client, "{ping}"), "pong"));
    assert_non_null(strstr(client_call(&client, "{running}"),
                           "id=>5,algorithm=>betweenness"));
    while (!strstr(client_events(&client), "progress:{5,"))
        client_call(&client, "{ping}");
    client_send(&client, "[{6,{cancel,5}}]");
    do {
        text = client_replies(&client);
        assert_non_null(text);
    } while (!strstr(text, "5:{error,{cancelled,"));
    assert_non_null(
        strstr(client_call(&client, "{result_rows,{1,1},0,100}"), "],done}"));
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
    assert_string_equal(err, "");
}

static void a_client_that_goes_leaves_no_run_behind(void **state)
{
    struct client client;
    uint64_t begun;
    char err[512];
    int nothing;

    (void)state;
    client_start_port(&client, "--threads", "1");
    client_fill(&client, 20000);
    client_send(&client, "[{5,{with,#{deadline=>infinity},"
                         "{run,betweenness,g,#{},summary}}},"
                         "{6,{with,#{deadline=>infinity},"
                         "{run,betweenness,g,#{direction=>in},summary}}}]");
    client_call(&client, "{ping}");
    begun = now_ms();
    nothing = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(nothing, client.out), client.out);
    close(nothing);
    assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_STOPPED);
    assert_string_equal(err, "");
    assert_in_range(now_ms() - begun, 0, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_answers_with_its_figures),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(commands_tell_what_there_is),
        cmocka_unit_test(any_argument_is_survived),
        cmocka_unit_test(a_projection_is_made_once_and_shared),
        cmocka_unit_test(a_named_projection_stays_as_it_is),
        cmocka_unit_test(versions_share_what_is_the_same),
        cmocka_unit_test(rows_come_in_pages_and_in_order),
        cmocka_unit_test(long_pages_are_put_by_a_worker),
        cmocka_unit_test(results_have_bounds),
        cmocka_unit_test(rows_are_written_into_tables_and_into_the_log),
        cmocka_unit_test(nothing_is_left_of_what_is_cancelled),
        cmocka_unit_test(deadlines_end_what_waits_and_what_runs),
        cmocka_unit_test(memory_has_bounds),
        cmocka_unit_test(want_of_memory_is_survived),
        cmocka_unit_test(who_asks_is_told_of_progress),
        cmocka_unit_test(the_daemon_runs_them_beside_everything_else),
        cmocka_unit_test(a_client_that_goes_leaves_no_run_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
