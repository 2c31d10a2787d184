/*
 * etf_put.c -- appending terms, each in the form that term_to_binary() gives.
 */
#include "core/etf.h"

/* Room for a tag and `size` bytes behind it; NULL as buffer_reserve(). */
static uint8_t *put(struct buffer *out, enum etf_tag tag, size_t size,
                    enum status *ret_st)
{
    uint8_t *at;

    *ret_st = buffer_reserve(out, 1 + size);
    if (*ret_st < 0)
        return NULL;
    at = out->data + out->size;
    at[0] = (uint8_t)tag;
    out->size += 1 + size;
    return at + 1;
}

/* A tag and a count of four bytes, with `size` bytes behind them. */
static uint8_t *put_counted(struct buffer *out, enum etf_tag tag,
                            uint32_t count, size_t size, enum status *ret_st)
{
    uint8_t *at = put(out, tag, 4 + size, ret_st);

    if (!at)
        return NULL;
    store_be32(at, count);
    return at + 4;
}

enum status etf_put_tuple(struct buffer *out, uint32_t arity)
{
    enum status st;
    uint8_t *at;

    if (arity > UINT8_MAX) {
        put_counted(out, ETF_LARGE_TUPLE, arity, 0, &st);
        return st;
    }
    at = put(out, ETF_SMALL_TUPLE, 1, &st);
    if (at)
        at[0] = (uint8_t)arity;
    return st;
}

enum status etf_put_list(struct buffer *out, uint32_t count)
{
    enum status st = ST_OK;

    if (count)
        put_counted(out, ETF_LIST, count, 0, &st);
    return st;
}

enum status etf_put_nil(struct buffer *out)
{
    enum status st;

    put(out, ETF_NIL, 0, &st);
    return st;
}

enum status etf_put_map(struct buffer *out, uint32_t count)
{
    enum status st;

    put_counted(out, ETF_MAP, count, 0, &st);
    return st;
}

enum status etf_put_atom(struct buffer *out, const char *name)
{
    size_t size = strlen(name);
    enum status st;
    uint8_t *at;

    REQUIRE(size <= UINT8_MAX);
    at = put(out, ETF_SMALL_ATOM_UTF8, 1 + size, &st);
    if (at) {
        at[0] = (uint8_t)size;
        memcpy(at + 1, name, size);
    }
    return st;
}

enum status etf_put_u64(struct buffer *out, uint64_t value)
{
    enum status st;
    uint8_t *at;
    uint8_t size = 4;

    if (value <= UINT8_MAX) {
        at = put(out, ETF_SMALL_INTEGER, 1, &st);
        if (at)
            at[0] = (uint8_t)value;
        return st;
    }
    if (value <= INT32_MAX) {
        put_counted(out, ETF_INTEGER, (uint32_t)value, 0, &st);
        return st;
    }
    while (size < 8 && value >> (8 * size))
        size++;
    at = put(out, ETF_SMALL_BIG, 2 + (size_t)size, &st);
    if (!at)
        return st;
    at[0] = size;
    at[1] = 0; /* positive */
    for (uint8_t i = 0; i < size; i++)
        at[2 + i] = (uint8_t)(value >> (8 * i));
    return ST_OK;
}

enum status etf_put_binary(struct buffer *out, struct bytes bytes)
{
    enum status st;
    uint8_t *at;

    REQUIRE(bytes.size <= UINT32_MAX);
    at = put_counted(out, ETF_BINARY, (uint32_t)bytes.size, bytes.size, &st);
    if (at && bytes.size)
        memcpy(at, bytes.data, bytes.size);
    return st;
}
