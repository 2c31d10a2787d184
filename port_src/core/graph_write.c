/*
 * graph_write.c -- changing a graph: its parts, and one note for each element
 * that came or went.
 *
 *     put_edge ann -knows-> bob      out + 7 {1, 8}    in + 8 {1, 7}
 *                                    G: ADD ann | edge bob knows nil
 *
 * The parts are changed with the functions of table.h, so that they are undone
 * as tables are. The notes are changes of the graph's own table, which has no
 * elements: to undo one is to take it out of the digest. The parts come first,
 * the note when they are done; a mutation that fails is rolled back as a whole.
 */
#include <stdlib.h>

#include "core/etf.h"
#include "core/graph_internal.h"

/* store->notes[]: the second half of a note, and two that serve labels. */
enum { NOTE, LABELS, SCRATCH };

/* --- notes ---------------------------------------------------------------- */

/* vertex: kind, size of labels u32, labels, value. */
enum status graph_put_vertex_note(struct buffer *out, struct bytes labels,
                                  struct bytes value)
{
    uint8_t head[5] = {ELEMENT_VERTEX};
    enum status st;

    store_be32(head + 1, (uint32_t)labels.size);
    st = buffer_append(out, bytes_of(head, sizeof(head)));
    if (st == ST_OK)
        st = buffer_append(out, labels);
    return st < 0 ? st : buffer_append(out, value);
}

/* edge: kind, sizes of to and label u16, to, label, value. */
enum status graph_put_edge_note(struct buffer *out, struct bytes to,
                                struct bytes label, struct bytes value)
{
    uint8_t head[5] = {ELEMENT_EDGE};
    enum status st;

    head[1] = (uint8_t)(to.size >> 8);
    head[2] = (uint8_t)to.size;
    head[3] = (uint8_t)(label.size >> 8);
    head[4] = (uint8_t)label.size;
    st = buffer_append(out, bytes_of(head, sizeof(head)));
    if (st == ST_OK)
        st = buffer_append(out, to);
    if (st == ST_OK)
        st = buffer_append(out, label);
    return st < 0 ? st : buffer_append(out, value);
}

/* contracted: kind, four zeros, term. */
enum status graph_put_contracted_note(struct buffer *out, struct bytes term)
{
    static const uint8_t head[5] = {ELEMENT_CONTRACTED};
    enum status st = buffer_append(out, bytes_of(head, sizeof(head)));

    return st < 0 ? st : buffer_append(out, term);
}

struct graph_element graph_change_element(const struct change *change)
{
    const uint8_t *at = change->second.data;
    const uint8_t *end = at + change->second.size;
    struct graph_element element = {.vertex = change->first};

    REQUIRE(change->second.size > 5);
    element.is_contracted = *at == ELEMENT_CONTRACTED;
    element.is_edge = *at == ELEMENT_EDGE;
    if (element.is_edge) {
        element.to = bytes_of(at + 5, load_be16(at + 1));
        element.label = bytes_of(at + 5 + element.to.size, load_be16(at + 3));
        at += 5 + element.to.size + element.label.size;
    } else {
        element.labels = bytes_of(at + 5, load_be32(at + 1));
        at += 5 + element.labels.size;
    }
    element.value = bytes_of(at, (size_t)(end - at));
    return element;
}

enum status graph_element_put(const struct graph_element *element,
                              struct buffer *out)
{
    enum status st;

    if (element->is_contracted) {
        st = etf_put_tuple(out, 3);
        if (st == ST_OK)
            st = etf_put_atom(out, "contracted");
        if (st == ST_OK)
            st = key_decode(element->vertex, out);
        return st < 0 ? st : buffer_append(out, element->value);
    }
    st = etf_put_tuple(out, element->is_edge ? 5 : 4);

    if (st == ST_OK)
        st = etf_put_atom(out, element->is_edge ? "edge" : "vertex");
    if (st == ST_OK)
        st = key_decode(element->vertex, out);
    if (st == ST_OK && element->is_edge)
        st = key_decode(element->to, out);
    if (st == ST_OK && element->is_edge)
        st = key_decode(element->label, out);
    if (st == ST_OK)
        st = buffer_append(out, element->value);
    if (st == ST_OK && !element->is_edge)
        st = buffer_append(out, element->labels);
    return st;
}

/* Notes that an element, whose second half is in notes[NOTE], came or went. */
static enum status note(struct graph_writer *writer, enum change_kind kind,
                        struct bytes first)
{
    struct store *store = writer->store;
    enum status st = change_push(store, kind, writer->table, first,
                                 buffer_bytes(&store->notes[NOTE]));

    if (st < 0)
        return st;
    if (kind == CHANGE_ADD)
        digest_add(&writer->table->digest, change_digest(store));
    else
        digest_subtract(&writer->table->digest, change_digest(store));
    return ST_OK;
}

static enum status note_vertex(struct graph_writer *writer,
                               enum change_kind kind, struct bytes vertex,
                               struct bytes labels, struct bytes value)
{
    struct buffer *out = &writer->store->notes[NOTE];
    enum status st;

    out->size = 0;
    st = graph_put_vertex_note(out, labels, value);
    return st < 0 ? st : note(writer, kind, vertex);
}

static enum status note_edge(struct graph_writer *writer, enum change_kind kind,
                             struct bytes from, struct bytes to,
                             struct bytes label, struct bytes value)
{
    struct buffer *out = &writer->store->notes[NOTE];
    bool swaps = graph_swaps(&writer->options, from, to);
    enum status st;

    out->size = 0;
    st = graph_put_edge_note(out, swaps ? from : to, label, value);
    return st < 0 ? st : note(writer, kind, swaps ? to : from);
}

/* --- the writer ----------------------------------------------------------- */

enum status graph_writer_open(struct store *store, struct table *table,
                              struct graph_writer *ret)
{
    enum status st;

    *ret = (struct graph_writer){.store = store};
    st = store_find_mutable(store, table_name(table), &ret->table);
    if (st == ST_OK)
        st = graph_open(store, ret->table, &ret->graph);
    for (int i = 0; st == ST_OK && i < GRAPH_PART_COUNT; i++) {
        const struct table *part = ret->graph.parts[i];

        if (part->store == store) /* found to be read, and it may be changed */
            ret->parts[i] = (struct table *)(uintptr_t)part;
        else
            st = store_find_mutable(store, table_name(part), &ret->parts[i]);
        ret->graph.parts[i] = ret->parts[i];
    }
    if (st < 0)
        return st;
    return graph_read_options(ret->parts[GRAPH_OPTIONS], &ret->options);
}

/* A row with an integer, or with an id, as its key. */
static enum status put_row_near(struct graph_writer *writer,
                                enum graph_part part, struct tree_path *path,
                                struct bytes key, struct bytes value)
{
    bool inserted;

    return table_insert_near(writer->store, writer->parts[part], path, key,
                             value, &inserted);
}

static enum status put_row(struct graph_writer *writer, enum graph_part part,
                           struct bytes key, struct bytes value)
{
    struct tree_path path;

    path.depth = 0;
    return put_row_near(writer, part, &path, key, value);
}

static enum status delete_row(struct graph_writer *writer, enum graph_part part,
                              struct bytes key)
{
    uint64_t count;

    return table_delete_key(writer->store, writer->parts[part], SIDE_FWD, key,
                            &count);
}

/* The id that follows the greatest one of a part. */
static enum status next_id(struct graph_writer *writer, enum graph_part part,
                           uint64_t *next)
{
    const struct tree_root *root = &writer->parts[part]->trees[SIDE_FWD].root;
    struct tree_entry *entry = &writer->store->entry;
    struct tree_cursor cursor;
    enum status st;

    if (*next)
        return ST_OK;
    *next = 1;
    if (!tree_cursor_select(&cursor, root, root->count - 1))
        return ST_OK;
    st = tree_cursor_read(&cursor, entry);
    if (st < 0) {
        *next = 0;
        return st;
    }
    *next = graph_decode_id(entry->key.first.data) + 1;
    return ST_OK;
}

/* Gives a key, a vertex or a label, an id: a row in each direction. */
static enum status give_id(struct graph_writer *writer, enum graph_part by_id,
                           enum graph_part by_key, uint64_t *next,
                           struct graph_id_paths *paths, struct bytes key,
                           uint64_t *ret)
{
    struct store *store = writer->store;
    struct buffer *term = &store->notes[NOTE];
    uint8_t room[GRAPH_ID_BYTES_MAX];
    enum status st = next_id(writer, by_id, next);

    if (st < 0)
        return st;
    if (*next > GRAPH_ID_MAX)
        return store_fail(store, ST_EXHAUSTED, NULL, table_name(writer->table),
                          NONE);
    term->size = 0;
    st = key_decode(key, term);
    if (st == ST_OK)
        st = put_row_near(writer, by_id, &paths->by_id,
                          graph_id_key(room, *next), buffer_bytes(term));
    term->size = 0;
    if (st == ST_OK)
        st = etf_put_u64(term, *next);
    if (st == ST_OK)
        st = put_row_near(writer, by_key, &paths->by_key, key,
                          buffer_bytes(term));
    if (st == ST_OK)
        *ret = (*next)++;
    return st;
}

/* Notes that a vertex stands for others, or does so no longer. */
static enum status note_contracted(struct graph_writer *writer,
                                   enum change_kind kind, struct bytes vertex,
                                   struct bytes term)
{
    struct buffer *out = &writer->store->notes[NOTE];
    enum status st;

    out->size = 0;
    st = graph_put_contracted_note(out, term);
    return st < 0 ? st : note(writer, kind, vertex);
}

enum status graph_set_contracted(struct graph_writer *writer,
                                 struct bytes vertex, struct bytes term)
{
    enum status st = put_row(writer, GRAPH_CONTRACTED, vertex, term);

    return st < 0 ? st : note_contracted(writer, CHANGE_ADD, vertex, term);
}

/* The vertex is about to go. */
static enum status drop_contracted(struct graph_writer *writer,
                                   struct bytes vertex)
{
    const struct graph *graph = &writer->graph;
    struct bytes term;
    enum status st;

    if (!graph_contracted(graph, vertex, &term))
        return ST_OK;
    st = note_contracted(writer, CHANGE_REMOVE, vertex, term);
    return st < 0 ? st : delete_row(writer, GRAPH_CONTRACTED, vertex);
}

enum status graph_label_id(struct graph_writer *writer, struct bytes label,
                           uint64_t *ret)
{
    const struct graph *graph = &writer->graph;
    struct graph_id_paths paths;

    if (graph_find_label(graph, label, ret))
        return ST_OK;
    graph_id_paths_init(&paths);
    return give_id(writer, GRAPH_LABELS, GRAPH_LABEL_IDS,
                   &writer->next_label_id, &paths, label, ret);
}

/* --- vertices ------------------------------------------------------------- */

static const struct bytes no_labels = {(const uint8_t *)"\x6A", 1};

enum status graph_vertex_id(struct graph_writer *writer,
                            struct graph_id_paths *paths, struct bytes vertex,
                            uint64_t *ret)
{
    const struct graph *graph = &writer->graph;
    enum status st;

    if (graph_find_near(graph, &paths->by_key, vertex, ret))
        return ST_OK;
    st = give_id(writer, GRAPH_VERTICES, GRAPH_VERTEX_IDS, &writer->next_id,
                 paths, vertex, ret);
    if (st < 0)
        return st;
    return note_vertex(writer, CHANGE_ADD, vertex, no_labels, graph_nil);
}

static enum status vertex_id(struct graph_writer *writer, struct bytes vertex,
                             uint64_t *ret)
{
    struct graph_id_paths paths;

    graph_id_paths_init(&paths);
    return graph_vertex_id(writer, &paths, vertex, ret);
}

/* The same of the vertex that an edge is from, which those before it often had
 * as well. */
static enum status from_id(struct graph_writer *writer, struct bytes vertex,
                           uint64_t *ret)
{
    enum status st;

    if (writer->from_size == vertex.size && vertex.size &&
        !memcmp(writer->from, vertex.data, vertex.size)) {
        *ret = writer->from_id;
        return ST_OK;
    }
    st = vertex_id(writer, vertex, ret);
    if (st < 0 || vertex.size > sizeof(writer->from))
        return st;
    memcpy(writer->from, vertex.data, vertex.size);
    writer->from_size = vertex.size;
    writer->from_id = *ret;
    return ST_OK;
}

/* Labels as keys, one behind another, each behind its size; and pointers to
 * them that are sorted. */
struct keys {
    struct buffer *bytes;
    const struct graph *graph;
    uint32_t count;
};

static enum status add_key(void *context, uint64_t label)
{
    struct keys *keys = context;
    size_t start = keys->bytes->size;
    struct bytes term;
    uint8_t size[4] = {0};
    enum status st = buffer_append(keys->bytes, bytes_of(size, sizeof(size)));

    if (st == ST_OK && !graph_label(keys->graph, label, &term))
        st = ST_LOG_REFUSED;
    if (st == ST_OK)
        st = key_encode(term, keys->bytes);
    if (st < 0)
        return st;
    store_be32(keys->bytes->data + start,
               (uint32_t)(keys->bytes->size - start - sizeof(size)));
    keys->count++;
    return ST_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Puts keys as a list of terms. */
static enum status put_list(const struct bytes *keys, uint32_t count,
                            struct buffer *out)
{
    enum status st = etf_put_list(out, count);

    for (uint32_t i = 0; st == ST_OK && i < count; i++)
        st = key_decode(keys[i], out);
    return st < 0 ? st : etf_put_nil(out);
}

enum status graph_put_labels_of(const struct graph *graph, uint64_t id,
                                struct buffer *scratch, struct buffer *out)
{
    struct tree_entry entry = {.buffer = BUFFER(scratch->mem)};
    struct keys keys = {.bytes = scratch, .graph = graph};
    struct bytes *sorted = NULL;
    const uint8_t *at;
    enum status st;

    if (!table_count(graph->parts[GRAPH_VERTEX_LABELS]))
        return buffer_append(out, no_labels);
    scratch->size = 0;
    st = graph_each_label(graph, id, &entry, add_key, &keys);
    buffer_free(&entry.buffer);
    if (st < 0 || !keys.count)
        return st < 0 ? st : buffer_append(out, no_labels);
    sorted = mem_alloc(scratch->mem, keys.count * sizeof(*sorted));
    if (!sorted)
        return mem_status(scratch->mem);
    at = scratch->data;
    for (uint32_t i = 0; i < keys.count; i++) {
        sorted[i] = bytes_of(at + 4, load_be32(at));
        at += 4 + sorted[i].size;
    }
    qsort(sorted, keys.count, sizeof(*sorted), by_bytes);
    st = put_list(sorted, keys.count, out);
    mem_free(scratch->mem, sorted, keys.count * sizeof(*sorted));
    return st;
}

/* Notes a vertex as it is now. */
static enum status note_as_is(struct graph_writer *writer,
                              enum change_kind kind, struct bytes vertex,
                              uint64_t id)
{
    const struct graph *graph = &writer->graph;
    struct buffer *labels = &writer->store->notes[LABELS];
    enum status st;

    labels->size = 0;
    st = graph_put_labels_of(graph, id, &writer->store->notes[SCRATCH], labels);
    if (st < 0)
        return st;
    return note_vertex(writer, kind, vertex, buffer_bytes(labels),
                       graph_vertex_value(graph, id));
}

/* Gives a vertex a value; `*ret_changed` is set if it had another one. */
static enum status set_value(struct graph_writer *writer, enum graph_part part,
                             struct bytes key, struct bytes value,
                             bool *ret_changed)
{
    struct table *table = writer->parts[part];
    bool inserted;
    uint64_t count;
    enum status st;

    if (graph_is_nil(value)) {
        st = table_delete_key(writer->store, table, SIDE_FWD, key, &count);
        *ret_changed |= st == ST_OK && count > 0;
        return st;
    }
    st = table_insert(writer->store, table, SIDE_FWD, key, value, &inserted);
    *ret_changed |= st == ST_OK && inserted;
    return st;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* What graph_each_label() finds, against ids that are sorted. */
struct superfluous {
    const uint64_t *ids;
    size_t count;
    uint64_t found; /* one that is not among them; 0: none */
};

static enum status find_superfluous(void *context, uint64_t label)
{
    struct superfluous *labels = context;

    if (!labels->found &&
        !bsearch(&label, labels->ids, labels->count, sizeof(label), by_id))
        labels->found = label;
    return ST_OK;
}

/* Takes away the labels that are not among `ids`. */
static enum status drop_labels(struct graph_writer *writer, uint64_t id,
                               const uint64_t *ids, size_t count,
                               bool *ret_changed)
{
    const struct graph *graph = &writer->graph;

    for (;;) {
        struct superfluous labels = {ids, count, 0};
        uint8_t room[2][GRAPH_ID_BYTES_MAX];
        bool deleted;
        enum status st = graph_each_label(graph, id, &writer->store->entry,
                                          find_superfluous, &labels);

        if (st < 0 || !labels.found)
            return st;
        st = table_delete(writer->store, writer->parts[GRAPH_VERTEX_LABELS],
                          SIDE_FWD, graph_id_key(room[0], id),
                          graph_id_key(room[1], labels.found), &deleted);
        if (st < 0)
            return st;
        *ret_changed = true;
    }
}

static enum status set_labels(struct graph_writer *writer, uint64_t id,
                              const struct bytes *labels, size_t count,
                              bool *ret_changed)
{
    struct store *store = writer->store;
    uint8_t room[2][GRAPH_ID_BYTES_MAX];
    struct bytes key = graph_id_key(room[0], id);
    uint64_t *ids;
    enum status st = ST_OK;

    if (!count && !table_count(writer->parts[GRAPH_VERTEX_LABELS]))
        return ST_OK;
    ids = mem_alloc(store->mem, (count + 1) * sizeof(*ids));
    if (!ids)
        return mem_status(store->mem);
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        bool inserted = false;

        st = graph_label_id(writer, labels[i], &ids[i]);
        if (st == ST_OK && !ids[i])
            st = store_fail(store, ST_BAD_ARGUMENT,
                            "nil is no label of a vertex",
                            table_name(writer->table), NONE);
        if (st == ST_OK)
            st = table_insert(store, writer->parts[GRAPH_VERTEX_LABELS],
                              SIDE_FWD, key, graph_id_key(room[1], ids[i]),
                              &inserted);
        *ret_changed |= inserted;
    }
    if (st == ST_OK) {
        size_t distinct = 0;

        qsort(ids, count, sizeof(*ids), by_id);
        for (size_t i = 0; i < count; i++)
            distinct += !i || ids[i] != ids[i - 1];
        if (distinct > GRAPH_VERTEX_LABELS_MAX)
            st = store_fail(store, ST_TOO_BIG,
                            "a vertex would have more than 1000 labels",
                            table_name(writer->table), NONE);
    }
    if (st == ST_OK) {
        st = drop_labels(writer, id, ids, count, ret_changed);
    }
    mem_free(store->mem, ids, (count + 1) * sizeof(*ids));
    return st;
}

enum status graph_put_vertex(struct graph_writer *writer, struct bytes vertex,
                             struct bytes value, const struct bytes *labels,
                             size_t label_count, enum outcome *ret)
{
    struct store *store = writer->store;
    const struct graph *graph = &writer->graph;
    uint8_t room[GRAPH_ID_BYTES_MAX];
    struct buffer old = BUFFER(store->mem);
    struct graph_id_paths paths;
    bool existed;
    bool changed = false;
    uint64_t id;
    enum status st;

    existed = graph_find(graph, vertex, &id);
    if (!existed) {
        graph_id_paths_init(&paths);
        st = give_id(writer, GRAPH_VERTICES, GRAPH_VERTEX_IDS, &writer->next_id,
                     &paths, vertex, &id);
    } else {
        struct buffer *list = &store->notes[LABELS];

        /* What it was must be known before it is changed, and is noted only
         * if it is. */
        list->size = 0;
        st = graph_put_labels_of(graph, id, &store->notes[SCRATCH], list);
        if (st == ST_OK)
            st = graph_put_vertex_note(&old, buffer_bytes(list),
                                       graph_vertex_value(graph, id));
    }
    if (st == ST_OK)
        st = set_value(writer, GRAPH_VERTEX_VALUES, graph_id_key(room, id),
                       value, &changed);
    if (st == ST_OK)
        st = set_labels(writer, id, labels, label_count, &changed);
    if (st == ST_OK && existed && changed) {
        store->notes[NOTE].size = 0;
        st = buffer_append(&store->notes[NOTE], buffer_bytes(&old));
        if (st == ST_OK)
            st = note(writer, CHANGE_REMOVE, vertex);
    }
    if (st == ST_OK && (!existed || changed))
        st = note_as_is(writer, CHANGE_ADD, vertex, id);
    buffer_free(&old);
    if (st < 0)
        return st;
    *ret = !existed  ? OUTCOME_INSERTED
           : changed ? OUTCOME_UPDATED
                     : OUTCOME_EXISTS;
    return ST_OK;
}

/* --- edges ---------------------------------------------------------------- */

enum status graph_check_weight(struct graph_writer *writer, struct bytes from,
                               struct bytes value)
{
    double weight;

    if (writer->options.weight == WEIGHT_NONE ||
        graph_weight(&writer->options, value, &weight))
        return ST_OK;
    return store_fail(writer->store, ST_BAD_WEIGHT,
                      writer->options.weight == WEIGHT_KEY
                          ? "the map that the edge has as its value holds no "
                            "number under the key that the graph takes "
                            "weights from"
                          : "the value of the edge must be a number, for the "
                            "graph takes weights from it",
                      table_name(writer->table), from);
}

enum status graph_put_out(struct graph_writer *writer, struct tree_path *path,
                          struct graph_kept_edge edge, struct bytes from,
                          struct bytes to, struct bytes label,
                          struct bytes value, enum outcome *ret)
{
    struct store *store = writer->store;
    uint8_t rooms[2][GRAPH_ARC_BYTES_MAX];
    uint8_t room[EDGE_KEY_BYTES_MAX];
    bool inserted;
    bool changed = false;
    enum status st =
        table_insert_near(store, writer->parts[GRAPH_OUT], path,
                          graph_id_key(rooms[0], edge.from),
                          graph_arc_key(rooms[1], edge.arc), &inserted);

    if (st == ST_OK && inserted) {
        if (!graph_is_nil(value))
            st = put_row(writer, GRAPH_EDGE_VALUES,
                         graph_edge_key(room, edge.from, edge.arc), value);
        *ret = OUTCOME_INSERTED;
    } else if (st == ST_OK) {
        const struct graph *graph = &writer->graph;
        struct buffer *old = &store->notes[SCRATCH];

        old->size = 0;
        st = buffer_append(
            old, graph_arc_value(graph, GRAPH_OUT, edge.from, &edge.arc));
        if (st == ST_OK && (table_count(writer->parts[GRAPH_EDGE_VALUES]) ||
                            !graph_is_nil(value)))
            st = set_value(writer, GRAPH_EDGE_VALUES,
                           graph_edge_key(room, edge.from, edge.arc), value,
                           &changed);
        *ret = changed ? OUTCOME_UPDATED : OUTCOME_EXISTS;
        if (st < 0 || !changed)
            return st;
        st = note_edge(writer, CHANGE_REMOVE, from, to, label,
                       buffer_bytes(old));
    }
    if (st < 0)
        return st;
    return note_edge(writer, CHANGE_ADD, from, to, label, value);
}

enum status graph_put_in(struct graph_writer *writer, struct tree_path *path,
                         struct graph_kept_edge edge)
{
    struct graph_arc back = {edge.from, edge.arc.label};
    uint8_t rooms[2][GRAPH_ARC_BYTES_MAX];
    bool inserted;

    return table_insert_near(writer->store, writer->parts[GRAPH_IN], path,
                             graph_id_key(rooms[0], edge.arc.other),
                             graph_arc_key(rooms[1], back), &inserted);
}

enum status graph_put_edge(struct graph_writer *writer, struct bytes from,
                           struct bytes to, struct bytes label,
                           struct bytes value, enum outcome *ret)
{
    struct graph_kept_edge edge;
    struct tree_path path;
    uint64_t ids[3];
    enum status st = graph_check_weight(writer, from, value);

    if (graph_is_nil(value)) /* in one of its forms */
        value = graph_nil;
    if (st == ST_OK)
        st = from_id(writer, from, &ids[0]);
    if (st == ST_OK)
        st = vertex_id(writer, to, &ids[1]);
    if (st == ST_OK)
        st = graph_label_id(writer, label, &ids[2]);
    if (st < 0)
        return st;
    edge = graph_keep_edge(&writer->options, ids[0], ids[1], ids[2]);
    path.depth = 0;
    st = graph_put_out(writer, &path, edge, from, to, label, value, ret);
    path.depth = 0;
    if (st == ST_OK && *ret == OUTCOME_INSERTED)
        st = graph_put_in(writer, &path, edge);
    return st;
}

/* Takes an edge away that is there. Exempt from the limit, as deletions are. */
static enum status remove_edge(struct graph_writer *writer,
                               struct graph_kept_edge edge, struct bytes from,
                               struct bytes to, struct bytes label)
{
    struct store *store = writer->store;
    const struct graph *graph = &writer->graph;
    struct graph_arc back = {edge.from, edge.arc.label};
    uint8_t rooms[4][GRAPH_ARC_BYTES_MAX];
    uint8_t room[EDGE_KEY_BYTES_MAX];
    bool deleted;
    enum status st;

    mem_exempt_begin(store->mem);
    st = note_edge(writer, CHANGE_REMOVE, from, to, label,
                   graph_arc_value(graph, GRAPH_OUT, edge.from, &edge.arc));
    if (st == ST_OK)
        st = table_delete(store, writer->parts[GRAPH_OUT], SIDE_FWD,
                          graph_id_key(rooms[0], edge.from),
                          graph_arc_key(rooms[1], edge.arc), &deleted);
    if (st == ST_OK)
        st = table_delete(store, writer->parts[GRAPH_IN], SIDE_FWD,
                          graph_id_key(rooms[2], edge.arc.other),
                          graph_arc_key(rooms[3], back), &deleted);
    if (st == ST_OK && table_count(writer->parts[GRAPH_EDGE_VALUES]))
        st = delete_row(writer, GRAPH_EDGE_VALUES,
                        graph_edge_key(room, edge.from, edge.arc));
    mem_exempt_end(store->mem);
    return st;
}

enum status graph_delete_edge(struct graph_writer *writer, struct bytes from,
                              struct bytes to, struct bytes label,
                              bool *ret_deleted)
{
    const struct graph *graph = &writer->graph;
    struct bytes value;
    struct graph_kept_edge edge;
    uint64_t ids[3];

    *ret_deleted = graph_find(graph, from, &ids[0]) &&
                   graph_find(graph, to, &ids[1]) &&
                   graph_find_label(graph, label, &ids[2]) &&
                   graph_find_edge(graph, ids[0], ids[1], ids[2], &value);
    if (!*ret_deleted)
        return ST_OK;
    edge = graph_keep_edge(&writer->options, ids[0], ids[1], ids[2]);
    return remove_edge(writer, edge, from, to, label);
}

/* Removes the first edge of a vertex on a side; `*ret_found` false: none. */
static enum status remove_first(struct graph_writer *writer,
                                struct bytes vertex, uint64_t id,
                                enum graph_part side, struct buffer *keys,
                                bool *ret_found)
{
    const struct graph *graph = &writer->graph;
    struct graph_arcs arcs;
    struct graph_arc arc;
    struct bytes label;
    struct graph_kept_edge edge;
    size_t middle;
    enum status st;

    graph_arcs_init(&arcs, graph, side, id, GRAPH_LABEL_ANY,
                    &writer->store->entry);
    st = graph_arcs_next(&arcs, &arc, ret_found);
    if (st < 0 || !*ret_found)
        return st;
    keys->size = 0;
    st = graph_vertex_key(graph, arc.other, keys);
    middle = keys->size;
    if (st == ST_OK && !graph_label(graph, arc.label, &label))
        st = ST_LOG_REFUSED;
    if (st == ST_OK)
        st = key_encode(label, keys);
    if (st < 0)
        return st;
    if (side == GRAPH_OUT) {
        edge = graph_keep_edge(&writer->options, id, arc.other, arc.label);
        return remove_edge(writer, edge, vertex, bytes_of(keys->data, middle),
                           bytes_of(keys->data + middle, keys->size - middle));
    }
    edge = graph_keep_edge(&writer->options, arc.other, id, arc.label);
    return remove_edge(writer, edge, bytes_of(keys->data, middle), vertex,
                       bytes_of(keys->data + middle, keys->size - middle));
}

enum status graph_delete_vertex(struct graph_writer *writer,
                                struct bytes vertex, bool *ret_deleted,
                                uint64_t *ret_edges)
{
    struct store *store = writer->store;
    const struct graph *graph = &writer->graph;
    struct buffer keys = BUFFER(store->mem);
    uint8_t room[GRAPH_ID_BYTES_MAX];
    struct bytes key;
    uint64_t id;
    uint64_t count;
    enum status st = ST_OK;

    *ret_edges = 0;
    writer->from_size = 0;
    *ret_deleted = graph_find(graph, vertex, &id);
    if (!*ret_deleted)
        return ST_OK;
    mem_exempt_begin(store->mem);
    for (int side = GRAPH_OUT; side <= GRAPH_IN; side++) {
        bool found = true;

        while (st == ST_OK && found) {
            st = remove_first(writer, vertex, id, (enum graph_part)side, &keys,
                              &found);
            *ret_edges += st == ST_OK && found;
        }
    }
    buffer_free(&keys);
    key = graph_id_key(room, id);
    if (st == ST_OK)
        st = note_as_is(writer, CHANGE_REMOVE, vertex, id);
    if (st == ST_OK)
        st = delete_row(writer, GRAPH_VERTEX_VALUES, key);
    if (st == ST_OK)
        st = table_delete_key(store, writer->parts[GRAPH_VERTEX_LABELS],
                              SIDE_FWD, key, &count);
    if (st == ST_OK)
        st = delete_row(writer, GRAPH_VERTICES, key);
    if (writer->table->places)
        graph_memo_forget(store, &writer->table->places->memo, id);
    if (st == ST_OK)
        st = delete_row(writer, GRAPH_VERTEX_IDS, vertex);
    if (st == ST_OK)
        st = drop_contracted(writer, vertex);
    mem_exempt_end(store->mem);
    return st;
}
