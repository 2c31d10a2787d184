#include "cli/elements.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/term_put.h"
#include "log/walk.h"

#define VERSION 131
#define HEADER_BYTES 4

/* A frame is read in pieces, so that one that lies about its length takes no
 * memory for it. */
#define PIECE_BYTES ((size_t)1 << 20)
#define FRAME_BYTES_MAX ((size_t)1 << 30)

static void put_weight(struct buffer *out, const struct graph_options *options)
{
    if (options->weight == WEIGHT_KEY) {
        term_put_tuple(out, 2);
        term_put_atom(out, BYTES("key"));
        text_bytes(out, options->weight_key);
    } else {
        term_put_atom(out, options->weight == WEIGHT_VALUE ? BYTES("value")
                                                           : BYTES("none"));
    }
}

void elements_of_graph(struct elements *elements, const struct graph *graph)
{
    *elements = (struct elements){
        .graph = graph,
        .frame = BUFFER(cli_mem()),
        .labels = BUFFER(cli_mem()),
        .undirected = graph->options.undirected,
        .weight = BUFFER(cli_mem()),
    };
    put_weight(&elements->weight, &graph->options);
}

void elements_free(struct elements *elements)
{
    buffer_free(&elements->weight);
    io_free(elements->io);
    buffer_free(&elements->frame);
    buffer_free(&elements->labels);
}

/* --- a graph -------------------------------------------------------------- */

static enum status put_label(void *context, uint64_t label)
{
    struct elements *elements = context;
    struct bytes term;

    if (graph_label(elements->graph, label, &term))
        text_bytes(&elements->labels, term);
    elements->count++;
    return ST_OK;
}

/* Writers are given ETF_LIST, or ETF_NIL where there are no labels, and never
 * a string. */
static struct bytes end_labels(struct elements *elements, size_t list,
                               uint32_t count)
{
    if (count) {
        store_be32(elements->labels.data + list + 1, count);
        text_byte(&elements->labels, (char)ETF_NIL);
    } else {
        term_put_list_end(&elements->labels, list, 0);
    }
    return buffer_bytes(&elements->labels);
}

/* The labels of a vertex as a list. */
static struct bytes labels_of(struct elements *elements, uint64_t id,
                              struct tree_entry *entry)
{
    uint64_t before = elements->count;
    size_t list;
    uint32_t count;

    elements->labels.size = 0;
    list = term_put_list_begin(&elements->labels);
    if (graph_each_label(elements->graph, id, entry, put_label, elements) < 0)
        text_no_memory();
    count = (uint32_t)(elements->count - before);
    elements->count = before;
    return end_labels(elements, list, count);
}

static bool each_vertex(struct elements *elements, void *context,
                        bool (*each)(void *context,
                                     const struct element_terms *element))
{
    const struct graph *graph = elements->graph;
    struct tree_entry entry = {.buffer = BUFFER(cli_mem())};
    struct tree_entry scratch = {.buffer = BUFFER(cli_mem())};
    struct element_terms element = {.is_edge = false};
    struct graph_walk walk;
    bool go_on = true;
    bool found;
    uint64_t id;

    graph_vertices_init(&walk, graph, 0, &entry);
    while (go_on) {
        if (graph_vertices_next(&walk, &id, &element.vertex, &found) < 0)
            text_no_memory();
        if (!found)
            break;
        element.value = graph_vertex_value(graph, id);
        element.labels = labels_of(elements, id, &scratch);
        elements->count++;
        go_on = each(context, &element);
    }
    buffer_free(&entry.buffer);
    buffer_free(&scratch.buffer);
    return go_on;
}

static bool each_edge(struct elements *elements, void *context,
                      bool (*each)(void *context,
                                   const struct element_terms *element))
{
    const struct graph *graph = elements->graph;
    struct tree_entry entry = {.buffer = BUFFER(cli_mem())};
    struct element_terms element = {.is_edge = true};
    struct graph_arc none = {0, 0};
    struct graph_arc arc;
    struct graph_walk walk;
    bool go_on = true;
    bool found;
    uint64_t from;
    uint64_t last = 0;

    graph_edges_init(&walk, graph, 0, &none, &entry);
    while (go_on) {
        if (graph_edges_next(&walk, &from, &arc, &found) < 0)
            text_no_memory();
        if (!found)
            break;
        if (from != last)
            REQUIRE(graph_vertex(graph, from, &element.vertex));
        last = from;
        REQUIRE(graph_vertex(graph, arc.other, &element.to));
        element.label = graph_nil;
        if (arc.label)
            REQUIRE(graph_label(graph, arc.label, &element.label));
        element.value = graph_arc_value(graph, GRAPH_OUT, from, &arc);
        elements->count++;
        go_on = each(context, &element);
    }
    buffer_free(&entry.buffer);
    return go_on;
}

/* --- frames --------------------------------------------------------------- */

/* Bytes of stdin in order; fewer than asked only at its end. */
static ssize_t read_bytes(struct elements *elements, uint8_t *data, size_t size)
{
    size_t read = 0;

    while (read < size) {
        ssize_t done =
            elements->io
                ? io_pread(elements->io, elements->fd, data + read, size - read,
                           elements->offset)
                : spool_read(&elements->spool, data + read, size - read);

        if (done < 0) {
            elements->status =
                complain_io("stdin", "cannot be read", (int)done);
            return -1;
        }
        if (done == 0)
            break;
        read += (size_t)done;
        elements->offset += (uint64_t)done;
    }
    return (ssize_t)read;
}

static bool wrong(struct elements *elements, uint64_t offset, const char *what)
{
    complain("stdin: the frame at offset %" PRIu64 " %s", offset, what);
    elements->status = EXIT_NOT_A_LOG;
    return false;
}

/* The next frame's term in elements->frame; no bytes at the end. */
static bool next_frame(struct elements *elements)
{
    struct buffer *frame = &elements->frame;
    uint64_t offset = elements->offset;
    uint8_t header[HEADER_BYTES];
    ssize_t done = read_bytes(elements, header, sizeof(header));
    size_t left;
    size_t size;

    frame->size = 0;
    if (done <= 0)
        return done == 0;
    if (done < HEADER_BYTES)
        return wrong(elements, offset, "is cut off");
    left = load_be32(header);
    if (left < 2 || left > FRAME_BYTES_MAX)
        return wrong(elements, offset, "is empty or longer than 1 GiB");
    while (left) {
        size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;

        if (buffer_reserve(frame, piece) < 0)
            text_no_memory();
        done = read_bytes(elements, frame->data + frame->size, piece);
        if (done < 0)
            return false;
        frame->size += (size_t)done;
        if ((size_t)done < piece)
            return wrong(elements, offset, "is cut off");
        left -= piece;
    }
    if (frame->data[0] != VERSION ||
        etf_validate(bytes_of(frame->data + 1, frame->size - 1), &size, NULL) <
            0 ||
        size != frame->size - 1)
        return wrong(elements, offset, "is no external term");
    return true;
}

/* The labels that a client has sent: [1,2] comes as a string. */
static bool take_labels(struct elements *elements, struct bytes term,
                        struct bytes *ret)
{
    struct walk walk = {term.data};
    uint32_t count;

    *ret = term;
    if (term.data[0] == ETF_STRING) {
        size_t list;

        elements->labels.size = 0;
        list = term_put_list_begin(&elements->labels);
        count = load_be16(term.data + 1);
        for (uint32_t i = 0; i < count; i++)
            term_put_integer(&elements->labels, term.data[3 + i]);
        *ret = end_labels(elements, list, count);
        return true;
    }
    if (!walk_list(&walk, &count))
        return false;
    if (!count)
        *ret = bytes_of(walk.at, 1);
    for (; count; count--)
        walk_term(&walk);
    return walk_nil(&walk);
}

static bool take_element(struct elements *elements, struct walk *walk,
                         struct element_terms *ret)
{
    if (walk_tuple(walk, 5) && walk_atom(walk, "edge")) {
        ret->is_edge = true;
        ret->vertex = walk_term(walk);
        ret->to = walk_term(walk);
        ret->label = walk_term(walk);
        ret->value = walk_term(walk);
        return true;
    }
    if (walk_tuple(walk, 4) && walk_atom(walk, "vertex")) {
        ret->is_edge = false;
        ret->vertex = walk_term(walk);
        ret->value = walk_term(walk);
        return take_labels(elements, walk_term(walk), &ret->labels);
    }
    return false;
}

/* none | value | {key, K}; anything else leaves it as it was. It is put anew:
 * whoever reads it knows the form that we give it. */
static void take_weight(struct elements *elements, struct bytes rule)
{
    struct graph_options options = {.weight = WEIGHT_NONE};
    struct walk walk = {rule.data};

    if (walk_atom(&walk, "value")) {
        options.weight = WEIGHT_VALUE;
    } else if (walk_tuple(&walk, 2) && walk_atom(&walk, "key")) {
        options.weight = WEIGHT_KEY;
        options.weight_key = walk_term(&walk);
    } else {
        return;
    }
    elements->weight.size = 0;
    put_weight(&elements->weight, &options);
}

/* {graph, G, #{directed => Boolean, weight => Rule}} */
static bool take_graph(struct elements *elements, struct walk walk)
{
    uint32_t count;

    if (!walk_tuple(&walk, 3) || !walk_atom(&walk, "graph"))
        return false;
    walk_term(&walk);
    if (!walk_map(&walk, &count))
        return false;
    for (; count; count--) {
        bool directed = walk_atom(&walk, "directed");
        bool weight = !directed && walk_atom(&walk, "weight");
        struct bytes value;

        if (!directed && !weight)
            walk_term(&walk);
        if (directed && walk_atom(&walk, "false")) {
            elements->undirected = true;
            continue;
        }
        value = walk_term(&walk);
        if (weight)
            take_weight(elements, value);
    }
    return true;
}

static bool each_of_frame(struct elements *elements, void *context,
                          bool (*each)(void *context,
                                       const struct element_terms *element))
{
    struct walk walk = {elements->frame.data + 1};
    uint64_t offset = elements->offset - elements->frame.size - HEADER_BYTES;
    struct element_terms element;
    uint32_t count;

    if (take_graph(elements, walk))
        return true;
    if (!walk_list(&walk, &count))
        return wrong(elements, offset, "is no list of elements");
    for (; count; count--) {
        if (!take_element(elements, &walk, &element))
            return wrong(elements, offset,
                         "has something that is no {vertex, V, Value, Labels} "
                         "and no {edge, From, To, Label, Value}");
        elements->count++;
        if (!each(context, &element))
            return false;
    }
    return walk_nil(&walk) || wrong(elements, offset, "is no proper list");
}

static bool each_frame(struct elements *elements, void *context,
                       bool (*each)(void *context,
                                    const struct element_terms *element))
{
    if (elements->io)
        elements->offset = 0;
    for (;;) {
        if (elements->held)
            elements->held = false;
        else if (!next_frame(elements))
            return false;
        if (!elements->frame.size)
            return true;
        if (!each_of_frame(elements, context, each))
            return false;
    }
}

int elements_of_frames(struct elements *elements, bool again)
{
    const char *what = "cannot be read";
    int error;

    *elements = (struct elements){
        .frame = BUFFER(cli_mem()),
        .labels = BUFFER(cli_mem()),
        .weight = BUFFER(cli_mem()),
    };
    put_weight(&elements->weight, &(struct graph_options){0});
    error = spool_open(&elements->spool);
    if (error == 0 && again)
        error = spool_directory(&elements->spool, &elements->io, &what);
    if (error == 0 && again) {
        elements->fd = io_open(elements->io, SPOOL_NAME, IO_READ);
        error = elements->fd < 0 ? elements->fd : 0;
    }
    if (error < 0)
        return complain_io("stdin", what, error);
    /* The first one says what graph it is, before anything is written. */
    if (!next_frame(elements))
        return elements->status;
    if (elements->frame.size)
        take_graph(elements, (struct walk){elements->frame.data + 1});
    elements->held = !again;
    return -1;
}

bool elements_each(struct elements *elements, void *context,
                   bool (*each)(void *context,
                                const struct element_terms *element))
{
    if (!elements->graph)
        return each_frame(elements, context, each);
    return each_vertex(elements, context, each) &&
           each_edge(elements, context, each);
}
