/*
 * log_case.h -- the term log for bench_log.cc, which is C++ and cannot read
 * headers with C11 atomics.
 */
#ifndef RHIZOME_BENCH_LOG_CASE_H
#define RHIZOME_BENCH_LOG_CASE_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>
#include <stdint.h>

/*
 * Makes a store in the directory `path` whose log holds a many_to_many and
 * the pairs (src[i], dst[i]), one insert each. With `checkpoint` they are in
 * a checkpoint instead. False if anything fails.
 */
int log_case_make(const char *path, const uint64_t *src, const uint64_t *dst,
                  size_t count, int checkpoint);

/* Recovers it: how many pairs the store holds then, or -1. */
int64_t log_case_recover(const char *path);

/* Appends the external term {insert, bench, fwd, {Src, Dst}} to `room`, which
 * has 64 bytes: how many it took. */
size_t log_case_insert(uint8_t *room, uint64_t src, uint64_t dst);

#ifdef __cplusplus
}
#endif

#endif
