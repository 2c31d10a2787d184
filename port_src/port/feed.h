/*
 * feed.h -- committed changes, told to subscribers in their order.
 *
 * A subscription is told every mutation of the head from one seq on that
 * touches its tables, in `changes` events, as fast as it acknowledges them:
 * WINDOW_BYTES may be on their way. What is told is committed, and durable
 * where the policy is `always`. A subscriber that is too slow for the history
 * in memory goes on from the log, or is told `overflow` and is one no more.
 */
#ifndef RHIZOME_PORT_FEED_H
#define RHIZOME_PORT_FEED_H

#include "core/buffer.h"
#include "core/store.h"
#include "port/versions.h"

struct commands;
struct writer;
struct feed;

enum status feed_create(struct commands *commands, struct feed **ret);

/* No job of it may be running. NULL is accepted. */
void feed_free(struct feed *feed);

/*
 * A mutation of the head is about to be committed as `seq`: to be called right
 * before store_commit(), when it cannot fail any more. Costs nothing while
 * there is no subscription, else an encoding of what was changed. Without
 * memory for that the history breaks off, and the mutation goes on.
 */
void feed_note(struct feed *feed, uint64_t seq);

/*
 * Puts events while credit lasts. To be called when requests were carried out,
 * when replies were released and when a job has ended; not while output is
 * blocked. Errors, and nothing is lost: ST_NO_MEMORY.
 */
enum status feed_pump(struct feed *feed);

/* True if the last feed_pump() has left something that it could put at once:
 * it is to be called again when the writer has been emptied. */
bool feed_more(const struct feed *feed);

/* The session ends: nothing more is told, and a job ends soon. */
void feed_stop(struct feed *feed);

/* Ends all subscriptions of a holder: how many there were. */
uint64_t feed_release_holder(struct feed *feed, int64_t holder);

/* Puts `subscriptions => N`, one field of a map. */
void feed_put_info(const struct feed *feed, struct writer *out);

/* --- for the commands --------------------------------------------------- */

#define FEED_SUBSCRIPTIONS_MAX 1000
#define FEED_TABLES_MAX 1000

/* Which tables a subscription is for. */
struct feed_filter {
    bool all; /* but those that are the daemon's own */
    uint32_t count;
    struct buffer tables; /* struct feed_table, by hash when complete */
    struct buffer names;
};

void feed_filter_init(struct feed_filter *filter, struct mem *mem);
void feed_filter_deinit(struct feed_filter *filter);

/* A name more, an encoded key; it is copied. ST_NO_MEMORY. */
enum status feed_filter_add(struct feed_filter *filter, struct bytes name);

/* What a subscription comes to. */
struct feed_start {
    uint64_t seq;    /* of the store: all later ones will be told */
    uint64_t oldest; /* ST_NO_HISTORY: the first that could be told */
};

/*
 * A new subscription, which is to be told from the seq `from` on; 0: what
 * comes next. Takes the filter over on success. Errors: ST_BAD_ARGUMENT if
 * there is one of this name, ST_TOO_BIG if there are FEED_SUBSCRIPTIONS_MAX or
 * their names take too much, ST_NO_HISTORY, ST_NO_MEMORY.
 */
enum status feed_subscribe(struct feed *feed, struct version_name name,
                           struct feed_filter *filter, uint64_t from,
                           struct feed_start *ret);

/* False if there is none. */
bool feed_unsubscribe(struct feed *feed, struct version_name name);

/* So many bytes have been dealt with. Unknown names are let pass: an
 * acknowledgement may cross an overflow. */
void feed_ack(struct feed *feed, struct version_name name, uint64_t bytes);

/* For tests: another clock, in seconds. */
void feed_set_clock(struct feed *feed, uint64_t (*clock)(void));

#endif
