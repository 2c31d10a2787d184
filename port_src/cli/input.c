#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "cli/output.h"

#define PIECE_BYTES ((size_t)1 << 20)

struct input_gzip {
    z_stream stream;
    uint8_t data[256 << 10];
    bool in_member; /* between a head and its end */
    bool at_end;    /* of the file */
};

static ssize_t read_some(struct input *input, void *data, size_t size)
{
    ssize_t done;

    do {
        done = read(input->fd, data, size);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        input->fault = "cannot be read";
        input->error = errno;
    } else {
        input->bytes += (size_t)done;
    }
    return done;
}

/* --- gzip ----------------------------------------------------------------- */

static bool gzip_fault(struct input *input, const char *fault)
{
    input->fault = fault;
    input->error = 0;
    return false;
}

/* More of what is compressed; false at the end, or after a fault. */
static bool gzip_refill(struct input *input)
{
    struct input_gzip *gzip = input->gzip;
    ssize_t done = read_some(input, gzip->data, sizeof(gzip->data));

    if (done < 0)
        return false;
    gzip->stream.next_in = gzip->data;
    gzip->stream.avail_in = (unsigned)done;
    gzip->at_end = done == 0;
    return done > 0;
}

/*
 * A file may go on with another member behind the end of one. What follows
 * and is none is left out by gzip(1) if it is zeros (tapes have them), and is a
 * fault here.
 */
static bool gzip_next_member(struct input *input, bool *ret_end)
{
    struct input_gzip *gzip = input->gzip;

    *ret_end = false;
    if (!gzip->stream.avail_in && !gzip_refill(input)) {
        *ret_end = !input->fault;
        return *ret_end;
    }
    if (inflateReset(&gzip->stream) != Z_OK)
        return gzip_fault(input, "what is compressed is damaged");
    gzip->in_member = true;
    return true;
}

/* Fills `room`; how many bytes, 0 at the end, -1 after a fault. */
static ssize_t gzip_read(struct input *input, uint8_t *room, size_t size)
{
    struct input_gzip *gzip = input->gzip;
    z_stream *stream = &gzip->stream;
    bool end;
    int code;

    stream->next_out = room;
    stream->avail_out = (unsigned)size;
    while (stream->avail_out == size) {
        if (!gzip->in_member) {
            if (!gzip_next_member(input, &end))
                return -1;
            if (end)
                return 0;
        }
        if (!stream->avail_in && !gzip->at_end && !gzip_refill(input) &&
            input->fault)
            return -1;
        code = inflate(stream, Z_NO_FLUSH);
        if (code == Z_STREAM_END) {
            gzip->in_member = false;
        } else if (code == Z_MEM_ERROR) {
            text_no_memory();
        } else if (code == Z_BUF_ERROR && gzip->at_end) {
            gzip_fault(input, "what is compressed is cut off");
            return -1;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            gzip_fault(input, "what is compressed is damaged");
            return -1;
        }
    }
    return (ssize_t)(size - stream->avail_out);
}

/* Whatever has been read plainly so far is the beginning of a member. */
static void gzip_begin(struct input *input)
{
    struct input_gzip *gzip = calloc(1, sizeof(*gzip));
    size_t size = input->end - input->start;

    REQUIRE(size <= sizeof(gzip->data));
    if (!gzip || inflateInit2(&gzip->stream, 15 + 16) != Z_OK)
        text_no_memory();
    memcpy(gzip->data, input->data + input->start, size);
    gzip->stream.next_in = gzip->data;
    gzip->stream.avail_in = (unsigned)size;
    gzip->in_member = true;
    input->gzip = gzip;
    input->start = 0;
    input->end = 0;
}

/* --- pieces --------------------------------------------------------------- */

static void begin(struct input *input)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};

    while (input->end < 2 && !input->at_end && !input->fault) {
        ssize_t done =
            read_some(input, input->data + input->end, 2 - input->end);

        if (done > 0)
            input->end += (size_t)done;
        input->at_end = done == 0;
    }
    if (input->end == 2 && input->data[0] == 0x1f && input->data[1] == 0x8b)
        gzip_begin(input);
    while (input->end < sizeof(mark) && !input->at_end && !input->fault) {
        ssize_t done = input->gzip ? gzip_read(input, input->data + input->end,
                                               input->capacity - input->end)
                                   : read_some(input, input->data + input->end,
                                               input->capacity - input->end);

        if (done > 0)
            input->end += (size_t)done;
        input->at_end = done == 0;
    }
    if (input->end >= sizeof(mark) &&
        memcmp(input->data, mark, sizeof(mark)) == 0)
        input->start = sizeof(mark);
}

int input_open(struct input *input, const char *path)
{
    struct stat stat_of;

    *input = (struct input){
        .name = path,
        .fd = STDIN_FILENO,
        .capacity = PIECE_BYTES,
    };
    if (strcmp(path, "-") == 0) {
        input->name = "stdin";
    } else {
        input->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (input->fd < 0) {
            complain("%s: %s", path,
                     errno == ENOENT ? "there is no such file"
                                     : strerror(errno));
            return EXIT_IO;
        }
    }
    if (fstat(input->fd, &stat_of) == 0 && S_ISREG(stat_of.st_mode))
        input->total = (uint64_t)stat_of.st_size;
    (void)posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    input->data = malloc(input->capacity + 1);
    if (!input->data)
        text_no_memory();
    begin(input);
    return -1;
}

void input_close(struct input *input)
{
    if (input->gzip)
        inflateEnd(&input->gzip->stream);
    free(input->gzip);
    free(input->data);
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    *input = (struct input){.fd = -1};
}

/* More bytes behind those that are there; false at the end or a fault. */
static bool fill(struct input *input)
{
    size_t size;
    ssize_t done;

    if (input->at_end || input->fault)
        return false;
    if (input->start) {
        memmove(input->data, input->data + input->start,
                input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    if (input->end == input->capacity) {
        uint8_t *grown = realloc(input->data, 2 * input->capacity + 1);

        if (!grown)
            text_no_memory();
        input->data = grown;
        input->capacity *= 2;
    }
    size = input->capacity - input->end;
    done = input->gzip ? gzip_read(input, input->data + input->end, size)
                       : read_some(input, input->data + input->end, size);
    if (done > 0)
        input->end += (size_t)done;
    input->at_end = done == 0;
    return done > 0;
}

enum input_result input_piece(struct input *input, struct bytes *ret)
{
    if (input->start == input->end && !fill(input))
        return input->fault ? INPUT_FAULT : INPUT_END;
    *ret = bytes_of(input->data + input->start, input->end - input->start);
    input->start = input->end;
    return INPUT_GIVEN;
}

static enum input_result give_line(struct input *input, size_t size,
                                   bool has_end, struct bytes *ret)
{
    const uint8_t *line = input->data + input->start;

    input->start += size + has_end;
    input->line++;
    input->cr = has_end && size && line[size - 1] == '\r';
    if (size && line[size - 1] == '\r')
        size--;
    *ret = bytes_of(line, size);
    return INPUT_GIVEN;
}

enum input_result input_line(struct input *input, struct bytes *ret)
{
    size_t looked = 0;

    for (;;) {
        size_t size = input->end - input->start;
        const uint8_t *line = input->data + input->start;
        const uint8_t *end =
            size > looked ? memchr(line + looked, '\n', size - looked) : NULL;

        if (end)
            return give_line(input, (size_t)(end - line), true, ret);
        if (size > INPUT_LINE_BYTES_MAX) {
            input->line++;
            input->fault = "the line is longer than 64 MiB";
            return INPUT_FAULT;
        }
        looked = size;
        if (fill(input))
            continue;
        if (input->fault) {
            input->line++;
            return INPUT_FAULT;
        }
        return size ? give_line(input, size, false, ret) : INPUT_END;
    }
}
