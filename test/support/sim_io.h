/*
 * sim_io.h -- a directory that exists only in memory, fails where it is told
 * to, and knows what would be left of it after a power cut.
 *
 *     struct sim_io          the disk and the kernel's cache of it
 *       struct io            one process that has the directory open
 *       struct io            another one
 *
 * sim_io_open() gives a struct io for the code under test. io_free() ends
 * that process's view, not the disk, so that a test can look at the files
 * afterwards, change them, and open them again.
 *
 * What is modelled
 *
 *   Every file has two contents. Reads and writes go to the *current* one, as
 *   in the page cache; io_sync() makes the sectors (512 bytes) that were
 *   written, and the size, *durable*. Names are the same: creating, renaming,
 *   unlinking and making a directory happen at once for all who look, and are
 *   durable after io_sync_directory() of the directory that the name is in.
 *   (A rename from one directory into another: of both. Until then it has
 *   happened as a whole or not at all.) Syncing a file says nothing about its
 *   name; file systems differ in that, and this is the stricter reading.
 *
 *   A process that dies (sim_io_kill()) loses its descriptors and its lock,
 *   and nothing else. A machine that loses power (sim_io_power_cut()) keeps
 *   what is durable, and of the rest whatever it happened to write.
 *
 *   A sync that fails may drop what it could not write (`drop`), as Linux
 *   does: the pages count as clean from then on, so no later sync writes
 *   them, and reads still show them until io_forget(), after which they show
 *   what is durable.
 *
 *   Room: io_allocate() and writes beyond it take bytes from a capacity.
 *   A write that fits in part is short; the next one gives -ENOSPC. Writing
 *   into room that a file has never fails for want of it.
 *
 *   The lock file LOCK is there like any other: it is listed, and holds the
 *   made-up number of the process that took the lock.
 *
 * The calls of a struct io may come from any thread, at any time. What looks
 * at or changes files behind its back may not run beside them.
 */
#ifndef RHIZOME_TEST_SUPPORT_SIM_IO_H
#define RHIZOME_TEST_SUPPORT_SIM_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/bytes.h"
#include "log/io.h"

#include "support/random.h"

#define SIM_SECTOR_BYTES 512
#define SIM_NAME_BYTES 96

/* ---- the disk and its processes ---- */

struct sim_io;

/* An empty disk without limits. Never NULL. */
struct sim_io *sim_io_create(void);

/* Also frees the struct ios that are left. NULL is accepted. */
void sim_io_free(struct sim_io *sim);

/* A process opens the directory. The struct io belongs to whoever frees it
 * with io_free(). */
struct io *sim_io_open(struct sim_io *sim);

/*
 * All processes die: their struct ios answer -EIO to everything (and are
 * still to be freed with io_free()), their descriptors are closed and the
 * lock is free. Faults and crash points are cleared. Gives a struct io for
 * the next process.
 */
struct io *sim_io_kill(struct sim_io *sim);

/* The same disk once more: current and durable contents, names, limits. No
 * processes, no faults, no trace. */
struct sim_io *sim_io_clone(struct sim_io *sim);

enum sim_power {
    SIM_POWER_OLD,    /* nothing got to the disk that was not synced */
    SIM_POWER_NEW,    /* everything did, but what a failed sync has dropped */
    SIM_POWER_RANDOM, /* any mixture that is allowed, from `random` */
};

/*
 * One state in which the disk may be found after a power cut now: a new disk
 * on which everything is durable, with the limits of the old one, which stays
 * as it is. `random` may be NULL for OLD and NEW.
 *
 * RANDOM decides for each file, each sector of it that was written since the
 * last sync, its size, and each operation on names since the last sync of
 * their directory. A file's unsynced sectors are one of
 *     - each for itself old, new, zeros, garbage, or a mixture of old and new
 *     - new up to some place and old behind it, or the other way round
 *     - all new, or all old, but for one that is anything
 *     - all new; all old
 * and its size is the new one, the old one, or (when it grew) one between;
 * where it is longer than what was written, there are zeros. Names: each
 * operation for itself, or those up to some point in time.
 */
struct sim_io *sim_io_power_cut(struct sim_io *sim, struct random *random,
                                enum sim_power mode);

/* ---- limits ---- */

/* How many bytes all files may take together; UINT64_MAX: no limit. */
void sim_io_set_capacity(struct sim_io *sim, uint64_t bytes);
uint64_t sim_io_used(struct sim_io *sim);

/* How long a file may be: -EFBIG beyond; UINT64_MAX: no limit. */
void sim_io_set_file_limit(struct sim_io *sim, uint64_t bytes);

/* ---- faults ---- */

enum sim_call {
    SIM_OPEN,
    SIM_CLOSE,
    SIM_SIZE,
    SIM_PREAD,
    SIM_PWRITE,
    SIM_ALLOCATE,
    SIM_TRUNCATE,
    SIM_SYNC,
    SIM_SYNC_DIRECTORY,
    SIM_FORGET,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_MAKE_DIRECTORY,
    SIM_LIST,
    SIM_LOCK,
    SIM_CALL_COUNT,
};

/* Sets of kinds: SIM_KIND(SIM_SYNC) | SIM_KIND(SIM_PWRITE). */
#define SIM_KIND(kind) (1u << (kind))
#define SIM_ALL 0u

/* Everything but reading: what a crash can come between. */
#define SIM_CHANGES                                                            \
    (SIM_KIND(SIM_OPEN) | SIM_KIND(SIM_PWRITE) | SIM_KIND(SIM_ALLOCATE) |      \
     SIM_KIND(SIM_TRUNCATE) | SIM_KIND(SIM_SYNC) |                             \
     SIM_KIND(SIM_SYNC_DIRECTORY) | SIM_KIND(SIM_RENAME) |                     \
     SIM_KIND(SIM_UNLINK) | SIM_KIND(SIM_MAKE_DIRECTORY))

struct sim_fault {
    uint32_t kinds; /* which calls; SIM_ALL */
    uint64_t at;    /* the nth of them from now; 1 is the next */
    bool on;        /* and all later ones */
    int error;      /* a positive errno; 0: the call is short, not failing */
    size_t bytes;   /* reads and writes: so many bytes are transferred
                       (before it fails, if it fails) */
    bool drop;      /* a sync: what it did not write is dropped */
    bool done;      /* it fails, and yet takes effect */
};

/* Adds a fault; up to 16 at a time. The first that matches a call counts.
 * One without an error and without bytes would not be one. */
void sim_io_fail(struct sim_io *sim, struct sim_fault fault);

/* Takes all faults away, and the crash point if it has not been reached. */
void sim_io_heal(struct sim_io *sim);

enum sim_moment {
    SIM_BEFORE, /* the call has no effect */
    SIM_WITHIN, /* a write has written its first half; others as BEFORE */
    SIM_AFTER,  /* the call has its full effect, but nobody hears of it */
};

/* The nth call of `kinds` from now (1 is the next) and every call after it
 * give -EIO: the process is gone. 0: never. */
void sim_io_crash_at(struct sim_io *sim, uint32_t kinds, uint64_t nth,
                     enum sim_moment moment);
bool sim_io_crashed(struct sim_io *sim);

/* How many calls of `kinds` there have been, failed ones too; those after a
 * crash are not counted. */
uint64_t sim_io_calls(struct sim_io *sim, uint32_t kinds);

/* Descriptors that are open now: what is left at the end has leaked. */
unsigned sim_io_descriptors(struct sim_io *sim);

/* ---- looking at the files, and changing them behind everybody's back ---- */

/* Calls `each` with every name there is now, those in directories with their
 * path, and the directories themselves with a slash at the end; oldest
 * first. */
void sim_io_each_name(struct sim_io *sim,
                      void (*each)(void *context, const char *name),
                      void *context);

bool sim_io_exists(struct sim_io *sim, const char *name);

/* The current content. Borrowed until the file is written, changed or gone;
 * `data` is NULL if there is no such file. Zeros at the end count. */
struct bytes sim_io_file(struct sim_io *sim, const char *name);

/* What is durable of the file that has this name now. */
struct bytes sim_io_file_durable(struct sim_io *sim, const char *name);

/* These make the change durable at once, as damage to the disk would be.
 * The file must exist, but for sim_io_put_file(), which creates it. */
void sim_io_put_file(struct sim_io *sim, const char *name,
                     struct bytes content);
void sim_io_cut_file(struct sim_io *sim, const char *name, uint64_t size);
void sim_io_flip(struct sim_io *sim, const char *name, uint64_t offset,
                 uint8_t mask);
void sim_io_overwrite(struct sim_io *sim, const char *name, uint64_t offset,
                      struct bytes content);
void sim_io_remove_file(struct sim_io *sim, const char *name);

/* ---- for messages ---- */

/* The last calls, oldest first, a line each: number, kind, name, offset and
 * size, result. At most 1,024 are kept. */
void sim_io_print_trace(struct sim_io *sim, FILE *out, unsigned count);

const char *sim_call_name(enum sim_call kind);

#endif
