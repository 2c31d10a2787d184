/*
 * test_termlog.c -- the log at work: what is appended stands in the files,
 * what is said to be durable is, and a disk without room is an answer and not
 * an accident.
 *
 * Crashes and failing calls at every place are test_crash.c's affair.
 */
#include "log/termlog.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "core/etf.h"
#include "log/reader.h"

#include "support/durable.h"

#define SEGMENT 4096

/* ---- what every test here begins with ---- */

struct fixture {
    struct sim_io *sim;
    struct durable d;
};

static void begin(struct fixture *f, enum sync_policy policy)
{
    f->sim = sim_io_create();
    durable_init(&f->d, f->sim, 4711, policy, SEGMENT);
    assert_int_equal(durable_open(&f->d, 0), ST_OK);
}

static void end(struct fixture *f)
{
    durable_deinit(&f->d);
    sim_io_free(f->sim);
}

/* A new process on the same disk. */
static void reopen(struct fixture *f)
{
    durable_abandon(&f->d);
    assert_int_equal(durable_open(&f->d, f->d.written), ST_OK);
}

static void mutate(struct fixture *f, unsigned count)
{
    while (count-- > 0)
        assert_int_equal(durable_mutate(&f->d), ST_OK);
}

/* Appends a mutation that no store knows of, of about `size` bytes. */
static enum status append(struct termlog *log, size_t size)
{
    static uint8_t term[1 << 20] = {ETF_BINARY};

    store_be32(term + 1, (uint32_t)size);
    return termlog_append(log, termlog_appended(log) + 1,
                          bytes_of(term, size + 5));
}

/* The records of a file, as a string: m mutation, k mark, c close, d digest,
 * r roll. Seqs ascend by one with each m. */
static void records(struct sim_io *sim, const char *name, char *ret)
{
    static const char letters[] = "?mkcdr";
    struct io *io = sim_io_open(sim);
    struct log_reader *reader;
    struct record record;
    struct mem mem;
    uint64_t seq;
    int error;

    mem_init(&mem, 0);
    assert_int_equal(log_reader_open(io, name, &mem, &reader, &error), ST_OK);
    seq = log_reader_header(reader)->first_seq - 1;
    while (log_reader_next(reader, &record) == LOG_RECORD) {
        seq += record.type == RECORD_MUTATION;
        assert_int_equal(record.seq, seq);
        *ret++ = letters[record.type];
    }
    *ret = '\0';
    log_reader_close(reader);
    io_free(io);
}

static void must_hold(struct fixture *f, uint64_t first_seq, const char *wanted)
{
    char name[FILE_NAME_BYTES];
    char found[1000];

    segment_name(name, first_seq);
    records(f->sim, name, found);
    assert_string_equal(found, wanted);
}

static unsigned count_files(struct sim_io *sim);

/* ---- append, write, sync ---- */

static void appended_is_not_written_and_written_not_durable(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    assert_false(termlog_sync_needed(f.d.log));
    mutate(&f, 3);
    assert_int_equal(termlog_appended(f.d.log), 3);
    assert_int_equal(termlog_written(f.d.log), 0);
    assert_int_equal(termlog_durable(f.d.log), 0);
    assert_true(termlog_pending_bytes(f.d.log) > 0);
    must_hold(&f, 1, "");
    assert_int_equal(termlog_write(f.d.log), ST_OK);
    assert_int_equal(termlog_written(f.d.log), 3);
    assert_int_equal(termlog_durable(f.d.log), 0);
    assert_int_equal(termlog_pending_bytes(f.d.log), 0);
    must_hold(&f, 1, "mmm");
    assert_true(termlog_sync_needed(f.d.log));
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    assert_int_equal(termlog_durable(f.d.log), 3);
    assert_false(termlog_sync_needed(f.d.log));
    assert_int_equal(termlog_sync(f.d.log), ST_OK); /* nothing to be done */
    end(&f);
}

static void nothing_is_written_until_something_is_appended(void **state)
{
    static const uint32_t changes =
        SIM_KIND(SIM_PWRITE) | SIM_KIND(SIM_RENAME) | SIM_KIND(SIM_UNLINK);
    struct fixture f;
    uint64_t calls;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 3);
    assert_int_equal(durable_close(&f.d), ST_OK);
    calls = sim_io_calls(f.sim, changes);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(durable_open(&f.d, 3), ST_OK);
        assert_true(f.d.recovery.clean);
        assert_int_equal(durable_close(&f.d), ST_OK);
    }
    assert_int_equal(sim_io_calls(f.sim, changes), calls);
    end(&f);
}

static void a_job_covers_what_was_appended_before_it(void **state)
{
    struct fixture f;
    struct sync_job *second;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 2);
    assert_int_equal(durable_sync_begin(&f.d), ST_OK);
    assert_non_null(f.d.sync);
    assert_int_equal(termlog_written(f.d.log), 2);
    mutate(&f, 3);
    assert_int_equal(termlog_write(f.d.log), ST_OK);
    assert_int_equal(termlog_sync_begin(f.d.log, &second), ST_OK);
    assert_null(second); /* one at a time */
    assert_int_equal(durable_sync_end(&f.d), ST_OK);
    assert_int_equal(termlog_durable(f.d.log), 2);
    assert_true(termlog_sync_needed(f.d.log));
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    assert_int_equal(termlog_durable(f.d.log), 5);
    end(&f);
}

/* Rolled segments, of which a job syncs those that there were. */
static void segments_end_while_a_job_runs(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 2);
    assert_int_equal(termlog_roll(f.d.log), ST_OK);
    mutate(&f, 1);
    assert_int_equal(durable_sync_begin(&f.d), ST_OK);
    for (unsigned i = 0; i < 5; i++) {
        mutate(&f, 1);
        assert_int_equal(termlog_roll(f.d.log), ST_OK);
    }
    assert_int_equal(durable_sync_end(&f.d), ST_OK);
    assert_int_equal(termlog_durable(f.d.log), 3);
    assert_true(termlog_sync_due(f.d.log));
    assert_int_equal(durable_sync(&f.d), ST_OK);
    assert_int_equal(termlog_durable(f.d.log), 8);
    assert_false(termlog_sync_due(f.d.log));
    reopen(&f);
    assert_int_equal(f.d.recovery.seq, 8);
    end(&f);
}

/* How many calls write what is pending, which has to be something. */
static uint64_t writes_of(struct fixture *f)
{
    uint64_t before = sim_io_calls(f->sim, SIM_KIND(SIM_PWRITE));

    assert_true(termlog_pending_bytes(f->d.log) > 0);
    assert_int_equal(termlog_write(f->d.log), ST_OK);
    return sim_io_calls(f->sim, SIM_KIND(SIM_PWRITE)) - before;
}

/* Zeros before the first bytes of a window, and never over a record. */
static void a_busy_log_enters_windows(void **state)
{
    static const uint64_t window = 64u << 10;
    char name[FILE_NAME_BYTES];
    char wanted[101] = "", found[1000];
    uint64_t end = FILE_HEADER_BYTES;
    struct bytes file;
    struct fixture f = {.sim = sim_io_create()};

    (void)state;
    durable_init(&f.d, f.sim, 4711, SYNC_NONE, 1 << 20);
    assert_int_equal(durable_open(&f.d, 0), ST_OK);
    for (unsigned i = 0; i < 100; i++) {
        /* The first 20 are small: those fill no window. */
        size_t size = i < 20 ? 4000 : i % 10 ? 9000 : 70000;
        uint64_t begun = end;
        bool enters;

        if (end + size + 1000 > 1 << 20)
            size = 10;
        assert_int_equal(append(f.d.log, size), ST_OK);
        end += termlog_pending_bytes(f.d.log);
        enters = size >= 9000 && end / window > begun / window;
        assert_int_equal(writes_of(&f), 1 + enters);
        wanted[i] = 'm';
    }
    segment_name(name, 1);
    records(f.sim, name, found);
    assert_string_equal(found, wanted);
    file = sim_io_file(f.sim, name);
    assert_true(file.size > end);
    for (uint64_t at = end; at < file.size; at++)
        assert_int_equal(file.data[at], 0);
    durable_abandon(&f.d);
    durable_deinit(&f.d);
    sim_io_free(f.sim);
}

static void *run_job(void *job)
{
    termlog_sync_run(job);
    return NULL;
}

static void a_worker_syncs_while_the_loop_goes_on(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    for (unsigned round = 0; round < 200; round++) {
        struct sync_job *job;
        pthread_t thread;
        uint64_t seq;

        mutate(&f, 1);
        assert_int_equal(termlog_sync_begin(f.d.log, &job), ST_OK);
        assert_non_null(job);
        seq = termlog_written(f.d.log);
        assert_int_equal(pthread_create(&thread, NULL, run_job, job), 0);
        for (unsigned i = 0; i < 8; i++) {
            mutate(&f, 1);
            if (i % 3 == 0)
                assert_int_equal(termlog_write(f.d.log), ST_OK);
            if (round % 16 == i)
                assert_int_equal(termlog_roll(f.d.log), ST_OK);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(termlog_sync_end(f.d.log, job), ST_OK);
        assert_int_equal(termlog_durable(f.d.log), seq);
    }
    assert_int_equal(durable_close(&f.d), ST_OK);
    assert_int_equal(durable_open(&f.d, 0), ST_OK);
    assert_int_equal(f.d.recovery.seq, 1800);
    end(&f);
}

/* ---- records that are no mutations ---- */

static void a_mark_is_put_when_the_last_record_claims_less(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    assert_false(termlog_append_mark(f.d.log)); /* no segment */
    mutate(&f, 2);
    assert_false(termlog_append_mark(f.d.log)); /* nothing is durable */
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    assert_true(termlog_append_mark(f.d.log));
    assert_false(termlog_append_mark(f.d.log)); /* it is there */
    assert_true(termlog_sync_needed(f.d.log));
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    assert_false(termlog_append_mark(f.d.log));
    mutate(&f, 1);
    assert_false(termlog_append_mark(f.d.log)); /* not all is durable */
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    must_hold(&f, 1, "mmkm");
    reopen(&f);
    assert_int_equal(f.d.recovery.seq, 3);
    assert_false(termlog_append_mark(f.d.log));
    end(&f);
}

/* Each record tells what was durable when it was made; no more, no less. */
static void records_say_what_is_durable(void **state)
{
    static const uint64_t claims[] = {0, 0, 2, 2, 2, 5, 5};
    struct fixture f;
    struct io *io;
    struct log_reader *reader;
    struct record record;
    struct mem mem;
    int error;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 2);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    mutate(&f, 2);
    assert_int_equal(durable_sync_begin(&f.d), ST_OK); /* under way */
    mutate(&f, 1);
    assert_int_equal(durable_sync_end(&f.d), ST_OK);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    mutate(&f, 2);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    mem_init(&mem, 0);
    io = sim_io_open(f.sim);
    assert_int_equal(
        log_reader_open(io, "log-0000000000000001.tlg", &mem, &reader, &error),
        ST_OK);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(log_reader_next(reader, &record), LOG_RECORD);
        assert_int_equal(record.seq, i + 1);
        assert_int_equal(record.durable, claims[i]);
    }
    log_reader_close(reader);
    io_free(io);
    end(&f);
}

static void digests_are_recorded_and_compared(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    assert_false(termlog_digest_due(f.d.log));
    mutate(&f, 3);
    assert_int_equal(durable_digest(&f.d), ST_OK);
    assert_false(termlog_digest_due(f.d.log));
    mutate(&f, 1);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    must_hold(&f, 1, "mmmdm");
    reopen(&f);
    assert_int_equal(f.d.recovery.digests, 1);

    /* Another digest than the store's is refused when it is read. */
    mutate(&f, 1);
    termlog_append_digest(f.d.log, (struct digest){1, 2});
    assert_int_equal(durable_sync(&f.d), ST_OK);
    durable_abandon(&f.d);
    assert_int_equal(durable_open(&f.d, 0), ST_LOG_REFUSED);
    assert_non_null(strstr(f.d.recovery.why, "digest"));
    end(&f);
}

static void a_digest_is_due_every_so_many_mutations(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    for (unsigned i = 1; i < DIGEST_EVERY; i++) {
        assert_int_equal(append(f.d.log, 1), ST_OK);
        if (termlog_digest_due(f.d.log))
            fail_msg("due after %u", i);
        if (termlog_pending_bytes(f.d.log) > 3000)
            assert_int_equal(termlog_sync(f.d.log), ST_OK);
    }
    assert_int_equal(append(f.d.log, 1), ST_OK);
    assert_true(termlog_digest_due(f.d.log));
    termlog_append_digest(f.d.log, (struct digest){1, 2});
    assert_false(termlog_digest_due(f.d.log));
    end(&f);
}

static void an_orderly_end_leaves_no_room_and_no_doubt(void **state)
{
    char name[FILE_NAME_BYTES];
    struct bytes file;
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    mutate(&f, 5);
    assert_int_equal(durable_close(&f.d), ST_OK);
    must_hold(&f, 1, "mmmmmc");
    segment_name(name, 1);
    file = sim_io_file(f.sim, name);
    assert_true(file.size < 65536 && file.data[file.size - 1] != 0);
    assert_true(bytes_equal(file, sim_io_file_durable(f.sim, name)));
    for (uint64_t epoch = 2; epoch < 5; epoch++) {
        struct termlog_figures figures;

        assert_int_equal(durable_open(&f.d, f.d.written), ST_OK);
        assert_true(f.d.recovery.clean);
        assert_int_equal(f.d.recovery.digests, epoch - 1);
        termlog_figures(f.d.log, &figures);
        assert_int_equal(figures.epoch, epoch);
        mutate(&f, 1);
        assert_int_equal(durable_close(&f.d), ST_OK);
    }
    assert_int_equal(durable_open(&f.d, f.d.written), ST_OK);
    mutate(&f, 1);
    reopen(&f);
    assert_false(f.d.recovery.clean);
    end(&f);
}

/* ---- segments ---- */

static void a_full_segment_is_succeeded(void **state)
{
    struct termlog_figures figures;
    struct fixture f;
    uint64_t first;

    (void)state;
    begin(&f, SYNC_NONE);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(append(f.d.log, 500), ST_OK);
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    termlog_figures(f.d.log, &figures);
    assert_int_equal(figures.segments, 6);
    for (first = 1; first < 36; first += 7)
        must_hold(&f, first, "mmmmmmmr");
    must_hold(&f, 36, "mmmmm");
    assert_false(figures.full);
    assert_int_equal(figures.epoch, 1);
    assert_true(figures.log_bytes > 40 * 500 && figures.log_bytes < 40 * 560);
    end(&f);
}

static void records_may_be_larger_than_a_segment(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    assert_int_equal(append(f.d.log, 1000000), ST_OK);
    assert_int_equal(append(f.d.log, 10), ST_OK);
    assert_int_equal(append(f.d.log, 200000), ST_OK);
    assert_int_equal(append(f.d.log, 200000), ST_OK);
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    must_hold(&f, 1, "mr");
    must_hold(&f, 2, "mr");
    must_hold(&f, 3, "mr");
    must_hold(&f, 4, "m");
    end(&f);
}

static void rolling_a_segment_without_a_mutation_does_nothing(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    assert_int_equal(termlog_roll(f.d.log), ST_OK);
    assert_int_equal(count_files(f.sim), 2); /* MANIFEST, LOCK */
    mutate(&f, 1);
    assert_int_equal(termlog_roll(f.d.log), ST_OK);
    assert_int_equal(termlog_roll(f.d.log), ST_OK);
    assert_int_equal(count_files(f.sim), 4);
    end(&f);
}

static void a_segment_without_a_mutation_is_replaced(void **state)
{
    struct termlog_figures figures;
    struct fixture f;
    char name[FILE_NAME_BYTES];

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 3);
    assert_int_equal(termlog_roll(f.d.log), ST_OK);
    assert_int_equal(durable_sync(&f.d), ST_OK); /* it is listed now */
    assert_int_equal(durable_digest(&f.d), ST_OK);
    must_hold(&f, 4, "d");
    for (unsigned life = 0; life < 3; life++) {
        reopen(&f);
        assert_int_equal(f.d.recovery.seq, 3);
    }
    segment_name(name, 4);
    mutate(&f, 1);
    termlog_figures(f.d.log, &figures);
    assert_int_equal(figures.segments, 2);
    /* Its header was on the disk before the name meant it: the old file may
     * have been needed. */
    assert_memory_equal(sim_io_file_durable(f.sim, name).data, "\x89TLG", 4);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    must_hold(&f, 4, "m");
    reopen(&f);
    assert_int_equal(f.d.recovery.seq, 4);
    end(&f);
}

static unsigned counted;

static void count_one(void *context, const char *name)
{
    (void)context;
    (void)name;
    counted++;
}

static unsigned count_files(struct sim_io *sim)
{
    counted = 0;
    sim_io_each_name(sim, count_one, NULL);
    return counted;
}

static void leftovers_are_swept_and_other_files_are_not(void **state)
{
    static const char *const ours[] = {"log.tmp", "ckpt.tmp", "MANIFEST.tmp",
                                       "ckpt-0000000000000001.tlg",
                                       "log-0000000000000001.tlg"};
    static const char *const others[] = {"notes.txt", "log-1.tlg",
                                         "log-000000000000000G.tlg",
                                         "ckpt-0000000000000001.tlg.old"};
    struct fixture f;
    unsigned count;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 3);
    assert_int_equal(durable_checkpoint_begin(&f.d), ST_OK);
    assert_int_equal(durable_checkpoint_end(&f.d), ST_OK);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    assert_false(sim_io_exists(f.sim, "log-0000000000000001.tlg"));
    durable_abandon(&f.d);
    count = count_files(f.sim);
    for (unsigned i = 0; i < 5; i++)
        sim_io_put_file(f.sim, ours[i], BYTES("what is left"));
    for (unsigned i = 0; i < 4; i++)
        sim_io_put_file(f.sim, others[i], BYTES("somebody's"));
    assert_int_equal(durable_open(&f.d, 3), ST_OK);
    mutate(&f, 1);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    for (unsigned i = 0; i < 5; i++)
        assert_false(sim_io_exists(f.sim, ours[i]));
    for (unsigned i = 0; i < 4; i++)
        assert_true(sim_io_exists(f.sim, others[i]));
    assert_int_equal(count_files(f.sim), count + 4);
    end(&f);
}

/* ---- a full disk ---- */

static void a_full_disk_refuses_and_then_goes_on(void **state)
{
    const char *what, *file;
    struct termlog_figures figures;
    struct fixture f;
    enum status st;
    uint64_t seq;

    (void)state;
    for (unsigned extra = 0; extra < 9000; extra += 500) {
        begin(&f, SYNC_ALWAYS);
        mutate(&f, 2);
        assert_int_equal(durable_sync(&f.d), ST_OK);
        sim_io_set_capacity(f.sim, sim_io_used(f.sim) + extra);
        for (unsigned i = 0; i < 5000; i++) {
            st = durable_mutate(&f.d);
            if (st != ST_OK)
                break;
            assert_int_equal(durable_write(&f.d), ST_OK);
        }
        assert_int_equal(st, ST_LOG_FULL);
        assert_int_equal(termlog_error(f.d.log, &what, &file), ENOSPC);
        assert_non_null(strstr(file, ".tlg"));
        termlog_figures(f.d.log, &figures);
        assert_true(figures.full);
        seq = termlog_appended(f.d.log);
        for (unsigned i = 0; i < 5; i++) { /* and nothing is done */
            assert_int_equal(append(f.d.log, 3000), ST_LOG_FULL);
            assert_int_equal(termlog_appended(f.d.log), seq);
        }
        /* What was taken is safe all the same. */
        assert_int_equal(durable_sync(&f.d), ST_OK);
        assert_int_equal(termlog_durable(f.d.log), seq);

        if (extra % 1000) { /* a new process has no room either */
            reopen(&f);
            assert_int_equal(f.d.recovery.seq, seq);
            assert_int_equal(append(f.d.log, 70000), ST_LOG_FULL);
        }
        sim_io_set_capacity(f.sim, UINT64_MAX);
        mutate(&f, 50);
        assert_int_equal(durable_sync(&f.d), ST_OK);
        termlog_figures(f.d.log, &figures);
        assert_false(figures.full);
        assert_false(termlog_sync_needed(f.d.log));
        assert_int_equal(durable_close(&f.d), ST_OK);
        assert_int_equal(durable_open(&f.d, seq + 50), ST_OK);
        end(&f);
    }
}

/* However little is left, an orderly end fits, and so does a digest. */
static void a_full_disk_leaves_room_for_an_end(void **state)
{
    (void)state;
    for (unsigned size = 1; size < 40; size++) {
        struct fixture f;
        enum status st;

        begin(&f, SYNC_ALWAYS);
        assert_int_equal(append(f.d.log, 1000 + size), ST_OK);
        sim_io_set_capacity(f.sim, sim_io_used(f.sim) + size * 7);
        do
            st = append(f.d.log, size % 4);
        while (st == ST_OK);
        assert_int_equal(st, ST_LOG_FULL);
        assert_int_equal(termlog_roll(f.d.log), ST_LOG_FULL);
        assert_int_equal(termlog_write(f.d.log), ST_OK);
        if (size % 2) {
            termlog_append_digest(f.d.log, (struct digest){1, 2});
            assert_int_equal(termlog_write(f.d.log), ST_OK);
        }
        assert_int_equal(termlog_close(f.d.log, (struct digest){1, 2}), ST_OK);
        end(&f);
    }
}

static void a_file_limit_is_a_full_disk(void **state)
{
    const char *what, *file;
    struct fixture f;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    sim_io_set_file_limit(f.sim, 100000);
    assert_int_equal(append(f.d.log, 90000), ST_OK);
    assert_int_equal(append(f.d.log, 110000), ST_LOG_FULL);
    assert_int_equal(termlog_error(f.d.log, &what, &file), EFBIG);
    assert_int_equal(append(f.d.log, 90000), ST_OK); /* in its own segment */
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    end(&f);
}

static void a_new_store_needs_room_for_its_manifest(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct durable d;

    (void)state;
    durable_init(&d, sim, 1, SYNC_ALWAYS, SEGMENT);
    sim_io_set_capacity(sim, 100);
    assert_int_equal(durable_open(&d, 0), ST_LOG_FULL);
    assert_int_equal(d.error, ENOSPC);
    assert_false(sim_io_exists(sim, "MANIFEST"));
    sim_io_set_capacity(sim, 300); /* and no more to be read */
    assert_int_equal(durable_open(&d, 0), ST_OK);
    assert_int_equal(durable_mutate(&d), ST_LOG_FULL);
    assert_int_equal(durable_close(&d), ST_OK);
    durable_deinit(&d);
    sim_io_free(sim);
}

static void a_checkpoint_without_room_changes_nothing(void **state)
{
    struct fixture f;
    unsigned full = 0;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 60);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    for (unsigned extra = 0; extra < 80000; extra += 2000) {
        uint64_t used = sim_io_used(f.sim);
        enum status st;

        sim_io_set_capacity(f.sim, used + extra);
        st = durable_checkpoint_begin(&f.d);
        if (st == ST_OK)
            st = durable_checkpoint_end(&f.d);
        assert_false(sim_io_exists(f.sim, "ckpt.tmp"));
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_LOG_FULL);
        full++;
        assert_int_equal(durable_sync(&f.d), ST_OK);
        assert_int_equal(termlog_checkpoint_seq(f.d.log), 0);
        reopen(&f);
        assert_int_equal(f.d.recovery.seq, 60);
        assert_int_equal(f.d.recovery.checkpoint, 0);
    }
    assert_true(full > 0 && f.d.checkpoints == 1);
    sim_io_set_capacity(f.sim, UINT64_MAX);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    assert_int_equal(termlog_checkpoint_seq(f.d.log), 60);
    reopen(&f);
    assert_int_equal(f.d.recovery.checkpoint, 60);
    end(&f);
}

/* The manifest has no room: what is durable goes on, the rest waits. */
static void the_manifest_is_put_off(void **state)
{
    struct fixture f;
    uint64_t seq;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 10);
    assert_int_equal(durable_checkpoint_begin(&f.d), ST_OK);
    assert_int_equal(durable_checkpoint_end(&f.d), ST_OK);
    mutate(&f, 1);
    seq = termlog_appended(f.d.log);
    sim_io_fail(f.sim, (struct sim_fault){.kinds = SIM_KIND(SIM_OPEN),
                                          .at = 1,
                                          .on = true,
                                          .error = ENOSPC});
    for (unsigned i = 0; i < 3; i++) {
        mutate(&f, 1); /* there is room in the file */
        assert_int_equal(durable_sync(&f.d), ST_OK);
        assert_int_equal(termlog_durable(f.d.log), ++seq);
        assert_int_equal(termlog_checkpoint_seq(f.d.log), 0);
        assert_true(sim_io_exists(f.sim, "log-0000000000000001.tlg"));
        assert_true(termlog_sync_due(f.d.log));
    }
    sim_io_heal(f.sim);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    assert_int_equal(termlog_checkpoint_seq(f.d.log), 10);
    assert_false(sim_io_exists(f.sim, "log-0000000000000001.tlg"));
    assert_false(termlog_sync_due(f.d.log));
    reopen(&f);
    assert_int_equal(f.d.recovery.checkpoint, 10);
    assert_int_equal(f.d.recovery.seq, seq);
    end(&f);
}

/* What frees the room must not wait for the room. */
static void a_full_log_lets_a_checkpoint_take_its_place(void **state)
{
    struct termlog_figures figures;
    struct fixture f;
    uint64_t seq;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 60);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    sim_io_set_capacity(f.sim, sim_io_used(f.sim) + 200000);
    assert_int_equal(append(f.d.log, 300000), ST_LOG_FULL);
    seq = termlog_appended(f.d.log);
    assert_int_equal(durable_checkpoint_begin(&f.d), ST_OK);
    assert_int_equal(durable_checkpoint_end(&f.d), ST_OK);
    termlog_figures(f.d.log, &figures);
    assert_true(figures.full);
    assert_true(termlog_sync_due(f.d.log));
    assert_int_equal(figures.checkpoint_bytes, 0); /* not there yet */
    assert_int_equal(durable_sync(&f.d), ST_OK);
    assert_int_equal(termlog_checkpoint_seq(f.d.log), seq);
    termlog_figures(f.d.log, &figures);
    assert_true(figures.checkpoint_bytes > 0);
    assert_false(sim_io_exists(f.sim, "log-0000000000000001.tlg"));
    end(&f);
}

/* An unsynced directory is never "no room": it may have lost a segment. */
static void a_directory_that_cannot_be_synced_ends_the_log(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    struct fixture f;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct sim_fault fault = {
            .kinds = SIM_KIND(SIM_SYNC_DIRECTORY), .at = 1, .error = errors[i]};

        /* That of a checkpoint, */
        begin(&f, SYNC_ALWAYS);
        mutate(&f, 10);
        assert_int_equal(durable_sync(&f.d), ST_OK);
        assert_int_equal(durable_checkpoint_begin(&f.d), ST_OK);
        sim_io_fail(f.sim, fault);
        assert_int_equal(durable_checkpoint_end(&f.d), ST_IO);
        assert_true(termlog_broken(f.d.log));
        assert_int_equal(append(f.d.log, 10), ST_IO);
        sim_io_heal(f.sim);
        reopen(&f);
        assert_int_equal(f.d.recovery.seq, 10);
        end(&f);

        /* and that of a manifest which has been renamed. */
        begin(&f, SYNC_ALWAYS);
        mutate(&f, 10);
        fault.at = 2;
        sim_io_fail(f.sim, fault);
        assert_int_equal(durable_sync(&f.d), ST_IO);
        assert_true(termlog_broken(f.d.log));
        end(&f);
    }
}

/* Each has a descriptor, and the disk is behind: the last one goes on. */
static void few_segments_wait_for_their_sync(void **state)
{
    struct termlog_figures figures;
    struct fixture f;

    (void)state;
    begin(&f, SYNC_NONE);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(append(f.d.log, SEGMENT), ST_OK);
    assert_int_equal(termlog_write(f.d.log), ST_OK);
    termlog_figures(f.d.log, &figures);
    assert_in_range(figures.segments, 2, 16);
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    assert_int_equal(append(f.d.log, SEGMENT), ST_OK);
    assert_int_equal(termlog_sync(f.d.log), ST_OK);
    termlog_figures(f.d.log, &figures);
    assert_in_range(figures.segments, 3, 17);
    end(&f);
}

static void a_torn_tail_needs_room_to_be_saved(void **state)
{
    char name[FILE_NAME_BYTES];
    struct fixture f;
    uint64_t used;

    (void)state;
    begin(&f, SYNC_ALWAYS);
    mutate(&f, 3);
    assert_int_equal(durable_sync(&f.d), ST_OK);
    durable_abandon(&f.d);
    segment_name(name, 1);
    sim_io_overwrite(f.sim, name, 30000, BYTES("what a crash left"));
    used = sim_io_used(f.sim);
    sim_io_set_capacity(f.sim, used + 100);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(durable_open(&f.d, 3), ST_LOG_FULL);
        assert_int_equal(sim_io_used(f.sim), used); /* it keeps no room */
    }
    sim_io_set_capacity(f.sim, UINT64_MAX);
    assert_int_equal(durable_open(&f.d, 3), ST_OK);
    assert_int_equal(f.d.recovery.verdict, RECOVERY_TORN);
    assert_true(f.d.recovery.saved[0]);
    end(&f);
}

/* ---- far behind ---- */

/* A disk that takes everything and keeps nothing. */
struct sink {
    struct io io;
};

static int sink_zero(struct io *io, int fd)
{
    (void)io;
    (void)fd;
    return 0;
}

static int sink_open(struct io *io, const char *name, enum io_open how)
{
    (void)io;
    (void)name;
    return how == IO_CREATE ? 1 : -ENOENT;
}

static ssize_t sink_pwrite(struct io *io, int fd, const void *data, size_t size,
                           uint64_t offset)
{
    (void)io;
    (void)fd;
    (void)data;
    (void)offset;
    return (ssize_t)size;
}

static int sink_range(struct io *io, int fd, uint64_t offset, uint64_t size)
{
    (void)io;
    (void)fd;
    (void)offset;
    (void)size;
    return 0;
}

static int sink_truncate(struct io *io, int fd, uint64_t size)
{
    (void)io;
    (void)fd;
    (void)size;
    return 0;
}

static int sink_name(struct io *io, const char *name)
{
    (void)io;
    (void)name;
    return 0;
}

static int sink_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    (void)from;
    (void)to;
    return 0;
}

static int sink_list(struct io *io,
                     void (*each)(void *context, const char *name),
                     void *context)
{
    (void)io;
    (void)each;
    (void)context;
    return 0;
}

/* Nobody has synced for longer than a record can say. */
static void a_lag_beyond_all_bounds_claims_nothing(void **state)
{
    static const struct io_ops ops = {
        .open = sink_open,
        .close = sink_zero,
        .pwrite = sink_pwrite,
        .allocate = sink_range,
        .truncate = sink_truncate,
        .sync = sink_zero,
        .sync_directory = sink_name,
        .forget = sink_zero,
        .rename = sink_rename,
        .unlink = sink_name,
        .list = sink_list,
    };
    static const uint8_t nil = ETF_NIL;
    struct sink sink = {.io = {&ops}};
    struct manifest manifest = {.epoch = 0};
    struct termlog *log;
    struct mem mem;
    int error;

    (void)state;
#ifdef RHIZOME_SANITIZE
    return; /* it takes too long */
#endif
    mem_init(&mem, 0);
    assert_int_equal(termlog_open(&sink.io, &mem, &manifest, 0,
                                  SEGMENT_BYTES_HIGHEST, &log, &error),
                     ST_OK);
    for (uint64_t seq = 1; seq < RECORD_LAG_MAX + 100u; seq++) {
        if (termlog_append(log, seq, bytes_of(&nil, 1)) != ST_OK)
            fail_msg("append %llu", (unsigned long long)seq);
        if (seq % 4096 == 0)
            assert_int_equal(termlog_write(log), ST_OK);
    }
    termlog_append_digest(log, (struct digest){1, 2});
    assert_int_equal(termlog_durable(log), 0);
    assert_int_equal(termlog_sync(log), ST_OK);
    assert_int_equal(termlog_durable(log), RECORD_LAG_MAX + 99u);
    termlog_free(log);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_is_not_written_and_written_not_durable),
        cmocka_unit_test(nothing_is_written_until_something_is_appended),
        cmocka_unit_test(a_job_covers_what_was_appended_before_it),
        cmocka_unit_test(segments_end_while_a_job_runs),
        cmocka_unit_test(a_busy_log_enters_windows),
        cmocka_unit_test(a_worker_syncs_while_the_loop_goes_on),
        cmocka_unit_test(a_mark_is_put_when_the_last_record_claims_less),
        cmocka_unit_test(records_say_what_is_durable),
        cmocka_unit_test(digests_are_recorded_and_compared),
        cmocka_unit_test(a_digest_is_due_every_so_many_mutations),
        cmocka_unit_test(an_orderly_end_leaves_no_room_and_no_doubt),
        cmocka_unit_test(a_full_segment_is_succeeded),
        cmocka_unit_test(records_may_be_larger_than_a_segment),
        cmocka_unit_test(rolling_a_segment_without_a_mutation_does_nothing),
        cmocka_unit_test(a_segment_without_a_mutation_is_replaced),
        cmocka_unit_test(leftovers_are_swept_and_other_files_are_not),
        cmocka_unit_test(a_full_disk_refuses_and_then_goes_on),
        cmocka_unit_test(a_full_disk_leaves_room_for_an_end),
        cmocka_unit_test(a_file_limit_is_a_full_disk),
        cmocka_unit_test(a_new_store_needs_room_for_its_manifest),
        cmocka_unit_test(a_checkpoint_without_room_changes_nothing),
        cmocka_unit_test(the_manifest_is_put_off),
        cmocka_unit_test(a_full_log_lets_a_checkpoint_take_its_place),
        cmocka_unit_test(a_directory_that_cannot_be_synced_ends_the_log),
        cmocka_unit_test(few_segments_wait_for_their_sync),
        cmocka_unit_test(a_torn_tail_needs_room_to_be_saved),
        cmocka_unit_test(a_lag_beyond_all_bounds_claims_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
