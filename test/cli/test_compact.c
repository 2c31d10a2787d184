/* `rhizome compact`: what is left, that it is the same, and that nothing is
 * lost if it cannot be done or is interrupted. */
#include "cli/cli_case.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "support/client.h"

/* The digest that `replay --verify` comes to. */
static const char *digest_of(const char *path)
{
    struct ran ran = run(test_format("replay --verify --json %s", path));
    char *at = strstr(ran.out, "\"digest\":\"");

    if (ran.status != 0 || !at)
        fail_msg("replay %s: exit %d, %s", path, ran.status, ran.err);
    return test_format("%.32s", at + strlen("\"digest\":\""));
}

/* A store of several segments, of which most mutations are overwritten. */
static void make_large_store(const char *path)
{
    struct disk_store disk;

    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, to_one, #{}}");
    for (unsigned n = 2; n <= 4000; n++) {
        disk_do(&disk,
                test_format("{insert, t, fwd, {%u, [%u]}}", n % 1000, n));
        if (n % 500 == 0)
            disk_sync(&disk);
    }
    disk_close(&disk, true);
}

static const char *large_store(void)
{
    static char *path;

    if (!path) {
        path = in_scratch("large");
        make_large_store(path);
    }
    return path;
}

static const char *copy_store(const char *from, const char *name)
{
    char *path = in_scratch(name);
    char command[512];

    snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", path, from,
             path);
    assert_int_equal(system(command), 0);
    return path;
}

static void a_checkpoint_takes_the_place_of_the_log(void **state)
{
    const char *path = copy_store(large_store(), "data");
    char digest[40];
    struct client client;
    struct ran ran;

    (void)state;
    snprintf(digest, sizeof(digest), "%s", digest_of(path));
    ran = run(test_format("compact --json %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, test_format("{\"seq\":4000,\"digest\":\"%s\","
                                         "\"compacted\":true,\"mutations\":"
                                         "4000,\"files_before\":",
                                         digest));
    assert_contains(ran.out, "\"files_after\":1,");
    assert_int_equal(
        access(test_format("%s/ckpt-0000000000000fa0.tlg", path), F_OK), 0);
    assert_int_equal(access(test_format("%s/" FIRST_SEGMENT, path), F_OK), -1);
    assert_string_equal(digest_of(path), digest);
    assert_int_equal(run(test_format("check %s", path)).status, 0);

    ran = run(test_format("compact %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "compacted:    no\n");
    assert_string_equal(digest_of(path), digest);

    client_start_port(&client, "--dir", path);
    assert_string_equal(client_call(&client, "{insert, t, fwd, {-1, 0}}"),
                        "{ok,{inserted,[],[]}}");
    assert_int_equal(client_finish(&client, NULL, 0), 0);
    assert_contains(run(test_format("replay %s", path)).out,
                    "seq:          4001\n");
}

static void an_empty_store_stays_one(void **state)
{
    char *path = in_scratch("empty");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, path);
    disk_close(&disk, true);
    ran = run(test_format("compact --json %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "\"compacted\":false");
    assert_int_equal(run(test_format("check %s", path)).status, 0);
}

static void the_holder_of_the_lock_is_named(void **state)
{
    const char *path = copy_store(large_store(), "held");
    struct client client;

    (void)state;
    client_start_port(&client, "--dir", path);
    assert_fails(
        test_format("compact %s", path), 75,
        test_format("process %d has the store open; stop it", (int)client.pid));
    assert_int_equal(client_finish(&client, NULL, 0), 0);
    assert_int_equal(run(test_format("compact %s", path)).status, 0);
}

static void a_damaged_log_is_not_touched(void **state)
{
    const char *path = copy_store(large_store(), "damaged");
    struct ran ran;

    (void)state;
    file_flip(test_format("%s/" FIRST_SEGMENT, path), 300);
    assert_int_equal(system(test_format("cp -r %s %s/before", path, scratch)),
                     0);
    assert_fails(test_format("compact %s", path), 78, "offset ");
    ran.status =
        system(test_format("diff -r -x LOCK %s %s/before", path, scratch));
    assert_int_equal(ran.status, 0);
}

static void a_torn_tail_is_set_aside(void **state)
{
    char *path = in_scratch("torn");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    disk_sync(&disk);
    disk_do(&disk, "{insert, t, fwd, 1}");
    assert_int_equal(termlog_write(disk.log), ST_OK);
    disk_close(&disk, false);
    assert_int_equal(
        truncate(test_format("%s/" FIRST_SEGMENT, path),
                 offset_of(test_format("%s/" FIRST_SEGMENT, path), 2) + 12),
        0);
    ran = run(test_format("compact --json %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "a torn tail of 12 bytes behind mutation 1");
    assert_contains(ran.out, "\"torn_bytes\":12");
    assert_int_equal(
        system(test_format("test $(ls %s/torn | wc -l) = 1", path)), 0);
    assert_int_equal(run(test_format("check %s", path)).status, 0);
}

/* Killed at whatever moment, it leaves the old store or the new one. */
static void it_may_be_interrupted_anywhere(void **state)
{
    FILE *nowhere = fopen("/dev/null", "w");
    char digest[40];

    (void)state;
    assert_non_null(nowhere);
    snprintf(digest, sizeof(digest), "%s", digest_of(large_store()));
    for (unsigned i = 0; i < 40; i++) {
        const char *path = copy_store(large_store(), "killed");
        struct timespec moment = {0, 400000 * (long)i};
        pid_t pid = start_program(test_format("compact %s", path), OUT_FILE,
                                  nowhere, nowhere);

        nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
        wait_program(pid);
        assert_string_equal(digest_of(path), digest);
        assert_int_equal(run(test_format("compact %s", path)).status, 0);
        assert_string_equal(digest_of(path), digest);
    }
    fclose(nowhere);
}

static void a_full_disk_changes_nothing(void **state)
{
    const char *path = copy_store(large_store(), "full");
    struct rlimit old, limit;
    char digest[40];
    struct ran ran;

    (void)state;
    snprintf(digest, sizeof(digest), "%s", digest_of(path));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ran = run(test_format("compact %s", path));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(ran.status, 74);
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, "cannot write the checkpoint: File too large");
    assert_string_equal(digest_of(path), digest);
    assert_int_equal(run(test_format("compact %s", path)).status, 0);
    assert_string_equal(digest_of(path), digest);
}

static void what_is_no_store_is_said_to_be_none(void **state)
{
    char *file = in_scratch("file");

    (void)state;
    file_write_text(file, "text");
    assert_fails(test_format("compact %s", file), 64, "is not a directory");
    assert_fails(test_format("compact %s", scratch), 65, "without a MANIFEST");
    assert_fails(test_format("compact %s/nowhere", scratch), 74,
                 "there is no such file");
    assert_fails("compact", 64, "DIR is missing");
    assert_fails("compact a b", 64, "unexpected argument `b`");
    if (geteuid() == 0) {
        print_message("no permission: not tested, for we are root\n");
        return;
    }
    assert_int_equal(chmod(large_store(), 0500), 0);
    assert_fails(test_format("compact %s", large_store()), 74, "");
    assert_int_equal(chmod(large_store(), 0700), 0);
}

static void output_errors_are_noticed(void **state)
{
    const char *path = copy_store(large_store(), "output");

    (void)state;
    assert_int_equal(run_to(OUT_FULL, test_format("compact %s", path)).status,
                     74);
    assert_int_equal(
        run_to(OUT_BROKEN_PIPE, test_format("compact %s", path)).status, 0);
    assert_int_equal(run(test_format("check %s", path)).status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_takes_the_place_of_the_log),
        cmocka_unit_test(an_empty_store_stays_one),
        cmocka_unit_test(the_holder_of_the_lock_is_named),
        cmocka_unit_test(a_damaged_log_is_not_touched),
        cmocka_unit_test(a_torn_tail_is_set_aside),
        cmocka_unit_test(it_may_be_interrupted_anywhere),
        cmocka_unit_test(a_full_disk_changes_nothing),
        cmocka_unit_test(what_is_no_store_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
