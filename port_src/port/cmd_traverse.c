/*
 * cmd_traverse.c -- local work on graphs: the commands.
 *
 * Each takes a Source first and a Walk last (local.h), lets graph/walk.h do
 * the work, and puts what that has found. Rows that do not depend on what comes
 * later are put as they are found.
 */
#include "port/local.h"

/* The command is `work`, between local_begin() and local_end(). */
static enum status carry_out(struct call *call,
                             enum status (*work)(struct local *local))
{
    struct local local;
    enum status st = local_begin(&local, call);

    if (st == ST_OK)
        st = work(&local);
    return local_end(&local, st);
}

/* {ok, [Vertex]} */
static enum status put_vertices(struct local *local,
                                const struct numbers *vertices,
                                enum status walked)
{
    enum status st = local_rows_begin(local, walked);

    for (size_t i = 0; i < vertices->count; i++)
        source_vertex_prefetch(local->source, vertices->array[i]);
    for (size_t i = 0; i < vertices->count && st == ST_OK; i++) {
        st = local_put_vertex(local, vertices->array[i]);
        if (st == ST_OK)
            st = local_row_done(local);
    }
    return local_rows_end(local, walked, st);
}

/* --- around one vertex ---------------------------------------------------- */

/* {Other, Label, Value, out | in}, and Weight */
static enum status put_arc(void *context, const struct arc *arc)
{
    struct local *local = context;
    struct writer *out = local->call->out;
    enum status st = traversal_row(&local->t, local->rows);

    if (st < 0)
        return st;
    put_tuple(out, local->t.weighted ? 5 : 4);
    st = local_put_vertex(local, arc->other);
    if (st < 0)
        return st;
    put_term(out, source_label(local->source, arc->label));
    put_term(out, arc->value);
    put_atom(out, arc->backwards ? "in" : "out");
    if (local->t.weighted)
        local_put_length(local, arc->weight);
    return local_row_done(local);
}

static enum status neighbors(struct local *local)
{
    struct numbers found = NUMBERS(local->mem);
    uint64_t vertex = 0;
    enum status st = local_vertex(local, &vertex);

    if (st == ST_OK)
        st = local_walk(local, WALK_VALUES | WALK_WEIGHTED);
    if (st < 0)
        return st;
    if (local->values) {
        local_rows_begin(local, ST_OK);
        st = source_arcs(local->source, vertex, &local->t.wanted, put_arc,
                         local);
        return local_rows_end(local, ST_OK, st);
    }
    st = walk_neighbors(&local->t, vertex, &found);
    st = put_vertices(local, &found, st);
    numbers_free(&found);
    return st;
}

enum status cmd_neighbors(struct call *call)
{
    return carry_out(call, neighbors);
}

static enum status degree(struct local *local)
{
    uint64_t vertex = 0, count = 0;
    enum status st = local_vertex(local, &vertex);

    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK)
        st = source_degree(local->source, vertex, &local->t.wanted, &count);
    if (st == ST_OK)
        put_u64(local->call->out, count);
    return st;
}

enum status cmd_degree(struct call *call)
{
    return carry_out(call, degree);
}

static enum status degrees(struct local *local)
{
    struct numbers vertices = NUMBERS(local->mem);
    enum status st = local_vertices(local, &vertices);
    enum status walked = ST_OK;

    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK) {
        local_rows_begin(local, ST_OK);
        for (size_t i = 0; i < vertices.count && walked == ST_OK; i++) {
            uint64_t count = 0;

            walked = source_degree(local->source, vertices.array[i],
                                   &local->t.wanted, &count);
            if (walked < 0)
                break;
            put_u64(local->call->out, count);
            walked = local_row_done(local);
        }
        st = local_rows_end(local, walked, ST_OK);
    }
    numbers_free(&vertices);
    return st;
}

enum status cmd_degrees(struct call *call)
{
    return carry_out(call, degrees);
}

/* --- levels and orders ---------------------------------------------------- */

/* {Vertex, Level}: by level, and within one in ascending order. */
static enum status put_levels(struct local *local, const struct nodes *nodes,
                              enum status walked)
{
    struct numbers level = NUMBERS(local->mem);
    struct writer *out = local->call->out;
    enum status st = local_rows_begin(local, walked);
    enum status sorted = ST_OK;
    uint32_t place = 0;

    while (place < nodes->count && st == ST_OK) {
        uint32_t number = nodes->array[place].level;

        level.count = 0;
        for (; place < nodes->count && nodes->array[place].level == number &&
               st == ST_OK;
             place++) {
            source_vertex_prefetch(local->source, nodes->array[place].vertex);
            st = numbers_add(&level, nodes->array[place].vertex);
        }
        if (st == ST_OK)
            sorted = numbers_sort_within(&level, 0, &local->budget);
        if (sorted < 0 && sorted != ST_DEADLINE)
            st = sorted;
        for (size_t i = 0; i < level.count && st == ST_OK; i++) {
            put_tuple(out, 2);
            st = local_put_vertex(local, level.array[i]);
            put_u64(out, number);
            if (st == ST_OK)
                st = local_row_done(local);
        }
        if (st == ST_OK) /* those were not all of the level */
            st = sorted;
    }
    numbers_free(&level);
    return local_rows_end(local, walked, st);
}

static enum status k_hop(struct local *local)
{
    struct numbers starts = NUMBERS(local->mem);
    struct nodes nodes;
    enum status st = local_vertices(local, &starts);

    nodes_init(&nodes, local->mem);
    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK) {
        st = walk_breadth(&local->t, starts.array, starts.count, &nodes);
        st = put_levels(local, &nodes, st);
    }
    numbers_free(&starts);
    nodes_free(&nodes);
    return st;
}

enum status cmd_k_hop(struct call *call)
{
    return carry_out(call, k_hop);
}

/* {Vertex, Level, Parent | none}, as they were met. */
static enum status put_order(struct local *local, const struct nodes *nodes,
                             enum status walked)
{
    struct writer *out = local->call->out;
    enum status st = local_rows_begin(local, walked);

    for (uint32_t place = 0; place < nodes->count && st == ST_OK; place++) {
        const struct node *node = &nodes->array[place];

        put_tuple(out, 3);
        st = local_put_vertex(local, node->vertex);
        put_u64(out, node->level);
        if (node->parent == NO_PLACE)
            put_atom(out, "none");
        else if (st == ST_OK)
            st = local_put_vertex(local, nodes->array[node->parent].vertex);
        if (st == ST_OK)
            st = local_row_done(local);
    }
    return local_rows_end(local, walked, st);
}

static enum status order(struct local *local, bool depth_first)
{
    struct nodes nodes;
    uint64_t vertex = 0;
    enum status st = local_vertex(local, &vertex);

    nodes_init(&nodes, local->mem);
    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK) {
        st = depth_first ? walk_depth(&local->t, vertex, &nodes)
                         : walk_breadth(&local->t, &vertex, 1, &nodes);
        st = put_order(local, &nodes, st);
    }
    nodes_free(&nodes);
    return st;
}

static enum status bfs(struct local *local)
{
    return order(local, false);
}

enum status cmd_bfs(struct call *call)
{
    return carry_out(call, bfs);
}

static enum status dfs(struct local *local)
{
    return order(local, true);
}

enum status cmd_dfs(struct call *call)
{
    return carry_out(call, dfs);
}

/* --- from one to another -------------------------------------------------- */

static enum status take_ends(struct local *local, uint64_t *ret_from,
                             uint64_t *ret_to)
{
    enum status st = local_vertex(local, ret_from);

    return st < 0 ? st : local_vertex(local, ret_to);
}

static enum status reachable(struct local *local)
{
    struct numbers way = NUMBERS(local->mem);
    uint64_t from = 0, to = 0;
    bool found = false;
    double length;
    enum status st = take_ends(local, &from, &to);

    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK)
        st = walk_shortest(&local->t, from, to, &way, &length, &found);
    if (st == ST_OK)
        put_bool(local->call->out, found);
    numbers_free(&way);
    return st;
}

enum status cmd_reachable(struct call *call)
{
    return carry_out(call, reachable);
}

static enum status shortest_path(struct local *local)
{
    struct numbers way = NUMBERS(local->mem);
    struct writer *out = local->call->out;
    uint64_t from = 0, to = 0;
    bool found = false;
    double length = 0;
    enum status st = take_ends(local, &from, &to);

    if (st == ST_OK)
        st = local_walk(local, WALK_WEIGHTED | WALK_HEURISTIC);
    if (st == ST_OK)
        st = walk_shortest(&local->t, from, to, &way, &length, &found);
    if (st == ST_OK && !found) {
        put_atom(out, "none");
    } else if (st == ST_OK) {
        put_tuple(out, 2);
        local_put_length(local, length);
        st = local_put_way(local, way.array, way.count);
    }
    numbers_free(&way);
    return st;
}

enum status cmd_shortest_path(struct call *call)
{
    return carry_out(call, shortest_path);
}

/* --- many ends ------------------------------------------------------------ */

/* {Vertex, Distance, [Vertex]} */
static enum status put_distance(void *context, const struct nodes *nodes,
                                uint32_t place)
{
    struct local *local = context;
    struct numbers way = NUMBERS(local->mem);
    struct writer *out = local->call->out;
    enum status st = traversal_row(&local->t, local->rows);

    if (st == ST_OK)
        st = nodes_way(nodes, place, &way);
    if (st == ST_OK) {
        put_tuple(out, 3);
        st = local_put_vertex(local, nodes->array[place].vertex);
    }
    if (st == ST_OK) {
        local_put_length(local, nodes->array[place].distance);
        st = local_put_way(local, way.array, way.count);
    }
    numbers_free(&way);
    return st < 0 ? st : local_row_done(local);
}

/* All that can be reached, as they are settled. */
static enum status all_distances(struct local *local, uint64_t from)
{
    struct nodes nodes;
    enum status st;

    nodes_init(&nodes, local->mem);
    local_rows_begin(local, ST_OK);
    st = walk_distances(&local->t, from, NULL, 0, &nodes, put_distance, local);
    nodes_free(&nodes);
    return local_rows_end(local, ST_OK, st);
}

/* Those that were asked for, in that order. */
static enum status some_distances(struct local *local, uint64_t from,
                                  const struct numbers *targets)
{
    struct nodes nodes;
    enum status walked = ST_OK;
    enum status st;

    nodes_init(&nodes, local->mem);
    if (targets->count)
        walked = walk_distances(&local->t, from, targets->array, targets->count,
                                &nodes, NULL, NULL);
    st = local_rows_begin(local, walked);
    for (size_t i = 0; i < targets->count && st == ST_OK; i++) {
        uint32_t place = nodes_find(&nodes, targets->array[i]);

        if (place != NO_PLACE && nodes.array[place].settled)
            st = put_distance(local, &nodes, place);
    }
    nodes_free(&nodes);
    return local_rows_end(local, walked, st);
}

static enum status shortest_paths_to(struct local *local)
{
    struct call *call = local->call;
    struct numbers targets = NUMBERS(local->mem);
    uint64_t from = 0;
    struct bytes word;
    bool all = false;
    enum status st = local_vertex(local, &from);

    if (st == ST_OK && reader_atom(&call->args, &word)) {
        all = true;
        call->argument++;
        if (!bytes_equal(word, BYTES("all")))
            st = call_bad(call, "must be a list of vertices, or all");
    } else if (st == ST_OK) {
        st = local_vertices(local, &targets);
    }
    if (st == ST_OK)
        st = local_walk(local, WALK_WEIGHTED);
    if (st == ST_OK)
        st = all ? all_distances(local, from)
                 : some_distances(local, from, &targets);
    numbers_free(&targets);
    return st;
}

enum status cmd_shortest_paths_to(struct call *call)
{
    return carry_out(call, shortest_paths_to);
}

/* --- many ways ------------------------------------------------------------ */

static enum status put_way(void *context, const struct way *way)
{
    struct local *local = context;
    enum status st = local_put_way(local, way->vertices, way->count);

    return st < 0 ? st : local_row_done(local);
}

static enum status put_way_and_length(void *context, const struct way *way)
{
    struct local *local = context;

    put_tuple(local->call->out, 2);
    local_put_length(local, way->length);
    return put_way(context, way);
}

static enum status all_shortest_paths(struct local *local)
{
    uint64_t from = 0, to = 0;
    enum status st = take_ends(local, &from, &to);

    if (st == ST_OK)
        st = local_walk(local, WALK_WEIGHTED);
    if (st < 0)
        return st;
    local_rows_begin(local, ST_OK);
    st = walk_all_shortest(&local->t, from, to, put_way, local);
    return local_rows_end(local, ST_OK, st);
}

enum status cmd_all_shortest_paths(struct call *call)
{
    return carry_out(call, all_shortest_paths);
}

static enum status k_shortest_paths(struct local *local)
{
    uint64_t from = 0, to = 0, k = 0;
    enum status st = take_ends(local, &from, &to);

    if (st == ST_OK)
        st = local_integer(local, 1, "must be an integer from 1 on", &k);
    if (st == ST_OK)
        st = local_walk(local, WALK_WEIGHTED);
    if (st < 0)
        return st;
    local_rows_begin(local, ST_OK);
    st = walk_k_shortest(&local->t, from, to, k, put_way_and_length, local);
    return local_rows_end(local, ST_OK, st);
}

enum status cmd_k_shortest_paths(struct call *call)
{
    return carry_out(call, k_shortest_paths);
}

static enum status paths(struct local *local)
{
    struct call *call = local->call;
    uint64_t from = 0, to = 0;
    struct reader any;
    struct bytes word;
    enum status st = local_vertex(local, &from);

    any = call->args;
    if (st == ST_OK && reader_atom(&any, &word) &&
        bytes_equal(word, BYTES("any")))
        call_term(call);
    else if (st == ST_OK)
        st = local_vertex(local, &to);
    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st == ST_OK && local->t.depth == UINT64_MAX)
        st = call_bad(call, "depth is missing: the most edges of a path");
    if (st < 0)
        return st;
    local_rows_begin(local, ST_OK);
    st = walk_simple(&local->t, from, to, put_way, local);
    return local_rows_end(local, ST_OK, st);
}

enum status cmd_paths(struct call *call)
{
    return carry_out(call, paths);
}

/* --- at random ------------------------------------------------------------ */

static enum status random_walk(struct local *local)
{
    struct numbers way = NUMBERS(local->mem);
    uint64_t vertex = 0, steps = 0, seed = 0;
    enum status st = local_vertex(local, &vertex);

    if (st == ST_OK)
        st = local_integer(local, 0, "must be a number of edges, from 0 on",
                           &steps);
    if (st == ST_OK)
        st =
            local_integer(local, INT64_MIN,
                          "a seed is an integer of 64 bits with a sign", &seed);
    if (st == ST_OK)
        st = local_walk(local, WALK_WEIGHTED);
    if (st == ST_OK) {
        st = walk_random(&local->t, vertex, steps, seed, &way);
        st = put_vertices(local, &way, st);
    }
    numbers_free(&way);
    return st;
}

enum status cmd_random_walk(struct call *call)
{
    return carry_out(call, random_walk);
}

/* --- two vertices --------------------------------------------------------- */

static enum status common(struct local *local, bool share)
{
    struct numbers found = NUMBERS(local->mem);
    uint64_t a = 0, b = 0, all = 0;
    enum status st = take_ends(local, &a, &b);

    if (st == ST_OK)
        st = local_walk(local, 0);
    if (st < 0)
        return st;
    if (share)
        local->t.limit = UINT64_MAX;
    st = walk_common(&local->t, a, b, &found, &all);
    if (!share)
        st = put_vertices(local, &found, st);
    else if (st == ST_OK)
        put_float(local->call->out,
                  all ? (double)found.count / (double)all : 0.0);
    numbers_free(&found);
    return st;
}

static enum status common_neighbors(struct local *local)
{
    return common(local, false);
}

enum status cmd_common_neighbors(struct call *call)
{
    return carry_out(call, common_neighbors);
}

static enum status jaccard(struct local *local)
{
    return common(local, true);
}

enum status cmd_jaccard(struct call *call)
{
    return carry_out(call, jaccard);
}

/* --- a part of it --------------------------------------------------------- */

struct labels {
    struct local *local;
    uint64_t count;
};

static enum status put_label(void *context, uint64_t label)
{
    struct labels *labels = context;

    put_term(labels->local->call->out,
             source_label(labels->local->source, label));
    labels->count++;
    return ST_OK;
}

/* {vertex, V, Value, [Label]} */
static enum status put_vertex_element(struct local *local, uint64_t vertex)
{
    const struct graph *graph = source_graph(local->source);
    struct labels labels = {local, 0};
    struct writer *out = local->call->out;
    size_t list;
    enum status st;

    put_tuple(out, 4);
    put_atom(out, "vertex");
    st = local_put_vertex(local, vertex);
    put_term(out, source_vertex_value(local->source, vertex));
    list = put_list_begin(out);
    if (graph && st == ST_OK)
        st = graph_each_label(graph, vertex, &local->entry, put_label, &labels);
    put_list_end(out, list, labels.count);
    return st < 0 ? st : local_row_done(local);
}

/* Of an undirected edge the lesser vertex is told first. */
static enum status order_ends(struct local *local, uint64_t ends[2])
{
    struct buffer first = BUFFER(local->mem);
    uint64_t from = ends[0];
    struct bytes key;
    enum status st;

    if (!source_is_undirected(local->source))
        return ST_OK;
    st = source_vertex_key(local->source, ends[0], &key);
    if (st == ST_OK)
        st = buffer_append(&first, key);
    if (st == ST_OK)
        st = source_vertex_key(local->source, ends[1], &key);
    if (st == ST_OK && bytes_compare(buffer_bytes(&first), key) > 0) {
        ends[0] = ends[1];
        ends[1] = from;
    }
    buffer_free(&first);
    return st;
}

/* {edge, From, To, Label, Value} */
static enum status put_edge_element(void *context, uint64_t from,
                                    const struct arc *arc)
{
    struct local *local = context;
    struct writer *out = local->call->out;
    uint64_t ends[2] = {from, arc->other};
    enum status st = order_ends(local, ends);

    put_tuple(out, 5);
    put_atom(out, "edge");
    if (st == ST_OK)
        st = local_put_vertex(local, ends[0]);
    if (st == ST_OK)
        st = local_put_vertex(local, ends[1]);
    if (st < 0)
        return st;
    put_term(out, source_label(local->source, arc->label));
    put_term(out, arc->value);
    return local_row_done(local);
}

/* {[VertexElement], [EdgeElement]} of the vertices of a set. */
static enum status put_part(struct local *local, const struct nodes *set)
{
    struct writer *out = local->call->out;
    enum status st = ST_OK;
    size_t list;

    put_tuple(out, 2);
    list = put_list_begin(out);
    for (uint32_t place = 0; place < set->count && st == ST_OK; place++)
        st = put_vertex_element(local, set->array[place].vertex);
    put_list_end(out, list, set->count);
    if (st < 0)
        return st;
    local->rows = 0;
    list = put_list_begin(out);
    local->t.wanted.values = true;
    st = walk_induced(&local->t, set, put_edge_element, local);
    put_list_end(out, list, local->rows);
    return st;
}

static enum status subgraph(struct local *local)
{
    struct numbers vertices = NUMBERS(local->mem);
    struct nodes set;
    enum status st = local_vertices(local, &vertices);

    nodes_init(&set, local->mem);
    if (st == ST_OK)
        st = local_walk(local, 0);
    local->t.depth = 0;
    local->t.limit = UINT64_MAX;
    if (st == ST_OK)
        st = walk_breadth(&local->t, vertices.array, vertices.count, &set);
    if (st == ST_OK)
        st = put_part(local, &set);
    numbers_free(&vertices);
    nodes_free(&set);
    return st;
}

enum status cmd_subgraph(struct call *call)
{
    return carry_out(call, subgraph);
}
