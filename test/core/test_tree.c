/*
 * The tree against a sorted array: random operations on keys of every shape
 * that leads to another page format, with the whole-tree checker after each.
 * SEED=n replays a run, STEPS=n makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/tree.h"
#include "support/random.h"

/* ------------------------------------------------------------ the model */

struct entry {
    uint8_t *raw; /* first, then second */
    size_t first_size;
    size_t size;
    uint8_t *value;
    size_t value_size;
};

struct model {
    struct entry *entries;
    size_t count;
    size_t room;
};

static struct tree_key entry_key(const struct entry *entry)
{
    return (struct tree_key){
        bytes_of(entry->raw, entry->first_size),
        bytes_of(entry->raw + entry->first_size,
                 entry->size - entry->first_size),
    };
}

static int key_compare(struct tree_key a, struct tree_key b)
{
    int order = bytes_compare(a.first, b.first);

    return order ? order : bytes_compare(a.second, b.second);
}

/* How many entries lie before the cut. */
static size_t model_rank(const struct model *model, struct tree_cut cut)
{
    size_t low = 0;
    size_t high = model->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = key_compare(entry_key(&model->entries[middle]), cut.key);

        if (order < 0 || (order == 0 && cut.after))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool model_has(const struct model *model, struct tree_key key,
                      size_t *ret_at)
{
    *ret_at = model_rank(model, (struct tree_cut){key, false});
    return *ret_at < model->count &&
           key_compare(entry_key(&model->entries[*ret_at]), key) == 0;
}

static struct entry entry_make(struct tree_key key, struct bytes value)
{
    struct entry entry = {
        .raw = malloc(key.first.size + key.second.size + 1),
        .first_size = key.first.size,
        .size = key.first.size + key.second.size,
        .value = malloc(value.size + 1),
        .value_size = value.size,
    };

    memcpy(entry.raw, key.first.data, key.first.size);
    if (key.second.size)
        memcpy(entry.raw + key.first.size, key.second.data, key.second.size);
    if (value.size)
        memcpy(entry.value, value.data, value.size);
    return entry;
}

static void entry_free(struct entry *entry)
{
    free(entry->raw);
    free(entry->value);
}

static void model_put(struct model *model, struct tree_key key,
                      struct bytes value)
{
    size_t at;

    if (model_has(model, key, &at)) {
        struct entry fresh = entry_make(key, value);

        entry_free(&model->entries[at]);
        model->entries[at] = fresh;
        return;
    }
    if (model->count == model->room) {
        model->room = model->room ? 2 * model->room : 64;
        model->entries =
            realloc(model->entries, model->room * sizeof(struct entry));
    }
    memmove(model->entries + at + 1, model->entries + at,
            (model->count - at) * sizeof(struct entry));
    model->entries[at] = entry_make(key, value);
    model->count++;
}

static void model_delete(struct model *model, size_t at)
{
    entry_free(&model->entries[at]);
    memmove(model->entries + at, model->entries + at + 1,
            (model->count - at - 1) * sizeof(struct entry));
    model->count--;
}

static struct model model_copy(const struct model *model)
{
    struct model copy = {
        .entries = malloc((model->count + 1) * sizeof(struct entry)),
        .count = model->count,
        .room = model->count + 1,
    };

    for (size_t i = 0; i < model->count; i++)
        copy.entries[i] = entry_make(
            entry_key(&model->entries[i]),
            bytes_of(model->entries[i].value, model->entries[i].value_size));
    return copy;
}

static void model_free(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        entry_free(&model->entries[i]);
    free(model->entries);
    *model = (struct model){0};
}

/* ------------------------------------------------------------- the keys */

/* Encoded components of all shapes; `space` bounds how many there are. */
enum shape {
    SHAPE_SMALL,   /* one to three bytes of integer, floats in between */
    SHAPE_IDS,     /* integers alone */
    SHAPE_STRINGS, /* "user:00001234" */
    SHAPE_UNEVEN,  /* strings of 0 to 60 bytes */
    SHAPE_LONG,    /* strings of up to 9,000 bytes with common beginnings */
    SHAPE_MIXED,   /* all of them */
    SHAPE_COUNT,
};

static size_t make_integer(uint8_t *out, uint64_t value)
{
    struct buffer buffer = {0};
    struct mem mem;
    size_t size;

    mem_init(&mem, 0);
    buffer.mem = &mem;
    assert_int_equal(key_encode_u64(value, &buffer), ST_OK);
    memcpy(out, buffer.data, buffer.size);
    size = buffer.size;
    buffer_free(&buffer);
    return size;
}

static size_t make_number(uint8_t *out, struct random *random, uint64_t space)
{
    size_t size = make_integer(out, random_below(random, space));

    switch (random_below(random, 12)) {
    case 0: /* the float of the same value */
        out[size++] = 0xFB;
        out[size++] = 0xF0;
        out[size++] = 0x00;
        break;
    case 1: /* and a half */
        out[size++] = 0xFF;
        out[size++] = 0x3F;
        out[size++] = 0xE0;
        memset(out + size, 0, 6);
        size += 6;
        break;
    default:
        break;
    }
    return size;
}

static size_t make_string(uint8_t *out, const char *text, size_t size)
{
    out[0] = 0xD4;
    memcpy(out + 1, text, size);
    out[size + 1] = 0x01;
    return size + 2;
}

static size_t make_component(uint8_t *out, struct random *random,
                             enum shape shape, uint64_t space)
{
    static const size_t longest[] = {
        [SHAPE_UNEVEN] = 60, [SHAPE_LONG] = 9000, [SHAPE_COUNT] = 0};
    uint64_t n = random_below(random, space);
    char text[9100];
    size_t size;

    if (shape == SHAPE_MIXED)
        shape = (enum shape)random_below(random, SHAPE_MIXED);
    if (shape == SHAPE_SMALL)
        return make_number(out, random, space);
    if (shape == SHAPE_IDS)
        return make_integer(out, n);
    if (shape == SHAPE_STRINGS) {
        size = (size_t)snprintf(text, sizeof(text), "user:%08u", (unsigned)n);
        return make_string(out, text, size);
    }
    /* Derived from n alone, so that equal components come again. */
    size = (size_t)(n * 2654435761u % longest[shape]);
    memset(text, 'a' + (int)(n % 2), size);
    if (size > 4)
        text[size - 1 - n % 4] = (char)('A' + n % 26);
    return make_string(out, text, size);
}

struct key_space {
    enum shape shape;
    bool pairs;
    uint64_t space;
};

/* A key in static memory, good until the next but one call. */
static struct tree_key make_key(struct random *random,
                                const struct key_space *keys)
{
    static uint8_t memory[2][2][10000];
    static int turn;
    uint8_t(*parts)[10000] = memory[turn ^= 1];
    size_t first = make_component(parts[0], random, keys->shape,
                                  keys->space / (keys->pairs ? 8 : 1) + 1);
    size_t second =
        keys->pairs ? make_component(parts[1], random, keys->shape, keys->space)
                    : 0;

    return (struct tree_key){bytes_of(parts[0], first),
                             bytes_of(parts[1], second)};
}

static struct bytes make_value(struct random *random, int kind)
{
    static uint8_t memory[5000];
    size_t size = 0;

    if (kind == 1) /* one size */
        size = 4;
    else if (kind == 2) /* mostly small, some out of line */
        size = random_below(random, 20) ? random_below(random, 40)
                                        : random_below(random, sizeof(memory));
    memset(memory, (int)random_below(random, 256), size);
    return bytes_of(memory, size);
}

/* ------------------------------------------------------------ comparing */

static void expect_valid(const struct tree *tree)
{
    char why[200];

    if (!tree_check(tree, why, sizeof(why)))
        fail_msg("tree_check: %s", why);
}

static void expect_entry(const struct entry *want, const struct tree_entry *got)
{
    struct tree_key key = entry_key(want);

    assert_int_equal(got->key.first.size, key.first.size);
    assert_memory_equal(got->key.first.data, key.first.data, key.first.size);
    assert_int_equal(got->key.second.size, key.second.size);
    if (key.second.size)
        assert_memory_equal(got->key.second.data, key.second.data,
                            key.second.size);
    assert_int_equal(got->value.size, want->value_size);
    if (want->value_size)
        assert_memory_equal(got->value.data, want->value, want->value_size);
}

/* Runs of rows, and single keys between them, give every key once. */
static void expect_runs(const struct tree_root *root, const struct model *model)
{
    struct tree_cursor cursor;
    struct tree_run run;
    size_t at = 0;

    tree_cursor_select(&cursor, root, 0);
    while (cursor.depth > 0) {
        if (!tree_cursor_run(&cursor, &run)) {
            at++;
            tree_cursor_next(&cursor);
            continue;
        }
        for (uint32_t i = 0; i < run.count; i++, at++) {
            struct tree_key key = entry_key(&model->entries[at]);
            const uint8_t *row = run.rows + (size_t)i * run.stride;
            size_t first = key.first.size - run.prefix.size;
            size_t second = key.second.size - run.infix.size;

            assert_true(first <= run.first_width);
            assert_true(second <= run.second_width);
            assert_memory_equal(key.first.data, run.prefix.data,
                                run.prefix.size);
            if (first)
                assert_memory_equal(key.first.data + run.prefix.size, row,
                                    first);
            if (second)
                assert_memory_equal(key.second.data + run.infix.size,
                                    row + run.first_width, second);
        }
        assert_int_equal(tree_cursor_skip_run(&cursor), at < model->count);
    }
    assert_int_equal(at, model->count);
}

/* Every entry, in order, both ways, and the counts. */
static void expect_equal(const struct tree_root *root,
                         const struct model *model)
{
    struct mem mem;
    struct tree_entry entry = {0};
    struct tree_cursor cursor;
    bool there;

    mem_init(&mem, 0);
    entry.buffer = BUFFER(&mem);
    assert_int_equal(root->count, model->count);
    there = tree_cursor_select(&cursor, root, 0);
    for (size_t i = 0; i < model->count; i++) {
        assert_true(there);
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        expect_entry(&model->entries[i], &entry);
        there = tree_cursor_next(&cursor);
    }
    assert_false(there);
    there = model->count && tree_cursor_select(&cursor, root, model->count - 1);
    for (size_t i = model->count; i-- > 0;) {
        assert_true(there);
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        expect_entry(&model->entries[i], &entry);
        there = tree_cursor_prev(&cursor);
    }
    assert_false(there);
    buffer_free(&entry.buffer);
    expect_runs(root, model);
}

/* One random cut: rank, seek and get agree with the array. */
static void expect_cut(const struct tree_root *root, const struct model *model,
                       struct random *random, const struct key_space *keys)
{
    uint8_t above[10001];
    struct tree_cut cut = {make_key(random, keys), random_below(random, 2)};
    struct tree_cursor cursor;
    struct mem mem;
    struct tree_entry entry = {0};
    uint64_t rank;
    size_t at;

    if (random_below(random, 3) == 0)
        cut.key.second.size = 0;        /* before all pairs of the first */
    if (random_below(random, 3) == 0) { /* behind all of them */
        memcpy(above, cut.key.first.data, cut.key.first.size);
        above[cut.key.first.size] = KEY_ABOVE;
        cut.key = (struct tree_key){bytes_of(above, cut.key.first.size + 1),
                                    bytes_of(NULL, 0)};
    }
    at = model_rank(model, cut);
    assert_int_equal(tree_rank(root, cut), at);
    mem_init(&mem, 0);
    entry.buffer = BUFFER(&mem);
    assert_int_equal(tree_cursor_seek(&cursor, root, cut, &rank),
                     at < model->count);
    assert_int_equal(rank, at);
    if (at < model->count) {
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        expect_entry(&model->entries[at], &entry);
        assert_int_equal(tree_cursor_prev(&cursor), at > 0);
        assert_true(tree_cursor_select(&cursor, root, at));
        assert_int_equal(tree_cursor_read(&cursor, &entry), ST_OK);
        expect_entry(&model->entries[at], &entry);
    }
    buffer_free(&entry.buffer);
    assert_int_equal(tree_get(root, cut.key, NULL),
                     model_has(model, cut.key, &at));
}

/* Would the first component be alone without counting `key` itself? */
static bool model_alone(const struct model *model, struct tree_key key)
{
    size_t from = model_rank(
        model, (struct tree_cut){{key.first, bytes_of(NULL, 0)}, false});

    for (size_t i = from; i < model->count; i++) {
        struct tree_key other = entry_key(&model->entries[i]);

        if (!bytes_equal(other.first, key.first))
            break;
        if (!bytes_equal(other.second, key.second))
            return false;
    }
    return true;
}

/* -------------------------------------------------------------- the test */

struct frozen {
    bool open;
    struct epoch_snapshot snapshot;
    struct tree_root root;
    struct model model;
};

struct world {
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct tree_path path; /* of the tree, as long as it leads somewhere */
    struct model model;
    struct frozen frozen[4];
    struct random random;
    struct key_space keys;
    int value_kind;
    bool failing;      /* let allocations fail now and then */
    unsigned replaced; /* keys that took a neighbour's place */
};

/* An operation that failed has changed neither tree nor account. */
static void expect_unchanged(const struct world *world, struct tree_root root,
                             size_t bytes, size_t used)
{
    assert_int_equal(world->tree.root.count, root.count);
    assert_int_equal(world->tree.root.first_count, root.first_count);
    assert_ptr_equal(world->tree.root.node, root.node);
    assert_int_equal(world->tree.bytes, bytes);
    assert_int_equal(world->mem.used, used);
    expect_valid(&world->tree);
}

/* Half of the time by the path that the last one left. */
static enum status put(struct world *world, struct tree_key key,
                       struct bytes value, bool keep, bool near,
                       struct buffer *old, struct tree_change *ret)
{
    struct tree *tree = &world->tree;

    if (near)
        return keep ? tree_add_near(tree, &world->path, key, value, ret)
                    : tree_put_near(tree, &world->path, key, value, ret);
    world->path.depth = 0;
    return keep ? tree_add(tree, key, value, ret)
                : tree_put(tree, key, value, old, ret);
}

static void step_put(struct world *world)
{
    struct tree_key key = make_key(&world->random, &world->keys);
    struct bytes value = make_value(&world->random, world->value_kind);
    bool keep = random_below(&world->random, 4) == 0;
    bool near = random_below(&world->random, 2) == 0;
    bool alone = model_alone(&world->model, key);
    struct mem old_mem;
    struct buffer old = BUFFER(&old_mem);
    struct tree_change change = {0};
    size_t at;
    bool existed = model_has(&world->model, key, &at);

    mem_init(&old_mem, 0);
    for (uint64_t nth = world->failing ? 1 : 0;; nth++) {
        struct tree_root root = world->tree.root;
        size_t bytes = world->tree.bytes;
        size_t used = world->mem.used;
        enum status st;

        mem_fail_at(&world->mem, nth, false);
        st = put(world, key, value, keep, near, &old, &change);
        mem_fail_at(&world->mem, 0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NO_MEMORY);
        expect_unchanged(world, root, bytes, used);
    }
    assert_int_equal(change.existed, existed);
    if (!existed)
        assert_int_equal(change.first_alone, alone);
    if (existed && !keep && !near) {
        assert_int_equal(change.old.size, world->model.entries[at].value_size);
        if (change.old.size)
            assert_memory_equal(change.old.data, world->model.entries[at].value,
                                change.old.size);
    }
    if (!existed || !keep)
        model_put(&world->model, key, value);
    buffer_free(&old);
}

/*
 * A key takes the place of a neighbour with the same first component, or is
 * added where it has been looked for.
 */
static void step_place(struct world *world)
{
    struct tree *tree = &world->tree;
    struct bytes none = bytes_of(NULL, 0);
    struct tree_key key = make_key(&world->random, &world->keys);
    struct tree_key near = {none, none};
    struct tree_path other;
    struct tree_path ahead;
    struct tree_way ways[] = {
        {&tree->root, &other, near},
        {&tree->root, &ahead, key},
    };
    struct tree_place place;
    struct tree_change change;
    uint32_t depth;
    size_t at;
    bool existed;
    bool alone;

    if (world->model.count) {
        struct tree_key some = entry_key(
            &world->model
                 .entries[random_below(&world->random, world->model.count)]);

        /* A second partner for a first that is there: rivals are to be had. */
        if (random_below(&world->random, 2) && key.second.size)
            key.first = some.first;
        near = entry_key(
            &world->model
                 .entries[random_below(&world->random, world->model.count)]);
    }
    existed = model_has(&world->model, key, &at);
    alone = model_alone(&world->model, key);
    if (tree_find_rival(tree, &world->path, key, &place)) {
        assert_false(existed);
        assert_true(bytes_equal(place.rival.first, key.first));
        assert_true(model_has(&world->model, place.rival, &at));
        assert_int_equal(world->model.entries[at].value_size, 0);
        tree_replace_at(tree, &world->path, &place, key);
        model_put(&world->model, key, none);
        assert_true(model_has(&world->model, place.rival, &at));
        model_delete(&world->model, at);
        world->replaced++;
        return;
    }
    ways[0].key = near;
    tree_approach(ways, 2);
    assert_true(tree_get_near(&tree->root, &ahead, key, NULL) == existed);
    depth = other.depth;
    assert_int_equal(tree_add_at(tree, &world->path, &place, key, &change),
                     ST_OK);
    assert_int_equal(change.existed, existed);
    if (existed)
        return;
    assert_int_equal(change.first_alone, alone);
    if (near.first.size && world->path.depth == depth)
        assert_true(tree_get_near(&tree->root, &other, near, NULL));
    model_put(&world->model, key, none);
}

static void step_delete(struct world *world)
{
    struct tree_key key = make_key(&world->random, &world->keys);
    bool near = random_below(&world->random, 2) == 0;
    struct tree_change change = {0};
    size_t at;
    bool existed;
    bool alone;

    if (world->model.count && random_below(&world->random, 4))
        key = entry_key(
            &world->model
                 .entries[random_below(&world->random, world->model.count)]);
    existed = model_has(&world->model, key, &at);
    alone = model_alone(&world->model, key);
    for (uint64_t nth = world->failing ? 1 : 0;; nth++) {
        struct tree_root root = world->tree.root;
        size_t bytes = world->tree.bytes;
        size_t used = world->mem.used;
        enum status st;

        mem_fail_at(&world->mem, nth, false);
        if (!near)
            world->path.depth = 0;
        st = near ? tree_delete_near(&world->tree, &world->path, key, &change)
                  : tree_delete(&world->tree, key, NULL, &change);
        mem_fail_at(&world->mem, 0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NO_MEMORY);
        expect_unchanged(world, root, bytes, used);
    }
    assert_int_equal(change.existed, existed);
    if (existed) {
        assert_int_equal(change.first_alone, alone);
        model_delete(&world->model, at);
    }
}

/* What the model has is found by a path, and nothing else is. */
static void step_get(struct world *world)
{
    for (int i = 0; i < 4; i++) {
        struct tree_key key = make_key(&world->random, &world->keys);
        struct bytes value;
        size_t at;
        bool found =
            tree_get_near(&world->tree.root, &world->path, key, &value);

        assert_int_equal(found, model_has(&world->model, key, &at));
        if (found)
            assert_true(bytes_equal(
                value, bytes_of(world->model.entries[at].value,
                                world->model.entries[at].value_size)));
    }
}

static void thaw(struct world *world, struct frozen *frozen)
{
    expect_equal(&frozen->root, &frozen->model);
    epochs_release(&world->epochs, &frozen->snapshot);
    model_free(&frozen->model);
    *frozen = (struct frozen){0};
}

static void step_snapshot(struct world *world)
{
    struct frozen *frozen = &world->frozen[random_below(&world->random, 4)];

    if (frozen->open) {
        thaw(world, frozen);
        return;
    }
    epochs_snapshot(&world->epochs, &frozen->snapshot);
    frozen->open = true;
    frozen->root = world->tree.root;
    frozen->model = model_copy(&world->model);
}

static void world_run(struct world *world, int steps, int check_every)
{
    mem_init(&world->mem, 0);
    epochs_init(&world->epochs, &world->mem);
    tree_init(&world->tree, &world->epochs);
    for (int i = 0; i < steps; i++) {
        /* Growing and shrinking take turns, so that pages merge too. */
        bool growing = i / (steps / 6 + 1) % 2 == 0;
        uint64_t dice = random_below(&world->random, 100);

        if (dice < 2)
            step_snapshot(world);
        else if (dice < 10)
            step_get(world);
        else if (dice < 20)
            step_place(world);
        else if (dice < (growing ? 80 : 25))
            step_put(world);
        else
            step_delete(world);
        if (i % check_every == 0) {
            expect_valid(&world->tree);
            expect_cut(&world->tree.root, &world->model, &world->random,
                       &world->keys);
        }
        if (i % (steps / 10 + 1) == 0)
            expect_equal(&world->tree.root, &world->model);
    }
    expect_valid(&world->tree);
    expect_equal(&world->tree.root, &world->model);
    for (int i = 0; i < 4; i++)
        if (world->frozen[i].open)
            thaw(world, &world->frozen[i]);
    assert_int_equal(world->epochs.dead_bytes, 0);
    assert_int_equal(world->mem.used, world->tree.bytes);
    tree_clear(&world->tree);
    assert_int_equal(world->mem.used, 0);
    model_free(&world->model);
}

static void run_shape(enum shape shape, bool failing)
{
    uint64_t seed = random_seed();
    int steps = getenv("STEPS") ? atoi(getenv("STEPS")) : 3000;
    unsigned replaced = 0;

    for (int variant = 0; variant < 12; variant++) {
        struct world world = {
            .keys = {shape, variant % 2 == 0, variant % 3 == 0 ? 40 : 4000},
            .value_kind = variant % 3,
            .failing = failing,
        };

        if (shape == SHAPE_LONG)
            world.keys.space /= 8;
        random_init(&world.random, seed + (uint64_t)variant);
        world_run(&world, shape == SHAPE_LONG || failing ? steps / 3 : steps,
                  1);
        replaced += world.replaced;
    }
    if (shape == SHAPE_SMALL)
        assert_true(replaced > 0);
}

static void small_integers_and_floats(void **state)
{
    (void)state;
    run_shape(SHAPE_SMALL, false);
}

static void strings_of_one_size(void **state)
{
    (void)state;
    run_shape(SHAPE_STRINGS, false);
}

static void strings_of_many_sizes(void **state)
{
    (void)state;
    run_shape(SHAPE_UNEVEN, false);
}

static void very_long_keys(void **state)
{
    (void)state;
    run_shape(SHAPE_LONG, false);
}

static void keys_of_all_shapes(void **state)
{
    (void)state;
    run_shape(SHAPE_MIXED, false);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    run_shape(SHAPE_SMALL, true);
    run_shape(SHAPE_MIXED, true);
}

/* ------------------------------------------------------------ larger ones */

static void a_hundred_thousand_pairs(void **state)
{
    struct world world = {.keys = {SHAPE_IDS, true, 100000}};
    uint64_t seed = random_seed();

    (void)state;
    random_init(&world.random, seed);
    mem_init(&world.mem, 0);
    epochs_init(&world.epochs, &world.mem);
    tree_init(&world.tree, &world.epochs);
    for (int i = 0; i < 100000; i++) {
        struct tree_change change;
        struct tree_key key = make_key(&world.random, &world.keys);

        assert_int_equal(tree_add(&world.tree, key, bytes_of(NULL, 0), &change),
                         ST_OK);
    }
    expect_valid(&world.tree);
    /* Seven bytes for a pair of integers, where an array takes sixteen. */
    assert_true(world.tree.bytes < 7 * world.tree.root.count);
    /* The same keys again, all deleted, give all memory back. */
    random_init(&world.random, seed);
    for (int i = 0; i < 100000; i++) {
        struct tree_change change;
        struct tree_key key = make_key(&world.random, &world.keys);

        assert_int_equal(tree_delete(&world.tree, key, NULL, &change), ST_OK);
    }
    assert_int_equal(world.tree.root.count, 0);
    assert_null(world.tree.root.node);
    assert_int_equal(world.mem.used, 0);
}

/* In rising order by a path, a few at a time, as a batch comes. */
static void ascending_runs_by_a_path(void **state)
{
    enum { RUN = 200, RUNS = 200 };
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    mem_init(&mem, 0);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    for (uint64_t run = 0; run < RUNS; run++) {
        struct tree_path path = {.depth = 0};
        uint64_t step = 1 + random_below(&random, 1000);
        uint64_t n = random_below(&random, 100000);
        uint64_t before = tree.root.count;
        uint64_t fresh = 0;

        for (int i = 0; i < RUN; i++, n += 1 + random_below(&random, step)) {
            uint8_t raw[16];
            struct tree_key key = {bytes_of(raw, make_integer(raw, n)),
                                   bytes_of(NULL, 0)};
            bool there = tree_get(&tree.root, key, NULL);
            struct tree_change change;

            assert_int_equal(tree_get_near(&tree.root, &path, key, NULL),
                             there);
            assert_int_equal(
                tree_add_near(&tree, &path, key, bytes_of(NULL, 0), &change),
                ST_OK);
            assert_int_equal(change.existed, there);
            assert_true(tree_get(&tree.root, key, NULL));
            fresh += !there;
        }
        assert_int_equal(tree.root.count, before + fresh);
        expect_valid(&tree);
    }
    tree_clear(&tree);
    assert_int_equal(mem.used, 0);
}

/* Both halves of a page share more than the page did: a first component and
 * the beginnings of its seconds. */
static void halves_of_a_page_share_what_they_can(void **state)
{
    enum { FIRSTS = 300, SECONDS = 300, COUNT = FIRSTS * SECONDS };
    struct mem mem;
    struct epochs epochs;
    struct tree tree;

    (void)state;
    mem_init(&mem, 0);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t n = i * 48271 % COUNT; /* each once, in no order */
        uint64_t first = 1000 + n / SECONDS;
        uint8_t raw[2][16];
        struct tree_key key = {
            bytes_of(raw[0], make_integer(raw[0], first)),
            bytes_of(raw[1],
                     make_integer(raw[1], first << 24 | n % SECONDS << 8 | 1))};
        struct tree_change change;

        assert_int_equal(tree_add(&tree, key, bytes_of(NULL, 0), &change),
                         ST_OK);
    }
    expect_valid(&tree);
    assert_int_equal(tree.root.count, COUNT);
    assert_int_equal(tree.root.first_count, FIRSTS);
    /* Of each key three bytes are kept, and pages are two thirds full; without
     * what only a half shares it would be eight bytes. */
    assert_true(tree.bytes < 5 * COUNT);
    tree_clear(&tree);
    assert_int_equal(mem.used, 0);
}

/* Keys that arrive in order leave full pages behind, from both ends. */
static void sorted_input_fills_pages(void **state)
{
    (void)state;
    for (int descending = 0; descending < 2; descending++) {
        struct mem mem;
        struct epochs epochs;
        struct tree tree;

        mem_init(&mem, 0);
        epochs_init(&epochs, &mem);
        tree_init(&tree, &epochs);
        for (uint64_t i = 0; i < 100000; i++) {
            uint8_t raw[16];
            uint64_t n = 70000 + (descending ? 100000 - i : i);
            size_t size = make_integer(raw, n);
            struct tree_change change;

            assert_int_equal(tree_add(&tree,
                                      (struct tree_key){bytes_of(raw, size),
                                                        bytes_of(NULL, 0)},
                                      bytes_of(NULL, 0), &change),
                             ST_OK);
        }
        expect_valid(&tree);
        assert_true(tree.bytes < 3 * tree.root.count);
        tree_clear(&tree);
    }
}

/* ------------------------------------------------------------- bulk load */

static enum status bulk_load(struct tree *tree, const struct model *model)
{
    struct tree_builder *builder;
    enum status st = tree_builder_create(tree, &builder);

    if (st < 0)
        return st;
    for (size_t i = 0; i < model->count; i++) {
        st = tree_builder_add(
            builder, entry_key(&model->entries[i]),
            bytes_of(model->entries[i].value, model->entries[i].value_size));
        if (st < 0) {
            tree_builder_abort(builder);
            return st;
        }
    }
    return tree_builder_finish(builder);
}

static void bulk_load_equals_inserting(void **state)
{
    uint64_t seed = random_seed();

    (void)state;
    for (int variant = 0; variant < 24; variant++) {
        struct world world = {
            .keys = {(enum shape)(variant % SHAPE_COUNT), variant % 2 == 0,
                     5000},
        };
        int count = variant < 3 ? variant : 4000;

        if (world.keys.shape == SHAPE_LONG)
            count /= 10;
        random_init(&world.random, seed + (uint64_t)variant);
        for (int i = 0; i < count; i++)
            model_put(&world.model, make_key(&world.random, &world.keys),
                      make_value(&world.random, variant % 3));
        mem_init(&world.mem, 0);
        epochs_init(&world.epochs, &world.mem);
        tree_init(&world.tree, &world.epochs);
        assert_int_equal(bulk_load(&world.tree, &world.model), ST_OK);
        expect_valid(&world.tree);
        expect_equal(&world.tree.root, &world.model);
        /* And it is a tree like any other: */
        for (int i = 0; i < 500; i++) {
            step_put(&world);
            step_delete(&world);
        }
        expect_valid(&world.tree);
        expect_equal(&world.tree.root, &world.model);
        tree_clear(&world.tree);
        assert_int_equal(world.mem.used, 0);
        model_free(&world.model);
    }
}

static void bulk_load_refuses_what_does_not_ascend(void **state)
{
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct tree_builder *builder;
    struct tree_key one = {BYTES("\x1a"), BYTES("\x1a")};
    struct tree_key two = {BYTES("\x1a"), BYTES("\x1b")};

    (void)state;
    mem_init(&mem, 0);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    assert_int_equal(tree_builder_create(&tree, &builder), ST_OK);
    assert_int_equal(tree_builder_add(builder, two, bytes_of(NULL, 0)), ST_OK);
    assert_int_equal(tree_builder_add(builder, two, bytes_of(NULL, 0)),
                     ST_BAD_ARGUMENT);
    assert_int_equal(tree_builder_add(builder, one, bytes_of(NULL, 0)),
                     ST_BAD_ARGUMENT);
    tree_builder_abort(builder);
    assert_int_equal(mem.used, 0);
}

static void bulk_load_survives_any_failing_allocation(void **state)
{
    struct world world = {.keys = {SHAPE_MIXED, true, 5000}};
    uint64_t nth = 0;
    enum status st;

    (void)state;
    random_init(&world.random, random_seed());
    for (int i = 0; i < 1500; i++)
        model_put(&world.model, make_key(&world.random, &world.keys),
                  make_value(&world.random, 2));
    mem_init(&world.mem, 0);
    epochs_init(&world.epochs, &world.mem);
    tree_init(&world.tree, &world.epochs);
    do {
        mem_fail_at(&world.mem, ++nth, false);
        st = bulk_load(&world.tree, &world.model);
        mem_fail_at(&world.mem, 0, false);
        if (st < 0) {
            assert_int_equal(st, ST_NO_MEMORY);
            assert_null(world.tree.root.node);
            assert_int_equal(world.mem.used, 0);
        }
    } while (st < 0);
    assert_true(nth > 100);
    expect_equal(&world.tree.root, &world.model);
    tree_clear(&world.tree);
    model_free(&world.model);
}

/* ------------------------------------------------------------ the account */

static void the_limit_stops_puts_and_lets_deletes_go_on(void **state)
{
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct epoch_snapshot snapshot;
    struct tree_change change;
    uint64_t n = 0;
    enum status st;

    (void)state;
    mem_init(&mem, 64 << 10);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    do {
        uint8_t raw[16];
        size_t size = make_integer(raw, n);

        st = tree_add(&tree,
                      (struct tree_key){bytes_of(raw, size), bytes_of(NULL, 0)},
                      bytes_of(NULL, 0), &change);
        n += st == ST_OK;
    } while (st == ST_OK);
    assert_int_equal(st, ST_MEMORY_LIMIT);
    assert_true(mem.used <= mem.limit);
    assert_int_equal(tree.root.count, n);
    expect_valid(&tree);
    mem.limit += 1 << 10;
    epochs_snapshot(&epochs, &snapshot);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t raw[16];
        size_t size = make_integer(raw, i);

        assert_int_equal(tree_delete(&tree,
                                     (struct tree_key){bytes_of(raw, size),
                                                       bytes_of(NULL, 0)},
                                     NULL, &change),
                         ST_OK);
        assert_true(change.existed);
    }
    epochs_release(&epochs, &snapshot);
    assert_int_equal(mem.used, 0);
}

static void keys_and_values_that_are_too_big(void **state)
{
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct tree_change change;
    uint8_t *huge = calloc(1, TREE_VALUE_BYTES_MAX + 1);

    (void)state;
    mem_init(&mem, 0);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    memset(huge, 'x', KEY_BYTES_MAX + 1);
    huge[0] = 0xD4;
    assert_int_equal(
        tree_add(&tree,
                 (struct tree_key){bytes_of(huge, KEY_BYTES_MAX + 1),
                                   bytes_of(NULL, 0)},
                 bytes_of(NULL, 0), &change),
        ST_TOO_BIG);
    assert_int_equal(
        tree_add(&tree, (struct tree_key){BYTES("\x1a"), bytes_of(NULL, 0)},
                 bytes_of(huge, TREE_VALUE_BYTES_MAX + 1), &change),
        ST_TOO_BIG);
    assert_int_equal(
        tree_add(&tree, (struct tree_key){BYTES("\x1a"), bytes_of(NULL, 0)},
                 bytes_of(huge, TREE_VALUE_BYTES_MAX), &change),
        ST_OK);
    huge[KEY_BYTES_MAX - 1] = 0x01;
    for (int i = 'a'; i < 'z'; i++) {
        huge[KEY_BYTES_MAX - 2] = (uint8_t)i;
        assert_int_equal(
            tree_add(&tree,
                     (struct tree_key){bytes_of(huge, KEY_BYTES_MAX),
                                       bytes_of(huge, KEY_BYTES_MAX)},
                     bytes_of(NULL, 0), &change),
            ST_OK);
        expect_valid(&tree);
    }
    tree_clear(&tree);
    assert_int_equal(mem.used, 0);
    free(huge);
}

/* A key of 32 KB with many partners: pages share it. */
static void a_long_first_component_is_shared(void **state)
{
    uint8_t *first = malloc(32000);
    struct mem mem;
    struct epochs epochs;
    struct tree tree;
    struct tree_change change;

    (void)state;
    memset(first, 'x', 32000);
    first[0] = 0xD4;
    first[31999] = 0x01;
    mem_init(&mem, 0);
    epochs_init(&epochs, &mem);
    tree_init(&tree, &epochs);
    for (uint64_t i = 0; i < 2000; i++) {
        uint8_t second[16];
        size_t size = make_integer(second, i * 7919 % 2000);
        struct tree_key key = {bytes_of(first, 32000), bytes_of(second, size)};

        assert_int_equal(tree_add(&tree, key, bytes_of(NULL, 0), &change),
                         ST_OK);
    }
    expect_valid(&tree);
    assert_true(tree.bytes < 2000 * 32000 / 8);
    tree_clear(&tree);
    assert_int_equal(mem.used, 0);
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_integers_and_floats),
        cmocka_unit_test(strings_of_one_size),
        cmocka_unit_test(strings_of_many_sizes),
        cmocka_unit_test(very_long_keys),
        cmocka_unit_test(keys_of_all_shapes),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(a_hundred_thousand_pairs),
        cmocka_unit_test(ascending_runs_by_a_path),
        cmocka_unit_test(halves_of_a_page_share_what_they_can),
        cmocka_unit_test(sorted_input_fills_pages),
        cmocka_unit_test(bulk_load_equals_inserting),
        cmocka_unit_test(bulk_load_refuses_what_does_not_ascend),
        cmocka_unit_test(bulk_load_survives_any_failing_allocation),
        cmocka_unit_test(the_limit_stops_puts_and_lets_deletes_go_on),
        cmocka_unit_test(keys_and_values_that_are_too_big),
        cmocka_unit_test(a_long_first_component_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
