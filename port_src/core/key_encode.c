/*
 * key_encode.c -- from an external term to its sortable encoding.
 *
 * One loop reads a term at `in` and writes at `p`; a container pushes a
 * frame, and whenever a term is complete the frame on top says what follows:
 *
 *     ITEMS       elements of a tuple, values: the next one, or pop
 *     FUN         free variables, then the fun's rest
 *     LIST        elements, then the tail, which replaces the frame: a list
 *                 whose tail is a list goes on in the same frame
 *     MAP_KEYS    keys one behind the other, each value is passed over;
 *                 then the keys are sorted where they stand
 *     MAP_VALUES  the values in the order of the keys
 *
 * A map of one pair needs no sorting, and its value becomes ITEMS.
 *
 * To pass over values costs their size once for each map around them. A
 * hostile term would make that quadratic, so it is bounded by what can still
 * become a key at all: each term takes at least one byte of the encoding.
 * The road not taken, to write pairs as they come and to permute them, would
 * have to permute the ties as well.
 *
 * Terms without children are written by key_writer.c.
 */
#include "core/key.h"

#include "core/etf.h"
#include "core/key_internal.h"
#include "core/key_writer.h"

#define INLINE_PAIRS 16

enum frame_kind { ITEMS, FUN, LIST, MAP_KEYS, MAP_VALUES };

struct frame {
    uint8_t kind;
    bool exact;          /* MAP_KEYS: whether the map itself is in a key */
    uint32_t left;       /* children to come, this one not counted */
    uint32_t first_pair; /* MAP_*: index into the pairs */
    uint32_t pair_count;
    const uint8_t *at; /* FUN: its tag; MAP_VALUES: where the map ends */
};

/* One key of a map that is being written, and where its value is read. */
struct pair {
    uint32_t offset; /* from the start of the encoding */
    uint32_t size;
    const uint8_t *value;
};

struct encoder {
    struct key_writer w;
    struct pair *pairs; /* of all open maps, the innermost last */
    size_t pair_count;
    size_t pair_capacity;
    unsigned depth;
    struct pair inline_pairs[INLINE_PAIRS];
    struct frame stack[ETF_DEPTH_MAX];
};

static enum status push(struct encoder *e, enum frame_kind kind, uint32_t left,
                        const uint8_t *at)
{
    struct frame *f;

    if (e->depth == ETF_DEPTH_MAX)
        return ST_TOO_DEEP;
    f = &e->stack[e->depth++];
    f->kind = (uint8_t)kind;
    f->left = left;
    f->at = at;
    return ST_OK;
}

static enum status put_tuple(struct encoder *e, uint32_t arity)
{
    if (arity <= KEY_SMALL_TUPLE_MAX) {
        key_put_byte(&e->w, (uint8_t)(KEY_TUPLE + arity));
    } else {
        key_put_byte(&e->w, KEY_LARGE_TUPLE);
        key_put_u32(&e->w, arity);
    }
    if (arity > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    return arity ? push(e, ITEMS, arity - 1, NULL) : ST_OK;
}

/* Opens the map; its first key stands at `in`. */
static enum status put_map(struct encoder *e, uint32_t size, const uint8_t *in)
{
    struct frame *f;

    if (size <= KEY_SMALL_MAP_MAX) {
        key_put_byte(&e->w, (uint8_t)(KEY_MAP + size));
    } else {
        key_put_byte(&e->w, KEY_LARGE_MAP);
        key_put_u32(&e->w, size);
    }
    if (size == 0)
        return ST_OK;

    /* A pair takes two bytes at least, in whichever open map it is. */
    if (size + e->pair_count > KEY_BYTES_MAX / 2)
        return ST_TOO_BIG;
    if (size + e->pair_count > e->pair_capacity) {
        void *data = e->pairs;
        enum status st = key_small_array_grow(
            e->w.out->mem, &data, e->inline_pairs, &e->pair_capacity,
            sizeof(struct pair), size + e->pair_count);

        e->pairs = data;
        TRY(st);
    }
    TRY(push(e, MAP_KEYS, size - 1, in));
    f = &e->stack[e->depth - 1];
    f->exact = e->w.exact;
    f->first_pair = (uint32_t)e->pair_count;
    f->pair_count = size;
    e->pairs[e->pair_count].offset = (uint32_t)key_writer_used(&e->w);
    e->pair_count += size;
    e->w.exact = true;
    return ST_OK;
}

static int pair_compare(const struct encoder *e, const struct pair *a,
                        const struct pair *b)
{
    const uint8_t *base = e->w.out->data + e->w.start;

    return bytes_compare(bytes_of(base + a->offset, a->size),
                         bytes_of(base + b->offset, b->size));
}

/*
 * Shell's sort: in place, without recursion, and fast on keys in order, as
 * those of small maps come. The gaps are Ciura's.
 */
static void sort_pairs(const struct encoder *e, struct pair *pairs,
                       size_t count)
{
    static const uint16_t gaps[] = {8858, 3937, 1750, 701, 301, 132,
                                    57,   23,   10,   4,   1};

    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        size_t gap = gaps[g];

        for (size_t i = gap; i < count; i++) {
            struct pair moving = pairs[i];
            size_t j = i;

            while (j >= gap && pair_compare(e, &moving, &pairs[j - gap]) < 0) {
                pairs[j] = pairs[j - gap];
                j -= gap;
            }
            pairs[j] = moving;
        }
    }
}

/* Sorts the keys of the map, all of which are written. */
static enum status arrange_keys(struct encoder *e, const struct frame *f)
{
    struct pair *pairs = e->pairs + f->first_pair;
    uint32_t begin = pairs[0].offset;
    size_t bytes = key_writer_used(&e->w) - begin;
    uint8_t *keys;
    uint8_t *copy;
    bool ordered = true;

    for (uint32_t i = 1; ordered && i < f->pair_count; i++)
        ordered = pair_compare(e, &pairs[i - 1], &pairs[i]) < 0;
    if (ordered)
        return ST_OK;

    sort_pairs(e, pairs, f->pair_count);
    for (uint32_t i = 1; i < f->pair_count; i++)
        if (pair_compare(e, &pairs[i - 1], &pairs[i]) == 0)
            return ST_BAD_TERM;

    TRY(key_need(&e->w, bytes)); /* a copy behind the keys, for a moment */
    keys = e->w.out->data + e->w.start + begin;
    copy = e->w.p;
    for (uint32_t i = 0; i < f->pair_count; i++) {
        memcpy(copy, keys + (pairs[i].offset - begin), pairs[i].size);
        copy += pairs[i].size;
    }
    memcpy(keys, e->w.p, bytes);
    return ST_OK;
}

/* A key of the map on top is written; `*in` stands on its value. */
static enum status after_key(struct encoder *e, struct frame *f,
                             const uint8_t **in)
{
    uint32_t index = f->pair_count - 1 - f->left;
    struct pair *pair = &e->pairs[f->first_pair + index];
    size_t size;

    pair->size = (uint32_t)key_writer_used(&e->w) - pair->offset;
    pair->value = *in;
    if (f->left > 0) {
        /* Lists may announce no element and so take no byte; hence twice. */
        size = etf_size_bounded(*in, 2 * KEY_BYTES_MAX);
        if (size == 0 || key_writer_used(&e->w) > KEY_BYTES_MAX)
            return ST_TOO_BIG;
        *in += size;
        pair[1].offset = (uint32_t)key_writer_used(&e->w);
        f->left--;
        return ST_OK;
    }

    e->w.exact = f->exact;
    if (f->pair_count == 1) {
        e->pair_count--;
        f->kind = ITEMS;
        return ST_OK;
    }
    f->at = *in; /* the last value; below, where it ends */
    TRY(arrange_keys(e, f));
    f->kind = MAP_VALUES;
    f->left = f->pair_count - 1;
    *in = e->pairs[f->first_pair].value;
    return ST_OK;
}

/*
 * A value of the map on top is written; `*in` stands behind it. False if it
 * was the last one: the frame is gone then.
 */
static bool after_value(struct encoder *e, struct frame *f, const uint8_t **in)
{
    uint32_t index = f->pair_count - 1 - f->left;

    if (e->pairs[f->first_pair + index].value == f->at)
        f->at = *in;
    if (f->left > 0) {
        f->left--;
        *in = e->pairs[f->first_pair + index + 1].value;
        return true;
    }
    *in = f->at;
    e->pair_count -= f->pair_count;
    e->depth--;
    return false;
}

/* The integers of a STRING, which stands for a list of them. */
static enum status put_characters(struct encoder *e, const uint8_t **in)
{
    size_t count = load_be16(*in + 1);

    if (count > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    TRY(key_need(&e->w, 2 * count + KEY_SLACK));
    *in += 3;
    for (size_t i = 0; i < count; i++)
        e->w.p = key_put_u64(e->w.p, (*in)[i]);
    *in += count;
    e->w.skipped += e->w.exact ? 0 : count;
    return ST_OK;
}

/*
 * The elements of the list on top are written; its tail is at `*in`. Tells
 * in `f->left` whether there are elements to come. Else the frame is gone
 * and `*ret_term` says whether the tail is to be written as a term.
 */
static enum status list_tail(struct encoder *e, struct frame *f,
                             const uint8_t **in, bool *ret_term)
{
    TRY(key_need(&e->w, KEY_SLACK));
    *ret_term = false;
    switch (**in) {
    case ETF_LIST:
        f->left = load_be32(*in + 1);
        *in += 5;
        return ST_OK;
    case ETF_STRING:
        TRY(put_characters(e, in));
        key_put_byte(&e->w, KEY_LIST_END);
        break;
    case ETF_NIL:
        key_put_byte(&e->w, KEY_LIST_END);
        ++*in;
        break;
    case ETF_BINARY:
    case ETF_BIT_BINARY:
        key_put_byte(&e->w, KEY_BITS_TAIL);
        *ret_term = true;
        break;
    default:
        key_put_byte(&e->w, KEY_TAIL);
        *ret_term = true;
    }
    e->depth--;
    return ST_OK;
}

/* A term is complete: moves on to the next one, if there is one. */
static enum status next_term(struct encoder *e, const uint8_t **in,
                             bool *ret_more)
{
    bool tail;

    *ret_more = true;
    while (e->depth > 0) {
        struct frame *f = &e->stack[e->depth - 1];

        switch (f->kind) {
        case MAP_KEYS:
            return after_key(e, f, in);
        case MAP_VALUES:
            if (after_value(e, f, in))
                return ST_OK;
            break;
        case LIST:
            if (f->left > 0) {
                f->left--;
                return ST_OK;
            }
            TRY(list_tail(e, f, in, &tail));
            if (tail)
                return ST_OK;
            break;
        default:
            if (f->left > 0) {
                f->left--;
                return ST_OK;
            }
            if (f->kind == FUN)
                TRY(key_put_fun_rest(&e->w, f->at));
            e->depth--;
        }
    }
    *ret_more = false;
    return ST_OK;
}

/*
 * Writes the term at `*in`. Where it is `*ret_open` only its head is
 * written, and its first child is at `*in`; else the term is complete (a fun
 * is as good as complete before its first free variable).
 */
static enum status put_term(struct encoder *e, const uint8_t **in,
                            bool *ret_open)
{
    const uint8_t *p = *in;
    uint32_t count;
    uint64_t bits;
    double x;

    TRY(key_need(&e->w, KEY_SLACK));
    *ret_open = false;
    switch (*p) {
    case ETF_SMALL_INTEGER:
        e->w.p = key_put_u64(e->w.p, p[1]);
        key_count_integer(&e->w);
        *in = p + 2;
        return ST_OK;
    case ETF_INTEGER:
        key_put_i64(&e->w, (int32_t)load_be32(p + 1));
        key_count_integer(&e->w);
        *in = p + 5;
        return ST_OK;
    case ETF_SMALL_BIG:
        key_count_integer(&e->w);
        *in = p + 3 + p[1];
        return key_put_big(&e->w, p[2], p + 3, p[1]);
    case ETF_LARGE_BIG:
        key_count_integer(&e->w);
        *in = p + 6 + (size_t)load_be32(p + 1);
        return key_put_big(&e->w, p[5], p + 6, load_be32(p + 1));
    case ETF_SMALL_ATOM_UTF8:
    case ETF_ATOM_UTF8:
    case ETF_SMALL_ATOM:
    case ETF_ATOM:
        return key_put_atom(&e->w, in, true);
    case ETF_BINARY:
        key_put_byte(&e->w, KEY_BITS);
        *in = p + 5 + (size_t)load_be32(p + 1);
        return key_put_string(&e->w, p + 5, load_be32(p + 1));
    case ETF_BIT_BINARY:
        key_put_byte(&e->w, KEY_BITS);
        count = load_be32(p + 1);
        *in = p + 6 + (size_t)count;
        return p[5] % 8 ? key_put_partial(&e->w, p + 6, count, p[5])
                        : key_put_string(&e->w, p + 6, count);
    case ETF_NEW_FLOAT:
        bits = load_be64(p + 1);
        memcpy(&x, &bits, sizeof(x));
        *in = p + 9;
        return key_put_float(&e->w, x);
    case ETF_FLOAT:
        if (!etf_float_text(p + 1, &x))
            return ST_BAD_TERM;
        *in = p + 1 + ETF_FLOAT_CHARS;
        return key_put_float(&e->w, x);
    case ETF_SMALL_TUPLE:
        *in = p + 2;
        *ret_open = p[1] != 0;
        return put_tuple(e, p[1]);
    case ETF_LARGE_TUPLE:
        *in = p + 5;
        *ret_open = load_be32(p + 1) != 0;
        return put_tuple(e, load_be32(p + 1));
    case ETF_MAP:
        *in = p + 5;
        *ret_open = load_be32(p + 1) != 0;
        return put_map(e, load_be32(p + 1), *in);
    case ETF_NIL:
        key_put_byte(&e->w, KEY_NIL);
        *in = p + 1;
        return ST_OK;
    case ETF_STRING:
        if (load_be16(p + 1) == 0) {
            key_put_byte(&e->w, KEY_NIL);
            *in = p + 3;
            return ST_OK;
        }
        key_put_byte(&e->w, KEY_LIST);
        TRY(put_characters(e, in));
        key_put_byte(&e->w, KEY_LIST_END);
        return ST_OK;
    case ETF_LIST:
        count = load_be32(p + 1);
        *in = p + 5;
        *ret_open = true;
        if (count == 0) /* it is its own tail, the next term */
            return ST_OK;
        key_put_byte(&e->w, KEY_LIST);
        return push(e, LIST, count - 1, NULL);
    case ETF_NEW_PID:
    case ETF_PID:
        return key_put_pid(&e->w, in);
    case ETF_V4_PORT:
    case ETF_NEW_PORT:
    case ETF_PORT:
        return key_put_port(&e->w, in);
    case ETF_REFERENCE:
    case ETF_NEW_REFERENCE:
    case ETF_NEWER_REFERENCE:
        return key_put_reference(&e->w, in);
    case ETF_EXPORT:
        return key_put_export(&e->w, in);
    case ETF_NEW_FUN:
        TRY(key_put_fun_head(&e->w, in, &count));
        return push(e, FUN, count, p);
    default:
        return ST_BAD_TERM;
    }
}

static enum status encode(struct encoder *e, const uint8_t *in)
{
    bool more;
    bool open;

    do {
        TRY(put_term(e, &in, &open));
        more = true;
        if (!open)
            TRY(next_term(e, &in, &more));
    } while (more);
    TRY(key_put_trailer(&e->w));
    return key_writer_used(&e->w) > KEY_BYTES_MAX ? ST_TOO_BIG : ST_OK;
}

enum status key_encode(struct bytes term, struct buffer *out)
{
    struct encoder e; /* large; what is not set here is set before its use */
    enum status st = key_writer_init(&e.w, out);

    if (st < 0)
        return st;
    e.pairs = e.inline_pairs;
    e.pair_count = 0;
    e.pair_capacity = INLINE_PAIRS;
    e.depth = 0;

    st = encode(&e, term.data);
    key_writer_deinit(&e.w, st == ST_OK);
    if (e.pairs != e.inline_pairs)
        mem_free(out->mem, e.pairs, e.pair_capacity * sizeof(struct pair));
    return st;
}
