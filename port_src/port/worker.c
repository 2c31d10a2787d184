/*
 * worker.c -- threads that the loop hands jobs to, one at a time.
 *
 *     loop     worker_start --> thread->job, wake         an idle thread, or
 *                           \-> queue                     when one is done
 *     thread   job->run, then onto the stack `done`, event
 *     loop     on_event: job->end; the next job of the queue, or idle
 *
 * The loop never waits for a thread. It alone touches the queue and knows who
 * is idle; threads push themselves onto a stack that the loop takes as a
 * whole, with one exchange. So a thread may be interrupted anywhere for as
 * long as the system likes, which happens a lot when it has less weight than
 * others. A mutex would make the loop wait for it then, and so would an
 * uv_async_t, at which libuv (1.44) spins until the sender goes on.
 *
 * libuv's own pool is one for all, so that long reads would keep a sync
 * waiting; it starts all its threads at once, and aborts where the system has
 * none to give.
 */
#include "port/worker.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

struct task {
    struct task *next;
    struct job *job;
};

/* --- a thread ----------------------------------------------------------- */

static void thread_done(struct worker_thread *thread)
{
    struct worker *worker = thread->worker;
    const uint64_t one = 1;

    thread->next = atomic_load_explicit(&worker->done, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&worker->done, &thread->next,
                                                  thread, memory_order_release,
                                                  memory_order_relaxed))
        ;
    /* It counts up, and cannot come to where it would block. */
    REQUIRE(write(worker->event_fd, &one, sizeof(one)) == sizeof(one));
}

static void thread_main(void *context)
{
    struct worker_thread *thread = context;

    /* Of this thread alone, on Linux; it does without if it must. */
    if (thread->worker->nice)
        setpriority(PRIO_PROCESS, 0, thread->worker->nice);
    for (;;) {
        uv_sem_wait(&thread->wake);
        if (!thread->job)
            return;
        thread->job->run(thread->job);
        thread_done(thread);
    }
}

static void thread_give(struct worker_thread *thread, struct job *job)
{
    thread->job = job;
    uv_sem_post(&thread->wake);
}

/* --- the loop ----------------------------------------------------------- */

/* A thread has done its job: the next one, or none. */
static void worker_go_on(struct worker *worker, struct worker_thread *thread)
{
    struct task *task = worker->first;

    if (!task) {
        thread->next = worker->idle;
        worker->idle = thread;
        return;
    }
    worker->first = task->next;
    if (!worker->first)
        worker->end = &worker->first;
    thread_give(thread, task->job);
    mem_free(worker->mem, task, sizeof(*task));
}

static void on_event(uv_poll_t *event, int status, int events)
{
    struct worker *worker = event->data;
    struct worker_thread *thread, *done = NULL;
    uint64_t count;

    (void)status;
    (void)events;
    (void)!read(worker->event_fd, &count, sizeof(count));
    thread =
        atomic_exchange_explicit(&worker->done, NULL, memory_order_acquire);
    while (thread) { /* the first one first */
        struct worker_thread *next = thread->next;

        thread->next = done;
        done = thread;
        thread = next;
    }
    while (done) {
        struct job *job = done->job;

        thread = done;
        done = thread->next;
        worker_go_on(worker, thread);
        worker->running--;
        job->end(job);
        worker->ended(worker->context);
    }
}

enum status worker_init(struct worker *worker, uv_loop_t *loop,
                        unsigned threads_max, int nice, struct mem *mem,
                        void (*ended)(void *context), void *context)
{
    REQUIRE(threads_max > 0 && threads_max <= WORKER_THREADS_MAX);
    *worker = (struct worker){
        .mem = mem,
        .ended = ended,
        .context = context,
        .nice = nice,
        .threads_max = threads_max,
        .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
    };
    worker->end = &worker->first;
    worker->event.data = worker;
    if (worker->event_fd < 0 ||
        uv_poll_init(loop, &worker->event, worker->event_fd) < 0 ||
        uv_poll_start(&worker->event, UV_READABLE, on_event) < 0)
        return ST_NO_MEMORY;
    return ST_OK;
}

enum status worker_warm(struct worker *worker, unsigned threads)
{
    REQUIRE(threads <= worker->threads_max);
    while (worker->thread_count < threads) {
        struct worker_thread *thread = &worker->threads[worker->thread_count];

        thread->worker = worker;
        if (uv_sem_init(&thread->wake, 0) < 0)
            return ST_NO_MEMORY;
        if (uv_thread_create(&thread->id, thread_main, thread) < 0) {
            uv_sem_destroy(&thread->wake);
            return ST_NO_MEMORY;
        }
        worker->thread_count++;
        thread->next = worker->idle;
        worker->idle = thread;
    }
    return ST_OK;
}

/* Lets a job wait for a thread. */
static enum status worker_queue(struct worker *worker, struct job *job)
{
    struct task *task = mem_alloc(worker->mem, sizeof(*task));

    if (!task)
        return ST_NO_MEMORY;
    *task = (struct task){.job = job};
    *worker->end = task;
    worker->end = &task->next;
    return ST_OK;
}

enum status worker_start(void *context, struct job *job)
{
    struct worker *worker = context;
    struct worker_thread *thread;
    enum status st = ST_OK;

    if (!worker->idle && worker->thread_count < worker->threads_max)
        st = worker_warm(worker, worker->thread_count + 1);
    thread = worker->idle;
    if (thread) {
        worker->idle = thread->next;
        thread_give(thread, job);
        st = ST_OK;
    } else if (worker->thread_count) {
        st = worker_queue(worker, job);
    }
    if (st == ST_OK)
        worker->running++;
    return st;
}

void worker_stop(struct worker *worker)
{
    REQUIRE(!worker->running);
    while (worker->thread_count > 0) {
        struct worker_thread *thread = &worker->threads[--worker->thread_count];

        thread_give(thread, NULL);
        uv_thread_join(&thread->id);
        uv_sem_destroy(&thread->wake);
    }
}
