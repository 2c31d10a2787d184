#include "support/model.h"

#include <stdlib.h>

#include "core/etf.h"
#include "core/key.h"

struct bytes model_bytes(const struct model_text *text)
{
    return bytes_of(text->data, text->size);
}

struct model_text model_text(struct bytes bytes)
{
    struct model_text text = {.size = bytes.size};

    REQUIRE(bytes.size <= MODEL_TEXT_MAX);
    if (bytes.size)
        memcpy(text.data, bytes.data, bytes.size);
    return text;
}

int model_text_compare(const struct model_text *a, const struct model_text *b)
{
    return bytes_compare(model_bytes(a), model_bytes(b));
}

static bool same(const struct model_text *a, const struct model_text *b)
{
    return model_text_compare(a, b) == 0;
}

static void *grow(void *block, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return block;
    *capacity = *capacity ? *capacity * 2 : 16;
    block = realloc(block, *capacity * size);
    REQUIRE(block);
    return block;
}

/* --- Lifetime ----------------------------------------------------------- */

void model_copy(struct model *to, const struct model *from)
{
    *to = *from;
    to->losses = NULL;
    to->loss_count = to->loss_capacity = 0;
    for (int i = 0; i < to->table_count; i++) {
        struct model_table *table = &to->tables[i];
        size_t size = table->count * sizeof(*table->pairs);

        table->capacity = table->count;
        table->pairs = NULL;
        if (!size)
            continue;
        table->pairs = malloc(size);
        REQUIRE(table->pairs);
        memcpy(table->pairs, from->tables[i].pairs, size);
    }
}

void model_free(struct model *model)
{
    for (int i = 0; i < model->table_count; i++)
        free(model->tables[i].pairs);
    free(model->losses);
    memset(model, 0, sizeof(*model));
}

int model_add_table(struct model *model, enum table_type type,
                    const struct model_reference references[2])
{
    struct model_table *table = &model->tables[model->table_count];

    REQUIRE(model->table_count < MODEL_TABLES_MAX);
    *table = (struct model_table){.type = type, .next_id = 1};
    for (int side = 0; side < 2; side++)
        table->references[side] =
            references ? references[side] : (struct model_reference){-1, 0};
    return model->table_count++;
}

/* --- What a type is ----------------------------------------------------- */

static bool has_value(enum table_type type)
{
    return type == TABLE_POM || type == TABLE_TO_ONE;
}

static bool is_unique(enum table_type type, enum side side)
{
    if (side == SIDE_FWD)
        return has_value(type) || type == TABLE_SET ||
               type == TABLE_ONE_TO_ONE || type == TABLE_MANY_TO_ONE;
    return type == TABLE_ONE_TO_ONE || type == TABLE_ONE_TO_MANY;
}

bool model_value_equal(const struct model_text *a, const struct model_text *b)
{
    uint32_t numbers[2];
    const struct model_text *texts[2] = {a, b};

    if (same(a, b))
        return true;
    for (int i = 0; i < 2; i++) {
        if (texts[i]->data[0] == ETF_SMALL_INTEGER)
            numbers[i] = texts[i]->data[1];
        else if (texts[i]->data[0] == ETF_INTEGER)
            numbers[i] = load_be32(texts[i]->data + 1);
        else
            return false;
    }
    return numbers[0] == numbers[1];
}

/* --- Changing ----------------------------------------------------------- */

static const struct model_text *pair_side(const struct model_pair *pair,
                                          enum side side)
{
    return side == SIDE_FWD ? &pair->first : &pair->second;
}

static struct model_pair oriented(enum side side,
                                  const struct model_text *first,
                                  const struct model_text *second)
{
    return side == SIDE_FWD ? (struct model_pair){*first, *second}
                            : (struct model_pair){*second, *first};
}

static void add(struct model_table *table, const struct model_pair *pair)
{
    table->pairs = grow(table->pairs, table->count, &table->capacity,
                        sizeof(*table->pairs));
    table->pairs[table->count++] = *pair;
}

static void lose(struct model *model, struct model_loss loss)
{
    model->losses = grow(model->losses, model->loss_count,
                         &model->loss_capacity, sizeof(*model->losses));
    model->losses[model->loss_count++] = loss;
}

static void remove_at(struct model *model, int t, size_t i)
{
    struct model_table *table = &model->tables[t];

    lose(model, (struct model_loss){.table = t, .pair = table->pairs[i]});
    table->pairs[i] = table->pairs[--table->count];
}

static uint64_t remove_key(struct model *model, int t, enum side side,
                           const struct model_text *key)
{
    struct model_table *table = &model->tables[t];
    uint64_t count = 0;

    for (size_t i = table->count; i-- > 0;) {
        if (same(pair_side(&table->pairs[i], side), key)) {
            remove_at(model, t, i);
            count++;
        }
    }
    return count;
}

static void remove_all(struct model *model, int t)
{
    struct model_table *table = &model->tables[t];

    if (table->count)
        lose(model, (struct model_loss){
                        .table = t, .cleared = true, .count = table->count});
    table->count = 0;
}

bool model_has_key(const struct model *model, int t, enum side side,
                   const struct model_text *key)
{
    const struct model_table *table = &model->tables[t];

    for (size_t i = 0; i < table->count; i++)
        if (same(pair_side(&table->pairs[i], side), key))
            return true;
    return false;
}

/* Does what went set off `on_delete` in table r's side s? */
static bool concerns(const struct model *model, const struct model_loss *loss,
                     int r, int s, enum on_delete on_delete)
{
    const struct model_reference *reference = &model->tables[r].references[s];

    if (reference->table != loss->table || reference->on_delete != on_delete)
        return false;
    if (loss->cleared)
        return model->tables[r].count > 0;
    return !model_has_key(model, loss->table, SIDE_FWD, &loss->pair.first) &&
           model_has_key(model, r, (enum side)s, &loss->pair.first);
}

/* The rules of reference, for all that went, in the order in which it did. */
static enum status cascade(struct model *model)
{
    for (size_t i = 0; i < model->loss_count; i++) {
        struct model_loss loss = model->losses[i];

        for (int r = 0; r < model->table_count; r++)
            for (int s = 0; s < 2; s++)
                if (concerns(model, &loss, r, s, ON_DELETE_RESTRICT))
                    return ST_RESTRICTED;
        for (int r = 0; r < model->table_count; r++)
            for (int s = 0; s < 2; s++) {
                if (!concerns(model, &loss, r, s, ON_DELETE_EVICT))
                    continue;
                if (loss.cleared)
                    remove_all(model, r);
                else
                    remove_key(model, r, (enum side)s, &loss.pair.first);
            }
    }
    return ST_OK;
}

enum status model_insert(struct model *model, int t, enum side side,
                         const struct model_text *first,
                         const struct model_text *second, bool *ret)
{
    struct model_table *table = &model->tables[t];
    struct model_pair pair = oriented(side, first, second);

    model->loss_count = 0;
    if (table->type == TABLE_SET)
        pair.second.size = 0;
    *ret = false;
    for (size_t i = 0; i < table->count; i++)
        if (same(&table->pairs[i].first, &pair.first) &&
            (has_value(table->type)
                 ? model_value_equal(&table->pairs[i].second, &pair.second)
                 : same(&table->pairs[i].second, &pair.second)))
            return ST_OK;
    if (is_unique(table->type, SIDE_FWD))
        remove_key(model, t, SIDE_FWD, &pair.first);
    if (is_unique(table->type, SIDE_BWD))
        remove_key(model, t, SIDE_BWD, &pair.second);
    add(table, &pair);
    *ret = true;
    for (int s = 0; s < 2; s++) {
        int target = table->references[s].table;

        if (target >= 0 && !model_has_key(model, target, SIDE_FWD,
                                          pair_side(&pair, (enum side)s)))
            return ST_MISSING_REFERENCE;
    }
    return cascade(model);
}

enum status model_delete(struct model *model, int t, enum side side,
                         const struct model_text *first,
                         const struct model_text *second, bool *ret)
{
    struct model_table *table = &model->tables[t];
    struct model_pair pair = oriented(side, first, second);

    model->loss_count = 0;
    if (table->type == TABLE_SET)
        pair.second.size = 0;
    *ret = false;
    for (size_t i = 0; i < table->count && !*ret; i++) {
        if (!same(&table->pairs[i].first, &pair.first))
            continue;
        *ret = has_value(table->type)
                   ? model_value_equal(&table->pairs[i].second, &pair.second)
                   : same(&table->pairs[i].second, &pair.second);
        if (*ret)
            remove_at(model, t, i);
    }
    return cascade(model);
}

enum status model_delete_key(struct model *model, int t, enum side side,
                             const struct model_text *key, uint64_t *ret)
{
    model->loss_count = 0;
    *ret = remove_key(model, t, side, key);
    return cascade(model);
}

enum status model_pom_insert(struct model *model, int t,
                             const struct model_text *value, uint64_t *ret)
{
    struct model_table *table = &model->tables[t];
    struct model_pair pair = {.second = *value};
    struct mem mem;
    struct buffer key;

    model->loss_count = 0;
    mem_init(&mem, 0);
    key = BUFFER(&mem);
    REQUIRE(key_encode_u64(table->next_id, &key) == ST_OK);
    pair.first = model_text(buffer_bytes(&key));
    buffer_free(&key);
    add(table, &pair);
    *ret = table->next_id++;
    return ST_OK;
}

enum status model_pom_update(struct model *model, int t,
                             const struct model_text *id,
                             const struct model_text *value)
{
    struct model_table *table = &model->tables[t];
    struct model_pair pair = {*id, *value};

    model->loss_count = 0;
    if (!remove_key(model, t, SIDE_FWD, id))
        return ST_NOT_FOUND;
    add(table, &pair);
    return ST_OK;
}

enum status model_clear(struct model *model, int t)
{
    model->loss_count = 0;
    remove_all(model, t);
    return cascade(model);
}

/* --- Listing ------------------------------------------------------------ */

static int by_first_and_second(const void *a, const void *b)
{
    const struct model_pair *x = a;
    const struct model_pair *y = b;
    int order = model_text_compare(&x->first, &y->first);

    return order ? order : model_text_compare(&x->second, &y->second);
}

size_t model_list(const struct model *model, int t, enum side side,
                  const struct model_text *held, struct model_pair **ret)
{
    const struct model_table *table = &model->tables[t];
    struct model_pair *list = malloc((table->count + 1) * sizeof(*list));
    size_t count = 0;

    REQUIRE(list);
    for (size_t i = 0; i < table->count; i++) {
        const struct model_pair *pair = &table->pairs[i];
        struct model_pair seen = oriented(side, &pair->first, &pair->second);

        if (held && !same(&seen.first, held))
            continue;
        list[count++] = seen;
    }
    qsort(list, count, sizeof(*list), by_first_and_second);
    *ret = list;
    return count;
}
