/*
 * tree.c -- a counted copy-on-write B+tree of byte strings.
 *
 *                 [ c0 |q| c1 ]              branch: children, separators,
 *                 /           \              keys below each child
 *        [ c0 |g| c1 ]     [ c0 |u| c1 ]
 *         /      \           /      \
 *      [a b d] [g k m]    [q t]   [u v z]    leaf: keys and values
 *
 * Invariants; tree_check() verifies them all:
 *   1. Keys ascend strictly within a leaf and from leaf to leaf.
 *   2. All leaves lie at the same depth; no leaf and no branch is empty.
 *   3. A separator is greater than every key to its left and not greater
 *      than any to its right.
 *   4. A branch knows the exact number of keys below each child.
 *   5. If a node is writable (epoch.h), so is every node above it.
 *   6. tree->bytes is the sum of the charges of all blocks that the live
 *      root reaches.
 *
 * Writing. The usual change is made in place: the leaf is writable and has
 * room, and the counts above it go up by one; by 5 they can. Anything else is
 * an *edit*: new nodes are built beside the tree, from the leaf upwards,
 * until a level is reached that is changed by storing one pointer. Only when
 * everything has been allocated is that pointer stored and are the old nodes
 * retired. So a failed allocation leaves the tree as it was, and a reader of
 * a snapshot never sees a node change.
 *
 * A deletion first makes its path writable, then removes in place, which
 * cannot fail. Merging small pages afterwards is a matter of tidiness: if
 * there is no memory for it, it is left.
 *
 * Leaves are not linked to their siblings: a link would let a snapshot reach
 * a leaf around its parent, and copying one leaf would force copying them
 * all. A cursor keeps its path instead.
 *
 * The structure is that of R. Bayer, E. McCreight, "Organization and
 * Maintenance of Large Ordered Indexes" (1972); the shortest separators are
 * from R. Bayer, K. Unterauer, "Prefix B-trees" (TODS 1977); copying the path
 * is from J. Driscoll et al., "Making Data Structures Persistent" (1989).
 */
#include "core/tree_edit.h"

void tree_init(struct tree *tree, struct epochs *epochs)
{
    *tree = (struct tree){.epochs = epochs};
}

/* ------------------------------------------------------------------ get */

static bool get_probe(const struct tree_root *root, struct tree_path *path,
                      const struct probe *probe, struct bytes *ret_value)
{
    const struct tree_node *leaf;
    uint32_t at;
    bool found;

    if (!root->node)
        return false;
    leaf = path_move(root, probe, path, &at, &found);
    if (found && ret_value) {
        bool outside;
        struct bytes value = leaf_value(leaf, at, &outside);

        *ret_value = value_bytes(value, outside);
    }
    return found;
}

static __attribute__((noinline)) bool get_large(const struct tree_root *root,
                                                struct tree_path *path,
                                                struct tree_key key,
                                                struct bytes *ret_value)
{
    uint8_t raw[PROBE_LARGE + PROBE_PAD];
    struct probe probe = probe_make(key, false, raw);

    return get_probe(root, path, &probe, ret_value);
}

bool tree_get_near(const struct tree_root *root, struct tree_path *path,
                   struct tree_key key, struct bytes *ret_value)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe;

    if (key_raw_size(key) > PROBE_SMALL)
        return key_raw_size(key) <= PROBE_LARGE &&
               get_large(root, path, key, ret_value);
    probe = probe_make(key, false, raw);
    return get_probe(root, path, &probe, ret_value);
}

bool tree_get(const struct tree_root *root, struct tree_key key,
              struct bytes *ret_value)
{
    struct tree_path path;

    path.depth = 0; /* the others need not be written */
    return tree_get_near(root, &path, key, ret_value);
}

/* ------------------------------------------------------------------ put */

/* A value on its way in. */
struct incoming {
    struct bytes bytes; /* what goes into the leaf */
    bool outside;
    struct value_block *block;
};

/* Values too large for a leaf get a block, which the edit owns for now. */
static bool value_prepare(struct edit *edit, struct bytes value,
                          struct incoming *in)
{
    *in = (struct incoming){.bytes = value};
    if (value.size <= TREE_VALUE_INLINE_MAX)
        return true;
    in->block = edit_keep(
        edit, tree_alloc(edit->tree, sizeof(*in->block) + value.size));
    if (!in->block)
        return false;
    memcpy(in->block->data, value.data, value.size);
    in->bytes = bytes_of(&in->block, sizeof(in->block));
    in->outside = true;
    return true;
}

/*
 * Takes all entries out, puts the probe in at `at` (in place of the entry
 * there with `replace`) and rebuilds.
 */
static enum status put_rebuild(struct edit *edit, const struct probe *probe,
                               const struct incoming *in, uint32_t at,
                               bool replace)
{
    const struct tree_node *leaf = path_leaf(edit->path);
    uint32_t count = leaf->count + !replace;
    size_t item_bytes = (leaf->count + 1u) * sizeof(struct item);
    struct scratch scratch;
    struct item *items = scratch_take(&scratch, edit->tree->epochs->mem,
                                      item_bytes + leaf_items_bytes(leaf));
    enum status st;

    if (!items)
        return edit_fail(edit);
    leaf_items(leaf, items, (uint8_t *)items + item_bytes);
    if (!replace)
        memmove(items + at + 1, items + at,
                (leaf->count - at) * sizeof(struct item));
    items[at] = (struct item){
        .text = probe->raw,
        .first_size = probe->first_size,
        .size = probe->size,
        .value = in->bytes.data,
        .value_size = (uint32_t)in->bytes.size,
        .outside = in->outside,
    };
    st = edit_rebuild_leaf(edit, items, count, replace ? UINT32_MAX : at);
    scratch_free(&scratch);
    return st;
}

/* The leaf has this format already: copy it to a larger page and insert. */
static enum status put_copy(struct edit *edit, const struct probe *probe,
                            const struct incoming *in, uint32_t at, size_t live)
{
    const struct tree_node *leaf = path_leaf(edit->path);
    struct child fresh = {.sum = leaf->count + 1u};
    size_t size =
        leaf->kind == NODE_STRIDE ? leaf_capacity(live) : leaf->block.size;

    fresh.node = edit_keep(edit, tree_alloc(edit->tree, size));
    if (!fresh.node)
        return edit_fail(edit);
    leaf_copy_insert(fresh.node, leaf, at, probe, in->bytes, in->outside);
    return edit_raise(edit, edit->path->depth - 1, &fresh, 1);
}

/*
 * A full page becomes two. False if it must be rebuilt: at its ends too, for
 * what grows there goes alone (cut_leaf()).
 */
static bool put_cut(struct edit *edit, const struct probe *probe,
                    const struct incoming *in, uint32_t at, enum status *ret)
{
    const struct tree_node *leaf = path_leaf(edit->path);
    uint8_t texts[2][LEAF_CUT_KEY_MAX + NODE_SLACK];
    uint32_t sizes[2];
    struct leaf_cut cut;
    struct child fresh[2];

    if (at == 0 || at == leaf->count ||
        !leaf_cut(leaf, at, probe, in->bytes, &cut))
        return false;
    for (int i = 0; i < 2; i++) {
        const struct leaf_half *half = &cut.halves[i];
        uint32_t first_size;

        fresh[i] = (struct child){.sum = half->count};
        fresh[i].node =
            edit_keep(edit, leaf_alloc(edit->tree, NODE_STRIDE, half->size));
        if (!fresh[i].node) {
            *ret = edit_fail(edit);
            return true;
        }
        leaf_cut_build(&cut, half, fresh[i].node);
        sizes[i] = leaf_key(fresh[i].node, i ? 0 : half->count - 1, texts[i],
                            &first_size);
    }
    fresh[1].text = texts[1];
    fresh[1].size = separator_size(bytes_of(texts[0], sizes[0]),
                                   bytes_of(texts[1], sizes[1]));
    *ret = edit_raise(edit, edit->path->depth - 1, fresh, 2);
    return true;
}

static enum status put_first(struct edit *edit, const struct probe *probe,
                             const struct incoming *in)
{
    struct item item = {
        .text = probe->raw,
        .first_size = probe->first_size,
        .size = probe->size,
        .value = in->bytes.data,
        .value_size = (uint32_t)in->bytes.size,
        .outside = in->outside,
    };

    return edit_rebuild_leaf(edit, &item, 1, UINT32_MAX);
}

static enum status put_new(struct edit *edit, const struct probe *probe,
                           const struct incoming *in, uint32_t at)
{
    struct tree_node *leaf = path_leaf(edit->path);
    size_t live = leaf_fits(leaf, probe, in->bytes, in->outside);

    if (!live)
        return put_rebuild(edit, probe, in, at, false);
    if (leaf_too_large(live, leaf_shared(leaf), leaf->count + 1u)) {
        enum status st;

        if (put_cut(edit, probe, in, at, &st))
            return st;
        return put_rebuild(edit, probe, in, at, false);
    }
    if (live > leaf->block.size || !writable(edit->tree, leaf))
        return put_copy(edit, probe, in, at, live);
    leaf_insert(leaf, at, probe, in->bytes, in->outside);
    path_count(edit->path, edit->path->depth - 1, 1);
    return ST_OK;
}

/*
 * A value that fits where the old one was goes into a copy of a page that a
 * snapshot sees. `*ret_done` is false if it does not fit.
 */
static enum status put_over_copy(struct edit *edit, const struct incoming *in,
                                 uint32_t at, bool *ret_done)
{
    const struct tree_node *leaf = path_leaf(edit->path);
    struct child fresh = {.sum = leaf->count};

    fresh.node = tree_alloc(edit->tree, leaf->block.size);
    *ret_done = true;
    if (!fresh.node)
        return edit_fail(edit);
    memcpy(&fresh.node->heap, &leaf->heap,
           leaf->block.size - offsetof(struct tree_node, heap));
    *ret_done = leaf_replace(fresh.node, at, in->bytes, in->outside);
    if (!*ret_done) {
        tree_retire(edit->tree, &fresh.node->block);
        return ST_OK;
    }
    edit_keep(edit, fresh.node);
    return edit_raise(edit, edit->path->depth - 1, &fresh, 1);
}

/* `value` may be the same size as the old one and then fits where it was. */
static enum status put_over(struct edit *edit, const struct probe *probe,
                            const struct incoming *in, uint32_t at)
{
    struct tree_node *leaf = path_leaf(edit->path);
    bool old_outside;
    struct bytes old = leaf_value(leaf, at, &old_outside);
    struct value_block *old_block = NULL;
    enum status st = ST_OK;
    bool done;

    if (old_outside)
        memcpy(&old_block, old.data, sizeof(old_block));
    if (writable(edit->tree, leaf))
        done = leaf_replace(leaf, at, in->bytes, in->outside);
    else
        st = put_over_copy(edit, in, at, &done);
    if (!done)
        st = put_rebuild(edit, probe, in, at, true);
    if (st == ST_OK && old_block)
        tree_retire(edit->tree, &old_block->block);
    return st;
}

enum put_mode { PUT_REPLACE, PUT_KEEP };

static enum status put_existing(struct edit *edit, const struct probe *probe,
                                struct bytes value, enum put_mode mode,
                                struct buffer *old_value, uint32_t at,
                                struct tree_change *ret_change)
{
    const struct tree_node *leaf = path_leaf(edit->path);
    struct incoming in;
    bool outside;
    struct bytes old = leaf_value(leaf, at, &outside);
    enum status st;

    ret_change->existed = true;
    if (mode == PUT_KEEP)
        return ST_OK;
    if (old_value) {
        old_value->size = 0;
        st = buffer_append(old_value, value_bytes(old, outside));
        if (st < 0)
            return st;
        ret_change->old = buffer_bytes(old_value);
    }
    if (!value_prepare(edit, value, &in))
        return edit_fail(edit);
    return put_over(edit, probe, &in, at);
}

/* With `place` the search has been done. */
static inline __attribute__((always_inline)) enum status
put_placed(struct tree *tree, struct tree_path *path, const struct probe *probe,
           const struct tree_place *place, struct bytes value,
           enum put_mode mode, struct buffer *old_value,
           struct tree_change *ret_change)
{
    struct edit edit;
    struct incoming in;
    struct tree_change change = {0};
    enum status st;

    edit_begin(&edit, tree, path);
    if (!tree->root.node) {
        path->depth = 0;
        edit.delta = 1;
        change.first_alone = true;
        if (!value_prepare(&edit, value, &in))
            return edit_fail(&edit);
        st = put_first(&edit, probe, &in);
    } else {
        bool found;
        uint32_t at;

        if (place) {
            at = place->at;
            found = place->found;
        } else {
            path_move(&tree->root, probe, path, &at, &found);
        }
        if (found) {
            st =
                put_existing(&edit, probe, value, mode, old_value, at, &change);
        } else {
            edit.delta = 1;
            change.first_alone =
                place ? place->first_alone
                      : probe->first_size == probe->size ||
                            !path_first_is_shared(path, at, false, probe);
            if (!value_prepare(&edit, value, &in))
                return edit_fail(&edit);
            st = put_new(&edit, probe, &in, at);
        }
    }
    if (st < 0)
        return st;
    if (edit.kept < path->depth)
        path->depth = edit.kept;
    if (!change.existed) {
        tree->root.count++;
        tree->root.first_count += change.first_alone;
    }
    *ret_change = change;
    return ST_OK;
}

static enum status put_probe(struct tree *tree, struct tree_path *path,
                             const struct probe *probe, struct bytes value,
                             enum put_mode mode, struct buffer *old_value,
                             struct tree_change *ret_change)
{
    return put_placed(tree, path, probe, NULL, value, mode, old_value,
                      ret_change);
}

static __attribute__((noinline)) enum status
put_large(struct tree *tree, struct tree_path *path, struct tree_key key,
          struct bytes value, enum put_mode mode, struct buffer *old_value,
          struct tree_change *ret_change)
{
    uint8_t raw[PROBE_LARGE + PROBE_PAD];
    struct probe probe = probe_make(key, false, raw);

    return put_probe(tree, path, &probe, value, mode, old_value, ret_change);
}

static enum status put(struct tree *tree, struct tree_path *path,
                       struct tree_key key, struct bytes value,
                       enum put_mode mode, struct buffer *old_value,
                       struct tree_change *ret_change)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe;

    if (key.first.size > KEY_BYTES_MAX || key.second.size > KEY_BYTES_MAX ||
        value.size > TREE_VALUE_BYTES_MAX)
        return ST_TOO_BIG;
    if (key_raw_size(key) > PROBE_SMALL)
        return put_large(tree, path, key, value, mode, old_value, ret_change);
    probe = probe_make(key, false, raw);
    return put_probe(tree, path, &probe, value, mode, old_value, ret_change);
}

enum status tree_put(struct tree *tree, struct tree_key key, struct bytes value,
                     struct buffer *old_value, struct tree_change *ret_change)
{
    struct tree_path path;

    path.depth = 0;
    return put(tree, &path, key, value, PUT_REPLACE, old_value, ret_change);
}

enum status tree_put_near(struct tree *tree, struct tree_path *path,
                          struct tree_key key, struct bytes value,
                          struct tree_change *ret_change)
{
    return put(tree, path, key, value, PUT_REPLACE, NULL, ret_change);
}

enum status tree_add(struct tree *tree, struct tree_key key, struct bytes value,
                     struct tree_change *ret_change)
{
    struct tree_path path;

    path.depth = 0;
    return put(tree, &path, key, value, PUT_KEEP, NULL, ret_change);
}

enum status tree_add_near(struct tree *tree, struct tree_path *path,
                          struct tree_key key, struct bytes value,
                          struct tree_change *ret_change)
{
    return put(tree, path, key, value, PUT_KEEP, NULL, ret_change);
}

/* --------------------------------------------------------------- places */

/*
 * The entry next to where a key would be and with the same first component.
 * Whichever it is, the key is between the others if it takes its place.
 */
static bool rival_at(const struct tree_node *leaf, uint32_t at,
                     const struct probe *probe, uint32_t *ret)
{
    *ret = at;
    if (at < leaf->count && leaf_same_first(leaf, at, probe))
        return true;
    *ret = at - 1;
    return at > 0 && leaf_same_first(leaf, at - 1, probe);
}

bool tree_find_rival(const struct tree *tree, struct tree_path *path,
                     struct tree_key key, struct tree_place *ret)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    const struct tree_node *leaf;
    struct probe probe;
    uint32_t first_size;
    uint32_t size;

    ret->known = tree->root.node && key_raw_size(key) <= PROBE_SMALL;
    if (!ret->known)
        return false;
    probe = probe_make(key, false, raw);
    leaf = path_move(&tree->root, &probe, path, &ret->at, &ret->found);
    ret->first_alone = probe.first_size == probe.size ||
                       !path_first_is_shared(path, ret->at, ret->found, &probe);
    /* Rows have one width; slots would leave garbage, which needs tidying. */
    if (ret->found || ret->first_alone || leaf->kind != NODE_STRIDE ||
        !writable(tree, leaf) ||
        leaf_key_bytes_max(leaf, 0) + NODE_SLACK > sizeof(ret->raw) ||
        !rival_at(leaf, ret->at, &probe, &ret->rival_at) ||
        !leaf_fits(leaf, &probe, bytes_of(NULL, 0), false))
        return false;
    size = leaf_key(leaf, ret->rival_at, ret->raw, &first_size);
    ret->rival.first = bytes_of(ret->raw, first_size);
    ret->rival.second = bytes_of(ret->raw + first_size, size - first_size);
    return true;
}

void tree_replace_at(struct tree *tree, const struct tree_path *path,
                     const struct tree_place *place, struct tree_key key)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe = probe_make(key, false, raw);
    struct tree_node *leaf = path_leaf(path);
    uint16_t count = leaf->count;

    REQUIRE(writable(tree, leaf) && place->rival_at < count);
    leaf->count = (uint16_t)place->rival_at; /* what is behind stays there */
    leaf_insert(leaf, place->rival_at, &probe, bytes_of(NULL, 0), false);
    leaf->count = count;
}

enum status tree_add_at(struct tree *tree, struct tree_path *path,
                        const struct tree_place *place, struct tree_key key,
                        struct tree_change *ret_change)
{
    uint8_t raw[PROBE_SMALL + PROBE_PAD];
    struct probe probe;

    if (!place->known)
        return tree_add_near(tree, path, key, bytes_of(NULL, 0), ret_change);
    probe = probe_make(key, false, raw);
    return put_placed(tree, path, &probe, place, bytes_of(NULL, 0), PUT_KEEP,
                      NULL, ret_change);
}
