/*
 * rebuild.h -- a source through recovery, into a store or only past the eye,
 * although a daemon may be writing the very files.
 *
 * Reading takes no lock. What a daemon appends meanwhile is or is not seen,
 * and that is all; but it may also remove files that a new checkpoint covers,
 * and a record that is being written can look like damage. So a verdict that
 * is anything but good counts only if nothing has moved in the directory
 * while it was reached. Otherwise everything is read again, a few times.
 */
#ifndef RHIZOME_CLI_REBUILD_H
#define RHIZOME_CLI_REBUILD_H

#include "cli/progress.h"
#include "cli/source.h"

struct rebuild {
    struct store *store;      /* NULL: only read */
    struct recovery recovery; /* its verdict may be any */
    bool live;                /* somebody wrote while we read */
    double seconds;           /* of the last attempt */
};

/* How often it is tried before a moving directory is given up. */
#define REBUILD_TRIES 10

/*
 * Recovers `source`, a directory or files, up to the mutation `until`: with
 * `apply` into a new store, otherwise every byte is checked and nothing done.
 * `meter` has been started. Gives -1, and the verdict is that of
 * ret->recovery, or an exit status after a complaint. Free it in either case.
 */
int rebuild_run(const struct source *source, bool apply, uint64_t until,
                struct meter *meter, struct rebuild *ret);
void rebuild_free(struct rebuild *rebuild);

/*
 * A number that changes when a file of the log comes, goes, grows or is
 * written to. Two equal ones say that nothing has moved in between.
 */
uint64_t rebuild_moment(const struct source *source);

/* Seconds of a clock that nobody sets. */
double rebuild_clock(void);

#endif
