/*
 * daemon.h -- the real daemon as a child, and frames of requests for it.
 */
#ifndef RHIZOME_BENCH_DAEMON_H
#define RHIZOME_BENCH_DAEMON_H

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "harness.h"

namespace bench
{

/* As it travels: a frame, or what becomes one. */
using message = std::vector<uint8_t>;

inline void put32(message &out, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back((uint8_t)(value >> shift));
}

inline void put_atom(message &out, const char *name)
{
    out.push_back(119);
    out.push_back((uint8_t)strlen(name));
    out.insert(out.end(), name, name + strlen(name));
}

inline void put_binary(message &out, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;

    out.push_back(109);
    put32(out, (uint32_t)size);
    out.insert(out.end(), p, p + size);
}

inline void put_request_head(message &out, uint32_t id)
{
    out.insert(out.end(), {104, 2, 98});
    put32(out, id);
}

/* A frame for requests, whose count is known before; and its length, at last.
 */
inline message frame_begin(uint32_t count)
{
    message out = {0, 0, 0, 0, 131, 108};

    put32(out, count);
    return out;
}

inline void frame_end(message &out)
{
    out.push_back(106);
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)((out.size() - 4) >> (24 - 8 * i));
}

class daemon_process
{
  public:
    /* With `under` that program runs the daemon: valgrind, for example. */
    explicit daemon_process(const std::vector<std::string> &options,
                            const std::vector<std::string> &under = {})
    {
        const char *path = getenv("RHIZOME_EXECUTABLE");
        std::vector<char *> argv;
        int in[2], out[2];

        if (!path)
            die("RHIZOME_EXECUTABLE must name the daemon");
        for (const std::string &word : under)
            argv.push_back((char *)word.c_str());
        if (pipe(in) || pipe(out))
            die("pipe: %s", strerror(errno));
        argv.push_back((char *)path);
        argv.push_back((char *)"port");
        for (const std::string &option : options)
            argv.push_back((char *)option.c_str());
        argv.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            dup2(in[0], 0);
            dup2(out[1], 1);
            close(in[1]);
            close(out[0]);
            execvp(argv[0], argv.data());
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        to_ = in[1];
        from_ = out[0];
        take(0); /* hello */
    }

    void send(const message &frame)
    {
        for (size_t at = 0; at < frame.size();) {
            ssize_t n = write(to_, frame.data() + at, frame.size() - at);

            if (n < 0)
                die("the daemon is gone: %s", strerror(errno));
            at += (size_t)n;
        }
    }

    /* Sends a frame of `count` requests and waits until no more than `left`
     * requests are unanswered. */
    void call(const message &frame, unsigned count, unsigned left)
    {
        send(frame);
        waiting_ += count;
        while (waiting_ > left)
            waiting_ -= take(waiting_);
    }

    /* Takes a frame of replies: calls `reply` with the id and the term of each,
     * which has no version byte. How many there were, none if the frame begins
     * with an event. */
    template <class F> unsigned receive(F reply)
    {
        uint32_t size, count;
        unsigned replies = 0;
        const uint8_t *p;

        fill(4);
        size = get32(&buffer_[at_]);
        fill(4 + size);
        p = &buffer_[at_] + 4;
        count = get32(p + 2);
        p += 6;
        while (count-- > 0 && (p[2] == 97 || p[2] == 98)) {
            uint32_t id = p[2] == 97 ? p[3] : get32(p + 3);

            p += p[2] == 97 ? 4 : 7;
            reply(id, p + 6);
            p += 5 + get32(p + 1);
            replies++;
        }
        at_ += 4 + size;
        return replies;
    }

    /* CPU time that it has taken so far, in ns. */
    uint64_t cpu_ns() const
    {
        struct timespec now;
        clockid_t clock;

        if (clock_getcpuclockid(pid_, &clock) || clock_gettime(clock, &now))
            die("the daemon has no clock");
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }

    /* Its resident set. */
    size_t resident_bytes() const
    {
        std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
        size_t total, resident;

        if (!(file >> total >> resident))
            die("the daemon is gone");
        return resident * (size_t)sysconf(_SC_PAGESIZE);
    }

    /* Ends it in order: its CPU time in ns. */
    double finish()
    {
        struct rusage usage;
        int status;

        while (waiting_ > 0)
            waiting_ -= take(waiting_);
        close(to_);
        if (wait4(pid_, &status, 0, &usage) != pid_ || status != 0)
            die("the daemon ended with status %d", status);
        close(from_);
        return 1e9 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               1e3 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }

  private:
    void fill(size_t size)
    {
        while (buffer_.size() - at_ < size) {
            uint8_t room[65536];
            ssize_t n = read(from_, room, sizeof(room));

            if (n <= 0)
                die("the daemon has closed its output");
            buffer_.erase(buffer_.begin(), buffer_.begin() + (long)at_);
            at_ = 0;
            buffer_.insert(buffer_.end(), room, room + n);
        }
    }

    static uint32_t get32(const uint8_t *p)
    {
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
               (uint32_t)p[2] << 8 | p[3];
    }

    /* Takes a frame: how many replies are in it. Events have an atom where
     * replies have an integer, and stand last. */
    unsigned take(unsigned most)
    {
        fill(4);
        uint32_t size = get32(&buffer_[at_]);
        fill(4 + size);
        const uint8_t *p = &buffer_[at_] + 4;
        unsigned count = get32(p + 2), replies = 0;

        for (p += 6; replies < count && replies < most; replies++) {
            if (p[2] == 97)
                p += 4;
            else if (p[2] == 98)
                p += 7;
            else
                break; /* an event */
            if (memcmp(p + 6 + 3, "\x02ok", 3) != 0 && p[6 + 2] != 119)
                die("the daemon answered an error");
            p += 5 + get32(p + 1);
        }
        at_ += 4 + size;
        return replies;
    }

    pid_t pid_;
    int to_;
    int from_;
    unsigned waiting_ = 0;
    message buffer_;
    size_t at_ = 0;
};

} // namespace bench

#endif
