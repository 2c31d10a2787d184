/*
 * leaf.c -- the pages that hold keys and values, in either format, and the
 * plan that decides which one a page gets.
 *
 * A plan is made by looking at each item once: what all firsts share, what
 * all seconds share, how long the longest are. That gives the exact size of
 * the page as stride and a close bound as slotted, and the smaller one wins.
 */
#include "core/leaf_format.h"

/* ---------------------------------------------------------------- plans */

void plan_begin(struct plan *plan, const struct item *item)
{
    *plan = (struct plan){
        .head = *item,
        .count = 1,
        .prefix = item->first_size,
        .infix = item->size - item->first_size,
        .raw_prefix = item->size,
        .size_min = item->size,
        .first_max = item->first_size,
        .second_max = item->size - item->first_size,
        .value_width = item->value_size,
        .even = !item->outside && item->value_size <= STRIDE_VALUE_MAX,
        .text_bytes = item->size,
        .value_bytes = item->value_size,
    };
}

static inline uint32_t min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t max32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void plan_add(struct plan *plan, const struct item *item)
{
    const struct item *head = &plan->head;
    uint32_t second_size = item->size - item->first_size;
    uint32_t raw;

    raw = common_prefix(head->text, item->text,
                        min32(plan->raw_prefix, item->size));
    plan->raw_prefix = raw;
    plan->prefix = min32(plan->prefix, min32(raw, item->first_size));
    plan->infix = common_prefix(head->text + head->first_size,
                                item->text + item->first_size,
                                min32(plan->infix, second_size));
    plan->first_max = max32(plan->first_max, item->first_size);
    plan->second_max = max32(plan->second_max, second_size);
    plan->even =
        plan->even && !item->outside && item->value_size == plan->value_width;
    plan->size_min = min32(plan->size_min, item->size);
    plan->text_bytes += item->size;
    plan->value_bytes += item->value_size;
    plan->count++;
}

void plan_items(struct plan *plan, const struct item *items, uint32_t count)
{
    plan_begin(plan, &items[0]);
    for (uint32_t i = 1; i < count; i++)
        plan_add(plan, &items[i]);
}

/*
 * The slotted size gives credit for the four bytes of a key that stand in its
 * slot only if every key has them: an upper bound otherwise.
 */
struct layout plan_layout(const struct plan *plan)
{
    uint64_t count = plan->count;
    uint64_t row = (uint64_t)plan->first_max - plan->prefix + plan->second_max -
                   plan->infix + plan->value_width;
    uint64_t stride = sizeof(struct tree_node) + plan->prefix + plan->infix +
                      count * row + NODE_SLACK;
    uint64_t in_slots =
        plan->size_min - plan->raw_prefix >= SLOT_HEAD ? SLOT_HEAD : 0;
    uint64_t slotted = sizeof(struct tree_node) + plan->raw_prefix +
                       count * (sizeof(struct slot) - in_slots) +
                       plan->text_bytes - count * plan->raw_prefix +
                       plan->value_bytes;

    if (plan->even && stride <= slotted)
        return (struct layout){NODE_STRIDE, stride,
                               (size_t)plan->prefix + plan->infix};
    return (struct layout){NODE_SLOTTED, slotted, plan->raw_prefix};
}

/* ------------------------------------------------------- either format */

uint32_t leaf_search(const struct tree_node *leaf, const struct probe *probe,
                     bool *ret_found)
{
    return leaf->kind == NODE_STRIDE ? stride_search(leaf, probe, ret_found)
                                     : slotted_search(leaf, probe, ret_found);
}

bool leaf_same_first(const struct tree_node *leaf, uint32_t index,
                     const struct probe *probe)
{
    return leaf->kind == NODE_STRIDE ? stride_same_first(leaf, index, probe)
                                     : slotted_same_first(leaf, index, probe);
}

struct bytes leaf_value(const struct tree_node *leaf, uint32_t index,
                        bool *ret_outside)
{
    if (leaf->kind == NODE_SLOTTED)
        return slotted_value(leaf, index, ret_outside);
    *ret_outside = false;
    return bytes_of(stride_rows(leaf) + (size_t)(index + 1) * stride_of(leaf) -
                        leaf->value_width,
                    leaf->value_width);
}

size_t leaf_live(const struct tree_node *leaf)
{
    return leaf->kind == NODE_STRIDE ? stride_live(leaf) : slotted_live(leaf);
}

size_t leaf_fits(const struct tree_node *leaf, const struct probe *probe,
                 struct bytes value, bool outside)
{
    return leaf->kind == NODE_STRIDE
               ? stride_fits(leaf, probe, value, outside)
               : slotted_fits(leaf, probe, value, outside);
}

void leaf_insert(struct tree_node *leaf, uint32_t index,
                 const struct probe *probe, struct bytes value, bool outside)
{
    if (leaf->kind == NODE_STRIDE)
        stride_insert(leaf, index, probe, value);
    else
        slotted_insert(leaf, index, probe, value, outside);
}

void leaf_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                      uint32_t index, const struct probe *probe,
                      struct bytes value, bool outside)
{
    if (leaf->kind == NODE_STRIDE)
        stride_copy_insert(copy, leaf, index, probe, value);
    else
        slotted_copy_insert(copy, leaf, index, probe, value, outside);
}

bool leaf_replace(struct tree_node *leaf, uint32_t index, struct bytes value,
                  bool outside)
{
    bool was_outside;
    struct bytes old = leaf_value(leaf, index, &was_outside);

    if (outside != was_outside || old.size != value.size)
        return false;
    if (value.size)
        memcpy((uint8_t *)(uintptr_t)old.data, value.data, value.size);
    return true;
}

void leaf_remove(struct tree_node *leaf, uint32_t index)
{
    size_t width =
        leaf->kind == NODE_STRIDE ? stride_of(leaf) : sizeof(struct slot);
    uint8_t *start =
        leaf->kind == NODE_STRIDE ? stride_rows(leaf) : slots_start(leaf);
    uint8_t *at = start + index * width;

    memmove(at, at + width, (leaf->count - index - 1u) * width);
    leaf->count--;
}

void leaf_build(const struct plan *plan, enum node_kind kind,
                const struct item *items, struct tree_node *leaf)
{
    if (kind == NODE_STRIDE)
        stride_build(plan, items, leaf);
    else
        slotted_build(plan, items, leaf);
}

uint32_t leaf_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                  uint32_t *ret_first_size)
{
    return leaf->kind == NODE_STRIDE
               ? stride_key(leaf, index, raw, ret_first_size)
               : slotted_key(leaf, index, raw, ret_first_size);
}

uint32_t leaf_key_bytes_max(const struct tree_node *leaf, uint32_t index)
{
    if (leaf->kind == NODE_STRIDE)
        return (uint32_t)leaf->prefix + leaf->first_width + leaf->infix +
               leaf->second_width;
    return (uint32_t)leaf->prefix + slot_get(leaf, index).size;
}

size_t leaf_items_bytes(const struct tree_node *leaf)
{
    size_t bytes = NODE_SLACK;

    if (leaf->kind == NODE_STRIDE)
        return bytes + (size_t)leaf->count * leaf_key_bytes_max(leaf, 0);
    for (uint32_t i = 0; i < leaf->count; i++)
        bytes += leaf_key_bytes_max(leaf, i);
    return bytes;
}

uint8_t *leaf_items(const struct tree_node *leaf, struct item *items,
                    uint8_t *text)
{
    for (uint32_t i = 0; i < leaf->count; i++) {
        struct item *item = &items[i];
        struct bytes value = leaf_value(leaf, i, &item->outside);

        item->text = text;
        item->size = leaf_key(leaf, i, text, &item->first_size);
        item->value = value.data;
        item->value_size = (uint32_t)value.size;
        text += item->size;
    }
    return text;
}
