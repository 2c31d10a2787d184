/*
 * log/reader.c -- a window that slides over a file.
 *
 *     file     |----------------------------------------------|
 *     window           |-----------------.........|
 *                      base    at        base + filled     + capacity
 *
 * view() is the only way to the bytes: it gives out what the file has at some
 * place, as much as was asked for or as much as there is, and moves, fills or
 * grows the window for that. Everything above it is judgement on bytes.
 *
 * What is believed of a length: nothing before the checksum of its header has
 * passed, and then still nothing that the file is too short for. So a window
 * never grows beyond the file, whatever stands in it.
 *
 * A file may be written while we read. Bytes read ahead may be older than
 * the file, so a verdict other than "here is a record" is only given on bytes
 * that were read within the same call; otherwise the window is emptied and
 * the same place looked at once more.
 *
 * Files are allocated ahead, so most end in zeros, up to 16 MiB of them.
 * They are read through the window once: 16 MiB take about 3 ms. Whoever
 * follows a file by asking again and again pays once for a size: a later
 * call only looks whether a header has come.
 */
#include "log/reader.h"

#define WINDOW_BYTES (256u << 10)

struct log_reader {
    struct io *io;
    struct mem *mem;
    int fd;
    uint64_t size;   /* of the file, as of the last look */
    uint64_t offset; /* behind the last record given out */

    uint8_t *window;
    size_t capacity;
    uint64_t base; /* the place of window[0] in the file */
    size_t filled;

    bool has_header;
    struct file_header header;
    bool has_seed;
    uint32_t seed;

    uint64_t zeros_from; /* known zeros; an empty run when nothing is known */
    uint64_t zeros_end;

    enum format_fault fault;
    enum status status;
    int error;
};

static enum log_read fail(struct log_reader *reader, enum status st, int error)
{
    reader->status = st;
    reader->error = error < 0 ? -error : error;
    return LOG_FAILED;
}

/* What is read ahead may have become old: forget it. */
static void window_empty(struct log_reader *reader)
{
    reader->filled = 0;
}

static enum status look_at_size(struct log_reader *reader)
{
    int64_t size = io_size(reader->io, reader->fd);

    if (size < 0) {
        fail(reader, ST_IO, (int)size);
        return ST_IO;
    }
    reader->size = (uint64_t)size;
    return ST_OK;
}

/* Moves the window so that it begins at `at`, and makes room for `want`. */
static enum status window_move(struct log_reader *reader, uint64_t at,
                               size_t want)
{
    size_t kept = 0;

    if (at >= reader->base && at - reader->base < reader->filled) {
        kept = reader->filled - (size_t)(at - reader->base);
        memmove(reader->window, reader->window + (at - reader->base), kept);
    }
    reader->base = at;
    reader->filled = kept;
    if (want > reader->capacity) {
        size_t capacity =
            (want + WINDOW_BYTES - 1) / WINDOW_BYTES * WINDOW_BYTES;
        uint8_t *grown =
            mem_grow(reader->mem, reader->window, reader->capacity, capacity);

        if (!grown) {
            fail(reader, mem_status(reader->mem), 0);
            return reader->status;
        }
        reader->window = grown;
        reader->capacity = capacity;
    }
    return ST_OK;
}

/*
 * The bytes at `at`: all that the window has, `want` at least unless the file
 * ends before. Borrowed until the next call.
 */
static enum status view(struct log_reader *reader, uint64_t at, size_t want,
                        struct bytes *ret)
{
    if (at < reader->base || at - reader->base > reader->filled ||
        reader->filled - (size_t)(at - reader->base) < want) {
        enum status st = window_move(reader, at, want);

        while (st == ST_OK && reader->filled < want) {
            ssize_t done = io_pread(reader->io, reader->fd,
                                    reader->window + reader->filled,
                                    reader->capacity - reader->filled,
                                    reader->base + reader->filled);

            if (done == 0)
                break;
            if (done < 0) {
                fail(reader, ST_IO, (int)done);
                return ST_IO;
            }
            reader->filled += (size_t)done;
        }
        if (st < 0)
            return st;
    }
    *ret = bytes_of(reader->window + (at - reader->base),
                    reader->filled - (size_t)(at - reader->base));
    return ST_OK;
}

/* Word by word: the tails of files are what this is for. */
static bool all_zeros(struct bytes bytes)
{
    const uint8_t *p = bytes.data;
    size_t size = bytes.size;
    uint64_t any = 0;

    for (; size >= 32; p += 32, size -= 32) {
        uint64_t words[4];

        memcpy(words, p, sizeof(words));
        if (words[0] | words[1] | words[2] | words[3])
            return false;
    }
    for (; size > 0; p++, size--)
        any |= *p;
    return any == 0;
}

/*
 * Is the file zeros from `at` to its end? LOG_END if so, LOG_RECORD if not,
 * which says no more than that something stands there.
 */
static enum log_read zeros_to_end(struct log_reader *reader, uint64_t at)
{
    uint64_t from = at;
    struct bytes bytes;

    if (reader->zeros_from == at && reader->zeros_end == reader->size) {
        if (view(reader, at, RECORD_HEADER_BYTES, &bytes) < 0)
            return LOG_FAILED;
        if (bytes.size > RECORD_HEADER_BYTES)
            bytes.size = RECORD_HEADER_BYTES;
        return all_zeros(bytes) ? LOG_END : LOG_RECORD;
    }
    for (;;) {
        if (view(reader, at, WINDOW_BYTES, &bytes) < 0)
            return LOG_FAILED;
        if (!all_zeros(bytes))
            return LOG_RECORD;
        at += bytes.size;
        if (bytes.size < WINDOW_BYTES)
            break;
    }
    reader->zeros_from = from;
    reader->zeros_end = at;
    return LOG_END;
}

/* The verdict on bytes at the reader's offset that are no record. */
static enum log_read no_record(struct log_reader *reader,
                               enum format_fault fault)
{
    enum log_read zeros = zeros_to_end(reader, reader->offset);

    if (zeros != LOG_RECORD)
        return zeros;
    reader->fault = fault;
    return LOG_BAD;
}

/* Reads the record at `at`. LOG_BAD with the fault, and no more than that:
 * the caller asks whether the file ends there. */
static enum log_read record_at(struct log_reader *reader, uint64_t at,
                               struct record *ret)
{
    struct record record;
    struct bytes bytes;
    uint32_t size;

    if (view(reader, at, RECORD_HEADER_BYTES, &bytes) < 0)
        return LOG_FAILED;
    reader->fault = record_header_read(bytes, reader->seed, &record, &size);
    if (reader->fault != FORMAT_OK)
        return LOG_BAD;

    reader->fault = FORMAT_SHORT;
    if (at + RECORD_HEADER_BYTES + size > reader->size) {
        if (look_at_size(reader) < 0)
            return LOG_FAILED;
        if (at + RECORD_HEADER_BYTES + size > reader->size)
            return LOG_BAD;
    }
    if (view(reader, at, RECORD_HEADER_BYTES + (size_t)size, &bytes) < 0)
        return LOG_FAILED;
    if (bytes.size < RECORD_HEADER_BYTES + (size_t)size)
        return LOG_BAD; /* it was cut off meanwhile */

    reader->fault = FORMAT_PAYLOAD;
    record.payload = bytes_of(bytes.data + RECORD_HEADER_BYTES, size);
    record.offset = at;
    if (!record_payload_valid(bytes.data, record.payload))
        return LOG_BAD;
    reader->fault = FORMAT_OK;
    *ret = record;
    return LOG_RECORD;
}

/* Reads the header of the file, and steps over it. */
static enum log_read file_header_at_start(struct log_reader *reader)
{
    struct bytes bytes;

    if (view(reader, 0, FILE_HEADER_BYTES, &bytes) < 0)
        return LOG_FAILED;
    reader->fault = file_header_read(bytes, &reader->header);
    if (reader->fault != FORMAT_OK)
        return LOG_BAD;
    reader->has_header = true;
    reader->has_seed = true;
    reader->seed = record_seed(reader->header.store_id);
    reader->offset = FILE_HEADER_BYTES;
    return LOG_RECORD;
}

enum status log_reader_open(struct io *io, const char *name, struct mem *mem,
                            struct log_reader **ret, int *ret_errno)
{
    struct log_reader *reader = mem_zalloc(mem, sizeof(*reader));
    enum status st;

    if (!reader)
        return mem_status(mem);
    reader->io = io;
    reader->mem = mem;
    reader->fd = io_open(io, name, IO_READ);
    if (reader->fd < 0) {
        *ret_errno = -reader->fd;
        mem_free(mem, reader, sizeof(*reader));
        return ST_IO;
    }
    st = look_at_size(reader);
    if (st == ST_OK && file_header_at_start(reader) == LOG_FAILED)
        st = reader->status;
    if (st < 0) {
        if (st == ST_IO)
            *ret_errno = reader->error;
        log_reader_close(reader);
        return st;
    }
    *ret = reader;
    return ST_OK;
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    io_close(reader->io, reader->fd);
    mem_free(reader->mem, reader->window, reader->capacity);
    mem_free(reader->mem, reader, sizeof(*reader));
}

const struct file_header *log_reader_header(const struct log_reader *reader)
{
    return reader->has_header ? &reader->header : NULL;
}

void log_reader_set_store(struct log_reader *reader,
                          const uint8_t store_id[STORE_ID_BYTES])
{
    if (reader->has_header)
        return;
    reader->seed = record_seed(store_id);
    reader->has_seed = true;
}

/* One look at what stands at the reader's offset. */
static enum log_read look(struct log_reader *reader, struct record *ret)
{
    enum log_read read;

    if (reader->offset == 0) {
        read = file_header_at_start(reader);
        if (read != LOG_RECORD)
            return read;
    }
    return record_at(reader, reader->offset, ret);
}

enum log_read log_reader_next(struct log_reader *reader, struct record *ret)
{
    enum log_read read = look(reader, ret);

    if (read == LOG_BAD) { /* on old bytes, perhaps */
        window_empty(reader);
        if (look_at_size(reader) < 0)
            return LOG_FAILED;
        read = look(reader, ret);
        if (read == LOG_BAD)
            read = no_record(reader, reader->fault);
        if (read == LOG_BAD || read == LOG_END)
            window_empty(reader);
    }
    if (read == LOG_RECORD)
        reader->offset += RECORD_HEADER_BYTES + (uint64_t)ret->payload.size;
    return read;
}

/*
 * Where in `bytes` the next valid header stands; the first place that is too
 * near to the end for one if there is none. Most places are told by the
 * length alone: it is 0, or more than the file has, and costs no checksum.
 */
static size_t next_header(struct bytes bytes, uint32_t seed, uint64_t left)
{
    struct record record;
    uint32_t size;
    size_t i;

    for (i = 0; i + RECORD_HEADER_BYTES <= bytes.size; i++, left--) {
        struct bytes header = bytes_of(bytes.data + i, RECORD_HEADER_BYTES);

        size = record_header_size(header.data);
        if (size > 0 && size + (uint64_t)RECORD_HEADER_BYTES <= left &&
            record_header_read(header, seed, &record, &size) == FORMAT_OK)
            break;
    }
    return i;
}

enum log_read log_reader_resync(struct log_reader *reader, struct record *ret)
{
    enum format_fault fault = reader->fault;
    uint64_t at = reader->offset;
    enum log_read read = LOG_BAD;
    struct bytes bytes;

    if (!reader->has_seed)
        return LOG_END;
    window_empty(reader);
    if (look_at_size(reader) < 0)
        return LOG_FAILED;
    while (read == LOG_BAD) {
        size_t skipped;

        if (view(reader, at, RECORD_HEADER_BYTES, &bytes) < 0)
            return LOG_FAILED;
        if (bytes.size < RECORD_HEADER_BYTES || at >= reader->size) {
            read = LOG_END;
            break;
        }
        skipped = next_header(bytes, reader->seed, reader->size - at);
        at += skipped;
        if (skipped + RECORD_HEADER_BYTES > bytes.size)
            continue;
        read = record_at(reader, at, ret);
        if (read == LOG_BAD)
            at++;
    }
    if (read == LOG_RECORD)
        reader->offset = at + RECORD_HEADER_BYTES + (uint64_t)ret->payload.size;
    else
        reader->fault = fault;
    return read;
}

uint64_t log_reader_offset(const struct log_reader *reader)
{
    return reader->offset;
}

uint64_t log_reader_size(const struct log_reader *reader)
{
    return reader->size;
}

enum format_fault log_reader_fault(const struct log_reader *reader)
{
    return reader->fault;
}

enum status log_reader_status(const struct log_reader *reader, int *ret_errno)
{
    *ret_errno = reader->error;
    return reader->status;
}
