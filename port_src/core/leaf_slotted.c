/*
 * leaf_slotted.c -- leaves for keys of uneven length: tree_node.h has the
 * picture.
 *
 * The heap grows down to meet the slots. What a deletion leaves in it is not
 * tracked: when an entry does not fit any more the page is rebuilt, and that
 * drops what no slot points to.
 */
#include "core/leaf_format.h"

static inline void slot_set(struct tree_node *leaf, uint32_t index,
                            struct slot slot)
{
    memcpy(slots_start(leaf) + index * sizeof(slot), &slot, sizeof(slot));
}

static inline uint32_t slot_tail(struct slot slot)
{
    return slot.size > SLOT_HEAD ? slot.size - SLOT_HEAD : 0;
}

static inline uint32_t slot_value_bytes(struct slot slot)
{
    return slot.value == SLOT_OUTSIDE ? sizeof(void *) : slot.value;
}

static inline uint8_t *slot_heap(const struct tree_node *leaf, struct slot slot)
{
    return (uint8_t *)(uintptr_t)leaf + slot.offset;
}

/* Up to four bytes as a number, zeros behind them. */
static inline uint32_t head_of(const uint8_t *text, uint32_t size)
{
    uint8_t four[SLOT_HEAD] = {0};

    memcpy(four, text, size < SLOT_HEAD ? size : SLOT_HEAD);
    return load_be32(four);
}

/* The order of an entry against `size` bytes of `text` behind the prefix. */
static int slot_compare(const struct tree_node *leaf, struct slot slot,
                        uint32_t head, const uint8_t *text, uint32_t size)
{
    if (slot.head != head)
        return slot.head < head ? -1 : 1;
    if (slot.size > SLOT_HEAD && size > SLOT_HEAD)
        return bytes_compare(bytes_of(slot_heap(leaf, slot), slot_tail(slot)),
                             bytes_of(text + SLOT_HEAD, size - SLOT_HEAD));
    return (slot.size > size) - (slot.size < size);
}

uint32_t slotted_search(const struct tree_node *leaf, const struct probe *probe,
                        bool *ret_found)
{
    const uint8_t *text = probe->raw + leaf->prefix;
    uint32_t size;
    uint32_t head;
    uint32_t at = 0;
    uint32_t count = leaf->count;
    int order =
        shared_compare(probe->raw, probe->size, node_bytes(leaf), leaf->prefix);

    *ret_found = false;
    if (order)
        return order < 0 ? 0 : leaf->count;
    size = probe->size - leaf->prefix;
    head = head_of(text, size);
    while (count > 0) {
        uint32_t half = count / 2;

        order = slot_compare(leaf, slot_get(leaf, at + half), head, text, size);
        if (order < 0) {
            at += half + 1;
            count -= half + 1;
        } else if (order > 0) {
            count = half;
        } else {
            *ret_found = true;
            return at + half + probe->after;
        }
    }
    return at;
}

uint32_t slotted_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                     uint32_t *ret_first_size)
{
    struct slot slot = slot_get(leaf, index);
    uint32_t size = (uint32_t)leaf->prefix + slot.size;
    uint8_t four[SLOT_HEAD];

    memcpy(raw, node_bytes(leaf), leaf->prefix);
    store_be32(four, slot.head);
    memcpy(raw + leaf->prefix, four,
           slot.size < SLOT_HEAD ? slot.size : SLOT_HEAD);
    memcpy(raw + leaf->prefix + SLOT_HEAD, slot_heap(leaf, slot),
           slot_tail(slot));
    *ret_first_size = (uint32_t)key_size(bytes_of(raw, size));
    return size;
}

/* The byte `offset` of an entry's key; it must be there. */
static uint8_t slotted_byte(const struct tree_node *leaf, struct slot slot,
                            uint32_t offset)
{
    if (offset < leaf->prefix)
        return node_bytes(leaf)[offset];
    offset -= leaf->prefix;
    if (offset < SLOT_HEAD)
        return (uint8_t)(slot.head >> (24 - 8 * offset));
    return slot_heap(leaf, slot)[offset - SLOT_HEAD];
}

/* The entry begins with the probe's first, and that is where its own ends. */
bool slotted_same_first(const struct tree_node *leaf, uint32_t index,
                        const struct probe *probe)
{
    struct slot slot = slot_get(leaf, index);
    uint32_t size = (uint32_t)leaf->prefix + slot.size;

    if (size < probe->first_size)
        return false;
    if (size > probe->first_size &&
        slotted_byte(leaf, slot, probe->first_size) >= KEY_ABOVE)
        return false;
    for (uint32_t i = probe->first_size; i-- > 0;)
        if (slotted_byte(leaf, slot, i) != probe->raw[i])
            return false;
    return true;
}

static size_t slotted_entry_bytes(uint32_t size, uint32_t value_bytes)
{
    return sizeof(struct slot) + value_bytes +
           (size > SLOT_HEAD ? size - SLOT_HEAD : 0);
}

size_t slotted_live(const struct tree_node *leaf)
{
    size_t live = sizeof(*leaf) + leaf->prefix;

    for (uint32_t i = 0; i < leaf->count; i++) {
        struct slot slot = slot_get(leaf, i);

        live += slotted_entry_bytes(slot.size, slot_value_bytes(slot));
    }
    return live;
}

size_t slotted_fits(const struct tree_node *leaf, const struct probe *probe,
                    struct bytes value, bool outside)
{
    size_t top =
        sizeof(*leaf) + leaf->prefix + leaf->count * sizeof(struct slot);
    size_t need;

    if (probe->size < leaf->prefix ||
        memcmp(probe->raw, node_bytes(leaf), leaf->prefix))
        return 0;
    need = slotted_entry_bytes(probe->size - leaf->prefix,
                               outside ? sizeof(void *) : (uint32_t)value.size);
    if (top + need > leaf->heap)
        return 0;
    return leaf->block.size;
}

/* Writes one entry at the low end of the heap. */
static void slotted_write(struct tree_node *leaf, uint32_t index,
                          const uint8_t *text, uint32_t size,
                          struct bytes value, bool outside)
{
    struct slot slot = {
        .head = head_of(text, size),
        .size = (uint16_t)size,
        .value = outside ? SLOT_OUTSIDE : (uint16_t)value.size,
    };
    uint8_t *heap;

    leaf->heap -= slot_tail(slot) + slot_value_bytes(slot);
    slot.offset = leaf->heap;
    heap = slot_heap(leaf, slot);
    if (size > SLOT_HEAD)
        memcpy(heap, text + SLOT_HEAD, size - SLOT_HEAD);
    if (value.size)
        memcpy(heap + slot_tail(slot), value.data, value.size);
    slot_set(leaf, index, slot);
}

void slotted_insert(struct tree_node *leaf, uint32_t index,
                    const struct probe *probe, struct bytes value, bool outside)
{
    uint8_t *at = slots_start(leaf) + index * sizeof(struct slot);

    memmove(at + sizeof(struct slot), at,
            (leaf->count - index) * sizeof(struct slot));
    leaf->count++;
    slotted_write(leaf, index, probe->raw + leaf->prefix,
                  probe->size - leaf->prefix, value, outside);
}

void slotted_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                         uint32_t index, const struct probe *probe,
                         struct bytes value, bool outside)
{
    const uint8_t *from = slots_start(leaf) + index * sizeof(struct slot);
    size_t before = (size_t)(from - (const uint8_t *)&leaf->heap);
    uint8_t *to = (uint8_t *)&copy->heap + before;

    memcpy(&copy->heap, &leaf->heap, before);
    memcpy(to + sizeof(struct slot), from,
           (leaf->count - index) * sizeof(struct slot));
    memcpy((uint8_t *)copy + leaf->heap, (const uint8_t *)leaf + leaf->heap,
           leaf->block.size - leaf->heap);
    copy->count = (uint16_t)(leaf->count + 1);
    slotted_write(copy, index, probe->raw + leaf->prefix,
                  probe->size - leaf->prefix, value, outside);
}

void slotted_build(const struct plan *plan, const struct item *items,
                   struct tree_node *leaf)
{
    leaf->kind = NODE_SLOTTED;
    leaf->heap = leaf->block.size;
    leaf->count = (uint16_t)plan->count;
    leaf->prefix = (uint16_t)plan->raw_prefix;
    leaf->infix = 0;
    leaf->first_width = 0;
    leaf->second_width = 0;
    leaf->value_width = 0;
    memcpy(node_bytes(leaf), items[0].text, plan->raw_prefix);
    for (uint32_t i = 0; i < plan->count; i++)
        slotted_write(leaf, i, items[i].text + plan->raw_prefix,
                      items[i].size - plan->raw_prefix,
                      bytes_of(items[i].value, items[i].value_size),
                      items[i].outside);
}

struct bytes slotted_value(const struct tree_node *leaf, uint32_t index,
                           bool *ret_outside)
{
    struct slot slot = slot_get(leaf, index);

    *ret_outside = slot.value == SLOT_OUTSIDE;
    return bytes_of(slot_heap(leaf, slot) + slot_tail(slot),
                    slot_value_bytes(slot));
}
