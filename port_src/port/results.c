/*
 * results.c -- what is kept, and rows put in order.
 *
 * A result is counted: its name has a reference, the run that fills it has
 * one, and so does each reading of its rows. Released means without a name.
 *
 * The order. A column becomes an array of (key, row), 64 bits of which say how
 * it compares; a radix sort from the lowest byte on, one pass for each byte in
 * which keys differ, is stable and can stop anywhere. Then the columns are
 * gathered once, so that who reads rows reads them in a line, and what a limit
 * leaves out takes no memory.
 */
#include "port/results.h"

#include <math.h>
#include <stdatomic.h>

#include "core/etf.h"
#include "port/call.h"

struct kept_result {
    struct named named; /* the first: it is found by it */
    struct results *registry;
    uint64_t users;
    bool has_name;
    bool is_filled;
    atomic_bool released;
    struct rows rows;
    size_t charged;
    struct projected *projected;
    uint64_t shows;
};

struct results {
    struct commands *commands;
    struct names names;
    size_t bytes;
};

static struct kept_result *kept_of(struct named *named)
{
    return (struct kept_result *)(void *)named;
}

/* --- lifetime ----------------------------------------------------------- */

/* Takes its name away. */
static void on_release(struct named *named)
{
    struct kept_result *kept = kept_of(named);

    names_leave(&kept->registry->names, named);
    kept->has_name = false;
    atomic_store_explicit(&kept->released, true, memory_order_relaxed);
    kept_leave(kept);
}

enum status results_create(struct commands *commands, struct results **ret)
{
    static const struct version_limits limits = {RESULTS_MAX_DEFAULT,
                                                 RESULT_AGE_MS_DEFAULT};
    struct results *results = mem_zalloc(commands->mem, sizeof(*results));

    if (!results)
        return ST_NO_MEMORY;
    results->commands = commands;
    names_init(&results->names, commands->mem, &limits, on_release);
    *ret = results;
    return ST_OK;
}

void results_free(struct results *results)
{
    if (!results)
        return;
    names_deinit(&results->names);
    REQUIRE(!results->bytes);
    mem_free(results->commands->mem, results, sizeof(*results));
}

void results_set_limits(struct results *results,
                        const struct version_limits *limits)
{
    results->names.limits = *limits;
}

enum status results_open(struct results *results, struct version_name name,
                         struct kept_result **ret)
{
    struct kept_result *kept;
    bool room;
    enum status st;

    if (names_find(&results->names, name))
        return ST_BAD_ARGUMENT;
    st = names_admit(&results->names, &room);
    if (st == ST_OK && !room)
        return ST_TOO_BIG;
    if (st < 0)
        return st;
    kept = mem_zalloc(results->commands->mem, sizeof(*kept));
    if (!kept)
        return ST_NO_MEMORY;
    kept->registry = results;
    kept->users = 2; /* the name and the caller */
    kept->has_name = true;
    atomic_init(&kept->released, false);
    names_enter(&results->names, &kept->named, name);
    *ret = kept;
    return ST_OK;
}

bool kept_is_released(const struct kept_result *kept)
{
    return atomic_load_explicit(&kept->released, memory_order_relaxed);
}

void rows_free(struct rows *rows)
{
    struct mem *mem = &rows->mem;
    size_t size = rows->result.rows * sizeof(*rows->vertices);

    if (rows->vertices)
        mem_free(mem, rows->vertices, size ? size : 1);
    rows->vertices = NULL;
    result_free(mem, &rows->result);
}

enum status kept_fill(struct kept_result *kept, struct rows *rows,
                      struct projected *projected, uint64_t shows)
{
    struct results *results = kept->registry;
    struct projections *projections = results->commands->projections;

    REQUIRE(!kept->is_filled);
    if (!projections_reserve(projections, rows->mem.used))
        return ST_MEMORY_LIMIT;
    kept->rows = *rows; /* blocks do not know where their account lies */
    rows->vertices = NULL;
    result_init(&rows->result);
    mem_init(&rows->mem, 0);
    kept->charged = kept->rows.mem.used;
    results->bytes += kept->charged;
    projected_keep(projected);
    kept->projected = projected;
    kept->shows = shows;
    kept->is_filled = true;
    return ST_OK;
}

void kept_keep(struct kept_result *kept)
{
    kept->users++;
}

static void kept_free(struct kept_result *kept)
{
    struct results *results = kept->registry;

    if (kept->is_filled) {
        rows_free(&kept->rows);
        REQUIRE(kept->rows.mem.used == 0);
        projections_unreserve(results->commands->projections, kept->charged);
        results->bytes -= kept->charged;
        projected_leave(kept->projected);
    }
    mem_free(results->commands->mem, kept, sizeof(*kept));
}

void kept_leave(struct kept_result *kept)
{
    kept->users--;
    if (kept->users == 1 && kept->has_name && !kept->is_filled)
        on_release(&kept->named); /* and comes back here */
    else if (!kept->users)
        kept_free(kept);
}

struct kept_result *results_find(struct results *results,
                                 struct version_name name)
{
    struct kept_result *kept = kept_of(names_find(&results->names, name));

    return kept && kept->is_filled ? kept : NULL;
}

bool results_release(struct results *results, struct version_name name)
{
    struct named *named = names_find(&results->names, name);

    if (named)
        on_release(named);
    return named != NULL;
}

uint64_t results_release_holder(struct results *results, int64_t holder)
{
    return names_release_holder(&results->names, holder);
}

void results_look(struct results *results)
{
    names_look(&results->names);
}

uint64_t results_count(const struct results *results)
{
    return results->names.count;
}

/* --- rows ---------------------------------------------------------------- */

uint64_t kept_shows(const struct kept_result *kept)
{
    return kept->shows;
}

uint64_t kept_rows(const struct kept_result *kept)
{
    return kept->rows.result.rows;
}

unsigned kept_width(const struct kept_result *kept)
{
    const struct result *result = &kept->rows.result;

    return result->column_count + result->per_vertex;
}

/* NULL: the field is the vertex of the row. */
static const struct column *field_column(const struct kept_result *kept,
                                         unsigned field)
{
    const struct result *result = &kept->rows.result;

    if (result->per_vertex && field == 0)
        return NULL;
    return &result->columns[field - result->per_vertex];
}

enum column_type kept_type(const struct kept_result *kept, unsigned field)
{
    const struct column *column = field_column(kept, field);

    return column ? column->type : COLUMN_VERTEX;
}

bool kept_is_nil(const struct kept_result *kept, uint64_t row, unsigned field)
{
    const struct column *column = field_column(kept, field);

    if (!column)
        return false;
    switch (column->type) {
    case COLUMN_VERTEX:
        return ((const uint32_t *)column->data)[row] == NO_VERTEX;
    case COLUMN_U64:
        return ((const uint64_t *)column->data)[row] == UINT64_MAX;
    case COLUMN_F64:
        return isnan(((const double *)column->data)[row]);
    default:
        return false;
    }
}

bool kept_is_true(const struct kept_result *kept, uint64_t row, unsigned field)
{
    const struct column *column = field_column(kept, field);

    return column && column->type == COLUMN_BOOL &&
           ((const uint8_t *)column->data)[row];
}

static void put_vertex(const struct kept_result *kept, uint32_t vertex,
                       struct writer *out)
{
    if (vertex == NO_VERTEX)
        put_atom(out, "nil");
    else
        put_key(out, image_key(projected_image(kept->projected), vertex));
}

static void put_vertices(const struct kept_result *kept,
                         const struct column *column, uint64_t row,
                         struct writer *out)
{
    const uint64_t *offsets = column->data;
    size_t list = put_list_begin(out);

    for (uint64_t i = offsets[row];
         i < offsets[row + 1] && writer_status(out) == ST_OK; i++)
        put_vertex(kept, column->vertices[i], out);
    put_list_end(out, list, offsets[row + 1] - offsets[row]);
}

static void put_cell(const struct kept_result *kept,
                     const struct column *column, uint64_t row,
                     struct writer *out)
{
    switch (column->type) {
    case COLUMN_VERTEX:
        put_vertex(kept, ((const uint32_t *)column->data)[row], out);
        return;
    case COLUMN_U64:
        put_u64(out, ((const uint64_t *)column->data)[row]);
        return;
    case COLUMN_F64:
        put_float(out, ((const double *)column->data)[row]);
        return;
    case COLUMN_BOOL:
        put_bool(out, ((const uint8_t *)column->data)[row]);
        return;
    case COLUMN_VERTICES:
        put_vertices(kept, column, row, out);
        return;
    }
}

void kept_put(const struct kept_result *kept, uint64_t row, unsigned field,
              struct writer *out)
{
    const struct column *column = field_column(kept, field);

    if (!column)
        put_vertex(kept,
                   kept->rows.vertices ? kept->rows.vertices[row]
                                       : (uint32_t)row,
                   out);
    else if (kept_is_nil(kept, row, field))
        put_atom(out, "nil");
    else
        put_cell(kept, column, row, out);
}

void kept_put_row(const struct kept_result *kept, uint64_t row,
                  struct writer *out)
{
    unsigned width = kept_width(kept);

    put_tuple(out, width);
    for (unsigned field = 0; field < width; field++)
        kept_put(kept, row, field, out);
}

void results_put_info(const struct results *results, struct writer *out)
{
    put_atom(out, "results");
    put_map(out, 2);
    put_atom(out, "count");
    put_u64(out, results->names.count);
    put_atom(out, "bytes");
    put_u64(out, results->bytes);
}

/* --- the order ----------------------------------------------------------- */

struct place {
    uint64_t key;
    uint32_t row;
};

/* How a float compares, as an integer: the sign turned round, and all bits of
 * what is negative. */
static uint64_t float_key(double value)
{
    uint64_t bits;

    if (value == 0)
        value = 0; /* the negative one is the same */
    memcpy(&bits, &value, sizeof(bits));
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* False: nil. */
static bool cell_key(const struct column *column, uint64_t row, uint64_t *ret)
{
    const uint64_t *offsets;

    switch (column->type) {
    case COLUMN_VERTEX:
        *ret = ((const uint32_t *)column->data)[row];
        return *ret != NO_VERTEX;
    case COLUMN_U64:
        *ret = ((const uint64_t *)column->data)[row];
        return *ret != UINT64_MAX;
    case COLUMN_F64:
        *ret = float_key(((const double *)column->data)[row]);
        return !isnan(((const double *)column->data)[row]);
    case COLUMN_BOOL:
        *ret = ((const uint8_t *)column->data)[row];
        return true;
    case COLUMN_VERTICES:
        offsets = column->data;
        *ret = offsets[row + 1] - offsets[row];
        return true;
    }
    return false;
}

static enum status order_check(struct run *run, uint64_t index)
{
    return index % RUN_CHECK_WORK ? ST_OK : run_check(run);
}

/* Rows with a key first, in their order; those without at the end. */
static enum status order_fill(struct run *run, const struct result *result,
                              const struct column *column, bool descending,
                              struct place *places, uint64_t *ret_keys)
{
    uint64_t front = 0;
    uint64_t back = 0;
    enum status st = ST_OK;

    for (uint64_t row = 0; row < result->rows && st == ST_OK; row++) {
        uint64_t key = row;

        st = order_check(run, row);
        if (column && !cell_key(column, row, &key)) {
            back++;
            continue;
        }
        places[front++] =
            (struct place){descending ? ~key : key, (uint32_t)row};
    }
    for (uint64_t row = 0; back && row < result->rows && st == ST_OK; row++) {
        uint64_t key;

        st = order_check(run, row);
        if (column && !cell_key(column, row, &key))
            places[result->rows - back--].row = (uint32_t)row;
    }
    *ret_keys = front;
    return st;
}

/* One pass by one byte of the keys, from `from` to `to`. `*ret_moved` is false
 * if all have the same. */
static enum status order_pass(struct run *run, const struct place *from,
                              struct place *to, uint64_t count, unsigned shift,
                              bool *ret_moved)
{
    uint64_t starts[256] = {0};
    uint64_t sum = 0;
    enum status st = ST_OK;

    *ret_moved = false;
    for (uint64_t i = 0; i < count && st == ST_OK; i++) {
        st = order_check(run, i);
        starts[from[i].key >> shift & 255]++;
    }
    if (st < 0 || !count || starts[from[0].key >> shift & 255] == count)
        return st;
    for (unsigned i = 0; i < 256; i++) {
        uint64_t size = starts[i];

        starts[i] = sum;
        sum += size;
    }
    for (uint64_t i = 0; i < count && st == ST_OK; i++) {
        st = order_check(run, i);
        to[starts[from[i].key >> shift & 255]++] = from[i];
    }
    *ret_moved = true;
    return st;
}

/* Sorts what is in `*places`; both may change places. */
static enum status order_sort(struct run *run, struct place **places,
                              struct place **room, uint64_t count)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        struct place *from = *places;
        bool moved;
        enum status st = order_pass(run, from, *room, count, shift, &moved);

        if (st < 0)
            return st;
        if (!moved)
            continue;
        *places = *room;
        *room = from;
    }
    return ST_OK;
}

static size_t element_size(enum column_type type)
{
    switch (type) {
    case COLUMN_VERTEX:
        return sizeof(uint32_t);
    case COLUMN_BOOL:
        return sizeof(uint8_t);
    default:
        return sizeof(uint64_t);
    }
}

/* A column of lists, in the order of `places`. */
static enum status gather_lists(struct run *run, const struct column *column,
                                const struct place *places, struct result *ret)
{
    const uint64_t *from = column->data;
    uint64_t *offsets = run_alloc(run, (size_t)ret->rows + 1, sizeof(*offsets));
    uint32_t *vertices;
    uint64_t count = 0;

    if (!offsets)
        return run_memory_status(run);
    for (uint64_t i = 0; i < ret->rows; i++) {
        offsets[i] = count;
        count += from[places[i].row + 1] - from[places[i].row];
    }
    offsets[ret->rows] = count;
    vertices = run_alloc(run, (size_t)count, sizeof(*vertices));
    if (!vertices) {
        run_free(run, offsets, (size_t)ret->rows + 1, sizeof(*offsets));
        return run_memory_status(run);
    }
    for (uint64_t i = 0; i < ret->rows; i++)
        memcpy(vertices + offsets[i], column->vertices + from[places[i].row],
               (offsets[i + 1] - offsets[i]) * sizeof(*vertices));
    result_lists(ret, column->name, offsets, vertices);
    return run_check(run);
}

static enum status gather_column(struct run *run, const struct column *column,
                                 const struct place *places, struct result *ret)
{
    size_t size = element_size(column->type);
    const uint8_t *from = column->data;
    uint8_t *to;
    enum status st = ST_OK;

    if (column->type == COLUMN_VERTICES)
        return gather_lists(run, column, places, ret);
    to = run_alloc(run, (size_t)ret->rows, size);
    if (!to)
        return run_memory_status(run);
    result_column(ret, column->name, column->type, to);
    for (uint64_t i = 0; i < ret->rows && st == ST_OK; i++) {
        st = order_check(run, i);
        memcpy(to + i * size, from + places[i].row * size, size);
    }
    return st;
}

/* All columns in the order of `places`, and the first `count` rows alone. */
static enum status order_gather(struct run *run, struct rows *rows,
                                const struct place *places, uint64_t count)
{
    const struct result *from = &rows->result;
    struct rows to = {.result = *from};
    enum status st = ST_OK;

    to.result.rows = count;
    to.result.column_count = 0;
    if (from->per_vertex) {
        to.vertices = run_alloc(run, (size_t)count, sizeof(*to.vertices));
        if (!to.vertices)
            return run_memory_status(run);
        for (uint64_t i = 0; i < count; i++)
            to.vertices[i] = places[i].row;
    }
    for (unsigned i = 0; i < from->column_count && st == ST_OK; i++)
        st = gather_column(run, &from->columns[i], places, &to.result);
    if (st < 0) {
        run_free(run, to.vertices, (size_t)count, sizeof(*to.vertices));
        result_free(run->mem, &to.result);
        return st;
    }
    result_free(run->mem, &rows->result);
    rows->result = to.result;
    rows->vertices = to.vertices;
    return ST_OK;
}

static enum status order_column(const struct result *result, struct bytes name,
                                const struct column **ret)
{
    *ret = NULL;
    if (result->per_vertex && bytes_equal(name, BYTES("vertex")))
        return ST_OK;
    for (unsigned i = 0; i < result->column_count; i++) {
        const char *known = result->columns[i].name;

        if (bytes_equal(name, bytes_of(known, strlen(known)))) {
            *ret = &result->columns[i];
            return ST_OK;
        }
    }
    return ST_BAD_ARGUMENT;
}

enum status rows_order(struct run *run, struct rows *rows,
                       const struct row_order *order)
{
    uint64_t count = rows->result.rows;
    const struct column *column;
    struct place *places, *room;
    uint64_t keys;
    enum status st;

    if (!order->given)
        return ST_OK;
    st = order_column(&rows->result, order->column, &column);
    if (st == ST_OK && count > UINT32_MAX)
        st = ST_TOO_BIG;
    if (st < 0)
        return st;
    places = run_alloc(run, (size_t)count, sizeof(*places));
    room = places ? run_alloc(run, (size_t)count, sizeof(*room)) : NULL;
    if (!room) {
        st = run_memory_status(run);
        run_free(run, places, (size_t)count, sizeof(*places));
        return st;
    }
    st = order_fill(run, &rows->result, column, order->descending, places,
                    &keys);
    if (st == ST_OK && keys < count) /* they stay where they are */
        memcpy(room + keys, places + keys, (count - keys) * sizeof(*room));
    if (st == ST_OK)
        st = order_sort(run, &places, &room, keys);
    run_free(run, room, (size_t)count, sizeof(*room));
    if (st == ST_OK)
        st = order_gather(run, rows, places,
                          order->limit < count ? order->limit : count);
    run_free(run, places, (size_t)count, sizeof(*places));
    return st;
}
