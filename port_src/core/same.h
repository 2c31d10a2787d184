/*
 * same.h -- whether two versions of a tree, or of a view, hold the same.
 *
 * Versions of one tree share the nodes that no write between them touched, and
 * a node that both share holds the same in both. So comparing them costs what
 * was changed, not what is there. Trees that share nothing may be compared
 * too, at the cost of their keys.
 *
 * All of it may run on any thread, as reading does (tree.h).
 */
#ifndef RHIZOME_CORE_SAME_H
#define RHIZOME_CORE_SAME_H

#include "core/scan.h"

/* Room for comparisons, one after the other, and what the last one found. */
struct same {
    struct tree_entry entries[2];
    struct tree_key key; /* the first that differs; lies in `entries` */
    uint64_t nodes;      /* nodes looked into so far: what it has cost */
};

/* `mem` pays for the keys that a comparison rebuilds. */
void same_init(struct same *same, struct mem *mem);
void same_free(struct same *same);

/*
 * Whether two trees hold the same keys with the same values (byte for byte)
 * between two cuts. On `*ret` false, same->key is the first key, in ascending
 * order, that only one of them has or that has another value: as it lies in
 * the tree, until the next comparison.
 *
 * O(log n), and for each page that only one of the two has: its keys, and
 * what lies beside it and above it in branches.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status tree_same(struct same *same, const struct tree_root *a,
                      const struct tree_root *b, struct tree_cut from,
                      struct tree_cut to, bool *ret);

/*
 * Whether a walk over `range` meets the same elements in two views, which are
 * one view of two versions of a table; with `keys_only`, values (pom, to_one)
 * do not matter. All bounds are allowed that scan_init() allows.
 *
 * `last` tells where a walk ended before the end of its range: BOUND_AFTER the
 * last element that it met, or BOUND_INCLUSIVE for the last key of a walk of
 * keys, whose pairs are then compared too. What lies beyond was not read and
 * is not compared. NULL: it went to the end.
 *
 * same->key, cost and errors as tree_same(). The key is one of the tree of
 * the view's side: (held key, element) of a held set.
 */
enum status view_same(struct same *same, const struct view *a,
                      const struct view *b, const struct range *range,
                      const struct bound *last, bool keys_only, bool *ret);

#endif
