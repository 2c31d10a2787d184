/*
 * walk_shortest.c -- distances: in edges from both ends at a time, and by
 * weight with Dijkstra's algorithm, from one end, from both, or towards a goal.
 *
 * From both ends (Pohl, Bi-directional search, 1971). Of the two searches the
 * one with fewer vertices at its edge goes on by a level (of few vertices that
 * with fewer arcs). While no vertex has
 * been met by both, no way is as short as the two depths together; so the first
 * vertex that both meet lies on a shortest way. By weight the one with the
 * nearer vertex goes on, and it is over when the two nearest together are no
 * shorter than the best way so far.
 *
 * That takes arcs that can be walked the other way round, and filters that say
 * the same from both ends: with a filter on the vertex that an arc leads to, or
 * a bound on arcs at a vertex, the search is from the start alone.
 *
 * A* (Hart, Nilsson, Raphael, 1968) adds to each distance what a heuristic says
 * is left. A vertex is expanded again whenever a shorter way to it is found,
 * so the heuristic must not say too much, and may otherwise be what it likes.
 *
 * A heap holds a vertex once for every way that was the shortest for a while.
 * All but the last of these are known by their distance when they come up.
 */
#include <math.h>

#include "graph/walk.h"

/* --- ways ----------------------------------------------------------------- */

static void reverse(uint64_t *array, size_t count)
{
    for (size_t i = 0; i + i + 1 < count; i++) {
        uint64_t other = array[count - 1 - i];

        array[count - 1 - i] = array[i];
        array[i] = other;
    }
}

enum status nodes_way(const struct nodes *nodes, uint32_t place,
                      struct numbers *ret)
{
    size_t begin = ret->count;
    enum status st = ST_OK;

    for (; place != NO_PLACE && st == ST_OK; place = nodes->array[place].parent)
        st = numbers_add(ret, nodes->array[place].vertex);
    reverse(ret->array + begin, ret->count - begin);
    return st;
}

/* The way to where two searches have met, and on from there to the end. */
static enum status both_ways(const struct nodes *front, uint32_t front_place,
                             const struct nodes *back, uint32_t back_place,
                             struct numbers *ret)
{
    uint32_t place = back->array[back_place].parent;
    enum status st = nodes_way(front, front_place, ret);

    for (; place != NO_PLACE && st == ST_OK; place = back->array[place].parent)
        st = numbers_add(ret, back->array[place].vertex);
    return st;
}

bool traversal_reverses(const struct traversal *t)
{
    const struct arcs_wanted *wanted = &t->wanted;
    struct arcs_wanted reversed = wanted_reversed(wanted);

    return !wanted->edges && !wanted->vertices && !wanted->vertex_labels &&
           !wanted->degree_max &&
           source_has_direction(t->source, reversed.direction);
}

struct arcs_wanted wanted_reversed(const struct arcs_wanted *wanted)
{
    struct arcs_wanted reversed = *wanted;

    if (wanted->direction == EDGES_OUT)
        reversed.direction = EDGES_IN;
    else if (wanted->direction == EDGES_IN)
        reversed.direction = EDGES_OUT;
    return reversed;
}

/* --- in edges ------------------------------------------------------------- */

/* One of two searches in breadth; of a search that is alone the other is
 * nothing but the end. */
struct half {
    struct nodes nodes;
    struct arcs_wanted wanted;
    uint32_t edge; /* the first place of the deepest level */
    uint32_t from; /* the place that is being expanded */
    const struct half *other;
    uint32_t met; /* where the two have met, or NO_PLACE */
};

/* Up to so many vertices their arcs are counted. */
#define WIDTH_COUNTED 4

/* They have met. Not an error of the wire. */
#define HALVES_MET ST_NOT_FOUND

static enum status half_arc(void *context, const struct arc *arc)
{
    struct half *half = context;
    struct node *node;
    uint32_t place;
    bool is_new;
    enum status st = nodes_add(&half->nodes, arc->other, &place, &is_new);

    if (st < 0 || !is_new)
        return st;
    node = &half->nodes.array[place];
    node->parent = half->from;
    node->level = half->nodes.array[half->from].level + 1;
    if (nodes_find(&half->other->nodes, arc->other) == NO_PLACE)
        return ST_OK;
    half->met = place;
    return HALVES_MET;
}

/* Goes on by a level. HALVES_MET. */
static enum status half_deepen(struct half *half, struct source *source)
{
    uint32_t end = half->nodes.count;
    enum status st = ST_OK;

    for (half->from = half->edge; half->from < end && st == ST_OK;
         half->from++) {
        uint64_t vertex = half->nodes.array[half->from].vertex;

        st = source_arcs(source, vertex, &half->wanted, half_arc, half);
    }
    half->edge = end;
    return st;
}

static enum status half_init(struct half *half, struct traversal *t,
                             uint64_t vertex, const struct half *other)
{
    uint32_t place;
    bool is_new;

    nodes_init(&half->nodes, t->mem);
    half->wanted = t->wanted;
    half->edge = half->from = 0;
    half->other = other;
    half->met = NO_PLACE;
    return nodes_add(&half->nodes, vertex, &place, &is_new);
}

static uint32_t half_width(const struct half *half)
{
    return half->nodes.count - half->edge;
}

/* How many arcs the next level of one of few vertices has. */
static enum status half_arcs(const struct half *half, struct source *source,
                             uint64_t *ret)
{
    enum status st = ST_OK;

    *ret = 0;
    for (uint32_t place = half->edge; place < half->nodes.count && st == ST_OK;
         place++) {
        uint64_t degree = 0;

        st = source_degree(source, half->nodes.array[place].vertex,
                           &half->wanted, &degree);
        *ret += degree;
    }
    return st;
}

/* Which of two that can both go on is to: the one with fewer vertices, and as
 * long as they are few the one with fewer arcs, for one may be a hub. */
static enum status half_choose(struct half *front, struct half *back,
                               struct source *source, struct half **ret)
{
    uint32_t widths[2] = {half_width(front), half_width(back)};
    uint64_t arcs[2] = {widths[0], widths[1]};
    enum status st = ST_OK;

    if (widths[0] <= WIDTH_COUNTED && widths[1] <= WIDTH_COUNTED &&
        source_knows_degrees(source)) {
        st = half_arcs(front, source, &arcs[0]);
        if (st == ST_OK)
            st = half_arcs(back, source, &arcs[1]);
    }
    *ret = arcs[0] <= arcs[1] ? front : back;
    return st;
}

/* Goes on by a level with one of them; `*ret_more` is false if there is nothing
 * left of one. HALVES_MET. */
static enum status halves_deepen(struct half *front, struct half *back,
                                 bool reverses, struct source *source,
                                 bool *ret_more)
{
    struct half *next = front;
    enum status st = ST_OK;

    *ret_more = half_width(front) && (!reverses || half_width(back));
    if (!*ret_more)
        return ST_OK;
    if (reverses)
        st = half_choose(front, back, source, &next);
    return st < 0 ? st : half_deepen(next, source);
}

static enum status shortest_in_edges(struct traversal *t, uint64_t from,
                                     uint64_t to, struct numbers *ret,
                                     bool *ret_found)
{
    bool reverses = traversal_reverses(t);
    struct half front, back;
    bool more = true;
    enum status st = half_init(&front, t, from, &back);
    enum status other = half_init(&back, t, to, &front);

    if (st == ST_OK)
        st = other;
    back.wanted = wanted_reversed(&t->wanted);
    for (uint64_t depth = 0; st == ST_OK && more && depth < t->depth; depth++)
        st = halves_deepen(&front, &back, reverses, t->source, &more);
    if (st == HALVES_MET) {
        struct half *half = front.met != NO_PLACE ? &front : &back;
        uint64_t vertex = half->nodes.array[half->met].vertex;

        *ret_found = true;
        st = both_ways(&front.nodes, nodes_find(&front.nodes, vertex),
                       &back.nodes, nodes_find(&back.nodes, vertex), ret);
    }
    nodes_free(&front.nodes);
    nodes_free(&back.nodes);
    return st;
}

/* --- by distance ---------------------------------------------------------- */

enum status search_begin(struct search *search, struct traversal *t,
                         struct nodes *nodes, uint64_t start)
{
    uint32_t place;
    bool is_new;
    enum status st = nodes_add(nodes, start, &place, &is_new);

    *search = (struct search){
        .t = t,
        .nodes = nodes,
        .heap = HEAP(t->mem),
        .depth = t->depth,
        .wanted = &t->wanted,
    };
    return st < 0 ? st : heap_push(&search->heap, 0, 0, place);
}

void search_end(struct search *search)
{
    heap_free(&search->heap);
}

uint32_t search_next(struct search *search)
{
    while (search->heap.count > 0) {
        struct heap_entry entry = heap_pop(&search->heap);
        struct node *node = &search->nodes->array[entry.place];

        if (entry.distance > node->distance)
            continue; /* a shorter way was found since */
        node->settled = true;
        return entry.place;
    }
    return NO_PLACE;
}

static enum status bad_weight(const struct search *search,
                              const struct arc *arc)
{
    uint64_t from = search->nodes->array[search->from].vertex;

    source_set_fault(search->t->source, arc->backwards ? arc->other : from,
                     arc->backwards ? from : arc->other);
    return ST_BAD_WEIGHT;
}

/* What is left from a vertex to the goal, as far as anybody says. */
static enum status search_left(struct search *search, uint64_t vertex,
                               double *ret)
{
    struct traversal *t = search->t;
    enum status st;

    *ret = 0;
    if (!t->heuristic)
        return ST_OK;
    st = t->heuristic(t->context, vertex, ret);
    if (st < 0 || (*ret >= 0 && isfinite(*ret)))
        return st;
    source_set_fault(t->source, vertex, vertex);
    return ST_BAD_WEIGHT;
}

static enum status search_arc(void *context, const struct arc *arc)
{
    struct search *search = context;
    double length = search->t->weighted ? arc->weight : 1;
    double distance = search->nodes->array[search->from].distance + length;
    struct node *node;
    uint32_t place;
    double left;
    bool is_new;
    enum status st;

    if (length < 0 || !isfinite(distance))
        return bad_weight(search, arc);
    if (search->allows && !search->allows(search->context, search, arc->other))
        return ST_OK;
    st = nodes_add(search->nodes, arc->other, &place, &is_new);
    if (st < 0)
        return st;
    node = &search->nodes->array[place];
    if (!is_new && distance >= node->distance)
        return search->improved && distance == node->distance
                   ? search->improved(search->context, search, place, false)
                   : ST_OK;
    node->distance = distance;
    node->parent = search->from;
    node->level = search->nodes->array[search->from].level + 1;
    st = search_left(search, arc->other, &left);
    if (st == ST_OK)
        st = heap_push(&search->heap, distance + left, distance, place);
    if (st == ST_OK && search->improved)
        st = search->improved(search->context, search, place, true);
    return st;
}

enum status search_expand(struct search *search, uint32_t place)
{
    const struct node *node = &search->nodes->array[place];

    if (node->level >= search->depth)
        return ST_OK;
    search->from = place;
    return source_arcs(search->t->source, node->vertex, search->wanted,
                       search_arc, search);
}

/* --- from one end --------------------------------------------------------- */

/* Those that are still to be settled, each once. */
static enum status enter_targets(struct nodes *set, const uint64_t *targets,
                                 size_t count)
{
    enum status st = ST_OK;
    uint32_t place;
    bool is_new;

    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = nodes_add(set, targets[i], &place, &is_new);
    return st;
}

static enum status search_run(struct search *search, const struct nodes *set,
                              settle_function *settled, void *context)
{
    uint32_t left = set->count;
    enum status st = ST_OK;

    while (st == ST_OK) {
        uint32_t place = search_next(search);
        const struct nodes *nodes = search->nodes;

        if (place == NO_PLACE)
            break;
        if (settled)
            st = settled(context, nodes, place);
        if (set->count &&
            nodes_find(set, nodes->array[place].vertex) != NO_PLACE &&
            --left == 0)
            break;
        if (st == ST_OK)
            st = search_expand(search, place);
    }
    return st;
}

enum status walk_distances(struct traversal *t, uint64_t from,
                           const uint64_t *targets, size_t count,
                           struct nodes *ret, settle_function *settled,
                           void *context)
{
    struct search search;
    struct nodes set;
    enum status st = search_begin(&search, t, ret, from);

    nodes_init(&set, t->mem);
    if (st == ST_OK)
        st = enter_targets(&set, targets, count);
    if (st == ST_OK)
        st = search_run(&search, &set, settled, context);
    nodes_free(&set);
    search_end(&search);
    return st;
}

/* Dijkstra to one vertex, or A*. */
static enum status shortest_from_one(struct traversal *t, uint64_t from,
                                     uint64_t to, struct numbers *ret,
                                     double *ret_length, bool *ret_found)
{
    struct nodes nodes;
    uint32_t place;
    enum status st;

    nodes_init(&nodes, t->mem);
    st = walk_distances(t, from, &to, 1, &nodes, NULL, NULL);
    place = nodes_find(&nodes, to);
    if (st == ST_OK && place != NO_PLACE && nodes.array[place].settled) {
        *ret_found = true;
        *ret_length = nodes.array[place].distance;
        st = nodes_way(&nodes, place, ret);
    }
    nodes_free(&nodes);
    return st;
}

/* --- from both ends ------------------------------------------------------- */

struct meeting {
    struct search searches[2];
    struct nodes nodes[2];
    double length; /* of the shortest way so far */
    uint64_t vertex;
};

/* A shorter way to a vertex that the other search knows, too? */
static enum status on_improved(void *context, struct search *search,
                               uint32_t place, bool shorter)
{
    struct meeting *meeting = context;
    const struct node *node = &search->nodes->array[place];
    const struct nodes *other = search->nodes == &meeting->nodes[0]
                                    ? &meeting->nodes[1]
                                    : &meeting->nodes[0];
    uint32_t there;
    double length;

    if (!shorter)
        return ST_OK;
    there = nodes_find(other, node->vertex);
    if (there == NO_PLACE)
        return ST_OK;
    length = node->distance + other->array[there].distance;
    if (length < meeting->length) {
        meeting->length = length;
        meeting->vertex = node->vertex;
    }
    return ST_OK;
}

/* The search with the nearer vertex goes on. False: there is no shorter way. */
static bool meeting_next(const struct meeting *meeting, int *ret)
{
    const struct heap *front = &meeting->searches[0].heap;
    const struct heap *back = &meeting->searches[1].heap;

    if (!front->count || !back->count ||
        front->array[0].rank + back->array[0].rank >= meeting->length)
        return false;
    *ret = front->array[0].rank > back->array[0].rank;
    return true;
}

static enum status meeting_run(struct meeting *meeting)
{
    enum status st = ST_OK;
    int next;

    while (st == ST_OK && meeting_next(meeting, &next)) {
        uint32_t place = search_next(&meeting->searches[next]);

        if (place != NO_PLACE)
            st = search_expand(&meeting->searches[next], place);
    }
    return st;
}

static enum status shortest_from_both(struct traversal *t, uint64_t from,
                                      uint64_t to, struct numbers *ret,
                                      double *ret_length, bool *ret_found)
{
    struct arcs_wanted reversed = wanted_reversed(&t->wanted);
    struct meeting meeting = {.length = INFINITY};
    enum status st = ST_OK;

    for (int i = 0; i < 2; i++) {
        enum status begun;

        nodes_init(&meeting.nodes[i], t->mem);
        begun = search_begin(&meeting.searches[i], t, &meeting.nodes[i],
                             i ? to : from);
        meeting.searches[i].improved = on_improved;
        meeting.searches[i].context = &meeting;
        if (st == ST_OK)
            st = begun;
    }
    meeting.searches[1].wanted = &reversed;
    if (st == ST_OK)
        st = meeting_run(&meeting);
    if (st == ST_OK && isfinite(meeting.length)) {
        *ret_found = true;
        *ret_length = meeting.length;
        st = both_ways(&meeting.nodes[0],
                       nodes_find(&meeting.nodes[0], meeting.vertex),
                       &meeting.nodes[1],
                       nodes_find(&meeting.nodes[1], meeting.vertex), ret);
    }
    for (int i = 0; i < 2; i++) {
        search_end(&meeting.searches[i]);
        nodes_free(&meeting.nodes[i]);
    }
    return st;
}

enum status walk_shortest(struct traversal *t, uint64_t from, uint64_t to,
                          struct numbers *ret, double *ret_length,
                          bool *ret_found)
{
    size_t begin = ret->count;
    enum status st;

    *ret_found = from == to;
    *ret_length = 0;
    if (from == to)
        return numbers_add(ret, from);
    if (t->heuristic || (t->weighted && !traversal_reverses(t)))
        return shortest_from_one(t, from, to, ret, ret_length, ret_found);
    if (t->weighted)
        return shortest_from_both(t, from, to, ret, ret_length, ret_found);
    st = shortest_in_edges(t, from, to, ret, ret_found);
    if (st == ST_OK && *ret_found)
        *ret_length = (double)(ret->count - begin - 1);
    return st;
}
