// SPDX-License-Identifier: Apache-2.0
//
// The baseline of bench/refdb: the same refs in std::unordered_map, as one would write it first.
// Reads "path<TAB>ref<TAB>oid" lines, prints a word and a value per line.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <unordered_map>
#include <vector>

#include <malloc.h>

namespace {

struct Ref {
    std::array<unsigned char, 20> oid;
    std::uint64_t last_index;
    std::uint32_t actor;
};

using Refs = std::unordered_map<std::string, Ref>;
using Repositories = std::unordered_map<std::string, Refs>;
using Keys = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t sample_count = 10000;
constexpr std::size_t rounds = 20;

double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
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
std::size_t read_all(Repositories &repositories, Keys &keys)
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
double list_seconds(const Repositories &repositories)
{
    double start = now();
    std::size_t bytes = 0;

    for (const auto &repository : repositories) {
        std::vector<const Refs::value_type *> sorted;

        for (const auto &ref : repository.second) {
            sorted.push_back(&ref);
        }
        std::sort(sorted.begin(), sorted.end(),
                  [](const auto *a, const auto *b) { return a->first < b->first; });
        for (const auto *ref : sorted) {
            bytes += ref->first.size() + ref->second.oid[0];
        }
    }
    return bytes == 0 ? 0 : now() - start;
}

} // namespace

int main()
{
    Repositories repositories;
    Keys keys;
    double start, copied;
    std::size_t count, seen = 0;

    std::ios::sync_with_stdio(false);
    count = read_all(repositories, keys);
    malloc_trim(0);
    std::printf("map_bytes %.0f\n", resident_bytes());
    start = now();
    for (std::size_t round = 0; round < rounds; round++) {
        for (const auto &key : keys) {
            seen += repositories.at(key.first).count(key.second);
        }
    }
    std::printf("map_lookup_ns %.1f\n", (now() - start) / static_cast<double>(seen) * 1e9);
    start = now();
    for (std::size_t round = 0; round < rounds; round++) {
        for (const auto &key : keys) {
            Ref &ref = repositories.at(key.first).at(key.second);

            ref.oid[0] = static_cast<unsigned char>(round);
            ref.last_index++;
        }
    }
    std::printf("map_update_ns %.1f\n", (now() - start) / static_cast<double>(seen) * 1e9);
    std::printf("map_list_ns %.1f\n", list_seconds(repositories) / static_cast<double>(count) * 1e9);
    start = now();
    {
        Repositories copy = repositories;

        copied = now() - start;
        seen += copy.size();
    }
    std::printf("map_copy_ms %.1f\n", copied * 1e3);
    return seen == 0;
}
