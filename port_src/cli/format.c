#include "cli/format.h"

#include "cli/term.h"
#include "cli/term_parts.h"
#include "cli/term_put.h"
#include "core/etf.h"

const struct format format_list[] = {
    {"edges", edges_read, edges_write, false},
    {"neo4j", neo4j_read, neo4j_write, true},
    {"jsonl", jsonl_read, jsonl_write, false},
    {"graphml", graphml_read, graphml_write, false},
    {"mtx", mtx_read, mtx_write, false},
    {"dot", NULL, dot_write, false},
    {"", NULL, NULL, false},
};

const struct format *format_find(const char *name)
{
    for (const struct format *format = format_list; *format->name; format++) {
        if (strcmp(format->name, name) == 0)
            return format;
    }
    return NULL;
}

bool format_is_text(struct bytes term, struct bytes *ret)
{
    if (term.data[0] != ETF_BINARY)
        return false;
    *ret = read_binary(term.data);
    return !(ret->size && memchr(ret->data, 0, ret->size)) &&
           text_is_utf8(*ret);
}

bool format_word(struct bytes term, struct bytes *ret)
{
    static uint8_t scratch[ATOM_BYTES_MAX];

    if (!is_atom(term.data))
        return format_is_text(term, ret);
    read_atom(term.data, scratch, ret);
    return true;
}

static double float_of(const uint8_t *p)
{
    uint64_t bits = load_be64(p + 1);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

void format_put_text(struct buffer *out, struct bytes term)
{
    struct bytes word;

    if (format_word(term, &word))
        text_bytes(out, word);
    else if (term.data[0] == ETF_NEW_FLOAT)
        text_float(out, float_of(term.data));
    else
        term_text(out, term.data, NULL);
}

static bool is_exact_integer(struct bytes term)
{
    switch (term.data[0]) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
        return true;
    case ETF_SMALL_BIG: /* of no more digits than are read */
        return term.data[1] < 248;
    default:
        return false;
    }
}

bool format_value_is_exact(struct bytes term)
{
    struct bytes text;

    return is_exact_integer(term) || term.data[0] == ETF_NEW_FLOAT ||
           format_is_text(term, &text);
}

bool format_vertex_is_exact(struct bytes term)
{
    struct bytes text;
    int64_t integer;
    double value;
    enum number_kind kind;

    if (is_exact_integer(term))
        return true;
    if (!format_is_text(term, &text))
        return false;
    kind = number_read(text, false, &integer, &value);
    return kind != NUMBER_INTEGER && kind != NUMBER_BIG;
}
