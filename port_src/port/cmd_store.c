/*
 * cmd_store.c -- commands about the store and its tables as a whole.
 */
#include <unistd.h>

#include "core/etf.h"
#include "core/graph.h"
#include "core/key.h"
#include "port/call.h"
#include "port/events.h"

enum status cmd_ping(struct call *call)
{
    put_atom(call->out, "pong");
    return ST_OK;
}

static void put_field(struct call *call, const char *name, uint64_t value)
{
    put_atom(call->out, name);
    put_u64(call->out, value);
}

/* Tables of the daemon's own, which `tables` leaves out. */
static bool table_is_reserved(struct call *call, const struct table *table)
{
    struct buffer *name = call_scratch(call, SCRATCH_NAME);

    return key_decode(table_name(table), name) == ST_OK &&
           name_is_reserved(buffer_bytes(name));
}

/* #{epoch, segments, ...}, or none. */
static void put_log_figures(struct call *call)
{
    const struct commands_log *log = commands_log(call->commands);
    struct termlog_figures figures;
    struct writer *out = call->out;

    if (!log) {
        put_atom(out, "none");
        return;
    }
    termlog_figures(log->log, &figures);
    put_map(out, 10);
    put_field(call, "epoch", figures.epoch);
    put_field(call, "segments", figures.segments);
    put_field(call, "log_bytes", figures.log_bytes);
    put_field(call, "checkpoint_seq", figures.checkpoint_seq);
    put_field(call, "checkpoint_bytes", figures.checkpoint_bytes);
    put_atom(out, "checkpointing");
    put_bool(out, checkpointer_running(call->commands->checkpointer));
    put_field(call, "pending_bytes", termlog_pending_bytes(log->log));
    put_field(call, "syncs", figures.syncs);
    put_atom(out, "full");
    put_bool(out, figures.full);
    put_atom(out, "dir");
    put_binary(out, bytes_of(log->directory, strlen(log->directory)));
}

static void put_durability(struct call *call)
{
    const struct commands_log *log = commands_log(call->commands);
    struct writer *out = call->out;

    put_field(call, "durable_seq", log ? termlog_durable(log->log) : 0);
    put_atom(out, "sync");
    put_sync_policy(out, log);
    put_atom(out, "store_id");
    if (log)
        put_binary(out, bytes_of(termlog_store_id(log->log), STORE_ID_BYTES));
    else
        put_atom(out, "none");
    put_atom(out, "log");
    put_log_figures(call);
}

/* At most so many versions are listed. */
#define VERSIONS_LISTED_MAX 100

/* The open versions, the oldest first. */
static void put_versions(struct call *call)
{
    const struct versions *versions = call->commands->versions;
    const struct version *version = NULL;
    struct version_figures figures;
    struct writer *out = call->out;
    uint64_t count = 0;
    size_t list;

    put_atom(out, "snapshots");
    list = put_list_begin(out);
    while (count < VERSIONS_LISTED_MAX &&
           (version = versions_next(versions, version, &figures))) {
        put_map(out, 5);
        put_atom(out, "version");
        put_tuple(out, 2);
        put_i64(out, figures.name.holder);
        put_i64(out, figures.name.number);
        put_atom(out, "kind");
        put_atom(out, figures.is_fork ? "fork" : "snapshot");
        put_field(call, "seq", figures.seq);
        put_field(call, "age_ms", figures.age_ms);
        put_field(call, "bytes", figures.bytes);
        count++;
    }
    put_list_end(out, list, count);
    put_field(call, "snapshot_count", versions_count(versions));
    put_field(call, "snapshot_bytes", versions_bytes(versions));
}

enum status cmd_info(struct call *call)
{
    const struct figures *figures = &call->commands->figures;
    const struct mem *mem = store_mem(call->store);
    struct writer *out = call->out;

    versions_look(call->commands->versions);
    results_look(call->commands->results);
    projections_look(call->commands->projections);
    put_map(out, 24);
    put_field(call, "seq", store_seq(call->store));
    put_field(call, "tables",
              store_table_count(call->store) - with_table_count(call));
    put_field(call, "memory_bytes", mem->used);
    put_field(call, "memory_peak_bytes", mem->peak);
    put_atom(out, "memory_limit_bytes");
    if (mem->limit == SIZE_MAX)
        put_atom(out, "infinity");
    else
        put_u64(out, mem->limit);
    put_field(call, "commands", figures->commands);
    put_field(call, "frames_in", figures->frames_in);
    put_field(call, "bytes_in", figures->bytes_in);
    put_field(call, "bytes_out", figures->bytes_out);
    put_atom(out, "version");
    put_binary(out, BYTES(RHIZOME_VERSION));
    put_field(call, "protocol", PROTOCOL_VERSION);
    put_field(call, "os_pid", (uint64_t)getpid());
    put_atom(out, "sealed");
    put_bool(out, figures->sealed);
    put_versions(call);
    readings_put_info(call->commands->readings, out);
    projections_put_info(call->commands->projections, out);
    results_put_info(call->commands->results, out);
    feed_put_info(call->commands->feed, out);
    put_durability(call);
    return ST_OK;
}

enum status cmd_tables(struct call *call)
{
    struct writer *out = call->out;
    size_t list = put_list_begin(out);
    const struct table *table = NULL;
    uint64_t count = 0;

    while ((table = store_next_table(call->store, table)) != NULL) {
        if (table_is_reserved(call, table))
            continue;
        put_tuple(out, 2);
        put_key(out, table_name(table));
        put_atom(out, table_type_name(table_type(table)));
        if (writer_status(out) < 0)
            return writer_status(out);
        count++;
    }
    put_list_end(out, list, count);
    return ST_OK;
}

/* --- create_table ------------------------------------------------------- */

struct table_options {
    struct table_reference references[2];
    bool must_be_new; /* if_exists => error */
    struct graph_options graph;
    const char *foreign; /* an option that a graph has, and one it has not */
    const char *of_table;
};

/* The value of the option fwd or bwd: {Table2, restrict | evict}. */
static enum status parse_reference(struct call *call,
                                   struct table_reference *ret)
{
    static const char text[] = "fwd and bwd are {Table, restrict} or "
                               "{Table, evict}";
    struct bytes name, key, word;
    struct reader reader;
    enum status st;

    if (!reader_tuple_of(&call->args, 2))
        return call_bad(call, text);
    name = reader_term(&call->args);
    if (name_is_reserved(name))
        return call_bad(call, "no side may refer to a table of the daemon's "
                              "own");
    reader = reader_of(name);
    st = call_encode(call, &reader, SCRATCH_FIRST, &key);
    if (st < 0)
        return st;
    ret->table = NULL;
    if (key.size <= TABLE_NAME_BYTES_MAX)
        st = store_find_mutable(call->store, key, &ret->table);
    if (st < 0)
        return st;
    if (!ret->table) {
        call->complaint.table = name;
        return call_fail(call, ST_NO_TABLE,
                         "a side refers to a table that is not there; "
                         "create it first");
    }
    if (!reader_atom(&call->args, &word))
        return call_bad(call, text);
    if (bytes_equal(word, BYTES("restrict")))
        ret->on_delete = ON_DELETE_RESTRICT;
    else if (bytes_equal(word, BYTES("evict")))
        ret->on_delete = ON_DELETE_EVICT;
    else
        return call_bad(call, text);
    return ST_OK;
}

/* What a graph takes weights from can be compared without more. */
static bool is_weight_key(struct bytes term)
{
    struct reader reader = reader_of(term);
    struct bytes name;
    int64_t number;

    return reader_atom(&reader, &name) || reader_integer(&reader, &number) ||
           term.data[0] == ETF_BINARY;
}

/* weight => none | value | {key, K}. */
static enum status parse_weight(struct call *call, struct graph_options *ret)
{
    static const char text[] = "weight is none, value, or {key, K} with an "
                               "atom, a binary or an integer K";
    struct bytes word;

    if (reader_tuple_of(&call->args, 2)) {
        if (!reader_atom(&call->args, &word) ||
            !bytes_equal(word, BYTES("key")))
            return call_bad(call, text);
        ret->weight = WEIGHT_KEY;
        ret->weight_key = reader_term(&call->args);
        return is_weight_key(ret->weight_key) ? ST_OK : call_bad(call, text);
    }
    if (!reader_atom(&call->args, &word))
        return call_bad(call, text);
    ret->weight =
        bytes_equal(word, BYTES("value")) ? WEIGHT_VALUE : WEIGHT_NONE;
    if (ret->weight == WEIGHT_NONE && !bytes_equal(word, BYTES("none")))
        return call_bad(call, text);
    return ST_OK;
}

static enum status parse_option(struct call *call, struct table_options *ret)
{
    static const char text[] =
        "an option is fwd => {Table, restrict | evict}, the same for bwd, "
        "or if_exists => error | ok; of a graph directed => true | false, or "
        "weight => none | value | {key, K}";
    struct bytes name, word;

    if (!reader_atom(&call->args, &name))
        return call_bad(call, text);
    if (bytes_equal(name, BYTES("fwd")) || bytes_equal(name, BYTES("bwd"))) {
        bool is_fwd = name.data[0] == 'f';

        ret->of_table = "a graph refers to no table";
        return parse_reference(call, &ret->references[!is_fwd]);
    }
    if (bytes_equal(name, BYTES("directed"))) {
        ret->foreign = "only a graph has the option directed";
        if (!reader_atom(&call->args, &word))
            return call_bad(call, text);
        ret->graph.undirected = bytes_equal(word, BYTES("false"));
        if (!ret->graph.undirected && !bytes_equal(word, BYTES("true")))
            return call_bad(call, text);
        return ST_OK;
    }
    if (bytes_equal(name, BYTES("weight"))) {
        ret->foreign = "only a graph has the option weight";
        return parse_weight(call, &ret->graph);
    }
    if (!bytes_equal(name, BYTES("if_exists")) ||
        !reader_atom(&call->args, &word))
        return call_bad(call, text);
    ret->must_be_new = bytes_equal(word, BYTES("error"));
    if (!ret->must_be_new && !bytes_equal(word, BYTES("ok")))
        return call_bad(call, text);
    return ST_OK;
}

static enum status call_options(struct call *call, struct table_options *ret)
{
    uint32_t count;
    enum status st = ST_OK;

    memset(ret, 0, sizeof(*ret));
    call->argument++;
    if (!reader_map(&call->args, &count))
        return call_bad(call, "must be a map of options, #{} for none");
    while (count-- > 0 && st == ST_OK)
        st = parse_option(call, ret);
    return st;
}

static enum status call_type(struct call *call, enum table_type *ret)
{
    static const char text[] =
        "must be pom, set, to_one, to_many, one_to_one, one_to_many, "
        "many_to_one, many_to_many or graph";
    struct bytes word;
    enum status st = call_atom(call, text, &word);

    if (st == ST_OK && !table_type_parse(word, ret))
        return call_bad(call, text);
    return st;
}

static bool graph_is(const struct call *call, const struct table *table,
                     const struct graph_options *options)
{
    struct graph graph;

    return graph_open(call->store, table, &graph) == ST_OK &&
           graph.options.undirected == options->undirected &&
           graph.options.weight == options->weight &&
           bytes_equal(graph.options.weight_key, options->weight_key);
}

/* Is the table what create_table would make? */
static bool table_is(const struct call *call, const struct table *table,
                     enum table_type type, const struct table_options *options)
{
    if (table_type(table) != type)
        return false;
    if (type == TABLE_GRAPH)
        return graph_is(call, table, &options->graph);
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        const struct table_reference *wanted = &options->references[side];
        struct table_reference found = table_reference(table, side);

        if (found.table != wanted->table ||
            (found.table && found.on_delete != wanted->on_delete))
            return false;
    }
    return true;
}

enum status cmd_create_table(struct call *call)
{
    struct table_options options;
    enum table_type type;
    struct bytes name;
    enum status st = call_table_name(call, &name);

    if (st == ST_OK && name.size > TABLE_NAME_BYTES_MAX) {
        call->complaint.limit = TABLE_NAME_BYTES_MAX;
        return call_fail(call, ST_TOO_BIG, "the table's name is too long");
    }
    if (st == ST_OK)
        st = call_type(call, &type);
    if (st == ST_OK)
        st = call_options(call, &options);
    if (st == ST_OK && type == TABLE_GRAPH && options.of_table)
        st = call_bad(call, options.of_table);
    if (st == ST_OK && type != TABLE_GRAPH && options.foreign)
        st = call_bad(call, options.foreign);
    if (st < 0)
        return st;

    st = store_find_mutable(call->store, name, &call->table);
    if (st < 0)
        return st;
    if (!call->table) {
        if (type == TABLE_GRAPH)
            st = graph_create(call->store, name, &options.graph, &call->table);
        else
            st = store_table_create(call->store, name, type, options.references,
                                    &call->table);
        if (st == ST_OK)
            put_atom(call->out, "created");
        return st;
    }
    if (options.must_be_new)
        return ST_TABLE_EXISTS;
    if (!table_is(call, call->table, type, &options))
        return call_fail(call, ST_TABLE_EXISTS,
                         "a table of this name exists with another type or "
                         "other options");
    put_atom(call->out, "exists");
    return ST_OK;
}

enum status cmd_drop_table(struct call *call)
{
    enum status st = call_table(call);

    if (st < 0)
        return st;
    commands_forget_table(call->commands);
    if (table_type(call->table) == TABLE_GRAPH)
        st = graph_drop(call->store, call->table);
    else
        st = store_table_drop(call->store, call->table);
    if (st == ST_OK)
        put_atom(call->out, "dropped");
    return st;
}

/* --- table_info --------------------------------------------------------- */

/* Puts #{Side => {Table, restrict | evict}}, a side that refers to a table. */
static void put_references(struct call *call)
{
    struct writer *out = call->out;
    uint32_t count = 0;

    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
        count += table_reference(call->table, side).table != NULL;
    put_map(out, count);
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        struct table_reference reference = table_reference(call->table, side);

        if (!reference.table)
            continue;
        put_atom(out, side == SIDE_FWD ? "fwd" : "bwd");
        put_tuple(out, 2);
        put_key(out, table_name(reference.table));
        put_atom(out,
                 reference.on_delete == ON_DELETE_EVICT ? "evict" : "restrict");
    }
}

enum status cmd_table_type(struct call *call)
{
    enum status st = call_table(call);

    if (st == ST_OK)
        put_atom(call->out, table_type_name(table_type(call->table)));
    return st;
}

static void put_weight(struct call *call, const struct graph_options *options)
{
    if (options->weight == WEIGHT_KEY) {
        put_tuple(call->out, 2);
        put_atom(call->out, "key");
        put_term(call->out, options->weight_key);
    } else {
        put_atom(call->out, options->weight == WEIGHT_VALUE ? "value" : "none");
    }
}

static enum status graph_info(struct call *call)
{
    struct writer *out = call->out;
    struct graph graph;
    enum status st = graph_open(call->store, call->table, &graph);

    if (st < 0)
        return st;
    put_map(out, 8);
    put_atom(out, "name");
    put_key(out, table_name(call->table));
    put_atom(out, "type");
    put_atom(out, table_type_name(TABLE_GRAPH));
    put_field(call, "vertices", graph_vertex_count(&graph));
    put_field(call, "edges", graph_edge_count(&graph));
    put_field(call, "labels", table_count(graph.parts[GRAPH_LABELS]));
    put_atom(out, "directed");
    put_bool(out, !graph.options.undirected);
    put_atom(out, "weight");
    put_weight(call, &graph.options);
    call->settled = writer_size(out); /* pages may be cut in other ways */
    put_field(call, "bytes", graph_bytes(&graph));
    return ST_OK;
}

enum status cmd_table_info(struct call *call)
{
    struct writer *out = call->out;
    const struct table *table;
    enum status st = call_table(call);
    bool has_bwd, is_pom;

    if (st < 0)
        return st;
    table = call->table;
    if (table_type(table) == TABLE_GRAPH)
        return graph_info(call);
    has_bwd = table_has_side(table, SIDE_BWD);
    is_pom = table_type(table) == TABLE_POM;
    put_map(out, 6u + has_bwd + is_pom);
    put_atom(out, "name");
    put_key(out, table_name(table));
    put_atom(out, "type");
    put_atom(out, table_type_name(table_type(table)));
    put_field(call, "count", table_count(table));
    put_field(call, "fwd_keys", table_key_count(table, SIDE_FWD));
    if (has_bwd)
        put_field(call, "bwd_keys", table_key_count(table, SIDE_BWD));
    put_atom(out, "references");
    put_references(call);
    if (is_pom)
        put_field(call, "next_id", table_next_id(table));
    call->settled = writer_size(out); /* pages may be cut in other ways */
    put_field(call, "bytes", table_bytes(table));
    return ST_OK;
}
