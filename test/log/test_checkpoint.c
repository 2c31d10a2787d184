/*
 * test_checkpoint.c -- a store goes into a file and comes out of it the same;
 * a file that is not exactly such a file is refused.
 *
 * That two stores are the same is said by their checkpoints: what was loaded
 * is written again, and the bytes must be those that it was loaded from.
 */
#include "log/checkpoint.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "core/etf.h"
#include "core/key.h"
#include "core/store_internal.h"

#include "support/durable.h"
#include "support/term_maker.h"
#include "support/world.h"

#define NAME "ckpt"
#define NO_REFERENCE                                                           \
    {                                                                          \
        -1, ON_DELETE_RESTRICT                                                 \
    }

static const uint8_t store_id[STORE_ID_BYTES] = "test_checkpoint";

/* ---- writing to memory, reading from a simulated disk ---- */

static struct mem test_mem;

struct sink {
    struct buffer bytes;
    size_t cancel_at; /* 0: never */
    size_t fail_at;
    atomic_bool cancel;
};

static int sink_write(void *context, struct bytes bytes)
{
    struct sink *sink = context;

    if (sink->fail_at && sink->bytes.size + bytes.size > sink->fail_at)
        return -ENOSPC;
    if (sink->cancel_at && sink->bytes.size >= sink->cancel_at)
        atomic_store(&sink->cancel, true);
    REQUIRE(buffer_append(&sink->bytes, bytes) == ST_OK);
    return 0;
}

static struct buffer snapshot_write(const struct snapshot *snapshot)
{
    struct sink sink = {.bytes = BUFFER(&test_mem)};
    const struct checkpoint_output output = {sink_write, &sink};
    int error;

    assert_int_equal(
        checkpoint_write(snapshot, store_id, 1, &output, NULL, NULL, &error),
        ST_OK);
    return sink.bytes;
}

static struct buffer store_write(struct store *store)
{
    struct snapshot *snapshot;
    struct buffer bytes;

    assert_int_equal(snapshot_take(store, &snapshot), ST_OK);
    assert_int_equal(snapshot_list(snapshot), ST_OK);
    bytes = snapshot_write(snapshot);
    snapshot_release(snapshot);
    return bytes;
}

/* Reads `bytes` as a file into a new store, or only looks (`ret` NULL). */
static enum status bytes_read(struct bytes bytes, struct store **ret,
                              struct checkpoint_report *report)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct log_reader *reader;
    struct mem mem;
    enum status st;
    int error;

    mem_init(&mem, 0);
    sim_io_put_file(sim, NAME, bytes);
    if (ret)
        assert_int_equal(store_create(NULL, ret), ST_OK);
    assert_int_equal(log_reader_open(io, NAME, &mem, &reader, &error), ST_OK);
    st = checkpoint_read(reader, ret ? *ret : NULL, NULL, report);
    log_reader_close(reader);
    assert_int_equal(mem.used, 0);
    if (ret)
        assert_int_equal(store_mem(*ret)->used, store_bytes(*ret));
    io_free(io);
    sim_io_free(sim);
    return st;
}

static void must_be_sound(struct store *store)
{
    char why[256] = "";

    if (!store_check(store, why, sizeof(why)))
        fail_msg("store_check: %s", why);
}

/* There, back, and there again. */
static void must_come_back(struct store *store)
{
    struct buffer first = store_write(store);
    struct buffer second;
    struct checkpoint_report report;
    struct store *loaded;

    assert_int_equal(bytes_read(buffer_bytes(&first), NULL, &report), ST_OK);
    assert_true(report.seq == store_seq(store));
    assert_int_equal(bytes_read(buffer_bytes(&first), &loaded, &report), ST_OK);
    must_be_sound(loaded);
    assert_true(report.seq == store_seq(store) &&
                store_seq(loaded) == store_seq(store));
    assert_true(digest_equal(store_digest(loaded), store_digest(store)));
    assert_true(digest_equal(report.digest, store_digest(store)));
    assert_int_equal(store_table_count(loaded), store_table_count(store));
    for (struct table *t = NULL; (t = store_next_table(store, t));) {
        struct table *u = store_find(loaded, table_name(t));

        assert_non_null(u);
        assert_true(table_type(t) == table_type(u) &&
                    table_count(t) == table_count(u) &&
                    table_next_id(t) == table_next_id(u));
    }
    second = store_write(loaded);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    buffer_free(&first);
    buffer_free(&second);
    store_free(loaded);
}

/* Tables of all eight types, and references of each kind. */
static void open_world(struct world *world, uint64_t seed, unsigned keys)
{
    static const struct model_reference refer[2] = {{0, ON_DELETE_EVICT},
                                                    {0, ON_DELETE_RESTRICT}};
    static const struct model_reference one[2] = {{0, ON_DELETE_RESTRICT},
                                                  NO_REFERENCE};

    world_open(world, seed, keys);
    world_add_table(world, TABLE_SET, NULL);
    world_add_table(world, TABLE_POM, NULL);
    world_add_table(world, TABLE_TO_ONE, seed % 2 ? one : NULL);
    world_add_table(world, TABLE_TO_MANY, one);
    world_add_table(world, TABLE_ONE_TO_ONE, NULL);
    world_add_table(world, TABLE_ONE_TO_MANY, seed % 3 ? refer : NULL);
    world_add_table(world, TABLE_MANY_TO_ONE, NULL);
    world_add_table(world, TABLE_MANY_TO_MANY, refer);
}

static void random_stores_come_back(void **state)
{
    uint64_t seed = 0;

    (void)state;
    while (world_next_seed(&seed, durable_scale(40))) {
        struct world world;

        open_world(&world, seed, 20 + (unsigned)(seed * 13 % 100));
        for (unsigned i = 0; i < 4; i++) {
            must_come_back(world.store);
            for (unsigned k = 0; k < seed * 15 % 400; k++)
                world_step(&world);
        }
        must_come_back(world.store);
        world_close(&world);
    }
}

/* The same content, made in another order, gives the same bytes. */
static void equal_stores_make_equal_files(void **state)
{
    struct buffer files[3];

    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        struct world world;
        static const struct model_reference none[2] = {NO_REFERENCE,
                                                       NO_REFERENCE};

        world_open(&world, 1, 100);
        world_add_table(&world, TABLE_MANY_TO_MANY, none);
        for (unsigned i = 0; i < 3000; i++) {
            static const unsigned steps[] = {1, 7, 1999};
            unsigned k = i * steps[way] % 3000;
            struct command command = {COMMAND_INSERT, 0, SIDE_FWD,
                                      world_key(k / 40), world_key(k % 40)};

            if (way == 1 && i % 3 == 0) { /* and what comes and goes */
                struct command extra = command;

                extra.second = world_key(50 + i % 30);
                world_run(&world, &extra);
                extra.kind = COMMAND_DELETE;
                world_run(&world, &extra);
            }
            world_run(&world, &command);
        }
        store_set_seq(world.store, 7);
        files[way] = store_write(world.store);
        world_close(&world);
    }
    for (unsigned way = 1; way < 3; way++)
        assert_true(
            bytes_equal(buffer_bytes(&files[0]), buffer_bytes(&files[way])));
    for (unsigned way = 0; way < 3; way++)
        buffer_free(&files[way]);
}

static void an_empty_store_comes_back(void **state)
{
    struct store *store;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    must_come_back(store);
    store_set_seq(store, INT64_MAX - 5);
    must_come_back(store);
    store_free(store);
}

static struct bytes key_of(const uint8_t *term, size_t size, struct buffer *key)
{
    key->size = 0;
    assert_int_equal(key_encode(bytes_of(term, size), key), ST_OK);
    return buffer_bytes(key);
}

static struct table *table_add(struct store *store, unsigned n,
                               enum table_type type)
{
    struct model_text name = world_key(n);
    struct table *table;

    store_begin(store);
    assert_int_equal(
        store_table_create(store, model_bytes(&name), type, NULL, &table),
        ST_OK);
    store_commit(store);
    return table;
}

/* `depth` tuples, each in the next one. */
static size_t put_deep(uint8_t *to, unsigned depth)
{
    uint8_t *at = to;

    while (depth-- > 0) {
        *at++ = ETF_SMALL_TUPLE;
        *at++ = 1;
    }
    *at++ = ETF_NIL;
    return (size_t)(at - to);
}

static void deep_and_huge_things_come_back(void **state)
{
    static uint8_t value[5 << 20];
    static uint8_t term[4 * ETF_DEPTH_MAX];
    struct buffer key = BUFFER(&test_mem);
    struct store *store;
    struct table *rows, *map, *pairs;
    uint64_t id;
    size_t size;
    bool done;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    rows = table_add(store, 0, TABLE_POM);
    map = table_add(store, 1, TABLE_TO_ONE);
    pairs = table_add(store, 2, TABLE_ONE_TO_ONE);
    store_begin(store);
    value[0] = ETF_BINARY;
    for (size = 5; size < sizeof(value); size = size * 3 + 1) {
        store_be32(value + 1, (uint32_t)size - 5);
        assert_int_equal(pom_insert(store, rows, bytes_of(value, size), &id),
                         ST_OK);
    }
    for (unsigned depth = ETF_DEPTH_MAX - 8; depth <= ETF_DEPTH_MAX; depth++) {
        size = put_deep(term, depth);
        assert_int_equal(pom_insert(store, rows, bytes_of(term, size), &id),
                         ST_OK);
        key_of(term, size, &key);
        assert_int_equal(table_insert(store, map, SIDE_FWD, buffer_bytes(&key),
                                      bytes_of(term, size), &done),
                         ST_OK);
        assert_int_equal(table_insert(store, pairs, SIDE_FWD,
                                      buffer_bytes(&key), buffer_bytes(&key),
                                      &done),
                         ST_OK);
    }
    /* The longest key there is. */
    store_be32(value + 1, 30000);
    memset(value + 5, 'k', 30000);
    key_of(value, 30005, &key);
    assert_int_equal(table_insert(store, pairs, SIDE_FWD, buffer_bytes(&key),
                                  buffer_bytes(&key), &done),
                     ST_OK);
    store_commit(store);
    must_come_back(store);
    buffer_free(&key);
    store_free(store);
}

/* Ids: rows that are gone, and all of them given out. */
static void next_ids_come_back(void **state)
{
    static const uint8_t nil = ETF_NIL;
    struct store *store;
    struct table *rows;
    uint64_t id;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    rows = table_add(store, 0, TABLE_POM);
    store_begin(store);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(pom_insert(store, rows, bytes_of(&nil, 1), &id),
                         ST_OK);
    assert_int_equal(table_clear(store, rows), ST_OK);
    store_commit(store);
    must_come_back(store);
    rows->next_id = UINT64_MAX;
    store_begin(store);
    assert_int_equal(pom_insert(store, rows, bytes_of(&nil, 1), &id), ST_OK);
    store_commit(store);
    assert_true(table_next_id(rows) == 0);
    must_come_back(store);
    store_free(store);
}

/* Values and keys in all forms that a term may have. */
static void terms_of_all_forms_come_back(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (uint64_t n = durable_scale(10); n > 0; n--) {
        struct buffer term = BUFFER(&test_mem), key = BUFFER(&test_mem);
        struct store *store;
        struct table *map, *pairs;
        bool done;

        assert_int_equal(store_create(NULL, &store), ST_OK);
        map = table_add(store, 0, TABLE_TO_ONE);
        pairs = table_add(store, 1, TABLE_MANY_TO_MANY);
        store_begin(store);
        for (unsigned i = 0; i < 300; i++) {
            term.size = key.size = 0;
            term_maker_put(&random, 4, &term);
            if (key_encode(buffer_bytes(&term), &key) != ST_OK)
                continue;
            assert_int_equal(table_insert(store, map, SIDE_FWD,
                                          buffer_bytes(&key),
                                          buffer_bytes(&term), &done),
                             ST_OK);
            assert_int_equal(table_insert(store, pairs, SIDE_BWD,
                                          buffer_bytes(&key),
                                          buffer_bytes(&key), &done),
                             ST_OK);
        }
        store_commit(store);
        must_come_back(store);
        buffer_free(&term);
        buffer_free(&key);
        store_free(store);
    }
}

/* ---- a store that goes on ---- */

static void a_snapshot_is_written_as_it_was(void **state)
{
    struct snapshot *snapshot;
    struct buffer before, after;
    struct world world;

    (void)state;
    open_world(&world, 3, 60);
    for (unsigned i = 0; i < 1500; i++)
        world_step(&world);
    before = store_write(world.store);
    assert_int_equal(snapshot_take(world.store, &snapshot), ST_OK);
    assert_int_equal(snapshot_list(snapshot), ST_OK);
    for (unsigned i = 0; i < 1500; i++)
        world_step(&world);
    after = snapshot_write(snapshot);
    assert_true(bytes_equal(buffer_bytes(&before), buffer_bytes(&after)));
    snapshot_release(snapshot);
    buffer_free(&before);
    buffer_free(&after);
    world_close(&world);
}

static void *run_checkpoint(void *job)
{
    checkpoint_run(job);
    return NULL;
}

static void a_worker_writes_while_the_store_goes_on(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct checkpoint_result result;
    struct durable d;

    (void)state;
    durable_init(&d, sim, 5, SYNC_NONE, 8192);
    assert_int_equal(durable_open(&d, 0), ST_OK);
    for (unsigned round = 0; round < 20; round++) {
        pthread_t thread;
        uint64_t seq;

        for (unsigned i = 0; i < 50; i++)
            assert_int_equal(durable_mutate(&d), ST_OK);
        seq = store_seq(d.store);
        assert_int_equal(durable_checkpoint_begin(&d), ST_OK);
        assert_int_equal(
            pthread_create(&thread, NULL, run_checkpoint, d.checkpoint), 0);
        for (unsigned i = 0; i < 50; i++)
            assert_int_equal(durable_mutate(&d), ST_OK);
        assert_int_equal(durable_write(&d), ST_OK);
        assert_int_equal(durable_sync(&d), ST_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(checkpoint_end(d.checkpoint, d.log, &result), ST_OK);
        d.checkpoint = NULL;
        assert_int_equal(result.seq, seq);
        assert_true(digest_equal(result.digest, d.history.digests[seq]));
        assert_int_equal(durable_sync(&d), ST_OK);
        assert_int_equal(termlog_checkpoint_seq(d.log), seq);
        if (round % 5 == 4) {
            durable_abandon(&d);
            assert_int_equal(durable_open(&d, seq + 50), ST_OK);
            assert_int_equal(d.recovery.checkpoint, seq);
            assert_int_equal(d.recovery.records, 50);
        }
    }
    durable_deinit(&d);
    sim_io_free(sim);
}

static void the_last_checkpoint_is_not_made_twice(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct durable d;

    (void)state;
    durable_init(&d, sim, 5, SYNC_NONE, 8192);
    assert_int_equal(durable_open(&d, 0), ST_OK);
    assert_int_equal(durable_mutate(&d), ST_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(durable_checkpoint_begin(&d), ST_OK);
        assert_int_equal(d.checkpoint == NULL, i > 0);
        assert_int_equal(durable_checkpoint_end(&d), ST_OK);
        assert_int_equal(durable_sync(&d), ST_OK);
        if (i) {
            durable_abandon(&d);
            assert_int_equal(durable_open(&d, 1), ST_OK);
        }
    }
    durable_deinit(&d);
    sim_io_free(sim);
}

static void writing_is_cancelled_and_fails(void **state)
{
    struct world world;
    struct snapshot *snapshot;
    struct buffer whole;
    int error;

    (void)state;
    open_world(&world, 1, 60);
    for (unsigned i = 0; i < 600; i++)
        world_step(&world);
    whole = store_write(world.store);
    assert_int_equal(snapshot_take(world.store, &snapshot), ST_OK);
    assert_int_equal(snapshot_list(snapshot), ST_OK);
    for (size_t at = 1; at < whole.size; at += whole.size / 20) {
        struct sink sink = {.bytes = BUFFER(&test_mem), .cancel_at = at};
        const struct checkpoint_output output = {sink_write, &sink};
        enum status st = checkpoint_write(snapshot, store_id, 1, &output,
                                          &sink.cancel, NULL, &error);

        if (st != ST_OK || sink.bytes.size != whole.size) {
            assert_int_equal(st, ST_IO);
            assert_int_equal(error, ECANCELED);
        }
        sink.bytes.size = 0;
        sink.cancel_at = 0;
        sink.fail_at = at;
        assert_int_equal(checkpoint_write(snapshot, store_id, 1, &output, NULL,
                                          NULL, &error),
                         ST_IO);
        assert_int_equal(error, ENOSPC);
        buffer_free(&sink.bytes);
    }
    snapshot_release(snapshot);
    buffer_free(&whole);
    world_close(&world);
}

static void a_cancelled_job_leaves_nothing(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct checkpoint_result result;
    struct durable d;

    (void)state;
    durable_init(&d, sim, 5, SYNC_NONE, 8192);
    assert_int_equal(durable_open(&d, 0), ST_OK);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(durable_mutate(&d), ST_OK);
    assert_int_equal(durable_checkpoint_begin(&d), ST_OK);
    checkpoint_cancel(d.checkpoint);
    checkpoint_run(d.checkpoint);
    assert_int_equal(checkpoint_end(d.checkpoint, d.log, &result), ST_IO);
    d.checkpoint = NULL;
    assert_non_null(strstr(result.why, strerror(ECANCELED)));
    assert_false(sim_io_exists(sim, "ckpt.tmp"));
    assert_int_equal(durable_sync(&d), ST_OK);
    assert_int_equal(termlog_checkpoint_seq(d.log), 0);
    durable_deinit(&d);
    sim_io_free(sim);
}

/* A disk that flips a bit of the nth write from now. */
static const struct io_ops *honest;
static unsigned lie_at;

static ssize_t lying_pwrite(struct io *io, int fd, const void *data,
                            size_t size, uint64_t offset)
{
    uint8_t *lie = malloc(size);
    ssize_t result;

    REQUIRE(lie);
    memcpy(lie, data, size);
    if (lie_at && !--lie_at)
        lie[size / 2] ^= 4;
    result = honest->pwrite(io, fd, lie, size, offset);
    free(lie);
    return result;
}

/* Nothing old is given up for a checkpoint that nobody can read. */
static void what_is_written_is_read_back(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct checkpoint_result result;
    struct io_ops lying;
    struct durable d;
    unsigned nth = 1;

    (void)state;
    durable_init(&d, sim, 5, SYNC_NONE, 8192);
    assert_int_equal(durable_open(&d, 0), ST_OK);
    honest = d.io->ops;
    lying = *honest;
    lying.pwrite = lying_pwrite;
    d.io->ops = &lying;
    for (;; nth++) {
        enum status st;

        assert_int_equal(durable_mutate(&d), ST_OK);
        assert_int_equal(durable_checkpoint_begin(&d), ST_OK);
        lie_at = nth;
        checkpoint_run(d.checkpoint);
        st = checkpoint_end(d.checkpoint, d.log, &result);
        d.checkpoint = NULL;
        if (lie_at) /* there are not so many writes */
            break;
        assert_int_equal(st, ST_IO);
        assert_non_null(strstr(result.why, "read back"));
        assert_false(sim_io_exists(sim, "ckpt.tmp"));
        assert_int_equal(durable_sync(&d), ST_OK);
        assert_int_equal(termlog_checkpoint_seq(d.log), 0);
    }
    assert_true(nth > 4);
    lie_at = 0;
    durable_deinit(&d);
    sim_io_free(sim);
}

/* L9 for the part that belongs to the store. */
static void beginning_one_without_memory_changes_nothing(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct durable d;
    enum status st = ST_NO_MEMORY;

    (void)state;
    durable_init(&d, sim, 5, SYNC_NONE, 8192);
    assert_int_equal(durable_open(&d, 0), ST_OK);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(durable_mutate(&d), ST_OK);
    for (unsigned nth = 1; st == ST_NO_MEMORY; nth++) {
        size_t used = store_mem(d.store)->used;

        mem_fail_at(store_mem(d.store), nth, false);
        st = durable_checkpoint_begin(&d);
        mem_fail_at(store_mem(d.store), 0, false);
        if (st == ST_NO_MEMORY) {
            assert_null(d.checkpoint);
            assert_int_equal(store_mem(d.store)->used, used);
            must_be_sound(d.store);
        }
        assert_true(nth < 100);
    }
    assert_int_equal(st, ST_OK);
    /* And its end. */
    checkpoint_run(d.checkpoint);
    mem_fail_at(&d.mem, 1, true);
    {
        struct checkpoint_result result;

        assert_int_equal(checkpoint_end(d.checkpoint, d.log, &result),
                         ST_NO_MEMORY);
        d.checkpoint = NULL;
    }
    mem_fail_at(&d.mem, 0, false);
    assert_int_equal(durable_sync(&d), ST_OK);
    assert_int_equal(termlog_checkpoint_seq(d.log), 0);
    assert_int_equal(durable_mutate(&d), ST_OK);
    assert_int_equal(durable_checkpoint_begin(&d), ST_OK);
    assert_int_equal(durable_checkpoint_end(&d), ST_OK);
    assert_int_equal(durable_close(&d), ST_OK);
    assert_int_equal(durable_open(&d, 21), ST_OK);
    assert_int_equal(d.recovery.checkpoint, 21);
    durable_deinit(&d);
    sim_io_free(sim);
}

/* ---- damage ---- */

static void damage_is_refused_wherever_it_is(void **state)
{
    struct checkpoint_report report;
    struct random random;
    struct buffer whole;
    struct world world;
    struct store *loaded;

    (void)state;
    random_init(&random, random_seed());
    open_world(&world, 2, 30);
    for (unsigned i = 0; i < 120; i++)
        world_step(&world);
    whole = store_write(world.store);
    for (size_t at = 0; at < whole.size; at++) {
        uint8_t mask = (uint8_t)(1u << random_below(&random, 8));
        bool load = at % 4 == 0;
        enum status st;

        whole.data[at] ^= mask;
        st = bytes_read(buffer_bytes(&whole), load ? &loaded : NULL, &report);
        whole.data[at] ^= mask;
        if (st != ST_LOG_REFUSED || !report.why[0] || report.offset > at)
            fail_msg("byte %zu: status %d, @%llu", at, st,
                     (unsigned long long)report.offset);
        if (load)
            store_free(loaded);
        st = bytes_read(bytes_of(whole.data, at), load ? &loaded : NULL,
                        &report);
        if (st != ST_LOG_REFUSED || report.offset > at)
            fail_msg("cut to %zu: status %d", at, st);
        if (load)
            store_free(loaded);
    }
    for (unsigned byte = 0; byte < 2; byte++) { /* one more, or a zero more */
        uint8_t more = (uint8_t)byte;

        assert_int_equal(buffer_append(&whole, bytes_of(&more, 1)), ST_OK);
        assert_int_equal(bytes_read(buffer_bytes(&whole), NULL, &report),
                         ST_LOG_REFUSED);
        whole.size--;
    }
    buffer_free(&whole);
    world_close(&world);
}

/* ---- files that somebody has made ---- */

/* Records of a checkpoint, with checksums that are right. */
struct forged {
    struct buffer bytes;
    uint64_t number;
};

static void forge_begin(struct forged *f)
{
    struct file_header header = {.major = FORMAT_MAJOR,
                                 .kind = FILE_CHECKPOINT,
                                 .epoch = 1,
                                 .first_seq = 9};
    uint8_t bytes[FILE_HEADER_BYTES];

    memcpy(header.store_id, store_id, STORE_ID_BYTES);
    file_header_write(bytes, &header);
    f->bytes = BUFFER(&test_mem);
    f->number = 1;
    assert_int_equal(buffer_append(&f->bytes, bytes_of(bytes, sizeof(bytes))),
                     ST_OK);
}

static void forge_term(struct forged *f, unsigned type, struct bytes term)
{
    uint8_t head[RECORD_HEADER_BYTES + 1];

    record_header_write(head, record_seed(store_id), (enum record_type)type,
                        f->number, f->number, term);
    head[RECORD_HEADER_BYTES] = ETF_VERSION;
    f->number++;
    assert_int_equal(buffer_append(&f->bytes, bytes_of(head, sizeof(head))),
                     ST_OK);
    assert_int_equal(buffer_append(&f->bytes, term), ST_OK);
}

static void forge(struct forged *f, unsigned type, const char *hex)
{
    struct buffer term = BUFFER(&test_mem);

    term_maker_hex(hex, &term);
    forge_term(f, type, buffer_bytes(&term));
    buffer_free(&term);
}

/* Terms of the forged records; a table is named by a small integer. */
#define ATOM(size, name) "77 " size " '" name "' "
#define T0 "61 00 "
#define T1 "61 01 "
#define BEGIN(tables)                                                          \
    "68 02 " ATOM("0A", "checkpoint") "74 00000002 " ATOM(                     \
        "03", "seq") "61 09 " ATOM("06", "tables") "61 " tables
#define CREATE(table, type)                                                    \
    "68 04 " ATOM("0C", "create_table") table type "74 00000000"
#define SET ATOM("03", "set")
#define MANY ATOM("0C", "many_to_many")
#define ONE ATOM("0A", "one_to_one")
#define POM ATOM("03", "pom")
#define LOAD(table, side, count, elements)                                     \
    "68 04 " ATOM("04", "load") table ATOM("03", side) "6C " count elements "6A"
#define LOADED(table, count)                                                   \
    "68 03 " ATOM("06", "loaded") table                                        \
        "74 00000001 " ATOM("05", "count") "61 " count
#define LOADED_POM(table, count, next)                                         \
    "68 03 " ATOM("06", "loaded") table "74 00000002 " ATOM(                   \
        "05", "count") "61 " count ATOM("07", "next_id") "61 " next
#define N(n) "61 " n " "
#define PAIR(a, b) "68 02 61 " a " 61 " b " "

struct forgery {
    const char *what;
    struct {
        unsigned type;
        const char *hex;
    } records[12];
};

/* The end is made from what is really in it, so that only what is wrong is
 * wrong; a forgery that must fail before has none. */
static const struct forgery forgeries[] = {
    {"nothing", {{0, NULL}}},
    {"no end", {{16, BEGIN("00")}}},
    {"a table is missing", {{16, BEGIN("01")}, {20, ""}}},
    {"a table too many",
     {{16, BEGIN("00")},
      {17, CREATE(T0, SET)},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"no beginning", {{17, CREATE(T0, SET)}, {19, LOADED(T0, "00")}, {20, ""}}},
    {"two beginnings", {{16, BEGIN("00")}, {16, BEGIN("00")}, {20, ""}}},
    {"a table in a table",
     {{16, BEGIN("02")},
      {17, CREATE(T0, SET)},
      {17, CREATE(T1, SET)},
      {19, LOADED(T1, "00")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a table that is not closed",
     {{16, BEGIN("01")}, {17, CREATE(T0, SET)}, {20, ""}}},
    {"the same table twice",
     {{16, BEGIN("02")},
      {17, CREATE(T0, SET)},
      {19, LOADED(T0, "00")},
      {17, CREATE(T0, SET)},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"closed as another",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {19, LOADED(T1, "00")},
      {20, ""}}},
    {"closed twice",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {19, LOADED(T0, "00")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"elements of no table",
     {{16, BEGIN("00")}, {18, LOAD(T0, "fwd", "00000001", N("01"))}, {20, ""}}},
    {"elements of another table",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T1, "fwd", "00000001", N("01"))},
      {19, LOADED(T0, "01")},
      {20, ""}}},
    {"elements out of order",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T0, "fwd", "00000002", N("02") N("01"))},
      {19, LOADED(T0, "02")},
      {20, ""}}},
    {"an element twice",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T0, "fwd", "00000001", N("02"))},
      {18, LOAD(T0, "fwd", "00000001", N("02"))},
      {19, LOADED(T0, "02")},
      {20, ""}}},
    {"another count",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T0, "fwd", "00000001", N("02"))},
      {19, LOADED(T0, "02")},
      {20, ""}}},
    {"no count",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {19, "68 03 " ATOM("06", "loaded") T0 "74 00000000"},
      {20, ""}}},
    {"bwd of a set",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T0, "bwd", "00000001", N("02"))},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a side that is none",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, LOAD(T0, "foo", "00000001", N("02"))},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a list with a tail",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, "68 04 " ATOM("04", "load")
               T0 ATOM("03", "fwd") "6C 00000001 61 02 61 03"},
      {19, LOADED(T0, "01")},
      {20, ""}}},
    {"a string for a list",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, "68 04 " ATOM("04", "load") T0 ATOM("03", "fwd") "6B 0002 01 02"},
      {19, LOADED(T0, "02")},
      {20, ""}}},
    {"no list at all",
     {{16, BEGIN("01")},
      {17, CREATE(T0, SET)},
      {18, "68 04 " ATOM("04", "load") T0 ATOM("03", "fwd") "61 01"},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"junctions with one side",
     {{16, BEGIN("01")},
      {17, CREATE(T0, MANY)},
      {18, LOAD(T0, "fwd", "00000001", PAIR("01", "02"))},
      {19, LOADED(T0, "01")},
      {20, ""}}},
    {"sides that differ",
     {{16, BEGIN("01")},
      {17, CREATE(T0, MANY)},
      {18, LOAD(T0, "fwd", "00000001", PAIR("01", "02"))},
      {18, LOAD(T0, "bwd", "00000001", PAIR("03", "01"))},
      {19, LOADED(T0, "01")},
      {20, ""}}},
    {"a partner too many",
     {{16, BEGIN("01")},
      {17, CREATE(T0, ONE)},
      {18, LOAD(T0, "fwd", "00000002", PAIR("01", "02") PAIR("01", "03"))},
      {18, LOAD(T0, "bwd", "00000002", PAIR("02", "01") PAIR("03", "01"))},
      {19, LOADED(T0, "02")},
      {20, ""}}},
    {"a pair that is none",
     {{16, BEGIN("01")},
      {17, CREATE(T0, MANY)},
      {18, LOAD(T0, "fwd", "00000001", "68 01 61 01")},
      {19, LOADED(T0, "01")},
      {20, ""}}},
    {"row 0",
     {{16, BEGIN("01")},
      {17, CREATE(T0, POM)},
      {18, LOAD(T0, "fwd", "00000001", PAIR("00", "02"))},
      {19, LOADED_POM(T0, "01", "02")},
      {20, ""}}},
    {"a row behind the next id",
     {{16, BEGIN("01")},
      {17, CREATE(T0, POM)},
      {18, LOAD(T0, "fwd", "00000001", PAIR("07", "02"))},
      {19, LOADED_POM(T0, "01", "07")},
      {20, ""}}},
    {"a pom without a next id",
     {{16, BEGIN("01")},
      {17, CREATE(T0, POM)},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"an atom for a row",
     {{16, BEGIN("01")},
      {17, CREATE(T0, POM)},
      {18, LOAD(T0, "fwd", "00000001", "68 02 " ATOM("01", "a") "61 01")},
      {19, LOADED_POM(T0, "01", "07")},
      {20, ""}}},
    {"a type that is none",
     {{16, BEGIN("01")},
      {17, CREATE(T0, ATOM("03", "bag"))},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a type that is no word",
     {{16, BEGIN("01")},
      {17, CREATE(T0, "61 01 ")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"refers to nothing",
     {{16, BEGIN("01")},
      {17, "68 04 " ATOM("0C", "create_table") T0 SET
       "74 00000001 " ATOM("03", "fwd") "68 02 61 05 " ATOM("05", "evict")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"refers to itself",
     {{16, BEGIN("01")},
      {17, "68 04 " ATOM("0C", "create_table") T0 SET
       "74 00000001 " ATOM("03", "fwd") "68 02 " T0 ATOM("05", "evict")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a reference that does what",
     {{16, BEGIN("02")},
      {17, CREATE(T1, SET)},
      {19, LOADED(T1, "00")},
      {17, "68 04 " ATOM("0C", "create_table") T0 SET
       "74 00000001 " ATOM("03", "fwd") "68 02 " T1 ATOM("05", "evoke")},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a pom that refers",
     {{16, BEGIN("02")},
      {17, CREATE(T1, SET)},
      {19, LOADED(T1, "00")},
      {17, "68 04 " ATOM("0C", "create_table") T0 POM
       "74 00000001 " ATOM("03", "fwd") "68 02 " T1 ATOM("05", "evict")},
      {19, LOADED_POM(T0, "00", "01")},
      {20, ""}}},
    {"an option that is none",
     {{16, BEGIN("01")},
      {17, "68 04 " ATOM("0C", "create_table") T0 SET
       "74 00000001 " ATOM("03", "foo") "61 01"},
      {19, LOADED(T0, "00")},
      {20, ""}}},
    {"a record without a place", {{16, BEGIN("00")}, {1, "6A"}, {20, ""}}},
    {"a record of no known type", {{16, BEGIN("00")}, {99, "6A"}, {20, ""}}},
    {"another word for it", {{16, BEGIN("00")}, {20, "6A"}}},
    {"another seq at the end",
     {{16, BEGIN("00")},
      {20,
       "68 02 " ATOM("0E", "checkpoint_end") "74 00000002 " ATOM(
           "03",
           "seq") "61 08 " ATOM("06",
                                "digest") "6D 00000010 '0123456789abcdef'"}}},
    {"another digest",
     {{16, BEGIN("00")},
      {20,
       "68 02 " ATOM("0E", "checkpoint_end") "74 00000002 " ATOM(
           "03",
           "seq") "61 09 " ATOM("06",
                                "digest") "6D 00000010 '0123456789abcdef'"}}},
    {"a digest that is short",
     {{16, BEGIN("00")},
      {20,
       "68 02 " ATOM("0E", "checkpoint_end") "74 00000002 " ATOM(
           "03",
           "seq") "61 09 " ATOM("06",
                                "digest") "6D 0000000F '0123456789abcde'"}}},
    {"something behind it", {{16, BEGIN("00")}, {20, ""}, {200, "6A"}}},
    {"bytes behind a term", {{16, BEGIN("00") " 6A"}, {20, ""}}},
    {"no term", {{16, BEGIN("00")}, {200, "FF"}, {20, ""}}},
};

static void forge_end(struct forged *f, struct digest digest)
{
    uint8_t bytes[DIGEST_BYTES];
    struct buffer term = BUFFER(&test_mem);

    digest_store(bytes, digest);
    term_maker_hex("68 02 " ATOM("0E", "checkpoint_end") "74 00000002 " ATOM(
                       "03", "seq") "61 09 " ATOM("06", "digest"),
                   &term);
    assert_int_equal(etf_put_binary(&term, bytes_of(bytes, sizeof(bytes))), 0);
    forge_term(f, 20, buffer_bytes(&term));
    buffer_free(&term);
}

static enum status forge_read(const struct forgery *forgery, const char **ret)
{
    static struct checkpoint_report report;
    struct digest digest = {0, 0};
    struct store *store = NULL;
    enum status st = ST_OK;

    /* Once to learn which digest would be right, and once with it. */
    for (unsigned round = 0; round < 2; round++) {
        struct forged f;

        forge_begin(&f);
        for (unsigned i = 0; forgery->records[i].hex; i++) {
            if (forgery->records[i].hex[0])
                forge(&f, forgery->records[i].type, forgery->records[i].hex);
            else
                forge_end(&f, digest);
        }
        bytes_read(buffer_bytes(&f.bytes), NULL, &report);
        st = bytes_read(buffer_bytes(&f.bytes), &store, &report);
        digest = store_digest(store);
        if (st == ST_OK)
            must_be_sound(store);
        store_free(store);
        buffer_free(&f.bytes);
    }
    *ret = report.why;
    return st;
}

static void forgeries_are_refused(void **state)
{
    /* And one is not, to show that the others fail for what they say. */
    static const struct forgery good = {
        "good",
        {{16, BEGIN("02")},
         {17, CREATE(T0, SET)},
         {18, LOAD(T0, "fwd", "00000002", N("02") N("03"))},
         {200, "6A"},
         {18, LOAD(T0, "fwd", "00000001", N("04"))},
         {19, LOADED(T0, "03")},
         {17, "68 04 " ATOM("0C", "create_table") T1 MANY
          "74 00000001 " ATOM("03", "bwd") "68 02 " T0 ATOM("05", "evict")},
         {18, LOAD(T1, "fwd", "00000001", PAIR("01", "02"))},
         {18, LOAD(T1, "bwd", "00000001", PAIR("02", "01"))},
         {19, LOADED(T1, "01")},
         {20, ""}}};
    const char *why;

    (void)state;
    if (forge_read(&good, &why) != ST_OK)
        fail_msg("the good one is refused: %s", why);
    for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++)
        if (forge_read(&forgeries[i], &why) != ST_LOG_REFUSED || !why[0])
            fail_msg("accepted: %s", forgeries[i].what);
}

static void records_are_numbered(void **state)
{
    struct store *empty;
    struct digest digest;

    (void)state;
    assert_int_equal(store_create(NULL, &empty), ST_OK);
    digest = store_digest(empty);
    store_free(empty);
    for (unsigned skipped = 0; skipped < 3; skipped++) {
        struct checkpoint_report report;
        struct store *store;
        struct forged f;
        enum status st;

        forge_begin(&f);
        f.number += skipped == 2;
        forge(&f, 16, BEGIN("00"));
        f.number += skipped == 1;
        forge_end(&f, digest);
        st = bytes_read(buffer_bytes(&f.bytes), &store, &report);
        assert_int_equal(st, skipped ? ST_LOG_REFUSED : ST_OK);
        store_free(store);
        buffer_free(&f.bytes);
    }
}

/* Payloads changed at random, with checksums that are right: whatever is
 * accepted is a sound store. */
static void changed_payloads_do_no_harm(void **state)
{
    struct random random;
    struct buffer whole;
    struct world world;
    unsigned accepted = 0;

    (void)state;
    random_init(&random, random_seed());
    open_world(&world, 4, 12);
    for (unsigned i = 0; i < 150; i++)
        world_step(&world);
    whole = store_write(world.store);
    for (uint64_t n = durable_scale(20000); n > 0; n--) {
        struct checkpoint_report report;
        struct forged f;
        struct store *store;
        size_t at = FILE_HEADER_BYTES;
        unsigned changes = 1 + (unsigned)random_below(&random, 3);
        enum status st;

        forge_begin(&f);
        while (at < whole.size) {
            const uint8_t *header = whole.data + at;
            size_t size = load_be32(header + 8);
            uint8_t term[70000];
            unsigned type = header[12];

            memcpy(term, header + RECORD_HEADER_BYTES + 1, size - 1);
            if (changes && random_below(&random, 12) == 0) {
                size_t place = (size_t)random_below(&random, size - 1);

                changes--;
                switch (random_below(&random, 5)) {
                case 0:
                    term[place] ^= (uint8_t)(1u << random_below(&random, 8));
                    break;
                case 1:
                    term[place] = (uint8_t)random_next(&random);
                    break;
                case 2: /* a tag, perhaps */
                    term[place] = (uint8_t)(96 + random_below(&random, 24));
                    break;
                case 3:
                    if (place)
                        size = place + 1;
                    break;
                default:
                    type = 16 + (unsigned)random_below(&random, 6);
                    break;
                }
            }
            at += RECORD_HEADER_BYTES + load_be32(header + 8);
            forge_term(&f, type, bytes_of(term, size - 1));
        }
        bytes_read(buffer_bytes(&f.bytes), NULL, &report);
        st = bytes_read(buffer_bytes(&f.bytes), &store, &report);
        assert_true(st == ST_OK || st == ST_LOG_REFUSED);
        if (st == ST_OK) {
            accepted++;
            must_be_sound(store);
        }
        store_free(store);
        buffer_free(&f.bytes);
    }
    printf("%u changes were none\n", accepted);
    buffer_free(&whole);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store_comes_back),
        cmocka_unit_test(random_stores_come_back),
        cmocka_unit_test(equal_stores_make_equal_files),
        cmocka_unit_test(deep_and_huge_things_come_back),
        cmocka_unit_test(next_ids_come_back),
        cmocka_unit_test(terms_of_all_forms_come_back),
        cmocka_unit_test(a_snapshot_is_written_as_it_was),
        cmocka_unit_test(a_worker_writes_while_the_store_goes_on),
        cmocka_unit_test(the_last_checkpoint_is_not_made_twice),
        cmocka_unit_test(writing_is_cancelled_and_fails),
        cmocka_unit_test(a_cancelled_job_leaves_nothing),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(beginning_one_without_memory_changes_nothing),
        cmocka_unit_test(damage_is_refused_wherever_it_is),
        cmocka_unit_test(forgeries_are_refused),
        cmocka_unit_test(records_are_numbered),
        cmocka_unit_test(changed_payloads_do_no_harm),
    };
    int failed;

    mem_init(&test_mem, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed)
        REQUIRE(test_mem.used == 0);
    return failed;
}
