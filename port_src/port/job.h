/*
 * job.h -- work that a command leaves to another thread, and requests that
 * are answered when it is done.
 *
 *     loop     a handler embeds a struct job in what it needs, starts it with
 *              job_start() and puts its request off with call_later()
 *     worker   job->run(job) works, and touches nothing but its own
 *     loop     job->end(job) takes the outcome, answers the requests with
 *              commands_answer_later(), and frees what there is to free
 *
 * Where threads come from is the host's affair: the session has those of
 * libuv (worker.h), a test runs a job when it likes.
 */
#ifndef RHIZOME_PORT_JOB_H
#define RHIZOME_PORT_JOB_H

#include "core/status.h"

struct job {
    void (*run)(struct job *job);
    void (*end)(struct job *job);
};

struct job_host {
    enum status (*start)(void *context, struct job *job);
    void *context;
};

/* Starts a job, which must stay where it is until its end. ST_NO_MEMORY. */
static inline enum status job_start(const struct job_host *host,
                                    struct job *job)
{
    return host->start(host->context, job);
}

#endif
