/*
 * session.h -- the port mode: frames in on stdin, frames out on stdout, until
 * the client is done.
 */
#ifndef RHIZOME_PORT_SESSION_H
#define RHIZOME_PORT_SESSION_H

#include <stdbool.h>
#include <stddef.h>

/* Limits of --frame-bytes-max. ei counts bytes in an int. */
#define FRAME_BYTES_MAX_DEFAULT (64u << 20)
#define FRAME_BYTES_MAX_LOWEST (1u << 10)
#define FRAME_BYTES_MAX_HIGHEST (1u << 30)

struct session_options {
    size_t memory_limit;    /* bytes of the store; 0: none */
    size_t frame_bytes_max; /* of a request frame, and of one reply */
    bool seal;
    int out; /* process_own_stdout() */
};

/*
 * Serves one client from hello to the end, and gives the exit status
 * (core/exit.h). What went wrong has then been told on stderr. To be called
 * once in a process.
 */
int session_run(const struct session_options *options);

#endif
