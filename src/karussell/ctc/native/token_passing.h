// Token passing (Graves et al., TPAMI 31(5), 2009; Young, Russell and Thornton 1989): the word string whose likeliest
// path, times its bigram probabilities, is greatest.
//
// Each word is a chain of states, its letters with a blank before, between and after. A token is a score and the words
// before; it moves along the chain as CTC allows, and the better of two that meet stays. What leaves a word at t enters
// every other at t + 1, weighted by the bigram. Words that leave are tried best first, until none can be better: O(T W
// log W) where the acoustics decide, O(T W^2) at worst. A word that begins with the letter the last one ended in
// is entered from the blank alone, so that no letter is lost between them.
#pragma once
#include <numeric>

#include "prefix_search.h"

namespace karussell {

struct PassingSettings {
    int64_t classes, blank;
    int64_t separator;            // the token between words, or -1
    int64_t words;
    const int64_t* spell_first;   // [W + 1]
    const int32_t* spell;         // tokens of each word
    const double* bigram;         // [W + 1][W] weighted ln p(word | the one before); row W: at the beginning
    const double* last;           // [W + 1] weighted ln p(the end | word); [W]: of an empty text
};

inline const char* wrong(const PassingSettings& s) {
    if (s.classes < 1 || s.blank < 0 || s.blank >= s.classes) return "the blank is no class";
    if (s.separator < -1 || s.separator >= s.classes || s.separator == s.blank) return "the separator is no label";
    if (s.words < 1 || s.words > (1 << 20) || !s.spell || !s.bigram || !s.last) return "there are no words, or their arrays are missing";
    if (const char* bad = check::rows(s.words, s.spell_first)) return bad;
    for (int64_t w = 0; w < s.words; w++)
        if (s.spell_first[w] == s.spell_first[w + 1]) return "a word has no letters";
    for (int64_t i = 0; i < s.spell_first[s.words]; i++)
        if (s.spell[i] < 0 || s.spell[i] >= s.classes || s.spell[i] == s.blank) return "a word has a letter that is none";
    for (int64_t i = 0; i < (s.words + 1) * s.words; i++)
        if (std::isnan(s.bigram[i]) || s.bigram[i] == -NEVER) return "a bigram is no log-probability";
    for (int64_t i = 0; i <= s.words; i++)
        if (std::isnan(s.last[i]) || s.last[i] == -NEVER) return "an ending is no log-probability";
    return nullptr;
}

class TokenPassing {
  public:
    explicit TokenPassing(const PassingSettings& settings) : s_(settings) {
        first_.push_back(0);
        for (int64_t w = 0; w < s_.words; w++) {
            for (int64_t i = s_.spell_first[w]; i < s_.spell_first[w + 1]; i++) letters_.push_back(s_.spell[i]);
            if (s_.separator >= 0) letters_.push_back(int32_t(s_.separator));
            first_.push_back(int64_t(letters_.size()));
        }
        most_.assign(s_.words, NEVER);
        for (int64_t v = 0; v <= s_.words; v++)
            for (int64_t w = 0; w < s_.words; w++) most_[w] = std::max(most_[w], s_.bigram[v * s_.words + w]);
    }

    // y [T][K]; the score of the best word string
    double run(const double* y, int64_t frames, std::vector<int32_t>& words) {
        // states of word w: 2 first_[w] + w ... one more than twice its letters
        now_.assign(2 * letters_.size() + s_.words, Token{});
        history_.clear();
        double silent = 0;
        for (int64_t t = 0; t < frames; t++) {
            leave(t);
            const double* row = y + t * s_.classes;
            for (int64_t w = 0; w < s_.words; w++) pass(w, row, t == 0);
            silent += row[s_.blank];
        }
        double best = silent + s_.last[s_.words];
        Token winner;
        int64_t word = -1;
        for (int64_t w = 0; frames && w < s_.words; w++)
            for (int64_t back : {0, 1}) {
                // the text ends after the word itself, not after a separator
                const Token& token = now_[chain(w) + 2 * length(w) - back - (s_.separator >= 0 ? 2 : 0)];
                if (token.score + s_.last[w] > best) best = token.score + s_.last[w], winner = token, word = w;
            }
        words.clear();
        if (word >= 0) {
            words.push_back(int32_t(word));
            for (int32_t at = winner.before; at >= 0; at = history_[at].before) words.push_back(history_[at].word);
        }
        std::reverse(words.begin(), words.end());
        return best;
    }

  private:
    struct Token {
        double score = NEVER;
        int32_t before = -1;  // in the history: the words before this one
    };
    struct Past {
        int32_t before, word;
    };
    struct Out {
        double any, blank;     // the best that leaves; the best that leaves from the last blank
        int32_t label;         // the last letter
        int32_t word, label_before, blank_before;
    };

    int64_t length(int64_t w) const { return first_[w + 1] - first_[w]; }
    int64_t chain(int64_t w) const { return 2 * first_[w] + w; }

    void leave(int64_t t) {
        out_.clear();
        past_.assign(2 * s_.words, -1);
        for (int64_t w = 0; t && w < s_.words; w++) {
            const Token* end = now_.data() + chain(w) + 2 * length(w);
            Out one{std::max(end[0].score, end[-1].score), end[0].score, letters_[first_[w + 1] - 1], int32_t(w),
                    end[-1].before, end[0].before};
            if (one.any > NEVER) out_.push_back(one);
        }
        std::sort(out_.begin(), out_.end(),
                  [](const Out& a, const Out& b) { return a.any > b.any || (a.any == b.any && a.word < b.word); });
    }

    // the best token that enters a word; at a letter, words that ended in it are left from their blank
    Token enter(int64_t w, int32_t letter, bool start) {
        if (start) return {s_.bigram[s_.words * s_.words + w], -1};
        double best = NEVER;
        const Out* from = nullptr;
        bool silent = false;
        for (const Out& one : out_) {
            if (one.any + most_[w] <= best) break;
            bool same = one.label == letter;
            double score = (same ? one.blank : one.any) + s_.bigram[one.word * s_.words + w];
            if (score > best) best = score, from = &one, silent = same || one.blank >= one.any;
        }
        if (!from) return {};
        int32_t& past = past_[2 * from->word + silent];
        if (past < 0) {
            past = int32_t(history_.size());
            history_.push_back({silent ? from->blank_before : from->label_before, from->word});
        }
        return {best, past};
    }

    void pass(int64_t w, const double* row, bool start) {
        const int32_t* letters = letters_.data() + first_[w];
        Token* state = now_.data() + chain(w);
        Token before_blank = enter(w, -1, start), before_letter = enter(w, letters[0], start);
        for (int64_t s = 2 * length(w); s >= 0; s--) {
            Token best = state[s];
            auto meet = [&best](const Token& other) {
                if (other.score > best.score) best = other;
            };
            if (s > 0) meet(state[s - 1]);
            if (s >= 3 && (s & 1) && letters[s / 2] != letters[s / 2 - 1]) meet(state[s - 2]);
            if (s == 0) meet(before_blank);
            if (s == 1) meet(before_letter);
            best.score += row[s & 1 ? letters[s / 2] : s_.blank];
            state[s] = best;
        }
    }

    PassingSettings s_;
    std::vector<int32_t> letters_;
    std::vector<int64_t> first_;
    std::vector<double> most_;
    std::vector<Token> now_;
    std::vector<Past> history_;
    std::vector<Out> out_;
    std::vector<int32_t> past_;
};

}  // namespace karussell
