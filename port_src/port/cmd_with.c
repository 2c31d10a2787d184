/*
 * cmd_with.c -- what stands around a command: where, when and how often.
 *
 *     {with, #{at => Version, deadline => Ms, ...}, Op}
 *
 * A `with` is read before its Op runs, and then the call is that of Op, with
 * options. Two of them are for mutations of the head and are part of what is
 * done, so they are in the log: `expect`, which refuses to work at another seq,
 * and `idempotency_key`, which lets a mutation be sent twice and be done once.
 *
 * Who gets no answer does not know whether Op was done. So the answer is kept
 * under a key of the client's, in the store and in the same mutation:
 *
 *     '$keys'     to_one   Key -> Id
 *     '$answers'  pom      Id -> {Key, Command, Answer}
 *
 * Answer is <<131, {ok, Result}>> as it was sent, and Command the name of Op: a
 * key that comes back with another one is somebody's mistake, and the answer
 * would make no sense to them.
 *
 * They are ordinary tables, so they are logged, replayed, checkpointed and in
 * the digest like any other. The oldest answer has the smallest id; when there
 * are too many it is the one that goes.
 *
 * A replay must come to the same tables, so it builds the answer here, and
 * only here.
 */
#include "port/call.h"

#include "core/etf.h"
#include "core/key.h"

#define ANSWERS_MAX 65536
#define ANSWER_BYTES_MAX (64u << 10)

/* What an answer begins with: 131, and the head of {ok, Result}. */
static const uint8_t answer_head[] = {
    ETF_VERSION, ETF_SMALL_TUPLE, 2, ETF_SMALL_ATOM_UTF8, 2, 'o', 'k'};

static const char keys_name[] = "$keys";
static const char answers_name[] = "$answers";

/* --- the tables --------------------------------------------------------- */

/* What a log from elsewhere may have put into the two tables. */
static enum status with_spoilt(struct call *call)
{
    return call_fail(call, ST_LOG_REFUSED,
                     "the tables of idempotency keys hold what this program "
                     "does not write; use a key of another kind, or none");
}

/* Finds a table by the name of an atom; into call->table, NULL: none. */
static enum status with_find(struct call *call, const char *name,
                             enum table_type type, struct bytes *ret_key)
{
    struct buffer term = BUFFER(call->commands->mem);
    struct buffer *key = call_scratch(call, SCRATCH_NAME);
    enum status st = etf_put_atom(&term, name);

    if (st == ST_OK)
        st = key_encode(buffer_bytes(&term), key);
    buffer_free(&term);
    *ret_key = buffer_bytes(key);
    call->table = st == ST_OK ? store_find(call->store, *ret_key) : NULL;
    if (call->table && table_type(call->table) != type)
        return with_spoilt(call);
    return st;
}

/* The same, and it is made if there is none. */
static enum status with_table(struct call *call, const char *name,
                              enum table_type type, struct table **ret)
{
    static const struct table_reference none[2];
    struct bytes key;
    enum status st = with_find(call, name, type, &key);

    if (st == ST_OK && !call->table)
        st = store_table_create(call->store, key, type, none, &call->table);
    if (st == ST_OK)
        *ret = call->table;
    return st;
}

/* Both are made together. */
uint64_t with_table_count(struct call *call)
{
    struct bytes key;

    return with_find(call, keys_name, TABLE_TO_ONE, &key) == ST_OK &&
                   call->table
               ? 2
               : 0;
}

/* --- an answer that is known -------------------------------------------- */

/* Is it a binary of 131 and {ok, Result}? */
static bool with_is_answer(struct bytes term)
{
    size_t head = 5 + sizeof(answer_head);
    size_t size;

    return term.size > head && term.data[0] == ETF_BINARY &&
           !memcmp(term.data + 5, answer_head, sizeof(answer_head)) &&
           etf_validate(bytes_of(term.data + head, term.size - head), &size,
                        NULL) == ST_OK &&
           size == term.size - head;
}

/* The name of the Op. */
static struct bytes with_command(const struct call *call)
{
    return bytes_of(call->command->name, strlen(call->command->name));
}

/* Is a Result {SeqAfter, Result}? No mutation has one like it. */
static bool with_is_expected(struct bytes result)
{
    struct reader reader = reader_of(result);

    return reader_tuple_of(&reader, 2);
}

/* Puts the Result that was answered to `key`; `*ret_known` if there is one.
 * ST_BAD_ARGUMENT if it was the answer to another command. */
static enum status with_repeat(struct call *call, struct bytes key,
                               bool *ret_known)
{
    struct tree_entry *entry = &call->commands->entry;
    struct buffer *id = call_scratch(call, SCRATCH_SECOND);
    struct bytes name, value, result;
    struct reader reader;
    bool found;
    enum status st;

    *ret_known = false;
    st = with_find(call, keys_name, TABLE_TO_ONE, &name);
    if (st < 0 || !call->table)
        return st;
    st = table_get(call->table, SIDE_FWD, key, entry, &found, &value);
    if (st < 0 || !found)
        return st;
    st = key_encode(value, id);
    if (st == ST_OK)
        st = with_find(call, answers_name, TABLE_POM, &name);
    if (st < 0)
        return st;
    if (!call->table)
        return with_spoilt(call);
    st = table_get(call->table, SIDE_FWD, buffer_bytes(id), entry, &found,
                   &value);
    if (st < 0)
        return st;
    reader = reader_of(value); /* {Key, Command, <<131, {ok, Result}>>} */
    if (!found || !reader_tuple_of(&reader, 3))
        return with_spoilt(call);
    reader_term(&reader);
    if (!reader_atom(&reader, &name))
        return with_spoilt(call);
    if (!bytes_equal(name, with_command(call)))
        return call_fail(call, ST_BAD_ARGUMENT,
                         "this idempotency key was used for another command; "
                         "a key is for one request");
    value = reader_term(&reader);
    if (!with_is_answer(value))
        return with_spoilt(call);
    result = bytes_of(value.data + 5 + sizeof(answer_head),
                      value.size - 5 - sizeof(answer_head));
    if (with_is_expected(result) != (bool)(call->options.given & OPTION_EXPECT))
        return call_fail(call, ST_BAD_ARGUMENT,
                         "this idempotency key was used with `expect` and now "
                         "without it, or the other way round; a key is for "
                         "one request");
    put_term(call->out, result);
    *ret_known = true;
    return ST_OK;
}

/* --- remembering one ---------------------------------------------------- */

/* {Key, Command, Answer} as a term. */
static enum status with_row(struct buffer *row, struct bytes term,
                            struct bytes command, struct bytes result)
{
    uint8_t head[5] = {ETF_BINARY};
    uint8_t atom[2] = {ETF_SMALL_ATOM_UTF8, (uint8_t)command.size};
    enum status st = etf_put_tuple(row, 3);

    store_be32(head + 1, (uint32_t)(sizeof(answer_head) + result.size));
    if (st == ST_OK)
        st = buffer_append(row, term);
    if (st == ST_OK)
        st = buffer_append(row, bytes_of(atom, sizeof(atom)));
    if (st == ST_OK)
        st = buffer_append(row, command);
    if (st == ST_OK)
        st = buffer_append(row, bytes_of(head, sizeof(head)));
    if (st == ST_OK)
        st = buffer_append(row, bytes_of(answer_head, sizeof(answer_head)));
    if (st == ST_OK)
        st = buffer_append(row, result);
    return st;
}

/* Forgets the answer with the smallest id. */
static enum status with_forget(struct call *call, struct table *keys,
                               struct table *answers)
{
    const struct view view = {.table = answers, .side = SIDE_FWD};
    const struct range all = {
        ASCENDING, {.kind = BOUND_NONE}, {.kind = BOUND_NONE}};
    struct buffer *key = call_scratch(call, SCRATCH_KEY);
    struct buffer *id = call_scratch(call, SCRATCH_SECOND);
    struct element oldest;
    struct scan scan;
    uint64_t count;
    bool found;
    enum status st;

    scan_init(&scan, call->commands->mem, &view, &all, false);
    st = scan_next(&scan, &oldest, &found);
    if (st == ST_OK) {
        struct reader reader = reader_of(oldest.value);

        if (found && reader_tuple_of(&reader, 3))
            st = key_encode(reader_term(&reader), key);
        else
            st = with_spoilt(call);
        if (st == ST_OK)
            st = buffer_append(id, oldest.first);
    }
    scan_free(&scan);
    if (st == ST_OK)
        st = table_delete_key(call->store, keys, SIDE_FWD, buffer_bytes(key),
                              &count);
    if (st == ST_OK)
        st = table_delete_key(call->store, answers, SIDE_FWD, buffer_bytes(id),
                              &count);
    return st;
}

/* Enters the answer whose Result is `result` under `key`, which is `term`. */
static enum status with_remember(struct call *call, struct bytes key,
                                 struct bytes term, struct bytes result)
{
    struct buffer row = BUFFER(call->commands->mem);
    struct table *keys, *answers;
    bool inserted;
    uint64_t id;
    enum status st = with_row(&row, term, with_command(call), result);

    if (st == ST_OK)
        st = with_table(call, keys_name, TABLE_TO_ONE, &keys);
    if (st == ST_OK)
        st = with_table(call, answers_name, TABLE_POM, &answers);
    if (st == ST_OK)
        st = pom_insert(call->store, answers, buffer_bytes(&row), &id);
    row.size = 0;
    if (st == ST_OK)
        st = etf_put_u64(&row, id);
    if (st == ST_OK)
        st = table_insert(call->store, keys, SIDE_FWD, key, buffer_bytes(&row),
                          &inserted);
    if (st == ST_OK && table_count(answers) > ANSWERS_MAX)
        st = with_forget(call, keys, answers);
    buffer_free(&row);
    return st;
}

/* --- carrying it out ---------------------------------------------------- */

void put_before(struct writer *out, size_t at, uint64_t value)
{
    uint8_t integer[16];
    size_t end = writer_size(out);
    size_t size;

    put_u64(out, value);
    if (out->status < 0)
        return;
    size = writer_size(out) - end;
    REQUIRE(size <= sizeof(integer));
    memcpy(integer, out->out.data + end, size);
    memmove(out->out.data + at + size, out->out.data + at, end - at);
    memcpy(out->out.data + at, integer, size);
}

/* #{expected => E, seq => N} */
static enum status with_stale(struct call *call)
{
    struct buffer *extra = call_scratch(call, SCRATCH_SECOND);
    enum status st = etf_put_atom(extra, "expected");

    if (st == ST_OK)
        st = etf_put_u64(extra, call->options.expect);
    if (st == ST_OK)
        st = etf_put_atom(extra, "seq");
    if (st == ST_OK)
        st = etf_put_u64(extra, store_seq(call->store));
    if (st < 0)
        return st;
    call->complaint.extra = buffer_bytes(extra);
    call->complaint.extra_count = 2;
    return ST_STALE;
}

/* Runs the Op and puts its Result, or {SeqAfter, Result}. A log says that the
 * seq was the right one; in one that was mended seqs may be others. */
static enum status with_expected(struct call *call)
{
    uint64_t seq = store_seq(call->store);
    size_t at;
    enum status st;

    if (!(call->options.given & OPTION_EXPECT))
        return call->command->run(call);
    if (!call->again && seq != call->options.expect)
        return with_stale(call);
    put_tuple(call->out, 2);
    at = writer_size(call->out);
    st = call->command->run(call);
    if (st == ST_OK)
        put_before(call->out, at,
                   seq + (store_change_mark(call->store) > call->mark));
    return st;
}

/* The same, and remembers the Result if the Op changed anything. */
static enum status with_remembered(struct call *call, struct bytes key)
{
    struct bytes term = call->options.idempotency_key;
    struct writer *out = call->out;
    size_t start = writer_size(out);
    struct bytes result;
    enum status st = with_expected(call);

    if (st == ST_OK)
        st = writer_status(out);
    if (st < 0 || store_change_mark(call->store) == call->mark)
        return st;
    result = bytes_of(out->out.data + start, writer_size(out) - start);
    if (result.size + sizeof(answer_head) > ANSWER_BYTES_MAX) {
        call->complaint.limit = ANSWER_BYTES_MAX;
        return call_fail(call, ST_TOO_BIG,
                         "the answer is too large to be remembered and "
                         "nothing was done; ask for less at once");
    }
    return with_remember(call, key, term, result);
}

/* The idempotency key as a key: `key` is empty. */
static enum status with_key(struct call *call, struct buffer *key)
{
    struct reader reader = reader_of(call->options.idempotency_key);
    struct bytes encoded;
    enum status st = call_encode(call, &reader, SCRATCH_KEY, &encoded);

    if (st == ST_OK)
        return buffer_append(key, encoded); /* the scratch is for Op */
    call->command = command_find(BYTES("with"));
    call->argument = 1;
    return st;
}

enum status with_run(struct call *call)
{
    struct buffer key = BUFFER(call->commands->mem);
    struct writer *out = call->out;
    bool discards = out->discards;
    size_t start = writer_size(out);
    bool known = false;
    enum status st;

    if (!(call->options.given & OPTION_IDEMPOTENCY_KEY))
        return with_expected(call);
    st = with_key(call, &key);
    if (st == ST_OK)
        st = with_repeat(call, buffer_bytes(&key), &known);
    if (st == ST_OK && !known) {
        if (discards)
            writer_discard(out, false);
        st = with_remembered(call, buffer_bytes(&key));
        if (discards) {
            put_truncate(out, start);
            writer_discard(out, true);
        }
    }
    buffer_free(&key);
    return st;
}

/* --- the options -------------------------------------------------------- */

static enum status option_key(struct call *call)
{
    call->options.idempotency_key = reader_term(&call->args);
    return ST_OK;
}

static enum status option_where(struct call *call)
{
    call->options.where = reader_term(&call->args);
    return ST_OK;
}

/* {Holder, Number}, from call->args. */
static enum status parse_version(struct call *call, struct version_name *ret)
{
    if (reader_tuple_of(&call->args, 2) &&
        reader_integer(&call->args, &ret->holder) && ret->holder >= 0 &&
        reader_integer(&call->args, &ret->number) && ret->number >= 0)
        return ST_OK;
    return call_bad(call, "a version is {Holder, Number}, two integers from 0 "
                          "to 2^63 - 1");
}

enum status call_version_name(struct call *call, struct version_name *ret)
{
    call->argument++;
    return parse_version(call, ret);
}

static enum status option_at(struct call *call)
{
    struct version_name name;
    struct bytes word;
    enum status st;

    if (reader_atom(&call->args, &word))
        return bytes_equal(word, BYTES("head"))
                   ? ST_OK
                   : call_bad(call, "at is {Holder, Number} or head");
    st = parse_version(call, &name);
    if (st < 0)
        return st;
    if (call->again)
        return call_bad(call, "a log holds no mutation of a version");
    call->version = versions_find(call->commands->versions, name);
    if (!call->version)
        return ST_NO_SNAPSHOT;
    call->store = version_store(call->version);
    return ST_OK;
}

static enum status option_expect(struct call *call)
{
    int64_t seq;

    if (!reader_integer(&call->args, &seq) || seq < 0)
        return call_bad(call, "expect is a seq, an integer from 0 on");
    call->options.expect = (uint64_t)seq;
    return ST_OK;
}

static enum status option_deadline(struct call *call)
{
    struct bytes word;
    int64_t ms;

    if (reader_atom(&call->args, &word) &&
        bytes_equal(word, BYTES("infinity"))) {
        call->options.deadline_ms = UINT64_MAX;
        return ST_OK;
    }
    if (!reader_integer(&call->args, &ms) || ms < 0)
        return call_bad(call, "deadline is a number of milliseconds, or "
                              "infinity");
    call->options.deadline_ms = (uint64_t)ms;
    return ST_OK;
}

static enum status option_rows(struct call *call)
{
    int64_t rows;

    if (!reader_integer(&call->args, &rows) || rows < 1)
        return call_bad(call, "rows is a number of elements, from 1 on");
    call->options.rows = (uint64_t)rows;
    return ST_OK;
}

static enum status option_memory(struct call *call)
{
    int64_t bytes;

    if (!reader_integer(&call->args, &bytes) || bytes < 1)
        return call_bad(call, "memory is a number of bytes, from 1 on");
    call->options.memory = (size_t)bytes;
    return ST_OK;
}

static const struct {
    const char *name;
    enum option option;
    enum status (*take)(struct call *call);
} options[] = {
    {"idempotency_key", OPTION_IDEMPOTENCY_KEY, option_key},
    {"at", OPTION_AT, option_at},
    {"expect", OPTION_EXPECT, option_expect},
    {"deadline", OPTION_DEADLINE, option_deadline},
    {"rows", OPTION_ROWS, option_rows},
    {"memory", OPTION_MEMORY, option_memory},
    {"where", OPTION_WHERE, option_where},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static enum status take_option(struct call *call)
{
    struct bytes name;

    if (!reader_atom(&call->args, &name))
        return call_bad(call, "the name of an option is an atom");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        struct bytes known = bytes_of(options[i].name, strlen(options[i].name));

        if (!bytes_equal(name, known))
            continue;
        if (call->options.given & options[i].option)
            return call_bad(call, "an option is given twice");
        call->options.given |= options[i].option;
        return options[i].take(call);
    }
    return call_bad(call, "the options are idempotency_key, at, expect, "
                          "deadline, rows, memory and where");
}

#define OPTION_LIMITS (OPTION_DEADLINE | OPTION_ROWS | OPTION_MEMORY)
#define OPTION_HEAD (OPTION_IDEMPOTENCY_KEY | OPTION_EXPECT)

/* Do the options fit the command? A sentence if they do not. */
static const char *options_fault(const struct call *call)
{
    unsigned given = call->options.given;
    uint16_t flags = call->command->flags;
    bool writes = flags & CMD_WRITE;

    if (call->version && !(flags & CMD_VERSION))
        return "`at` a version is for reads and mutations of tables; this "
               "command is about the store itself";
    if (call->version && writes && !version_is_fork(call->version))
        return "a snapshot is not written to; open a fork of it";
    if (given & OPTION_HEAD && !(flags & CMD_WITH))
        return "idempotency_key and expect are for mutations";
    if (given & OPTION_HEAD && call->version)
        return "idempotency_key and expect are for the store itself and not "
               "for its versions";
    if (given & OPTION_LIMITS &&
        (writes || !(flags & (CMD_VERSION | CMD_LIMITS))))
        return "deadline, rows and memory are for reads of tables, and of rows "
               "that are kept";
    if (given & OPTION_WHERE && !(flags & CMD_WHERE))
        return "where is for scan and count";
    return NULL;
}

/* {with, Options, Op}: reads both. The call is that of Op from then on. */
enum status cmd_with(struct call *call)
{
    const struct command *with = call->command;
    uint32_t count;
    struct reader op;
    const char *fault;
    enum status st = ST_OK;

    call->argument = 1;
    if (!reader_map(&call->args, &count))
        return call_bad(call, "must be a map of options");
    while (count-- > 0 && st == ST_OK)
        st = take_option(call);
    if (st < 0)
        return st;
    op = call->args;
    call->inner.data = op.at;
    call->inner.size = (size_t)(call->op.data + call->op.size - op.at);
    st = call_parse(call, &op);
    if (st < 0)
        return st;
    fault = call->command->run == cmd_with ? "takes no other `with`"
                                           : options_fault(call);
    if (fault) {
        call->argument = call->command->run == cmd_with ? 2 : 1;
        call->command = with;
        return call_bad(call, fault);
    }
    /* Those two are part of what is done; the others say where and how. */
    if (!(call->options.given & OPTION_HEAD))
        call->op = call->inner;
    return ST_OK;
}
