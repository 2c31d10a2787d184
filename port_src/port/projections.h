/*
 * projections.h -- graphs as arrays (graph/project.h), made once and shared.
 *
 * A projection is made by a job of the lane of algorithms, from pins, and holds
 * nothing of the store. Those who ask for the same one while it is made wait
 * for the same job; who comes later finds it ready, as long as none of the
 * tables behind it has changed since. One that has a name stays as it is until
 * it is dropped. Any other goes as soon as nobody uses it and it is stale, or
 * when the bound on those that nobody uses wants its room.
 *
 * All that they hold is in the store's account: while one is made, what it is
 * expected to take, and then what it has taken.
 */
#ifndef RHIZOME_PORT_PROJECTIONS_H
#define RHIZOME_PORT_PROJECTIONS_H

#include "graph/project.h"
#include "port/writer.h"

struct commands;
struct projected;
struct projections;
struct sources;
struct store;

/* What idle ones may hold if nobody says otherwise: this, or a quarter of the
 * store's limit if that is less. */
#define PROJECTION_CACHE_BYTES_DEFAULT ((size_t)1 << 30)

/* That have a name. */
#define PROJECTIONS_NAMED_MAX 1000

/* Labels in a Spec, of each kind. */
#define PROJECTION_LABELS_MAX SOURCE_LABELS_MAX

enum status projections_create(struct commands *commands,
                               struct projections **ret);
void projections_free(struct projections *projections);

/* SIZE_MAX: the default. */
void projections_set_cache(struct projections *projections, size_t bytes);

/* What is to be projected: all is borrowed. Ids of labels ascend. */
struct projection_request {
    struct store *store; /* the head, or that of a version */
    const struct sources *sources;
    struct bytes source; /* as it came */
    struct project_spec spec;
    uint64_t seq;   /* that it is of */
    uint64_t shows; /* no answer from it shows more */
};

/* Who waits for one, embedded in what does. */
struct projected_wait {
    /* It is there, or `st` says why not; it waits no longer then. */
    void (*go)(struct projected_wait *wait, enum status st);

    struct projected *projected; /* NULL: it does not wait */
    unsigned needs;
    struct projected_wait *next;
    struct projected_wait **place;
};

/*
 * The projection for a request, shared or new, with a reference for the
 * caller. `*ret_ready` tells whether it has all of `needs` (NEED_OUT, IN,
 * BOTH); otherwise it is being made, and wait->go() is called, which never
 * happens within this function. Errors: ST_MEMORY_LIMIT, ST_NO_MEMORY.
 */
enum status projections_want(struct projections *projections,
                             const struct projection_request *request,
                             unsigned needs, struct projected_wait *wait,
                             bool *ret_ready, struct projected **ret);

/* The same for one that is there, without a reference more. */
enum status projected_want(struct projected *projected, unsigned needs,
                           struct projected_wait *wait, bool *ret_ready);

/* Waits no longer; for nobody it is not made any further. */
void projected_wait_end(struct projected_wait *wait);

void projected_keep(struct projected *projected);
void projected_leave(struct projected *projected);

/* Once it is ready. */
const struct graph_image *projected_image(const struct projected *projected);
uint64_t projected_shows(const struct projected *projected);
uint64_t projected_seq(const struct projected *projected);
bool projected_has_weights(const struct projected *projected);
size_t projected_bytes(const struct projected *projected);

/* How far it is with being made; false: it is not. */
bool projected_progress(const struct projected *projected, uint64_t *ret_done,
                        uint64_t *ret_total);

/*
 * What an algorithm is given: copies of what the image points to, so that more
 * can be made of that meanwhile, without the weights if they are not wanted.
 */
struct projected_view {
    struct projection projection;
    struct csr out, in, both;
};

void projected_view(const struct projected *projected, bool weights,
                    struct projected_view *ret);

/* --- names --------------------------------------------------------------- */

/* The one of this name, an encoded key, or NULL. */
struct projected *projections_find(const struct projections *projections,
                                   struct bytes name);

/* Gives one a name, and keeps it. ST_BAD_ARGUMENT if the name is taken;
 * ST_TOO_BIG beyond PROJECTIONS_NAMED_MAX; ST_NO_MEMORY. */
enum status projections_name(struct projections *projections, struct bytes name,
                             struct projected *projected);

/* False if there is none of this name. */
bool projections_drop(struct projections *projections, struct bytes name);

/* --- the account --------------------------------------------------------- */

/* Lets go of those that are stale and idle; to be called now and then. */
void projections_look(struct projections *projections);

/*
 * Takes `bytes` from the store's account, and idle projections make room for
 * it; false: there is none. And gives them back.
 */
bool projections_reserve(struct projections *projections, size_t bytes);
void projections_unreserve(struct projections *projections, size_t bytes);

/* Bytes that the store's account has left, if idle projections made room. */
size_t projections_left(const struct projections *projections);

/* Lets go of all idle ones: false if there were none. */
bool projections_yield(struct projections *projections);

/* --- what is told -------------------------------------------------------- */

/* The one that a request would find ready, or NULL. */
struct projected *projections_peek(struct projections *projections,
                                   const struct projection_request *request,
                                   unsigned needs);

/* How large it will be: vertices and edges at most, and bytes. */
struct projection_size {
    uint64_t vertices;
    uint64_t edges;
    uint64_t bytes;
    bool undirected;
};

struct projection_size projection_estimate(const struct sources *sources,
                                           const struct project_spec *spec,
                                           unsigned needs);

/* Jobs that run. */
size_t projections_running(const struct projections *projections);

/* #{name, source, ...} of one; `name` may be empty. */
void projected_put(const struct projected *projected, struct bytes name,
                   struct writer *out);

/* The list of all, and the key `projections` for {info}. */
void projections_put(struct projections *projections, struct writer *out);
void projections_put_info(const struct projections *projections,
                          struct writer *out);

#endif
