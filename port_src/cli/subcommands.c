#include "cli/subcommands.h"

static const struct subcommand subcommand_port = {
    .name = "port",
    .summary = "serve a client on stdin and stdout (the BEAM starts this)",
    .run = cli_port,
};

const struct subcommand *const subcommand_list[] = {
    &subcommand_port,
    &subcommand_log,
    &subcommand_stat,
    &subcommand_dump,
    &subcommand_replay,
    &subcommand_check,
    &subcommand_compact,
    &subcommand_repair,
    &subcommand_import,
    &subcommand_export,
    &subcommand_completion,
    &subcommand_help,
    NULL,
};

const struct subcommand *subcommand_find(const char *name)
{
    for (size_t i = 0; subcommand_list[i]; i++) {
        if (strcmp(subcommand_list[i]->name, name) == 0)
            return subcommand_list[i];
    }
    return NULL;
}
