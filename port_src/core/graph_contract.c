/*
 * graph_contract.c -- many vertices as one, and back.
 *
 *     a --3--> x        contract {a, b} to s,      s --8--> x
 *     b --5--> x        values of edges: sum       contracted: s -> {Members,
 *     a -----> b                                     Edges}, all that went
 *
 * What the super-vertex stands for is kept with the graph as one term, every
 * member with its value, labels and what it stood for itself, and every edge
 * that was at one. To expand it is to delete it and put all of that again, and
 * so the graph is what it was, as long as the other ends of the edges are
 * there.
 *
 *     contracted = {[{V, Value, Labels, nil | contracted}],
 *                   [{From, To, Label, Value}]}
 */
#include <math.h>
#include <stdlib.h>

#include "core/etf.h"
#include "core/graph_internal.h"

static enum status fail(struct graph_writer *writer, enum status st,
                        const char *text, struct bytes key)
{
    return store_fail(writer->store, st, text, table_name(writer->table), key);
}

/* --- merging values ------------------------------------------------------- */

/* What has been seen of the values of elements that become one. */
struct merged {
    const struct graph_options *options; /* NULL: those of vertices */
    enum merge_rule rule;
    uint64_t count;
    uint64_t numbers;
    struct bytes first;
    bool exact; /* `whole` is the result so far; else `real` */
    int64_t whole;
    double real;
};

static bool term_whole(struct bytes term, int64_t *ret)
{
    if (term.data[0] == ETF_SMALL_INTEGER)
        *ret = term.data[1];
    else if (term.data[0] == ETF_INTEGER)
        *ret = (int32_t)load_be32(term.data + 1);
    else if (term.data[0] == ETF_SMALL_BIG && term.data[1] <= 8) {
        uint64_t size = 0;

        for (unsigned i = term.data[1]; i > 0; i--)
            size = size << 8 | term.data[2 + i];
        if (size > INT64_MAX)
            return false;
        *ret = term.data[2] ? -(int64_t)size : (int64_t)size;
    } else {
        return false;
    }
    return true;
}

/* The number in a value: itself, or what the graph takes as a weight. */
static bool value_number(const struct merged *merged, struct bytes *term,
                         double *ret)
{
    static const struct graph_options plain = {.weight = WEIGHT_VALUE};
    const struct graph_options *options = merged->options;

    if (!options || options->weight != WEIGHT_KEY)
        return graph_weight(&plain, *term, ret);
    if (!graph_weight(options, *term, ret))
        return false;
    graph_weight_term(options, term);
    return true;
}

/* Is the one number below the other? Whole ones are compared as such. */
static bool is_below(bool exact, int64_t whole, double real, int64_t other,
                     double other_real)
{
    return exact ? whole < other : real < other_real;
}

static void merge_number(struct merged *merged, bool is_whole, int64_t whole,
                         double real)
{
    bool exact = merged->exact && is_whole;

    if (!merged->numbers++) {
        merged->exact = is_whole;
        merged->whole = whole;
        merged->real = real;
        return;
    }
    switch (merged->rule) {
    case MERGE_SUM:
        merged->exact =
            merged->exact && is_whole &&
            !__builtin_add_overflow(merged->whole, whole, &merged->whole);
        merged->real += real;
        break;
    case MERGE_MIN:
    case MERGE_MAX:
        if (merged->rule == MERGE_MIN
                ? is_below(exact, whole, real, merged->whole, merged->real)
                : is_below(exact, merged->whole, merged->real, whole, real)) {
            merged->exact = is_whole;
            merged->whole = whole;
            merged->real = real;
        }
        break;
    default:
        break;
    }
}

/* One value more; false if the rule wants a number and it is none. */
static bool merge(struct merged *merged, struct bytes value)
{
    int64_t whole = 0;
    bool is_whole;
    double real;

    if (!merged->count++)
        merged->first = value;
    if (merged->rule == MERGE_FIRST || merged->rule == MERGE_COUNT ||
        merged->rule == MERGE_PUT || graph_is_nil(value))
        return true;
    if (!value_number(merged, &value, &real))
        return false;
    is_whole = term_whole(value, &whole);
    merge_number(merged, is_whole, whole, real);
    return true;
}

static enum status put_i64(struct buffer *out, int64_t value)
{
    uint8_t big[11] = {ETF_SMALL_BIG, 8, value < 0};
    uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;

    if (value >= 0)
        return etf_put_u64(out, size);
    for (unsigned i = 0; i < 8; i++)
        big[3 + i] = (uint8_t)(size >> (8 * i));
    while (big[1] > 1 && !big[2 + big[1]])
        big[1]--;
    return buffer_append(out, bytes_of(big, 3u + big[1]));
}

/* ST_BAD_ARGUMENT for a sum that no term can hold. */
static enum status put_number(struct buffer *out, const struct merged *merged)
{
    uint8_t real[9] = {ETF_NEW_FLOAT};
    uint64_t bits;

    if (merged->exact)
        return put_i64(out, merged->whole);
    if (!isfinite(merged->real))
        return ST_BAD_ARGUMENT;
    memcpy(&bits, &merged->real, sizeof(bits));
    store_be64(real + 1, bits);
    return buffer_append(out, bytes_of(real, sizeof(real)));
}

/* The value of what they become. */
static enum status merge_result(const struct merged *merged, struct bytes put,
                                struct buffer *out)
{
    enum status st = ST_OK;

    out->size = 0;
    switch (merged->rule) {
    case MERGE_PUT:
        return buffer_append(out, put);
    case MERGE_COUNT:
        if (merged->options && merged->options->weight == WEIGHT_KEY) {
            struct merged count = *merged;

            count.rule = MERGE_SUM;
            count.numbers = 1;
            count.exact = true;
            count.whole = (int64_t)merged->count;
            return merge_result(&count, put, out);
        }
        return etf_put_u64(out, merged->count);
    case MERGE_FIRST:
        return buffer_append(out, merged->first);
    default:
        break;
    }
    if (!merged->numbers)
        return buffer_append(out, graph_nil);
    if (merged->options && merged->options->weight == WEIGHT_KEY) {
        st = etf_put_map(out, 1);
        if (st == ST_OK)
            st = buffer_append(out, merged->options->weight_key);
    }
    return st < 0 ? st : put_number(out, merged);
}

/* --- gathering ------------------------------------------------------------ */

/* Edges that become one have the same of these: where it leads to, the key of
 * the other end, that of the label. */
enum { FROM_SUPER, TO_SUPER, LOOP };

struct item {
    size_t key;
    size_t key_size;
    size_t other_size;
    size_t value;
    size_t value_size;
    const struct buffer *keys;
    const struct buffer *values;
};

struct contraction {
    struct graph_writer *writer;
    struct graph graph;
    const struct contract_rules *rules;
    struct mem *mem;
    uint64_t *ids; /* of the members, ascending */
    size_t id_count;
    uint32_t edge_count;
    struct buffer members; /* terms, in a row */
    struct buffer edges;   /* the same */
    struct buffer keys;    /* of items */
    struct buffer values;  /* of items */
    struct buffer items;
    struct buffer scratch;
    struct buffer labels; /* keys of all labels of members, sizes before them */
    size_t label_count;
    struct merged value; /* of the super-vertex */
    struct buffer first; /* what it may point to */
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool is_member(const struct contraction *c, uint64_t id)
{
    return bsearch(&id, c->ids, c->id_count, sizeof(id), by_id) != NULL;
}

/* {From, To, Label, Value}, and what the edge becomes. */
static enum status gather_edge(struct contraction *c, uint64_t from,
                               const struct graph_arc *arc)
{
    bool inner = is_member(c, from) && is_member(c, arc->other);
    bool outwards = is_member(c, from);
    struct item item = {.key = c->keys.size, .value = c->values.size};
    uint8_t kind = inner ? LOOP : outwards ? FROM_SUPER : TO_SUPER;
    struct bytes ends[2], label, value;
    enum status st;

    if (!graph_vertex(&c->graph, from, &ends[0]) ||
        !graph_vertex(&c->graph, arc->other, &ends[1]) ||
        !graph_label(&c->graph, arc->label, &label))
        return ST_LOG_REFUSED;
    value = graph_arc_value(&c->graph, GRAPH_OUT, from, arc);
    st = etf_put_tuple(&c->edges, 4);
    if (st == ST_OK)
        st = buffer_append(&c->edges, ends[0]);
    if (st == ST_OK)
        st = buffer_append(&c->edges, ends[1]);
    if (st == ST_OK)
        st = buffer_append(&c->edges, label);
    if (st == ST_OK)
        st = buffer_append(&c->edges, value);
    c->edge_count++;
    if (st < 0 || (inner && !c->rules->keep_loops))
        return st;

    st = buffer_append(&c->keys, bytes_of(&kind, 1));
    if (st == ST_OK && !inner)
        st = key_encode(ends[outwards], &c->keys);
    item.other_size = c->keys.size - item.key - 1;
    if (st == ST_OK)
        st = key_encode(label, &c->keys);
    item.key_size = c->keys.size - item.key;
    if (st == ST_OK)
        st = buffer_append(&c->values, value);
    item.value_size = value.size;
    item.keys = &c->keys;
    item.values = &c->values;
    return st < 0 ? st
                  : buffer_append(&c->items, bytes_of(&item, sizeof(item)));
}

static enum status gather_edges(struct contraction *c, uint64_t id)
{
    struct tree_entry entry = {.buffer = BUFFER(c->mem)};
    enum status st = ST_OK;

    for (int side = GRAPH_OUT; st == ST_OK && side <= GRAPH_IN; side++) {
        struct graph_arcs arcs;
        bool found = true;

        graph_arcs_init(&arcs, &c->graph, (enum graph_part)side, id,
                        GRAPH_LABEL_ANY, &entry);
        while (st == ST_OK) {
            struct graph_arc arc;

            st = graph_arcs_next(&arcs, &arc, &found);
            if (st < 0 || !found)
                break;
            if (side == GRAPH_OUT) {
                st = gather_edge(c, id, &arc);
            } else if (!is_member(c, arc.other)) { /* else seen from there */
                struct graph_arc turned = {id, arc.label};

                st = gather_edge(c, arc.other, &turned);
            }
        }
    }
    buffer_free(&entry.buffer);
    return st;
}

static enum status gather_label(void *context, uint64_t id)
{
    struct contraction *c = context;
    size_t start = c->labels.size;
    uint8_t size[4] = {0};
    struct bytes term;
    enum status st = buffer_append(&c->labels, bytes_of(size, sizeof(size)));

    if (st == ST_OK && !graph_label(&c->graph, id, &term))
        st = ST_LOG_REFUSED;
    if (st == ST_OK)
        st = key_encode(term, &c->labels);
    if (st < 0)
        return st;
    store_be32(c->labels.data + start,
               (uint32_t)(c->labels.size - start - sizeof(size)));
    c->label_count++;
    return ST_OK;
}

/* {V, Value, Labels, nil | contracted} */
static enum status gather_member(struct contraction *c, struct bytes key,
                                 uint64_t id)
{
    struct tree_entry entry = {.buffer = BUFFER(c->mem)};
    struct bytes value = graph_vertex_value(&c->graph, id);
    struct bytes vertex, inner;
    enum status st;

    if (!graph_vertex(&c->graph, id, &vertex))
        return ST_LOG_REFUSED;
    if (!graph_contracted(&c->graph, key, &inner))
        inner = graph_nil;
    st = etf_put_tuple(&c->members, 4);
    if (st == ST_OK)
        st = buffer_append(&c->members, vertex);
    if (st == ST_OK)
        st = buffer_append(&c->members, value);
    if (st == ST_OK)
        st = graph_put_labels_of(&c->graph, id, &c->scratch, &c->members);
    if (st == ST_OK)
        st = buffer_append(&c->members, inner);
    if (st == ST_OK)
        st = graph_each_label(&c->graph, id, &entry, gather_label, c);
    buffer_free(&entry.buffer);
    if (st == ST_OK && !c->value.count)
        st = buffer_append(&c->first, value);
    if (st == ST_OK && !merge(&c->value, value))
        st = fail(c->writer, ST_BAD_ARGUMENT,
                  "the rule for values wants numbers, and the value of a "
                  "member is none",
                  key);
    return st;
}

static enum status gather(struct contraction *c, struct bytes super,
                          const struct bytes *members, size_t count)
{
    bool super_is_member = false;
    uint64_t id;
    enum status st = ST_OK;

    for (size_t i = 0; i < count; i++) {
        if (!graph_find(&c->graph, members[i], &c->ids[i]))
            return fail(c->writer, ST_NO_VERTEX, NULL, members[i]);
        super_is_member |= bytes_equal(members[i], super);
    }
    if (!super_is_member && graph_find(&c->graph, super, &id))
        return fail(c->writer, ST_BAD_ARGUMENT,
                    "the super-vertex is there already and is no member",
                    super);
    for (size_t i = 0; st == ST_OK && i < count; i++)
        st = gather_member(c, members[i], c->ids[i]);
    if (st < 0)
        return st;
    qsort(c->ids, count, sizeof(*c->ids), by_id);
    c->id_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!i || c->ids[i] != c->ids[c->id_count - 1])
            c->ids[c->id_count++] = c->ids[i];
    if (c->id_count != count)
        return fail(c->writer, ST_BAD_ARGUMENT,
                    "a member is there twice in the list", super);
    for (size_t i = 0; st == ST_OK && i < c->id_count; i++)
        st = gather_edges(c, c->ids[i]);
    return st;
}

/* --- contracting -----------------------------------------------------------
 */

static struct bytes item_key(const struct item *item)
{
    return bytes_of(item->keys->data + item->key, item->key_size);
}

/* Those with the same key in the order in which they were found. */
static int by_key(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    int order = bytes_compare(item_key(x), item_key(y));

    return order ? order : (x->key > y->key) - (x->key < y->key);
}

static const char not_finite[] = "the sum of the values is not finite";

static enum status put_merged(struct contraction *c, struct bytes super,
                              const struct item *item,
                              const struct merged *merged)
{
    struct bytes key = item_key(item);
    struct bytes other = bytes_of(key.data + 1, item->other_size);
    struct bytes label =
        bytes_of(other.data + other.size, key.size - 1 - other.size);
    enum outcome outcome;
    enum status st = merge_result(merged, c->rules->put_edges, &c->scratch);

    if (st < 0)
        return st;
    return graph_put_edge(c->writer, key.data[0] == TO_SUPER ? other : super,
                          key.data[0] == FROM_SUPER ? other : super, label,
                          buffer_bytes(&c->scratch), &outcome);
}

static enum status put_edges(struct contraction *c, struct bytes super)
{
    struct item *items = (struct item *)(void *)c->items.data;
    size_t count = c->items.size / sizeof(*items);
    enum status st = ST_OK;

    if (count)
        qsort(items, count, sizeof(*items), by_key);
    for (size_t i = 0, j; st == ST_OK && i < count; i = j) {
        struct merged merged = {.options = &c->graph.options,
                                .rule = c->rules->edges};

        for (j = i;
             j < count && bytes_equal(item_key(&items[i]), item_key(&items[j]));
             j++) {
            struct bytes value =
                bytes_of(c->values.data + items[j].value, items[j].value_size);

            if (!merge(&merged, value))
                return fail(c->writer, ST_BAD_ARGUMENT,
                            "the rule for edges wants numbers, and the value "
                            "of one is none",
                            super);
        }
        st = put_merged(c, super, &items[i], &merged);
    }
    return st;
}

static enum status put_super(struct contraction *c, struct bytes super)
{
    struct bytes *labels;
    const uint8_t *at = c->labels.data;
    enum outcome outcome;
    enum status st;

    labels = mem_alloc(c->mem, (c->label_count + 1) * sizeof(*labels));
    if (!labels)
        return mem_status(c->mem);
    for (size_t i = 0; i < c->label_count; i++) {
        labels[i] = bytes_of(at + 4, load_be32(at));
        at += 4 + labels[i].size;
    }
    c->value.first = buffer_bytes(&c->first);
    st = merge_result(&c->value, c->rules->put_value, &c->scratch);
    if (st == ST_BAD_ARGUMENT)
        st = fail(c->writer, st, not_finite, super);
    if (st == ST_OK)
        st = graph_put_vertex(c->writer, super, buffer_bytes(&c->scratch),
                              labels, c->label_count, &outcome);
    mem_free(c->mem, labels, (c->label_count + 1) * sizeof(*labels));
    return st;
}

/* A list of terms that stand in a row. */
static enum status put_list(struct buffer *out, uint32_t count,
                            const struct buffer *terms)
{
    enum status st = etf_put_list(out, count);

    if (st == ST_OK)
        st = buffer_append(out, buffer_bytes(terms));
    return st < 0 ? st : etf_put_nil(out);
}

/* What is kept must fit into a record of a checkpoint, and into a reply. */
static enum status check_term(struct graph_writer *writer, struct bytes super,
                              struct bytes term)
{
    size_t size;

    if (term.size > GRAPH_CONTRACTED_BYTES_MAX)
        return fail(writer, ST_TOO_BIG,
                    "what the vertex would stand for takes more than 24 MiB; "
                    "contract less at once",
                    super);
    if (etf_validate(term, &size, NULL) == ST_TOO_DEEP)
        return fail(writer, ST_TOO_DEEP,
                    "contractions would stand in one another more than about "
                    "330 deep; contract the members in one step",
                    super);
    return ST_OK;
}

static enum status contract(struct contraction *c, struct bytes super,
                            const struct bytes *members, size_t count)
{
    struct buffer *term = &c->scratch;
    enum status st = gather(c, super, members, count);

    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint64_t edges;
        bool deleted;

        st = graph_delete_vertex(c->writer, members[i], &deleted, &edges);
    }
    if (st == ST_OK)
        st = put_super(c, super);
    if (st == ST_OK)
        st = put_edges(c, super);
    if (st < 0)
        return st;
    term->size = 0;
    st = etf_put_tuple(term, 2);
    if (st == ST_OK)
        st = put_list(term, (uint32_t)c->id_count, &c->members);
    if (st == ST_OK)
        st = put_list(term, c->edge_count, &c->edges);
    if (st == ST_OK)
        st = check_term(c->writer, super, buffer_bytes(term));
    if (st == ST_OK)
        st = graph_set_contracted(c->writer, super, buffer_bytes(term));
    return st;
}

enum status graph_contract(struct graph_writer *writer, struct bytes super,
                           const struct bytes *members, size_t count,
                           const struct contract_rules *rules)
{
    struct mem *mem = writer->store->mem;
    struct contraction c = {
        .writer = writer,
        .graph = writer->graph,
        .rules = rules,
        .mem = mem,
        .members = BUFFER(mem),
        .edges = BUFFER(mem),
        .keys = BUFFER(mem),
        .values = BUFFER(mem),
        .items = BUFFER(mem),
        .scratch = BUFFER(mem),
        .labels = BUFFER(mem),
        .first = BUFFER(mem),
        .value = {.rule = rules->value},
    };
    enum status st;

    if (!count)
        return fail(writer, ST_BAD_ARGUMENT, "there are no members", super);
    c.ids = mem_alloc(mem, count * sizeof(*c.ids));
    if (!c.ids)
        return mem_status(mem);
    st = contract(&c, super, members, count);
    mem_free(mem, c.ids, count * sizeof(*c.ids));
    buffer_free(&c.members);
    buffer_free(&c.edges);
    buffer_free(&c.keys);
    buffer_free(&c.values);
    buffer_free(&c.items);
    buffer_free(&c.scratch);
    buffer_free(&c.labels);
    buffer_free(&c.first);
    return st;
}

/* --- expanding -------------------------------------------------------------
 */

/* A list of our own making: how many elements, and the first of them. */
static uint32_t list_length(const uint8_t **at)
{
    uint32_t count;

    if (**at == ETF_NIL)
        return 0;
    count = load_be32(*at + 1);
    *at += 5;
    return count;
}

static struct bytes take_term(const uint8_t **at)
{
    struct bytes term = bytes_of(*at, etf_size(*at));

    *at += term.size;
    return term;
}

/* Puts the member at `at` again, and what it stood for. */
static enum status restore_member(struct graph_writer *writer,
                                  const uint8_t **at, struct buffer *keys)
{
    struct bytes labels[GRAPH_VERTEX_LABELS_MAX];
    size_t ends[GRAPH_VERTEX_LABELS_MAX + 1];
    struct bytes value, list, inner, vertex;
    const uint8_t *label;
    uint32_t count;
    enum outcome outcome;
    enum status st;

    *at += 2; /* a tuple */
    keys->size = 0;
    st = key_encode(take_term(at), keys);
    ends[0] = keys->size;
    value = take_term(at);
    list = take_term(at);
    inner = take_term(at);
    label = list.data;
    count = list_length(&label);
    REQUIRE(count <= GRAPH_VERTEX_LABELS_MAX);
    for (uint32_t i = 0; st == ST_OK && i < count; i++) {
        st = key_encode(take_term(&label), keys);
        ends[i + 1] = keys->size;
    }
    if (st < 0)
        return st;
    for (uint32_t i = 0; i < count; i++)
        labels[i] = bytes_of(keys->data + ends[i], ends[i + 1] - ends[i]);
    vertex = bytes_of(keys->data, ends[0]);
    st = graph_put_vertex(writer, vertex, value, labels, count, &outcome);
    if (st == ST_OK && !graph_is_nil(inner))
        st = graph_set_contracted(writer, vertex, inner);
    return st;
}

static enum status restore_edge(struct graph_writer *writer, const uint8_t **at,
                                struct buffer *keys)
{
    const struct graph *graph = &writer->graph;
    struct bytes parts[3];
    size_t ends[4] = {0};
    enum outcome outcome;
    uint64_t id;
    enum status st = ST_OK;

    *at += 2;
    keys->size = 0;
    for (int i = 0; st == ST_OK && i < 3; i++) {
        st = key_encode(take_term(at), keys);
        ends[i + 1] = keys->size;
    }
    if (st < 0)
        return st;
    for (int i = 0; i < 3; i++)
        parts[i] = bytes_of(keys->data + ends[i], ends[i + 1] - ends[i]);
    for (int i = 0; i < 2; i++)
        if (!graph_find(graph, parts[i], &id))
            return fail(writer, ST_NO_VERTEX,
                        "an edge cannot be put back, for its other end is no "
                        "longer there: expand or put that first",
                        parts[i]);
    return graph_put_edge(writer, parts[0], parts[1], parts[2], take_term(at),
                          &outcome);
}

enum status graph_expand(struct graph_writer *writer, struct bytes super,
                         uint64_t *ret_members)
{
    struct mem *mem = writer->store->mem;
    const struct graph *graph = &writer->graph;
    struct buffer term = BUFFER(mem);
    struct buffer keys = BUFFER(mem);
    struct bytes found;
    const uint8_t *at;
    uint32_t count;
    uint64_t edges;
    bool deleted;
    enum status st;

    if (!graph_contracted(graph, super, &found))
        return fail(writer, ST_NOT_FOUND,
                    "the vertex stands for no others, or is not there", super);
    st = buffer_append(&term, found);
    if (st == ST_OK)
        st = graph_delete_vertex(writer, super, &deleted, &edges);
    at = term.data + 2;
    if (st == ST_OK) {
        count = list_length(&at);
        *ret_members = count;
        for (; st == ST_OK && count > 0; count--)
            st = restore_member(writer, &at, &keys);
        at++; /* the end of the list: there is a member at least */
    }
    if (st == ST_OK)
        for (count = list_length(&at); st == ST_OK && count > 0; count--)
            st = restore_edge(writer, &at, &keys);
    buffer_free(&keys);
    buffer_free(&term);
    return st;
}
