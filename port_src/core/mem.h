/*
 * mem.h -- the memory account: every byte that a store holds is counted here.
 *
 * One struct mem belongs to one store. Each block is charged with what it
 * costs the C library, its size rounded up to MEM_ALIGN plus MEM_OVERHEAD, so
 * that `used` is what the process really holds, and so that the figure is the
 * same on every run. The caller tells the size again when it frees, for it
 * knows it anyway; that saves a header on every block.
 *
 * A limit refuses allocations beyond it. Work that gives memory back in the
 * end (a deletion that must copy a shared node first, a rollback) runs
 * between mem_exempt_begin() and mem_exempt_end(), where the limit does not
 * count.
 *
 * When much has been freed, the pages that the C library holds back go to the
 * system: it only gives back what lies at the end of its heap by itself, and
 * one small block there would keep everything below it.
 *
 * Not thread-safe: only the thread that writes a store uses its account.
 */
#ifndef RHIZOME_CORE_MEM_H
#define RHIZOME_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define MEM_ALIGN 16
#define MEM_OVERHEAD 8

struct mem {
    size_t used;       /* bytes charged now */
    size_t peak;       /* the most that `used` has ever been */
    size_t limit;      /* `used` may not pass it; SIZE_MAX is no limit */
    unsigned exempt;   /* > 0: the limit does not count */
    bool refused;      /* the last failure was the limit's */
    size_t high;       /* the most that `used` was since the last trim */
    size_t trim_below; /* `used` below it: give pages back to the system */
    uint64_t fail_at;  /* tests: the nth allocation from now fails; 0 never */
    bool fail_on;      /* tests: and so do all after it */
};

/* An account with no charge. `limit` is in bytes; 0 means none. */
void mem_init(struct mem *mem, size_t limit);

/*
 * A block of `size` > 0 bytes, aligned to MEM_ALIGN, uninitialised; NULL if
 * the limit or the system refuses, and mem_status() then says which.
 */
void *mem_alloc(struct mem *mem, size_t size);

/* The same, filled with zeros. */
void *mem_zalloc(struct mem *mem, size_t size);

/*
 * Resizes a block; `old_size` is what it was asked with. On NULL the old
 * block stands as it was. mem_grow(mem, NULL, 0, n) allocates.
 */
void *mem_grow(struct mem *mem, void *block, size_t old_size, size_t new_size);

/* Gives back a block that was asked with `size`. NULL is accepted. */
void mem_free(struct mem *mem, void *block, size_t size);

/*
 * For owners that keep free blocks for the next time: the charge of one is
 * taken off; and put on again, which is refused as an allocation is. Blocks
 * set aside are not in `used`, so there must be a bound to them.
 */
void mem_set_aside(struct mem *mem, size_t size);
bool mem_take_back(struct mem *mem, size_t size);
void mem_free_aside(void *block);

/* ST_MEMORY_LIMIT or ST_NO_MEMORY: why the last allocation failed. */
enum status mem_status(const struct mem *mem);

static inline void mem_exempt_begin(struct mem *mem)
{
    mem->exempt++;
}

static inline void mem_exempt_end(struct mem *mem)
{
    mem->exempt--;
}

/*
 * For tests: let the `nth` allocation from now fail (1 is the next one), and
 * with `on` every later one too. 0 turns it off. Exempt allocations neither
 * count nor fail.
 */
void mem_fail_at(struct mem *mem, uint64_t nth, bool on);

/* What a block of `size` bytes is charged with. */
static inline size_t mem_charge(size_t size)
{
    return ((size + MEM_OVERHEAD + MEM_ALIGN - 1) & ~(size_t)(MEM_ALIGN - 1));
}

#endif
