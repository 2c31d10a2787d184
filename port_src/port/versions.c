/*
 * versions.c -- two hash tables, one list.
 *
 *     names     (holder, number) -> version -> version ...
 *     holders   holder           -> version <-> version ...
 *     oldest    version <-> version <-> ... by age
 *     bases     base <-> base ...    one for each core snapshot in use
 *
 * All versions live equally long, so those that are too old stand at the
 * beginning of the list, and looking for them costs nothing when there are
 * none. Age counts from the opening; being read does not keep one young.
 *
 * While nothing changes, snapshots that are taken are one and the same core
 * snapshot. What it keeps from being freed is counted once: so there is a base
 * for each, shared by the versions that began as it.
 */
#include "port/versions.h"

#include <time.h>

#include "port/call.h"

/* Of each hash table at first; it doubles when there are as many versions. */
#define SLOTS_MIN 64

struct base {
    struct snapshot *snapshot; /* kept by the versions' stores */
    uint64_t versions;
    struct base *newer;
    struct base *older;
};

struct version {
    struct versions *registry;
    struct version_name name;
    bool is_fork;
    uint64_t opened_ms;
    struct store *store;
    struct base *base;
    struct journal journal; /* of a fork */

    struct version *next_name; /* in the slot of `names` */
    struct version *next_holder;
    struct version **holder_place; /* what points to it in `holders` */
    struct version *older;
    struct version *newer;
};

struct versions {
    struct commands *commands;
    struct version_limits limits;
    uint64_t count;
    struct version *oldest;
    struct version *newest;
    struct base *newest_base;
    size_t slot_count; /* a power of two */
    struct version **names;
    struct version **holders;
};

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

static struct version **name_slot(const struct versions *versions,
                                  struct version_name name)
{
    uint64_t hash = mix(mix((uint64_t)name.holder) + (uint64_t)name.number);

    return &versions->names[hash & (versions->slot_count - 1)];
}

static struct version **holder_slot(const struct versions *versions,
                                    int64_t holder)
{
    uint64_t hash = mix((uint64_t)holder);

    return &versions->holders[hash & (versions->slot_count - 1)];
}

/* --- lifetime ----------------------------------------------------------- */

enum status versions_create(struct commands *commands, struct versions **ret)
{
    struct versions *versions = mem_zalloc(commands->mem, sizeof(*versions));

    if (!versions)
        return ST_NO_MEMORY;
    versions->commands = commands;
    versions->limits =
        (struct version_limits){VERSIONS_MAX_DEFAULT, VERSION_AGE_MS_DEFAULT};
    *ret = versions;
    return ST_OK;
}

static void slots_free(struct versions *versions)
{
    struct mem *mem = versions->commands->mem;
    size_t size = versions->slot_count * sizeof(*versions->names);

    mem_free(mem, versions->names, size);
    mem_free(mem, versions->holders, size);
}

void versions_free(struct versions *versions)
{
    if (!versions)
        return;
    while (versions->oldest)
        version_release(versions->oldest);
    slots_free(versions);
    mem_free(versions->commands->mem, versions, sizeof(*versions));
}

void versions_set_limits(struct versions *versions,
                         const struct version_limits *limits)
{
    versions->limits = *limits;
}

/* --- the hash tables ---------------------------------------------------- */

static void slots_enter(struct versions *versions, struct version *version)
{
    struct version **name = name_slot(versions, version->name);
    struct version **holder = holder_slot(versions, version->name.holder);

    version->next_name = *name;
    *name = version;
    version->next_holder = *holder;
    version->holder_place = holder;
    if (*holder)
        (*holder)->holder_place = &version->next_holder;
    *holder = version;
}

static void slots_leave(struct versions *versions, struct version *version)
{
    struct version **place = name_slot(versions, version->name);

    while (*place != version)
        place = &(*place)->next_name;
    *place = version->next_name;
    *version->holder_place = version->next_holder;
    if (version->next_holder)
        version->next_holder->holder_place = version->holder_place;
}

/* Makes room for one more. ST_NO_MEMORY. */
static enum status slots_grow(struct versions *versions)
{
    struct mem *mem = versions->commands->mem;
    size_t count = versions->slot_count ? 2 * versions->slot_count : SLOTS_MIN;
    size_t size = count * sizeof(*versions->names);
    struct version **names, **holders;

    if (versions->count < versions->slot_count)
        return ST_OK;
    names = mem_zalloc(mem, size);
    holders = mem_zalloc(mem, size);
    if (!names || !holders) {
        mem_free(mem, names, names ? size : 0);
        mem_free(mem, holders, holders ? size : 0);
        return ST_NO_MEMORY;
    }
    slots_free(versions);
    versions->names = names;
    versions->holders = holders;
    versions->slot_count = count;
    for (struct version *v = versions->oldest; v; v = v->newer)
        slots_enter(versions, v);
    return ST_OK;
}

/* --- bases -------------------------------------------------------------- */

/* Shares or makes the base of `snapshot`, which is the youngest if there is
 * none of it yet. ST_NO_MEMORY. */
static enum status base_share(struct versions *versions,
                              struct snapshot *snapshot, struct base **ret)
{
    struct base *base = versions->newest_base;

    if (!base || base->snapshot != snapshot) {
        base = mem_zalloc(versions->commands->mem, sizeof(*base));
        if (!base)
            return ST_NO_MEMORY;
        base->snapshot = snapshot;
        base->older = versions->newest_base;
        if (base->older)
            base->older->newer = base;
        versions->newest_base = base;
    }
    base->versions++;
    *ret = base;
    return ST_OK;
}

static void base_leave(struct versions *versions, struct base *base)
{
    if (--base->versions)
        return;
    if (base->newer)
        base->newer->older = base->older;
    else
        versions->newest_base = base->older;
    if (base->older)
        base->older->newer = base->newer;
    mem_free(versions->commands->mem, base, sizeof(*base));
}

/* --- opening and letting go --------------------------------------------- */

/* Gives a version its store, and takes part in its base. */
static enum status version_begin(struct version *version, struct version *from)
{
    struct versions *versions = version->registry;
    struct snapshot *snapshot;
    enum status st = ST_OK;

    if (from)
        snapshot = snapshot_keep(store_base(from->store));
    else
        st = snapshot_take(versions->commands->store, &snapshot);
    if (st < 0)
        return st;
    if (from) {
        version->base = from->base;
        version->base->versions++;
    } else {
        st = base_share(versions, snapshot, &version->base);
    }
    if (st == ST_OK) {
        st = snapshot_fork(snapshot, &version->store);
        if (st < 0)
            base_leave(versions, version->base);
    }
    snapshot_release(snapshot); /* the fork keeps it */
    return st;
}

enum status versions_open(struct versions *versions, struct version_name name,
                          struct version *from, bool is_fork,
                          struct version **ret)
{
    struct commands *commands = versions->commands;
    struct version *version;
    enum status st;

    if (versions->count >= versions->limits.max)
        return ST_SNAPSHOT_LIMIT;
    st = slots_grow(versions);
    if (st < 0)
        return st;
    version = mem_zalloc(commands->mem, sizeof(*version));
    if (!version)
        return ST_NO_MEMORY;
    version->registry = versions;
    version->name = name;
    version->is_fork = is_fork;
    version->opened_ms = now_ms();
    st = version_begin(version, from);
    if (st < 0) {
        mem_free(commands->mem, version, sizeof(*version));
        return st;
    }
    journal_init(&version->journal, store_mem(commands->store));
    version->older = versions->newest;
    *(version->older ? &version->older->newer : &versions->oldest) = version;
    versions->newest = version;
    versions->count++;
    slots_enter(versions, version);
    *ret = version;
    return ST_OK;
}

void version_release(struct version *version)
{
    struct versions *versions = version->registry;

    slots_leave(versions, version);
    *(version->older ? &version->older->newer : &versions->oldest) =
        version->newer;
    *(version->newer ? &version->newer->older : &versions->newest) =
        version->older;
    versions->count--;
    journal_deinit(&version->journal);
    store_free(version->store);
    base_leave(versions, version->base);
    mem_free(versions->commands->mem, version, sizeof(*version));
}

uint64_t versions_release_holder(struct versions *versions, int64_t holder)
{
    struct version *version, *next;
    uint64_t count = 0;

    versions_look(versions);
    if (!versions->slot_count)
        return 0;
    for (version = *holder_slot(versions, holder); version; version = next) {
        next = version->next_holder;
        if (version->name.holder != holder)
            continue;
        version_release(version);
        count++;
    }
    return count;
}

void versions_look(struct versions *versions)
{
    uint64_t age_ms = versions->limits.age_ms;
    uint64_t now;

    if (!age_ms || !versions->oldest)
        return;
    now = now_ms();
    while (versions->oldest && now - versions->oldest->opened_ms > age_ms)
        version_release(versions->oldest);
}

struct version *versions_find(struct versions *versions,
                              struct version_name name)
{
    struct version *version;

    versions_look(versions);
    if (!versions->slot_count)
        return NULL;
    version = *name_slot(versions, name);
    while (version && (version->name.holder != name.holder ||
                       version->name.number != name.number))
        version = version->next_name;
    return version;
}

struct store *version_store(struct version *version)
{
    return version->store;
}

bool version_is_fork(const struct version *version)
{
    return version->is_fork;
}

struct journal *version_journal(struct version *version)
{
    return &version->journal;
}

/* --- {info} ------------------------------------------------------------- */

uint64_t versions_count(const struct versions *versions)
{
    return versions->count;
}

/* What only this version holds, besides its base. */
static size_t version_bytes(const struct version *version)
{
    return store_fork_bytes(version->store) + version->journal.bytes;
}

size_t versions_bytes(const struct versions *versions)
{
    size_t bytes = 0;

    for (const struct base *b = versions->newest_base; b; b = b->older)
        bytes += snapshot_bytes(b->snapshot);
    for (const struct version *v = versions->oldest; v; v = v->newer)
        bytes += version_bytes(v);
    return bytes;
}

const struct version *versions_next(const struct versions *versions,
                                    const struct version *previous,
                                    struct version_figures *ret)
{
    const struct version *next = previous ? previous->newer : versions->oldest;

    if (!next)
        return NULL;
    *ret = (struct version_figures){
        .name = next->name,
        .is_fork = next->is_fork,
        .seq = snapshot_seq(next->base->snapshot),
        .age_ms = now_ms() - next->opened_ms,
        .bytes = next->is_fork ? version_bytes(next)
                               : snapshot_bytes(next->base->snapshot),
    };
    return next;
}
