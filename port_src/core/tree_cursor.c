/*
 * tree_cursor.c -- positions in a tree: ranks, selections and walks.
 *
 * The path from the root to a key is all there is to a cursor. Going on
 * within a leaf touches the leaf alone; at its edge the path is taken up to
 * the first branch with another child on that side, and down again.
 */
#include "core/leaf_format.h"

/* --------------------------------------------------- probes for any size */

/* What seek and rank do for a cut, once it is a probe. */
struct seek {
    const struct tree_root *root;
    struct tree_cursor *cursor; /* NULL: the rank alone is wanted */
    bool ranks;                 /* is the rank wanted? */
    uint64_t rank;
};

static void seek_probe(struct seek *seek, const struct probe *probe)
{
    struct tree_node *node = seek->root->node;
    struct tree_cursor *cursor = seek->cursor;
    int depth = 0;
    bool found;
    uint32_t at;

    seek->rank = 0;
    for (; node->kind == NODE_BRANCH; depth++) {
        uint32_t index = branch_search(node, probe);
        struct tree_node *child = branch_children(node)[index];

        child_prefetch(node, child);
        if (seek->ranks)
            seek->rank += branch_sum_of(node, 0, index);
        if (cursor) {
            cursor->path[depth].node = node;
            cursor->path[depth].index = index;
        }
        node = child;
    }
    at = leaf_search(node, probe, &found);
    seek->rank += at;
    if (cursor) {
        cursor->path[depth].node = node;
        cursor->path[depth].index = at;
        cursor->depth = depth + 1;
    }
}

static __attribute__((noinline)) void seek_large(struct seek *seek,
                                                 struct tree_cut cut)
{
    uint8_t raw[PROBE_LARGE + PROBE_PAD];
    struct probe probe = probe_make(cut.key, cut.after, raw);

    seek_probe(seek, &probe);
}

/* No key is longer than PROBE_LARGE, and no caller's cut is either. */
static void seek_cut(struct seek *seek, struct tree_cut cut)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe;

    REQUIRE(key_raw_size(cut.key) <= PROBE_LARGE);
    if (key_raw_size(cut.key) > PROBE_SMALL) {
        seek_large(seek, cut);
        return;
    }
    probe = probe_make(cut.key, cut.after, raw);
    seek_probe(seek, &probe);
}

uint64_t tree_rank(const struct tree_root *root, struct tree_cut cut)
{
    struct seek seek = {.root = root, .ranks = true};

    if (!root->node)
        return 0;
    seek_cut(&seek, cut);
    return seek.rank;
}

/* -------------------------------------------------------------- cursors */

/* From the node at path[level], whose index is set, down on the left edge. */
static void descend_left(struct tree_cursor *cursor, int level)
{
    struct tree_node *node = cursor->path[level].node;

    while (node->kind == NODE_BRANCH) {
        node = branch_children(node)[cursor->path[level].index];
        level++;
        cursor->path[level].node = node;
        cursor->path[level].index = 0;
    }
    cursor->depth = level + 1;
}

static void descend_right(struct tree_cursor *cursor, int level)
{
    struct tree_node *node = cursor->path[level].node;

    while (node->kind == NODE_BRANCH) {
        node = branch_children(node)[cursor->path[level].index];
        level++;
        cursor->path[level].node = node;
        cursor->path[level].index = node->count - 1u;
    }
    cursor->depth = level + 1;
}

/* Behind the last entry of a leaf: to the first one of the next. */
static bool next_leaf(struct tree_cursor *cursor)
{
    for (int level = cursor->depth - 2; level >= 0; level--) {
        if (cursor->path[level].index + 1 < cursor->path[level].node->count) {
            cursor->path[level].index++;
            descend_left(cursor, level);
            return true;
        }
    }
    cursor->depth = 0;
    return false;
}

bool tree_cursor_seek(struct tree_cursor *cursor, const struct tree_root *root,
                      struct tree_cut cut, uint64_t *ret_rank)
{
    struct seek seek = {
        .root = root, .cursor = cursor, .ranks = ret_rank != NULL};

    cursor->root = root;
    cursor->depth = 0;
    if (root->node)
        seek_cut(&seek, cut);
    if (ret_rank)
        *ret_rank = seek.rank;
    if (!cursor->depth)
        return false;
    if (cursor->path[cursor->depth - 1].index <
        cursor->path[cursor->depth - 1].node->count)
        return true;
    return next_leaf(cursor);
}

bool tree_cursor_select(struct tree_cursor *cursor,
                        const struct tree_root *root, uint64_t position)
{
    struct tree_node *node = root->node;
    int level = 0;

    cursor->root = root;
    cursor->depth = 0;
    if (position >= root->count)
        return false;
    for (; node->kind == NODE_BRANCH; level++) {
        uint32_t index = 0;

        while (position >= branch_sum(node, index))
            position -= branch_sum(node, index++);
        cursor->path[level].node = node;
        cursor->path[level].index = index;
        node = branch_children(node)[index];
    }
    cursor->path[level].node = node;
    cursor->path[level].index = (uint32_t)position;
    cursor->depth = level + 1;
    return true;
}

bool tree_cursor_next(struct tree_cursor *cursor)
{
    int leaf = cursor->depth - 1;

    if (leaf < 0)
        return false;
    if (++cursor->path[leaf].index < cursor->path[leaf].node->count)
        return true;
    return next_leaf(cursor);
}

bool tree_cursor_prev(struct tree_cursor *cursor)
{
    int leaf = cursor->depth - 1;

    if (leaf < 0)
        return false;
    if (cursor->path[leaf].index > 0) {
        cursor->path[leaf].index--;
        return true;
    }
    for (int level = leaf - 1; level >= 0; level--) {
        if (cursor->path[level].index > 0) {
            cursor->path[level].index--;
            descend_right(cursor, level);
            return true;
        }
    }
    cursor->depth = 0;
    return false;
}

enum status tree_cursor_read(const struct tree_cursor *cursor,
                             struct tree_entry *entry)
{
    const struct tree_node *leaf;
    struct buffer *buffer = &entry->buffer;
    uint32_t index;
    uint32_t size;
    uint32_t first_size;
    bool outside;
    enum status st;

    REQUIRE(cursor->depth > 0);
    leaf = cursor->path[cursor->depth - 1].node;
    index = cursor->path[cursor->depth - 1].index;
    buffer->size = 0;
    st = buffer_reserve(buffer, leaf_key_bytes_max(leaf, index) + NODE_SLACK);
    if (st < 0)
        return st;
    size = leaf_key(leaf, index, buffer->data, &first_size);
    buffer->size = size;
    entry->key.first = bytes_of(buffer->data, first_size);
    entry->key.second = bytes_of(buffer->data + first_size, size - first_size);
    entry->value = leaf_value(leaf, index, &outside);
    if (outside) {
        const struct value_block *block;

        memcpy(&block, entry->value.data, sizeof(block));
        entry->value =
            bytes_of(block->data, block->block.size - sizeof(*block));
    }
    return ST_OK;
}

bool tree_cursor_run(const struct tree_cursor *cursor, struct tree_run *ret)
{
    const struct tree_node *leaf;
    uint32_t index;

    REQUIRE(cursor->depth > 0);
    leaf = cursor->path[cursor->depth - 1].node;
    index = cursor->path[cursor->depth - 1].index;
    if (leaf->kind != NODE_STRIDE)
        return false;
    *ret = (struct tree_run){
        .prefix = bytes_of(node_bytes(leaf), leaf->prefix),
        .infix = bytes_of(node_bytes(leaf) + leaf->prefix, leaf->infix),
        .rows = stride_rows(leaf) + (size_t)index * stride_of(leaf),
        .count = leaf->count - index,
        .stride = stride_of(leaf),
        .first_width = leaf->first_width,
        .second_width = leaf->second_width,
    };
    return true;
}

bool tree_cursor_skip_run(struct tree_cursor *cursor)
{
    REQUIRE(cursor->depth > 0);
    return next_leaf(cursor);
}
