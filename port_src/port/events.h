/*
 * events.h -- what the daemon says without being asked: {Name, Term} in a
 * frame of replies. PROTOCOL.md lists them.
 *
 * Each puts one event. Errors, and nothing is put: ST_NO_MEMORY.
 */
#ifndef RHIZOME_PORT_EVENTS_H
#define RHIZOME_PORT_EVENTS_H

#include "core/digest.h"
#include "core/store.h"
#include "port/commands.h"
#include "port/opening.h"
#include "port/versions.h"
#include "port/writer.h"

/* A digest as the binary that it is on the wire. */
void put_digest(struct writer *out, struct digest digest);

/* always, none, {interval, Ms}; or memory, without a log. */
void put_sync_policy(struct writer *out, const struct commands_log *log);

/* `opening` is NULL for a store in memory only. */
enum status event_hello(struct writer *out, const struct commands *commands,
                        const struct store *store, size_t frame_bytes_max,
                        const struct opening *opening);
enum status event_recovering(struct writer *out, uint64_t done, uint64_t total);
enum status event_failed(struct writer *out, const struct opening *opening);

enum status event_seq(struct writer *out, uint64_t seq);
enum status event_checkpointed(struct writer *out, uint64_t seq, uint64_t bytes,
                               uint64_t ms);
/* `text` may be NULL: that of the status. */
enum status event_checkpoint_failed(struct writer *out, enum status st,
                                    const char *text);
enum status event_log(struct writer *out, const char *word);

/* {progress, {Id, Done, Total}}: of a request that asked for it. */
enum status event_progress(struct writer *out, int64_t id, uint64_t done,
                           uint64_t total);

/*
 * {changes, {{Holder, Number}, <<131, [{Seq, [Change]}]>>}} in parts: between
 * the two, `count` pairs {Seq, [Change]} are put. `*ret_bytes` is the size of
 * the binary. On an error the event is gone, whatever there was of it.
 */
struct changes_event {
    size_t binary; /* where it begins */
    size_t list;
};

enum status event_changes_begin(struct writer *out, struct version_name name,
                                struct changes_event *ret);
enum status event_changes_end(struct writer *out,
                              const struct changes_event *event, uint64_t count,
                              size_t *ret_bytes);
enum status event_overflow(struct writer *out, struct version_name name,
                           uint64_t seq);

#endif
