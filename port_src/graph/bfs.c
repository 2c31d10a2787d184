/*
 * bfs.c -- breadth-first search that changes direction.
 *
 *     push   for each u of the frontier: its targets not seen yet are next
 *     pull   for each v not seen yet: the first of its sources that is in the
 *            frontier makes it next, and the others are not looked at
 *
 * A small frontier is pushed from. One that has a good part of all edges is
 * pulled from, since almost every v finds a parent among its first sources:
 * that leaves most edges of a small-world graph alone (Beamer, Asanovic and
 * Patterson, "Direction-Optimizing Breadth-First Search", SC 2012, whose
 * thresholds these are).
 *
 *     seen     a bit for each vertex that the levels so far have
 *     front    the frontier as bits, for pulls; as a piece of `queue` for
 * pushes
 *
 * Both sets of bits are small enough for the inner cache, and a vertex's own
 * words are written once, when it is found. Within a push `seen` stays as it
 * was: a target that is not in it belongs to the next level, and whoever
 * reaches it first puts it into the queue. If there are many, each thread makes
 * bits of a part of the queue for itself, and then words of all of them become
 * words of both sets: no two write to one word.
 *
 * The edges of a hub are shared out among threads, or the others would wait for
 * who has it: that is often most of a level's work.
 *
 * The parent is the least vertex that it can be, whatever the directions and
 * however many threads: sources ascend, so a pull meets it first, and a push
 * takes the minimum.
 */
#include "graph/kernels.h"
#include "graph/team.h"

/* Pull when the frontier has more than 1/15 of the edges that are left; push
 * again when it has shrunk below 1/18 of the vertices. */
#define PULL_SHARE 15
#define PUSH_SHARE 18

#define BUFFER_SIZE 512 /* found vertices of a thread, before they queue up */
#define PUSH_CHUNK 64   /* vertices */
#define PULL_CHUNK 16   /* words of 64 vertices */
#define HUB_EDGES 4096  /* who has so many is a hub */
#define HUB_CHUNK 1024  /* edges */
#define MANY 1024       /* vertices in the queue become bits in two steps */

/*
 * What threads share in one step. Three take turns: while one is in use, the
 * next is made ready, and the last may still be read by who is late; thus one
 * barrier a step will do.
 */
struct step {
    struct chunks chunks;
    _Atomic uint64_t found;       /* vertices */
    _Atomic uint64_t found_edges; /* that leave them */
    _Atomic uint64_t found_hubs;  /* among them, if they are in the queue */
    struct chunks hub_chunks;
    struct parts words; /* of bits */
};

struct bfs {
    const struct csr *out;
    const struct csr *in;
    uint32_t n;
    uint32_t depth_max;
    const struct param *source;
    const struct param *sources;

    uint64_t *levels;
    uint32_t *parents;
    uint64_t *seen;
    uint64_t *bits[2]; /* front and next, in turn */
    uint32_t *queue;   /* in order of discovery */
    _Atomic uint64_t queue_end;
    uint32_t *hubs; /* of the queue, in order of discovery */
    _Atomic uint64_t hubs_end;
    uint64_t *own_bits; /* of each thread; 0 between steps */
    struct step steps[3];

    uint64_t reached;
    uint32_t depth; /* of the last level */
};

/* Where one thread stands; all of them agree but on `thread`. */
struct walk {
    struct run *run;
    struct bfs *bfs;
    unsigned thread;
    bool alone;
    unsigned step;
    unsigned front; /* of bits */
    uint32_t depth; /* of the frontier */
    uint64_t begin; /* the frontier is queue[begin .. end), if it is there */
    uint64_t end;
    uint64_t found;      /* vertices in the frontier */
    uint64_t edges;      /* that leave them, if it is in the queue */
    uint64_t hubs_begin; /* those of the frontier, if it is in the queue */
    uint64_t hubs_end;
    bool in_bits; /* a frontier in the queue is in the bits as well */
};

/* Found vertices of one thread. */
struct found {
    uint32_t vertices[BUFFER_SIZE];
    unsigned count;
    uint64_t total;
    uint64_t edges;
    uint64_t hubs;
};

static void found_flush(struct bfs *bfs, struct found *found)
{
    uint64_t place = atomic_fetch_add_explicit(&bfs->queue_end, found->count,
                                               memory_order_relaxed);

    memcpy(bfs->queue + place, found->vertices,
           found->count * sizeof(uint32_t));
    found->count = 0;
}

static void found_hub(struct bfs *bfs, struct found *found, uint32_t v)
{
    bfs->hubs[atomic_fetch_add_explicit(&bfs->hubs_end, 1,
                                        memory_order_relaxed)] = v;
    found->hubs++;
}

static void found_put(struct bfs *bfs, struct found *found, uint32_t v)
{
    uint64_t degree = csr_degree(bfs->out, v);

    if (found->count == BUFFER_SIZE)
        found_flush(bfs, found);
    found->vertices[found->count++] = v;
    found->total++;
    found->edges += degree;
    if (degree >= HUB_EDGES)
        found_hub(bfs, found, v);
}

static void found_finish(struct bfs *bfs, struct step *step,
                         struct found *found)
{
    found_flush(bfs, found);
    atomic_fetch_add(&step->found, found->total);
    atomic_fetch_add(&step->found_edges, found->edges);
    atomic_fetch_add(&step->found_hubs, found->hubs);
}

static struct step *step_now(const struct walk *walk)
{
    return &walk->bfs->steps[walk->step % 3];
}

/* All have come: takes what the step found. False if the run is to stop. */
static bool step_end(struct walk *walk)
{
    struct step *step = step_now(walk);
    struct step *next = &walk->bfs->steps[(walk->step + 1) % 3];

    if (walk->thread == 0) {
        atomic_store(&next->chunks.next, 0);
        atomic_store(&next->hub_chunks.next, 0);
        parts_reset(&next->words, walk->run->threads);
        atomic_store(&next->found, 0);
        atomic_store(&next->found_edges, 0);
        atomic_store(&next->found_hubs, 0);
    }
    walk->step++;
    if (team_stops(walk->run))
        return false;
    walk->found = atomic_load(&step->found);
    walk->edges = atomic_load(&step->found_edges);
    walk->hubs_begin = walk->hubs_end;
    walk->hubs_end += atomic_load(&step->found_hubs);
    return true;
}

/* Who is reached over these entries of u's row. */
static void push_edges(struct walk *walk, struct found *found, uint32_t u,
                       uint64_t first, uint64_t last)
{
    struct bfs *bfs = walk->bfs;
    const uint32_t *targets = bfs->out->targets;

    for (uint64_t e = first; e < last; e++) {
        uint32_t v = targets[e];

        if (bit_test(bfs->seen, v) ||
            min_u32(walk->alone, &bfs->parents[v], u) != NO_VERTEX)
            continue;
        bfs->levels[v] = walk->depth + 1;
        found_put(bfs, found, v);
    }
}

/* All edges of all hubs of the frontier are one sequence to take chunks of:
 * `before` is where those of the hub begin that a thread is at. False if the
 * run is to stop. */
static bool push_hubs(struct walk *walk, struct found *found, uint64_t *work)
{
    struct bfs *bfs = walk->bfs;
    struct step *step = step_now(walk);
    const uint64_t *offsets = bfs->out->offsets;
    uint64_t before = 0;
    uint64_t all = 0;
    uint64_t hub = walk->hubs_begin;
    uint64_t from;
    uint64_t to;

    for (uint64_t i = walk->hubs_begin; i < walk->hubs_end; i++)
        all += csr_degree(bfs->out, bfs->hubs[i]);
    while (chunks_take(&step->hub_chunks, all, HUB_CHUNK, &from, &to)) {
        while (from < to) {
            uint32_t u = bfs->hubs[hub];
            uint64_t end = before + csr_degree(bfs->out, u);
            uint64_t until = end < to ? end : to;

            if (from >= end) {
                before = end;
                hub++;
                continue;
            }
            push_edges(walk, found, u, offsets[u] + from - before,
                       offsets[u] + until - before);
            from = until;
        }
        if (work_stops(walk->run, work, HUB_CHUNK))
            return false;
    }
    return true;
}

/* The level after the frontier in the queue: is added to it. */
static void push_step(struct walk *walk)
{
    struct bfs *bfs = walk->bfs;
    struct step *step = step_now(walk);
    const struct csr *out = bfs->out;
    uint64_t count = walk->end - walk->begin;
    uint64_t chunk = count / walk->run->threads / 8 + 1;
    struct found found;
    uint64_t work = RUN_CHECK_WORK; /* asks at once */
    uint64_t from;
    uint64_t to;

    found.count = 0;
    found.total = found.edges = found.hubs = 0;
    if (chunk > PUSH_CHUNK)
        chunk = PUSH_CHUNK;
    if (!push_hubs(walk, &found, &work))
        goto finish;
    while (chunks_take(&step->chunks, count, chunk, &from, &to)) {
        for (uint64_t i = walk->begin + from; i < walk->begin + to; i++) {
            uint32_t u = bfs->queue[i];
            uint64_t degree = csr_degree(out, u);

            if (work_stops(walk->run, &work, degree + 1))
                goto finish;
            if (degree < HUB_EDGES)
                push_edges(walk, &found, u, out->offsets[u],
                           out->offsets[u + 1]);
        }
    }
finish:
    found_finish(bfs, step, &found);
}

/* Puts the frontier in the queue into `bits`. */
static void queue_to_bits(struct walk *walk, uint64_t *bits)
{
    for (uint64_t i = walk->begin + walk->thread; i < walk->end;
         i += walk->run->threads)
        bit_set(walk->alone, bits, walk->bfs->queue[i]);
}

/* Bits of one thread. Two do not have words in one cache line. */
static uint64_t own_words(uint32_t n)
{
    return (bit_words(n) + 7) / 8 * 8;
}

/* The frontier in the queue has been seen, and is in the bits. */
static void see_many(struct walk *walk)
{
    struct bfs *bfs = walk->bfs;
    unsigned threads = walk->run->threads;
    uint64_t words = bit_words(bfs->n);
    uint64_t stride = own_words(bfs->n);
    uint64_t count = walk->end - walk->begin;
    uint64_t end = walk->begin + count * (walk->thread + 1) / threads;
    uint64_t *own = bfs->own_bits + walk->thread * stride;

    for (uint64_t i = walk->begin + count * walk->thread / threads; i < end;
         i++)
        bit_set(true, own, bfs->queue[i]);
    run_barrier(walk->run);
    end = words * (walk->thread + 1) / threads;
    for (uint64_t i = words * walk->thread / threads; i < end; i++) {
        uint64_t word = 0;

        for (unsigned t = 0; t < threads; t++) {
            word |= bfs->own_bits[t * stride + i];
            bfs->own_bits[t * stride + i] = 0;
        }
        bfs->bits[walk->front][i] = word;
        bfs->seen[i] |= word;
    }
}

/* What a push found has been seen from now on. */
static void see_frontier(struct walk *walk)
{
    walk->in_bits = walk->end - walk->begin >= MANY &&
                    walk->end - walk->begin >= bit_words(walk->bfs->n) / 16;
    if (walk->in_bits)
        see_many(walk);
    else
        queue_to_bits(walk, walk->bfs->seen);
    run_barrier(walk->run);
}

/* The first source of v in the frontier, or NO_VERTEX; `*ret_work` edges. */
static inline uint32_t find_parent(const struct csr *in, const uint64_t *front,
                                   uint32_t v, uint64_t *ret_work)
{
    uint64_t first = in->offsets[v];
    uint64_t last = in->offsets[v + 1];

    for (uint64_t e = first; e < last; e++) {
        if (bit_test(front, in->targets[e])) {
            *ret_work = e - first + 1;
            return in->targets[e];
        }
    }
    *ret_work = last - first;
    return NO_VERTEX;
}

/* The level after the frontier in the bits. A thread has its words of `next`
 * and of `seen` for itself. */
static void pull_step(struct walk *walk)
{
    struct bfs *bfs = walk->bfs;
    struct step *step = step_now(walk);
    const uint64_t *front = bfs->bits[walk->front];
    uint64_t *next = bfs->bits[!walk->front];
    uint64_t total = 0;
    uint64_t work = RUN_CHECK_WORK;
    unsigned turn = 0;
    uint64_t from;
    uint64_t to;

    while (parts_take(&step->words, walk->thread, walk->run->threads,
                      bit_words(bfs->n), PULL_CHUNK, &turn, &from, &to)) {
        for (uint64_t i = from; i < to; i++) {
            uint64_t todo = ~bfs->seen[i] & bit_mask(bfs->n, i);
            uint64_t done = 0;
            uint64_t dead = 0; /* nothing leads there */
            uint64_t looked_all = 1;

            for (; todo; todo &= todo - 1) {
                uint32_t v =
                    (uint32_t)(i * 64) + (uint32_t)__builtin_ctzl(todo);
                uint64_t looked;
                uint32_t parent = find_parent(bfs->in, front, v, &looked);

                if (parent != NO_VERTEX) {
                    bfs->parents[v] = parent;
                    bfs->levels[v] = walk->depth + 1;
                    done |= todo & -todo;
                    total++;
                } else if (looked == 0) {
                    dead |= todo & -todo;
                }
                looked_all += looked;
            }
            next[i] = done;
            bfs->seen[i] |= done | dead;
            if (work_stops(walk->run, &work, looked_all))
                goto finish;
        }
    }
finish:
    atomic_fetch_add(&step->found, total);
}

/* Adds the frontier in the bits to the queue. */
static void bits_to_queue(struct walk *walk)
{
    struct bfs *bfs = walk->bfs;
    struct step *step = step_now(walk);
    const uint64_t *front = bfs->bits[walk->front];
    struct found found;
    unsigned turn = 0;
    uint64_t from;
    uint64_t to;

    found.count = 0;
    found.total = found.edges = found.hubs = 0;
    while (parts_take(&step->words, walk->thread, walk->run->threads,
                      bit_words(bfs->n), PULL_CHUNK, &turn, &from, &to))
        for (uint64_t i = from; i < to; i++)
            for (uint64_t set = front[i]; set; set &= set - 1)
                found_put(bfs, &found,
                          (uint32_t)(i * 64) + (uint32_t)__builtin_ctzl(set));
    found_finish(bfs, step, &found);
}

static void put_source(struct bfs *bfs, uint32_t v)
{
    uint64_t end = atomic_load(&bfs->queue_end);

    if (bit_test(bfs->seen, v))
        return;
    bit_set(true, bfs->seen, v);
    bfs->levels[v] = 0;
    bfs->queue[end] = v;
    atomic_store(&bfs->queue_end, end + 1);
    atomic_fetch_add(&bfs->steps[0].found, 1);
    atomic_fetch_add(&bfs->steps[0].found_edges, csr_degree(bfs->out, v));
    if (csr_degree(bfs->out, v) >= HUB_EDGES) {
        bfs->hubs[atomic_fetch_add(&bfs->hubs_end, 1)] = v;
        atomic_fetch_add(&bfs->steps[0].found_hubs, 1);
    }
}

/* Nothing is found but the sources: step 0. */
static bool begin_walk(struct walk *walk)
{
    struct bfs *bfs = walk->bfs;
    size_t from = (size_t)bfs->n * walk->thread / walk->run->threads;
    size_t to = (size_t)bfs->n * (walk->thread + 1) / walk->run->threads;

    run_fill(walk->run, bfs->levels + from, 0xff,
             (to - from) * sizeof(uint64_t));
    run_fill(walk->run, bfs->parents + from, 0xff,
             (to - from) * sizeof(uint32_t));
    run_barrier(walk->run);
    if (walk->thread == 0) {
        if (bfs->source->vertex != NO_VERTEX)
            put_source(bfs, bfs->source->vertex);
        for (size_t i = 0; i < bfs->sources->count; i++)
            put_source(bfs, bfs->sources->vertices[i]);
    }
    if (!step_end(walk))
        return false;
    walk->end = walk->found;
    return true;
}

/* The frontier, which is in the queue, is the next step's in the bits. */
static void turn_to_pulls(struct walk *walk)
{
    uint64_t *front = walk->bfs->bits[walk->front];

    if (walk->in_bits)
        return;
    if (walk->thread == 0)
        memset(front, 0, bit_words(walk->bfs->n) * sizeof(uint64_t));
    run_barrier(walk->run);
    queue_to_bits(walk, front);
    run_barrier(walk->run);
}

static void bfs_team(struct run *run, void *context, unsigned thread)
{
    struct bfs *bfs = context;
    struct walk walk = {
        .run = run, .bfs = bfs, .thread = thread, .alone = run->threads == 1};
    uint64_t edges_left = bfs->out->m;
    uint64_t before = 0;
    bool pulling = false;

    if (!begin_walk(&walk))
        return;
    while (walk.found > 0) {
        if (thread == 0) {
            bfs->depth = walk.depth;
            bfs->reached += walk.found;
            run_progress(run, bfs->reached, bfs->n);
        }
        if (walk.depth == bfs->depth_max)
            break;
        if (!pulling && walk.edges > edges_left / PULL_SHARE) {
            turn_to_pulls(&walk);
            pulling = true;
        } else if (pulling && walk.found < before &&
                   walk.found < bfs->n / PUSH_SHARE) {
            walk.begin = walk.end;
            bits_to_queue(&walk);
            if (!step_end(&walk))
                return;
            walk.end = walk.begin + walk.found;
            pulling = false;
        }
        before = walk.found;
        if (pulling) {
            pull_step(&walk);
            if (!step_end(&walk))
                return;
            walk.front = !walk.front;
        } else {
            edges_left -= walk.edges < edges_left ? walk.edges : edges_left;
            push_step(&walk);
            if (!step_end(&walk))
                return;
            walk.begin = walk.end;
            walk.end = walk.begin + walk.found;
            see_frontier(&walk);
        }
        walk.depth++;
    }
}

enum { BFS_SOURCE, BFS_SOURCES, BFS_MAX_DEPTH, BFS_PARAMS };

static const struct param_spec bfs_params[BFS_PARAMS] = {
    {.name = "source", .type = PARAM_VERTEX},
    {.name = "sources", .type = PARAM_VERTICES},
    {.name = "max_depth",
     .type = PARAM_U64,
     .max = UINT32_MAX,
     .otherwise = UINT32_MAX},
};

/* There are no more hubs with so many edges. */
static uint64_t hubs_max(uint64_t edges)
{
    return edges / HUB_EDGES;
}

static uint64_t bfs_estimate(const struct projection *shape,
                             const struct param *params, unsigned threads)
{
    uint64_t n = shape->n;

    (void)params;
    return mem_charge(n * sizeof(uint64_t) + 1) +
           mem_charge(own_words(shape->n) * threads * sizeof(uint64_t) + 1) +
           mem_charge(hubs_max(2 * shape->edges) * sizeof(uint32_t) + 1) +
           2 * mem_charge(n * sizeof(uint32_t) + 1) +
           3 * mem_charge(bit_words(n) * sizeof(uint64_t) + 1);
}

static enum status bfs_run(struct run *run, const struct projection *projection,
                           const struct param *params, struct result *ret)
{
    uint32_t n = projection->n;
    uint64_t words = bit_words(n);
    uint64_t own = own_words(n) * run->threads;
    uint64_t hubs = hubs_max(projection->out->m);
    struct bfs bfs = {.out = projection->out,
                      .in = projection->in,
                      .n = n,
                      .depth_max = (uint32_t)params[BFS_MAX_DEPTH].u64,
                      .source = &params[BFS_SOURCE],
                      .sources = &params[BFS_SOURCES]};
    enum status st;

    if (bfs.source->vertex == NO_VERTEX && bfs.sources->count == 0)
        return run_fail(run, ST_BAD_ARGUMENT, NO_VERTEX, NO_VERTEX,
                        "bfs needs source, or sources");
    bfs.levels = run_alloc(run, n, sizeof(uint64_t));
    bfs.parents = run_alloc(run, n, sizeof(uint32_t));
    bfs.queue = run_alloc(run, n, sizeof(uint32_t));
    bfs.hubs = run_alloc(run, hubs, sizeof(uint32_t));
    bfs.own_bits = run_zalloc(run, own, sizeof(uint64_t));
    bfs.seen = run_zalloc(run, words, sizeof(uint64_t));
    bfs.bits[0] = run_alloc(run, words, sizeof(uint64_t));
    bfs.bits[1] = run_alloc(run, words, sizeof(uint64_t));
    if (!bfs.levels || !bfs.parents || !bfs.queue || !bfs.hubs ||
        !bfs.own_bits || !bfs.seen || !bfs.bits[0] || !bfs.bits[1]) {
        st = run_memory_status(run);
        goto fail;
    }
    st = run_team(run, bfs_team, &bfs);
    if (st < 0)
        goto fail;
    ret->per_vertex = true;
    ret->rows = n;
    result_column(ret, "level", COLUMN_U64, bfs.levels);
    result_column(ret, "parent", COLUMN_VERTEX, bfs.parents);
    result_u64(ret, "reached", bfs.reached);
    result_u64(ret, "depth", bfs.depth);
    bfs.levels = NULL;
    bfs.parents = NULL;

fail:
    run_free(run, bfs.levels, n, sizeof(uint64_t));
    run_free(run, bfs.parents, n, sizeof(uint32_t));
    run_free(run, bfs.queue, n, sizeof(uint32_t));
    run_free(run, bfs.hubs, hubs, sizeof(uint32_t));
    run_free(run, bfs.own_bits, own, sizeof(uint64_t));
    run_free(run, bfs.seen, words, sizeof(uint64_t));
    run_free(run, bfs.bits[0], words, sizeof(uint64_t));
    run_free(run, bfs.bits[1], words, sizeof(uint64_t));
    return st;
}

const struct algorithm bfs_algorithm = {
    .name = "bfs",
    .needs = NEED_OUT | NEED_IN,
    .params = bfs_params,
    .param_count = BFS_PARAMS,
    .columns = {"vertex", "level", "parent"},
    .estimate = bfs_estimate,
    .run = bfs_run,
};
