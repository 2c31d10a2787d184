/*
 * frames.h -- frames of requests about one table of pairs of integers, as an
 * Elixir client would send them.
 */
#ifndef RHIZOME_BENCH_FRAMES_H
#define RHIZOME_BENCH_FRAMES_H

#include "daemon.h"

namespace bench
{

inline void put_integer(message &out, uint64_t value)
{
    out.push_back(98);
    put32(out, (uint32_t)value);
}

inline void put_pair(message &out, const pair &pair)
{
    out.insert(out.end(), {104, 2});
    put_integer(out, pair.src);
    put_integer(out, pair.dst);
}

/* {create_table, bench, many_to_many, #{}} */
inline message create_frame()
{
    message out = frame_begin(1);

    put_request_head(out, 0);
    out.insert(out.end(), {104, 4});
    put_atom(out, "create_table");
    put_atom(out, "bench");
    put_atom(out, "many_to_many");
    out.insert(out.end(), {116, 0, 0, 0, 0});
    frame_end(out);
    return out;
}

/* One {Op, bench, fwd, Pair} for each pair, `count` of them with ids from `id`
 * on: insert, delete or member. */
inline message pairs_frame(const char *op, uint32_t id, const pair *pairs,
                           uint32_t count)
{
    message out = frame_begin(count);

    for (uint32_t i = 0; i < count; i++) {
        put_request_head(out, id + i);
        out.insert(out.end(), {104, 4});
        put_atom(out, op);
        put_atom(out, "bench");
        put_atom(out, "fwd");
        put_pair(out, pairs[i]);
    }
    frame_end(out);
    return out;
}

/* {insert_all, bench, fwd, Pairs} */
inline message insert_frame(const pair *pairs, size_t count)
{
    message out = frame_begin(1);

    put_request_head(out, 0);
    out.insert(out.end(), {104, 4});
    put_atom(out, "insert_all");
    put_atom(out, "bench");
    put_atom(out, "fwd");
    out.push_back(108);
    put32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        put_pair(out, pairs[i]);
    out.push_back(106);
    frame_end(out);
    return out;
}

/* {with, #{deadline => infinity ...}, Op} up to Op, with `more` options. */
inline void put_with(message &out, uint32_t more)
{
    out.insert(out.end(), {104, 3});
    put_atom(out, "with");
    out.push_back(116);
    put32(out, 1 + more);
    put_atom(out, "deadline");
    put_atom(out, "infinity");
}

/* {scan, bench, fwd, elements, asc, {pos, N}, none, Count} */
inline message page_frame(uint32_t id, uint64_t position, uint64_t count)
{
    message out = frame_begin(1);

    put_request_head(out, id);
    put_with(out, 0);
    out.insert(out.end(), {104, 8});
    for (const char *word : {"scan", "bench", "fwd", "elements", "asc"})
        put_atom(out, word);
    out.insert(out.end(), {104, 2});
    put_atom(out, "pos");
    put_integer(out, position);
    put_atom(out, "none");
    put_integer(out, count);
    frame_end(out);
    return out;
}

/* Is it {ok, ...}? */
inline void expect_ok(const uint8_t *term)
{
    if (memcmp(term + 2, "\x77\x02ok", 4) != 0)
        die("the daemon answered an error");
}

} // namespace bench

#endif
