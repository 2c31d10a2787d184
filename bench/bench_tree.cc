/*
 * bench_tree.cc -- one ordered set of pairs: our tree beside its peers.
 *
 * Suite "tree": pairs of integers. Ours gets them encoded, as a table would
 * hand them over; LMDB gets 16 big-endian bytes; the others two words.
 * Suite "string": the binaries <<"user:00000042">> and <<"item:00000007">>,
 * encoded; the peers get one string, the 30 bytes of both encodings.
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
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/container/btree_set.h"

#include "core.h"
#include "harness.h"

using namespace bench;

/* ---- keys ---- */

/* Ours: two encoded components side by side. */
template <size_t SIZE> struct encoded_key {
    uint8_t first_size;
    uint8_t second_size;
    uint8_t data[SIZE - 2];

    struct tree_key view() const
    {
        return {bytes_of(data, first_size),
                bytes_of(data + first_size, second_size)};
    }
    bool operator<(const encoded_key &other) const
    {
        int order = bytes_compare(view().first, other.view().first);

        return order ? order < 0
                     : bytes_compare(view().second, other.view().second) < 0;
    }
};

using encoded_ints = encoded_key<16>;
using encoded_strings = encoded_key<32>;
using words = std::pair<uint64_t, uint64_t>;

struct big_endian {
    uint8_t data[16];

    bool operator<(const big_endian &other) const
    {
        return memcmp(data, other.data, sizeof(data)) < 0;
    }
};

static void encode_string(const char *format, uint64_t value,
                          struct buffer *out)
{
    uint8_t term[32] = {109, 0, 0, 0, 0}; /* BINARY_EXT */
    int size = snprintf((char *)term + 5, sizeof(term) - 5, format,
                        (unsigned long long)value);

    store_be32(term + 1, (uint32_t)size);
    if (key_encode(bytes_of(term, 5 + (size_t)size), out) < 0)
        die("key_encode failed");
}

template <size_t SIZE>
static encoded_key<SIZE> encode(const pair &pair, struct buffer *scratch)
{
    encoded_key<SIZE> key = {};
    size_t first_size;

    scratch->size = 0;
    if (SIZE == sizeof(encoded_ints)) {
        if (key_encode_u64(pair.src, scratch) < 0)
            die("key_encode_u64 failed");
        first_size = scratch->size;
        if (key_encode_u64(pair.dst, scratch) < 0)
            die("key_encode_u64 failed");
    } else {
        encode_string("user:%08llu", pair.src, scratch);
        first_size = scratch->size;
        encode_string("item:%08llu", pair.dst, scratch);
    }
    if (scratch->size > sizeof(key.data))
        die("a key does not fit its slot");
    key.first_size = (uint8_t)first_size;
    key.second_size = (uint8_t)(scratch->size - first_size);
    memcpy(key.data, scratch->data, scratch->size);
    return key;
}

template <class KEY> struct convert;

template <size_t SIZE> struct convert<encoded_key<SIZE>> {
    static encoded_key<SIZE> from(const pair &pair, struct buffer *scratch)
    {
        return encode<SIZE>(pair, scratch);
    }
};

template <> struct convert<words> {
    static words from(const pair &pair, struct buffer *)
    {
        return {pair.src, pair.dst};
    }
};

template <> struct convert<big_endian> {
    static big_endian from(const pair &pair, struct buffer *)
    {
        big_endian key;

        store_be64(key.data, pair.src);
        store_be64(key.data + 8, pair.dst);
        return key;
    }
};

template <> struct convert<std::string> {
    static std::string from(const pair &pair, struct buffer *)
    {
        char text[32];

        snprintf(text, sizeof(text), "\xD4user:%08u\x01\xD4item:%08u\x01",
                 (unsigned)pair.src, (unsigned)pair.dst);
        return std::string(text, 30);
    }
};

template <class KEY>
static std::vector<KEY> convert_all(const std::vector<pair> &pairs)
{
    struct mem mem;
    std::vector<KEY> keys;

    mem_init(&mem, 0);
    struct buffer scratch = {&mem, nullptr, 0, 0};
    keys.reserve(pairs.size());
    for (const pair &pair : pairs)
        keys.push_back(convert<KEY>::from(pair, &scratch));
    buffer_free(&scratch);
    return keys;
}

/* ---- subjects ---- */

/*
 * What a subject offers. The defaults say what it cannot do; bytes() is 0
 * where the resident set tells.
 */
struct subject_base {
    static constexpr bool can_delete = true;
    static constexpr bool can_rank = false;
    static constexpr bool can_build = false;
    static constexpr bool can_insert = true; /* one by one */
    void finish()
    {
    }
    size_t account() const
    {
        return 0;
    }
    size_t bytes() const
    {
        return 0;
    }
};

template <size_t SIZE> class rhizome : public subject_base
{
  public:
    using key = encoded_key<SIZE>;
    static constexpr bool can_rank = true;
    static constexpr bool can_build = true;

    rhizome()
    {
        mem_init(&mem_, 0);
        epochs_init(&epochs_, &mem_);
        tree_init(&tree_, &epochs_);
        entry_ = {};
        entry_.buffer.mem = &mem_;
    }
    void insert(const key &key)
    {
        struct tree_change change;

        if (tree_add(&tree_, key.view(), bytes_of(nullptr, 0), &change) < 0)
            die("tree_add failed");
    }
    bool contains(const key &key)
    {
        return tree_get(&tree_.root, key.view(), nullptr);
    }
    bool erase(const key &key)
    {
        struct tree_change change;

        if (tree_delete(&tree_, key.view(), nullptr, &change) < 0)
            die("tree_delete failed");
        return change.existed;
    }
    /* Page by page, as a projection reads: eight bytes of each row. */
    uint64_t scan(uint64_t *sum)
    {
        struct tree_cursor cursor;
        struct tree_run run;
        uint64_t count = 0;

        tree_cursor_select(&cursor, &tree_.root, 0);
        while (cursor.depth > 0) {
            if (tree_cursor_run(&cursor, &run)) {
                const uint8_t *row = run.rows;

                for (uint32_t i = 0; i < run.count; i++, row += run.stride)
                    *sum += load_be64(row);
                count += run.count;
                continue;
            }
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            *sum += entry_.key.second.data[0];
            count++;
            tree_cursor_next(&cursor);
        }
        return count;
    }
    uint64_t rebuild(uint64_t *sum)
    {
        struct tree_cursor cursor;
        uint64_t count = 0;

        if (!tree_cursor_select(&cursor, &tree_.root, 0))
            return 0;
        do {
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            *sum += entry_.key.second.data[entry_.key.second.size - 1];
            count++;
        } while (tree_cursor_next(&cursor));
        return count;
    }
    uint64_t range(const key &key, uint64_t *sum)
    {
        struct tree_cut cut = {{key.view().first, bytes_of(nullptr, 0)}, false};
        struct tree_cursor cursor;
        uint64_t count = 0;

        if (!tree_cursor_seek(&cursor, &tree_.root, cut, nullptr))
            return 0;
        do {
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            if (!bytes_equal(entry_.key.first, cut.key.first))
                break;
            *sum += entry_.key.second.data[entry_.key.second.size - 1];
            count++;
        } while (tree_cursor_next(&cursor));
        return count;
    }
    uint64_t rank(const key &key)
    {
        return tree_rank(&tree_.root, {key.view(), false});
    }
    void build(const std::vector<key> &keys)
    {
        struct tree_builder *builder;

        if (tree_builder_create(&tree_, &builder) < 0)
            die("tree_builder_create failed");
        for (const key &key : keys) {
            if (tree_builder_add(builder, key.view(), bytes_of(nullptr, 0)) < 0)
                die("tree_builder_add failed");
        }
        if (tree_builder_finish(builder) < 0)
            die("tree_builder_finish failed");
    }
    uint64_t count() const
    {
        return tree_.root.count;
    }
    size_t account() const
    {
        return tree_.bytes;
    }

  private:
    struct mem mem_;
    struct epochs epochs_;
    struct tree tree_;
    struct tree_entry entry_;
};

/* "Reading" a key in a scan: both words, or a byte that tells keys apart. */
static uint64_t read_key(const words &key)
{
    return key.first + key.second;
}

static uint64_t read_key(const std::string &key)
{
    return (uint8_t)key[key.size() - 2];
}

static words source_of(const words &key)
{
    return {key.first, 0};
}

static std::string source_of(const std::string &key)
{
    return key.substr(0, 15);
}

static bool same_source(const words &key, const words &source)
{
    return key.first == source.first;
}

static bool same_source(const std::string &key, const std::string &source)
{
    return !memcmp(key.data(), source.data(), source.size());
}

template <class SET> class node_set : public subject_base
{
  public:
    using key = typename SET::key_type;

    void insert(const key &key)
    {
        set_.insert(key);
    }
    bool contains(const key &key)
    {
        return set_.find(key) != set_.end();
    }
    bool erase(const key &key)
    {
        return set_.erase(key) > 0;
    }
    uint64_t scan(uint64_t *sum)
    {
        for (const key &key : set_)
            *sum += read_key(key);
        return set_.size();
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &probe, uint64_t *sum)
    {
        key source = source_of(probe);
        uint64_t count = 0;

        for (auto it = set_.lower_bound(source);
             it != set_.end() && same_source(*it, source); ++it) {
            *sum += read_key(*it);
            count++;
        }
        return count;
    }
    uint64_t count() const
    {
        return set_.size();
    }

  private:
    SET set_;
};

/* Append and sort once: no updates, but the least that a scan can cost. */
template <class KEY> class sorted_array : public subject_base
{
  public:
    using key = KEY;
    static constexpr bool can_delete = false;
    static constexpr bool can_insert = false;

    void insert(const key &key)
    {
        array_.push_back(key);
    }
    void finish()
    {
        std::sort(array_.begin(), array_.end());
        array_.erase(std::unique(array_.begin(), array_.end()), array_.end());
        array_.shrink_to_fit();
    }
    bool contains(const key &key)
    {
        return std::binary_search(array_.begin(), array_.end(), key);
    }
    bool erase(const key &)
    {
        return false;
    }
    uint64_t scan(uint64_t *sum)
    {
        for (const key &key : array_)
            *sum += read_key(key);
        return array_.size();
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &probe, uint64_t *sum)
    {
        key source = source_of(probe);
        uint64_t count = 0;

        for (auto it = std::lower_bound(array_.begin(), array_.end(), source);
             it != array_.end() && same_source(*it, source); ++it) {
            *sum += read_key(*it);
            count++;
        }
        return count;
    }
    uint64_t count() const
    {
        return array_.size();
    }

  private:
    std::vector<key> array_;
};

/*
 * LMDB on tmpfs with MDB_WRITEMAP | MDB_NOSYNC and a commit every million:
 * as near to memory as it gets. Its bytes are the pages in use.
 */
template <class KEY> class lmdb : public subject_base
{
  public:
    using key = KEY;

    lmdb()
    {
        char path[] = "/dev/shm/rhizome-bench-XXXXXX";

        if (!mkdtemp(path))
            die("mkdtemp: %s", strerror(errno));
        check(mdb_env_create(&env_));
        check(mdb_env_set_mapsize(env_, (size_t)8 << 30));
        check(mdb_env_open(env_, path, MDB_WRITEMAP | MDB_NOSYNC | MDB_NOLOCK,
                           0600));
        /* The map keeps the file; nothing is left behind if we die. */
        unlink((std::string(path) + "/data.mdb").c_str());
        rmdir(path);
        begin(0);
        check(mdb_dbi_open(txn_, nullptr, 0, &dbi_));
    }
    void insert(const key &key)
    {
        MDB_val name = value_of(key);
        MDB_val none = {0, nullptr};

        check(mdb_put(txn_, dbi_, &name, &none, 0));
        if (++writes_ % 1000000 == 0)
            commit();
    }
    void finish()
    {
        commit();
        mdb_txn_abort(txn_);
        begin(MDB_RDONLY);
        reading_ = true;
        check(mdb_cursor_open(txn_, dbi_, &cursor_));
    }
    bool contains(const key &key)
    {
        MDB_val name = value_of(key);
        MDB_val value;

        return mdb_get(txn_, dbi_, &name, &value) == 0;
    }
    bool erase(const key &key)
    {
        MDB_val name = value_of(key);

        if (reading_) {
            mdb_cursor_close(cursor_);
            mdb_txn_abort(txn_);
            begin(0);
            reading_ = false;
        }
        if (++writes_ % 1000000 == 0)
            commit();
        return mdb_del(txn_, dbi_, &name, nullptr) == 0;
    }
    uint64_t scan(uint64_t *sum)
    {
        MDB_val name;
        MDB_val value;
        uint64_t count = 0;

        while (!mdb_cursor_get(cursor_, &name, &value,
                               count ? MDB_NEXT : MDB_FIRST)) {
            *sum += ((const uint8_t *)name.mv_data)[name.mv_size - 2];
            count++;
        }
        return count;
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &key, uint64_t *sum)
    {
        MDB_val probe = value_of(key);
        size_t size = probe.mv_size / 2;
        MDB_val name = {size, probe.mv_data};
        MDB_val value;
        uint64_t count = 0;

        for (int st = mdb_cursor_get(cursor_, &name, &value, MDB_SET_RANGE);
             !st && !memcmp(name.mv_data, probe.mv_data, size);
             st = mdb_cursor_get(cursor_, &name, &value, MDB_NEXT)) {
            *sum += ((const uint8_t *)name.mv_data)[name.mv_size - 2];
            count++;
        }
        return count;
    }
    uint64_t count() const
    {
        MDB_stat stat;

        mdb_stat(txn_, dbi_, &stat);
        return stat.ms_entries;
    }
    size_t bytes() const
    {
        MDB_stat stat;

        mdb_stat(txn_, dbi_, &stat);
        return (stat.ms_branch_pages + stat.ms_leaf_pages +
                stat.ms_overflow_pages) *
               stat.ms_psize;
    }

  private:
    static void check(int status)
    {
        if (status)
            die("lmdb: %s", mdb_strerror(status));
    }
    static MDB_val value_of(const big_endian &key)
    {
        return {sizeof(key.data), (void *)key.data};
    }
    static MDB_val value_of(const std::string &key)
    {
        return {key.size(), (void *)key.data()};
    }
    void begin(unsigned flags)
    {
        check(mdb_txn_begin(env_, nullptr, flags, &txn_));
    }
    void commit()
    {
        check(mdb_txn_commit(txn_));
        begin(0);
    }

    MDB_env *env_;
    MDB_txn *txn_;
    MDB_dbi dbi_;
    MDB_cursor *cursor_ = nullptr;
    uint64_t writes_ = 0;
    bool reading_ = false;
};

/* ---- the measurements ---- */

struct namer {
    std::string suite;
    std::string size;

    std::string operator()(const char *what) const
    {
        return suite + "_" + what + "_" + size;
    }
};

static double each(uint64_t began, uint64_t count)
{
    return (double)(cpu_ns() - began) / (double)count;
}

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
static subject make(const char *subject_name, const namer &name, uint64_t n,
                    bool sorted)
{
    auto run = [=](recorder &recorder) {
        if (!sorted)
            measure_random<SUBJECT>(recorder, name, n);
        else if constexpr (SUBJECT::can_insert)
            measure_sorted<SUBJECT>(recorder, name, n);
    };

    return {subject_name, run};
}

static void run_suite(const options &options, const std::string &suite,
                      uint64_t n)
{
    namer name = {suite, size_name(n)};
    bool strings = suite == "string";
    bool peers = n <= 4000000; /* the slow ones */
    unsigned rounds = options.quick ? 2 : n > 4000000 ? 3 : 5;

    for (bool sorted : {false, true}) {
        static const char *const random_cases[] = {"insert", "bytes", "account",
                                                   "lookup", "scan",  "rebuild",
                                                   "range8", "rank",  "delete"};
        static const char *const sorted_cases[] = {"sorted", "sorted_bytes",
                                                   "bulk", "bulk_bytes"};
        std::vector<subject> subjects;
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
        if (strings) {
            using absl_set = node_set<absl::btree_set<std::string>>;

            subjects.push_back(make<rhizome<32>>("rhizome", name, n, sorted));
            subjects.push_back(make<absl_set>("absl", name, n, sorted));
            if (peers && !options.quick)
                subjects.push_back(
                    make<lmdb<std::string>>("lmdb", name, n, sorted));
        } else {
            using absl_set = node_set<absl::btree_set<words>>;
            using std_set = node_set<std::set<words>>;

            subjects.push_back(make<rhizome<16>>("rhizome", name, n, sorted));
            subjects.push_back(make<absl_set>("absl", name, n, sorted));
            if (peers && !sorted)
                subjects.push_back(
                    make<sorted_array<words>>("sorted_array", name, n, sorted));
            if (peers && !options.quick)
                subjects.push_back(
                    make<lmdb<big_endian>>("lmdb", name, n, sorted));
            if (peers && !sorted && !options.quick)
                subjects.push_back(make<std_set>("std_set", name, n, sorted));
        }
        run_rounds(options, suite, n, rounds, subjects);
    }
}

int main(int argc, char **argv)
{
    options options = parse_options(
        argc, argv, "Our tree beside absl::btree_set, LMDB and others.");
    std::vector<uint64_t> sizes = options.sizes;

    if (sizes.empty()) {
        sizes = {1000000};
        if (!options.quick)
            sizes.push_back(10000000);
    }
    for (uint64_t n : sizes)
        run_suite(options, "tree", n);
    for (uint64_t n : sizes) {
        if (n <= 4000000)
            run_suite(options, "string", n);
    }
    return 0;
}
