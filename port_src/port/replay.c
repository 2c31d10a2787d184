/*
 * replay.c -- a struct commands whose writer keeps nothing.
 */
#include "port/replay.h"

#include "core/etf.h"
#include "port/call.h"

struct replayer {
    struct mem *mem;
    struct store *store;
    struct writer writer;
    struct commands *commands;
    char why[MESSAGE_BYTES_MAX];
};

enum status replayer_create(struct store *store, struct mem *mem,
                            struct replayer **ret)
{
    struct replayer *replayer = mem_zalloc(mem, sizeof(*replayer));
    enum status st;

    if (!replayer)
        return ST_NO_MEMORY;
    replayer->mem = mem;
    replayer->store = store;
    writer_init(&replayer->writer, mem, SIZE_MAX);
    writer_discard(&replayer->writer, true);
    st = commands_create(store, mem, &replayer->writer, &replayer->commands);
    if (st < 0) {
        replayer_free(replayer);
        return st;
    }
    store_set_removed_bytes_max(store, 0);
    *ret = replayer;
    return ST_OK;
}

void replayer_free(struct replayer *replayer)
{
    if (!replayer)
        return;
    commands_free(replayer->commands);
    writer_deinit(&replayer->writer);
    mem_free(replayer->mem, replayer, sizeof(*replayer));
}

void replayer_set_tick(struct replayer *replayer, void (*tick)(void *context),
                       void *context)
{
    replayer->commands->tick = tick;
    replayer->commands->tick_context = context;
}

void replayer_set_applied(struct replayer *replayer,
                          enum status (*applied)(void *context, uint64_t seq),
                          void *context)
{
    replayer->commands->applied = applied;
    replayer->commands->applied_context = context;
}

enum status replayer_apply(void *context, uint64_t seq, struct bytes term,
                           const char **ret_why)
{
    struct replayer *replayer = context;
    size_t size;
    enum status st = etf_validate(term, &size, NULL);

    if (st == ST_OK && size != term.size)
        st = ST_BAD_TERM;
    if (st < 0) {
        *ret_why = status_text(st);
        return st;
    }
    if (seq != store_seq(replayer->store) + 1) {
        *ret_why = "the store is not at the seq before it";
        return ST_BAD_ARGUMENT;
    }
    *ret_why = replayer->why;
    return commands_apply(replayer->commands, term, replayer->why);
}
