/*
 * complaint.c -- what went wrong, as {error, {Code, Message, Details}}.
 *
 * What is known comes from three places: the command's complaint, what the
 * store says of its last fault, and the general sentence of the status. An
 * error answer must fit into WRITER_ERROR_BYTES_MAX, so terms in its details
 * are small or left out.
 */
#include <stdio.h>

#include "core/etf.h"
#include "port/call.h"

/* The largest key or name that an error's details repeat. */
#define DETAIL_BYTES_MAX 255

/* A sentence for what the general one would leave open. */
const char *call_error_text(const struct call *call, enum status st, char *room)
{
    const struct complaint *complaint = &call->complaint;
    bool writes = call->command && (call->command->flags & CMD_WRITE);
    const char *text = complaint->text;

    if (!text && writes)
        text = store_fault(call->store)->text;
    if (!text)
        text = status_text(st);

    switch (st) {
    case ST_WRONG_ARITY:
        snprintf(room, MESSAGE_BYTES_MAX, "%s takes %u argument%s, not %u",
                 call->command->name, call->command->arity,
                 call->command->arity == 1 ? "" : "s", complaint->given);
        return room;
    case ST_BAD_ARGUMENT:
        if (!complaint->argument || !call->command)
            return text;
        snprintf(room, MESSAGE_BYTES_MAX, "argument %u of %s: %s",
                 call->argument, call->command->name, text);
        return room;
    default:
        return text;
    }
}

/* Is store_fault() about this error? Reads of graphs fail in the same words,
 * and leave none. */
static bool fault_counts(const struct call *call, enum status st)
{
    bool writes = call->command && call->command->flags & CMD_WRITE;

    if (st == ST_NO_VERTEX || st == ST_BAD_WEIGHT)
        return writes;
    return st == ST_MISSING_REFERENCE || st == ST_RESTRICTED ||
           st == ST_NOT_FOUND;
}

struct details {
    struct writer *out;
    uint32_t count;
};

static void detail_u64(struct details *details, const char *name,
                       uint64_t value)
{
    put_atom(details->out, name);
    put_u64(details->out, value);
    details->count++;
}

static void detail_term(struct details *details, const char *name,
                        struct bytes term)
{
    if (term.size == 0 || term.size > DETAIL_BYTES_MAX)
        return;
    put_atom(details->out, name);
    put_term(details->out, term);
    details->count++;
}

/* An encoded key as a term, if both are small. */
static void detail_key(struct details *details, const char *name,
                       struct bytes key)
{
    size_t before = writer_size(details->out);
    size_t start;

    if (key.size == 0 || key.size > DETAIL_BYTES_MAX)
        return;
    put_atom(details->out, name);
    start = writer_size(details->out);
    put_key(details->out, key);
    if (details->out->status < 0 ||
        writer_size(details->out) - start > DETAIL_BYTES_MAX) {
        details->out->status = ST_OK;
        put_truncate(details->out, before);
        return;
    }
    details->count++;
}

/* What a command has put together itself: left out if there is no memory. */
static void detail_extra(struct details *details,
                         const struct complaint *complaint)
{
    size_t before = writer_size(details->out);

    if (complaint->extra_count == 0)
        return;
    put_term(details->out, complaint->extra);
    if (details->out->status < 0) {
        details->out->status = ST_OK;
        put_truncate(details->out, before);
        return;
    }
    details->count += complaint->extra_count;
}

static void put_details(const struct call *call, enum status st,
                        struct details *details)
{
    const struct complaint *complaint = &call->complaint;
    const struct fault *fault = store_fault(call->store);

    if (fault_counts(call, st) && fault->table.size)
        detail_key(details, "table", fault->table);
    else
        detail_term(details, "table", complaint->table);
    if (complaint->key.size)
        detail_key(details, "key", complaint->key);
    else if (fault_counts(call, st))
        detail_key(details, "key", fault->key);
    else
        detail_term(details, "key", complaint->key_term);
    if (complaint->argument)
        detail_u64(details, "argument", call->argument);
    if (complaint->position >= 0)
        detail_u64(details, "position", (uint64_t)complaint->position);
    if (complaint->index >= 0)
        detail_u64(details, "index", (uint64_t)complaint->index);
    if (st == ST_TOO_DEEP)
        detail_u64(details, "limit", ETF_DEPTH_MAX);
    else if (complaint->limit)
        detail_u64(details, "limit", complaint->limit);
    if (st == ST_WRONG_ARITY)
        detail_u64(details, "arity", call->command->arity);
    detail_term(details, "command", complaint->name);
    detail_extra(details, complaint);
}

void call_put_error(struct call *call, enum status st)
{
    struct writer *out = call->out;
    struct details details = {out, 0};
    char room[MESSAGE_BYTES_MAX];
    const char *text;
    size_t map;

    if (st == ST_MEMORY_LIMIT && store_mem(call->store)->limit != SIZE_MAX)
        call->complaint.limit = store_mem(call->store)->limit;
    writer_reply_reset(out);
    text = call_error_text(call, st, room);
    put_tuple(out, 2);
    put_atom(out, "error");
    put_tuple(out, 3);
    put_atom(out, status_atom(st));
    put_binary(out, bytes_of(text, strlen(text)));
    map = writer_size(out);
    put_map(out, 0); /* the count is patched below */
    put_details(call, st, &details);
    store_be32(out->out.data + map + 1, details.count);
}
