// What a prefix means to the lexicon, the language models and the phrases, and what one more token makes of it.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "ngram.h"
#include "search_settings.h"

namespace karussell {

constexpr double UNKNOWN_LETTERS = 6.0;
constexpr double NEVER = -std::numeric_limits<double>::infinity();

// the edge of a node that bears a symbol leads there; -1 if there is none
inline int32_t step_down(const int32_t* first, const int32_t* symbol, int32_t node, int32_t wanted) {
    int32_t low = first[node], count = first[node + 1] - low;
    while (count > 1) {
        int32_t half = count / 2;
        low += symbol[low + half] <= wanted ? half : 0;
        count -= half;
    }
    return count && symbol[low] == wanted ? low + 1 : -1;
}

// States of a model that prefixes stand in, each once, so that equal states have equal numbers.
class States {
  public:
    void begin(const NgramState& state) {
        states_.assign(1, state);
        rehash(256);
    }
    const NgramState& operator[](int32_t at) const { return states_[at]; }
    int64_t bytes() const { return int64_t(states_.capacity() * sizeof(NgramState) + table_.capacity() * 4); }

    int32_t put(const NgramState& state) {
        if (2 * states_.size() > table_.size()) rehash(2 * table_.size());
        size_t mask = table_.size() - 1, at = state.hash() & mask;
        for (; table_[at] >= 0; at = (at + 1) & mask)
            if (states_[table_[at]] == state) return table_[at];
        states_.push_back(state);
        return table_[at] = int32_t(states_.size() - 1);
    }

    // keeps those that `numbers` name, in their order, and names them anew
    void compact(const std::vector<int32_t*>& numbers) {
        std::vector<int32_t> place(states_.size(), -1);
        for (int32_t* one : numbers) place[*one] = 0;
        int32_t kept = 0;
        for (size_t i = 0; i < states_.size(); i++)
            if (place[i] == 0) states_[kept] = states_[i], place[i] = kept++;
        states_.resize(kept);
        for (int32_t* one : numbers) *one = place[*one];
        size_t size = 256;
        while (size < 4 * states_.size()) size *= 2;
        rehash(size);
    }

  private:
    void rehash(size_t size) {
        table_.assign(size, -1);
        for (size_t i = 0; i < states_.size(); i++) {
            size_t at = states_[i].hash() & (size - 1);
            while (table_[at] >= 0) at = (at + 1) & (size - 1);
            table_[at] = int32_t(i);
        }
    }

    std::vector<NgramState> states_;
    std::vector<int32_t> table_;  // open addressing, looked up only, never walked
};

struct Standing {
    int32_t lexicon = 0;      // node of the lexicon; -1: no word begins like this one
    int32_t letters = 0;      // of the word being written; 0 between words
    int32_t phrase = 0;       // node of the phrases
    int32_t word_state = 0;   // in the pools of model states
    int32_t token_state = 0;
    double language = 0;      // weighted scores of the models, and the bonuses
    double boost = 0;         // phrases that were completed
    double ahead = 0;         // what is foreseen, and taken back
    double bonus() const { return language + boost + ahead; }
    // whether whatever follows adds the same to both
    bool leads_alike(const Standing& other) const {
        return lexicon == other.lexicon && letters == other.letters && phrase == other.phrase &&
               word_state == other.word_state && token_state == other.token_state;
    }
    size_t hash(int32_t token) const {
        uint64_t h = 0;
        for (int32_t part : {lexicon, letters, phrase, word_state, token_state, token})
            h = (h ^ uint32_t(part)) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
        return size_t(h);
    }
};

class Meaning {
  public:
    const char* open(const SearchSettings& settings) {
        s_ = &settings;
        if (s_->word_model)
            if (const char* bad = words_.open(s_->word_model, s_->word_model_bytes)) return bad;
        if (s_->token_model)
            if (const char* bad = tokens_.open(s_->token_model, s_->token_model_bytes)) return bad;
        // numbers come from the same model that is given here; one look keeps a mistake from becoming a crash
        for (int64_t w = 0; s_->word_model && s_->word_number && w < s_->words; w++)
            if (s_->word_number[w] >= words_.words()) return "a word has a number beyond the word model";
        for (int64_t k = 0; s_->token_model && k < s_->classes; k++)
            if (s_->token_number[k] >= tokens_.words()) return "a token has a number beyond the token model";
        for (int64_t c = 0; c < s_->contexts; c++)
            if (!s_->word_model || s_->context[c] >= words_.words()) return "the context has a number beyond the word model";
        plain_ = !s_->lexicon_nodes && !s_->word_model && !s_->token_model && !s_->phrase_nodes && s_->token_bonus == 0 &&
                 (s_->writing == NO_WORDS || s_->word_bonus == 0);
        for (int64_t w = 0; s_->writing == ADJOINED && w < s_->words; w++)
            longest_ = std::max(longest_, double(s_->word_spell_first[w + 1] - s_->word_spell_first[w]));
        return nullptr;
    }

    bool plain() const { return plain_; }

    Standing begin() {
        Standing at;
        NgramState state{};
        if (s_->word_model) {
            state = s_->bounds ? words_.begin() : words_.nothing();
            for (int64_t c = 0; c < s_->contexts; c++) words_.score(state, s_->context[c], state);
        }
        word_states_.begin(state);
        token_states_.begin(!s_->token_model ? NgramState{} : s_->bounds ? tokens_.begin() : tokens_.nothing());
        if (s_->phrase_nodes && s_->writing != NO_WORDS) {
            at.phrase = fall(0, 0);
            at.ahead = foreseen(at);
        }
        return at;
    }

    // The standing after a token; `ends` is the word that ends with it in writing 2, else -1. False: forbidden.
    // New states of the models are kept only if `keep`, for a prefix that came into the beam.
    bool extend(const Standing& from, int32_t token, int32_t ends, Standing& to, bool keep) {
        to = from;
        if (plain_) return true;
        if (s_->token_model) {
            NgramState next;
            to.language += s_->token_weight * tokens_.score(token_states_[from.token_state], s_->token_number[token], next);
            if (keep) to.token_state = token_states_.put(next);
        }
        to.language += s_->token_bonus;
        if (s_->writing == ADJOINED) {
            to.lexicon = step_down(s_->lexicon_first, s_->lexicon_symbol, from.lexicon, token);
            if (to.lexicon < 0) return false;
            to.letters++;
            if (ends >= 0) complete(to, ends, keep);
        } else {
            bool parts = s_->writing == WRITTEN && (s_->separator[token] || s_->starts[token]);
            if (parts && !finish_word(to, keep)) return false;
            if (!(s_->writing == WRITTEN && s_->separator[token]) && !spell(to, token)) return false;
        }
        to.ahead = foreseen(to);
        return true;
    }

    // the end of the text: false if a closed vocabulary forbids to stop here
    bool finish(Standing& at, bool bounds) {
        if (s_->word_model) reached_ = word_states_[at.word_state];
        bool whole = s_->writing == ADJOINED ? at.letters == 0 : finish_word(at, false);
        if (!whole && s_->writing != NO_WORDS) complete(at, -1, false);
        if (bounds && s_->word_model) at.language += s_->word_weight * words_.end(reached_);
        if (bounds && s_->token_model) at.language += s_->token_weight * tokens_.end(token_states_[at.token_state]);
        at.ahead = 0;
        return whole;
    }

    // words that end where a token leads, and whether others go on from there; for writing 2
    void endings(const Standing& from, int32_t token, const int32_t*& first, const int32_t*& last, bool& goes_on) const {
        int32_t node = step_down(s_->lexicon_first, s_->lexicon_symbol, from.lexicon, token);
        first = last = nullptr;
        goes_on = false;
        if (node < 0) return;
        first = s_->ending + s_->ending_first[node], last = s_->ending + s_->ending_first[node + 1];
        goes_on = s_->lexicon_first[node] != s_->lexicon_first[node + 1];
    }

    // no token adds more than this to a bonus, if the models give probabilities
    double reach(int32_t token) const {
        if (plain_) return 0;
        if (s_->token_model && s_->token_weight < 0) return std::numeric_limits<double>::infinity();
        double sum = s_->token_bonus, letters = double(s_->spell_first[token + 1] - s_->spell_first[token]);
        if (s_->writing == ADJOINED) letters = longest_;
        bool ends = s_->writing == ADJOINED || (s_->writing == WRITTEN && (s_->separator[token] || s_->starts[token]));
        if (ends) {
            if (s_->word_model && s_->word_weight < 0) return std::numeric_limits<double>::infinity();
            sum += std::max(0.0, s_->word_bonus) + s_->ahead_reach;
            letters++;
        }
        // a word that turns out to be unknown loses its look-ahead
        if (s_->lexicon_nodes && !s_->closed) sum += std::max(0.0, s_->unknown + s_->ahead_reach);
        return sum + letters * std::max(0.0, s_->phrase_reach);
    }

    // drops the model states that no standing refers to; `at` lists those that remain
    void compact(const std::vector<Standing*>& at) {
        std::vector<int32_t*> words, tokens;
        for (Standing* one : at) words.push_back(&one->word_state), tokens.push_back(&one->token_state);
        word_states_.compact(words);
        token_states_.compact(tokens);
    }
    int64_t bytes() const { return word_states_.bytes() + token_states_.bytes(); }

  private:
    bool spell(Standing& at, int32_t token) {
        for (int64_t i = s_->spell_first[token]; i < s_->spell_first[token + 1]; i++) {
            int32_t letter = s_->spell[i];
            if (s_->lexicon_nodes && at.lexicon >= 0)
                at.lexicon = step_down(s_->lexicon_first, s_->lexicon_symbol, at.lexicon, letter);
            hear(at, letter);
            at.letters++;
        }
        return !(s_->closed && at.lexicon < 0);
    }

    bool finish_word(Standing& at, bool keep) {
        if (s_->writing != WRITTEN || at.letters == 0) return true;
        int32_t word = -1;
        if (s_->lexicon_nodes && at.lexicon > 0 && s_->ending_first[at.lexicon] != s_->ending_first[at.lexicon + 1])
            word = s_->ending[s_->ending_first[at.lexicon]];
        if (s_->closed && word < 0) return false;
        complete(at, word, keep);
        return true;
    }

    // a word has ended; -1: one that is not in the lexicon
    void complete(Standing& at, int32_t word, bool keep) {
        at.language += s_->word_bonus;
        if (word < 0 && s_->lexicon_nodes) at.language += unknown(at.letters);
        if (s_->word_model) {
            uint32_t number = word < 0 ? NGRAM_UNKNOWN : s_->word_number[word];
            at.language += s_->word_weight * words_.score(word_states_[at.word_state], number, reached_);
            if (keep) at.word_state = word_states_.put(reached_);
        }
        if (s_->writing == ADJOINED && word >= 0)
            for (int64_t i = s_->word_spell_first[word]; i < s_->word_spell_first[word + 1]; i++)
                hear(at, s_->word_spell[i]);
        hear(at, 0);
        at.letters = 0;
        at.lexicon = 0;
    }

    void hear(Standing& at, int32_t letter) {
        if (!s_->phrase_nodes) return;
        at.phrase = fall(at.phrase, letter);
        at.boost += s_->phrase_gain[at.phrase];
    }

    int32_t fall(int32_t node, int32_t letter) const {
        for (;;) {
            int32_t next = step_down(s_->phrase_first, s_->phrase_symbol, node, letter);
            if (next >= 0) return next;
            if (node == 0) return 0;
            node = s_->phrase_fail[node];
        }
    }

    double foreseen(const Standing& at) const {
        double sum = s_->phrase_nodes ? s_->phrase_hope[at.phrase] : 0;
        if (s_->lexicon_nodes && at.letters) {
            if (at.lexicon < 0) sum += unknown(at.letters);
            else if (s_->ahead && s_->word_model) sum += s_->word_weight * s_->ahead[at.lexicon];
        }
        return sum;
    }

    // what a word of so many letters costs that is not in the lexicon: long ones more, or a text would be one of them
    double unknown(int32_t letters) const {
        return s_->unknown * (s_->unknown < 0 ? std::max(1.0, letters / UNKNOWN_LETTERS) : 1.0);
    }

    const SearchSettings* s_ = nullptr;
    bool plain_ = true;
    double longest_ = 0;  // letters of a word
    Ngram words_, tokens_;
    States word_states_, token_states_;
    NgramState reached_;  // after the word that was completed last
};

}  // namespace karussell
