/*
 * test_cmd_traverse.c -- local work on graphs as clients ask for it: every
 * command, its options and what is wrong with them; limits; on the loop and on
 * a worker; at snapshots and forks; on graphs, tables of pairs and paths.
 */
#include "port/local.h"

#include "port/version_case.h"

#define JOBS_MAX 4

/* A bench whose long reads wait until the test runs them. */
struct host {
    struct bench bench;
    struct job *jobs[JOBS_MAX];
    size_t job_count;
};

static enum status start_job(void *context, struct job *job)
{
    struct host *host = context;

    assert_true(host->job_count < JOBS_MAX);
    host->jobs[host->job_count++] = job;
    return ST_OK;
}

static void with_workers(struct host *host)
{
    const struct job_host job_host = {start_job, host};

    readings_set_host(commands_readings(host->bench.commands), LANE_READS,
                      &job_host, JOBS_MAX);
}

/* Runs what was given over; true if anything was. */
static bool run_jobs(struct host *host)
{
    struct readings *readings = commands_readings(host->bench.commands);
    bool any = false;

    readings_look(readings, SIZE_MAX);
    while (host->job_count) {
        struct job *job = host->jobs[--host->job_count];

        job->run(job);
        job->end(job);
        readings_look(readings, SIZE_MAX);
        any = true;
    }
    return any;
}

/* The answer to an Op that goes over to a worker. */
static const char *call_over(struct host *host, const char *op)
{
    struct bench *bench = &host->bench;
    const char *text = call(bench, op);
    size_t size;

    if (*text)
        fail_msg("%s\n  is answered on the loop: %s", op, text);
    assert_true(run_jobs(host));
    text = replies(bench);
    size = strlen(text);
    assert_true(size > 3 && !strncmp(text, "1:", 2));
    bench->text.data[size - 1] = '\0';
    return text + 2;
}

static void expect_over(struct host *host, const char *op, const char *wanted)
{
    const char *answer = call_over(host, op);
    size_t size = strlen(wanted);
    bool fits = size && wanted[size - 1] == '*'
                    ? strncmp(answer, wanted, size - 1) == 0
                    : strcmp(answer, wanted) == 0;

    if (!fits)
        fail_msg("%s\n  answers %.400s\n  and not %s", op, answer, wanted);
}

/*
 *     a --1--> b --1--> d --1--> e        z
 *     a --5--> d        a -x-> b
 *     a --1--> c --2--> d   c --> c
 */
static void make_graph(struct bench *bench)
{
    expect(bench, "{create_table,g,graph,#{weight=>value}}", "{ok,*");
    expect(bench,
           "{put_vertices,g,[{a,1,[red]},{b,2,[blue]},{c,3,[red,blue]},"
           "{d,4,[]},{e,5,[]},z]}",
           "{ok,*");
    expect(bench,
           "{put_edges,g,[{a,b,nil,1},{a,c,nil,1},{b,d,nil,1},{c,d,nil,2},"
           "{a,d,nil,5},{d,e,nil,1},{a,b,x,7},{c,c,nil,9}]}",
           "{ok,*");
}

static void open_graph(struct host *host)
{
    memset(host, 0, sizeof(*host));
    bench_open(&host->bench);
    make_graph(&host->bench);
}

/* --- every command -------------------------------------------------------- */

struct question {
    const char *op;
    const char *wanted;
};

static const struct question questions[] = {
    {"{neighbors,g,a,#{}}", "{ok,[b,c,d]}"},
    {"{neighbors,g,d,#{direction=>in}}", "{ok,[a,b,c]}"},
    {"{neighbors,g,d,#{direction=>both}}", "{ok,[a,b,c,e]}"},
    {"{neighbors,g,c,#{direction=>out}}", "{ok,[c,d]}"},
    {"{neighbors,g,z,#{}}", "{ok,[]}"},
    {"{neighbors,g,a,#{labels=>[x]}}", "{ok,[b]}"},
    {"{neighbors,g,a,#{labels=>[nil]}}", "{ok,[b,c,d]}"},
    {"{neighbors,g,a,#{labels=>[y]}}", "{ok,[]}"},
    {"{neighbors,g,a,#{labels=>[]}}", "{ok,[]}"},
    {"{neighbors,g,a,#{vertex_labels=>[red]}}", "{ok,[c]}"},
    {"{neighbors,g,a,#{vertex_labels=>[blue,red]}}", "{ok,[b,c]}"},
    {"{neighbors,g,a,#{vertex_labels=>[nil]}}", "{ok,[]}"},
    {"{neighbors,g,a,#{vertices=>{'>',value,2}}}", "{ok,[c,d]}"},
    {"{neighbors,g,a,#{vertices=>{in,key,[b,d]}}}", "{ok,[b,d]}"},
    {"{neighbors,g,a,#{edges=>{'<',value,5}}}", "{ok,[b,c]}"},
    {"{neighbors,g,a,#{edges=>{'=:=',key,d}}}", "{ok,[d]}"},
    {"{neighbors,g,a,#{limit=>2}}", "{ok,[b,c],none,limit}"},
    {"{neighbors,g,a,#{limit=>3}}", "{ok,[b,c,d]}"},
    {"{neighbors,g,a,#{degree=>2}}", "{ok,[b,c]}"},
    {"{neighbors,g,a,#{values=>true}}",
     "{ok,[{b,nil,1,out},{c,nil,1,out},{d,nil,5,out},{b,x,7,out}]}"},
    {"{neighbors,g,d,#{values=>true,direction=>both,weighted=>true}}",
     "{ok,[{e,nil,1,out,1},{a,nil,5,in,5},{b,nil,1,in,1},{c,nil,2,in,2}]}"},
    {"{neighbors,g,a,#{values=>true,limit=>1}}",
     "{ok,[{b,nil,1,out}],none,limit}"},
    {"{neighbors,g,a,#{values=>false}}", "{ok,[b,c,d]}"},

    {"{degree,g,a,#{}}", "{ok,4}"},
    {"{degree,g,d,#{direction=>both}}", "{ok,4}"},
    {"{degree,g,c,#{direction=>both}}", "{ok,4}"},
    {"{degree,g,a,#{labels=>[x,y]}}", "{ok,1}"},
    {"{degree,g,a,#{edges=>{'>',value,1}}}", "{ok,2}"},
    {"{degrees,g,[a,z,c],#{}}", "{ok,[4,0,2]}"},
    {"{degrees,g,[],#{}}", "{ok,[]}"},

    {"{k_hop,g,[a],#{}}", "{ok,[{a,0},{b,1},{c,1},{d,1},{e,2}]}"},
    {"{k_hop,g,[a],#{depth=>1}}", "{ok,[{a,0},{b,1},{c,1},{d,1}]}"},
    {"{k_hop,g,[a],#{depth=>0}}", "{ok,[{a,0}]}"},
    {"{k_hop,g,[z,b,z],#{depth=>1}}", "{ok,[{b,0},{z,0},{d,1}]}"},
    {"{k_hop,g,[],#{}}", "{ok,[]}"},
    {"{k_hop,g,[a],#{limit=>3}}", "{ok,[{a,0},{b,1},{c,1}],none,limit}"},
    {"{k_hop,g,[a],#{depth=>9223372036854775807}}",
     "{ok,[{a,0},{b,1},{c,1},{d,1},{e,2}]}"},
    {"{bfs,g,a,#{}}", "{ok,[{a,0,none},{b,1,a},{c,1,a},{d,1,a},{e,2,d}]}"},
    {"{bfs,g,e,#{direction=>in,depth=>2}}",
     "{ok,[{e,0,none},{d,1,e},{a,2,d},{b,2,d},{c,2,d}]}"},
    {"{dfs,g,a,#{}}", "{ok,[{a,0,none},{b,1,a},{d,2,b},{e,3,d},{c,1,a}]}"},
    {"{dfs,g,a,#{depth=>1}}", "{ok,[{a,0,none},{b,1,a},{c,1,a},{d,1,a}]}"},
    {"{dfs,g,a,#{limit=>2}}", "{ok,[{a,0,none},{b,1,a}],none,limit}"},

    {"{reachable,g,a,e,#{}}", "{ok,true}"},
    {"{reachable,g,e,a,#{}}", "{ok,false}"},
    {"{reachable,g,e,a,#{direction=>in}}", "{ok,true}"},
    {"{reachable,g,a,e,#{depth=>1}}", "{ok,false}"},
    {"{reachable,g,a,a,#{depth=>0}}", "{ok,true}"},
    {"{reachable,g,a,e,#{vertices=>{'=/=',key,d}}}", "{ok,false}"},

    {"{shortest_path,g,a,e,#{}}", "{ok,{2,[a,d,e]}}"},
    {"{shortest_path,g,a,e,#{weighted=>true}}", "{ok,{3,[a,b,d,e]}}"},
    {"{shortest_path,g,a,e,#{weighted=>false}}", "{ok,{2,[a,d,e]}}"},
    {"{shortest_path,g,e,a,#{}}", "{ok,none}"},
    {"{shortest_path,g,e,a,#{weighted=>true}}", "{ok,none}"},
    {"{shortest_path,g,a,a,#{}}", "{ok,{0,[a]}}"},
    {"{shortest_path,g,a,e,#{edges=>{'<',value,5}}}", "{ok,{3,[a,b,d,e]}}"},
    {"{shortest_path,g,a,e,#{weighted=>true,vertices=>{'=/=',key,b}}}",
     "{ok,{4,[a,c,d,e]}}"},
    {"{shortest_path,g,a,e,#{depth=>1}}", "{ok,none}"},

    {"{shortest_paths_to,g,a,[e,z,b],#{weighted=>true}}",
     "{ok,[{e,3,[a,b,d,e]},{b,1,[a,b]}]}"},
    {"{shortest_paths_to,g,a,all,#{}}",
     "{ok,[{a,0,[a]},{b,1,[a,b]},{c,1,[a,c]},{d,1,[a,d]},{e,2,[a,d,e]}]}"},
    {"{shortest_paths_to,g,a,all,#{limit=>2}}",
     "{ok,[{a,0,[a]},{b,1,[a,b]}],none,limit}"},
    {"{shortest_paths_to,g,a,[],#{}}", "{ok,[]}"},
    {"{all_shortest_paths,g,b,c,#{direction=>both}}", "{ok,[[b,a,c],[b,d,c]]}"},
    {"{all_shortest_paths,g,a,e,#{}}", "{ok,[[a,d,e]]}"},
    {"{all_shortest_paths,g,a,a,#{}}", "{ok,[[a]]}"},
    {"{all_shortest_paths,g,e,a,#{}}", "{ok,[]}"},
    {"{k_shortest_paths,g,a,e,9,#{}}",
     "{ok,[{2,[a,d,e]},{3,[a,b,d,e]},{3,[a,c,d,e]}]}"},
    {"{k_shortest_paths,g,a,e,2,#{weighted=>true}}",
     "{ok,[{3,[a,b,d,e]},{4,[a,c,d,e]}]}"},
    {"{k_shortest_paths,g,a,e,9,#{limit=>1}}", "{ok,[{2,[a,d,e]}],none,limit}"},
    {"{paths,g,a,d,#{depth=>2}}", "{ok,[[a,b,d],[a,c,d],[a,d]]}"},
    {"{paths,g,a,d,#{depth=>5}}", "{ok,[[a,b,d],[a,c,d],[a,d]]}"},
    {"{paths,g,b,any,#{depth=>5}}", "{ok,[[b,d],[b,d,e]]}"},
    {"{paths,g,a,d,#{depth=>0}}", "{ok,[]}"},
    {"{paths,g,a,a,#{depth=>0}}", "{ok,[[a]]}"},
    {"{paths,g,a,d,#{depth=>2,limit=>1}}", "{ok,[[a,b,d]],none,limit}"},
    {"{random_walk,g,d,7,1,#{}}", "{ok,[d,e]}"},
    {"{random_walk,g,z,7,1,#{}}", "{ok,[z]}"},
    {"{random_walk,g,d,0,-1,#{}}", "{ok,[d]}"},
    {"{random_walk,g,b,5,3,#{limit=>2,weighted=>true}}",
     "{ok,[b,d],none,limit}"},
    {"{common_neighbors,g,b,c,#{direction=>both}}", "{ok,[a,d]}"},
    {"{common_neighbors,g,b,c,#{direction=>both,limit=>1}}",
     "{ok,[a],none,limit}"},
    {"{jaccard,g,a,z,#{}}", "{ok,~70}"},
    {"{subgraph,g,[a,c,d],#{}}",
     "{ok,{[{vertex,a,1,[red]},{vertex,c,3,[red,blue]},{vertex,d,4,[]}],"
     "[{edge,a,c,nil,1},{edge,a,d,nil,5},{edge,c,c,nil,9},{edge,c,d,nil,2}]}}"},
    {"{subgraph,g,[a,b,a],#{labels=>[x]}}",
     "{ok,{[{vertex,a,1,[red]},{vertex,b,2,[blue]}],[{edge,a,b,x,7}]}}"},
    {"{subgraph,g,[],#{}}", "{ok,{[],[]}}"},
};

static void every_command_answers(void **state)
{
    struct host host;

    (void)state;
    open_graph(&host);
    for (size_t i = 0; i < COUNT(questions); i++)
        expect(&host.bench, questions[i].op, questions[i].wanted);
    with_workers(&host); /* they are all too small to go over */
    for (size_t i = 0; i < COUNT(questions); i++)
        expect(&host.bench, questions[i].op, questions[i].wanted);
    bench_close(&host.bench);
}

/* A number beyond all is any number. */
static void a_depth_may_be_absurd(void **state)
{
    static const uint8_t big[] = {ETF_SMALL_BIG, 8, 0, 0, 0, 0, 0, 0, 0, 0,
                                  0x80};
    struct host host;
    struct bench *bench = &host.bench;
    uint8_t version = ETF_VERSION;
    size_t at;

    (void)state;
    open_graph(&host);
    bench->payload.size = 0;
    test_append(&bench->payload, &version, 1);
    term_parse(&bench->payload, "[{1,{k_hop,g,[d],#{depth=>77}}}]");
    for (at = 0; memcmp(bench->payload.data + at, "\x61\x4d", 2) != 0; at++)
        ;
    bench->payload.size -= 1; /* the end of the list */
    bench->payload.size -= 2;
    test_append(&bench->payload, big, sizeof(big));
    test_append(&bench->payload, "\x6a", 1);
    assert_int_equal(at + 2 + sizeof(big) - 2 + 1, bench->payload.size);
    assert_int_equal(
        commands_open(bench->commands, buffer_bytes(&bench->payload)), ST_OK);
    assert_int_equal(commands_step(bench->commands), ST_OK);
    assert_int_equal(commands_step(bench->commands), ST_OK);
    assert_string_equal(replies(bench), "1:{ok,[{d,0},{e,1}]} ");
    bench_close(&host.bench);
}

static void undirected_graphs_have_no_direction(void **state)
{
    static const struct question undirected[] = {
        {"{neighbors,u,b,#{}}", "{ok,[a,b,c]}"},
        {"{neighbors,u,b,#{direction=>in}}", "{ok,[a,b,c]}"},
        {"{degree,u,b,#{}}", "{ok,4}"},
        {"{degree,u,b,#{edges=>{'>=',value,0}}}", "{ok,4}"},
        {"{shortest_path,u,c,a,#{}}", "{ok,{2,[c,b,a]}}"},
        {"{shortest_path,u,c,a,#{weighted=>true}}", "{ok,{5,[c,b,a]}}"},
        /* The lesser end first, though z was there before y. */
        {"{subgraph,u,[z,y],#{}}", "{ok,{[{vertex,z,nil,[]},{vertex,y,nil,[]}],"
                                   "[{edge,y,z,nil,nil}]}}"},
        {"{subgraph,u,[c,b],#{}}", "{ok,{[{vertex,c,nil,[]},{vertex,b,nil,[]}],"
                                   "[{edge,b,b,nil,1},{edge,b,c,nil,3}]}}"},
    };
    struct host host;

    (void)state;
    memset(&host, 0, sizeof(host));
    bench_open(&host.bench);
    expect(&host.bench,
           "{create_table,u,graph,#{directed=>false,weight=>value}}", "{ok,*");
    expect(&host.bench, "{put_edge,u,z,y,nil,nil}", "{ok,{inserted,[],[]}}");
    expect(&host.bench, "{put_edges,u,[{a,b,nil,2},{b,c,nil,3},{b,b,nil,1}]}",
           "{ok,*");
    for (size_t i = 0; i < COUNT(undirected); i++)
        expect(&host.bench, undirected[i].op, undirected[i].wanted);
    bench_close(&host.bench);
}

/* --- tables of pairs -------------------------------------------------------
 */

static void make_tables(struct bench *bench)
{
    expect(bench, "{create_table,writes,many_to_many,#{}}", "{ok,*");
    expect(bench, "{create_table,about,many_to_many,#{}}", "{ok,*");
    expect(bench, "{create_table,tags,to_many,#{}}", "{ok,*");
    expect(bench, "{create_table,far,to_one,#{}}", "{ok,*");
    expect(bench,
           "{insert_all,writes,fwd,[{ann,p1},{ann,p2},{bob,p2},{cid,p3}]}",
           "{ok,*");
    expect(bench, "{insert_all,about,fwd,[{p1,x},{p2,x},{p2,y},{p3,z}]}",
           "{ok,*");
    expect(bench, "{insert_all,tags,fwd,[{1,2},{2,3},{3,1}]}", "{ok,*");
    expect(bench, "{insert_all,far,fwd,[{a,2},{b,2},{d,1}]}", "{ok,*");
}

static void tables_of_pairs_are_graphs(void **state)
{
    static const struct question asked[] = {
        {"{neighbors,writes,ann,#{}}", "{ok,[p1,p2]}"},
        {"{neighbors,writes,p2,#{direction=>in}}", "{ok,[ann,bob]}"},
        {"{neighbors,writes,ann,#{values=>true}}",
         "{ok,[{p1,nil,nil,out},{p2,nil,nil,out}]}"},
        {"{neighbors,writes,ann,#{labels=>[nil]}}", "{ok,[p1,p2]}"},
        {"{neighbors,writes,ann,#{labels=>[x]}}", "{ok,[]}"},
        {"{neighbors,writes,ann,#{vertex_labels=>[x]}}", "{ok,[]}"},
        {"{degree,writes,ann,#{}}", "{ok,2}"},
        {"{degree,writes,p2,#{direction=>both}}", "{ok,2}"},
        {"{shortest_path,writes,ann,bob,#{direction=>both}}",
         "{ok,{2,[ann,p2,bob]}}"},
        {"{shortest_path,writes,ann,bob,#{weighted=>true,direction=>both}}",
         "{ok,{2,[ann,p2,bob]}}"},
        {"{k_hop,tags,[1],#{}}", "{ok,[{1,0},{2,1},{3,2}]}"},
        {"{reachable,tags,1,3,#{}}", "{ok,true}"},
        {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}",
         "{ok,[x,y]}"},
        {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},x,"
         "#{direction=>in}}",
         "{ok,[ann,bob]}"},
        {"{bfs,{'$path',[{writes,fwd},{writes,bwd}]},ann,#{}}",
         "{ok,[{ann,0,none},{bob,1,ann}]}"},
        {"{degree,{'$path',[{writes,fwd},{writes,bwd}]},ann,#{}}", "{ok,2}"},
        {"{reachable,{'$path',[{about,bwd},{about,fwd}]},x,y,#{}}",
         "{ok,true}"},
        {"{subgraph,writes,[ann,p1,p3],#{}}",
         "{ok,{[{vertex,ann,nil,[]},{vertex,p1,nil,[]},{vertex,p3,nil,[]}],"
         "[{edge,ann,p1,nil,nil}]}}"},
    };
    struct host host;

    (void)state;
    open_graph(&host);
    make_tables(&host.bench);
    for (size_t i = 0; i < COUNT(asked); i++)
        expect(&host.bench, asked[i].op, asked[i].wanted);
    bench_close(&host.bench);
}

static void a_table_may_guide_the_way(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;

    (void)state;
    open_graph(&host);
    make_tables(bench);
    expect(bench,
           "{shortest_path,g,a,e,#{weighted=>true,heuristic=>{far,lookup}}}",
           "{ok,{3,[a,b,d,e]}}");
    expect(bench, "{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}",
           "{ok,{2,[a,d,e]}}");
    expect(bench, "{insert,far,fwd,{b,none}}", "{ok,*");
    expect_part(bench, "{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}",
                "bad_weight", "vertex=>b");
    expect(bench, "{insert,far,fwd,{b,-1}}", "{ok,*");
    expect_error(bench, "{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}",
                 "bad_weight");
    expect_error(bench, "{shortest_path,g,a,e,#{heuristic=>{nix,lookup}}}",
                 "no_table");
    expect_error(bench, "{shortest_path,g,a,e,#{heuristic=>{tags,lookup}}}",
                 "wrong_table_type");
    bench_close(&host.bench);
}

/* --- what is wrong with it -------------------------------------------------
 */

struct mistake {
    const char *op;
    const char *code;
    const char *part;
};

static const struct mistake mistakes[] = {
    {"{neighbors,nix,a,#{}}", "no_table", "table=>nix"},
    {"{neighbors,far,a,#{}}", "wrong_table_type", "table=>far"},
    {"{neighbors,{'$path',[]},a,#{}}", "bad_argument", "argument=>1"},
    {"{neighbors,{'$path',[{writes,up}]},a,#{}}", "bad_argument",
     "argument 1 of neighbors"},
    {"{neighbors,{'$path',[{writes,fwd},{nix,fwd}]},a,#{}}", "no_table",
     "table=>nix"},
    {"{neighbors,{'$path',[{tags,bwd}]},a,#{}}", "wrong_table_type",
     "table=>tags"},
    {"{neighbors,{'$path',[{g,fwd}]},a,#{}}", "wrong_table_type", "table=>g"},
    {"{neighbors,{'$path',[1,2]},a,#{}}", "bad_argument", "argument=>1"},
    {"{neighbors,tags,1,#{direction=>in}}", "wrong_table_type", "bwd"},
    {"{neighbors,g,nobody,#{}}", "no_vertex", "key=>nobody"},
    {"{neighbors,writes,nobody,#{}}", "no_vertex", "key=>nobody"},
    {"{degrees,g,[a,nobody],#{}}", "no_vertex", "position=>1"},
    {"{shortest_path,g,a,nobody,#{}}", "no_vertex", "key=>nobody"},
    {"{shortest_paths_to,g,a,[b,nobody],#{}}", "no_vertex", "position=>1"},
    {"{shortest_paths_to,g,a,some,#{}}", "bad_argument", "argument=>3"},
    {"{degrees,g,a,#{}}", "bad_argument", "must be a list"},
    {"{degrees,g,[a|b],#{}}", "bad_argument", "proper list"},
    {"{neighbors,g,a,[]}", "bad_argument", "argument 3 of neighbors"},
    {"{neighbors,g,a,#{colour=>red}}", "bad_argument", "the options are"},
    {"{neighbors,g,a,#{1=>red}}", "bad_argument", "is an atom"},
    {"{neighbors,g,a,#{depth=>1,depth=>2}}", "bad_argument",
     "depth is given twice"},
    {"{degree,g,a,#{values=>true}}", "bad_argument", "the options are"},
    {"{k_hop,g,[a],#{weighted=>true}}", "bad_argument", "the options are"},
    {"{neighbors,g,a,#{heuristic=>{far,lookup}}}", "bad_argument",
     "the options are"},
    {"{neighbors,g,a,#{direction=>up}}", "bad_argument", "direction is"},
    {"{neighbors,g,a,#{direction=>1}}", "bad_argument", "direction is"},
    {"{neighbors,g,a,#{labels=>x}}", "bad_argument", "labels is a list"},
    {"{neighbors,g,a,#{labels=>[x|y]}}", "bad_argument", "labels is a list"},
    {"{neighbors,g,a,#{vertex_labels=>1}}", "bad_argument",
     "vertex_labels is a list"},
    {"{neighbors,g,a,#{edges=>1}}", "bad_argument", "argument=>3"},
    {"{neighbors,g,a,#{vertices=>{'<',key}}}", "bad_argument", "argument=>3"},
    {"{k_hop,g,[a],#{depth=>-1}}", "bad_argument", "depth is"},
    {"{k_hop,g,[a],#{depth=>deep}}", "bad_argument", "depth is"},
    {"{k_hop,g,[a],#{degree=>0}}", "bad_argument", "degree is"},
    {"{k_hop,g,[a],#{limit=>0}}", "bad_argument", "limit is"},
    {"{shortest_path,g,a,b,#{weighted=>yes}}", "bad_argument", "weighted is"},
    {"{neighbors,g,a,#{values=>1}}", "bad_argument", "values is"},
    {"{shortest_path,g,a,b,#{heuristic=>far}}", "bad_argument", "heuristic is"},
    {"{shortest_path,g,a,b,#{heuristic=>{far,look}}}", "bad_argument",
     "heuristic is"},
    {"{shortest_path,g,a,b,#{weighted=>true,depth=>3}}", "bad_argument",
     "depth is for"},
    {"{paths,g,a,b,#{}}", "bad_argument", "depth is missing"},
    {"{k_shortest_paths,g,a,b,0,#{}}", "bad_argument", "argument=>4"},
    {"{random_walk,g,a,-1,0,#{}}", "bad_argument", "argument=>3"},
    {"{random_walk,g,a,1,x,#{}}", "bad_argument", "argument=>4"},
    {"{neighbors,g,a}", "wrong_arity", "takes 3"},
    {"{with,#{where=>{'<',key,1}},{neighbors,g,a,#{}}}", "bad_argument",
     "where"},
};

static void mistakes_are_named(void **state)
{
    struct host host;

    (void)state;
    open_graph(&host);
    make_tables(&host.bench);
    with_workers(&host);
    for (size_t i = 0; i < COUNT(mistakes); i++)
        expect_part(&host.bench, mistakes[i].op, mistakes[i].code,
                    mistakes[i].part);
    bench_close(&host.bench);
}

static void bad_weights_name_the_edge(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;

    (void)state;
    open_graph(&host);
    expect(bench, "{put_edge,g,d,e,nil,-3}", "{ok,*");
    expect_part(bench, "{shortest_path,g,a,e,#{weighted=>true}}", "bad_weight",
                "from=>d,to=>e");
    expect_part(bench, "{k_shortest_paths,g,a,e,2,#{weighted=>true}}",
                "bad_weight", "from=>d,to=>e");
    expect_part(bench, "{random_walk,g,d,2,1,#{weighted=>true}}", "bad_weight",
                "from=>d,to=>e");
    expect(bench, "{shortest_path,g,a,e,#{}}", "{ok,{2,[a,d,e]}}");
    bench_close(&host.bench);
}

static const char *const valid[][6] = {
    {"neighbors", "g", "a", "#{}"},
    {"degree", "g", "a", "#{}"},
    {"degrees", "g", "[a,b]", "#{}"},
    {"k_hop", "g", "[a,b]", "#{}"},
    {"bfs", "g", "a", "#{}"},
    {"dfs", "g", "a", "#{}"},
    {"reachable", "g", "a", "b", "#{}"},
    {"shortest_path", "g", "a", "b", "#{}"},
    {"shortest_paths_to", "g", "a", "[b]", "#{}"},
    {"all_shortest_paths", "g", "a", "b", "#{}"},
    {"k_shortest_paths", "g", "a", "b", "3", "#{}"},
    {"paths", "g", "a", "b", "#{depth=>3}"},
    {"random_walk", "g", "a", "5", "1", "#{}"},
    {"common_neighbors", "g", "a", "b", "#{}"},
    {"jaccard", "g", "a", "b", "#{}"},
    {"subgraph", "g", "[a,b]", "#{}"},
};

static const char *const odd_terms[] = {
    "[]",
    "-1",
    "9223372036854775807",
    "'$path'",
    "{'$path',[{g,fwd}]}",
    "{'$path',[{writes,fwd}|x]}",
    "{'$path',\"ab\"}",
    "{'$path',[{writes,fwd},{about,fwd},{about,bwd},{writes,bwd},"
    "{writes,fwd},{about,fwd},{about,bwd},{writes,bwd},{writes,fwd}]}",
    "{'$graph',out,g}",
    "\"abc\"",
    "[a|b]",
    "#{a=>1}",
    "#{depth=>[]}",
    "#{edges=>[],vertices=>[]}",
    "#{labels=>\"ab\",vertex_labels=>\"ab\"}",
    "#{heuristic=>{far,lookup},heuristic=>{far,lookup}}",
    "#{heuristic=>{g,lookup}}",
    "#{heuristic=>{}}",
    "{{},[],#{}}",
    "any",
    "all",
};

static void any_argument_is_survived(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;

    (void)state;
    open_graph(&host);
    make_tables(bench);
    with_workers(&host);
    for (size_t which = 0; which < COUNT(valid); which++)
        for (size_t odd = 0; odd < 6 * COUNT(odd_terms); odd++) {
            size_t index = 1 + odd % 5;
            struct buffer op = BUFFER(test_mem());
            const char *answer;

            test_append_text(&op, "{");
            for (size_t i = 0; i < 6 && valid[which][i]; i++) {
                test_append_text(&op, i ? "," : "");
                test_append_text(&op, i == index ? odd_terms[odd / 6]
                                                 : valid[which][i]);
            }
            test_append(&op, "}", 2);
            answer = call(bench, (const char *)op.data);
            if (strncmp(answer, "{ok,", 4) != 0 &&
                strncmp(answer, "{error,", 7) != 0)
                fail_msg("%s: %s", (const char *)op.data, answer);
            buffer_free(&op);
        }
    bench_close(bench);
}

/* --- limits, and workers ----------------------------------------------------
 */

/* hub -> 0 .. 999 -> end, which came in this order. */
static void make_hub(struct bench *bench)
{
    struct buffer op = BUFFER(test_mem());

    expect(bench, "{create_table,h,graph,#{}}", "{ok,*");
    test_append_text(&op, "{batch,[{put_vertices,h,[hub");
    for (int i = 0; i < 1000; i++)
        test_append_text(&op, test_format(",%d", i));
    test_append_text(&op, ",end]},{put_edges,h,[");
    for (int i = 0; i < 1000; i++)
        test_append_text(&op, test_format("{hub,%d},", i));
    test_append_text(&op, "{999,end}]}]}");
    test_append(&op, "", 1);
    expect(bench, (const char *)op.data, "{ok,*");
    buffer_free(&op);
}

/* 0 -> 1 .. 5000, as pairs. */
static void make_wide(struct bench *bench)
{
    struct buffer op = BUFFER(test_mem());

    expect(bench, "{create_table,wide,to_many,#{}}", "{ok,*");
    test_append_text(&op, "{insert_all,wide,fwd,[{0,1}");
    for (int i = 2; i <= 5000; i++)
        test_append_text(&op, test_format(",{0,%d}", i));
    test_append_text(&op, "]}");
    test_append(&op, "", 1);
    expect(bench, (const char *)op.data, "{ok,*");
    buffer_free(&op);
}

static void open_hub(struct host *host)
{
    open_graph(host);
    make_hub(&host->bench);
    with_workers(host);
}

static void long_walks_go_over(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;
    const char *answer;

    (void)state;
    open_hub(&host);
    answer = call_over(&host, "{neighbors,h,hub,#{}}");
    assert_true(strlen(answer) > 3 * 1000);
    assert_false(strstr(answer, "none"));
    answer = call_over(&host, "{k_hop,h,[hub],#{}}");
    assert_non_null(strstr(answer, "{999,1},{end,2}]}"));
    expect_over(&host,
                "{shortest_path,h,hub,end,#{vertices=>{'not',"
                "{'=:=',key,0}}}}",
                "{ok,{2,[hub,999,end]}}");
    /* From both ends it is a small matter. */
    expect(bench, "{shortest_path,h,hub,end,#{}}", "{ok,{2,[hub,999,end]}}");
    expect(bench, "{degree,h,hub,#{}}", "{ok,1000}");
    expect_over(&host, "{neighbors,h,hub,#{limit=>2}}",
                "{ok,[0,1],none,limit}");
    expect(bench, "{neighbors,h,hub,#{degree=>2}}", "{ok,[0,1]}");

    /* Errors of a worker. */
    expect_over(&host, "{paths,h,hub,any,#{depth=>2,limit=>1}}",
                "{ok,[[hub,0]],none,limit}");
    make_wide(bench);
    expect_over(&host, "{with,#{memory=>60000},{neighbors,wide,0,#{}}}",
                "{error,{memory_budget,*");
    expect_error(bench, "{with,#{memory=>4000},{k_hop,h,[hub],#{}}}",
                 "memory_budget");
    bench_close(&host.bench);
}

static void limits_end_a_walk(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;
    const char *answer;

    (void)state;
    open_hub(&host);
    expect(bench, "{with,#{rows=>2},{neighbors,h,hub,#{}}}",
           "{ok,[0,1],none,row_limit}");
    expect(bench, "{with,#{rows=>2},{k_hop,h,[hub],#{}}}",
           "{ok,[{hub,0},{0,1},{1,1}],none,row_limit}");
    expect_part(bench,
                "{with,#{rows=>2},{shortest_path,h,hub,end,"
                "#{vertices=>{'=/=',key,x}}}}",
                "row_limit", "limit=>2");
    answer = call_over(&host, "{with,#{rows=>500},{neighbors,h,hub,#{}}}");
    assert_non_null(strstr(answer, ",498,499],none,row_limit}"));
    expect_over(&host, "{with,#{deadline=>0},{neighbors,h,hub,#{}}}",
                "{error,{deadline,*");
    expect_part(bench, "{with,#{memory=>64},{neighbors,h,hub,#{}}}",
                "memory_budget", "limit=>64");
    /* Of a walk that is small the deadline is of no interest. */
    expect(bench, "{with,#{deadline=>0},{neighbors,g,a,#{}}}", "{ok,[b,c,d]}");
    /* Cancelled before it runs. */
    assert_string_equal(call(bench, "{neighbors,h,hub,#{}}"), "");
    assert_int_equal(run(bench, "[{2,{cancel,1}}]"), ST_OK);
    assert_string_equal(replies(bench), "2:{ok,cancelled} ");
    run_jobs(&host);
    readings_look(commands_readings(bench->commands), SIZE_MAX);
    answer = replies(bench);
    assert_non_null(strstr(answer, "1:{error,{cancelled,"));
    bench_close(&host.bench);
}

/* Where it cannot go over it is done at once, within bounds. */
static void lists_of_ops_are_done_at_once(void **state)
{
    struct host host;

    (void)state;
    open_hub(&host);
    expect(&host.bench,
           "{fork,{1,1},head,[{neighbors,h,hub,#{limit=>2}},"
           "{degree,h,hub,#{}}]}",
           "{ok,*");
    expect(&host.bench, "{release,{1,1}}", "{ok,released}");
    bench_close(&host.bench);
}

/* A worker sees what was there when it was asked. */
static void workers_read_a_snapshot(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;
    struct readings *readings;

    (void)state;
    open_hub(&host);
    make_tables(bench);
    readings = commands_readings(bench->commands);
    assert_string_equal(call(bench, "{k_hop,h,[hub],#{vertices=>"
                                    "{'>',key,997}}}"),
                        "");
    readings_look(readings, SIZE_MAX);
    expect(bench, "{delete_vertex,h,999}", "{ok,*");
    expect(bench, "{put_edge,h,hub,fresh,nil,nil}", "{ok,*");
    run_jobs(&host);
    assert_string_equal(replies(bench),
                        "1:{ok,[{hub,0},{998,1},{999,1},{end,2}]} ");

    /* So it is with a path, and a heuristic: more than one table is pinned. */
    assert_string_equal(
        call(bench, "{shortest_path,h,hub,998,#{heuristic=>{far,lookup}}}"),
        "");
    readings_look(readings, SIZE_MAX);
    expect(bench, "{insert,far,fwd,{998,bad}}", "{ok,*");
    expect(bench, "{drop_table,h}", "{ok,*");
    run_jobs(&host);
    assert_string_equal(replies(bench), "1:{ok,{1,[hub,998]}} ");
    bench_close(&host.bench);
}

/* --- versions ---------------------------------------------------------------
 */

static void versions_are_walked(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;

    (void)state;
    open_hub(&host);
    make_tables(bench);
    expect(bench, "{snapshot,{1,1}}", "{ok,*");
    expect(bench, "{fork,{1,2},head,[]}", "{ok,*");
    expect(bench, "{delete_vertex,g,d}", "{ok,*");
    expect(bench, "{delete_key,writes,fwd,ann}", "{ok,*");
    expect(bench, "{with,#{at=>{1,2}},{put_edge,g,e,z,nil,1}}", "{ok,*");
    expect(bench, "{shortest_path,g,a,e,#{}}", "{ok,none}");
    expect(bench, "{with,#{at=>{1,1}},{shortest_path,g,a,e,#{}}}",
           "{ok,{2,[a,d,e]}}");
    expect(bench, "{with,#{at=>{1,2}},{shortest_path,g,a,z,#{}}}",
           "{ok,{3,[a,d,e,z]}}");
    expect(bench, "{with,#{at=>{1,1}},{reachable,g,a,z,#{}}}", "{ok,false}");
    expect(bench,
           "{with,#{at=>{1,1}},{neighbors,"
           "{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}}",
           "{ok,[x,y]}");
    expect(bench, "{delete_vertex,h,hub}", "{ok,*");
    expect_over(&host,
                "{with,#{at=>{1,1}},{k_hop,h,[hub],"
                "#{vertices=>{'>=',key,999}}}}",
                "{ok,[{hub,0},{999,1},{end,2}]}");
    expect(bench, "{release_holder,1}", "{ok,2}");
    bench_close(&host.bench);
}

/* A transaction: what it has read, what others do, and whether that is a
 * conflict. */
struct contest {
    const char *read;
    const char *theirs;
    bool conflicts;
};

static const struct contest contests[] = {
    {"{neighbors,g,a,#{}}", "{put_edge,g,a,z,nil,1}", true},
    {"{neighbors,g,a,#{}}", "{put_edge,g,z,a,nil,1}", false},
    {"{neighbors,g,a,#{}}", "{put_vertex,g,w,nil,[]}", false},
    {"{neighbors,g,a,#{vertices=>{'<',value,9}}}", "{update_vertex,g,b,10,[]}",
     true},
    {"{shortest_path,g,a,e,#{weighted=>true}}", "{put_edge,g,a,e,nil,1}", true},
    {"{shortest_path,g,a,e,#{weighted=>true}}", "{put_edge,g,a,e,nil,9}",
     false},
    {"{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}",
     "{insert,far,fwd,{d,-1}}", true},
    {"{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}",
     "{insert,far,fwd,{q,-1}}", false},
    {"{shortest_path,g,a,e,#{heuristic=>{far,lookup}}}", "{drop_table,far}",
     true},
    {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}",
     "{insert,about,fwd,{p1,new}}", true},
    {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}",
     "{insert,writes,fwd,{ann,p3}}", true},
    {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}",
     "{insert,about,fwd,{p3,new}}", false},
    {"{neighbors,{'$path',[{writes,fwd},{about,fwd}]},ann,#{}}",
     "{insert,tags,fwd,{7,8}}", false},
    {"{neighbors,writes,nobody,#{}}", "{insert,writes,fwd,{nobody,p9}}", true},
    {"{degree,nix,a,#{}}", "{create_table,nix,many_to_many,#{}}", true},
    /* A worker's walk is not walked again: any change of its tables is one. */
    {"{k_hop,h,[hub],#{vertices=>{'<',key,5}}}", "{put_vertex,h,w,nil,[]}",
     true},
    {"{k_hop,h,[hub],#{vertices=>{'<',key,5}}}", "{put_vertex,g,w,nil,[]}",
     false},
};

static void transactions_know_what_they_have_walked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contests); i++) {
        const struct contest *contest = &contests[i];
        struct host host;
        struct bench *bench = &host.bench;
        const char *answer;

        open_hub(&host);
        make_tables(bench);
        expect(bench, "{fork,{1,1},head,[]}", "{ok,*");
        answer =
            call(bench, test_format("{with,#{at=>{1,1}},%s}", contest->read));
        if (!*answer) {
            assert_true(run_jobs(&host));
            replies(bench);
        }
        expect(bench, "{with,#{at=>{1,1}},{insert,tags,fwd,{own,thing}}}",
               "{ok,*");
        expect(bench, contest->theirs, "{ok,*");
        answer = call(bench, "{commit,{1,1},[]}");
        if (contest->conflicts != !strncmp(answer, "{error,{conflict", 16))
            fail_msg("%s\n  and %s: %s", contest->read, contest->theirs,
                     answer);
        bench_close(bench);
    }
}

/* What a reply shows must be durable: of the newest of its tables. */
static void replies_wait_for_all_tables(void **state)
{
    struct host host;
    struct bench *bench = &host.bench;

    (void)state;
    memset(&host, 0, sizeof(host));
    bench_open_on(bench, NULL, SYNC_ALWAYS);
    assert_int_equal(run(bench, "[{1,{create_table,p,many_to_many,#{}}},"
                                "{2,{create_table,q,many_to_many,#{}}},"
                                "{3,{insert,p,fwd,{1,2}}},"
                                "{4,{insert,q,fwd,{2,3}}},"
                                "{5,{neighbors,{'$path',[{p,fwd},{q,fwd}]},"
                                "1,#{}}}]"),
                     ST_OK);
    assert_string_equal(replies(bench), "");
    assert_true(commands_held_bytes(bench->commands) > 0);
    sim_io_free(bench_leave(bench));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_answers),
        cmocka_unit_test(a_depth_may_be_absurd),
        cmocka_unit_test(undirected_graphs_have_no_direction),
        cmocka_unit_test(tables_of_pairs_are_graphs),
        cmocka_unit_test(a_table_may_guide_the_way),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(bad_weights_name_the_edge),
        cmocka_unit_test(any_argument_is_survived),
        cmocka_unit_test(long_walks_go_over),
        cmocka_unit_test(limits_end_a_walk),
        cmocka_unit_test(lists_of_ops_are_done_at_once),
        cmocka_unit_test(workers_read_a_snapshot),
        cmocka_unit_test(versions_are_walked),
        cmocka_unit_test(transactions_know_what_they_have_walked),
        cmocka_unit_test(replies_wait_for_all_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
