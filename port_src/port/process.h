/*
 * process.h -- what a program must settle before its first line of output:
 * its descriptors, its signals, and whose child it is.
 */
#ifndef RHIZOME_PORT_PROCESS_H
#define RHIZOME_PORT_PROCESS_H

#include <stdbool.h>

/*
 * Moves stdout to a private descriptor, which is returned (-1 if it or stdin
 * was closed: there is no client), and makes descriptor 1 another name for
 * stderr. Call it first.
 *
 * Only frames may reach the client: it takes four stray bytes for a length.
 * Whatever a library prints goes to stderr from now on. Descriptors 0, 1 and
 * 2 are all open afterwards, so that no other file can ever be one of them.
 */
int process_own_stdout(void);

/*
 * Ignores SIGPIPE, SIGXFSZ, SIGINT and SIGHUP (a terminal's Ctrl-C is the
 * client's affair), writes no core file, and asks for SIGKILL when the parent
 * dies. False if the parent has died meanwhile.
 */
bool process_settle(void);

/* One line to stderr: "rhizome: " and a sentence. It never holds data. */
void process_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
