/*
 * subcommands.h -- the list of everything that `rhizome` can be told to do.
 */
#ifndef RHIZOME_CLI_SUBCOMMANDS_H
#define RHIZOME_CLI_SUBCOMMANDS_H

#include "cli/options.h"

extern const struct subcommand subcommand_log;
extern const struct subcommand subcommand_stat;
extern const struct subcommand subcommand_dump;
extern const struct subcommand subcommand_replay;
extern const struct subcommand subcommand_check;
extern const struct subcommand subcommand_compact;
extern const struct subcommand subcommand_repair;
extern const struct subcommand subcommand_import;
extern const struct subcommand subcommand_export;
extern const struct subcommand subcommand_help;
extern const struct subcommand subcommand_completion;

/* cli/port.c: it parses its own options, for it must own stdout first. */
int cli_port(int argc, char **argv);

/* In the order of `rhizome help`; NULL ends it. */
extern const struct subcommand *const subcommand_list[];

/* NULL if none has this name. */
const struct subcommand *subcommand_find(const char *name);

/* `rhizome --help` and `rhizome --version [--json]`, on stdout. */
void help_overview(void);
void help_version(bool json);

#endif
