/*
 * seal.h -- giving up for good what a daemon at work has no need of.
 */
#ifndef RHIZOME_PORT_SEAL_H
#define RHIZOME_PORT_SEAL_H

#include <stdbool.h>

/*
 * Seals the calling process, which must not have other threads yet: no new
 * privileges, no debugger of the same user, and a filter on system calls that
 * lets memory, its open descriptors and the loop through and nothing else.
 *
 * False if this build has no filter (a sanitizer, an unknown processor) or
 * the kernel refuses one; everything works as before then.
 */
bool seal(void);

#endif
