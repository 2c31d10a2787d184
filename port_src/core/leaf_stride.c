/*
 * leaf_stride.c -- leaves as sorted arrays of fixed-width rows: tree_node.h
 * has the picture.
 *
 * A search compares with the shared bytes first, which settles the probe as
 * before all, after all, or among the rows; then what is left of the probe
 * becomes a row of the page's own widths. When it does not fit into a width
 * it is equal to no row: it lies above those that agree in the bytes that do
 * fit. Rows of up to eight bytes, the usual ones, are compared as one number.
 */
#include "core/leaf_format.h"

static inline uint8_t *stride_infix(const struct tree_node *leaf)
{
    return node_bytes(leaf) + leaf->prefix;
}

/*
 * The three searches below count the rows that are less than `want`, or with
 * `or_equal` not greater, in their first `width` bytes. The first two use the
 * comparison as a number, for a branch on it is mispredicted every other
 * time.
 */
static inline __attribute__((always_inline)) bool
word_before(const uint8_t *row, uint32_t shift, uint64_t want, bool or_equal)
{
    uint64_t word = load_be64(row) >> shift;

    return or_equal ? word <= want : word < want;
}

/* Three rows at a time: they wait for nothing but each other's predecessors,
 * so that a step to a quarter takes hardly longer than one to a half. */
static inline __attribute__((always_inline)) uint32_t
search_words(const uint8_t *rows, uint32_t count, uint32_t stride,
             uint32_t width, uint64_t want, bool or_equal)
{
    uint32_t shift = 64 - 8 * width;
    uint32_t at = 0;

    while (count > 3) {
        uint32_t quarter = count / 4;
        size_t skip = (size_t)quarter * stride;
        const uint8_t *last = rows + skip - stride;
        uint64_t a = word_before(last, shift, want, or_equal);
        uint64_t b = word_before(last + skip, shift, want, or_equal);
        uint64_t c = word_before(last + 2 * skip, shift, want, or_equal);

        rows += (skip & -a) + (skip & -b) + (skip & -c);
        at += (quarter & -(uint32_t)a) + (quarter & -(uint32_t)b) +
              (quarter & -(uint32_t)c);
        count -= 3 * quarter;
    }
    for (uint32_t i = 0; i < count; i++)
        at += word_before(rows + (size_t)i * stride, shift, want, or_equal);
    return at;
}

static inline unsigned __int128 load_two(const uint8_t *p, uint32_t low)
{
    return (unsigned __int128)load_be64(p) << 64 | load_be64(p + low);
}

/* Widths 9 to 16: two words that overlap where the row is short of 16. */
static inline __attribute__((always_inline)) uint32_t
search_pairs(const uint8_t *rows, uint32_t count, uint32_t stride,
             uint32_t width, const uint8_t *want, bool or_equal)
{
    uint32_t low = width - 8;
    unsigned __int128 goal = load_two(want, low);
    uint32_t at = 0;

    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        unsigned __int128 row =
            load_two(rows + (size_t)(at + half - 1) * stride, low);

        at += half & -(uint32_t)(or_equal ? row <= goal : row < goal);
        count -= half;
    }
    return at;
}

static uint32_t search_bytes(const uint8_t *rows, uint32_t count,
                             uint32_t stride, uint32_t width,
                             const uint8_t *want, bool or_equal)
{
    uint32_t at = 0;

    while (count > 0) {
        uint32_t half = count / 2;
        int order = memcmp(rows + (size_t)(at + half) * stride, want, width);

        if (order < 0 || (or_equal && order == 0)) {
            at += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return at;
}

/*
 * A probe as a row of this page, in two parts that the row's zeros fill up.
 * `exact` if the row stands for the whole probe, so that it may be equal;
 * otherwise the probe lies `above` or below the rows that agree in `width`.
 */
struct row_probe {
    const uint8_t *first;
    const uint8_t *second;
    uint32_t first_size;
    uint32_t second_size;
    uint32_t width;
    bool exact;
    bool above;
};

/* False if the prefix settles it: `*ret_position` is then the answer. */
static inline __attribute__((always_inline)) bool
row_probe_make(const struct tree_node *leaf, const struct probe *probe,
               struct row_probe *ret, uint32_t *ret_position)
{
    const uint8_t *second = probe->raw + probe->first_size;
    uint32_t second_size = probe->size - probe->first_size;
    int order = shared_compare(probe->raw, probe->first_size, node_bytes(leaf),
                               leaf->prefix);

    if (order) {
        *ret_position = order < 0 ? 0 : leaf->count;
        return false;
    }
    ret->first = probe->raw + leaf->prefix;
    ret->first_size = probe->first_size - leaf->prefix;
    ret->second = second;
    ret->second_size = 0;
    ret->width = leaf->first_width;
    ret->exact = false;
    ret->above = true;
    if (ret->first_size > leaf->first_width) {
        ret->first_size = leaf->first_width;
        return true;
    }
    order =
        shared_compare(second, second_size, stride_infix(leaf), leaf->infix);
    if (order) {
        ret->above = order > 0;
        return true;
    }
    ret->second += leaf->infix;
    ret->second_size = second_size - leaf->infix;
    ret->width += leaf->second_width;
    ret->exact = ret->second_size <= leaf->second_width;
    if (!ret->exact)
        ret->second_size = leaf->second_width;
    return true;
}

/* `size` <= 8 bytes as the upper bytes of a number of `width` bytes. */
static inline uint64_t part_word(const uint8_t *text, uint32_t size,
                                 uint32_t width)
{
    if (size == 0)
        return 0;
    return load_be64(text) >> (64 - 8 * size) << 8 * (width - size);
}

/* `size` bytes of `from`, zero-filled to `width`. */
static inline void part_bytes(uint8_t *out, const uint8_t *from, uint32_t size,
                              uint32_t width)
{
    if (size)
        memcpy(out, from, size);
    if (width > size)
        memset(out + size, 0, width - size);
}

/* Rows of up to eight bytes: everything stays in registers. */
static inline uint32_t search_by_word(const struct tree_node *leaf,
                                      const struct probe *probe,
                                      const struct row_probe *row,
                                      bool *ret_found)
{
    const uint8_t *rows = stride_rows(leaf);
    uint32_t stride = stride_of(leaf);
    uint32_t second_width = row->width - leaf->first_width;
    uint64_t word = part_word(row->second, row->second_size, second_width);
    uint32_t at;

    if (leaf->first_width)
        word |= part_word(row->first, row->first_size, leaf->first_width)
                << 8 * second_width;
    if (!row->exact && row->above)
        return search_words(rows, leaf->count, stride, row->width, word, true);
    at = search_words(rows, leaf->count, stride, row->width, word, false);
    if (row->exact && at < leaf->count &&
        load_be64(rows + (size_t)at * stride) >> (64 - 8 * row->width) ==
            word) {
        *ret_found = true;
        at += probe->after;
    }
    return at;
}

static uint32_t search_by_bytes(const struct tree_node *leaf,
                                const struct probe *probe,
                                const struct row_probe *row, uint8_t *space,
                                bool *ret_found)
{
    const uint8_t *rows = stride_rows(leaf);
    uint32_t stride = stride_of(leaf);
    bool or_equal = !row->exact && row->above;
    uint32_t at;

    part_bytes(space, row->first, row->first_size, leaf->first_width);
    part_bytes(space + leaf->first_width, row->second, row->second_size,
               row->width - leaf->first_width);
    if (row->width > 16)
        at = search_bytes(rows, leaf->count, stride, row->width, space,
                          or_equal);
    else if (or_equal)
        at = search_pairs(rows, leaf->count, stride, row->width, space, true);
    else
        at = search_pairs(rows, leaf->count, stride, row->width, space, false);
    if (row->exact && at < leaf->count &&
        !memcmp(rows + (size_t)at * stride, space, row->width)) {
        *ret_found = true;
        at += probe->after;
    }
    return at;
}

static __attribute__((noinline)) uint32_t
search_by_long_bytes(const struct tree_node *leaf, const struct probe *probe,
                     const struct row_probe *row, bool *ret_found)
{
    uint8_t space[PROBE_LARGE + PROBE_PAD];

    return search_by_bytes(leaf, probe, row, space, ret_found);
}

/* Room for a row of usual length. */
#define ROW_SMALL 64

uint32_t stride_search(const struct tree_node *leaf, const struct probe *probe,
                       bool *ret_found)
{
    _Alignas(16) uint8_t space[ROW_SMALL];
    struct row_probe row;
    uint32_t at;

    *ret_found = false;
    if (!row_probe_make(leaf, probe, &row, &at))
        return at;
    if (row.width == 0) { /* all that there is to compare is equal */
        *ret_found = row.exact;
        return row.exact ? probe->after : row.above ? leaf->count : 0;
    }
    if (row.width <= 8)
        return search_by_word(leaf, probe, &row, ret_found);
    if (row.width <= ROW_SMALL)
        return search_by_bytes(leaf, probe, &row, space, ret_found);
    return search_by_long_bytes(leaf, probe, &row, ret_found);
}

bool stride_same_first(const struct tree_node *leaf, uint32_t index,
                       const struct probe *probe)
{
    const uint8_t *row = stride_rows(leaf) + (size_t)index * stride_of(leaf);
    uint32_t left;

    if (probe->first_size < leaf->prefix ||
        short_compare(probe->raw, node_bytes(leaf), leaf->prefix))
        return false;
    left = probe->first_size - leaf->prefix;
    if (left > leaf->first_width ||
        short_compare(probe->raw + leaf->prefix, row, left))
        return false;
    for (uint32_t i = left; i < leaf->first_width; i++)
        if (row[i])
            return false;
    return true;
}

size_t stride_fits(const struct tree_node *leaf, const struct probe *probe,
                   struct bytes value, bool outside)
{
    uint32_t second_size = probe->size - probe->first_size;
    const uint8_t *second = probe->raw + probe->first_size;

    if (outside || value.size != leaf->value_width ||
        probe->first_size < leaf->prefix ||
        probe->first_size - leaf->prefix > leaf->first_width ||
        second_size < leaf->infix ||
        second_size - leaf->infix > leaf->second_width ||
        short_compare(probe->raw, node_bytes(leaf), leaf->prefix) ||
        short_compare(second, stride_infix(leaf), leaf->infix))
        return 0;
    return stride_live(leaf) + stride_of(leaf);
}

/* Writes a row of pages with the shape of `leaf`. */
static void row_write(const struct tree_node *leaf, uint8_t *row,
                      const struct probe *probe, struct bytes value)
{
    uint32_t second_size = probe->size - probe->first_size;

    part_bytes(row, probe->raw + leaf->prefix, probe->first_size - leaf->prefix,
               leaf->first_width);
    part_bytes(row + leaf->first_width,
               probe->raw + probe->first_size + leaf->infix,
               second_size - leaf->infix, leaf->second_width);
    if (value.size)
        memcpy(row + leaf->first_width + leaf->second_width, value.data,
               value.size);
}

void stride_insert(struct tree_node *leaf, uint32_t index,
                   const struct probe *probe, struct bytes value)
{
    uint32_t stride = stride_of(leaf);
    uint8_t *row = stride_rows(leaf) + (size_t)index * stride;

    memmove(row + stride, row, (size_t)(leaf->count - index) * stride);
    row_write(leaf, row, probe, value);
    leaf->count++;
}

void stride_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                        uint32_t index, const struct probe *probe,
                        struct bytes value)
{
    uint32_t stride = stride_of(leaf);
    const uint8_t *from = stride_rows(leaf) + (size_t)index * stride;
    size_t before = (size_t)(from - (const uint8_t *)&leaf->heap);
    uint8_t *row = (uint8_t *)&copy->heap + before;

    memcpy(&copy->heap, &leaf->heap, before);
    row_write(leaf, row, probe, value);
    memcpy(row + stride, from,
           (size_t)(leaf->count - index) * stride + NODE_SLACK);
    copy->count = (uint16_t)(leaf->count + 1);
}

uint32_t stride_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                    uint32_t *ret_first_size)
{
    const uint8_t *row = stride_rows(leaf) + (size_t)index * stride_of(leaf);
    uint32_t first_size = leaf->prefix;
    uint32_t second_size = leaf->infix;
    uint8_t *second;

    short_copy(raw, node_bytes(leaf), leaf->prefix);
    if (leaf->first_width) {
        short_copy(raw + leaf->prefix, row, leaf->first_width);
        first_size = (uint32_t)key_size(
            bytes_of(raw, (size_t)leaf->prefix + leaf->first_width));
    }
    *ret_first_size = first_size;
    second = raw + first_size;
    short_copy(second, stride_infix(leaf), leaf->infix);
    if (leaf->second_width) {
        short_copy(second + leaf->infix, row + leaf->first_width,
                   leaf->second_width);
        second_size = (uint32_t)key_size(
            bytes_of(second, (size_t)leaf->infix + leaf->second_width));
    }
    return first_size + second_size;
}

void stride_build(const struct plan *plan, const struct item *items,
                  struct tree_node *leaf)
{
    uint8_t *row;

    leaf->kind = NODE_STRIDE;
    leaf->heap = 0;
    leaf->count = (uint16_t)plan->count;
    leaf->prefix = (uint16_t)plan->prefix;
    leaf->infix = (uint16_t)plan->infix;
    leaf->first_width = (uint16_t)(plan->first_max - plan->prefix);
    leaf->second_width = (uint16_t)(plan->second_max - plan->infix);
    leaf->value_width = (uint8_t)plan->value_width;
    memcpy(node_bytes(leaf), items[0].text, plan->prefix);
    memcpy(stride_infix(leaf), items[0].text + items[0].first_size,
           plan->infix);
    row = stride_rows(leaf);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct item *item = &items[i];

        part_bytes(row, item->text + plan->prefix,
                   item->first_size - plan->prefix, leaf->first_width);
        part_bytes(row + leaf->first_width,
                   item->text + item->first_size + plan->infix,
                   item->size - item->first_size - plan->infix,
                   leaf->second_width);
        if (plan->value_width)
            memcpy(row + leaf->first_width + leaf->second_width, item->value,
                   plan->value_width);
        row += stride_of(leaf);
    }
    memset(row, 0, NODE_SLACK);
}

/* ------------------------------------------------------------------ cuts */

static inline uint64_t low_bytes(uint64_t word, uint32_t count)
{
    return count < 8 ? word & ((UINT64_C(1) << 8 * count) - 1) : word;
}

static inline uint32_t bytes_in(uint64_t word)
{
    return word ? 8 - (uint32_t)__builtin_clzll(word) / 8 : 0;
}

/*
 * What the rows of a half share is where none differs from the first. A width
 * is still right if some row has a byte at its end that is no padding, which a
 * 00 might be: false if it cannot be told.
 */
static bool half_plan(const struct tree_node *leaf, struct leaf_half *half)
{
    uint32_t first_width = leaf->first_width;
    uint32_t second_width = leaf->second_width;
    uint32_t stride = stride_of(leaf);
    uint32_t shift = 64 - 8 * (first_width + second_width);
    uint64_t base = load_be64(half->rows) >> shift;
    uint64_t differ = 0;
    uint64_t any = base;

    for (uint32_t i = 1; i < half->count; i++) {
        uint64_t row = load_be64(half->rows + (size_t)i * stride) >> shift;

        differ |= row ^ base;
        any |= row;
    }
    if (second_width && !(any & 0xFF))
        return false;
    if (first_width && !(any >> 8 * second_width & 0xFF))
        return false;
    half->infix = second_width - bytes_in(low_bytes(differ, second_width));
    half->prefix = 0;
    if (first_width)
        half->prefix = first_width - bytes_in(differ >> 8 * second_width);
    half->size = sizeof(*leaf) + leaf->prefix + leaf->infix + half->prefix +
                 half->infix +
                 (size_t)half->count * (stride - half->prefix - half->infix) +
                 NODE_SLACK;
    /* Rows of eight bytes are less than slots, unless there are so few that
     * what is put before them matters: plan_layout() decides then. */
    return leaf->infix + half->infix + NODE_SLACK <= 4 * half->count;
}

bool leaf_cut(const struct tree_node *leaf, uint32_t index,
              const struct probe *probe, struct bytes value,
              struct leaf_cut *ret)
{
    uint32_t width = (uint32_t)leaf->first_width + leaf->second_width;
    uint32_t stride = stride_of(leaf);
    uint32_t count = leaf->count + 1u;
    size_t before = (size_t)index * stride;
    size_t after = (size_t)(leaf->count - index) * stride;

    if (leaf->kind != NODE_STRIDE || !width || width > 8 ||
        leaf_key_bytes_max(leaf, 0) > LEAF_CUT_KEY_MAX ||
        (size_t)count * stride + NODE_SLACK > sizeof(ret->rows))
        return false;
    memcpy(ret->rows, stride_rows(leaf), before);
    row_write(leaf, ret->rows + before, probe, value);
    memcpy(ret->rows + before + stride, stride_rows(leaf) + before, after);
    memset(ret->rows + before + stride + after, 0, NODE_SLACK);
    ret->leaf = leaf;
    ret->halves[0] = (struct leaf_half){.rows = ret->rows, .count = count / 2};
    ret->halves[1] = (struct leaf_half){
        .rows = ret->rows + (size_t)(count / 2) * stride,
        .count = count - count / 2,
    };
    return half_plan(leaf, &ret->halves[0]) && half_plan(leaf, &ret->halves[1]);
}

void leaf_cut_build(const struct leaf_cut *cut, const struct leaf_half *half,
                    struct tree_node *page)
{
    const struct tree_node *leaf = cut->leaf;
    uint32_t first_width = leaf->first_width - half->prefix;
    uint32_t second_width = leaf->second_width - half->infix;
    uint32_t width = first_width + second_width;
    uint32_t old_width = (uint32_t)leaf->first_width + leaf->second_width;
    const uint8_t *from = half->rows;
    uint8_t *row;

    page->kind = NODE_STRIDE;
    page->heap = 0;
    page->count = (uint16_t)half->count;
    page->prefix = (uint16_t)(leaf->prefix + half->prefix);
    page->infix = (uint16_t)(leaf->infix + half->infix);
    page->first_width = (uint16_t)first_width;
    page->second_width = (uint16_t)second_width;
    page->value_width = leaf->value_width;
    memcpy(node_bytes(page), node_bytes(leaf), leaf->prefix);
    memcpy(node_bytes(page) + leaf->prefix, from, half->prefix);
    memcpy(stride_infix(page), stride_infix(leaf), leaf->infix);
    memcpy(stride_infix(page) + leaf->infix, from + leaf->first_width,
           half->infix);
    row = stride_rows(page);
    /* There are two rows or more, which differ: `width` is not 0. */
    for (uint32_t i = 0; i < half->count; i++) {
        uint64_t word = load_be64(from) >> (64 - 8 * old_width);
        uint64_t first = 0;

        if (first_width)
            first = low_bytes(word >> 8 * leaf->second_width, first_width)
                    << 8 * second_width;
        word = first | low_bytes(word, second_width);
        store_be64(row, word << (64 - 8 * width)); /* and a little behind it */
        if (leaf->value_width)
            memcpy(row + width, from + old_width, leaf->value_width);
        from += stride_of(leaf);
        row += stride_of(page);
    }
    memset(row, 0, NODE_SLACK);
}
