/*
 * tree_check.c -- verifies what tree.c and tree_node.h state as invariants.
 *
 * One walk in key order rebuilds every key, so that order, uniqueness,
 * prefixes and widths are checked on what a reader would see.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/tree_node.h"

struct check {
    const struct tree *tree;
    char *why;
    size_t why_size;
    uint64_t count;
    uint64_t first_count;
    size_t bytes;
    uint32_t leaf_depth; /* 0 until the first leaf */
    uint8_t *key;        /* this key and the one before it */
    uint8_t *last;
    uint32_t last_size;
    uint32_t last_first_size;
};

static __attribute__((format(printf, 2, 3))) bool
broken(struct check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->why, check->why_size, format, arguments);
    va_end(arguments);
    return false;
}

static bool check_entry(struct check *check, const struct tree_node *leaf,
                        uint32_t index, struct bytes low, struct bytes high)
{
    uint32_t first_size;
    uint32_t size = leaf_key(leaf, index, check->key, &first_size);
    struct bytes key = bytes_of(check->key, size);
    bool outside;
    struct bytes value = leaf_value(leaf, index, &outside);
    uint8_t *swap;

    if (first_size > size)
        return broken(check, "key %u of a leaf is cut", index);
    if (check->count > 0 &&
        bytes_compare(bytes_of(check->last, check->last_size), key) >= 0)
        return broken(check, "key %u of a leaf does not ascend", index);
    if (low.data && bytes_compare(low, key) > 0)
        return broken(check, "a key lies below its separator");
    if (high.data && bytes_compare(key, high) >= 0)
        return broken(check, "a key is not below the next separator");
    if (check->count == 0 ||
        !bytes_equal(bytes_of(check->last, check->last_first_size),
                     bytes_of(check->key, first_size)))
        check->first_count++;
    if (outside) {
        const struct value_block *block;

        memcpy(&block, value.data, sizeof(block));
        check->bytes += mem_charge(block->block.size);
    }
    check->count++;
    swap = check->last;
    check->last = check->key;
    check->last_size = size;
    check->last_first_size = first_size;
    check->key = swap;
    return true;
}

static bool check_leaf(struct check *check, const struct tree_node *leaf,
                       uint32_t depth, struct bytes low, struct bytes high)
{
    if (check->leaf_depth == 0)
        check->leaf_depth = depth;
    if (check->leaf_depth != depth)
        return broken(check, "leaves at depths %u and %u", depth,
                      check->leaf_depth);
    if (leaf_too_large(leaf_live(leaf), leaf_shared(leaf), leaf->count))
        return broken(check, "a leaf of %u bytes and %u keys", leaf->block.size,
                      leaf->count);
    if (leaf_live(leaf) > leaf->block.size)
        return broken(check, "a leaf overflows its page");
    for (uint32_t i = 0; i < leaf->count; i++)
        if (!check_entry(check, leaf, i, low, high))
            return false;
    return true;
}

static bool check_node(struct check *check, const struct tree_node *node,
                       uint32_t depth, struct bytes low, struct bytes high);

static bool check_branch(struct check *check, const struct tree_node *branch,
                         uint32_t depth, struct bytes low, struct bytes high)
{
    uint8_t *text = malloc(branch_items_bytes(branch) + 1);
    struct child *children = malloc(branch->count * sizeof(*children));
    bool ok = text && children;

    if (ok)
        branch_items(branch, children, text);
    for (uint32_t i = 0; ok && i < branch->count; i++) {
        const struct tree_node *node = children[i].node;
        uint32_t levels =
            node->kind == NODE_BRANCH ? branch_levels_below(node) + 1 : 0;
        uint64_t before = check->count;
        struct bytes from =
            i ? bytes_of(children[i].text, children[i].size) : low;
        struct bytes to =
            i + 1u < branch->count
                ? bytes_of(children[i + 1].text, children[i + 1].size)
                : high;

        if (i && from.data[from.size - 1] == 0)
            ok = broken(check, "a separator ends in 00");
        else if (epochs_writable(check->tree->epochs, &node->block) &&
                 !epochs_writable(check->tree->epochs, &branch->block))
            ok = broken(check, "a writable node under a frozen one");
        else if (branch_levels_below(branch) != levels)
            ok = broken(check, "a branch at a level that is not its own");
        else
            ok = check_node(check, node, depth + 1, from, to);
        if (ok && check->count - before != children[i].sum)
            ok = broken(check, "a branch counts %llu of %llu keys",
                        (unsigned long long)children[i].sum,
                        (unsigned long long)(check->count - before));
    }
    free(text);
    free(children);
    return ok;
}

static bool check_node(struct check *check, const struct tree_node *node,
                       uint32_t depth, struct bytes low, struct bytes high)
{
    check->bytes += mem_charge(node->block.size);
    if (node->count == 0)
        return broken(check, "an empty node at depth %u", depth);
    if (node->kind != NODE_BRANCH)
        return check_leaf(check, node, depth, low, high);
    if (!branch_is_sound(node))
        return broken(check, "a branch overflows its page");
    return check_branch(check, node, depth, low, high);
}

static bool check_totals(struct check *check)
{
    const struct tree_root *root = &check->tree->root;

    if (check->count != root->count)
        return broken(check, "the tree counts %llu of %llu keys",
                      (unsigned long long)root->count,
                      (unsigned long long)check->count);
    if (check->first_count != root->first_count)
        return broken(check, "the tree counts %llu of %llu first components",
                      (unsigned long long)root->first_count,
                      (unsigned long long)check->first_count);
    if (check->bytes != check->tree->bytes)
        return broken(check, "the tree is charged %zu of %zu bytes",
                      check->tree->bytes, check->bytes);
    return true;
}

bool tree_check(const struct tree *tree, char *why, size_t why_size)
{
    struct check check = {
        .tree = tree,
        .why = why,
        .why_size = why_size,
        .key = malloc(PROBE_LARGE + PROBE_PAD),
        .last = malloc(PROBE_LARGE + PROBE_PAD),
    };
    bool ok = check.key && check.last;

    if (!ok)
        broken(&check, "no memory to check");
    if (ok && tree->root.node)
        ok = check_node(&check, tree->root.node, 1, bytes_of(NULL, 0),
                        bytes_of(NULL, 0));
    ok = ok && check_totals(&check);
    free(check.key);
    free(check.last);
    return ok;
}
