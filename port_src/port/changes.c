/*
 * changes.c -- the form of an entry.
 *
 *     entry = size(4) seq(8) group ...
 *     group = size(4) count(4) hash(8) reserved(1) name_size(1) name term ...
 *
 * Sizes are those of the whole, so that an entry or a group is stepped over
 * without reading it. The name's term is decoded once a group; the other
 * changes of the group copy it from the first one.
 */
#include "port/changes.h"

#include "core/digest.h"
#include "core/etf.h"
#include "core/graph.h"
#include "core/key.h"
#include "port/call.h"

#define ENTRY_HEADER_BYTES 12
#define GROUP_HEADER_BYTES 18

_Static_assert(TABLE_NAME_BYTES_MAX <= UINT8_MAX, "a name's size is a byte");

/* An entry in the making. Places are offsets, for the buffer moves. */
struct encoder {
    struct buffer *out;
    size_t start;
    size_t bytes_max;
    const struct table *table; /* of the open group; NULL: none is open */
    size_t group;
    uint32_t count;
    size_t name; /* the term of the table's name, in the first change */
    size_t name_size;
};

uint64_t changes_hash(struct bytes name)
{
    return digest_bytes(name).low;
}

/* Room for `size` more bytes, within the limit. */
static enum status encoder_reserve(struct encoder *encoder, size_t size)
{
    size_t used = encoder->out->size - encoder->start;

    if (used > encoder->bytes_max || size > encoder->bytes_max - used)
        return ST_TOO_BIG;
    return buffer_reserve(encoder->out, size);
}

static enum status encoder_append(struct encoder *encoder, struct bytes bytes)
{
    enum status st = encoder_reserve(encoder, bytes.size);

    return st < 0 ? st : buffer_append(encoder->out, bytes);
}

/* An encoded key as a term. It may pass the limit, by the size of a key. */
static enum status encoder_key(struct encoder *encoder, struct bytes key)
{
    enum status st = encoder_reserve(encoder, 0);

    return st < 0 ? st : key_decode(key, encoder->out);
}

static void close_group(struct encoder *encoder)
{
    uint8_t *group = encoder->out->data + encoder->group;

    if (!encoder->table)
        return;
    store_be32(group, (uint32_t)(encoder->out->size - encoder->group));
    store_be32(group + 4, encoder->count);
    encoder->table = NULL;
}

static enum status open_group(struct encoder *encoder,
                              const struct table *table)
{
    struct bytes name = table_name(table);
    uint8_t header[GROUP_HEADER_BYTES] = {0};
    enum status st;

    close_group(encoder);
    store_be64(header + 8, changes_hash(name));
    header[17] = (uint8_t)name.size;
    encoder->group = encoder->out->size;
    encoder->count = 0;
    encoder->name_size = 0;
    st = encoder_append(encoder, bytes_of(header, sizeof(header)));
    if (st == ST_OK)
        st = encoder_append(encoder, name);
    if (st == ST_OK)
        encoder->table = table;
    return st;
}

/* {Table, */
static enum status put_head(struct encoder *encoder)
{
    static const uint8_t tuple[] = {ETF_SMALL_TUPLE, 3};
    struct buffer *out = encoder->out;
    enum status st;

    encoder->count++;
    if (encoder->name_size) {
        st = encoder_reserve(encoder, sizeof(tuple) + encoder->name_size);
        if (st < 0)
            return st;
        buffer_append(out, bytes_of(tuple, sizeof(tuple)));
        return buffer_append(
            out, bytes_of(out->data + encoder->name, encoder->name_size));
    }
    st = encoder_append(encoder, bytes_of(tuple, sizeof(tuple)));
    if (st < 0)
        return st;
    encoder->name = out->size;
    st = encoder_key(encoder, table_name(encoder->table));
    if (st < 0)
        return st;
    encoder->name_size = out->size - encoder->name;
    out->data[encoder->group + 16] = name_is_reserved(
        bytes_of(out->data + encoder->name, encoder->name_size));
    return ST_OK;
}

static enum status put_element(struct encoder *encoder,
                               const struct change *change)
{
    static const uint8_t tuple[] = {ETF_SMALL_TUPLE, 2};
    bool second = table_has_second(change->table);
    bool value = table_has_value(change->table);
    enum status st = ST_OK;

    if (table_type(change->table) == TABLE_GRAPH) {
        struct graph_element element = graph_change_element(change);

        st = encoder_reserve(encoder, change->second.size);
        return st < 0 ? st : graph_element_put(&element, encoder->out);
    }
    if (second || value)
        st = encoder_append(encoder, bytes_of(tuple, sizeof(tuple)));
    if (st == ST_OK)
        st = encoder_key(encoder, change->first);
    if (st == ST_OK && second)
        st = encoder_key(encoder, change->second);
    if (st == ST_OK && value)
        st = encoder_append(encoder, change->second);
    return st;
}

/* The word of a kind as a term, tag and all. */
static struct bytes kind_term(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_ADD:
        return BYTES("\x77\x06insert");
    case CHANGE_REMOVE:
        return BYTES("\x77\x06"
                     "delete");
    case CHANGE_CLEAR:
        return BYTES("\x77\x05"
                     "clear");
    case CHANGE_CREATE:
        return BYTES("\x77\x06"
                     "create");
    default:
        return BYTES("\x77\x04"
                     "drop");
    }
}

static enum status put_change(struct encoder *encoder,
                              const struct change *change)
{
    enum status st = ST_OK;

    if (change->table != encoder->table)
        st = open_group(encoder, change->table);
    if (st == ST_OK)
        st = put_head(encoder);
    if (st == ST_OK)
        st = encoder_append(encoder, kind_term(change->kind));
    if (st < 0)
        return st;
    switch (change->kind) {
    case CHANGE_ADD:
    case CHANGE_REMOVE:
        return put_element(encoder, change);
    case CHANGE_CLEAR:
        return etf_put_u64(encoder->out, change->count);
    default:
        return etf_put_atom(encoder->out,
                            table_type_name(table_type(change->table)));
    }
}

enum status changes_encode(const struct store *store, uint64_t seq,
                           size_t bytes_max, struct buffer *out)
{
    struct encoder encoder = {
        .out = out, .start = out->size, .bytes_max = bytes_max};
    uint8_t header[ENTRY_HEADER_BYTES] = {0};
    size_t position = 0;
    struct change change;
    enum status st;

    store_be64(header + 4, seq);
    st = encoder_append(&encoder, bytes_of(header, sizeof(header)));
    while (st == ST_OK && store_change_next(store, &position, &change))
        if (change.kind != CHANGE_NEXT_ID && !table_is_part(change.table))
            st = put_change(&encoder, &change);
    if (st == ST_OK) /* the last key may have passed the limit */
        st = encoder_reserve(&encoder, 0);
    if (st < 0) {
        out->size = encoder.start;
        return st;
    }
    close_group(&encoder);
    store_be32(out->data + encoder.start,
               (uint32_t)(out->size - encoder.start));
    return ST_OK;
}

struct changes_entry changes_entry(const uint8_t *bytes)
{
    size_t size = load_be32(bytes);

    return (struct changes_entry){
        .seq = load_be64(bytes + 4),
        .size = size,
        .groups =
            bytes_of(bytes + ENTRY_HEADER_BYTES, size - ENTRY_HEADER_BYTES),
    };
}

bool changes_next(struct bytes *groups, struct changes_group *ret)
{
    const uint8_t *group = groups->data;
    size_t size, name_size, head;

    if (!groups->size)
        return false;
    size = load_be32(group);
    name_size = group[17];
    head = GROUP_HEADER_BYTES + name_size;
    *ret = (struct changes_group){
        .hash = load_be64(group + 8),
        .name = bytes_of(group + GROUP_HEADER_BYTES, name_size),
        .reserved = group[16],
        .count = load_be32(group + 4),
        .terms = bytes_of(group + head, size - head),
    };
    groups->data += size;
    groups->size -= size;
    return true;
}
