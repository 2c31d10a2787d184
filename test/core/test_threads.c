/*
 * test_threads.c -- threads that read versions while the store goes on.
 *
 * The store's thread writes, takes snapshots and forks, and hands out jobs:
 * tables pinned and snapshots listed, each with what it must hold. Whoever has
 * done a job gives it back, for what was kept for it is released on the
 * store's thread. How many jobs there are and what is in each depends on the
 * seed alone. Under ThreadSanitizer this is the proof that readers share
 * nothing with the writer.
 */
#include "core/same.h"
#include "core/snapshot.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/store_internal.h"

#include "support/world.h"

enum { READERS = 3, TABLES = 5, JOBS_MAX = 9 };

enum job_kind { JOB_PINS, JOB_LIST, JOB_SAME };

/* Pins of all tables at up to two versions. */
struct job {
    enum job_kind kind;
    struct snapshot *snapshots[2];
    struct table *pins[2][TABLES];
    uint64_t counts[2][TABLES];
    struct digest digests[2][TABLES];
    bool good;
};

struct workshop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *waiting[JOBS_MAX];
    struct job *done[JOBS_MAX];
    unsigned waiting_count;
    unsigned done_count;
    unsigned open_count; /* waiting, running or done */
    bool closing;
};

/* --- What readers do ---------------------------------------------------- */

/* Walks a side both ways and adds up what is there. */
static bool pin_is_sound(const struct table *pin, uint64_t count,
                         struct digest digest)
{
    struct mem mem;
    bool good = table_count(pin) == count;

    mem_init(&mem, 0);
    for (unsigned turn = 0; good && turn < 4; turn++) {
        enum side side = (enum side)(turn / 2);
        struct range range = {.direction = (enum direction)(turn % 2)};
        struct view view = {.table = pin, .side = side};
        struct digest sum = {0, 0};
        struct element element;
        struct scan scan;
        uint64_t seen = 0;
        bool found = true;

        if (!table_has_side(pin, side))
            continue;
        scan_init(&scan, &mem, &view, &range, false);
        for (; good; seen++) {
            struct bytes second;

            good = scan_next(&scan, &element, &found) == ST_OK;
            if (!good || !found)
                break;
            second = table_has_value(pin) ? element.value : element.second;
            digest_add(&sum, side == SIDE_FWD
                                 ? digest_element(element.first, second)
                                 : digest_element(second, element.first));
        }
        scan_free(&scan);
        good = good && seen == count && digest_equal(sum, digest) &&
               view_count(&view, &range, NULL) == count;
    }
    return good && mem.used == 0;
}

/* The sets that the keys hold are all of the table. */
static bool held_sets_add_up(const struct table *pin)
{
    struct range all = {.direction = ASCENDING};
    struct view keys = {.table = pin};
    struct element element;
    struct scan scan;
    struct mem mem;
    uint64_t sum = 0;
    bool found = true;

    if (!table_has_second(pin))
        return true;
    mem_init(&mem, 0);
    scan_init(&scan, &mem, &keys, &all, true);
    while (scan_next(&scan, &element, &found) == ST_OK && found) {
        struct view held = {.table = pin, .held = true, .key = element.first};

        sum += view_count(&held, &all, NULL);
        found = table_has_key(pin, SIDE_FWD, element.first);
    }
    scan_free(&scan);
    return sum == table_count(pin);
}

static bool do_pins(const struct job *job)
{
    bool good = true;

    for (int t = 0; good && t < TABLES; t++)
        good = pin_is_sound(job->pins[0][t], job->counts[0][t],
                            job->digests[0][t]) &&
               held_sets_add_up(job->pins[0][t]);
    return good;
}

static bool frozen_is_sound(const struct frozen_table *frozen,
                            struct digest digest)
{
    bool has_value = table_type_has_value(frozen->type);
    struct tree_entry entry = {0};
    struct tree_cursor cursor;
    struct digest sum = {0, 0};
    struct mem mem;
    bool good = true;

    mem_init(&mem, 0);
    entry.buffer = BUFFER(&mem);
    for (bool more = tree_cursor_select(&cursor, &frozen->roots[SIDE_FWD], 0);
         good && more; more = tree_cursor_next(&cursor)) {
        good = tree_cursor_read(&cursor, &entry) == ST_OK;
        digest_add(&sum,
                   digest_element(entry.key.first,
                                  has_value ? entry.value : entry.key.second));
    }
    buffer_free(&entry.buffer);
    return good && digest_equal(sum, digest) &&
           digest_equal(sum, frozen->digest);
}

static bool do_list(const struct job *job)
{
    const struct snapshot *snapshot = job->snapshots[0];
    bool good = snapshot_table_count(snapshot) == TABLES;

    /* Without references they stand in the order of their names. */
    for (uint32_t t = 0; good && t < TABLES; t++)
        good = frozen_is_sound(snapshot_table(snapshot, t), job->digests[0][t]);
    return good;
}

/* Two versions are the same where their digests are. */
static bool do_same(const struct job *job)
{
    struct range all = {.direction = ASCENDING};
    struct same same;
    struct mem mem;
    bool good = true;

    mem_init(&mem, 0);
    same_init(&same, &mem);
    for (int t = 0; good && t < TABLES; t++) {
        const struct table *a = job->pins[0][t];
        const struct table *b = job->pins[1][t];
        struct view views[2] = {{.table = a}, {.table = b}};
        bool got;

        good = view_same(&same, &views[0], &views[1], &all, NULL, false,
                         &got) == ST_OK &&
               got == digest_equal(job->digests[0][t], job->digests[1][t]);
    }
    same_free(&same);
    return good;
}

static void *reader(void *argument)
{
    struct workshop *shop = argument;

    pthread_mutex_lock(&shop->lock);
    for (;;) {
        struct job *job;

        while (!shop->waiting_count && !shop->closing)
            pthread_cond_wait(&shop->changed, &shop->lock);
        if (!shop->waiting_count)
            break;
        job = shop->waiting[--shop->waiting_count];
        pthread_mutex_unlock(&shop->lock);
        job->good = job->kind == JOB_PINS   ? do_pins(job)
                    : job->kind == JOB_LIST ? do_list(job)
                                            : do_same(job);
        pthread_mutex_lock(&shop->lock);
        shop->done[shop->done_count++] = job;
        pthread_cond_broadcast(&shop->changed);
    }
    pthread_mutex_unlock(&shop->lock);
    return NULL;
}

/* --- What the store's thread does --------------------------------------- */

static struct snapshot *take(struct store *store)
{
    struct snapshot *snapshot;

    assert_int_equal(snapshot_take(store, &snapshot), ST_OK);
    return snapshot;
}

/* Pins all tables of a snapshot, which the job has then. */
static void job_pin(struct job *job, int which, struct snapshot *snapshot,
                    struct mem *mem)
{
    const struct table *table = NULL;
    int t = 0;

    job->snapshots[which] = snapshot;
    while ((table = snapshot_next_table(snapshot, table))) {
        assert_true(t < TABLES);
        job->pins[which][t] = table_pin(mem, table);
        assert_non_null(job->pins[which][t]);
        job->counts[which][t] = table_count(table);
        job->digests[which][t] = table_digest(table);
        t++;
    }
    assert_int_equal(t, TABLES);
}

static void job_free(struct job *job, struct mem *mem)
{
    assert_true(job->good);
    for (int which = 0; which < 2; which++) {
        for (int t = 0; t < TABLES; t++)
            if (job->pins[which][t])
                table_unpin(mem, job->pins[which][t]);
        snapshot_release(job->snapshots[which]);
    }
    free(job);
}

/* Frees what is done; waits until no more than `open` are. */
static void shop_collect(struct workshop *shop, unsigned open, struct mem *mem)
{
    pthread_mutex_lock(&shop->lock);
    for (;;) {
        while (shop->done_count) {
            struct job *job = shop->done[--shop->done_count];

            shop->open_count--;
            pthread_mutex_unlock(&shop->lock);
            job_free(job, mem);
            pthread_mutex_lock(&shop->lock);
        }
        if (shop->open_count <= open)
            break;
        pthread_cond_wait(&shop->changed, &shop->lock);
    }
    pthread_mutex_unlock(&shop->lock);
}

static void shop_give(struct workshop *shop, struct job *job)
{
    pthread_mutex_lock(&shop->lock);
    shop->waiting[shop->waiting_count++] = job;
    shop->open_count++;
    pthread_cond_broadcast(&shop->changed);
    pthread_mutex_unlock(&shop->lock);
}

/* Now and then what is written is taken back. */
static void write_some(struct world *world, struct random *random,
                       unsigned count)
{
    while (count--) {
        struct command command = world_command(world);
        uint64_t outcome;

        if (command.kind == COMMAND_CLEAR && random_below(random, 20))
            continue;
        store_begin(world->store);
        if (world_apply(world, &command, &outcome) < 0 ||
            random_below(random, 10) == 0)
            store_rollback(world->store);
        else
            store_commit(world->store);
    }
}

/* A table of a fork, written to as far as the fork's life goes. */
static void write_fork(struct store *fork, struct random *random)
{
    for (unsigned i = 0; i < 60; i++) {
        struct model_text key = world_key((unsigned)random_below(random, 300));
        struct table *seen = NULL;
        struct table *table;
        struct digest before = store_digest(fork);
        uint64_t count;
        enum status st;

        for (uint64_t n = random_below(random, TABLES) + 1; n > 0; n--)
            seen = store_next_table(fork, seen);
        store_begin(fork);
        assert_int_equal(store_find_mutable(fork, table_name(seen), &table),
                         ST_OK);
        st = table_delete_key(fork, table, SIDE_FWD, model_bytes(&key), &count);
        if (st < 0 || i % 7 == 0) {
            store_rollback(fork);
            assert_true(digest_equal(before, store_digest(fork)));
        } else {
            store_commit(fork);
        }
    }
}

static struct job *job_create(enum job_kind kind)
{
    struct job *job = calloc(1, sizeof(*job));

    assert_non_null(job);
    job->kind = kind;
    return job;
}

static void readers_see_what_was_there(void **state)
{
    enum { ROUNDS = 150, FORKS = 2 };
    static const enum table_type types[TABLES] = {TABLE_SET, TABLE_MANY_TO_MANY,
                                                  TABLE_TO_ONE, TABLE_POM,
                                                  TABLE_ONE_TO_MANY};
    struct workshop shop = {.closing = false};
    struct store *forks[FORKS] = {NULL};
    pthread_t threads[READERS];
    struct random random;
    struct world world;
    struct mem *mem;
    struct snapshot *older;

    (void)state;
    random_init(&random, random_seed());
    pthread_mutex_init(&shop.lock, NULL);
    pthread_cond_init(&shop.changed, NULL);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &shop), 0);

    world_open(&world, random_next(&random), 300);
    mem = store_mem(world.store);
    for (int t = 0; t < TABLES; t++)
        world_add_table(&world, types[t], NULL);
    write_some(&world, &random, 3000);
    older = take(world.store);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct job *job = job_create((enum job_kind)(round % 3));
        struct store **fork = &forks[round % FORKS];
        struct snapshot *snapshot;

        write_some(&world, &random, 40);
        snapshot = take(world.store);
        job_pin(job, 0, snapshot, mem);
        if (job->kind == JOB_LIST)
            assert_int_equal(snapshot_list(snapshot), ST_OK);
        if (job->kind == JOB_SAME)
            job_pin(job, 1, snapshot_keep(older), mem);
        shop_give(&shop, job);
        write_some(&world, &random, 40);

        /* A fork, and a snapshot of it that a reader gets. */
        if (!*fork)
            assert_int_equal(snapshot_fork(older, fork), ST_OK);
        write_fork(*fork, &random);
        job = job_create(round % 2 ? JOB_PINS : JOB_SAME);
        job_pin(job, 0, take(*fork), mem);
        if (job->kind == JOB_SAME)
            job_pin(job, 1, snapshot_keep(store_base(*fork)), mem);
        shop_give(&shop, job);
        write_fork(*fork, &random);
        if (round % 5 == 0) {
            store_free(*fork);
            *fork = NULL;
        }
        if (round % 4 == 0) {
            snapshot_release(older);
            older = take(world.store);
        }
        shop_collect(&shop, JOBS_MAX - 2, mem);
    }
    shop_collect(&shop, 0, mem);
    for (int i = 0; i < FORKS; i++)
        store_free(forks[i]);
    snapshot_release(older);
    pthread_mutex_lock(&shop.lock);
    shop.closing = true;
    pthread_cond_broadcast(&shop.changed);
    pthread_mutex_unlock(&shop.lock);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_cond_destroy(&shop.changed);
    pthread_mutex_destroy(&shop.lock);

    assert_int_equal(world.store->epochs.open, 0);
    assert_int_equal(world.store->epochs.dead_bytes, 0);
    assert_true(store_check(world.store, NULL, 0));
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
