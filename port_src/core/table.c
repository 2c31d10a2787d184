/*
 * table.c -- nine types of table from one row of traits each, two primitives
 * and one rule.
 *
 * Elements of six types are pairs of keys (a set's second key is empty). They
 * change through pair_add() and pair_remove() and nothing else:
 *
 *     pair_add(a, b)     note ADD;  fwd + (a, b);  bwd + (b, a)
 *     pair_remove(a, b)  note REMOVE;  fwd - (a, b);  bwd - (b, a)
 *
 * Both trees change or neither does, whichever side or held set the command
 * came through; symmetry is theirs to keep and nobody else can break it.
 *
 * The rule of insertion: add the pair, then whoever now has two partners and
 * may have one loses the old one. An insertion tells whether it was the first
 * of its component anyway (tree_change.first_alone), so a unique side costs
 * nothing until it evicts: a many_to_many insert is two descents, and so is a
 * one_to_many insert of a fresh b. An eviction adds one descent to find the
 * rival and two to remove it.
 *
 * A graph has no elements here: its parts are tables of the other types, and it
 * is an entry of the catalog with a digest (graph.c).
 *
 * A pom and a to_one map keys to values instead, in the fwd tree alone. A
 * replaced value is noted as REMOVE of the old, then ADD; undone backwards,
 * that deletes the key and puts the old value back.
 *
 * Invariants; table_check() verifies them:
 *   1. (a, b) is in fwd if and only if (b, a) is in bwd.
 *   2. On a unique side, keys and pairs are equally many.
 *   3. Every row of a pom has an id below next_id (unless all are given out).
 *   4. The digest is the sum of the hashes of all elements (digest.h).
 *   5. References: integrity.c has the rules and two invariants more.
 *
 * Of 4, whoever changes a tree changes the digest, once both trees have it:
 * pair_add(), pair_remove(), row_put() and row_remove() here, and in change.c
 * the undoing and the clearing; load.c brings a sum of its own.
 */
#include "core/table.h"

#include <stdio.h>

#include "core/etf.h"
#include "core/graph_internal.h"
#include "core/store_internal.h"

#define NONE (bytes_of(NULL, 0))

/* clang-format off */
static const struct table_traits traits_of[TABLE_TYPE_COUNT] = {
    /*                       name           unique fwd, bwd  bwd    2nd    value */
    [TABLE_POM] =          { "pom",          {true,  false}, false, false, true  },
    [TABLE_SET] =          { "set",          {false, false}, false, false, false },
    [TABLE_TO_ONE] =       { "to_one",       {true,  false}, false, false, true  },
    [TABLE_TO_MANY] =      { "to_many",      {false, false}, false, true,  false },
    [TABLE_ONE_TO_ONE] =   { "one_to_one",   {true,  true},  true,  true,  false },
    [TABLE_ONE_TO_MANY] =  { "one_to_many",  {false, true},  true,  true,  false },
    [TABLE_MANY_TO_ONE] =  { "many_to_one",  {true,  false}, true,  true,  false },
    [TABLE_MANY_TO_MANY] = { "many_to_many", {false, false}, true,  true,  false },
    [TABLE_GRAPH] =        { "graph",        {false, false}, false, false, false },
};
/* clang-format on */

/* --- What a table is ---------------------------------------------------- */

const char *table_type_name(enum table_type type)
{
    return traits_of[type].name;
}

bool table_type_has_bwd(enum table_type type)
{
    return traits_of[type].has_bwd;
}

bool table_type_has_value(enum table_type type)
{
    return traits_of[type].has_value;
}

bool table_type_parse(struct bytes name, enum table_type *ret)
{
    for (enum table_type type = 0; type < TABLE_TYPE_COUNT; type++) {
        const char *known = traits_of[type].name;

        if (bytes_equal(name, bytes_of(known, strlen(known)))) {
            *ret = type;
            return true;
        }
    }
    return false;
}

enum status table_create(struct store *store, struct bytes name,
                         enum table_type type, struct table **ret)
{
    struct table *table = object_alloc(store, sizeof(*table) + name.size);

    if (!table)
        return mem_status(store->mem);
    table->store = store;
    table->birth = store->epochs.now;
    table->traits = &traits_of[type];
    table->type = type;
    table->part = graph_is_part_name(name);
    table->next_id = 1;
    table->name_size = name.size;
    memcpy(table->name, name.data, name.size);
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        tree_init(&table->trees[side], &store->epochs);
        table->links[side].table = table;
        table->links[side].side = side;
    }
    *ret = table;
    return ST_OK;
}

struct table *table_copy(struct store *store, const struct table *table)
{
    size_t size = sizeof(*table) + table->name_size;
    struct table *copy = object_alloc(store, size);

    if (copy) {
        memcpy(copy, table, size);
        copy->places = NULL;
    }
    return copy;
}

void table_discard(struct store *store, struct table *table)
{
    if (table->places)
        graph_memo_clear(store, &table->places->memo);
    object_free(store, table->places, sizeof(*table->places));
    object_free(store, table, sizeof(*table) + table->name_size);
}

void table_free(struct store *store, struct table *table)
{
    tree_clear(&table->trees[SIDE_FWD]);
    tree_clear(&table->trees[SIDE_BWD]);
    table_discard(store, table);
}

struct bytes table_name(const struct table *table)
{
    return bytes_of(table->name, table->name_size);
}

enum table_type table_type(const struct table *table)
{
    return table->type;
}

struct table_reference table_reference(const struct table *table,
                                       enum side side)
{
    return (struct table_reference){table->links[side].target,
                                    table->links[side].on_delete};
}

bool table_has_side(const struct table *table, enum side side)
{
    if (side == SIDE_BWD)
        return table->traits->has_bwd;
    return table->type != TABLE_GRAPH;
}

bool table_is_unique(const struct table *table, enum side side)
{
    return table->traits->unique[side];
}

bool table_has_second(const struct table *table)
{
    return table->traits->has_second;
}

bool table_has_value(const struct table *table)
{
    return table->traits->has_value;
}

const struct tree_root *table_root(const struct table *table, enum side side)
{
    REQUIRE(table_has_side(table, side));
    return &table->trees[side].root;
}

uint64_t table_count(const struct table *table)
{
    return table->trees[SIDE_FWD].root.count;
}

uint64_t table_key_count(const struct table *table, enum side side)
{
    return table_root(table, side)->first_count;
}

size_t table_bytes(const struct table *table)
{
    return table->trees[SIDE_FWD].bytes + table->trees[SIDE_BWD].bytes;
}

uint64_t table_next_id(const struct table *table)
{
    return table->next_id;
}

struct digest table_digest(const struct table *table)
{
    return table->digest;
}

uint64_t table_changed_seq(const struct table *table)
{
    return table->changed_seq;
}

uint32_t table_note(const struct table *table)
{
    return table->note;
}

void table_set_note(struct table *table, uint32_t note)
{
    table->note = note;
}

bool table_is_part(const struct table *table)
{
    return table->part;
}

/* --- Reading ------------------------------------------------------------ */

/* A pair's key in the tree of `side`, from its components in fwd order. */
static struct tree_key pair_key(enum side side, struct bytes a, struct bytes b)
{
    return side == SIDE_FWD ? (struct tree_key){a, b} : (struct tree_key){b, a};
}

static struct tree_key single(struct bytes key)
{
    return (struct tree_key){key, NONE};
}

bool table_has_key(const struct table *table, enum side side, struct bytes key)
{
    const struct tree_root *root = table_root(table, side);

    if (!table->traits->has_second)
        return tree_get(root, single(key), NULL);
    return root->count && rank_below(root, key) < rank_above(root, key);
}

enum status table_get(const struct table *table, enum side side,
                      struct bytes key, struct tree_entry *entry,
                      bool *ret_found, struct bytes *ret)
{
    const struct tree_root *root = table_root(table, side);
    struct tree_cut cut = {single(key), false};
    struct tree_cursor cursor;
    enum status st;

    REQUIRE(table_is_unique(table, side));
    if (table->traits->has_value) {
        *ret_found = tree_get(root, single(key), ret);
        return ST_OK;
    }
    if (!tree_cursor_seek(&cursor, root, cut, NULL)) {
        *ret_found = false;
        return ST_OK;
    }
    st = tree_cursor_read(&cursor, entry);
    if (st < 0)
        return st;
    *ret_found = bytes_equal(entry->key.first, key);
    if (*ret_found)
        *ret = entry->key.second;
    return ST_OK;
}

/* True if two terms of this same tag are equal only if their bytes are. */
static bool has_one_form(uint8_t tag)
{
    return tag == ETF_SMALL_INTEGER || tag == ETF_INTEGER ||
           tag == ETF_NEW_FLOAT || tag == ETF_BINARY;
}

/*
 * Are two external terms =:=? A value that is too big for a key, or has none,
 * is compared by its bytes. Exempt: reads go on at the memory limit.
 */
static enum status values_equal(struct store *store, struct bytes a,
                                struct bytes b, bool *ret)
{
    struct buffer *keys = store->values;
    enum status st_a;
    enum status st_b = ST_OK;

    *ret = bytes_equal(a, b);
    if (*ret || !a.size || !b.size)
        return ST_OK;
    if (a.data[0] == b.data[0] && has_one_form(a.data[0]))
        return ST_OK;

    keys[0].size = 0;
    keys[1].size = 0;
    mem_exempt_begin(store->mem);
    st_a = key_encode(a, &keys[0]);
    if (st_a == ST_OK)
        st_b = key_encode(b, &keys[1]);
    mem_exempt_end(store->mem);
    if (st_a == ST_NO_MEMORY || st_b == ST_NO_MEMORY)
        return ST_NO_MEMORY;
    *ret = st_a == ST_OK && st_b == ST_OK &&
           bytes_equal(buffer_bytes(&keys[0]), buffer_bytes(&keys[1]));
    return ST_OK;
}

enum status table_member(struct store *store, const struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret)
{
    const struct tree_root *root = table_root(table, side);
    struct bytes value;

    if (table->traits->has_value) {
        *ret = tree_get(root, single(first), &value);
        return *ret ? values_equal(store, value, second, ret) : ST_OK;
    }
    if (!table->traits->has_second)
        second = NONE;
    *ret = tree_get(root, (struct tree_key){first, second}, NULL);
    return ST_OK;
}

/* --- Pairs of keys ------------------------------------------------------ */

/*
 * The pages of both trees are fetched at once, and while the change is noted
 * down. A path that leads somewhere is kept: it is likely to be near.
 */
static void pair_approach(const struct table *table,
                          struct tree_path *const paths[2], struct bytes a,
                          struct bytes b)
{
    struct tree_way ways[2];
    uint32_t count = 0;

    if (!table->traits->has_bwd)
        return;
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
        if (!paths[side]->depth)
            ways[count++] = (struct tree_way){
                .root = &table->trees[side].root,
                .path = paths[side],
                .key = pair_key(side, a, b),
            };
    tree_approach(ways, count);
}

/*
 * Where a pair is, or is to be, in each tree; unused if the table has no such
 * tree. A place is that of a search in this tree which has been made already,
 * or NULL.
 */
struct pair_place {
    struct tree_path *paths[2];
    const struct tree_place *places[2];
};

static enum status pair_add_half(struct table *table, enum side side,
                                 const struct pair_place *at, struct bytes a,
                                 struct bytes b, struct tree_change *ret)
{
    struct tree *tree = &table->trees[side];
    struct tree_key key = pair_key(side, a, b);

    if (at->places[side])
        return tree_add_at(tree, at->paths[side], at->places[side], key, ret);
    return tree_add_near(tree, at->paths[side], key, NONE, ret);
}

/*
 * Adds (a, b), if it is not there. `alone[side]` then tells whether its key
 * of that side has no other partner.
 */
static enum status pair_add(struct store *store, struct table *table,
                            const struct pair_place *at, struct bytes a,
                            struct bytes b, bool alone[2], bool *ret_added)
{
    struct tree *fwd = &table->trees[SIDE_FWD];
    struct tree_change change;
    enum status st;

    st = change_push(store, CHANGE_ADD, table, a, b);
    if (st < 0)
        return st;
    st = pair_add_half(table, SIDE_FWD, at, a, b, &change);
    if (st < 0 || change.existed) {
        change_pop(store);
        *ret_added = false;
        return st;
    }
    alone[SIDE_FWD] = change.first_alone;
    if (table->traits->has_bwd) {
        st = pair_add_half(table, SIDE_BWD, at, a, b, &change);
        if (st < 0) {
            undo_delete(store, fwd, pair_key(SIDE_FWD, a, b));
            at->paths[SIDE_FWD]->depth = 0;
            change_pop(store);
            return st;
        }
        REQUIRE(!change.existed);
        alone[SIDE_BWD] = change.first_alone;
    }
    digest_add(&table->digest, change_digest(store));
    *ret_added = true;
    return ST_OK;
}

/* Removes (a, b), if it is there. */
static enum status pair_remove(struct store *store, struct table *table,
                               struct bytes a, struct bytes b,
                               bool *ret_removed)
{
    struct tree *fwd = &table->trees[SIDE_FWD];
    struct tree_path fwd_path;
    struct tree_path bwd_path;
    struct tree_change change;
    enum status st;

    fwd_path.depth = 0; /* the others need not be written */
    bwd_path.depth = 0;
    pair_approach(table, (struct tree_path *[]){&fwd_path, &bwd_path}, a, b);
    st = change_push(store, CHANGE_REMOVE, table, a, b);
    if (st < 0)
        return st;
    st = tree_delete_near(fwd, &fwd_path, pair_key(SIDE_FWD, a, b), &change);
    if (st < 0 || !change.existed) {
        change_pop(store);
        *ret_removed = false;
        return st;
    }
    if (table->traits->has_bwd) {
        st = tree_delete_near(&table->trees[SIDE_BWD], &bwd_path,
                              pair_key(SIDE_BWD, a, b), &change);
        if (st < 0) {
            undo_put(store, fwd, pair_key(SIDE_FWD, a, b), NONE);
            change_pop(store);
            return st;
        }
        REQUIRE(change.existed);
    }
    digest_subtract(&table->digest, change_digest(store));
    *ret_removed = true;
    return ST_OK;
}

/*
 * The key of `side` in (a, b) has just got a second partner on a unique side:
 * removes the pair with the other one.
 */
static enum status pair_evict(struct store *store, struct table *table,
                              enum side side, struct bytes a, struct bytes b)
{
    struct tree_key kept = pair_key(side, a, b);
    struct tree_cut cut = {single(kept.first), false};
    struct tree_key *found = &store->entry.key;
    struct tree_key rival;
    struct tree_cursor cursor;
    bool removed;
    enum status st;

    REQUIRE(tree_cursor_seek(&cursor, &table->trees[side].root, cut, NULL));
    st = tree_cursor_read(&cursor, &store->entry);
    if (st < 0)
        return st;
    if (bytes_equal(found->second, kept.second)) {
        REQUIRE(tree_cursor_next(&cursor));
        st = tree_cursor_read(&cursor, &store->entry);
        if (st < 0)
            return st;
    }
    REQUIRE(bytes_equal(found->first, kept.first));

    rival = pair_key(side, found->first, found->second);
    st = pair_remove(store, table, rival.first, rival.second, &removed);
    REQUIRE(st < 0 || removed);
    return st;
}

/*
 * pair_add() of (a, b) and pair_remove() of its rival on the unique `side`,
 * whose place it takes there. The rival's page in the other tree is on its way
 * while (a, b) is added.
 */
static enum status pair_swap(struct store *store, struct table *table,
                             const struct pair_place *at, enum side side,
                             struct bytes a, struct bytes b)
{
    enum side other = side_other(side);
    struct tree *tree = &table->trees[other];
    struct tree_path *path = at->paths[other];
    const struct tree_key *rival = &at->places[side]->rival;
    struct tree_key gone = pair_key(side, rival->first, rival->second);
    struct tree_key gone_key = pair_key(other, gone.first, gone.second);
    struct tree_path gone_path;
    struct tree_way way = {&tree->root, &gone_path, gone_key};
    struct tree_change change;
    struct digest added;
    uint32_t height;
    enum status st;

    tree_approach(&way, 1);
    height = gone_path.depth;
    st = change_push(store, CHANGE_ADD, table, a, b);
    if (st < 0)
        return st;
    added = change_digest(store);
    st = tree_add_near(tree, path, pair_key(other, a, b), NONE, &change);
    if (st < 0)
        goto fail_add;
    REQUIRE(!change.existed);
    if (path->depth < height)
        gone_path.depth = 0;
    path->depth = 0; /* the pages are another path's from here on */
    st = change_push(store, CHANGE_REMOVE, table, gone.first, gone.second);
    if (st < 0)
        goto fail_remove;
    st = tree_delete_near(tree, &gone_path, gone_key, &change);
    if (st < 0) {
        change_pop(store);
        goto fail_remove;
    }
    REQUIRE(change.existed);
    tree_replace_at(&table->trees[side], at->paths[side], at->places[side],
                    pair_key(side, a, b));
    digest_add(&table->digest, added);
    digest_subtract(&table->digest, change_digest(store));
    return ST_OK;

fail_remove:
    undo_delete(store, tree, pair_key(other, a, b));
fail_add:
    change_pop(store);
    return st;
}

/* The side on which a rival can be replaced: the unique one, if only one is. */
static bool swaps_at(const struct table *table, enum side *ret)
{
    const bool *unique = table->traits->unique;

    *ret = unique[SIDE_BWD] ? SIDE_BWD : SIDE_FWD;
    return table->traits->has_bwd && unique[SIDE_FWD] != unique[SIDE_BWD];
}

static enum status pair_insert(struct store *store, struct table *table,
                               struct tree_path *fwd_path, struct bytes a,
                               struct bytes b, bool *ret_inserted)
{
    struct tree_path bwd_path;
    struct pair_place at = {{fwd_path, &bwd_path}, {NULL, NULL}};
    bool alone[2] = {true, true};
    struct tree_place place;
    enum side side;
    enum status st;

    bwd_path.depth = 0; /* the others need not be written */
    pair_approach(table, at.paths, a, b);
    if (swaps_at(table, &side)) {
        at.places[side] = &place;
        if (tree_find_rival(&table->trees[side], at.paths[side],
                            pair_key(side, a, b), &place)) {
            *ret_inserted = true;
            return pair_swap(store, table, &at, side, a, b);
        }
    }
    st = pair_add(store, table, &at, a, b, alone, ret_inserted);
    if (st < 0 || !*ret_inserted)
        return st;
    for (side = SIDE_FWD; side <= SIDE_BWD; side++) {
        if (alone[side] || !table->traits->unique[side])
            continue;
        fwd_path->depth = 0;
        st = pair_evict(store, table, side, a, b);
        if (st < 0)
            return st;
    }
    return ST_OK;
}

/* Removes all pairs of `key`, which must not lie in the change list. */
static enum status pairs_remove(struct store *store, struct table *table,
                                enum side side, struct bytes key,
                                uint64_t *ret_count)
{
    struct tree_cut cut = {single(key), false};
    struct tree_cursor cursor;
    uint64_t count = 0;
    enum status st;

    while (tree_cursor_seek(&cursor, &table->trees[side].root, cut, NULL)) {
        struct tree_key pair;
        bool removed;

        st = tree_cursor_read(&cursor, &store->entry);
        if (st < 0)
            return st;
        if (!bytes_equal(store->entry.key.first, key))
            break;
        pair = pair_key(side, store->entry.key.first, store->entry.key.second);
        st = pair_remove(store, table, pair.first, pair.second, &removed);
        if (st < 0)
            return st;
        REQUIRE(removed);
        count++;
    }
    *ret_count = count;
    return ST_OK;
}

/* --- Keys with values --------------------------------------------------- */

/* Puts a row; `old` is the value it had, in the tree, or NULL for none. */
static enum status row_put(struct store *store, struct table *table,
                           struct tree_path *path, struct bytes key,
                           struct bytes value, const struct bytes *old)
{
    struct tree_change change;
    struct digest gone = {0, 0};
    enum status st;

    if (old) {
        st = change_push(store, CHANGE_REMOVE, table, key, *old);
        if (st < 0)
            return st;
        gone = change_digest(store);
    }
    st = change_push(store, CHANGE_ADD, table, key,
                     store->keeps_values ? value : NONE);
    if (st < 0)
        goto fail_old;
    st = tree_put_near(&table->trees[SIDE_FWD], path, single(key), value,
                       &change);
    if (st < 0)
        goto fail_add;
    digest_subtract(&table->digest, gone);
    digest_add(&table->digest, digest_element(key, value));
    return ST_OK;

fail_add:
    change_pop(store);
fail_old:
    if (old)
        change_pop(store);
    return st;
}

static enum status row_remove(struct store *store, struct table *table,
                              struct bytes key, struct bytes old)
{
    struct tree_change change;
    enum status st;

    st = change_push(store, CHANGE_REMOVE, table, key, old);
    if (st < 0)
        return st;
    st = tree_delete(&table->trees[SIDE_FWD], single(key), NULL, &change);
    if (st < 0) {
        change_pop(store);
        return st;
    }
    digest_subtract(&table->digest, change_digest(store));
    return ST_OK;
}

static enum status row_insert(struct store *store, struct table *table,
                              struct tree_path *path, struct bytes key,
                              struct bytes value, bool *ret_inserted)
{
    struct bytes old;
    bool equal = false;
    enum status st;

    if (!tree_get_near(&table->trees[SIDE_FWD].root, path, single(key), &old)) {
        *ret_inserted = true;
        return row_put(store, table, path, key, value, NULL);
    }
    st = values_equal(store, old, value, &equal);
    *ret_inserted = !equal;
    if (st < 0 || equal)
        return st;
    return row_put(store, table, path, key, value, &old);
}

/* --- Deleting, of either kind ------------------------------------------- */

static enum status element_remove(struct store *store, struct table *table,
                                  enum side side, struct bytes first,
                                  struct bytes second, bool *ret_removed)
{
    struct tree_key pair = pair_key(side, first, second);
    struct bytes old;
    bool equal = false;
    enum status st;

    if (!table->traits->has_value)
        return pair_remove(store, table, pair.first,
                           table->traits->has_second ? pair.second : NONE,
                           ret_removed);
    *ret_removed = false;
    if (!tree_get(&table->trees[SIDE_FWD].root, single(first), &old))
        return ST_OK;
    st = values_equal(store, old, second, &equal);
    if (st < 0 || !equal)
        return st;
    *ret_removed = true;
    return row_remove(store, table, first, old);
}

enum status table_remove_key(struct store *store, struct table *table,
                             enum side side, struct bytes key,
                             uint64_t *ret_count)
{
    struct bytes old;

    if (!table->traits->has_value)
        return pairs_remove(store, table, side, key, ret_count);
    *ret_count = tree_get(&table->trees[SIDE_FWD].root, single(key), &old);
    return *ret_count ? row_remove(store, table, key, old) : ST_OK;
}

/* --- Mutations ---------------------------------------------------------- */

static enum status refuse(struct store *store, const struct table *table)
{
    return store_fail(store, ST_WRONG_TABLE_TYPE, NULL, table_name(table),
                      NONE);
}

/* `pair` is in fwd orientation, and `path` one of the fwd tree. */
static enum status insert(struct store *store, struct table *table,
                          struct tree_path *path, struct tree_key pair,
                          bool *ret_inserted)
{
    size_t mark = store_change_mark(store);
    bool inserted = false;
    enum status st;

    if (table->traits->has_value)
        st = row_insert(store, table, path, pair.first, pair.second, &inserted);
    else
        st = pair_insert(store, table, path, pair.first,
                         table->traits->has_second ? pair.second : NONE,
                         &inserted);
    if (st == ST_OK && table->linked) {
        path->depth = 0;
        st = integrity_settle(store, mark);
    }
    if (st == ST_OK)
        *ret_inserted = inserted;
    return st;
}

enum status table_insert(struct store *store, struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret_inserted)
{
    struct tree_path path;

    REQUIRE(store->open);
    if (table->type == TABLE_POM || !table_has_side(table, side))
        return refuse(store, table);
    path.depth = 0; /* the others need not be written */
    return insert(store, table, &path, pair_key(side, first, second),
                  ret_inserted);
}

enum status table_insert_near(struct store *store, struct table *table,
                              struct tree_path *path, struct bytes first,
                              struct bytes second, bool *ret_inserted)
{
    REQUIRE(store->open);
    if (table->type == TABLE_POM || !table_has_side(table, SIDE_FWD))
        return refuse(store, table);
    return insert(store, table, path, (struct tree_key){first, second},
                  ret_inserted);
}

enum status table_insert_new(struct store *store, struct table *table,
                             enum side side, struct bytes first,
                             struct bytes second, bool *ret_inserted)
{
    enum side other = side_other(side);
    bool taken =
        table_is_unique(table, side) && table_has_key(table, side, first);

    taken = taken || (table_is_unique(table, other) &&
                      table_has_key(table, other, second));
    if (!taken)
        return table_insert(store, table, side, first, second, ret_inserted);
    *ret_inserted = false;
    return ST_OK;
}

enum status table_delete(struct store *store, struct table *table,
                         enum side side, struct bytes first,
                         struct bytes second, bool *ret_deleted)
{
    size_t mark = store_change_mark(store);
    bool removed = false;
    enum status st;

    REQUIRE(store->open);
    if (!table_has_side(table, side))
        return refuse(store, table);
    mem_exempt_begin(store->mem);
    st = element_remove(store, table, side, first, second, &removed);
    if (st == ST_OK && table->linked)
        st = integrity_settle(store, mark);
    mem_exempt_end(store->mem);
    if (st == ST_OK)
        *ret_deleted = removed;
    return st;
}

enum status table_delete_key(struct store *store, struct table *table,
                             enum side side, struct bytes key,
                             uint64_t *ret_count)
{
    size_t mark = store_change_mark(store);
    uint64_t count = 0;
    enum status st;

    REQUIRE(store->open);
    if (!table_has_side(table, side))
        return refuse(store, table);
    mem_exempt_begin(store->mem);
    st = table_remove_key(store, table, side, key, &count);
    if (st == ST_OK && table->linked)
        st = integrity_settle(store, mark);
    mem_exempt_end(store->mem);
    if (st == ST_OK)
        *ret_count = count;
    return st;
}

enum status pom_insert(struct store *store, struct table *table,
                       struct bytes value, uint64_t *ret_id)
{
    uint64_t id = table->next_id;
    struct tree_path path;
    enum status st;

    REQUIRE(store->open);
    if (table->type != TABLE_POM)
        return refuse(store, table);
    if (!id)
        return store_fail(store, ST_EXHAUSTED, NULL, table_name(table), NONE);
    store->key.size = 0;
    st = key_encode_u64(id, &store->key);
    if (st < 0)
        return st;
    st = change_next_id(store, table);
    if (st < 0)
        return st;
    path.depth = 0;
    st = row_put(store, table, &path, buffer_bytes(&store->key), value, NULL);
    if (st == ST_OK)
        *ret_id = id;
    return st;
}

enum status pom_update(struct store *store, struct table *table,
                       struct bytes id, struct bytes value)
{
    struct tree_path path;
    struct bytes old;

    REQUIRE(store->open);
    if (table->type != TABLE_POM)
        return refuse(store, table);
    path.depth = 0;
    if (!tree_get_near(&table->trees[SIDE_FWD].root, &path, single(id), &old))
        return store_fail(store, ST_NOT_FOUND, NULL, table_name(table), id);
    return row_put(store, table, &path, id, value, &old);
}

enum status table_clear(struct store *store, struct table *table)
{
    size_t mark = store_change_mark(store);
    enum status st;

    REQUIRE(store->open);
    mem_exempt_begin(store->mem);
    st = change_clear(store, table);
    if (st == ST_OK && table->linked)
        st = integrity_settle(store, mark);
    mem_exempt_end(store->mem);
    return st;
}

/* --- Checking ----------------------------------------------------------- */

struct check {
    const struct table *table;
    char *why;
    size_t why_size;
};

static bool broken(const struct check *check, const char *text)
{
    if (check->why_size)
        snprintf(check->why, check->why_size, "%s: %s",
                 table_type_name(check->table->type), text);
    return false;
}

static bool check_key(const struct check *check, enum side side,
                      struct tree_key key)
{
    const struct table *table = check->table;
    uint64_t id;

    if (table->traits->has_second != (key.second.size > 0))
        return broken(check, "a key has the wrong number of components");
    if (table->type == TABLE_POM && (!key_decode_u64(key.first, &id) || !id ||
                                     (table->next_id && id >= table->next_id)))
        return broken(check, "a row has an id that was not given out");
    if (table->traits->has_bwd &&
        !tree_get(&table->trees[side_other(side)].root,
                  (struct tree_key){key.second, key.first}, NULL))
        return broken(check, "a pair is missing in the other direction");
    if (!integrity_check_key(table, side, key.first))
        return broken(check, "a key is missing in the table it refers to");
    return true;
}

static bool check_side(const struct check *check, enum side side)
{
    const struct table *table = check->table;
    const struct tree *tree = &table->trees[side];
    struct tree_entry entry = {.buffer = BUFFER(tree->epochs->mem)};
    struct tree_cursor cursor;
    struct digest sum = {0, 0};
    bool good = true;

    if (!tree_check(tree, check->why, check->why_size))
        return false;
    if (!table_has_side(table, side))
        return !tree->root.count || broken(check, "a tree too many");
    if ((table->traits->unique[side] || !table->traits->has_second) &&
        tree->root.count != tree->root.first_count)
        return broken(check, "a key of a unique side has two partners");

    mem_exempt_begin(entry.buffer.mem);
    for (bool more = tree_cursor_select(&cursor, &tree->root, 0); more && good;
         more = tree_cursor_next(&cursor)) {
        good = tree_cursor_read(&cursor, &entry) == ST_OK &&
               check_key(check, side, entry.key);
        if (good && side == SIDE_FWD)
            digest_add(&sum,
                       digest_element(entry.key.first, table->traits->has_value
                                                           ? entry.value
                                                           : entry.key.second));
    }
    buffer_free(&entry.buffer);
    mem_exempt_end(entry.buffer.mem);
    if (good && side == SIDE_FWD && !digest_equal(sum, table->digest))
        return broken(check, "the digest is not that of the elements");
    return good;
}

bool table_check(const struct table *table, char *why, size_t why_size)
{
    struct check check = {table, why, why_size};

    if (!integrity_check(table, why, why_size) ||
        !check_side(&check, SIDE_FWD) || !check_side(&check, SIDE_BWD))
        return false;
    return !table->traits->has_bwd ||
           table_count(table) == table->trees[SIDE_BWD].root.count ||
           broken(&check, "the two directions differ in size");
}
