/*
 * cli/progress.h -- how far a long piece of work has come, on stderr.
 *
 *     replaying  [=========>                ]  38%  1.2 GiB  310 MiB/s  0:07
 * left
 *
 * Shown if stderr is a terminal, from half a second on and ten times a second
 * at most, no wider than the terminal is, and gone again at the end, also if
 * that is a signal. With --json --progress=always it is one
 * object a line instead: {"progress":"replaying","done":N,"total":N,...}.
 * Nothing is written when stderr is piped, or with --progress=never or
 * --quiet.
 */
#ifndef RHIZOME_CLI_PROGRESS_H
#define RHIZOME_CLI_PROGRESS_H

#include "cli/output.h"

struct meter {
    const char *what; /* "replaying" */
    bool in_bytes;    /* what is counted; false: elements */
    bool json;
    bool on;
    uint64_t started_ns;
    uint64_t drawn_ns; /* 0: never yet */
};

/* Starts the clock. `what` is borrowed. */
void meter_start(struct meter *meter, const char *what, bool in_bytes,
                 const struct common_options *options);

/* For struct progress of checkpoint.h; `meter` is a struct meter. Cheap
 * enough to call for every few kilobytes. */
void meter_report(void *meter, uint64_t done, uint64_t total);

/* Takes the bar away. */
void meter_stop(struct meter *meter);

/* Takes whatever bar there is from the screen, before a line is written. */
void meter_clear(void);

#endif
