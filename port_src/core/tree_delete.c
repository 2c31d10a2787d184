/*
 * tree_delete.c -- deletions, and keeping pages from getting too small.
 *
 * The path is made writable, then the entry is removed in place, which cannot
 * fail. What follows is tidiness: a leaf or a branch under a quarter of its
 * size joins a sibling if both then fit into three quarters; a leaf gives
 * unused steps back. Without memory it stays as it is.
 */
#include "core/tree_edit.h"

/* A merge must leave room, or the next insert would split again. */
#define LEAF_MERGE_BELOW (LEAF_BYTES_MAX / 4)
#define LEAF_MERGED_MAX (LEAF_BYTES_MAX / 4 * 3)
#define BRANCH_MERGE_BELOW (BRANCH_CHILDREN_MAX / 4)
#define BRANCH_MERGED_MAX (BRANCH_CHILDREN_MAX / 4 * 3)

/* Copies what a snapshot sees of the path, so that it can be changed. */
static enum status path_own(struct tree *tree, struct tree_path *path)
{
    struct tree_node *leaf = path->at[path->depth - 1].node;
    struct edit edit;
    struct child copy = {.sum = leaf->count};
    enum status st;

    if (writable(tree, leaf))
        return ST_OK;
    edit_begin(&edit, tree, path);
    copy.node = edit_keep(&edit, tree_alloc(tree, leaf->block.size));
    if (!copy.node)
        return edit_fail(&edit);
    memcpy(&copy.node->heap, &leaf->heap,
           leaf->block.size - offsetof(struct tree_node, heap));
    st = edit_raise(&edit, path->depth - 1, &copy, 1);
    if (st < 0)
        return st;
    path->at[0].node = tree->root.node;
    for (uint32_t i = 1; i < path->depth; i++)
        path->at[i].node =
            branch_children(path->at[i - 1].node)[path->at[i - 1].index];
    return ST_OK;
}

/* Takes the node at `level` out of its parent, and parents left empty. */
static void remove_node(struct tree *tree, struct tree_path *path,
                        uint32_t level)
{
    for (;;) {
        struct tree_node *parent;

        tree_retire(tree, &path->at[level].node->block);
        if (level == 0) {
            tree->root.node = NULL;
            return;
        }
        level--;
        parent = path->at[level].node;
        branch_remove(parent, path->at[level].index);
        if (parent->count > 0)
            break;
    }
    path->depth = level + 1;
}

/* A root with one child is a level for nothing. */
static void lower_root(struct tree *tree)
{
    struct tree_node *root = tree->root.node;

    while (root && root->kind == NODE_BRANCH && root->count == 1) {
        tree->root.node = branch_children(root)[0];
        tree_retire(tree, &root->block);
        root = tree->root.node;
    }
}

/* Puts `merged` in place of the children `left` and `left + 1`. */
static void replace_two(struct tree *tree, struct tree_node *parent,
                        uint32_t left, struct tree_node *merged)
{
    struct tree_node **children = branch_children(parent);

    tree_retire(tree, &children[left]->block);
    tree_retire(tree, &children[left + 1]->block);
    children[left] = merged;
    branch_set_sum(parent, left, branch_sum_of(parent, left, 2));
    branch_remove(parent, left + 1);
}

/* Bytes that the entries of a leaf do not share. */
static size_t leaf_own(const struct tree_node *leaf)
{
    return leaf_live(leaf) - leaf_shared(leaf);
}

/* Two leaves as one page if that is small enough; NULL if not. */
static struct tree_node *merge_leaves(struct tree *tree,
                                      const struct tree_node *left,
                                      const struct tree_node *right)
{
    uint32_t count = (uint32_t)left->count + right->count;
    size_t item_bytes = count * sizeof(struct item);
    struct tree_node *merged = NULL;
    struct scratch scratch;
    struct item *items = scratch_take(&scratch, tree->epochs->mem,
                                      item_bytes + leaf_items_bytes(left) +
                                          leaf_items_bytes(right));
    struct plan plan;
    struct layout layout;
    uint8_t *text;

    if (!items)
        return NULL;
    text = leaf_items(left, items, (uint8_t *)items + item_bytes);
    leaf_items(right, items + left->count, text);
    plan_items(&plan, items, count);
    layout = plan_layout(&plan);
    if (layout.size - layout.shared <= LEAF_MERGED_MAX &&
        !leaf_too_large(layout.size, layout.shared, count)) {
        merged = leaf_alloc(tree, layout.kind, layout.size);
        if (merged)
            leaf_build(&plan, layout.kind, items, merged);
    }
    scratch_free(&scratch);
    return merged;
}

static struct tree_node *
merge_branches(struct tree *tree, const struct tree_node *parent, uint32_t left)
{
    const struct tree_node *a = branch_children(parent)[left];
    const struct tree_node *b = branch_children(parent)[left + 1];
    uint32_t count = (uint32_t)a->count + b->count;
    struct child all[BRANCH_CHILDREN_MAX];
    struct child parents[BRANCH_CHILDREN_MAX];
    struct tree_node *merged = NULL;
    struct scratch scratch;
    size_t parent_bytes = branch_items_bytes(parent);
    size_t a_bytes = branch_items_bytes(a);
    uint8_t *text =
        scratch_take(&scratch, tree->epochs->mem,
                     parent_bytes + a_bytes + branch_items_bytes(b) + 1);

    if (!text)
        return NULL;
    branch_items(parent, parents, text);
    branch_items(a, all, text + parent_bytes);
    branch_items(b, all + a->count, text + parent_bytes + a_bytes);
    /* The separator between the two comes down from the parent. */
    all[a->count].text = parents[left + 1].text;
    all[a->count].size = parents[left + 1].size;
    merged = branch_build(tree, all, count);
    scratch_free(&scratch);
    return merged;
}

/* Gives the unused end of a leaf back once it is four steps or more. */
static void shrink_leaf(struct tree *tree, struct tree_path *path)
{
    struct tree_node *leaf = path->at[path->depth - 1].node;
    struct tree_node *smaller;
    size_t size;

    if (leaf->kind != NODE_STRIDE)
        return;
    size = leaf_capacity(leaf_live(leaf));
    if (size + 4 * LEAF_STEP > leaf->block.size)
        return;
    smaller = tree_alloc(tree, size);
    if (!smaller)
        return;
    memcpy(&smaller->heap, &leaf->heap,
           size - offsetof(struct tree_node, heap));
    if (path->depth > 1)
        branch_children(
            path->at[path->depth - 2].node)[path->at[path->depth - 2].index] =
            smaller;
    else
        tree->root.node = smaller;
    path->at[path->depth - 1].node = smaller;
    tree_retire(tree, &leaf->block);
}

/*
 * After a deletion, on a writable path: joins the page with a sibling if both
 * have become small, and so on upwards. Leaves things as they are when there
 * is no memory for it. False if the path leads nowhere afterwards.
 */
static bool tidy(struct tree *tree, struct tree_path *path)
{
    uint32_t level = path->depth - 1;
    struct tree_node *leaf = path->at[level].node;

    if (leaf->kind != NODE_BRANCH) {
        struct tree_node *merged = NULL;

        if (level > 0 && leaf_own(leaf) < LEAF_MERGE_BELOW &&
            path->at[level - 1].node->count > 1) {
            struct tree_node *parent = path->at[level - 1].node;
            uint32_t left = path->at[level - 1].index;
            struct tree_node **children = branch_children(parent);

            if (left + 1 == parent->count)
                left--;
            if (leaf_own(children[left]) + leaf_own(children[left + 1]) <=
                LEAF_BYTES_MAX)
                merged = merge_leaves(tree, children[left], children[left + 1]);
            if (merged)
                replace_two(tree, parent, left, merged);
        }
        if (!merged) {
            shrink_leaf(tree, path);
            return true;
        }
        level--;
    }
    for (; level > 0; level--) {
        struct tree_node *parent = path->at[level - 1].node;
        uint32_t left = path->at[level - 1].index;
        struct tree_node **children = branch_children(parent);
        struct tree_node *merged;

        if (path->at[level].node->count >= BRANCH_MERGE_BELOW ||
            parent->count < 2)
            break;
        if (left + 1 == parent->count)
            left--;
        if ((uint32_t)children[left]->count + children[left + 1]->count >
            BRANCH_MERGED_MAX)
            break;
        merged = merge_branches(tree, parent, left);
        if (!merged)
            break;
        replace_two(tree, parent, left, merged);
    }
    lower_root(tree);
    return false;
}

static enum status delete_probe(struct tree *tree, struct tree_path *path,
                                const struct probe *probe,
                                struct buffer *old_value,
                                struct tree_change *ret_change)
{
    struct tree_change change = {0};
    struct tree_node *leaf = NULL;
    struct bytes value;
    bool outside;
    bool found = false;
    bool kept = true;
    uint32_t at = 0;
    enum status st;

    if (tree->root.node)
        leaf = path_move(&tree->root, probe, path, &at, &found);
    if (!found) {
        *ret_change = change;
        return ST_OK;
    }
    change.existed = true;
    change.first_alone = probe->first_size == probe->size ||
                         !path_first_is_shared(path, at, true, probe);
    value = leaf_value(leaf, at, &outside);
    if (old_value) {
        old_value->size = 0;
        st = buffer_append(old_value, value_bytes(value, outside));
        if (st < 0)
            return st;
        change.old = buffer_bytes(old_value);
    }
    st = path_own(tree, path);
    if (st < 0)
        return st;
    leaf = path_leaf(path);
    value_retire(tree, leaf_value(leaf, at, &outside), outside);
    leaf_remove(leaf, at);
    path_count(path, path->depth - 1, -1);
    if (leaf->count == 0) {
        remove_node(tree, path, path->depth - 1);
        kept = false;
    }
    if (tree->root.node)
        kept = tidy(tree, path) && kept;
    if (!kept)
        path->depth = 0;
    tree->root.count--;
    tree->root.first_count -= change.first_alone;
    *ret_change = change;
    return ST_OK;
}

static __attribute__((noinline)) enum status
delete_large(struct tree *tree, struct tree_path *path, struct tree_key key,
             struct buffer *old_value, struct tree_change *ret_change)
{
    uint8_t raw[PROBE_LARGE + PROBE_PAD];
    struct probe probe = probe_make(key, false, raw);

    return delete_probe(tree, path, &probe, old_value, ret_change);
}

static enum status delete_key(struct tree *tree, struct tree_path *path,
                              struct tree_key key, struct buffer *old_value,
                              struct tree_change *ret_change)
{
    struct mem *mem = tree->epochs->mem;
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe;
    size_t limit = mem->limit;
    enum status st;

    if (key_raw_size(key) > PROBE_LARGE) {
        *ret_change = (struct tree_change){0};
        return ST_OK;
    }
    mem->limit = SIZE_MAX;
    if (key_raw_size(key) > PROBE_SMALL) {
        st = delete_large(tree, path, key, old_value, ret_change);
    } else {
        probe = probe_make(key, false, raw);
        st = delete_probe(tree, path, &probe, old_value, ret_change);
    }
    mem->limit = limit;
    return st;
}

enum status tree_delete(struct tree *tree, struct tree_key key,
                        struct buffer *old_value,
                        struct tree_change *ret_change)
{
    struct tree_path path;

    path.depth = 0;
    return delete_key(tree, &path, key, old_value, ret_change);
}

enum status tree_delete_near(struct tree *tree, struct tree_path *path,
                             struct tree_key key,
                             struct tree_change *ret_change)
{
    return delete_key(tree, path, key, NULL, ret_change);
}

/* ---------------------------------------------------------------- clear */

void tree_free_nodes(struct tree *tree, struct tree_node *node)
{
    /* Nothing below a lent node can be younger than it is. */
    if (epochs_lent(tree->epochs, &node->block))
        return;
    if (node->kind == NODE_BRANCH) {
        for (uint32_t i = 0; i < node->count; i++)
            tree_free_nodes(tree, branch_children(node)[i]);
    } else if (node->kind == NODE_SLOTTED) {
        for (uint32_t i = 0; i < node->count; i++) {
            bool outside;
            struct bytes value = leaf_value(node, i, &outside);

            value_retire(tree, value, outside);
        }
    }
    tree_retire(tree, &node->block);
}

void tree_clear(struct tree *tree)
{
    if (tree->root.node)
        tree_free_nodes(tree, tree->root.node);
    REQUIRE(tree->bytes == 0 || tree->epochs->base);
    tree_init(tree, tree->epochs);
}
