/*
 * world.h -- a store and its model, driven by the same random commands.
 *
 * world_step() makes one up, carries it out on both sides and compares what
 * they say: the status, the outcome, and everything that was evicted. At any
 * moment world_compare() compares the contents, both ways and key by key.
 *
 * A failure prints the seed; SEED=n in the environment replays that one.
 */
#ifndef RHIZOME_TEST_SUPPORT_WORLD_H
#define RHIZOME_TEST_SUPPORT_WORLD_H

#include "core/scan.h"
#include "core/store.h"

#include "support/model.h"
#include "support/random.h"

struct world {
    struct store *store;
    struct model model;
    struct table *tables[MODEL_TABLES_MAX];
    struct random random;
    uint64_t seed;
    uint64_t step;
    unsigned keys; /* keys are drawn from so many */
};

enum command_kind {
    COMMAND_INSERT,
    COMMAND_DELETE,
    COMMAND_DELETE_KEY,
    COMMAND_POM_INSERT,
    COMMAND_POM_UPDATE,
    COMMAND_CLEAR,
};

struct command {
    enum command_kind kind;
    int table;
    enum side side;
    struct model_text first;
    struct model_text second;
};

/* The seeds a test runs with: SEED alone, or 1 to `count`. Ends with false. */
bool world_next_seed(uint64_t *seed, uint64_t count);

/* The n-th test key: integers, equal floats, fractions, binaries, tuples. */
struct model_text world_key(unsigned n);

/* The n-th test value; 2n and 2n + 1 are now and then =:= in two forms. */
struct model_text world_value(unsigned n);

void world_open(struct world *world, uint64_t seed, unsigned keys);

/* Fails the test unless the store has given back all memory. */
void world_close(struct world *world);

/* Creates a table on both sides, in a command of its own. */
int world_add_table(struct world *world, enum table_type type,
                    const struct model_reference references[2]);

/* Ends the test with the seed, the step and a message. */
__attribute__((format(printf, 2, 3))) void world_fail(const struct world *world,
                                                      const char *format, ...);

/* Made-up commands; now and then one through a key that is there. */
struct command world_command(struct world *world);
struct command world_command_on(struct world *world, int table);

/* One side's half of a command. `*ret` is its outcome as a number. */
enum status world_apply(struct world *world, const struct command *command,
                        uint64_t *ret);
enum status world_model_apply(struct model *model,
                              const struct command *command, uint64_t *ret);

/* Compares the change list with the model's losses. Before the commit. */
void world_compare_losses(struct world *world);

/* Begin, command, comparison, commit or rollback. */
void world_run(struct world *world, const struct command *command);
void world_step(struct world *world);

/* Contents of all tables, and store_check(). */
void world_compare(struct world *world);

#endif
