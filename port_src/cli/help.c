/*
 * help.c -- `rhizome help [COMMAND]`, and the texts of --help and --version.
 */
#include "cli/subcommands.h"
#include "log/record.h"
#include "port/commands.h"

void help_overview(void)
{
    struct buffer out = BUFFER(cli_mem());

    text_append(&out, "rhizome " RHIZOME_VERSION " -- a relational graph "
                      "store\n\n"
                      "usage: rhizome COMMAND [OPTION ...] [ARGUMENT ...]\n\n");
    for (size_t i = 0; subcommand_list[i]; i++)
        text_format(&out, "  %-12s %s\n", subcommand_list[i]->name,
                    subcommand_list[i]->summary);
    text_append(&out, "\n"
                      "  rhizome COMMAND --help     options and examples\n"
                      "  rhizome --version          --version --json: formats, "
                      "too\n"
                      "  man rhizome                all of it\n");
    output_bytes(buffer_bytes(&out));
    buffer_free(&out);
}

void help_version(bool json)
{
    struct common_options options = {.json = json};
    struct facts facts;

    if (!json) {
        output_text("rhizome " RHIZOME_VERSION "\n");
        return;
    }
    output_set_options(&options);
    facts_begin(&facts);
    facts_text(&facts, "version", RHIZOME_VERSION);
    facts_u64(&facts, "protocol", PROTOCOL_VERSION);
    facts_u64(&facts, "format_major", FORMAT_MAJOR);
    facts_u64(&facts, "format_minor", FORMAT_MINOR);
    facts_end(&facts);
}

static int run(int argc, char **argv)
{
    const struct subcommand *subcommand;
    struct operands operands;
    int status = options_parse(&subcommand_help, argc, argv, NULL, &operands);

    if (status >= 0)
        return status;
    if (operands.count == 0) {
        help_overview();
        return output_status(EXIT_STOPPED);
    }
    subcommand = subcommand_find(operands.items[0]);
    if (!subcommand)
        return wrong_usage(&subcommand_help, "there is no command `%s`",
                           operands.items[0]);
    if (!subcommand->text) {
        char name[32];
        char ask[] = "--help";
        char *own[] = {name, ask, NULL};

        /* One that parses by itself also helps by itself. */
        strncpy(name, subcommand->name, sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        return subcommand->run(2, own);
    }
    options_help(subcommand);
    return output_status(EXIT_STOPPED);
}

const struct subcommand subcommand_help = {
    .name = "help",
    .summary = "this list, or help about one command",
    .run = run,
    .operands = "[COMMAND]",
    .operands_max = 1,
    .text = "What a command does, its options and some examples; without "
            "COMMAND, the\nlist of them.\n",
    .examples = "  rhizome help log\n",
};
