/*
 * worker.c -- struct job in the clothes of uv_queue_work().
 */
#include "port/worker.h"

#include <stdlib.h>

struct task {
    uv_work_t request;
    struct worker *worker;
    struct job *job;
};

void worker_init(struct worker *worker, uv_loop_t *loop, struct mem *mem,
                 void (*ended)(void *context), void *context)
{
    *worker = (struct worker){
        .loop = loop, .mem = mem, .ended = ended, .context = context};
}

static void on_run(uv_work_t *request)
{
    struct task *task = request->data;

    task->job->run(task->job);
}

static void on_end(uv_work_t *request, int status)
{
    struct task *task = request->data;
    struct worker *worker = task->worker;
    struct job *job = task->job;

    REQUIRE(status == 0); /* none is ever cancelled */
    mem_free(worker->mem, task, sizeof(*task));
    worker->running--;
    job->end(job);
    worker->ended(worker->context);
}

enum status worker_start(void *context, struct job *job)
{
    struct worker *worker = context;
    struct task *task = mem_alloc(worker->mem, sizeof(*task));

    if (!task)
        return ST_NO_MEMORY;
    task->request.data = task;
    task->worker = worker;
    task->job = job;
    if (uv_queue_work(worker->loop, &task->request, on_run, on_end) < 0) {
        mem_free(worker->mem, task, sizeof(*task));
        return ST_NO_MEMORY;
    }
    worker->running++;
    return ST_OK;
}

static void nothing(struct job *job)
{
    (void)job;
}

enum status worker_warm(struct worker *worker)
{
    struct job job = {nothing, nothing};
    enum status st;

    setenv("UV_THREADPOOL_SIZE", WORKER_THREADS, 0);
    st = worker_start(worker, &job);
    while (st == ST_OK && worker->running)
        uv_run(worker->loop, UV_RUN_ONCE);
    return st;
}
