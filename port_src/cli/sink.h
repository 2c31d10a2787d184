/*
 * sink.h -- where a dump goes: stdout, or a file that appears when it is whole.
 *
 * A file is written beside its place, synced and renamed, so that nobody ever
 * takes half a dump for one. What exists and is no regular file (/dev/null, a
 * FIFO) is written to as it is.
 */
#ifndef RHIZOME_CLI_SINK_H
#define RHIZOME_CLI_SINK_H

#include "cli/text.h"

struct sink {
    int fd; /* -1: stdout */
    struct buffer path;
    struct buffer temporary; /* empty: it is written in place */
    struct buffer pending;
    int error; /* errno of the first failure */
};

/* `path` NULL is stdout. -1, or an exit status after a complaint. */
int sink_open(struct sink *sink, const char *path);

void sink_bytes(struct sink *sink, struct bytes bytes);
void sink_text(struct sink *sink, const char *text);

/* True once writing has failed. */
bool sink_broken(const struct sink *sink);

/* Puts the file in its place if `complete`, and drops it otherwise. -1, or an
 * exit status after a complaint. */
int sink_close(struct sink *sink, bool complete);

#endif
