/*
 * syncer.c -- the three parts of a sync, and two clocks.
 */
#include "port/syncer.h"

#define IDLE_MS 1000

static void on_run(struct job *job)
{
    struct syncer *syncer = (struct syncer *)(void *)job;

    termlog_sync_run(syncer->work);
}

static void on_end(struct job *job)
{
    struct syncer *syncer = (struct syncer *)(void *)job;
    enum status st = termlog_sync_end(syncer->log, syncer->work);

    syncer->work = NULL;
    if (st < 0) {
        syncer->failed(syncer->context, st);
        return;
    }
    syncer->waits = termlog_put_off(syncer->log);
    commands_sync_ended(syncer->commands);
}

static void syncer_begin(struct syncer *syncer)
{
    enum status st = termlog_sync_begin(syncer->log, &syncer->work);

    syncer->due = false;
    if (st == ST_OK && !syncer->work)
        return;
    if (st == ST_OK) {
        uv_timer_stop(&syncer->interval);
        commands_sync_begun(syncer->commands);
        st = worker_start(syncer->worker, &syncer->job);
    }
    if (st < 0)
        syncer->failed(syncer->context, st);
}

static void on_interval(uv_timer_t *timer)
{
    struct syncer *syncer = timer->data;

    syncer->due = true;
    syncer_look(syncer, false);
}

/* Nothing has been synced for a while: is there something to prove, or
 * something that was put off? */
static void on_idle(uv_timer_t *timer)
{
    struct syncer *syncer = timer->data;

    syncer->waits = false;
    if (!syncer->work && termlog_append_mark(syncer->log))
        syncer->due = true;
    syncer_look(syncer, false);
}

void syncer_init(struct syncer *syncer, uv_loop_t *loop,
                 struct commands *commands, struct worker *worker,
                 void (*failed)(void *context, enum status st), void *context)
{
    const struct commands_log *log = commands_log(commands);

    *syncer = (struct syncer){
        .job = {on_run, on_end},
        .commands = commands,
        .worker = worker,
        .log = log->log,
        .policy = log->policy,
        .interval_ms = log->interval_ms,
        .failed = failed,
        .context = context,
    };
    uv_timer_init(loop, &syncer->interval);
    uv_timer_init(loop, &syncer->idle);
    syncer->interval.data = syncer;
    syncer->idle.data = syncer;
}

void syncer_look(struct syncer *syncer, bool at_once)
{
    struct termlog *log = syncer->log;

    if (syncer->work || syncer->over)
        return;
    if (termlog_broken(log)) {
        syncer->over = true;
        syncer->failed(syncer->context, ST_IO);
        return;
    }
    if (syncer->due || commands_want_sync(syncer->commands) ||
        ((!syncer->waits || at_once) && termlog_sync_due(log))) {
        syncer_begin(syncer);
        uv_timer_start(&syncer->idle, on_idle, IDLE_MS, 0);
        return;
    }
    if (syncer->policy == SYNC_INTERVAL && termlog_sync_needed(log) &&
        !uv_is_active((uv_handle_t *)&syncer->interval))
        uv_timer_start(&syncer->interval, on_interval, syncer->interval_ms, 0);
}
