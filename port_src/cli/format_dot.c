/*
 * format_dot.c -- Graphviz's DOT, which is only written: a picture is not read
 * back.
 *
 *     digraph "social" {
 *       "1" [label="ann"];
 *       "1" -> "2" [label="knows"];
 *     }
 *
 * Labels of vertices are in their tooltip and, if there is one, in `class`.
 * Graphviz gives up on some ten thousand edges: --limit writes the first ones.
 */
#include "cli/format.h"
#include "cli/term.h"
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
static void put_quoted(struct dot_writer *writer, struct bytes term)
{
    struct buffer *out = &writer->line;

    writer->text.size = 0;
    format_put_text(&writer->text, term);
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

/* The first label, as what styles go by. */
static void put_vertex(struct dot_writer *writer,
                       const struct element_terms *element)
{
    const uint8_t *label = element->labels.data + 5;

    put_quoted(writer, element->vertex);
    if (element->labels.data[0] == ETF_LIST) {
        text_append(&writer->line, " [class=");
        put_quoted(writer, bytes_of(label, etf_size(label)));
        text_append(&writer->line, ", tooltip=");
        put_quoted(writer, element->labels);
        text_byte(&writer->line, ']');
    }
}

static void put_edge(struct dot_writer *writer,
                     const struct element_terms *element)
{
    bool label = !graph_is_nil(element->label);
    bool value = !graph_is_nil(element->value);

    put_quoted(writer, element->vertex);
    text_append(&writer->line, writer->arrow);
    put_quoted(writer, element->to);
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
