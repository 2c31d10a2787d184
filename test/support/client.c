#include "support/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/etf.h"
#include "support/term_text.h"

static void make_pipe(int ends[2])
{
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
}

void client_start(struct client *client, const char *const *arguments)
{
    const char *executable = getenv("RHIZOME_EXECUTABLE");
    posix_spawn_file_actions_t actions;
    char *argv[16] = {NULL};
    int in[2], out[2], err[2];
    int count = 0;

    REQUIRE(executable);
    signal(SIGPIPE, SIG_IGN);
    argv[count++] = (char *)(uintptr_t)executable;
    for (; *arguments; arguments++)
        argv[count++] = (char *)(uintptr_t)*arguments;
    make_pipe(in);
    make_pipe(out);
    make_pipe(err);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);

    memset(client, 0, sizeof(*client));
    client->received = BUFFER(test_mem());
    client->text = BUFFER(test_mem());
    client->events = BUFFER(test_mem());
    REQUIRE(posix_spawn(&client->pid, executable, &actions, NULL, argv,
                        environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    client->in = in[1];
    client->out = out[0];
    client->err = err[0];
}

void client_start_port(struct client *client, const char *option,
                       const char *value)
{
    const char *arguments[] = {"port", option, value, NULL};
    struct bytes hello;

    client_start(client, arguments);
    REQUIRE(client_take(client, &hello));
}

bool client_write(struct client *client, struct bytes bytes)
{
    while (bytes.size) {
        ssize_t count = write(client->in, bytes.data, bytes.size);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        bytes = bytes_of(bytes.data + count, bytes.size - (size_t)count);
    }
    return true;
}

void client_send(struct client *client, const char *text)
{
    struct buffer frame = BUFFER(test_mem());

    frame_parse(&frame, text);
    client_write(client, buffer_bytes(&frame));
    buffer_free(&frame);
}

/* Reads more of its output; false at the end. */
static bool client_read(struct client *client)
{
    struct pollfd poll_out = {client->out, POLLIN, 0};
    uint8_t block[65536];
    ssize_t count;

    if (client->taken == client->received.size)
        client->taken = client->received.size = 0;
    REQUIRE(poll(&poll_out, 1, CLIENT_PATIENCE_MS) == 1);
    count = read(client->out, block, sizeof(block));
    if (count <= 0)
        return false;
    test_append(&client->received, block, (size_t)count);
    return true;
}

bool client_take(struct client *client, struct bytes *ret_payload)
{
    for (;;) {
        struct buffer *received = &client->received;
        const uint8_t *at = received->data + client->taken;
        size_t pending = received->size - client->taken;

        if (pending >= 4 && pending - 4 >= load_be32(at)) {
            *ret_payload = bytes_of(at + 4, load_be32(at));
            client->taken += 4 + ret_payload->size;
            return true;
        }
        if (!client_read(client))
            return false;
    }
}

/* Binaries are printed as they are: keeps the text one string. */
static void mask_zeros(struct buffer *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (!text->data[i])
            text->data[i] = '.';
}

/* Prints the elements of a list of replies. */
static void print_replies(struct buffer *out, struct bytes payload)
{
    const uint8_t *at = payload.data;
    uint32_t count;
    size_t size;

    REQUIRE(payload.size > 6 && at[0] == ETF_VERSION && at[1] == ETF_LIST);
    REQUIRE(etf_validate(bytes_of(at + 1, payload.size - 1), &size, NULL) ==
            ST_OK);
    REQUIRE(size == payload.size - 1);
    count = load_be32(at + 2);
    at += 6;
    while (count-- > 0) {
        const uint8_t *second = at + 2 + etf_size(at + 2);

        REQUIRE(at[0] == ETF_SMALL_TUPLE && at[1] == 2);
        term_print(out, at + 2);
        test_append_text(out, ":");
        if (second[0] == ETF_BINARY)
            REQUIRE(second[5] == ETF_VERSION);
        term_print(out, second[0] == ETF_BINARY ? second + 6 : second);
        test_append_text(out, " ");
        at += etf_size(at);
    }
    mask_zeros(out);
    test_append(out, "", 1);
}

const char *client_replies(struct client *client)
{
    struct bytes payload;

    if (!client_take(client, &payload))
        return NULL;
    client->text.size = 0;
    print_replies(&client->text, payload);
    return (const char *)client->text.data;
}

/* Prints the events of a payload into `events`, and the reply 1 into `text`:
 * true if there is one. */
static bool print_call(struct client *client, struct bytes payload)
{
    const uint8_t *at = payload.data + 6;
    bool found = false;

    REQUIRE(payload.size > 6 && payload.data[1] == ETF_LIST);
    for (uint32_t count = load_be32(payload.data + 2); count > 0; count--) {
        const uint8_t *first = at + 2;
        const uint8_t *second = first + etf_size(first);

        if (second[0] == ETF_BINARY && first[0] == ETF_SMALL_INTEGER) {
            REQUIRE(first[1] == 1 && !found);
            found = true;
            client->text.size = 0;
            term_print(&client->text, second + 6);
            mask_zeros(&client->text);
        } else {
            term_print(&client->events, first);
            test_append_text(&client->events, ":");
            term_print(&client->events, second);
            test_append_text(&client->events, " ");
        }
        at += etf_size(at);
    }
    return found;
}

const char *client_call(struct client *client, const char *op)
{
    struct bytes payload;

    client_send(client, test_format("[{1, %s}]", op));
    do
        REQUIRE(client_take(client, &payload));
    while (!print_call(client, payload));
    return (const char *)client->text.data;
}

const char *client_events(struct client *client)
{
    const char *events;

    mask_zeros(&client->events);
    test_append(&client->events, "", 1);
    events = test_format("%s", (const char *)client->events.data);
    client->events.size = 0;
    return events;
}

const char *client_hello(struct client *client)
{
    const char *text;

    do
        text = client_replies(client);
    while (text && strncmp(text, "recovering:", 11) == 0);
    return text;
}

void client_close_in(struct client *client)
{
    if (client->in >= 0)
        close(client->in);
    client->in = -1;
}

int client_finish(struct client *client, char *err, size_t err_size)
{
    client_close_in(client);
    return client_wait(client, err, err_size);
}

int client_wait(struct client *client, char *err, size_t err_size)
{
    size_t size = 0;
    int status;

    while (client_read(client))
        client->taken = client->received.size;
    close(client->out);
    for (;;) {
        char block[4096];
        ssize_t count = read(client->err, block, sizeof(block));

        if (count <= 0)
            break;
        for (ssize_t i = 0; i < count && size + 1 < err_size; i++)
            err[size++] = block[i];
    }
    if (err_size)
        err[size] = '\0';
    close(client->err);
    REQUIRE(waitpid(client->pid, &status, 0) == client->pid);
    buffer_free(&client->received);
    buffer_free(&client->text);
    buffer_free(&client->events);
    client_close_in(client);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

long client_status_field(pid_t pid, const char *name)
{
    char *path = test_format("/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    char line[256];
    long value = -1;

    if (!file)
        return -1;
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtol(line + strlen(name) + 1, NULL, 10);
    fclose(file);
    return value;
}
