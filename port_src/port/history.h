/*
 * history.h -- changes of the past, told again from the files of a log.
 *
 * A log has commands, and what a command evicted depends on what was there. So
 * a store of its own is built as it was just before the first seq that is
 * wanted, from the checkpoint and the log, and then the mutations after it are
 * carried out one by one, with a look at what each of them changes.
 *
 *     loop     feed_history_create()    nothing is read yet
 *     worker   feed_history_run()       the first time builds the store; then
 * one slice of entries (changes.h) loop     feed_history_entries()
 * feed_history_take() ... worker   feed_history_run() ... worker
 * feed_history_dismantle() gives back the store, which takes a while loop
 * feed_history_free()
 *
 * The directory is one in which a daemon is at work, usually this very
 * process: only what is known to be written is read, and the segments that
 * come next are held open, so that a checkpoint that removes them does not end
 * a history that has begun.
 */
#ifndef RHIZOME_PORT_HISTORY_H
#define RHIZOME_PORT_HISTORY_H

#include "core/mem.h"
#include "log/io.h"
#include "port/changes.h"

/* A slice ends with the entry that passes this. */
#define HISTORY_SLICE_BYTES (1u << 20)

/* An entry that is larger ends a history: no client takes such a frame. */
#define HISTORY_ENTRY_BYTES_MAX (256u << 20)

struct feed_history;

struct feed_history_options {
    struct io *io;
    const uint8_t *store_id; /* whose log it must be; copied */
    uint64_t from;           /* the first seq that is wanted, from 1 */
    size_t memory_limit;     /* of the store that is built; SIZE_MAX: none */
};

/* `mem` is the loop's account. ST_NO_MEMORY. */
enum status feed_history_create(struct mem *mem,
                                const struct feed_history_options *options,
                                struct feed_history **ret);

/* Not while it runs. Dismantles it first. NULL is accepted. */
void feed_history_free(struct feed_history *history);

/*
 * Reads on, up to the seq `until`, all of which must have been written. What
 * was there before must have been taken. Errors, after which there is nothing
 * more to be had: ST_NOT_FOUND if the log begins later, ST_LOG_REFUSED for
 * what is damaged, ST_IO, ST_TOO_BIG, ST_CANCELLED, ST_NO_MEMORY,
 * ST_MEMORY_LIMIT. The entries before are there all the same.
 */
enum status feed_history_run(struct feed_history *history, uint64_t until);

/* Lets feed_history_run() end soon. Any thread. */
void feed_history_cancel(struct feed_history *history);
bool feed_history_cancelled(const struct feed_history *history);

/* Frees what is large; nothing but feed_history_free() may follow. */
void feed_history_dismantle(struct feed_history *history);

/* The entries that were read and not taken, one behind another; and takes
 * entries of so many bytes. */
struct bytes feed_history_entries(const struct feed_history *history);
void feed_history_take(struct feed_history *history, size_t bytes);

#endif
