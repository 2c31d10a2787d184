/*
 * seal.c -- a filter of system calls, written down as the kernel reads it.
 *
 *     another processor's call         kill
 *     on the list                      allow
 *     mmap, mprotect with PROT_EXEC    EACCES
 *     open, openat                     EACCES
 *     prctl, prlimit64                 EPERM
 *     io_uring_setup, clone3           ENOSYS
 *     anything else                    kill
 *
 * On the list is what a new thread takes (clone with CLONE_THREAD, and no
 * process), for a store starts its threads when it first has work for them.
 * That of a durable store goes on with calls on files, openat among them.
 * Which files those may be is not a filter's affair, for it cannot read a
 * path: landlock says it, as far as the kernel has it (5.13, truncation from
 * 6.2), and the filter stands alone where it has not.
 *
 * What is left after the start is small: memory, the descriptors that are
 * open, epoll, clocks, and the way out. The list is generous within that, for
 * a store must not die of another version of the C library: it takes in what
 * glibc, musl and libuv are known to use in place of one another. Some things
 * fail softly. Libraries look for files that they can do without (how many
 * processors there are, say), for the limit of the stack and for a name when
 * they start a thread, and newer versions of libuv ask for io_uring, which
 * would pass the filter by. Programs, sockets, ptrace and everything
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
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* The call only if its argument `n` has all of `bits`, which is one bit. */
#define ALLOW_WITH(name, n, bits)                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), LOAD_ARGUMENT(n),  \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 1, 0),                    \
        RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)

/* The call only if its argument `n` is 0, as far as its low half tells. */
#define ALLOW_ZERO(name, n)                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), LOAD_ARGUMENT(n),  \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),                          \
        RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)

/* fcntl() for the state of a descriptor and the size of a pipe only. */
#define ALLOW_FCNTL                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fcntl, 0, 7), LOAD_ARGUMENT(1),   \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETPIPE_SZ, 4, 0),               \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETFD, 3, 0),                    \
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
#ifndef __NR_clone3
#define __NR_clone3 435
#endif

/* What every daemon needs. */
static const struct sock_filter filter_shared[] = {
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SEAL_ARCH, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr),

    /* The loop. */
    ALLOW(read), ALLOW(write), ALLOW(epoll_pwait),
#ifdef __NR_epoll_wait
    ALLOW(epoll_wait),
#endif
    ALLOW(epoll_pwait2), ALLOW(writev), ALLOW(readv), ALLOW(epoll_ctl),
    ALLOW(futex), ALLOW(clock_gettime),

    /* Memory, none of it executable. */
    ALLOW(madvise), ALLOW(munmap), ALLOW(mremap), ALLOW(brk),
    ALLOW_WITHOUT(mmap, 2, PROT_EXEC, EACCES),
    ALLOW_WITHOUT(mprotect, 2, PROT_EXEC, EACCES),

    /* Signals, and the way out. Sending one is not on the list: abort() ends
     * in SIGSYS, which is as dead as SIGABRT. */
    ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(rt_sigaction),
    ALLOW(sigaltstack), ALLOW(restart_syscall), ALLOW(getpid), ALLOW(gettid),
    ALLOW(getppid), ALLOW(exit), ALLOW(exit_group),

    /* Descriptors that are open already. */
    ALLOW(close), ALLOW_FCNTL, ALLOW(lseek), ALLOW(fstat),
#ifdef __NR_newfstatat
    ALLOW(newfstatat), /* how newer versions of glibc write fstat() */
#endif
#ifdef __NR_poll
    ALLOW(poll),
#endif
    ALLOW(ppoll), ALLOW(pread64), ALLOW(preadv),

    /* Clocks and figures. */
    ALLOW(clock_getres), ALLOW(gettimeofday), ALLOW(getrandom),
    ALLOW(getrusage),
    ALLOW(sysinfo), /* qsort() asks how much memory there is */
    ALLOW(sched_yield),

    /* Threads. */
    ALLOW_WITH(clone, 0, CLONE_THREAD), ALLOW(set_robust_list),
#ifdef __NR_rseq
    ALLOW(rseq),
#endif
    ALLOW(sched_getaffinity), ALLOW_ZERO(setpriority, 1), /* its own */
};

/* What a durable store needs beyond that: the calls of log/io.c. */
static const struct sock_filter filter_files[] = {
    ALLOW(pwrite64),   ALLOW(fdatasync), ALLOW(fallocate),
    ALLOW(openat),     ALLOW(fsync),     ALLOW(ftruncate),
#ifdef __NR_renameat
    ALLOW(renameat),
#endif
    ALLOW(renameat2),  ALLOW(unlinkat),  ALLOW(mkdirat),
    ALLOW(getdents64), ALLOW(fadvise64), ALLOW(flock),
};

/* Asked for by libraries that can do without; and the end. */
static const struct sock_filter filter_end[] = {
#ifdef __NR_open
    REFUSE(open, EACCES),
#endif
    REFUSE(openat, EACCES),         REFUSE(clone3, ENOSYS),
    REFUSE(prlimit64, EPERM),       REFUSE(prctl, EPERM),
    REFUSE(io_uring_setup, ENOSYS), RETURN(SECCOMP_RET_KILL_PROCESS),
};

#define LENGTH(filter) (sizeof(filter) / sizeof((filter)[0]))
#define FILTER_MAX                                                             \
    (LENGTH(filter_shared) + LENGTH(filter_files) + LENGTH(filter_end))

/* Appends a part of the program: jumps are relative, so parts just follow. */
static void filter_append(struct sock_fprog *program,
                          const struct sock_filter *part, size_t length)
{
    memcpy(program->filter + program->len, part, length * sizeof(*part));
    program->len = (unsigned short)(program->len + length);
}

bool seal(enum seal_kind kind)
{
    struct sock_filter filter[FILTER_MAX];
    struct sock_fprog program = {.len = 0, .filter = filter};

    filter_append(&program, filter_shared, LENGTH(filter_shared));
    if (kind == SEAL_FILES)
        filter_append(&program, filter_files, LENGTH(filter_files));
    filter_append(&program, filter_end, LENGTH(filter_end));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return false;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* --- files -------------------------------------------------------------- */

/* From <linux/landlock.h>, whose older versions know less than the kernel. */
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif
#define LANDLOCK_VERSION 1
#define LANDLOCK_PATH_BENEATH 1
#define LANDLOCK_WRITE_FILE (1ULL << 1)
#define LANDLOCK_READ_FILE (1ULL << 2)
#define LANDLOCK_READ_DIR (1ULL << 3)
#define LANDLOCK_REMOVE_FILE (1ULL << 5)
#define LANDLOCK_MAKE_DIR (1ULL << 7)
#define LANDLOCK_MAKE_REG (1ULL << 8)
#define LANDLOCK_REFER (1ULL << 13)     /* from version 2 */
#define LANDLOCK_TRUNCATE (1ULL << 14)  /* from version 3 */
#define LANDLOCK_IOCTL_DEV (1ULL << 15) /* from version 5 */
#define LANDLOCK_FIRST ((1ULL << 13) - 1)

struct landlock_ruleset {
    uint64_t handled_access_fs;
};

struct landlock_path {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* Everything that the kernel can refuse, so far as we know of it. */
static uint64_t landlock_handled(long version)
{
    uint64_t handled = LANDLOCK_FIRST;

    if (version >= 2)
        handled |= LANDLOCK_REFER;
    if (version >= 3)
        handled |= LANDLOCK_TRUNCATE;
    if (version >= 5)
        handled |= LANDLOCK_IOCTL_DEV;
    return handled;
}

bool seal_directory(const char *path)
{
    const uint64_t needed = LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE |
                            LANDLOCK_READ_DIR | LANDLOCK_REMOVE_FILE |
                            LANDLOCK_MAKE_DIR | LANDLOCK_MAKE_REG |
                            LANDLOCK_REFER | LANDLOCK_TRUNCATE;
    long version =
        syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    struct landlock_ruleset ruleset;
    struct landlock_path rule;
    bool sealed;
    long fd;

    if (version < 1)
        return false;
    ruleset.handled_access_fs = landlock_handled(version);
    fd = syscall(__NR_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
    if (fd < 0)
        return false;
    rule.allowed_access = needed & ruleset.handled_access_fs;
    rule.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    sealed = rule.parent_fd >= 0 &&
             syscall(__NR_landlock_add_rule, fd, LANDLOCK_PATH_BENEATH, &rule,
                     0) == 0 &&
             prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
             syscall(__NR_landlock_restrict_self, fd, 0) == 0;
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    close((int)fd);
    return sealed;
}

#else

bool seal(enum seal_kind kind)
{
    (void)kind;
    return false;
}

bool seal_directory(const char *path)
{
    (void)path;
    return false;
}

#endif
