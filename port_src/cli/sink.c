#include "cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"

#define FLUSH_BYTES ((size_t)256 << 10)

/* The unfinished file, for whoever ends the program in between. */
static const char *volatile unfinished;

static void drop_unfinished(void)
{
    const char *path = unfinished;

    unfinished = NULL;
    if (path)
        unlink(path);
}

static void interrupted(int number)
{
    drop_unfinished();
    meter_clear();
    signal(number, SIG_DFL);
    raise(number);
}

/* A name of its own is no use to anybody: it goes if we do. */
static void keep_unfinished(const char *path)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static bool prepared;
    struct sigaction action;
    struct sigaction old;

    unfinished = path;
    if (prepared)
        return;
    prepared = true;
    atexit(drop_unfinished);
    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupted;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        /* What nohup has ignored stays ignored. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

int sink_open(struct sink *sink, const char *path)
{
    struct stat stat_of;
    bool in_place;

    *sink = (struct sink){
        .fd = -1,
        .path = BUFFER(cli_mem()),
        .temporary = BUFFER(cli_mem()),
        .pending = BUFFER(cli_mem()),
    };
    if (!path)
        return -1;
    text_append(&sink->path, path);
    in_place = stat(text_string(&sink->path), &stat_of) == 0 &&
               !S_ISREG(stat_of.st_mode);
    if (in_place) {
        sink->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        text_format(&sink->temporary, "%s.XXXXXX", path);
        text_string(&sink->temporary);
        sink->fd = mkostemp((char *)sink->temporary.data, O_CLOEXEC);
    }
    if (sink->fd < 0) {
        int status = complain_io(path, "cannot be written", errno);

        buffer_free(&sink->temporary);
        buffer_free(&sink->path);
        return status;
    }
    if (!in_place)
        keep_unfinished((const char *)sink->temporary.data);
    return -1;
}

static void flush(struct sink *sink)
{
    const uint8_t *data = sink->pending.data;
    size_t left = sink->pending.size;

    while (left && !sink->error) {
        ssize_t written = write(sink->fd, data, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            sink->error = errno;
            break;
        }
        data += written;
        left -= (size_t)written;
    }
    sink->pending.size = 0;
}

void sink_bytes(struct sink *sink, struct bytes bytes)
{
    if (sink->fd < 0) {
        output_bytes(bytes);
        return;
    }
    if (sink->error)
        return;
    text_bytes(&sink->pending, bytes);
    if (sink->pending.size >= FLUSH_BYTES)
        flush(sink);
}

void sink_text(struct sink *sink, const char *text)
{
    sink_bytes(sink, bytes_of(text, strlen(text)));
}

bool sink_broken(const struct sink *sink)
{
    return sink->fd < 0 ? output_broken() : sink->error != 0;
}

/* Files get the mode that the user's mask asks for, not mkstemp()'s. */
static void put_in_place(struct sink *sink)
{
    mode_t mask = umask(0);

    umask(mask);
    if (fchmod(sink->fd, 0666 & ~mask) < 0 || fsync(sink->fd) < 0 ||
        rename((const char *)sink->temporary.data,
               (const char *)sink->path.data) < 0)
        sink->error = errno;
}

int sink_close(struct sink *sink, bool complete)
{
    int status = -1;

    if (sink->fd >= 0) {
        if (complete)
            flush(sink);
        complete = complete && !sink->error;
        if (complete && sink->temporary.size)
            put_in_place(sink);
        if (close(sink->fd) < 0 && !sink->error)
            sink->error = errno;
        if (sink->temporary.size && complete && !sink->error)
            unfinished = NULL;
        drop_unfinished();
        if (sink->error)
            status = complain_io((const char *)sink->path.data,
                                 "writing failed", sink->error);
    }
    buffer_free(&sink->path);
    buffer_free(&sink->temporary);
    buffer_free(&sink->pending);
    return status;
}
