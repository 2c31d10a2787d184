/*
 * tree.h -- a counted copy-on-write B+tree of byte strings: the one structure
 * under every table.
 *
 * A key is one encoded component, or a pair of two (key.h), and the split
 * between them is told along. Keys are unique. Each may carry a value of
 * opaque bytes. All keys ascend in memcmp() order of first, then second.
 *
 * A position in the order is a *cut*: the gap before or after a key, which
 * need not be there nor be well-formed. (K, "") is the gap before all pairs
 * of K, and (K KEY_ABOVE, "") the one after them.
 *
 * Reading functions take a struct tree_root, so that they serve the live tree
 * and a snapshot alike; they allocate nothing and may run on any thread for a
 * root that a snapshot pins. Writing is the store's own thread's alone.
 */
#ifndef RHIZOME_CORE_TREE_H
#define RHIZOME_CORE_TREE_H

#include "core/buffer.h"
#include "core/bytes.h"
#include "core/epoch.h"
#include "core/key.h"

/* Values up to this many bytes live inside a leaf, larger ones beside it. */
#define TREE_VALUE_INLINE_MAX 128
#define TREE_VALUE_BYTES_MAX (64u << 20)
#define TREE_HEIGHT_MAX 20

struct tree_node;

/* A key, borrowed. `second` is empty where keys have one component. */
struct tree_key {
    struct bytes first;
    struct bytes second;
};

/* The gap before `key`, or right after it. */
struct tree_cut {
    struct tree_key key;
    bool after;
};

/* What readers need. A copy stays valid while a snapshot pins it. */
struct tree_root {
    struct tree_node *node; /* NULL when empty */
    uint64_t count;         /* keys */
    uint64_t first_count;   /* distinct first components */
};

struct tree {
    struct tree_root root;
    struct epochs *epochs;
    size_t bytes; /* charged to the account for this tree */
};

/* An empty tree; it allocates nothing. `epochs` outlives it. */
void tree_init(struct tree *tree, struct epochs *epochs);

/*
 * Lets go of every node, O(nodes that are not lent): those that snapshots see
 * are retired, the others freed. The tree is empty afterwards.
 */
void tree_clear(struct tree *tree);

/* What a change did, in terms of what its caller must report. */
struct tree_change {
    bool existed;     /* the key was there before */
    bool first_alone; /* no other key has the same first component */
    struct bytes old; /* the former value if `existed`: see below */
};

/*
 * Puts `key` with `value` (both copied), replacing the value that was there.
 * `change->old` is a copy in `old_value` (may be NULL: then it is not told).
 * Values of SIZE 0 are as good as none.
 *
 * O(log n) comparisons. Without a snapshot usually no allocation.
 * Errors: ST_TOO_BIG, ST_NO_MEMORY, ST_MEMORY_LIMIT; the tree and the account
 * are then as they were (but for `old_value`'s own memory).
 */
enum status tree_put(struct tree *tree, struct tree_key key, struct bytes value,
                     struct buffer *old_value, struct tree_change *ret_change);

/* The same, but an existing key is left as it is (`existed` tells). */
enum status tree_add(struct tree *tree, struct tree_key key, struct bytes value,
                     struct tree_change *ret_change);

/*
 * Deletes `key`; `existed` tells whether it was there. The memory limit does
 * not count. Errors: ST_NO_MEMORY; the tree is then as it was.
 */
enum status tree_delete(struct tree *tree, struct tree_key key,
                        struct buffer *old_value,
                        struct tree_change *ret_change);

/*
 * True if `key` is there; `*ret_value` (may be NULL) then borrows its value
 * until the tree changes.
 */
bool tree_get(const struct tree_root *root, struct tree_key key,
              struct bytes *ret_value);

/*
 * The way to where a key was looked for last, so that the next one near it is
 * found from there: up only as far as it must, and down again. Begins as zeros.
 * Keys may come in any order, but only those that ascend gain from it: such as
 * share a page take one search in it and a comparison a level at most.
 *
 * It is good for one tree, and until that is changed by other functions than
 * those that take the path; `depth` 0 then makes it a new one. Another path of
 * the tree outlives an addition that leaves `depth` as it was: no page has been
 * replaced.
 */
struct tree_path {
    struct {
        struct tree_node *node;
        uint32_t index; /* of the child taken */
    } at[TREE_HEIGHT_MAX];
    uint32_t depth; /* levels in use */
};

/* tree_get(), tree_put() without the old value, and tree_add() by a path. */
bool tree_get_near(const struct tree_root *root, struct tree_path *path,
                   struct tree_key key, struct bytes *ret_value);
enum status tree_put_near(struct tree *tree, struct tree_path *path,
                          struct tree_key key, struct bytes value,
                          struct tree_change *ret_change);
enum status tree_add_near(struct tree *tree, struct tree_path *path,
                          struct tree_key key, struct bytes value,
                          struct tree_change *ret_change);

/* tree_delete() without the old value, by a path. */
enum status tree_delete_near(struct tree *tree, struct tree_path *path,
                             struct tree_key key,
                             struct tree_change *ret_change);

/*
 * Makes paths to the pages of keys, in step, and asks for the pages, but does
 * not wait: who has something else to do meanwhile finds them in the cache.
 * `path->depth` is 0 where there is nothing to be fetched: the root is a leaf,
 * or the key long. At most TREE_WAYS_MAX of them.
 */
#define TREE_WAYS_MAX 2

struct tree_way {
    const struct tree_root *root;
    struct tree_path *path;
    struct tree_key key;
};

void tree_approach(const struct tree_way *ways, uint32_t count);

/* Where a key is or would be, and the neighbour whose place it may take. */
#define TREE_RIVAL_BYTES 256

struct tree_place {
    bool known; /* of the next three; else ask in other ways */
    bool found;
    bool first_alone;
    uint32_t at;
    uint32_t rival_at;
    struct tree_key rival;
    uint8_t raw[TREE_RIVAL_BYTES]; /* what `rival` borrows */
};

/*
 * Looks for the place of `key`. True if it is not there, a key next to it in
 * its page has the same first component (`rival`), and it fits where that one
 * is: then tree_replace_at() puts it there and cannot fail. That moves no other
 * key. Only for keys without values. False does not tell that there is no
 * such key: tree_add_at(), which is tree_add() without another search, does.
 *
 * Both go by the path and the place as they are after this, with the same key,
 * and the tree must not have changed.
 */
bool tree_find_rival(const struct tree *tree, struct tree_path *path,
                     struct tree_key key, struct tree_place *ret);
void tree_replace_at(struct tree *tree, const struct tree_path *path,
                     const struct tree_place *place, struct tree_key key);
enum status tree_add_at(struct tree *tree, struct tree_path *path,
                        const struct tree_place *place, struct tree_key key,
                        struct tree_change *ret_change);

/* How many keys lie before `cut`. O(log n). */
uint64_t tree_rank(const struct tree_root *root, struct tree_cut cut);

/*
 * A cursor stands on a key of one root, or at the end. It borrows the root
 * and holds nothing; any change to a live tree ends its validity.
 */
struct tree_cursor {
    const struct tree_root *root;
    struct {
        struct tree_node *node;
        uint32_t index;
    } path[TREE_HEIGHT_MAX]; /* path[0] is the root node, last is a leaf */
    int depth;               /* levels in use; 0 at the end */
};

/*
 * Stands on the first key behind `cut`; false (at the end) if there is none.
 * `*ret_rank` (may be NULL) is what tree_rank() would give.
 */
bool tree_cursor_seek(struct tree_cursor *cursor, const struct tree_root *root,
                      struct tree_cut cut, uint64_t *ret_rank);

/* Stands on the key at `position`, from 0; false if there is none. */
bool tree_cursor_select(struct tree_cursor *cursor,
                        const struct tree_root *root, uint64_t position);

/* To the next or previous key; false at the end. O(1) amortised. */
bool tree_cursor_next(struct tree_cursor *cursor);
bool tree_cursor_prev(struct tree_cursor *cursor);

/*
 * Room for one rebuilt key: pages store keys without what they share.
 * Initialise to zero with an account; free with buffer_free(&it.buffer).
 */
struct tree_entry {
    struct buffer buffer;
    struct tree_key key; /* lies in `buffer` until the next call */
    struct bytes value;  /* borrows from the tree */
};

/*
 * Reads the key and value under the cursor. Errors: ST_NO_MEMORY,
 * ST_MEMORY_LIMIT (only when the buffer must grow).
 */
enum status tree_cursor_read(const struct tree_cursor *cursor,
                             struct tree_entry *entry);

/*
 * The keys from a cursor to the end of its page, as they lie there: row i
 * stands for the first component `prefix` + `first_width` bytes and the second
 * `infix` + the next `second_width` bytes, both padded with zeros (key_size()
 * tells their true sizes), and then the value. For those who read millions of
 * keys and need not have each rebuilt.
 */
struct tree_run {
    struct bytes prefix;
    struct bytes infix;
    const uint8_t *rows;
    uint32_t count;
    uint32_t stride;
    uint32_t first_width;
    uint32_t second_width;
};

/*
 * Gives the run under the cursor, which stays where it is: whoever has seen
 * enough does not touch the next page. False if the page has no such rows: then
 * read its keys one by one. The run borrows from the tree.
 */
bool tree_cursor_run(const struct tree_cursor *cursor, struct tree_run *ret);

/* Moves behind the run under the cursor; false: that was the last one. */
bool tree_cursor_skip_run(struct tree_cursor *cursor);

/*
 * Builds a tree bottom-up from keys that ascend strictly: full pages, no
 * descents. Begin on an empty tree; nothing is visible before _finish();
 * _abort() frees all. One builder at a time per tree.
 *
 * _add errors: ST_BAD_ARGUMENT if `key` does not ascend, and as tree_put().
 * After any error only _abort() may follow; a _finish() that fails has
 * aborted.
 */
struct tree_builder;

enum status tree_builder_create(struct tree *tree, struct tree_builder **ret);
enum status tree_builder_add(struct tree_builder *builder, struct tree_key key,
                             struct bytes value);

/* How many distinct first components have been added. */
uint64_t tree_builder_first_count(const struct tree_builder *builder);

enum status tree_builder_finish(struct tree_builder *builder);
void tree_builder_abort(struct tree_builder *builder);

/*
 * Walks the whole tree and verifies every invariant that tree.c states:
 * order, counts, first_count, prefixes, widths, heights, byte account, epochs.
 * On false, `why` says what broke. O(n).
 */
bool tree_check(const struct tree *tree, char *why, size_t why_size);

#endif
