/*
 * commands.c -- the table of commands, and the road of one request.
 *
 *     payload --etf_validate--> [{Id, Op}, ...] --one step each--> reply
 *
 *     step    begin a reply to Id; find Op's row; begin the store if it
 *             writes; run the handler, which puts its Result behind
 *             `{ok,`; commit
 *     fail    roll back, forget what was put, put `{error, ...}` instead
 *
 * The reply is complete before the store commits: a reply that gets no memory
 * or passes its limit still undoes its command. Room for an error reply is
 * reserved before a command starts, so there is always an answer.
 *
 * A frame is checked as a whole before the first of its requests runs, so a
 * broken one changes nothing. One exception earns its keep: a client gathers
 * the requests of many callers into a frame, and a term that nests too deeply
 * is one caller's mistake, hard to see from outside. Then the frame is walked
 * again, each request is checked by itself, and only those at fault are
 * answered with too_deep. Counting down the terms that are still to come
 * skips a term of any depth without a stack; a fun that is too deep by itself
 * is stepped over by the size that it states.
 *
 * A request's end is known before it runs. Whatever a handler read of it, and
 * whatever it was, the next request starts there.
 */
#include "port/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/etf.h"
#include "port/call.h"

/* Scratch beyond this is given back after a request. */
#define SCRATCH_KEEP_BYTES (64u << 10)

/* The largest key or name that an error's details repeat. */
#define DETAIL_BYTES_MAX 255

#define MESSAGE_BYTES_MAX 256

static const struct command rows[] = {
    {"ping", 0, CMD_READ, cmd_ping},
    {"info", 0, CMD_READ, cmd_info},
    {"tables", 0, CMD_READ, cmd_tables},
    {"create_table", 3, CMD_WRITE | CMD_BATCH, cmd_create_table},
    {"drop_table", 1, CMD_WRITE | CMD_BATCH, cmd_drop_table},
    {"clear_table", 1, CMD_WRITE | CMD_BATCH, cmd_clear_table},
    {"table_info", 1, CMD_READ, cmd_table_info},

    {"insert", 3, CMD_WRITE | CMD_BATCH, cmd_insert},
    {"insert_new", 3, CMD_WRITE | CMD_BATCH, cmd_insert_new},
    {"insert_all", 3, CMD_WRITE | CMD_BATCH, cmd_insert_all},
    {"delete", 3, CMD_WRITE | CMD_BATCH, cmd_delete},
    {"delete_all", 3, CMD_WRITE | CMD_BATCH, cmd_delete_all},
    {"delete_key", 3, CMD_WRITE | CMD_BATCH, cmd_delete_key},
    {"insert_row", 2, CMD_WRITE | CMD_BATCH, cmd_insert_row},
    {"insert_rows", 2, CMD_WRITE | CMD_BATCH, cmd_insert_rows},
    {"update_row", 3, CMD_WRITE | CMD_BATCH, cmd_update_row},
    {"batch", 1, CMD_WRITE, cmd_batch},

    {"get", 3, CMD_READ, cmd_get},
    {"member", 3, CMD_READ, cmd_member},
    {"has_key", 3, CMD_READ, cmd_has_key},
    {"count", 4, CMD_READ, cmd_count},
    {"key_count", 2, CMD_READ, cmd_key_count},
    {"rank", 3, CMD_READ, cmd_rank},
    {"scan", 7, CMD_READ | CMD_PAGE, cmd_scan},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* --- finding a command -------------------------------------------------- */

/* An open hash of row numbers + 1. Few of the slots are taken, so a search
 * ends at its first slot nearly always. */
#define SLOT_COUNT 128

static uint8_t slots[SLOT_COUNT];

static unsigned name_slot(struct bytes name)
{
    unsigned first = name.data[0];
    unsigned last = name.data[name.size - 1];

    return (unsigned)(first * 31 + last * 7 + name.size * 11) % SLOT_COUNT;
}

static struct bytes row_name(const struct command *row)
{
    return bytes_of(row->name, strlen(row->name));
}

static void slots_fill(void)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        unsigned slot = name_slot(row_name(&rows[i]));

        while (slots[slot])
            slot = (slot + 1) % SLOT_COUNT;
        slots[slot] = (uint8_t)(i + 1);
    }
}

const struct command *command_list(size_t *ret_count)
{
    *ret_count = ROW_COUNT;
    return rows;
}

const struct command *command_find(struct bytes name)
{
    if (name.size == 0)
        return NULL;
    if (!slots[name_slot(row_name(&rows[0]))])
        slots_fill();
    for (unsigned slot = name_slot(name); slots[slot];
         slot = (slot + 1) % SLOT_COUNT) {
        const struct command *row = &rows[slots[slot] - 1];

        if (bytes_equal(row_name(row), name))
            return row;
    }
    return NULL;
}

/* --- lifetime ----------------------------------------------------------- */

enum status commands_create(struct store *store, struct mem *mem,
                            struct writer *writer, struct commands **ret)
{
    struct commands *commands = mem_zalloc(mem, sizeof(*commands));

    if (!commands)
        return ST_NO_MEMORY;
    commands->store = store;
    commands->mem = mem;
    commands->out = writer;
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        commands->scratch[i] = BUFFER(mem);
    commands->entry.buffer = BUFFER(mem);
    store_set_removed_bytes_max(store, writer->answer_max);
    *ret = commands;
    return ST_OK;
}

void commands_free(struct commands *commands)
{
    if (!commands)
        return;
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        buffer_free(&commands->scratch[i]);
    buffer_free(&commands->entry.buffer);
    mem_free(commands->mem, commands, sizeof(*commands));
}

struct figures *commands_figures(struct commands *commands)
{
    return &commands->figures;
}

/* Gives back what one large request has made the scratch buffers hold. */
static void commands_shrink(struct commands *commands)
{
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        if (commands->scratch[i].capacity > SCRATCH_KEEP_BYTES)
            buffer_free(&commands->scratch[i]);
    if (commands->entry.buffer.capacity > SCRATCH_KEEP_BYTES)
        buffer_free(&commands->entry.buffer);
}

enum status commands_hello(struct commands *commands, size_t frame_bytes_max)
{
    struct writer *out = commands->out;
    enum status st = writer_event_begin(out, "hello");

    if (st < 0)
        return st;
    put_map(out, 5);
    put_atom(out, "protocol");
    put_u64(out, PROTOCOL_VERSION);
    put_atom(out, "version");
    put_binary(out, BYTES(RHIZOME_VERSION));
    put_atom(out, "seq");
    put_u64(out, store_seq(commands->store));
    put_atom(out, "os_pid");
    put_u64(out, (uint64_t)getpid());
    put_atom(out, "frame_bytes_max");
    put_u64(out, frame_bytes_max);
    st = writer_status(out);
    if (st == ST_OK)
        writer_event_end(out);
    return st;
}

/* --- errors ------------------------------------------------------------- */

/* A sentence for what the general one would leave open. */
static const char *error_text(const struct call *call, enum status st,
                              char *room)
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

/* Is store_fault() about this error? */
static bool fault_counts(enum status st)
{
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

static void put_details(const struct call *call, enum status st,
                        struct details *details)
{
    const struct complaint *complaint = &call->complaint;
    const struct fault *fault = store_fault(call->store);

    if (fault_counts(st) && fault->table.size)
        detail_key(details, "table", fault->table);
    else
        detail_term(details, "table", complaint->table);
    if (fault_counts(st))
        detail_key(details, "key", fault->key);
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
}

/* Replaces whatever was put of the answer by {error, {...}}. */
static void put_error(struct call *call, enum status st)
{
    struct writer *out = call->out;
    struct details details = {out, 0};
    char room[MESSAGE_BYTES_MAX];
    const char *text;
    size_t map;

    if (st == ST_MEMORY_LIMIT && store_mem(call->store)->limit != SIZE_MAX)
        call->complaint.limit = store_mem(call->store)->limit;
    writer_reply_reset(out);
    text = error_text(call, st, room);
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

/* --- one command -------------------------------------------------------- */

static const struct complaint no_complaint = {.position = -1, .index = -1};

/* Finds the row of the Op that `op` stands before; it must fit. */
static enum status call_parse(struct call *call, struct reader *op)
{
    struct bytes name;
    struct bytes term;
    uint32_t arity;

    if (!reader_tuple(op, &arity) || arity == 0)
        return ST_BAD_REQUEST;
    term = bytes_of(op->at, 0);
    if (!reader_atom(op, &name))
        return ST_BAD_REQUEST;
    term.size = (size_t)(op->at - term.data);
    call->command = command_find(name);
    if (!call->command) {
        call->complaint.name = term;
        return ST_UNKNOWN_COMMAND;
    }
    if (arity - 1 != call->command->arity) {
        call->complaint.given = arity - 1;
        return ST_WRONG_ARITY;
    }
    call->args = *op;
    return ST_OK;
}

/* The answer so far: has it had memory, and is it small enough? */
static enum status call_check_answer(struct call *call)
{
    enum status st = writer_status(call->out);

    if (st != ST_TOO_BIG)
        return st;
    return call_fail(call, st,
                     "the reply would pass its limit and nothing was done; "
                     "ask for it in smaller pieces");
}

enum status call_run_nested(struct call *batch, struct reader *op,
                            int64_t index)
{
    struct reader end = *op;
    struct call call = *batch;
    enum status st;

    reader_term(&end);
    call.argument = 0;
    call.complaint = no_complaint;
    call.mark = store_change_mark(call.store);
    st = call_parse(&call, op);
    if (st == ST_OK && !(call.command->flags & CMD_BATCH))
        st = call_fail(&call, ST_BAD_ARGUMENT,
                       "a batch takes mutations only, and no batch");
    if (st == ST_OK)
        st = call.command->run(&call);
    if (st == ST_OK)
        st = call_check_answer(&call);
    *op = end;
    if (st < 0) {
        *batch = call; /* its complaint is the batch's */
        batch->complaint.index = index;
    }
    return st;
}

static enum status call_write(struct call *call)
{
    enum status st;

    store_begin(call->store);
    call->mark = store_change_mark(call->store);
    st = call->command->run(call);
    if (st == ST_OK)
        st = call_check_answer(call);
    if (st < 0) {
        store_rollback(call->store);
        commands_forget_table(call->commands);
        return st;
    }
    store_commit(call->store);
    return ST_OK;
}

/* Carries out the Op before which `op` stands and puts its answer. */
static enum status call_run(struct call *call, struct reader *op)
{
    enum status st = call_parse(call, op);
    bool page;

    if (st < 0)
        return st;
    /* A page ends by its own measure, and one item may be larger. */
    page = call->command->flags & CMD_PAGE;
    call->out->answer_limited = !page;
    put_tuple(call->out, page ? 3 : 2);
    put_atom(call->out, "ok");
    if (call->command->flags & CMD_WRITE)
        return call_write(call);
    st = call->command->run(call);
    return st < 0 ? st : call_check_answer(call);
}

/* --- requests ----------------------------------------------------------- */

/*
 * The size of the term at the start of `input`, however deep it is; nested
 * tuples, lists and maps are counted, everything else is validated. What a
 * deep fun holds is not: nobody will read it, for its request is refused.
 */
static enum status skip_deep(struct bytes input, size_t *ret_size)
{
    uint64_t left = 1;
    size_t at = 0;

    while (left > 0) {
        struct bytes rest = bytes_of(input.data + at, input.size - at);
        uint8_t tag = rest.size ? rest.data[0] : 0;
        bool small = tag == ETF_SMALL_TUPLE;
        size_t header = small ? 2 : 5;
        enum status st;
        uint64_t count;
        size_t size;

        left--;
        if (!small && tag != ETF_LARGE_TUPLE && tag != ETF_LIST &&
            tag != ETF_MAP) {
            st = etf_validate(rest, &size, NULL);
            if (st == ST_TOO_DEEP) /* a fun, and its size lies in `rest` */
                size = 1 + (size_t)load_be32(rest.data + 1);
            else if (st < 0)
                return ST_BAD_TERM;
            at += size;
            continue;
        }
        if (rest.size < header)
            return ST_BAD_TERM;
        count = small ? rest.data[1] : load_be32(rest.data + 1);
        count = tag == ETF_MAP ? 2 * count : count + (tag == ETF_LIST);
        if (count > rest.size - header) /* a term takes a byte at least */
            return ST_BAD_TERM;
        left += count;
        at += header;
    }
    *ret_size = at;
    return ST_OK;
}

/* Checks the whole payload behind the version byte. */
static enum status commands_validate(struct commands *commands,
                                     struct bytes term)
{
    size_t size;
    enum status st = etf_validate(term, &size, NULL);

    commands->deep = st == ST_TOO_DEEP;
    if (commands->deep)
        st = skip_deep(term, &size);
    return st == ST_OK && size == term.size ? ST_OK : ST_BAD_TERM;
}

enum status commands_open(struct commands *commands, struct bytes payload)
{
    struct bytes term;
    enum status st;

    REQUIRE(!commands->busy);
    if (payload.size < 2 || payload.data[0] != ETF_VERSION)
        return ST_BAD_TERM;
    term = bytes_of(payload.data + 1, payload.size - 1);
    st = commands_validate(commands, term);
    if (st < 0)
        return st;
    commands->figures.frames_in++;
    commands->requests = reader_of(term);
    commands->lone = !reader_list(&commands->requests, &commands->list);
    commands->busy = true;
    return ST_OK;
}

bool commands_busy(const struct commands *commands)
{
    return commands->busy;
}

/*
 * Takes the next request as `*ret`, a reader of that term alone, which must
 * not be touched beyond its Id if `*ret_valid` is an error. False at the end
 * of the list.
 */
static bool commands_next(struct commands *commands, struct reader *ret,
                          enum status *ret_valid)
{
    struct reader *from = &commands->requests;
    struct bytes rest;
    size_t size = 0;

    *ret_valid = ST_OK;
    if (!commands->lone && commands->list.left == 0)
        return false;
    if (!commands->lone)
        from = list_next(&commands->list);
    rest = bytes_of(from->at, (size_t)(from->end - from->at));
    if (commands->deep)
        *ret_valid = etf_validate(rest, &size, NULL);
    else
        size = etf_size(rest.data);
    if (*ret_valid < 0)
        REQUIRE(skip_deep(rest, &size) == ST_OK);
    *ret = reader_of(bytes_of(rest.data, size));
    from->at += size;
    return true;
}

/* Reads {Id, ...} of a request; `*ret_pair` if exactly an Op follows. */
static bool request_id(struct reader *request, int64_t *ret_id, bool *ret_pair)
{
    uint32_t arity;

    if (!reader_tuple(request, &arity) || arity == 0)
        return false;
    *ret_pair = arity == 2;
    return reader_integer(request, ret_id);
}

static enum status commands_answer(struct commands *commands,
                                   struct reader *request, enum status valid)
{
    struct call call = {
        .commands = commands,
        .store = commands->store,
        .out = commands->out,
        .complaint = no_complaint,
    };
    enum status st;
    int64_t id;
    bool pair;

    if (!request_id(request, &id, &pair))
        return ST_BAD_REQUEST;
    st = writer_reply_begin(commands->out, id);
    if (st < 0)
        return st;
    if (valid < 0)
        st = valid;
    else
        st = pair ? call_run(&call, request) : ST_BAD_REQUEST;
    if (st < 0)
        put_error(&call, st);
    REQUIRE(writer_status(commands->out) == ST_OK);
    writer_reply_end(commands->out);
    commands->figures.commands++;
    commands_shrink(commands);
    return ST_OK;
}

enum status commands_step(struct commands *commands)
{
    struct reader request;
    enum status valid, st;

    REQUIRE(commands->busy);
    if (!commands_next(commands, &request, &valid)) {
        commands->busy = false;
        /* An improper list ends in something that is no request. */
        return list_close(&commands->list) ? ST_OK : ST_BAD_REQUEST;
    }
    st = commands_answer(commands, &request, valid);
    if (st < 0 || commands->lone)
        commands->busy = false;
    return st;
}
