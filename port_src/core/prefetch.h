/*
 * prefetch.h -- asking for memory before it is needed.
 *
 * The empty asm is for gcc (12 at least), which takes a function that does
 * nothing but prefetch for one without effect, and drops the calls of it.
 */
#ifndef RHIZOME_CORE_PREFETCH_H
#define RHIZOME_CORE_PREFETCH_H

#include <stddef.h>

#define PREFETCH_LINE 64

/* Of what is needed next. */
static inline void prefetch_bytes(const void *at, size_t size)
{
    for (size_t i = 0; i < size; i += PREFETCH_LINE)
        __builtin_prefetch((const char *)at + i);
    __asm__ volatile("");
}

/* Of what is needed after some other things: into the second level. */
static inline void prefetch_bytes_later(const void *at, size_t size)
{
    for (size_t i = 0; i < size; i += PREFETCH_LINE)
        __builtin_prefetch((const char *)at + i, 0, 2);
    __asm__ volatile("");
}

#endif
