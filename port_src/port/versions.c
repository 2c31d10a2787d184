/*
 * versions.c -- stores that clients hold by their names (names.h).
 *
 *     bases     base <-> base ...    one for each core snapshot in use
 *
 * While nothing changes, snapshots that are taken are one and the same core
 * snapshot. What it keeps from being freed is counted once: so there is a base
 * for each, shared by the versions that began as it.
 */
#include "port/versions.h"

#include "port/call.h"

struct base {
    struct snapshot *snapshot; /* kept by the versions' stores */
    uint64_t versions;
    struct base *newer;
    struct base *older;
};

struct version {
    struct named named; /* the first: it is found by it */
    struct versions *registry;
    bool is_fork;
    struct store *store;
    struct base *base;
    struct journal journal; /* of a fork */
};

struct versions {
    struct commands *commands;
    struct names names;
    struct base *newest_base;
};

static struct version *version_of(struct named *named)
{
    return (struct version *)(void *)named;
}

/* --- lifetime ----------------------------------------------------------- */

static void on_release(struct named *named)
{
    version_release(version_of(named));
}

enum status versions_create(struct commands *commands, struct versions **ret)
{
    static const struct version_limits limits = {VERSIONS_MAX_DEFAULT,
                                                 VERSION_AGE_MS_DEFAULT};
    struct versions *versions = mem_zalloc(commands->mem, sizeof(*versions));

    if (!versions)
        return ST_NO_MEMORY;
    versions->commands = commands;
    names_init(&versions->names, commands->mem, &limits, on_release);
    *ret = versions;
    return ST_OK;
}

void versions_free(struct versions *versions)
{
    if (!versions)
        return;
    names_deinit(&versions->names);
    mem_free(versions->commands->mem, versions, sizeof(*versions));
}

void versions_set_limits(struct versions *versions,
                         const struct version_limits *limits)
{
    versions->names.limits = *limits;
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
    bool room;
    enum status st = names_admit(&versions->names, &room);

    if (st == ST_OK && !room)
        return ST_SNAPSHOT_LIMIT;
    if (st < 0)
        return st;
    version = mem_zalloc(commands->mem, sizeof(*version));
    if (!version)
        return ST_NO_MEMORY;
    version->registry = versions;
    version->is_fork = is_fork;
    st = version_begin(version, from);
    if (st < 0) {
        mem_free(commands->mem, version, sizeof(*version));
        return st;
    }
    journal_init(&version->journal, store_mem(commands->store));
    names_enter(&versions->names, &version->named, name);
    *ret = version;
    return ST_OK;
}

void version_release(struct version *version)
{
    struct versions *versions = version->registry;

    names_leave(&versions->names, &version->named);
    journal_deinit(&version->journal);
    store_free(version->store);
    base_leave(versions, version->base);
    mem_free(versions->commands->mem, version, sizeof(*version));
}

uint64_t versions_release_holder(struct versions *versions, int64_t holder)
{
    return names_release_holder(&versions->names, holder);
}

void versions_look(struct versions *versions)
{
    names_look(&versions->names);
}

struct version *versions_find(struct versions *versions,
                              struct version_name name)
{
    return version_of(names_find(&versions->names, name));
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
    return versions->names.count;
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
    for (struct named *n = versions->names.oldest; n; n = n->newer)
        bytes += version_bytes(version_of(n));
    return bytes;
}

const struct version *versions_next(const struct versions *versions,
                                    const struct version *previous,
                                    struct version_figures *ret)
{
    const struct version *next =
        version_of(previous ? previous->named.newer : versions->names.oldest);

    if (!next)
        return NULL;
    *ret = (struct version_figures){
        .name = next->named.name,
        .is_fork = next->is_fork,
        .seq = snapshot_seq(next->base->snapshot),
        .age_ms = named_age_ms(&next->named),
        .bytes = next->is_fork ? version_bytes(next)
                               : snapshot_bytes(next->base->snapshot),
    };
    return next;
}
