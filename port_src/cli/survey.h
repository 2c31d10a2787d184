/*
 * survey.h -- one file of a log from its first byte to its last, whatever is
 * wrong with it.
 *
 * Recovery stops at the first fault, for nothing behind it may be used. A
 * survey goes on: it looks for the next record that is whole, tells what it
 * had to skip, and judges each record by itself and by the one before it. It
 * knows nothing of the store and applies nothing.
 */
#ifndef RHIZOME_CLI_SURVEY_H
#define RHIZOME_CLI_SURVEY_H

#include "cli/progress.h"
#include "cli/source.h"
#include "log/reader.h"

struct survey_fault {
    char file[FILE_NAME_BYTES];
    uint64_t offset;
    uint64_t seq; /* of the last mutation before it */
    char why[160];
    uint64_t skipped;    /* bytes to the next whole record, or to the end */
    bool gap;            /* a segment begins too late: files are missing */
    bool at_end;         /* there is no whole record behind it in the file */
    uint64_t next_seq;   /* unless at_end: the seq of that record */
    uint64_t missing_to; /* mutations seq + 1 to this are not to be read; 0:
                            none is known to be */
};

/* What to do with what is found. Any of the two may be NULL; what they are
 * given is borrowed. */
struct survey_watch {
    void (*fault)(void *context, const struct survey_fault *fault);
    void (*record)(void *context, const struct record *record);
    void *context;
};

/* What goes on from file to file. Begin with zeros. */
struct survey {
    struct survey_watch watch;
    bool has_store; /* all files must be of this store */
    uint8_t store_id[STORE_ID_BYTES];
    bool overlap; /* files that were named may repeat mutations */
    bool has_seq; /* `seq` is known: the next mutation is one more */
    uint64_t seq;
    uint64_t reached; /* overlap: the highest `seq` of the files before */
    uint64_t total;   /* bytes of all files that will come, for progress */

    uint64_t files;
    uint64_t bytes;
    uint64_t records; /* whole ones of all types */
    uint64_t mutations;
    uint64_t first_seq; /* the first mutation that was seen; 0: none */
    uint64_t last_seq;  /* the highest one */
    uint64_t faults;

    /* Of the last file: where its first whole records end, and the mutation
     * before that; 0 if not even its header is one. */
    uint64_t end;
    uint64_t end_seq;
};

/*
 * Surveys `name`, a segment or a checkpoint, as what comes behind the files
 * surveyed so far. Errors: ST_IO (with the errno), ST_NO_MEMORY.
 */
enum status survey_file(struct survey *survey, struct io *io, const char *name,
                        struct meter *meter, int *ret_errno);

/* Adds a fault that somebody else has found. */
void survey_add(struct survey *survey, const char *file, uint64_t offset,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
