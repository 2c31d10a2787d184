/*
 * seal.c -- a filter of system calls, written down as the kernel reads it.
 *
 *     another processor's call         kill
 *     on the list                      allow
 *     mmap, mprotect with PROT_EXEC    EACCES
 *     open, openat                     EACCES
 *     io_uring_setup                   ENOSYS
 *     anything else                    kill
 *
 * What is left after the start is small: memory, the descriptors that are
 * open, epoll, clocks, and the way out. The list is generous within that, for
 * a store must not die of another version of the C library: it takes in what
 * glibc, musl and libuv are known to use in place of one another. Two things
 * fail softly. Libraries look for files that they can do without (how many
 * processors there are, say), and newer versions of libuv ask for io_uring,
 * which would pass the filter by. Programs, sockets, ptrace and everything
 * else that only an attacker would want is the end of the process.
 *
 * The program is written by hand because it is three instructions of idea and
 * a list. libseccomp says the same, but is one more library to load and builds
 * its program anew at every start: 0.82 ms from start to first reply against
 * 0.71, and 0.1 MiB more of memory in a daemon that has 1.8.
 *
 * The list is walked from its top, so the calls of a running daemon come
 * first; a call costs it some ten comparisons, and the kernel remembers which
 * numbers are always allowed and skips even those.
 */
#include "port/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(HAVE_SECCOMP) && (defined(__x86_64__) || defined(__aarch64__))

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#ifdef __x86_64__
#define SEAL_ARCH AUDIT_ARCH_X86_64
#else
#define SEAL_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field)                                                            \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                         \
             (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

/* Both processors are little-endian: the low half of an argument is first. */
#define LOAD_ARGUMENT(n)                                                       \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                         \
             (uint32_t)offsetof(struct seccomp_data, args) + 8 * (n))

/* If the accumulator is `number`, the action; else go on. */
#define ON(number, action)                                                     \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(number), 0, 1),             \
        RETURN(action)
#define ALLOW(name) ON(__NR_##name, SECCOMP_RET_ALLOW)
#define REFUSE(name, error) ON(__NR_##name, SECCOMP_RET_ERRNO | (error))

/* The call only if its argument `n` has none of `bits`. */
#define ALLOW_WITHOUT(name, n, bits, error)                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), LOAD_ARGUMENT(n),  \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, 1),                    \
        RETURN(SECCOMP_RET_ERRNO | (error)), RETURN(SECCOMP_RET_ALLOW)

/* fcntl() for the state of a descriptor and the size of a pipe only. */
#define ALLOW_FCNTL                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fcntl, 0, 6), LOAD_ARGUMENT(1),   \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETPIPE_SZ, 3, 0),               \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_GETFL, 2, 0),                    \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETFL, 1, 0),                    \
        RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)

/* Newer numbers than the headers may know; the same on all processors. */
#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441
#endif
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#endif

static const struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SEAL_ARCH, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),

    /* The loop. */
    ALLOW(read),
    ALLOW(write),
    ALLOW(epoll_pwait),
#ifdef __NR_epoll_wait
    ALLOW(epoll_wait),
#endif
    ALLOW(epoll_pwait2),
    ALLOW(writev),
    ALLOW(readv),
    ALLOW(epoll_ctl),
    ALLOW(futex),
    ALLOW(clock_gettime),

    /* Memory, none of it executable. */
    ALLOW(madvise),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(brk),
    ALLOW_WITHOUT(mmap, 2, PROT_EXEC, EACCES),
    ALLOW_WITHOUT(mprotect, 2, PROT_EXEC, EACCES),

    /* Signals, and the way out. Sending one is not on the list: abort() ends
     * in SIGSYS, which is as dead as SIGABRT. */
    ALLOW(rt_sigreturn),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigaction),
    ALLOW(sigaltstack),
    ALLOW(restart_syscall),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(getppid),
    ALLOW(exit),
    ALLOW(exit_group),

    /* Descriptors that are open already. */
    ALLOW(close),
    ALLOW_FCNTL,
    ALLOW(lseek),
    ALLOW(fstat),
#ifdef __NR_newfstatat
    ALLOW(newfstatat), /* how newer versions of glibc write fstat() */
#endif
#ifdef __NR_poll
    ALLOW(poll),
#endif
    ALLOW(ppoll),
    ALLOW(pread64),
    ALLOW(preadv),

    /* Clocks and figures. */
    ALLOW(clock_getres),
    ALLOW(gettimeofday),
    ALLOW(getrandom),
    ALLOW(getrusage),
    ALLOW(sched_yield),

/* Asked for by libraries that can do without. */
#ifdef __NR_open
    REFUSE(open, EACCES),
#endif
    REFUSE(openat, EACCES),
    REFUSE(io_uring_setup, ENOSYS),

    RETURN(SECCOMP_RET_KILL_PROCESS),
};

bool seal(void)
{
    struct sock_fprog program = {
        .len = sizeof(filter) / sizeof(filter[0]),
        .filter = (struct sock_filter *)(uintptr_t)filter,
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return false;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#else

bool seal(void)
{
    return false;
}

#endif
