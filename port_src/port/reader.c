#include "port/reader.h"

#include <ei.h>

#include "core/etf.h"

/* The tag of the next term; 0, which no term has, at the end. */
static unsigned reader_tag(const struct reader *reader)
{
    return reader_done(reader) ? 0 : *reader->at;
}

/* ei counts from a pointer to char. */
static const char *reader_ei(const struct reader *reader)
{
    return (const char *)reader->at;
}

bool reader_tuple(struct reader *reader, uint32_t *ret_arity)
{
    unsigned tag = reader_tag(reader);
    int index = 0;
    int arity;

    if (tag != ETF_SMALL_TUPLE && tag != ETF_LARGE_TUPLE)
        return false;
    if (ei_decode_tuple_header(reader_ei(reader), &index, &arity) < 0)
        return false;
    reader->at += index;
    *ret_arity = (uint32_t)arity;
    return true;
}

bool reader_tuple_of(struct reader *reader, uint32_t arity)
{
    struct reader before = *reader;
    uint32_t found;

    if (reader_tuple(reader, &found) && found == arity)
        return true;
    *reader = before;
    return false;
}

bool reader_map(struct reader *reader, uint32_t *ret_count)
{
    int index = 0;
    int count;

    if (reader_tag(reader) != ETF_MAP ||
        ei_decode_map_header(reader_ei(reader), &index, &count) < 0)
        return false;
    reader->at += index;
    *ret_count = (uint32_t)count;
    return true;
}

bool reader_atom(struct reader *reader, struct bytes *ret_name)
{
    size_t header, size;

    switch (reader_tag(reader)) {
    case ETF_SMALL_ATOM:
    case ETF_SMALL_ATOM_UTF8:
        header = 2;
        size = reader->at[1];
        break;
    case ETF_ATOM:
    case ETF_ATOM_UTF8:
        header = 3;
        size = load_be16(reader->at + 1);
        break;
    default:
        return false;
    }
    *ret_name = bytes_of(reader->at + header, size);
    reader->at += header + size;
    return true;
}

bool reader_integer(struct reader *reader, int64_t *ret_value)
{
    int index = 0;
    long long value;

    switch (reader_tag(reader)) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
    case ETF_SMALL_BIG:
    case ETF_LARGE_BIG:
        break;
    default:
        return false;
    }
    if (ei_decode_longlong(reader_ei(reader), &index, &value) < 0)
        return false; /* it needs more than 64 bits */
    reader->at += index;
    *ret_value = value;
    return true;
}

struct bytes reader_term(struct reader *reader)
{
    const uint8_t *term = reader->at;
    size_t size;

    REQUIRE(!reader_done(reader));
    size = etf_size(term);
    reader->at += size;
    return bytes_of(term, size);
}

bool reader_list(struct reader *reader, struct list *ret)
{
    int index = 0;
    int count;

    ret->from = reader;
    ret->string = false;
    switch (reader_tag(reader)) {
    case ETF_STRING: /* ei_decode_list_header() refuses it */
        ret->left = load_be16(reader->at + 1);
        ret->string = true;
        reader->at += 3;
        return true;
    case ETF_NIL:
    case ETF_LIST:
        if (ei_decode_list_header(reader_ei(reader), &index, &count) < 0)
            return false;
        ret->left = (uint32_t)count;
        if (reader_tag(reader) == ETF_LIST) /* NIL is left to list_close() */
            reader->at += index;
        return true;
    default:
        return false;
    }
}

struct reader *list_next(struct list *list)
{
    REQUIRE(list->left > 0);
    list->left--;
    if (!list->string)
        return list->from;
    list->integer[0] = ETF_SMALL_INTEGER;
    list->integer[1] = *list->from->at++;
    list->item = reader_of(bytes_of(list->integer, 2));
    return &list->item;
}

bool list_close(struct list *list)
{
    REQUIRE(list->left == 0);
    if (list->string)
        return true;
    if (reader_tag(list->from) != ETF_NIL)
        return false;
    list->from->at++;
    return true;
}
