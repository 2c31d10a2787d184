/*
 * checkpointer.h -- when a checkpoint is made, and who waits for it.
 *
 *     idle --begin--> running (a worker) --> placing (a sync) --> idle
 *
 * A checkpoint is begun because a client asks for one or because the log has
 * grown too long in proportion. Requests that come while one runs and that it
 * is too old for share the next one, which follows at once. It is in place,
 * and reported, when a sync has put it into the manifest.
 */
#ifndef RHIZOME_PORT_CHECKPOINTER_H
#define RHIZOME_PORT_CHECKPOINTER_H

#include <stdbool.h>

#include "core/status.h"

struct call;
struct commands;
struct commands_log;
struct checkpointer;

/* `log` is copied. ST_NO_MEMORY. */
enum status checkpointer_create(struct commands *commands,
                                const struct commands_log *log,
                                struct checkpointer **ret);

/* None may be running. NULL is accepted. */
void checkpointer_free(struct checkpointer *checkpointer);

/* Makes the running request wait for a checkpoint, or answers it. Errors:
 * those of checkpoint_begin(). */
enum status checkpointer_request(struct checkpointer *checkpointer,
                                 struct call *call);

/* Begins one if the rule says so, nobody having asked. O(segments). */
void checkpointer_look(struct checkpointer *checkpointer);

/* Begins one, unless the last one is of this very seq or one is under way. */
void checkpointer_begin(struct checkpointer *checkpointer);

bool checkpointer_running(const struct checkpointer *checkpointer);

/* Lets the running one fail soon, if nobody waits for it or `always`. */
void checkpointer_cancel(struct checkpointer *checkpointer, bool always);

/* See commands_sync_begun(). */
void checkpointer_sync_begun(struct checkpointer *checkpointer);
void checkpointer_sync_ended(struct checkpointer *checkpointer);

/* The one of a commands; NULL in memory only. commands.c has it. */
struct checkpointer *commands_checkpointer(struct commands *commands);

#endif
