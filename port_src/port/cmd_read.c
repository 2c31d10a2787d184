/*
 * cmd_read.c -- commands that only look.
 *
 * None of them allocates from the store's account, so they go on when its
 * limit is reached. A long answer is a page: {ok, Items, Next}, and Next is
 * the bound from which the following page starts. It names the last element
 * that was looked at, and the daemon keeps nothing of the walk.
 *
 * What may be long is a *walk*, of scan and of count with a Condition. It goes
 * over to a worker (readings.h) if it is known to be long from the start, or
 * when it turns out on the loop that its elements are large or hard to look
 * at: then what was put is forgotten, and all is done there.
 *
 *                    on the loop          on a worker
 *     rows           ends the page        ends the page      row_limit
 *     deadline       is not looked at     ends the page      deadline
 *     memory         ends the page        ends the page      memory_budget
 *     256 elements   } goes over, or, where it cannot, is
 *     much work      } a limit like rows that is larger
 *
 * On a worker all memory comes from an account with the limit of the request.
 * The page alone counts against it, and the filter while it is made: a walk
 * needs a few keys beyond that, which are exempt, so that there is always room
 * to say where to go on.
 */
#include "port/call.h"

#include "core/etf.h"
#include "core/filter.h"

/* A page ends with the item that passes this. */
#define PAGE_BYTES (1u << 20)

/*
 * A walk on the loop that has put so many bytes, or whose filter has looked at
 * so many, goes over; so does one with a Condition of so many.
 */
#define LOOP_BYTES_MAX (64u << 10)
#define LOOP_WORK_MAX (64u << 10)
#define LOOP_CONDITION_BYTES_MAX 4096

/* Limits of a walk with a Condition that cannot go over: elements, and bytes
 * or conditions that its filter looks at. */
#define AT_ONCE_ROWS_MAX 65536
#define AT_ONCE_WORK_MAX (4u << 20)

/* On a worker: elements between two looks at the clock, and what a filter may
 * look at in between. */
#define CHECK_STRIDE 64
#define CHECK_WORK (1u << 20)

/* A larger `next` of a count is told as a position: errors are short. */
#define COUNT_NEXT_BYTES_MAX 512

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

/* The table and the side of `get`: a key of it has at most one partner. */
static enum status call_unique_side(struct call *call)
{
    enum status st = call_table_and_side(call);

    if (st == ST_OK && !table_is_unique(call->table, call->side))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "a key of this side may have many partners; "
                         "use scan with the view {Side, Key}");
    return st;
}

/* Puts {value, PartnerOrValue} of a key, or none. */
static enum status put_got(struct call *call, struct bytes key)
{
    struct bytes partner;
    bool found;
    enum status st = table_get(call->table, call->side, key,
                               &call->commands->entry, &found, &partner);

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

enum status cmd_get(struct call *call)
{
    struct bytes key;
    enum status st = call_unique_side(call);

    if (st == ST_OK)
        st = call_key(call, &key);
    return st == ST_OK ? put_got(call, key) : st;
}

enum status cmd_get_all(struct call *call)
{
    uint64_t count = 0;
    struct list list;
    size_t values;
    enum status st = call_unique_side(call);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    values = put_list_begin(call->out);
    while (list.left > 0 && st == ST_OK && writer_status(call->out) == ST_OK) {
        struct bytes key;

        st = call_encode(call, list_next(&list), SCRATCH_KEY, &key);
        if (st == ST_OK)
            st = put_got(call, key);
        if (st < 0)
            call->complaint.position = (int64_t)count;
        call_tick(call, count);
        count++;
    }
    if (st < 0 || writer_status(call->out) < 0)
        return st;
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    put_list_end(call->out, values, count);
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
static void put_next(struct call *call, bool by_key,
                     const struct element *element)
{
    by_key |= table_has_value(call->table);
    put_tuple(call->out, 2);
    put_atom(call->out, by_key ? "after_key" : "after");
    if (by_key)
        put_key(call->out, element->first);
    else
        put_item(call, WHAT_ELEMENTS, element);
}

/* --- walks -------------------------------------------------------------- */

struct walk {
    struct call *call;
    struct range range;
    const uint8_t *from;   /* the argument From, as it came */
    bool keys;             /* What is keys */
    bool leaps;            /* from a key that was wanted to the next key */
    bool over;             /* beyond all elements */
    struct filter *filter; /* NULL: every element is wanted */
    struct scan scan;
    size_t start;      /* of the answer, in the writer */
    uint64_t rows;     /* may be looked at */
    uint64_t examined; /* were */
    uint64_t pause;    /* when so many were, a look at the limits is due */
    uint64_t found;    /* of these, wanted */
    bool wanted;       /* the last one was */

    /* The element of the moment, in the scan, and with a filter copies of the
     * last that was examined and of the one before, by turns in two buffers. */
    struct element here;
    struct element last;
    struct element previous;
    struct buffer kept[2];
    struct buffer leap; /* the key that `scan` has begun behind */
};

/* It takes too long here, where it began. Not an error of the wire. */
#define WALK_GOES_OVER ST_DEADLINE

/* On the loop, after LOOP_WORK_MAX, or AT_ONCE_WORK_MAX: then this element is
 * the last one, so that a walk gets on however large they are. */
static enum status loop_check(void *context)
{
    struct walk *walk = context;

    if (reading_possible(walk->call))
        return WALK_GOES_OVER;
    walk->rows = walk->pause = walk->examined + 1;
    return ST_OK;
}

static enum status worker_check(void *context)
{
    const struct walk *walk = context;

    return reading_check(walk->call->reading);
}

/* Is a walk over so many elements one for a worker? */
static bool walk_is_long(const struct call *call, uint64_t elements)
{
    if (elements > call->options.rows)
        elements = call->options.rows;
    return reading_possible(call) &&
           (elements > LOOP_ELEMENTS_MAX ||
            call->options.where.size > LOOP_CONDITION_BYTES_MAX);
}

/* What is wrong with a Condition. */
static enum status walk_filter(struct walk *walk)
{
    struct call *call = walk->call;
    struct mem *mem = call->commands->mem;
    const char *why = NULL;
    enum status st;

    if (!call->options.where.size)
        return ST_OK;
    st = filter_create(mem, call->options.where, &walk->filter, &why);
    if (st < 0)
        return why ? call_fail(call, st, why) : st;
    if (call->reading)
        filter_set_check(walk->filter, CHECK_WORK, worker_check, walk);
    else
        filter_set_check(walk->filter,
                         reading_possible(call) ? LOOP_WORK_MAX
                                                : AT_ONCE_WORK_MAX,
                         loop_check, walk);
    return ST_OK;
}

/* A Condition must be one even where there is nothing to look at. */
static enum status call_check_where(struct call *call)
{
    struct walk walk = {.call = call};
    enum status st = walk_filter(&walk);

    filter_free(walk.filter);
    return st;
}

static void walk_scan(struct walk *walk)
{
    struct call *call = walk->call;
    /* A filter of keys alone need not see all of a key's pairs. */
    bool keys_only =
        walk->keys && !(walk->filter && filter_uses_value(walk->filter));

    scan_init(&walk->scan, call->commands->mem, &call->view, &walk->range,
              keys_only);
}

/* Goes on behind all pairs of the last key. */
static enum status walk_leap(struct walk *walk)
{
    enum status st;

    walk->leap.size = 0;
    st = buffer_append(&walk->leap, walk->last.first);
    if (st < 0)
        return st;
    walk->range.from = (struct bound){.kind = BOUND_EXCLUSIVE,
                                      .first = buffer_bytes(&walk->leap)};
    scan_free(&walk->scan);
    walk_scan(walk);
    return ST_OK;
}

/*
 * Prepares a walk over walk->range; call->view is parsed. Errors: those of a
 * filter; ST_DEADLINE, ST_CANCELLED before anything was looked at.
 */
static enum status walk_begin(struct walk *walk, struct call *call)
{
    enum status st = ST_OK;

    walk->call = call;
    walk->start = writer_size(call->out);
    walk->rows = call->options.rows;
    walk->kept[0] = BUFFER(call->commands->mem);
    walk->kept[1] = BUFFER(call->commands->mem);
    walk->leap = BUFFER(call->commands->mem);
    if (!call->reading && !reading_possible(call) && call->options.where.size &&
        walk->rows > AT_ONCE_ROWS_MAX)
        walk->rows = AT_ONCE_ROWS_MAX;
    if (call->reading)
        st = reading_check(call->reading);
    if (st == ST_OK)
        st = walk_filter(walk);
    walk_scan(walk); /* cannot fail, and must be there to be freed */
    walk->leaps = walk->keys && walk->filter && !walk->scan.keys_only &&
                  table_has_second(call->table) &&
                  !table_is_unique(call->table, call->side);
    return st;
}

static void walk_end(struct walk *walk)
{
    scan_free(&walk->scan);
    filter_free(walk->filter);
    buffer_free(&walk->kept[0]);
    buffer_free(&walk->kept[1]);
    buffer_free(&walk->leap);
}

/* Whether the walk may go on, and up to where without another look. */
static enum status walk_check(struct walk *walk)
{
    const struct call *call = walk->call;
    uint64_t left = walk->rows - walk->examined;

    if (walk->examined >= walk->rows)
        return ST_ROW_LIMIT;
    walk->pause = walk->examined + (left < CHECK_STRIDE ? left : CHECK_STRIDE);
    return call->reading ? reading_check(call->reading) : ST_OK;
}

/* The element has been examined: keeps it for when the scan has gone on. */
static enum status walk_keep(struct walk *walk)
{
    struct buffer *kept = &walk->kept[walk->examined % 2];
    const struct element *here = &walk->here;
    size_t first = here->first.size;
    enum status st;

    kept->size = 0;
    st = buffer_append(kept, here->first);
    if (st == ST_OK)
        st = buffer_append(kept, here->second);
    if (st < 0)
        return st;
    walk->previous = walk->last;
    walk->last = (struct element){
        .first = bytes_of(kept->data, first),
        .second = bytes_of(kept->data + first, here->second.size),
    };
    return ST_OK;
}

/*
 * As if the last element had not been examined; once. Without a filter the one
 * before it is not there any more and is looked for from the start: that is
 * rare, and to copy each element would cost a scan a quarter of its time.
 */
static enum status walk_step_back(struct walk *walk)
{
    bool found = true;
    enum status st = ST_OK;

    walk->examined--;
    if (walk->filter) {
        walk->last = walk->previous;
        walk->wanted = false;
        return ST_OK;
    }
    scan_free(&walk->scan);
    walk_scan(walk);
    for (uint64_t n = walk->examined; n > 0 && st == ST_OK; n--)
        st = scan_next(&walk->scan, &walk->here, &found);
    REQUIRE(st < 0 || found);
    return st;
}

/* Whether the filter wants the element. */
static enum status walk_match(struct walk *walk, bool *ret)
{
    const struct call *call = walk->call;
    const struct element *here = &walk->here;
    struct filter_element parts = {.key = here->first};

    if (call->view.held) {
        parts.key = call->view.key;
        parts.partner = here->first;
    } else if (here->second.size) {
        parts.partner = here->second;
    } else if (here->value.size) {
        parts.value = here->value;
    }
    return filter_match(walk->filter, &parts, ret);
}

/* Reads the next element; without one walk->over is true. */
static enum status walk_read(struct walk *walk)
{
    bool found;
    enum status st = ST_OK;

    if (walk->leaps && walk->wanted)
        st = walk_leap(walk);
    if (st == ST_OK)
        st = scan_next(&walk->scan, &walk->here, &found);
    if (st == ST_OK)
        walk->over = !found;
    return st;
}

/* Looks at the next element with a filter, and without one. */
static enum status walk_examine(struct walk *walk)
{
    bool wanted;
    enum status st = walk_read(walk);

    if (st < 0 || walk->over)
        return st;
    st = walk_match(walk, &wanted);
    if (st == ST_OK)
        st = walk_keep(walk);
    if (st < 0)
        return st;
    walk->examined++;
    walk->wanted = wanted;
    return ST_OK;
}

static inline enum status walk_pass(struct walk *walk)
{
    bool found;
    enum status st = scan_next(&walk->scan, &walk->here, &found);

    if (st < 0)
        return st;
    walk->over = !found;
    walk->wanted = found;
    walk->examined += found;
    return ST_OK;
}

/* What a worker does in between does not count against its budget. */
static void walk_exempt(const struct walk *walk, bool begin)
{
    struct mem *mem = walk->call->commands->mem;

    if (!walk->call->reading)
        return;
    if (begin)
        mem_exempt_begin(mem);
    else
        mem_exempt_end(mem);
}

/* The same, until one is wanted; on a worker all but the page is exempt. */
static enum status walk_search(struct walk *walk)
{
    enum status st;

    do {
        st = walk->examined == walk->pause ? walk_check(walk) : ST_OK;
        if (st < 0)
            return st;
        walk_exempt(walk, true);
        st = walk->filter ? walk_examine(walk) : walk_pass(walk);
        walk_exempt(walk, false);
        if (st < 0)
            return st;
    } while (!walk->over && !walk->wanted);
    walk->found += !walk->over;
    return ST_OK;
}

/*
 * Goes to the next element that is wanted, walk->here; without one walk->over
 * is true. Errors: ST_ROW_LIMIT, ST_DEADLINE, ST_CANCELLED, ST_NO_MEMORY.
 */
static inline enum status walk_next(struct walk *walk)
{
    /* The short way of nearly all scans. */
    if (!walk->filter && !walk->call->reading && walk->examined != walk->pause)
        return walk_pass(walk);
    return walk_search(walk);
}

/* Puts where a walk that is not over goes on. */
static void put_rest(struct walk *walk)
{
    const uint8_t *from = walk->from;
    bool by_key = walk->keys && (walk->wanted || !walk->leaps);

    if (walk->examined)
        put_next(walk->call, by_key, walk->filter ? &walk->last : &walk->here);
    else
        put_term(walk->call->out, bytes_of(from, etf_size(from)));
}

/* --- count -------------------------------------------------------------- */

/* The limit was hit: tells how far the walk came. */
static enum status count_stopped(struct walk *walk, enum status why)
{
    struct call *call = walk->call;
    struct buffer *extra = call_scratch(call, SCRATCH_LOSSES);
    struct writer *out = call->out;
    uint64_t position;
    size_t next;
    enum status st;

    put_atom(out, "count");
    put_u64(out, walk->found);
    put_atom(out, "next");
    next = writer_size(out);
    put_rest(walk);
    if (writer_size(out) - next > COUNT_NEXT_BYTES_MAX) {
        put_truncate(out, next);
        view_count(&call->view, &walk->range, &position);
        put_tuple(out, 2);
        put_atom(out, "pos");
        put_u64(out, position + walk->examined);
    }
    if (out->status < 0)
        return out->status;
    st = buffer_append(extra, bytes_of(out->out.data + walk->start,
                                       writer_size(out) - walk->start));
    put_truncate(out, walk->start);
    if (st < 0)
        return st;
    call->complaint.extra = buffer_bytes(extra);
    call->complaint.extra_count = 2;
    return why;
}

/* Counts the elements that a Condition wants. */
static enum status count_walk(struct walk *walk, struct call *call)
{
    enum status st = walk_begin(walk, call);

    while (st == ST_OK && !walk->over)
        st = walk_next(walk);
    if (st == WALK_GOES_OVER && !call->reading) {
        st = reading_start(call);
    } else if (st == ST_ROW_LIMIT || st == ST_DEADLINE) {
        enum status why = st;

        walk_exempt(walk, true);
        st = walk_read(walk); /* it may have been the last one */
        if (st == ST_OK && !walk->over)
            st = count_stopped(walk, why);
        walk_exempt(walk, false);
    }
    if (st == ST_OK && !call->later)
        put_u64(call->out, walk->found);
    walk_end(walk);
    return st;
}

enum status cmd_count(struct call *call)
{
    struct walk walk = {.keys = false};
    uint64_t count = 0;
    bool empty;
    enum status st = call_table_and_view(call);

    walk.from = call->args.at;
    if (st == ST_OK)
        st = call_range(call, ASCENDING, &walk.range, &empty);
    if (st < 0)
        return st;
    if (!empty)
        count = view_count(&call->view, &walk.range, NULL);
    if (!call->options.where.size || !count) {
        st = call_check_where(call);
        put_u64(call->out, count);
        return st;
    }
    if (walk_is_long(call, count))
        return reading_start(call);
    return count_walk(&walk, call);
}

/* --- scan --------------------------------------------------------------- */

static const char *why_word(enum status why)
{
    return status_atom(why == ST_MEMORY_LIMIT ? ST_MEMORY_BUDGET : why);
}

/* Puts Next, and Why if a limit has ended the page; `why` is ST_OK if it has
 * ended by its own measure. */
static enum status put_page_end(struct walk *walk, enum status why)
{
    struct writer *out = walk->call->out;
    size_t next = writer_size(out);
    enum status st = ST_OK;

    if (!walk->over)
        put_rest(walk);
    if (!walk->over && why != ST_MEMORY_LIMIT)
        st = walk_read(walk); /* that may have been all */
    if (st < 0)
        return st;
    if (walk->over) {
        put_truncate(out, next);
        put_atom(out, "done");
    } else if (why < 0) {
        call_page_why(walk->call);
        put_atom(out, why_word(why));
    }
    return out->status;
}

/* Puts one item; ST_MEMORY_LIMIT, and it is not there, beyond the budget. */
static enum status put_page_item(struct walk *walk, enum what what)
{
    struct call *call = walk->call;
    struct writer *out = call->out;
    size_t before = writer_size(out);
    enum status st;

    put_item(call, what, &walk->here);
    if (out->status == ST_OK &&
        writer_size(out) - walk->start <= call->options.memory)
        return ST_OK;
    if (out->status < 0 && (out->status != ST_MEMORY_LIMIT || !call->reading))
        return out->status;
    out->status = ST_OK;
    put_truncate(out, before);
    walk_exempt(walk, true);
    st = walk_step_back(walk);
    walk_exempt(walk, false);
    return st < 0 ? st : ST_MEMORY_LIMIT;
}

/* Puts Items and what follows them. */
static enum status put_page(struct walk *walk, enum what what, uint64_t limit,
                            enum status st)
{
    struct writer *out = walk->call->out;
    bool may_go_over = reading_possible(walk->call);
    size_t bytes_max = may_go_over ? LOOP_BYTES_MAX : PAGE_BYTES;
    size_t items = put_list_begin(out);
    uint64_t count = 0;

    while (st == ST_OK && count < limit &&
           writer_size(out) - walk->start < bytes_max) {
        st = walk_next(walk);
        if (st < 0 || walk->over)
            break;
        st = put_page_item(walk, what);
        count += st == ST_OK;
    }
    if (st == ST_OK && !walk->over && count < limit && may_go_over)
        return WALK_GOES_OVER;
    if (st < 0 && st != ST_ROW_LIMIT && st != ST_MEMORY_LIMIT &&
        (st != ST_DEADLINE || !walk->call->reading))
        return st;
    walk_exempt(walk, true);
    put_list_end(out, items, count);
    st = put_page_end(walk, st);
    walk_exempt(walk, false);
    return st;
}

/* At most so many elements will a scan look at. */
static uint64_t scan_elements(const struct call *call, enum what what,
                              const struct range *range, uint64_t limit)
{
    uint64_t count;

    if (call->options.where.size)
        limit = UINT64_MAX;
    if (limit <= LOOP_ELEMENTS_MAX)
        return limit;
    count = view_count(&call->view, range, NULL);
    if (count < limit)
        limit = count;
    if (what != WHAT_KEYS || call->options.where.size)
        return limit;
    count = table_key_count(call->table, call->side);
    return count < limit ? count : limit;
}

enum status cmd_scan(struct call *call)
{
    struct walk walk = {.keys = false};
    enum direction direction = ASCENDING;
    enum what what = WHAT_ELEMENTS;
    uint64_t limit = 1;
    bool empty;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = call_what(call, &what);
    if (st == ST_OK)
        st = call_direction(call, &direction);
    walk.from = call->args.at;
    if (st == ST_OK)
        st = call_range(call, direction, &walk.range, &empty);
    if (st == ST_OK)
        st = call_limit(call, &limit);
    if (st < 0)
        return st;
    if (empty) {
        st = call_check_where(call);
        put_list_end(call->out, put_list_begin(call->out), 0);
        put_atom(call->out, "done");
        return st;
    }
    if (walk_is_long(call, scan_elements(call, what, &walk.range, limit)))
        return reading_start(call);
    walk.keys = what == WHAT_KEYS;
    st = walk_begin(&walk, call);
    if (st == ST_OK || st == ST_DEADLINE)
        st = put_page(&walk, what, limit, st);
    if (st == WALK_GOES_OVER && !call->reading)
        st = reading_start(call);
    walk_end(&walk);
    return st;
}
