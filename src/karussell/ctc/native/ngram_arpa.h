// ARPA files, read in pieces and written in pieces.
#pragma once
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>

#include "ngram_build.h"
#include "ngram_sort.h"

namespace karussell {

class NgramArpaReader {
  public:
    NgramArpaReader(const std::string& folder, uint64_t memory) : folder_(folder), memory_(memory) {}

    void feed(const char* text, uint64_t bytes) {
        for (uint64_t i = 0; i < bytes;) {
            const char* end = static_cast<const char*>(std::memchr(text + i, '\n', bytes - i));
            uint64_t size = end ? uint64_t(end - (text + i)) : bytes - i;
            if (rest_.size() + size > LONGEST) wrong("it is longer than a million bytes, so this is no ARPA file");
            if (!end) {
                rest_.append(text + i, size);
                return;
            }
            if (rest_.empty()) {
                line({text + i, size});
            } else {
                rest_.append(text + i, size);
                line(rest_);
                rest_.clear();
            }
            i += size + 1;
        }
    }

    // the model into an open file
    void write(int file) {
        if (!rest_.empty()) line(rest_);
        if (where_ == BEFORE) throw NgramError("it has no line \\data\\, so it is no ARPA file");
        if (where_ != DONE) throw NgramError("it has no line \\end\\: it was cut off");
        std::vector<std::unique_ptr<NgramSpool>> sorted(announced_.size());
        std::vector<uint64_t> counts(announced_.size());
        for (int k = int(announced_.size()); k >= 2; k--)
            counts[k - 1] = complete(k, k < int(announced_.size()) ? sorted[k].get() : nullptr, sorted[k - 1]);
        counts[0] = words_.size();
        NgramBuilder builder(file, words_, counts, seen_[NGRAM_UNKNOWN]);
        for (uint32_t word = 0; word < words_.size(); word++) builder.add(1, &word, prob_[word], backoff_[word]);
        for (uint64_t k = 2; k <= sorted.size(); k++) {
            sorted[k - 1]->rewind();
            while (const uint32_t* record = sorted[k - 1]->next())
                builder.add(int(k), NgramRecord::words(record), float(NgramRecord::get<double>(record, 0)),
                            float(NgramRecord::get<double>(record, 1)));
            sorted[k - 1].reset();
        }
        builder.finish();
    }

  private:
    static constexpr uint64_t LONGEST = 1000000;
    enum Where { BEFORE, COUNTS, BETWEEN, GRAMS, DONE };

    [[noreturn]] void wrong(const std::string& what) const {
        throw NgramError("line " + std::to_string(lines_ + 1) + ": " + what);
    }

    void line(std::string_view text) {
        fields_.clear();
        for (uint64_t i = 0; i < text.size();) {
            while (i < text.size() && ngram_space(text[i])) i++;
            uint64_t from = i;
            while (i < text.size() && !ngram_space(text[i])) i++;
            if (i > from) fields_.push_back(text.substr(from, i - from));
        }
        if (!fields_.empty()) {
            if (where_ == BEFORE) {
                if (fields_[0] == "\\data\\") where_ = COUNTS;
            } else if (where_ == DONE) {
                wrong("there is something after \\end\\");
            } else if (fields_[0][0] == '\\' && fields_.size() == 1) {
                heading();
            } else if (where_ == COUNTS) {
                count();
            } else if (where_ == GRAMS) {
                gram();
            } else {
                wrong("something stands between two sections");
            }
        }
        lines_++;
    }

    void count() {
        uint64_t order = 0, count = 0;
        // "ngram 1=10", also with spaces about the sign
        std::string joined;
        for (uint64_t i = 1; i < fields_.size(); i++) joined += fields_[i];
        const char *at = joined.data(), *end = at + joined.size();
        auto first = std::from_chars(at, end, order);
        if (fields_[0] != "ngram" || first.ec != std::errc() || first.ptr == end || *first.ptr != '=')
            wrong("expected 'ngram ORDER=COUNT'");
        auto second = std::from_chars(first.ptr + 1, end, count);
        if (second.ec != std::errc() || second.ptr != end) wrong("expected 'ngram ORDER=COUNT'");
        if (order != announced_.size() + 1) wrong("orders must be announced from 1 upwards");
        if (order > NGRAM_MOST_ORDER) wrong("its order is over 12");
        announced_.push_back(count);
    }

    void heading() {
        if (where_ == COUNTS && announced_.empty()) wrong("no counts were announced");
        if (where_ == GRAMS && found_ != announced_[order_ - 1])
            wrong("there are " + std::to_string(found_) + " n-grams of order " + std::to_string(order_) + ", and " +
                  std::to_string(announced_[order_ - 1]) + " were announced");
        if (where_ == GRAMS && order_ == 1) close_words();
        bool last = order_ == int(announced_.size());
        std::string expected = last ? "\\end\\" : "\\" + std::to_string(order_ + 1) + "-grams:";
        if (fields_[0] != expected) wrong("expected " + expected);
        if (last) {
            where_ = DONE;
            return;
        }
        where_ = GRAMS;
        order_++;
        found_ = 0;
        record_.assign(NgramRecord::width(order_), 0);
        if (order_ > 1)
            sorters_.push_back(
                std::make_unique<NgramSorter>(folder_, order_, false, false, memory_ / 2 / announced_.size()));
    }

    void close_words() {
        if (!seen_[NgramWords::BEGIN]) wrong("the n-grams of order 1 lack <s>");
        if (!seen_[NgramWords::END]) wrong("the n-grams of order 1 lack </s>");
        if (!seen_[NGRAM_UNKNOWN]) prob_[NGRAM_UNKNOWN] = -100;
    }

    double number(std::string_view text) const {
        float value;
        const char* from = text.data() + (text[0] == '+');
        auto read = std::from_chars(from, text.data() + text.size(), value);
        // numbers too small for a float are zero
        if (read.ec == std::errc::result_out_of_range && read.ptr == text.data() + text.size()) {
            double wide = 0;
            if (std::from_chars(from, read.ptr, wide).ec == std::errc() && std::fabs(wide) < 1) return 0;
        }
        if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !std::isfinite(value))
            wrong("'" + std::string(text.substr(0, 40)) + "' is not a number");
        return double(value);
    }

    void gram() {
        uint64_t words = uint64_t(order_), fields = fields_.size();
        if (fields != words + 1 && fields != words + 2)
            wrong("expected a number, " + std::to_string(order_) + " words and perhaps a number");
        double prob = number(fields_[0]), backoff = fields == words + 2 ? number(fields_[words + 1]) : 0;
        if (prob > 0) wrong("a logarithm of a probability is above 0");
        if (order_ == int(announced_.size()) && backoff != 0) wrong("an n-gram of the highest order has a back-off weight");
        if (++found_ > announced_[order_ - 1]) wrong("there are more n-grams of this order than were announced");
        if (order_ == 1) return unigram(fields_[1], prob, backoff);
        for (uint64_t i = 0; i < words; i++) {
            uint32_t word = known(fields_[i + 1]);
            if (word == NgramTrie::ROOT || !seen_[word])
                wrong("the word '" + std::string(fields_[i + 1].substr(0, 100)) + "' is not among the n-grams of order 1");
            NgramRecord::words(record_.data())[i] = word;
        }
        NgramRecord::set(record_.data(), 0, prob);
        NgramRecord::set(record_.data(), 1, backoff);
        sorters_.back()->add(record_.data());
    }

    void unigram(std::string_view text, double prob, double backoff) {
        uint32_t word;
        try {
            word = text == "<UNK>" ? NGRAM_UNKNOWN : words_.add(text.data(), text.size());
        } catch (const NgramError& error) {
            wrong(error.what());
        }
        seen_.resize(words_.size());
        prob_.resize(words_.size());
        backoff_.resize(words_.size());
        if (seen_[word]) wrong("the word '" + std::string(text.substr(0, 100)) + "' is there twice");
        seen_[word] = true;
        prob_[word] = float(prob);
        backoff_[word] = float(backoff);
    }

    uint32_t known(std::string_view text) const {
        return text == "<UNK>" ? NGRAM_UNKNOWN : words_.find(text.data(), text.size());
    }

    // the n-grams of an order in order, and those that only longer ones have, with no probability of their own
    uint64_t complete(int order, NgramSpool* longer, std::unique_ptr<NgramSpool>& made) {
        NgramSorter& sorter = *sorters_[order - 2];
        sorter.finish();
        made = std::make_unique<NgramSpool>(folder_, order);
        if (longer) longer->rewind();
        uint64_t count = 0, bytes = 4 * uint64_t(order);
        const uint32_t *own = sorter.next(), *needed = longer ? longer->next() : nullptr;
        std::vector<uint32_t> last(NgramRecord::width(order));
        auto put = [&](const uint32_t* words, const uint32_t* record) {
            NgramRecord::set(last.data(), 0, record ? NgramRecord::get<double>(record, 0) : std::nan(""));
            NgramRecord::set(last.data(), 1, record ? NgramRecord::get<double>(record, 1) : 0.0);
            std::memcpy(NgramRecord::words(last.data()), words, bytes);
            made->add(last.data());
            count++;
        };
        while (own || needed) {
            const uint32_t* mine = own ? NgramRecord::words(own) : nullptr;
            const uint32_t* other = needed ? NgramRecord::words(needed) : nullptr;
            bool missing = other && (!mine || std::lexicographical_compare(other, other + order, mine, mine + order));
            if (missing) {
                put(other, nullptr);
            } else {
                put(mine, own);
                own = sorter.next();
            }
            // all that begin with what was just put
            while (needed && std::memcmp(NgramRecord::words(needed), NgramRecord::words(last.data()), bytes) == 0)
                needed = longer->next();
        }
        sorter.clear();
        return count;
    }

    std::string folder_, rest_;
    uint64_t memory_, lines_ = 0, found_ = 0;
    Where where_ = BEFORE;
    int order_ = 0;
    std::vector<std::string_view> fields_;
    std::vector<uint64_t> announced_;
    NgramWords words_;
    std::vector<bool> seen_ = std::vector<bool>(3);
    std::vector<float> prob_ = std::vector<float>(3), backoff_ = std::vector<float>(3);
    std::vector<std::unique_ptr<NgramSorter>> sorters_;
    std::vector<uint32_t> record_;
};

class NgramArpaWriter {
  public:
    explicit NgramArpaWriter(const NgramTrie& trie) : trie_(trie) {}

    // the next piece of the file, empty at its end; it is overwritten by the one after
    const std::string& next() {
        text_.clear();
        if (order_ == 0) head();
        while (text_.size() < PIECE && order_ <= trie_.order()) {
            if (node_ == end_) {
                section();
                continue;
            }
            if (node_ != NGRAM_UNKNOWN || trie_.header().unknown) gram();
            node_++;
        }
        return text_;
    }

  private:
    static constexpr uint64_t PIECE = 1 << 20;

    void head() {
        text_ += "\\data\\\n";
        for (int k = 0; k < trie_.order(); k++) {
            uint64_t count = trie_.header().counts[k] - (k == 0 && !trie_.header().unknown);
            text_ += "ngram " + std::to_string(k + 1) + "=" + std::to_string(count) + "\n";
        }
        begins_.push_back(0);
        for (int k = 0; k < trie_.order(); k++) begins_.push_back(begins_.back() + uint32_t(trie_.header().counts[k]));
        section();
    }

    void section() {
        if (++order_ > trie_.order()) {
            text_ += "\n\\end\\\n";
            return;
        }
        text_ += "\n\\" + std::to_string(order_) + "-grams:\n";
        node_ = begins_[order_ - 1];
        end_ = begins_[order_];
        path_.assign(begins_.begin(), begins_.begin() + order_);
    }

    void gram() {
        path_[order_ - 1] = node_;
        for (int k = order_ - 2; k >= 0; k--)
            while (trie_.first()[path_[k] + 1] <= path_[k + 1]) path_[k]++;
        put(trie_.prob()[node_]);
        for (int k = 0; k < order_; k++) {
            uint32_t bytes;
            const char* word = trie_.text(trie_.word()[path_[k]], bytes);
            text_ += k ? ' ' : '\t';
            text_.append(word, bytes);
        }
        if (trie_.is_state(node_)) {
            text_ += '\t';
            put(trie_.backoff()[node_]);
        }
        text_ += '\n';
    }

    // the shortest digits that give this very float again
    void put(float value) {
        char digits[32];
        auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text_.append(digits, end);
    }

    const NgramTrie& trie_;
    std::string text_;
    int order_ = 0;
    uint32_t node_ = 0, end_ = 0;
    std::vector<uint32_t> begins_, path_;
};

}  // namespace karussell
