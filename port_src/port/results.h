/*
 * results.h -- rows that algorithms have come to, kept until they are fetched.
 *
 * A client picks the name of a result, {Holder, Number}, as it does that of a
 * snapshot (names.h); it goes in the same ways. While the algorithm runs the
 * name is taken and there is nothing behind it.
 *
 * The rows name vertices by their numbers in a projection, which is kept with
 * them. What they hold is in the store's account.
 */
#ifndef RHIZOME_PORT_RESULTS_H
#define RHIZOME_PORT_RESULTS_H

#include "graph/algorithm.h"
#include "port/names.h"
#include "port/projections.h"

struct kept_result;
struct results;

/* Kept at a time, and how old one may be, where nobody says otherwise. */
#define RESULTS_MAX_DEFAULT 1000
#define RESULT_AGE_MS_DEFAULT 3600000

enum status results_create(struct commands *commands, struct results **ret);
void results_free(struct results *results);
void results_set_limits(struct results *results,
                        const struct version_limits *limits);

/*
 * Takes a name for a result that is to come, with a reference for the caller.
 * ST_BAD_ARGUMENT if it is taken; ST_TOO_BIG if there are too many;
 * ST_NO_MEMORY.
 */
enum status results_open(struct results *results, struct version_name name,
                         struct kept_result **ret);

/* Nobody asks for it any more: its name was released. Any thread may ask. */
bool kept_is_released(const struct kept_result *kept);

/* What a run leaves behind. `vertices` is NULL or names the vertex of each row
 * of a result per vertex; both are of `mem`, which holds nothing else. */
struct rows {
    struct mem mem;
    struct result result;
    uint32_t *vertices;
};

void rows_free(struct rows *rows);

/* Takes the rows over. ST_MEMORY_LIMIT: then it does not. */
enum status kept_fill(struct kept_result *kept, struct rows *rows,
                      struct projected *projected, uint64_t shows);

void kept_keep(struct kept_result *kept);

/* The last one to leave takes a name with it that nothing came behind. */
void kept_leave(struct kept_result *kept);

/* One that is there, or NULL; and lets go of it: false if there is none. */
struct kept_result *results_find(struct results *results,
                                 struct version_name name);
bool results_release(struct results *results, struct version_name name);
uint64_t results_release_holder(struct results *results, int64_t holder);

/* Lets go of those that are too old. To be called now and then. */
void results_look(struct results *results);
uint64_t results_count(const struct results *results);

uint64_t kept_shows(const struct kept_result *kept);
uint64_t kept_rows(const struct kept_result *kept);

/* How many terms a row is; and the type of one of them. A result per vertex
 * begins with the vertex. */
unsigned kept_width(const struct kept_result *kept);
enum column_type kept_type(const struct kept_result *kept, unsigned field);
bool kept_is_nil(const struct kept_result *kept, uint64_t row, unsigned field);
bool kept_is_true(const struct kept_result *kept, uint64_t row, unsigned field);
void kept_put(const struct kept_result *kept, uint64_t row, unsigned field,
              struct writer *out);

/* All of them, as a tuple. */
void kept_put_row(const struct kept_result *kept, uint64_t row,
                  struct writer *out);

/* The key `results` and what {info} says of them. */
void results_put_info(const struct results *results, struct writer *out);

/* --- on a worker --------------------------------------------------------- */

/* By which column rows are put in order, and how many of them are left. */
struct row_order {
    bool given;
    struct bytes column; /* its name; `vertex` of a result per vertex */
    bool descending;
    uint64_t limit; /* UINT64_MAX: all */
};

/*
 * Puts the rows in order: equal ones stay in theirs, and nil comes last either
 * way. O(rows). ST_BAD_ARGUMENT if there is no such column; ST_TOO_BIG beyond
 * 2^32 - 1 rows; those of run_alloc() and run_check().
 */
enum status rows_order(struct run *run, struct rows *rows,
                       const struct row_order *order);

#endif
