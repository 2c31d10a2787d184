/*
 * scan.c -- views: counting, ranking and walking a part of a tree.
 *
 *     tree       a1  a2  b1 | b2  b3  b4 | c1  c2        pairs in order
 *     position    0   1   2    3   4   5    6   7
 *     view {b}           [2                 6)           the held set of b
 *     range from incl 2          [3         6)           left = 3
 *
 * Whatever a view and its bounds are, they come down to two positions of one
 * tree, because trees are counted. An *edge* is the gap that a bound names;
 * its rank is a position. Where a bound lies decides which side of a key's
 * pairs its edge is on:
 *
 *     as the lower end    inclusive K: before K's pairs   exclusive: behind
 *     as the upper end    inclusive K: behind K's pairs   exclusive: before
 *     after (K, e)        right behind it, or right before it, as the walk
 *                         ascends or descends; it need not be there
 *
 * A walk places its cursor once and counts the elements ahead down to zero: a
 * step compares nothing. The cost is O(log n) to begin and O(1) a step.
 *
 * A walk of keys copies the key it has returned and steps on until another
 * comes; after KEY_STEPS_MAX steps it seeks past the key instead. Keys with
 * few pairs cost their pairs, keys with many cost a descent.
 *
 * The edge behind K's pairs is (K KEY_ABOVE, ""). To append that byte K is
 * copied, onto the stack, so that counting cannot fail and may run anywhere.
 */
#include "core/scan.h"

#include "core/store_internal.h"

#define NONE (bytes_of(NULL, 0))

/* Keys above this size are copied by a function with a larger frame. */
#define KEY_BYTES_SMALL 1024

/* Steps that a walk of keys makes before it seeks. */
#define KEY_STEPS_MAX 8

/* --- Edges -------------------------------------------------------------- */

enum edge_kind {
    EDGE_BEFORE, /* before the pair, or before all pairs of `first` */
    EDGE_AFTER,  /* right behind exactly this pair */
    EDGE_ABOVE,  /* behind all pairs of `first` */
};

struct edge {
    enum edge_kind kind;
    struct tree_key key;
};

/* Places `cursor` behind the edge if there is one, and tells its rank. */
static uint64_t cut_rank(const struct tree_root *root, struct tree_cut cut,
                         struct tree_cursor *cursor)
{
    uint64_t rank = 0;

    if (!cursor)
        return tree_rank(root, cut);
    tree_cursor_seek(cursor, root, cut, &rank);
    return rank;
}

static uint64_t above_rank(const struct tree_root *root, struct bytes key,
                           uint8_t *scratch, struct tree_cursor *cursor)
{
    struct tree_cut cut = {{bytes_of(scratch, key.size + 1), NONE}, false};

    if (key.size)
        memcpy(scratch, key.data, key.size);
    scratch[key.size] = KEY_ABOVE;
    return cut_rank(root, cut, cursor);
}

static __attribute__((noinline)) uint64_t
above_rank_large(const struct tree_root *root, struct bytes key,
                 struct tree_cursor *cursor)
{
    uint8_t scratch[KEY_BYTES_MAX + 1];

    REQUIRE(key.size <= KEY_BYTES_MAX);
    return above_rank(root, key, scratch, cursor);
}

static __attribute__((noinline)) uint64_t
above_rank_small(const struct tree_root *root, struct bytes key,
                 struct tree_cursor *cursor)
{
    uint8_t scratch[KEY_BYTES_SMALL + 1];

    return above_rank(root, key, scratch, cursor);
}

static uint64_t edge_rank(const struct tree_root *root, const struct edge *edge,
                          struct tree_cursor *cursor)
{
    struct tree_cut cut = {edge->key, edge->kind == EDGE_AFTER};

    if (edge->kind != EDGE_ABOVE)
        return cut_rank(root, cut, cursor);
    if (edge->key.first.size <= KEY_BYTES_SMALL)
        return above_rank_small(root, edge->key.first, cursor);
    return above_rank_large(root, edge->key.first, cursor);
}

uint64_t rank_below(const struct tree_root *root, struct bytes key)
{
    struct edge edge = {EDGE_BEFORE, {key, NONE}};

    return edge_rank(root, &edge, NULL);
}

uint64_t rank_above(const struct tree_root *root, struct bytes key)
{
    struct edge edge = {EDGE_ABOVE, {key, NONE}};

    return edge_rank(root, &edge, NULL);
}

/* --- Views and ranges as positions -------------------------------------- */

static const struct tree_root *view_root(const struct view *view)
{
    REQUIRE(!view->held || view->table->traits->has_second);
    return table_root(view->table, view->side);
}

/* The tree's key for an element or a key of the view. */
static struct tree_key view_key(const struct view *view, struct bytes first,
                                struct bytes second)
{
    if (view->held)
        return (struct tree_key){view->key, first};
    if (!view->table->traits->has_second)
        second = NONE;
    return (struct tree_key){first, second};
}

/*
 * The edge that a bound names, `lower` or upper end of a range; false if it
 * names none. Elements that are whole keys of the tree need no EDGE_ABOVE.
 */
static bool bound_edge(const struct view *view, const struct bound *bound,
                       bool lower, struct edge *ret)
{
    bool whole = view->held || !view->table->traits->has_second;
    bool behind;

    switch (bound->kind) {
    case BOUND_INCLUSIVE:
        behind = !lower;
        break;
    case BOUND_EXCLUSIVE:
        behind = lower;
        break;
    case BOUND_AFTER:
        ret->kind = lower ? EDGE_AFTER : EDGE_BEFORE;
        ret->key = view_key(view, bound->first, bound->second);
        return true;
    case BOUND_NONE:
    case BOUND_POSITION:
    default:
        return false;
    }
    ret->kind = !behind ? EDGE_BEFORE : whole ? EDGE_AFTER : EDGE_ABOVE;
    ret->key = view_key(view, bound->first, NONE);
    return true;
}

/* The position in the tree where the view begins. */
static uint64_t view_base(const struct view *view)
{
    return view->held ? rank_below(view_root(view), view->key) : 0;
}

/* Positions [low, high) of the tree; low <= high. */
struct span {
    uint64_t low;
    uint64_t high;
};

/* Lets the span begin, in the walk's direction, at a position of the view. */
static void span_start_at(struct span *span, const struct view *view,
                          const struct range *range)
{
    uint64_t position = range->from.position;
    bool ascending = range->direction == ASCENDING;
    uint64_t base = ascending ? span->low : view_base(view);

    if (span->high <= base || position >= span->high - base)
        span->high = span->low;
    else if (ascending)
        span->low += position;
    else
        span->high = base + position + 1;
}

/*
 * The positions of a range. An edge within a held set needs no clamping, for
 * its first component is the held key. `cursor` (may be NULL) is placed on
 * the lowest element if `*ret_placed` says so.
 */
static struct span range_span(const struct view *view,
                              const struct range *range,
                              struct tree_cursor *cursor, bool *ret_placed)
{
    const struct tree_root *root = view_root(view);
    bool ascending = range->direction == ASCENDING;
    bool by_position = range->from.kind == BOUND_POSITION;
    const struct bound *low = ascending ? &range->from : &range->to;
    const struct bound *high = ascending ? &range->to : &range->from;
    struct edge low_edge = {EDGE_BEFORE, {view->key, NONE}};
    struct edge high_edge = {EDGE_ABOVE, {view->key, NONE}};
    struct span span = {0, root->count};

    REQUIRE(range->to.kind != BOUND_AFTER && range->to.kind != BOUND_POSITION);
    *ret_placed = false;
    if (bound_edge(view, low, true, &low_edge) || view->held) {
        *ret_placed = cursor && !by_position;
        span.low = edge_rank(root, &low_edge, *ret_placed ? cursor : NULL);
    }
    if (bound_edge(view, high, false, &high_edge) || view->held)
        span.high = edge_rank(root, &high_edge, NULL);
    if (by_position)
        span_start_at(&span, view, range);
    if (span.high < span.low)
        span.high = span.low;
    return span;
}

uint64_t view_count(const struct view *view, const struct range *range,
                    uint64_t *ret_position)
{
    bool placed;
    struct span span = range_span(view, range, NULL, &placed);

    if (ret_position)
        *ret_position = span.low - view_base(view);
    return span.high - span.low;
}

uint64_t view_rank(const struct view *view, struct bytes first,
                   struct bytes second)
{
    struct edge edge = {EDGE_BEFORE, view_key(view, first, second)};

    return edge_rank(view_root(view), &edge, NULL) - view_base(view);
}

/* --- Walking ------------------------------------------------------------ */

void scan_init(struct scan *scan, struct mem *mem, const struct view *view,
               const struct range *range, bool keys_only)
{
    const struct table_traits *traits = view->table->traits;
    const struct tree_root *root = view_root(view);
    bool ascending = range->direction == ASCENDING;
    struct span span;
    bool placed;

    memset(scan, 0, sizeof(*scan));
    scan->view = *view;
    scan->range = *range;
    scan->keys_only = keys_only;
    scan->skips = keys_only && !view->held && traits->has_second &&
                  !traits->unique[view->side];
    scan->entry.buffer = BUFFER(mem);
    scan->last = BUFFER(mem);
    span = range_span(view, range, ascending ? &scan->cursor : NULL, &placed);
    scan->left = span.high - span.low;
    scan->end = ascending ? span.high : span.low;
    if (scan->left && !placed)
        REQUIRE(tree_cursor_select(&scan->cursor, root,
                                   ascending ? span.low : span.high - 1));
}

static bool scan_step(struct scan *scan)
{
    return scan->range.direction == ASCENDING ? tree_cursor_next(&scan->cursor)
                                              : tree_cursor_prev(&scan->cursor);
}

/* Places the cursor on the next element that has another key, if any. */
static void scan_seek_key(struct scan *scan)
{
    const struct tree_root *root = view_root(&scan->view);
    bool ascending = scan->range.direction == ASCENDING;
    struct edge edge = {ascending ? EDGE_ABOVE : EDGE_BEFORE,
                        {buffer_bytes(&scan->last), NONE}};
    uint64_t rank = edge_rank(root, &edge, &scan->cursor);
    uint64_t low = ascending ? rank : scan->end;
    uint64_t high = ascending ? scan->end : rank;

    scan->left = low < high ? high - low : 0;
    if (scan->left && !ascending)
        REQUIRE(tree_cursor_prev(&scan->cursor));
}

/* Moves on to an element with another key than `last`, and reads it. */
static enum status scan_skip(struct scan *scan)
{
    enum status st;

    for (unsigned steps = 0; scan->left && steps < KEY_STEPS_MAX; steps++) {
        REQUIRE(scan_step(scan));
        st = tree_cursor_read(&scan->cursor, &scan->entry);
        if (st < 0)
            return st;
        if (!bytes_equal(scan->entry.key.first, buffer_bytes(&scan->last)))
            return ST_OK;
        scan->left--;
    }
    if (scan->left)
        scan_seek_key(scan);
    if (!scan->left)
        return ST_OK;
    return tree_cursor_read(&scan->cursor, &scan->entry);
}

static enum status scan_move(struct scan *scan)
{
    if (scan->started && scan->skips)
        return scan_skip(scan);
    if (scan->started)
        REQUIRE(scan_step(scan));
    scan->started = true;
    return tree_cursor_read(&scan->cursor, &scan->entry);
}

enum status scan_next(struct scan *scan, struct element *ret, bool *ret_found)
{
    const struct tree_entry *entry = &scan->entry;
    enum status st = scan->left ? scan_move(scan) : ST_OK;

    if (st < 0)
        return st;
    *ret_found = scan->left > 0;
    if (!scan->left)
        return ST_OK;
    if (scan->skips) {
        scan->last.size = 0;
        st = buffer_append(&scan->last, entry->key.first);
        if (st < 0)
            return st;
    }
    scan->left--;
    *ret = (struct element){.first = scan->view.held ? entry->key.second
                                                     : entry->key.first};
    if (!scan->keys_only && !scan->view.held) {
        ret->second = entry->key.second;
        ret->value = entry->value;
    }
    return ST_OK;
}

void scan_free(struct scan *scan)
{
    buffer_free(&scan->entry.buffer);
    buffer_free(&scan->last);
}
