// Writes our own form from n-grams that come order by order, each order sorted by its words.
#pragma once
#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <sys/mman.h>

#include "ngram_sum.h"
#include "ngram_words.h"

namespace karussell {

class NgramBuilder {
  public:
    // `file` is open for reading and writing, and becomes the model. counts[k]: n-grams of order k + 1 to come.
    NgramBuilder(int file, const NgramWords& words, const std::vector<uint64_t>& counts, bool unknown)
        : words_(words), order_(int(counts.size())), header_(header(words, counts, unknown)), at_(header_) {
        if (at_.nodes >= NgramTrie::ROOT) throw NgramError("there are more n-grams than a model can hold (4,294,967,294)");
#ifndef __APPLE__
        // a full disk is an error here, where it would be a signal later
        if (int wrong = ::posix_fallocate(file, 0, off_t(at_.bytes))) throw NgramError(std::strerror(wrong), wrong);
#endif
        if (::ftruncate(file, off_t(at_.bytes))) throw NgramError(std::strerror(errno), errno);
        void* mapped = ::mmap(nullptr, at_.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped == MAP_FAILED) throw NgramError(std::strerror(errno), errno);
        base_ = static_cast<char*>(mapped);
        std::memset(base_, 0, at_.offsets);
        copy(at_.offsets, words.offsets().data(), 4 * words.offsets().size());
        copy(at_.text, words.text().data(), words.text().size());
        copy(at_.slots, words.slots().data(), 4 * words.slots().size());
        word_ = section<uint32_t>(at_.word);
        prob_ = section<float>(at_.prob);
        link_ = section<uint32_t>(at_.link);
        backoff_ = section<float>(at_.backoff);
        first_ = section<uint32_t>(at_.first);
        path_.resize(uint64_t(order_) + 1);
        last_.resize(uint64_t(order_));
    }
    ~NgramBuilder() {
        if (base_) ::munmap(base_, at_.bytes);
    }
    NgramBuilder(const NgramBuilder&) = delete;
    NgramBuilder& operator=(const NgramBuilder&) = delete;

    // log10 values; a probability that is NaN is made from the shorter n-grams
    void add(int order, const uint32_t* words, float prob, float backoff) {
        if (order != now_) start(order);
        uint32_t node = next_++;
        if (node >= end_) throw NgramError("there are more n-grams of an order than were announced");
        word_[node] = words[order - 1];
        link_[node] = NgramTrie::ROOT;
        if (order > 1) {
            uint32_t parent = parent_of(words);
            while (filled_ <= parent) first_[filled_++] = node;
            if (std::isnan(prob)) prob = backed_off(parent, words[order - 1]);
            link_[node] = suffix(parent, words[order - 1]);
        } else if (words[0] != node) {
            throw NgramError("an n-gram of order 1 is missing");
        }
        prob_[node] = prob;
        if (order < order_) backoff_[node] = backoff;
    }

    void finish() {
        if (next_ != at_.nodes) throw NgramError("there are fewer n-grams than were announced");
        while (filled_ <= at_.inner) first_[filled_++] = next_;
        // links so far lead to the longest suffix; a suffix that remembers nothing is stepped over
        for (uint32_t node = 0; node < at_.nodes; node++) {
            uint32_t to = link_[node];
            bool kept = to == NgramTrie::ROOT || first_[to] != first_[to + 1] || backoff_[to] != 0;
            if (!kept) link_[node] = link_[to];
        }
        pad();
        std::memcpy(base_, &header_, sizeof header_);
        uint64_t sum = ngram_checksum(base_ + NGRAM_SUMMED, at_.bytes - NGRAM_SUMMED);
        std::memcpy(base_ + offsetof(NgramHeader, checksum), &sum, sizeof sum);
        if (::msync(base_, at_.bytes, MS_SYNC)) throw NgramError(std::strerror(errno), errno);
    }

  private:
    static NgramHeader header(const NgramWords& words, const std::vector<uint64_t>& counts, bool unknown) {
        NgramHeader made{};
        std::memcpy(made.magic, NGRAM_MAGIC, sizeof made.magic);
        made.version = NGRAM_VERSION;
        made.order = uint32_t(counts.size());
        made.text = words.text().size();
        made.slots = uint32_t(words.slots().size());
        made.begin = NgramWords::BEGIN;
        made.end = NgramWords::END;
        made.unknown = unknown;
        for (uint64_t k = 0; k < counts.size(); k++) made.counts[k] = counts[k];
        made.bytes = NgramLayout(made).bytes;
        return made;
    }

    template <class T> T* section(uint64_t at) { return reinterpret_cast<T*>(base_ + at); }
    void copy(uint64_t at, const void* from, uint64_t bytes) {
        if (bytes) std::memcpy(base_ + at, from, bytes);
    }

    void start(int order) {
        if (order != now_ + 1 || next_ != end_) throw NgramError("n-grams of an order are missing");
        now_ = order;
        begin_ = next_;
        end_ = next_ + uint32_t(header_.counts[order - 1]);
        same_ = 0;
        // the nodes two orders shorter have all their children now, and the next one's begin here
        while (order > 1 && filled_ <= level_) first_[filled_++] = next_;
        level_ = begin_;
    }

    // walks down from the first word that differs from the last n-gram's
    uint32_t parent_of(const uint32_t* words) {
        int shared = 0;
        while (shared < same_ && words[shared] == last_[shared]) shared++;
        if (same_ == now_ && shared == now_) throw NgramError("an n-gram is given twice: '" + gram(words) + "'");
        for (int k = shared; k < now_ - 1; k++) {
            path_[k] = k ? child_of(path_[k - 1], words[k]) : words[0];
            if (path_[k] == NgramTrie::ROOT) throw NgramError("an n-gram lacks the shorter one it begins with");
        }
        std::memcpy(last_.data(), words, 4 * uint64_t(now_));
        same_ = now_;
        return path_[now_ - 2];
    }

    std::string gram(const uint32_t* words) const {
        std::string made;
        for (int k = 0; k < now_; k++) made += (k ? " " : "") + words_.word(words[k]);
        return made;
    }

    uint32_t child_of(uint32_t node, uint32_t word) const {
        uint32_t low = first_[node], high = first_[node + 1];
        const uint32_t* found = std::lower_bound(word_ + low, word_ + high, word);
        return found != word_ + high && *found == word ? uint32_t(found - word_) : NgramTrie::ROOT;
    }

    // the longest suffix of the n-gram (parent, word) that the model has
    uint32_t suffix(uint32_t parent, uint32_t word) const {
        for (uint32_t at = link_[parent]; at != NgramTrie::ROOT; at = link_[at]) {
            uint32_t child = child_of(at, word);
            if (child != NgramTrie::ROOT) return child;
        }
        return word;
    }

    float backed_off(uint32_t parent, uint32_t word) const {
        double sum = backoff_[parent];
        for (uint32_t at = link_[parent]; at != NgramTrie::ROOT; at = link_[at]) {
            uint32_t child = child_of(at, word);
            if (child != NgramTrie::ROOT) return float(sum + prob_[child]);
            sum += backoff_[at];
        }
        return float(sum + prob_[word]);
    }

    // gaps between sections are zero, whatever the file held
    void pad() {
        const uint64_t ends[] = {at_.offsets + 4 * (header_.counts[0] + 1), at_.text + header_.text,
                                 at_.slots + 4 * uint64_t(header_.slots),   at_.word + 4 * at_.nodes,
                                 at_.prob + 4 * at_.nodes,                  at_.link + 4 * at_.nodes,
                                 at_.backoff + 4 * at_.inner};
        const uint64_t begins[] = {at_.text, at_.slots, at_.word, at_.prob, at_.link, at_.backoff, at_.first};
        for (int i = 0; i < 7; i++) std::memset(base_ + ends[i], 0, begins[i] - ends[i]);
    }

    const NgramWords& words_;
    int order_, now_ = 0, same_ = 0;
    NgramHeader header_;
    NgramLayout at_;
    char* base_ = nullptr;
    uint32_t *word_ = nullptr, *link_ = nullptr, *first_ = nullptr;
    float *prob_ = nullptr, *backoff_ = nullptr;
    uint32_t next_ = 0, begin_ = 0, end_ = 0, level_ = 0;
    uint64_t filled_ = 0;  // entries of `first` that are written
    std::vector<uint32_t> path_, last_;
};

}  // namespace karussell
