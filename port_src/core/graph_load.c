/*
 * graph_load.c -- elements in any order, gathered for the parts of a graph.
 *
 *     vertices   integer ---+-- table or hash --> number --> word
 *                key -------'                     0, 1, 2    an integer, or
 *                                                            where it lies
 *     edges      (from, to) in 8 bytes; label and value in arrays of their
 *                own, which are there once an edge has had one
 *
 *     finish     number + 1 = id
 *                sort by from, label, to --> out, edge_values
 *                sort by to, label, from --> in
 *                sort by key             --> vertices, other side
 *
 * Integers that are not much larger than there are vertices index a table,
 * which is what files of edges mostly hold: one access to memory a vertex.
 * Others, and all keys, are found by open addressing with linear probing, at
 * most two thirds full.
 *
 * A graph that holds something is changed element by element; how an empty one
 * is built say graph_load_sort.c and graph_load_build.c.
 */
#include "core/graph_load.h"

#include "core/etf.h"
#include "core/graph_load_internal.h"

#define EMPTY UINT32_MAX

/* Numbers of vertices by integer: table[i] of i below its size. It grows while
 * an integer is below this many times the vertices, and TABLE_MIN at least. */
#define TABLE_SPARE 8
#define TABLE_MIN ((uint64_t)1 << 16)

/* How many elements a command puts into a graph that holds something. */
#define COMMAND_ELEMENTS 4096

/* --- arrays --------------------------------------------------------------- */

static enum status array_grow(struct mem *mem, struct array *array,
                              size_t capacity, size_t element)
{
    void *data = mem_grow(mem, array->data, array->capacity * element,
                          capacity * element);

    if (!data)
        return mem_status(mem);
    array->data = data;
    array->capacity = capacity;
    return ST_OK;
}

/* Room for one more. */
static inline enum status array_room(struct mem *mem, struct array *array,
                                     size_t element)
{
    if (__builtin_expect(array->count < array->capacity, 1))
        return ST_OK;
    return array_grow(mem, array,
                      array->capacity ? array->capacity + array->capacity / 2
                                      : 1024,
                      element);
}

/* Appends a size and bytes; gives where they lie. */
static enum status put_text(struct buffer *out, struct bytes bytes,
                            uint64_t *ret)
{
    uint32_t size = (uint32_t)bytes.size;
    enum status st;

    if (bytes.size > TREE_VALUE_BYTES_MAX)
        return ST_TOO_BIG;
    *ret = out->size;
    st = buffer_reserve(out, sizeof(size) + bytes.size);
    if (st < 0)
        return st;
    memcpy(out->data + out->size, &size, sizeof(size));
    if (bytes.size)
        memcpy(out->data + out->size + sizeof(size), bytes.data, bytes.size);
    out->size += sizeof(size) + bytes.size;
    return ST_OK;
}

/* --- life ----------------------------------------------------------------- */

enum status graph_load_begin(struct store *store, struct table *table,
                             struct graph_load **ret)
{
    struct mem *mem = store_mem(store);
    struct graph_load *load = mem_zalloc(mem, sizeof(*load));
    enum status st;

    if (!load)
        return mem_status(mem);
    load->store = store;
    load->mem = mem;
    load->table = table;
    load->text = BUFFER(mem);
    load->label_text = BUFFER(mem);
    load->value_text = BUFFER(mem);
    load->nil = BUFFER(mem);
    load->all_integers = true;
    st = graph_open(store, table, &load->graph);
    if (st == ST_OK)
        st = key_encode(graph_nil, &load->nil);
    if (st == ST_OK)
        st = array_room(mem, &load->labels, sizeof(uint64_t));
    if (st < 0) {
        graph_load_abort(load);
        return st;
    }
    load->labels.count = 1; /* number 0 is nil */
    *ret = load;
    return ST_OK;
}

/* What finding vertices takes, which the sorting need not have. */
void load_free_index(struct graph_load *load)
{
    struct mem *mem = load->mem;

    mem_free(mem, load->direct, load->direct_size * sizeof(*load->direct));
    mem_free(mem, load->integers,
             load->integer_slots * sizeof(*load->integers));
    mem_free(mem, load->keys, load->key_slots * sizeof(*load->keys));
    load->direct = NULL;
    load->integers = NULL;
    load->keys = NULL;
    load->direct_size = 0;
    load->integer_slots = 0;
    load->key_slots = 0;
}

void graph_load_abort(struct graph_load *load)
{
    struct mem *mem;

    if (!load)
        return;
    mem = load->mem;
    load_free_index(load);
    mem_free(mem, load->label_slots,
             load->label_slot_count * sizeof(*load->label_slots));
    array_free(mem, &load->words, sizeof(uint64_t));
    array_free(mem, &load->labels, sizeof(uint64_t));
    array_free(mem, &load->puts, sizeof(struct put));
    array_free(mem, &load->pairs, sizeof(struct pair));
    array_free(mem, &load->marks, sizeof(uint32_t));
    array_free(mem, &load->values, sizeof(uint64_t));
    buffer_free(&load->text);
    buffer_free(&load->label_text);
    buffer_free(&load->value_text);
    buffer_free(&load->nil);
    mem_free(mem, load, sizeof(*load));
}

uint64_t graph_load_vertex_count(const struct graph_load *load)
{
    return load->words.count;
}

uint64_t graph_load_edge_count(const struct graph_load *load)
{
    return load->pairs.count;
}

/* --- finding vertices ----------------------------------------------------- */

static enum status add_vertex(struct graph_load *load, uint64_t word,
                              uint32_t *ret)
{
    enum status st = array_room(load->mem, &load->words, sizeof(uint64_t));

    if (st < 0)
        return st;
    if (load->words.count >= GRAPH_LOAD_VERTICES_MAX)
        return ST_TOO_BIG;
    *ret = (uint32_t)load->words.count;
    ((uint64_t *)load->words.data)[load->words.count++] = word;
    return ST_OK;
}

/* Fibonacci hashing (Knuth 6.4): the upper bits of a product. */
static inline size_t integer_place(uint64_t integer, size_t slots)
{
    return (size_t)((integer * UINT64_C(0x9E3779B97F4A7C15)) >>
                    (__builtin_clzll(slots) + 1));
}

static struct integer_slot *integer_slot(struct integer_slot *slots,
                                         size_t count, uint64_t integer)
{
    size_t at = integer_place(integer, count);

    while (slots[at].number != EMPTY && slots[at].integer != integer)
        at = (at + 1) & (count - 1);
    return &slots[at];
}

static enum status integers_grow(struct graph_load *load)
{
    size_t count = load->integer_slots ? load->integer_slots * 2 : 1024;
    struct integer_slot *slots = many_alloc(load->mem, count, sizeof(*slots));

    if (!slots)
        return mem_status(load->mem);
    memset(slots, 0xff, count * sizeof(*slots));
    for (size_t i = 0; i < load->integer_slots; i++) {
        const struct integer_slot *slot = &load->integers[i];

        if (slot->number != EMPTY)
            *integer_slot(slots, count, slot->integer) = *slot;
    }
    mem_free(load->mem, load->integers,
             load->integer_slots * sizeof(*load->integers));
    load->integers = slots;
    load->integer_slots = count;
    return ST_OK;
}

/* Makes the table reach `integer`, and takes over what the hash has of it;
 * there it stays, and is not looked at again. */
static enum status direct_grow(struct graph_load *load, uint64_t integer)
{
    uint64_t size = load->direct_size ? load->direct_size : TABLE_MIN;
    uint32_t *direct;

    while (size <= integer)
        size *= 2;
    direct =
        mem_grow(load->mem, load->direct, load->direct_size * sizeof(*direct),
                 size * sizeof(*direct));
    if (!direct)
        return mem_status(load->mem);
    memset(direct + load->direct_size, 0xff,
           (size - load->direct_size) * sizeof(*direct));
    load->direct = direct;
    load->direct_size = size;
    for (size_t i = 0; i < load->integer_slots; i++) {
        const struct integer_slot *slot = &load->integers[i];

        if (slot->number != EMPTY && slot->integer < size)
            direct[slot->integer] = slot->number;
    }
    return ST_OK;
}

static enum status hashed_integer(struct graph_load *load, uint64_t integer,
                                  uint32_t *ret)
{
    struct integer_slot *slot;
    enum status st;

    if (3 * (load->integer_count + 1) > 2 * load->integer_slots) {
        st = integers_grow(load);
        if (st < 0)
            return st;
    }
    slot = integer_slot(load->integers, load->integer_slots, integer);
    if (slot->number == EMPTY) {
        st = add_vertex(load, integer, ret);
        if (st < 0)
            return st;
        *slot = (struct integer_slot){integer, *ret};
        load->integer_count++;
    }
    *ret = slot->number;
    return ST_OK;
}

static enum status new_integer(struct graph_load *load, uint64_t integer,
                               uint32_t *ret)
{
    uint64_t reach = load->words.count * TABLE_SPARE;
    enum status st;

    if (integer >= load->direct_size) {
        if (integer >= TABLE_MIN && integer >= reach)
            return hashed_integer(load, integer, ret);
        st = direct_grow(load, integer);
        if (st < 0)
            return st;
        if (load->direct[integer] != EMPTY) {
            *ret = load->direct[integer];
            return ST_OK;
        }
    }
    st = add_vertex(load, integer, ret);
    if (st == ST_OK)
        load->direct[integer] = *ret;
    return st;
}

static enum status find_key(struct graph_load *load, struct bytes key,
                            uint32_t *ret);

static enum status negative_integer(struct graph_load *load, int64_t integer,
                                    uint32_t *ret)
{
    uint8_t term[16] = {ETF_SMALL_BIG, 8, 1};
    uint64_t magnitude = 0 - (uint64_t)integer;
    struct buffer key = BUFFER(load->mem);
    enum status st;

    for (unsigned i = 0; i < 8; i++)
        term[3 + i] = (uint8_t)(magnitude >> (8 * i));
    st = key_encode(bytes_of(term, 11), &key);
    if (st == ST_OK)
        st = find_key(load, buffer_bytes(&key), ret);
    buffer_free(&key);
    return st;
}

enum status graph_load_integer(struct graph_load *load, int64_t vertex,
                               uint32_t *ret)
{
    uint64_t integer = (uint64_t)vertex;

    if (__builtin_expect(integer < load->direct_size, 1) &&
        load->direct[integer] != EMPTY) {
        *ret = load->direct[integer];
        return ST_OK;
    }
    if (vertex < 0)
        return negative_integer(load, vertex, ret);
    return new_integer(load, integer, ret);
}

/* Makes room for one key more in a hash of keys that lie in `text` at what
 * `place` gives. */
static enum status slots_grow(struct mem *mem, struct slot **slots,
                              size_t *count)
{
    size_t grown = *count ? *count * 2 : 1024;
    struct slot *new = many_alloc(mem, grown, sizeof(*new));

    if (!new)
        return mem_status(mem);
    memset(new, 0xff, grown * sizeof(*new));
    for (size_t i = 0; i < *count; i++) {
        struct slot slot = (*slots)[i];
        size_t at = slot.hash & (grown - 1);

        if (slot.number == EMPTY)
            continue;
        while (new[at].number != EMPTY)
            at = (at + 1) & (grown - 1);
        new[at] = slot;
    }
    mem_free(mem, *slots, *count * sizeof(*new));
    *slots = new;
    *count = grown;
    return ST_OK;
}

static enum status find_key(struct graph_load *load, struct bytes key,
                            uint32_t *ret)
{
    uint32_t hash = (uint32_t)digest_bytes(key).low;
    uint64_t offset;
    size_t at;
    enum status st;

    if (3 * (load->key_count + 1) > 2 * load->key_slots) {
        st = slots_grow(load->mem, &load->keys, &load->key_slots);
        if (st < 0)
            return st;
    }
    for (at = hash & (load->key_slots - 1); load->keys[at].number != EMPTY;
         at = (at + 1) & (load->key_slots - 1)) {
        uint32_t number = load->keys[at].number;

        if (load->keys[at].hash == hash &&
            bytes_equal(
                text_at(&load->text, load_word(load, number) & ~WORD_KEY),
                key)) {
            *ret = number;
            return ST_OK;
        }
    }
    st = put_text(&load->text, key, &offset);
    if (st < 0)
        return st;
    st = add_vertex(load, offset | WORD_KEY, ret);
    if (st < 0) {
        load->text.size = offset;
        return st;
    }
    load->keys[at] = (struct slot){hash, *ret};
    load->key_count++;
    load->all_integers = false;
    return ST_OK;
}

enum status graph_load_vertex(struct graph_load *load, struct bytes vertex,
                              uint32_t *ret)
{
    uint64_t integer;

    if (key_decode_u64(vertex, &integer) && integer <= INT64_MAX)
        return graph_load_integer(load, (int64_t)integer, ret);
    return find_key(load, vertex, ret);
}

enum status graph_load_label(struct graph_load *load, struct bytes label,
                             uint32_t *ret)
{
    const uint64_t *offsets = load->labels.data;
    uint32_t hash = (uint32_t)digest_bytes(label).low;
    uint64_t offset;
    size_t at;
    enum status st;

    if (bytes_equal(label, buffer_bytes(&load->nil))) {
        *ret = 0;
        return ST_OK;
    }
    if (3 * load->labels.count >= 2 * load->label_slot_count) {
        st = slots_grow(load->mem, &load->label_slots, &load->label_slot_count);
        if (st < 0)
            return st;
    }
    for (at = hash & (load->label_slot_count - 1);
         load->label_slots[at].number != EMPTY;
         at = (at + 1) & (load->label_slot_count - 1)) {
        uint32_t number = load->label_slots[at].number;

        if (load->label_slots[at].hash == hash &&
            bytes_equal(text_at(&load->label_text, offsets[number]), label)) {
            *ret = number;
            return ST_OK;
        }
    }
    if (load->labels.count >= UINT32_MAX - 1)
        return ST_TOO_BIG;
    st = array_room(load->mem, &load->labels, sizeof(uint64_t));
    if (st == ST_OK)
        st = put_text(&load->label_text, label, &offset);
    if (st < 0)
        return st;
    *ret = (uint32_t)load->labels.count;
    ((uint64_t *)load->labels.data)[load->labels.count++] = offset;
    load->label_slots[at] = (struct slot){hash, *ret};
    return ST_OK;
}

/* --- elements ------------------------------------------------------------- */

enum status graph_load_put_vertex(struct graph_load *load, uint32_t vertex,
                                  struct bytes value, const uint32_t *labels,
                                  size_t label_count)
{
    struct array *puts = &load->puts;
    size_t before = load->value_text.size;
    uint64_t labels_at;
    uint64_t offset;
    enum status st = array_room(load->mem, puts, sizeof(struct put));

    REQUIRE(vertex < load->words.count);
    for (size_t i = 0; i < label_count; i++) {
        if (!labels[i])
            return ST_BAD_ARGUMENT;
    }
    if (puts->count >= UINT32_MAX)
        st = ST_TOO_BIG;
    if (st == ST_OK)
        st = put_text(&load->value_text, graph_is_nil(value) ? NONE : value,
                      &offset);
    if (st == ST_OK)
        st = put_text(&load->value_text,
                      bytes_of(labels, label_count * sizeof(*labels)),
                      &labels_at);
    if (st < 0) {
        load->value_text.size = before;
        return st;
    }
    ((struct put *)puts->data)[puts->count] =
        (struct put){vertex, (uint32_t)puts->count, offset};
    puts->count++;
    return ST_OK;
}

/* Begins an array beside the edges, in which all so far have nothing. */
static enum status begin_beside(struct graph_load *load, struct array *array,
                                size_t element)
{
    enum status st;

    if (array->data)
        return ST_OK;
    st = array_grow(load->mem, array, load->pairs.capacity, element);
    if (st == ST_OK) {
        memset(array->data, 0, load->pairs.count * element);
        array->count = load->pairs.count;
    }
    return st;
}

static enum status note_value(struct graph_load *load, struct bytes value)
{
    uint64_t offset;
    enum status st = begin_beside(load, &load->values, sizeof(uint64_t));

    if (st == ST_OK)
        st = array_room(load->mem, &load->values, sizeof(uint64_t));
    if (st == ST_OK)
        st = put_text(&load->value_text, value, &offset);
    if (st < 0)
        return st;
    ((uint64_t *)load->values.data)[load->values.count++] = offset + 1;
    return ST_OK;
}

static enum status note_nothing(struct graph_load *load)
{
    enum status st;

    if (!load->values.data)
        return ST_OK;
    st = array_room(load->mem, &load->values, sizeof(uint64_t));
    if (st == ST_OK)
        ((uint64_t *)load->values.data)[load->values.count++] = 0;
    return st;
}

static enum status note_label(struct graph_load *load, uint32_t label)
{
    enum status st = ST_OK;

    if (!label && !load->marks.data)
        return ST_OK;
    st = begin_beside(load, &load->marks, sizeof(uint32_t));
    if (st == ST_OK)
        st = array_room(load->mem, &load->marks, sizeof(uint32_t));
    if (st == ST_OK)
        ((uint32_t *)load->marks.data)[load->marks.count++] = label;
    return st;
}

enum status graph_load_put_edge(struct graph_load *load, uint32_t from,
                                uint32_t to, uint32_t label, struct bytes value)
{
    size_t text_size = load->value_text.size;
    bool plain = graph_is_nil(value);
    enum status st = array_room(load->mem, &load->pairs, sizeof(struct pair));
    double weight;

    if (load->graph.options.weight != WEIGHT_NONE &&
        !graph_weight(&load->graph.options, value, &weight))
        return ST_BAD_WEIGHT;
    if (st == ST_OK && load->pairs.count >= UINT32_MAX)
        st = ST_TOO_BIG;
    if (st == ST_OK)
        st = plain ? note_nothing(load) : note_value(load, value);
    if (st == ST_OK)
        st = note_label(load, label);
    if (st < 0) {
        /* One of the arrays beside may have got it. */
        if (load->values.count > load->pairs.count)
            load->values.count = load->pairs.count;
        load->value_text.size = text_size;
        return st;
    }
    if (load->graph.options.undirected && from > to) {
        uint32_t other = from;

        from = to;
        to = other;
    }
    ((struct pair *)load->pairs.data)[load->pairs.count++] =
        (struct pair){to, from};
    return ST_OK;
}

/* --- adding to a graph ---------------------------------------------------- */

/* A command at a time. */
struct adding {
    struct graph_load *load;
    struct graph_writer writer;
    unsigned count; /* in the running command */
    bool open;
};

static enum status adding_next(struct adding *adding)
{
    struct store *store = adding->load->store;
    struct table *table;
    enum status st;

    if (adding->open && adding->count++ < COMMAND_ELEMENTS)
        return ST_OK;
    if (adding->open)
        store_commit(store);
    store_begin(store);
    adding->open = true;
    adding->count = 1;
    st = store_find_mutable(store, table_name(adding->load->table), &table);
    if (st < 0)
        return st;
    return graph_writer_open(store, table, &adding->writer);
}

static enum status adding_end(struct adding *adding, enum status st)
{
    if (adding->open && st < 0)
        store_rollback(adding->load->store);
    else if (adding->open)
        store_commit(adding->load->store);
    return st;
}

static enum status add_one_vertex(struct adding *adding, const struct put *put)
{
    struct graph_load *load = adding->load;
    struct bytes value = put_value(load, put);
    const uint8_t *numbers;
    size_t count = put_labels(load, put, &numbers);
    struct bytes *labels = many_alloc(load->mem, count, sizeof(*labels));
    enum outcome outcome;
    uint8_t room[LOAD_ROOM];
    enum status st;

    if (!labels)
        return mem_status(load->mem);
    for (size_t i = 0; i < count; i++) {
        uint32_t label;

        memcpy(&label, numbers + i * sizeof(label), sizeof(label));
        labels[i] = load_label(load, label);
    }
    st = graph_put_vertex(&adding->writer, load_key(load, put->vertex, room),
                          value.size ? value : graph_nil, labels, count,
                          &outcome);
    many_free(load->mem, labels, count, sizeof(*labels));
    return st;
}

static enum status add_one_edge(struct adding *adding, struct arc edge)
{
    struct graph_load *load = adding->load;
    uint8_t from[16];
    uint8_t to[16];
    struct bytes label =
        edge.label ? load_label(load, edge.label) : buffer_bytes(&load->nil);
    enum outcome outcome;

    return graph_put_edge(&adding->writer, load_key(load, edge.from, from),
                          load_key(load, edge.to, to), label,
                          edge_value(load, edge), &outcome);
}

/* A vertex that no edge names and nobody put cannot be: it came by one. */
static enum status add_all(struct graph_load *load, struct edges *edges)
{
    struct adding adding = {.load = load};
    const struct put *puts;
    enum status st = load_sort_puts(load);

    puts = load->puts.data;
    load->total = load->puts.count + load->pairs.count;
    load_free_index(load);
    for (size_t i = 0; st == ST_OK && i < load->puts.count; i++) {
        st = adding_next(&adding);
        if (st == ST_OK)
            st = add_one_vertex(&adding, &puts[i]);
        load_step(load);
    }
    if (st == ST_OK)
        st = load_take_edges(load, edges);
    if (st == ST_OK)
        load_sort_out(load, edges);
    for (size_t i = 0; st == ST_OK && i < edges->count; i++) {
        st = adding_next(&adding);
        if (st == ST_OK)
            st = add_one_edge(&adding, edge_at(edges, i));
        load_step(load);
    }
    load_free_edges(load, edges);
    return adding_end(&adding, st);
}

/* Labels may be left of elements that went. */
static bool is_empty(const struct graph *graph)
{
    for (int part = 0; part < GRAPH_OPTIONS; part++) {
        if (table_count(graph->parts[part]))
            return false;
    }
    return true;
}

enum status graph_load_finish(struct graph_load *load,
                              const struct graph_load_progress *progress,
                              struct graph_load_counts *ret)
{
    uint64_t vertices = graph_vertex_count(&load->graph);
    uint64_t edges_before = graph_edge_count(&load->graph);
    struct edges edges = {.count = 0};
    struct graph after;
    enum status st;

    load->progress = progress;
    load->counts.vertices = load->words.count;
    if (load->table->places) /* ids may begin anew */
        graph_memo_clear(load->store, &load->table->places->memo);
    st = is_empty(&load->graph) ? load_build(load, &edges)
                                : add_all(load, &edges);
    load->counts.edges = edges.count;
    if (st == ST_OK)
        st = graph_open(load->store,
                        store_find(load->store, table_name(load->table)),
                        &after);
    if (st == ST_OK) {
        load->counts.new_vertices = graph_vertex_count(&after) - vertices;
        load->counts.new_edges = graph_edge_count(&after) - edges_before;
        *ret = load->counts;
    }
    graph_load_abort(load);
    return st;
}
