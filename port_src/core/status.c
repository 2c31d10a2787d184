#include "core/status.h"

#include <stdio.h>
#include <unistd.h>

#include "core/exit.h"

const char *status_atom(enum status st)
{
    switch (st) {
#define STATUS_ATOM(name, number, atom, text)                                  \
    case ST_##name:                                                            \
        return atom;
        STATUS_LIST(STATUS_ATOM)
#undef STATUS_ATOM
    case ST_OK:
        break;
    }
    return "ok";
}

const char *status_text(enum status st)
{
    switch (st) {
#define STATUS_TEXT(name, number, atom, text)                                  \
    case ST_##name:                                                            \
        return text;
        STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    case ST_OK:
        break;
    }
    return "no error";
}

void require_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr,
            "rhizome: internal error: %s does not hold at %s:%d; "
            "please report it\n",
            condition, file, line);
    fflush(stderr);
    _exit(EXIT_INTERNAL);
}
