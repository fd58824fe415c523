// KenLM's binary files of the probing type, asked in place (kheafield.com/code/kenlm, format version 5).
//
// Such a file holds the hashes of its n-grams, not their words: it can be asked, but not turned into another form.
//
//     reference numbers [88]  order, multiplier, type, has words, version [20]  counts uint64[order]
//     version, bound uint32   vocabulary {hash uint64, word uint32}[buckets]
//     unigrams {prob, backoff float}[counts[0] + 1]
//     order 2 ... highest - 1: {key uint64, prob, backoff float}[buckets]; highest: {key uint64, prob float}[buckets]
//     the words, each ended by a zero byte, <unk> first, if it has words
//
// The key of an n-gram is built from its last word backwards; 0 marks an empty bucket. A probability's sign bit says
// that nothing longer ends in this n-gram; a back-off of -0 says that nothing longer begins with it.
#pragma once
#include "ngram_state.h"

namespace karussell {

constexpr char KENLM_MAGIC[] = "mmap lm http://kheafield.com/code format version 5\n";

class NgramProbing {
  public:
    static constexpr int MOST_ORDER = NGRAM_MOST_HISTORY + 1;
    struct Table {
        const char* base = nullptr;
        uint64_t buckets = 0, entry = 0;
    };

    static bool is_one(const void* data, uint64_t bytes) {
        // "mmap lm http://kheafield.com/code", so that other versions get here as well and are told apart
        return bytes >= 33 && std::memcmp(data, KENLM_MAGIC, 33) == 0;
    }

    const char* open(const void* data, uint64_t bytes) {
        const char* base = static_cast<const char*>(data);
#define KARUSSELL_NOT_PROBING(kind) \
    "it is of KenLM's type '" kind "', and only 'probing' is read; build it anew as that, or give its ARPA file"
        static constexpr const char* TYPES[] = {
            "", KARUSSELL_NOT_PROBING("probing with rest costs"), KARUSSELL_NOT_PROBING("trie"),
            KARUSSELL_NOT_PROBING("quantised trie"), KARUSSELL_NOT_PROBING("trie with compressed pointers"),
            KARUSSELL_NOT_PROBING("quantised trie with compressed pointers")};
#undef KARUSSELL_NOT_PROBING
        if (bytes < 108) return "it is shorter than KenLM's header";
        if (std::memcmp(base, KENLM_MAGIC, sizeof KENLM_MAGIC)) {
            return std::memcmp(base + 33, " incomplete", 11) == 0
                       ? "KenLM did not finish writing it"
                       : "it is of another version of KenLM's format than 5";
        }
        if (read<float>(base + 56) != 0 || read<float>(base + 60) != 1 || read<float>(base + 64) != -0.5f ||
            read<uint32_t>(base + 68) != 1 || read<uint32_t>(base + 72) != 0xffffffffu || read<uint64_t>(base + 80) != 1)
            return "KenLM wrote it on another kind of machine";
        order_ = uint8_t(base[88]);
        float multiplier = read<float>(base + 92);
        uint32_t type = read<uint32_t>(base + 96);
        has_text_ = base[100] != 0;
        if (type > 5) return "its KenLM type is none that is known";
        if (type != 0) return TYPES[type];
        if (read<uint32_t>(base + 104) != 0) return "its probing tables are of another version than 0";
        if (order_ < 2 || order_ > MOST_ORDER) return "its order is not between 2 and 8";
        if (!(multiplier >= 1 && multiplier <= 1000)) return "its probing multiplier is not between 1 and 1000";
        uint64_t at = (108 + 8 * uint64_t(order_) + 7) / 8 * 8;
        if (bytes < at) return "it is shorter than KenLM's header";
        uint64_t counts[MOST_ORDER];
        for (int k = 0; k < order_; k++) {
            counts[k] = read<uint64_t>(base + 108 + 8 * k);
            if (counts[k] > bytes) return "it claims more n-grams than it has bytes";
        }
        if (counts[0] < 1) return "it has no words";
        if (bytes < at + 8) return CUT;
        if (read<uint32_t>(base + at) != 0) return "its vocabulary is of another version than 0";
        words_ = read<uint32_t>(base + at + 4);
        if (words_ < 1 || words_ > counts[0] + 1) return "its number of words is not the one in its header";
        at += 8;
        if (!table(base, bytes, at, counts[0], multiplier, 12, vocabulary_)) return CUT;
        unigrams_ = base + at;
        at += 8 * (counts[0] + 1);
        for (int k = 1; k < order_; k++)
            if (!table(base, bytes, at, counts[k], multiplier, k + 1 < order_ ? 16 : 12, tables_[k])) return CUT;
        text_ = base + at;
        text_bytes_ = bytes - at;
        begin_ = find("<s>", 3);
        end_ = find("</s>", 4);
        return nullptr;
    }

    int order() const { return order_; }
    uint32_t words() const { return words_; }
    uint32_t begin_word() const { return begin_; }
    uint32_t end_word() const { return end_; }
    bool has_text() const { return has_text_; }
    const char* text() const { return text_; }
    uint64_t text_bytes() const { return text_bytes_; }
    const Table& vocabulary() const { return vocabulary_; }
    const Table& table(int order) const { return tables_[order - 1]; }
    const char* unigrams() const { return unigrams_; }

    uint32_t find(const char* word, uint64_t bytes) const {
        const char* entry = look_up(vocabulary_, murmur(word, bytes));
        uint32_t found = entry ? read<uint32_t>(entry + 8) : NGRAM_UNKNOWN;
        return found < words_ ? found : NGRAM_UNKNOWN;
    }

    NgramState begin() const {
        NgramState made;
        made.length = 1;
        made.words[0] = begin_;
        return made;
    }

    // log10
    double score(const NgramState& from, uint32_t word, NgramState& next) const {
        const char* entry = unigrams_ + 8 * uint64_t(word);
        float prob = read<float>(entry);
        uint32_t matched = 1, longest = extends(read<float>(entry + 4));
        bool more = !negative(prob);
        uint64_t key = word;
        for (uint32_t i = 0; i < from.length && more; i++) {
            key = combine(key, from.words[i]);
            entry = look_up(tables_[i + 1], key);
            if (!entry) break;
            prob = read<float>(entry + 8);
            matched = i + 2;
            if (i + 2 == uint32_t(order_)) break;
            more = !negative(prob);
            if (extends(read<float>(entry + 12))) longest = i + 2;
        }
        double sum = prob < 0 ? prob : -prob;
        if (matched <= from.length) sum += backoffs(from, matched);
        NgramState made;
        made.length = longest;
        for (uint32_t i = 0; i < longest; i++) made.words[i] = i ? from.words[i - 1] : word;
        next = made;
        return sum;
    }

    template <class T> static T read(const char* from) {
        T value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }

  private:
    static constexpr const char* CUT = "it is shorter than its header says: it was cut off";

    static bool table(const char* base, uint64_t bytes, uint64_t& at, uint64_t count, float multiplier, uint64_t entry,
                      Table& made) {
        uint64_t wanted = uint64_t(multiplier * float(count));
        made = {base + at, wanted > count + 1 ? wanted : count + 1, entry};
        if (at > bytes || made.buckets > (bytes - at) / entry) return false;
        at += made.buckets * entry;
        return true;
    }

    static const char* look_up(const Table& in, uint64_t key) {
        uint64_t bucket = key % in.buckets;
        for (uint64_t tries = 0; tries < in.buckets; tries++) {
            const char* entry = in.base + bucket * in.entry;
            uint64_t got = read<uint64_t>(entry);
            if (got == key) return entry;
            if (got == 0) return nullptr;
            if (++bucket == in.buckets) bucket = 0;
        }
        return nullptr;
    }

    // log10 back-off weights of the histories of `shortest` words and more
    double backoffs(const NgramState& from, uint32_t shortest) const {
        double sum = 0;
        uint64_t key = from.words[0];
        for (uint32_t length = 1; length <= from.length; length++) {
            const char* entry = unigrams_ + 8 * key + 4;
            if (length > 1) {
                key = combine(key, from.words[length - 1]);
                entry = look_up(tables_[length - 1], key);
                if (!entry) break;
                entry += 12;
            }
            if (length >= shortest) sum += read<float>(entry);
        }
        return sum;
    }

    static uint64_t combine(uint64_t key, uint32_t word) {
        return (key * 8978948897894561157ull) ^ (uint64_t(1 + word) * 17894857484156487943ull);
    }

    static uint32_t bits(float value) {
        uint32_t made;
        std::memcpy(&made, &value, sizeof made);
        return made;
    }
    static bool negative(float value) { return bits(value) >> 31; }
    static bool extends(float backoff) { return bits(backoff) != 0x80000000u; }

    // MurmurHash64A of Austin Appleby (public domain), seed 0
    static uint64_t murmur(const char* word, uint64_t bytes) {
        constexpr uint64_t m = 0xc6a4a7935bd1e995ull;
        uint64_t hash = bytes * m;
        for (; bytes >= 8; word += 8, bytes -= 8) {
            uint64_t k = read<uint64_t>(word) * m;
            hash = (hash ^ ((k ^ (k >> 47)) * m)) * m;
        }
        if (bytes) {
            uint64_t rest = 0;
            std::memcpy(&rest, word, bytes);
            hash = (hash ^ rest) * m;
        }
        hash = (hash ^ (hash >> 47)) * m;
        return hash ^ (hash >> 47);
    }

    int order_ = 0;
    uint32_t words_ = 0, begin_ = 0, end_ = 0;
    bool has_text_ = false;
    const char *unigrams_ = nullptr, *text_ = nullptr;
    uint64_t text_bytes_ = 0;
    Table vocabulary_, tables_[MOST_ORDER];
};

}  // namespace karussell
