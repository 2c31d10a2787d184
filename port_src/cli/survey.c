/*
 * survey.c -- judging records one by one.
 *
 * A stretch that is no record is one fault, up to the next whole record. The
 * seq of that record tells which mutations were lost in it, and from there
 * the order is expected to go on, so one hole is one line and not two.
 */
#include "cli/survey.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/etf.h"

/* Progress is told every so many records. */
#define TURN_RECORDS 1024

/* One file under the eye. */
struct view {
    struct survey *survey;
    struct io *io;
    const char *name;
    struct log_reader *reader;
    bool is_checkpoint;
    uint64_t faults; /* before this file */
    uint64_t number; /* checkpoint: the record that is due */
    bool closed;     /* the last record was an orderly end */
    bool ended;      /* the last record ends a checkpoint */
};

static void tell(struct survey *survey, const struct survey_fault *fault)
{
    survey->faults++;
    if (survey->watch.fault)
        survey->watch.fault(survey->watch.context, fault);
}

static struct survey_fault fault_at(const struct survey *survey,
                                    const char *file, uint64_t offset)
{
    struct survey_fault fault = {.offset = offset, .seq = survey->seq};

    snprintf(fault.file, sizeof(fault.file), "%s", file);
    return fault;
}

void survey_add(struct survey *survey, const char *file, uint64_t offset,
                const char *format, ...)
{
    struct survey_fault fault = fault_at(survey, file, offset);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(fault.why, sizeof(fault.why), format, arguments);
    va_end(arguments);
    tell(survey, &fault);
}

/* --- headers ------------------------------------------------------------ */

static void judge_log_header(struct view *view,
                             const struct file_header *header)
{
    struct survey *survey = view->survey;
    uint64_t named;

    if (segment_name_parse(view->name, &named) && named != header->first_seq)
        survey_add(survey, view->name, 40,
                   "the segment begins at seq %" PRIu64
                   ", not as its name says",
                   header->first_seq);
    if (survey->overlap && survey->reached > survey->seq)
        survey->seq = survey->reached;
    survey->reached = survey->seq;
    if (survey->has_seq && header->first_seq != survey->seq + 1 &&
        !(survey->overlap && header->first_seq <= survey->seq)) {
        struct survey_fault fault = fault_at(survey, view->name, 0);

        fault.gap = header->first_seq > survey->seq;
        snprintf(fault.why, sizeof(fault.why),
                 "the segment begins at seq %" PRIu64 ", and %" PRIu64
                 " is due: %s",
                 header->first_seq, survey->seq + 1,
                 fault.gap ? "a part of the log is missing"
                           : "it repeats what was there");
        tell(survey, &fault);
    }
    survey->has_seq = true;
    survey->seq = header->first_seq - 1;
}

static void judge_header(struct view *view)
{
    const struct file_header *header = log_reader_header(view->reader);
    struct survey *survey = view->survey;

    if (!header) {
        /* The first read will say what is wrong with it. */
        if (survey->has_store)
            log_reader_set_store(view->reader, survey->store_id);
        return;
    }
    view->is_checkpoint = header->kind == FILE_CHECKPOINT;
    if (header->kind == FILE_MANIFEST)
        survey_add(survey, view->name, 14,
                   "the file is neither a segment nor a checkpoint");
    if (survey->has_store &&
        memcmp(survey->store_id, header->store_id, STORE_ID_BYTES) != 0)
        survey_add(survey, view->name, 16, "the file is of another store");
    survey->has_store = true;
    memcpy(survey->store_id, header->store_id, STORE_ID_BYTES);
    if (header->kind == FILE_LOG)
        judge_log_header(view, header);
    if (header->kind == FILE_CHECKPOINT) {
        survey->has_seq = true;
        survey->seq = header->first_seq;
    }
}

/* --- records ------------------------------------------------------------ */

static void judge_payload(struct view *view, const struct record *record)
{
    struct bytes term =
        bytes_of(record->payload.data + 1, record->payload.size - 1);
    size_t size;

    if (etf_validate_within(term, ETF_RECORD_DEPTH_MAX, &size, NULL) < 0 ||
        size != term.size)
        survey_add(view->survey, view->name, record->offset,
                   "the payload is no external term");
}

static void judge_checkpoint_record(struct view *view,
                                    const struct record *record)
{
    struct survey *survey = view->survey;

    if (record->seq != view->number)
        survey_add(survey, view->name, record->offset,
                   "record %" PRIu64 " of the checkpoint stands where %" PRIu64
                   " is due",
                   record->seq, view->number);
    else if (view->ended)
        survey_add(survey, view->name, record->offset,
                   "something stands behind the checkpoint");
    else if (record->type < 128 && (record->type < RECORD_CHECKPOINT ||
                                    record->type > RECORD_CHECKPOINT_END))
        survey_add(survey, view->name, record->offset,
                   "a record of type %u has no place in a checkpoint",
                   record->type);
    view->number = record->seq + 1;
    view->ended = record->type == RECORD_CHECKPOINT_END;
}

static void judge_log_record(struct view *view, const struct record *record)
{
    struct survey *survey = view->survey;
    bool mutation = record->type == RECORD_MUTATION;
    uint64_t due = survey->seq + mutation;

    if (view->closed)
        survey_add(survey, view->name, record->offset,
                   "something stands behind the record of an orderly end");
    else if (record->type < 128 && record->type > RECORD_ROLL)
        survey_add(survey, view->name, record->offset,
                   "a record of type %u has no place in a log", record->type);
    else if (survey->has_seq && record->seq != due)
        survey_add(survey, view->name, record->offset,
                   "a record of seq %" PRIu64 " stands where %" PRIu64
                   " is due",
                   record->seq, due);
    else if (mutation && record->durable >= record->seq)
        survey_add(survey, view->name, record->offset,
                   "mutation %" PRIu64 " claims to have been durable before "
                   "it was written",
                   record->seq);
    survey->has_seq = true;
    survey->seq = record->seq;
    view->closed = record->type == RECORD_CLOSE;
    if (!mutation)
        return;
    survey->mutations++;
    if (!survey->first_seq)
        survey->first_seq = record->seq;
    if (record->seq > survey->last_seq)
        survey->last_seq = record->seq;
}

/* `offset` is where a record ends, or a header. */
static void note_end(struct view *view, uint64_t offset)
{
    struct survey *survey = view->survey;

    if (survey->faults != view->faults)
        return;
    survey->end = offset;
    survey->end_seq = survey->seq;
}

static void judge_record(struct view *view, const struct record *record)
{
    view->survey->records++;
    if (view->is_checkpoint)
        judge_checkpoint_record(view, record);
    else
        judge_log_record(view, record);
    judge_payload(view, record);
    note_end(view, record->offset + RECORD_HEADER_BYTES + record->payload.size);
    if (view->survey->watch.record)
        view->survey->watch.record(view->survey->watch.context, record);
}

/* --- what is no record -------------------------------------------------- */

/* The reader stands at bytes that are no record: looks for the next one. */
static enum log_read skip(struct view *view, struct record *ret)
{
    struct survey *survey = view->survey;
    struct survey_fault fault =
        fault_at(survey, view->name, log_reader_offset(view->reader));
    enum log_read read;

    snprintf(fault.why, sizeof(fault.why), "%s",
             format_fault_text(log_reader_fault(view->reader)));
    read = log_reader_resync(view->reader, ret);
    if (read == LOG_FAILED)
        return read;
    fault.at_end = read != LOG_RECORD;
    fault.skipped = fault.at_end
                        ? source_torn_bytes(view->io, view->name, fault.offset,
                                            log_reader_size(view->reader))
                        : ret->offset - fault.offset;
    if (read == LOG_RECORD && view->is_checkpoint) {
        view->number = ret->seq;
    } else if (read == LOG_RECORD) {
        bool mutation = ret->type == RECORD_MUTATION;

        fault.next_seq = ret->seq;
        if (survey->has_seq && ret->seq - mutation > survey->seq) {
            fault.missing_to = ret->seq - mutation;
            survey->seq = fault.missing_to;
        } else if (!survey->has_seq) {
            survey->has_seq = true;
            survey->seq = ret->seq - mutation;
        }
    }
    tell(survey, &fault);
    return read;
}

/* A checkpoint ends with its last record, and with nothing behind that. */
static void judge_end(struct view *view)
{
    uint64_t offset = log_reader_offset(view->reader);

    if (!view->is_checkpoint)
        return;
    if (!view->ended)
        survey_add(view->survey, view->name, offset,
                   "the checkpoint is not complete");
    else if (log_reader_size(view->reader) != offset)
        survey_add(view->survey, view->name, offset,
                   "something stands behind the checkpoint");
}

static enum log_read view_all(struct view *view, struct meter *meter)
{
    uint64_t before = view->survey->bytes;
    struct record record;
    uint64_t records = 0;
    enum log_read read;

    for (;;) {
        read = log_reader_next(view->reader, &record);
        if (read == LOG_BAD) {
            read = skip(view, &record);
            if (read == LOG_END)
                return read;
        }
        if (read == LOG_END)
            judge_end(view);
        if (read != LOG_RECORD)
            return read;
        judge_record(view, &record);
        if (meter && ++records % TURN_RECORDS == 0)
            meter_report(meter, before + record.offset, view->survey->total);
    }
}

enum status survey_file(struct survey *survey, struct io *io, const char *name,
                        struct meter *meter, int *ret_errno)
{
    struct view view = {.survey = survey, .io = io, .name = name, .number = 1};
    uint64_t seq;
    enum status st;

    *ret_errno = 0;
    st = log_reader_open(io, name, cli_mem(), &view.reader, ret_errno);
    if (st < 0)
        return st;
    view.is_checkpoint = checkpoint_name_parse(name, &seq);
    view.faults = survey->faults;
    survey->end = 0;
    survey->end_seq = survey->seq;
    judge_header(&view);
    if (log_reader_header(view.reader))
        note_end(&view, FILE_HEADER_BYTES);
    if (view_all(&view, meter) == LOG_FAILED)
        st = log_reader_status(view.reader, ret_errno);
    survey->files++;
    survey->bytes += log_reader_size(view.reader);
    log_reader_close(view.reader);
    return st;
}
