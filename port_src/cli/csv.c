#include "cli/csv.h"

#include <stdlib.h>

void csv_init(struct csv *csv, struct input *input, char delimiter)
{
    *csv = (struct csv){
        .input = input,
        .delimiter = delimiter,
        .text = BUFFER(cli_mem()),
        .record = BUFFER(cli_mem()),
    };
}

void csv_deinit(struct csv *csv)
{
    free(csv->fields);
    buffer_free(&csv->text);
    buffer_free(&csv->record);
    csv->fields = NULL;
}

static const char *add_field(struct csv *csv, struct bytes text, size_t column,
                             bool quoted)
{
    if (csv->count == CSV_FIELDS_MAX) {
        csv->column = column;
        return "the line has more than 65536 fields";
    }
    if (csv->count == csv->capacity) {
        size_t capacity = csv->capacity ? 2 * csv->capacity : 16;
        struct csv_field *fields =
            realloc(csv->fields, capacity * sizeof(*fields));

        if (!fields)
            text_no_memory();
        csv->fields = fields;
        csv->capacity = capacity;
    }
    csv->fields[csv->count++] = (struct csv_field){text, column, quoted};
    return NULL;
}

static const char *split_spaces(struct csv *csv, struct bytes line)
{
    size_t at = 0;

    for (;;) {
        size_t begin;
        const char *wrong;

        while (at < line.size &&
               (line.data[at] == ' ' || line.data[at] == '\t'))
            at++;
        if (at == line.size)
            return NULL;
        begin = at;
        while (at < line.size && line.data[at] != ' ' && line.data[at] != '\t')
            at++;
        wrong = add_field(csv, bytes_of(line.data + begin, at - begin),
                          begin + 1, false);
        if (wrong)
            return wrong;
    }
}

static const char *split_plain(struct csv *csv, struct bytes line)
{
    const uint8_t *at = line.data;
    const uint8_t *end = line.data + line.size;

    for (;;) {
        const uint8_t *stop =
            at < end ? memchr(at, csv->delimiter, (size_t)(end - at)) : NULL;
        const char *wrong =
            add_field(csv, bytes_of(at, (size_t)((stop ? stop : end) - at)),
                      (size_t)(at - line.data) + 1, false);

        if (wrong || !stop)
            return wrong;
        at = stop + 1;
    }
}

/* The next line goes behind those of the record, which may move. */
static const char *read_on(struct csv *csv)
{
    struct bytes line;

    switch (input_line(csv->input, &line)) {
    case INPUT_END:
        return "the quoted field that begins here has no end";
    case INPUT_FAULT:
        csv->column = 0;
        return csv->input->fault;
    case INPUT_GIVEN:
        break;
    }
    text_byte(&csv->record, '\n');
    text_bytes(&csv->record, line);
    if (csv->record.size > INPUT_LINE_BYTES_MAX)
        return "the quoted field that begins here is longer than 64 MiB";
    return NULL;
}

/* A field in quotes from *at on, behind the first one; its text goes to
 * csv->text, whose place is told as an offset since that may move. */
static const char *take_quoted(struct csv *csv, size_t *at)
{
    for (;;) {
        const uint8_t *data = csv->record.data;
        const uint8_t *from = data + *at;
        size_t left = csv->record.size - *at;
        const uint8_t *quote = left ? memchr(from, '"', left) : NULL;

        if (!quote) {
            const char *wrong;

            text_bytes(&csv->text, bytes_of(from, left));
            text_append(&csv->text, csv->input->cr ? "\r\n" : "\n");
            *at = csv->record.size + 1;
            wrong = read_on(csv);
            if (wrong)
                return wrong;
            continue;
        }
        text_bytes(&csv->text, bytes_of(from, (size_t)(quote - from)));
        *at = (size_t)(quote - data) + 1;
        if (*at == csv->record.size || data[*at] != '"')
            return NULL;
        text_byte(&csv->text, '"');
        ++*at;
    }
}

/*
 * A record with quotes in it. Fields are taken as offsets first: what they lie
 * in moves.
 */
static const char *split_quoted(struct csv *csv, struct bytes line)
{
    size_t at = 0;
    const char *wrong = NULL;

    csv->record.size = 0;
    csv->text.size = 0;
    text_bytes(&csv->record, line);
    while (!wrong) {
        size_t begin = at;
        bool quoted = at < csv->record.size && csv->record.data[at] == '"';
        size_t offset = quoted ? csv->text.size : at;
        const uint8_t *stop;

        csv->column = begin + 1;
        if (quoted) {
            at++;
            wrong = take_quoted(csv, &at);
            if (wrong)
                return wrong;
            if (at < csv->record.size &&
                csv->record.data[at] != (uint8_t)csv->delimiter) {
                csv->column = at + 1;
                return "text stands behind a quoted field; a quote within one "
                       "is written twice";
            }
            wrong = add_field(csv, bytes_of(NULL, csv->text.size - offset),
                              begin + 1, true);
        } else {
            stop = memchr(csv->record.data + at, csv->delimiter,
                          csv->record.size - at);
            at = stop ? (size_t)(stop - csv->record.data) : csv->record.size;
            wrong =
                add_field(csv, bytes_of(NULL, at - begin), begin + 1, false);
        }
        if (!wrong)
            csv->fields[csv->count - 1].text.data =
                (const uint8_t *)(uintptr_t)offset;
        if (at >= csv->record.size)
            break;
        at++;
    }
    for (size_t i = 0; i < csv->count && !wrong; i++) {
        struct csv_field *field = &csv->fields[i];
        size_t offset = (size_t)(uintptr_t)field->text.data;

        field->text.data =
            (field->quoted ? csv->text.data : csv->record.data) + offset;
        if (!field->text.size)
            field->text.data = (const uint8_t *)"";
    }
    return wrong;
}

const char *csv_split(struct csv *csv, struct bytes line)
{
    csv->count = 0;
    csv->line = csv->input->line;
    csv->column = 1;
    if (csv->delimiter == CSV_SPACES)
        return split_spaces(csv, line);
    if (line.size && memchr(line.data, '"', line.size))
        return split_quoted(csv, line);
    return split_plain(csv, line);
}

void csv_put(struct buffer *out, struct bytes text, char delimiter, bool quotes)
{
    for (size_t i = 0; i < text.size && !quotes; i++) {
        char c = (char)text.data[i];

        quotes = c == delimiter || c == '"' || c == '\r' || c == '\n';
    }
    if (!quotes) {
        text_bytes(out, text);
        return;
    }
    text_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            text_byte(out, '"');
        text_byte(out, (char)text.data[i]);
    }
    text_byte(out, '"');
}
