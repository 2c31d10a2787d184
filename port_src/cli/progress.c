#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FIRST_AFTER_NS 500000000u
#define EVERY_NS 100000000u
#define BAR_WIDTH 28
#define BAR_FROM 60 /* columns: what leaves room for figures beside it */

/* A bar stands in the last line of the terminal. */
static volatile sig_atomic_t on_screen;

static void interrupted(int number)
{
    meter_clear();
    signal(number, SIG_DFL);
    raise(number);
}

/* Whoever ends us finds a clean line; those who catch signals themselves call
 * meter_clear(). */
static void keep_line_clean(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    struct sigaction old;

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupted;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
    }
}

/* How many columns a line may fill without going on in the next one. */
static size_t columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
        return 79;
    return size.ws_col - 1u;
}

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void meter_start(struct meter *meter, const char *what, bool in_bytes,
                 const struct common_options *options)
{
    enum when when = options->progress;
    /* Lines of JSON are for programs, and only if they ask for them. */
    bool on = when == WHEN_ALWAYS ||
              (when == WHEN_AUTO && !options->json && isatty(STDERR_FILENO));

    *meter = (struct meter){
        .what = what,
        .in_bytes = in_bytes,
        .json = options->json,
        .on = on && !(options->quiet && when == WHEN_AUTO),
        .started_ns = now_ns(),
    };
}

static void draw_json(const struct meter *meter, uint64_t done, uint64_t total,
                      double seconds, double rate)
{
    struct buffer line = BUFFER(cli_mem());
    struct json json;

    json_begin(&json, &line);
    json_open(&json, '{');
    json_key(&json, "progress");
    json_text(&json, meter->what);
    json_key(&json, "unit");
    json_text(&json, meter->in_bytes ? "bytes" : "elements");
    json_key(&json, "done");
    json_u64(&json, done);
    json_key(&json, "total");
    json_u64(&json, total);
    json_key(&json, "seconds");
    json_double(&json, seconds, 1);
    json_key(&json, "per_second");
    json_double(&json, rate, 0);
    json_close(&json, '}');
    text_byte(&line, '\n');
    (void)!write(STDERR_FILENO, line.data, line.size);
    buffer_free(&line);
}

static void put_amount(const struct meter *meter, struct buffer *line,
                       uint64_t amount)
{
    if (meter->in_bytes)
        text_size(line, amount);
    else
        text_u64(line, amount);
}

static void draw_bar(const struct meter *meter, uint64_t done, uint64_t total,
                     double rate)
{
    double share = total ? (double)done / (double)total : 0;
    size_t width = columns();
    int filled;
    struct buffer line = BUFFER(cli_mem());

    if (share > 1)
        share = 1;
    filled = (int)(share * BAR_WIDTH);
    text_format(&line, "\r%s  ", meter->what);
    if (width >= BAR_FROM) {
        text_byte(&line, '[');
        for (int i = 0; i < BAR_WIDTH; i++)
            text_byte(&line, i < filled ? '=' : i == filled ? '>' : ' ');
        text_append(&line, "] ");
    }
    text_format(&line, "%3d%%  ", (int)(share * 100));
    put_amount(meter, &line, done);
    text_append(&line, "  ");
    put_amount(meter, &line, (uint64_t)rate);
    text_append(&line, "/s");
    if (rate > 0 && total > done) {
        uint64_t left = (uint64_t)((double)(total - done) / rate + 0.5);

        text_format(&line, "  %llu:%02llu left", (unsigned long long)left / 60,
                    (unsigned long long)left % 60);
    }
    if (line.size > width + 1) /* it is all ASCII, but for the \r */
        line.size = width + 1;
    text_append(&line, "\033[K");
    keep_line_clean();
    on_screen = true;
    (void)!write(STDERR_FILENO, line.data, line.size);
    buffer_free(&line);
}

void meter_report(void *context, uint64_t done, uint64_t total)
{
    struct meter *meter = context;
    uint64_t now;
    double seconds;
    double rate;

    if (!meter->on)
        return;
    now = now_ns();
    if (now - meter->started_ns < FIRST_AFTER_NS ||
        now - meter->drawn_ns < EVERY_NS)
        return;
    meter->drawn_ns = now;
    seconds = (double)(now - meter->started_ns) / 1e9;
    rate = (double)done / seconds;
    if (meter->json)
        draw_json(meter, done, total, seconds, rate);
    else
        draw_bar(meter, done, total, rate);
}

void meter_clear(void)
{
    if (!on_screen)
        return;
    on_screen = false;
    (void)!write(STDERR_FILENO, "\r\033[K", 4);
}

void meter_stop(struct meter *meter)
{
    meter->on = false;
    meter_clear();
}
