/*
 * cmd_graph_read.c -- commands that look at vertices and edges one by one, or
 * page by page.
 *
 * A page goes over the ids of vertices, or over the edges by (from, label,
 * to): its Next is a place in that order, which nobody need understand. Small
 * pages are read on the loop, others on a worker (readings.h).
 */
#include "core/etf.h"
#include "core/filter.h"
#include "core/graph.h"
#include "port/call.h"

static enum status call_graph(struct call *call, struct graph *ret)
{
    enum status st = call_graph_table(call);

    if (st == ST_OK)
        st = graph_open(call->store, call->table, ret);
    if (st == ST_LOG_REFUSED)
        return call_fail(call, st, "a part of the graph is missing");
    return st;
}

/* --- elements ------------------------------------------------------------- */

/* What puts elements into an answer. */
struct putter {
    struct call *call;
    const struct graph *graph;
    struct buffer labels;  /* a list as a term */
    struct buffer scratch; /* of graph_put_labels() */
};

static void putter_init(struct putter *putter, struct call *call,
                        const struct graph *graph)
{
    struct mem *mem = call->commands->mem;

    *putter = (struct putter){call, graph, BUFFER(mem), BUFFER(mem)};
}

static void putter_free(struct putter *putter)
{
    buffer_free(&putter->labels);
    buffer_free(&putter->scratch);
}

static enum status put_vertex(struct putter *putter, uint64_t id,
                              struct bytes vertex)
{
    struct writer *out = putter->call->out;
    enum status st;

    putter->labels.size = 0;
    st = graph_put_labels_of(putter->graph, id, &putter->scratch,
                             &putter->labels);
    if (st < 0)
        return st;
    put_tuple(out, 4);
    put_atom(out, "vertex");
    put_term(out, vertex);
    put_term(out, graph_vertex_value(putter->graph, id));
    put_term(out, buffer_bytes(&putter->labels));
    return writer_status(out);
}

/* In an undirected graph the lesser vertex stands first, as in changes. */
static enum status put_edge(struct putter *putter, uint64_t from,
                            const struct graph_arc *arc)
{
    struct writer *out = putter->call->out;
    struct bytes ends[2], label;
    bool swaps = false;

    if (!graph_vertex(putter->graph, from, &ends[0]) ||
        !graph_vertex(putter->graph, arc->other, &ends[1]) ||
        !graph_label(putter->graph, arc->label, &label))
        return ST_LOG_REFUSED;
    if (putter->graph->options.undirected) {
        struct buffer *keys = &putter->scratch;
        size_t middle;
        enum status st;

        keys->size = 0;
        st = key_encode(ends[0], keys);
        middle = keys->size;
        if (st == ST_OK)
            st = key_encode(ends[1], keys);
        if (st < 0)
            return st;
        swaps = bytes_compare(
                    bytes_of(keys->data, middle),
                    bytes_of(keys->data + middle, keys->size - middle)) > 0;
    }
    put_tuple(out, 5);
    put_atom(out, "edge");
    put_term(out, ends[swaps]);
    put_term(out, ends[!swaps]);
    put_term(out, label);
    put_term(out, graph_arc_value(putter->graph, GRAPH_OUT, from, arc));
    return writer_status(out);
}

/* --- one ------------------------------------------------------------------ */

static enum status put_found(struct putter *putter, struct bytes key)
{
    struct bytes vertex;
    uint64_t id;

    if (!graph_find(putter->graph, key, &id)) {
        put_atom(putter->call->out, "none");
        return writer_status(putter->call->out);
    }
    if (!graph_vertex(putter->graph, id, &vertex))
        return ST_LOG_REFUSED;
    return put_vertex(putter, id, vertex);
}

enum status cmd_get_vertex(struct call *call)
{
    struct putter putter;
    struct graph graph;
    struct bytes key;
    enum status st = call_graph(call, &graph);

    if (st == ST_OK)
        st = call_key(call, &key);
    if (st < 0)
        return st;
    putter_init(&putter, call, &graph);
    st = put_found(&putter, key);
    putter_free(&putter);
    return st;
}

enum status cmd_get_vertices(struct call *call)
{
    struct writer *out = call->out;
    struct putter putter;
    struct graph graph;
    struct list list;
    uint64_t count = 0;
    size_t header;
    enum status st = call_graph(call, &graph);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    putter_init(&putter, call, &graph);
    header = put_list_begin(out);
    while (st == ST_OK && list.left > 0) {
        struct bytes key;

        st = call_encode(call, list_next(&list), SCRATCH_KEY, &key);
        if (st == ST_OK)
            st = put_found(&putter, key);
        count++;
    }
    put_list_end(out, header, count);
    putter_free(&putter);
    if (st == ST_OK && !list_close(&list))
        return call_bad(call, "must be a proper list");
    return st;
}

enum status cmd_has_vertex(struct call *call)
{
    struct graph graph;
    struct bytes key;
    uint64_t id;
    enum status st = call_graph(call, &graph);

    if (st == ST_OK)
        st = call_key(call, &key);
    if (st == ST_OK)
        put_bool(call->out, graph_find(&graph, key, &id));
    return st;
}

/* An edge by its names: `*ret_found`, and its value. A label that is the atom
 * any stands for all of them if `any` is allowed. */
static enum status find_edge(struct call *call, const struct graph *graph,
                             bool *ret_found, struct bytes *ret_value)
{
    struct bytes from, to, label;
    uint64_t ids[3];
    enum status st;

    call->argument += 3;
    st = call_encode(call, &call->args, SCRATCH_FIRST, &from);
    if (st == ST_OK)
        st = call_encode(call, &call->args, SCRATCH_SECOND, &to);
    if (st == ST_OK)
        st = call_encode(call, &call->args, SCRATCH_TO, &label);
    if (st < 0)
        return st;
    *ret_found = graph_find(graph, from, &ids[0]) &&
                 graph_find(graph, to, &ids[1]) &&
                 graph_find_label(graph, label, &ids[2]) &&
                 graph_find_edge(graph, ids[0], ids[1], ids[2], ret_value);
    return ST_OK;
}

enum status cmd_get_edge(struct call *call)
{
    struct graph graph;
    struct bytes value;
    bool found;
    enum status st = call_graph(call, &graph);

    if (st == ST_OK)
        st = find_edge(call, &graph, &found, &value);
    if (st < 0)
        return st;
    if (!found) {
        put_atom(call->out, "none");
        return ST_OK;
    }
    put_tuple(call->out, 2);
    put_atom(call->out, "value");
    put_term(call->out, value);
    return ST_OK;
}

static bool is_any(struct reader label)
{
    struct bytes word;

    return reader_atom(&label, &word) && bytes_equal(word, BYTES("any"));
}

/* The same by a walk over what is at one end, where that is less. */
static enum status walk_to(struct call *call, const struct graph *graph,
                           enum graph_part side, uint64_t from, uint64_t to,
                           bool *ret)
{
    struct tree_entry entry = {.buffer = BUFFER(call->commands->mem)};
    struct graph_arcs arcs;
    struct graph_arc arc;
    bool found = true;
    enum status st = ST_OK;

    graph_arcs_init(&arcs, graph, side, from, GRAPH_LABEL_ANY, &entry);
    while (st == ST_OK && found && !*ret) {
        st = graph_arcs_next(&arcs, &arc, &found);
        *ret = st == ST_OK && found && arc.other == to;
    }
    buffer_free(&entry.buffer);
    return st;
}

/*
 * Is there an edge between two vertices, whatever its label? One search for
 * each label that there is, or one step for each edge at one of them.
 */
static enum status has_any_edge(struct call *call, const struct graph *graph,
                                uint64_t from, uint64_t to, bool *ret)
{
    uint64_t labels = table_count(graph->parts[GRAPH_LABELS]);
    struct bytes value;
    uint64_t out, in;

    *ret = false;
    if (graph->options.undirected && from > to) {
        uint64_t other = from;

        from = to;
        to = other;
    }
    out = graph_degree(graph, GRAPH_OUT, from, GRAPH_LABEL_ANY);
    in = graph_degree(graph, GRAPH_IN, to, GRAPH_LABEL_ANY);
    if (out <= in && out < 8 * labels)
        return walk_to(call, graph, GRAPH_OUT, from, to, ret);
    if (in < out && in < 8 * labels)
        return walk_to(call, graph, GRAPH_IN, to, from, ret);
    for (uint64_t label = 0; label <= labels && !*ret; label++)
        *ret = graph_find_edge(graph, from, to, label, &value);
    return ST_OK;
}

enum status cmd_has_edge(struct call *call)
{
    struct reader label;
    struct graph graph;
    struct bytes from, to, value;
    uint64_t ids[2];
    bool found;
    enum status st = call_graph(call, &graph);

    if (st < 0)
        return st;
    label = call->args;
    reader_term(&label);
    reader_term(&label);
    if (!is_any(label)) {
        st = find_edge(call, &graph, &found, &value);
        if (st == ST_OK)
            put_bool(call->out, found);
        return st;
    }
    call->argument += 3;
    st = call_encode(call, &call->args, SCRATCH_FIRST, &from);
    if (st == ST_OK)
        st = call_encode(call, &call->args, SCRATCH_SECOND, &to);
    reader_term(&call->args);
    if (st < 0)
        return st;
    found = false;
    if (graph_find(&graph, from, &ids[0]) && graph_find(&graph, to, &ids[1]))
        st = has_any_edge(call, &graph, ids[0], ids[1], &found);
    if (st == ST_OK)
        put_bool(call->out, found);
    return st;
}

/* What a super-vertex stands for. */
enum status cmd_contracted(struct call *call)
{
    struct graph graph;
    struct bytes key, term;
    enum status st = call_graph(call, &graph);

    if (st == ST_OK)
        st = call_key(call, &key);
    if (st < 0)
        return st;
    if (graph_contracted(&graph, key, &term))
        put_term(call->out, term);
    else
        put_atom(call->out, "none");
    return ST_OK;
}

/* --- how many ------------------------------------------------------------- */

enum status cmd_vertex_count(struct call *call)
{
    struct bytes label;
    struct graph graph;
    uint64_t id;
    uint64_t count = 0;
    enum status st = call_graph(call, &graph);

    if (st < 0)
        return st;
    if (is_any(call->args)) {
        call_term(call);
        put_u64(call->out, graph_vertex_count(&graph));
        return ST_OK;
    }
    st = call_key(call, &label);
    if (st < 0)
        return st;
    if (graph_find_label(&graph, label, &id) && id)
        count = graph_label_count(&graph, id);
    put_u64(call->out, count);
    return ST_OK;
}

/* Edges of one label are not counted as they come: all are looked at. */
enum status cmd_edge_count(struct call *call)
{
    struct tree_entry entry = {.buffer = BUFFER(call->commands->mem)};
    struct sources sources;
    struct graph_walk walk;
    struct graph_arc arc;
    struct bytes label;
    uint64_t id;
    uint64_t from;
    uint64_t count = 0;
    uint64_t looked = 0;
    bool found = true;
    enum status st = call_graph_source(call, &sources);

    if (st < 0)
        return st;
    if (is_any(call->args)) {
        call_term(call);
        put_u64(call->out, graph_edge_count(&sources.graph));
        return ST_OK;
    }
    st = call_key(call, &label);
    if (st < 0)
        return st;
    if (!graph_find_label(&sources.graph, label, &id)) {
        put_u64(call->out, 0);
        return ST_OK;
    }
    if (graph_edge_count(&sources.graph) > LOOP_ELEMENTS_MAX &&
        reading_possible(call))
        return reading_start(call);
    graph_edges_init(&walk, &sources.graph, 0, NULL, &entry);
    while (st == ST_OK) {
        st = graph_edges_next(&walk, &from, &arc, &found);
        if (st < 0 || !found)
            break;
        count += arc.label == id;
        if (++looked > call->options.rows)
            st = ST_ROW_LIMIT;
        else if (looked % 1024 == 0 && call->reading)
            st = reading_check(call->reading);
    }
    buffer_free(&entry.buffer);
    if (st == ST_OK)
        put_u64(call->out, count);
    return st;
}

/* --- pages ---------------------------------------------------------------- */

/* A page in the making. */
struct page {
    struct call *call;
    struct graph *graph;
    struct putter putter;
    struct tree_entry entry;
    struct filter *filter;
    struct buffer key;  /* what a Condition is told: the key, */
    struct buffer term; /* ... and the term that it is made of */
    uint64_t limit;
    uint64_t looked;
    size_t start;
    bool edges;

    /* The last element that was looked at. */
    uint64_t id;
    struct graph_arc arc;
};

#define PAGE_BYTES (1u << 20)

/* `none`, or {'after', Cursor}: an id, or {From, Label, To} of ids. */
static enum status take_from(struct page *page)
{
    static const char text[] = "must be none, or the Next of a page before";
    struct call *call = page->call;
    struct bytes word;
    int64_t ids[3] = {0};
    bool good;

    call->argument++;
    if (!reader_tuple_of(&call->args, 2)) {
        if (!reader_atom(&call->args, &word) ||
            !bytes_equal(word, BYTES("none")))
            return call_bad(call, text);
        return ST_OK;
    }
    good = reader_atom(&call->args, &word) && bytes_equal(word, BYTES("after"));
    if (good && page->edges)
        good = reader_tuple_of(&call->args, 3) &&
               reader_integer(&call->args, &ids[0]) &&
               reader_integer(&call->args, &ids[1]) &&
               reader_integer(&call->args, &ids[2]);
    else if (good)
        good = reader_integer(&call->args, &ids[0]);
    for (int i = 0; i < 3; i++)
        good = good && ids[i] >= 0 && ids[i] <= (int64_t)GRAPH_ID_MAX;
    if (!good)
        return call_bad(call, text);
    page->id = (uint64_t)ids[0];
    page->arc = (struct graph_arc){(uint64_t)ids[2], (uint64_t)ids[1]};
    return ST_OK;
}

static enum status take_limit(struct page *page)
{
    int64_t limit;

    page->call->argument++;
    if (!reader_integer(&page->call->args, &limit) || limit < 1 ||
        limit > INT32_MAX)
        return call_bad(page->call, "must be an integer from 1 to 2^31 - 1");
    page->limit = (uint64_t)limit;
    return ST_OK;
}

static enum status page_filter(struct page *page)
{
    struct call *call = page->call;
    const char *why = NULL;
    enum status st;

    if (!call->options.where.size)
        return ST_OK;
    st = filter_create(call->commands->mem, call->options.where, &page->filter,
                       &why);
    return st < 0 && why ? call_fail(call, st, why) : st;
}

/* Of a vertex the key is itself; of an edge it is {From, To, Label}. */
static enum status page_wants(struct page *page, struct bytes vertex, bool *ret)
{
    struct filter_element element = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    const struct graph *graph = page->graph;
    enum status st = ST_OK;

    *ret = true;
    if (!page->filter)
        return ST_OK;
    page->key.size = 0;
    page->term.size = 0;
    if (page->edges) {
        struct bytes terms[3];

        if (!graph_vertex(graph, page->id, &terms[0]) ||
            !graph_vertex(graph, page->arc.other, &terms[1]) ||
            !graph_label(graph, page->arc.label, &terms[2]))
            return ST_LOG_REFUSED;
        st = etf_put_tuple(&page->term, 3);
        for (int i = 0; st == ST_OK && i < 3; i++)
            st = buffer_append(&page->term, terms[i]);
        vertex = buffer_bytes(&page->term);
        element.value = graph_arc_value(graph, GRAPH_OUT, page->id, &page->arc);
    } else {
        element.value = graph_vertex_value(graph, page->id);
    }
    if (st == ST_OK && filter_uses_key(page->filter)) {
        st = key_encode(vertex, &page->key);
        if (st == ST_TOO_BIG) { /* of three keys; no Condition on it holds */
            page->key.size = 0;
            st = ST_OK;
        } else if (st == ST_OK) {
            element.key = buffer_bytes(&page->key);
        }
    }
    return st < 0 ? st : filter_match(page->filter, &element, ret);
}

/* Puts the next element that is wanted; `*ret_more` is false at the end. */
static enum status page_step(struct page *page, struct graph_walk *walk,
                             uint64_t *count, bool *ret_more)
{
    struct bytes vertex = {NULL, 0};
    bool wanted;
    enum status st;

    if (page->edges)
        st = graph_edges_next(walk, &page->id, &page->arc, ret_more);
    else
        st = graph_vertices_next(walk, &page->id, &vertex, ret_more);
    if (st < 0 || !*ret_more)
        return st;
    page->looked++;
    st = page_wants(page, vertex, &wanted);
    if (st < 0 || !wanted)
        return st;
    (*count)++;
    return page->edges ? put_edge(&page->putter, page->id, &page->arc)
                       : put_vertex(&page->putter, page->id, vertex);
}

static void put_next(struct page *page, bool more)
{
    struct writer *out = page->call->out;

    if (!more) {
        put_atom(out, "done");
        return;
    }
    put_tuple(out, 2);
    put_atom(out, "after");
    if (page->edges) {
        put_tuple(out, 3);
        put_u64(out, page->id);
        put_u64(out, page->arc.label);
        put_u64(out, page->arc.other);
    } else {
        put_u64(out, page->id);
    }
}

/* Why the page must end here, or ST_OK. */
static enum status page_check(struct page *page)
{
    struct call *call = page->call;

    if (page->looked >= call->options.rows)
        return ST_ROW_LIMIT;
    if (writer_size(call->out) - page->start > call->options.memory)
        return ST_MEMORY_BUDGET;
    if (page->looked % 256 == 0 && call->reading)
        return reading_check(call->reading);
    return ST_OK;
}

static enum status put_page(struct page *page)
{
    struct writer *out = page->call->out;
    size_t items = put_list_begin(out);
    struct graph_walk walk;
    uint64_t count = 0;
    bool more = true;
    enum status st = ST_OK;

    if (page->edges)
        graph_edges_init(&walk, page->graph, page->id,
                         page->id ? &page->arc : NULL, &page->entry);
    else
        graph_vertices_init(&walk, page->graph, page->id, &page->entry);
    while (st == ST_OK && more && count < page->limit &&
           writer_size(out) - page->start < PAGE_BYTES) {
        st = page_check(page);
        if (st == ST_OK)
            st = page_step(page, &walk, &count, &more);
    }
    if (st == ST_OK && more)
        more = walk.more;
    if (st < 0 && st != ST_ROW_LIMIT && st != ST_MEMORY_BUDGET &&
        st != ST_DEADLINE)
        return st;
    put_list_end(out, items, count);
    put_next(page, more);
    if (st < 0) {
        call_page_why(page->call);
        put_atom(out, status_atom(st));
    }
    return writer_status(out);
}

static enum status read_page(struct call *call, bool edges)
{
    struct mem *mem = call->commands->mem;
    struct sources sources;
    struct page page = {.call = call, .edges = edges};
    uint64_t size;
    enum status st = call_graph_source(call, &sources);

    if (st == ST_OK)
        st = take_from(&page);
    if (st == ST_OK)
        st = take_limit(&page);
    if (st < 0)
        return st;
    page.graph = &sources.graph;
    page.start = writer_size(call->out);
    page.entry.buffer = BUFFER(mem);
    page.key = BUFFER(mem);
    page.term = BUFFER(mem);
    size =
        edges ? graph_edge_count(page.graph) : graph_vertex_count(page.graph);
    if (size > LOOP_ELEMENTS_MAX &&
        (page.limit > LOOP_ELEMENTS_MAX || call->options.where.size) &&
        reading_possible(call))
        return reading_start(call);
    putter_init(&page.putter, call, page.graph);
    st = page_filter(&page);
    if (st == ST_OK)
        st = put_page(&page);
    filter_free(page.filter);
    putter_free(&page.putter);
    buffer_free(&page.entry.buffer);
    buffer_free(&page.key);
    buffer_free(&page.term);
    return st;
}

enum status cmd_vertices(struct call *call)
{
    return read_page(call, false);
}

enum status cmd_edges(struct call *call)
{
    return read_page(call, true);
}

/* --- what two graphs share if they hold the same ---------------------------
 */

enum status cmd_graph_digest(struct call *call)
{
    uint8_t bytes[DIGEST_BYTES];
    enum status st = call_graph_table(call);

    if (st < 0)
        return st;
    digest_store(bytes, table_digest(call->table));
    put_binary(call->out, bytes_of(bytes, sizeof(bytes)));
    return ST_OK;
}
