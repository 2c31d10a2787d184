/*
 * names.c -- two hash tables, one list.
 *
 *     names     (holder, number) -> named -> named ...
 *     holders   holder           -> named <-> named ...
 *     oldest    named <-> named <-> ... by age
 *
 * All live equally long, so those that are too old stand at the beginning of
 * the list, and looking for them costs nothing when there are none. Age counts
 * from the beginning; being used does not keep one young.
 */
#include "port/names.h"

#include <time.h>

/* Of each hash table at first; it doubles when there are as many names. */
#define SLOTS_MIN 64

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The finaliser of MurmurHash3 (A. Appleby): every bit counts everywhere. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccd;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53;
    return x ^ x >> 33;
}

static struct named **name_slot(const struct names *names,
                                struct version_name name)
{
    uint64_t hash = mix(mix((uint64_t)name.holder) + (uint64_t)name.number);

    return &names->names[hash & (names->slot_count - 1)];
}

static struct named **holder_slot(const struct names *names, int64_t holder)
{
    uint64_t hash = mix((uint64_t)holder);

    return &names->holders[hash & (names->slot_count - 1)];
}

/* --- the hash tables ---------------------------------------------------- */

static void slots_free(struct names *names)
{
    size_t size = names->slot_count * sizeof(struct named *);

    mem_free(names->mem, names->names, size);
    mem_free(names->mem, names->holders, size);
}

static void slots_enter(struct names *names, struct named *named)
{
    struct named **name = name_slot(names, named->name);
    struct named **holder = holder_slot(names, named->name.holder);

    named->next_name = *name;
    *name = named;
    named->next_holder = *holder;
    named->holder_place = holder;
    if (*holder)
        (*holder)->holder_place = &named->next_holder;
    *holder = named;
}

static void slots_leave(struct names *names, struct named *named)
{
    struct named **place = name_slot(names, named->name);

    while (*place != named)
        place = &(*place)->next_name;
    *place = named->next_name;
    *named->holder_place = named->next_holder;
    if (named->next_holder)
        named->next_holder->holder_place = named->holder_place;
}

static enum status slots_grow(struct names *names)
{
    size_t count = names->slot_count ? 2 * names->slot_count : SLOTS_MIN;
    size_t size = count * sizeof(struct named *);
    struct named **by_name, **by_holder;

    if (names->count < names->slot_count)
        return ST_OK;
    by_name = mem_zalloc(names->mem, size);
    by_holder = mem_zalloc(names->mem, size);
    if (!by_name || !by_holder) {
        mem_free(names->mem, by_name, by_name ? size : 0);
        mem_free(names->mem, by_holder, by_holder ? size : 0);
        return ST_NO_MEMORY;
    }
    slots_free(names);
    names->names = by_name;
    names->holders = by_holder;
    names->slot_count = count;
    for (struct named *named = names->oldest; named; named = named->newer)
        slots_enter(names, named);
    return ST_OK;
}

/* --- from outside ------------------------------------------------------- */

void names_init(struct names *names, struct mem *mem,
                const struct version_limits *limits,
                void (*release)(struct named *named))
{
    *names = (struct names){.mem = mem, .limits = *limits, .release = release};
}

void names_deinit(struct names *names)
{
    while (names->oldest)
        names->release(names->oldest);
    slots_free(names);
}

enum status names_admit(struct names *names, bool *ret_room)
{
    *ret_room = names->count < names->limits.max;
    return *ret_room ? slots_grow(names) : ST_OK;
}

void names_enter(struct names *names, struct named *named,
                 struct version_name name)
{
    REQUIRE(names->count < names->slot_count);
    *named = (struct named){
        .name = name, .since_ms = now_ms(), .older = names->newest};
    *(named->older ? &named->older->newer : &names->oldest) = named;
    names->newest = named;
    names->count++;
    slots_enter(names, named);
}

void names_leave(struct names *names, struct named *named)
{
    slots_leave(names, named);
    *(named->older ? &named->older->newer : &names->oldest) = named->newer;
    *(named->newer ? &named->newer->older : &names->newest) = named->older;
    names->count--;
}

struct named *names_find(struct names *names, struct version_name name)
{
    struct named *named;

    names_look(names);
    if (!names->slot_count)
        return NULL;
    named = *name_slot(names, name);
    while (named && (named->name.holder != name.holder ||
                     named->name.number != name.number))
        named = named->next_name;
    return named;
}

uint64_t names_release_holder(struct names *names, int64_t holder)
{
    struct named *named, *next;
    uint64_t count = 0;

    names_look(names);
    if (!names->slot_count)
        return 0;
    for (named = *holder_slot(names, holder); named; named = next) {
        next = named->next_holder;
        if (named->name.holder != holder)
            continue;
        names->release(named);
        count++;
    }
    return count;
}

void names_look(struct names *names)
{
    uint64_t age_ms = names->limits.age_ms;
    uint64_t now;

    if (!age_ms || !names->oldest)
        return;
    now = now_ms();
    while (names->oldest && now - names->oldest->since_ms > age_ms)
        names->release(names->oldest);
}

uint64_t named_age_ms(const struct named *named)
{
    return now_ms() - named->since_ms;
}
