/*
 * cmd_with.c -- a mutation that may be sent twice and is done once.
 *
 *     {with, #{idempotency_key => Key}, Op}
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

/* The name of the Op that `op` stands before; empty if it is none. */
static struct bytes with_command(struct reader op)
{
    struct bytes name;
    uint32_t arity;

    if (reader_tuple(&op, &arity) && arity > 0 && reader_atom(&op, &name))
        return name;
    return bytes_of(NULL, 0);
}

/* Puts the Result that was answered to `key`; `*ret_known` if there is one.
 * ST_BAD_ARGUMENT if it was the answer to another command. */
static enum status with_repeat(struct call *call, struct bytes key,
                               bool *ret_known)
{
    struct tree_entry *entry = &call->commands->entry;
    struct buffer *id = call_scratch(call, SCRATCH_SECOND);
    struct bytes name, value;
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
    if (!bytes_equal(name, with_command(call->args)))
        return call_fail(call, ST_BAD_ARGUMENT,
                         "this idempotency key was used for another command; "
                         "a key is for one request");
    value = reader_term(&reader);
    if (!with_is_answer(value))
        return with_spoilt(call);
    put_term(call->out, bytes_of(value.data + 5 + sizeof(answer_head),
                                 value.size - 5 - sizeof(answer_head)));
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
    enum status st = with_row(&row, term, with_command(call->args), result);

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

/* --- the command -------------------------------------------------------- */

/* The options: `*ret_term` is the key, or empty. */
static enum status with_options(struct call *call, struct bytes *ret_term)
{
    static const char text[] = "must be a map; its one option is "
                               "idempotency_key => Term";
    struct bytes name;
    uint32_t count;

    *ret_term = bytes_of(NULL, 0);
    call->argument++;
    if (!reader_map(&call->args, &count))
        return call_bad(call, text);
    while (count-- > 0) {
        if (!reader_atom(&call->args, &name) ||
            !bytes_equal(name, BYTES("idempotency_key")))
            return call_bad(call, text);
        *ret_term = reader_term(&call->args);
    }
    return ST_OK;
}

/* Carries out Op, puts its Result and remembers it if it changed anything. */
static enum status with_run(struct call *call, struct bytes term,
                            struct bytes key)
{
    struct writer *out = call->out;
    size_t mark = store_change_mark(call->store);
    size_t start = writer_size(out);
    struct reader op = call->args;
    struct bytes result;
    enum status st;

    st = call_run_nested(call, &op, CMD_WITH,
                         "takes a mutation, and not another `with`", -1);
    if (st < 0 || !term.size || store_change_mark(call->store) == mark)
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

enum status cmd_with(struct call *call)
{
    struct buffer key = BUFFER(call->commands->mem);
    struct writer *out = call->out;
    bool discards = out->discards;
    size_t start = writer_size(out);
    struct bytes term;
    bool known = false;
    enum status st = with_options(call, &term);

    if (st == ST_OK && term.size) {
        struct reader reader = reader_of(term);
        struct bytes encoded;

        st = call_encode(call, &reader, SCRATCH_KEY, &encoded);
        /* The scratch is for Op. */
        if (st == ST_OK)
            st = buffer_append(&key, encoded);
        if (st == ST_OK)
            st = with_repeat(call, buffer_bytes(&key), &known);
    }
    if (st == ST_OK && !known) {
        call->argument++;
        if (discards)
            writer_discard(out, false);
        st = with_run(call, term, buffer_bytes(&key));
        if (discards) {
            put_truncate(out, start);
            writer_discard(out, true);
        }
    }
    buffer_free(&key);
    return st;
}
