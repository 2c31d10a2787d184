/*
 * model.h -- tables as anybody would write them who has all the time in the
 * world: an unsorted array of pairs for each, scanned from end to end.
 *
 * It states the rules of insertion, deletion and reference once more, without
 * trees, change records or two directions that could disagree. Tests carry
 * out the same commands on a store and on a model and compare.
 *
 * A command that the model refuses may have changed it; take a copy before.
 */
#ifndef RHIZOME_TEST_SUPPORT_MODEL_H
#define RHIZOME_TEST_SUPPORT_MODEL_H

#include "core/table.h"

#define MODEL_TABLES_MAX 8
#define MODEL_TEXT_MAX 192

/* Bytes by value: an encoded key, or a value's external term. */
struct model_text {
    size_t size;
    uint8_t data[MODEL_TEXT_MAX];
};

struct model_pair {
    struct model_text first;
    struct model_text second;
};

/* One thing that went: a pair, or (`cleared`) everything in a table. */
struct model_loss {
    int table;
    bool cleared;
    uint64_t count;         /* of `cleared` */
    struct model_pair pair; /* in fwd orientation */
};

struct model_reference {
    int table; /* -1: none */
    enum on_delete on_delete;
};

struct model_table {
    enum table_type type;
    struct model_reference references[2];
    uint64_t next_id;
    struct model_pair *pairs; /* in fwd orientation, in no order */
    size_t count;
    size_t capacity;
};

/* Tables stand in the order of their names. */
struct model {
    struct model_table tables[MODEL_TABLES_MAX];
    int table_count;
    struct model_loss *losses; /* of the last command, in order */
    size_t loss_count;
    size_t loss_capacity;
};

struct bytes model_bytes(const struct model_text *text);
struct model_text model_text(struct bytes bytes);
int model_text_compare(const struct model_text *a, const struct model_text *b);

void model_copy(struct model *to, const struct model *from);
void model_free(struct model *model);
int model_add_table(struct model *model, enum table_type type,
                    const struct model_reference references[2]);

enum status model_insert(struct model *model, int table, enum side side,
                         const struct model_text *first,
                         const struct model_text *second, bool *ret);
enum status model_delete(struct model *model, int table, enum side side,
                         const struct model_text *first,
                         const struct model_text *second, bool *ret);
enum status model_delete_key(struct model *model, int table, enum side side,
                             const struct model_text *key, uint64_t *ret);
enum status model_pom_insert(struct model *model, int table,
                             const struct model_text *value, uint64_t *ret);
enum status model_pom_update(struct model *model, int table,
                             const struct model_text *id,
                             const struct model_text *value);
enum status model_clear(struct model *model, int table);

bool model_has_key(const struct model *model, int table, enum side side,
                   const struct model_text *key);

/*
 * The elements of a view in ascending order, oriented as seen from `side`;
 * `held` (may be NULL) leaves those of one key. The caller frees `*ret`.
 */
size_t model_list(const struct model *model, int table, enum side side,
                  const struct model_text *held, struct model_pair **ret);

/* =:= for the values that tests use: integers in two forms, and others. */
bool model_value_equal(const struct model_text *a, const struct model_text *b);

#endif
