/*
 * harness.h -- how every benchmark here is run and reported.
 *
 * A *subject* is a structure under test; a *case* is one figure of it, such as
 * tree_insert_1m. In each round every subject runs once, one after the other,
 * each in a fresh child process: subjects share neither heap nor page tables,
 * so the memory that one takes is the growth of its own resident set, and a
 * slow minute of the machine falls on all of them. What is reported is the
 * median over the rounds, with the least and the greatest.
 *
 * Times are CPU time of the process, for the machine may be shared.
 */
#ifndef RHIZOME_BENCH_HARNESS_H
#define RHIZOME_BENCH_HARNESS_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench
{

struct options {
    std::vector<uint64_t> sizes; /* --n, or the program's own */
    unsigned rounds = 0;         /* --rounds, or the program's own */
    bool quick = false;
    std::vector<std::string> names;    /* suites and beginnings of case names */
    std::vector<std::string> subjects; /* --subject: these alone */
};

/* Parses the arguments that all programs share; exits on --help or errors. */
options parse_options(int argc, char **argv, const char *about);

/* True if the user wants `case_name` (or, partly, the suite). */
bool wanted(const options &options, const std::string &suite,
            const std::string &case_name);

/* "1m" for 1,000,000; "250k"; the number itself where neither fits. */
std::string size_name(uint64_t n);

/* Takes what a subject measures, in the child, and sends it to the parent. */
class recorder
{
  public:
    explicit recorder(int fd) : fd_(fd)
    {
    }
    void add(const std::string &case_name, const char *metric, const char *unit,
             double value);

  private:
    int fd_;
};

struct subject {
    std::string name;
    std::function<void(recorder &)> run;
    unsigned rounds_max = ~0u; /* slow ones may have fewer than the others */
};

/*
 * Runs `subjects` for `rounds` rounds and prints one JSON object a line for
 * each case that the user wants. Ends the program if a subject fails.
 */
void run_rounds(const options &options, const std::string &suite, uint64_t n,
                unsigned rounds, const std::vector<subject> &subjects);

/* CPU time of this process, in ns. */
uint64_t cpu_ns();

/* What each of `count` operations took since cpu_ns() gave `began`. */
inline double each(uint64_t began, uint64_t count)
{
    return (double)(cpu_ns() - began) / (double)count;
}

/* Gives free memory back to the system, then the resident set in bytes. */
size_t resident_bytes();

/* Prints the message and ends the program: a benchmark that is wrong. */
[[noreturn]] void die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Keeps the compiler from dropping what computed `value`. */
inline void keep(uint64_t value)
{
    asm volatile("" : : "r"(value) : "memory");
}

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators". */
class splitmix64
{
  public:
    explicit splitmix64(uint64_t seed) : state_(seed)
    {
    }
    uint64_t next()
    {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t bound)
    {
        return (uint64_t)(((unsigned __int128)next() * bound) >> 64);
    }

  private:
    uint64_t state_;
};

/* Fisher-Yates with a seed of its own. */
template <class T> void permute(std::vector<T> &items, uint64_t seed)
{
    splitmix64 random(seed);

    for (size_t i = items.size(); i > 1; i--)
        std::swap(items[i - 1], items[random.below(i)]);
}

struct pair {
    uint64_t src;
    uint64_t dst;
};

/*
 * The workload: `n` pairs in random order, src uniform in 0..n/8, dst uniform
 * in 0..n, so that a src has 8 partners on average. A few in a million are
 * equal. One after the other, for those who cannot hold them all.
 */
class pair_source
{
  public:
    explicit pair_source(uint64_t n) : random_(42), n_(n)
    {
    }
    pair next()
    {
        uint64_t src = random_.below(n_ / 8);

        return {src, random_.below(n_)};
    }

  private:
    splitmix64 random_;
    uint64_t n_;
};

/* All of them. */
std::vector<pair> random_pairs(uint64_t n);

} // namespace bench

#endif
