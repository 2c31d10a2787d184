/*
 * worker.h -- jobs (job.h) on threads of their own.
 *
 * A worker is a queue of jobs and up to so many threads that take from it. A
 * thread is started when a job finds none idle, so a worker that is never used
 * costs nothing. Two workers do not wait for each other: what must never wait
 * for long, such as a sync, has one of its own.
 *
 * Threads that are started late need system calls for it, which seal.c lets
 * through, and may be refused: worker_warm() starts some while nothing depends
 * on it yet.
 */
#ifndef RHIZOME_PORT_WORKER_H
#define RHIZOME_PORT_WORKER_H

#include <stdatomic.h>
#include <uv.h>

#include "core/mem.h"
#include "port/job.h"

#define WORKER_THREADS_MAX 4

struct task;
struct worker;

/* One thread, which has a job or is idle. */
struct worker_thread {
    struct worker *worker;
    uv_thread_t id;
    uv_sem_t wake;              /* `job` is there, or NULL for the end */
    struct job *job;            /* the loop's, but while it runs */
    struct worker_thread *next; /* among those that are idle, or done */
};

struct worker {
    struct mem *mem;
    unsigned running;             /* jobs whose end has not come */
    void (*ended)(void *context); /* after the end of each job */
    void *context;
    int nice; /* of its threads, as setpriority() has it */

    unsigned threads_max;
    unsigned thread_count;
    struct worker_thread threads[WORKER_THREADS_MAX];
    struct worker_thread *idle;
    struct task *first; /* jobs for which there is no thread */
    struct task **end;

    /* The threads': who has done a job, and how the loop is told. */
    _Atomic(struct worker_thread *) done;
    int event_fd;
    uv_poll_t event;
};

/*
 * The worker must stay where it is. `nice` is how much less its threads are to
 * get than this one, from 0 to 19. Errors: ST_NO_MEMORY, also for want of a
 * descriptor.
 */
enum status worker_init(struct worker *worker, uv_loop_t *loop,
                        unsigned threads_max, int nice, struct mem *mem,
                        void (*ended)(void *context), void *context);

/*
 * The `start` of a job_host whose context is the worker. ST_NO_MEMORY, also
 * if the system refuses the first thread; with one there is no hurry for more.
 */
enum status worker_start(void *worker, struct job *job);

/* Starts `threads` of its threads. ST_NO_MEMORY. */
enum status worker_warm(struct worker *worker, unsigned threads);

/* Ends its threads. No job may run. */
void worker_stop(struct worker *worker);

#endif
