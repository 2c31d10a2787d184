/*
 * test_versions.c -- snapshots and forks of a whole store, against models that
 * are copied from end to end.
 *
 * A *line* is a store that goes on, the head or a fork, with the model of what
 * is in it; a *picture* is a line's model as it was when a snapshot was taken.
 * Random commands drive all lines at once, and every picture must stay true.
 * A failure prints the seed; SEED=n replays it, STEPS=n makes runs longer.
 */
#include "core/snapshot.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "core/store_internal.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

#define SLOTS 6
#define PICTURES_MAX 24
#define FORKS_MAX 6

/* What a store holds: slot i is the table of name i, or is empty. */
struct content {
    struct model model;
    bool exists[SLOTS];
};

struct line {
    struct world world; /* of its model, SLOTS tables */
    bool exists[SLOTS];
};

struct picture {
    struct snapshot *snapshot;
    unsigned references;
    struct content content;
    struct digest digest;
    uint64_t seq;
    bool of_fork;
};

struct scene {
    struct line head;
    struct line forks[FORKS_MAX];
    struct picture pictures[PICTURES_MAX];
    unsigned fork_count;
    unsigned picture_count;
};

static struct model_text slot_name(int slot)
{
    return world_key(5 * (unsigned)slot);
}

static unsigned roll(struct world *world, unsigned bound)
{
    return (unsigned)random_below(&world->random, bound);
}

/* --- Comparing ---------------------------------------------------------- */

/* Where tables are looked up: in a store, or in a snapshot. */
struct source {
    const struct store *store;
    const struct snapshot *snapshot;
};

static const struct table *source_find(const struct source *source,
                                       struct bytes name)
{
    return source->store ? store_find(source->store, name)
                         : snapshot_find(source->snapshot, name);
}

static const struct table *source_next(const struct source *source,
                                       const struct table *previous)
{
    return source->store ? store_next_table(source->store, previous)
                         : snapshot_next_table(source->snapshot, previous);
}

static void compare_view(const struct world *world, const struct table *table,
                         enum side side, const struct model_text *held,
                         const struct model *model, int slot)
{
    struct view view = {.table = table, .side = side, .held = held != NULL};
    struct model_pair *list;
    size_t count = model_list(model, slot, side, held, &list);
    struct mem mem;

    mem_init(&mem, 0);
    if (held)
        view.key = model_bytes(held);
    for (enum direction way = ASCENDING; way <= DESCENDING; way++) {
        struct range range = {.direction = way};
        struct element element;
        struct scan scan;
        size_t seen = 0;
        bool found;

        if (view_count(&view, &range, NULL) != count)
            world_fail(world, "slot %d side %d has another count", slot, side);
        scan_init(&scan, &mem, &view, &range, false);
        while (scan_next(&scan, &element, &found) == ST_OK && found) {
            const struct model_pair *pair =
                &list[way == ASCENDING ? seen : count - 1 - seen];
            struct bytes first =
                model_bytes(held ? &pair->second : &pair->first);
            struct bytes second = held ? NONE : model_bytes(&pair->second);

            if (seen++ == count || !bytes_equal(first, element.first) ||
                !bytes_equal(second, table_has_value(table) ? element.value
                                                            : element.second))
                world_fail(world, "slot %d side %d differs", slot, side);
        }
        if (seen != count)
            world_fail(world, "slot %d side %d ends early", slot, side);
        scan_free(&scan);
    }
    assert_int_equal(mem.used, 0);
    free(list);
}

static void compare_table(const struct world *world, const struct table *table,
                          const struct model *model, int slot)
{
    const struct model_table *wanted = &model->tables[slot];
    struct digest sum = {0, 0};

    if (table_type(table) != wanted->type ||
        table_count(table) != wanted->count ||
        table_next_id(table) != wanted->next_id)
        world_fail(world, "slot %d: another type, count or next id", slot);
    for (size_t i = 0; i < wanted->count; i++)
        digest_add(&sum, digest_element(model_bytes(&wanted->pairs[i].first),
                                        model_bytes(&wanted->pairs[i].second)));
    if (!digest_equal(sum, table_digest(table)))
        world_fail(world, "slot %d: another digest", slot);
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        struct table_reference got = table_reference(table, side);
        struct model_reference reference = wanted->references[side];
        struct model_text name =
            slot_name(reference.table < 0 ? 0 : reference.table);

        if ((got.table != NULL) != (reference.table >= 0) ||
            (got.table &&
             (!bytes_equal(table_name(got.table), model_bytes(&name)) ||
              got.on_delete != reference.on_delete)))
            world_fail(world, "slot %d: another reference", slot);
        if (!table_has_side(table, side))
            continue;
        compare_view(world, table, side, NULL, model, slot);
        for (unsigned n = 0; n < world->keys && table_has_second(table);
             n += 1 + world->keys / 8) {
            struct model_text held = world_key(n);

            compare_view(world, table, side, &held, model, slot);
            if (table_has_key(table, side, model_bytes(&held)) !=
                model_has_key(model, slot, side, &held))
                world_fail(world, "slot %d: key %u is there or not", slot, n);
        }
    }
}

static void compare_content(const struct world *world,
                            const struct source *source,
                            const struct model *model, const bool *exists)
{
    const struct table *next = NULL;

    for (int slot = 0; slot < SLOTS; slot++) {
        struct model_text name = slot_name(slot);
        const struct table *table = source_find(source, model_bytes(&name));

        if ((table != NULL) != exists[slot])
            world_fail(world, "slot %d is there or not", slot);
        if (!table)
            continue;
        next = source_next(source, next);
        if (next != table || !bytes_equal(table_name(next), model_bytes(&name)))
            world_fail(world, "slot %d does not come next", slot);
        compare_table(world, table, model, slot);
    }
    if (source_next(source, next))
        world_fail(world, "there is a table more");
}

static void compare_line(const struct line *line)
{
    const struct source source = {line->world.store, NULL};
    char why[256] = "";

    compare_content(&line->world, &source, &line->world.model, line->exists);
    if (!store_check(line->world.store, why, sizeof(why)))
        world_fail(&line->world, "store_check: %s", why);
}

static void compare_picture(const struct world *world,
                            const struct picture *picture)
{
    const struct source source = {NULL, picture->snapshot};

    if (snapshot_seq(picture->snapshot) != picture->seq)
        world_fail(world, "a snapshot has another seq");
    compare_content(world, &source, &picture->content.model,
                    picture->content.exists);
    if (snapshot_list(picture->snapshot) < 0 ||
        !digest_equal(snapshot_digest(picture->snapshot), picture->digest))
        world_fail(world, "a snapshot has another digest");
}

static void compare_scene(struct scene *scene)
{
    struct store *store = scene->head.world.store;

    compare_line(&scene->head);
    for (unsigned i = 0; i < scene->fork_count; i++)
        compare_line(&scene->forks[i]);
    for (unsigned i = 0; i < scene->picture_count; i++)
        compare_picture(&scene->head.world, &scene->pictures[i]);
    if (store_mem(store)->used != store_bytes(store))
        world_fail(&scene->head.world, "the account has %zu, the store %zu",
                   store_mem(store)->used, store_bytes(store));
}

/* --- Commands on a line ------------------------------------------------- */

/* Pointers to tables change as a fork takes them over. */
static void line_refresh(struct line *line)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        struct model_text name = slot_name(slot);

        line->world.tables[slot] =
            store_find(line->world.store, model_bytes(&name));
    }
}

static bool is_referred_to(const struct line *line, int slot)
{
    for (int other = 0; other < SLOTS; other++)
        for (int side = 0; side < 2; side++)
            if (line->exists[other] &&
                line->world.model.tables[other].references[side].table == slot)
                return true;
    return false;
}

static void slot_reset(struct line *line, int slot)
{
    struct model_table *table = &line->world.model.tables[slot];

    free(table->pairs);
    *table = (struct model_table){
        .type = TABLE_SET,
        .next_id = 1,
        .references = {{-1, ON_DELETE_EVICT}, {-1, ON_DELETE_EVICT}},
    };
}

static enum status line_create(struct line *line, int slot,
                               enum table_type type)
{
    struct table_reference references[2] = {{NULL, ON_DELETE_EVICT},
                                            {NULL, ON_DELETE_EVICT}};
    struct model_text name = slot_name(slot);
    struct world *world = &line->world;
    struct model_table model = {
        .type = type,
        .next_id = 1,
        .references = {{-1, ON_DELETE_EVICT}, {-1, ON_DELETE_EVICT}},
    };
    struct table *table;
    enum status st;

    for (int side = 0; side < 2 && type != TABLE_POM; side++) {
        int target = (int)roll(world, SLOTS);

        if ((side == 1 && !table_type_has_bwd(type)) || target == slot ||
            !line->exists[target] || roll(world, 2))
            continue;
        references[side].table = world->tables[target];
        references[side].on_delete = (enum on_delete)roll(world, 2);
        model.references[side] =
            (struct model_reference){target, references[side].on_delete};
    }
    st = store_table_create(world->store, model_bytes(&name), type, references,
                            &table);
    if (st < 0)
        return st;
    slot_reset(line, slot);
    world->model.tables[slot] = model;
    line->exists[slot] = true;
    return ST_OK;
}

static enum status line_drop(struct line *line, int slot)
{
    struct model_text name = slot_name(slot);
    struct store *store = line->world.store;
    struct table *table;
    enum status st = store_find_mutable(store, model_bytes(&name), &table);

    if (st < 0)
        return st;
    st = store_table_drop(store, table);
    if (st == ST_NO_MEMORY)
        return st;
    if (st != (is_referred_to(line, slot) ? ST_RESTRICTED : ST_OK))
        world_fail(&line->world, "dropping slot %d gives %d", slot, st);
    if (st < 0)
        return st;
    slot_reset(line, slot);
    line->exists[slot] = false;
    return ST_OK;
}

/* One mutation of what is in a table. */
static enum status line_mutate(struct line *line, int slot, bool alone)
{
    struct world *world = &line->world;
    struct command command = world_command_on(world, slot);
    struct model_text name = slot_name(slot);
    struct table *table;
    enum status wanted;
    enum status st;
    uint64_t outcome;
    uint64_t expected;

    if (command.kind == COMMAND_CLEAR && roll(world, 4))
        command.kind = COMMAND_DELETE_KEY;
    st = store_find_mutable(world->store, model_bytes(&name), &table);
    if (st < 0)
        return st;
    line_refresh(line);
    assert_ptr_equal(table, world->tables[slot]);
    st = world_apply(world, &command, &outcome);
    if (st == ST_NO_MEMORY)
        return st;
    wanted = world_model_apply(&world->model, &command, &expected);
    if (st != wanted || (st == ST_OK && outcome != expected))
        world_fail(world, "slot %d, command %d: status %d, %d expected", slot,
                   command.kind, st, wanted);
    if (st == ST_OK && alone)
        world_compare_losses(world);
    return st;
}

static enum status line_operate(struct line *line, bool alone)
{
    int slot = (int)roll(&line->world, SLOTS);

    if (!line->exists[slot])
        return line_create(
            line, slot,
            (enum table_type)roll(&line->world, TABLE_ELEMENTS_COUNT));
    if (roll(&line->world, 40) == 0)
        return line_drop(line, slot);
    return line_mutate(line, slot, alone);
}

/* A command of one or several operations, which may be taken back or find no
 * memory: then all is as it was before. */
static void line_step(struct line *line)
{
    struct world *world = &line->world;
    struct mem *mem = store_mem(world->store);
    unsigned operations = roll(world, 4) ? 1 : 2 + roll(world, 4);
    bool regrets = roll(world, 12) == 0;
    bool starves = roll(world, 8) == 0;
    uint64_t seq = store_seq(world->store);
    struct content before;
    enum status st = ST_OK;

    world->step++;
    model_copy(&before.model, &world->model);
    memcpy(before.exists, line->exists, sizeof(before.exists));
    store_begin(world->store);
    if (starves)
        mem_fail_at(mem, 1 + roll(world, 25), roll(world, 2));
    for (unsigned i = 0; st == ST_OK && i < operations; i++) {
        line_refresh(line);
        st = line_operate(line, operations == 1);
    }
    if (st == ST_NO_MEMORY && !starves)
        world_fail(world, "there is no memory");
    if (st < 0 || regrets) {
        store_rollback(world->store);
        model_free(&world->model);
        world->model = before.model;
        memcpy(line->exists, before.exists, sizeof(before.exists));
    } else {
        store_commit(world->store);
        model_free(&before.model);
    }
    mem_fail_at(mem, 0, false);
    if (store_seq(world->store) - seq > (st == ST_OK && !regrets))
        world_fail(world, "the seq went on by more than one");
    line_refresh(line);
}

/* --- Scenes ------------------------------------------------------------- */

static void scene_open(struct scene *scene, uint64_t seed, unsigned keys)
{
    memset(scene, 0, sizeof(*scene));
    world_open(&scene->head.world, seed, keys);
    for (int slot = 0; slot < SLOTS; slot++)
        model_add_table(&scene->head.world.model, TABLE_SET, NULL);
}

/* Snapshots of one state are one: then it is a reference more. */
static void scene_take(struct scene *scene, struct line *line)
{
    struct picture *picture = &scene->pictures[scene->picture_count];
    struct store *store = line->world.store;
    struct snapshot *snapshot;
    size_t used = store_mem(store)->used;

    if (roll(&scene->head.world, 8) == 0) {
        enum status st;

        mem_fail_at(store_mem(store), 1, true);
        st = snapshot_take(store, &snapshot);
        mem_fail_at(store_mem(store), 0, false);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        if (st == ST_OK)
            snapshot_release(snapshot);
        assert_int_equal(store_mem(store)->used, used);
    }
    assert_int_equal(snapshot_take(store, &snapshot), ST_OK);
    for (unsigned i = 0; i < scene->picture_count; i++)
        if (scene->pictures[i].snapshot == snapshot) {
            assert_int_equal(scene->pictures[i].seq, store_seq(store));
            assert_true(
                digest_equal(scene->pictures[i].digest, store_digest(store)));
            scene->pictures[i].references++;
            return;
        }
    *picture = (struct picture){
        .snapshot = snapshot,
        .references = 1,
        .digest = store_digest(store),
        .seq = store_seq(store),
        .of_fork = store_base(store) != NULL,
    };
    model_copy(&picture->content.model, &line->world.model);
    memcpy(picture->content.exists, line->exists, sizeof(line->exists));
    scene->picture_count++;
}

static void scene_release(struct scene *scene, unsigned i)
{
    struct picture *picture = &scene->pictures[i];

    if (roll(&scene->head.world, 2))
        compare_picture(&scene->head.world, picture);
    snapshot_release(picture->snapshot);
    if (--picture->references)
        return;
    model_free(&picture->content.model);
    *picture = scene->pictures[--scene->picture_count];
}

static void scene_fork(struct scene *scene, const struct picture *picture)
{
    struct line *fork = &scene->forks[scene->fork_count++];
    struct mem *mem = store_mem(scene->head.world.store);
    size_t used = mem->used;

    memset(fork, 0, sizeof(*fork));
    fork->world.seed = scene->head.world.seed;
    fork->world.step = scene->head.world.step;
    fork->world.keys = scene->head.world.keys;
    random_init(&fork->world.random, random_next(&scene->head.world.random));
    mem_fail_at(mem, 1, false);
    assert_int_equal(snapshot_fork(picture->snapshot, &fork->world.store),
                     ST_NO_MEMORY);
    assert_int_equal(mem->used, used);
    assert_int_equal(snapshot_fork(picture->snapshot, &fork->world.store),
                     ST_OK);
    model_copy(&fork->world.model, &picture->content.model);
    memcpy(fork->exists, picture->content.exists, sizeof(fork->exists));
    assert_ptr_equal(store_base(fork->world.store), picture->snapshot);
    assert_int_equal(store_seq(fork->world.store), picture->seq);
    assert_true(digest_equal(store_digest(fork->world.store), picture->digest));
    line_refresh(fork);
}

/* Snapshots of it may be open still. */
static void scene_discard(struct scene *scene, unsigned i)
{
    struct line *fork = &scene->forks[i];

    if (roll(&scene->head.world, 2))
        compare_line(fork);
    store_free(fork->world.store);
    model_free(&fork->world.model);
    *fork = scene->forks[--scene->fork_count];
}

static void scene_step(struct scene *scene)
{
    struct world *world = &scene->head.world;
    unsigned die = roll(world, 100);
    unsigned fork = scene->fork_count ? roll(world, scene->fork_count) : 0;
    unsigned picture =
        scene->picture_count ? roll(world, scene->picture_count) : 0;

    if (die < 45) {
        line_step(&scene->head);
    } else if (die < 70 && scene->fork_count) {
        line_step(&scene->forks[fork]);
    } else if (die < 78 && scene->picture_count < PICTURES_MAX) {
        scene_take(scene, &scene->head);
    } else if (die < 82 && scene->fork_count &&
               scene->picture_count < PICTURES_MAX) {
        scene_take(scene, &scene->forks[fork]);
    } else if (die < 84 && scene->picture_count) {
        snapshot_keep(scene->pictures[picture].snapshot);
        scene->pictures[picture].references++;
    } else if (die < 92 && scene->picture_count) {
        scene_release(scene, picture);
    } else if (die < 95 && scene->picture_count &&
               scene->fork_count < FORKS_MAX) {
        if (!scene->pictures[picture].of_fork)
            scene_fork(scene, &scene->pictures[picture]);
    } else if (die < 97 && scene->fork_count) {
        scene_discard(scene, fork);
    } else if (scene->picture_count) {
        compare_picture(world, &scene->pictures[picture]);
    }
}

static size_t table_objects(const struct store *store)
{
    const struct table *table = NULL;
    size_t bytes = 0;

    while ((table = store_next_table(store, table)))
        bytes += mem_charge(sizeof(*table) + table_name(table).size);
    return bytes;
}

/* Lets go of all but the head, in any order; then nothing is left of them. */
static void scene_release_all(struct scene *scene)
{
    struct world *world = &scene->head.world;
    const struct store *store = world->store;

    while (scene->picture_count || scene->fork_count) {
        if (scene->picture_count && roll(world, 2))
            scene_release(scene, roll(world, scene->picture_count));
        else if (scene->fork_count)
            scene_discard(scene, roll(world, scene->fork_count));
    }
    compare_scene(scene);
    assert_int_equal(store->epochs.open, 0);
    assert_int_equal(store->epochs.dead_bytes, 0);
    assert_int_equal(store->object_bytes, table_objects(store));
}

static void scene_close(struct scene *scene)
{
    struct line *head = &scene->head;
    struct store *store = head->world.store;

    scene_release_all(scene);
    store_begin(store);
    for (int round = 0; round < SLOTS; round++)
        for (int slot = 0; slot < SLOTS; slot++)
            if (head->exists[slot] && !is_referred_to(head, slot))
                assert_int_equal(line_drop(head, slot), ST_OK);
    store_commit(store);
    assert_int_equal(store_table_count(store), 0);
    assert_int_equal(store->object_bytes, 0);
    assert_int_equal(store->epochs.bytes, 0);
    world_close(&head->world);
}

static unsigned steps_wanted(unsigned usual)
{
    const char *given = getenv("STEPS");

    return given ? (unsigned)strtoul(given, NULL, 10) : usual;
}

static void every_version_stays_what_it_was(void **state)
{
    unsigned steps = steps_wanted(2500);

    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 8);) {
        struct scene *scene = malloc(sizeof(*scene));

        scene_open(scene, seed, 8 + (unsigned)(seed % 4) * 20);
        for (unsigned i = 1; i <= steps; i++) {
            scene_step(scene);
            if (i % 100 == 0)
                compare_scene(scene);
            if (i % 700 == 0)
                scene_release_all(scene);
        }
        scene_close(scene);
        free(scene);
    }
}

/* Whatever forks do, the head's account has the same bytes when they go. */
static void forks_leave_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 4);) {
        struct scene *scene = malloc(sizeof(*scene));
        struct world *world = &scene->head.world;
        struct digest digest;
        size_t used;

        scene_open(scene, seed, 40);
        for (unsigned i = 0; i < 400; i++)
            line_step(&scene->head);
        digest = store_digest(world->store);
        used = store_mem(world->store)->used;
        for (unsigned round = 0; round < 10; round++) {
            scene_take(scene, &scene->head);
            while (scene->fork_count < FORKS_MAX)
                scene_fork(scene, &scene->pictures[0]);
            for (unsigned i = 0; i < 100; i++) {
                struct line *fork = &scene->forks[roll(world, FORKS_MAX)];

                line_step(fork);
                if (i % 25 == 0)
                    scene_take(scene, fork);
            }
            compare_scene(scene);
            scene_release_all(scene);
            if (store_mem(world->store)->used != used)
                world_fail(world, "forks have left %zd bytes",
                           (ssize_t)(store_mem(world->store)->used - used));
            assert_true(digest_equal(digest, store_digest(world->store)));
        }
        scene_close(scene);
        free(scene);
    }
}

/* --- One thing at a time ------------------------------------------------ */

static struct store *open_store(void)
{
    struct store *store;

    assert_int_equal(store_create(NULL, &store), ST_OK);
    return store;
}

/* Fails the test unless all is given back but what the store holds. */
static void close_store(struct store *store)
{
    char why[256] = "";

    if (!store_check(store, why, sizeof(why)))
        fail_msg("store_check: %s", why);
    assert_int_equal(store->epochs.open, 0);
    assert_int_equal(store->epochs.dead_bytes, 0);
    assert_int_equal(store->object_bytes, table_objects(store));
    assert_int_equal(store_mem(store)->used, store_bytes(store));
    store_free(store);
}

static struct snapshot *take(struct store *store)
{
    struct snapshot *snapshot;

    assert_int_equal(snapshot_take(store, &snapshot), ST_OK);
    return snapshot;
}

static struct store *fork_of(struct snapshot *snapshot)
{
    struct store *fork;

    assert_int_equal(snapshot_fork(snapshot, &fork), ST_OK);
    return fork;
}

/* The table named `n`, created in a command of its own. */
static void create(struct store *store, unsigned n, enum table_type type,
                   const unsigned *target, enum on_delete on_delete)
{
    struct table_reference references[2] = {{NULL, on_delete},
                                            {NULL, on_delete}};
    struct model_text name = slot_name((int)n);
    struct table *table;

    store_begin(store);
    if (target) {
        struct model_text other = slot_name((int)*target);

        references[0].table = store_find(store, model_bytes(&other));
    }
    assert_int_equal(
        store_table_create(store, model_bytes(&name), type, references, &table),
        ST_OK);
    store_commit(store);
}

static struct table *mutable(struct store *store, unsigned n)
{
    struct model_text name = slot_name((int)n);
    struct table *table;

    assert_int_equal(store_find_mutable(store, model_bytes(&name), &table),
                     ST_OK);
    assert_non_null(table);
    return table;
}

static enum status drop(struct store *store, unsigned n)
{
    enum status st;

    store_begin(store);
    st = store_table_drop(store, mutable(store, n));
    if (st < 0)
        store_rollback(store);
    else
        store_commit(store);
    return st;
}

static enum status insert(struct store *store, unsigned n, unsigned first,
                          unsigned second)
{
    struct model_text a = world_key(5 * first);
    struct model_text b = world_key(5 * second);
    struct table *table;
    enum status st;
    bool inserted;

    store_begin(store);
    table = mutable(store, n);
    st = table_insert(store, table, SIDE_FWD, model_bytes(&a),
                      table_has_second(table) ? model_bytes(&b) : NONE,
                      &inserted);
    if (st < 0)
        store_rollback(store);
    else
        store_commit(store);
    return st;
}

static enum status delete_key(struct store *store, unsigned n, unsigned first)
{
    struct model_text a = world_key(5 * first);
    enum status st;
    uint64_t count;

    store_begin(store);
    st = table_delete_key(store, mutable(store, n), SIDE_FWD, model_bytes(&a),
                          &count);
    if (st < 0)
        store_rollback(store);
    else
        store_commit(store);
    return st;
}

/* How many elements table n has; -1 if it is not there. */
static int count_in(struct store *store, unsigned n)
{
    struct model_text name = slot_name((int)n);
    const struct table *table = store_find(store, model_bytes(&name));

    return table ? (int)table_count(table) : -1;
}

static int count_at(const struct snapshot *snapshot, unsigned n)
{
    struct model_text name = slot_name((int)n);
    const struct table *table = snapshot_find(snapshot, model_bytes(&name));
    char why[256] = "";

    if (table && !table_check(table, why, sizeof(why)))
        fail_msg("table_check of a version: %s", why);
    return table ? (int)table_count(table) : -1;
}

static void a_snapshot_sees_a_table_that_was_dropped(void **state)
{
    struct store *store = open_store();
    struct snapshot *snapshot;
    struct snapshot *later;

    (void)state;
    create(store, 1, TABLE_MANY_TO_MANY, NULL, ON_DELETE_EVICT);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(insert(store, 1, i, i + 1), ST_OK);
    snapshot = take(store);
    assert_int_equal(drop(store, 1), ST_OK);
    later = take(store);
    assert_int_equal(count_at(snapshot, 1), 1000);
    assert_int_equal(count_at(later, 1), -1);
    assert_null(snapshot_next_table(later, NULL));
    snapshot_release(later);
    assert_int_equal(count_at(snapshot, 1), 1000);
    snapshot_release(snapshot);
    assert_int_equal(store->epochs.bytes, 0);
    assert_int_equal(store->object_bytes, 0);
    close_store(store);
}

/* The name comes again and again, and each time it is another table. */
static void a_name_may_be_given_again(void **state)
{
    enum { ROUNDS = 40 };
    struct store *store = open_store();
    struct snapshot *snapshots[ROUNDS][2];

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        create(store, 1, i % 2 ? TABLE_SET : TABLE_MANY_TO_MANY, NULL,
               ON_DELETE_EVICT);
        for (unsigned n = 0; n < i; n++)
            assert_int_equal(insert(store, 1, n, n), ST_OK);
        snapshots[i][0] = take(store);
        assert_int_equal(insert(store, 1, 999, 0), ST_OK);
        snapshots[i][1] = take(store);
        assert_int_equal(drop(store, 1), ST_OK);
    }
    for (unsigned step = 0; step < ROUNDS; step++) {
        unsigned i = step * 17 % ROUNDS;

        assert_int_equal(count_at(snapshots[i][0], 1), (int)i);
        assert_int_equal(count_at(snapshots[i][1], 1), (int)i + 1);
        assert_int_equal(table_type(snapshot_next_table(snapshots[i][0], NULL)),
                         i % 2 ? TABLE_SET : TABLE_MANY_TO_MANY);
        snapshot_release(snapshots[i][step % 2]);
        assert_int_equal(count_at(snapshots[i][1 - step % 2], 1),
                         (int)(i + 1 - step % 2));
        snapshot_release(snapshots[i][1 - step % 2]);
    }
    assert_int_equal(store->epochs.bytes, 0);
    assert_int_equal(store->object_bytes, 0);
    close_store(store);
}

static void a_snapshot_does_not_see_a_later_table(void **state)
{
    struct store *store = open_store();
    struct snapshot *nothing = take(store);
    struct snapshot *empty;
    struct store *fork;

    (void)state;
    create(store, 1, TABLE_SET, NULL, ON_DELETE_EVICT);
    empty = take(store);
    assert_int_equal(insert(store, 1, 5, 0), ST_OK);
    assert_int_equal(count_at(nothing, 1), -1);
    assert_int_equal(count_at(empty, 1), 0);
    assert_int_equal(snapshot_list(nothing), ST_OK);
    assert_int_equal(snapshot_table_count(nothing), 0);

    /* In a fork of it the name is free. */
    fork = fork_of(nothing);
    assert_int_equal(count_in(fork, 1), -1);
    create(fork, 1, TABLE_MANY_TO_MANY, NULL, ON_DELETE_EVICT);
    assert_int_equal(insert(fork, 1, 7, 7), ST_OK);
    assert_int_equal(insert(fork, 1, 7, 8), ST_OK);
    assert_int_equal(count_in(fork, 1), 2);
    assert_int_equal(count_in(store, 1), 1);
    store_free(fork);
    snapshot_release(nothing);
    snapshot_release(empty);
    close_store(store);
}

static void forks_on_both_sides_of_a_drop(void **state)
{
    struct store *store = open_store();
    struct snapshot *before;
    struct snapshot *after;
    struct store *forks[3];

    (void)state;
    create(store, 1, TABLE_ONE_TO_MANY, NULL, ON_DELETE_EVICT);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(insert(store, 1, i / 3, i), ST_OK);
    before = take(store);
    forks[0] = fork_of(before);
    assert_int_equal(drop(store, 1), ST_OK);
    after = take(store);
    forks[1] = fork_of(after);
    forks[2] = fork_of(before);

    assert_int_equal(count_in(forks[0], 1), 300);
    assert_int_equal(count_in(forks[1], 1), -1);
    assert_int_equal(insert(forks[0], 1, 500, 0), ST_OK); /* 0 moves */
    assert_int_equal(insert(forks[2], 1, 500, 999), ST_OK);
    assert_int_equal(count_in(forks[0], 1), 300);
    assert_int_equal(count_in(forks[2], 1), 301);
    create(forks[1], 1, TABLE_SET, NULL, ON_DELETE_EVICT);
    assert_int_equal(insert(forks[1], 1, 1, 0), ST_OK);
    create(store, 1, TABLE_TO_MANY, NULL, ON_DELETE_EVICT);
    assert_int_equal(drop(forks[0], 1), ST_OK);
    assert_int_equal(count_in(forks[0], 1), -1);
    assert_int_equal(count_in(forks[1], 1), 1);
    assert_int_equal(count_in(forks[2], 1), 301);
    assert_int_equal(count_in(store, 1), 0);
    assert_int_equal(count_at(before, 1), 300);
    for (int i = 0; i < 3; i++)
        assert_true(store_check(forks[i], NULL, 0));
    snapshot_release(before);
    snapshot_release(after);
    for (int i = 0; i < 3; i++)
        store_free(forks[i]);
    close_store(store);
}

static void a_chain_of_a_thousand_snapshots(void **state)
{
    enum { COUNT = 1000 };
    uint64_t seed = random_seed();
    struct store *store = open_store();
    struct snapshot *snapshots[COUNT];
    unsigned lengths[COUNT];
    struct random random;
    size_t bytes;

    (void)state;
    random_init(&random, seed);
    create(store, 1, TABLE_MANY_TO_MANY, NULL, ON_DELETE_EVICT);
    create(store, 2, TABLE_SET, NULL, ON_DELETE_EVICT);
    assert_int_equal(insert(store, 2, 7, 0), ST_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(insert(store, 1, i, i), ST_OK);
        snapshots[i] = take(store);
        lengths[i] = i + 1;
        bytes = snapshot_bytes(snapshots[i]);
        assert_int_equal(bytes, 0);
    }
    for (unsigned left = COUNT; left > 0; left--) {
        unsigned i = (unsigned)random_below(&random, left);

        if (left % 10 == 0) {
            assert_int_equal(count_at(snapshots[i], 1), (int)lengths[i]);
            assert_int_equal(count_at(snapshots[i], 2), 1);
        }
        snapshot_release(snapshots[i]);
        snapshots[i] = snapshots[left - 1];
        lengths[i] = lengths[left - 1];
    }
    close_store(store);
}

static void a_fork_outlives_the_snapshot_it_came_from(void **state)
{
    struct store *store = open_store();
    struct snapshot *snapshot;
    struct snapshot *reader;
    struct store *fork;

    (void)state;
    create(store, 1, TABLE_MANY_TO_MANY, NULL, ON_DELETE_EVICT);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(insert(store, 1, i, i), ST_OK);
    snapshot = take(store);
    fork = fork_of(snapshot);
    snapshot_release(snapshot);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(delete_key(store, 1, i), ST_OK);
    assert_int_equal(drop(store, 1), ST_OK);
    assert_int_equal(count_in(fork, 1), 500);
    assert_int_equal(insert(fork, 1, 1, 2), ST_OK);
    assert_int_equal(count_in(fork, 1), 501);
    assert_true(store_check(fork, NULL, 0));

    /* And a snapshot of the fork outlives the fork. */
    reader = take(fork);
    assert_int_equal(delete_key(fork, 1, 1), ST_OK);
    assert_int_equal(count_in(fork, 1), 499);
    store_free(fork);
    assert_int_equal(count_at(reader, 1), 501);
    snapshot_release(reader);
    assert_int_equal(store->epochs.bytes, 0);
    close_store(store);
}

/* Nobody else sees what a fork's references set off, and it sees nothing of
 * theirs. */
static void references_hold_in_a_fork(void **state)
{
    static const unsigned people = 1;
    struct store *store = open_store();
    struct snapshot *snapshot;
    struct store *forks[2];

    (void)state;
    create(store, people, TABLE_SET, NULL, ON_DELETE_EVICT);
    create(store, 2, TABLE_MANY_TO_MANY, &people, ON_DELETE_EVICT);
    create(store, 3, TABLE_TO_MANY, &people, ON_DELETE_RESTRICT);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(insert(store, people, i, 0), ST_OK);
        assert_int_equal(insert(store, 2, i, 5), ST_OK);
    }
    assert_int_equal(insert(store, 3, 50, 1), ST_OK);
    snapshot = take(store);
    for (int i = 0; i < 2; i++)
        forks[i] = fork_of(snapshot);
    snapshot_release(snapshot);

    assert_int_equal(insert(forks[0], 2, 200, 5), ST_MISSING_REFERENCE);
    assert_int_equal(delete_key(forks[0], people, 50), ST_RESTRICTED);
    assert_int_equal(delete_key(forks[0], people, 7), ST_OK);
    assert_int_equal(count_in(forks[0], 2), 99);
    assert_int_equal(count_in(store, 2), 100);
    assert_int_equal(count_in(forks[1], 2), 100);
    assert_int_equal(drop(forks[0], people), ST_RESTRICTED);

    /* The head loses its referrers; the forks keep theirs. */
    assert_int_equal(drop(store, 3), ST_OK);
    assert_int_equal(delete_key(store, people, 50), ST_OK);
    assert_int_equal(delete_key(forks[1], people, 50), ST_RESTRICTED);
    assert_int_equal(drop(store, 2), ST_OK);
    assert_int_equal(drop(store, people), ST_OK);
    assert_int_equal(drop(forks[1], people), ST_RESTRICTED);
    assert_int_equal(drop(forks[1], 3), ST_OK);
    assert_int_equal(drop(forks[1], 2), ST_OK);
    assert_int_equal(drop(forks[1], people), ST_OK);

    /* A table of a fork's own may refer to one that was there. */
    create(forks[0], 4, TABLE_TO_MANY, &people, ON_DELETE_EVICT);
    assert_int_equal(insert(forks[0], 4, 7, 1), ST_MISSING_REFERENCE);
    assert_int_equal(insert(forks[0], 4, 8, 1), ST_OK);
    assert_int_equal(delete_key(forks[0], people, 8), ST_OK);
    assert_int_equal(count_in(forks[0], 4), 0);
    assert_int_equal(count_in(forks[0], 2), 98);
    for (int i = 0; i < 2; i++) {
        assert_true(store_check(forks[i], NULL, 0));
        store_free(forks[i]);
    }
    assert_int_equal(store->epochs.bytes, 0);
    close_store(store);
}

/* Nothing but the references of a table changes, once each way. */
static void a_table_is_referred_to_as_it_was(void **state)
{
    static const unsigned people = 1;
    struct store *store = open_store();
    struct snapshot *alone;
    struct snapshot *referred;
    struct store *fork;

    (void)state;
    create(store, people, TABLE_SET, NULL, ON_DELETE_EVICT);
    assert_int_equal(insert(store, people, 7, 0), ST_OK);
    alone = take(store);
    create(store, 2, TABLE_TO_MANY, &people, ON_DELETE_EVICT);
    assert_int_equal(insert(store, 2, 7, 1), ST_OK);
    referred = take(store);
    assert_int_equal(drop(store, 2), ST_OK);

    fork = fork_of(alone);
    assert_int_equal(drop(fork, people), ST_OK);
    store_free(fork);
    fork = fork_of(referred);
    assert_int_equal(delete_key(fork, people, 7), ST_OK);
    assert_int_equal(count_in(fork, 2), 0);
    assert_int_equal(drop(fork, people), ST_RESTRICTED);
    assert_true(store_check(fork, NULL, 0));
    store_free(fork);
    snapshot_release(alone);
    snapshot_release(referred);
    close_store(store);
}

static void what_did_not_change_is_one_snapshot(void **state)
{
    struct store *store = open_store();
    struct snapshot *snapshot;
    struct snapshot *again;
    struct snapshot *undone;
    struct table *table;
    struct model_text key = world_key(5);
    bool inserted;

    (void)state;
    create(store, 1, TABLE_SET, NULL, ON_DELETE_EVICT);
    snapshot = take(store);
    assert_ptr_equal(take(store), snapshot);
    assert_int_equal(insert(store, 1, 1, 0), ST_OK);
    again = take(store);
    assert_ptr_not_equal(again, snapshot);
    assert_int_equal(insert(store, 1, 1, 0), ST_OK); /* it is there */
    assert_ptr_equal(take(store), again);
    /* What was undone lies elsewhere now. */
    store_begin(store);
    table = mutable(store, 1);
    assert_int_equal(table_insert(store, table, SIDE_FWD, model_bytes(&key),
                                  NONE, &inserted),
                     ST_OK);
    store_rollback(store);
    undone = take(store);
    assert_ptr_not_equal(undone, again);
    assert_int_equal(snapshot_seq(undone), snapshot_seq(again));
    assert_ptr_equal(take(store), undone);
    assert_ptr_equal(snapshot_keep(snapshot), snapshot);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count_at(undone, 1), 1);
        snapshot_release(undone);
        assert_int_equal(count_at(again, 1), 1);
        snapshot_release(again);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(count_at(snapshot, 1), 0);
        snapshot_release(snapshot);
    }
    close_store(store);
}

/* Whichever allocation of a fork's first write fails, nothing was done. */
static void without_memory_a_fork_is_as_it_was(void **state)
{
    static const unsigned target = 1;

    (void)state;
    for (unsigned linked = 0; linked < 2; linked++) {
        struct store *store = open_store();
        struct mem *mem = store_mem(store);
        struct snapshot *snapshot;
        size_t used;

        create(store, 1, TABLE_SET, NULL, ON_DELETE_EVICT);
        for (unsigned n = 2; n < 6; n++)
            create(store, n, TABLE_MANY_TO_MANY, linked ? &target : NULL,
                   ON_DELETE_EVICT);
        for (unsigned i = 0; i < 50; i++) {
            assert_int_equal(insert(store, 1, i, 0), ST_OK);
            assert_int_equal(insert(store, 3, i, i), ST_OK);
        }
        snapshot = take(store);
        used = mem->used;
        for (unsigned nth = 1;; nth++) {
            struct store *fork = fork_of(snapshot);
            struct digest digest = store_digest(fork);
            struct model_text name = slot_name(3);
            struct model_text key = world_key(0);
            struct table *table;
            uint64_t count;
            enum status st;

            store_begin(fork);
            mem_fail_at(mem, nth, nth % 2);
            st = store_find_mutable(fork, model_bytes(&name), &table);
            if (st == ST_OK)
                st = table_delete_key(fork, table, SIDE_FWD, model_bytes(&key),
                                      &count);
            mem_fail_at(mem, 0, false);
            assert_true(st == ST_OK || st == ST_NO_MEMORY);
            if (st < 0) {
                store_rollback(fork);
                assert_true(digest_equal(digest, store_digest(fork)));
                assert_int_equal(delete_key(fork, 3, 0), ST_OK);
            } else {
                store_commit(fork);
            }
            assert_int_equal(count_in(fork, 3), 49);
            assert_true(store_check(fork, NULL, 0));
            assert_true(store_check(store, NULL, 0));
            store_free(fork);
            assert_int_equal(mem->used, used);
            if (st == ST_OK) {
                assert_true(nth > (linked ? 5u : 2u));
                break;
            }
        }
        snapshot_release(snapshot);
        close_store(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_stays_what_it_was),
        cmocka_unit_test(forks_leave_nothing_behind),
        cmocka_unit_test(a_snapshot_sees_a_table_that_was_dropped),
        cmocka_unit_test(a_name_may_be_given_again),
        cmocka_unit_test(a_snapshot_does_not_see_a_later_table),
        cmocka_unit_test(forks_on_both_sides_of_a_drop),
        cmocka_unit_test(a_chain_of_a_thousand_snapshots),
        cmocka_unit_test(a_fork_outlives_the_snapshot_it_came_from),
        cmocka_unit_test(references_hold_in_a_fork),
        cmocka_unit_test(a_table_is_referred_to_as_it_was),
        cmocka_unit_test(what_did_not_change_is_one_snapshot),
        cmocka_unit_test(without_memory_a_fork_is_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
