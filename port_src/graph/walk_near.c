/*
 * walk_near.c -- what lies around a vertex: neighbours, levels, the order of
 * a search, what is common to two, what holds within a set; and a walk at
 * random.
 *
 * Breadth first needs no queue beside the nodes: they stand in the order in
 * which they were met, so the next one to be expanded is the next place.
 *
 * Depth first as it is taught calls itself for each arc and comes back to the
 * arcs that are left. Those are kept here on a stack: when a vertex is entered,
 * its neighbours that nobody has met yet are pushed together, and taken from
 * the front one by one; by then another may have met them, and they are passed
 * over.
 *
 *     stack   [ 2 3 | 5 6 7 | 9 ]      frames   {0, 2} {2, 5} {5, 6}
 *               1's   2's    5's
 */
#include <math.h>

#include "graph/walk.h"

struct traversal traversal_of(struct source *source, struct mem *mem,
                              struct budget *budget)
{
    return (struct traversal){
        .source = source,
        .mem = mem,
        .budget = budget,
        .depth = UINT64_MAX,
        .limit = UINT64_MAX,
    };
}

/* --- neighbours ----------------------------------------------------------- */

static enum status add_other(void *context, const struct arc *arc)
{
    return numbers_add(context, arc->other);
}

enum status walk_neighbors(struct traversal *t, uint64_t vertex,
                           struct numbers *ret)
{
    size_t begin = ret->count;
    enum status st = source_arcs(t->source, vertex, &t->wanted, add_other, ret);
    enum status sorted = numbers_sort_within(ret, begin, t->budget);

    if (sorted < 0)
        return st < 0 && st != ST_ROW_LIMIT ? st : sorted;
    if (st == ST_OK && ret->count - begin > t->limit) {
        ret->count = begin + t->limit;
        t->limited = true;
        return ST_ROW_LIMIT;
    }
    return st;
}

/* Keeps of [begin, middle) what is in [middle, end) too; all are sorted. */
static size_t intersect(struct numbers *numbers, size_t begin, size_t middle)
{
    uint64_t *array = numbers->array;
    size_t kept = begin;
    size_t b = middle;

    for (size_t a = begin; a < middle && b < numbers->count;) {
        if (array[a] < array[b]) {
            a++;
        } else if (array[a] > array[b]) {
            b++;
        } else {
            array[kept++] = array[a++];
            b++;
        }
    }
    return kept - begin;
}

enum status walk_common(struct traversal *t, uint64_t a, uint64_t b,
                        struct numbers *ret, uint64_t *ret_all)
{
    uint64_t limit = t->limit;
    size_t begin = ret->count;
    size_t middle = begin;
    size_t both = 0;
    enum status st;

    t->limit = UINT64_MAX; /* it is for what is common */
    st = walk_neighbors(t, a, ret);
    middle = ret->count;
    if (st == ST_OK)
        st = walk_neighbors(t, b, ret);
    t->limit = limit;
    if (st == ST_OK) {
        both = intersect(ret, begin, middle);
        *ret_all = ret->count - begin - both;
    }
    ret->count = begin + both;
    if (st < 0 || both <= t->limit)
        return st;
    ret->count = begin + t->limit;
    t->limited = true;
    return ST_ROW_LIMIT;
}

/* --- breadth first -------------------------------------------------------- */

struct breadth {
    struct traversal *t;
    struct nodes *nodes;
    uint32_t from;
};

/* Enters a vertex that may be known. */
static enum status breadth_meet(struct breadth *breadth, uint64_t vertex)
{
    struct nodes *nodes = breadth->nodes;
    struct node *node;
    uint32_t place;
    bool is_new;
    enum status st;

    if (nodes->count >= breadth->t->limit) {
        if (nodes_find(nodes, vertex) != NO_PLACE)
            return ST_OK;
        return traversal_row(breadth->t, nodes->count);
    }
    st = nodes_add(nodes, vertex, &place, &is_new);
    if (st < 0 || !is_new || breadth->from == NO_PLACE)
        return st;
    node = &nodes->array[place];
    node->parent = breadth->from;
    node->level = nodes->array[breadth->from].level + 1;
    return ST_OK;
}

static enum status breadth_arc(void *context, const struct arc *arc)
{
    return breadth_meet(context, arc->other);
}

enum status walk_breadth(struct traversal *t, const uint64_t *starts,
                         size_t count, struct nodes *ret)
{
    struct breadth breadth = {t, ret, NO_PLACE};
    enum status st = ST_OK;

    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = breadth_meet(&breadth, starts[i]);
    for (uint32_t place = 0; place < ret->count && st == ST_OK; place++) {
        if (ret->array[place].level >= t->depth)
            break; /* and so are all behind it */
        breadth.from = place;
        st = source_arcs(t->source, ret->array[place].vertex, &t->wanted,
                         breadth_arc, &breadth);
    }
    return st;
}

/* --- depth first ---------------------------------------------------------- */

struct frame {
    uint32_t place;
    size_t begin; /* of its neighbours */
    size_t next;
};

struct depth {
    struct traversal *t;
    struct nodes *nodes;
    struct numbers waiting;
    struct frame *frames;
    size_t count;
    size_t capacity;
};

static enum status depth_arc(void *context, const struct arc *arc)
{
    struct depth *depth = context;

    if (nodes_find(depth->nodes, arc->other) != NO_PLACE)
        return ST_OK;
    return numbers_add(&depth->waiting, arc->other);
}

static enum status frames_grow(struct depth *depth)
{
    size_t capacity = depth->capacity ? 2 * depth->capacity : 32;
    struct frame *frames =
        mem_grow(depth->t->mem, depth->frames,
                 depth->capacity * sizeof(*frames), capacity * sizeof(*frames));

    if (!frames)
        return mem_status(depth->t->mem);
    depth->frames = frames;
    depth->capacity = capacity;
    return ST_OK;
}

/* Enters a vertex that nobody has met. */
static enum status depth_enter(struct depth *depth, uint64_t vertex,
                               uint32_t parent)
{
    struct traversal *t = depth->t;
    struct nodes *nodes = depth->nodes;
    size_t begin = depth->waiting.count;
    uint32_t place;
    bool is_new;
    enum status st = traversal_row(t, nodes->count);

    if (st == ST_OK && depth->count == depth->capacity)
        st = frames_grow(depth);
    if (st == ST_OK)
        st = nodes_add(nodes, vertex, &place, &is_new);
    if (st < 0)
        return st;
    nodes->array[place].parent = parent;
    if (parent != NO_PLACE)
        nodes->array[place].level = nodes->array[parent].level + 1;
    if (nodes->array[place].level >= t->depth)
        return ST_OK;
    depth->frames[depth->count++] = (struct frame){place, begin, begin};
    return source_arcs(t->source, vertex, &t->wanted, depth_arc, depth);
}

enum status walk_depth(struct traversal *t, uint64_t start, struct nodes *ret)
{
    struct depth depth = {.t = t, .nodes = ret, .waiting = NUMBERS(t->mem)};
    enum status st = depth_enter(&depth, start, NO_PLACE);

    while (depth.count > 0 && st == ST_OK) {
        struct frame *frame = &depth.frames[depth.count - 1];
        uint64_t vertex;

        /* Those of the innermost frame are the last ones. */
        if (frame->next == depth.waiting.count) {
            depth.waiting.count = frame->begin;
            depth.count--;
            continue;
        }
        vertex = depth.waiting.array[frame->next++];
        st = budget_work(t->budget, 1);
        if (st == ST_OK && nodes_find(ret, vertex) == NO_PLACE)
            st = depth_enter(&depth, vertex, frame->place);
    }
    numbers_free(&depth.waiting);
    mem_free(t->mem, depth.frames, depth.capacity * sizeof(*depth.frames));
    return st;
}

/* --- within a set --------------------------------------------------------- */

struct induced {
    const struct nodes *set;
    uint64_t from;
    enum status (*edge)(void *context, uint64_t from, const struct arc *arc);
    void *context;
};

/* An undirected edge is met at both ends, from one of them backwards. */
static enum status induced_arc(void *context, const struct arc *arc)
{
    const struct induced *induced = context;

    if (arc->backwards || nodes_find(induced->set, arc->other) == NO_PLACE)
        return ST_OK;
    return induced->edge(induced->context, induced->from, arc);
}

enum status walk_induced(struct traversal *t, const struct nodes *set,
                         enum status (*edge)(void *context, uint64_t from,
                                             const struct arc *arc),
                         void *context)
{
    struct induced induced = {set, 0, edge, context};
    struct arcs_wanted wanted = t->wanted;
    enum status st = ST_OK;

    wanted.direction = EDGES_OUT;
    for (uint32_t place = 0; place < set->count && st == ST_OK; place++) {
        induced.from = set->array[place].vertex;
        st = source_arcs(t->source, induced.from, &wanted, induced_arc,
                         &induced);
    }
    return st;
}

/* --- at random ------------------------------------------------------------ */

/* splitmix64 (S. Vigna). */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* What may be chosen from: a vertex, and the bits of the sum of the weights up
 * to it, by turns. */
struct choice {
    struct traversal *t;
    uint64_t from;
    struct numbers options;
    double total;
};

static double as_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static enum status choice_arc(void *context, const struct arc *arc)
{
    struct choice *choice = context;
    double weight = choice->t->weighted ? arc->weight : 1;
    uint64_t bits;
    enum status st;

    choice->total += weight;
    if (weight < 0 || !isfinite(choice->total)) {
        source_set_fault(choice->t->source,
                         arc->backwards ? arc->other : choice->from,
                         arc->backwards ? choice->from : arc->other);
        return ST_BAD_WEIGHT;
    }
    if (weight == 0)
        return ST_OK;
    memcpy(&bits, &choice->total, sizeof(bits));
    st = numbers_add(&choice->options, arc->other);
    return st < 0 ? st : numbers_add(&choice->options, bits);
}

/* The first option whose sum passes a number below the total. */
static uint64_t choose(const struct choice *choice, uint64_t random)
{
    double at = (double)(random >> 11) * 0x1p-53 * choice->total;
    size_t low = 0, high = choice->options.count / 2 - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (as_double(choice->options.array[2 * middle + 1]) > at)
            high = middle;
        else
            low = middle + 1;
    }
    return choice->options.array[2 * low];
}

/* By going over all arcs of choice->from. */
static enum status step_by_weight(struct choice *choice, uint64_t *seed,
                                  bool *ret_found)
{
    struct traversal *t = choice->t;
    enum status st;

    choice->options.count = 0;
    choice->total = 0;
    st = source_arcs(t->source, choice->from, &t->wanted, choice_arc, choice);
    *ret_found = choice->options.count > 0;
    if (st == ST_OK && *ret_found)
        choice->from = choose(choice, random_next(seed));
    return st;
}

/* By number, whatever the degree of choice->from. */
static enum status step_by_number(struct choice *choice, uint64_t *seed,
                                  bool *ret_found)
{
    struct source *source = choice->t->source;
    const struct arcs_wanted *wanted = &choice->t->wanted;
    uint64_t count = source_arc_count(source, choice->from, wanted);
    struct arc arc;
    enum status st;

    *ret_found = count > 0;
    if (!count)
        return ST_OK;
    do { /* a loop without a direction has two numbers, and one chance */
        double part = (double)(random_next(seed) >> 11) * 0x1p-53;

        st = source_arc_at(source, choice->from, wanted,
                           (uint64_t)(part * (double)count), &arc);
        if (st < 0)
            return st;
    } while (arc.backwards && arc.other == choice->from &&
             source_is_undirected(source));
    choice->from = arc.other;
    return ST_OK;
}

enum status walk_random(struct traversal *t, uint64_t start, uint64_t steps,
                        uint64_t seed, struct numbers *ret)
{
    struct choice choice = {.t = t, .from = start, .options = NUMBERS(t->mem)};
    bool numbered = !t->weighted && source_numbers_arcs(t->source, &t->wanted);
    enum status st = numbers_add(ret, start);

    for (uint64_t count = 1; steps > 0 && st == ST_OK; steps--, count++) {
        bool found;

        st = numbered ? step_by_number(&choice, &seed, &found)
                      : step_by_weight(&choice, &seed, &found);
        if (st < 0 || !found)
            break;
        st = traversal_row(t, count);
        if (st == ST_OK)
            st = numbers_add(ret, choice.from);
    }
    numbers_free(&choice.options);
    return st;
}
