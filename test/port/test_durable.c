/*
 * test_durable.c -- the real program with a directory: what a restart finds
 * after an orderly end, after kill -9, and after damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/exit.h"
#include "support/client.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const policies[] = {"always", "interval:10", "none"};

static char err[4096];
static char directory[64];

/* --- the directory ------------------------------------------------------ */

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/rhizome-durable-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int remove_directory(void **state)
{
    (void)state;
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A test begins with an empty one. */
static void start_over(void)
{
    remove_directory(NULL);
    assert_int_equal(mkdir(directory, 0700), 0);
}

/* The path of the file whose name begins with `prefix` and is the last of
 * them by name. */
static char *last_file(const char *prefix)
{
    DIR *stream = opendir(directory);
    char *last = NULL;
    struct dirent *entry;

    assert_non_null(stream);
    while ((entry = readdir(stream)))
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            (!last || strcmp(entry->d_name, last) > 0))
            last = test_format("%s", entry->d_name);
    closedir(stream);
    return last ? test_format("%s/%s", directory, last) : NULL;
}

static struct buffer read_file(const char *path)
{
    struct buffer content = BUFFER(test_mem());
    FILE *file = fopen(path, "rb");
    char block[4096];
    size_t size;

    assert_non_null(file);
    while ((size = fread(block, 1, sizeof(block), file)) > 0)
        test_append(&content, block, size);
    fclose(file);
    return content;
}

/* All files but LOCK, one behind another, with their names. */
static void read_all(struct buffer *out)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, alphasort);

    assert_true(count >= 2);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;

        if (name[0] != '.' && strcmp(name, "LOCK") != 0) {
            struct buffer content =
                read_file(test_format("%s/%s", directory, name));

            test_append_text(out, name);
            test_append(out, content.data, content.size);
            buffer_free(&content);
        }
        free(entries[i]);
    }
    free(entries);
}

static void flip(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    int byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    fputc(byte ^ 0x10, file);
    fclose(file);
}

/* Where the record of mutation `seq` begins in a segment, and its size. */
static long record_offset(const char *path, uint64_t seq, long *ret_size)
{
    struct buffer content = read_file(path);
    size_t at = 64;

    while (at + 24 <= content.size) {
        const uint8_t *header = content.data + at;
        size_t size = 24 + load_be32(header + 8);

        if (size == 24)
            break; /* room */
        if (header[12] == 1 && load_be64(header + 16) == seq) {
            buffer_free(&content);
            *ret_size = (long)size;
            return (long)at;
        }
        at += size;
    }
    fail_msg("%s has no mutation %llu", path, (unsigned long long)seq);
    return 0;
}

/* --- daemons ------------------------------------------------------------ */

/* Starts one on the directory, with more options; NULL ends them. */
static void start(struct client *client, const char *option, ...)
{
    const char *arguments[14] = {"port", "--dir", directory};
    size_t count = 3;
    va_list more;

    va_start(more, option);
    for (; option; option = va_arg(more, const char *))
        arguments[count++] = option;
    va_end(more);
    client_start(client, arguments);
}

/* Its hello must hold the text. */
static const char *expect_hello(struct client *client, const char *text)
{
    const char *hello = client_hello(client);

    if (!hello) {
        client_wait(client, err, sizeof(err));
        fail_msg("it said no hello: %s", err);
    }
    if (strncmp(hello, "hello:", 6) != 0 || !strstr(hello, text))
        fail_msg("its first words are %s, without %s", hello, text);
    return hello;
}

static void expect(struct client *client, const char *op, const char *wanted)
{
    const char *answer = client_call(client, op);

    if (strncmp(answer, wanted, strlen(wanted)) != 0)
        fail_msg("%s\n  answers %s\n  and not %s", op, answer, wanted);
}

static void expect_end(struct client *client, int status)
{
    int ended = client_finish(client, err, sizeof(err));

    if (ended != status)
        fail_msg("it ended with %d and not %d: %s", ended, status, err);
    if (status == EXIT_STOPPED)
        assert_string_equal(err, "");
}

static void kill_it(struct client *client)
{
    kill(client->pid, SIGKILL);
    assert_int_equal(client_wait(client, err, sizeof(err)), 128 + SIGKILL);
    assert_string_equal(err, "");
}

/* It must say {failed, _} with the text, leave the files alone and end. */
static void expect_failed(struct client *client, int status, const char *text)
{
    struct buffer before = BUFFER(test_mem());
    struct buffer after = BUFFER(test_mem());
    const char *failed;

    read_all(&before);
    failed = client_hello(client);
    if (!failed || strncmp(failed, "failed:", 7) != 0 || !strstr(failed, text))
        fail_msg("its first words are %s, without %s", failed, text);
    assert_null(client_replies(client));
    expect_end(client, status);
    assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
    read_all(&after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, after.size);
    buffer_free(&before);
    buffer_free(&after);
}

/* The 32 digits of store_id => <<...>>, as --expect takes it. The text stays
 * until the next one. */
static char *store_id(struct client *client)
{
    struct bytes payload;
    const uint8_t *at;
    static char text[33];

    client_send(client, "[{1,{info}}]");
    assert_true(client_take(client, &payload));
    at = memmem(payload.data, payload.size, "store_id", 8);
    assert_non_null(at);
    assert_int_equal(at[8], ETF_BINARY);
    assert_int_equal(load_be32(at + 9), 16);
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", at[13 + i]);
    return text;
}

/* The number behind `name` in a text of terms. */
static unsigned long number_in(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    assert_non_null(at);
    return strtoul(at + strlen(name), NULL, 10);
}

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* --- orderly ends ------------------------------------------------------- */

static void a_restart_keeps_everything(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct client client;
        char *digest;
        char id[33];

        start_over();
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>0,");
        expect(&client, "{create_table,t,one_to_many,#{}}", "{ok,created}");
        expect(&client, "{insert_all,t,fwd,[{a,1},{a,2},{b,3}]}", "{ok,{3,");
        expect(&client, "{insert,t,fwd,{b,1}}", "{ok,{inserted,[{a,1}],[]}}");
        digest = strdup(client_call(&client, "{digest}"));
        memcpy(id, store_id(&client), sizeof(id));
        expect_end(&client, EXIT_STOPPED);

        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "durable_seq=>3,");
        expect(&client, "{scan,t,bwd,elements,asc,none,none,9}",
               "{ok,[{1,b},{2,a},{3,b}],done}");
        expect(&client, "{digest}", digest);
        assert_string_equal(store_id(&client), id);
        free(digest);
        expect_end(&client, EXIT_STOPPED);
    }
}

static void hello_tells_how_it_went(void **state)
{
    struct client client;

    (void)state;
    start_over();
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "sync=>always,recovered=>#{checkpoint=>0,"
                          "records=>0,bytes=>");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    kill_it(&client);

    start(&client, "--sync", "interval:77", NULL);
    assert_non_null(strstr(expect_hello(&client, "sync=>{interval,77},"),
                           "fresh=>false,clean=>false,torn=>none}"));
    expect(&client, "{insert,t,fwd,1}", "{ok,{inserted,");
    expect_end(&client, EXIT_STOPPED);

    start(&client, "--sync", "none", NULL);
    assert_non_null(strstr(expect_hello(&client, "sync=>none,"),
                           "fresh=>false,clean=>true,torn=>none}"));
    expect_end(&client, EXIT_STOPPED);

    /* Nobody wrote anything. */
    start(&client, NULL);
    assert_non_null(strstr(expect_hello(&client, "sync=>{interval,1000},"),
                           "clean=>true,torn=>none}"));
    expect_end(&client, EXIT_STOPPED);
}

static void a_client_that_goes_lets_the_log_be_closed(void **state)
{
    struct client client;

    (void)state;
    start_over();
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    close(client.out);
    client.out = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 10; i++)
        client_send(&client, test_format("[{1,{insert,t,fwd,%d}}]", i));
    assert_int_equal(client_wait(&client, err, sizeof(err)), EXIT_STOPPED);
    start(&client, NULL);
    assert_non_null(strstr(expect_hello(&client, ""), "clean=>true"));
    expect_end(&client, EXIT_STOPPED);

    start(&client, "--sync", "none", NULL);
    expect_hello(&client, "");
    expect(&client, "{insert,t,fwd,last}", "{ok,{inserted,[],[]}}");
    kill(client.pid, SIGTERM);
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_STOPPED);
    start(&client, NULL);
    assert_non_null(strstr(expect_hello(&client, ""), "clean=>true"));
    expect(&client, "{member,t,fwd,last}", "{ok,true}");
    expect_end(&client, EXIT_STOPPED);
}

static void a_checkpoint_at_the_stop_is_used(void **state)
{
    struct client client;
    const char *events;

    (void)state;
    start_over();
    start(&client, "--checkpoint-at-stop", NULL);
    expect_hello(&client, "seq=>0,");
    expect_end(&client, EXIT_STOPPED);
    assert_null(last_file("ckpt-")); /* of nothing there is none */
    start(&client, "--checkpoint-at-stop", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    expect(&client, "{insert,t,fwd,1}", "{ok,{inserted,");
    client_close_in(&client);
    events = client_replies(&client);
    assert_memory_equal(events, "checkpointed:#{seq=>2,", 22);
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_STOPPED);
    start(&client, "--checkpoint-at-stop", NULL);
    expect_hello(&client, "recovered=>#{checkpoint=>2,records=>0,");
    expect(&client, "{member,t,fwd,1}", "{ok,true}");
    expect_end(&client, EXIT_STOPPED);
}

/* --- kill -9 ------------------------------------------------------------ */

/* Inserts without waiting, and gives the highest seq that was acknowledged by
 * the time at which it is killed. */
static unsigned long insert_and_kill(struct client *client, unsigned first)
{
    unsigned long acknowledged = 0;

    for (unsigned i = 0; i < 3000; i++) {
        client_send(client,
                    test_format("[{%u,{insert,t,fwd,%u}}]", i, first + i));
        if (i % 100 == 99) {
            const char *text = client_replies(client);
            const char *event = strstr(text, "seq:");

            if (event)
                acknowledged = strtoul(event + 4, NULL, 10);
        }
        if (acknowledged > first + 1000)
            break;
    }
    kill_it(client);
    return acknowledged;
}

static void kill_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct client client;
        unsigned first = 2;
        char *id;

        start_over();
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>0,");
        expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
        id = store_id(&client);
        for (int round = 0; round < 3; round++) {
            unsigned long acknowledged = insert_and_kill(&client, first);
            unsigned long seq;
            char *expect_option = test_format("%s:%lu", id, acknowledged);

            assert_true(acknowledged > 0);
            start(&client, "--sync", policies[i], "--expect", expect_option,
                  NULL);
            seq = number_in(expect_hello(&client, "clean=>false"), "seq=>");
            assert_true(seq >= acknowledged);
            /* What is there is a prefix of what was sent. */
            expect(&client, "{count,t,fwd,none,none}",
                   test_format("{ok,%lu}", seq - 1));
            expect(&client, "{scan,t,fwd,elements,desc,none,none,1}",
                   test_format("{ok,[%lu],", seq));
            first = (unsigned)seq + 1;
        }
        expect_end(&client, EXIT_STOPPED);
    }
}

static void a_seq_is_told_when_it_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct client client;

        start_over();
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>0,");
        expect(&client, "{ping}", "{ok,pong}");
        assert_string_equal(client_events(&client), "");
        expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
        assert_string_equal(client_events(&client), "seq:1 ");
        expect(&client, "{create_table,t,set,#{}}", "{ok,exists}");
        expect(&client, "{insert,t,fwd}", "{error,");
        expect(&client, "{count,t,fwd,none,none}", "{ok,0}");
        assert_string_equal(client_events(&client), "");
        expect(&client, "{batch,[{insert,t,fwd,1},{insert,t,fwd,2}]}", "{ok,[");
        assert_string_equal(client_events(&client), "seq:2 ");
        client_send(&client, "[{7,{insert,t,fwd,3}},{8,{insert,t,fwd,4}}]");
        assert_string_equal(
            client_replies(&client),
            "7:{ok,{inserted,[],[]}} 8:{ok,{inserted,[],[]}} seq:4 ");
        expect_end(&client, EXIT_STOPPED);
    }
}

static void a_key_outlives_a_kill(void **state)
{
    static const char op[] =
        "{with,#{idempotency_key=>{order,17}},{insert_row,p,v}}";

    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct client client;

        start_over();
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>0,");
        expect(&client, "{create_table,p,pom,#{}}", "{ok,created}");
        expect(&client, op, "{ok,{1,[],[]}}");
        kill_it(&client);
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>2,");
        expect(&client, op, "{ok,{1,[],[]}}");
        expect(&client, "{checkpoint}", "{ok,#{seq=>2,");
        kill_it(&client);
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "recovered=>#{checkpoint=>2,records=>0,");
        expect(&client, op, "{ok,{1,[],[]}}");
        expect(&client, "{count,p,fwd,none,none}", "{ok,1}");
        expect(&client, "{tables}", "{ok,[{p,pom}]}");
        expect_end(&client, EXIT_STOPPED);
    }
}

/* --- commands ----------------------------------------------------------- */

static void commands_of_a_log(void **state)
{
    struct client client;

    (void)state;
    start_over();
    start(&client, "--sync", "none", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,to_one,#{}}", "{ok,created}");
    expect(&client, "{insert,t,fwd,{1,2}}", "{ok,{inserted,");
    assert_non_null(strstr(client_call(&client, "{info}"), "durable_seq=>0,"));
    expect(&client, "{sync}", "{ok,2}");
    assert_non_null(strstr(client_call(&client, "{info}"), "durable_seq=>2,"));
    expect(&client, "{digest}", "{ok,#{seq=>2,digest=><<\"");
    client_events(&client);
    expect(&client, "{checkpoint}", "{ok,#{seq=>2,bytes=>");
    assert_memory_equal(client_events(&client), "checkpointed:#{seq=>2,", 22);
    assert_non_null(strstr(client_call(&client, "{info}"),
                           test_format("dir=><<\"%s\">>", directory)));
    assert_non_null(last_file("ckpt-0000000000000002"));
    expect_end(&client, EXIT_STOPPED);

    client_start_port(&client, NULL, NULL);
    expect(&client, "{sync}", "{error,{no_log,");
    expect(&client, "{checkpoint}", "{error,{no_log,");
    expect(&client, "{digest}", "{ok,#{seq=>0,");
    assert_non_null(strstr(client_call(&client, "{info}"),
                           "sync=>memory,store_id=>none,log=>none}"));
    expect_end(&client, EXIT_STOPPED);
}

static void a_long_log_is_checkpointed(void **state)
{
    struct client client;
    bool seen = false;

    (void)state;
    start_over();
    start(&client, "--checkpoint-min", "16k", "--checkpoint-ratio", "0.5",
          NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,to_one,#{}}", "{ok,created}");
    for (int i = 0; i < 20000 && !seen; i++) {
        client_call(&client, test_format("{insert,t,fwd,{%d,%d}}", i % 50, i));
        seen = strstr(client_events(&client), "checkpointed:") != NULL;
    }
    assert_true(seen);
    expect_end(&client, EXIT_STOPPED);
}

static void many_segments_are_checkpointed(void **state)
{
    char value[30001];
    struct client client;
    bool seen = false;

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    start_over();
    start(&client, "--segment-bytes", "64k", "--sync", "none", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,p,pom,#{}}", "{ok,created}");
    for (int i = 0; i < 3000 && !seen; i++) {
        /* 75 segments, and then time for the disk. */
        if (i < 150)
            client_call(&client, test_format("{insert_row,p,\"%s\"}", value));
        else
            pause_ms(10);
        /* Segments that are not synced yet are few: the next one waits. */
        client_call(&client, i < 150 ? "{sync}" : "{ping}");
        seen = strstr(client_events(&client), "checkpointed:") != NULL;
    }
    assert_true(seen);
    expect_end(&client, EXIT_STOPPED);
}

/* --- what goes wrong ---------------------------------------------------- */

static void a_directory_has_one_daemon(void **state)
{
    struct client first, second;

    (void)state;
    start_over();
    start(&first, NULL);
    expect_hello(&first, "seq=>0,");
    start(&second, "--lock-wait", "50", NULL);
    expect_failed(&second, EXIT_LOCKED,
                  test_format("{locked,<<\"process %d holds the directory\">>,"
                              "#{os_pid=>%d}}",
                              (int)first.pid, (int)first.pid));
    start(&second, NULL); /* waits for 5 s */
    pause_ms(100);
    expect_end(&first, EXIT_STOPPED);
    expect_hello(&second, "seq=>0,");
    expect_end(&second, EXIT_STOPPED);
}

static void damage_in_the_middle_is_refused(void **state)
{
    struct client client;
    char *path;
    long offset, size;

    (void)state;
    start_over();
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    for (int i = 0; i < 20; i++)
        expect(&client, test_format("{insert,t,fwd,%d}", i), "{ok,{inserted,");
    kill_it(&client);
    path = last_file("log-");
    offset = record_offset(path, 10, &size);
    flip(path, offset + size - 1);
    start(&client, "--sync", "always", NULL);
    expect_failed(&client, EXIT_REFUSED,
                  test_format("file=><<\"%s\">>,offset=>%ld,missing_from=>10,"
                              "missing_to=>20,proof_file=>",
                              strrchr(path, '/') + 1, offset));
    assert_non_null(
        strstr(err, "mutations 10 to 20 were durable and are missing"));
    flip(path, offset + size - 1);
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "seq=>21,");
    expect_end(&client, EXIT_STOPPED);
}

static void a_torn_tail_is_cut_and_told(void **state)
{
    struct client client;
    struct stat saved;
    const char *hello;
    char *path, *id;
    long offset, size;

    (void)state;
    start_over();
    start(&client, "--sync", "none", NULL);
    expect_hello(&client, "seq=>0,");
    id = store_id(&client);
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    for (int i = 0; i < 20; i++)
        expect(&client, test_format("{insert,t,fwd,%d}", i), "{ok,{inserted,");
    kill_it(&client);
    path = last_file("log-");
    offset = record_offset(path, 21, &size);
    flip(path, offset + size - 1);

    /* A client that knows better refuses it. */
    start(&client, "--expect", test_format("%s:21", id), NULL);
    expect_failed(&client, EXIT_REFUSED, "missing_from=>21,missing_to=>21}");
    start(&client, "--expect", test_format("%s:20", id), NULL);
    hello = expect_hello(&client, "seq=>20,");
    assert_non_null(
        strstr(hello, test_format("torn=>#{file=><<\"%s\">>,offset=>%ld,"
                                  "bytes=>%ld,seq=>20,saved=><<\"torn/",
                                  strrchr(path, '/') + 1, offset, size)));
    {
        const char *name = strstr(hello, "torn/");
        char *saved_path =
            test_format("%s/%.*s", directory, (int)strcspn(name, "\""), name);

        assert_int_equal(stat(saved_path, &saved), 0);
        assert_int_equal(saved.st_size, size);
    }
    expect_end(&client, EXIT_STOPPED);
    start(&client, NULL);
    assert_non_null(strstr(expect_hello(&client, "seq=>20,"), "torn=>none"));
    expect_end(&client, EXIT_STOPPED);
}

static void a_quiet_second_proves_the_last_group(void **state)
{
    struct client client;
    long offset, size;
    char *path;

    (void)state;
    start_over();
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    expect(&client, "{insert,t,fwd,1}", "{ok,{inserted,");
    pause_ms(1500);
    kill_it(&client);
    path = last_file("log-");
    offset = record_offset(path, 2, &size);
    flip(path, offset + size - 1);
    start(&client, NULL);
    expect_failed(&client, EXIT_REFUSED, "missing_from=>2,missing_to=>2,");
}

static void what_is_expected_must_be_there(void **state)
{
    static const char other[] = "00112233445566778899aabbccddeeff:7";
    struct client client;

    (void)state;
    start_over();
    start(&client, "--expect", other, NULL);
    assert_memory_equal(client_hello(&client), "failed:{log_refused,", 20);
    expect_end(&client, EXIT_REFUSED);
    start(&client, "--expect", "00112233445566778899AABBCCDDEEFF:0", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    expect_end(&client, EXIT_STOPPED);
}

static void a_directory_that_cannot_be_used(void **state)
{
    struct client client;
    const char *file = test_format("%s/file", directory);
    const char *in_file[] = {"port", "--dir", file, NULL};
    const char *below[] = {"port", "--dir", test_format("%s/a/b", directory),
                           NULL};

    (void)state;
    start_over();
    close(open(file, O_CREAT | O_WRONLY, 0600));
    client_start(&client, in_file);
    assert_memory_equal(client_hello(&client), "failed:{io,", 11);
    expect_end(&client, EXIT_IO);
    assert_non_null(strstr(err, "Not a directory"));
    client_start(&client, below);
    expect_hello(&client, "seq=>0,");
    expect_end(&client, EXIT_STOPPED);
}

/* Sets how long a file of the daemon may be, in bytes. */
static void limit_files(struct client *client, rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(prlimit(client->pid, RLIMIT_FSIZE, NULL, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(prlimit(client->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void a_full_disk_is_waited_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct client client;
        const char *answer = "{ok,";
        unsigned count = 0, rounds;

        start_over();
        start(&client, "--sync", policies[i], NULL);
        expect_hello(&client, "seq=>0,");
        expect(&client, "{create_table,p,pom,#{}}", "{ok,created}");
        limit_files(&client, 100000);
        client_events(&client);
        while (strncmp(answer, "{ok,", 4) == 0) {
            assert_true(count++ < 5000);
            answer = client_call(&client, "{insert_row,p,<<\"a value of some "
                                          "bytes, so that there are more\">>}");
        }
        count--;
        assert_non_null(strstr(answer, "{error,{log_full,"));
        assert_non_null(strstr(client_events(&client), "log:full"));
        expect(&client, "{count,p,fwd,none,none}",
               test_format("{ok,%u}", count));
        expect(&client,
               "{insert_row,p,<<\"a value of some bytes, so that "
               "there are more\">>}",
               "{error,{log_full,");
        assert_string_equal(client_events(&client), "");
        assert_non_null(strstr(client_call(&client, "{info}"), "full=>true"));
        limit_files(&client, RLIM_INFINITY);
        expect(&client, "{insert_row,p,<<\"a value\">>}", "{ok,{");
        for (rounds = 0; !strstr(client_events(&client), "log:ok"); rounds++) {
            assert_true(rounds < 100);
            usleep(100000);
            expect(&client, "{insert_row,p,<<\"a value\">>}", "{ok,{");
            count++;
        }
        kill_it(&client);
        start(&client, NULL);
        expect_hello(&client, test_format("seq=>%u,", count + 2));
        expect_end(&client, EXIT_STOPPED);
    }
}

/* --- the process -------------------------------------------------------- */

static bool sanitized(void)
{
#ifdef RHIZOME_SANITIZE
    return true;
#else
    return false;
#endif
}

static void all_threads_are_sealed(void **state)
{
    struct client client;
    struct dirent *entry;
    unsigned threads = 0;
    DIR *tasks;

    (void)state;
    if (sanitized())
        skip();
    start_over();
    start(&client, NULL);
    expect_hello(&client, "seq=>0,");
    assert_non_null(strstr(client_call(&client, "{info}"), "sealed=>true"));
    tasks = opendir(test_format("/proc/%d/task", (int)client.pid));
    assert_non_null(tasks);
    while ((entry = readdir(tasks))) {
        int task = atoi(entry->d_name);

        if (!task)
            continue;
        threads++;
        assert_int_equal(client_status_field(task, "Seccomp"), 2);
        assert_int_equal(client_status_field(task, "NoNewPrivs"), 1);
    }
    closedir(tasks);
    assert_int_equal(threads, 3);
    expect_end(&client, EXIT_STOPPED);

    client_start_port(&client, NULL, NULL);
    client_call(&client, "{ping}");
    assert_int_equal(client_status_field(client.pid, "Threads"), 1);
    expect_end(&client, EXIT_STOPPED);
}

/* Replies are waited for while nobody reads them, and the log goes on. */
static void many_requests_in_flight(void **state)
{
    const unsigned frames = 200, each = 100;
    struct client client;
    unsigned long told = 0;
    unsigned replies = 0;

    (void)state;
    start_over();
    start(&client, "--sync", "always", NULL);
    expect_hello(&client, "seq=>0,");
    expect(&client, "{create_table,t,set,#{}}", "{ok,created}");
    for (unsigned i = 0; i < frames; i++) {
        struct buffer text = BUFFER(test_mem());

        for (unsigned j = 0; j < each; j++)
            test_append_text(&text,
                             test_format("%c{%u,{insert,t,fwd,%u}}",
                                         j ? ',' : '[', j, i * each + j));
        test_append(&text, "]", 2);
        client_send(&client, (const char *)text.data);
        buffer_free(&text);
    }
    client_close_in(&client);
    for (const char *text; (text = client_replies(&client));) {
        for (const char *at = text; (at = strstr(at, ":{ok,{inserted,")); at++)
            replies++;
        for (const char *at = text; (at = strstr(at, "seq:")); at++) {
            unsigned long seq = strtoul(at + 4, NULL, 10);

            assert_true(seq > told);
            told = seq;
        }
        /* The create_table took a seq, too. */
        assert_int_equal(told, replies + 1);
    }
    assert_int_equal(replies, frames * each);
    expect_end(&client, EXIT_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_keeps_everything),
        cmocka_unit_test(hello_tells_how_it_went),
        cmocka_unit_test(a_client_that_goes_lets_the_log_be_closed),
        cmocka_unit_test(a_checkpoint_at_the_stop_is_used),
        cmocka_unit_test(kill_keeps_what_was_acknowledged),
        cmocka_unit_test(a_seq_is_told_when_it_moves),
        cmocka_unit_test(a_key_outlives_a_kill),
        cmocka_unit_test(commands_of_a_log),
        cmocka_unit_test(a_long_log_is_checkpointed),
        cmocka_unit_test(many_segments_are_checkpointed),
        cmocka_unit_test(a_directory_has_one_daemon),
        cmocka_unit_test(damage_in_the_middle_is_refused),
        cmocka_unit_test(a_torn_tail_is_cut_and_told),
        cmocka_unit_test(a_quiet_second_proves_the_last_group),
        cmocka_unit_test(what_is_expected_must_be_there),
        cmocka_unit_test(a_directory_that_cannot_be_used),
        cmocka_unit_test(a_full_disk_is_waited_out),
        cmocka_unit_test(all_threads_are_sealed),
        cmocka_unit_test(many_requests_in_flight),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
