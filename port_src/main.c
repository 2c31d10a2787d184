/*
 * main.c -- arguments, subcommand, exit status.
 */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/exit.h"
#include "port/process.h"
#include "port/session.h"

static const char help[] =
    "rhizome " RHIZOME_VERSION " -- a relational graph store\n"
    "\n"
    "usage: rhizome port [option ...]   serve a client on stdin and stdout\n"
    "       rhizome --help | --version\n"
    "\n"
    "A client starts `rhizome port` and speaks frames of Erlang external\n"
    "terms with it; PROTOCOL.md describes them. `rhizome port --help` lists\n"
    "the options.\n";

static const char port_help[] =
    "usage: rhizome port [option ...]\n"
    "\n"
    "Serves one client: request frames on stdin, reply frames on stdout,\n"
    "diagnostics on stderr. The end of stdin is an orderly stop.\n"
    "\n"
    "  --memory-limit BYTES     refuse mutations beyond this much memory for\n"
    "                           the store; reads and deletes go on\n"
    "                           (default: no limit)\n"
    "  --frame-bytes-max BYTES  the largest request frame, and the largest\n"
    "                           single reply (default: 64m; 1k to 1g)\n"
    "  --no-seal                do not restrict the process's system calls,\n"
    "                           for a debugger or a tracer\n"
    "  --help                   this text\n"
    "\n"
    "BYTES is a number, or one followed by k, m or g (1024, 1024^2, 1024^3).\n"
    "\n"
    "exit status: 0 stopped as asked, 64 usage, 65 the client broke the\n"
    "protocol, 70 internal error, 71 no memory, 74 reading or writing failed\n";

/* `text` as a size: digits and perhaps k, m or g. False if it is none. */
static bool parse_bytes(const char *text, size_t *ret)
{
    unsigned long long value;
    unsigned shift = 0;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end == 'k' || *end == 'K')
        shift = 10;
    else if (*end == 'm' || *end == 'M')
        shift = 20;
    else if (*end == 'g' || *end == 'G')
        shift = 30;
    if (shift)
        end++;
    if (*end || value > (SIZE_MAX / 2) >> shift)
        return false;
    *ret = (size_t)value << shift;
    return true;
}

static int wrong_usage(const char *what, const char *argument)
{
    process_complain("%s%s; see rhizome port --help", what, argument);
    return EXIT_USAGE;
}

/* Reads the options of `rhizome port`; -1 to go on, or an exit status. */
static int parse_port_options(int argc, char **argv,
                              struct session_options *ret)
{
    static const struct option names[] = {
        {"memory-limit", required_argument, NULL, 'm'},
        {"frame-bytes-max", required_argument, NULL, 'f'},
        {"no-seal", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        switch (option) {
        case 'm':
            if (!parse_bytes(optarg, &ret->memory_limit) || !ret->memory_limit)
                return wrong_usage("--memory-limit takes a size, not ", optarg);
            break;
        case 'f':
            if (!parse_bytes(optarg, &ret->frame_bytes_max) ||
                ret->frame_bytes_max < FRAME_BYTES_MAX_LOWEST ||
                ret->frame_bytes_max > FRAME_BYTES_MAX_HIGHEST)
                return wrong_usage("--frame-bytes-max takes a size from 1k "
                                   "to 1g, not ",
                                   optarg);
            break;
        case 'n':
            ret->seal = false;
            break;
        case 'h':
            fputs(port_help, stdout);
            return EXIT_STOPPED;
        case ':':
            return wrong_usage("a size must follow ", argv[optind - 1]);
        default:
            return wrong_usage("unknown option ", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return wrong_usage("unexpected argument ", argv[optind]);
    return -1;
}

static int run_port(int argc, char **argv)
{
    struct session_options options = {
        .frame_bytes_max = FRAME_BYTES_MAX_DEFAULT,
        .seal = true,
    };
    int status = parse_port_options(argc, argv, &options);

    if (status >= 0)
        return status;
    options.out = process_own_stdout();
    if (!process_settle())
        return EXIT_STOPPED; /* the client has gone already */
    return session_run(&options);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        process_complain("what is to be done? see rhizome --help");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "port") == 0)
        return run_port(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return EXIT_STOPPED;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("rhizome " RHIZOME_VERSION);
        return EXIT_STOPPED;
    }
    process_complain("unknown command %s; see rhizome --help", argv[1]);
    return EXIT_USAGE;
}
