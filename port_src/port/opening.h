/*
 * opening.h -- from the path of a directory to a store at work: its lock, its
 * recovery, its log.
 *
 * Runs before the loop does, however long it takes; it tells how far it is
 * and asks whether to go on.
 */
#ifndef RHIZOME_PORT_OPENING_H
#define RHIZOME_PORT_OPENING_H

#include "core/store.h"
#include "log/recover.h"
#include "log/termlog.h"

struct opening_options {
    const char *path;
    unsigned lock_wait_ms;
    uint64_t segment_bytes;

    /* What the client remembers: it was told that `expect_seq` is durable or
     * acknowledged in the store of this id. NULL and 0: nothing. */
    const uint8_t *expect_store;
    uint64_t expect_seq;

    /* Called every now and then, with 0 of 0 bytes while the lock is waited
     * for. False: give up. */
    bool (*tick)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* What came of it. */
struct opening {
    struct io *io;
    struct termlog *log;
    struct recovery recovery;
    uint64_t ms; /* that the recovery took */

    bool given_up; /* at the wish of tick() */

    /* Or why not: ST_LOCKED, ST_LOG_REFUSED, ST_IO, ST_LOG_FULL, or
     * ST_NO_MEMORY. The details that go with it are set. */
    enum status failed;
    char message[512];
    char file[FILE_NAME_BYTES]; /* ST_IO, ST_LOG_FULL; "" is the directory */
    int error;                  /* an errno */
    int64_t holder;             /* ST_LOCKED: a process, or 0 */
};

/*
 * Opens the directory, making it if need be, and recovers it into the empty
 * `store`. Errors: ret->failed. Free it with opening_close() in any case, but
 * for the strings of `ret`, which stay.
 */
enum status opening_run(const struct opening_options *options,
                        struct store *store, struct mem *mem,
                        struct opening *ret);

/* Frees the log and the directory, and lets go of the lock. */
void opening_close(struct opening *opening);

#endif
