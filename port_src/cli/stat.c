/*
 * stat.c -- `rhizome stat`: what a store's directory or one file holds, at a
 * glance.
 *
 * Nothing is applied and next to nothing is read. Of a directory: MANIFEST,
 * the header of every file, and the record headers of the checkpoint and of
 * the newest segment, from one to the next over the payloads. What older
 * segments hold follows from where the next one begins. So checksums of
 * payloads are not looked at; `rhizome check` does that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/source.h"
#include "cli/subcommands.h"
#include "cli/term.h"
#include "core/etf.h"
#include "log/walk.h"

#define WINDOW_BYTES ((size_t)64 << 10)
#define PAYLOAD_READ_MAX ((uint32_t)64 << 10) /* of what is looked into */

struct stat_options {
    struct common_options common;
};

static const struct option_row rows[] = {{NULL, 0, 0, 0, NULL, NULL}};

/* --- the record headers of one file -------------------------------------- */

enum end {
    END_OPEN,    /* goes on, or may */
    END_ROLLED,  /* the next segment follows */
    END_CLOSED,  /* an orderly end; of a checkpoint: complete */
    END_BAD,     /* bytes that are no record */
    END_MISSING, /* there is no such file */
};

static const char *const end_texts[] = {"open", "rolled", "closed", "torn",
                                        "missing"};

/* What was found in a file. */
struct found {
    bool has_header;
    struct file_header header;
    uint64_t file_bytes;
    uint64_t bytes; /* up to the end of the last record */
    uint64_t records;
    uint64_t mutations;
    uint64_t last_seq; /* of a log; what it begins behind if it is empty */
    uint64_t durable;
    enum end end;
    const char *fault;

    uint64_t elements; /* of a checkpoint */
    uint64_t checkpoint_seq;
    bool has_digest;
    struct digest digest;
    struct rows tables;

    uint64_t type_records[256];
    uint64_t type_bytes[256];
};

/* A file that is walked over. */
struct walker {
    struct io *io;
    int fd;
    uint64_t base;
    size_t filled;
    int error;
    uint8_t window[WINDOW_BYTES];
};

/* The bytes at `at`: `size` of them, fewer at the end of the file. */
static struct bytes view(struct walker *walker, uint64_t at, size_t size)
{
    if (at < walker->base || at + size > walker->base + walker->filled) {
        walker->base = at;
        walker->filled = 0;
        while (walker->filled < WINDOW_BYTES) {
            ssize_t got = io_pread(
                walker->io, walker->fd, walker->window + walker->filled,
                WINDOW_BYTES - walker->filled, at + walker->filled);

            if (got < 0)
                walker->error = (int)got;
            if (got <= 0)
                break;
            walker->filled += (size_t)got;
        }
    }
    if (size > walker->filled - (size_t)(at - walker->base))
        size = walker->filled - (size_t)(at - walker->base);
    return bytes_of(walker->window + (at - walker->base), size);
}

static bool map_u64(struct walk map, const char *key, uint64_t *ret)
{
    uint32_t count;

    if (!walk_map(&map, &count))
        return false;
    while (count--) {
        if (walk_atom(&map, key))
            return walk_u64(&map, ret);
        walk_term(&map);
        walk_term(&map);
    }
    return false;
}

static bool map_digest(struct walk map, struct digest *ret)
{
    struct bytes bytes;
    uint32_t count;

    if (!walk_map(&map, &count))
        return false;
    while (count--) {
        if (walk_atom(&map, "digest")) {
            if (!walk_binary(&map, &bytes) || bytes.size != DIGEST_BYTES)
                return false;
            *ret = digest_load(bytes.data);
            return true;
        }
        walk_term(&map);
        walk_term(&map);
    }
    return false;
}

/* {create_table, Table, Type, Options}: begins a line of the table. */
static void note_table(struct found *found, struct walk walk)
{
    struct buffer text = BUFFER(cli_mem());
    struct bytes type;

    if (!walk_tuple(&walk, 4) || !walk_atom(&walk, "create_table"))
        return;
    walk.at = rows_term(&found->tables, walk.at);
    if (walk_any_atom(&walk, &type))
        text_bytes(&text, type);
    rows_text(&found->tables, text_string(&text));
    buffer_free(&text);
}

/* {loaded, Table, #{count, next_id}}: ends it. */
static void note_table_end(struct found *found, struct walk walk)
{
    uint64_t count = 0;

    if (found->tables.cell_count % 3 != 2 || !walk_tuple(&walk, 3) ||
        !walk_atom(&walk, "loaded"))
        return;
    walk_term(&walk);
    map_u64(walk, "count", &count);
    rows_u64(&found->tables, count);
    found->elements += count;
}

static void note_checkpoint_end(struct found *found, struct walk walk)
{
    if (!walk_tuple(&walk, 2) || !walk_atom(&walk, "checkpoint_end"))
        return;
    map_u64(walk, "seq", &found->checkpoint_seq);
    found->has_digest = map_digest(walk, &found->digest);
}

/* Looks into the few payloads that say something about the whole. */
static void note_payload(struct found *found, uint8_t type,
                         struct bytes payload)
{
    size_t size;
    struct walk walk;

    if (payload.size < 2 || payload.data[0] != ETF_VERSION ||
        etf_validate(bytes_of(payload.data + 1, payload.size - 1), &size,
                     NULL) < 0)
        return;
    walk.at = payload.data + 1;
    if (type == RECORD_TABLE)
        note_table(found, walk);
    else if (type == RECORD_TABLE_END)
        note_table_end(found, walk);
    else
        note_checkpoint_end(found, walk);
}

static void note_record(struct walker *walker, struct found *found,
                        const struct record *record, uint64_t at, uint32_t size)
{
    found->records++;
    found->type_records[record->type]++;
    found->type_bytes[record->type] += RECORD_HEADER_BYTES + (uint64_t)size;
    if (found->header.kind == FILE_LOG) {
        found->mutations += record->type == RECORD_MUTATION;
        found->last_seq = record->seq;
        if (record->durable > found->durable)
            found->durable = record->durable;
    }
    found->end = record->type == RECORD_CLOSE ||
                         record->type == RECORD_CHECKPOINT_END ||
                         record->type == RECORD_MANIFEST
                     ? END_CLOSED
                 : record->type == RECORD_ROLL ? END_ROLLED
                                               : END_OPEN;
    if ((record->type == RECORD_TABLE || record->type == RECORD_TABLE_END ||
         record->type == RECORD_CHECKPOINT_END) &&
        size <= PAYLOAD_READ_MAX - RECORD_HEADER_BYTES)
        note_payload(found, record->type,
                     view(walker, at + RECORD_HEADER_BYTES, size));
}

/* True if the file has nothing but zeros from `at` on; looks at the first
 * window only, for the room that a log allocates ahead may be large. */
static bool ends_in_zeros(struct walker *walker, uint64_t at)
{
    struct bytes bytes = view(walker, at, WINDOW_BYTES);

    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i])
            return false;
    }
    return true;
}

static void bad(struct found *found, enum format_fault fault)
{
    found->end = END_BAD;
    found->fault = format_fault_text(fault);
}

static void walk_records(struct walker *walker, struct found *found)
{
    uint32_t seed = record_seed(found->header.store_id);
    uint64_t at = FILE_HEADER_BYTES;
    struct record record;
    uint32_t size;

    for (;;) {
        struct bytes header = view(walker, at, RECORD_HEADER_BYTES);
        enum format_fault fault;

        if (header.size == 0 || walker->error)
            break;
        fault = record_header_read(header, seed, &record, &size);
        if (fault == FORMAT_OK &&
            at + RECORD_HEADER_BYTES + size > found->file_bytes)
            fault = FORMAT_SHORT;
        if (fault != FORMAT_OK) {
            if (!ends_in_zeros(walker, at))
                bad(found, fault);
            break;
        }
        note_record(walker, found, &record, at, size);
        at += RECORD_HEADER_BYTES + (uint64_t)size;
        found->bytes = at;
    }
}

/* Reads the header of a file, and with `all` those of its records. -1, or an
 * exit status after a complaint; a missing file is END_MISSING. */
static int look_at(const struct source *source, struct io *io, const char *name,
                   bool all, struct found *found)
{
    static const char *const columns[] = {"table", "type", "elements", NULL};
    struct walker *walker = calloc(1, sizeof(*walker));
    enum format_fault fault;
    int64_t size;
    int error;

    if (!walker)
        text_no_memory();
    memset(found, 0, sizeof(*found));
    rows_begin(&found->tables, columns);
    walker->io = io;
    walker->fd = io_open(io, name, IO_READ);
    error = walker->fd < 0 ? walker->fd : 0;
    if (error == 0) {
        size = io_size(io, walker->fd);
        error = size < 0 ? (int)size : 0;
        found->file_bytes = size < 0 ? 0 : (uint64_t)size;
    }
    if (error == 0) {
        fault = file_header_read(view(walker, 0, FILE_HEADER_BYTES),
                                 &found->header);
        found->has_header = fault == FORMAT_OK;
        if (!found->has_header) {
            bad(found, fault);
        } else {
            found->bytes = all ? FILE_HEADER_BYTES : found->file_bytes;
            if (found->header.kind == FILE_LOG)
                found->last_seq = found->header.first_seq - 1;
            if (all)
                walk_records(walker, found);
        }
        error = walker->error;
    }
    if (walker->fd >= 0)
        io_close(io, walker->fd);
    free(walker);
    if (error == -ENOENT) {
        found->end = END_MISSING;
        return -1;
    }
    return error < 0 ? source_complain(source, name, ST_IO, error) : -1;
}

/* --- a file -------------------------------------------------------------- */

static const char *kind_name(enum file_kind kind)
{
    return kind == FILE_LOG          ? "log"
           : kind == FILE_CHECKPOINT ? "checkpoint"
                                     : "manifest";
}

static void put_types(struct facts *facts, const struct found *found)
{
    static const char *const columns[] = {"type", "records", "bytes", NULL};
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {
        {RECORD_MUTATION, "mutation"},
        {RECORD_MARK, "mark"},
        {RECORD_CLOSE, "close"},
        {RECORD_DIGEST, "digest"},
        {RECORD_ROLL, "roll"},
        {RECORD_CHECKPOINT, "checkpoint"},
        {RECORD_TABLE, "table"},
        {RECORD_ELEMENTS, "elements"},
        {RECORD_TABLE_END, "table_end"},
        {RECORD_CHECKPOINT_END, "checkpoint_end"},
        {RECORD_MANIFEST, "manifest"},
    };
    struct rows types;
    uint64_t known = 0;

    rows_begin(&types, columns);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint64_t count = found->type_records[names[i].type];

        known += count;
        if (!count)
            continue;
        rows_text(&types, names[i].name);
        rows_u64(&types, count);
        rows_u64(&types, found->type_bytes[names[i].type]);
    }
    if (found->records > known) {
        rows_text(&types, "unknown");
        rows_u64(&types, found->records - known);
        rows_none(&types);
    }
    facts_rows(facts, "types", &types);
}

static int stat_file(const struct source *source)
{
    struct found *found = calloc(1, sizeof(*found));
    struct facts facts;
    bool log;
    int status;

    if (!found)
        text_no_memory();
    status = look_at(source, source->files[0].io, source->files[0].name, true,
                     found);
    if (status < 0 && !found->has_header) {
        complain("%s: offset 0: %s; %s", source->path,
                 found->fault ? found->fault : "there is no such file",
                 source_advice(source));
        status = EXIT_DAMAGED;
    }
    if (status >= 0) {
        buffer_free(&found->tables.cells);
        free(found);
        return status;
    }
    log = found->header.kind == FILE_LOG;
    facts_begin(&facts);
    facts_text(&facts, "file", source->path);
    facts_text(&facts, "kind", kind_name(found->header.kind));
    facts_hex(&facts, "store_id",
              bytes_of(found->header.store_id, STORE_ID_BYTES));
    facts_u64(&facts, "epoch", found->header.epoch);
    if (log) {
        facts_u64(&facts, "first_seq", found->header.first_seq);
        facts_u64(&facts, "last_seq", found->last_seq);
        facts_u64(&facts, "durable_seq", found->durable);
        facts_u64(&facts, "mutations", found->mutations);
    }
    if (found->header.kind == FILE_CHECKPOINT) {
        facts_u64(&facts, "seq", found->header.first_seq);
        facts_u64(&facts, "elements", found->elements);
        if (found->has_digest)
            facts_digest(&facts, "digest", found->digest);
        else
            facts_none(&facts, "digest");
    }
    facts_u64(&facts, "records", found->records);
    facts_size(&facts, "bytes", found->bytes);
    facts_size(&facts, "file_bytes", found->file_bytes);
    facts_text(&facts, "state",
               found->header.kind == FILE_LOG ? end_texts[found->end]
               : found->end == END_CLOSED     ? "complete"
                                              : "incomplete");
    if (log && found->end == END_BAD)
        facts_size(&facts, "torn_bytes",
                   source_torn_bytes(source->files[0].io, source->files[0].name,
                                     found->bytes, found->file_bytes));
    facts_text(&facts, "was_read", "headers of all records, few payloads");
    put_types(&facts, found);
    if (found->header.kind == FILE_CHECKPOINT && found->end == END_CLOSED)
        facts_rows(&facts, "tables", &found->tables);
    else
        buffer_free(&found->tables.cells);
    facts_end(&facts);
    if (found->end == END_BAD)
        note("%s: offset %" PRIu64 ": %s; %s", source->path, found->bytes,
             found->fault, source_advice(source));
    free(found);
    return EXIT_STOPPED;
}

/* --- a directory --------------------------------------------------------- */

struct directory {
    const struct source *source;
    struct manifest manifest;
    uint64_t *segments; /* first seqs: listed, and newer ones */
    size_t segment_count;
    struct rows rows;
    uint64_t log_bytes;
    uint64_t last_seq;
    uint64_t durable;
    uint64_t epoch;
    bool clean;
    unsigned wrong;      /* files that are missing or have no header */
    uint64_t torn_bytes; /* of the newest segment */
};

static void add_segment(void *context, const char *name)
{
    struct directory *directory = context;
    const struct manifest *manifest = &directory->manifest;
    uint64_t first_seq;
    uint64_t last_listed = manifest->segment_count
                               ? manifest->segments[manifest->segment_count - 1]
                               : 0;
    size_t at = directory->segment_count;

    if (!segment_name_parse(name, &first_seq) || first_seq <= last_listed)
        return;
    directory->segments =
        realloc(directory->segments, (at + 1) * sizeof(first_seq));
    if (!directory->segments)
        text_no_memory();
    for (; at > 0 && directory->segments[at - 1] > first_seq; at--)
        directory->segments[at] = directory->segments[at - 1];
    directory->segments[at] = first_seq;
    directory->segment_count++;
}

/* The manifest, and the segments it lists; -1 or an exit status. */
static int read_manifest(struct directory *directory)
{
    struct manifest *manifest = &directory->manifest;
    struct io *io = directory->source->io;
    const char *why = "";
    uint64_t offset = 0;
    int error = 0;
    enum status st =
        manifest_read(io, cli_mem(), manifest, &why, &offset, &error);

    if (st == ST_LOG_REFUSED) {
        complain("%s: offset %" PRIu64 ": %s; %s",
                 source_name(directory->source, MANIFEST_NAME), offset, why,
                 source_advice(directory->source));
        return EXIT_DAMAGED;
    }
    if (st < 0)
        return source_complain(directory->source, MANIFEST_NAME, st, error);
    directory->segment_count = manifest->segment_count;
    directory->segments =
        malloc((manifest->segment_count + 1) * sizeof(*manifest->segments));
    if (!directory->segments)
        text_no_memory();
    if (manifest->segment_count)
        memcpy(directory->segments, manifest->segments,
               manifest->segment_count * sizeof(*manifest->segments));
    error = io_list(io, add_segment, directory);
    return error < 0 ? source_complain(directory->source, "", ST_IO, error)
                     : -1;
}

static int stat_segment(struct directory *directory, size_t index)
{
    uint64_t first_seq = directory->segments[index];
    bool newest = index + 1 == directory->segment_count;
    struct found *found = calloc(1, sizeof(*found));
    char name[FILE_NAME_BYTES];
    int status;

    if (!found)
        text_no_memory();
    segment_name(name, first_seq);
    status =
        look_at(directory->source, directory->source->io, name, newest, found);
    if (status >= 0)
        goto done;
    rows_text(&directory->rows, name);
    rows_u64(&directory->rows, first_seq);
    if (!newest && found->has_header) {
        found->last_seq = directory->segments[index + 1] - 1;
        found->mutations = found->last_seq + 1 - first_seq;
        found->end = END_ROLLED;
    }
    if (found->has_header) {
        rows_u64(&directory->rows, found->last_seq);
        rows_u64(&directory->rows, found->mutations);
        directory->last_seq = found->last_seq;
    } else {
        rows_none(&directory->rows);
        rows_none(&directory->rows);
        directory->wrong++;
    }
    rows_u64(&directory->rows, found->bytes);
    rows_text(&directory->rows, end_texts[found->end]);
    directory->log_bytes += found->bytes;
    directory->clean = found->end == END_CLOSED;
    if (found->has_header && found->end == END_BAD)
        directory->torn_bytes = source_torn_bytes(
            directory->source->io, name, found->bytes, found->file_bytes);
    if (found->durable > directory->durable)
        directory->durable = found->durable;
    if (found->header.epoch > directory->epoch)
        directory->epoch = found->header.epoch;
done:
    buffer_free(&found->tables.cells);
    free(found);
    return status;
}

static int stat_checkpoint(struct directory *directory, struct facts *facts,
                           struct rows *ret_tables)
{
    const struct manifest *manifest = &directory->manifest;
    struct found *found = calloc(1, sizeof(*found));
    char name[FILE_NAME_BYTES];
    int status;

    if (!found)
        text_no_memory();
    checkpoint_name(name, manifest->checkpoint);
    status =
        look_at(directory->source, directory->source->io, name, true, found);
    *ret_tables = found->tables;
    if (status < 0 && found->end != END_CLOSED)
        directory->wrong++;
    if (status < 0) {
        facts_text(facts, "checkpoint", name);
        facts_u64(facts, "checkpoint_seq", manifest->checkpoint);
        facts_size(facts, "checkpoint_bytes", found->bytes);
        facts_u64(facts, "checkpoint_elements", found->elements);
        facts_digest(facts, "checkpoint_digest", manifest->digest);
        facts_text(facts, "checkpoint_state",
                   found->end == END_CLOSED    ? "complete"
                   : found->end == END_MISSING ? "missing"
                                               : "incomplete");
    }
    free(found);
    return status;
}

/* Programs find all keys all the time; people need one line. */
static void put_no_checkpoint(struct facts *facts)
{
    facts_none(facts, "checkpoint");
    if (!output_is_json())
        return;
    facts_none(facts, "checkpoint_seq");
    facts_none(facts, "checkpoint_bytes");
    facts_none(facts, "checkpoint_elements");
    facts_none(facts, "checkpoint_digest");
    facts_none(facts, "checkpoint_state");
}

static void put_directory(struct directory *directory, struct facts *facts)
{
    const struct manifest *manifest = &directory->manifest;

    if (manifest->durable > directory->durable)
        directory->durable = manifest->durable;
    facts_u64(facts, "last_seq", directory->last_seq);
    facts_u64(facts, "durable_seq", directory->durable);
    facts_u64(facts, "segments", directory->segment_count);
    facts_size(facts, "log_bytes", directory->log_bytes);
    facts_bool(facts, "closed_in_order", directory->clean);
    if (directory->torn_bytes)
        facts_size(facts, "torn_bytes", directory->torn_bytes);
    facts_text(facts, "was_read",
               "all file headers; record headers of the newest segment and "
               "the checkpoint");
}

static int stat_directory(const struct source *source)
{
    static const char *const columns[] = {
        "file", "first_seq", "last_seq", "mutations", "bytes", "state", NULL};
    struct directory directory = {.source = source};
    struct facts facts;
    struct rows tables = {.cells = BUFFER(cli_mem())};
    int status = read_manifest(&directory);

    rows_begin(&directory.rows, columns);
    directory.last_seq = directory.manifest.checkpoint;
    directory.epoch = directory.manifest.epoch;
    for (size_t i = 0; status < 0 && i < directory.segment_count; i++)
        status = stat_segment(&directory, i);
    if (status < 0) {
        facts_begin(&facts);
        facts_text(&facts, "directory", source->path);
        facts_hex(&facts, "store_id",
                  bytes_of(directory.manifest.store_id, STORE_ID_BYTES));
        facts_u64(&facts, "epoch", directory.epoch);
        if (directory.manifest.has_checkpoint)
            status = stat_checkpoint(&directory, &facts, &tables);
        else
            put_no_checkpoint(&facts);
        put_directory(&directory, &facts);
        if (tables.cell_count % 3 == 0)
            facts_rows(&facts, "checkpoint_tables", &tables);
        facts_rows(&facts, "files", &directory.rows);
        facts_end(&facts);
    }
    buffer_free(&tables.cells);
    buffer_free(&directory.rows.cells);
    free(directory.segments);
    manifest_free(&directory.manifest, cli_mem());
    if (status < 0 && directory.wrong) {
        complain("%s: %u of its files are missing or damaged; %s", source->path,
                 directory.wrong, source_advice(source));
        return EXIT_DAMAGED;
    }
    return status < 0 ? EXIT_STOPPED : status;
}

static int run(int argc, char **argv)
{
    struct stat_options options = {.common = {.json = false}};
    struct source source;
    struct operands paths;
    int status = options_parse(&subcommand_stat, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    status = source_open(&subcommand_stat, &paths, 0, &source);
    if (status < 0)
        status = source.kind == SOURCE_DIRECTORY ? stat_directory(&source)
                                                 : stat_file(&source);
    source_close(&source);
    return output_status(status);
}

const struct subcommand subcommand_stat = {
    .name = "stat",
    .summary = "what a store's directory or one of its files holds, at a "
               "glance",
    .run = run,
    .operands = "PATH",
    .operands_min = 1,
    .operands_max = 1,
    .text =
        "Tells a store's id, its checkpoint, its segments, its last and its "
        "last durable\nseq; of a file, what records it has. Reads headers "
        "only, so it takes a moment\nhowever large the log is, and does not "
        "see whether what they describe is whole:\n`rhizome check` does.\n"
        "\n"
        "exit status: 0, 1 a file is missing or has no header, 64 usage, 65 "
        "not a log,\n71 no memory, 74 reading or writing failed\n",
    .examples = "  rhizome stat data\n"
                "  rhizome stat --json data | jq .last_seq\n"
                "  rhizome stat data/ckpt-0000000000001000.tlg\n",
    .rows = rows,
};
