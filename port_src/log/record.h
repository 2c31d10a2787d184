/*
 * record.h -- the bytes of a term log: a file header, then records.
 *
 *     file     = header(64) record ... [zeros]
 *     record   = header(24) payload                payload = 131 term
 *
 * A log segment, a checkpoint and the manifest have the same form; PROTOCOL.md
 * describes it for others. All numbers are big-endian, so that an Erlang
 * pattern reads them, and all checksums are CRC-32 as zlib and erlang:crc32/1
 * compute it.
 *
 *     file header                        record header
 *      0  8  89 'T' 'L' 'G' 0D 0A 1A 0A   0  4  checksum of bytes 4..23
 *      8  2  major   10 2  minor          4  4  checksum of the payload
 *     12  2  64      14 2  kind           8  4  payload bytes, from 1
 *     16 16  store id                    12  1  type
 *     32  8  epoch                       13  3  lag: seq - durable
 *     40  8  first seq                   16  8  seq
 *     48 12  zeros
 *     60  4  checksum of 0..59
 *
 * The checksum of a record's header continues that of the store id, so that
 * the records of another store, or a log that lies in somebody's value, are
 * never taken for this one's. It covers the length: a flipped length is seen
 * for what it is. `durable` is the highest seq that was known to be on the
 * disk when the record was formed: a record that says so proves that whatever
 * is missing before it was damaged and not torn by a crash (protocol-aware
 * recovery: Alagappan et al., FAST 2018).
 */
#ifndef RHIZOME_LOG_RECORD_H
#define RHIZOME_LOG_RECORD_H

#include "core/bytes.h"

#define FILE_HEADER_BYTES 64
#define RECORD_HEADER_BYTES 24
#define RECORD_LAG_MAX 0xffffff              /* and more: claims nothing */
#define RECORD_PAYLOAD_MAX ((1u << 30) + 64) /* the largest frame, and 131 */
#define FORMAT_MAJOR 1
#define FORMAT_MINOR 0
#define STORE_ID_BYTES 16

enum file_kind {
    FILE_LOG = 1,
    FILE_CHECKPOINT = 2,
    FILE_MANIFEST = 3,
};

/*
 * Types below 128 must be understood: an unknown one refuses the file. From
 * 128 on they may be skipped. The seq of a mutation is one more than that of
 * the record before it; all others repeat it. In a checkpoint, and in the
 * manifest, seq counts records from 1.
 */
enum record_type {
    RECORD_MUTATION = 1, /* Op, as the client sent it */
    RECORD_MARK = 2,     /* []: only says what is durable */
    RECORD_CLOSE = 3,    /* {close, Digest}: an orderly end; nothing follows */
    RECORD_DIGEST = 4,   /* {digest, Digest} of the store at this seq */
    RECORD_ROLL = 5,     /* {roll, Name}: the next segment's file */

    RECORD_CHECKPOINT = 16,     /* {checkpoint, #{seq, tables}} */
    RECORD_TABLE = 17,          /* {create_table, Table, Type, Options} */
    RECORD_ELEMENTS = 18,       /* {load, Table, Side, [Element]} */
    RECORD_TABLE_END = 19,      /* {loaded, Table, #{count, next_id}} */
    RECORD_CHECKPOINT_END = 20, /* {checkpoint_end, #{seq, digest}} */

    RECORD_MANIFEST = 32, /* see manifest.h */
};

struct file_header {
    uint16_t major;
    uint16_t minor;
    enum file_kind kind;
    uint8_t store_id[STORE_ID_BYTES];
    uint64_t epoch;
    uint64_t first_seq;
};

struct record {
    uint8_t type;
    uint64_t seq;
    uint64_t durable; /* seq - lag, or 0 */
    struct bytes payload;
    uint64_t offset; /* of the record's header in its file */
};

/* What is wrong with bytes that should be a header or a record. */
enum format_fault {
    FORMAT_OK = 0,
    FORMAT_SHORT,   /* the bytes end before it does */
    FORMAT_MAGIC,   /* not a file of ours at all */
    FORMAT_VERSION, /* of a newer major version */
    FORMAT_HEADER,  /* a checksum or a field of a header is wrong */
    FORMAT_PAYLOAD, /* the payload's checksum is wrong */
};

/* A few words, as in "checksum of the payload is wrong". */
const char *format_fault_text(enum format_fault fault);

void file_header_write(uint8_t bytes[FILE_HEADER_BYTES],
                       const struct file_header *header);
enum format_fault file_header_read(struct bytes bytes, struct file_header *ret);

/* The seed of the checksums of a store's record headers. */
uint32_t record_seed(const uint8_t store_id[STORE_ID_BYTES]);

/*
 * Writes the header of a record whose payload is 131 and `term`.
 * `durable` <= `seq`.
 */
void record_header_write(uint8_t bytes[RECORD_HEADER_BYTES], uint32_t seed,
                         enum record_type type, uint64_t seq, uint64_t durable,
                         struct bytes term);

/*
 * The same in two steps, for many records that lie one behind another: headers
 * without their checksums first, and then all checksums of the `size` bytes of
 * whole records at `records`. A record's two depend on each other, those of
 * different records do not, so the processor works on several at a time.
 */
void record_header_begin(uint8_t bytes[RECORD_HEADER_BYTES],
                         enum record_type type, uint64_t seq, uint64_t durable,
                         struct bytes term);
void records_seal(uint8_t *records, size_t size, uint32_t seed);

/*
 * Reads a record header alone: `*ret` without a payload, and the payload's
 * size. FORMAT_SHORT, FORMAT_HEADER. Zeros are no header.
 */
enum format_fault record_header_read(struct bytes bytes, uint32_t seed,
                                     struct record *ret, uint32_t *ret_size);

/* The size that a header states, whether it is one or not. */
static inline uint32_t
record_header_size(const uint8_t header[RECORD_HEADER_BYTES])
{
    return load_be32(header + 8);
}

/* Checks a payload against its header's size and checksum, and that it begins
 * with 131. */
bool record_payload_valid(const uint8_t header[RECORD_HEADER_BYTES],
                          struct bytes payload);

#endif
