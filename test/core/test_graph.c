/*
 * test_graph.c -- graphs against lists of vertices and edges: random commands,
 * some of them undone, on the head, on forks and beside snapshots.
 */
#include "core/graph.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/key.h"
#include "core/snapshot.h"
#include "core/store_internal.h"

#include "support/term_text.h"
#include "support/world.h"

#define VERTICES 12
#define LABELS 4 /* and nil */

/* --- the model ------------------------------------------------------------ */

struct model_vertex {
    bool there;
    unsigned value; /* 0: nil */
    bool labels[LABELS + 1];
};

/* edges[from][to][label]: 0 is none, 1 has nil, others a value. */
struct model_graph {
    bool undirected;
    struct model_vertex vertices[VERTICES];
    unsigned edges[VERTICES][VERTICES][LABELS + 1];
};

static void model_order(const struct model_graph *model, unsigned *from,
                        unsigned *to)
{
    if (model->undirected && *from > *to) {
        unsigned other = *from;

        *from = *to;
        *to = other;
    }
}

/* Terms of all kinds, among them two with a trailer and a long one. */
static struct bytes term_of(const char *text)
{
    static struct buffer out[512];
    static unsigned next;
    struct buffer *buffer = &out[next++ % 512];

    buffer->mem = test_mem();
    buffer->size = 0;
    term_parse(buffer, text);
    return buffer_bytes(buffer);
}

static struct bytes key_of(struct bytes term)
{
    static struct buffer out[512];
    static unsigned next;
    struct buffer *buffer = &out[next++ % 512];

    buffer->mem = test_mem();
    buffer->size = 0;
    assert_int_equal(key_encode(term, buffer), ST_OK);
    return buffer_bytes(buffer);
}

static struct bytes vertex_key(unsigned n)
{
    static const char *const texts[] = {
        "ann",
        "bob",
        "1",
        "300",
        "<<\"a long name of a vertex, so it is\">>",
        "{a, 1}",
        "[]",
        "70000",
        "#{k => v}",
        "nil"};
    uint8_t real[9] = {70};

    if (n < 10)
        return key_of(term_of(texts[n]));
    store_be64(real + 1, n == 10 ? 0x3FF0000000000000u : 0x4008000000000000u);
    return key_of(bytes_of(real, sizeof(real))); /* 1.0 and 3.0 */
}

static struct bytes label_term(unsigned n)
{
    static const char *const texts[] = {"nil", "knows", "<<\"likes\">>",
                                        "{owns, 2}", "zebra"};

    return term_of(texts[n]);
}

static struct bytes value_term(unsigned n)
{
    char text[32];

    if (!n)
        return graph_nil;
    snprintf(text, sizeof(text), "%u", n);
    return term_of(text);
}

/* --- commands on both ----------------------------------------------------- */

struct pair {
    struct store *store;
    struct random *random;
    struct model_graph model;
};

static struct bytes graph_name(void)
{
    return key_of(term_of("{graph, 1}"));
}

static unsigned roll(struct pair *pair, unsigned below)
{
    return (unsigned)random_below(pair->random, below);
}

static void put_vertex(struct pair *pair, struct graph_writer *writer)
{
    unsigned v = roll(pair, VERTICES);
    struct model_vertex wanted = {.there = true, .value = roll(pair, 4)};
    struct model_vertex *model = &pair->model.vertices[v];
    struct bytes labels[2 * LABELS];
    size_t count = 0;
    enum outcome outcome, expected;

    for (unsigned i = 1; i <= LABELS; i++)
        if (roll(pair, 3) == 0) {
            wanted.labels[i] = true;
            labels[count++] = key_of(label_term(i));
            if (roll(pair, 4) == 0)
                labels[count++] = key_of(label_term(i));
        }
    expected = !model->there                                 ? OUTCOME_INSERTED
               : memcmp(model, &wanted, sizeof(wanted)) != 0 ? OUTCOME_UPDATED
                                                             : OUTCOME_EXISTS;
    assert_int_equal(graph_put_vertex(writer, vertex_key(v),
                                      value_term(wanted.value), labels, count,
                                      &outcome),
                     ST_OK);
    assert_int_equal(outcome, expected);
    *model = wanted;
}

/* Several edges at a time, some of them the same. */
static void put_edges(struct pair *pair, struct graph_writer *writer)
{
    struct graph_edge edges[8];
    size_t count = roll(pair, 8), index;
    uint64_t changed, expected = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned from = roll(pair, VERTICES), to = roll(pair, VERTICES);
        unsigned label = roll(pair, LABELS + 1), value = roll(pair, 3);
        unsigned a = from, b = to;

        if (i && roll(pair, 3) == 0) { /* the one before, with a value */
            edges[i] = edges[i - 1];
            for (a = 0; !bytes_equal(vertex_key(a), edges[i].from);)
                a++;
            for (b = 0; !bytes_equal(vertex_key(b), edges[i].to);)
                b++;
            for (label = 0;
                 !bytes_equal(key_of(label_term(label)), edges[i].label);)
                label++;
        } else {
            edges[i] = (struct graph_edge){.from = vertex_key(from),
                                           .to = vertex_key(to),
                                           .label = key_of(label_term(label))};
        }
        edges[i].value = value_term(value);
        model_order(&pair->model, &a, &b);
        expected += pair->model.edges[a][b][label] != value + 1;
        pair->model.edges[a][b][label] = value + 1;
        pair->model.vertices[a].there = true;
        pair->model.vertices[b].there = true;
    }
    assert_int_equal(graph_put_edges(writer, edges, count, &changed, &index),
                     ST_OK);
    assert_int_equal(changed, expected);
}

static void put_edge(struct pair *pair, struct graph_writer *writer)
{
    unsigned from = roll(pair, VERTICES);
    unsigned to = roll(pair, VERTICES);
    unsigned label = roll(pair, LABELS + 1);
    unsigned value = roll(pair, 3);
    unsigned a = from, b = to;
    enum outcome outcome, expected;
    unsigned *edge;

    model_order(&pair->model, &a, &b);
    edge = &pair->model.edges[a][b][label];
    expected = !*edge               ? OUTCOME_INSERTED
               : *edge != value + 1 ? OUTCOME_UPDATED
                                    : OUTCOME_EXISTS;
    assert_int_equal(graph_put_edge(writer, vertex_key(from), vertex_key(to),
                                    key_of(label_term(label)),
                                    value_term(value), &outcome),
                     ST_OK);
    assert_int_equal(outcome, expected);
    *edge = value + 1;
    pair->model.vertices[from].there = true;
    pair->model.vertices[to].there = true;
}

static void delete_edge(struct pair *pair, struct graph_writer *writer)
{
    unsigned from = roll(pair, VERTICES);
    unsigned to = roll(pair, VERTICES);
    unsigned label = roll(pair, LABELS + 1);
    unsigned a = from, b = to;
    bool deleted;

    model_order(&pair->model, &a, &b);
    assert_int_equal(graph_delete_edge(writer, vertex_key(from), vertex_key(to),
                                       key_of(label_term(label)), &deleted),
                     ST_OK);
    assert_int_equal(deleted, pair->model.edges[a][b][label] > 0);
    pair->model.edges[a][b][label] = 0;
}

static void delete_vertex(struct pair *pair, struct graph_writer *writer)
{
    unsigned v = roll(pair, VERTICES);
    uint64_t edges, expected = 0;
    bool deleted;

    for (unsigned u = 0; u < VERTICES; u++)
        for (unsigned label = 0; label <= LABELS; label++) {
            expected += pair->model.edges[v][u][label] > 0;
            expected += u != v && pair->model.edges[u][v][label] > 0;
            pair->model.edges[v][u][label] = 0;
            pair->model.edges[u][v][label] = 0;
        }
    assert_int_equal(
        graph_delete_vertex(writer, vertex_key(v), &deleted, &edges), ST_OK);
    assert_int_equal(deleted, pair->model.vertices[v].there);
    assert_int_equal(edges, expected);
    memset(&pair->model.vertices[v], 0, sizeof(pair->model.vertices[v]));
}

static void some_commands(struct pair *pair)
{
    struct graph_writer writer;
    struct table *table;

    assert_int_equal(store_find_mutable(pair->store, graph_name(), &table),
                     ST_OK);
    assert_int_equal(graph_writer_open(pair->store, table, &writer), ST_OK);
    for (unsigned left = 1 + roll(pair, 4); left > 0; left--) {
        switch (roll(pair, 12)) {
        case 0:
        case 1:
            put_vertex(pair, &writer);
            break;
        case 2:
            delete_edge(pair, &writer);
            break;
        case 3:
            delete_vertex(pair, &writer);
            break;
        case 5:
            put_edges(pair, &writer);
            break;
        case 4:
            if (roll(pair, 20) == 0) {
                assert_int_equal(graph_clear(pair->store, writer.table), ST_OK);
                memset(pair->model.vertices, 0, sizeof(pair->model.vertices));
                memset(pair->model.edges, 0, sizeof(pair->model.edges));
                assert_int_equal(
                    graph_writer_open(pair->store, writer.table, &writer),
                    ST_OK);
                break;
            }
            __attribute__((fallthrough));
        default:
            put_edge(pair, &writer);
            break;
        }
    }
}

/* One command, which now and then is undone. */
static void step(struct pair *pair)
{
    struct model_graph before = pair->model;

    store_begin(pair->store);
    some_commands(pair);
    if (roll(pair, 5) == 0) {
        store_rollback(pair->store);
        pair->model = before;
    } else {
        store_commit(pair->store);
    }
}

/* --- comparing ------------------------------------------------------------ */

static unsigned value_of(struct bytes term)
{
    return graph_is_nil(term)   ? 0
           : term.data[0] == 97 ? term.data[1]
                                : load_be32(term.data + 1);
}

static uint64_t id_of(const struct graph *graph, unsigned v)
{
    uint64_t id = 0;

    assert_true(graph_find(graph, vertex_key(v), &id));
    return id;
}

static void compare_vertex(const struct graph *graph, unsigned v,
                           const struct model_vertex *model)
{
    struct bytes term;
    uint64_t id;

    assert_int_equal(graph_find(graph, vertex_key(v), &id), model->there);
    if (!model->there)
        return;
    assert_true(graph_vertex(graph, id, &term));
    assert_true(bytes_equal(key_of(term), vertex_key(v)));
    assert_int_equal(value_of(graph_vertex_value(graph, id)), model->value);
    for (unsigned i = 1; i <= LABELS; i++) {
        uint64_t label;
        bool has = graph_find_label(graph, key_of(label_term(i)), &label) &&
                   graph_has_label(graph, id, label);

        assert_int_equal(has, model->labels[i]);
    }
}

/* All arcs on one side of a vertex, against the model and against those of
 * each label. */
static uint64_t compare_arcs(const struct graph *graph,
                             const struct model_graph *model,
                             enum graph_part side, unsigned v)
{
    struct tree_entry entry = {.buffer = BUFFER(test_mem())};
    uint64_t id = id_of(graph, v);
    uint64_t count = 0, of_labels = 0;
    struct graph_arcs arcs;
    struct graph_arc arc, last = {0, 0};
    bool found;

    graph_arcs_init(&arcs, graph, side, id, GRAPH_LABEL_ANY, &entry);
    for (;; count++) {
        assert_int_equal(graph_arcs_next(&arcs, &arc, &found), ST_OK);
        if (!found)
            break;
        assert_true(arc.label > last.label ||
                    (arc.label == last.label && arc.other > last.other));
        last = arc;
    }
    assert_int_equal(graph_degree(graph, side, id, GRAPH_LABEL_ANY), count);
    for (unsigned i = 0; i <= LABELS; i++) {
        uint64_t label, expected = 0, seen = 0;

        if (!graph_find_label(graph, key_of(label_term(i)), &label))
            continue;
        graph_arcs_init(&arcs, graph, side, id, label, &entry);
        for (;; seen++) {
            struct bytes term;
            unsigned u = 0, edge;

            assert_int_equal(graph_arcs_next(&arcs, &arc, &found), ST_OK);
            if (!found)
                break;
            assert_int_equal(arc.label, label);
            assert_true(graph_vertex(graph, arc.other, &term));
            while (!bytes_equal(vertex_key(u), key_of(term)))
                assert_true(++u < VERTICES);
            edge = model->undirected
                       ? model->edges[u < v ? u : v][u < v ? v : u][i]
                   : side == GRAPH_OUT ? model->edges[v][u][i]
                                       : model->edges[u][v][i];
            assert_int_not_equal(edge, 0);
            assert_int_equal(value_of(graph_arc_value(graph, side, id, &arc)),
                             edge - 1);
        }
        assert_int_equal(graph_degree(graph, side, id, label), seen);
        for (unsigned u = 0; u < VERTICES && !model->undirected; u++)
            expected += (side == GRAPH_OUT ? model->edges[v][u][i]
                                           : model->edges[u][v][i]) > 0;
        if (!model->undirected)
            assert_int_equal(seen, expected);
        of_labels += seen;
    }
    assert_int_equal(of_labels, count);
    buffer_free(&entry.buffer);
    return count;
}

static void compare(const struct store *store, const struct model_graph *model)
{
    const struct table *table = store_find(store, graph_name());
    uint64_t vertices = 0, edges = 0, out = 0, in = 0;
    struct graph graph;
    char why[200] = "";

    assert_non_null(table);
    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    if (!graph_check(store, table, why, sizeof(why)))
        fail_msg("%s", why);
    for (unsigned v = 0; v < VERTICES; v++) {
        compare_vertex(&graph, v, &model->vertices[v]);
        vertices += model->vertices[v].there;
        if (model->vertices[v].there) {
            out += compare_arcs(&graph, model, GRAPH_OUT, v);
            in += compare_arcs(&graph, model, GRAPH_IN, v);
        }
        for (unsigned u = 0; u < VERTICES; u++)
            for (unsigned label = 0; label <= LABELS; label++) {
                bool there = model->edges[v][u][label] > 0;
                struct bytes value;
                uint64_t id;

                edges += there;
                if (there &&
                    graph_find_label(&graph, key_of(label_term(label)), &id))
                    assert_true(graph_find_edge(&graph, id_of(&graph, v),
                                                id_of(&graph, u), id, &value));
            }
    }
    assert_int_equal(graph_vertex_count(&graph), vertices);
    assert_int_equal(graph_edge_count(&graph), edges);
    assert_int_equal(out, edges);
    assert_int_equal(in, edges);
}

/* A store of its own with the same graph, made in another order: ids differ,
 * the digest does not. */
static void compare_digest(const struct store *store,
                           const struct model_graph *model)
{
    struct graph_options options = {.undirected = model->undirected};
    struct graph_writer writer;
    struct store *other;
    struct table *table;
    enum outcome outcome;

    assert_int_equal(store_create(NULL, &other), ST_OK);
    store_begin(other);
    assert_int_equal(graph_create(other, graph_name(), &options, &table),
                     ST_OK);
    assert_int_equal(graph_writer_open(other, table, &writer), ST_OK);
    for (unsigned v = VERTICES; v-- > 0;)
        for (unsigned u = 0; u < VERTICES; u++)
            for (unsigned label = LABELS + 1; label-- > 0;)
                if (model->edges[v][u][label])
                    assert_int_equal(
                        graph_put_edge(
                            &writer, vertex_key(v), vertex_key(u),
                            key_of(label_term(label)),
                            value_term(model->edges[v][u][label] - 1),
                            &outcome),
                        ST_OK);
    for (unsigned v = 0; v < VERTICES; v++) {
        const struct model_vertex *vertex = &model->vertices[v];
        struct bytes labels[LABELS];
        size_t count = 0;

        for (unsigned i = LABELS; i > 0; i--)
            if (vertex->labels[i])
                labels[count++] = key_of(label_term(i));
        if (vertex->there)
            assert_int_equal(graph_put_vertex(&writer, vertex_key(v),
                                              value_term(vertex->value), labels,
                                              count, &outcome),
                             ST_OK);
    }
    store_commit(other);
    assert_true(digest_equal(table_digest(table),
                             table_digest(store_find(store, graph_name()))));
    assert_true(digest_equal(store_digest(other), store_digest(store)));
    store_free(other);
}

static void open_pair(struct pair *pair, struct random *random, bool undirected)
{
    struct graph_options options = {.undirected = undirected};
    struct table *table;

    *pair = (struct pair){.random = random};
    pair->model.undirected = undirected;
    assert_int_equal(store_create(NULL, &pair->store), ST_OK);
    store_begin(pair->store);
    assert_int_equal(graph_create(pair->store, graph_name(), &options, &table),
                     ST_OK);
    store_commit(pair->store);
    assert_int_equal(store_table_count(pair->store), 1);
}

/* --- tests ---------------------------------------------------------------- */

static void graphs_do_as_the_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct random random;
        struct pair pair;
        char why[200];

        random_init(&random, seed);
        open_pair(&pair, &random, seed % 2);
        for (unsigned i = 0; i < 300; i++) {
            step(&pair);
            if (i % 10 == 0)
                compare(pair.store, &pair.model);
            if (i % 60 == 0)
                compare_digest(pair.store, &pair.model);
        }
        compare(pair.store, &pair.model);
        compare_digest(pair.store, &pair.model);
        if (!store_check(pair.store, why, sizeof(why)))
            fail_msg("%s", why);
        store_free(pair.store);
    }
}

static void snapshots_and_forks_are_graphs_too(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);) {
        struct random random;
        struct pair pair;

        random_init(&random, seed);
        open_pair(&pair, &random, seed % 2);
        for (unsigned round = 0; round < 12; round++) {
            struct snapshot *snapshot;
            struct model_graph then;
            struct pair forked;

            for (unsigned i = 0; i < 12; i++)
                step(&pair);
            assert_int_equal(snapshot_take(pair.store, &snapshot), ST_OK);
            then = pair.model;
            forked = pair;
            assert_int_equal(snapshot_fork(snapshot, &forked.store), ST_OK);
            assert_int_equal(store_table_count(forked.store), 1);
            for (unsigned i = 0; i < 12; i++) {
                step(&pair);
                step(&forked);
            }
            compare(pair.store, &pair.model);
            compare(forked.store, &forked.model);
            store_free(forked.store);
            assert_int_equal(snapshot_fork(snapshot, &forked.store), ST_OK);
            compare(forked.store, &then);
            store_free(forked.store);
            snapshot_release(snapshot);
        }
        compare(pair.store, &pair.model);
        store_free(pair.store);
    }
}

static void whatever_allocation_fails_nothing_has_changed(void **state)
{
    struct random random;
    struct pair pair;

    (void)state;
    random_init(&random, 3);
    open_pair(&pair, &random, false);
    for (unsigned i = 0; i < 40; i++)
        step(&pair);
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct mem *mem = store_mem(pair.store);
        struct graph_writer writer;
        struct table *table;
        struct bytes labels[2] = {key_of(term_of("fresh")),
                                  key_of(label_term(1))};
        struct graph_edge batch[3] = {
            {.from = key_of(term_of("y")),
             .to = key_of(term_of("z")),
             .label = key_of(graph_nil),
             .value = term_of("4")},
            {.from = vertex_key(0),
             .to = key_of(term_of("y")),
             .label = key_of(term_of("fresher")),
             .value = graph_nil},
            {.from = vertex_key(0),
             .to = vertex_key(1),
             .label = key_of(graph_nil),
             .value = graph_nil},
        };
        struct digest before = store_digest(pair.store);
        enum outcome outcome;
        bool deleted;
        uint64_t edges, count;
        size_t index;
        enum status st;

        store_begin(pair.store);
        mem_fail_at(mem, nth, true);
        st = store_find_mutable(pair.store, graph_name(), &table);
        if (st == ST_OK)
            st = graph_writer_open(pair.store, table, &writer);
        if (st == ST_OK)
            st = graph_put_vertex(&writer, key_of(term_of("new")),
                                  term_of("\"a value of some length\""), labels,
                                  2, &outcome);
        if (st == ST_OK)
            st = graph_put_edge(&writer, key_of(term_of("x")),
                                key_of(term_of("new")), labels[0],
                                term_of("17"), &outcome);
        if (st == ST_OK)
            st = graph_put_edges(&writer, batch, 3, &count, &index);
        if (st == ST_OK)
            st = graph_delete_vertex(&writer, vertex_key(0), &deleted, &edges);
        mem_fail_at(mem, 0, false);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        store_rollback(pair.store);
        assert_true(digest_equal(before, store_digest(pair.store)));
        compare(pair.store, &pair.model);
    }
    store_free(pair.store);
}

/* Random sets become one vertex, one after the other; undone from the last to
 * the first, the graph is what it was at each step. */
static void to_expand_undoes_to_contract(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 20);) {
        struct digest digests[4];
        struct buffer names[4];
        struct bytes supers[4];
        struct graph_writer writer;
        struct table *table;
        struct random random;
        struct pair pair;
        unsigned done = 0;
        char why[200];

        random_init(&random, seed);
        open_pair(&pair, &random, seed % 2);
        for (unsigned i = 0; i < 30; i++)
            step(&pair);
        for (unsigned round = 0; round < 4; round++) {
            struct contract_rules rules = {
                .value = (enum merge_rule)roll(&pair, 5),
                .edges = (enum merge_rule)roll(&pair, 5),
                .keep_loops = roll(&pair, 2)};
            struct bytes members[VERTICES + 4];
            struct graph graph;
            size_t count = 0;
            uint64_t id;

            store_begin(pair.store);
            store_find_mutable(pair.store, graph_name(), &table);
            assert_int_equal(graph_writer_open(pair.store, table, &writer),
                             ST_OK);
            assert_int_equal(graph_open(pair.store, table, &graph), ST_OK);
            for (unsigned v = 0; v < VERTICES; v++)
                if (graph_find(&graph, vertex_key(v), &id) &&
                    roll(&pair, 4) == 0)
                    members[count++] = vertex_key(v);
            for (unsigned i = 0; i < done; i++) {
                bool listed = roll(&pair, 2) == 0;

                for (size_t j = 0; j < count; j++)
                    listed = listed || bytes_equal(members[j], supers[i]);
                if (!listed && graph_find(&graph, supers[i], &id))
                    members[count++] = supers[i];
            }
            digests[done] = table_digest(table);
            supers[done] = count && roll(&pair, 3) == 0
                               ? members[0]
                               : key_of(term_of(test_format("super%u", round)));
            names[done] = BUFFER(test_mem()); /* keys are used again */
            test_append(&names[done], supers[done].data, supers[done].size);
            supers[done] = buffer_bytes(&names[done]);
            if (!count) {
                buffer_free(&names[done]);
                supers[done] = vertex_key(0);
                assert_int_equal(
                    graph_contract(&writer, supers[done], members, 0, &rules),
                    ST_BAD_ARGUMENT);
                store_rollback(pair.store);
                continue;
            }
            assert_int_equal(
                graph_contract(&writer, supers[done], members, count, &rules),
                ST_OK);
            if (!graph_check(pair.store, table, why, sizeof(why)))
                fail_msg("%s", why);
            store_commit(pair.store);
            done++;
        }
        while (done-- > 0) {
            uint64_t count;

            store_begin(pair.store);
            store_find_mutable(pair.store, graph_name(), &table);
            assert_int_equal(graph_writer_open(pair.store, table, &writer),
                             ST_OK);
            assert_int_equal(graph_expand(&writer, supers[done], &count),
                             ST_OK);
            assert_true(digest_equal(table_digest(table), digests[done]));
            store_commit(pair.store);
            buffer_free(&names[done]);
        }
        compare(pair.store, &pair.model);
        store_free(pair.store);
    }
}

/* --- many edges at once --------------------------------------------------- */

enum { MANY = 3000 };

/* Integers of all sizes, and strings that differ behind their sixteenth byte
 * alone, by which a batch is sorted. */
static struct bytes many_vertex(struct buffer *keys, unsigned n)
{
    size_t start = keys->size;
    char text[64];

    if (n % 3 == 0)
        snprintf(text, sizeof(text), "<<\"the vertex whose number is %u\">>",
                 n);
    else
        snprintf(text, sizeof(text), "%u", n * n);
    assert_int_equal(key_encode(term_of(text), keys), ST_OK);
    return bytes_of(NULL, keys->size - start);
}

/* Edges whose places in `keys` are filled in when it no longer moves. */
static void many_edges(struct random *random, struct buffer *keys,
                       struct graph_edge *edges)
{
    const uint8_t *at;

    keys->size = 0;
    for (unsigned i = 0; i < MANY; i++) {
        struct graph_edge *edge = &edges[i];
        size_t start;
        char text[16];

        *edge = (struct graph_edge){.value = graph_nil};
        edge->from = many_vertex(keys, (unsigned)random_below(random, 700));
        edge->to = many_vertex(keys, (unsigned)random_below(random, 70));
        start = keys->size;
        /* More of them than the order of a batch tells apart. */
        snprintf(text, sizeof(text), "%u",
                 (unsigned)random_below(random, 3000));
        assert_int_equal(
            key_encode(random_below(random, 2) ? graph_nil : term_of(text),
                       keys),
            ST_OK);
        edge->label.size = keys->size - start;
        if (random_below(random, 4) == 0)
            edge->value = random_below(random, 2)
                              ? bytes_of((const uint8_t *)"a\1", 2)
                              : bytes_of((const uint8_t *)"a\2", 2);
    }
    at = keys->data;
    for (unsigned i = 0; i < MANY; i++) {
        struct bytes *parts[] = {&edges[i].from, &edges[i].to, &edges[i].label};

        for (int j = 0; j < 3; j++) {
            parts[j]->data = at;
            at += parts[j]->size;
        }
    }
}

static struct store *graph_store(const struct graph_options *options,
                                 struct table **ret)
{
    struct store *store;

    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    assert_int_equal(graph_create(store, graph_name(), options, ret), ST_OK);
    store_commit(store);
    return store;
}

static void expect_sound(const struct store *store, const struct table *table)
{
    struct graph graph;
    char why[200];

    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    for (int i = 0; i < GRAPH_PART_COUNT; i++)
        if (!table_check(graph.parts[i], why, sizeof(why)))
            fail_msg("part %d: %s", i, why);
    if (!graph_check(store, table, why, sizeof(why)))
        fail_msg("%s", why);
}

static void many_edges_at_once_are_as_one_by_one(void **state)
{
    struct graph_edge *edges = calloc(MANY, sizeof(*edges));
    struct buffer keys = BUFFER(test_mem());
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (int undirected = 0; undirected < 2; undirected++) {
        struct graph_options options = {.undirected = undirected};
        struct table *one, *many;
        struct store *by_one = graph_store(&options, &one);
        struct store *at_once = graph_store(&options, &many);

        for (int round = 0; round < 3; round++) {
            struct digest before = table_digest(many);
            uint64_t expected = 0, changed;
            struct graph_writer writer;
            enum outcome outcome;
            size_t index;

            many_edges(&random, &keys, edges);
            store_begin(by_one);
            graph_writer_open(by_one, one, &writer);
            for (unsigned i = 0; i < MANY; i++) {
                const struct graph_edge *edge = &edges[i];

                assert_int_equal(graph_put_edge(&writer, edge->from, edge->to,
                                                edge->label, edge->value,
                                                &outcome),
                                 ST_OK);
                expected += outcome != OUTCOME_EXISTS;
            }
            store_commit(by_one);
            for (int undone = 1; undone >= 0; undone--) {
                store_begin(at_once);
                graph_writer_open(at_once, many, &writer);
                assert_int_equal(
                    graph_put_edges(&writer, edges, MANY, &changed, &index),
                    ST_OK);
                assert_int_equal(changed, expected);
                if (!undone)
                    break;
                store_rollback(at_once);
                assert_true(digest_equal(table_digest(many), before));
                expect_sound(at_once, many);
            }
            store_commit(at_once);
            assert_true(digest_equal(table_digest(many), table_digest(one)));
            expect_sound(at_once, many);
        }
        store_free(by_one);
        store_free(at_once);
    }
    buffer_free(&keys);
    free(edges);
}

static void contracted_edges_are_merged_by_the_rule(void **state)
{
    struct graph_options options = {.weight = WEIGHT_VALUE};
    struct contract_rules rules = {.value = MERGE_COUNT, .edges = MERGE_SUM};
    struct bytes nil = key_of(graph_nil);
    struct bytes members[2] = {vertex_key(0), vertex_key(1)};
    struct bytes super = key_of(term_of("super")), value;
    struct graph_writer writer;
    struct store *store;
    struct table *table;
    struct graph graph;
    enum outcome outcome;
    uint64_t ids[2], count;

    (void)state;
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    graph_create(store, graph_name(), &options, &table);
    graph_writer_open(store, table, &writer);
    graph_put_edge(&writer, vertex_key(0), vertex_key(2), nil, term_of("3"),
                   &outcome);
    graph_put_edge(&writer, vertex_key(1), vertex_key(2), nil, term_of("5"),
                   &outcome);
    graph_put_edge(&writer, vertex_key(0), vertex_key(1), nil, term_of("9"),
                   &outcome);
    assert_int_equal(graph_contract(&writer, super, members, 2, &rules), ST_OK);
    graph_open(store, table, &graph);
    assert_int_equal(graph_vertex_count(&graph), 2);
    assert_int_equal(graph_edge_count(&graph), 1);
    assert_true(graph_find(&graph, super, &ids[0]));
    assert_true(graph_find(&graph, vertex_key(2), &ids[1]));
    assert_true(graph_find_edge(&graph, ids[0], ids[1], 0, &value));
    assert_int_equal(value_of(value), 8);
    assert_int_equal(value_of(graph_vertex_value(&graph, ids[0])), 2);
    store_commit(store);

    /* The other end has gone: nothing is put back by halves. */
    store_begin(store);
    graph_writer_open(store, table, &writer);
    {
        bool deleted;

        graph_delete_vertex(&writer, vertex_key(2), &deleted, &count);
    }
    store_commit(store);
    store_begin(store);
    graph_writer_open(store, table, &writer);
    assert_int_equal(graph_expand(&writer, super, &count), ST_NO_VERTEX);
    assert_true(bytes_equal(store_fault(store)->key, vertex_key(2)));
    store_rollback(store);
    store_begin(store);
    graph_writer_open(store, table, &writer);
    members[0] = members[1] = super;
    assert_int_equal(graph_contract(&writer, super, members, 2, &rules),
                     ST_BAD_ARGUMENT);
    store_rollback(store);
    store_free(store);
}

static void weights_are_numbers_by_the_rule_of_the_graph(void **state)
{
    struct graph_options options = {.weight = WEIGHT_KEY};
    struct graph_writer writer;
    struct store *store;
    struct table *table;
    struct graph graph;
    enum outcome outcome;
    double weight;

    (void)state;
    options.weight_key = term_of("w");
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    assert_int_equal(graph_create(store, graph_name(), &options, &table),
                     ST_OK);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(1),
                                    key_of(label_term(0)),
                                    term_of("#{a => b, w => 7}"), &outcome),
                     ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(2),
                                    key_of(label_term(0)), graph_nil, &outcome),
                     ST_OK);
    store_commit(store);
    assert_int_equal(graph_open(store, table, &graph), ST_OK);
    assert_true(graph_weight(&graph.options, term_of("#{w => -3}"), &weight));
    assert_true(weight == -3);
    assert_true(graph_weight(&graph.options, graph_nil, &weight));
    assert_true(weight == 1);
    store_begin(store);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(3),
                                    key_of(label_term(0)), term_of("#{a => 1}"),
                                    &outcome),
                     ST_BAD_WEIGHT);
    assert_true(bytes_equal(store_fault(store)->key, vertex_key(0)));
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(3),
                                    key_of(label_term(0)), term_of("5"),
                                    &outcome),
                     ST_BAD_WEIGHT);
    store_rollback(store);
    store_free(store);
}

static void parts_have_names_that_are_keys(void **state)
{
    static const char *const names[] = {"g", "<<\"g\">>", "{1, g}", "[1, 2]"};
    uint8_t room[TABLE_NAME_BYTES_MAX + GRAPH_PART_NAME_BYTES];
    struct buffer term = BUFFER(test_mem());
    uint8_t real[9] = {70, 0x3F, 0xF0};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct bytes name = i < 4 ? key_of(term_of(names[i]))
                                  : key_of(bytes_of(real, sizeof(real)));

        for (int part = 0; part < GRAPH_PART_COUNT; part++) {
            struct bytes key =
                graph_part_name(room, name, (enum graph_part)part);

            assert_true(key.size <= name.size + GRAPH_PART_NAME_BYTES);
            assert_true(graph_is_part_name(key));
            term.size = 0;
            assert_int_equal(key_decode(key, &term), ST_OK);
            assert_true(bytes_equal(key_of(buffer_bytes(&term)), key));
        }
        assert_false(graph_is_part_name(name));
    }
    buffer_free(&term);
}

/* A graph knows where its parts are: that must hold whatever becomes of it. */
static void dropping_and_creating_may_be_undone(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 3);) {
        struct graph_options options = {.undirected = seed % 2};
        struct snapshot *snapshot;
        struct random random;
        struct table *table;
        struct pair pair, then;

        random_init(&random, seed);
        open_pair(&pair, &random, seed % 2);
        for (unsigned round = 0; round < 20; round++) {
            step(&pair);
            store_begin(pair.store);
            store_find_mutable(pair.store, graph_name(), &table);
            assert_int_equal(graph_drop(pair.store, table), ST_OK);
            if (roll(&pair, 2))
                assert_int_equal(
                    graph_create(pair.store, graph_name(), &options, &table),
                    ST_OK);
            store_rollback(pair.store);
            compare(pair.store, &pair.model);
        }
        /* One of the same name takes its place; a snapshot has the old one. */
        assert_int_equal(snapshot_take(pair.store, &snapshot), ST_OK);
        then = pair;
        store_begin(pair.store);
        store_find_mutable(pair.store, graph_name(), &table);
        assert_int_equal(graph_drop(pair.store, table), ST_OK);
        assert_int_equal(
            graph_create(pair.store, graph_name(), &options, &table), ST_OK);
        store_commit(pair.store);
        memset(pair.model.vertices, 0, sizeof(pair.model.vertices));
        memset(pair.model.edges, 0, sizeof(pair.model.edges));
        for (unsigned i = 0; i < 20; i++)
            step(&pair);
        compare(pair.store, &pair.model);
        assert_int_equal(snapshot_fork(snapshot, &then.store), ST_OK);
        compare(then.store, &then.model);
        store_free(then.store);
        snapshot_release(snapshot);
        assert_int_equal(store_table_count(pair.store), 1);
        store_free(pair.store);
    }
}

/* What is loaded again is encoded again: it must come to the same keys. */
static void all_keys_of_parts_are_canonical(void **state)
{
    struct graph_options options = {.undirected = true, .weight = WEIGHT_KEY};
    struct buffer term = BUFFER(test_mem());
    struct graph_writer writer;
    struct store *store;
    struct table *table;
    enum outcome outcome;
    struct bytes label;

    (void)state;
    options.weight_key = term_of("w");
    assert_int_equal(store_create(NULL, &store), ST_OK);
    store_begin(store);
    assert_int_equal(graph_create(store, graph_name(), &options, &table),
                     ST_OK);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    label = key_of(label_term(1));
    for (unsigned v = 0; v < VERTICES; v++)
        assert_int_equal(graph_put_vertex(&writer, vertex_key(v), value_term(v),
                                          &label, 1, &outcome),
                         ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(0), vertex_key(1),
                                    label, term_of("#{w => 3}"), &outcome),
                     ST_OK);
    store_commit(store);
    for (int i = 0; i < GRAPH_PART_COUNT; i++) {
        struct tree_entry entry = {.buffer = BUFFER(test_mem())};
        struct tree_cursor cursor;

        for (bool more = tree_cursor_select(
                 &cursor, table_root(writer.parts[i], SIDE_FWD), 0);
             more; more = tree_cursor_next(&cursor)) {
            assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
            term.size = 0;
            assert_int_equal(key_decode(entry.key.first, &term), ST_OK);
            assert_true(
                bytes_equal(key_of(buffer_bytes(&term)), entry.key.first));
            if (!entry.key.second.size)
                continue;
            term.size = 0;
            assert_int_equal(key_decode(entry.key.second, &term), ST_OK);
            assert_true(
                bytes_equal(key_of(buffer_bytes(&term)), entry.key.second));
        }
        buffer_free(&entry.buffer);
    }
    /* nil in another of its forms is nil, to the digest too. */
    label = key_of(label_term(1));
    store_begin(store);
    assert_int_equal(graph_writer_open(store, table, &writer), ST_OK);
    assert_int_equal(graph_put_edge(&writer, vertex_key(2), vertex_key(1),
                                    label, bytes_of("\x64\x00\x03nil", 6),
                                    &outcome),
                     ST_OK);
    store_commit(store);
    {
        char why[200];

        if (!graph_check(store, table, why, sizeof(why)))
            fail_msg("%s", why);
    }
    buffer_free(&term);
    store_free(store);
}

static void ids_are_keys(void **state)
{
    static const uint64_t ids[] = {
        1, 127, 128, 255, 256, 65535, 65536, 1 << 24, 5000000, GRAPH_ID_MAX, 0};
    uint8_t room[GRAPH_ARC_BYTES_MAX];
    struct buffer key = BUFFER(test_mem());

    (void)state;
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        size_t size = graph_encode_id(room, ids[i]);
        struct graph_arc arc = {ids[i], 3}, back;

        key.size = 0;
        assert_int_equal(key_encode_u64(ids[i], &key), ST_OK);
        assert_true(bytes_equal(bytes_of(room, size), buffer_bytes(&key)));
        assert_int_equal(graph_decode_id(room), ids[i]);
        size = graph_encode_arc(room, arc);
        assert_int_equal(key_size(bytes_of(room, size)), size);
        back = graph_decode_arc(room);
        assert_int_equal(back.other, arc.other);
        assert_int_equal(back.label, arc.label);
    }
    buffer_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_do_as_the_model_does),
        cmocka_unit_test(snapshots_and_forks_are_graphs_too),
        cmocka_unit_test(whatever_allocation_fails_nothing_has_changed),
        cmocka_unit_test(to_expand_undoes_to_contract),
        cmocka_unit_test(many_edges_at_once_are_as_one_by_one),
        cmocka_unit_test(contracted_edges_are_merged_by_the_rule),
        cmocka_unit_test(weights_are_numbers_by_the_rule_of_the_graph),
        cmocka_unit_test(parts_have_names_that_are_keys),
        cmocka_unit_test(dropping_and_creating_may_be_undone),
        cmocka_unit_test(all_keys_of_parts_are_canonical),
        cmocka_unit_test(ids_are_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
