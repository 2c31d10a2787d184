/*
 * graph_load_build.c -- an empty graph from a load that is in order.
 *
 * Ids are the numbers of vertices and one more. Each part is built bottom-up
 * from full pages, as load.c does it, and the digest of the graph is summed on
 * the way, from the elements as graph_write.c would note them: there is
 * nothing to be read again.
 */
#include "core/etf.h"
#include "core/graph_load_internal.h"
#include "core/load.h"

/* How many edges ahead memory is asked for. */
#define AHEAD 24

/* --- building an empty graph ---------------------------------------------- */

static struct table *part_of(const struct graph_load *load,
                             enum graph_part part)
{
    return store_find(load->store, table_name(load->graph.parts[part]));
}

/* A part that gets elements from `add`. */
static enum status build(struct graph_load *load, enum graph_part part,
                         enum status (*add)(struct graph_load *load,
                                            struct loader *loader,
                                            const void *context),
                         const void *context)
{
    struct loader *loader;
    enum status st = loader_create(load->store, part_of(load, part), &loader);

    if (st < 0)
        return st;
    st = add(load, loader, context);
    if (st < 0) {
        loader_abort(loader);
        return st;
    }
    return loader_finish(loader, 0);
}

/* The term of a vertex or label. */
static enum status name_term(struct graph_load *load, bool labels,
                             uint32_t number, struct buffer *out)
{
    uint8_t room[LOAD_ROOM];

    out->size = 0;
    return key_decode(
        labels ? load_label(load, number) : load_key(load, number, room), out);
}

/* Ids are the numbers: those of vertices from 1, as those of labels are. */
static enum status add_terms(struct graph_load *load, struct loader *loader,
                             const void *context)
{
    const bool *labels = context;
    size_t end = *labels ? load->labels.count : load->words.count;
    struct buffer term = BUFFER(load->mem);
    uint8_t room[GRAPH_ID_BYTES_MAX];
    enum status st = ST_OK;

    for (size_t i = *labels; st == ST_OK && i < end; i++) {
        st = name_term(load, *labels, (uint32_t)i, &term);
        if (st == ST_OK)
            st = loader_add(loader, SIDE_FWD, graph_id_key(room, i + !*labels),
                            buffer_bytes(&term));
        load_step(load);
    }
    buffer_free(&term);
    return st;
}

struct names {
    const struct ordered *items;
    size_t count;
    bool labels;
};

static enum status add_ids(struct graph_load *load, struct loader *loader,
                           const void *context)
{
    const struct names *names = context;
    struct buffer term = BUFFER(load->mem);
    uint8_t room[LOAD_ROOM];
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < names->count; i++) {
        uint32_t number = names->items[i].number;
        struct bytes key = names->labels ? load_label(load, number)
                                         : load_key(load, number, room);

        term.size = 0;
        st = etf_put_u64(&term, number + (uint64_t)!names->labels);
        if (st == ST_OK)
            st = loader_add(loader, SIDE_FWD, key, buffer_bytes(&term));
    }
    buffer_free(&term);
    return st;
}

static enum status build_names(struct graph_load *load, bool labels)
{
    struct names names = {NULL, 0, labels};
    struct ordered *items = NULL;
    enum status st =
        build(load, labels ? GRAPH_LABELS : GRAPH_VERTICES, add_terms, &labels);

    if (st == ST_OK)
        st = load_order_keys(load, labels, &items, &names.count);
    if (st < 0)
        return st;
    names.items = items;
    st = build(load, labels ? GRAPH_LABEL_IDS : GRAPH_VERTEX_IDS, add_ids,
               &names);
    many_free(load->mem, items, names.count, sizeof(*items));
    return st;
}

static enum status add_vertex_values(struct graph_load *load,
                                     struct loader *loader, const void *context)
{
    const struct put *puts = load->puts.data;
    uint8_t id[GRAPH_ID_BYTES_MAX];
    enum status st = ST_OK;

    (void)context;
    for (size_t i = 0; st == ST_OK && i < load->puts.count; i++) {
        struct bytes value = put_value(load, &puts[i]);

        if (value.size)
            st = loader_add(loader, SIDE_FWD,
                            graph_id_key(id, puts[i].vertex + UINT64_C(1)),
                            value);
    }
    return st;
}

/* (vertex, label) pairs in either order; equal ones count once. */
static enum status add_label_pairs(struct loader *loader, enum side side,
                                   const struct pair *pairs, size_t count)
{
    uint8_t first[GRAPH_ID_BYTES_MAX];
    uint8_t second[GRAPH_ID_BYTES_MAX];
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < count; i++) {
        struct bytes vertex = graph_id_key(first, pairs[i].from);
        struct bytes label = graph_id_key(second, pairs[i].to);

        if (i && pairs[i].from == pairs[i - 1].from &&
            pairs[i].to == pairs[i - 1].to)
            continue;
        st = side == SIDE_FWD ? loader_add(loader, side, vertex, label)
                              : loader_add(loader, side, label, vertex);
    }
    return st;
}

static size_t gather_labels(const struct graph_load *load, struct pair *ret)
{
    const struct put *puts = load->puts.data;
    size_t count = 0;

    for (size_t i = 0; i < load->puts.count; i++) {
        const uint8_t *labels;
        size_t size = put_labels(load, &puts[i], &labels);

        for (size_t j = 0; j < size; j++, count++) {
            uint32_t label;

            memcpy(&label, labels + j * sizeof(label), sizeof(label));
            if (ret)
                ret[count] = (struct pair){label, puts[i].vertex + 1};
        }
    }
    return count;
}

static enum status add_vertex_labels(struct graph_load *load,
                                     struct loader *loader, const void *context)
{
    size_t count = gather_labels(load, NULL);
    void *pairs = many_alloc(load->mem, count, sizeof(struct pair));
    void *scratch = many_alloc(load->mem, count, sizeof(struct pair));
    unsigned label_width = width_of(load->labels.count);
    unsigned vertex_width = width_of(load->words.count);
    enum status st = pairs && scratch ? ST_OK : mem_status(load->mem);

    (void)context;
    if (st == ST_OK) {
        gather_labels(load, pairs);
        load_radix_sort(&pairs, &scratch, count, sizeof(struct pair),
                        offsetof(struct pair, to), label_width);
        load_radix_sort(&pairs, &scratch, count, sizeof(struct pair),
                        offsetof(struct pair, from), vertex_width);
        st = add_label_pairs(loader, SIDE_FWD, pairs, count);
        load_radix_sort(&pairs, &scratch, count, sizeof(struct pair),
                        offsetof(struct pair, to), label_width);
    }
    if (st == ST_OK)
        st = add_label_pairs(loader, SIDE_BWD, pairs, count);
    if (pairs)
        many_free(load->mem, pairs, count, sizeof(struct pair));
    if (scratch)
        many_free(load->mem, scratch, count, sizeof(struct pair));
    return st;
}

/* Adds an edge to the digest, as graph_put_edge() would. */
static enum status note_edge(struct graph_load *load, struct arc edge,
                             struct buffer *note)
{
    uint8_t rooms[2][LOAD_ROOM];
    struct bytes ends[2] = {load_key(load, edge.from, rooms[0]),
                            load_key(load, edge.to, rooms[1])};
    bool swaps = graph_swaps(&load->graph.options, ends[0], ends[1]);
    enum status st;

    note->size = 0;
    st = graph_put_edge_note(note, ends[!swaps],
                             edge.label ? load_label(load, edge.label)
                                        : buffer_bytes(&load->nil),
                             edge_value(load, edge));
    if (st == ST_OK)
        digest_add(&load->digest,
                   digest_element(ends[swaps], buffer_bytes(note)));
    return st;
}

static enum status add_edges(struct graph_load *load, struct loader *loader,
                             const void *context)
{
    const struct edges *edges = context;
    struct buffer note = BUFFER(load->mem);
    uint8_t id[GRAPH_ID_BYTES_MAX];
    uint8_t arc[GRAPH_ARC_BYTES_MAX];
    struct bytes first = NONE;
    uint64_t last = 0;
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < edges->count; i++) {
        struct arc edge = edge_at(edges, i);
        size_t ahead = i + AHEAD < edges->count ? i + AHEAD : i;
        uint64_t at = (edges->in ? edge.to : edge.from) + UINT64_C(1);
        uint64_t other = (edges->in ? edge.from : edge.to) + UINT64_C(1);

        /* The other end lies anywhere: half of the time was waiting for it. */
        __builtin_prefetch((const uint64_t *)load->words.data +
                           edge_at(edges, ahead).to);
        if (at != last) {
            first = graph_id_key(id, at);
            last = at;
        }
        st = loader_add(
            loader, SIDE_FWD, first,
            graph_arc_key(arc, (struct graph_arc){other, edge.label}));
        if (st == ST_OK && !edges->in)
            st = note_edge(load, edge, &note);
        load_step(load);
    }
    buffer_free(&note);
    return st;
}

static enum status add_edge_values(struct graph_load *load,
                                   struct loader *loader, const void *context)
{
    const struct edges *edges = context;
    uint8_t room[EDGE_KEY_BYTES_MAX];
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < edges->count; i++) {
        struct arc edge = edge_at(edges, i);
        struct graph_arc arc = {edge.to + UINT64_C(1), edge.label};

        if (((const uint64_t *)load->values.data)[edge.index])
            st = loader_add(loader, SIDE_FWD,
                            graph_edge_key(room, edge.from + UINT64_C(1), arc),
                            edge_value(load, edge));
    }
    return st;
}

static enum status build_edges(struct graph_load *load, struct edges *edges)
{
    enum status st;

    load_sort_out(load, edges);
    st = build(load, GRAPH_OUT, add_edges, edges);
    if (st == ST_OK && load->values.data)
        st = build(load, GRAPH_EDGE_VALUES, add_edge_values, edges);
    if (st < 0)
        return st;
    load_sort_in(load, edges);
    return build(load, GRAPH_IN, add_edges, edges);
}

/* The labels of a put as an external list, in the order of their keys. */
static enum status put_label_list(struct graph_load *load,
                                  const struct put *put, struct buffer *out)
{
    const uint8_t *numbers;
    size_t count = put_labels(load, put, &numbers);
    uint32_t *sorted = many_alloc(load->mem, count, sizeof(*sorted));
    size_t kept = 0;
    enum status st = sorted ? ST_OK : mem_status(load->mem);

    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint32_t label = put_label(numbers, i);
        size_t at = kept;

        while (at && bytes_compare(load_label(load, sorted[at - 1]),
                                   load_label(load, label)) > 0)
            at--;
        if (at && sorted[at - 1] == label)
            continue;
        memmove(sorted + at + 1, sorted + at, (kept - at) * sizeof(*sorted));
        sorted[at] = label;
        kept++;
    }
    if (st == ST_OK && kept)
        st = etf_put_list(out, (uint32_t)kept);
    for (size_t i = 0; st == ST_OK && i < kept; i++)
        st = key_decode(load_label(load, sorted[i]), out);
    if (st == ST_OK)
        st = etf_put_nil(out);
    if (sorted)
        many_free(load->mem, sorted, count, sizeof(*sorted));
    return st;
}

/* Adds all vertices to the digest, as graph_put_vertex() would. */
static enum status note_vertices(struct graph_load *load)
{
    struct buffer list = BUFFER(load->mem);
    struct buffer note = BUFFER(load->mem);
    const struct put *put = load->puts.data;
    const struct put *end = put + load->puts.count;
    uint8_t room[LOAD_ROOM];
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < load->words.count; i++) {
        struct bytes value = NONE;

        list.size = 0;
        note.size = 0;
        if (put < end && put->vertex == i) {
            value = put_value(load, put);
            st = put_label_list(load, put++, &list);
        } else {
            st = etf_put_nil(&list);
        }
        if (st == ST_OK)
            st = graph_put_vertex_note(&note, buffer_bytes(&list),
                                       value.size ? value : graph_nil);
        if (st == ST_OK)
            digest_add(&load->digest, digest_element(load_key(load, i, room),
                                                     buffer_bytes(&note)));
    }
    buffer_free(&list);
    buffer_free(&note);
    return st;
}

/* What a failed load has built already. */
static void clear_parts(struct graph_load *load)
{
    static const struct digest none;

    for (int part = 0; part < GRAPH_OPTIONS; part++) {
        struct table *table = part_of(load, (enum graph_part)part);

        tree_clear(&table->trees[SIDE_FWD]);
        tree_clear(&table->trees[SIDE_BWD]);
        table->digest = none;
    }
}

enum status load_build(struct graph_load *load, struct edges *edges)
{
    enum status st = load_sort_puts(load);

    load->digest = table_digest(load->graph.parts[GRAPH_OPTIONS]);
    load->total = load->words.count + 2 * load->pairs.count;
    load_free_index(load);
    if (st == ST_OK)
        st = load_take_edges(load, edges);
    if (st == ST_OK)
        st = build_edges(load, edges);
    load_free_edges(load, edges);
    *edges = (struct edges){.count = edges->count};
    if (st == ST_OK)
        st = build_names(load, false);
    if (st == ST_OK)
        st = build_names(load, true);
    if (st == ST_OK)
        st = build(load, GRAPH_VERTEX_VALUES, add_vertex_values, NULL);
    if (st == ST_OK)
        st = build(load, GRAPH_VERTEX_LABELS, add_vertex_labels, NULL);
    if (st == ST_OK)
        st = note_vertices(load);
    if (st < 0) {
        clear_parts(load);
        return st;
    }
    load->table->digest = load->digest;
    return ST_OK;
}
