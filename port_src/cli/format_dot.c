/*
 * format_dot.c -- Graphviz's DOT, which is only written: a picture is not read
 * back.
 *
 *     digraph {
 *       "ann" [class="person", tooltip="[<<\"person\">>]"];
 *       ":ann" [label="ann"];
 *       "ann" -> ":ann" [label="knows"];
 *     }
 *
 * No two vertices have one name: the integer 1 is "1", text is itself unless
 * it could be taken for another term, an atom has a colon before it, and
 * others are as Erlang writes them, or as JSON (format_jsonl.c) where that may
 * be said of two. What looks otherwise has a label.
 *
 * Labels of vertices are in their tooltip and, if there is one, in `class`.
 * Graphviz gives up on some ten thousand edges: --limit writes the first ones.
 */
#include "cli/properties.h"
#include "cli/term.h"
#include "cli/term_parts.h"
#include "core/etf.h"
#include "core/graph.h"

struct dot_writer {
    struct export *export;
    const char *arrow;
    uint64_t vertices;
    uint64_t edges;
    uint64_t limit;
    struct buffer line;
    struct buffer text;
};

/* A string of DOT: only the quote is special, and a backslash begins an
 * escape of labels. */
static void put_text(struct dot_writer *writer)
{
    struct buffer *out = &writer->line;

    text_byte(out, '"');
    for (size_t i = 0; i < writer->text.size; i++) {
        char c = (char)writer->text.data[i];

        if (c == '"' || c == '\\')
            text_byte(out, '\\');
        if (c == '\n')
            text_append(out, "\\n");
        else
            text_byte(out, (uint8_t)c < 0x20 ? ' ' : c);
    }
    text_byte(out, '"');
}

static void put_quoted(struct dot_writer *writer, struct bytes term)
{
    writer->text.size = 0;
    format_put_text(&writer->text, term);
    put_text(writer);
}

/* Text that begins as no other term is named, and that put_quoted() writes as
 * it is. */
static bool is_plain(struct bytes term)
{
    struct bytes text;

    if (!format_is_text(term, &text) || !text.size ||
        strchr("0123456789-:{[<#'\"", text.data[0]))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20)
            return false;
    }
    return true;
}

/* The name of a vertex; true if it looks like the vertex. */
static bool put_name(struct dot_writer *writer, struct bytes term)
{
    bool atom = is_atom(term.data);
    bool literal = true;

    if (is_plain(term)) {
        put_quoted(writer, term);
        return true;
    }
    writer->text.size = 0;
    text_append(&writer->text, atom ? ":" : "");
    term_text(&writer->text, term.data, &literal);
    /* fun lists:map/2 might be text. */
    literal &= term.data[0] != ETF_EXPORT;
    if (!literal) {
        writer->text.size = 0;
        jsonl_put_term(&writer->text, term);
    }
    put_text(writer);
    return literal && !atom && term.data[0] != ETF_BINARY;
}

/* The first label, as what styles go by. */
static void put_vertex(struct dot_writer *writer,
                       const struct element_terms *element)
{
    const uint8_t *label = element->labels.data + 5;
    bool named = put_name(writer, element->vertex);

    if (!named) {
        text_append(&writer->line, " [label=");
        put_quoted(writer, element->vertex);
    }
    if (element->labels.data[0] == ETF_LIST) {
        text_append(&writer->line, named ? " [class=" : ", class=");
        put_quoted(writer, bytes_of(label, etf_size(label)));
        text_append(&writer->line, ", tooltip=");
        put_quoted(writer, element->labels);
    }
    if (!named || element->labels.data[0] == ETF_LIST)
        text_byte(&writer->line, ']');
}

static void put_edge(struct dot_writer *writer,
                     const struct element_terms *element)
{
    bool label = !graph_is_nil(element->label);
    bool value = !graph_is_nil(element->value);

    put_name(writer, element->vertex);
    text_append(&writer->line, writer->arrow);
    put_name(writer, element->to);
    if (!label && !value)
        return;
    text_append(&writer->line, label ? " [label=" : " [xlabel=");
    put_quoted(writer, label ? element->label : element->value);
    if (label && value) {
        text_append(&writer->line, ", xlabel=");
        put_quoted(writer, element->value);
    }
    text_byte(&writer->line, ']');
}

static void put_element(void *context, const struct element_terms *element)
{
    struct dot_writer *writer = context;
    uint64_t *count = element->is_edge ? &writer->edges : &writer->vertices;

    if (writer->limit && *count == writer->limit) {
        export_left_out(writer->export);
        return;
    }
    ++*count;
    writer->line.size = 0;
    text_append(&writer->line, "  ");
    if (element->is_edge)
        put_edge(writer, element);
    else
        put_vertex(writer, element);
    text_append(&writer->line, ";\n");
    export_bytes(writer->export, buffer_bytes(&writer->line));
}

int dot_write(struct export *export)
{
    bool undirected = export_is_undirected(export);
    struct dot_writer writer = {
        .export = export,
        .arrow = undirected ? " -- " : " -> ",
        .limit = export_options(export)->limit,
        .line = BUFFER(cli_mem()),
        .text = BUFFER(cli_mem()),
    };
    int status = export_open(export, NULL);
    bool good;

    if (status < 0) {
        text_append(&writer.line, undirected ? "graph {\n" : "digraph {\n");
        export_bytes(export, buffer_bytes(&writer.line));
        good = export_each(export, &writer, put_element);
        export_bytes(export, BYTES("}\n"));
        status = export_close(export, good);
        if (status < 0 && !good)
            status = export_status(export);
    }
    buffer_free(&writer.line);
    buffer_free(&writer.text);
    return status;
}
