/*
 * termlog.h -- the log of a store at work: append, write, sync, roll, close.
 *
 *     append    a record into memory, with room for it reserved on the disk
 *     write     what was appended goes to the file (and survives our death)
 *     sync      the file goes to the disk (and survives that of the machine)
 *
 * A command appends its record before it commits, so what is in memory never
 * runs ahead of what can be written: room on the disk is allocated first, and
 * a full disk is ST_LOG_FULL at the append, with nothing done. A write or a
 * sync that fails all the same is the end (ST_IO, EXIT_IO): nothing of that
 * group was acknowledged, and nothing is written to that segment again.
 *
 * Syncing is cut in three, so that the blocking part can run on a worker
 * while the loop goes on appending and writing: that is group commit.
 *
 *     job = termlog_sync_begin(log);      loop: writes; what shall be synced
 *     termlog_sync_run(job);              worker: sync; blocks
 *     st = termlog_sync_end(log, job);    loop: termlog_durable() has moved
 *
 * There is one job at a time. It also does whatever else must reach the disk
 * in order: the end of a rolled segment, its successor's name, the manifest,
 * and only then the removal of files that nothing needs any more.
 */
#ifndef RHIZOME_LOG_TERMLOG_H
#define RHIZOME_LOG_TERMLOG_H

#include "core/digest.h"
#include "core/mem.h"
#include "core/status.h"
#include "log/io.h"
#include "log/manifest.h"

enum sync_policy {
    SYNC_ALWAYS,   /* acknowledged means synced */
    SYNC_INTERVAL, /* acknowledged means written; synced every so often */
    SYNC_NONE,     /* written; synced when a segment ends, and at the end */
};

#define SEGMENT_BYTES_DEFAULT (64u << 20)
#define SEGMENT_BYTES_LOWEST (64u << 10)
#define SEGMENT_BYTES_HIGHEST (512u << 20)

/* The log records the store's digest as often as this, in mutations. */
#define DIGEST_EVERY 65536

struct termlog;
struct sync_job;

/*
 * Opens the log of a directory for appending behind `seq`. `manifest` is what
 * recovery found and kept (its segments are the ones that are needed), or one
 * with a store id, epoch 0 and nothing else for a new store, whose manifest
 * is written here; it is copied. `io` is borrowed and must be locked.
 * Everything up to `seq` must be on the disk already (recovery_mend()).
 *
 * Makes no segment yet: the first record does, so a full disk does not keep a
 * store from being read. Removes *.tmp files, and segments and checkpoints
 * that the manifest does not need. Errors: ST_LOG_FULL,
 * ST_IO, ST_NO_MEMORY; termlog_error() cannot be asked then, so `*ret_errno`
 * tells.
 */
enum status termlog_open(struct io *io, struct mem *mem,
                         const struct manifest *manifest, uint64_t seq,
                         uint64_t segment_bytes, struct termlog **ret,
                         int *ret_errno);

/* Closes descriptors and frees; neither writes nor syncs. NULL accepted. */
void termlog_free(struct termlog *log);

/*
 * Appends the mutation `term` (an Op, no version byte) that the store is about
 * to commit as `seq`, one more than the last. Errors, and nothing has changed:
 * ST_LOG_FULL, ST_NO_MEMORY; ST_IO if the log has failed or fails now.
 *
 * Amortised O(term): a copy and two checksums. Once in a while it allocates
 * room in the file, and once a segment it makes the next one.
 */
enum status termlog_append(struct termlog *log, uint64_t seq,
                           struct bytes term);

/* True once every DIGEST_EVERY mutations: then, or whenever somebody asks for
 * it, termlog_append_digest() is to be called with the store's digest at the
 * last appended seq. It is left out if there is no room. */
bool termlog_digest_due(const struct termlog *log);
void termlog_append_digest(struct termlog *log, struct digest digest);

/* Appends a mark if the last record claims less than what is durable. True if
 * it did: write and sync it. Call it when nothing has happened for a second. */
bool termlog_append_mark(struct termlog *log);

/* Writes what was appended. ST_IO; O(bytes). */
enum status termlog_write(struct termlog *log);

/* The last seq that was appended, written, synced. */
uint64_t termlog_appended(const struct termlog *log);
uint64_t termlog_written(const struct termlog *log);
uint64_t termlog_durable(const struct termlog *log);

/* Bytes that were appended and are not written yet. */
size_t termlog_pending_bytes(const struct termlog *log);

/* True if termlog_sync_begin() would have something to do; and if it is what
 * even SYNC_NONE syncs: an ended segment, a new name, the manifest. */
bool termlog_sync_needed(const struct termlog *log);
bool termlog_sync_due(const struct termlog *log);

/* True if the last sync found no room for the manifest. Another one would try
 * again, and need not at once. */
bool termlog_put_off(const struct termlog *log);

/*
 * Begins a sync of all that was appended so far, and writes it first. `*ret`
 * is NULL if nothing is to be done or a job is under way. Errors: ST_IO,
 * ST_NO_MEMORY.
 */
enum status termlog_sync_begin(struct termlog *log, struct sync_job **ret);
void termlog_sync_run(struct sync_job *job);
enum status termlog_sync_end(struct termlog *log, struct sync_job *job);

/* The three in a row, on this thread. */
enum status termlog_sync(struct termlog *log);

/*
 * Ends the log for good, as a failed sync does: somebody else has found that
 * nobody knows what the disk holds. termlog_broken() tells of either.
 */
void termlog_break(struct termlog *log, int error, const char *what,
                   const char *file);
bool termlog_broken(const struct termlog *log);

/*
 * Ends the current segment, so that the next record stands in a new one; does
 * nothing if the current one has no mutation. ST_LOG_FULL, ST_IO,
 * ST_NO_MEMORY; on ST_LOG_FULL and ST_NO_MEMORY the segment just goes on.
 */
enum status termlog_roll(struct termlog *log);

/*
 * A checkpoint of `seq` lies in the directory, complete and synced. The next
 * sync job puts it into the manifest and then removes older checkpoints and
 * the segments that it covers. ST_NO_MEMORY.
 */
enum status termlog_checkpointed(struct termlog *log, uint64_t seq,
                                 struct digest digest, uint64_t bytes);

/* The checkpoint that the manifest on the disk names; 0 for none. */
uint64_t termlog_checkpoint_seq(const struct termlog *log);

/* An orderly end: writes, syncs, adds a close record with `digest`, cuts the
 * room that was allocated and not used, and syncs. No job may be under way.
 * Then only termlog_free() may follow. ST_IO. */
enum status termlog_close(struct termlog *log, struct digest digest);

/* Figures for {info}, and for when to checkpoint. */
struct termlog_figures {
    uint64_t epoch;
    uint64_t segments;         /* files in use, the current one included */
    uint64_t log_bytes;        /* of records since the checkpoint */
    uint64_t checkpoint_seq;   /* 0: none */
    uint64_t checkpoint_bytes; /* 0: none */
    uint64_t syncs;            /* since the start */
    bool full;                 /* the last append found no room */
};

void termlog_figures(const struct termlog *log, struct termlog_figures *ret);
const uint8_t *termlog_store_id(const struct termlog *log);
struct io *termlog_io(const struct termlog *log);

/* After ST_IO or ST_LOG_FULL: the errno, and what was being done ("sync",
 * "write", ...) with which file. The strings live as long as the log. */
int termlog_error(const struct termlog *log, const char **ret_what,
                  const char **ret_file);

#endif
