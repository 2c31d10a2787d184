#include "port/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Opens /dev/null in the places of standard descriptors that are closed. */
static void fill_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int process_own_stdout(void)
{
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    bool has_in = fcntl(STDIN_FILENO, F_GETFD) >= 0;

    if (!has_in || fcntl(STDERR_FILENO, F_GETFD) < 0)
        fill_descriptors();
    if (!has_in && out >= 0) {
        close(out);
        out = -1;
    }
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return out;
}

static void ignore(int number)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(number, &action, NULL);
}

bool process_settle(void)
{
    struct rlimit no_core = {0, 0};
    pid_t parent = getppid();

    ignore(SIGPIPE);
    ignore(SIGINT);
    ignore(SIGHUP);
    ignore(SIGXFSZ); /* writing beyond RLIMIT_FSIZE is EFBIG then */
    setrlimit(RLIMIT_CORE, &no_core);
    /* A parent that died before this call sends nothing; but then we have
     * another one by now. Not being told at all is no reason to stop: the
     * end of stdin tells the same. SIGTERM would wait for ever on a daemon
     * that is stopped, and an orphan has nobody to answer and nothing to
     * save. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == parent;
}

void process_complain(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    /* One write, so that lines of several daemons do not mix. */
    dprintf(STDERR_FILENO, "rhizome: %s\n", line);
}
