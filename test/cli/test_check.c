/* `rhizome check`: which faults it finds, and that what it says of recovery,
 * and advises, is so. */
#include "cli/cli_case.h"

#include <unistd.h>

static const char *store_path(void)
{
    static char *path;

    if (!path) {
        path = in_scratch("data");
        make_store(path, false);
    }
    return path;
}

/* A copy of a store, to be spoilt. Returns the path of its first segment. */
static char *copy_store(const char *from, const char *name)
{
    char *path = test_format("%s/%s", scratch, name);
    char command[512];

    snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", path, from,
             path);
    assert_int_equal(system(command), 0);
    return test_format("%s/" FIRST_SEGMENT, path);
}

static void file_cut(const char *path, off_t size)
{
    assert_int_equal(truncate(path, size), 0);
}

/* --- without a fault ------------------------------------------------------ */

static void a_good_store_has_no_faults(void **state)
{
    struct ran ran = run(test_format("check %s", store_path()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
    assert_contains(ran.out, "mutations: 6\n");
    assert_contains(ran.out, "damage:    0\n");
    assert_contains(ran.out, "recovery:  goes on behind mutation 6\n");
    ran = run(test_format("check --json %s", store_path()));
    assert_int_equal(count_lines(ran.out), 1);
    assert_int_equal(strncmp(ran.out, "{\"summary\":true,", 16), 0);
    assert_contains(ran.out, "\"damage\":0,\"torn\":0,\"recovery\":\"ok\"");
    assert_contains(ran.out, "\"repair\":null");
}

static void a_checkpoint_and_what_is_left_over(void **state)
{
    char *path = in_scratch("checkpointed");
    struct ran ran;

    (void)state;
    make_store(path, true);
    file_write_text(test_format("%s/notes.txt", path), "mine");
    /* Of an older checkpoint, which recovery does not look at. */
    file_write_text(test_format("%s/" FIRST_SEGMENT, path), "old");
    ran = run(test_format("check --json %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "\"files\":2,\"ignored\":2,");
    ran = run(test_format("check %s/ckpt-0000000000000004.tlg", path));
    assert_int_equal(ran.status, 0);
    /* A segment from the middle of a log is a fine one. */
    ran = run(test_format("check %s/log-0000000000000005.tlg", path));
    assert_int_equal(ran.status, 0);
}

/* --- faults ----------------------------------------------------------------
 */

static void every_fault_is_listed(void **state)
{
    char *segment = copy_store(store_path(), "two");
    off_t second = offset_of(segment, 2);
    off_t fourth = offset_of(segment, 4);
    struct ran ran;

    (void)state;
    file_flip(segment, second + 30); /* a payload */
    file_flip(segment, fourth + 9);  /* a length */
    ran = run(test_format("check %s/two", scratch));
    assert_int_equal(ran.status, 1);
    assert_string_equal(ran.err, "");
    assert_contains(ran.out,
                    test_format("two/" FIRST_SEGMENT ": offset %lld: the "
                                "checksum of a payload is wrong; behind "
                                "mutation 1, ",
                                (long long)second));
    assert_contains(ran.out, "mutation 2 cannot be read\n");
    assert_contains(ran.out, test_format(": offset %lld: the checksum or a "
                                         "field of a header is wrong",
                                         (long long)fourth));
    assert_contains(ran.out, "mutation 4 cannot be read\n");
    assert_contains(ran.out, "damage:         2\n");
    assert_contains(ran.out, test_format("refuses: %s: offset %lld: ", segment,
                                         (long long)second));
    assert_contains(ran.out, "mutations 2 to 6 had been durable");
    assert_contains(ran.out, test_format("rhizome repair %s --cut-at %lld\n",
                                         segment, (long long)second));
    assert_contains(ran.out,
                    test_format("rhizome replay --into NEW-DIRECTORY --until "
                                "1 %s/two\n",
                                scratch));

    ran = run(test_format("check --json %s/two", scratch));
    assert_int_equal(ran.status, 1);
    assert_int_equal(count_lines(ran.out), 3);
    assert_contains(ran.out, "\"severity\":\"damage\"");
    assert_contains(ran.out, test_format("\"offset\":%lld,\"behind_seq\":1,",
                                         (long long)second));
    assert_contains(ran.out, "\"missing_from\":4,\"missing_to\":4}");
    assert_contains(ran.out, "\"recovery\":\"refused\",\"recovered_seq\":1,");
}

/* Five mutations that are synced, and one that is only written. */
static void make_torn(const char *path)
{
    struct disk_store disk;

    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    for (unsigned n = 2; n <= 6; n++) {
        if (n == 6)
            disk_sync(&disk);
        disk_do(&disk, test_format("{insert, t, fwd, %u}", n));
    }
    assert_int_equal(termlog_write(disk.log), ST_OK);
    disk_close(&disk, false);
}

static void a_torn_tail_is_no_damage(void **state)
{
    char *path = in_scratch("torn");
    char *segment = test_format("%s/" FIRST_SEGMENT, path);
    struct ran ran;
    off_t last;

    (void)state;
    make_torn(path);
    last = offset_of(segment, 6);
    file_cut(segment, last + 12);
    /* The room that a log has allocated ahead is not torn. */
    file_cut(segment, last + 4096);
    ran = run(test_format("check %s", path));
    assert_contains(ran.out, ", 12 bytes to the end (torn: ");
    assert_contains(run(test_format("log %s", path)).err,
                    "a torn tail of 12 bytes");
    assert_contains(run(test_format("replay %s", path)).err,
                    "a torn tail of 12 bytes");
    assert_contains(run(test_format("stat --json %s", path)).out,
                    "\"torn_bytes\":12,");
    assert_contains(run(test_format("stat --json %s", segment)).out,
                    "\"torn_bytes\":12,");
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "(torn: what a crash leaves)");
    assert_contains(ran.out,
                    test_format("cuts 12 bytes at %s: offset %lld, keeps a "
                                "copy in torn/, and goes on behind mutation 5",
                                segment, (long long)last));
    ran = run(test_format("check --json %s", path));
    assert_contains(ran.out, "\"severity\":\"torn\"");
    assert_contains(ran.out, "\"recovery\":\"torn\",\"recovered_seq\":5,");
    assert_contains(ran.out, "\"torn_bytes\":12");
}

static void a_payload_that_is_no_term_is_damage(void **state)
{
    char *path = in_scratch("no-term");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    assert_int_equal(termlog_append(disk.log, 2, bytes_of("garbage", 7)),
                     ST_OK);
    disk_sync(&disk);
    disk_close(&disk, false);
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, "the payload is no external term");
    assert_contains(ran.out, "holds what no store carries out");
    assert_contains(
        ran.out,
        test_format("rhizome repair %s/" FIRST_SEGMENT " --cut-at ", path));
    assert_int_equal(run(test_format("replay %s", path)).status, 1);
}

/* --- directories -----------------------------------------------------------
 */

/* Many segments: of 64 KiB each. */
static void make_segments(const char *path)
{
    char text[1024];
    struct disk_store disk;

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
}

/* The segments of a store, in order, as `ls` has them. */
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

static void files_that_manifest_lists_must_be_there(void **state)
{
    char *whole = in_scratch("many");
    char *path = in_scratch("gap");
    char names[8][64];
    struct ran ran;

    (void)state;
    make_segments(whole);
    assert_true(list_segments(whole, names) >= 3);
    assert_int_equal(run(test_format("check %s", whole)).status, 0);
    copy_store(whole, "gap");
    assert_int_equal(unlink(test_format("%s/%s", path, names[1])), 0);
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, test_format("%s: offset 0: the segment is "
                                         "missing",
                                         names[1]));
    assert_contains(ran.out, test_format("%s: offset 0: the segment begins at "
                                         "seq",
                                         names[2]));
    assert_contains(ran.out, "recovery:       refuses: ");
    assert_contains(
        ran.out, test_format("rhizome repair %s/%s --cut-at ", path, names[0]));
    assert_contains(ran.out, test_format("--into NEW-DIRECTORY --until 61 "
                                         "%s\n",
                                         path));

    copy_store(whole, "gap");
    file_flip(test_format("%s/%s", path, names[2]), 20); /* its store's id */
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, test_format("%s: offset 0: the checksum or a "
                                         "field of a header is wrong",
                                         names[2]));
    assert_contains(
        ran.out, test_format("rhizome repair %s/%s --cut-at ", path, names[1]));

    copy_store(whole, "gap");
    file_cut(test_format("%s/MANIFEST", path), 70);
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, "MANIFEST: offset ");
    assert_contains(ran.out, "rhizome replay --into NEW-DIRECTORY ");
}

/* The first segment behind a checkpoint: what is advised works. */
static void the_checkpoint_alone_can_be_kept(void **state)
{
    char *whole = in_scratch("two-files");
    char *path = in_scratch("headless");
    char *into = in_scratch("kept");
    struct ran ran;

    (void)state;
    make_store(whole, true);
    copy_store(whole, "headless");
    assert_int_equal(unlink(test_format("%s/log-0000000000000005.tlg", path)),
                     0);
    ran = run(test_format("check --json %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, test_format("\"salvage\":\"rhizome replay --into "
                                         "NEW-DIRECTORY --until 4 %s\","
                                         "\"repair\":null",
                                         path));
    ran = run(test_format("replay --into %s --until 4 %s", into, path));
    assert_int_equal(ran.status, 0);
    assert_int_equal(run(test_format("check %s", into)).status, 0);

    copy_store(whole, "headless");
    file_flip(test_format("%s/log-0000000000000005.tlg", path), 20);
    ran = run(test_format("check --json %s", path));
    assert_contains(ran.out, test_format("--until 4 %s\"", path));
    assert_contains(ran.out,
                    test_format("\"repair\":\"rhizome repair %s/"
                                "log-0000000000000005.tlg --cut-at 0\"",
                                path));
    assert_int_equal(
        run(test_format("repair -y %s/log-0000000000000005.tlg --cut-at 0",
                        path))
            .status,
        0);
    assert_int_equal(run(test_format("check %s", path)).status, 0);

    /* The checkpoint itself: there is nothing before it. */
    assert_int_equal(unlink(test_format("%s/ckpt-0000000000000004.tlg", path)),
                     0);
    ran = run(test_format("check --json %s", path));
    assert_contains(ran.out, "\"salvage\":null,\"repair\":null");
}

static void named_files_of_a_store_are_not_cut(void **state)
{
    char *path = in_scratch("listed");
    char names[8][64];
    struct ran ran;

    (void)state;
    copy_store(in_scratch("many"), "listed");
    assert_true(list_segments(path, names) >= 3);
    ran = run(test_format("check %s/%s %s/%s", path, names[0], path, names[2]));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out,
                    test_format("files are missing from the list; check its "
                                "directory: rhizome check %s\n",
                                path));
    assert_null(strstr(ran.out, "rhizome repair"));
    file_flip(test_format("%s/%s", path, names[0]), 200);
    ran = run(test_format("check --json %s/%s", path, names[0]));
    assert_contains(ran.out, "\"list\":\"these are files of a store; check ");
    assert_contains(ran.out, "\"repair\":null");
    file_flip(test_format("%s/%s", path, names[0]), 200);
    /* Without its MANIFEST. */
    assert_int_equal(unlink(test_format("%s/MANIFEST", path)), 0);
    ran = run(test_format("check %s/%s %s/%s", path, names[0], path, names[2]));
    assert_contains(ran.out, "files are missing from the list; name them, too");
    assert_null(strstr(ran.out, "rhizome repair"));
}

static void a_manifest_that_is_missing_is_said_to_be(void **state)
{
    char *path = in_scratch("orphans");
    struct ran ran;

    (void)state;
    make_store(path, true);
    assert_int_equal(unlink(test_format("%s/MANIFEST", path)), 0);
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.err, "orphans: its MANIFEST is missing; ");
    assert_contains(ran.err, test_format("rhizome replay --into NEW-DIRECTORY "
                                         "%s/*.tlg\n",
                                         path));
    assert_fails(test_format("replay %s", path), 1, "MANIFEST is missing");
    assert_fails(test_format("dump %s", path), 1, "MANIFEST is missing");
    assert_fails(test_format("stat %s", path), 1, "MANIFEST is missing");
    assert_fails(test_format("compact %s", path), 78, "MANIFEST is missing");
    assert_int_equal(system(test_format("$RHIZOME_EXECUTABLE replay --into "
                                        "%s/found %s/*.tlg >/dev/null",
                                        scratch, path)),
                     0);
    assert_int_equal(run(test_format("check %s/found", scratch)).status, 0);
}

static void a_line_stays_one(void **state)
{
    char *path = in_scratch("two\nlines");
    struct ran ran;

    (void)state;
    make_store(path, false);
    ran = run(test_format("stat '%s'", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "/two?lines\n");
    assert_int_equal(unlink(test_format("%s/" FIRST_SEGMENT, path)), 0);
    ran = run(test_format("check '%s'", path));
    assert_contains(ran.out, "/two?lines/" FIRST_SEGMENT ": offset 0: ");
}

static void a_damaged_checkpoint_cannot_be_cut(void **state)
{
    char *path = in_scratch("bad-checkpoint");
    struct ran ran;

    (void)state;
    make_store(path, true);
    file_flip(test_format("%s/ckpt-0000000000000004.tlg", path), 130);
    ran = run(test_format("check %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, "ckpt-0000000000000004.tlg: offset ");
    assert_contains(ran.out, "restore a backup: nothing here");
    ran = run(test_format("check --json %s", path));
    assert_contains(ran.out, "\"salvage\":null,\"repair\":null");
}

static void what_is_no_log_is_said_to_be_none(void **state)
{
    char *path = in_scratch("none.tlg");

    (void)state;
    file_write_text(path, "");
    assert_fails(test_format("check %s", path), 65, "the file is empty");
    file_write_text(path, "some text of somebody");
    assert_fails(test_format("check %s", path), 65, "is no term log");
    assert_fails(test_format("check %s", scratch), 65, "without a MANIFEST");
    assert_fails(test_format("check %s/nowhere", scratch), 74,
                 "there is no such file");
    assert_fails("check", 64, "PATH ... is missing");
    assert_fails(test_format("check %s/MANIFEST", store_path()), 64,
                 "name its directory");
    if (geteuid() == 0) {
        print_message("no permission: not tested, for we are root\n");
        return;
    }
    chmod(path, 0);
    assert_fails(test_format("check %s", path), 74, "no permission");
    chmod(path, 0600);
}

static void output_errors_are_noticed(void **state)
{
    const char *line = test_format("check %s", store_path());

    (void)state;
    assert_int_equal(run_to(OUT_FULL, line).status, 74);
    assert_int_equal(run_to(OUT_CLOSED, line).status, 74);
    assert_int_equal(run_to(OUT_BROKEN_PIPE, line).status, 0);
}

/* --- all of them -----------------------------------------------------------
 */

/* The command that `check --json` advises; NULL if there is none. */
static char *repair_in(struct ran ran)
{
    char *at = strstr(ran.out, "\"repair\":\"rhizome ");

    if (!at)
        return NULL;
    at += strlen("\"repair\":\"rhizome ");
    return test_format("%.*s", (int)strcspn(at, "\""), at);
}

/*
 * Whatever byte is flipped: check and replay agree on whether it is damage,
 * and the command that is advised makes it a store again.
 */
static void advice_for_every_flipped_byte(void **state)
{
    off_t size = file_size(test_format("%s/" FIRST_SEGMENT, store_path()));
#ifdef RHIZOME_SANITIZE
    off_t step = 13;
#else
    off_t step = 3;
#endif

    (void)state;
    for (off_t offset = 0; offset < size; offset += step) {
        char *segment = copy_store(store_path(), "flipped");
        struct ran checked, replayed;
        char *repair;

        file_flip(segment, offset);
        checked = run(test_format("check --json %s/flipped", scratch));
        replayed = run(test_format("replay --verify %s/flipped", scratch));
        if (checked.status != replayed.status || checked.status > 1)
            fail_msg("offset %lld: check %d, replay %d: %s", (long long)offset,
                     checked.status, replayed.status, replayed.err);
        if (checked.status == 0)
            continue;
        repair = repair_in(checked);
        if (!repair)
            fail_msg("offset %lld: no advice: %s", (long long)offset,
                     checked.out);
        replayed = run(test_format("%s --yes", repair));
        if (replayed.status != 0)
            fail_msg("offset %lld: %s: %s", (long long)offset, repair,
                     replayed.err);
        checked = run(test_format("check --json %s/flipped", scratch));
        replayed = run(test_format("replay --verify %s/flipped", scratch));
        if (checked.status || replayed.status)
            fail_msg("offset %lld, repaired: %s%s", (long long)offset,
                     checked.out, replayed.err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_store_has_no_faults),
        cmocka_unit_test(a_checkpoint_and_what_is_left_over),
        cmocka_unit_test(every_fault_is_listed),
        cmocka_unit_test(a_torn_tail_is_no_damage),
        cmocka_unit_test(a_payload_that_is_no_term_is_damage),
        cmocka_unit_test(files_that_manifest_lists_must_be_there),
        cmocka_unit_test(the_checkpoint_alone_can_be_kept),
        cmocka_unit_test(named_files_of_a_store_are_not_cut),
        cmocka_unit_test(a_manifest_that_is_missing_is_said_to_be),
        cmocka_unit_test(a_line_stays_one),
        cmocka_unit_test(a_damaged_checkpoint_cannot_be_cut),
        cmocka_unit_test(what_is_no_log_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
        cmocka_unit_test(advice_for_every_flipped_byte),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
