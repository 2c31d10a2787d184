/*
 * graph.c -- what a graph is made of, and how it is read.
 *
 *     vertices   7 -> ann     8 -> bob            (ids go up, and are not
 *     labels     1 -> knows                        told to anybody)
 *     out        7: {1, 8}                        ann -knows-> bob
 *     in         8: {1, 7}
 *
 * Everything at a vertex is one range of one tree: an id is a few bytes, so a
 * page holds a hundred edges without their common beginnings, and a projection
 * reads integers in order and hashes nothing. The price is a look-up of each
 * vertex that goes in or out, O(log n).
 *
 * Two ids of a tuple and an id alone are keys like any other: the parts are
 * ordinary tables that can be read, dumped and checked as such. An arc without
 * a label is an id alone, which sorts below all tuples, so that the edges of a
 * label always stand together.
 *
 * Invariants; graph_check() verifies them:
 *   1. An arc is in `out` at one end if and only if it is in `in` at the other.
 *   2. Each id in out, in, vertex_values and vertex_labels is one of vertices,
 *      each label id one of labels.
 *   3. Each key of edge_values is an edge, and its value gives a weight.
 *   4. In an undirected graph `from` has the lower id, or that of `to`.
 *   5. The digest of the graph is the sum over all elements, and its options.
 */
#include "core/graph.h"

#include <string.h>

#include "core/etf.h"
#include "core/graph_internal.h"
#include "core/key_internal.h"
#include "core/tree_node.h"

/* clang-format off */
static const struct {
    const char *name;
    enum table_type type;
} parts[GRAPH_PART_COUNT] = {
    [GRAPH_VERTICES] =      { "vertices",      TABLE_TO_ONE },
    [GRAPH_VERTEX_IDS] =    { "vertex_ids",    TABLE_TO_ONE },
    [GRAPH_VERTEX_VALUES] = { "vertex_values", TABLE_TO_ONE },
    [GRAPH_VERTEX_LABELS] = { "vertex_labels", TABLE_MANY_TO_MANY },
    [GRAPH_LABELS] =        { "labels",        TABLE_TO_ONE },
    [GRAPH_LABEL_IDS] =     { "label_ids",     TABLE_TO_ONE },
    [GRAPH_OUT] =           { "out",           TABLE_TO_MANY },
    [GRAPH_IN] =            { "in",            TABLE_TO_MANY },
    [GRAPH_EDGE_VALUES] =   { "edge_values",   TABLE_TO_ONE },
    [GRAPH_CONTRACTED] =    { "contracted",    TABLE_TO_ONE },
    [GRAPH_OPTIONS] =       { "options",       TABLE_TO_ONE },
};
/* clang-format on */

const struct bytes graph_nil = {(const uint8_t *)"\x77\x03nil", 5};

static const uint8_t nil_key[] = {KEY_NIL_ATOM};
const struct bytes graph_nil_key = {nil_key, sizeof(nil_key)};

bool graph_is_nil(struct bytes term)
{
    if (term.size < 5 || memcmp(term.data + term.size - 3, "nil", 3) != 0)
        return false;
    switch (term.data[0]) {
    case ETF_SMALL_ATOM_UTF8:
    case ETF_SMALL_ATOM:
        return term.size == 5 && term.data[1] == 3;
    case ETF_ATOM_UTF8:
    case ETF_ATOM:
        return term.size == 6 && load_be16(term.data + 1) == 3;
    default:
        return false;
    }
}

/* --- the names of parts -------------------------------------------------- */

/* An atom as a key: which mark it has follows from where the three atoms with
 * marks of their own stand. */
static uint8_t *put_atom_key(uint8_t *at, const char *name)
{
    size_t size = strlen(name);
    uint8_t mark = strcmp(name, "false") < 0  ? KEY_FALSE - 1
                   : strcmp(name, "nil") < 0  ? KEY_FALSE + 1
                   : strcmp(name, "true") < 0 ? KEY_NIL_ATOM + 1
                                              : KEY_TRUE + 1;

    *at++ = mark;
    memcpy(at, name, size);
    at[size] = 1; /* ends a string */
    return at + size + 1;
}

/* What all names of parts begin with: a tuple of three, and its first atom. */
static size_t put_name_head(uint8_t *at)
{
    *at = KEY_TUPLE + 3;
    return (size_t)(put_atom_key(at + 1, "$graph") - at);
}

bool graph_is_part_name(struct bytes name)
{
    uint8_t head[GRAPH_PART_NAME_BYTES];
    size_t size;

    if (name.size == 0 || name.data[0] != KEY_TUPLE + 3)
        return false;
    size = put_name_head(head);
    return name.size > size && !memcmp(name.data, head, size);
}

/*
 * The graph's name comes last: the trailer of a key (key.c) that holds floats
 * counts the numbers before them, of which there are none in front.
 */
struct bytes graph_part_name(uint8_t *room, struct bytes name,
                             enum graph_part part)
{
    uint8_t *at = room + put_name_head(room);

    at = put_atom_key(at, parts[part].name);
    memcpy(at, name.data, name.size);
    return bytes_of(room, (size_t)(at - room) + name.size);
}

enum table_type graph_part_type(enum graph_part part)
{
    return parts[part].type;
}

/* --- ids and arcs -------------------------------------------------------- */

#define KEY_ZERO 0x19
#define KEY_BYTE 0x99 /* an integer of one byte; the next marks have more */

size_t graph_encode_id(uint8_t *key, uint64_t id)
{
    unsigned size;

    if (id <= 127) {
        key[0] = (uint8_t)(KEY_ZERO + id);
        return 1;
    }
    size = (unsigned)(71 - __builtin_clzll(id)) / 8;
    key[0] = (uint8_t)(KEY_BYTE + size - 1);
    for (unsigned i = 0; i < size; i++)
        key[1 + i] = (uint8_t)(id >> (8 * (size - 1 - i)));
    return 1 + size;
}

size_t graph_encode_arc(uint8_t *key, struct graph_arc arc)
{
    size_t size;

    if (!arc.label)
        return graph_encode_id(key, arc.other);
    key[0] = KEY_TUPLE + 2;
    size = 1 + graph_encode_id(key + 1, arc.label);
    return size + graph_encode_id(key + size, arc.other);
}

/* Reads an id and steps over it. */
static uint64_t take_id(const uint8_t **key)
{
    const uint8_t *p = *key;
    uint64_t id = 0;
    unsigned size;

    if (*p < KEY_BYTE) {
        *key = p + 1;
        return (uint64_t)(*p - KEY_ZERO);
    }
    size = (unsigned)(*p++ - KEY_BYTE) + 1;
    for (unsigned i = 0; i < size; i++)
        id = id << 8 | *p++;
    *key = p;
    return id;
}

uint64_t graph_decode_id(const uint8_t *key)
{
    return take_id(&key);
}

struct graph_arc graph_decode_arc(const uint8_t *key)
{
    struct graph_arc arc = {0, 0};

    if (*key == KEY_TUPLE + 2) {
        key++;
        arc.label = take_id(&key);
    }
    arc.other = take_id(&key);
    return arc;
}

void graph_decode_edge(const uint8_t *key, uint64_t *ret_from,
                       struct graph_arc *ret)
{
    key++; /* a tuple of two */
    *ret_from = take_id(&key);
    *ret = graph_decode_arc(key);
}

struct bytes graph_id_key(uint8_t *room, uint64_t id)
{
    return bytes_of(room, graph_encode_id(room, id));
}

struct bytes graph_arc_key(uint8_t *room, struct graph_arc arc)
{
    return bytes_of(room, graph_encode_arc(room, arc));
}

struct bytes graph_edge_key(uint8_t *room, uint64_t from, struct graph_arc arc)
{
    size_t size = 1;

    room[0] = KEY_TUPLE + 2;
    size += graph_encode_id(room + size, from);
    size += graph_encode_arc(room + size, arc);
    return bytes_of(room, size);
}

/* --- options ------------------------------------------------------------- */

/* Terms of the options part: `directed` => false, `weight` => value | {key, K}.
 * What is not there has its default. */
static const struct bytes directed_key = {(const uint8_t *)"\xA8"
                                                           "directed\x01",
                                          10};
static const struct bytes weight_key = {(const uint8_t *)"\xAEweight\x01", 8};
static const struct bytes weight_value = {(const uint8_t *)"\x77\x05value", 7};
static const struct bytes false_term = {(const uint8_t *)"\x77\x05"
                                                         "false",
                                        7};
/* {key, .. */
static const struct bytes weight_key_head = {
    (const uint8_t *)"\x68\x02\x77\x03key", 7};

static bool find_row(const struct table *part, struct bytes key,
                     struct bytes *ret)
{
    return tree_get(&part->trees[SIDE_FWD].root, (struct tree_key){key, NONE},
                    ret);
}

enum status graph_read_options(const struct table *part,
                               struct graph_options *ret)
{
    struct bytes value;

    *ret = (struct graph_options){.undirected = false};
    ret->undirected = find_row(part, directed_key, &value);
    if (!find_row(part, weight_key, &value))
        return ST_OK;
    if (bytes_equal(value, weight_value)) {
        ret->weight = WEIGHT_VALUE;
        return ST_OK;
    }
    if (value.size <= weight_key_head.size ||
        memcmp(value.data, weight_key_head.data, weight_key_head.size) != 0)
        return ST_LOG_REFUSED;
    ret->weight = WEIGHT_KEY;
    ret->weight_key = bytes_of(value.data + weight_key_head.size,
                               value.size - weight_key_head.size);
    return ST_OK;
}

static enum status write_options(struct store *store, struct table *part,
                                 const struct graph_options *options)
{
    struct buffer value = BUFFER(store->mem);
    enum status st = ST_OK;
    bool inserted;

    if (options->undirected)
        st = table_insert(store, part, SIDE_FWD, directed_key, false_term,
                          &inserted);
    if (st == ST_OK && options->weight == WEIGHT_VALUE)
        st = table_insert(store, part, SIDE_FWD, weight_key, weight_value,
                          &inserted);
    if (st == ST_OK && options->weight == WEIGHT_KEY) {
        st = buffer_append(&value, weight_key_head);
        if (st == ST_OK)
            st = buffer_append(&value, options->weight_key);
        if (st == ST_OK)
            st = table_insert(store, part, SIDE_FWD, weight_key,
                              buffer_bytes(&value), &inserted);
        buffer_free(&value);
    }
    return st;
}

/* --- tables -------------------------------------------------------------- */

enum status graph_create(struct store *store, struct bytes name,
                         const struct graph_options *options,
                         struct table **ret)
{
    uint8_t room[TABLE_NAME_BYTES_MAX + GRAPH_PART_NAME_BYTES];
    struct table *table;
    struct table *part = NULL;
    enum status st;

    if (name.size > TABLE_NAME_BYTES_MAX - GRAPH_PART_NAME_BYTES)
        return store_fail(store, ST_TOO_BIG, "the graph's name is too long",
                          NONE, NONE);
    if (options->weight == WEIGHT_KEY) {
        store->key.size = 0;
        st = key_encode(options->weight_key, &store->key);
        if (st < 0)
            return st;
    }
    st = store_table_create(store, name, TABLE_GRAPH, NULL, &table);
    for (int i = 0; st == ST_OK && i < GRAPH_PART_COUNT; i++)
        st = store_table_create(store,
                                graph_part_name(room, name, (enum graph_part)i),
                                parts[i].type, NULL, &part);
    if (st == ST_OK) /* options are the last part */
        st = write_options(store, part, options);
    if (st < 0)
        return st;
    table->digest = part->digest;
    graph_note_places(store, table);
    *ret = table;
    return ST_OK;
}

void graph_note_places(struct store *store, struct table *table)
{
    struct graph graph;

    if (store->root != store || table->places ||
        graph_open(store, table, &graph) < 0)
        return;
    mem_exempt_begin(store->mem);
    table->places = object_alloc(store, sizeof(*table->places));
    mem_exempt_end(store->mem);
    if (!table->places)
        return; /* they are found by their names then */
    table->places->options = graph.options;
    for (int i = 0; i < GRAPH_PART_COUNT; i++)
        table->places->parts[i] = (struct table *)(uintptr_t)graph.parts[i];
}

enum status graph_drop(struct store *store, struct table *table)
{
    struct graph_writer writer;
    enum status st = graph_writer_open(store, table, &writer);

    for (int i = 0; st == ST_OK && i < GRAPH_PART_COUNT; i++)
        st = store_table_drop(store, writer.parts[i]);
    return st < 0 ? st : store_table_drop(store, writer.table);
}

enum status graph_clear(struct store *store, struct table *table)
{
    struct graph_writer writer;
    enum status st = graph_writer_open(store, table, &writer);
    uint64_t count;

    if (st < 0)
        return st;
    count = table_count(writer.parts[GRAPH_VERTICES]) +
            table_count(writer.parts[GRAPH_OUT]);
    for (int i = 0; st == ST_OK && i < GRAPH_OPTIONS; i++)
        st = table_clear(store, writer.parts[i]);
    if (writer.table->places)
        graph_memo_clear(store, &writer.table->places->memo);
    if (st < 0 || !count)
        return st;
    st = change_clear_graph(store, writer.table, count);
    if (st == ST_OK)
        writer.table->digest = writer.parts[GRAPH_OPTIONS]->digest;
    return st;
}

enum status graph_open(const struct store *store, const struct table *table,
                       struct graph *ret)
{
    uint8_t room[TABLE_NAME_BYTES_MAX + GRAPH_PART_NAME_BYTES];

    ret->table = table;
    if (table->places) {
        for (int i = 0; i < GRAPH_PART_COUNT; i++)
            ret->parts[i] = table->places->parts[i];
        ret->options = table->places->options;
        return ST_OK;
    }
    if (table->name_size > TABLE_NAME_BYTES_MAX)
        return ST_LOG_REFUSED;
    for (int i = 0; i < GRAPH_PART_COUNT; i++) {
        const struct table *part =
            store_find(store, graph_part_name(room, table_name(table),
                                              (enum graph_part)i));

        if (!part || part->type != parts[i].type)
            return ST_LOG_REFUSED;
        ret->parts[i] = part;
    }
    return graph_read_options(ret->parts[GRAPH_OPTIONS], &ret->options);
}

enum status graph_pin(struct mem *mem, const struct graph *graph,
                      struct graph *ret)
{
    *ret = (struct graph){.options = graph->options};
    ret->table = table_pin(mem, graph->table);
    if (!ret->table)
        return ST_NO_MEMORY;
    for (int i = 0; i < GRAPH_PART_COUNT; i++) {
        ret->parts[i] = table_pin(mem, graph->parts[i]);
        if (!ret->parts[i])
            return ST_NO_MEMORY;
    }
    return graph_read_options(ret->parts[GRAPH_OPTIONS], &ret->options);
}

/* Pins are handed out for reading only, and taken back here. */
static void unpin(struct mem *mem, const struct table *pin)
{
    if (pin)
        table_unpin(mem, (struct table *)(uintptr_t)pin);
}

void graph_unpin(struct mem *mem, struct graph *pin)
{
    for (int i = 0; i < GRAPH_PART_COUNT; i++)
        unpin(mem, pin->parts[i]);
    unpin(mem, pin->table);
    *pin = (struct graph){0};
}

uint64_t graph_vertex_count(const struct graph *graph)
{
    return table_count(graph->parts[GRAPH_VERTICES]);
}

uint64_t graph_edge_count(const struct graph *graph)
{
    return table_count(graph->parts[GRAPH_OUT]);
}

size_t graph_bytes(const struct graph *graph)
{
    size_t bytes = 0;

    for (int i = 0; i < GRAPH_PART_COUNT; i++)
        bytes += table_bytes(graph->parts[i]);
    if (graph->table->places)
        bytes += graph->table->places->memo.bytes;
    return bytes;
}

/* --- vertices and labels -------------------------------------------------- */

/* The number of an external integer that is not negative; of our own making. */
static uint64_t term_u64(struct bytes term)
{
    uint64_t value = 0;

    if (term.data[0] == ETF_SMALL_INTEGER)
        return term.data[1];
    if (term.data[0] == ETF_INTEGER)
        return load_be32(term.data + 1);
    for (unsigned i = term.data[1]; i > 0; i--)
        value = value << 8 | term.data[2 + i];
    return value;
}

static bool find_by_id(const struct table *part, uint64_t id, struct bytes *ret)
{
    uint8_t room[GRAPH_ID_BYTES_MAX];

    return find_row(part, graph_id_key(room, id), ret);
}

static bool find_id(const struct table *part, struct bytes key,
                    uint64_t *ret_id)
{
    struct bytes term;

    if (!find_row(part, key, &term))
        return false;
    *ret_id = term_u64(term);
    return true;
}

bool graph_find(const struct graph *graph, struct bytes vertex,
                uint64_t *ret_id)
{
    return find_id(graph->parts[GRAPH_VERTEX_IDS], vertex, ret_id);
}

bool graph_find_near(const struct graph *graph, struct tree_path *path,
                     struct bytes vertex, uint64_t *ret_id)
{
    const struct table *part = graph->parts[GRAPH_VERTEX_IDS];
    struct bytes term;

    if (!tree_get_near(&part->trees[SIDE_FWD].root, path,
                       (struct tree_key){vertex, NONE}, &term))
        return false;
    *ret_id = term_u64(term);
    return true;
}

void graph_vertex_prefetch(const struct graph *graph, uint64_t id)
{
    if (graph->table->places)
        graph_memo_prefetch(&graph->table->places->memo, id);
}

bool graph_vertex(const struct graph *graph, uint64_t id, struct bytes *ret)
{
    const struct table *table = graph->table;
    struct graph_memo *memo = NULL;

    if (table->places && !table->store->open)
        memo = &table->places->memo;
    if (memo && graph_memo_get(memo, id, ret))
        return true;
    if (!find_by_id(graph->parts[GRAPH_VERTICES], id, ret))
        return false;
    if (memo)
        graph_memo_put(table->store, memo, id, *ret);
    return true;
}

enum status graph_vertex_key(const struct graph *graph, uint64_t id,
                             struct buffer *out)
{
    struct bytes term;

    REQUIRE(graph_vertex(graph, id, &term));
    return key_encode(term, out);
}

struct bytes graph_vertex_value(const struct graph *graph, uint64_t id)
{
    struct bytes value;

    if (!find_by_id(graph->parts[GRAPH_VERTEX_VALUES], id, &value))
        return graph_nil;
    return value;
}

bool graph_contracted(const struct graph *graph, struct bytes vertex,
                      struct bytes *ret)
{
    return find_row(graph->parts[GRAPH_CONTRACTED], vertex, ret);
}

static bool is_nil_key(struct bytes key)
{
    return key.size == 1 && key.data[0] == KEY_NIL_ATOM;
}

bool graph_find_label(const struct graph *graph, struct bytes label,
                      uint64_t *ret_id)
{
    *ret_id = 0;
    return is_nil_key(label) ||
           find_id(graph->parts[GRAPH_LABEL_IDS], label, ret_id);
}

bool graph_label(const struct graph *graph, uint64_t id, struct bytes *ret)
{
    *ret = graph_nil;
    return !id || find_by_id(graph->parts[GRAPH_LABELS], id, ret);
}

bool graph_has_label(const struct graph *graph, uint64_t id, uint64_t label)
{
    uint8_t room[2][GRAPH_ID_BYTES_MAX];
    struct tree_key key = {graph_id_key(room[0], id),
                           graph_id_key(room[1], label)};

    return tree_get(&graph->parts[GRAPH_VERTEX_LABELS]->trees[SIDE_FWD].root,
                    key, NULL);
}

uint64_t graph_label_count(const struct graph *graph, uint64_t label)
{
    const struct table *part = graph->parts[GRAPH_VERTEX_LABELS];
    const struct tree_root *root = &part->trees[SIDE_BWD].root;
    uint8_t room[GRAPH_ID_BYTES_MAX];
    struct bytes key = graph_id_key(room, label);

    return root->count ? rank_above(root, key) - rank_below(root, key) : 0;
}

enum status graph_each_label(
    const struct graph *graph, uint64_t id, struct tree_entry *entry,
    enum status (*label)(void *context, uint64_t label), void *context)
{
    const struct table *part = graph->parts[GRAPH_VERTEX_LABELS];
    uint8_t room[GRAPH_ID_BYTES_MAX];
    struct bytes key = graph_id_key(room, id);
    struct tree_cut cut = {{key, NONE}, false};
    struct tree_cursor cursor;
    bool more =
        tree_cursor_seek(&cursor, &part->trees[SIDE_FWD].root, cut, NULL);

    for (; more; more = tree_cursor_next(&cursor)) {
        enum status st = tree_cursor_read(&cursor, entry);

        if (st < 0)
            return st;
        if (!bytes_equal(entry->key.first, key))
            break;
        st = label(context, graph_decode_id(entry->key.second.data));
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* --- edges ---------------------------------------------------------------- */

static const struct tree_root *root_of(const struct graph *graph,
                                       enum graph_part part)
{
    return &graph->parts[part]->trees[SIDE_FWD].root;
}

/* Turns an edge of an undirected graph as it is kept. */
static void order_ends(const struct graph_options *options, uint64_t *from,
                       uint64_t *to)
{
    if (options->undirected && *from > *to) {
        uint64_t other = *from;

        *from = *to;
        *to = other;
    }
}

bool graph_find_edge(const struct graph *graph, uint64_t from, uint64_t to,
                     uint64_t label, struct bytes *ret_value)
{
    uint8_t room[2][EDGE_KEY_BYTES_MAX];
    struct graph_arc arc;
    struct tree_key key;

    order_ends(&graph->options, &from, &to);
    arc = (struct graph_arc){to, label};
    key.first = graph_id_key(room[0], from);
    key.second = graph_arc_key(room[1], arc);
    if (!tree_get(root_of(graph, GRAPH_OUT), key, NULL))
        return false;
    *ret_value = graph_arc_value(graph, GRAPH_OUT, from, &arc);
    return true;
}

struct bytes graph_arc_value(const struct graph *graph, enum graph_part side,
                             uint64_t id, const struct graph_arc *arc)
{
    const struct table *part = graph->parts[GRAPH_EDGE_VALUES];
    uint8_t room[EDGE_KEY_BYTES_MAX];
    struct graph_arc out = *arc;
    struct bytes value;

    if (!table_count(part))
        return graph_nil;
    if (side == GRAPH_IN) {
        out.other = id;
        id = arc->other;
    }
    if (!find_row(part, graph_edge_key(room, id, out), &value))
        return graph_nil;
    return value;
}

/* What all arcs of a label begin with, and whatever sorts behind them. */
static size_t label_head(uint8_t *room, uint64_t label)
{
    if (!label)
        return 0;
    room[0] = KEY_TUPLE + 2;
    return 1 + graph_encode_id(room + 1, label);
}

uint64_t graph_degree(const struct graph *graph, enum graph_part side,
                      uint64_t id, uint64_t label)
{
    const struct tree_root *root = root_of(graph, side);
    uint8_t room[GRAPH_ID_BYTES_MAX];
    uint8_t head[GRAPH_ID_BYTES_MAX + 2];
    struct bytes first = graph_id_key(room, id);
    struct tree_cut low = {{first, NONE}, false};
    struct tree_cut high = low;
    size_t size;

    if (!root->count)
        return 0;
    if (label == GRAPH_LABEL_ANY)
        return rank_above(root, first) - rank_below(root, first);
    size = label_head(head, label);
    low.key.second = bytes_of(head, size);
    if (size)
        head[size] = KEY_ABOVE;
    else
        head[0] = KEY_TUPLE; /* all ids are below it */
    high.key.second = bytes_of(head, size + 1);
    if (size) { /* the two share their bytes */
        uint64_t below = tree_rank(
            root, (struct tree_cut){{first, bytes_of(head, size)}, false});

        return tree_rank(root, high) - below;
    }
    return tree_rank(root, high) - tree_rank(root, low);
}

void graph_arcs_init(struct graph_arcs *arcs, const struct graph *graph,
                     enum graph_part side, uint64_t id, uint64_t label,
                     struct tree_entry *entry)
{
    struct tree_cut cut = {{NONE, NONE}, false};

    arcs->graph = graph;
    arcs->side = side;
    arcs->one_label = label != GRAPH_LABEL_ANY;
    arcs->entry = entry;
    arcs->run.count = 0;
    arcs->has_run = false;
    arcs->first_size = graph_encode_id(arcs->first, id);
    arcs->second_size = arcs->one_label ? label_head(arcs->second, label) : 0;
    cut.key.first = bytes_of(arcs->first, arcs->first_size);
    cut.key.second = bytes_of(arcs->second, arcs->second_size);
    tree_cursor_seek(&arcs->cursor, root_of(graph, side), cut, NULL);
}

void graph_arcs_skip(struct graph_arcs *arcs, uint64_t count)
{
    const struct tree_root *root = root_of(arcs->graph, arcs->side);
    struct tree_cut cut = {{bytes_of(arcs->first, arcs->first_size),
                            bytes_of(arcs->second, arcs->second_size)},
                           false};

    tree_cursor_select(&arcs->cursor, root, tree_rank(root, cut) + count);
}

/* Is the arc, whose key is in `key`, one that the walk is over? */
static bool is_wanted(const struct graph_arcs *arcs, const uint8_t *key)
{
    if (!arcs->one_label)
        return true;
    if (!arcs->second_size)
        return key[0] != KEY_TUPLE + 2;
    return !memcmp(key, arcs->second, arcs->second_size);
}

static void arcs_end(struct graph_arcs *arcs)
{
    arcs->run.count = 0;
    arcs->cursor.depth = 0;
}

/* What all rows of a run have in common is looked at once: whether it is the
 * beginning of the vertex's id, and what is left of that. Ids tell their own
 * end, so that a row that begins with it is the vertex's. */
static void run_begin(struct graph_arcs *arcs)
{
    const struct tree_run *run = &arcs->run;
    size_t common = run->prefix.size;
    uint8_t left[8] = {0};

    if (common > arcs->first_size)
        common = arcs->first_size;
    arcs->none_fits = memcmp(run->prefix.data, arcs->first, common) != 0;
    arcs->head_shift = 64 - 8 * (unsigned)(arcs->first_size - common);
    REQUIRE(arcs->first_size - common <= sizeof(left)); /* ids are below 2^53 */
    memcpy(left, arcs->first + common, arcs->first_size - common);
    arcs->head = load_be64(left);
    REQUIRE(run->infix.size + run->second_width + NODE_SLACK <=
            sizeof(arcs->key));
    memcpy(arcs->key, run->infix.data, run->infix.size);
}

/* Is the first row left of the run one that the walk is over? Then its arc's
 * key is put together. */
static bool run_row(struct graph_arcs *arcs)
{
    const struct tree_run *run = &arcs->run;
    const uint8_t *second = run->rows + run->first_width;
    uint8_t *key = arcs->key + run->infix.size;

    /* A shift by 64 would be none. */
    if (arcs->none_fits ||
        (arcs->head_shift < 64 &&
         (load_be64(run->rows) ^ arcs->head) >> arcs->head_shift))
        return false;
    if (run->second_width <= NODE_SLACK)
        memcpy(key, second, NODE_SLACK);
    else
        memcpy(key, second, run->second_width);
    return is_wanted(arcs, arcs->key);
}

/* An arc that lies in no run. */
static enum status arcs_read(struct graph_arcs *arcs, struct graph_arc *ret,
                             bool *ret_found)
{
    struct tree_entry *entry = arcs->entry;
    enum status st = tree_cursor_read(&arcs->cursor, entry);

    if (st < 0)
        return st;
    tree_cursor_next(&arcs->cursor);
    *ret_found = bytes_equal(entry->key.first,
                             bytes_of(arcs->first, arcs->first_size)) &&
                 is_wanted(arcs, entry->key.second.data);
    if (*ret_found)
        *ret = graph_decode_arc(entry->key.second.data);
    else
        arcs_end(arcs);
    return ST_OK;
}

enum status graph_arcs_next(struct graph_arcs *arcs, struct graph_arc *ret,
                            bool *ret_found)
{
    struct tree_run *run = &arcs->run;

    *ret_found = false;
    if (!run->count) {
        if (!arcs->cursor.depth ||
            (arcs->has_run && !tree_cursor_skip_run(&arcs->cursor)))
            return ST_OK;
        arcs->has_run = tree_cursor_run(&arcs->cursor, run);
        if (!arcs->has_run)
            return arcs_read(arcs, ret, ret_found);
        run_begin(arcs);
    }
    if (!run_row(arcs)) {
        arcs_end(arcs);
        return ST_OK;
    }
    run->rows += run->stride;
    run->count--;
    *ret = graph_decode_arc(arcs->key);
    *ret_found = true;
    return ST_OK;
}

/* --- walks over all ------------------------------------------------------- */

void graph_vertices_init(struct graph_walk *walk, const struct graph *graph,
                         uint64_t after, struct tree_entry *entry)
{
    uint8_t room[GRAPH_ID_BYTES_MAX];
    struct tree_cut cut = {{graph_id_key(room, after), NONE}, true};

    walk->graph = graph;
    walk->entry = entry;
    walk->more = tree_cursor_seek(&walk->cursor, root_of(graph, GRAPH_VERTICES),
                                  cut, NULL);
}

enum status graph_vertices_next(struct graph_walk *walk, uint64_t *ret_id,
                                struct bytes *ret_vertex, bool *ret_found)
{
    enum status st;

    *ret_found = walk->more;
    if (!walk->more)
        return ST_OK;
    st = tree_cursor_read(&walk->cursor, walk->entry);
    if (st < 0)
        return st;
    *ret_id = graph_decode_id(walk->entry->key.first.data);
    *ret_vertex = walk->entry->value;
    walk->more = tree_cursor_next(&walk->cursor);
    return ST_OK;
}

void graph_edges_init(struct graph_walk *walk, const struct graph *graph,
                      uint64_t from, const struct graph_arc *after,
                      struct tree_entry *entry)
{
    uint8_t room[GRAPH_ID_BYTES_MAX];
    uint8_t arc[GRAPH_ARC_BYTES_MAX];
    struct tree_cut cut = {{graph_id_key(room, from), NONE}, false};

    if (after && after->other) {
        cut.key.second = graph_arc_key(arc, *after);
        cut.after = true;
    }
    walk->graph = graph;
    walk->entry = entry;
    walk->more =
        tree_cursor_seek(&walk->cursor, root_of(graph, GRAPH_OUT), cut, NULL);
}

enum status graph_edges_next(struct graph_walk *walk, uint64_t *ret_from,
                             struct graph_arc *ret, bool *ret_found)
{
    enum status st;

    *ret_found = walk->more;
    if (!walk->more)
        return ST_OK;
    st = tree_cursor_read(&walk->cursor, walk->entry);
    if (st < 0)
        return st;
    *ret_from = graph_decode_id(walk->entry->key.first.data);
    *ret = graph_decode_arc(walk->entry->key.second.data);
    walk->more = tree_cursor_next(&walk->cursor);
    return ST_OK;
}
