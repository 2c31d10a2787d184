/*
 * graph_load_sort.c -- bringing a load into order.
 *
 * Edges are sorted by counting (LSD radix sort, Knuth 5.2.5) on as many bits
 * as there are vertices. It is stable, so of edges that are equal the last one
 * stands last, and the order by `to` needs only the passes for `to` once those
 * for `from` are done.
 *
 * Keys of vertices have no bound to their size. They go by eight bytes at a
 * time, and only those that agree are looked at again.
 */
#include "core/graph_load_internal.h"

#define DIGIT_BITS 11
#define DIGITS_MAX ((size_t)1 << DIGIT_BITS)

/* What is sorted by one function. */
_Static_assert(sizeof(struct put) == sizeof(struct arc), "16 bytes each");
_Static_assert(sizeof(struct ordered) == sizeof(struct arc), "16 bytes each");

/* --- sorting -------------------------------------------------------------- */

/*
 * One pass: by `bits` bits of the 32-bit field at `field` of each record.
 * False if all have the same there, and nothing was moved.
 */
static inline __attribute__((always_inline)) bool
radix_pass(const uint8_t *from, uint8_t *to, size_t count, size_t size,
           size_t field, unsigned shift, unsigned bits)
{
    size_t places[DIGITS_MAX] = {0};
    uint32_t mask = ((uint32_t)1 << bits) - 1;
    size_t sum = 0;
    uint32_t word;

    for (size_t i = 0; i < count; i++) {
        memcpy(&word, from + i * size + field, sizeof(word));
        places[(word >> shift) & mask]++;
    }
    memcpy(&word, from + field, sizeof(word));
    if (places[(word >> shift) & mask] == count)
        return false;
    for (size_t i = 0; i <= mask; i++) {
        size_t here = places[i];

        places[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *record = from + i * size;

        memcpy(&word, record + field, sizeof(word));
        memcpy(to + places[(word >> shift) & mask]++ * size, record, size);
    }
    return true;
}

void load_radix_sort(void **data, void **scratch, size_t count, size_t size,
                     size_t field, unsigned width)
{
    unsigned passes = (width + DIGIT_BITS - 1) / DIGIT_BITS;
    unsigned bits = passes ? (width + passes - 1) / passes : 0;

    for (unsigned i = 0; i < passes && count; i++) {
        bool moved =
            size == sizeof(struct pair)
                ? radix_pass(*data, *scratch, count, sizeof(struct pair), field,
                             i * bits, bits)
                : radix_pass(*data, *scratch, count, sizeof(struct arc), field,
                             i * bits, bits);
        void *other = *data;

        if (!moved)
            continue;
        *data = *scratch;
        *scratch = other;
    }
}

struct key_source {
    const struct graph_load *load;
    bool labels;
    uint64_t random;
};

static uint64_t key_word(const struct key_source *source, uint32_t number,
                         size_t depth)
{
    uint8_t room[LOAD_ROOM];
    uint8_t word[8] = {0};
    struct bytes key = source->labels ? load_label(source->load, number)
                                      : load_key(source->load, number, room);

    if (key.size > depth)
        memcpy(word, key.data + depth,
               key.size - depth < 8 ? key.size - depth : 8);
    return load_be64(word);
}

static void swap_ordered(struct ordered *a, struct ordered *b)
{
    struct ordered c = *a;

    *a = *b;
    *b = c;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
    if (a > b) {
        uint64_t d = a;

        a = b;
        b = d;
    }
    return c < a ? a : c > b ? b : c;
}

/* The median of three, from anywhere: no file is made so that it is a bad one
 * each time. Marsaglia's xorshift. */
static uint64_t choose_pivot(struct key_source *source,
                             const struct ordered *items, size_t count)
{
    uint64_t words[3];

    for (unsigned i = 0; i < 3; i++) {
        source->random ^= source->random << 13;
        source->random ^= source->random >> 7;
        source->random ^= source->random << 17;
        words[i] = items[source->random % count].word;
    }
    return median(words[0], words[1], words[2]);
}

/*
 * Multikey quicksort (Bentley and Sedgewick, 1997) with eight bytes for a
 * character. All words are those at `depth`. Keys differ, and so equal words
 * always have something behind them.
 */
static void sort_keys(struct key_source *source, struct ordered *items,
                      size_t count, size_t depth)
{
    while (count > 1) {
        uint64_t pivot = choose_pivot(source, items, count);
        size_t below = 0;
        size_t above = count;

        for (size_t i = 0; i < above;) {
            if (items[i].word < pivot)
                swap_ordered(&items[i++], &items[below++]);
            else if (items[i].word > pivot)
                swap_ordered(&items[i], &items[--above]);
            else
                i++;
        }
        if (above - below > 1) {
            for (size_t i = below; i < above; i++)
                items[i].word = key_word(source, items[i].number, depth + 8);
            sort_keys(source, items + below, above - below, depth + 8);
        }
        /* The smaller part here, the larger one in the next turn. */
        if (below < count - above) {
            sort_keys(source, items, below, depth);
            items += above;
            count -= above;
        } else {
            sort_keys(source, items + above, count - above, depth);
            count = below;
        }
    }
}

static bool is_sorted(const struct ordered *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (items[i - 1].word >= items[i].word)
            return false;
    }
    return true;
}

/* Integers are in order if they are as such: nothing lies behind. */
static enum status sort_integers(struct graph_load *load,
                                 struct ordered **items, size_t count)
{
    void *data = *items;
    void *scratch = many_alloc(load->mem, count, sizeof(struct ordered));

    if (!scratch)
        return mem_status(load->mem);
    load_radix_sort(&data, &scratch, count, sizeof(struct ordered), 0, 32);
    load_radix_sort(&data, &scratch, count, sizeof(struct ordered), 4, 32);
    many_free(load->mem, scratch, count, sizeof(struct ordered));
    *items = data;
    return ST_OK;
}

enum status load_order_keys(struct graph_load *load, bool labels,
                            struct ordered **ret, size_t *ret_count)
{
    struct key_source source = {load, labels, UINT64_C(88172645463325252)};
    size_t first = labels ? 1 : 0;
    size_t count = (labels ? load->labels.count : load->words.count) - first;
    struct ordered *items = many_alloc(load->mem, count, sizeof(*items));
    bool plain = !labels && load->all_integers;
    enum status st = ST_OK;

    if (!items)
        return mem_status(load->mem);
    for (size_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)(first + i);

        items[i].number = number;
        items[i].pad = 0;
        items[i].word =
            plain ? load_word(load, number) : key_word(&source, number, 0);
    }
    if (plain && !is_sorted(items, count))
        st = sort_integers(load, &items, count);
    else if (!plain)
        sort_keys(&source, items, count, 0);
    if (st < 0) {
        many_free(load->mem, items, count, sizeof(*items));
        return st;
    }
    *ret = items;
    *ret_count = count;
    return ST_OK;
}

/* Of puts of one vertex the last one is left, by vertex. */
enum status load_sort_puts(struct graph_load *load)
{
    struct array *puts = &load->puts;
    size_t count = puts->count;
    struct put *to = puts->data;
    size_t kept = 0;
    void *scratch;

    if (!count)
        return ST_OK;
    scratch = many_alloc(load->mem, puts->capacity, sizeof(struct put));
    if (!scratch)
        return mem_status(load->mem);
    load_radix_sort(&puts->data, &scratch, count, sizeof(struct put),
                    offsetof(struct put, vertex), width_of(load->words.count));
    many_free(load->mem, scratch, puts->capacity, sizeof(struct put));
    to = puts->data;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && to[i + 1].vertex == to[i].vertex)
            continue;
        to[kept++] = to[i];
    }
    load->counts.repeated_vertices = count - kept;
    puts->count = kept;
    return ST_OK;
}

/* Moves the edges out of the load. */
enum status load_take_edges(struct graph_load *load, struct edges *ret)
{
    bool plain = !load->marks.data && !load->values.data;
    const struct pair *pairs = load->pairs.data;
    const uint32_t *marks = load->marks.data;
    struct arc *arcs;

    *ret = (struct edges){
        .count = load->pairs.count,
        .capacity = load->pairs.capacity,
        .size = plain ? sizeof(struct pair) : sizeof(struct arc),
    };
    ret->scratch = many_alloc(load->mem, ret->capacity, ret->size);
    if (!ret->scratch)
        return mem_status(load->mem);
    if (plain) {
        ret->data = load->pairs.data;
        if (!ret->data)
            ret->data = many_alloc(load->mem, 0, 1);
        load->pairs = (struct array){NULL, 0, 0};
        return ret->data ? ST_OK : mem_status(load->mem);
    }
    arcs = many_alloc(load->mem, ret->capacity, ret->size);
    if (!arcs)
        return mem_status(load->mem);
    for (size_t i = 0; i < ret->count; i++)
        arcs[i] = (struct arc){pairs[i].to, pairs[i].from, marks ? marks[i] : 0,
                               (uint32_t)i};
    ret->data = arcs;
    array_free(load->mem, &load->pairs, sizeof(struct pair));
    return ST_OK;
}

void load_free_edges(struct graph_load *load, struct edges *edges)
{
    if (edges->data)
        many_free(load->mem, edges->data, edges->capacity, edges->size);
    if (edges->scratch)
        many_free(load->mem, edges->scratch, edges->capacity, edges->size);
}

static void sort_field(struct edges *edges, size_t field, unsigned width)
{
    load_radix_sort(&edges->data, &edges->scratch, edges->count, edges->size,
                    field, width);
}

static bool same_edge(const struct edges *edges, size_t a, size_t b)
{
    struct arc one = edge_at(edges, a);
    struct arc two = edge_at(edges, b);

    return one.from == two.from && one.to == two.to && one.label == two.label;
}

/* By from, label, to; of equal ones the last is left. */
void load_sort_out(struct graph_load *load, struct edges *edges)
{
    unsigned width = width_of(load->words.count);
    size_t kept = 0;

    sort_field(edges, offsetof(struct arc, to), width);
    if (edges->size == sizeof(struct arc))
        sort_field(edges, offsetof(struct arc, label),
                   width_of(load->labels.count));
    sort_field(edges, offsetof(struct arc, from), width);
    for (size_t i = 0; i < edges->count; i++) {
        if (i + 1 < edges->count && same_edge(edges, i, i + 1))
            continue;
        if (kept != i)
            memcpy((uint8_t *)edges->data + kept * edges->size,
                   (uint8_t *)edges->data + i * edges->size, edges->size);
        kept++;
    }
    load->counts.repeated_edges = edges->count - kept;
    edges->count = kept;
}

/* By to, label, from: what stands by from, label, to needs no more. */
void load_sort_in(struct graph_load *load, struct edges *edges)
{
    if (edges->size == sizeof(struct arc))
        sort_field(edges, offsetof(struct arc, label),
                   width_of(load->labels.count));
    sort_field(edges, offsetof(struct arc, to), width_of(load->words.count));
    edges->in = true;
}
