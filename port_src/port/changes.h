/*
 * changes.h -- what one mutation has changed, as terms that are ready to be
 * sent: an entry.
 *
 *     Change = {Table, insert, Element} | {Table, delete, Element}
 *            | {Table, clear, Count} | {Table, create, Type}
 *            | {Table, drop, Type}
 *
 * Elements are in fwd orientation, {Key, Value} of a pom or to_one. The order
 * is that in which it happened; changes of one table that follow one another
 * make a group, so that whoever wants some tables alone looks at names once
 * a group and copies terms without a look at them.
 */
#ifndef RHIZOME_PORT_CHANGES_H
#define RHIZOME_PORT_CHANGES_H

#include "core/buffer.h"
#include "core/store.h"

struct changes_entry {
    uint64_t seq;
    size_t size; /* of the whole entry: the next one may follow */
    struct bytes groups;
};

struct changes_group {
    uint64_t hash;     /* changes_hash() of the name */
    struct bytes name; /* of the table, as an encoded key */
    bool reserved;     /* the table is the daemon's own */
    uint32_t count;
    struct bytes terms; /* so many changes, one behind another */
};

/*
 * Appends the entry of the running command, which is about to be committed as
 * `seq`. The store must keep values (store_set_keeps_values()). Errors:
 * ST_TOO_BIG beyond `bytes_max`, ST_NO_MEMORY; `out` is then as it was.
 */
enum status changes_encode(const struct store *store, uint64_t seq,
                           size_t bytes_max, struct buffer *out);

/* The entry at `bytes`, which is one. */
struct changes_entry changes_entry(const uint8_t *bytes);

/* Takes the next group from `groups`; false if none is left. */
bool changes_next(struct bytes *groups, struct changes_group *ret);

/* By this a table's name is looked for. */
uint64_t changes_hash(struct bytes name);

#endif
