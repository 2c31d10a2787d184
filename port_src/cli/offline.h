/*
 * offline.h -- a store that no daemon has open, for those who change it: the
 * lock, recovery, and at the end a checkpoint in place of what was there.
 *
 *     offline_open()      lock; recover, as the daemon starts
 *     ...                 change offline->store
 *     offline_save()      set a torn tail aside, write a checkpoint, sync, and
 *                         remove what it covers, as the daemon stops
 *
 * A change counts once the MANIFEST names the checkpoint that holds it:
 * whoever is interrupted before leaves the store as it was.
 */
#ifndef RHIZOME_CLI_OFFLINE_H
#define RHIZOME_CLI_OFFLINE_H

#include "cli/source.h"
#include "log/checkpoint.h"
#include "log/termlog.h"

struct offline {
    const char *undone; /* how the store is after an error of writing: "the
                           store is as it was, or compacted" */
    struct source source;
    struct store *store;
    struct recovery recovery;
    struct termlog *log;
    struct checkpoint_result result;
    bool saved;   /* there was something to save */
    bool is_new;  /* there was no store before */
    bool is_made; /* nor the directory */
};

/*
 * Opens the store in the directory that is the one operand. With `create` it
 * may be missing or empty: the store is a new one then. `limit` is for the
 * store's memory, 0 for none. -1, or an exit status after a complaint; to be
 * closed in either case.
 */
int offline_open(struct offline *offline, const struct subcommand *subcommand,
                 const struct operands *paths, bool create, uint64_t limit,
                 const struct common_options *options);

/* The parts of that, for who has something to do in between. */
int offline_lock(struct offline *offline, const struct subcommand *subcommand,
                 const struct operands *paths, bool create);
int offline_recover(struct offline *offline, uint64_t limit,
                    const struct common_options *options);

/* Makes what is in offline->store durable. Again -1, or an exit status. */
int offline_save(struct offline *offline);

/* Frees all, and lets go of the lock. A directory that was made for a store
 * that did not come to be goes, too. */
void offline_close(struct offline *offline);

#endif
