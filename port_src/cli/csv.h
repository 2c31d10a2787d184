/*
 * csv.h -- lines of fields: RFC 4180 with any delimiter, or words.
 *
 * A field in quotes may hold the delimiter, ends of lines, and quotes twice
 * each. With the delimiter CSV_SPACES fields are parted by any number of
 * spaces and tabs, and quotes are characters like others.
 */
#ifndef RHIZOME_CLI_CSV_H
#define RHIZOME_CLI_CSV_H

#include "cli/input.h"

#define CSV_SPACES ' '

/* More on one line are a mistake. */
#define CSV_FIELDS_MAX 65536

struct csv_field {
    struct bytes text;
    size_t column; /* in bytes, from 1; where it begins in its line */
    bool quoted;
};

struct csv {
    struct input *input;
    char delimiter;
    struct csv_field *fields; /* of the record, until the next one */
    size_t count;
    size_t capacity;
    uint64_t line;        /* where the record begins */
    size_t column;        /* of a fault */
    struct buffer text;   /* of fields in quotes */
    struct buffer record; /* lines of a record that has several */
};

void csv_init(struct csv *csv, struct input *input, char delimiter);
void csv_deinit(struct csv *csv);

/*
 * Splits a line that input_line() gave, and reads on if a quoted field does.
 * NULL, or what is wrong, at csv->column of the line csv->line; of reading
 * itself (input->fault) the column is 0.
 */
const char *csv_split(struct csv *csv, struct bytes line);

/* Appends a field, in quotes if it needs them. */
void csv_put(struct buffer *out, struct bytes text, char delimiter,
             bool quotes);

#endif
