/*
 * test_commit.c -- commits of forks: what is a conflict and what is none, what
 * the log holds, and that any history of transactions has a serial order.
 */
#include "version_case.h"

#ifdef RHIZOME_SANITIZE
/* What an error names must live until the reply is put. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_stack_use_after_return=1";
}
#endif

static const char *const population[] = {
    "{create_table,s,set,#{}}",
    "{create_table,o,to_one,#{}}",
    "{create_table,p,pom,#{}}",
    "{create_table,m,many_to_many,#{}}",
    "{create_table,oo,one_to_one,#{}}",
    "{create_table,om,one_to_many,#{}}",
    "{create_table,e,to_many,#{fwd=>{s,evict}}}",
    "{create_table,r,to_many,#{fwd=>{s,restrict}}}",
    "{insert_all,s,fwd,[1,2,3,4,5,6,7,8,9]}",
    "{insert_all,o,fwd,[{1,x},{2,y},{5,z}]}",
    "{insert_rows,p,[one,two]}",
    "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}",
    "{insert_all,oo,fwd,[{1,x},{2,y}]}",
    "{insert_all,om,fwd,[{1,x},{2,y}]}",
    "{insert_all,e,fwd,[{1,x},{2,y}]}",
    "{insert_all,r,fwd,[{3,x}]}",
};

static void bench_populate(struct bench *bench)
{
    for (size_t i = 0; i < COUNT(population); i++)
        expect(bench, population[i], "{ok,*");
}

/* --- one conflict after another ------------------------------------------ */

struct contest {
    const char *mine;   /* Ops at the fork */
    const char *theirs; /* an Op at the head meanwhile */
    const char *wanted; /* NULL: it commits; else a part of the details */
};

#define WRITE "{insert,o,fwd,{mine,1}}"

static const struct contest contests[] = {
    /* A lost update. */
    {"{get,o,fwd,1},{insert,o,fwd,{1,mine}}", "{insert,o,fwd,{1,theirs}}",
     "#{table=>o,key=>1}"},
    {"{insert,o,fwd,{1,mine}}", "{insert,o,fwd,{1,theirs}}",
     "#{table=>o,key=>1}"}, /* the answer has the old value */
    {"{insert,o,fwd,{3,mine}}", "{insert,o,fwd,{3,theirs}}",
     "#{table=>o,key=>3}"},
    {"{insert,o,fwd,{3,mine}}", "{insert,o,fwd,{4,theirs}}", NULL},
    {"{get,o,fwd,1},{insert,o,fwd,{1,mine}}", "{insert,o,fwd,{2,theirs}}",
     NULL},
    /* The other one came and went. */
    {"{get,o,fwd,1}," WRITE,
     "{batch,[{insert,o,fwd,{1,q}},{insert,o,fwd,"
     "{1,x}}]}",
     NULL},

    /* What was missing. */
    {"{get,o,fwd,7}," WRITE, "{insert,o,fwd,{7,theirs}}", "#{table=>o,key=>7}"},
    {"{has_key,m,bwd,q}," WRITE, "{insert,m,fwd,{9,q}}", "#{table=>m,key=>q}"},
    {"{has_key,m,bwd,x}," WRITE, "{insert,m,fwd,{9,x}}", NULL},
    {"{member,m,fwd,{1,q}}," WRITE, "{insert,m,fwd,{1,q}}",
     "#{table=>m,key=>1}"},
    {"{member,m,{bwd,q},1}," WRITE, "{insert,m,fwd,{1,q}}",
     "#{table=>m,key=>q}"},
    {"{delete,s,fwd,77}," WRITE, "{insert,s,fwd,77}", "#{table=>s,key=>77}"},
    {"{insert,s,fwd,9}," WRITE, "{delete,s,fwd,9}", "#{table=>s,key=>9}"},

    {"{get_all,o,fwd,[1,7]}," WRITE, "{insert,o,fwd,{7,theirs}}",
     "#{table=>o,key=>7}"},
    {"{insert_all,o,fwd,[{5,mine},{7,mine}]}", "{insert,o,fwd,{7,theirs}}",
     "#{table=>o,key=>7}"},
    {"{delete_all,m,bwd,[{x,1},{q,1}]}", "{insert,m,fwd,{1,q}}",
     "#{table=>m,key=>q}"},
    /* Lists of small integers are strings on the wire. */
    {"{get_all,o,fwd,\"\1\7\"}," WRITE, "{insert,o,fwd,{7,theirs}}",
     "#{table=>o,key=>7}"},
    {"{insert_all,s,fwd,\"\1\57\"}", "{insert,s,fwd,47}",
     "#{table=>s,key=>47}"},
    {"{batch,[{delete_all,s,fwd,\"\1\57\"}]}", "{insert,s,fwd,47}",
     "#{table=>s,key=>47}"},
    {"{batch,[{insert,s,fwd,55},{insert,o,fwd,{7,mine}}]}",
     "{insert,o,fwd,{7,theirs}}", "#{table=>o,key=>7}"},
    {"{get_all,o,fwd,[1,7]}," WRITE, "{insert,o,fwd,{8,theirs}}", NULL},
    {"{table_type,o}," WRITE, "{insert,o,fwd,{1,theirs}}", NULL},

    /* Ranges: what comes, goes and changes in them; what does not. */
    {"{scan,s,fwd,elements,asc,{incl,3},{incl,6},10}," WRITE,
     "{insert,s,fwd,{t}}", NULL},
    {"{scan,s,fwd,elements,asc,{incl,4},{excl,6},10}," WRITE,
     "{delete,s,fwd,6}", NULL},
    {"{scan,s,fwd,elements,asc,{incl,4},{incl,6},10}," WRITE,
     "{delete,s,fwd,6}", "#{table=>s,key=>6}"},
    {"{scan,o,fwd,elements,asc,{incl,2},{incl,6},10}," WRITE,
     "{insert,o,fwd,{4,phantom}}", "#{table=>o,key=>4}"},
    {"{scan,o,fwd,keys,asc,{incl,2},{incl,6},10}," WRITE,
     "{insert,o,fwd,{5,other}}", NULL},
    {"{scan,o,fwd,values,asc,{incl,2},{incl,6},10}," WRITE,
     "{insert,o,fwd,{5,other}}", "#{table=>o,key=>5}"},
    {"{scan,m,{fwd,1},elements,asc,none,none,10}," WRITE,
     "{insert,m,bwd,{q,1}}", "#{table=>m,key=>1}"},
    {"{scan,m,{fwd,1},elements,asc,none,none,10}," WRITE,
     "{insert,m,bwd,{q,2}}", NULL},
    {"{scan,m,bwd,keys,asc,none,none,10}," WRITE, "{insert,m,fwd,{7,x}}", NULL},
    {"{scan,m,bwd,keys,asc,none,none,10}," WRITE, "{insert,m,fwd,{7,a}}",
     "#{table=>m,key=>a}"},
    {"{scan,s,fwd,elements,desc,{incl,6},{incl,4},10}," WRITE,
     "{insert,s,fwd,3}", NULL},
    {"{scan,s,fwd,elements,desc,{incl,6},{incl,4},10}," WRITE,
     "{delete,s,fwd,5}", "#{table=>s,key=>5}"},
    /* A page covers what it told, and that there was more. */
    {"{scan,s,fwd,elements,asc,none,none,3}," WRITE, "{delete,s,fwd,4}", NULL},
    {"{scan,s,fwd,elements,asc,none,none,4}," WRITE, "{delete,s,fwd,4}",
     "#{table=>s,key=>4}"},
    {"{scan,s,fwd,elements,desc,none,none,3}," WRITE, "{delete,s,fwd,6}", NULL},
    {"{scan,s,fwd,elements,asc,{incl,1},{incl,2},1}," WRITE, "{delete,s,fwd,2}",
     "table=>s"},
    {"{scan,o,fwd,elements,asc,none,none,2}," WRITE, "{delete_key,o,fwd,5}",
     "table=>o"}, /* WRITE lies behind, and came later */
    {WRITE ",{scan,o,fwd,elements,asc,none,none,2}", "{delete_key,o,fwd,5}",
     NULL},
    {"{scan,o,fwd,elements,asc,none,{incl,5},2}," WRITE, "{delete_key,o,fwd,5}",
     "table=>o"},
    {"{scan,o,fwd,keys,asc,none,{incl,5},2}," WRITE, "{delete_key,o,fwd,5}",
     "table=>o"},
    {"{scan,m,fwd,elements,asc,none,none,1}," WRITE, "{insert,m,fwd,{1,z}}",
     NULL},
    {"{scan,m,fwd,elements,asc,none,none,1}," WRITE, "{insert,m,fwd,{0,z}}",
     "#{table=>m,key=>0}"},
    {"{scan,m,fwd,keys,asc,none,none,1}," WRITE, "{insert,m,fwd,{1,a}}", NULL},
    /* Its own writes are in what it reads, and in their places. */
    {"{insert,s,fwd,45},{scan,s,fwd,elements,asc,{incl,4},{incl,50},10},"
     "{delete,s,fwd,45}",
     "{insert,s,fwd,{t}}", NULL},
    {"{scan,o,fwd,elements,asc,none,none,9},{insert,o,fwd,{1,a}},"
     "{scan,o,fwd,elements,asc,none,none,9}",
     "{insert,s,fwd,{t}}", NULL},
    /* Positions. */
    {"{scan,s,fwd,elements,asc,{pos,2},none,1}," WRITE, "{delete,s,fwd,1}",
     "table=>s"},
    {"{scan,s,fwd,elements,asc,{pos,2},none,1}," WRITE, "{insert,s,fwd,{t}}",
     NULL},
    {"{scan,s,fwd,elements,asc,{pos,-1},none,1}," WRITE, "{insert,s,fwd,{t}}",
     "table=>s"},
    {"{scan,s,fwd,elements,asc,{pos,99},none,1}," WRITE, "{insert,s,fwd,{t}}",
     NULL},

    /* Counts and ranks. */
    {"{count,s,fwd,none,none}," WRITE, "{insert,s,fwd,{t}}", "table=>s"},
    {"{count,s,fwd,none,none}," WRITE,
     "{batch,[{insert,s,fwd,{t}},{delete,s,fwd,9}]}", NULL},
    {"{count,s,fwd,{incl,2},{incl,4}}," WRITE, "{delete,s,fwd,2}",
     "#{table=>s,key=>2}"},
    {"{count,s,fwd,{incl,2},{incl,4}}," WRITE, "{delete,s,fwd,1}", NULL},
    {"{count,s,fwd,{pos,2},none}," WRITE, "{delete,s,fwd,1}", "table=>s"},
    {"{key_count,m,bwd}," WRITE, "{insert,m,fwd,{1,q}}", "table=>m"},
    {"{key_count,m,bwd}," WRITE, "{insert,m,fwd,{9,x}}", NULL},
    {"{rank,s,fwd,5}," WRITE, "{delete,s,fwd,1}", "#{table=>s,key=>5}"},
    {"{rank,s,fwd,5}," WRITE, "{delete,s,fwd,9}", NULL},

    /* Evictions. */
    {"{insert,oo,fwd,{3,x}}", "{insert,oo,fwd,{4,x}}", "#{table=>oo,key=>3}"},
    {"{insert,oo,fwd,{3,q}}", "{insert,oo,fwd,{4,q}}", "#{table=>oo,key=>3}"},
    {"{insert,oo,fwd,{3,q}}", "{insert,oo,fwd,{4,w}}", NULL},
    {"{insert,om,fwd,{3,x}}", "{delete,om,fwd,{1,x}}", "#{table=>om,key=>3}"},
    {"{insert_new,om,fwd,{3,x}}," WRITE, "{delete,om,fwd,{1,x}}",
     "#{table=>om,key=>3}"},
    {"{scan,oo,bwd,elements,asc,none,none,9}," WRITE, "{insert,oo,fwd,{1,a}}",
     "#{table=>oo,key=>a}"},
    {"{get,oo,bwd,y}," WRITE, "{insert,oo,fwd,{9,y}}", "#{table=>oo,key=>y}"},
    {"{delete_key,m,fwd,1}", "{insert,m,fwd,{1,q}}", "#{table=>m,key=>1}"},
    {"{delete_all,s,fwd,[7,8]}", "{delete,s,fwd,8}", "table=>s"},
    {"{clear_table,m}", "{insert,m,fwd,{1,q}}", "table=>m"},

    /* References: what goes along, what is in the way, what must be there. */
    {"{delete,s,fwd,1}", "{insert,e,fwd,{1,q}}", "#{table=>s,key=>1}"},
    {"{delete,s,fwd,1}", "{insert,e,fwd,{2,q}}", NULL},
    {"{delete,s,fwd,4}", "{insert,r,fwd,{4,q}}", "#{table=>s,key=>4}"},
    {"{insert,e,fwd,{5,q}}", "{delete,s,fwd,5}", "#{table=>e,key=>5}"},
    /* Ids. */
    {"{insert_row,p,mine}", "{insert_row,p,theirs}", "#{table=>p}"},
    {"{insert_rows,p,[a,b]}", "{batch,[{insert_row,p,t},{delete_key,p,fwd,3}]}",
     "#{table=>p}"},
    {"{update_row,p,1,mine}", "{insert_row,p,theirs}", NULL},
    {"{update_row,p,1,mine}", "{update_row,p,1,theirs}", "#{table=>p,key=>1}"},

    /* Tables. */
    {"{tables}," WRITE, "{create_table,n,set,#{}}", "#{}"},
    {"{table_info,o}," WRITE, "{insert,o,fwd,{1,new}}", NULL},
    {"{table_info,s}," WRITE, "{insert,s,fwd,{t}}", "table=>s"},
    {"{create_table,n,set,#{}}", "{create_table,n,set,#{}}", "#{table=>n}"},
    {"{create_table,n,set,#{}},{insert,n,fwd,1},{drop_table,n}",
     "{insert,s,fwd,{t}}", NULL},
    {"{drop_table,m}", "{insert,m,fwd,{5,5}}", NULL},
    {"{count,m,fwd,none,none}," WRITE,
     "{batch,[{drop_table,m},{create_table,m,many_to_many,#{}},"
     "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}]}",
     NULL},
    {"{scan,m,fwd,elements,asc,none,none,9}," WRITE,
     "{batch,[{drop_table,m},{create_table,m,many_to_many,#{}},"
     "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}]}",
     NULL},
    {"{scan,m,fwd,elements,asc,none,none,9}," WRITE,
     "{batch,[{drop_table,m},{create_table,m,to_many,#{}},"
     "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}]}",
     NULL},
    {"{insert,m,bwd,{x,9}}",
     "{batch,[{drop_table,m},{create_table,m,to_many,#{}},"
     "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}]}",
     "table=>m"},
    {"{digest}," WRITE, "{insert,s,fwd,{t}}", "#{}"},

    /* Batches, and a batch within what becomes one. */
    {"{batch,[{insert,s,fwd,{t}},{insert,o,fwd,{1,a}}]}",
     "{insert,o,fwd,{1,b}}", "#{table=>o,key=>1}"},
    {"{batch,[{insert,s,fwd,{t}},{insert,o,fwd,{3,a}}]},{batch,[]},"
     "{batch,[{delete,s,fwd,{t}}]}",
     "{insert,o,fwd,{1,b}}", NULL},

    /* Nothing was written: nothing can be in the way. */
    {"{get,o,fwd,1},{count,s,fwd,none,none},{insert,s,fwd,1},{digest}",
     "{clear_table,o}", NULL},
};

static void conflicts_are_found_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contests); i++) {
        const struct contest *contest = &contests[i];
        struct bench bench;
        const char *answer;
        uint64_t seq;

        bench_open(&bench);
        bench_populate(&bench);
        answer =
            call(&bench, test_format("{fork,{1,1},head,[%s]}", contest->mine));
        if (strncmp(answer, "{ok,", 4) != 0)
            fail_msg("%s answers %s", contest->mine, answer);
        expect(&bench, contest->theirs, "{ok,*");
        seq = store_seq(bench.store);
        answer = call(&bench, "{commit,{1,1},[]}");
        if (contest->wanted && (strncmp(answer, "{error,{conflict,", 17) != 0 ||
                                !strstr(answer, contest->wanted)))
            fail_msg("%s against %s\n  answers %s\n  and not conflict, %s",
                     contest->mine, contest->theirs, answer, contest->wanted);
        if (!contest->wanted && strncmp(answer, "{ok,", 4) != 0)
            fail_msg("%s against %s\n  answers %s", contest->mine,
                     contest->theirs, answer);
        assert_true(store_seq(bench.store) == seq + !contest->wanted ||
                    i + 1 == COUNT(contests));
        expect_error(&bench, "{commit,{1,1},[]}", "no_snapshot");
        bench_close(&bench);
    }
}

/* Op by Op: nobody came between, so nothing can be a conflict. */
static void without_others_there_is_no_conflict(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contests); i++) {
        struct bench bench;
        const char *answer;

        bench_open(&bench);
        bench_populate(&bench);
        answer = call(&bench,
                      test_format("{fork,{1,1},head,[%s]}", contests[i].mine));
        assert_memory_equal(answer, "{ok,", 4);
        /* Something that is in nobody's way but theirs who look at all. */
        expect(&bench, "{create_table,other,set,#{}}", "{ok,created}");
        answer = call(&bench, "{commit,{1,1},[]}");
        if (!strstr(contests[i].mine, "{tables}") &&
            !strstr(contests[i].mine, "{digest}") &&
            strncmp(answer, "{ok,", 4) != 0)
            fail_msg("%s: %s", contests[i].mine, answer);
        bench_close(&bench);
    }
}

/* Two that read what the other one writes. */
static void write_skew_is_impossible(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{get,o,fwd,1},{get,o,fwd,2}]}", "{ok,*");
    expect(&bench, "{fork,{1,2},head,[{get,o,fwd,1},{get,o,fwd,2}]}", "{ok,*");
    expect(&bench, "{commit,{1,1},[{insert,o,fwd,{1,off}}]}", "{ok,*");
    expect(&bench, "{commit,{1,2},[{insert,o,fwd,{2,off}}]}",
           "{error,{conflict,<<\"what the fork has read was changed since; "
           "fork and try again\">>,#{table=>o,key=>1}}}");
    expect(&bench, "{get,o,fwd,2}", "{ok,{value,y}}");
    bench_close(&bench);
}

/* An Op that failed has read what made it fail. */
static void failures_are_reads(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    for (unsigned theirs = 0; theirs < 2; theirs++) {
        expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
        expect_error(&bench, "{with,#{at=>{1,1}},{delete,s,fwd,3}}",
                     "restricted");
        expect_error(&bench, "{with,#{at=>{1,1}},{insert,e,fwd,{no,1}}}",
                     "missing_reference");
        expect_error(&bench, "{with,#{at=>{1,1}},{update_row,p,9,x}}",
                     "not_found");
        expect_error(&bench, "{with,#{at=>{1,1}},{get,nope,fwd,1}}",
                     "no_table");
        expect_error(&bench,
                     test_format("{with,#{at=>{1,1}},{get,<<\"%0300d\">>,fwd,"
                                 "1}}",
                                 0),
                     "no_table");
        expect_error(&bench, "{with,#{at=>{1,1}},{get,m,fwd,1}}",
                     "wrong_table_type");
        expect_error(&bench, "{with,#{at=>{1,1}},{insert_all,m,fwd,[{1,q},x]}}",
                     "bad_argument");
        expect_error(&bench, "{with,#{at=>{1,1}},{nope}}", "unknown_command");
        expect(&bench, "{insert,m,fwd,{0,0}}", "{ok,*");
        expect(&bench, "{delete,m,fwd,{0,0}}", "{ok,*");
        if (theirs) {
            expect(&bench, "{clear_table,r}", "{ok,*");
            expect_part(&bench, "{commit,{1,1},[{insert,s,fwd,{a}}]}",
                        "conflict", "#{table=>s,key=>3}");
        } else {
            expect(&bench, "{commit,{1,1},[{insert,s,fwd,{b}}]}", "{ok,*");
        }
    }
    bench_close(&bench);
}

/* --- reads of workers ---------------------------------------------------- */

struct jobs {
    struct job *list[4];
    size_t count;
};

static enum status keep_job(void *context, struct job *job)
{
    struct jobs *jobs = context;

    assert_true(jobs->count < COUNT(jobs->list));
    jobs->list[jobs->count++] = job;
    return ST_OK;
}

static void jobs_run(struct jobs *jobs)
{
    while (jobs->count) {
        struct job *job = jobs->list[--jobs->count];

        job->run(job);
        job->end(job);
    }
}

/* Gives an Op over to a worker, which has not begun yet. */
static void call_long(struct bench *bench, struct jobs *jobs, const char *op)
{
    assert_int_equal(run(bench, test_format("[{1,%s}]", op)), ST_OK);
    assert_string_equal(replies(bench), "");
    readings_look(bench->commands->readings, SIZE_MAX);
    assert_int_equal(jobs->count, 1);
}

static void long_reads_are_read(void **state)
{
    static const struct {
        const char *read, *theirs, *wanted;
    } cases[] = {
        {"{scan,l,fwd,elements,asc,none,{incl,900},2000}", "{insert,l,fwd,901}",
         NULL},
        {"{scan,l,fwd,elements,asc,none,{incl,900},2000}", "{delete,l,fwd,900}",
         "#{table=>l,key=>900}"},
        {"{scan,l,fwd,elements,asc,none,none,500}", "{delete,l,fwd,499}",
         "#{table=>l,key=>499}"},
        {"{scan,l,fwd,elements,asc,none,none,500}", "{delete,l,fwd,501}", NULL},
        {"{scan,l,fwd,elements,desc,none,none,500}", "{delete,l,fwd,500}",
         "#{table=>l,key=>500}"},
        {"{scan,l,fwd,elements,desc,none,none,500}", "{delete,l,fwd,499}",
         NULL},
        {"{scan,l,fwd,elements,asc,{pos,10},none,500}", "{delete,l,fwd,1}",
         "#{table=>l,key=>1}"},
        {"{scan,l,fwd,elements,asc,none,{incl,499},498}", "{delete,l,fwd,499}",
         "table=>l"},
        {"{with,#{where=>{'<',key,100}},{count,l,fwd,none,none}}",
         "{delete,l,fwd,990}", "#{table=>l,key=>990}"},
        {"{with,#{where=>{'<',key,100}},{count,l,fwd,none,{incl,900}}}",
         "{delete,l,fwd,990}", NULL},
        {"{with,#{where=>{'<',key,100}},{scan,l,fwd,elements,asc,none,none,"
         "50}}",
         "{delete,l,fwd,60}", NULL},
        {"{with,#{where=>{'<',key,100},rows=>300},{count,l,fwd,none,none}}",
         "{delete,l,fwd,301}", NULL},
        {"{with,#{where=>{'<',key,100},rows=>300},{count,l,fwd,none,none}}",
         "{delete,l,fwd,299}", "#{table=>l,key=>299}"},
        {"{with,#{rows=>300},{scan,l,fwd,elements,asc,none,none,900}}",
         "{delete,l,fwd,299}", "#{table=>l,key=>299}"},
        {"{with,#{rows=>300},{scan,l,fwd,elements,asc,none,none,900}}",
         "{delete,l,fwd,301}", NULL},
        {"{scan,l,fwd,elements,asc,none,none,500}", "{insert,s,fwd,{t}}", NULL},
        {"{scan,l,fwd,elements,asc,none,none,500}", "{clear_table,l}",
         "#{table=>l,key=>0}"},
        {"{scan,l,fwd,elements,asc,none,none,500}", "{drop_table,l}",
         "#{table=>l}"},
        {"{scan,k,fwd,elements,asc,none,none,500}", "{insert,l,fwd,{t}}", NULL},
        {"{with,#{where=>{'<',key,100}},{count,k,fwd,none,none}}",
         "{create_table,j,set,#{}}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jobs jobs = {.count = 0};
        struct job_host host = {keep_job, &jobs};
        struct bench bench;
        const char *answer, *read = cases[i].read;

        bench_open(&bench);
        bench_populate(&bench);
        readings_set_host(bench.commands->readings, LANE_READS, &host, 1);
        expect(&bench, "{create_table,l,set,#{}}", "{ok,created}");
        for (unsigned n = 0; n < 1000; n++)
            expect(&bench, test_format("{insert,l,fwd,%u}", n), "{ok,*");
        expect(&bench,
               "{fork,{1,1},head,[{delete,l,fwd,1},"
               "{create_table,k,set,#{}}]}",
               "{ok,*");
        if (strstr(read, ",k,")) /* a table of its own */
            for (unsigned n = 0; n < 1000; n++)
                expect(&bench,
                       test_format("{with,#{at=>{1,1}},{insert,k,fwd,%u}}", n),
                       "{ok,*");
        if (strncmp(read, "{with,#{", 8) == 0)
            read = test_format("{with,#{at=>{1,1},%s", read + 8);
        else
            read = test_format("{with,#{at=>{1,1}},%s}", read);
        call_long(&bench, &jobs, read);
        /* It has its place before this one, whenever it ends. */
        expect(&bench, "{with,#{at=>{1,1}},{insert,l,fwd,1}}", "{ok,*");
        jobs_run(&jobs);
        assert_memory_equal(replies(&bench), "1:", 2);
        expect(&bench, cases[i].theirs, "{ok,*");
        answer = call(&bench, "{commit,{1,1},[]}");
        if (cases[i].wanted ? strncmp(answer, "{error,{conflict,", 17) != 0 ||
                                  !strstr(answer, cases[i].wanted)
                            : strncmp(answer, "{ok,", 4) != 0)
            fail_msg("%s against %s\n  answers %s", cases[i].read,
                     cases[i].theirs, answer);
        bench_close(&bench);
    }
}

/* The fork goes first; and a read that nobody was told of is none. */
static void long_reads_outlive_their_fork(void **state)
{
    struct jobs jobs = {.count = 0};
    struct job_host host = {keep_job, &jobs};
    struct bench bench;
    size_t used;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    readings_set_host(bench.commands->readings, LANE_READS, &host, 1);
    expect(&bench, "{create_table,l,set,#{}}", "{ok,created}");
    for (unsigned n = 0; n < 1000; n++)
        expect(&bench, test_format("{insert,l,fwd,%u}", n), "{ok,*");
    used = store_mem(bench.store)->used;
    expect(&bench, "{fork,{1,1},head,[{delete,l,fwd,1}]}", "{ok,*");
    call_long(&bench, &jobs,
              "{with,#{at=>{1,1}},{scan,l,fwd,elements,asc,none,none,2000}}");
    expect(&bench, "{release,{1,1}}", "{ok,released}");
    jobs_run(&jobs);
    assert_memory_equal(replies(&bench), "1:{ok,[0,2,3,4,", 15);
    assert_int_equal(store_mem(bench.store)->used, used);

    expect(&bench, "{fork,{1,1},head,[{delete,l,fwd,1}]}", "{ok,*");
    call_long(&bench, &jobs,
              "{with,#{at=>{1,1}},{scan,l,fwd,elements,asc,none,none,2000}}");
    expect(&bench, "{insert,l,fwd,phantom}", "{ok,*");
    expect(&bench, "{commit,{1,1},[]}", "{ok,*");
    jobs_run(&jobs);
    assert_memory_equal(replies(&bench), "1:{ok,[0,2,3,4,", 15);
    assert_int_equal(store_mem(bench.store)->used, store_bytes(bench.store));
    bench_close(&bench);
}

/* --- what a commit is ---------------------------------------------------- */

static void a_commit_is_one_mutation(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{insert,s,fwd,{a}},{get,o,fwd,1}]}",
           "{ok,{16,*");
    expect(&bench, "{insert,m,fwd,{9,9}}", "{ok,*");
    expect(&bench,
           "{commit,{1,1},[{create_table,n,pom,#{}},{insert_row,n,v},"
           "{batch,[{insert,s,fwd,{b}},{delete,s,fwd,{a}}]},{count,s,fwd,none,"
           "none}]}",
           "{ok,{18,[{ok,created},{ok,{1,[],[]}},{ok,[{inserted,[],[]},"
           "{deleted,[{a}],[]}]},{ok,10}]}}");
    assert_int_equal(store_seq(bench.store), 18);
    assert_int_equal(termlog_appended(bench.log), 18);
    expect(&bench, "{scan,n,fwd,elements,asc,none,none,9}",
           "{ok,[{1,v}],done}");
    expect(&bench, "{has_key,s,fwd,{b}}", "{ok,true}");
    bench_close(&bench); /* and replays */
}

static void what_cannot_be_committed_can_be_tried_again(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{insert,s,fwd,{a}}]}", "{ok,*");
    /* An Op fails: those before it are not done either. */
    expect_part(&bench,
                "{commit,{1,1},[{insert,s,fwd,{b}},{insert,e,fwd,{q,"
                "1}},{insert,s,fwd,{c}}]}",
                "missing_reference", "index=>1");
    assert_int_equal(store_seq(bench.store), 16);
    expect(&bench, "{with,#{at=>{1,1}},{count,s,fwd,{incl,{a}},none}}",
           "{ok,1}");
    expect(&bench, "{commit,{1,1},[]}", "{ok,{17,[]}}");
    expect(&bench, "{count,s,fwd,{incl,{a}},none}", "{ok,1}");
    bench_close(&bench);
}

/* What a commit that failed has read, nobody was told. */
static void a_failed_commit_has_read_nothing(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{get,o,fwd,1}]}", "{ok,*");
    expect_part(&bench,
                "{commit,{1,1},[{has_key,s,fwd,{a}},{has_key,none,fwd,1}]}",
                "no_table", "index=>1");
    expect(&bench, "{insert,s,fwd,{a}}", "{ok,*");
    expect(&bench, "{with,#{at=>{1,1}},{insert,m,fwd,{7,7}}}", "{ok,*");
    expect(&bench, "{commit,{1,1},[]}", "{ok,{18,[]}}");
    bench_close(&bench);
}

static void a_full_log_leaves_the_fork(void **state)
{
    struct bench bench;
    char *large = malloc(900001);

    (void)state;
    memset(large, 'v', 900000);
    large[900000] = '\0';
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{insert,s,fwd,{a}}]}", "{ok,*");
    expect(&bench, "{insert,m,fwd,{7,7}}", "{ok,*");
    for (unsigned i = 0; i < 3; i++) {
        char *op = malloc(1000000);

        snprintf(op, 1000000, "{with,#{at=>{1,1}},{insert_row,p,<<\"%s\">>}}",
                 large);
        expect(&bench, op, test_format("{ok,{%u,[],[]}}", 3 + i));
        free(op);
    }
    sim_io_set_capacity(bench.sim, sim_io_used(bench.sim));
    assert_non_null(
        strstr(call(&bench, "{commit,{1,1},[]}"), "{error,{log_full,"));
    assert_int_equal(store_seq(bench.store), 17);
    expect(&bench, "{has_key,s,fwd,{a}}", "{ok,false}");
    expect(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,{a}}}", "{ok,true}");
    sim_io_set_capacity(bench.sim, UINT64_MAX);
    assert_non_null(strstr(call(&bench, "{commit,{1,1},[]}"), "{ok,{18,[]}}"));
    expect(&bench, "{has_key,s,fwd,{a}}", "{ok,true}");
    expect(&bench, "{table_info,p}", "{ok,#{name=>p,type=>pom,count=>5,*");
    free(large);
    bench_close(&bench);
}

static void a_reply_that_is_too_large_commits_nothing(void **state)
{
    struct bench bench;
    char *large = malloc(700001);
    char *op = malloc(800000);

    (void)state;
    memset(large, 'v', 700000);
    large[700000] = '\0';
    bench_open(&bench);
    bench_populate(&bench);
    snprintf(op, 800000, "{insert,o,fwd,{large,<<\"%s\">>}}", large);
    expect(&bench, op, "{ok,*");
    expect(&bench, "{fork,{1,1},head,[{insert,s,fwd,{a}}]}", "{ok,*");
    expect_part(&bench, "{commit,{1,1},[{get,o,fwd,large},{get,o,fwd,large}]}",
                "too_big", "index=>1");
    assert_int_equal(store_seq(bench.store), 17);
    assert_memory_equal(call(&bench, "{commit,{1,1},[{get,o,fwd,large}]}"),
                        "{ok,{18,", 8);
    free(large);
    free(op);
    bench_close(&bench);
}

/* Many removals in one commit are told to nobody, so no limit counts. */
static void a_commit_may_remove_more_than_a_reply_tells(void **state)
{
    struct bench bench;
    char *large = malloc(200001);
    char *op = malloc(300000);

    (void)state;
    memset(large, 'v', 200000);
    large[200000] = '\0';
    bench_open(&bench);
    bench_populate(&bench);
    for (unsigned i = 0; i < 12; i++) {
        snprintf(op, 300000, "{insert,o,fwd,{{%u},<<\"%s\">>}}", i, large);
        expect(&bench, op, "{ok,*");
    }
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
    for (unsigned i = 0; i < 12; i++)
        expect(&bench,
               test_format("{with,#{at=>{1,1}},{delete_key,o,fwd,{%u}}}", i),
               "{ok,{1,*");
    expect(&bench, "{commit,{1,1},[]}", "{ok,*");
    expect(&bench, "{count,o,fwd,none,none}", "{ok,3}");
    free(large);
    free(op);
    bench_close(&bench);
}

static void a_fork_that_was_asked_too_much_is_not_committed(void **state)
{
    struct bench bench;
    char *large = malloc(500001);
    char *op = malloc(600000);

    (void)state;
    memset(large, 'v', 500000);
    large[500000] = '\0';
    snprintf(op, 600000, "{with,#{at=>{1,1}},{has_key,s,fwd,<<\"%s\">>}}",
             large);
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[{insert,s,fwd,{a}}]}", "{ok,*");
    for (unsigned i = 0; i < JOURNAL_BYTES_MAX / 500000 + 1; i++)
        call(&bench, op); /* too_big, as keys go; it is noted all the same */
    expect(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,{a}}}", "{ok,true}");
    expect_part(&bench, "{commit,{1,1},[]}", "too_big", "do less");
    assert_int_equal(store_seq(bench.store), 16);
    expect(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,{a}}}", "{ok,true}");
    expect(&bench, "{release,{1,1}}", "{ok,released}");
    free(large);
    free(op);
    bench_close(&bench);
}

/* The 1st, 2nd, ... allocation of a commit fails, in one of two accounts. */
static void commit_without_memory(bool of_store, bool moved)
{
    for (uint64_t nth = 1;; nth++) {
        struct bench bench;
        struct mem *mem;
        const char *answer;
        uint64_t seq;
        bool ok;

        bench_open(&bench);
        bench_populate(&bench);
        mem = of_store ? store_mem(bench.store) : &bench.mem;
        expect(&bench,
               "{fork,{1,1},head,[{get,o,fwd,1},{count,m,fwd,none,none},{scan,"
               "s,fwd,elements,asc,none,none,2},{insert,oo,fwd,{3,x}}]}",
               "{ok,*");
        if (moved)
            expect(&bench, "{batch,[{insert,o,fwd,{9,9}},{delete,s,fwd,9}]}",
                   "{ok,*");
        seq = store_seq(bench.store);
        mem_fail_at(mem, nth, false);
        answer = call(&bench, "{commit,{1,1},[{insert,s,fwd,{a}}]}");
        mem_fail_at(mem, 0, false);
        ok = strncmp(answer, "{ok,", 4) == 0;
        if (!ok) {
            assert_memory_equal(answer, "{error,{no_memory,", 18);
            assert_int_equal(store_seq(bench.store), seq);
            expect(&bench, "{commit,{1,1},[]}", "{ok,*");
        }
        assert_int_equal(store_seq(bench.store), seq + 1);
        bench_close(&bench);
        if (ok && nth > 40)
            break;
        assert_true(nth < 1000);
    }
}

static void a_commit_without_memory_changes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        commit_without_memory(i & 1, i & 2);
}

/* --- any history has a serial order -------------------------------------- */

#define FORKS 6
#define OPS_MAX 16
#define TRANSACTIONS_MAX 4000

struct transaction {
    uint64_t seq; /* its commit's; or its base's, if it has written nothing */
    bool reads_only;
    unsigned count;
    char *ops[OPS_MAX];
    char *answers[OPS_MAX];
};

struct history {
    struct random random;
    struct transaction open[FORKS];
    bool is_open[FORKS];
    struct transaction done[TRANSACTIONS_MAX];
    unsigned done_count;
    unsigned conflicts;
    uint64_t snapshot_seq;
    bool has_snapshot;
};

static unsigned below(struct history *history, unsigned bound)
{
    return (unsigned)random_below(&history->random, bound);
}

/* Any Op on the few keys of a small table. */
static char *random_op(struct history *history)
{
    static const char *const pairs[] = {"m", "oo", "om", "e", "r"};
    static const char *const tables[] = {"s",  "o", "p", "m", "oo",
                                         "om", "e", "r", "n"};
    static const char *const whats[] = {"elements", "keys", "values"};
    const char *pair = pairs[below(history, COUNT(pairs))];
    const char *table = tables[below(history, COUNT(tables))];
    const char *side =
        below(history, 2) && pair[0] != 'e' && pair[0] != 'r' ? "bwd" : "fwd";
    unsigned a = below(history, 6), b = below(history, 6);

    switch (below(history, 28)) {
    case 0:
        return test_format("{insert,s,fwd,%u}", a);
    case 1:
        return test_format("{delete,s,fwd,%u}", a);
    case 2:
        return test_format("{insert,o,fwd,{%u,%u}}", a, b);
    case 3:
        return test_format("{insert_new,%s,%s,{%u,%u}}", pair, side, a, b);
    case 4:
    case 5:
    case 6:
        return test_format("{insert,%s,%s,{%u,%u}}", pair, side, a, b);
    case 7:
        return test_format("{delete,%s,%s,{%u,%u}}", pair, side, a, b);
    case 8:
        return test_format("{delete_key,%s,%s,%u}", pair, side, a);
    case 9:
        return test_format("{insert_row,p,%u}", a);
    case 10:
        return test_format("{update_row,p,%u,%u}", a + 1, b);
    case 11:
        return test_format("{batch,[{insert,o,fwd,{%u,%u}},{delete,s,fwd,%u},"
                           "{insert,%s,%s,{%u,%u}}]}",
                           a, b, b, pair, side, b, a);
    case 12:
        return below(history, 4) ? test_format("{delete_key,o,fwd,%u}", a)
                                 : test_format("{clear_table,%s}", table);
    case 13:
        return below(history, 2) ? test_format("{create_table,n,set,#{}}")
                                 : test_format("{drop_table,n}");
    case 14:
        return test_format("{insert,n,fwd,%u}", a);
    case 15:
        return test_format("{get,o,fwd,%u}", a);
    case 16:
        return test_format("{get,oo,%s,%u}", a & 1 ? "fwd" : "bwd", b);
    case 17:
        return test_format("{member,%s,%s,{%u,%u}}", pair, side, a, b);
    case 18:
        return test_format("{has_key,%s,fwd,%u}", table, a);
    case 19:
        return test_format("{count,%s,fwd,{incl,%u},{%s,%u}}", table, a,
                           a & 1 ? "incl" : "excl", b);
    case 20:
        return test_format("{count,%s,{%s,%u},none,none}", pair, side, a);
    case 21:
        return test_format("{key_count,%s,fwd}", table);
    case 22:
        return test_format("{rank,%s,%s,{%u,%u}}", pair, side, a, b);
    case 23:
        return test_format("{tables}");
    case 24:
        return test_format("{scan,%s,fwd,%s,%s,none,none,%u}", table,
                           whats[below(history, 3)], a & 1 ? "asc" : "desc",
                           b + 1);
    case 25:
        return test_format("{scan,%s,%s,%s,asc,{incl,%u},{incl,%u},%u}", pair,
                           side, whats[below(history, 3)], a, a + b,
                           below(history, 8) + 1);
    case 26:
        return test_format("{scan,%s,{%s,%u},elements,%s,none,none,3}", pair,
                           side, a, b & 1 ? "asc" : "desc");
    default:
        return test_format("{scan,%s,fwd,elements,desc,{pos,%d},none,2}", table,
                           (int)a - 3);
    }
}

static void transaction_note(struct transaction *transaction, const char *op,
                             const char *answer)
{
    unsigned n = transaction->count++;

    assert_true(n < OPS_MAX);
    transaction->ops[n] = strdup(op);
    transaction->answers[n] = strdup(answer);
}

static void transaction_forget(struct transaction *transaction)
{
    for (unsigned i = 0; i < transaction->count; i++) {
        free(transaction->ops[i]);
        free(transaction->answers[i]);
    }
    transaction->count = 0;
}

static void transaction_done(struct history *history,
                             const struct transaction *transaction)
{
    assert_true(history->done_count < TRANSACTIONS_MAX);
    history->done[history->done_count++] = *transaction;
}

/* A mutation of the head is a transaction of one Op. */
static void head_step(struct history *history, struct bench *bench)
{
    struct transaction lone = {.count = 0};
    uint64_t seq = store_seq(bench->store);
    char *op = random_op(history);

    transaction_note(&lone, op, call(bench, op));
    lone.seq = store_seq(bench->store);
    lone.reads_only = lone.seq == seq;
    transaction_done(history, &lone);
}

static void fork_open(struct history *history, struct bench *bench, unsigned n)
{
    bool old = history->has_snapshot && below(history, 3) == 0;

    expect(bench, test_format("{fork,{1,%u},%s,[]}", n, old ? "{2,0}" : "head"),
           "{ok,*");
    history->open[n] = (struct transaction){
        .seq = old ? history->snapshot_seq : store_seq(bench->store)};
    history->is_open[n] = true;
}

static void fork_commit(struct history *history, struct bench *bench,
                        unsigned n)
{
    struct transaction *mine = &history->open[n];
    const char *answer = call(bench, test_format("{commit,{1,%u},[]}", n));
    unsigned long long seq;

    history->is_open[n] = false;
    if (strncmp(answer, "{error,{conflict,", 17) == 0) {
        history->conflicts++;
        transaction_forget(mine);
        return;
    }
    assert_int_equal(sscanf(answer, "{ok,{%llu,[]}}", &seq), 1);
    mine->reads_only = seq == mine->seq;
    mine->seq = seq;
    transaction_done(history, mine);
}

static void fork_step(struct history *history, struct bench *bench)
{
    unsigned n = below(history, FORKS);
    char *op;

    if (!history->is_open[n]) {
        fork_open(history, bench, n);
    } else if (history->open[n].count == OPS_MAX || !below(history, 6)) {
        fork_commit(history, bench, n);
    } else if (!below(history, 30)) {
        expect(bench, test_format("{release,{1,%u}}", n), "{ok,released}");
        history->is_open[n] = false;
        transaction_forget(&history->open[n]);
    } else {
        op = random_op(history);
        transaction_note(
            &history->open[n], op,
            call(bench, test_format("{with,#{at=>{1,%u}},%s}", n, op)));
    }
}

static void history_step(struct history *history, struct bench *bench)
{
    unsigned dice = below(history, 40);

    if (dice == 0) {
        if (history->has_snapshot)
            expect(bench, "{release,{2,0}}", "{ok,released}");
        expect(bench, "{snapshot,{2,0}}", "{ok,*");
        history->has_snapshot = true;
        history->snapshot_seq = store_seq(bench->store);
    } else if (dice < 4) {
        head_step(history, bench);
    } else {
        fork_step(history, bench);
    }
}

/* Those that write in the order of their seqs, and readers behind the one that
 * they have seen. */
static int transaction_order(const void *a, const void *b)
{
    const struct transaction *x = a, *y = b;

    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return (int)x->reads_only - (int)y->reads_only;
}

/* One after the other, alone, on a store of their own. */
static void history_repeat(struct history *history, struct bench *bench,
                           uint64_t seed)
{
    struct bench serial;

    qsort(history->done, history->done_count, sizeof(history->done[0]),
          transaction_order);
    bench_open(&serial);
    bench_populate(&serial);
    for (unsigned i = 0; i < history->done_count; i++) {
        struct transaction *transaction = &history->done[i];

        for (unsigned k = 0; k < transaction->count; k++) {
            const char *answer = call(&serial, transaction->ops[k]);

            if (strcmp(answer, transaction->answers[k]) != 0)
                fail_msg("SEED=%llu: transaction %u of seq %llu, Op %u: %s\n"
                         "  was answered %s\n  and would be  %s",
                         (unsigned long long)seed, i,
                         (unsigned long long)transaction->seq, k,
                         transaction->ops[k], transaction->answers[k], answer);
        }
        transaction_forget(transaction);
    }
    assert_true(
        digest_equal(store_digest(serial.store), store_digest(bench->store)));
    bench_close(&serial);
}

static void history_run(uint64_t seed, unsigned *ret_done,
                        unsigned *ret_conflicts)
{
    struct history *history = calloc(1, sizeof(*history));
    struct bench bench;

    random_init(&history->random, seed);
    bench_open(&bench);
    bench_populate(&bench);
    for (unsigned i = 0; i < 1500; i++)
        history_step(history, &bench);
    for (unsigned n = 0; n < FORKS; n++)
        if (history->is_open[n])
            fork_commit(history, &bench, n);
    *ret_done += history->done_count;
    *ret_conflicts += history->conflicts;
    history_repeat(history, &bench, seed);
    if (history->has_snapshot)
        expect(&bench, "{release,{2,0}}", "{ok,released}");
    assert_int_equal(store_mem(bench.store)->used, store_bytes(bench.store));
    bench_close(&bench);
    free(history);
}

static void every_history_has_a_serial_order(void **state)
{
    uint64_t seed = random_seed();
    unsigned done = 0, conflicts = 0;

    (void)state;
    for (unsigned i = 0; i < (getenv("SEED") ? 1 : 20); i++)
        history_run(seed + i, &done, &conflicts);
    print_message("%u transactions, %u conflicts\n", done, conflicts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conflicts_are_found_and_no_others),
        cmocka_unit_test(without_others_there_is_no_conflict),
        cmocka_unit_test(write_skew_is_impossible),
        cmocka_unit_test(failures_are_reads),
        cmocka_unit_test(long_reads_are_read),
        cmocka_unit_test(long_reads_outlive_their_fork),
        cmocka_unit_test(a_commit_is_one_mutation),
        cmocka_unit_test(what_cannot_be_committed_can_be_tried_again),
        cmocka_unit_test(a_failed_commit_has_read_nothing),
        cmocka_unit_test(a_full_log_leaves_the_fork),
        cmocka_unit_test(a_reply_that_is_too_large_commits_nothing),
        cmocka_unit_test(a_commit_may_remove_more_than_a_reply_tells),
        cmocka_unit_test(a_fork_that_was_asked_too_much_is_not_committed),
        cmocka_unit_test(a_commit_without_memory_changes_nothing),
        cmocka_unit_test(every_history_has_a_serial_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
