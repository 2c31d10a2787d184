/*
 * bench_log.cc -- suite `termlog`: what durability costs the daemon, and how
 * fast it comes back.
 *
 *   log_interval_cpu    CPU time of a whole daemon process a mutation, with a
 *                       log that is synced each second, beside a daemon that
 *                       has none: 512 callers as the port's owner gathers
 *                       them, frames of 100 requests (16 KiB) and three in the
 *                       pipe. A mutation puts 100 bytes under a key of 13.
 *   log_interval_cpu_64 the same of 64 callers: one frame of 64 requests, sent
 *                       when the last one is answered, so that each pays for
 *                       a write of its own
 *   log_interval_cpu_small, _64_small   the same with pairs of integers
 *   log_bytes           the log's files a mutation of that run, beside the
 *                       commands, that is the bytes that the client sent
 *   recover_checkpoint  pairs a second, loading a checkpoint of a many_to_many
 *                       of random pairs, both directions, every byte checked
 *   replay_log          mutations a second, replaying a log of single inserts
 *                       of the same pairs
 *
 * Directories are made below TMPDIR (or /tmp) and removed.
 */
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unordered_set>
#include <vector>

#include "harness.h"
#include "log_case.h"

using namespace bench;

namespace
{

class directory
{
  public:
    directory()
    {
        const char *parent = getenv("TMPDIR");
        std::string name = std::string(parent ? parent : "/tmp");

        name += "/rhizome-bench-XXXXXX";
        if (!mkdtemp(name.data()))
            die("mkdtemp: %s", strerror(errno));
        path_ = name;
    }
    ~directory()
    {
        std::filesystem::remove_all(path_);
    }
    const std::string &path() const
    {
        return path_;
    }
    uint64_t log_bytes() const
    {
        uint64_t bytes = 0;

        for (const auto &entry : std::filesystem::directory_iterator(path_))
            if (entry.path().filename().string().rfind("log-", 0) == 0)
                bytes += entry.file_size();
        return bytes;
    }

  private:
    std::string path_;
};

/* --- frames --------------------------------------------------------------- */

using bytes = std::vector<uint8_t>;

void put32(bytes &out, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back((uint8_t)(value >> shift));
}

void put_atom(bytes &out, const char *name)
{
    out.push_back(119);
    out.push_back((uint8_t)strlen(name));
    out.insert(out.end(), name, name + strlen(name));
}

void put_binary(bytes &out, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;

    out.push_back(109);
    put32(out, (uint32_t)size);
    out.insert(out.end(), p, p + size);
}

/* {insert, bench, fwd, {Key, Value}}: 13 bytes and 100. */
void put_large(bytes &out, splitmix64 &random)
{
    char key[16];
    uint64_t value[13];

    snprintf(key, sizeof(key), "key:%09u", (unsigned)random.below(1000000000));
    for (uint64_t &word : value)
        word = random.next();
    out.insert(out.end(), {104, 4});
    put_atom(out, "insert");
    put_atom(out, "bench");
    put_atom(out, "fwd");
    out.insert(out.end(), {104, 2});
    put_binary(out, key, 13);
    put_binary(out, value, 100);
}

void put_small(bytes &out, splitmix64 &random)
{
    uint8_t room[64];
    uint64_t src = random.below(125000), dst = random.below(1000000);
    size_t size = log_case_insert(room, src, dst);

    out.insert(out.end(), room, room + size);
}

void put_request_head(bytes &out, uint32_t id)
{
    out.insert(out.end(), {104, 2, 98});
    put32(out, id);
}

/* A frame of `count` requests. */
bytes make_frame(splitmix64 &random, bool small, unsigned count)
{
    bytes out = {0, 0, 0, 0, 131, 108};

    put32(out, count);
    for (uint32_t id = 0; id < count; id++) {
        put_request_head(out, id);
        small ? put_small(out, random) : put_large(out, random);
    }
    out.push_back(106);
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)((out.size() - 4) >> (24 - 8 * i));
    return out;
}

bytes create_frame(bool small)
{
    bytes out = {0, 0, 0, 0, 131};

    put_request_head(out, 0);
    out.insert(out.end(), {104, 4});
    put_atom(out, "create_table");
    put_atom(out, "bench");
    put_atom(out, small ? "many_to_many" : "to_one");
    out.insert(out.end(), {116, 0, 0, 0, 0});
    out[3] = (uint8_t)(out.size() - 4);
    return out;
}

/* --- a daemon ---------------------------------------------------------------
 */

class daemon_process
{
  public:
    explicit daemon_process(const std::vector<std::string> &options)
    {
        const char *path = getenv("RHIZOME_EXECUTABLE");
        std::vector<char *> argv;
        int in[2], out[2];

        if (!path)
            die("RHIZOME_EXECUTABLE must name the daemon");
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
            execv(path, argv.data());
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        to_ = in[1];
        from_ = out[0];
        take(0); /* hello */
    }

    /* Sends a frame of `count` requests and waits until no more than `left`
     * requests are unanswered. */
    void call(const bytes &frame, unsigned count, unsigned left)
    {
        for (size_t at = 0; at < frame.size();) {
            ssize_t n = write(to_, frame.data() + at, frame.size() - at);

            if (n < 0)
                die("the daemon is gone: %s", strerror(errno));
            at += (size_t)n;
        }
        waiting_ += count;
        while (waiting_ > left)
            waiting_ -= take(waiting_);
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
    bytes buffer_;
    size_t at_ = 0;
};

/* How requests reach the daemon. */
struct load {
    const char *suffix;
    bool small;
    unsigned frame;    /* requests of a frame */
    unsigned unwaited; /* that may be unanswered when the next one is sent */
};

const load loads[] = {
    {"", false, 100, 200},
    {"_64", false, 64, 0},
    {"_small", true, 100, 200},
    {"_64_small", true, 64, 0},
};

std::vector<bytes> make_frames(const load &load, uint64_t n)
{
    splitmix64 random(42);
    std::vector<bytes> frames;

    for (uint64_t i = 0; i < n / load.frame; i++)
        frames.push_back(make_frame(random, load.small, load.frame));
    return frames;
}

/* What the commands are that a log is held against. */
void run_commands(recorder &recorder, const load &load, uint64_t n)
{
    uint64_t sent = 0;

    for (const bytes &frame : make_frames(load, n))
        sent += frame.size();
    recorder.add(std::string("log_bytes") + load.suffix, "bytes", "bytes",
                 (double)sent / (double)(n / load.frame * load.frame));
}

void run_daemon(recorder &recorder, bool logged, const load &load, uint64_t n)
{
    std::string suffix = load.suffix;
    directory directory;
    std::vector<std::string> options;
    std::vector<bytes> frames = make_frames(load, n);

    if (logged)
        options = {"--dir",         directory.path(),     "--sync",
                   "interval:1000", "--checkpoint-ratio", "0"};

    daemon_process daemon(options);

    daemon.call(create_frame(load.small), 1, 0);
    for (const bytes &frame : frames)
        daemon.call(frame, load.frame, load.unwaited);
    uint64_t count = frames.size() * load.frame;
    double cpu = daemon.finish();

    recorder.add("log_interval_cpu" + suffix, "ns", "ns", cpu / (double)count);
    if (logged)
        recorder.add("log_bytes" + suffix, "bytes", "bytes",
                     (double)directory.log_bytes() / (double)count);
}

/* --- recovery ---------------------------------------------------------------
 */

void run_recovery(recorder &recorder, bool checkpoint, uint64_t n)
{
    directory directory;
    std::vector<uint64_t> src, dst;
    uint64_t began;
    int64_t count;
    double seconds;

    /* A log only holds mutations that change something: each pair once. */
    std::unordered_set<uint64_t> seen;
    for (const pair &pair : random_pairs(n)) {
        if (!seen.insert(pair.src << 32 | pair.dst).second)
            continue;
        src.push_back(pair.src);
        dst.push_back(pair.dst);
    }
    if (!log_case_make(directory.path().c_str(), src.data(), dst.data(),
                       src.size(), checkpoint))
        die("the store cannot be made");
    began = cpu_ns();
    count = log_case_recover(directory.path().c_str());
    seconds = (double)(cpu_ns() - began) / 1e9;
    if (count != (int64_t)src.size())
        die("recovery gave %lld pairs", (long long)count);
    if (checkpoint)
        recorder.add("recover_checkpoint", "pairs_per_s", "pairs/s",
                     (double)count / seconds);
    else
        recorder.add("replay_log", "ops_per_s", "ops/s",
                     (double)count / seconds);
}

} // namespace

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "What a term log costs, and how fast it comes back.");
    unsigned rounds = options.quick ? 3 : 5;
    uint64_t n = options.sizes.empty() ? 1000000 : options.sizes[0];
    uint64_t mutations = options.quick ? n / 2 : n;

    signal(SIGPIPE, SIG_IGN);
    for (const load &load : loads) {
        std::string suffix = load.suffix;

        if (!wanted(options, "termlog", "log_interval_cpu" + suffix) &&
            !wanted(options, "termlog", "log_bytes" + suffix))
            continue;
        run_rounds(options, "termlog", mutations, rounds,
                   {{"rhizome",
                     [=](recorder &recorder) {
                         run_daemon(recorder, true, load, mutations);
                     }},
                    {"none",
                     [=](recorder &recorder) {
                         run_daemon(recorder, false, load, mutations);
                     }},
                    {"commands", [=](recorder &recorder) {
                         run_commands(recorder, load, mutations);
                     }}});
    }
    for (bool checkpoint : {true, false})
        if (wanted(options, "termlog",
                   checkpoint ? "recover_checkpoint" : "replay_log"))
            run_rounds(options, "termlog", n, rounds,
                       {{"rhizome", [=](recorder &recorder) {
                             run_recovery(recorder, checkpoint, n);
                         }}});
    return 0;
}
