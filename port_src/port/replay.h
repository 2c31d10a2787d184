/*
 * replay.h -- carrying out again what a log has recorded: the `apply` of
 * struct recovery_options, for the daemon and for the command line.
 *
 * The Ops go through the same table of commands that carried them out the
 * first time. No limit of a session counts, nor that of the memory, and no
 * answers are built.
 */
#ifndef RHIZOME_PORT_REPLAY_H
#define RHIZOME_PORT_REPLAY_H

#include "core/bytes.h"
#include "core/mem.h"
#include "core/store.h"

struct replayer;

/*
 * For a store that serves nobody yet; both are borrowed. The store has no
 * limit on what a command removes until somebody sets one again.
 * Errors: ST_NO_MEMORY.
 */
enum status replayer_create(struct store *store, struct mem *mem,
                            struct replayer **ret);
void replayer_free(struct replayer *replayer);

/* Calls `tick` now and then while one mutation does much, so that somebody
 * who waits can be told that it goes on. */
void replayer_set_tick(struct replayer *replayer, void (*tick)(void *context),
                       void *context);

/* Calls `applied` before each mutation is committed, with its changes in the
 * change list of the store. An error of it is that of replayer_apply(), and
 * the mutation is undone. */
void replayer_set_applied(struct replayer *replayer,
                          enum status (*applied)(void *context, uint64_t seq),
                          void *context);

/*
 * Carries out `term`, any bytes, as the mutation `seq`. Errors, with a
 * sentence in `*ret_why` until the next call: ST_BAD_TERM if it is no valid
 * term, ST_BAD_ARGUMENT if it is no mutation or does not lead to `seq`, and
 * whatever the command answers.
 */
enum status replayer_apply(void *replayer, uint64_t seq, struct bytes term,
                           const char **ret_why);

#endif
