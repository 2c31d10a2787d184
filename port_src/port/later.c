/*
 * later.c -- requests that are not answered where they were read.
 *
 * Some wait for a thing that many wait for, as a checkpoint, and are listed;
 * a long read is carried out on a worker, with a struct commands that has no
 * store and no client, and its answer comes as bytes. Either way a reply is
 * begun when it can be completed, so the writer never holds half of one.
 */
#include "port/call.h"

enum status call_later(struct call *call, struct later_list *list)
{
    struct commands *commands = call->commands;
    struct later *later = mem_alloc(commands->mem, sizeof(*later));

    if (!later)
        return ST_NO_MEMORY;
    *later = (struct later){NULL, call->id, call->command};
    *(list->end ? list->end : &list->first) = later;
    list->end = &later->next;
    call_put_off(call);
    return ST_OK;
}

void call_put_off(struct call *call)
{
    call->commands->later_count++;
    call->later = true;
}

void later_move(struct later_list *to, struct later_list *from)
{
    if (!from->first)
        return;
    *(to->end ? to->end : &to->first) = from->first;
    to->end = from->end;
    *from = (struct later_list){NULL, NULL};
}

void commands_answer_later(struct commands *commands, struct later_list *list,
                           enum status (*put)(struct call *call, void *context),
                           void *context)
{
    struct later *later = list->first;

    *list = (struct later_list){NULL, NULL};
    while (later) {
        struct later *next = later->next;
        struct call call = call_of(commands, commands->store, commands->out);
        enum status st = writer_reply_begin(commands->out, later->id);

        call.command = later->command;
        call.id = later->id;
        if (st < 0) {
            commands->broken = st;
        } else {
            put_tuple(commands->out, 2);
            put_atom(commands->out, "ok");
            st = put(&call, context);
            call_finish(&call, st < 0 ? st : call_check_answer(&call));
        }
        commands->later_count--;
        mem_free(commands->mem, later, sizeof(*later));
        later = next;
    }
}

/* What the answer that was just put says is now known to somebody. */
static enum status note_told(const struct writer *out, struct note *note)
{
    return note_answer(note, bytes_of(out->out.data + out->answer,
                                      writer_size(out) - out->answer));
}

/* Completes the reply that was begun for one that was put off. */
static void later_finish(struct call *call, uint64_t shows, struct note *note,
                         enum status st)
{
    struct commands *commands = call->commands;

    if (st < 0)
        call_put_error(call, st);
    if (st < 0 && !call->complaint.extra_count) {
        note_drop(note); /* nothing of what the store holds was told */
        st = ST_OK;
    } else {
        st = note_told(call->out, note);
    }
    call_finish(call, st);
    if (commands->log.log)
        st = commands_hold(commands, shows, false);
    if (commands->log.log && st < 0)
        commands->broken = st;
}

void commands_answer_built(struct commands *commands, struct note *note,
                           int64_t id, uint64_t shows, struct bytes answer)
{
    struct call call = call_of(commands, commands->store, commands->out);
    enum status st = writer_reply_begin(commands->out, id);

    commands->later_count--;
    if (st < 0) {
        commands->broken = st;
        note_drop(note);
        return;
    }
    call.id = id;
    call.out->answer_limited = false; /* as it was built */
    put_term(call.out, answer);
    later_finish(&call, shows, note, writer_status(call.out));
}

void commands_answer_failed(struct commands *commands, struct note *note,
                            int64_t id, const struct command *command,
                            uint64_t shows, enum status st,
                            const struct complaint *complaint)
{
    struct call call = call_of(commands, commands->store, commands->out);
    enum status begun = writer_reply_begin(commands->out, id);

    commands->later_count--;
    if (begun < 0) {
        commands->broken = begun;
        note_drop(note);
        return;
    }
    call.id = id;
    call.command = command;
    if (complaint)
        call.complaint = *complaint;
    later_finish(&call, shows, note, st);
}

size_t commands_later_count(const struct commands *commands)
{
    return commands->later_count;
}

/* --- on another thread -------------------------------------------------- */

struct commands *commands_bare(struct mem *mem, struct writer *writer)
{
    struct commands *commands = mem_zalloc(mem, sizeof(*commands));

    if (!commands)
        return NULL;
    commands->mem = mem;
    commands->out = writer;
    scratch_init(commands, mem);
    return commands;
}

void commands_bare_free(struct commands *commands)
{
    if (!commands)
        return;
    scratch_free(commands);
    mem_free(commands->mem, commands, sizeof(*commands));
}

struct call call_bare(struct commands *bare)
{
    return call_of(bare, NULL, bare->out);
}

enum status call_run_bare(struct call *call, struct bytes op)
{
    struct reader reader = reader_of(op);
    enum status st;

    call->op = op;
    call->inner = op;
    st = call_parse(call, &reader);
    if (st < 0)
        return st;
    REQUIRE(!(call->command->flags & CMD_WRITE) && call->reading);
    return call_perform(call);
}

void call_page_why(struct call *call)
{
    struct writer *out = call->out;

    if (out->status == ST_OK) /* SMALL_TUPLE, and its arity */
        out->out.data[call->head + 1] = 4;
}
