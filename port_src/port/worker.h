/*
 * worker.h -- jobs (job.h) on the threads of libuv.
 *
 * Starting the first job starts the threads, which needs system calls that a
 * sealed process has given up: worker_warm() does it before.
 */
#ifndef RHIZOME_PORT_WORKER_H
#define RHIZOME_PORT_WORKER_H

#include <uv.h>

#include "core/mem.h"
#include "port/job.h"

/* A sync must find a thread free while a checkpoint is being written. */
#define WORKER_THREADS "2"

struct worker {
    uv_loop_t *loop;
    struct mem *mem;
    unsigned running;             /* jobs whose end has not come */
    void (*ended)(void *context); /* after the end of each job */
    void *context;
};

void worker_init(struct worker *worker, uv_loop_t *loop, struct mem *mem,
                 void (*ended)(void *context), void *context);

/* The `start` of a job_host whose context is the worker. ST_NO_MEMORY. */
enum status worker_start(void *worker, struct job *job);

/* Starts the threads, as many as UV_THREADPOOL_SIZE or WORKER_THREADS says,
 * and returns when a job has run. Runs the loop meanwhile. ST_NO_MEMORY. */
enum status worker_warm(struct worker *worker);

#endif
