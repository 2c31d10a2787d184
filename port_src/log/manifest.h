/*
 * manifest.h -- the file MANIFEST: what a store's directory must hold.
 *
 * One record in a file of the log's own form, replaced as a whole:
 *
 *     {manifest, #{epoch => E, checkpoint => Seq | none, digest => Digest,
 *                  durable => Seq, segments => [FirstSeq]}}
 *
 * It names the checkpoint to start from and the segments that follow it, so
 * that a missing file is an error and not a shorter log, and it knows the
 * store's id when the header of a segment is damaged. A segment that is newer
 * than the last one listed may exist: a crash came between the two.
 */
#ifndef RHIZOME_LOG_MANIFEST_H
#define RHIZOME_LOG_MANIFEST_H

#include "core/digest.h"
#include "core/mem.h"
#include "core/status.h"
#include "log/io.h"
#include "log/record.h"

#define MANIFEST_NAME "MANIFEST"
#define MANIFEST_TEMPORARY "MANIFEST.tmp"
#define CHECKPOINT_TEMPORARY "ckpt.tmp"

/* Room for the name of a segment, a checkpoint or a file in torn/. */
#define FILE_NAME_BYTES 96

/* "log-<first seq in 16 hexadecimal digits>.tlg", "ckpt-<seq>.tlg". */
void segment_name(char name[FILE_NAME_BYTES], uint64_t first_seq);
void checkpoint_name(char name[FILE_NAME_BYTES], uint64_t seq);
bool segment_name_parse(const char *name, uint64_t *ret_first_seq);
bool checkpoint_name_parse(const char *name, uint64_t *ret_seq);

struct manifest {
    uint8_t store_id[STORE_ID_BYTES];
    uint64_t epoch;
    bool has_checkpoint;
    uint64_t checkpoint;  /* its seq; 0 without one */
    struct digest digest; /* of the store at the checkpoint */
    uint64_t durable;     /* on the disk when this was written */
    uint32_t segment_count;
    uint64_t *segments; /* first seqs, ascending; owned, from mem */
};

void manifest_free(struct manifest *manifest, struct mem *mem);

/* Appends a segment that is newer than the last one. Errors: ST_NO_MEMORY,
 * ST_MEMORY_LIMIT. */
enum status manifest_add_segment(struct manifest *manifest, struct mem *mem,
                                 uint64_t first_seq);

/*
 * Reads and checks it. Errors: ST_NOT_FOUND if there is none; ST_LOG_REFUSED
 * if it is damaged, with a sentence in `*ret_why` and the offset of the fault
 * in `*ret_offset`; ST_IO with the errno in `*ret_errno`; ST_NO_MEMORY,
 * ST_MEMORY_LIMIT.
 */
enum status manifest_read(struct io *io, struct mem *mem, struct manifest *ret,
                          const char **ret_why, uint64_t *ret_offset,
                          int *ret_errno);

/*
 * Replaces it: writes MANIFEST.tmp, syncs it, renames it and syncs the
 * directory. After 0 it is on the disk; after -ENOSPC and the like the old one
 * stands; after another -errno one of the two does. Allocates from the system,
 * not from an account, and may run on any thread.
 */
int manifest_write(struct io *io, const struct manifest *manifest);

#endif
