/*
 * input.h -- a file to import, plain or compressed with gzip, as lines or as
 * pieces.
 *
 * Read in large pieces and never as a whole: memory is that of the longest
 * line, and a line has a bound. What is compressed is known by its first two
 * bytes; several members behind one another are one file, as gzip(1) has it.
 */
#ifndef RHIZOME_CLI_INPUT_H
#define RHIZOME_CLI_INPUT_H

#include "cli/text.h"

/* A longer line is a mistake, and one of a gigabyte must not take that much
 * memory. */
#define INPUT_LINE_BYTES_MAX ((size_t)64 << 20)

struct input_gzip;

struct input {
    const char *name; /* for messages; borrowed */
    int fd;
    struct input_gzip *gzip; /* NULL: it is plain */
    uint8_t *data;           /* one byte more than `capacity` */
    size_t capacity;
    size_t start; /* what is still to be given */
    size_t end;
    bool at_end;       /* nothing comes behind it */
    bool cr;           /* the line given last ended with "\r\n" */
    uint64_t line;     /* of the last one given, from 1 */
    uint64_t bytes;    /* of the file that were read */
    uint64_t total;    /* that it has; 0: not known */
    const char *fault; /* why INPUT_FAULT */
    int error;         /* its errno, or 0 */
};

enum input_result { INPUT_GIVEN, INPUT_END, INPUT_FAULT };

/* `path` may be "-", stdin. -1, or an exit status after a complaint. To be
 * closed in either case. */
int input_open(struct input *input, const char *path);
void input_close(struct input *input);

/*
 * The next line, without its end ("\n" or "\r\n"), until the next call. A byte
 * order mark at the start of the file is left out. INPUT_FAULT: reading
 * failed, what is compressed is damaged or cut off, or the line is too long;
 * `fault` says it.
 */
enum input_result input_line(struct input *input, struct bytes *ret);

/* The next piece, of any size but 0, for those who know of no lines. */
enum input_result input_piece(struct input *input, struct bytes *ret);

#endif
