/*
 * test_walk.c -- walks over thousands of small random graphs and junctions,
 * against the same asked of a list of edges by functions that know no short
 * cuts; and over a few large ones.
 */
#include "graph/walk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/key.h"
#include "support/random.h"
#include "support/term_text.h"

enum { VERTICES_MAX = 9, EDGES_MAX = 40, LABELS = 3, WAYS_MAX = 400000 };

/* --- terms ---------------------------------------------------------------- */

static struct bytes term_of(const char *text)
{
    static struct buffer out[16];
    static unsigned next;
    struct buffer *buffer = &out[next++ % 16];

    buffer->mem = test_mem();
    buffer->size = 0;
    term_parse(buffer, text);
    return buffer_bytes(buffer);
}

static struct bytes key_of(struct bytes term)
{
    static struct buffer out[16];
    static unsigned next;
    struct buffer *buffer = &out[next++ % 16];

    buffer->mem = test_mem();
    buffer->size = 0;
    assert_int_equal(key_encode(term, buffer), ST_OK);
    return buffer_bytes(buffer);
}

static struct bytes number_term(int64_t n)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)n);
    return term_of(text);
}

static struct bytes vertex_key(unsigned v)
{
    return key_of(number_term(100 + (int64_t)v));
}

static struct bytes label_term(unsigned label)
{
    static const char *const names[] = {"nil", "likes", "owes"};

    return term_of(names[label]);
}

/* --- the model ------------------------------------------------------------ */

struct edge {
    unsigned from;
    unsigned to;
    unsigned label;
    int weight;
};

/* A way, as vertices. */
struct model_way {
    unsigned count;
    unsigned vertices[VERTICES_MAX + 1];
    double length;
};

struct model {
    struct random random;
    uint64_t seed;
    bool is_graph;
    bool undirected;
    unsigned vertex_count;
    struct edge edges[EDGES_MAX];
    unsigned edge_count;

    struct store *store;
    struct table *table;
    struct graph graph;
    struct mem mem;
    struct budget budget;
    struct source *source;
    uint64_t numbers[VERTICES_MAX];
    uint64_t labels[LABELS];
    bool has_label[LABELS];

    /* What is wanted of it. */
    struct arcs_wanted wanted;
    enum direction_of_edges direction;
    bool label_wanted[LABELS];
    bool some_labels;
    uint64_t label_ids[LABELS];
    int weight_above; /* -1: any */
    int vertex_above; /* the same */
    bool weighted;

    struct model_way *ways;
    unsigned way_count;
};

#define FAIL(model, ...)                                                       \
    do {                                                                       \
        print_error("SEED=%llu: ", (unsigned long long)(model)->seed);         \
        print_error(__VA_ARGS__);                                              \
        print_error("\n");                                                     \
        fail();                                                                \
    } while (0)

#define CHECK(model, condition)                                                \
    do {                                                                       \
        if (!(condition))                                                      \
            FAIL(model, "line %d: not %s", __LINE__, #condition);              \
    } while (0)

/* An arc as the model sees it. */
struct model_arc {
    unsigned other;
    uint64_t label;
    int weight;
    bool backwards;
};

static int compare_arcs(const void *a, const void *b, void *context)
{
    const struct model_arc *x = a;
    const struct model_arc *y = b;
    const struct model *model = context;
    uint64_t p, q;

    if (x->backwards != y->backwards)
        return x->backwards - y->backwards;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    p = model->numbers[x->other];
    q = model->numbers[y->other];
    return (p > q) - (p < q);
}

static bool edge_wanted(const struct model *model, const struct edge *edge,
                        unsigned other)
{
    if (model->some_labels && !model->label_wanted[edge->label])
        return false;
    if (model->weight_above >= 0 && edge->weight <= model->weight_above)
        return false;
    return model->vertex_above < 0 || (int)other > model->vertex_above;
}

/* The wanted arcs at a vertex, in the order of a graph's. */
static unsigned model_arcs(struct model *model, unsigned v,
                           struct model_arc *ret)
{
    bool outwards = model->undirected || model->direction != EDGES_IN;
    bool inwards = model->undirected || model->direction != EDGES_OUT;
    unsigned count = 0;

    for (unsigned i = 0; i < model->edge_count; i++) {
        const struct edge *edge = &model->edges[i];
        uint64_t label = model->labels[edge->label];

        if (outwards && edge->from == v && edge_wanted(model, edge, edge->to))
            ret[count++] =
                (struct model_arc){edge->to, label, edge->weight, false};
        if (inwards && edge->to == v && edge_wanted(model, edge, edge->from) &&
            !(model->undirected && edge->from == v))
            ret[count++] =
                (struct model_arc){edge->from, label, edge->weight, true};
    }
    qsort_r(ret, count, sizeof(*ret), compare_arcs, model);
    return count;
}

static bool model_joins(struct model *model, unsigned from, unsigned to,
                        int *ret_weight)
{
    struct model_arc arcs[2 * EDGES_MAX];
    unsigned count = model_arcs(model, from, arcs);
    bool found = false;

    for (unsigned i = 0; i < count; i++) {
        if (arcs[i].other != to)
            continue;
        if (ret_weight && (!found || arcs[i].weight < *ret_weight))
            *ret_weight = arcs[i].weight;
        found = true;
    }
    return found;
}

/* Shortest lengths from a vertex by relaxing every arc until nothing changes;
 * -1: not reached. */
static void model_distances(struct model *model, unsigned from, bool weighted,
                            int *ret)
{
    bool changed = true;

    for (unsigned v = 0; v < model->vertex_count; v++)
        ret[v] = v == from ? 0 : -1;
    while (changed) {
        changed = false;
        for (unsigned v = 0; v < model->vertex_count; v++) {
            struct model_arc arcs[2 * EDGES_MAX];
            unsigned count = ret[v] < 0 ? 0 : model_arcs(model, v, arcs);

            for (unsigned i = 0; i < count; i++) {
                int length = ret[v] + (weighted ? arcs[i].weight : 1);
                int *other = &ret[arcs[i].other];

                if (*other >= 0 && *other <= length)
                    continue;
                *other = length;
                changed = true;
            }
        }
    }
}

/* Adds all simple ways that begin like `way`. */
static void model_ways(struct model *model, struct model_way *way, unsigned to,
                       unsigned depth)
{
    unsigned last = way->vertices[way->count - 1];
    bool any = to == VERTICES_MAX;

    if (last == to || (any && way->count > 1)) {
        assert_true(model->way_count < WAYS_MAX);
        model->ways[model->way_count++] = *way;
    }
    if (last == to || way->count > depth)
        return;
    /* By the numbers of vertices, which ascend as they do. */
    for (unsigned v = 0; v < model->vertex_count; v++) {
        bool on_it = false;
        int weight = 0;

        for (unsigned i = 0; i < way->count; i++)
            on_it |= way->vertices[i] == v;
        if (on_it || !model_joins(model, last, v, &weight))
            continue;
        way->vertices[way->count++] = v;
        way->length += model->weighted ? weight : 1;
        model_ways(model, way, to, depth);
        way->length -= model->weighted ? weight : 1;
        way->count--;
    }
}

static void model_all_ways(struct model *model, unsigned from, unsigned to,
                           unsigned depth)
{
    struct model_way way = {.count = 1, .vertices = {from}};

    model->way_count = 0;
    model_ways(model, &way, to, depth);
}

static unsigned vertex_of(struct model *model, uint64_t number)
{
    for (unsigned v = 0; v < model->vertex_count; v++)
        if (model->numbers[v] == number)
            return v;
    FAIL(model, "no vertex has the number %llu", (unsigned long long)number);
    return 0;
}

/* --- a graph and its model -------------------------------------------------
 */

static struct random chance;

static unsigned below(unsigned bound)
{
    return (unsigned)random_below(&chance, bound);
}

static bool has_edge(const struct model *model, const struct edge *edge)
{
    for (unsigned i = 0; i < model->edge_count; i++) {
        const struct edge *other = &model->edges[i];

        if (other->label != edge->label)
            continue;
        if ((other->from == edge->from && other->to == edge->to) ||
            (model->undirected && other->from == edge->to &&
             other->to == edge->from))
            return true;
    }
    return false;
}

static void make_edges(struct model *model)
{
    unsigned wanted = below(EDGES_MAX + 1);

    if (model->vertex_count == 0)
        return;
    for (unsigned i = 0; i < wanted; i++) {
        struct edge edge = {
            .from = below(model->vertex_count),
            .to = below(model->vertex_count),
            .label = model->is_graph ? below(LABELS) : 0,
            .weight = model->is_graph ? (int)below(5) : 1,
        };

        if (!has_edge(model, &edge))
            model->edges[model->edge_count++] = edge;
    }
}

static void fill_graph(struct model *model)
{
    struct graph_options options = {.undirected = model->undirected,
                                    .weight = WEIGHT_VALUE};
    struct graph_writer writer;
    enum outcome outcome;

    store_begin(model->store);
    assert_int_equal(graph_create(model->store, key_of(term_of("g")), &options,
                                  &model->table),
                     ST_OK);
    assert_int_equal(graph_writer_open(model->store, model->table, &writer),
                     ST_OK);
    for (unsigned v = 0; v < model->vertex_count; v++)
        assert_int_equal(graph_put_vertex(&writer, vertex_key(v),
                                          number_term(v), NULL, 0, &outcome),
                         ST_OK);
    for (unsigned i = 0; i < model->edge_count; i++) {
        const struct edge *edge = &model->edges[i];

        assert_int_equal(graph_put_edge(&writer, vertex_key(edge->from),
                                        vertex_key(edge->to),
                                        key_of(label_term(edge->label)),
                                        number_term(edge->weight), &outcome),
                         ST_OK);
        /* As it is kept. */
        if (model->undirected && edge->from > edge->to)
            model->edges[i] =
                (struct edge){edge->to, edge->from, edge->label, edge->weight};
    }
    store_commit(model->store);
    assert_int_equal(graph_open(model->store, model->table, &model->graph),
                     ST_OK);
}

static void fill_table(struct model *model)
{
    static const struct table_reference none[2];
    bool inserted;

    store_begin(model->store);
    assert_int_equal(store_table_create(model->store, key_of(term_of("j")),
                                        TABLE_MANY_TO_MANY, none,
                                        &model->table),
                     ST_OK);
    for (unsigned i = 0; i < model->edge_count; i++)
        assert_int_equal(table_insert(model->store, model->table, SIDE_FWD,
                                      vertex_key(model->edges[i].from),
                                      vertex_key(model->edges[i].to),
                                      &inserted),
                         ST_OK);
    store_commit(model->store);
}

/* Lets a junction have only vertices with an edge: they are numbered anew. */
static void drop_lonely(struct model *model)
{
    unsigned names[VERTICES_MAX];
    bool used[VERTICES_MAX] = {false};
    unsigned count = 0;

    for (unsigned i = 0; i < model->edge_count; i++)
        used[model->edges[i].from] = used[model->edges[i].to] = true;
    for (unsigned v = 0; v < model->vertex_count; v++) {
        names[v] = count;
        count += used[v];
    }
    for (unsigned i = 0; i < model->edge_count; i++) {
        model->edges[i].from = names[model->edges[i].from];
        model->edges[i].to = names[model->edges[i].to];
    }
    model->vertex_count = count;
}

static void model_reset_budget(struct model *model)
{
    model->budget = (struct budget){.arcs = UINT64_MAX, .stride = 4096};
}

static void open_source(struct model *model)
{
    struct source_step step = {model->table, SIDE_FWD};

    mem_init(&model->mem, 0);
    model_reset_budget(model);
    assert_int_equal(model->is_graph
                         ? source_of_graph(&model->mem, &model->graph,
                                           &model->budget, &model->source)
                         : source_of_path(&model->mem, &step, 1, &model->budget,
                                          &model->source),
                     ST_OK);
    for (unsigned v = 0; v < model->vertex_count; v++)
        CHECK(model, source_find(model->source, vertex_key(v),
                                 &model->numbers[v]) == ST_OK);
    for (unsigned i = 1; i < LABELS; i++)
        model->has_label[i] = source_find_label(
            model->source, key_of(label_term(i)), &model->labels[i]);
    model->has_label[0] = true;
}

/* --- what is wanted of it --------------------------------------------------
 */

static struct filter *filter_above(struct model *model, const char *operand,
                                   int value)
{
    static struct buffer conditions[2];
    static unsigned next;
    struct buffer *condition = &conditions[next++ % 2];
    struct filter *filter = NULL;
    const char *why = NULL;
    char text[64];

    condition->mem = test_mem();
    condition->size = 0;
    snprintf(text, sizeof(text), "{'>',%s,%d}", operand, value);
    term_parse(condition, text);
    assert_int_equal(
        filter_create(&model->mem, buffer_bytes(condition), &filter, &why),
        ST_OK);
    return filter;
}

static void want_labels(struct model *model)
{
    size_t count = 0;

    model->some_labels = model->is_graph && below(3) == 0;
    if (!model->some_labels)
        return;
    for (unsigned i = 0; i < LABELS; i++) {
        model->label_wanted[i] = below(2) == 0;
        if (model->label_wanted[i] && model->has_label[i])
            model->label_ids[count++] = model->labels[i];
    }
    for (size_t i = 1; i < count; i++) /* ascending */
        for (size_t j = i; j > 0; j--)
            if (model->label_ids[j] < model->label_ids[j - 1]) {
                uint64_t other = model->label_ids[j];

                model->label_ids[j] = model->label_ids[j - 1];
                model->label_ids[j - 1] = other;
            }
    model->wanted.labels = model->label_ids;
    model->wanted.label_count = count;
}

static void want(struct model *model)
{
    struct arcs_wanted *wanted = &model->wanted;

    memset(wanted, 0, sizeof(*wanted));
    model->direction = (enum direction_of_edges)below(3);
    wanted->direction = model->direction;
    model->weighted = below(2) == 0;
    wanted->weights = model->weighted;
    model->weight_above = model->vertex_above = -1;
    want_labels(model);
    if (model->is_graph && below(4) == 0) {
        model->weight_above = (int)below(3);
        wanted->edges = filter_above(model, "value", model->weight_above);
    }
    if (below(4) == 0) {
        model->vertex_above = (int)below(3);
        wanted->vertices =
            filter_above(model, "key", 100 + model->vertex_above);
    }
}

static struct traversal walk_of(struct model *model)
{
    struct traversal t =
        traversal_of(model->source, &model->mem, &model->budget);

    model_reset_budget(model);
    t.wanted = model->wanted;
    t.weighted = model->weighted;
    return t;
}

/* The same, in edges. */
static struct traversal plain_walk_of(struct model *model)
{
    struct traversal t = walk_of(model);

    t.weighted = false;
    return t;
}

/* --- the comparisons -------------------------------------------------------
 */

static void compare_neighbors(struct model *model, unsigned v)
{
    struct traversal t = walk_of(model);
    struct numbers found = NUMBERS(&model->mem);
    struct model_arc arcs[2 * EDGES_MAX];
    unsigned count = model_arcs(model, v, arcs);
    unsigned distinct = 0;
    uint64_t degree, wanted = count;

    CHECK(model, walk_neighbors(&t, model->numbers[v], &found) == ST_OK);
    for (unsigned w = 0; w < model->vertex_count; w++) {
        if (!model_joins(model, v, w, NULL))
            continue;
        CHECK(model, distinct < found.count &&
                         found.array[distinct] == model->numbers[w]);
        distinct++;
    }
    CHECK(model, distinct == found.count);
    for (unsigned i = 0; i < count; i++)
        wanted += model->undirected && arcs[i].other == v;
    CHECK(model, source_degree(model->source, model->numbers[v], &model->wanted,
                               &degree) == ST_OK);
    CHECK(model, degree == wanted);
    numbers_free(&found);
}

struct arc_check {
    struct model *model;
    struct model_arc arcs[2 * EDGES_MAX];
    unsigned count;
    unsigned next;
};

static enum status check_arc(void *context, const struct arc *arc)
{
    struct arc_check *check = context;
    struct model *model = check->model;
    const struct model_arc *wanted = &check->arcs[check->next++];

    CHECK(model, check->next <= check->count);
    CHECK(model, arc->other == model->numbers[wanted->other]);
    CHECK(model, arc->label == wanted->label);
    CHECK(model, arc->backwards == wanted->backwards);
    if (model->weighted)
        CHECK(model, arc->weight == wanted->weight);
    return ST_OK;
}

/* Arcs come in their order and with their weights. */
static void compare_arcs_at(struct model *model, unsigned v)
{
    struct arc_check check = {.model = model};

    check.count = model_arcs(model, v, check.arcs);
    CHECK(model, source_arcs(model->source, model->numbers[v], &model->wanted,
                             check_arc, &check) == ST_OK);
    CHECK(model, check.next == check.count);
}

static void compare_breadth(struct model *model, unsigned v)
{
    struct traversal t = plain_walk_of(model);
    unsigned queue[VERTICES_MAX];
    unsigned count = 1;
    int levels[VERTICES_MAX];
    struct nodes nodes;

    t.depth = below(3) ? UINT64_MAX : below(4);
    queue[0] = v;
    for (unsigned w = 0; w < model->vertex_count; w++)
        levels[w] = w == v ? 0 : -1;
    for (unsigned i = 0; i < count; i++) {
        struct model_arc arcs[2 * EDGES_MAX];
        unsigned arc_count = model_arcs(model, queue[i], arcs);

        if ((uint64_t)levels[queue[i]] >= t.depth)
            continue;
        for (unsigned j = 0; j < arc_count; j++)
            if (levels[arcs[j].other] < 0) {
                levels[arcs[j].other] = levels[queue[i]] + 1;
                queue[count++] = arcs[j].other;
            }
    }
    nodes_init(&nodes, &model->mem);
    CHECK(model, walk_breadth(&t, &model->numbers[v], 1, &nodes) == ST_OK);
    CHECK(model, nodes.count == count);
    for (unsigned i = 0; i < count; i++) {
        const struct node *node = &nodes.array[i];
        const struct node *parent;

        CHECK(model, node->vertex == model->numbers[queue[i]]);
        CHECK(model, (int)node->level == levels[queue[i]]);
        if (i == 0)
            continue;
        parent = &nodes.array[node->parent];
        CHECK(model, parent->level + 1 == node->level);
        CHECK(model, model_joins(model, vertex_of(model, parent->vertex),
                                 queue[i], NULL));
    }
    nodes_free(&nodes);
}

/* What is k hops away is what neighbours of k - 1 hops have for neighbours. */
static void compare_hops(struct model *model, unsigned v)
{
    struct numbers reached = NUMBERS(&model->mem);
    unsigned hops = below(4);
    struct traversal t = plain_walk_of(model);
    struct nodes nodes;

    assert_int_equal(numbers_add(&reached, model->numbers[v]), ST_OK);
    for (unsigned i = 0; i < hops; i++) {
        size_t count = reached.count;

        for (size_t j = 0; j < count; j++)
            CHECK(model,
                  walk_neighbors(&t, reached.array[j], &reached) == ST_OK);
        numbers_sort(&reached, 0);
    }
    t.depth = hops;
    nodes_init(&nodes, &model->mem);
    CHECK(model, walk_breadth(&t, &model->numbers[v], 1, &nodes) == ST_OK);
    CHECK(model, nodes.count == reached.count);
    for (size_t i = 0; i < reached.count; i++)
        CHECK(model, nodes_find(&nodes, reached.array[i]) != NO_PLACE);
    nodes_free(&nodes);
    numbers_free(&reached);
}

struct depth_order {
    struct model *model;
    uint64_t depth;
    bool met[VERTICES_MAX];
    unsigned order[VERTICES_MAX];
    unsigned count;
};

static void depth_visit(struct depth_order *order, unsigned v, uint64_t level)
{
    struct model_arc arcs[2 * EDGES_MAX];
    unsigned count = model_arcs(order->model, v, arcs);

    order->met[v] = true;
    order->order[order->count++] = v;
    for (unsigned i = 0; i < count && level < order->depth; i++)
        if (!order->met[arcs[i].other])
            depth_visit(order, arcs[i].other, level + 1);
}

static void compare_depth(struct model *model, unsigned v)
{
    struct depth_order order = {.model = model};
    struct traversal t = plain_walk_of(model);
    struct nodes nodes;

    order.depth = t.depth = below(3) ? UINT64_MAX : below(4);
    depth_visit(&order, v, 0);
    nodes_init(&nodes, &model->mem);
    CHECK(model, walk_depth(&t, model->numbers[v], &nodes) == ST_OK);
    CHECK(model, nodes.count == order.count);
    for (unsigned i = 0; i < order.count; i++)
        CHECK(model, nodes.array[i].vertex == model->numbers[order.order[i]]);
    nodes_free(&nodes);
}

/* A way is one of edges that are wanted, and as long as is said. */
static void check_way(struct model *model, const uint64_t *vertices,
                      size_t count, bool weighted, double length)
{
    double sum = 0;

    for (size_t i = 0; i + 1 < count; i++) {
        int weight = 0;

        CHECK(model, model_joins(model, vertex_of(model, vertices[i]),
                                 vertex_of(model, vertices[i + 1]), &weight));
        sum += weighted ? weight : 1;
    }
    CHECK(model, sum == length);
}

static enum status guess(void *context, uint64_t vertex, double *ret)
{
    struct model *model = context;
    const int *left = (const int *)(const void *)model->ways;
    int most = left[vertex_of(model, vertex)];

    /* Never too much, and otherwise anything. */
    *ret = most > 0 ? (double)(mix64(vertex) % (uint64_t)(most + 1)) : 0;
    return ST_OK;
}

/* How far it is from each vertex to the end, for a heuristic. */
static void lengths_to(struct model *model, unsigned to, bool weighted,
                       int *ret)
{
    for (unsigned v = 0; v < model->vertex_count; v++) {
        int lengths[VERTICES_MAX];

        model_distances(model, v, weighted, lengths);
        ret[v] = lengths[to];
    }
}

static void compare_shortest(struct model *model, unsigned from, unsigned to)
{
    struct traversal t = walk_of(model);
    struct numbers way = NUMBERS(&model->mem);
    int lengths[VERTICES_MAX];
    bool found;
    double length;

    if (below(3) == 0) {
        t.heuristic = guess;
        t.context = model;
        lengths_to(model, to, t.weighted, (int *)(void *)model->ways);
    } else if (!t.weighted && below(3) == 0) {
        t.depth = below(4);
    }
    model_distances(model, from, t.weighted, lengths);
    CHECK(model, walk_shortest(&t, model->numbers[from], model->numbers[to],
                               &way, &length, &found) == ST_OK);
    CHECK(model,
          found == (lengths[to] >= 0 && (uint64_t)lengths[to] <= t.depth));
    if (found) {
        CHECK(model, length == lengths[to]);
        CHECK(model, way.array[0] == model->numbers[from]);
        CHECK(model, way.array[way.count - 1] == model->numbers[to]);
        check_way(model, way.array, way.count, t.weighted, length);
    } else {
        CHECK(model, way.count == 0);
    }
    numbers_free(&way);
}

struct settling {
    struct model *model;
    double last;
    unsigned count;
};

static enum status on_settled(void *context, const struct nodes *nodes,
                              uint32_t place)
{
    struct settling *settling = context;
    struct model *model = settling->model;

    CHECK(model, nodes->array[place].distance >= settling->last);
    settling->last = nodes->array[place].distance;
    settling->count++;
    return ST_OK;
}

static void compare_distances(struct model *model, unsigned from)
{
    struct traversal t = walk_of(model);
    struct settling settling = {.model = model};
    uint64_t targets[3];
    size_t target_count = below(4);
    int lengths[VERTICES_MAX];
    struct nodes nodes;

    for (size_t i = 0; i < target_count; i++)
        targets[i] = model->numbers[below(model->vertex_count)];
    model_distances(model, from, t.weighted, lengths);
    nodes_init(&nodes, &model->mem);
    CHECK(model, walk_distances(&t, model->numbers[from], targets, target_count,
                                &nodes, on_settled, &settling) == ST_OK);
    for (unsigned v = 0; v < model->vertex_count; v++) {
        uint32_t place = nodes_find(&nodes, model->numbers[v]);
        bool asked = target_count == 0;
        bool settled = place != NO_PLACE && nodes.array[place].settled;

        for (size_t i = 0; i < target_count; i++)
            asked |= targets[i] == model->numbers[v];
        if (asked)
            CHECK(model, settled == (lengths[v] >= 0));
        if (settled) {
            struct numbers way = NUMBERS(&model->mem);

            CHECK(model, nodes.array[place].distance == lengths[v]);
            CHECK(model, nodes_way(&nodes, place, &way) == ST_OK);
            CHECK(model, way.array[0] == model->numbers[from]);
            check_way(model, way.array, way.count, t.weighted, lengths[v]);
            numbers_free(&way);
        }
    }
    nodes_free(&nodes);
}

/* --- many ways -------------------------------------------------------------
 */

struct told {
    struct model *model;
    unsigned count;
    bool in_order; /* of model->ways, all of them */
    bool *seen;
    double last;
};

static bool same_way(struct model *model, const struct model_way *a,
                     const struct way *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (model->numbers[a->vertices[i]] != b->vertices[i])
            return false;
    return true;
}

static enum status on_way(void *context, const struct way *way)
{
    struct told *told = context;
    struct model *model = told->model;
    unsigned i = told->count;

    if (!told->in_order)
        for (i = 0; i < model->way_count; i++)
            if (!told->seen[i] && same_way(model, &model->ways[i], way))
                break;
    CHECK(model, i < model->way_count);
    CHECK(model, same_way(model, &model->ways[i], way));
    if (!told->in_order) {
        CHECK(model, model->ways[i].length == way->length);
        CHECK(model, way->length >= told->last);
        told->seen[i] = true;
        told->last = way->length;
    }
    told->count++;
    return ST_OK;
}

static int compare_lengths(const void *a, const void *b)
{
    double x = ((const struct model_way *)a)->length;
    double y = ((const struct model_way *)b)->length;

    return (x > y) - (x < y);
}

static void compare_all_shortest(struct model *model, unsigned from,
                                 unsigned to)
{
    struct traversal t = walk_of(model);
    struct told told = {.model = model};
    unsigned count = 0;

    model_all_ways(model, from, to, VERTICES_MAX);
    qsort(model->ways, model->way_count, sizeof(*model->ways), compare_lengths);
    while (count < model->way_count &&
           model->ways[count].length == model->ways[0].length)
        count++;
    model->way_count = count;
    told.seen = calloc(count + 1, sizeof(bool));
    CHECK(model, walk_all_shortest(&t, model->numbers[from], model->numbers[to],
                                   on_way, &told) == ST_OK);
    CHECK(model, told.count == count);
    free(told.seen);
}

static void compare_simple(struct model *model, unsigned from, unsigned to)
{
    struct traversal t = plain_walk_of(model);
    struct told told = {.model = model, .in_order = true};
    bool weighted = model->weighted;

    t.depth = below(5);
    if (below(3) == 0)
        to = VERTICES_MAX;
    if (below(5) == 0)
        t.limit = 1 + below(4);
    model->weighted = false;
    model_all_ways(model, from, to, (unsigned)t.depth);
    model->weighted = weighted;
    if (model->way_count > t.limit) {
        CHECK(model, walk_simple(&t, model->numbers[from],
                                 to < VERTICES_MAX ? model->numbers[to] : 0,
                                 on_way, &told) == ST_ROW_LIMIT);
        CHECK(model, t.limited && told.count == t.limit);
        return;
    }
    CHECK(model, walk_simple(&t, model->numbers[from],
                             to < VERTICES_MAX ? model->numbers[to] : 0, on_way,
                             &told) == ST_OK);
    CHECK(model, told.count == model->way_count && !t.limited);
}

static void compare_k_shortest(struct model *model, unsigned from, unsigned to)
{
    struct traversal t = walk_of(model);
    struct told told = {.model = model};
    unsigned k = 1 + below(12);
    unsigned depth = VERTICES_MAX;

    if (!t.weighted && below(3) == 0)
        t.depth = depth = below(5);
    model_all_ways(model, from, to, depth);
    qsort(model->ways, model->way_count, sizeof(*model->ways), compare_lengths);
    told.seen = calloc(model->way_count + 1, sizeof(bool));
    CHECK(model, walk_k_shortest(&t, model->numbers[from], model->numbers[to],
                                 k, on_way, &told) == ST_OK);
    CHECK(model, told.count == (k < model->way_count ? k : model->way_count));
    /* Each one was found among all, and none of those left is shorter. */
    if (told.count)
        CHECK(model, told.last == model->ways[told.count - 1].length);
    free(told.seen);
}

/* --- two vertices, sets, at random -----------------------------------------
 */

static void compare_common(struct model *model, unsigned a, unsigned b)
{
    struct traversal t = walk_of(model);
    struct numbers found = NUMBERS(&model->mem);
    uint64_t all, wanted_all = 0, both = 0;

    CHECK(model, walk_common(&t, model->numbers[a], model->numbers[b], &found,
                             &all) == ST_OK);
    for (unsigned v = 0; v < model->vertex_count; v++) {
        bool of_a = model_joins(model, a, v, NULL);
        bool of_b = model_joins(model, b, v, NULL);

        wanted_all += of_a || of_b;
        if (of_a && of_b) {
            CHECK(model,
                  both < found.count && found.array[both] == model->numbers[v]);
            both++;
        }
    }
    CHECK(model, both == found.count && all == wanted_all);
    numbers_free(&found);
}

struct edges_seen {
    struct model *model;
    bool seen[EDGES_MAX];
    unsigned count;
};

static enum status on_edge(void *context, uint64_t from, const struct arc *arc)
{
    struct edges_seen *seen = context;
    struct model *model = seen->model;

    for (unsigned i = 0; i < model->edge_count; i++) {
        const struct edge *edge = &model->edges[i];

        if (model->numbers[edge->from] != from ||
            model->numbers[edge->to] != arc->other ||
            model->labels[edge->label] != arc->label)
            continue;
        CHECK(model, !seen->seen[i] && edge_wanted(model, edge, edge->to));
        seen->seen[i] = true;
        seen->count++;
        return ST_OK;
    }
    FAIL(model, "there is no such edge");
    return ST_OK;
}

static void compare_induced(struct model *model)
{
    struct traversal t = walk_of(model);
    struct edges_seen seen = {.model = model};
    bool in_it[VERTICES_MAX];
    unsigned wanted = 0;
    struct nodes set;
    uint32_t place;
    bool is_new;

    nodes_init(&set, &model->mem);
    for (unsigned v = 0; v < model->vertex_count; v++) {
        in_it[v] = below(2) == 0;
        if (in_it[v])
            assert_int_equal(
                nodes_add(&set, model->numbers[v], &place, &is_new), ST_OK);
    }
    for (unsigned i = 0; i < model->edge_count; i++) {
        const struct edge *edge = &model->edges[i];

        wanted += in_it[edge->from] && in_it[edge->to] &&
                  edge_wanted(model, edge, edge->to);
    }
    CHECK(model, walk_induced(&t, &set, on_edge, &seen) == ST_OK);
    CHECK(model, seen.count == wanted);
    nodes_free(&set);
}

struct gathered {
    struct arc arcs[4 * EDGES_MAX];
    size_t count;
};

static enum status gather(void *context, const struct arc *arc)
{
    struct gathered *gathered = context;

    gathered->arcs[gathered->count++] = *arc;
    return ST_OK;
}

/* By their numbers arcs come as they come one after the other; but that loops
 * without a direction come twice. */
static void compare_numbers(struct model *model, unsigned v)
{
    struct traversal t = walk_of(model);
    struct gathered gathered = {.count = 0};
    uint64_t vertex = model->numbers[v];
    size_t next = 0;

    if (!source_numbers_arcs(t.source, &t.wanted))
        return;
    CHECK(model,
          source_arcs(t.source, vertex, &t.wanted, gather, &gathered) == ST_OK);
    for (uint64_t i = 0; i < source_arc_count(t.source, vertex, &t.wanted);
         i++) {
        struct arc arc;

        CHECK(model,
              source_arc_at(t.source, vertex, &t.wanted, i, &arc) == ST_OK);
        if (source_is_undirected(t.source) && arc.backwards &&
            arc.other == vertex)
            continue;
        CHECK(model, next < gathered.count);
        CHECK(model, arc.other == gathered.arcs[next].other &&
                         arc.label == gathered.arcs[next].label &&
                         arc.backwards == gathered.arcs[next].backwards);
        next++;
    }
    CHECK(model, next == gathered.count);
}

static void compare_random(struct model *model, unsigned v)
{
    struct traversal t = walk_of(model);
    struct numbers ways[2] = {NUMBERS(&model->mem), NUMBERS(&model->mem)};
    uint64_t seed = random_next(&chance);
    unsigned steps = below(12);
    unsigned last;

    for (int i = 0; i < 2; i++)
        CHECK(model, walk_random(&t, model->numbers[v], steps, seed,
                                 &ways[i]) == ST_OK);
    CHECK(model, ways[0].count == ways[1].count);
    CHECK(model, !memcmp(ways[0].array, ways[1].array,
                         ways[0].count * sizeof(uint64_t)));
    CHECK(model, ways[0].count >= 1 && ways[0].count <= steps + 1);
    for (size_t i = 0; i + 1 < ways[0].count; i++)
        CHECK(model, model_joins(model, vertex_of(model, ways[0].array[i]),
                                 vertex_of(model, ways[0].array[i + 1]), NULL));
    last = vertex_of(model, ways[0].array[ways[0].count - 1]);
    if (ways[0].count < steps + 1) { /* it has ended before */
        struct model_arc arcs[2 * EDGES_MAX];
        unsigned count = model_arcs(model, last, arcs);

        for (unsigned i = 0; i < count; i++)
            CHECK(model, t.weighted && arcs[i].weight == 0);
    }
    numbers_free(&ways[0]);
    numbers_free(&ways[1]);
}

/* However few arcs it may look at, what a walk has found is right. */
static void compare_budget(struct model *model, unsigned v)
{
    struct traversal t = plain_walk_of(model);
    struct nodes all, part;
    enum status st;

    nodes_init(&all, &model->mem);
    nodes_init(&part, &model->mem);
    CHECK(model, walk_breadth(&t, &model->numbers[v], 1, &all) == ST_OK);
    model_reset_budget(model);
    model->budget.arcs = below(EDGES_MAX);
    st = walk_breadth(&t, &model->numbers[v], 1, &part);
    CHECK(model, st == ST_OK || st == ST_ROW_LIMIT);
    CHECK(model, model->budget.examined <= model->budget.arcs);
    CHECK(model, st == ST_ROW_LIMIT || part.count == all.count);
    CHECK(model, !t.limited && part.count <= all.count);
    for (uint32_t i = 0; i < part.count; i++)
        CHECK(model, part.array[i].vertex == all.array[i].vertex &&
                         part.array[i].level == all.array[i].level);
    nodes_free(&all);
    nodes_free(&part);
}

/* --- all of it -------------------------------------------------------------
 */

static void compare_all(struct model *model)
{
    for (unsigned v = 0; v < model->vertex_count; v++) {
        compare_neighbors(model, v);
        if (model->is_graph)
            compare_arcs_at(model, v);
    }
    for (int i = 0; i < 3 && model->vertex_count > 0; i++) {
        unsigned from = below(model->vertex_count);
        unsigned to = below(model->vertex_count);

        if (model->is_graph) { /* whose order is that of the model */
            compare_breadth(model, from);
            compare_depth(model, from);
        }
        compare_hops(model, from);
        compare_shortest(model, from, to);
        compare_distances(model, from);
        compare_all_shortest(model, from, to);
        compare_simple(model, from, to);
        compare_k_shortest(model, from, to);
        compare_common(model, from, to);
        compare_induced(model);
        compare_numbers(model, from);
        compare_random(model, from);
        compare_budget(model, from);
    }
}

static void one_graph(uint64_t seed, struct model_way *ways)
{
    struct model model = {.seed = seed, .ways = ways};

    random_init(&chance, seed);
    model.is_graph = below(4) > 0;
    model.undirected = model.is_graph && below(3) == 0;
    model.vertex_count = below(VERTICES_MAX);
    make_edges(&model);
    assert_int_equal(store_create(NULL, &model.store), ST_OK);
    if (model.is_graph) {
        fill_graph(&model);
    } else {
        drop_lonely(&model);
        fill_table(&model);
    }
    open_source(&model);
    for (int i = 0; i < 3; i++) {
        want(&model);
        compare_all(&model);
        filter_free(model.wanted.edges);
        filter_free(model.wanted.vertices);
    }
    source_free(model.source);
    CHECK(&model, model.mem.used == 0);
    store_free(model.store);
}

static void walks_agree_with_lists_of_edges(void **state)
{
    const char *given = getenv("SEED");
    struct model_way *ways = calloc(WAYS_MAX, sizeof(*ways));
    uint64_t seed = given ? strtoull(given, NULL, 10) : random_seed();

    (void)state;
    if (given) {
        one_graph(seed, ways);
    } else {
        for (int i = 0; i < 2000; i++)
            one_graph(seed + (uint64_t)i, ways);
    }
    free(ways);
}

/* --- large ones ------------------------------------------------------------
 */

struct large {
    struct store *store;
    struct table *table;
    struct mem mem;
    struct budget budget;
    struct source *source;
    struct traversal t;
};

static void large_open(struct large *large, enum table_type type,
                       unsigned count,
                       void (*pair)(unsigned i, unsigned *a, unsigned *b))
{
    static const struct table_reference none[2];
    struct buffer keys[2] = {BUFFER(test_mem()), BUFFER(test_mem())};

    memset(large, 0, sizeof(*large));
    assert_int_equal(store_create(NULL, &large->store), ST_OK);
    store_begin(large->store);
    assert_int_equal(store_table_create(large->store, key_of(term_of("big")),
                                        type, none, &large->table),
                     ST_OK);
    for (unsigned i = 0; i < count; i++) {
        unsigned ends[2];
        bool inserted;

        pair(i, &ends[0], &ends[1]);
        for (int k = 0; k < 2; k++) {
            keys[k].size = 0;
            assert_int_equal(key_encode_u64(ends[k], &keys[k]), ST_OK);
        }
        assert_int_equal(table_insert(large->store, large->table, SIDE_FWD,
                                      buffer_bytes(&keys[0]),
                                      buffer_bytes(&keys[1]), &inserted),
                         ST_OK);
    }
    store_commit(large->store);
    buffer_free(&keys[0]);
    buffer_free(&keys[1]);
    mem_init(&large->mem, 0);
    large->budget = (struct budget){.arcs = UINT64_MAX, .stride = 1024};
    assert_int_equal(
        source_of_path(&large->mem,
                       &(struct source_step){large->table, SIDE_FWD}, 1,
                       &large->budget, &large->source),
        ST_OK);
    large->t = traversal_of(large->source, &large->mem, &large->budget);
}

static void large_close(struct large *large)
{
    source_free(large->source);
    assert_int_equal(large->mem.used, 0);
    store_free(large->store);
}

static uint64_t large_vertex(struct large *large, unsigned n)
{
    struct buffer key = BUFFER(test_mem());
    uint64_t number = 0;

    assert_int_equal(key_encode_u64(n, &key), ST_OK);
    assert_int_equal(source_find(large->source, buffer_bytes(&key), &number),
                     ST_OK);
    buffer_free(&key);
    return number;
}

static void hub_pair(unsigned i, unsigned *a, unsigned *b)
{
    *a = 0;
    *b = i + 1;
}

static enum status nobody(void *context)
{
    unsigned *left = context;

    return --*left ? ST_OK : ST_DEADLINE;
}

static void hub_pair_at_random(unsigned i, unsigned *a, unsigned *b)
{
    *a = 0;
    *b = 1 + (unsigned)(mix64(i) % 900000);
}

/* As they come with several labels: in no order, and some of them twice. */
static void many_numbers_are_sorted_by_the_clock(void **state)
{
    enum { COUNT = 1000000 };
    struct mem mem;
    struct numbers numbers;
    struct budget budget = {.arcs = UINT64_MAX, .stride = 1024};
    unsigned left = 0;
    size_t all;

    (void)state;
    mem_init(&mem, 0);
    for (unsigned form = 0; form < 3; form++) {
        numbers = NUMBERS(&mem);
        for (unsigned i = 0; i < COUNT; i++) {
            unsigned a, number;

            hub_pair_at_random(i, &a, &number);
            if (form == 1) /* ten that ascend */
                number = 1 + i % (COUNT / 10);
            else if (form == 2)
                number = COUNT - i;
            assert_int_equal(numbers_add(&numbers, number), ST_OK);
        }
        budget.check = NULL;
        assert_int_equal(numbers_sort_within(&numbers, 7, &budget), ST_OK);
        for (size_t i = 8; i < numbers.count; i++)
            assert_true(numbers.array[i - 1] < numbers.array[i]);
        assert_true(numbers.count > COUNT / 11);
        assert_true(form != 2 || numbers.count == COUNT);
        numbers_free(&numbers);
    }

    /* Wherever it is stopped, what is left is sorted, and not much. */
    budget.check = nobody;
    budget.context = &left;
    for (unsigned after = 1; after < 1000; after += 99) {
        numbers = NUMBERS(&mem);
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(numbers_add(&numbers, mix64(i) % 1000000), ST_OK);
        left = after;
        budget.work = 0;
        all = numbers.count;
        assert_int_equal(numbers_sort_within(&numbers, 0, &budget),
                         ST_DEADLINE);
        assert_int_equal(left, 0);
        assert_in_range(numbers.count, 1, NUMBERS_LATE_MAX);
        assert_true(numbers.count < all);
        for (size_t i = 1; i < numbers.count; i++)
            assert_true(numbers.array[i - 1] < numbers.array[i]);
        numbers_free(&numbers);
    }
    assert_int_equal(mem.used, 0);
}

/* A hub of a million edges: all of it, a part of it, and by the clock. */
static void a_hub_is_walked_within_its_limits(void **state)
{
    enum { COUNT = 1000000 };
    struct numbers found;
    struct large large;
    unsigned left = 5;
    uint64_t hub, degree;
    struct nodes nodes;

    (void)state;
    large_open(&large, TABLE_TO_MANY, COUNT, hub_pair);
    hub = large_vertex(&large, 0);
    found = NUMBERS(&large.mem);
    assert_int_equal(walk_neighbors(&large.t, hub, &found), ST_OK);
    assert_int_equal(found.count, COUNT);
    numbers_free(&found);
    assert_int_equal(source_degree(large.source, hub, NULL, &degree), ST_OK);
    assert_int_equal(degree, COUNT);

    large.t.wanted.degree_max = 10;
    large.budget.examined = large.budget.pause = 0;
    nodes_init(&nodes, &large.mem);
    assert_int_equal(walk_breadth(&large.t, &hub, 1, &nodes), ST_OK);
    assert_int_equal(nodes.count, 11);
    assert_int_equal(large.budget.examined, 10);
    nodes_free(&nodes);
    large.t.wanted.degree_max = 0;

    large.budget.examined = large.budget.pause = 0;
    large.budget.check = nobody;
    large.budget.context = &left;
    nodes_init(&nodes, &large.mem);
    assert_int_equal(walk_breadth(&large.t, &hub, 1, &nodes), ST_DEADLINE);
    assert_true(large.budget.examined <= 5 * 1024);
    nodes_free(&nodes);
    large.budget.check = NULL;

    /* Beyond the budget of memory. */
    large.mem.limit = large.mem.used + 100000;
    large.budget.examined = large.budget.pause = 0;
    nodes_init(&nodes, &large.mem);
    assert_int_equal(walk_breadth(&large.t, &hub, 1, &nodes), ST_MEMORY_LIMIT);
    nodes_free(&nodes);
    large_close(&large);
}

static void ring_pair(unsigned i, unsigned *a, unsigned *b)
{
    *a = i;
    *b = (i + 1) % 100000;
}

/* Nothing calls itself: a ring of a hundred thousand is gone round in depth,
 * and an absurd depth is as good as none. */
static void a_long_ring_is_nothing_special(void **state)
{
    enum { COUNT = 100000 };
    struct large large;
    struct numbers way;
    struct nodes nodes;
    uint64_t start, end;
    double length;
    bool found;

    (void)state;
    large_open(&large, TABLE_MANY_TO_MANY, COUNT, ring_pair);
    start = large_vertex(&large, 0);
    end = large_vertex(&large, COUNT - 1);
    large.t.depth = UINT64_C(1) << 63;
    nodes_init(&nodes, &large.mem);
    assert_int_equal(walk_depth(&large.t, start, &nodes), ST_OK);
    assert_int_equal(nodes.count, COUNT);
    assert_int_equal(nodes.array[COUNT - 1].level, COUNT - 1);
    nodes_free(&nodes);

    way = NUMBERS(&large.mem);
    for (int weighted = 0; weighted < 2; weighted++) {
        way.count = 0;
        large.t.weighted = weighted;
        assert_int_equal(
            walk_shortest(&large.t, start, end, &way, &length, &found), ST_OK);
        assert_true(found);
        assert_true(length == COUNT - 1);
        assert_int_equal(way.count, COUNT);
    }
    numbers_free(&way);
    large_close(&large);
}

/* 2i -> 2i + 1 and 2i -> 2i + 2 and so on: 2^n shortest ways. */
static void diamond_pair(unsigned i, unsigned *a, unsigned *b)
{
    unsigned layer = i / 4;
    unsigned top = 3 * layer;

    *a = i % 4 < 2 ? top : top + 1 + i % 2;
    *b = i % 4 < 2 ? top + 1 + i % 2 : top + 3;
}

static enum status count_way(void *context, const struct way *way)
{
    (void)way;
    ++*(uint64_t *)context;
    return ST_OK;
}

/* Very many ways through few edges end with the budget, or the limit. */
static void many_ways_are_bounded(void **state)
{
    struct large large;
    uint64_t start, end, count = 0;

    (void)state;
    large_open(&large, TABLE_MANY_TO_MANY, 4 * 40, diamond_pair);
    start = large_vertex(&large, 0);
    end = large_vertex(&large, 3 * 40);
    large.budget.arcs = 100000;
    assert_int_equal(walk_all_shortest(&large.t, start, end, count_way, &count),
                     ST_ROW_LIMIT);
    assert_false(large.t.limited);
    assert_true(count > 1000);

    count = large.budget.examined = large.budget.pause = 0;
    large.t.limit = 10;
    assert_int_equal(walk_all_shortest(&large.t, start, end, count_way, &count),
                     ST_ROW_LIMIT);
    assert_true(large.t.limited);
    assert_int_equal(count, 10);

    count = large.budget.examined = large.budget.pause = 0;
    large.t = traversal_of(large.source, &large.mem, &large.budget);
    large.t.depth = UINT64_MAX - 1;
    assert_int_equal(walk_simple(&large.t, start, 0, count_way, &count),
                     ST_ROW_LIMIT);
    count = large.budget.examined = large.budget.pause = 0;
    large.budget.arcs = UINT64_MAX;
    assert_int_equal(
        walk_k_shortest(&large.t, start, end, 200, count_way, &count), ST_OK);
    assert_int_equal(count, 200);
    large_close(&large);
}

/* Whatever allocation fails: the walk says so, and nothing is left. */
static void want_of_memory_is_told(void **state)
{
    struct large large;
    uint64_t start, end;

    (void)state;
    large_open(&large, TABLE_MANY_TO_MANY, 4 * 60, diamond_pair);
    start = large_vertex(&large, 0);
    end = large_vertex(&large, 3 * 60);
    large.budget.arcs = 3000;
    for (int which = 0; which < 7; which++) {
        enum status st = ST_NO_MEMORY;

        for (uint64_t nth = 1; st == ST_NO_MEMORY; nth++) {
            struct numbers numbers = NUMBERS(&large.mem);
            uint64_t count = 0, all;
            struct nodes nodes;
            double length;
            bool found;

            large.budget.examined = large.budget.pause = 0;
            nodes_init(&nodes, &large.mem);
            mem_fail_at(&large.mem, nth, false);
            switch (which) {
            case 0:
                st = walk_breadth(&large.t, &start, 1, &nodes);
                break;
            case 1:
                st = walk_depth(&large.t, start, &nodes);
                break;
            case 2:
                st = walk_shortest(&large.t, start, end, &numbers, &length,
                                   &found);
                break;
            case 3:
                large.t.weighted = true;
                st = walk_shortest(&large.t, start, end, &numbers, &length,
                                   &found);
                large.t.weighted = false;
                break;
            case 4:
                st =
                    walk_k_shortest(&large.t, start, end, 3, count_way, &count);
                break;
            case 5:
                st = walk_simple(&large.t, start, end, count_way, &count);
                break;
            default:
                st = walk_common(&large.t, start, end, &numbers, &all);
                if (st == ST_OK)
                    st = walk_random(&large.t, start, 10, 1, &numbers);
                break;
            }
            mem_fail_at(&large.mem, 0, false);
            assert_true(st == ST_OK || st == ST_NO_MEMORY ||
                        st == ST_ROW_LIMIT);
            nodes_free(&nodes);
            numbers_free(&numbers);
        }
    }
    large_close(&large);
}

/* --- paths of junctions ----------------------------------------------------
 */

static struct table *pairs(struct store *store, const char *name,
                           enum table_type type, const int (*pair)[2],
                           size_t count)
{
    static const struct table_reference none[2];
    struct table *table;
    bool inserted;

    store_begin(store);
    assert_int_equal(
        store_table_create(store, key_of(term_of(name)), type, none, &table),
        ST_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(table_insert(store, table, SIDE_FWD,
                                      key_of(number_term(pair[i][0])),
                                      key_of(number_term(pair[i][1])),
                                      &inserted),
                         ST_OK);
    store_commit(store);
    return table;
}

static void expect_others(struct source *source, struct mem *mem,
                          struct budget *budget, int from, bool backwards,
                          const char *wanted)
{
    struct traversal t = traversal_of(source, mem, budget);
    struct numbers found = NUMBERS(mem);
    struct buffer text = BUFFER(test_mem());
    uint64_t vertex;

    t.wanted.direction = backwards ? EDGES_IN : EDGES_OUT;
    assert_int_equal(source_find(source, key_of(number_term(from)), &vertex),
                     ST_OK);
    assert_int_equal(walk_neighbors(&t, vertex, &found), ST_OK);
    for (size_t i = 0; i < found.count; i++) {
        struct bytes term;

        assert_int_equal(source_vertex(source, found.array[i], &term), ST_OK);
        term_print(&text, term.data);
        test_append_text(&text, " ");
    }
    test_append(&text, "", 1);
    assert_string_equal((const char *)text.data, wanted);
    buffer_free(&text);
    numbers_free(&found);
}

static void a_path_joins_tables(void **state)
{
    static const int writes[][2] = {{1, 10}, {1, 11}, {2, 11}, {3, 12}};
    static const int about[][2] = {{10, 100}, {11, 100}, {11, 101}};
    struct budget budget = {.arcs = UINT64_MAX, .stride = 1024};
    struct source_step steps[4];
    struct source *source;
    struct store *store;
    uint64_t vertex;
    struct mem mem;

    (void)state;
    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    steps[0] = (struct source_step){
        pairs(store, "writes", TABLE_MANY_TO_MANY, writes, 4), SIDE_FWD};
    steps[1] = (struct source_step){
        pairs(store, "about", TABLE_MANY_TO_MANY, about, 3), SIDE_FWD};
    assert_int_equal(source_of_path(&mem, steps, 2, &budget, &source), ST_OK);
    expect_others(source, &mem, &budget, 1, false, "100 101 ");
    expect_others(source, &mem, &budget, 2, false, "100 101 ");
    expect_others(source, &mem, &budget, 3, false, "");
    expect_others(source, &mem, &budget, 100, true, "1 2 ");
    assert_int_equal(source_find(source, key_of(number_term(7)), &vertex),
                     ST_NO_VERTEX);
    source_free(source);

    /* Who writes about the same: there and back. */
    steps[2] = (struct source_step){steps[1].table, SIDE_BWD};
    steps[3] = (struct source_step){steps[0].table, SIDE_BWD};
    assert_int_equal(source_of_path(&mem, steps, 4, &budget, &source), ST_OK);
    expect_others(source, &mem, &budget, 2, false, "2 1 ");
    source_free(source);

    /* A to_many has no way back, and any term may be in it. */
    steps[0].table = pairs(store, "many", TABLE_TO_MANY, writes, 4);
    assert_int_equal(source_of_path(&mem, steps, 1, &budget, &source), ST_OK);
    assert_false(source_has_direction(source, EDGES_BOTH));
    assert_true(source_has_direction(source, EDGES_OUT));
    expect_others(source, &mem, &budget, 1, false, "10 11 ");
    expect_others(source, &mem, &budget, 12, false, "");
    source_free(source);
    assert_int_equal(mem.used, 0);
    store_free(store);
}

/* --- weights ---------------------------------------------------------------
 */

static void bad_weights_name_their_edge(void **state)
{
    struct budget budget = {.arcs = UINT64_MAX, .stride = 1024};
    struct graph_options options = {.weight = WEIGHT_VALUE};
    struct graph_writer writer;
    struct source *source;
    struct numbers way;
    struct traversal t;
    struct graph graph;
    struct store *store;
    struct table *table;
    enum outcome outcome;
    uint64_t ends[3];
    struct mem mem;
    double length;
    bool found;

    (void)state;
    mem_init(&mem, 0);
    way = NUMBERS(&mem);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    assert_int_equal(
        graph_create(store, key_of(term_of("g")), &options, &table), ST_OK);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(1),
                                    key_of(graph_nil), number_term(2),
                                    &outcome),
                     ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(1), vertex_key(2),
                                    key_of(graph_nil), number_term(-1),
                                    &outcome),
                     ST_OK);
    store_commit(store);
    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    assert_int_equal(source_of_graph(&mem, &graph, &budget, &source), ST_OK);
    for (unsigned v = 0; v < 3; v++)
        assert_int_equal(source_find(source, vertex_key(v), &ends[v]), ST_OK);
    t = traversal_of(source, &mem, &budget);
    t.weighted = t.wanted.weights = true;
    assert_int_equal(walk_shortest(&t, ends[0], ends[2], &way, &length, &found),
                     ST_BAD_WEIGHT);
    assert_int_equal(source_fault(source).from, ends[1]);
    assert_int_equal(source_fault(source).to, ends[2]);
    way.count = 0;
    assert_int_equal(walk_random(&t, ends[1], 3, 1, &way), ST_BAD_WEIGHT);
    numbers_free(&way);
    source_free(source);
    assert_int_equal(mem.used, 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_agree_with_lists_of_edges),
        cmocka_unit_test(many_numbers_are_sorted_by_the_clock),
        cmocka_unit_test(a_hub_is_walked_within_its_limits),
        cmocka_unit_test(a_long_ring_is_nothing_special),
        cmocka_unit_test(many_ways_are_bounded),
        cmocka_unit_test(want_of_memory_is_told),
        cmocka_unit_test(a_path_joins_tables),
        cmocka_unit_test(bad_weights_name_their_edge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
