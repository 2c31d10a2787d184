/*
 * test_cmd_graph.c -- vertices and edges on the wire: what each command
 * answers, what is written to the log, what a transaction sees.
 */
#include "version_case.h"

/* `part` is somewhere in the answer. */
static void expect_within(struct bench *bench, const char *op, const char *part)
{
    const char *answer = call(bench, op);

    if (!strstr(answer, part))
        fail_msg("%s\n  answers %s\n  without %s", op, answer, part);
}

static void populate(struct bench *bench)
{
    expect(bench, "{create_table,g,graph,#{}}", "{ok,created}");
    expect(bench, "{put_edge,g,ann,bob,knows,1}", "{ok,{inserted,[],[]}}");
    expect(bench, "{put_edges,g,[{bob,cid},{bob,cid,likes},{cid,cid,nil,7}]}",
           "{ok,{3,[],[]}}");
    expect(bench, "{put_vertex,g,ann,#{age=>3},[person,admin]}",
           "{ok,{updated,[{vertex,ann,nil,[]}],[]}}");
}

static void elements_come_and_go(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect(&bench, "{get_vertex,g,ann}",
           "{ok,{vertex,ann,#{age=>3},[admin,person]}}");
    expect(&bench, "{get_vertex,g,nobody}", "{ok,none}");
    expect(&bench, "{get_vertices,g,[cid,nobody]}",
           "{ok,[{vertex,cid,nil,[]},none]}");
    expect(&bench, "{put_vertex,g,ann,#{age=>3},[admin,person,admin]}",
           "{ok,{exists,[],[]}}");
    expect(&bench, "{update_vertex,g,ann,4,[]}",
           "{ok,{updated,[{vertex,ann,#{age=>3},[admin,person]}],[]}}");
    expect_within(&bench, "{update_vertex,g,nobody,4,[]}",
                  "{error,{no_vertex,");
    expect(&bench, "{has_vertex,g,bob}", "{ok,true}");
    expect(&bench, "{has_vertex,g,17}", "{ok,false}");
    expect(&bench, "{get_edge,g,ann,bob,knows}", "{ok,{value,1}}");
    expect(&bench, "{get_edge,g,ann,bob,nil}", "{ok,none}");
    expect(&bench, "{get_edge,g,bob,cid,nil}", "{ok,{value,nil}}");
    expect(&bench, "{has_edge,g,bob,cid,likes}", "{ok,true}");
    expect(&bench, "{has_edge,g,ann,bob,any}", "{ok,true}");
    expect(&bench, "{has_edge,g,bob,ann,any}", "{ok,false}");
    expect(&bench, "{put_edge,g,ann,bob,knows,2}",
           "{ok,{updated,[{edge,ann,bob,knows,1}],[]}}");
    expect(&bench, "{put_edge,g,ann,bob,knows,2}", "{ok,{exists,[],[]}}");
    expect(&bench, "{update_edge,g,ann,bob,knows,nil}",
           "{ok,{updated,[{edge,ann,bob,knows,2}],[]}}");
    expect_within(&bench, "{update_edge,g,ann,bob,hates,1}",
                  "{error,{not_found,");
    expect(&bench, "{vertex_count,g,any}", "{ok,3}");
    expect(&bench, "{vertex_count,g,admin}", "{ok,0}");
    expect(&bench, "{edge_count,g,any}", "{ok,4}");
    expect(&bench, "{edge_count,g,nil}", "{ok,2}");
    expect(&bench, "{edge_count,g,likes}", "{ok,1}");
    expect(&bench, "{edge_count,g,what}", "{ok,0}");
    expect(&bench, "{delete_edge,g,bob,cid,likes}",
           "{ok,{deleted,[{edge,bob,cid,likes,nil}],[]}}");
    expect(&bench, "{delete_edge,g,bob,cid,likes}", "{ok,{absent,[],[]}}");
    expect(&bench, "{delete_vertex,g,cid}",
           "{ok,{deleted,[{edge,cid,cid,nil,7},{edge,bob,cid,nil,nil},"
           "{vertex,cid,nil,[]}],[]}}");
    expect(&bench, "{delete_vertex,g,cid}", "{ok,{absent,[],[]}}");
    expect(&bench, "{delete_vertices,g,[ann,zoe,bob]}",
           "{ok,{2,[{edge,ann,bob,knows,nil},{vertex,ann,4,[]},"
           "{vertex,bob,nil,[]}],[]}}");
    expect(&bench, "{vertex_count,g,any}", "{ok,0}");
    bench_close(&bench);
}

static void a_graph_is_one_table(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect(&bench, "{tables}", "{ok,[{g,graph}]}");
    expect_within(&bench, "{info}", "tables=>1,");
    expect(&bench, "{table_type,g}", "{ok,graph}");
    expect_within(&bench, "{table_info,g}",
                  "#{name=>g,type=>graph,vertices=>3,edges=>4,labels=>4,"
                  "directed=>true,weight=>none,bytes=>");
    expect(&bench, "{create_table,g,graph,#{directed=>true,weight=>none}}",
           "{ok,exists}");
    expect_within(&bench, "{create_table,g,graph,#{directed=>false}}",
                  "{error,{table_exists,");
    expect_within(&bench, "{create_table,h,graph,#{fwd=>{g,evict}}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{create_table,h,set,#{directed=>true}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{create_table,h,set,#{fwd=>{g,evict}}}",
                  "{error,{wrong_table_type,");
    expect_within(&bench, "{create_table,h,graph,#{weight=>{key,[a,b]}}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{insert,g,fwd,1}", "{error,{wrong_table_type,");
    expect_within(&bench, "{count,g,fwd,none,none}",
                  "{error,{wrong_table_type,");
    expect_within(&bench, "{put_vertex,s,a,nil,[]}", "{error,{no_table,");
    expect(&bench, "{create_table,s,set,#{}}", "{ok,created}");
    expect_within(&bench, "{put_edge,s,a,b,nil,nil}",
                  "{error,{wrong_table_type,");
    expect_within(&bench, "{vertices,s,none,10}", "{error,{wrong_table_type,");
    /* Its parts can be read and not be written. */
    expect(&bench, "{count,{'$graph',out,g},fwd,none,none}", "{ok,4}");
    expect_within(&bench, "{clear_table,{'$graph',out,g}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{drop_table,{'$graph',out,g}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{create_table,{'$graph',x},set,#{}}",
                  "{error,{bad_argument,");
    expect(&bench, "{clear_table,g}", "{ok,{7,[],[]}}");
    expect(&bench, "{vertex_count,g,any}", "{ok,0}");
    expect(&bench, "{drop_table,g}", "{ok,dropped}");
    expect(&bench, "{tables}", "{ok,[{s,set}]}");
    expect_within(&bench, "{count,{'$graph',out,g},fwd,none,none}",
                  "{error,{no_table,");
    expect(&bench, "{create_table,g,graph,#{weight=>value,directed=>false}}",
           "{ok,created}");
    expect_within(&bench, "{table_info,g}", "directed=>false,weight=>value");
    bench_close(&bench);
}

static void undirected_edges_have_two_names(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    expect(&bench, "{create_table,u,graph,#{directed=>false,weight=>value}}",
           "{ok,created}");
    expect(&bench, "{put_edge,u,b,a,nil,3}", "{ok,{inserted,[],[]}}");
    expect(&bench, "{get_edge,u,a,b,nil}", "{ok,{value,3}}");
    expect(&bench, "{put_edge,u,a,b,nil,4}",
           "{ok,{updated,[{edge,a,b,nil,3}],[]}}");
    expect(&bench, "{edge_count,u,any}", "{ok,1}");
    expect(&bench, "{edges,u,none,10}", "{ok,[{edge,a,b,nil,4}],done}");
    expect_within(&bench, "{put_edge,u,a,b,nil,heavy}", "{error,{bad_weight,");
    expect_within(&bench, "{put_edges,u,[{a,b},{b,c,nil,{}}]}",
                  "#{table=>u,key=>b,position=>1}");
    expect(&bench, "{get_edge,u,a,b,nil}", "{ok,{value,4}}");
    expect(&bench, "{delete_edges,u,[{b,a}]}",
           "{ok,{1,[{edge,a,b,nil,4}],[]}}");
    bench_close(&bench);
}

static void pages_go_over_all(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect(&bench, "{vertices,g,none,2}",
           "{ok,[{vertex,ann,#{age=>3},[admin,person]},{vertex,bob,nil,[]}],"
           "{after,2}}");
    expect(&bench, "{vertices,g,{after,2},2}",
           "{ok,[{vertex,cid,nil,[]}],done}");
    expect(&bench, "{vertices,g,{after,3},2}", "{ok,[],done}");
    expect(&bench, "{edges,g,none,1}",
           "{ok,[{edge,ann,bob,knows,1}],{after,{1,1,2}}}");
    expect(&bench, "{edges,g,{after,{1,1,2}},3}",
           "{ok,[{edge,bob,cid,nil,nil},{edge,bob,cid,likes,nil},"
           "{edge,cid,cid,nil,7}],done}");
    expect(&bench, "{with,#{where=>{'=:=',key,bob}},{vertices,g,none,9}}",
           "{ok,[{vertex,bob,nil,[]}],done}");
    expect(&bench, "{with,#{where=>{'>',value,1}},{edges,g,none,9}}",
           "{ok,[{edge,bob,cid,nil,nil},{edge,bob,cid,likes,nil},"
           "{edge,cid,cid,nil,7}],done}");
    expect(&bench,
           "{with,#{where=>{'=:=',{element,3,key},likes}},{edges,g,none,9}}",
           "{ok,[{edge,bob,cid,likes,nil}],done}");
    expect(&bench, "{with,#{rows=>1},{vertices,g,none,9}}",
           "{ok,[{vertex,ann,#{age=>3},[admin,person]}],{after,1},row_limit}");
    expect_within(&bench, "{vertices,g,{after,x},9}", "{error,{bad_argument,");
    expect_within(&bench, "{edges,g,{after,{1,2}},9}", "{error,{bad_argument,");
    expect_within(&bench, "{edges,g,{after,{1,-2,3}},9}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{edges,g,none,0}", "{error,{bad_argument,");
    bench_close(&bench);
}

static void many_vertices_are_one(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect_within(&bench, "{contract,g,team,[ann,zoe],#{}}",
                  "{error,{no_vertex,");
    expect_within(&bench, "{contract,g,cid,[ann,bob],#{}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{contract,g,team,[ann,ann],#{}}",
                  "{error,{bad_argument,");
    expect_within(&bench, "{contract,g,team,[],#{}}", "{error,{bad_argument,");
    expect_within(&bench, "{contract,g,team,[ann],#{edges=>mean}}",
                  "{error,{bad_argument,");
    expect(&bench,
           "{contract,g,team,[ann,bob],#{value=>count,edges=>count,"
           "loops=>keep}}",
           "{ok,{contracted,[{edge,ann,bob,knows,1},{vertex,ann,#{age=>3},"
           "[admin,person]},{edge,bob,cid,nil,nil},{edge,bob,cid,likes,nil},"
           "{vertex,bob,nil,[]}],[]}}");
    expect(&bench, "{get_vertex,g,team}",
           "{ok,{vertex,team,2,[admin,person]}}");
    expect(&bench, "{get_edge,g,team,cid,likes}", "{ok,{value,1}}");
    expect(&bench, "{get_edge,g,team,team,knows}", "{ok,{value,1}}");
    expect_within(&bench, "{contracted,g,team}", "{ok,{[{ann,#{age=>3},");
    expect(&bench, "{contracted,g,cid}", "{ok,none}");
    expect_within(&bench, "{expand,g,team}", "{ok,{2,[");
    expect(&bench, "{get_vertex,g,ann}",
           "{ok,{vertex,ann,#{age=>3},[admin,person]}}");
    expect(&bench, "{get_edge,g,ann,bob,knows}", "{ok,{value,1}}");
    expect_within(&bench, "{expand,g,team}", "{error,{not_found,");
    bench_close(&bench);
}

/* `count` labels that begin with a letter. */
static const char *labels_of(char letter, unsigned count)
{
    static char text[2][16000];
    static unsigned next;
    char *out = text[next++ % 2];
    size_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += (size_t)sprintf(out + size, "%s%c%u", i ? "," : "", letter, i);
    return out;
}

static void contractions_have_bounds(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    expect(&bench, "{create_table,g,graph,#{}}", "{ok,created}");
    expect(&bench,
           test_format("{put_vertex,g,1,nil,[%s]}", labels_of('l', 1000)),
           "{ok,*");
    expect(&bench,
           test_format("{put_vertex,g,2,nil,[%s]}", labels_of('m', 1000)),
           "{ok,*");
    expect_within(&bench, "{contract,g,s,[1,2],#{}}", "{error,{too_big,");
    expect_within(
        &bench, test_format("{put_vertex,g,3,nil,[%s]}", labels_of('n', 1001)),
        "{error,{bad_argument,");
    /* Each level of contractions nests three of the term. */
    expect(&bench, "{put_vertex,g,z0,nil,[]}", "{ok,*");
    for (unsigned i = 1; i < 332; i++) {
        expect(&bench, test_format("{put_vertex,g,y%u,nil,[]}", i), "{ok,*");
        expect(&bench,
               test_format("{contract,g,z%u,[z%u,y%u],#{}}", i, i - 1, i),
               "{ok,*");
    }
    for (unsigned i = 332; i < 340; i++)
        expect(&bench, test_format("{put_vertex,g,y%u,nil,[]}", i), "{ok,*");
    for (unsigned i = 332;
         strncmp(call(&bench, test_format("{contract,g,z%u,[z%u,y%u],"
                                          "#{}}",
                                          i, i - 1, i)),
                 "{error,{too_deep,", 17) != 0;
         i++)
        assert_true(i < 338);
    bench_close(&bench);
}

static void whole_numbers_stay_exact(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    expect(&bench, "{create_table,w,graph,#{weight=>value}}", "{ok,created}");
    expect(&bench,
           "{put_edges,w,[{3,7,nil,36028797018963968},"
           "{4,7,nil,36028797018963969},{5,7,nil,-2}]}",
           "{ok,{3,[],[]}}");
    expect(&bench, "{contract,w,x,[3,4],#{edges=>max}}", "{ok,*");
    expect(&bench, "{get_edge,w,x,7,nil}", "{ok,{value,36028797018963969}}");
    expect(&bench, "{contract,w,y,[x,5],#{edges=>sum}}", "{ok,*");
    expect(&bench, "{get_edge,w,y,7,nil}", "{ok,{value,36028797018963967}}");
    bench_close(&bench);
}

/* What the log makes of it, and what a checkpoint does. */
static void it_is_there_again(void **state)
{
    struct bench bench;
    char *digest, *vertices, *edges;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect(&bench, "{create_table,u,graph,#{directed=>false,weight=>{key,w}}}",
           "{ok,created}");
    expect(&bench, "{put_edges,u,[{1,2,nil,#{w=>3}},{2,1,x},{3,1}]}",
           "{ok,{3,[],[]}}");
    expect(&bench, "{contract,u,many,[1,2],#{edges=>max}}", "{ok,*");
    expect(&bench, "{delete_vertex,g,bob}", "{ok,*");
    digest = test_format("%s", call(&bench, "{digest}"));
    vertices = test_format("%s", call(&bench, "{vertices,g,none,100}"));
    edges = test_format("%s", call(&bench, "{edges,u,none,100}"));
    bench_open_on(&bench, bench_leave(&bench), SYNC_NONE);
    expect(&bench, "{digest}", digest);
    expect(&bench, "{vertices,g,none,100}", vertices);
    expect(&bench, "{edges,u,none,100}", edges);
    expect_within(&bench, "{expand,u,many}", "{ok,{2,[");
    bench_close(&bench);
}

static void snapshots_and_forks_have_graphs(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    populate(&bench);
    expect_within(&bench, "{snapshot,{1,1}}", "{ok,");
    expect_within(&bench,
                  "{fork,{1,2},head,[{put_edge,g,dan,ann,knows,nil},"
                  "{delete_vertex,g,cid}]}",
                  "{ok,{");
    expect(&bench, "{put_vertex,g,eve,1,[]}", "{ok,{inserted,[],[]}}");
    expect(&bench, "{with,#{at=>{1,1}},{vertex_count,g,any}}", "{ok,3}");
    expect(&bench, "{with,#{at=>{1,1}},{get_vertex,g,eve}}", "{ok,none}");
    expect(&bench, "{with,#{at=>{1,2}},{has_vertex,g,cid}}", "{ok,false}");
    expect(&bench, "{with,#{at=>{1,2}},{has_edge,g,dan,ann,knows}}",
           "{ok,true}");
    expect(&bench, "{with,#{at=>{1,1}},{tables}}", "{ok,[{g,graph}]}");
    expect_within(&bench, "{commit,{1,2},[]}", "{ok,{");
    expect(&bench, "{vertex_count,g,any}", "{ok,4}");
    expect(&bench, "{with,#{at=>{1,1}},{edges,g,none,1}}",
           "{ok,[{edge,ann,bob,knows,1}],{after,{1,1,2}}}");
    bench_close(&bench);
}

static void commits_see_what_others_did(void **state)
{
    /* Mine, theirs, and a part of the conflict; NULL: there is none. */
    static const char *const contests[][3] = {
        {"{get_vertex,g,ann},{put_vertex,g,x,1,[]}", "{put_vertex,g,ann,9,[]}",
         "#{table=>g,key=>ann}"},
        {"{get_vertex,g,ann},{put_vertex,g,x,1,[]}", "{put_vertex,g,bob,9,[]}",
         NULL},
        {"{has_edge,g,cid,ann,any},{put_vertex,g,x,1,[]}",
         "{put_edge,g,cid,ann,new,nil}", "#{table=>g,key=>cid}"},
        {"{vertex_count,g,any},{put_vertex,g,x,1,[]}",
         "{put_edge,g,cid,new,nil,nil}", "table=>g"},
        {"{delete_vertex,g,bob}", "{put_edge,g,bob,ann,nil,nil}",
         "#{table=>g,key=>bob}"},
        {"{put_edge,g,bob,ann,nil,nil}", "{delete_vertex,g,ann}", NULL},
        {"{edges,g,none,10},{put_vertex,g,x,1,[]}",
         "{delete_edge,g,bob,cid,nil}", "table=>g"},
        {"{contract,g,team,[ann,bob],#{}}", "{put_edge,g,bob,new,nil,nil}",
         "#{table=>g,key=>team}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(contests); i++) {
        struct bench bench;
        const char *answer;

        bench_open(&bench);
        populate(&bench);
        expect(&bench, test_format("{fork,{1,1},head,[%s]}", contests[i][0]),
               "{ok,*");
        expect(&bench, contests[i][1], "{ok,*");
        answer = call(&bench, "{commit,{1,1},[]}");
        if (contests[i][2] ? strncmp(answer, "{error,{conflict,", 17) != 0 ||
                                 !strstr(answer, contests[i][2])
                           : strncmp(answer, "{ok,", 4) != 0)
            fail_msg("%s against %s\n  answers %s", contests[i][0],
                     contests[i][1], answer);
        bench_close(&bench);
    }
}

static void a_batch_is_all_or_nothing(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    expect(&bench,
           "{batch,[{create_table,g,graph,#{}},{put_edge,g,a,b,nil,nil},"
           "{put_vertex,g,a,1,[l]}]}",
           "{ok,[created,{inserted,[],[]},{updated,[{vertex,a,nil,[]}],[]}]}");
    expect_within(&bench,
                  "{batch,[{put_edge,g,b,c,nil,nil},{update_vertex,g,z,1,[]}]}",
                  "{error,{no_vertex,");
    expect(&bench, "{vertex_count,g,any}", "{ok,2}");
    expect(&bench, "{with,#{idempotency_key=>k},{put_edge,g,c,d,nil,nil}}",
           "{ok,{inserted,[],[]}}");
    expect(&bench, "{with,#{idempotency_key=>k},{put_edge,g,c,d,nil,nil}}",
           "{ok,{inserted,[],[]}}");
    expect(&bench, "{batch,[{drop_table,g},{create_table,g,graph,#{}}]}",
           "{ok,[dropped,created]}");
    expect(&bench, "{vertex_count,g,any}", "{ok,0}");
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_come_and_go),
        cmocka_unit_test(a_graph_is_one_table),
        cmocka_unit_test(undirected_edges_have_two_names),
        cmocka_unit_test(pages_go_over_all),
        cmocka_unit_test(many_vertices_are_one),
        cmocka_unit_test(contractions_have_bounds),
        cmocka_unit_test(whole_numbers_stay_exact),
        cmocka_unit_test(it_is_there_again),
        cmocka_unit_test(snapshots_and_forks_have_graphs),
        cmocka_unit_test(commits_see_what_others_did),
        cmocka_unit_test(a_batch_is_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
