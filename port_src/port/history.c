/*
 * history.c -- a second store that follows the first one.
 *
 *     ckpt-S0   log-...   log-...   log-...   log-...
 *     '--- recovery, until from - 1 ---'|---- slices ---->|
 *                                      from             written
 *
 * The first part is recovery as at a start (log/recover.h), told to stop. It
 * is tried again when a checkpoint came in between and took files away that
 * the manifest had just listed; if that checkpoint is newer than what is
 * wanted, it answers ST_NOT_FOUND.
 *
 * The second part reads the segments by itself, for it must be able to stop
 * after any record and to go on where the log has grown since. Names are asked
 * for when a slice begins and when a segment has ended; up to SEGMENTS_AHEAD
 * are open at a time.
 *
 * All that belongs to this, the store too, is on accounts of its own: it is
 * used by a worker and by the loop in turn, never by both at once.
 */
#include "port/history.h"

#include <stdatomic.h>

#include "log/reader.h"
#include "log/recover.h"
#include "port/changes.h"
#include "port/replay.h"

#define SEGMENTS_AHEAD 16

/* How often the store is built before a moving directory is given up. */
#define BUILD_TRIES 4

struct segment {
    uint64_t first_seq;
    struct log_reader *reader;
};

struct feed_history {
    struct mem *loop_mem; /* of this struct alone */
    struct io *io;
    uint8_t store_id[STORE_ID_BYTES];
    uint64_t from;
    size_t memory_limit;
    atomic_bool cancelled;
    bool over_limit; /* and cancelled for that */

    bool built;

    struct mem mem; /* of everything below but the store */
    struct store *store;
    struct replayer *replayer;
    struct segment segments[SEGMENTS_AHEAD]; /* the first is being read */
    unsigned segment_count;
    uint64_t opened; /* the first seq of the last segment opened */
    struct buffer entries;
    size_t taken; /* bytes of `entries` */
};

/* --- lifetime ----------------------------------------------------------- */

enum status feed_history_create(struct mem *mem,
                                const struct feed_history_options *options,
                                struct feed_history **ret)
{
    struct feed_history *history = mem_zalloc(mem, sizeof(*history));

    if (!history)
        return ST_NO_MEMORY;
    REQUIRE(options->from > 0);
    history->loop_mem = mem;
    history->io = options->io;
    memcpy(history->store_id, options->store_id, STORE_ID_BYTES);
    history->from = options->from;
    history->memory_limit = options->memory_limit;
    atomic_init(&history->cancelled, false);
    mem_init(&history->mem, 0);
    history->entries = BUFFER(&history->mem);
    *ret = history;
    return ST_OK;
}

static void free_store(struct feed_history *history)
{
    replayer_free(history->replayer);
    store_free(history->store);
    history->replayer = NULL;
    history->store = NULL;
}

void feed_history_dismantle(struct feed_history *history)
{
    free_store(history);
    while (history->segment_count)
        log_reader_close(history->segments[--history->segment_count].reader);
    buffer_free(&history->entries);
    history->taken = 0;
    history->built = false;
}

void feed_history_free(struct feed_history *history)
{
    if (!history)
        return;
    feed_history_dismantle(history);
    REQUIRE(history->mem.used == 0);
    mem_free(history->loop_mem, history, sizeof(*history));
}

void feed_history_cancel(struct feed_history *history)
{
    atomic_store(&history->cancelled, true);
}

bool feed_history_cancelled(const struct feed_history *history)
{
    return atomic_load(&history->cancelled);
}

struct bytes feed_history_entries(const struct feed_history *history)
{
    return bytes_of(history->entries.data + history->taken,
                    history->entries.size - history->taken);
}

void feed_history_take(struct feed_history *history, size_t bytes)
{
    REQUIRE(bytes <= history->entries.size - history->taken);
    history->taken += bytes;
}

/* --- one mutation ------------------------------------------------------- */

/* No limit counts while a log is carried out again: this does. */
static bool is_too_large(const struct feed_history *history)
{
    return store_mem(history->store)->used > history->memory_limit;
}

/* Before a mutation that is to be told is committed. */
static enum status on_applied(void *context, uint64_t seq)
{
    struct feed_history *history = context;

    if (is_too_large(history))
        return ST_MEMORY_LIMIT;
    return changes_encode(history->store, seq, HISTORY_ENTRY_BYTES_MAX,
                          &history->entries);
}

/* --- the store as it was ------------------------------------------------ */

static void watch(void *context, uint64_t done, uint64_t total)
{
    struct feed_history *history = context;

    (void)done;
    (void)total;
    if (!is_too_large(history))
        return;
    history->over_limit = true;
    feed_history_cancel(history);
}

static enum status make_store(struct feed_history *history)
{
    enum status st = store_create(NULL, &history->store);

    if (st < 0)
        return st;
    return replayer_create(history->store, &history->mem, &history->replayer);
}

/* One attempt; ST_IO and ST_LOG_REFUSED may be another one's luck. */
static enum status try_to_build(struct feed_history *history)
{
    struct recovery_options options = {
        .apply = replayer_apply,
        .progress = {watch, history},
        .expect_store = history->store_id,
        .until = history->from - 1,
        .cancel = &history->cancelled,
    };
    struct recovery recovery;
    int error;
    enum status st;

    free_store(history);
    st = make_store(history);
    if (st < 0)
        return st;
    options.context = history->replayer;
    st = recover_directory(history->io, history->store, &options, &history->mem,
                           &recovery, &error);
    recovery_free(&recovery);
    if (st == ST_OK && (recovery.verdict != RECOVERY_OK ||
                        store_seq(history->store) != history->from - 1))
        st = ST_LOG_REFUSED;
    return st;
}

static enum status build(struct feed_history *history)
{
    enum status st = ST_IO;

    for (unsigned i = 0; i < BUILD_TRIES && !feed_history_cancelled(history);
         i++) {
        st = try_to_build(history);
        if (st != ST_IO && st != ST_LOG_REFUSED)
            break;
    }
    if (history->over_limit)
        return ST_MEMORY_LIMIT;
    if (feed_history_cancelled(history))
        return ST_CANCELLED;
    if (st == ST_OK) {
        store_set_keeps_values(history->store, true);
        replayer_set_applied(history->replayer, on_applied, history);
        history->built = true;
    }
    return st;
}

/* --- segments ----------------------------------------------------------- */

/* Which segments there are: the first seqs of those that are wanted next. */
struct listing {
    uint64_t wanted; /* a segment that begins behind this is of no use ... */
    uint64_t holder; /* ... but for the last one at or before it */
    uint64_t opened; /* none of these again */
    uint64_t first_seqs[SEGMENTS_AHEAD]; /* ascending */
    unsigned count;
};

/* Keeps the lowest ones. */
static void listing_add(struct listing *listing, uint64_t first_seq)
{
    unsigned at = listing->count;

    if (at == SEGMENTS_AHEAD) {
        if (first_seq > listing->first_seqs[at - 1])
            return;
        at--;
    } else {
        listing->count++;
    }
    while (at > 0 && listing->first_seqs[at - 1] > first_seq) {
        listing->first_seqs[at] = listing->first_seqs[at - 1];
        at--;
    }
    listing->first_seqs[at] = first_seq;
}

static void list_one(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t first_seq;

    if (!segment_name_parse(name, &first_seq) || first_seq <= listing->opened)
        return;
    if (first_seq > listing->wanted)
        listing_add(listing, first_seq);
    else if (first_seq > listing->holder)
        listing->holder = first_seq;
}

/* Opens the segment that begins with `first_seq`, behind the others. */
static enum status open_segment(struct feed_history *history,
                                uint64_t first_seq)
{
    struct segment *segment = &history->segments[history->segment_count];
    const struct file_header *header;
    char name[FILE_NAME_BYTES];
    int error;
    enum status st;

    segment_name(name, first_seq);
    segment->first_seq = first_seq;
    st = log_reader_open(history->io, name, &history->mem, &segment->reader,
                         &error);
    if (st < 0)
        return st;
    header = log_reader_header(segment->reader);
    if (!header || header->kind != FILE_LOG || header->first_seq != first_seq ||
        memcmp(header->store_id, history->store_id, STORE_ID_BYTES) != 0) {
        log_reader_close(segment->reader);
        return ST_LOG_REFUSED;
    }
    history->segment_count++;
    history->opened = first_seq;
    return ST_OK;
}

/* Opens what can be: the segment of `next` first if none is open. One that
 * cannot be opened, or is only being made, is looked at again when it is due.
 */
static enum status open_ahead(struct feed_history *history, uint64_t next)
{
    struct listing listing = {
        .wanted = next,
        .opened = history->opened,
    };
    enum status st = ST_OK;

    if (history->segment_count == SEGMENTS_AHEAD)
        return ST_OK;
    if (io_list(history->io, list_one, &listing) < 0)
        return ST_IO;
    if (!history->segment_count) {
        if (!listing.holder)
            return ST_NOT_FOUND;
        st = open_segment(history, listing.holder);
    }
    for (unsigned i = 0; st == ST_OK && i < listing.count &&
                         history->segment_count < SEGMENTS_AHEAD;
         i++)
        if (open_segment(history, listing.first_seqs[i]) < 0)
            break;
    return st;
}

/* The segment being read has ended: goes on to the one that holds `next`. */
static enum status next_segment(struct feed_history *history, uint64_t next)
{
    struct segment *segments = history->segments;
    enum status st = ST_OK;

    log_reader_close(segments[0].reader);
    history->segment_count--;
    memmove(segments, segments + 1, history->segment_count * sizeof(*segments));
    if (!history->segment_count)
        st = open_ahead(history, next);
    if (st == ST_OK && segments[0].first_seq != next)
        st = ST_LOG_REFUSED; /* a gap */
    return st;
}

/* The mutation `next`, which has been written. Borrowed until the next one. */
static enum status read_mutation(struct feed_history *history, uint64_t next,
                                 struct record *ret)
{
    enum status st = ST_OK;
    int error;

    while (st == ST_OK) {
        struct log_reader *reader = history->segments[0].reader;

        switch (log_reader_next(reader, ret)) {
        case LOG_RECORD:
            if (ret->type != RECORD_MUTATION || ret->seq < next)
                continue;
            return ret->seq == next ? ST_OK : ST_LOG_REFUSED;
        case LOG_END:
            st = next_segment(history, next);
            break;
        case LOG_BAD:
            return ST_LOG_REFUSED;
        case LOG_FAILED:
            return log_reader_status(reader, &error);
        }
    }
    return st;
}

/* --- a slice ------------------------------------------------------------ */

static enum status tell_one(struct feed_history *history, uint64_t seq)
{
    const char *why;
    struct record record;
    enum status st = read_mutation(history, seq, &record);

    if (st < 0)
        return st;
    st = replayer_apply(
        history->replayer, seq,
        bytes_of(record.payload.data + 1, record.payload.size - 1), &why);
    if (st < 0 && st != ST_NO_MEMORY && st != ST_MEMORY_LIMIT &&
        st != ST_TOO_BIG)
        return ST_LOG_REFUSED; /* what was carried out once is rejected now */
    return st;
}

enum status feed_history_run(struct feed_history *history, uint64_t until)
{
    enum status st = ST_OK;

    REQUIRE(history->taken == history->entries.size);
    history->entries.size = 0;
    history->taken = 0;
    if (history->entries.capacity > 2 * HISTORY_SLICE_BYTES)
        buffer_free(&history->entries);
    if (!history->built)
        st = build(history);
    if (st == ST_OK && until > store_seq(history->store))
        st = open_ahead(history, store_seq(history->store) + 1);
    while (st == ST_OK && store_seq(history->store) < until &&
           history->entries.size < HISTORY_SLICE_BYTES) {
        if (feed_history_cancelled(history))
            return ST_CANCELLED;
        st = tell_one(history, store_seq(history->store) + 1);
    }
    return st;
}
