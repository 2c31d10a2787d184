/*
 * version_case.h -- a store with a log and a client's side of it, for the tests
 * of snapshots, forks and commits.
 *
 * The directory is simulated and can be opened again. Nothing is synced unless
 * a test says so.
 */
#ifndef RHIZOME_TEST_PORT_VERSION_CASE_H
#define RHIZOME_TEST_PORT_VERSION_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/etf.h"
#include "log/recover.h"
#include "port/call.h"
#include "port/replay.h"
#include "support/random.h"
#include "support/sim_io.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct bench {
    struct sim_io *sim;
    struct io *io;
    struct mem mem;
    struct store *store;
    struct recovery recovery;
    struct termlog *log;
    struct writer writer;
    struct commands *commands;
    struct buffer payload;
    struct buffer text;
};

static inline enum status no_job(void *context, struct job *job)
{
    (void)context;
    (void)job;
    return ST_NO_MEMORY;
}

static inline void bench_recover(struct bench *bench)
{
    struct recovery_options how = {.apply = replayer_apply,
                                   .until = UINT64_MAX};
    struct replayer *replayer;
    int error = 0;

    assert_int_equal(replayer_create(bench->store, &bench->mem, &replayer),
                     ST_OK);
    how.context = replayer;
    assert_int_equal(recover_directory(bench->io, bench->store, &how,
                                       &bench->mem, &bench->recovery, &error),
                     ST_OK);
    replayer_free(replayer);
    assert_int_not_equal(bench->recovery.verdict, RECOVERY_REFUSED);
}

/* Opens what the disk holds; NULL: a new disk. */
static inline void bench_open_on(struct bench *bench, struct sim_io *sim,
                                 enum sync_policy policy)
{
    struct commands_log log = {
        .policy = policy,
        .interval_ms = 1000,
        .directory = "dir",
        .host = {no_job, bench},
    };
    int64_t holder;
    int error;

    memset(bench, 0, sizeof(*bench));
    bench->sim = sim ? sim : sim_io_create();
    bench->io = sim_io_open(bench->sim);
    assert_int_equal(io_lock(bench->io, &holder), 0);
    mem_init(&bench->mem, 0);
    assert_int_equal(store_create(NULL, &bench->store), ST_OK);
    bench_recover(bench);
    assert_int_equal(recovery_mend(bench->io, &bench->recovery, &error), ST_OK);
    assert_int_equal(
        termlog_open(bench->io, &bench->mem, &bench->recovery.manifest,
                     bench->recovery.seq, 1 << 20, &bench->log, &error),
        ST_OK);
    writer_init(&bench->writer, &bench->mem, 1 << 20);
    assert_int_equal(commands_create(bench->store, &bench->mem, &bench->writer,
                                     &bench->commands),
                     ST_OK);
    log.log = bench->log;
    assert_int_equal(commands_set_log(bench->commands, &log), ST_OK);
    bench->payload = BUFFER(test_mem());
    bench->text = BUFFER(test_mem());
}

static inline void bench_open(struct bench *bench)
{
    bench_open_on(bench, NULL, SYNC_NONE);
}

/* Ends the process in order; the disk stays. */
static inline struct sim_io *bench_leave(struct bench *bench)
{
    char why[256] = "";

    assert_int_equal(termlog_close(bench->log, store_digest(bench->store)),
                     ST_OK);
    if (!store_check(bench->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
    commands_free(bench->commands);
    if (store_mem(bench->store)->used != store_bytes(bench->store))
        fail_msg("versions have left bytes behind");
    termlog_free(bench->log);
    recovery_free(&bench->recovery);
    writer_deinit(&bench->writer);
    store_free(bench->store);
    io_free(bench->io);
    buffer_free(&bench->payload);
    buffer_free(&bench->text);
    assert_int_equal(bench->mem.used, 0);
    return bench->sim;
}

/* The same, and what the log holds must come to the same store. */
static inline void bench_close(struct bench *bench)
{
    struct digest digest = store_digest(bench->store);
    uint64_t seq = store_seq(bench->store);
    struct sim_io *sim = bench_leave(bench);

    bench_open_on(bench, sim, SYNC_NONE);
    assert_int_equal(store_seq(bench->store), seq);
    if (!digest_equal(store_digest(bench->store), digest))
        fail_msg("the log comes to another store");
    sim_io_free(bench_leave(bench));
}

/* --- requests ----------------------------------------------------------- */

/* What is in the writer, as text, and then forgotten. */
static inline const char *replies(struct bench *bench)
{
    struct bytes frame = writer_frame(&bench->writer);
    const uint8_t *at = frame.data + 10;

    bench->text.size = 0;
    for (uint32_t n = frame.size ? bench->writer.replies : 0; n > 0; n--) {
        const uint8_t *second = at + 2 + etf_size(at + 2);

        term_print(&bench->text, at + 2);
        test_append_text(&bench->text, ":");
        term_print(&bench->text, second[0] == ETF_BINARY ? second + 6 : second);
        test_append_text(&bench->text, " ");
        at += etf_size(at);
    }
    test_append(&bench->text, "", 1);
    writer_clear(&bench->writer);
    return (const char *)bench->text.data;
}

/* Carries out a list of requests. */
static inline enum status run(struct bench *bench, const char *text)
{
    uint8_t version = ETF_VERSION;
    enum status st;

    bench->payload.size = 0;
    test_append(&bench->payload, &version, 1);
    term_parse(&bench->payload, text);
    st = commands_open(bench->commands, buffer_bytes(&bench->payload));
    while (st == ST_OK && commands_busy(bench->commands))
        st = commands_step(bench->commands);
    return st;
}

/* One Op: its answer as text, which stays until the next one. */
static inline const char *call(struct bench *bench, const char *op)
{
    size_t room = strlen(op) + 8;
    char *request = malloc(room);
    const char *text;
    size_t size;

    snprintf(request, room, "[{1,%s}]", op);
    assert_int_equal(run(bench, request), ST_OK);
    free(request);
    text = replies(bench);
    size = strlen(text);
    if (strncmp(text, "1:", 2) != 0)
        return text;
    bench->text.data[size - 1] = '\0'; /* the space */
    return text + 2;
}

/* `wanted` is the answer, or what it begins with if it ends with a star. */
static inline void expect(struct bench *bench, const char *op,
                          const char *wanted)
{
    const char *answer = call(bench, op);
    size_t size = strlen(wanted);
    bool fits = size && wanted[size - 1] == '*'
                    ? strncmp(answer, wanted, size - 1) == 0
                    : strcmp(answer, wanted) == 0;

    if (!fits)
        fail_msg("%s\n  answers %s\n  and not %s", op, answer, wanted);
}

static inline void expect_error(struct bench *bench, const char *op,
                                const char *code)
{
    expect(bench, op, test_format("{error,{%s,*", code));
}

/* The same, and `part` is in the answer. */
static inline void expect_part(struct bench *bench, const char *op,
                               const char *code, const char *part)
{
    const char *answer = call(bench, op);
    char *head = test_format("{error,{%s,", code);

    if (strncmp(answer, head, strlen(head)) != 0 || !strstr(answer, part))
        fail_msg("%s\n  answers %s\n  and not %s with %s", op, answer, code,
                 part);
}

#endif
