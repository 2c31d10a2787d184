/*
 * options.h -- a subcommand as a table: what it is called, what it takes, and
 * what it says about itself. Parsing, --help and the completion of a shell
 * all come from it, and a test holds the manual page against it.
 *
 * To add the subcommand `frob`:
 *
 *   1. cli/frob.c: a struct of its options that begins with the common ones,
 *      rows that name its fields, and the subcommand itself:
 *
 *          struct frob_options {
 *              struct common_options common;
 *              uint64_t until;
 *          };
 *
 *          static const struct option_row rows[] = {
 *              {"until", 'u', OPTION_COUNT, offsetof(struct frob_options,
 *               until), "SEQ", "stop behind this mutation"},
 *              {NULL},
 *          };
 *
 *          static int run(int argc, char **argv)
 *          {
 *              struct frob_options options = {.until = UINT64_MAX};
 *              struct operands paths;
 *              int status = options_parse(&subcommand_frob, argc, argv,
 *                                         &options, &paths);
 *
 *              if (status >= 0)
 *                  return status;
 *              ... source_open(), work, facts ...
 *              return output_status(status);
 *          }
 *
 *          const struct subcommand subcommand_frob = {
 *              .name = "frob", .run = run, .rows = rows, ...
 *          };
 *
 *   2. subcommands.[ch]: a declaration and a place in the list.
 *   3. rhizome.1: a section; test_cli_help fails until it is there.
 *   4. test/cli/test_frob.c.
 */
#ifndef RHIZOME_CLI_OPTIONS_H
#define RHIZOME_CLI_OPTIONS_H

#include "cli/output.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_FILE,   /* const char *; a shell completes names of files */
    OPTION_COUNT,  /* uint64_t, in decimal */
    OPTION_CHOICE, /* unsigned: which word of "one|two|three", from 0 */
};

struct option_row {
    const char *name; /* without --; NULL ends the table */
    char letter;      /* 0: none */
    enum option_kind kind;
    size_t offset;        /* of the field in the subcommand's options */
    const char *argument; /* "SEQ", or the words of a choice */
    const char *text;     /* what it does; lines broken as is */
};

struct subcommand {
    const char *name;
    const char *summary;               /* a line of `rhizome help` */
    int (*run)(int argc, char **argv); /* argv[0]: its name; exit status */

    /* A subcommand that parses by itself has none of these. */
    const char *operands; /* "PATH ...", or NULL: it takes none */
    unsigned operands_min;
    unsigned operands_max;
    const char *words; /* the first operand, "one|two"; NULL: a file. Others
                          are files */
    const char *text;  /* paragraphs for --help */
    const char *examples;
    const struct option_row *rows; /* its own; NULL: plain, just --help */
};

/* What is left when options are taken out. Borrowed from argv. */
struct operands {
    char **items;
    size_t count;
};

/*
 * Fills `options`, which begins with a struct common_options and holds the
 * defaults, and hands the common ones to output.h. Gives -1 to go on, or the
 * exit status: of --help (0), or of a mistake that it has complained about.
 * Options may stand behind operands; `--` ends them.
 */
int options_parse(const struct subcommand *subcommand, int argc, char **argv,
                  void *options, struct operands *ret);

/* --help, on stdout. */
void options_help(const struct subcommand *subcommand);

/* Calls `each` with every option, the common ones and --help included. */
void options_each(const struct subcommand *subcommand,
                  void (*each)(void *context, const struct option_row *row),
                  void *context);

/* For a mistake that only the subcommand can see; gives EXIT_USAGE. */
int wrong_usage(const struct subcommand *subcommand, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
