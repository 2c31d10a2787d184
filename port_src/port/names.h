/*
 * names.h -- what clients hold by names of their own: {Holder, Number}.
 *
 * Snapshots, forks and results of algorithms are held in the same way: the
 * client picks both integers, a holder stands for one of its processes, and
 * what a process has goes when it does. Nothing is held for ever: there is a
 * most that are held at a time, and an age at which each is let go.
 *
 * Who is held embeds a struct named.
 */
#ifndef RHIZOME_PORT_NAMES_H
#define RHIZOME_PORT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"

struct version_name {
    int64_t holder;
    int64_t number;
};

struct version_limits {
    uint64_t max;    /* held at a time */
    uint64_t age_ms; /* 0: any */
};

struct named {
    struct version_name name;
    uint64_t since_ms;

    struct named *next_name; /* in the slot of `names` */
    struct named *next_holder;
    struct named **holder_place; /* what points to it in `holders` */
    struct named *older;
    struct named *newer;
};

struct names {
    struct mem *mem;
    struct version_limits limits;
    void (*release)(struct named *named); /* names_leave(), and frees */
    uint64_t count;
    struct named *oldest;
    struct named *newest;
    size_t slot_count; /* a power of two */
    struct named **names;
    struct named **holders;
};

void names_init(struct names *names, struct mem *mem,
                const struct version_limits *limits,
                void (*release)(struct named *named));

/* Releases all. */
void names_deinit(struct names *names);

/* Makes room for one more: names_enter() cannot fail then. False: there are
 * as many as may be. ST_NO_MEMORY. */
enum status names_admit(struct names *names, bool *ret_room);

/* `named` is called `name` from now on. The name must be free. */
void names_enter(struct names *names, struct named *named,
                 struct version_name name);
void names_leave(struct names *names, struct named *named);

/* NULL if there is none, or it was too old. Looks for those that are: what was
 * found before may be gone. */
struct named *names_find(struct names *names, struct version_name name);

/* Releases all that a holder has: how many there were. */
uint64_t names_release_holder(struct names *names, int64_t holder);

/* Releases those that are too old. To be called now and then. */
void names_look(struct names *names);

/* By the clock of `since_ms`. */
uint64_t named_age_ms(const struct named *named);

#endif
