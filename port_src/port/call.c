/*
 * call.c -- arguments become tables, views, keys and bounds; changes become
 * Evicted and Cascade.
 *
 * The road from the wire to a tree is short on purpose, for a batch of a
 * thousand inserts spends its time here and in the trees: a table is looked
 * up once for a list of elements, and a name that is byte for byte the last
 * one is not looked up at all; elements are encoded from where they lie in
 * the frame into scratch buffers that grow once.
 */
#include "port/call.h"

#define WORD_IS(word, literal) bytes_equal((word), BYTES(literal))

enum status call_fail(struct call *call, enum status st, const char *text)
{
    call->complaint.text = text;
    return st;
}

enum status call_bad(struct call *call, const char *text)
{
    call->complaint.argument = true;
    return call_fail(call, ST_BAD_ARGUMENT, text);
}

struct buffer *call_scratch(struct call *call, enum scratch which)
{
    struct buffer *scratch = &call->commands->scratch[which];

    scratch->size = 0;
    return scratch;
}

/* --- single arguments --------------------------------------------------- */

struct bytes call_term(struct call *call)
{
    call->argument++;
    return reader_term(&call->args);
}

enum status call_atom(struct call *call, const char *text,
                      struct bytes *ret_name)
{
    call->argument++;
    if (!reader_atom(&call->args, ret_name))
        return call_bad(call, text);
    return ST_OK;
}

enum status call_encode_to(struct call *call, struct reader *reader,
                           struct buffer *out)
{
    enum status st = key_encode(reader_term(reader), out);

    if (st == ST_BAD_TERM)
        return call_bad(call, "a map in it holds the same key twice");
    if (st == ST_TOO_BIG) {
        call->complaint.argument = true;
        call->complaint.limit = KEY_BYTES_MAX;
        return call_fail(call, st,
                         "a key takes more bytes than `limit`; "
                         "keep large terms in values");
    }
    return st;
}

enum status call_encode(struct call *call, struct reader *reader,
                        enum scratch which, struct bytes *ret_key)
{
    struct buffer *scratch = call_scratch(call, which);
    enum status st = call_encode_to(call, reader, scratch);

    *ret_key = buffer_bytes(scratch);
    return st;
}

enum status call_key(struct call *call, struct bytes *ret_key)
{
    call->argument++;
    return call_encode(call, &call->args, SCRATCH_KEY, ret_key);
}

enum status call_list(struct call *call, struct list *ret)
{
    call->argument++;
    if (!reader_list(&call->args, ret))
        return call_bad(call, "must be a list");
    return ST_OK;
}

/* --- tables and views --------------------------------------------------- */

void commands_forget_table(struct commands *commands)
{
    commands->cache.table = NULL;
}

static const char reserved_text[] =
    "names that are atoms beginning with $, or tuples that begin with one, are "
    "the daemon's own";

bool name_is_reserved(struct bytes name)
{
    struct reader reader = reader_of(name);
    struct bytes atom;
    uint32_t arity;

    if (reader_tuple(&reader, &arity) && arity == 0)
        return false;
    return reader_atom(&reader, &atom) && atom.size > 0 &&
           atom.data[0] == RESERVED_MARK;
}

/* What was given for a name is no term: an error must not repeat it. */
static void forget_name(struct call *call)
{
    call->complaint.table = bytes_of(NULL, 0);
}

enum status call_table_name(struct call *call, struct bytes *ret_name)
{
    struct reader name;
    enum status st;

    call->complaint.table = call_term(call);
    if (name_is_reserved(call->complaint.table))
        return call_bad(call, reserved_text);
    name = reader_of(call->complaint.table);
    st = call_encode(call, &name, SCRATCH_NAME, ret_name);
    if (st == ST_BAD_ARGUMENT)
        forget_name(call);
    return st;
}

/* The table of the last command, if `name` is what it was called then. */
static struct table *cache_find(const struct table_cache *cache,
                                struct bytes name)
{
    if (cache->table && cache->size == name.size &&
        memcmp(cache->name, name.data, name.size) == 0)
        return cache->table;
    return NULL;
}

static void cache_keep(struct table_cache *cache, struct bytes name,
                       struct table *table)
{
    if (name.size > sizeof(cache->name))
        return;
    memcpy(cache->name, name.data, name.size);
    cache->size = name.size;
    cache->table = table;
}

/* The table of this encoded name, as the command needs it. */
static enum status find_table(struct call *call, struct bytes key)
{
    if (call->command->flags & CMD_WRITE)
        return store_find_mutable(call->store, key, &call->table);
    call->table = store_find(call->store, key);
    return ST_OK;
}

enum status call_table(struct call *call)
{
    struct table_cache *cache = &call->commands->cache;
    bool cached = call->store == call->commands->store;
    struct bytes name = call_term(call);
    struct reader reader = reader_of(name);
    struct bytes key;
    bool reserved;
    enum status st;

    call->complaint.table = name;
    if (call->pinned) { /* only ever read */
        call->table = (struct table *)(uintptr_t)call->pinned;
        return ST_OK;
    }
    call->table = cached ? cache_find(cache, name) : NULL;
    if (call->table)
        return ST_OK;
    reserved = name_is_reserved(name); /* and never in the cache */
    if (reserved && call->command->flags & CMD_WRITE)
        return call_bad(call, reserved_text);

    st = call_encode(call, &reader, SCRATCH_NAME, &key);
    if (st == ST_TOO_BIG || (st == ST_OK && key.size > TABLE_NAME_BYTES_MAX)) {
        call->complaint = (struct complaint){.position = -1, .index = -1};
        return ST_NO_TABLE; /* no table can be called that */
    }
    if (st == ST_BAD_ARGUMENT)
        forget_name(call);
    if (st < 0)
        return st;
    st = find_table(call, key);
    if (st < 0)
        return st;
    if (!call->table)
        return ST_NO_TABLE;
    if (cached && !reserved)
        cache_keep(cache, name, call->table);
    return ST_OK;
}

enum status call_pom(struct call *call)
{
    enum status st = call_table(call);

    if (st == ST_OK && table_type(call->table) != TABLE_POM)
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "only a table of the type pom has rows");
    return st;
}

/* fwd or bwd, from `reader`; the table must have that side. */
static enum status call_parse_side(struct call *call, struct reader *reader,
                                   const char *text)
{
    struct bytes word;

    if (!reader_atom(reader, &word))
        return call_bad(call, text);
    if (WORD_IS(word, "fwd"))
        call->side = SIDE_FWD;
    else if (WORD_IS(word, "bwd"))
        call->side = SIDE_BWD;
    else
        return call_bad(call, text);
    if (!table_has_side(call->table, call->side))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         table_type(call->table) == TABLE_GRAPH
                             ? "a graph has no sides; use the commands for "
                               "vertices and edges"
                             : "the table's type has no bwd side");
    return ST_OK;
}

enum status call_side(struct call *call)
{
    call->argument++;
    return call_parse_side(call, &call->args, "must be fwd or bwd");
}

enum status call_view(struct call *call)
{
    static const char text[] = "must be fwd, bwd, {fwd, Key} or {bwd, Key}";
    struct view *view = &call->view;
    enum status st;

    call->argument++;
    view->table = call->table;
    view->held = reader_tuple_of(&call->args, 2);
    st = call_parse_side(call, &call->args, text);
    if (st < 0)
        return st;
    view->side = call->side;
    view->key = bytes_of(NULL, 0);
    if (!view->held)
        return ST_OK;
    if (!table_has_second(call->table))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "the table's type has no set of one key; "
                         "use the view fwd");
    return call_encode(call, &call->args, SCRATCH_KEY, &view->key);
}

/* --- elements and bounds ------------------------------------------------ */

/* {Key, Partner} or {Key, Value} of a side view. */
static enum status call_parse_pair(struct call *call, struct reader *reader,
                                   struct item *ret)
{
    enum status st;

    if (!reader_tuple_of(reader, 2))
        return call_bad(call, table_has_value(call->table)
                                  ? "an element of this view is {Key, Value}"
                                  : "an element of this view is "
                                    "{Key, Partner}");
    st = call_encode(call, reader, SCRATCH_FIRST, &ret->first);
    if (st < 0)
        return st;
    if (table_has_second(call->table))
        return call_encode(call, reader, SCRATCH_SECOND, &ret->second);
    ret->second = reader_term(reader); /* a value stays as it is */
    return ST_OK;
}

enum status call_item(struct call *call, struct reader *reader,
                      struct item *ret)
{
    if (call->view.held) {
        ret->first = call->view.key;
        return call_encode(call, reader, SCRATCH_SECOND, &ret->second);
    }
    if (table_has_second(call->table) || table_has_value(call->table))
        return call_parse_pair(call, reader, ret);
    ret->second = bytes_of(NULL, 0);
    return call_encode(call, reader, SCRATCH_FIRST, &ret->first);
}

enum status call_item_argument(struct call *call, struct item *ret)
{
    call->argument++;
    return call_item(call, &call->args, ret);
}

/* {'after', Element}: for pom and to_one the key of Element says it all. */
static enum status call_parse_after(struct call *call, struct bound *ret)
{
    struct item item;
    enum status st = call_item(call, &call->args, &item);

    if (st < 0)
        return st;
    ret->kind = BOUND_AFTER;
    ret->first = call->view.held ? item.second : item.first;
    ret->second = bytes_of(NULL, 0);
    if (!call->view.held && table_has_second(call->table))
        ret->second = item.second;
    if (table_has_value(call->table))
        ret->kind = BOUND_EXCLUSIVE;
    return ST_OK;
}

/* {pos, N}: `*ret_empty` if the view has no such position. */
static enum status call_parse_position(struct call *call, struct bound *ret,
                                       bool *ret_empty)
{
    const struct range all = {
        ASCENDING, {.kind = BOUND_NONE}, {.kind = BOUND_NONE}};
    uint64_t count = view_count(&call->view, &all, &ret->position);
    int64_t n;

    if (!reader_integer(&call->args, &n))
        return call_bad(call, "in {pos, N}, N must be an integer of 64 bits");
    ret->kind = BOUND_POSITION;
    if (n < 0 && (uint64_t) - (n + 1) < count)
        ret->position = count - 1 - (uint64_t) - (n + 1);
    else if (n >= 0 && (uint64_t)n < count)
        ret->position = (uint64_t)n;
    else
        *ret_empty = true;
    return ST_OK;
}

static enum status call_parse_bound(struct call *call, bool is_from,
                                    struct bound *ret, bool *ret_empty)
{
    static const char from_text[] =
        "must be none, {incl, K}, {excl, K}, {'after', Element}, "
        "{after_key, Key} or {pos, N}";
    static const char to_text[] = "must be none, {incl, K} or {excl, K}";
    const char *text = is_from ? from_text : to_text;
    bool pair = reader_tuple_of(&call->args, 2);
    struct bytes word;

    call->argument++;
    *ret = (struct bound){.kind = BOUND_NONE};
    if (!reader_atom(&call->args, &word))
        return call_bad(call, text);
    if (!pair)
        return WORD_IS(word, "none") ? ST_OK : call_bad(call, text);
    if (is_from && WORD_IS(word, "after"))
        return call_parse_after(call, ret);
    if (is_from && WORD_IS(word, "pos"))
        return call_parse_position(call, ret, ret_empty);
    if (WORD_IS(word, "incl"))
        ret->kind = BOUND_INCLUSIVE;
    else if (WORD_IS(word, "excl") ||
             (is_from && WORD_IS(word, "after_key") && !call->view.held))
        ret->kind = BOUND_EXCLUSIVE;
    else
        return call_bad(call, text);
    return call_encode(call, &call->args, is_from ? SCRATCH_FIRST : SCRATCH_TO,
                       &ret->first);
}

enum status call_range(struct call *call, enum direction direction,
                       struct range *ret, bool *ret_empty)
{
    enum status st;

    *ret_empty = false;
    ret->direction = direction;
    st = call_parse_bound(call, true, &ret->from, ret_empty);
    if (st < 0)
        return st;
    return call_parse_bound(call, false, &ret->to, ret_empty);
}

/* --- what a mutation has done ------------------------------------------- */

/* An element of a graph, as a change has it. */
static void put_graph_change(struct call *call, struct bytes first,
                             struct bytes second)
{
    struct change change = {.first = first, .second = second};
    struct graph_element element = graph_change_element(&change);
    struct buffer *term = call_scratch(call, SCRATCH_KEY);
    enum status st = graph_element_put(&element, term);

    if (st == ST_OK)
        put_term(call->out, buffer_bytes(term));
    else if (call->out->status == ST_OK)
        call->out->status = st;
}

void call_put_element(struct call *call, const struct table *table,
                      enum side side, struct bytes first, struct bytes second)
{
    struct writer *out = call->out;

    if (table_type(table) == TABLE_GRAPH) {
        put_graph_change(call, first, second);
    } else if (table_has_second(table)) {
        put_tuple(out, 2);
        put_key(out, side == SIDE_FWD ? first : second);
        put_key(out, side == SIDE_FWD ? second : first);
    } else if (table_has_value(table)) {
        put_tuple(out, 2);
        put_key(out, first);
        put_term(out, second);
    } else {
        put_key(out, first);
    }
}

/*
 * A cascade is gathered in one pass over the changes, whatever the number of
 * tables: a loss is chained behind the one before of its table, and where a
 * table's chain ends is found by the note that the table carries meanwhile.
 *
 *     tables   [T1 first last] [T2 first last] ..    by their first loss
 *     losses   [position next] [position next] ..    by position
 */
struct cascade_table {
    struct table *table;
    uint32_t first; /* entries of `losses`, from 0 */
    uint32_t last;
};

struct cascade_loss {
    size_t position; /* in the change list */
    uint32_t next;   /* in the chain; void in its last entry */
};

static struct cascade_table *cascade_table(const struct buffer *tables,
                                           uint32_t index)
{
    return (struct cascade_table *)(void *)tables->data + index;
}

static struct cascade_loss *cascade_loss(const struct buffer *losses,
                                         uint32_t index)
{
    return (struct cascade_loss *)(void *)losses->data + index;
}

/* Takes note that `table` lost what the change at `position` tells. */
static enum status cascade_note(struct buffer *tables, struct buffer *losses,
                                struct table *table, size_t position)
{
    struct cascade_loss loss = {position, 0};
    uint32_t index = (uint32_t)(losses->size / sizeof(loss));
    uint32_t note = table_note(table);
    enum status st;

    st = buffer_append(losses, bytes_of(&loss, sizeof(loss)));
    if (st < 0)
        return st;
    if (note) {
        struct cascade_table *known = cascade_table(tables, note - 1);

        cascade_loss(losses, known->last)->next = index;
        known->last = index;
    } else {
        struct cascade_table entry = {table, index, index};

        st = buffer_append(tables, bytes_of(&entry, sizeof(entry)));
        if (st < 0)
            return st;
        note = (uint32_t)(tables->size / sizeof(entry));
        table_set_note(table, note);
    }
    return ST_OK;
}

/* Puts {Table, Elements}, or {Table, Count} if it was emptied as a whole. */
static void cascade_put(struct call *call, const struct cascade_table *entry,
                        const struct buffer *losses)
{
    struct writer *out = call->out;
    uint32_t index = entry->first;
    bool cleared = false;
    uint64_t count = 0;
    size_t list;

    put_tuple(out, 2);
    put_key(out, table_name(entry->table));
    list = put_list_begin(out);
    while (writer_status(out) == ST_OK) {
        const struct cascade_loss *loss = cascade_loss(losses, index);
        size_t position = loss->position;
        struct change change;

        REQUIRE(store_change_next(call->store, &position, &change));
        if (change.kind == CHANGE_REMOVE) {
            call_put_element(call, entry->table, SIDE_FWD, change.first,
                             change.second);
            count++;
        } else {
            cleared = true;
            count += change.count;
        }
        if (index == entry->last)
            break;
        index = loss->next;
    }
    if (cleared) {
        put_truncate(out, list);
        put_u64(out, count);
    } else {
        put_list_end(out, list, count);
    }
}

/* Puts what this table lost, and notes what others did. */
static void put_evicted(struct call *call, enum side side,
                        struct buffer *tables, struct buffer *losses)
{
    struct writer *out = call->out;
    size_t list = put_list_begin(out);
    size_t position = call->mark;
    size_t next = position;
    struct change change;
    uint64_t evicted = 0;

    for (; store_change_next(call->store, &next, &change) &&
           writer_status(out) == ST_OK;
         position = next) {
        if (change.kind != CHANGE_REMOVE && change.kind != CHANGE_CLEAR)
            continue;
        if (table_is_part(change.table))
            continue;
        if (change.table != call->table) {
            enum status st =
                cascade_note(tables, losses, change.table, position);

            if (st < 0)
                out->status = st;
        } else if (change.kind == CHANGE_REMOVE) {
            call_put_element(call, call->table, side, change.first,
                             change.second);
            evicted++;
        }
    }
    put_list_end(out, list, evicted);
}

void call_put_changes(struct call *call, enum side side)
{
    struct buffer *tables = call_scratch(call, SCRATCH_TABLES);
    struct buffer *losses = call_scratch(call, SCRATCH_LOSSES);
    struct writer *out = call->out;
    uint32_t count;
    size_t list;

    if (out->discards)
        return;
    /* A value may be as large as a frame: to take it out alone goes. */
    out->answer_limited = store_removed_count(call->store) != 1;
    put_evicted(call, side, tables, losses);
    count = (uint32_t)(tables->size / sizeof(struct cascade_table));
    list = put_list_begin(out);
    for (uint32_t i = 0; i < count; i++) {
        const struct cascade_table *entry = cascade_table(tables, i);

        table_set_note(entry->table, 0);
        cascade_put(call, entry, losses);
    }
    put_list_end(out, list, count);
}

enum status call_put_outcome(struct call *call, const char *outcome)
{
    put_tuple(call->out, 3);
    put_atom(call->out, outcome);
    call_put_changes(call, call->side);
    return ST_OK;
}

enum status call_put_count(struct call *call, uint64_t outcome)
{
    put_tuple(call->out, 3);
    put_u64(call->out, outcome);
    call_put_changes(call, call->side);
    return ST_OK;
}
