/*
 * bench_scale.cc -- suite `scale`: what operations cost as a store grows, from
 * 100 k to 50 M random pairs of integers.
 *
 * Of one tree, where a subject is a size and `rhizome` the largest:
 *
 *   grow_insert   an insert into a tree of that many pairs: a tenth as many
 *                 again are inserted, 1 M at most
 *   grow_lookup   a random hit
 *   grow_rank     how many pairs lie before a random one
 *   grow_scan     a pair of a full scan, as in suite `tree`
 *   grow_delete   of a random pair
 *   grow_bytes    growth of the resident set, a pair
 *
 * Of a many_to_many in the real daemon, which keeps a log; CPU time of the
 * daemon, frames included:
 *
 *   scale_insert      a pair of the last tenth (1 M at most), 1,000 a command
 *   scale_lookup      a `member`, 100 a frame
 *   scale_scan        a pair of pages of 1,000
 *   scale_bytes       growth of its resident set, a pair
 *   scale_log_bytes, scale_checkpoint_bytes   their files, a pair
 *   scale_replay      wall time from the start of a daemon to its first answer,
 *                     everything in the log; the files are in the page cache
 *   scale_checkpoint  wall time of a checkpoint, synced
 *   scale_recover     as scale_replay, everything in the checkpoint
 *   scale_replay_cpu, scale_recover_cpu   CPU time of the daemon by then
 */
#include <algorithm>
#include <chrono>
#include <csignal>

#include "directory.h"
#include "frames.h"
#include "sets.h"

using namespace bench;

namespace
{

const uint64_t CHUNK = 1000000; /* pairs that are made at a time */

uint64_t window(uint64_t n)
{
    return std::min<uint64_t>(n / 10, 1000000);
}

/* Takes every so many-th of the pairs that come by, in random order at last. */
class probe_taker
{
  public:
    /* With all the memory that they will need. */
    probe_taker(uint64_t n, uint64_t probes)
        : every_(n / probes), probes_(probes + probes / 8)
    {
        probes_.clear();
    }
    void take(const pair &pair)
    {
        if (seen_++ % every_ == 0)
            probes_.push_back(pair);
    }
    const std::vector<pair> &finish()
    {
        permute(probes_, 7);
        return probes_;
    }

  private:
    uint64_t every_;
    uint64_t seen_ = 0;
    std::vector<pair> probes_;
};

/* --- one tree ------------------------------------------------------------- */

/* As a thread of the daemon does it beside the loop. */
void settle(struct heap *heap)
{
    heap_settle(heap, heap_grown(heap));
}

void grow(recorder &recorder, uint64_t n)
{
    struct heap heap;
    rhizome<16> tree;
    pair_source source(n);
    probe_taker taker(n, std::min(n, CHUNK));
    std::vector<pair> pairs(std::min(n, CHUNK));
    std::vector<encoded_ints> keys = convert_all<encoded_ints>(pairs);
    size_t before = resident_bytes();
    uint64_t began, hits = 0, sum = 0;
    /* Makes them outside of what is measured, in the same place. */
    auto prepare = [&](uint64_t count) {
        keys.clear();
        pairs.resize(count);
        for (pair &pair : pairs) {
            pair = source.next();
            taker.take(pair);
        }
        for (const encoded_ints &key : convert_all<encoded_ints>(pairs))
            keys.push_back(key);
    };

    heap_init(&heap);
    for (uint64_t done = 0; done < n; done += pairs.size()) {
        prepare(std::min(CHUNK, n - done));
        for (const encoded_ints &key : keys)
            tree.insert(key);
        settle(&heap);
    }
    recorder.add("grow_bytes", "bytes", "bytes",
                 (double)(resident_bytes() - before) / (double)tree.count());
    prepare(window(n));
    began = cpu_ns();
    for (const encoded_ints &key : keys)
        tree.insert(key);
    recorder.add("grow_insert", "ns", "ns", each(began, keys.size()));

    keys = convert_all<encoded_ints>(taker.finish());
    began = cpu_ns();
    for (const encoded_ints &key : keys)
        hits += tree.contains(key);
    recorder.add("grow_lookup", "ns", "ns", each(began, keys.size()));
    began = cpu_ns();
    for (const encoded_ints &key : keys)
        sum += tree.rank(key);
    recorder.add("grow_rank", "ns", "ns", each(began, keys.size()));

    uint64_t passes = std::max<uint64_t>(1, 4 * CHUNK / n);
    uint64_t count = tree.count();

    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++)
        if (tree.scan(&sum) != count)
            die("a scan missed some pairs");
    recorder.add("grow_scan", "ns", "ns", each(began, passes * count));
    keep(sum);

    uint64_t deleted = 0;

    began = cpu_ns();
    for (const encoded_ints &key : keys)
        deleted += tree.erase(key);
    recorder.add("grow_delete", "ns", "ns", each(began, keys.size()));
    if (hits != keys.size() || deleted < hits - hits / 1000 - 1 ||
        tree.count() != count - deleted)
        die("pairs are missing");
}

/* --- the daemon ----------------------------------------------------------- */

using steady = std::chrono::steady_clock;

double ms_since(steady::time_point began)
{
    std::chrono::duration<double, std::milli> took = steady::now() - began;

    return took.count();
}

message checkpoint_frame()
{
    message out = frame_begin(1);

    put_request_head(out, 0);
    out.insert(out.end(), {104, 1});
    put_atom(out, "checkpoint");
    frame_end(out);
    return out;
}

/* Sends `pairs`, 1,000 a command, three on their way; waits for all. */
void insert_pairs(daemon_process &daemon, const std::vector<pair> &pairs)
{
    const uint64_t batch = 1000;

    for (uint64_t i = 0; i < pairs.size(); i += batch)
        daemon.call(insert_frame(&pairs[i], std::min(batch, pairs.size() - i)),
                    1, i + batch < pairs.size() ? 2 : 0);
}

void measure_store(recorder &recorder, daemon_process &daemon,
                   const std::string &size, uint64_t n,
                   std::vector<pair> &probes)
{
    const uint64_t page = 1000, in_frame = 100;
    pair_source source(n);
    probe_taker taker(n, std::min(n, CHUNK));
    std::vector<pair> pairs;
    size_t before;
    uint64_t began, last = window(n), took = 0, count;

    daemon.call(create_frame(), 1, 0);
    before = daemon.resident_bytes();
    for (uint64_t done = 0; done < n; done += pairs.size()) {
        bool counts = done >= n - last;
        uint64_t end = counts ? n : n - last;

        pairs.resize(std::min(CHUNK, end - done));
        for (pair &pair : pairs) {
            pair = source.next();
            taker.take(pair);
        }
        began = daemon.cpu_ns();
        insert_pairs(daemon, pairs);
        took += counts ? daemon.cpu_ns() - began : 0;
    }
    recorder.add("scale_insert_" + size, "ns", "ns",
                 (double)took / (double)last);
    recorder.add("scale_bytes_" + size, "bytes", "bytes",
                 (double)(daemon.resident_bytes() - before) / (double)n);

    probes = taker.finish();
    began = daemon.cpu_ns();
    count = probes.size() - probes.size() % in_frame;
    for (uint64_t i = 0; i < count; i += in_frame)
        daemon.call(pairs_frame("member", 0, &probes[i], in_frame), in_frame,
                    i + in_frame < count ? 2 * in_frame : 0);
    recorder.add("scale_lookup_" + size, "ns", "ns",
                 (double)(daemon.cpu_ns() - began) / (double)count);

    began = daemon.cpu_ns();
    count = std::min(n, 10 * CHUNK) * 99 / 100 / page * page;
    for (uint64_t at = 0; at < count; at += page) {
        daemon.send(page_frame(0, at, page));
        while (!daemon.receive(
            [](uint32_t, const uint8_t *term) { expect_ok(term); }))
            ;
    }
    recorder.add("scale_scan_" + size, "ns", "ns",
                 (double)(daemon.cpu_ns() - began) / (double)count);
}

/* Starts a daemon and asks for a pair that it must have; then goes on. */
template <class F>
void start(recorder &recorder, const std::string &name, const std::string &size,
           const std::vector<std::string> &options, const pair &probe, F go_on)
{
    auto began = steady::now();
    daemon_process daemon(options);

    daemon.send(pairs_frame("member", 0, &probe, 1));
    while (!daemon.receive([](uint32_t, const uint8_t *term) {
        /* The term {ok, true}. */
        if (memcmp(term, "\x68\x02\x77\x02ok\x77\x04true", 12))
            die("the pair is not there");
    }))
        ;
    recorder.add(name + "_" + size, "ms", "ms", ms_since(began));
    recorder.add(name + "_cpu_" + size, "ms", "ms",
                 (double)daemon.cpu_ns() / 1e6);
    go_on(daemon);
    daemon.finish();
}

void measure_daemon(recorder &recorder, const std::string &size, uint64_t n)
{
    directory directory;
    std::vector<std::string> options = {"--dir", directory.path(),
                                        "--checkpoint-ratio", "0"};
    std::vector<pair> probes;

    {
        daemon_process daemon(options);

        measure_store(recorder, daemon, size, n, probes);
        daemon.finish();
    }
    recorder.add("scale_log_bytes_" + size, "bytes", "bytes",
                 (double)directory.log_bytes() / (double)n);
    start(recorder, "scale_replay", size, options, probes[0],
          [&](daemon_process &daemon) {
              auto began = steady::now();

              daemon.send(checkpoint_frame());
              /* The event that it is in place, before the reply. */
              if (daemon.receive([](uint32_t, const uint8_t *) {}) ||
                  !directory.checkpoint_bytes())
                  die("that was no checkpoint");
              recorder.add("scale_checkpoint_" + size, "ms", "ms",
                           ms_since(began));
          });
    recorder.add("scale_checkpoint_bytes_" + size, "bytes", "bytes",
                 (double)directory.checkpoint_bytes() / (double)n);
    start(recorder, "scale_recover", size, options, probes[1],
          [](daemon_process &) {});
}

bool any_wanted(const options &options, const char *prefix,
                const std::vector<std::string> &cases, const std::string &size)
{
    return std::any_of(cases.begin(), cases.end(), [&](const auto &name) {
        return wanted(options, "scale", prefix + name + size);
    });
}

} // namespace

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "What operations cost as a tree and a store grow.");
    std::vector<uint64_t> sizes = options.sizes;
    std::vector<subject> trees;

    signal(SIGPIPE, SIG_IGN);
    if (sizes.empty()) {
        sizes = {100000, 1000000};
        if (!options.quick)
            sizes.insert(sizes.end(), {10000000, 50000000});
    }
    for (uint64_t n : sizes)
        trees.push_back({n == sizes.back() ? "rhizome" : size_name(n),
                         [=](recorder &recorder) { grow(recorder, n); }});
    if (any_wanted(options, "grow_",
                   {"insert", "lookup", "rank", "scan", "delete", "bytes"}, ""))
        run_rounds(options, "scale", sizes.back(), options.quick ? 1 : 3,
                   trees);
    for (uint64_t n : sizes) {
        std::string size = "_" + size_name(n);

        if (any_wanted(options, "scale_",
                       {"insert", "lookup", "scan", "bytes", "log_bytes",
                        "checkpoint_bytes", "replay", "replay_cpu",
                        "checkpoint", "recover", "recover_cpu"},
                       size))
            run_rounds(options, "scale", n,
                       options.quick || n > 4000000 ? 1 : 3,
                       {{"rhizome", [=](recorder &recorder) {
                             measure_daemon(recorder, size_name(n), n);
                         }}});
    }
    return 0;
}
