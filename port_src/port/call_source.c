/*
 * call_source.c -- a Source as an argument: the tables behind a graph.
 *
 *     Source = a graph's name | the name of a table of pairs
 *            | {'$path', [{Table, fwd | bwd}, ...]}
 *
 * One argument may name several tables, and a graph has a dozen parts, so
 * what a call reads is more than call->table. A struct sources holds all of
 * it. On the loop it is filled from the store; a read that is given over has
 * pins of the same tables (readings.h), and on the worker the same functions
 * step over the names and hand those out.
 *
 * What such a read shows is the newest of all of its tables: call->shows.
 */
#include "port/call.h"

static const char path_text[] =
    "must be the name of a graph or of a table of pairs, or {'$path', [{Table, "
    "fwd or bwd}]} with 1 to 8 steps";

/* What the answer may show of `table`. */
static void shows(struct call *call, const struct table *table)
{
    uint64_t seq = call->version ? snapshot_seq(store_base(call->store))
                                 : store_seq(call->commands->store);
    uint64_t changed = table_changed_seq(table);

    if (changed > seq)
        changed = seq;
    if (changed > call->shows)
        call->shows = changed;
}

/* call->table as a step. */
static enum status add_step(struct call *call, enum side side,
                            struct sources *ret)
{
    const struct table *table = call->table;

    if (!table_has_second(table))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "edges are those of a graph, or the pairs of a table "
                         "of pairs; this one has neither");
    if (!table_has_side(table, side))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "the table's type has no bwd side");
    ret->steps[ret->step_count++] = (struct source_step){table, side};
    shows(call, table);
    return ST_OK;
}

/* {Table, fwd | bwd} */
static enum status take_step(struct call *call, struct sources *ret)
{
    unsigned argument = call->argument;
    struct bytes word;
    enum status st;

    if (!reader_tuple_of(&call->args, 2))
        return call_bad(call, path_text);
    st = call_table(call);
    call->argument = argument;
    if (st < 0)
        return st;
    if (!reader_atom(&call->args, &word))
        return call_bad(call, path_text);
    if (bytes_equal(word, BYTES("fwd")))
        return add_step(call, SIDE_FWD, ret);
    if (bytes_equal(word, BYTES("bwd")))
        return add_step(call, SIDE_BWD, ret);
    return call_bad(call, path_text);
}

/* Behind {'$path', .. */
static enum status take_path(struct call *call, struct sources *ret)
{
    struct table *first = NULL;
    struct list list;
    enum status st;

    call->argument++;
    if (!reader_list(&call->args, &list) || list.string || list.left == 0 ||
        list.left > SOURCE_PATH_MAX)
        return call_bad(call, path_text);
    while (list.left > 0) {
        list_next(&list); /* lies in call->args */
        st = take_step(call, ret);
        if (st < 0)
            return st;
        if (!first)
            first = call->table;
    }
    if (!list_close(&list))
        return call_bad(call, path_text);
    call->table = first;
    return ST_OK;
}

static enum status take_table(struct call *call, struct sources *ret)
{
    enum status st = call_table(call);

    if (st < 0)
        return st;
    if (table_type(call->table) != TABLE_GRAPH)
        return add_step(call, SIDE_FWD, ret);
    st = graph_open(call->store, call->table, &ret->graph);
    if (st < 0)
        return call_fail(call, st, "a part of the graph is missing");
    ret->is_graph = true;
    shows(call, call->table);
    return ST_OK;
}

static enum status take_pins(struct call *call, struct sources *ret)
{
    call_term(call);
    *ret = *call->pins;
    ret->extra_count = 0;
    call->sources = ret;
    call->table = (struct table *)(uintptr_t)sources_first(ret); /* read only */
    return ST_OK;
}

enum status call_source(struct call *call, struct sources *ret)
{
    struct reader path = call->args;
    struct bytes word;
    enum status st;

    if (call->pins)
        return take_pins(call, ret);
    memset(ret, 0, sizeof(*ret));
    call->shows = 0;
    if (reader_tuple_of(&path, 2) && reader_atom(&path, &word) &&
        bytes_equal(word, BYTES("$path"))) {
        call->args = path;
        st = take_path(call, ret);
    } else {
        st = take_table(call, ret);
    }
    if (st < 0)
        return st;
    call->sources = ret;
    call->has_shows = true;
    return ST_OK;
}

enum status call_source_table(struct call *call, struct reader *name,
                              const struct table **ret)
{
    struct sources *sources = call->sources;
    struct table *first = call->table;
    struct reader args = call->args;
    unsigned argument = call->argument;
    enum status st;

    REQUIRE(sources->extra_count < SOURCES_EXTRA_MAX);
    if (call->pins) {
        reader_term(name);
        *ret = call->pins->extra[sources->extra_count++];
        return ST_OK;
    }
    call->args = *name;
    st = call_table(call);
    *name = call->args;
    call->args = args;
    call->argument = argument;
    if (st < 0) {
        call->has_shows = false; /* call_shows() knows what it shows */
        return st;
    }
    *ret = sources->extra[sources->extra_count++] = call->table;
    shows(call, call->table);
    call->table = first;
    return ST_OK;
}

enum status call_sources(struct call *call, struct sources *ret)
{
    uint32_t pairs;
    enum status st;

    if (call->command->flags & CMD_SOURCE_SECOND)
        call_term(call);
    st = call_source(call, ret);
    while (st == ST_OK && call->argument + 1u < call->command->arity)
        call_term(call);
    if (st < 0 || !reader_map(&call->args, &pairs))
        return st;
    while (pairs-- > 0 && st == ST_OK) {
        const struct table *table;
        struct reader value;
        struct bytes word;
        bool heuristic = reader_atom(&call->args, &word);

        if (!heuristic)
            reader_term(&call->args);
        heuristic = heuristic && bytes_equal(word, BYTES("heuristic"));
        value = reader_of(reader_term(&call->args));
        if (heuristic && reader_tuple_of(&value, 2))
            st = call_source_table(call, &value, &table);
        if (ret->extra_count == SOURCES_EXTRA_MAX)
            break;
    }
    return st;
}

/* --- on another thread --------------------------------------------------- */

enum status sources_pin(struct mem *mem, const struct sources *sources,
                        struct sources *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->is_graph = sources->is_graph;
    if (sources->is_graph) {
        enum status st = graph_pin(mem, &sources->graph, &ret->graph);

        if (st < 0)
            return st;
    }
    for (unsigned i = 0; i < sources->step_count; i++) {
        const struct table *pin = table_pin(mem, sources->steps[i].table);

        if (!pin)
            return ST_NO_MEMORY;
        ret->steps[i] = (struct source_step){pin, sources->steps[i].side};
        ret->step_count++;
    }
    for (unsigned i = 0; i < sources->extra_count; i++) {
        ret->extra[i] = table_pin(mem, sources->extra[i]);
        if (!ret->extra[i])
            return ST_NO_MEMORY;
        ret->extra_count++;
    }
    return ST_OK;
}

static void unpin(struct mem *mem, const struct table *pin)
{
    table_unpin(mem, (struct table *)(uintptr_t)pin); /* made by table_pin() */
}

void sources_unpin(struct mem *mem, struct sources *pins)
{
    graph_unpin(mem, &pins->graph);
    for (unsigned i = 0; i < pins->step_count; i++)
        unpin(mem, pins->steps[i].table);
    for (unsigned i = 0; i < pins->extra_count; i++)
        unpin(mem, pins->extra[i]);
    memset(pins, 0, sizeof(*pins));
}

const struct table *sources_first(const struct sources *sources)
{
    return sources->is_graph ? sources->graph.table : sources->steps[0].table;
}
