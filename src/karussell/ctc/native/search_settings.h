// What a beam search is asked, as plain memory; mirrored field by field in ctc/search/native.py.
//
// Tries are stored breadth first: the edges of node n are first[n] ... first[n + 1] - 1, each with its symbol, rising
// within a node, and edge e leads to node e + 1. Node 0 is the root. Symbols are letters (numbers from 1; 0 is the gap
// between words), or, in a lexicon of writing 2, tokens.
#pragma once
#include <cmath>
#include <cstdint>

namespace karussell {

enum Writing : int64_t {
    NO_WORDS = 0,
    WRITTEN = 1,   // words end at separators and where a token begins the next one
    ADJOINED = 2,  // words follow each other without a gap, as the lexicon spells them
};

// fills out [count][classes] with ln p(next token | prefix), the end of the text at the blank's place; 0: done
using PrefixScores = int64_t (*)(int64_t count, const int64_t* first, const int32_t* tokens, double* out);

struct SearchSettings {
    int64_t classes, blank;
    int64_t beam;           // prefixes kept a frame; 0: all
    double beam_drop;       // prefixes so far below the best are dropped; infinity: none
    double token_floor;     // tokens below are not tried, but for the frame's best; -infinity: all are
    int64_t top_tokens;     // only so many of the likeliest are tried; 0: all
    int64_t recombine;      // prefixes that nothing later tells apart: only the better stays
    int64_t best_path;      // a prefix is worth 1: its likeliest path, 0: the sum of its paths

    int64_t writing;
    const uint8_t* separator;    // [K] whether the token parts words
    const uint8_t* starts;       // [K] whether the token begins a word
    const int64_t* spell_first;  // [K + 1]
    const int32_t* spell;        // letters of each token

    int64_t lexicon_nodes;       // 0: no lexicon
    const int32_t* lexicon_first;   // [N + 1]
    const int32_t* lexicon_symbol;  // [N - 1]
    const int32_t* ending_first;    // [N + 1]
    const int32_t* ending;          // words that end at each node
    const double* ahead;            // [N] ln p of the likeliest word below, or null: no look-ahead
    double ahead_reach;             // the most that a look-ahead gives back
    int64_t closed;                 // whether every word must be in the lexicon
    int64_t words;
    const uint32_t* word_number;      // [words] in the word model
    const int64_t* word_spell_first;  // [words + 1] for writing 2
    const int32_t* word_spell;

    double unknown, word_bonus, token_bonus;
    double word_weight;
    const void* word_model;         // as ngram.h opens it, or null
    uint64_t word_model_bytes;
    double token_weight;
    const void* token_model;
    uint64_t token_model_bytes;
    const uint32_t* token_number;   // [K] in the token model
    int64_t bounds;                 // whether <s> and </s> are scored
    const uint32_t* context;        // numbers of the words before the text
    int64_t contexts;

    double prefix_weight;
    PrefixScores prefix_scores;     // or null

    int64_t phrase_nodes;           // 0: no phrases
    const int32_t* phrase_first;    // [P + 1]
    const int32_t* phrase_symbol;   // [P - 1]
    const int32_t* phrase_fail;     // [P] the longest proper suffix that is a node
    const double* phrase_gain;      // [P] weights of the phrases that end here
    const double* phrase_hope;      // [P] credit for phrases begun, withdrawn when they do not come
    double phrase_reach;            // the most that one letter gains
};

namespace check {

inline const char* trie(int64_t nodes, const int32_t* first, const int32_t* symbol, int64_t symbols) {
    if (nodes < 1 || nodes >= INT32_MAX || !first || (nodes > 1 && !symbol)) return "a trie has no nodes or no arrays";
    if (first[0] != 0 || first[nodes] != nodes - 1) return "a trie's edges do not begin at 0 or end at its nodes";
    for (int64_t n = 0; n < nodes; n++) {
        if (first[n] > first[n + 1] || first[n + 1] > nodes - 1) return "a trie's edges do not rise";
        if (first[n] < n && first[n] != first[n + 1]) return "a trie has an edge that leads back";
        for (int64_t e = first[n]; e < first[n + 1]; e++) {
            if (symbol[e] < 0 || symbol[e] >= symbols) return "a trie has a symbol that is none";
            if (e > first[n] && symbol[e] <= symbol[e - 1]) return "a trie's symbols do not rise";
        }
    }
    return nullptr;
}

template <class I> const char* rows(int64_t count, const I* first) {
    if (!first || first[0] != 0) return "a list of lists does not begin at 0";
    for (int64_t n = 0; n < count; n++)
        if (first[n] > first[n + 1]) return "a list of lists does not rise";
    return nullptr;
}

}  // namespace check

// The sentence that says what is wrong, or null. Arrays must be as long as they are said to be.
inline const char* wrong(const SearchSettings& s) {
    constexpr int64_t LETTERS = INT32_MAX;
    if (s.classes < 1 || s.classes > (1 << 24)) return "classes must be 1 to 16 million";
    if (s.blank < 0 || s.blank >= s.classes) return "the blank is no class";
    if (s.beam < 0 || s.beam > (1 << 24) || s.top_tokens < 0) return "beam and top_tokens must not be negative";
    if (!(s.beam_drop >= 0) || std::isnan(s.token_floor)) return "beam_drop and token_floor must be numbers";
    for (double weight : {s.unknown, s.word_bonus, s.token_bonus, s.word_weight, s.token_weight, s.prefix_weight,
                          s.ahead_reach, s.phrase_reach})
        if (!std::isfinite(weight)) return "weights must be finite";
    if (s.writing < NO_WORDS || s.writing > ADJOINED) return "writing must be 0, 1 or 2";
    if (!s.separator || !s.starts || !s.spell) return "the tokens' arrays are missing";
    if (const char* bad = check::rows(s.classes, s.spell_first)) return bad;
    for (int64_t i = 0; i < s.spell_first[s.classes]; i++)
        if (s.spell[i] < 1) return "a token has a letter that is none";
    if (s.words < 0 || s.words >= INT32_MAX) return "words must not be negative";
    if (s.lexicon_nodes) {
        int64_t symbols = s.writing == ADJOINED ? s.classes : LETTERS;
        if (const char* bad = check::trie(s.lexicon_nodes, s.lexicon_first, s.lexicon_symbol, symbols)) return bad;
        if (const char* bad = check::rows(s.lexicon_nodes, s.ending_first)) return bad;
        if (s.ending_first[0] != s.ending_first[1]) return "the lexicon has an empty word";
        for (int64_t i = 0; i < s.ending_first[s.lexicon_nodes]; i++)
            if (!s.ending || s.ending[i] < 0 || s.ending[i] >= s.words) return "the lexicon has a word that is none";
        for (int64_t n = 0; s.ahead && n < s.lexicon_nodes; n++)
            if (!std::isfinite(s.ahead[n])) return "the look-ahead must be finite";
    }
    if (s.writing == ADJOINED) {
        if (!s.lexicon_nodes || !s.closed) return "words without a gap need a closed lexicon";
        if (const char* bad = check::rows(s.words, s.word_spell_first)) return bad;
        for (int64_t i = 0; i < s.word_spell_first[s.words]; i++)
            if (!s.word_spell || s.word_spell[i] < 1) return "a word has a letter that is none";
    }
    if (s.closed && !s.lexicon_nodes) return "a closed vocabulary needs a lexicon";
    if (s.word_model && s.lexicon_nodes && !s.word_number) return "a word model needs the words' numbers";
    if (s.word_model && s.writing == NO_WORDS) return "a word model needs words";
    if (s.token_model && !s.token_number) return "a token model needs the tokens' numbers";
    if (s.contexts < 0 || (s.contexts && !s.context)) return "the context is missing";
    if (s.phrase_nodes) {
        if (const char* bad = check::trie(s.phrase_nodes, s.phrase_first, s.phrase_symbol, LETTERS)) return bad;
        if (!s.phrase_fail || !s.phrase_gain || !s.phrase_hope) return "the phrases' arrays are missing";
        for (int64_t n = 0; n < s.phrase_nodes; n++) {
            if (s.phrase_fail[n] < 0 || s.phrase_fail[n] > n || (n && s.phrase_fail[n] == n))
                return "a phrase falls back to no shorter one";
            if (!std::isfinite(s.phrase_gain[n]) || !std::isfinite(s.phrase_hope[n])) return "weights must be finite";
        }
    }
    return nullptr;
}

}  // namespace karussell
