/*
 * commit.h -- what was done at a fork is done to the head.
 */
#ifndef RHIZOME_PORT_COMMIT_H
#define RHIZOME_PORT_COMMIT_H

#include "port/call.h"

/*
 * Commits `fork` and puts Seq and Answers: `call` stands before a list of Ops,
 * which are carried out behind all that was done at the fork. If anything is
 * changed this is one mutation of the head, or none. Sets call->shows.
 *
 * Errors: ST_CONFLICT, with table and key in the complaint; ST_TOO_BIG,
 * ST_LOG_FULL, ST_IO, ST_NO_MEMORY, ST_MEMORY_LIMIT; those of an Op in the
 * list. Nothing has changed then, in the fork neither, which is the caller's
 * to release.
 */
enum status commit_fork(struct call *call, struct version *fork);

/*
 * Takes a list of Ops, carries them out and puts their answers: at a fork, or
 * (NULL) at the head, within a mutation of it; then those that change it are
 * appended to `log` and counted. cmd_version.c has it.
 */
enum status run_ops(struct call *call, struct version *fork, struct buffer *log,
                    uint32_t *ret_logged, uint64_t *shows);

/* Appends a mutation to the Ops of a {batch, [Op]}, and counts: those of a
 * batch stand for it. */
enum status ops_append(struct buffer *ops, struct bytes op, uint32_t *count);

#endif
