/*
 * recover.h -- from the files of a store to the store, or to a reason why not.
 *
 * Recovery reads the newest checkpoint, then the segments after it in order.
 * S is the last seq that was read, X the place behind it, and D the highest
 * seq that anything claims to have been durable: records, the manifest, or
 * the client that remembers what it was told (expect_seq). What is found at X
 * decides:
 *
 *     the end, or zeros to the end         D <= S  as it should be
 *     bytes that are no record, or a gap   D <= S  a torn tail: what a crash
 *                                                  leaves; it is cut
 *     either of them                       D >  S  refused: S+1..D were
 *                                                  durable and are damaged
 *
 * D looks ahead: behind a fault the rest of the files is searched for valid
 * records, and what they claim counts. A segment of another store, a record
 * that the store rejects, a digest that differs, a file that the manifest
 * lists and that is missing, and anything behind an orderly close are refused
 * whatever D says.
 *
 * Nothing on the disk is changed here but by recovery_mend(), which sets a
 * torn tail aside in torn/, cuts it, and syncs what has no proof of its own.
 */
#ifndef RHIZOME_LOG_RECOVER_H
#define RHIZOME_LOG_RECOVER_H

#include "core/store.h"
#include "log/checkpoint.h"
#include "log/manifest.h"

enum recovery_verdict {
    RECOVERY_OK,
    RECOVERY_TORN,    /* a torn tail; the state is that before it */
    RECOVERY_REFUSED, /* damage: do not use the state */
};

struct recovery_options {
    /* Carries out the Op `term` on the store as the mutation `seq`. An error
     * refuses the log; `*ret_why` may then say more. NULL with a NULL store. */
    enum status (*apply)(void *context, uint64_t seq, struct bytes term,
                         const char **ret_why);
    void *context;
    struct progress progress;    /* in bytes of files; report may be NULL */
    uint64_t expect_seq;         /* known to be acknowledged; 0: nothing */
    const uint8_t *expect_store; /* by which store: another one is refused;
                                    NULL: whichever it is */
    bool settle;    /* sync and forget what may not be on the disk before it is
                       read: for whoever is going to write. Not for files. */
    uint64_t until; /* stop behind this seq; UINT64_MAX: never */
    const atomic_bool *cancel; /* may be NULL; ST_IO with ECANCELED */
};

struct recovery {
    enum recovery_verdict verdict;
    bool fresh;          /* there is no store yet */
    bool clean;          /* it was closed in order */
    uint64_t seq;        /* S */
    uint64_t durable;    /* D */
    uint64_t checkpoint; /* the seq of the checkpoint; 0 without one */
    uint64_t records;    /* mutations that were read after it */
    uint64_t bytes;      /* of all files that were read */
    uint64_t digests;    /* recorded digests that were compared and agreed */
    bool stopped;        /* at `until`, before the end */

    /* Unless RECOVERY_OK: where, and what. */
    char file[FILE_NAME_BYTES];
    uint64_t offset;     /* X in `file` */
    uint64_t torn_bytes; /* from X on, in all files, without trailing zeros */
    uint64_t missing_from, missing_to; /* REFUSED: seqs, or 0 and 0 */
    char proof_file[FILE_NAME_BYTES];  /* where D > S was found; "" if it was
                                          the manifest's or the client's */
    uint64_t proof_offset;
    char why[160]; /* a sentence without a full stop */

    /* Set by recovery_mend(): the file below torn/ that the torn bytes are in;
     * "" if there were none to save. */
    char saved[FILE_NAME_BYTES];

    /* The last segment that is kept, and where its records end. */
    char tail_file[FILE_NAME_BYTES]; /* "": there is none */
    uint64_t tail_offset;
    uint64_t tail_seq; /* its first seq; those that begin later are not kept */

    struct manifest manifest; /* segments: those that are kept */
    struct mem *mem;
};

/*
 * Recovers the directory `io` into the empty `store`; with a NULL `store` it
 * only reads. Errors: ST_IO (`*ret_errno`, and the file in ret->file),
 * ST_NO_MEMORY, ST_MEMORY_LIMIT; ST_NOT_FOUND if `until` lies before the
 * checkpoint. Otherwise ST_OK, and the verdict tells. The store's memory
 * limit does not count. Free it with recovery_free() whatever happened.
 */
enum status recover_directory(struct io *io, struct store *store,
                              const struct recovery_options *options,
                              struct mem *mem, struct recovery *ret,
                              int *ret_errno);

/* One file that was named by somebody, in its directory. */
struct log_source {
    struct io *io;
    const char *name;
};

/*
 * The same from single files, in any order: at most one checkpoint, and
 * segments that follow one another or overlap (a mutation is applied once).
 * There is no manifest, and a copy need not have the end, so a torn tail is
 * all that a fault without proof can be.
 */
enum status recover_files(const struct log_source *sources, size_t count,
                          struct store *store,
                          const struct recovery_options *options,
                          struct mem *mem, struct recovery *ret,
                          int *ret_errno);

/*
 * Makes the directory what the verdict says, OK or TORN, in an order that may
 * be interrupted anywhere: saves the torn tail to torn/, cuts it, and sets
 * later segments aside. The recovery must have been one that settles; then
 * everything up to its seq is on the disk, and termlog_open(io, mem,
 * &recovery->manifest, recovery->seq, ...) may follow. Errors: ST_IO,
 * ST_LOG_FULL.
 */
enum status recovery_mend(struct io *io, struct recovery *recovery,
                          int *ret_errno);

void recovery_free(struct recovery *recovery);

#endif
