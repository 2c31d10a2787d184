/*
 * elements.h -- where elements that are exported come from: a graph, or
 * frames that a client writes to stdin.
 *
 * A frame is a length of four bytes, the version byte and a term:
 *
 *     {graph, G, #{directed => Boolean, weight => none | value | {key, K}}}
 *                                                the first, if at all
 *     [{vertex, V, Value, Labels} | {edge, From, To, Label, Value}]
 */
#ifndef RHIZOME_CLI_ELEMENTS_H
#define RHIZOME_CLI_ELEMENTS_H

#include "cli/format.h"
#include "cli/spool.h"
#include "core/graph.h"

struct elements {
    const struct graph *graph; /* NULL: frames */
    struct spool spool;
    struct io *io; /* of frames that are read more than once; NULL: once */
    int fd;        /* in it */
    uint64_t offset;
    struct buffer frame;
    bool held; /* it has been read, and not given */
    struct buffer labels;
    bool undirected;
    struct buffer weight; /* the rule, an external term as above */
    uint64_t count;       /* elements given, of all rounds */

    int status; /* of a failure, after a complaint */
};

void elements_of_graph(struct elements *elements, const struct graph *graph);

/* Frames from stdin, to be read once or, with `again`, as often as asked. -1,
 * or an exit status after a complaint. To be freed in either case. */
int elements_of_frames(struct elements *elements, bool again);

void elements_free(struct elements *elements);

/*
 * Calls `each` with every element; false if that failed (elements->status), or
 * if `each` said so.
 */
bool elements_each(struct elements *elements, void *context,
                   bool (*each)(void *context,
                                const struct element_terms *element));

#endif
