/*
 * leaf_format.h -- the two formats of a leaf. leaf.c asks for the format of a
 * page and calls one of these; a cursor reads the rows of one directly.
 * tree_node.h says what each function does.
 */
#ifndef RHIZOME_CORE_LEAF_FORMAT_H
#define RHIZOME_CORE_LEAF_FORMAT_H

#include "core/tree_node.h"

/*
 * -1, 0, 1: the probe's text lies below, among or above what begins with the
 * shared string.
 */
static inline int shared_compare(const uint8_t *text, uint32_t size,
                                 const uint8_t *shared, uint32_t shared_size)
{
    uint32_t common = size < shared_size ? size : shared_size;
    int order = short_compare(text, shared, common);

    if (order)
        return order;
    return size < shared_size ? -1 : 0;
}

static inline uint32_t stride_of(const struct tree_node *leaf)
{
    return (uint32_t)leaf->first_width + leaf->second_width + leaf->value_width;
}

static inline uint8_t *stride_rows(const struct tree_node *leaf)
{
    return node_bytes(leaf) + leaf->prefix + leaf->infix;
}

static inline size_t stride_live(const struct tree_node *leaf)
{
    return sizeof(*leaf) + leaf->prefix + leaf->infix +
           (size_t)leaf->count * stride_of(leaf) + NODE_SLACK;
}

uint32_t stride_search(const struct tree_node *leaf, const struct probe *probe,
                       bool *ret_found);
bool stride_same_first(const struct tree_node *leaf, uint32_t index,
                       const struct probe *probe);
size_t stride_fits(const struct tree_node *leaf, const struct probe *probe,
                   struct bytes value, bool outside);
void stride_insert(struct tree_node *leaf, uint32_t index,
                   const struct probe *probe, struct bytes value);
void stride_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                        uint32_t index, const struct probe *probe,
                        struct bytes value);
uint32_t stride_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                    uint32_t *ret_first_size);
void stride_build(const struct plan *plan, const struct item *items,
                  struct tree_node *leaf);

/*
 * What follows the prefix in a key: four bytes in the slot (padded with zeros
 * if there are less), the others in the heap, and right after them the value,
 * or the pointer to it.
 */
struct slot {
    uint32_t head;
    uint32_t offset;
    uint16_t size;  /* of the key behind the prefix, head included */
    uint16_t value; /* its size, or SLOT_OUTSIDE */
};

#define SLOT_HEAD 4
#define SLOT_OUTSIDE UINT16_MAX

static inline uint8_t *slots_start(const struct tree_node *leaf)
{
    return node_bytes(leaf) + leaf->prefix;
}

/* The prefix leaves slots unaligned: they are copied in and out. */
static inline struct slot slot_get(const struct tree_node *leaf, uint32_t index)
{
    struct slot slot;

    memcpy(&slot, slots_start(leaf) + index * sizeof(slot), sizeof(slot));
    return slot;
}

uint32_t slotted_search(const struct tree_node *leaf, const struct probe *probe,
                        bool *ret_found);
bool slotted_same_first(const struct tree_node *leaf, uint32_t index,
                        const struct probe *probe);
size_t slotted_live(const struct tree_node *leaf);
size_t slotted_fits(const struct tree_node *leaf, const struct probe *probe,
                    struct bytes value, bool outside);
void slotted_insert(struct tree_node *leaf, uint32_t index,
                    const struct probe *probe, struct bytes value,
                    bool outside);
void slotted_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                         uint32_t index, const struct probe *probe,
                         struct bytes value, bool outside);
uint32_t slotted_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                     uint32_t *ret_first_size);
struct bytes slotted_value(const struct tree_node *leaf, uint32_t index,
                           bool *ret_outside);
void slotted_build(const struct plan *plan, const struct item *items,
                   struct tree_node *leaf);

#endif
