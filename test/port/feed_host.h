/*
 * feed_host.h -- a store with subscribers and without a process around it, for
 * the tests of the feed; and a mirror of the store that is made of nothing but
 * what a subscriber was told.
 *
 * Writes, syncs, jobs and acknowledgements happen when a test says so. The
 * directory, if there is one, is simulated.
 */
#ifndef RHIZOME_TEST_PORT_FEED_HOST_H
#define RHIZOME_TEST_PORT_FEED_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/key.h"
#include "log/recover.h"
#include "log/walk.h"
#include "port/call.h"
#include "port/feed.h"
#include "port/replay.h"
#include "support/durable.h"
#include "support/random.h"
#include "support/sim_io.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define JOBS_MAX 4
#define SUBSCRIBERS 8

/* What the daemon's side calls MiB. */
#define MIB (1u << 20)

/* One who listens: subscription {1, index}. */
struct subscriber {
    struct buffer told; /* {Seq, [Change]}, one behind another */
    size_t owed;        /* bytes not acknowledged */
    size_t event_max;   /* the largest binary */
    uint64_t events;
    uint64_t overflow; /* 0: none */
};

/* A process that has a store open, with or without a directory. */
struct host {
    struct sim_io *sim; /* NULL: in memory only */
    struct io *io;
    struct mem mem;
    struct store *store;
    struct recovery recovery;
    struct termlog *log;
    struct writer writer;
    struct commands *commands;
    struct feed *feed;
    struct sync_job *sync;
    struct job *jobs[JOBS_MAX]; /* started and not run */
    size_t job_count;
    uint64_t jobs_run;
    struct buffer payload;
    struct buffer text;
    struct subscriber subscribers[SUBSCRIBERS];
};

/* --- lifetime ----------------------------------------------------------- */

static inline enum status start_job(void *context, struct job *job)
{
    struct host *host = context;

    assert_true(host->job_count < JOBS_MAX);
    host->jobs[host->job_count++] = job;
    return ST_OK;
}

static inline void host_recover(struct host *host)
{
    struct recovery_options how = {.apply = replayer_apply,
                                   .until = UINT64_MAX};
    struct replayer *replayer;
    int error = 0;

    assert_int_equal(replayer_create(host->store, &host->mem, &replayer),
                     ST_OK);
    how.context = replayer;
    assert_int_equal(recover_directory(host->io, host->store, &how, &host->mem,
                                       &host->recovery, &error),
                     ST_OK);
    replayer_free(replayer);
    assert_int_not_equal(host->recovery.verdict, RECOVERY_REFUSED);
    assert_int_equal(recovery_mend(host->io, &host->recovery, &error), ST_OK);
    assert_int_equal(termlog_open(host->io, &host->mem,
                                  &host->recovery.manifest, host->recovery.seq,
                                  64 << 10, &host->log, &error),
                     ST_OK);
}

static inline void host_open(struct host *host, struct sim_io *sim,
                             enum sync_policy policy, size_t memory_limit)
{
    struct commands_log log = {
        .policy = policy,
        .interval_ms = 1000,
        .directory = "dir",
        .host = {start_job, host},
    };
    struct store_options options = {memory_limit};

    memset(host, 0, sizeof(*host));
    mem_init(&host->mem, 0);
    assert_int_equal(store_create(&options, &host->store), ST_OK);
    host->sim = sim;
    if (sim) {
        host->io = sim_io_open(sim);
        host_recover(host);
    }
    writer_init(&host->writer, &host->mem, 64 * MIB);
    assert_int_equal(commands_create(host->store, &host->mem, &host->writer,
                                     &host->commands),
                     ST_OK);
    log.log = host->log;
    if (sim)
        assert_int_equal(commands_set_log(host->commands, &log), ST_OK);
    host->feed = host->commands->feed;
    host->payload = BUFFER(test_mem());
    host->text = BUFFER(test_mem());
    for (int i = 0; i < SUBSCRIBERS; i++)
        host->subscribers[i].told = BUFFER(test_mem());
}

static inline void open_in_memory(struct host *host)
{
    host_open(host, NULL, SYNC_NONE, 0);
}

static inline void run_job(struct host *host)
{
    struct job *job = host->jobs[0];

    assert_true(host->job_count > 0);
    host->job_count--;
    memmove(host->jobs, host->jobs + 1, host->job_count * sizeof(job));
    job->run(job);
    job->end(job);
    host->jobs_run++;
}

static inline void host_close(struct host *host)
{
    char why[256] = "";

    if (!store_check(host->store, why, sizeof(why)))
        fail_msg("the store is broken: %s", why);
    feed_stop(host->feed);
    while (host->job_count)
        run_job(host);
    commands_free(host->commands);
    if (host->sync) {
        termlog_sync_run(host->sync);
        termlog_sync_end(host->log, host->sync);
    }
    termlog_free(host->log);
    if (host->sim)
        recovery_free(&host->recovery);
    writer_deinit(&host->writer);
    assert_int_equal(store_mem(host->store)->used, store_bytes(host->store));
    store_free(host->store);
    io_free(host->io);
    buffer_free(&host->payload);
    buffer_free(&host->text);
    for (int i = 0; i < SUBSCRIBERS; i++)
        buffer_free(&host->subscribers[i].told);
    assert_int_equal(host->mem.used, 0);
    if (host->sim)
        assert_int_equal(sim_io_descriptors(host->sim), 0);
}

/* --- what comes --------------------------------------------------------- */

static int64_t integer_of(const uint8_t *term)
{
    struct reader reader = {term, term + etf_size(term)};
    int64_t value;

    assert_true(reader_integer(&reader, &value));
    return value;
}

static inline struct subscriber *subscriber_of(struct host *host,
                                               struct walk *walk)
{
    int64_t number;

    assert_true(walk_tuple(walk, 2));
    assert_int_equal(integer_of(walk_term(walk).data), 1);
    number = integer_of(walk_term(walk).data);
    assert_in_range(number, 0, SUBSCRIBERS - 1);
    return &host->subscribers[number];
}

/* {{1, N}, <<131, [{Seq, [Change]}]>>} */
static inline void take_changes(struct host *host, struct walk walk)
{
    struct subscriber *subscriber;
    struct bytes binary;
    uint32_t count;
    size_t size;

    assert_true(walk_tuple(&walk, 2));
    subscriber = subscriber_of(host, &walk);
    assert_true(walk_binary(&walk, &binary));
    assert_int_equal(binary.data[0], ETF_VERSION);
    assert_int_equal(
        etf_validate(bytes_of(binary.data + 1, binary.size - 1), &size, NULL),
        ST_OK);
    assert_int_equal(size, binary.size - 1);
    walk.at = binary.data + 1;
    assert_true(walk_list(&walk, &count));
    assert_true(count > 0);
    while (count-- > 0) {
        struct bytes pair = walk_term(&walk);

        test_append(&subscriber->told, pair.data, pair.size);
    }
    assert_true(walk_nil(&walk));
    subscriber->owed += binary.size;
    subscriber->events++;
    if (binary.size > subscriber->event_max)
        subscriber->event_max = binary.size;
}

/* Takes all that is in the writer: events of the feed go to the subscribers,
 * the rest becomes the text "1:{ok,pong} seq:7 ". */
static inline const char *take(struct host *host)
{
    struct bytes frame = writer_frame(&host->writer);
    struct walk walk = {frame.data + 10};

    host->text.size = 0;
    for (uint32_t n = frame.size ? host->writer.replies : 0; n > 0; n--) {
        struct bytes item = walk_term(&walk);
        struct walk inner = {item.data};
        struct bytes first;

        assert_true(walk_tuple(&inner, 2));
        if (walk_atom(&inner, "changes")) {
            take_changes(host, inner);
        } else if (walk_atom(&inner, "overflow")) {
            struct subscriber *subscriber;

            assert_true(walk_tuple(&inner, 2));
            subscriber = subscriber_of(host, &inner);
            subscriber->overflow = (uint64_t)integer_of(inner.at);
            subscriber->owed = 0;
        } else {
            first = walk_term(&inner);
            term_print(&host->text, first.data);
            test_append_text(&host->text, ":");
            term_print(&host->text,
                       inner.at[0] == ETF_BINARY ? inner.at + 6 : inner.at);
            test_append_text(&host->text, " ");
        }
    }
    test_append(&host->text, "", 1);
    writer_clear(&host->writer);
    return (const char *)host->text.data;
}

/* Carries out what is in the payload, pumps once and takes what there is. */
static inline const char *carry_out(struct host *host)
{
    assert_int_equal(
        commands_open(host->commands, buffer_bytes(&host->payload)), ST_OK);
    while (commands_busy(host->commands))
        assert_int_equal(commands_step(host->commands), ST_OK);
    assert_int_equal(feed_pump(host->feed), ST_OK);
    if (host->log)
        assert_int_equal(termlog_write(host->log), ST_OK);
    return take(host);
}

static inline const char *call(struct host *host, const char *op)
{
    uint8_t version = ETF_VERSION;
    char *text;

    host->payload.size = 0;
    test_append(&host->payload, &version, 1);
    assert_true(asprintf(&text, "[{1,%s}]", op) > 0);
    term_parse(&host->payload, text);
    free(text);
    return carry_out(host);
}

static inline void expect(struct host *host, const char *op, const char *wanted)
{
    const char *text = call(host, op);
    size_t size = strlen(wanted);

    if (strncmp(text, "1:", 2) != 0 || strncmp(text + 2, wanted, size) != 0)
        fail_msg("%s\n  answers %s\n  and not %s", op, text, wanted);
}

/* Everything that a subscriber was told, and forgets it. */
static inline const char *told(struct host *host, int index)
{
    struct subscriber *subscriber = &host->subscribers[index];
    static struct buffer text;
    size_t at = 0;

    if (!text.mem)
        text = BUFFER(test_mem());
    text.size = 0;
    while (at < subscriber->told.size) {
        at += term_print(&text, subscriber->told.data + at);
        test_append_text(&text, " ");
    }
    test_append(&text, "", 1);
    subscriber->told.size = 0;
    return (const char *)text.data;
}

static inline void expect_told(struct host *host, int index, const char *wanted)
{
    const char *text = told(host, index);

    if (strcmp(text, wanted) != 0)
        fail_msg("subscriber %d was told\n  %s\n  and not\n  %s", index, text,
                 wanted);
}

static inline void acknowledge(struct host *host, int index)
{
    struct subscriber *subscriber = &host->subscribers[index];

    feed_ack(host->feed, (struct version_name){1, index}, subscriber->owed);
    subscriber->owed = 0;
}

static inline void pump(struct host *host)
{
    do {
        assert_int_equal(feed_pump(host->feed), ST_OK);
        if (host->log)
            assert_int_equal(termlog_write(host->log), ST_OK);
        take(host);
    } while (feed_more(host->feed));
}

/* Acknowledges and runs jobs until all is told that can be. */
static inline void settle(struct host *host)
{
    bool again = true;

    while (again) {
        again = host->job_count > 0;
        while (host->job_count)
            run_job(host);
        pump(host);
        again |= host->job_count > 0;
        for (int i = 0; i < SUBSCRIBERS; i++) {
            again |= host->subscribers[i].owed > 0;
            acknowledge(host, i);
        }
    }
}

static inline void sync_all(struct host *host)
{
    assert_int_equal(termlog_sync(host->log), ST_OK);
}

/* `{insert, Table, fwd, {Key, Value}}` with a binary of so many bytes, another
 * one each time. */
static inline const char *insert_big(struct host *host, const char *table,
                                     unsigned key, uint32_t size)
{
    uint8_t version = ETF_VERSION;
    uint8_t header[5] = {ETF_BINARY};
    struct buffer *payload = &host->payload;
    struct bytes mark = BYTES("w\4here");
    static uint32_t count;

    payload->size = 0;
    test_append(payload, &version, 1);
    term_parse(payload,
               test_format("{1,{insert,%s,fwd,{%u,here}}}", table, key));
    payload->size -= mark.size; /* it is the last thing in there */
    store_be32(header + 1, size);
    test_append(payload, header, sizeof(header));
    assert_int_equal(buffer_reserve(payload, size), ST_OK);
    memset(payload->data + payload->size, (int)key, size);
    memcpy(payload->data + payload->size, &count, sizeof(count));
    payload->size += size;
    count++;
    return carry_out(host);
}

/* --- time ---------------------------------------------------------------- */

static uint64_t test_clock;

static inline uint64_t read_test_clock(void)
{
    return test_clock;
}

/* --- random mutations against a model ----------------------------------- */

/* What the changes come to: elements as terms, in no order. */
struct row {
    struct buffer table;
    struct buffer element;
};

struct mirror {
    struct row *rows; /* of no element: a table */
    size_t count;
    size_t capacity;
    size_t at; /* bytes of what was told that are in it */
    uint64_t seq;
};

static inline void mirror_free(struct mirror *mirror)
{
    for (size_t i = 0; i < mirror->count; i++) {
        buffer_free(&mirror->rows[i].table);
        buffer_free(&mirror->rows[i].element);
    }
    free(mirror->rows);
}

static inline size_t mirror_find(const struct mirror *mirror,
                                 struct bytes table, struct bytes element)
{
    for (size_t i = 0; i < mirror->count; i++)
        if (bytes_equal(buffer_bytes(&mirror->rows[i].table), table) &&
            bytes_equal(buffer_bytes(&mirror->rows[i].element), element))
            return i;
    return SIZE_MAX;
}

static inline void mirror_add(struct mirror *mirror, struct bytes table,
                              struct bytes element)
{
    struct row *row;

    if (mirror->count == mirror->capacity) {
        mirror->capacity = mirror->capacity * 2 + 64;
        mirror->rows =
            realloc(mirror->rows, mirror->capacity * sizeof(*mirror->rows));
        assert_non_null(mirror->rows);
    }
    row = &mirror->rows[mirror->count++];
    *row = (struct row){BUFFER(test_mem()), BUFFER(test_mem())};
    test_append(&row->table, table.data, table.size);
    test_append(&row->element, element.data, element.size);
}

static inline void mirror_remove(struct mirror *mirror, size_t index)
{
    struct row *row = &mirror->rows[index];

    buffer_free(&row->table);
    buffer_free(&row->element);
    *row = mirror->rows[--mirror->count];
}

/* Removes the elements of a table: how many there were. */
static uint64_t mirror_empty(struct mirror *mirror, struct bytes table)
{
    uint64_t count = 0;

    for (size_t i = 0; i < mirror->count;) {
        struct row *row = &mirror->rows[i];

        if (row->element.size &&
            bytes_equal(buffer_bytes(&row->table), table)) {
            mirror_remove(mirror, i);
            count++;
        } else {
            i++;
        }
    }
    return count;
}

/* One Change; everything about it must be possible. */
static inline void mirror_change(struct mirror *mirror, struct walk *walk)
{
    struct bytes none = bytes_of(NULL, 0);
    struct bytes table, word, term;
    size_t index;

    assert_true(walk_tuple(walk, 3));
    table = walk_term(walk);
    assert_true(walk_any_atom(walk, &word));
    term = walk_term(walk);
    if (bytes_equal(word, BYTES("create"))) {
        assert_int_equal(mirror_find(mirror, table, none), SIZE_MAX);
        mirror_add(mirror, table, none);
        return;
    }
    index = mirror_find(mirror, table, none);
    assert_int_not_equal(index, SIZE_MAX);
    if (bytes_equal(word, BYTES("drop"))) {
        mirror_remove(mirror, index);
        mirror_empty(mirror, table);
        return;
    }
    if (bytes_equal(word, BYTES("clear"))) {
        assert_int_equal(mirror_empty(mirror, table), integer_of(term.data));
        return;
    }
    index = mirror_find(mirror, table, term);
    if (bytes_equal(word, BYTES("insert"))) {
        assert_int_equal(index, SIZE_MAX);
        mirror_add(mirror, table, term);
    } else {
        assert_true(bytes_equal(word, BYTES("delete")));
        assert_int_not_equal(index, SIZE_MAX);
        mirror_remove(mirror, index);
    }
}

/* Carries out what a subscriber was told since the last time. */
static inline void mirror_follow(struct mirror *mirror,
                                 const struct subscriber *subscriber)
{
    while (mirror->at < subscriber->told.size) {
        struct walk walk = {subscriber->told.data + mirror->at};
        uint64_t seq;
        uint32_t count;

        assert_true(walk_tuple(&walk, 2));
        assert_true(walk_u64(&walk, &seq));
        assert_true(seq > mirror->seq);
        mirror->seq = seq;
        assert_true(walk_list(&walk, &count));
        assert_true(count > 0);
        while (count-- > 0)
            mirror_change(mirror, &walk);
        assert_true(walk_nil(&walk));
        mirror->at = (size_t)(walk.at - subscriber->told.data);
    }
}

static inline void mirror_compare(const struct mirror *mirror,
                                  struct host *host)
{
    struct buffer name = BUFFER(test_mem());
    struct table *table = NULL;
    size_t found = 0;

    while ((table = store_next_table(host->store, table))) {
        struct bytes frame;
        struct walk walk;
        uint32_t count;

        name.size = 0;
        assert_int_equal(key_decode(table_name(table), &name), ST_OK);
        if (name_is_reserved(buffer_bytes(&name)))
            continue;
        assert_int_not_equal(
            mirror_find(mirror, buffer_bytes(&name), bytes_of(NULL, 0)),
            SIZE_MAX);
        found++;

        /* [{1, <<131, {ok, Items, done}>>}] */
        host->payload.size = 0;
        test_append(&host->payload, "\x83\x68\x02\x61\x01\x68\x08", 7);
        term_parse(&host->payload, "scan");
        test_append(&host->payload, name.data, name.size);
        term_parse(&host->payload, "fwd");
        term_parse(&host->payload, "elements");
        term_parse(&host->payload, "asc");
        term_parse(&host->payload, "none");
        term_parse(&host->payload, "none");
        term_parse(&host->payload, "1000000");
        assert_int_equal(
            commands_open(host->commands, buffer_bytes(&host->payload)), ST_OK);
        assert_int_equal(commands_step(host->commands), ST_OK);
        frame = writer_frame(&host->writer);
        walk.at = frame.data + 10;
        assert_true(walk_tuple(&walk, 2));
        walk_term(&walk);
        walk.at += 6;
        assert_true(walk_tuple(&walk, 3));
        assert_true(walk_atom(&walk, "ok"));
        assert_true(walk_list(&walk, &count));
        while (count-- > 0) {
            assert_int_not_equal(
                mirror_find(mirror, buffer_bytes(&name), walk_term(&walk)),
                SIZE_MAX);
            found++;
        }
        writer_clear(&host->writer);
    }
    assert_int_equal(found, mirror->count);
    buffer_free(&name);
}

/* A table n of the type n; others refer to the set, which is 1. */
static const char *const types[] = {
    "pom",        "set",         "to_one",      "to_many",
    "one_to_one", "one_to_many", "many_to_one", "many_to_many",
};

static inline const char *made_up_key(struct random *random)
{
    unsigned n = (unsigned)random_below(random, 12);

    return n % 3 == 0   ? test_format("%u", n)
           : n % 3 == 1 ? test_format("<<\"key %u\">>", n)
                        : test_format("{k,%u}", n);
}

static inline const char *made_up_element(struct random *random, unsigned table)
{
    const char *first = made_up_key(random);

    return table == 1 ? first
                      : test_format("{%s,%s}", first, made_up_key(random));
}

static inline const char *made_up_op(struct random *random)
{
    unsigned table = (unsigned)random_below(random, 8);
    unsigned die = (unsigned)random_below(random, 1000);
    bool bwd = table >= 4 && random_below(random, 2);

    if (random_below(random, 4) == 0)
        table = 1, bwd = false;
    if (die < 10)
        return test_format("{drop_table,t%u}", table);
    if (die < 20)
        return test_format("{clear_table,t%u}", table);
    if (die < 120) {
        const char *references = table == 2   ? "fwd=>{t1,evict}"
                                 : table == 3 ? "fwd=>{t1,restrict}"
                                 : table == 7 ? "fwd=>{t1,evict},"
                                                "bwd=>{t1,evict}"
                                              : "";

        return test_format("{create_table,t%u,%s,#{%s}}", table, types[table],
                           references);
    }
    if (table == 0) {
        const char *value = made_up_key(random);

        if (die < 500)
            return test_format("{insert_row,t0,%s}", value);
        if (die < 800)
            return test_format("{update_row,t0,%u,%s}",
                               1 + (unsigned)random_below(random, 20), value);
        return test_format("{delete_key,t0,fwd,%u}",
                           1 + (unsigned)random_below(random, 20));
    }
    if (die < 650)
        return test_format("{insert,t%u,%s,%s}", table, bwd ? "bwd" : "fwd",
                           made_up_element(random, table));
    if (die < 750)
        return test_format("{insert_all,t%u,%s,[%s,%s]}", table,
                           bwd ? "bwd" : "fwd", made_up_element(random, table),
                           made_up_element(random, table));
    if (die < 850)
        return test_format("{delete,t%u,%s,%s}", table, bwd ? "bwd" : "fwd",
                           made_up_element(random, table));
    return test_format("{delete_key,t%u,%s,%s}", table, bwd ? "bwd" : "fwd",
                       made_up_key(random));
}

/* An Op, now and then several in a batch. */
static inline const char *made_up_mutation(struct random *random)
{
    struct buffer text = BUFFER(test_mem());
    const char *op = made_up_op(random);
    unsigned count = (unsigned)random_below(random, 4);
    char *result;

    if (random_below(random, 4) || strncmp(op, "{create", 7) == 0 ||
        strncmp(op, "{drop", 5) == 0 || strncmp(op, "{clear", 6) == 0)
        return op;
    test_append_text(&text, test_format("{batch,[%s", op));
    while (count-- > 0) {
        op = made_up_op(random);
        if (strncmp(op, "{create", 7) == 0 || strncmp(op, "{drop", 5) == 0 ||
            strncmp(op, "{clear", 6) == 0)
            continue;
        test_append_text(&text, test_format(",%s", op));
    }
    test_append_text(&text, "]}");
    test_append(&text, "", 1);
    result = test_format("%s", (const char *)text.data);
    buffer_free(&text);
    return result;
}

/* The seeds of a test: SEED alone, or 1 to `count`. Ends with false. */
static inline bool next_seed(uint64_t *seed, uint64_t count)
{
    const char *given = getenv("SEED");

    if (given && !*seed)
        *seed = strtoull(given, NULL, 10);
    else if (given || *seed >= count)
        return false;
    else
        ++*seed;
    return true;
}

#endif
