/*
 * branch.c -- the inner pages: children, how many keys lie below each, and
 * separators as one array of 8-byte numbers. tree_node.h has the picture.
 *
 * A separator that ends within its head is padded with zeros there. Since it
 * does not end in 00 itself, comparing padded heads is exact, and only equal
 * heads with a tail need a second look.
 */
#include "core/tree_node.h"

#define HEAD_BYTES 8

/* In the heap: the size of the tail (big-endian), then its bytes. */
#define TAIL_HEADER 2

/* Where the tails begin, in bytes from the node on. */
static inline size_t tails_at(const struct tree_node *branch)
{
    size_t sum =
        branch_levels_below(branch) ? sizeof(uint64_t) : sizeof(uint16_t);

    return branch_heads_at(branch) + (16 + sum) * branch->first_width;
}

static inline uint32_t *branch_tails(const struct tree_node *branch)
{
    return (uint32_t *)((uintptr_t)branch + tails_at(branch));
}

/* Where a tail is, 0 for none. */
static inline uint32_t tail_offset(const struct tree_node *branch,
                                   uint32_t index)
{
    return branch->second_width ? branch_tails(branch)[index] : 0;
}

static inline struct bytes branch_tail(const struct tree_node *branch,
                                       uint32_t index)
{
    uint32_t offset = tail_offset(branch, index);
    const uint8_t *record = (const uint8_t *)branch + offset;

    if (!offset)
        return bytes_of(NULL, 0);
    return bytes_of(record + TAIL_HEADER, load_be16(record));
}

static uint64_t head_of(const uint8_t *text, uint32_t size)
{
    uint8_t eight[HEAD_BYTES] = {0};

    if (size)
        memcpy(eight, text, size < HEAD_BYTES ? size : HEAD_BYTES);
    return load_be64(eight);
}

/*
 * The separators 1..count-1 whose head is at most `head`, plus one. The
 * comparison is used as a number: a branch on it would be mispredicted every
 * other time. Steps go to a quarter, for three loads take no longer than one.
 */
static inline uint32_t heads_search(const uint64_t *heads, uint32_t count,
                                    uint64_t head)
{
    const uint64_t *at = heads + 1;
    uint32_t left = count - 1;
    uint32_t more = 0;

    while (left > 3) {
        size_t quarter = left / 4;
        const uint64_t *last = at + quarter - 1;

        at += (quarter & -(size_t)(last[0] <= head)) +
              (quarter & -(size_t)(last[quarter] <= head)) +
              (quarter & -(size_t)(last[2 * quarter] <= head));
        left -= 3 * (uint32_t)quarter;
    }
    for (uint32_t i = 0; i < left; i++)
        more += at[i] <= head;
    return (uint32_t)(at - heads) + more;
}

/* What follows the prefix and the head in a probe: the counterpart of a tail.
 */
static inline struct bytes rest_of(const struct probe *probe, uint32_t prefix)
{
    uint32_t from = prefix + HEAD_BYTES;

    return bytes_of(probe->raw + from,
                    probe->size > from ? probe->size - from : 0);
}

uint32_t branch_search(const struct tree_node *branch,
                       const struct probe *probe)
{
    const uint64_t *heads = branch_heads(branch);
    uint32_t prefix = branch->prefix;
    uint64_t head;
    uint32_t at;
    struct bytes rest;

    if (prefix) {
        uint32_t common = probe->size < prefix ? probe->size : prefix;
        int order = short_compare(probe->raw, branch_prefix(branch), common);

        if (order < 0 || (order == 0 && probe->size < prefix))
            return 0;
        if (order > 0)
            return branch->count - 1u;
    }
    head = load_be64(probe->raw + prefix);
    at = heads_search(heads, branch->count, head);
    /* Separators with this head and a greater tail lie behind the probe. */
    rest = rest_of(probe, prefix);
    while (at > 1 && heads[at - 1] == head && tail_offset(branch, at - 1) &&
           bytes_compare(branch_tail(branch, at - 1), rest) > 0)
        at--;
    return at - 1;
}

bool branch_ends_behind(const struct tree_node *branch, uint32_t index,
                        const struct probe *probe)
{
    uint64_t separator = branch_heads(branch)[index];
    uint32_t prefix = branch->prefix;
    uint64_t head;
    struct bytes rest;

    if (prefix) {
        uint32_t common = probe->size < prefix ? probe->size : prefix;
        int order = short_compare(probe->raw, branch_prefix(branch), common);

        if (order || probe->size < prefix)
            return order <= 0;
    }
    head = load_be64(probe->raw + prefix);
    if (head != separator || !tail_offset(branch, index))
        return head < separator;
    rest = rest_of(probe, prefix);
    return bytes_compare(branch_tail(branch, index), rest) > 0;
}

/* Where the arrays end. */
static size_t branch_top(const struct tree_node *branch)
{
    return tails_at(branch) +
           (size_t)branch->first_width * branch->second_width;
}

bool branch_is_sound(const struct tree_node *branch)
{
    return branch->count <= branch->first_width &&
           branch->first_width <= BRANCH_CHILDREN_MAX &&
           (branch->second_width == 0 ||
            branch->second_width == sizeof(uint32_t)) &&
           branch_top(branch) <= branch->heap &&
           branch->heap <= branch->block.size;
}

/* A separator with a tail needs a branch that has tails. */
static void branch_put_separator(struct tree_node *branch, uint32_t index,
                                 const uint8_t *text, uint32_t size)
{
    uint32_t tail = size > HEAD_BYTES ? size - HEAD_BYTES : 0;

    branch_heads(branch)[index] = head_of(text, size);
    if (branch->second_width)
        branch_tails(branch)[index] = 0;
    if (tail) {
        uint8_t *record;

        branch->heap -= TAIL_HEADER + tail;
        record = (uint8_t *)branch + branch->heap;
        record[0] = (uint8_t)(tail >> 8);
        record[1] = (uint8_t)tail;
        memcpy(record + TAIL_HEADER, text + HEAD_BYTES, tail);
        branch_tails(branch)[index] = branch->heap;
    }
}

struct tree_node *branch_build(struct tree *tree, const struct child *children,
                               uint32_t count)
{
    const struct tree_node *child = children[0].node;
    uint32_t room = (count + BRANCH_STEP) / BRANCH_STEP * BRANCH_STEP;
    uint32_t prefix = count > 1 ? children[1].size - 1 : 0;
    struct tree_node plan = {.kind = NODE_BRANCH, .count = (uint16_t)count};
    size_t heap = 0;
    size_t size;
    struct tree_node *branch;

    if (room > BRANCH_CHILDREN_MAX)
        room = BRANCH_CHILDREN_MAX;
    for (uint32_t i = 2; i < count; i++) {
        uint32_t max =
            children[i].size - 1 < prefix ? children[i].size - 1 : prefix;

        prefix = common_prefix(children[1].text, children[i].text, max);
    }
    for (uint32_t i = 1; i < count; i++)
        if (children[i].size - prefix > HEAD_BYTES)
            heap += TAIL_HEADER + children[i].size - prefix - HEAD_BYTES;
    plan.first_width = (uint16_t)room;
    plan.prefix = (uint16_t)prefix;
    if (heap)
        plan.second_width = sizeof(uint32_t);
    if (child->kind == NODE_BRANCH)
        plan.value_width = (uint8_t)(branch_levels_below(child) + 1);
    /* An eighth of what the heap holds is room for more, if it is used. */
    size = branch_top(&plan) + heap + heap / 8;
    plan.heap = (uint32_t)size;
    branch = tree_alloc(tree, size);
    if (!branch)
        return NULL;
    plan.block = branch->block;
    *branch = plan;
    if (prefix)
        memcpy(branch_prefix(branch), children[1].text, prefix);
    for (uint32_t i = 0; i < count; i++) {
        branch_children(branch)[i] = children[i].node;
        branch_set_sum(branch, i, children[i].sum);
        branch_put_separator(branch, i, i ? children[i].text + prefix : NULL,
                             i ? children[i].size - prefix : 0);
    }
    return branch;
}

/* The size of separator `index` > 0: a head without tail ends in no 00. */
static uint32_t separator_bytes(const struct tree_node *branch, uint32_t index)
{
    uint64_t head = branch_heads(branch)[index];
    struct bytes tail = branch_tail(branch, index);

    if (tail.size)
        return branch->prefix + HEAD_BYTES + (uint32_t)tail.size;
    return branch->prefix + HEAD_BYTES -
           (head ? (uint32_t)__builtin_ctzll(head) / 8 : HEAD_BYTES);
}

size_t branch_items_bytes(const struct tree_node *branch)
{
    size_t bytes = 0;

    for (uint32_t i = 1; i < branch->count; i++)
        bytes += separator_bytes(branch, i) + HEAD_BYTES;
    return bytes;
}

void branch_items(const struct tree_node *branch, struct child *children,
                  uint8_t *text)
{
    for (uint32_t i = 0; i < branch->count; i++) {
        struct child *child = &children[i];
        struct bytes tail = branch_tail(branch, i);

        *child = (struct child){
            .node = branch_children(branch)[i],
            .sum = branch_sum(branch, i),
        };
        if (i == 0)
            continue;
        child->text = text;
        child->size = separator_bytes(branch, i);
        memcpy(text, branch_prefix(branch), branch->prefix);
        store_be64(text + branch->prefix, branch_heads(branch)[i]);
        if (tail.size)
            memcpy(text + branch->prefix + HEAD_BYTES, tail.data, tail.size);
        text += child->size;
    }
}

/* Opens or closes a gap at `index` in all arrays. */
static void branch_shift(struct tree_node *branch, uint32_t index, int by)
{
    uint32_t from = by > 0 ? index : index + 1;
    uint32_t to = by > 0 ? index + 1 : index;
    size_t moved = branch->count - from;

    memmove(branch_children(branch) + to, branch_children(branch) + from,
            moved * sizeof(struct tree_node *));
    if (branch_levels_below(branch))
        memmove(branch_branch_sums(branch) + to,
                branch_branch_sums(branch) + from, moved * sizeof(uint64_t));
    else
        memmove(branch_leaf_sums(branch) + to, branch_leaf_sums(branch) + from,
                moved * sizeof(uint16_t));
    memmove(branch_heads(branch) + to, branch_heads(branch) + from,
            moved * sizeof(uint64_t));
    if (branch->second_width)
        memmove(branch_tails(branch) + to, branch_tails(branch) + from,
                moved * sizeof(uint32_t));
    branch->count = (uint16_t)(branch->count + by);
}

bool branch_insert(struct tree_node *branch, uint32_t index,
                   const struct child *child)
{
    uint32_t prefix = branch->prefix;
    uint32_t size;
    size_t heap;

    if (branch->count >= branch->first_width || child->size <= prefix ||
        memcmp(child->text, branch_prefix(branch), prefix))
        return false;
    size = child->size - prefix;
    heap = size > HEAD_BYTES ? TAIL_HEADER + size - HEAD_BYTES : 0;
    if (heap &&
        (!branch->second_width || branch_top(branch) + heap > branch->heap))
        return false;
    branch_shift(branch, index, 1);
    branch_children(branch)[index] = child->node;
    branch_set_sum(branch, index, child->sum);
    branch_put_separator(branch, index, child->text + prefix, size);
    return true;
}

void branch_remove(struct tree_node *branch, uint32_t index)
{
    branch_shift(branch, index, -1);
    if (index == 0 && branch->count) {
        branch_heads(branch)[0] = 0;
        if (branch->second_width)
            branch_tails(branch)[0] = 0;
    }
}

uint64_t branch_sum_of(const struct tree_node *branch, uint32_t index,
                       uint32_t count)
{
    uint64_t total = 0;

    if (branch_levels_below(branch))
        for (uint32_t i = 0; i < count; i++)
            total += branch_branch_sums(branch)[index + i];
    else
        for (uint32_t i = 0; i < count; i++)
            total += branch_leaf_sums(branch)[index + i];
    return total;
}
