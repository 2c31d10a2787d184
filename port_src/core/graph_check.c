/*
 * graph_check.c -- the digest of a graph from its parts, and whether these
 * agree.
 *
 * An edge is hashed with the keys of its ends, and the parts have ids. So all
 * keys are laid out first, in the order of ids, and found by the place that an
 * id has among them: the id itself less one if none is missing, and else by
 * bisection.
 *
 * That each edge is in both directions is seen from two sums of hashes, one for
 * each, as load.c does it for junctions: nothing is looked up.
 */
#include <stdio.h>

#include "core/etf.h"
#include "core/graph_internal.h"

struct names {
    struct mem *mem;
    uint64_t count;
    uint64_t *ids;     /* ascending */
    uint64_t *offsets; /* count + 1, into `keys` */
    struct buffer keys;
};

static void names_free(struct names *names)
{
    mem_free(names->mem, names->ids, (names->count + 1) * sizeof(uint64_t));
    mem_free(names->mem, names->offsets, (names->count + 1) * sizeof(uint64_t));
    buffer_free(&names->keys);
}

/* The keys of the terms that a part has by ids. */
static enum status names_read(struct mem *mem, const struct table *part,
                              struct names *names)
{
    const struct tree_root *root = &part->trees[SIDE_FWD].root;
    struct tree_entry entry = {.buffer = BUFFER(mem)};
    struct tree_cursor cursor;
    enum status st = ST_OK;
    uint64_t i = 0;

    *names =
        (struct names){.mem = mem, .count = root->count, .keys = BUFFER(mem)};
    names->ids = mem_alloc(mem, (root->count + 1) * sizeof(uint64_t));
    names->offsets = mem_alloc(mem, (root->count + 1) * sizeof(uint64_t));
    if (!names->ids || !names->offsets) {
        st = mem_status(mem);
        goto done;
    }
    for (bool more = tree_cursor_select(&cursor, root, 0); more;
         more = tree_cursor_next(&cursor), i++) {
        st = tree_cursor_read(&cursor, &entry);
        names->offsets[i] = names->keys.size;
        if (st == ST_OK)
            st = key_encode(entry.value, &names->keys);
        if (st < 0)
            goto done;
        names->ids[i] = graph_decode_id(entry.key.first.data);
    }
    names->offsets[i] = names->keys.size;

done:
    buffer_free(&entry.buffer);
    if (st < 0)
        names_free(names);
    return st;
}

/* The key of an id; false if there is none. */
static bool names_find(const struct names *names, uint64_t id,
                       struct bytes *ret)
{
    uint64_t low = 0;
    uint64_t high = names->count;

    if (id && id <= names->count && names->ids[id - 1] == id)
        low = id - 1;
    else
        while (low < high) {
            uint64_t middle = low + (high - low) / 2;

            if (names->ids[middle] < id)
                low = middle + 1;
            else
                high = middle;
        }
    if (low >= names->count || names->ids[low] != id)
        return false;
    *ret = bytes_of(names->keys.data + names->offsets[low],
                    names->offsets[low + 1] - names->offsets[low]);
    return true;
}

/* A walk over the rows of a part beside that over what they belong to. */
struct rows {
    struct tree_cursor cursor;
    struct tree_entry entry;
    bool more;
};

static enum status rows_read(struct rows *rows)
{
    return rows->more ? tree_cursor_read(&rows->cursor, &rows->entry) : ST_OK;
}

static enum status rows_begin(struct rows *rows, struct mem *mem,
                              const struct table *part)
{
    rows->entry = (struct tree_entry){.buffer = BUFFER(mem)};
    rows->more =
        tree_cursor_select(&rows->cursor, &part->trees[SIDE_FWD].root, 0);
    return rows_read(rows);
}

static enum status rows_next(struct rows *rows)
{
    rows->more = tree_cursor_next(&rows->cursor);
    return rows_read(rows);
}

/* The value of a row, if the next one has this key; it is then behind it. */
static enum status rows_take(struct rows *rows, struct bytes key,
                             struct buffer *out, uint64_t *taken)
{
    enum status st;

    if (!rows->more || !bytes_equal(rows->entry.key.first, key))
        return buffer_append(out, graph_nil);
    st = buffer_append(out, rows->entry.value);
    (*taken)++;
    return st < 0 ? st : rows_next(rows);
}

struct sum {
    struct mem *mem;
    struct graph graph;
    struct names vertices;
    struct names labels;
    struct digest digest;
    struct digest sides[2]; /* of (from, label, to), out and in */
    struct buffer value;
    struct buffer list;
    struct buffer scratch;
    struct buffer note;
    const char *why; /* what the parts do not agree in */
};

static enum status disagree(struct sum *sum, const char *why)
{
    sum->why = why;
    return ST_LOG_REFUSED;
}

static enum status sum_vertices(struct sum *sum)
{
    const struct table *part = sum->graph.parts[GRAPH_VERTEX_VALUES];
    uint64_t taken = 0;
    struct rows values;
    enum status st = rows_begin(&values, sum->mem, part);

    for (uint64_t i = 0; st == ST_OK && i < sum->vertices.count; i++) {
        uint8_t room[GRAPH_ID_BYTES_MAX];
        uint64_t id = sum->vertices.ids[i];
        struct bytes key =
            bytes_of(sum->vertices.keys.data + sum->vertices.offsets[i],
                     sum->vertices.offsets[i + 1] - sum->vertices.offsets[i]);
        uint64_t found;

        if (!graph_find(&sum->graph, key, &found) || found != id) {
            st = disagree(sum, "a vertex is not found by its term");
            break;
        }
        sum->value.size = 0;
        sum->list.size = 0;
        sum->note.size = 0;
        st = rows_take(&values, graph_id_key(room, id), &sum->value, &taken);
        if (st == ST_OK)
            st =
                graph_put_labels_of(&sum->graph, id, &sum->scratch, &sum->list);
        if (st == ST_OK)
            st = graph_put_vertex_note(&sum->note, buffer_bytes(&sum->list),
                                       buffer_bytes(&sum->value));
        digest_add(&sum->digest, digest_element(key, buffer_bytes(&sum->note)));
    }
    buffer_free(&values.entry.buffer);
    if (st == ST_OK && taken != table_count(part))
        return disagree(sum, "a value belongs to no vertex");
    if (st == ST_OK &&
        table_count(sum->graph.parts[GRAPH_VERTEX_IDS]) != sum->vertices.count)
        return disagree(sum, "a term stands for no vertex");
    return st;
}

static struct digest edge_hash(uint64_t from, uint64_t label, uint64_t to)
{
    uint64_t edge[3] = {from, label, to};

    return digest_bytes(bytes_of(edge, sizeof(edge)));
}

/* The edges as the in side has them. */
static enum status sum_in(struct sum *sum)
{
    const struct tree_root *root =
        &sum->graph.parts[GRAPH_IN]->trees[SIDE_FWD].root;
    struct tree_entry entry = {.buffer = BUFFER(sum->mem)};
    struct tree_cursor cursor;
    enum status st = ST_OK;

    for (bool more = tree_cursor_select(&cursor, root, 0); more;
         more = tree_cursor_next(&cursor)) {
        struct graph_arc arc;
        uint64_t to;

        st = tree_cursor_read(&cursor, &entry);
        if (st < 0)
            break;
        to = graph_decode_id(entry.key.first.data);
        arc = graph_decode_arc(entry.key.second.data);
        digest_add(&sum->sides[1], edge_hash(arc.other, arc.label, to));
    }
    buffer_free(&entry.buffer);
    if (st == ST_OK && !digest_equal(sum->sides[0], sum->sides[1]))
        return disagree(sum, "the two directions differ");
    return st;
}

static enum status sum_edge(struct sum *sum, uint64_t from,
                            const struct graph_arc *arc)
{
    static const uint8_t nil_key[] = {0xAB};
    struct bytes label = bytes_of(nil_key, sizeof(nil_key));
    struct bytes ends[2];
    double weight;
    bool swaps;
    enum status st;

    if (!names_find(&sum->vertices, from, &ends[0]) ||
        !names_find(&sum->vertices, arc->other, &ends[1]))
        return disagree(sum, "an edge has an end that is no vertex");
    if (arc->label && !names_find(&sum->labels, arc->label, &label))
        return disagree(sum, "an edge has a label that is none");
    if (sum->graph.options.undirected && from > arc->other)
        return disagree(sum, "an undirected edge is the wrong way round");
    digest_add(&sum->sides[0], edge_hash(from, arc->label, arc->other));
    if (!graph_weight(&sum->graph.options, buffer_bytes(&sum->value), &weight))
        return disagree(sum, "the value of an edge gives no weight");
    swaps = graph_swaps(&sum->graph.options, ends[0], ends[1]);
    sum->note.size = 0;
    st = graph_put_edge_note(&sum->note, ends[!swaps], label,
                             buffer_bytes(&sum->value));
    digest_add(&sum->digest,
               digest_element(ends[swaps], buffer_bytes(&sum->note)));
    return st;
}

static enum status sum_edges(struct sum *sum)
{
    const struct table *part = sum->graph.parts[GRAPH_EDGE_VALUES];
    struct tree_entry entry = {.buffer = BUFFER(sum->mem)};
    struct graph_walk walk;
    struct rows values;
    uint64_t taken = 0;
    bool found = true;
    enum status st = rows_begin(&values, sum->mem, part);

    graph_edges_init(&walk, &sum->graph, 0, NULL, &entry);
    while (st == ST_OK) {
        uint8_t room[EDGE_KEY_BYTES_MAX];
        struct graph_arc arc;
        uint64_t from;

        st = graph_edges_next(&walk, &from, &arc, &found);
        if (st < 0 || !found)
            break;
        sum->value.size = 0;
        st = rows_take(&values, graph_edge_key(room, from, arc), &sum->value,
                       &taken);
        if (st == ST_OK)
            st = sum_edge(sum, from, &arc);
    }
    buffer_free(&values.entry.buffer);
    buffer_free(&entry.buffer);
    if (st == ST_OK && taken != table_count(part))
        return disagree(sum, "a value belongs to no edge");
    return st < 0 ? st : sum_in(sum);
}

static enum status sum_contracted(struct sum *sum)
{
    struct rows rows;
    enum status st =
        rows_begin(&rows, sum->mem, sum->graph.parts[GRAPH_CONTRACTED]);

    while (st == ST_OK && rows.more) {
        uint64_t id;

        sum->note.size = 0;
        if (!graph_find(&sum->graph, rows.entry.key.first, &id)) {
            st = disagree(sum, "what stands for others is no vertex");
            break;
        }
        st = graph_put_contracted_note(&sum->note, rows.entry.value);
        digest_add(&sum->digest, digest_element(rows.entry.key.first,
                                                buffer_bytes(&sum->note)));
        if (st == ST_OK)
            st = rows_next(&rows);
    }
    buffer_free(&rows.entry.buffer);
    return st;
}

static enum status sum_up(const struct store *store, const struct table *table,
                          struct sum *sum)
{
    struct mem *mem = store->mem;
    enum status st;

    *sum = (struct sum){
        .mem = mem,
        .value = BUFFER(mem),
        .list = BUFFER(mem),
        .scratch = BUFFER(mem),
        .note = BUFFER(mem),
    };
    mem_exempt_begin(mem);
    st = graph_open(store, table, &sum->graph);
    if (st < 0) {
        sum->why = "a part is missing";
        goto done;
    }
    sum->digest = table_digest(sum->graph.parts[GRAPH_OPTIONS]);
    st = names_read(mem, sum->graph.parts[GRAPH_VERTICES], &sum->vertices);
    if (st < 0)
        goto done;
    st = names_read(mem, sum->graph.parts[GRAPH_LABELS], &sum->labels);
    if (st < 0) {
        names_free(&sum->vertices);
        goto done;
    }
    st = sum_vertices(sum);
    if (st == ST_OK)
        st = sum_edges(sum);
    if (st == ST_OK)
        st = sum_contracted(sum);
    names_free(&sum->labels);
    names_free(&sum->vertices);

done:
    buffer_free(&sum->value);
    buffer_free(&sum->list);
    buffer_free(&sum->scratch);
    buffer_free(&sum->note);
    mem_exempt_end(mem);
    return st;
}

enum status graph_settle(struct store *store, struct table *table)
{
    struct sum sum;
    enum status st = sum_up(store, table, &sum);

    if (st == ST_OK) {
        table->digest = sum.digest;
        graph_note_places(store, table);
    }
    return st;
}

bool graph_check(const struct store *store, const struct table *table,
                 char *why, size_t why_size)
{
    struct sum sum;
    enum status st = sum_up(store, table, &sum);

    if (st == ST_OK && digest_equal(sum.digest, table->digest))
        return true;
    if (why_size)
        snprintf(why, why_size, "graph: %s",
                 st == ST_OK ? "the digest is not that of the elements"
                 : sum.why   ? sum.why
                             : status_text(st));
    return false;
}
