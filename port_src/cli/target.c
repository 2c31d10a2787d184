#include "cli/target.h"

#include <stdlib.h>

#include "cli/term_put.h"
#include "core/etf.h"
#include "core/key.h"

#define VERSION 131

void target_init(struct target *target, struct graph_load *load,
                 struct bytes name, uint64_t batch_max)
{
    *target = (struct target){
        .load = load,
        .key = BUFFER(cli_mem()),
        .last_label = BUFFER(cli_mem()),
        .graph = name,
        .batch_max = batch_max,
        .vertices = {.terms = BUFFER(cli_mem())},
        .edges = {.terms = BUFFER(cli_mem())},
    };
}

void target_deinit(struct target *target)
{
    graph_load_abort(target->load);
    buffer_free(&target->key);
    buffer_free(&target->last_label);
    buffer_free(&target->vertices.terms);
    buffer_free(&target->edges.terms);
    free(target->labels);
}

struct graph_load *target_take(struct target *target)
{
    struct graph_load *load = target->load;

    target->load = NULL;
    return load;
}

/* --- a graph -------------------------------------------------------------- */

static enum status encode(struct target *target, const struct vertex *vertex)
{
    struct buffer term = BUFFER(cli_mem());
    enum status st;

    target->key.size = 0;
    if (vertex->kind == VERTEX_TERM)
        return key_encode(vertex->bytes, &target->key);
    term_put_binary(&term, vertex->bytes);
    st = key_encode(buffer_bytes(&term), &target->key);
    buffer_free(&term);
    return st;
}

static enum status find_vertex(struct target *target,
                               const struct vertex *vertex, uint32_t *ret)
{
    enum status st;

    if (vertex->kind == VERTEX_INTEGER)
        return graph_load_integer(target->load, vertex->integer, ret);
    st = encode(target, vertex);
    if (st < 0)
        return st;
    return graph_load_vertex(target->load, buffer_bytes(&target->key), ret);
}

/* The same label mostly stands on the next line, too. */
static enum status find_label(struct target *target, struct bytes label,
                              uint32_t *ret)
{
    enum status st;

    if (!label.size) {
        *ret = 0;
        return ST_OK;
    }
    if (bytes_equal(label, buffer_bytes(&target->last_label))) {
        *ret = target->last_number;
        return ST_OK;
    }
    target->key.size = 0;
    st = key_encode(label, &target->key);
    if (st == ST_OK)
        st = graph_load_label(target->load, buffer_bytes(&target->key), ret);
    if (st == ST_OK) {
        target->last_label.size = 0;
        text_bytes(&target->last_label, label);
        target->last_number = *ret;
    }
    return st;
}

static enum status load_vertex(struct target *target,
                               const struct vertex *vertex, struct bytes value,
                               const struct bytes *labels, size_t label_count)
{
    uint32_t number;
    enum status st = ST_OK;

    if (label_count > target->label_capacity) {
        free(target->labels);
        target->label_capacity = 2 * label_count;
        target->labels =
            calloc(target->label_capacity, sizeof(*target->labels));
        if (!target->labels)
            text_no_memory();
    }
    for (size_t i = 0; st == ST_OK && i < label_count; i++)
        st = find_label(target, labels[i], &target->labels[i]);
    if (st == ST_OK)
        st = find_vertex(target, vertex, &number);
    if (st == ST_OK)
        st = graph_load_put_vertex(target->load, number,
                                   value.size ? value : graph_nil,
                                   target->labels, label_count);
    return st;
}

static enum status load_edge(struct target *target, const struct vertex *from,
                             const struct vertex *to, struct bytes label,
                             struct bytes value)
{
    uint32_t label_number;
    uint32_t from_number;
    uint32_t to_number;
    enum status st = find_label(target, label, &label_number);

    if (st == ST_OK)
        st = find_vertex(target, from, &from_number);
    if (st == ST_OK)
        st = find_vertex(target, to, &to_number);
    if (st == ST_OK)
        st = graph_load_put_edge(target->load, from_number, to_number,
                                 label_number, value.size ? value : graph_nil);
    return st;
}

/* --- frames --------------------------------------------------------------- */

/* Begins a frame whose term is put behind it. */
static void frame_begin(struct buffer *frame)
{
    text_bytes(frame, BYTES("\0\0\0\0"));
    text_byte(frame, (char)VERSION);
}

static void frame_end(struct buffer *frame)
{
    store_be32(frame->data, (uint32_t)(frame->size - 4));
    output_bytes(buffer_bytes(frame));
    buffer_free(frame);
}

static void put_atom(struct buffer *out, const char *name)
{
    term_put_atom(out, bytes_of(name, strlen(name)));
}

static void batch_send(struct target *target, struct batch *batch,
                       const char *command)
{
    struct buffer frame = BUFFER(cli_mem());
    uint8_t list[5] = {ETF_LIST};

    if (!batch->count)
        return;
    frame_begin(&frame);
    term_put_tuple(&frame, 3);
    put_atom(&frame, command);
    text_bytes(&frame, target->graph);
    store_be32(list + 1, batch->count);
    text_bytes(&frame, bytes_of(list, sizeof(list)));
    text_bytes(&frame, buffer_bytes(&batch->terms));
    text_byte(&frame, (char)ETF_NIL);
    frame_end(&frame);
    batch->terms.size = 0;
    batch->count = 0;
}

void target_flush(struct target *target)
{
    batch_send(target, &target->vertices, "put_vertices");
    batch_send(target, &target->edges, "put_edges");
}

static void batch_added(struct target *target, struct batch *batch)
{
    batch->count++;
    if (batch->count >= target->batch_max ||
        batch->terms.size >= TARGET_BATCH_BYTES)
        target_flush(target);
}

static void put_vertex(struct buffer *out, const struct vertex *vertex)
{
    switch (vertex->kind) {
    case VERTEX_INTEGER:
        term_put_integer(out, vertex->integer);
        break;
    case VERTEX_TEXT:
        term_put_binary(out, vertex->bytes);
        break;
    case VERTEX_TERM:
        text_bytes(out, vertex->bytes);
        break;
    }
}

static void put_or_nil(struct buffer *out, struct bytes term)
{
    text_bytes(out, term.size ? term : graph_nil);
}

static void send_vertex(struct target *target, const struct vertex *vertex,
                        struct bytes value, const struct bytes *labels,
                        size_t label_count)
{
    struct buffer *out = &target->vertices.terms;
    size_t list;

    term_put_tuple(out, 3);
    put_vertex(out, vertex);
    put_or_nil(out, value);
    list = term_put_list_begin(out);
    for (size_t i = 0; i < label_count; i++)
        text_bytes(out, labels[i]);
    term_put_list_end(out, list, (uint32_t)label_count);
    batch_added(target, &target->vertices);
}

static void send_edge(struct target *target, const struct vertex *from,
                      const struct vertex *to, struct bytes label,
                      struct bytes value)
{
    struct buffer *out = &target->edges.terms;

    term_put_tuple(out, value.size ? 4 : label.size ? 3 : 2);
    put_vertex(out, from);
    put_vertex(out, to);
    if (value.size || label.size)
        put_or_nil(out, label);
    if (value.size)
        text_bytes(out, value);
    batch_added(target, &target->edges);
}

static void put_count(struct buffer *out, const char *key, uint64_t value)
{
    put_atom(out, key);
    term_put_integer(out, (int64_t)value);
}

static void put_text(struct buffer *out, const char *key, const char *text)
{
    put_atom(out, key);
    term_put_binary(out, bytes_of(text, strlen(text)));
}

void target_graph(struct target *target, bool undirected)
{
    struct buffer frame = BUFFER(cli_mem());
    size_t map;

    if (target->load)
        return;
    frame_begin(&frame);
    term_put_tuple(&frame, 3);
    put_atom(&frame, "graph");
    text_bytes(&frame, target->graph);
    map = term_put_map_begin(&frame);
    put_atom(&frame, "directed");
    put_atom(&frame, undirected ? "false" : "true");
    term_put_map_end(&frame, map, 1);
    frame_end(&frame);
}

void target_wrong(struct target *target, const char *file, uint64_t line,
                  size_t column, const char *text)
{
    struct buffer frame = BUFFER(cli_mem());
    size_t map;

    if (target->load || !target->graph.size)
        return;
    frame_begin(&frame);
    term_put_tuple(&frame, 2);
    put_atom(&frame, "wrong");
    map = term_put_map_begin(&frame);
    put_count(&frame, "column", column);
    put_text(&frame, "file", file);
    put_count(&frame, "line", line);
    put_text(&frame, "text", text);
    term_put_map_end(&frame, map, 4);
    frame_end(&frame);
}

void target_imported(struct target *target, uint64_t errors, uint64_t bytes)
{
    struct buffer frame = BUFFER(cli_mem());
    size_t map;

    frame_begin(&frame);
    term_put_tuple(&frame, 2);
    put_atom(&frame, "imported");
    map = term_put_map_begin(&frame);
    put_count(&frame, "bytes", bytes);
    put_count(&frame, "edges", target->edge_count);
    put_count(&frame, "errors", errors);
    put_count(&frame, "vertices", target->vertex_count);
    term_put_map_end(&frame, map, 4);
    frame_end(&frame);
}

/* --- either --------------------------------------------------------------- */

enum status target_vertex(struct target *target, const struct vertex *vertex,
                          struct bytes value, const struct bytes *labels,
                          size_t label_count)
{
    target->vertex_count++;
    if (target->load)
        return load_vertex(target, vertex, value, labels, label_count);
    send_vertex(target, vertex, value, labels, label_count);
    return ST_OK;
}

enum status target_edge(struct target *target, const struct vertex *from,
                        const struct vertex *to, struct bytes label,
                        struct bytes value)
{
    target->edge_count++;
    if (target->load)
        return load_edge(target, from, to, label, value);
    send_edge(target, from, to, label, value);
    return ST_OK;
}
