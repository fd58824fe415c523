// Our own form of an n-gram model: a trie read forwards, its nodes in one array, every node with the way back to its
// longest suffix. A state is one node, a score one search among its children and a step back for each back-off.
//
// Nodes are the n-grams: first all unigrams by word number, then all bigrams in the order of their words, and so on.
// Nodes below the highest order are *inner*, the rest leaves.
//
//     offsets uint32[V + 1]  text uint8[]       the words
//     slots   uint32[S]                         their hash table: word number + 1, or 0; S a power of two
//     word    uint32[M]                         last word of each n-gram
//     prob    float[M]                          log10 p(last word | the words before)
//     link    uint32[M]                         the state one step shorter, ROOT if nothing is remembered
//     backoff float[I]                          log10 back-off weight
//     first   uint32[I + 1]                     children of inner node i: nodes first[i] ... first[i + 1] - 1
//
// Sections begin at multiples of 64 bytes; numbers are little-endian. A node that has no children and no back-off is
// no state: whoever arrives there remembers its link.
#pragma once
#include "ngram_state.h"

namespace karussell {

constexpr int NGRAM_MOST_ORDER = 12;
constexpr uint32_t NGRAM_VERSION = 1;
constexpr char NGRAM_MAGIC[8] = {'K', 'R', 'L', 'N', 'G', 'R', 'A', 'M'};

struct NgramHeader {
    char magic[8];
    uint32_t version, order;
    uint64_t bytes;     // of the whole file
    uint64_t checksum;  // of everything after this number
    uint64_t text;      // bytes of all words
    uint32_t slots, begin, end;
    uint32_t unknown;   // 1 if <unk> has a probability of its own; 0 if it was not in the model and has log10 -100
    uint64_t counts[NGRAM_MOST_ORDER];
};
static_assert(sizeof(NgramHeader) == 152);

// where everything lies, from the header's numbers alone
struct NgramLayout {
    uint64_t nodes = 0, inner = 0;  // M, I
    uint64_t offsets, text, slots, word, prob, link, backoff, first, bytes;

    explicit NgramLayout(const NgramHeader& h) {
        for (uint32_t k = 0; k < h.order; k++) nodes += h.counts[k];
        inner = nodes - h.counts[h.order - 1];
        uint64_t at = sizeof(NgramHeader);
        auto section = [&at](uint64_t size) {
            uint64_t begin = (at + 63) / 64 * 64;
            at = begin + size;
            return begin;
        };
        offsets = section(4 * (h.counts[0] + 1));
        text = section(h.text);
        slots = section(4 * uint64_t(h.slots));
        word = section(4 * nodes);
        prob = section(4 * nodes);
        link = section(4 * nodes);
        backoff = section(4 * inner);
        first = section(4 * (inner + 1));
        bytes = at;
    }
};

// FNV-1a, then mixed so that its low bits depend on all of them
inline uint64_t ngram_hash(const char* word, uint64_t bytes) {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (uint64_t i = 0; i < bytes; i++) hash = (hash ^ uint8_t(word[i])) * 0x100000001b3ull;
    hash ^= hash >> 32;
    hash *= 0xff51afd7ed558ccdull;
    return hash ^ (hash >> 29);
}

class NgramTrie {
  public:
    static constexpr uint32_t ROOT = 0xffffffffu;

    const char* open(const void* data, uint64_t bytes) {
        const char* base = static_cast<const char*>(data);
        if (bytes < sizeof header_) return "it is shorter than a header";
        std::memcpy(&header_, base, sizeof header_);
        if (std::memcmp(header_.magic, NGRAM_MAGIC, sizeof NGRAM_MAGIC)) return "it does not begin as such a file does";
        if (header_.version != NGRAM_VERSION) return "it is of another version of the format; make it anew";
        if (header_.order < 1 || header_.order > uint32_t(NGRAM_MOST_ORDER)) return "its order is not between 1 and 12";
        uint64_t total = 0;
        for (int k = 0; k < NGRAM_MOST_ORDER; k++) {
            if (k < int(header_.order) && header_.counts[k] >= ROOT) return "it claims more n-grams than there can be";
            total += k < int(header_.order) ? header_.counts[k] : 0;
        }
        if (total >= ROOT) return "it claims more n-grams than there can be";
        if (header_.counts[0] < 3) return "it has no words";
        if (header_.text > 0xffffffffull) return "it claims more text than there can be";
        if (header_.slots <= header_.counts[0] || (header_.slots & (header_.slots - 1))) return "its word table is wrong";
        if (header_.begin >= header_.counts[0] || header_.end >= header_.counts[0]) return "it lacks <s> or </s>";
        NgramLayout at(header_);
        if (at.bytes != bytes || header_.bytes != bytes) return "its length is not the one in its header: it was cut off";
        inner_ = uint32_t(at.inner);
        offsets_ = reinterpret_cast<const uint32_t*>(base + at.offsets);
        text_ = base + at.text;
        slots_ = reinterpret_cast<const uint32_t*>(base + at.slots);
        word_ = reinterpret_cast<const uint32_t*>(base + at.word);
        prob_ = reinterpret_cast<const float*>(base + at.prob);
        link_ = reinterpret_cast<const uint32_t*>(base + at.link);
        backoff_ = reinterpret_cast<const float*>(base + at.backoff);
        first_ = reinterpret_cast<const uint32_t*>(base + at.first);
        return nullptr;
    }

    int order() const { return int(header_.order); }
    uint32_t words() const { return uint32_t(header_.counts[0]); }
    uint32_t begin_word() const { return header_.begin; }
    uint32_t end_word() const { return header_.end; }
    const NgramHeader& header() const { return header_; }

    const char* text(uint32_t word, uint32_t& bytes) const {
        bytes = offsets_[word + 1] - offsets_[word];
        return text_ + offsets_[word];
    }

    uint32_t find(const char* word, uint64_t bytes) const {
        uint32_t mask = header_.slots - 1;
        for (uint32_t at = uint32_t(ngram_hash(word, bytes)) & mask; slots_[at]; at = (at + 1) & mask) {
            uint32_t size, found = slots_[at] - 1;
            const char* known = text(found, size);
            if (size == bytes && std::memcmp(known, word, bytes) == 0) return found;
        }
        return NGRAM_UNKNOWN;
    }

    NgramState begin() const { return state(arrive(header_.begin)); }

    // log10
    double score(const NgramState& from, uint32_t word, NgramState& next) const {
        double sum = 0;
        uint32_t node = from.length ? from.words[0] : ROOT;
        while (node != ROOT) {
            uint32_t child = child_of(node, word);
            if (child != ROOT) {
                next = state(arrive(child));
                return sum + prob_[child];
            }
            sum += backoff_[node];
            node = link_[node];
        }
        next = state(arrive(word));
        return sum + prob_[word];
    }

    // the child of an inner node by its word, or ROOT
    uint32_t child_of(uint32_t node, uint32_t word) const {
        uint32_t low = first_[node], count = first_[node + 1] - low;
        while (count > 1) {
            uint32_t half = count / 2;
            low += word_[low + half] <= word ? half : 0;
            count -= half;
        }
        return count && word_[low] == word ? low : ROOT;
    }

    // whether a node is worth remembering
    bool is_state(uint32_t node) const {
        return node < inner_ && (first_[node] != first_[node + 1] || backoff_[node] != 0);
    }
    uint32_t arrive(uint32_t node) const { return is_state(node) ? node : link_[node]; }

    uint32_t inner() const { return inner_; }
    const uint32_t* offsets() const { return offsets_; }
    const uint32_t* slots() const { return slots_; }
    const uint32_t* word() const { return word_; }
    const uint32_t* link() const { return link_; }
    const uint32_t* first() const { return first_; }
    const float* prob() const { return prob_; }
    const float* backoff() const { return backoff_; }

  private:
    static NgramState state(uint32_t node) {
        NgramState made;
        made.length = node != ROOT;
        made.words[0] = node != ROOT ? node : 0;
        return made;
    }

    NgramHeader header_{};
    uint32_t inner_ = 0;
    const char* text_ = nullptr;
    const uint32_t *offsets_ = nullptr, *slots_ = nullptr, *word_ = nullptr, *link_ = nullptr, *first_ = nullptr;
    const float *prob_ = nullptr, *backoff_ = nullptr;
};

}  // namespace karussell
