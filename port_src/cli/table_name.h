/*
 * table_name.h -- the NAME of --table: which table somebody means.
 *
 * NAME is the text of an Erlang term, and the same term in any form is the
 * same table. Pids, ports, references and local funs have no text that can be
 * read; names with one in them are compared as they are printed, so whatever
 * the program has printed as a name can be asked for.
 */
#ifndef RHIZOME_CLI_TABLE_NAME_H
#define RHIZOME_CLI_TABLE_NAME_H

#include "cli/text.h"

struct table_name {
    const char *text;  /* borrowed */
    struct buffer key; /* encoded; empty: it is compared as text */
    struct buffer scratch;
};

/* False if `text` is no term. To be freed in either case. */
bool table_name_read(struct table_name *name, const char *text);
void table_name_free(struct table_name *name);

/* Is `term`, which etf_validate() has passed, that name? */
bool table_name_is(struct table_name *name, const uint8_t *term);

#endif
