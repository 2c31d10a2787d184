#include "cli/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAGIC_BYTES 8

static const uint8_t magic[MAGIC_BYTES] = {0x89, 'T',  'L',  'G',
                                           0x0d, 0x0a, 0x1a, 0x0a};

/* Complains about a path that cannot be used at all. */
static int complain_path(const char *path, int error)
{
    switch (-error) {
    case ENOENT:
        complain("%s: there is no such file or directory", path);
        return EXIT_IO;
    case EACCES:
    case EPERM:
        complain("%s: no permission to read it; run as the user who owns the "
                 "store",
                 path);
        return EXIT_IO;
    case EINVAL: /* of io_open(): neither a file nor a directory */
        complain("%s: is not a regular file", path);
        return EXIT_NOT_A_LOG;
    default:
        return complain_io(path, "cannot be opened", error);
    }
}

/* What there is of a log. */
struct remains {
    bool any;
    unsigned checkpoints;
    uint64_t newest; /* of these */
};

static void note_remains(void *context, const char *name)
{
    struct remains *remains = context;
    uint64_t seq;

    if (checkpoint_name_parse(name, &seq)) {
        remains->any = true;
        remains->checkpoints++;
        if (seq > remains->newest)
            remains->newest = seq;
    } else if (segment_name_parse(name, &seq)) {
        remains->any = true;
    }
}

/* No MANIFEST: files of a log can still be read as what they are. */
static int complain_no_manifest(const char *path, struct io *io, unsigned flags)
{
    struct remains remains = {.any = false};
    struct buffer quoted = BUFFER(cli_mem());
    struct buffer files = BUFFER(cli_mem());
    char newest[FILE_NAME_BYTES];

    (void)io_list(io, note_remains, &remains);
    if (!remains.any) {
        complain("%s: is a directory without a " MANIFEST_NAME
                 ", so no store; name a store's directory, or files",
                 path);
        return EXIT_NOT_A_LOG;
    }
    text_path(&quoted, path);
    if (quoted.data[quoted.size - 1] != '/')
        text_byte(&quoted, '/');
    if (remains.checkpoints > 1) {
        /* One is enough, and all that is taken. */
        checkpoint_name(newest, remains.newest);
        text_format(&files, "%s%s ", text_string(&quoted), newest);
    }
    text_format(&files, "%s%s.tlg", text_string(&quoted),
                remains.checkpoints > 1 ? "log-*" : "*");
    complain("%s: its " MANIFEST_NAME " is missing; restore a backup, or make "
             "a new store of its files: rhizome replay --into NEW-DIRECTORY "
             "%s",
             path, text_string(&files));
    buffer_free(&quoted);
    buffer_free(&files);
    return flags & SOURCE_NO_FILE ? EXIT_REFUSED : EXIT_DAMAGED;
}

/* A store's directory has a MANIFEST, and nothing else makes it one. */
static int check_directory(const char *path, struct io *io, unsigned flags)
{
    int fd = io_open(io, MANIFEST_NAME, IO_READ);
    struct buffer name = BUFFER(cli_mem());
    int status;

    if (fd >= 0) {
        io_close(io, fd);
        return -1;
    }
    text_format(&name, "%s/" MANIFEST_NAME, path);
    status = fd == -ENOENT ? complain_no_manifest(path, io, flags)
                           : complain_path(text_string(&name), fd);
    buffer_free(&name);
    return status;
}

/* Looks at the first bytes of a file: -1 if they may be a term log's. One
 * that is cut within its header is damaged, but a log. */
static int check_magic(const char *path, struct io *io, int fd)
{
    uint8_t start[MAGIC_BYTES];
    ssize_t size = io_pread(io, fd, start, sizeof(start), 0);

    if (size < 0)
        return complain_io(path, "cannot be read", (int)size);
    if (size == 0) {
        complain("%s: the file is empty; a term log has a header of %d bytes "
                 "at least",
                 path, FILE_HEADER_BYTES);
        return EXIT_NOT_A_LOG;
    }
    if (memcmp(start, magic, (size_t)size) != 0) {
        complain("%s: is no term log (its first bytes say so); name a store's "
                 "directory or files of one",
                 path);
        return EXIT_NOT_A_LOG;
    }
    return -1;
}

static int open_file(const char *path, char *resolved, unsigned flags,
                     struct log_source *ret)
{
    char *slash = strrchr(resolved, '/');
    int error;
    int fd;
    int status = -1;

    ret->name = slash + 1;
    *slash = '\0'; /* the name stays behind it */
    error =
        io_open_directory(slash == resolved ? "/" : resolved, false, &ret->io);
    if (error < 0) {
        ret->io = NULL;
        return complain_path(path, error);
    }
    fd = io_open(ret->io, ret->name, IO_READ);
    if (fd < 0)
        return complain_path(path, fd);
    if (!(flags & SOURCE_ANY))
        status = check_magic(path, ret->io, fd);
    io_close(ret->io, fd);
    return status;
}

static int open_path(const struct subcommand *subcommand, const char *path,
                     unsigned flags, size_t path_count, struct source *ret)
{
    char *resolved = realpath(path, NULL);
    struct stat stat_of;
    int error;

    if (!resolved && errno == ENOMEM)
        text_no_memory();
    if (!resolved)
        return complain_path(path, -errno);
    ret->names[ret->count++] = resolved;
    if (stat(resolved, &stat_of) < 0)
        return complain_path(path, -errno);
    if (!S_ISDIR(stat_of.st_mode)) {
        if (flags & SOURCE_NO_FILE)
            return wrong_usage(subcommand, "%s: is not a directory", path);
        return open_file(path, resolved, flags, &ret->files[ret->count - 1]);
    }
    if (path_count > 1)
        return wrong_usage(subcommand, "%s: a directory must be the only PATH",
                           path);
    ret->kind = SOURCE_DIRECTORY;
    error = io_open_directory(resolved, false, &ret->io);
    if (error < 0) {
        ret->io = NULL;
        return complain_path(path, error);
    }
    return check_directory(path, ret->io, flags);
}

int source_open(const struct subcommand *subcommand,
                const struct operands *operands, unsigned flags,
                struct source *ret)
{
    size_t count = operands->count;
    int status = -1;

    *ret = (struct source){
        .kind = SOURCE_FILES,
        .path = operands->items[0],
        .paths = operands->items,
        .files = calloc(count, sizeof(*ret->files)),
        .names = calloc(count, sizeof(*ret->names)),
    };
    if (!ret->files || !ret->names)
        text_no_memory();
    if (count > 1 && !(flags & SOURCE_MANY))
        return wrong_usage(subcommand, "one PATH is enough");
    for (size_t i = 0; i < count && status < 0; i++) {
        const char *path = operands->items[i];

        if (strcmp(path, "-") == 0 && (flags & SOURCE_DASH)) {
            if (count > 1)
                return wrong_usage(subcommand, "- must be the only PATH");
            ret->kind = SOURCE_STDIN;
            return -1;
        }
        status = open_path(subcommand, path, flags, count, ret);
    }
    return status;
}

void source_close(struct source *source)
{
    for (size_t i = 0; i < source->count; i++) {
        if (source->files[i].io)
            io_free(source->files[i].io);
        free(source->names[i]);
    }
    io_free(source->io);
    free(source->files);
    free(source->names);
}

const char *source_name(const struct source *source, const char *file)
{
    static struct buffer name;

    name.mem = cli_mem();
    name.size = 0;
    text_append(&name, source->path);
    if (source->kind == SOURCE_DIRECTORY && *file) {
        text_format(&name, "%s%s",
                    name.size && name.data[name.size - 1] == '/' ? "" : "/",
                    file);
    } else if (source->kind == SOURCE_FILES && *file && source->count > 1) {
        /* As given would be better, but the name is what people look for. */
        name.size = 0;
        text_append(&name, file);
    }
    return text_string(&name);
}

const char *source_advice(const struct source *source)
{
    static struct buffer text;
    size_t count = source->kind == SOURCE_FILES ? source->count : 1;

    text.mem = cli_mem();
    text.size = 0;
    if (source->kind == SOURCE_STDIN)
        return "save it in a FILE, and see `rhizome check FILE`";
    text_append(&text, "see `rhizome check");
    for (size_t i = 0; i < count; i++) {
        text_byte(&text, ' ');
        text_path(&text, source->paths[i]);
    }
    text_byte(&text, '`');
    return text_string(&text);
}

#define PIECE_BYTES ((size_t)64 << 10)

uint64_t source_torn_bytes(struct io *io, const char *name, uint64_t offset,
                           uint64_t size)
{
    uint8_t *data = malloc(PIECE_BYTES);
    int fd = io_open(io, name, IO_READ);
    uint64_t end = offset;
    uint64_t at = offset;
    ssize_t done = fd;

    if (!data)
        text_no_memory();
    while (fd >= 0 && (done = io_pread(io, fd, data, PIECE_BYTES, at)) > 0) {
        for (ssize_t i = done; i-- > 0;) {
            if (data[i]) {
                end = at + (uint64_t)i + 1;
                break;
            }
        }
        at += (uint64_t)done;
    }
    if (fd >= 0)
        io_close(io, fd);
    free(data);
    return (done < 0 ? size : end) - offset;
}

int source_complain(const struct source *source, const char *file,
                    enum status st, int error)
{
    switch (st) {
    case ST_NO_MEMORY:
    case ST_MEMORY_LIMIT:
        text_no_memory();
    case ST_IO:
        return complain_io(source_name(source, file), "cannot be read", error);
    default:
        complain("%s: %s", source_name(source, file), status_text(st));
        return EXIT_IO;
    }
}

/* What was durable and is not there. */
static void put_missing(struct buffer *out, const struct recovery *recovery)
{
    if (!recovery->missing_from)
        return;
    text_format(out, ", mutations %" PRIu64, recovery->missing_from);
    if (recovery->missing_to != recovery->missing_from)
        text_format(out, " to %" PRIu64, recovery->missing_to);
    text_append(out, " are lost");
    if (*recovery->proof_file)
        text_format(out, " (proof: %s at %" PRIu64 ")", recovery->proof_file,
                    recovery->proof_offset);
}

int source_verdict(const struct source *source, const struct recovery *recovery)
{
    struct buffer text = BUFFER(cli_mem());

    if (recovery->verdict == RECOVERY_OK)
        return -1;
    text_format(&text, "%s: offset %" PRIu64 ": %s",
                source_name(source, recovery->file), recovery->offset,
                recovery->why);
    if (recovery->verdict == RECOVERY_TORN) {
        note("%s: a torn tail of %" PRIu64 " bytes behind mutation %" PRIu64
             "; nothing that is left says that it was durable",
             text_string(&text), recovery->torn_bytes, recovery->seq);
        buffer_free(&text);
        return -1;
    }
    put_missing(&text, recovery);
    complain("%s; %s", text_string(&text), source_advice(source));
    buffer_free(&text);
    return EXIT_DAMAGED;
}
