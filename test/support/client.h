/*
 * client.h -- the real daemon as a child, and a client for it, for tests.
 *
 * The executable is that of the environment variable RHIZOME_EXECUTABLE.
 * A client that waits for more than CLIENT_PATIENCE_MS fails the program.
 */
#ifndef RHIZOME_TEST_SUPPORT_CLIENT_H
#define RHIZOME_TEST_SUPPORT_CLIENT_H

#include <sys/types.h>

#include "core/buffer.h"

#define CLIENT_PATIENCE_MS 30000

struct client {
    pid_t pid;
    int in;  /* to its stdin; -1: closed */
    int out; /* from its stdout */
    int err;
    struct buffer received; /* of stdout, from `taken` on */
    size_t taken;
    struct buffer text;   /* the last answer */
    struct buffer events; /* that came with answers to client_call() */
};

/* Starts `rhizome ARGUMENT ...`; the list ends with NULL. */
void client_start(struct client *client, const char *const *arguments);

/* Starts `rhizome port OPTION ...` and takes its hello. */
void client_start_port(struct client *client, const char *option,
                       const char *value);

/* Writes all of it, blocking. False if nobody reads any more. */
bool client_write(struct client *client, struct bytes bytes);

/* Writes one frame with what `text` shows. */
void client_send(struct client *client, const char *text);

/* Takes the next frame's payload; false at the end of its output. The bytes
 * stay until the next one is taken. */
bool client_take(struct client *client, struct bytes *ret_payload);

/*
 * Takes the next frame as text, one answer behind another: "1:{ok,pong} "
 * for {1, <<131, {ok, pong}>>}, and events as they are. NULL at the end.
 */
const char *client_replies(struct client *client);

/*
 * Sends `[{1, Op}]` and gives the answer's text. Events that come before it or
 * with it are added to `events` as text, one behind another: "seq:7 ".
 */
const char *client_call(struct client *client, const char *op);

/* The events so far, "" if there were none, which are then forgotten. */
const char *client_events(struct client *client);

/*
 * The first event that is no {recovering, _}, as text: "hello:#{...}", or
 * "failed:{...}". NULL if there is none.
 */
const char *client_hello(struct client *client);

/* Closes its stdin. */
void client_close_in(struct client *client);

/*
 * Closes what is open, waits for its end and gives the exit status, or
 * 128 + the signal that ended it. `err` gets what it wrote to stderr.
 */
int client_finish(struct client *client, char *err, size_t err_size);

/* Waits for its end without closing anything before, as if it was killed or
 * ended by itself; then as client_finish(). */
int client_wait(struct client *client, char *err, size_t err_size);

/* A field of /proc/PID/status, as a number; -1 if there is none. */
long client_status_field(pid_t pid, const char *name);

#endif
