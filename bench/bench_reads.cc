/*
 * bench_reads.cc -- suite `snapshots`: point reads of the real daemon while it
 * is busy with long ones.
 *
 *   read_p99_under_scan    99th percentile of the time from sending a point
 *                          read to having its answer, one after the other,
 *                          while the same client has a table of N pairs
 *                          scanned: pages of 1,000 elements, as streams ask
 *                          for them, one always on its way; beside the same
 *                          with nothing else to do ("idle")
 *   read_p99_under_count   the same while a count with a condition looks at all
 *                          N pairs, again and again
 *   read_p50_...           their medians
 *   scan_rate              pairs a second of such a scan with no reads beside
 *   count_rate             pairs a second that such a count looks at
 *
 * One daemon serves all rounds. The client does not look into the pages.
 * Times are those of the wall.
 */
#include <algorithm>
#include <csignal>
#include <ctime>

#include "frames.h"

using namespace bench;

namespace
{

const uint32_t READ_ID = 1, LONG_ID = 2;
const uint64_t PAGE = 1000;

double now_us()
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

/* {count, bench, fwd, none, none} where value < 0: all are looked at. */
message count_frame()
{
    message out = frame_begin(1);

    put_request_head(out, LONG_ID);
    put_with(out, 1);
    put_atom(out, "where");
    out.insert(out.end(), {104, 3});
    put_atom(out, "<");
    put_atom(out, "value");
    put_integer(out, 0);
    out.insert(out.end(), {104, 5});
    for (const char *word : {"count", "bench", "fwd", "none", "none"})
        put_atom(out, word);
    frame_end(out);
    return out;
}

enum work { IDLE, SCAN, COUNT };

/* What is asked for all the time, beside the reads. */
class long_work
{
  public:
    long_work(daemon_process &daemon, work work, uint64_t n)
        : daemon_(daemon), work_(work), n_(n), count_(count_frame())
    {
        next();
    }
    void answered(const uint8_t *term)
    {
        expect_ok(term);
        done_ += work_ == SCAN ? PAGE : n_;
        waiting_ = false;
    }
    void next()
    {
        if (work_ == IDLE || waiting_)
            return;
        if (work_ == SCAN && position_ + PAGE > n_)
            position_ = 0;
        daemon_.send(work_ == SCAN ? page_frame(LONG_ID, position_, PAGE)
                                   : count_);
        position_ += PAGE;
        waiting_ = true;
    }
    void finish()
    {
        while (waiting_)
            daemon_.receive(
                [&](uint32_t, const uint8_t *term) { answered(term); });
    }
    uint64_t done() const
    {
        return done_;
    }

  private:
    daemon_process &daemon_;
    work work_;
    uint64_t n_;
    message count_;
    uint64_t position_ = 0;
    uint64_t done_ = 0; /* pairs */
    bool waiting_ = false;
};

double percentile(std::vector<double> &sorted, double fraction)
{
    return sorted[(size_t)(fraction * (double)(sorted.size() - 1))];
}

void measure_reads(recorder &recorder, daemon_process &daemon, work work,
                   const std::string &name, const std::vector<pair> &pairs,
                   uint64_t reads)
{
    std::vector<double> times;
    long_work beside(daemon, work, pairs.size() * 99 / 100);
    splitmix64 random(7);

    for (uint64_t i = 0; i < reads; i++) {
        message frame = pairs_frame("member", READ_ID,
                                    &pairs[random.below(pairs.size())], 1);
        double began = now_us();
        bool found = false;

        daemon.send(frame);
        while (!found) {
            daemon.receive([&](uint32_t id, const uint8_t *term) {
                if (id == READ_ID) {
                    expect_ok(term);
                    found = true;
                } else {
                    beside.answered(term);
                }
            });
            if (found)
                times.push_back(now_us() - began);
            beside.next();
        }
    }
    beside.finish();
    std::sort(times.begin(), times.end());
    recorder.add("read_p99_" + name, "us", "us", percentile(times, 0.99));
    recorder.add("read_p50_" + name, "us", "us", percentile(times, 0.5));
}

void measure_rate(recorder &recorder, daemon_process &daemon, work work,
                  const std::string &name, uint64_t n, double seconds)
{
    long_work alone(daemon, work, n);
    double began = now_us();

    while (now_us() - began < 1e6 * seconds) {
        daemon.receive(
            [&](uint32_t, const uint8_t *term) { alone.answered(term); });
        alone.next();
    }
    alone.finish();
    recorder.add(name, "pairs_per_s", "pairs/s",
                 1e6 * (double)alone.done() / (now_us() - began));
}

} // namespace

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "Point reads while the daemon has long ones to do.");
    unsigned rounds = options.quick ? 1 : 5;
    uint64_t n = !options.sizes.empty() ? options.sizes[0]
                 : options.quick        ? 1000000
                                        : 10000000;
    uint64_t reads = options.quick ? 5000 : 20000;
    std::vector<std::string> cases = {
        "read_p99_under_scan",  "read_p50_under_scan", "read_p99_under_count",
        "read_p50_under_count", "scan_rate",           "count_rate"};
    auto any = [&](size_t from, size_t to) {
        return std::any_of(cases.begin() + (long)from, cases.begin() + (long)to,
                           [&](const std::string &name) {
                               return wanted(options, "snapshots", name);
                           });
    };

    if (!any(0, cases.size()))
        return 0;
    signal(SIGPIPE, SIG_IGN);

    std::vector<pair> pairs = random_pairs(n);
    daemon_process daemon({});

    daemon.call(create_frame(), 1, 0);
    for (size_t i = 0; i < pairs.size(); i += PAGE)
        daemon.call(insert_frame(&pairs[i], std::min(PAGE, pairs.size() - i)),
                    1, 2);
    daemon.call(pairs_frame("member", READ_ID, &pairs[0], 1), 1, 0);

    if (any(0, 2))
        run_rounds(options, "snapshots", n, rounds,
                   {{"rhizome",
                     [&](recorder &recorder) {
                         measure_reads(recorder, daemon, SCAN, "under_scan",
                                       pairs, reads);
                     }},
                    {"idle", [&](recorder &recorder) {
                         measure_reads(recorder, daemon, IDLE, "under_scan",
                                       pairs, reads);
                     }}});
    if (any(2, 4))
        run_rounds(options, "snapshots", n, rounds,
                   {{"rhizome",
                     [&](recorder &recorder) {
                         measure_reads(recorder, daemon, COUNT, "under_count",
                                       pairs, reads);
                     }},
                    {"idle", [&](recorder &recorder) {
                         measure_reads(recorder, daemon, IDLE, "under_count",
                                       pairs, reads);
                     }}});
    if (any(4, 6))
        run_rounds(options, "snapshots", n, rounds,
                   {{"rhizome", [&](recorder &recorder) {
                         measure_rate(recorder, daemon, SCAN, "scan_rate",
                                      pairs.size() * 99 / 100, 1);
                         measure_rate(recorder, daemon, COUNT, "count_rate",
                                      pairs.size(), 1);
                     }}});
    daemon.finish();
    return 0;
}
