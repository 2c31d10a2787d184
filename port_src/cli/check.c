/*
 * check.c -- `rhizome check`: every fault of a log, what recovery would make
 * of them, and what can be done.
 *
 *     recovery without a store    the verdict, and where it comes from
 *     survey of every file        all faults, those behind the first too
 *
 * Neither sees what the other does: recovery stops at the first fault, and
 * the survey knows nothing of what was promised (a file that MANIFEST lists,
 * mutations that were durable). A fault that both have found is told once. A
 * torn tail is what a crash leaves and recovery cuts: it is told, but it is
 * no damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/rebuild.h"
#include "cli/subcommands.h"
#include "cli/survey.h"

/* A file of random bytes behind a good header has many faults. */
#define FAULTS_KEPT_MAX 10000

struct check_options {
    struct common_options common;
};

/* A file to survey. */
struct checked_file {
    struct io *io;
    char name[FILE_NAME_BYTES];
    bool is_segment;
    uint64_t seq; /* first of a segment, seq of a checkpoint */
    uint64_t size;
    uint64_t end;     /* of the whole records before its first fault, */
    uint64_t end_seq; /* and the mutation before that */
};

struct check {
    const struct check_options *options;
    struct source source;
    struct rebuild rebuild;
    struct survey survey;
    struct manifest manifest; /* as it lies in the directory, if it does */
    bool has_manifest;
    struct buffer files;      /* struct checked_file, in the order of the log */
    struct buffer faults;     /* struct survey_fault */
    uint64_t ignored;         /* files that recovery does not look at */
    bool checkpoint_missing;  /* MANIFEST lists it */
    uint64_t segment_missing; /* the first one of these; UINT64_MAX: none */
    const char *beside;       /* where a MANIFEST lies beside named files */
    uint64_t damaged;
    uint64_t torn;
    bool refused;              /* recovery would refuse it */
    const char *cause;         /* unless recovery said so itself */
    struct survey_fault first; /* the first damage */
};

static struct checked_file *file_list(const struct check *check,
                                      size_t *ret_count)
{
    *ret_count = check->files.size / sizeof(struct checked_file);
    return (struct checked_file *)(void *)check->files.data;
}

static struct survey_fault *fault_list(const struct check *check,
                                       size_t *ret_count)
{
    *ret_count = check->faults.size / sizeof(struct survey_fault);
    return (struct survey_fault *)(void *)check->faults.data;
}

/* --- which files -------------------------------------------------------- */

static void add_file(struct check *check, struct io *io, const char *name,
                     bool is_segment, uint64_t seq)
{
    struct checked_file file = {.io = io, .is_segment = is_segment, .seq = seq};
    int fd = io_open(io, name, IO_READ);
    int64_t size = fd < 0 ? 0 : io_size(io, fd);

    if (fd >= 0)
        io_close(io, fd);
    snprintf(file.name, sizeof(file.name), "%s", name);
    file.size = size < 0 ? 0 : (uint64_t)size;
    check->survey.total += file.size;
    text_bytes(&check->files, bytes_of(&file, sizeof(file)));
}

static void list_one(void *context, const char *name)
{
    struct check *check = context;
    uint64_t seq;

    if (segment_name_parse(name, &seq))
        add_file(check, check->source.io, name, true, seq);
    else if (checkpoint_name_parse(name, &seq))
        add_file(check, check->source.io, name, false, seq);
    else if (strcmp(name, MANIFEST_NAME) != 0 && strcmp(name, "LOCK") != 0)
        check->ignored++;
}

/* The checkpoint first, then segments as they follow one another. */
static int file_compare(const void *a, const void *b)
{
    const struct checked_file *x = a;
    const struct checked_file *y = b;

    if (x->is_segment != y->is_segment)
        return x->is_segment ? 1 : -1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void sort_files(struct check *check)
{
    size_t count;
    struct checked_file *files = file_list(check, &count);

    if (count)
        qsort(files, count, sizeof(*files), file_compare);
}

static bool manifest_lists(const struct manifest *manifest, uint64_t seq)
{
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        if (manifest->segments[i] == seq)
            return true;
    }
    return false;
}

/* Does recovery read it? Without a manifest that can be read: as if there
 * were one that fits, from the newest checkpoint on. */
static bool file_needed(const struct check *check,
                        const struct checked_file *file, uint64_t newest)
{
    const struct manifest *manifest = &check->manifest;
    uint64_t above = manifest->checkpoint;

    if (!check->has_manifest)
        return file->is_segment ? file->seq > newest : file->seq == newest;
    if (!file->is_segment)
        return manifest->has_checkpoint && file->seq == manifest->checkpoint;
    if (manifest->segment_count)
        above = manifest->segments[manifest->segment_count - 1];
    return file->seq > above || manifest_lists(manifest, file->seq);
}

/* Leaves out what recovery does not look at. */
static void keep_needed(struct check *check)
{
    size_t count, kept = 0;
    struct checked_file *files = file_list(check, &count);
    uint64_t newest = 0;

    for (size_t i = 0; i < count; i++) {
        if (!files[i].is_segment && files[i].seq > newest)
            newest = files[i].seq;
    }
    for (size_t i = 0; i < count; i++) {
        if (file_needed(check, &files[i], newest)) {
            files[kept++] = files[i];
        } else {
            check->ignored++;
            check->survey.total -= files[i].size;
        }
    }
    check->files.size = kept * sizeof(*files);
}

/* What MANIFEST lists and the directory does not have. */
static void find_missing(struct check *check)
{
    const struct manifest *manifest = &check->manifest;
    struct io *io = check->source.io;
    char name[FILE_NAME_BYTES];
    int fd;

    for (uint32_t i = 0; i <= manifest->segment_count; i++) {
        bool is_segment = i < manifest->segment_count;

        if (!is_segment && !manifest->has_checkpoint)
            break;
        if (is_segment)
            segment_name(name, manifest->segments[i]);
        else
            checkpoint_name(name, manifest->checkpoint);
        fd = io_open(io, name, IO_READ);
        if (fd >= 0)
            io_close(io, fd);
        if (fd != -ENOENT)
            continue;
        if (!is_segment)
            check->checkpoint_missing = true;
        else if (manifest->segments[i] < check->segment_missing)
            check->segment_missing = manifest->segments[i];
        survey_add(&check->survey, name, 0, "the %s is missing",
                   is_segment ? "segment" : "checkpoint");
    }
}

static int list_directory(struct check *check)
{
    struct io *io = check->source.io;
    const char *why = "";
    uint64_t offset;
    int error = io_list(io, list_one, check);
    enum status st;

    if (error < 0)
        return complain_io(check->source.path, "cannot be listed", error);
    st = manifest_read(io, cli_mem(), &check->manifest, &why, &offset, &error);
    if (st == ST_NO_MEMORY || st == ST_MEMORY_LIMIT)
        text_no_memory();
    if (st == ST_IO)
        return source_complain(&check->source, MANIFEST_NAME, st, error);
    if (st == ST_LOG_REFUSED)
        survey_add(&check->survey, MANIFEST_NAME, offset, "%s", why);
    check->has_manifest = st == ST_OK;
    keep_needed(check);
    sort_files(check);
    if (!check->has_manifest)
        return -1;
    check->survey.has_store = true;
    memcpy(check->survey.store_id, check->manifest.store_id, STORE_ID_BYTES);
    if (!check->manifest.has_checkpoint)
        check->survey.has_seq = true; /* the first mutation is 1 */
    find_missing(check);
    return -1;
}

/* Is a file one of a store, which has a MANIFEST for it? */
static bool has_manifest_beside(const struct log_source *file)
{
    uint64_t seq;
    int fd = -1;

    if (segment_name_parse(file->name, &seq) ||
        checkpoint_name_parse(file->name, &seq))
        fd = io_open(file->io, MANIFEST_NAME, IO_READ);
    if (fd >= 0)
        io_close(file->io, fd);
    return fd >= 0;
}

/* Files that were named: what they are stands in their headers. */
static int list_named(struct check *check)
{
    check->survey.overlap = true;
    for (size_t i = 0; i < check->source.count; i++) {
        const struct log_source *file = &check->source.files[i];
        const struct file_header *header;
        struct log_reader *reader;
        uint64_t seq = UINT64_MAX;
        bool is_segment = true;
        int error = 0;
        enum status st =
            log_reader_open(file->io, file->name, cli_mem(), &reader, &error);

        if (st < 0)
            return source_complain(&check->source, file->name, st, error);
        header = log_reader_header(reader);
        if (header) {
            seq = header->first_seq;
            is_segment = header->kind != FILE_CHECKPOINT;
        } else if (!segment_name_parse(file->name, &seq)) {
            is_segment = !checkpoint_name_parse(file->name, &seq);
        }
        log_reader_close(reader);
        add_file(check, file->io, file->name, is_segment, seq);
        if (!check->beside && has_manifest_beside(file))
            check->beside = check->source.names[i];
    }
    sort_files(check);
    return -1;
}

/* --- faults ------------------------------------------------------------- */

static void keep_fault(void *context, const struct survey_fault *fault)
{
    struct check *check = context;
    size_t count;

    fault_list(check, &count);
    if (count < FAULTS_KEPT_MAX)
        text_bytes(&check->faults, bytes_of(fault, sizeof(*fault)));
}

/* The place of a file in the log; those that are not surveyed come first. */
static size_t place_of(const struct check *check, const char *name)
{
    size_t count;
    const struct checked_file *files = file_list(check, &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].name, name) == 0)
            return i + 1;
    }
    return 0;
}

/* Is a fault part of what a crash leaves? */
static bool fault_is_torn(const struct check *check,
                          const struct survey_fault *fault)
{
    const struct recovery *recovery = &check->rebuild.recovery;
    size_t place = place_of(check, fault->file);
    size_t torn, count;

    file_list(check, &count);
    switch (recovery->verdict) {
    case RECOVERY_TORN:
        torn = place_of(check, recovery->file);
        return place > torn ||
               (place == torn && fault->offset >= recovery->offset);
    case RECOVERY_OK: /* it was written after recovery had looked */
        return fault->at_end && place == count;
    case RECOVERY_REFUSED:
        break;
    }
    return false;
}

static bool fault_is_known(const struct check *check, const char *file,
                           uint64_t offset)
{
    size_t count;
    const struct survey_fault *faults = fault_list(check, &count);

    for (size_t i = 0; i < count; i++) {
        if (faults[i].offset == offset && strcmp(faults[i].file, file) == 0)
            return true;
    }
    return false;
}

/* Adds what only recovery knows, and counts. */
static void weigh(struct check *check)
{
    const struct recovery *recovery = &check->rebuild.recovery;
    const struct survey_fault *faults;
    size_t count;

    check->refused = recovery->verdict == RECOVERY_REFUSED;
    if (recovery->verdict != RECOVERY_OK &&
        !fault_is_known(check, recovery->file, recovery->offset)) {
        check->survey.seq = recovery->seq;
        survey_add(&check->survey, recovery->file, recovery->offset, "%s",
                   recovery->why);
    }
    faults = fault_list(check, &count);
    for (size_t i = 0; i < count; i++) {
        if (fault_is_torn(check, &faults[i])) {
            check->torn++;
        } else if (check->damaged++ == 0) {
            check->first = faults[i];
        }
    }
    check->damaged += check->survey.faults - count;
    if (!check->refused && check->damaged) {
        /* Something that only shows when the mutation is carried out. */
        check->refused = true;
        check->cause = check->first.why;
    }
}

/* --- telling faults ----------------------------------------------------- */

static void tell_as_json(const struct check *check,
                         const struct survey_fault *fault, bool torn)
{
    struct facts facts;

    facts_begin(&facts);
    facts_text(&facts, "fault", fault->why);
    facts_text(&facts, "severity", torn ? "torn" : "damage");
    facts_text(&facts, "file", source_name(&check->source, fault->file));
    facts_u64(&facts, "offset", fault->offset);
    facts_u64(&facts, "behind_seq", fault->seq);
    facts_u64(&facts, "skipped_bytes", fault->skipped);
    if (fault->missing_to) {
        facts_u64(&facts, "missing_from", fault->seq + 1);
        facts_u64(&facts, "missing_to", fault->missing_to);
    }
    facts_end(&facts);
}

static void put_range(struct buffer *out, uint64_t from, uint64_t to)
{
    if (from == to)
        text_format(out, "mutation %" PRIu64, from);
    else
        text_format(out, "mutations %" PRIu64 " to %" PRIu64, from, to);
}

static void tell_as_text(const struct check *check,
                         const struct survey_fault *fault, bool torn)
{
    struct buffer line = BUFFER(cli_mem());

    text_append(&line, torn ? "" : style_begin(STYLE_BAD));
    text_visible(&line, source_name(&check->source, fault->file));
    text_format(&line, ": offset %" PRIu64 ": %s%s", fault->offset, fault->why,
                torn ? "" : style_end());
    text_format(&line, "; behind mutation %" PRIu64, fault->seq);
    if (fault->skipped)
        text_format(&line, ", %" PRIu64 " bytes %s", fault->skipped,
                    fault->at_end ? "to the end" : "skipped");
    if (fault->missing_to) {
        text_append(&line, ", ");
        put_range(&line, fault->seq + 1, fault->missing_to);
        text_append(&line, " cannot be read");
    }
    if (torn)
        text_append(&line, " (torn: what a crash leaves)");
    text_byte(&line, '\n');
    output_bytes(buffer_bytes(&line));
    buffer_free(&line);
}

static void tell_faults(const struct check *check)
{
    size_t count;
    const struct survey_fault *faults = fault_list(check, &count);

    for (size_t i = 0; i < count && !output_broken(); i++) {
        bool torn = fault_is_torn(check, &faults[i]);

        if (output_is_json())
            tell_as_json(check, &faults[i], torn);
        else
            tell_as_text(check, &faults[i], torn);
    }
    if (check->survey.faults > count)
        note("%s: there are %" PRIu64 " more faults",
             source_name(&check->source, ""), check->survey.faults - count);
    if (count && !output_is_json())
        output_text("\n");
}

/* --- what to do --------------------------------------------------------- */

/* The path of a file so that somebody finds it from where we stand. */
static void put_path(const struct check *check, const char *file,
                     struct buffer *out)
{
    const struct source *source = &check->source;

    for (size_t i = 0; i < source->count && source->kind == SOURCE_FILES; i++) {
        if (strcmp(source->files[i].name, file) == 0) {
            text_path(out, source->paths[i]);
            return;
        }
    }
    text_path(out, source_name(source, file));
}

/* The first place in `file` that is damaged; UINT64_MAX: none is. */
static uint64_t damage_in(const struct check *check, const char *file,
                          uint64_t *ret_seq)
{
    size_t count;
    const struct survey_fault *faults = fault_list(check, &count);
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(faults[i].file, file) != 0 || faults[i].offset >= first ||
            fault_is_torn(check, &faults[i]))
            continue;
        first = faults[i].offset;
        *ret_seq = faults[i].seq;
    }
    return first;
}

/* Where the log would have to be cut: the last place before the first damage
 * at which a record ends. */
struct cut {
    size_t count; /* the files that are kept, the one that is cut last */
    const char *file;
    uint64_t offset;
    uint64_t seq;  /* what is kept ends with it */
    bool in_place; /* `repair` can do it */
};

/* Keeps what stands before file `index`, which has nothing of use. */
static void cut_before(const struct check *check, size_t index, struct cut *ret)
{
    size_t count;
    const struct checked_file *files = file_list(check, &count);

    *ret = (struct cut){
        .count = index,
        .file = files[index].name,
        .seq = index ? files[index - 1].end_seq : 0,
        .in_place = check->source.kind == SOURCE_DIRECTORY,
    };
    if (index && files[index - 1].is_segment) {
        /* The one before it is cut where it ends. */
        ret->file = files[index - 1].name;
        ret->offset = files[index - 1].end;
        ret->in_place = true;
    }
}

/* False if cutting is of no help. */
static bool find_cut(const struct check *check, struct cut *ret)
{
    size_t count;
    const struct checked_file *files = file_list(check, &count);
    const struct checked_file *last;
    uint64_t damage = UINT64_MAX;
    uint64_t seq = 0;
    uint64_t cut_seq;
    size_t i = 0;

    while (i < count && damage == UINT64_MAX)
        damage = damage_in(check, files[i++].name, &seq);
    if (!i || check->checkpoint_missing)
        return false;
    last = &files[i - 1];
    *ret = (struct cut){i, last->name, damage, seq, last->is_segment};
    if (!last->is_segment && damage < last->size)
        return false; /* it only counts as a whole */
    if (damage >= last->end && last->end) {
        ret->offset = last->end;
        ret->seq = last->end_seq;
    }
    if (ret->offset < FILE_HEADER_BYTES)
        cut_before(check, i - 1, ret);
    /* A repair gives up what stands behind a fault, and not what stands
     * behind a segment that is not there. */
    if (segment_name_parse(ret->file, &cut_seq) &&
        cut_seq >= check->segment_missing)
        ret->in_place = false;
    return true;
}

/* Can the list of files that were named be trusted? False, and what is to be
 * looked at, if a store has more of them, or some in between are missing. */
static bool list_is_whole(const struct check *check, struct buffer *ret)
{
    bool gap = check->refused && check->first.gap;

    if (check->source.kind == SOURCE_DIRECTORY || (!gap && !check->beside))
        return true;
    text_append(ret, gap ? "files are missing from the list; "
                         : "these are files of a store; ");
    if (!check->beside) {
        text_append(ret, "name them, too");
    } else {
        text_append(ret, "check its directory: rhizome check ");
        text_path(ret, check->beside);
    }
    return false;
}

/* The command that cuts. */
static void put_repair(const struct check *check, const struct cut *cut,
                       struct buffer *out)
{
    bool directory = check->source.kind == SOURCE_DIRECTORY;
    size_t count;

    file_list(check, &count);
    if (!cut->in_place || (directory && !check->has_manifest))
        return; /* there is more to it than a cut */
    if (!directory && cut->count < count)
        return; /* later files would not fit behind it */
    text_append(out, "rhizome repair ");
    put_path(check, cut->file, out);
    text_format(out, " --cut-at %" PRIu64, cut->offset);
}

/* The command that makes a new store of what can be had, and leaves all as it
 * is: of the directory if its MANIFEST can be believed, else of files. */
static void put_salvage(const struct check *check, const struct cut *cut,
                        struct buffer *out)
{
    const struct source *source = &check->source;
    size_t count;
    const struct checked_file *files = file_list(check, &count);

    /* What begins in the middle of a log is no store. */
    if (!cut->seq || (files[0].is_segment && files[0].seq > 1))
        return;
    text_format(out, "rhizome replay --into NEW-DIRECTORY --until %" PRIu64,
                cut->seq);
    if (source->kind == SOURCE_DIRECTORY && check->has_manifest) {
        text_byte(out, ' ');
        text_path(out, source->path);
        return;
    }
    for (size_t i = 0; i < cut->count; i++) {
        text_byte(out, ' ');
        put_path(check, files[i].name, out);
    }
}

/* --- the summary -------------------------------------------------------- */

static void tell_recovery_as_json(const struct check *check,
                                  struct facts *facts)
{
    static const char *const words[] = {"ok", "torn", "refused"};
    const struct recovery *recovery = &check->rebuild.recovery;

    facts_text(facts, "recovery",
               words[check->refused ? RECOVERY_REFUSED : recovery->verdict]);
    facts_u64(facts, "recovered_seq", recovery->seq);
    if (recovery->verdict != RECOVERY_OK || check->cause) {
        facts_text(facts, "why", check->cause ? check->cause : recovery->why);
        facts_text(facts, "file",
                   source_name(&check->source, check->cause ? check->first.file
                                                            : recovery->file));
        facts_u64(facts, "offset",
                  check->cause ? check->first.offset : recovery->offset);
    }
    if (recovery->verdict == RECOVERY_TORN)
        facts_u64(facts, "torn_bytes", recovery->torn_bytes);
    if (recovery->missing_to) {
        facts_u64(facts, "missing_from", recovery->missing_from);
        facts_u64(facts, "missing_to", recovery->missing_to);
    }
}

static void tell_recovery_as_text(const struct check *check,
                                  struct facts *facts)
{
    const struct recovery *recovery = &check->rebuild.recovery;
    const struct source *source = &check->source;
    struct buffer text = BUFFER(cli_mem());

    if (check->cause) {
        text_format(&text, "refuses, for %s holds what no store carries out",
                    source_name(source, check->first.file));
    } else if (check->refused) {
        text_format(&text, "refuses: %s: offset %" PRIu64 ": %s",
                    source_name(source, recovery->file), recovery->offset,
                    recovery->why);
        if (recovery->missing_to) {
            text_append(&text, "; ");
            put_range(&text, recovery->missing_from, recovery->missing_to);
            text_append(&text, " had been durable");
        }
    } else if (recovery->verdict == RECOVERY_TORN) {
        bool cuts = source->kind == SOURCE_DIRECTORY;

        text_format(&text,
                    "%s %" PRIu64 " bytes at %s: offset %" PRIu64
                    "%s, and %s mutation %" PRIu64,
                    cuts ? "cuts" : "leaves out", recovery->torn_bytes,
                    source_name(source, recovery->file), recovery->offset,
                    cuts ? ", keeps a copy in torn/" : "",
                    cuts ? "goes on behind" : "ends with", recovery->seq);
    } else {
        text_format(&text, "goes on behind mutation %" PRIu64, recovery->seq);
    }
    facts_text(facts, "recovery", text_string(&text));
    buffer_free(&text);
}

static void tell_advice(const struct check *check, struct facts *facts)
{
    struct buffer repair = BUFFER(cli_mem());
    struct buffer salvage = BUFFER(cli_mem());
    struct buffer list = BUFFER(cli_mem());
    bool json = output_is_json();
    bool whole = list_is_whole(check, &list);
    struct cut cut;

    if (check->refused && !check->beside && find_cut(check, &cut)) {
        put_salvage(check, &cut, &salvage);
        if (whole)
            put_repair(check, &cut, &repair);
    }
    if (check->refused && !whole)
        facts_text(facts, json ? "list" : "to do", text_string(&list));
    else if (check->refused && !json)
        facts_text(facts, "to do",
                   repair.size || salvage.size
                       ? "restore a backup, or keep what stands before the "
                         "damage:"
                       : "restore a backup: nothing here can replace what is "
                         "damaged");
    if (salvage.size)
        facts_text(facts, json ? "salvage" : "as a new store",
                   text_string(&salvage));
    else if (json)
        facts_none(facts, "salvage");
    if (repair.size)
        facts_text(facts, json ? "repair" : "in place", text_string(&repair));
    else if (json)
        facts_none(facts, "repair");
    buffer_free(&list);
    buffer_free(&repair);
    buffer_free(&salvage);
}

static void tell_summary(const struct check *check)
{
    const struct survey *survey = &check->survey;
    struct facts facts;

    facts_begin(&facts);
    if (output_is_json())
        facts_bool(&facts, "summary", true);
    facts_u64(&facts, "files", survey->files);
    facts_u64(&facts, "ignored", check->ignored);
    facts_size(&facts, "bytes", survey->bytes);
    facts_u64(&facts, "records", survey->records);
    facts_u64(&facts, "mutations", survey->mutations);
    if (survey->mutations) {
        facts_u64(&facts, "first_seq", survey->first_seq);
        facts_u64(&facts, "last_seq", survey->last_seq);
    } else {
        facts_none(&facts, "first_seq");
        facts_none(&facts, "last_seq");
    }
    facts_u64(&facts, "damage", check->damaged);
    facts_u64(&facts, "torn", check->torn);
    if (output_is_json())
        tell_recovery_as_json(check, &facts);
    else
        tell_recovery_as_text(check, &facts);
    tell_advice(check, &facts);
    facts_end(&facts);
}

/* --- the subcommand ----------------------------------------------------- */

static void check_clear(struct check *check)
{
    rebuild_free(&check->rebuild);
    manifest_free(&check->manifest, cli_mem());
    buffer_free(&check->files);
    buffer_free(&check->faults);
}

static void check_reset(struct check *check)
{
    check_clear(check);
    check->survey = (struct survey){.watch = {keep_fault, NULL, check}};
    check->files = BUFFER(cli_mem());
    check->faults = BUFFER(cli_mem());
    check->ignored = 0;
    check->checkpoint_missing = false;
    check->segment_missing = UINT64_MAX;
    check->beside = NULL;
    check->damaged = 0;
    check->torn = 0;
    check->cause = NULL;
}

/* Reads all files; `*ret_gone` if one of them went while we did. */
static int survey_all(struct check *check, struct meter *meter, bool *ret_gone)
{
    size_t count;
    struct checked_file *files = file_list(check, &count);

    for (size_t i = 0; i < count; i++) {
        int error = 0;
        enum status st = survey_file(&check->survey, files[i].io, files[i].name,
                                     meter, &error);

        if (st == ST_IO && error == ENOENT) {
            *ret_gone = true;
            return -1;
        }
        if (st < 0)
            return source_complain(&check->source, files[i].name, st, error);
        files[i].end = check->survey.end;
        files[i].end_seq = check->survey.end_seq;
    }
    return -1;
}

static int check_once(struct check *check, bool *ret_gone)
{
    const struct common_options *common = &check->options->common;
    struct meter meter;
    int status;

    check_reset(check);
    meter_start(&meter, "recovering", true, common);
    status =
        rebuild_run(&check->source, false, UINT64_MAX, &meter, &check->rebuild);
    meter_stop(&meter);
    if (status >= 0)
        return status;
    status = check->source.kind == SOURCE_DIRECTORY ? list_directory(check)
                                                    : list_named(check);
    if (status >= 0)
        return status;
    meter_start(&meter, "checking", true, common);
    status = survey_all(check, &meter, ret_gone);
    meter_stop(&meter);
    return status;
}

static int check_all(struct check *check)
{
    for (unsigned try = 1;; try++) {
        uint64_t before = rebuild_moment(&check->source);
        bool gone = false;
        int status = check_once(check, &gone);

        if (status >= 0)
            return status;
        if (!gone)
            weigh(check);
        /* What looks like damage may be a record that is being written. */
        if (!gone && (!check->damaged || try == REBUILD_TRIES ||
                      rebuild_moment(&check->source) == before))
            break;
        if (gone && try == REBUILD_TRIES) {
            complain("%s: checkpoints keep removing files while they are "
                     "read; try again, or check a copy",
                     check->source.path);
            return EXIT_IO;
        }
    }
    tell_faults(check);
    tell_summary(check);
    return check->damaged ? EXIT_DAMAGED : EXIT_STOPPED;
}

static int run(int argc, char **argv)
{
    struct check_options options = {.common = {.json = false}};
    struct check check = {.options = &options};
    struct operands paths;
    int status = options_parse(&subcommand_check, argc, argv, &options, &paths);

    if (status >= 0)
        return status;
    status = source_open(&subcommand_check, &paths, SOURCE_MANY, &check.source);
    if (status < 0)
        status = check_all(&check);
    check_clear(&check);
    source_close(&check.source);
    return output_status(status);
}

static const struct option_row rows[] = {
    {NULL, 0, 0, 0, NULL, NULL},
};

const struct subcommand subcommand_check = {
    .name = "check",
    .summary = "find every fault of a log, and what recovery would do",
    .run = run,
    .operands = "PATH ...",
    .operands_min = 1,
    .operands_max = 10000,
    .text =
        "Reads every byte of a store's directory or of files of a log, carries "
        "out\nnothing, changes nothing, and lists each fault with file, offset "
        "and the\nmutation before it. It reads on behind a fault, and says "
        "what had to be\nskipped. Then it says what the daemon's recovery "
        "would do, and which command\nhelps.\n"
        "\n"
        "A torn tail is what a crash leaves and recovery cuts by itself: it is "
        "listed,\nand the exit status is 0; a copy that was cut off looks the "
        "same. What a\nmutation does is not looked at: `rhizome replay "
        "--verify` carries them out and\ncompares digests.\n"
        "\n"
        "With --json: one object a fault, and then one with \"summary\": "
        "true.\n"
        "\n"
        "exit status: 0 no damage, 1 damage, 64 usage, 65 not a log, 71 no "
        "memory,\n74 reading failed\n",
    .examples = "  rhizome check data\n"
                "  rhizome check --json copy/log-*.tlg | jq .fault\n",
    .rows = rows,
};
