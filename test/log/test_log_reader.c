/* Reading logs: every bit, every cut, zeros, resync, short reads, growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "log/reader.h"

#include "log/log_file.h"
#include "support/sim_io.h"

#define NAME "log"

/* A disk with one file, a process, and the account of its readers. */
struct fixture {
    struct sim_io *sim;
    struct io *io;
    struct mem mem;
    struct log_reader *reader;
};

static struct log_file ours; /* too big for the stack */
static struct log_file other;

static void open_file(struct fixture *f, struct bytes content)
{
    int error = 0;

    f->sim = sim_io_create();
    f->io = sim_io_open(f->sim);
    mem_init(&f->mem, 0);
    sim_io_put_file(f->sim, NAME, content);
    assert_int_equal(log_reader_open(f->io, NAME, &f->mem, &f->reader, &error),
                     ST_OK);
}

static void close_file(struct fixture *f)
{
    log_reader_close(f->reader);
    assert_int_equal(f->mem.used, 0);
    assert_int_equal(sim_io_descriptors(f->sim), 0);
    io_free(f->io);
    sim_io_free(f->sim);
}

/* The next record must be number `index` of `file`. */
static void assert_record(struct log_reader *reader,
                          const struct log_file *file, unsigned index,
                          enum log_read read, const struct record *record)
{
    size_t offset = file->offsets[index];
    size_t size = file->offsets[index + 1] - offset - RECORD_HEADER_BYTES;

    assert_int_equal(read, LOG_RECORD);
    assert_int_equal(record->type, RECORD_MUTATION);
    assert_int_equal(record->seq, index + 1);
    assert_int_equal(record->durable, index > 1 ? index - 1 : 0);
    assert_int_equal(record->offset, offset);
    assert_int_equal(record->payload.size, size);
    assert_memory_equal(record->payload.data,
                        file->bytes + offset + RECORD_HEADER_BYTES, size);
    assert_int_equal(log_reader_offset(reader), file->offsets[index + 1]);
}

/* Records from `first` on, up to but not including `end`. */
static void assert_records(struct log_reader *reader,
                           const struct log_file *file, unsigned first,
                           unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        struct record record;
        enum log_read read = log_reader_next(reader, &record);

        assert_record(reader, file, i, read, &record);
    }
}

/* The reader stands at `offset` and stays there, saying `expected`. */
static void assert_stop(struct log_reader *reader, enum log_read expected,
                        size_t offset)
{
    struct record record;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(log_reader_next(reader, &record), expected);
        assert_int_equal(log_reader_offset(reader), offset);
    }
}

static void make_log(struct log_file *file, unsigned store)
{
    static const size_t sizes[] = {1, 40, 7, 130, 61, 2};

    log_file_init(file, store);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        log_file_add(file, sizes[i]);
}

/* The record whose bytes, header or payload, hold the one at `offset`. */
static unsigned record_of(const struct log_file *file, size_t offset)
{
    unsigned index = 0;

    while (file->offsets[index + 1] <= offset)
        index++;
    return index;
}

static void all_records_come_back(void **state)
{
    struct fixture f;
    const struct file_header *header;

    (void)state;
    make_log(&ours, 0);
    open_file(&f, log_file_bytes(&ours));
    header = log_reader_header(f.reader);
    assert_non_null(header);
    assert_int_equal(header->epoch, 7);
    assert_memory_equal(header->store_id, ours.store_id, STORE_ID_BYTES);
    assert_int_equal(log_reader_size(f.reader), ours.size);
    assert_int_equal(log_reader_offset(f.reader), FILE_HEADER_BYTES);
    assert_records(f.reader, &ours, 0, ours.count);
    assert_stop(f.reader, LOG_END, ours.size);
    close_file(&f);
}

/* Reads on after a fault: the next whole record, or none. */
static void assert_resync(struct log_reader *reader,
                          const struct log_file *file, unsigned index)
{
    struct record record;
    enum log_read read = log_reader_resync(reader, &record);

    if (index == file->count) {
        assert_int_equal(read, LOG_END);
        return;
    }
    assert_record(reader, file, index, read, &record);
    assert_records(reader, file, index + 1, file->count);
    assert_stop(reader, LOG_END, file->offsets[file->count]);
}

/* No flipped bit makes another record: those before it come back, then there
 * is LOG_BAD at the record that it is in, and resync finds the next one. */
static void every_flipped_bit_is_found_where_it_is(void **state)
{
    struct fixture f;

    (void)state;
    make_log(&ours, 0);
    for (size_t bit = 8 * FILE_HEADER_BYTES; bit < 8 * ours.size; bit++) {
        unsigned hit = record_of(&ours, bit / 8);
        bool in_header = bit / 8 < ours.offsets[hit] + RECORD_HEADER_BYTES;

        open_file(&f, log_file_bytes(&ours));
        log_reader_close(f.reader);
        sim_io_flip(f.sim, NAME, bit / 8, (uint8_t)(1u << bit % 8));
        assert_int_equal(
            log_reader_open(f.io, NAME, &f.mem, &f.reader, &(int){0}), ST_OK);
        assert_records(f.reader, &ours, 0, hit);
        assert_stop(f.reader, LOG_BAD, ours.offsets[hit]);
        assert_int_equal(log_reader_fault(f.reader),
                         in_header ? FORMAT_HEADER : FORMAT_PAYLOAD);
        assert_resync(f.reader, &ours, hit + 1);
        close_file(&f);
    }
}

static void every_flipped_bit_of_the_file_header_is_found(void **state)
{
    struct fixture f;
    struct record record;

    (void)state;
    make_log(&ours, 0);
    for (size_t bit = 0; bit < 8 * FILE_HEADER_BYTES; bit++) {
        ours.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        open_file(&f, log_file_bytes(&ours));
        ours.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_null(log_reader_header(f.reader));
        assert_stop(f.reader, LOG_BAD, 0);
        assert_int_equal(log_reader_fault(f.reader),
                         bit < 64 ? FORMAT_MAGIC : FORMAT_HEADER);
        /* Whose it is, only the manifest knows. */
        assert_int_equal(log_reader_resync(f.reader, &record), LOG_END);
        log_reader_set_store(f.reader, ours.store_id);
        assert_stop(f.reader, LOG_BAD, 0);
        assert_resync(f.reader, &ours, 0);
        close_file(&f);
    }
}

static void every_cut_is_an_end_or_a_fault(void **state)
{
    struct fixture f;

    (void)state;
    make_log(&ours, 0);
    for (size_t size = 0; size <= ours.size; size++) {
        unsigned whole;

        open_file(&f, bytes_of(ours.bytes, size));
        if (size < FILE_HEADER_BYTES) {
            assert_null(log_reader_header(f.reader));
            assert_stop(f.reader, size ? LOG_BAD : LOG_END, 0);
            if (size)
                assert_int_equal(log_reader_fault(f.reader), FORMAT_SHORT);
        } else {
            whole = size == ours.size ? ours.count : record_of(&ours, size);
            assert_records(f.reader, &ours, 0, whole);
            if (ours.offsets[whole] == size) {
                assert_stop(f.reader, LOG_END, size);
            } else {
                assert_stop(f.reader, LOG_BAD, ours.offsets[whole]);
                assert_int_equal(log_reader_fault(f.reader), FORMAT_SHORT);
                assert_resync(f.reader, &ours, ours.count);
            }
        }
        close_file(&f);
    }
}

/* Of any size, next to the window's too; but a byte in them is a fault. */
static void zeros_end_a_file(void **state)
{
    static const size_t tails[] = {1,     23,     24,     25,       500,
                                   65536, 262143, 262144, 16u << 20};
    struct fixture f;

    (void)state;
    make_log(&ours, 0);
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        size_t size = ours.size + tails[i];
        uint8_t *bytes = calloc(1, size);

        memcpy(bytes, ours.bytes, ours.size);
        open_file(&f, bytes_of(bytes, size));
        assert_records(f.reader, &ours, 0, ours.count);
        assert_stop(f.reader, LOG_END, ours.size);
        log_reader_close(f.reader);

        sim_io_flip(f.sim, NAME, size - 1, 0x10);
        assert_int_equal(
            log_reader_open(f.io, NAME, &f.mem, &f.reader, &(int){0}), ST_OK);
        assert_records(f.reader, &ours, 0, ours.count);
        assert_stop(f.reader, LOG_BAD, ours.size);
        assert_resync(f.reader, &ours, ours.count);
        close_file(&f);
        free(bytes);
    }
}

/* A crash may come between the allocation of a file and its header. */
static void a_file_of_zeros_ends_where_it_begins(void **state)
{
    static const uint8_t zeros[1000];
    struct fixture f;

    (void)state;
    for (size_t size = 0; size <= sizeof(zeros); size += 20) {
        open_file(&f, bytes_of(zeros, size));
        assert_null(log_reader_header(f.reader));
        assert_stop(f.reader, LOG_END, 0);
        close_file(&f);
    }
}

/* Whoever asks again and again at the same place does not read the zeros
 * again and again. */
static void zeros_are_read_once(void **state)
{
    struct fixture f;
    struct record record;
    uint64_t reads;
    uint8_t *bytes = calloc(1, 16u << 20);

    (void)state;
    make_log(&ours, 0);
    memcpy(bytes, ours.bytes, ours.size);
    open_file(&f, bytes_of(bytes, 16u << 20));
    assert_records(f.reader, &ours, 0, ours.count);
    assert_int_equal(log_reader_next(f.reader, &record), LOG_END);
    reads = sim_io_calls(f.sim, SIM_KIND(SIM_PREAD));
    assert_int_equal(log_reader_next(f.reader, &record), LOG_END);
    assert_true(sim_io_calls(f.sim, SIM_KIND(SIM_PREAD)) - reads <= 2);
    close_file(&f);
    free(bytes);
}

static void the_records_of_another_store_are_not_found(void **state)
{
    struct fixture f;
    struct record record;

    (void)state;
    make_log(&ours, 0);
    make_log(&other, 1);
    memcpy(ours.bytes + ours.size, other.bytes, other.size);
    open_file(&f, bytes_of(ours.bytes, ours.size + other.size));
    assert_records(f.reader, &ours, 0, ours.count);
    assert_stop(f.reader, LOG_BAD, ours.size);
    assert_int_equal(log_reader_resync(f.reader, &record), LOG_END);
    assert_int_equal(log_reader_offset(f.reader), ours.size);
    assert_int_equal(log_reader_fault(f.reader), FORMAT_HEADER);
    close_file(&f);
}

/* Behind garbage of any length, around the window's bounds above all; also
 * one that is larger than the window. */
static void resync_crosses_windows(void **state)
{
    static const size_t gaps[] = {1,           23,          24,
                                  262144 - 90, 262144 - 64, 262144 - 30,
                                  262144 - 24, 262144,      600000};
    struct fixture f;
    struct random random;
    struct record record;

    (void)state;
    random_init(&random, random_seed());
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        log_file_init(&ours, 0);
        for (size_t j = 0; j < gaps[i]; j++)
            ours.bytes[ours.size++] = (uint8_t)(random_next(&random) | 1);
        ours.offsets[0] = ours.size;
        log_file_add(&ours, 300000);
        log_file_add(&ours, 10);
        open_file(&f, log_file_bytes(&ours));
        assert_stop(f.reader, LOG_BAD, FILE_HEADER_BYTES);
        assert_record(f.reader, &ours, 0, log_reader_resync(f.reader, &record),
                      &record);
        assert_records(f.reader, &ours, 1, 2);
        assert_stop(f.reader, LOG_END, ours.size);
        close_file(&f);
    }
}

/* A valid header whose payload is wrong is no proof; the one inside is. */
static void resync_wants_the_payload_too(void **state)
{
    struct fixture f;
    struct record record;

    (void)state;
    make_log(&ours, 0);
    ours.bytes[ours.offsets[1]] ^= 1;     /* header of the second */
    ours.bytes[ours.offsets[4] - 1] ^= 1; /* payload of the fourth */
    ours.bytes[ours.offsets[3] - 1] ^= 1; /* and of the third */
    open_file(&f, log_file_bytes(&ours));
    assert_records(f.reader, &ours, 0, 1);
    assert_stop(f.reader, LOG_BAD, ours.offsets[1]);
    assert_record(f.reader, &ours, 4, log_reader_resync(f.reader, &record),
                  &record);
    close_file(&f);
}

static void short_reads_change_nothing(void **state)
{
    struct fixture f;

    (void)state;
    make_log(&ours, 0);
    for (size_t bytes = 1; bytes < 70; bytes += 3) {
        f.sim = sim_io_create();
        f.io = sim_io_open(f.sim);
        mem_init(&f.mem, 0);
        sim_io_put_file(f.sim, NAME, log_file_bytes(&ours));
        sim_io_fail(f.sim, (struct sim_fault){.kinds = SIM_KIND(SIM_PREAD),
                                              .at = 1,
                                              .on = true,
                                              .bytes = bytes});
        assert_int_equal(
            log_reader_open(f.io, NAME, &f.mem, &f.reader, &(int){0}), ST_OK);
        assert_records(f.reader, &ours, 0, ours.count);
        assert_stop(f.reader, LOG_END, ours.size);
        close_file(&f);
    }
}

/* A length that nothing covers must not be believed, and one that is covered
 * only as far as the file goes: the window stays small. */
static void memory_follows_the_file_and_not_a_length(void **state)
{
    struct fixture f;
    uint8_t header[RECORD_HEADER_BYTES];

    (void)state;
    log_file_init(&ours, 0);
    log_file_add(&ours, 100);
    /* A right header for a payload of a mebibyte, in a file without it. */
    record_header_write(header, record_seed(ours.store_id), RECORD_MUTATION, 2,
                        1, bytes_of(other.bytes, sizeof(other.bytes) - 1));
    memcpy(ours.bytes + ours.size, header, sizeof(header));
    open_file(&f, bytes_of(ours.bytes, ours.size + sizeof(header)));
    assert_records(f.reader, &ours, 0, 1);
    assert_stop(f.reader, LOG_BAD, ours.size);
    assert_int_equal(log_reader_fault(f.reader), FORMAT_SHORT);
    assert_true(f.mem.peak < 300u << 10);
    close_file(&f);
}

static void records_larger_than_the_window_fit(void **state)
{
    struct fixture f;

    (void)state;
    log_file_init(&ours, 0);
    log_file_add(&ours, 10);
    log_file_add(&ours, 262144 - RECORD_HEADER_BYTES);
    log_file_add(&ours, 262145);
    log_file_add(&ours, 1);
    log_file_add(&ours, 400000);
    log_file_add(&ours, 3);
    open_file(&f, log_file_bytes(&ours));
    assert_records(f.reader, &ours, 0, ours.count);
    assert_stop(f.reader, LOG_END, ours.size);
    close_file(&f);
}

/* The file that is being written: byte by byte, into zeros or at the end. */
static void a_growing_file_is_followed(void **state)
{
    static const uint8_t zeros[4096];

    (void)state;
    make_log(&ours, 0);
    for (int allocated = 0; allocated <= 1; allocated++) {
        struct fixture f;
        unsigned seen = 0;
        int fd;

        open_file(&f, bytes_of(zeros, allocated ? sizeof(zeros) : 0));
        fd = io_open(f.io, NAME, IO_WRITE);
        for (size_t size = 0; size < ours.size; size++) {
            struct record record;
            enum log_read read;

            assert_int_equal(io_pwrite(f.io, fd, ours.bytes + size, 1, size),
                             1);
            read = log_reader_next(f.reader, &record);
            if (size + 1 == ours.offsets[seen + 1]) {
                assert_record(f.reader, &ours, seen, read, &record);
                seen++;
            } else {
                assert_true(read == LOG_BAD || read == LOG_END);
            }
        }
        assert_int_equal(seen, ours.count);
        assert_stop(f.reader, LOG_END, ours.size);
        io_close(f.io, fd);
        close_file(&f);
    }
}

/* Fails call after call; the records before stay right, and the reader says
 * what happened. */
static void every_failing_call_is_reported(void **state)
{
    (void)state;
    log_file_init(&ours, 0);
    for (int i = 0; i < 5; i++)
        log_file_add(&ours, 150000);
    for (uint64_t nth = 1;; nth++) {
        struct fixture f;
        struct record record;
        enum log_read read = LOG_RECORD;
        unsigned seen = 0;
        int error = 0;
        enum status st;

        f.sim = sim_io_create();
        f.io = sim_io_open(f.sim);
        mem_init(&f.mem, 0);
        sim_io_put_file(f.sim, NAME, log_file_bytes(&ours));
        sim_io_fail(f.sim, (struct sim_fault){.at = nth, .error = ENFILE});
        st = log_reader_open(f.io, NAME, &f.mem, &f.reader, &error);
        if (st < 0) {
            assert_int_equal(st, ST_IO);
            assert_int_equal(error, ENFILE);
            f.reader = NULL;
            close_file(&f);
            continue;
        }
        while (read == LOG_RECORD) {
            read = log_reader_next(f.reader, &record);
            if (read == LOG_RECORD)
                assert_record(f.reader, &ours, seen++, read, &record);
        }
        if (read == LOG_FAILED) {
            assert_int_equal(log_reader_status(f.reader, &error), ST_IO);
            assert_int_equal(error, ENFILE);
            sim_io_heal(f.sim);
            assert_records(f.reader, &ours, seen, ours.count);
            seen = ours.count;
            read = log_reader_next(f.reader, &record);
        }
        assert_int_equal(read, LOG_END);
        assert_int_equal(seen, ours.count);
        if (sim_io_calls(f.sim, SIM_ALL) < nth) {
            close_file(&f);
            break;
        }
        sim_io_heal(f.sim);
        close_file(&f);
    }
}

static void memory_that_runs_out_is_reported(void **state)
{
    (void)state;
    log_file_init(&ours, 0);
    log_file_add(&ours, 10);
    log_file_add(&ours, 300000);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct fixture f;
        struct record record;
        enum status st;
        int error = 0;

        f.sim = sim_io_create();
        f.io = sim_io_open(f.sim);
        mem_init(&f.mem, 0);
        sim_io_put_file(f.sim, NAME, log_file_bytes(&ours));
        mem_fail_at(&f.mem, nth, false);
        st = log_reader_open(f.io, NAME, &f.mem, &f.reader, &error);
        if (nth <= 2) {
            assert_int_equal(st, ST_NO_MEMORY);
            f.reader = NULL;
        } else {
            assert_int_equal(st, ST_OK);
            assert_records(f.reader, &ours, 0, 1);
            if (nth == 3) {
                assert_int_equal(log_reader_next(f.reader, &record),
                                 LOG_FAILED);
                assert_int_equal(log_reader_status(f.reader, &error),
                                 ST_NO_MEMORY);
            }
            assert_records(f.reader, &ours, 1, 2);
        }
        close_file(&f);
    }
}

static void a_missing_file_is_an_error(void **state)
{
    struct fixture f;
    struct log_reader *reader;
    int error = 0;

    (void)state;
    make_log(&ours, 0);
    open_file(&f, log_file_bytes(&ours));
    assert_int_equal(log_reader_open(f.io, "nothing", &f.mem, &reader, &error),
                     ST_IO);
    assert_int_equal(error, ENOENT);
    close_file(&f);
}

/* Random bytes, and real ones with random damage: never a record that was
 * not written, whatever is asked of the reader. */
static void damaged_files_give_only_what_was_written(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (int round = 0; round < 3000; round++) {
        struct fixture f;
        struct record record;
        unsigned damages = (unsigned)random_below(&random, 6);

        make_log(&ours, 0);
        make_log(&other, 0);
        for (unsigned i = 0; i < damages; i++) {
            size_t at = (size_t)random_below(&random, ours.size);
            size_t run = (size_t)random_below(&random, 40);

            for (; run > 0 && at < ours.size; at++, run--)
                ours.bytes[at] = (uint8_t)random_next(&random);
        }
        open_file(&f,
                  bytes_of(ours.bytes, 1 + random_below(&random, ours.size)));
        log_reader_set_store(f.reader, other.store_id);
        for (int step = 0; step < 12; step++) {
            enum log_read read = random_below(&random, 2)
                                     ? log_reader_next(f.reader, &record)
                                     : log_reader_resync(f.reader, &record);

            if (read == LOG_RECORD)
                assert_record(f.reader, &other, (unsigned)record.seq - 1, read,
                              &record);
        }
        close_file(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_records_come_back),
        cmocka_unit_test(every_flipped_bit_is_found_where_it_is),
        cmocka_unit_test(every_flipped_bit_of_the_file_header_is_found),
        cmocka_unit_test(every_cut_is_an_end_or_a_fault),
        cmocka_unit_test(zeros_end_a_file),
        cmocka_unit_test(a_file_of_zeros_ends_where_it_begins),
        cmocka_unit_test(zeros_are_read_once),
        cmocka_unit_test(the_records_of_another_store_are_not_found),
        cmocka_unit_test(resync_crosses_windows),
        cmocka_unit_test(resync_wants_the_payload_too),
        cmocka_unit_test(short_reads_change_nothing),
        cmocka_unit_test(memory_follows_the_file_and_not_a_length),
        cmocka_unit_test(records_larger_than_the_window_fit),
        cmocka_unit_test(a_growing_file_is_followed),
        cmocka_unit_test(every_failing_call_is_reported),
        cmocka_unit_test(memory_that_runs_out_is_reported),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(damaged_files_give_only_what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
