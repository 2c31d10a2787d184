/* The simulated directory: it must be as strict as a disk, and no stricter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "support/sim_io.h"

static void write_text(struct io *io, int fd, const char *text, uint64_t at)
{
    assert_int_equal(io_write_all(io, fd, text, strlen(text), at), 0);
}

/* A file with this text, synced, its name too. */
static int make_file(struct io *io, const char *name, const char *text)
{
    int fd = io_open(io, name, IO_CREATE);

    assert_true(fd >= 0);
    write_text(io, fd, text, 0);
    assert_int_equal(io_sync(io, fd), 0);
    assert_int_equal(io_sync_directory(io, NULL), 0);
    return fd;
}

static void assert_file(struct sim_io *sim, const char *name, const char *text)
{
    struct bytes file = sim_io_file(sim, name);

    assert_non_null(file.data);
    assert_int_equal(file.size, strlen(text));
    assert_memory_equal(file.data, text, file.size);
}

/* What `name` holds after a power cut of the mode; NULL: it is gone. */
static void assert_after_cut(struct sim_io *sim, enum sim_power mode,
                             const char *name, const char *text)
{
    struct sim_io *cut = sim_io_power_cut(sim, NULL, mode);

    if (text)
        assert_file(cut, name, text);
    else
        assert_false(sim_io_exists(cut, name));
    sim_io_free(cut);
}

static void files_are_as_in_a_file_system(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    uint8_t read[16];
    int fd;
    int other;

    (void)state;
    assert_int_equal(io_open(io, "x", IO_READ), -ENOENT);
    assert_int_equal(io_open(io, "torn/x", IO_CREATE), -ENOENT);
    fd = io_open(io, "x", IO_CREATE);
    assert_int_equal(io_open(io, "x", IO_CREATE), -EEXIST);
    write_text(io, fd, "abc", 3);
    assert_int_equal(io_size(io, fd), 6);
    assert_int_equal(io_pread(io, fd, read, 16, 1), 5);
    assert_memory_equal(read, "\0\0abc", 5);
    assert_int_equal(io_pread(io, fd, read, 16, 6), 0);
    assert_int_equal(io_allocate(io, fd, 0, 100), 0);
    assert_int_equal(io_size(io, fd), 100);
    assert_int_equal(io_truncate(io, fd, 4), 0);
    assert_int_equal(io_truncate(io, fd, 6), 0);
    assert_int_equal(io_pread(io, fd, read, 16, 0), 6);
    assert_memory_equal(read, "\0\0\0a\0\0", 6);

    other = io_open(io, "x", IO_READ);
    assert_int_equal(io_pwrite(io, other, "x", 1, 0), -EBADF);
    assert_int_equal(io_unlink(io, "x"), 0);
    assert_int_equal(io_unlink(io, "x"), -ENOENT);
    assert_int_equal(io_pread(io, other, read, 16, 0), 6); /* still open */
    assert_int_equal(sim_io_descriptors(sim), 2);
    assert_int_equal(io_close(io, other), 0);
    assert_int_equal(io_close(io, other), -EBADF);
    assert_int_equal(sim_io_used(sim), 4); /* a hole takes no room */
    io_close(io, fd);
    assert_int_equal(sim_io_used(sim), 0);
    assert_int_equal(io_size(io, fd), -EBADF);
    io_free(io);
    sim_io_free(sim);
}

static void note_name(void *context, const char *name)
{
    char *names = context;

    strcat(strcat(names, name), " ");
}

static void names_are_as_in_a_file_system(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    char names[256] = "";

    (void)state;
    io_close(io, make_file(io, "a", "aaa"));
    assert_int_equal(io_make_directory(io, "torn"), 0);
    assert_int_equal(io_make_directory(io, "torn"), 0);
    assert_int_equal(io_make_directory(io, "a"), -ENOTDIR);
    assert_int_equal(io_open(io, "torn", IO_READ), -EISDIR);
    assert_int_equal(io_unlink(io, "torn"), -EISDIR);
    assert_int_equal(io_rename(io, "a", "torn"), -EISDIR);
    assert_int_equal(io_rename(io, "a", "b/a"), -ENOENT);
    assert_int_equal(io_rename(io, "b", "c"), -ENOENT);
    assert_int_equal(io_sync_directory(io, "a"), -ENOTDIR);
    assert_int_equal(io_sync_directory(io, "b"), -ENOENT);
    io_close(io, make_file(io, "torn/x", "xxx"));
    assert_int_equal(io_rename(io, "a", "torn/x"), 0);
    assert_file(sim, "torn/x", "aaa");
    assert_int_equal(io_list(io, note_name, names), 0);
    assert_string_equal(names, "torn ");
    names[0] = '\0';
    sim_io_each_name(sim, note_name, names);
    assert_string_equal(names, "torn/ torn/x ");
    sim_io_free(sim);
}

static void only_what_is_synced_is_durable(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    int fd;

    (void)state;
    fd = make_file(io, "x", "old");
    write_text(io, fd, "newer", 0);
    assert_file(sim, "x", "newer");
    assert_memory_equal(sim_io_file_durable(sim, "x").data, "old", 3);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "old");
    assert_after_cut(sim, SIM_POWER_NEW, "x", "newer");
    assert_int_equal(io_truncate(io, fd, 1), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "old");
    assert_after_cut(sim, SIM_POWER_NEW, "x", "n");
    assert_int_equal(io_sync(io, fd), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "n");
    /* What a truncation cut off does not come back under new bytes. */
    assert_int_equal(io_sync(io, fd), 0);
    write_text(io, fd, "z", 2);
    assert_int_equal(io_sync(io, fd), 0);
    assert_int_equal(sim_io_file_durable(sim, "x").size, 3);
    assert_memory_equal(sim_io_file_durable(sim, "x").data, "n\0z", 3);
    sim_io_free(sim);
}

static void names_are_durable_after_a_sync_of_their_directory(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    int fd;

    (void)state;
    fd = io_open(io, "x", IO_CREATE);
    write_text(io, fd, "x", 0);
    assert_int_equal(io_sync(io, fd), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", NULL);
    assert_after_cut(sim, SIM_POWER_NEW, "x", "x");
    assert_int_equal(io_sync_directory(io, NULL), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "x");

    assert_int_equal(io_rename(io, "x", "y"), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "x");
    assert_after_cut(sim, SIM_POWER_OLD, "y", NULL);
    assert_after_cut(sim, SIM_POWER_NEW, "x", NULL);
    assert_after_cut(sim, SIM_POWER_NEW, "y", "x");
    assert_int_equal(io_sync_directory(io, NULL), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "y", "x");

    /* Below: of both directories, and the directory's own name as well. */
    assert_int_equal(io_make_directory(io, "torn"), 0);
    assert_int_equal(io_rename(io, "y", "torn/y"), 0);
    assert_int_equal(io_sync_directory(io, "torn"), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "torn/y", NULL);
    assert_after_cut(sim, SIM_POWER_OLD, "y", "x");
    assert_int_equal(io_sync_directory(io, NULL), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "torn/y", "x");
    assert_after_cut(sim, SIM_POWER_OLD, "y", NULL);

    assert_int_equal(io_unlink(io, "torn/y"), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "torn/y", "x");
    assert_int_equal(io_sync_directory(io, "torn"), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "torn/y", NULL);
    sim_io_free(sim);
}

/* The fsyncgate: the cache shows what the disk has not, no later sync writes
 * it, and only forgetting brings the truth to light. */
static void a_failed_sync_may_drop_pages(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    uint8_t read[4] = {0};
    int fd;

    (void)state;
    fd = make_file(io, "x", "old!");
    write_text(io, fd, "new!", 0);
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_SYNC),
                                        .at = 1,
                                        .error = EIO,
                                        .drop = true});
    assert_int_equal(io_sync(io, fd), -EIO);
    assert_file(sim, "x", "new!");
    assert_int_equal(io_sync(io, fd), 0); /* and yet: */
    assert_after_cut(sim, SIM_POWER_NEW, "x", "old!");

    io = sim_io_kill(sim);
    fd = io_open(io, "x", IO_READ);
    assert_int_equal(io_read_all(io, fd, read, 4, 0), 0);
    assert_memory_equal(read, "new!", 4);
    assert_int_equal(io_forget(io, fd), 0);
    assert_int_equal(io_read_all(io, fd, read, 4, 0), 0);
    assert_memory_equal(read, "old!", 4);

    /* Without `drop` the pages stay dirty, and forgetting keeps them. */
    fd = io_open(io, "x", IO_WRITE);
    write_text(io, fd, "late", 0);
    sim_io_fail(sim, (struct sim_fault){.at = 1, .error = EIO});
    assert_int_equal(io_sync(io, fd), -EIO);
    assert_int_equal(io_forget(io, fd), 0);
    assert_file(sim, "x", "late");
    assert_int_equal(io_sync(io, fd), 0);
    assert_after_cut(sim, SIM_POWER_OLD, "x", "late");
    sim_io_free(sim);
}

static void room_runs_out(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    uint8_t bytes[100] = {1};
    int fd;
    int other;

    (void)state;
    sim_io_set_capacity(sim, 150);
    fd = io_open(io, "x", IO_CREATE);
    other = io_open(io, "y", IO_CREATE);
    assert_int_equal(io_allocate(io, fd, 0, 151), -ENOSPC);
    assert_int_equal(io_size(io, fd), 0);
    assert_int_equal(io_allocate(io, fd, 0, 100), 0);
    assert_int_equal(io_pwrite(io, other, bytes, 100, 0), 50);
    assert_int_equal(io_pwrite(io, other, bytes, 1, 50), -ENOSPC);
    assert_int_equal(io_pwrite(io, fd, bytes, 100, 0), 100);
    assert_int_equal(io_pwrite(io, fd, bytes, 1, 100), -ENOSPC);
    assert_int_equal(sim_io_used(sim), 150);
    assert_int_equal(io_truncate(io, fd, 90), 0);
    assert_int_equal(io_pwrite(io, other, bytes, 100, 50), 10);
    io_close(io, other);
    assert_int_equal(io_unlink(io, "y"), 0);
    assert_int_equal(sim_io_used(sim), 90);

    sim_io_set_file_limit(sim, 95);
    assert_int_equal(io_pwrite(io, fd, bytes, 100, 0), 95);
    assert_int_equal(io_pwrite(io, fd, bytes, 1, 95), -EFBIG);
    assert_int_equal(io_allocate(io, fd, 90, 10), -EFBIG);
    assert_int_equal(io_truncate(io, fd, 96), -EFBIG);
    sim_io_free(sim);
}

static void calls_fail_where_they_are_told_to(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    uint8_t read[8];
    int fd = io_open(io, "x", IO_CREATE);

    (void)state;
    sim_io_fail(sim, (struct sim_fault){.at = 2, .error = EMFILE});
    assert_int_equal(io_size(io, fd), 0);
    assert_int_equal(io_size(io, fd), -EMFILE);
    assert_int_equal(io_size(io, fd), 0);

    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_PWRITE),
                                        .at = 2,
                                        .on = true,
                                        .error = ENOSPC});
    assert_int_equal(io_pwrite(io, fd, "abcd", 4, 0), 4);
    assert_int_equal(io_size(io, fd), 4);
    assert_int_equal(io_pwrite(io, fd, "efgh", 4, 4), -ENOSPC);
    assert_int_equal(io_pwrite(io, fd, "efgh", 4, 4), -ENOSPC);
    assert_file(sim, "x", "abcd");
    sim_io_heal(sim);

    /* Short, failing after a part, failing after all. */
    sim_io_fail(sim, (struct sim_fault){
                         .kinds = SIM_KIND(SIM_PWRITE), .at = 1, .bytes = 3});
    assert_int_equal(io_pwrite(io, fd, "efgh", 4, 4), 3);
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_PREAD),
                                        .at = 1,
                                        .on = true,
                                        .bytes = 2});
    assert_int_equal(io_pread(io, fd, read, 8, 0), 2);
    assert_int_equal(io_read_all(io, fd, read, 7, 0), 0);
    assert_memory_equal(read, "abcdefg", 7);
    sim_io_fail(sim, (struct sim_fault){.kinds = SIM_KIND(SIM_PWRITE),
                                        .at = 1,
                                        .error = EIO,
                                        .bytes = 1});
    assert_int_equal(io_pwrite(io, fd, "ZZ", 2, 0), -EIO);
    assert_file(sim, "x", "Zbcdefg");
    sim_io_fail(sim, (struct sim_fault){.at = 1, .error = EIO, .done = true});
    assert_int_equal(io_rename(io, "x", "y"), -EIO);
    assert_file(sim, "y", "Zbcdefg");
    assert_int_equal(sim_io_calls(sim, SIM_KIND(SIM_PWRITE)), 5);
    sim_io_free(sim);
}

static void a_crash_ends_everything(void **state)
{
    static const char *const expected[] = {
        [SIM_BEFORE] = "old!",
        [SIM_WITHIN] = "ned!",
        [SIM_AFTER] = "new.",
    };

    (void)state;
    for (int moment = SIM_BEFORE; moment <= SIM_AFTER; moment++) {
        struct sim_io *sim = sim_io_create();
        struct io *io = sim_io_open(sim);
        int fd = make_file(io, "x", "old!");
        uint64_t calls;

        sim_io_crash_at(sim, SIM_KIND(SIM_PWRITE), 2, (enum sim_moment)moment);
        assert_int_equal(io_size(io, fd), 4);
        assert_int_equal(io_pwrite(io, fd, "!", 1, 3), 1);
        assert_false(sim_io_crashed(sim));
        assert_int_equal(io_pwrite(io, fd, "new.", 4, 0), -EIO);
        assert_true(sim_io_crashed(sim));
        calls = sim_io_calls(sim, SIM_ALL);
        assert_int_equal(io_sync(io, fd), -EIO);
        assert_int_equal(io_open(io, "x", IO_READ), -EIO);
        assert_int_equal(io_close(io, fd), -EIO);
        assert_int_equal(sim_io_calls(sim, SIM_ALL), calls);
        assert_file(sim, "x", expected[moment]);
        sim_io_free(sim);
    }
}

static void a_killed_process_loses_descriptors_and_lock(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *first = sim_io_open(sim);
    struct io *second = sim_io_open(sim);
    struct io *third;
    int64_t holder = 0;
    int fd;

    (void)state;
    assert_int_equal(io_lock(first, &holder), 0);
    assert_int_equal(io_lock(first, &holder), 0);
    assert_int_equal(io_lock(second, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, 1001);
    assert_file(sim, "LOCK", "1001\n");
    fd = io_open(first, "x", IO_CREATE);
    write_text(first, fd, "cached", 0);
    assert_int_equal(sim_io_descriptors(sim), 1);

    third = sim_io_kill(sim);
    assert_int_equal(sim_io_descriptors(sim), 0);
    assert_int_equal(io_size(first, fd), -EIO);
    assert_int_equal(io_lock(second, &holder), -EIO);
    assert_int_equal(io_lock(third, &holder), 0);
    assert_file(sim, "x", "cached");
    io_free(first);
    io_free(second);
    io_free(third); /* gives the lock back */
    third = sim_io_open(sim);
    assert_int_equal(io_lock(third, &holder), 0);
    io_free(third);
    sim_io_free(sim);
}

static void a_clone_goes_its_own_way(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    struct sim_io *clone;
    struct io *other;
    int fd;

    (void)state;
    fd = make_file(io, "x", "old");
    write_text(io, fd, "new", 0);
    assert_int_equal(io_rename(io, "x", "y"), 0);
    clone = sim_io_clone(sim);
    assert_int_equal(io_sync(io, fd), 0);
    assert_int_equal(io_sync_directory(io, NULL), 0);
    sim_io_free(sim);

    assert_file(clone, "y", "new");
    assert_after_cut(clone, SIM_POWER_OLD, "x", "old");
    assert_after_cut(clone, SIM_POWER_NEW, "y", "new");
    other = sim_io_open(clone);
    fd = io_open(other, "y", IO_WRITE);
    assert_int_equal(io_sync(other, fd), 0);
    assert_int_equal(io_sync_directory(other, NULL), 0);
    assert_after_cut(clone, SIM_POWER_OLD, "y", "new");
    sim_io_free(clone);
}

static void files_are_changed_behind_everybodys_back(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);

    (void)state;
    io_close(io, make_file(io, "x", "abcdef"));
    sim_io_flip(sim, "x", 1, 1);
    sim_io_cut_file(sim, "x", 4);
    sim_io_overwrite(sim, "x", 3, BYTES("XY"));
    assert_file(sim, "x", "accXY");
    assert_after_cut(sim, SIM_POWER_OLD, "x", "accXY");
    sim_io_put_file(sim, "z", BYTES("z"));
    assert_after_cut(sim, SIM_POWER_OLD, "z", "z");
    sim_io_remove_file(sim, "x");
    assert_false(sim_io_exists(sim, "x"));
    assert_after_cut(sim, SIM_POWER_NEW, "x", NULL);
    sim_io_free(sim);
}

enum { SECTORS = 6, FILE_BYTES = SECTORS * SIM_SECTOR_BYTES };

/* Sector by sector: synced ones never change, the others take every form
 * there is, and all of that is found within some thousand cuts. */
static void power_cuts_reach_every_state_and_no_other(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    static uint8_t old_bytes[FILE_BYTES];
    static uint8_t new_bytes[FILE_BYTES];
    static uint8_t zeros[FILE_BYTES];
    unsigned seen[4] = {0}; /* old, new, zeros, other */
    unsigned masks[64] = {0};
    unsigned lengths[3] = {0}; /* old, new, between */
    unsigned names[4] = {0};
    struct random random;
    int fd;

    (void)state;
    random_init(&random, random_seed());
    memset(old_bytes, 'o', sizeof(old_bytes));
    memset(new_bytes, 'n', sizeof(new_bytes));
    fd = make_file(io, "x", "");
    /* Sectors 0..3 are there; 1..5 are written, 2 of these synced. */
    assert_int_equal(io_write_all(io, fd, old_bytes, 4 * 512, 0), 0);
    assert_int_equal(io_write_all(io, fd, new_bytes, 512, 2 * 512), 0);
    assert_int_equal(io_sync(io, fd), 0);
    assert_int_equal(io_write_all(io, fd, new_bytes, 512, 1 * 512), 0);
    assert_int_equal(io_write_all(io, fd, new_bytes, 3 * 512, 3 * 512), 0);
    io_close(io, io_open(io, "a", IO_CREATE));
    io_close(io, io_open(io, "b", IO_CREATE));

    for (int round = 0; round < 5000; round++) {
        struct sim_io *cut = sim_io_power_cut(sim, &random, SIM_POWER_RANDOM);
        struct bytes file = sim_io_file(cut, "x");
        unsigned mask = 0;

        assert_int_equal(sim_io_file_durable(cut, "x").size, file.size);
        assert_in_range(file.size, 4 * 512, FILE_BYTES);
        lengths[file.size == 4 * 512 ? 0 : file.size == FILE_BYTES ? 1 : 2]++;
        names[sim_io_exists(cut, "a") + 2 * sim_io_exists(cut, "b")]++;
        for (size_t i = 0; (i + 1) * 512 <= file.size; i++) {
            const uint8_t *sector = file.data + i * 512;
            bool is_new = memcmp(sector, new_bytes, 512) == 0;
            bool is_old = memcmp(sector, i < 4 ? old_bytes : zeros, 512) == 0;
            bool is_zeros = memcmp(sector, zeros, 512) == 0;

            if (i == 0)
                assert_true(is_old);
            else if (i == 2)
                assert_true(is_new);
            else
                seen[is_new ? 1 : is_old ? 0 : is_zeros ? 2 : 3]++;
            mask |= (unsigned)is_new << i;
        }
        if (file.size == FILE_BYTES)
            masks[mask]++;
        sim_io_free(cut);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(seen[i] > 100);
        assert_true(names[i] > 100);
    }
    for (int i = 0; i < 3; i++)
        assert_true(lengths[i] > 100);
    for (unsigned mask = 0; mask < 64; mask++)
        assert_true((masks[mask] > 0) == ((mask & 5) == 4));
    sim_io_free(sim);
}

static void a_seed_gives_the_same_cut(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    static uint8_t bytes[FILE_BYTES];
    int fd = make_file(io, "x", "");

    (void)state;
    memset(bytes, 'n', sizeof(bytes));
    assert_int_equal(io_write_all(io, fd, bytes, sizeof(bytes), 0), 0);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_io *clone = sim_io_clone(sim);
        struct random random;
        struct sim_io *a;
        struct sim_io *b;

        random_init(&random, seed);
        a = sim_io_power_cut(sim, &random, SIM_POWER_RANDOM);
        random_init(&random, seed);
        b = sim_io_power_cut(clone, &random, SIM_POWER_RANDOM);
        assert_true(bytes_equal(sim_io_file(a, "x"), sim_io_file(b, "x")));
        sim_io_free(a);
        sim_io_free(b);
        sim_io_free(clone);
    }
    sim_io_free(sim);
}

/* Random calls against a plain array: the current content, and the durable
 * one as of the last sync. */
static void contents_follow_a_model(void **state)
{
    enum { BYTES_MAX = 4000 };
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (int round = 0; round < 300; round++) {
        struct sim_io *sim = sim_io_create();
        struct io *io = sim_io_open(sim);
        int fd = make_file(io, "x", "");
        uint8_t current[BYTES_MAX] = {0};
        uint8_t durable[BYTES_MAX] = {0};
        size_t size = 0;
        size_t durable_size = 0;

        for (int step = 0; step < 40; step++) {
            uint8_t bytes[1000];
            size_t at = (size_t)random_below(&random, BYTES_MAX - 1000);
            size_t count = 1 + (size_t)random_below(&random, 999);

            switch (random_below(&random, 5)) {
            case 0:
            case 1:
                memset(bytes, (int)random_below(&random, 256), count);
                assert_int_equal(io_write_all(io, fd, bytes, count, at), 0);
                memcpy(current + at, bytes, count);
                size = at + count > size ? at + count : size;
                break;
            case 2:
                assert_int_equal(io_truncate(io, fd, at), 0);
                memset(current + at, 0, BYTES_MAX - at);
                size = at;
                break;
            case 3:
                assert_int_equal(io_allocate(io, fd, at, count), 0);
                size = at + count > size ? at + count : size;
                break;
            default:
                assert_int_equal(io_sync(io, fd), 0);
                memcpy(durable, current, BYTES_MAX);
                durable_size = size;
                break;
            }
            assert_true(
                bytes_equal(sim_io_file(sim, "x"), bytes_of(current, size)));
            assert_true(bytes_equal(sim_io_file_durable(sim, "x"),
                                    bytes_of(durable, durable_size)));
            if (step % 8 == 0) {
                struct sim_io *cut = sim_io_power_cut(sim, NULL, SIM_POWER_NEW);

                assert_true(bytes_equal(sim_io_file(cut, "x"),
                                        bytes_of(current, size)));
                sim_io_free(cut);
                cut = sim_io_power_cut(sim, NULL, SIM_POWER_OLD);
                assert_true(bytes_equal(sim_io_file(cut, "x"),
                                        bytes_of(durable, durable_size)));
                sim_io_free(cut);
            }
        }
        sim_io_free(sim);
    }
}

static void the_trace_tells_the_last_calls(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct io *io = sim_io_open(sim);
    char text[1000] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");
    int fd = make_file(io, "x", "abc");

    (void)state;
    sim_io_fail(sim, (struct sim_fault){.at = 1, .error = EIO});
    assert_int_equal(io_sync(io, fd), -EIO);
    sim_io_print_trace(sim, out, 2);
    fclose(out);
    assert_null(strstr(text, "pwrite"));
    assert_non_null(strstr(text, "sync_directory"));
    assert_non_null(strstr(text, "= -5"));
    sim_io_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_as_in_a_file_system),
        cmocka_unit_test(names_are_as_in_a_file_system),
        cmocka_unit_test(only_what_is_synced_is_durable),
        cmocka_unit_test(names_are_durable_after_a_sync_of_their_directory),
        cmocka_unit_test(a_failed_sync_may_drop_pages),
        cmocka_unit_test(room_runs_out),
        cmocka_unit_test(calls_fail_where_they_are_told_to),
        cmocka_unit_test(a_crash_ends_everything),
        cmocka_unit_test(a_killed_process_loses_descriptors_and_lock),
        cmocka_unit_test(a_clone_goes_its_own_way),
        cmocka_unit_test(files_are_changed_behind_everybodys_back),
        cmocka_unit_test(power_cuts_reach_every_state_and_no_other),
        cmocka_unit_test(a_seed_gives_the_same_cut),
        cmocka_unit_test(contents_follow_a_model),
        cmocka_unit_test(the_trace_tells_the_last_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
