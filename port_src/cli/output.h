/*
 * output.h -- what a subcommand says: data on stdout, everything else on
 * stderr, facts and tables both for people and as JSON.
 *
 * stdout is gathered in a buffer and every write is looked at. A subcommand
 * calls output_status() last and returns what it gives, so that a disk that
 * was full is never taken for success, and a reader that has gone (EPIPE, as
 * with `| head`) ends the program without a word.
 *
 * Facts are described once and come out in two ways:
 *
 *     facts_begin(&facts);                    people              JSON
 *     facts_u64(&facts, "last_seq", 12);      last seq:  12       "last_seq":12
 *     facts_rows(&facts, "segments", &rows);  a table below       [{...},...]
 *     facts_end(&facts);
 */
#ifndef RHIZOME_CLI_OUTPUT_H
#define RHIZOME_CLI_OUTPUT_H

#include "cli/json.h"
#include "cli/text.h"
#include "core/digest.h"
#include "core/exit.h"

/* Exit statuses of the command line beside those of core/exit.h. */
enum cli_exit {
    EXIT_DAMAGED = 1,    /* was checked, and there is damage or a difference */
    EXIT_NOT_A_LOG = 65, /* a file that is no term log, an empty one, a
                            directory that is no store */
};

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/* What every subcommand understands (options.h). */
struct common_options {
    bool json;
    bool quiet;
    enum when progress;
    enum when color;
    const char *program; /* argv[0] of the subcommand, "log" */
};

/*
 * Before anything is opened: fills descriptors 0 to 2 where they are closed,
 * so that no file of a store ever becomes stdout, in such a way that using
 * them fails as it would have; ignores SIGPIPE and SIGXFSZ. Writes nothing.
 */
void output_settle(void);

/* Once options are known. They are borrowed for good. */
void output_set_options(const struct common_options *options);
bool output_is_json(void);

/* One line on stderr, "rhizome: " and a sentence: what happened, where, what
 * to do. Control characters become `?`. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, but not with --quiet: what is good to know and no error. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complains about a file: "PATH: WHAT: <text of -error>"; gives EXIT_IO. */
int complain_io(const char *path, const char *what, int error);

/* Data. Cheap: gathered, and written when 64 KiB have come together. */
void output_bytes(struct bytes bytes);
void output_text(const char *text);
void output_flush(void);

/* True once writing has failed: stop working, nobody will see it. */
bool output_broken(void);

/*
 * Writes what is left. Gives `status` if all went well or if the reader has
 * gone, and EXIT_IO, with a line on stderr, if writing failed otherwise.
 */
int output_status(int status);

/* How to show a word on stdout; empty strings without colour. */
enum style { STYLE_HEADING, STYLE_GOOD, STYLE_BAD };
const char *style_begin(enum style style);
const char *style_end(void);

/* "64.0 MiB", "312 B". */
void text_size(struct buffer *out, uint64_t bytes);

/* --- facts --------------------------------------------------------------- */

struct facts {
    struct json json;
    struct buffer text; /* JSON, or finished lines and tables below them */
    struct buffer lines;
    size_t label_width;
};

/* A table: a heading a column (its JSON key, `_` shown as a space). */
struct rows {
    const char *const *columns; /* NULL ends them */
    size_t column_count;
    struct buffer cells; /* what it is (a byte), text, NUL */
    size_t cell_count;
};

void facts_begin(struct facts *facts);
void facts_text(struct facts *facts, const char *key, const char *text);
void facts_bool(struct facts *facts, const char *key, bool value);
void facts_u64(struct facts *facts, const char *key, uint64_t value);
void facts_double(struct facts *facts, const char *key, double value,
                  int decimals);
/* People also see it as KiB, MiB ... */
void facts_size(struct facts *facts, const char *key, uint64_t bytes);
/* 32 hexadecimal digits. */
void facts_hex(struct facts *facts, const char *key, struct bytes bytes);
void facts_digest(struct facts *facts, const char *key, struct digest digest);
/* No value: `none` for people, null in JSON. */
void facts_none(struct facts *facts, const char *key);
/* A table below the lines; an array of objects in JSON. Frees `rows`. */
void facts_rows(struct facts *facts, const char *key, struct rows *rows);
/* Sends it to stdout and frees it. */
void facts_end(struct facts *facts);

void rows_begin(struct rows *rows, const char *const *columns);
/* Cells from left to right, row by row. */
void rows_text(struct rows *rows, const char *text);
/* A term, in a column `name`: its text for people; its JSON in JSON, and its
 * text as `name_term` behind that. Gives what is behind it. */
const uint8_t *rows_term(struct rows *rows, const uint8_t *term);
void rows_u64(struct rows *rows, uint64_t value);
void rows_none(struct rows *rows);

#endif
