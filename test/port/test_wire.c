/*
 * test_wire.c -- the real program over pipes: its frames, its patience and
 * its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/exit.h"
#include "core/heap.h"
#include "support/client.h"
#include "support/term_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char err[4096];

static void expect_end(struct client *client, int status, const char *complaint)
{
    int ended = client_finish(client, err, sizeof(err));

    if (ended != status)
        fail_msg("it ended with %d and not %d: %s", ended, status, err);
    if (!complaint) {
        assert_string_equal(err, "");
    } else {
        assert_non_null(strstr(err, complaint));
        assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
    }
}

static void hello_comes_first(void **state)
{
    const char *arguments[] = {"port", "--frame-bytes-max", "2m", NULL};
    struct client client;

    (void)state;
    client_start(&client, arguments);
    assert_string_equal(
        client_replies(&client),
        test_format("hello:#{protocol=>1,version=><<\"0.1.0\">>,seq=>0,"
                    "os_pid=>%d,frame_bytes_max=>2097152,store_id=>none,"
                    "durable_seq=>0,sync=>memory,recovered=>none} ",
                    (int)client.pid));
    assert_string_equal(client_call(&client, "{ping}"), "{ok,pong}");
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* --- frames ------------------------------------------------------------- */

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static void a_frame_may_be_cut_at_every_byte(void **state)
{
    struct buffer frame = BUFFER(test_mem());
    struct client client;

    (void)state;
    frame_parse(&frame, "[{1,{ping}},{2,{tables}}]");
    client_start_port(&client, NULL, NULL);
    for (size_t cut = 1; cut < frame.size; cut++) {
        client_write(&client, bytes_of(frame.data, cut));
        if (cut % 8 == 0)
            pause_ms(1); /* let it read the half by itself */
        client_write(&client, bytes_of(frame.data + cut, frame.size - cut));
        assert_string_equal(client_replies(&client), "1:{ok,pong} 2:{ok,[]} ");
    }
    for (size_t at = 0; at < frame.size; at++)
        client_write(&client, bytes_of(frame.data + at, 1));
    assert_string_equal(client_replies(&client), "1:{ok,pong} 2:{ok,[]} ");
    buffer_free(&frame);
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void frames_that_come_together_are_answered_together(void **state)
{
    struct buffer frames = BUFFER(test_mem());
    struct client client;

    (void)state;
    for (int i = 0; i < 5; i++)
        frame_parse(&frames, test_format("{%d,{ping}}", i));
    client_start_port(&client, NULL, NULL);
    client_write(&client, buffer_bytes(&frames));
    assert_string_equal(client_replies(&client),
                        "0:{ok,pong} 1:{ok,pong} 2:{ok,pong} 3:{ok,pong} "
                        "4:{ok,pong} ");
    buffer_free(&frames);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* Replies to `count` pings, ids from 0 on, in however many frames. */
static void expect_pings(struct client *client, unsigned count)
{
    unsigned next = 0;

    while (next < count) {
        const char *text = client_replies(client);

        assert_non_null(text);
        for (; *text; text = strchr(text, ' ') + 1, next++) {
            char *end;

            assert_int_equal(strtoul(text, &end, 10), next);
            assert_memory_equal(end, ":{ok,pong} ", 11);
        }
    }
    assert_int_equal(next, count);
}

static void one_large_frame_of_many_requests(void **state)
{
    const unsigned count = 100000;
    struct buffer text = BUFFER(test_mem());
    struct client client;

    (void)state;
    for (unsigned i = 0; i < count; i++)
        test_append_text(&text, test_format("%c{%u,{ping}}", i ? ',' : '[', i));
    test_append(&text, "]", 2);
    client_start_port(&client, NULL, NULL);
    client_send(&client, (const char *)text.data);
    expect_pings(&client, count);
    buffer_free(&text);
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void a_large_value_comes_back_whole(void **state)
{
    const size_t size = 20u << 20;
    static const char head[] = "[{1,{insert_row,p,<<\"";
    static const char tail[] = "\">>}}]";
    char *request = malloc(sizeof(head) + size + sizeof(tail));
    struct bytes payload;
    struct client client;
    size_t start = sizeof(head) - 1;

    (void)state;
    memcpy(request, head, start);
    memset(request + start, 'v', size);
    memcpy(request + start + size, tail, sizeof(tail));
    client_start_port(&client, NULL, NULL);
    assert_string_equal(client_call(&client, "{create_table,p,pom,#{}}"),
                        "{ok,created}");
    client_send(&client, request);
    assert_string_equal(client_replies(&client), "1:{ok,{1,[],[]}} ");
    client_send(&client, "[{2,{get,p,fwd,1}}]");
    assert_true(client_take(&client, &payload));
    assert_true(payload.size > size && payload.size < size + 100);
    assert_int_equal(payload.data[payload.size / 2], 'v');
    free(request);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* --- what ends a session ------------------------------------------------ */

static void a_frame_too_large_ends_the_session(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, "--frame-bytes-max", "4k");
    client_send(&client, "{1,{ping}}");
    client_write(&client, BYTES("\0\0\20\1"));
    assert_string_equal(client_replies(&client), "1:{ok,pong} ");
    expect_end(&client, EXIT_PROTOCOL, "larger than --frame-bytes-max");

    client_start_port(&client, NULL, NULL);
    client_write(&client, BYTES("\377\377\377\377"));
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_PROTOCOL, "larger than --frame-bytes-max");
}

static void garbage_ends_the_session_after_earlier_replies(void **state)
{
    static const struct bytes garbage[] = {
        {(const uint8_t *)"\0\0\0\0", 4},
        {(const uint8_t *)"\0\0\0\1\203", 5},
        {(const uint8_t *)"\0\0\0\2\202\152", 6},
        {(const uint8_t *)"\0\0\0\7\203\120\0\0\0\1x", 11},
        {(const uint8_t *)"\0\0\0\3\203\152\152", 7},
        {(const uint8_t *)"\0\0\0\10\203\154\177\377\377\377\310\152", 12},
        {(const uint8_t *)"\0\0\0\6\203\155\377\377\377\377", 10},
        {(const uint8_t *)"\0\0\0\5hello", 9},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(garbage); i++) {
        struct client client;

        client_start_port(&client, NULL, NULL);
        client_send(&client, "{1,{ping}}");
        client_write(&client, garbage[i]);
        client_send(&client, "{2,{ping}}");
        assert_string_equal(client_replies(&client), "1:{ok,pong} ");
        assert_null(client_replies(&client));
        expect_end(&client, EXIT_PROTOCOL, "no valid term");
    }
}

static void a_request_without_id_ends_the_session(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_send(&client, "[{1,{ping}},nothing,{2,{ping}}]");
    assert_string_equal(client_replies(&client), "1:{ok,pong} ");
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_PROTOCOL, "no integer Id");
}

static void the_end_of_stdin_is_an_orderly_stop(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    for (int i = 0; i < 1000; i++)
        client_send(&client, test_format("{%d,{ping}}", i));
    client_close_in(&client);
    expect_pings(&client, 1000);
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void an_end_within_a_frame_is_an_error(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_send(&client, "{1,{ping}}");
    client_write(&client, BYTES("\0\0\0\11\203"));
    client_close_in(&client);
    assert_string_equal(client_replies(&client), "1:{ok,pong} ");
    expect_end(&client, EXIT_PROTOCOL, "within a frame");
}

static void sigterm_is_an_orderly_stop(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    assert_string_equal(client_call(&client, "{ping}"), "{ok,pong}");
    kill(client.pid, SIGINT);
    kill(client.pid, SIGHUP);
    assert_string_equal(client_call(&client, "{ping}"), "{ok,pong}");
    kill(client.pid, SIGTERM);
    assert_null(client_replies(&client));
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void a_client_that_is_gone_is_an_end(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, NULL, NULL);
    close(client.out);
    client.out = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 10; i++)
        client_send(&client, "{1,{ping}}");
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* --- a client that does not read ---------------------------------------- */

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return false;
#endif
}

/* What it may grow by: the replies that wait, and allocators' habits. That of
 * AddressSanitizer keeps what was freed. */
static long slack_kib(void)
{
    return sanitized() ? 400 << 10 : 16 << 10;
}

/* Writes the frame again and again until nothing moves for a while. */
static unsigned write_until_stuck(struct client *client, struct bytes frame,
                                  size_t *ret_partial)
{
    struct pollfd poll_in = {client->in, POLLOUT, 0};
    unsigned frames = 0;
    size_t at = 0;

    fcntl(client->in, F_SETFL, O_NONBLOCK);
    while (poll(&poll_in, 1, 1000) == 1) {
        ssize_t count = write(client->in, frame.data + at, frame.size - at);

        if (count < 0) {
            assert_int_equal(errno, EAGAIN);
            continue;
        }
        at += (size_t)count;
        if (at == frame.size) {
            at = 0;
            frames++;
        }
        assert_true(frames < 1000000);
    }
    fcntl(client->in, F_SETFL, 0);
    *ret_partial = at;
    return frames;
}

/* Asks for two pages of 1 MiB with every frame, and reads none of them. */
static void memory_is_bounded_while_nobody_reads(void **state)
{
    struct buffer frame = BUFFER(test_mem());
    char bound[8001];
    struct client client;
    struct bytes payload;
    unsigned frames, replies = 0;
    size_t partial;
    long before, during;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_call(&client, "{create_table,p,pom,#{}}");
    for (int i = 0; i < 40; i++) {
        char large[50001];

        memset(large, 'v', 50000);
        large[50000] = '\0';
        client_call(&client, test_format("{insert_row,p,<<\"%s\">>}", large));
    }
    before = client_status_field(client.pid, "VmRSS");
    /* A bound that is large and says nothing fills the pipe with fewer. */
    memset(bound, 'b', sizeof(bound) - 1);
    bound[sizeof(bound) - 1] = '\0';
    frame_parse(&frame,
                test_format("[{1,{scan,p,fwd,values,asc,none,"
                            "{incl,<<\"%s\">>},100}},"
                            "{2,{scan,p,fwd,values,asc,none,none,100}}]",
                            bound));
    frames = write_until_stuck(&client, buffer_bytes(&frame), &partial);
    during = client_status_field(client.pid, "VmRSS");
    assert_true(frames > 100);
    assert_true(during - before < slack_kib());

    /* Then it reads, and nothing is missing. */
    if (partial) {
        pid_t writer = fork(); /* the pipe may be full: write aside */

        if (writer == 0) {
            client_write(&client,
                         bytes_of(frame.data + partial, frame.size - partial));
            _exit(0);
        }
        frames++;
        client_close_in(&client);
    }
    client_close_in(&client);
    while (client_take(&client, &payload))
        replies += load_be32(payload.data + 2);
    assert_int_equal(replies, 2 * frames);
    if (partial)
        wait(NULL);
    buffer_free(&frame);
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void small_replies_gather_while_nobody_reads(void **state)
{
    struct buffer frame = BUFFER(test_mem());
    struct client client;
    unsigned frames;
    size_t partial;
    long before;

    (void)state;
    client_start_port(&client, NULL, NULL);
    before = client_status_field(client.pid, "VmRSS");
    frame_parse(&frame, "{1,{ping}}");
    frames = write_until_stuck(&client, buffer_bytes(&frame), &partial);
    assert_true(frames > 10000);
    assert_true(client_status_field(client.pid, "VmRSS") - before <
                slack_kib());
    buffer_free(&frame);
    /* It is asked to stop, waits a while, and says why it did not finish. */
    kill(client.pid, SIGTERM);
    pause_ms(3500);
    expect_end(&client, EXIT_IO, "does not read");
}

/* It reads slowly, but it reads: it gets everything, whatever time it takes. */
static void sigterm_waits_for_a_client_that_reads(void **state)
{
    const struct timespec pause = {0, 50 * 1000 * 1000};
    struct client client;
    char block[65536];
    size_t total = 0;
    ssize_t count;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_call(&client, "{create_table,p,pom,#{}}");
    client_call(&client, test_format("{insert_row,p,<<\"%0100000d\">>}", 1));
    for (unsigned i = 0; i < 60; i++)
        client_send(&client, "{1,{get,p,fwd,1}}");
    pause_ms(200); /* it has read them */
    kill(client.pid, SIGTERM);
    while ((count = read(client.out, block, sizeof(block))) > 0) {
        total += (size_t)count;
        nanosleep(&pause, NULL);
    }
    assert_true(total > 60 * 100000);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* A frame of long work is answered bit by bit: the loop gets its turns. */
static void long_work_is_done_in_turns(void **state)
{
    struct buffer text = BUFFER(test_mem());
    struct client client;
    unsigned frames = 0;

    (void)state;
    client_start_port(&client, NULL, NULL);
    client_call(&client, "{create_table,s,set,#{}}");
    for (unsigned i = 0; i < 1000; i++) {
        test_append_text(&text, test_format("%c{%u,{insert_all,s,fwd,[%u",
                                            i ? ',' : '[', i, i));
        for (unsigned k = 0; k < 300; k++)
            test_append_text(&text, test_format(",%u", k * 7919 * (i + 1)));
        test_append_text(&text, "]}}");
    }
    test_append(&text, "]", 2);
    client_send(&client, (const char *)text.data);
    for (const char *replies = ""; !strstr(replies, "999:{ok,"); frames++) {
        replies = client_replies(&client);
        assert_non_null(replies);
    }
    assert_true(frames > 1);
    buffer_free(&text);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* --- the process -------------------------------------------------------- */

static void the_daemon_is_sealed(void **state)
{
    struct client client;

    (void)state;
    if (sanitized())
        skip();
    client_start_port(&client, NULL, NULL);
    assert_non_null(strstr(client_call(&client, "{info}"), "sealed=>true"));
    assert_int_equal(client_status_field(client.pid, "Seccomp"), 2);
    assert_int_equal(client_status_field(client.pid, "NoNewPrivs"), 1);
    expect_end(&client, EXIT_STOPPED, NULL);

    client_start_port(&client, "--no-seal", NULL);
    assert_non_null(strstr(client_call(&client, "{info}"), "sealed=>false"));
    assert_int_equal(client_status_field(client.pid, "Seccomp"), 0);
    expect_end(&client, EXIT_STOPPED, NULL);
}

static void an_idle_daemon_is_small(void **state)
{
    struct client client;

    (void)state;
    if (sanitized())
        skip();
    client_start_port(&client, NULL, NULL);
    client_call(&client, "{ping}");
    assert_true(client_status_field(client.pid, "VmRSS") <= 2560);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* Can this process have one? The kernel may be too old, or have none left. */
static bool large_pages_can_be_had(void)
{
    size_t size = 2 * HEAP_PAGE;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct heap heap = {0};
    bool settled;

    assert_true(memory != MAP_FAILED);
    memset(memory, 1, size);
    heap.settled = ((uintptr_t)memory + HEAP_PAGE - 1) & ~(HEAP_PAGE - 1);
    settled = heap_settle(&heap, HEAP_PAGE) > 0;
    munmap(memory, size);
    heap_init(&heap);
    return settled && !heap.off;
}

/* KiB of another process in them. */
static long large_kib(pid_t pid)
{
    FILE *file = fopen(test_format("/proc/%d/smaps_rollup", (int)pid), "r");
    long kib = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) &&
           sscanf(line, "AnonHugePages: %ld kB", &kib) != 1)
        ;
    fclose(file);
    return kib;
}

static void a_large_store_lies_in_large_pages(void **state)
{
    static char large[50001];
    struct client client;

    (void)state;
    if (sanitized() || !large_pages_can_be_had())
        skip();
    memset(large, 'v', sizeof(large) - 1);
    client_start_port(&client, NULL, NULL);
    client_call(&client, "{create_table,t,to_one,#{}}");
    for (unsigned i = 0; i < 2 * HEAP_LARGE / sizeof(large); i++)
        client_call(&client,
                    test_format("{insert,t,fwd,{%u,<<\"%s\">>}}", i, large));
    for (unsigned i = 0; i < 1000 && large_kib(client.pid) == 0; i++)
        usleep(10000); /* a thread of its own is at it */
    assert_true(large_kib(client.pid) > 0);
    assert_non_null(strstr(client_call(&client, "{get,t,fwd,7}"), "vvv"));
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* Ticks of the processor that it has had, in its 14th and 15th fields. */
static unsigned long ticks_of(pid_t pid)
{
    unsigned long user = 0, system = 0;
    FILE *file = fopen(test_format("/proc/%d/stat", (int)pid), "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file,
                            "%*d (%*[^)]) %*s %*s %*s %*s %*s %*s %*s %*s "
                            "%*s %*s %*s %lu %lu",
                            &user, &system),
                     2);
    fclose(file);
    return user + system;
}

/* It looks a while for the next request, and no longer. */
static void an_idle_daemon_sleeps(void **state)
{
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    struct client client;
    unsigned long before;

    (void)state;
    client_start_port(&client, "--busy-wait", "10000");
    for (unsigned i = 0; i < 100; i++)
        client_call(&client, "{ping}");
    usleep(200000);
    before = ticks_of(client.pid);
    usleep(400000);
    assert_true(ticks_of(client.pid) - before <=
                (unsigned long)ticks_per_s / 10);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* Descriptor 1 is another name for stderr, and the frames have their own. */
static void stray_output_goes_to_stderr(void **state)
{
    struct stat one, two;
    struct client client;

    (void)state;
    client_start_port(&client, "--no-seal", NULL);
    assert_int_equal(stat(test_format("/proc/%d/fd/1", (int)client.pid), &one),
                     0);
    assert_int_equal(stat(test_format("/proc/%d/fd/2", (int)client.pid), &two),
                     0);
    assert_int_equal(one.st_ino, two.st_ino);
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* Its parent dies while others hold its pipes: it goes all the same, even if
 * it was stopped. */
static void expect_orphan_ends(bool stopped)
{
    int report[2];
    pid_t parent, daemon = 0;

    assert_int_equal(pipe(report), 0);
    parent = fork();
    if (parent == 0) {
        struct client client;

        client_start_port(&client, NULL, NULL);
        if (write(report[1], &client.pid, sizeof(client.pid)) < 0)
            _exit(1);
        if (stopped)
            kill(client.pid, SIGSTOP);
        /* This process holds the ends that keep stdin from ending. */
        if (fork() == 0) {
            pause_ms(4000);
            _exit(0);
        }
        _exit(0);
    }
    assert_int_equal(read(report[0], &daemon, sizeof(daemon)), sizeof(daemon));
    waitpid(parent, NULL, 0);
    for (int i = 0; i < 300; i++) {
        FILE *file = fopen(test_format("/proc/%d/stat", (int)daemon), "r");
        char state_letter = 'Z';

        if (!file || fscanf(file, "%*d %*s %c", &state_letter) != 1 ||
            state_letter == 'Z') {
            if (file)
                fclose(file);
            close(report[0]);
            close(report[1]);
            return;
        }
        fclose(file);
        pause_ms(10);
    }
    fail_msg("the daemon outlived its parent");
}

static void an_orphan_ends(void **state)
{
    (void)state;
    expect_orphan_ends(false);
    expect_orphan_ends(true);
}

static void closed_descriptors_end_with_64(void **state)
{
    static const char *const closed[] = {"<&-", "< /dev/null >&-"};

    (void)state;
    for (size_t i = 0; i < COUNT(closed); i++) {
        FILE *pipe = popen(test_format("exec 3>&1; \"%s\" port %s 2>&3",
                                       getenv("RHIZOME_EXECUTABLE"), closed[i]),
                           "r");
        char line[256] = "";

        assert_non_null(pipe);
        assert_non_null(fgets(line, sizeof(line), pipe));
        assert_non_null(strstr(line, "stdin and stdout must be open"));
        assert_int_equal(WEXITSTATUS(pclose(pipe)), EXIT_USAGE);
    }
}

static void usage_errors_end_with_64(void **state)
{
    static const char *const wrong[][5] = {
        {NULL},
        {"serve", NULL},
        {"port", "more", NULL},
        {"port", "--colour", NULL},
        {"port", "--memory-limit", NULL},
        {"port", "--memory-limit", "much", NULL},
        {"port", "--memory-limit", "0", NULL},
        {"port", "--memory-limit", "-5", NULL},
        {"port", "--memory-limit", "5x", NULL},
        {"port", "--memory-limit", "99999999999g", NULL},
        {"port", "--snapshots-max", "many", NULL},
        {"port", "--snapshots-max", "-1", NULL},
        {"port", "--snapshots-max", "4294967296", NULL},
        {"port", "--snapshot-age-max", "1h", NULL},
        {"port", "--snapshot-age-max", "9223372036854775808", NULL},
        {"port", "--frame-bytes-max", "1", NULL},
        {"port", "--frame-bytes-max", "2g", NULL},
        {"port", "--dir", NULL},
        {"port", "--dir", "", NULL},
        {"port", "--sync", "sometimes", NULL},
        {"port", "--sync", "interval:0", NULL},
        {"port", "--sync", "interval:3600001", NULL},
        {"port", "--sync", "interval:5s", NULL},
        {"port", "--expect", "5", NULL},
        {"port", "--expect", "0123456789abcdef0123456789abcdef", NULL},
        {"port", "--expect", "0123456789abcdef0123456789abcdeg:1", NULL},
        {"port", "--expect", "0123456789abcdef0123456789abcdef:-1", NULL},
        {"port", "--checkpoint-ratio", "two", NULL},
        {"port", "--checkpoint-ratio", "1e3", NULL},
        {"port", "--checkpoint-ratio", "1.5.", NULL},
        {"port", "--checkpoint-min", "x", NULL},
        {"port", "--segment-bytes", "1k", NULL},
        {"port", "--segment-bytes", "1g", NULL},
        {"port", "--lock-wait", "soon", NULL},
        {"port", "--busy-wait", "10001", NULL},
        {"port", "--busy-wait", "1ms", NULL},
    };
    static const char *const right[][3] = {
        {"--help", NULL},
        {"--version", NULL},
        {"port", "--help", NULL},
    };
    struct client client;

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        client_start(&client, wrong[i]);
        assert_int_equal(client_finish(&client, err, sizeof(err)), EXIT_USAGE);
        assert_non_null(strstr(err, "--help"));
        assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
    }
    for (size_t i = 0; i < COUNT(right); i++) {
        char text[7] = "";

        client_start(&client, right[i]);
        assert_true(read(client.out, text, 6) > 0);
        assert_int_equal(client_finish(&client, err, sizeof(err)), 0);
        assert_string_equal(err, "");
    }
}

static void a_file_of_requests_is_served(void **state)
{
    struct buffer frames = BUFFER(test_mem());
    char name[] = "/tmp/rhizome-requests-XXXXXX";
    int file = mkstemp(name);
    long bytes = 0;
    FILE *pipe;

    (void)state;
    for (int i = 0; i < 5000; i++)
        frame_parse(&frames, test_format("{%d,{ping}}", i));
    assert_int_equal(write(file, frames.data, frames.size),
                     (ssize_t)frames.size);
    close(file);
    pipe = popen(test_format("\"%s\" port < %s | wc -c",
                             getenv("RHIZOME_EXECUTABLE"), name),
                 "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%ld", &bytes), 1);
    assert_int_equal(pclose(pipe), 0);
    assert_true(bytes > 5000 * 20);
    unlink(name);
    buffer_free(&frames);
}

static void the_memory_limit_is_passed_on(void **state)
{
    struct client client;

    (void)state;
    client_start_port(&client, "--memory-limit", "1m");
    assert_non_null(
        strstr(client_call(&client, "{info}"), "memory_limit_bytes=>1048576"));
    assert_string_equal(client_call(&client, "{create_table,p,pom,#{}}"),
                        "{ok,created}");
    for (int i = 0;; i++) {
        char large[1001];
        const char *answer;

        memset(large, 'v', 1000);
        large[1000] = '\0';
        assert_true(i < 2000);
        answer = client_call(&client,
                             test_format("{insert_row,p,<<\"%s\">>}", large));
        if (strncmp(answer, "{ok,", 4) != 0) {
            assert_non_null(strstr(answer, "{error,{memory_limit,"));
            break;
        }
    }
    assert_string_equal(client_call(&client, "{has_key,p,fwd,1}"), "{ok,true}");
    expect_end(&client, EXIT_STOPPED, NULL);
}

/* --- PROTOCOL.md -------------------------------------------------------- */

/* Reads hexadecimal digits up to the end of the line. */
static void parse_hex(struct buffer *out, const char *text)
{
    unsigned byte;

    for (out->size = 0; sscanf(text, "%2x", &byte) == 1; text += 2) {
        uint8_t one = (uint8_t)byte;

        test_append(out, &one, 1);
    }
}

/* The lines "> frame" and "< frame" of section 6, in their order. */
static void the_examples_of_protocol_md_are_true(void **state)
{
    struct buffer wanted = BUFFER(test_mem());
    struct bytes payload;
    struct client client;
    unsigned examples = 0;
    char line[4096];
    FILE *file = fopen(
        test_format("%s/port_src/PROTOCOL.md", getenv("RHIZOME_SOURCE_DIR")),
        "r");

    (void)state;
    assert_non_null(file);
    client_start_port(&client, NULL, NULL);
    while (fgets(line, sizeof(line), file)) {
        parse_hex(&wanted, line + 2);
        if (strncmp(line, "> 0", 3) == 0)
            assert_true(client_write(&client, buffer_bytes(&wanted)));
        if (strncmp(line, "< 0", 3) != 0)
            continue;
        assert_true(client_take(&client, &payload));
        assert_int_equal(payload.size, wanted.size - 4);
        assert_memory_equal(payload.data, wanted.data + 4, payload.size);
        examples++;
    }
    assert_int_equal(examples, 8);
    fclose(file);
    buffer_free(&wanted);
    expect_end(&client, EXIT_STOPPED, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_comes_first),
        cmocka_unit_test(a_frame_may_be_cut_at_every_byte),
        cmocka_unit_test(frames_that_come_together_are_answered_together),
        cmocka_unit_test(one_large_frame_of_many_requests),
        cmocka_unit_test(a_large_value_comes_back_whole),
        cmocka_unit_test(a_frame_too_large_ends_the_session),
        cmocka_unit_test(garbage_ends_the_session_after_earlier_replies),
        cmocka_unit_test(a_request_without_id_ends_the_session),
        cmocka_unit_test(the_end_of_stdin_is_an_orderly_stop),
        cmocka_unit_test(an_end_within_a_frame_is_an_error),
        cmocka_unit_test(sigterm_is_an_orderly_stop),
        cmocka_unit_test(a_client_that_is_gone_is_an_end),
        cmocka_unit_test(memory_is_bounded_while_nobody_reads),
        cmocka_unit_test(small_replies_gather_while_nobody_reads),
        cmocka_unit_test(sigterm_waits_for_a_client_that_reads),
        cmocka_unit_test(long_work_is_done_in_turns),
        cmocka_unit_test(the_daemon_is_sealed),
        cmocka_unit_test(an_idle_daemon_is_small),
        cmocka_unit_test(a_large_store_lies_in_large_pages),
        cmocka_unit_test(an_idle_daemon_sleeps),
        cmocka_unit_test(stray_output_goes_to_stderr),
        cmocka_unit_test(an_orphan_ends),
        cmocka_unit_test(usage_errors_end_with_64),
        cmocka_unit_test(closed_descriptors_end_with_64),
        cmocka_unit_test(a_file_of_requests_is_served),
        cmocka_unit_test(the_memory_limit_is_passed_on),
        cmocka_unit_test(the_examples_of_protocol_md_are_true),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
