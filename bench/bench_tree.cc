/*
 * bench_tree.cc -- one ordered set of pairs: our tree beside its peers.
 *
 * Suite "tree": pairs of integers. Ours gets them encoded, as a table would
 * hand them over; LMDB gets 16 big-endian bytes; SQLite two columns; the
 * others two words.
 * Suite "string": the binaries <<"user:00000042">> and <<"item:00000007">>,
 * encoded; the peers get one string, the 30 bytes of both encodings, and
 * SQLite two columns of 13 characters.
 *
 * Probes come from an array that was permuted beforehand, so that fetching
 * one costs no cache miss of its own. What a case measures:
 *
 *   insert    each pair once, in random order, into an empty set
 *   lookup    random hits, 4 M at most
 *   scan      all pairs in order, reading eight bytes of each or more
 *   rebuild   the same with each key put together again, as a reply needs it
 *   range8    seek a src, then read all its pairs, 8 on average
 *   rank      how many pairs lie before a random one
 *   delete    half of the pairs, 2 M at most, in random order
 *   bytes     growth of the resident set by the inserts, a pair
 *   account   the same as our own memory account has it
 *   sorted    inserts in ascending order; its bytes
 *   bulk      the builder, or one sort of an array; its bytes
 */
#include <algorithm>
#include <string>

#include "sets.h"

using namespace bench;

struct namer {
    std::string suite;
    std::string size;

    std::string operator()(const char *what) const
    {
        return suite + "_" + what + "_" + size;
    }
};

template <class SUBJECT>
static void measure_random(recorder &recorder, const namer &name, uint64_t n)
{
    using key = typename SUBJECT::key;
    std::vector<key> keys;
    std::vector<key> probes;
    SUBJECT *subject = new SUBJECT();
    size_t before;
    size_t bytes;
    uint64_t began;
    uint64_t sum = 0;
    uint64_t hits = 0;
    uint64_t count;

    {
        std::vector<pair> pairs = random_pairs(n);

        keys = convert_all<key>(pairs);
        permute(pairs, 7);
        pairs.resize(std::min<uint64_t>(n, 4000000));
        probes = convert_all<key>(pairs);
    }
    before = resident_bytes();
    began = cpu_ns();
    for (const key &key : keys)
        subject->insert(key);
    subject->finish();
    recorder.add(name("insert"), "ns", "ns", each(began, n));
    bytes = resident_bytes() - before;
    if (subject->bytes())
        bytes = subject->bytes();
    count = subject->count();
    if (count > n || count < n - n / 1000 - 1)
        die("%llu pairs of %llu", (unsigned long long)count,
            (unsigned long long)n);
    recorder.add(name("bytes"), "bytes", "bytes", (double)bytes / count);
    if (subject->account())
        recorder.add(name("account"), "bytes", "bytes",
                     (double)subject->account() / count);

    began = cpu_ns();
    for (const key &probe : probes)
        hits += subject->contains(probe);
    recorder.add(name("lookup"), "ns", "ns", each(began, probes.size()));
    if (hits != probes.size())
        die("%llu hits of %zu", (unsigned long long)hits, probes.size());

    /* Small sets are scanned several times, for the clock's sake. */
    uint64_t passes = std::max<uint64_t>(1, 4000000 / n);

    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++) {
        if (subject->scan(&sum) != count)
            die("a scan missed some pairs");
    }
    recorder.add(name("scan"), "ns", "ns", each(began, passes * count));
    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++)
        hits = subject->rebuild(&sum);
    if (hits)
        recorder.add(name("rebuild"), "ns", "ns", each(began, passes * count));

    uint64_t ranges = std::min<uint64_t>(probes.size(), 1000000);

    began = cpu_ns();
    hits = 0;
    for (uint64_t i = 0; i < ranges; i++)
        hits += subject->range(probes[i], &sum);
    recorder.add(name("range8"), "ns", "ns", each(began, ranges));
    if (hits < ranges)
        die("ranges are empty");

    if constexpr (SUBJECT::can_rank) {
        began = cpu_ns();
        for (const key &probe : probes)
            sum += subject->rank(probe);
        recorder.add(name("rank"), "ns", "ns", each(began, probes.size()));
    }
    if constexpr (SUBJECT::can_delete) {
        uint64_t deletes = std::min<uint64_t>(n / 2, 2000000);

        began = cpu_ns();
        hits = 0;
        for (uint64_t i = 0; i < deletes; i++)
            hits += subject->erase(probes[i]);
        recorder.add(name("delete"), "ns", "ns", each(began, deletes));
        if (subject->count() != count - hits || hits < deletes - n / 1000 - 1)
            die("a delete missed");
    }
    keep(sum);
}

template <class SUBJECT>
static void measure_sorted(recorder &recorder, const namer &name, uint64_t n)
{
    using key = typename SUBJECT::key;
    std::vector<key> keys = convert_all<key>(random_pairs(n));
    size_t before;
    uint64_t began;

    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end(),
                           [](const key &a, const key &b) {
                               return !(a < b) && !(b < a);
                           }),
               keys.end());
    SUBJECT *subject = new SUBJECT();
    before = resident_bytes();
    began = cpu_ns();
    for (const key &key : keys)
        subject->insert(key);
    subject->finish();
    recorder.add(name("sorted"), "ns", "ns", each(began, keys.size()));
    recorder.add(name("sorted_bytes"), "bytes", "bytes",
                 (double)(subject->bytes() ? subject->bytes()
                                           : resident_bytes() - before) /
                     keys.size());
    if constexpr (SUBJECT::can_build) {
        subject = new SUBJECT(); /* the other one stays until the end */
        before = resident_bytes();
        began = cpu_ns();
        subject->build(keys);
        recorder.add(name("bulk"), "ns", "ns", each(began, keys.size()));
        recorder.add(name("bulk_bytes"), "bytes", "bytes",
                     (double)(resident_bytes() - before) / keys.size());
        if (subject->count() != keys.size())
            die("the builder lost some keys");
    }
}

template <class SUBJECT>
static subject make(const char *subject_name, unsigned rounds_max,
                    const namer &name, uint64_t n, bool sorted)
{
    auto run = [=](recorder &recorder) {
        if (!sorted)
            measure_random<SUBJECT>(recorder, name, n);
        else if constexpr (SUBJECT::can_insert)
            measure_sorted<SUBJECT>(recorder, name, n);
    };

    return {subject_name, run, rounds_max};
}

static std::vector<subject>
subjects_of(const options &options, const namer &name, uint64_t n, bool sorted)
{
    /* SQLite takes a minute for 10 M: medians of five are for the others. */
    unsigned all = ~0u;
    unsigned few = n > 4000000 ? 1 : options.quick ? 1 : 3;
    unsigned slow = options.quick && n > 100000 ? 0 : few;

    if (name.suite == "string")
        return {
            make<rhizome<32>>("rhizome", all, name, n, sorted),
            make<node_set<absl::btree_set<std::string>>>("absl", all, name, n,
                                                         sorted),
            make<sorted_array<text>>("sorted_array", few, name, n, sorted),
            make<lmdb<text>>("lmdb", slow, name, n, sorted),
            make<sqlite<text>>("sqlite", slow, name, n, sorted),
            make<node_set<std::set<std::string>>>("std_set", slow, name, n,
                                                  sorted),
        };
    return {
        make<rhizome<16>>("rhizome", all, name, n, sorted),
        make<node_set<absl::btree_set<words>>>("absl", all, name, n, sorted),
        make<sorted_array<words>>("sorted_array", few, name, n, sorted),
        make<lmdb<big_endian>>("lmdb", slow, name, n, sorted),
        make<sqlite<words>>("sqlite", slow, name, n, sorted),
        make<node_set<std::set<words>>>("std_set", slow, name, n, sorted),
    };
}

static void run_suite(const options &options, const std::string &suite,
                      uint64_t n)
{
    namer name = {suite, size_name(n)};
    bool large = n > 4000000;
    unsigned rounds = suite == "string" ? (options.quick || large ? 1 : 5)
                      : options.quick   ? 2
                      : large           ? 3
                                        : 5;

    for (bool sorted : {false, true}) {
        static const char *const random_cases[] = {"insert", "bytes", "account",
                                                   "lookup", "scan",  "rebuild",
                                                   "range8", "rank",  "delete"};
        static const char *const sorted_cases[] = {"sorted", "sorted_bytes",
                                                   "bulk", "bulk_bytes"};
        bool any = false;

        if (!sorted) {
            for (const char *what : random_cases)
                any = any || wanted(options, suite, name(what));
        } else {
            for (const char *what : sorted_cases)
                any = any || wanted(options, suite, name(what));
        }
        if (!any || (sorted && options.quick && options.names.empty()))
            continue;
        run_rounds(options, suite, n, sorted && large ? 1 : rounds,
                   subjects_of(options, name, n, sorted));
    }
}

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv,
        "Our tree beside absl::btree_set, LMDB, SQLite and others.");
    std::vector<uint64_t> sizes = options.sizes;

    if (sizes.empty()) {
        sizes = {100000, 1000000};
        if (!options.quick)
            sizes.push_back(10000000);
    }
    for (const char *suite : {"tree", "string"})
        for (uint64_t n : sizes)
            run_suite(options, suite, n);
    return 0;
}
