// From adjusted counts to probabilities: modified Kneser-Ney, interpolated (Chen & Goodman 1998), order by order.
//
//     p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .)  +  gamma(h) p(w | h without its first word)
//
// c is the adjusted count, D(1), D(2), D(3 and more) the discounts of the order, gamma(h) what they free in h, and
// below the unigrams stands 1 / number of words. An n-gram that is dropped gives all its count to gamma.
// Every step reads and writes records in sorted order: a context's n-grams stand together when sorted by words, and
// the n-grams with one suffix when sorted by their last words first.
#pragma once
#include <cmath>
#include <limits>

#include "ngram_build.h"
#include "ngram_count.h"

namespace karussell {

struct NgramDiscount {
    double of[4] = {};
    double at(uint64_t count) const { return of[count < 3 ? count : 3]; }
};

class NgramEstimator {
  public:
    NgramEstimator(const NgramPlan& plan, NgramCorpus& corpus) : plan_(plan), corpus_(corpus) {
        if (!corpus.tokens()) throw NgramError("the text has no words");
        counts_ = corpus.adjust(unigrams_);
        for (int k = 1; k <= plan.order; k++) discounts_.push_back(discount(k));
        counts_[0].kept = corpus.words().size();
    }

    const std::vector<NgramCounts>& counts() const { return counts_; }
    const std::vector<NgramDiscount>& discounts() const { return discounts_; }

    void write(int file) {
        std::vector<uint64_t> kept;
        for (const NgramCounts& of : counts_) kept.push_back(of.kept);
        NgramBuilder builder(file, corpus_.words(), kept, has_unknown());
        auto shorter = unigrams();
        for (int k = 2; k <= plan_.order; k++) {
            NgramSpool contexts(plan_.folder, k - 1);
            NgramSorter shares(plan_.folder, k, true, false, plan_.memory / 8 * 3);
            share(k, contexts, shares);
            contexts.rewind();
            give(builder, k - 1, &contexts);
            auto longer = std::make_unique<NgramSpool>(plan_.folder, k);
            interpolate(k, shares, *shorter, *longer);
            shorter = std::move(longer);
        }
        give(builder, plan_.order, nullptr);
        builder.finish();
    }

  private:
    bool has_unknown() const { return !plan_.closed || corpus_.saw_unknown(); }

    NgramDiscount discount(int order) const {
        const uint64_t* n = counts_[order - 1].of_count;
        NgramDiscount made;
        bool possible = n[1] && n[2] && n[3];
        double y = double(n[1]) / (double(n[1]) + 2 * double(n[2]));
        for (int k = 1; k <= 3 && possible; k++) {
            made.of[k] = k - (k + 1) * y * double(n[k + 1]) / double(n[k]);
            possible = made.of[k] >= 0 && made.of[k] <= k;
        }
        if (possible) return made;
        if (!plan_.fall_back)
            throw NgramError(
                "the discounts of order " + std::to_string(order) + " cannot be estimated: of its n-grams, " +
                std::to_string(n[1]) + ", " + std::to_string(n[2]) + ", " + std::to_string(n[3]) + " and " +
                std::to_string(n[4]) +
                " have the counts 1, 2, 3 and 4, which is not how words of a natural text fall. Give more text, or, if it "
                "is small or of letters, give the discounts to fall back on (KenLM takes 0.5 1 1.5)");
        for (int k = 1; k <= 3; k++) made.of[k] = plan_.discounts[k - 1];
        return made;
    }

    // p of every word; also starts what `give` reads for order 1
    std::unique_ptr<NgramSpool> unigrams() {
        const NgramDiscount& d = discounts_[0];
        double all = 0, freed = 0;
        for (uint64_t count : unigrams_) {
            all += double(count);
            freed += count ? d.at(count) : 0;
        }
        double types = double(unigrams_.size()) - 1 - !has_unknown();
        auto made = std::make_unique<NgramSpool>(plan_.folder, 1);
        final_ = std::make_unique<NgramSorter>(plan_.folder, 1, false, false, plan_.memory / 8);
        uint32_t record[NgramRecord::NUMBERS + 2] = {};
        for (uint32_t word = 0; word < unigrams_.size(); word++) {
            double count = double(unigrams_[word]);
            double p = (count ? (count - d.at(unigrams_[word])) / all : 0) + freed / all / types;
            if (word == NgramWords::BEGIN || (word == NGRAM_UNKNOWN && !has_unknown())) p = 0;
            NgramRecord::set(record, 0, p);
            *NgramRecord::words(record) = word;
            made->add(record);
            final_->add(record);
        }
        made->rewind();
        return made;
    }

    // each n-gram's own share of its context, and gamma; each context with its gamma
    void share(int order, NgramSpool& contexts, NgramSorter& shares) {
        NgramSorter& counts = *counts_[order - 1].sorted;
        counts.finish();
        const NgramDiscount& d = discounts_[order - 1];
        uint64_t width = NgramRecord::width(order), history = 4 * uint64_t(order - 1);
        std::vector<uint32_t> group, context(NgramRecord::width(order - 1));
        auto close = [&] {
            double all = 0, freed = 0;
            for (uint64_t i = 0; i < group.size(); i += width) {
                uint64_t count = NgramRecord::get<uint64_t>(&group[i], 0);
                all += double(count);
                freed += NgramRecord::get<uint64_t>(&group[i], 1) ? double(count) : d.at(count);
            }
            double gamma = freed / all;
            for (uint64_t i = 0; i < group.size(); i += width) {
                if (NgramRecord::get<uint64_t>(&group[i], 1)) continue;
                uint64_t count = NgramRecord::get<uint64_t>(&group[i], 0);
                NgramRecord::set(&group[i], 0, (double(count) - d.at(count)) / all);
                NgramRecord::set(&group[i], 1, gamma);
                shares.add(&group[i]);
            }
            NgramRecord::set(context.data(), 0, gamma);
            std::memcpy(NgramRecord::words(context.data()), NgramRecord::words(group.data()), history);
            contexts.add(context.data());
            group.clear();
        };
        while (const uint32_t* record = counts.next()) {
            if (!group.empty() &&
                std::memcmp(NgramRecord::words(group.data()), NgramRecord::words(record), history) != 0)
                close();
            group.insert(group.end(), record, record + width);
        }
        if (!group.empty()) close();
        counts_[order - 1].sorted.reset();
        shares.finish();
    }

    // share + gamma p(suffix): both come sorted by their last words first
    void interpolate(int order, NgramSorter& shares, NgramSpool& shorter, NgramSpool& longer) {
        final_ = std::make_unique<NgramSorter>(plan_.folder, order, false, false, plan_.memory / 8);
        std::vector<uint32_t> record(NgramRecord::width(order));
        const uint32_t* suffix = shorter.next();
        while (const uint32_t* from = shares.next()) {
            const uint32_t* words = NgramRecord::words(from);
            while (suffix && std::memcmp(NgramRecord::words(suffix), words + 1, 4 * uint64_t(order - 1)) != 0)
                suffix = shorter.next();
            if (!suffix) throw NgramError("an n-gram lacks its suffix");
            record.assign(from, from + record.size());
            double p = NgramRecord::get<double>(from, 0) +
                       NgramRecord::get<double>(from, 1) * NgramRecord::get<double>(suffix, 0);
            NgramRecord::set(record.data(), 0, p);
            longer.add(record.data());
            final_->add(record.data());
        }
        longer.rewind();
    }

    // the finished n-grams of an order to the builder, with the back-off weight where one is a context
    void give(NgramBuilder& builder, int order, NgramSpool* contexts) {
        final_->finish();
        const uint32_t* context = contexts ? contexts->next() : nullptr;
        while (const uint32_t* record = final_->next()) {
            const uint32_t* words = NgramRecord::words(record);
            float backoff = 0;
            while (context && before(NgramRecord::words(context), words, order)) context = contexts->next();
            if (context && !before(words, NgramRecord::words(context), order)) {
                double gamma = NgramRecord::get<double>(context, 0);
                backoff = gamma > 0 ? float(std::log10(gamma)) : -99.f;
                context = contexts->next();
            }
            double p = NgramRecord::get<double>(record, 0);
            builder.add(order, words, p > 0 ? float(std::log10(p)) : words[0] == NgramWords::BEGIN ? -99.f : -100.f,
                        backoff);
        }
        final_.reset();
    }

    static bool before(const uint32_t* a, const uint32_t* b, int order) {
        for (int i = 0; i < order; i++)
            if (a[i] != b[i]) return a[i] < b[i];
        return false;
    }

    NgramPlan plan_;
    NgramCorpus& corpus_;
    std::vector<uint64_t> unigrams_;
    std::vector<NgramCounts> counts_;
    std::vector<NgramDiscount> discounts_;
    std::unique_ptr<NgramSorter> final_;
};

}  // namespace karussell
