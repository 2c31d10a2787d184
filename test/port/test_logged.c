/*
 * test_logged.c -- commands of a store with a log, without a process around
 * them: what is held, what is remembered, what a replay comes to.
 *
 * The directory is simulated, so that it can be full, fail, or be opened again
 * as it is after a crash. Syncs and jobs run when a test says so.
 */
#include "port/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/etf.h"
#include "log/recover.h"
#include "port/call.h"
#include "port/hold.h"
#include "port/replay.h"
#include "support/random.h"
#include "support/sim_io.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define JOBS_MAX 4

/* A process that has the store open. */
struct kept {
    struct sim_io *sim;
    struct io *io;
    struct mem mem;
    struct store *store;
    struct recovery recovery;
    struct termlog *log;
    struct writer writer;
    struct commands *commands;
    struct sync_job *sync;
    struct job *jobs[JOBS_MAX]; /* started and not run */
    size_t job_count;
    struct buffer payload;
    struct buffer text;
};

static enum status start_job(void *context, struct job *job)
{
    struct kept *kept = context;

    assert_true(kept->job_count < JOBS_MAX);
    kept->jobs[kept->job_count++] = job;
    return ST_OK;
}

/* What recovery makes of the directory; the store is thrown away if it is
 * refused. */
static void kept_recover(struct kept *kept)
{
    struct recovery_options how = {.apply = replayer_apply,
                                   .until = UINT64_MAX};
    struct replayer *replayer;
    int error = 0;

    assert_int_equal(replayer_create(kept->store, &kept->mem, &replayer),
                     ST_OK);
    how.context = replayer;
    assert_int_equal(recover_directory(kept->io, kept->store, &how, &kept->mem,
                                       &kept->recovery, &error),
                     ST_OK);
    replayer_free(replayer);
}

static void kept_open(struct kept *kept, struct sim_io *sim,
                      enum sync_policy policy)
{
    struct commands_log log = {
        .policy = policy,
        .interval_ms = 1000,
        .directory = "dir",
        .checkpoints = {2, 4096},
        .host = {start_job, kept},
    };
    int64_t holder;
    int error;

    memset(kept, 0, sizeof(*kept));
    kept->sim = sim;
    kept->io = sim_io_open(sim);
    assert_int_equal(io_lock(kept->io, &holder), 0);
    mem_init(&kept->mem, 0);
    assert_int_equal(store_create(NULL, &kept->store), ST_OK);
    kept_recover(kept);
    assert_int_not_equal(kept->recovery.verdict, RECOVERY_REFUSED);
    assert_int_equal(recovery_mend(kept->io, &kept->recovery, &error), ST_OK);
    assert_int_equal(termlog_open(kept->io, &kept->mem,
                                  &kept->recovery.manifest, kept->recovery.seq,
                                  64 << 10, &kept->log, &error),
                     ST_OK);
    writer_init(&kept->writer, &kept->mem, 1 << 20);
    assert_int_equal(commands_create(kept->store, &kept->mem, &kept->writer,
                                     &kept->commands),
                     ST_OK);
    log.log = kept->log;
    assert_int_equal(commands_set_log(kept->commands, &log), ST_OK);
    kept->payload = BUFFER(test_mem());
    kept->text = BUFFER(test_mem());
}

/* The process is gone, without a word. */
static void kept_kill(struct kept *kept)
{
    char why[256] = "";

    if (!store_check(kept->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
    if (kept->sync) {
        termlog_sync_run(kept->sync);
        termlog_sync_end(kept->log, kept->sync);
    }
    for (size_t i = 0; i < kept->job_count; i++) {
        kept->jobs[i]->run(kept->jobs[i]);
        kept->jobs[i]->end(kept->jobs[i]);
    }
    commands_free(kept->commands);
    termlog_free(kept->log);
    recovery_free(&kept->recovery);
    writer_deinit(&kept->writer);
    store_free(kept->store);
    io_free(kept->io);
    buffer_free(&kept->payload);
    buffer_free(&kept->text);
    assert_int_equal(kept->mem.used, 0);
}

static void kept_close(struct kept *kept)
{
    assert_int_equal(termlog_close(kept->log, store_digest(kept->store)),
                     ST_OK);
    kept_kill(kept);
}

/* --- syncs and jobs ----------------------------------------------------- */

static void sync_begin(struct kept *kept)
{
    assert_null(kept->sync);
    assert_int_equal(termlog_sync_begin(kept->log, &kept->sync), ST_OK);
    assert_non_null(kept->sync);
    commands_sync_begun(kept->commands);
}

/* Ends it and moves what it has set free to the writer. */
static void sync_end(struct kept *kept)
{
    bool more;

    termlog_sync_run(kept->sync);
    assert_int_equal(termlog_sync_end(kept->log, kept->sync), ST_OK);
    kept->sync = NULL;
    commands_sync_ended(kept->commands);
    assert_int_equal(commands_release(kept->commands, SIZE_MAX, &more), ST_OK);
    assert_false(more);
}

static void sync_all(struct kept *kept)
{
    if (!termlog_sync_needed(kept->log))
        return;
    sync_begin(kept);
    sync_end(kept);
}

/* Runs the job that was started first. */
static void job_run(struct kept *kept)
{
    struct job *job = kept->jobs[0];

    assert_true(kept->job_count > 0);
    kept->job_count--;
    memmove(kept->jobs, kept->jobs + 1, kept->job_count * sizeof(job));
    job->run(job);
    job->end(job);
}

/* --- requests ----------------------------------------------------------- */

/* What is in the writer, as text, and then forgotten: "1:{ok,pong} seq:7 ". */
static const char *replies(struct kept *kept)
{
    struct bytes frame = writer_frame(&kept->writer);
    const uint8_t *at = frame.data + 10;

    kept->text.size = 0;
    for (uint32_t n = frame.size ? kept->writer.replies : 0; n > 0; n--) {
        const uint8_t *second = at + 2 + etf_size(at + 2);

        term_print(&kept->text, at + 2);
        test_append_text(&kept->text, ":");
        term_print(&kept->text, second[0] == ETF_BINARY ? second + 6 : second);
        test_append_text(&kept->text, " ");
        at += etf_size(at);
    }
    test_append(&kept->text, "", 1);
    writer_clear(&kept->writer);
    return (const char *)kept->text.data;
}

/* Carries out a list of requests; what is ready is left in the writer. */
static enum status run(struct kept *kept, const char *text)
{
    uint8_t version = ETF_VERSION;
    enum status st;

    kept->payload.size = 0;
    test_append(&kept->payload, &version, 1);
    term_parse(&kept->payload, text);
    st = commands_open(kept->commands, buffer_bytes(&kept->payload));
    while (st == ST_OK && commands_busy(kept->commands))
        st = commands_step(kept->commands);
    return st;
}

/* The same, and what is ready must be `wanted`. */
static void expect(struct kept *kept, const char *requests, const char *wanted)
{
    const char *text;

    assert_int_equal(run(kept, requests), ST_OK);
    text = replies(kept);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s\n  answers %s\n  and not %s", requests, text, wanted);
}

/* One Op, its reply whether or not it is held. */
static const char *call(struct kept *kept, const char *op)
{
    assert_int_equal(run(kept, test_format("[{1,%s}]", op)), ST_OK);
    if (commands_held_bytes(kept->commands))
        sync_all(kept);
    return replies(kept);
}

static void expect_call(struct kept *kept, const char *op, const char *wanted)
{
    const char *text = call(kept, op);
    size_t size = strlen(wanted);

    if (strncmp(text, "1:", 2) != 0 || strncmp(text + 2, wanted, size) != 0)
        fail_msg("%s\n  answers %s\n  and not %s", op, text, wanted);
}

/* --- the hold ----------------------------------------------------------- */

static void a_hold_has_two_queues(void **state)
{
    struct mem mem;
    struct hold hold;
    struct bytes reply;
    uint64_t wait;

    (void)state;
    mem_init(&mem, 0);
    hold_init(&hold, &mem);
    assert_int_equal(hold_put(&hold, 5, BYTES("five")), ST_OK);
    assert_true(hold_wants_sync(&hold));
    hold_sync_begun(&hold, 5);
    assert_false(hold_wants_sync(&hold));
    assert_int_equal(hold_put(&hold, 7, BYTES("seven")), ST_OK);
    assert_int_equal(hold_put(&hold, 4, BYTES("")), ST_OK);
    assert_int_equal(hold_put(&hold, 8, BYTES("eight")), ST_OK);
    assert_false(hold_take(&hold, 0, &wait, &reply));
    assert_true(hold_take(&hold, 5, &wait, &reply));
    assert_int_equal(wait, 5);
    assert_true(bytes_equal(reply, BYTES("five")));
    assert_true(hold_take(&hold, 5, &wait, &reply));
    assert_int_equal(wait, 4);
    assert_int_equal(reply.size, 0);
    assert_false(hold_take(&hold, 5, &wait, &reply));
    assert_true(hold_wants_sync(&hold));
    hold_sync_begun(&hold, 8);
    assert_true(hold_take(&hold, 8, &wait, &reply));
    assert_true(bytes_equal(reply, BYTES("seven")));
    assert_true(hold_take(&hold, 8, &wait, &reply));
    assert_true(bytes_equal(reply, BYTES("eight")));
    assert_false(hold_take(&hold, 8, &wait, &reply));
    assert_int_equal(hold_bytes(&hold), 0);
    hold_deinit(&hold);
    assert_int_equal(mem.used, 0);
}

static void always_holds_what_is_not_durable(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_ALWAYS);
    expect(&kept, "[{1,{create_table,t,set,#{}}},{2,{create_table,u,set,#{}}}]",
           "");
    assert_true(commands_want_sync(kept.commands));
    sync_begin(&kept);
    assert_false(commands_want_sync(kept.commands));
    sync_end(&kept);
    assert_string_equal(replies(&kept), "1:{ok,created} 2:{ok,created} ");
    assert_int_equal(commands_acknowledged(kept.commands), 2);

    /* A mutation, and what shows it. The rest does not wait for it. */
    expect(&kept,
           "[{1,{insert,t,fwd,1}},{2,{count,t,fwd,none,none}},"
           "{3,{member,u,fwd,1}},{4,{ping}},{5,{tables}},"
           "{6,{count,nope,fwd,none,none}},{8,{nope}},"
           "{9,{count,t,none,none,none}},{10,{insert,nope,fwd,1}}]",
           "3:{ok,false} 4:{ok,pong} 5:{ok,[{t,set},{u,set}]} "
           "6:{error,{no_table,<<\"no table has this name; create it "
           "first\">>,#{table=>nope}}} "
           "8:{error,{unknown_command,<<\"no command has this name\">>,"
           "#{command=>nope}}} ");
    assert_int_equal(commands_acknowledged(kept.commands), 2);

    /* What comes while a sync runs waits for the next, unless it shows only
     * what this one makes durable. */
    sync_begin(&kept);
    expect(&kept, "[{11,{insert,u,fwd,2}},{12,{member,t,fwd,1}}]", "");
    sync_end(&kept);
    assert_string_equal(
        replies(&kept),
        "1:{ok,{inserted,[],[]}} 2:{ok,1} "
        "9:{error,{bad_argument,<<\"argument 2 of count: must be fwd, bwd, "
        "{fwd, Key} or {bwd, Key}\">>,#{table=>t,argument=>2}}} "
        "10:{error,{no_table,<<\"no table has this name; create it "
        "first\">>,#{table=>nope}}} 12:{ok,true} ");
    assert_int_equal(commands_acknowledged(kept.commands), 3);
    assert_true(commands_want_sync(kept.commands));
    expect(&kept, "[{13,{insert,u,fwd,2}}]", ""); /* exists: shows u */
    sync_all(&kept);
    assert_string_equal(replies(&kept),
                        "11:{ok,{inserted,[],[]}} 13:{ok,{exists,[],[]}} ");
    assert_int_equal(commands_acknowledged(kept.commands), 4);
    expect(&kept, "[{14,{insert,u,fwd,2}}]", "14:{ok,{exists,[],[]}} ");
    kept_close(&kept);
    sim_io_free(sim);
}

static void other_policies_hold_a_sync_alone(void **state)
{
    static const enum sync_policy policies[] = {SYNC_INTERVAL, SYNC_NONE};

    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct sim_io *sim = sim_io_create();
        struct kept kept;

        kept_open(&kept, sim, policies[i]);
        expect(&kept, "[{1,{sync}}]", "1:{ok,0} ");
        expect(&kept,
               "[{1,{create_table,t,set,#{}}},{2,{insert,t,fwd,1}},{3,{sync}},"
               "{4,{insert,t,fwd,2}},{5,{count,t,fwd,none,none}}]",
               "1:{ok,created} 2:{ok,{inserted,[],[]}} "
               "4:{ok,{inserted,[],[]}} 5:{ok,2} ");
        assert_true(commands_want_sync(kept.commands));
        assert_int_equal(commands_acknowledged(kept.commands), 3);
        sync_all(&kept);
        assert_string_equal(replies(&kept), "3:{ok,2} ");
        expect(&kept, "[{6,{sync}}]", "6:{ok,3} ");
        kept_close(&kept);
        sim_io_free(sim);
    }
}

static void replies_are_released_in_portions(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;
    unsigned portions = 0;
    bool more = true;

    (void)state;
    kept_open(&kept, sim, SYNC_ALWAYS);
    run(&kept, "[{1,{create_table,t,set,#{}}}]");
    for (int i = 0; i < 1000; i++)
        run(&kept, test_format("[{%d,{insert,t,fwd,%d}}]", i, i));
    sync_begin(&kept);
    termlog_sync_run(kept.sync);
    assert_int_equal(termlog_sync_end(kept.log, kept.sync), ST_OK);
    kept.sync = NULL;
    commands_sync_ended(kept.commands);
    while (more) {
        uint64_t before = commands_acknowledged(kept.commands);

        assert_int_equal(commands_release(kept.commands, 4096, &more), ST_OK);
        assert_true(writer_size(&kept.writer) < 4096 + 100);
        assert_int_equal(commands_acknowledged(kept.commands) - before,
                         kept.writer.replies);
        writer_frame(&kept.writer);
        writer_clear(&kept.writer);
        portions++;
    }
    assert_true(portions > 5);
    assert_int_equal(commands_acknowledged(kept.commands), 1001);
    assert_int_equal(commands_held_bytes(kept.commands), 0);
    kept_close(&kept);
    sim_io_free(sim);
}

static void no_memory_to_hold_a_reply_ends_the_session(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_ALWAYS);
    expect_call(&kept, "{create_table,t,set,#{}}", "{ok,created}");
    for (unsigned nth = 1;; nth++) {
        enum status st;

        mem_fail_at(&kept.mem, nth, false);
        st = run(&kept, test_format("[{1,{insert,t,fwd,%u}}]", nth));
        mem_fail_at(&kept.mem, 0, false);
        if (st == ST_OK && kept.writer.replies == 0)
            break; /* held */
        if (st < 0)
            assert_int_equal(st, ST_NO_MEMORY);
        else
            assert_memory_equal(replies(&kept), "1:{error,{no_memory,", 20);
        commands_free(kept.commands);
        kept.commands = NULL;
        kept_kill(&kept);
        kept_open(&kept, sim, SYNC_ALWAYS);
    }
    sync_all(&kept);
    kept_close(&kept);
    sim_io_free(sim);
}

/* --- the log ------------------------------------------------------------ */

/* The event that there is room comes when none was refused for a second. */
static void await_room(struct kept *kept)
{
    for (unsigned i = 0;; i++) {
        assert_true(i < 100);
        usleep(100000);
        run(kept, test_format("[{1,{create_table,{room,%u},set,#{}}},"
                              "{2,{drop_table,{room,%u}}}]",
                              i, i));
        if (strstr(replies(kept), "log:ok"))
            return;
    }
}

static void a_full_log_refuses_mutations_only(void **state)
{
    static const char inserts[] = "[{1,{insert,t,fwd,1}},{2,{insert,t,fwd,2}},"
                                  "{3,{count,t,fwd,none,none}}]";
    static const char full[] =
        "{error,{log_full,<<\"there is no room on the disk for the log; "
        "nothing was done\">>,#{table=>t}}} ";
    struct sim_io *sim = sim_io_create();
    struct kept kept;
    uint64_t seq;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    sim_io_set_capacity(sim, sim_io_used(sim));
    expect(&kept, "[{1,{create_table,t,set,#{}}}]",
           test_format("1:%slog:full ", full));
    assert_int_equal(store_seq(kept.store), 0);
    sim_io_set_capacity(sim, UINT64_MAX);
    expect(&kept, "[{1,{create_table,t,set,#{}}}]", "1:{ok,created} ");
    await_room(&kept);
    sim_io_set_capacity(sim, sim_io_used(sim));
    seq = store_seq(kept.store);
    for (int i = 0; store_seq(kept.store) == seq + (uint64_t)i; i++) {
        assert_true(i < 10000);
        run(&kept,
            test_format("[{1,{insert,t,fwd,{<<\"some bytes\">>,%d}}}]", i));
    }
    assert_non_null(strstr(replies(&kept), "log:full"));
    expect(&kept, "[{1,{insert,t,fwd,<<\"more bytes than there were\">>}}]",
           test_format("1:%s", full));
    assert_non_null(strstr(call(&kept, "{info}"), "full=>true"));
    sim_io_set_capacity(sim, UINT64_MAX);
    assert_int_equal(run(&kept, inserts), ST_OK);
    assert_null(strstr(replies(&kept), "log:ok"));
    await_room(&kept);
    kept_close(&kept);
    sim_io_free(sim);
}

static void a_log_that_fails_ends_the_session(void **state)
{
    struct sim_io *sim = sim_io_create();
    const char *what, *file;
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,t,set,#{}}", "{ok,created}");
    assert_int_equal(termlog_write(kept.log), ST_OK);
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_PWRITE) |
                                                 SIM_KIND(SIM_ALLOCATE),
                                        .at = 1,
                                        .on = true,
                                        .error = EIO});
    run(&kept, "[{1,{insert,t,fwd,1}}]");
    assert_int_equal(termlog_write(kept.log), ST_IO);
    writer_clear(&kept.writer);
    assert_int_equal(run(&kept, "[{1,{insert,t,fwd,2}}]"), ST_IO);
    assert_int_equal(kept.writer.replies, 0);
    assert_int_equal(writer_size(&kept.writer), 0);
    assert_int_equal(termlog_error(kept.log, &what, &file), EIO);
    kept_kill(&kept);
    sim_io_free(sim);
}

/* --- with --------------------------------------------------------------- */

#define WITH(key, op) "{with,#{idempotency_key=>" key "}," op "}"

static void a_key_does_a_mutation_once(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;
    struct digest digest;
    uint64_t seq;

    (void)state;
    kept_open(&kept, sim, SYNC_ALWAYS);
    expect_call(&kept, WITH("a", "{create_table,t,to_one,#{}}"),
                "{ok,created}");
    expect_call(&kept, WITH("a", "{create_table,t,to_one,#{}}"),
                "{ok,created}");
    expect_call(&kept, "{create_table,p,pom,#{}}", "{ok,created}");
    expect_call(&kept, WITH("{1,k}", "{insert,t,fwd,{1,x}}"),
                "{ok,{inserted,[],[]}}");
    expect_call(&kept, WITH("{1,k2}", "{insert,t,fwd,{1,y}}"),
                "{ok,{inserted,[{1,x}],[]}}");
    expect_call(&kept, WITH("3", "{insert_row,p,v}"), "{ok,{1,[],[]}}");
    expect_call(&kept,
                WITH("4", "{batch,[{insert_row,p,v},{insert,t,fwd,{2,"
                          "b}}]}"),
                "{ok,[{2,[],[]},{inserted,[],[]}]}");
    seq = store_seq(kept.store);
    digest = store_digest(kept.store);

    /* Again, if it is the same command; after a crash; a checkpoint. */
    for (int round = 0; round < 3; round++) {
        expect_call(&kept, WITH("{1,k}", "{insert,t,fwd,{1,x}}"),
                    "{ok,{inserted,[],[]}}");
        expect_call(&kept, WITH("{1,k2}", "{drop_table,t}"),
                    "{error,{bad_argument,<<\"this idempotency key was used");
        expect_call(&kept, WITH("3", "{insert_row,p,v}"), "{ok,{1,[],[]}}");
        expect_call(&kept, WITH("4", "{batch,[]}"),
                    "{ok,[{2,[],[]},{inserted,[],[]}]}");
        assert_int_equal(store_seq(kept.store), seq);
        assert_true(digest_equal(store_digest(kept.store), digest));
        if (round == 1) {
            run(&kept, "[{1,{checkpoint}}]");
            job_run(&kept);
            sync_all(&kept);
            assert_non_null(strstr(replies(&kept), "1:{ok,#{seq=>"));
        }
        kept_kill(&kept);
        kept_open(&kept, sim, SYNC_ALWAYS);
        assert_int_equal(kept.recovery.checkpoint, round ? seq : 0);
    }
    kept_close(&kept);
    sim_io_free(sim);
}

static void only_what_changed_something_is_remembered(void **state)
{
    static const char *const refused[] = {
        "{with,#{idempotency_key=>n},{ping}}",
        "{with,#{idempotency_key=>n},{count,t,fwd,none,none}}",
        "{with,#{idempotency_key=>n},{sync}}",
        "{with,#{idempotency_key=>n},{with,#{},{insert,t,fwd,n}}}",
        "{with,#{idempotency_key=>n},{batch,[{with,#{},{insert,t,fwd,n}}]}}",
        "{with,#{other=>n},{insert,t,fwd,n}}",
        "{with,#{1=>n},{insert,t,fwd,n}}",
        "{with,[],{insert,t,fwd,n}}",
        "{with,#{idempotency_key=>n},{create_table,'$mine',set,#{}}}",
    };
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,t,set,#{}}", "{ok,created}");
    expect_call(&kept, WITH("f", "{insert,nope,fwd,1}"), "{error,{no_table,");
    expect_call(&kept, WITH("e", "{delete,t,fwd,1}"), "{ok,{absent,[],[]}}");
    for (size_t i = 0; i < COUNT(refused); i++)
        expect_call(&kept, refused[i], "{error,{bad_argument,");
    expect_call(&kept, WITH("n", "{nope}"), "{error,{unknown_command,");
    expect_call(&kept, WITH("n", "nope"), "{error,{bad_request,");
    assert_int_equal(store_seq(kept.store), 1);
    assert_int_equal(store_table_count(kept.store), 1);

    expect_call(&kept, "{with,#{},{insert,t,fwd,1}}", "{ok,{inserted,[],[]}}");
    assert_int_equal(store_table_count(kept.store), 1);
    expect_call(&kept, WITH("e", "{delete,t,fwd,1}"), "{ok,{deleted,[1],[]}}");
    expect_call(&kept, WITH("f", "{insert,t,fwd,1}"), "{ok,{inserted,[],[]}}");
    expect_call(&kept, "{scan,'$keys',fwd,elements,asc,none,none,9}",
                "{ok,[{e,1},{f,2}],done}");
    expect_call(&kept, "{get,'$answers',fwd,1}", "{ok,{value,{e,delete,<<\"");
    expect_call(&kept, "{tables}", "{ok,[{t,set}]}");
    assert_non_null(strstr(call(&kept, "{info}"), "tables=>1,"));
    kept_close(&kept);
    sim_io_free(sim);
}

static void a_large_answer_is_not_remembered(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,t,to_many,#{}}", "{ok,created}");
    for (int i = 0; i < 10000; i++)
        run(&kept, test_format("[{1,{insert,t,fwd,{a,%d}}}]", i));
    writer_clear(&kept.writer);
    expect_call(&kept, WITH("k", "{delete_key,t,fwd,a}"), "{error,{too_big,");
    expect_call(&kept, "{count,t,fwd,none,none}", "{ok,10000}");
    expect_call(&kept, WITH("k", "{clear_table,t}"), "{ok,{10000,[],[]}}");
    expect_call(&kept, WITH("k", "{clear_table,t}"), "{ok,{10000,[],[]}}");
    kept_close(&kept);
    sim_io_free(sim);
}

static void the_oldest_answer_goes(void **state)
{
    const int count = 65536;
    struct sim_io *sim = sim_io_create();
    struct digest digest;
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,p,pom,#{}}", "{ok,created}");
    for (int i = 1; i <= count + 10; i++) {
        run(&kept,
            test_format("[{1,{with,#{idempotency_key=>%d},{insert_row,p,v}}}]",
                        i));
        writer_clear(&kept.writer);
        if (i % 1000 == 0)
            assert_int_equal(termlog_write(kept.log), ST_OK);
    }
    expect_call(&kept, "{count,'$keys',fwd,none,none}", "{ok,65536}");
    expect_call(&kept, "{count,'$answers',fwd,none,none}", "{ok,65536}");
    expect_call(&kept, "{has_key,'$keys',fwd,10}", "{ok,false}");
    expect_call(&kept, WITH("11", "{insert_row,p,v}"), "{ok,{11,[],[]}}");
    expect_call(&kept, WITH("10", "{insert_row,p,v}"), "{ok,{65547,[],[]}}");
    digest = store_digest(kept.store);
    assert_int_equal(termlog_write(kept.log), ST_OK);
    kept_kill(&kept);
    kept_open(&kept, sim, SYNC_INTERVAL);
    assert_true(digest_equal(store_digest(kept.store), digest));
    assert_true(kept.recovery.digests > 0);
    kept_close(&kept);
    sim_io_free(sim);
}

static void reserved_names_are_for_reading(void **state)
{
    static const char *const refused[] = {
        "{create_table,'$x',set,#{}}",
        "{create_table,x,to_many,#{fwd=>{'$keys',evict}}}",
        "{drop_table,'$keys'}",
        "{clear_table,'$answers'}",
        "{insert,'$keys',fwd,{1,1}}",
        "{delete_key,'$keys',fwd,k}",
        "{insert_row,'$answers',v}",
        "{update_row,'$answers',1,v}",
        "{batch,[{delete_key,'$keys',fwd,k}]}",
    };
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, WITH("k", "{create_table,t,set,#{}}"), "{ok,created}");
    expect_call(&kept, "{table_info,'$keys'}", "{ok,#{name=>$keys,");
    for (size_t i = 0; i < COUNT(refused); i++) {
        expect_call(&kept, refused[i], "{error,{bad_argument,");
        expect_call(&kept, "{has_key,'$keys',fwd,k}", "{ok,true}");
    }
    expect_call(&kept, "{create_table,<<\"$x\">>,set,#{}}", "{ok,created}");
    assert_int_equal(store_seq(kept.store), 2);
    kept_close(&kept);
    sim_io_free(sim);
}

/* --- replay ------------------------------------------------------------- */

/* A random mutation on a few tables. */
static char *random_op(struct random *random)
{
    unsigned a = (unsigned)random_below(random, 30);
    unsigned b = (unsigned)random_below(random, 30);

    switch (random_below(random, 12)) {
    case 0:
        return test_format("{insert_row,p,{v,%u}}", a);
    case 1:
        return test_format("{update_row,p,%u,w%u}", a, b);
    case 2:
        return test_format("{delete_key,s,fwd,%u}", a);
    case 3:
        return test_format("{insert,s,fwd,%u}", a);
    case 4:
        return test_format("{insert_all,j,bwd,[{%u,%u},{%u,%u}]}", a, b, b, a);
    case 5:
        return test_format("{delete,j,fwd,{%u,%u}}", a, b);
    case 6:
        return test_format("{batch,[{insert,s,fwd,%u},{insert,r,fwd,{%u,%u}},"
                           "{insert_rows,p,[1,2]}]}",
                           a, a, b);
    case 7:
        return test_format("{insert,o,fwd,{%u,%u}}", a, b);
    case 8:
        return a == 0 ? test_format("{clear_table,s}")
                      : test_format("{insert_new,o,bwd,{%u,%u}}", a, b);
    default:
        return test_format("{insert,r,fwd,{%u,<<\"%u\">>}}", a, b);
    }
}

static void a_replay_comes_to_the_same_store(void **state)
{
    static const char tables[] =
        "[{1,{create_table,p,pom,#{}}},{1,{create_table,s,set,#{}}},"
        "{1,{create_table,r,to_many,#{fwd=>{s,evict}}}},"
        "{1,{create_table,o,one_to_one,#{}}},"
        "{1,{create_table,j,many_to_one,#{}}}]";
    struct sim_io *sim = sim_io_create();
    struct random random;
    struct digest digest;
    struct kept kept;
    uint64_t seq;

    (void)state;
    random_init(&random, random_seed());
    kept_open(&kept, sim, SYNC_INTERVAL);
    run(&kept, tables);
    for (int life = 0; life < 8; life++) {
        for (int i = 0; i < 2000; i++) {
            char *op = random_op(&random);

            if (random_below(&random, 3) == 0)
                op = test_format("{with,#{idempotency_key=>%u},%s}",
                                 (unsigned)random_below(&random, 3000), op);
            run(&kept, test_format("[{1,%s}]", op));
            writer_clear(&kept.writer);
            if (random_below(&random, 400) == 0)
                run(&kept, "[{1,{digest}}]");
            if (random_below(&random, 1500) == 0 && !kept.job_count)
                run(&kept, "[{1,{checkpoint}}]");
            if (kept.job_count && random_below(&random, 50) == 0)
                job_run(&kept);
            if (random_below(&random, 100) == 0)
                sync_all(&kept);
        }
        assert_int_equal(termlog_write(kept.log), ST_OK);
        digest = store_digest(kept.store);
        seq = store_seq(kept.store);
        if (random_below(&random, 3) == 0)
            kept_close(&kept);
        else
            kept_kill(&kept);
        kept_open(&kept, sim, SYNC_INTERVAL);
        assert_int_equal(store_seq(kept.store), seq);
        assert_true(digest_equal(store_digest(kept.store), digest));
    }
    kept_close(&kept);
    sim_io_free(sim);
}

static void apply(struct replayer *replayer, uint64_t seq, const char *op,
                  enum status wanted)
{
    struct buffer term = BUFFER(test_mem());
    const char *why = NULL;

    term_parse(&term, op);
    assert_int_equal(replayer_apply(replayer, seq, buffer_bytes(&term), &why),
                     wanted);
    if (wanted < 0)
        assert_true(why && strlen(why) > 5);
    buffer_free(&term);
}

static void a_replay_takes_mutations_only(void **state)
{
    struct replayer *replayer;
    struct store *store;
    struct mem mem;
    const char *why;
    char reason[256];

    (void)state;
    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    assert_int_equal(replayer_create(store, &mem, &replayer), ST_OK);
    apply(replayer, 1, "{create_table,t,set,#{}}", ST_OK);
    apply(replayer, 2, "{insert,t,fwd,1}", ST_OK);
    apply(replayer, 4, "{insert,t,fwd,2}", ST_BAD_ARGUMENT);
    apply(replayer, 2, "{insert,t,fwd,2}", ST_BAD_ARGUMENT);
    apply(replayer, 3, "{insert,t,fwd,1}", ST_BAD_ARGUMENT);
    apply(replayer, 3, "{insert,u,fwd,1}", ST_NO_TABLE);
    apply(replayer, 3, "{insert,t,fwd}", ST_WRONG_ARITY);
    apply(replayer, 3, "{ping}", ST_BAD_ARGUMENT);
    apply(replayer, 3, "{checkpoint}", ST_BAD_ARGUMENT);
    apply(replayer, 3, "{nope}", ST_UNKNOWN_COMMAND);
    apply(replayer, 3, "nope", ST_BAD_REQUEST);
    apply(replayer, 3, "{insert,'$keys',fwd,1}", ST_BAD_ARGUMENT);
    assert_int_equal(replayer_apply(replayer, 3, BYTES("\150\4w"), &why),
                     ST_BAD_TERM);
    assert_int_equal(replayer_apply(replayer, 3, BYTES("jj"), &why),
                     ST_BAD_TERM);
    assert_int_equal(replayer_apply(replayer, 3, BYTES(""), &why), ST_BAD_TERM);
    apply(replayer, 3, "{with,#{idempotency_key=>k},{insert,t,fwd,2}}", ST_OK);
    apply(replayer, 4, "{with,#{idempotency_key=>k},{insert,t,fwd,3}}",
          ST_BAD_ARGUMENT);
    apply(replayer, 4, "{insert,t,fwd,3}", ST_OK);
    assert_int_equal(store_seq(store), 4);
    assert_true(store_check(store, reason, sizeof(reason)));
    replayer_free(replayer);
    store_free(store);
    assert_int_equal(mem.used, 0);
}

struct witness {
    struct store *store;
    uint64_t seq;
    unsigned changes;
    enum status answer;
};

static enum status on_applied(void *context, uint64_t seq)
{
    struct witness *witness = context;
    struct change change;
    size_t position = 0;

    witness->seq = seq;
    witness->changes = 0;
    while (store_change_next(witness->store, &position, &change))
        witness->changes++;
    return witness->answer;
}

static void a_replay_asks_before_it_commits(void **state)
{
    struct witness witness = {.answer = ST_OK};
    struct replayer *replayer;
    struct digest digest;
    struct store *store;
    struct mem mem;
    char reason[256];

    (void)state;
    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    assert_int_equal(replayer_create(store, &mem, &replayer), ST_OK);
    apply(replayer, 1, "{create_table,t,set,#{}}", ST_OK);
    witness.store = store;
    replayer_set_applied(replayer, on_applied, &witness);
    apply(replayer, 2, "{batch,[{insert,t,fwd,1},{insert,t,fwd,2}]}", ST_OK);
    assert_int_equal(witness.seq, 2);
    assert_int_equal(witness.changes, 2);
    assert_int_equal(store_seq(store), 2);
    /* Whatever fails before is not asked about. */
    apply(replayer, 3, "{insert,u,fwd,1}", ST_NO_TABLE);
    assert_int_equal(witness.seq, 2);
    digest = store_digest(store);
    witness.answer = ST_MEMORY_LIMIT;
    apply(replayer, 3, "{drop_table,t}", ST_MEMORY_LIMIT);
    assert_int_equal(witness.seq, 3);
    assert_int_equal(store_seq(store), 2);
    assert_true(digest_equal(store_digest(store), digest));
    witness.answer = ST_OK;
    apply(replayer, 3, "{delete,t,fwd,1}", ST_OK);
    assert_int_equal(store_seq(store), 3);
    assert_true(store_check(store, reason, sizeof(reason)));
    replayer_free(replayer);
    store_free(store);
    assert_int_equal(mem.used, 0);
}

/* --- checkpoints -------------------------------------------------------- */

static void requests_share_a_checkpoint(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct kept kept;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,t,set,#{}}", "{ok,created}");
    expect(&kept, "[{1,{checkpoint}},{2,{checkpoint}}]", "");
    assert_int_equal(kept.job_count, 1);
    assert_int_equal(commands_later_count(kept.commands), 2);
    assert_non_null(strstr(call(&kept, "{info}"), "checkpointing=>true"));
    /* Too late for this one. */
    expect(&kept, "[{3,{insert,t,fwd,1}},{4,{checkpoint}},{5,{checkpoint}}]",
           "3:{ok,{inserted,[],[]}} ");
    job_run(&kept);
    assert_string_equal(replies(&kept), ""); /* not in the manifest yet */
    assert_true(termlog_sync_due(kept.log));
    sync_all(&kept);
    assert_int_equal(termlog_checkpoint_seq(kept.log), 1);
    {
        const char *text = replies(&kept);

        assert_memory_equal(text, "checkpointed:#{seq=>1,bytes=>", 28);
        assert_non_null(strstr(text, " 1:{ok,#{seq=>1,bytes=>"));
        assert_non_null(strstr(text, " 2:{ok,#{seq=>1,bytes=>"));
        assert_null(strstr(text, " 4:"));
    }
    assert_int_equal(kept.job_count, 1);
    job_run(&kept);
    sync_all(&kept);
    {
        const char *text = replies(&kept);

        assert_memory_equal(text, "checkpointed:#{seq=>2,bytes=>", 28);
        assert_non_null(strstr(text, " 4:{ok,#{seq=>2,bytes=>"));
        assert_non_null(strstr(text, " 5:{ok,#{seq=>2,bytes=>"));
        assert_non_null(strstr(text, "elements=>1,"));
    }
    assert_int_equal(commands_later_count(kept.commands), 0);
    /* The last one is of this very seq. */
    expect_call(&kept, "{checkpoint}", "{ok,#{seq=>2,bytes=>");
    assert_int_equal(kept.job_count, 0);
    kept_close(&kept);
    sim_io_free(sim);
}

static void a_checkpoint_that_fails_is_told(void **state)
{
    static const struct sim_fault full = {
        .kinds = SIM_KIND(SIM_PWRITE), .at = 1, .on = true, .error = ENOSPC};
    struct sim_io *sim = sim_io_create();
    struct kept kept;
    const char *text;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    expect_call(&kept, "{create_table,t,set,#{}}", "{ok,created}");
    sync_all(&kept);

    /* Asked for: the error is the answer. */
    expect(&kept, "[{1,{checkpoint}}]", "");
    sim_io_fail(sim, full);
    job_run(&kept);
    sim_io_heal(sim);
    text = replies(&kept);
    assert_memory_equal(text, "1:{error,{log_full,", 19);
    assert_null(strstr(text, "checkpoint_failed"));
    assert_false(sim_io_exists(sim, "ckpt.tmp"));

    /* By itself: an event, and not again at once. */
    for (int i = 0; i < 200; i++)
        run(&kept, test_format("[{1,{insert,t,fwd,<<\"%d and some\">>}}]", i));
    writer_clear(&kept.writer);
    checkpointer_begin(commands_checkpointer(kept.commands));
    assert_int_equal(kept.job_count, 1);
    sim_io_fail(sim, full);
    job_run(&kept);
    sim_io_heal(sim);
    assert_memory_equal(replies(&kept), "checkpoint_failed:{log_full,", 28);
    checkpointer_look(commands_checkpointer(kept.commands));
    assert_int_equal(kept.job_count, 0);

    /* The store has not noticed. */
    expect(&kept, "[{1,{checkpoint}}]", "");
    job_run(&kept);
    sync_all(&kept);
    assert_non_null(strstr(replies(&kept), "1:{ok,#{seq=>201,"));
    kept_close(&kept);
    sim_io_free(sim);
}

static void a_long_log_is_a_reason_for_a_checkpoint(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct checkpointer *checkpointer;
    struct kept kept;
    unsigned checkpoints = 0;

    (void)state;
    kept_open(&kept, sim, SYNC_INTERVAL);
    checkpointer = commands_checkpointer(kept.commands);
    expect_call(&kept, "{create_table,t,to_one,#{}}", "{ok,created}");
    checkpointer_look(checkpointer);
    assert_int_equal(kept.job_count, 0); /* below the least size */
    for (int i = 0; i < 5000; i++) {
        run(&kept, test_format("[{1,{insert,t,fwd,{%d,%d}}}]", i % 100, i));
        writer_clear(&kept.writer);
        checkpointer_look(checkpointer);
        if (kept.job_count) {
            job_run(&kept);
            sync_all(&kept);
            assert_non_null(strstr(replies(&kept), "checkpointed:"));
            checkpoints++;
        }
    }
    /* 5000 records of 60 bytes, and a checkpoint after more than 4096. */
    assert_true(checkpoints > 20 && checkpoints < 80);
    kept_close(&kept);
    sim_io_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_has_two_queues),
        cmocka_unit_test(always_holds_what_is_not_durable),
        cmocka_unit_test(other_policies_hold_a_sync_alone),
        cmocka_unit_test(replies_are_released_in_portions),
        cmocka_unit_test(no_memory_to_hold_a_reply_ends_the_session),
        cmocka_unit_test(a_full_log_refuses_mutations_only),
        cmocka_unit_test(a_log_that_fails_ends_the_session),
        cmocka_unit_test(a_key_does_a_mutation_once),
        cmocka_unit_test(only_what_changed_something_is_remembered),
        cmocka_unit_test(a_large_answer_is_not_remembered),
        cmocka_unit_test(the_oldest_answer_goes),
        cmocka_unit_test(reserved_names_are_for_reading),
        cmocka_unit_test(a_replay_comes_to_the_same_store),
        cmocka_unit_test(a_replay_takes_mutations_only),
        cmocka_unit_test(a_replay_asks_before_it_commits),
        cmocka_unit_test(requests_share_a_checkpoint),
        cmocka_unit_test(a_checkpoint_that_fails_is_told),
        cmocka_unit_test(a_long_log_is_a_reason_for_a_checkpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
