/*
 * mend.c -- making a directory what recovery has found it to be.
 *
 *     log-0001   [records......|torn bytes]        saved to torn/, then cut
 *     log-0400   [header|records of no use]        moved to torn/ as a whole
 *
 * Everything that goes is saved and synced before the first byte is cut, so
 * it may be interrupted anywhere: the next recovery finds the same torn tail,
 * or none. The room behind the last record of a segment that was not ended in
 * order is cut off in the same way, and nothing of it is saved.
 */
#include "log/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Where what was cut goes. */
#define TORN_DIRECTORY "torn"

/* A name in torn/ that is free: "torn/log-....tlg.<offset>.<n>". */
static int torn_create(struct io *io, const char *file, uint64_t offset,
                       char name[FILE_NAME_BYTES])
{
    int fd = -EEXIST;

    for (unsigned n = 1; fd == -EEXIST && n < 1000; n++) {
        snprintf(name, FILE_NAME_BYTES, TORN_DIRECTORY "/%.40s.%" PRIu64 ".%u",
                 file, offset, n);
        fd = io_open(io, name, IO_CREATE);
    }
    return fd;
}

/* Saves bytes [offset, end) of `file`, or as many as there are. */
static int torn_save(struct io *io, const char *file, uint64_t offset,
                     uint64_t end, char name[FILE_NAME_BYTES])
{
    static uint8_t data[64 << 10];
    int64_t file_size;
    uint64_t at = 0;
    int from, to;
    int error = 0;

    from = io_open(io, file, IO_READ);
    if (from < 0)
        return from;
    file_size = io_size(io, from);
    to = file_size < 0 ? (int)file_size : torn_create(io, file, offset, name);
    if (to < 0) {
        io_close(io, from);
        return to;
    }
    if (end > (uint64_t)file_size)
        end = (uint64_t)file_size;
    while (error == 0 && offset + at < end) {
        size_t size = sizeof(data);

        if (size > end - offset - at)
            size = (size_t)(end - offset - at);
        error = io_read_all(io, from, data, size, offset + at);
        if (error == 0)
            error = io_write_all(io, to, data, size, at);
        at += size;
    }
    if (error == 0)
        error = io_sync(io, to);
    io_close(io, from);
    io_close(io, to);
    if (error < 0)
        io_unlink(io, name); /* the next attempt would find less room */
    return error;
}

/* Moves a segment that is of no use into torn/, as a whole. */
static int torn_move(struct io *io, const char *file,
                     char name[FILE_NAME_BYTES])
{
    int fd = torn_create(io, file, 0, name);

    if (fd < 0)
        return fd;
    io_close(io, fd);
    return io_rename(io, file, name);
}

struct aside {
    struct io *io;
    uint64_t above; /* segments that begin behind it go */
    char (*names)[FILE_NAME_BYTES];
    uint32_t count;
    struct mem *mem;
    int error;
};

static void aside_one(void *context, const char *name)
{
    struct aside *aside = context;
    uint64_t seq;
    void *grown;

    if (aside->error || !segment_name_parse(name, &seq) || seq <= aside->above)
        return;
    grown =
        mem_grow(aside->mem, aside->names, aside->count * sizeof(*aside->names),
                 (aside->count + 1) * sizeof(*aside->names));
    if (!grown) {
        aside->error = -ENOMEM;
        return;
    }
    aside->names = grown;
    snprintf(aside->names[aside->count++], FILE_NAME_BYTES, "%s", name);
}

/* Sets aside all segments that begin behind what is kept. */
static int mend_later(struct io *io, struct recovery *recovery)
{
    struct aside aside = {.io = io, .mem = recovery->mem};
    char name[FILE_NAME_BYTES];
    int error;

    aside.above = recovery->tail_file[0] ? recovery->tail_seq
                                         : recovery->manifest.checkpoint;
    error = io_list(io, aside_one, &aside);
    if (error == 0)
        error = aside.error;
    for (uint32_t i = 0; error == 0 && i < aside.count; i++)
        error = torn_move(io, aside.names[i],
                          recovery->saved[0] ? name : recovery->saved);
    mem_free(aside.mem, aside.names, aside.count * sizeof(*aside.names));
    return error;
}

/* Saves what is torn, and everything behind it. */
static int mend_torn(struct io *io, struct recovery *recovery)
{
    uint64_t from = recovery->tail_offset;
    int error = io_make_directory(io, TORN_DIRECTORY);

    /* The torn bytes begin where the records end, or in a later segment. */
    if (error == 0 && strcmp(recovery->file, recovery->tail_file) == 0)
        error = torn_save(io, recovery->file, from, from + recovery->torn_bytes,
                          recovery->saved);
    if (error == 0)
        error = mend_later(io, recovery);
    if (error == 0)
        error = io_sync_directory(io, TORN_DIRECTORY);
    return error < 0 ? error : io_sync_directory(io, NULL);
}

/* Cuts off what stands behind the last record: torn bytes, or room. */
static int mend_tail(struct io *io, const struct recovery *recovery)
{
    int fd, error = 0;
    int64_t size;

    if (!recovery->tail_file[0])
        return 0;
    fd = io_open(io, recovery->tail_file, IO_WRITE);
    if (fd < 0)
        return fd;
    size = io_size(io, fd);
    if (size < 0)
        error = (int)size;
    else if ((uint64_t)size > recovery->tail_offset)
        error = io_truncate(io, fd, recovery->tail_offset);
    if (error == 0)
        error = io_sync(io, fd);
    io_close(io, fd);
    return error;
}

enum status recovery_mend(struct io *io, struct recovery *recovery,
                          int *ret_errno)
{
    int error = 0;

    REQUIRE(recovery->verdict != RECOVERY_REFUSED);
    if (recovery->verdict == RECOVERY_TORN)
        error = mend_torn(io, recovery);
    if (error == 0)
        error = mend_tail(io, recovery);
    *ret_errno = -error;
    if (io_error_is_full(error))
        return ST_LOG_FULL;
    return error < 0 ? ST_IO : ST_OK;
}
