/*
 * versions.h -- the snapshots and forks that clients hold, by their names.
 *
 * Both are a store that began as a core snapshot: a snapshot is a fork that
 * nobody writes to.
 */
#ifndef RHIZOME_PORT_VERSIONS_H
#define RHIZOME_PORT_VERSIONS_H

#include "core/snapshot.h"
#include "port/journal.h"
#include "port/names.h"

struct commands;
struct versions;
struct version;

/* Open at a time, and how old one may be, where nobody says otherwise. */
#define VERSIONS_MAX_DEFAULT 10000
#define VERSION_AGE_MS_DEFAULT 3600000

enum status versions_create(struct commands *commands, struct versions **ret);
void versions_free(struct versions *versions);
void versions_set_limits(struct versions *versions,
                         const struct version_limits *limits);

/*
 * Opens a version of the head as it is, or of what `from` began as, which is a
 * snapshot (NULL: the head). The name must be free. O(1).
 * Errors: ST_SNAPSHOT_LIMIT, ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status versions_open(struct versions *versions, struct version_name name,
                          struct version *from, bool is_fork,
                          struct version **ret);

/* Lets go of a version, and of all that a holder has: how many there were. */
void version_release(struct version *version);
uint64_t versions_release_holder(struct versions *versions, int64_t holder);

/* NULL if there is none, or it was too old. Looks for those that are: what was
 * found before may be gone. */
struct version *versions_find(struct versions *versions,
                              struct version_name name);

/* A version's store is for reading alone unless it is a fork. */
struct store *version_store(struct version *version);
bool version_is_fork(const struct version *version);

/* What was asked of a fork. */
struct journal *version_journal(struct version *version);

/* Lets go of those that are too old. To be called now and then. */
void versions_look(struct versions *versions);

/* --- {info} ------------------------------------------------------------- */

uint64_t versions_count(const struct versions *versions);

/* All bytes that only versions hold. O(versions). */
size_t versions_bytes(const struct versions *versions);

struct version_figures {
    struct version_name name;
    bool is_fork;
    uint64_t seq; /* that it began at */
    uint64_t age_ms;
    size_t bytes; /* of a fork: its own; else what its snapshot keeps */
};

/* Walks from the oldest one on: NULL starts, and ends. */
const struct version *versions_next(const struct versions *versions,
                                    const struct version *previous,
                                    struct version_figures *ret);

#endif
