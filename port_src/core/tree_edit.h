/*
 * tree_edit.h -- paths and edits, which tree.c (put) and tree_delete.c share.
 * tree.c says what an edit is.
 */
#ifndef RHIZOME_CORE_TREE_EDIT_H
#define RHIZOME_CORE_TREE_EDIT_H

#include "core/tree_node.h"

/* Pages that one insert can cut a leaf into: halves of halves of 2^16. */
#define CUT_MAX 64

/*
 * Nodes made for a change that is not visible yet, and nodes that it will
 * replace. Every level adds a few; the leaf level at most CUT_MAX.
 */
struct edit {
    struct tree *tree;
    struct tree_path *path;
    int64_t delta; /* keys that the change adds */
    uint32_t kept; /* levels of the path that a commit has left in place */
    uint32_t made_count;
    uint32_t gone_count;
    struct epoch_block *made[CUT_MAX + 4 * TREE_HEIGHT_MAX];
    struct epoch_block *gone[2 * TREE_HEIGHT_MAX];
};

static inline bool writable(const struct tree *tree,
                            const struct tree_node *node)
{
    return epochs_writable(tree->epochs, &node->block);
}

static inline struct tree_node *path_leaf(const struct tree_path *path)
{
    return path->at[path->depth - 1].node;
}

/*
 * Starts an edit on the stack: its arrays are large and stay uninitialised.
 */
static inline void edit_begin(struct edit *edit, struct tree *tree,
                              struct tree_path *path)
{
    edit->tree = tree;
    edit->path = path;
    edit->delta = 0;
    edit->kept = TREE_HEIGHT_MAX;
    edit->made_count = 0;
    edit->gone_count = 0;
}

/* Notes a block that the edit made; NULL passes. */
void *edit_keep(struct edit *edit, void *block);

/* Frees what the edit made and tells why the allocation failed. */
enum status edit_fail(struct edit *edit);

/* Adds `delta` keys to the counts of the `levels` topmost branches. */
void path_count(const struct tree_path *path, uint32_t levels, int64_t delta);

/*
 * The node at `level` is to be replaced by `count` others: `fresh`, each but
 * the first with the separator before it. Goes up until storing one pointer
 * does it, and commits. On error it has failed the edit.
 */
enum status edit_raise(struct edit *edit, uint32_t level,
                       const struct child *fresh, uint32_t count);

/*
 * Rebuilds the leaf at the end of the path (or makes the first one) from
 * `items`, as as many pages as they need. `grown` is the index of the item
 * that was added, UINT32_MAX if none was.
 */
enum status edit_rebuild_leaf(struct edit *edit, const struct item *items,
                              uint32_t count, uint32_t grown);

/* A page for `live` bytes with room to grow; NULL as mem.h. */
struct tree_node *leaf_alloc(struct tree *tree, enum node_kind kind,
                             size_t live);

/* Follows `probe` to its leaf. */
struct tree_node *path_descend(const struct tree_root *root,
                               const struct probe *probe,
                               struct tree_path *path);

/*
 * The same from where the path ends, up as far as it must, and down again; and
 * where the probe lies in the leaf, or would.
 */
struct tree_node *path_move(const struct tree_root *root,
                            const struct probe *probe, struct tree_path *path,
                            uint32_t *ret_at, bool *ret_found);

/*
 * Has any key next to position `at` of the path's leaf the probe's first
 * component? With `present` the probe stands at `at` and does not count.
 */
bool path_first_is_shared(const struct tree_path *path, uint32_t at,
                          bool present, const struct probe *probe);

/* The user's bytes of a value, wherever they are. */
static inline struct bytes value_bytes(struct bytes value, bool outside)
{
    const struct value_block *block;

    if (!outside)
        return value;
    memcpy(&block, value.data, sizeof(block));
    return bytes_of(block->data, block->block.size - sizeof(*block));
}

/* Retires the block of a value out of line. */
void value_retire(struct tree *tree, struct bytes value, bool outside);

#endif
