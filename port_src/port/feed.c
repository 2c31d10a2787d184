/*
 * feed.c -- one history in memory, and subscribers that walk along it.
 *
 *     ring     [ 7 8 9 ][ 10 11 ][ 12 13 14      ]     entries (ring.h)
 *                 ^          ^              ^
 *     next        8          11             15         of the subscriptions
 *
 * feed_note() appends an entry (changes.h) for each mutation, whether or not
 * anybody wants its tables: a subscription that comes later may. The ring is
 * there while there are subscriptions and KEEP_SECONDS beyond, so that one that
 * was lost with its connection can be taken up again.
 *
 * A subscription is a number, the next seq that it is to be told. If that lies
 * in the ring it is live. If it lies before the ring it is behind, and reads
 * the log (history.h) until its number has reached the ring: then it is live
 * again, and nothing is told twice or left out. Without a log, or if that does
 * not reach back so far, it is over.
 *
 * A client knows the last seq that it was told, and subscribes again from the
 * one behind it. Where nothing concerns its tables that may come to lie before
 * all history, although it has missed nothing: then it is told a mark, a seq
 * without changes.
 *
 * One history is read at a time, for it holds a whole store. Whoever has one
 * and does not acknowledge loses it after a second if others wait for theirs,
 * and after a minute in any case; it is built again when credit comes.
 *
 * What is not encoded, because it is larger than the ring or because there
 * was no memory for it, makes the ring begin again behind it. So do values
 * that were not kept (store_set_keeps_values()), before the ring was there.
 *
 * Everything here is the loop's but on_run(), which touches the history alone.
 */
#include "port/feed.h"

#include <stdlib.h>
#include <time.h>

#include "port/call.h"
#include "port/changes.h"
#include "port/events.h"
#include "port/history.h"
#include "port/ring.h"

/* Bytes of binaries on their way to one subscriber; an event may pass it. */
#define WINDOW_BYTES (256u << 10)

/* An event ends behind the entry that passes this. */
#define EVENT_BYTES (64u << 10)

/* What one call of feed_pump() puts into the writer, or an event more. */
#define PUMP_BYTES (1u << 20)

#define KEEP_SECONDS 60

/* Names of tables in all subscriptions. */
#define NAMES_BYTES_MAX (16u << 20)

/* An idle scratch buffer keeps no more. */
#define SCRATCH_KEEP_BYTES (64u << 10)

/* How long a history may wait for its subscriber. */
#define PATIENCE_SECONDS 60
#define PATIENCE_SECONDS_IF_WANTED 1

/* So long nobody asks the log again for what it did not give. */
#define FAILED_SECONDS 60

struct feed_table {
    uint64_t hash;
    uint32_t name; /* offset in the filter's names */
    uint32_t name_size;
};

struct subscription {
    struct version_name name;
    struct feed_filter filter;
    uint64_t next; /* the first seq that was not told */
    uint64_t told; /* the last that the client has seen; its start at first */
    size_t unacknowledged;
    struct ring_place place;
    bool over; /* to be removed */
};

struct feed {
    struct job job; /* of the history */
    struct commands *commands;
    uint64_t (*clock)(void);

    struct subscription **subscriptions; /* by name */
    uint32_t count;
    uint32_t capacity;
    size_t names_bytes;
    uint32_t turn; /* whose it is in the next pump */

    bool kept; /* there is a ring */
    struct ring ring;
    struct buffer scratch;
    uint64_t gone_s; /* when the last subscription went */

    uint64_t bound;  /* seqs up to this may be told, as of the last pump */
    uint64_t oldest; /* from here on a client can go on, as of then too */
    bool stirred;    /* something else than these two has changed */
    bool more;
    bool stopped;

    struct feed_history *history;    /* NULL: none */
    struct subscription *history_of; /* NULL: it is to go */
    uint64_t history_until;
    enum status history_status;
    uint64_t history_moved_s;
    bool running;        /* the job is under way */
    bool dismantling;    /* and is the history's last */
    bool wanted;         /* somebody waits for a history */
    uint64_t failed_seq; /* the log did not give this one; 0: it did all */
    uint64_t failed_s;
};

static uint64_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec;
}

static const struct commands_log *feed_log(const struct feed *feed)
{
    return commands_log(feed->commands);
}

/* --- what is kept ------------------------------------------------------- */

static void note(struct feed *feed, uint64_t seq)
{
    struct buffer *scratch = &feed->scratch;
    enum status st = ST_NO_HISTORY;

    scratch->size = 0;
    if (seq == feed->ring.next_seq)
        st = changes_encode(feed->commands->store, seq, RING_ENTRY_BYTES_MAX,
                            scratch);
    if (st == ST_OK)
        st = ring_put(&feed->ring, buffer_bytes(scratch));
    if (st < 0)
        ring_restart(&feed->ring, seq + 1);
    if (scratch->capacity > SCRATCH_KEEP_BYTES)
        buffer_free(scratch);
}

void feed_note(struct feed *feed, uint64_t seq)
{
    if (feed->kept && store_change_mark(feed->commands->store))
        note(feed, seq);
}

/* From now on there is a ring. */
static void keep_ring(struct feed *feed)
{
    if (feed->kept)
        return;
    feed->kept = true;
    ring_restart(&feed->ring, store_seq(feed->commands->store) + 1);
    store_set_keeps_values(feed->commands->store, true);
}

/* Gives it back when nobody has wanted it for a while. */
static void look_at_ring(struct feed *feed)
{
    if (!feed->kept || feed->clock() - feed->gone_s < KEEP_SECONDS)
        return;
    feed->kept = false;
    ring_restart(&feed->ring, 0);
    store_set_keeps_values(feed->commands->store, false);
}

/* --- which tables ------------------------------------------------------- */

void feed_filter_init(struct feed_filter *filter, struct mem *mem)
{
    *filter = (struct feed_filter){
        .tables = BUFFER(mem),
        .names = BUFFER(mem),
    };
}

void feed_filter_deinit(struct feed_filter *filter)
{
    buffer_free(&filter->tables);
    buffer_free(&filter->names);
}

enum status feed_filter_add(struct feed_filter *filter, struct bytes name)
{
    struct feed_table table = {
        .hash = changes_hash(name),
        .name = (uint32_t)filter->names.size,
        .name_size = (uint32_t)name.size,
    };
    enum status st = buffer_append(&filter->names, name);

    if (st == ST_OK)
        st = buffer_append(&filter->tables, bytes_of(&table, sizeof(table)));
    if (st == ST_OK)
        filter->count++;
    return st;
}

static const struct feed_table *filter_tables(const struct feed_filter *filter)
{
    return (const void *)filter->tables.data;
}

static int compare_hashes(const void *a, const void *b)
{
    const struct feed_table *x = a;
    const struct feed_table *y = b;

    return (x->hash > y->hash) - (x->hash < y->hash);
}

static void filter_sort(struct feed_filter *filter)
{
    if (filter->count > 1)
        qsort(filter->tables.data, filter->count, sizeof(struct feed_table),
              compare_hashes);
}

static bool filter_wants(const struct feed_filter *filter,
                         const struct changes_group *group)
{
    const struct feed_table *tables = filter_tables(filter);
    uint32_t low = 0;
    uint32_t high = filter->count;

    if (filter->all)
        return !group->reserved;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (tables[middle].hash < group->hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < filter->count && tables[low].hash == group->hash; low++)
        if (bytes_equal(bytes_of(filter->names.data + tables[low].name,
                                 tables[low].name_size),
                        group->name))
            return true;
    return false;
}

/* --- subscriptions ------------------------------------------------------ */

static int compare_names(struct version_name a, struct version_name b)
{
    if (a.holder != b.holder)
        return a.holder < b.holder ? -1 : 1;
    return (a.number > b.number) - (a.number < b.number);
}

/* The index of the first one that is not below `name`. */
static uint32_t find_index(const struct feed *feed, struct version_name name)
{
    uint32_t low = 0;
    uint32_t high = feed->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_names(feed->subscriptions[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct subscription *find(const struct feed *feed,
                                 struct version_name name)
{
    uint32_t index = find_index(feed, name);

    if (index == feed->count ||
        compare_names(feed->subscriptions[index]->name, name) != 0)
        return NULL;
    return feed->subscriptions[index];
}

static void history_close(struct feed *feed);

static void subscription_free(struct feed *feed, struct subscription *gone)
{
    feed->names_bytes -= gone->filter.names.size;
    feed_filter_deinit(&gone->filter);
    mem_free(feed->commands->mem, gone, sizeof(*gone));
}

/* Removes those that are over. */
static uint64_t sweep(struct feed *feed)
{
    uint32_t kept = 0;
    uint64_t gone;

    for (uint32_t i = 0; i < feed->count; i++) {
        struct subscription *subscription = feed->subscriptions[i];

        if (!subscription->over) {
            feed->subscriptions[kept++] = subscription;
            continue;
        }
        if (feed->history_of == subscription)
            history_close(feed);
        subscription_free(feed, subscription);
    }
    gone = feed->count - kept;
    feed->count = kept;
    if (gone) {
        feed->stirred = true;
        feed->turn = 0;
        feed->gone_s = feed->clock();
    }
    return gone;
}

/* Room for one more. */
static enum status reserve_one(struct feed *feed)
{
    size_t old = feed->capacity * sizeof(*feed->subscriptions);
    uint32_t capacity = feed->capacity ? feed->capacity * 2 : 8;
    struct subscription **grown;

    if (feed->count < feed->capacity)
        return ST_OK;
    grown = mem_grow(feed->commands->mem, feed->subscriptions, old,
                     capacity * sizeof(*grown));
    if (!grown)
        return ST_NO_MEMORY;
    feed->subscriptions = grown;
    feed->capacity = capacity;
    return ST_OK;
}

static enum status subscription_add(struct feed *feed, struct version_name name,
                                    struct feed_filter *filter, uint64_t next)
{
    struct mem *mem = feed->commands->mem;
    uint32_t index = find_index(feed, name);
    struct subscription *subscription;
    enum status st = reserve_one(feed);

    if (st < 0)
        return st;
    subscription = mem_zalloc(mem, sizeof(*subscription));
    if (!subscription)
        return ST_NO_MEMORY;
    subscription->name = name;
    subscription->filter = *filter;
    subscription->next = next;
    subscription->told = next - 1;
    filter_sort(&subscription->filter);
    feed_filter_init(filter, mem);
    memmove(feed->subscriptions + index + 1, feed->subscriptions + index,
            (feed->count - index) * sizeof(*feed->subscriptions));
    feed->subscriptions[index] = subscription;
    feed->count++;
    feed->names_bytes += subscription->filter.names.size;
    feed->stirred = true;
    keep_ring(feed);
    return ST_OK;
}

/* The first seq that the log can be asked for; UINT64_MAX without one. */
static uint64_t oldest_logged(const struct feed *feed)
{
    const struct commands_log *log = feed_log(feed);
    uint64_t before;

    if (!log)
        return UINT64_MAX;
    before = termlog_checkpoint_seq(log->log);
    if (feed->failed_seq > before &&
        feed->clock() - feed->failed_s < FAILED_SECONDS)
        before = feed->failed_seq;
    return before + 1;
}

enum status feed_subscribe(struct feed *feed, struct version_name name,
                           struct feed_filter *filter, uint64_t from,
                           struct feed_start *ret)
{
    uint64_t seq = store_seq(feed->commands->store);
    uint64_t oldest = feed->kept ? feed->ring.first_seq : seq + 1;
    enum status st;

    if (find(feed, name))
        return ST_BAD_ARGUMENT;
    if (feed->count == FEED_SUBSCRIPTIONS_MAX ||
        filter->names.size > NAMES_BYTES_MAX - feed->names_bytes)
        return ST_TOO_BIG;
    if (oldest_logged(feed) < oldest)
        oldest = oldest_logged(feed);
    if (!from)
        from = seq + 1;
    if (from < oldest || from > seq + 1) {
        ret->oldest = oldest;
        return ST_NO_HISTORY;
    }
    st = subscription_add(feed, name, filter, from);
    if (st == ST_OK)
        ret->seq = seq;
    return st;
}

bool feed_unsubscribe(struct feed *feed, struct version_name name)
{
    struct subscription *subscription = find(feed, name);

    if (!subscription)
        return false;
    subscription->over = true;
    sweep(feed);
    return true;
}

uint64_t feed_release_holder(struct feed *feed, int64_t holder)
{
    for (uint32_t i = 0; i < feed->count; i++)
        if (feed->subscriptions[i]->name.holder == holder)
            feed->subscriptions[i]->over = true;
    return sweep(feed);
}

void feed_ack(struct feed *feed, struct version_name name, uint64_t bytes)
{
    struct subscription *subscription = find(feed, name);

    if (!subscription)
        return;
    if (bytes > subscription->unacknowledged)
        bytes = subscription->unacknowledged;
    subscription->unacknowledged -= (size_t)bytes;
    feed->stirred = true;
}

void feed_put_info(const struct feed *feed, struct writer *out)
{
    put_atom(out, "subscriptions");
    put_u64(out, feed->count);
}

/* --- telling ------------------------------------------------------------ */

/* One event in the making. */
struct telling {
    struct feed *feed;
    struct subscription *subscription;
    struct writer *out;
    uint64_t next; /* what the subscription's will be */
    uint64_t told; /* and this one */
    bool begun;
    struct changes_event event;
    uint64_t count; /* pairs in it */
    enum status status;
};

static void telling_begin(struct telling *telling)
{
    if (telling->begun)
        return;
    telling->status = event_changes_begin(
        telling->out, telling->subscription->name, &telling->event);
    telling->begun = telling->status == ST_OK;
}

/* Puts {Seq, [Change]} if any of the changes is wanted. */
static void tell_entry(struct telling *telling,
                       const struct changes_entry *entry)
{
    const struct feed_filter *filter = &telling->subscription->filter;
    struct writer *out = telling->out;
    struct bytes groups = entry->groups;
    struct changes_group group;
    uint64_t count = 0;
    size_t list = 0;

    while (changes_next(&groups, &group)) {
        if (!filter_wants(filter, &group))
            continue;
        if (!count) {
            telling_begin(telling);
            if (telling->status < 0)
                return;
            put_tuple(out, 2);
            put_u64(out, entry->seq);
            list = put_list_begin(out);
        }
        put_term(out, group.terms);
        count += group.count;
    }
    if (!count)
        return;
    put_list_end(out, list, count);
    telling->told = entry->seq;
    telling->count++;
}

static bool telling_full(const struct telling *telling)
{
    return telling->begun &&
           writer_size(telling->out) - telling->event.binary >= EVENT_BYTES;
}

/* Tells what it may of `run`, entries one behind another: how many bytes. */
static size_t tell_run(struct telling *telling, struct bytes run)
{
    size_t at = 0;

    while (at < run.size && telling->next <= telling->feed->bound &&
           telling->status == ST_OK && !telling_full(telling)) {
        struct changes_entry entry = changes_entry(run.data + at);

        if (entry.seq >= telling->next) {
            tell_entry(telling, &entry);
            telling->next = entry.seq + 1;
        }
        at += entry.size;
    }
    return at;
}

/* Completes the event; the subscription moves on. */
static enum status telling_end(struct telling *telling)
{
    struct subscription *subscription = telling->subscription;
    size_t bytes = 0;

    if (telling->begun)
        telling->status = event_changes_end(telling->out, &telling->event,
                                            telling->count, &bytes);
    if (telling->status < 0)
        return telling->status;
    subscription->unacknowledged += bytes;
    subscription->next = telling->next;
    subscription->told = telling->told;
    return ST_OK;
}

static struct telling telling_of(struct feed *feed,
                                 struct subscription *subscription)
{
    return (struct telling){
        .feed = feed,
        .subscription = subscription,
        .out = feed->commands->out,
        .next = subscription->next,
        .told = subscription->told,
    };
}

/* {Seq, []}: there was nothing for it up to here, and it can go on behind. */
static enum status tell_mark(struct feed *feed,
                             struct subscription *subscription)
{
    struct telling telling = telling_of(feed, subscription);

    telling_begin(&telling);
    if (telling.status < 0)
        return telling.status;
    telling.told = subscription->next - 1;
    put_tuple(telling.out, 2);
    put_u64(telling.out, telling.told);
    put_list_end(telling.out, put_list_begin(telling.out), 0);
    telling.count = 1;
    return telling_end(&telling);
}

static enum status tell_ring(struct feed *feed,
                             struct subscription *subscription)
{
    struct telling telling = telling_of(feed, subscription);
    struct ring_place place =
        ring_seek(&feed->ring, &subscription->place, subscription->next);
    size_t bytes;
    enum status st;

    do
        bytes = tell_run(&telling, ring_read(&place));
    while (ring_advance(&place, bytes));
    st = telling_end(&telling);
    if (st == ST_OK)
        subscription->place = place;
    return st;
}

/* --- from the log ------------------------------------------------------- */

static void on_run(struct job *job)
{
    struct feed *feed = (struct feed *)(void *)job;

    if (feed->dismantling)
        feed_history_dismantle(feed->history);
    else
        feed->history_status =
            feed_history_run(feed->history, feed->history_until);
}

static enum status history_job(struct feed *feed)
{
    const struct commands_log *log = feed_log(feed);
    enum status st = job_start(&log->host, &feed->job);

    feed->running = st == ST_OK;
    return st;
}

static void history_forget(struct feed *feed)
{
    feed_history_free(feed->history);
    feed->history = NULL;
    feed->history_of = NULL;
    feed->dismantling = false;
    feed->stirred = true;
}

/* Nobody needs it any more. */
static void history_close(struct feed *feed)
{
    feed->history_of = NULL;
    if (feed->running) {
        feed_history_cancel(feed->history); /* and on_end() is next */
        return;
    }
    if (feed->stopped)
        return; /* the process ends */
    feed->dismantling = true;
    if (history_job(feed) < 0)
        history_forget(feed);
}

static void on_end(struct job *job)
{
    struct feed *feed = (struct feed *)(void *)job;

    feed->running = false;
    feed->stirred = true;
    feed->history_moved_s = feed->clock();
    if (feed->dismantling)
        history_forget(feed);
    else if (!feed->history_of)
        history_close(feed);
}

/* Reads up to what may be told. False: that is not on its way yet, or there
 * is no memory. */
static bool history_go_on(struct feed *feed, uint64_t next)
{
    const struct commands_log *log = feed_log(feed);

    /* A frame that tells of it is written after the log in any case. */
    if (log->policy == SYNC_ALWAYS)
        feed->history_until = termlog_durable(log->log);
    else if (termlog_write(log->log) < 0)
        return false; /* whoever writes next will say so */
    else
        feed->history_until = termlog_written(log->log);
    return feed->history_until >= next && history_job(feed) == ST_OK;
}

/* What is left of the memory limit is for the history's store. */
static size_t history_memory(const struct feed *feed)
{
    const struct mem *mem = store_mem(feed->commands->store);

    if (mem->limit == SIZE_MAX)
        return SIZE_MAX;
    return mem->used < mem->limit ? mem->limit - mem->used : 1;
}

static enum status history_begin(struct feed *feed,
                                 struct subscription *subscription)
{
    const struct commands_log *log = feed_log(feed);
    const struct feed_history_options options = {
        .io = termlog_io(log->log),
        .store_id = termlog_store_id(log->log),
        .from = subscription->next,
        .memory_limit = history_memory(feed),
    };
    enum status st =
        feed_history_create(feed->commands->mem, &options, &feed->history);

    if (st < 0)
        return st;
    feed->history_of = subscription;
    feed->history_status = ST_OK;
    feed->history_moved_s = feed->clock();
    feed->wanted = false;
    if (!history_go_on(feed, subscription->next))
        history_forget(feed);
    return ST_OK;
}

/* The subscription ends, and the client is told so. */
static enum status overflow(struct feed *feed,
                            struct subscription *subscription)
{
    enum status st = event_overflow(feed->commands->out, subscription->name,
                                    subscription->next);

    if (st == ST_OK)
        subscription->over = true;
    return st;
}

static enum status tell_history(struct feed *feed,
                                struct subscription *subscription,
                                struct bytes entries)
{
    struct telling telling = telling_of(feed, subscription);
    size_t bytes = tell_run(&telling, entries);
    enum status st = telling_end(&telling);

    if (st == ST_OK) {
        feed_history_take(feed->history, bytes);
        feed->history_moved_s = feed->clock();
    }
    return st;
}

/* The subscription is behind and has this history, of which no job runs. */
static enum status pump_history(struct feed *feed,
                                struct subscription *subscription,
                                bool *ret_again)
{
    struct bytes entries = feed_history_entries(feed->history);

    if (entries.size) {
        *ret_again = true;
        return tell_history(feed, subscription, entries);
    }
    if (feed->history_status < 0) {
        feed->failed_seq = subscription->next;
        feed->failed_s = feed->clock();
        return overflow(feed, subscription);
    }
    if (!history_go_on(feed, subscription->next))
        history_close(feed);
    return ST_OK;
}

static enum status pump_behind(struct feed *feed,
                               struct subscription *subscription,
                               bool *ret_again)
{
    if (feed->history && feed->history_of == subscription)
        return feed->running ? ST_OK
                             : pump_history(feed, subscription, ret_again);
    if (subscription->next < oldest_logged(feed))
        return overflow(feed, subscription);
    if (feed->history) {
        feed->wanted = true;
        return ST_OK;
    }
    return history_begin(feed, subscription);
}

/* Takes the history from a subscriber that does not acknowledge. */
static void history_look(struct feed *feed)
{
    uint64_t patience =
        feed->wanted ? PATIENCE_SECONDS_IF_WANTED : PATIENCE_SECONDS;

    if (!feed->history || !feed->history_of || feed->running ||
        feed->history_of->unacknowledged < WINDOW_BYTES)
        return;
    if (feed->clock() - feed->history_moved_s > patience)
        history_close(feed);
}

/* --- the pump ----------------------------------------------------------- */

/* Up to where changes may be told. */
static uint64_t tellable(const struct feed *feed)
{
    const struct commands_log *log = feed_log(feed);

    if (log && log->policy == SYNC_ALWAYS)
        return termlog_durable(log->log);
    return store_seq(feed->commands->store);
}

/*
 * The first seq from which a client can go on, here or after a restart. What
 * the ring has beyond the log does not count: it goes with the process.
 */
static uint64_t oldest_lasting(const struct feed *feed)
{
    return feed_log(feed) ? oldest_logged(feed) : feed->ring.first_seq;
}

/* True if the client has seen no seq behind which it could go on, but could
 * be shown one: all before `next` was told, or was not for it. */
static bool wants_mark(const struct feed *feed,
                       const struct subscription *subscription)
{
    return feed->oldest > subscription->told + 1 &&
           subscription->next >= feed->oldest &&
           subscription->next > feed->bound && !subscription->over &&
           subscription->unacknowledged < WINDOW_BYTES;
}

static enum status pump_one(struct feed *feed,
                            struct subscription *subscription)
{
    enum status st = ST_OK;
    bool again = true;

    while (st == ST_OK && again && subscription->next <= feed->bound &&
           subscription->unacknowledged < WINDOW_BYTES) {
        if (writer_size(feed->commands->out) >= PUMP_BYTES) {
            feed->more = true;
            break;
        }
        again = subscription->next >= feed->ring.first_seq;
        if (again)
            st = tell_ring(feed, subscription);
        else
            st = pump_behind(feed, subscription, &again);
    }
    if (st == ST_OK && wants_mark(feed, subscription)) {
        if (writer_size(feed->commands->out) >= PUMP_BYTES)
            feed->more = true;
        else
            st = tell_mark(feed, subscription);
    }
    /* It has caught up. */
    if (feed->history_of == subscription && !feed->running &&
        subscription->next >= feed->ring.first_seq)
        history_close(feed);
    return st;
}

static enum status pump_all(struct feed *feed)
{
    enum status st = ST_OK;

    for (uint32_t n = 0; n < feed->count && st == ST_OK; n++) {
        uint32_t index = (feed->turn + n) % feed->count;

        st = pump_one(feed, feed->subscriptions[index]);
        if (feed->more) {
            feed->turn = index;
            break;
        }
    }
    return st;
}

enum status feed_pump(struct feed *feed)
{
    uint64_t next_seq = store_seq(feed->commands->store) + 1;
    uint64_t bound;
    uint64_t oldest;
    enum status st;

    feed->more = false;
    if (feed->stopped)
        return ST_OK;
    if (!feed->count) {
        look_at_ring(feed);
        return ST_OK;
    }
    if (feed->ring.next_seq != next_seq) /* something was not noted */
        ring_restart(&feed->ring, next_seq);
    history_look(feed);
    bound = tellable(feed);
    oldest = oldest_lasting(feed);
    if (bound == feed->bound && oldest == feed->oldest && !feed->stirred)
        return ST_OK;
    feed->bound = bound;
    feed->oldest = oldest;
    feed->stirred = false;
    st = pump_all(feed);
    sweep(feed);
    if (feed->more || st < 0)
        feed->stirred = true;
    return st;
}

bool feed_more(const struct feed *feed)
{
    return feed->more;
}

/* --- lifetime ----------------------------------------------------------- */

enum status feed_create(struct commands *commands, struct feed **ret)
{
    struct feed *feed = mem_zalloc(commands->mem, sizeof(*feed));

    if (!feed)
        return ST_NO_MEMORY;
    feed->job = (struct job){on_run, on_end};
    feed->commands = commands;
    feed->clock = seconds;
    feed->scratch = BUFFER(commands->mem);
    ring_init(&feed->ring, commands->mem, 0);
    *ret = feed;
    return ST_OK;
}

void feed_set_clock(struct feed *feed, uint64_t (*clock)(void))
{
    feed->clock = clock;
}

void feed_stop(struct feed *feed)
{
    feed->stopped = true;
    if (feed->running)
        feed_history_cancel(feed->history);
}

void feed_free(struct feed *feed)
{
    struct mem *mem;

    if (!feed)
        return;
    REQUIRE(!feed->running);
    mem = feed->commands->mem;
    for (uint32_t i = 0; i < feed->count; i++)
        subscription_free(feed, feed->subscriptions[i]);
    mem_free(mem, feed->subscriptions,
             feed->capacity * sizeof(*feed->subscriptions));
    ring_restart(&feed->ring, 0);
    buffer_free(&feed->scratch);
    feed_history_free(feed->history);
    mem_free(mem, feed, sizeof(*feed));
}
