#include "support/world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etf.h"

#define NONE (bytes_of(NULL, 0))

bool world_next_seed(uint64_t *seed, uint64_t count)
{
    const char *given = getenv("SEED");

    if (given && !*seed)
        *seed = strtoull(given, NULL, 10);
    else if (given || *seed >= count)
        return false;
    else
        ++*seed;
    return true;
}

void world_fail(const struct world *world, const char *format, ...)
{
    va_list arguments;
    char text[512];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail_msg("SEED=%llu, step %llu: %s", (unsigned long long)world->seed,
             (unsigned long long)world->step, text);
}

/* --- Terms -------------------------------------------------------------- */

static struct model_text encoded(const uint8_t *term, size_t size)
{
    struct mem mem;
    struct buffer key;
    struct model_text text;

    mem_init(&mem, 0);
    key = BUFFER(&mem);
    REQUIRE(key_encode(bytes_of(term, size), &key) == ST_OK);
    text = model_text(buffer_bytes(&key));
    buffer_free(&key);
    return text;
}

static size_t put_integer(uint8_t *term, uint32_t number)
{
    term[0] = ETF_INTEGER;
    store_be32(term + 1, number);
    return 5;
}

static size_t put_float(uint8_t *term, double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    term[0] = ETF_NEW_FLOAT;
    store_be64(term + 1, bits);
    return 9;
}

static size_t put_binary(uint8_t *term, const char *text, size_t size)
{
    term[0] = ETF_BINARY;
    store_be32(term + 1, (uint32_t)size);
    memcpy(term + 5, text, size);
    return 5 + size;
}

struct model_text world_key(unsigned n)
{
    uint8_t term[64];
    char text[32];
    unsigned number = n / 5;

    switch (n % 5) {
    case 0:
        return encoded(term, put_integer(term, number));
    case 1:
        return encoded(term, put_float(term, number));
    case 2:
        return encoded(term, put_float(term, number + 0.5));
    case 3:
        snprintf(text, sizeof(text), "key:%u", number);
        return encoded(term, put_binary(term, text, strlen(text)));
    default:
        term[0] = ETF_SMALL_TUPLE;
        term[1] = 2;
        term[2] = ETF_SMALL_INTEGER;
        term[3] = (uint8_t)(number % 7);
        return encoded(term, 4 + put_float(term + 4, number));
    }
}

struct model_text world_value(unsigned n)
{
    struct model_text text;
    char zeros[150] = "";
    unsigned number = n / 4;

    switch (n % 4) {
    case 0:
        text.data[0] = ETF_SMALL_INTEGER;
        text.data[1] = (uint8_t)number;
        text.size = 2;
        break;
    case 1:
        text.size = put_integer(text.data, number % 256);
        break;
    default:
        /* Inside a leaf and out of it. */
        snprintf(zeros, sizeof(zeros), "%u", n);
        text.size = put_binary(text.data, zeros, n % 4 == 2 ? 8 : 150);
        break;
    }
    return text;
}

/* --- Lifetime ----------------------------------------------------------- */

void world_open(struct world *world, uint64_t seed, unsigned keys)
{
    memset(world, 0, sizeof(*world));
    assert_int_equal(store_create(NULL, &world->store), ST_OK);
    world->seed = seed;
    world->keys = keys;
    random_init(&world->random, seed);
}

void world_close(struct world *world)
{
    size_t used = store_mem(world->store)->used;

    if (used != store_bytes(world->store))
        world_fail(world, "the account has %zu bytes, the store %zu", used,
                   store_bytes(world->store));
    store_free(world->store);
    model_free(&world->model);
}

int world_add_table(struct world *world, enum table_type type,
                    const struct model_reference references[2])
{
    struct table_reference links[2] = {{NULL, 0}, {NULL, 0}};
    int index = model_add_table(&world->model, type, references);
    struct model_text name;
    uint8_t term[16];
    char text[8];

    for (int side = 0; references && side < 2; side++) {
        if (references[side].table < 0)
            continue;
        links[side].table = world->tables[references[side].table];
        links[side].on_delete = references[side].on_delete;
    }
    snprintf(text, sizeof(text), "t%d", index);
    name = encoded(term, put_binary(term, text, 2));
    store_begin(world->store);
    assert_int_equal(store_table_create(world->store, model_bytes(&name), type,
                                        links, &world->tables[index]),
                     ST_OK);
    store_commit(world->store);
    return index;
}

/* --- Commands ----------------------------------------------------------- */

static unsigned roll(struct world *world, unsigned bound)
{
    return (unsigned)random_below(&world->random, bound);
}

struct command world_command_on(struct world *world, int t)
{
    const struct model_table *model = &world->model.tables[t];
    const struct table *table = world->tables[t];
    struct command command = {.table = t};
    unsigned die = roll(world, 100);

    command.kind = die < 60   ? COMMAND_INSERT
                   : die < 85 ? COMMAND_DELETE
                   : die < 99 ? COMMAND_DELETE_KEY
                              : COMMAND_CLEAR;
    if (model->type == TABLE_POM && command.kind == COMMAND_INSERT)
        command.kind = die < 45 ? COMMAND_POM_INSERT : COMMAND_POM_UPDATE;
    if (table_has_side(table, SIDE_BWD))
        command.side = (enum side)roll(world, 2);
    command.first = world_key(roll(world, world->keys));
    if (table_has_value(table))
        command.second = world_value(roll(world, 64));
    else if (table_has_second(table))
        command.second = world_key(roll(world, world->keys));

    /* What is there would rarely be hit otherwise. */
    if (model->count && command.kind != COMMAND_INSERT && roll(world, 4)) {
        const struct model_pair *pair =
            &model->pairs[roll(world, (unsigned)model->count)];
        bool fwd = command.side == SIDE_FWD;

        command.first = fwd ? pair->first : pair->second;
        if (command.kind != COMMAND_POM_UPDATE)
            command.second = fwd ? pair->second : pair->first;
    }
    return command;
}

struct command world_command(struct world *world)
{
    return world_command_on(
        world, (int)roll(world, (unsigned)world->model.table_count));
}

enum status world_apply(struct world *world, const struct command *command,
                        uint64_t *ret)
{
    struct store *store = world->store;
    struct table *table = world->tables[command->table];
    struct bytes first = model_bytes(&command->first);
    struct bytes second = model_bytes(&command->second);
    bool done = false;
    enum status st = ST_OK;

    *ret = 0;
    switch (command->kind) {
    case COMMAND_INSERT:
        st = table_insert(store, table, command->side, first, second, &done);
        break;
    case COMMAND_DELETE:
        st = table_delete(store, table, command->side, first, second, &done);
        break;
    case COMMAND_DELETE_KEY:
        return table_delete_key(store, table, command->side, first, ret);
    case COMMAND_POM_INSERT:
        return pom_insert(store, table, second, ret);
    case COMMAND_POM_UPDATE:
        return pom_update(store, table, first, second);
    case COMMAND_CLEAR:
        return table_clear(store, table);
    }
    *ret = done;
    return st;
}

enum status world_model_apply(struct model *model,
                              const struct command *command, uint64_t *ret)
{
    int table = command->table;
    const struct model_text *first = &command->first;
    const struct model_text *second = &command->second;
    bool done = false;
    enum status st = ST_OK;

    *ret = 0;
    switch (command->kind) {
    case COMMAND_INSERT:
        st = model_insert(model, table, command->side, first, second, &done);
        break;
    case COMMAND_DELETE:
        st = model_delete(model, table, command->side, first, second, &done);
        break;
    case COMMAND_DELETE_KEY:
        return model_delete_key(model, table, command->side, first, ret);
    case COMMAND_POM_INSERT:
        return model_pom_insert(model, table, second, ret);
    case COMMAND_POM_UPDATE:
        return model_pom_update(model, table, first, second);
    case COMMAND_CLEAR:
        return model_clear(model, table);
    }
    *ret = done;
    return st;
}

/* --- Comparing ---------------------------------------------------------- */

static int by_loss(const void *a, const void *b)
{
    const struct model_loss *x = a;
    const struct model_loss *y = b;
    int order = x->table - y->table;

    order = order ? order : (int)x->cleared - (int)y->cleared;
    if (!order)
        order = model_text_compare(&x->pair.first, &y->pair.first);
    return order ? order : model_text_compare(&x->pair.second, &y->pair.second);
}

static int table_index(const struct world *world, const struct table *table)
{
    int i = 0;

    while (i < world->model.table_count && world->tables[i] != table)
        i++;
    return i;
}

void world_compare_losses(struct world *world)
{
    struct model *model = &world->model;
    struct model_loss *told;
    struct change change;
    size_t count = 0;
    size_t position = 0;

    told = calloc(model->loss_count + 1, sizeof(*told));
    assert_non_null(told);
    while (store_change_next(world->store, &position, &change)) {
        struct model_loss *loss = &told[count];

        if (change.kind != CHANGE_REMOVE && change.kind != CHANGE_CLEAR)
            continue;
        if (count++ == model->loss_count)
            world_fail(world, "more was removed than should be");
        loss->table = table_index(world, change.table);
        loss->cleared = change.kind == CHANGE_CLEAR;
        loss->count = change.count;
        loss->pair.first = model_text(change.first);
        loss->pair.second = model_text(change.second);
    }
    if (count != model->loss_count)
        world_fail(world, "%zu removed, %zu expected", count,
                   model->loss_count);
    qsort(told, count, sizeof(*told), by_loss);
    if (count)
        qsort(model->losses, count, sizeof(*told), by_loss);
    for (size_t i = 0; i < count; i++)
        if (by_loss(&told[i], &model->losses[i]) ||
            told[i].count != model->losses[i].count)
            world_fail(world, "another element was removed");
    free(told);
}

void world_run(struct world *world, const struct command *command)
{
    uint64_t seq = store_seq(world->store);
    uint64_t got;
    uint64_t wanted;
    enum status st;
    enum status model_st;
    struct model before;

    model_copy(&before, &world->model);
    store_begin(world->store);
    st = world_apply(world, command, &got);
    model_st = world_model_apply(&world->model, command, &wanted);
    if (st != model_st)
        world_fail(world, "status %d, %d expected", st, model_st);
    if (st < 0) {
        store_rollback(world->store);
        model_free(&world->model);
        world->model = before;
    } else {
        bool changed = store_change_mark(world->store) > 0;

        if (got != wanted)
            world_fail(world, "outcome %llu, %llu expected",
                       (unsigned long long)got, (unsigned long long)wanted);
        world_compare_losses(world);
        store_commit(world->store);
        if (store_seq(world->store) != seq + changed)
            world_fail(world, "seq does not count changes");
        model_free(&before);
    }
}

void world_step(struct world *world)
{
    struct command command = world_command(world);

    world->step++;
    world_run(world, &command);
}

/* Walks one view both ways and compares it with the model's list. */
static void compare_view(const struct world *world, int t, enum side side,
                         const struct model_text *held)
{
    const struct table *table = world->tables[t];
    struct view view = {.table = table, .side = side, .held = held != NULL};
    struct model_pair *list;
    size_t count = model_list(&world->model, t, side, held, &list);
    struct mem mem;

    mem_init(&mem, 0);
    if (held)
        view.key = model_bytes(held);
    for (int direction = ASCENDING; direction <= DESCENDING; direction++) {
        struct range range = {.direction = (enum direction)direction};
        struct element element;
        struct scan scan;
        size_t seen = 0;
        bool found;

        if (view_count(&view, &range, NULL) != count)
            world_fail(world, "t%d side %d counts %llu, %zu expected", t, side,
                       (unsigned long long)view_count(&view, &range, NULL),
                       count);
        scan_init(&scan, &mem, &view, &range, false);
        while (scan_next(&scan, &element, &found) == ST_OK && found) {
            const struct model_pair *pair =
                &list[direction == ASCENDING ? seen : count - 1 - seen];
            struct bytes first =
                model_bytes(held ? &pair->second : &pair->first);
            struct bytes second = held ? NONE : model_bytes(&pair->second);

            if (seen++ == count || !bytes_equal(first, element.first) ||
                !bytes_equal(second, table_has_value(table) ? element.value
                                                            : element.second))
                world_fail(world, "t%d side %d differs", t, side);
        }
        if (seen != count)
            world_fail(world, "t%d side %d ends early", t, side);
        scan_free(&scan);
    }
    assert_int_equal(mem.used, 0);
    free(list);
}

static void compare_keys(const struct world *world, int t, enum side side)
{
    const struct table *table = world->tables[t];
    struct model_pair *list;
    size_t count = model_list(&world->model, t, side, NULL, &list);
    uint64_t keys = 0;

    for (size_t i = 0; i < count; i++)
        keys += !i || model_text_compare(&list[i - 1].first, &list[i].first);
    if (table_key_count(table, side) != keys)
        world_fail(world, "t%d side %d has another number of keys", t, side);
    free(list);

    for (unsigned n = 0; n < world->keys; n++) {
        struct model_text key = world_key(n);
        bool there = model_has_key(&world->model, t, side, &key);

        if (table_has_key(table, side, model_bytes(&key)) != there)
            world_fail(world, "t%d side %d: key %u is there or not", t, side,
                       n);
        if (table_has_second(table))
            compare_view(world, t, side, &key);
    }
}

void world_compare(struct world *world)
{
    char why[256] = "";

    if (!store_check(world->store, why, sizeof(why)))
        world_fail(world, "store_check: %s", why);
    for (int t = 0; t < world->model.table_count; t++) {
        const struct model_table *model = &world->model.tables[t];

        if (table_count(world->tables[t]) != model->count)
            world_fail(world, "t%d has another count", t);
        if (table_next_id(world->tables[t]) != model->next_id)
            world_fail(world, "t%d has another next id", t);
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
            if (!table_has_side(world->tables[t], side))
                continue;
            compare_view(world, t, side, NULL);
            compare_keys(world, t, side);
        }
    }
}
