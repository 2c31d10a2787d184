/*
 * tree_build.c -- a tree from sorted keys, bottom-up.
 *
 * Keys gather until the next one would not fit into a leaf any more; the leaf
 * is then built full, once, and handed to the level above, where children
 * gather in the same way. Nothing is searched and nothing is moved.
 */
#include "core/tree_node.h"

/* Branches are left with some room: a full one splits at the next insert. */
#define CHILDREN_PER_BRANCH (BRANCH_CHILDREN_MAX - 8)

/* Entries of the smallest rows that a leaf can hold. */
#define ITEMS_MAX (LEAF_BYTES_MAX - sizeof(struct tree_node) + 1)

/* Children that wait for their branch; separators lie in `text`. */
struct level {
    struct child children[CHILDREN_PER_BRANCH + 1];
    uint32_t offsets[CHILDREN_PER_BRANCH + 1];
    uint32_t count;
    struct buffer text;
};

struct tree_builder {
    struct tree *tree;
    uint64_t count;
    uint64_t first_count;
    struct plan plans[2]; /* of the items, and room for one with the next */
    struct plan *plan;    /* the former */
    uint32_t item_count;
    struct item items[ITEMS_MAX + 1];
    uint32_t texts[ITEMS_MAX + 1];  /* offsets of the items in `text` */
    uint32_t values[ITEMS_MAX + 1]; /* and of their values in `value` */
    struct buffer text;
    struct buffer value;
    struct buffer last; /* the last key of the leaf before */
    struct level *levels[TREE_HEIGHT_MAX];
    uint32_t level_count;
};

enum status tree_builder_create(struct tree *tree, struct tree_builder **ret)
{
    struct mem *mem = tree->epochs->mem;
    struct tree_builder *builder = mem_alloc(mem, sizeof(*builder));

    REQUIRE(!tree->root.node);
    if (!builder)
        return mem_status(mem);
    builder->tree = tree;
    builder->plan = &builder->plans[0];
    builder->count = 0;
    builder->first_count = 0;
    builder->item_count = 0;
    builder->level_count = 0;
    builder->text = BUFFER(mem);
    builder->value = BUFFER(mem);
    builder->last = BUFFER(mem);
    *ret = builder;
    return ST_OK;
}

static enum status level_create(struct tree_builder *builder)
{
    struct mem *mem = builder->tree->epochs->mem;
    struct level *level = mem_alloc(mem, sizeof(*level));

    REQUIRE(builder->level_count < TREE_HEIGHT_MAX);
    if (!level)
        return mem_status(mem);
    level->count = 0;
    level->text = BUFFER(mem);
    builder->levels[builder->level_count++] = level;
    return ST_OK;
}

static enum status level_flush(struct tree_builder *builder, uint32_t index);

/* Hands a finished node to a level; its separator is copied. */
static enum status level_add(struct tree_builder *builder, uint32_t index,
                             struct child child)
{
    struct level *level;
    enum status st;

    if (index == builder->level_count) {
        st = level_create(builder);
        if (st < 0)
            return st;
    }
    level = builder->levels[index];
    if (level->count == CHILDREN_PER_BRANCH) {
        st = level_flush(builder, index);
        if (st < 0)
            return st;
    }
    level->offsets[level->count] = (uint32_t)level->text.size;
    st = buffer_append(&level->text, bytes_of(child.text, child.size));
    if (st < 0)
        return st;
    level->children[level->count++] = child;
    return ST_OK;
}

/* Builds the branch over what has gathered and hands it upwards. */
static enum status level_flush(struct tree_builder *builder, uint32_t index)
{
    struct level *level = builder->levels[index];
    struct child branch = {0};
    enum status st;

    for (uint32_t i = 0; i < level->count; i++) {
        level->children[i].text = level->text.data + level->offsets[i];
        branch.sum += level->children[i].sum;
    }
    branch.node = branch_build(builder->tree, level->children, level->count);
    if (!branch.node)
        return mem_status(builder->tree->epochs->mem);
    branch.text = level->children[0].text;
    branch.size = level->children[0].size;
    st = level_add(builder, index + 1, branch);
    if (st < 0) {
        tree_retire(builder->tree, &branch.node->block);
        return st;
    }
    level->count = 0;
    level->text.size = 0;
    return ST_OK;
}

/* Writes the gathered entries as one leaf. */
static enum status leaf_flush(struct tree_builder *builder)
{
    struct tree *tree = builder->tree;
    struct child leaf = {.sum = builder->item_count};
    const struct item *end = &builder->items[builder->item_count - 1];
    struct layout layout = plan_layout(builder->plan);
    enum status st;

    for (uint32_t i = 0; i < builder->item_count; i++) {
        builder->items[i].text = builder->text.data + builder->texts[i];
        builder->items[i].value = builder->value.data + builder->values[i];
    }
    leaf.node = tree_alloc(tree, leaf_capacity(layout.size));
    if (!leaf.node)
        return mem_status(tree->epochs->mem);
    leaf_build(builder->plan, layout.kind, builder->items, leaf.node);
    if (builder->count > builder->item_count) {
        leaf.text = builder->items[0].text;
        leaf.size = separator_size(
            buffer_bytes(&builder->last),
            bytes_of(builder->items[0].text, builder->items[0].size));
    }
    st = level_add(builder, 0, leaf);
    if (st < 0) {
        tree_retire(tree, &leaf.node->block);
        return st;
    }
    builder->last.size = 0;
    st = buffer_append(&builder->last, bytes_of(end->text, end->size));
    builder->item_count = 0;
    builder->text.size = 0;
    builder->value.size = 0;
    return st;
}

/* Moves a large value into a block of its own. */
static enum status value_outside(struct tree_builder *builder,
                                 struct bytes value, struct value_block **ret)
{
    struct value_block *block =
        tree_alloc(builder->tree, sizeof(*block) + value.size);

    if (!block)
        return mem_status(builder->tree->epochs->mem);
    memcpy(block->data, value.data, value.size);
    *ret = block;
    return ST_OK;
}

/* Copies key and value to the gathering buffers, as item `item_count`. */
static enum status gather(struct tree_builder *builder, struct tree_key key,
                          struct bytes value, bool outside)
{
    uint32_t at = builder->item_count;
    struct item *item = &builder->items[at];
    uint8_t *text;
    enum status st;

    builder->texts[at] = (uint32_t)builder->text.size;
    builder->values[at] = (uint32_t)builder->value.size;
    st = buffer_reserve(&builder->text, key_raw_size(key));
    if (st < 0)
        return st;
    if (value.size) {
        st = buffer_append(&builder->value, value);
        if (st < 0)
            return st;
    }
    text = builder->text.data + builder->text.size;
    bytes_put(text, key.first);
    bytes_put(text + key.first.size, key.second);
    builder->text.size += key_raw_size(key);
    *item = (struct item){
        .text = text,
        .first_size = (uint32_t)key.first.size,
        .size = (uint32_t)key_raw_size(key),
        .value_size = (uint32_t)value.size,
        .outside = outside,
    };
    return ST_OK;
}

/*
 * Adds the gathered item to the plan of its leaf, or begins a new leaf. The
 * plan with it is made beside the one without and becomes the one in use by
 * a change of pointers: nothing that was just written is copied, which would
 * wait for the writing.
 */
static enum status place(struct tree_builder *builder)
{
    const struct item *added = &builder->items[builder->item_count];
    struct plan *wider = &builder->plans[builder->plan == &builder->plans[0]];
    struct layout layout;
    struct item item;
    enum status st;

    if (builder->item_count == 0) {
        plan_begin(builder->plan, added);
        builder->item_count = 1;
        return ST_OK;
    }
    *wider = *builder->plan;
    wider->head.text = builder->text.data + builder->texts[0];
    plan_add(wider, added);
    layout = plan_layout(wider);
    if (builder->item_count < ITEMS_MAX &&
        !leaf_too_large(layout.size, layout.shared, wider->count)) {
        builder->plan = wider;
        builder->item_count++;
        return ST_OK;
    }
    /* The leaf takes what it has; this item is kept for the next one. */
    item = *added;
    {
        uint32_t text = builder->texts[builder->item_count];
        uint32_t value = builder->values[builder->item_count];
        size_t text_size = builder->text.size - text;
        size_t value_size = builder->value.size - value;

        st = leaf_flush(builder);
        if (st < 0)
            return st;
        memmove(builder->text.data, builder->text.data + text, text_size);
        if (value_size)
            memmove(builder->value.data, builder->value.data + value,
                    value_size);
        builder->text.size = text_size;
        builder->value.size = value_size;
    }
    builder->texts[0] = 0;
    builder->values[0] = 0;
    item.text = builder->text.data;
    builder->items[0] = item;
    plan_begin(builder->plan, &item);
    builder->item_count = 1;
    return ST_OK;
}

/*
 * Is the gathered key greater than the one before it? `*ret_first` tells
 * whether it is the first one of its first component.
 */
static bool ascends(const struct tree_builder *builder, bool *ret_first)
{
    uint32_t at = builder->item_count;
    const struct item *item = &builder->items[at];
    const struct item *last;
    const uint8_t *before;
    uint32_t size_min;
    uint32_t common;

    *ret_first = true;
    if (at == 0)
        return true;
    last = item - 1;
    before = builder->text.data + builder->texts[at - 1];
    size_min = item->size < last->size ? item->size : last->size;
    common = common_prefix(before, item->text, size_min);
    *ret_first =
        common < last->first_size || item->first_size != last->first_size;
    return common < size_min ? item->text[common] > before[common]
                             : item->size > last->size;
}

enum status tree_builder_add(struct tree_builder *builder, struct tree_key key,
                             struct bytes value)
{
    struct value_block *block = NULL;
    bool is_first = true;
    enum status st;

    if (key.first.size > KEY_BYTES_MAX || key.second.size > KEY_BYTES_MAX ||
        value.size > TREE_VALUE_BYTES_MAX)
        return ST_TOO_BIG;
    if (value.size > TREE_VALUE_INLINE_MAX) {
        st = value_outside(builder, value, &block);
        if (st < 0)
            return st;
        value = bytes_of(&block, sizeof(block));
    }
    st = gather(builder, key, value, block != NULL);
    if (st == ST_OK)
        st = ascends(builder, &is_first) ? place(builder) : ST_BAD_ARGUMENT;
    if (st < 0) {
        if (block)
            tree_retire(builder->tree, &block->block);
        return st;
    }
    builder->count++;
    builder->first_count += is_first;
    return ST_OK;
}

uint64_t tree_builder_first_count(const struct tree_builder *builder)
{
    return builder->first_count;
}

static void builder_free(struct tree_builder *builder)
{
    struct mem *mem = builder->tree->epochs->mem;

    for (uint32_t i = 0; i < builder->level_count; i++) {
        buffer_free(&builder->levels[i]->text);
        mem_free(mem, builder->levels[i], sizeof(struct level));
    }
    buffer_free(&builder->text);
    buffer_free(&builder->value);
    buffer_free(&builder->last);
    mem_free(mem, builder, sizeof(*builder));
}

enum status tree_builder_finish(struct tree_builder *builder)
{
    struct tree *tree = builder->tree;
    enum status st = ST_OK;

    if (builder->item_count > 0)
        st = leaf_flush(builder);
    for (uint32_t i = 0; st == ST_OK && i < builder->level_count; i++) {
        bool top = i + 1 == builder->level_count;

        if (top && builder->levels[i]->count == 1)
            break;
        if (builder->levels[i]->count > 0)
            st = level_flush(builder, i);
    }
    if (st < 0) {
        tree_builder_abort(builder);
        return st;
    }
    if (builder->level_count > 0)
        tree->root.node =
            builder->levels[builder->level_count - 1]->children[0].node;
    tree->root.count = builder->count;
    tree->root.first_count = builder->first_count;
    builder_free(builder);
    return ST_OK;
}

void tree_builder_abort(struct tree_builder *builder)
{
    struct tree *tree = builder->tree;

    for (uint32_t i = 0; i < builder->item_count; i++) {
        struct value_block *block;

        if (!builder->items[i].outside)
            continue;
        memcpy(&block, builder->value.data + builder->values[i], sizeof(block));
        tree_retire(tree, &block->block);
    }
    for (uint32_t i = 0; i < builder->level_count; i++) {
        struct level *level = builder->levels[i];

        for (uint32_t j = 0; j < level->count; j++)
            tree_free_nodes(tree, level->children[j].node);
    }
    builder_free(builder);
}
