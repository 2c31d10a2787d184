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
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <unordered_set>
#include <vector>

#include "daemon.h"
#include "directory.h"
#include "harness.h"
#include "log_case.h"

using namespace bench;

namespace
{

/* --- frames --------------------------------------------------------------- */

/* {insert, bench, fwd, {Key, Value}}: 13 bytes and 100. */
void put_large(message &out, splitmix64 &random)
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

void put_small(message &out, splitmix64 &random)
{
    uint8_t room[64];
    uint64_t src = random.below(125000), dst = random.below(1000000);
    size_t size = log_case_insert(room, src, dst);

    out.insert(out.end(), room, room + size);
}

/* A frame of `count` requests. */
message make_frame(splitmix64 &random, bool small, unsigned count)
{
    message out = frame_begin(count);

    for (uint32_t id = 0; id < count; id++) {
        put_request_head(out, id);
        small ? put_small(out, random) : put_large(out, random);
    }
    frame_end(out);
    return out;
}

message create_frame(bool small)
{
    message out = {0, 0, 0, 0, 131};

    put_request_head(out, 0);
    out.insert(out.end(), {104, 4});
    put_atom(out, "create_table");
    put_atom(out, "bench");
    put_atom(out, small ? "many_to_many" : "to_one");
    out.insert(out.end(), {116, 0, 0, 0, 0});
    out[3] = (uint8_t)(out.size() - 4);
    return out;
}

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

std::vector<message> make_frames(const load &load, uint64_t n)
{
    splitmix64 random(42);
    std::vector<message> frames;

    for (uint64_t i = 0; i < n / load.frame; i++)
        frames.push_back(make_frame(random, load.small, load.frame));
    return frames;
}

/* What the commands are that a log is held against. */
void run_commands(recorder &recorder, const load &load, uint64_t n)
{
    uint64_t sent = 0;

    for (const message &frame : make_frames(load, n))
        sent += frame.size();
    recorder.add(std::string("log_bytes") + load.suffix, "bytes", "bytes",
                 (double)sent / (double)(n / load.frame * load.frame));
}

void run_daemon(recorder &recorder, bool logged, const load &load, uint64_t n)
{
    std::string suffix = load.suffix;
    directory directory;
    std::vector<std::string> options;
    std::vector<message> frames = make_frames(load, n);

    if (logged)
        options = {"--dir",         directory.path(),     "--sync",
                   "interval:1000", "--checkpoint-ratio", "0"};

    daemon_process daemon(options);

    daemon.call(create_frame(load.small), 1, 0);
    for (const message &frame : frames)
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
    unsigned rounds = options.quick ? 1 : 5;
    uint64_t n = !options.sizes.empty() ? options.sizes[0]
                 : options.quick        ? 500000
                                        : 1000000;

    signal(SIGPIPE, SIG_IGN);
    for (const load &load : loads) {
        std::string suffix = load.suffix;

        if (!wanted(options, "termlog", "log_interval_cpu" + suffix) &&
            !wanted(options, "termlog", "log_bytes" + suffix))
            continue;
        run_rounds(
            options, "termlog", n, rounds,
            {{"rhizome",
              [=](recorder &recorder) { run_daemon(recorder, true, load, n); }},
             {"none",
              [=](recorder &recorder) {
                  run_daemon(recorder, false, load, n);
              }},
             {"commands",
              [=](recorder &recorder) { run_commands(recorder, load, n); }}});
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
