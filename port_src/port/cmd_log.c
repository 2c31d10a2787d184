/*
 * cmd_log.c -- commands about what is kept: sync, checkpoint, digest.
 */
#include "port/call.h"
#include "port/events.h"

/* The reply is held until the seq in it is durable: CMD_SYNC. */
enum status cmd_sync(struct call *call)
{
    if (!call->commands->log.log)
        return ST_NO_LOG;
    put_u64(call->out, store_seq(call->store));
    return ST_OK;
}

enum status cmd_checkpoint(struct call *call)
{
    if (!call->commands->log.log)
        return ST_NO_LOG;
    return checkpointer_request(call->commands->checkpointer, call);
}

enum status cmd_digest(struct call *call)
{
    struct termlog *log = call->commands->log.log;
    struct digest digest = store_digest(call->store);

    if (log && !call->version)
        termlog_append_digest(log, digest);
    put_map(call->out, 2);
    put_atom(call->out, "seq");
    put_u64(call->out, store_seq(call->store));
    put_atom(call->out, "digest");
    put_digest(call->out, digest);
    return ST_OK;
}
