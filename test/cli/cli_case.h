/*
 * cli_case.h -- for tests of the command line: a directory to work in, stores
 * on the disk, and the real program with what it said.
 *
 * Everything here is static, for a test is one file. The program is
 * $RHIZOME_EXECUTABLE. The directory is removed when the test ends well.
 */
#ifndef RHIZOME_TEST_CLI_CASE_H
#define RHIZOME_TEST_CLI_CASE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/store.h"
#include "log/checkpoint.h"
#include "log/termlog.h"
#include "port/replay.h"
#include "support/term_text.h"

#define UNUSED __attribute__((unused))

/* --- a directory --------------------------------------------------------- */

static char scratch[64];

static UNUSED int scratch_make(void **state)
{
    (void)state;
    snprintf(scratch, sizeof(scratch), "/tmp/rhizome-cli-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static UNUSED int scratch_remove(void **state)
{
    (void)state;
    return system(
        test_format("chmod -R u+rwx %s && rm -rf %s", scratch, scratch));
}

/* A path in it, which lasts as long as the test. */
static UNUSED char *in_scratch(const char *name)
{
    static char *kept[256];
    static unsigned count;

    assert_true(count < 256);
    assert_true(asprintf(&kept[count], "%s/%s", scratch, name) > 0);
    return kept[count++];
}

static UNUSED struct bytes file_read(const char *path, struct buffer *ret)
{
    FILE *file = fopen(path, "rb");
    uint8_t chunk[4096];
    size_t size;

    assert_non_null(file);
    ret->size = 0;
    while ((size = fread(chunk, 1, sizeof(chunk), file)))
        test_append(ret, chunk, size);
    fclose(file);
    return buffer_bytes(ret);
}

static UNUSED void file_write(const char *path, struct bytes bytes)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

static UNUSED void file_write_text(const char *path, const char *text)
{
    file_write(path, bytes_of(text, strlen(text)));
}

static UNUSED off_t file_size(const char *path)
{
    struct stat stat_of;

    assert_int_equal(stat(path, &stat_of), 0);
    return stat_of.st_size;
}

/* Changes one byte. */
static UNUSED void file_flip(const char *path, off_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* --- the program --------------------------------------------------------- */

struct ran {
    int status; /* exit status, or 128 + the signal */
    char *out;
    char *err;
    size_t out_size;
};

/* Where stdout goes. */
enum out { OUT_FILE, OUT_CLOSED, OUT_FULL, OUT_BROKEN_PIPE };

static char *slurp(FILE *file, size_t *ret_size)
{
    static char *kept[32];
    static unsigned next;
    char *text;
    long size;

    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    if (ret_size)
        *ret_size = (size_t)size;
    free(kept[next % 32]);
    kept[next++ % 32] = text;
    return text;
}

static void set_out(enum out where, FILE *out)
{
    int ends[2];

    switch (where) {
    case OUT_FILE:
        dup2(fileno(out), STDOUT_FILENO);
        break;
    case OUT_CLOSED:
        close(STDOUT_FILENO);
        break;
    case OUT_FULL:
        dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
        break;
    case OUT_BROKEN_PIPE:
        if (pipe(ends) == 0) {
            dup2(ends[1], STDOUT_FILENO);
            close(ends[0]);
            close(ends[1]);
        }
        break;
    }
}

/* Set it to run the program as nobody, if we are root, whom no file mode
 * stops. */
static bool unprivileged;

static void drop_privileges(void)
{
    if (unprivileged && geteuid() == 0 &&
        (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(126);
}

/* Starts `rhizome` with the words of `line`, which are split at spaces; a
 * word in single quotes may hold some. */
static pid_t start_program(const char *line, enum out where, FILE *out,
                           FILE *err)
{
    char *words = test_format("%s", line);
    char *argv[32] = {NULL};
    unsigned count = 0;
    pid_t pid;

    argv[count++] = getenv("RHIZOME_EXECUTABLE");
    assert_non_null(argv[0]);
    while (*words) {
        char end = *words == '\'' ? '\'' : ' ';

        words += end == '\'';
        argv[count++] = words;
        assert_true(count < 31);
        words = strchr(words, end);
        if (!words)
            break;
        *words++ = '\0';
        while (*words == ' ')
            words++;
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        set_out(where, out);
        dup2(fileno(err), STDERR_FILENO);
        drop_privileges();
        execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static int wait_program(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static UNUSED struct ran run_to(enum out where, const char *line)
{
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    struct ran ran;

    assert_non_null(out);
    assert_non_null(err);
    ran.status = wait_program(start_program(line, where, out, err));
    ran.out = slurp(out, &ran.out_size);
    ran.err = slurp(err, NULL);
    fclose(out);
    fclose(err);
    return ran;
}

static UNUSED struct ran run(const char *line)
{
    return run_to(OUT_FILE, line);
}

static UNUSED void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("`%s` is not in:\n%s", part, text);
}

static UNUSED unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* An error is one line that begins with our name, and nothing on stdout. */
static UNUSED void assert_fails(const char *line, int status, const char *part)
{
    struct ran ran = run(line);

    if (ran.status != status || ran.out_size || count_lines(ran.err) != 1)
        fail_msg("rhizome %s: exit %d, stdout `%s`, stderr `%s`", line,
                 ran.status, ran.out, ran.err);
    assert_int_equal(strncmp(ran.err, "rhizome: ", 9), 0);
    assert_contains(ran.err, part);
}

/* The file or directory `name` is there and must not be read: what the
 * program says of it when it runs as `line`. */
static UNUSED void assert_denied(const char *line, const char *name)
{
    struct ran ran;
    struct stat stat_of;

    assert_int_equal(stat(name, &stat_of), 0);
    assert_int_equal(chmod(scratch, 0755), 0);
    assert_int_equal(chmod(name, 0), 0);
    unprivileged = true;
    ran = run(line);
    unprivileged = false;
    assert_int_equal(chmod(name, stat_of.st_mode & 07777), 0);
    if (ran.status == 126 || ran.status == 127)
        return; /* nobody may not even start it */
    assert_int_equal(ran.status, 74);
    assert_int_equal(ran.out_size, 0);
    assert_int_equal(count_lines(ran.err), 1);
    assert_contains(ran.err, "no permission");
}

/* --- stores -------------------------------------------------------------- */

/* A store at work: what is done in it is logged as the daemon would. */
struct disk_store {
    char *path;
    struct io *io;
    struct store *store;
    struct replayer *replayer;
    struct termlog *log;
};

static UNUSED void disk_open(struct disk_store *disk, const char *path)
{
    struct manifest manifest = {.durable = 0};
    struct store_options options = {.memory_limit = 0};
    int64_t holder;
    int error = 0;

    memcpy(manifest.store_id, "store for a test", STORE_ID_BYTES);
    disk->path = strdup(path);
    assert_int_equal(io_open_directory(path, true, &disk->io), 0);
    assert_int_equal(io_lock(disk->io, &holder), 0);
    assert_int_equal(store_create(&options, &disk->store), ST_OK);
    assert_int_equal(replayer_create(disk->store, test_mem(), &disk->replayer),
                     ST_OK);
    assert_int_equal(termlog_open(disk->io, test_mem(), &manifest, 0,
                                  SEGMENT_BYTES_LOWEST, &disk->log, &error),
                     ST_OK);
}

/* Carries out an Op (its text) and logs it. */
static UNUSED void disk_do_term(struct disk_store *disk, struct bytes term)
{
    uint64_t seq = store_seq(disk->store) + 1;
    const char *why = "";

    if (replayer_apply(disk->replayer, seq, term, &why) != ST_OK)
        fail_msg("mutation %llu: %s", (unsigned long long)seq, why);
    assert_int_equal(termlog_append(disk->log, seq, term), ST_OK);
    if (termlog_digest_due(disk->log))
        termlog_append_digest(disk->log, store_digest(disk->store));
}

static UNUSED void disk_do(struct disk_store *disk, const char *op)
{
    struct buffer term = BUFFER(test_mem());

    term_parse(&term, op);
    disk_do_term(disk, buffer_bytes(&term));
    buffer_free(&term);
}

static UNUSED void disk_sync(struct disk_store *disk)
{
    assert_int_equal(termlog_sync(disk->log), ST_OK);
}

static UNUSED void disk_checkpoint(struct disk_store *disk)
{
    struct checkpoint_job *job;
    struct checkpoint_result result;

    assert_int_equal(checkpoint_begin(disk->store, disk->log, &job), ST_OK);
    checkpoint_run(job);
    assert_int_equal(checkpoint_end(job, disk->log, &result), ST_OK);
    disk_sync(disk);
}

/* In order (`close`), or as a crash would end it. */
static UNUSED void disk_close(struct disk_store *disk, bool in_order)
{
    if (in_order)
        assert_int_equal(termlog_close(disk->log, store_digest(disk->store)),
                         ST_OK);
    termlog_free(disk->log);
    replayer_free(disk->replayer);
    store_free(disk->store);
    io_free(disk->io);
    free(disk->path);
}

/*
 * The store that most tests look at, closed in order:
 *
 *     1  create people        4  insert bob, 25
 *     2  create likes         5  batch: ann likes tea, bob likes <<"milk">>
 *     3  insert ann, 36       6  delete bob from people
 *
 * Without checkpoint it is one segment, with one a checkpoint of seq 4 and a
 * segment from 5.
 */
static UNUSED void make_store(const char *path, bool checkpoint)
{
    struct disk_store disk;

    disk_open(&disk, path);
    disk_do(&disk, "{create_table, people, to_one, #{}}");
    disk_do(&disk, "{create_table, likes, many_to_many, #{}}");
    disk_do(&disk, "{insert, people, fwd, {ann, 36}}");
    disk_do(&disk, "{insert, people, fwd, {bob, 25}}");
    if (checkpoint)
        disk_checkpoint(&disk);
    disk_do(&disk, "{batch, [{insert, likes, fwd, {ann, tea}}, "
                   "{insert, likes, fwd, {bob, <<\"milk\">>}}]}");
    disk_do(&disk, "{delete_key, people, fwd, bob}");
    disk_close(&disk, true);
}

#define FIRST_SEGMENT "log-0000000000000001.tlg"

/* Where the record of a mutation stands in a file, from `rhizome log`. */
static UNUSED off_t offset_of(const char *path, unsigned seq)
{
    struct ran ran = run(test_format("log --all --json %s", path));
    char *line = strstr(ran.out, test_format("{\"seq\":%u,", seq));

    assert_non_null(line);
    line = strstr(line, "\"offset\":");
    assert_non_null(line);
    return (off_t)strtoul(line + 9, NULL, 10);
}

#endif
