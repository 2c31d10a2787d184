/*
 * bench_junction.cc -- relations with both directions in step, through the
 * store as a command would: begin, insert, commit. The peer ("absl2") is two
 * absl containers kept in step by hand: btree_set of (a, b) where an a has
 * many partners, btree_map where it has one.
 *
 * m2m: a many_to_many of random integer pairs. o2m: a one_to_many, each b in
 * 0..N with a random a of 0..N/8. o2o: a one_to_one, each a with another b.
 *
 *   insert         all pairs, in random order
 *   daemon_bytes   growth of the resident set by that, a pair
 *   account        the same as the tables account for it
 *   left           the partners of a random a: 8 on average, or one
 *   right          the partners of a random b: one, or 1.6 on average
 *   steal          (o2m: case `steal`) every b gets another a: the old pair is
 *                  evicted on both sides, which are two of them for o2o
 *   delete         half of the pairs, in random order
 */
#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"

#include "relation.h"

using namespace bench;

using words = std::pair<uint64_t, uint64_t>;

/* ---- subjects ---- */

class rhizome
{
  public:
    using key = encoded_pair;

    explicit rhizome(enum table_type type) : relation_(type)
    {
        mem_init(&mem_, 0);
        entry_ = {};
        entry_.buffer.mem = &mem_;
    }
    void insert(const key &key)
    {
        relation_.insert(key);
    }
    bool erase(const key &key)
    {
        return relation_.erase(key);
    }
    uint64_t left(const key &key, uint64_t *sum)
    {
        return partners(SIDE_FWD, key.first(), sum);
    }
    uint64_t right(const key &key, uint64_t *sum)
    {
        return partners(SIDE_BWD, key.second(), sum);
    }
    uint64_t count() const
    {
        return relation_.count();
    }
    size_t account() const
    {
        return relation_.account();
    }

  private:
    uint64_t partners(enum side side, struct bytes key, uint64_t *sum)
    {
        const struct table *table = relation_.table();
        struct tree_cut cut = {{key, bytes_of(nullptr, 0)}, false};
        struct tree_cursor cursor;
        struct bytes partner;
        uint64_t count = 0;
        bool found;

        if (table_is_unique(table, side)) {
            if (table_get(table, side, key, &entry_, &found, &partner) < 0)
                die("table_get failed");
            if (found)
                *sum += partner.data[partner.size - 1];
            return found;
        }
        if (!tree_cursor_seek(&cursor, table_root(table, side), cut, nullptr))
            return 0;
        do {
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            partner = entry_.key.second;
            if (!bytes_equal(entry_.key.first, key))
                break;
            *sum += partner.data[partner.size - 1];
            count++;
        } while (tree_cursor_next(&cursor));
        return count;
    }

    relation relation_;
    struct mem mem_;
    struct tree_entry entry_;
};

/* What is common to the peers: one direction and the other. */
template <class FWD, class BWD> class two_containers
{
  public:
    using key = pair;

    uint64_t left(const pair &pair, uint64_t *sum) const
    {
        return partners(fwd_, pair.src, sum);
    }
    uint64_t right(const pair &pair, uint64_t *sum) const
    {
        return partners(bwd_, pair.dst, sum);
    }
    uint64_t count() const
    {
        if (fwd_.size() != bwd_.size())
            die("the containers differ");
        return fwd_.size();
    }
    size_t account() const
    {
        return 0;
    }

  protected:
    static uint64_t partners(const absl::btree_set<words> &set, uint64_t key,
                             uint64_t *sum)
    {
        uint64_t count = 0;

        for (auto it = set.lower_bound({key, 0});
             it != set.end() && it->first == key; ++it, count++)
            *sum += it->second;
        return count;
    }
    static uint64_t partners(const absl::btree_map<uint64_t, uint64_t> &map,
                             uint64_t key, uint64_t *sum)
    {
        auto found = map.find(key);

        if (found == map.end())
            return 0;
        *sum += found->second;
        return 1;
    }

    FWD fwd_;
    BWD bwd_;
};

using set_of_pairs = absl::btree_set<words>;
using map_of_ints = absl::btree_map<uint64_t, uint64_t>;

class absl_m2m : public two_containers<set_of_pairs, set_of_pairs>
{
  public:
    void insert(const pair &pair)
    {
        if (fwd_.insert({pair.src, pair.dst}).second)
            bwd_.insert({pair.dst, pair.src});
    }
    bool erase(const pair &pair)
    {
        return fwd_.erase({pair.src, pair.dst}) &&
               bwd_.erase({pair.dst, pair.src});
    }
};

class absl_o2m : public two_containers<set_of_pairs, map_of_ints>
{
  public:
    void insert(const pair &pair)
    {
        auto found = bwd_.insert({pair.dst, pair.src});

        if (!found.second) {
            if (found.first->second == pair.src)
                return;
            fwd_.erase({found.first->second, pair.dst});
            found.first->second = pair.src;
        }
        fwd_.insert({pair.src, pair.dst});
    }
    bool erase(const pair &pair)
    {
        return fwd_.erase({pair.src, pair.dst}) && bwd_.erase(pair.dst);
    }
};

class absl_o2o : public two_containers<map_of_ints, map_of_ints>
{
  public:
    void insert(const pair &pair)
    {
        auto left = fwd_.insert({pair.src, pair.dst});

        if (!left.second) {
            if (left.first->second == pair.dst)
                return;
            bwd_.erase(left.first->second);
            left.first->second = pair.dst;
        }
        auto right = bwd_.insert({pair.dst, pair.src});

        if (!right.second) {
            fwd_.erase(right.first->second);
            right.first->second = pair.src;
        }
    }
    bool erase(const pair &pair)
    {
        auto found = fwd_.find(pair.src);

        if (found == fwd_.end() || found->second != pair.dst)
            return false;
        fwd_.erase(found);
        return bwd_.erase(pair.dst) > 0;
    }
};

/* ---- workloads ---- */

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

/* Each a and each b in 0..n exactly once, in random order. */
static std::vector<pair> couples(uint64_t n, uint64_t seed)
{
    std::vector<uint64_t> partners;
    std::vector<pair> pairs;

    for (uint64_t b = 0; b < n; b++)
        partners.push_back(b);
    permute(partners, seed);
    for (uint64_t a = 0; a < n; a++)
        pairs.push_back({a, partners[a]});
    permute(pairs, seed + 1);
    return pairs;
}

struct kind {
    enum table_type type;
    const char *prefix;
    const char *steal; /* the case's name, where there is one */
};

static const kind kinds[] = {
    {TABLE_MANY_TO_MANY, "m2m_", nullptr},
    {TABLE_ONE_TO_MANY, "o2m_", "steal_"},
    {TABLE_ONE_TO_ONE, "o2o_", "o2o_steal_"},
};

static std::vector<pair> pairs_of(const kind &kind, uint64_t n, uint64_t seed)
{
    return kind.type == TABLE_MANY_TO_MANY  ? random_pairs(n)
           : kind.type == TABLE_ONE_TO_MANY ? owners(n, seed)
                                            : couples(n, seed);
}

/* ---- the measurements ---- */

static std::vector<pair> to_keys(std::vector<pair> pairs, pair *)
{
    return pairs;
}

static std::vector<encoded_pair> to_keys(std::vector<pair> pairs,
                                         encoded_pair *)
{
    return encode_all(pairs);
}

static void check_count(uint64_t count, uint64_t expected, uint64_t n)
{
    if (count > expected || count < expected - n / 1000 - 1)
        die("%llu pairs of %llu", (unsigned long long)count,
            (unsigned long long)expected);
}

template <class SUBJECT>
static void measure(recorder &recorder, SUBJECT &subject, const kind &kind,
                    const std::string &size, uint64_t n)
{
    using key = typename SUBJECT::key;
    std::string prefix = kind.prefix;
    std::vector<key> keys, stolen, probes, deleted;
    uint64_t sum = 0, hits = 0, began;
    size_t before;

    {
        std::vector<pair> pairs = pairs_of(kind, n, 42);

        keys = to_keys(pairs, (key *)nullptr);
        permute(pairs, 7);
        probes = to_keys(pairs, (key *)nullptr);
        if (kind.steal) {
            pairs = pairs_of(kind, n, 1042);
            stolen = to_keys(pairs, (key *)nullptr);
            permute(pairs, 7);
        }
        pairs.resize(n / 2);
        deleted = to_keys(pairs, (key *)nullptr);
    }
    before = resident_bytes();
    began = cpu_ns();
    for (const key &key : keys)
        subject.insert(key);
    recorder.add(prefix + "insert_" + size, "ns", "ns", each(began, n));
    recorder.add(prefix + "daemon_bytes_" + size, "bytes", "bytes",
                 (double)(resident_bytes() - before) / subject.count());
    if (subject.account())
        recorder.add(prefix + "account_" + size, "bytes", "bytes",
                     (double)subject.account() / subject.count());
    check_count(subject.count(), n, n);

    began = cpu_ns();
    for (const key &probe : probes)
        hits += subject.left(probe, &sum);
    recorder.add(prefix + "left_" + size, "ns", "ns", each(began, n));
    began = cpu_ns();
    for (const key &probe : probes)
        hits += subject.right(probe, &sum);
    recorder.add(prefix + "right_" + size, "ns", "ns", each(began, n));
    if (hits < 2 * n)
        die("partners are missing");
    keep(sum);

    if (kind.steal) {
        began = cpu_ns();
        for (const key &key : stolen)
            subject.insert(key);
        recorder.add(kind.steal + size, "ns", "ns", each(began, n));
        if (subject.count() != n)
            die("a steal lost or kept a pair");
    }
    hits = 0;
    began = cpu_ns();
    for (const key &key : deleted)
        hits += subject.erase(key);
    recorder.add(prefix + "delete_" + size, "ns", "ns",
                 each(began, deleted.size()));
    check_count(hits, deleted.size(), n);
    check_count(subject.count(), n - hits, n);
}

template <class PEER>
static std::vector<subject> subjects_of(const kind &kind,
                                        const std::string &size, uint64_t n)
{
    return {{"rhizome",
             [=](recorder &recorder) {
                 rhizome rhizome(kind.type);

                 measure(recorder, rhizome, kind, size, n);
             }},
            {"absl2", [=](recorder &recorder) {
                 PEER peer;

                 measure(recorder, peer, kind, size, n);
             }}};
}

static bool any_wanted(const options &options, const kind &kind,
                       const std::string &size)
{
    for (const char *what :
         {"insert_", "daemon_bytes_", "account_", "left_", "right_", "delete_"})
        if (wanted(options, "junction", kind.prefix + (what + size)))
            return true;
    return kind.steal && wanted(options, "junction", kind.steal + size);
}

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "Junctions beside two absl containers kept in step.");
    std::vector<uint64_t> sizes = options.sizes;

    if (sizes.empty())
        sizes = {1000000};
    for (uint64_t n : sizes) {
        std::string size = size_name(n);

        for (const kind &kind : kinds)
            if (any_wanted(options, kind, size))
                run_rounds(options, "junction", n, options.quick ? 1 : 5,
                           kind.type == TABLE_MANY_TO_MANY
                               ? subjects_of<absl_m2m>(kind, size, n)
                           : kind.type == TABLE_ONE_TO_MANY
                               ? subjects_of<absl_o2m>(kind, size, n)
                               : subjects_of<absl_o2o>(kind, size, n));
    }
    return 0;
}
