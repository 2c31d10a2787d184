/*
 * call.h -- one command being carried out: its arguments and its answer.
 *
 * A handler (one of the cmd_ files) is three steps: take the
 * arguments in their order, call the core, put the Result. The call_ functions
 * take one argument each and say what was wrong with it, so that a handler
 * only passes a status on.
 *
 * Encoded keys lie in scratch buffers that serve one request after another.
 */
#ifndef RHIZOME_PORT_CALL_H
#define RHIZOME_PORT_CALL_H

#include <time.h>

#include "core/scan.h"
#include "port/checkpointer.h"
#include "port/commands.h"
#include "port/hold.h"

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

    struct commands_log log; /* log.log is NULL in memory only */
    struct checkpointer *checkpointer;
    struct hold hold;
    uint64_t acknowledged;
    size_t later_count;
    bool log_full;      /* the client was told so */
    time_t log_full_at; /* when a mutation found no room last, monotonic */
    enum status broken; /* commands_broken(), and ST_IO of the log */

    /* While one command does much: NULL, or called now and then. */
    void (*tick)(void *context);
    void *tick_context;

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
    int64_t id;
    bool later; /* put off: the reply comes another time */
    struct bytes op;
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

/* To be called with the number of each element or Op of a list. */
static inline void call_tick(const struct call *call, uint64_t index)
{
    if ((index & 1023) == 1023 && call->commands->tick)
        call->commands->tick(call->commands->tick_context);
}

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

/* Tables whose names are atoms that begin with this are the daemon's own:
 * clients may read them. */
#define RESERVED_MARK '$'

/* True if a term is the name of such a table. */
bool name_is_reserved(struct bytes name);

/* How many tables are the daemon's own. cmd_with.c has it. */
uint64_t with_table_count(struct call *call);

/* --- answering later ---------------------------------------------------- */

/* Requests that wait for one thing, in their order. */
struct later {
    struct later *next;
    int64_t id;
    const struct command *command;
};

struct later_list {
    struct later *first;
    struct later **end; /* NULL while the list is empty */
};

/* Puts the running request off: its handler then gives back ST_OK and has put
 * nothing. ST_NO_MEMORY. */
enum status call_later(struct call *call, struct later_list *list);

/* Moves all requests of `from` behind those of `to`. */
void later_move(struct later_list *to, struct later_list *from);

/*
 * Answers and forgets all requests of a list: `put` puts the Result of each as
 * a handler does, or fails as one does. See commands_broken().
 */
void commands_answer_later(struct commands *commands, struct later_list *list,
                           enum status (*put)(struct call *call, void *context),
                           void *context);

/* The handlers, in the order of PROTOCOL.md. */
enum status cmd_ping(struct call *call);
enum status cmd_info(struct call *call);
enum status cmd_tables(struct call *call);
enum status cmd_create_table(struct call *call);
enum status cmd_drop_table(struct call *call);
enum status cmd_clear_table(struct call *call);
enum status cmd_table_info(struct call *call);
enum status cmd_sync(struct call *call);
enum status cmd_checkpoint(struct call *call);
enum status cmd_digest(struct call *call);
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
enum status cmd_with(struct call *call);
enum status cmd_get(struct call *call);
enum status cmd_member(struct call *call);
enum status cmd_has_key(struct call *call);
enum status cmd_count(struct call *call);
enum status cmd_key_count(struct call *call);
enum status cmd_rank(struct call *call);
enum status cmd_scan(struct call *call);

/*
 * Carries out an Op within an Op, and puts its Result. commands.c has it; the
 * command must have one of `flags`, or else it is a bad argument, with `text`.
 * `index` is its place in a batch, or -1.
 */
enum status call_run_nested(struct call *outer, struct reader *op,
                            uint8_t flags, const char *text, int64_t index);

#endif
