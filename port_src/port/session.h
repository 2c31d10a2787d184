/*
 * session.h -- the port mode: frames in on stdin, frames out on stdout, until
 * the client is done.
 */
#ifndef RHIZOME_PORT_SESSION_H
#define RHIZOME_PORT_SESSION_H

#include "port/awake.h"
#include "port/commands.h"
#include "port/versions.h"

#define CHECKPOINT_RATIO_DEFAULT 2.0
#define CHECKPOINT_BYTES_MIN_DEFAULT (64u << 20)
#define SYNC_INTERVAL_MS_DEFAULT 1000
#define SYNC_INTERVAL_MS_MAX 3600000
#define LOCK_WAIT_MS_DEFAULT 5000

/* Limits of --frame-bytes-max. ei counts bytes in an int. */
#define FRAME_BYTES_MAX_DEFAULT (64u << 20)
#define FRAME_BYTES_MAX_LOWEST (1u << 10)
#define FRAME_BYTES_MAX_HIGHEST (1u << 30)

struct session_options {
    size_t memory_limit;            /* bytes of the store; 0: none */
    size_t frame_bytes_max;         /* of a request frame, and of one reply */
    struct version_limits versions; /* the age is that of results, too */
    unsigned threads;               /* of an algorithm; 0: one a processor */
    size_t projection_cache;        /* bytes; SIZE_MAX: the default */
    unsigned busy_wait_us;          /* awake.h; 0: never */
    bool seal;
    int out; /* process_own_stdout() */

    const char *directory; /* NULL: in memory only, and the rest is void */
    enum sync_policy policy;
    unsigned interval_ms;
    bool has_expect; /* what the client was told last */
    uint8_t expect_store[STORE_ID_BYTES];
    uint64_t expect_seq;
    struct checkpoint_rule checkpoints;
    bool checkpoint_at_stop;
    size_t segment_bytes;
    unsigned lock_wait_ms;
};

/*
 * Serves one client from hello to the end, and gives the exit status
 * (core/exit.h). What went wrong has then been told on stderr. To be called
 * once in a process.
 */
int session_run(const struct session_options *options);

#endif
