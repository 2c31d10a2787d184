/*
 * key.c -- the sortable encoding: what it is, and how to step over it.
 *
 * The first byte of a term sorts the types as Erlang does, and holds small
 * values itself. `name` is UTF-8 as a string with its end mark, see below;
 * int is an integer as in this table; u32 and u64 are big-endian.
 *
 *     08       int < -2^64     ~var(n - 9), ~m of n bytes; m = -v - 1
 *     09..10   -2^64..-9       8..1 bytes, the low ones of v
 *     11..18   -8..-1
 *     19..98   0..127
 *     99..A0   128..2^64-1     1..8 bytes
 *     A1       int >= 2^64     var(n - 9), n bytes
 *     A2       float in the key of a map: 8 bytes, the sign flipped, and all
 *              other bits too if it is negative
 *     A8..AE   atoms; A9, AB and AD are false, nil and true. A8, AA, AC and
 *              AE are those below, between and above: name
 *     B0       reference       name of node, int creation, k, k words u32
 *                              from the most significant; no leading zeros
 *     B2       local fun       name of module, int index, int old uniq, int
 *                              count of free variables, these, and as a
 *                              binary term: arity, old index i32, MD5
 *     B3       fun m:f/a       name, name, var(a)
 *     B5       port            name of node, int creation, id u64
 *     B7       pid             serial u32, id u32, name of node, int creation
 *     B8..C7   tuples of 0..15 elements; C8: arity u32. Elements
 *     C9..D0   maps of 0..7;   D1: size u32. Keys in order of their bytes,
 *                              then their values in the same order
 *     D2       []
 *     D3       list            elements, then 03; or 02 and a tail that is
 *                              below []; or F8 and one that is a bitstring
 *     D4       bitstring       bytes as a string with its end mark; bits that
 *                              fill no byte are padded with zeros, and the
 *                              mark is then 00 and their number
 *     FB       behind the outermost term: the trailer
 *
 *     var(n)   n < F0: one byte. Else F0 + k - 1 and k bytes of n
 *     string   01 ends it. 00 within it is written 01 FE, and 01 as 01 FF
 *
 * A float is the integer below it, so that numbers sort by value: 2.5 is
 * 1B FF and eight bytes with the fraction as a double (of the absolute value
 * and with all bits flipped if it is negative). FF is above whatever may
 * follow an integer, hence 2 < 2.5 < 3 in any context.
 *
 * A float without a fraction has the same bytes as its integer. For Erlang
 * 1 == 1.0, and so {1.0, a} < {1, b}: a mark beside the number would decide
 * too early. The marks come last, in the trailer FB t1 t2 .. 00, one t for
 * each such float in the order of the bytes, telling with d how many
 * integral numbers stand between it and the one before: t = 2d, 2d + 1 for
 * -0.0. It is written as the byte F0 - t up to E0, else as 10 - k and k
 * bytes of ~t. So at the first difference an integer is below -0.0, and that
 * below 0.0; and terms without such floats pay nothing.
 *
 * In the keys of a map Erlang compares exactly: all integers are below all
 * floats. There floats are A2, and neither counted nor marked.
 *
 *     1 = 1A   1.0 = 1A FB F0 00   {1, 1.0} = BA 1A 1A FB EE 00
 *     1.5 = 1A FF 3F E0 00 00 00 00 00 00   ok = AC 6F 6B 01
 *     [1] = D3 1A 03   <<5:3>> = D4 A0 00 03   #{a => 1} = CA A8 61 01 1A
 *
 * Every term tells its own end, with one byte of look-ahead: FF behind a
 * number goes on with it, FE or FF behind 01 goes on with the string, FB
 * behind the outermost term goes on with it. Nothing that follows a string
 * or a number inside a term begins with these, which is why a creation and
 * an arity are no plain bytes: those of the creation FF000000 would be
 * taken for an escape.
 *
 * Of a fun all that OTP compares comes first: module, index, old uniq, free
 * variables. Arity, MD5 and old index follow from them as long as there is
 * one build of a module; they are kept to rebuild the fun. The pid of its
 * maker is no part of its identity and is dropped: the same fun made by
 * another process must find the same row.
 *
 * key_encode.c (with key_writer.c) and key_decode.c walk with an explicit stack
 * of one small frame a container, ETF_DEPTH_MAX of them (24 KiB of the C stack
 * at most, touched only as deep as a term goes); so does key_skip() with 4
 * bytes a level. The values of a map stand behind its keys, and whoever reads
 * both by turns must know where they begin: key_note_maps() tells it for all
 * maps within a term in one pass. Nothing recurses.
 *
 * The scheme for integers and the escapes are those of FoundationDB's tuple
 * layer, with a second escape more so that the end of a bitstring sorts.
 */
#include "core/key.h"

#include "core/etf.h"
#include "core/key_internal.h"

/*
 * The size of a term by its first byte, if that alone tells: integers up to
 * eight bytes, the three atoms, [], {} and #{}; else 0.
 */
/* clang-format off */
static const uint8_t fixed_size[256] = {
    [0x09] = 9, [0x0A] = 8, [0x0B] = 7, [0x0C] = 6,
    [0x0D] = 5, [0x0E] = 4, [0x0F] = 3, [0x10] = 2,
    [0x11 ... KEY_127] = 1,
    [0x99] = 2, [0x9A] = 3, [0x9B] = 4, [0x9C] = 5,
    [0x9D] = 6, [0x9E] = 7, [0x9F] = 8, [0xA0] = 9,
    [KEY_EXACT_FLOAT] = 9,
    [KEY_FALSE] = 1, [KEY_NIL_ATOM] = 1, [KEY_TRUE] = 1,
    [KEY_TUPLE] = 1, [KEY_MAP] = 1, [KEY_NIL] = 1,
};
/* clang-format on */

const uint8_t *key_big_bytes(const uint8_t *p, size_t *ret_size)
{
    uint8_t flip = *p == KEY_BIG_NEGATIVE ? 0xFF : 0;
    uint8_t first = p[1] ^ flip;
    size_t size = first;
    unsigned more = 0;

    p += 2;
    if (first >= KEY_VAR_LONG) {
        size = 0;
        for (more = first - KEY_VAR_LONG + 1u; more > 0; more--)
            size = size << 8 | (*p++ ^ flip);
    }
    *ret_size = size + KEY_BIG_BYTES_MIN;
    return p;
}

size_t key_integer_size(const uint8_t *p)
{
    size_t size = fixed_size[*p];

    if (size == 0)
        size = (size_t)(key_big_bytes(p, &size) - p) + size;
    return size;
}

/* Behind the end mark of the string at `p`. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        size_t left = (size_t)(end - p);
        size_t some = left < 8 ? left : 8;
        uint64_t marks = find_special(load_le_some(p, some));
        unsigned index;

        /* The bytes that are not there look like marks; they end it too. */
        index = marks ? first_special(marks) : 8;
        if (index >= some) {
            p += some;
            continue;
        }
        p += index;
        if (*p == KEY_PARTIAL_END)
            return p + 2;
        if (left - index < 2 || p[1] < KEY_ESCAPED)
            return p + 1;
        p += 2;
    }
    return end;
}

/* Behind the number at `p`: an integer, perhaps with a fraction. */
static const uint8_t *skip_number(const uint8_t *p, const uint8_t *end)
{
    p += key_integer_size(p);
    return p < end && *p == KEY_FRACTION ? p + 9 : p;
}

/* Behind the pid, port, reference or export at `p`. */
static const uint8_t *skip_identifier(const uint8_t *p, const uint8_t *end)
{
    switch (*p) {
    case KEY_PID:
        p = skip_string(p + 9, end);
        return p + key_integer_size(p);
    case KEY_PORT:
        p = skip_string(p + 1, end);
        return p + key_integer_size(p) + 8;
    case KEY_REFERENCE:
        p = skip_string(p + 1, end);
        p += key_integer_size(p);
        return p + 1 + 4 * (size_t)*p;
    default: /* KEY_EXPORT */
        p = skip_string(skip_string(p + 1, end), end);
        return p + (*p < KEY_VAR_LONG ? 1 : 2);
    }
}

/* How many elements the tuple at `*p` has; moves behind its head. */
static uint32_t enter_tuple(const uint8_t **p)
{
    uint32_t count;

    if (**p != KEY_LARGE_TUPLE)
        return *(*p)++ - (uint32_t)KEY_TUPLE;
    count = load_be32(*p + 1);
    *p += 5;
    return count;
}

/* The same for the size of the map at `*p`. */
static uint32_t enter_map(const uint8_t **p)
{
    uint32_t count;

    if (**p != KEY_LARGE_MAP)
        return *(*p)++ - (uint32_t)KEY_MAP;
    count = load_be32(*p + 1);
    *p += 5;
    return count;
}

/* The same for the fun at `*p`; its rest counts as one more. */
static uint32_t enter_fun(const uint8_t **p, const uint8_t *end)
{
    uint64_t count = 0;
    size_t size;

    *p = skip_string(*p + 1, end);
    *p += key_integer_size(*p); /* index */
    *p += key_integer_size(*p); /* old uniq */
    size = key_integer_size(*p);
    (void)key_decode_u64(bytes_of(*p, size), &count);
    *p += size;
    return (uint32_t)count + 1;
}

/* Stands for the elements of a list, which tells when it is done. */
#define OPEN_LIST UINT32_MAX

/*
 * Both key_skip() and key_note_maps(), which has `keys_end`. For the latter a
 * map is two containers in one another: its keys and, around them, its
 * values. `marks` has the place of the first key where the keys are open.
 */
static inline __attribute__((always_inline)) const uint8_t *
skip(const uint8_t *p, const uint8_t *end, size_t count, const uint8_t *start,
     uint16_t *keys_end)
{
    /* What each open container still wants. */
    uint32_t stack[2 * ETF_DEPTH_MAX + 1];
    uint16_t marks[2 * ETF_DEPTH_MAX + 1];
    uint32_t left = (uint32_t)count;
    unsigned depth = 0;

    for (;;) {
        uint32_t children = 0;
        uint8_t size;

        while (left == 0) {
            if (depth == 0)
                return p;
            left = stack[--depth];
            if (keys_end && marks[depth])
                keys_end[marks[depth]] = (uint16_t)(p - start);
        }
        if (left == OPEN_LIST) {
            if (*p == KEY_LIST_END) {
                p++;
                left = stack[--depth];
                continue;
            }
            if (*p == KEY_TAIL || *p == KEY_BITS_TAIL) {
                p++;
                left = 1;
            }
        }
        if (left != OPEN_LIST)
            left--;

        size = fixed_size[*p];
        if (size) {
            p += size;
            if (p < end && *p == KEY_FRACTION)
                p += 9;
            continue;
        }
        switch (*p) {
        case KEY_BITS:
        case KEY_ATOM_BELOW_FALSE:
        case KEY_ATOM_BELOW_NIL:
        case KEY_ATOM_BELOW_TRUE:
        case KEY_ATOM_ABOVE_TRUE:
            p = skip_string(p + 1, end);
            continue;
        case KEY_BIG_NEGATIVE:
        case KEY_BIG_POSITIVE:
            p = skip_number(p, end);
            continue;
        case KEY_LIST:
            p++;
            children = OPEN_LIST;
            break;
        case KEY_PID:
        case KEY_PORT:
        case KEY_REFERENCE:
        case KEY_EXPORT:
            p = skip_identifier(p, end);
            continue;
        case KEY_FUN:
            children = enter_fun(&p, end);
            break;
        default:
            REQUIRE(*p >= KEY_TUPLE && *p <= KEY_LARGE_MAP);
            if (*p <= KEY_LARGE_TUPLE) {
                children = enter_tuple(&p);
                break;
            }
            children = enter_map(&p);
            if (!keys_end) {
                children *= 2;
                break;
            }
            REQUIRE(depth + 1 < 2 * ETF_DEPTH_MAX);
            marks[depth] = 0;
            stack[depth++] = left;
            marks[depth] = (uint16_t)(p - start);
            stack[depth++] = children;
            left = children;
            continue;
        }
        REQUIRE(depth <= 2 * ETF_DEPTH_MAX);
        marks[depth] = 0;
        stack[depth++] = left;
        left = children;
    }
}

const uint8_t *key_skip(const uint8_t *p, const uint8_t *end, size_t count)
{
    return skip(p, end, count, NULL, NULL);
}

const uint8_t *key_note_maps(const uint8_t *p, const uint8_t *end,
                             const uint8_t *start, uint16_t *keys_end)
{
    return skip(p, end, 1, start, keys_end);
}

/* Behind the trailer at `p`. */
static const uint8_t *skip_trailer(const uint8_t *p)
{
    p++;
    while (*p != KEY_TRAILER_END)
        p += *p < KEY_TIE_LONG ? 1 + KEY_TIE_LONG - *p : 1;
    return p + 1;
}

/* The general way of key_size(). */
static size_t size_of_any(struct bytes key)
{
    const uint8_t *end = key.data + key.size;
    const uint8_t *p = key_skip(key.data, end, 1);

    if (p < end && *p == KEY_TRAILER)
        p = skip_trailer(p);
    return (size_t)(p - key.data);
}

size_t key_size(struct bytes key)
{
    uint8_t first = key.data[0];
    size_t size = fixed_size[first];

    /* Behind a fixed size only a fraction or a trailer is this large. */
    if (__builtin_expect(size != 0, 1)) {
        if (size < key.size && key.data[size] >= KEY_ABOVE)
            return size_of_any(key);
        return size;
    }
    if (first == KEY_BITS ||
        (first >= KEY_ATOM_BELOW_FALSE && first <= KEY_ATOM_ABOVE_TRUE))
        return (size_t)(skip_string(key.data + 1, key.data + key.size) -
                        key.data);
    return size_of_any(key);
}

enum status key_encode_u64(uint64_t value, struct buffer *out)
{
    enum status st = buffer_reserve(out, 9);

    if (st < 0)
        return st;
    out->size = (size_t)(key_put_u64(out->data + out->size, value) - out->data);
    return ST_OK;
}

bool key_decode_u64(struct bytes key, uint64_t *ret_value)
{
    uint8_t first;

    if (key.size == 0)
        return false;
    first = key.data[0];
    if (first < KEY_ZERO || first >= KEY_BIG_POSITIVE ||
        key.size != fixed_size[first])
        return false;
    *ret_value = first <= KEY_127
                     ? (uint64_t)(first - KEY_ZERO)
                     : load_be_some(key.data + 1, first - KEY_POSITIVE);
    return true;
}
