/*
 * commands.h -- from a payload to replies: requests carried out one by one.
 *
 * commands_open() is given a frame's payload, checks all of it, and then
 * commands_step() carries out one request at a time, so that the caller can
 * send what is ready, or wait for a slow client, between any two of them.
 *
 * With a log, a mutation is appended to it before it is committed, and replies
 * that show what is not yet on the disk may have to wait for it (hold.h). The
 * caller writes and syncs the log and tells how far it came:
 *
 *     commands_step() ...             some replies are held
 *     termlog_sync_begin()            if commands_want_sync()
 *     commands_sync_begun()
 *     commands_step() ...             goes on meanwhile
 *     termlog_sync_end()
 *     commands_sync_ended()
 *     commands_release()              moves replies out of the hold
 *
 * Knows nothing of where bytes come from or what a thread is: tests and
 * fuzzers call it directly.
 */
#ifndef RHIZOME_PORT_COMMANDS_H
#define RHIZOME_PORT_COMMANDS_H

#include "core/store.h"
#include "log/termlog.h"
#include "port/job.h"
#include "port/reader.h"
#include "port/writer.h"

/* The version of the wire, in hello and info. */
#define PROTOCOL_VERSION 1

enum command_flags {
    CMD_READ = 0,                /* changes nothing */
    CMD_WRITE = 1 << 0,          /* a mutation: runs between begin and commit */
    CMD_BATCH = 1 << 1,          /* may stand in a batch */
    CMD_PAGE = 1 << 2,           /* answers {ok, Items, Next} */
    CMD_CATALOG = 1 << 3,        /* shows which tables there are */
    CMD_STORE = 1 << 4,          /* shows all of the store */
    CMD_SYNC = 1 << 5,           /* its reply waits for the disk in any case */
    CMD_WITH = 1 << 6,           /* takes idempotency_key and expect */
    CMD_VERSION = 1 << 7,        /* may be carried out at a snapshot or fork */
    CMD_WHERE = 1 << 8,          /* takes a Condition */
    CMD_SOURCE = 1 << 9,         /* its first argument is a Source */
    CMD_SOURCE_SECOND = 1 << 10, /* its second is; beside CMD_SOURCE */
    CMD_LIMITS = 1 << 11,        /* takes limits, but is at no version */
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
    uint16_t flags;
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
 * Carries out the next request and puts its reply, or holds it. Errors, after
 * which the session must end: ST_BAD_REQUEST if it holds no Id to answer to,
 * ST_NO_MEMORY if not even an error reply has room, ST_IO if the log failed
 * (then nothing more may leave).
 */
enum status commands_step(struct commands *commands);

/* --- a store with a log ------------------------------------------------- */

/* When a checkpoint is made without being asked for. */
struct checkpoint_rule {
    double ratio;       /* of the log to the checkpoint; 0: never */
    uint64_t bytes_min; /* ... and the log is larger than this */
};

/* How a store is kept. The log and the strings are borrowed. */
struct commands_log {
    struct termlog *log;
    enum sync_policy policy;
    unsigned interval_ms;
    const char *directory;
    struct checkpoint_rule checkpoints;
    struct job_host host;
};

/* Makes the store a durable one, before the first request. ST_NO_MEMORY. */
enum status commands_set_log(struct commands *commands,
                             const struct commands_log *log);

/* What it was given, or NULL: in memory only. */
const struct commands_log *commands_log(const struct commands *commands);

/* True if somebody waits for a sync that has not begun. */
bool commands_want_sync(const struct commands *commands);

/* A sync of all that was appended has begun, and has ended well. */
void commands_sync_begun(struct commands *commands);
void commands_sync_ended(struct commands *commands);

/*
 * Moves replies that have waited long enough to the writer, until it holds
 * `bytes`; `*ret_more` if some are left. ST_NO_MEMORY.
 */
enum status commands_release(struct commands *commands, size_t bytes,
                             bool *ret_more);

/* Bytes of replies that are held. */
size_t commands_held_bytes(const struct commands *commands);

/*
 * Replies to all mutations up to this seq are in the writer or have left it.
 * Only with a log.
 */
uint64_t commands_acknowledged(const struct commands *commands);

/* Requests that were put off and not answered yet. */
size_t commands_later_count(const struct commands *commands);

/* What went wrong outside of commands_step() and cannot be answered to
 * anybody: ST_NO_MEMORY, or ST_OK. */
enum status commands_broken(const struct commands *commands);

/* --- again -------------------------------------------------------------- */

/* Room for a sentence about a failed command. */
#define MESSAGE_BYTES_MAX 256

/*
 * Carries out a mutation that a log has recorded: `op` is a valid term. No
 * limit counts and nothing is put. Errors: those of the command, and
 * ST_BAD_ARGUMENT for what is no mutation or changes nothing; with a sentence
 * in `why`, and nothing has changed.
 */
enum status commands_apply(struct commands *commands, struct bytes op,
                           char why[MESSAGE_BYTES_MAX]);

#endif
