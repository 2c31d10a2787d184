/*
 * local.c -- Source, Walk, limits and rows of the commands of local work.
 *
 *                    on the loop            on a worker
 *     rows           row_limit              row_limit        arcs looked at
 *     deadline       is not looked at       deadline
 *     memory         memory_budget          memory_budget
 *     256 arcs       } goes over, or, where it cannot,
 *     much work      } row_limit after 65536 arcs
 *
 * A command does not know how long it will take, so it begins on the loop and
 * is done there nearly always. When its arcs there are used up all is given
 * back, and it begins anew on a worker, on a snapshot (readings.h).
 *
 * Memory is asked of an account with the limit of the request: on the loop one
 * of its own, on a worker that of the reading, which pays for the answer too.
 */
#include "port/local.h"

#include <math.h>

#include "core/etf.h"

/* What a call on the loop may put, let a filter look at, and take for a
 * Condition: cmd_read.c has the same. */
#define LOOP_BYTES_MAX (64u << 10)
#define LOOP_WORK_MAX (64u << 10)
#define LOOP_CONDITION_BYTES_MAX 4096

/* Limits where it cannot go over. */
#define AT_ONCE_ARCS_MAX 65536
#define AT_ONCE_WORK_MAX (4u << 20)

/* On a worker: arcs between two looks at the clock, and what a filter may look
 * at in between. */
#define CHECK_STRIDE 1024
#define CHECK_WORK (1u << 20)

/* Rows that are put when the time is up: some milliseconds. */
#define LATE_ROWS_MAX 32768

/* It takes too long here, where it began. Not an error of the wire. */
#define GOES_OVER ST_DEADLINE

/* What may stand in the details of an error. */
#define DETAIL_BYTES_MAX 255

/* --- limits --------------------------------------------------------------- */

static enum status on_check(void *context)
{
    const struct local *local = context;

    if (local->call->reading)
        return reading_check(local->call->reading);
    return reading_possible(local->call) ? GOES_OVER : ST_OK;
}

static enum status on_filter_check(void *context)
{
    const struct local *local = context;

    if (local->call->reading)
        return reading_check(local->call->reading);
    return reading_possible(local->call) ? GOES_OVER : ST_ROW_LIMIT;
}

static bool on_worker(const struct local *local)
{
    return local->call->reading != NULL;
}

static void limits_init(struct local *local)
{
    const struct call *call = local->call;
    bool may_go_over = reading_possible(call);

    local->budget = (struct budget){
        .arcs = call->options.rows,
        .stride = may_go_over ? LOOP_ELEMENTS_MAX : CHECK_STRIDE,
        .check = on_check,
        .context = local,
    };
    if (!on_worker(local) && !may_go_over &&
        local->budget.arcs > AT_ONCE_ARCS_MAX)
        local->budget.arcs = AT_ONCE_ARCS_MAX;
    mem_init(&local->own, call->options.memory);
    local->mem = on_worker(local) ? call->commands->mem : &local->own;
}

/* --- beginning and end ---------------------------------------------------- */

enum status local_begin(struct local *local, struct call *call)
{
    const struct sources *sources = &local->sources;
    enum status st;

    memset(local, 0, sizeof(*local));
    local->call = call;
    limits_init(local);
    local->labels = NUMBERS(local->mem);
    local->vertex_labels = NUMBERS(local->mem);
    local->entry.buffer = BUFFER(local->mem);
    local->start = writer_size(call->out);
    local->rows_max = UINT64_MAX;
    st = on_worker(local) ? reading_check(call->reading) : ST_OK;
    if (st == ST_OK)
        st = call_source(call, &local->sources);
    if (st < 0)
        return st;
    st = sources->is_graph
             ? source_of_graph(local->mem, &sources->graph, &local->budget,
                               &local->source)
             : source_of_path(local->mem, sources->steps, sources->step_count,
                              &local->budget, &local->source);
    local->t = traversal_of(local->source, local->mem, &local->budget);
    return st;
}

static void local_free(struct local *local)
{
    filter_free(local->t.wanted.edges);
    filter_free(local->t.wanted.vertices);
    numbers_free(&local->labels);
    numbers_free(&local->vertex_labels);
    buffer_free(&local->entry.buffer);
    source_free(local->source);
    REQUIRE(local->own.used == 0);
}

/* A vertex as a detail, if it is small. */
static enum status put_detail(struct local *local, struct buffer *extra,
                              const char *name, uint64_t vertex)
{
    struct bytes term;
    enum status st = source_vertex(local->source, vertex, &term);

    if (st < 0 || term.size > DETAIL_BYTES_MAX)
        return st;
    st = etf_put_atom(extra, name);
    if (st == ST_OK)
        st = buffer_append(extra, term);
    if (st == ST_OK)
        local->call->complaint.extra_count++;
    return st;
}

/* Which edge it is, or which vertex, of a heuristic. */
static enum status explain_weight(struct local *local)
{
    struct source_fault fault = source_fault(local->source);
    struct call *call = local->call;
    struct buffer *extra = call_scratch(call, SCRATCH_LOSSES);
    bool edge = fault.from != fault.to || !local->heuristic;
    enum status st;

    call->complaint.extra_count = 0;
    st = put_detail(local, extra, edge ? "from" : "vertex", fault.from);
    if (st == ST_OK && edge)
        st = put_detail(local, extra, "to", fault.to);
    call->complaint.extra = buffer_bytes(extra);
    if (st < 0) {
        call->complaint.extra_count = 0;
        return st;
    }
    return call_fail(call, ST_BAD_WEIGHT,
                     edge ? "the weight of this edge is no number from 0 on, "
                            "or a way over it is longer than a float can tell"
                          : "what the heuristic says of this vertex is no "
                            "number from 0 on");
}

enum status local_end(struct local *local, enum status st)
{
    struct call *call = local->call;
    bool goes_over = st == GOES_OVER && reading_possible(call);

    if (st == ST_BAD_WEIGHT)
        st = explain_weight(local);
    if (st == ST_MEMORY_LIMIT && !on_worker(local)) {
        call->complaint = (struct complaint){
            .position = -1, .index = -1, .limit = call->options.memory};
        st = ST_MEMORY_BUDGET;
    }
    if (st == ST_ROW_LIMIT && !call->complaint.limit)
        call->complaint.limit = local->budget.arcs;
    local_free(local);
    return goes_over ? reading_start(call) : st;
}

/* --- arguments ------------------------------------------------------------ */

/* The vertex that `reader` stands before. */
static enum status take_vertex(struct local *local, struct reader *reader,
                               uint64_t *ret)
{
    struct call *call = local->call;
    struct bytes key;
    enum status st = call_encode(call, reader, SCRATCH_KEY, &key);

    if (st == ST_OK)
        st = source_find(local->source, key, ret);
    if (st == ST_NO_VERTEX)
        call->complaint.key = key;
    return st;
}

enum status local_vertex(struct local *local, uint64_t *ret)
{
    local->call->argument++;
    return take_vertex(local, &local->call->args, ret);
}

enum status local_vertices(struct local *local, struct numbers *ret)
{
    struct call *call = local->call;
    int64_t position = 0;
    struct list list;
    enum status st = call_list(call, &list);

    if (st == ST_OK && list.left > LOOP_ELEMENTS_MAX && reading_possible(call))
        return GOES_OVER;
    while (st == ST_OK && list.left > 0) {
        uint64_t vertex;

        st = budget_work(&local->budget, 1);
        if (st == ST_OK)
            st = take_vertex(local, list_next(&list), &vertex);
        if (st == ST_NO_VERTEX)
            call->complaint.position = position;
        if (st == ST_OK)
            st = numbers_add(ret, vertex);
        call_tick(call, (uint64_t)position);
        position++;
    }
    if (st == ST_OK && !list_close(&list))
        return call_bad(call, "must be a proper list");
    return st;
}

enum status local_integer(struct local *local, int64_t least, const char *text,
                          uint64_t *ret)
{
    struct call *call = local->call;
    int64_t value;

    call->argument++;
    if (!reader_integer(&call->args, &value) || value < least)
        return call_bad(call, text);
    *ret = (uint64_t)value;
    return ST_OK;
}

/* --- Walk ----------------------------------------------------------------- */

/* A whole number that is not negative, however large. */
static bool take_count(struct reader *reader, uint64_t *ret)
{
    struct bytes term;
    int64_t value;
    size_t sign;

    if (reader_integer(reader, &value)) {
        *ret = (uint64_t)value;
        return value >= 0;
    }
    term = reader_term(reader);
    if (term.data[0] != ETF_SMALL_BIG && term.data[0] != ETF_LARGE_BIG)
        return false;
    sign = term.data[0] == ETF_SMALL_BIG ? 2 : 5;
    *ret = UINT64_MAX;
    return term.data[sign] == 0;
}

static bool take_bool(struct reader *reader, bool *ret)
{
    struct bytes word;

    if (!reader_atom(reader, &word))
        return false;
    *ret = bytes_equal(word, BYTES("true"));
    return *ret || bytes_equal(word, BYTES("false"));
}

static enum status option_direction(struct local *local)
{
    static const char text[] = "direction is out, in or both";
    struct call *call = local->call;
    enum direction_of_edges *direction = &local->t.wanted.direction;
    struct bytes word;

    if (!reader_atom(&call->args, &word))
        return call_bad(call, text);
    if (bytes_equal(word, BYTES("out")))
        *direction = EDGES_OUT;
    else if (bytes_equal(word, BYTES("in")))
        *direction = EDGES_IN;
    else if (bytes_equal(word, BYTES("both")))
        *direction = EDGES_BOTH;
    else
        return call_bad(call, text);
    if (!source_has_direction(local->source, *direction))
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "a table of the type to_many has no bwd side: its "
                         "pairs are walked in the direction out only");
    return ST_OK;
}

/* Labels as ids, ascending; those that no element has are left out. `vertices`
 * have no label nil. */
static enum status take_labels(struct local *local, const char *text,
                               bool vertices, struct numbers *ret)
{
    struct call *call = local->call;
    enum status st = ST_OK;
    struct list list;

    if (!reader_list(&call->args, &list) || list.left > SOURCE_LABELS_MAX)
        return call_bad(call, text);
    while (list.left > 0 && st == ST_OK) {
        struct reader *next = list_next(&list);
        struct bytes label = bytes_of(next->at, etf_size(next->at));
        bool nil = graph_is_nil(label);
        uint64_t id = 0;

        st = call_encode(call, next, SCRATCH_FIRST, &label);
        if (st == ST_OK &&
            (nil ? !vertices : source_find_label(local->source, label, &id)))
            st = numbers_add(ret, id);
    }
    if (st == ST_OK && !list_close(&list))
        return call_bad(call, text);
    numbers_sort(ret, 0);
    return st;
}

static const uint64_t no_labels[1];

static enum status option_labels(struct local *local)
{
    struct arcs_wanted *wanted = &local->t.wanted;
    enum status st =
        take_labels(local, "labels is a list of at most 1000 labels of edges",
                    false, &local->labels);

    wanted->label_count = local->labels.count;
    wanted->labels = wanted->label_count ? local->labels.array : no_labels;
    return st;
}

static enum status option_vertex_labels(struct local *local)
{
    struct arcs_wanted *wanted = &local->t.wanted;
    enum status st = take_labels(
        local, "vertex_labels is a list of at most 1000 labels of vertices",
        true, &local->vertex_labels);

    wanted->vertex_label_count = local->vertex_labels.count;
    wanted->vertex_labels =
        wanted->vertex_label_count ? local->vertex_labels.array : no_labels;
    return st;
}

static enum status take_filter(struct local *local, struct filter **ret)
{
    struct call *call = local->call;
    struct bytes condition = reader_term(&call->args);
    size_t work = CHECK_WORK;
    const char *why = NULL;
    enum status st;

    if (reading_possible(call) && condition.size > LOOP_CONDITION_BYTES_MAX)
        return GOES_OVER;
    st = filter_create(local->mem, condition, ret, &why);
    if (st < 0 && why) {
        call->complaint.argument = true;
        return call_fail(call, st, why);
    }
    if (st < 0)
        return st;
    if (!on_worker(local))
        work = reading_possible(call) ? LOOP_WORK_MAX : AT_ONCE_WORK_MAX;
    filter_set_check(*ret, work, on_filter_check, local);
    return ST_OK;
}

static enum status option_edges(struct local *local)
{
    return take_filter(local, &local->t.wanted.edges);
}

static enum status option_vertices(struct local *local)
{
    return take_filter(local, &local->t.wanted.vertices);
}

static enum status option_depth(struct local *local)
{
    if (!take_count(&local->call->args, &local->t.depth))
        return call_bad(local->call,
                        "depth is a number of edges, an integer from 0 on");
    if (local->t.depth == UINT64_MAX) /* which stands for none given */
        local->t.depth--;
    return ST_OK;
}

static enum status option_degree(struct local *local)
{
    uint64_t *degree = &local->t.wanted.degree_max;

    if (!take_count(&local->call->args, degree) || *degree == 0)
        return call_bad(local->call, "degree is the most edges that are taken "
                                     "at a vertex, an integer from 1 on");
    return ST_OK;
}

static enum status option_limit(struct local *local)
{
    uint64_t *limit = &local->t.limit;

    if (!take_count(&local->call->args, limit) || *limit == 0)
        return call_bad(local->call,
                        "limit is a number of rows, an integer from 1 on");
    return ST_OK;
}

static enum status option_weighted(struct local *local)
{
    if (!take_bool(&local->call->args, &local->t.weighted))
        return call_bad(local->call, "weighted is true or false");
    local->t.wanted.weights = local->t.weighted;
    return ST_OK;
}

static enum status option_values(struct local *local)
{
    if (!take_bool(&local->call->args, &local->values))
        return call_bad(local->call, "values is true or false");
    local->t.wanted.values = local->values;
    return ST_OK;
}

/* What a to_one table has for a vertex; 0 where it has nothing. */
static enum status on_heuristic(void *context, uint64_t vertex, double *ret)
{
    static const struct graph_options as_value = {.weight = WEIGHT_VALUE};
    struct local *local = context;
    struct bytes key, value;
    bool found;
    enum status st = source_vertex_key(local->source, vertex, &key);

    if (st == ST_OK)
        st = table_get(local->heuristic, SIDE_FWD, key, &local->entry, &found,
                       &value);
    if (st < 0)
        return st;
    *ret = 0;
    if (found && !graph_is_nil(value) && !graph_weight(&as_value, value, ret))
        *ret = NAN; /* the walk says that it is none */
    return ST_OK;
}

static enum status option_heuristic(struct local *local)
{
    static const char text[] = "heuristic is {Table, lookup}";
    struct call *call = local->call;
    struct reader value = reader_of(reader_term(&call->args));
    struct bytes word;
    enum status st;

    if (!reader_tuple_of(&value, 2))
        return call_bad(call, text);
    st = call_source_table(call, &value, &local->heuristic);
    if (st < 0)
        return st;
    if (!reader_atom(&value, &word) || !bytes_equal(word, BYTES("lookup")))
        return call_bad(call, text);
    if (table_type(local->heuristic) != TABLE_TO_ONE)
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "a heuristic is a table of the type to_one, from "
                         "vertices to numbers");
    local->t.heuristic = on_heuristic;
    local->t.context = local;
    return ST_OK;
}

#define OPTION(name, needs, take)                                              \
    {                                                                          \
        name, name " is given twice", needs, take                              \
    }

static const struct {
    const char *name;
    const char *twice;
    unsigned needs; /* enum walk_option */
    enum status (*take)(struct local *local);
} options[] = {
    OPTION("direction", 0, option_direction),
    OPTION("labels", 0, option_labels),
    OPTION("vertex_labels", 0, option_vertex_labels),
    OPTION("edges", 0, option_edges),
    OPTION("vertices", 0, option_vertices),
    OPTION("depth", 0, option_depth),
    OPTION("degree", 0, option_degree),
    OPTION("limit", 0, option_limit),
    OPTION("weighted", WALK_WEIGHTED, option_weighted),
    OPTION("heuristic", WALK_HEURISTIC, option_heuristic),
    OPTION("values", WALK_VALUES, option_values),
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* The options that a command takes, as a sentence. */
static const char *options_text(unsigned allowed)
{
#define COMMON                                                                 \
    "the options are direction, labels, vertex_labels, edges, vertices, "      \
    "depth, degree, limit"
    if (allowed & WALK_HEURISTIC)
        return COMMON ", weighted and heuristic";
    if (allowed & WALK_VALUES)
        return COMMON ", weighted and values";
    return allowed & WALK_WEIGHTED ? COMMON " and weighted" : COMMON;
#undef COMMON
}

static enum status take_option(struct local *local)
{
    struct call *call = local->call;
    struct bytes name;

    if (!reader_atom(&call->args, &name))
        return call_bad(call, "the name of an option is an atom");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        struct bytes known = bytes_of(options[i].name, strlen(options[i].name));

        if (!bytes_equal(name, known))
            continue;
        if (options[i].needs & ~local->allowed)
            break;
        if (local->given & 1u << i)
            return call_bad(call, options[i].twice);
        local->given |= 1u << i;
        return options[i].take(local);
    }
    return call_bad(call, options_text(local->allowed));
}

enum status local_walk(struct local *local, unsigned allowed)
{
    struct call *call = local->call;
    uint32_t count;
    enum status st = ST_OK;

    local->allowed = allowed;
    call->argument++;
    if (!reader_map(&call->args, &count))
        return call_bad(call, "must be a map of options");
    while (count-- > 0 && st == ST_OK)
        st = take_option(local);
    if (st == ST_OK && (local->t.weighted || local->heuristic) &&
        local->t.depth != UINT64_MAX)
        return call_bad(call, "depth is for walks that are neither weighted "
                              "nor have a heuristic");
    return st;
}

/* --- answers -------------------------------------------------------------- */

enum status local_put_vertex(struct local *local, uint64_t vertex)
{
    struct bytes term;
    enum status st = source_vertex(local->source, vertex, &term);

    if (st == ST_OK)
        put_term(local->call->out, term);
    return st;
}

enum status local_put_way(struct local *local, const uint64_t *vertices,
                          size_t count)
{
    struct writer *out = local->call->out;
    size_t list = put_list_begin(out);
    enum status st = ST_OK;

    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = local_put_vertex(local, vertices[i]);
    put_list_end(out, list, count);
    return st;
}

void local_put_length(struct local *local, double length)
{
    if (fabs(length) <= 0x1p53 && length == trunc(length))
        put_i64(local->call->out, (int64_t)length);
    else
        put_float(local->call->out, length);
}

/* Has a limit ended it, so that what was found is an answer? */
static bool is_stop(const struct local *local, enum status st)
{
    return st == ST_ROW_LIMIT || (st == ST_DEADLINE && on_worker(local));
}

enum status local_rows_begin(struct local *local, enum status walked)
{
    if (walked < 0 && !is_stop(local, walked))
        return walked;
    local->list = put_list_begin(local->call->out);
    if (walked == ST_DEADLINE)
        local->rows_max = LATE_ROWS_MAX;
    return ST_OK;
}

enum status local_row_done(struct local *local)
{
    struct writer *out = local->call->out;
    enum status st = out->status;

    local->rows++;
    if (st < 0)
        return st;
    if (local->rows >= local->rows_max)
        return ST_DEADLINE;
    if (writer_size(out) - local->start > LOOP_BYTES_MAX &&
        reading_possible(local->call))
        return GOES_OVER;
    /* When the time is up what was found is put all the same. */
    return local->rows_max < UINT64_MAX ? ST_OK
                                        : budget_work(&local->budget, 8);
}

enum status local_rows_end(struct local *local, enum status walked,
                           enum status st)
{
    struct call *call = local->call;

    if (st == ST_OK)
        st = walked;
    if (st < 0 && !is_stop(local, st))
        return st;
    put_list_end(call->out, local->list, local->rows);
    if (st == ST_OK)
        return ST_OK;
    put_atom(call->out, "none");
    put_atom(call->out, local->t.limited && st == ST_ROW_LIMIT
                            ? "limit"
                            : status_atom(st));
    call_page_why(call);
    return ST_OK;
}
