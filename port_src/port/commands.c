/*
 * commands.c -- the table of commands, and the road of one request.
 *
 *     payload --etf_validate--> [{Id, Op}, ...] --one step each--> reply
 *
 *     step    begin a reply to Id; find Op's row; begin the store if it
 *             writes; run the handler, which puts its Result behind
 *             `{ok,`; append Op to the log; commit
 *     fail    roll back, forget what was put, put `{error, ...}` instead
 *
 * The reply is complete before the store commits: a reply that gets no memory
 * or passes its limit still undoes its command. Room for an error reply is
 * reserved before a command starts, so there is always an answer. The log
 * comes last before the commit, which cannot fail: what is logged was done.
 *
 * When a reply may leave. What it shows must not be taken back by a crash of
 * the machine where the policy is `always`: a mutation's own seq must be
 * durable, and for a read the last seq that touched its table. A mutation that
 * changed nothing, or failed, may have looked anywhere and waits for all there
 * is; most reads are of tables that nobody is writing and wait for nothing.
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
#include <time.h>

#include "core/etf.h"
#include "port/call.h"
#include "port/events.h"

/* Scratch beyond this is given back after a request. */
#define SCRATCH_KEEP_BYTES (64u << 10)

/* No mutation was refused for so long: the disk has room again. */
#define LOG_FULL_SECONDS 1

#define MUTATION (CMD_WRITE | CMD_BATCH | CMD_WITH | CMD_VERSION)
#define READ (CMD_READ | CMD_VERSION)
#define WALK (CMD_READ | CMD_VERSION | CMD_SOURCE)
#define RUN (WALK | CMD_SOURCE_SECOND)

static const struct command rows[] = {
    {"ping", 0, CMD_READ, cmd_ping},
    {"info", 0, CMD_READ, cmd_info},
    {"tables", 0, READ | CMD_CATALOG, cmd_tables},
    {"create_table", 3, MUTATION, cmd_create_table},
    {"drop_table", 1, MUTATION, cmd_drop_table},
    {"clear_table", 1, MUTATION, cmd_clear_table},
    {"table_type", 1, READ, cmd_table_type},
    {"table_info", 1, READ, cmd_table_info},
    {"sync", 0, CMD_READ | CMD_STORE | CMD_SYNC, cmd_sync},
    {"checkpoint", 0, CMD_READ, cmd_checkpoint},
    {"digest", 0, READ | CMD_STORE, cmd_digest},

    {"insert", 3, MUTATION, cmd_insert},
    {"insert_new", 3, MUTATION, cmd_insert_new},
    {"insert_all", 3, MUTATION, cmd_insert_all},
    {"delete", 3, MUTATION, cmd_delete},
    {"delete_all", 3, MUTATION, cmd_delete_all},
    {"delete_key", 3, MUTATION, cmd_delete_key},
    {"insert_row", 2, MUTATION, cmd_insert_row},
    {"insert_rows", 2, MUTATION, cmd_insert_rows},
    {"update_row", 3, MUTATION, cmd_update_row},
    {"batch", 1, CMD_WRITE | CMD_WITH | CMD_VERSION, cmd_batch},
    {"with", 2, CMD_READ, cmd_with},

    {"put_vertex", 4, MUTATION, cmd_put_vertex},
    {"put_vertices", 2, MUTATION, cmd_put_vertices},
    {"update_vertex", 4, MUTATION, cmd_update_vertex},
    {"delete_vertex", 2, MUTATION, cmd_delete_vertex},
    {"delete_vertices", 2, MUTATION, cmd_delete_vertices},
    {"put_edge", 5, MUTATION, cmd_put_edge},
    {"put_edges", 2, MUTATION, cmd_put_edges},
    {"update_edge", 5, MUTATION, cmd_update_edge},
    {"delete_edge", 4, MUTATION, cmd_delete_edge},
    {"delete_edges", 2, MUTATION, cmd_delete_edges},
    {"contract", 4, MUTATION, cmd_contract},
    {"expand", 2, MUTATION, cmd_expand},
    {"contracted", 2, READ, cmd_contracted},
    {"get_vertex", 2, READ, cmd_get_vertex},
    {"get_vertices", 2, READ, cmd_get_vertices},
    {"get_edge", 4, READ, cmd_get_edge},
    {"has_vertex", 2, READ, cmd_has_vertex},
    {"has_edge", 4, READ, cmd_has_edge},
    {"vertex_count", 2, READ, cmd_vertex_count},
    {"edge_count", 2, READ | CMD_SOURCE, cmd_edge_count},
    {"vertices", 3, READ | CMD_PAGE | CMD_WHERE | CMD_SOURCE, cmd_vertices},
    {"edges", 3, READ | CMD_PAGE | CMD_WHERE | CMD_SOURCE, cmd_edges},
    {"graph_digest", 1, READ, cmd_graph_digest},

    {"snapshot", 1, CMD_READ, cmd_snapshot},
    {"fork", 3, CMD_READ, cmd_fork},
    {"commit", 2, CMD_READ, cmd_commit},
    {"release", 1, CMD_READ, cmd_release},
    {"release_holder", 1, CMD_READ, cmd_release_holder},
    {"subscribe", 3, CMD_READ, cmd_subscribe},
    {"unsubscribe", 1, CMD_READ, cmd_unsubscribe},
    {"feed_ack", 2, CMD_READ, cmd_feed_ack},
    {"cancel", 1, CMD_READ, cmd_cancel},

    {"get", 3, READ, cmd_get},
    {"get_all", 3, READ, cmd_get_all},
    {"member", 3, READ, cmd_member},
    {"has_key", 3, READ, cmd_has_key},
    {"count", 4, READ | CMD_WHERE, cmd_count},
    {"key_count", 2, READ, cmd_key_count},
    {"rank", 3, READ, cmd_rank},
    {"scan", 7, READ | CMD_PAGE | CMD_WHERE, cmd_scan},

    {"neighbors", 3, WALK, cmd_neighbors},
    {"degree", 3, WALK, cmd_degree},
    {"degrees", 3, WALK, cmd_degrees},
    {"k_hop", 3, WALK, cmd_k_hop},
    {"bfs", 3, WALK, cmd_bfs},
    {"dfs", 3, WALK, cmd_dfs},
    {"reachable", 4, WALK, cmd_reachable},
    {"shortest_path", 4, WALK, cmd_shortest_path},
    {"shortest_paths_to", 4, WALK, cmd_shortest_paths_to},
    {"all_shortest_paths", 4, WALK, cmd_all_shortest_paths},
    {"k_shortest_paths", 5, WALK, cmd_k_shortest_paths},
    {"paths", 4, WALK, cmd_paths},
    {"random_walk", 5, WALK, cmd_random_walk},
    {"common_neighbors", 4, WALK, cmd_common_neighbors},
    {"jaccard", 4, WALK, cmd_jaccard},
    {"subgraph", 3, WALK, cmd_subgraph},

    {"project", 3, RUN, cmd_project},
    {"projections", 0, CMD_READ, cmd_projections},
    {"drop_projection", 1, CMD_READ, cmd_drop_projection},
    {"estimate", 3, RUN, cmd_estimate},
    {"run", 4, RUN, cmd_run},
    {"result_rows", 3, CMD_READ | CMD_PAGE | CMD_LIMITS, cmd_result_rows},
    {"result_write", 4, CMD_WRITE, cmd_result_write},
    {"release_result", 1, CMD_READ, cmd_release_result},
    {"algorithms", 0, CMD_READ, cmd_algorithms},
    {"running", 0, CMD_READ, cmd_running},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* --- finding a command -------------------------------------------------- */

/* An open hash of row numbers + 1. Few of the slots are taken, so a search
 * ends at its first slot nearly always. */
#define SLOT_COUNT 512

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

void scratch_init(struct commands *commands, struct mem *mem)
{
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        commands->scratch[i] = BUFFER(mem);
    commands->entry.buffer = BUFFER(mem);
}

void scratch_free(struct commands *commands)
{
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        buffer_free(&commands->scratch[i]);
    buffer_free(&commands->entry.buffer);
}

enum status commands_create(struct store *store, struct mem *mem,
                            struct writer *writer, struct commands **ret)
{
    struct commands *commands = mem_zalloc(mem, sizeof(*commands));

    if (!commands)
        return ST_NO_MEMORY;
    commands->store = store;
    commands->mem = mem;
    commands->out = writer;
    commands->threads_max = RUN_THREADS_MAX;
    scratch_init(commands, mem);
    hold_init(&commands->hold, mem);
    if (versions_create(commands, &commands->versions) < 0 ||
        readings_create(commands, &commands->readings) < 0 ||
        projections_create(commands, &commands->projections) < 0 ||
        results_create(commands, &commands->results) < 0 ||
        feed_create(commands, &commands->feed) < 0) {
        commands_free(commands);
        return ST_NO_MEMORY;
    }
    store_set_removed_bytes_max(store, writer->answer_max);
    *ret = commands;
    return ST_OK;
}

void commands_free(struct commands *commands)
{
    if (!commands)
        return;
    scratch_free(commands);
    hold_deinit(&commands->hold);
    feed_free(commands->feed);
    readings_free(commands->readings);
    results_free(commands->results);
    projections_free(commands->projections);
    versions_free(commands->versions);
    checkpointer_free(commands->checkpointer);
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

/* --- one command -------------------------------------------------------- */

static const struct complaint no_complaint = {.position = -1, .index = -1};

const struct call_options default_options = {
    .deadline_ms = DEADLINE_MS_DEFAULT,
    .rows = ROWS_DEFAULT,
    .memory = MEMORY_BYTES_DEFAULT,
};

struct call call_of(struct commands *commands, struct store *store,
                    struct writer *out)
{
    return (struct call){
        .commands = commands,
        .store = store,
        .options = default_options,
        .out = out,
        .complaint = no_complaint,
    };
}

enum status call_parse(struct call *call, struct reader *op)
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
    call->argument = 0;
    return ST_OK;
}

/* The same for the Op that is all of `op`, and what a `with` around it says. */
static enum status call_open(struct call *call, struct bytes op)
{
    struct reader reader = reader_of(op);
    enum status st;

    call->op = op;
    call->inner = op;
    st = call_parse(call, &reader);
    if (st == ST_OK && call->command->run == cmd_with)
        st = cmd_with(call);
    return st;
}

enum status call_check_answer(struct call *call)
{
    enum status st;

    if (call->crowded)
        call->out->answer_limited = true;
    st = writer_status(call->out);
    if (st != ST_TOO_BIG)
        return st;
    return call_fail(call, st,
                     "the reply would pass its limit and nothing was done; "
                     "ask for it in smaller pieces");
}

enum status call_run_nested(struct call *outer, struct reader *op,
                            uint16_t flags, const char *text, int64_t index)
{
    struct reader end = *op;
    struct call call = *outer;
    enum status st;

    reader_term(&end);
    call.complaint = no_complaint;
    call.mark = store_change_mark(call.store);
    st = call_parse(&call, op);
    if (st == ST_OK && !(call.command->flags & flags))
        st = call_fail(&call, ST_BAD_ARGUMENT, text);
    if (st == ST_OK)
        st = call.command->run(&call);
    if (st == ST_OK)
        st = call_check_answer(&call);
    *op = end;
    if (st < 0) {
        *outer = call; /* its complaint is that of the outer one */
        if (index >= 0)
            outer->complaint.index = index;
    }
    return st;
}

/* Runs the handler as the options want it. */
static enum status call_handle(struct call *call)
{
    if (call->options.given & (OPTION_IDEMPOTENCY_KEY | OPTION_EXPECT))
        return with_run(call);
    return call->command->run(call);
}

enum status call_perform(struct call *call)
{
    /* A page ends by its own measure, and one item may be larger. */
    bool page = call->command->flags & CMD_PAGE;
    enum status st;

    call->out->answer_limited = !page;
    call->head = writer_size(call->out);
    put_tuple(call->out, page ? 3 : 2);
    put_atom(call->out, "ok");
    if (call->command->flags & CMD_WRITE)
        call->mark = store_change_mark(call->store);
    st = call_handle(call);
    return st < 0 ? st : call_check_answer(call);
}

enum status commands_log_op(struct commands *commands, struct bytes op)
{
    struct termlog *log = commands->log.log;
    struct store *store = commands->store;
    enum status st = ST_OK;

    if (!store_change_mark(store))
        return ST_OK;
    if (log)
        st = termlog_append(log, store_seq(store) + 1, op);
    if (st == ST_IO)
        commands->broken = st;
    return st;
}

void commands_commit(struct commands *commands)
{
    struct termlog *log = commands->log.log;
    struct store *store = commands->store;

    if (store_change_mark(store))
        feed_note(commands->feed, store_seq(store) + 1);
    store_commit(store);
    if (log && termlog_digest_due(log))
        termlog_append_digest(log, store_digest(store));
}

void commands_rollback(struct commands *commands)
{
    store_rollback(commands->store);
    commands_forget_table(commands);
}

/* A mutation of the head. */
static enum status call_write(struct call *call)
{
    enum status st;

    store_begin(call->store);
    st = call_perform(call);
    if (st == ST_OK)
        st = commands_log_op(call->commands, call->op);
    if (st < 0)
        commands_rollback(call->commands);
    else
        commands_commit(call->commands);
    if (st == ST_MEMORY_LIMIT) /* the next one shall find more */
        projections_yield(call->commands->projections);
    return st;
}

/* Carries out the Op that is all of `op`, and puts its answer. */
static enum status call_run(struct call *call, struct bytes op)
{
    enum status st = call_open(call, op);

    if (st < 0)
        return st;
    if (call->version)
        return call_at_version(call);
    if (call->command->flags & CMD_WRITE)
        return call_write(call);
    return call_perform(call);
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

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* Tells the client when the log has run out of room, and has some again. */
static void commands_note_room(struct commands *commands, enum status st,
                               bool logged)
{
    time_t now;

    if (st == ST_LOG_FULL) {
        commands->log_full_at = seconds();
        if (!commands->log_full && event_log(commands->out, "full") == ST_OK)
            commands->log_full = true;
    }
    /* A small mutation may find room where a large one does not: the room is
     * back when none has been refused for a while. */
    if (!logged || !commands->log_full)
        return;
    now = seconds();
    if (now - commands->log_full_at > LOG_FULL_SECONDS &&
        event_log(commands->out, "ok") == ST_OK)
        commands->log_full = false;
}

uint64_t call_shows(const struct call *call, enum status st)
{
    uint16_t flags = call->command ? call->command->flags : 0;
    uint64_t seq = store_seq(call->commands->store);
    uint64_t changed = 0;

    if (call->has_shows)
        return call->shows;
    if (call->version)
        seq = snapshot_seq(store_base(call->store));
    if (flags & (CMD_WRITE | CMD_STORE))
        return seq;
    if (flags & CMD_CATALOG || st == ST_NO_TABLE)
        changed = call->version ? seq : store_catalog_seq(call->store);
    else if (call->table)
        changed = table_changed_seq(call->table);
    return changed < seq ? changed : seq;
}

enum status commands_hold(struct commands *commands, uint64_t shows,
                          bool careful)
{
    const struct commands_log *log = &commands->log;

    careful |= log->policy == SYNC_ALWAYS;
    if (careful && shows > termlog_durable(log->log))
        return hold_put(&commands->hold, shows,
                        writer_reply_withdraw(commands->out));
    if (shows > commands->acknowledged)
        commands->acknowledged = shows;
    return ST_OK;
}

void call_finish(struct call *call, enum status st)
{
    if (st < 0)
        call_put_error(call, st);
    REQUIRE(writer_status(call->out) == ST_OK);
    writer_reply_end(call->out);
    call->commands->figures.commands++;
}

static enum status commands_answer(struct commands *commands,
                                   struct reader *request, enum status valid)
{
    struct call call = call_of(commands, commands->store, commands->out);
    uint64_t seq = store_seq(commands->store);
    enum status st, held = ST_OK;
    uint64_t shows;
    bool pair;

    if (!request_id(request, &call.id, &pair))
        return ST_BAD_REQUEST;
    st = writer_reply_begin(commands->out, call.id);
    if (st < 0)
        return st;
    if (valid < 0)
        st = valid;
    else if (pair)
        st = call_run(
            &call, bytes_of(request->at, (size_t)(request->end - request->at)));
    else
        st = ST_BAD_REQUEST;
    if (commands->broken < 0 || call.later)
        writer_reply_drop(commands->out);
    else
        call_finish(&call, st);
    shows = call_shows(&call, st);
    if (commands->log.log && !call.later && commands->broken == ST_OK) {
        bool sync = st == ST_OK && call.command->flags & CMD_SYNC;

        held = commands_hold(commands, shows, sync);
        commands_note_room(commands, st, store_seq(commands->store) > seq);
    }
    if (call.ended)
        version_release(call.ended);
    commands_shrink(commands);
    return commands->broken < 0 ? commands->broken : held;
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

/* --- a store with a log ------------------------------------------------- */

enum status commands_set_log(struct commands *commands,
                             const struct commands_log *log)
{
    enum status st =
        checkpointer_create(commands, log, &commands->checkpointer);

    if (st < 0)
        return st;
    commands->log = *log;
    commands->acknowledged = store_seq(commands->store);
    return ST_OK;
}

const struct commands_log *commands_log(const struct commands *commands)
{
    return commands->log.log ? &commands->log : NULL;
}

bool commands_want_sync(const struct commands *commands)
{
    return hold_wants_sync(&commands->hold);
}

void commands_sync_begun(struct commands *commands)
{
    hold_sync_begun(&commands->hold, termlog_appended(commands->log.log));
    checkpointer_sync_begun(commands->checkpointer);
}

void commands_sync_ended(struct commands *commands)
{
    checkpointer_sync_ended(commands->checkpointer);
}

enum status commands_release(struct commands *commands, size_t bytes,
                             bool *ret_more)
{
    uint64_t durable = termlog_durable(commands->log.log);
    struct bytes reply;
    uint64_t wait;

    *ret_more = true;
    while (writer_size(commands->out) < bytes) {
        enum status st;

        *ret_more = hold_take(&commands->hold, durable, &wait, &reply);
        if (!*ret_more)
            return ST_OK;
        st = writer_reply_add(commands->out, reply);
        if (st < 0)
            return st;
        if (wait > commands->acknowledged)
            commands->acknowledged = wait;
    }
    return ST_OK;
}

size_t commands_held_bytes(const struct commands *commands)
{
    return hold_bytes(&commands->hold);
}

uint64_t commands_acknowledged(const struct commands *commands)
{
    return commands->acknowledged;
}

enum status commands_broken(const struct commands *commands)
{
    return commands->broken;
}

/* --- again -------------------------------------------------------------- */

/* Within store_begin() and store_commit(). */
static enum status apply_op(struct call *call, struct bytes op)
{
    enum status st = call_open(call, op);

    if (st < 0)
        return st;
    if (!(call->command->flags & CMD_WRITE))
        return call_fail(call, ST_BAD_ARGUMENT, "the command is no mutation");
    if (call->version)
        return call_fail(call, ST_BAD_ARGUMENT,
                         "a mutation of a fork is none of the store");
    st = call_handle(call);
    if (st == ST_OK && !store_change_mark(call->store))
        return call_fail(call, ST_BAD_ARGUMENT, "the mutation changes nothing");
    return st;
}

enum status commands_apply(struct commands *commands, struct bytes op,
                           char why[MESSAGE_BYTES_MAX])
{
    struct call call = call_of(commands, commands->store, commands->out);
    struct mem *mem = store_mem(commands->store);
    enum status st;

    call.again = true;
    mem_exempt_begin(mem);
    store_begin(commands->store);
    st = apply_op(&call, op);
    if (st == ST_OK && commands->applied)
        st = commands->applied(commands->applied_context,
                               store_seq(commands->store) + 1);
    if (st < 0) {
        const char *text = call_error_text(&call, st, why);

        if (text != why)
            snprintf(why, MESSAGE_BYTES_MAX, "%s", text);
        commands_rollback(commands);
    } else {
        store_commit(commands->store);
    }
    mem_exempt_end(mem);
    commands_shrink(commands);
    return st;
}
