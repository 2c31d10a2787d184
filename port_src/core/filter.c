/*
 * filter.c -- a condition as a row of nodes, each before those within it.
 *
 *     {'and', [{'>', key, 7}, {'not', {in, {element, 2, value}, [a, b]}}]}
 *
 *     nodes      0 AND  1 COMPARE >  2 NOT  3 IN
 *     end          4      2            4      4      behind what is within
 *     steps                                 element 2
 *     constants           7                 a b      sorted, of one list
 *
 * A node that is decided early goes on at its end, so evaluating needs no
 * more than the C stack, FILTER_DEPTH_MAX frames of it.
 *
 * Every term of the condition is encoded once. An operand that is a whole key
 * is encoded already, and one memcmp() decides. What lies within a value is an
 * external term, which would have to be encoded for each element; but two
 * *plain* terms, which are most of those that anybody compares, have an order
 * that is seen at once:
 *
 *     integers of 64 bits  <  atoms  <  []  <  binaries
 *
 * Only where one of the two is not plain the other way is taken. Whoever adds
 * a kind of plain term must see that a term has the same order both ways, that
 * it is plain in each of its external forms or compared by its encoding then,
 * and that a term too large to be a key is not plain.
 *
 * An operand within a key is taken out of the key's external form, which is
 * made once for each element that needs it.
 */
#include "core/filter.h"

#include <stdlib.h>

#include "core/etf.h"
#include "core/key.h"

enum node_kind { NODE_COMPARE, NODE_IN, NODE_AND, NODE_OR, NODE_NOT };

enum comparison {
    IS_EQUAL,
    IS_DIFFERENT,
    IS_LESS,
    IS_LESS_OR_EQUAL,
    IS_GREATER,
    IS_GREATER_OR_EQUAL,
};

enum base { BASE_KEY, BASE_VALUE };

struct node {
    uint8_t kind;
    uint8_t comparison;
    uint8_t base;
    uint32_t end;
    uint32_t first_step;
    uint32_t step_count;
    uint32_t first_constant;
    uint32_t constant_count;
};

/* Into a tuple, or with `element` 0 into a map. */
struct step {
    uint64_t element;
    struct bytes key; /* of the map, a term */
    uint32_t constant;
};

/* Binaries up to this are keys, whatever bytes they hold. */
#define PLAIN_BINARY_MAX ((KEY_BYTES_MAX - 8) / 2)

enum plain_kind {
    PLAIN_NOT, /* first: the other kinds are in the order of terms */
    PLAIN_INTEGER,
    PLAIN_ATOM,
    PLAIN_NIL,
    PLAIN_BINARY,
};

struct plain {
    enum plain_kind kind;
    int64_t integer;
    struct bytes text;
};

struct constant {
    struct bytes key; /* lies in `keys` once all are there */
    struct plain plain;
    size_t offset; /* of `key` in `keys` */
};

struct filter {
    struct mem *mem;
    struct buffer nodes;
    struct buffer steps;
    struct buffer constants;
    struct buffer keys;
    uint32_t node_count; /* operands' steps count, too */
    const char *why;
    bool uses[2]; /* by enum base */

    filter_check *check;
    void *context;
    size_t work_max;
    size_t work; /* since the last check */

    /* The element of the moment. */
    const struct filter_element *element;
    struct buffer decoded[2]; /* by enum base; empty: not yet */
    struct buffer encoded;
};

/* What an operand comes to: an encoded key, or the place of a term, or
 * neither, if it does not exist. */
struct operand {
    struct bytes key;
    const uint8_t *term;
    struct plain plain; /* of `term` */
    bool too_large;     /* `term` is no key */
};

/* --- terms -------------------------------------------------------------- */

static struct bytes term_at(const uint8_t *at)
{
    return bytes_of(at, etf_size(at));
}

/* The header of a tuple of `*ret_arity`; its elements stand at `*at` then. */
static bool term_tuple(const uint8_t **at, uint32_t *ret_arity)
{
    if (**at == ETF_SMALL_TUPLE) {
        *ret_arity = (*at)[1];
        *at += 2;
        return true;
    }
    if (**at == ETF_LARGE_TUPLE) {
        *ret_arity = load_be32(*at + 1);
        *at += 5;
        return true;
    }
    return false;
}

/* The name of an atom. Latin-1 is as good as UTF-8 for names in ASCII. */
static bool term_atom(const uint8_t *at, struct bytes *ret)
{
    if (*at == ETF_SMALL_ATOM_UTF8 || *at == ETF_SMALL_ATOM)
        *ret = bytes_of(at + 2, at[1]);
    else if (*at == ETF_ATOM_UTF8 || *at == ETF_ATOM)
        *ret = bytes_of(at + 3, load_be16(at + 1));
    else
        return false;
    return true;
}

/* An integer of 64 bits with a sign. */
static bool term_integer(const uint8_t *at, int64_t *ret)
{
    uint64_t size, value = 0;
    const uint8_t *digits = at + 3;

    if (*at == ETF_SMALL_INTEGER) {
        *ret = at[1];
        return true;
    }
    if (*at == ETF_INTEGER) {
        *ret = (int32_t)load_be32(at + 1);
        return true;
    }
    if (*at != ETF_SMALL_BIG)
        return false;
    for (size = at[1]; size > 0 && !digits[size - 1]; size--)
        ;
    if (size > 8)
        return false;
    for (uint64_t i = size; i > 0; i--)
        value = value << 8 | digits[i - 1];
    if (at[2] ? value > (uint64_t)INT64_MAX + 1 : value > INT64_MAX)
        return false;
    *ret = (int64_t)(at[2] ? 0 - value : value);
    return true;
}

static struct plain term_plain(const uint8_t *at)
{
    struct plain plain = {.kind = PLAIN_NOT};

    switch (*at) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
    case ETF_SMALL_BIG:
        if (term_integer(at, &plain.integer))
            plain.kind = PLAIN_INTEGER;
        break;
    case ETF_SMALL_ATOM_UTF8:
    case ETF_ATOM_UTF8:
        plain.kind = PLAIN_ATOM;
        term_atom(at, &plain.text);
        break;
    case ETF_NIL:
        plain.kind = PLAIN_NIL;
        break;
    case ETF_BINARY:
        plain.text = bytes_of(at + 5, load_be32(at + 1));
        if (plain.text.size <= PLAIN_BINARY_MAX)
            plain.kind = PLAIN_BINARY;
        break;
    default:
        break;
    }
    return plain;
}

static int plain_compare(const struct plain *a, const struct plain *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == PLAIN_INTEGER)
        return (a->integer > b->integer) - (a->integer < b->integer);
    return bytes_compare(a->text, b->text);
}

/* --- compiling ---------------------------------------------------------- */

static enum status bad(struct filter *filter, const char *why)
{
    filter->why = why;
    return ST_BAD_ARGUMENT;
}

static struct node *node_at(const struct filter *filter, uint32_t index)
{
    return (struct node *)(void *)filter->nodes.data + index;
}

static uint32_t node_count(const struct filter *filter)
{
    return (uint32_t)(filter->nodes.size / sizeof(struct node));
}

static struct constant *constant_at(const struct filter *filter, uint32_t index)
{
    return (struct constant *)(void *)filter->constants.data + index;
}

static uint32_t constant_count(const struct filter *filter)
{
    return (uint32_t)(filter->constants.size / sizeof(struct constant));
}

static uint32_t step_count(const struct filter *filter)
{
    return (uint32_t)(filter->steps.size / sizeof(struct step));
}

/* One more condition or operand at this depth. */
static enum status compile_count(struct filter *filter, unsigned depth)
{
    if (depth > FILTER_DEPTH_MAX)
        return bad(filter, "a condition may be 32 levels deep at most");
    if (++filter->node_count > FILTER_NODES_MAX)
        return bad(filter, "a condition may have 1,000 parts at most");
    return ST_OK;
}

static enum status compile_constant(struct filter *filter, struct bytes term)
{
    struct constant constant = {
        .plain = term_plain(term.data),
        .offset = filter->keys.size,
    };
    enum status st = key_encode(term, &filter->keys);

    if (st == ST_BAD_TERM)
        return bad(filter, "a map in it holds the same key twice");
    if (st == ST_TOO_BIG)
        filter->why = "a term in it is larger than a key may be";
    if (st < 0)
        return st;
    constant.key.size = filter->keys.size - constant.offset;
    return buffer_append(&filter->constants,
                         bytes_of(&constant, sizeof(constant)));
}

/* The operand at `at`: its base, and its steps, innermost first. */
static enum status compile_operand(struct filter *filter, const uint8_t *at,
                                   unsigned depth, enum base *ret_base)
{
    static const char text[] = "an operand is key, value, {element, N, "
                               "Operand} or {map_get, Key, Operand}";
    struct step step = {.element = 0};
    struct bytes word;
    int64_t element;
    uint32_t arity;
    enum status st = compile_count(filter, depth);

    if (st < 0)
        return st;
    if (term_atom(at, &word)) {
        *ret_base = bytes_equal(word, BYTES("key")) ? BASE_KEY : BASE_VALUE;
        filter->uses[*ret_base] = true;
        return *ret_base == BASE_KEY || bytes_equal(word, BYTES("value"))
                   ? ST_OK
                   : bad(filter, text);
    }
    if (!term_tuple(&at, &arity) || arity != 3 || !term_atom(at, &word))
        return bad(filter, text);
    step.key = term_at(at + etf_size(at));
    st = compile_operand(filter, step.key.data + step.key.size, depth + 1,
                         ret_base);
    if (st < 0)
        return st;
    if (bytes_equal(word, BYTES("element"))) {
        if (!term_integer(step.key.data, &element) || element < 1)
            return bad(filter, "elements of a tuple are counted from 1");
        step.element = (uint64_t)element;
    } else if (bytes_equal(word, BYTES("map_get"))) {
        step.constant = constant_count(filter);
        st = compile_constant(filter, step.key);
    } else {
        return bad(filter, text);
    }
    if (st < 0)
        return st;
    return buffer_append(&filter->steps, bytes_of(&step, sizeof(step)));
}

/* What is done with one element of a list. */
typedef enum status each_function(struct filter *filter, struct bytes term,
                                  unsigned depth);

/* A STRING stands for a list of integers of one byte each. */
static enum status each_character(struct filter *filter, struct bytes string,
                                  unsigned depth, each_function *each)
{
    enum status st = ST_OK;

    for (size_t i = 0; i < string.size && st == ST_OK; i++) {
        const uint8_t integer[2] = {ETF_SMALL_INTEGER, string.data[i]};

        st = each(filter, bytes_of(integer, sizeof(integer)), depth);
    }
    return st;
}

/* Calls `each` for the elements of the list at `at`, whose tail may be
 * another list. */
static enum status each_element(struct filter *filter, const uint8_t *at,
                                unsigned depth, each_function *each)
{
    while (*at == ETF_LIST) {
        uint32_t left = load_be32(at + 1);

        for (at += 5; left > 0; left--) {
            struct bytes term = term_at(at);
            enum status st = each(filter, term, depth);

            if (st < 0)
                return st;
            at += term.size;
        }
    }
    if (*at == ETF_STRING)
        return each_character(filter, bytes_of(at + 3, load_be16(at + 1)),
                              depth, each);
    return *at == ETF_NIL ? ST_OK
                          : bad(filter, "it takes a list where this is none");
}

static enum status each_constant(struct filter *filter, struct bytes term,
                                 unsigned depth)
{
    (void)depth;
    if (constant_count(filter) >= FILTER_TERMS_MAX) {
        filter->why = "lists of `in` may hold 100,000 terms at most";
        return ST_TOO_BIG;
    }
    return compile_constant(filter, term);
}

/* Begins a node whose last field to be known is `end`. */
static enum status node_begin(struct filter *filter, const struct node *node)
{
    return buffer_append(&filter->nodes, bytes_of(node, sizeof(*node)));
}

/* {Operator, Operand, Term}: `at` stands on the operand. */
static enum status compile_comparison(struct filter *filter, const uint8_t *at,
                                      unsigned depth, struct node *node)
{
    enum base base;
    enum status st;

    node->first_step = step_count(filter);
    st = compile_operand(filter, at, depth + 1, &base);
    if (st < 0)
        return st;
    node->base = (uint8_t)base;
    node->step_count = step_count(filter) - node->first_step;
    node->first_constant = constant_count(filter);
    at += etf_size(at);
    if (node->kind == NODE_IN)
        st = each_element(filter, at, depth, each_constant);
    else
        st = compile_constant(filter, term_at(at));
    node->constant_count = constant_count(filter) - node->first_constant;
    node->end = node_count(filter) + 1;
    return st < 0 ? st : node_begin(filter, node);
}

/* What a word at the head of a condition says of its node. */
static bool node_of_word(struct bytes word, uint32_t arity, struct node *ret)
{
    static const struct {
        const char *word;
        uint8_t arity;
        uint8_t kind;
        uint8_t comparison;
    } words[] = {
        {"=:=", 3, NODE_COMPARE, IS_EQUAL},
        {"=/=", 3, NODE_COMPARE, IS_DIFFERENT},
        {"<", 3, NODE_COMPARE, IS_LESS},
        {"=<", 3, NODE_COMPARE, IS_LESS_OR_EQUAL},
        {">", 3, NODE_COMPARE, IS_GREATER},
        {">=", 3, NODE_COMPARE, IS_GREATER_OR_EQUAL},
        {"in", 3, NODE_IN, 0},
        {"and", 2, NODE_AND, 0},
        {"or", 2, NODE_OR, 0},
        {"not", 2, NODE_NOT, 0},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *name = words[i].word;

        if (words[i].arity != arity ||
            !bytes_equal(word, bytes_of(name, strlen(name))))
            continue;
        *ret = (struct node){.kind = words[i].kind,
                             .comparison = words[i].comparison};
        return true;
    }
    return false;
}

static enum status compile_condition(struct filter *filter, struct bytes term,
                                     unsigned depth)
{
    static const char text[] =
        "a condition is {Operator, Operand, Term} with one of =:= =/= < =< > "
        ">=, or {in, Operand, List}, {'and', List}, {'or', List} or {'not', "
        "Condition}";
    const uint8_t *at = term.data;
    uint32_t index = node_count(filter);
    struct bytes word;
    struct node node;
    uint32_t arity;
    enum status st = compile_count(filter, depth);

    if (st < 0)
        return st;
    if (!term_tuple(&at, &arity) || arity == 0 || !term_atom(at, &word) ||
        !node_of_word(word, arity, &node))
        return bad(filter, text);
    at += etf_size(at);
    if (arity == 3)
        return compile_comparison(filter, at, depth, &node);
    st = node_begin(filter, &node);
    if (st == ST_OK && node.kind == NODE_NOT)
        st = compile_condition(filter, term_at(at), depth + 1);
    else if (st == ST_OK)
        st = each_element(filter, at, depth + 1, compile_condition);
    if (st == ST_OK)
        node_at(filter, index)->end = node_count(filter);
    return st;
}

static int constant_order(const void *a, const void *b)
{
    const struct constant *x = a;
    const struct constant *y = b;

    return bytes_compare(x->key, y->key);
}

/* All encodings are there and move no more: points at them, and sorts. */
static void compile_lists(struct filter *filter)
{
    for (uint32_t i = 0; i < constant_count(filter); i++) {
        struct constant *constant = constant_at(filter, i);

        constant->key.data = filter->keys.data + constant->offset;
    }
    for (uint32_t i = 0; i < node_count(filter); i++) {
        const struct node *node = node_at(filter, i);

        if (node->kind == NODE_IN && node->constant_count)
            qsort(constant_at(filter, node->first_constant),
                  node->constant_count, sizeof(struct constant),
                  constant_order);
    }
}

enum status filter_create(struct mem *mem, struct bytes condition,
                          struct filter **ret, const char **ret_why)
{
    struct filter *filter = mem_zalloc(mem, sizeof(*filter));
    enum status st;

    if (!filter)
        return mem_status(mem);
    filter->mem = mem;
    filter->nodes = BUFFER(mem);
    filter->steps = BUFFER(mem);
    filter->constants = BUFFER(mem);
    filter->keys = BUFFER(mem);
    filter->decoded[BASE_KEY] = BUFFER(mem);
    filter->decoded[BASE_VALUE] = BUFFER(mem);
    filter->encoded = BUFFER(mem);
    st = compile_condition(filter, condition, 1);
    if (st < 0) {
        *ret_why = filter->why;
        filter_free(filter);
        return st;
    }
    compile_lists(filter);
    *ret = filter;
    return ST_OK;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    buffer_free(&filter->nodes);
    buffer_free(&filter->steps);
    buffer_free(&filter->constants);
    buffer_free(&filter->keys);
    buffer_free(&filter->decoded[BASE_KEY]);
    buffer_free(&filter->decoded[BASE_VALUE]);
    buffer_free(&filter->encoded);
    mem_free(filter->mem, filter, sizeof(*filter));
}

void filter_set_check(struct filter *filter, size_t work, filter_check *check,
                      void *context)
{
    filter->work = 0;
    filter->work_max = work;
    filter->check = check;
    filter->context = context;
}

bool filter_uses_key(const struct filter *filter)
{
    return filter->uses[BASE_KEY];
}

bool filter_uses_value(const struct filter *filter)
{
    return filter->uses[BASE_VALUE];
}

/* --- operands ----------------------------------------------------------- */

/* So much more was looked at. */
static enum status filter_worked(struct filter *filter, size_t work)
{
    filter->work += work;
    if (filter->work <= filter->work_max || !filter->check)
        return ST_OK;
    filter->work = 0;
    return filter->check(filter->context);
}

/* The term that an encoded key or partner stands for. */
static enum status decode(struct filter *filter, enum base base,
                          struct bytes key, const uint8_t **ret)
{
    struct buffer *decoded = &filter->decoded[base];

    if (decoded->size == 0) {
        enum status st = key_decode(key, decoded);

        if (st < 0)
            return st;
        filter->work += decoded->size;
    }
    *ret = decoded->data;
    return ST_OK;
}

/* Appends nothing, and tells so, if the term is no key. */
static enum status encode(struct filter *filter, const uint8_t *term,
                          bool *ret_too_large)
{
    struct bytes bytes = term_at(term);
    enum status st;

    filter->encoded.size = 0;
    filter->work += bytes.size;
    st = key_encode(bytes, &filter->encoded);
    *ret_too_large = st == ST_TOO_BIG || st == ST_BAD_TERM;
    return *ret_too_large ? ST_OK : st;
}

/* Can no form of a plain term have this tag? */
static bool tag_is_never_plain(uint8_t tag)
{
    switch (tag) {
    case ETF_SMALL_TUPLE:
    case ETF_LARGE_TUPLE:
    case ETF_MAP:
    case ETF_NEW_FLOAT:
    case ETF_FLOAT:
        return true;
    default:
        return false;
    }
}

/* Is the key of a map at `at` that of the step? */
static enum status step_is_key(struct filter *filter, const struct step *step,
                               struct bytes term, bool *ret)
{
    const struct constant *constant = constant_at(filter, step->constant);
    struct plain plain;
    bool too_large;
    enum status st;

    *ret = bytes_equal(term, step->key);
    if (*ret)
        return ST_OK;
    if (constant->plain.kind) {
        plain = term_plain(term.data);
        *ret = plain.kind && plain_compare(&plain, &constant->plain) == 0;
        if (plain.kind || tag_is_never_plain(*term.data))
            return ST_OK;
    }
    st = encode(filter, term.data, &too_large);
    *ret = st == ST_OK && !too_large &&
           bytes_equal(buffer_bytes(&filter->encoded), constant->key);
    return st;
}

/* Moves `*at`, a term, to what the step takes out of it; NULL: nothing. */
static enum status step_take(struct filter *filter, const struct step *step,
                             const uint8_t **at)
{
    const uint8_t *term = *at;
    uint32_t count;

    *at = NULL;
    if (step->element) {
        if (!term_tuple(&term, &count) || step->element > count)
            return ST_OK;
        for (uint64_t left = step->element - 1; left > 0; left--)
            term += etf_size(term);
        *at = term;
        return ST_OK;
    }
    if (*term != ETF_MAP)
        return ST_OK;
    count = load_be32(term + 1);
    for (term += 5; count > 0 && !*at; count--) {
        struct bytes key = term_at(term);
        bool found;
        enum status st = step_is_key(filter, step, key, &found);

        if (st < 0)
            return st;
        term += key.size;
        if (found)
            *at = term;
        else
            term += etf_size(term);
    }
    return ST_OK;
}

/* What the operand of a node is in the element of the moment. */
static enum status operand_find(struct filter *filter, const struct node *node,
                                struct operand *ret)
{
    const struct filter_element *element = filter->element;
    const struct step *steps =
        (const struct step *)(const void *)filter->steps.data +
        node->first_step;
    const uint8_t *term = NULL;
    enum status st = ST_OK;

    *ret = (struct operand){.too_large = false};
    ret->key = node->base == BASE_KEY ? element->key : element->partner;
    if (node->base == BASE_VALUE)
        term = element->value.data;
    if (ret->key.data && node->step_count) {
        st = decode(filter, node->base, ret->key, &term);
        ret->key = bytes_of(NULL, 0);
    }
    for (uint32_t i = 0; i < node->step_count && term && st == ST_OK; i++) {
        const uint8_t *from = term;

        st = step_take(filter, &steps[i], &term);
        filter->work += term ? (size_t)(term - from) : 0;
    }
    if (st < 0)
        return st;
    ret->term = term;
    if (term)
        ret->plain = term_plain(term);
    return filter_worked(filter, 1);
}

static bool operand_exists(const struct operand *operand)
{
    return operand->key.data || operand->term;
}

/* Their order; of no meaning if the operand turns out to be too large. */
static enum status operand_compare(struct filter *filter,
                                   struct operand *operand,
                                   const struct constant *constant, int *ret)
{
    enum status st = ST_OK;

    *ret = 0;
    if (!operand->key.data) {
        if (operand->plain.kind && constant->plain.kind) {
            *ret = plain_compare(&operand->plain, &constant->plain);
            return ST_OK;
        }
        st = encode(filter, operand->term, &operand->too_large);
        if (st < 0 || operand->too_large)
            return st;
        operand->key = buffer_bytes(&filter->encoded);
    }
    *ret = bytes_compare(operand->key, constant->key);
    return ST_OK;
}

/* --- evaluating --------------------------------------------------------- */

static bool comparison_holds(enum comparison comparison, int order)
{
    switch (comparison) {
    case IS_EQUAL:
        return order == 0;
    case IS_DIFFERENT:
        return order != 0;
    case IS_LESS:
        return order < 0;
    case IS_LESS_OR_EQUAL:
        return order <= 0;
    case IS_GREATER:
        return order > 0;
    case IS_GREATER_OR_EQUAL:
    default:
        return order >= 0;
    }
}

static enum status match_comparison(struct filter *filter,
                                    const struct node *node, bool *ret)
{
    const struct constant *constant = constant_at(filter, node->first_constant);
    struct operand operand;
    int order;
    enum status st = operand_find(filter, node, &operand);

    *ret = false;
    if (st < 0 || !operand_exists(&operand))
        return st;
    /* Values of other types are the usual reason for `=:=` to be false. */
    if (node->comparison == IS_EQUAL && constant->plain.kind && operand.term &&
        tag_is_never_plain(*operand.term))
        return ST_OK;
    st = operand_compare(filter, &operand, constant, &order);
    *ret = st == ST_OK && !operand.too_large &&
           comparison_holds(node->comparison, order);
    return st;
}

static enum status match_in(struct filter *filter, const struct node *node,
                            bool *ret)
{
    uint32_t low = node->first_constant;
    uint32_t high = low + node->constant_count;
    struct operand operand;
    enum status st = operand_find(filter, node, &operand);

    *ret = false;
    if (!operand_exists(&operand))
        return st;
    while (st == ST_OK && low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order;

        st = operand_compare(filter, &operand, constant_at(filter, middle),
                             &order);
        if (st < 0 || operand.too_large)
            return st;
        if (order == 0) {
            *ret = true;
            return ST_OK;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return st;
}

static enum status match_node(struct filter *filter, uint32_t index, bool *ret)
{
    const struct node *node = node_at(filter, index);
    bool decides = node->kind == NODE_OR;
    enum status st;

    switch (node->kind) {
    case NODE_COMPARE:
        return match_comparison(filter, node, ret);
    case NODE_IN:
        return match_in(filter, node, ret);
    case NODE_NOT:
        st = match_node(filter, index + 1, ret);
        *ret = !*ret;
        return st;
    default:
        for (uint32_t i = index + 1; i < node->end;
             i = node_at(filter, i)->end) {
            st = match_node(filter, i, ret);
            if (st < 0 || *ret == decides)
                return st;
        }
        *ret = !decides;
        return filter_worked(filter, 1);
    }
}

enum status filter_match(struct filter *filter,
                         const struct filter_element *element, bool *ret)
{
    filter->element = element;
    filter->decoded[BASE_KEY].size = 0;
    filter->decoded[BASE_VALUE].size = 0;
    return match_node(filter, 0, ret);
}
