// Whether a file can be asked without harm, whatever bytes it has. Nothing else in here checks a bound.
#pragma once
#include <cmath>
#include <string>

#include "ngram.h"
#include "ngram_sum.h"
#include "ngram_words.h"

namespace karussell {

inline bool ngram_is_word(const char* text, uint64_t bytes) {
    if (!bytes || bytes > NgramWords::LONGEST || !ngram_utf8(text, bytes)) return false;
    for (uint64_t i = 0; i < bytes; i++)
        if (ngram_space(text[i])) return false;
    return true;
}

// null, or what is wrong
inline const char* ngram_verify_words(const NgramTrie& model) {
    const NgramHeader& header = model.header();
    const uint32_t words = model.words(), *offsets = model.offsets();
    if (offsets[0] != 0 || offsets[words] != header.text) return "its words do not fill their place";
    for (uint32_t i = 0; i < words; i++)
        if (offsets[i] >= offsets[i + 1] || offsets[i + 1] > header.text) return "its words overlap";
    uint32_t used = 0;
    for (uint32_t i = 0; i < header.slots; i++) {
        if (model.slots()[i] > words) return "its word table leads nowhere";
        used += model.slots()[i] != 0;
    }
    if (used != words) return "its word table has not every word once";
    for (uint32_t i = 0; i < words; i++) {
        uint32_t bytes;
        const char* text = model.text(i, bytes);
        if (!ngram_is_word(text, bytes)) return "one of its words is empty, holds a space, or is not UTF-8";
        if (i != NGRAM_UNKNOWN && model.find(text, bytes) != i) return "its word table does not find every word";
    }
    if (model.find("<s>", 3) != header.begin || header.begin == 0) return "<s> is not where it says";
    if (model.find("</s>", 4) != header.end || header.end == 0) return "</s> is not where it says";
    uint32_t bytes;
    const char* first = model.text(NGRAM_UNKNOWN, bytes);
    return bytes == 5 && std::memcmp(first, "<unk>", 5) == 0 ? nullptr : "its first word is not <unk>";
}

inline const char* ngram_verify_nodes(const NgramTrie& model) {
    constexpr uint32_t ROOT = NgramTrie::ROOT;
    const NgramHeader& header = model.header();
    const uint32_t *word = model.word(), *link = model.link(), *first = model.first();
    uint64_t begin = 0;
    for (uint32_t order = 1; order <= header.order; order++) {
        uint64_t end = begin + header.counts[order - 1];
        bool inner = order < header.order;
        // the children of these nodes are exactly the next order's; the node after the last one begins what follows
        if (inner && (first[begin] != end || first[end] != end + header.counts[order]))
            return "its n-grams are not where they should be";
        for (uint64_t node = begin; node < end; node++) {
            if (word[node] >= header.counts[0] || (order == 1 && word[node] != node))
                return "one of its n-grams has a word that there is not";
            if (order == 1 ? link[node] != ROOT : link[node] != ROOT && (link[node] >= begin || !model.is_state(link[node])))
                return "one of its n-grams leads nowhere";
            if (!(model.prob()[node] <= 0) || !std::isfinite(model.prob()[node]))
                return "one of its probabilities is not between 0 and 1";
            if (!inner) continue;
            if (!std::isfinite(model.backoff()[node])) return "one of its back-off weights is not a number";
            if (first[node] > first[node + 1] || first[node + 1] > end + header.counts[order])
                return "its n-grams are not where they should be";
            for (uint64_t child = uint64_t(first[node]) + 1; child < first[node + 1]; child++)
                if (word[child - 1] >= word[child]) return "its n-grams are not sorted";
        }
        begin = end;
    }
    return nullptr;
}

inline const char* ngram_verify_table(const NgramProbing::Table& table, uint32_t words) {
    bool room = false;
    for (uint64_t i = 0; i < table.buckets; i++) {
        const char* entry = table.base + i * table.entry;
        if (NgramProbing::read<uint64_t>(entry) == 0) {
            room = true;
            continue;
        }
        if (words && NgramProbing::read<uint32_t>(entry + 8) >= words) return "its word table leads nowhere";
        for (uint64_t at = 8; !words && at < table.entry; at += 4)
            if (!std::isfinite(NgramProbing::read<float>(entry + at))) return "one of its numbers is not finite";
    }
    return room ? nullptr : "one of its tables is full";
}

inline const char* ngram_verify_probing(const NgramProbing& model) {
    for (uint64_t i = 0; i < 2 * uint64_t(model.words()); i++)
        if (!std::isfinite(NgramProbing::read<float>(model.unigrams() + 4 * i)))
            return "one of its numbers is not finite";
    const char* wrong = ngram_verify_table(model.vocabulary(), model.words());
    for (int order = 2; order <= model.order() && !wrong; order++) wrong = ngram_verify_table(model.table(order), 0);
    if (wrong) return wrong;
    if (model.begin_word() == 0) return "it lacks <s>";
    if (model.end_word() == 0) return "it lacks </s>";
    if (!model.has_text()) return nullptr;
    const char *at = model.text(), *end = at + model.text_bytes();
    for (uint32_t word = 0; word < model.words(); word++) {
        const char* zero = at < end ? static_cast<const char*>(std::memchr(at, 0, uint64_t(end - at))) : nullptr;
        if (!zero) return "it was cut off among its words";
        uint64_t bytes = uint64_t(zero - at);
        if (!ngram_is_word(at, bytes)) return "one of its words is empty, holds a space, or is not UTF-8";
        if (word == 0 ? std::string(at, bytes) != "<unk>" : model.find(at, bytes) != word)
            return "its words are not those of its word table";
        at = zero + 1;
    }
    return at == end ? nullptr : "there is something after its words";
}

inline const char* ngram_verify(const void* data, uint64_t bytes) {
    Ngram model;
    if (const char* wrong = model.open(data, bytes)) return wrong;
    if (model.probing()) return ngram_verify_probing(model.tables());
    const char* base = static_cast<const char*>(data);
    if (ngram_checksum(base + NGRAM_SUMMED, bytes - NGRAM_SUMMED) != model.trie().header().checksum)
        return "its checksum is wrong: it was damaged";
    if (const char* wrong = ngram_verify_words(model.trie())) return wrong;
    return ngram_verify_nodes(model.trie());
}

}  // namespace karussell
