/*
 * record.c -- what record.h draws, byte by byte.
 *
 * A record is written for every mutation, so its header is put together in
 * registers and checked as one run of 20 bytes. Nothing is copied: the
 * checksum of the payload starts from that of the byte 131, which is a
 * constant, and goes on over the term where it lies.
 *
 * libdeflate computes the same CRC-32 as zlib and as erlang:crc32/1, with the
 * processor's carry-less multiplication where it has one: 35 ns for the two
 * that a small record has, where zlib takes 170, more than many a mutation.
 *
 * Of a header's fields only those are looked at here that make no sense on
 * their own; whether a type is known and a seq follows its predecessor is for
 * those to judge who replay the log.
 */
#include "log/record.h"

#include "core/etf.h"
#include "core/status.h"

#include <libdeflate.h>

/* crc32() of the one byte ETF_VERSION. */
#define CHECKSUM_OF_VERSION 0xA6B33D17u

/* Where the fields of a file header stand. */
enum {
    FILE_MAJOR = 8,
    FILE_MINOR = 10,
    FILE_SIZE = 12,
    FILE_KIND = 14,
    FILE_STORE = 16,
    FILE_EPOCH = 32,
    FILE_FIRST = 40,
    FILE_ZEROS = 48,
    FILE_CHECKSUM = 60,
};

/* And those of a record header. */
enum {
    RECORD_CHECKSUM = 0,
    RECORD_PAYLOAD_CHECKSUM = 4,
    RECORD_SIZE = 8,
    RECORD_TYPE_AND_LAG = 12,
    RECORD_SEQ = 16,
};

/* As PNG has it: finds transfers as text and those that drop the 8th bit. */
static const uint8_t magic[8] = {0x89, 'T', 'L', 'G', 0x0D, 0x0A, 0x1A, 0x0A};

const char *format_fault_text(enum format_fault fault)
{
    switch (fault) {
    case FORMAT_OK:
        return "nothing is wrong";
    case FORMAT_SHORT:
        return "the file ends within a header or a record";
    case FORMAT_MAGIC:
        return "this is not a file of a term log";
    case FORMAT_VERSION:
        return "the file has a newer format than this program";
    case FORMAT_HEADER:
        return "the checksum or a field of a header is wrong";
    case FORMAT_PAYLOAD:
        return "the checksum of a payload is wrong";
    }
    return "unknown fault";
}

static void store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t checksum(uint32_t start, const uint8_t *data, size_t size)
{
    return libdeflate_crc32(start, data, size);
}

void file_header_write(uint8_t bytes[FILE_HEADER_BYTES],
                       const struct file_header *header)
{
    memset(bytes, 0, FILE_HEADER_BYTES);
    memcpy(bytes, magic, sizeof(magic));
    store_be16(bytes + FILE_MAJOR, header->major);
    store_be16(bytes + FILE_MINOR, header->minor);
    store_be16(bytes + FILE_SIZE, FILE_HEADER_BYTES);
    store_be16(bytes + FILE_KIND, (uint16_t)header->kind);
    memcpy(bytes + FILE_STORE, header->store_id, STORE_ID_BYTES);
    store_be64(bytes + FILE_EPOCH, header->epoch);
    store_be64(bytes + FILE_FIRST, header->first_seq);
    store_be32(bytes + FILE_CHECKSUM, checksum(0, bytes, FILE_CHECKSUM));
}

/* What was reserved when this was written; a later minor may use it. */
static bool reserved_valid(const uint8_t *bytes, uint16_t minor)
{
    if (minor > FORMAT_MINOR)
        return true;
    for (unsigned i = FILE_ZEROS; i < FILE_CHECKSUM; i++)
        if (bytes[i])
            return false;
    return true;
}

/* The checksum comes before the version: all versions have it where it is,
 * so that a flipped bit is not taken for a file from the future. */
enum format_fault file_header_read(struct bytes bytes, struct file_header *ret)
{
    const uint8_t *p = bytes.data;
    uint16_t kind;

    if (bytes.size < FILE_HEADER_BYTES)
        return FORMAT_SHORT;
    if (memcmp(p, magic, sizeof(magic)))
        return FORMAT_MAGIC;
    if (load_be32(p + FILE_CHECKSUM) != checksum(0, p, FILE_CHECKSUM))
        return FORMAT_HEADER;
    if (load_be16(p + FILE_MAJOR) != FORMAT_MAJOR)
        return FORMAT_VERSION;
    kind = load_be16(p + FILE_KIND);
    if (load_be16(p + FILE_SIZE) != FILE_HEADER_BYTES || kind < FILE_LOG ||
        kind > FILE_MANIFEST || !reserved_valid(p, load_be16(p + FILE_MINOR)))
        return FORMAT_HEADER;

    ret->major = FORMAT_MAJOR;
    ret->minor = load_be16(p + FILE_MINOR);
    ret->kind = (enum file_kind)kind;
    memcpy(ret->store_id, p + FILE_STORE, STORE_ID_BYTES);
    ret->epoch = load_be64(p + FILE_EPOCH);
    ret->first_seq = load_be64(p + FILE_FIRST);
    return FORMAT_OK;
}

uint32_t record_seed(const uint8_t store_id[STORE_ID_BYTES])
{
    return checksum(0, store_id, STORE_ID_BYTES);
}

/* Of bytes 4..23. */
static uint32_t header_checksum(const uint8_t *header, uint32_t seed)
{
    return checksum(seed, header + RECORD_PAYLOAD_CHECKSUM,
                    RECORD_HEADER_BYTES - RECORD_PAYLOAD_CHECKSUM);
}

void record_header_begin(uint8_t bytes[RECORD_HEADER_BYTES],
                         enum record_type type, uint64_t seq, uint64_t durable,
                         struct bytes term)
{
    uint64_t lag = seq - durable;

    REQUIRE(durable <= seq);
    if (lag > RECORD_LAG_MAX)
        lag = RECORD_LAG_MAX;
    REQUIRE(term.size < RECORD_PAYLOAD_MAX);

    store_be32(bytes + RECORD_SIZE, (uint32_t)term.size + 1);
    store_be32(bytes + RECORD_TYPE_AND_LAG,
               (uint32_t)type << 24 | (uint32_t)lag);
    store_be64(bytes + RECORD_SEQ, seq);
}

/* Both checksums of a header whose payload is 131 and `term`. */
static void record_header_seal(uint8_t bytes[RECORD_HEADER_BYTES],
                               uint32_t seed, struct bytes term)
{
    store_be32(bytes + RECORD_PAYLOAD_CHECKSUM,
               checksum(CHECKSUM_OF_VERSION, term.data, term.size));
    store_be32(bytes + RECORD_CHECKSUM, header_checksum(bytes, seed));
}

void record_header_write(uint8_t bytes[RECORD_HEADER_BYTES], uint32_t seed,
                         enum record_type type, uint64_t seq, uint64_t durable,
                         struct bytes term)
{
    record_header_begin(bytes, type, seq, durable, term);
    record_header_seal(bytes, seed, term);
}

void records_seal(uint8_t *records, size_t size, uint32_t seed)
{
    while (size > 0) {
        uint32_t payload = record_header_size(records);
        size_t bytes = RECORD_HEADER_BYTES + (size_t)payload;

        REQUIRE(payload > 0 && bytes <= size);
        record_header_seal(
            records, seed,
            bytes_of(records + RECORD_HEADER_BYTES + 1, payload - 1));
        records += bytes;
        size -= bytes;
    }
}

/* The fields first: they refuse nearly all that is no header, zeros among
 * it, for a fraction of what the checksum costs. */
enum format_fault record_header_read(struct bytes bytes, uint32_t seed,
                                     struct record *ret, uint32_t *ret_size)
{
    const uint8_t *p = bytes.data;
    uint32_t size;
    uint32_t lag;
    uint64_t seq;

    if (bytes.size < RECORD_HEADER_BYTES)
        return FORMAT_SHORT;
    size = load_be32(p + RECORD_SIZE);
    lag = load_be32(p + RECORD_TYPE_AND_LAG) & RECORD_LAG_MAX;
    seq = load_be64(p + RECORD_SEQ);
    if (size == 0 || size > RECORD_PAYLOAD_MAX ||
        (lag > seq && lag != RECORD_LAG_MAX) || p[RECORD_TYPE_AND_LAG] == 0)
        return FORMAT_HEADER;
    if (load_be32(p + RECORD_CHECKSUM) != header_checksum(p, seed))
        return FORMAT_HEADER;

    ret->type = p[RECORD_TYPE_AND_LAG];
    ret->seq = seq;
    ret->durable = lag == RECORD_LAG_MAX ? 0 : seq - lag;
    ret->payload = bytes_of(NULL, 0);
    ret->offset = 0;
    *ret_size = size;
    return FORMAT_OK;
}

bool record_payload_valid(const uint8_t header[RECORD_HEADER_BYTES],
                          struct bytes payload)
{
    return payload.size > 0 && payload.data[0] == ETF_VERSION &&
           payload.size == load_be32(header + RECORD_SIZE) &&
           load_be32(header + RECORD_PAYLOAD_CHECKSUM) ==
               checksum(CHECKSUM_OF_VERSION, payload.data + 1,
                        payload.size - 1);
}
