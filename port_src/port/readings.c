/*
 * readings.c -- a queue of reads, and those of them that run.
 *
 *     reading_start() --> waiting: oldest .. newest --> running --> answered
 *         \-> blocked --^     \-- too late, cancelled ------------^
 *
 * Blocked are those whose load is not ready. There is one such road for each
 * lane, and one bound for what waits in all of them.
 *
 * Everything here happens on the loop but reading_run(), which touches its own
 * reading, the pin and the nodes beneath it, and nothing else: it has an
 * account, a writer and scratch of its own. What it leaves behind is taken on
 * the loop when the job has ended, and freed there.
 *
 * A request that is too late before it has begun is run on the loop all the
 * same: the handler looks at its deadline before anything else, and puts the
 * answer that says where to go on.
 *
 * A cancelled one answers `cancelled`, whatever it has come to meanwhile.
 */
#include "port/readings.h"

#include <stdatomic.h>
#include <time.h>

#include "core/snapshot.h"
#include "port/call.h"

#define NEVER UINT64_MAX

/* What each may take beyond its budget, for what is the same in all. */
#define OVERHEAD_BYTES (64u << 10)

#define TICK_NS (UINT64_C(1000000) * READING_TICK_MS)

/*
 * What a read sees: a snapshot, and pins of the tables of the call. Reads that
 * come one behind the other without a change between them share one, so that
 * hundreds that wait hold the dozen tables of a graph once.
 */
struct sight {
    uint64_t references;
    size_t size; /* all that was taken for it */
    struct snapshot *snapshot;
    const struct table *table; /* what was pinned, in the store; or: */
    struct sources sources;
    bool has_sources;
    struct table *pin; /* and the pins of that */
    struct sources pins;
};

struct reading {
    struct job job;
    struct readings *readings;
    struct reading *next;   /* in the list that it is in */
    struct reading **place; /* what points to it there */
    int64_t id;
    const struct command *command;
    struct call_options options; /* `where` lies in `op` or behind it */
    struct bytes op;
    size_t size;               /* all that was taken for it but the sight */
    struct sight *sight;       /* or NULL, if there is a load */
    struct reading_load *load; /* in place of tables, or NULL */
    bool blocked;              /* which list it is in while it waits */
    bool failed;               /* `st` is not of its own account */
    struct note *note;         /* of a fork, or NULL */
    uint64_t shows;
    uint64_t due_ns; /* NEVER: no deadline */
    atomic_bool cancelled;

    /* The worker's. */
    struct mem mem;
    struct writer writer;
    struct commands *bare;
    enum status st;
    struct complaint complaint;

    uint8_t bytes[]; /* copies of the Op and the Condition */
};

struct reading_list {
    struct reading *first;
    struct reading **end;
    size_t count;
};

struct lane {
    struct job_host host;
    unsigned running_max; /* 0: no host */
    struct reading_list blocked;
    struct reading_list waiting;
    struct reading_list running;
};

struct readings {
    struct commands *commands;
    struct lane lanes[LANE_COUNT];
    size_t waiting_count; /* in all lanes, blocked ones too */
    size_t waiting_bytes; /* of all that they hold, and of all sights */
    struct sight *sight;  /* of the youngest that holds one, or NULL */
    uint64_t due_ns;      /* the earliest of those that wait, or before it */
    bool some_cancelled;  /* of those that wait */
    size_t tick_count;    /* those that want to be called */
    uint64_t tick_ns;     /* when they are */
    uint64_t done;
    uint64_t cancelled;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- lists -------------------------------------------------------------- */

static void list_enter(struct reading_list *list, struct reading *reading)
{
    reading->next = NULL;
    reading->place = list->end ? list->end : &list->first;
    *reading->place = reading;
    list->end = &reading->next;
    list->count++;
}

static void list_leave(struct reading_list *list, struct reading *reading)
{
    *reading->place = reading->next;
    if (reading->next)
        reading->next->place = reading->place;
    else
        list->end = reading->place;
    list->count--;
}

static struct lane *lane_of(const struct reading *reading)
{
    enum reading_lane lane = reading->load ? reading->load->lane : LANE_READS;

    return &reading->readings->lanes[lane];
}

static struct reading_list *waiting_list(struct reading *reading)
{
    struct lane *lane = lane_of(reading);

    return reading->blocked ? &lane->blocked : &lane->waiting;
}

static void waiting_enter(struct readings *readings, struct reading *reading)
{
    list_enter(waiting_list(reading), reading);
    readings->waiting_count++;
    readings->waiting_bytes += reading->size;
    if (reading->due_ns < readings->due_ns)
        readings->due_ns = reading->due_ns;
}

static void waiting_leave(struct readings *readings, struct reading *reading)
{
    list_leave(waiting_list(reading), reading);
    readings->waiting_count--;
    readings->waiting_bytes -= reading->size;
}

/* --- on a worker -------------------------------------------------------- */

static void reading_run(struct job *job)
{
    struct reading *reading = (struct reading *)(void *)job;
    struct call call;

    reading->bare = commands_bare(&reading->mem, &reading->writer);
    reading->st = ST_OK;
    if (!reading->bare) {
        reading->st = mem_status(&reading->mem);
        return;
    }
    call = call_bare(reading->bare);
    call.id = reading->id;
    call.options = reading->options;
    if (reading->sight) {
        call.pinned = reading->sight->pin;
        call.pins = reading->sight->has_sources ? &reading->sight->pins : NULL;
    }
    call.reading = reading;
    reading->st = call_run_bare(&call, reading->op);
    reading->complaint = call.complaint;
}

struct reading_load *reading_load(const struct reading *reading)
{
    return reading->load;
}

static bool is_cancelled(const struct reading *reading)
{
    return atomic_load_explicit(&reading->cancelled, memory_order_relaxed);
}

enum status reading_check(const struct reading *reading)
{
    if (is_cancelled(reading))
        return ST_CANCELLED;
    if (reading->due_ns != NEVER && now_ns() >= reading->due_ns)
        return ST_DEADLINE;
    return ST_OK;
}

/* --- what they see ------------------------------------------------------ */

static bool sources_equal(const struct sources *a, const struct sources *b)
{
    if (a->is_graph != b->is_graph || a->step_count != b->step_count ||
        a->extra_count != b->extra_count)
        return false;
    if (a->is_graph && a->graph.table != b->graph.table)
        return false;
    for (unsigned i = 0; i < a->step_count; i++)
        if (a->steps[i].table != b->steps[i].table ||
            a->steps[i].side != b->steps[i].side)
            return false;
    for (unsigned i = 0; i < a->extra_count; i++)
        if (a->extra[i] != b->extra[i])
            return false;
    return true;
}

/* Is it what the call would see? Tables stay where they are and nodes what they
 * are as long as their store gives the same snapshot. */
static bool sight_fits(const struct sight *sight, const struct call *call,
                       const struct snapshot *snapshot)
{
    if (sight->snapshot != snapshot ||
        sight->has_sources != (call->sources != NULL))
        return false;
    return call->sources ? sources_equal(&sight->sources, call->sources)
                         : sight->table == call->table;
}

static void sight_release(struct readings *readings, struct sight *sight)
{
    struct mem *mem = readings->commands->mem;

    if (!sight || --sight->references)
        return;
    if (readings->sight == sight)
        readings->sight = NULL;
    readings->waiting_bytes -= sight->size;
    sources_unpin(mem, &sight->pins);
    table_unpin(mem, sight->pin);
    snapshot_release(sight->snapshot);
    mem_free(mem, sight, sizeof(*sight));
}

/* Takes the snapshot over, whatever comes of it. ST_NO_MEMORY. */
static enum status sight_create(struct readings *readings,
                                const struct call *call,
                                struct snapshot *snapshot, struct sight **ret)
{
    struct mem *mem = readings->commands->mem;
    size_t used = mem->used;
    struct sight *sight = mem_zalloc(mem, sizeof(*sight));
    enum status st = ST_OK;

    if (!sight) {
        snapshot_release(snapshot);
        return ST_NO_MEMORY;
    }
    sight->references = 1;
    sight->snapshot = snapshot;
    sight->table = call->table;
    sight->has_sources = call->sources != NULL;
    if (call->sources) {
        sight->sources = *call->sources;
        st = sources_pin(mem, call->sources, &sight->pins);
    } else {
        sight->pin = table_pin(mem, call->table);
        st = sight->pin ? ST_OK : ST_NO_MEMORY;
    }
    if (st < 0) {
        sight_release(readings, sight);
        return st;
    }
    sight->size = mem->used - used;
    readings->waiting_bytes += sight->size;
    *ret = sight;
    return ST_OK;
}

/* The tables that a call reads, as they are now, for a worker. */
static enum status sight_take(struct readings *readings,
                              const struct call *call, struct sight **ret)
{
    struct mem *mem = store_mem(call->store);
    struct snapshot *snapshot;
    enum status st;

    mem_exempt_begin(mem); /* reads go on at the limit of the store */
    st = snapshot_take(call->store, &snapshot);
    mem_exempt_end(mem);
    if (st < 0)
        return st;
    if (readings->sight && sight_fits(readings->sight, call, snapshot)) {
        snapshot_release(snapshot);
        readings->sight->references++;
        *ret = readings->sight;
        return ST_OK;
    }
    st = sight_create(readings, call, snapshot, ret);
    if (st == ST_OK)
        readings->sight = *ret;
    return st;
}

/* --- the end of one ----------------------------------------------------- */

static void reading_free(struct reading *reading)
{
    struct mem *mem = reading->readings->commands->mem;

    if (reading->bare)
        commands_bare_free(reading->bare);
    writer_deinit(&reading->writer);
    REQUIRE(reading->mem.used == 0);
    sight_release(reading->readings, reading->sight);
    mem_free(mem, reading,
             sizeof(*reading) + reading->op.size + reading->options.where.size);
}

static void reading_fail(struct reading *reading, enum status st)
{
    static const struct complaint none = {.position = -1, .index = -1};
    struct complaint complaint = reading->bare ? reading->complaint : none;

    if (reading->failed)
        complaint = none;
    /* Its account has no other limit, and is no affair of the store's. */
    if (st == ST_MEMORY_LIMIT && !reading->failed) {
        st = ST_MEMORY_BUDGET;
        complaint = none;
        complaint.limit = reading->options.memory;
    }
    if (st == ST_CANCELLED)
        complaint = none;
    commands_answer_failed(reading->readings->commands, reading->note,
                           reading->id, reading->command, reading->shows, st,
                           &complaint);
}

/* Its load is needed no more. */
static void load_end(struct reading *reading)
{
    struct reading_load *load = reading->load;

    if (!load)
        return;
    reading->readings->tick_count -= load->tick != NULL;
    reading->load = NULL;
    load->end(load);
}

/* Answers and frees one that is in no list any more. */
static void reading_end(struct reading *reading)
{
    struct readings *readings = reading->readings;
    struct reading_load *load = reading->load;
    enum status st = is_cancelled(reading) ? ST_CANCELLED : reading->st;

    if (st == ST_OK && load && load->finish) {
        st = load->finish(load);
        reading->failed = st < 0;
    }

    if (st == ST_CANCELLED)
        readings->cancelled++;
    else
        readings->done++;
    if (st < 0)
        reading_fail(reading, st);
    else
        commands_answer_built(readings->commands, reading->note, reading->id,
                              reading->shows,
                              buffer_bytes(&reading->writer.out));
    load_end(reading); /* the complaint was about what it has */
    reading_free(reading);
}

static void on_end(struct job *job)
{
    struct reading *reading = (struct reading *)(void *)job;

    list_leave(&lane_of(reading)->running, reading);
    reading_end(reading);
}

void reading_go(struct reading_load *load, enum status st)
{
    struct reading *reading = load->reading;
    struct readings *readings = reading->readings;

    REQUIRE(reading->blocked);
    waiting_leave(readings, reading);
    reading->blocked = false;
    reading->failed = st < 0;
    reading->st = st;
    if (st == ST_OK && !load->light) {
        waiting_enter(readings, reading);
        return;
    }
    if (st == ST_OK && !is_cancelled(reading))
        reading_run(&reading->job);
    reading_end(reading);
}

/* --- the beginning of one ----------------------------------------------- */

bool reading_possible(const struct call *call)
{
    const struct readings *readings = call->commands->readings;

    return !call->reading && !call->at_once && !call->again && readings &&
           readings->lanes[LANE_READS].running_max > 0;
}

/* When a request that is being read now is too late. */
static uint64_t due_of(uint64_t deadline_ms)
{
    uint64_t now = now_ns();

    if (deadline_ms >= (NEVER - now) / 1000000)
        return NEVER;
    return now + deadline_ms * 1000000;
}

/* Is there room for one more, with so many bytes of its own? */
static enum status readings_admit(const struct readings *readings,
                                  struct call *call, size_t bytes)
{
    if (bytes > call->options.memory) {
        call->complaint.limit = call->options.memory;
        return ST_MEMORY_BUDGET;
    }
    if (!readings->waiting_count ||
        readings->waiting_bytes + sizeof(struct reading) + bytes <=
            READINGS_WAITING_BYTES_MAX)
        return ST_OK;
    return call_fail(call, ST_MEMORY_BUDGET,
                     "too many long reads wait for their turn already; read "
                     "their answers first");
}

/* Copies of what the running request is. */
static void reading_copy(struct call *call, struct reading *reading)
{
    memcpy(reading->bytes, call->inner.data, call->inner.size);
    reading->op = bytes_of(reading->bytes, call->inner.size);
    if (call->options.where.size)
        memcpy(reading->bytes + call->inner.size, call->options.where.data,
               call->options.where.size);
    reading->options.where =
        bytes_of(reading->bytes + call->inner.size, call->options.where.size);
}

/* With a load, or with the tables of the call if there is none. */
static enum status start(struct call *call, struct reading_load *load)
{
    struct commands *commands = call->commands;
    struct readings *readings = commands->readings;
    size_t size = call->inner.size + call->options.where.size;
    size_t limit = call->options.memory;
    size_t used = commands->mem->used;
    struct reading *reading;
    enum status st = readings_admit(readings, call, size);

    if (st < 0)
        return st;
    reading = mem_zalloc(commands->mem, sizeof(*reading) + size);
    if (!reading)
        return ST_NO_MEMORY;
    reading->job = (struct job){reading_run, on_end};
    reading->readings = readings;
    reading->id = call->id;
    reading->command = call->command;
    reading->options = call->options;
    reading->due_ns = due_of(call->options.deadline_ms);
    atomic_init(&reading->cancelled, false);
    mem_init(&reading->mem, limit < SIZE_MAX - OVERHEAD_BYTES
                                ? limit + OVERHEAD_BYTES
                                : SIZE_MAX);
    writer_init(&reading->writer, &reading->mem, SIZE_MAX);
    reading_copy(call, reading);
    reading->size = commands->mem->used - used;
    if (!load)
        st = sight_take(readings, call, &reading->sight);
    if (st == ST_OK)
        st = call_note(call, &reading->note);
    if (st < 0) {
        reading_free(reading);
        return st;
    }
    reading->shows = call_shows(call, ST_OK);
    reading->load = load;
    reading->blocked = load && load->waits;
    if (load)
        load->reading = reading;
    if (load && load->tick) {
        if (!readings->tick_count++)
            readings->tick_ns = now_ns() + TICK_NS;
    }
    waiting_enter(readings, reading);
    call_put_off(call);
    return ST_OK;
}

enum status reading_start(struct call *call)
{
    return start(call, NULL);
}

enum status reading_start_load(struct call *call, struct reading_load *load)
{
    return start(call, load);
}

/* Begins the oldest one that waits in a lane; without memory it fails. */
static void lane_begin(struct readings *readings, struct lane *lane)
{
    struct reading *reading = lane->waiting.first;
    enum status st;

    waiting_leave(readings, reading);
    list_enter(&lane->running, reading);
    st = job_start(&lane->host, &reading->job);
    if (st < 0) {
        list_leave(&lane->running, reading);
        reading->st = st;
        reading_end(reading);
    }
}

/* Answers those of a list that wait for nothing more. */
static void list_sift(struct readings *readings, struct reading_list *list,
                      uint64_t now)
{
    struct reading *reading = list->first;

    while (reading) {
        struct reading *next = reading->next;

        if (is_cancelled(reading) || reading->due_ns <= now) {
            waiting_leave(readings, reading);
            if (!is_cancelled(reading))
                reading_run(&reading->job);
            reading_end(reading);
        } else if (reading->due_ns < readings->due_ns) {
            readings->due_ns = reading->due_ns;
        }
        reading = next;
    }
}

static void readings_sift(struct readings *readings)
{
    uint64_t now = now_ns();

    readings->due_ns = NEVER;
    readings->some_cancelled = false;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        list_sift(readings, &readings->lanes[i].blocked, now);
        list_sift(readings, &readings->lanes[i].waiting, now);
    }
}

static void list_tick(struct reading_list *list)
{
    for (struct reading *reading = list->first; reading;
         reading = reading->next)
        if (reading->load && reading->load->tick)
            reading->load->tick(reading->load);
}

static void readings_tick(struct readings *readings)
{
    uint64_t now = now_ns();

    if (now < readings->tick_ns)
        return;
    readings->tick_ns = now + TICK_NS;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        list_tick(&readings->lanes[i].blocked);
        list_tick(&readings->lanes[i].waiting);
        list_tick(&readings->lanes[i].running);
    }
}

static size_t running_count(const struct readings *readings)
{
    size_t count = 0;

    for (unsigned i = 0; i < LANE_COUNT; i++)
        count += readings->lanes[i].running.count;
    return count;
}

void readings_look(struct readings *readings, size_t running_max)
{
    if (readings->tick_count)
        readings_tick(readings);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &readings->lanes[i];

        while (lane->waiting.first && lane->running.count < lane->running_max &&
               running_count(readings) < running_max &&
               !readings->some_cancelled)
            lane_begin(readings, lane);
    }
    if (readings->waiting_count &&
        (readings->some_cancelled ||
         (readings->due_ns != NEVER && readings->due_ns <= now_ns()))) {
        readings_sift(readings);
        if (running_max)
            readings_look(readings, running_max);
    }
}

/* --- from outside ------------------------------------------------------- */

enum status readings_create(struct commands *commands, struct readings **ret)
{
    struct readings *readings = mem_zalloc(commands->mem, sizeof(*readings));

    if (!readings)
        return ST_NO_MEMORY;
    readings->commands = commands;
    readings->due_ns = NEVER;
    *ret = readings;
    return ST_OK;
}

static void forget_all(struct readings *readings, struct reading_list *list)
{
    while (list->first) {
        struct reading *reading = list->first;

        waiting_leave(readings, reading);
        note_drop(reading->note);
        load_end(reading);
        reading_free(reading);
    }
}

void readings_free(struct readings *readings)
{
    if (!readings)
        return;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &readings->lanes[i];

        REQUIRE(!lane->running.first);
        forget_all(readings, &lane->blocked);
        forget_all(readings, &lane->waiting);
    }
    mem_free(readings->commands->mem, readings, sizeof(*readings));
}

struct readings *commands_readings(const struct commands *commands)
{
    return commands->readings;
}

void readings_set_host(struct readings *readings, enum reading_lane lane,
                       const struct job_host *host, unsigned running_max)
{
    readings->lanes[lane].host = *host;
    readings->lanes[lane].running_max = running_max;
}

const struct job_host *readings_host(const struct readings *readings,
                                     enum reading_lane lane)
{
    return readings->lanes[lane].running_max ? &readings->lanes[lane].host
                                             : NULL;
}

int64_t readings_due_ms(const struct readings *readings)
{
    uint64_t due = readings->waiting_count ? readings->due_ns : NEVER;
    uint64_t now;

    if (readings->tick_count && readings->tick_ns < due)
        due = readings->tick_ns;
    if (due == NEVER)
        return -1;
    now = now_ns();
    return due <= now ? 0 : (int64_t)((due - now) / 1000000 + 1);
}

size_t readings_count(const struct readings *readings)
{
    return readings->waiting_count + running_count(readings);
}

size_t readings_bytes(const struct readings *readings)
{
    return readings->waiting_bytes;
}

static uint64_t list_cancel(struct reading_list *list, bool all, int64_t id)
{
    uint64_t count = 0;

    for (struct reading *reading = list->first; reading;
         reading = reading->next) {
        if (!all && reading->id != id)
            continue;
        atomic_store_explicit(&reading->cancelled, true, memory_order_relaxed);
        count++;
    }
    return count;
}

/* Cancels all, or those with this id: how many there are. */
static uint64_t cancel(struct readings *readings, bool all, int64_t id)
{
    uint64_t running = 0;
    uint64_t waiting = 0;

    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &readings->lanes[i];

        running += list_cancel(&lane->running, all, id);
        waiting += list_cancel(&lane->waiting, all, id);
        waiting += list_cancel(&lane->blocked, all, id);
    }
    readings->some_cancelled |= waiting > 0;
    return running + waiting;
}

void readings_cancel(struct readings *readings)
{
    cancel(readings, true, 0);
}

void readings_put_info(const struct readings *readings, struct writer *out)
{
    put_atom(out, "reads");
    put_map(out, 4);
    put_atom(out, "running");
    put_u64(out, running_count(readings));
    put_atom(out, "waiting");
    put_u64(out, readings->waiting_count);
    put_atom(out, "done");
    put_u64(out, readings->done);
    put_atom(out, "cancelled");
    put_u64(out, readings->cancelled);
}

/* The answer to a request that is cancelled comes behind that to this one. */
enum status cmd_cancel(struct call *call)
{
    int64_t id;

    call->argument++;
    if (!reader_integer(&call->args, &id))
        return call_bad(call, "must be the Id of a request");
    put_atom(call->out, cancel(call->commands->readings, false, id)
                            ? "cancelled"
                            : "absent");
    return ST_OK;
}
