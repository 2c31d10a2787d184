/* What the program says about itself: help, version, completion, manual. */
#include "cli/cli_case.h"

#include "cli/subcommands.h"

static void help_lists_all_commands(void **state)
{
    struct ran ran = run("help");

    (void)state;
    assert_int_equal(ran.status, 0);
    for (size_t i = 0; subcommand_list[i]; i++)
        assert_contains(ran.out,
                        test_format("\n  %s ", subcommand_list[i]->name));
    assert_string_equal(run("--help").out, ran.out);
    assert_string_equal(run("-h").out, ran.out);
}

static void assert_narrow(const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "\n");

        if (size > 80)
            fail_msg("%zu characters: %.*s", size, (int)size, text);
        text += size + (text[size] == '\n');
    }
}

static void every_command_helps(void **state)
{
    (void)state;
    assert_narrow(run("help").out);
    for (size_t i = 0; subcommand_list[i]; i++) {
        const char *name = subcommand_list[i]->name;
        struct ran ran = run(test_format("%s --help", name));

        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.err, "");
        assert_contains(ran.out, test_format("usage: rhizome %s", name));
        assert_contains(ran.out, "--help");
        assert_narrow(ran.out);
        assert_string_equal(run(test_format("help %s", name)).out, ran.out);
        if (subcommand_list[i]->rows)
            assert_contains(ran.out,
                            test_format("\nexamples:\n  rhizome %s", name));
    }
    assert_fails("help frobnicate", 64, "there is no command `frobnicate`");
}

static void usage_errors_are_one_line(void **state)
{
    (void)state;
    assert_fails("", 64, "see rhizome --help");
    assert_fails("frobnicate", 64, "unknown command `frobnicate`");
    assert_fails("log --frobnicate x", 64, "unknown option `--frobnicate`");
    assert_fails("log -z x", 64, "unknown option `-z`");
    assert_fails("log --from", 64, "`--from` needs an argument");
    assert_fails("log --from x y", 64, "--from takes a number, not `x`");
    assert_fails("log --from -1 y", 64, "--from takes a number, not `-1`");
    assert_fails("log --from 99999999999999999999 y", 64, "takes a number");
    assert_fails("log --progress=x y", 64,
                 "--progress takes one of auto|always|never, not `x`");
    assert_fails("stat", 64, "PATH is missing; see rhizome stat --help");
    assert_fails("stat a b", 64, "unexpected argument `b`");
    assert_fails("completion", 64, "is missing");
    assert_fails("completion zsh", 64, "none for `zsh`");
}

static void version(void **state)
{
    (void)state;
    assert_string_equal(run("--version").out, "rhizome " RHIZOME_VERSION "\n");
    assert_string_equal(run("--version --json").out,
                        "{\"version\":\"" RHIZOME_VERSION "\",\"protocol\":1,"
                        "\"format_major\":1,\"format_minor\":0}\n");
}

static void closed_stdout_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_to(OUT_CLOSED, "help").status, 74);
    assert_int_equal(run_to(OUT_FULL, "help").status, 74);
    assert_int_equal(run_to(OUT_FULL, "log --help").status, 74);
    assert_int_equal(run_to(OUT_FULL, "--version").status, 74);
    assert_int_equal(run_to(OUT_FULL, "completion bash").status, 74);
    assert_int_equal(run_to(OUT_BROKEN_PIPE, "help").status, 0);
}

/* What bash offers for a line, words separated by spaces. */
static const char *complete(const char *script, const char *line)
{
    char *command = in_scratch("complete");
    char *words = test_format("%s", line);
    unsigned count = 0;
    struct buffer text = BUFFER(test_mem());
    FILE *answer = tmpfile();
    const char *offers;
    int status;

    for (char *at = words; *at; at++)
        count += *at == ' ';
    /* The program itself is asked by the script for one command. */
    test_append_text(
        &text,
        test_format("rhizome() { \"$RHIZOME_EXECUTABLE\" \"$@\"; }\n"
                    "compopt() { :; }\nsource %s\nCOMP_WORDS=(%s)\n"
                    "COMP_CWORD=%u\n_rhizome\necho \" ${COMPREPLY[*]} \"\n",
                    script, line, count));
    file_write(command, buffer_bytes(&text));
    status =
        system(test_format("cd %s && bash %s >answer 2>&1", scratch, command));
    assert_int_equal(status, 0);
    fclose(answer);
    answer = fopen(in_scratch("answer"), "r");
    offers = slurp(answer, NULL);
    fclose(answer);
    buffer_free(&text);
    return offers;
}

struct offered {
    const char *offers;
};

static void is_offered(void *context, const struct option_row *row)
{
    struct offered *offered = context;

    assert_contains(offered->offers, test_format(" --%s ", row->name));
}

static void bash_completes(void **state)
{
    char *script = in_scratch("completion.bash");
    struct ran ran = run("completion bash");

    (void)state;
    assert_int_equal(ran.status, 0);
    file_write(script, bytes_of(ran.out, ran.out_size));
    if (system("command -v bash >/dev/null") != 0)
        skip();
    for (size_t i = 0; subcommand_list[i]; i++) {
        const char *name = subcommand_list[i]->name;
        struct offered offered;

        assert_contains(complete(script, "rhizome ''"),
                        test_format(" %s ", name));
        offered.offers = complete(script, test_format("rhizome %s --", name));
        options_each(subcommand_list[i], is_offered, &offered);
    }
    assert_contains(complete(script, "rhizome port --d"), " --dir ");
    assert_string_equal(complete(script, "rhizome lo"), " log \n");
    assert_string_equal(complete(script, "rhizome dump --format ''"),
                        " etf json text csv \n");
    assert_string_equal(complete(script, "rhizome dump --format = j"),
                        " json \n");
    assert_string_equal(complete(script, "rhizome log --from ''"), "  \n");
    assert_string_equal(complete(script, "rhizome completion b"), " bash \n");
    assert_contains(complete(script, "rhizome help st"), " stat ");
    file_write_text(in_scratch("a-log.tlg"), "");
    assert_string_equal(complete(script, "rhizome log a-"), " a-log.tlg \n");
    assert_string_equal(complete(script, "rhizome dump -o a-"),
                        " a-log.tlg \n");
}

/* --- the manual ---------------------------------------------------------- */

struct section {
    const char *name;
    const char *text;
};

/* In roff a hyphen that shall be typed is \-. */
/* Whatever builds the program leaves its completion beside it. */
static void the_completion_is_built(void **state)
{
    struct ran ran = run("completion bash");
    struct buffer bytes = BUFFER(test_mem());

    (void)state;
    file_read(test_format("%s.bash", getenv("RHIZOME_EXECUTABLE")), &bytes);
    assert_int_equal(bytes.size, ran.out_size);
    assert_memory_equal(bytes.data, ran.out, ran.out_size);
    buffer_free(&bytes);
}

static void is_described(void *context, const struct option_row *row)
{
    struct section *section = context;
    struct buffer text = BUFFER(test_mem());

    test_append_text(&text, "\\-\\-");
    for (const char *at = row->name; *at; at++)
        test_append_text(&text, *at == '-' ? "\\-" : test_format("%c", *at));
    test_append(&text, "", 1);
    if (!strstr(section->text, (char *)text.data))
        fail_msg("rhizome.1 does not describe --%s of %s", row->name,
                 section->name);
    buffer_free(&text);
}

/* The part of the manual from `start` to the next heading; cut off there. */
static char *manual_part(const char *start)
{
    static struct buffer page;
    char *text;
    char *end;

    page.mem = test_mem();
    file_read(
        test_format("%s/port_src/cli/rhizome.1", getenv("RHIZOME_SOURCE_DIR")),
        &page);
    test_append(&page, "", 1);
    text = strstr((char *)page.data, start);
    if (!text)
        fail_msg("rhizome.1 has no `%s`", start);
    end = strstr(text + 1, "\n.S");
    if (end)
        *end = '\0';
    return text;
}

static void the_manual_describes_every_option(void **state)
{
    (void)state;
    for (size_t i = 0; subcommand_list[i]; i++) {
        const struct subcommand *subcommand = subcommand_list[i];
        struct section section = {subcommand->name, NULL};

        section.text =
            manual_part(test_format(".SS \"rhizome %s\"", subcommand->name));
        for (const struct option_row *row = subcommand->rows; row && row->name;
             row++)
            is_described(&section, row);
    }
}

static void the_manual_describes_the_common_options(void **state)
{
    struct section section = {"all", manual_part(".SH OPTIONS OF ALL")};
    const struct option_row *own = subcommand_stat.rows;

    (void)state;
    assert_null(own->name); /* so these are the common ones */
    options_each(&subcommand_stat, is_described, &section);
}

/* `rhizome port` parses by itself; its help is the list. */
static void the_manual_describes_the_options_of_port(void **state)
{
    char *help = strdup(run("port --help").out);
    struct section section = {"port", manual_part(".SS \"rhizome port\"")};

    (void)state;
    for (char *at = help; (at = strstr(at, "\n  --"));) {
        struct option_row row = {.name = at + 5};

        at += 5;
        at[strcspn(at, " \n")] = '\0';
        if (strcmp(row.name, "help") != 0)
            is_described(&section, &row);
        at += strlen(at) + 1;
    }
    free(help);
}

static void the_manual_is_good_roff(void **state)
{
    (void)state;
    if (system("command -v man >/dev/null && command -v groff >/dev/null") != 0)
        skip();
    assert_int_equal(
        system(test_format("cd %s && LC_ALL=C.UTF-8 man --warnings -l "
                           "%s/port_src/cli/rhizome.1 2>&1 >/dev/null | "
                           "(! grep .)",
                           scratch, getenv("RHIZOME_SOURCE_DIR"))),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_all_commands),
        cmocka_unit_test(every_command_helps),
        cmocka_unit_test(usage_errors_are_one_line),
        cmocka_unit_test(version),
        cmocka_unit_test(closed_stdout_is_an_error),
        cmocka_unit_test(bash_completes),
        cmocka_unit_test(the_completion_is_built),
        cmocka_unit_test(the_manual_describes_every_option),
        cmocka_unit_test(the_manual_describes_the_common_options),
        cmocka_unit_test(the_manual_describes_the_options_of_port),
        cmocka_unit_test(the_manual_is_good_roff),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
