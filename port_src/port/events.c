/*
 * events.c -- the terms of the events.
 */
#include "port/events.h"

#include <errno.h>
#include <unistd.h>

#include "core/etf.h"

static void put_field(struct writer *out, const char *name, uint64_t value)
{
    put_atom(out, name);
    put_u64(out, value);
}

static void put_text(struct writer *out, const char *text)
{
    put_binary(out, bytes_of(text, strlen(text)));
}

static void put_text_field(struct writer *out, const char *name,
                           const char *text)
{
    put_atom(out, name);
    put_text(out, text);
}

/* Completes the event, or takes back what there is of it. */
static enum status event_finish(struct writer *out)
{
    enum status st = writer_status(out);

    if (st < 0)
        writer_reply_drop(out);
    else
        writer_event_end(out);
    return st;
}

void put_digest(struct writer *out, struct digest digest)
{
    uint8_t bytes[DIGEST_BYTES];

    digest_store(bytes, digest);
    put_binary(out, bytes_of(bytes, sizeof(bytes)));
}

void put_sync_policy(struct writer *out, const struct commands_log *log)
{
    if (!log) {
        put_atom(out, "memory");
    } else if (log->policy == SYNC_INTERVAL) {
        put_tuple(out, 2);
        put_atom(out, "interval");
        put_u64(out, log->interval_ms);
    } else {
        put_atom(out, log->policy == SYNC_ALWAYS ? "always" : "none");
    }
}

/* --- the start ---------------------------------------------------------- */

static void put_torn(struct writer *out, const struct recovery *recovery)
{
    put_map(out, 5);
    put_text_field(out, "file", recovery->file);
    put_field(out, "offset", recovery->offset);
    put_field(out, "bytes", recovery->torn_bytes);
    put_field(out, "seq", recovery->seq);
    put_text_field(out, "saved", recovery->saved);
}

static void put_recovered(struct writer *out, const struct opening *opening)
{
    const struct recovery *recovery = &opening->recovery;

    put_map(out, 7);
    put_field(out, "checkpoint", recovery->checkpoint);
    put_field(out, "records", recovery->records);
    put_field(out, "bytes", recovery->bytes);
    put_field(out, "ms", opening->ms);
    put_atom(out, "fresh");
    put_bool(out, recovery->fresh);
    put_atom(out, "clean");
    put_bool(out, recovery->clean);
    put_atom(out, "torn");
    if (recovery->verdict == RECOVERY_TORN)
        put_torn(out, recovery);
    else
        put_atom(out, "none");
}

enum status event_hello(struct writer *out, const struct commands *commands,
                        const struct store *store, size_t frame_bytes_max,
                        const struct opening *opening)
{
    const struct commands_log *log = commands_log(commands);
    enum status st = writer_event_begin(out, "hello");

    if (st < 0)
        return st;
    put_map(out, 9);
    put_field(out, "protocol", PROTOCOL_VERSION);
    put_text_field(out, "version", RHIZOME_VERSION);
    put_field(out, "seq", store_seq(store));
    put_field(out, "os_pid", (uint64_t)getpid());
    put_field(out, "frame_bytes_max", frame_bytes_max);
    put_atom(out, "store_id");
    if (log)
        put_binary(out, bytes_of(termlog_store_id(log->log), STORE_ID_BYTES));
    else
        put_atom(out, "none");
    put_field(out, "durable_seq", log ? termlog_durable(log->log) : 0);
    put_atom(out, "sync");
    put_sync_policy(out, log);
    put_atom(out, "recovered");
    if (opening)
        put_recovered(out, opening);
    else
        put_atom(out, "none");
    return event_finish(out);
}

enum status event_recovering(struct writer *out, uint64_t done, uint64_t total)
{
    enum status st = writer_event_begin(out, "recovering");

    if (st < 0)
        return st;
    put_map(out, 2);
    put_field(out, "done", done);
    put_field(out, "total", total);
    return event_finish(out);
}

/* The name of an errno in lower case, as an atom. */
static const char *errno_atom(int error)
{
    static const struct {
        int error;
        const char *atom;
    } names[] = {
        {EACCES, "eacces"},   {EPERM, "eperm"},
        {ENOENT, "enoent"},   {ENOTDIR, "enotdir"},
        {EISDIR, "eisdir"},   {EROFS, "erofs"},
        {ENOSPC, "enospc"},   {EDQUOT, "edquot"},
        {EFBIG, "efbig"},     {EIO, "eio"},
        {ELOOP, "eloop"},     {ENAMETOOLONG, "enametoolong"},
        {EMFILE, "emfile"},   {ENFILE, "enfile"},
        {EEXIST, "eexist"},   {EINVAL, "einval"},
        {ENODATA, "enodata"}, {EBUSY, "ebusy"},
        {ENODEV, "enodev"},   {ENXIO, "enxio"},
        {ENOLCK, "enolck"},   {EOPNOTSUPP, "eopnotsupp"},
        {ENOSYS, "enosys"},   {ESTALE, "estale"},
        {ETXTBSY, "etxtbsy"}, {ENOTEMPTY, "enotempty"},
        {ENOMEM, "enomem"},   {EAGAIN, "eagain"},
        {EINTR, "eintr"},     {ECANCELED, "ecanceled"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].error == error)
            return names[i].atom;
    return "unknown";
}

/* What log_refused tells, as far as it applies. */
static void put_refused(struct writer *out, const struct recovery *recovery)
{
    bool missing = recovery->missing_to > 0;
    bool proof = recovery->proof_file[0] != '\0';
    bool place = recovery->file[0] != '\0';

    put_map(out, 2u * place + 2u * missing + 2u * proof);
    if (place) {
        put_text_field(out, "file", recovery->file);
        put_field(out, "offset", recovery->offset);
    }
    if (missing) {
        put_field(out, "missing_from", recovery->missing_from);
        put_field(out, "missing_to", recovery->missing_to);
    }
    if (proof) {
        put_text_field(out, "proof_file", recovery->proof_file);
        put_field(out, "proof_offset", recovery->proof_offset);
    }
}

static void put_failed_details(struct writer *out,
                               const struct opening *opening)
{
    switch (opening->failed) {
    case ST_LOG_REFUSED:
        put_refused(out, &opening->recovery);
        break;
    case ST_LOCKED:
        put_map(out, 1);
        put_field(out, "os_pid", (uint64_t)opening->holder);
        break;
    case ST_IO:
    case ST_LOG_FULL:
        put_map(out, 2);
        put_text_field(out, "file", opening->file);
        put_atom(out, "errno");
        put_atom(out, errno_atom(opening->error));
        break;
    default:
        put_map(out, 0);
    }
}

enum status event_failed(struct writer *out, const struct opening *opening)
{
    enum status st = writer_event_begin(out, "failed");

    if (st < 0)
        return st;
    put_tuple(out, 3);
    put_atom(out, status_atom(opening->failed));
    put_text(out, opening->message);
    put_failed_details(out, opening);
    return event_finish(out);
}

/* --- at work ------------------------------------------------------------ */

enum status event_seq(struct writer *out, uint64_t seq)
{
    enum status st = writer_event_begin(out, "seq");

    if (st < 0)
        return st;
    put_u64(out, seq);
    return event_finish(out);
}

enum status event_checkpointed(struct writer *out, uint64_t seq, uint64_t bytes,
                               uint64_t ms)
{
    enum status st = writer_event_begin(out, "checkpointed");

    if (st < 0)
        return st;
    put_map(out, 3);
    put_field(out, "seq", seq);
    put_field(out, "bytes", bytes);
    put_field(out, "ms", ms);
    return event_finish(out);
}

enum status event_checkpoint_failed(struct writer *out, enum status failed,
                                    const char *text)
{
    enum status st = writer_event_begin(out, "checkpoint_failed");

    if (st < 0)
        return st;
    put_tuple(out, 3);
    put_atom(out, status_atom(failed));
    put_text(out, text ? text : status_text(failed));
    put_map(out, 0);
    return event_finish(out);
}

enum status event_log(struct writer *out, const char *word)
{
    enum status st = writer_event_begin(out, "log");

    if (st < 0)
        return st;
    put_atom(out, word);
    return event_finish(out);
}

enum status event_progress(struct writer *out, int64_t id, uint64_t done,
                           uint64_t total)
{
    enum status st = writer_event_begin(out, "progress");

    if (st < 0)
        return st;
    put_tuple(out, 3);
    put_i64(out, id);
    put_u64(out, done);
    put_u64(out, total);
    return event_finish(out);
}

/* --- the feed ----------------------------------------------------------- */

static void put_name(struct writer *out, struct version_name name)
{
    put_tuple(out, 2);
    put_i64(out, name.holder);
    put_i64(out, name.number);
}

enum status event_changes_begin(struct writer *out, struct version_name name,
                                struct changes_event *ret)
{
    /* The length is patched at the end. */
    static const uint8_t binary[] = {ETF_BINARY, 0, 0, 0, 0, ETF_VERSION};
    enum status st = writer_event_begin(out, "changes");

    if (st < 0)
        return st;
    put_tuple(out, 2);
    put_name(out, name);
    ret->binary = writer_size(out);
    put_term(out, bytes_of(binary, sizeof(binary)));
    ret->list = put_list_begin(out);
    return ST_OK;
}

enum status event_changes_end(struct writer *out,
                              const struct changes_event *event, uint64_t count,
                              size_t *ret_bytes)
{
    size_t header = 5;
    size_t bytes;

    put_list_end(out, event->list, count);
    bytes = writer_size(out) - event->binary - header;
    if (out->status == ST_OK) {
        REQUIRE(bytes <= UINT32_MAX);
        store_be32(out->out.data + event->binary + 1, (uint32_t)bytes);
        *ret_bytes = bytes;
    }
    return event_finish(out);
}

enum status event_overflow(struct writer *out, struct version_name name,
                           uint64_t seq)
{
    enum status st = writer_event_begin(out, "overflow");

    if (st < 0)
        return st;
    put_tuple(out, 2);
    put_name(out, name);
    put_u64(out, seq);
    return event_finish(out);
}
