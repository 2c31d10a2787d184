/* The manifest: its bytes, every damage to it, every call that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "core/buffer.h"
#include "core/etf.h"
#include "log/manifest.h"

#include "support/sim_io.h"

static struct mem mem;

static struct manifest manifest_make(uint64_t epoch, unsigned segments)
{
    struct manifest manifest = {
        .epoch = epoch,
        .has_checkpoint = true,
        .checkpoint = 300,
        .digest = {0x1111, UINT64_MAX},
        .durable = UINT64_MAX,
    };

    memset(manifest.store_id, 0x5a, STORE_ID_BYTES);
    for (unsigned i = 0; i < segments; i++)
        assert_int_equal(
            manifest_add_segment(&manifest, &mem, 1 + i * 0x123456789ull),
            ST_OK);
    return manifest;
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
    assert_memory_equal(a->store_id, b->store_id, STORE_ID_BYTES);
    assert_true(a->epoch == b->epoch);
    assert_true(a->has_checkpoint == b->has_checkpoint);
    assert_true(a->checkpoint == b->checkpoint);
    assert_true(digest_equal(a->digest, b->digest));
    assert_true(a->durable == b->durable);
    assert_int_equal(a->segment_count, b->segment_count);
    for (unsigned i = 0; i < a->segment_count; i++)
        assert_true(a->segments[i] == b->segments[i]);
}

/* Reads what is there. Refusals must come with their reason. */
static enum status read_it(struct io *io, struct manifest *ret,
                           uint64_t *ret_offset)
{
    const char *why = NULL;
    int error = 0;
    enum status st = manifest_read(io, &mem, ret, &why, ret_offset, &error);

    if (st == ST_LOG_REFUSED) {
        assert_non_null(why);
        assert_true(*ret_offset != UINT64_MAX);
    }
    if (st == ST_IO)
        assert_true(error > 0);
    return st;
}

static void names_come_back(void **state)
{
    static const uint64_t seqs[] = {0, 1, 0xabcdef, UINT64_MAX};
    static const char *const wrong[] = {
        "",
        "LOCK",
        "log-",
        "log-000000000000000g.tlg",
        "log-000000000000000A.tlg",
        "log-00000000000000001.tlg",
        "log-000000000000001.tlg",
        "log-0000000000000001.tlg2",
        "log-0000000000000001.tmp",
        "xog-0000000000000001.tlg",
        "log-+000000000000001.tlg",
    };
    char name[FILE_NAME_BYTES];
    uint64_t seq;

    (void)state;
    segment_name(name, 0x1f);
    assert_string_equal(name, "log-000000000000001f.tlg");
    checkpoint_name(name, 0x1f);
    assert_string_equal(name, "ckpt-000000000000001f.tlg");
    for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
        segment_name(name, seqs[i]);
        assert_true(segment_name_parse(name, &seq) && seq == seqs[i]);
        assert_false(checkpoint_name_parse(name, &seq));
        checkpoint_name(name, seqs[i]);
        assert_true(checkpoint_name_parse(name, &seq) && seq == seqs[i]);
        assert_false(segment_name_parse(name, &seq));
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(segment_name_parse(wrong[i], &seq));
}

static void a_manifest_comes_back(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct manifest read;
    uint64_t offset = UINT64_MAX;

    (void)state;
    mem_init(&mem, 0);
    assert_int_equal(read_it(io, &read, &offset), ST_NOT_FOUND);
    for (unsigned segments = 0; segments < 400; segments += 57) {
        struct manifest manifest = manifest_make(segments, segments);

        if (segments == 57) {
            manifest.has_checkpoint = false;
            manifest.checkpoint = 0;
        }
        assert_int_equal(manifest_write(io, &manifest), 0);
        assert_false(sim_io_exists(sim, MANIFEST_TEMPORARY));
        assert_int_equal(read_it(io, &read, &offset), ST_OK);
        assert_same(&read, &manifest);
        manifest_free(&read, &mem);
        manifest_free(&manifest, &mem);
    }
    assert_int_equal(mem.used, 0);
    assert_int_equal(sim_io_descriptors(sim), 0);
    sim_io_free(sim);
}

/* Bits, cuts, and bytes behind the end. */
static void every_damage_is_refused(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct manifest manifest;
    struct manifest read;
    uint64_t offset;
    size_t size;
    uint8_t *bytes;

    (void)state;
    mem_init(&mem, 0);
    manifest = manifest_make(9, 3);
    assert_int_equal(manifest_write(io, &manifest), 0);
    manifest_free(&manifest, &mem);
    size = sim_io_file(sim, MANIFEST_NAME).size;
    bytes = malloc(size + 8);
    memcpy(bytes, sim_io_file(sim, MANIFEST_NAME).data, size);

    for (size_t bit = 0; bit < 8 * size; bit++) {
        sim_io_flip(sim, MANIFEST_NAME, bit / 8, (uint8_t)(1u << bit % 8));
        offset = UINT64_MAX;
        assert_int_equal(read_it(io, &read, &offset), ST_LOG_REFUSED);
        assert_int_equal(offset,
                         bit / 8 < FILE_HEADER_BYTES ? 0 : FILE_HEADER_BYTES);
        sim_io_flip(sim, MANIFEST_NAME, bit / 8, (uint8_t)(1u << bit % 8));
    }
    for (size_t cut = 0; cut < size; cut++) {
        sim_io_put_file(sim, MANIFEST_NAME, bytes_of(bytes, cut));
        assert_int_equal(read_it(io, &read, &offset), ST_LOG_REFUSED);
    }
    for (unsigned tail = 0; tail < 3; tail++) {
        memset(bytes + size, tail == 2 ? 7 : 0, 8);
        sim_io_put_file(sim, MANIFEST_NAME, bytes_of(bytes, size + tail * 4));
        assert_int_equal(read_it(io, &read, &offset),
                         tail ? ST_LOG_REFUSED : ST_OK);
        if (tail == 0)
            manifest_free(&read, &mem);
    }
    assert_int_equal(mem.used, 0);
    free(bytes);
    sim_io_free(sim);
}

/* A manifest with this term, and everything around it right. */
static void put_manifest(struct sim_io *sim, struct bytes term,
                         enum file_kind kind, enum record_type type,
                         uint64_t seq)
{
    uint8_t bytes[1024];
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .kind = kind,
        .epoch = 9,
        .first_seq = 1,
    };

    file_header_write(bytes, &header);
    record_header_write(bytes + FILE_HEADER_BYTES, record_seed(header.store_id),
                        type, seq, 0, term);
    bytes[FILE_HEADER_BYTES + RECORD_HEADER_BYTES] = ETF_VERSION;
    assert_true(term.size < 512);
    memcpy(bytes + FILE_HEADER_BYTES + RECORD_HEADER_BYTES + 1, term.data,
           term.size);
    sim_io_put_file(sim, MANIFEST_NAME,
                    bytes_of(bytes, FILE_HEADER_BYTES + RECORD_HEADER_BYTES +
                                        1 + term.size));
}

/* Pieces of the external term format, by hand. */
#define ATOM(size, name) "\x77" size name
#define EPOCH ATOM("\x05", "epoch") "\x61\x09"
#define CHECKPOINT ATOM("\x0a", "checkpoint") "\x61\x04"
#define DIGEST                                                                 \
    ATOM("\x06", "digest")                                                     \
    "\x6d\x00\x00\x00\x10"                                                     \
    "0123456789abcdef"
#define DURABLE ATOM("\x07", "durable") "\x61\x05"
#define SEGMENTS_KEY ATOM("\x08", "segments")
#define SEGMENTS SEGMENTS_KEY "\x6b\x00\x02\x01\x05"
#define HEAD "\x68\x02" ATOM("\x08", "manifest")
#define MAP(count) "\x74\x00\x00\x00" count
#define REST EPOCH CHECKPOINT DIGEST DURABLE

static const struct {
    const char *what;
    struct bytes term;
    bool valid;
} terms[] = {
    {"plain", BYTES(HEAD MAP("\x05") REST SEGMENTS), true},
    {"other order", BYTES(HEAD MAP("\x05") SEGMENTS REST), true},
    {"a large tuple and the older atoms",
     BYTES("\x69\x00\x00\x00\x02\x64\x00\x08manifest" MAP("\x05")
               SEGMENTS EPOCH CHECKPOINT DIGEST "\x73\x07"
                                                "durable\x62\x00\x00\x01\x00"),
     true},
    {"an unknown key",
     BYTES(HEAD MAP("\x06") REST ATOM("\x03", "new") "\x68\x01\x6a" SEGMENTS),
     true},
    {"a key that is no atom",
     BYTES(HEAD MAP("\x06") "\x61\x01\x61\x02" REST SEGMENTS), true},
    {"no segments", BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY "\x6a"), true},
    {"a list of integers",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY
           "\x6c\x00\x00\x00\x02\x61\x01\x6e\x08\x00\xff\xff\xff\xff\xff\xff"
           "\xff\xff\x6a"),
     true},
    {"no checkpoint",
     BYTES(HEAD MAP("\x05") EPOCH ATOM("\x0a", "checkpoint")
               ATOM("\x04", "none") DIGEST DURABLE SEGMENTS),
     true},
    {"a key twice", BYTES(HEAD MAP("\x06") REST EPOCH SEGMENTS), false},
    {"segments twice", BYTES(HEAD MAP("\x06") REST SEGMENTS SEGMENTS), false},
    {"no epoch", BYTES(HEAD MAP("\x04") CHECKPOINT DIGEST DURABLE SEGMENTS),
     false},
    {"no segments key", BYTES(HEAD MAP("\x04") REST), false},
    {"nothing", BYTES(HEAD MAP("\x00")), false},
    {"another epoch than the header's",
     BYTES(HEAD MAP("\x05") ATOM(
         "\x05", "epoch") "\x61\x08" CHECKPOINT DIGEST DURABLE SEGMENTS),
     false},
    {"equal segments",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY "\x6b\x00\x02\x05\x05"), false},
    {"falling segments",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY "\x6b\x00\x02\x05\x04"), false},
    {"an improper list",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY
           "\x6c\x00\x00\x00\x01\x61\x01\x61\x02"),
     false},
    {"an atom among the segments",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY
           "\x6c\x00\x00\x00\x01\x77\x01x\x6a"),
     false},
    {"a tuple of segments",
     BYTES(HEAD MAP("\x05") REST SEGMENTS_KEY "\x68\x00"), false},
    {"a negative number",
     BYTES(HEAD MAP("\x05") EPOCH CHECKPOINT DIGEST SEGMENTS ATOM(
         "\x07", "durable") "\x62\xff\xff\xff\xff"),
     false},
    {"a negative big number",
     BYTES(HEAD MAP("\x05") EPOCH CHECKPOINT DIGEST SEGMENTS ATOM(
         "\x07", "durable") "\x6e\x01\x01\x05"),
     false},
    {"a number of nine bytes",
     BYTES(HEAD MAP("\x05") EPOCH CHECKPOINT DIGEST SEGMENTS ATOM(
         "\x07", "durable") "\x6e\x09\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01"),
     false},
    {"a digest of 15 bytes",
     BYTES(HEAD MAP("\x05") EPOCH CHECKPOINT DURABLE SEGMENTS ATOM(
         "\x06", "digest") "\x6d\x00\x00\x00\x0f"
                           "0123456789abcde"),
     false},
    {"another checkpoint atom",
     BYTES(HEAD MAP("\x05") EPOCH DIGEST DURABLE SEGMENTS ATOM(
         "\x0a", "checkpoint") ATOM("\x04", "nine")),
     false},
    {"a tuple of three", BYTES("\x68\x03\x61\x01\x61\x01\x61\x01"), false},
    {"another name", BYTES("\x68\x02" ATOM("\x08", "manifold") MAP("\x00")),
     false},
    {"no map", BYTES(HEAD "\x6a"), false},
    {"bytes behind", BYTES(HEAD MAP("\x05") REST SEGMENTS "\x6a"), false},
    {"a count that is too large", BYTES(HEAD MAP("\xff") REST SEGMENTS), false},
    {"no term", BYTES("\xff"), false},
    {"empty", BYTES(""), false},
};

static void terms_are_judged(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);

    (void)state;
    mem_init(&mem, 0);
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
        struct manifest read;
        uint64_t offset = UINT64_MAX;
        enum status st;

        put_manifest(sim, terms[i].term, FILE_MANIFEST, RECORD_MANIFEST, 1);
        st = read_it(io, &read, &offset);
        if ((st == ST_OK) != terms[i].valid)
            print_error("%s: %s\n", terms[i].what, status_atom(st));
        assert_int_equal(st, terms[i].valid ? ST_OK : ST_LOG_REFUSED);
        if (st == ST_OK)
            manifest_free(&read, &mem);
        assert_int_equal(mem.used, 0);
    }
    sim_io_free(sim);
}

static void other_files_and_records_are_refused(void **state)
{
    struct bytes good = terms[0].term;
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct manifest read;
    uint64_t offset;

    (void)state;
    mem_init(&mem, 0);
    put_manifest(sim, good, FILE_LOG, RECORD_MANIFEST, 1);
    assert_int_equal(read_it(io, &read, &offset), ST_LOG_REFUSED);
    put_manifest(sim, good, FILE_MANIFEST, RECORD_MUTATION, 1);
    assert_int_equal(read_it(io, &read, &offset), ST_LOG_REFUSED);
    put_manifest(sim, good, FILE_MANIFEST, RECORD_MANIFEST, 2);
    assert_int_equal(read_it(io, &read, &offset), ST_LOG_REFUSED);
    assert_int_equal(mem.used, 0);
    sim_io_free(sim);
}

/* The checksums are mended, so that only the walk stands in the way. */
static void random_terms_do_no_harm(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct random random;

    (void)state;
    mem_init(&mem, 0);
    random_init(&random, random_seed());
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[256];
        struct bytes term = terms[random_below(&random, 9)].term;
        struct manifest read;
        uint64_t offset;

        memcpy(bytes, term.data, term.size);
        for (uint64_t i = random_below(&random, 4); i > 0; i--)
            bytes[random_below(&random, term.size)] =
                (uint8_t)random_next(&random);
        put_manifest(sim, bytes_of(bytes, term.size), FILE_MANIFEST,
                     RECORD_MANIFEST, 1);
        if (read_it(io, &read, &offset) == ST_OK)
            manifest_free(&read, &mem);
        assert_int_equal(mem.used, 0);
    }
    sim_io_free(sim);
}

/* Fails call after call of one write, and dies there, and loses power there:
 * the old manifest stands, or the new one; after 0 always the new one. */
static void the_old_one_stands_or_the_new_one(void **state)
{
    struct random random;
    bool finished = false;

    (void)state;
    mem_init(&mem, 0);
    random_init(&random, random_seed());
    for (uint64_t nth = 1; !finished; nth++) {
        for (int way = 0; way < 40; way++) {
            struct sim_io *sim = sim_io_create();
            struct io *io = sim_io_open(sim);
            struct manifest old = manifest_make(1, 2);
            struct manifest new = manifest_make(2, 3);
            struct manifest read;
            struct sim_io *cut;
            uint64_t calls;
            uint64_t offset;
            int error;

            assert_int_equal(manifest_write(io, &old), 0);
            calls = sim_io_calls(sim, SIM_ALL);
            if (way % 4 == 0)
                sim_io_fail(sim, (struct sim_fault){.at = nth,
                                                    .error = EIO,
                                                    .drop = way & 4,
                                                    .done = way & 8});
            else
                sim_io_crash_at(sim, SIM_ALL, nth,
                                (enum sim_moment)(way % 4 - 1));
            error = manifest_write(io, &new);
            finished = sim_io_calls(sim, SIM_ALL) - calls < nth;
            if (finished)
                assert_int_equal(error, 0);

            cut = sim_io_power_cut(sim, &random, SIM_POWER_RANDOM);
            io = sim_io_open(cut);
            assert_int_equal(read_it(io, &read, &offset), ST_OK);
            if (error == 0)
                assert_int_equal(read.epoch, 2);
            assert_same(&read, read.epoch == 2 ? &new : &old);
            manifest_free(&read, &mem);
            sim_io_free(cut);

            io = sim_io_kill(sim);
            assert_int_equal(read_it(io, &read, &offset), ST_OK);
            assert_same(&read, read.epoch == 2 ? &new : &old);
            assert_int_equal(manifest_write(io, &new), 0); /* and now? */
            manifest_free(&read, &mem);
            sim_io_free(sim);
            manifest_free(&old, &mem);
            manifest_free(&new, &mem);
            assert_int_equal(mem.used, 0);
        }
    }
}

static void errors_of_reading_are_passed_on(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct manifest manifest;
    struct manifest read;
    uint64_t offset;

    (void)state;
    mem_init(&mem, 0);
    manifest = manifest_make(1, 2);
    assert_int_equal(manifest_write(io, &manifest), 0);
    manifest_free(&manifest, &mem);
    sim_io_fail(sim, (struct sim_fault){
                         .kinds = SIM_KIND(SIM_PREAD), .at = 1, .error = EIO});
    assert_int_equal(read_it(io, &read, &offset), ST_IO);
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_OPEN),
                                        .at = 1,
                                        .error = EMFILE});
    assert_int_equal(read_it(io, &read, &offset), ST_IO);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        mem_fail_at(&mem, nth, false);
        assert_int_equal(read_it(io, &read, &offset), ST_NO_MEMORY);
        assert_int_equal(mem.used, 0);
    }
    mem_fail_at(&mem, 0, false);
    assert_int_equal(sim_io_descriptors(sim), 0);
    sim_io_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(a_manifest_comes_back),
        cmocka_unit_test(every_damage_is_refused),
        cmocka_unit_test(terms_are_judged),
        cmocka_unit_test(other_files_and_records_are_refused),
        cmocka_unit_test(random_terms_do_no_harm),
        cmocka_unit_test(the_old_one_stands_or_the_new_one),
        cmocka_unit_test(errors_of_reading_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
