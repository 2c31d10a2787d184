/*
 * cli/port.c -- `rhizome port`: options, then a session.
 *
 * It parses by itself, for a client's mistakes have to be told on stderr in
 * one line and with 64, before anything is known of descriptors and signals.
 */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/subcommands.h"
#include "core/exit.h"
#include "graph/run.h"
#include "port/process.h"
#include "port/session.h"

static const char help[] =
    "usage: rhizome port [option ...]\n"
    "\n"
    "Serves one client: request frames on stdin, reply frames on stdout,\n"
    "diagnostics on stderr. The end of stdin is an orderly stop.\n"
    "\n"
    "  --dir PATH               keep the store in this directory, which is\n"
    "                           made if it is missing (default: in memory\n"
    "                           only)\n"
    "  --sync POLICY            when a mutation is acknowledged:\n"
    "                             always       it is on the disk\n"
    "                             interval:MS  it is written, and synced\n"
    "                                          within MS (1 to 3600000)\n"
    "                             none         it is written\n"
    "                           (default: interval:1000)\n"
    "  --expect ID:SEQ          what the client was told last: refuse a store\n"
    "                           of this id (32 hex digits) that has lost\n"
    "                           mutation SEQ or one before it\n"
    "  --checkpoint-ratio R     make a checkpoint when the log since the last\n"
    "                           one is R times as large as that (default: 2;\n"
    "                           0: only when asked)\n"
    "  --checkpoint-min BYTES   ... and at least this large (default: 64m)\n"
    "  --checkpoint-at-stop     make one at an orderly stop, too\n"
    "  --segment-bytes BYTES    the size of the log's files (default: 64m;\n"
    "                           64k to 512m)\n"
    "  --lock-wait MS           how long to wait for another process to leave\n"
    "                           the directory (default: 5000)\n"
    "\n"
    "  --memory-limit BYTES     refuse mutations beyond this much memory for\n"
    "                           the store; reads and deletes go on\n"
    "                           (default: no limit)\n"
    "  --snapshots-max N        how many snapshots and forks may be open\n"
    "                           (default: 10000)\n"
    "  --snapshot-age-max MS    release those that are older, and results of\n"
    "                           algorithms, too (default: 3600000; 0: none is\n"
    "                           too old)\n"
    "  --threads N              how many threads an algorithm may have\n"
    "                           (default: as many as there are processors)\n"
    "  --projection-cache BYTES how much idle projections may hold (default:\n"
    "                           1g, or a quarter of --memory-limit)\n"
    "  --frame-bytes-max BYTES  the largest request frame, and the largest\n"
    "                           single reply (default: 64m; 1k to 1g)\n"
    "  --busy-wait US           after a short pause, look so many us for the\n"
    "                           next request before sleeping (default: 150;\n"
    "                           0: sleep at once; up to 10000)\n"
    "  --no-seal                do not restrict the process's system calls\n"
    "                           and files, for a debugger or a tracer\n"
    "  --help                   this text\n"
    "\n"
    "BYTES is a number, or one followed by k, m or g (1024, 1024^2, 1024^3).\n"
    "\n"
    "exit status: 0 stopped as asked, 64 usage, 65 the client broke the\n"
    "protocol, 70 internal error, 71 no memory, 74 reading or writing failed,\n"
    "75 another process holds the directory, 78 the log is damaged and was\n"
    "not changed\n";

/* --- values ------------------------------------------------------------- */

/* Digits, up to `*ret_end`. False if there are none or too many. */
static bool parse_number(const char *text, uint64_t *ret, const char **ret_end)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    *ret_end = end;
    return errno == 0;
}

/* A number from `low` to `high` and nothing else. */
static bool parse_range(const char *text, uint64_t low, uint64_t high,
                        uint64_t *ret)
{
    const char *end;

    return parse_number(text, ret, &end) && !*end && *ret >= low &&
           *ret <= high;
}

/* Digits and perhaps k, m or g. */
static bool parse_bytes(const char *text, size_t *ret)
{
    unsigned shift = 0;
    const char *end;
    uint64_t value;

    if (!parse_number(text, &value, &end))
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

/* Digits, perhaps a point and more digits. */
static bool parse_decimal(const char *text, double *ret)
{
    size_t digits = strspn(text, "0123456789");
    const char *point = text + digits;

    if (!digits || strlen(text) > 15)
        return false;
    if (*point == '.' && point[1 + strspn(point + 1, "0123456789")])
        return false;
    if (*point && *point != '.')
        return false;
    *ret = strtod(text, NULL);
    return true;
}

static bool parse_sync(const char *text, struct session_options *ret)
{
    uint64_t interval;

    if (strcmp(text, "always") == 0) {
        ret->policy = SYNC_ALWAYS;
    } else if (strcmp(text, "none") == 0) {
        ret->policy = SYNC_NONE;
    } else if (strncmp(text, "interval:", 9) == 0 &&
               parse_range(text + 9, 1, SYNC_INTERVAL_MS_MAX, &interval)) {
        ret->policy = SYNC_INTERVAL;
        ret->interval_ms = (unsigned)interval;
    } else {
        return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse_expect(const char *text, struct session_options *ret)
{
    for (unsigned i = 0; i < 2 * STORE_ID_BYTES; i++) {
        int digit = hex_digit(text[i]);

        if (digit < 0)
            return false;
        ret->expect_store[i / 2] =
            (uint8_t)(ret->expect_store[i / 2] << 4 | digit);
    }
    ret->has_expect = true;
    return text[2 * STORE_ID_BYTES] == ':' &&
           parse_range(text + 2 * STORE_ID_BYTES + 1, 0, UINT64_MAX,
                       &ret->expect_seq);
}

/* --- options ------------------------------------------------------------ */

enum port_option {
    OPT_DIR,
    OPT_SYNC,
    OPT_EXPECT,
    OPT_CHECKPOINT_RATIO,
    OPT_CHECKPOINT_MIN,
    OPT_CHECKPOINT_AT_STOP,
    OPT_SEGMENT_BYTES,
    OPT_LOCK_WAIT,
    OPT_MEMORY_LIMIT,
    OPT_SNAPSHOTS_MAX,
    OPT_SNAPSHOT_AGE_MAX,
    OPT_THREADS,
    OPT_PROJECTION_CACHE,
    OPT_FRAME_BYTES_MAX,
    OPT_BUSY_WAIT,
    OPT_NO_SEAL,
    OPT_HELP,
};

static const struct option names[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"sync", required_argument, NULL, OPT_SYNC},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"checkpoint-ratio", required_argument, NULL, OPT_CHECKPOINT_RATIO},
    {"checkpoint-min", required_argument, NULL, OPT_CHECKPOINT_MIN},
    {"checkpoint-at-stop", no_argument, NULL, OPT_CHECKPOINT_AT_STOP},
    {"segment-bytes", required_argument, NULL, OPT_SEGMENT_BYTES},
    {"lock-wait", required_argument, NULL, OPT_LOCK_WAIT},
    {"memory-limit", required_argument, NULL, OPT_MEMORY_LIMIT},
    {"snapshots-max", required_argument, NULL, OPT_SNAPSHOTS_MAX},
    {"snapshot-age-max", required_argument, NULL, OPT_SNAPSHOT_AGE_MAX},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"projection-cache", required_argument, NULL, OPT_PROJECTION_CACHE},
    {"frame-bytes-max", required_argument, NULL, OPT_FRAME_BYTES_MAX},
    {"busy-wait", required_argument, NULL, OPT_BUSY_WAIT},
    {"no-seal", no_argument, NULL, OPT_NO_SEAL},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* Takes one option's value: NULL, or what it should have been. */
static const char *take_option(enum port_option option, const char *value,
                               struct session_options *ret)
{
    uint64_t number;
    size_t bytes;

    switch (option) {
    case OPT_DIR:
        ret->directory = value;
        return *value ? NULL : "--dir takes a path, not ";
    case OPT_SYNC:
        return parse_sync(value, ret)
                   ? NULL
                   : "--sync takes always, none or interval:MS, not ";
    case OPT_EXPECT:
        return parse_expect(value, ret)
                   ? NULL
                   : "--expect takes 32 hex digits, a colon and a seq, not ";
    case OPT_CHECKPOINT_RATIO:
        return parse_decimal(value, &ret->checkpoints.ratio)
                   ? NULL
                   : "--checkpoint-ratio takes a decimal number, not ";
    case OPT_CHECKPOINT_MIN:
        if (!parse_bytes(value, &bytes))
            return "--checkpoint-min takes a size, not ";
        ret->checkpoints.bytes_min = bytes;
        return NULL;
    case OPT_SEGMENT_BYTES:
        return parse_bytes(value, &ret->segment_bytes) &&
                       ret->segment_bytes >= SEGMENT_BYTES_LOWEST &&
                       ret->segment_bytes <= SEGMENT_BYTES_HIGHEST
                   ? NULL
                   : "--segment-bytes takes a size from 64k to 512m, not ";
    case OPT_LOCK_WAIT:
        if (!parse_range(value, 0, UINT32_MAX, &number))
            return "--lock-wait takes milliseconds, not ";
        ret->lock_wait_ms = (unsigned)number;
        return NULL;
    case OPT_MEMORY_LIMIT:
        return parse_bytes(value, &ret->memory_limit) && ret->memory_limit
                   ? NULL
                   : "--memory-limit takes a size, not ";
    case OPT_SNAPSHOTS_MAX:
        return parse_range(value, 0, UINT32_MAX, &ret->versions.max)
                   ? NULL
                   : "--snapshots-max takes a number, not ";
    case OPT_SNAPSHOT_AGE_MAX:
        return parse_range(value, 0, INT64_MAX, &ret->versions.age_ms)
                   ? NULL
                   : "--snapshot-age-max takes milliseconds, not ";
    case OPT_THREADS:
        if (!parse_range(value, 1, RUN_THREADS_MAX, &number))
            return "--threads takes a number from 1 to 64, not ";
        ret->threads = (unsigned)number;
        return NULL;
    case OPT_PROJECTION_CACHE:
        return parse_bytes(value, &ret->projection_cache)
                   ? NULL
                   : "--projection-cache takes a size, not ";
    case OPT_FRAME_BYTES_MAX:
        return parse_bytes(value, &ret->frame_bytes_max) &&
                       ret->frame_bytes_max >= FRAME_BYTES_MAX_LOWEST &&
                       ret->frame_bytes_max <= FRAME_BYTES_MAX_HIGHEST
                   ? NULL
                   : "--frame-bytes-max takes a size from 1k to 1g, not ";
    case OPT_BUSY_WAIT:
        if (!parse_range(value, 0, BUSY_WAIT_US_MAX, &number))
            return "--busy-wait takes microseconds from 0 to 10000, not ";
        ret->busy_wait_us = (unsigned)number;
        return NULL;
    case OPT_CHECKPOINT_AT_STOP:
        ret->checkpoint_at_stop = true;
        return NULL;
    case OPT_NO_SEAL:
        ret->seal = false;
        return NULL;
    case OPT_HELP:
        break;
    }
    return NULL;
}

static int wrong(const char *what, const char *argument)
{
    process_complain("%s%s; see rhizome port --help", what, argument);
    return EXIT_USAGE;
}

/* -1 to go on, or an exit status. */
static int parse_options(int argc, char **argv, struct session_options *ret)
{
    int option;

    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        const char *mistake;

        if (option == OPT_HELP) {
            fputs(help, stdout);
            return EXIT_STOPPED;
        }
        if (option == ':')
            return wrong("a value must follow ", argv[optind - 1]);
        if (option == '?')
            return wrong("unknown option ", argv[optind - 1]);
        mistake = take_option((enum port_option)option, optarg, ret);
        if (mistake)
            return wrong(mistake, optarg);
    }
    if (optind < argc)
        return wrong("unexpected argument ", argv[optind]);
    return -1;
}

int cli_port(int argc, char **argv)
{
    struct session_options options = {
        .frame_bytes_max = FRAME_BYTES_MAX_DEFAULT,
        .versions = {VERSIONS_MAX_DEFAULT, VERSION_AGE_MS_DEFAULT},
        .projection_cache = SIZE_MAX,
        .busy_wait_us = BUSY_WAIT_US_DEFAULT,
        .seal = true,
        .policy = SYNC_INTERVAL,
        .interval_ms = SYNC_INTERVAL_MS_DEFAULT,
        .checkpoints = {CHECKPOINT_RATIO_DEFAULT, CHECKPOINT_BYTES_MIN_DEFAULT},
        .segment_bytes = SEGMENT_BYTES_DEFAULT,
        .lock_wait_ms = LOCK_WAIT_MS_DEFAULT,
    };
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    options.out = process_own_stdout();
    if (!process_settle())
        return EXIT_STOPPED; /* the client has gone already */
    return session_run(&options);
}
