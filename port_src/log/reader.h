/*
 * log/reader.h -- the records of one file of a term log, one after another.
 *
 * Reads through a window that grows with the largest record, so that a file
 * of any size takes little memory, and one that is still being written can be
 * read. Every byte is checked before it is given out; nothing is believed of
 * a length that its header's checksum has not covered.
 */
#ifndef RHIZOME_LOG_READER_H
#define RHIZOME_LOG_READER_H

#include "core/mem.h"
#include "core/status.h"
#include "log/io.h"
#include "log/record.h"

struct log_reader;

enum log_read {
    LOG_RECORD, /* the next record is in `*ret` */
    LOG_END,    /* the file ends here, or is zeros from here to its end */
    LOG_BAD,    /* bytes that are no record: log_reader_fault() */
    LOG_FAILED, /* reading failed or memory ran out: log_reader_status() */
};

/*
 * Opens `name` in `io`. Errors: ST_IO (log_error of the io: `*ret_errno`),
 * ST_NO_MEMORY, ST_MEMORY_LIMIT. A file whose header is short or wrong opens
 * all the same: log_reader_header() is NULL then, and the first read gives
 * LOG_BAD (or LOG_END for a file that is empty or nothing but zeros).
 * log_reader_set_store() then says whose it is.
 */
enum status log_reader_open(struct io *io, const char *name, struct mem *mem,
                            struct log_reader **ret, int *ret_errno);
void log_reader_close(struct log_reader *reader);

/* The file's header, or NULL if it has no valid one. */
const struct file_header *log_reader_header(const struct log_reader *reader);

/* For a file without a header of its own: the store that it should be of. */
void log_reader_set_store(struct log_reader *reader,
                          const uint8_t store_id[STORE_ID_BYTES]);

/* The next record. Its payload is borrowed until the next call. After LOG_BAD
 * and LOG_END the reader stays where it is (a later call looks again, which is
 * how a growing file is followed). */
enum log_read log_reader_next(struct log_reader *reader, struct record *ret);

/*
 * After LOG_BAD: looks for the next place, byte by byte, at which a valid
 * record header of this store stands whose payload is valid too, and goes on
 * there: LOG_RECORD, or LOG_END if there is none. The way to find proof that
 * something was durable behind a fault.
 */
enum log_read log_reader_resync(struct log_reader *reader, struct record *ret);

/* Where the reader stands: behind the last record it gave out. */
uint64_t log_reader_offset(const struct log_reader *reader);

/* The size of the file, as of the last look. */
uint64_t log_reader_size(const struct log_reader *reader);

/* After LOG_BAD: what is wrong at log_reader_offset(). */
enum format_fault log_reader_fault(const struct log_reader *reader);

/* After LOG_FAILED: ST_IO (with the errno), ST_NO_MEMORY or ST_MEMORY_LIMIT. */
enum status log_reader_status(const struct log_reader *reader, int *ret_errno);

#endif
