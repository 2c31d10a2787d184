/*
 * call.h -- one command being carried out: its arguments and its answer.
 *
 * A handler (cmd_store.c, cmd_mutate.c, cmd_read.c) is three steps: take the
 * arguments in their order, call the core, put the Result. The call_ functions
 * take one argument each and say what was wrong with it, so that a handler
 * only passes a status on.
 *
 * Encoded keys lie in scratch buffers that serve one request after another.
 */
#ifndef RHIZOME_PORT_CALL_H
#define RHIZOME_PORT_CALL_H

#include "core/scan.h"
#include "port/commands.h"

/* Names of tables up to this many bytes, as they come, are remembered. */
#define TABLE_CACHE_BYTES 64

/* The table that the last command named: the next one often does too. */
struct table_cache {
    struct table *table; /* NULL: nothing is remembered */
    size_t size;
    uint8_t name[TABLE_CACHE_BYTES];
};

/* Encoded keys of the running request, each with one use. */
enum scratch {
    SCRATCH_NAME,
    SCRATCH_KEY,   /* of a view */
    SCRATCH_FIRST, /* of an element, or of a bound to start from */
    SCRATCH_SECOND,
    SCRATCH_TO,
    SCRATCH_TABLES, /* of a cascade, one entry for each */
    SCRATCH_LOSSES, /* of all of these tables, one entry for each */
    SCRATCH_COUNT,
};

struct commands {
    struct store *store;
    struct mem *mem; /* not the store's: reads go on at its limit */
    struct writer *out;
    struct buffer scratch[SCRATCH_COUNT];
    struct tree_entry entry;
    struct table_cache cache;
    struct figures figures;

    struct reader requests; /* what is left of the payload */
    struct list list;       /* the requests in it */
    bool lone;              /* one request that stands in no list */
    bool busy;
    bool deep; /* each request must be checked by itself */
};

/* What an error reply says beyond its code. */
struct complaint {
    const char *text;   /* a sentence, or NULL: status_text() */
    struct bytes table; /* a table's name, as the term it came as */
    int64_t position;   /* in a list of elements; -1: none */
    int64_t index;      /* of the Op in a batch; -1: none */
    uint64_t limit;     /* 0: none */
    uint32_t given;     /* wrong_arity */
    struct bytes name;  /* unknown_command: the atom's term */
    bool argument;      /* the fault lies in the argument last taken */
};

struct call {
    struct commands *commands;
    struct store *store;
    struct writer *out;
    const struct command *command; /* NULL if it is not known */
    struct reader args;
    unsigned argument; /* the one taken last, from 1 */
    size_t mark;       /* where this command's changes begin */
    struct table *table;
    enum side side;
    struct view view;
    struct complaint complaint;
};

/* An element of call->view, ready for the table_ functions. */
struct item {
    struct bytes first;
    struct bytes second;
};

/* Fails with a sentence of its own; gives back `st`. */
enum status call_fail(struct call *call, enum status st, const char *text);

/* The same for the argument that was taken last. */
enum status call_bad(struct call *call, const char *text);

/* An empty scratch buffer. */
struct buffer *call_scratch(struct call *call, enum scratch which);

/* Any term. */
struct bytes call_term(struct call *call);

/* An atom, or BAD_ARGUMENT with `text`. */
enum status call_atom(struct call *call, const char *text,
                      struct bytes *ret_name);

/* A term as a key in a scratch buffer: `reader` stands before it. */
enum status call_encode(struct call *call, struct reader *reader,
                        enum scratch which, struct bytes *ret_key);

/* A key as an argument. */
enum status call_key(struct call *call, struct bytes *ret_key);

/* A table's name, for a table that need not exist: encoded. */
enum status call_table_name(struct call *call, struct bytes *ret_name);

/* The table that an argument names, into call->table. ST_NO_TABLE. */
enum status call_table(struct call *call);

/* The same, and it must be a pom. ST_WRONG_TABLE_TYPE. */
enum status call_pom(struct call *call);

/* A side of call->table, into call->side. */
enum status call_side(struct call *call);

/* A view of call->table, into call->view and call->side. */
enum status call_view(struct call *call);

/* An element of call->view: from `reader`, or as an argument. */
enum status call_item(struct call *call, struct reader *reader,
                      struct item *ret);
enum status call_item_argument(struct call *call, struct item *ret);

/* The list that an argument must be. */
enum status call_list(struct call *call, struct list *ret);

/*
 * The bounds of a range over call->view as two arguments. `*ret_empty` tells
 * that a position lies outside of the view, and then the range is void.
 */
enum status call_range(struct call *call, enum direction direction,
                       struct range *ret, bool *ret_empty);

/* Puts the element (first, second) of `table`, given in fwd orientation, as
 * seen from `side`. `second` may be a value. */
void call_put_element(struct call *call, const struct table *table,
                      enum side side, struct bytes first, struct bytes second);

/* Puts Evicted and Cascade: what this command has removed so far. */
void call_put_changes(struct call *call, enum side side);

/* Forgets which table was named last, as tables come and go. */
void commands_forget_table(struct commands *commands);

/* The handlers, in the order of PROTOCOL.md. */
enum status cmd_ping(struct call *call);
enum status cmd_info(struct call *call);
enum status cmd_tables(struct call *call);
enum status cmd_create_table(struct call *call);
enum status cmd_drop_table(struct call *call);
enum status cmd_clear_table(struct call *call);
enum status cmd_table_info(struct call *call);
enum status cmd_insert(struct call *call);
enum status cmd_insert_new(struct call *call);
enum status cmd_insert_all(struct call *call);
enum status cmd_delete(struct call *call);
enum status cmd_delete_all(struct call *call);
enum status cmd_delete_key(struct call *call);
enum status cmd_insert_row(struct call *call);
enum status cmd_insert_rows(struct call *call);
enum status cmd_update_row(struct call *call);
enum status cmd_batch(struct call *call);
enum status cmd_get(struct call *call);
enum status cmd_member(struct call *call);
enum status cmd_has_key(struct call *call);
enum status cmd_count(struct call *call);
enum status cmd_key_count(struct call *call);
enum status cmd_rank(struct call *call);
enum status cmd_scan(struct call *call);

/* Carries out one Op of a batch; commands.c has it, cmd_batch() calls it. */
enum status call_run_nested(struct call *batch, struct reader *op,
                            int64_t index);

#endif
