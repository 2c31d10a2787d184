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
#include "graph/source.h"
#include "port/checkpointer.h"
#include "port/commands.h"
#include "port/feed.h"
#include "port/hold.h"
#include "port/journal.h"
#include "port/projections.h"
#include "port/readings.h"
#include "port/results.h"
#include "port/versions.h"

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
    SCRATCH_OP,     /* what the log is to hold in place of the Op */
    SCRATCH_TEXT,   /* a sentence of an error */
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
    struct versions *versions;
    struct readings *readings;
    struct projections *projections;
    struct results *results;
    struct run_task *runs; /* requests for algorithms, the youngest first */
    unsigned threads_max;  /* that an algorithm may have */
    struct feed *feed;
    struct hold hold;
    uint64_t acknowledged;
    size_t later_count;
    bool log_full;      /* the client was told so */
    time_t log_full_at; /* when a mutation found no room last, monotonic */
    enum status broken; /* commands_broken(), and ST_IO of the log */

    /* While one command does much: NULL, or called now and then. */
    void (*tick)(void *context);
    void *tick_context;

    /* Of commands_apply(): NULL, or called before a mutation is committed as
     * `seq`, with its changes in the list; an error undoes it. */
    enum status (*applied)(void *context, uint64_t seq);
    void *applied_context;

    struct reader requests; /* what is left of the payload */
    struct list list;       /* the requests in it */
    bool lone;              /* one request that stands in no list */
    bool busy;
    bool deep; /* each request must be checked by itself */
};

/* What an error reply says beyond its code. */
struct complaint {
    const char *text;      /* a sentence, or NULL: status_text() */
    struct bytes table;    /* a table's name, as the term it came as */
    int64_t position;      /* in a list of elements; -1: none */
    int64_t index;         /* of the Op in a batch; -1: none */
    uint64_t limit;        /* 0: none */
    uint32_t given;        /* wrong_arity */
    struct bytes name;     /* unknown_command: the atom's term */
    bool argument;         /* the fault lies in the argument last taken */
    struct bytes key;      /* at fault, encoded */
    struct bytes key_term; /* the same, as a term */
    struct bytes extra;    /* details of its own: pairs as in a map, as terms */
    uint32_t extra_count;
};

/* The options of a `with`. */
enum option {
    OPTION_IDEMPOTENCY_KEY = 1 << 0,
    OPTION_AT = 1 << 1,
    OPTION_EXPECT = 1 << 2,
    OPTION_DEADLINE = 1 << 3,
    OPTION_ROWS = 1 << 4,
    OPTION_MEMORY = 1 << 5,
    OPTION_WHERE = 1 << 6,
};

/* What a `with` says of the Op in it; the defaults without one. */
struct call_options {
    unsigned given;               /* enum option, those that there are */
    struct bytes idempotency_key; /* the term, or empty */
    bool has_expect;
    uint64_t expect;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t rows;        /* elements that may be looked at */
    size_t memory;        /* bytes that may be taken */
    struct bytes where;   /* a Condition as it came, or empty */
};

/* Those of a request without a `with`. */
#define DEADLINE_MS_DEFAULT 5000
#define ROWS_DEFAULT (UINT64_C(1) << 53)
#define MEMORY_BYTES_DEFAULT ((size_t)64 << 20)

extern const struct call_options default_options;

/* The tables that a command of graphs reads: a graph, or a path of tables of
 * pairs (one, or several), and others that it names besides. */
#define SOURCES_EXTRA_MAX 1

struct sources {
    bool is_graph;
    struct graph graph;  /* if is_graph */
    unsigned step_count; /* else from 1 on */
    struct source_step steps[SOURCE_PATH_MAX];
    unsigned extra_count;
    const struct table *extra[SOURCES_EXTRA_MAX];
};

struct call {
    struct commands *commands;
    struct store *store;     /* the head, or that of `version` */
    struct version *version; /* NULL: the head */
    struct call_options options;
    struct reading *reading;    /* on a worker; NULL on the loop */
    const struct table *pinned; /* on a worker: what call_table() gives */
    struct sources *sources;    /* the handler's own, or NULL: call->table */
    const struct sources *pins; /* on a worker: what call_source() gives */
    struct version *ended;      /* to be released when it is answered */
    bool at_once; /* one of several Ops: it cannot be answered later */
    bool crowded; /* and other answers share its reply */
    bool again;   /* from a log, which says that it was done */
    bool has_shows;
    uint64_t shows; /* if `has_shows`: what call_shows() gives */
    struct writer *out;
    const struct command *command; /* NULL if it is not known */
    int64_t id;
    bool later;         /* put off: the reply comes another time */
    struct bytes op;    /* what a log is to hold: with its `with`, or without */
    struct bytes inner; /* the Op without a `with` */
    struct reader args;
    unsigned argument; /* the one taken last, from 1 */
    size_t mark;       /* where this command's changes begin */
    size_t head;       /* where its answer begins in `out`: {ok, .. */
    size_t settled;    /* where it ends to be the same in a copy of the store,
                        * whatever its pages are like; 0: at its end */
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

/* A call that has no command yet, with the default options. */
struct call call_of(struct commands *commands, struct store *store,
                    struct writer *out);

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

/* The same, appended to a buffer. */
enum status call_encode_to(struct call *call, struct reader *reader,
                           struct buffer *out);

/* A key as an argument. */
enum status call_key(struct call *call, struct bytes *ret_key);

/* A table's name, for a table that need not exist: encoded. */
enum status call_table_name(struct call *call, struct bytes *ret_name);

/* The table that an argument names, into call->table. ST_NO_TABLE. */
enum status call_table(struct call *call);

/* The same, and it must be a pom. ST_WRONG_TABLE_TYPE. */
enum status call_pom(struct call *call);

/*
 * The graph or path that an argument names, into `ret`, which must stay until
 * the handler ends; call->sources is that then, call->table the first of its
 * tables, and call->shows is that of all of them. ST_NO_TABLE,
 * ST_WRONG_TABLE_TYPE. call_source.c has this and what follows.
 */
enum status call_source(struct call *call, struct sources *ret);

/* One table more, whose name `name` stands before, into call->sources. */
enum status call_source_table(struct call *call, struct reader *name,
                              const struct table **ret);

/* All tables that a call reads whose command has CMD_SOURCE: of the Source, and
 * of a heuristic in the map that is its last argument. Errors as above. */
enum status call_sources(struct call *call, struct sources *ret);

/* The same tables for another thread, while a snapshot is kept that sees them
 * as they are. _unpin() accepts what _pin() has left after an error, and
 * zeros. ST_NO_MEMORY. */
enum status sources_pin(struct mem *mem, const struct sources *sources,
                        struct sources *ret);
void sources_unpin(struct mem *mem, struct sources *pins);

const struct table *sources_first(const struct sources *sources);

/* A table that must be a graph; and one as a source, for reads that may be
 * given over. ST_WRONG_TABLE_TYPE. cmd_graph.c has them. */
enum status call_graph_table(struct call *call);
enum status call_graph_source(struct call *call, struct sources *ret);

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

/* Puts all that a mutation answers, {Outcome, Evicted, Cascade}, as call->side
 * has it: the outcome is an atom, or a number. ST_OK. */
enum status call_put_outcome(struct call *call, const char *outcome);
enum status call_put_count(struct call *call, uint64_t outcome);

/* Forgets which table was named last, as tables come and go. */
void commands_forget_table(struct commands *commands);

/* Tables whose names are atoms that begin with this, or tuples that begin with
 * such an atom, are the daemon's own: clients may read them. */
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

/* Puts the running request off: its handler then gives back ST_OK and what it
 * has put is forgotten. ST_NO_MEMORY. */
enum status call_later(struct call *call, struct later_list *list);

/* The same for one that commands_answer_built() or commands_answer_failed()
 * answers: each put off is answered once. */
void call_put_off(struct call *call);

/* Moves all requests of `from` behind those of `to`. */
void later_move(struct later_list *to, struct later_list *from);

/*
 * Answers and forgets all requests of a list: `put` puts the Result of each as
 * a handler does, or fails as one does. See commands_broken().
 */
void commands_answer_later(struct commands *commands, struct later_list *list,
                           enum status (*put)(struct call *call, void *context),
                           void *context);

/*
 * The highest seq whose effects the answer to `call` may show; `st` is what its
 * handler gave. At a version that is never more than the seq it began at.
 */
uint64_t call_shows(const struct call *call, enum status st);

/*
 * A read at a fork that is put off: takes its place in the fork's journal, with
 * call->inner and the options. `*ret` is NULL if the call is not at a fork.
 * ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status call_note(const struct call *call, struct note **ret);

/*
 * Answers a request that was put off: `answer` is the whole term, {ok, ...},
 * that was built elsewhere, and `shows` what call_shows() gave when the request
 * was read. The reply may be held. `note` is that of call_note() or NULL, and
 * is not to be touched any more. See commands_broken().
 */
void commands_answer_built(struct commands *commands, struct note *note,
                           int64_t id, uint64_t shows, struct bytes answer);

/* The same with an error; `command` may be NULL, and so may `complaint`. */
void commands_answer_failed(struct commands *commands, struct note *note,
                            int64_t id, const struct command *command,
                            uint64_t shows, enum status st,
                            const struct complaint *complaint);

/* --- on another thread -------------------------------------------------- */

/*
 * What a call needs to run on a worker: scratch and a writer, no store and no
 * client. `mem` and `writer` are the worker's own. NULL: ST_NO_MEMORY.
 */
struct commands *commands_bare(struct mem *mem, struct writer *writer);
void commands_bare_free(struct commands *commands);

/* The call of an Op on a worker, to be completed: id, options, pinned,
 * reading. */
struct call call_bare(struct commands *bare);

/*
 * Carries out the read `op`, which holds no `with`, and puts its whole answer
 * {ok, ...} (an {ok, Items, Next, Why} is put by a handler that calls
 * call_page_why()). On an error call->complaint tells more; its bytes lie in
 * `op` and in the scratch.
 */
enum status call_run_bare(struct call *call, struct bytes op);

/* Turns the head {ok, Items, Next} of the answer into that of four elements:
 * Why follows. */
void call_page_why(struct call *call);

/* The handlers, in the order of PROTOCOL.md. */
enum status cmd_ping(struct call *call);
enum status cmd_info(struct call *call);
enum status cmd_tables(struct call *call);
enum status cmd_create_table(struct call *call);
enum status cmd_drop_table(struct call *call);
enum status cmd_clear_table(struct call *call);
enum status cmd_table_type(struct call *call);
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
enum status cmd_put_vertex(struct call *call);
enum status cmd_put_vertices(struct call *call);
enum status cmd_update_vertex(struct call *call);
enum status cmd_delete_vertex(struct call *call);
enum status cmd_delete_vertices(struct call *call);
enum status cmd_put_edge(struct call *call);
enum status cmd_put_edges(struct call *call);
enum status cmd_update_edge(struct call *call);
enum status cmd_delete_edge(struct call *call);
enum status cmd_delete_edges(struct call *call);
enum status cmd_contract(struct call *call);
enum status cmd_expand(struct call *call);
enum status cmd_contracted(struct call *call);
enum status cmd_get_vertex(struct call *call);
enum status cmd_get_vertices(struct call *call);
enum status cmd_get_edge(struct call *call);
enum status cmd_has_vertex(struct call *call);
enum status cmd_has_edge(struct call *call);
enum status cmd_vertex_count(struct call *call);
enum status cmd_edge_count(struct call *call);
enum status cmd_vertices(struct call *call);
enum status cmd_edges(struct call *call);
enum status cmd_graph_digest(struct call *call);
enum status cmd_snapshot(struct call *call);
enum status cmd_fork(struct call *call);
enum status cmd_commit(struct call *call);
enum status cmd_release(struct call *call);
enum status cmd_release_holder(struct call *call);
enum status cmd_subscribe(struct call *call);
enum status cmd_unsubscribe(struct call *call);
enum status cmd_feed_ack(struct call *call);
enum status cmd_cancel(struct call *call);
enum status cmd_get(struct call *call);
enum status cmd_get_all(struct call *call);
enum status cmd_member(struct call *call);
enum status cmd_has_key(struct call *call);
enum status cmd_count(struct call *call);
enum status cmd_key_count(struct call *call);
enum status cmd_rank(struct call *call);
enum status cmd_scan(struct call *call);
enum status cmd_project(struct call *call);
enum status cmd_projections(struct call *call);
enum status cmd_drop_projection(struct call *call);
enum status cmd_estimate(struct call *call);
enum status cmd_run(struct call *call);
enum status cmd_result_rows(struct call *call);
enum status cmd_result_write(struct call *call);
enum status cmd_release_result(struct call *call);
enum status cmd_algorithms(struct call *call);
enum status cmd_running(struct call *call);
enum status cmd_neighbors(struct call *call);
enum status cmd_degree(struct call *call);
enum status cmd_degrees(struct call *call);
enum status cmd_k_hop(struct call *call);
enum status cmd_bfs(struct call *call);
enum status cmd_dfs(struct call *call);
enum status cmd_reachable(struct call *call);
enum status cmd_shortest_path(struct call *call);
enum status cmd_shortest_paths_to(struct call *call);
enum status cmd_all_shortest_paths(struct call *call);
enum status cmd_k_shortest_paths(struct call *call);
enum status cmd_paths(struct call *call);
enum status cmd_random_walk(struct call *call);
enum status cmd_common_neighbors(struct call *call);
enum status cmd_jaccard(struct call *call);
enum status cmd_subgraph(struct call *call);

/* --- the road of a request, for commands that carry out others ----------- */

/* Finds the row of the Op that `op` stands before; it must fit. */
enum status call_parse(struct call *call, struct reader *op);

/* Puts the head of the answer, runs the handler of a call that was parsed, and
 * checks what it has put. The caller begins and ends a mutation. */
enum status call_perform(struct call *call);

/* The same with all that it takes for a call at call->version. */
enum status call_at_version(struct call *call);

/* Does an answer with this status tell anything of what the store holds, and
 * not only of the memory that there is, or nothing at all? */
bool status_tells(enum status st);

/* What call_perform() has come to as a hash: `st` is what it gave. */
struct digest call_answer_digest(const struct call *call, enum status st);

/* The same as a handler of a mutation that is to be done once, or at one seq
 * only: cmd_with.c. */
enum status with_run(struct call *call);

/* Puts an integer in front of what was put since `at`. */
void put_before(struct writer *out, size_t at, uint64_t value);

/*
 * The ends of a mutation of the head: the log gets `op` if anything changed;
 * then it is committed and all are told, or rolled back.
 * Errors: those of termlog_append().
 */
enum status commands_log_op(struct commands *commands, struct bytes op);
void commands_commit(struct commands *commands);
void commands_rollback(struct commands *commands);

/* The answer so far: has it had memory, and is it small enough? */
enum status call_check_answer(struct call *call);

/* Completes the reply to a call: its answer, or the error `st`. */
void call_finish(struct call *call, enum status st);

/* Holds the reply that was just completed if it shows what is not durable and
 * has to wait for that; if `careful`, whatever the policy is. ST_NO_MEMORY. */
enum status commands_hold(struct commands *commands, uint64_t shows,
                          bool careful);

/* The scratch buffers, empty, and given back. */
void scratch_init(struct commands *commands, struct mem *mem);
void scratch_free(struct commands *commands);

/* The name of a version as an argument. */
enum status call_version_name(struct call *call, struct version_name *ret);

/* What call_fail() has said and the store has, as a text for people: it lies
 * in `room`, of MESSAGE_BYTES_MAX, or lives on. */
const char *call_error_text(const struct call *call, enum status st,
                            char *room);

/* Replaces whatever was put of the answer by {error, {...}}. */
void call_put_error(struct call *call, enum status st);

/*
 * Carries out an Op within an Op, and puts its Result. commands.c has it; the
 * command must have one of `flags`, or else it is a bad argument, with `text`.
 * `index` is its place in a batch, or -1.
 */
enum status call_run_nested(struct call *outer, struct reader *op,
                            uint16_t flags, const char *text, int64_t index);

#endif
