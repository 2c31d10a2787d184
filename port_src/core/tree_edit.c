/*
 * tree_edit.c -- descents, and changes that need new nodes: tree.c has the
 * whole picture.
 */
#include "core/tree_edit.h"

void *tree_alloc(struct tree *tree, size_t size)
{
    void *block = epochs_alloc(tree->epochs, size);

    if (block)
        tree->bytes += mem_charge(size);
    return block;
}

void tree_retire(struct tree *tree, struct epoch_block *block)
{
    tree->bytes -= mem_charge(block->size);
    epochs_retire(tree->epochs, block);
}

/*
 * Rebuilding a slotted page is all that makes it larger, so it gets more room
 * to grow than a stride page, which is extended by a plain copy.
 */
struct tree_node *leaf_alloc(struct tree *tree, enum node_kind kind,
                             size_t live)
{
    if (kind == NODE_SLOTTED && live < LEAF_BYTES_MAX) {
        live += live / 2;
        if (live > LEAF_BYTES_MAX)
            live = LEAF_BYTES_MAX;
    }
    return tree_alloc(tree, leaf_capacity(live));
}

/* Retires the block of a value out of line. */
void value_retire(struct tree *tree, struct bytes value, bool outside)
{
    struct value_block *block;

    if (!outside)
        return;
    memcpy(&block, value.data, sizeof(block));
    tree_retire(tree, &block->block);
}

/* -------------------------------------------------------------- descent */

/* One level down, at `level` of the path. Returns the child, and its index. */
static inline struct tree_node *
path_step(struct tree_path *path, uint32_t level, struct tree_node *branch,
          const struct probe *probe, uint32_t *ret_index)
{
    uint32_t index = branch_search(branch, probe);
    struct tree_node *child = branch_children(branch)[index];

    child_prefetch(branch, child);
    path->at[level].node = branch;
    path->at[level].index = index;
    *ret_index = index;
    return child;
}

/* From a node at `level` down to a leaf; the sum of the indices is not 0 if
 * some separator on the way is not greater than the probe. */
static inline struct tree_node *
path_down(struct tree_node *node, uint32_t level, const struct probe *probe,
          struct tree_path *path, uint32_t *ret_indices)
{
    uint32_t indices = 0;

    while (node->kind == NODE_BRANCH) {
        uint32_t index;

        node = path_step(path, level++, node, probe, &index);
        indices += index;
    }
    path->at[level].node = node;
    path->depth = level + 1;
    *ret_indices = indices;
    return node;
}

struct tree_node *path_descend(const struct tree_root *root,
                               const struct probe *probe,
                               struct tree_path *path)
{
    uint32_t indices;

    return path_down(root->node, 0, probe, path, &indices);
}

/* How many levels of branches there are to go; none for a long key. */
static uint32_t way_begin(const struct tree_way *way, uint8_t *raw,
                          struct probe *ret_probe)
{
    struct tree_node *root = way->root->node;

    way->path->depth = 0;
    if (!root || root->kind != NODE_BRANCH ||
        key_raw_size(way->key) > PROBE_SMALL)
        return 0;
    *ret_probe = probe_make(way->key, false, raw);
    way->path->at[0].node = root;
    way->path->depth = 1;
    return branch_levels_below(root) + 1;
}

void tree_approach(const struct tree_way *ways, uint32_t count)
{
    uint8_t raw[TREE_WAYS_MAX][PROBE_SMALL + PROBE_PAD];
    struct probe probes[TREE_WAYS_MAX];
    uint32_t levels[TREE_WAYS_MAX];
    uint32_t most = 0;

    REQUIRE(count <= TREE_WAYS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        levels[i] = way_begin(&ways[i], raw[i], &probes[i]);
        most = levels[i] > most ? levels[i] : most;
    }
    for (uint32_t level = 0; level < most; level++)
        for (uint32_t i = 0; i < count; i++) {
            struct tree_path *path = ways[i].path;
            uint32_t index;

            if (level >= levels[i])
                continue;
            path->at[level + 1].node = path_step(
                path, level, path->at[level].node, &probes[i], &index);
            path->depth = level + 2;
        }
}

/*
 * The lowest level of the path whose node ends behind the probe. A node ends
 * at the separator behind it, or if it is the last child, where its parent
 * ends.
 */
static uint32_t path_level(const struct tree_path *path,
                           const struct probe *probe)
{
    uint32_t level = path->depth - 1;

    for (uint32_t above = level; above-- > 0;) {
        const struct tree_node *branch = path->at[above].node;
        uint32_t next = path->at[above].index + 1;

        if (next == branch->count)
            continue;
        if (branch_ends_behind(branch, next, probe))
            break;
        level = above;
    }
    return level;
}

/* The path has come to another leaf; the one behind it is likely to be next,
 * and can be on its way while this one is worked on. */
static inline void path_expect_next(const struct tree_path *path)
{
    const struct tree_node *branch = path->at[path->depth - 2].node;
    uint32_t next = path->at[path->depth - 2].index + 1;

    if (next < branch->count)
        child_prefetch(branch, branch_children(branch)[next]);
}

/*
 * Where a node ends is asked; where it begins is not, for keys mostly ascend.
 * It shows: a probe that has any entry or separator before it is in its place,
 * and for one that has none the search begins at the root.
 */
struct tree_node *path_move(const struct tree_root *root,
                            const struct probe *probe, struct tree_path *path,
                            uint32_t *ret_at, bool *ret_found)
{
    struct tree_node *leaf;
    uint32_t indices;
    uint32_t level;

    if (path->depth && path->at[0].node == root->node) {
        level = path_level(path, probe);
        leaf = path_down(path->at[level].node, level, probe, path, &indices);
        if (level + 1 < path->depth)
            path_expect_next(path);
        *ret_at = leaf_search(leaf, probe, ret_found);
        if (!level || indices || *ret_at || *ret_found)
            return leaf;
    }
    leaf = path_descend(root, probe, path);
    *ret_at = leaf_search(leaf, probe, ret_found);
    return leaf;
}

static struct tree_node *first_leaf(struct tree_node *node)
{
    while (node->kind == NODE_BRANCH)
        node = branch_children(node)[0];
    return node;
}

static struct tree_node *last_leaf(struct tree_node *node)
{
    while (node->kind == NODE_BRANCH)
        node = branch_children(node)[node->count - 1];
    return node;
}

/* True if the last key before the path's leaf has the probe's first. */
static bool shared_before(const struct tree_path *path,
                          const struct probe *probe)
{
    for (uint32_t level = path->depth - 1; level-- > 0;) {
        uint32_t index = path->at[level].index;

        if (index > 0) {
            const struct tree_node *leaf =
                last_leaf(branch_children(path->at[level].node)[index - 1]);

            return leaf_same_first(leaf, leaf->count - 1u, probe);
        }
    }
    return false;
}

/* True if the first key behind the path's leaf has the probe's first. */
static bool shared_behind(const struct tree_path *path,
                          const struct probe *probe)
{
    for (uint32_t level = path->depth - 1; level-- > 0;) {
        uint32_t index = path->at[level].index + 1;

        if (index < path->at[level].node->count)
            return leaf_same_first(
                first_leaf(branch_children(path->at[level].node)[index]), 0,
                probe);
    }
    return false;
}

/*
 * Has any key next to position `at` the probe's first component? With
 * `present` the probe itself stands at `at` and does not count.
 */
bool path_first_is_shared(const struct tree_path *path, uint32_t at,
                          bool present, const struct probe *probe)
{
    const struct tree_node *leaf = path->at[path->depth - 1].node;
    uint32_t next = at + present;

    if (at > 0 && leaf_same_first(leaf, at - 1, probe))
        return true;
    if (next < leaf->count && leaf_same_first(leaf, next, probe))
        return true;
    if (at == 0 && shared_before(path, probe))
        return true;
    return next == leaf->count && shared_behind(path, probe);
}

/* ---------------------------------------------------------------- edits */

void *edit_keep(struct edit *edit, void *block)
{
    if (block) {
        REQUIRE(edit->made_count < sizeof(edit->made) / sizeof(void *));
        edit->made[edit->made_count++] = block;
    }
    return block;
}

static void edit_replace(struct edit *edit, struct epoch_block *old)
{
    edit->gone[edit->gone_count++] = old;
}

enum status edit_fail(struct edit *edit)
{
    enum status st = mem_status(edit->tree->epochs->mem);

    while (edit->made_count > 0)
        tree_retire(edit->tree, edit->made[--edit->made_count]);
    return st;
}

/* Adds `delta` keys to the counts of the `levels` topmost branches. */
void path_count(const struct tree_path *path, uint32_t levels, int64_t delta)
{
    for (uint32_t i = 0; i < levels; i++) {
        struct tree_node *branch = path->at[i].node;
        uint32_t index = path->at[i].index;

        branch_set_sum(branch, index,
                       branch_sum(branch, index) + (uint64_t)delta);
    }
}

/* `kept` levels of the path hold nodes that are still in the tree. */
static void edit_commit(struct edit *edit, uint32_t levels, uint32_t kept)
{
    edit->kept = kept;
    path_count(edit->path, levels, edit->delta);
    for (uint32_t i = 0; i < edit->gone_count; i++)
        tree_retire(edit->tree, edit->gone[i]);
    for (uint32_t i = 0; i < edit->made_count; i++) {
        const struct epoch_block *made = edit->made[i];

        epochs_expect(edit->tree->epochs, made->size);
    }
}

static struct tree_node *
edit_branch(struct edit *edit, const struct child *children, uint32_t count)
{
    return edit_keep(edit, branch_build(edit->tree, children, count));
}

static uint64_t sum_of(const struct child *children, uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += children[i].sum;
    return sum;
}

/*
 * Builds branches over `all` children and raises them to the level above.
 * `at_end`: the tree grows at its right end, so the left branch stays full.
 */
static enum status edit_cut_branch(struct edit *edit, uint32_t level,
                                   const struct child *all, uint32_t count,
                                   bool at_end)
{
    struct child fresh[4];
    uint32_t pieces = 0;
    uint32_t from = 0;

    while (from < count) {
        uint32_t left = count - from;
        uint32_t take = left;

        if (left > BRANCH_CHILDREN_MAX)
            take =
                at_end && left <= BRANCH_CHILDREN_MAX + 2 ? left - 2 : left / 2;
        if (take > BRANCH_CHILDREN_MAX)
            take = BRANCH_CHILDREN_MAX;
        fresh[pieces] = all[from];
        fresh[pieces].sum = sum_of(all + from, take);
        fresh[pieces].node = edit_branch(edit, all + from, take);
        if (!fresh[pieces].node)
            return edit_fail(edit);
        pieces++;
        from += take;
    }
    return edit_raise(edit, level, fresh, pieces);
}

/* The branch at `level` gets `count` children in place of one: rebuild it. */
static enum status edit_rebuild_branch(struct edit *edit, uint32_t level,
                                       const struct child *fresh,
                                       uint32_t count)
{
    const struct tree_node *branch = edit->path->at[level].node;
    uint32_t index = edit->path->at[level].index;
    struct child all[BRANCH_CHILDREN_MAX + CUT_MAX];
    struct scratch scratch;
    uint8_t *text = scratch_take(&scratch, edit->tree->epochs->mem,
                                 branch_items_bytes(branch) + 1);
    enum status st;

    if (!text)
        return edit_fail(edit);
    branch_items(branch, all, text);
    memmove(all + index + count, all + index + 1,
            (branch->count - index - 1u) * sizeof(all[0]));
    for (uint32_t i = 0; i < count; i++) {
        const struct child old = all[index];

        all[index + i] = fresh[i];
        if (i == 0) {
            all[index].text = old.text;
            all[index].size = old.size;
        }
    }
    st = edit_cut_branch(edit, level, all, branch->count + count - 1,
                         index + 1u == branch->count);
    scratch_free(&scratch);
    return st;
}

/* Stores the one child that changed in a copy of the branch. */
static enum status edit_copy_branch(struct edit *edit, uint32_t level,
                                    const struct child *fresh)
{
    const struct tree_node *branch = edit->path->at[level].node;
    uint32_t index = edit->path->at[level].index;
    struct child copy = {
        .node = edit_keep(edit, tree_alloc(edit->tree, branch->block.size))};

    if (!copy.node)
        return edit_fail(edit);
    memcpy(&copy.node->heap, &branch->heap,
           branch->block.size - offsetof(struct tree_node, heap));
    branch_children(copy.node)[index] = fresh->node;
    branch_set_sum(copy.node, index, fresh->sum);
    /* Adding up the copy would wait for what has just been written. */
    copy.sum = branch_sum_of(branch, 0, branch->count) -
               branch_sum(branch, index) + fresh->sum;
    return edit_raise(edit, level, &copy, 1);
}

/*
 * The node at `level` is to be replaced by `count` others: `fresh`, each but
 * the first with the separator before it. Goes up until a pointer does it.
 */
enum status edit_raise(struct edit *edit, uint32_t level,
                       const struct child *fresh, uint32_t count)
{
    struct tree_path *path = edit->path;
    struct tree_node *parent;
    uint32_t index;

    if (path->depth > 0)
        edit_replace(edit, &path->at[level].node->block);
    if (level == 0) {
        struct tree_node *root = fresh[0].node;

        if (count > 1) {
            root = edit_branch(edit, fresh, count);
            if (!root)
                return edit_fail(edit);
        }
        edit->tree->root.node = root;
        edit_commit(edit, 0, 0);
        return ST_OK;
    }
    level--;
    parent = path->at[level].node;
    index = path->at[level].index;
    if (count == 2 && writable(edit->tree, parent) &&
        branch_insert(parent, index + 1, &fresh[1])) {
        branch_children(parent)[index] = fresh[0].node;
        branch_set_sum(parent, index, fresh[0].sum);
        edit_commit(edit, level, level + 1);
        return ST_OK;
    }
    if (count > 1)
        return edit_rebuild_branch(edit, level, fresh, count);
    if (!writable(edit->tree, parent))
        return edit_copy_branch(edit, level, fresh);
    branch_children(parent)[index] = fresh->node;
    branch_set_sum(parent, index, fresh->sum);
    edit_commit(edit, level, level + 1);
    return ST_OK;
}

/*
 * Cuts items into as many pages as they need, in halves, and appends them to
 * `fresh` with the separators between them. `grown` is the item that was
 * added: at an end of the page it goes alone, since keys that arrive in order
 * would otherwise leave half-empty pages behind.
 */
static bool cut_leaf(struct edit *edit, const struct item *items,
                     uint32_t count, uint32_t grown, struct child *fresh,
                     uint32_t *pieces)
{
    struct plan plan;
    struct layout layout;
    struct child *child;

    plan_items(&plan, items, count);
    layout = plan_layout(&plan);
    if (leaf_too_large(layout.size, layout.shared, count)) {
        uint32_t cut = count / 2;

        if (grown == count - 1)
            cut = grown;
        else if (grown == 0)
            cut = 1;
        return cut_leaf(edit, items, cut, UINT32_MAX, fresh, pieces) &&
               cut_leaf(edit, items + cut, count - cut, UINT32_MAX, fresh,
                        pieces);
    }
    REQUIRE(*pieces < CUT_MAX);
    child = &fresh[*pieces];
    *child = (struct child){.sum = count};
    child->node =
        edit_keep(edit, leaf_alloc(edit->tree, layout.kind, layout.size));
    if (!child->node)
        return false;
    leaf_build(&plan, layout.kind, items, child->node);
    if (*pieces > 0) {
        child->text = items[0].text;
        child->size = separator_size(bytes_of(items[-1].text, items[-1].size),
                                     bytes_of(items[0].text, items[0].size));
    }
    ++*pieces;
    return true;
}

/* Rebuilds the leaf at the end of the path from `items`. */
enum status edit_rebuild_leaf(struct edit *edit, const struct item *items,
                              uint32_t count, uint32_t grown)
{
    struct child fresh[CUT_MAX];
    uint32_t pieces = 0;

    if (!cut_leaf(edit, items, count, grown, fresh, &pieces))
        return edit_fail(edit);
    return edit_raise(edit, edit->path->depth ? edit->path->depth - 1 : 0,
                      fresh, pieces);
}
