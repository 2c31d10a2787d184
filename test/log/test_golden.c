/*
 * test_golden.c -- files of format 1.0, as they were written when it was new:
 * whoever changes the format must still read them, byte for byte.
 *
 * golden/ holds the directory of a small store after an orderly end:
 *
 *     MANIFEST.tlg                MANIFEST
 *     ckpt-0000000000000014.tlg   the checkpoint of seq 20
 *     log-0000000000000015.tlg    mutations, a mark, a digest, a roll
 *     log-000000000000001b.tlg    mutations and a close
 *
 * They were made by make_golden() below, with the code of the day on which
 * the format was fixed:
 *
 *     GOLDEN=test/log/golden build/test/test_golden
 *
 * Do not make them again. A new format gets new files beside them, and a
 * test of its own. The mutations in them are the tuples of durable.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "log/reader.h"

#include "support/durable.h"

#define LAST_SEQ 29

struct golden {
    const char *name; /* in golden/ */
    const char *real_name;
    enum file_kind kind;
    uint64_t first_seq;
    uint64_t end;        /* of the last record */
    const char *records; /* a character for each type */
    const char *claims;  /* seq - durable of each, as a digit */
};

static const struct golden files[] = {
    {"MANIFEST.tlg", "MANIFEST", FILE_MANIFEST, 1, 189, "M", "1"},
    {"ckpt-0000000000000014.tlg", "ckpt-0000000000000014.tlg", FILE_CHECKPOINT,
     20, 1308, "CTEeTEeTEEeTEEeX", "0000000000000000"},
    {"log-0000000000000015.tlg", "log-0000000000000015.tlg", FILE_LOG, 21, 464,
     "mmmkmmdmr", "EFG012233"},
    {"log-000000000000001b.tlg", "log-000000000000001b.tlg", FILE_LOG, 27, 242,
     "mmmc", "4560"},
};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

/* Of the store at the end, and of the one in the checkpoint. */
static const struct digest last_digest = {0x86f837c8fe6acb4b,
                                          0x2d96c64796e2d308};
static const struct digest checkpoint_digest = {0xb7caccb26ae6e895,
                                                0x303f4d3876ff843a};

static void path_of(char path[512], const char *directory, const char *name)
{
    snprintf(path, 512, "%s/%s", directory, name);
}

/* ---- making them ---- */

static void save(struct sim_io *sim, const char *directory,
                 const struct golden *golden)
{
    struct bytes bytes = sim_io_file(sim, golden->real_name);
    char path[512];
    FILE *file;

    path_of(path, directory, golden->name);
    file = fopen(path, "wb");
    REQUIRE(file && bytes.data);
    REQUIRE(fwrite(bytes.data, 1, bytes.size, file) == bytes.size);
    REQUIRE(fclose(file) == 0);
}

static void mutate(struct durable *d, unsigned count)
{
    while (count-- > 0)
        REQUIRE(durable_mutate(d) == ST_OK);
}

static void make_golden(const char *directory)
{
    struct sim_io *sim = sim_io_create();
    struct durable d;

    durable_init(&d, sim, 9, SYNC_ALWAYS, 1u << 20);
    REQUIRE(durable_open(&d, 0) == ST_OK);
    mutate(&d, 20);
    REQUIRE(durable_checkpoint_begin(&d) == ST_OK);
    REQUIRE(durable_checkpoint_end(&d) == ST_OK);
    mutate(&d, 3);
    REQUIRE(durable_sync(&d) == ST_OK);
    REQUIRE(termlog_append_mark(d.log));
    mutate(&d, 2);
    REQUIRE(durable_digest(&d) == ST_OK);
    mutate(&d, 1);
    REQUIRE(termlog_roll(d.log) == ST_OK);
    mutate(&d, 3);
    REQUIRE(durable_close(&d) == ST_OK);
    for (size_t i = 0; i < FILE_COUNT; i++)
        save(sim, directory, &files[i]);
    durable_deinit(&d);
    sim_io_free(sim);
}

/* ---- reading them ---- */

static void load(struct sim_io *sim, const struct golden *golden)
{
    static uint8_t bytes[1 << 20];
    const char *source = getenv("RHIZOME_SOURCE_DIR");
    char directory[400];
    char path[512];
    size_t size;
    FILE *file;

    snprintf(directory, sizeof(directory), "%s/test/log/golden",
             source ? source : ".");
    path_of(path, directory, golden->name);
    file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    sim_io_put_file(sim, golden->real_name, bytes_of(bytes, size));
}

static struct sim_io *load_all(void)
{
    struct sim_io *sim = sim_io_create();

    for (size_t i = 0; i < FILE_COUNT; i++)
        load(sim, &files[i]);
    return sim;
}

static char type_letter(unsigned type)
{
    static const char letters[] = "?mkcdr??????????CTEeX???????????M";

    return letters[type];
}

static void every_record_is_read(void **state)
{
    struct sim_io *sim = load_all();
    struct io *io = sim_io_open(sim);

    (void)state;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        const struct golden *golden = &files[i];
        const struct file_header *header;
        char types[100] = "", lags[100] = "";
        struct log_reader *reader;
        struct record record;
        unsigned count = 0;
        struct mem mem;
        int error;

        mem_init(&mem, 0);
        assert_int_equal(
            log_reader_open(io, golden->real_name, &mem, &reader, &error),
            ST_OK);
        header = log_reader_header(reader);
        assert_non_null(header);
        assert_int_equal(header->major, 1);
        assert_int_equal(header->minor, 0);
        assert_int_equal(header->kind, golden->kind);
        assert_int_equal(header->epoch, 1);
        assert_int_equal(header->first_seq, golden->first_seq);
        assert_memory_equal(header->store_id, "durable.c's own",
                            STORE_ID_BYTES);
        while (log_reader_next(reader, &record) == LOG_RECORD) {
            types[count] = type_letter(record.type);
            lags[count++] = (char)('0' + (record.seq - record.durable));
        }
        assert_int_equal(log_reader_next(reader, &record), LOG_END);
        if (getenv("GOLDEN"))
            printf("%s: %llu, \"%s\", \"%s\"\n", golden->name,
                   (unsigned long long)log_reader_offset(reader), types, lags);
        assert_int_equal(log_reader_offset(reader), golden->end);
        assert_string_equal(types, golden->records);
        assert_string_equal(lags, golden->claims);
        log_reader_close(reader);
    }
    io_free(io);
    sim_io_free(sim);
}

static void the_store_is_recovered(void **state)
{
    struct sim_io *sim = load_all();
    struct recovery_options options = {.apply = durable_apply,
                                       .settle = true,
                                       .expect_seq = LAST_SEQ,
                                       .until = UINT64_MAX};
    struct io *io = sim_io_open(sim);
    struct recovery recovery;
    struct digest digest;
    struct store *store;
    struct mem mem;
    char why[200];
    int error;

    (void)state;
    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    options.context = store;
    assert_int_equal(
        recover_directory(io, store, &options, &mem, &recovery, &error), ST_OK);
    digest = store_digest(store);
    if (getenv("GOLDEN"))
        printf("0x%016llx, 0x%016llx and 0x%016llx, 0x%016llx\n",
               (unsigned long long)digest.low, (unsigned long long)digest.high,
               (unsigned long long)recovery.manifest.digest.low,
               (unsigned long long)recovery.manifest.digest.high);
    assert_int_equal(recovery.verdict, RECOVERY_OK);
    assert_true(recovery.clean);
    assert_int_equal(recovery.seq, LAST_SEQ);
    assert_int_equal(recovery.checkpoint, 20);
    assert_int_equal(recovery.digests, 3);
    assert_true(store_check(store, why, sizeof(why)));
    assert_true(digest_equal(digest, last_digest));
    assert_true(digest_equal(recovery.manifest.digest, checkpoint_digest));
    recovery_free(&recovery);
    store_free(store);
    io_free(io);
    sim_io_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_read),
        cmocka_unit_test(the_store_is_recovered),
    };

    if (getenv("GOLDEN"))
        make_golden(getenv("GOLDEN"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
