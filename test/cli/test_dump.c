/* `rhizome dump`: all formats, read back where somebody can read them. */
#include "cli/cli_case.h"
#include "cli/term.h"

static char *path; /* the store of make_store(), with a checkpoint */

static int setup(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    path = in_scratch("data");
    make_store(path, true);
    return 0;
}

static const char *without_comments(const char *text)
{
    while (*text == '%')
        text = strchr(text, '\n') + 1;
    return text;
}

static void text(void **state)
{
    struct ran ran = run(test_format("dump %s", path));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "");
    assert_string_equal(without_comments(ran.out),
                        "{likes, {ann, tea}}.\n"
                        "{likes, {bob, <<\"milk\">>}}.\n"
                        "{people, {ann, 36}}.\n");
    assert_contains(ran.out, "%% rhizome dump, seq 6\n");
}

static void json(void **state)
{
    static const char expected[] =
        "{\"table\":\"likes\",\"table_term\":\"likes\",\"key\":\"ann\","
        "\"partner\":\"tea\"}\n"
        "{\"table\":\"likes\",\"table_term\":\"likes\",\"key\":\"bob\","
        "\"partner\":\"milk\"}\n"
        "{\"table\":\"people\",\"table_term\":\"people\",\"key\":\"ann\","
        "\"value\":36}\n";

    (void)state;
    assert_string_equal(run(test_format("dump --json %s", path)).out, expected);
    assert_string_equal(run(test_format("dump -F json %s", path)).out,
                        expected);
}

static void csv(void **state)
{
    struct disk_store disk;
    char *other = in_scratch("csv");
    char *files = in_scratch("files");
    struct buffer bytes = BUFFER(test_mem());
    struct ran ran;

    (void)state;
    assert_string_equal(run(test_format("dump -F csv -t people %s", path)).out,
                        "key,value\nann,36\n");
    assert_fails(test_format("dump -F csv %s", path), 64, "give --table");
    disk_open(&disk, other);
    disk_do(&disk, "{create_table, <<\"a b\">>, set, #{}}");
    disk_do(&disk, "{create_table, t, to_one, #{}}");
    disk_do(&disk, "{insert, <<\"a b\">>, fwd, {1, two}}");
    disk_do(&disk, "{insert, t, fwd, {'comma,', <<\"two\nlines\">>}}");
    disk_do(&disk, "{insert, t, fwd, {<<\"\">>, []}}");
    disk_close(&disk, true);
    ran = run(test_format("dump -F csv -t t %s", other));
    assert_string_equal(ran.out, "key,value\n\"comma,\",\"two\nlines\"\n,[]\n");
    /* A file a table. */
    assert_int_equal(mkdir(files, 0700), 0);
    ran = run(test_format("dump -F csv -o %s %s", files, other));
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.out, "");
    file_read(test_format("%s/t.csv", files), &bytes);
    assert_int_equal(bytes.size, strlen("key,value\n\"comma,\",\"two\nlines\""
                                        "\n,[]\n"));
    file_read(test_format("%s/%%3C%%3C%%22a%%20b%%22%%3E%%3E.csv", files),
              &bytes);
    assert_memory_equal(bytes.data, "key\n\"{1,two}\"\n", bytes.size);
    buffer_free(&bytes);
}

static void a_directory_is_made(void **state)
{
    char *other = in_scratch("sets");
    char *files = in_scratch("made/");
    struct buffer bytes = BUFFER(test_mem());
    struct disk_store disk;

    (void)state;
    disk_open(&disk, other);
    disk_do(&disk, "{create_table, s, set, #{}}");
    disk_do(&disk, "{insert, s, fwd, <<\"\">>}");
    disk_do(&disk, "{insert, s, fwd, a}");
    disk_close(&disk, true);
    assert_int_equal(
        run(test_format("dump -F csv -o %s %s", files, other)).status, 0);
    file_read(test_format("%ss.csv", files), &bytes);
    /* An only field that is empty would be an empty line. */
    assert_int_equal(bytes.size, strlen("key\na\n\"\"\n"));
    assert_memory_equal(bytes.data, "key\na\n\"\"\n", bytes.size);
    assert_fails(test_format("dump -F csv -o %s/no/where/ %s", scratch, other),
                 74, "cannot be made");
    assert_fails(test_format("dump -o %s/text/ %s", scratch, other), 64,
                 "is a directory");
    buffer_free(&bytes);
}

/* What is printed as a name of a table can be asked for. */
static void any_name_of_a_table_is_taken(void **state)
{
    static const char *const names[] = {
        "1.5",
        "#{a => 1}",
        "[a|b]",
        "{<<1,2:3>>,[]}",
        "fun lists:map/2",
        "99999999999999999999",
    };
    char *other = in_scratch("names");
    struct buffer op = BUFFER(test_mem());
    struct disk_store disk;

    (void)state;
    disk_open(&disk, other);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct buffer name = BUFFER(cli_mem());

        assert_true(term_read(&name, names[i]));
        op.size = 0;
        test_append(&op, "h\4w\14create_table", 16);
        test_append(&op, name.data, name.size);
        test_append(&op, "w\3set", 5);
        test_append(&op, "t\0\0\0\0", 5);
        disk_do_term(&disk, buffer_bytes(&op));
        buffer_free(&name);
    }
    /* A pid has no text that can be read. */
    op.size = 0;
    test_append(&op, "h\4w\14create_table", 16);
    test_append(&op, "Xw\3a@b\0\0\0\1\0\0\0\0\0\0\0\1", 18);
    test_append(&op, "w\3set", 5);
    test_append(&op, "t\0\0\0\0", 5);
    disk_do_term(&disk, buffer_bytes(&op));
    disk_close(&disk, true);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ran ran =
            run(test_format("dump --json -t '%s' %s", names[i], other));

        if (ran.status != 0)
            fail_msg("%s: %s", names[i], ran.err);
        ran = run(test_format("log -t '%s' %s", names[i], other));
        assert_int_equal(count_lines(ran.out), 1);
        assert_contains(ran.out, names[i]);
    }
    assert_int_equal(run(test_format("dump -t <a@b.1.1> %s", other)).status,
                     64);
    assert_int_equal(run(test_format("dump -t <a@b.1.0> %s", other)).status, 0);
    assert_fails(test_format("dump -t people. %s", path), 64,
                 "there is no table `people.`");
    buffer_free(&op);
}

static void etf_is_the_store_again(void **state)
{
    char *file = in_scratch("backup.tlg");
    char *again = in_scratch("again.tlg");
    struct buffer first = BUFFER(test_mem());
    struct buffer second = BUFFER(test_mem());

    (void)state;
    assert_int_equal(
        run(test_format("dump -F etf -o %s %s", file, path)).status, 0);
    assert_string_equal(run(test_format("dump %s", file)).out,
                        run(test_format("dump %s", path)).out);
    assert_int_equal(
        run(test_format("dump -F etf -o %s %s", again, file)).status, 0);
    file_read(file, &first);
    file_read(again, &second);
    /* All but the header: a single file does not tell the log's epoch. */
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data + FILE_HEADER_BYTES,
                        second.data + FILE_HEADER_BYTES,
                        first.size - FILE_HEADER_BYTES);
    /* And through a pipe. */
    assert_int_equal(system(test_format("$RHIZOME_EXECUTABLE dump -F etf %s | "
                                        "cmp - %s",
                                        path, file)),
                     0);
    assert_fails(test_format("dump -F etf -t people %s", path), 64,
                 "takes no --table");
    buffer_free(&first);
    buffer_free(&second);
}

static void a_table_and_a_moment(void **state)
{
    (void)state;
    assert_string_equal(
        without_comments(run(test_format("dump -t people %s", path)).out),
        "{people, {ann, 36}}.\n");
    assert_string_equal(
        without_comments(
            run(test_format("dump --until 5 -t people %s", path)).out),
        "{people, {ann, 36}}.\n{people, {bob, 25}}.\n");
    assert_fails(test_format("dump --until 3 %s", path), 64,
                 "before the checkpoint");
    assert_fails(test_format("dump -t nobody %s", path), 64,
                 "there is no table `nobody`");
    assert_fails(test_format("dump -t {x %s", path), 64, "an Erlang term");
}

/* A binary of 131 and a term, from its hexadecimal digits. */
static void system_tables_are_left_out(void **state)
{
    struct disk_store disk;
    char *other = in_scratch("system");

    (void)state;
    disk_open(&disk, other);
    disk_do(&disk, "{create_table, t, set, #{}}");
    disk_do(&disk, "{with, #{idempotency_key => k}, {insert, t, fwd, 1}}");
    disk_close(&disk, true);
    assert_string_equal(
        without_comments(run(test_format("dump %s", other)).out), "{t, 1}.\n");
    assert_contains(run(test_format("dump -t $keys %s", other)).out,
                    "{'$keys', {k, 1}}.\n");
}

static void erlang_consults_the_text(void **state)
{
    struct disk_store disk;
    char *other = in_scratch("consult");
    char *terms = in_scratch("data.terms");
    struct ran ran;

    (void)state;
    if (system("command -v erl >/dev/null") != 0)
        skip();
    disk_open(&disk, other);
    disk_do(&disk, "{create_table, 'Named \xC3\xA9\xE2\x82\xAC', to_one, #{}}");
    for (int i = 0; i < 100; i++)
        disk_do(&disk,
                test_format("{insert, 'Named \xC3\xA9\xE2\x82\xAC', fwd, "
                            "{%d, [<<\"\xC3\xA9\">>, #{a => 'B'} | %d]}}",
                            i, i));
    disk_close(&disk, true);
    ran = run(test_format("dump -o %s %s", terms, other));
    assert_int_equal(ran.status, 0);
    assert_int_equal(system(test_format(
                         "erl -noshell -eval '{ok, L} = file:consult(\"%s\"), "
                         "100 = length(L), {T, {99, E}} = lists:last(L), "
                         "T = list_to_atom(\"Named \" ++ [233, 8364]), "
                         "[<<195, 169>>, M | 99] = E, "
                         "[{a, P}] = maps:to_list(M), "
                         "\"B\" = atom_to_list(P), halt(0).'",
                         terms)),
                     0);
}

static void what_has_no_text_is_told(void **state)
{
    struct disk_store disk;
    char *other = in_scratch("pids");
    struct buffer op = BUFFER(test_mem());
    static const uint8_t pid[] = "\x58\x77\x03"
                                 "a@b\0\0\0\1\0\0\0\0\0\0\0\0";
    struct ran ran;

    (void)state;
    disk_open(&disk, other);
    disk_do(&disk, "{create_table, t, set, #{}}");
    term_parse(&op, "{insert, t, fwd, 1}");
    op.size -= 2;
    op.size -= op.data[op.size] == 97 ? 0 : 3;
    test_append(&op, pid, sizeof(pid) - 1);
    disk_do_term(&disk, buffer_bytes(&op));
    disk_close(&disk, true);
    ran = run(test_format("dump %s", other));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.out, "{t, <a@b.1.0>}.\n");
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, "1 elements hold pids");
    assert_string_equal(run(test_format("dump -q %s", other)).err, "");
    assert_string_equal(run(test_format("dump --json %s", other)).out,
                        "{\"table\":\"t\",\"table_term\":\"t\",\"key\":{\"$"
                        "term\":\"<a@b.1.0>\"}}\n");
    buffer_free(&op);
}

static void a_torn_tail_is_noted_and_left_out(void **state)
{
    char *other = in_scratch("torn");
    char *segment = in_scratch("torn/" FIRST_SEGMENT);
    struct ran ran;

    (void)state;
    make_store(other, false);
    assert_int_equal(truncate(segment, offset_of(segment, 6) + 10), 0);
    ran = run(test_format("dump -t people %s", segment));
    assert_int_equal(ran.status, 0);
    assert_string_equal(without_comments(ran.out),
                        "{people, {ann, 36}}.\n{people, {bob, 25}}.\n");
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, ": a torn tail of 8 bytes ");
    assert_contains(ran.err, "; nothing that is left says that it was durable");
}

static void a_damaged_store_is_not_dumped(void **state)
{
    char *other = in_scratch("damaged");
    char *segment = in_scratch("damaged/" FIRST_SEGMENT);
    char *file = in_scratch("never");
    off_t at;

    (void)state;
    make_store(other, false);
    at = offset_of(segment, 3) + 30;
    file_flip(segment, at);
    assert_fails(test_format("dump %s", other), 1, FIRST_SEGMENT ": offset ");
    assert_fails(test_format("dump -o %s %s", file, other), 1,
                 test_format("see `rhizome check %s`", other));
    assert_int_not_equal(access(file, F_OK), 0);
    file_flip(segment, at);
    assert_int_equal(run(test_format("dump %s", other)).status, 0);
    assert_int_equal(unlink(segment), 0);
    assert_fails(test_format("dump %s", other), 1, FIRST_SEGMENT);
}

static void what_is_no_log_is_said_to_be_none(void **state)
{
    char *file = in_scratch("file");

    (void)state;
    assert_fails("dump", 64, "PATH ... is missing");
    file_write_text(file, "");
    assert_fails(test_format("dump %s", file), 65, "the file is empty");
    file_write_text(file, "no log");
    assert_fails(test_format("dump %s", file), 65, "is no term log");
    assert_fails(test_format("dump %s", scratch), 65, "without a MANIFEST");
    assert_fails(test_format("dump %s", in_scratch("none")), 74,
                 "there is no such file");
    assert_denied(test_format("dump %s", file), file);
    make_store(in_scratch("denied"), false);
    assert_int_equal(chmod(in_scratch("denied"), 0755), 0);
    assert_denied(test_format("dump %s", in_scratch("denied")),
                  in_scratch("denied/MANIFEST"));
    assert_denied(test_format("dump %s", in_scratch("denied")),
                  in_scratch("denied"));
}

static void output_errors_are_noticed(void **state)
{
    char *file = in_scratch("no/such/directory");
    static const char *const formats[] = {"text", "json", "etf"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *line = test_format("dump -F %s %s", formats[i], path);

        assert_int_equal(run_to(OUT_FULL, line).status, 74);
        assert_int_equal(run_to(OUT_CLOSED, line).status, 74);
        assert_int_equal(run_to(OUT_BROKEN_PIPE, line).status, 0);
        assert_string_equal(run_to(OUT_BROKEN_PIPE, line).err, "");
    }
    assert_fails(test_format("dump -o %s %s", file, path), 74,
                 "cannot be written");
    assert_fails(test_format("dump -o /dev/full %s", path), 74,
                 "/dev/full: writing failed: No space left on device");
    assert_int_equal(run(test_format("dump -o /dev/null %s", path)).status, 0);
    /* A closed stdout is no concern of a dump to a file. */
    file = in_scratch("written");
    assert_int_equal(
        run_to(OUT_CLOSED, test_format("dump -o %s %s", file, path)).status, 0);
    assert_true(file_size(file) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(json),
        cmocka_unit_test(csv),
        cmocka_unit_test(a_directory_is_made),
        cmocka_unit_test(any_name_of_a_table_is_taken),
        cmocka_unit_test(etf_is_the_store_again),
        cmocka_unit_test(a_table_and_a_moment),
        cmocka_unit_test(system_tables_are_left_out),
        cmocka_unit_test(erlang_consults_the_text),
        cmocka_unit_test(what_has_no_text_is_told),
        cmocka_unit_test(a_torn_tail_is_noted_and_left_out),
        cmocka_unit_test(a_damaged_store_is_not_dumped),
        cmocka_unit_test(what_is_no_log_is_said_to_be_none),
        cmocka_unit_test(output_errors_are_noticed),
    };

    return cmocka_run_group_tests(tests, setup, scratch_remove);
}
