/* `rhizome repair`: that it cuts where it is told to, if that is a place to
 * cut, says what is lost, keeps it, and leaves a store. */
#include "cli/cli_case.h"

#include <signal.h>
#include <time.h>

#include "support/client.h"

static const char *digest_of(const char *arguments)
{
    struct ran ran = run(test_format("replay --json %s", arguments));
    char *at = strstr(ran.out, "\"digest\":\"");

    if (ran.status != 0 || !at)
        fail_msg("replay %s: exit %d, %s", arguments, ran.status, ran.err);
    return test_format("%.32s", at + strlen("\"digest\":\""));
}

/* Three segments and more, of 64 KiB. */
static const char *whole_store(void)
{
    static char *path;
    char text[1024];
    struct disk_store disk;

    if (path)
        return path;
    path = in_scratch("whole");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, to_one, #{}}");
    for (unsigned n = 2; n <= 200; n++) {
        disk_do(&disk,
                test_format("{insert, t, fwd, {%u, <<\"%s\">>}}", n, text));
        if (n % 10 == 0)
            disk_sync(&disk);
    }
    disk_close(&disk, true);
    return path;
}

static unsigned list_segments(const char *path, char names[8][64])
{
    FILE *list = popen(test_format("cd %s && ls log-*", path), "r");
    unsigned count = 0;

    assert_non_null(list);
    while (count < 8 && fgets(names[count], 64, list))
        names[count++][strlen(FIRST_SEGMENT)] = '\0';
    pclose(list);
    return count;
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

/* What is left is what the whole log was at that seq, and a daemon goes on. */
static void assert_is_store(const char *path, unsigned seq)
{
    struct client client;
    char digest[40];

    snprintf(digest, sizeof(digest), "%s",
             digest_of(test_format("--until %u %s", seq, whole_store())));
    assert_int_equal(run(test_format("check %s", path)).status, 0);
    assert_string_equal(digest_of(test_format("--verify %s", path)), digest);
    client_start_port(&client, "--dir", path);
    assert_string_equal(client_call(&client, "{insert, t, fwd, {0, new}}"),
                        "{ok,{inserted,[],[]}}");
    assert_int_equal(client_finish(&client, NULL, 0), 0);
    assert_contains(run(test_format("replay --json --verify %s", path)).out,
                    test_format("{\"seq\":%u,", seq + 1));
}

static void a_segment_of_a_store_is_cut(void **state)
{
    const char *path = copy_store(whole_store(), "cut");
    char names[8][64];
    unsigned count = list_segments(path, names);
    char *segment = test_format("%s/%s", path, names[1]);
    struct ran ran;
    long long at;

    (void)state;
    assert_true(count >= 3);
    at = offset_of(segment, 80);
    file_flip(segment, at + 40);
    ran = run(test_format("repair %s --cut-at %lld --yes --json", segment, at));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "mutations 80 to 200 are given up");
    assert_contains(ran.err, "later segment");
    assert_contains(ran.out, "\"cut\":true,");
    assert_contains(ran.out, "\"seq\":79,\"lost_from\":80,\"lost_to\":200,");
    assert_contains(ran.out,
                    test_format("{\"file\":\"torn/%s.0.1\"}", names[1]));
    assert_contains(
        ran.out, test_format("{\"file\":\"torn/%s.0.1\"}", names[count - 1]));
    assert_int_equal(list_segments(path, names), 2);
    assert_int_equal(
        system(test_format("test $(ls %s/torn | wc -l) = %u", path, count - 1)),
        0);
    assert_is_store(path, 79);
    /* What was saved is what there was. */
    ran.status = system(test_format("cp %s/%s %s/x && printf '\\0' >/dev/null",
                                    whole_store(), names[1], scratch));
    assert_int_equal(ran.status, 0);
    file_flip(in_scratch("x"), at + 40);
    assert_int_equal(
        system(test_format("cmp %s/x %s/torn/%s.0.1", scratch, path, names[1])),
        0);
}

static void a_wrong_place_is_answered_with_the_right_one(void **state)
{
    const char *path = copy_store(whole_store(), "place");
    char names[8][64];
    char *first, *second;
    long long at, before;

    (void)state;
    list_segments(path, names);
    first = test_format("%s/%s", path, names[0]);
    at = offset_of(first, 10);
    before = offset_of(first, 9);
    file_flip(first, at + 40);
    assert_fails(test_format("repair %s --cut-at %lld --yes", first, at + 1),
                 64,
                 test_format("the first fault is at %lld, behind mutation "
                             "9; use --cut-at %lld or less",
                             at, at));
    first = test_format("%s/%s", path, names[0]);
    assert_fails(test_format("repair %s --cut-at %lld --yes", first, at - 1),
                 64,
                 test_format("lies within a record, from %lld (behind "
                             "mutation 8) to %lld",
                             before, at));
    first = test_format("%s/%s", path, names[0]);
    assert_fails(test_format("repair %s --cut-at 63 --yes", first), 64,
                 "the first record begins at 64");
    second = test_format("%s/%s", path, names[1]);
    assert_fails(test_format("repair %s --cut-at 64 --yes", second), 64,
                 "the first fault is in " FIRST_SEGMENT);
    /* Nothing has changed but for the flipped byte. */
    file_flip(test_format("%s/%s", path, names[0]), at + 40);
    assert_int_equal(
        system(test_format("diff -r -x LOCK %s %s", path, whole_store())), 0);
}

static void nobody_to_ask_means_no(void **state)
{
    const char *path = copy_store(whole_store(), "ask");
    int kept = dup(STDIN_FILENO);
    long long at = offset_of(test_format("%s/" FIRST_SEGMENT, path), 10);

    (void)state;
    assert_non_null(freopen("/dev/null", "r", stdin));
    assert_fails(test_format("repair %s/" FIRST_SEGMENT
                             " --cut-at %lld --force",
                             path, at),
                 64, "mutations 10 to 200 are given up");
    dup2(kept, STDIN_FILENO);
    close(kept);
    assert_int_equal(
        system(test_format("diff -r -x LOCK %s %s", path, whole_store())), 0);
}

static void a_whole_segment_is_given_up(void **state)
{
    const char *path = copy_store(whole_store(), "head");
    char names[8][64];
    unsigned last;
    unsigned long long first_seq;

    (void)state;
    last = list_segments(path, names) - 1;
    first_seq = strtoull(names[last] + 4, NULL, 16);
    file_flip(test_format("%s/%s", path, names[last]), 20);
    assert_fails(
        test_format("repair %s/%s --cut-at 64 --yes", path, names[last]), 64,
        "--cut-at 0 sets it aside");
    assert_int_equal(
        run(test_format("repair %s/%s --cut-at 0 --yes", path, names[last]))
            .status,
        0);
    assert_is_store(path, (unsigned)first_seq - 1);

    /* Or cut behind its header, which comes to the same. */
    path = copy_store(whole_store(), "head");
    assert_int_equal(run(test_format("repair %s/%s --cut-at 64 --yes --force",
                                     path, names[last]))
                         .status,
                     0);
    assert_int_equal(list_segments(path, names), last);
    assert_is_store(path, (unsigned)first_seq - 1);
}

static void a_missing_segment_is_mended_before_it(void **state)
{
    const char *path = copy_store(whole_store(), "missing");
    char names[8][64];
    unsigned seq;
    char *repair, *at;
    struct ran ran;

    (void)state;
    list_segments(path, names);
    seq = (unsigned)strtoull(names[1] + 4, NULL, 16) - 1;
    assert_int_equal(unlink(test_format("%s/%s", path, names[1])), 0);
    ran = run(test_format("check --json %s", path));
    at = strstr(ran.out, "\"repair\":\"rhizome ");
    assert_non_null(at);
    at += strlen("\"repair\":\"rhizome ");
    repair = test_format("%.*s --yes", (int)strcspn(at, "\""), at);
    assert_int_equal(run(repair).status, 0);
    assert_is_store(path, seq);
}

static void what_is_whole_is_not_cut_by_mistake(void **state)
{
    const char *path = copy_store(whole_store(), "sound");
    char *alone = in_scratch("sound.tlg");
    long long at = offset_of(test_format("%s/" FIRST_SEGMENT, path), 10);
    struct ran ran;

    (void)state;
    assert_fails(test_format("repair %s/" FIRST_SEGMENT " --cut-at %lld --yes",
                             path, at),
                 64, "no fault was found in it, or before it");
    assert_int_equal(
        system(test_format("diff -r -x LOCK %s %s", path, whole_store())), 0);
    ran = run(test_format(
        "repair %s/" FIRST_SEGMENT " --cut-at %lld --yes --force", path, at));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "no fault was found in it, or before it");
    assert_is_store(path, 9);
    assert_int_equal(
        system(test_format("cp %s/" FIRST_SEGMENT " %s", whole_store(), alone)),
        0);
    assert_fails(test_format("repair %s --cut-at %lld --yes", alone, at), 64,
                 "--force says");
}

static void the_lock_is_respected(void **state)
{
    const char *path = copy_store(whole_store(), "held");
    struct client client;

    (void)state;
    client_start_port(&client, "--dir", path);
    assert_fails(
        test_format("repair %s/" FIRST_SEGMENT " --cut-at 64 --yes", path), 75,
        test_format("process %d has the store open", (int)client.pid));
    assert_int_equal(client_finish(&client, NULL, 0), 0);
}

static void a_file_alone_gets_a_backup(void **state)
{
    char *path = in_scratch("alone.tlg");
    long long at;
    struct ran ran;

    (void)state;
    assert_int_equal(
        system(test_format("cp %s/" FIRST_SEGMENT " %s", whole_store(), path)),
        0);
    at = offset_of(path, 30);
    file_flip(path, at + 40);
    assert_int_equal(system(test_format("cp %s %s.before", path, path)), 0);
    ran = run(test_format("repair %s --cut-at %lld --yes --json", path, at));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "\"saved\":[{\"file\":\"alone.tlg.bak\"}]");
    assert_int_equal(system(test_format("cmp %s.before %s.bak", path, path)),
                     0);
    assert_int_equal(file_size(path), at);
    assert_string_equal(digest_of(path),
                        digest_of(test_format("--until 29 %s", whole_store())));
    assert_int_equal(run(test_format("check %s", path)).status, 0);
    /* Once more: there is nothing behind it; and no backup is overwritten. */
    ran = run(test_format("repair %s --cut-at %lld --yes", path, at));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "nothing was changed");
    assert_fails(test_format("repair -q %s --cut-at 64", path), 64,
                 "alone.tlg.bak: is there already");
    assert_int_equal(file_size(path), at);
}

static void what_cannot_be_cut_is_refused(void **state)
{
    char *path = in_scratch("checkpointed");
    char *file = in_scratch("file");

    (void)state;
    make_store(path, true);
    assert_fails(
        test_format("repair %s/ckpt-0000000000000004.tlg --cut-at 64", path),
        64, "cannot be cut");
    assert_fails(test_format("repair %s/MANIFEST --cut-at 64", path), 64,
                 "cannot be cut");
    assert_fails(test_format("repair %s --cut-at 64", path), 64,
                 "name the segment to cut");
    file_flip(test_format("%s/ckpt-0000000000000004.tlg", path), 130);
    assert_fails(
        test_format("repair %s/log-0000000000000005.tlg --cut-at 64", path), 78,
        "cutting it is of no use: ckpt-");
    file_write_text(file, "");
    assert_fails(test_format("repair %s --cut-at 64", file), 65, "");
    file_write_text(file, "some text, and it is long enough for a header of "
                          "a term log, but it is none");
    assert_fails(test_format("repair %s --cut-at 64", file), 65,
                 "is no term log");
    assert_fails(test_format("repair %s", file), 64, "--cut-at OFFSET is");
    assert_fails(test_format("repair %s/nowhere --cut-at 64", scratch), 74,
                 "there is no such file");
}

/* Killed at whatever moment, the same command ends well. */
static void it_may_be_interrupted_anywhere(void **state)
{
    FILE *nowhere = fopen("/dev/null", "w");
    char names[8][64];
    char digest[40];
    long long at;

    (void)state;
    assert_non_null(nowhere);
    list_segments(whole_store(), names);
    at = offset_of(test_format("%s/%s", whole_store(), names[1]), 80);
    snprintf(digest, sizeof(digest), "%s",
             digest_of(test_format("--until 79 %s", whole_store())));
    for (unsigned i = 0; i < 30; i++) {
        const char *path = copy_store(whole_store(), "killed");
        char line[512];
        struct timespec moment = {0, 300000 * (long)i};
        struct ran ran;
        pid_t pid;

        snprintf(line, sizeof(line), "repair %s/%s --cut-at %lld --yes --force",
                 path, names[1], at);
        pid = start_program(line, OUT_FILE, nowhere, nowhere);
        nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
        wait_program(pid);
        ran = run(line);
        if (ran.status != 0)
            fail_msg("after %u: exit %d, %s", i, ran.status, ran.err);
        assert_string_equal(digest_of(path), digest);
    }
    fclose(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_of_a_store_is_cut),
        cmocka_unit_test(a_wrong_place_is_answered_with_the_right_one),
        cmocka_unit_test(nobody_to_ask_means_no),
        cmocka_unit_test(a_whole_segment_is_given_up),
        cmocka_unit_test(a_missing_segment_is_mended_before_it),
        cmocka_unit_test(what_is_whole_is_not_cut_by_mistake),
        cmocka_unit_test(the_lock_is_respected),
        cmocka_unit_test(a_file_alone_gets_a_backup),
        cmocka_unit_test(what_cannot_be_cut_is_refused),
        cmocka_unit_test(it_may_be_interrupted_anywhere),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
