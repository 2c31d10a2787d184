/*
 * commit.c -- backward validation, by carrying out again what might differ.
 *
 *     base --- 1 --- 2 --- head          others' commits
 *       \                    \
 *        +-- r w r --> ?      +-- r w r --> the same answers?
 *
 * A fork's transaction may be put behind all that others have committed since
 * its base if it would have got the same answers there: then that is where it
 * took place, and the order of commits is a serial order. So the journal is
 * carried out once more, on a fork of the head, each Op in its place, and the
 * hashes of answers are compared. What an Op looks at needs no model: a key, a
 * range, a count, what an insert evicted, which pairs a deletion took along,
 * the next id of a pom, the element that was in the way; if it could tell a
 * difference, its answer differs. A mutation that changed nothing, or failed,
 * is carried out again for what it saw. Answers report all that was removed
 * (conservation), so where they are the same the effects are.
 *
 * Most of it is left out:
 *
 *     nothing written     the fork is a snapshot that was read: no conflict
 *     head is the base    nothing can differ
 *     a table unchanged   reads of it cannot differ, for the fork's own
 *                         mutations are checked themselves
 *     a range unchanged   the same; versions of a tree share what no write
 *                         between them touched, so a range of any size is
 *                         compared at the cost of what was changed (same.h)
 *
 * Where a walk has ended with a Next it has also said that more lay behind
 * that, which is looked up. A range that a worker has walked, or whose elements
 * had to meet a condition, is not walked again on the loop: if it has changed
 * at all, that is a conflict. So it is where a worker has walked a graph.
 *
 * When all is the same, the mutations that changed something are done to the
 * head, within one command and as one record {batch, [Op]} of the log. Ops that
 * come with the commit have never been told an answer, so they need no fork:
 * they are carried out there and then, behind the others.
 */
#include "port/commit.h"

#include "core/etf.h"
#include "core/key.h"
#include "core/same.h"
#include "port/feed.h"

struct commit {
    struct commands *commands;
    struct call *call; /* for its complaint */
    struct store *head;
    struct store *again; /* a fork of the head */
    struct snapshot *base;
    struct journal *journal;
    struct writer out; /* answers that are compared */
    struct same same;
    struct buffer until[2];
};

/* --- a scan or a count, as it was asked for ------------------------------ */

/* A range of call.view. */
struct walk {
    struct call call;
    struct range range;
    bool positions; /* it begins at a position of the view */
    bool keys;      /* it looked at keys and not at what belongs to them */
};

/* A call for an Op of the journal on a store of ours. */
static struct call commit_call(struct commit *commit, struct store *store,
                               struct bytes op)
{
    struct call call = call_of(commit->commands, store, &commit->out);

    call.op = op;
    call.inner = op;
    call.at_once = true;
    call.options.deadline_ms = UINT64_MAX;
    call.options.rows = UINT64_MAX;
    call.options.memory = SIZE_MAX;
    return call;
}

static bool is_scan(const struct call *call)
{
    return call->command->run == cmd_scan;
}

static bool is_walk(const struct call *call)
{
    return is_scan(call) || call->command->run == cmd_count;
}

/* Reads the view and the range of a note about one. It was fine once. */
static enum status walk_parse(struct commit *commit, struct store *store,
                              const struct note *note, struct walk *ret)
{
    struct call *call = &ret->call;
    struct reader op = reader_of(note->op);
    enum direction direction = ASCENDING;
    struct bytes what = {NULL, 0};
    struct bytes word = {NULL, 0};
    bool empty;
    enum status st;

    *call = commit_call(commit, store, note->op);
    st = call_parse(call, &op);
    if (st == ST_OK)
        st = call_table(call);
    if (st == ST_OK)
        st = call_view(call);
    if (st == ST_OK && is_scan(call)) {
        if (!reader_atom(&call->args, &what) ||
            !reader_atom(&call->args, &word))
            return ST_BAD_ARGUMENT;
        if (bytes_equal(word, BYTES("desc")))
            direction = DESCENDING;
    }
    if (st == ST_OK)
        st = call_range(call, direction, &ret->range, &empty);
    if (st < 0)
        return st;
    ret->positions = empty || ret->range.from.kind == BOUND_POSITION;
    ret->keys = bytes_equal(what, BYTES("keys"));
    return ST_OK;
}

/* Next as a bound of the walk. `*ret_known` is false if it is neither 'after'
 * nor after_key. */
static enum status walk_until(struct commit *commit, const struct walk *walk,
                              const struct note *note, struct bound *ret,
                              bool *ret_known)
{
    struct buffer *first = &commit->until[0];
    struct buffer *second = &commit->until[1];
    struct reader reader = reader_of(note->until);
    const struct table *table = walk->call.table;
    struct bytes word;
    enum status st;

    *ret_known = false;
    *ret = (struct bound){.kind = BOUND_AFTER};
    first->size = 0;
    second->size = 0;
    if (!note->until.size || !reader_tuple_of(&reader, 2) ||
        !reader_atom(&reader, &word))
        return ST_OK;
    if (bytes_equal(word, BYTES("after_key"))) {
        if (walk->keys)
            ret->kind = BOUND_INCLUSIVE;
        st = key_encode(reader_term(&reader), first);
    } else if (!bytes_equal(word, BYTES("after"))) {
        return ST_OK;
    } else if (walk->call.view.held || !table_has_second(table)) {
        st = key_encode(reader_term(&reader), first);
    } else {
        REQUIRE(reader_tuple_of(&reader, 2));
        st = key_encode(reader_term(&reader), first);
        if (st == ST_OK)
            st = key_encode(reader_term(&reader), second);
    }
    ret->first = buffer_bytes(first);
    ret->second = buffer_bytes(second);
    *ret_known = st == ST_OK;
    return st;
}

/* What `table` was when the fork began, or NULL. */
static const struct table *base_table(const struct commit *commit,
                                      const struct table *table)
{
    const struct table *base = snapshot_find(commit->base, table_name(table));

    return base && table_type(base) == table_type(table) ? base : NULL;
}

/*
 * Whether what a walk has met is the same in the base and in the head as they
 * are without the fork; on false, commit->same.key is where it is not (empty:
 * not known). `*ret_part` tells that only a part of the range was compared, up
 * to Next.
 */
static enum status walk_same(struct commit *commit, const struct note *note,
                             bool *ret, bool *ret_part)
{
    struct bound last;
    struct view base;
    struct walk walk;
    bool known = false;
    enum status st = walk_parse(commit, commit->head, note, &walk);

    *ret = false;
    *ret_part = false;
    commit->same.key = (struct tree_key){{NULL, 0}, {NULL, 0}};
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        return st;
    if (st < 0)
        return ST_OK;
    base = walk.call.view;
    base.table = base_table(commit, walk.call.table);
    if (!base.table)
        return ST_OK;
    st = walk_until(commit, &walk, note, &last, &known);
    if (st < 0)
        return st;
    if (walk.positions) { /* those of the fork, which may be others */
        walk.range.from = (struct bound){.kind = BOUND_NONE};
        walk.range.to = walk.range.from;
        known = false;
    }
    *ret_part = known;
    return view_same(&commit->same, &base, &walk.call.view, &walk.range,
                     known ? &last : NULL, walk.keys && !note->where.size, ret);
}

/* --- conflicts ---------------------------------------------------------- */

/* The table of the head with this name, a term; or NULL. Its encoded name is
 * in commit->until[0] then. */
static const struct table *head_table(struct commit *commit, struct bytes name)
{
    struct buffer *key = &commit->until[0];

    key->size = 0;
    if (key_encode(name, key) < 0 || key->size > TABLE_NAME_BYTES_MAX)
        key->size = 0; /* no table can be called that */
    return store_find(commit->head, buffer_bytes(key));
}

/* Of {Side, Key} and of what follows a view: the key, as a term. `args` stands
 * before the view. */
static struct bytes view_key(struct reader *args, const struct table *table,
                             const struct command *command)
{
    if (reader_tuple_of(args, 2)) {
        reader_term(args);
        return reader_term(args);
    }
    reader_term(args);
    if (command->run == cmd_scan || command->run == cmd_count)
        return bytes_of(NULL, 0);
    if (table_has_second(table) ||
        (table_has_value(table) && command->run != cmd_rank))
        reader_tuple_of(args, 2);
    return reader_term(args);
}

/* The key that an Op names, as a term; empty if it names none. */
static struct bytes op_key(struct commit *commit, const struct call *call)
{
    static const char of_side[][12] = {"get", "has_key", "delete_key"};
    static const char of_view[][12] = {
        "member", "insert", "insert_new", "delete", "rank", "scan", "count"};
    static const char of_graph[][16] = {
        "put_vertex",  "update_vertex", "delete_vertex", "put_edge",
        "update_edge", "delete_edge",   "get_vertex",    "get_edge",
        "has_vertex",  "has_edge",      "contract",      "expand",
        "contracted",  "neighbors",     "degree",        "bfs",
        "dfs",         "reachable",     "shortest_path", "paths"};
    const char *name = call->command->name;
    struct reader args = call->args;
    const struct table *table = head_table(commit, reader_term(&args));

    if (!table)
        return bytes_of(NULL, 0);
    if (call->command->run == cmd_update_row)
        return reader_term(&args);
    if (table_type(table) == TABLE_GRAPH) {
        for (size_t i = 0; i < sizeof(of_graph) / sizeof(of_graph[0]); i++)
            if (!strcmp(name, of_graph[i]))
                return reader_term(&args);
        return bytes_of(NULL, 0);
    }
    for (size_t i = 0; i < sizeof(of_side) / sizeof(of_side[0]); i++)
        if (!strcmp(name, of_side[i])) {
            reader_term(&args);
            return reader_term(&args);
        }
    for (size_t i = 0; i < sizeof(of_view) / sizeof(of_view[0]); i++)
        if (!strcmp(name, of_view[i]))
            return view_key(&args, table, call->command);
    return bytes_of(NULL, 0);
}

/* Has anything changed at a key of a side since the base? */
static bool key_changed(struct commit *commit, const struct table *table,
                        enum side side, struct bytes key)
{
    struct buffer *encoded = &commit->until[1];
    const struct table *base = base_table(commit, table);
    struct view views[2] = {{.table = base, .side = side},
                            {.table = table, .side = side}};
    struct bound bound = {.kind = BOUND_INCLUSIVE};
    struct range range = {ASCENDING, bound, bound};
    bool same = true;

    encoded->size = 0;
    if (!base || !table_has_side(table, side) || !key.size ||
        key_encode(key, encoded) < 0)
        return false;
    range.from.first = range.to.first = buffer_bytes(encoded);
    if (view_same(&commit->same, &views[0], &views[1], &range, NULL, false,
                  &same) < 0)
        return false;
    return !same;
}

/* The side that a view or a Side is of. */
static enum side op_side(struct reader view)
{
    struct bytes word;

    reader_tuple_of(&view, 2);
    return reader_atom(&view, &word) && bytes_equal(word, BYTES("bwd"))
               ? SIDE_BWD
               : SIDE_FWD;
}

/* The key that an element of a list is about: it, or its first half. */
static struct bytes item_key(struct reader item, const struct table *table,
                             bool keys)
{
    if (!keys && (table_has_second(table) || table_has_value(table)))
        reader_tuple_of(&item, 2);
    return reader_term(&item);
}

/* An element of a string lies in its struct list (reader.h), which goes. The
 * complaint needs it until the reply is put. */
static struct bytes keep_item(struct commit *commit, struct bytes item)
{
    struct buffer *kept = &commit->commands->scratch[SCRATCH_KEY];

    kept->size = 0;
    if (buffer_append(kept, item) < 0)
        return bytes_of(NULL, 0);
    return buffer_bytes(kept);
}

/* Finds the first key in the list of an Op that has changed. */
static struct bytes list_blame(struct commit *commit, const struct call *call,
                               const struct table *table)
{
    bool keys = call->command->run == cmd_get_all;
    struct reader args = call->args;
    struct list list;
    enum side side;

    reader_term(&args);
    side = op_side(args);
    if (!keys && reader_tuple_of(&args, 2)) { /* of one key, all of it */
        reader_term(&args);
        return reader_term(&args);
    }
    reader_term(&args);
    if (!reader_list(&args, &list))
        return bytes_of(NULL, 0);
    while (list.left > 0) {
        struct reader *next = list_next(&list);
        struct bytes key = item_key(*next, table, keys);

        reader_term(next);
        if (key_changed(commit, table, side, key))
            return list.string ? keep_item(commit, key) : key;
    }
    return bytes_of(NULL, 0);
}

/* Says which table and key of it an Op is about. True if that key is known to
 * have changed. */
static bool op_blame(struct commit *commit, struct bytes op)
{
    struct complaint *complaint = &commit->call->complaint;
    struct call call = commit_call(commit, commit->head, op);
    struct reader reader = reader_of(op);
    const struct table *table;
    struct reader view;

    if (call_parse(&call, &reader) < 0 || call.command->arity == 0)
        return false;
    view = call.args;
    complaint->table = reader_term(&view);
    complaint->key_term = bytes_of(NULL, 0);
    table = head_table(commit, complaint->table);
    if (!table)
        return false;
    if (call.command->run == cmd_get_all ||
        call.command->run == cmd_insert_all ||
        call.command->run == cmd_delete_all) {
        complaint->key_term = list_blame(commit, &call, table);
        return complaint->key_term.size > 0;
    }
    complaint->key_term = op_key(commit, &call);
    return key_changed(commit, table, op_side(view), complaint->key_term);
}

/* The same for the first Op of a batch whose key has changed, or the first. */
static void batch_blame(struct commit *commit, struct reader ops)
{
    struct bytes first = {NULL, 0};
    struct list list;

    if (!reader_list(&ops, &list))
        return;
    while (list.left > 0) {
        struct bytes op = reader_term(list_next(&list));

        if (op_blame(commit, op))
            return;
        if (!first.size)
            first = op;
    }
    if (first.size)
        op_blame(commit, first);
}

/* A conflict over the Op of `note`: says which table and key, if it can. */
static enum status conflict(struct commit *commit, const struct note *note)
{
    struct complaint *complaint = &commit->call->complaint;
    struct reader op = reader_of(note->op);
    struct call call = commit_call(commit, commit->head, note->op);
    struct buffer *key;

    if (call_parse(&call, &op) < 0 || call.command->arity == 0)
        return ST_CONFLICT;
    if (call.command->run == cmd_batch) {
        batch_blame(commit, call.args);
        return ST_CONFLICT;
    }
    if (!is_walk(&call) || !commit->same.key.first.size) {
        op_blame(commit, note->op);
        return ST_CONFLICT;
    }
    complaint->table = reader_term(&op);
    key = &commit->commands->scratch[SCRATCH_KEY];
    key->size = 0;
    if (buffer_append(key, commit->same.key.first) == ST_OK)
        complaint->key = buffer_bytes(key);
    return ST_CONFLICT;
}

/* --- which reads are in question ----------------------------------------- */

/* The same for all tables of a read that may name several, or a graph, which
 * stands for its parts. */
static bool sources_unchanged(struct commit *commit, struct call call)
{
    struct sources sources;

    return call_sources(&call, &sources) == ST_OK &&
           call.shows <= snapshot_seq(commit->base);
}

/* Has the table that a read names been left alone since the base? One that
 * neither has is the fork's own. */
static bool table_unchanged(struct commit *commit, const struct call *call)
{
    struct reader args = call->args;
    const struct table *table;

    if (call->command->arity == 0)
        return false;
    if (call->command->flags & CMD_SOURCE)
        return sources_unchanged(commit, *call);
    table = head_table(commit, reader_term(&args));
    if (!table)
        return !snapshot_find(commit->base, buffer_bytes(&commit->until[0]));
    return table_changed_seq(table) <= snapshot_seq(commit->base);
}

/* Decides what has to be checked of a read: note->check. */
static enum status read_examine(struct commit *commit, struct note *note)
{
    struct call call = commit_call(commit, commit->head, note->op);
    struct reader op = reader_of(note->op);
    bool same = false;
    bool part = false;
    enum status st;

    note->check = CHECK_NOTHING;
    if (note->pending) /* nobody has been told what it says */
        return ST_OK;
    if (call_parse(&call, &op) < 0)
        return ST_OK;
    if (call.command->flags & CMD_STORE) /* it has told the seq */
        return conflict(commit, note);
    if (table_unchanged(commit, &call))
        return ST_OK;
    note->check = CHECK_AGAIN;
    if (call.command->flags & CMD_SOURCE && note->on_worker)
        return conflict(commit, note);
    if (!is_walk(&call) || (note->failed && !note->stopped))
        return ST_OK;
    if (!is_scan(&call) && !note->where.size && !note->on_worker)
        return ST_OK; /* a count, which is a matter of O(log n) */
    st = walk_same(commit, note, &same, &part);
    if (st < 0)
        return st;
    if (same)
        note->check = part ? CHECK_MORE : CHECK_NOTHING;
    else if (note->on_worker || note->where.size || note->stopped)
        return conflict(commit, note);
    return ST_OK;
}

static enum status reads_examine(struct commit *commit)
{
    enum status st = ST_OK;

    for (struct note *note = commit->journal->first; note && st == ST_OK;
         note = note->next) {
        note->check = CHECK_AGAIN;
        if (note->kind == NOTE_READ)
            st = read_examine(commit, note);
    }
    return st;
}

/* --- once more ---------------------------------------------------------- */

/* Does more lie behind a page, as it has said? */
static enum status check_more(struct commit *commit, const struct note *note)
{
    struct bound until;
    struct walk walk;
    uint64_t position;
    bool known = false;
    enum status st = walk_parse(commit, commit->again, note, &walk);

    commit->same.key = (struct tree_key){{NULL, 0}, {NULL, 0}};
    if (st == ST_OK)
        st = walk_until(commit, &walk, note, &until, &known);
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        return st;
    if (st < 0 || !known)
        return conflict(commit, note);
    if (until.kind == BOUND_INCLUSIVE)
        until.kind = BOUND_EXCLUSIVE;
    walk.range.from = until;
    if (view_count(&walk.call.view, &walk.range, &position) == 0)
        return conflict(commit, note);
    return ST_OK;
}

/* Carries an Op out again. Errors are those of want of memory. */
static enum status check_again(struct commit *commit, const struct note *note)
{
    struct call call = commit_call(commit, commit->again, note->op);
    struct reader op = reader_of(note->op);
    bool writes, same, part;
    enum status st = writer_reply_begin(&commit->out, 0);

    if (st < 0)
        return st;
    if (note->where.size) {
        call.options.given = OPTION_WHERE;
        call.options.where = note->where;
    }
    st = call_parse(&call, &op);
    writes = st == ST_OK && call.command->flags & CMD_WRITE;
    if (writes)
        store_begin(commit->again);
    if (st == ST_OK)
        st = call_perform(&call);
    same = note->failed == (st < 0) &&
           digest_equal(note->answer, call_answer_digest(&call, st));
    if (writes && st < 0)
        store_rollback(commit->again);
    else if (writes)
        store_commit(commit->again);
    writer_reply_drop(&commit->out);
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        return st;
    if (same)
        return ST_OK;
    commit->same.key = (struct tree_key){{NULL, 0}, {NULL, 0}};
    if (call.command && is_walk(&call)) {
        st = walk_same(commit, note, &same, &part); /* for the key */
        if (st < 0)
            return st;
    }
    return conflict(commit, note);
}

static enum status journal_again(struct commit *commit)
{
    uint64_t count = 0;
    enum status st = ST_OK;

    for (struct note *note = commit->journal->first; note && st == ST_OK;
         note = note->next) {
        if (note->check == CHECK_AGAIN)
            st = check_again(commit, note);
        else if (note->check == CHECK_MORE)
            st = check_more(commit, note);
        call_tick(commit->call, count++);
    }
    return st;
}

/* Opens a fork of the head to try things on. It is gone again soon, so the
 * limit does not count. */
static enum status again_open(struct commit *commit)
{
    struct mem *mem = store_mem(commit->head);
    struct snapshot *snapshot;
    enum status st;

    mem_exempt_begin(mem);
    st = snapshot_take(commit->head, &snapshot);
    if (st == ST_OK) {
        st = snapshot_fork(snapshot, &commit->again);
        snapshot_release(snapshot);
    }
    mem_exempt_end(mem);
    return st;
}

static enum status commit_validate(struct commit *commit)
{
    struct writer *out = commit->call->out;
    struct mem *mem = commit->commands->mem;
    enum status st;

    writer_init(&commit->out, mem, out->answer_max);
    same_init(&commit->same, mem);
    commit->until[0] = BUFFER(mem);
    commit->until[1] = BUFFER(mem);
    st = reads_examine(commit);
    if (st == ST_OK)
        st = again_open(commit);
    if (st == ST_OK)
        st = journal_again(commit);
    store_free(commit->again);
    buffer_free(&commit->until[0]);
    buffer_free(&commit->until[1]);
    same_free(&commit->same);
    writer_deinit(&commit->out);
    return st;
}

/* --- to the head -------------------------------------------------------- */

enum status ops_append(struct buffer *ops, struct bytes op, uint32_t *count)
{
    struct reader reader = reader_of(op);
    const uint8_t *start;
    struct bytes name;
    struct list list;
    uint32_t arity;

    REQUIRE(reader_tuple(&reader, &arity) && reader_atom(&reader, &name));
    if (!bytes_equal(name, BYTES("batch"))) {
        *count += 1;
        return buffer_append(ops, op);
    }
    REQUIRE(reader_list(&reader, &list));
    *count += list.left;
    start = reader.at; /* they lie side by side */
    while (list.left > 0)
        reader_term(list_next(&list));
    return buffer_append(ops, bytes_of(start, (size_t)(reader.at - start)));
}

/* {batch, [Op]} */
static enum status commit_log(struct commit *commit, const struct buffer *ops,
                              uint32_t count)
{
    struct buffer op = BUFFER(commit->commands->mem);
    enum status st;

    if (!commit->commands->log.log)
        return ST_OK;
    st = etf_put_tuple(&op, 2);
    if (st == ST_OK)
        st = etf_put_atom(&op, "batch");
    if (st == ST_OK)
        st = etf_put_list(&op, count);
    if (st == ST_OK)
        st = buffer_append(&op, buffer_bytes(ops));
    if (st == ST_OK)
        st = etf_put_nil(&op);
    if (st == ST_OK)
        st = commands_log_op(commit->commands, buffer_bytes(&op));
    buffer_free(&op);
    return st;
}

/* Does all mutations of the journal to the head, within a command. Nobody
 * reads what they answer. */
static enum status commit_journal(struct commit *commit, struct buffer *ops,
                                  uint32_t *ret_count)
{
    struct writer *out = commit->call->out;
    uint64_t count = 0;
    enum status st = ST_OK;

    writer_discard(out, true);
    for (const struct note *note = commit->journal->first; note && st == ST_OK;
         note = note->next) {
        struct reader op = reader_of(note->op);
        struct call call = call_of(commit->commands, commit->head, out);

        if (note->kind != NOTE_WRITE)
            continue;
        call.mark = store_change_mark(commit->head);
        st = call_parse(&call, &op);
        if (st == ST_OK)
            st = call.command->run(&call);
        if (st == ST_OK)
            st = ops_append(ops, note->op, ret_count);
        call_tick(commit->call, count++);
    }
    writer_discard(out, false);
    return st;
}

/* Journal and list, with the whole answer, as one mutation of the head. */
static enum status commit_run(struct commit *commit, struct buffer *ops,
                              uint32_t *ret_count)
{
    struct call *call = commit->call;
    size_t answers = writer_size(call->out);
    enum status st = commit_journal(commit, ops, ret_count);

    if (st == ST_TOO_BIG)
        return call_fail(call, st,
                         "the fork has changed too much for one "
                         "commit; nothing was done");
    if (st == ST_OK)
        st = run_ops(call, NULL, ops, ret_count, &call->shows);
    if (st < 0)
        return st;
    put_before(call->out, answers,
               store_seq(commit->head) + (store_change_mark(commit->head) > 0));
    st = writer_status(call->out);
    if (st == ST_TOO_BIG)
        return call_fail(call, st,
                         "the reply would pass its limit and the "
                         "fork was not committed; send fewer Ops "
                         "with it");
    return st;
}

static enum status commit_apply(struct commit *commit)
{
    struct buffer ops = BUFFER(commit->commands->mem);
    uint32_t count = 0;
    enum status st;

    store_set_removed_bytes_max(commit->head, 0);
    store_begin(commit->head);
    st = commit_run(commit, &ops, &count);
    store_set_removed_bytes_max(commit->head, commit->call->out->answer_max);
    if (st == ST_OK)
        st = commit_log(commit, &ops, count);
    if (st == ST_TOO_BIG && !commit->call->complaint.text)
        commit->call->complaint.text = "the fork has changed too much for one "
                                       "commit; nothing was done";
    if (st < 0)
        commands_rollback(commit->commands);
    else
        commands_commit(commit->commands);
    buffer_free(&ops);
    commit->call->shows = store_seq(commit->head);
    return st;
}

/* Is there a mutation among the Ops that `call` stands before? */
static bool ops_write(const struct call *call)
{
    struct reader args = call->args;
    struct list list;
    bool writes = false;

    if (!reader_list(&args, &list))
        return false;
    while (list.left > 0 && !writes) {
        struct reader *next = list_next(&list);
        const struct command *command;
        struct reader op = *next;
        struct bytes name;
        uint32_t arity;

        reader_term(next);
        if (!reader_tuple(&op, &arity) || arity == 0 ||
            !reader_atom(&op, &name))
            return false;
        command = command_find(name);
        writes = command && command->flags & CMD_WRITE;
    }
    return writes;
}

/* Nothing was changed, and nothing is to be: only reads are left, and what is
 * told of them. After an error that is nothing, so it is not noted either. */
static enum status commit_nothing(struct call *call, struct version *fork,
                                  uint64_t seq)
{
    struct note **end = version_journal(fork)->end;
    enum status st;

    put_u64(call->out, seq);
    st = run_ops(call, fork, NULL, NULL, &call->shows);
    while (st < 0 && !version_journal(fork)->full && *end)
        note_drop(*end);
    return st;
}

enum status commit_fork(struct call *call, struct version *fork)
{
    struct commit commit = {
        .commands = call->commands,
        .call = call,
        .head = call->commands->store,
        .base = store_base(version_store(fork)),
        .journal = version_journal(fork),
    };
    uint64_t seq = snapshot_seq(commit.base);
    enum status st = ST_OK;

    if (!commit.journal->writes && !ops_write(call))
        return commit_nothing(call, fork, seq);
    if (commit.journal->full) {
        call->complaint.limit = JOURNAL_BYTES_MAX;
        return call_fail(call, ST_TOO_BIG,
                         "the fork was asked too much to be committed; do "
                         "less in one transaction");
    }
    if (store_seq(commit.head) != seq)
        st = commit_validate(&commit);
    return st == ST_OK ? commit_apply(&commit) : st;
}
