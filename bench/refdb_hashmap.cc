// SPDX-License-Identifier: Apache-2.0
//
// The baselines of bench/refdb: the same refs in std::unordered_map, as one would write it first, and
// in std::map, which has an order. refdb_hashmap hash|tree reads "path<TAB>ref<TAB>oid" lines and
// prints a word and a value per line.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include <malloc.h>
#include <time.h>

namespace {

struct Ref {
    std::array<unsigned char, 20> oid;
    std::uint64_t last_index;
    std::uint32_t actor;
};

using Hashed = std::unordered_map<std::string, Ref>;
using Ordered = std::map<std::string, Ref>;
template <typename Refs> using Repositories = std::unordered_map<std::string, Refs>;
using Keys = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t sample_count = 10000;
constexpr std::size_t rounds = 20;

double now()
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double resident_bytes()
{
    unsigned long pages = 0, resident = 0;
    std::FILE *file = std::fopen("/proc/self/statm", "r");

    if (file == nullptr || std::fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    if (file != nullptr) {
        std::fclose(file);
    }
    return static_cast<double>(resident) * 4096;
}

std::array<unsigned char, 20> oid_of(const std::string &hex)
{
    std::array<unsigned char, 20> oid{};

    for (std::size_t i = 0; i < oid.size(); i++) {
        oid[i] = static_cast<unsigned char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
    }
    return oid;
}

// Keeps keys from all over the set, so that looking them up misses the caches as it would.
template <typename Refs> std::size_t read_all(Repositories<Refs> &repositories, Keys &keys)
{
    std::string line;
    std::size_t count = 0, step = 1;

    while (std::getline(std::cin, line)) {
        std::size_t a = line.find('\t'), b = line.find('\t', a + 1);
        std::string path = line.substr(0, a), ref = line.substr(a + 1, b - a - 1);

        repositories[path][ref] = Ref{oid_of(line.substr(b + 1)), count, 7};
        if (count++ % step == 0) {
            keys.emplace_back(path, ref);
            if (keys.size() == 2 * sample_count) {
                for (std::size_t i = 0; i < sample_count; i++) {
                    keys[i] = keys[2 * i];
                }
                keys.resize(sample_count);
                step *= 2;
            }
        }
    }
    return count;
}

// In git's order, which a hash map does not have.
template <typename Refs> double list_seconds(const Repositories<Refs> &repositories)
{
    double start = now();
    std::size_t bytes = 0;

    for (const auto &repository : repositories) {
        std::vector<const typename Refs::value_type *> sorted;

        for (const auto &ref : repository.second) {
            sorted.push_back(&ref);
        }
        if (!std::is_same<Refs, Ordered>::value) {
            std::sort(sorted.begin(), sorted.end(),
                      [](const auto *a, const auto *b) { return a->first < b->first; });
        }
        for (const auto *ref : sorted) {
            bytes += ref->first.size() + ref->second.oid[0];
        }
    }
    return bytes == 0 ? 0 : now() - start;
}

template <typename Refs> int measure(const char *name)
{
    Repositories<Refs> repositories;
    Keys keys;
    double start, copied;
    std::size_t count, seen = 0;

    count = read_all(repositories, keys);
    malloc_trim(0);
    std::printf("%s_bytes %.0f\n", name, resident_bytes());
    start = now();
    for (std::size_t round = 0; round < rounds; round++) {
        for (const auto &key : keys) {
            seen += repositories.at(key.first).count(key.second);
        }
    }
    std::printf("%s_lookup_ns %.1f\n", name, (now() - start) / static_cast<double>(seen) * 1e9);
    start = now();
    for (std::size_t round = 0; round < rounds; round++) {
        for (const auto &key : keys) {
            Ref &ref = repositories.at(key.first).at(key.second);

            ref.oid[0] = static_cast<unsigned char>(round);
            ref.last_index++;
        }
    }
    std::printf("%s_update_ns %.1f\n", name, (now() - start) / static_cast<double>(seen) * 1e9);
    std::printf("%s_list_ns %.1f\n", name,
                list_seconds(repositories) / static_cast<double>(count) * 1e9);
    start = now();
    {
        Repositories<Refs> copy = repositories;

        copied = now() - start;
        seen += copy.size();
    }
    std::printf("%s_copy_ms %.1f\n", name, copied * 1e3);
    return seen == 0;
}

} // namespace

int main(int argc, char **argv)
{
    std::ios::sync_with_stdio(false);
    return argc == 2 && std::strcmp(argv[1], "tree") == 0 ? measure<Ordered>("tree")
                                                          : measure<Hashed>("hash");
}
