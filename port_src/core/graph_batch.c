/*
 * graph_batch.c -- many edges put at once.
 *
 *     edges      a->b  c->a  b->c        as they come
 *     vertices   a a b b c c             all ends by their keys: ids
 *     out        1{2} 2{3} 3{1}          by the id of one end, then
 *     in         1{3} 2{1} 3{2}          by that of the other
 *
 * One edge after another would go down four trees, each time somewhere else.
 * So all ends are looked up first, then all edges are put on one side, then on
 * the other, each time in the order of the tree: the next key is in the page of
 * the last one or close behind it, and a path (tree.h) leads there.
 *
 * Numbers are sorted, not keys: the first sixteen bytes of a vertex, or its id
 * and what else there is in an arc. It need not be exact, for a tree takes keys
 * in any order: vertices with a longer beginning in common, and edges with more
 * labels than eleven bits can tell apart, cost a descent each.
 */
#include "core/graph_internal.h"

/* What is sorted: a number, and which edge or which end it is of. */
struct place {
    uint64_t word;
    uint32_t index;
};

/* The bits that a pass sorts by. */
#define DIGIT_BITS 11
#define DIGIT_COUNT (1u << DIGIT_BITS)

/* Edges lie all over the place in the order of a tree: those that are so far
 * ahead are fetched. */
#define AHEAD 8

struct batch {
    struct graph_writer *writer;
    struct graph_edge *edges;
    size_t count;
    struct place *places;  /* room for two for each edge .. */
    struct place *reserve; /* .. and the same again */
    size_t *index;         /* of the edge at hand */
};

/* --- an order ------------------------------------------------------------- */

/* The bits in which the words differ. */
static uint64_t places_differ(const struct place *places, size_t count)
{
    uint64_t differ = 0;

    for (size_t i = 1; i < count; i++)
        differ |= places[i].word ^ places[0].word;
    return differ;
}

/* One pass of counting; equal ones keep their order. */
static void sort_digit(const struct place *from, struct place *to, size_t count,
                       unsigned shift)
{
    uint32_t starts[DIGIT_COUNT] = {0};
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++)
        starts[from[i].word >> shift & (DIGIT_COUNT - 1)]++;
    for (unsigned i = 0; i < DIGIT_COUNT; i++) {
        uint32_t size = starts[i];

        starts[i] = sum;
        sum += size;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].word >> shift & (DIGIT_COUNT - 1)]++] = from[i];
}

/* For few, for which a pass would mostly count digits that nobody has. */
static void sort_few(struct place *places, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct place place = places[i];
        size_t at = i;

        for (; at > 0 && places[at - 1].word > place.word; at--)
            places[at] = places[at - 1];
        places[at] = place;
    }
}

/* Sorts batch->places by their words. Equal ones keep their order. */
static void sort_places(struct batch *batch, size_t count)
{
    uint64_t differ = places_differ(batch->places, count);
    unsigned shift = 0;

    if (count <= 64) {
        sort_few(batch->places, count);
        return;
    }
    while (differ >> shift) {
        struct place *sorted = batch->reserve;

        shift += (unsigned)__builtin_ctzll(differ >> shift);
        sort_digit(batch->places, sorted, count, shift);
        batch->reserve = batch->places;
        batch->places = sorted;
        shift += DIGIT_BITS;
        if (shift >= 64)
            break;
    }
}

/* --- vertices and labels -------------------------------------------------- */

/* Of the ends of an edge the first has an even number. */
static struct bytes end_key(const struct batch *batch, uint32_t index)
{
    const struct graph_edge *edge = &batch->edges[index / 2];

    return index % 2 ? edge->to : edge->from;
}

/* Eight bytes of a key, zeros behind its end. */
static uint64_t key_word(struct bytes key, size_t from)
{
    uint8_t eight[8] = {0};

    if (key.size >= from + 8)
        return load_be64(key.data + from);
    if (key.size > from)
        memcpy(eight, key.data + from, key.size - from);
    return load_be64(eight);
}

/* Puts all ends in the order of their first sixteen bytes. */
static void sort_ends(struct batch *batch)
{
    size_t count = 2 * batch->count;
    bool longer = false;

    for (uint32_t i = 0; i < count; i++) {
        struct bytes key = end_key(batch, i);

        batch->places[i] = (struct place){key_word(key, 8), i};
        longer |= key.size > 8;
    }
    if (longer)
        sort_places(batch, count);
    for (size_t i = 0; i < count; i++) {
        struct place *place = &batch->places[i];

        place->word = key_word(end_key(batch, place->index), 0);
    }
    sort_places(batch, count);
}

/* The ids of all ends. Those of one vertex mostly stand together. */
static enum status batch_ids(struct batch *batch)
{
    size_t count = 2 * batch->count;
    struct graph_id_paths paths;
    struct bytes last = NONE;
    uint64_t id = 0;
    enum status st = ST_OK;

    sort_ends(batch);
    graph_id_paths_init(&paths);
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint32_t index = batch->places[i].index;
        struct bytes key = end_key(batch, index);

        if (i + AHEAD < count)
            __builtin_prefetch(
                &batch->edges[batch->places[i + AHEAD].index / 2]);
        *batch->index = index / 2;
        if (!last.size || !bytes_equal(last, key))
            st = graph_vertex_id(batch->writer, &paths, key, &id);
        last = key;
        batch->edges[index / 2].ids[index % 2] = id;
    }
    return st;
}

static enum status batch_labels(struct batch *batch)
{
    struct bytes last = NONE;
    uint64_t id = 0;
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < batch->count; i++) {
        struct graph_edge *edge = &batch->edges[i];

        *batch->index = i;
        st = graph_check_weight(batch->writer, edge->from, edge->value);
        if (graph_is_nil(edge->value)) /* in one of its forms */
            edge->value = graph_nil;
        if (st == ST_OK && (!last.size || !bytes_equal(last, edge->label)))
            st = graph_label_id(batch->writer, edge->label, &id);
        last = edge->label;
        edge->ids[2] = id;
    }
    return st;
}

/* --- edges ---------------------------------------------------------------- */

static struct graph_kept_edge kept_edge(const struct batch *batch,
                                        const struct graph_edge *edge)
{
    return graph_keep_edge(&batch->writer->options, edge->ids[0], edge->ids[1],
                           edge->ids[2]);
}

/* The bits of an arc behind a vertex. */
static uint64_t arc_word(uint64_t other, uint64_t label)
{
    return label << 53 | other;
}

/* Puts the edges of a side in the order of its tree; says how many. */
static size_t sort_side(struct batch *batch, enum graph_part side)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct graph_kept_edge edge = kept_edge(batch, &batch->edges[i]);
        uint64_t other = side == GRAPH_OUT ? edge.arc.other : edge.from;

        if (side == GRAPH_OUT || batch->edges[i].inserted)
            batch->places[count++] =
                (struct place){arc_word(other, edge.arc.label), (uint32_t)i};
    }
    sort_places(batch, count);
    for (size_t i = 0; i < count; i++) {
        struct place *place = &batch->places[i];
        struct graph_kept_edge edge =
            kept_edge(batch, &batch->edges[place->index]);

        place->word = side == GRAPH_OUT ? edge.from : edge.arc.other;
    }
    sort_places(batch, count);
    return count;
}

static enum status put_on_side(struct batch *batch, enum graph_part side,
                               struct tree_path *path, struct graph_edge *edge,
                               uint64_t *ret_count)
{
    enum outcome outcome = OUTCOME_EXISTS;
    enum status st;

    if (side == GRAPH_IN)
        return graph_put_in(batch->writer, path, kept_edge(batch, edge));
    st = graph_put_out(batch->writer, path, kept_edge(batch, edge), edge->from,
                       edge->to, edge->label, edge->value, &outcome);
    edge->inserted = outcome == OUTCOME_INSERTED;
    *ret_count += outcome != OUTCOME_EXISTS;
    return st;
}

static enum status batch_side(struct batch *batch, enum graph_part side,
                              uint64_t *ret_count)
{
    size_t count = sort_side(batch, side);
    struct tree_path path;
    enum status st = ST_OK;

    path.depth = 0;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint32_t index = batch->places[i].index;

        if (i + AHEAD < count) {
            const struct graph_edge *ahead =
                &batch->edges[batch->places[i + AHEAD].index];

            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead->ids);
        }
        *batch->index = index;
        st = put_on_side(batch, side, &path, &batch->edges[index], ret_count);
    }
    return st;
}

enum status graph_put_edges(struct graph_writer *writer,
                            struct graph_edge *edges, size_t count,
                            uint64_t *ret_count, size_t *ret_index)
{
    struct mem *mem = writer->store->mem;
    struct batch batch = {
        .writer = writer, .edges = edges, .count = count, .index = ret_index};
    size_t bytes = 4 * count * sizeof(*batch.places);
    struct place *places;
    enum status st;

    *ret_count = 0;
    *ret_index = 0;
    if (!count)
        return ST_OK;
    REQUIRE(count <= UINT32_MAX / 2);
    places = mem_alloc(mem, bytes);
    if (!places)
        return mem_status(mem);
    batch.places = places;
    batch.reserve = places + 2 * count;
    st = batch_labels(&batch);
    if (st == ST_OK)
        st = batch_ids(&batch);
    if (st == ST_OK)
        st = batch_side(&batch, GRAPH_OUT, ret_count);
    if (st == ST_OK)
        st = batch_side(&batch, GRAPH_IN, ret_count);
    mem_free(mem, places, bytes);
    return st;
}
