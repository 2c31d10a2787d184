/*
 * log_file.h -- files of a term log, put together in memory for the tests.
 */
#ifndef RHIZOME_TEST_LOG_FILE_H
#define RHIZOME_TEST_LOG_FILE_H

#include <stdint.h>
#include <string.h>

#include "core/etf.h"
#include "log/record.h"

#define LOG_FILE_BYTES_MAX (1u << 20)
#define LOG_FILE_RECORDS_MAX 64

struct log_file {
    uint8_t bytes[LOG_FILE_BYTES_MAX];
    size_t size;
    uint8_t store_id[STORE_ID_BYTES];
    size_t offsets[LOG_FILE_RECORDS_MAX + 1]; /* of the records, and the end */
    unsigned count;
};

/* The id of the test's store number `n`. */
static inline void log_file_store(uint8_t id[STORE_ID_BYTES], unsigned n)
{
    for (unsigned i = 0; i < STORE_ID_BYTES; i++)
        id[i] = (uint8_t)(i * 17 + n * 101 + 3);
}

/* A segment with its header and no record. */
static inline void log_file_init(struct log_file *file, unsigned store)
{
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .minor = FORMAT_MINOR,
        .kind = FILE_LOG,
        .epoch = 7,
        .first_seq = 1,
    };

    memset(file, 0, sizeof(*file));
    log_file_store(file->store_id, store);
    memcpy(header.store_id, file->store_id, STORE_ID_BYTES);
    file_header_write(file->bytes, &header);
    file->size = FILE_HEADER_BYTES;
    file->offsets[0] = file->size;
}

/* A mutation with the next seq, `durable` two before it, whose payload has
 * `size` >= 1 bytes. */
static inline void log_file_add(struct log_file *file, size_t size)
{
    uint64_t seq = file->count + 1;
    uint8_t *header = file->bytes + file->size;
    uint8_t *payload = header + RECORD_HEADER_BYTES;

    payload[0] = ETF_VERSION;
    for (size_t i = 1; i < size; i++)
        payload[i] = (uint8_t)(seq * 31 + i * 7);
    record_header_write(header, record_seed(file->store_id), RECORD_MUTATION,
                        seq, seq > 2 ? seq - 2 : 0,
                        bytes_of(payload + 1, size - 1));
    file->size += RECORD_HEADER_BYTES + size;
    file->offsets[++file->count] = file->size;
}

static inline struct bytes log_file_bytes(const struct log_file *file)
{
    return bytes_of(file->bytes, file->size);
}

#endif
