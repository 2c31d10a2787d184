/*
 * project.c -- a graph table as arrays, in one pass over its trees.
 *
 *     vertices   id -> term     ids ascend: the n-th one is vertex n
 *     out        id -> arcs     rows of pages, decoded where they lie
 *     edge_values               in the order of out: read alongside
 *
 * Ids become numbers by taking one off as long as no vertex was deleted, then
 * by one look into an array, and when most of them have gone by bisection. What
 * has to be hashed is each vertex once, so that its number can be found by its
 * term later.
 *
 * Edges of a vertex come by label and then by id. With several labels they are
 * several ascending runs, which are sorted when the vertex is complete.
 */
#include "graph/project.h"

#include <stdlib.h>

#include "core/digest.h"
#include "core/etf.h"
#include "core/key.h"
#include "graph/image.h"

/* A map from ids to numbers; NO_VERTEX: none. */
struct numbers {
    uint64_t count; /* of `ids` */
    uint64_t *ids;  /* ascending; of vertex i */
    uint32_t *direct;
    uint64_t direct_count;
    bool whole; /* ids are 1 to count */
};

static uint32_t search_number(const struct numbers *numbers, uint64_t id)
{
    uint64_t low = 0;
    uint64_t high = numbers->count;

    if (numbers->direct)
        return id < numbers->direct_count ? numbers->direct[id] : NO_VERTEX;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (numbers->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < numbers->count && numbers->ids[low] == id ? (uint32_t)low
                                                           : NO_VERTEX;
}

static inline uint32_t number_of(const struct numbers *numbers, uint64_t id)
{
    if (__builtin_expect(numbers->whole, 1))
        return id <= numbers->count ? (uint32_t)id - 1 : NO_VERTEX;
    return search_number(numbers, id);
}

static void numbers_free(struct run *run, struct numbers *numbers,
                         uint64_t room)
{
    run_free(run, numbers->ids, room, sizeof(*numbers->ids));
    run_free(run, numbers->direct, numbers->direct_count,
             sizeof(*numbers->direct));
}

/* --- vertices ------------------------------------------------------------- */

static bool is_wanted(const struct graph *graph, uint64_t id,
                      const struct project_spec *spec)
{
    if (!spec->vertex_labels)
        return true;
    for (size_t i = 0; i < spec->vertex_label_count; i++)
        if (graph_has_label(graph, id, spec->vertex_labels[i]))
            return true;
    return false;
}

/* Keeps the ids and the keys of all vertices that are wanted. */
static enum status read_vertices(struct run *run, const struct graph *graph,
                                 const struct project_spec *spec,
                                 struct numbers *numbers,
                                 struct image_maker *maker)
{
    struct tree_entry entry = {.buffer = BUFFER(run->mem)};
    struct graph_walk walk;
    uint64_t count = 0;
    bool found;
    enum status st = ST_OK;

    graph_vertices_init(&walk, graph, 0, &entry);
    for (;;) {
        struct bytes term;
        uint64_t id;

        if (count++ % 4096 == 0)
            st = run_check(run);
        if (st == ST_OK)
            st = graph_vertices_next(&walk, &id, &term, &found);
        if (st < 0 || !found)
            break;
        if (!is_wanted(graph, id, spec))
            continue;
        numbers->ids[numbers->count++] = id;
        st = image_maker_add(maker, term);
        if (st < 0)
            break;
    }
    buffer_free(&entry.buffer);
    return st;
}

/* Ids are found directly while at least a quarter of them is in use. */
static enum status make_direct(struct run *run, struct numbers *numbers)
{
    uint64_t last = numbers->count ? numbers->ids[numbers->count - 1] : 0;
    enum status st;

    numbers->whole = last == numbers->count;
    if (numbers->whole || last > 4 * numbers->count + 1024)
        return ST_OK;
    numbers->direct = run_alloc(run, last + 1, sizeof(*numbers->direct));
    if (!numbers->direct)
        return run_memory_status(run);
    numbers->direct_count = last + 1;
    st = run_fill(run, numbers->direct, 0xFF,
                  (last + 1) * sizeof(*numbers->direct));
    for (uint64_t i = 0; i < numbers->count && st == ST_OK; i++) {
        numbers->direct[numbers->ids[i]] = (uint32_t)i;
        if (i % RUN_CHECK_WORK == 0)
            st = run_check(run);
    }
    return st;
}

/* --- edges ---------------------------------------------------------------- */

/* One direction in the making. */
struct edges {
    struct run *run;
    const struct graph *graph;
    const struct project_spec *spec;
    const struct numbers *numbers;
    struct csr csr;
    uint64_t room; /* for entries */
    uint64_t used;
    uint32_t at;  /* the vertex whose entries are being read */
    bool sorted;  /* so far, of this vertex */
    bool skipped; /* this vertex is not wanted */

    /* Weights, alongside. */
    double *weights; /* NULL: none */
    struct tree_cursor values;
    struct tree_entry value;
    bool more_values;
};

static bool label_wanted(const struct project_spec *spec, uint64_t label)
{
    if (!spec->labels)
        return true;
    for (size_t i = 0; i < spec->label_count; i++)
        if (spec->labels[i] == label)
            return true;
    return false;
}

struct entry {
    uint32_t target;
    double weight;
};

static int by_target(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;

    return (x->target > y->target) - (x->target < y->target);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Sorts the entries of one vertex, with their weights. */
static enum status sort_entries(struct edges *edges, uint64_t begin,
                                uint64_t end)
{
    struct run *run = edges->run;
    uint32_t *targets = edges->csr.targets;
    struct entry *pairs;

    if (!edges->weights) {
        qsort(targets + begin, end - begin, sizeof(*targets), by_number);
        return ST_OK;
    }
    pairs = run_alloc(run, end - begin, sizeof(*pairs));
    if (!pairs)
        return run_memory_status(run);
    for (uint64_t i = begin; i < end; i++)
        pairs[i - begin] = (struct entry){targets[i], edges->weights[i]};
    qsort(pairs, end - begin, sizeof(*pairs), by_target);
    for (uint64_t i = begin; i < end; i++) {
        targets[i] = pairs[i - begin].target;
        edges->weights[i] = pairs[i - begin].weight;
    }
    run_free(run, pairs, end - begin, sizeof(*pairs));
    return ST_OK;
}

/* Ends the vertex that is being read, and those without edges before `next`. */
static enum status edges_close(struct edges *edges, uint32_t next)
{
    enum status st = ST_OK;

    if (!edges->sorted)
        st = sort_entries(edges, edges->csr.offsets[edges->at], edges->used);
    for (uint32_t v = edges->at; v < next; v++)
        edges->csr.offsets[v + 1] = edges->used;
    edges->at = next;
    edges->sorted = true;
    return st;
}

/* From now on entries are those of the vertex with this id. */
static enum status edges_open(struct edges *edges, uint64_t id)
{
    uint32_t next = number_of(edges->numbers, id);

    edges->skipped = next == NO_VERTEX;
    return edges->skipped ? ST_OK : edges_close(edges, next);
}

/* The weight of the edge (id, arc), whose row is next if it has one. */
static enum status read_weight(struct edges *edges, uint64_t id,
                               struct graph_arc arc, double *ret)
{
    enum status st = ST_OK;

    *ret = 1;
    while (st == ST_OK && edges->more_values) {
        const uint8_t *key = edges->value.key.first.data;
        struct graph_arc there;
        uint64_t from;

        graph_decode_edge(key, &from, &there);
        if (from == id && there.label == arc.label &&
            there.other == arc.other) {
            graph_weight(&edges->graph->options, edges->value.value, ret);
        } else if (from > id || (from == id && (there.label > arc.label ||
                                                (there.label == arc.label &&
                                                 there.other > arc.other)))) {
            break;
        }
        edges->more_values = tree_cursor_next(&edges->values);
        if (edges->more_values)
            st = tree_cursor_read(&edges->values, &edges->value);
        if (from == id && there.label == arc.label && there.other == arc.other)
            break;
    }
    return st;
}

static inline enum status edges_add(struct edges *edges, uint64_t id,
                                    struct graph_arc arc)
{
    uint32_t target = number_of(edges->numbers, arc.other);
    uint64_t used = edges->used;
    enum status st;

    if (edges->spec->labels && !label_wanted(edges->spec, arc.label))
        return ST_OK;
    if (target == NO_VERTEX)
        return ST_OK;
    if (used == edges->room) /* the count that it was made with was wrong */
        return ST_LOG_REFUSED;
    if (edges->weights) {
        st = read_weight(edges, id, arc, &edges->weights[used]);
        if (st < 0)
            return st;
    }
    if (used > edges->csr.offsets[edges->at] &&
        target < edges->csr.targets[used - 1])
        edges->sorted = false;
    edges->csr.targets[used] = target;
    edges->used = used + 1;
    return ST_OK;
}

/* The integer that `size` bytes from `p` on are; 8 may be read. */
static inline uint64_t load_tail(const uint8_t *p, unsigned size)
{
    return size ? load_be64(p) >> (64 - 8 * size) : 0;
}

/* The first bytes of a row, at most eight of them; to tell it from the next. */
static inline uint64_t load_head(const uint8_t *p, uint32_t size)
{
    return size < 8 ? load_tail(p, size) : load_be64(p);
}

/*
 * The usual run: arcs without a label, whose first bytes (the mark, and maybe
 * some of the number) stand in the infix or in the row. `*ret_tail` tells how
 * many bytes of the number are in a row, `*ret_base` what stands before them.
 */
static bool is_plain(const struct tree_run *run, unsigned *ret_tail,
                     uint64_t *ret_base)
{
    unsigned size;

    if (!run->infix.size || run->infix.data[0] < 0x99 ||
        run->infix.data[0] > 0x9F)
        return false;
    size = run->infix.data[0] - 0x99u + 1;
    if (run->infix.size - 1 > size)
        return false;
    *ret_tail = size - (unsigned)(run->infix.size - 1);
    *ret_base = 0;
    for (size_t i = 1; i < run->infix.size; i++)
        *ret_base = *ret_base << 8 | run->infix.data[i];
    *ret_base <<= 8 * *ret_tail;
    return true;
}

static inline struct graph_arc row_arc(const struct tree_run *run,
                                       const uint8_t *row)
{
    uint8_t key[GRAPH_ARC_BYTES_MAX + 8];

    if (!run->infix.size) {
        if (*row < 0x99)
            return (struct graph_arc){(uint64_t)(*row - 0x19), 0};
        if (*row <= 0x9F)
            return (struct graph_arc){load_tail(row + 1, *row - 0x98u), 0};
    }
    memcpy(key, run->infix.data, run->infix.size);
    memcpy(key + run->infix.size, row, run->second_width);
    return graph_decode_arc(key);
}

static enum status add_run(struct edges *edges, const struct tree_run *run)
{
    uint8_t first[2 * GRAPH_ID_BYTES_MAX];
    const uint8_t *row = run->rows;
    uint32_t width = run->first_width;
    bool plain;
    unsigned tail = 0;
    uint64_t base = 0;
    uint64_t last = 0;
    uint64_t id = 0;
    enum status st = ST_OK;

    plain = is_plain(run, &tail, &base);
    memcpy(first, run->prefix.data, run->prefix.size);
    for (uint32_t i = 0; st == ST_OK && i < run->count;
         i++, row += run->stride) {
        const uint8_t *second = row + width;
        uint64_t head = load_head(row, width);

        if (i == 0 || head != last ||
            (width > 8 && memcmp(first + run->prefix.size, row, width) != 0)) {
            last = head;
            memcpy(first + run->prefix.size, row, width);
            id = graph_decode_id(first);
            st = edges_open(edges, id);
            if (st < 0)
                break;
        }
        if (edges->skipped)
            continue;
        if (plain)
            st = edges_add(
                edges, id,
                (struct graph_arc){base | load_tail(second, tail), 0});
        else
            st = edges_add(edges, id, row_arc(run, second));
    }
    return st;
}

/* Pages without rows of one width: key by key. */
static enum status add_slow(struct edges *edges, struct tree_cursor *cursor,
                            struct tree_entry *entry)
{
    enum status st = tree_cursor_read(cursor, entry);
    uint64_t id;

    if (st < 0)
        return st;
    tree_cursor_next(cursor);
    id = graph_decode_id(entry->key.first.data);
    st = edges_open(edges, id);
    if (st < 0 || edges->skipped)
        return st;
    return edges_add(edges, id, graph_decode_arc(entry->key.second.data));
}

static enum status read_side(struct edges *edges, enum graph_part side)
{
    const struct tree_root *root =
        table_root(edges->graph->parts[side], SIDE_FWD);
    struct tree_entry entry = {.buffer = BUFFER(edges->run->mem)};
    struct tree_cursor cursor;
    uint64_t work = RUN_CHECK_WORK;
    enum status st = ST_OK;

    tree_cursor_select(&cursor, root, 0);
    while (st == ST_OK && cursor.depth) {
        struct tree_run run = {.count = 1};

        if (tree_cursor_run(&cursor, &run)) {
            st = add_run(edges, &run);
            tree_cursor_skip_run(&cursor);
        } else {
            st = add_slow(edges, &cursor, &entry);
        }
        work += run.count;
        if (st == ST_OK && work >= RUN_CHECK_WORK) {
            st = run_check(edges->run);
            run_progress(edges->run, edges->used, edges->room);
            work = 0;
        }
    }
    if (st == ST_OK)
        st = edges_close(edges, edges->csr.n);
    buffer_free(&entry.buffer);
    return st;
}

/* Gives the weights that were read the smallest form. */
static enum status settle_weights(struct edges *edges)
{
    struct run *run = edges->run;
    struct csr *csr = &edges->csr;
    bool whole = true;

    for (uint64_t e = 0; e < csr->m && whole; e++)
        whole = edges->weights[e] >= 0 && edges->weights[e] <= UINT32_MAX &&
                edges->weights[e] == (uint32_t)edges->weights[e];
    if (!whole) {
        csr->weights_f64 = edges->weights;
        edges->weights = NULL;
        csr->form = WEIGHTS_F64;
        return ST_OK;
    }
    csr->weights_u32 = run_alloc(run, csr->m, sizeof(uint32_t));
    if (!csr->weights_u32)
        return run_memory_status(run);
    for (uint64_t e = 0; e < csr->m; e++)
        csr->weights_u32[e] = (uint32_t)edges->weights[e];
    csr->form = WEIGHTS_U32;
    return ST_OK;
}

/* Gives back the room that was not used. */
static void edges_cut(struct edges *edges)
{
    struct mem *mem = edges->run->mem;

    csr_cut(mem, &edges->csr, edges->used);
    if (edges->weights && edges->used < edges->room) {
        size_t used = edges->used * sizeof(double);

        mem_exempt_begin(mem);
        edges->weights =
            mem_grow(mem, edges->weights, edges->room * sizeof(double),
                     used > 0 ? used : 1);
        mem_exempt_end(mem);
        REQUIRE(edges->weights);
    }
    edges->room = edges->used;
}

/* Reads one side of the graph as a csr. */
static enum status side_csr(struct run *run, const struct graph *graph,
                            const struct project_spec *spec,
                            const struct numbers *numbers, enum graph_part side,
                            struct csr *ret)
{
    const struct table *values = graph->parts[GRAPH_EDGE_VALUES];
    bool weighted = spec->weights && graph->options.weight != WEIGHT_NONE &&
                    table_count(values) > 0;
    struct edges edges = {
        .run = run,
        .graph = graph,
        .spec = spec,
        .numbers = numbers,
        .csr = {.n = (uint32_t)numbers->count, .m = graph_edge_count(graph)},
        .room = graph_edge_count(graph),
        .sorted = true,
        .value = {.buffer = BUFFER(run->mem)},
    };
    enum status st = ST_OK;

    edges.csr.offsets =
        run_zalloc(run, (size_t)edges.csr.n + 1, sizeof(uint64_t));
    edges.csr.targets = run_alloc(run, edges.room, sizeof(uint32_t));
    if (weighted)
        edges.weights = run_alloc(run, edges.room, sizeof(double));
    if (!edges.csr.offsets || !edges.csr.targets ||
        (weighted && !edges.weights))
        st = run_memory_status(run);
    if (st == ST_OK && weighted) {
        edges.more_values =
            tree_cursor_select(&edges.values, table_root(values, SIDE_FWD), 0);
        if (edges.more_values)
            st = tree_cursor_read(&edges.values, &edges.value);
    }
    if (st == ST_OK)
        st = read_side(&edges, side);
    if (st == ST_OK)
        edges_cut(&edges);
    if (st == ST_OK && weighted)
        st = settle_weights(&edges);
    run_free(run, edges.weights, edges.room, sizeof(double));
    buffer_free(&edges.value.buffer);
    if (st < 0)
        csr_free(run->mem, &edges.csr);
    else
        *ret = edges.csr;
    return st;
}

/* --- the image ------------------------------------------------------------ */

/* What leads to each vertex, read off the in side, or by turning `out` round:
 * weights stand with the out side only. */
static enum status in_csr(struct run *run, const struct graph *graph,
                          const struct project_spec *spec,
                          const struct numbers *numbers, const struct csr *out,
                          struct csr *ret)
{
    if (out->form != WEIGHTS_ONE)
        return csr_transpose(run, out, ret);
    return side_csr(run, graph, spec, numbers, GRAPH_IN, ret);
}

static enum status make_csrs(struct run *run, const struct graph *graph,
                             const struct project_spec *spec,
                             const struct numbers *numbers, unsigned needs,
                             struct graph_image *image)
{
    bool undirected =
        graph->options.undirected || spec->direction == EDGES_BOTH;
    bool turned = spec->direction == EDGES_IN && !undirected;
    unsigned wanted = needs & (NEED_OUT | NEED_IN | NEED_BOTH);
    struct csr out = {0}, in = {0};
    bool want_in = undirected || turned || wanted & (NEED_IN | NEED_BOTH);
    enum status st = side_csr(run, graph, spec, numbers, GRAPH_OUT, &out);

    if (st == ST_OK && want_in)
        st = in_csr(run, graph, spec, numbers, &out, &in);
    image->edges = out.m;
    if (st == ST_OK && undirected) {
        image->undirected = true;
        st = image_both(run, &out, &in, true, &image->out);
    }
    if (st < 0 || undirected) {
        csr_free(run->mem, &out);
        csr_free(run->mem, &in);
        return st;
    }
    image->out = turned ? in : out;
    image->in = turned ? out : in;
    return image_complete(run, image, needs);
}

enum status image_of_graph(struct run *run, const struct graph *graph,
                           const struct project_spec *spec, unsigned needs,
                           struct graph_image *ret)
{
    uint64_t room = graph_vertex_count(graph);
    struct numbers numbers = {0};
    struct image_maker maker;
    struct graph_image image;
    enum status st;

    if (room > CSR_VERTICES_MAX)
        return ST_TOO_BIG;
    image_maker_init(&maker, run);
    numbers.ids = run_alloc(run, room, sizeof(*numbers.ids));
    st = numbers.ids ? image_maker_begin(&maker, room) : run_memory_status(run);
    if (st == ST_OK)
        st = read_vertices(run, graph, spec, &numbers, &maker);
    if (st == ST_OK)
        st = make_direct(run, &numbers);
    if (st == ST_OK)
        st = image_maker_finish(&maker, &image);
    else
        image_maker_abort(&maker);
    if (st == ST_OK) {
        st = make_csrs(run, graph, spec, &numbers, needs, &image);
        if (st < 0)
            image_free(&image);
    }
    numbers_free(run, &numbers, room);
    if (st == ST_OK)
        *ret = image;
    return st;
}
