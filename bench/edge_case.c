/*
 * edge_case.c -- a graph in a store, filled and read as the daemon does it.
 */
#include "edge_case.h"

#include <stdlib.h>

#include "core/graph_load.h"
#include "core/key.h"
#include "core/snapshot.h"
#include "graph/project.h"

struct edge_case {
    struct store *store;
    struct mem mem;     /* of projections, and of keys */
    struct buffer name; /* encoded, as is the label of edges without one */
    struct buffer no_label;
};

static bool encode_names(struct edge_case *graph)
{
    static const uint8_t name[] = {119, 1, 'g'};

    return key_encode(bytes_of(name, sizeof(name)), &graph->name) == ST_OK &&
           key_encode(graph_nil, &graph->no_label) == ST_OK;
}

static struct table *find_table(const struct edge_case *graph)
{
    return store_find(graph->store, buffer_bytes(&graph->name));
}

static bool open_graph(const struct edge_case *graph, struct graph *ret)
{
    return graph_open(graph->store, find_table(graph), ret) == ST_OK;
}

struct edge_case *edge_case_create(void)
{
    struct edge_case *graph = calloc(1, sizeof(*graph));
    struct graph_options options = {0};
    struct table *table;
    enum status st;

    if (!graph)
        return NULL;
    mem_init(&graph->mem, 0);
    graph->name = BUFFER(&graph->mem);
    graph->no_label = BUFFER(&graph->mem);
    if (store_create(NULL, &graph->store) < 0 || !encode_names(graph)) {
        edge_case_free(graph);
        return NULL;
    }
    store_begin(graph->store);
    st = graph_create(graph->store, buffer_bytes(&graph->name), &options,
                      &table);
    store_commit(graph->store);
    if (st == ST_OK)
        return graph;
    edge_case_free(graph);
    return NULL;
}

void edge_case_free(struct edge_case *graph)
{
    store_free(graph->store);
    buffer_free(&graph->name);
    buffer_free(&graph->no_label);
    free(graph);
}

/* One command. `keys` is scratch. */
static bool put_batch(struct edge_case *graph, struct buffer *keys,
                      const uint32_t *from, const uint32_t *to, size_t count)
{
    struct graph_writer writer;
    struct table *table;
    enum outcome outcome;
    bool done;

    store_begin(graph->store);
    done = store_find_mutable(graph->store, buffer_bytes(&graph->name),
                              &table) == ST_OK &&
           graph_writer_open(graph->store, table, &writer) == ST_OK;
    for (size_t i = 0; done && i < count; i++) {
        size_t size;

        keys->size = 0;
        done = key_encode_u64(from[i], keys) == ST_OK;
        size = keys->size;
        done = done && key_encode_u64(to[i], keys) == ST_OK &&
               graph_put_edge(&writer, bytes_of(keys->data, size),
                              bytes_of(keys->data + size, keys->size - size),
                              buffer_bytes(&graph->no_label), graph_nil,
                              &outcome) == ST_OK;
    }
    if (done)
        store_commit(graph->store);
    else
        store_rollback(graph->store);
    return done;
}

int edge_case_put(struct edge_case *graph, const uint32_t *from,
                  const uint32_t *to, size_t count, size_t batch)
{
    struct buffer keys = BUFFER(&graph->mem);
    bool done = true;

    for (size_t i = 0; done && i < count; i += batch)
        done = put_batch(graph, &keys, from + i, to + i,
                         count - i < batch ? count - i : batch);
    buffer_free(&keys);
    return done;
}

int edge_case_load(struct edge_case *graph, const uint32_t *from,
                   const uint32_t *to, size_t count)
{
    struct graph_load_counts counts;
    struct graph_load *load;
    enum status st = graph_load_begin(graph->store, find_table(graph), &load);

    if (st < 0)
        return false;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint32_t a;
        uint32_t b;

        st = graph_load_integer(load, from[i], &a);
        if (st == ST_OK)
            st = graph_load_integer(load, to[i], &b);
        if (st == ST_OK)
            st = graph_load_put_edge(load, a, b, 0, graph_nil);
    }
    if (st == ST_OK)
        return graph_load_finish(load, NULL, &counts) == ST_OK;
    graph_load_abort(load);
    return false;
}

uint64_t edge_case_vertices(const struct edge_case *graph)
{
    struct graph reading;

    return open_graph(graph, &reading) ? graph_vertex_count(&reading) : 0;
}

uint64_t edge_case_edges(const struct edge_case *graph)
{
    struct graph reading;

    return open_graph(graph, &reading) ? graph_edge_count(&reading) : 0;
}

uint64_t edge_case_bytes(const struct edge_case *graph)
{
    struct graph reading;

    return open_graph(graph, &reading) ? graph_bytes(&reading) : 0;
}

int edge_case_settle(struct edge_case *graph)
{
    struct table *table = find_table(graph);
    struct digest before = table_digest(table);
    struct digest after;

    if (graph_settle(graph->store, table) < 0)
        return false;
    after = table_digest(table);
    return memcmp(&before, &after, sizeof(before)) == 0;
}

int64_t edge_case_project(struct edge_case *graph, int both_directions)
{
    const struct project_spec spec = {0};
    unsigned needs = both_directions ? NEED_OUT | NEED_IN : NEED_OUT;
    struct snapshot *snapshot;
    struct graph reading;
    struct graph pin = {0};
    struct graph_image image = {0};
    struct run run;
    int64_t count = -1;

    if (snapshot_take(graph->store, &snapshot) < 0)
        return -1;
    run_init(&run, &graph->mem);
    if (open_graph(graph, &reading) &&
        graph_pin(&graph->mem, &reading, &pin) == ST_OK &&
        image_of_graph(&run, &pin, &spec, needs, &image) == ST_OK) {
        count = (int64_t)(image.out.m + image.in.m);
        image_free(&image);
    }
    graph_unpin(&graph->mem, &pin);
    snapshot_release(snapshot);
    return count;
}
