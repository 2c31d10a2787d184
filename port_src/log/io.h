/*
 * io.h -- the seam under the log: every call that a store makes on files.
 *
 * A struct io is one open directory. Names are relative to it and short; some
 * lead into a directory below it ("torn/..."). Descriptors are small integers
 * that only the same io understands. Every function gives back a result >= 0
 * or the negative of an errno, sets nothing else, and never retries: what a
 * failure means is decided above. EINTR alone is hidden here.
 *
 * Tests put another implementation under it, one that remembers what would
 * be on the disk after a power cut and fails where it is told to.
 *
 * Any thread may call them on the file system; two threads share a descriptor
 * only to sync it while the other one writes.
 */
#ifndef RHIZOME_LOG_IO_H
#define RHIZOME_LOG_IO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum io_open {
    IO_READ,   /* an existing file, for reading */
    IO_WRITE,  /* an existing file, for reading and writing */
    IO_CREATE, /* a new file, for reading and writing: EEXIST if it is there */
};

struct io;

struct io_ops {
    int (*open)(struct io *io, const char *name, enum io_open how);
    int (*close)(struct io *io, int fd);
    int64_t (*size)(struct io *io, int fd);
    ssize_t (*pread)(struct io *io, int fd, void *data, size_t size,
                     uint64_t offset);
    ssize_t (*pwrite)(struct io *io, int fd, const void *data, size_t size,
                      uint64_t offset);
    int (*allocate)(struct io *io, int fd, uint64_t offset, uint64_t size);
    int (*truncate)(struct io *io, int fd, uint64_t size);
    int (*sync)(struct io *io, int fd);
    int (*sync_directory)(struct io *io, const char *name);
    int (*forget)(struct io *io, int fd);
    int (*rename)(struct io *io, const char *from, const char *to);
    int (*unlink)(struct io *io, const char *name);
    int (*make_directory)(struct io *io, const char *name);
    int (*list)(struct io *io, void (*each)(void *context, const char *name),
                void *context);
    int (*lock)(struct io *io, int64_t *ret_holder);
    void (*free)(struct io *io);
};

struct io {
    const struct io_ops *ops;
};

/*
 * Opens a directory of the file system. With `create` it and its parents are
 * made if they are missing (mode 0700), and entries are made durable in the
 * parents. Files are created with mode 0600, all with O_CLOEXEC; links are
 * not followed (O_NOFOLLOW). Fails with -errno.
 */
int io_open_directory(const char *path, bool create, struct io **ret);
void io_free(struct io *io); /* NULL is accepted; also lets go of the lock */

/* A descriptor, or -errno. */
static inline int io_open(struct io *io, const char *name, enum io_open how)
{
    return io->ops->open(io, name, how);
}

static inline int io_close(struct io *io, int fd)
{
    return io->ops->close(io, fd);
}

static inline int64_t io_size(struct io *io, int fd)
{
    return io->ops->size(io, fd);
}

/* How many bytes were read or written: may be fewer than asked for; 0 at the
 * end of the file. */
static inline ssize_t io_pread(struct io *io, int fd, void *data, size_t size,
                               uint64_t offset)
{
    return io->ops->pread(io, fd, data, size, offset);
}

static inline ssize_t io_pwrite(struct io *io, int fd, const void *data,
                                size_t size, uint64_t offset)
{
    return io->ops->pwrite(io, fd, data, size, offset);
}

/*
 * Makes sure that bytes [offset, offset + size) have room on the disk, so that
 * writing them will not fail for lack of it, and that the file is at least
 * that long, zeros where nothing was written. Uses fallocate() or, where the
 * file system has none, writes zeros behind the file's end.
 */
static inline int io_allocate(struct io *io, int fd, uint64_t offset,
                              uint64_t size)
{
    return io->ops->allocate(io, fd, offset, size);
}

static inline int io_truncate(struct io *io, int fd, uint64_t size)
{
    return io->ops->truncate(io, fd, size);
}

/* fdatasync(): contents and size are on the disk when it gives 0. */
static inline int io_sync(struct io *io, int fd)
{
    return io->ops->sync(io, fd);
}

/* fsync() of the directory itself (name NULL) or of one below it: names that
 * came, went or changed are on the disk when it gives 0. */
static inline int io_sync_directory(struct io *io, const char *name)
{
    return io->ops->sync_directory(io, name);
}

/* Drops what is cached of a file and clean, so that the next read comes from
 * the disk: after a failed sync the cache shows what the disk has not. */
static inline int io_forget(struct io *io, int fd)
{
    return io->ops->forget(io, fd);
}

/* Replaces `to` if it is there. */
static inline int io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}

static inline int io_unlink(struct io *io, const char *name)
{
    return io->ops->unlink(io, name);
}

/* 0 too if it is there already. */
static inline int io_make_directory(struct io *io, const char *name)
{
    return io->ops->make_directory(io, name);
}

/* Calls `each` with every name in the directory but "." and "..", in any
 * order. The name is borrowed. */
static inline int io_list(struct io *io,
                          void (*each)(void *context, const char *name),
                          void *context)
{
    return io->ops->list(io, each, context);
}

/*
 * Takes the lock of the directory, which lasts until the io is freed or the
 * process ends: flock() of the file LOCK, into which the process writes its
 * number. -EWOULDBLOCK if another process holds it: `*ret_holder` is then its
 * number, or 0 if it is not to be read.
 */
static inline int io_lock(struct io *io, int64_t *ret_holder)
{
    return io->ops->lock(io, ret_holder);
}

/* Whether an error says that there is no room: on the disk, in a quota, or
 * below a limit on the size of files. */
static inline bool io_error_is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* Reads or writes all of it, whatever a single call does: 0, or -errno;
 * reading gives -ENODATA if the file ends before. */
int io_read_all(struct io *io, int fd, void *data, size_t size,
                uint64_t offset);
int io_write_all(struct io *io, int fd, const void *data, size_t size,
                 uint64_t offset);

#endif
