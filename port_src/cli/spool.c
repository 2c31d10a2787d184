#include "cli/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)256 << 10)

static ssize_t read_some(int fd, void *data, size_t size)
{
    ssize_t done;

    do {
        done = read(fd, data, size);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

int spool_open(struct spool *spool)
{
    *spool = (struct spool){.fd = STDIN_FILENO};
    while (spool->start_bytes < sizeof(spool->start)) {
        ssize_t done = read_some(spool->fd, spool->start + spool->start_bytes,
                                 sizeof(spool->start) - spool->start_bytes);

        if (done <= 0)
            return (int)done;
        spool->start_bytes += (size_t)done;
    }
    return 0;
}

ssize_t spool_read(struct spool *spool, void *data, size_t size)
{
    size_t left = spool->start_bytes - spool->given;

    if (!left)
        return read_some(spool->fd, data, size);
    if (left > size)
        left = size;
    memcpy(data, spool->start + spool->given, left);
    spool->given += left;
    return (ssize_t)left;
}

/* --- a directory of one file -------------------------------------------- */

/* Only what a reader calls: whoever called anything else would try to change
 * what was piped in. */
struct spool_io {
    struct io io;
    int fd;
    uint64_t base; /* where stdin stood when we were started */
};

static struct spool_io *spool_of(struct io *io)
{
    return (struct spool_io *)io;
}

static int file_open(struct io *io, const char *name, enum io_open how)
{
    if (how != IO_READ)
        return -EROFS;
    return strcmp(name, SPOOL_NAME) == 0 ? spool_of(io)->fd : -ENOENT;
}

static int file_close(struct io *io, int fd)
{
    (void)io;
    (void)fd;
    return 0;
}

static int64_t file_size(struct io *io, int fd)
{
    struct stat stat_of;
    uint64_t base = spool_of(io)->base;

    if (fstat(fd, &stat_of) < 0)
        return -(int64_t)errno;
    return (uint64_t)stat_of.st_size > base
               ? (int64_t)((uint64_t)stat_of.st_size - base)
               : 0;
}

static ssize_t file_pread(struct io *io, int fd, void *data, size_t size,
                          uint64_t offset)
{
    ssize_t done;

    do {
        done = pread(fd, data, size, (off_t)(spool_of(io)->base + offset));
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static void file_free(struct io *io)
{
    struct spool_io *spool = spool_of(io);

    if (spool->fd != STDIN_FILENO)
        close(spool->fd);
    free(spool);
}

static const struct io_ops spool_ops = {
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .pread = file_pread,
    .free = file_free,
};

/* A file that has no name and goes when it is closed. */
static int open_temporary(void)
{
    const char *directory = getenv("TMPDIR");
    char *name;
    int fd;

    if (!directory || !*directory)
        directory = "/tmp";
    fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd < 0 ? -errno : fd;
    if (asprintf(&name, "%s/rhizome.XXXXXX", directory) < 0)
        return -ENOMEM;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    else
        unlink(name);
    free(name);
    return fd;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        data += done;
        size -= (size_t)done;
    }
    return 0;
}

/* Copies what is to come of stdin to `fd`. */
static int copy_all(struct spool *spool, int fd, const char **ret_what)
{
    uint8_t *data = malloc(COPY_BYTES);
    int error = 0;

    if (!data)
        text_no_memory();
    while (error == 0) {
        ssize_t done = spool_read(spool, data, COPY_BYTES);

        if (done == 0)
            break;
        *ret_what = done < 0 ? "cannot be read"
                             : "cannot be copied to a temporary file (set "
                               "TMPDIR to where there is room)";
        error = done < 0 ? (int)done : write_all(fd, data, (size_t)done);
    }
    free(data);
    return error;
}

int spool_directory(struct spool *spool, struct io **ret, const char **ret_what)
{
    struct spool_io *io = calloc(1, sizeof(*io));
    off_t place = lseek(spool->fd, 0, SEEK_CUR);
    struct stat stat_of;
    int error = 0;

    if (!io)
        text_no_memory();
    io->io.ops = &spool_ops;
    io->fd = spool->fd;
    if (place >= 0 && fstat(spool->fd, &stat_of) == 0 &&
        S_ISREG(stat_of.st_mode)) {
        io->base = (uint64_t)place - spool->start_bytes;
    } else {
        *ret_what = "no temporary file can be made for it (set TMPDIR)";
        io->fd = open_temporary();
        error = io->fd < 0 ? io->fd : copy_all(spool, io->fd, ret_what);
    }
    if (error < 0) {
        if (io->fd >= 0)
            file_free(&io->io);
        else
            free(io);
        return error;
    }
    *ret = &io->io;
    return 0;
}
