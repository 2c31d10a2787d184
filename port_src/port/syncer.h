/*
 * syncer.h -- when the log goes to the disk: group commit on the loop.
 *
 * One sync runs at a time, on a worker; what is appended meanwhile makes the
 * next group. A sync begins when
 *
 *     replies wait for one            commands_want_sync(): always, {sync}
 *     the interval has passed         --sync interval:MS
 *     a segment or the manifest       termlog_sync_due()
 *     is to be finished
 *     nothing happened for a second   a mark proves that the last group was
 *     after the last sync             durable
 *
 * An idle store wakes nobody up: the clock of the interval is started by the
 * first mutation that it is for.
 */
#ifndef RHIZOME_PORT_SYNCER_H
#define RHIZOME_PORT_SYNCER_H

#include <uv.h>

#include "port/commands.h"
#include "port/worker.h"

struct syncer {
    struct job job;
    struct commands *commands;
    struct worker *worker;
    struct termlog *log;
    struct sync_job *work; /* of the running sync */
    enum sync_policy policy;
    unsigned interval_ms;
    uv_timer_t interval;
    uv_timer_t idle;
    bool over;  /* `failed` was told of the log */
    bool due;   /* a clock says so */
    bool waits; /* for the disk to have room for the manifest */

    /* Called once if the log fails: ST_IO, ST_NO_MEMORY. */
    void (*failed)(void *context, enum status st);
    void *context;
};

/* For commands with a log. */
void syncer_init(struct syncer *syncer, uv_loop_t *loop,
                 struct commands *commands, struct worker *worker,
                 void (*failed)(void *context, enum status st), void *context);

/* Begins a sync if one is due and none runs. To be called when requests were
 * carried out, and when a job has ended. `at_once` lets nothing be put off. */
void syncer_look(struct syncer *syncer, bool at_once);

#endif
