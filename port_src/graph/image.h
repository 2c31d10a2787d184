/*
 * image.h -- the making of images: what project.c and project_path.c share.
 */
#ifndef RHIZOME_GRAPH_IMAGE_H
#define RHIZOME_GRAPH_IMAGE_H

#include "graph/project.h"

/* Gathers keys of vertices in the order of their numbers. */
struct image_maker {
    struct run *run;
    uint64_t room; /* vertices */
    uint64_t count;
    uint64_t *offsets; /* room + 1 */
    struct buffer keys;
};

void image_maker_init(struct image_maker *maker, struct run *run);

/* Room for so many vertices at most. */
enum status image_maker_begin(struct image_maker *maker, uint64_t room);

/* Adds a vertex: as a term, or as a key. */
enum status image_maker_add(struct image_maker *maker, struct bytes term);
enum status image_maker_add_key(struct image_maker *maker, struct bytes key);

/* The image of these vertices and no edges; or nothing. Either way the maker
 * is empty afterwards. */
enum status image_maker_finish(struct image_maker *maker,
                               struct graph_image *ret);
void image_maker_abort(struct image_maker *maker);

/* csr_union(); as an undirected graph a loop has one entry, not two. */
enum status image_both(struct run *run, const struct csr *out,
                       const struct csr *in, bool undirected, struct csr *ret);

#endif
