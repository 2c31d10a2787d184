/*
 * graph_load_internal.h -- what the files of a load share: graph_load.c, which
 * gathers elements, graph_load_sort.c and graph_load_build.c alone.
 */
#ifndef RHIZOME_CORE_GRAPH_LOAD_INTERNAL_H
#define RHIZOME_CORE_GRAPH_LOAD_INTERNAL_H

#include "core/graph_internal.h"
#include "core/graph_load.h"
#include "core/key_internal.h"

/* A word of a vertex: this bit, and where its key lies; or an integer. */
#define WORD_KEY ((uint64_t)1 << 63)

/* Steps between two reports. */
#define REPORT_EVERY ((uint64_t)1 << 16)

/* An array that grows. */
struct array {
    void *data;
    size_t count;
    size_t capacity; /* in elements */
};

/* Of hashes: of keys, and of integers. An empty one has the number ~0. */
struct slot {
    uint32_t hash;
    uint32_t number;
};

struct integer_slot {
    uint64_t integer;
    uint32_t number;
};

struct pair {
    uint32_t to;
    uint32_t from;
};

/* An edge that is sorted with its label, and with where it stood. */
struct arc {
    uint32_t to;
    uint32_t from;
    uint32_t label;
    uint32_t index;
};

/* What a vertex was put with: offset of the value and its labels. */
struct put {
    uint32_t vertex;
    uint32_t index;
    uint64_t offset;
};

struct graph_load {
    struct store *store;
    struct mem *mem;
    struct table *table;
    struct graph graph;

    struct array words; /* uint64_t a vertex */
    uint32_t *direct;   /* integer -> number */
    uint64_t direct_size;
    struct integer_slot *integers;
    size_t integer_slots; /* a power of two, or 0 */
    size_t integer_count;
    struct slot *keys;
    size_t key_slots;
    size_t key_count;
    struct buffer text; /* of keys: size (4 bytes), key */
    bool all_integers;

    struct array labels; /* uint64_t: offset of the key in label_text */
    struct buffer label_text;
    struct buffer nil; /* the key of nil */
    struct slot *label_slots;
    size_t label_slot_count;

    struct array puts;   /* struct put */
    struct array pairs;  /* struct pair */
    struct array marks;  /* uint32_t: the label of an edge; or empty */
    struct array values; /* uint64_t: offset of its value + 1; or empty */
    struct buffer value_text;

    struct digest digest; /* of the elements, as they are built */
    struct graph_load_counts counts;
    const struct graph_load_progress *progress;
    uint64_t done;
    uint64_t total;
};

/* --- graph_load.c -------------------------------------------------------- */

static inline void array_free(struct mem *mem, struct array *array,
                              size_t element)
{
    mem_free(mem, array->data, array->capacity * element);
    *array = (struct array){NULL, 0, 0};
}

/* Blocks of `count` elements, which may be none. */
static inline void *many_alloc(struct mem *mem, size_t count, size_t element)
{
    return mem_alloc(mem, count ? count * element : 1);
}

static inline void many_free(struct mem *mem, void *data, size_t count,
                             size_t element)
{
    mem_free(mem, data, count ? count * element : 1);
}

/* What lies behind its size at an offset. */
static inline struct bytes text_at(const struct buffer *text, uint64_t offset)
{
    uint32_t size;

    memcpy(&size, text->data + offset, sizeof(size));
    return bytes_of(text->data + offset + sizeof(size), size);
}

static inline uint64_t load_word(const struct graph_load *load, uint32_t number)
{
    return ((const uint64_t *)load->words.data)[number];
}

/* The key of a vertex, which may lie in `room`, and of a label. */
#define LOAD_ROOM 16
static inline struct bytes load_key(const struct graph_load *load,
                                    uint32_t number, uint8_t *room)
{
    uint64_t word = load_word(load, number);

    if (word & WORD_KEY)
        return text_at(&load->text, word & ~WORD_KEY);
    return bytes_of(room, (size_t)(key_put_u64(room, word) - room));
}

static inline struct bytes load_label(const struct graph_load *load,
                                      uint32_t number)
{
    return text_at(&load->label_text,
                   ((const uint64_t *)load->labels.data)[number]);
}

/* What a put holds: its value (empty: nil), and the numbers of its labels,
 * which lie there unaligned. */
static inline struct bytes put_value(const struct graph_load *load,
                                     const struct put *put)
{
    return text_at(&load->value_text, put->offset);
}

static inline size_t put_labels(const struct graph_load *load,
                                const struct put *put, const uint8_t **ret)
{
    struct bytes value = put_value(load, put);
    uint64_t behind =
        (uint64_t)(value.data - load->value_text.data) + value.size;
    struct bytes labels = text_at(&load->value_text, behind);

    *ret = labels.data;
    return labels.size / sizeof(uint32_t);
}

static inline uint32_t put_label(const uint8_t *labels, size_t index)
{
    uint32_t label;

    memcpy(&label, labels + index * sizeof(label), sizeof(label));
    return label;
}

static inline struct bytes edge_value(const struct graph_load *load,
                                      struct arc edge)
{
    const uint64_t *values = load->values.data;

    return values && values[edge.index]
               ? text_at(&load->value_text, values[edge.index] - 1)
               : graph_nil;
}

/* Frees what finding vertices takes, which the sorting need not have. */
void load_free_index(struct graph_load *load);

/* One more step is done. */
static inline void load_step(struct graph_load *load)
{
    if (++load->done % REPORT_EVERY == 0 && load->progress)
        load->progress->report(load->progress->context, load->done,
                               load->total);
}

/* --- graph_load_sort.c ---------------------------------------------------- */

/* The edges as they are sorted: pairs, or arcs if one has a label or value. */
struct edges {
    void *data;
    void *scratch;
    size_t count;
    size_t capacity; /* of both */
    size_t size;     /* of one */
    bool in;         /* ordered by `to` */
};

static inline struct arc edge_at(const struct edges *edges, size_t index)
{
    if (edges->size == sizeof(struct pair)) {
        const struct pair *pair = (const struct pair *)edges->data + index;

        return (struct arc){pair->to, pair->from, 0, 0};
    }
    return ((const struct arc *)edges->data)[index];
}

/* A key on its way into order: `word` is eight bytes of it, padded with zeros,
 * which key.h allows; or the integer. */
struct ordered {
    uint64_t word;
    uint32_t number;
    uint32_t pad;
};

/*
 * Sorts records of 8 or 16 bytes by the 32-bit field at `field`, whose values
 * are below 2^width, stably. They end up in `*data`, which may change places
 * with `*scratch`. O(count * width / 11).
 */
void load_radix_sort(void **data, void **scratch, size_t count, size_t size,
                     size_t field, unsigned width);

/* How many bits a number takes. */
static inline unsigned width_of(uint64_t greatest)
{
    return greatest ? 64u - (unsigned)__builtin_clzll(greatest) : 0;
}

/*
 * Puts are left sorted by vertex, the last one of each; edges are moved out of
 * the load and sorted by (from, label, to), the last of equal ones left, and
 * then by (to, label, from). Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status load_sort_puts(struct graph_load *load);
enum status load_take_edges(struct graph_load *load, struct edges *ret);
void load_free_edges(struct graph_load *load, struct edges *edges);
void load_sort_out(struct graph_load *load, struct edges *edges);
void load_sort_in(struct graph_load *load, struct edges *edges);

/* The vertices, or the labels from 1 on, in the order of their keys; to be
 * freed with many_free(). Errors as above. */
enum status load_order_keys(struct graph_load *load, bool labels,
                            struct ordered **ret, size_t *ret_count);

/* --- graph_load_build.c --------------------------------------------------- */

/* Fills the empty graph. On error it is empty again. */
enum status load_build(struct graph_load *load, struct edges *edges);

#endif
