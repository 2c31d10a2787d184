/*
 * cmd_algorithm.c -- commands about projections and about algorithms on them.
 *
 *     {run, Algorithm, Source, Config, Mode}
 *
 *     loop     cmd_run()      reads everything but the vertices in it, asks for
 *                             the projection and gives the request over
 *              on_ready()     the projection is there: takes what the run will
 *                             need from the store's account
 *     worker   cmd_run()      reads the Config again, for now vertices have
 *                             numbers; runs, sorts, puts the figures
 *     loop     on_finish()    keeps the rows
 *              on_end()       lets go of all the rest
 *
 * What a run takes is an account of its own, with the limit of the request. The
 * store's account is charged with what was estimated for it, and for rows that
 * are kept with what they take. Where there is no room for that the run does
 * not begin: `memory_limit`, as for a mutation. A run that needs more than the
 * request allows fails with `memory_budget`.
 *
 * Runs have threads of their own, which get less of a processor than those of
 * reads: however many there are, a read does not wait behind one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/etf.h"
#include "core/key.h"
#include "port/call.h"
#include "port/events.h"
#include "port/results.h"

/* A page of rows ends with the one that passes this. */
#define PAGE_BYTES (1u << 20)

/* Rows between two looks at the deadline of a page. */
#define PAGE_STRIDE 256

/* Rows that one result_write puts into a table. */
#define WRITE_ROWS_MAX 65536

#define WORD_IS(word, literal) bytes_equal((word), BYTES(literal))

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_field(struct writer *out, const char *name, uint64_t value)
{
    put_atom(out, name);
    put_u64(out, value);
}

/* --- what is running ----------------------------------------------------- */

/* A request that waits for a projection, or runs on one. */
struct run_task {
    struct reading_load load;
    struct projected_wait wait;
    struct commands *commands;
    struct run_task *next; /* of commands->runs */
    struct run_task **place;
    int64_t id;
    uint64_t began_ns;
    const struct algorithm *algorithm; /* NULL: it makes a projection */
    struct projected *projected;
    bool ready;
    size_t size; /* of this block */
    struct bytes source;
    struct bytes name; /* of the projection, encoded; both lie behind this */

    /* Of a run. */
    bool weighted;
    unsigned threads;
    struct param params[PARAMS_MAX]; /* without vertices */
    struct projected_view view;
    struct run run;
    struct rows rows;
    size_t reserved;
    struct kept_result *kept; /* NULL: rows are not wanted */
    uint64_t shows;
};

static void task_free(struct run_task *task)
{
    struct projections *projections = task->commands->projections;

    *task->place = task->next;
    if (task->next)
        task->next->place = task->place;
    projected_wait_end(&task->wait);
    rows_free(&task->rows);
    REQUIRE(task->rows.mem.used == 0);
    projections_unreserve(projections, task->reserved);
    if (task->projected)
        projected_leave(task->projected);
    if (task->kept)
        kept_leave(task->kept);
    mem_free(task->commands->mem, task, task->size);
}

static void on_end(struct reading_load *load)
{
    task_free((struct run_task *)(void *)load);
}

static struct run_task *task_create(struct call *call,
                                    const struct algorithm *algorithm,
                                    struct bytes source, struct bytes name)
{
    struct commands *commands = call->commands;
    size_t size = sizeof(struct run_task) + source.size + name.size;
    struct run_task *task = mem_zalloc(commands->mem, size);
    uint8_t *bytes;

    if (!task)
        return NULL;
    bytes = (uint8_t *)(task + 1);
    memcpy(bytes, source.data, source.size);
    if (name.size)
        memcpy(bytes + source.size, name.data, name.size);
    task->size = size;
    task->source = bytes_of(bytes, source.size);
    task->name = bytes_of(bytes + source.size, name.size);
    task->commands = commands;
    task->id = call->id;
    task->began_ns = now_ns();
    task->algorithm = algorithm;
    task->load.lane = LANE_RUNS;
    task->load.end = on_end;
    mem_init(&task->rows.mem, 0);
    result_init(&task->rows.result);
    run_init(&task->run, &task->rows.mem);
    task->next = commands->runs;
    task->place = &commands->runs;
    if (task->next)
        task->next->place = &task->next;
    commands->runs = task;
    return task;
}

static void task_progress(const struct run_task *task, uint64_t *ret_done,
                          uint64_t *ret_total)
{
    if (!task->ready &&
        projected_progress(task->projected, ret_done, ret_total))
        return;
    *ret_done = atomic_load_explicit(&task->run.done, memory_order_relaxed);
    *ret_total = atomic_load_explicit(&task->run.total, memory_order_relaxed);
}

static void on_tick(struct reading_load *load)
{
    const struct run_task *task = (struct run_task *)(void *)load;
    uint64_t done, total;

    task_progress(task, &done, &total);
    (void)event_progress(task->commands->out, task->id, done, total);
}

enum status cmd_running(struct call *call)
{
    struct writer *out = call->out;
    size_t list = put_list_begin(out);
    uint64_t now = now_ns();
    uint64_t count = 0;

    for (const struct run_task *task = call->commands->runs; task;
         task = task->next) {
        uint64_t done, total;

        task_progress(task, &done, &total);
        put_map(out, 6);
        put_atom(out, "id");
        put_i64(out, task->id);
        put_atom(out, "algorithm");
        put_atom(out, task->algorithm ? task->algorithm->name : "none");
        put_atom(out, "source");
        put_term(out, task->source);
        put_field(out, "done", done);
        put_field(out, "total", total);
        put_field(out, "ms", (now - task->began_ns) / 1000000);
        count++;
    }
    put_list_end(out, list, count);
    return ST_OK;
}

/* --- arguments ----------------------------------------------------------- */

static enum status call_algorithm(struct call *call,
                                  const struct algorithm **ret)
{
    static const char text[] = "must be the name of an algorithm; algorithms "
                               "lists them";
    struct bytes name;
    enum status st = call_atom(call, text, &name);

    if (st < 0)
        return st;
    *ret = algorithm_find(name);
    return *ret ? ST_OK : call_bad(call, text);
}

/* {Holder, Number} of a result. */
static enum status call_result_name(struct call *call, struct version_name *ret)
{
    call->argument++;
    if (reader_tuple_of(&call->args, 2) &&
        reader_integer(&call->args, &ret->holder) && ret->holder >= 0 &&
        reader_integer(&call->args, &ret->number) && ret->number >= 0)
        return ST_OK;
    return call_bad(call, "a result is {Holder, Number}, two integers from 0 "
                          "to 2^63 - 1");
}

/* What a Config or a Spec says. */
struct config {
    const struct algorithm *algorithm; /* NULL: a Spec */
    bool has_spec;                     /* direction or labels are given */
    enum direction_of_edges direction;
    bool has_weighted;
    bool weighted;
    bool has_labels[2]; /* of edges, of vertices */
    struct buffer labels[2];
    unsigned threads;
    bool progress;
    unsigned given; /* of the words that all algorithms have */
    struct param params[PARAMS_MAX];

    /* On a worker; on the loop NULL, and vertices are not looked at. */
    struct run *run;
    const struct graph_image *image;
};

enum config_word {
    WORD_DIRECTION = 1 << 0,
    WORD_LABELS = 1 << 1,
    WORD_VERTEX_LABELS = 1 << 2,
    WORD_WEIGHTED = 1 << 3,
    WORD_THREADS = 1 << 4,
    WORD_PROGRESS = 1 << 5,
};

static void config_init(struct config *config, struct call *call,
                        const struct algorithm *algorithm)
{
    memset(config, 0, sizeof(*config));
    config->algorithm = algorithm;
    config->threads = 1;
    config->labels[0] = BUFFER(call->commands->mem);
    config->labels[1] = BUFFER(call->commands->mem);
    if (algorithm)
        params_default(algorithm, config->params);
}

static void config_free(struct config *config)
{
    buffer_free(&config->labels[0]);
    buffer_free(&config->labels[1]);
    for (unsigned i = 0; config->run && i < PARAMS_MAX; i++) {
        struct param *param = &config->params[i];
        uint32_t *vertices = (uint32_t *)(uintptr_t)param->vertices;

        run_free(config->run, vertices, param->count, sizeof(*vertices));
        param->vertices = NULL;
    }
}

/* Says what is wrong with a parameter; its name is `parameter` in Details. */
static enum status bad_param(struct call *call, const char *name,
                             const char *text)
{
    struct buffer *room = call_scratch(call, SCRATCH_TEXT);
    char sentence[MESSAGE_BYTES_MAX];
    int size = snprintf(sentence, sizeof(sentence), "%s %s", name, text);
    size_t bytes =
        size < (int)sizeof(sentence) ? (size_t)size + 1 : sizeof(sentence);

    if (buffer_append(room, bytes_of(sentence, bytes)) < 0)
        return call_bad(call, text);
    return call_bad(call, (const char *)room->data);
}

static enum status param_range(struct call *call, const struct param_spec *spec)
{
    char text[MESSAGE_BYTES_MAX];
    const char *what =
        spec->type == PARAM_U64 ? "an integer" : "a finite number";

    if (spec->min == 0 && spec->max == 0)
        snprintf(text, sizeof(text), "must be %s from 0 on", what);
    else
        snprintf(text, sizeof(text), "must be %s from %.15g to %.15g", what,
                 spec->min, spec->max);
    return bad_param(call, spec->name, text);
}

static bool in_range(const struct param_spec *spec, double value)
{
    if (spec->min == 0 && spec->max == 0)
        return value >= 0;
    return value >= spec->min && value <= spec->max;
}

static enum status take_u64(struct call *call, const struct param_spec *spec,
                            struct param *ret)
{
    int64_t value;

    if (!reader_integer(&call->args, &value) || value < 0 ||
        !in_range(spec, (double)value))
        return param_range(call, spec);
    ret->u64 = (uint64_t)value;
    ret->f64 = (double)value;
    return ST_OK;
}

static enum status take_f64(struct call *call, const struct param_spec *spec,
                            struct param *ret)
{
    static const struct graph_options number = {.weight = WEIGHT_VALUE};
    struct bytes term = reader_term(&call->args);

    if (graph_is_nil(term) || !graph_weight(&number, term, &ret->f64) ||
        !in_range(spec, ret->f64))
        return param_range(call, spec);
    return ST_OK;
}

static enum status take_bool(struct call *call, const char *name, bool *ret)
{
    struct bytes word;

    if (!reader_atom(&call->args, &word) ||
        !(WORD_IS(word, "true") || WORD_IS(word, "false")))
        return bad_param(call, name, "must be true or false");
    *ret = WORD_IS(word, "true");
    return ST_OK;
}

static enum status take_choice(struct call *call, const struct param_spec *spec,
                               struct param *ret)
{
    char text[MESSAGE_BYTES_MAX] = "must be one of";
    size_t size = strlen(text);
    struct bytes word;

    if (reader_atom(&call->args, &word))
        for (unsigned i = 0; spec->choices[i]; i++)
            if (bytes_equal(word, bytes_of(spec->choices[i],
                                           strlen(spec->choices[i])))) {
                ret->u64 = i;
                return ST_OK;
            }
    for (unsigned i = 0; spec->choices[i] && size < sizeof(text); i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s %s",
                                 i ? "," : "", spec->choices[i]);
    return bad_param(call, spec->name, text);
}

/* The number of the vertex that comes next; ST_NO_VERTEX. */
static enum status take_vertex(struct call *call, const struct config *config,
                               struct reader *reader, uint32_t *ret)
{
    struct bytes key;
    enum status st;

    if (!config->image) {
        reader_term(reader);
        return ST_OK;
    }
    st = call_encode(call, reader, SCRATCH_KEY, &key);
    if (st < 0)
        return st;
    *ret = image_find(config->image, key);
    if (*ret != NO_VERTEX)
        return ST_OK;
    call->complaint.key = key;
    return ST_NO_VERTEX;
}

static enum status take_vertices(struct call *call, const struct config *config,
                                 const struct param_spec *spec,
                                 struct param *ret)
{
    static const char text[] = "must be a list of vertices";
    uint32_t *vertices = NULL;
    uint64_t count = 0;
    struct list list;
    enum status st = ST_OK;

    if (!reader_list(&call->args, &list))
        return bad_param(call, spec->name, text);
    if (config->run) {
        vertices = run_alloc(config->run, list.left, sizeof(*vertices));
        if (!vertices)
            return run_memory_status(config->run);
    }
    ret->vertices = vertices;
    ret->count = list.left;
    while (list.left > 0 && st == ST_OK) {
        uint32_t vertex = NO_VERTEX;

        st = take_vertex(call, config, list_next(&list), &vertex);
        if (vertices)
            vertices[count] = vertex;
        if (st < 0)
            call->complaint.position = (int64_t)count;
        if (++count % 4096 == 0 && config->run && st == ST_OK)
            st = run_check(config->run);
    }
    if (st == ST_OK && !list_close(&list))
        return bad_param(call, spec->name, text);
    return st;
}

static enum status take_param(struct call *call, const struct config *config,
                              const struct param_spec *spec, struct param *ret)
{
    bool flag = false;
    enum status st = ST_OK;

    if (ret->given)
        return bad_param(call, spec->name, "is given twice");
    ret->given = true;
    switch (spec->type) {
    case PARAM_U64:
        return take_u64(call, spec, ret);
    case PARAM_F64:
        return take_f64(call, spec, ret);
    case PARAM_BOOL:
        st = take_bool(call, spec->name, &flag);
        ret->u64 = flag;
        return st;
    case PARAM_VERTEX:
        return take_vertex(call, config, &call->args, &ret->vertex);
    case PARAM_VERTICES:
        return take_vertices(call, config, spec, ret);
    case PARAM_CHOICE:
        return take_choice(call, spec, ret);
    }
    return st;
}

static enum status take_direction(struct call *call, struct config *config)
{
    struct bytes word;

    if (!reader_atom(&call->args, &word))
        word = bytes_of(NULL, 0);
    if (WORD_IS(word, "out"))
        config->direction = EDGES_OUT;
    else if (WORD_IS(word, "in"))
        config->direction = EDGES_IN;
    else if (WORD_IS(word, "both"))
        config->direction = EDGES_BOTH;
    else
        return bad_param(call, "direction", "must be out, in or both");
    return ST_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Ids ascend, and each stands there once. */
static void settle_ids(struct buffer *labels)
{
    uint64_t *ids = (uint64_t *)(void *)labels->data;
    size_t count = labels->size / sizeof(*ids);
    size_t kept = 0;

    if (count > 1)
        qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count; i++)
        if (!kept || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    labels->size = kept * sizeof(*ids);
}

/* Labels that no element has ever had are left out: nothing meets them. */
static enum status take_labels(struct call *call, struct config *config,
                               bool of_vertices)
{
    const char *name = of_vertices ? "vertex_labels" : "labels";
    struct buffer *ids = &config->labels[of_vertices];
    struct list list;
    enum status st = ST_OK;

    config->has_labels[of_vertices] = true;
    if (config->run) { /* they have done what they are for */
        reader_term(&call->args);
        return ST_OK;
    }
    if (!reader_list(&call->args, &list) || list.left > PROJECTION_LABELS_MAX)
        return bad_param(call, name, "must be a list of at most 1000 labels");
    st = buffer_reserve(ids, (list.left + 1) * sizeof(uint64_t));
    while (list.left > 0 && st == ST_OK) {
        const struct sources *sources = call->sources;
        struct bytes label;
        uint64_t id;

        st = call_encode(call, list_next(&list), SCRATCH_KEY, &label);
        if (st < 0)
            return st;
        if (sources && sources->is_graph &&
            graph_find_label(&sources->graph, label, &id))
            st = buffer_append(ids, bytes_of(&id, sizeof(id)));
    }
    if (st == ST_OK && !list_close(&list))
        return bad_param(call, name, "must be a list of at most 1000 labels");
    settle_ids(ids);
    return st;
}

static enum status take_threads(struct call *call, struct config *config)
{
    int64_t threads;

    if (!reader_integer(&call->args, &threads) || threads < 1 ||
        threads > RUN_THREADS_MAX)
        return bad_param(call, "threads", "must be an integer from 1 to 64");
    config->threads = (unsigned)threads;
    return ST_OK;
}

/* One of the words that are not the algorithm's own; `*ret_known` if so. */
static enum status take_word(struct call *call, struct config *config,
                             struct bytes name, bool *ret_known)
{
    static const struct {
        const char *name;
        enum config_word word;
        bool of_spec;
    } words[] = {
        {"direction", WORD_DIRECTION, true},
        {"labels", WORD_LABELS, true},
        {"vertex_labels", WORD_VERTEX_LABELS, true},
        {"weighted", WORD_WEIGHTED, true},
        {"threads", WORD_THREADS, false},
        {"progress", WORD_PROGRESS, false},
    };
    unsigned word = 0;
    unsigned i = 0;

    *ret_known = false;
    while (i < sizeof(words) / sizeof(words[0]) &&
           !bytes_equal(name, bytes_of(words[i].name, strlen(words[i].name))))
        i++;
    if (i == sizeof(words) / sizeof(words[0]) ||
        (!words[i].of_spec && !config->algorithm))
        return ST_OK;
    *ret_known = true;
    word = words[i].word;
    if (config->given & word)
        return bad_param(call, words[i].name, "is given twice");
    config->given |= word;
    switch (words[i].word) {
    case WORD_DIRECTION:
        return take_direction(call, config);
    case WORD_LABELS:
        return take_labels(call, config, false);
    case WORD_VERTEX_LABELS:
        return take_labels(call, config, true);
    case WORD_WEIGHTED:
        return take_bool(call, "weighted", &config->weighted);
    case WORD_THREADS:
        return take_threads(call, config);
    case WORD_PROGRESS:
        return take_bool(call, "progress", &config->progress);
    }
    return ST_OK;
}

/* A key and its value. */
static enum status take_pair(struct call *call, struct config *config)
{
    const struct algorithm *algorithm = config->algorithm;
    struct bytes name;
    bool known;
    enum status st;

    if (!reader_atom(&call->args, &name))
        return call_bad(call, "the name of a parameter is an atom");
    st = take_word(call, config, name, &known);
    if (st < 0 || known)
        return st;
    for (unsigned i = 0; algorithm && i < algorithm->param_count; i++) {
        const struct param_spec *spec = &algorithm->params[i];

        if (bytes_equal(name, bytes_of(spec->name, strlen(spec->name))))
            return take_param(call, config, spec, &config->params[i]);
    }
    return call_bad(call, algorithm ? "the algorithm has no such parameter; "
                                      "algorithms lists those that it has"
                                    : "a projection has direction, labels, "
                                      "vertex_labels and weighted");
}

/* The map that is the next argument. */
static enum status call_config(struct call *call, struct config *config)
{
    const struct algorithm *algorithm = config->algorithm;
    uint32_t count;
    enum status st = ST_OK;

    call->argument++;
    if (!reader_map(&call->args, &count))
        return call_bad(call, "must be a map, #{} for the defaults");
    while (count-- > 0 && st == ST_OK)
        st = take_pair(call, config);
    for (unsigned i = 0; algorithm && st == ST_OK && i < algorithm->param_count;
         i++)
        if (algorithm->params[i].required && !config->params[i].given)
            st = bad_param(call, algorithm->params[i].name, "is required");
    return st;
}

/* --- what a run is to be made on ----------------------------------------- */

/* A Source as an argument: tables, or a projection of this name. */
struct run_source {
    struct bytes term;
    struct sources tables;
    struct projected *projected; /* NULL: `tables` */
};

static enum status call_run_source(struct call *call, struct run_source *ret)
{
    struct reader reader = call->args;
    struct reader name = reader;
    struct bytes word, key;
    enum status st;

    memset(ret, 0, sizeof(*ret));
    ret->term = reader_term(&reader);
    if (!reader_tuple_of(&name, 2) || !reader_atom(&name, &word) ||
        !WORD_IS(word, "$projection"))
        return call_source(call, &ret->tables);
    call->argument++;
    call->args = reader;
    if (call->version)
        return call_bad(call, "a projection is of the seq that it was made "
                              "at, and not of a version");
    st = call_encode(call, &name, SCRATCH_KEY, &key);
    if (st < 0)
        return st;
    ret->projected = projections_find(call->commands->projections, key);
    if (!ret->projected)
        return ST_NO_PROJECTION;
    call->has_shows = true;
    call->shows = projected_shows(ret->projected);
    return ST_OK;
}

/* Does a Config fit where a projection has all that a Spec says? */
static enum status check_named(struct call *call, struct config *config,
                               const struct projected *projected)
{
    bool has = projected_has_weights(projected);

    if (config->given & (WORD_DIRECTION | WORD_LABELS | WORD_VERTEX_LABELS))
        return call_bad(call, "direction and labels were decided when the "
                              "projection was made");
    if (!(config->given & WORD_WEIGHTED))
        config->weighted = has;
    if (config->weighted && !has)
        return call_bad(call, "the projection was made without weights");
    return ST_OK;
}

static enum status check_labels(struct call *call, const struct config *config,
                                const struct run_source *source)
{
    if (!source->tables.is_graph &&
        (config->has_labels[0] || config->has_labels[1]))
        return call_bad(call, "only a graph has labels");
    return ST_OK;
}

static const uint64_t *ids_of(const struct config *config, bool of_vertices)
{
    if (!config->has_labels[of_vertices])
        return NULL;
    return (const uint64_t *)(const void *)config->labels[of_vertices].data;
}

static struct projection_request request_of(const struct call *call,
                                            const struct config *config,
                                            const struct run_source *source,
                                            bool weights)
{
    bool has_weights = source->tables.is_graph &&
                       source->tables.graph.options.weight != WEIGHT_NONE;

    return (struct projection_request){
        .store = call->store,
        .sources = &source->tables,
        .source = source->term,
        .spec = {.direction = config->direction,
                 .labels = ids_of(config, false),
                 .label_count = config->labels[0].size / sizeof(uint64_t),
                 .vertex_labels = ids_of(config, true),
                 .vertex_label_count =
                     config->labels[1].size / sizeof(uint64_t),
                 .weights = weights && has_weights},
        .seq = call->version ? snapshot_seq(store_base(call->store))
                             : store_seq(call->store),
        .shows = call->shows,
    };
}

static unsigned needs_of(const struct algorithm *algorithm)
{
    unsigned needs = algorithm ? algorithm->needs : NEED_OUT;

    return needs & (NEED_OUT | NEED_IN | NEED_BOTH) ? needs : needs | NEED_OUT;
}

/* Where an algorithm, or a projection, is not for. */
static enum status check_alone(struct call *call)
{
    if (call->at_once)
        return call_bad(call, "an algorithm takes its time; ask for it by "
                              "itself, and not in a list of Ops");
    if (!readings_host(call->commands->readings, LANE_RUNS))
        return call_bad(call, "there are no threads for algorithms here");
    return ST_OK;
}

/* Asks for the projection, and gives the request over. The task is gone after
 * an error. */
static enum status task_start(struct call *call, struct run_task *task,
                              const struct config *config,
                              const struct run_source *source, bool weights,
                              enum status (*ready)(struct run_task *task))
{
    struct projection_request request =
        request_of(call, config, source, weights);
    unsigned needs = needs_of(task->algorithm);
    bool is_ready = false;
    enum status st;

    if (source->projected) {
        task->projected = source->projected;
        projected_keep(task->projected);
        st = projected_want(task->projected, needs, &task->wait, &is_ready);
    } else {
        st = projections_want(task->commands->projections, &request, needs,
                              &task->wait, &is_ready, &task->projected);
    }
    if (st == ST_OK && is_ready)
        st = ready(task);
    task->load.waits = !is_ready;
    if (st == ST_OK)
        st = reading_start_load(call, &task->load);
    if (st < 0)
        task_free(task);
    return st;
}

/* --- projections --------------------------------------------------------- */

static enum status call_projection_name(struct call *call, struct bytes *ret)
{
    call->argument++;
    return call_encode(call, &call->args, SCRATCH_NAME, ret);
}

static enum status on_project_finish(struct reading_load *load)
{
    struct run_task *task = (struct run_task *)(void *)load;

    return projections_name(task->commands->projections, task->name,
                            task->projected);
}

static void on_project_go(struct projected_wait *wait, enum status st)
{
    struct run_task *task =
        (struct run_task *)(void *)((uint8_t *)wait -
                                    offsetof(struct run_task, wait));

    task->ready = st == ST_OK;
    reading_go(&task->load, st);
}

static enum status project_is_ready(struct run_task *task)
{
    task->ready = true;
    return ST_OK;
}

/* It is there. On the loop, though it is called as on a worker. */
static enum status project_answer(struct call *call)
{
    struct run_task *task =
        (struct run_task *)(void *)reading_load(call->reading);
    enum status st = reading_check(call->reading);

    if (st == ST_OK)
        projected_put(task->projected, task->name, call->out);
    return st;
}

/* Gives a projection that is there a name, and answers. */
static enum status project_now(struct call *call, struct bytes name,
                               struct projected *projected)
{
    enum status st;

    projected_put(projected, name, call->out);
    st = writer_status(call->out);
    return st < 0
               ? st
               : projections_name(call->commands->projections, name, projected);
}

static enum status project(struct call *call, struct config *config,
                           struct bytes name)
{
    struct projections *projections = call->commands->projections;
    struct run_source source;
    struct projected *projected;
    struct projection_request request;
    struct run_task *task;
    struct buffer kept = BUFFER(call->commands->mem);
    enum status st = buffer_append(&kept, name); /* the scratch is needed */

    name = buffer_bytes(&kept);
    if (st == ST_OK)
        st = call_run_source(call, &source);
    if (st == ST_OK && source.projected)
        st = call_bad(call, "a projection is made of tables");
    if (st == ST_OK)
        st = call_config(call, config);
    if (st == ST_OK)
        st = check_labels(call, config, &source);
    if (st < 0)
        goto done;
    request = request_of(call, config, &source, config->weighted);
    projected = projections_peek(projections, &request, NEED_OUT);
    if (projected) {
        st = project_now(call, name, projected);
        goto done;
    }
    task = task_create(call, NULL, source.term, name);
    if (!task) {
        st = ST_NO_MEMORY;
        goto done;
    }
    task->load.light = true;
    task->load.finish = on_project_finish;
    task->wait.go = on_project_go;
    st = task_start(call, task, config, &source, config->weighted,
                    project_is_ready);

done:
    buffer_free(&kept);
    return st;
}

enum status cmd_project(struct call *call)
{
    struct projections *projections = call->commands->projections;
    struct config config;
    struct bytes name;
    enum status st;

    if (call->reading)
        return project_answer(call);
    st = call_projection_name(call, &name);
    if (st == ST_OK)
        st = check_alone(call);
    if (st == ST_OK && projections_find(projections, name))
        st = call_bad(call, "a projection of this name is there; drop it "
                            "first");
    if (st < 0)
        return st;
    config_init(&config, call, NULL);
    st = project(call, &config, name);
    config_free(&config);
    return st;
}

enum status cmd_projections(struct call *call)
{
    projections_look(call->commands->projections);
    projections_put(call->commands->projections, call->out);
    call->has_shows = true;
    call->shows = store_seq(call->commands->store);
    return ST_OK;
}

enum status cmd_drop_projection(struct call *call)
{
    struct bytes name;
    enum status st = call_projection_name(call, &name);

    if (st < 0)
        return st;
    put_atom(call->out, projections_drop(call->commands->projections, name)
                            ? "dropped"
                            : "absent");
    return ST_OK;
}

/* --- run: on the loop ---------------------------------------------------- */

static enum status task_check(void *context)
{
    const struct run_task *task = context;

    if (task->kept && kept_is_released(task->kept))
        return ST_CANCELLED;
    return reading_check(task->load.reading);
}

static uint64_t estimate_run(const struct algorithm *algorithm,
                             const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    return algorithm->estimate(shape, params, threads);
}

/* The projection is there: is there room for what the run will take? */
static enum status run_is_ready(struct run_task *task)
{
    struct projections *projections = task->commands->projections;
    struct mem *mem = &task->rows.mem;
    size_t left = projections_left(projections);
    uint64_t bytes;

    projected_view(task->projected, task->weighted, &task->view);
    bytes = estimate_run(task->algorithm, &task->view.projection, task->params,
                         task->threads);
    if (bytes > mem->limit)
        bytes = mem->limit;
    if (!projections_reserve(projections, bytes))
        return ST_MEMORY_LIMIT;
    task->reserved = bytes;
    if (left < mem->limit)
        mem->limit = left;
    task->ready = true;
    return ST_OK;
}

static void on_run_go(struct projected_wait *wait, enum status st)
{
    struct run_task *task =
        (struct run_task *)(void *)((uint8_t *)wait -
                                    offsetof(struct run_task, wait));

    if (st == ST_OK)
        st = run_is_ready(task);
    reading_go(&task->load, st);
}

/* Keeps the rows. What was reserved for them is theirs. */
static enum status on_run_finish(struct reading_load *load)
{
    struct run_task *task = (struct run_task *)(void *)load;

    projections_unreserve(task->commands->projections, task->reserved);
    task->reserved = 0;
    if (!task->kept)
        return ST_OK;
    return kept_fill(task->kept, &task->rows, task->projected, task->shows);
}

struct run_mode {
    bool keeps;
    struct version_name name;
    struct row_order order;
};

/* none | {Column, asc | desc} | {Column, asc | desc, Limit} */
static enum status take_order(struct call *call, struct row_order *ret)
{
    static const char text[] =
        "an order is none, {Column, asc or desc} or {Column, asc or desc, "
        "Limit}";
    struct bytes word;
    uint32_t arity = 0;
    int64_t limit;

    *ret = (struct row_order){.limit = UINT64_MAX};
    if (!reader_tuple(&call->args, &arity))
        return reader_atom(&call->args, &word) && WORD_IS(word, "none")
                   ? ST_OK
                   : call_bad(call, text);
    if ((arity != 2 && arity != 3) || !reader_atom(&call->args, &ret->column) ||
        !reader_atom(&call->args, &word) ||
        !(WORD_IS(word, "asc") || WORD_IS(word, "desc")))
        return call_bad(call, text);
    ret->given = true;
    ret->descending = WORD_IS(word, "desc");
    if (arity == 2)
        return ST_OK;
    if (!reader_integer(&call->args, &limit) || limit < 1)
        return call_bad(call, "the limit of an order is an integer from 1 on");
    ret->limit = (uint64_t)limit;
    return ST_OK;
}

/* Has a row such a field? */
static bool has_column(const struct algorithm *algorithm, struct bytes name)
{
    for (const char *const *column = algorithm->columns; *column; column++)
        if (bytes_equal(name, bytes_of(*column, strlen(*column))))
            return true;
    return false;
}

static const char no_column[] = "the algorithm's rows have no column of this "
                                "name to be ordered by";

/* summary | {rows, Result, Order} */
static enum status call_mode(struct call *call,
                             const struct algorithm *algorithm,
                             struct run_mode *ret)
{
    static const char text[] = "must be summary or {rows, Result, Order}";
    struct bytes word;
    enum status st;

    call->argument++;
    *ret = (struct run_mode){.keeps = reader_tuple_of(&call->args, 3)};
    if (!reader_atom(&call->args, &word) ||
        !bytes_equal(word, ret->keeps ? BYTES("rows") : BYTES("summary")))
        return call_bad(call, text);
    if (!ret->keeps)
        return ST_OK;
    call->argument--;
    st = call_result_name(call, &ret->name);
    if (st == ST_OK)
        st = take_order(call, &ret->order);
    if (st == ST_OK && ret->order.given &&
        !has_column(algorithm, ret->order.column))
        return call_bad(call, no_column);
    return st;
}

static enum status open_result(struct call *call, struct version_name name,
                               struct kept_result **ret)
{
    enum status st = results_open(call->commands->results, name, ret);

    if (st == ST_BAD_ARGUMENT)
        return call_bad(call, "a result of this name is there; release it, or "
                              "pick another number");
    if (st == ST_TOO_BIG)
        return call_fail(call, st, "too many results are kept; release some");
    return st;
}

static enum status run_start(struct call *call, struct config *config,
                             const struct run_source *source,
                             const struct run_mode *mode)
{
    const struct algorithm *algorithm = config->algorithm;
    unsigned threads_max = call->commands->threads_max;
    struct run_task *task =
        task_create(call, algorithm, source->term, bytes_of(NULL, 0));
    enum status st = ST_OK;

    if (!task)
        return ST_NO_MEMORY;
    task->weighted = config->weighted && algorithm->needs & NEED_WEIGHTS;
    task->threads =
        config->threads < threads_max ? config->threads : threads_max;
    memcpy(task->params, config->params, sizeof(task->params));
    task->run.threads = task->threads;
    task->run.check = task_check;
    task->run.context = task;
    task->rows.mem.limit = call->options.memory;
    task->load.finish = on_run_finish;
    task->load.tick = config->progress ? on_tick : NULL;
    task->wait.go = on_run_go;
    task->shows = call_shows(call, ST_OK);
    if (mode->keeps)
        st = open_result(call, mode->name, &task->kept);
    if (st < 0) {
        task_free(task);
        return st;
    }
    return task_start(call, task, config, source, task->weighted, run_is_ready);
}

static enum status run_take(struct call *call, struct config *config)
{
    struct run_source source;
    struct run_mode mode;
    enum status st = call_run_source(call, &source);

    if (st == ST_OK)
        st = call_config(call, config);
    if (st == ST_OK)
        st = source.projected ? check_named(call, config, source.projected)
                              : check_labels(call, config, &source);
    if (st == ST_OK)
        st = call_mode(call, config->algorithm, &mode);
    return st < 0 ? st : run_start(call, config, &source, &mode);
}

/* --- run: on a worker ---------------------------------------------------- */

static bool has_figure(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->figure_count; i++)
        if (!strcmp(result->figures[i].name, name))
            return true;
    return false;
}

/* The algorithm's figures, and some that it has not itself. */
static void put_figures(struct writer *out, const struct run_task *task)
{
    const struct projection *projection = &task->view.projection;
    const struct result *result = &task->rows.result;
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        {"vertices", projection->n},
        {"edges", projection->edges},
        {"rows", result->rows},
        {"seq", projected_seq(task->projected)},
        {"ms", (now_ns() - task->began_ns) / 1000000},
    };
    uint32_t count = result->figure_count;

    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        count += !has_figure(result, others[i].name);
    put_map(out, count);
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (!has_figure(result, others[i].name))
            put_field(out, others[i].name, others[i].value);
    for (unsigned i = 0; i < result->figure_count; i++) {
        const struct figure *figure = &result->figures[i];

        put_atom(out, figure->name);
        if (figure->is_float)
            put_float(out, figure->f64);
        else
            put_u64(out, figure->u64);
    }
}

/* A pair of Details, if the vertex is no larger than may stand there. */
static void put_end(struct call *call, struct buffer *extra, const char *name,
                    struct bytes key)
{
    size_t before = extra->size;

    if (key.size < 256 && etf_put_atom(extra, name) == ST_OK &&
        key_decode(key, extra) == ST_OK)
        call->complaint.extra_count++;
    else
        extra->size = before;
}

/* Which vertex (`key`), or the ends of which edge (`from` and `to`, as those
 * of a traversal), an error is about. */
static enum status run_failed(struct call *call, const struct run_task *task,
                              enum status st)
{
    const struct graph_image *image = projected_image(task->projected);
    const uint32_t *fault = task->run.fault;
    struct buffer *extra = call_scratch(call, SCRATCH_TO);

    if (st == ST_MEMORY_LIMIT) {
        call->complaint.limit = task->rows.mem.limit;
        return ST_MEMORY_BUDGET;
    }
    if (st != (enum status)atomic_load(&task->run.status))
        return st;
    if (task->run.why)
        call_fail(call, st, task->run.why);
    if (fault[0] != NO_VERTEX && fault[1] == NO_VERTEX)
        call->complaint.key = image_key(image, fault[0]);
    if (fault[0] == NO_VERTEX || fault[1] == NO_VERTEX)
        return st;
    put_end(call, extra, "from", image_key(image, fault[0]));
    put_end(call, extra, "to", image_key(image, fault[1]));
    call->complaint.extra = buffer_bytes(extra);
    return st;
}

static enum status run_algorithm(struct call *call, struct run_task *task,
                                 struct config *config)
{
    const struct algorithm *algorithm = task->algorithm;
    struct run_mode mode;
    enum status st;

    call->argument++;
    reader_term(&call->args);
    call->argument++;
    reader_term(&call->args);
    st = call_config(call, config);
    if (st == ST_OK)
        st = call_mode(call, algorithm, &mode);
    if (st == ST_OK)
        st = run_check(&task->run);
    if (st == ST_OK)
        st = algorithm->run(&task->run, &task->view.projection, config->params,
                            &task->rows.result);
    if (st == ST_OK && mode.keeps) {
        st = rows_order(&task->run, &task->rows, &mode.order);
        if (st == ST_BAD_ARGUMENT) /* these rows have not all of them */
            st = call_bad(call, no_column);
    }
    return st;
}

static enum status run_on_worker(struct call *call)
{
    struct run_task *task =
        (struct run_task *)(void *)reading_load(call->reading);
    struct config config;
    enum status st = reading_check(call->reading);

    if (st < 0) /* and perhaps there is no projection yet */
        return st;
    config_init(&config, call, task->algorithm);
    config.run = &task->run;
    config.image = projected_image(task->projected);
    st = run_algorithm(call, task, &config);
    config_free(&config);
    if (st == ST_OK)
        put_figures(call->out, task);
    else
        st = run_failed(call, task, st);
    if (st < 0 || !task->kept)
        rows_free(&task->rows);
    return st;
}

enum status cmd_run(struct call *call)
{
    const struct algorithm *algorithm;
    struct config config;
    enum status st;

    if (call->reading)
        return run_on_worker(call);
    st = call_algorithm(call, &algorithm);
    if (st == ST_OK)
        st = check_alone(call);
    if (st < 0)
        return st;
    config_init(&config, call, algorithm);
    st = run_take(call, &config);
    config_free(&config);
    return st;
}

/* --- estimate ------------------------------------------------------------ */

static void put_estimate(struct call *call, const struct config *config,
                         const struct projected *projected,
                         const struct projection_size *size)
{
    const struct algorithm *algorithm = config->algorithm;
    uint64_t vertices =
        size->vertices < CSR_VERTICES_MAX ? size->vertices : CSR_VERTICES_MAX;
    struct projection shape = {.n = (uint32_t)vertices,
                               .edges = size->edges,
                               .undirected = size->undirected};
    struct writer *out = call->out;

    if (projected) {
        const struct graph_image *image = projected_image(projected);

        shape.n = image->n;
        shape.edges = image->edges;
        shape.undirected = image->undirected;
    }
    put_map(out, 5);
    put_field(out, "vertices", shape.n);
    put_field(out, "edges", shape.edges);
    put_field(out, "projection_bytes",
              projected ? projected_bytes(projected) : size->bytes);
    put_field(out, "run_bytes",
              estimate_run(algorithm, &shape, config->params,
                           config->threads < call->commands->threads_max
                               ? config->threads
                               : call->commands->threads_max));
    put_atom(out, "cached");
    put_bool(out, projected != NULL);
}

static enum status estimate(struct call *call, struct config *config)
{
    unsigned needs = needs_of(config->algorithm);
    struct projection_size size = {0};
    struct run_source source;
    struct projected *projected;
    enum status st = call_run_source(call, &source);

    if (st == ST_OK)
        st = call_config(call, config);
    if (st == ST_OK)
        st = source.projected ? check_named(call, config, source.projected)
                              : check_labels(call, config, &source);
    if (st < 0)
        return st;
    projected = source.projected;
    if (!projected) {
        struct projection_request request = request_of(
            call, config, &source,
            config->weighted && config->algorithm->needs & NEED_WEIGHTS);

        projected =
            projections_peek(call->commands->projections, &request, needs);
        size = projection_estimate(&source.tables, &request.spec, needs);
    }
    put_estimate(call, config, projected, &size);
    return ST_OK;
}

enum status cmd_estimate(struct call *call)
{
    const struct algorithm *algorithm;
    struct config config;
    enum status st = call_algorithm(call, &algorithm);

    if (st < 0)
        return st;
    config_init(&config, call, algorithm);
    st = estimate(call, &config);
    config_free(&config);
    return st;
}

/* --- results ------------------------------------------------------------- */

struct rows_task {
    struct reading_load load;
    struct commands *commands;
    struct kept_result *kept;
};

static void on_rows_end(struct reading_load *load)
{
    struct rows_task *task = (struct rows_task *)(void *)load;

    kept_leave(task->kept);
    mem_free(task->commands->mem, task, sizeof(*task));
}

static enum status call_result(struct call *call, struct kept_result **ret)
{
    struct version_name name;
    enum status st = call_result_name(call, &name);

    if (st < 0)
        return st;
    *ret = results_find(call->commands->results, name);
    if (!*ret)
        return ST_NO_RESULT;
    call->has_shows = true;
    call->shows = kept_shows(*ret);
    return ST_OK;
}

/* N | {pos, N}, and how many rows from there. */
static enum status call_rows(struct call *call, uint64_t limit_max,
                             uint64_t *ret_from, uint64_t *ret_limit)
{
    struct bytes word;
    bool pair = reader_tuple_of(&call->args, 2);
    int64_t from, limit;

    call->argument++;
    if ((pair && !(reader_atom(&call->args, &word) && WORD_IS(word, "pos"))) ||
        !reader_integer(&call->args, &from) || from < 0)
        return call_bad(call, "must be the number of a row, from 0 on, or "
                              "{pos, N}");
    call->argument++;
    if (!reader_integer(&call->args, &limit) || limit < 1 ||
        (uint64_t)limit > limit_max)
        return call_bad(call, limit_max == WRITE_ROWS_MAX
                                  ? "must be an integer from 1 to 65536"
                                  : "must be an integer from 1 to 2^31 - 1");
    *ret_from = (uint64_t)from;
    *ret_limit = (uint64_t)limit;
    return ST_OK;
}

/* May a page that has so many rows have another one? */
static enum status page_check(const struct call *call, uint64_t count)
{
    if (count >= call->options.rows)
        return ST_ROW_LIMIT;
    return count % PAGE_STRIDE == 0 && call->reading
               ? reading_check(call->reading)
               : ST_OK;
}

/* Puts a row; ST_MEMORY_BUDGET, and it is not there, where the page, which
 * began at `start`, would take too much. */
static enum status put_page_row(struct call *call,
                                const struct kept_result *kept, uint64_t row,
                                size_t start)
{
    struct writer *out = call->out;
    size_t before = writer_size(out);
    enum status st;

    kept_put_row(kept, row, out);
    st = writer_status(out);
    if (st == ST_OK && writer_size(out) - start <= call->options.memory)
        return ST_OK;
    if (st < 0 && (st != ST_MEMORY_LIMIT || !call->reading))
        return st;
    out->status = ST_OK;
    put_truncate(out, before);
    return ST_MEMORY_BUDGET;
}

/* Next, and Why if a limit has ended the page. */
static void put_page_end(struct call *call, uint64_t next, uint64_t rows,
                         enum status why)
{
    struct writer *out = call->out;

    if (next >= rows) {
        put_atom(out, "done");
        return;
    }
    put_tuple(out, 2);
    put_atom(out, "pos");
    put_u64(out, next);
    if (why < 0) {
        call_page_why(call);
        put_atom(out, status_atom(why));
    }
}

/* Puts Items and what follows them. On a worker all but the rows is exempt
 * from the limit: there is always room to say where to go on. */
static enum status put_page(struct call *call, const struct kept_result *kept,
                            uint64_t from, uint64_t limit)
{
    struct writer *out = call->out;
    struct mem *mem = call->commands->mem;
    size_t items = put_list_begin(out);
    size_t start = writer_size(out);
    uint64_t rows = kept_rows(kept);
    uint64_t row = from;
    enum status st = ST_OK;

    while (row < rows && row - from < limit &&
           writer_size(out) - start < PAGE_BYTES) {
        st = page_check(call, row - from);
        if (st == ST_OK)
            st = put_page_row(call, kept, row, start);
        if (st < 0)
            break;
        row++;
    }
    if (st < 0 && st != ST_ROW_LIMIT && st != ST_MEMORY_BUDGET &&
        st != ST_DEADLINE)
        return st;
    if (call->reading)
        mem_exempt_begin(mem);
    put_list_end(out, items, row > from ? row - from : 0);
    put_page_end(call, row, rows, st);
    if (call->reading)
        mem_exempt_end(mem);
    return out->status;
}

static enum status rows_on_worker(struct call *call)
{
    const struct rows_task *task =
        (struct rows_task *)(void *)reading_load(call->reading);
    uint64_t from, limit;
    enum status st;

    call->argument++;
    reader_term(&call->args);
    st = call_rows(call, INT32_MAX, &from, &limit);
    return st < 0 ? st : put_page(call, task->kept, from, limit);
}

static enum status rows_start(struct call *call, struct kept_result *kept)
{
    struct rows_task *task = mem_zalloc(call->commands->mem, sizeof(*task));
    enum status st;

    if (!task)
        return ST_NO_MEMORY;
    task->load.lane = LANE_READS;
    task->load.end = on_rows_end;
    task->commands = call->commands;
    task->kept = kept;
    kept_keep(kept);
    st = reading_start_load(call, &task->load);
    if (st < 0)
        on_rows_end(&task->load);
    return st;
}

enum status cmd_result_rows(struct call *call)
{
    struct kept_result *kept;
    uint64_t from, limit;
    enum status st;

    if (call->reading)
        return rows_on_worker(call);
    st = call_result(call, &kept);
    if (st == ST_OK)
        st = call_rows(call, INT32_MAX, &from, &limit);
    if (st < 0)
        return st;
    if (reading_possible(call) && limit > LOOP_ELEMENTS_MAX &&
        kept_rows(kept) > from && kept_rows(kept) - from > LOOP_ELEMENTS_MAX)
        return rows_start(call, kept);
    return put_page(call, kept, from, limit);
}

enum status cmd_release_result(struct call *call)
{
    struct version_name name;
    enum status st = call_result_name(call, &name);

    if (st < 0)
        return st;
    put_atom(call->out, results_release(call->commands->results, name)
                            ? "released"
                            : "absent");
    return ST_OK;
}

/* --- result_write -------------------------------------------------------- */

/* Puts the element of a table that a row is; `*ret_put` is false if it is
 * none, for a key of it is nil or what it says is false. */
static void put_element(struct call *call, const struct kept_result *kept,
                        uint64_t row, bool *ret_put)
{
    const struct table *table = call->table;
    bool pairs = table_has_second(table);
    unsigned width = kept_width(kept);
    bool truth = width == 2 && kept_type(kept, 1) == COLUMN_BOOL;

    *ret_put = !kept_is_nil(kept, row, 0) &&
               !(pairs && width > 1 && kept_is_nil(kept, row, 1));
    if (!table_has_value(table) && !pairs) { /* a set */
        *ret_put &= !truth || kept_is_true(kept, row, 1);
        if (!*ret_put)
            return;
        if (width == 1 || truth)
            kept_put(kept, row, 0, call->out);
        else
            kept_put_row(kept, row, call->out);
        return;
    }
    if (!*ret_put)
        return;
    put_tuple(call->out, 2);
    kept_put(kept, row, 0, call->out);
    if (width > 1)
        kept_put(kept, row, 1, call->out);
    else
        put_bool(call->out, true);
}

/* {insert_all, Table, fwd, [Element]} into a scratch buffer: what the log is
 * to hold, for a replay has no result. */
static enum status write_op(struct call *call, const struct kept_result *kept,
                            uint64_t from, uint64_t limit, struct bytes table,
                            struct buffer *op)
{
    struct writer *out = call->out;
    size_t start = writer_size(out);
    uint64_t rows = kept_rows(kept);
    uint64_t count = 0;
    size_t list;
    enum status st;

    put_tuple(out, 4);
    put_atom(out, "insert_all");
    put_term(out, table);
    put_atom(out, "fwd");
    list = put_list_begin(out);
    for (uint64_t row = from; row < rows && row - from < limit; row++) {
        bool put;

        put_element(call, kept, row, &put);
        count += put;
        if (writer_status(out) < 0)
            return writer_status(out);
        call_tick(call, row - from);
    }
    put_list_end(out, list, count);
    st = writer_status(out);
    if (st == ST_OK)
        st = buffer_append(
            op, bytes_of(out->out.data + start, writer_size(out) - start));
    put_truncate(out, start);
    return st;
}

enum status cmd_result_write(struct call *call)
{
    struct buffer *op = call_scratch(call, SCRATCH_OP);
    struct kept_result *kept;
    struct reader reader;
    struct bytes table;
    uint64_t from, limit;
    enum status st = call_result(call, &kept);

    call->has_shows = false; /* it is a mutation */
    if (st == ST_OK)
        st = call_rows(call, WRITE_ROWS_MAX, &from, &limit);
    if (st < 0)
        return st;
    reader = call->args;
    table = reader_term(&reader);
    st = call_table(call);
    if (st == ST_OK && table_type(call->table) == TABLE_GRAPH)
        return call_fail(call, ST_WRONG_TABLE_TYPE,
                         "rows are written to a set, a to_one or a table of "
                         "pairs");
    if (st == ST_OK)
        st = write_op(call, kept, from, limit, table, op);
    if (st < 0)
        return st;
    call->op = buffer_bytes(op);
    call->inner = call->op;
    reader = reader_of(call->op);
    reader_tuple_of(&reader, 4);
    reader_term(&reader);
    call->args = reader;
    call->argument = 3; /* the table is the fourth one here */
    return cmd_insert_all(call);
}

/* --- algorithms ---------------------------------------------------------- */

/* A list of atoms; NULL is behind the last one. */
static void put_words(struct writer *out, const char *const *words)
{
    size_t list = put_list_begin(out);
    uint64_t count = 0;

    while (words[count])
        put_atom(out, words[count++]);
    put_list_end(out, list, count);
}

static void put_param(struct writer *out, const struct param_spec *spec)
{
    static const char *const types[] = {
        [PARAM_U64] = "integer",       [PARAM_F64] = "float",
        [PARAM_BOOL] = "boolean",      [PARAM_VERTEX] = "vertex",
        [PARAM_VERTICES] = "vertices", [PARAM_CHOICE] = "choice",
    };
    bool number = spec->type == PARAM_U64 || spec->type == PARAM_F64;
    bool bounded = number && (spec->min != 0 || spec->max != 0);
    bool choice = spec->type == PARAM_CHOICE;
    bool otherwise = !spec->required && spec->type != PARAM_VERTEX &&
                     spec->type != PARAM_VERTICES;

    put_map(out, 3u + otherwise + 2u * bounded + choice);
    put_atom(out, "name");
    put_atom(out, spec->name);
    put_atom(out, "type");
    put_atom(out, types[spec->type]);
    put_atom(out, "required");
    put_bool(out, spec->required);
    if (otherwise) {
        put_atom(out, "default");
        if (spec->type == PARAM_BOOL)
            put_bool(out, spec->otherwise != 0);
        else if (choice)
            put_atom(out, spec->choices[(unsigned)spec->otherwise]);
        else if (spec->type == PARAM_U64)
            put_u64(out, (uint64_t)spec->otherwise);
        else
            put_float(out, spec->otherwise);
    }
    if (bounded) {
        put_atom(out, "min");
        put_float(out, spec->min);
        put_atom(out, "max");
        put_float(out, spec->max);
    }
    if (choice) {
        put_atom(out, "choices");
        put_words(out, spec->choices);
    }
}

enum status cmd_algorithms(struct call *call)
{
    struct writer *out = call->out;
    const struct algorithm *const *algorithms;
    size_t count, list;

    algorithms = algorithm_list(&count);
    list = put_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        const struct algorithm *algorithm = algorithms[i];
        size_t params;

        put_map(out, 4);
        put_atom(out, "name");
        put_atom(out, algorithm->name);
        put_atom(out, "weights");
        put_bool(out, algorithm->needs & NEED_WEIGHTS);
        put_atom(out, "parameters");
        params = put_list_begin(out);
        for (unsigned p = 0; p < algorithm->param_count; p++)
            put_param(out, &algorithm->params[p]);
        put_list_end(out, params, algorithm->param_count);
        put_atom(out, "columns");
        put_words(out, algorithm->columns);
    }
    put_list_end(out, list, count);
    return ST_OK;
}
