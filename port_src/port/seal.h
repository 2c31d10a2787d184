/*
 * seal.h -- giving up for good what a daemon at work has no need of.
 */
#ifndef RHIZOME_PORT_SEAL_H
#define RHIZOME_PORT_SEAL_H

#include <stdbool.h>

enum seal_kind {
    SEAL_STRICT, /* memory, its open descriptors, threads and the loop */
    SEAL_FILES,  /* these, and calls on files */
};

/*
 * Lets the calling thread, and the threads that it starts from now on, open
 * files beneath the directory only; so it comes before any thread is started.
 * Files that are open stay so. False if this build or the kernel has nothing
 * for it.
 */
bool seal_directory(const char *path);

/*
 * Seals all threads of the calling process, and those that it starts from now
 * on: no new privileges, no debugger of the same user, and a filter on system
 * calls.
 *
 * False if this build has no filter (a sanitizer, an unknown processor) or
 * the kernel refuses one; everything works as before then.
 */
bool seal(enum seal_kind kind);

#endif
