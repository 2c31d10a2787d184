/*
 * source.c -- arcs out of the trees of a graph, or out of junctions.
 *
 *     graph      7 --> out: 7 {1, 8}, 7 {1, 9}      ids are the numbers
 *     junction   "ann" --> fwd: ann bob, ann eve    1: ann  2: bob  3: eve
 *     path       a --J1--> {b, c} --J2--> {d, e}    a set for each step
 *
 * Both are asked in the same words, and an arc passes the same filters on its
 * way out: first what the arc itself tells, then its value, then the vertex
 * that it leads to, since each of them costs a descent more.
 *
 * The vertices of junctions are interned: an open hash of their encoded bytes
 * (which are equal where terms are), and an array by number. Their bytes lie
 * in chunks that never move, for a scan borrows the key that it is about while
 * it meets new ones. A path is walked a step at a time over the whole set of
 * vertices that the step before has reached, so that it costs the pairs at
 * those and not the ways through them, of which there may be any number. A
 * vertex is marked with the number of the step that met it last, and nothing
 * has to be cleared.
 */
#include "graph/source.h"

#include "core/digest.h"

#define CHUNK_BYTES (16u << 10)
#define SLOTS_MIN 64

/* So many labels are looked for one by one; of more only if the vertex has
 * many more arcs than that. */
#define LABELS_APART 4

static const struct arcs_wanted wants_all;

static const struct range all = {
    ASCENDING, {.kind = BOUND_NONE}, {.kind = BOUND_NONE}};

/* Bytes of keys, side by side. */
struct chunk {
    struct chunk *next;
    size_t used;
    size_t size; /* of `bytes` */
    uint8_t bytes[];
};

/* A vertex of a path; the number of the first one is 1. */
struct term {
    const uint8_t *key;
    uint32_t size;
    uint32_t hash;
    uint64_t mark; /* the step that has met it last */
};

struct reached {
    uint64_t *vertices;
    size_t count;
    size_t capacity;
};

struct path {
    struct source_step steps[SOURCE_PATH_MAX];
    size_t count;
    struct chunk *chunks;
    struct term *terms;
    uint32_t term_count;
    uint32_t term_capacity;
    uint32_t *slots; /* numbers; 0: free */
    uint32_t slot_count;
    uint64_t mark; /* steps so far */
    struct reached reached[2];
};

struct source {
    struct mem *mem;
    struct budget *budget;
    bool is_graph;
    struct graph graph;
    struct path path;
    struct tree_entry entry;
    struct buffer key;
    struct buffer term;
    struct source_fault fault;
};

enum status budget_pause(struct budget *budget)
{
    uint64_t left = budget->arcs - budget->examined;

    if (budget->examined >= budget->arcs)
        return ST_ROW_LIMIT;
    if (budget->pause && budget->check) {
        enum status st = budget->check(budget->context);

        if (st < 0)
            return st;
    }
    budget->pause =
        budget->examined + (left < budget->stride ? left : budget->stride);
    return ST_OK;
}

/* --- lifetime ------------------------------------------------------------ */

static enum status source_create(struct mem *mem, struct budget *budget,
                                 struct source **ret)
{
    struct source *source = mem_zalloc(mem, sizeof(*source));

    if (!source)
        return mem_status(mem);
    source->mem = mem;
    source->budget = budget;
    source->entry.buffer = BUFFER(mem);
    source->key = BUFFER(mem);
    source->term = BUFFER(mem);
    *ret = source;
    return ST_OK;
}

enum status source_of_graph(struct mem *mem, const struct graph *graph,
                            struct budget *budget, struct source **ret)
{
    enum status st = source_create(mem, budget, ret);

    if (st < 0)
        return st;
    (*ret)->is_graph = true;
    (*ret)->graph = *graph;
    return ST_OK;
}

enum status source_of_path(struct mem *mem, const struct source_step *steps,
                           size_t count, struct budget *budget,
                           struct source **ret)
{
    enum status st;

    REQUIRE(count > 0 && count <= SOURCE_PATH_MAX);
    st = source_create(mem, budget, ret);
    if (st < 0)
        return st;
    for (size_t i = 0; i < count; i++) {
        REQUIRE(table_has_second(steps[i].table) &&
                table_has_side(steps[i].table, steps[i].side));
        (*ret)->path.steps[i] = steps[i];
    }
    (*ret)->path.count = count;
    return ST_OK;
}

static void path_free(struct mem *mem, struct path *path)
{
    while (path->chunks) {
        struct chunk *chunk = path->chunks;

        path->chunks = chunk->next;
        mem_free(mem, chunk, sizeof(*chunk) + chunk->size);
    }
    mem_free(mem, path->terms, path->term_capacity * sizeof(*path->terms));
    mem_free(mem, path->slots, path->slot_count * sizeof(*path->slots));
    for (int i = 0; i < 2; i++)
        mem_free(mem, path->reached[i].vertices,
                 path->reached[i].capacity * sizeof(uint64_t));
}

void source_free(struct source *source)
{
    if (!source)
        return;
    path_free(source->mem, &source->path);
    buffer_free(&source->entry.buffer);
    buffer_free(&source->key);
    buffer_free(&source->term);
    mem_free(source->mem, source, sizeof(*source));
}

const struct graph *source_graph(const struct source *source)
{
    return source->is_graph ? &source->graph : NULL;
}

bool source_is_undirected(const struct source *source)
{
    return source->is_graph && source->graph.options.undirected;
}

bool source_has_direction(const struct source *source,
                          enum direction_of_edges direction)
{
    const struct path *path = &source->path;

    if (source->is_graph || direction == EDGES_OUT)
        return true;
    for (size_t i = 0; i < path->count; i++)
        if (!table_has_side(path->steps[i].table,
                            side_other(path->steps[i].side)))
            return false;
    return true;
}

void source_set_fault(struct source *source, uint64_t from, uint64_t to)
{
    source->fault = (struct source_fault){from, to};
}

struct source_fault source_fault(const struct source *source)
{
    return source->fault;
}

/* --- the vertices of a path ----------------------------------------------- */

static enum status slots_grow(struct mem *mem, struct path *path)
{
    uint32_t count = path->slot_count ? 2 * path->slot_count : SLOTS_MIN;
    uint32_t *slots;

    if (count > UINT32_MAX / 2)
        return ST_MEMORY_LIMIT;
    slots = mem_zalloc(mem, count * sizeof(*slots));
    if (!slots)
        return mem_status(mem);
    for (uint32_t n = 1; n <= path->term_count; n++) {
        uint32_t slot = path->terms[n - 1].hash & (count - 1);

        while (slots[slot])
            slot = (slot + 1) & (count - 1);
        slots[slot] = n;
    }
    mem_free(mem, path->slots, path->slot_count * sizeof(*slots));
    path->slots = slots;
    path->slot_count = count;
    return ST_OK;
}

static enum status terms_grow(struct mem *mem, struct path *path)
{
    uint32_t capacity = path->term_capacity ? 2 * path->term_capacity : 32;
    struct term *terms =
        mem_grow(mem, path->terms, path->term_capacity * sizeof(*terms),
                 capacity * sizeof(*terms));

    if (!terms)
        return mem_status(mem);
    path->terms = terms;
    path->term_capacity = capacity;
    return ST_OK;
}

/* Room for a key, which stays where it is; NULL: mem_status() says why. */
static uint8_t *chunk_take(struct mem *mem, struct path *path, size_t size)
{
    struct chunk *chunk = path->chunks;

    if (!chunk || chunk->size - chunk->used < size) {
        size_t room =
            path->term_count < SLOTS_MIN ? CHUNK_BYTES / 16 : CHUNK_BYTES;

        if (room < size)
            room = size;
        chunk = mem_alloc(mem, sizeof(*chunk) + room);
        if (!chunk)
            return NULL;
        chunk->size = room;
        chunk->used = 0;
        chunk->next = path->chunks;
        path->chunks = chunk;
    }
    chunk->used += size;
    return chunk->bytes + chunk->used - size;
}

/* The number of a key, which is given one if it has none. */
static enum status path_intern(struct mem *mem, struct path *path,
                               struct bytes key, uint64_t *ret)
{
    uint32_t hash = (uint32_t)digest_bytes(key).low;
    uint8_t *copy;
    enum status st;
    uint32_t slot;

    if (path->term_count >= path->slot_count / 2) {
        st = slots_grow(mem, path);
        if (st < 0)
            return st;
    }
    for (slot = hash & (path->slot_count - 1); path->slots[slot];
         slot = (slot + 1) & (path->slot_count - 1)) {
        const struct term *term = &path->terms[path->slots[slot] - 1];

        if (term->hash == hash &&
            bytes_equal(bytes_of(term->key, term->size), key)) {
            *ret = path->slots[slot];
            return ST_OK;
        }
    }
    if (path->term_count == path->term_capacity) {
        st = terms_grow(mem, path);
        if (st < 0)
            return st;
    }
    copy = chunk_take(mem, path, key.size);
    if (!copy)
        return mem_status(mem);
    memcpy(copy, key.data, key.size);
    path->terms[path->term_count++] =
        (struct term){copy, (uint32_t)key.size, hash, 0};
    path->slots[slot] = path->term_count;
    *ret = path->term_count;
    return ST_OK;
}

static struct bytes path_key(const struct path *path, uint64_t vertex)
{
    REQUIRE(vertex > 0 && vertex <= path->term_count);
    return bytes_of(path->terms[vertex - 1].key, path->terms[vertex - 1].size);
}

/* Is the term one where the path may begin or end? */
static bool path_has(const struct path *path, struct bytes vertex)
{
    const struct source_step *first = &path->steps[0];
    const struct source_step *last = &path->steps[path->count - 1];
    enum side end = side_other(last->side);

    return table_has_key(first->table, first->side, vertex) ||
           !table_has_side(last->table, end) ||
           table_has_key(last->table, end, vertex);
}

static enum status reached_add(struct mem *mem, struct reached *reached,
                               uint64_t vertex)
{
    if (reached->count == reached->capacity) {
        size_t capacity = reached->capacity ? 2 * reached->capacity : 64;
        uint64_t *vertices = mem_grow(mem, reached->vertices,
                                      reached->capacity * sizeof(*vertices),
                                      capacity * sizeof(*vertices));

        if (!vertices)
            return mem_status(mem);
        reached->vertices = vertices;
        reached->capacity = capacity;
    }
    reached->vertices[reached->count++] = vertex;
    return ST_OK;
}

/* --- vertices and labels -------------------------------------------------- */

enum status source_find(struct source *source, struct bytes vertex,
                        uint64_t *ret)
{
    if (source->is_graph)
        return graph_find(&source->graph, vertex, ret) ? ST_OK : ST_NO_VERTEX;
    if (!path_has(&source->path, vertex))
        return ST_NO_VERTEX;
    return path_intern(source->mem, &source->path, vertex, ret);
}

bool source_find_label(const struct source *source, struct bytes label,
                       uint64_t *ret)
{
    return source->is_graph && graph_find_label(&source->graph, label, ret);
}

enum status source_vertex(struct source *source, uint64_t vertex,
                          struct bytes *ret)
{
    enum status st;

    if (source->is_graph) {
        REQUIRE(graph_vertex(&source->graph, vertex, ret));
        return ST_OK;
    }
    source->term.size = 0;
    st = key_decode(path_key(&source->path, vertex), &source->term);
    *ret = buffer_bytes(&source->term);
    return st;
}

void source_vertex_prefetch(const struct source *source, uint64_t vertex)
{
    if (source->is_graph)
        graph_vertex_prefetch(&source->graph, vertex);
}

enum status source_vertex_key(struct source *source, uint64_t vertex,
                              struct bytes *ret)
{
    enum status st;

    if (!source->is_graph) {
        *ret = path_key(&source->path, vertex);
        return ST_OK;
    }
    source->key.size = 0;
    st = graph_vertex_key(&source->graph, vertex, &source->key);
    *ret = buffer_bytes(&source->key);
    return st;
}

struct bytes source_label(const struct source *source, uint64_t label)
{
    struct bytes term = graph_nil;

    if (source->is_graph)
        REQUIRE(graph_label(&source->graph, label, &term));
    return term;
}

struct bytes source_vertex_value(const struct source *source, uint64_t vertex)
{
    return source->is_graph ? graph_vertex_value(&source->graph, vertex)
                            : graph_nil;
}

static bool has_one_label(const struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted)
{
    for (size_t i = 0; i < wanted->vertex_label_count; i++)
        if (source->is_graph &&
            graph_has_label(&source->graph, vertex, wanted->vertex_labels[i]))
            return true;
    return false;
}

enum status source_vertex_wanted(struct source *source, uint64_t vertex,
                                 const struct arcs_wanted *wanted, bool *ret)
{
    struct filter_element element = {.value = graph_nil};
    enum status st;

    *ret = true;
    if (wanted->vertex_labels) {
        *ret = has_one_label(source, vertex, wanted);
        if (!*ret)
            return ST_OK;
    }
    if (!wanted->vertices)
        return ST_OK;
    if (filter_uses_key(wanted->vertices)) {
        st = source_vertex_key(source, vertex, &element.key);
        if (st < 0)
            return st;
    }
    if (filter_uses_value(wanted->vertices))
        element.value = source_vertex_value(source, vertex);
    return filter_match(wanted->vertices, &element, ret);
}

/* --- arcs ----------------------------------------------------------------- */

/* The arcs at one vertex, on their way to the caller. */
struct arcs {
    struct source *source;
    const struct arcs_wanted *wanted;
    arc_function *function;
    void *context;
    uint64_t vertex;
    uint64_t taken;
    bool done;  /* as many are taken as may be */
    bool plain; /* no filter, no value, no weight */
};

static enum status edge_wanted(struct source *source, struct filter *filter,
                               const struct arc *arc, bool *ret)
{
    struct filter_element element = {.value = arc->value};
    enum status st;

    if (filter_uses_key(filter)) {
        st = source_vertex_key(source, arc->other, &element.key);
        if (st < 0)
            return st;
    }
    return filter_match(filter, &element, ret);
}

/* Looks up what belongs to an arc of a graph. */
static enum status arc_complete(struct arcs *arcs, enum graph_part side,
                                struct arc *arc)
{
    const struct arcs_wanted *wanted = arcs->wanted;
    struct source *source = arcs->source;
    const struct graph *graph = &source->graph;
    bool weighs = wanted->weights && graph->options.weight != WEIGHT_NONE;
    struct graph_arc key = {arc->other, arc->label};

    if (wanted->values || weighs ||
        (wanted->edges && filter_uses_value(wanted->edges)))
        arc->value = graph_arc_value(graph, side, arcs->vertex, &key);
    if (!weighs || graph_weight(&graph->options, arc->value, &arc->weight))
        return ST_OK;
    source_set_fault(source, arc->backwards ? arc->other : arcs->vertex,
                     arc->backwards ? arcs->vertex : arc->other);
    return ST_BAD_WEIGHT;
}

/* The filters, and then the caller. */
static enum status arc_offer(struct arcs *arcs, const struct arc *arc)
{
    const struct arcs_wanted *wanted = arcs->wanted;
    bool fits = true;
    enum status st = ST_OK;

    if (wanted->edges)
        st = edge_wanted(arcs->source, wanted->edges, arc, &fits);
    if (st == ST_OK && fits && (wanted->vertices || wanted->vertex_labels))
        st = source_vertex_wanted(arcs->source, arc->other, wanted, &fits);
    if (st < 0 || !fits)
        return st;
    arcs->taken++;
    arcs->done = wanted->degree_max && arcs->taken >= wanted->degree_max;
    return arcs->function(arcs->context, arc);
}

static bool has_label(const struct arcs_wanted *wanted, uint64_t label)
{
    size_t low = 0, high = wanted->label_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (wanted->labels[middle] < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < wanted->label_count && wanted->labels[low] == label;
}

/* The arcs of one label, or of all of them, in one of the two trees. `only` are
 * labels to pick out of all, or NULL. */
static enum status graph_side_arcs(struct arcs *arcs, enum graph_part side,
                                   uint64_t label,
                                   const struct arcs_wanted *only)
{
    struct source *source = arcs->source;
    bool undirected = source->graph.options.undirected;
    struct graph_arcs walk;
    struct graph_arc found_arc;
    bool found;
    enum status st;

    graph_arcs_init(&walk, &source->graph, side, arcs->vertex, label,
                    &source->entry);
    while (!arcs->done) {
        struct arc arc = {.weight = 1, .value = graph_nil};

        st = graph_arcs_next(&walk, &found_arc, &found);
        if (st < 0 || !found)
            return st;
        arc.other = found_arc.other;
        arc.label = found_arc.label;
        arc.backwards = side == GRAPH_IN;
        if (undirected && arc.backwards && arc.other == arcs->vertex)
            continue; /* the loop, which `out` has as well */
        st = budget_spend(source->budget);
        if (st < 0)
            return st;
        if (only && !has_label(only, arc.label))
            continue;
        if (!arcs->plain)
            st = arc_complete(arcs, side, &arc);
        if (st == ST_OK)
            st = arcs->plain ? arcs->function(arcs->context, &arc)
                             : arc_offer(arcs, &arc);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* Many labels are looked for among all arcs, unless there are very many. */
static bool labels_apart(const struct arcs *arcs, enum graph_part side)
{
    const struct arcs_wanted *wanted = arcs->wanted;

    return wanted->label_count <= LABELS_APART ||
           graph_degree(&arcs->source->graph, side, arcs->vertex,
                        GRAPH_LABEL_ANY) > 8 * wanted->label_count;
}

static enum status graph_arcs_of(struct arcs *arcs, enum graph_part side)
{
    const struct arcs_wanted *wanted = arcs->wanted;
    enum status st = ST_OK;

    if (!wanted->labels)
        return graph_side_arcs(arcs, side, GRAPH_LABEL_ANY, NULL);
    if (!labels_apart(arcs, side))
        return graph_side_arcs(arcs, side, GRAPH_LABEL_ANY, wanted);
    for (size_t i = 0; i < wanted->label_count && st == ST_OK; i++)
        st = graph_side_arcs(arcs, side, wanted->labels[i], NULL);
    return st;
}

/* Step i of the path as it is gone in this direction. */
static struct source_step path_step(const struct path *path, size_t i,
                                    bool backwards)
{
    struct source_step step = path->steps[backwards ? path->count - 1 - i : i];

    if (backwards)
        step.side = side_other(step.side);
    return step;
}

/* Where a step leads to: into a set, or on to the caller. */
struct landing {
    struct reached *set; /* NULL: to the caller */
    struct arcs *arcs;
    bool backwards;
};

/* Each vertex once a mark; the pairs of one key are different ones anyway. */
static enum status step_to(struct source *source, struct landing *landing,
                           uint64_t vertex)
{
    struct path *path = &source->path;
    struct arc arc = {
        .other = vertex,
        .weight = 1,
        .value = graph_nil,
        .backwards = landing->backwards,
    };

    if (!landing->set)
        return arc_offer(landing->arcs, &arc);
    if (path->terms[vertex - 1].mark == path->mark)
        return ST_OK;
    path->terms[vertex - 1].mark = path->mark;
    return reached_add(source->mem, landing->set, vertex);
}

/* Goes a step on from one vertex. */
static enum status step_from(struct source *source,
                             const struct source_step *step, uint64_t vertex,
                             struct landing *landing)
{
    struct path *path = &source->path;
    struct view view = {step->table, step->side, true, path_key(path, vertex)};
    struct element element;
    struct scan scan;
    uint64_t other;
    bool found;
    enum status st;

    scan_init(&scan, source->mem, &view, &all, false);
    do {
        st = scan_next(&scan, &element, &found);
        if (st < 0 || !found)
            break;
        st = budget_spend(source->budget);
        if (st == ST_OK)
            st = path_intern(source->mem, path, element.first, &other);
        if (st == ST_OK)
            st = step_to(source, landing, other);
    } while (st == ST_OK && !(landing->arcs && landing->arcs->done));
    scan_free(&scan);
    return st;
}

/* All that a path of several steps leads to from a vertex. */
static enum status path_walk(struct arcs *arcs, bool backwards)
{
    struct source *source = arcs->source;
    struct path *path = &source->path;
    struct reached *from = &path->reached[0], *to = &path->reached[1];
    enum status st;

    from->count = 0;
    st = reached_add(source->mem, from, arcs->vertex);
    for (size_t i = 0; i < path->count && st == ST_OK; i++) {
        struct source_step step = path_step(path, i, backwards);
        struct landing landing = {.set = to};
        struct reached *other = from;

        path->mark++;
        to->count = 0;
        for (size_t n = 0; n < from->count && st == ST_OK; n++)
            st = step_from(source, &step, from->vertices[n], &landing);
        from = to;
        to = other;
    }
    for (size_t i = 0; i < from->count && st == ST_OK && !arcs->done; i++) {
        struct arc arc = {
            .other = from->vertices[i],
            .weight = 1,
            .value = graph_nil,
            .backwards = backwards,
        };

        st = arc_offer(arcs, &arc);
    }
    return st;
}

static enum status path_arcs_of(struct arcs *arcs, bool backwards)
{
    struct source *source = arcs->source;
    const struct path *path = &source->path;
    struct landing landing = {.arcs = arcs, .backwards = backwards};
    struct source_step step;

    if (arcs->wanted->labels && !has_label(arcs->wanted, 0))
        return ST_OK;
    if (path->count > 1)
        return path_walk(arcs, backwards);
    step = path_step(path, 0, backwards);
    return step_from(source, &step, arcs->vertex, &landing);
}

static enum direction_of_edges direction_in(const struct source *source,
                                            const struct arcs_wanted *wanted)
{
    return source_is_undirected(source) ? EDGES_BOTH : wanted->direction;
}

enum status source_arcs(struct source *source, uint64_t vertex,
                        const struct arcs_wanted *wanted,
                        arc_function *function, void *context)
{
    struct arcs arcs = {
        .source = source,
        .wanted = wanted ? wanted : &wants_all,
        .function = function,
        .context = context,
        .vertex = vertex,
    };
    enum direction_of_edges direction = direction_in(source, arcs.wanted);
    enum status st = ST_OK;

    wanted = arcs.wanted;
    REQUIRE(source_has_direction(source, direction));
    arcs.plain = !wanted->weights && !wanted->values && !wanted->edges &&
                 !wanted->vertices && !wanted->vertex_labels &&
                 !wanted->degree_max;
    if (direction != EDGES_IN)
        st = source->is_graph ? graph_arcs_of(&arcs, GRAPH_OUT)
                              : path_arcs_of(&arcs, false);
    if (st == ST_OK && direction != EDGES_OUT && !arcs.done)
        st = source->is_graph ? graph_arcs_of(&arcs, GRAPH_IN)
                              : path_arcs_of(&arcs, true);
    return st;
}

/* --- arcs by their numbers ------------------------------------------------ */

bool source_numbers_arcs(const struct source *source,
                         const struct arcs_wanted *wanted)
{
    return source->is_graph && !wanted->weights && !wanted->values &&
           !wanted->edges && !wanted->vertices && !wanted->vertex_labels &&
           !wanted->degree_max && (!wanted->labels || wanted->label_count == 1);
}

static uint64_t wanted_label(const struct arcs_wanted *wanted)
{
    return wanted->labels ? wanted->labels[0] : GRAPH_LABEL_ANY;
}

uint64_t source_arc_count(const struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted)
{
    enum direction_of_edges direction = direction_in(source, wanted);
    uint64_t label = wanted_label(wanted);
    uint64_t count = 0;

    REQUIRE(source_numbers_arcs(source, wanted));
    if (direction != EDGES_IN)
        count += graph_degree(&source->graph, GRAPH_OUT, vertex, label);
    if (direction != EDGES_OUT)
        count += graph_degree(&source->graph, GRAPH_IN, vertex, label);
    return count;
}

enum status source_arc_at(struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted, uint64_t number,
                          struct arc *ret)
{
    enum direction_of_edges direction = direction_in(source, wanted);
    enum graph_part side = direction == EDGES_IN ? GRAPH_IN : GRAPH_OUT;
    uint64_t label = wanted_label(wanted);
    struct graph_arcs walk;
    struct graph_arc arc;
    bool found;
    enum status st = budget_spend(source->budget);

    if (direction == EDGES_BOTH) {
        uint64_t out = graph_degree(&source->graph, GRAPH_OUT, vertex, label);

        side = number < out ? GRAPH_OUT : GRAPH_IN;
        number -= side == GRAPH_IN ? out : 0;
    }
    if (st < 0)
        return st;
    graph_arcs_init(&walk, &source->graph, side, vertex, label, &source->entry);
    graph_arcs_skip(&walk, number);
    st = graph_arcs_next(&walk, &arc, &found);
    if (st < 0)
        return st;
    REQUIRE(found);
    *ret = (struct arc){
        .other = arc.other,
        .label = arc.label,
        .weight = 1,
        .value = graph_nil,
        .backwards = side == GRAPH_IN,
    };
    return ST_OK;
}

/* --- degrees -------------------------------------------------------------- */

struct counted {
    uint64_t vertex;
    bool loops_twice;
    uint64_t count;
};

static enum status count_arc(void *context, const struct arc *arc)
{
    struct counted *counted = context;

    counted->count +=
        1 + (counted->loops_twice && arc->other == counted->vertex);
    return ST_OK;
}

static uint64_t side_degree(const struct source *source, uint64_t vertex,
                            enum graph_part side,
                            const struct arcs_wanted *wanted)
{
    uint64_t count = 0;

    if (!wanted->labels)
        return graph_degree(&source->graph, side, vertex, GRAPH_LABEL_ANY);
    for (size_t i = 0; i < wanted->label_count; i++)
        count += graph_degree(&source->graph, side, vertex, wanted->labels[i]);
    return count;
}

/* Of a path of one step the trees know it, too. */
static uint64_t step_degree(const struct source *source, uint64_t vertex,
                            bool backwards, const struct arcs_wanted *wanted)
{
    const struct source_step *step = &source->path.steps[0];
    struct view view = {step->table,
                        backwards ? side_other(step->side) : step->side, true,
                        path_key(&source->path, vertex)};

    if (wanted->labels && !has_label(wanted, 0))
        return 0;
    return view_count(&view, &all, NULL);
}

bool source_knows_degrees(const struct source *source)
{
    return source->is_graph || source->path.count == 1;
}

enum status source_degree(struct source *source, uint64_t vertex,
                          const struct arcs_wanted *wanted, uint64_t *ret)
{
    struct counted counted = {vertex, source_is_undirected(source), 0};
    enum direction_of_edges direction;
    enum status st = ST_OK;

    if (!wanted)
        wanted = &wants_all;
    direction = direction_in(source, wanted);
    REQUIRE(source_has_direction(source, direction));
    if (wanted->edges || wanted->vertices || wanted->vertex_labels ||
        wanted->degree_max || !source_knows_degrees(source)) {
        st = source_arcs(source, vertex, wanted, count_arc, &counted);
    } else if (source->is_graph) {
        st = budget_spend(source->budget);
        if (direction != EDGES_IN)
            counted.count += side_degree(source, vertex, GRAPH_OUT, wanted);
        if (direction != EDGES_OUT)
            counted.count += side_degree(source, vertex, GRAPH_IN, wanted);
    } else {
        st = budget_spend(source->budget);
        if (direction != EDGES_IN)
            counted.count += step_degree(source, vertex, false, wanted);
        if (direction != EDGES_OUT)
            counted.count += step_degree(source, vertex, true, wanted);
    }
    if (st == ST_OK)
        *ret = counted.count;
    return st;
}
