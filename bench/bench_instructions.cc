/*
 * bench_instructions.cc -- suite `instructions`: how many instructions an
 * operation takes, as valgrind's callgrind counts them. Caches and neighbours
 * do not matter, so that a change of one in a hundred shows; what it means for
 * time, the other suites tell.
 *
 *   tree_*, string_*   as in the suites of these names, with N pairs
 *   m2m_*, steal       as in suite `junction`, and point reads of it
 *   key_encode, key_decode   of an integer, there and back
 *   daemon_insert_all  the whole daemon, for each pair of a command with 1,000
 *                      of them, for a many_to_many that becomes N
 *   daemon_insert, daemon_member   for a command with one pair more, 64 a frame
 *
 * All case names begin with `instructions_`. This program runs itself under
 * valgrind and asks for a dump after each case.
 * Those of the daemon are the difference between two runs of it.
 */
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "directory.h"
#include "frames.h"
#include "relation.h"
#include "sets.h"

using namespace bench;

namespace
{

const char *const PREFIX = "instructions_";

/* ---- under valgrind ---- */

/* Its dump is named after the case, and tells how many operations it was. */
template <class F> void count(const std::string &name, uint64_t count, F run)
{
    std::string label = name + " " + std::to_string(count);

    CALLGRIND_ZERO_STATS;
    CALLGRIND_START_INSTRUMENTATION;
    run();
    CALLGRIND_STOP_INSTRUMENTATION;
    CALLGRIND_DUMP_STATS_AT(label.c_str());
}

template <class SET> void count_set(const std::string &prefix, uint64_t n)
{
    using key = typename SET::key;
    std::vector<pair> pairs = random_pairs(n);
    std::vector<key> keys = convert_all<key>(pairs);
    SET *set = new SET();
    uint64_t sum = 0;

    permute(pairs, 7);
    std::vector<key> probes = convert_all<key>(pairs);
    count(prefix + "insert", n, [&] {
        for (const key &key : keys)
            set->insert(key);
        set->finish();
    });
    count(prefix + "lookup", n, [&] {
        for (const key &key : probes)
            sum += set->contains(key);
    });
    count(prefix + "scan", set->count(), [&] { set->scan(&sum); });
    count(prefix + "range8", n, [&] {
        for (const key &key : probes)
            set->range(key, &sum);
    });
    if constexpr (SET::can_rank)
        count(prefix + "rank", n, [&] {
            for (const key &key : probes)
                sum += set->rank(key);
        });
    count(prefix + "delete", n / 2, [&] {
        for (uint64_t i = 0; i < n / 2; i++)
            sum += set->erase(probes[i]);
    });
    keep(sum);

    SET *sorted = new SET();
    std::sort(keys.begin(), keys.end());
    count(prefix + "sorted", n, [&] {
        for (const key &key : keys)
            sorted->insert(key);
        sorted->finish();
    });
}

void count_relations(uint64_t n)
{
    std::vector<pair> pairs = random_pairs(n);
    std::vector<encoded_pair> keys = encode_all(pairs);
    relation m2m(TABLE_MANY_TO_MANY);
    relation o2m(TABLE_ONE_TO_MANY);

    count("m2m_insert", n, [&] {
        for (const encoded_pair &key : keys)
            m2m.insert(key);
    });
    permute(pairs, 7);
    pairs.resize(n / 2);
    keys = encode_all(pairs);
    count("m2m_delete", n / 2, [&] {
        for (const encoded_pair &key : keys)
            m2m.erase(key);
    });
    for (uint64_t b = 0; b < n; b++)
        o2m.insert(encode_all({{b / 8, b}})[0]);
    for (pair &pair : pairs)
        pair.dst = pair.dst / 2 * 2 + 1;
    keys = encode_all(pairs);
    count("steal", n / 2, [&] {
        for (const encoded_pair &key : keys)
            o2m.insert(key);
    });
}

void count_keys(uint64_t n)
{
    splitmix64 random(42);
    struct mem mem;

    mem_init(&mem, 0);
    struct buffer terms = {&mem, nullptr, 0, 0};
    struct buffer keys = {&mem, nullptr, 0, 0};
    uint8_t term[5] = {98};
    std::vector<struct bytes> all;

    count("key_encode", n, [&] {
        for (uint64_t i = 0; i < n; i++) {
            store_be32(term + 1, (uint32_t)random.below(10000000));
            if (key_encode(bytes_of(term, sizeof(term)), &keys) < 0)
                die("key_encode failed");
        }
    });
    for (size_t at = 0; at < keys.size;) {
        struct bytes rest = bytes_of(keys.data + at, keys.size - at);

        all.push_back(bytes_of(rest.data, key_size(rest)));
        at += all.back().size;
    }
    count("key_decode", n, [&] {
        for (const struct bytes &key : all)
            if (key_decode(key, &terms) < 0)
                die("key_decode failed");
    });
}

void count_subject(const std::string &subject, uint64_t n)
{
    if (subject == "absl") {
        count_set<node_set<absl::btree_set<words>>>("tree_", n);
        count_set<node_set<absl::btree_set<std::string>>>("string_", n);
        return;
    }
    count_set<rhizome<16>>("tree_", n);
    count_set<rhizome<32>>("string_", n);
    count_relations(n);
    count_keys(n);
}

/* ---- around valgrind ---- */

std::vector<std::string> valgrind(const std::string &out)
{
    return {"valgrind", "--quiet", "--tool=callgrind", "--log-file=/dev/null",
            "--callgrind-out-file=" + out};
}

/* What stands behind `field` in a dump, or nothing. */
std::string read_field(const std::string &path, const std::string &field)
{
    std::ifstream file(path);
    std::string line;

    while (std::getline(file, line))
        if (!line.compare(0, field.size(), field))
            return line.substr(field.size());
    return "";
}

void run_self(const std::string &out, const std::string &subject, uint64_t n)
{
    std::vector<std::string> words = valgrind(out);
    std::vector<char *> argv;
    int status = 0;
    pid_t child;

    words.insert(words.end(),
                 {"--instr-atstart=no",
                  std::filesystem::read_symlink("/proc/self/exe").string(),
                  subject, std::to_string(n)});
    for (std::string &word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    child = fork();
    if (child == 0) {
        execvp(argv[0], argv.data());
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("valgrind ended with status %d", status);
}

void measure_subject(recorder &recorder, const std::string &subject, uint64_t n)
{
    const std::string trigger = "desc: Trigger: Client Request: ";
    directory directory;
    std::string out = directory.path() + "/out";

    run_self(out, subject, n);
    for (unsigned i = 1;; i++) {
        std::string path = out + "." + std::to_string(i);
        std::string label = read_field(path, trigger);
        size_t space = label.find(' ');

        if (space == std::string::npos)
            break;
        recorder.add(PREFIX + label.substr(0, space), "instructions",
                     "instructions",
                     std::stod(read_field(path, "totals: ")) /
                         std::stod(label.substr(space)));
    }
}

/* All instructions of a daemon that has got `frames` of requests. */
double run_daemon(const std::vector<std::pair<message, uint32_t>> &frames)
{
    directory directory;
    std::string out = directory.path() + "/out";
    daemon_process daemon({}, valgrind(out));

    daemon.call(create_frame(), 1, 0);
    for (const auto &frame : frames)
        daemon.call(frame.first, frame.second, 0);
    daemon.finish();
    return std::stod(read_field(out, "totals: "));
}

void measure_daemon(recorder &recorder, uint64_t n)
{
    const uint32_t batch = 1000, in_frame = 64;
    std::vector<pair> pairs = random_pairs(n / batch * batch + n);
    std::vector<std::pair<message, uint32_t>> frames, more;
    double empty = run_daemon({}), full;
    auto add = [&](const char *name, double instructions, uint64_t count) {
        recorder.add(PREFIX + std::string(name), "instructions", "instructions",
                     instructions / (double)count);
    };

    for (uint64_t i = 0; i < n / batch; i++)
        frames.push_back({insert_frame(&pairs[i * batch], batch), 1});
    full = run_daemon(frames);
    add("daemon_insert_all", full - empty, n / batch * batch);
    for (const char *op : {"insert", "member"}) {
        uint64_t from = strcmp(op, "insert") ? 0 : n / batch * batch;

        more = frames;
        for (uint64_t i = 0; i < n / in_frame; i++)
            more.push_back(
                {pairs_frame(op, 0, &pairs[from + i * in_frame], in_frame),
                 in_frame});
        add((std::string("daemon_") + op).c_str(), run_daemon(more) - full,
            n / in_frame * in_frame);
    }
}

/* Which cases there are is known when they have run; it takes seconds. */
bool any_wanted(const options &options)
{
    std::string prefix = PREFIX;

    for (const std::string &name : options.names)
        if (wanted(options, "instructions", PREFIX) ||
            !name.compare(0, prefix.size(), prefix))
            return true;
    return options.names.empty();
}

} // namespace

int main(int argc, char **argv)
{
    if (RUNNING_ON_VALGRIND && argc == 3) {
        count_subject(argv[1], strtoull(argv[2], nullptr, 10));
        return 0;
    }

    options options =
        parse_options(argc, argv, "Instructions an operation takes.");
    uint64_t n = options.sizes.empty() ? 20000 : options.sizes[0];
    auto subject = [=](const char *name) -> bench::subject {
        return {name, [=](recorder &recorder) {
                    measure_subject(recorder, name, n);
                }};
    };

    if (!any_wanted(options))
        return 0;
    signal(SIGPIPE, SIG_IGN);
    run_rounds(options, "instructions", n, 1,
               {subject("rhizome"), subject("absl")});
    run_rounds(options, "instructions", n, 1,
               {{"rhizome",
                 [=](recorder &recorder) { measure_daemon(recorder, n); }}});
    return 0;
}
