#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/progress.h"
#include "cli/term.h"

#define OUTPUT_FLUSH_BYTES ((size_t)64 << 10)
#define FACTS_LABEL_MAX 32

/* There is one stdout and one subcommand in a process. */
static struct {
    struct common_options options;
    struct buffer pending;
    int error; /* errno of the first write that failed */
    bool color;
} output;

void output_settle(void)
{
    struct sigaction action;

    /* Reading from stdin and writing to the others still fails: EBADF. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL); /* a file too large is EFBIG then */
    setlocale(LC_CTYPE, "C.UTF-8");    /* for wcwidth() */
    output.pending.mem = cli_mem();
}

static bool want_color(enum when when)
{
    const char *off = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (when != WHEN_AUTO)
        return when == WHEN_ALWAYS;
    return isatty(STDOUT_FILENO) && !(off && *off) &&
           !(term && strcmp(term, "dumb") == 0);
}

void output_set_options(const struct common_options *options)
{
    output.options = *options;
    output.color = want_color(options->color);
}

bool output_is_json(void)
{
    return output.options.json;
}

/* --- stderr -------------------------------------------------------------- */

static void say(const char *format, va_list arguments)
{
    char *line;
    int size;

    size = vasprintf(&line, format, arguments);
    if (size < 0)
        return;
    /* A file's name may hold anything; a terminal must not obey it. */
    for (int i = 0; i < size; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    }
    meter_clear();
    /* One write, so that lines of several programs do not mix. */
    dprintf(STDERR_FILENO, "rhizome: %s\n", line);
    free(line);
}

void complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void note(const char *format, ...)
{
    va_list arguments;

    if (output.options.quiet)
        return;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

int complain_io(const char *path, const char *what, int error)
{
    complain("%s: %s: %s", path, what, strerror(error < 0 ? -error : error));
    return EXIT_IO;
}

/* --- stdout -------------------------------------------------------------- */

void output_flush(void)
{
    const uint8_t *data = output.pending.data;
    size_t left = output.pending.size;

    while (left && !output.error) {
        ssize_t written = write(STDOUT_FILENO, data, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            output.error = errno;
            break;
        }
        data += written;
        left -= (size_t)written;
    }
    output.pending.size = 0;
}

void output_bytes(struct bytes bytes)
{
    if (output.error)
        return;
    text_bytes(&output.pending, bytes);
    if (output.pending.size >= OUTPUT_FLUSH_BYTES)
        output_flush();
}

void output_text(const char *text)
{
    output_bytes(bytes_of(text, strlen(text)));
}

bool output_broken(void)
{
    return output.error != 0;
}

int output_status(int status)
{
    output_flush();
    buffer_free(&output.pending);
    meter_clear();
    /* NFS and full disks may tell only now. A descriptor that was never a
     * file of ours stays open: closing stdin's /dev/null helps nobody. */
    if (!output.error && close(STDOUT_FILENO) < 0 && errno != EBADF)
        output.error = errno;
    if (!output.error || output.error == EPIPE)
        return status;
    complain("writing to stdout failed: %s; what came out is not complete",
             strerror(output.error));
    return EXIT_IO;
}

const char *style_begin(enum style style)
{
    static const char *const codes[] = {
        [STYLE_HEADING] = "\033[1m",
        [STYLE_GOOD] = "\033[32m",
        [STYLE_BAD] = "\033[31m",
    };

    return output.color ? codes[style] : "";
}

const char *style_end(void)
{
    return output.color ? "\033[0m" : "";
}

void text_size(struct buffer *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        text_format(out, "%u B", (unsigned)bytes);
        return;
    }
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    text_format(out, "%.1f %s", value, units[unit]);
}

/* --- tables -------------------------------------------------------------- */

void rows_begin(struct rows *rows, const char *const *columns)
{
    *rows = (struct rows){.columns = columns, .cells = BUFFER(cli_mem())};
    while (columns[rows->column_count])
        rows->column_count++;
}

/* The text of a term has its JSON behind it, in a cell that is not counted. */
enum cell { CELL_NONE, CELL_TEXT, CELL_NUMBER, CELL_TERM, CELL_TERM_JSON };

static void put_cell(struct rows *rows, const char *text, enum cell kind)
{
    text_byte(&rows->cells, (char)kind);
    text_bytes(&rows->cells, bytes_of(text, strlen(text) + 1));
    text_string(&rows->cells); /* a NUL ends the last one */
    rows->cell_count += kind != CELL_TERM_JSON;
}

static const char *next_cell(const char *cell)
{
    do
        cell += strlen(cell + 1) + 2;
    while (*cell == CELL_TERM_JSON);
    return cell;
}

void rows_text(struct rows *rows, const char *text)
{
    put_cell(rows, text, CELL_TEXT);
}

const uint8_t *rows_term(struct rows *rows, const uint8_t *term)
{
    struct buffer text = BUFFER(cli_mem());
    const uint8_t *end = term_text(&text, term, NULL);

    put_cell(rows, text_string(&text), CELL_TERM);
    text.size = 0;
    term_json(&text, term);
    put_cell(rows, text_string(&text), CELL_TERM_JSON);
    buffer_free(&text);
    return end;
}

void rows_u64(struct rows *rows, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    put_cell(rows, digits, CELL_NUMBER);
}

void rows_none(struct rows *rows)
{
    put_cell(rows, "-", CELL_NONE);
}

/* A column's key as a heading: no underscores. */
static void put_label(struct buffer *out, const char *key)
{
    for (; *key; key++)
        text_byte(out, *key == '_' ? ' ' : *key);
}

/* How many columns of a terminal text takes; what is no UTF-8, one a byte. */
static size_t width_of(const char *text)
{
    struct bytes left = bytes_of(text, strlen(text));
    size_t width = 0;

    while (left.size) {
        uint32_t c = 0;
        size_t size = 1;
        int columns;

        columns = text_utf8_next(left, &c, &size) ? wcwidth((wchar_t)c) : 1;
        width += columns < 0 ? 1 : (size_t)columns;
        left = bytes_of(left.data + size, left.size - size);
    }
    return width;
}

static void put_spaces(struct buffer *out, size_t count)
{
    while (count--)
        text_byte(out, ' ');
}

static void rows_as_text(const struct rows *rows, struct buffer *out)
{
    size_t widths[16] = {0};
    bool left[16] = {false}; /* a column of text; numbers stand to the right */
    const char *cell = (const char *)rows->cells.data;

    REQUIRE(rows->column_count <= 16);
    for (size_t i = 0; i < rows->column_count; i++)
        widths[i] = strlen(rows->columns[i]);
    for (size_t i = 0; i < rows->cell_count; i++) {
        size_t column = i % rows->column_count;
        size_t width = width_of(cell + 1);

        if (width > widths[column])
            widths[column] = width;
        left[column] |= *cell == CELL_TEXT || *cell == CELL_TERM;
        cell = next_cell(cell);
    }
    text_append(out, style_begin(STYLE_HEADING));
    for (size_t i = 0; i < rows->column_count; i++) {
        size_t fill = widths[i] - strlen(rows->columns[i]);

        put_spaces(out, 2 + (left[i] ? 0 : fill));
        put_label(out, rows->columns[i]);
        put_spaces(out, left[i] && i + 1 < rows->column_count ? fill : 0);
    }
    text_append(out, style_end());
    cell = (const char *)rows->cells.data;
    for (size_t i = 0; i < rows->cell_count; i++) {
        size_t column = i % rows->column_count;
        size_t fill = widths[column] - width_of(cell + 1);
        bool last = column + 1 == rows->column_count;

        text_append(out, column == 0 ? "\n  " : "  ");
        put_spaces(out, left[column] ? 0 : fill);
        text_visible(out, cell + 1);
        put_spaces(out, left[column] && !last ? fill : 0);
        cell = next_cell(cell);
    }
    text_byte(out, '\n');
}

/* "table":["user",1],"table_term":"{user,1}" */
static void json_term_cell(struct json *json, const char *column,
                           const char *cell)
{
    const char *term = cell + 1 + strlen(cell + 1) + 2;
    char key[FACTS_LABEL_MAX + 8];

    json_raw(json, bytes_of(term, strlen(term)));
    snprintf(key, sizeof(key), "%s_term", column);
    json_key(json, key);
    json_text(json, cell + 1);
}

static void rows_as_json(const struct rows *rows, struct json *json)
{
    const char *cell = (const char *)rows->cells.data;

    json_open(json, '[');
    for (size_t i = 0; i < rows->cell_count; i++) {
        size_t column = i % rows->column_count;

        if (column == 0)
            json_open(json, '{');
        json_key(json, rows->columns[column]);
        if (*cell == CELL_TERM)
            json_term_cell(json, rows->columns[column], cell);
        else if (*cell == CELL_NUMBER)
            json_u64(json, strtoull(cell + 1, NULL, 10));
        else if (*cell == CELL_NONE)
            json_null(json);
        else
            json_text(json, cell + 1);
        if (column + 1 == rows->column_count)
            json_close(json, '}');
        cell = next_cell(cell);
    }
    json_close(json, ']');
}

/* --- facts --------------------------------------------------------------- */

void facts_begin(struct facts *facts)
{
    *facts = (struct facts){
        .text = BUFFER(cli_mem()),
        .lines = BUFFER(cli_mem()),
    };
    if (output_is_json()) {
        json_begin(&facts->json, &facts->text);
        json_open(&facts->json, '{');
    }
}

/* Begins a line: its label is aligned with the others in facts_end(), which
 * finds it behind the size that stands here. True for people. */
static bool begin_line(struct facts *facts, const char *key)
{
    size_t size = strlen(key);

    if (output_is_json()) {
        json_key(&facts->json, key);
        return false;
    }
    REQUIRE(size <= FACTS_LABEL_MAX);
    if (size > facts->label_width)
        facts->label_width = size;
    text_byte(&facts->lines, (char)size);
    put_label(&facts->lines, key);
    return true;
}

static void end_line(struct facts *facts)
{
    text_byte(&facts->lines, '\0');
}

void facts_text(struct facts *facts, const char *key, const char *text)
{
    if (begin_line(facts, key)) {
        text_visible(&facts->lines, text);
        end_line(facts);
    } else {
        json_text(&facts->json, text);
    }
}

void facts_bool(struct facts *facts, const char *key, bool value)
{
    if (begin_line(facts, key)) {
        text_append(&facts->lines, value ? "yes" : "no");
        end_line(facts);
    } else {
        json_bool(&facts->json, value);
    }
}

void facts_u64(struct facts *facts, const char *key, uint64_t value)
{
    if (begin_line(facts, key)) {
        text_u64(&facts->lines, value);
        end_line(facts);
    } else {
        json_u64(&facts->json, value);
    }
}

void facts_double(struct facts *facts, const char *key, double value,
                  int decimals)
{
    if (begin_line(facts, key)) {
        text_format(&facts->lines, "%.*f", decimals, value);
        end_line(facts);
    } else {
        json_double(&facts->json, value, decimals);
    }
}

void facts_size(struct facts *facts, const char *key, uint64_t bytes)
{
    if (begin_line(facts, key)) {
        text_u64(&facts->lines, bytes);
        if (bytes >= 1024) {
            text_append(&facts->lines, " (");
            text_size(&facts->lines, bytes);
            text_append(&facts->lines, ")");
        }
        end_line(facts);
    } else {
        json_u64(&facts->json, bytes);
    }
}

void facts_hex(struct facts *facts, const char *key, struct bytes bytes)
{
    struct buffer hex = BUFFER(cli_mem());

    text_hex(&hex, bytes);
    facts_text(facts, key, text_string(&hex));
    buffer_free(&hex);
}

void facts_digest(struct facts *facts, const char *key, struct digest digest)
{
    uint8_t bytes[DIGEST_BYTES];

    digest_store(bytes, digest);
    facts_hex(facts, key, bytes_of(bytes, sizeof(bytes)));
}

void facts_none(struct facts *facts, const char *key)
{
    if (begin_line(facts, key)) {
        text_append(&facts->lines, "none");
        end_line(facts);
    } else {
        json_null(&facts->json);
    }
}

void facts_rows(struct facts *facts, const char *key, struct rows *rows)
{
    if (output_is_json()) {
        json_key(&facts->json, key);
        rows_as_json(rows, &facts->json);
    } else if (rows->cell_count) {
        text_byte(&facts->text, '\n');
        put_label(&facts->text, key);
        text_append(&facts->text, ":\n");
        rows_as_text(rows, &facts->text);
    }
    buffer_free(&rows->cells);
    rows->cell_count = 0;
}

void facts_end(struct facts *facts)
{
    const char *line = (const char *)facts->lines.data;
    const char *end = line + facts->lines.size;
    struct buffer aligned = BUFFER(cli_mem());

    while (line < end) {
        size_t size = (size_t)*line++;

        text_append(&aligned, style_begin(STYLE_HEADING));
        text_bytes(&aligned, bytes_of(line, size));
        text_append(&aligned, ":");
        text_append(&aligned, style_end());
        put_spaces(&aligned, facts->label_width - size + 1);
        text_append(&aligned, line + size);
        text_byte(&aligned, '\n');
        line += strlen(line) + 1;
    }
    if (output_is_json()) {
        json_close(&facts->json, '}');
        text_byte(&facts->text, '\n');
    }
    output_bytes(buffer_bytes(&aligned));
    output_bytes(buffer_bytes(&facts->text));
    buffer_free(&aligned);
    buffer_free(&facts->lines);
    buffer_free(&facts->text);
}
