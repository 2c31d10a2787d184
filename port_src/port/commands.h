/*
 * commands.h -- from a payload to replies: requests carried out one by one.
 *
 * commands_open() is given a frame's payload, checks all of it, and then
 * commands_step() carries out one request at a time, so that the caller can
 * send what is ready, or wait for a slow client, between any two of them.
 *
 * Knows nothing of where bytes come from: tests and fuzzers call it directly.
 */
#ifndef RHIZOME_PORT_COMMANDS_H
#define RHIZOME_PORT_COMMANDS_H

#include "core/store.h"
#include "port/reader.h"
#include "port/writer.h"

/* The version of the wire, in hello and info. */
#define PROTOCOL_VERSION 1

enum command_flags {
    CMD_READ = 0,       /* changes nothing */
    CMD_WRITE = 1 << 0, /* a mutation: runs between begin and commit */
    CMD_BATCH = 1 << 1, /* may stand in a batch */
    CMD_PAGE = 1 << 2,  /* answers {ok, Items, Next} */
};

struct call;

/*
 * One command. `run` reads exactly `arity` arguments from call->args, acts,
 * and puts its Result into call->out; whatever it did and put is undone if it
 * answers an error.
 */
struct command {
    const char *name;
    uint8_t arity;
    uint8_t flags;
    enum status (*run)(struct call *call);
};

/* All commands in the order of PROTOCOL.md, and one by its name or NULL. */
const struct command *command_list(size_t *ret_count);
const struct command *command_find(struct bytes name);

/* What {info} tells about the process; the session keeps it up to date. */
struct figures {
    uint64_t commands;
    uint64_t frames_in;
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool sealed;
};

struct commands;

/*
 * `store` and `writer` are borrowed. Errors: ST_NO_MEMORY.
 */
enum status commands_create(struct store *store, struct mem *mem,
                            struct writer *writer, struct commands **ret);
void commands_free(struct commands *commands);

struct figures *commands_figures(struct commands *commands);

/*
 * Begins a payload, which is borrowed until commands_busy() is false. Errors:
 * ST_BAD_TERM if it is no valid term; nothing has been carried out then.
 */
enum status commands_open(struct commands *commands, struct bytes payload);

/* True while requests of the payload are left. */
bool commands_busy(const struct commands *commands);

/*
 * Carries out the next request and puts its reply. Errors, after which the
 * session must end: ST_BAD_REQUEST if it holds no Id to answer to,
 * ST_NO_MEMORY if not even an error reply has room.
 */
enum status commands_step(struct commands *commands);

/* Puts the hello event. Errors: ST_NO_MEMORY. */
enum status commands_hello(struct commands *commands, size_t frame_bytes_max);

#endif
