/*
 * load.c -- one tree builder and one sum for each side.
 *
 * A tree builder sees to the order of keys. What a type asks beyond that is
 * seen to here as elements come: that they have as many components as its
 * elements have, that no key of a unique side comes twice, that a row's key
 * is an id.
 *
 * The two sides of a junction are read from two places and only meet in
 * loader_finish(). Both have summed the hashes of their pairs, turned to fwd
 * orientation: pairs that are equally many and have one sum are the same ones
 * (digest.h), and the sum is the table's digest, so the check costs one hash
 * a pair.
 */
#include "core/load.h"

#include "core/store_internal.h"

struct loaded_side {
    struct tree_builder *builder; /* NULL: the table has no such side */
    uint64_t count;
    struct digest sum;
};

struct loader {
    struct store *store;
    struct table *table;
    struct loaded_side sides[2];
    uint64_t last_id; /* pom: of the last row, the greatest */
};

enum status loader_create(struct store *store, struct table *table,
                          struct loader **ret)
{
    struct loader *loader;
    enum status st = ST_OK;

    REQUIRE(!store->open);
    if (table_count(table))
        return ST_BAD_ARGUMENT;
    loader = mem_zalloc(store->mem, sizeof(*loader));
    if (!loader)
        return mem_status(store->mem);
    loader->store = store;
    loader->table = table;
    for (enum side side = SIDE_FWD; st == ST_OK && side <= SIDE_BWD; side++)
        if (table_has_side(table, side))
            st = tree_builder_create(&table->trees[side],
                                     &loader->sides[side].builder);
    if (st < 0) {
        loader_abort(loader);
        return st;
    }
    *ret = loader;
    return ST_OK;
}

/* Ids ascend with their keys, so the last one is the greatest. */
static bool note_id(struct loader *loader, struct bytes key)
{
    return key_decode_u64(key, &loader->last_id) && loader->last_id;
}

enum status loader_add(struct loader *loader, enum side side,
                       struct bytes first, struct bytes second)
{
    const struct table_traits *traits = loader->table->traits;
    struct loaded_side *loaded = &loader->sides[side];
    bool has_second = traits->has_second || traits->has_value;
    struct tree_key key = {first, second};
    struct bytes value = bytes_of(NULL, 0);
    enum status st;

    if (!loaded->builder || !first.size || has_second != (second.size > 0))
        return ST_BAD_ARGUMENT;
    if (traits->has_value) {
        key.second = value;
        value = second;
    }
    if (loader->table->type == TABLE_POM && !note_id(loader, first))
        return ST_BAD_ARGUMENT;
    st = tree_builder_add(loaded->builder, key, value);
    if (st < 0)
        return st;
    loaded->count++;
    if (traits->unique[side] &&
        tree_builder_first_count(loaded->builder) != loaded->count)
        return ST_BAD_ARGUMENT;
    digest_add(&loaded->sum, side == SIDE_FWD ? digest_element(first, second)
                                              : digest_element(second, first));
    return ST_OK;
}

/* Does all that was added make a table of its type? */
static bool is_whole(const struct loader *loader, uint64_t next_id)
{
    const struct loaded_side *fwd = &loader->sides[SIDE_FWD];
    const struct loaded_side *bwd = &loader->sides[SIDE_BWD];

    if (loader->table->type == TABLE_POM && next_id &&
        loader->last_id >= next_id)
        return false;
    return !bwd->builder ||
           (fwd->count == bwd->count && digest_equal(fwd->sum, bwd->sum));
}

enum status loader_finish(struct loader *loader, uint64_t next_id)
{
    struct table *table = loader->table;
    enum status st = is_whole(loader, next_id) ? ST_OK : ST_BAD_ARGUMENT;

    for (enum side side = SIDE_FWD; st == ST_OK && side <= SIDE_BWD; side++) {
        struct tree_builder *builder = loader->sides[side].builder;

        loader->sides[side].builder = NULL; /* freed, even if it fails */
        if (builder)
            st = tree_builder_finish(builder);
    }
    if (st == ST_OK) {
        table->digest = loader->sides[SIDE_FWD].sum;
        if (table->type == TABLE_POM)
            table->next_id = next_id;
    }
    loader_abort(loader);
    if (st < 0) /* fwd may stand already; a tree in the making is no more */
        tree_clear(&table->trees[SIDE_FWD]);
    return st;
}

void loader_abort(struct loader *loader)
{
    if (!loader)
        return;
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
        if (loader->sides[side].builder)
            tree_builder_abort(loader->sides[side].builder);
    mem_free(loader->store->mem, loader, sizeof(*loader));
}
