/*
 * sim_io.c -- files, names, and what of them is durable.
 *
 *     names (current)     "MANIFEST" ---+        +-- struct file
 *     names (durable)     "MANIFEST" ---|--+---->|    current  [.........]
 *     pending             rename, unlink..-+     |    durable  [......]
 *     descriptors         3 --------------------+     dirty    ..##..l..
 *
 * A file is a thing of its own, apart from its names, as an inode is. Names
 * are a flat table: "torn/x" is one entry, and its directory is what stands
 * before the slash. Operations on names change the current table at once and
 * wait in `pending` until their directories are synced; then they are carried
 * out on the durable table too. A power cut carries out any part of those
 * that wait.
 *
 * Contents keep their zeros at the end implicit, so that files allocated
 * ahead cost nothing to keep and to clone.
 *
 * Files that nothing refers to any more are found by marking, whenever a
 * reference may have gone: there are never more than a few dozen.
 */
#include "support/sim_io.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"

#define FAULTS_MAX 16
#define TRACE_COUNT 1024
#define FIRST_PROCESS 1001

/* ---- contents ---- */

struct content {
    uint8_t *data;
    size_t stored; /* from here to `size` there are zeros */
    size_t capacity;
    uint64_t size;
};

enum sector {
    SECTOR_CLEAN,
    SECTOR_DIRTY, /* the next sync writes it */
    SECTOR_LOST,  /* a failed sync dropped it: cached, and on no disk */
};

struct file {
    struct content current;
    struct content durable;
    uint8_t *sectors;
    size_t sector_count; /* those behind are clean */
    size_t dirty_from;   /* all that are dirty lie within */
    size_t dirty_end;
    uint64_t room; /* bytes that it takes of the disk */
    bool marked;
};

static void *checked(void *block)
{
    REQUIRE(block != NULL);
    return block;
}

static void content_store(struct content *content, size_t stored)
{
    if (stored <= content->stored)
        return;
    if (stored > content->capacity) {
        content->capacity = stored + stored / 2;
        content->data = checked(realloc(content->data, content->capacity));
    }
    memset(content->data + content->stored, 0, stored - content->stored);
    content->stored = stored;
}

static void content_resize(struct content *content, uint64_t size)
{
    content->size = size;
    if (content->stored > size)
        content->stored = (size_t)size;
}

/* Reads, with zeros for all that is not stored. */
static void content_read(const struct content *content, uint64_t offset,
                         uint8_t *data, size_t size)
{
    size_t there = 0;

    if (offset < content->stored) {
        there = content->stored - (size_t)offset;
        if (there > size)
            there = size;
        memcpy(data, content->data + offset, there);
    }
    memset(data + there, 0, size - there);
}

static void content_write(struct content *content, uint64_t offset,
                          const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    content_store(content, (size_t)offset + size);
    memcpy(content->data + offset, data, size);
    if (content->size < offset + size)
        content->size = offset + size;
}

static void content_copy(struct content *to, const struct content *from)
{
    to->stored = 0;
    content_store(to, from->stored);
    if (from->stored)
        memcpy(to->data, from->data, from->stored);
    to->size = from->size;
}

/* Borrowed, zeros and all. */
static struct bytes content_bytes(struct content *content)
{
    static const uint8_t nothing[1];

    content_store(content, (size_t)content->size);
    return bytes_of(content->size ? content->data : nothing,
                    (size_t)content->size);
}

static void file_free(struct file *file)
{
    free(file->current.data);
    free(file->durable.data);
    free(file->sectors);
    free(file);
}

static void file_mark_dirty(struct file *file, uint64_t from, uint64_t end)
{
    size_t first = (size_t)(from / SIM_SECTOR_BYTES);
    size_t last =
        (size_t)((end + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES); /* behind */

    if (from >= end)
        return;
    if (last > file->sector_count) {
        file->sectors = checked(realloc(file->sectors, last));
        memset(file->sectors + file->sector_count, SECTOR_CLEAN,
               last - file->sector_count);
        file->sector_count = last;
    }
    memset(file->sectors + first, SECTOR_DIRTY, last - first);
    if (file->dirty_from == file->dirty_end) {
        file->dirty_from = first;
        file->dirty_end = last;
    }
    if (first < file->dirty_from)
        file->dirty_from = first;
    if (last > file->dirty_end)
        file->dirty_end = last;
}

static void file_resize(struct file *file, uint64_t size)
{
    uint64_t end = file->current.stored > file->durable.stored
                       ? file->current.stored
                       : file->durable.stored;

    file_mark_dirty(file, size, end);
    content_resize(&file->current, size);
    if (file->room > size)
        file->room = size;
}

/* One sector of a content, with zeros behind the end. */
static void sector_read(const struct content *content, size_t sector,
                        uint8_t data[SIM_SECTOR_BYTES])
{
    content_read(content, (uint64_t)sector * SIM_SECTOR_BYTES, data,
                 SIM_SECTOR_BYTES);
}

/* Writes a sector; the size of the content is set by whoever calls. */
static void sector_write(struct content *content, size_t sector,
                         const uint8_t data[SIM_SECTOR_BYTES])
{
    content_write(content, (uint64_t)sector * SIM_SECTOR_BYTES, data,
                  SIM_SECTOR_BYTES);
}

static void file_sync(struct file *file)
{
    uint8_t data[SIM_SECTOR_BYTES];

    for (size_t i = file->dirty_from; i < file->dirty_end; i++) {
        if (file->sectors[i] != SECTOR_DIRTY)
            continue;
        sector_read(&file->current, i, data);
        sector_write(&file->durable, i, data);
        file->sectors[i] = SECTOR_CLEAN;
    }
    content_resize(&file->durable, file->current.size);
    file->dirty_from = 0;
    file->dirty_end = 0;
}

/* What a sync could not write counts as written. */
static void file_drop(struct file *file)
{
    for (size_t i = file->dirty_from; i < file->dirty_end; i++)
        if (file->sectors[i] == SECTOR_DIRTY)
            file->sectors[i] = SECTOR_LOST;
    file->dirty_from = 0;
    file->dirty_end = 0;
}

static void file_forget(struct file *file)
{
    uint64_t size = file->current.size;
    uint8_t data[SIM_SECTOR_BYTES];

    for (size_t i = 0; i < file->sector_count; i++) {
        if (file->sectors[i] != SECTOR_LOST)
            continue;
        sector_read(&file->durable, i, data);
        sector_write(&file->current, i, data);
        file->sectors[i] = SECTOR_CLEAN;
    }
    content_resize(&file->current, size);
}

/* ---- names ---- */

struct entry {
    char name[SIM_NAME_BYTES];
    struct file *file; /* NULL: a directory */
};

struct names {
    struct entry *entries;
    unsigned count;
    unsigned capacity;
};

static struct entry *names_find(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].name, name) == 0)
            return &names->entries[i];
    return NULL;
}

static void name_copy(char to[SIM_NAME_BYTES], const char *from)
{
    REQUIRE(strlen(from) < SIM_NAME_BYTES);
    strcpy(to, from);
}

static void names_set(struct names *names, const char *name, struct file *file)
{
    struct entry *entry = names_find(names, name);

    if (!entry) {
        if (names->count == names->capacity) {
            names->capacity = names->capacity * 2 + 8;
            names->entries = checked(realloc(
                names->entries, names->capacity * sizeof(*names->entries)));
        }
        entry = &names->entries[names->count++];
        name_copy(entry->name, name);
    }
    entry->file = file;
}

/* The others keep their order, which makes runs the same every time. */
static void names_remove(struct names *names, const char *name)
{
    struct entry *entry = names_find(names, name);

    if (!entry)
        return;
    names->count--;
    memmove(entry, entry + 1,
            (size_t)(names->entries + names->count - entry) * sizeof(*entry));
}

/* The directory that a name is in: what comes before the slash, or "". */
static void name_directory(char directory[SIM_NAME_BYTES], const char *name)
{
    const char *slash = strrchr(name, '/');

    name_copy(directory, name);
    directory[slash ? slash - name : 0] = '\0';
}

enum change {
    NAME_ADDED,
    NAME_REMOVED,
    NAME_MOVED,
};

/* An operation on names that is not durable. */
struct pending {
    enum change change;
    char from[SIM_NAME_BYTES]; /* MOVED: the old name */
    char name[SIM_NAME_BYTES];
    struct file *file; /* that was added, removed or moved */
    bool from_synced;  /* MOVED: its old directory was */
    bool synced;
};

static void pending_apply(const struct pending *pending, struct names *names)
{
    struct entry *entry;

    switch (pending->change) {
    case NAME_ADDED:
        names_set(names, pending->name, pending->file);
        break;
    case NAME_REMOVED:
        entry = names_find(names, pending->name);
        if (entry && entry->file == pending->file)
            names_remove(names, pending->name);
        break;
    case NAME_MOVED:
        entry = names_find(names, pending->from);
        if (entry && entry->file == pending->file)
            names_remove(names, pending->from);
        names_set(names, pending->name, pending->file);
        break;
    }
}

/* ---- the disk ---- */

struct traced {
    enum sim_call kind;
    char name[SIM_NAME_BYTES];
    uint64_t offset;
    uint64_t size;
    int64_t result;
    uint64_t number;
};

struct sim_io {
    pthread_mutex_t mutex;

    struct file **files;
    unsigned file_count;
    unsigned file_capacity;

    struct names current;
    struct names durable;
    struct pending *pending;
    unsigned pending_count;
    unsigned pending_capacity;

    uint64_t capacity;
    uint64_t file_limit;

    struct process *processes;
    struct process *lock_holder;
    int64_t next_process;

    struct sim_fault faults[FAULTS_MAX];
    unsigned fault_count;
    uint32_t crash_kinds;
    uint64_t crash_at;
    enum sim_moment crash_moment;
    bool crashed;
    uint64_t calls[SIM_CALL_COUNT];

    struct traced *trace; /* a ring, made at the first call */
    uint64_t trace_count;
};

struct descriptor {
    struct file *file; /* NULL: not open */
    bool writable;
    char name[SIM_NAME_BYTES];
};

struct process {
    struct io io;
    struct sim_io *sim;
    struct process *next;
    bool dead;
    int64_t number;
    struct descriptor *descriptors;
    unsigned descriptor_count;
};

static struct file *file_create(struct sim_io *sim)
{
    struct file *file = checked(calloc(1, sizeof(*file)));

    if (sim->file_count == sim->file_capacity) {
        sim->file_capacity = sim->file_capacity * 2 + 8;
        sim->files = checked(
            realloc(sim->files, sim->file_capacity * sizeof(*sim->files)));
    }
    sim->files[sim->file_count++] = file;
    return file;
}

static void mark(struct file *file)
{
    if (file)
        file->marked = true;
}

static void mark_names(const struct names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        mark(names->entries[i].file);
}

/* The files that processes can reach: those that take room. */
static void mark_current(struct sim_io *sim)
{
    for (unsigned i = 0; i < sim->file_count; i++)
        sim->files[i]->marked = false;
    mark_names(&sim->current);
    for (struct process *p = sim->processes; p; p = p->next)
        for (unsigned i = 0; i < p->descriptor_count; i++)
            mark(p->descriptors[i].file);
}

static void sweep(struct sim_io *sim)
{
    unsigned kept = 0;

    mark_current(sim);
    mark_names(&sim->durable);
    for (unsigned i = 0; i < sim->pending_count; i++)
        mark(sim->pending[i].file);
    for (unsigned i = 0; i < sim->file_count; i++) {
        if (sim->files[i]->marked)
            sim->files[kept++] = sim->files[i];
        else
            file_free(sim->files[i]);
    }
    sim->file_count = kept;
}

static uint64_t used(struct sim_io *sim)
{
    uint64_t sum = 0;

    mark_current(sim);
    for (unsigned i = 0; i < sim->file_count; i++)
        if (sim->files[i]->marked)
            sum += sim->files[i]->room;
    return sum;
}

/* Changes the current names, and notes that the durable ones lag behind. */
static void change_names(struct sim_io *sim, enum change change,
                         const char *from, const char *name, struct file *file)
{
    struct pending *pending;
    char from_directory[SIM_NAME_BYTES];
    char directory[SIM_NAME_BYTES];

    if (sim->pending_count == sim->pending_capacity) {
        sim->pending_capacity = sim->pending_capacity * 2 + 8;
        sim->pending = checked(realloc(
            sim->pending, sim->pending_capacity * sizeof(*sim->pending)));
    }
    pending = &sim->pending[sim->pending_count++];
    pending->change = change;
    name_copy(pending->from, from ? from : name);
    name_copy(pending->name, name);
    pending->file = file;
    pending->synced = false;
    name_directory(from_directory, pending->from);
    name_directory(directory, name);
    pending->from_synced = strcmp(from_directory, directory) == 0;
    pending_apply(pending, &sim->current);
}

static void sync_names(struct sim_io *sim, const char *synced)
{
    char directory[SIM_NAME_BYTES];
    unsigned kept = 0;

    for (unsigned i = 0; i < sim->pending_count; i++) {
        struct pending *pending = &sim->pending[i];

        name_directory(directory, pending->name);
        if (strcmp(directory, synced) == 0)
            pending->synced = true;
        name_directory(directory, pending->from);
        if (strcmp(directory, synced) == 0)
            pending->from_synced = true;
        if (pending->synced && pending->from_synced)
            pending_apply(pending, &sim->durable);
        else
            sim->pending[kept++] = *pending;
    }
    sim->pending_count = kept;
}

/* ---- a call: counting, failing, tracing ---- */

enum fate {
    FATE_OK,
    FATE_FAILS, /* without effect, or with that of `bytes` */
    FATE_DONE,  /* fails after its effect */
};

/* What becomes of one call, and what the trace says of it. */
struct call {
    struct sim_io *sim;
    struct process *process;
    enum sim_call kind;
    enum fate fate;
    int error;     /* negative, unless FATE_OK */
    bool is_short; /* `bytes` counts */
    size_t bytes;
    bool drop;
    bool halved; /* a crash within it */
    const char *name;
    uint64_t offset;
    uint64_t size;
};

static bool of_kinds(uint32_t kinds, enum sim_call kind)
{
    return kinds == SIM_ALL || (kinds & SIM_KIND(kind));
}

/* The crash point is reached with this call? */
static bool crash_reached(struct sim_io *sim, enum sim_call kind)
{
    if (sim->crash_at == 0 || !of_kinds(sim->crash_kinds, kind))
        return false;
    return --sim->crash_at == 0;
}

static void apply_fault(struct call *call, const struct sim_fault *fault)
{
    call->fate = !fault->error ? FATE_OK : fault->done ? FATE_DONE : FATE_FAILS;
    call->error = -fault->error;
    call->is_short = !fault->done && (fault->bytes > 0 || !fault->error);
    call->bytes = fault->bytes;
    call->drop = fault->drop;
}

static void find_fault(struct call *call)
{
    struct sim_io *sim = call->sim;
    bool found = false;

    for (unsigned i = 0; i < sim->fault_count; i++) {
        struct sim_fault *fault = &sim->faults[i];

        if (!of_kinds(fault->kinds, call->kind) || fault->at == 0)
            continue;
        if (fault->at > 1) {
            fault->at--;
            continue;
        }
        if (!fault->on)
            fault->at = 0; /* spent */
        if (!found)
            apply_fault(call, fault);
        found = true;
    }
}

static struct call begin(struct io *io, enum sim_call kind, const char *name,
                         uint64_t offset, uint64_t size)
{
    struct process *process = (struct process *)io;
    struct call call = {
        .sim = process->sim,
        .process = process,
        .kind = kind,
        .name = name ? name : ".",
        .offset = offset,
        .size = size,
    };
    struct sim_io *sim = call.sim;

    pthread_mutex_lock(&sim->mutex);
    if (process->dead || sim->crashed) {
        call.fate = FATE_FAILS;
        call.error = -EIO;
        return call;
    }
    sim->calls[kind]++;
    find_fault(&call);
    if (crash_reached(sim, kind)) {
        sim->crashed = true;
        call.fate = sim->crash_moment == SIM_AFTER ? FATE_DONE : FATE_FAILS;
        call.error = -EIO;
        call.is_short = false;
        call.drop = false;
        call.halved = sim->crash_moment == SIM_WITHIN;
    }
    return call;
}

/* The end of a call whose effect, if any, has happened with `result`. */
static int64_t end(struct call *call, int64_t result)
{
    struct sim_io *sim = call->sim;
    struct traced *traced;

    if (call->fate != FATE_OK)
        result = call->error;
    if (!sim->trace)
        sim->trace = checked(calloc(TRACE_COUNT, sizeof(*sim->trace)));
    traced = &sim->trace[sim->trace_count % TRACE_COUNT];
    traced->kind = call->kind;
    snprintf(traced->name, sizeof(traced->name), "%s", call->name);
    traced->offset = call->offset;
    traced->size = call->size;
    traced->result = result;
    traced->number = ++sim->trace_count;
    pthread_mutex_unlock(&sim->mutex);
    return result;
}

static bool has_effect(const struct call *call)
{
    return call->fate != FATE_FAILS;
}

static struct descriptor *descriptor_find(const struct process *process, int fd)
{
    if (fd < 0 || (unsigned)fd >= process->descriptor_count ||
        !process->descriptors[fd].file)
        return NULL;
    return &process->descriptors[fd];
}

/* begin() for a call on a descriptor. NULL: there is none. */
static struct call begin_fd(struct io *io, enum sim_call kind, int fd,
                            uint64_t offset, uint64_t size,
                            struct descriptor **ret)
{
    struct call call = begin(io, kind, "?", offset, size);

    *ret = descriptor_find(call.process, fd);
    if (*ret)
        call.name = (*ret)->name;
    return call;
}

/* ---- the operations ---- */

/* Is the directory there that `name` is in? */
static bool directory_exists(struct sim_io *sim, const char *name)
{
    char directory[SIM_NAME_BYTES];
    struct entry *entry;

    name_directory(directory, name);
    if (!directory[0])
        return true;
    entry = names_find(&sim->current, directory);
    return entry && !entry->file;
}

static int find_regular(struct sim_io *sim, const char *name, struct file **ret)
{
    struct entry *entry = names_find(&sim->current, name);

    if (!entry)
        return -ENOENT;
    if (!entry->file)
        return -EISDIR;
    *ret = entry->file;
    return 0;
}

static int descriptor_add(struct process *process, struct file *file,
                          const char *name, bool writable)
{
    unsigned fd = 0;

    while (fd < process->descriptor_count && process->descriptors[fd].file)
        fd++;
    if (fd == process->descriptor_count) {
        process->descriptor_count++;
        process->descriptors = checked(
            realloc(process->descriptors,
                    process->descriptor_count * sizeof(*process->descriptors)));
    }
    process->descriptors[fd].file = file;
    process->descriptors[fd].writable = writable;
    name_copy(process->descriptors[fd].name, name);
    return (int)fd;
}

static int open_now(struct call *call, const char *name, enum io_open how)
{
    struct sim_io *sim = call->sim;
    struct file *file = NULL;
    int found = find_regular(sim, name, &file);

    if (how == IO_CREATE) {
        if (found != -ENOENT)
            return -EEXIST;
        if (!directory_exists(sim, name))
            return -ENOENT;
        file = file_create(sim);
        change_names(sim, NAME_ADDED, NULL, name, file);
    } else if (found < 0) {
        return found;
    }
    if (call->fate != FATE_OK) /* nobody would close it */
        return 0;
    return descriptor_add(call->process, file, name, how != IO_READ);
}

static int sim_open(struct io *io, const char *name, enum io_open how)
{
    struct call call = begin(io, SIM_OPEN, name, 0, 0);
    int result = 0;

    if (has_effect(&call))
        result = open_now(&call, name, how);
    return (int)end(&call, result);
}

/* Closes whatever the call says: Linux does too. */
static int sim_close(struct io *io, int fd)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_CLOSE, fd, 0, 0, &descriptor);
    char name[SIM_NAME_BYTES] = "?";
    int result = -EBADF;

    if (descriptor) {
        name_copy(name, descriptor->name);
        call.name = name;
        descriptor->file = NULL;
        sweep(call.sim);
        result = 0;
    }
    return (int)end(&call, result);
}

static int64_t sim_size(struct io *io, int fd)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_SIZE, fd, 0, 0, &descriptor);

    return end(&call,
               descriptor ? (int64_t)descriptor->file->current.size : -EBADF);
}

static ssize_t sim_pread(struct io *io, int fd, void *data, size_t size,
                         uint64_t offset)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_PREAD, fd, offset, size, &descriptor);
    ssize_t result = -EBADF;

    if (descriptor && has_effect(&call)) {
        const struct content *content = &descriptor->file->current;
        uint64_t left = offset < content->size ? content->size - offset : 0;

        if (call.is_short && size > call.bytes)
            size = call.bytes;
        if (size > left)
            size = (size_t)left;
        if (size > 0)
            content_read(content, offset, data, size);
        result = (ssize_t)size;
    }
    return (ssize_t)end(&call, result);
}

/* How much of a write there is room for; -ENOSPC or -EFBIG for nothing. */
static int64_t room_for(struct sim_io *sim, const struct file *file,
                        uint64_t offset, uint64_t size)
{
    uint64_t end_of_write = offset + size;

    if (end_of_write > sim->file_limit) {
        if (offset >= sim->file_limit)
            return -EFBIG;
        end_of_write = sim->file_limit;
    }
    if (end_of_write > file->room && sim->capacity != UINT64_MAX) {
        uint64_t taken = used(sim);
        uint64_t left = taken < sim->capacity ? sim->capacity - taken : 0;

        if (end_of_write > file->room + left)
            end_of_write = file->room + left;
        if (end_of_write <= offset)
            return -ENOSPC;
    }
    return (int64_t)(end_of_write - offset);
}

static ssize_t write_now(struct sim_io *sim, struct file *file,
                         const uint8_t *data, size_t size, uint64_t offset)
{
    int64_t fits = size > 0 ? room_for(sim, file, offset, size) : 0;

    if (fits <= 0)
        return (ssize_t)fits;
    content_write(&file->current, offset, data, (size_t)fits);
    file_mark_dirty(file, offset, offset + (uint64_t)fits);
    if (file->room < offset + (uint64_t)fits)
        file->room = offset + (uint64_t)fits;
    return (ssize_t)fits;
}

static ssize_t sim_pwrite(struct io *io, int fd, const void *data, size_t size,
                          uint64_t offset)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_PWRITE, fd, offset, size, &descriptor);
    ssize_t result = -EBADF;

    if (call.is_short && size > call.bytes)
        size = call.bytes;
    if (call.halved)
        size /= 2;
    if (descriptor && descriptor->writable &&
        (has_effect(&call) || call.is_short || call.halved))
        result = write_now(call.sim, descriptor->file, data, size, offset);
    return (ssize_t)end(&call, result);
}

static int sim_allocate(struct io *io, int fd, uint64_t offset, uint64_t size)
{
    struct descriptor *descriptor;
    struct call call =
        begin_fd(io, SIM_ALLOCATE, fd, offset, size, &descriptor);
    int64_t result = -EBADF;

    if (descriptor && descriptor->writable && has_effect(&call)) {
        struct file *file = descriptor->file;

        result = size > 0 ? room_for(call.sim, file, offset, size) : -EINVAL;
        if (result >= 0 && (uint64_t)result < size)
            result = offset + size > call.sim->file_limit ? -EFBIG : -ENOSPC;
        if (result >= 0) {
            if (file->room < offset + size)
                file->room = offset + size;
            if (file->current.size < offset + size)
                content_resize(&file->current, offset + size);
            result = 0;
        }
    }
    return (int)end(&call, result);
}

static int sim_truncate(struct io *io, int fd, uint64_t size)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_TRUNCATE, fd, 0, size, &descriptor);
    int result = -EBADF;

    if (descriptor && descriptor->writable && has_effect(&call)) {
        result = size > call.sim->file_limit ? -EFBIG : 0;
        if (result == 0)
            file_resize(descriptor->file, size);
    }
    return (int)end(&call, result);
}

static int sim_sync(struct io *io, int fd)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_SYNC, fd, 0, 0, &descriptor);

    if (descriptor && has_effect(&call))
        file_sync(descriptor->file);
    else if (descriptor && call.drop)
        file_drop(descriptor->file);
    return (int)end(&call, descriptor ? 0 : -EBADF);
}

static int sim_sync_directory(struct io *io, const char *name)
{
    struct call call = begin(io, SIM_SYNC_DIRECTORY, name, 0, 0);
    struct entry *entry = NULL;
    int result = 0;

    if (has_effect(&call)) {
        if (name) {
            entry = names_find(&call.sim->current, name);
            result = !entry ? -ENOENT : entry->file ? -ENOTDIR : 0;
        }
        if (result == 0) {
            sync_names(call.sim, name ? name : "");
            sweep(call.sim);
        }
    }
    return (int)end(&call, result);
}

static int sim_forget(struct io *io, int fd)
{
    struct descriptor *descriptor;
    struct call call = begin_fd(io, SIM_FORGET, fd, 0, 0, &descriptor);

    if (descriptor && has_effect(&call))
        file_forget(descriptor->file);
    return (int)end(&call, descriptor ? 0 : -EBADF);
}

static int rename_now(struct sim_io *sim, const char *from, const char *to)
{
    struct entry *target = names_find(&sim->current, to);
    struct file *file;
    int found = find_regular(sim, from, &file);

    if (found < 0)
        return found;
    if (target && !target->file)
        return -EISDIR;
    if (!directory_exists(sim, to))
        return -ENOENT;
    if (target && target->file == file)
        return 0;
    change_names(sim, NAME_MOVED, from, to, file);
    sweep(sim);
    return 0;
}

static int sim_rename(struct io *io, const char *from, const char *to)
{
    char names[2 * SIM_NAME_BYTES + 8];
    struct call call;
    int result = 0;

    snprintf(names, sizeof(names), "%s -> %s", from, to);
    call = begin(io, SIM_RENAME, names, 0, 0);
    if (has_effect(&call))
        result = rename_now(call.sim, from, to);
    return (int)end(&call, result);
}

static int sim_unlink(struct io *io, const char *name)
{
    struct call call = begin(io, SIM_UNLINK, name, 0, 0);
    struct file *file;
    int result = 0;

    if (has_effect(&call)) {
        result = find_regular(call.sim, name, &file);
        if (result == 0) {
            change_names(call.sim, NAME_REMOVED, NULL, name, file);
            sweep(call.sim);
        }
    }
    return (int)end(&call, result);
}

static int sim_make_directory(struct io *io, const char *name)
{
    struct call call = begin(io, SIM_MAKE_DIRECTORY, name, 0, 0);
    int result = 0;

    if (has_effect(&call)) {
        struct entry *entry = names_find(&call.sim->current, name);

        if (entry)
            result = entry->file ? -ENOTDIR : 0;
        else if (!directory_exists(call.sim, name))
            result = -ENOENT;
        else
            change_names(call.sim, NAME_ADDED, NULL, name, NULL);
    }
    return (int)end(&call, result);
}

/* `each` may call back: it sees a copy, and the mutex is free. */
static int sim_list(struct io *io,
                    void (*each)(void *context, const char *name),
                    void *context)
{
    struct call call = begin(io, SIM_LIST, NULL, 0, 0);
    bool listed = has_effect(&call);
    unsigned count = call.sim->current.count;
    struct entry *copy = checked(calloc(count + 1, sizeof(*copy)));
    int result;

    if (count)
        memcpy(copy, call.sim->current.entries, count * sizeof(*copy));
    result = (int)end(&call, 0);
    for (unsigned i = 0; listed && result == 0 && i < count; i++)
        if (!strchr(copy[i].name, '/'))
            each(context, copy[i].name);
    free(copy);
    return result;
}

/* The lock file, made if it is not there, with a process's number in it. */
static void write_lock_file(struct sim_io *sim, int64_t number)
{
    struct file *file;
    char text[24];
    int size = snprintf(text, sizeof(text), "%" PRId64 "\n", number);

    if (find_regular(sim, "LOCK", &file) < 0) {
        file = file_create(sim);
        change_names(sim, NAME_ADDED, NULL, "LOCK", file);
    }
    file_resize(file, 0);
    content_write(&file->current, 0, (const uint8_t *)text, (size_t)size);
    file_mark_dirty(file, 0, (uint64_t)size);
}

static int sim_lock(struct io *io, int64_t *ret_holder)
{
    struct call call = begin(io, SIM_LOCK, "LOCK", 0, 0);
    struct sim_io *sim = call.sim;
    int result = 0;

    if (has_effect(&call)) {
        if (sim->lock_holder && sim->lock_holder != call.process) {
            *ret_holder = sim->lock_holder->number;
            result = -EWOULDBLOCK;
        } else if (!sim->lock_holder) {
            sim->lock_holder = call.process;
            write_lock_file(sim, call.process->number);
        }
    }
    return (int)end(&call, result);
}

/* Descriptors and lock: what a process loses when it ends. */
static void process_end(struct process *process)
{
    struct sim_io *sim = process->sim;

    free(process->descriptors);
    process->descriptors = NULL;
    process->descriptor_count = 0;
    if (sim->lock_holder == process)
        sim->lock_holder = NULL;
}

static void sim_process_free(struct io *io)
{
    struct process *process = (struct process *)io;
    struct sim_io *sim = process->sim;
    struct process **link = &sim->processes;

    pthread_mutex_lock(&sim->mutex);
    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    process_end(process);
    sweep(sim);
    pthread_mutex_unlock(&sim->mutex);
    free(process);
}

static const struct io_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .size = sim_size,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .sync = sim_sync,
    .sync_directory = sim_sync_directory,
    .forget = sim_forget,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .make_directory = sim_make_directory,
    .list = sim_list,
    .lock = sim_lock,
    .free = sim_process_free,
};

/* ---- disks ---- */

struct sim_io *sim_io_create(void)
{
    struct sim_io *sim = checked(calloc(1, sizeof(*sim)));

    pthread_mutex_init(&sim->mutex, NULL);
    sim->capacity = UINT64_MAX;
    sim->file_limit = UINT64_MAX;
    sim->next_process = FIRST_PROCESS;
    return sim;
}

void sim_io_free(struct sim_io *sim)
{
    if (!sim)
        return;
    while (sim->processes)
        io_free(&sim->processes->io);
    for (unsigned i = 0; i < sim->file_count; i++)
        file_free(sim->files[i]);
    free(sim->files);
    free(sim->current.entries);
    free(sim->durable.entries);
    free(sim->pending);
    free(sim->trace);
    pthread_mutex_destroy(&sim->mutex);
    free(sim);
}

struct io *sim_io_open(struct sim_io *sim)
{
    struct process *process = checked(calloc(1, sizeof(*process)));

    pthread_mutex_lock(&sim->mutex);
    process->io.ops = &sim_ops;
    process->sim = sim;
    process->number = sim->next_process++;
    process->next = sim->processes;
    sim->processes = process;
    pthread_mutex_unlock(&sim->mutex);
    return &process->io;
}

struct io *sim_io_kill(struct sim_io *sim)
{
    pthread_mutex_lock(&sim->mutex);
    for (struct process *p = sim->processes; p; p = p->next) {
        p->dead = true;
        process_end(p);
    }
    sweep(sim);
    sim->fault_count = 0;
    sim->crash_at = 0;
    sim->crashed = false;
    pthread_mutex_unlock(&sim->mutex);
    return sim_io_open(sim);
}

/* The copy of a file that stands at the same index. */
static struct file *counterpart(const struct sim_io *from,
                                const struct sim_io *to,
                                const struct file *file)
{
    for (unsigned i = 0; i < from->file_count; i++)
        if (from->files[i] == file)
            return to->files[i];
    return NULL;
}

static void names_clone(const struct sim_io *from, const struct names *names,
                        const struct sim_io *to, struct names *ret)
{
    for (unsigned i = 0; i < names->count; i++)
        names_set(ret, names->entries[i].name,
                  counterpart(from, to, names->entries[i].file));
}

static void file_clone(const struct file *from, struct file *to)
{
    content_copy(&to->current, &from->current);
    content_copy(&to->durable, &from->durable);
    if (from->sector_count) {
        to->sectors = checked(malloc(from->sector_count));
        memcpy(to->sectors, from->sectors, from->sector_count);
    }
    to->sector_count = from->sector_count;
    to->dirty_from = from->dirty_from;
    to->dirty_end = from->dirty_end;
    to->room = from->room;
}

static struct sim_io *create_like(const struct sim_io *sim)
{
    struct sim_io *copy = sim_io_create();

    copy->capacity = sim->capacity;
    copy->file_limit = sim->file_limit;
    copy->next_process = sim->next_process;
    return copy;
}

struct sim_io *sim_io_clone(struct sim_io *sim)
{
    struct sim_io *copy;

    pthread_mutex_lock(&sim->mutex);
    copy = create_like(sim);
    for (unsigned i = 0; i < sim->file_count; i++)
        file_clone(sim->files[i], file_create(copy));
    names_clone(sim, &sim->current, copy, &copy->current);
    names_clone(sim, &sim->durable, copy, &copy->durable);
    copy->pending_count = sim->pending_count;
    copy->pending_capacity = sim->pending_count;
    if (sim->pending_count)
        copy->pending =
            checked(calloc(sim->pending_count, sizeof(*copy->pending)));
    for (unsigned i = 0; i < sim->pending_count; i++) {
        copy->pending[i] = sim->pending[i];
        copy->pending[i].file = counterpart(sim, copy, sim->pending[i].file);
    }
    sweep(copy); /* what only descriptors referred to */
    pthread_mutex_unlock(&sim->mutex);
    return copy;
}

/* ---- power cuts ---- */

/* How the unsynced parts of one file, or of the names, are chosen. */
enum style {
    STYLE_OLD,
    STYLE_NEW,
    STYLE_EACH,   /* each part for itself */
    STYLE_PREFIX, /* new up to `turn`, old from there */
    STYLE_SUFFIX, /* old up to `turn`, new from there */
    STYLE_NEW_BUT_ONE,
    STYLE_OLD_BUT_ONE,
    STYLE_COUNT,
};

enum part {
    PART_OLD,
    PART_NEW,
    PART_ZEROS,
    PART_GARBAGE,
    PART_MIXED,
    PART_COUNT,
};

struct chooser {
    struct random *random;
    enum style style;
    size_t turn;
};

static struct chooser chooser(struct random *random, enum sim_power mode,
                              size_t count)
{
    struct chooser c = {random, STYLE_OLD, 0};

    if (mode == SIM_POWER_NEW)
        c.style = STYLE_NEW;
    if (mode == SIM_POWER_RANDOM) {
        c.style = (enum style)random_below(random, STYLE_COUNT);
        c.turn = (size_t)random_below(random, count + 1);
    }
    return c;
}

static enum part choose(const struct chooser *c, size_t index)
{
    bool other =
        c->style == STYLE_EACH ||
        ((c->style == STYLE_NEW_BUT_ONE || c->style == STYLE_OLD_BUT_ONE) &&
         index == c->turn);

    if (other)
        return (enum part)random_below(c->random, PART_COUNT);
    switch (c->style) {
    case STYLE_NEW:
    case STYLE_NEW_BUT_ONE:
        return PART_NEW;
    case STYLE_PREFIX:
        return index < c->turn ? PART_NEW : PART_OLD;
    case STYLE_SUFFIX:
        return index < c->turn ? PART_OLD : PART_NEW;
    default:
        return PART_OLD;
    }
}

/* What a write does not change survives it: disks write a sector as a whole,
 * so what was durable in it is not lost to what is appended behind ("power-
 * safe overwrite", as SQLite calls it). Zeros and garbage only show where
 * nothing was before. */
static void make_sector(struct random *random, enum part part,
                        const uint8_t fresh[SIM_SECTOR_BYTES],
                        uint8_t data[SIM_SECTOR_BYTES])
{
    uint8_t old[SIM_SECTOR_BYTES];

    memcpy(old, data, SIM_SECTOR_BYTES);
    switch (part) {
    case PART_NEW:
        memcpy(data, fresh, SIM_SECTOR_BYTES);
        break;
    case PART_ZEROS:
        memset(data, 0, SIM_SECTOR_BYTES);
        break;
    case PART_GARBAGE:
        for (unsigned i = 0; i < SIM_SECTOR_BYTES; i++)
            data[i] = (uint8_t)random_next(random);
        break;
    case PART_MIXED: {
        size_t turn = (size_t)random_below(random, SIM_SECTOR_BYTES);

        if (random_below(random, 2))
            memcpy(data, fresh, turn);
        else
            memcpy(data + turn, fresh + turn, SIM_SECTOR_BYTES - turn);
        break;
    }
    default:
        break;
    }
    for (unsigned i = 0; i < SIM_SECTOR_BYTES; i++)
        if (old[i] == fresh[i])
            data[i] = old[i];
}

static uint64_t choose_size(struct random *random, enum sim_power mode,
                            uint64_t old_size, uint64_t new_size)
{
    if (mode != SIM_POWER_RANDOM || old_size == new_size)
        return mode == SIM_POWER_OLD ? old_size : new_size;
    switch (random_below(random, 4)) {
    case 0:
        return old_size;
    case 1:
        if (new_size > old_size)
            return old_size + random_below(random, new_size - old_size);
        return old_size;
    default:
        return new_size;
    }
}

static void file_cut(const struct file *from, struct file *to,
                     struct random *random, enum sim_power mode)
{
    uint8_t fresh[SIM_SECTOR_BYTES];
    uint8_t data[SIM_SECTOR_BYTES];
    struct chooser c =
        chooser(random, mode, from->dirty_end - from->dirty_from);

    content_copy(&to->durable, &from->durable);
    for (size_t i = from->dirty_from; i < from->dirty_end; i++) {
        if (from->sectors[i] != SECTOR_DIRTY)
            continue;
        sector_read(&from->current, i, fresh);
        sector_read(&from->durable, i, data);
        if (memcmp(fresh, data, SIM_SECTOR_BYTES) == 0)
            continue;
        make_sector(random, choose(&c, i - from->dirty_from), fresh, data);
        sector_write(&to->durable, i, data);
    }
    content_resize(&to->durable, choose_size(random, mode, from->durable.size,
                                             from->current.size));
    content_copy(&to->current, &to->durable);
    to->room = to->current.size;
}

static void names_cut(const struct sim_io *from, struct sim_io *to,
                      struct random *random, enum sim_power mode)
{
    struct chooser c = chooser(random, mode, from->pending_count);
    struct names *names = &to->durable;

    names_clone(from, &from->durable, to, names);
    for (unsigned i = 0; i < from->pending_count; i++) {
        struct pending pending = from->pending[i];

        pending.file = counterpart(from, to, pending.file);
        if (choose(&c, i) % 2 == PART_NEW)
            pending_apply(&pending, names);
    }
    /* What is in a directory that is not there is not there either. */
    for (unsigned i = 0; i < names->count;) {
        char directory[SIM_NAME_BYTES];

        name_directory(directory, names->entries[i].name);
        if (directory[0] && !names_find(names, directory)) {
            names_remove(names, names->entries[i].name);
            i = 0;
        } else {
            i++;
        }
    }
    for (unsigned i = 0; i < names->count; i++)
        names_set(&to->current, names->entries[i].name, names->entries[i].file);
}

struct sim_io *sim_io_power_cut(struct sim_io *sim, struct random *random,
                                enum sim_power mode)
{
    struct sim_io *cut;

    pthread_mutex_lock(&sim->mutex);
    cut = create_like(sim);
    for (unsigned i = 0; i < sim->file_count; i++)
        file_cut(sim->files[i], file_create(cut), random, mode);
    names_cut(sim, cut, random, mode);
    sweep(cut);
    pthread_mutex_unlock(&sim->mutex);
    return cut;
}

/* ---- limits and faults ---- */

void sim_io_set_capacity(struct sim_io *sim, uint64_t bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->capacity = bytes;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t sim_io_used(struct sim_io *sim)
{
    uint64_t bytes;

    pthread_mutex_lock(&sim->mutex);
    bytes = used(sim);
    pthread_mutex_unlock(&sim->mutex);
    return bytes;
}

void sim_io_set_file_limit(struct sim_io *sim, uint64_t bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->file_limit = bytes;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_io_fail(struct sim_io *sim, struct sim_fault fault)
{
    REQUIRE(fault.at > 0 && (fault.error > 0 || fault.bytes > 0));
    pthread_mutex_lock(&sim->mutex);
    REQUIRE(sim->fault_count < FAULTS_MAX);
    sim->faults[sim->fault_count++] = fault;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_io_heal(struct sim_io *sim)
{
    pthread_mutex_lock(&sim->mutex);
    sim->fault_count = 0;
    sim->crash_at = 0;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_io_crash_at(struct sim_io *sim, uint32_t kinds, uint64_t nth,
                     enum sim_moment moment)
{
    pthread_mutex_lock(&sim->mutex);
    sim->crash_kinds = kinds;
    sim->crash_at = nth;
    sim->crash_moment = moment;
    pthread_mutex_unlock(&sim->mutex);
}

bool sim_io_crashed(struct sim_io *sim)
{
    bool crashed;

    pthread_mutex_lock(&sim->mutex);
    crashed = sim->crashed;
    pthread_mutex_unlock(&sim->mutex);
    return crashed;
}

uint64_t sim_io_calls(struct sim_io *sim, uint32_t kinds)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&sim->mutex);
    for (int kind = 0; kind < SIM_CALL_COUNT; kind++)
        if (of_kinds(kinds, (enum sim_call)kind))
            sum += sim->calls[kind];
    pthread_mutex_unlock(&sim->mutex);
    return sum;
}

unsigned sim_io_descriptors(struct sim_io *sim)
{
    unsigned count = 0;

    pthread_mutex_lock(&sim->mutex);
    for (struct process *p = sim->processes; p; p = p->next)
        for (unsigned i = 0; i < p->descriptor_count; i++)
            count += p->descriptors[i].file != NULL;
    pthread_mutex_unlock(&sim->mutex);
    return count;
}

/* ---- behind everybody's back ---- */

void sim_io_each_name(struct sim_io *sim,
                      void (*each)(void *context, const char *name),
                      void *context)
{
    for (unsigned i = 0; i < sim->current.count; i++) {
        const struct entry *entry = &sim->current.entries[i];
        char name[SIM_NAME_BYTES + 1];

        snprintf(name, sizeof(name), "%s%s", entry->name,
                 entry->file ? "" : "/");
        each(context, name);
    }
}

bool sim_io_exists(struct sim_io *sim, const char *name)
{
    return names_find(&sim->current, name) != NULL;
}

static struct file *file_named(struct sim_io *sim, const char *name)
{
    struct entry *entry = names_find(&sim->current, name);

    return entry ? entry->file : NULL;
}

struct bytes sim_io_file(struct sim_io *sim, const char *name)
{
    struct file *file = file_named(sim, name);

    return file ? content_bytes(&file->current) : bytes_of(NULL, 0);
}

struct bytes sim_io_file_durable(struct sim_io *sim, const char *name)
{
    struct file *file = file_named(sim, name);

    return file ? content_bytes(&file->durable) : bytes_of(NULL, 0);
}

void sim_io_put_file(struct sim_io *sim, const char *name, struct bytes content)
{
    struct file *file = file_named(sim, name);

    if (!file) {
        REQUIRE(directory_exists(sim, name));
        file = file_create(sim);
        names_set(&sim->current, name, file);
        names_set(&sim->durable, name, file);
    }
    file_resize(file, 0);
    content_write(&file->current, 0, content.data, content.size);
    file_mark_dirty(file, 0, content.size);
    file->room = content.size;
    file_sync(file);
}

void sim_io_cut_file(struct sim_io *sim, const char *name, uint64_t size)
{
    struct file *file = file_named(sim, name);

    REQUIRE(file != NULL);
    file_resize(file, size);
    content_resize(&file->durable, size);
}

void sim_io_flip(struct sim_io *sim, const char *name, uint64_t offset,
                 uint8_t mask)
{
    struct file *file = file_named(sim, name);

    REQUIRE(file != NULL && offset < file->current.size);
    content_store(&file->current, (size_t)offset + 1);
    file->current.data[offset] ^= mask;
    if (offset < file->durable.size) {
        content_store(&file->durable, (size_t)offset + 1);
        file->durable.data[offset] ^= mask;
    }
}

void sim_io_overwrite(struct sim_io *sim, const char *name, uint64_t offset,
                      struct bytes content)
{
    struct file *file = file_named(sim, name);

    REQUIRE(file != NULL);
    content_write(&file->current, offset, content.data, content.size);
    content_write(&file->durable, offset, content.data, content.size);
    if (file->room < file->current.size)
        file->room = file->current.size;
}

void sim_io_remove_file(struct sim_io *sim, const char *name)
{
    names_remove(&sim->current, name);
    names_remove(&sim->durable, name);
    sweep(sim);
}

/* ---- for messages ---- */

const char *sim_call_name(enum sim_call kind)
{
    static const char *const names[SIM_CALL_COUNT] = {
        [SIM_OPEN] = "open",
        [SIM_CLOSE] = "close",
        [SIM_SIZE] = "size",
        [SIM_PREAD] = "pread",
        [SIM_PWRITE] = "pwrite",
        [SIM_ALLOCATE] = "allocate",
        [SIM_TRUNCATE] = "truncate",
        [SIM_SYNC] = "sync",
        [SIM_SYNC_DIRECTORY] = "sync_directory",
        [SIM_FORGET] = "forget",
        [SIM_RENAME] = "rename",
        [SIM_UNLINK] = "unlink",
        [SIM_MAKE_DIRECTORY] = "make_directory",
        [SIM_LIST] = "list",
        [SIM_LOCK] = "lock",
    };

    return names[kind];
}

void sim_io_print_trace(struct sim_io *sim, FILE *out, unsigned count)
{
    uint64_t first;

    pthread_mutex_lock(&sim->mutex);
    if (count > TRACE_COUNT)
        count = TRACE_COUNT;
    first = sim->trace_count > count ? sim->trace_count - count : 0;
    for (uint64_t i = first; i < sim->trace_count; i++) {
        const struct traced *traced = &sim->trace[i % TRACE_COUNT];

        fprintf(out,
                "  %6" PRIu64 " %-14s %-40s @%-8" PRIu64 " %8" PRIu64
                " = %" PRId64 "\n",
                traced->number, sim_call_name(traced->kind), traced->name,
                traced->offset, traced->size, traced->result);
    }
    pthread_mutex_unlock(&sim->mutex);
}
