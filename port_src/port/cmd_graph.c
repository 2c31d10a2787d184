/*
 * cmd_graph.c -- commands that change the vertices and edges of a graph.
 *
 * Each answers {Outcome, Evicted, Cascade} as the mutations of tables do, read
 * off the change list: what a graph has noted there are its elements.
 */
#include "core/etf.h"
#include "core/graph.h"
#include "port/call.h"

enum status call_graph_table(struct call *call)
{
    enum status st = call_table(call);

    if (st == ST_OK && table_type(call->table) != TABLE_GRAPH)
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "only a table of the type graph has vertices and "
                         "edges");
    return st;
}

enum status call_graph_source(struct call *call, struct sources *ret)
{
    enum status st = call_source(call, ret);

    if (st == ST_OK && !ret->is_graph)
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "only a table of the type graph has vertices and "
                         "edges");
    return st;
}

static enum status call_writer(struct call *call, struct graph_writer *ret)
{
    enum status st = call_graph_table(call);

    call->side = SIDE_FWD;
    return st < 0 ? st : graph_writer_open(call->store, call->table, ret);
}

static const char *outcome_word(enum outcome outcome)
{
    static const char *const words[] = {"inserted", "updated", "exists"};

    return words[outcome];
}

/* --- vertices ------------------------------------------------------------- */

/* A vertex as it is to be. */
struct vertex {
    struct bytes key;
    struct bytes value;
    struct bytes *labels;
    size_t label_count;
};

static const char labels_text[] =
    "the labels of a vertex are a list of at most 1000 terms";

/* Labels as keys: their bytes in scratch, and `room` for what points there. */
static enum status take_labels(struct call *call, struct reader *reader,
                               struct bytes *room, size_t *ret_count)
{
    struct buffer *bytes = call_scratch(call, SCRATCH_TO);
    size_t ends[GRAPH_VERTEX_LABELS_MAX];
    struct list list;
    size_t count = 0;
    size_t start = 0;
    enum status st;

    if (!reader_list(reader, &list))
        return call_bad(call, labels_text);
    if (list.left > GRAPH_VERTEX_LABELS_MAX)
        return call_bad(call, labels_text);
    while (list.left > 0) {
        st = key_encode(reader_term(list_next(&list)), bytes);
        if (st < 0)
            return call_bad(call, "a label is larger than a key may be");
        ends[count++] = bytes->size;
    }
    if (!list_close(&list))
        return call_bad(call, labels_text);
    for (size_t i = 0; i < count; i++) {
        room[i] = bytes_of(bytes->data + start, ends[i] - start);
        start = ends[i];
    }
    *ret_count = count;
    return ST_OK;
}

/* V, Value and Labels, from where `reader` stands. */
static enum status take_vertex(struct call *call, struct reader *reader,
                               bool alone, struct vertex *ret)
{
    enum status st = call_encode(call, reader, SCRATCH_KEY, &ret->key);

    ret->value = graph_nil;
    ret->label_count = 0;
    if (st < 0 || alone)
        return st;
    ret->value = reader_term(reader);
    return take_labels(call, reader, ret->labels, &ret->label_count);
}

static enum status vertex_arguments(struct call *call, struct vertex *ret)
{
    enum status st;

    call->argument += 3;
    st = take_vertex(call, &call->args, false, ret);
    return st;
}

enum status cmd_put_vertex(struct call *call)
{
    struct bytes labels[GRAPH_VERTEX_LABELS_MAX];
    struct vertex vertex = {.labels = labels};
    struct graph_writer writer;
    enum outcome outcome;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = vertex_arguments(call, &vertex);
    if (st == ST_OK)
        st = graph_put_vertex(&writer, vertex.key, vertex.value, vertex.labels,
                              vertex.label_count, &outcome);
    return st < 0 ? st : call_put_outcome(call, outcome_word(outcome));
}

/* Fails with the vertex that is not there. */
static enum status no_vertex(struct call *call, struct bytes key)
{
    call->complaint.key = key;
    return ST_NO_VERTEX;
}

enum status cmd_update_vertex(struct call *call)
{
    struct bytes labels[GRAPH_VERTEX_LABELS_MAX];
    struct vertex vertex = {.labels = labels};
    struct graph_writer writer;
    struct graph graph;
    enum outcome outcome;
    uint64_t id;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = vertex_arguments(call, &vertex);
    if (st == ST_OK)
        st = graph_open(call->store, call->table, &graph);
    if (st == ST_OK && !graph_find(&graph, vertex.key, &id))
        st = no_vertex(call, vertex.key);
    if (st == ST_OK)
        st = graph_put_vertex(&writer, vertex.key, vertex.value, vertex.labels,
                              vertex.label_count, &outcome);
    return st < 0 ? st : call_put_outcome(call, outcome_word(outcome));
}

/* One element of a list: {V, Value, Labels}, or V. */
static enum status put_listed_vertex(struct call *call,
                                     struct graph_writer *writer,
                                     struct reader *item, struct bytes *labels,
                                     uint64_t *count)
{
    struct vertex vertex = {.labels = labels};
    struct reader inner = *item;
    enum outcome outcome;
    enum status st;

    if (reader_tuple_of(&inner, 3)) {
        reader_term(item);
        st = take_vertex(call, &inner, false, &vertex);
    } else {
        st = take_vertex(call, item, true, &vertex);
    }
    if (st == ST_OK)
        st = graph_put_vertex(writer, vertex.key, vertex.value, vertex.labels,
                              vertex.label_count, &outcome);
    *count += st == ST_OK && outcome != OUTCOME_EXISTS;
    return st;
}

enum status cmd_put_vertices(struct call *call)
{
    struct bytes labels[GRAPH_VERTEX_LABELS_MAX];
    struct graph_writer writer;
    struct list list;
    uint64_t count = 0;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    for (int64_t i = 0; list.left > 0; i++) {
        st = put_listed_vertex(call, &writer, list_next(&list), labels, &count);
        if (st < 0) {
            call->complaint.position = i;
            return st;
        }
        call_tick(call, (uint64_t)i);
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    return call_put_count(call, count);
}

enum status cmd_delete_vertex(struct call *call)
{
    struct graph_writer writer;
    struct bytes key;
    uint64_t edges;
    bool deleted;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_key(call, &key);
    if (st == ST_OK)
        st = graph_delete_vertex(&writer, key, &deleted, &edges);
    return st < 0 ? st : call_put_outcome(call, deleted ? "deleted" : "absent");
}

enum status cmd_delete_vertices(struct call *call)
{
    struct graph_writer writer;
    struct list list;
    uint64_t count = 0;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    for (int64_t i = 0; list.left > 0; i++) {
        struct bytes key;
        uint64_t edges;
        bool deleted = false;

        st = call_encode(call, list_next(&list), SCRATCH_KEY, &key);
        if (st == ST_OK)
            st = graph_delete_vertex(&writer, key, &deleted, &edges);
        if (st < 0) {
            call->complaint.position = i;
            return st;
        }
        count += deleted;
        call_tick(call, (uint64_t)i);
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    return call_put_count(call, count);
}

/* --- edges ---------------------------------------------------------------- */

/* The names of an edge, as keys in scratch. */
struct edge {
    struct bytes from;
    struct bytes to;
    struct bytes label;
    struct bytes value;
};

static enum status nil_key(struct call *call, struct bytes *ret)
{
    struct buffer *scratch = call_scratch(call, SCRATCH_TO);
    enum status st = key_encode(graph_nil, scratch);

    *ret = buffer_bytes(scratch);
    return st;
}

/* From, To and, as far as there are, Label and Value. */
static enum status take_edge(struct call *call, struct reader *reader,
                             uint32_t arity, struct edge *ret)
{
    enum status st = call_encode(call, reader, SCRATCH_FIRST, &ret->from);

    if (st == ST_OK)
        st = call_encode(call, reader, SCRATCH_SECOND, &ret->to);
    if (st < 0)
        return st;
    st = arity > 2 ? call_encode(call, reader, SCRATCH_TO, &ret->label)
                   : nil_key(call, &ret->label);
    ret->value = graph_nil;
    if (st == ST_OK && arity > 3)
        ret->value = reader_term(reader);
    return st;
}

static enum status edge_arguments(struct call *call, uint32_t arity,
                                  struct edge *ret)
{
    call->argument += arity;
    return take_edge(call, &call->args, arity, ret);
}

enum status cmd_put_edge(struct call *call)
{
    struct graph_writer writer;
    enum outcome outcome;
    struct edge edge;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = edge_arguments(call, 4, &edge);
    if (st == ST_OK)
        st = graph_put_edge(&writer, edge.from, edge.to, edge.label, edge.value,
                            &outcome);
    return st < 0 ? st : call_put_outcome(call, outcome_word(outcome));
}

static bool edge_exists(const struct graph *graph, const struct edge *edge)
{
    struct bytes value;
    uint64_t ids[3];

    return graph_find(graph, edge->from, &ids[0]) &&
           graph_find(graph, edge->to, &ids[1]) &&
           graph_find_label(graph, edge->label, &ids[2]) &&
           graph_find_edge(graph, ids[0], ids[1], ids[2], &value);
}

enum status cmd_update_edge(struct call *call)
{
    struct graph_writer writer;
    struct graph graph;
    enum outcome outcome;
    struct edge edge;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = edge_arguments(call, 4, &edge);
    if (st == ST_OK)
        st = graph_open(call->store, call->table, &graph);
    if (st == ST_OK && !edge_exists(&graph, &edge)) {
        call->complaint.key = edge.from;
        st = call_fail(call, ST_NOT_FOUND, "the graph has no such edge");
    }
    if (st == ST_OK)
        st = graph_put_edge(&writer, edge.from, edge.to, edge.label, edge.value,
                            &outcome);
    return st < 0 ? st : call_put_outcome(call, outcome_word(outcome));
}

/* The edges of a list as keys in one scratch buffer, and where they are. */
struct parsed {
    struct graph_edge *edges;
    size_t count;
    size_t room;
};

/* Sizes stand in for places while the buffer grows. */
static enum status parse_key(struct call *call, struct reader *reader,
                             struct buffer *keys, struct bytes *ret)
{
    size_t start = keys->size;
    enum status st = call_encode_to(call, reader, keys);

    *ret = bytes_of(NULL, keys->size - start);
    return st;
}

static enum status parse_edge(struct call *call, struct reader *item,
                              struct buffer *keys, struct graph_edge *ret)
{
    uint32_t arity;
    enum status st;

    if (!reader_tuple(item, &arity) || arity < 2 || arity > 4)
        return call_bad(call,
                        "an edge is {From, To}, {From, To, Label} or {From, "
                        "To, Label, Value}");
    *ret = (struct graph_edge){.value = graph_nil};
    st = parse_key(call, item, keys, &ret->from);
    if (st == ST_OK)
        st = parse_key(call, item, keys, &ret->to);
    if (st == ST_OK && arity > 2)
        st = parse_key(call, item, keys, &ret->label);
    if (st == ST_OK && arity > 3)
        ret->value = reader_term(item);
    return st;
}

static enum status parse_edges(struct call *call, struct list *list,
                               struct parsed *ret)
{
    struct buffer *keys = call_scratch(call, SCRATCH_FIRST);
    const uint8_t *at;

    while (list->left > 0) {
        enum status st =
            parse_edge(call, list_next(list), keys, &ret->edges[ret->count]);

        if (st < 0) {
            call->complaint.position = (int64_t)ret->count;
            return st;
        }
        call_tick(call, ret->count++);
    }
    if (!list_close(list))
        return call_bad(call, "must be a proper list");
    at = keys->data;
    for (size_t i = 0; i < ret->count; i++) {
        struct graph_edge *edge = &ret->edges[i];

        edge->from.data = at;
        edge->to.data = at + edge->from.size;
        at += edge->from.size + edge->to.size;
        if (edge->label.size) {
            edge->label.data = at;
            at += edge->label.size;
        } else {
            edge->label = graph_nil_key;
        }
    }
    return ST_OK;
}

enum status cmd_put_edges(struct call *call)
{
    struct mem *mem = call->commands->mem;
    struct parsed parsed = {.count = 0};
    struct graph_writer writer;
    struct list list;
    uint64_t count = 0;
    size_t index = 0;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    parsed.room = (size_t)list.left + 1;
    parsed.edges = mem_alloc(mem, parsed.room * sizeof(*parsed.edges));
    if (!parsed.edges)
        return ST_NO_MEMORY;
    st = parse_edges(call, &list, &parsed);
    if (st == ST_OK) {
        st = graph_put_edges(&writer, parsed.edges, parsed.count, &count,
                             &index);
        if (st < 0)
            call->complaint.position = (int64_t)index;
    }
    mem_free(mem, parsed.edges, parsed.room * sizeof(*parsed.edges));
    return st < 0 ? st : call_put_count(call, count);
}

static enum status delete_one(struct graph_writer *writer,
                              const struct edge *edge, bool *ret_deleted)
{
    return graph_delete_edge(writer, edge->from, edge->to, edge->label,
                             ret_deleted);
}

enum status cmd_delete_edge(struct call *call)
{
    struct graph_writer writer;
    struct edge edge;
    bool deleted;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = edge_arguments(call, 3, &edge);
    if (st == ST_OK)
        st = delete_one(&writer, &edge, &deleted);
    return st < 0 ? st : call_put_outcome(call, deleted ? "deleted" : "absent");
}

enum status cmd_delete_edges(struct call *call)
{
    struct graph_writer writer;
    struct list list;
    uint64_t count = 0;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    for (int64_t i = 0; list.left > 0; i++) {
        struct reader *item = list_next(&list);
        struct edge edge;
        uint32_t arity;
        bool deleted = false;

        if (!reader_tuple(item, &arity) || arity < 2 || arity > 3)
            st = call_bad(call, "an edge is {From, To} or {From, To, Label}");
        else
            st = take_edge(call, item, arity, &edge);
        if (st == ST_OK)
            st = delete_one(&writer, &edge, &deleted);
        if (st < 0) {
            call->complaint.position = i;
            return st;
        }
        count += deleted;
        call_tick(call, (uint64_t)i);
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    return call_put_count(call, count);
}

/* --- many vertices as one --------------------------------------------------
 */

static const char rules_text[] =
    "must be a map: value and edges => first | count | sum | min | max | {put, "
    "Term}, loops => drop | keep";

static enum status take_rule(struct call *call, enum merge_rule *ret,
                             struct bytes *ret_term)
{
    static const char *const words[] = {"first", "count", "sum", "min", "max"};
    struct bytes word;

    if (reader_tuple_of(&call->args, 2)) {
        if (!reader_atom(&call->args, &word) ||
            !bytes_equal(word, BYTES("put")))
            return call_bad(call, rules_text);
        *ret = MERGE_PUT;
        *ret_term = reader_term(&call->args);
        return ST_OK;
    }
    if (!reader_atom(&call->args, &word))
        return call_bad(call, rules_text);
    for (unsigned i = 0; i < 5; i++)
        if (bytes_equal(word, bytes_of(words[i], strlen(words[i])))) {
            *ret = (enum merge_rule)i;
            return ST_OK;
        }
    return call_bad(call, rules_text);
}

static enum status take_rules(struct call *call, struct contract_rules *ret)
{
    uint32_t count;
    enum status st = ST_OK;

    *ret = (struct contract_rules){.value = MERGE_FIRST,
                                   .edges = MERGE_FIRST,
                                   .put_value = graph_nil,
                                   .put_edges = graph_nil};
    call->argument++;
    if (!reader_map(&call->args, &count))
        return call_bad(call, rules_text);
    while (count-- > 0 && st == ST_OK) {
        struct bytes name, word;

        if (!reader_atom(&call->args, &name))
            return call_bad(call, rules_text);
        if (bytes_equal(name, BYTES("value"))) {
            st = take_rule(call, &ret->value, &ret->put_value);
        } else if (bytes_equal(name, BYTES("edges"))) {
            st = take_rule(call, &ret->edges, &ret->put_edges);
        } else if (bytes_equal(name, BYTES("loops")) &&
                   reader_atom(&call->args, &word)) {
            ret->keep_loops = bytes_equal(word, BYTES("keep"));
            if (!ret->keep_loops && !bytes_equal(word, BYTES("drop")))
                return call_bad(call, rules_text);
        } else {
            return call_bad(call, rules_text);
        }
    }
    return st;
}

/* The members as keys, in one scratch buffer, and a block of what points
 * there. */
static enum status take_members(struct call *call, struct bytes **ret,
                                size_t *ret_count)
{
    struct mem *mem = call->commands->mem;
    struct buffer *bytes = call_scratch(call, SCRATCH_SECOND);
    struct bytes *members;
    struct list list;
    size_t count = 0;
    size_t start = 0;
    enum status st = call_list(call, &list);

    if (st < 0)
        return st;
    *ret_count = list.left;
    members = mem_alloc(mem, (*ret_count + 1) * sizeof(*members));
    if (!members)
        return ST_NO_MEMORY;
    while (st == ST_OK && list.left > 0) {
        st = key_encode(reader_term(list_next(&list)), bytes);
        if (st == ST_TOO_BIG)
            st = call_bad(call, "a member is larger than a key may be");
        members[count].size = bytes->size - start;
        start = bytes->size;
        count++;
    }
    if (st == ST_OK && !list_close(&list))
        st = call_bad(call, "must be a proper list");
    if (st < 0) {
        mem_free(mem, members, (*ret_count + 1) * sizeof(*members));
        return st;
    }
    for (size_t i = 0, at = 0; i < count; at += members[i++].size)
        members[i].data = bytes->data + at;
    *ret = members;
    return ST_OK;
}

enum status cmd_contract(struct call *call)
{
    struct contract_rules rules;
    struct graph_writer writer;
    struct bytes super;
    struct bytes *members;
    size_t count;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_key(call, &super);
    if (st == ST_OK)
        st = take_members(call, &members, &count);
    if (st < 0)
        return st;
    st = take_rules(call, &rules);
    if (st == ST_OK)
        st = graph_contract(&writer, super, members, count, &rules);
    mem_free(call->commands->mem, members, (count + 1) * sizeof(*members));
    return st < 0 ? st : call_put_outcome(call, "contracted");
}

enum status cmd_expand(struct call *call)
{
    struct graph_writer writer;
    struct bytes super;
    uint64_t count;
    enum status st = call_writer(call, &writer);

    if (st == ST_OK)
        st = call_key(call, &super);
    if (st == ST_OK)
        st = graph_expand(&writer, super, &count);
    return st < 0 ? st : call_put_count(call, count);
}
