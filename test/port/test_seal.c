/*
 * test_seal.c -- ways out that are shut, and what goes on working.
 *
 * Each attempt is made by a child that seals itself first, since there is no
 * way back.
 */
#include "port/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#endif

/* An attempt gives 0, or the errno that it met. */
static int outcome(long result)
{
    return result < 0 ? errno : 0;
}

static int open_to_read(void)
{
    return outcome(open("/etc/passwd", O_RDONLY));
}

static int open_to_write(void)
{
    return outcome(open("/tmp/rhizome-escape", O_WRONLY | O_CREAT, 0600));
}

static int map_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return outcome(page == MAP_FAILED ? -1 : 0);
}

static int make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -1;
    return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int set_up_io_uring(void)
{
    return outcome(syscall(__NR_io_uring_setup, 1, NULL));
}

static int run_a_program(void)
{
    char *arguments[] = {(char *)(uintptr_t) "true", NULL};

    return outcome(execve("/bin/true", arguments, NULL));
}

static int make_a_process(void)
{
    return outcome(fork());
}

static int open_a_socket(void)
{
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int trace(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int signal_others(void)
{
    return outcome(kill(getppid(), 0));
}

static int own_a_descriptor(void)
{
    return outcome(fcntl(0, F_SETOWN, getppid()));
}

static int open_in_the_directory(void)
{
    return outcome(open("file", O_RDWR | O_CREAT, 0600));
}

static int open_beside_the_directory(void)
{
    return outcome(open("../file", O_RDWR | O_CREAT, 0600));
}

static int out_of_the_directory(void)
{
    if (open_in_the_directory() != 0)
        return -1;
    return outcome(renameat(AT_FDCWD, "file", AT_FDCWD, "../file"));
}

/* All that a log does to its files. */
static int keep_a_log(void)
{
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    int fd = openat(directory, "log.tmp", O_RDWR | O_CREAT | O_EXCL, 0600);
    char byte;

    if (directory < 0 || fd < 0 || fallocate(fd, 0, 0, 65536) < 0 ||
        pwrite(fd, "x", 1, 0) != 1 || pread(fd, &byte, 1, 0) != 1 ||
        fdatasync(fd) < 0 || ftruncate(fd, 1) < 0 || fsync(directory) < 0 ||
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0 ||
        mkdirat(directory, "torn", 0700) < 0 ||
        renameat(directory, "log.tmp", directory, "log") < 0 ||
        unlinkat(directory, "log", 0) < 0 || flock(fd, LOCK_EX) < 0)
        return errno;
    return 0;
}

static void *open_outside(void *context)
{
    *(int *)context = open_to_read();
    return NULL;
}

/* A thread that was started after the seal. */
static int open_on_a_thread(void)
{
    pthread_t thread;
    int result = -1;

    if (pthread_create(&thread, NULL, open_outside, &result) != 0)
        return -1;
    pthread_join(thread, NULL);
    return result;
}

static int have_less_weight(void)
{
    return outcome(setpriority(PRIO_PROCESS, 0, 10));
}

static int give_others_less_weight(void)
{
    return outcome(setpriority(PRIO_PROCESS, (id_t)getppid(), 10));
}

/* Libraries ask for it when they start a thread. */
static int ask_for_limits(void)
{
    struct rlimit limit;

    return outcome(getrlimit(RLIMIT_STACK, &limit));
}

/* What a store does all day. */
static int work(void)
{
    void *small = malloc(100);
    void *large = malloc(32 << 20);
    struct timespec now;

    if (!small || !large)
        return -1;
    memset(large, 1, 32 << 20);
    large = realloc(large, 64 << 20);
    free(small);
    free(large);
    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return -1;
    fprintf(stderr, "%s", "");
    return outcome(fcntl(0, F_GETFL));
}

struct attempt {
    const char *name;
    int (*run)(void);
    int wanted; /* errno, or -1: the end by SIGSYS */
};

static const struct attempt strict[] = {
    {"work", work, 0},
    {"have_less_weight", have_less_weight, 0},
    {"ask_for_limits", ask_for_limits, EPERM},
    {"open_on_a_thread", open_on_a_thread, EACCES},
    {"open_to_read", open_to_read, EACCES},
    {"open_to_write", open_to_write, EACCES},
    {"give_others_less_weight", give_others_less_weight, -1},
    {"map_executable", map_executable, EACCES},
    {"make_executable", make_executable, EACCES},
    {"set_up_io_uring", set_up_io_uring, ENOSYS},
    {"run_a_program", run_a_program, -1},
    {"make_a_process", make_a_process, -1},
    {"open_a_socket", open_a_socket, -1},
    {"trace", trace, -1},
    {"signal_others", signal_others, -1},
    {"own_a_descriptor", own_a_descriptor, -1},
    {"keep_a_log", keep_a_log, EACCES},
};

static const struct attempt files[] = {
    {"work", work, 0},
    {"have_less_weight", have_less_weight, 0},
    {"give_others_less_weight", give_others_less_weight, -1},
    {"keep_a_log", keep_a_log, 0},
    {"open_in_the_directory", open_in_the_directory, 0},
    {"open_to_read", open_to_read, EACCES},
    {"open_to_write", open_to_write, EACCES},
    {"open_beside_the_directory", open_beside_the_directory, EACCES},
    {"out_of_the_directory", out_of_the_directory, EACCES},
    {"open_on_a_thread", open_on_a_thread, EACCES},
    {"map_executable", map_executable, EACCES},
    {"make_executable", make_executable, EACCES},
    {"set_up_io_uring", set_up_io_uring, ENOSYS},
    {"run_a_program", run_a_program, -1},
    {"make_a_process", make_a_process, -1},
    {"open_a_socket", open_a_socket, -1},
    {"trace", trace, -1},
    {"signal_others", signal_others, -1},
    {"own_a_descriptor", own_a_descriptor, -1},
};

/* What the child ends with where there is nothing to test. */
#define NO_SEAL 255

static void attempt(const struct attempt *attempt, enum seal_kind kind)
{
    if (kind == SEAL_FILES && !seal_directory("."))
        _exit(NO_SEAL);
    _exit(seal(kind) ? attempt->run() : NO_SEAL);
}

static void expect_all(const struct attempt *attempts, size_t count,
                       enum seal_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        char directory[] = "/tmp/rhizome-seal-XXXXXX";
        pid_t child;
        int status;

        assert_non_null(mkdtemp(directory));
        child = fork();
        if (child == 0) {
            struct rlimit no_core = {0, 0};

            setrlimit(RLIMIT_CORE, &no_core);
            if (chdir(directory) < 0)
                _exit(254);
            attempt(&attempts[i], kind);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (chdir(directory) == 0) {
            unlink("file");
            rmdir("torn");
            rmdir(directory);
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SEAL)
            skip(); /* this build has no filter, or the kernel nothing */
        if (attempts[i].wanted < 0
                ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS
                : !WIFEXITED(status) ||
                      WEXITSTATUS(status) != attempts[i].wanted)
            fail_msg("%s ended with wait status %x", attempts[i].name,
                     (unsigned)status);
    }
}

static void the_strict_seal_holds(void **state)
{
    (void)state;
    expect_all(strict, sizeof(strict) / sizeof(strict[0]), SEAL_STRICT);
}

static void the_seal_around_a_directory_holds(void **state)
{
    (void)state;
    expect_all(files, sizeof(files) / sizeof(files[0]), SEAL_FILES);
}

/* Threads that run already are sealed with the others. */
static void *escape_later(void *context)
{
    int *go = context;

    while (!__atomic_load_n(go, __ATOMIC_ACQUIRE))
        sched_yield();
    socket(AF_INET, SOCK_STREAM, 0);
    return NULL;
}

static void threads_are_sealed_together(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        pthread_t thread;
        int go = 0;

        setrlimit(RLIMIT_CORE, &no_core);
        if (pthread_create(&thread, NULL, escape_later, &go) != 0)
            _exit(1);
        if (!seal(SEAL_FILES))
            _exit(NO_SEAL);
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SEAL)
        skip();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_strict_seal_holds),
        cmocka_unit_test(the_seal_around_a_directory_holds),
        cmocka_unit_test(threads_are_sealed_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
