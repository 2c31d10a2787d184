/*
 * test_cmd_version.c -- snapshots and forks on the wire: names, limits, what
 * may be done at them, the options of `with`, and that nothing is left behind.
 */
#include <unistd.h>

#include "version_case.h"

static const char *const population[] = {
    "{create_table,s,set,#{}}",
    "{create_table,o,to_one,#{}}",
    "{create_table,p,pom,#{}}",
    "{create_table,m,many_to_many,#{}}",
    "{create_table,e,to_many,#{fwd=>{s,evict}}}",
    "{insert_all,s,fwd,[1,b,{c}]}",
    "{insert_all,o,fwd,[{1,x},{b,y}]}",
    "{insert_rows,p,[one,two]}",
    "{insert_all,m,fwd,[{1,x},{1,y},{2,x}]}",
    "{insert_all,e,fwd,[{1,x},{b,y}]}",
};

static void bench_populate(struct bench *bench)
{
    for (size_t i = 0; i < COUNT(population); i++)
        expect(bench, population[i], "{ok,*");
}

/* Everything that can be asked of a version. */
static const char *const reads[] = {
    "{tables}",
    "{digest}",
    "{table_info,p}",
    "{table_info,e}",
    "{get,o,fwd,1}",
    "{get,p,fwd,2}",
    "{member,m,fwd,{1,y}}",
    "{has_key,m,bwd,y}",
    "{count,m,{fwd,1},none,none}",
    "{count,s,fwd,{pos,1},none}",
    "{key_count,m,bwd}",
    "{rank,m,fwd,{2,x}}",
    "{scan,s,fwd,elements,asc,none,none,10}",
    "{scan,o,fwd,elements,desc,none,none,10}",
    "{scan,m,fwd,keys,asc,none,none,1}",
    "{scan,m,bwd,elements,asc,{pos,-1},none,10}",
    "{scan,e,{fwd,b},elements,asc,none,none,10}",
    "{scan,p,fwd,values,asc,{after_key,1},none,10}",
};

/* Changes that touch all of it. */
static const char *const changes[] = {
    "{insert,o,fwd,{1,new}}",
    "{insert,m,bwd,{x,3}}",
    "{delete_key,s,fwd,b}",
    "{insert_row,p,three}",
    "{update_row,p,2,'two again'}",
    "{delete_key,m,fwd,1}",
    "{create_table,t,set,#{}}",
    "{clear_table,e}",
    "{drop_table,m}",
};

static char *all_reads(struct bench *bench, const char *version)
{
    struct buffer out = BUFFER(test_mem());
    char *copy;

    for (size_t i = 0; i < COUNT(reads); i++) {
        test_append_text(&out, call(bench, test_format("{with,#{at=>%s},%s}",
                                                       version, reads[i])));
        test_append_text(&out, "\n");
    }
    test_append(&out, "", 1);
    copy = strdup((char *)out.data);
    buffer_free(&out);
    return copy;
}

static void expect_same_reads(struct bench *bench, const char *version,
                              const char *wanted)
{
    char *found = all_reads(bench, version);

    assert_string_equal(found, wanted);
    free(found);
}

/* --- what they show ----------------------------------------------------- */

static void a_snapshot_stays_as_it_was(void **state)
{
    struct bench bench;
    char *before;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{snapshot,{1,0}}", "{ok,10}");
    before = all_reads(&bench, "head");
    expect_same_reads(&bench, "{1,0}", before);
    for (size_t i = 0; i < COUNT(changes); i++) {
        expect(&bench, changes[i], "{ok,*");
        expect_same_reads(&bench, "{1,0}", before);
        expect(&bench, test_format("{snapshot,{2,%zu}}", i),
               test_format("{ok,%zu}", 11 + i));
    }
    for (size_t i = 0; i < COUNT(changes); i++)
        expect(&bench, test_format("{release,{2,%zu}}", i), "{ok,released}");
    expect_same_reads(&bench, "{1,0}", before);
    free(before);
    bench_close(&bench);
}

static void a_fork_is_written_to_by_nobody_else(void **state)
{
    struct bench bench;
    char *before, *after, *later;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    before = all_reads(&bench, "head");
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,{10,[]}}");
    expect_same_reads(&bench, "{1,1}", before);
    for (size_t i = 0; i < COUNT(changes); i++)
        expect(&bench, test_format("{with,#{at=>{1,1}},%s}", changes[i]),
               "{ok,*");
    expect_same_reads(&bench, "head", before);
    after = all_reads(&bench, "{1,1}");
    assert_string_not_equal(after, before);
    assert_int_equal(store_seq(bench.store), 10);
    for (size_t i = 0; i < COUNT(changes); i++)
        expect(&bench, changes[i], "{ok,*");
    expect_same_reads(&bench, "{1,1}", after);
    later = all_reads(&bench, "head");
    assert_string_equal(later, after);
    free(before);
    free(after);
    free(later);
    bench_close(&bench);
}

static void a_fork_of_a_snapshot_begins_as_that(void **state)
{
    struct bench bench;
    char *before;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    before = all_reads(&bench, "head");
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    for (size_t i = 0; i < COUNT(changes); i++)
        expect(&bench, changes[i], "{ok,*");
    expect(&bench, "{fork,{1,2},{1,1},[]}", "{ok,{10,[]}}");
    expect_same_reads(&bench, "{1,2}", before);
    expect(&bench, "{release,{1,1}}", "{ok,released}");
    expect_same_reads(&bench, "{1,2}", before);
    free(before);
    bench_close(&bench);
}

static void a_fork_and_its_first_ops_are_one_request(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench,
           "{fork,{1,1},head,[{get,o,fwd,1},{insert,o,fwd,{1,z}},{get,o,fwd,1},"
           "{scan,s,fwd,elements,asc,none,none,1},{batch,[{delete,s,fwd,1}]}]}",
           "{ok,{10,[{ok,{value,x}},{ok,{inserted,[{1,x}],[]}},"
           "{ok,{value,z}},{ok,[1],{after,1}},"
           "{ok,[{deleted,[1],[{e,[{1,x}]}]}]}]}}");
    /* The first that fails takes the fork with it. */
    expect(
        &bench,
        "{fork,{1,2},head,[{insert,s,fwd,2},{insert,e,fwd,{none,1}},{x}]}",
        "{error,{missing_reference,<<\"a side must exist in the table that "
        "it refers to; insert it there\">>,#{table=>s,key=>none,index=>1}}}");
    expect_error(&bench, "{with,#{at=>{1,2}},{tables}}", "no_snapshot");
    expect_part(&bench, "{fork,{1,2},head,[{nope}]}", "unknown_command",
                "index=>0");
    expect_error(&bench, "{fork,{1,2},head,[x]}", "bad_request");
    expect_error(&bench, "{fork,{1,2},head,[{tables}|x]}", "bad_argument");
    expect_error(&bench, "{fork,{1,2},head,\"abc\"}", "bad_request");
    expect(&bench, "{fork,{1,2},head,[]}", "{ok,{10,[]}}");
    bench_close(&bench);
}

static void ops_of_a_fork_are_about_tables(void **state)
{
    static const char *const no_ops[] = {
        "{ping}",
        "{info}",
        "{sync}",
        "{checkpoint}",
        "{with,#{},{tables}}",
        "{snapshot,{1,9}}",
        "{fork,{1,9},head,[]}",
        "{commit,{1,1},[]}",
        "{release,{1,1}}",
        "{release_holder,1}",
        "{unsubscribe,{1,1}}",
        "{cancel,1}",
    };
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
    for (size_t i = 0; i < COUNT(no_ops); i++) {
        expect_part(&bench, test_format("{fork,{1,9},head,[%s]}", no_ops[i]),
                    "bad_argument", "index=>0");
        expect_part(&bench, test_format("{commit,{1,1},[%s]}", no_ops[i]),
                    "bad_argument", "index=>0");
    }
    expect(&bench, "{commit,{1,1},[]}", "{ok,{10,[]}}");
    bench_close(&bench);
}

/* --- names, limits ------------------------------------------------------- */

static void names_are_pairs_of_two_integers(void **state)
{
    static const char *const wrong[] = {
        "head",  "x",      "{1}",    "{1,2,3}",
        "{}",    "{-1,1}", "{1,-1}", "{9223372036854775808,1}",
        "1",     "[1,2]",  "{x,1}",  "{1,99999999999999999999999}",
        "{a,b}",
    };
    struct bench bench;

    (void)state;
    bench_open(&bench);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        expect_error(&bench, test_format("{snapshot,%s}", wrong[i]),
                     "bad_argument");
        expect_error(&bench, test_format("{fork,%s,head,[]}", wrong[i]),
                     "bad_argument");
        expect_error(&bench, test_format("{commit,%s,[]}", wrong[i]),
                     "bad_argument");
        expect_error(&bench, test_format("{release,%s}", wrong[i]),
                     "bad_argument");
        if (i > 0) {
            expect_error(&bench, test_format("{fork,{1,1},%s,[]}", wrong[i]),
                         "bad_argument");
            expect_error(&bench,
                         test_format("{with,#{at=>%s},{tables}}", wrong[i]),
                         "bad_argument");
        }
    }
    expect_error(&bench, "{release_holder,-1}", "bad_argument");
    expect_error(&bench, "{release_holder,x}", "bad_argument");
    expect(&bench, "{snapshot,{9223372036854775807,9223372036854775807}}",
           "{ok,0}");
    expect(&bench, "{snapshot,{9223372036854775807,0}}", "{ok,0}");
    expect(&bench, "{release_holder,9223372036854775807}", "{ok,2}");
    expect(&bench, "{release_holder,9223372036854775807}", "{ok,0}");
    bench_close(&bench);
}

static void a_name_stands_for_one_version(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{fork,{1,2},head,[]}", "{ok,*");
    expect_error(&bench, "{snapshot,{1,1}}", "bad_argument");
    expect_error(&bench, "{snapshot,{1,2}}", "bad_argument");
    expect_error(&bench, "{fork,{1,1},head,[]}", "bad_argument");
    expect_error(&bench, "{fork,{1,2},{1,1},[]}", "bad_argument");
    expect_part(&bench, "{fork,{1,3},{1,2},[]}", "bad_argument", "not of a");
    expect_error(&bench, "{fork,{1,3},{1,4},[]}", "no_snapshot");
    expect_error(&bench, "{fork,{1,3},{1,3},[]}", "no_snapshot");
    expect_error(&bench, "{commit,{1,1},[]}", "bad_argument");
    expect_error(&bench, "{commit,{1,7},[]}", "no_snapshot");
    expect_part(&bench, "{with,#{at=>{1,1}},{insert,s,fwd,5}}", "bad_argument",
                "a snapshot is not written to");
    expect(&bench, "{release,{1,1}}", "{ok,released}");
    expect(&bench, "{release,{1,1}}", "{ok,absent}");
    expect_error(&bench, "{with,#{at=>{1,1}},{tables}}", "no_snapshot");
    expect(&bench, "{commit,{1,2},[{insert,s,fwd,6}]}",
           "{ok,{11,[{ok,{inserted,[],[]}}]}}");
    expect_error(&bench, "{commit,{1,2},[]}", "no_snapshot");
    bench_close(&bench);
}

/* No such command within a batch: what is noted of it has no command. */
static void nonsense_at_a_fork_is_an_error(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
    expect_error(&bench, "{with,#{at=>{1,1}},{batch,[{nonsense,1}]}}",
                 "unknown_command");
    expect_error(&bench, "{with,#{at=>{1,1}},{batch,[nonsense]}}",
                 "bad_request");
    expect_error(&bench, "{with,#{at=>{1,1}},{batch,[{insert,s}]}}",
                 "wrong_arity");
    expect_error(&bench, "{fork,{1,2},head,[{batch,[{nonsense,1}]}]}",
                 "unknown_command");
    expect_error(&bench, "{fork,{1,2},head,[{nonsense,1}]}", "unknown_command");
    expect_error(&bench, "{batch,[{nonsense,1}]}", "unknown_command");
    expect_error(&bench, "{with,#{expect=>10},{batch,[{nonsense,1}]}}",
                 "unknown_command");
    /* It is carried out again, and is the same error. */
    expect(&bench, "{with,#{at=>{1,1}},{insert,s,fwd,77}}", "{ok,*");
    expect(&bench, "{insert,s,fwd,78}", "{ok,*");
    expect(&bench, "{commit,{1,1},[]}", "{ok,*");
    expect(&bench, "{fork,{1,3},head,[{insert,s,fwd,79}]}", "{ok,*");
    expect_error(&bench, "{commit,{1,3},[{batch,[{nonsense,1}]}]}",
                 "unknown_command");
    bench_close(&bench);
}

static void only_so_many_are_open(void **state)
{
    struct version_limits limits = {3, 0};
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    versions_set_limits(bench.commands->versions, &limits);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{fork,{1,2},head,[]}", "{ok,*");
    expect(&bench, "{snapshot,{2,1}}", "{ok,10}");
    expect_error(&bench, "{snapshot,{2,2}}", "snapshot_limit");
    expect_error(&bench, "{fork,{2,2},{1,1},[]}", "snapshot_limit");
    expect(&bench, "{release_holder,1}", "{ok,2}");
    expect(&bench, "{fork,{2,2},{2,1},[]}", "{ok,*");
    expect(&bench, "{snapshot,{2,3}}", "{ok,10}");
    expect_error(&bench, "{snapshot,{2,4}}", "snapshot_limit");
    expect(&bench, "{commit,{2,2},[]}", "{ok,*");
    expect(&bench, "{snapshot,{2,4}}", "{ok,10}");
    bench_close(&bench);
}

static void those_that_are_too_old_are_gone(void **state)
{
    struct version_limits limits = {100, 60};
    struct bench bench;
    size_t used;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    used = store_mem(bench.store)->used;
    versions_set_limits(bench.commands->versions, &limits);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{fork,{1,2},{1,1},[{insert,s,fwd,7},{insert,o,fwd,{7,7}}]}",
           "{ok,*");
    expect(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,1}}", "{ok,true}");
    usleep(90000);
    expect_error(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,1}}",
                 "no_snapshot");
    expect_error(&bench, "{commit,{1,2},[]}", "no_snapshot");
    assert_int_equal(versions_count(bench.commands->versions), 0);
    assert_int_equal(store_mem(bench.store)->used, used);
    /* The name is free again. */
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    usleep(90000);
    versions_look(bench.commands->versions);
    assert_int_equal(versions_count(bench.commands->versions), 0);
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
    usleep(90000);
    expect_error(&bench, "{fork,{1,2},{1,1},[]}", "no_snapshot");
    bench_close(&bench);
}

static void thousands_are_found_and_released(void **state)
{
    struct random random;
    struct bench bench;
    bool open[2000] = {false};
    uint64_t count = 0;

    (void)state;
    random_init(&random, random_seed());
    bench_open(&bench);
    bench_populate(&bench);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned n = (unsigned)random_below(&random, COUNT(open));
        char *name = test_format("{%u,%u}", n % 40, n / 40);

        if (open[n]) {
            expect(&bench, test_format("{release,%s}", name), "{ok,released}");
            count--;
        } else {
            expect(&bench,
                   test_format(n % 3 ? "{snapshot,%s}"
                                     : "{fork,%s,head,[{insert,s,fwd,z}]}",
                               name),
                   "{ok,*");
            count++;
        }
        open[n] = !open[n];
        if (i % 100 == 0)
            expect(&bench, test_format("{insert,o,fwd,{1,%u}}", i), "{ok,*");
        assert_int_equal(versions_count(bench.commands->versions), count);
    }
    for (unsigned holder = 0; holder < 40; holder++) {
        unsigned mine = 0;

        for (unsigned n = holder; n < COUNT(open); n += 40)
            mine += open[n];
        expect(&bench, test_format("{release_holder,%u}", holder),
               test_format("{ok,%u}", mine));
    }
    assert_int_equal(versions_count(bench.commands->versions), 0);
    assert_int_equal(versions_bytes(bench.commands->versions), 0);
    assert_int_equal(store_mem(bench.store)->used, store_bytes(bench.store));
    bench_close(&bench);
}

/* --- memory ------------------------------------------------------------- */

static void nothing_is_left_behind(void **state)
{
    struct bench bench;
    size_t used;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    used = store_mem(bench.store)->used;
    for (unsigned round = 0; round < 3; round++) {
        expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
        expect(&bench, "{fork,{1,2},{1,1},[]}", "{ok,*");
        expect(&bench, "{fork,{2,1},head,[]}", "{ok,*");
        for (size_t i = 0; i < COUNT(changes); i++)
            expect(&bench, test_format("{with,#{at=>{1,2}},%s}", changes[i]),
                   "{ok,*");
        for (unsigned i = 0; i < 300; i++) {
            expect(&bench,
                   test_format("{with,#{at=>{2,1}},{insert,m,fwd,{%u,%u}}}",
                               i * 7919, i),
                   "{ok,*");
            expect(&bench,
                   test_format("{with,#{at=>{2,1}},{has_key,m,fwd,%u}}", i),
                   "{ok,*");
            expect_error(
                &bench,
                test_format("{with,#{at=>{2,1}},{insert,e,fwd,{no,%u}}}", i),
                "missing_reference");
        }
        assert_true(store_mem(bench.store)->used > used);
        assert_true(versions_bytes(bench.commands->versions) > 0);
        assert_non_null(strstr(call(&bench, "{info}"), "snapshot_count=>3"));
        expect(&bench, "{release,{1,1}}", "{ok,released}");
        expect(&bench, "{release_holder,2}", "{ok,1}");
        expect(&bench, "{release_holder,1}", "{ok,1}");
        assert_int_equal(store_mem(bench.store)->used, used);
    }
    bench_close(&bench);
}

static void info_lists_the_oldest(void **state)
{
    struct bench bench;
    const char *text;
    unsigned listed = 0;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{insert,o,fwd,{1,new}}", "{ok,*");
    expect(&bench, "{fork,{1,2},head,[{insert,s,fwd,new}]}", "{ok,*");
    text = call(&bench, "{info}");
    assert_non_null(strstr(text, "snapshots=>[#{version=>{1,1},kind=>snapshot,"
                                 "seq=>10,age_ms=>"));
    assert_non_null(strstr(text, "#{version=>{1,2},kind=>fork,seq=>11,"));
    assert_null(strstr(text, "snapshot_bytes=>0,"));
    for (unsigned i = 0; i < 150; i++)
        expect(&bench, test_format("{snapshot,{3,%u}}", i), "{ok,11}");
    text = call(&bench, "{info}");
    assert_non_null(strstr(text, "snapshot_count=>152"));
    for (; (text = strstr(text, "version=>{")); text++)
        listed++;
    assert_int_equal(listed, 100);
    bench_close(&bench);
}

/* At the limit, versions are refused and reads at them go on. */
static void the_memory_limit_counts_for_forks(void **state)
{
    struct bench bench;
    const char *answer;
    unsigned n = 0;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{fork,{1,1},head,[]}", "{ok,*");
    store_mem(bench.store)->limit = store_mem(bench.store)->used + (64 << 10);
    do {
        answer = call(&bench, test_format("{with,#{at=>{1,1}},{insert,m,fwd,{%u"
                                          ",<<\"value number %u\">>}}}",
                                          n, n));
        n++;
        assert_true(n < 10000);
    } while (strncmp(answer, "{ok,", 4) == 0);
    assert_non_null(strstr(answer, "{error,{memory_limit,"));
    store_mem(bench.store)->limit = store_mem(bench.store)->used;
    expect_error(&bench, "{with,#{at=>{1,1}},{count,m,fwd,none,none}}",
                 "memory_limit"); /* it could not be noted */
    expect_error(&bench, "{snapshot,{1,2}}", "memory_limit");
    expect_error(&bench, "{fork,{1,2},head,[]}", "memory_limit");
    expect(&bench, "{has_key,m,fwd,1}", "{ok,true}");
    expect(&bench, "{delete_key,m,fwd,1}", "{ok,*");
    expect(&bench, "{release,{1,1}}", "{ok,released}");
    expect(&bench, "{insert,m,fwd,{1,x}}", "{ok,*");
    store_mem(bench.store)->limit = SIZE_MAX;
    bench_close(&bench);
}

/* --- with --------------------------------------------------------------- */

static void options_fit_or_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"x", "{tables}"},
        {"[]", "{tables}"},
        {"#{}", "{with,#{},{tables}}"},
        {"#{nope=>1}", "{tables}"},
        {"#{1=>1}", "{tables}"},
        {"#{at=>{1,1},at=>{1,1}}", "{tables}"},
        {"#{expect=>1,expect=>1}", "{insert,s,fwd,9}"},
        {"#{expect=>-1}", "{insert,s,fwd,9}"},
        {"#{expect=>x}", "{insert,s,fwd,9}"},
        {"#{expect=>99999999999999999999}", "{insert,s,fwd,9}"},
        {"#{expect=>10}", "{tables}"},
        {"#{expect=>10}", "{get,o,fwd,1}"},
        {"#{expect=>10}", "{commit,{1,2},[]}"},
        {"#{expect=>10,at=>{1,2}}", "{insert,s,fwd,9}"},
        {"#{idempotency_key=>k}", "{tables}"},
        {"#{idempotency_key=>k,at=>{1,2}}", "{insert,s,fwd,9}"},
        {"#{at=>{1,1}}", "{insert,s,fwd,9}"},
        {"#{at=>{1,1}}", "{batch,[]}"},
        {"#{at=>{1,1}}", "{ping}"},
        {"#{at=>{1,1}}", "{info}"},
        {"#{at=>{1,1}}", "{sync}"},
        {"#{at=>{1,1}}", "{snapshot,{1,3}}"},
        {"#{at=>{1,2}}", "{fork,{1,3},head,[]}"},
        {"#{at=>{1,2}}", "{commit,{1,2},[]}"},
        {"#{where=>{'=:=',key,1}}", "{get,o,fwd,1}"},
        {"#{where=>{'=:=',key,1}}", "{insert,s,fwd,9}"},
        {"#{deadline=>-1}", "{tables}"},
        {"#{deadline=>soon}", "{tables}"},
        {"#{deadline=>100}", "{insert,s,fwd,9}"},
        {"#{deadline=>100}", "{ping}"},
        {"#{rows=>0}", "{tables}"},
        {"#{rows=>x}", "{tables}"},
        {"#{rows=>10}", "{insert,s,fwd,9}"},
        {"#{memory=>0}", "{tables}"},
        {"#{memory=>10}", "{delete,s,fwd,1}"},
    };
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{fork,{1,2},head,[]}", "{ok,*");
    for (size_t i = 0; i < COUNT(wrong); i++)
        expect_part(&bench,
                    test_format("{with,%s,%s}", wrong[i][0], wrong[i][1]),
                    "bad_argument", " of with: ");
    expect_error(&bench, "{with,#{},x}", "bad_request");
    expect_error(&bench, "{with,#{},{nope}}", "unknown_command");
    expect_error(&bench, "{with,#{at=>{1,1}},{get,o,fwd}}", "wrong_arity");
    expect_error(&bench, "{batch,[{with,#{},{insert,s,fwd,9}}]}",
                 "bad_argument");
    assert_int_equal(store_seq(bench.store), 10);

    expect(&bench, "{with,#{},{ping}}", "{ok,pong}");
    expect(&bench, "{with,#{at=>head},{ping}}", "{ok,pong}");
    expect(&bench, "{with,#{at=>head},{insert,s,fwd,9}}", "{ok,*");
    expect(&bench,
           "{with,#{deadline=>infinity,rows=>1,memory=>1,at=>{1,1}},"
           "{has_key,s,fwd,9}}",
           "{ok,false}");
    expect(&bench,
           "{with,#{at=>{1,2},where=>{'>',key,1}},"
           "{count,s,fwd,none,none}}",
           "{ok,2}");
    bench_close(&bench);
}

static void expect_refuses_another_seq(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{with,#{expect=>10},{insert,s,fwd,2}}",
           "{ok,{11,{inserted,[],[]}}}");
    expect(&bench, "{with,#{expect=>10},{insert,s,fwd,3}}",
           "{error,{stale,<<\"the store is no longer at the seq that was "
           "expected\">>,#{expected=>10,seq=>11}}}");
    expect(&bench, "{with,#{expect=>12},{insert,s,fwd,3}}", "{error,{stale,*");
    /* Nothing changed, no seq is taken. */
    expect(&bench, "{with,#{expect=>11},{insert,s,fwd,2}}",
           "{ok,{11,{exists,[],[]}}}");
    expect(&bench,
           "{with,#{expect=>11},{batch,[{insert,s,fwd,3},{delete,s,fwd"
           ",2}]}}",
           "{ok,{12,[{inserted,[],[]},{deleted,[2],[]}]}}");
    expect(&bench, "{with,#{expect=>12},{create_table,n,set,#{}}}",
           "{ok,{13,created}}");
    expect_error(&bench, "{with,#{expect=>13},{insert,nope,fwd,1}}",
                 "no_table");
    /* Seqs of more than one digit's bytes. */
    for (unsigned seq = 13; seq < 300; seq++)
        expect(&bench,
               test_format("{with,#{expect=>%u},{insert,n,fwd,%u}}", seq, seq),
               test_format("{ok,{%u,{inserted,[],[]}}}", seq + 1));
    expect(&bench, "{with,#{expect=>300},{insert,n,fwd,13}}",
           "{ok,{300,{exists,[],[]}}}");
    bench_close(&bench);
}

static void a_key_remembers_what_was_expected(void **state)
{
    struct sim_io *sim;
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{with,#{idempotency_key=>a,expect=>10},{insert,s,fwd,2}}",
           "{ok,{11,{inserted,[],[]}}}");
    expect(&bench, "{with,#{expect=>10,idempotency_key=>a},{insert,s,fwd,2}}",
           "{ok,{11,{inserted,[],[]}}}");
    expect_error(&bench, "{with,#{idempotency_key=>a},{insert,s,fwd,2}}",
                 "bad_argument");
    expect_error(&bench,
                 "{with,#{idempotency_key=>a,expect=>11},{delete,s,fwd,2}}",
                 "bad_argument");
    expect(&bench, "{with,#{idempotency_key=>b},{insert,s,fwd,3}}",
           "{ok,{inserted,[],[]}}");
    expect_error(&bench,
                 "{with,#{idempotency_key=>b,expect=>12},"
                 "{insert,s,fwd,3}}",
                 "bad_argument");
    expect(&bench, "{with,#{idempotency_key=>b},{insert,s,fwd,3}}",
           "{ok,{inserted,[],[]}}");
    /* Stale is not remembered, nor is what changed nothing. */
    expect_error(&bench,
                 "{with,#{idempotency_key=>c,expect=>11},{insert,s,fwd,4}}",
                 "stale");
    expect(&bench, "{with,#{idempotency_key=>c,expect=>12},{insert,s,fwd,3}}",
           "{ok,{12,{exists,[],[]}}}");
    expect(&bench, "{with,#{idempotency_key=>c,expect=>12},{insert,s,fwd,4}}",
           "{ok,{13,{inserted,[],[]}}}");
    sim = bench_leave(&bench);
    bench_open_on(&bench, sim, SYNC_NONE);
    expect(&bench, "{with,#{idempotency_key=>c,expect=>12},{insert,s,fwd,4}}",
           "{ok,{13,{inserted,[],[]}}}");
    expect(&bench, "{with,#{idempotency_key=>b},{insert,s,fwd,3}}",
           "{ok,{inserted,[],[]}}");
    bench_close(&bench);
}

/* What a hostile or mended log may hold. */
static void a_log_knows_two_options(void **state)
{
    static const char *const wrong[] = {
        "{with,#{at=>{1,1}},{insert,s,fwd,9}}",
        "{with,#{at=>{1,2}},{insert,s,fwd,9}}",
        "{with,#{deadline=>1},{insert,s,fwd,9}}",
        "{with,#{nope=>1},{insert,s,fwd,9}}",
        "{with,#{},{with,#{},{insert,s,fwd,9}}}",
        "{with,#{},{get,o,fwd,1}}",
        "{with,#{expect=>10},{tables}}",
        "{commit,{1,2},[]}",
        "{fork,{1,3},head,[]}",
        "{snapshot,{1,3}}",
        "{batch,[{with,#{},{insert,s,fwd,9}}]}",
    };
    static const char *const right[] = {
        "{with,#{expect=>3},{insert,s,fwd,r1}}",
        "{with,#{at=>head},{insert,s,fwd,r2}}",
        "{with,#{idempotency_key=>r},{insert,s,fwd,r3}}",
        "{with,#{idempotency_key=>q,expect=>0},{insert,s,fwd,r4}}",
        "{batch,[{insert,s,fwd,r5},{create_table,r,set,#{}},"
        "{insert,r,fwd,1},{clear_table,r},{drop_table,r},"
        "{create_table,r,to_one,#{}},{insert,r,fwd,{1,2}}]}",
    };
    struct replayer *replayer;
    struct bench bench;
    const char *why;

    (void)state;
    bench_open(&bench);
    bench_populate(&bench);
    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{fork,{1,2},head,[]}", "{ok,*");
    assert_int_equal(replayer_create(bench.store, &bench.mem, &replayer),
                     ST_OK);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        bench.payload.size = 0;
        term_parse(&bench.payload, wrong[i]);
        assert_int_equal(
            replayer_apply(replayer, 11, buffer_bytes(&bench.payload), &why),
            ST_BAD_ARGUMENT);
        assert_int_equal(store_seq(bench.store), 10);
    }
    for (size_t i = 0; i < COUNT(right); i++) {
        bench.payload.size = 0;
        term_parse(&bench.payload, right[i]);
        if (replayer_apply(replayer, 11 + i, buffer_bytes(&bench.payload),
                           &why))
            fail_msg("%s: %s", right[i], why);
        assert_int_equal(store_seq(bench.store), 11 + i);
    }
    replayer_free(replayer);
    expect(&bench, "{get,r,fwd,1}", "{ok,{value,2}}");
    sim_io_free(bench_leave(&bench));
}

/* A read at a version waits for nothing that came after its seq. */
static void what_versions_show_is_durable(void **state)
{
    struct sync_job *sync;
    struct bench bench;
    bool more;

    (void)state;
    bench_open_on(&bench, NULL, SYNC_ALWAYS);
    for (size_t i = 0; i < COUNT(population); i++)
        assert_string_equal(call(&bench, population[i]), "");
    assert_int_equal(termlog_sync_begin(bench.log, &sync), ST_OK);
    commands_sync_begun(bench.commands);
    termlog_sync_run(sync);
    assert_int_equal(termlog_sync_end(bench.log, sync), ST_OK);
    commands_sync_ended(bench.commands);
    assert_int_equal(commands_release(bench.commands, SIZE_MAX, &more), ST_OK);
    replies(&bench);

    expect(&bench, "{snapshot,{1,1}}", "{ok,10}");
    expect(&bench, "{insert,s,fwd,2}", "");
    expect(&bench, "{has_key,s,fwd,2}", "");
    expect(&bench, "{with,#{at=>{1,1}},{has_key,s,fwd,2}}", "{ok,false}");
    expect(&bench, "{with,#{at=>{1,1}},{tables}}", "{ok,*");
    expect(&bench, "{with,#{at=>{1,1}},{digest}}", "{ok,*");
    expect(&bench, "{with,#{at=>{1,1}},{has_key,nope,fwd,2}}",
           "{error,{no_table,*");
    expect(&bench, "{fork,{1,2},{1,1},[{insert,s,fwd,3},{has_key,s,fwd,3}]}",
           "{ok,*");
    expect(&bench, "{with,#{at=>{1,2}},{insert,s,fwd,4}}", "{ok,*");
    /* Of the head, what was changed; the commit, and a conflict. */
    expect(&bench, "{fork,{1,3},head,[{get,o,fwd,1}]}", "{ok,*");
    expect(&bench, "{fork,{1,4},head,[{has_key,s,fwd,2}]}", "");
    expect(&bench, "{commit,{1,3},[]}", "{ok,{11,[]}}");
    expect(&bench, "{commit,{1,2},[{insert,s,fwd,5}]}", "");
    expect(&bench, "{commit,{1,4},[{insert,s,fwd,3}]}", "");
    assert_int_equal(store_seq(bench.store), 12);
    sim_io_free(bench_leave(&bench));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_stays_as_it_was),
        cmocka_unit_test(a_fork_is_written_to_by_nobody_else),
        cmocka_unit_test(a_fork_of_a_snapshot_begins_as_that),
        cmocka_unit_test(a_fork_and_its_first_ops_are_one_request),
        cmocka_unit_test(ops_of_a_fork_are_about_tables),
        cmocka_unit_test(names_are_pairs_of_two_integers),
        cmocka_unit_test(a_name_stands_for_one_version),
        cmocka_unit_test(nonsense_at_a_fork_is_an_error),
        cmocka_unit_test(only_so_many_are_open),
        cmocka_unit_test(those_that_are_too_old_are_gone),
        cmocka_unit_test(thousands_are_found_and_released),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(info_lists_the_oldest),
        cmocka_unit_test(the_memory_limit_counts_for_forks),
        cmocka_unit_test(options_fit_or_are_refused),
        cmocka_unit_test(expect_refuses_another_seq),
        cmocka_unit_test(a_key_remembers_what_was_expected),
        cmocka_unit_test(a_log_knows_two_options),
        cmocka_unit_test(what_versions_show_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
