// From a text to adjusted counts: what Kneser-Ney counts of every order (Chen & Goodman 1998; Heafield et al. 2013).
//
// Only n-grams of the highest order are collected, with NOTHING before <s>. Sorted by their last words first, all that
// end alike stand together, so one pass gives every shorter n-gram its count: of how many different words stand before
// it, or, where nothing can stand before it because it begins with <s>, of how often it occurs.
#pragma once
#include <memory>

#include "ngram_sort.h"
#include "ngram_words.h"

namespace karussell {

struct NgramPlan {
    int order = 3;
    uint64_t memory = 1 << 30;       // bytes, about
    std::string folder;              // for scratch files
    std::vector<uint64_t> prune;     // by order: n-grams that occur so often or less are dropped
    bool closed = false;             // <unk> gets no probability unless the text has it
    bool fall_back = false;          // whether discounts that cannot be estimated are these
    double discounts[3] = {};
};

// of one order
struct NgramCounts {
    uint64_t of_count[5] = {};  // n-grams whose adjusted count is 1, 2, 3, 4
    uint64_t all = 0, kept = 0;
    // numbers: adjusted count, and 1 if it is dropped; sorted by words
    std::unique_ptr<NgramSorter> sorted;
};

class NgramCorpus {
  public:
    static constexpr uint32_t NOTHING = 0xffffffffu;

    explicit NgramCorpus(const NgramPlan& plan)
        : plan_(plan), record_(NgramRecord::width(plan.order)),
          collected_(std::make_unique<NgramSorter>(plan.folder, plan.order, true, true, plan.memory / 2)) {
        begin_sentence();
    }

    // the vocabulary is these words, and nothing is added to it
    void only(const char* word, uint64_t bytes) {
        limited_ = true;
        add_word(word, bytes);
    }

    // any piece of the text; lines are sentences, and blank ones none
    void feed(const char* text, uint64_t bytes) {
        for (uint64_t i = 0; i < bytes; i++) {
            uint64_t from = i;
            while (i < bytes && !ngram_space(text[i])) i++;
            if (rest_.size() + i - from > NgramWords::LONGEST) at_line("a word is longer than 65,536 bytes");
            if (i == bytes) {
                rest_.append(text + from, bytes - from);
                return;
            }
            if (rest_.empty()) {
                if (i > from) token(text + from, i - from);
            } else {
                rest_.append(text + from, i - from);
                token(rest_.data(), rest_.size());
                rest_.clear();
            }
            if (text[i] != '\n') continue;
            if (open_) end_sentence();
            lines_++;
        }
    }

    void end() {
        if (!rest_.empty()) token(rest_.data(), rest_.size());
        rest_.clear();
        if (open_) end_sentence();
    }

    const NgramWords& words() const { return words_; }
    uint64_t sentences() const { return sentences_; }
    uint64_t tokens() const { return tokens_; }
    bool saw_unknown() const { return saw_unknown_; }

    // of every order, shortest first; for order 1 `unigrams` is filled by word number, and nothing sorted
    std::vector<NgramCounts> adjust(std::vector<uint64_t>& unigrams) {
        int top = plan_.order;
        std::vector<NgramCounts> made(top);
        for (int k = 2; k <= top; k++)
            made[k - 1].sorted = std::make_unique<NgramSorter>(plan_.folder, k, false, false,
                                                               plan_.memory / 2 / uint64_t(top));
        unigrams.assign(words_.size(), 0);
        collected_->finish();
        std::vector<uint64_t> raw(top + 1), left(top + 1);
        std::vector<uint32_t> last(top), out(record_.size());
        bool any = false;
        auto close = [&](int order) {
            const uint32_t* words = last.data() + top - order;
            if (words[0] == NOTHING) return;
            uint64_t count = order == top || words[0] == NgramWords::BEGIN ? raw[order] : left[order];
            NgramCounts& of = made[order - 1];
            of.all++;
            if (count <= 4) of.of_count[count]++;
            if (order == 1) {
                unigrams[words[0]] = count;
                return;
            }
            bool dropped = raw[order] <= plan_.prune[order - 1];
            of.kept += !dropped;
            NgramRecord::set<uint64_t>(out.data(), 0, count);
            NgramRecord::set<uint64_t>(out.data(), 1, dropped);
            std::fill(out.begin() + NgramRecord::NUMBERS, out.end(), 0);
            std::memcpy(NgramRecord::words(out.data()), words, 4 * uint64_t(order));
            of.sorted->add(out.data());
        };
        while (const uint32_t* record = collected_->next()) {
            const uint32_t* words = NgramRecord::words(record);
            int shared = 0;
            while (any && shared < top && words[top - 1 - shared] == last[top - 1 - shared]) shared++;
            for (int order = top; any && order > shared; order--) close(order);
            for (int order = shared + 1; order <= top; order++) raw[order] = left[order] = 0;
            // the n-grams longer than what is shared are new, and each is one more word before a shorter one
            for (int order = shared; order < top; order++) left[order]++;
            uint64_t count = NgramRecord::get<uint64_t>(record, 0);
            for (int order = 1; order <= top; order++) raw[order] += count;
            std::memcpy(last.data(), words, 4 * uint64_t(top));
            any = true;
        }
        for (int order = top; any && order >= 1; order--) close(order);
        collected_.reset();
        return made;
    }

  private:
    [[noreturn]] void at_line(const std::string& what) const {
        throw NgramError(what + ", in line " + std::to_string(lines_ + 1) + " of the text");
    }

    uint32_t add_word(const char* word, uint64_t bytes) {
        try {
            return words_.add(word, bytes);
        } catch (const NgramError& error) {
            at_line(error.what());
        }
    }

    void token(const char* word, uint64_t bytes) {
        uint32_t number = limited_ ? words_.find(word, bytes) : add_word(word, bytes);
        if (number == NgramTrie::ROOT) {
            if (plan_.closed)
                at_line("the word '" + std::string(word, bytes) +
                        "' is not in the vocabulary, which was said to be closed");
            number = NGRAM_UNKNOWN;
        }
        if (number == NgramWords::BEGIN || number == NgramWords::END)
            at_line("'" + words_.word(number) + "' is written out; every line is a sentence and gets these marks by itself");
        saw_unknown_ |= number == NGRAM_UNKNOWN;
        tokens_++;
        push(number);
    }

    void push(uint32_t word) {
        uint32_t* words = NgramRecord::words(record_.data());
        std::memmove(words, words + 1, 4 * uint64_t(plan_.order - 1));
        words[plan_.order - 1] = word;
        NgramRecord::set<uint64_t>(record_.data(), 0, 1);
        NgramRecord::set<uint64_t>(record_.data(), 1, 0);
        collected_->add(record_.data());
        open_ = true;
    }

    void begin_sentence() {
        uint32_t* words = NgramRecord::words(record_.data());
        for (int i = 0; i < plan_.order; i++) words[i] = NOTHING;
        words[plan_.order - 1] = NgramWords::BEGIN;
        open_ = false;
    }

    void end_sentence() {
        push(NgramWords::END);
        sentences_++;
        begin_sentence();
    }

    NgramPlan plan_;
    NgramWords words_;
    std::vector<uint32_t> record_;
    std::unique_ptr<NgramSorter> collected_;
    std::string rest_;
    bool limited_ = false, open_ = false, saw_unknown_ = false;
    uint64_t sentences_ = 0, tokens_ = 0, lines_ = 0;
};

}  // namespace karussell
