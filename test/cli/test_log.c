/* `rhizome log`: what it lists, what it leaves out, and what it says of files
 * that are cut, damaged, or none of ours. */
#include "cli/cli_case.h"

#include <signal.h>
#include <time.h>

static const char all_lines[] = "1\t{create_table,people,to_one,#{}}\n"
                                "2\t{create_table,likes,many_to_many,#{}}\n"
                                "3\t{insert,people,fwd,{ann,36}}\n"
                                "4\t{insert,people,fwd,{bob,25}}\n"
                                "5\t{batch,[{insert,likes,fwd,{ann,tea}},"
                                "{insert,likes,fwd,{bob,<<\"milk\">>}}]}\n"
                                "6\t{delete_key,people,fwd,bob}\n";

static const char *store_path(void)
{
    char *path = in_scratch("data");

    if (access(path, F_OK) != 0)
        make_store(path, false);
    return path;
}

/* A copy of the store's one segment, to be spoilt. */
static char *copy_segment(const char *name)
{
    struct buffer bytes = BUFFER(test_mem());
    char *path = in_scratch(name);

    file_write(path, file_read(test_format("%s/" FIRST_SEGMENT, store_path()),
                               &bytes));
    buffer_free(&bytes);
    return path;
}

static void lists_mutations_of_a_directory(void **state)
{
    struct ran ran = run(test_format("log %s", store_path()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
    assert_string_equal(ran.out, all_lines);
}

static void lists_a_single_file(void **state)
{
    struct ran ran = run(test_format("log %s/" FIRST_SEGMENT, store_path()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.out, all_lines);
}

static void follows_symbolic_links(void **state)
{
    char *name = in_scratch("link.tlg");

    (void)state;
    assert_int_equal(
        symlink(test_format("%s/" FIRST_SEGMENT, store_path()), name), 0);
    assert_string_equal(run(test_format("log %s", name)).out, all_lines);
}

static void lists_a_range(void **state)
{
    struct ran ran = run(test_format("log --from 3 --to 4 %s", store_path()));

    (void)state;
    assert_string_equal(ran.out, "3\t{insert,people,fwd,{ann,36}}\n"
                                 "4\t{insert,people,fwd,{bob,25}}\n");
    assert_string_equal(run(test_format("log --from 7 %s", store_path())).out,
                        "");
}

static void a_table_is_found_in_batches_too(void **state)
{
    struct ran ran = run(test_format("log -t likes %s", store_path()));

    (void)state;
    assert_int_equal(count_lines(ran.out), 2);
    assert_contains(ran.out, "2\t{create_table,likes");
    assert_contains(ran.out, "5\t{batch");
    assert_fails(test_format("log -t {likes %s", store_path()), 64,
                 "--table takes an Erlang term");
    ran = run(test_format("log -t <<\"likes\">> %s", store_path()));
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.out, "");
}

static void a_table_that_nothing_names_is_noted(void **state)
{
    struct ran ran = run(test_format("log -t people. %s", store_path()));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_int_equal(ran.out_size, 0);
    assert_contains(ran.err, "nothing in the list names a table `people.`");
    assert_string_equal(run(test_format("log -t people %s", store_path())).err,
                        "");
}

static void other_records_are_shown_when_asked_for(void **state)
{
    struct ran ran = run(test_format("log --all %s", store_path()));

    (void)state;
    assert_contains(ran.out, "6\t{close,<<");
    ran = run(test_format("log --type close %s", store_path()));
    assert_int_equal(count_lines(ran.out), 1);
    assert_contains(ran.out, "6\t{close,<<");
    assert_int_equal(run(test_format("log --type x %s", store_path())).status,
                     64);
}

static void json_is_an_object_a_line(void **state)
{
    struct ran ran = run(test_format("log --json --from 5 %s", store_path()));

    (void)state;
    assert_int_equal(count_lines(ran.out), 2);
    assert_contains(ran.out,
                    "{\"seq\":5,\"type\":\"mutation\",\"file\":\"" FIRST_SEGMENT
                    "\",\"offset\":");
    assert_contains(ran.out, ",\"op\":\"{delete_key,people,fwd,bob}\",\"term\":"
                             "[\"delete_key\",\"people\",\"fwd\",\"bob\"]}\n");
}

static void lists_a_checkpoint_and_a_manifest(void **state)
{
    char *path = in_scratch("compacted");
    struct ran ran;

    (void)state;
    make_store(path, true);
    ran = run(test_format("log %s/ckpt-0000000000000004.tlg", path));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "{create_table,people,to_one,#{");
    assert_contains(ran.out, "{load,people,fwd,[{ann,36},{bob,25}]}");
    ran = run(test_format("log %s/MANIFEST", path));
    assert_contains(ran.out, "{manifest,#{");
    ran = run(test_format("log %s", path));
    assert_string_equal(ran.out, strstr(all_lines, "5\t"));
}

static void segments_follow_one_another(void **state)
{
    char *path = in_scratch("long");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    for (int i = 0; i < 5000; i++)
        disk_do(&disk, test_format("{insert, t, fwd, %d}", i));
    disk_close(&disk, true);
    ran = run(test_format("log %s", path));
    assert_int_equal(ran.status, 0);
    assert_int_equal(count_lines(ran.out), 5001);
    assert_contains(ran.out, "\n5001\t{insert,t,fwd,4999}\n");
    /* --from begins with the segment that it is in. */
    ran = run(test_format("log --from 5001 %s", path));
    assert_string_equal(ran.out, "5001\t{insert,t,fwd,4999}\n");
    /* One segment is missing. */
    ran = run(test_format("log --all --type roll --json %s", path));
    assert_true(count_lines(ran.out) > 1);
    assert_int_equal(
        system(test_format("ls %s/log-* | sed -n 2p | xargs rm", path)), 0);
    ran = run(test_format("log %s", path));
    assert_int_equal(ran.status, 1);
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, "the file is missing");
}

static void a_torn_tail_ends_the_list_with_a_note(void **state)
{
    char *path = copy_segment("torn.tlg");
    off_t last = offset_of(path, 6);
    struct ran ran;

    (void)state;
    assert_int_equal(truncate(path, last + 30), 0);
    ran = run(test_format("log %s", path));
    assert_int_equal(ran.status, 0);
    assert_int_equal(count_lines(ran.out), 5);
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, test_format("torn.tlg: offset %ld: a torn tail of "
                                         "30 bytes",
                                         (long)last));
    ran = run(test_format("log --quiet %s", path));
    assert_string_equal(ran.err, "");
}

static void every_cut_gives_a_prefix(void **state)
{
    char *path = copy_segment("cut.tlg");
    off_t size = file_size(path);

    (void)state;
    for (off_t cut = size - 1; cut > 0; cut -= 7) {
        struct ran ran;

        assert_int_equal(truncate(path, cut), 0);
        ran = run(test_format("log %s", path));
        assert_true(ran.status == (cut < 64 ? 1 : 0));
        assert_int_equal(strncmp(ran.out, all_lines, ran.out_size), 0);
    }
}

static const char *file_text(const char *path)
{
    static struct buffer bytes;

    bytes.mem = test_mem();
    file_read(path, &bytes);
    test_append(&bytes, "", 1);
    return (const char *)bytes.data;
}

static void damage_is_named_with_its_place(void **state)
{
    char *path = copy_segment("damaged.tlg");
    struct disk_store disk;
    char *data = in_scratch("damaged");
    off_t at;
    struct ran ran;

    (void)state;
    /* In a header of a file nothing is to be believed. */
    file_flip(path, 20);
    assert_fails(test_format("log %s", path), 1, "offset 0: ");
    /* A record that was durable, as the next ones prove. */
    disk_open(&disk, data);
    disk_do(&disk, "{create_table, t, set, #{}}");
    disk_do(&disk, "{insert, t, fwd, 1}");
    disk_sync(&disk);
    disk_do(&disk, "{insert, t, fwd, 2}");
    disk_do(&disk, "{insert, t, fwd, 3}");
    disk_sync(&disk);
    disk_close(&disk, false);
    path = test_format("%s/" FIRST_SEGMENT, data);
    at = offset_of(path, 2);
    file_flip(path, at + 30);
    ran = run(test_format("log %s", data));
    assert_int_equal(ran.status, 1);
    assert_int_equal(count_lines(ran.out), 1);
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err,
                    test_format(FIRST_SEGMENT ": offset %ld: the "
                                              "checksum of a payload is wrong",
                                (long)at));
    assert_contains(ran.err, test_format("see `rhizome check %s`", data));
    /* All files, as a shell takes them. */
    assert_int_equal(system(test_format("cp %s '%s/-l x.tlg'", path, scratch)),
                     0);
    ran.status =
        system(test_format("cd %s && $RHIZOME_EXECUTABLE log %s/" FIRST_SEGMENT
                           " -- '-l x.tlg' >/dev/null 2>err",
                           scratch, store_path()));
    assert_contains(file_text(in_scratch("err")),
                    test_format("see `rhizome check %s/" FIRST_SEGMENT
                                " './-l x.tlg'`",
                                store_path()));
}

static void what_is_no_log_is_said_to_be_none(void **state)
{
    char *path = in_scratch("file");

    (void)state;
    assert_fails("log", 64, "PATH ... is missing");
    assert_fails(test_format("log %s", in_scratch("nothing")), 74,
                 "there is no such file or directory");
    file_write_text(path, "");
    assert_fails(test_format("log %s", path), 65, "the file is empty");
    file_write_text(path, "This is a text and no term log, but long enough to "
                          "be one, header and all, if it were.");
    assert_fails(test_format("log %s", path), 65, "is no term log");
    assert_fails(test_format("log %s", scratch), 65, "without a MANIFEST");
    assert_fails("log /dev/null", 65, "is not a regular file");
    assert_fails(test_format("log %s %s", store_path(), path), 64,
                 "a directory must be the only PATH");
    assert_denied(test_format("log %s", path), path);
    make_store(in_scratch("denied"), false);
    assert_int_equal(chmod(in_scratch("denied"), 0755), 0);
    assert_denied(test_format("log %s", in_scratch("denied")),
                  in_scratch("denied/MANIFEST"));
    assert_denied(test_format("log %s", in_scratch("denied")),
                  in_scratch("denied"));
}

static void output_errors_are_noticed(void **state)
{
    struct ran ran;

    (void)state;
    ran = run_to(OUT_FULL, test_format("log %s", store_path()));
    assert_int_equal(ran.status, 74);
    assert_contains(ran.err, "No space left on device");
    ran = run_to(OUT_CLOSED, test_format("log %s", store_path()));
    assert_int_equal(ran.status, 74);
    assert_int_equal(count_lines(ran.err), 1);
    ran = run_to(OUT_BROKEN_PIPE, test_format("log %s", store_path()));
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
}

/* Reads from a pipe until `text` has come, for 20 s at most. */
static void expect_output(int fd, struct buffer *got, const char *text)
{
    for (int tries = 0; tries < 2000; tries++) {
        char chunk[4096];
        struct timespec pause = {0, 10000000};
        ssize_t size = read(fd, chunk, sizeof(chunk));

        if (size > 0)
            test_append(got, chunk, (size_t)size);
        test_append(got, "", 1);
        got->size--;
        if (strstr((char *)got->data, text))
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("`%s` did not come; this did:\n%s", text, (char *)got->data);
}

static void follow_shows_what_is_written(void **state)
{
    char *path = in_scratch("followed");
    struct buffer got = BUFFER(test_mem());
    struct disk_store disk;
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    FILE *read_end;
    int ends[2];
    pid_t pid;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    disk_do(&disk, "{insert, t, fwd, old}");
    disk_sync(&disk);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    read_end = fdopen(ends[1], "w");
    pid = start_program(test_format("log --follow --from 2 %s", path), OUT_FILE,
                        read_end, err);
    fclose(read_end);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    expect_output(ends[0], &got, "2\t{insert,t,fwd,old}\n");
    disk_do(&disk, "{insert, t, fwd, new}");
    assert_int_equal(termlog_write(disk.log), ST_OK);
    expect_output(ends[0], &got, "3\t{insert,t,fwd,new}\n");
    /* Across the end of a segment. */
    for (int i = 0; i < 3000; i++)
        disk_do(&disk, test_format("{insert, t, fwd, %d}", i));
    disk_sync(&disk);
    expect_output(ends[0], &got, "3003\t{insert,t,fwd,2999}\n");
    disk_checkpoint(&disk);
    disk_do(&disk, "{insert, t, fwd, last}");
    disk_sync(&disk);
    expect_output(ends[0], &got, "3004\t{insert,t,fwd,last}\n");
    kill(pid, SIGINT);
    assert_int_equal(wait_program(pid), 0);
    assert_string_equal(slurp(err, NULL), "");
    disk_close(&disk, true);
    close(ends[0]);
    fclose(out);
    fclose(err);
    buffer_free(&got);
}

/* A reader that is too slow: what it has not seen goes into checkpoints. */
static void follow_tells_what_a_checkpoint_took_away(void **state)
{
    char *path = in_scratch("slow");
    struct buffer got = BUFFER(test_mem());
    struct disk_store disk;
    FILE *err = tmpfile();
    FILE *write_end;
    int ends[2];
    pid_t pid;

    (void)state;
    disk_open(&disk, path);
    disk_do(&disk, "{create_table, t, set, #{}}");
    disk_sync(&disk);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    write_end = fdopen(ends[1], "w");
    pid = start_program(test_format("log -f --json --from 1 %s", path),
                        OUT_FILE, write_end, err);
    fclose(write_end);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    expect_output(ends[0], &got, "{\"seq\":1,\"type\":\"mutation\",");
    kill(pid, SIGSTOP);
    disk_do(&disk, "{insert, t, fwd, seen}");
    disk_checkpoint(&disk);
    disk_do(&disk, "{insert, t, fwd, lost}");
    disk_checkpoint(&disk);
    disk_do(&disk, "{insert, t, fwd, last}");
    disk_sync(&disk);
    kill(pid, SIGCONT);
    expect_output(ends[0], &got, "{insert,t,fwd,last}");
    /* The first file was open, and could be read to its end. */
    assert_contains((char *)got.data, "{insert,t,fwd,seen}");
    assert_contains((char *)got.data,
                    "{\"type\":\"gap\",\"missing_from\":3,\"missing_to\":3}\n");
    kill(pid, SIGTERM);
    assert_int_equal(wait_program(pid), 0);
    assert_contains(slurp(err, NULL),
                    "mutations 3 to 3 went into a checkpoint");
    disk_close(&disk, true);
    close(ends[0]);
    fclose(err);
    buffer_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_mutations_of_a_directory),
        cmocka_unit_test(lists_a_single_file),
        cmocka_unit_test(follows_symbolic_links),
        cmocka_unit_test(lists_a_range),
        cmocka_unit_test(a_table_is_found_in_batches_too),
        cmocka_unit_test(a_table_that_nothing_names_is_noted),
        cmocka_unit_test(other_records_are_shown_when_asked_for),
        cmocka_unit_test(json_is_an_object_a_line),
        cmocka_unit_test(lists_a_checkpoint_and_a_manifest),
        cmocka_unit_test(segments_follow_one_another),
        cmocka_unit_test(a_torn_tail_ends_the_list_with_a_note),
        cmocka_unit_test(every_cut_gives_a_prefix),
        cmocka_unit_test(damage_is_named_with_its_place),
        cmocka_unit_test(what_is_no_log_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
        cmocka_unit_test(follow_shows_what_is_written),
        cmocka_unit_test(follow_tells_what_a_checkpoint_took_away),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
