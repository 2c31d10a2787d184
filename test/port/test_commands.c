/*
 * test_commands.c -- the road of a request, without a process around it: what
 * is answered, and that a failed command changes nothing.
 */
#include "port/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "core/etf.h"
#include "graph/algorithm.h"
#include "support/random.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A store with a table of every type, and what a client needs to talk. */
struct bench {
    struct mem mem; /* the port's account, apart from the tests' own */
    struct store *store;
    struct writer writer;
    struct commands *commands;
    struct buffer payload;
    struct buffer text;
};

static void bench_open(struct bench *bench, size_t memory_limit,
                       size_t answer_max)
{
    struct store_options options = {memory_limit};

    mem_init(&bench->mem, 0);
    assert_int_equal(store_create(&options, &bench->store), ST_OK);
    writer_init(&bench->writer, &bench->mem, answer_max);
    assert_int_equal(commands_create(bench->store, &bench->mem, &bench->writer,
                                     &bench->commands),
                     ST_OK);
    bench->payload = BUFFER(test_mem());
    bench->text = BUFFER(test_mem());
}

static void bench_close(struct bench *bench)
{
    char why[256] = "";

    if (!store_check(bench->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
    commands_free(bench->commands);
    writer_deinit(&bench->writer);
    store_free(bench->store);
    buffer_free(&bench->payload);
    buffer_free(&bench->text);
    assert_int_equal(bench->mem.used, 0);
}

/* Closes the frame, checks it and prints it into bench->text. */
static void print_replies(struct bench *bench)
{
    struct bytes frame = writer_frame(&bench->writer);
    const uint8_t *at = frame.data;
    size_t size;

    bench->text.size = 0;
    test_append(&bench->text, "", 1);
    if (!frame.size)
        return;
    assert_int_equal(load_be32(at), frame.size - 4);
    assert_int_equal(
        etf_validate(bytes_of(at + 5, frame.size - 5), &size, NULL), ST_OK);
    assert_int_equal(size, frame.size - 5);
    bench->text.size = 0;
    at += 10;
    for (uint32_t count = bench->writer.replies; count > 0; count--) {
        const uint8_t *id = at + 2;
        const uint8_t *answer = id + etf_size(id);

        term_print(&bench->text, id);
        test_append_text(&bench->text, ":");
        assert_int_equal(answer[0], ETF_BINARY);
        assert_int_equal(answer[5], ETF_VERSION);
        assert_int_equal(
            etf_validate(bytes_of(answer + 6, load_be32(answer + 1) - 1), &size,
                         NULL),
            ST_OK);
        assert_int_equal(size, load_be32(answer + 1) - 1);
        term_print(&bench->text, answer + 6);
        test_append_text(&bench->text, " ");
        at += etf_size(at);
    }
    test_append(&bench->text, "", 1);
}

/* Carries out what is in `payload`; the last status. */
static enum status run_payload(struct bench *bench, struct bytes payload)
{
    enum status st;

    writer_clear(&bench->writer);
    st = commands_open(bench->commands, payload);
    while (st == ST_OK && commands_busy(bench->commands))
        st = commands_step(bench->commands);
    print_replies(bench);
    return st;
}

/* Carries out the requests that `text` shows, as if in one frame. */
static enum status run(struct bench *bench, const char *text)
{
    uint8_t version = ETF_VERSION;

    bench->payload.size = 0;
    test_append(&bench->payload, &version, 1);
    term_parse(&bench->payload, text);
    return run_payload(bench, buffer_bytes(&bench->payload));
}

/* The same, with the bytes of a term in the place of the atom `here`. */
static enum status run_with(struct bench *bench, const char *text,
                            struct bytes term)
{
    struct bytes here = BYTES("w\4here");
    struct buffer payload = BUFFER(test_mem());
    uint8_t version = ETF_VERSION;
    const uint8_t *place;
    enum status st;

    bench->payload.size = 0;
    term_parse(&bench->payload, text);
    place =
        memmem(bench->payload.data, bench->payload.size, here.data, here.size);
    assert_non_null(place);
    test_append(&payload, &version, 1);
    test_append(&payload, bench->payload.data,
                (size_t)(place - bench->payload.data));
    test_append(&payload, term.data, term.size);
    place += here.size;
    test_append(&payload, place,
                bench->payload.size - (size_t)(place - bench->payload.data));
    st = run_payload(bench, buffer_bytes(&payload));
    buffer_free(&payload);
    return st;
}

/* The replies of the last run: "1:{ok,pong} 2:{ok,[]} ". */
static const char *replies(const struct bench *bench)
{
    return (const char *)bench->text.data;
}

/* The answer to one Op. */
static const char *call(struct bench *bench, const char *op)
{
    char *request;
    const char *text;

    assert_true(asprintf(&request, "[{1,%s}]", op) > 0);
    assert_int_equal(run(bench, request), ST_OK);
    free(request);
    text = replies(bench);
    assert_memory_equal(text, "1:", 2);
    bench->text.data[strlen(text) - 1] = '\0';
    return text + 2;
}

static void expect(struct bench *bench, const char *op, const char *wanted)
{
    const char *answer = call(bench, op);

    if (strcmp(answer, wanted) != 0)
        fail_msg("%s\n  answers %s\n  and not %s", op, answer, wanted);
}

/* The answer must be {error, {Code, ...}}. */
static void expect_error(struct bench *bench, const char *op, const char *code)
{
    const char *answer = call(bench, op);
    char *start = test_format("{error,{%s,", code);

    if (strncmp(answer, start, strlen(start)) != 0)
        fail_msg("%s\n  answers %s\n  and not the error %s", op, answer, code);
}

/* Everything that a client can see of the store. */
static char *dump(struct bench *bench)
{
    struct buffer out = BUFFER(test_mem());
    static const char *const names[] = {"p",  "s",  "o",  "l",  "oo",
                                        "om", "mo", "mm", "rr", "h"};
    char *copy;

    test_append_text(&out, call(bench, "{tables}"));
    for (size_t i = 0; i < COUNT(names); i++) {
        test_append_text(
            &out,
            call(bench,
                 test_format("{scan,%s,fwd,elements,asc,none,none,1000000}",
                             names[i])));
        test_append_text(
            &out,
            call(bench,
                 test_format("{scan,%s,bwd,elements,asc,none,none,1000000}",
                             names[i])));
    }
    test_append_text(&out, call(bench, "{vertices,g,none,1000000}"));
    test_append_text(&out, call(bench, "{edges,g,none,1000000}"));
    test_append_text(&out, call(bench, "{graph_digest,g}"));
    test_append_text(
        &out,
        test_format("seq %llu", (unsigned long long)store_seq(bench->store)));
    test_append(&out, "", 1);
    copy = strdup((const char *)out.data);
    buffer_free(&out);
    return copy;
}

static const char *const population[] = {
    "{create_table,p,pom,#{}}",
    "{create_table,s,set,#{}}",
    "{create_table,o,to_one,#{}}",
    "{create_table,l,to_many,#{}}",
    "{create_table,oo,one_to_one,#{}}",
    "{create_table,om,one_to_many,#{}}",
    "{create_table,mo,many_to_one,#{}}",
    "{create_table,mm,many_to_many,#{}}",
    "{create_table,rr,to_many,#{fwd=>{s,evict}}}",
    "{create_table,g,graph,#{weight=>value}}",
    "{create_table,h,to_one,#{}}",
    "{insert_rows,p,[one,two,three]}",
    "{insert_all,s,fwd,[1,b,{c},<<\"d\">>]}",
    "{insert_all,o,fwd,[{1,x},{b,#{y=>z}},{c,\"w\"}]}",
    "{insert_all,l,fwd,[{1,x},{1,y},{b,x},{b,z},{c,z}]}",
    "{insert_all,oo,fwd,[{1,x},{b,y},{c,z}]}",
    "{insert_all,om,fwd,[{1,x},{1,y},{b,z},{c,[]}]}",
    "{insert_all,mo,fwd,[{1,x},{2,x},{b,z},{c,z}]}",
    "{insert_all,mm,fwd,[{1,x},{1,y},{1,z},{b,x},{b,z},{c,z}]}",
    "{insert_all,rr,fwd,[{1,x},{1,y},{b,z}]}",
    "{insert_all,h,fwd,[{a,1},{b,0}]}",
    "{put_vertices,g,[{a,one,[red]},{b,#{y=>z},[]},c]}",
    "{put_edges,g,[{a,b},{b,c,knows,3},{a,c,knows,7},{c,c}]}",
    "{contract,g,{d,e},[c],#{loops=>keep}}",
    "{snapshot,{9,1}}",
    "{fork,{9,2},head,[{insert,mm,fwd,{1,forked}}]}",
};

static void bench_populate(struct bench *bench)
{
    for (size_t i = 0; i < COUNT(population); i++)
        assert_memory_equal(call(bench, population[i]), "{ok,", 4);
}

/* --- the command table and the documents -------------------------------- */

static void every_command_is_found_and_nothing_else(void **state)
{
    size_t count;
    const struct command *list = command_list(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const char *name = list[i].name;
        struct bytes bytes = bytes_of(name, strlen(name));

        assert_ptr_equal(command_find(bytes), &list[i]);
        bytes.size--;
        assert_ptr_not_equal(command_find(bytes), &list[i]);
    }
    assert_null(command_find(BYTES("")));
    assert_null(command_find(BYTES("x")));
    assert_null(command_find(BYTES("insert_everything")));
}

static char *read_protocol(void)
{
    const char *root = getenv("RHIZOME_SOURCE_DIR");
    FILE *file;
    char *text = calloc(1, 1 << 20);

    assert_non_null(root);
    file = fopen(test_format("%s/port_src/PROTOCOL.md", root), "r");
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static void protocol_md_has_every_command_and_every_code(void **state)
{
    char *text = read_protocol();
    char *commands = strstr(text, "## 3. Commands");
    char *errors = strstr(text, "## 4. Errors");
    size_t count;
    const struct command *list = command_list(&count);

    (void)state;
    assert_non_null(commands);
    assert_non_null(errors);
#define EXPECT_ROW(name, number, atom, sentence)                               \
    if (!strstr(errors, "| `" atom "` |"))                                     \
        fail_msg("section 4 of PROTOCOL.md lacks %s", atom);
    STATUS_LIST(EXPECT_ROW)
#undef EXPECT_ROW
    *errors = '\0';
    for (size_t i = 0; i < count; i++) {
        char *row =
            test_format("| `{%s%s", list[i].name, list[i].arity ? "," : "}");

        if (!strstr(commands, row))
            fail_msg("section 3 of PROTOCOL.md lacks %s", list[i].name);
    }
    free(text);
}

/* A word in a row of section 3.9. */
static void expect_word(const char *row, const char *end, const char *word)
{
    const char *found = strstr(row, test_format("`%s`", word));

    if (!found || found > end)
        fail_msg("section 3.9 of PROTOCOL.md lacks `%s` in %.*s", word,
                 (int)(end - row), row);
}

static void protocol_md_has_every_algorithm(void **state)
{
    char *text = read_protocol();
    char *at = strstr(text, "### 3.9 ");
    size_t count;
    const struct algorithm *const *list = algorithm_list(&count);

    (void)state;
    assert_non_null(at);
    for (size_t i = 0; i < count; i++) {
        const struct algorithm *algorithm = list[i];
        bool weights = algorithm->needs & NEED_WEIGHTS;
        const char *end;

        at = strstr(at, test_format("\n| `%s` %s|", algorithm->name,
                                    weights ? "**w** " : ""));
        if (!at)
            fail_msg("section 3.9 of PROTOCOL.md lacks %s behind the one "
                     "before it",
                     algorithm->name);
        end = strchr(++at, '\n');
        for (unsigned p = 0; p < algorithm->param_count; p++)
            expect_word(at, end, algorithm->params[p].name);
        for (const char *const *column = algorithm->columns; *column; column++)
            expect_word(at, end, *column);
    }
    free(text);
}

/* --- what is answered --------------------------------------------------- */

static void each_command_answers_as_documented(void **state)
{
    static const char *const script[][2] = {
        {"{ping}", "{ok,pong}"},
        {"{create_table,mm,many_to_many,#{}}", "{ok,exists}"},
        {"{table_info,p}",
         "{ok,#{name=>p,type=>pom,count=>3,fwd_keys=>3,references=>*"},
        {"{table_info,rr}", "*references=>#{fwd=>{s,evict}},"},
        {"{insert,s,fwd,zz}", "{ok,{inserted,[],[]}}"},
        {"{insert,s,fwd,zz}", "{ok,{exists,[],[]}}"},
        {"{delete,s,fwd,zz}", "{ok,{deleted,[zz],[]}}"},
        {"{delete,s,fwd,zz}", "{ok,{absent,[],[]}}"},
        {"{insert,o,fwd,{1,y}}", "{ok,{inserted,[{1,x}],[]}}"},
        {"{insert,o,fwd,{1,y}}", "{ok,{exists,[],[]}}"},
        {"{get,o,fwd,b}", "{ok,{value,#{y=>z}}}"},
        {"{get,o,fwd,c}", "{ok,{value,[119]}}"},
        {"{get,o,fwd,nobody}", "{ok,none}"},
        {"{delete,o,fwd,{1,x}}", "{ok,{absent,[],[]}}"},
        {"{delete,o,fwd,{1,y}}", "{ok,{deleted,[{1,y}],[]}}"},
        {"{insert,oo,fwd,{1,y}}", "{ok,{inserted,[{*"},
        {"{get,oo,bwd,y}", "{ok,{value,1}}"},
        {"{get,oo,fwd,b}", "{ok,none}"},
        {"{insert,om,bwd,{x,b}}", "{ok,{inserted,[{x,1}],[]}}"},
        {"{insert,om,{fwd,9},\"xy\"}", "{ok,{inserted,[],[]}}"},
        {"{insert_new,oo,fwd,{1,free}}", "{ok,{exists,[],[]}}"},
        {"{insert_new,oo,bwd,{y,free}}", "{ok,{exists,[],[]}}"},
        {"{insert_new,om,{fwd,new},x}", "{ok,{exists,[],[]}}"},
        {"{insert_new,o,fwd,{b,y}}", "{ok,{exists,[],[]}}"},
        {"{insert_new,mm,fwd,{1,x}}", "{ok,{exists,[],[]}}"},
        {"{insert_new,mm,fwd,{1,fresh}}", "{ok,{inserted,[],[]}}"},
        {"{delete,mm,fwd,{1,fresh}}", "{ok,{deleted,[{1,fresh}],[]}}"},
        {"{insert_all,mm,{bwd,n},\"\1\2\"}", "{ok,{2,[],[]}}"},
        {"{scan,mm,{bwd,n},elements,asc,none,none,9}", "{ok,[1,2],done}"},
        {"{delete_key,mm,bwd,n}", "{ok,{2,[{n,1},{n,2}],[]}}"},
        {"{insert_row,p,four}", "{ok,{4,[],[]}}"},
        {"{insert_rows,p,[]}", "{ok,{[],[],[]}}"},
        {"{update_row,p,4,vier}", "{ok,{updated,[{4,four}],[]}}"},
        {"{delete,p,fwd,{4,vier}}", "{ok,{deleted,[{4,vier}],[]}}"},
        {"{insert_row,p,five}", "{ok,{5,[],[]}}"},
        {"{delete,s,fwd,1}", "{ok,{deleted,[1],[{rr,[{1,x},{1,y}]}]}}"},
        {"{delete_all,s,fwd,[b,nothing]}", "{ok,{1,[b],[{rr,[{b,z}]}]}}"},
        {"{insert,s,fwd,b}", "{ok,{inserted,[],[]}}"},
        {"{insert_all,rr,fwd,[{b,1},{b,2}]}", "{ok,{2,[],[]}}"},
        {"{clear_table,s}", "{ok,{3,[],[{rr,2}]}}"},
        {"{clear_table,s}", "{ok,{0,[],[]}}"},
        {"{member,mm,fwd,{1,x}}", "{ok,true}"},
        {"{member,mm,{bwd,x},1}", "{ok,true}"},
        {"{member,mm,bwd,{x,2}}", "{ok,false}"},
        {"{member,o,fwd,{b,#{y=>z}}}", "{ok,true}"},
        {"{has_key,mm,bwd,x}", "{ok,true}"},
        {"{has_key,mm,bwd,q}", "{ok,false}"},
        {"{count,mm,fwd,none,none}", "{ok,6}"},
        {"{count,mm,fwd,{incl,b},none}", "{ok,3}"},
        {"{count,mm,fwd,{excl,1},{excl,c}}", "{ok,2}"},
        {"{count,mm,{fwd,1},{incl,y},{incl,y}}", "{ok,1}"},
        {"{count,mm,{fwd,nobody},none,none}", "{ok,0}"},
        {"{count,mm,fwd,{pos,-2},none}", "{ok,2}"},
        {"{count,mm,fwd,{pos,6},none}", "{ok,0}"},
        {"{count,mm,fwd,{'after',{1,y}},none}", "{ok,4}"},
        {"{key_count,mm,bwd}", "{ok,3}"},
        {"{rank,mm,fwd,{b,x}}", "{ok,{3,true}}"},
        {"{rank,mm,{fwd,1},yy}", "{ok,{2,false}}"},
        {"{rank,o,fwd,c}", "{ok,{1,true}}"},
        {"{scan,mm,fwd,keys,asc,none,none,2}", "{ok,[1,b],{after_key,b}}"},
        {"{scan,mm,fwd,keys,asc,{after_key,b},none,2}", "{ok,[c],done}"},
        {"{scan,mm,fwd,values,desc,none,none,2}", "{ok,[z,z],{after,{b,z}}}"},
        {"{scan,mm,fwd,elements,asc,{pos,-1},none,2}", "{ok,[{c,z}],done}"},
        {"{scan,mm,fwd,elements,asc,{pos,-7},none,2}", "{ok,[],done}"},
        {"{scan,mm,fwd,elements,desc,{pos,1},none,5}",
         "{ok,[{1,y},{1,x}],done}"},
        {"{scan,o,fwd,elements,asc,none,none,1}",
         "{ok,[{b,#{y=>z}}],{after_key,b}}"},
        {"{scan,o,fwd,values,asc,{'after',{b,ignored}},none,1}",
         "{ok,[[119]],done}"},
        {"{batch,[{insert,mm,fwd,{q,1}},{create_table,n,set,#{}},"
         "{insert,n,fwd,1},{drop_table,n}]}",
         "{ok,[{inserted,[],[]},created,{inserted,[],[]},dropped]}"},
        {"{batch,[]}", "{ok,[]}"},
        {"{with,#{},{insert,s,fwd,q}}", "{ok,{inserted,[],[]}}"},
        {"{digest}", "{ok,#{seq=>*"},
        {"{drop_table,mm}", "{ok,dropped}"},
        {"{tables}", "{ok,[{g,graph},{h,to_one},{l,to_many},{mo,many_to_one},"
                     "{o,to_one},{om,one_to_many},{oo,one_to_one},{p,pom},"
                     "{rr,to_many},{s,set}]}"},
    };
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    for (size_t i = 0; i < COUNT(script); i++) {
        const char *op = script[i][0], *wanted = script[i][1];
        const char *answer = call(&bench, op);
        size_t size = strlen(wanted);
        bool fits;

        if (wanted[0] == '*')
            fits = strstr(answer, wanted + 1) != NULL;
        else if (wanted[size - 1] == '*')
            fits = strncmp(answer, wanted, size - 1) == 0;
        else
            fits = strcmp(answer, wanted) == 0;
        if (!fits)
            fail_msg("%s\n  answers %s\n  and not %s", op, answer, wanted);
    }
    bench_close(&bench);
}

static void each_error_has_its_code(void **state)
{
    static const char *const script[][2] = {
        {"{nothing}", "unknown_command"},
        {"{ping,1}", "wrong_arity"},
        {"{insert,nobody,fwd,1}", "no_table"},
        {"{insert,s,bwd,1}", "wrong_table_type"},
        {"{insert,s,{fwd,1},1}", "wrong_table_type"},
        {"{insert,o,{fwd,1},1}", "wrong_table_type"},
        {"{insert,p,fwd,{1,x}}", "wrong_table_type"},
        {"{insert_row,s,1}", "wrong_table_type"},
        {"{get,mm,fwd,1}", "wrong_table_type"},
        {"{scan,s,fwd,values,asc,none,none,1}", "wrong_table_type"},
        {"{scan,mm,{fwd,1},keys,asc,none,none,1}", "bad_argument"},
        {"{scan,mm,fwd,elements,asc,none,{'after',{1,x}},1}", "bad_argument"},
        {"{scan,mm,fwd,elements,asc,none,none,0}", "bad_argument"},
        {"{scan,mm,fwd,elements,asc,none,none,2147483648}", "bad_argument"},
        {"{insert_all,mm,fwd,[{1,q}|x]}", "bad_argument"},
        {"{insert_all,mm,fwd,[{1,q},x]}", "bad_argument"},
        {"{insert,mm,fwd,{#{1=>a,1=>b},x}}", "bad_argument"},
        {"{update_row,p,77,x}", "not_found"},
        {"{insert,rr,fwd,{nobody,1}}", "missing_reference"},
        {"{create_table,mm,set,#{}}", "table_exists"},
        {"{create_table,mm,many_to_many,#{if_exists=>error}}", "table_exists"},
        {"{create_table,new,set,#{fwd=>{nobody,evict}}}", "no_table"},
        {"{create_table,new,set,#{bwd=>{s,evict}}}", "wrong_table_type"},
        {"{create_table,new,pom,#{fwd=>{s,evict}}}", "wrong_table_type"},
        {"{create_table,new,set,#{colour=>red}}", "bad_argument"},
        {"{create_table,new,heap,#{}}", "bad_argument"},
        {"{drop_table,s}", "restricted"},
        {"{batch,[{ping}]}", "bad_argument"},
        {"{batch,[{batch,[]}]}", "bad_argument"},
        {"{batch,[x]}", "bad_request"},
        {"{batch,[{insert,mm,fwd,{8,8}},{insert,mm}]}", "wrong_arity"},
    };
    struct bench bench;
    char *before;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    before = dump(&bench);
    for (size_t i = 0; i < COUNT(script); i++) {
        char *after;

        expect_error(&bench, script[i][0], script[i][1]);
        after = dump(&bench);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    bench_close(&bench);
}

static void error_details_say_where(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    expect(&bench, "{insert,mm}",
           "{error,{wrong_arity,<<\"insert takes 3 arguments, not 1\">>,"
           "#{arity=>3}}}");
    expect(&bench, "{table_info}",
           "{error,{wrong_arity,<<\"table_info takes 1 argument, not 0\">>,"
           "#{arity=>1}}}");
    assert_non_null(strstr(call(&bench, "{nothing}"), "command=>nothing"));
    assert_non_null(
        strstr(call(&bench, "{get,nobody,fwd,1}"), "#{table=>nobody}"));
    assert_non_null(strstr(call(&bench, "{insert,mm,up,1}"), "argument=>2"));
    assert_non_null(strstr(call(&bench, "{insert_all,mm,fwd,[{1,2},{3,4},5]}"),
                           "position=>2"));
    assert_non_null(strstr(call(&bench, "{batch,[{insert,mm,fwd,{7,7}},"
                                        "{insert,rr,fwd,{nobody,1}}]}"),
                           "#{table=>s,key=>nobody,index=>1}"));
    bench_close(&bench);
}

/* A large key is in no error reply, nor is a large name. */
static void error_replies_are_small(void **state)
{
    struct bench bench;
    char large[4001];

    (void)state;
    memset(large, 'k', 4000);
    large[4000] = '\0';
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    expect_error(&bench, test_format("{insert,rr,fwd,{<<\"%s\">>,1}}", large),
                 "missing_reference");
    assert_true(writer_size(&bench.writer) < 400);
    expect_error(&bench, test_format("{get,<<\"%s\">>,fwd,1}", large),
                 "no_table");
    assert_true(writer_size(&bench.writer) < 400);
    expect_error(&bench,
                 test_format("{create_table,<<\"%s\">>,set,#{}}", large),
                 "too_big");
    assert_true(writer_size(&bench.writer) < 400);
    bench_close(&bench);
}

/* --- wrong arguments of every command ----------------------------------- */

/* One call of each command, in the order of the table of commands, that works
 * on the population. */
static const char *const valid[][8] = {
    {"ping"},
    {"info"},
    {"tables"},
    {"create_table", "new", "set", "#{}"},
    {"drop_table", "mm"},
    {"clear_table", "mm"},
    {"table_type", "mm"},
    {"table_info", "mm"},
    {"sync"},
    {"checkpoint"},
    {"digest"},
    {"insert", "mm", "fwd", "{1,new}"},
    {"insert_new", "mm", "fwd", "{new,1}"},
    {"insert_all", "mm", "bwd", "[{new,1},{new,2}]"},
    {"delete", "mm", "fwd", "{1,x}"},
    {"delete_all", "mm", "{fwd,1}", "[x,y]"},
    {"delete_key", "mm", "bwd", "x"},
    {"insert_row", "p", "new"},
    {"insert_rows", "p", "[n1,n2]"},
    {"update_row", "p", "1", "new"},
    {"batch", "[{insert,mm,fwd,{8,8}},{delete,mm,fwd,{1,x}}]"},
    {"with", "#{idempotency_key=>{k}}", "{insert,mm,fwd,{1,new}}"},
    {"put_vertex", "g", "new", "#{x=>y}", "[red,blue]"},
    {"put_vertices", "g", "[n1,{n2,two,[blue]},{a,1,[]}]"},
    {"update_vertex", "g", "a", "other", "[blue]"},
    {"delete_vertex", "g", "b"},
    {"delete_vertices", "g", "[a,b]"},
    {"put_edge", "g", "b", "new", "knows", "3"},
    {"put_edges", "g", "[{n1,n2},{a,n1,knows},{a,b,likes,9}]"},
    {"update_edge", "g", "a", "b", "nil", "4"},
    {"delete_edge", "g", "a", "b", "nil"},
    {"delete_edges", "g", "[{a,b},{a,{d,e},knows}]"},
    {"contract", "g", "ab", "[a,b]", "#{value=>first,edges=>sum}"},
    {"expand", "g", "{d,e}"},
    {"contracted", "g", "{d,e}"},
    {"get_vertex", "g", "a"},
    {"get_vertices", "g", "[a,q,b]"},
    {"get_edge", "g", "a", "b", "nil"},
    {"has_vertex", "g", "a"},
    {"has_edge", "g", "a", "b", "any"},
    {"vertex_count", "g", "red"},
    {"edge_count", "g", "knows"},
    {"vertices", "g", "none", "2"},
    {"edges", "g", "none", "2"},
    {"graph_digest", "g"},
    {"snapshot", "{1,1}"},
    {"fork", "{1,2}", "head", "[{insert,mm,fwd,{1,new}}]"},
    {"commit", "{9,2}", "[{delete,mm,fwd,{1,x}}]"},
    {"release", "{9,1}"},
    {"release_holder", "9"},
    {"subscribe", "{1,1}", "all", "now"},
    {"unsubscribe", "{1,1}"},
    {"feed_ack", "{1,1}", "1"},
    {"cancel", "1"},
    {"get", "oo", "bwd", "x"},
    {"get_all", "oo", "bwd", "[x,q,y]"},
    {"member", "mm", "fwd", "{1,x}"},
    {"has_key", "mm", "bwd", "x"},
    {"count", "mm", "fwd", "{incl,1}", "{excl,c}"},
    {"key_count", "mm", "bwd"},
    {"rank", "mm", "fwd", "{b,x}"},
    {"scan", "mm", "fwd", "elements", "asc", "{'after',{1,x}}", "none", "2"},
    {"neighbors", "g", "a", "#{values=>true,weighted=>true}"},
    {"degree", "g", "a", "#{labels=>[knows,nil]}"},
    {"degrees", "g", "[a,b]", "#{direction=>both}"},
    {"k_hop", "g", "[a,b]", "#{depth=>2}"},
    {"bfs", "g", "a", "#{vertices=>{'=/=',key,b}}"},
    {"dfs", "mm", "1", "#{limit=>2}"},
    {"reachable", "g", "a", "b", "#{}"},
    {"shortest_path", "g", "a", "b", "#{heuristic=>{h,lookup}}"},
    {"shortest_paths_to", "g", "a", "[b]", "#{weighted=>true}"},
    {"all_shortest_paths", "g", "a", "b", "#{degree=>5}"},
    {"k_shortest_paths", "g", "a", "{d,e}", "3", "#{weighted=>true}"},
    {"paths", "g", "a", "any", "#{depth=>3}"},
    {"random_walk", "g", "a", "5", "1", "#{}"},
    {"common_neighbors", "g", "a", "b", "#{}"},
    {"jaccard", "{'$path',[{mm,fwd},{mm,bwd}]}", "1", "b", "#{}"},
    {"subgraph", "g", "[a,b]", "#{}"},
    {"project", "{x}", "g", "#{weighted=>true,labels=>[knows]}"},
    {"projections"},
    {"drop_projection", "{x}"},
    {"estimate", "sssp", "g", "#{source=>a,weighted=>true}"},
    {"run", "bfs", "g", "#{source=>a}", "{rows,{1,1},{level,desc,9}}"},
    {"result_rows", "{1,1}", "0", "9"},
    {"result_write", "{1,1}", "0", "9", "o"},
    {"release_result", "{1,1}"},
    {"algorithms"},
    {"running"},
};

/* Those that take what there is none of here, a log or threads, and how they
 * fail for it; their own tests have it. */
static const char *const elsewhere[][2] = {
    {"sync", "no_log"},           {"checkpoint", "no_log"},
    {"project", "bad_argument"},  {"run", "bad_argument"},
    {"result_rows", "no_result"}, {"result_write", "no_result"},
};

/* How the answer to valid[which] begins. */
static char *valid_answer(size_t which)
{
    for (size_t i = 0; i < COUNT(elsewhere); i++)
        if (!strcmp(valid[which][0], elsewhere[i][0]))
            return test_format("{error,{%s,", elsewhere[i][1]);
    return test_format("{ok,");
}

static const char *const odd_terms[] = {
    "x",
    "fwd",
    "bwd",
    "none",
    "0",
    "-1",
    "99999999999",
    "[]",
    "[x]",
    "\"abc\"",
    "[x|y]",
    "[{1,2},{3,4}]",
    "{}",
    "{1}",
    "{1,2}",
    "{1,2,3}",
    "{fwd,1}",
    "{incl,1}",
    "{excl,[]}",
    "{pos,1}",
    "{pos,x}",
    "{after_key,b}",
    "{'after',{1,2}}",
    "{'after',1}",
    "#{}",
    "#{a=>1}",
    "#{fwd=>1}",
    "#{fwd=>{s,evict}}",
    "#{1=>2,1=>3}",
    "<<\"\">>",
    "<<\"bin\">>",
    "s",
    "p",
    "o",
    "l",
    "oo",
    "om",
    "mo",
    "rr",
    "g",
    "h",
    "a",
    "any",
    "nil",
    "{a,b}",
    "[a,b]",
    "[a,nobody]",
    "[{a,b,nil,5},{b,a,nil,x}]",
    "#{direction=>in,labels=>[nil]}",
    "#{depth=>2,weighted=>true}",
    "#{edges=>{'>',value,1}}",
    "#{edges=>sum,loops=>keep}",
    "{'$path',[{mm,fwd},{mm,bwd}]}",
    "{'$path',[{l,bwd}]}",
    "{'$projection',{x}}",
    "{'$graph',edges,g}",
    "[{ping}]",
    "[{insert,s,fwd}]",
    "{insert,s,fwd,9}",
    "'$keys'",
    "#{idempotency_key=>1}",
    "#{at=>{9,1}}",
    "#{at=>{9,2}}",
    "#{at=>{9,3}}",
    "#{expect=>1}",
    "#{where=>{'=:=',key,1},rows=>1}",
    "{9,1}",
    "{9,2}",
};

/* The call of valid[which] with argument `index` replaced by `term`. */
static char *altered_call(size_t which, size_t index, const char *term)
{
    struct buffer out = BUFFER(test_mem());
    char *copy;

    test_append_text(&out, "{");
    for (size_t i = 0; i < 8 && valid[which][i]; i++) {
        test_append_text(&out, i ? "," : "");
        test_append_text(&out, i == index ? term : valid[which][i]);
    }
    test_append(&out, "}", 2);
    copy = strdup((const char *)out.data);
    buffer_free(&out);
    return copy;
}

/* A command without a row here, or with one that has become wrong, is not
 * tested by what follows. */
static void every_command_has_a_valid_call(void **state)
{
    size_t count;
    const struct command *list = command_list(&count);

    (void)state;
    for (size_t which = 0; which < COUNT(valid) && which < count; which++) {
        struct bench bench;
        char *op, *wanted;
        unsigned arity = 0;

        while (arity < 7 && valid[which][arity + 1])
            arity++;
        assert_string_equal(valid[which][0], list[which].name);
        assert_int_equal(arity, list[which].arity);
        op = altered_call(which, 0, valid[which][0]);
        wanted = valid_answer(which);
        bench_open(&bench, 0, 1 << 20);
        bench_populate(&bench);
        if (strncmp(call(&bench, op), wanted, strlen(wanted)) != 0)
            fail_msg("%s\n  answers %s\n  and not %s", op, call(&bench, op),
                     wanted);
        bench_close(&bench);
        free(op);
    }
    assert_int_equal(count, COUNT(valid));
}

static void every_command_survives_any_argument(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT(valid); which++) {
        const struct command *row =
            command_find(bytes_of(valid[which][0], strlen(valid[which][0])));
        struct bench bench;
        char *before;

        assert_non_null(row);
        bench_open(&bench, 0, 1 << 20);
        bench_populate(&bench);
        before = dump(&bench);
        for (size_t index = 1; index <= row->arity; index++)
            for (size_t odd = 0; odd < COUNT(odd_terms); odd++) {
                char *op = altered_call(which, index, odd_terms[odd]);
                bool failed = strncmp(call(&bench, op), "{ok,", 4) != 0;
                char *after = dump(&bench);

                if (failed && strcmp(before, after) != 0)
                    fail_msg("%s failed and changed something", op);
                if (strcmp(before, after) != 0) {
                    bench_close(&bench);
                    bench_open(&bench, 0, 1 << 20);
                    bench_populate(&bench);
                }
                free(after);
                free(op);
            }
        free(before);
        bench_close(&bench);
    }
}

static void every_command_counts_its_arguments(void **state)
{
    size_t count;
    const struct command *list = command_list(&count);
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        for (int arity = 0; arity < 10; arity++) {
            char op[256];

            snprintf(op, sizeof(op), "{%s%.*s}", list[i].name, 2 * arity,
                     ",x,x,x,x,x,x,x,x,x");
            if (arity != list[i].arity)
                expect_error(&bench, op, "wrong_arity");
        }
    }
    bench_close(&bench);
}

/* --- memory ------------------------------------------------------------- */

/* Fails the 1st, 2nd, ... allocation of a command in one account. */
static void fail_each_allocation(size_t which, bool of_store)
{
    char *op = altered_call(which, 0, valid[which][0]);
    char *request = strdup(test_format("[{1,%s}]", op));
    char *wanted = strdup(test_format("1:%s", valid_answer(which)));
    struct bench bench;
    char *before;

    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    before = dump(&bench);
    for (uint64_t nth = 1;; nth++) {
        struct mem *mem = of_store ? store_mem(bench.store) : &bench.mem;
        enum status st;
        char *after;
        bool ok;

        assert_true(nth < 1000);
        writer_deinit(&bench.writer);
        writer_init(&bench.writer, &bench.mem, 1 << 20);
        mem_fail_at(mem, nth, true);
        st = run(&bench, request);
        mem_fail_at(mem, 0, false);
        ok = st == ST_OK &&
             strncmp(replies(&bench), wanted, strlen(wanted)) == 0;
        if (st < 0)
            assert_int_equal(st, ST_NO_MEMORY);
        else if (!ok)
            assert_memory_equal(replies(&bench), "1:{error,{no_memory,", 20);
        if (ok)
            break;
        after = dump(&bench);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    free(op);
    free(request);
    free(wanted);
    bench_close(&bench);
}

static void a_command_without_memory_changes_nothing(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT(valid); which++) {
        fail_each_allocation(which, false);
        fail_each_allocation(which, true);
    }
}

static void the_memory_limit_leaves_reads_and_deletes(void **state)
{
    const size_t limit = 64 << 10;
    struct bench bench;
    const char *answer;
    unsigned n = 0;

    (void)state;
    bench_open(&bench, limit, 1 << 20);
    expect(&bench, "{create_table,mm,many_to_many,#{}}", "{ok,created}");
    do {
        answer = call(&bench, test_format("{insert,mm,fwd,{%u,<<\"a value of "
                                          "some length %u\">>}}",
                                          n, n * 77));
        n++;
        assert_true(n < 100000);
    } while (strncmp(answer, "{ok,", 4) == 0);
    assert_non_null(strstr(answer, "{error,{memory_limit,"));
    assert_non_null(strstr(answer, "limit=>65536"));
    assert_true(store_mem(bench.store)->used <= limit);
    expect(&bench, "{count,mm,fwd,none,none}", test_format("{ok,%u}", n - 1));
    expect(&bench, "{has_key,mm,fwd,5}", "{ok,true}");
    for (unsigned i = 0; i < n - 1; i++)
        assert_memory_equal(
            call(&bench, test_format("{delete_key,mm,fwd,%u}", i)), "{ok,{1,",
            7);
    expect(&bench, "{insert,mm,fwd,{1,2}}", "{ok,{inserted,[],[]}}");
    bench_close(&bench);
}

static void a_reply_beyond_its_limit_is_undone(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 400);
    expect(&bench, "{create_table,l,to_many,#{}}", "{ok,created}");
    for (unsigned i = 0; i < 200; i++)
        expect(&bench, test_format("{insert,l,fwd,{a,%u}}", i),
               "{ok,{inserted,[],[]}}");
    expect_error(&bench, "{delete_key,l,fwd,a}", "too_big");
    expect(&bench, "{count,l,fwd,none,none}", "{ok,200}");
    expect_error(&bench, "{batch,[{delete_key,l,fwd,a}]}", "too_big");
    expect(&bench, "{clear_table,l}", "{ok,{200,[],[]}}");
    bench_close(&bench);
}

/* One element may be as large as a frame, and must be able to go. */
static void one_element_may_pass_the_limit_of_a_reply(void **state)
{
    char *large = test_format("<<\"%0500d\">>", 7);
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 400);
    expect(&bench, "{create_table,p,pom,#{}}", "{ok,created}");
    expect(&bench, test_format("{insert_row,p,%s}", large), "{ok,{1,[],[]}}");
    expect(&bench, test_format("{insert_row,p,%s}", large), "{ok,{2,[],[]}}");
    expect_error(&bench, "{batch,[{delete_key,p,fwd,1},{delete_key,p,fwd,2}]}",
                 "too_big");
    expect_error(&bench, "{batch,[{update_row,p,1,x},{delete_key,p,fwd,1}]}",
                 "too_big");
    expect(&bench, "{update_row,p,1,x}",
           test_format("{ok,{updated,[{1,%s}],[]}}", large));
    expect(&bench, "{batch,[{delete_key,p,fwd,2}]}",
           test_format("{ok,[{1,[{2,%s}],[]}]}", large));
    expect(&bench, "{count,p,fwd,none,none}", "{ok,1}");
    bench_close(&bench);
}

/* 60 MB of removals for a reply of at most 1 MiB are not even collected. */
static void a_reply_beyond_its_limit_is_foreseen(void **state)
{
    struct buffer key = BUFFER(test_mem());
    struct bench bench;
    char *request;
    size_t before;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    expect(&bench, "{create_table,l,to_many,#{}}", "{ok,created}");
    test_append_text(&key, "<<\"");
    for (unsigned i = 0; i < 30000; i++)
        test_append(&key, "k", 1);
    test_append(&key, "\">>", 4);
    for (unsigned i = 0; i < 2000; i++) {
        assert_true(asprintf(&request, "[{1,{insert,l,{fwd,%s},%u}}]",
                             (const char *)key.data, i) > 0);
        assert_int_equal(run(&bench, request), ST_OK);
        assert_string_equal(replies(&bench), "1:{ok,{inserted,[],[]}} ");
        free(request);
    }
    before = store_mem(bench.store)->used;
    assert_true(asprintf(&request, "[{1,{delete_key,l,fwd,%s}}]",
                         (const char *)key.data) > 0);
    assert_int_equal(run(&bench, request), ST_OK);
    free(request);
    assert_memory_equal(replies(&bench), "1:{error,{too_big,", 18);
    assert_true(store_mem(bench.store)->peak < before + (8 << 20));
    expect(&bench, "{count,l,fwd,none,none}", "{ok,2000}");
    buffer_free(&key);
    bench_close(&bench);
}

/* What counts is what is told: a float of 9 bytes is a key of 130. */
static void keys_that_shrink_count_as_what_they_become(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 20000);
    expect(&bench, "{create_table,l,to_many,#{}}", "{ok,created}");
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t large[] = {ETF_NEW_FLOAT, 0x7E, 0x37, 0xE4, 0x3C,
                           0x88,          0,    0,    0};

        large[7] = (uint8_t)(i >> 8);
        large[8] = (uint8_t)i;
        run_with(&bench, "[{1,{insert,l,{fwd,a},here}}]",
                 bytes_of(large, sizeof(large)));
        assert_string_equal(replies(&bench), "1:{ok,{inserted,[],[]}} ");
    }
    assert_memory_equal(call(&bench, "{delete_key,l,fwd,a}"), "{ok,{1000,", 10);
    bench_close(&bench);
}

/* The processor time that a cascade into so many tables takes. */
static clock_t cascade_time(unsigned tables)
{
    struct buffer wanted = BUFFER(test_mem());
    struct bench bench;
    clock_t time;

    bench_open(&bench, 0, 1 << 24);
    expect(&bench, "{create_table,s,set,#{}}", "{ok,created}");
    for (unsigned k = 0; k < 100; k++)
        expect(&bench, test_format("{insert,s,fwd,%u}", k),
               "{ok,{inserted,[],[]}}");
    for (unsigned t = 0; t < tables; t++) {
        expect(&bench,
               test_format("{create_table,%u,set,#{fwd=>{s,evict}}}", t),
               "{ok,created}");
        for (unsigned k = t == 0; k < 100; k++) /* 0 loses last */
            expect(&bench, test_format("{insert,%u,fwd,%u}", t, k),
                   "{ok,{inserted,[],[]}}");
    }

    time = clock();
    for (unsigned k = 2; k < 100; k++)
        test_append_text(&wanted, test_format("%c%u", k > 2 ? ',' : '[', k));
    test_append(&wanted, "]", 2);
    assert_int_equal(run(&bench, "[{1,{batch,[{delete,s,fwd,0},"
                                 "{delete,s,fwd,1}]}}]"),
                     ST_OK);
    /* Those that have 0 first, by name, and then table 0 in the second. */
    assert_memory_equal(replies(&bench), "1:{ok,[{deleted,[0],[{1,[0]},{2,[0]}",
                        36);
    assert_non_null(strstr(replies(&bench), "{deleted,[1],[{0,[1]},{1,[1]}"));
    assert_int_equal(run(&bench, test_format("[{1,{delete_all,s,fwd,%s}}]",
                                             (const char *)wanted.data)),
                     ST_OK);
    time = clock() - time;
    assert_memory_equal(replies(&bench), "1:{ok,{98,", 10);
    for (unsigned t = 0; t < tables; t++) {
        char *loss = test_format("{%u,%s}", t, (const char *)wanted.data);

        if (!strstr(replies(&bench), loss))
            fail_msg("table %u has lost something else", t);
    }
    buffer_free(&wanted);
    bench_close(&bench);
    return time;
}

/* Eight times the tables lose eight times the elements in about that time. */
static void a_cascade_takes_time_by_its_size(void **state)
{
    clock_t few = cascade_time(200);
    clock_t many = cascade_time(1600);

    (void)state;
    if (many > 20 * few)
        fail_msg("%ld us for 200 tables and %ld us for 1600", (long)few,
                 (long)many);
}

/* --- pages -------------------------------------------------------------- */

/* All items of a view, page by page; `text` is every item once. */
static void collect(struct bench *bench, struct buffer *text, const char *table,
                    const char *view, const char *what, const char *direction,
                    unsigned limit)
{
    char from[256] = "none";

    text->size = 0;
    for (unsigned pages = 0;; pages++) {
        const char *answer =
            call(bench, test_format("{scan,%s,%s,%s,%s,%s,none,%u}", table,
                                    view, what, direction, from, limit));
        const char *next = strstr(answer, "],{after");
        size_t size;

        assert_true(pages < 100);
        assert_memory_equal(answer, "{ok,[", 5);
        if (!next)
            next = strstr(answer, "],done}");
        assert_non_null(next);
        size = (size_t)(next - answer) - 5;
        if (text->size && size)
            test_append_text(text, ",");
        test_append(text, answer + 5, size);
        if (strncmp(next, "],done}", 7) == 0)
            break;
        /* {after,X} is printed without the quotes that text needs. */
        snprintf(from, sizeof(from), "%.*s", (int)strlen(next + 2) - 1,
                 next + 2);
    }
    test_append(text, "", 1);
}

static void pages_add_up_to_the_whole(void **state)
{
    static const char *const tables[] = {"p",  "s",  "o",  "l",
                                         "oo", "om", "mo", "mm"};
    static const char *const views[] = {"fwd", "bwd", "{fwd,1}", "{bwd,z}",
                                        "{fwd,nobody}"};
    static const char *const whats[] = {"elements", "keys", "values"};
    static const char *const directions[] = {"asc", "desc"};
    struct buffer whole = BUFFER(test_mem());
    struct buffer pages = BUFFER(test_mem());
    unsigned compared = 0;
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    for (size_t i = 0; i < COUNT(tables) * COUNT(views) * 3 * 2; i++) {
        const char *table = tables[i % 8], *view = views[i / 8 % 5];
        const char *what = whats[i / 40 % 3];
        const char *direction = directions[i / 120];
        const char *answer =
            call(&bench, test_format("{scan,%s,%s,%s,%s,none,none,99}", table,
                                     view, what, direction));

        if (strncmp(answer, "{error,", 7) == 0)
            continue;
        collect(&bench, &whole, table, view, what, direction, 99);
        for (unsigned limit = 1; limit < 7; limit++) {
            collect(&bench, &pages, table, view, what, direction, limit);
            assert_string_equal(whole.data, pages.data);
            compared++;
        }
    }
    assert_true(compared > 400);
    buffer_free(&whole);
    buffer_free(&pages);
    bench_close(&bench);
}

static void removing_what_was_returned_skips_nothing(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    expect(&bench, "{scan,mm,fwd,elements,asc,none,none,2}",
           "{ok,[{1,x},{1,y}],{after,{1,y}}}");
    call(&bench, "{delete_all,mm,fwd,[{1,x},{1,y}]}");
    expect(&bench, "{scan,mm,fwd,elements,asc,{'after',{1,y}},none,1}",
           "{ok,[{1,z}],{after,{1,z}}}");
    call(&bench, "{delete_key,mm,fwd,1}");
    expect(&bench, "{scan,mm,fwd,elements,asc,{'after',{1,z}},none,1}",
           "{ok,[{b,x}],{after,{b,x}}}");
    bench_close(&bench);
}

/* A page ends by its bytes too, behind the item that passes 1 MiB. */
static void a_page_is_about_a_mebibyte(void **state)
{
    const size_t size = 300 << 10;
    char *large = malloc(size + 1);
    struct bench bench;

    (void)state;
    memset(large, 'v', size);
    large[size] = '\0';
    bench_open(&bench, 0, 1 << 20);
    expect(&bench, "{create_table,p,pom,#{}}", "{ok,created}");
    for (int i = 0; i < 10; i++)
        call(&bench, test_format("{insert_row,p,<<\"%s\">>}", large));
    assert_int_equal(run(&bench, "[{1,{scan,p,fwd,values,asc,none,none,99}}]"),
                     ST_OK);
    assert_true(writer_size(&bench.writer) > 4 * size &&
                writer_size(&bench.writer) < 4 * size + 200);
    free(large);
    bench_close(&bench);
}

/* --- requests and payloads ---------------------------------------------- */

static void requests_take_several_forms(void **state)
{
    static const char *const script[][2] = {
        {"{7,{ping}}", "7:{ok,pong} "},
        {"[{7,{ping}},{8,{ping}}]", "7:{ok,pong} 8:{ok,pong} "},
        {"[]", ""},
        {"[{9223372036854775807,{ping}},{-9223372036854775808,{ping}}]",
         "9223372036854775807:{ok,pong} -9223372036854775808:{ok,pong} "},
    };
    static const char *const bad_requests[] = {
        "{5}",        "{5,not_a_tuple}",      "{5,a,b}", "{5,{}}", "{5,{1}}",
        "{5,[ping]}", "[{5,{<<\"ping\">>}}]",
    };
    static const char *const endings[] = {
        "foo",
        "{}",
        "{a,{ping}}",
        "{9223372036854775808,{ping}}",
        "[foo]",
        "\"abc\"",
        "#{}",
        "[{1,{ping}}|x]",
        "[[{1,{ping}}]]",
    };
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    for (size_t i = 0; i < COUNT(script); i++) {
        assert_int_equal(run(&bench, script[i][0]), ST_OK);
        assert_string_equal(replies(&bench), script[i][1]);
    }
    for (size_t i = 0; i < COUNT(bad_requests); i++) {
        assert_int_equal(run(&bench, bad_requests[i]), ST_OK);
        assert_memory_equal(replies(&bench), "5:{error,{bad_request,", 22);
    }
    for (size_t i = 0; i < COUNT(endings); i++)
        assert_int_equal(run(&bench, endings[i]), ST_BAD_REQUEST);
    assert_int_equal(run(&bench, "[{1,{ping}},foo,{2,{ping}}]"),
                     ST_BAD_REQUEST);
    assert_string_equal(replies(&bench), "1:{ok,pong} ");
    bench_close(&bench);
}

static void garbage_is_no_payload(void **state)
{
    static const struct bytes garbage[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\203", 1},
        {(const uint8_t *)"\202\152", 2},
        {(const uint8_t *)"\203\120\0\0\0\1x", 7},
        {(const uint8_t *)"\203\152\152", 3},
        {(const uint8_t *)"\203\150\377", 3},
        {(const uint8_t *)"\203\154\177\377\377\377\310\152", 8},
        {(const uint8_t *)"\203\155\377\377\377\377", 6},
        {(const uint8_t *)"\203\310", 2},
        {(const uint8_t *)"\203\106\177\360\0\0\0\0\0\0", 10},
        {(const uint8_t *)"hello, world", 12},
    };
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    for (size_t i = 0; i < COUNT(garbage); i++) {
        assert_int_equal(run_payload(&bench, garbage[i]), ST_BAD_TERM);
        assert_false(commands_busy(bench.commands));
        assert_string_equal(replies(&bench), "");
    }
    expect(&bench, "{ping}", "{ok,pong}");
    bench_close(&bench);
}

/* A broken end undoes what stands before it in the frame: nothing runs. */
static void a_broken_frame_runs_nothing(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    run(&bench, "[{1,{create_table,t,set,#{}}}]");
    for (size_t size = bench.payload.size - 1; size > 0; size--) {
        struct bench other;

        bench_open(&other, 0, 1 << 20);
        assert_int_equal(
            run_payload(&other, bytes_of(bench.payload.data, size)),
            ST_BAD_TERM);
        assert_int_equal(store_table_count(other.store), 0);
        bench_close(&other);
    }
    bench_close(&bench);
}

/* The request of a random command with a random argument or two replaced. */
static void random_request(struct bench *bench, struct random *random)
{
    size_t which = random_below(random, COUNT(valid));
    struct buffer text = BUFFER(test_mem());
    uint8_t version = ETF_VERSION;

    test_append_text(&text, "[{1,{");
    for (size_t i = 0; i < 8 && valid[which][i]; i++) {
        bool odd = i > 0 && random_below(random, 4) == 0;

        test_append_text(&text, i ? "," : "");
        test_append_text(&text,
                         odd ? odd_terms[random_below(random, COUNT(odd_terms))]
                             : valid[which][i]);
    }
    test_append(&text, "}}]", 4);
    bench->payload.size = 0;
    test_append(&bench->payload, &version, 1);
    term_parse(&bench->payload, (const char *)text.data);
    buffer_free(&text);
}

/* Bytes of good requests are changed, and whatever comes out is sent: with a
 * payload in a block of its own size, so that a sanitizer sees its end. */
static void damaged_requests_break_nothing(void **state)
{
    struct random random;
    struct bench bench;
    char why[256] = "";
    size_t tables;

    (void)state;
    random_init(&random, random_seed());
    bench_open(&bench, 0, 1 << 20);
    bench_populate(&bench);
    tables = store_table_count(bench.store);
    for (unsigned round = 0; round < 30000; round++) {
        unsigned changes = (unsigned)random_below(&random, 4);
        struct buffer *payload = &bench.payload;
        uint8_t *exact;
        size_t size;

        random_request(&bench, &random);
        for (unsigned i = 0; i < changes; i++)
            payload->data[1 + random_below(&random, payload->size - 1)] =
                (uint8_t)random_below(&random, 256);
        size = payload->size - (random_below(&random, 20) == 0);
        exact = malloc(size);
        memcpy(exact, payload->data, size);
        writer_clear(&bench.writer);
        if (commands_open(bench.commands, bytes_of(exact, size)) == ST_OK)
            while (commands_busy(bench.commands) &&
                   commands_step(bench.commands) == ST_OK)
                ;
        free(exact);
        if (round % 1000 == 0 && !store_check(bench.store, why, sizeof(why)))
            fail_msg("the store is broken: %s", why);
        if (store_table_count(bench.store) < tables) {
            bench_close(&bench); /* a table was dropped */
            bench_open(&bench, 0, 1 << 20);
            bench_populate(&bench);
        }
    }
    bench_close(&bench);
}

/* A value of `depth` tuples in one another. */
static char *nested(unsigned depth)
{
    char *text = malloc(2 * depth + 2);

    memset(text, '{', depth);
    text[depth] = '1';
    memset(text + depth + 1, '}', depth);
    text[2 * depth + 1] = '\0';
    return text;
}

static void a_deep_term_is_its_own_requests_error(void **state)
{
    static const struct {
        unsigned depth;
        bool fits;
    } cases[] = {{64, true}, {998, true}, {999, false}, {10000, false}};
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 24);
    expect(&bench, "{create_table,p,pom,#{}}", "{ok,created}");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *value = nested(cases[i].depth);
        char *request;

        assert_true(asprintf(&request,
                             "[{1,{ping}},{2,{insert_row,p,%s}},{3,{ping}}]",
                             value) > 0);
        assert_int_equal(run(&bench, request), ST_OK);
        assert_memory_equal(replies(&bench), "1:{ok,pong} ", 12);
        assert_non_null(strstr(replies(&bench), "3:{ok,pong} "));
        assert_non_null(strstr(replies(&bench), cases[i].fits
                                                    ? "2:{ok,{"
                                                    : "2:{error,{too_deep,"));
        free(request);
        free(value);
    }
    /* The same, with a broken term behind the deep one. */
    bench.payload.size -= 2;
    assert_int_equal(run_payload(&bench, buffer_bytes(&bench.payload)),
                     ST_BAD_TERM);
    expect(&bench, "{count,p,fwd,none,none}", "{ok,2}");
    bench_close(&bench);
}

/* A fun with `depth` lists in one another as its only free variable. */
static void deep_fun(struct buffer *out, unsigned depth)
{
    uint8_t head[30] = {ETF_NEW_FUN, [29] = 1};
    struct bytes level = BYTES("l\0\0\0\1");

    out->size = 0;
    test_append(out, head, sizeof(head));
    test_append(out,
                "w\1m"
                "a\1"
                "a\2"
                "Xw\1n\0\0\0\1\0\0\0\2\0\0\0\3",
                23);
    for (unsigned i = 0; i < depth; i++)
        test_append(out, level.data, level.size);
    test_append(out, "j", 1);
    for (unsigned i = 0; i < depth; i++)
        test_append(out, "j", 1);
    store_be32(out->data + 1, (uint32_t)out->size - 1);
}

static void a_deep_fun_is_its_own_requests_error(void **state)
{
    static const char request[] =
        "[{1,{ping}},{2,{insert_row,p,{x,here}}},{3,{ping}}]";
    struct buffer fun = BUFFER(test_mem());
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 24);
    expect(&bench, "{create_table,p,pom,#{}}", "{ok,created}");
    for (unsigned depth = 994; depth < 1004; depth++) {
        deep_fun(&fun, depth);
        assert_int_equal(run_with(&bench, request, buffer_bytes(&fun)), ST_OK);
        assert_memory_equal(replies(&bench), "1:{ok,pong} ", 12);
        assert_non_null(strstr(replies(&bench), "3:{ok,pong} "));
        assert_non_null(strstr(replies(&bench), depth + 4 <= ETF_DEPTH_MAX
                                                    ? "2:{ok,{"
                                                    : "2:{error,{too_deep,"));
    }
    /* One that states more bytes than there are. */
    store_be32(fun.data + 1, (uint32_t)fun.size + 100);
    assert_int_equal(run_with(&bench, request, buffer_bytes(&fun)),
                     ST_BAD_TERM);
    buffer_free(&fun);
    bench_close(&bench);
}

/* The BEAM could not decode a reply that repeats it. */
static void a_name_that_is_no_term_is_not_repeated(void **state)
{
    static const char *const ops[] = {
        "{create_table,#{a=>1,a=>2},set,#{}}",
        "{drop_table,#{a=>1,a=>2}}",
        "{count,{#{a=>1,a=>2}},fwd,none,none}",
        "{batch,[{insert,#{a=>1,a=>2},fwd,x}]}",
        "{create_table,t,set,#{fwd=>{#{a=>1,a=>2},evict}}}",
    };
    struct bench bench;

    (void)state;
    bench_open(&bench, 0, 1 << 20);
    for (size_t i = 0; i < COUNT(ops); i++) {
        expect_error(&bench, ops[i], "bad_argument");
        assert_null(strstr(replies(&bench), "a=>1"));
    }
    bench_close(&bench);
}

static void the_same_commands_give_the_same_replies(void **state)
{
    struct bench first, second;
    char *one, *two;

    (void)state;
    bench_open(&first, 0, 1 << 20);
    bench_open(&second, 0, 1 << 20);
    bench_populate(&first);
    bench_populate(&second);
    one = dump(&first);
    two = dump(&second);
    assert_string_equal(one, two);
    free(one);
    free(two);
    bench_close(&first);
    bench_close(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_found_and_nothing_else),
        cmocka_unit_test(protocol_md_has_every_command_and_every_code),
        cmocka_unit_test(protocol_md_has_every_algorithm),
        cmocka_unit_test(each_command_answers_as_documented),
        cmocka_unit_test(each_error_has_its_code),
        cmocka_unit_test(error_details_say_where),
        cmocka_unit_test(error_replies_are_small),
        cmocka_unit_test(every_command_has_a_valid_call),
        cmocka_unit_test(every_command_survives_any_argument),
        cmocka_unit_test(every_command_counts_its_arguments),
        cmocka_unit_test(a_command_without_memory_changes_nothing),
        cmocka_unit_test(the_memory_limit_leaves_reads_and_deletes),
        cmocka_unit_test(a_reply_beyond_its_limit_is_undone),
        cmocka_unit_test(one_element_may_pass_the_limit_of_a_reply),
        cmocka_unit_test(a_reply_beyond_its_limit_is_foreseen),
        cmocka_unit_test(keys_that_shrink_count_as_what_they_become),
        cmocka_unit_test(a_cascade_takes_time_by_its_size),
        cmocka_unit_test(pages_add_up_to_the_whole),
        cmocka_unit_test(removing_what_was_returned_skips_nothing),
        cmocka_unit_test(a_page_is_about_a_mebibyte),
        cmocka_unit_test(requests_take_several_forms),
        cmocka_unit_test(garbage_is_no_payload),
        cmocka_unit_test(a_broken_frame_runs_nothing),
        cmocka_unit_test(damaged_requests_break_nothing),
        cmocka_unit_test(a_deep_term_is_its_own_requests_error),
        cmocka_unit_test(a_deep_fun_is_its_own_requests_error),
        cmocka_unit_test(a_name_that_is_no_term_is_not_repeated),
        cmocka_unit_test(the_same_commands_give_the_same_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
