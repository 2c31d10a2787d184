/*
 * readings.h -- reads that may be long, on worker threads.
 *
 * A handler that is to look at more than LOOP_ELEMENTS_MAX elements gives its
 * request over with reading_start(). The same handler then runs on a worker,
 * on a snapshot that was taken at once and pins of all tables that it reads
 * (call->sources, or call->table), so it sees what was there when the request
 * was read, and nothing that came later:
 *
 *     loop     cmd_scan() -> reading_start()     snapshot, pins, copy of the Op
 *     worker   cmd_scan() with call->reading     looks reading_check() up
 *     loop     the reply, in whichever order they come; snapshot released
 *
 * What reads no tables but something else, as an algorithm does a projection,
 * comes with a load in their place, and may have to wait until that is there.
 *
 * Each lane has a host of its own: as many run at a time as
 * readings_set_host() says, and the others wait in their order. A deadline
 * counts from the moment when the request was read.
 * Bound: those that wait hold READINGS_WAITING_BYTES_MAX together (or there is
 * one), and beyond that one is refused: to stop reading would keep point
 * operations waiting, and the word that cancels. The session lets none begin
 * while too much waits to leave.
 */
#ifndef RHIZOME_PORT_READINGS_H
#define RHIZOME_PORT_READINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "port/job.h"

struct call;
struct commands;
struct readings;
struct reading;
struct writer;

/*
 * Elements that a read may look at on the loop. To give a read over and take
 * it back costs about as much as looking at 256 of them.
 */
#define LOOP_ELEMENTS_MAX 256

/* What requests hold that wait for a thread: their Ops, what they are to do,
 * and pins of tables. About 6,000 short ones. */
#define READINGS_WAITING_BYTES_MAX (4u << 20)

/* ST_NO_MEMORY. None may run when they are freed. */
enum status readings_create(struct commands *commands, struct readings **ret);
void readings_free(struct readings *readings);

/* Those of a commands. */
struct readings *commands_readings(const struct commands *commands);

/* Long reads of tables, and runs of algorithms, which would keep them waiting.
 */
enum reading_lane { LANE_READS, LANE_RUNS, LANE_COUNT };

/* Before the first request: where the jobs of a lane run, and how many at a
 * time. Without it reads are done at once, and algorithms not at all. */
void readings_set_host(struct readings *readings, enum reading_lane lane,
                       const struct job_host *host, unsigned running_max);

/* NULL: there is none. For jobs that those of the lane wait for. */
const struct job_host *readings_host(const struct readings *readings,
                                     enum reading_lane lane);

/* --- for handlers ------------------------------------------------------- */

/* Whether the running request can be given over. */
bool reading_possible(const struct call *call);

/*
 * Gives the running request over, whose call->table and call->inner are those
 * of the Op alone. The handler puts nothing more and returns what this gives.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT; ST_MEMORY_BUDGET if too much waits,
 * or the Op alone is more than it may take.
 */
enum status reading_start(struct call *call);

/* On a worker, now and then: ST_OK, ST_DEADLINE, ST_CANCELLED. */
enum status reading_check(const struct reading *reading);

/* How often the tick of a load comes. */
#define READING_TICK_MS 250

/*
 * What a reading has in place of tables, embedded in what its handler made for
 * it. The functions are called on the loop.
 */
struct reading_load {
    struct reading *reading; /* since reading_start_load() */
    enum reading_lane lane;
    bool waits; /* until reading_go() */
    bool light; /* its handler is quick then, and is called on the loop */

    /* The answer is there and about to be given; after an error, that is. */
    enum status (*finish)(struct reading_load *load); /* or NULL */
    void (*tick)(struct reading_load *load);          /* or NULL */

    /* It is answered, or will never be: frees what there is. */
    void (*end)(struct reading_load *load);
};

/*
 * Gives the running request over with a load, and no tables. After an error
 * the load is the caller's as before. Errors as reading_start() has them.
 */
enum status reading_start_load(struct call *call, struct reading_load *load);

/* That of a reading on a worker. */
struct reading_load *reading_load(const struct reading *reading);

/* What it waits for is there, or `st` says why it never will be: then that is
 * the answer. Not within a command. */
void reading_go(struct reading_load *load, enum status st);

/* --- for the session ---------------------------------------------------- */

/*
 * Answers those that wait and are cancelled or too late, and begins others
 * while fewer than `running_max` run. Not within a command. O(1), but for each
 * that is too late one pass over those that wait, and at each tick one over
 * all.
 */
void readings_look(struct readings *readings, size_t running_max);

/* Milliseconds until the next one that waits is too late, or the next tick;
 * -1: there will be none. */
int64_t readings_due_ms(const struct readings *readings);

/* Of all lanes: how many wait or run, and the bytes that are held by
 * those that wait. */
size_t readings_count(const struct readings *readings);
size_t readings_bytes(const struct readings *readings);

/* Cancels all. They are answered by readings_look() and as their jobs end. */
void readings_cancel(struct readings *readings);

/* Puts the key `reads` and what {info} says of them. */
void readings_put_info(const struct readings *readings, struct writer *out);

#endif
