/* `rhizome replay`: what a log comes to, up to where, from what, into what. */
#include "cli/cli_case.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "support/client.h"

/* The digest that a command prints, with --json; "" if it prints none. */
static const char *digest_in(struct ran ran)
{
    const char *at = strstr(ran.out, "\"digest\":\"");

    return at ? test_format("%.32s", at + strlen("\"digest\":\"")) : "";
}

static const char *digest_of(const char *arguments)
{
    struct ran ran = run(test_format("replay --json %s", arguments));

    if (ran.status != 0)
        fail_msg("replay %s: exit %d, %s", arguments, ran.status, ran.err);
    return digest_in(ran);
}

static const char *hex_of(struct digest digest)
{
    return test_format("%016llx%016llx", (unsigned long long)digest.high,
                       (unsigned long long)digest.low);
}

/* The same with stdin from a file, or from a pipe that it is written to. */
static struct ran run_from(const char *path, bool pipe, const char *line)
{
    int kept = dup(STDIN_FILENO);
    FILE *stream =
        pipe ? popen(test_format("cat %s", path), "r") : fopen(path, "rb");
    struct ran ran;

    assert_non_null(stream);
    dup2(fileno(stream), STDIN_FILENO);
    ran = run(line);
    dup2(kept, STDIN_FILENO);
    close(kept);
    if (pipe)
        pclose(stream);
    else
        fclose(stream);
    return ran;
}

static const char *plain_store(void)
{
    char *path = in_scratch("plain");

    if (access(path, F_OK) != 0)
        make_store(path, false);
    return path;
}

static const char *checkpointed_store(void)
{
    char *path = in_scratch("checkpointed");

    if (access(path, F_OK) != 0)
        make_store(path, true);
    return path;
}

/* A copy of the plain store's segment, cut or not. */
static char *copy_segment(const char *name, size_t left_out)
{
    struct buffer bytes = BUFFER(test_mem());
    char *path = in_scratch(name);

    file_read(test_format("%s/" FIRST_SEGMENT, plain_store()), &bytes);
    file_write(path, bytes_of(bytes.data, bytes.size - left_out));
    buffer_free(&bytes);
    return path;
}

/* --- what is shown ------------------------------------------------------- */

static void shows_tables_and_digest(void **state)
{
    struct ran ran = run(test_format("replay %s", plain_store()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
    assert_contains(ran.out, "\nmutations:    6\n");
    assert_contains(ran.out, "1 recorded digest agrees");
    assert_contains(ran.out, "likes   many_to_many      2");
    assert_contains(ran.out, "people  to_one            1");
    ran = run(test_format("replay --json %s", plain_store()));
    assert_int_equal(strncmp(ran.out, "{\"seq\":6,\"digest\":\"", 19), 0);
    assert_contains(ran.out, "\"checkpoint\":null,\"mutations\":6");
    assert_contains(ran.out, "\"torn\":[]");
    assert_contains(
        ran.out,
        "{\"table\":\"people\",\"table_term\":\"people\",\"type\":\"to_one\","
        "\"count\":1,");
    assert_int_equal(count_lines(ran.out), 1);
}

static void a_checkpoint_gives_the_same_digest(void **state)
{
    const char *path = checkpointed_store();
    const char *digest = digest_of(plain_store());

    (void)state;
    assert_string_equal(digest_of(path), digest);
    /* And its files, in the wrong order. */
    assert_string_equal(digest_of(test_format("%s/log-0000000000000005.tlg "
                                              "%s/ckpt-0000000000000004.tlg",
                                              path, path)),
                        digest);
    assert_fails(
        test_format("replay %s/log-0000000000000005.tlg", path), 64,
        "the log begins at mutation 5; name the checkpoint or the segments");
}

static void a_dump_gives_the_same_digest(void **state)
{
    char *dump = in_scratch("dump");
    struct ran ran =
        run(test_format("dump --format etf -o %s %s", dump, plain_store()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(digest_of(dump), digest_of(plain_store()));
    ran = run_from(dump, true, "replay --json -");
    assert_string_equal(digest_in(ran), digest_of(plain_store()));
}

/* What a batch holds, one by one, in batches of three, and all in one. */
static void batches_make_no_difference(void **state)
{
    static const unsigned sizes[] = {1, 3, 100};
    char digests[3][40];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        char *path = in_scratch(test_format("batch%u", sizes[i]));
        struct disk_store disk;
        char op[8192] = "";

        disk_open(&disk, path);
        disk_do(&disk, "{create_table, t, one_to_many, #{}}");
        for (unsigned n = 1; n <= 100; n++) {
            snprintf(op + strlen(op), sizeof(op) - strlen(op),
                     "%s{insert, t, fwd, {%u, %u}}", *op ? ", " : "",
                     n * 7919 % 13, n * 31 % 101);
            if (n % sizes[i] && n < 100)
                continue;
            disk_do(&disk, test_format("{batch, [%s]}", op));
            op[0] = '\0';
        }
        snprintf(digests[i], sizeof(digests[i]), "%s",
                 hex_of(store_digest(disk.store)));
        disk_close(&disk, true);
        assert_string_equal(digest_of(path), digests[i]);
    }
    assert_string_equal(digests[0], digests[1]);
    assert_string_equal(digests[0], digests[2]);
}

static void verify_says_what_was_compared(void **state)
{
    struct ran ran = run(test_format("replay --verify %s", plain_store()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "1 recorded digest agrees; tables, orders");
    ran = run(test_format("replay --verify %s", checkpointed_store()));
    assert_contains(ran.out, "2 recorded digests agree; tables, orders");
    ran = run(test_format("replay --verify --until 5 %s", plain_store()));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "none is recorded, so none was compared");
}

static void a_digest_that_differs_is_damage(void **state)
{
    struct digest wrong = {1, 2};
    struct disk_store disk;
    char *path = in_scratch("wrong");

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    termlog_append_digest(disk.log, wrong);
    disk_do(&disk, "{insert, t, fwd, 1}");
    disk_sync(&disk);
    disk_close(&disk, false);
    assert_fails(test_format("replay --verify %s", path), 1,
                 "the store's digest at seq 1 is not the recorded one");
    assert_fails(test_format("replay %s", path), 1, "is not the recorded one");
    assert_int_equal(run(test_format("replay --until 1 %s", path)).status, 0);
}

/* --- time travel --------------------------------------------------------- */

static void until_shows_the_store_as_it_was(void **state)
{
    char *path = in_scratch("travel");
    char digests[41][40];
    struct disk_store disk;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, many_to_many, #{}}");
    for (unsigned seq = 2; seq <= 40; seq++) {
        disk_do(&disk, test_format("{insert, t, bwd, {%u, %u}}", seq % 5, seq));
        snprintf(digests[seq], sizeof(digests[seq]), "%s",
                 hex_of(store_digest(disk.store)));
        if (seq == 20)
            disk_checkpoint(&disk);
    }
    disk_sync(&disk);
    for (unsigned seq = 20; seq <= 40; seq++)
        assert_string_equal(digest_of(test_format("--until %u %s", seq, path)),
                            digests[seq]);
    disk_close(&disk, true);
    assert_fails(test_format("replay --until 19 %s", path), 64,
                 "use --until 20 or later");
    assert_fails(
        test_format("replay --until 19 %s/ckpt-0000000000000014.tlg", path), 64,
        "use --until 20 or later");
    assert_fails(test_format("replay --until 41 %s", path), 64,
                 "the log ends at mutation 40, before 41");
}

/* --- into ---------------------------------------------------------------- */

static void into_makes_a_store_for_the_daemon(void **state)
{
    char *path = in_scratch("copy/of it");
    const char *digest = digest_of(plain_store());
    struct client client;
    struct ran ran =
        run(test_format("replay --json --into '%s' %s", path, plain_store()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(digest_in(ran), digest);
    assert_contains(ran.out, "\"into\":\"");
    assert_string_equal(digest_of(test_format("'%s'", path)), digest);
    ran = run(test_format("check '%s'", path));
    assert_int_equal(ran.status, 0);

    client_start_port(&client, "--dir", path);
    assert_string_equal(client_call(&client, "{insert, people, fwd, {cid, 7}}"),
                        "{ok,{inserted,[],[]}}");
    assert_int_equal(client_finish(&client, NULL, 0), 0);
    ran = run(test_format("replay '%s'", path));
    assert_contains(ran.out, "seq:          7\n");
    assert_contains(ran.out, "checkpoint:   6\n");
    assert_contains(ran.out, "people  to_one            2");
    assert_fails(test_format("replay --into '%s' %s", path, plain_store()), 64,
                 "is not empty");
}

static void into_leaves_nothing_behind_a_failure(void **state)
{
    char *path = in_scratch("none");
    char *kept = in_scratch("kept");

    (void)state;
    assert_fails(
        test_format("replay --until 99 --into %s %s", path, plain_store()), 64,
        "the log ends at mutation 6");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mkdir(kept, 0700), 0);
    assert_fails(
        test_format("replay --until 99 --into %s %s", kept, plain_store()), 64,
        "the log ends at mutation 6");
    assert_int_equal(rmdir(kept), 0); /* it is empty */
    /* What an interrupted attempt leaves is no obstacle. */
    assert_int_equal(mkdir(kept, 0700), 0);
    file_write_text(test_format("%s/ckpt.tmp", kept), "half");
    assert_int_equal(
        run(test_format("replay --until 3 --into %s %s", kept, plain_store()))
            .status,
        0);
    assert_string_equal(digest_of(kept),
                        digest_of(test_format("--until 3 %s", plain_store())));
    assert_fails(test_format("replay --into /proc/none %s", plain_store()), 74,
                 "cannot be made");
}

static void into_a_full_disk_leaves_nothing(void **state)
{
    char *path = in_scratch("full");
    char *large = in_scratch("large");
    struct rlimit old, limit;
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, large);
    disk_do(&disk, "{create_table, t, set, #{}}");
    for (unsigned n = 0; n < 4000; n++)
        disk_do(&disk, test_format("{insert, t, fwd, %u}", n));
    disk_close(&disk, true);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ran = run(test_format("replay --into %s %s", path, large));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(ran.status, 74);
    assert_contains(ran.err, "cannot be written: File too large");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(
        run(test_format("replay --into %s %s", path, large)).status, 0);
}

static void into_copies_an_empty_store(void **state)
{
    char *path = in_scratch("empty");
    struct disk_store disk;

    (void)state;
    disk_open(&disk, path);
    disk_close(&disk, true);
    assert_int_equal(
        run(test_format("replay --into %s %s", in_scratch("empty2"), path))
            .status,
        0);
    assert_string_equal(digest_of(in_scratch("empty2")), digest_of(path));
}

/* --- stdin --------------------------------------------------------------- */

static void a_log_may_come_from_stdin(void **state)
{
    const char *digest = digest_of(plain_store());
    char *path = copy_segment("stdin.tlg", 0);

    (void)state;
    assert_string_equal(digest_in(run_from(path, false, "replay --json -")),
                        digest);
    assert_string_equal(digest_in(run_from(path, true, "replay --json -")),
                        digest);
    path = copy_segment("stdin-torn.tlg", 3);
    assert_contains(run_from(path, true, "replay -").err, "stdin: offset");
    path = copy_segment("stdin-damaged.tlg", 0);
    file_flip(path, 100);
    assert_int_equal(run_from(path, true, "replay -").status, 1);
    assert_int_equal(run_from("/dev/null", false, "replay -").status, 65);
    assert_fails(test_format("replay - %s", plain_store()), 64,
                 "- must be the only PATH");
}

static void requests_may_come_from_stdin(void **state)
{
    char *path = in_scratch("frames");
    struct buffer frames = BUFFER(test_mem());
    struct ran ran;

    (void)state;
    frame_parse(&frames, "[{1, {create_table, people, to_one, #{}}},"
                         " {2, {create_table, likes, many_to_many, #{}}}]");
    frame_parse(&frames, "[{3, {insert, people, fwd, {ann, 36}}},"
                         " {4, {insert, nobody, fwd, 1}},"
                         " {5, {get, people, fwd, ann}}]");
    frame_parse(&frames, "[{6, {batch, [{insert, likes, fwd, {ann, tea}},"
                         " {insert, likes, fwd, {bob, <<\"milk\">>}}]}}]");
    file_write(path, buffer_bytes(&frames));
    ran = run_from(path, true, "replay --json -");
    assert_int_equal(ran.status, 0);
    assert_string_equal(digest_in(ran), digest_of(plain_store()));
    assert_contains(ran.out, "\"requests\":6,\"failed\":1,\"mutations\":4");
    assert_contains(ran.err, "request 4 answered the error no_table");
    assert_string_equal(digest_in(run_from(path, false, "replay --json -")),
                        digest_of(plain_store()));
    ran = run_from(path, true, "replay --json --until 3 -");
    assert_string_equal(digest_in(ran),
                        digest_of(test_format("--until 3 %s", plain_store())));

    file_write(path, bytes_of(frames.data, frames.size - 1));
    ran = run_from(path, true, "replay -");
    assert_int_equal(ran.status, 65);
    assert_contains(ran.err, "is cut off");
    file_write_text(path, "hello, this is not a log");
    assert_int_equal(run_from(path, true, "replay -").status, 65);
    file_write(path, bytes_of("\0\0\0\3\203ab", 7));
    ran = run_from(path, true, "replay -");
    assert_int_equal(ran.status, 65);
    assert_contains(ran.err, "the frame at offset 0: a request must ");
    buffer_free(&frames);
}

/* --- what is wrong with it ----------------------------------------------- */

static void a_torn_tail_is_told(void **state)
{
    char *path = copy_segment("torn.tlg", 3);
    struct ran ran = run(test_format("replay --json %s", path));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "a torn tail of");
    assert_contains(ran.out, "\"torn\":[{\"file\":\"torn.tlg\",\"offset\":");
    assert_string_equal(digest_in(ran), digest_of(plain_store()));
    ran = run(test_format("replay -q %s", path));
    assert_string_equal(ran.err, "");
}

static void damage_is_status_1(void **state)
{
    char *path = copy_segment("damaged.tlg", 0);

    (void)state;
    file_flip(path, offset_of(path, 2) + 30);
    assert_fails(test_format("replay %s", path), 1,
                 "the checksum of a payload is wrong");
}

static void what_is_no_log_is_said_to_be_none(void **state)
{
    char *path = in_scratch("none.tlg");

    (void)state;
    file_write_text(path, "");
    assert_fails(test_format("replay %s", path), 65, "the file is empty");
    file_write_text(path, "some text of somebody");
    assert_fails(test_format("replay %s", path), 65, "is no term log");
    assert_fails(test_format("replay %s", scratch), 65, "without a MANIFEST");
    assert_fails(test_format("replay %s/nowhere", scratch), 74,
                 "there is no such file");
    assert_fails("replay", 64, "PATH ... is missing");
    assert_fails(test_format("replay %s/MANIFEST", plain_store()), 64,
                 "name its directory");
    if (geteuid() == 0) {
        print_message("no permission: not tested, for we are root\n");
        return;
    }
    chmod(path, 0);
    assert_fails(test_format("replay %s", path), 74, "no permission");
    chmod(path, 0600);
}

static void output_errors_are_noticed(void **state)
{
    const char *line = test_format("replay %s", plain_store());

    (void)state;
    assert_int_equal(run_to(OUT_FULL, line).status, 74);
    assert_int_equal(run_to(OUT_CLOSED, line).status, 74);
    assert_int_equal(run_to(OUT_BROKEN_PIPE, line).status, 0);
}

/* --- a store at work ----------------------------------------------------- */

static volatile sig_atomic_t enough;

static void on_signal(int number)
{
    (void)number;
    enough = 1;
}

/* Writes, syncs and checkpoints until it is told to stop. */
/* A store that rolls and makes checkpoints all the time, if at a pace that
 * lets somebody read it in between. */
static void work(const char *path)
{
    const struct timespec moment = {0, 1000000};
    struct disk_store disk;

    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, many_to_many, #{}}");
    disk_sync(&disk);
    for (unsigned n = 1; !enough; n++) {
        disk_do(&disk, test_format("{insert, t, fwd, {%u, %u}}", n % 97, n));
        if (n % 3 == 0) {
            disk_sync(&disk);
            nanosleep(&moment, NULL);
        }
        if (n % 1500 == 0)
            disk_checkpoint(&disk);
    }
    disk_close(&disk, true);
}

static void a_store_at_work_can_be_read(void **state)
{
    const struct timespec moment = {0, 2000000};
    char *path = in_scratch("work");
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        signal(SIGTERM, on_signal);
        work(path);
        _exit(0);
    }
    assert_true(pid > 0);
    while (access(test_format("%s/" FIRST_SEGMENT, path), F_OK) != 0)
        nanosleep(&moment, NULL);
    for (unsigned i = 0; i < 60; i++) {
        struct ran ran = run(test_format("replay --json --verify %s", path));

        if (ran.status != 0)
            fail_msg("replay: exit %d, %s", ran.status, ran.err);
        ran = run(test_format("check %s", path));
        if (ran.status != 0)
            fail_msg("check: exit %d, %s%s", ran.status, ran.out, ran.err);
    }
    kill(pid, SIGTERM);
    assert_int_equal(wait_program(pid), 0);
    assert_contains(run(test_format("replay --verify %s", path)).out,
                    "recorded digest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_tables_and_digest),
        cmocka_unit_test(a_checkpoint_gives_the_same_digest),
        cmocka_unit_test(a_dump_gives_the_same_digest),
        cmocka_unit_test(batches_make_no_difference),
        cmocka_unit_test(verify_says_what_was_compared),
        cmocka_unit_test(a_digest_that_differs_is_damage),
        cmocka_unit_test(until_shows_the_store_as_it_was),
        cmocka_unit_test(into_makes_a_store_for_the_daemon),
        cmocka_unit_test(into_leaves_nothing_behind_a_failure),
        cmocka_unit_test(into_a_full_disk_leaves_nothing),
        cmocka_unit_test(into_copies_an_empty_store),
        cmocka_unit_test(a_log_may_come_from_stdin),
        cmocka_unit_test(requests_may_come_from_stdin),
        cmocka_unit_test(a_torn_tail_is_told),
        cmocka_unit_test(damage_is_status_1),
        cmocka_unit_test(what_is_no_log_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
        cmocka_unit_test(a_store_at_work_can_be_read),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
