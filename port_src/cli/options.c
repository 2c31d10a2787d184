#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 32
#define HELP_INDENT 25

/* In the order of --help, behind the subcommand's own. */
static const struct option_row common_rows[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct common_options, json), NULL,
     "for programs: one JSON object, or one a line"},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct common_options, quiet), NULL,
     "nothing on stderr but errors"},
    {"progress", 0, OPTION_CHOICE, offsetof(struct common_options, progress),
     "auto|always|never",
     "a progress bar on stderr; with --json: objects\n"
     "(default: auto, if stderr is a terminal)"},
    {"color", 0, OPTION_CHOICE, offsetof(struct common_options, color),
     "auto|always|never",
     "colours on stdout (default: auto, if it is a\n"
     "terminal and NO_COLOR is not set)"},
    {NULL, 0, 0, 0, NULL, NULL},
};

static const struct option_row help_row = {"help", 'h',  OPTION_FLAG,
                                           0,      NULL, "this text"};

void options_each(const struct subcommand *subcommand,
                  void (*each)(void *context, const struct option_row *row),
                  void *context)
{
    const struct option_row *row;

    for (row = subcommand->rows; row && row->name; row++)
        each(context, row);
    for (row = common_rows; subcommand->rows && row->name; row++)
        each(context, row);
    each(context, &help_row);
}

int wrong_usage(const struct subcommand *subcommand, const char *format, ...)
{
    va_list arguments;
    char *text;
    int size;

    va_start(arguments, format);
    size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        text_no_memory();
    complain("%s; see rhizome %s --help", text, subcommand->name);
    free(text);
    return EXIT_USAGE;
}

/* --- help ---------------------------------------------------------------- */

/* What an option takes; a long choice goes over several lines. */
static void put_argument(struct buffer *out, const struct option_row *row,
                         size_t start)
{
    text_byte(out, row->kind == OPTION_CHOICE ? '=' : ' ');
    for (const char *at = row->argument; *at; at++) {
        text_byte(out, *at);
        if (*at == '|' && out->size - start + strcspn(at + 1, "|") > 76) {
            start = out->size;
            text_append(out, "\n          ");
        }
    }
}

/* One option: its names, and what it does in a column of its own. */
static void put_help(void *context, const struct option_row *row)
{
    struct buffer *out = context;
    size_t start = out->size;

    text_append(out, "  ");
    if (row->letter)
        text_format(out, "-%c, ", row->letter);
    text_format(out, "--%s", row->name);
    if (row->argument)
        put_argument(out, row, start);
    if (out->size - start > HELP_INDENT - 2) {
        text_byte(out, '\n');
        start = out->size;
    }
    while (out->size - start < HELP_INDENT)
        text_byte(out, ' ');
    for (const char *at = row->text; *at; at++) {
        text_byte(out, *at);
        if (*at == '\n')
            text_format(out, "%*s", HELP_INDENT, "");
    }
    text_byte(out, '\n');
}

void options_help(const struct subcommand *subcommand)
{
    struct buffer out = BUFFER(cli_mem());

    text_format(&out, "usage: rhizome %s%s%s%s\n\n", subcommand->name,
                subcommand->rows ? " [OPTION ...]" : "",
                subcommand->operands ? " " : "",
                subcommand->operands ? subcommand->operands : "");
    text_append(&out, subcommand->text);
    text_append(&out, "\n");
    options_each(subcommand, put_help, &out);
    if (subcommand->examples) {
        text_append(&out, "\nexamples:\n");
        text_append(&out, subcommand->examples);
    }
    output_bytes(buffer_bytes(&out));
    buffer_free(&out);
}

/* --- parsing ------------------------------------------------------------- */

/* All options as getopt_long() wants them. */
struct table {
    const struct option_row *rows[ROWS_MAX];
    struct option names[ROWS_MAX + 1];
    char letters[2 * ROWS_MAX + 2];
    size_t count;
};

static void add_row(void *context, const struct option_row *row)
{
    struct table *table = context;
    size_t size = strlen(table->letters);

    REQUIRE(table->count < ROWS_MAX);
    table->rows[table->count] = row;
    /* A letter comes back as itself, what has none as 256 and its place. */
    table->names[table->count] = (struct option){
        row->name,
        row->kind == OPTION_FLAG ? no_argument : required_argument,
        NULL,
        256 + (int)table->count,
    };
    if (row->letter) {
        table->letters[size++] = row->letter;
        if (row->kind != OPTION_FLAG)
            table->letters[size++] = ':';
        table->letters[size] = '\0';
    }
    table->count++;
}

static const struct option_row *find_row(const struct table *table, int option)
{
    if (option >= 256)
        return table->rows[option - 256];
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i]->letter == option)
            return table->rows[i];
    }
    return NULL;
}

/* `word` among "one|two|three"; false if it is none of them. */
static bool parse_choice(const char *words, const char *word, unsigned *ret)
{
    size_t size = strlen(word);
    unsigned index = 0;

    for (;; index++) {
        size_t next = strcspn(words, "|");

        if (next == size && strncmp(words, word, size) == 0) {
            *ret = index;
            return true;
        }
        if (!words[next])
            return false;
        words += next + 1;
    }
}

static bool parse_count(const char *text, uint64_t *ret)
{
    unsigned long long value;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *ret = value;
    return true;
}

/* Stores the argument of one option; false if it is not of its kind. */
static bool store(const struct option_row *row, const char *argument,
                  void *options)
{
    void *field = (char *)options + row->offset;
    unsigned choice;

    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
    case OPTION_FILE:
        *(const char **)field = argument;
        return true;
    case OPTION_COUNT:
        return parse_count(argument, field);
    case OPTION_CHOICE:
        if (!parse_choice(row->argument, argument, &choice))
            return false;
        *(unsigned *)field = choice;
        return true;
    }
    return false;
}

static int wrong_argument(const struct subcommand *subcommand,
                          const struct option_row *row)
{
    if (row->kind == OPTION_CHOICE)
        return wrong_usage(subcommand, "--%s takes one of %s, not `%s`",
                           row->name, row->argument, optarg);
    return wrong_usage(subcommand, "--%s takes a number, not `%s`", row->name,
                       optarg);
}

static int check_operands(const struct subcommand *subcommand,
                          const struct operands *operands)
{
    if (operands->count < subcommand->operands_min)
        return wrong_usage(subcommand, "%s is missing", subcommand->operands);
    if (operands->count > subcommand->operands_max)
        return wrong_usage(subcommand, "unexpected argument `%s`",
                           operands->items[subcommand->operands_max]);
    return -1;
}

int options_parse(const struct subcommand *subcommand, int argc, char **argv,
                  void *options, struct operands *ret)
{
    static struct common_options plain;
    struct common_options *common = subcommand->rows ? options : &plain;
    struct table table = {.letters = ":"};
    int option;

    options_each(subcommand, add_row, &table);
    opterr = 0;
    while ((option = getopt_long(argc, argv, table.letters, table.names,
                                 NULL)) != -1) {
        const struct option_row *row = find_row(&table, option);

        if (row == &help_row) {
            options_help(subcommand);
            return output_status(EXIT_STOPPED);
        }
        if (option == ':')
            return wrong_usage(subcommand, "`%s` needs an argument",
                               argv[optind - 1]);
        if (!row && optopt > 0 && optopt < 256)
            return wrong_usage(subcommand, "unknown option `-%c`", optopt);
        if (!row)
            return wrong_usage(subcommand, "unknown option `%s`",
                               argv[optind - 1]);
        if (!store(row, optarg, options))
            return wrong_argument(subcommand, row);
    }
    common->program = subcommand->name;
    output_set_options(common);
    *ret = (struct operands){argv + optind, (size_t)(argc - optind)};
    return check_operands(subcommand, ret);
}
