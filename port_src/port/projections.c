/*
 * projections.c -- a list of images, the names of some, and the jobs that make
 * them.
 *
 *     asked for --> made --> ready <--> made further (image_complete())
 *         `- nobody waits: abandoned      `- idle: in the cache, or freed
 *
 * An image is found again by a key: the names and sides of its tables, and
 * what was asked of it (the ids of labels, ascending). It is *current* while
 * the newest change of any of these tables is still the one that it was made
 * at: seqs only grow, so one number tells, for a table that was dropped and
 * made again as well. A version of the store shares the head's images where
 * it shares the head's trees; what is projected from a version that differs is
 * found by nobody else.
 *
 * Everything here is the loop's but build_run(), which touches the pins, the
 * image and its account. An image that is used may be made further meanwhile:
 * that adds arrays and changes none, and who uses it has copies of the structs
 * that point to them (projected_view()).
 *
 * The account. A build reserves what it is expected to take, so that two of
 * them do not count on the same room. At its end that becomes what it has
 * taken. Idle images give way to whatever else wants room.
 */
#include "port/projections.h"

#include <stdatomic.h>
#include <time.h>

#include "port/call.h"

/* A job that makes an image, or more of it. */
struct build {
    struct job job;
    struct projected *projected;
    struct snapshot *snapshot; /* NULL: the image is made further */
    struct sources pins;
    struct run run;
    unsigned needs;
    size_t reserved;
    uint64_t began_ns;
    atomic_bool abandoned;
    enum status st;
};

struct projected {
    struct projections *registry;
    struct projected *next; /* idle ones: the one that is idle longest first */
    struct projected **place;
    uint64_t users; /* references */
    uint64_t names; /* of these, names */

    struct bytes source;      /* as it came */
    struct bytes key;         /* what it is found by */
    struct bytes tables;      /* the beginning of it */
    struct project_spec spec; /* its arrays lie behind this struct */
    bool is_private;          /* of a version that differs from the head */
    bool failed;              /* it will never be ready */
    uint64_t changed;
    uint64_t seq;
    uint64_t shows;

    struct mem mem;
    struct graph_image image;
    unsigned made;  /* NEED_ */
    size_t charged; /* to the store */
    uint64_t ms;    /* that it took to make */

    struct build *build; /* or NULL */
    struct projected_wait *waits;
    size_t size; /* of this block */
};

struct named_projection {
    struct named_projection *next;
    struct projected *projected;
    struct bytes name; /* encoded, behind this struct */
};

struct projections {
    struct commands *commands;
    struct projected *first;
    struct projected **end;
    size_t cache_bytes; /* SIZE_MAX: the default */
    uint64_t looked_seq;
    struct named_projection *names;
    size_t name_count;
    size_t build_count;
};

#define NEED_ARRAYS (NEED_OUT | NEED_IN | NEED_BOTH)

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct mem *account(const struct projections *projections)
{
    return store_mem(projections->commands->store);
}

/* --- lifetime ----------------------------------------------------------- */

enum status projections_create(struct commands *commands,
                               struct projections **ret)
{
    struct projections *projections =
        mem_zalloc(commands->mem, sizeof(*projections));

    if (!projections)
        return ST_NO_MEMORY;
    projections->commands = commands;
    projections->end = &projections->first;
    projections->cache_bytes = SIZE_MAX;
    *ret = projections;
    return ST_OK;
}

void projections_set_cache(struct projections *projections, size_t bytes)
{
    projections->cache_bytes = bytes;
}

static void projected_enter(struct projected *projected)
{
    struct projections *projections = projected->registry;

    projected->next = NULL;
    projected->place = projections->end;
    *projections->end = projected;
    projections->end = &projected->next;
}

static void projected_unlink(struct projected *projected)
{
    *projected->place = projected->next;
    if (projected->next)
        projected->next->place = projected->place;
    else
        projected->registry->end = projected->place;
}

/* Charges the store's account with what the image holds. Without room it is
 * refused, or, with `force`, charged all the same. */
static bool projected_charge(struct projected *projected, bool force)
{
    struct projections *projections = projected->registry;
    struct mem *mem = account(projections);
    size_t bytes = projected->mem.used;
    bool charged;

    projections_unreserve(projections, projected->charged);
    charged = projections_reserve(projections, bytes);
    if (!charged && force) {
        mem_exempt_begin(mem);
        charged = mem_take_back(mem, bytes);
        mem_exempt_end(mem);
    }
    projected->charged = charged ? bytes : 0;
    return charged;
}

static void projected_free(struct projected *projected)
{
    struct projections *projections = projected->registry;

    REQUIRE(!projected->users && !projected->build && !projected->waits);
    projected_unlink(projected);
    if (projected->made)
        image_free(&projected->image);
    REQUIRE(projected->mem.used == 0);
    projections_unreserve(projections, projected->charged);
    mem_free(projections->commands->mem, projected, projected->size);
}

void projections_free(struct projections *projections)
{
    if (!projections)
        return;
    while (projections->names)
        projections_drop(projections, projections->names->name);
    while (projections->first)
        projected_free(projections->first);
    REQUIRE(!projections->build_count);
    mem_free(projections->commands->mem, projections, sizeof(*projections));
}

/* --- what it was made from ----------------------------------------------- */

/* The next table's name in projected->tables. */
static struct bytes next_table(struct bytes *tables)
{
    struct bytes name = bytes_of(tables->data + 2, tables->data[1]);

    tables->data += 2 + name.size;
    tables->size -= 2 + name.size;
    return name;
}

static uint64_t newest(uint64_t changed, const struct table *table)
{
    uint64_t other = table_changed_seq(table);

    return other > changed ? other : changed;
}

/* Is it still what it was made from? */
static bool projected_is_current(const struct projected *projected)
{
    struct store *store = projected->registry->commands->store;
    struct bytes tables = projected->tables;
    uint64_t changed = 0;

    if (projected->is_private || projected->failed)
        return false;
    while (tables.size > 0) {
        struct table *table = store_find(store, next_table(&tables));

        if (!table)
            return false;
        changed = newest(changed, table);
    }
    if (changed > store_seq(store))
        changed = store_seq(store);
    return changed == projected->changed;
}

/* Do both hold the same, for they share their trees? */
static bool tables_share(const struct table *a, const struct table *b)
{
    if (!b || table_type(a) != table_type(b))
        return false;
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        const struct tree_root *x, *y;

        if (!table_has_side(a, side))
            continue;
        x = table_root(a, side);
        y = table_root(b, side);
        if (x->node != y->node || x->count != y->count)
            return false;
    }
    return true;
}

/* Calls `function` for all tables; false as soon as it gives that. */
static bool each_table(const struct sources *sources,
                       bool (*function)(const struct table *table,
                                        void *context),
                       void *context)
{
    bool goes_on = true;

    if (sources->is_graph)
        goes_on = function(sources->graph.table, context);
    for (unsigned i = 0; sources->is_graph && goes_on && i < GRAPH_PART_COUNT;
         i++)
        goes_on = function(sources->graph.parts[i], context);
    for (unsigned i = 0; goes_on && i < sources->step_count; i++)
        goes_on = function(sources->steps[i].table, context);
    return goes_on;
}

struct heads {
    struct store *head;
    uint64_t changed;
};

/* Does the head have the same table? Takes note of its newest change. */
static bool head_shares(const struct table *table, void *context)
{
    struct heads *heads = context;
    const struct table *head = store_find(heads->head, table_name(table));

    if (head != table && !tables_share(table, head))
        return false;
    heads->changed = newest(heads->changed, head);
    return true;
}

/* False if the tables are not those of the head. */
static bool request_changed(const struct projections *projections,
                            const struct projection_request *request,
                            uint64_t *ret)
{
    struct heads heads = {.head = projections->commands->store};
    uint64_t seq = store_seq(heads.head);

    if (request->sources->is_graph) { /* it has all changes of its parts */
        struct heads ignored = heads;

        if (request->store != heads.head &&
            !each_table(request->sources, head_shares, &ignored))
            return false;
        if (!head_shares(request->sources->graph.table, &heads))
            return false;
    } else if (!each_table(request->sources, head_shares, &heads)) {
        return false;
    }
    *ret = heads.changed < seq ? heads.changed : seq;
    return true;
}

/* --- keys --------------------------------------------------------------- */

static enum status key_table(struct buffer *key, const struct table *table,
                             enum side side)
{
    struct bytes name = table_name(table);
    uint8_t head[2] = {(uint8_t)side, (uint8_t)name.size};
    enum status st = buffer_append(key, bytes_of(head, sizeof(head)));

    return st < 0 ? st : buffer_append(key, name);
}

static enum status key_labels(struct buffer *key, const uint64_t *labels,
                              size_t count)
{
    uint8_t head[5] = {labels != NULL};
    enum status st;

    store_be32(head + 1, (uint32_t)count);
    st = buffer_append(key, bytes_of(head, sizeof(head)));
    if (st == ST_OK && labels)
        st = buffer_append(key, bytes_of(labels, count * sizeof(*labels)));
    return st;
}

/* What a request is found by; the weights are no part of it. */
static enum status request_key(const struct projection_request *request,
                               struct buffer *key, size_t *ret_tables)
{
    const struct sources *sources = request->sources;
    const struct project_spec *spec = &request->spec;
    uint8_t direction = (uint8_t)spec->direction;
    enum status st = ST_OK;

    if (sources->is_graph)
        st = key_table(key, sources->graph.table, SIDE_FWD);
    for (unsigned i = 0; i < sources->step_count && st == ST_OK; i++)
        st = key_table(key, sources->steps[i].table, sources->steps[i].side);
    *ret_tables = key->size;
    if (st == ST_OK)
        st = buffer_append(key, bytes_of(&direction, 1));
    if (st == ST_OK)
        st = key_labels(key, spec->labels, spec->label_count);
    if (st == ST_OK)
        st = key_labels(key, spec->vertex_labels, spec->vertex_label_count);
    return st;
}

/* One that serves, made or being made, or NULL. With weights it serves those
 * who want none, too. */
static struct projected *find_current(struct projections *projections,
                                      struct bytes key, uint64_t changed,
                                      bool weights)
{
    for (struct projected *projected = projections->first; projected;
         projected = projected->next)
        if (!projected->is_private && !projected->failed &&
            projected->changed == changed && bytes_equal(projected->key, key) &&
            (projected->spec.weights || !weights))
            return projected;
    return NULL;
}

/* --- building, on a worker ----------------------------------------------- */

static enum status build_check(void *context)
{
    struct build *build = context;

    return atomic_load_explicit(&build->abandoned, memory_order_relaxed)
               ? ST_CANCELLED
               : ST_OK;
}

static void build_run(struct job *job)
{
    struct build *build = (struct build *)(void *)job;
    struct projected *projected = build->projected;
    const struct sources *pins = &build->pins;

    build->st = build_check(build);
    if (build->st < 0)
        return;
    if (!build->snapshot)
        build->st =
            image_complete(&build->run, &projected->image, build->needs);
    else if (pins->is_graph)
        build->st = image_of_graph(&build->run, &pins->graph, &projected->spec,
                                   build->needs, &projected->image);
    else
        build->st =
            image_of_path(&build->run, pins->steps, pins->step_count,
                          &projected->spec, build->needs, &projected->image);
}

/* --- building, on the loop ----------------------------------------------- */

static void build_free(struct build *build)
{
    struct projections *projections = build->projected->registry;
    struct mem *mem = projections->commands->mem;

    build->projected->build = NULL;
    projections_unreserve(projections, build->reserved);
    sources_unpin(mem, &build->pins);
    snapshot_release(build->snapshot);
    mem_free(mem, build, sizeof(*build));
}

static enum status build_start(struct build *build)
{
    struct projected *projected = build->projected;
    struct projections *projections = projected->registry;
    const struct job_host *host =
        readings_host(projections->commands->readings, LANE_RUNS);
    size_t left = projections_left(projections);
    size_t room = projected->mem.used + build->reserved;
    enum status st;

    projected->mem.limit = left < SIZE_MAX - room ? left + room : SIZE_MAX;
    run_init(&build->run, &projected->mem);
    build->run.check = build_check;
    build->run.context = build;
    build->began_ns = now_ns();
    atomic_store_explicit(&build->abandoned, false, memory_order_relaxed);
    st = job_start(host, &build->job);
    projections->build_count += st == ST_OK;
    return st;
}

/* Those whose wish is fulfilled go on, or all of them with an error. */
static void waits_go(struct projected *projected, enum status st)
{
    struct projected_wait *wait = projected->waits;

    while (wait) {
        struct projected_wait *next = wait->next;

        if (st < 0 || !(wait->needs & ~projected->made)) {
            projected_wait_end(wait);
            wait->go(wait, st);
        }
        wait = next; /* a go() ends no wait but its own */
    }
}

static unsigned waits_needs(const struct projected *projected)
{
    unsigned needs = 0;

    for (struct projected_wait *wait = projected->waits; wait;
         wait = wait->next)
        needs |= wait->needs;
    return needs;
}

static unsigned image_has(const struct graph_image *image)
{
    unsigned has = 0;

    if (image->undirected)
        return NEED_ARRAYS;
    has |= image->out.offsets ? NEED_OUT : 0;
    has |= image->in.offsets ? NEED_IN : 0;
    has |= image->both.offsets ? NEED_BOTH : 0;
    return has;
}

/* What the image has become. One that was to be made further may have, by a
 * part, when that failed; a new one has not. */
static enum status build_settle(struct build *build)
{
    struct projected *projected = build->projected;
    bool first = build->snapshot != NULL;

    if (build->st < 0 && first)
        return build->st;
    projected->made = image_has(&projected->image);
    projected->ms += (now_ns() - build->began_ns) / 1000000;
    projections_unreserve(projected->registry, build->reserved);
    build->reserved = 0;
    if (!projected_charge(projected, !first))
        return mem_status(account(projected->registry));
    return build->st;
}

static enum status build_more(struct projected *projected, unsigned needs);

static void on_built(struct job *job)
{
    struct build *build = (struct build *)(void *)job;
    struct projected *projected = build->projected;
    bool first = build->snapshot != NULL;
    enum status st;

    projected->registry->build_count--;
    projected->users++; /* while they go on */
    st = build_settle(build);
    if (st == ST_CANCELLED && projected->waits) {
        st = build_start(build); /* somebody has come in the last moment */
        if (st == ST_OK) {
            projected->users--;
            return;
        }
    }
    build_free(build);
    if (st < 0 && first) {
        projected->failed = true;
        if (projected->made)
            image_free(&projected->image);
        projected->made = 0;
    }
    waits_go(projected, st);
    if (projected->waits && !projected->build) {
        st = build_more(projected, waits_needs(projected));
        if (st < 0)
            waits_go(projected, st);
    }
    projected_leave(projected);
}

/* Begins to make an image, or more of it if `request` is NULL. */
static enum status build_begin(struct projected *projected,
                               const struct projection_request *request,
                               unsigned needs, size_t bytes)
{
    struct projections *projections = projected->registry;
    struct mem *mem = projections->commands->mem;
    struct build *build = mem_zalloc(mem, sizeof(*build));
    enum status st = ST_OK;

    if (!build)
        return ST_NO_MEMORY;
    build->job = (struct job){build_run, on_built};
    build->projected = projected;
    build->needs = needs;
    atomic_init(&build->abandoned, false);
    if (!projections_reserve(projections, bytes))
        st = mem_status(account(projections));
    else
        build->reserved = bytes;
    if (st == ST_OK && request) {
        mem_exempt_begin(account(projections));
        st = snapshot_take(request->store, &build->snapshot);
        mem_exempt_end(account(projections));
    }
    if (st == ST_OK && request)
        st = sources_pin(mem, request->sources, &build->pins);
    if (st == ST_OK)
        st = build_start(build);
    if (st < 0)
        build_free(build);
    else
        projected->build = build;
    return st;
}

/* What is wanted and not there. */
static enum status build_more(struct projected *projected, unsigned needs)
{
    const struct graph_image *image = &projected->image;
    uint64_t bytes;

    needs &= ~projected->made;
    bytes = image_estimate(image->n, image->edges, 0, needs,
                           projected->spec.weights, image->undirected);
    return build_begin(projected, NULL, needs, bytes);
}

/* --- asking for one ------------------------------------------------------ */

static void wait_begin(struct projected_wait *wait, struct projected *projected,
                       unsigned needs)
{
    wait->projected = projected;
    wait->needs = needs;
    wait->next = NULL;
    wait->place = &projected->waits; /* behind those that came before */
    while (*wait->place)
        wait->place = &(*wait->place)->next;
    *wait->place = wait;
}

void projected_wait_end(struct projected_wait *wait)
{
    struct projected *projected = wait->projected;

    if (!projected)
        return;
    *wait->place = wait->next;
    if (wait->next)
        wait->next->place = wait->place;
    wait->projected = NULL;
    if (!projected->waits && projected->build)
        atomic_store_explicit(&projected->build->abandoned, true,
                              memory_order_relaxed);
}

enum status projected_want(struct projected *projected, unsigned needs,
                           struct projected_wait *wait, bool *ret_ready)
{
    enum status st = ST_OK;

    needs &= NEED_ARRAYS;
    *ret_ready = !(needs & ~projected->made);
    if (*ret_ready)
        return ST_OK;
    if (!projected->build)
        st = build_more(projected, needs);
    if (st == ST_OK)
        wait_begin(wait, projected, needs);
    return st;
}

static const uint64_t *copy_labels(const uint64_t *labels, size_t count,
                                   uint64_t **at)
{
    uint64_t *copy = *at;

    if (!labels)
        return NULL;
    memcpy(copy, labels, count * sizeof(*labels));
    *at += count;
    return copy;
}

/* One that nothing is made of yet. NULL: ST_NO_MEMORY. */
static struct projected *
projected_create(struct projections *projections,
                 const struct projection_request *request, struct bytes key,
                 size_t tables)
{
    const struct project_spec *spec = &request->spec;
    size_t labels = spec->label_count + spec->vertex_label_count;
    size_t size = sizeof(struct projected) + labels * sizeof(uint64_t) +
                  key.size + request->source.size;
    struct projected *projected = mem_zalloc(projections->commands->mem, size);
    uint64_t *at;
    uint8_t *bytes;

    if (!projected)
        return NULL;
    at = (uint64_t *)(projected + 1);
    projected->registry = projections;
    projected->size = size;
    projected->spec = *spec;
    projected->spec.labels = copy_labels(spec->labels, spec->label_count, &at);
    projected->spec.vertex_labels =
        copy_labels(spec->vertex_labels, spec->vertex_label_count, &at);
    bytes = (uint8_t *)at;
    memcpy(bytes, key.data, key.size);
    memcpy(bytes + key.size, request->source.data, request->source.size);
    projected->key = bytes_of(bytes, key.size);
    projected->tables = bytes_of(bytes, tables);
    projected->source = bytes_of(bytes + key.size, request->source.size);
    projected->seq = request->seq;
    projected->shows = request->shows;
    mem_init(&projected->mem, 0);
    projected_enter(projected);
    return projected;
}

static enum status make_new(struct projections *projections,
                            const struct projection_request *request,
                            struct bytes key, size_t tables, bool is_private,
                            uint64_t changed, unsigned needs,
                            struct projected **ret)
{
    struct projection_size size =
        projection_estimate(request->sources, &request->spec, needs);
    struct projected *projected =
        projected_create(projections, request, key, tables);
    enum status st;

    if (!projected)
        return ST_NO_MEMORY;
    projected->is_private = is_private;
    projected->changed = changed;
    st = build_begin(projected, request, needs, size.bytes);
    if (st < 0)
        projected_free(projected);
    else
        *ret = projected;
    return st;
}

enum status projections_want(struct projections *projections,
                             const struct projection_request *request,
                             unsigned needs, struct projected_wait *wait,
                             bool *ret_ready, struct projected **ret)
{
    struct buffer key = BUFFER(projections->commands->mem);
    struct projected *projected = NULL;
    uint64_t changed = 0;
    size_t tables;
    bool shared = request_changed(projections, request, &changed);
    enum status st = request_key(request, &key, &tables);

    needs &= NEED_ARRAYS;
    if (st == ST_OK && shared)
        projected = find_current(projections, buffer_bytes(&key), changed,
                                 request->spec.weights);
    if (st == ST_OK && !projected)
        st = make_new(projections, request, buffer_bytes(&key), tables, !shared,
                      changed, needs, &projected);
    if (st == ST_OK)
        st = projected_want(projected, needs, wait, ret_ready);
    if (st == ST_OK) {
        projected_keep(projected);
        *ret = projected;
    }
    buffer_free(&key);
    return st;
}

struct projected *projections_peek(struct projections *projections,
                                   const struct projection_request *request,
                                   unsigned needs)
{
    struct buffer key = BUFFER(projections->commands->mem);
    struct projected *projected = NULL;
    uint64_t changed;
    size_t tables;

    if (request_changed(projections, request, &changed) &&
        request_key(request, &key, &tables) == ST_OK)
        projected = find_current(projections, buffer_bytes(&key), changed,
                                 request->spec.weights);
    buffer_free(&key);
    if (projected && (needs & NEED_ARRAYS & ~projected->made))
        return NULL;
    return projected;
}

/* --- references ---------------------------------------------------------- */

static bool is_idle(const struct projected *projected)
{
    return !projected->users && !projected->build;
}

static size_t cache_bytes(const struct projections *projections)
{
    size_t limit = account(projections)->limit;

    if (projections->cache_bytes != SIZE_MAX)
        return projections->cache_bytes;
    return limit / 4 < PROJECTION_CACHE_BYTES_DEFAULT
               ? limit / 4
               : PROJECTION_CACHE_BYTES_DEFAULT;
}

/* Lets go of what has been idle longest, until the others are in bounds. */
static void cache_shrink(struct projections *projections, size_t bytes_max)
{
    struct projected *projected, *next;
    size_t bytes = 0;

    for (projected = projections->first; projected; projected = projected->next)
        if (is_idle(projected))
            bytes += projected->charged;
    for (projected = projections->first; projected && bytes > bytes_max;
         projected = next) {
        next = projected->next;
        if (!is_idle(projected))
            continue;
        bytes -= projected->charged;
        projected_free(projected);
    }
}

void projected_keep(struct projected *projected)
{
    projected->users++;
}

void projected_leave(struct projected *projected)
{
    struct projections *projections = projected->registry;

    REQUIRE(projected->users > 0);
    if (--projected->users || projected->build)
        return;
    if (!projected->made || !projected_is_current(projected)) {
        projected_free(projected);
        return;
    }
    projected_unlink(projected); /* the last of those that are idle */
    projected_enter(projected);
    cache_shrink(projections, cache_bytes(projections));
}

void projections_look(struct projections *projections)
{
    uint64_t seq = store_seq(projections->commands->store);
    struct projected *projected = projections->first;

    if (seq == projections->looked_seq)
        return;
    projections->looked_seq = seq;
    while (projected) {
        struct projected *next = projected->next;

        if (is_idle(projected) && !projected_is_current(projected))
            projected_free(projected);
        projected = next;
    }
}

bool projections_yield(struct projections *projections)
{
    bool some = false;

    for (struct projected *projected = projections->first; projected;
         projected = projected->next)
        some |= is_idle(projected);
    if (some)
        cache_shrink(projections, 0);
    return some;
}

bool projections_reserve(struct projections *projections, size_t bytes)
{
    struct mem *mem = account(projections);

    if (!bytes)
        return true;
    while (!mem_take_back(mem, bytes)) {
        struct projected *projected = projections->first;

        while (projected && !(is_idle(projected) && projected->charged))
            projected = projected->next;
        if (!projected)
            return false;
        projected_free(projected);
    }
    return true;
}

void projections_unreserve(struct projections *projections, size_t bytes)
{
    if (bytes)
        mem_set_aside(account(projections), bytes);
}

size_t projections_left(const struct projections *projections)
{
    const struct mem *mem = account(projections);
    size_t left = mem->limit > mem->used ? mem->limit - mem->used : 0;

    if (mem->limit == SIZE_MAX)
        return SIZE_MAX;
    for (const struct projected *projected = projections->first; projected;
         projected = projected->next)
        if (is_idle(projected))
            left += projected->charged;
    return left;
}

/* --- looking at one ------------------------------------------------------ */

const struct graph_image *projected_image(const struct projected *projected)
{
    return &projected->image;
}

uint64_t projected_shows(const struct projected *projected)
{
    return projected->shows;
}

uint64_t projected_seq(const struct projected *projected)
{
    return projected->seq;
}

size_t projected_bytes(const struct projected *projected)
{
    return projected->charged;
}

bool projected_has_weights(const struct projected *projected)
{
    return projected->spec.weights;
}

bool projected_progress(const struct projected *projected, uint64_t *ret_done,
                        uint64_t *ret_total)
{
    struct build *build = projected->build;

    if (!build)
        return false;
    *ret_done = atomic_load_explicit(&build->run.done, memory_order_relaxed);
    *ret_total = atomic_load_explicit(&build->run.total, memory_order_relaxed);
    return true;
}

static const struct csr *view_csr(const struct csr *csr, bool weights,
                                  struct csr *ret)
{
    *ret = *csr;
    if (!weights) {
        ret->form = WEIGHTS_ONE;
        ret->weights_u32 = NULL;
        ret->weights_f64 = NULL;
    }
    return ret;
}

/* Only what is made is looked at: the rest may be at work on a worker. */
void projected_view(const struct projected *projected, bool weights,
                    struct projected_view *ret)
{
    const struct graph_image *image = &projected->image;
    struct projection *projection = &ret->projection;

    *projection = (struct projection){
        .n = image->n,
        .edges = image->edges,
        .undirected = image->undirected,
    };
    if (projected->made & NEED_OUT)
        projection->out = view_csr(&image->out, weights, &ret->out);
    if (image->undirected) {
        projection->in = projection->out;
        projection->both = projection->out;
        return;
    }
    if (projected->made & NEED_IN)
        projection->in = view_csr(&image->in, weights, &ret->in);
    if (projected->made & NEED_BOTH)
        projection->both = view_csr(&image->both, weights, &ret->both);
}

/* --- names --------------------------------------------------------------- */

struct projected *projections_find(const struct projections *projections,
                                   struct bytes name)
{
    for (const struct named_projection *named = projections->names; named;
         named = named->next)
        if (bytes_equal(named->name, name))
            return named->projected;
    return NULL;
}

enum status projections_name(struct projections *projections, struct bytes name,
                             struct projected *projected)
{
    struct named_projection *named;
    uint8_t *copy;

    if (projections_find(projections, name))
        return ST_BAD_ARGUMENT;
    if (projections->name_count == PROJECTIONS_NAMED_MAX)
        return ST_TOO_BIG;
    named = mem_alloc(projections->commands->mem, sizeof(*named) + name.size);
    if (!named)
        return ST_NO_MEMORY;
    copy = (uint8_t *)(named + 1);
    memcpy(copy, name.data, name.size);
    *named = (struct named_projection){
        .next = projections->names,
        .projected = projected,
        .name = bytes_of(copy, name.size),
    };
    projections->names = named;
    projections->name_count++;
    projected->names++;
    projected_keep(projected);
    return ST_OK;
}

bool projections_drop(struct projections *projections, struct bytes name)
{
    struct named_projection **place = &projections->names;
    struct named_projection *named;

    while (*place && !bytes_equal((*place)->name, name))
        place = &(*place)->next;
    named = *place;
    if (!named)
        return false;
    *place = named->next;
    projections->name_count--;
    named->projected->names--;
    projected_leave(named->projected);
    mem_free(projections->commands->mem, named,
             sizeof(*named) + named->name.size);
    return true;
}

/* --- what is told -------------------------------------------------------- */

/* Keys of the side that a walk arrives at; a bound where there is no tree. */
static uint64_t end_count(const struct table *table, enum side side)
{
    return table_has_side(table, side) ? table_key_count(table, side)
                                       : table_count(table);
}

struct projection_size projection_estimate(const struct sources *sources,
                                           const struct project_spec *spec,
                                           unsigned needs)
{
    struct projection_size size = {.undirected = spec->direction == EDGES_BOTH};
    uint64_t key_bytes;

    if (sources->is_graph) {
        const struct graph *graph = &sources->graph;

        size.vertices = graph_vertex_count(graph);
        size.edges = graph_edge_count(graph);
        size.undirected |= graph->options.undirected;
        key_bytes = table_bytes(graph->parts[GRAPH_VERTICES]);
    } else {
        const struct source_step *first = &sources->steps[0];
        const struct source_step *last =
            &sources->steps[sources->step_count - 1];

        size.vertices = end_count(first->table, first->side) +
                        end_count(last->table, side_other(last->side));
        for (unsigned i = 0; i < sources->step_count; i++)
            size.edges += table_count(sources->steps[i].table);
        key_bytes = table_bytes(first->table) + table_bytes(last->table);
    }
    size.bytes = image_estimate(size.vertices, size.edges, key_bytes, needs,
                                spec->weights, size.undirected);
    return size;
}

size_t projections_running(const struct projections *projections)
{
    return projections->build_count;
}

static void put_field(struct writer *out, const char *name, uint64_t value)
{
    put_atom(out, name);
    put_u64(out, value);
}

void projected_put(const struct projected *projected, struct bytes name,
                   struct writer *out)
{
    put_map(out, 9);
    put_atom(out, "name");
    if (name.size)
        put_key(out, name);
    else
        put_atom(out, "none");
    put_atom(out, "source");
    put_term(out, projected->source);
    put_field(out, "vertices", projected->image.n);
    put_field(out, "edges", projected->image.edges);
    put_field(out, "bytes", projected->charged);
    put_field(out, "seq", projected->seq);
    put_field(out, "ms", projected->ms);
    put_atom(out, "current");
    put_bool(out, projected_is_current(projected));
    put_field(out, "running", projected->users - projected->names);
}

void projections_put(struct projections *projections, struct writer *out)
{
    size_t list = put_list_begin(out);
    uint64_t count = 0;

    for (const struct named_projection *named = projections->names; named;
         named = named->next) {
        projected_put(named->projected, named->name, out);
        count++;
    }
    for (const struct projected *projected = projections->first; projected;
         projected = projected->next) {
        if (projected->names || !projected->made)
            continue;
        projected_put(projected, bytes_of(NULL, 0), out);
        count++;
    }
    put_list_end(out, list, count);
}

void projections_put_info(const struct projections *projections,
                          struct writer *out)
{
    uint64_t count = 0;
    size_t bytes = 0;

    for (const struct projected *projected = projections->first; projected;
         projected = projected->next) {
        count += projected->made != 0;
        bytes += projected->charged;
        bytes += projected->build ? projected->build->reserved : 0;
    }
    put_atom(out, "projections");
    put_map(out, 2);
    put_field(out, "count", count);
    put_field(out, "bytes", bytes);
}
