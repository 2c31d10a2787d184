/*
 * walk_yen.c -- the k shortest simple ways (Yen, 1971), with Lawler's
 * improvement (1972).
 *
 * Each way but the first leaves one that was told before at some vertex, its
 * *spur*, and is the shortest of all that begin like it up to there and do not
 * go on as any told one with that beginning does. So when a way has been told,
 * for each of its vertices one search finds the best way that leaves it there,
 * and the best of all that were found and not told is the next one. A way need
 * only be left from its own spur on: what leaves it before was looked for when
 * the way that it left was told. That keeps all candidates different, too.
 *
 *     told        a b c d e        its spur is a
 *     candidate   a b x e          spur b: begins a b, does not go on to c
 *     candidate   a b c y e        spur c
 *
 * A search must not come back to the beginning: its vertices are blocked.
 */
#include "graph/walk.h"

struct candidate {
    size_t begin; /* of its vertices, in `vertices` */
    size_t count;
    size_t spur; /* an index into them */
    double length;
};

struct yen {
    struct traversal *t;
    uint64_t to;
    struct numbers vertices;
    struct candidate *candidates;
    uint32_t count;
    uint32_t capacity;
    struct heap waiting; /* those that were not told */
    struct numbers told; /* candidates */
    struct nodes blocked;
    struct nodes barred; /* where the spur must not go on to */
    struct nodes nodes;
};

static bool yen_allows(void *context, const struct search *search,
                       uint64_t other)
{
    const struct yen *yen = context;

    if (nodes_find(&yen->blocked, other) != NO_PLACE)
        return false;
    return search->from != 0 || nodes_find(&yen->barred, other) == NO_PLACE;
}

static enum status candidates_grow(struct yen *yen)
{
    uint32_t capacity = yen->capacity ? 2 * yen->capacity : 32;
    struct candidate *candidates = mem_grow(yen->t->mem, yen->candidates,
                                            yen->capacity * sizeof(*candidates),
                                            capacity * sizeof(*candidates));

    if (!candidates)
        return mem_status(yen->t->mem);
    yen->candidates = candidates;
    yen->capacity = capacity;
    return ST_OK;
}

/* Adds the way that a search has found to yen->to, behind the first `spur`
 * vertices of `root`. */
static enum status add_candidate(struct yen *yen, const struct candidate *root,
                                 size_t spur, double root_length)
{
    uint32_t place = nodes_find(&yen->nodes, yen->to);
    struct candidate candidate = {yen->vertices.count, 0, spur, root_length};
    size_t from = root ? root->begin : 0;
    enum status st = ST_OK;

    if (place == NO_PLACE || !yen->nodes.array[place].settled)
        return ST_OK;
    if (yen->count == yen->capacity)
        st = candidates_grow(yen);
    for (size_t i = 0; i < spur && st == ST_OK; i++)
        st = numbers_add(&yen->vertices, yen->vertices.array[from + i]);
    if (st == ST_OK)
        st = nodes_way(&yen->nodes, place, &yen->vertices);
    if (st < 0)
        return st;
    candidate.count = yen->vertices.count - candidate.begin;
    candidate.length += yen->nodes.array[place].distance;
    st = heap_push(&yen->waiting, candidate.length, 0, yen->count);
    yen->candidates[yen->count++] = candidate;
    return st;
}

/* The shortest way from `spur` to the end that is allowed. */
static enum status yen_search(struct yen *yen, uint64_t spur, uint64_t depth)
{
    struct search search;
    enum status st;

    nodes_clear(&yen->nodes);
    st = search_begin(&search, yen->t, &yen->nodes, spur);
    search.depth = depth;
    search.allows = yen_allows;
    search.context = yen;
    while (st == ST_OK) {
        uint32_t place = search_next(&search);

        if (place == NO_PLACE || yen->nodes.array[place].vertex == yen->to)
            break;
        st = search_expand(&search, place);
    }
    search_end(&search);
    return st;
}

static const uint64_t *vertices_of(const struct yen *yen, uint64_t candidate)
{
    return yen->vertices.array + yen->candidates[candidate].begin;
}

/* Bars what ways that were told go on to behind the same first vertices, up to
 * `spur`, as `way`. */
static enum status bar(struct yen *yen, uint32_t way, size_t spur)
{
    const uint64_t *vertices = vertices_of(yen, way);
    enum status st = ST_OK;

    nodes_clear(&yen->barred);
    for (size_t i = 0; i < yen->told.count && st == ST_OK; i++) {
        uint64_t told = yen->told.array[i];
        const uint64_t *others = vertices_of(yen, told);
        uint32_t place;
        bool is_new;

        st = budget_work(yen->t->budget, 1);
        if (st == ST_OK && yen->candidates[told].count > spur + 1 &&
            !memcmp(vertices, others, (spur + 1) * sizeof(*others)))
            st = nodes_add(&yen->barred, others[spur + 1], &place, &is_new);
    }
    return st;
}

/* A vertex of the way whose first vertices are blocked, and how long the way to
 * it is. */
struct spur {
    size_t index;
    double length;
};

struct hop {
    uint64_t to;
    double length;
    bool found;
};

static enum status shortest_hop(void *context, const struct arc *arc)
{
    struct hop *hop = context;

    if (arc->other == hop->to && (!hop->found || arc->weight < hop->length)) {
        hop->length = arc->weight;
        hop->found = true;
    }
    return ST_OK;
}

/* The spur goes on by an edge of `way`, of parallel ones the shortest. */
static enum status spur_advance(struct yen *yen, uint32_t way,
                                struct spur *spur)
{
    struct traversal *t = yen->t;
    const uint64_t *vertices = vertices_of(yen, way) + spur->index;
    struct hop hop = {.to = vertices[1], .length = 1, .found = false};
    enum status st = ST_OK;
    uint32_t place;
    bool is_new;

    if (t->weighted)
        st =
            source_arcs(t->source, vertices[0], &t->wanted, shortest_hop, &hop);
    spur->index++;
    spur->length += hop.length;
    if (st == ST_OK)
        st = nodes_add(&yen->blocked, vertices[0], &place, &is_new);
    return st;
}

/* Looks for all ways that leave a way that was told. */
static enum status leave(struct yen *yen, uint32_t way)
{
    struct candidate candidate = yen->candidates[way];
    struct spur spur = {0, 0};
    enum status st = ST_OK;

    nodes_clear(&yen->blocked);
    while (st == ST_OK && spur.index + 1 < candidate.count) {
        if (spur.index >= candidate.spur) {
            uint64_t vertex = vertices_of(yen, way)[spur.index];
            uint64_t depth = yen->t->depth;

            st = bar(yen, way, spur.index);
            if (st == ST_OK)
                st = yen_search(yen, vertex,
                                depth > spur.index ? depth - spur.index : 0);
            if (st == ST_OK)
                st = add_candidate(yen, &candidate, spur.index, spur.length);
        }
        if (st == ST_OK)
            st = spur_advance(yen, way, &spur);
    }
    return st;
}

static enum status tell(struct yen *yen, uint32_t way, way_function *function,
                        void *context)
{
    const struct candidate *candidate = &yen->candidates[way];
    const struct way told = {vertices_of(yen, way), candidate->count,
                             candidate->length};
    enum status st = traversal_row(yen->t, yen->told.count);

    if (st == ST_OK)
        st = numbers_add(&yen->told, way);
    return st < 0 ? st : function(context, &told);
}

static enum status yen_run(struct yen *yen, uint64_t from, uint64_t k,
                           way_function *function, void *context)
{
    enum status st = yen_search(yen, from, yen->t->depth);

    if (st == ST_OK)
        st = add_candidate(yen, NULL, 0, 0);
    while (st == ST_OK && k > 0 && yen->waiting.count > 0) {
        uint32_t way = heap_pop(&yen->waiting).place;

        st = tell(yen, way, function, context);
        if (st == ST_OK && --k > 0)
            st = leave(yen, way);
    }
    return st;
}

enum status walk_k_shortest(struct traversal *t, uint64_t from, uint64_t to,
                            uint64_t k, way_function *function, void *context)
{
    struct yen yen = {
        .t = t,
        .to = to,
        .vertices = NUMBERS(t->mem),
        .waiting = HEAP(t->mem),
        .told = NUMBERS(t->mem),
    };
    enum status st;

    nodes_init(&yen.blocked, t->mem);
    nodes_init(&yen.barred, t->mem);
    nodes_init(&yen.nodes, t->mem);
    st = yen_run(&yen, from, k, function, context);
    nodes_free(&yen.blocked);
    nodes_free(&yen.barred);
    nodes_free(&yen.nodes);
    numbers_free(&yen.vertices);
    numbers_free(&yen.told);
    heap_free(&yen.waiting);
    mem_free(t->mem, yen.candidates, yen.capacity * sizeof(*yen.candidates));
    return st;
}
