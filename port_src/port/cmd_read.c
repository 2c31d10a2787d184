/*
 * cmd_read.c -- commands that only look.
 *
 * None of them allocates from the store's account, so they go on when its
 * limit is reached. A long answer is a page: {ok, Items, Next}, and Next is
 * the bound from which the following page starts. It names the last element
 * that was sent, and the daemon keeps nothing of the walk.
 */
#include "port/call.h"

/* A page ends with the item that passes this. */
#define PAGE_BYTES (1u << 20)

#define LIMIT_MAX INT32_MAX

static enum status call_table_and_side(struct call *call)
{
    enum status st = call_table(call);

    return st < 0 ? st : call_side(call);
}

static enum status call_table_and_view(struct call *call)
{
    enum status st = call_table(call);

    return st < 0 ? st : call_view(call);
}

enum status cmd_get(struct call *call)
{
    struct bytes key, partner;
    bool found;
    enum status st = call_table_and_side(call);

    if (st < 0)
        return st;
    if (!table_is_unique(call->table, call->side))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "a key of this side may have many partners; "
                         "use scan with the view {Side, Key}");
    st = call_key(call, &key);
    if (st == ST_OK)
        st = table_get(call->table, call->side, key, &call->commands->entry,
                       &found, &partner);
    if (st < 0)
        return st;
    if (!found) {
        put_atom(call->out, "none");
        return ST_OK;
    }
    put_tuple(call->out, 2);
    put_atom(call->out, "value");
    if (table_has_value(call->table))
        put_term(call->out, partner);
    else
        put_key(call->out, partner);
    return ST_OK;
}

enum status cmd_member(struct call *call)
{
    struct item item;
    bool member;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = call_item_argument(call, &item);
    if (st == ST_OK)
        st = table_member(call->store, call->table, call->side, item.first,
                          item.second, &member);
    if (st == ST_OK)
        put_bool(call->out, member);
    return st;
}

enum status cmd_has_key(struct call *call)
{
    struct bytes key;
    enum status st = call_table_and_side(call);

    if (st == ST_OK)
        st = call_key(call, &key);
    if (st == ST_OK)
        put_bool(call->out, table_has_key(call->table, call->side, key));
    return st;
}

enum status cmd_count(struct call *call)
{
    struct range range;
    uint64_t position;
    bool empty;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = call_range(call, ASCENDING, &range, &empty);
    if (st == ST_OK)
        put_u64(call->out,
                empty ? 0 : view_count(&call->view, &range, &position));
    return st;
}

enum status cmd_key_count(struct call *call)
{
    enum status st = call_table_and_side(call);

    if (st == ST_OK)
        put_u64(call->out, table_key_count(call->table, call->side));
    return st;
}

/* Position and membership of an element; of a pom or to_one, of a key. */
enum status cmd_rank(struct call *call)
{
    struct item item = {{NULL, 0}, {NULL, 0}};
    bool member = false;
    enum status st = call_table_and_view(call);

    if (st < 0)
        return st;
    if (table_has_value(call->table)) {
        st = call_key(call, &item.first);
        if (st == ST_OK)
            member = table_has_key(call->table, call->side, item.first);
    } else {
        st = call_item_argument(call, &item);
        if (st == ST_OK)
            st = table_member(call->store, call->table, call->side, item.first,
                              item.second, &member);
    }
    if (st < 0)
        return st;
    if (call->view.held)
        item = (struct item){item.second, {NULL, 0}};
    put_tuple(call->out, 2);
    put_u64(call->out, view_rank(&call->view, item.first, item.second));
    put_bool(call->out, member);
    return ST_OK;
}

/* --- scan --------------------------------------------------------------- */

enum what { WHAT_ELEMENTS, WHAT_KEYS, WHAT_VALUES };

static enum status call_what(struct call *call, enum what *ret)
{
    static const char text[] = "must be elements, keys or values";
    struct bytes word;
    enum status st = call_atom(call, text, &word);

    if (st < 0)
        return st;
    if (bytes_equal(word, BYTES("elements")))
        *ret = WHAT_ELEMENTS;
    else if (bytes_equal(word, BYTES("keys")))
        *ret = WHAT_KEYS;
    else if (bytes_equal(word, BYTES("values")))
        *ret = WHAT_VALUES;
    else
        return call_bad(call, text);

    if (*ret == WHAT_KEYS && call->view.held)
        return call_bad(call, "keys are those of the views fwd and bwd; "
                              "a set of one key has elements");
    if (*ret == WHAT_VALUES && !table_has_second(call->table) &&
        !table_has_value(call->table))
        return call_fail(call, ST_WRONG_TABLE_TYPE, "a set has no values");
    return ST_OK;
}

static enum status call_direction(struct call *call, enum direction *ret)
{
    static const char text[] = "must be asc or desc";
    struct bytes word;
    enum status st = call_atom(call, text, &word);

    if (st < 0)
        return st;
    if (bytes_equal(word, BYTES("asc")))
        *ret = ASCENDING;
    else if (bytes_equal(word, BYTES("desc")))
        *ret = DESCENDING;
    else
        return call_bad(call, text);
    return ST_OK;
}

static enum status call_limit(struct call *call, uint64_t *ret)
{
    int64_t limit;

    call->argument++;
    if (!reader_integer(&call->args, &limit) || limit < 1 || limit > LIMIT_MAX)
        return call_bad(call, "must be an integer from 1 to 2^31 - 1");
    *ret = (uint64_t)limit;
    return ST_OK;
}

/* Puts the second half of a pair: a partner or a value. */
static void put_partner(struct call *call, const struct element *element)
{
    if (table_has_value(call->table))
        put_term(call->out, element->value);
    else
        put_key(call->out, element->second);
}

static void put_item(struct call *call, enum what what,
                     const struct element *element)
{
    bool pairs = !call->view.held && (table_has_second(call->table) ||
                                      table_has_value(call->table));

    if (!pairs || what == WHAT_KEYS) {
        put_key(call->out, element->first);
    } else if (what == WHAT_VALUES) {
        put_partner(call, element);
    } else {
        put_tuple(call->out, 2);
        put_key(call->out, element->first);
        put_partner(call, element);
    }
}

/* The bound behind `element`. Where a key has one row, the key is enough. */
static void put_next(struct call *call, enum what what,
                     const struct element *element)
{
    bool by_key = what == WHAT_KEYS || table_has_value(call->table);

    put_tuple(call->out, 2);
    put_atom(call->out, by_key ? "after_key" : "after");
    if (by_key) {
        put_key(call->out, element->first);
    } else {
        put_item(call, WHAT_ELEMENTS, element);
    }
}

/* Puts Items and Next. */
static enum status put_page(struct call *call, struct scan *scan,
                            enum what what, uint64_t limit)
{
    struct writer *out = call->out;
    size_t start = writer_size(out);
    size_t items = put_list_begin(out);
    struct element element;
    uint64_t count = 0;
    bool found = true;
    size_t next;
    enum status st;

    while (count < limit && writer_size(out) - start < PAGE_BYTES) {
        st = scan_next(scan, &element, &found);
        if (st < 0)
            return st;
        if (!found)
            break;
        put_item(call, what, &element);
        if (out->status < 0)
            return out->status;
        count++;
    }
    put_list_end(out, items, count);
    next = writer_size(out);
    if (found) {
        /* Next is put first, for looking further forgets the element. */
        put_next(call, what, &element);
        st = scan_next(scan, &element, &found);
        if (st < 0)
            return st;
    }
    if (!found) {
        put_truncate(out, next);
        put_atom(out, "done");
    }
    return ST_OK;
}

enum status cmd_scan(struct call *call)
{
    enum direction direction = ASCENDING;
    enum what what = WHAT_ELEMENTS;
    uint64_t limit = 1;
    struct range range;
    struct scan scan;
    bool empty;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = call_what(call, &what);
    if (st == ST_OK)
        st = call_direction(call, &direction);
    if (st == ST_OK)
        st = call_range(call, direction, &range, &empty);
    if (st == ST_OK)
        st = call_limit(call, &limit);
    if (st < 0)
        return st;
    if (empty) {
        put_list_end(call->out, put_list_begin(call->out), 0);
        put_atom(call->out, "done");
        return ST_OK;
    }
    scan_init(&scan, call->commands->mem, &call->view, &range,
              what == WHAT_KEYS);
    st = put_page(call, &scan, what, limit);
    scan_free(&scan);
    return st;
}
