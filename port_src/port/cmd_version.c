/*
 * cmd_version.c -- snapshots and forks, and commands that run at one.
 *
 * A command at a version runs on that version's store like any other on the
 * head. Three things differ: a mutation of a fork is neither logged nor told
 * to anybody; what it answers shows no more than the seq that the version
 * began at; and a fork takes notes of what it was asked (journal.h). An answer
 * that cannot be noted for want of memory is not given.
 *
 * commit.c decides what becomes of a fork's notes.
 */
#include "port/call.h"
#include "port/commit.h"
#include "port/feed.h"

/* --- notes -------------------------------------------------------------- */

bool status_tells(enum status st)
{
    switch (st) {
    case ST_NO_MEMORY:
    case ST_MEMORY_LIMIT:
    case ST_MEMORY_BUDGET:
    case ST_CANCELLED:
        return false;
    default:
        return true;
    }
}

struct digest call_answer_digest(const struct call *call, enum status st)
{
    const struct complaint *complaint = &call->complaint;
    struct writer *out = call->out;
    size_t end = call->settled ? call->settled : writer_size(out);
    struct digest digest;
    int64_t numbers[3];

    if (st == ST_OK)
        return digest_bytes(
            bytes_of(out->out.data + call->head, end - call->head));
    numbers[0] = st;
    numbers[1] = complaint->position;
    numbers[2] = complaint->index;
    digest = digest_bytes(bytes_of(numbers, sizeof(numbers)));
    if (call->command && call->command->flags & CMD_WRITE) {
        const struct fault *fault = store_fault(call->store);

        digest_add(&digest, digest_element(fault->table, fault->key));
    }
    return digest;
}

/* Notes what a call at a fork has come to. Gives back `st`, or an error that
 * is to be answered in its place. */
static enum status call_record(struct call *call, enum note_kind kind,
                               enum status st)
{
    struct writer *out = call->out;
    struct note *note;
    enum status noted;

    if (!version_is_fork(call->version) || !status_tells(st))
        return st;
    noted = journal_add(version_journal(call->version), kind, call->inner,
                        call->options.where, &note);
    if (noted == ST_OK && note && st == ST_OK)
        noted = note_answer(note, bytes_of(out->out.data + call->head,
                                           writer_size(out) - call->head));
    else if (noted == ST_OK && note)
        noted = note_failed(note, call->complaint.extra,
                            call->complaint.extra_count);
    if (noted < 0) {
        call->complaint = (struct complaint){.position = -1, .index = -1};
        return noted;
    }
    if (note)
        note->answer = call_answer_digest(call, st);
    return st;
}

enum status call_note(const struct call *call, struct note **ret)
{
    enum status st;

    *ret = NULL;
    if (!call->version || !version_is_fork(call->version))
        return ST_OK;
    st = journal_add(version_journal(call->version), NOTE_READ, call->inner,
                     call->options.where, ret);
    if (st == ST_OK && *ret) {
        (*ret)->pending = true;
        (*ret)->on_worker = true;
    }
    return st;
}

/* --- a command at a version --------------------------------------------- */

static enum status fork_write(struct call *call)
{
    struct store *fork = call->store;
    enum status st;

    store_begin(fork);
    st = call_perform(call);
    if (st == ST_OK)
        st = call_record(
            call, store_change_mark(fork) ? NOTE_WRITE : NOTE_NOTHING, st);
    else
        st = call_record(call, NOTE_NOTHING, st);
    if (st < 0)
        store_rollback(fork);
    else
        store_commit(fork);
    return st;
}

enum status call_at_version(struct call *call)
{
    enum status st;

    if (call->command->flags & CMD_WRITE)
        return fork_write(call);
    st = call_perform(call);
    if (call->later)
        return st; /* call_note() has noted it */
    return call_record(call, NOTE_READ, st);
}

/* --- lists of Ops ------------------------------------------------------- */

/* Carries out one Op of a list, and puts its answer: at a fork, or, within a
 * mutation of it, at the head (NULL). */
static enum status run_op(struct call *outer, struct version *fork,
                          struct reader *op, bool crowded, uint64_t *shows)
{
    struct commands *commands = outer->commands;
    struct call call = call_of(
        commands, fork ? version_store(fork) : commands->store, outer->out);
    struct reader end = *op;
    uint64_t shown;
    enum status st;

    call.id = outer->id;
    call.version = fork;
    call.at_once = true;
    call.crowded = crowded;
    call.options.deadline_ms = UINT64_MAX;
    call.options.rows = UINT64_MAX;
    call.options.memory = SIZE_MAX;
    call.inner = reader_term(&end);
    call.op = call.inner;
    st = call_parse(&call, op);
    *op = end;
    if (st == ST_OK && !(call.command->flags & CMD_VERSION))
        st = call_fail(&call, ST_BAD_ARGUMENT,
                       "a fork takes reads and mutations of tables, and no "
                       "`with`");
    if (st == ST_OK)
        st = fork ? call_at_version(&call) : call_perform(&call);
    shown = call_shows(&call, st);
    if (shown > *shows)
        *shows = shown;
    if (st < 0) {
        outer->command = call.command;
        outer->store = call.store; /* whose fault it is */
        outer->argument = call.argument;
        outer->complaint = call.complaint;
    }
    return st;
}

enum status run_ops(struct call *call, struct version *fork, struct buffer *log,
                    uint32_t *ret_logged, uint64_t *shows)
{
    uint64_t count = 0;
    struct list list;
    size_t answers;
    bool crowded;
    enum status st = call_list(call, &list);

    if (st < 0)
        return st;
    crowded = list.left > 1;
    answers = put_list_begin(call->out);
    while (list.left > 0) {
        struct reader *next = list_next(&list);
        struct bytes op = bytes_of(next->at, 0);
        size_t mark = fork ? 0 : store_change_mark(call->commands->store);

        st = run_op(call, fork, next, crowded, shows);
        if (st < 0) {
            call->complaint.index = (int64_t)count;
            return st;
        }
        op.size = (size_t)(next->at - op.data);
        if (!fork && store_change_mark(call->commands->store) > mark) {
            st = ops_append(log, op, ret_logged);
            if (st < 0)
                return st;
        }
        call_tick(call, count);
        count++;
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    put_list_end(call->out, answers, count);
    return ST_OK;
}

/* --- opening and releasing ---------------------------------------------- */

/* The name of a version that is not open. */
static enum status call_new_name(struct call *call, struct version_name *ret)
{
    enum status st = call_version_name(call, ret);

    if (st == ST_OK && versions_find(call->commands->versions, *ret))
        return call_bad(call, "a version of this name is open; release it, or "
                              "pick another number");
    return st;
}

static uint64_t version_seq(struct version *version)
{
    return snapshot_seq(store_base(version_store(version)));
}

enum status cmd_snapshot(struct call *call)
{
    struct version_name name;
    struct version *version;
    enum status st = call_new_name(call, &name);

    if (st == ST_OK)
        st = versions_open(call->commands->versions, name, NULL, false,
                           &version);
    if (st == ST_OK)
        put_u64(call->out, version_seq(version));
    return st;
}

/* head, or the name of a snapshot: NULL for head. */
static enum status call_from(struct call *call, struct version **ret)
{
    static const char text[] = "must be head, or {Holder, Number} of a "
                               "snapshot";
    struct version_name name;
    struct bytes word;
    enum status st;

    *ret = NULL;
    if (reader_atom(&call->args, &word)) {
        call->argument++;
        return bytes_equal(word, BYTES("head")) ? ST_OK : call_bad(call, text);
    }
    st = call_version_name(call, &name);
    if (st < 0)
        return st;
    *ret = versions_find(call->commands->versions, name);
    if (!*ret)
        return ST_NO_SNAPSHOT;
    if (version_is_fork(*ret))
        return call_bad(call, "a fork is opened of head or of a snapshot, and "
                              "not of a fork");
    return ST_OK;
}

enum status cmd_fork(struct call *call)
{
    struct version_name name;
    struct version *from, *fork;
    enum status st = call_new_name(call, &name);

    if (st == ST_OK)
        st = call_from(call, &from);
    if (st == ST_OK)
        st = versions_open(call->commands->versions, name, from, true, &fork);
    if (st < 0)
        return st;
    put_tuple(call->out, 2);
    put_u64(call->out, version_seq(fork));
    call->has_shows = true;
    st = run_ops(call, fork, NULL, NULL, &call->shows);
    if (st == ST_OK)
        st = writer_status(call->out);
    if (st < 0)
        call->ended = fork;
    return st;
}

enum status cmd_commit(struct call *call)
{
    struct version_name name;
    struct version *fork;
    enum status st = call_version_name(call, &name);

    if (st < 0)
        return st;
    fork = versions_find(call->commands->versions, name);
    if (!fork)
        return ST_NO_SNAPSHOT;
    if (!version_is_fork(fork))
        return call_bad(call, "a snapshot has nothing to commit; release it");
    call->has_shows = true;
    put_tuple(call->out, 2);
    st = commit_fork(call, fork);
    if (st == ST_OK || st == ST_CONFLICT)
        call->ended = fork;
    return st;
}

enum status cmd_release(struct call *call)
{
    struct version_name name;
    struct version *version;
    enum status st = call_version_name(call, &name);

    if (st < 0)
        return st;
    version = versions_find(call->commands->versions, name);
    put_atom(call->out, version ? "released" : "absent");
    if (version && writer_status(call->out) == ST_OK)
        version_release(version);
    return ST_OK;
}

enum status cmd_release_holder(struct call *call)
{
    int64_t holder;

    call->argument++;
    if (!reader_integer(&call->args, &holder) || holder < 0)
        return call_bad(call, "a holder is an integer from 0 to 2^63 - 1");
    put_u64(call->out,
            versions_release_holder(call->commands->versions, holder) +
                results_release_holder(call->commands->results, holder) +
                feed_release_holder(call->commands->feed, holder));
    return ST_OK;
}
