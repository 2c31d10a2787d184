/*
 * cmd_mutate.c -- commands that change what tables hold.
 *
 * Each answers {Outcome, Evicted, Cascade}. The two lists are read off the
 * store's change list when the work is done, so that no rule of a table has
 * to be known here. The caller of a handler begins, commits and rolls back.
 */
#include "core/graph.h"
#include "port/call.h"

/* table_insert() and table_delete() have the same form. */
typedef enum status change_function(struct store *store, struct table *table,
                                    enum side side, struct bytes first,
                                    struct bytes second, bool *ret_changed);

static enum status call_table_and_view(struct call *call)
{
    enum status st = call_table(call);

    return st < 0 ? st : call_view(call);
}

/* A pom gives out its ids itself. */
static enum status refuse_pom(struct call *call)
{
    if (table_type(call->table) != TABLE_POM)
        return ST_OK;
    return call_fail(call, ST_WRONG_TABLE_TYPE,
                     "a pom gives its rows their ids; use insert_row");
}

static enum status change_one(struct call *call, change_function *function,
                              bool *ret_changed)
{
    struct item item;
    enum status st = call_item_argument(call, &item);

    if (st < 0)
        return st;
    return function(call->store, call->table, call->side, item.first,
                    item.second, ret_changed);
}

static enum status insert_one(struct call *call, change_function *function)
{
    bool inserted;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = refuse_pom(call);
    if (st == ST_OK)
        st = change_one(call, function, &inserted);
    if (st < 0)
        return st;
    return call_put_outcome(call, inserted ? "inserted" : "exists");
}

enum status cmd_insert(struct call *call)
{
    return insert_one(call, table_insert);
}

enum status cmd_insert_new(struct call *call)
{
    return insert_one(call, table_insert_new);
}

enum status cmd_delete(struct call *call)
{
    bool deleted;
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = change_one(call, table_delete, &deleted);
    if (st < 0)
        return st;
    return call_put_outcome(call, deleted ? "deleted" : "absent");
}

/* Applies `function` to each element of a list; all or nothing. */
static enum status change_all(struct call *call, change_function *function)
{
    uint64_t count = 0;
    struct item item;
    struct list list;
    bool changed;
    enum status st = call_list(call, &list);

    if (st < 0)
        return st;
    for (int64_t i = 0; list.left > 0; i++) {
        st = call_item(call, list_next(&list), &item);
        if (st == ST_OK)
            st = function(call->store, call->table, call->side, item.first,
                          item.second, &changed);
        if (st < 0) {
            call->complaint.position = i;
            return st;
        }
        count += changed;
        call_tick(call, (uint64_t)i);
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    return call_put_count(call, count);
}

enum status cmd_insert_all(struct call *call)
{
    enum status st = call_table_and_view(call);

    if (st == ST_OK)
        st = refuse_pom(call);
    return st < 0 ? st : change_all(call, table_insert);
}

enum status cmd_delete_all(struct call *call)
{
    enum status st = call_table_and_view(call);

    return st < 0 ? st : change_all(call, table_delete);
}

enum status cmd_delete_key(struct call *call)
{
    struct bytes key;
    uint64_t count;
    enum status st = call_table(call);

    if (st == ST_OK)
        st = call_side(call);
    if (st == ST_OK)
        st = call_key(call, &key);
    if (st == ST_OK)
        st =
            table_delete_key(call->store, call->table, call->side, key, &count);
    return st < 0 ? st : call_put_count(call, count);
}

/* Its vertices and edges are counted. */
static enum status clear_graph(struct call *call, uint64_t *ret_count)
{
    struct graph graph;
    enum status st = graph_open(call->store, call->table, &graph);

    if (st < 0)
        return st;
    *ret_count = graph_vertex_count(&graph) + graph_edge_count(&graph);
    return graph_clear(call->store, call->table);
}

enum status cmd_clear_table(struct call *call)
{
    uint64_t count;
    enum status st = call_table(call);

    if (st < 0)
        return st;
    call->side = SIDE_FWD;
    count = table_count(call->table);
    if (table_type(call->table) == TABLE_GRAPH)
        st = clear_graph(call, &count);
    else
        st = table_clear(call->store, call->table);
    return st < 0 ? st : call_put_count(call, count);
}

/* --- rows of a pom ------------------------------------------------------ */

enum status cmd_insert_row(struct call *call)
{
    uint64_t id;
    enum status st = call_pom(call);

    if (st == ST_OK)
        st = pom_insert(call->store, call->table, call_term(call), &id);
    if (st < 0)
        return st;
    call->side = SIDE_FWD;
    return call_put_count(call, id);
}

enum status cmd_insert_rows(struct call *call)
{
    uint64_t count = 0;
    struct list list;
    size_t ids;
    enum status st = call_pom(call);

    if (st == ST_OK)
        st = call_list(call, &list);
    if (st < 0)
        return st;
    put_tuple(call->out, 3);
    ids = put_list_begin(call->out);
    while (list.left > 0) {
        uint64_t id;

        st = pom_insert(call->store, call->table, reader_term(list_next(&list)),
                        &id);
        if (st < 0) {
            call->complaint.position = (int64_t)count;
            return st;
        }
        put_u64(call->out, id);
        call_tick(call, count);
        count++;
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    put_list_end(call->out, ids, count);
    call_put_changes(call, SIDE_FWD);
    return ST_OK;
}

enum status cmd_update_row(struct call *call)
{
    struct bytes id;
    enum status st = call_pom(call);

    if (st == ST_OK)
        st = call_key(call, &id);
    if (st == ST_OK)
        st = pom_update(call->store, call->table, id, call_term(call));
    if (st < 0)
        return st;
    call->side = SIDE_FWD;
    return call_put_outcome(call, "updated");
}

/* --- a batch ------------------------------------------------------------ */

enum status cmd_batch(struct call *call)
{
    uint64_t count = 0;
    struct list list;
    size_t results;
    enum status st = call_list(call, &list);

    if (st < 0)
        return st;
    results = put_list_begin(call->out);
    while (list.left > 0) {
        st = call_run_nested(call, list_next(&list), CMD_BATCH,
                             "a batch takes mutations only, and no batch",
                             (int64_t)count);
        if (st < 0)
            return st;
        call_tick(call, count);
        count++;
    }
    if (!list_close(&list))
        return call_bad(call, "must be a proper list");
    put_list_end(call->out, results, count);
    return ST_OK;
}
