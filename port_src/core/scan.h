/*
 * scan.h -- views: a side of a table, or the set of one key of it, as one
 * sorted sequence that can be counted, ranked and walked both ways.
 *
 * An *element* of a view is
 *     set                         a
 *     pom, to_one                 (key, value)
 *     a side of a pair table      (key, partner)
 *     the held set of one key     partner
 *
 * A view holds nothing and outlives the key it names. Every read positions
 * itself anew by key, "strictly behind this element", so nothing dangles and
 * a live walk sees what lies ahead as it is now.
 */
#ifndef RHIZOME_CORE_SCAN_H
#define RHIZOME_CORE_SCAN_H

#include "core/table.h"

struct view {
    const struct table *table;
    enum side side;
    bool held;        /* the set of `key` only; REQUIREs table_has_second() */
    struct bytes key; /* encoded */
};

enum bound_kind {
    BOUND_NONE,      /* the end of the view on that side */
    BOUND_INCLUSIVE, /* from this key (a held set: element) on */
    BOUND_EXCLUSIVE, /* beyond this key, all its pairs included */
    BOUND_AFTER,     /* beyond exactly this element */
    BOUND_POSITION,  /* the element at this position of the view, from 0 */
};

/*
 * Where a range ends or begins, which need not be an element. `from` is where
 * the walk starts: its lower end when it ascends, its upper when it descends.
 *
 * `first` is a key of the view: an element of a set or held set, the key of a
 * pair or row. `second` is used by BOUND_AFTER on a view of pairs of keys.
 */
struct bound {
    enum bound_kind kind;
    struct bytes first;
    struct bytes second;
    uint64_t position;
};

enum direction { ASCENDING, DESCENDING };

/* Elements of the view in [from, to); `from` is where a walk starts. */
struct range {
    enum direction direction;
    struct bound from;
    struct bound to; /* not BOUND_POSITION, not BOUND_AFTER */
};

/*
 * How many elements lie in a range, and the position in the view (counted
 * ascending) of the first of them in ascending order. O(log n).
 */
uint64_t view_count(const struct view *view, const struct range *range,
                    uint64_t *ret_position);

/*
 * How many elements lie before (first, second), which need not be there; of a
 * pom or to_one the key alone stands for the element. O(log n).
 */
uint64_t view_rank(const struct view *view, struct bytes first,
                   struct bytes second);

/* A walk over a range. The fields are scan.c's own. */
struct scan {
    struct view view;
    struct range range;
    bool keys_only; /* one step a distinct key, not a pair */
    bool skips;     /* keys_only, where a key may have several pairs */
    bool started;
    uint64_t left; /* elements still ahead, an upper bound for keys */
    uint64_t end;  /* position in the tree where the walk ends */
    struct tree_cursor cursor;
    struct tree_entry entry;
    struct buffer last; /* the key just returned, if `skips` */
};

/*
 * Prepares a walk; `keys_only` visits each distinct key once and tells `first`
 * alone. It borrows the bytes of `view` and `range`, allocates nothing and
 * cannot fail; `mem` pays for the buffers that scan_next() grows. The view's
 * table must not change until the walk ends. O(log n).
 */
void scan_init(struct scan *scan, struct mem *mem, const struct view *view,
               const struct range *range, bool keys_only);

/*
 * The next element: `first` and `second` as in the view's orientation, for a
 * held set `first` is the partner and `second` empty; `value` for pom and
 * to_one. They lie in the scan until the next call. `*ret_found` is false at
 * the end. O(1) amortised; of a walk of keys, O(log n) at most.
 * Errors: ST_NO_MEMORY, ST_MEMORY_LIMIT; the walk cannot go on after one.
 */
struct element {
    struct bytes first;
    struct bytes second;
    struct bytes value;
};

enum status scan_next(struct scan *scan, struct element *ret, bool *ret_found);

void scan_free(struct scan *scan);

#endif
