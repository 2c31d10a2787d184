/*
 * test_same.c -- comparing versions, against comparing them key by key.
 * SEED=n replays a run.
 */
#include "core/same.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/snapshot.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

/* --- Trees -------------------------------------------------------------- */

enum shape { SHAPE_IDS, SHAPE_PAIRS, SHAPE_STRINGS, SHAPE_LONG, SHAPE_COUNT };
enum values { VALUES_NONE, VALUES_SMALL, VALUES_MIXED, VALUES_COUNT };

#define COMPONENT_MAX 1200
#define VALUE_MAX 1000

/* The n-th of all keys that there may be, in their order. */
static struct tree_key make_key(enum shape shape, uint32_t n,
                                uint8_t parts[2][COMPONENT_MAX])
{
    size_t sizes[2] = {0, 0};
    uint32_t numbers[2] = {n, 0};
    bool pairs = shape == SHAPE_PAIRS || shape == SHAPE_STRINGS;
    char text[COMPONENT_MAX];
    struct mem mem;

    mem_init(&mem, 0);
    if (pairs) {
        numbers[0] = n / 16;
        numbers[1] = n % 16 * 1000;
    }
    for (int i = 0; i < (pairs ? 2 : 1); i++) {
        struct buffer buffer = BUFFER(&mem);
        uint8_t term[5 + COMPONENT_MAX];
        size_t size;

        if (shape == SHAPE_IDS || shape == SHAPE_PAIRS) {
            assert_int_equal(key_encode_u64(numbers[i], &buffer), ST_OK);
        } else {
            /* Long ones differ in the middle and are of uneven sizes. */
            memset(text, 'x', sizeof(text));
            size = (size_t)snprintf(text + (shape == SHAPE_LONG ? 300 : 0), 64,
                                    "item:%08u", (unsigned)numbers[i]);
            if (shape == SHAPE_LONG) {
                text[300 + size] = 'x';
                size += 300 + n % 7 * 100;
            }
            term[0] = ETF_BINARY;
            store_be32(term + 1, (uint32_t)size);
            memcpy(term + 5, text, size);
            assert_int_equal(key_encode(bytes_of(term, 5 + size), &buffer),
                             ST_OK);
        }
        sizes[i] = buffer.size;
        assert_true(buffer.size <= COMPONENT_MAX);
        memcpy(parts[i], buffer.data, buffer.size);
        buffer_free(&buffer);
    }
    return (struct tree_key){bytes_of(parts[0], sizes[0]),
                             bytes_of(parts[1], sizes[1])};
}

/* Value number `id` > 0. */
static struct bytes make_value(enum values values, uint32_t id,
                               uint8_t bytes[VALUE_MAX])
{
    size_t size = values == VALUES_NONE    ? 0
                  : values == VALUES_SMALL ? 4
                  : id % 5                 ? 4 + id % 11
                                           : 130 + id % 800;

    memset(bytes, 7, VALUE_MAX);
    store_be32(bytes, id);
    return bytes_of(bytes, size);
}

struct version {
    struct epoch_snapshot *snapshot; /* NULL: the live tree */
    struct tree_root root;
    uint32_t *ids; /* of each key's value; 0: it is not there */
};

struct forest {
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct random random;
    uint64_t seed;
    enum shape shape;
    enum values values;
    uint32_t keys;
    uint32_t *ids; /* of the live tree */
    struct version *versions;
    size_t count;
    struct same same;
};

static void forest_open(struct forest *forest, uint64_t seed, enum shape shape,
                        enum values values, uint32_t keys, size_t versions)
{
    memset(forest, 0, sizeof(*forest));
    mem_init(&forest->mem, 0);
    epochs_init(&forest->epochs, &forest->mem);
    tree_init(&forest->tree, &forest->epochs);
    random_init(&forest->random, seed);
    forest->seed = seed;
    forest->shape = shape;
    forest->values = values;
    forest->keys = keys;
    forest->ids = calloc(keys, sizeof(*forest->ids));
    forest->versions = calloc(versions, sizeof(*forest->versions));
    same_init(&forest->same, &forest->mem);
}

static void forest_put(struct forest *forest, uint32_t n, uint32_t id)
{
    uint8_t parts[2][COMPONENT_MAX];
    uint8_t bytes[VALUE_MAX];
    struct tree_key key = make_key(forest->shape, n, parts);
    struct tree_change change;

    if (id)
        assert_int_equal(tree_put(&forest->tree, key,
                                  make_value(forest->values, id, bytes), NULL,
                                  &change),
                         ST_OK);
    else
        assert_int_equal(tree_delete(&forest->tree, key, NULL, &change), ST_OK);
    forest->ids[n] = forest->values == VALUES_NONE ? id != 0 : id;
}

static uint32_t below(struct forest *forest, uint32_t bound)
{
    return (uint32_t)random_below(&forest->random, bound);
}

static void forest_snapshot(struct forest *forest)
{
    struct version *version = &forest->versions[forest->count++];
    size_t size = forest->keys * sizeof(*version->ids);

    version->snapshot = calloc(1, sizeof(*version->snapshot));
    epochs_snapshot(&forest->epochs, version->snapshot);
    version->root = forest->tree.root;
    version->ids = malloc(size);
    memcpy(version->ids, forest->ids, size);
}

static void forest_close(struct forest *forest)
{
    same_free(&forest->same);
    tree_clear(&forest->tree);
    while (forest->count) {
        struct version *version = &forest->versions[--forest->count];

        epochs_release(&forest->epochs, version->snapshot);
        free(version->snapshot);
        free(version->ids);
    }
    free(forest->ids);
    free(forest->versions);
    assert_int_equal(forest->mem.used, 0);
}

/* A cut near key n: before it, behind it, or around all of its first. */
static struct tree_cut make_cut(struct forest *forest, uint32_t n, int kind,
                                uint8_t parts[2][COMPONENT_MAX],
                                uint32_t *ret_rank)
{
    struct tree_cut cut = {make_key(forest->shape, n, parts), kind == 1};
    bool pairs = cut.key.second.size > 0;

    *ret_rank = n + (kind == 1);
    if (kind < 2)
        return cut;
    cut.key.second = NONE;
    *ret_rank = pairs ? n / 16 * 16 : n;
    if (kind == 3) {
        parts[0][cut.key.first.size++] = KEY_ABOVE;
        *ret_rank = pairs ? n / 16 * 16 + 16 : n + 1;
    }
    return cut;
}

static void compare_between(struct forest *forest, const struct version *a,
                            const struct version *b, uint32_t from_n,
                            int from_kind, uint32_t to_n, int to_kind)
{
    uint8_t parts[3][2][COMPONENT_MAX];
    uint32_t low;
    uint32_t high;
    struct tree_cut from = make_cut(forest, from_n, from_kind, parts[0], &low);
    struct tree_cut to = make_cut(forest, to_n, to_kind, parts[1], &high);
    struct tree_key key;
    bool same = false;

    if (high > forest->keys)
        high = forest->keys;
    while (low < high && a->ids[low] == b->ids[low])
        low++;
    assert_int_equal(
        tree_same(&forest->same, &a->root, &b->root, from, to, &same), ST_OK);
    if (same != (low >= high))
        fail_msg("SEED=%llu: %s expected", (unsigned long long)forest->seed,
                 same ? "a difference" : "no difference");
    if (same)
        return;
    key = make_key(forest->shape, low, parts[2]);
    if (!bytes_equal(forest->same.key.first, key.first) ||
        !bytes_equal(forest->same.key.second, key.second))
        fail_msg("SEED=%llu: another key differs first",
                 (unsigned long long)forest->seed);
}

static void compare_some(struct forest *forest, const struct version *a,
                         const struct version *b)
{
    uint32_t last = forest->keys - 1;

    compare_between(forest, a, b, 0, 0, last, 1);
    for (int i = 0; i < 10; i++) {
        uint32_t from = below(forest, forest->keys);
        uint32_t width = below(forest, 2) ? forest->keys : 40;

        compare_between(forest, a, b, from, (int)below(forest, 4),
                        (from + below(forest, width)) % forest->keys,
                        (int)below(forest, 4));
    }
}

/* A few keys anywhere, a run of them, or a great many. */
static void forest_change(struct forest *forest)
{
    uint32_t kind = below(forest, 40);
    uint32_t n = below(forest, forest->keys);
    uint32_t count = kind == 0   ? forest->keys / 2
                     : kind < 10 ? below(forest, 50)
                                 : 1 + below(forest, 3);
    bool run = kind % 2;
    bool gone = below(forest, 3) == 0;

    while (count--) {
        uint32_t id = 1 + below(forest, 1000);

        /* The value that is there, too: the page is another, the same is in
         * it. */
        if (forest->ids[n] && below(forest, 4) == 0)
            id = forest->ids[n];
        forest_put(forest, n, gone ? 0 : id);
        n = run ? (n + 1) % forest->keys : below(forest, forest->keys);
    }
}

static void run_forest(uint64_t seed, enum shape shape, enum values values,
                       uint32_t keys, size_t versions)
{
    struct forest forest;

    forest_open(&forest, seed, shape, values, keys, versions);
    while (forest.count < versions) {
        struct version live;

        forest_change(&forest);
        live = (struct version){NULL, forest.tree.root, forest.ids};
        if (forest.count) {
            uint32_t near = below(&forest, 10);
            size_t i = near < forest.count && below(&forest, 2)
                           ? forest.count - 1 - near
                           : below(&forest, (uint32_t)forest.count);
            size_t j = below(&forest, (uint32_t)forest.count);

            compare_some(&forest, &forest.versions[i], &live);
            compare_some(&forest, &forest.versions[j], &forest.versions[i]);
        }
        forest_snapshot(&forest);
    }
    forest_close(&forest);
}

static void versions_are_compared_as_their_keys_are(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 2);)
        for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
            for (enum values values = 0; values < VALUES_COUNT; values++)
                run_forest(seed, shape, values,
                           seed % 2              ? 300
                           : shape == SHAPE_LONG ? 1000
                                                 : 4000,
                           seed % 2 ? 400 : 100);
}

/* Thousands of them, each one write from the last. */
static void thousands_of_versions(void **state)
{
    uint64_t seed = random_seed();
    struct forest forest;

    (void)state;
    forest_open(&forest, seed, SHAPE_PAIRS, VALUES_SMALL, 2000, 4000);
    while (forest.count < 4000) {
        forest_put(&forest, below(&forest, 2000), below(&forest, 3));
        forest_snapshot(&forest);
    }
    for (int i = 0; i < 4000; i++) {
        size_t a = below(&forest, 4000);
        size_t b = (a + below(&forest, 30)) % 4000;

        compare_some(&forest, &forest.versions[a], &forest.versions[b]);
    }
    forest_close(&forest);
}

/* Trees that came about in other ways have other pages, and none in common. */
static void trees_that_share_nothing(void **state)
{
    uint64_t seed = random_seed();

    (void)state;
    for (enum shape shape = 0; shape < SHAPE_COUNT; shape++) {
        struct tree_builder *builder;
        struct forest forest;
        struct tree twin;
        struct version versions[2];

        forest_open(&forest, seed, shape, VALUES_MIXED, 1500, 1);
        for (int i = 0; i < 4000; i++)
            forest_put(&forest, below(&forest, 1500), below(&forest, 9));
        tree_init(&twin, &forest.epochs);
        assert_int_equal(tree_builder_create(&twin, &builder), ST_OK);
        for (uint32_t n = 0; n < 1500; n++) {
            uint8_t parts[2][COMPONENT_MAX];
            uint8_t bytes[VALUE_MAX];

            if (forest.ids[n])
                assert_int_equal(
                    tree_builder_add(
                        builder, make_key(shape, n, parts),
                        make_value(VALUES_MIXED, forest.ids[n], bytes)),
                    ST_OK);
        }
        assert_int_equal(tree_builder_finish(builder), ST_OK);
        forest_snapshot(&forest);
        versions[0] = (struct version){NULL, twin.root, forest.versions->ids};
        versions[1] = (struct version){NULL, forest.tree.root, forest.ids};
        compare_some(&forest, &versions[0], &versions[1]);
        for (int i = 0; i < 300; i++) {
            forest_put(&forest, below(&forest, 1500), below(&forest, 9));
            versions[1].root = forest.tree.root;
            compare_some(&forest, &versions[0], &versions[1]);
            compare_some(&forest, &versions[1], &versions[0]);
        }
        tree_clear(&twin);
        forest_close(&forest);
    }
}

static void nothing_is_the_same_as_nothing(void **state)
{
    struct version versions[2];
    struct forest forest;

    (void)state;
    forest_open(&forest, 1, SHAPE_IDS, VALUES_SMALL, 2000, 3);
    forest_snapshot(&forest);
    versions[0] = forest.versions[0];
    versions[1] = (struct version){NULL, forest.tree.root, forest.ids};
    compare_some(&forest, &versions[0], &versions[1]);
    forest_put(&forest, 1000, 5);
    versions[1].root = forest.tree.root;
    compare_some(&forest, &versions[0], &versions[1]);
    compare_some(&forest, &versions[1], &versions[0]);
    /* One leaf against three levels. */
    forest_snapshot(&forest);
    versions[0] = forest.versions[1];
    for (uint32_t n = 0; n < 2000; n++)
        forest_put(&forest, n, 5);
    versions[1].root = forest.tree.root;
    compare_some(&forest, &versions[0], &versions[1]);
    compare_some(&forest, &versions[1], &versions[0]);
    forest_close(&forest);
}

/* --- What it costs ------------------------------------------------------ */

static uint64_t nodes_for(struct forest *forest, const struct version *a,
                          const struct version *b)
{
    uint64_t before = forest->same.nodes;

    compare_between(forest, a, b, 0, 0, forest->keys - 1, 1);
    return forest->same.nodes - before;
}

/* Some keys are given the value that they have: pages change and what is in
 * them does not, so that the comparison goes from end to end. */
static void it_costs_what_was_changed(void **state)
{
    static const uint32_t changes[] = {0, 1, 10, 100, 1000};
    enum { KEYS = 400000, HEIGHT_MAX = 4 };
    struct forest forest;
    uint64_t all;

    (void)state;
    forest_open(&forest, 1, SHAPE_PAIRS, VALUES_SMALL, KEYS, 8);
    for (uint32_t n = 0; n < KEYS; n++)
        forest_put(&forest, n, 1);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        struct version live = {NULL, forest.tree.root, forest.ids};
        uint64_t nodes;

        forest_snapshot(&forest);
        for (uint32_t n = 0; n < changes[i]; n++)
            forest_put(&forest, below(&forest, KEYS), 1);
        live.root = forest.tree.root;
        nodes = nodes_for(&forest, &forest.versions[i], &live);
        assert_true(nodes <= 2 * HEIGHT_MAX * (changes[i] + 1));

        /* A range that was not written costs its two ends alone. */
        forest.same.nodes = 0;
        compare_between(&forest, &forest.versions[i], &live, 1000, 0, 1010, 0);
        assert_true(forest.same.nodes <= 4 * HEIGHT_MAX);
    }
    /* With nothing in common it would cost every node of both. */
    all = forest.tree.bytes / 1100;
    assert_true(all > 20 * 2 * HEIGHT_MAX * 2);
    forest_close(&forest);
}

static void without_memory_it_says_so(void **state)
{
    struct forest forest;
    struct version live;
    uint64_t failures = 0;

    (void)state;
    forest_open(&forest, 1, SHAPE_LONG, VALUES_MIXED, 300, 2);
    for (uint32_t n = 0; n < 300; n++)
        forest_put(&forest, n, n + 1);
    forest_snapshot(&forest);
    forest_put(&forest, 100, 7);
    live = (struct version){NULL, forest.tree.root, forest.ids};
    for (uint64_t nth = 1;; nth++) {
        uint8_t parts[2][2][COMPONENT_MAX];
        struct tree_cut from = {make_key(SHAPE_LONG, 0, parts[0]), false};
        struct tree_cut to = {make_key(SHAPE_LONG, 299, parts[1]), true};
        enum status st;
        bool same;

        same_free(&forest.same);
        mem_fail_at(&forest.mem, nth, false);
        st = tree_same(&forest.same, &forest.versions->root, &live.root, from,
                       to, &same);
        mem_fail_at(&forest.mem, 0, false);
        if (st == ST_OK) {
            assert_false(same);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
        failures++;
    }
    assert_true(failures >= 2);
    forest_close(&forest);
}

/* --- Views -------------------------------------------------------------- */

static unsigned roll(struct world *world, unsigned bound)
{
    return (unsigned)random_below(&world->random, bound);
}

/* A question, with room for the bytes that it borrows. */
struct query {
    struct view view;
    struct range range;
    bool keys_only;
    struct model_text held;
    struct model_text from[2];
    struct model_text to[2];
    struct bound last;
    struct model_text last_texts[2];
};

static void make_bound(struct world *world, struct bound *bound,
                       struct model_text texts[2], bool is_from)
{
    const struct model_table *table = &world->model.tables[0];

    bound->kind = (enum bound_kind)roll(world, is_from ? BOUND_POSITION + 1
                                                       : BOUND_EXCLUSIVE + 1);
    texts[0] = world_key(roll(world, world->keys));
    texts[1] = world_key(roll(world, world->keys));
    if (table->count && roll(world, 2)) {
        const struct model_pair *pair =
            &table->pairs[roll(world, (unsigned)table->count)];
        bool swap = roll(world, 2) && !table_has_value(world->tables[0]);

        texts[0] = swap ? pair->second : pair->first;
        texts[1] = swap ? pair->first : pair->second;
    }
    bound->first = model_bytes(&texts[0]);
    bound->second = model_bytes(&texts[1]);
    bound->position = roll(world, (unsigned)table->count + 3);
}

static void make_query(struct world *world, struct query *query)
{
    const struct table *table = world->tables[0];

    memset(query, 0, sizeof(*query));
    if (table_has_side(table, SIDE_BWD))
        query->view.side = (enum side)roll(world, 2);
    if (table_has_second(table) && roll(world, 2)) {
        query->view.held = true;
        query->held = world_key(roll(world, world->keys));
        query->view.key = model_bytes(&query->held);
    }
    query->range.direction = (enum direction)roll(world, 2);
    make_bound(world, &query->range.from, query->from, true);
    make_bound(world, &query->range.to, query->to, false);
    query->keys_only = table_has_value(table) && roll(world, 2);
}

#define ELEMENTS_MAX 4000

/* What a walk meets: at most `limit` elements. */
struct walked {
    struct model_pair elements[ELEMENTS_MAX + 1];
    size_t count;
    bool ended;
};

static void walk(struct walked *walked, const struct view *view,
                 const struct query *query, size_t limit)
{
    struct element element;
    struct scan scan;
    struct mem mem;
    bool found = true;

    mem_init(&mem, 0);
    walked->count = 0;
    scan_init(&scan, &mem, view, &query->range, false);
    while (walked->count < limit) {
        struct model_pair *pair = &walked->elements[walked->count];

        assert_int_equal(scan_next(&scan, &element, &found), ST_OK);
        if (!found)
            break;
        assert_true(++walked->count <= ELEMENTS_MAX);
        pair->first = model_text(element.first);
        pair->second = model_text(
            table_has_value(view->table) ? element.value : element.second);
        if (query->keys_only)
            pair->second.size = 0;
    }
    walked->ended = !found;
    scan_free(&scan);
}

static bool walked_equal(const struct walked *a, const struct walked *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (model_text_compare(&a->elements[i].first, &b->elements[i].first) ||
            model_text_compare(&a->elements[i].second, &b->elements[i].second))
            return false;
    return true;
}

/* Is the element told as the first that differs in one walk alone? */
static bool tells_a_difference(const struct query *query,
                               const struct same *same, const struct walked *a,
                               const struct walked *b)
{
    struct bytes first = query->view.held ? same->key.second : same->key.first;
    const struct walked *both[2] = {a, b};
    const struct model_text *found[2] = {NULL, NULL};
    bool has_second = same->key.second.size && !query->view.held;

    for (int i = 0; i < 2; i++)
        for (size_t n = 0; n < both[i]->count; n++) {
            const struct model_pair *pair = &both[i]->elements[n];

            if (bytes_equal(model_bytes(&pair->first), first) &&
                (!has_second ||
                 bytes_equal(model_bytes(&pair->second), same->key.second)))
                found[i] = &pair->second;
        }
    if (!found[0] || !found[1])
        return found[0] || found[1];
    return model_text_compare(found[0], found[1]) != 0;
}

static void ask(struct world *world, struct same *same, const struct table *a,
                const struct table *b)
{
    static struct walked before;
    static struct walked after;
    static struct walked whole;
    struct query query;
    struct view views[2];
    const struct bound *last = NULL;
    struct range whole_range;
    size_t limit;
    bool expected;
    bool got = false;

    make_query(world, &query);
    views[0] = views[1] = query.view;
    views[0].table = a;
    views[1].table = b;
    limit = roll(world, 2) ? ELEMENTS_MAX : 1 + roll(world, 20);
    walk(&before, &views[0], &query, limit);
    if (before.ended || !before.count) {
        walk(&after, &views[1], &query, ELEMENTS_MAX);
    } else if (roll(world, 3) == 0) {
        /* As if it had been a walk of keys: the last one's pairs count. */
        query.last_texts[0] = before.elements[before.count - 1].first;
        query.last = (struct bound){
            .kind = BOUND_INCLUSIVE,
            .first = model_bytes(&query.last_texts[0]),
        };
        last = &query.last;
        whole_range = query.range;
        query.range.to = query.last;
        walk(&before, &views[0], &query, ELEMENTS_MAX);
        walk(&after, &views[1], &query, ELEMENTS_MAX);
        query.range = whole_range;
    } else {
        walk(&after, &views[1], &query, before.count);
        query.last_texts[0] = before.elements[before.count - 1].first;
        query.last_texts[1] = before.elements[before.count - 1].second;
        query.last = (struct bound){
            .kind = BOUND_AFTER,
            .first = model_bytes(&query.last_texts[0]),
            .second = model_bytes(&query.last_texts[1]),
        };
        last = &query.last;
    }
    expected = walked_equal(&before, &after);
    assert_int_equal(view_same(same, &views[0], &views[1], &query.range, last,
                               query.keys_only, &got),
                     ST_OK);
    if (got != expected)
        world_fail(world, "%s expected", got ? "a difference" : "none");
    walk(&whole, &views[1], &query, ELEMENTS_MAX);
    if (!got && !tells_a_difference(&query, same, &before, &whole))
        world_fail(world, "the key told does not differ");
}

static void fill(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < 2 * count; i++) {
        struct command command = world_command(world);

        if (command.kind == COMMAND_INSERT ||
            command.kind == COMMAND_POM_INSERT)
            world_run(world, &command);
    }
}

static void views_are_compared_as_walks_meet_them(void **state)
{
    enum { VERSIONS = 12 };

    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 6);)
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
            struct snapshot *snapshots[VERSIONS];
            struct bytes name;
            struct same same;
            struct world world;
            struct mem mem;
            int count = 0;

            mem_init(&mem, 0);
            same_init(&same, &mem);
            world_open(&world, seed, 20 + (unsigned)seed % 3 * 100);
            world_add_table(&world, type, NULL);
            name = table_name(world.tables[0]);
            fill(&world, seed % 3 == 2 ? 1000 : 100);
            for (int round = 0; round < 60; round++) {
                int at = count < VERSIONS ? count++ : (int)roll(&world, 12);

                if (round >= VERSIONS)
                    snapshot_release(snapshots[at]);
                assert_int_equal(snapshot_take(world.store, &snapshots[at]),
                                 ST_OK);
                for (int i = 0; i < 20; i++) {
                    const struct table *tables[2];

                    if (roll(&world, 4) == 0)
                        world_step(&world);
                    at = (int)roll(&world, (unsigned)count);
                    tables[0] = snapshot_find(snapshots[at], name);
                    tables[1] = store_find(world.store, name);
                    ask(&world, &same, tables[0], tables[1]);
                    at = (int)roll(&world, (unsigned)count);
                    tables[1] = snapshot_find(snapshots[at], name);
                    ask(&world, &same, tables[0], tables[1]);
                }
            }
            while (count)
                snapshot_release(snapshots[--count]);
            same_free(&same);
            assert_int_equal(mem.used, 0);
            world_close(&world);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_compared_as_their_keys_are),
        cmocka_unit_test(thousands_of_versions),
        cmocka_unit_test(trees_that_share_nothing),
        cmocka_unit_test(nothing_is_the_same_as_nothing),
        cmocka_unit_test(it_costs_what_was_changed),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(views_are_compared_as_walks_meet_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
