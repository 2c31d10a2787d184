/*
 * bench_junction.cc -- relations with both directions in step, through the
 * store as a command would: begin, insert, commit.
 *
 *   m2m_insert         a many_to_many of random integer pairs, beside the
 *                      same pairs in two absl::btree_set ("absl2")
 *   m2m_daemon_bytes   growth of the resident set by that, a pair
 *   m2m_account        the same as the tables account for it
 *   m2m_delete         half of the pairs, in random order
 *   steal              a one_to_many in which every b gets another a: the old
 *                      pair is evicted on both sides, beside an
 *                      absl::btree_set of (a, b) and an absl::btree_map of b
 *                      to a
 *   o2m_insert         the one_to_many before the steals
 */
#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"

#include "harness.h"
#include "relation.h"

using namespace bench;

using words = std::pair<uint64_t, uint64_t>;

static double each(uint64_t began, uint64_t count)
{
    return (double)(cpu_ns() - began) / (double)count;
}

/* ---- many_to_many ---- */

static void m2m_rhizome(recorder &recorder, const std::string &size, uint64_t n)
{
    std::vector<pair> pairs = random_pairs(n);
    std::vector<encoded_pair> keys = encode_all(pairs);
    std::vector<encoded_pair> probes;
    relation relation(TABLE_MANY_TO_MANY);
    size_t before;
    uint64_t began;
    uint64_t deleted = 0;

    permute(pairs, 7);
    pairs.resize(n / 2);
    probes = encode_all(pairs);
    before = resident_bytes();
    began = cpu_ns();
    for (const encoded_pair &key : keys)
        relation.insert(key);
    recorder.add("m2m_insert_" + size, "ns", "ns", each(began, n));
    recorder.add("m2m_daemon_bytes_" + size, "bytes", "bytes",
                 (double)(resident_bytes() - before) / relation.count());
    recorder.add("m2m_account_" + size, "bytes", "bytes",
                 (double)relation.account() / relation.count());
    if (relation.count() > n || relation.count() < n - n / 1000 - 1)
        die("pairs are missing");
    began = cpu_ns();
    for (const encoded_pair &probe : probes)
        deleted += relation.erase(probe);
    recorder.add("m2m_delete_" + size, "ns", "ns", each(began, probes.size()));
    if (deleted < probes.size() - n / 1000 - 1)
        die("a delete missed");
}

static void m2m_absl2(recorder &recorder, const std::string &size, uint64_t n)
{
    std::vector<pair> pairs = random_pairs(n);
    std::vector<pair> probes = pairs;
    absl::btree_set<words> fwd;
    absl::btree_set<words> bwd;
    size_t before;
    uint64_t began;

    permute(probes, 7);
    probes.resize(n / 2);
    before = resident_bytes();
    began = cpu_ns();
    for (const pair &pair : pairs) {
        if (fwd.insert({pair.src, pair.dst}).second)
            bwd.insert({pair.dst, pair.src});
    }
    recorder.add("m2m_insert_" + size, "ns", "ns", each(began, n));
    recorder.add("m2m_daemon_bytes_" + size, "bytes", "bytes",
                 (double)(resident_bytes() - before) / fwd.size());
    began = cpu_ns();
    for (const pair &probe : probes) {
        if (fwd.erase({probe.src, probe.dst}))
            bwd.erase({probe.dst, probe.src});
    }
    recorder.add("m2m_delete_" + size, "ns", "ns", each(began, probes.size()));
    if (fwd.size() != bwd.size())
        die("the sets differ");
}

/* ---- one_to_many ---- */

/* Each b in 0..n exactly once, in random order, with a random a. */
static std::vector<pair> owners(uint64_t n, uint64_t seed)
{
    splitmix64 random(seed);
    std::vector<pair> pairs;

    for (uint64_t b = 0; b < n; b++)
        pairs.push_back({random.below(n / 8), b});
    permute(pairs, seed + 1);
    return pairs;
}

static void steal_rhizome(recorder &recorder, const std::string &size,
                          uint64_t n)
{
    std::vector<encoded_pair> old_keys = encode_all(owners(n, 42));
    std::vector<encoded_pair> new_keys = encode_all(owners(n, 1042));
    relation relation(TABLE_ONE_TO_MANY);
    uint64_t began = cpu_ns();

    for (const encoded_pair &key : old_keys)
        relation.insert(key);
    recorder.add("o2m_insert_" + size, "ns", "ns", each(began, n));
    began = cpu_ns();
    for (const encoded_pair &key : new_keys)
        relation.insert(key);
    recorder.add("steal_" + size, "ns", "ns", each(began, n));
    if (relation.count() != n)
        die("a steal lost or kept a pair");
}

static void steal_absl2(recorder &recorder, const std::string &size, uint64_t n)
{
    std::vector<pair> old_pairs = owners(n, 42);
    std::vector<pair> new_pairs = owners(n, 1042);
    absl::btree_set<words> fwd;
    absl::btree_map<uint64_t, uint64_t> bwd;
    auto insert = [&](const pair &pair) {
        auto found = bwd.insert({pair.dst, pair.src});

        if (!found.second) {
            if (found.first->second == pair.src)
                return;
            fwd.erase({found.first->second, pair.dst});
            found.first->second = pair.src;
        }
        fwd.insert({pair.src, pair.dst});
    };
    uint64_t began = cpu_ns();

    for (const pair &pair : old_pairs)
        insert(pair);
    recorder.add("o2m_insert_" + size, "ns", "ns", each(began, n));
    began = cpu_ns();
    for (const pair &pair : new_pairs)
        insert(pair);
    recorder.add("steal_" + size, "ns", "ns", each(began, n));
    if (fwd.size() != n || bwd.size() != n)
        die("a steal lost or kept a pair");
}

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "Junctions beside two absl containers kept in step.");
    std::vector<uint64_t> sizes = options.sizes;
    unsigned rounds = options.quick ? 2 : 5;

    if (sizes.empty())
        sizes = {1000000};
    for (uint64_t n : sizes) {
        std::string size = size_name(n);
        auto any = [&](std::vector<std::string> cases) {
            return std::any_of(
                cases.begin(), cases.end(), [&](const std::string &name) {
                    return wanted(options, "junction", name + "_" + size);
                });
        };

        if (any({"m2m_insert", "m2m_daemon_bytes", "m2m_account",
                 "m2m_delete"}))
            run_rounds(
                options, "junction", n, rounds,
                {{"rhizome",
                  [=](recorder &recorder) { m2m_rhizome(recorder, size, n); }},
                 {"absl2",
                  [=](recorder &recorder) { m2m_absl2(recorder, size, n); }}});
        if (any({"steal", "o2m_insert"}))
            run_rounds(options, "junction", n, rounds,
                       {{"rhizome",
                         [=](recorder &recorder) {
                             steal_rhizome(recorder, size, n);
                         }},
                        {"absl2", [=](recorder &recorder) {
                             steal_absl2(recorder, size, n);
                         }}});
    }
    return 0;
}
