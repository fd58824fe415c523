// An n-gram model in memory, as a search asks it: begin, score a word after a state, end, find a word's number.
//
//     Ngram model;
//     if (const char* wrong = model.open(data, bytes)) ...        // memory that lm/model.py holds and has verified
//     NgramState state = model.begin(), next;
//     double log_p = model.score(state, model.find("word", 4), next);   // natural logarithm of p(word | state)
//     log_p += model.end(next);
//
// Two forms stand behind it: our own (ngram_trie.h) and KenLM's probing tables (ngram_probing.h). Both give a state
// that is the shortest history that scores alike, so hypotheses with equal states may be merged. Word 0 is <unk>,
// in both. Nothing is allocated; every function is const and may be called from many threads.
#pragma once
#include "ngram_probing.h"
#include "ngram_state.h"
#include "ngram_trie.h"

namespace karussell {

class Ngram {
  public:
    // Looks at the header alone: null if it is well, else a sentence. The contents must have been verified once
    // (ngram_verify.h; lm/model.py does it), and the memory must outlive the model.
    const char* open(const void* data, uint64_t bytes) {
        probing_ = NgramProbing::is_one(data, bytes);
        return probing_ ? tables_.open(data, bytes) : trie_.open(data, bytes);
    }

    int order() const { return probing_ ? tables_.order() : trie_.order(); }
    uint32_t words() const { return probing_ ? tables_.words() : trie_.words(); }  // with <unk>, <s>, </s>
    uint32_t begin_word() const { return probing_ ? tables_.begin_word() : trie_.begin_word(); }
    uint32_t end_word() const { return probing_ ? tables_.end_word() : trie_.end_word(); }

    // the number of a word given as UTF-8; NGRAM_UNKNOWN if the model has it not
    uint32_t find(const char* word, uint64_t bytes) const {
        return probing_ ? tables_.find(word, bytes) : trie_.find(word, bytes);
    }

    // after <s>
    NgramState begin() const { return probing_ ? tables_.begin() : trie_.begin(); }
    // with no history at all
    NgramState nothing() const { return {}; }

    // ln p(word | state); word < words(); `next` may be `state` itself
    double score(const NgramState& state, uint32_t word, NgramState& next) const {
        return NGRAM_LN10 * (probing_ ? tables_.score(state, word, next) : trie_.score(state, word, next));
    }

    // ln p(</s> | state)
    double end(const NgramState& state) const {
        NgramState ignored;
        return score(state, end_word(), ignored);
    }

    bool probing() const { return probing_; }
    const NgramTrie& trie() const { return trie_; }
    const NgramProbing& tables() const { return tables_; }

  private:
    bool probing_ = false;
    NgramTrie trie_;
    NgramProbing tables_;
};

}  // namespace karussell
