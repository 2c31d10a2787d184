/*
 * manifest.c -- a file with one record, replaced as a whole.
 *
 * It is written beside the old one, made durable and renamed over it, so that
 * at every moment one of the two is there in full. There is no order of
 * crashes in which a torn manifest is the rule's fault: whatever is wrong
 * with one is damage, and refused.
 *
 * The term is read by hand, as hostile input: etf_validate() has passed it,
 * so no length leads out of it, and the walk below takes nothing else for
 * granted. Keys that this version does not know are skipped, for a later
 * minor version may add some.
 */
#include "log/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/buffer.h"
#include "core/etf.h"
#include "log/reader.h"
#include "log/walk.h"

#define TERM_OFFSET (FILE_HEADER_BYTES + RECORD_HEADER_BYTES + 1)

/* The one record: it counts as number 1, and nothing is said about others. */
#define MANIFEST_SEQ 1

/* ---- names ---- */

#define SEQ_DIGITS 16
#define SEGMENT_PREFIX "log-"
#define CHECKPOINT_PREFIX "ckpt-"
#define LOG_SUFFIX ".tlg"

void segment_name(char name[FILE_NAME_BYTES], uint64_t first_seq)
{
    snprintf(name, FILE_NAME_BYTES, SEGMENT_PREFIX "%016" PRIx64 LOG_SUFFIX,
             first_seq);
}

void checkpoint_name(char name[FILE_NAME_BYTES], uint64_t seq)
{
    snprintf(name, FILE_NAME_BYTES, CHECKPOINT_PREFIX "%016" PRIx64 LOG_SUFFIX,
             seq);
}

/* Exactly the form that is written: no other case, length or sign. */
static bool name_parse(const char *name, const char *prefix, uint64_t *ret)
{
    size_t prefix_size = strlen(prefix);
    uint64_t seq = 0;

    if (strlen(name) != prefix_size + SEQ_DIGITS + strlen(LOG_SUFFIX) ||
        memcmp(name, prefix, prefix_size) != 0 ||
        strcmp(name + prefix_size + SEQ_DIGITS, LOG_SUFFIX) != 0)
        return false;
    for (unsigned i = 0; i < SEQ_DIGITS; i++) {
        char c = name[prefix_size + i];

        if (c >= '0' && c <= '9')
            seq = seq << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            seq = seq << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = seq;
    return true;
}

bool segment_name_parse(const char *name, uint64_t *ret_first_seq)
{
    return name_parse(name, SEGMENT_PREFIX, ret_first_seq);
}

bool checkpoint_name_parse(const char *name, uint64_t *ret_seq)
{
    return name_parse(name, CHECKPOINT_PREFIX, ret_seq);
}

/* ---- the struct ---- */

void manifest_free(struct manifest *manifest, struct mem *mem)
{
    mem_free(mem, manifest->segments,
             manifest->segment_count * sizeof(*manifest->segments));
    manifest->segments = NULL;
    manifest->segment_count = 0;
}

enum status manifest_add_segment(struct manifest *manifest, struct mem *mem,
                                 uint64_t first_seq)
{
    size_t size = manifest->segment_count * sizeof(*manifest->segments);
    uint64_t *grown;

    REQUIRE(manifest->segment_count == 0 ||
            manifest->segments[manifest->segment_count - 1] < first_seq);
    grown = mem_grow(mem, manifest->segments, size, size + sizeof(*grown));
    if (!grown)
        return mem_status(mem);
    grown[manifest->segment_count++] = first_seq;
    manifest->segments = grown;
    return ST_OK;
}

/* ---- reading ---- */

static bool walk_digest(struct walk *walk, struct digest *ret)
{
    struct bytes binary;

    if (!walk_binary(walk, &binary) || binary.size != DIGEST_BYTES)
        return false;
    *ret = digest_load(binary.data);
    return true;
}

static const char bad_form[] = "the manifest's term has not the right form";
static const char bad_segments[] =
    "the manifest's list of segments is not one of ascending numbers";

/* What is known while a manifest is read. */
struct reading {
    struct mem *mem;
    struct manifest *manifest;
    const char *why; /* a refusal, or NULL */
};

static enum status refuse(struct reading *reading, const char *why)
{
    reading->why = why;
    return ST_LOG_REFUSED;
}

static enum status read_segment(struct reading *reading, uint64_t first_seq)
{
    const struct manifest *manifest = reading->manifest;

    if (manifest->segment_count > 0 &&
        manifest->segments[manifest->segment_count - 1] >= first_seq)
        return refuse(reading, bad_segments);
    return manifest_add_segment(reading->manifest, reading->mem, first_seq);
}

/* A list of numbers in any of the three forms that Erlang writes. */
static enum status read_segments(struct reading *reading, struct walk *walk)
{
    const uint8_t *p = walk->at;
    enum status st = ST_OK;
    uint32_t count;
    uint64_t first_seq;

    switch (p[0]) {
    case ETF_NIL:
        walk_term(walk);
        return ST_OK;
    case ETF_STRING:
        count = load_be16(p + 1);
        for (uint32_t i = 0; st == ST_OK && i < count; i++)
            st = read_segment(reading, p[3 + i]);
        walk_term(walk);
        return st;
    case ETF_LIST:
        count = load_be32(p + 1);
        walk->at += 5;
        for (uint32_t i = 0; st == ST_OK && i < count; i++) {
            if (!walk_u64(walk, &first_seq))
                return refuse(reading, bad_segments);
            st = read_segment(reading, first_seq);
        }
        if (st == ST_OK && *walk->at != ETF_NIL)
            return refuse(reading, bad_segments);
        walk->at++;
        return st;
    default:
        return refuse(reading, bad_segments);
    }
}

/* One bit for each key that must be there once. */
enum key {
    KEY_EPOCH = 1,
    KEY_CHECKPOINT = 2,
    KEY_DIGEST = 4,
    KEY_DURABLE = 8,
    KEY_SEGMENTS = 16,
    KEY_ALL = 31,
    KEY_UNKNOWN = 32,
};

static enum key read_key(struct walk *walk)
{
    static const struct {
        const char *name;
        enum key key;
    } keys[] = {
        {"epoch", KEY_EPOCH},       {"checkpoint", KEY_CHECKPOINT},
        {"digest", KEY_DIGEST},     {"durable", KEY_DURABLE},
        {"segments", KEY_SEGMENTS},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (walk_atom(walk, keys[i].name))
            return keys[i].key;
    walk_term(walk);
    return KEY_UNKNOWN;
}

static enum status read_value(struct reading *reading, struct walk *walk,
                              enum key key)
{
    struct manifest *manifest = reading->manifest;
    bool valid = true;

    switch (key) {
    case KEY_EPOCH: {
        uint64_t epoch;

        valid = walk_u64(walk, &epoch) && epoch == manifest->epoch;
        break;
    }
    case KEY_CHECKPOINT:
        manifest->has_checkpoint = !walk_atom(walk, "none");
        if (manifest->has_checkpoint)
            valid = walk_u64(walk, &manifest->checkpoint);
        break;
    case KEY_DIGEST:
        valid = walk_digest(walk, &manifest->digest);
        break;
    case KEY_DURABLE:
        valid = walk_u64(walk, &manifest->durable);
        break;
    case KEY_SEGMENTS:
        return read_segments(reading, walk);
    default:
        walk_term(walk);
        break;
    }
    return valid ? ST_OK : refuse(reading, bad_form);
}

static enum status read_term(struct reading *reading, struct bytes term)
{
    struct walk walk = {term.data};
    enum status st = ST_OK;
    unsigned seen = 0;
    uint32_t count;
    size_t size;

    if (etf_validate(term, &size, NULL) < 0 || size != term.size)
        return refuse(reading, "the manifest's payload is no term");
    if (!walk_tuple(&walk, 2) || !walk_atom(&walk, "manifest") ||
        !walk_map(&walk, &count))
        return refuse(reading, bad_form);
    for (; st == ST_OK && count > 0; count--) {
        enum key key = read_key(&walk);

        if (key != KEY_UNKNOWN && (seen & key))
            return refuse(reading, "the manifest has a key twice");
        seen |= key;
        st = read_value(reading, &walk, key);
    }
    if (st == ST_OK && (seen & KEY_ALL) != KEY_ALL)
        return refuse(reading, "the manifest lacks a key");
    return st;
}

/* The record and its term; the file must end behind it. */
static enum status read_record(struct reading *reading, struct log_reader *file)
{
    enum log_read read;
    struct record record;
    enum status st;
    uint64_t end;

    read = log_reader_next(file, &record);
    if (read == LOG_RECORD) {
        if (record.type != RECORD_MANIFEST || record.seq != MANIFEST_SEQ)
            return refuse(reading, "the record is no manifest");
        end = log_reader_offset(file);
        st = read_term(reading, bytes_of(record.payload.data + 1,
                                         record.payload.size - 1));
        if (st < 0)
            return st;
        read = log_reader_next(file, &record);
        if (read == LOG_RECORD ||
            (read == LOG_END && log_reader_size(file) != end))
            return refuse(reading, "something stands behind the manifest");
        if (read == LOG_END)
            return ST_OK;
    }
    if (read == LOG_FAILED)
        return ST_IO; /* or memory: manifest_read() asks the reader */
    return refuse(reading, read == LOG_END
                               ? "the manifest is empty"
                               : format_fault_text(log_reader_fault(file)));
}

static enum status read_file(struct reading *reading, struct log_reader *file,
                             int *ret_errno)
{
    const struct file_header *header = log_reader_header(file);
    enum status st;

    if (!header)
        return refuse(reading, format_fault_text(log_reader_fault(file)));
    if (header->kind != FILE_MANIFEST)
        return refuse(reading, "the file is no manifest");
    memcpy(reading->manifest->store_id, header->store_id, STORE_ID_BYTES);
    reading->manifest->epoch = header->epoch;
    st = read_record(reading, file);
    return st == ST_IO ? log_reader_status(file, ret_errno) : st;
}

enum status manifest_read(struct io *io, struct mem *mem, struct manifest *ret,
                          const char **ret_why, uint64_t *ret_offset,
                          int *ret_errno)
{
    struct manifest manifest = {.segment_count = 0};
    struct reading reading = {mem, &manifest, NULL};
    struct log_reader *file;
    enum status st;
    int error = 0;

    st = log_reader_open(io, MANIFEST_NAME, mem, &file, &error);
    if (st == ST_IO && error == ENOENT)
        return ST_NOT_FOUND;
    if (st == ST_OK) {
        st = read_file(&reading, file, &error);
        if (st == ST_LOG_REFUSED) {
            *ret_why = reading.why;
            *ret_offset = log_reader_offset(file);
        }
        log_reader_close(file);
    }
    if (st == ST_IO)
        *ret_errno = error;
    if (st < 0)
        manifest_free(&manifest, mem);
    else
        *ret = manifest;
    return st;
}

/* ---- writing ---- */

static enum status put_key_u64(struct buffer *out, const char *key,
                               uint64_t value)
{
    enum status st = etf_put_atom(out, key);

    return st < 0 ? st : etf_put_u64(out, value);
}

static enum status put_segments(struct buffer *out,
                                const struct manifest *manifest)
{
    enum status st = etf_put_atom(out, "segments");

    if (st == ST_OK && manifest->segment_count > 0)
        st = etf_put_list(out, manifest->segment_count);
    for (uint32_t i = 0; st == ST_OK && i < manifest->segment_count; i++)
        st = etf_put_u64(out, manifest->segments[i]);
    return st < 0 ? st : etf_put_nil(out);
}

static enum status put_term(struct buffer *out, const struct manifest *manifest)
{
    uint8_t digest[DIGEST_BYTES];
    enum status st;

    digest_store(digest, manifest->digest);
    if ((st = etf_put_tuple(out, 2)) < 0 ||
        (st = etf_put_atom(out, "manifest")) < 0 ||
        (st = etf_put_map(out, 5)) < 0 ||
        (st = put_key_u64(out, "epoch", manifest->epoch)) < 0 ||
        (st = etf_put_atom(out, "checkpoint")) < 0 ||
        (st = manifest->has_checkpoint ? etf_put_u64(out, manifest->checkpoint)
                                       : etf_put_atom(out, "none")) < 0 ||
        (st = etf_put_atom(out, "digest")) < 0 ||
        (st = etf_put_binary(out, bytes_of(digest, DIGEST_BYTES))) < 0 ||
        (st = put_key_u64(out, "durable", manifest->durable)) < 0)
        return st;
    return put_segments(out, manifest);
}

/* The whole file, in memory. */
static enum status put_file(struct buffer *out, const struct manifest *manifest)
{
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .minor = FORMAT_MINOR,
        .kind = FILE_MANIFEST,
        .epoch = manifest->epoch,
        .first_seq = MANIFEST_SEQ,
    };
    enum status st = buffer_reserve(out, TERM_OFFSET);

    if (st < 0)
        return st;
    out->size = TERM_OFFSET;
    st = put_term(out, manifest);
    if (st < 0)
        return st;
    memcpy(header.store_id, manifest->store_id, STORE_ID_BYTES);
    file_header_write(out->data, &header);
    record_header_write(
        out->data + FILE_HEADER_BYTES, record_seed(manifest->store_id),
        RECORD_MANIFEST, MANIFEST_SEQ, 0,
        bytes_of(out->data + TERM_OFFSET, out->size - TERM_OFFSET));
    out->data[TERM_OFFSET - 1] = ETF_VERSION;
    return ST_OK;
}

/* Writes the temporary file and makes it durable. */
static int write_temporary(struct io *io, struct bytes file)
{
    int error = io_unlink(io, MANIFEST_TEMPORARY);
    int closed;
    int fd;

    if (error < 0 && error != -ENOENT)
        return error;
    fd = io_open(io, MANIFEST_TEMPORARY, IO_CREATE);
    if (fd < 0)
        return fd;
    error = io_write_all(io, fd, file.data, file.size, 0);
    if (error == 0)
        error = io_sync(io, fd);
    closed = io_close(io, fd);
    return error < 0 ? error : closed;
}

int manifest_write(struct io *io, const struct manifest *manifest)
{
    struct mem mem;
    struct buffer file = BUFFER(&mem);
    int error;

    mem_init(&mem, 0);
    error = put_file(&file, manifest) < 0
                ? -ENOMEM
                : write_temporary(io, buffer_bytes(&file));
    buffer_free(&file);
    if (error == 0)
        error = io_rename(io, MANIFEST_TEMPORARY, MANIFEST_NAME);
    if (error < 0) {
        (void)io_unlink(io, MANIFEST_TEMPORARY); /* gives its room back */
        return error;
    }
    /* A directory that was not synced is worse than a disk without room. */
    return io_sync_directory(io, NULL) < 0 ? -EIO : 0;
}
