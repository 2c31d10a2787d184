/*
 * spool.h -- stdin as a file that can be read from any place, as often as
 * recovery has to.
 *
 * A file that was redirected is read where it lies. A pipe is copied to a
 * file without a name in $TMPDIR (or /tmp) first: a log may be larger than
 * the memory, and the store that is made of it needs that.
 */
#ifndef RHIZOME_CLI_SPOOL_H
#define RHIZOME_CLI_SPOOL_H

#include "cli/text.h"
#include "log/io.h"

/* The only name in the directory that spool_directory() makes. */
#define SPOOL_NAME "-"

struct spool {
    int fd;
    uint8_t start[8]; /* the first bytes, which say what it is */
    size_t start_bytes;
    size_t given; /* of these, by spool_read() */
};

/* Reads the first bytes of stdin. 0 or -errno. */
int spool_open(struct spool *spool);

/* The next bytes in order, the first ones included: how many, 0 at the end,
 * or -errno. */
ssize_t spool_read(struct spool *spool, void *data, size_t size);

/*
 * All of it as a directory with one file in it, which only gives out bytes.
 * Nothing may have been read yet. 0 or -errno, and then `*ret_what` says of
 * what.
 */
int spool_directory(struct spool *spool, struct io **ret,
                    const char **ret_what);

#endif
