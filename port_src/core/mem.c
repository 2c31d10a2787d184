/*
 * mem.c -- counting around the C library's allocator.
 *
 * glibc's malloc was as fast as a size-class slab of our own in the
 * prototypes, and malloc_trim() makes it give memory back after a mass
 * deletion, which a slab would have to be taught.
 */
#include "core/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Trimming walks the whole heap: it must pay. */
#define TRIM_BYTES_MIN (16u << 20)

void mem_init(struct mem *mem, size_t limit)
{
    memset(mem, 0, sizeof(*mem));
    mem->limit = limit ? limit : SIZE_MAX;
}

enum status mem_status(const struct mem *mem)
{
    return mem->refused ? ST_MEMORY_LIMIT : ST_NO_MEMORY;
}

void mem_fail_at(struct mem *mem, uint64_t nth, bool on)
{
    mem->fail_at = nth;
    mem->fail_on = on;
}

/* May `charge` more bytes be taken? Counts the attempts of mem_fail_at(). */
static bool mem_admit(struct mem *mem, size_t charge)
{
    mem->refused = false;
    if (mem->exempt)
        return true;
    if (__builtin_expect(mem->fail_at != 0, 0)) {
        if (mem->fail_at == 1) {
            if (!mem->fail_on)
                mem->fail_at = 0;
            return false;
        }
        mem->fail_at--;
    }
    if (charge > mem->limit || mem->used > mem->limit - charge) {
        mem->refused = true;
        return false;
    }
    return true;
}

static void mem_take(struct mem *mem, size_t charge)
{
    mem->used += charge;
    if (mem->used <= mem->high)
        return;
    mem->high = mem->used;
    mem->trim_below = mem->high < TRIM_BYTES_MIN ? 0 : mem->high / 2;
    if (mem->used > mem->peak)
        mem->peak = mem->used;
}

/* Half of what there was is free, many megabytes: hand the pages back. */
static void mem_trim(struct mem *mem)
{
    mem->high = mem->used;
    mem->trim_below = mem->high < TRIM_BYTES_MIN ? 0 : mem->high / 2;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void *mem_new(struct mem *mem, size_t size, bool zeros)
{
    void *block;

    REQUIRE(size > 0 && size < SIZE_MAX / 2);
    if (!mem_admit(mem, mem_charge(size)))
        return NULL;
    block = zeros ? calloc(1, size) : malloc(size);
    if (block)
        mem_take(mem, mem_charge(size));
    return block;
}

void *mem_alloc(struct mem *mem, size_t size)
{
    return mem_new(mem, size, false);
}

/* Pages that come from the system are zero, so a large block takes no time. */
void *mem_zalloc(struct mem *mem, size_t size)
{
    return mem_new(mem, size, true);
}

void *mem_grow(struct mem *mem, void *block, size_t old_size, size_t new_size)
{
    size_t old_charge = block ? mem_charge(old_size) : 0;
    size_t new_charge = mem_charge(new_size);
    void *grown;

    REQUIRE(new_size > 0 && new_size < SIZE_MAX / 2);
    if (!mem_admit(mem, new_charge > old_charge ? new_charge - old_charge : 0))
        return NULL;
    grown = realloc(block, new_size);
    if (!grown)
        return NULL;
    mem->used -= old_charge;
    mem_take(mem, new_charge);
    if (__builtin_expect(mem->used < mem->trim_below, 0))
        mem_trim(mem);
    return grown;
}

static void mem_uncharge(struct mem *mem, size_t size)
{
    REQUIRE(mem->used >= mem_charge(size));
    mem->used -= mem_charge(size);
    if (__builtin_expect(mem->used < mem->trim_below, 0))
        mem_trim(mem);
}

void mem_free(struct mem *mem, void *block, size_t size)
{
    if (!block)
        return;
    free(block);
    mem_uncharge(mem, size);
}

void mem_set_aside(struct mem *mem, size_t size)
{
    mem_uncharge(mem, size);
}

bool mem_take_back(struct mem *mem, size_t size)
{
    if (!mem_admit(mem, mem_charge(size)))
        return false;
    mem_take(mem, mem_charge(size));
    return true;
}

void mem_free_aside(void *block)
{
    free(block);
}
