/*
 * status.h -- the one list of ways to fail, and REQUIRE().
 *
 * Each row gives the C name, its number, the atom that travels to the client
 * and the sentence that stands in an error reply when nothing more precise is
 * known. The client has the same list (Rhizome.Error), PROTOCOL.md has it as
 * a table, and a test compares the three.
 */
#ifndef RHIZOME_CORE_STATUS_H
#define RHIZOME_CORE_STATUS_H

#include <stdbool.h>

/* clang-format off */
#define STATUS_LIST(X)                                                        \
    X(BAD_TERM, -1, "bad_term",                                               \
      "the bytes are no valid external term")                                 \
    X(TOO_DEEP, -2, "too_deep",                                               \
      "the term is nested too deeply")                                        \
    X(TOO_BIG, -3, "too_big",                                                 \
      "a key, a value or a reply is larger than its limit")                   \
    X(BAD_REQUEST, -4, "bad_request",                                         \
      "a request must be {Id, Op} with an integer Id and a tuple Op")         \
    X(UNKNOWN_COMMAND, -5, "unknown_command",                                 \
      "no command has this name")                                             \
    X(WRONG_ARITY, -6, "wrong_arity",                                         \
      "the command takes another number of arguments")                        \
    X(BAD_ARGUMENT, -7, "bad_argument",                                       \
      "an argument has the wrong type or value")                              \
    X(NO_TABLE, -8, "no_table",                                               \
      "no table has this name; create it first")                              \
    X(TABLE_EXISTS, -9, "table_exists",                                       \
      "a table of this name exists already")                                  \
    X(WRONG_TABLE_TYPE, -10, "wrong_table_type",                              \
      "the table's type has no such command, side or set of one key")         \
    X(NOT_FOUND, -11, "not_found",                                            \
      "no row has this id")                                                   \
    X(MISSING_REFERENCE, -12, "missing_reference",                            \
      "a side must exist in the table that it refers to; insert it there")    \
    X(RESTRICTED, -13, "restricted",                                          \
      "other tables still refer to this; delete their pairs first")           \
    X(MEMORY_LIMIT, -14, "memory_limit",                                      \
      "the store's memory limit is reached; delete something or raise it")    \
    X(NO_MEMORY, -15, "no_memory",                                            \
      "the operating system gave no memory")                                  \
    X(EXHAUSTED, -16, "exhausted",                                            \
      "the table has given out all of its ids")                               \
    X(LOG_FULL, -17, "log_full",                                              \
      "there is no room on the disk for the log; nothing was done")           \
    X(NO_LOG, -18, "no_log",                                                  \
      "the store is in memory only; start it with a directory")               \
    X(LOG_REFUSED, -19, "log_refused",                                        \
      "the log is damaged and was not changed; see rhizome check --help")     \
    X(LOCKED, -20, "locked",                                                  \
      "another process holds the directory")                                  \
    X(IO, -21, "io",                                                          \
      "a file could not be read or written")                                  \
    X(NO_SNAPSHOT, -22, "no_snapshot",                                        \
      "no snapshot or fork has this name: released, too old, or never taken") \
    X(SNAPSHOT_LIMIT, -23, "snapshot_limit",                                  \
      "as many snapshots and forks are open as may be; release one")          \
    X(CONFLICT, -24, "conflict",                                              \
      "what the fork has read was changed since; fork and try again")         \
    X(STALE, -25, "stale",                                                    \
      "the store is no longer at the seq that was expected")                  \
    X(DEADLINE, -26, "deadline",                                              \
      "the time for the request was up before it was done")                   \
    X(ROW_LIMIT, -27, "row_limit",                                            \
      "the request looked at as many elements as it may")                     \
    X(MEMORY_BUDGET, -28, "memory_budget",                                    \
      "the request needs more memory than it may take")                       \
    X(CANCELLED, -29, "cancelled",                                            \
      "the request was cancelled")                                            \
    X(NO_HISTORY, -30, "no_history",                                          \
      "the changes from this seq on are no longer there")                      \
    X(NO_VERTEX, -31, "no_vertex",                                            \
      "the graph has no such vertex")                                         \
    X(BAD_WEIGHT, -32, "bad_weight",                                          \
      "the weight of an edge is no number, or one that may not be here")      \
    X(CYCLIC, -33, "cyclic",                                                  \
      "the graph has a cycle, and what was asked for exists without one only")\
    X(NO_PROJECTION, -34, "no_projection",                                    \
      "no projection has this name; it was dropped, or never made")           \
    X(NO_RESULT, -35, "no_result",                                            \
      "no result has this name: released, too old, or never made")
/* clang-format on */

enum status {
    ST_OK = 0,
#define STATUS_ENUM(name, number, atom, text) ST_##name = (number),
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
};

/* The atom that a reply carries, as in "no_table"; "ok" for ST_OK. */
const char *status_atom(enum status st);

/* The general sentence of a status: what happened and what to do. */
const char *status_text(enum status st);

/*
 * Ends the program with EXIT_INTERNAL (70) if `condition` is false, in
 * release builds too. For our own mistakes only: bytes that come from
 * outside earn a status.
 */
#define REQUIRE(condition)                                                     \
    ((condition) ? (void)0 : require_failed(#condition, __FILE__, __LINE__))

_Noreturn void require_failed(const char *condition, const char *file,
                              int line);

#endif
