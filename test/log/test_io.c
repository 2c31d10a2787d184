/* The seam on a real file system: what io.h says of each call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "log/io.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/rhizome-test-io-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static const char *path_in_root(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static struct io *open_root(void)
{
    struct io *io = NULL;

    assert_int_equal(io_open_directory(root, false, &io), 0);
    return io;
}

static mode_t mode_of(const char *path)
{
    struct stat stat_;

    assert_int_equal(lstat(path, &stat_), 0);
    return stat_.st_mode & 0777;
}

static void a_directory_is_made_with_its_parents(void **state)
{
    struct io *io = NULL;
    char path[256];

    (void)state;
    strcpy(path, path_in_root("a//b/c/"));
    assert_int_equal(io_open_directory(path, false, &io), -ENOENT);
    assert_int_equal(io_open_directory(path, true, &io), 0);
    io_free(io);
    assert_int_equal(io_open_directory(path, true, &io), 0);
    io_free(io);
    assert_int_equal(mode_of(path_in_root("a")), 0700);
    assert_int_equal(mode_of(path_in_root("a/b/c")), 0700);
    io_free(NULL);

    /* Also beneath where the process stands. */
    assert_int_equal(chdir(root), 0);
    assert_int_equal(io_open_directory("d/e", true, &io), 0);
    io_free(io);
    assert_int_equal(io_open_directory("f", true, &io), 0);
    io_free(io);
    assert_int_equal(mode_of(path_in_root("d/e")), 0700);
    assert_int_equal(chdir("/"), 0);

    io = open_root();
    io_close(io, io_open(io, "file", IO_CREATE));
    io_free(io);
    assert_int_equal(io_open_directory(path_in_root("file"), true, &io),
                     -ENOTDIR);
    assert_int_equal(io_open_directory(path_in_root("file/x"), true, &io),
                     -ENOTDIR);
}

static void files_are_opened_as_asked(void **state)
{
    struct io *io = open_root();
    uint8_t byte = 1;
    int fd;

    (void)state;
    assert_int_equal(io_open(io, "x", IO_READ), -ENOENT);
    assert_int_equal(io_open(io, "x", IO_WRITE), -ENOENT);
    fd = io_open(io, "x", IO_CREATE);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(mode_of(path_in_root("x")), 0600);
    assert_int_equal(io_close(io, fd), 0);
    assert_int_equal(io_close(io, fd), -EBADF);
    assert_int_equal(io_open(io, "x", IO_CREATE), -EEXIST);
    fd = io_open(io, "x", IO_READ);
    assert_int_equal(io_pwrite(io, fd, &byte, 1, 0), -EBADF);
    io_close(io, fd);
    fd = io_open(io, "x", IO_WRITE);
    assert_int_equal(io_pwrite(io, fd, &byte, 1, 0), 1);
    io_close(io, fd);

    assert_int_equal(symlink("x", path_in_root("link")), 0);
    assert_int_equal(io_open(io, "link", IO_READ), -ELOOP);
    assert_int_equal(io_open(io, "link", IO_CREATE), -EEXIST);
    assert_int_equal(io_make_directory(io, "below"), 0);
    assert_int_equal(io_open(io, "below", IO_READ), -EISDIR);
    assert_int_equal(mkfifo(path_in_root("fifo"), 0600), 0);
    assert_int_equal(io_open(io, "fifo", IO_READ), -EINVAL);
    io_free(io);
}

static void bytes_are_written_and_read(void **state)
{
    struct io *io = open_root();
    uint8_t bytes[10] = "0123456789";
    uint8_t read[16];
    int fd = io_open(io, "x", IO_CREATE);

    (void)state;
    assert_int_equal(io_write_all(io, fd, bytes, 10, 5), 0);
    assert_int_equal(io_size(io, fd), 15);
    assert_int_equal(io_pread(io, fd, read, 16, 0), 15);
    assert_memory_equal(read,
                        "\0\0\0\0\0"
                        "0123456789",
                        15);
    assert_int_equal(io_pread(io, fd, read, 16, 15), 0);
    assert_int_equal(io_read_all(io, fd, read, 10, 5), 0);
    assert_memory_equal(read, bytes, 10);
    assert_int_equal(io_read_all(io, fd, read, 11, 5), -ENODATA);
    assert_int_equal(io_sync(io, fd), 0);
    assert_int_equal(io_forget(io, fd), 0);
    assert_int_equal(io_read_all(io, fd, read, 10, 5), 0);
    assert_int_equal(io_truncate(io, fd, 7), 0);
    assert_int_equal(io_size(io, fd), 7);
    io_close(io, fd);
    assert_int_equal(io_sync(io, fd), -EBADF);
    assert_int_equal(io_size(io, fd), -EBADF);
    io_free(io);
}

static void allocated_room_is_zeros_and_keeps_data(void **state)
{
    struct io *io = open_root();
    uint8_t read[100];
    int fd = io_open(io, "x", IO_CREATE);
    struct stat stat_;

    (void)state;
    assert_int_equal(io_write_all(io, fd, "data", 4, 0), 0);
    assert_int_equal(io_allocate(io, fd, 0, 1 << 20), 0);
    assert_int_equal(io_size(io, fd), 1 << 20);
    assert_int_equal(fstat(fd, &stat_), 0);
    assert_true(stat_.st_blocks * 512 >= 1 << 20);
    assert_int_equal(io_read_all(io, fd, read, 100, 0), 0);
    assert_memory_equal(read, "data", 4);
    for (int i = 4; i < 100; i++)
        assert_int_equal(read[i], 0);
    io_close(io, fd);
    io_free(io);
}

static void note_name(void *context, const char *name)
{
    char *names = context;

    strcat(strcat(names, name), " ");
}

static void names_change(void **state)
{
    struct io *io = open_root();
    char names[256] = "";
    int fd;

    (void)state;
    assert_int_equal(io_make_directory(io, "torn"), 0);
    assert_int_equal(io_make_directory(io, "torn"), 0);
    fd = io_open(io, "torn/x", IO_CREATE);
    assert_true(fd >= 0);
    io_close(io, fd);
    io_close(io, io_open(io, "y", IO_CREATE));
    assert_int_equal(io_make_directory(io, "y"), -ENOTDIR);
    assert_int_equal(io_rename(io, "y", "torn/x"), 0);
    assert_int_equal(io_rename(io, "y", "torn/x"), -ENOENT);
    assert_int_equal(io_sync_directory(io, NULL), 0);
    assert_int_equal(io_sync_directory(io, "torn"), 0);
    assert_int_equal(io_sync_directory(io, "nothing"), -ENOENT);
    assert_int_equal(io_sync_directory(io, "torn/x"), -ENOTDIR);
    assert_int_equal(io_list(io, note_name, names), 0);
    assert_string_equal(names, "torn ");
    names[0] = '\0';
    assert_int_equal(io_list(io, note_name, names), 0); /* once more */
    assert_string_equal(names, "torn ");
    assert_int_equal(io_unlink(io, "torn/x"), 0);
    assert_int_equal(io_unlink(io, "torn/x"), -ENOENT);
    io_free(io);
}

/* Runs `body` in another process; what it gives is its exit status. */
static int in_child(int (*body)(void *), void *context)
{
    pid_t child;
    int status;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body(context));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_lock(void *context)
{
    struct io *io;
    int64_t holder = -1;
    int error;

    if (io_open_directory(root, false, &io) < 0)
        return 1;
    error = io_lock(io, &holder);
    if (error == 0)
        return 2;
    return error == -EWOULDBLOCK && holder == *(int64_t *)context ? 3 : 4;
}

static void one_process_holds_the_lock(void **state)
{
    struct io *io = open_root();
    int64_t self = getpid();
    int64_t unknown = 0;
    int64_t holder = -1;
    int fd;

    (void)state;
    assert_int_equal(in_child(try_lock, &self), 2); /* and it dies */
    assert_int_equal(io_lock(io, &holder), 0);
    assert_int_equal(io_lock(io, &holder), 0);
    assert_int_equal(holder, -1);
    assert_int_equal(in_child(try_lock, &self), 3);

    /* Reading, closing and copying the file elsewhere does not let go. */
    fd = io_open(io, "LOCK", IO_WRITE);
    assert_true(fd >= 0);
    assert_int_equal(io_truncate(io, fd, 0), 0);
    io_close(io, fd);
    assert_int_equal(in_child(try_lock, &unknown), 3);

    io_free(io);
    assert_int_equal(in_child(try_lock, &self), 2);
}

static void a_lock_that_is_a_link_is_not_taken(void **state)
{
    struct io *io = open_root();
    int64_t holder;

    (void)state;
    assert_int_equal(symlink("elsewhere", path_in_root("LOCK")), 0);
    assert_int_equal(io_lock(io, &holder), -ELOOP);
    io_free(io);
}

/* Writes until it fails; what was reported as written must be there. */
static int fill(struct io *io, int fd, uint64_t *ret_size)
{
    static uint8_t bytes[3000];

    *ret_size = 0;
    memset(bytes, 0xab, sizeof(bytes));
    for (;;) {
        ssize_t done = io_pwrite(io, fd, bytes, sizeof(bytes), *ret_size);

        if (done < 0)
            return (int)done;
        assert_true(done > 0);
        *ret_size += (uint64_t)done;
    }
}

static void a_full_disk_is_reported(void **state)
{
    char path[256];
    struct io *io;
    uint64_t size;
    int64_t holder;
    int fd;

    (void)state;
    strcpy(path, path_in_root("small"));
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0) {
        print_message("skipped: no tmpfs may be mounted here: %s\n",
                      strerror(errno));
        skip();
    }
    assert_int_equal(io_open_directory(path, false, &io), 0);
    fd = io_open(io, "x", IO_CREATE);
    assert_int_equal(io_allocate(io, fd, 0, 1 << 20), -ENOSPC);
    assert_int_equal(fill(io, fd, &size), -ENOSPC);
    assert_int_equal(io_size(io, fd), size);
    assert_true(size <= 65536 && size > 40000);
    /* Full: and yet the lock can be taken. */
    assert_int_equal(io_lock(io, &holder), 0);
    assert_int_equal(io_write_all(io, fd, "again", 5, size), -ENOSPC);
    assert_int_equal(io_truncate(io, fd, 0), 0);
    /* Room that was allocated is there, whatever others write. */
    assert_int_equal(io_allocate(io, fd, 0, 32768), 0);
    assert_int_equal(fill(io, io_open(io, "y", IO_CREATE), &size), -ENOSPC);
    for (uint64_t at = 0; at < 32768; at += 5)
        assert_int_equal(io_write_all(io, fd, "again", 3, at), 0);
    io_close(io, fd);
    io_free(io);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
}

/* ramfs has no fallocate(): zeros are written, behind the end only. */
static void room_is_made_where_nothing_allocates(void **state)
{
    char path[256];
    uint8_t read[6];
    struct io *io;
    int fd;

    (void)state;
    strcpy(path, path_in_root("ram"));
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("ramfs", path, "ramfs", 0, NULL) < 0) {
        print_message("skipped: no ramfs may be mounted here: %s\n",
                      strerror(errno));
        skip();
    }
    assert_int_equal(io_open_directory(path, false, &io), 0);
    fd = io_open(io, "x", IO_CREATE);
    assert_int_equal(fallocate(fd, 0, 0, 1), -1); /* what is tested here */
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(io_write_all(io, fd, "data", 4, 0), 0);
    assert_int_equal(io_allocate(io, fd, 0, 100001), 0);
    assert_int_equal(io_size(io, fd), 100001);
    assert_int_equal(io_read_all(io, fd, read, 6, 0), 0);
    assert_memory_equal(read, "data\0\0", 6);
    assert_int_equal(io_allocate(io, fd, 0, 10), 0);
    assert_int_equal(io_size(io, fd), 100001);
    io_close(io, fd);
    io_free(io);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
}

/* In a process of its own: the limit is for all of it. */
static int meet_the_size_limit(void *context)
{
    struct rlimit limit = {50000, 50000};
    struct io *io;
    uint64_t size;
    int fd;

    (void)context;
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0 ||
        io_open_directory(root, false, &io) < 0)
        return 1;
    fd = io_open(io, "x", IO_CREATE);
    if (io_allocate(io, fd, 0, 60000) != -EFBIG)
        return 2;
    if (fill(io, fd, &size) != -EFBIG || size != 50000)
        return 3;
    if (io_write_all(io, fd, "x", 1, 49999) != 0 ||
        io_write_all(io, fd, "xy", 2, 49999) != -EFBIG)
        return 4;
    io_close(io, fd);
    io_free(io);
    return 0;
}

static void a_size_limit_is_reported(void **state)
{
    (void)state;
    assert_int_equal(in_child(meet_the_size_limit, NULL), 0);
}

#define IN_ROOT(test)                                                          \
    cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOT(a_directory_is_made_with_its_parents),
        IN_ROOT(files_are_opened_as_asked),
        IN_ROOT(bytes_are_written_and_read),
        IN_ROOT(allocated_room_is_zeros_and_keeps_data),
        IN_ROOT(names_change),
        IN_ROOT(one_process_holds_the_lock),
        IN_ROOT(a_lock_that_is_a_link_is_not_taken),
        IN_ROOT(a_full_disk_is_reported),
        IN_ROOT(room_is_made_where_nothing_allocates),
        IN_ROOT(a_size_limit_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
