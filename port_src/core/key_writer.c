/*
 * key_writer.c -- numbers, strings, atoms and identifiers as the sortable
 * encoding has them; key.c describes it.
 *
 * The buffer's own size stays what it was while an encoding is written, so
 * that an error has nothing to undo. The room is bounded by what a key may
 * take, however large the buffer is, so that one that would be longer is
 * noticed soon, at the latest SLACK bytes behind the limit.
 *
 * Ties are gathered beside the encoding, for it goes on until the last
 * number; few terms have more than fit in the writer itself.
 */
#include "core/key_writer.h"

#include "core/etf.h"
#include "core/key.h"

#define SLACK KEY_SLACK

/* Larger than any float: 2^1024 takes 129 bytes. */
#define FLOAT_INTEGER_BYTES_MAX 136

enum status key_writer_init(struct key_writer *w, struct buffer *out)
{
    enum status st = buffer_reserve(out, SLACK);
    size_t room = KEY_BYTES_MAX + SLACK;

    if (st < 0)
        return st;
    if (room > out->capacity - out->size)
        room = out->capacity - out->size;
    w->out = out;
    w->start = out->size;
    w->p = out->data + out->size;
    w->end = w->p + room;
    w->exact = false;
    w->skipped = 0;
    w->ties = w->inline_ties;
    w->tie_bytes = 0;
    w->tie_capacity = KEY_INLINE_TIES_BYTES;
    return ST_OK;
}

void key_writer_deinit(struct key_writer *w, bool keep)
{
    if (keep)
        w->out->size = w->start + key_writer_used(w);
    if (w->ties != w->inline_ties)
        mem_free(w->out->mem, w->ties, w->tie_capacity);
}

enum status key_writer_grow(struct key_writer *w, size_t bytes)
{
    size_t used = key_writer_used(w);
    size_t room = KEY_BYTES_MAX + SLACK;
    enum status st;

    if (used > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    w->out->size = w->start + used;
    st = buffer_reserve(w->out, bytes);
    w->out->size = w->start;
    if (st < 0)
        return st;

    /* Not beyond what a key may take, however large the buffer is. */
    room = room - used > bytes ? room - used : bytes;
    if (room > w->out->capacity - w->start - used)
        room = w->out->capacity - w->start - used;
    w->p = w->out->data + w->start + used;
    w->end = w->p + room;
    return ST_OK;
}

enum status key_small_array_grow(struct mem *mem, void **data,
                                 const void *inline_data, size_t *capacity,
                                 size_t item_bytes, size_t wanted)
{
    size_t grown = 2 * *capacity > wanted ? 2 * *capacity : wanted;
    bool on_heap = *data != inline_data;
    void *block =
        mem_grow(mem, on_heap ? *data : NULL,
                 on_heap ? *capacity * item_bytes : 0, grown * item_bytes);

    if (!block)
        return mem_status(mem);
    if (!on_heap)
        memcpy(block, inline_data, *capacity * item_bytes);
    *data = block;
    *capacity = grown;
    return ST_OK;
}

/* ------------------------------------------------------------- numbers */

/* Notes an integral float for the trailer. */
static enum status add_tie(struct key_writer *w, bool negative_zero)
{
    uint64_t tie = 2 * w->skipped + negative_zero;
    unsigned bytes;

    w->skipped = 0;
    if (w->tie_capacity - w->tie_bytes < 9) {
        void *data = w->ties;
        enum status st =
            key_small_array_grow(w->out->mem, &data, w->inline_ties,
                                 &w->tie_capacity, 1, w->tie_bytes + 9);

        w->ties = data;
        TRY(st);
    }
    if (tie <= KEY_TIE_MAX) {
        w->ties[w->tie_bytes++] = (uint8_t)(KEY_TIE - tie);
        return ST_OK;
    }
    bytes = bytes_of_u64(tie);
    w->ties[w->tie_bytes++] = (uint8_t)(KEY_TIE_LONG - bytes);
    store_be64(w->ties + w->tie_bytes, ~tie << (64 - 8 * bytes));
    w->tie_bytes += bytes;
    return ST_OK;
}

static uint8_t *put_var(uint8_t *p, uint64_t v, uint8_t flip)
{
    unsigned bytes;

    if (v < KEY_VAR_LONG) {
        *p = (uint8_t)v ^ flip;
        return p + 1;
    }
    bytes = bytes_of_u64(v);
    *p++ = (uint8_t)(KEY_VAR_LONG + bytes - 1) ^ flip;
    while (bytes-- > 0)
        *p++ = (uint8_t)(v >> 8 * bytes) ^ flip;
    return p;
}

/*
 * An integer by its sign and the little-endian bytes of its absolute value,
 * as in the external format. Needs no room in advance; counts nothing.
 */
enum status key_put_big(struct key_writer *w, bool negative,
                        const uint8_t *digits, size_t size)
{
    size_t low = 0; /* zero bytes at the bottom */
    uint64_t v;

    while (size > 0 && digits[size - 1] == 0)
        size--;
    if (size <= 8) {
        v = size ? load_le_some(digits, size) : 0;
        TRY(key_need(w, 9));
        w->p = negative && v ? key_put_complement(w->p, v - 1)
                             : key_put_u64(w->p, v);
        return ST_OK;
    }
    if (size > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    TRY(key_need(w, SLACK + size));
    if (!negative) {
        key_put_byte(w, KEY_BIG_POSITIVE);
        w->p = put_var(w->p, size - KEY_BIG_BYTES_MIN, 0);
        while (size > 0)
            key_put_byte(w, digits[--size]);
        return ST_OK;
    }

    /*
     * ~m for m = |v| - 1 is the two's complement of |v|: zeros stay at the
     * bottom, the lowest other byte is negated, those above are flipped. m
     * takes a byte less than |v| if that is a power of 256.
     */
    while (digits[low] == 0)
        low++;
    if (low == size - 1 && digits[low] == 1) {
        size--;
        if (size == 8) {
            w->p = key_put_complement(w->p, UINT64_MAX);
            return ST_OK;
        }
    }
    key_put_byte(w, KEY_BIG_NEGATIVE);
    w->p = put_var(w->p, size - KEY_BIG_BYTES_MIN, 0xFF);
    while (size-- > 0)
        key_put_byte(w, size > low    ? (uint8_t)~digits[size]
                        : size == low ? (uint8_t)-digits[size]
                                      : 0);
    return ST_OK;
}

/* A float of 2^53 at least, in its absolute value: it has no fraction. */
static enum status put_large_float(struct key_writer *w, bool negative,
                                   uint64_t bits)
{
    uint8_t digits[FLOAT_INTEGER_BYTES_MAX] = {0};
    unsigned shift = (unsigned)(bits >> 52 & 0x7FF) - 1075;
    uint64_t mantissa = (bits & (UINT64_MAX >> 12)) | UINT64_C(1) << 52;

    store_le64(digits + shift / 8, mantissa << shift % 8);
    return key_put_big(w, negative, digits, (shift + 53 + 7) / 8);
}

enum status key_put_float(struct key_writer *w, double x)
{
    double absolute;
    double fraction;
    uint64_t whole;
    uint64_t bits;
    bool negative;

    memcpy(&bits, &x, sizeof(bits));
    negative = bits >> 63;
    if (w->exact) {
        key_put_byte(w, KEY_EXACT_FLOAT);
        store_be64(w->p, negative ? ~bits : bits | UINT64_C(1) << 63);
        w->p += 8;
        return ST_OK;
    }

    absolute = negative ? -x : x;
    if (absolute >= 0x1p53) { /* too large for a fraction */
        TRY(put_large_float(w, negative, bits));
        return add_tie(w, false);
    }
    whole = (uint64_t)absolute;
    fraction = absolute - (double)whole; /* exact */
    if (fraction == 0.0) {
        w->p = negative && whole ? key_put_complement(w->p, whole - 1)
                                 : key_put_u64(w->p, whole);
        return add_tie(w, negative && !whole);
    }
    memcpy(&bits, &fraction, sizeof(bits));
    w->p =
        negative ? key_put_complement(w->p, whole) : key_put_u64(w->p, whole);
    key_put_byte(w, KEY_FRACTION);
    store_be64(w->p, negative ? ~bits : bits);
    w->p += 8;
    return ST_OK;
}

/* ------------------------------------------------------------- strings */

/* Writes `size` bytes with their escapes: up to 2 * size + 8 bytes. */
static uint8_t *escape(uint8_t *p, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t some = size < 8 ? size : 8;
        uint64_t eight = load_le_some(bytes, some);
        uint64_t marks = find_special(eight);
        size_t clean = marks ? first_special(marks) : 8;

        /* Where fewer than eight are left the others look like marks. */
        store_le64(p, eight);
        if (clean >= some) {
            p += some;
            bytes += some;
            size -= some;
            continue;
        }
        p += clean;
        *p++ = KEY_STRING_END;
        *p++ = (uint8_t)(KEY_ESCAPED + bytes[clean]);
        bytes += clean + 1;
        size -= clean + 1;
    }
    return p;
}

enum status key_put_string(struct key_writer *w, const uint8_t *bytes,
                           size_t size)
{
    if (size > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    TRY(key_need(w, 2 * size + SLACK));
    w->p = escape(w->p, bytes, size);
    key_put_byte(w, KEY_STRING_END);
    return ST_OK;
}

/* `bits`, 1..7, are those that count of the last byte. */
enum status key_put_partial(struct key_writer *w, const uint8_t *bytes,
                            size_t size, unsigned bits)
{
    uint8_t last = bytes[size - 1] & (uint8_t)(0xFF00 >> bits);

    if (size > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    TRY(key_need(w, 2 * size + SLACK));
    w->p = escape(w->p, bytes, size - 1);
    w->p = escape(w->p, &last, 1);
    key_put_byte(w, KEY_PARTIAL_END);
    key_put_byte(w, (uint8_t)bits);
    return ST_OK;
}

static uint8_t atom_tag(struct bytes name)
{
    int order;

    if (name.size == 0)
        return KEY_ATOM_BELOW_FALSE;
    switch (name.data[0]) {
    case 'f':
        order = bytes_compare(name, BYTES("false"));
        return order ? order < 0 ? KEY_ATOM_BELOW_FALSE : KEY_ATOM_BELOW_NIL
                     : KEY_FALSE;
    case 'n':
        order = bytes_compare(name, BYTES("nil"));
        return order ? order < 0 ? KEY_ATOM_BELOW_NIL : KEY_ATOM_BELOW_TRUE
                     : KEY_NIL_ATOM;
    case 't':
        order = bytes_compare(name, BYTES("true"));
        return order ? order < 0 ? KEY_ATOM_BELOW_TRUE : KEY_ATOM_ABOVE_TRUE
                     : KEY_TRUE;
    default:
        return name.data[0] < 'f'   ? KEY_ATOM_BELOW_FALSE
               : name.data[0] < 'n' ? KEY_ATOM_BELOW_NIL
               : name.data[0] < 't' ? KEY_ATOM_BELOW_TRUE
                                    : KEY_ATOM_ABOVE_TRUE;
    }
}

/* Latin-1 becomes UTF-8 in `copy`; ASCII is both. */
static struct bytes latin1_to_utf8(struct bytes name, uint8_t *copy)
{
    uint8_t *p = copy;
    uint8_t high = 0;

    for (size_t i = 0; i < name.size; i++)
        high |= name.data[i];
    if (high < 0x80)
        return name;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x80) {
            *p++ = name.data[i];
        } else {
            *p++ = 0xC0 | name.data[i] >> 6;
            *p++ = 0x80 | (name.data[i] & 0x3F);
        }
    }
    return bytes_of(copy, (size_t)(p - copy));
}

/*
 * Writes the name of the atom at `*in`, with its end mark and behind its tag
 * if `tagged`, and moves `*in` behind the atom.
 */
enum status key_put_atom(struct key_writer *w, const uint8_t **in, bool tagged)
{
    uint8_t copy[KEY_ATOM_BYTES_MAX];
    uint8_t form = **in;
    struct bytes name;
    uint8_t tag;

    if (form == ETF_SMALL_ATOM_UTF8 || form == ETF_SMALL_ATOM)
        name = bytes_of(*in + 2, (*in)[1]);
    else
        name = bytes_of(*in + 3, load_be16(*in + 1));
    *in = name.data + name.size;
    if (form == ETF_ATOM || form == ETF_SMALL_ATOM)
        name = latin1_to_utf8(name, copy);

    if (tagged) {
        tag = atom_tag(name);
        TRY(key_need(w, 1));
        key_put_byte(w, tag);
        if (tag == KEY_FALSE || tag == KEY_NIL_ATOM || tag == KEY_TRUE)
            return ST_OK;
    }
    return key_put_string(w, name.data, name.size);
}

/* --------------------------------------------------------- identifiers */

static uint64_t load_creation(const uint8_t *in, bool tiny)
{
    return tiny ? *in : load_be32(in);
}

/* node, id, serial, creation; sorted by serial, id, node, creation. */
enum status key_put_pid(struct key_writer *w, const uint8_t **in)
{
    bool tiny = **in == ETF_PID;
    const uint8_t *node = *in + 1;
    const uint8_t *p = node + etf_size(node);

    key_put_byte(w, KEY_PID);
    key_put_u32(w, load_be32(p + 4));
    key_put_u32(w, load_be32(p));
    TRY(key_put_atom(w, &node, false));
    TRY(key_need(w, SLACK));
    w->p = key_put_u64(w->p, load_creation(p + 8, tiny));
    *in = p + (tiny ? 9 : 12);
    return ST_OK;
}

/* node, id, creation; sorted by node, creation, id. */
enum status key_put_port(struct key_writer *w, const uint8_t **in)
{
    bool tiny = **in == ETF_PORT;
    size_t id_bytes = **in == ETF_V4_PORT ? 8 : 4;
    const uint8_t *p = *in + 1;

    key_put_byte(w, KEY_PORT);
    TRY(key_put_atom(w, &p, false));
    TRY(key_need(w, SLACK));
    w->p = key_put_u64(w->p, load_creation(p + id_bytes, tiny));
    store_be64(w->p, load_be_some(p, id_bytes));
    w->p += 8;
    *in = p + id_bytes + (tiny ? 1 : 4);
    return ST_OK;
}

/* Sorted by node, creation, number; the last word is the highest. */
enum status key_put_reference(struct key_writer *w, const uint8_t **in)
{
    uint8_t form = **in;
    size_t words = form == ETF_REFERENCE ? 1 : load_be16(*in + 1);
    const uint8_t *p = *in + (form == ETF_REFERENCE ? 1 : 3);
    uint64_t creation;

    key_put_byte(w, KEY_REFERENCE);
    TRY(key_put_atom(w, &p, false));
    switch (form) {
    case ETF_REFERENCE: /* the creation comes last */
        creation = p[4];
        *in = p + 5;
        break;
    case ETF_NEW_REFERENCE:
        creation = *p++;
        *in = p + 4 * words;
        break;
    default:
        creation = load_be32(p);
        p += 4;
        *in = p + 4 * words;
    }
    while (words > 0 && load_be32(p + 4 * (words - 1)) == 0)
        words--;

    TRY(key_need(w, SLACK));
    w->p = key_put_u64(w->p, creation);
    key_put_byte(w, (uint8_t)words);
    while (words-- > 0)
        key_put_u32(w, load_be32(p + 4 * words));
    return ST_OK;
}

enum status key_put_export(struct key_writer *w, const uint8_t **in)
{
    const uint8_t *p = *in + 1;
    uint32_t arity;

    key_put_byte(w, KEY_EXPORT);
    TRY(key_put_atom(w, &p, false));
    TRY(key_put_atom(w, &p, false));
    TRY(key_need(w, SLACK));
    arity = *p == ETF_SMALL_INTEGER ? p[1] : load_be32(p + 1);
    w->p = put_var(w->p, arity, 0);
    *in = p + (*p == ETF_SMALL_INTEGER ? 2 : 5);
    return ST_OK;
}

/* The number of a SMALL_INTEGER or INTEGER. */
static int64_t load_integer(const uint8_t **in)
{
    int64_t v;

    if (**in == ETF_SMALL_INTEGER) {
        v = (*in)[1];
        *in += 2;
    } else {
        v = (int32_t)load_be32(*in + 1);
        *in += 5;
    }
    return v;
}

/* Where a fun's fields are, from its tag on. */
#define FUN_ARITY 5
#define FUN_MD5 6
#define FUN_INDEX 22
#define FUN_FREE 26
#define FUN_MODULE 30

/* Up to the free variables, where `*in` stands afterwards. */
enum status key_put_fun_head(struct key_writer *w, const uint8_t **in,
                             uint32_t *ret_free)
{
    const uint8_t *fun = *in;
    const uint8_t *p = fun + FUN_MODULE;

    *ret_free = load_be32(fun + FUN_FREE);
    if (*ret_free > KEY_BYTES_MAX)
        return ST_TOO_BIG;
    key_put_byte(w, KEY_FUN);
    TRY(key_put_atom(w, &p, false));
    TRY(key_need(w, SLACK));
    (void)load_integer(&p); /* the old index is in the rest */
    w->p = key_put_u64(w->p, load_be32(fun + FUN_INDEX));
    key_put_i64(w, load_integer(&p));
    w->p = key_put_u64(w->p, *ret_free);
    *in = p + etf_size(p); /* without the maker */
    return ST_OK;
}

enum status key_put_fun_rest(struct key_writer *w, const uint8_t *fun)
{
    const uint8_t *p = fun + FUN_MODULE;
    uint8_t rest[KEY_FUN_REST_BYTES];

    p += etf_size(p);
    rest[0] = fun[FUN_ARITY];
    store_be32(rest + 1, (uint32_t)load_integer(&p));
    memcpy(rest + 5, fun + FUN_MD5, 16);
    TRY(key_need(w, 1));
    key_put_byte(w, KEY_BITS);
    return key_put_string(w, rest, sizeof(rest));
}

/* ------------------------------------------------------------- trailer */

enum status key_put_trailer(struct key_writer *w)
{
    if (w->tie_bytes == 0)
        return ST_OK;
    TRY(key_need(w, w->tie_bytes + SLACK));
    key_put_byte(w, KEY_TRAILER);
    memcpy(w->p, w->ties, w->tie_bytes);
    w->p += w->tie_bytes;
    key_put_byte(w, KEY_TRAILER_END);
    return ST_OK;
}
