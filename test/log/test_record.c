/* The bytes of headers: golden ones, every flip, every cut, odd fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <zlib.h>

#include "log/record.h"

#include "log/log_file.h"
#include "support/random.h"

static struct file_header header_of_store(unsigned store)
{
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .minor = FORMAT_MINOR,
        .kind = FILE_LOG,
        .epoch = 0x1122334455667788,
        .first_seq = 0x0102030405060708,
    };

    log_file_store(header.store_id, store);
    return header;
}

/* These bytes are on disks: they may never change. An Erlang shell gives the
 * checksums with erlang:crc32/1. */
static void the_format_is_for_ever(void **state)
{
    static const uint8_t golden_file[FILE_HEADER_BYTES] = {
        0x89, 0x54, 0x4c, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x01, 0x00,
        0x00, 0x00, 0x40, 0x00, 0x01, 0x03, 0x14, 0x25, 0x36, 0x47, 0x58,
        0x69, 0x7a, 0x8b, 0x9c, 0xad, 0xbe, 0xcf, 0xe0, 0xf1, 0x02, 0x11,
        0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x01, 0x02, 0x03, 0x04,
        0x05, 0x06, 0x07, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x98, 0x87, 0xdb, 0xf5};
    static const uint8_t golden_record[RECORD_HEADER_BYTES] = {
        0x07, 0x8c, 0x44, 0xc8, 0xfd, 0x0d, 0xbe, 0xac, 0x00, 0x00, 0x00, 0x05,
        0x01, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x34};
    struct file_header header = header_of_store(0);
    uint8_t bytes[FILE_HEADER_BYTES];
    uint8_t record[RECORD_HEADER_BYTES];

    (void)state;
    file_header_write(bytes, &header);
    assert_memory_equal(bytes, golden_file, sizeof(golden_file));
    record_header_write(record, record_seed(header.store_id), RECORD_MUTATION,
                        0x1234, 0x1234 - 0x102, BYTES("\x77\x02ok"));
    assert_memory_equal(record, golden_record, sizeof(golden_record));
}

/* Said once more in another way, after record.h and not after record.c. */
static void checksums_are_those_of_zlib(void **state)
{
    struct file_header header = header_of_store(5);
    struct random random;
    uint8_t bytes[RECORD_HEADER_BYTES + 2000];

    (void)state;
    random_init(&random, random_seed());
    for (int i = 0; i < 3000; i++) {
        size_t size = 1 + (size_t)i % 1000;
        uint8_t run[STORE_ID_BYTES + 20];
        uint8_t *payload = bytes + RECORD_HEADER_BYTES;

        payload[0] = ETF_VERSION;
        for (size_t j = 1; j < size; j++)
            payload[j] = (uint8_t)random_next(&random);
        record_header_write(bytes, record_seed(header.store_id), RECORD_ROLL,
                            (uint64_t)i + 5, (uint64_t)i,
                            bytes_of(payload + 1, size - 1));
        assert_int_equal(load_be32(bytes + 4), crc32(0, payload, (uInt)size));
        memcpy(run, header.store_id, STORE_ID_BYTES);
        memcpy(run + STORE_ID_BYTES, bytes + 4, 20);
        assert_int_equal(load_be32(bytes), crc32(0, run, sizeof(run)));
        assert_int_equal(record_header_size(bytes), size);
        assert_true(record_payload_valid(bytes, bytes_of(payload, size)));
        assert_false(record_payload_valid(bytes, bytes_of(payload, size - 1)));
    }
}

/* Records that are sealed together are those that were written one by one. */
static void records_are_sealed_together(void **state)
{
    enum { COUNT = 50 };
    uint32_t seed = record_seed((const uint8_t *)"0123456789abcdef");
    uint8_t one[COUNT * (RECORD_HEADER_BYTES + 1 + COUNT)];
    uint8_t all[sizeof(one)];
    size_t size = 0;

    (void)state;
    memset(one, 0xaa, sizeof(one));
    memset(all, 0xaa, sizeof(all));
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t *term = all + size + RECORD_HEADER_BYTES + 1;

        memset(term, (int)i, i);
        term[-1] = ETF_VERSION;
        memcpy(one + size + RECORD_HEADER_BYTES, term - 1, i + 1);
        record_header_begin(all + size, RECORD_MUTATION, i + 9, 9,
                            bytes_of(term, i));
        record_header_write(one + size, seed, RECORD_MUTATION, i + 9, 9,
                            bytes_of(term, i));
        size += RECORD_HEADER_BYTES + 1 + i;
    }
    records_seal(all, size, seed);
    assert_memory_equal(all, one, sizeof(one));
}

static void a_file_header_comes_back(void **state)
{
    struct file_header header = header_of_store(1);
    struct file_header read;
    uint8_t bytes[FILE_HEADER_BYTES];

    (void)state;
    for (int kind = FILE_LOG; kind <= FILE_MANIFEST; kind++) {
        header.kind = (enum file_kind)kind;
        file_header_write(bytes, &header);
        assert_int_equal(file_header_read(bytes_of(bytes, 64), &read),
                         FORMAT_OK);
        assert_int_equal(read.kind, kind);
        assert_int_equal(read.epoch, header.epoch);
        assert_int_equal(read.first_seq, header.first_seq);
        assert_memory_equal(read.store_id, header.store_id, STORE_ID_BYTES);
    }
}

static void every_flip_in_a_file_header_is_found(void **state)
{
    struct file_header header = header_of_store(2);
    struct file_header read;
    uint8_t bytes[FILE_HEADER_BYTES];

    (void)state;
    file_header_write(bytes, &header);
    for (unsigned bit = 0; bit < 8 * FILE_HEADER_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(file_header_read(bytes_of(bytes, 64), &read),
                         bit < 64 ? FORMAT_MAGIC : FORMAT_HEADER);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < FILE_HEADER_BYTES; size++)
        assert_int_equal(file_header_read(bytes_of(bytes, size), &read),
                         FORMAT_SHORT);
}

/* Changes a field and mends the checksum. */
static enum format_fault with_field(unsigned at, uint16_t value)
{
    struct file_header header = header_of_store(3);
    struct file_header read;
    uint8_t bytes[FILE_HEADER_BYTES];

    file_header_write(bytes, &header);
    bytes[at] = (uint8_t)(value >> 8);
    bytes[at + 1] = (uint8_t)value;
    store_be32(bytes + 60, (uint32_t)crc32(0, bytes, 60));
    return file_header_read(bytes_of(bytes, sizeof(bytes)), &read);
}

static void versions_and_kinds_are_judged(void **state)
{
    (void)state;
    assert_int_equal(with_field(8, 1), FORMAT_OK);
    assert_int_equal(with_field(8, 2), FORMAT_VERSION);
    assert_int_equal(with_field(8, 0), FORMAT_VERSION);
    assert_int_equal(with_field(10, 1), FORMAT_OK); /* a later minor */
    assert_int_equal(with_field(12, 63), FORMAT_HEADER);
    assert_int_equal(with_field(14, 0), FORMAT_HEADER);
    assert_int_equal(with_field(14, 4), FORMAT_HEADER);
    assert_int_equal(with_field(48, 1), FORMAT_HEADER);
    assert_int_equal(with_field(58, 1), FORMAT_HEADER);
}

static void a_lag_without_room_claims_nothing(void **state)
{
    struct file_header header = header_of_store(4);
    uint32_t seed = record_seed(header.store_id);
    uint8_t bytes[RECORD_HEADER_BYTES];
    struct record record;
    uint32_t size;

    (void)state;
    for (uint64_t lag = RECORD_LAG_MAX - 1; lag < RECORD_LAG_MAX + 3; lag++) {
        uint64_t durable = lag < RECORD_LAG_MAX ? 1000 : 0;

        record_header_write(bytes, seed, RECORD_MUTATION, 1000 + lag, 1000,
                            BYTES("abc"));
        assert_int_equal(
            record_header_read(bytes_of(bytes, 24), seed, &record, &size),
            FORMAT_OK);
        assert_true(record.durable == durable);
    }
}

static void a_record_header_comes_back(void **state)
{
    struct file_header header = header_of_store(4);
    uint32_t seed = record_seed(header.store_id);
    uint8_t bytes[RECORD_HEADER_BYTES];
    struct record record;
    uint32_t size;

    (void)state;
    record_header_write(bytes, seed, RECORD_CLOSE, UINT64_MAX,
                        UINT64_MAX - RECORD_LAG_MAX + 1, BYTES("abc"));
    assert_int_equal(
        record_header_read(bytes_of(bytes, 24), seed, &record, &size),
        FORMAT_OK);
    assert_int_equal(record.type, RECORD_CLOSE);
    assert_true(record.seq == UINT64_MAX);
    assert_true(record.durable == UINT64_MAX - RECORD_LAG_MAX + 1);
    assert_int_equal(size, 4);
    assert_true(record_payload_valid(bytes, BYTES("\x83"
                                                  "abc")));
    assert_false(record_payload_valid(bytes, BYTES("\x83"
                                                   "abd")));
    assert_false(record_payload_valid(bytes, BYTES("\x82"
                                                   "abc")));
}

static void every_flip_in_a_record_header_is_found(void **state)
{
    struct file_header header = header_of_store(4);
    uint32_t seed = record_seed(header.store_id);
    uint8_t bytes[RECORD_HEADER_BYTES];
    struct record record;
    uint32_t size;

    (void)state;
    record_header_write(bytes, seed, RECORD_MUTATION, 5, 4, BYTES("abc"));
    for (unsigned bit = 0; bit < 8 * RECORD_HEADER_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(
            record_header_read(bytes_of(bytes, 24), seed, &record, &size),
            FORMAT_HEADER);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < RECORD_HEADER_BYTES; cut++)
        assert_int_equal(
            record_header_read(bytes_of(bytes, cut), seed, &record, &size),
            FORMAT_SHORT);
    header = header_of_store(5);
    assert_int_equal(record_header_read(bytes_of(bytes, 24),
                                        record_seed(header.store_id), &record,
                                        &size),
                     FORMAT_HEADER);
}

/* A right checksum does not make sense of them. */
static void fields_without_sense_are_refused(void **state)
{
    static const struct {
        uint32_t size;
        uint32_t type_and_lag;
        uint64_t seq;
        enum format_fault fault;
    } cases[] = {
        {1, 0x01000000, 0, FORMAT_OK},
        {1, 0xff000005, 5, FORMAT_OK},
        {RECORD_PAYLOAD_MAX, 0x01000001, 1, FORMAT_OK},
        {0, 0x01000000, 1, FORMAT_HEADER},
        {RECORD_PAYLOAD_MAX + 1, 0x01000000, 1, FORMAT_HEADER},
        {UINT32_MAX, 0x01000000, 1, FORMAT_HEADER},
        {1, 0x00000000, 1, FORMAT_HEADER},
        {1, 0x01000006, 5, FORMAT_HEADER},
    };
    struct record record;
    uint32_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[RECORD_HEADER_BYTES] = {0};

        store_be32(bytes + 8, cases[i].size);
        store_be32(bytes + 12, cases[i].type_and_lag);
        store_be64(bytes + 16, cases[i].seq);
        store_be32(bytes, (uint32_t)crc32(9, bytes + 4, 20));
        assert_int_equal(
            record_header_read(bytes_of(bytes, 24), 9, &record, &size),
            cases[i].fault);
    }
}

/* Whatever the store, and even if its checksum should be 0. */
static void zeros_are_no_header(void **state)
{
    static const uint8_t zeros[RECORD_HEADER_BYTES];
    struct record record;
    uint32_t size;

    (void)state;
    for (uint32_t seed = 0; seed < 100000; seed++)
        assert_int_equal(
            record_header_read(bytes_of(zeros, 24), seed, &record, &size),
            FORMAT_HEADER);
}

static void every_fault_has_its_words(void **state)
{
    (void)state;
    for (int fault = FORMAT_OK; fault <= FORMAT_PAYLOAD; fault++)
        for (int other = FORMAT_OK; other < fault; other++)
            assert_string_not_equal(
                format_fault_text((enum format_fault)fault),
                format_fault_text((enum format_fault)other));
}

/* No assertion: it prints what a mutation pays for its record. */
static void what_a_record_costs(void **state)
{
    enum { ROUNDS = 1000000 };
    struct file_header header = header_of_store(4);
    uint32_t seed = record_seed(header.store_id);
    uint8_t bytes[RECORD_HEADER_BYTES];
    uint8_t term[59] = {0x68, 4};
    struct timespec from;
    struct timespec to;
    uint8_t sum = 0;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < ROUNDS; i++) {
        term[7] = (uint8_t)i;
        record_header_write(bytes, seed, RECORD_MUTATION, (uint64_t)i + 9,
                            (uint64_t)i, bytes_of(term, sizeof(term)));
        sum ^= bytes[0];
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("a header for a payload of 60 bytes: %.1f ns (%u)\n",
           ((double)(to.tv_sec - from.tv_sec) * 1e9 +
            (double)(to.tv_nsec - from.tv_nsec)) /
               ROUNDS,
           sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_for_ever),
        cmocka_unit_test(checksums_are_those_of_zlib),
        cmocka_unit_test(records_are_sealed_together),
        cmocka_unit_test(a_file_header_comes_back),
        cmocka_unit_test(every_flip_in_a_file_header_is_found),
        cmocka_unit_test(versions_and_kinds_are_judged),
        cmocka_unit_test(a_record_header_comes_back),
        cmocka_unit_test(a_lag_without_room_claims_nothing),
        cmocka_unit_test(every_flip_in_a_record_header_is_found),
        cmocka_unit_test(fields_without_sense_are_refused),
        cmocka_unit_test(zeros_are_no_header),
        cmocka_unit_test(every_fault_has_its_words),
        cmocka_unit_test(what_a_record_costs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
