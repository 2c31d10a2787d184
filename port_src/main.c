/*
 * main.c -- finds the subcommand and gives back its exit status.
 *
 * cli/subcommands.c lists the subcommands; cli/options.h says how to add one.
 */
#include <string.h>
#include <unistd.h>

#include "cli/subcommands.h"

/* `rhizome` alone: help for somebody at a terminal. A program that starts it
 * so has made a mistake, and must not take a text for an answer. */
static int run_alone(void)
{
    if (!isatty(STDOUT_FILENO)) {
        complain("what is to be done? see rhizome --help");
        return EXIT_USAGE;
    }
    help_overview();
    return output_status(EXIT_STOPPED);
}

int main(int argc, char **argv)
{
    const struct subcommand *subcommand;

    if (argc >= 2 && strcmp(argv[1], "port") == 0)
        return cli_port(argc - 1, argv + 1); /* settles descriptors itself */
    output_settle();
    if (argc < 2)
        return run_alone();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_overview();
        return output_status(EXIT_STOPPED);
    }
    if (strcmp(argv[1], "--version") == 0) {
        help_version(argc > 2 && strcmp(argv[2], "--json") == 0);
        return output_status(EXIT_STOPPED);
    }
    subcommand = subcommand_find(argv[1]);
    if (!subcommand) {
        complain("unknown command `%s`; see rhizome --help", argv[1]);
        return EXIT_USAGE;
    }
    return subcommand->run(argc - 1, argv + 1);
}
