/*
 * durable.h -- a small durable store for tests of the log: a store, its term
 * log and a simulated disk, driven by a seeded stream of steps.
 *
 * A step is one of what a daemon does: mutations (tables of all eight types,
 * with references between them) that are appended, committed and written;
 * parts of a sync job, with mutations in between; a mark, a digest, a roll;
 * parts of a checkpoint; an orderly end, or a death, and a new start. The
 * same seed on the same disk makes the same calls, so a test can run it once
 * to count them and once more for each place to break it.
 *
 * It remembers the store's digest at every seq (`history`), and what it was
 * told to be written and durable. That is the oracle: what recovery makes of
 * the disk must be the store as it was at some seq that is not less than
 * what was promised.
 */
#ifndef RHIZOME_TEST_SUPPORT_DURABLE_H
#define RHIZOME_TEST_SUPPORT_DURABLE_H

#include "core/store.h"
#include "log/checkpoint.h"
#include "log/recover.h"
#include "log/termlog.h"

#include "support/random.h"
#include "support/sim_io.h"

/* The digests of a store at seq 0, 1, ... `last`. */
struct history {
    struct digest *digests;
    uint64_t last;
    uint64_t capacity;
};

void history_copy(struct history *to, const struct history *from);
void history_free(struct history *history);

struct durable {
    struct sim_io *sim; /* borrowed; may be changed while it is shut */
    enum sync_policy policy;
    uint64_t segment_bytes;
    bool orderly;        /* never dies of itself, only ends */
    bool no_checkpoints; /* makes none */
    bool drops;          /* the disk may lose what is not durable */
    struct random random;
    const char *what; /* the last step, for messages */
    uint64_t seed;
    uint64_t steps;

    struct history history;
    uint64_t written; /* the highest seqs it was ever told */
    uint64_t durable;

    /* While it is open. */
    struct io *io;
    struct store *store;
    struct termlog *log;
    struct sync_job *sync;
    struct checkpoint_job *checkpoint;
    struct mem mem; /* of log and recovery */
    uint64_t checkpoints;

    /* What the last durable_open() found. */
    struct recovery recovery;
    int error;
};

/* A store that is shut, on `sim`. */
void durable_init(struct durable *d, struct sim_io *sim, uint64_t seed,
                  enum sync_policy policy, uint64_t segment_bytes);

/* Frees all; an open one dies. Fails the test if something leaks. */
void durable_deinit(struct durable *d);

/*
 * A process starts: locks, recovers, mends, opens the log. On ST_OK what was
 * recovered has been held against the history, which ends there from now on.
 * ST_LOG_REFUSED, ST_IO, ST_LOG_FULL, ST_NO_MEMORY: it is shut again.
 * `expect_seq` as in struct recovery_options.
 */
enum status durable_open(struct durable *d, uint64_t expect_seq);

/* The process ends without a word to the disk. Fails the test on leaks. */
void durable_abandon(struct durable *d);

/* An orderly end. Whatever it returns, the process has ended. */
enum status durable_close(struct durable *d);

/*
 * Made-up mutations, until one has changed something: appended, committed and
 * noted in the history, not written. Errors leave the store as it was, and
 * that is checked: ST_LOG_FULL, ST_NO_MEMORY, ST_IO.
 */
enum status durable_mutate(struct durable *d);

/* termlog_write(), and what the policy asks for after it. */
enum status durable_write(struct durable *d);

/* One step. ST_IO: the log has failed, and only durable_abandon() may follow.
 * Other errors have been dealt with. */
enum status durable_step(struct durable *d);

/* Steps until one fails. */
enum status durable_run(struct durable *d, unsigned steps);

/* The pieces of which steps are made. */
enum status durable_sync_begin(struct durable *d);
enum status durable_sync_end(struct durable *d); /* and run */
enum status durable_sync(struct durable *d);
enum status durable_digest(struct durable *d);
enum status durable_checkpoint_begin(struct durable *d);
enum status durable_checkpoint_end(struct durable *d); /* and run */

/* An apply function for struct recovery_options; its context is the store. */
enum status durable_apply(void *store, uint64_t seq, struct bytes term,
                          const char **ret_why);

/* Ends the test with the seed, the disk's last calls (TRACE of them, or 60)
 * and a message. */
__attribute__((format(printf, 2, 3))) void
durable_fail(const struct durable *d, const char *format, ...);

/* SCALE from the environment, times `count`; a fifth of it in a build with
 * sanitizers, one at least. */
uint64_t durable_scale(uint64_t count);

#endif
