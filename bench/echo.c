/*
 * echo.c -- a port program that does nothing: the floor of every figure that
 * goes through a port. It sends each {packet,4} frame back as it came.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Reads exactly `size` bytes; 0 at the end of the input. */
static int read_all(uint8_t *data, size_t size)
{
    while (size) {
        ssize_t got = read(0, data, size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        data += got;
        size -= (size_t)got;
    }
    return 1;
}

static int write_all(const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t put = write(1, data, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return 0;
        data += put;
        size -= (size_t)put;
    }
    return 1;
}

int main(void)
{
    size_t capacity = 4096;
    uint8_t *frame = malloc(capacity);

    while (frame && read_all(frame, 4)) {
        size_t size = (size_t)frame[0] << 24 | (size_t)frame[1] << 16 |
                      (size_t)frame[2] << 8 | frame[3];

        if (size + 4 > capacity) {
            uint8_t *grown = realloc(frame, size + 4);

            if (!grown)
                break;
            frame = grown;
            capacity = size + 4;
        }
        if (!read_all(frame + 4, size) || !write_all(frame, size + 4))
            break;
    }
    free(frame);
    return 0;
}
