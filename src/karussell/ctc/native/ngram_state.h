// What an n-gram model remembers of the words before.
#pragma once
#include <cstdint>
#include <cstring>

namespace karussell {

constexpr uint32_t NGRAM_UNKNOWN = 0;         // the number of <unk>, and of every word that is not in the model
constexpr double NGRAM_LN10 = 2.302585092994045684;  // both forms keep log10, as ARPA files do
constexpr int NGRAM_MOST_HISTORY = 7;         // words of history in KenLM's form; ours keeps one number

// What a model remembers. Plain memory, zero beyond `length`; equal states score alike whatever follows.
struct NgramState {
    uint32_t length = 0;                      // entries in use; 0: nothing is remembered
    uint32_t words[NGRAM_MOST_HISTORY] = {};  // KenLM's form: words, last first; ours: [0] is a node

    bool operator==(const NgramState& other) const { return std::memcmp(this, &other, sizeof(NgramState)) == 0; }
    uint64_t hash() const {
        uint64_t part[4], mixed = 0x9e3779b97f4a7c15ull;
        static_assert(sizeof part == sizeof(NgramState));
        std::memcpy(part, this, sizeof part);
        for (uint64_t one : part) {
            mixed = (mixed ^ one) * 0xff51afd7ed558ccdull;
            mixed ^= mixed >> 32;
        }
        return mixed;
    }
};

}  // namespace karussell
