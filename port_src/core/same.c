/*
 * same.c -- two versions of a tree, side by side.
 *
 *     a     [ . | . | . ]                b     [ . | . | . | . ]
 *           /     |     \                      /     |    \     \
 *         L1      L2     L3                  L1      M1   M2     L3
 *
 * Two walks go from left to right, and all behind them has been found equal.
 * Each stands before an *item*: an entry of a leaf, or a whole child of a
 * branch that has not been looked into yet. Then, by what the items are:
 *
 *     one lies higher       its walk descends into it
 *     one node, twice       both step over it
 *     two nodes             both descend
 *     two entries           they are compared, and both step over them
 *
 * No shared node is missed: as long as all has been equal both walks reach its
 * first key in the same step, and before an entry is looked at every node that
 * begins with it has been an item. When both walks stand at the same place of
 * one node, as at first where the pages are shared, all the rest of it is
 * stepped over at once, and so on upwards.
 *
 * Where a walk ends is a number of keys (trees are counted), not a cut that
 * each key would have to be compared with.
 */
#include "core/same.h"

#include "core/store_internal.h"
#include "core/tree_node.h"

struct walk {
    struct tree_cursor cursor; /* its last level may be a branch */
    int height;                /* levels of the tree */
    uint64_t left;             /* keys ahead in the range */
};

/* Keys [low, high) of a tree. */
struct span {
    uint64_t low;
    uint64_t high;
};

/* --- One walk ----------------------------------------------------------- */

static void walk_start(struct walk *walk, const struct tree_root *root,
                       struct span span)
{
    walk->left = span.high > span.low ? span.high - span.low : 0;
    if (walk->left)
        REQUIRE(tree_cursor_select(&walk->cursor, root, span.low));
    walk->height = walk->cursor.depth;
}

static struct tree_node *walk_node(const struct walk *walk)
{
    return walk->cursor.path[walk->cursor.depth - 1].node;
}

static uint32_t walk_index(const struct walk *walk)
{
    return walk->cursor.path[walk->cursor.depth - 1].index;
}

/* How high the item is: 0 is an entry, 1 a leaf. */
static int walk_level(const struct walk *walk)
{
    return walk->height - walk->cursor.depth;
}

static struct tree_node *walk_child(const struct walk *walk)
{
    return branch_children(walk_node(walk))[walk_index(walk)];
}

/* How many keys the next `count` items of the node hold. */
static uint64_t walk_keys(const struct walk *walk, uint32_t count)
{
    if (walk_level(walk) == 0)
        return count;
    return branch_sum_of(walk_node(walk), walk_index(walk), count);
}

/* Goes over `count` items of the node; at its end, over it in its parent. */
static void walk_over(struct walk *walk, uint32_t count)
{
    struct tree_cursor *cursor = &walk->cursor;
    uint64_t keys = walk_keys(walk, count);

    walk->left -= keys < walk->left ? keys : walk->left;
    cursor->path[cursor->depth - 1].index += count;
    while (cursor->depth > 0 && walk_index(walk) == walk_node(walk)->count)
        if (--cursor->depth > 0)
            cursor->path[cursor->depth - 1].index++;
}

static void walk_descend(struct walk *walk, struct same *same)
{
    struct tree_node *child = walk_child(walk);
    int level = walk->cursor.depth++;

    walk->cursor.path[level].node = child;
    walk->cursor.path[level].index = 0;
    same->nodes++;
}

/* --- Two walks ---------------------------------------------------------- */

static int key_compare(struct tree_key a, struct tree_key b)
{
    int order = bytes_compare(a.first, b.first);

    return order ? order : bytes_compare(a.second, b.second);
}

/* A value that was not written again lies where it lay. */
static bool value_equal(struct bytes a, struct bytes b)
{
    return (a.data == b.data && a.size == b.size) || bytes_equal(a, b);
}

/* Compares the entries that both walks stand on. */
static enum status entries_same(struct same *same, const struct walk *a,
                                const struct walk *b, bool keys_only, bool *ret)
{
    struct tree_entry *x = &same->entries[0];
    struct tree_entry *y = &same->entries[1];
    enum status st = tree_cursor_read(&a->cursor, x);
    int order;

    if (st < 0)
        return st;
    st = tree_cursor_read(&b->cursor, y);
    if (st < 0)
        return st;
    order = key_compare(x->key, y->key);
    *ret = order == 0 && (keys_only || value_equal(x->value, y->value));
    if (!*ret)
        same->key = order <= 0 ? x->key : y->key;
    return ST_OK;
}

/* The other walk has ended: what this one has left is the difference. */
static enum status one_is_left(struct same *same, struct walk *walk)
{
    enum status st;

    while (walk_level(walk) > 0)
        walk_descend(walk, same);
    st = tree_cursor_read(&walk->cursor, &same->entries[0]);
    if (st < 0)
        return st;
    same->key = same->entries[0].key;
    return ST_OK;
}

/*
 * Goes over `count` items that are the same in both; not if the walks end at
 * different places in them, as they do when a position is where they end.
 */
static bool walks_over(struct walk *a, struct walk *b, uint32_t count)
{
    uint64_t keys = walk_keys(a, count);

    if (a->left != b->left && (keys > a->left || keys > b->left))
        return false;
    walk_over(a, count);
    walk_over(b, count);
    return true;
}

/* One step of both; `*ret` is false once they differ. */
static enum status walks_step(struct same *same, struct walk *a, struct walk *b,
                              bool keys_only, bool *ret)
{
    int order = walk_level(a) - walk_level(b);
    uint32_t rest = walk_node(a)->count - walk_index(a);
    enum status st;

    if (walk_node(a) == walk_node(b) && walk_index(a) == walk_index(b) &&
        walks_over(a, b, rest))
        return ST_OK;
    if (order > 0) {
        walk_descend(a, same);
    } else if (order < 0) {
        walk_descend(b, same);
    } else if (walk_level(a) == 0) {
        st = entries_same(same, a, b, keys_only, ret);
        if (st < 0 || !*ret)
            return st;
        walk_over(a, 1);
        walk_over(b, 1);
    } else if (walk_child(a) != walk_child(b) || !walks_over(a, b, 1)) {
        walk_descend(a, same);
        walk_descend(b, same);
    }
    return ST_OK;
}

static enum status spans_same(struct same *same, const struct tree_root *a,
                              struct span a_span, const struct tree_root *b,
                              struct span b_span, bool keys_only, bool *ret)
{
    struct walk x = {.left = 0};
    struct walk y = {.left = 0};
    bool equal = true;
    enum status st = ST_OK;

    walk_start(&x, a, a_span);
    walk_start(&y, b, b_span);
    same->nodes += (uint64_t)(x.height + y.height);
    while (st == ST_OK && equal && x.left && y.left)
        st = walks_step(same, &x, &y, keys_only, &equal);
    if (st == ST_OK && equal && (x.left || y.left)) {
        equal = false;
        st = one_is_left(same, x.left ? &x : &y);
    }
    if (st == ST_OK)
        *ret = equal;
    return st;
}

/* --- Trees and views ---------------------------------------------------- */

void same_init(struct same *same, struct mem *mem)
{
    *same = (struct same){.nodes = 0};
    for (int i = 0; i < 2; i++)
        same->entries[i].buffer = BUFFER(mem);
}

void same_free(struct same *same)
{
    for (int i = 0; i < 2; i++)
        buffer_free(&same->entries[i].buffer);
}

enum status tree_same(struct same *same, const struct tree_root *a,
                      const struct tree_root *b, struct tree_cut from,
                      struct tree_cut to, bool *ret)
{
    struct span a_span = {tree_rank(a, from), tree_rank(a, to)};
    struct span b_span = {tree_rank(b, from), tree_rank(b, to)};

    return spans_same(same, a, a_span, b, b_span, false, ret);
}

/* The rank of the gap behind `last` on the walk's way. */
static uint64_t last_rank(const struct view *view, const struct bound *last,
                          enum direction direction)
{
    struct tree_cut cut = {.after = direction == ASCENDING};

    if (view->held)
        cut.key = (struct tree_key){view->key, last->first};
    else
        cut.key.first = last->first;
    if (!view->held && table_has_second(view->table))
        cut.key.second = last->second;
    return tree_rank(table_root(view->table, view->side), cut);
}

/* The positions in the tree of what a walk has read. */
static struct span view_span(const struct view *view, const struct range *range,
                             const struct bound *last)
{
    const struct tree_root *root = table_root(view->table, view->side);
    struct range read = *range;
    struct span span;
    uint64_t count;
    uint64_t rank;

    if (last && last->kind == BOUND_INCLUSIVE)
        read.to = *last;
    count = view_count(view, &read, &span.low);
    if (view->held)
        span.low += rank_below(root, view->key);
    span.high = span.low + count;
    if (!last || last->kind != BOUND_AFTER)
        return span;
    rank = last_rank(view, last, range->direction);
    if (range->direction == ASCENDING && rank < span.high)
        span.high = rank;
    else if (range->direction == DESCENDING && rank > span.low)
        span.low = rank;
    return span;
}

enum status view_same(struct same *same, const struct view *a,
                      const struct view *b, const struct range *range,
                      const struct bound *last, bool keys_only, bool *ret)
{
    REQUIRE(!last || last->kind == BOUND_AFTER ||
            last->kind == BOUND_INCLUSIVE);
    return spans_same(same, table_root(a->table, a->side),
                      view_span(a, range, last), table_root(b->table, b->side),
                      view_span(b, range, last), keys_only, ret);
}
