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
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

static const struct attempt {
    const char *name;
    int (*run)(void);
    int wanted; /* errno, or -1: the end by SIGSYS */
} attempts[] = {
    {"work", work, 0},
    {"open_to_read", open_to_read, EACCES},
    {"open_to_write", open_to_write, EACCES},
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

static void the_seal_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            struct rlimit no_core = {0, 0};

            setrlimit(RLIMIT_CORE, &no_core);
            _exit(seal() ? attempts[i].run() : 255);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 255)
            skip(); /* this build has no filter */
        if (attempts[i].wanted < 0
                ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS
                : !WIFEXITED(status) ||
                      WEXITSTATUS(status) != attempts[i].wanted)
            fail_msg("%s ended with wait status %x", attempts[i].name,
                     (unsigned)status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seal_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
