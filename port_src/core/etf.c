/*
 * etf.c -- one pass over a term that nobody has looked at yet.
 *
 * The walk keeps how many terms the innermost open container still wants and
 * a stack of the same number for the containers around it:
 *
 *     {a, [1, {b, 2}]}      at the 2:   left = 1
 *                                       stack = [ 1 (its outer list's tail),
 *                                                 1 (the outer tuple),
 *                                                 1 (the whole) ]
 *
 * A leaf takes one from `left`; at 0 the container is complete, which makes
 * it in turn one term less to its parent. So there is no recursion for a
 * term of a million brackets to exhaust, only a bound on the stack.
 *
 * Every length is compared with the bytes that remain before it moves the
 * cursor, and every count of children with the same bytes before it is
 * believed, for a child takes at least one. An arity of four thousand
 * million is therefore refused where it stands, not after as many steps.
 *
 * A fun is the one container that states its size in bytes; its frame keeps
 * its tag's address so that the claim is checked when its last free variable
 * is done.
 *
 * etf_size() needs neither stack nor checks: terms that are to come are only
 * counted, all levels together.
 */
#include "core/etf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define ATOM_CHARS_MAX 255
#define REFERENCE_WORDS_MAX 5

/* The size of NEW_FUN up to its module: tag, size, arity, uniq, index, free. */
#define FUN_HEAD_BYTES 30

/* In the forms with a creation of one byte, OTP takes two bits of it. */
#define TINY_CREATION_MAX 3

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* Valid UTF-8 without surrogates, of at most ATOM_CHARS_MAX characters? */
static bool atom_text_valid(const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size;
    size_t chars = 0;

    while (p < end) {
        uint32_t c = *p;
        uint32_t least;
        unsigned more;

        chars++;
        if (LIKELY(c < 0x80)) {
            p++;
            continue;
        }
        if (c >= 0xC2 && c <= 0xDF) {
            more = 1;
            least = 0x80;
            c &= 0x1F;
        } else if (c >= 0xE0 && c <= 0xEF) {
            more = 2;
            least = 0x800;
            c &= 0x0F;
        } else if (c >= 0xF0 && c <= 0xF4) {
            more = 3;
            least = 0x10000;
            c &= 0x07;
        } else {
            return false;
        }
        if ((size_t)(end - p) <= more)
            return false;
        p++;
        for (; more > 0; more--, p++) {
            if ((*p & 0xC0) != 0x80)
                return false;
            c = c << 6 | (*p & 0x3F);
        }
        if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
            return false;
    }
    return chars <= ATOM_CHARS_MAX;
}

/* Where the atom at `in` ends, or NULL if there is no valid one. */
static const uint8_t *atom_end(const uint8_t *in, const uint8_t *end)
{
    size_t head;
    size_t size;
    bool utf8;

    if (end - in < 3) /* only the empty atom of a short form is smaller */
        return end - in == 2 && in[1] == 0 &&
                       (*in == ETF_SMALL_ATOM || *in == ETF_SMALL_ATOM_UTF8)
                   ? end
                   : NULL;
    switch (*in) {
    case ETF_SMALL_ATOM_UTF8:
    case ETF_SMALL_ATOM:
        utf8 = *in == ETF_SMALL_ATOM_UTF8;
        size = in[1];
        head = 2;
        break;
    case ETF_ATOM_UTF8:
    case ETF_ATOM:
        utf8 = *in == ETF_ATOM_UTF8;
        size = load_be16(in + 1);
        head = 3;
        break;
    default:
        return NULL;
    }
    if ((size_t)(end - in) - head < size)
        return NULL;
    if (utf8 ? !atom_text_valid(in + head, size) : size > ATOM_CHARS_MAX)
        return NULL;
    return in + head + size;
}

/* Behind the atom at `in`, `bytes` more; NULL if they are not there. */
static const uint8_t *atom_and_end(const uint8_t *in, const uint8_t *end,
                                   size_t bytes)
{
    in = atom_end(in, end);
    return in && (size_t)(end - in) >= bytes ? in + bytes : NULL;
}

/* `in`, unless the creation of one byte before it is out of range. */
static const uint8_t *tiny_creation(const uint8_t *in, size_t back)
{
    return in && in[-(ptrdiff_t)back] <= TINY_CREATION_MAX ? in : NULL;
}

/* Where the pid, port or reference at `in` ends, or NULL. */
static const uint8_t *identifier_end(const uint8_t *in, const uint8_t *end)
{
    size_t words;

    if (in >= end)
        return NULL;
    switch (*in) {
    case ETF_NEW_PID: /* node, id 4, serial 4, creation 4 */
        return atom_and_end(in + 1, end, 12);
    case ETF_PID: /* node, id 4, serial 4, creation 1 */
        return tiny_creation(atom_and_end(in + 1, end, 9), 1);
    case ETF_V4_PORT: /* node, id 8, creation 4 */
        return atom_and_end(in + 1, end, 12);
    case ETF_NEW_PORT: /* node, id 4, creation 4 */
        return atom_and_end(in + 1, end, 8);
    case ETF_PORT:      /* node, id 4, creation 1 */
    case ETF_REFERENCE: /* the same */
        return tiny_creation(atom_and_end(in + 1, end, 5), 1);
    case ETF_NEW_REFERENCE:   /* words 2, node, creation 1, words of 4 */
    case ETF_NEWER_REFERENCE: /* words 2, node, creation 4, words of 4 */
        if (end - in < 3)
            return NULL;
        words = load_be16(in + 1);
        if (words < 1 || words > REFERENCE_WORDS_MAX)
            return NULL;
        if (*in == ETF_NEWER_REFERENCE)
            return atom_and_end(in + 3, end, 4 + 4 * words);
        return tiny_creation(atom_and_end(in + 3, end, 1 + 4 * words),
                             1 + 4 * words);
    default:
        return NULL;
    }
}

/* Where the SMALL_INTEGER or INTEGER at `in` ends, or NULL. */
static const uint8_t *integer_end(const uint8_t *in, const uint8_t *end)
{
    if (end - in >= 2 && *in == ETF_SMALL_INTEGER)
        return in + 2;
    if (end - in >= 5 && *in == ETF_INTEGER)
        return in + 5;
    return NULL;
}

static const uint8_t *export_end(const uint8_t *in, const uint8_t *end)
{
    in = atom_end(in + 1, end);
    if (in)
        in = atom_end(in, end);
    if (in && end - in >= 5 && *in == ETF_INTEGER)
        return load_be32(in + 1) <= UINT8_MAX ? in + 5 : NULL;
    return in ? integer_end(in, end) : NULL;
}

/*
 * Where the free variables of the fun at `in` begin, how many they are, or
 * NULL. OTP ignores the size; we do not, for etf_size() steps by it.
 */
static const uint8_t *fun_free(const uint8_t *in, const uint8_t *end,
                               uint64_t *ret_count)
{
    const uint8_t *p;

    if (end - in < FUN_HEAD_BYTES || load_be32(in + 1) > (size_t)(end - in) - 1)
        return NULL;
    *ret_count = load_be32(in + FUN_HEAD_BYTES - 4);
    p = atom_end(in + FUN_HEAD_BYTES, end); /* module */
    if (p)
        p = integer_end(p, end); /* old index */
    if (p)
        p = integer_end(p, end); /* old uniq */
    if (p && p < end && (*p == ETF_PID || *p == ETF_NEW_PID))
        return identifier_end(p, end); /* who made it */
    return NULL;
}

static const uint8_t *fun_end(const uint8_t *fun)
{
    return fun + 1 + load_be32(fun + 1);
}

static bool float_finite(const uint8_t *in)
{
    return (load_be64(in) >> 52 & 0x7FF) != 0x7FF;
}

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

bool etf_float_text(const uint8_t *text, double *ret)
{
    char copy[ETF_FLOAT_CHARS + 1];
    char *point;
    const char *p = copy;
    const char *digits;
    double value;

    memcpy(copy, text, ETF_FLOAT_CHARS);
    copy[ETF_FLOAT_CHARS] = '\0';

    /* [+-] digits . digits [e [+-] digits]: strtod() alone takes far more. */
    if (*p == '+' || *p == '-')
        p++;
    digits = p;
    p = skip_digits(p);
    if (p == digits || (*p != '.' && *p != ','))
        return false;
    point = copy + (p - copy);
    *point = '.';
    digits = ++p;
    p = skip_digits(p);
    if (p == digits)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        digits = p;
        p = skip_digits(p);
        if (p == digits)
            return false;
    }
    if (*p != '\0')
        return false;

    /* The program never leaves the C locale, so the point is a point. */
    value = strtod(copy, NULL);
    if (!isfinite(value))
        return false;
    *ret = value;
    return true;
}

/* A container that is not complete: what its own parent had at its start. */
struct level {
    uint64_t left;      /* children that are to come */
    const uint8_t *fun; /* the tag, if the container is a fun */
};

/* `in` moves on by `bytes`, which must be there. */
#define TAKE(bytes)                                                            \
    do {                                                                       \
        size_t take_bytes = (bytes);                                           \
        if ((size_t)(end - in) < take_bytes)                                   \
            goto bad;                                                          \
        in += take_bytes;                                                      \
    } while (0)

/* The tag and `bytes` more must be there. */
#define NEED(bytes)                                                            \
    do {                                                                       \
        if (end - in < 1 + (bytes))                                            \
            goto bad;                                                          \
    } while (0)

enum status etf_validate_within(struct bytes input, unsigned depth_max,
                                size_t *ret_size, size_t *ret_offset)
{
    const uint8_t *in = input.data;
    const uint8_t *end = input.data + input.size;
    const uint8_t *next;
    struct level stack[ETF_RECORD_DEPTH_MAX];
    struct level now = {1, NULL};
    unsigned depth = 0;
    enum status st = ST_BAD_TERM;
    double ignored;

    REQUIRE(depth_max <= ETF_RECORD_DEPTH_MAX);

    for (;;) {
        const uint8_t *fun = NULL;
        uint64_t children = 0;

        NEED(0);
        switch (*in) {
        case ETF_SMALL_INTEGER:
            TAKE(2);
            break;
        case ETF_INTEGER:
            TAKE(5);
            break;
        case ETF_NEW_FLOAT:
            NEED(8);
            if (!float_finite(in + 1))
                goto bad;
            in += 9;
            break;
        case ETF_FLOAT:
            NEED(ETF_FLOAT_CHARS);
            if (!etf_float_text(in + 1, &ignored))
                goto bad;
            in += 1 + ETF_FLOAT_CHARS;
            break;
        case ETF_SMALL_BIG:
            NEED(2);
            if (in[2] > 1)
                goto bad;
            TAKE(3 + (size_t)in[1]);
            break;
        case ETF_LARGE_BIG:
            NEED(5);
            if (in[5] > 1)
                goto bad;
            TAKE(6 + (size_t)load_be32(in + 1));
            break;
        case ETF_SMALL_ATOM_UTF8:
        case ETF_ATOM_UTF8:
        case ETF_SMALL_ATOM:
        case ETF_ATOM:
            next = atom_end(in, end);
            if (!next)
                goto bad;
            in = next;
            break;
        case ETF_BINARY:
            NEED(4);
            TAKE(5 + (size_t)load_be32(in + 1));
            break;
        case ETF_BIT_BINARY:
            /* 1..8 bits of the last byte; 0 if there is none. */
            NEED(5);
            if (load_be32(in + 1) ? in[5] < 1 || in[5] > 8 : in[5] != 0)
                goto bad;
            TAKE(6 + (size_t)load_be32(in + 1));
            break;
        case ETF_STRING:
            NEED(2);
            TAKE(3 + (size_t)load_be16(in + 1));
            break;
        case ETF_NIL:
            in++;
            break;
        case ETF_LIST: /* n elements and the tail; n may be 0 */
            NEED(4);
            children = (uint64_t)load_be32(in + 1) + 1;
            if (children > (size_t)(end - in) - 5)
                goto bad;
            break;
        case ETF_SMALL_TUPLE:
            NEED(1);
            children = in[1];
            if (children > (size_t)(end - in) - 2)
                goto bad;
            if (!children)
                in += 2;
            break;
        case ETF_LARGE_TUPLE:
            NEED(4);
            children = load_be32(in + 1);
            if (children > (size_t)(end - in) - 5)
                goto bad;
            if (!children)
                in += 5;
            break;
        case ETF_MAP:
            NEED(4);
            children = 2 * (uint64_t)load_be32(in + 1);
            if (children > (size_t)(end - in) - 5)
                goto bad;
            if (!children)
                in += 5;
            break;
        case ETF_NEW_PID:
        case ETF_PID:
        case ETF_V4_PORT:
        case ETF_NEW_PORT:
        case ETF_PORT:
        case ETF_REFERENCE:
        case ETF_NEW_REFERENCE:
        case ETF_NEWER_REFERENCE:
            next = identifier_end(in, end);
            if (!next)
                goto bad;
            in = next;
            break;
        case ETF_EXPORT:
            next = export_end(in, end);
            if (!next)
                goto bad;
            in = next;
            break;
        case ETF_NEW_FUN:
            next = fun_free(in, end, &children);
            if (!next || children > (size_t)(end - next))
                goto bad;
            if (!children) {
                if (next != fun_end(in))
                    goto bad;
                in = next;
            }
            fun = in;
            break;
        default: /* ETF_COMPRESSED and ETF_FUN among them */
            goto bad;
        }

        if (children) {
            if (depth == depth_max) {
                st = ST_TOO_DEEP;
                goto bad;
            }
            stack[depth++] = now;
            now.left = children;
            now.fun = fun;
            if (fun)
                in = next;
            else
                in += *in == ETF_SMALL_TUPLE ? 2 : 5;
            continue;
        }
        while (--now.left == 0) {
            if (now.fun && fun_end(now.fun) != in) {
                in = now.fun;
                goto bad;
            }
            if (depth == 0) {
                *ret_size = (size_t)(in - input.data);
                return ST_OK;
            }
            now = stack[--depth];
        }
    }

bad:
    if (ret_offset)
        *ret_offset = (size_t)(in - input.data);
    return st;
}

/* The size of an atom that is known to be one. */
static size_t atom_size(const uint8_t *in)
{
    if (*in == ETF_SMALL_ATOM_UTF8 || *in == ETF_SMALL_ATOM)
        return 2 + (size_t)in[1];
    return 3 + (size_t)load_be16(in + 1);
}

enum status etf_validate(struct bytes input, size_t *ret_size,
                         size_t *ret_offset)
{
    return etf_validate_within(input, ETF_DEPTH_MAX, ret_size, ret_offset);
}

size_t etf_size(const uint8_t *term)
{
    return etf_size_bounded(term, SIZE_MAX);
}

size_t etf_size_bounded(const uint8_t *term, size_t count_max)
{
    const uint8_t *in = term;
    size_t left = 1; /* terms to come, all levels together */

    /* The sum of what is to come and what has been seen only ever grows. */
    for (size_t seen = 0; left > 0; left--, seen++) {
        if (left > count_max - seen)
            return 0;
        switch (*in) {
        case ETF_SMALL_INTEGER:
            in += 2;
            break;
        case ETF_INTEGER:
            in += 5;
            break;
        case ETF_NEW_FLOAT:
            in += 9;
            break;
        case ETF_FLOAT:
            in += 1 + ETF_FLOAT_CHARS;
            break;
        case ETF_SMALL_BIG:
            in += 3 + (size_t)in[1];
            break;
        case ETF_LARGE_BIG:
            in += 6 + (size_t)load_be32(in + 1);
            break;
        case ETF_SMALL_ATOM_UTF8:
        case ETF_SMALL_ATOM:
        case ETF_ATOM_UTF8:
        case ETF_ATOM:
            in += atom_size(in);
            break;
        case ETF_BINARY:
            in += 5 + (size_t)load_be32(in + 1);
            break;
        case ETF_BIT_BINARY:
            in += 6 + (size_t)load_be32(in + 1);
            break;
        case ETF_STRING:
            in += 3 + (size_t)load_be16(in + 1);
            break;
        case ETF_NIL:
            in++;
            break;
        case ETF_LIST:
            left += (size_t)load_be32(in + 1) + 1;
            in += 5;
            break;
        case ETF_SMALL_TUPLE:
            left += in[1];
            in += 2;
            break;
        case ETF_LARGE_TUPLE:
            left += load_be32(in + 1);
            in += 5;
            break;
        case ETF_MAP:
            left += 2 * (size_t)load_be32(in + 1);
            in += 5;
            break;
        case ETF_NEW_PID:
        case ETF_V4_PORT:
            in += 13 + atom_size(in + 1);
            break;
        case ETF_PID:
            in += 10 + atom_size(in + 1);
            break;
        case ETF_NEW_PORT:
            in += 9 + atom_size(in + 1);
            break;
        case ETF_PORT:
        case ETF_REFERENCE:
            in += 6 + atom_size(in + 1);
            break;
        case ETF_NEW_REFERENCE:
            in += 4 + 4 * (size_t)load_be16(in + 1) + atom_size(in + 3);
            break;
        case ETF_NEWER_REFERENCE:
            in += 7 + 4 * (size_t)load_be16(in + 1) + atom_size(in + 3);
            break;
        case ETF_EXPORT:
            in += 1 + atom_size(in + 1);
            in += atom_size(in);
            in += *in == ETF_SMALL_INTEGER ? 2 : 5;
            break;
        case ETF_NEW_FUN:
            in = fun_end(in);
            break;
        default:
            REQUIRE(!"an unchecked term");
        }
    }
    return (size_t)(in - term);
}
