/*
 * checkpoint.c -- a snapshot as records, and records as a store.
 *
 * Writing walks each tree of the snapshot from its first key to its last and
 * cuts the elements into records of about RECORD_BYTES, small enough to be
 * checked and parsed in the cache, large enough that a header costs nothing.
 * Both orders of a junction are written, so that nobody sorts on the way
 * back: twice the bytes for a third of the time.
 *
 * Loading trusts nothing but order of magnitude: each record's checksums have
 * been verified, its term is validated and read by hand, and the loader
 * refuses elements that do not ascend. What proves the whole is the count and
 * digest of each table and of the store at the end.
 *
 *     checkpoint, then for each table: create_table, load ..., loaded; end
 *
 * A table's record comes after those of the tables that it refers to.
 */
#include "log/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/buffer.h"
#include "core/etf.h"
#include "core/graph.h"
#include "core/key.h"
#include "core/load.h"
#include "log/record.h"
#include "log/walk.h"

/* A record of elements is closed when its payload is this long. */
#define RECORD_BYTES (64u << 10)

/* `cancel` is looked at, and progress told, every so many elements. */
#define TURN_ELEMENTS 4096

/* --- writing ------------------------------------------------------------ */

struct saving {
    const struct snapshot *snapshot;
    const struct checkpoint_output *output;
    const atomic_bool *cancel;
    const struct progress *progress;
    uint32_t seed;
    uint64_t number; /* of the record to be written next */
    uint64_t done;   /* elements, of `total` */
    uint64_t total;
    struct mem mem;
    struct buffer term;
    struct tree_entry entry;
    size_t list; /* where the open list of elements begins */
    uint32_t count;
    int error;
};

static enum status save_failed(struct saving *saving, int error)
{
    saving->error = error < 0 ? -error : error;
    return ST_IO;
}

static enum status save_bytes(struct saving *saving, struct bytes bytes)
{
    int error = saving->output->write(saving->output->context, bytes);

    return error < 0 ? save_failed(saving, error) : ST_OK;
}

/* Writes `term`, which is complete, as the next record. */
static enum status save_record(struct saving *saving, enum record_type type)
{
    uint8_t head[RECORD_HEADER_BYTES + 1];
    struct bytes term = buffer_bytes(&saving->term);
    enum status st;

    record_header_write(head, saving->seed, type, saving->number,
                        saving->number, term);
    head[RECORD_HEADER_BYTES] = ETF_VERSION;
    saving->number++;
    st = save_bytes(saving, bytes_of(head, sizeof(head)));
    if (st == ST_OK)
        st = save_bytes(saving, term);
    saving->term.size = 0;
    return st;
}

/* Appends to the term, and goes on only while that works. */
#define PUT(call)                                                              \
    do {                                                                       \
        enum status put_status = (call);                                       \
        if (put_status < 0)                                                    \
            return put_status;                                                 \
    } while (0)

static enum status save_table(struct saving *saving,
                              const struct frozen_table *table)
{
    static const char *const sides[] = {"fwd", "bwd"};
    struct buffer *term = &saving->term;
    uint32_t references = 0;

    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
        references += table->references[side].table.size > 0;
    PUT(etf_put_tuple(term, 4));
    PUT(etf_put_atom(term, "create_table"));
    PUT(key_decode(table->name, term));
    PUT(etf_put_atom(term, table_type_name(table->type)));
    PUT(etf_put_map(term, references));
    for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++) {
        bool evict = table->references[side].on_delete == ON_DELETE_EVICT;

        if (!table->references[side].table.size)
            continue;
        PUT(etf_put_atom(term, sides[side]));
        PUT(etf_put_tuple(term, 2));
        PUT(key_decode(table->references[side].table, term));
        PUT(etf_put_atom(term, evict ? "evict" : "restrict"));
    }
    return save_record(saving, RECORD_TABLE);
}

/* Begins a record of elements; its list's length is told at its end. */
static enum status elements_begin(struct saving *saving,
                                  const struct frozen_table *table,
                                  enum side side)
{
    struct buffer *term = &saving->term;

    PUT(etf_put_tuple(term, 4));
    PUT(etf_put_atom(term, "load"));
    PUT(key_decode(table->name, term));
    PUT(etf_put_atom(term, side == SIDE_FWD ? "fwd" : "bwd"));
    saving->list = term->size;
    saving->count = 0;
    return etf_put_list(term, 1);
}

static enum status elements_end(struct saving *saving)
{
    if (!saving->count) {
        saving->term.size = 0;
        return ST_OK;
    }
    store_be32(saving->term.data + saving->list + 1, saving->count);
    PUT(etf_put_nil(&saving->term));
    return save_record(saving, RECORD_ELEMENTS);
}

/* Appends the element under the cursor. */
static enum status save_element(struct saving *saving, enum table_type type)
{
    const struct tree_entry *entry = &saving->entry;
    struct buffer *term = &saving->term;

    saving->count++;
    if (type == TABLE_SET)
        return key_decode(entry->key.first, term);
    PUT(etf_put_tuple(term, 2));
    PUT(key_decode(entry->key.first, term));
    if (table_type_has_value(type))
        return buffer_append(term, entry->value);
    return key_decode(entry->key.second, term);
}

static enum status save_turn(struct saving *saving)
{
    const struct progress *progress = saving->progress;

    if (saving->cancel && atomic_load(saving->cancel))
        return save_failed(saving, ECANCELED);
    if (progress && progress->report)
        progress->report(progress->context, saving->done, saving->total);
    return ST_OK;
}

static enum status save_side(struct saving *saving,
                             const struct frozen_table *table, enum side side)
{
    const struct tree_root *root = &table->roots[side];
    struct tree_cut start = {.after = false};
    struct tree_cursor cursor;
    bool found = tree_cursor_seek(&cursor, root, start, NULL);
    enum status st = elements_begin(saving, table, side);

    while (found && st == ST_OK) {
        st = tree_cursor_read(&cursor, &saving->entry);
        if (st == ST_OK)
            st = save_element(saving, table->type);
        if (st == ST_OK && ++saving->done % TURN_ELEMENTS == 0)
            st = save_turn(saving);
        found = tree_cursor_next(&cursor);
        if (st == ST_OK && found && saving->term.size >= RECORD_BYTES) {
            st = elements_end(saving);
            if (st == ST_OK)
                st = elements_begin(saving, table, side);
        }
    }
    return st < 0 ? st : elements_end(saving);
}

static enum status save_table_end(struct saving *saving,
                                  const struct frozen_table *table)
{
    struct buffer *term = &saving->term;
    bool is_pom = table->type == TABLE_POM;

    PUT(etf_put_tuple(term, 3));
    PUT(etf_put_atom(term, "loaded"));
    PUT(key_decode(table->name, term));
    PUT(etf_put_map(term, 1u + is_pom));
    PUT(etf_put_atom(term, "count"));
    PUT(etf_put_u64(term, table->roots[SIDE_FWD].count));
    if (is_pom) {
        PUT(etf_put_atom(term, "next_id"));
        PUT(etf_put_u64(term, table->next_id));
    }
    return save_record(saving, RECORD_TABLE_END);
}

static enum status save_begin(struct saving *saving, uint64_t seq)
{
    struct buffer *term = &saving->term;

    PUT(etf_put_tuple(term, 2));
    PUT(etf_put_atom(term, "checkpoint"));
    PUT(etf_put_map(term, 2));
    PUT(etf_put_atom(term, "seq"));
    PUT(etf_put_u64(term, seq));
    PUT(etf_put_atom(term, "tables"));
    PUT(etf_put_u64(term, snapshot_table_count(saving->snapshot)));
    return save_record(saving, RECORD_CHECKPOINT);
}

static enum status save_end(struct saving *saving, uint64_t seq)
{
    uint8_t digest[DIGEST_BYTES];
    struct buffer *term = &saving->term;

    digest_store(digest, snapshot_digest(saving->snapshot));
    PUT(etf_put_tuple(term, 2));
    PUT(etf_put_atom(term, "checkpoint_end"));
    PUT(etf_put_map(term, 2));
    PUT(etf_put_atom(term, "seq"));
    PUT(etf_put_u64(term, seq));
    PUT(etf_put_atom(term, "digest"));
    PUT(etf_put_binary(term, bytes_of(digest, sizeof(digest))));
    return save_record(saving, RECORD_CHECKPOINT_END);
}

static enum status save_all(struct saving *saving)
{
    const struct snapshot *snapshot = saving->snapshot;
    uint64_t seq = snapshot_seq(snapshot);
    enum status st = save_begin(saving, seq);

    for (uint32_t i = 0; st == ST_OK && i < snapshot_table_count(snapshot);
         i++) {
        const struct frozen_table *table = snapshot_table(snapshot, i);

        st = save_table(saving, table);
        if (st == ST_OK)
            st = save_side(saving, table, SIDE_FWD);
        if (st == ST_OK && table_type_has_bwd(table->type))
            st = save_side(saving, table, SIDE_BWD);
        if (st == ST_OK)
            st = save_table_end(saving, table);
        if (st == ST_OK)
            st = save_turn(saving);
    }
    return st < 0 ? st : save_end(saving, seq);
}

enum status checkpoint_write(const struct snapshot *snapshot,
                             const uint8_t store_id[STORE_ID_BYTES],
                             uint64_t epoch,
                             const struct checkpoint_output *output,
                             const atomic_bool *cancel,
                             const struct progress *progress, int *ret_errno)
{
    struct saving saving = {
        .snapshot = snapshot,
        .output = output,
        .cancel = cancel,
        .progress = progress,
        .seed = record_seed(store_id),
        .number = 1,
    };
    struct file_header header = {
        .major = FORMAT_MAJOR,
        .minor = FORMAT_MINOR,
        .kind = FILE_CHECKPOINT,
        .epoch = epoch,
        .first_seq = snapshot_seq(snapshot),
    };
    uint8_t bytes[FILE_HEADER_BYTES];
    enum status st;

    memcpy(header.store_id, store_id, STORE_ID_BYTES);
    file_header_write(bytes, &header);
    mem_init(&saving.mem, 0);
    saving.term = BUFFER(&saving.mem);
    saving.entry.buffer = BUFFER(&saving.mem);
    for (uint32_t i = 0; i < snapshot_table_count(snapshot); i++)
        for (enum side side = SIDE_FWD; side <= SIDE_BWD; side++)
            saving.total += snapshot_table(snapshot, i)->roots[side].count;

    st = save_bytes(&saving, bytes_of(bytes, sizeof(bytes)));
    if (st == ST_OK)
        st = save_all(&saving);
    buffer_free(&saving.term);
    buffer_free(&saving.entry.buffer);
    *ret_errno = saving.error;
    return st;
}

/* --- reading ------------------------------------------------------------ */

struct loading {
    struct log_reader *reader;
    struct store *store; /* NULL: only look */
    const struct progress *progress;
    struct checkpoint_report *report;
    struct mem mem;
    struct buffer keys[2];
    uint64_t number; /* of the record that is due */
    uint64_t seq;
    uint64_t tables;     /* that are still to come */
    struct buffer table; /* the encoded name of the open table; empty: none */
    struct loader *loader;
    uint64_t elements; /* of fwd, of the open table */
    uint64_t turn;
};

/* Refuses what is at `offset`. */
static enum status load_refuse(struct loading *loading, uint64_t offset,
                               const char *why)
{
    loading->report->offset = offset;
    snprintf(loading->report->why, sizeof(loading->report->why), "%s", why);
    return ST_LOG_REFUSED;
}

/* The status of a core function on what came from the file: memory is the
 * machine's affair, all else the file's. */
static enum status load_status(struct loading *loading, uint64_t offset,
                               enum status st, const char *why)
{
    if (st == ST_OK || st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        return st;
    return load_refuse(loading, offset, why);
}

static const char bad_form[] = "a record of a checkpoint has another form";

/* Encodes the term at the walk, which is one, to `keys[which]`. */
static enum status load_key(struct loading *loading, struct walk *walk,
                            unsigned which)
{
    struct buffer *key = &loading->keys[which];

    key->size = 0;
    return key_encode(walk_term(walk), key);
}

/* Reads `keys` of a map: u64 values for names; others are skipped. */
struct field {
    const char *name;
    uint64_t *ret;
    struct digest *ret_digest;
    bool found;
};

static bool load_fields(struct walk *walk, struct field *fields, unsigned count)
{
    uint32_t left;

    if (!walk_map(walk, &left))
        return false;
    while (left-- > 0) {
        struct field *field = NULL;
        struct bytes digest;

        for (unsigned i = 0; i < count && !field; i++)
            if (walk_atom(walk, fields[i].name))
                field = &fields[i];
        if (!field) {
            walk_term(walk);
            walk_term(walk);
            continue;
        }
        if (field->ret
                ? !walk_u64(walk, field->ret)
                : !walk_binary(walk, &digest) || digest.size != DIGEST_BYTES)
            return false;
        if (!field->ret)
            *field->ret_digest = digest_load(digest.data);
        field->found = true;
    }
    for (unsigned i = 0; i < count; i++)
        if (!fields[i].found)
            return false;
    return true;
}

static enum status load_begin(struct loading *loading, struct walk *walk,
                              uint64_t offset)
{
    struct field fields[] = {{"seq", &loading->seq, NULL, false},
                             {"tables", &loading->tables, NULL, false}};

    if (!walk_tuple(walk, 2) || !walk_atom(walk, "checkpoint") ||
        !load_fields(walk, fields, 2) || loading->seq > INT64_MAX)
        return load_refuse(loading, offset, bad_form);
    return ST_OK;
}

/* The value of an option: {Table, restrict | evict}. */
static enum status load_reference(struct loading *loading, struct walk *walk,
                                  uint64_t offset, struct table_reference *ret)
{
    enum status st;

    if (!walk_tuple(walk, 2))
        return load_refuse(loading, offset, bad_form);
    st = load_status(loading, offset, load_key(loading, walk, 1), bad_form);
    if (st < 0)
        return st;
    ret->on_delete = ON_DELETE_RESTRICT;
    if (walk_atom(walk, "evict"))
        ret->on_delete = ON_DELETE_EVICT;
    else if (!walk_atom(walk, "restrict"))
        return load_refuse(loading, offset, bad_form);
    if (!loading->store)
        return ST_OK;
    ret->table = store_find(loading->store, buffer_bytes(&loading->keys[1]));
    if (!ret->table)
        return load_refuse(
            loading, offset,
            "a table refers to one that does not come before it");
    return ST_OK;
}

static enum status load_references(struct loading *loading, struct walk *walk,
                                   uint64_t offset,
                                   struct table_reference references[2])
{
    enum status st = ST_OK;
    uint32_t count;

    memset(references, 0, 2 * sizeof(*references));
    if (!walk_map(walk, &count))
        return load_refuse(loading, offset, bad_form);
    while (count-- > 0 && st == ST_OK) {
        enum side side = walk_atom(walk, "bwd") ? SIDE_BWD : SIDE_FWD;

        if (side == SIDE_FWD && !walk_atom(walk, "fwd"))
            return load_refuse(loading, offset, bad_form);
        st = load_reference(loading, walk, offset, &references[side]);
    }
    return st;
}

static enum status load_table(struct loading *loading, struct walk *walk,
                              uint64_t offset)
{
    struct table_reference references[2];
    struct table *table;
    enum table_type type;
    struct bytes word;
    enum status st;

    if (loading->table.size || !loading->tables || !walk_tuple(walk, 4) ||
        !walk_atom(walk, "create_table"))
        return load_refuse(loading, offset, bad_form);
    loading->tables--;
    st = load_status(loading, offset, load_key(loading, walk, 0), bad_form);
    if (st == ST_OK)
        st = buffer_append(&loading->table, buffer_bytes(&loading->keys[0]));
    if (st < 0)
        return st;
    if (!walk_any_atom(walk, &word) || !table_type_parse(word, &type))
        return load_refuse(loading, offset, bad_form);
    st = load_references(loading, walk, offset, references);
    loading->elements = 0;
    if (st < 0 || !loading->store)
        return st;

    store_begin(loading->store);
    st = store_table_create(loading->store, buffer_bytes(&loading->table), type,
                            references, &table);
    if (st < 0) {
        store_rollback(loading->store);
        return load_status(loading, offset, st, "a table cannot be made");
    }
    store_commit(loading->store);
    return loader_create(loading->store, table, &loading->loader);
}

/* Does the name that comes next mean the open table? */
static enum status load_same_table(struct loading *loading, struct walk *walk,
                                   uint64_t offset)
{
    enum status st =
        load_status(loading, offset, load_key(loading, walk, 0), bad_form);

    if (st == ST_OK && !bytes_equal(buffer_bytes(&loading->keys[0]),
                                    buffer_bytes(&loading->table)))
        return load_refuse(loading, offset,
                           "a record is about another table than the open one");
    return st;
}

static enum status load_element(struct loading *loading, struct walk *walk,
                                enum table_type type, enum side side)
{
    struct bytes second = {NULL, 0};
    enum status st;

    if (type != TABLE_SET && !walk_tuple(walk, 2))
        return ST_BAD_TERM;
    st = load_key(loading, walk, 0);
    if (st == ST_OK && table_type_has_value(type)) {
        second = walk_term(walk);
    } else if (st == ST_OK && type != TABLE_SET) {
        st = load_key(loading, walk, 1);
        second = buffer_bytes(&loading->keys[1]);
    }
    if (st < 0)
        return st;
    return loader_add(loading->loader, side, buffer_bytes(&loading->keys[0]),
                      second);
}

static void load_turn(struct loading *loading, uint32_t count)
{
    const struct progress *progress = loading->progress;

    loading->turn += count;
    if (loading->turn < TURN_ELEMENTS || !progress || !progress->report)
        return;
    loading->turn = 0;
    progress->report(progress->context, log_reader_offset(loading->reader),
                     log_reader_size(loading->reader));
}

static enum status load_elements(struct loading *loading, struct walk *walk,
                                 uint64_t offset)
{
    struct table *table;
    enum table_type type;
    enum side side;
    uint32_t count;
    enum status st;

    if (!loading->table.size || !walk_tuple(walk, 4) ||
        !walk_atom(walk, "load"))
        return load_refuse(loading, offset, bad_form);
    st = load_same_table(loading, walk, offset);
    if (st < 0)
        return st;
    side = walk_atom(walk, "bwd") ? SIDE_BWD : SIDE_FWD;
    if ((side == SIDE_FWD && !walk_atom(walk, "fwd")) ||
        !walk_list(walk, &count))
        return load_refuse(loading, offset, bad_form);
    if (side == SIDE_FWD)
        loading->elements += count;
    load_turn(loading, count);
    if (!loading->store)
        return ST_OK;

    table = store_find(loading->store, buffer_bytes(&loading->table));
    type = table_type(table);
    for (; count > 0 && st == ST_OK; count--)
        st = load_element(loading, walk, type, side);
    if (st < 0)
        return load_status(loading, offset, st,
                           "an element is malformed, out of its order or "
                           "there twice");
    return walk_nil(walk) ? ST_OK : load_refuse(loading, offset, bad_form);
}

static enum status load_table_end(struct loading *loading, struct walk *walk,
                                  uint64_t offset)
{
    uint64_t count = 0, next_id = 0;
    struct field fields[] = {{"count", &count, NULL, false},
                             {"next_id", &next_id, NULL, false}};
    struct loader *loader = loading->loader;
    struct table *table;
    bool is_pom = false;
    enum status st;

    if (!loading->table.size || !walk_tuple(walk, 3) ||
        !walk_atom(walk, "loaded"))
        return load_refuse(loading, offset, bad_form);
    st = load_same_table(loading, walk, offset);
    if (st < 0)
        return st;
    if (loading->store) {
        table = store_find(loading->store, buffer_bytes(&loading->table));
        is_pom = table_type(table) == TABLE_POM;
    }
    if (!load_fields(walk, fields, 1u + is_pom) || count != loading->elements)
        return load_refuse(loading, offset,
                           "a table has another number of elements");
    loading->report->elements += count;
    loading->table.size = 0;
    if (!loading->store)
        return ST_OK;
    loading->loader = NULL;
    return load_status(loading, offset, loader_finish(loader, next_id),
                       "the two sides of a table differ, or its next id is "
                       "wrong");
}

static enum status load_end(struct loading *loading, struct walk *walk,
                            uint64_t offset)
{
    struct checkpoint_report *report = loading->report;
    uint64_t seq = 0;
    struct field fields[] = {{"seq", &seq, NULL, false},
                             {"digest", NULL, &report->digest, false}};
    struct table *table = NULL;

    if (loading->table.size || loading->tables || !walk_tuple(walk, 2) ||
        !walk_atom(walk, "checkpoint_end") || !load_fields(walk, fields, 2) ||
        seq != loading->seq)
        return load_refuse(loading, offset, bad_form);
    report->seq = seq;
    if (!loading->store)
        return ST_OK;
    while ((table = store_next_table(loading->store, table)))
        if (table_type(table) == TABLE_GRAPH &&
            graph_settle(loading->store, table) < 0)
            return load_refuse(loading, offset,
                               "the parts of a graph do not agree");
    if (!digest_equal(store_digest(loading->store), report->digest))
        return load_refuse(loading, offset,
                           "the digest of what was loaded is not the one that "
                           "was saved");
    store_set_seq(loading->store, seq);
    return ST_OK;
}

static enum status load_record(struct loading *loading,
                               const struct record *record)
{
    struct bytes term =
        bytes_of(record->payload.data + 1, record->payload.size - 1);
    struct walk walk = {term.data};
    size_t size;

    if (record->seq != loading->number++)
        return load_refuse(loading, record->offset,
                           "a record of the checkpoint is missing");
    if (etf_validate_within(term, ETF_RECORD_DEPTH_MAX, &size, NULL) < 0 ||
        size != term.size)
        return load_refuse(loading, record->offset, "a payload is no term");
    if ((record->type == RECORD_CHECKPOINT) != (record->seq == 1))
        return load_refuse(loading, record->offset, bad_form);
    switch (record->type) {
    case RECORD_CHECKPOINT:
        return load_begin(loading, &walk, record->offset);
    case RECORD_TABLE:
        return load_table(loading, &walk, record->offset);
    case RECORD_ELEMENTS:
        return load_elements(loading, &walk, record->offset);
    case RECORD_TABLE_END:
        return load_table_end(loading, &walk, record->offset);
    case RECORD_CHECKPOINT_END:
        return load_end(loading, &walk, record->offset);
    default:
        if (record->type >= 128)
            return ST_OK;
        return load_refuse(loading, record->offset,
                           "a record of this type has no place here");
    }
}

/* Reads on to the end of the file; what came last is told. */
static enum status load_all(struct loading *loading)
{
    struct log_reader *reader = loading->reader;
    struct record record = {0};
    uint8_t last = 0;
    enum status st = ST_OK;

    for (;;) {
        switch (log_reader_next(reader, &record)) {
        case LOG_RECORD:
            if (last == RECORD_CHECKPOINT_END)
                return load_refuse(loading, record.offset,
                                   "something stands behind the checkpoint");
            st = load_record(loading, &record);
            if (st < 0)
                return st;
            last = record.type;
            break;
        case LOG_END:
            if (last == RECORD_CHECKPOINT_END &&
                log_reader_size(reader) == log_reader_offset(reader))
                return ST_OK;
            return load_refuse(loading, log_reader_offset(reader),
                               last == RECORD_CHECKPOINT_END
                                   ? "something stands behind the checkpoint"
                                   : "the checkpoint is not complete");
        case LOG_BAD:
            return load_refuse(loading, log_reader_offset(reader),
                               format_fault_text(log_reader_fault(reader)));
        case LOG_FAILED: {
            int error;

            return log_reader_status(reader, &error);
        }
        }
    }
}

enum status checkpoint_read(struct log_reader *reader, struct store *store,
                            const struct progress *progress,
                            struct checkpoint_report *ret)
{
    struct loading loading = {
        .reader = reader,
        .store = store,
        .progress = progress,
        .report = ret,
        .number = 1,
    };
    enum status st;

    memset(ret, 0, sizeof(*ret));
    mem_init(&loading.mem, 0);
    loading.keys[0] = BUFFER(&loading.mem);
    loading.keys[1] = BUFFER(&loading.mem);
    loading.table = BUFFER(&loading.mem);
    if (store)
        mem_exempt_begin(store_mem(store));
    st = load_all(&loading);
    loader_abort(loading.loader);
    if (store)
        mem_exempt_end(store_mem(store));
    buffer_free(&loading.keys[0]);
    buffer_free(&loading.keys[1]);
    buffer_free(&loading.table);
    return st;
}

/* --- a checkpoint of a store at work ------------------------------------ */

struct checkpoint_job {
    struct io *io;
    struct mem *mem; /* of the block itself */
    struct snapshot *snapshot;
    uint8_t store_id[STORE_ID_BYTES];
    uint64_t epoch;
    atomic_bool cancelled;

    /* The file while it is written. */
    int fd;
    uint64_t offset;

    enum status status;
    int error;
    const char *what;
    bool fatal; /* for the log as a whole */
    struct checkpoint_result result;
};

enum status checkpoint_begin(struct store *store, struct termlog *log,
                             struct checkpoint_job **ret)
{
    struct termlog_figures figures;
    struct mem *mem = store_mem(store);
    struct checkpoint_job *job;
    enum status st;

    *ret = NULL;
    termlog_figures(log, &figures);
    if (figures.checkpoint_seq == store_seq(store) && figures.checkpoint_bytes)
        return ST_OK;
    st = termlog_roll(log);
    if (st < 0)
        return st;
    job = mem_zalloc(mem, sizeof(*job));
    if (!job)
        return mem_status(mem);
    st = snapshot_take(store, &job->snapshot);
    if (st == ST_OK)
        st = snapshot_list(job->snapshot);
    if (st < 0) {
        snapshot_release(job->snapshot);
        mem_free(mem, job, sizeof(*job));
        return st;
    }
    job->io = termlog_io(log);
    job->mem = mem;
    job->epoch = figures.epoch;
    job->fd = -1;
    memcpy(job->store_id, termlog_store_id(log), STORE_ID_BYTES);
    *ret = job;
    return ST_OK;
}

void checkpoint_cancel(struct checkpoint_job *job)
{
    atomic_store(&job->cancelled, true);
}

static enum status job_failed(struct checkpoint_job *job, int error,
                              const char *what)
{
    job->error = -error;
    job->what = what;
    if (io_error_is_full(error))
        return ST_LOG_FULL;
    return ST_IO;
}

static int job_write(void *context, struct bytes bytes)
{
    struct checkpoint_job *job = context;
    int error =
        io_write_all(job->io, job->fd, bytes.data, bytes.size, job->offset);

    if (error == 0)
        job->offset += bytes.size;
    return error;
}

/* The file as it is on the disk: is it the checkpoint that was meant? */
static enum status job_verify(struct checkpoint_job *job)
{
    struct checkpoint_report report;
    struct log_reader *reader;
    struct mem mem;
    enum status st;
    int error = 0;

    mem_init(&mem, 0);
    st = log_reader_open(job->io, CHECKPOINT_TEMPORARY, &mem, &reader, &error);
    if (st == ST_OK) {
        st = checkpoint_read(reader, NULL, NULL, &report);
        if (st == ST_IO)
            log_reader_status(reader, &error);
        log_reader_close(reader);
    }
    if (st == ST_OK) {
        job->result.elements = report.elements;
        return ST_OK;
    }
    if (st == ST_LOG_REFUSED)
        return job_failed(job, -EIO, "read back");
    return st == ST_IO ? job_failed(job, -error, "read back") : st;
}

static enum status job_save(struct checkpoint_job *job)
{
    const struct checkpoint_output output = {job_write, job};
    enum status st;
    int error = 0;

    io_unlink(job->io, CHECKPOINT_TEMPORARY);
    job->fd = io_open(job->io, CHECKPOINT_TEMPORARY, IO_CREATE);
    if (job->fd < 0)
        return job_failed(job, job->fd, "create");
    st = checkpoint_write(job->snapshot, job->store_id, job->epoch, &output,
                          &job->cancelled, NULL, &error);
    if (st == ST_IO)
        return job_failed(job, -error, "write");
    if (st < 0)
        return st;
    error = io_sync(job->io, job->fd);
    if (error < 0)
        return job_failed(job, error, "sync");
    io_forget(job->io, job->fd);
    return job_verify(job);
}

void checkpoint_run(struct checkpoint_job *job)
{
    char name[FILE_NAME_BYTES];
    enum status st;
    int error = 0;

    job->result.seq = snapshot_seq(job->snapshot);
    job->result.digest = snapshot_digest(job->snapshot);
    checkpoint_name(name, job->result.seq);
    st = job_save(job);
    if (job->fd >= 0)
        io_close(job->io, job->fd);
    if (st == ST_OK) {
        error = io_rename(job->io, CHECKPOINT_TEMPORARY, name);
        if (error < 0)
            st = job_failed(job, error, "rename");
    }
    if (st == ST_OK) {
        /* It has the names of segments, too, and tells of an error once. */
        error = io_sync_directory(job->io, NULL);
        job->fatal = error < 0;
        if (error < 0)
            st = job_failed(job, -EIO, "sync the directory of");
    }
    if (st < 0)
        io_unlink(job->io, CHECKPOINT_TEMPORARY);
    job->result.bytes = job->offset;
    job->status = st;
}

enum status checkpoint_end(struct checkpoint_job *job, struct termlog *log,
                           struct checkpoint_result *ret)
{
    enum status st = job->status;

    snapshot_release(job->snapshot);
    *ret = job->result;
    if (st == ST_OK)
        st = termlog_checkpointed(log, ret->seq, ret->digest, ret->bytes);
    if (job->fatal)
        termlog_break(log, job->error, "sync", "the directory");
    if (st < 0 && job->what)
        snprintf(ret->why, sizeof(ret->why), "cannot %s the checkpoint: %s",
                 job->what, strerror(job->error));
    mem_free(job->mem, job, sizeof(*job));
    return st;
}
