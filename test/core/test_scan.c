/*
 * test_scan.c -- views and ranges against a list that is filtered element by
 * element, and the two rules of live walks.
 */
#include "core/scan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etf.h"

#include "support/world.h"

#define NONE (bytes_of(NULL, 0))

static unsigned roll(struct world *world, unsigned bound)
{
    return (unsigned)random_below(&world->random, bound);
}

/* A world with one table of `type` and something in it. */
static void open_filled(struct world *world, uint64_t seed,
                        enum table_type type, unsigned keys, unsigned count)
{
    world_open(world, seed, keys);
    world_add_table(world, type, NULL);
    while (world->model.tables[0].count < count) {
        struct command command = world_command(world);

        if (command.kind == COMMAND_INSERT ||
            command.kind == COMMAND_POM_INSERT)
            world_run(world, &command);
        if (++world->step > 20 * count)
            break;
    }
}

/* --- Ranges ------------------------------------------------------------- */

/* A view and a range, with room for the bytes that they borrow. */
struct query {
    struct view view;
    struct range range;
    bool keys_only;
    struct model_text held;
    struct model_text from[2];
    struct model_text to[2];
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
        bool swap = roll(world, 2);

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
    query->view.table = table;
    if (table_has_side(table, SIDE_BWD))
        query->view.side = (enum side)roll(world, 2);
    if (table_has_second(table) && roll(world, 2)) {
        query->held = world_key(roll(world, world->keys));
        query->view.held = true;
        query->view.key = model_bytes(&query->held);
    }
    query->range.direction = (enum direction)roll(world, 2);
    make_bound(world, &query->range.from, query->from, true);
    make_bound(world, &query->range.to, query->to, false);
    query->keys_only = !query->view.held && roll(world, 3) == 0;
}

/* Is the element at `index` of `count` on the right side of a bound? */
static bool satisfies(const struct query *query, const struct bound *bound,
                      bool lower, const struct model_pair *pair, size_t index,
                      size_t count)
{
    bool held = query->view.held;
    struct bytes key = model_bytes(held ? &pair->second : &pair->first);
    int order = bytes_compare(key, bound->first);

    if (!lower)
        order = -order;
    switch (bound->kind) {
    case BOUND_INCLUSIVE:
        return order >= 0;
    case BOUND_EXCLUSIVE:
        return order > 0;
    case BOUND_AFTER:
        if (!order && !held && table_has_second(query->view.table)) {
            order = bytes_compare(model_bytes(&pair->second), bound->second);
            order = lower ? order : -order;
        }
        return order > 0;
    case BOUND_POSITION:
        if (bound->position >= count)
            return false;
        return lower ? index >= bound->position : index <= bound->position;
    case BOUND_NONE:
        break;
    }
    return true;
}

/* Leaves in `list` what the query asks for, in ascending order. */
static size_t filter(const struct query *query, struct model_pair *list,
                     size_t count, size_t *ret_position)
{
    bool ascending = query->range.direction == ASCENDING;
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (!satisfies(query, &query->range.from, ascending, &list[i], i,
                       count) ||
            !satisfies(query, &query->range.to, !ascending, &list[i], i, count))
            continue;
        if (!left)
            *ret_position = i;
        list[left++] = list[i];
    }
    return left;
}

static size_t distinct(struct model_pair *list, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        if (!left || model_text_compare(&list[left - 1].first, &list[i].first))
            list[left++] = list[i];
    return left;
}

static void run_query(struct world *world, const struct query *query)
{
    bool ascending = query->range.direction == ASCENDING;
    struct model_pair *list;
    size_t count = model_list(&world->model, 0, query->view.side,
                              query->view.held ? &query->held : NULL, &list);
    size_t position = 0;
    uint64_t got_position;
    uint64_t got;
    struct element element;
    struct scan scan;
    struct mem mem;
    size_t seen = 0;
    bool found;

    count = filter(query, list, count, &position);
    got = view_count(&query->view, &query->range, &got_position);
    if (got != count || (count && got_position != position))
        world_fail(world, "%llu at %llu, not %zu at %zu",
                   (unsigned long long)got, (unsigned long long)got_position,
                   count, position);
    if (query->keys_only)
        count = distinct(list, count);

    mem_init(&mem, 0);
    scan_init(&scan, &mem, &query->view, &query->range, query->keys_only);
    while (scan_next(&scan, &element, &found) == ST_OK && found) {
        const struct model_pair *pair =
            &list[ascending ? seen : count - 1 - seen];
        struct bytes first =
            model_bytes(query->view.held ? &pair->second : &pair->first);
        struct bytes second = query->view.held || query->keys_only
                                  ? NONE
                                  : model_bytes(&pair->second);
        bool has_value = table_has_value(query->view.table);

        if (seen++ >= count || !bytes_equal(element.first, first) ||
            !bytes_equal(has_value ? element.value : element.second, second))
            world_fail(world, "element %zu of %zu differs", seen, count);
    }
    if (seen != count)
        world_fail(world, "%zu elements of %zu", seen, count);
    assert_int_equal(scan_next(&scan, &element, &found), ST_OK);
    assert_false(found);
    scan_free(&scan);
    assert_int_equal(mem.used, 0);
    free(list);
}

static void ranges_hold_what_a_filter_leaves(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 4);) {
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
            struct world world;
            struct query query;

            open_filled(&world, seed, type, seed % 2 ? 12 : 60,
                        seed % 2 ? 40 : 400);
            for (unsigned i = 0; i < 1500; i++) {
                world.step++;
                make_query(&world, &query);
                run_query(&world, &query);
            }
            world_close(&world);
        }
    }
}

static void rank_counts_what_lies_before(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        struct world world;

        open_filled(&world, 5, type, 20, 80);
        for (unsigned i = 0; i < 600; i++) {
            struct query query;
            struct model_pair *list;
            struct bytes first;
            struct bytes second;
            uint64_t rank = 0;
            size_t count;

            make_query(&world, &query);
            first = query.range.from.first;
            second = query.range.from.second;
            count = model_list(&world.model, 0, query.view.side,
                               query.view.held ? &query.held : NULL, &list);
            for (size_t n = 0; n < count; n++) {
                struct bytes key = model_bytes(
                    query.view.held ? &list[n].second : &list[n].first);
                int order = bytes_compare(key, first);

                if (!order && !query.view.held &&
                    table_has_second(query.view.table))
                    order = bytes_compare(model_bytes(&list[n].second), second);
                rank += order < 0;
            }
            assert_int_equal(view_rank(&query.view, first, second), rank);
            free(list);
        }
        world_close(&world);
    }
}

/* Keys with one pair and with hundreds, next to each other: a walk of keys
 * steps over the first and seeks past the others. */
static void keys_with_many_pairs_are_visited_once(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, 1, 40);
    world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
    for (unsigned n = 0; n < 40; n++) {
        for (unsigned m = 0; m < (n % 3 ? n % 12 + 1 : 300); m++) {
            struct command command = {.kind = COMMAND_INSERT,
                                      .first = world_key(n),
                                      .second = world_key(m)};

            world_run(&world, &command);
        }
    }
    for (unsigned i = 0; i < 400; i++) {
        struct query query;

        make_query(&world, &query);
        query.view.held = false;
        query.keys_only = true;
        run_query(&world, &query);
    }
    world_close(&world);
}

/* --- Live walks --------------------------------------------------------- */

/* The next element strictly behind `after` (NULL: the first), one at a time,
 * as pages of one element would ask for it. */
static bool live_next(struct world *world, const struct view *view,
                      enum direction direction, const struct model_pair *after,
                      struct model_pair *ret)
{
    struct range range = {.direction = direction};
    struct element element;
    struct scan scan;
    bool found;

    if (after) {
        range.from.kind = BOUND_AFTER;
        range.from.first = model_bytes(&after->first);
        range.from.second = model_bytes(&after->second);
    }
    scan_init(&scan, store_mem(world->store), view, &range, false);
    assert_int_equal(scan_next(&scan, &element, &found), ST_OK);
    if (found) {
        ret->first = model_text(element.first);
        ret->second = model_text(table_has_value(view->table) ? element.value
                                                              : element.second);
    }
    scan_free(&scan);
    return found;
}

/* What the model has strictly behind `after` now. */
static bool model_next(struct world *world, const struct view *view,
                       const struct model_text *held, enum direction direction,
                       const struct model_pair *after, struct model_pair *ret)
{
    struct model_pair *list;
    size_t count = model_list(&world->model, 0, view->side, held, &list);
    bool has_value = table_has_value(view->table);
    bool found = false;

    for (size_t i = 0; i < count && !found; i++) {
        size_t at = direction == ASCENDING ? i : count - 1 - i;
        struct model_pair seen = list[at];
        int order = 1;

        if (held) {
            seen.first = list[at].second;
            seen.second.size = 0;
        }
        if (after) {
            order = model_text_compare(&seen.first, &after->first);
            if (!order && !has_value)
                order = model_text_compare(&seen.second, &after->second);
            order = direction == ASCENDING ? order : -order;
        }
        found = order > 0;
        if (found)
            *ret = seen;
    }
    free(list);
    return found;
}

static void remove_element(struct world *world, const struct view *view,
                           const struct model_text *held,
                           const struct model_pair *element)
{
    struct command command = {
        .kind = COMMAND_DELETE,
        .side = view->side,
        .first = held ? *held : element->first,
        .second = held ? element->first : element->second,
    };

    world_run(world, &command);
}

/* The passage rule: a walk sees what is ahead of it as it is then. */
static void a_walk_sees_what_lies_ahead_as_it_is_then(void **state)
{
    (void)state;
    for (uint64_t seed = 0; world_next_seed(&seed, 3);) {
        for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
            struct world world;

            open_filled(&world, seed, type, 15, 40);
            for (unsigned walk = 0; walk < 60; walk++) {
                enum direction direction = (enum direction)roll(&world, 2);
                struct model_pair last;
                struct model_pair wanted;
                struct query query;
                const struct model_text *held;
                bool started = false;

                make_query(&world, &query);
                held = query.view.held ? &query.held : NULL;
                for (unsigned i = 0; i < 200; i++) {
                    struct model_pair *after = started ? &last : NULL;
                    struct model_pair got;
                    bool more = model_next(&world, &query.view, held, direction,
                                           after, &wanted);

                    world.step++;
                    if (live_next(&world, &query.view, direction, after,
                                  &got) != more)
                        world_fail(&world, "the walk ends elsewhere");
                    if (!more)
                        break;
                    if (model_text_compare(&got.first, &wanted.first) ||
                        model_text_compare(&got.second, &wanted.second))
                        world_fail(&world, "the walk sees something else");
                    last = got;
                    started = true;
                    if (roll(&world, 3) == 0)
                        remove_element(&world, &query.view, held, &last);
                    if (roll(&world, 2)) {
                        struct command command = world_command(&world);

                        if (command.kind != COMMAND_CLEAR)
                            world_run(&world, &command);
                    }
                }
            }
            world_compare(&world);
            world_close(&world);
        }
    }
}

static void removing_what_was_returned_skips_nothing(void **state)
{
    (void)state;
    for (enum table_type type = 0; type < TABLE_ELEMENTS_COUNT; type++) {
        for (int direction = 0; direction < 4; direction++) {
            struct world world;
            struct view view;
            struct model_pair element;
            size_t left;

            open_filled(&world, 9, type, 30, 60);
            view = (struct view){.table = world.tables[0]};
            if (direction >= 2 && table_has_side(view.table, SIDE_BWD))
                view.side = SIDE_BWD;
            left = world.model.tables[0].count;
            for (const struct model_pair *after = NULL;
                 live_next(&world, &view, (enum direction)(direction % 2),
                           after, &element);
                 after = &element, left--)
                remove_element(&world, &view, NULL, &element);
            assert_int_equal(left, 0);
            assert_int_equal(world.model.tables[0].count, 0);
            world_compare(&world);
            world_close(&world);
        }
    }
}

/* The held-set rule: a view of one key is there before and after the key. */
static void a_held_set_outlives_its_key(void **state)
{
    struct world world;
    struct model_text a = world_key(0);
    struct view held = {.held = true, .key = model_bytes(&a)};
    struct range all = {.direction = ASCENDING};
    struct command command = {.kind = COMMAND_INSERT, .first = a};

    (void)state;
    world_open(&world, 0, 10);
    world_add_table(&world, TABLE_ONE_TO_MANY, NULL);
    held.table = world.tables[0];
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(view_count(&held, &all, NULL), 0);
        command.kind = COMMAND_INSERT;
        for (unsigned n = 1; n <= 5; n++) {
            command.second = world_key(n);
            world_run(&world, &command);
            assert_int_equal(view_count(&held, &all, NULL), n);
        }
        command.kind = round ? COMMAND_DELETE_KEY : COMMAND_CLEAR;
        world_run(&world, &command);
    }
    assert_int_equal(view_count(&held, &all, NULL), 0);
    assert_int_equal(table_key_count(held.table, SIDE_FWD), 0);
    world_close(&world);
}

/* --- Memory ------------------------------------------------------------- */

static void a_walk_without_memory_says_so(void **state)
{
    struct world world;

    (void)state;
    open_filled(&world, 2, TABLE_MANY_TO_MANY, 12, 60);
    for (int keys_only = 0; keys_only < 2; keys_only++) {
        struct view view = {.table = world.tables[0]};
        struct range range = {.direction = DESCENDING};
        struct element element;
        struct mem mem;
        enum status st = ST_NO_MEMORY;
        uint64_t nth;

        mem_init(&mem, 0);
        for (nth = 1; st == ST_NO_MEMORY; nth++) {
            struct scan scan;
            bool found = true;

            mem_fail_at(&mem, nth, true);
            scan_init(&scan, &mem, &view, &range, keys_only);
            do
                st = scan_next(&scan, &element, &found);
            while (st == ST_OK && found);
            scan_free(&scan);
            assert_int_equal(mem.used, 0);
        }
        assert_int_equal(st, ST_OK);
        assert_true(nth > 2);
    }
    world_close(&world);
}

static struct bytes large_key(struct buffer *key, uint8_t letter)
{
    static uint8_t term[5 + 32000];

    term[0] = ETF_BINARY;
    store_be32(term + 1, 32000);
    memset(term + 5, letter, 32000);
    key->size = 0;
    assert_int_equal(key_encode(bytes_of(term, sizeof(term)), key), ST_OK);
    return buffer_bytes(key);
}

static void large_keys_are_counted_without_memory(void **state)
{
    struct world world;
    struct model_text one = world_key(3);
    struct mem mem;
    struct buffer keys[2];
    struct bytes key;
    struct bytes other;
    struct view view;
    struct range all = {.direction = ASCENDING};
    bool done;

    (void)state;
    mem_init(&mem, 0);
    keys[0] = BUFFER(&mem);
    keys[1] = BUFFER(&mem);
    world_open(&world, 0, 5);
    world_add_table(&world, TABLE_MANY_TO_MANY, NULL);
    key = large_key(&keys[0], 'x');
    other = large_key(&keys[1], 'y');
    store_begin(world.store);
    assert_int_equal(table_insert(world.store, world.tables[0], SIDE_FWD, key,
                                  model_bytes(&one), &done),
                     ST_OK);
    assert_int_equal(table_insert(world.store, world.tables[0], SIDE_FWD, other,
                                  model_bytes(&one), &done),
                     ST_OK);
    store_commit(world.store);

    mem_fail_at(store_mem(world.store), 1, true);
    view = (struct view){world.tables[0], SIDE_FWD, true, key};
    assert_int_equal(view_count(&view, &all, NULL), 1);
    view = (struct view){.table = world.tables[0]};
    all.from = (struct bound){.kind = BOUND_EXCLUSIVE, .first = key};
    assert_int_equal(view_count(&view, &all, NULL), 1);
    assert_true(table_has_key(world.tables[0], SIDE_FWD, key));
    mem_fail_at(store_mem(world.store), 0, false);
    buffer_free(&keys[0]);
    buffer_free(&keys[1]);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_what_a_filter_leaves),
        cmocka_unit_test(rank_counts_what_lies_before),
        cmocka_unit_test(keys_with_many_pairs_are_visited_once),
        cmocka_unit_test(a_walk_sees_what_lies_ahead_as_it_is_then),
        cmocka_unit_test(removing_what_was_returned_skips_nothing),
        cmocka_unit_test(a_held_set_outlives_its_key),
        cmocka_unit_test(a_walk_without_memory_says_so),
        cmocka_unit_test(large_keys_are_counted_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
