/*
 * io.c -- the seam on the real file system.
 *
 * A directory is an open descriptor, and everything in it is reached through
 * that: whoever renames the directory or changes where we stand takes nothing
 * away from us. Descriptors are those of the system.
 *
 * The lock is flock() and not fcntl(): closing any descriptor of a file lets
 * go of all fcntl() locks that the process has on it.
 */
#include "log/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "LOCK"
#define FILE_MODE 0600
#define DIRECTORY_MODE 0700

/* Repeats a call that a signal has interrupted. */
#define RETRY(result, call)                                                    \
    do {                                                                       \
        (result) = (call);                                                     \
    } while ((result) < 0 && errno == EINTR)

struct directory {
    struct io io;
    int fd;
    int lock_fd; /* -1: not locked */
};

static struct directory *directory_of(struct io *io)
{
    return (struct directory *)io;
}

/* 0, or why the last call failed. */
static int outcome(int result)
{
    return result < 0 ? -errno : 0;
}

/* Only regular files are ours; a FIFO of that name must not block us. */
static int open_regular(const struct directory *directory, const char *name,
                        int flags)
{
    struct stat stat;
    int fd;
    int error;

    RETRY(fd, openat(directory->fd, name,
                     flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                     FILE_MODE));
    if (fd < 0)
        return -errno;
    error = outcome(fstat(fd, &stat));
    if (error == 0 && !S_ISREG(stat.st_mode))
        error = S_ISDIR(stat.st_mode) ? -EISDIR : -EINVAL;
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

static int directory_open(struct io *io, const char *name, enum io_open how)
{
    static const int flags[] = {
        [IO_READ] = O_RDONLY,
        [IO_WRITE] = O_RDWR,
        [IO_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };

    return open_regular(directory_of(io), name, flags[how]);
}

/* Linux has closed it when it says EINTR: closing again would hit another. */
static int directory_close(struct io *io, int fd)
{
    (void)io;
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int64_t directory_size(struct io *io, int fd)
{
    struct stat stat;

    (void)io;
    return fstat(fd, &stat) < 0 ? -(int64_t)errno : (int64_t)stat.st_size;
}

static ssize_t directory_pread(struct io *io, int fd, void *data, size_t size,
                               uint64_t offset)
{
    ssize_t done;

    (void)io;
    RETRY(done, pread(fd, data, size, (off_t)offset));
    return done < 0 ? -errno : done;
}

static ssize_t directory_pwrite(struct io *io, int fd, const void *data,
                                size_t size, uint64_t offset)
{
    ssize_t done;

    (void)io;
    RETRY(done, pwrite(fd, data, size, (off_t)offset));
    return done < 0 ? -errno : done;
}

static int directory_truncate(struct io *io, int fd, uint64_t size)
{
    int result;

    (void)io;
    RETRY(result, ftruncate(fd, (off_t)size));
    return outcome(result);
}

/* Room by writing zeros, where there is no fallocate(): behind the file's end
 * only, for what lies before it may be data. */
static int fill_with_zeros(struct io *io, int fd, uint64_t end)
{
    static const uint8_t zeros[16384];
    int64_t old_end = io_size(io, fd);
    uint64_t at = old_end < 0 ? 0 : (uint64_t)old_end;
    int error = old_end < 0 ? (int)old_end : 0;

    while (error == 0 && at < end) {
        size_t size =
            end - at < sizeof(zeros) ? (size_t)(end - at) : sizeof(zeros);

        error = io_write_all(io, fd, zeros, size, at);
        at += size;
    }
    if (error < 0 && old_end >= 0) /* do not sit on room that is too little */
        (void)io_truncate(io, fd, (uint64_t)old_end);
    return error;
}

static int directory_allocate(struct io *io, int fd, uint64_t offset,
                              uint64_t size)
{
    int result;

    RETRY(result, fallocate(fd, 0, (off_t)offset, (off_t)size));
    if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return fill_with_zeros(io, fd, offset + size);
    return outcome(result);
}

static int directory_sync(struct io *io, int fd)
{
    int result;

    (void)io;
    RETRY(result, fdatasync(fd));
    return outcome(result);
}

static int sync_at(int fd, const char *name)
{
    int below;
    int result;

    RETRY(below,
          openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below < 0)
        return -errno;
    RETRY(result, fsync(below));
    result = outcome(result);
    close(below);
    return result;
}

static int directory_sync_directory(struct io *io, const char *name)
{
    return sync_at(directory_of(io)->fd, name ? name : ".");
}

static int directory_forget(struct io *io, int fd)
{
    (void)io;
    return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int directory_rename(struct io *io, const char *from, const char *to)
{
    int fd = directory_of(io)->fd;

    return outcome(renameat(fd, from, fd, to));
}

static int directory_unlink(struct io *io, const char *name)
{
    return outcome(unlinkat(directory_of(io)->fd, name, 0));
}

static int directory_make_directory(struct io *io, const char *name)
{
    int fd = directory_of(io)->fd;
    struct stat stat;

    if (mkdirat(fd, name, DIRECTORY_MODE) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISDIR(stat.st_mode) ? 0 : -ENOTDIR;
}

static int directory_list(struct io *io,
                          void (*each)(void *context, const char *name),
                          void *context)
{
    int fd =
        openat(directory_of(io)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *stream;
    int error;

    if (fd < 0)
        return -errno;
    stream = fdopendir(fd);
    if (!stream) {
        error = -errno;
        close(fd);
        return error;
    }
    while (errno = 0, (entry = readdir(stream)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(context, entry->d_name);
    error = -errno;
    closedir(stream);
    return error;
}

/* The number in a lock file: digits and a newline, or 0. */
static int64_t holder_read(int fd)
{
    char text[24];
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    char *end;
    int64_t holder;

    if (size <= 0)
        return 0;
    text[size] = '\0';
    errno = 0;
    holder = strtoll(text, &end, 10);
    return errno || *end != '\n' || holder < 0 ? 0 : holder;
}

/* A courtesy to whoever finds the directory locked: the lock holds without. */
static void holder_write(int fd)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%" PRId64 "\n", (int64_t)getpid());

    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) != size)
        (void)!ftruncate(fd, 0);
}

static int directory_lock(struct io *io, int64_t *ret_holder)
{
    struct directory *directory = directory_of(io);
    int result;
    int fd;

    if (directory->lock_fd >= 0)
        return 0;
    fd = open_regular(directory, LOCK_NAME, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    RETRY(result, flock(fd, LOCK_EX | LOCK_NB));
    if (result < 0) {
        result = -errno;
        if (result == -EWOULDBLOCK)
            *ret_holder = holder_read(fd);
        close(fd);
        return result;
    }
    holder_write(fd);
    directory->lock_fd = fd;
    return 0;
}

static void directory_free(struct io *io)
{
    struct directory *directory = directory_of(io);

    if (directory->lock_fd >= 0)
        close(directory->lock_fd);
    close(directory->fd);
    free(directory);
}

static const struct io_ops directory_ops = {
    .open = directory_open,
    .close = directory_close,
    .size = directory_size,
    .pread = directory_pread,
    .pwrite = directory_pwrite,
    .allocate = directory_allocate,
    .truncate = directory_truncate,
    .sync = directory_sync,
    .sync_directory = directory_sync_directory,
    .forget = directory_forget,
    .rename = directory_rename,
    .unlink = directory_unlink,
    .make_directory = directory_make_directory,
    .list = directory_list,
    .lock = directory_lock,
    .free = directory_free,
};

static int open_path(const char *path)
{
    int fd;

    RETRY(fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd < 0 ? -errno : fd;
}

/* Syncs the directory that the last name of `path` stands in. `path` is
 * changed and restored. */
static int sync_parent(char *path)
{
    char *slash = strrchr(path, '/');
    char *end = slash == path ? path + 1 : slash;
    char kept;
    int result;
    int fd;

    if (!slash) {
        fd = open_path(".");
    } else {
        kept = *end;
        *end = '\0';
        fd = open_path(path);
        *end = kept;
    }
    if (fd < 0)
        return fd;
    RETRY(result, fsync(fd));
    result = outcome(result);
    close(fd);
    return result;
}

/* Makes the directory `path` names, all that come before it, and their names
 * durable. `path` is changed and restored. */
static int make_path(char *path)
{
    char *at = path;
    int error = 0;

    while (error == 0 && *at) {
        char kept;

        at += strspn(at, "/");
        if (!*at) /* a slash at the end */
            break;
        at += strcspn(at, "/");
        kept = *at;
        *at = '\0';
        if (mkdir(path, DIRECTORY_MODE) == 0)
            error = sync_parent(path);
        else if (errno != EEXIST)
            error = -errno;
        *at = kept;
    }
    return error;
}

/* Opens `path`, and makes it if it is not there. */
static int open_or_make(const char *path)
{
    int fd = open_path(path);
    char *copy;
    int error;

    if (fd != -ENOENT)
        return fd;
    copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    error = make_path(copy);
    free(copy);
    return error < 0 ? error : open_path(path);
}

int io_open_directory(const char *path, bool create, struct io **ret)
{
    struct directory *directory;
    int fd = create ? open_or_make(path) : open_path(path);

    if (fd < 0)
        return fd;
    directory = calloc(1, sizeof(*directory));
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    directory->io.ops = &directory_ops;
    directory->fd = fd;
    directory->lock_fd = -1;
    *ret = &directory->io;
    return 0;
}

void io_free(struct io *io)
{
    if (io)
        io->ops->free(io);
}

int io_read_all(struct io *io, int fd, void *data, size_t size, uint64_t offset)
{
    uint8_t *at = data;

    while (size > 0) {
        ssize_t done = io_pread(io, fd, at, size, offset);

        if (done < 0)
            return (int)done;
        if (done == 0)
            return -ENODATA;
        at += done;
        size -= (size_t)done;
        offset += (size_t)done;
    }
    return 0;
}

/* A write of nothing that is no error would go on for ever. */
int io_write_all(struct io *io, int fd, const void *data, size_t size,
                 uint64_t offset)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t done = io_pwrite(io, fd, at, size, offset);

        if (done <= 0)
            return done < 0 ? (int)done : -EIO;
        at += done;
        size -= (size_t)done;
        offset += (size_t)done;
    }
    return 0;
}
