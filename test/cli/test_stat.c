/* `rhizome stat`: what it tells of directories and files, whole and not. */
#include "cli/cli_case.h"

static void a_directory_without_a_checkpoint(void **state)
{
    char *path = in_scratch("plain");
    struct ran ran;

    (void)state;
    make_store(path, false);
    ran = run(test_format("stat %s", path));
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
    assert_contains(ran.out, "store id:        "
                             "73746f726520666f7220612074657374\n");
    assert_contains(ran.out, "epoch:           1\n");
    assert_contains(ran.out, "checkpoint:      none\n");
    assert_contains(ran.out, "last seq:        6\n");
    assert_contains(ran.out, "segments:        1\n");
    assert_contains(ran.out, "closed in order: yes\n");
    assert_contains(ran.out, "  " FIRST_SEGMENT "          1         6");
}

static void a_directory_with_a_checkpoint(void **state)
{
    char *path = in_scratch("compacted");
    struct ran ran;

    (void)state;
    make_store(path, true);
    ran = run(test_format("stat --json %s", path));
    assert_int_equal(ran.status, 0);
    assert_int_equal(count_lines(ran.out), 1);
    assert_contains(ran.out, "\"checkpoint\":\"ckpt-0000000000000004.tlg\","
                             "\"checkpoint_seq\":4,");
    assert_contains(ran.out, ",\"checkpoint_elements\":2,");
    assert_contains(ran.out, ",\"checkpoint_state\":\"complete\",");
    assert_contains(ran.out, ",\"last_seq\":6,");
    assert_contains(
        ran.out,
        "{\"table\":\"people\",\"table_term\":\"people\",\"type\":\"to_one\","
        "\"elements\":2}");
    assert_contains(ran.out,
                    "\"files\":[{\"file\":\"log-0000000000000005.tlg\","
                    "\"first_seq\":5,\"last_seq\":6,\"mutations\":2,");
    ran = run(test_format("stat --color=always %s", path));
    assert_contains(ran.out, "\033[1mlast seq:\033[0m");
}

static void segments_are_counted_without_being_read(void **state)
{
    char *path = in_scratch("long");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    for (int i = 0; i < 5000; i++)
        disk_do(&disk, test_format("{insert, t, fwd, %d}", i));
    disk_sync(&disk);
    /* At work: not closed. */
    ran = run(test_format("stat %s", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "last seq:        5001\n");
    assert_contains(ran.out, "closed in order: no\n");
    assert_contains(ran.out, "rolled\n");
    assert_contains(ran.out, "open\n");
    disk_close(&disk, true);
    ran = run(test_format("stat --json %s", path));
    assert_contains(ran.out, "\"last_seq\":5001,\"durable_seq\":5001,");
}

static void files(void **state)
{
    char *path = in_scratch("files");
    struct ran ran;

    (void)state;
    make_store(path, true);
    ran = run(test_format("stat %s/log-0000000000000005.tlg", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "kind:        log\n");
    assert_contains(ran.out, "mutations:   2\n");
    assert_contains(ran.out, "state:       closed\n");
    assert_contains(ran.out, "  mutation        2");
    assert_contains(ran.out, "  close           1");
    ran = run(test_format("stat %s/ckpt-0000000000000004.tlg", path));
    assert_contains(ran.out, "kind:       checkpoint\n");
    assert_contains(ran.out, "elements:   2\n");
    assert_contains(ran.out, "state:      complete\n");
    ran = run(test_format("stat --json %s/MANIFEST", path));
    assert_contains(ran.out, "\"kind\":\"manifest\"");
}

static void what_is_cut_or_damaged(void **state)
{
    char *path = in_scratch("damaged");
    char *segment = in_scratch("damaged/" FIRST_SEGMENT);
    char *manifest = in_scratch("damaged/MANIFEST");
    struct ran ran;

    (void)state;
    make_store(path, false);
    assert_int_equal(truncate(segment, file_size(segment) - 3), 0);
    ran = run(test_format("stat %s", segment));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "state:       torn\n");
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, "the file ends within a header or a record");
    assert_contains(run(test_format("stat %s", path)).out, "torn\n");
    /* Its header is gone. */
    file_flip(segment, 30);
    assert_fails(test_format("stat %s", segment), 1, "offset 0: ");
    ran = run(test_format("stat %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.err, "missing or damaged");
    /* It is gone itself. */
    assert_int_equal(unlink(segment), 0);
    ran = run(test_format("stat %s", path));
    assert_int_equal(ran.status, 1);
    assert_contains(ran.out, "missing\n");
    file_flip(manifest, 70);
    assert_fails(test_format("stat %s", path), 1, "MANIFEST: offset ");
    assert_int_equal(truncate(manifest, 0), 0);
    ran = run(test_format("stat %s", path));
    assert_int_equal(ran.status, 1);
}

static void every_cut_is_survived(void **state)
{
    char *path = in_scratch("cut");
    char *file = in_scratch("cut/ckpt-0000000000000004.tlg");
    struct ran ran;

    (void)state;
    make_store(path, true);
    for (off_t cut = file_size(file) - 1; cut > 0; cut -= 5) {
        assert_int_equal(truncate(file, cut), 0);
        ran = run(test_format("stat %s", file));
        assert_true(ran.status == (cut < FILE_HEADER_BYTES ? 1 : 0));
        ran = run(test_format("stat --json %s", path));
        assert_int_equal(ran.status, 1);
        assert_int_equal(count_lines(ran.out), 1);
    }
}

static void what_is_no_log_is_said_to_be_none(void **state)
{
    char *file = in_scratch("file");

    (void)state;
    file_write_text(file, "");
    assert_fails(test_format("stat %s", file), 65, "the file is empty");
    file_write_text(file, "no log");
    assert_fails(test_format("stat %s", file), 65, "is no term log");
    assert_fails(test_format("stat %s", scratch), 65, "without a MANIFEST");
    assert_fails(test_format("stat %s", in_scratch("none")), 74,
                 "there is no such file");
    assert_denied(test_format("stat %s", file), file);
    make_store(in_scratch("denied"), false);
    assert_int_equal(chmod(in_scratch("denied"), 0755), 0);
    assert_denied(test_format("stat %s", in_scratch("denied")),
                  in_scratch("denied/MANIFEST"));
    assert_denied(test_format("stat %s", in_scratch("denied")),
                  in_scratch("denied"));
}

static void output_errors_are_noticed(void **state)
{
    char *path = in_scratch("out");

    (void)state;
    make_store(path, false);
    assert_int_equal(run_to(OUT_FULL, test_format("stat %s", path)).status, 74);
    assert_int_equal(run_to(OUT_CLOSED, test_format("stat %s", path)).status,
                     74);
    assert_int_equal(
        run_to(OUT_BROKEN_PIPE, test_format("stat %s", path)).status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_without_a_checkpoint),
        cmocka_unit_test(a_directory_with_a_checkpoint),
        cmocka_unit_test(segments_are_counted_without_being_read),
        cmocka_unit_test(files),
        cmocka_unit_test(what_is_cut_or_damaged),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(what_is_no_log_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
