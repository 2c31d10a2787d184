/*
 * local.h -- one piece of local work on a graph: what the commands of
 * cmd_traverse.c have in common.
 *
 *     local_begin()      Source
 *     local_vertex() ..  the arguments of the command
 *     local_walk()       Walk, the last one
 *     walk_...()         graph/walk.h
 *     local_rows_..()    the answer
 *     local_end()        gives all back; goes over to a worker if it must
 */
#ifndef RHIZOME_PORT_LOCAL_H
#define RHIZOME_PORT_LOCAL_H

#include "graph/walk.h"
#include "port/call.h"

/* Options of a Walk that not every command takes. */
enum walk_option {
    WALK_WEIGHTED = 1 << 0,
    WALK_HEURISTIC = 1 << 1,
    WALK_VALUES = 1 << 2,
};

struct local {
    struct call *call;
    struct sources sources;
    struct mem own; /* the account on the loop */
    struct mem *mem;
    struct budget budget;
    struct source *source;
    struct traversal t;

    struct numbers labels;
    struct numbers vertex_labels;
    unsigned given;   /* options, by their place in the list of them */
    unsigned allowed; /* enum walk_option */
    bool values;
    const struct table *heuristic;
    struct tree_entry entry;

    size_t start; /* of the answer, in the writer */
    size_t list;  /* of its rows */
    uint64_t rows;
    uint64_t rows_max; /* after a walk was stopped by the clock */
};

/* Takes the first argument. `local` stays where it is until local_end(). */
enum status local_begin(struct local *local, struct call *call);

/*
 * Gives everything back; `st` is what the work came to. It goes over to a
 * worker if it was too long for the loop: then what was put is forgotten.
 * Gives back the status of the command.
 */
enum status local_end(struct local *local, enum status st);

/* An argument that is a vertex, and one that is a list of them, appended:
 * ST_NO_VERTEX. */
enum status local_vertex(struct local *local, uint64_t *ret);
enum status local_vertices(struct local *local, struct numbers *ret);

/* An integer from `least` on, as an argument. */
enum status local_integer(struct local *local, int64_t least, const char *text,
                          uint64_t *ret);

/* The last argument, into local->t. */
enum status local_walk(struct local *local, unsigned allowed);

/* Puts the vertex of a number. */
enum status local_put_vertex(struct local *local, uint64_t vertex);

/* Puts a list of vertices. */
enum status local_put_way(struct local *local, const uint64_t *vertices,
                          size_t count);

/* Puts a float; and a length, which is an integer if it is a whole number. */
void local_put_length(struct local *local, double length);

/*
 * Rows: before the walk, or behind it, `walked` being what the walk came to
 * (and an error if no rows are to be put then); one row has been put, which may
 * be the last one (an error then); the end, where `st` is what came last. An
 * answer that a limit has cut short is {ok, Rows, none, Why}.
 */
enum status local_rows_begin(struct local *local, enum status walked);
enum status local_row_done(struct local *local);
enum status local_rows_end(struct local *local, enum status walked,
                           enum status st);

#endif
