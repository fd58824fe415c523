// The checksum of our own form: four lanes of 64 bits, so that it runs at the speed of memory.
#pragma once
#include <cstddef>

#include "ngram_trie.h"

namespace karussell {

constexpr uint64_t NGRAM_SUMMED = offsetof(NgramHeader, checksum) + sizeof(uint64_t);  // what it covers begins here

inline uint64_t ngram_checksum(const char* data, uint64_t bytes) {
    constexpr uint64_t PRIME = 0x9e3779b185ebca87ull;
    uint64_t lane[4] = {1, 2, 3, 4}, block[4];
    auto mix = [](uint64_t a, uint64_t b) {
        a = (a ^ b) * PRIME;
        return a ^ (a >> 29);
    };
    uint64_t at = 0;
    for (; at + sizeof block <= bytes; at += sizeof block) {
        std::memcpy(block, data + at, sizeof block);
        for (int i = 0; i < 4; i++) lane[i] = mix(lane[i], block[i]);
    }
    std::memset(block, 0, sizeof block);
    std::memcpy(block, data + at, bytes - at);
    uint64_t sum = bytes;
    for (int i = 0; i < 4; i++) sum = mix(sum, mix(lane[i], block[i]));
    return sum;
}

}  // namespace karussell
