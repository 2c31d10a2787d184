/*
 * key_decode.c -- from a sortable encoding back to an external term.
 *
 * One loop reads a term at `in` and writes at `p`, with a stack of frames
 * for the containers that are open. Three things come late and are mended:
 *
 *   - The length of a string is known at its end mark, so its header gets
 *     the length afterwards (and is widened by a byte, rarely, for bits that
 *     fill no byte and for atoms of more than 255 bytes). So is the number
 *     of a list's elements.
 *   - The values of a map stand behind all of its keys. A map's frame keeps
 *     a second place to read at, and each key or value swaps the two. Where
 *     the values begin is found by stepping over an outermost map once, which
 *     notes it for all maps in it: to step over the keys of each by itself
 *     would visit a key of a key of a key .. at every level.
 *   - Which integral numbers are floats stands in the trailer. It ends with
 *     00, so a key that ends otherwise has none; else its place is found by
 *     stepping over the term first.
 */
#include "core/key.h"

#include <math.h>

#include "core/etf.h"
#include "core/key_internal.h"

/* What a term without a length of its own takes at most. */
#define SLACK 64

/* The size of NEW_FUN up to its module, and where its fields are. */
#define FUN_HEAD_BYTES 30
#define FUN_ARITY 5
#define FUN_MD5 6
#define FUN_INDEX 22
#define FUN_FREE 26

/* Who made a fun, for those who read it: no part of the encoding. */
static const uint8_t fun_maker[] = {
    ETF_NEW_PID, ETF_SMALL_ATOM_UTF8,
    13,          'n',
    'o',         'n',
    'o',         'd',
    'e',         '@',
    'n',         'o',
    'h',         'o',
    's',         't',
    0,           0,
    0,           0,
    0,           0,
    0,           0,
    0,           0,
    0,           0,
};

enum frame_kind { ITEMS, FUN, LIST, MAP_KEY, MAP_VALUE };

struct frame {
    uint8_t kind;
    bool exact;           /* MAP_*: whether the map itself is in a key */
    uint32_t count;       /* LIST: elements so far; others: to come */
    uint32_t offset;      /* LIST, FUN: of its tag, from the start */
    uint32_t index;       /* FUN */
    const uint8_t *other; /* MAP_*: the place that is not read now */
};

struct decoder {
    const uint8_t *in;
    const uint8_t *end; /* of the terms, where a trailer may begin */
    uint8_t *p;
    uint8_t *room_end;
    struct buffer *out;
    size_t start;
    bool exact;

    const uint8_t *tie; /* where the next one is read; NULL: no more */
    uint64_t until_tie; /* integral numbers before its float */
    bool negative_zero;

    const uint8_t *key;       /* its first byte */
    const uint8_t *noted_end; /* of the last outermost map; or `key` */

    unsigned depth;
    struct frame stack[ETF_DEPTH_MAX];
    uint16_t keys_end[KEY_BYTES_MAX]; /* key_note_maps() */
};

static __attribute__((noinline)) enum status decoder_grow(struct decoder *d,
                                                          size_t bytes)
{
    size_t size = (size_t)(d->p - d->out->data);
    enum status st;

    d->out->size = size;
    st = buffer_reserve(d->out, bytes);
    d->out->size = d->start;
    if (st < 0)
        return st;
    d->p = d->out->data + size;
    d->room_end = d->out->data + d->out->capacity;
    return ST_OK;
}

/* Makes sure that `bytes` can be written. */
static inline enum status need(struct decoder *d, size_t bytes)
{
    if (__builtin_expect((size_t)(d->room_end - d->p) >= bytes, 1))
        return ST_OK;
    return decoder_grow(d, bytes);
}

static inline void put(struct decoder *d, uint8_t byte)
{
    *d->p++ = byte;
}

static inline void put_u32(struct decoder *d, uint32_t v)
{
    store_be32(d->p, v);
    d->p += 4;
}

static inline void put_head(struct decoder *d, enum etf_tag tag, uint32_t v)
{
    put(d, (uint8_t)tag);
    put_u32(d, v);
}

static inline void put_bytes(struct decoder *d, const void *bytes, size_t size)
{
    memcpy(d->p, bytes, size);
    d->p += size;
}

static size_t left_to_read(const struct decoder *d)
{
    return (size_t)(d->end - d->in);
}

/* ------------------------------------------------------------- numbers */

/* Reads the next tie, if there is one. */
static void next_tie(struct decoder *d)
{
    unsigned bytes;
    uint64_t tie;

    if (*d->tie == KEY_TRAILER_END) {
        d->tie = NULL;
        return;
    }
    if (*d->tie >= KEY_TIE_LONG) {
        tie = KEY_TIE - *d->tie++;
    } else {
        bytes = KEY_TIE_LONG - *d->tie;
        tie = ~load_be_some(d->tie + 1, bytes) & UINT64_MAX >> (64 - 8 * bytes);
        d->tie += 1 + bytes;
    }
    d->until_tie = tie / 2;
    d->negative_zero = tie % 2;
}

/*
 * Is the integral number at hand a float? Such numbers must be asked about
 * once each, in order.
 */
static bool take_tie(struct decoder *d)
{
    if (!d->tie || d->exact)
        return false;
    return d->until_tie-- == 0;
}

static void put_float(struct decoder *d, double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    put(d, ETF_NEW_FLOAT);
    store_be64(d->p, bits);
    d->p += 8;
}

/* The fraction of a float behind the integer below it. */
static double read_fraction(struct decoder *d, bool negative)
{
    uint64_t bits = load_be64(d->in);
    double x;

    d->in += 8;
    if (negative)
        bits = ~bits;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Reads an integer of up to eight bytes: v, or -1 - v if `*ret_negative`. */
static inline uint64_t read_small(struct decoder *d, bool *ret_negative)
{
    uint8_t first = *d->in++;
    unsigned bytes;
    uint64_t v;

    *ret_negative = first <= KEY_MINUS_ONE;
    if (first >= KEY_ZERO && first <= KEY_127)
        return first - (uint64_t)KEY_ZERO;
    if (first >= KEY_NEGATIVE && first <= KEY_MINUS_ONE)
        return KEY_MINUS_ONE - (uint64_t)first;
    bytes = *ret_negative ? (unsigned)KEY_NEGATIVE - first
                          : first - (unsigned)KEY_POSITIVE;
    v = load_be_some(d->in, bytes);
    d->in += bytes;
    return *ret_negative ? ~v & UINT64_MAX >> (64 - 8 * bytes) : v;
}

/* An integer whose `size` bytes follow, the lowest first. */
static void put_big_head(struct decoder *d, size_t size, bool negative)
{
    if (size <= UINT8_MAX) {
        put(d, ETF_SMALL_BIG);
        put(d, (uint8_t)size);
    } else {
        put_head(d, ETF_LARGE_BIG, (uint32_t)size);
    }
    put(d, negative);
}

/* An integer whose absolute value is `v`, in its shortest form. */
static void put_integer(struct decoder *d, bool negative, uint64_t v)
{
    if (!negative && v <= UINT8_MAX) {
        put(d, ETF_SMALL_INTEGER);
        put(d, (uint8_t)v);
    } else if (v <= INT32_MAX + (uint64_t)negative) {
        put_head(d, ETF_INTEGER, (uint32_t)(negative ? 0 - v : v));
    } else {
        put_big_head(d, bytes_of_u64(v), negative);
        store_le64(d->p, v);
        d->p += bytes_of_u64(v);
    }
}

/* v + 1, which is a float although v may be none. */
static double complement_to_float(uint64_t v)
{
    return v == UINT64_MAX ? 0x1p64 : (double)(v + 1);
}

static void decode_small(struct decoder *d)
{
    bool negative;
    uint64_t v = read_small(d, &negative);

    if (d->in < d->end && *d->in == KEY_FRACTION) {
        d->in++;
        if (negative)
            put_float(d, -((double)v + read_fraction(d, true)));
        else
            put_float(d, (double)v + read_fraction(d, false));
        return;
    }
    if (take_tie(d)) {
        if (d->negative_zero)
            put_float(d, -0.0);
        else
            put_float(d, negative ? -complement_to_float(v) : (double)v);
        next_tie(d);
        return;
    }
    if (negative && v == UINT64_MAX) { /* -2^64 takes nine bytes */
        put_big_head(d, 9, true);
        store_le64(d->p, 0);
        d->p[8] = 1;
        d->p += 9;
        return;
    }
    put_integer(d, negative, negative ? v + 1 : v);
}

/*
 * A float of 2^64 at least from the first eight bytes of its integer, which
 * hold all that a float keeps of it; below them are zeros.
 */
static double big_to_float(const uint8_t *bytes, size_t size)
{
    return ldexp((double)load_be64(bytes), 8 * (int)(size - 8));
}

/* The big integer at `in`, or the float that it stands for. */
static enum status decode_big(struct decoder *d)
{
    bool negative = *d->in == KEY_BIG_NEGATIVE;
    size_t size;
    const uint8_t *bytes = key_big_bytes(d->in, &size);
    uint8_t *digits;
    bool is_float = take_tie(d);
    bool carry = negative;
    uint8_t big_endian[8];

    d->in = bytes + size;
    TRY(need(d, size + SLACK));

    /* |v| with its lowest byte first, where it stands if it is an integer;
     * |v| = m + 1 is the two's complement of the ~m that is here. */
    if (negative) {
        size_t i = 0;

        while (i < size && bytes[i] == 0)
            i++;
        size += i == size; /* a power of 256, one byte longer than m */
    }
    put_big_head(d, size, negative);
    digits = d->p;
    for (size_t i = 0; i < (size_t)(d->in - bytes); i++) {
        uint8_t byte = d->in[-1 - (ptrdiff_t)i];

        if (negative) {
            byte = (uint8_t)(~byte + carry);
            carry = carry && byte == 0;
        }
        *d->p++ = byte;
    }
    if (carry)
        *d->p++ = 1;
    if (!is_float)
        return ST_OK;

    for (size_t i = 0; i < 8; i++)
        big_endian[i] = digits[size - 1 - i];
    d->p = digits - (size <= UINT8_MAX ? 3 : 6);
    put_float(d, negative ? -big_to_float(big_endian, size)
                          : big_to_float(big_endian, size));
    next_tie(d);
    return ST_OK;
}

static void decode_exact_float(struct decoder *d)
{
    uint64_t bits = load_be64(d->in + 1);

    d->in += 9;
    put(d, ETF_NEW_FLOAT);
    store_be64(d->p, bits >> 63 ? bits & UINT64_MAX >> 1 : ~bits);
    d->p += 8;
}

/* An integer that is no term: at most eight bytes, not below -2^63. */
static int64_t read_plain(struct decoder *d)
{
    bool negative;
    uint64_t v = read_small(d, &negative);

    return (int64_t)(negative ? ~v : v);
}

/* ------------------------------------------------------------- strings */

/*
 * Copies the string at `in` to `p`, where there is room for what is left to
 * read and 8 more. Gives the bits that count of the last byte, 8 for a whole
 * one.
 */
static unsigned unescape(struct decoder *d)
{
    const uint8_t *in = d->in;
    uint8_t *p = d->p;
    unsigned bits = 8;

    while (in < d->end) {
        size_t left = (size_t)(d->end - in);
        size_t some = left < 8 ? left : 8;
        uint64_t eight = load_le_some(in, some);
        uint64_t marks = find_special(eight);
        size_t clean = marks ? first_special(marks) : 8;

        store_le64(p, eight);
        if (clean >= some) {
            p += some;
            in += some;
            continue;
        }
        p += clean;
        in += clean;
        if (*in == KEY_PARTIAL_END) {
            bits = in[1];
            in += 2;
            break;
        }
        in++;
        if (in == d->end || *in < KEY_ESCAPED)
            break;
        *p++ = (uint8_t)(*in++ - KEY_ESCAPED);
    }
    d->in = in;
    d->p = p;
    return bits;
}

static enum status decode_bits(struct decoder *d)
{
    size_t head;
    uint8_t *binary;
    size_t size;
    unsigned bits;

    d->in++;
    TRY(need(d, left_to_read(d) + SLACK));
    head = 5;
    binary = d->p;
    d->p += head;
    bits = unescape(d);
    size = (size_t)(d->p - binary) - head;
    if (bits == 8) {
        binary[0] = ETF_BINARY;
    } else {
        memmove(binary + head + 1, binary + head, size);
        d->p++;
        binary[0] = ETF_BIT_BINARY;
        binary[5] = (uint8_t)bits;
    }
    store_be32(binary + 1, (uint32_t)size);
    return ST_OK;
}

/* The atom whose name is at `in`, in the shorter form that fits. */
static enum status decode_name(struct decoder *d)
{
    uint8_t *atom;
    size_t size;

    TRY(need(d, left_to_read(d) + SLACK));
    atom = d->p;
    d->p += 2;
    (void)unescape(d);
    size = (size_t)(d->p - atom) - 2;
    if (size <= UINT8_MAX) {
        atom[0] = ETF_SMALL_ATOM_UTF8;
        atom[1] = (uint8_t)size;
        return ST_OK;
    }
    memmove(atom + 3, atom + 2, size);
    d->p++;
    atom[0] = ETF_ATOM_UTF8;
    atom[1] = (uint8_t)(size >> 8);
    atom[2] = (uint8_t)size;
    return ST_OK;
}

static void put_known_atom(struct decoder *d, struct bytes name)
{
    d->in++;
    put(d, ETF_SMALL_ATOM_UTF8);
    put(d, (uint8_t)name.size);
    put_bytes(d, name.data, name.size);
}

/* --------------------------------------------------------- identifiers */

static enum status decode_pid(struct decoder *d)
{
    uint32_t serial = load_be32(d->in + 1);
    uint32_t id = load_be32(d->in + 5);

    d->in += 9;
    put(d, ETF_NEW_PID);
    TRY(decode_name(d));
    TRY(need(d, SLACK));
    put_u32(d, id);
    put_u32(d, serial);
    put_u32(d, (uint32_t)read_plain(d));
    return ST_OK;
}

static enum status decode_port(struct decoder *d)
{
    size_t tag = (size_t)(d->p - d->out->data);
    uint32_t creation;
    uint64_t id;

    d->in++;
    put(d, ETF_V4_PORT);
    TRY(decode_name(d));
    TRY(need(d, SLACK));
    creation = (uint32_t)read_plain(d);
    id = load_be64(d->in);
    d->in += 8;
    if (id <= UINT32_MAX) {
        d->out->data[tag] = ETF_NEW_PORT;
        put_u32(d, (uint32_t)id);
    } else {
        store_be64(d->p, id);
        d->p += 8;
    }
    put_u32(d, creation);
    return ST_OK;
}

/*
 * OTP makes references of three words and of five, and takes others for its
 * own node's only in part; a word of zero at the end changes nothing.
 */
static enum status decode_reference(struct decoder *d)
{
    size_t head = (size_t)(d->p - d->out->data);
    unsigned words;
    unsigned padded;

    d->in++;
    put(d, ETF_NEWER_REFERENCE);
    d->p += 2;
    TRY(decode_name(d));
    TRY(need(d, SLACK));
    put_u32(d, (uint32_t)read_plain(d));
    words = *d->in++;
    padded = words <= 3 ? 3 : KEY_REFERENCE_WORDS_MAX;
    d->out->data[head + 1] = 0;
    d->out->data[head + 2] = (uint8_t)padded;
    for (unsigned i = 0; i < padded; i++)
        put_u32(d, i < words ? load_be32(d->in + 4 * (words - 1 - i)) : 0);
    d->in += 4 * (size_t)words;
    return ST_OK;
}

static enum status decode_export(struct decoder *d)
{
    d->in++;
    put(d, ETF_EXPORT);
    TRY(decode_name(d));
    TRY(decode_name(d));
    TRY(need(d, SLACK));
    if (*d->in >= KEY_VAR_LONG)
        d->in++;
    put(d, ETF_SMALL_INTEGER);
    put(d, *d->in++);
    return ST_OK;
}

/* ---------------------------------------------------------- containers */

static struct frame *push(struct decoder *d, enum frame_kind kind,
                          uint32_t count)
{
    struct frame *f;

    REQUIRE(d->depth < ETF_DEPTH_MAX);
    f = &d->stack[d->depth++];
    f->kind = (uint8_t)kind;
    f->count = count;
    return f;
}

static uint32_t offset_now(const struct decoder *d)
{
    return (uint32_t)((size_t)(d->p - d->out->data) - d->start);
}

static uint8_t *at_offset(const struct decoder *d, uint32_t offset)
{
    return d->out->data + d->start + offset;
}

/*
 * Opens the fun at `in`. What stands behind its free variables goes before
 * them: the maker is written at once, and the head when the rest is read.
 * The old index is one of INTEGER, so that its size is known.
 */
static enum status decode_fun(struct decoder *d)
{
    uint32_t offset = offset_now(d);
    struct frame *f;
    uint32_t index;
    int32_t old_uniq;
    uint32_t count;

    d->in++;
    d->p += FUN_HEAD_BYTES;
    TRY(decode_name(d));
    TRY(need(d, SLACK));
    index = (uint32_t)read_plain(d);
    old_uniq = (int32_t)read_plain(d);
    count = (uint32_t)read_plain(d);
    put_head(d, ETF_INTEGER, 0);
    put_head(d, ETF_INTEGER, (uint32_t)old_uniq);
    put_bytes(d, fun_maker, sizeof(fun_maker));

    f = push(d, FUN, count);
    f->offset = offset;
    f->index = index;
    store_be32(at_offset(d, offset) + FUN_FREE, count);
    return ST_OK;
}

/* The free variables of the fun on top are done: fills in its head. */
static enum status finish_fun(struct decoder *d, const struct frame *f)
{
    uint32_t end = offset_now(d);
    uint8_t rest[KEY_FUN_REST_BYTES];
    uint8_t *head;
    uint8_t *p;

    TRY(decode_bits(d)); /* for a moment behind the fun */
    head = at_offset(d, f->offset);
    memcpy(rest, at_offset(d, end) + 5, sizeof(rest));
    d->p = at_offset(d, end);

    head[0] = ETF_NEW_FUN;
    store_be32(head + 1, end - f->offset - 1);
    head[FUN_ARITY] = rest[0];
    memcpy(head + FUN_MD5, rest + 5, 16);
    store_be32(head + FUN_INDEX, f->index);
    p = head + FUN_HEAD_BYTES;
    p += etf_size(p);
    memcpy(p + 1, rest + 1, 4);
    return ST_OK;
}

static void decode_tuple(struct decoder *d)
{
    uint32_t count;

    if (*d->in == KEY_LARGE_TUPLE) {
        count = load_be32(d->in + 1);
        d->in += 5;
    } else {
        count = *d->in++ - (uint32_t)KEY_TUPLE;
    }
    if (count <= UINT8_MAX) {
        put(d, ETF_SMALL_TUPLE);
        put(d, (uint8_t)count);
    } else {
        put_head(d, ETF_LARGE_TUPLE, count);
    }
    if (count)
        push(d, ITEMS, count);
}

/* Stands on the first key afterwards. */
static void decode_map(struct decoder *d)
{
    const uint8_t *map = d->in;
    struct frame *f;
    uint32_t count;

    if (*d->in == KEY_LARGE_MAP) {
        count = load_be32(d->in + 1);
        d->in += 5;
    } else {
        count = *d->in++ - (uint32_t)KEY_MAP;
    }
    put_head(d, ETF_MAP, count);
    if (!count)
        return;
    f = push(d, MAP_VALUE, count);
    f->exact = d->exact;
    f->other = d->in;
    if (map >= d->noted_end) /* in no other map */
        d->noted_end = key_note_maps(map, d->end, d->key, d->keys_end);
    d->in = d->key + d->keys_end[d->in - d->key];
}

/* Swaps the two places of a map: from a key to its value or back. */
static void swap_places(struct decoder *d, struct frame *f)
{
    const uint8_t *other = f->other;

    f->other = d->in;
    d->in = other;
}

/* An element of the list on top is written; false if it was the last. */
static enum status next_element(struct decoder *d, struct frame *f,
                                bool *ret_more)
{
    *ret_more = true;
    switch (*d->in) {
    case KEY_LIST_END:
        TRY(need(d, SLACK));
        put(d, ETF_NIL);
        *ret_more = false;
        break;
    case KEY_TAIL:
    case KEY_BITS_TAIL:
        break;
    default:
        f->count++;
        return ST_OK;
    }
    d->in++;
    store_be32(at_offset(d, f->offset) + 1, f->count);
    d->depth--;
    return ST_OK;
}

/* A term is complete: moves on to the next one, if there is one. */
static enum status next_term(struct decoder *d, bool *ret_more)
{
    *ret_more = true;
    while (d->depth > 0) {
        struct frame *f = &d->stack[d->depth - 1];
        bool more;

        switch (f->kind) {
        case LIST:
            TRY(next_element(d, f, &more));
            if (more)
                return ST_OK;
            break;
        case MAP_KEY:
            swap_places(d, f);
            d->exact = f->exact;
            f->kind = MAP_VALUE;
            return ST_OK;
        case MAP_VALUE:
            if (f->count > 0) {
                f->count--;
                swap_places(d, f);
                d->exact = true;
                f->kind = MAP_KEY;
                return ST_OK;
            }
            d->depth--;
            break;
        default:
            if (f->count > 0) {
                f->count--;
                return ST_OK;
            }
            if (f->kind == FUN)
                TRY(finish_fun(d, f));
            d->depth--;
        }
    }
    *ret_more = false;
    return ST_OK;
}

/*
 * Reads the term at `in`, or the head of it if it is a container: to move on
 * to its first child is left to next_term(), but for lists.
 */
static enum status decode_term(struct decoder *d, bool *ret_open)
{
    uint8_t first = *d->in;
    struct frame *f;

    TRY(need(d, SLACK));
    *ret_open = false;
    if (first > KEY_BIG_NEGATIVE && first < KEY_BIG_POSITIVE) {
        decode_small(d);
        return ST_OK;
    }
    switch (first) {
    case KEY_BIG_NEGATIVE:
    case KEY_BIG_POSITIVE:
        return decode_big(d);
    case KEY_EXACT_FLOAT:
        decode_exact_float(d);
        return ST_OK;
    case KEY_ATOM_BELOW_FALSE:
    case KEY_ATOM_BELOW_NIL:
    case KEY_ATOM_BELOW_TRUE:
    case KEY_ATOM_ABOVE_TRUE:
        d->in++;
        return decode_name(d);
    case KEY_FALSE:
        put_known_atom(d, BYTES("false"));
        return ST_OK;
    case KEY_NIL_ATOM:
        put_known_atom(d, BYTES("nil"));
        return ST_OK;
    case KEY_TRUE:
        put_known_atom(d, BYTES("true"));
        return ST_OK;
    case KEY_REFERENCE:
        return decode_reference(d);
    case KEY_FUN:
        return decode_fun(d);
    case KEY_EXPORT:
        return decode_export(d);
    case KEY_PORT:
        return decode_port(d);
    case KEY_PID:
        return decode_pid(d);
    case KEY_NIL:
        d->in++;
        put(d, ETF_NIL);
        return ST_OK;
    case KEY_LIST:
        d->in++;
        f = push(d, LIST, 1);
        f->offset = offset_now(d);
        put_head(d, ETF_LIST, 0);
        *ret_open = true;
        return ST_OK;
    case KEY_BITS:
        return decode_bits(d);
    default:
        REQUIRE(first >= KEY_TUPLE && first <= KEY_LARGE_MAP);
        if (first <= KEY_LARGE_TUPLE)
            decode_tuple(d);
        else
            decode_map(d);
        return ST_OK;
    }
}

static enum status decode(struct decoder *d)
{
    bool more;
    bool open;

    do {
        TRY(decode_term(d, &open));
        more = true;
        if (!open)
            TRY(next_term(d, &more));
    } while (more);
    return ST_OK;
}

enum status key_decode(struct bytes key, struct buffer *out)
{
    struct decoder d; /* large; what is not set here is set before its use */
    enum status st = buffer_reserve(out, SLACK);

    if (st < 0)
        return st;
    REQUIRE(key.size <= KEY_BYTES_MAX);
    d.in = key.data;
    d.key = key.data;
    d.noted_end = key.data;
    d.end = key.data + key.size;
    d.out = out;
    d.start = out->size;
    d.p = out->data + out->size;
    d.room_end = out->data + out->capacity;
    d.exact = false;
    d.tie = NULL;
    d.depth = 0;

    if (key.data[key.size - 1] == KEY_TRAILER_END) {
        d.tie = key_skip(key.data, d.end, 1);
        if (d.tie == d.end) {
            d.tie = NULL;
        } else {
            d.end = d.tie++;
            next_tie(&d);
        }
    }
    st = decode(&d);
    if (st == ST_OK)
        out->size = (size_t)(d.p - out->data);
    return st;
}
