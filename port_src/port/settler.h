/*
 * settler.h -- core/heap.h beside the loop: as the heap of a store grows, a
 * thread puts it into large pages, some at a time.
 */
#ifndef RHIZOME_PORT_SETTLER_H
#define RHIZOME_PORT_SETTLER_H

#include "core/heap.h"
#include "port/job.h"

/* Growth that is worth a job, and what one does. Its thread must not have less
 * weight than the loop: for a moment in each page it keeps the loop from
 * memory that is new. */
#define SETTLER_BYTES_MIN ((size_t)16 << 20)
#define SETTLER_BYTES_MAX ((size_t)64 << 20)

struct settler {
    struct job job;
    struct heap heap; /* the job's while it runs */
    struct job_host host;
    size_t bytes; /* that the job is for */
    bool runs;
};

/* heap_init(). Jobs go to the host, one at a time. */
void settler_init(struct settler *settler, const struct job_host *host);

/* Starts a job if there is enough for one. To be called when requests were
 * carried out, and when a job has ended; cheap. */
void settler_look(struct settler *settler);

#endif
