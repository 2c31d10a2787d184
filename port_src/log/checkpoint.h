/*
 * checkpoint.h -- a store as a file of sorted bulk records, and back.
 *
 *     {checkpoint, #{seq => Seq, tables => N}}
 *     {create_table, Table, Type, Options}       each table, referred-to first
 *     {load, Table, fwd, [Element]} ...          its elements in key order
 *     {load, Table, bwd, [Element]} ...          of a junction: the other order
 *     {loaded, Table, #{count => N, next_id => Id}}
 *     {checkpoint_end, #{seq => Seq, digest => Digest}}
 *
 * Elements look as they do in a scan: A of a set, {Key, Value} of a pom or
 * to_one, {Key, Partner} as seen from the side. A checkpoint is written from
 * a snapshot, so the store goes on meanwhile, and is loaded by the builder of
 * load.h without a search or a sort. The digest at the end says that what was
 * loaded is what was saved. A dump (`rhizome dump`) is the same file.
 */
#ifndef RHIZOME_LOG_CHECKPOINT_H
#define RHIZOME_LOG_CHECKPOINT_H

#include <stdatomic.h>

#include "core/snapshot.h"
#include "log/io.h"
#include "log/reader.h"
#include "log/termlog.h"

/* What a long piece of work tells while it runs, on the thread that runs it:
 * `done` of `total` bytes or elements. */
struct progress {
    void (*report)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Where a checkpoint goes: a file, or anything else (`dump` to stdout). */
struct checkpoint_output {
    int (*write)(void *context, struct bytes bytes); /* 0 or -errno */
    void *context;
};

/*
 * Writes the checkpoint of `snapshot`, which was listed, to `output`. May run
 * on any thread: it touches neither the store nor its account. `cancel` (may be
 * NULL) is looked at every few thousand elements. `progress` may be NULL.
 * Errors: ST_IO (with
 * `*ret_errno`; ECANCELED when cancelled), ST_NO_MEMORY.
 */
enum status checkpoint_write(const struct snapshot *snapshot,
                             const uint8_t store_id[STORE_ID_BYTES],
                             uint64_t epoch,
                             const struct checkpoint_output *output,
                             const atomic_bool *cancel,
                             const struct progress *progress, int *ret_errno);

/* How a load went. On ST_LOG_REFUSED: what is wrong, and where. */
struct checkpoint_report {
    uint64_t seq;
    uint64_t elements;
    struct digest digest;
    uint64_t offset;
    char why[160];
};

/*
 * Reads a checkpoint to its end from a reader that stands at its start. With a
 * `store`, which must be empty, loads it there and sets its seq; without one
 * (NULL) only checks the records. Errors: ST_LOG_REFUSED (the store is then
 * half filled: throw it away), ST_IO, ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status checkpoint_read(struct log_reader *reader, struct store *store,
                            const struct progress *progress,
                            struct checkpoint_report *ret);

/*
 * A checkpoint of a store at work, in three parts as a sync is:
 *
 *     checkpoint_begin()   loop: rolls the log, takes a snapshot
 *     checkpoint_run()     worker: ckpt.tmp, sync, read it again, rename, sync
 *     checkpoint_end()     loop: releases the snapshot, tells the log
 *
 * The old segments go with the sync job after checkpoint_end(); the checkpoint
 * counts once termlog_checkpoint_seq() names it. `*ret` of begin is NULL if
 * the last checkpoint is of this very seq. Errors of begin: ST_LOG_FULL,
 * ST_IO, ST_NO_MEMORY, ST_MEMORY_LIMIT. Of end: ST_LOG_FULL (no room; the
 * temporary file is gone), ST_IO (with the errno in the report's `why`),
 * ST_NO_MEMORY: the store goes on as before, unless termlog_broken().
 */
struct checkpoint_job;

enum status checkpoint_begin(struct store *store, struct termlog *log,
                             struct checkpoint_job **ret);
void checkpoint_run(struct checkpoint_job *job);
void checkpoint_cancel(struct checkpoint_job *job); /* any thread */

struct checkpoint_result {
    uint64_t seq;
    uint64_t bytes;
    uint64_t elements;
    struct digest digest;
    char why[160];
};

enum status checkpoint_end(struct checkpoint_job *job, struct termlog *log,
                           struct checkpoint_result *ret);

#endif
