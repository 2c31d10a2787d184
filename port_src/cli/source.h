/*
 * source.h -- the PATH arguments of a subcommand, opened and told apart.
 *
 * PATH is a store's directory, or files of a term log (segments, checkpoints,
 * a MANIFEST), or `-` for stdin where a subcommand allows it. What cannot be
 * one of these is complained about here, in one line, and has its exit status:
 *
 *     there is none, no permission, cannot be read        EXIT_IO
 *     a directory with a log and no MANIFEST              EXIT_DAMAGED
 *     a directory with neither, an empty file, a file
 *     that is no term log                                 EXIT_NOT_A_LOG
 *     too many or mixed PATHs                             EXIT_USAGE
 *
 * Links are followed here, once; the io under it follows none.
 */
#ifndef RHIZOME_CLI_SOURCE_H
#define RHIZOME_CLI_SOURCE_H

#include "cli/options.h"
#include "log/recover.h"

enum source_kind { SOURCE_DIRECTORY, SOURCE_FILES, SOURCE_STDIN };

enum source_flags {
    SOURCE_MANY = 1 << 0,    /* several files are allowed */
    SOURCE_DASH = 1 << 1,    /* `-` is allowed */
    SOURCE_ANY = 1 << 2,     /* do not look at the first bytes of files */
    SOURCE_NO_FILE = 1 << 3, /* a directory is needed */
};

struct source {
    enum source_kind kind;
    const char *path;         /* the first PATH, as it was given */
    char *const *paths;       /* all of them; files[i] is paths[i] */
    struct io *io;            /* of a DIRECTORY; not locked */
    struct log_source *files; /* of FILES, in the order of PATHs */
    size_t count;
    char **names; /* what files[i].name points into */
};

/*
 * Opens the operands of `subcommand`. -1 to go on, or an exit status after a
 * complaint; `ret` is to be closed in either case.
 */
int source_open(const struct subcommand *subcommand,
                const struct operands *operands, unsigned flags,
                struct source *ret);
void source_close(struct source *source);

/* How a file of the source is called in messages: "data/log-....tlg". Kept
 * until the next call. `file` is a name in the directory, or of one of the
 * files; "" gives the path itself. */
const char *source_name(const struct source *source, const char *file);

/* Where to read more: "see `rhizome check data`", with all PATHs as a shell
 * takes them. Kept until the next call. */
const char *source_advice(const struct source *source);

/*
 * Bytes of a file from `offset` to its last one that is not zero, for a log
 * allocates room ahead; what recovery counts as torn. To the end of the file,
 * `size`, if it cannot be read.
 */
uint64_t source_torn_bytes(struct io *io, const char *name, uint64_t offset,
                           uint64_t size);

/*
 * Complains about what a function of the log layer answered (ST_IO with its
 * errno, ST_NO_MEMORY, ST_NOT_FOUND ...) and gives the exit status. `file` as
 * in source_name().
 */
int source_complain(const struct source *source, const char *file,
                    enum status st, int error);

/*
 * Complains about a verdict that is RECOVERY_REFUSED, in one line with file,
 * offset and what is missing, and gives EXIT_DAMAGED; notes a torn tail and
 * gives -1; -1 for RECOVERY_OK.
 */
int source_verdict(const struct source *source,
                   const struct recovery *recovery);

#endif
