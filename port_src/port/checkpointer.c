/*
 * checkpointer.c -- one checkpoint at a time, and two lists of requests.
 *
 *     waiting   for the one that is under way
 *     later     for the one after it
 *
 * A checkpoint answers a request if it is of a seq not older than the request:
 * so one that runs answers a new request only if nothing has changed since it
 * began. What fails is told to those who waited; if nobody did, an event tells
 * it, and the next one that nobody asks for is put off, each time for longer.
 */
#include "port/checkpointer.h"

#include <time.h>

#include "log/checkpoint.h"
#include "port/call.h"
#include "port/events.h"

/* More segments than this are a reason for a checkpoint, too. */
#define SEGMENTS_MAX 64

/* After a failure, the next one by itself comes after this long or more. */
#define BACK_OFF_FIRST_MS 1000
#define BACK_OFF_MAX_MS 300000

enum phase {
    PHASE_IDLE,
    PHASE_RUNNING,
    PHASE_WRITTEN, /* the log knows it; a sync must begin */
    PHASE_PLACING, /* that sync runs */
};

struct checkpointer {
    struct job job;
    struct commands *commands;
    struct commands_log log;
    enum phase phase;
    struct checkpoint_job *work;
    bool cancelled;
    uint64_t seq; /* of the one under way */
    uint64_t begun_ms;
    struct checkpoint_result result;
    struct later_list waiting;
    struct later_list later;
    uint64_t back_off_ms;
    uint64_t not_before_ms;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- what is told ------------------------------------------------------- */

/* #{seq, bytes, elements, digest}. */
static enum status put_result(struct call *call, void *context)
{
    const struct checkpoint_result *result = context;
    struct writer *out = call->out;

    put_map(out, 4);
    put_atom(out, "seq");
    put_u64(out, result->seq);
    put_atom(out, "bytes");
    put_u64(out, result->bytes);
    put_atom(out, "elements");
    put_u64(out, result->elements);
    put_atom(out, "digest");
    put_digest(out, result->digest);
    return ST_OK;
}

struct failure {
    enum status st;
    const char *text; /* or NULL */
};

static enum status put_failure(struct call *call, void *context)
{
    const struct failure *failure = context;

    return call_fail(call, failure->st, failure->text);
}

static void checkpointer_failed(struct checkpointer *checkpointer,
                                enum status st)
{
    struct failure failure = {
        st, checkpointer->result.why[0] ? checkpointer->result.why : NULL};

    checkpointer->phase = PHASE_IDLE;
    checkpointer->back_off_ms *= 2;
    if (checkpointer->back_off_ms < BACK_OFF_FIRST_MS)
        checkpointer->back_off_ms = BACK_OFF_FIRST_MS;
    if (checkpointer->back_off_ms > BACK_OFF_MAX_MS)
        checkpointer->back_off_ms = BACK_OFF_MAX_MS;
    checkpointer->not_before_ms = now_ms() + checkpointer->back_off_ms;
    if (!checkpointer->waiting.first && !checkpointer->cancelled)
        event_checkpoint_failed(checkpointer->commands->out, st, failure.text);
    commands_answer_later(checkpointer->commands, &checkpointer->waiting,
                          put_failure, &failure);
}

static void checkpointer_succeeded(struct checkpointer *checkpointer)
{
    struct checkpoint_result *result = &checkpointer->result;

    checkpointer->phase = PHASE_IDLE;
    checkpointer->back_off_ms = 0;
    checkpointer->not_before_ms = 0;
    event_checkpointed(checkpointer->commands->out, result->seq, result->bytes,
                       now_ms() - checkpointer->begun_ms);
    commands_answer_later(checkpointer->commands, &checkpointer->waiting,
                          put_result, result);
}

/* --- one checkpoint ----------------------------------------------------- */

static void on_run(struct job *job)
{
    struct checkpointer *checkpointer = (struct checkpointer *)(void *)job;

    checkpoint_run(checkpointer->work);
}

/* Begins another one for those who came too late for the last. */
static void checkpointer_go_on(struct checkpointer *checkpointer);

static void on_end(struct job *job)
{
    struct checkpointer *checkpointer = (struct checkpointer *)(void *)job;
    enum status st = checkpoint_end(checkpointer->work, checkpointer->log.log,
                                    &checkpointer->result);

    checkpointer->work = NULL;
    if (st < 0) {
        checkpointer_failed(checkpointer, st);
        checkpointer_go_on(checkpointer);
    } else {
        checkpointer->phase = PHASE_WRITTEN;
    }
}

/* Gives the figures of a checkpoint that is of the store as it is now. */
static void result_of_now(const struct checkpointer *checkpointer,
                          struct checkpoint_result *ret)
{
    struct store *store = checkpointer->commands->store;
    const struct table *table = NULL;
    struct termlog_figures figures;

    termlog_figures(checkpointer->log.log, &figures);
    memset(ret, 0, sizeof(*ret));
    ret->seq = figures.checkpoint_seq;
    ret->bytes = figures.checkpoint_bytes;
    ret->digest = store_digest(store);
    while ((table = store_next_table(store, table)) != NULL)
        ret->elements += table_count(table);
}

/* `*ret_is_there`: the last one is of this very seq, nothing was begun. */
static enum status checkpointer_start(struct checkpointer *checkpointer,
                                      bool *ret_is_there)
{
    struct store *store = checkpointer->commands->store;
    enum status st;

    REQUIRE(checkpointer->phase == PHASE_IDLE);
    memset(&checkpointer->result, 0, sizeof(checkpointer->result));
    checkpointer->cancelled = false;
    checkpointer->seq = store_seq(store);
    checkpointer->begun_ms = now_ms();
    st = checkpoint_begin(store, checkpointer->log.log, &checkpointer->work);
    *ret_is_there = st == ST_OK && !checkpointer->work;
    if (st < 0 || *ret_is_there)
        return st;
    st = job_start(&checkpointer->log.host, &checkpointer->job);
    if (st < 0) {
        checkpoint_cancel(checkpointer->work);
        checkpoint_run(checkpointer->work); /* ends at once */
        checkpoint_end(checkpointer->work, checkpointer->log.log,
                       &checkpointer->result);
        checkpointer->work = NULL;
        return st;
    }
    checkpointer->phase = PHASE_RUNNING;
    return ST_OK;
}

static void checkpointer_go_on(struct checkpointer *checkpointer)
{
    struct checkpoint_result now;
    bool is_there;
    enum status st;

    if (!checkpointer->later.first)
        return;
    later_move(&checkpointer->waiting, &checkpointer->later);
    st = checkpointer_start(checkpointer, &is_there);
    if (st < 0) {
        checkpointer_failed(checkpointer, st);
    } else if (is_there) {
        result_of_now(checkpointer, &now);
        commands_answer_later(checkpointer->commands, &checkpointer->waiting,
                              put_result, &now);
    }
}

/* --- from outside ------------------------------------------------------- */

enum status checkpointer_create(struct commands *commands,
                                const struct commands_log *log,
                                struct checkpointer **ret)
{
    struct checkpointer *checkpointer =
        mem_zalloc(commands->mem, sizeof(*checkpointer));

    if (!checkpointer)
        return ST_NO_MEMORY;
    checkpointer->job = (struct job){on_run, on_end};
    checkpointer->commands = commands;
    checkpointer->log = *log;
    *ret = checkpointer;
    return ST_OK;
}

static void later_free(struct mem *mem, struct later_list *list)
{
    while (list->first) {
        struct later *later = list->first;

        list->first = later->next;
        mem_free(mem, later, sizeof(*later));
    }
}

void checkpointer_free(struct checkpointer *checkpointer)
{
    struct mem *mem;

    if (!checkpointer)
        return;
    REQUIRE(checkpointer->phase != PHASE_RUNNING);
    mem = checkpointer->commands->mem;
    later_free(mem, &checkpointer->waiting);
    later_free(mem, &checkpointer->later);
    mem_free(mem, checkpointer, sizeof(*checkpointer));
}

enum status checkpointer_request(struct checkpointer *checkpointer,
                                 struct call *call)
{
    struct checkpoint_result now;
    bool is_there;
    enum status st;

    if (checkpointer->phase != PHASE_IDLE)
        return call_later(call, checkpointer->seq == store_seq(call->store) &&
                                        !checkpointer->cancelled
                                    ? &checkpointer->waiting
                                    : &checkpointer->later);
    st = checkpointer_start(checkpointer, &is_there);
    if (st < 0)
        return st;
    if (!is_there)
        return call_later(call, &checkpointer->waiting);
    result_of_now(checkpointer, &now);
    return put_result(call, &now);
}

void checkpointer_begin(struct checkpointer *checkpointer)
{
    bool is_there;
    enum status st;

    if (checkpointer->phase != PHASE_IDLE)
        return;
    st = checkpointer_start(checkpointer, &is_there);
    if (st < 0)
        checkpointer_failed(checkpointer, st);
}

void checkpointer_look(struct checkpointer *checkpointer)
{
    const struct checkpoint_rule *rule = &checkpointer->log.checkpoints;
    struct termlog_figures figures;

    if (checkpointer->phase != PHASE_IDLE || rule->ratio <= 0)
        return;
    termlog_figures(checkpointer->log.log, &figures);
    if (figures.segments <= SEGMENTS_MAX &&
        (figures.log_bytes <= rule->bytes_min ||
         (double)figures.log_bytes <=
             rule->ratio * (double)figures.checkpoint_bytes))
        return;
    if (store_seq(checkpointer->commands->store) > figures.checkpoint_seq &&
        now_ms() >= checkpointer->not_before_ms)
        checkpointer_begin(checkpointer);
}

bool checkpointer_running(const struct checkpointer *checkpointer)
{
    return checkpointer->phase == PHASE_RUNNING;
}

void checkpointer_cancel(struct checkpointer *checkpointer, bool always)
{
    if (checkpointer->phase != PHASE_RUNNING || checkpointer->cancelled ||
        (checkpointer->waiting.first && !always))
        return;
    checkpointer->cancelled = true;
    checkpoint_cancel(checkpointer->work);
}

void checkpointer_sync_begun(struct checkpointer *checkpointer)
{
    if (checkpointer->phase == PHASE_WRITTEN)
        checkpointer->phase = PHASE_PLACING;
}

void checkpointer_sync_ended(struct checkpointer *checkpointer)
{
    if (checkpointer->phase != PHASE_PLACING)
        return;
    /* A disk without room puts the manifest off, and only that. */
    if (termlog_checkpoint_seq(checkpointer->log.log) >= checkpointer->seq)
        checkpointer_succeeded(checkpointer);
    else
        checkpointer_failed(checkpointer, ST_LOG_FULL);
    checkpointer_go_on(checkpointer);
}

struct checkpointer *commands_checkpointer(struct commands *commands)
{
    return commands->checkpointer;
}
