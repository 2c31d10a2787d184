/*
 * tree_node.h -- pages of the tree, for the files tree*.c, leaf*.c and
 * branch.c alone.
 *
 *   stride   | header | prefix | infix | row 0 | row 1 | ...     free |
 *   slotted  | header | prefix | slot 0 | slot 1 | ...  free ... heap |
 *   branch   | header | prefix | heads | children | sums | tails | heap |
 *
 * A leaf is one of two formats and decides by itself, each time it is built.
 *
 * *Stride* serves keys of about equal length. `prefix` is what all first
 * components share, `infix` what all second components share, and a row is
 * what is left of the first, of the second (both padded with zeros to a fixed
 * width) and the value, if all values have one small size. It is a sorted
 * array of fixed-width strings: no offsets, searched without branches. The
 * padding changes no order because components are self-delimiting and never
 * continued by a byte 00 (key.h); their true sizes are read back by
 * key_size().
 *
 * *Slotted* takes the rest: the prefix of the whole key is shared, and a slot
 * holds the next four bytes, so that most comparisons stay in the slots.
 *
 * What a page does not share takes LEAF_BYTES_MAX at most, and a page is
 * allocated in sixteenths of that as it grows, which keeps random inserts at
 * about 90 % fill. Entries too long for that are allowed pages of up to
 * LEAF_OVERSIZE_COUNT of any size. A very long shared part, which is copied
 * for each entry when the page is rebuilt, lets fewer entries share it.
 *
 * A branch separates child i - 1 from child i by the shortest string that is
 * greater than every key of the one and not greater than any of the other:
 * the beginning of the first key of child i. Such a string never ends in 00.
 * `prefix` is common to all separators, `heads` are their next 8 bytes as
 * numbers, `tails` point to what is left in the heap. There are tails only if
 * some separator has one, which is rare, and above leaves a count of keys takes
 * two bytes: branches fill the caches, and are copied for snapshots.
 */
#ifndef RHIZOME_CORE_TREE_NODE_H
#define RHIZOME_CORE_TREE_NODE_H

#include "core/prefetch.h"
#include "core/tree.h"

enum node_kind { NODE_STRIDE, NODE_SLOTTED, NODE_BRANCH };

struct tree_node {
    struct epoch_block block;
    uint32_t heap;         /* slotted, branch: offset of its lowest byte */
    uint16_t count;        /* entries, or children */
    uint16_t prefix;       /* bytes */
    uint16_t infix;        /* stride: bytes */
    uint16_t first_width;  /* stride: bytes; branch: children it has room for */
    uint16_t second_width; /* stride: bytes; branch: those of a tail, or 0 */
    uint8_t value_width;   /* stride: bytes; branch: levels of such below it */
    uint8_t kind;
};

_Static_assert(sizeof(struct tree_node) == 40, "the header has no padding");

/* A size that fills a chunk of the C library exactly: 8 bytes are its own. */
#define LEAF_STEP 64
#define LEAF_BYTES_MAX (16 * LEAF_STEP - MEM_OVERHEAD)
#define LEAF_OVERSIZE_COUNT 4
#define LEAF_SHARED_BYTES_MAX (512u << 10) /* count times shared */
#define NODE_SLACK 8 /* bytes that may be read behind what is used */
#define STRIDE_VALUE_MAX 16

#define BRANCH_CHILDREN_MAX 128
#define BRANCH_STEP 16

/* A value out of line. */
struct value_block {
    struct epoch_block block;
    uint8_t data[];
};

/* Blocks of a tree, charged to it; NULL as mem.h. */
void *tree_alloc(struct tree *tree, size_t size);
void tree_retire(struct tree *tree, struct epoch_block *block);

/* Retires a node, all below it, and their values. */
void tree_free_nodes(struct tree *tree, struct tree_node *node);

/* ---------------------------------------------------------------- probes */

/*
 * A key that is searched for: one contiguous string with zeros behind it, so
 * that eight bytes can be loaded at any offset up to `size`.
 */
#define PROBE_PAD 16
#define PROBE_SMALL 256
#define PROBE_LARGE (2 * KEY_BYTES_MAX + 2)

struct probe {
    const uint8_t *raw;
    uint32_t size;
    uint32_t first_size;
    bool after; /* the gap behind the key rather than before it */
};

static inline size_t key_raw_size(struct tree_key key)
{
    return key.first.size + key.second.size;
}

/* `raw` has room for the key and PROBE_PAD. */
static inline struct probe probe_make(struct tree_key key, bool after,
                                      uint8_t *raw)
{
    if (key.first.size)
        memcpy(raw, key.first.data, key.first.size);
    if (key.second.size)
        memcpy(raw + key.first.size, key.second.data, key.second.size);
    memset(raw + key_raw_size(key), 0, PROBE_PAD);
    return (struct probe){
        .raw = raw,
        .size = (uint32_t)key_raw_size(key),
        .first_size = (uint32_t)key.first.size,
        .after = after,
    };
}

/* ----------------------------------------------------------------- items */

/* An entry taken out of its page: whole key, contiguous. */
struct item {
    const uint8_t *text;
    uint32_t first_size;
    uint32_t size;
    const uint8_t *value; /* inline bytes, or where the pointer is stored */
    uint32_t value_size;
    bool outside; /* `value` holds a struct value_block pointer */
};

/* A child of a branch, taken out or about to be put in. */
struct child {
    struct tree_node *node;
    uint64_t sum;        /* keys below it */
    const uint8_t *text; /* its separator; child 0 has none */
    uint32_t size;
};

/* Memory for a rebuild: on the C stack while it is small. */
struct scratch {
    struct mem *mem;
    void *block;
    size_t size;
    _Alignas(16) uint8_t fixed[12288];
};

static inline void *scratch_take(struct scratch *scratch, struct mem *mem,
                                 size_t size)
{
    scratch->mem = mem;
    scratch->block = NULL;
    scratch->size = size;
    if (size <= sizeof(scratch->fixed))
        return scratch->fixed;
    scratch->block = mem_alloc(mem, size);
    return scratch->block;
}

static inline void scratch_free(struct scratch *scratch)
{
    mem_free(scratch->mem, scratch->block, scratch->size);
}

/* ---------------------------------------------------------------- leaves */

static inline uint8_t *node_bytes(const struct tree_node *node)
{
    return (uint8_t *)(uintptr_t)(node + 1);
}

/* Where `probe` lies in a leaf: `*ret_found` if the entry there equals it. */
uint32_t leaf_search(const struct tree_node *leaf, const struct probe *probe,
                     bool *ret_found);

/* True if the entry's first component is the probe's. */
bool leaf_same_first(const struct tree_node *leaf, uint32_t index,
                     const struct probe *probe);

/* The bytes of the value, which stay where they are. */
struct bytes leaf_value(const struct tree_node *leaf, uint32_t index,
                        bool *ret_outside);

/* Bytes that the entries and the header really take. O(n) when slotted. */
size_t leaf_live(const struct tree_node *leaf);

/*
 * The size this leaf would have with the entry, or 0 if its format or its
 * prefixes do not admit it, so that it must be rebuilt. A slotted leaf with
 * too much garbage counts as such.
 */
size_t leaf_fits(const struct tree_node *leaf, const struct probe *probe,
                 struct bytes value, bool outside);

/* Inserts where leaf_search() said, into room that leaf_fits() promised. */
void leaf_insert(struct tree_node *leaf, uint32_t index,
                 const struct probe *probe, struct bytes value, bool outside);

/*
 * The same, into `copy` of what is in `leaf`: a new page of at least the size
 * that leaf_fits() told. Nothing of the copy is read back, so that nobody
 * waits for its lines, which are cold, to arrive in the cache.
 */
void leaf_copy_insert(struct tree_node *copy, const struct tree_node *leaf,
                      uint32_t index, const struct probe *probe,
                      struct bytes value, bool outside);

/* Overwrites a value by one of the same size and kind; false: rebuild. */
bool leaf_replace(struct tree_node *leaf, uint32_t index, struct bytes value,
                  bool outside);

void leaf_remove(struct tree_node *leaf, uint32_t index);

/* The size of a new page for `live` bytes. */
static inline size_t leaf_capacity(size_t live)
{
    return (live + MEM_OVERHEAD + LEAF_STEP - 1) / LEAF_STEP * LEAF_STEP -
           MEM_OVERHEAD;
}

/* Must a page of `size` bytes, `shared` of them by all entries, be split? */
static inline bool leaf_too_large(size_t size, size_t shared, size_t count)
{
    return count > LEAF_OVERSIZE_COUNT &&
           (size - shared > LEAF_BYTES_MAX ||
            count * shared > LEAF_SHARED_BYTES_MAX);
}

static inline size_t leaf_shared(const struct tree_node *leaf)
{
    return (size_t)leaf->prefix + leaf->infix;
}

/* How the entries of a page will be laid out; grown item by item. */
struct plan {
    struct item head;
    uint32_t count;
    uint32_t prefix;     /* shared by the firsts */
    uint32_t infix;      /* shared by the seconds */
    uint32_t raw_prefix; /* shared by the whole keys */
    uint32_t size_min;   /* of the whole keys */
    uint32_t first_max;
    uint32_t second_max;
    uint32_t value_width;
    bool even; /* values of one small size: stride is possible */
    uint64_t text_bytes;
    uint64_t value_bytes;
};

void plan_begin(struct plan *plan, const struct item *item);
void plan_add(struct plan *plan, const struct item *item);

/* What a page of a plan will be like. */
struct layout {
    enum node_kind kind;
    size_t size;   /* bytes that it takes */
    size_t shared; /* those of them that all entries share */
};

struct layout plan_layout(const struct plan *plan);

/* Plans `count` > 0 items. */
void plan_items(struct plan *plan, const struct item *items, uint32_t count);

/* Writes the planned items to a page of at least layout.size bytes. */
void leaf_build(const struct plan *plan, enum node_kind kind,
                const struct item *items, struct tree_node *leaf);

/* Bytes of scratch that leaf_items() needs for all entries of the leaf. */
size_t leaf_items_bytes(const struct tree_node *leaf);

/*
 * Takes the entries out; `items` has room for all, `text` for their keys.
 * Values stay in the leaf. Returns the first unused byte of `text`.
 */
uint8_t *leaf_items(const struct tree_node *leaf, struct item *items,
                    uint8_t *text);

/*
 * Copies the key of one entry to `raw`, which has room for
 * leaf_key_bytes_max() bytes and NODE_SLACK more, which may be overwritten;
 * returns its size, and the first component's.
 */
uint32_t leaf_key(const struct tree_node *leaf, uint32_t index, uint8_t *raw,
                  uint32_t *ret_first_size);
uint32_t leaf_key_bytes_max(const struct tree_node *leaf, uint32_t index);

/*
 * The rows of a full stride page with one more among them, and the two pages
 * that they will be: what leaf_items() and leaf_build() come to as well, but
 * without taking each key apart. Only for rows of eight bytes and keys of
 * LEAF_CUT_KEY_MAX at most.
 */
#define LEAF_CUT_KEY_MAX 256

struct leaf_half {
    const uint8_t *rows;
    uint32_t count;
    uint32_t prefix; /* bytes that its firsts share besides those of the page */
    uint32_t infix;  /* the same of its seconds */
    size_t size;     /* that its page takes */
};

struct leaf_cut {
    const struct tree_node *leaf;
    struct leaf_half halves[2];
    uint8_t rows[LEAF_BYTES_MAX + STRIDE_VALUE_MAX + 2 * NODE_SLACK];
};

/*
 * Puts the entry in at `index`, where it fits, and plans two halves. False if
 * this is no page for it: then it must be rebuilt.
 */
bool leaf_cut(const struct tree_node *leaf, uint32_t index,
              const struct probe *probe, struct bytes value,
              struct leaf_cut *ret);

/* Writes a half to a page of at least its size. */
void leaf_cut_build(const struct leaf_cut *cut, const struct leaf_half *half,
                    struct tree_node *page);

/* -------------------------------------------------------------- branches */

/* What a search begins with comes first, and is prefetched. */
static inline uint8_t *branch_prefix(const struct tree_node *b)
{
    return node_bytes(b);
}

/* In bytes from the node on. */
static inline size_t branch_heads_at(const struct tree_node *b)
{
    return sizeof(*b) + (b->prefix + 7u) / 8 * 8;
}

static inline uint64_t *branch_heads(const struct tree_node *b)
{
    return (uint64_t *)((uintptr_t)b + branch_heads_at(b));
}

static inline struct tree_node **branch_children(const struct tree_node *b)
{
    return (struct tree_node **)(void *)(branch_heads(b) + b->first_width);
}

/* How many levels of branches are below this one: 0 above leaves. A descent
 * so knows a leaf before it has arrived in the cache. */
static inline uint32_t branch_levels_below(const struct tree_node *b)
{
    return b->value_width;
}

/* How many keys lie below each child, in numbers of either size. */
static inline uint16_t *branch_leaf_sums(const struct tree_node *b)
{
    return (uint16_t *)(void *)(branch_children(b) + b->first_width);
}

static inline uint64_t *branch_branch_sums(const struct tree_node *b)
{
    return (uint64_t *)(void *)(branch_children(b) + b->first_width);
}

static inline uint64_t branch_sum(const struct tree_node *b, uint32_t index)
{
    return branch_levels_below(b) ? branch_branch_sums(b)[index]
                                  : branch_leaf_sums(b)[index];
}

static inline void branch_set_sum(struct tree_node *b, uint32_t index,
                                  uint64_t sum)
{
    if (branch_levels_below(b))
        branch_branch_sums(b)[index] = sum;
    else
        branch_leaf_sums(b)[index] = (uint16_t)sum;
}

/*
 * Asks for a child all at once: a search jumps about in it, and each jump would
 * wait for memory by itself. Of a branch that is the heads and the children,
 * for what is below is needed next.
 */
static inline void child_prefetch(const struct tree_node *branch,
                                  const struct tree_node *child)
{
    if (branch_levels_below(branch))
        prefetch_bytes(child, sizeof(*child) + 16 * BRANCH_CHILDREN_MAX);
    else
        prefetch_bytes(child, LEAF_BYTES_MAX);
}

/* The child that holds what lies right behind `probe`. */
uint32_t branch_search(const struct tree_node *branch,
                       const struct probe *probe);

/* True if the arrays of a branch, and its heap behind them, are within it. */
bool branch_is_sound(const struct tree_node *branch);

/* True if separator `index` > 0 is greater than the probe. */
bool branch_ends_behind(const struct tree_node *branch, uint32_t index,
                        const struct probe *probe);

/* A new branch over `count` children; NULL as mem.h. */
struct tree_node *branch_build(struct tree *tree, const struct child *children,
                               uint32_t count);

/* As leaf_items_bytes() and leaf_items(), for separators. */
size_t branch_items_bytes(const struct tree_node *branch);
void branch_items(const struct tree_node *branch, struct child *children,
                  uint8_t *text);

/*
 * Puts `child` with its separator in as child `index` > 0 if there is room
 * and the prefix admits it; false, and nothing is changed, if not.
 */
bool branch_insert(struct tree_node *branch, uint32_t index,
                   const struct child *child);

/* Takes child `index` and the separator before it out. */
void branch_remove(struct tree_node *branch, uint32_t index);

/* The keys below `count` children from `index` on. */
uint64_t branch_sum_of(const struct tree_node *branch, uint32_t index,
                       uint32_t count);

/*
 * memcmp() for the short strings that pages share, inline. Eight bytes must be
 * readable at both, whatever `size` says.
 */
static inline int short_compare(const uint8_t *a, const uint8_t *b,
                                uint32_t size)
{
    uint64_t x;
    uint64_t y;

    if (size > 8)
        return memcmp(a, b, size);
    if (size == 0)
        return 0;
    x = load_be64(a) >> (64 - 8 * size);
    y = load_be64(b) >> (64 - 8 * size);
    return (x > y) - (x < y);
}

/*
 * memcpy() in steps of eight bytes, inline: up to seven more than `size` are
 * read and written.
 */
static inline void short_copy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    if (size > 32) {
        memcpy(to, from, size);
        return;
    }
    for (uint32_t i = 0; i < size; i += 8)
        memcpy(to + i, from + i, 8);
}

/* The length of what two strings have in common at their beginning. */
static inline uint32_t common_prefix(const uint8_t *a, const uint8_t *b,
                                     uint32_t max)
{
    uint32_t n = 0;

    while (n + 8 <= max) {
        uint64_t x;
        uint64_t y;

        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y)
            return n + (uint32_t)__builtin_ctzll(x ^ y) / 8;
        n += 8;
    }
    while (n < max && a[n] == b[n])
        n++;
    return n;
}

/* How many leading bytes of `right` tell it from `left` < `right`. */
static inline uint32_t separator_size(struct bytes left, struct bytes right)
{
    uint32_t max = (uint32_t)(left.size < right.size ? left.size : right.size);

    return common_prefix(left.data, right.data, max) + 1;
}

#endif
