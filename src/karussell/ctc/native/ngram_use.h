// What is asked of a finished model besides a search: perplexity of a text, and whether probabilities sum to one.
#pragma once
#include <cmath>

#include "ngram.h"
#include "ngram_words.h"

namespace karussell {

// of a text; mirrored in lm/native.py
struct NgramSums {
    uint64_t sentences = 0, words = 0, unknown = 0;
    double all = 0;        // sum of ln p over words and ends of sentences
    double of_unknown = 0; // the part of it that words outside the model have
};

// `text` is whole lines; blank ones are no sentences
inline void ngram_measure(const Ngram& model, const char* text, uint64_t bytes, NgramSums& sums) {
    NgramState state = model.begin();
    bool open = false;
    auto close = [&] {
        if (!open) return;
        sums.all += model.end(state);
        sums.sentences++;
        state = model.begin();
        open = false;
    };
    for (uint64_t i = 0; i < bytes;) {
        uint64_t from = i;
        while (i < bytes && !ngram_space(text[i])) i++;
        if (i > from) {
            uint32_t word = model.find(text + from, i - from);
            double log_p = model.score(state, word, state);
            sums.all += log_p;
            sums.words++;
            if (word == NGRAM_UNKNOWN) {
                sums.unknown++;
                sums.of_unknown += log_p;
            }
            open = true;
        }
        while (i < bytes && ngram_space(text[i]))
            if (text[i++] == '\n') close();
    }
    close();
}

// The greatest |1 - sum over words of p(word | h)| of all contexts h, the empty one included. <s> is never predicted
// and not counted; what is not listed in h sums to its back-off weight times what h leaves of the shorter context.
inline double ngram_normalisation(const NgramTrie& model) {
    auto p = [](double log10_p) { return std::exp(log10_p * NGRAM_LN10); };
    double total = 0, worst;
    for (uint32_t word = 0; word < model.words(); word++) {
        bool predicted = word != model.begin_word() && (word != NGRAM_UNKNOWN || model.header().unknown);
        if (predicted) total += p(model.prob()[word]);
    }
    worst = std::fabs(total - 1);
    for (uint32_t node = 0; node < model.inner(); node++) {
        if (!model.is_state(node)) continue;
        NgramState shorter, ignored;
        shorter.length = model.link()[node] != NgramTrie::ROOT;
        shorter.words[0] = shorter.length ? model.link()[node] : 0;
        double own = 0, covered = 0;
        for (uint32_t child = model.first()[node]; child < model.first()[node + 1]; child++) {
            if (model.word()[child] == model.begin_word()) continue;
            own += p(model.prob()[child]);
            covered += p(model.score(shorter, model.word()[child], ignored));
        }
        worst = std::fmax(worst, std::fabs(own + p(model.backoff()[node]) * (1 - covered) - 1));
    }
    return worst;
}

}  // namespace karussell
