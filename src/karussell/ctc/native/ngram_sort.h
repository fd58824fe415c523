// Sorting more records than memory holds: blocks are sorted and written out, then merged.
#pragma once
#include <algorithm>

#include "ngram_file.h"
#include "ngram_trie.h"

namespace karussell {

class NgramSorter {
  public:
    // `backward`: compares the last words first. `sum`: records with the same words become one, their numbers
    // (uint64) added. At least a few records are held whatever `memory`, in bytes, says.
    NgramSorter(const std::string& folder, int order, bool backward, bool sum, uint64_t memory)
        : order_(order), width_(NgramRecord::width(order)), backward_(backward), sum_(sum), file_(folder) {
        room_ = std::max<uint64_t>(memory / (4 * width_), 16) * width_;
        last_.resize(width_);
    }

    void add(const uint32_t* record) {
        if (!block_) block_.reset(new uint32_t[room_]);
        if (used_ == room_) {
            sort_block();
            if (used_ > room_ / 2) spill();
        }
        std::memcpy(block_.get() + used_, record, 4 * width_);
        used_ += width_;
    }

    // from writing to reading
    void finish() {
        sort_block();
        if (runs_.empty()) return;
        spill();
        uint64_t share = room_ / runs_.size() / width_ * width_;
        share = std::max<uint64_t>(share, 16 * width_);
        block_.reset(new uint32_t[share * runs_.size()]);
        for (uint64_t i = 0; i < runs_.size(); i++) {
            runs_[i].buffer = block_.get() + i * share;
            runs_[i].room = share;
            if (refill(runs_[i])) heap_.push_back(uint32_t(i));
        }
        std::make_heap(heap_.begin(), heap_.end(), After{*this});
    }

    // the next record in order, or null at the end; it is overwritten by the one after
    const uint32_t* next() {
        if (runs_.empty()) {
            if (at_ == used_) return nullptr;
            at_ += width_;
            return block_.get() + at_ - width_;
        }
        if (heap_.empty()) return nullptr;
        take();
        while (sum_ && !heap_.empty() && compare(last_.data(), top()) == 0) {
            const uint32_t* same = top();
            for (int i = 0; i < 2; i++)
                NgramRecord::set(last_.data(), i,
                                 NgramRecord::get<uint64_t>(last_.data(), i) + NgramRecord::get<uint64_t>(same, i));
            advance();
        }
        return last_.data();
    }

    // give the memory back
    void clear() {
        block_.reset();
        runs_.clear();
        heap_.clear();
        used_ = at_ = 0;
    }

  private:
    struct After {
        const NgramSorter& sorter;
        bool operator()(uint32_t a, uint32_t b) const {
            const Run &x = sorter.runs_[a], &y = sorter.runs_[b];
            int order = sorter.compare(x.buffer + x.at, y.buffer + y.at);
            return order ? order > 0 : a > b;
        }
    };
    struct Run {
        uint64_t begin, end;  // numbers of the file still to be read
        uint32_t* buffer = nullptr;
        uint64_t room = 0, at = 0, filled = 0;
    };

    int compare(const uint32_t* a, const uint32_t* b) const {
        const uint32_t *x = NgramRecord::words(a), *y = NgramRecord::words(b);
        if (backward_) {
            for (int i = order_ - 1; i >= 0; i--)
                if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
        } else {
            for (int i = 0; i < order_; i++)
                if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
        }
        return 0;
    }

    const uint32_t* top() const { return runs_[heap_.front()].buffer + runs_[heap_.front()].at; }

    void take() {
        std::memcpy(last_.data(), top(), 4 * width_);
        advance();
    }

    void advance() {
        std::pop_heap(heap_.begin(), heap_.end(), After{*this});
        Run& run = runs_[heap_.back()];
        run.at += width_;
        if (run.at == run.filled && !refill(run)) {
            heap_.pop_back();
            return;
        }
        std::push_heap(heap_.begin(), heap_.end(), After{*this});
    }

    bool refill(Run& run) {
        run.at = 0;
        run.filled = std::min(run.room, run.end - run.begin);
        if (!run.filled) return false;
        file_.read(run.buffer, 4 * run.filled, 4 * run.begin);
        run.begin += run.filled;
        return true;
    }

    void spill() {
        if (!used_) return;
        uint64_t begin = file_.bytes() / 4;
        file_.append(block_.get(), 4 * used_);
        runs_.push_back({begin, begin + used_});
        used_ = 0;
    }

    template <int W> struct Fixed {
        uint32_t number[W];
    };

    template <int W> void sort_fixed() {
        auto* begin = reinterpret_cast<Fixed<W>*>(block_.get());
        std::sort(begin, begin + used_ / W,
                  [this](const Fixed<W>& a, const Fixed<W>& b) { return compare(a.number, b.number) < 0; });
    }

    void sort_block() {
        if (!used_) return;
        switch (width_) {
            case 6: sort_fixed<6>(); break;
            case 8: sort_fixed<8>(); break;
            case 10: sort_fixed<10>(); break;
            case 12: sort_fixed<12>(); break;
            case 14: sort_fixed<14>(); break;
            default: sort_fixed<16>(); break;
        }
        static_assert(NgramRecord::NUMBERS + NGRAM_MOST_ORDER <= 16);
        if (sum_) merge_equal();
    }

    void merge_equal() {
        uint32_t* block = block_.get();
        uint64_t kept = 0;
        for (uint64_t i = width_; i < used_; i += width_) {
            if (compare(block + kept, block + i) == 0) {
                for (int n = 0; n < 2; n++)
                    NgramRecord::set(block + kept, n,
                                     NgramRecord::get<uint64_t>(block + kept, n) +
                                         NgramRecord::get<uint64_t>(block + i, n));
                continue;
            }
            kept += width_;
            if (kept != i) std::memcpy(block + kept, block + i, 4 * width_);
        }
        used_ = kept + width_;
    }

    int order_;
    uint64_t width_, room_, used_ = 0, at_ = 0;
    bool backward_, sum_;
    NgramScratch file_;
    std::unique_ptr<uint32_t[]> block_;
    std::vector<Run> runs_;
    std::vector<uint32_t> heap_;
    std::vector<uint32_t> last_;
};

}  // namespace karussell
