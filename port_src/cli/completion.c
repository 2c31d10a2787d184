/*
 * completion.c -- `rhizome completion bash`: a script that knows the options,
 * written from the same tables that parse them.
 */
#include "cli/subcommands.h"

static const char head[] =
    "# bash completion for rhizome; written by `rhizome completion bash`.\n"
    "# Load it with: source <(rhizome completion bash)\n"
    "\n"
    "_rhizome()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev='' "
    "command=${COMP_WORDS[1]-}\n"
    "    local options='' words='' files=''\n"
    "\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD > 0)); then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    fi\n"
    "    # bash takes --format=text for three words.\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $prev == = ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n";

static const char tail[] =
    "    if [[ $cur == -* ]]; then\n"
    "        words=$options files=\n"
    "    fi\n"
    "    if [[ -n $files ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F _rhizome rhizome\n";

static void put_option(void *context, const struct option_row *row)
{
    text_format(context, " --%s", row->name);
    if (row->letter)
        text_format(context, " -%c", row->letter);
}

/* "one|two" as "one two". */
static void put_words(struct buffer *out, const char *words)
{
    for (; *words; words++)
        text_byte(out, *words == '|' ? ' ' : *words);
}

/* What may stand behind an option that takes an argument. */
static void put_argument(void *context, const struct option_row *row)
{
    struct buffer *out = context;

    if (row->kind == OPTION_FLAG)
        return;
    text_format(out, "        --%s", row->name);
    if (row->letter)
        text_format(out, " | -%c", row->letter);
    if (row->kind == OPTION_FILE) {
        text_append(out, ") files=1 ;;\n");
    } else if (row->kind == OPTION_CHOICE) {
        text_append(out, ") words=\"");
        put_words(out, row->argument);
        text_append(out, "\" files= ;;\n");
    } else {
        text_append(out, ") return ;;\n");
    }
}

static void put_subcommand(struct buffer *out,
                           const struct subcommand *subcommand)
{
    text_format(out, "    %s)\n        options=\"", subcommand->name);
    if (!subcommand->text) {
        /* It parses by itself; so ask it. */
        text_format(out,
                    "$(rhizome %s --help 2>/dev/null |\n"
                    "            grep -oE -- '^ *--[a-z-]+')\"\n        ;;\n",
                    subcommand->name);
        return;
    }
    options_each(subcommand, put_option, out);
    text_append(out, "\"\n");
    if (subcommand == &subcommand_help) {
        text_append(out, "        words=$commands\n");
    } else if (subcommand->words) {
        /* Behind the first one there can only be files. */
        bool more = subcommand->operands_max > 1;

        text_append(out, more ? "        files=1\n"
                                "        ((COMP_CWORD == 2)) && files= words=\""
                              : "        words=\"");
        put_words(out, subcommand->words);
        text_append(out, "\"\n");
    } else {
        text_append(out, "        files=1\n");
    }
    if (subcommand->rows) {
        text_append(out, "        case $prev in\n");
        options_each(subcommand, put_argument, out);
        text_append(out, "        esac\n");
    }
    text_append(out, "        ;;\n");
}

static int run(int argc, char **argv)
{
    struct buffer out = BUFFER(cli_mem());
    struct operands operands;
    int status =
        options_parse(&subcommand_completion, argc, argv, NULL, &operands);

    if (status >= 0)
        return status;
    if (strcmp(operands.items[0], "bash") != 0)
        return wrong_usage(&subcommand_completion,
                           "there is completion for bash, and none for `%s`",
                           operands.items[0]);
    text_append(&out, head);
    text_append(&out, "    local commands=\"");
    for (size_t i = 0; subcommand_list[i]; i++)
        text_format(&out, "%s%s", i ? " " : "", subcommand_list[i]->name);
    text_append(&out, "\"\n\n"
                      "    if ((COMP_CWORD == 1)); then\n"
                      "        command=\n"
                      "        options=\"--help --version\" words=$commands\n"
                      "    fi\n"
                      "    case $command in\n");
    for (size_t i = 0; subcommand_list[i]; i++)
        put_subcommand(&out, subcommand_list[i]);
    text_append(&out, "    esac\n");
    text_append(&out, tail);
    output_bytes(buffer_bytes(&out));
    buffer_free(&out);
    return output_status(EXIT_STOPPED);
}

const struct subcommand subcommand_completion = {
    .name = "completion",
    .summary = "a script that lets a shell complete commands and options",
    .run = run,
    .operands = "bash",
    .operands_min = 1,
    .operands_max = 1,
    .words = "bash",
    .text = "Prints a completion script. `make install` puts it where bash "
            "looks for it;\nwithout that, load it by hand.\n",
    .examples = "  source <(rhizome completion bash)\n",
};
