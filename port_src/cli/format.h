/*
 * format.h -- what the formats of graphs share: how a reader hands on what it
 * finds in a file, and how a writer gets what is to stand in one.
 *
 *     file --> input.h --> format_*.c --> import.h --> a graph of a store
 *                                                 '--> frames for a client
 *
 *     a graph of a store --> export.h --> format_*.c --> sink.h --> file
 *     frames of a client --'
 *
 * A format is a row in format.c: its name, what reads one file of it, and what
 * writes it; either may be missing. It knows neither stores nor frames.
 */
#ifndef RHIZOME_CLI_FORMAT_H
#define RHIZOME_CLI_FORMAT_H

#include "cli/input.h"
#include "cli/options.h"

struct import;
struct export;

struct format {
    const char *name;
    /* Reads import_input() to its end. False: it is over, for import_wrong()
     * or what took an element has said so. NULL: it is only written. */
    bool (*read)(struct import *import);
    /* Writes all. -1, or an exit status after a complaint. */
    int (*write)(struct export *export);
    bool needs_directory; /* it is several files */
};

/* In the order of the help; an empty name ends it. */
extern const struct format format_list[];

/* NULL if there is none. */
const struct format *format_find(const char *name);

/* --- reading -------------------------------------------------------------- */

enum ids { IDS_AUTO, IDS_INTEGER, IDS_STRING };
enum header { HEADER_AUTO, HEADER_YES, HEADER_NO };
enum format_direction {
    DIRECTION_AUTO,
    DIRECTION_DIRECTED,
    DIRECTION_UNDIRECTED
};
enum words { WORDS_STRINGS, WORDS_ATOMS };

/* How files are to be read. */
struct read_options {
    const char *delimiter; /* NULL: found out */
    const char *columns;   /* NULL: found out */
    unsigned header;
    unsigned ids;
    unsigned words; /* labels and names of properties */
    unsigned direction;
};

struct input *import_input(struct import *import);
const struct read_options *import_options(const struct import *import);

/* A vertex as it stands in a file. */
struct vertex {
    enum { VERTEX_INTEGER, VERTEX_TEXT, VERTEX_TERM } kind;
    int64_t integer;
    struct bytes bytes; /* text, or an external term */
};

/*
 * Complains about the input: file, `line`, `column` (from 1; 0: the whole
 * line), and what is wrong there. False if that was one error too many: the
 * reader gives up. True: it goes on behind the element at fault.
 */
bool import_wrong(struct import *import, uint64_t line, size_t column,
                  const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same where nothing can be read any more: always false. */
bool import_broken(struct import *import, uint64_t line, size_t column,
                   const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What is wrong with the input itself (input->fault). Always false. */
bool import_fault(struct import *import);

/*
 * A text as a vertex, by --ids: borrowed from `text` or from `scratch`. Text
 * of no bytes is the empty binary if it is `quoted`, and else no vertex. False
 * if it is none: complained about, and `*ret_go_on` is what the reader
 * returns, or goes on with if it is true.
 */
bool import_vertex_text(struct import *import, struct bytes text, bool quoted,
                        uint64_t line, size_t column, struct buffer *scratch,
                        struct vertex *ret, bool *ret_go_on);

/* True if the text is UTF-8 without NUL. Otherwise as above. */
bool import_check_text(struct import *import, struct bytes text, uint64_t line,
                       size_t column, bool *ret_go_on);

/* Puts a label or the name of a property: a binary or, with --words atoms, an
 * atom. False if it is too long for one. */
bool import_put_word(const struct import *import, struct buffer *out,
                     struct bytes word);

/*
 * What a file says of the graph, before its first element: it counts if the
 * graph is new and the options do not say otherwise. `weight` is a term,
 * none | value | {key, K}, or empty.
 */
void import_declare(struct import *import, bool undirected,
                    struct bytes weight);

/* Is the graph undirected, as far as is known? Ends what can be declared. */
bool import_is_undirected(struct import *import);

/*
 * One element. Values and labels are external terms; a `value` of no bytes is
 * nil, and so is such a `label`. `line` and `column` are where it stands.
 * False: it is over.
 */
bool import_vertex(struct import *import, uint64_t line, size_t column,
                   const struct vertex *vertex, struct bytes value,
                   const struct bytes *labels, size_t label_count);
bool import_edge(struct import *import, uint64_t line, size_t column,
                 const struct vertex *from, const struct vertex *to,
                 struct bytes label, struct bytes value);

/* --- writing -------------------------------------------------------------- */

/* An element to write: external terms. */
struct element_terms {
    bool is_edge;
    struct bytes vertex; /* of an edge: from */
    struct bytes to;
    struct bytes label;
    struct bytes value;
    struct bytes labels; /* of a vertex: a list */
};

/* How a file is to be written. */
struct write_options {
    const char *delimiter; /* NULL: a tab */
    bool no_header;
    uint64_t limit; /* of DOT: vertices and edges; 0: all */
};

const struct write_options *export_options(const struct export *export);
bool export_is_undirected(const struct export *export);

/* none, value or {key, K} as a term: the graph's rule for weights. */
struct bytes export_weight(const struct export *export);

/*
 * Calls `each` with every element, as often as the writer needs; vertices
 * before edges if they come from a store. False: reading failed, or nobody
 * takes what is written (export_status()).
 */
bool export_each(struct export *export, void *context,
                 void (*each)(void *context,
                              const struct element_terms *element));

/* Opens a file of a directory, or (NULL) the one that was named. -1, or an
 * exit status; and what has been written goes to where it belongs. */
int export_open(struct export *export, const char *name);
int export_close(struct export *export, bool complete);
void export_bytes(struct export *export, struct bytes bytes);

/* Notes that an element came out in a form that does not come back the same
 * (it counts once), or not at all; and that the file does not say that the
 * graph is undirected. */
void export_inexact(struct export *export);
void export_left_out(struct export *export);
void export_direction_lost(struct export *export);

/* After a false. */
int export_status(const struct export *export);

/* The text of a term for a cell: numbers and text as such, atoms by their
 * name, and else as Erlang writes it. */
void format_put_text(struct buffer *out, struct bytes term);

/* True if the text of a term, put by that, reads back as the vertex that it
 * was; and as the value, which a quote keeps from being read as a number. */
bool format_vertex_is_exact(struct bytes term);
bool format_value_is_exact(struct bytes term);

/* Is the term a binary of UTF-8 without NUL? `ret` is what it holds. */
bool format_is_text(struct bytes term, struct bytes *ret);

/* The name of an atom, or what a binary of text holds, until the next call;
 * false if it is neither. */
bool format_word(struct bytes term, struct bytes *ret);

/* The character that --delimiter means for a file that is written; 0: none. */
char write_delimiter(const char *text);

/* --- the formats ---------------------------------------------------------- */

bool edges_read(struct import *import);
int edges_write(struct export *export);
bool neo4j_read(struct import *import);
int neo4j_write(struct export *export);
bool jsonl_read(struct import *import);
int jsonl_write(struct export *export);
bool graphml_read(struct import *import);
int graphml_write(struct export *export);
bool mtx_read(struct import *import);
int mtx_write(struct export *export);
int dot_write(struct export *export);

#endif
