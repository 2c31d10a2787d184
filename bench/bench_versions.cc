/*
 * bench_versions.cc -- suite `snapshots`: what versions of a store cost.
 *
 *   snapshot                take a snapshot of a store with N pairs in both
 *                           directions, and release it
 *   snapshot_write          the same with a pair inserted between the two: the
 *                           path to it is copied, in both directions
 *   fork                    fork a snapshot and discard the fork
 *   fork_write              the same with a pair inserted into the fork, which
 *                           takes the table over for it
 *   insert_with_snapshots   a many_to_many of random integer pairs, inserted as
 *                           m2m_insert is, and a snapshot taken after every
 *                           1,000 of them, of which the last 10 are kept;
 *                           beside the same without any ("none")
 *   snapshots_held          bytes that only those 10 hold at the end, a
 * snapshot snapshots_copied        bytes of pages that were copied for them, a
 * pair
 */
#include <algorithm>
#include <deque>

#include "harness.h"
#include "relation.h"

using namespace bench;

static struct snapshot *take(struct store *store)
{
    struct snapshot *snapshot;

    if (snapshot_take(store, &snapshot) < 0)
        die("snapshot_take failed");
    return snapshot;
}

/* Random pairs in full pages, each direction in its order. */
static void fill(relation &relation, std::vector<pair> pairs)
{
    struct loader *loader;

    if (loader_create(relation.store(), relation.table(), &loader) < 0)
        die("loader_create failed");
    for (enum side side : {SIDE_FWD, SIDE_BWD}) {
        auto less = [](const pair &a, const pair &b) {
            return a.src != b.src ? a.src < b.src : a.dst < b.dst;
        };
        auto equal = [](const pair &a, const pair &b) {
            return a.src == b.src && a.dst == b.dst;
        };

        if (side == SIDE_BWD)
            for (pair &pair : pairs)
                std::swap(pair.src, pair.dst);
        std::sort(pairs.begin(), pairs.end(), less);
        pairs.erase(std::unique(pairs.begin(), pairs.end(), equal),
                    pairs.end());
        for (const encoded_pair &key : encode_all(pairs))
            if (loader_add(loader, side, key.first(), key.second()) < 0)
                die("loader_add failed");
    }
    if (loader_finish(loader, 0) < 0)
        die("loader_finish failed");
}

static void fork_write(struct snapshot *snapshot, const encoded_pair &key)
{
    struct store *fork;
    struct table *table;
    bool inserted;

    if (snapshot_fork(snapshot, &fork) < 0)
        die("snapshot_fork failed");
    store_begin(fork);
    if (store_find_mutable(fork, BYTES("\xA8t\x01"), &table) < 0 ||
        table_insert(fork, table, SIDE_FWD, key.first(), key.second(),
                     &inserted) < 0)
        die("the fork cannot be written to");
    store_commit(fork);
    store_free(fork);
}

static void versions(recorder &recorder, const std::string &size, uint64_t n)
{
    relation relation(TABLE_MANY_TO_MANY);
    struct store *store = relation.store();
    struct snapshot *snapshot;
    std::vector<encoded_pair> keys;
    splitmix64 random(7);
    const uint64_t often = 200000, writes = 20000;
    uint64_t began, count, bytes;

    fill(relation, random_pairs(n));
    {
        std::vector<pair> pairs;

        for (uint64_t i = 0; i < 2 * writes; i++)
            pairs.push_back({random.below(n / 8), random.below(n)});
        keys = encode_all(pairs);
    }
    snapshot_release(take(store));
    bytes = store_mem(store)->used;
    began = cpu_ns();
    for (uint64_t i = 0; i < often; i++)
        snapshot_release(take(store));
    recorder.add("snapshot_" + size, "ns", "ns", each(began, often));

    snapshot = take(store);
    began = cpu_ns();
    for (uint64_t i = 0; i < often; i++) {
        struct store *fork;

        if (snapshot_fork(snapshot, &fork) < 0)
            die("snapshot_fork failed");
        store_free(fork);
    }
    recorder.add("fork_" + size, "ns", "ns", each(began, often));
    count = relation.count();
    began = cpu_ns();
    for (uint64_t i = 0; i < writes; i++)
        fork_write(snapshot, keys[i]);
    recorder.add("fork_write_" + size, "ns", "ns", each(began, writes));
    if (relation.count() != count)
        die("a fork has written to its parent");
    snapshot_release(snapshot);
    if (store_mem(store)->used != bytes)
        die("snapshots and forks have left something behind");

    began = cpu_ns();
    for (uint64_t i = 0; i < writes; i++) {
        snapshot = take(store);
        relation.insert(keys[writes + i]);
        snapshot_release(snapshot);
    }
    recorder.add("snapshot_write_" + size, "ns", "ns", each(began, writes));
}

static void insert(recorder &recorder, uint64_t n, bool snapshots)
{
    const uint64_t every = 1000, kept = 10;
    std::vector<encoded_pair> keys = encode_all(random_pairs(n));
    relation relation(TABLE_MANY_TO_MANY);
    struct store *store = relation.store();
    std::deque<struct snapshot *> open;
    uint64_t inserted = 0, held = 0, copied = 0;
    uint64_t began = cpu_ns();

    for (const encoded_pair &key : keys) {
        relation.insert(key);
        if (!snapshots || ++inserted % every)
            continue;
        if (!open.empty())
            copied += snapshot_bytes(open.back());
        open.push_back(take(store));
        if (open.size() > kept) {
            snapshot_release(open.front());
            open.pop_front();
        }
    }
    recorder.add("insert_with_snapshots", "ns", "ns", each(began, n));
    if (relation.count() > n || relation.count() < n - n / 1000 - 1)
        die("pairs are missing");
    if (!snapshots)
        return;
    for (const struct snapshot *snapshot : open)
        held += snapshot_bytes(snapshot);
    recorder.add("snapshots_held", "bytes", "bytes",
                 (double)held / (double)open.size());
    recorder.add("snapshots_copied", "bytes", "bytes",
                 (double)copied / (double)n);
    for (struct snapshot *snapshot : open)
        snapshot_release(snapshot);
    if (store_mem(store)->used != store_bytes(store))
        die("the account is wrong");
}

int main(int argc, char **argv)
{
    options options =
        parse_options(argc, argv, "What snapshots and forks cost a store.");
    unsigned rounds = options.quick ? 1 : 5;
    uint64_t n = !options.sizes.empty() ? options.sizes[0]
                 : options.quick        ? 1000000
                                        : 10000000;
    std::string size = size_name(n);
    auto any = [&](std::vector<std::string> cases) {
        return std::any_of(cases.begin(), cases.end(),
                           [&](const std::string &name) {
                               return wanted(options, "snapshots", name);
                           });
    };

    if (any({"snapshot_" + size, "snapshot_write_" + size, "fork_" + size,
             "fork_write_" + size}))
        run_rounds(options, "snapshots", n, rounds,
                   {{"rhizome", [=](recorder &recorder) {
                         versions(recorder, size, n);
                     }}});
    n = options.sizes.empty() ? 1000000 : options.sizes[0];
    if (any({"insert_with_snapshots", "snapshots_held", "snapshots_copied"}))
        run_rounds(options, "snapshots", n, rounds,
                   {{"rhizome",
                     [=](recorder &recorder) { insert(recorder, n, true); }},
                    {"none",
                     [=](recorder &recorder) { insert(recorder, n, false); }}});
    return 0;
}
