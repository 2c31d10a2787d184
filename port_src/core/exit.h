/*
 * exit.h -- the exit statuses of the program, one meaning each.
 *
 * The numbers follow sysexits(3) where it has one. Rhizome.PortOwner maps
 * them to reasons and PROTOCOL.md lists them.
 */
#ifndef RHIZOME_CORE_EXIT_H
#define RHIZOME_CORE_EXIT_H

enum exit_status {
    EXIT_STOPPED = 0,   /* asked to: end of stdin, or SIGTERM */
    EXIT_USAGE = 64,    /* an option or argument is wrong */
    EXIT_PROTOCOL = 65, /* the client sent what is no frame */
    EXIT_INTERNAL = 70, /* a REQUIRE() failed */
    EXIT_NO_MEMORY = 71,
    EXIT_IO = 74,      /* reading or writing failed */
    EXIT_LOCKED = 75,  /* another process holds the directory */
    EXIT_REFUSED = 78, /* the log is damaged; nothing was changed */
};

#endif
