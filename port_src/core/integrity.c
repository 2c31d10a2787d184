/*
 * integrity.c -- what keeps a junction from mentioning what is not there.
 *
 *     table "owns"                        table "npc"
 *       links[fwd] -- target ----------->   referrers: (owns, fwd), ...
 *       links[bwd] -- target --> "item"
 *
 * A link says that every key of its side is a fwd key of its target. A table
 * can only refer to tables that are there before it, so links form no ring
 * and a cascade ends.
 *
 * After a mutation of a linked table, integrity_settle() reads the records
 * that it made, up to an end that moves as evictions append to it:
 *
 *     ADD where a side has a target    its key must exist there
 *     REMOVE that took a key's last    referrers refuse, or evict that key
 *     CLEAR                            referrers refuse, or are cleared
 *
 * So a cascade needs no recursion and no queue of its own: the list of what
 * has happened is the list of what there is to do. Targets are never changed
 * by a cascade, only referrers are, so an ADD that was found good stays good.
 *
 * A removal asks all referrers that restrict before any that evicts, and both
 * in the order of their names: a result does not depend on the order in which
 * tables were created, or dropped and restored by a rollback.
 *
 * Invariants; integrity_check() verifies 1, integrity_check_key() 2:
 *   1. A link with a target is once in the target's list, which is sorted.
 *   2. Every key of a side with a target is a fwd key of the target.
 */
#include "core/store_internal.h"

#include <stdio.h>

#define NONE (bytes_of(NULL, 0))

/* --- Links -------------------------------------------------------------- */

static int link_compare(const struct link *a, const struct link *b)
{
    int order = bytes_compare(table_name(a->table), table_name(b->table));

    return order ? order : (int)a->side - (int)b->side;
}

/* The place in the sorted list of `target` where `link` is or would be. */
static struct link **link_place(struct table *target, const struct link *link)
{
    struct link **place = &target->referrers;

    while (*place && link_compare(*place, link) < 0)
        place = &(*place)->next;
    return place;
}

static void flag(struct table *table)
{
    table->linked = table->referrers || table->links[SIDE_FWD].target ||
                    table->links[SIDE_BWD].target;
}

void integrity_link(struct table *table)
{
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        struct link *link = &table->links[side];
        struct link **place;

        if (!link->target)
            continue;
        place = link_place(link->target, link);
        link->next = *place;
        *place = link;
        flag(link->target);
    }
    flag(table);
}

void integrity_unlink(struct table *table)
{
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        struct link *link = &table->links[side];
        struct link **place;

        if (!link->target)
            continue;
        place = link_place(link->target, link);
        REQUIRE(*place == link);
        *place = link->next;
        link->next = NULL;
        flag(link->target);
    }
}

/* --- Settling ----------------------------------------------------------- */

static enum status settle_add(struct store *store, const struct change *change)
{
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        const struct table *target = change->table->links[side].target;
        struct bytes key = side == SIDE_FWD ? change->first : change->second;

        if (target && !table_has_key(target, SIDE_FWD, key))
            return store_fail(store, ST_MISSING_REFERENCE, NULL,
                              table_name(target), key);
    }
    return ST_OK;
}

static enum status settle_remove(struct store *store,
                                 const struct change *change)
{
    struct link *referrers = change->table->referrers;
    uint64_t count;
    enum status st;

    if (!referrers || table_has_key(change->table, SIDE_FWD, change->first))
        return ST_OK;
    for (struct link *link = referrers; link; link = link->next)
        if (link->on_delete == ON_DELETE_RESTRICT &&
            table_has_key(link->table, link->side, change->first))
            return store_fail(store, ST_RESTRICTED, NULL,
                              table_name(link->table), change->first);

    /* Evictions move the list, and the key lies in it. */
    store->key.size = 0;
    st = buffer_append(&store->key, change->first);
    for (struct link *link = referrers; link && st == ST_OK; link = link->next)
        if (link->on_delete == ON_DELETE_EVICT)
            st = table_remove_key(store, link->table, link->side,
                                  buffer_bytes(&store->key), &count);
    return st;
}

static enum status settle_clear(struct store *store, struct table *table)
{
    enum status st = ST_OK;

    for (struct link *link = table->referrers; link; link = link->next)
        if (link->on_delete == ON_DELETE_RESTRICT && table_count(link->table))
            return store_fail(store, ST_RESTRICTED, NULL,
                              table_name(link->table), NONE);
    for (struct link *link = table->referrers; link && st == ST_OK;
         link = link->next)
        st = change_clear(store, link->table);
    return st;
}

enum status integrity_settle(struct store *store, size_t mark)
{
    struct change change;
    enum status st = ST_OK;

    while (st == ST_OK && store_change_next(store, &mark, &change)) {
        switch (change.kind) {
        case CHANGE_ADD:
            st = settle_add(store, &change);
            break;
        case CHANGE_REMOVE:
            st = settle_remove(store, &change);
            break;
        case CHANGE_CLEAR:
            st = settle_clear(store, change.table);
            break;
        case CHANGE_NEXT_ID:
        case CHANGE_CREATE:
        case CHANGE_DROP:
            break;
        }
    }
    return st;
}

/* --- Checking ----------------------------------------------------------- */

bool integrity_check_key(const struct table *table, enum side side,
                         struct bytes key)
{
    const struct table *target = table->links[side].target;

    return !target || table_has_key(target, SIDE_FWD, key);
}

bool integrity_check(const struct table *table, char *why, size_t why_size)
{
    const char *text = NULL;

    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        const struct link *link = &table->links[side];

        if (link->target && *link_place(link->target, link) != link)
            text = "a target does not know of a link";
    }
    for (const struct link *link = table->referrers; link; link = link->next) {
        if (link->target != table || !table->linked || !link->table->linked)
            text = "a link is in the wrong list";
        if (link->next && link_compare(link, link->next) >= 0)
            text = "a list of links is not sorted";
    }
    if (text && why_size)
        snprintf(why, why_size, "%s", text);
    return !text;
}
