/*
 * cmd_feed.c -- commands about the change feed (feed.h).
 */
#include "core/etf.h"
#include "port/call.h"

static enum status call_subscription(struct call *call,
                                     struct version_name *ret)
{
    call->argument++;
    if (!reader_tuple_of(&call->args, 2) ||
        !reader_integer(&call->args, &ret->holder) ||
        !reader_integer(&call->args, &ret->number) || ret->holder < 0 ||
        ret->number < 0)
        return call_bad(call, "must be {Holder, Number}, two integers from 0");
    return ST_OK;
}

static enum status too_many(struct call *call, uint64_t limit, const char *text)
{
    call->complaint.limit = limit;
    return call_fail(call, ST_TOO_BIG, text);
}

static enum status add_table(struct call *call, struct reader *reader,
                             struct feed_filter *filter)
{
    struct bytes name;
    enum status st;

    if (filter->count == FEED_TABLES_MAX)
        return too_many(call, FEED_TABLES_MAX,
                        "a subscription names more tables than `limit`");
    st = call_encode(call, reader, SCRATCH_NAME, &name);
    if (st < 0)
        return st;
    if (name.size > TABLE_NAME_BYTES_MAX)
        return too_many(call, TABLE_NAME_BYTES_MAX,
                        "a table's name takes more bytes than `limit`");
    return feed_filter_add(filter, name);
}

/* all, or names of tables that need not exist. */
static enum status call_tables(struct call *call, struct feed_filter *filter)
{
    static const char text[] = "must be all or a list of tables";
    struct bytes word;
    struct list list;
    enum status st = ST_OK;

    call->argument++;
    if (reader_atom(&call->args, &word)) {
        filter->all = bytes_equal(word, BYTES("all"));
        return filter->all ? ST_OK : call_bad(call, text);
    }
    if (!reader_list(&call->args, &list))
        return call_bad(call, text);
    for (int64_t i = 0; list.left > 0 && st == ST_OK; i++) {
        st = add_table(call, list_next(&list), filter);
        if (st < 0)
            call->complaint.position = i;
    }
    if (st == ST_OK && !list_close(&list))
        return call_bad(call, "must be a proper list");
    return st;
}

/* now (0), or the first seq that is wanted. */
static enum status call_from(struct call *call, uint64_t *ret)
{
    static const char text[] = "must be now or a seq";
    struct bytes word;
    int64_t seq;

    call->argument++;
    *ret = 0;
    if (reader_atom(&call->args, &word))
        return bytes_equal(word, BYTES("now")) ? ST_OK : call_bad(call, text);
    if (!reader_integer(&call->args, &seq) || seq < 0)
        return call_bad(call, text);
    *ret = seq ? (uint64_t)seq : 1; /* nothing has the seq 0 */
    return ST_OK;
}

/* #{oldest => Seq} in the details. */
static enum status no_history(struct call *call, uint64_t oldest)
{
    struct buffer *extra = call_scratch(call, SCRATCH_KEY);

    if (etf_put_atom(extra, "oldest") == ST_OK &&
        etf_put_u64(extra, oldest) == ST_OK) {
        call->complaint.extra = buffer_bytes(extra);
        call->complaint.extra_count = 1;
    }
    return call_fail(call, ST_NO_HISTORY,
                     "the changes from this seq on cannot be told; those "
                     "from `oldest` on can");
}

static enum status subscribe(struct call *call, struct version_name name,
                             struct feed_filter *filter)
{
    struct feed_start start;
    uint64_t from;
    enum status st = call_tables(call, filter);

    if (st == ST_OK)
        st = call_from(call, &from);
    if (st < 0)
        return st;
    st = feed_subscribe(call->commands->feed, name, filter, from, &start);
    switch (st) {
    case ST_OK:
        put_tuple(call->out, 2);
        put_atom(call->out, "subscribed");
        put_u64(call->out, start.seq);
        return ST_OK;
    case ST_BAD_ARGUMENT:
        return call_fail(call, st, "there is a subscription of this name");
    case ST_TOO_BIG:
        return too_many(call, FEED_SUBSCRIPTIONS_MAX,
                        "there are as many subscriptions as may be, or they "
                        "name too many tables");
    case ST_NO_HISTORY:
        return no_history(call, start.oldest);
    default:
        return st;
    }
}

enum status cmd_subscribe(struct call *call)
{
    struct version_name name;
    struct feed_filter filter;
    enum status st = call_subscription(call, &name);

    if (st < 0)
        return st;
    feed_filter_init(&filter, call->commands->mem);
    st = subscribe(call, name, &filter);
    feed_filter_deinit(&filter);
    return st;
}

enum status cmd_unsubscribe(struct call *call)
{
    struct version_name name;
    enum status st = call_subscription(call, &name);

    if (st < 0)
        return st;
    put_atom(call->out, feed_unsubscribe(call->commands->feed, name)
                            ? "unsubscribed"
                            : "absent");
    return ST_OK;
}

enum status cmd_feed_ack(struct call *call)
{
    struct version_name name;
    int64_t bytes;
    enum status st = call_subscription(call, &name);

    if (st < 0)
        return st;
    call->argument++;
    if (!reader_integer(&call->args, &bytes) || bytes < 0)
        return call_bad(call, "must be a count of bytes");
    feed_ack(call->commands->feed, name, (uint64_t)bytes);
    put_atom(call->out, "ok");
    return ST_OK;
}
