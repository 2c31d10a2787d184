/*
 * walk_ways.c -- all shortest ways, and all simple ones of a bounded length.
 *
 * The shortest: a search by distance that keeps for each vertex not one parent
 * but all from which a way is as short, as a chain of links. A way is then any
 * walk along these chains from the end back to the start. There may be very
 * many of them, so each step of that walk counts as an arc. Where edges weigh
 * nothing the chains may run in a circle: a vertex that is on the way already
 * is passed over.
 *
 *     links   d: -> b -> c      b: -> a      c: -> a      d b a, d c a
 *
 * The simple ones: depth first with the vertices of the way marked. Where the
 * end is known and the arcs can be walked the other way round, a search in
 * breadth from there tells first how far each vertex is from it, and no step
 * is taken that could not come home in the depth that is left.
 */
#include "graph/walk.h"

/* --- all shortest --------------------------------------------------------- */

#define NO_LINK UINT32_MAX

struct link {
    uint32_t parent;
    uint32_t next;
};

struct links {
    struct mem *mem;
    struct link *array;
    uint32_t count;
    uint32_t capacity;
};

static enum status links_add(struct links *links, uint32_t parent,
                             uint32_t next, uint32_t *ret)
{
    if (links->count == links->capacity) {
        uint32_t capacity = links->capacity ? 2 * links->capacity : 64;
        struct link *array;

        if (capacity > UINT32_MAX / 2)
            return ST_MEMORY_LIMIT;
        array =
            mem_grow(links->mem, links->array, links->capacity * sizeof(*array),
                     capacity * sizeof(*array));
        if (!array)
            return mem_status(links->mem);
        links->array = array;
        links->capacity = capacity;
    }
    links->array[links->count] = (struct link){parent, next};
    *ret = links->count++;
    return ST_OK;
}

/* Of parallel edges one is enough: those of one vertex come together. */
static enum status on_way(void *context, struct search *search, uint32_t place,
                          bool shorter)
{
    struct links *links = context;
    struct node *node = &search->nodes->array[place];
    uint32_t next = shorter ? NO_LINK : node->first;

    if (next != NO_LINK && links->array[next].parent == search->from)
        return ST_OK;
    return links_add(links, search->from, next, &node->first);
}

/* Finds all links as far as to the end. */
static enum status find_links(struct search *search, uint64_t to,
                              uint32_t *ret_place)
{
    struct nodes *nodes = search->nodes;
    enum status st = ST_OK;

    *ret_place = NO_PLACE;
    while (st == ST_OK) {
        uint32_t place = search_next(search);
        const struct node *node = &nodes->array[place];

        if (place == NO_PLACE)
            return ST_OK;
        if (node->vertex == to)
            *ret_place = place;
        /* Edges that weigh nothing may still come from vertices that are as
         * far away as the end. */
        if (*ret_place != NO_PLACE &&
            (node->distance > nodes->array[*ret_place].distance ||
             !search->t->weighted))
            return ST_OK;
        st = search_expand(search, place);
    }
    return st;
}

/* The walk back: for each vertex of the way the link that comes next there. */
struct back {
    struct traversal *t;
    struct nodes *nodes; /* node->settled: on the way */
    const struct links *links;
    struct numbers way;    /* places, the end first */
    struct numbers next;   /* links */
    struct numbers turned; /* vertices, the start first */
    uint64_t count;
    way_function *function;
    void *context;
};

static enum status back_enter(struct back *back, uint32_t place)
{
    struct node *node = &back->nodes->array[place];
    enum status st = numbers_add(&back->way, place);

    if (st == ST_OK)
        st = numbers_add(&back->next, node->first);
    node->settled = true;
    return st;
}

static enum status back_tell(struct back *back)
{
    enum status st = traversal_row(back->t, back->count);
    struct way way = {
        .count = back->way.count,
        .length = back->nodes->array[back->way.array[0]].distance,
    };

    back->turned.count = 0;
    for (size_t i = back->way.count; i > 0 && st == ST_OK; i--)
        st = numbers_add(&back->turned,
                         back->nodes->array[back->way.array[i - 1]].vertex);
    if (st < 0)
        return st;
    way.vertices = back->turned.array;
    back->count++;
    return back->function(back->context, &way);
}

/* The innermost vertex goes on to its next link, or is left. */
static enum status back_step(struct back *back)
{
    size_t last = back->way.count - 1;
    uint32_t link = (uint32_t)back->next.array[last];
    uint32_t parent;
    enum status st;

    if (link == NO_LINK) {
        back->nodes->array[back->way.array[last]].settled = false;
        back->way.count = back->next.count = last;
        return ST_OK;
    }
    back->next.array[last] = back->links->array[link].next;
    parent = back->links->array[link].parent;
    st = budget_spend(back->t->budget);
    if (st < 0 || back->nodes->array[parent].settled)
        return st;
    st = back_enter(back, parent);
    return st == ST_OK && parent == 0 ? back_tell(back) : st;
}

static enum status tell_all(struct traversal *t, struct nodes *nodes,
                            const struct links *links, uint32_t end,
                            way_function *function, void *context)
{
    struct back back = {
        .t = t,
        .nodes = nodes,
        .links = links,
        .way = NUMBERS(t->mem),
        .next = NUMBERS(t->mem),
        .turned = NUMBERS(t->mem),
        .function = function,
        .context = context,
    };
    enum status st;

    for (uint32_t place = 0; place < nodes->count; place++)
        nodes->array[place].settled = false;
    nodes->array[0].first = NO_LINK; /* whatever leads back to the start */
    st = back_enter(&back, end);
    if (st == ST_OK && end == 0)
        st = back_tell(&back);
    while (st == ST_OK && back.way.count > 0)
        st = back_step(&back);
    numbers_free(&back.way);
    numbers_free(&back.next);
    numbers_free(&back.turned);
    return st;
}

enum status walk_all_shortest(struct traversal *t, uint64_t from, uint64_t to,
                              way_function *function, void *context)
{
    struct links links = {.mem = t->mem};
    struct search search;
    struct nodes nodes;
    uint32_t place = NO_PLACE;
    enum status st;

    nodes_init(&nodes, t->mem);
    st = search_begin(&search, t, &nodes, from);
    search.improved = on_way;
    search.context = &links;
    if (st == ST_OK)
        st = find_links(&search, to, &place);
    search_end(&search);
    if (st == ST_OK && place != NO_PLACE)
        st = tell_all(t, &nodes, &links, place, function, context);
    mem_free(t->mem, links.array, links.capacity * sizeof(*links.array));
    nodes_free(&nodes);
    return st;
}

/* --- all simple ones ------------------------------------------------------ */

/* A vertex of the way, and its neighbours among `waiting`. */
struct step {
    uint32_t place;
    size_t begin;
    size_t next;
};

struct simple {
    struct traversal *t;
    uint64_t to;
    struct nodes nodes; /* node->settled: on the way */
    struct nodes home;  /* levels: how far from the end */
    bool guided;
    struct numbers waiting;
    struct numbers way; /* vertices */
    struct step *steps;
    size_t capacity;
    uint64_t count;
    way_function *function;
    void *context;
};

static enum status simple_tell(struct simple *simple)
{
    struct way way = {simple->way.array, simple->way.count,
                      (double)(simple->way.count - 1)};
    enum status st = traversal_row(simple->t, simple->count);

    if (st < 0)
        return st;
    simple->count++;
    return simple->function(simple->context, &way);
}

/* Can the end be reached from a vertex with so many edges? */
static bool comes_home(const struct simple *simple, uint64_t vertex,
                       uint64_t edges)
{
    uint32_t place;

    if (!simple->guided)
        return edges > 0 || !simple->to || vertex == simple->to;
    place = nodes_find(&simple->home, vertex);
    return place != NO_PLACE && simple->home.array[place].level <= edges;
}

static enum status steps_grow(struct simple *simple)
{
    size_t capacity = simple->capacity ? 2 * simple->capacity : 32;
    struct step *steps =
        mem_grow(simple->t->mem, simple->steps,
                 simple->capacity * sizeof(*steps), capacity * sizeof(*steps));

    if (!steps)
        return mem_status(simple->t->mem);
    simple->steps = steps;
    simple->capacity = capacity;
    return ST_OK;
}

/* The way goes on to a vertex, and is told if it may end there. */
static enum status simple_enter(struct simple *simple, uint64_t vertex)
{
    struct traversal *t = simple->t;
    size_t depth = simple->way.count; /* edges so far, with this one */
    bool ends = vertex == simple->to || (!simple->to && depth > 0);
    uint64_t limit = t->limit;
    struct step step;
    bool is_new;
    enum status st = depth == simple->capacity ? steps_grow(simple) : ST_OK;

    if (st == ST_OK)
        st = nodes_add(&simple->nodes, vertex, &step.place, &is_new);
    if (st == ST_OK)
        st = numbers_add(&simple->way, vertex);
    if (st < 0)
        return st;
    simple->nodes.array[step.place].settled = true;
    step.begin = step.next = simple->waiting.count;
    simple->steps[depth] = step;
    if (ends)
        st = simple_tell(simple);
    if (st < 0 || depth >= t->depth || vertex == simple->to)
        return st;
    t->limit = UINT64_MAX; /* it is for rows */
    st = walk_neighbors(t, vertex, &simple->waiting);
    t->limit = limit;
    return st;
}

/* The innermost vertex goes on to its next neighbour, or is left. */
static enum status simple_step(struct simple *simple)
{
    size_t depth = simple->way.count;
    struct step *step = &simple->steps[depth - 1];
    uint64_t vertex;
    uint32_t place;
    enum status st;

    if (step->next == simple->waiting.count) {
        simple->nodes.array[step->place].settled = false;
        simple->waiting.count = step->begin;
        simple->way.count--;
        return ST_OK;
    }
    vertex = simple->waiting.array[step->next++];
    st = budget_work(simple->t->budget, 1);
    if (st < 0)
        return st;
    place = nodes_find(&simple->nodes, vertex);
    if ((place != NO_PLACE && simple->nodes.array[place].settled) ||
        !comes_home(simple, vertex, simple->t->depth - depth))
        return ST_OK;
    return simple_enter(simple, vertex);
}

/* Finds out how far vertices are from the end, if that pays. */
static enum status simple_guide(struct simple *simple)
{
    struct traversal back = *simple->t;

    if (!simple->to || back.depth <= 2 || !traversal_reverses(&back))
        return ST_OK;
    simple->guided = true;
    back.limit = UINT64_MAX;
    back.wanted = wanted_reversed(&back.wanted);
    return walk_breadth(&back, &simple->to, 1, &simple->home);
}

enum status walk_simple(struct traversal *t, uint64_t from, uint64_t to,
                        way_function *function, void *context)
{
    struct simple simple = {
        .t = t,
        .to = to,
        .waiting = NUMBERS(t->mem),
        .way = NUMBERS(t->mem),
        .function = function,
        .context = context,
    };
    enum status st;

    nodes_init(&simple.nodes, t->mem);
    nodes_init(&simple.home, t->mem);
    st = simple_guide(&simple);
    if (st == ST_OK && comes_home(&simple, from, t->depth))
        st = simple_enter(&simple, from);
    while (st == ST_OK && simple.way.count > 0)
        st = simple_step(&simple);
    nodes_free(&simple.nodes);
    nodes_free(&simple.home);
    numbers_free(&simple.waiting);
    numbers_free(&simple.way);
    mem_free(t->mem, simple.steps, simple.capacity * sizeof(*simple.steps));
    return st;
}
