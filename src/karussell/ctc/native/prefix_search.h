// Graves' prefix search (Graves et al., ICML 2006, section 3.2): the likeliest labellings themselves, best first.
//
// For every prefix p the forward variables g_n(p, t) and g_b(p, t) are held: the probability that the first t frames
// spell p and end in its last label, or in a blank. p is extended by every label; p(p) is its probability as a whole
// labelling, p(p...) that of all labellings which begin with it and are longer. The prefix with the greatest p(p...) is
// extended next, until no remaining one is likelier than the labellings found. All is kept as logarithms.
#pragma once
#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

#include "search_beam.h"

namespace karussell {

struct Labelling {
    double score;
    std::vector<int32_t> tokens;
};

// ln(e^a - e^b), a >= b up to rounding
inline double log_less(double a, double b) {
    if (!(a > b)) return NEVER;
    return b == NEVER ? a : a + std::log1p(-std::exp(b - a));
}

class PrefixSearch {
  public:
    // y [T][K] normalised. The `most` likeliest labellings of frames [first, last), best first; false if more than
    // `limit` prefixes would have to be held.
    bool run(const double* y, int64_t first, int64_t last, int64_t classes, int64_t blank, int64_t most, int64_t limit,
             std::vector<Labelling>& found) {
        y_ = y + first * classes, frames_ = last - first, classes_ = classes, blank_ = blank;
        held_.clear();
        found.clear();
        Prefix root{-1, -1, std::vector<double>(frames_ + 1, NEVER), std::vector<double>(frames_ + 1, 0)};
        for (int64_t t = 0; t < frames_; t++) root.blank[t + 1] = root.blank[t] + at(t, blank);
        note({root.blank[frames_], {}}, most, found);
        // the rest of everything
        std::priority_queue<Open> open;
        open.push({log_less(0, root.blank[frames_]), 0});
        held_.push_back(std::move(root));
        while (!open.empty() && (int64_t(found.size()) < most || open.top().rest > found.back().score)) {
            Open best = open.top();
            open.pop();
            if (best.rest == NEVER) break;
            for (int32_t k = 0; k < classes_; k++) {
                if (k == blank) continue;
                double rest;
                Prefix made = extend(best.prefix, k, rest);
                double whole = log_add(made.label[frames_], made.blank[frames_]);
                int32_t number = int32_t(held_.size());
                bool goes_on = rest > NEVER && (int64_t(found.size()) < most || rest > found.back().score);
                if (whole > NEVER && (int64_t(found.size()) < most || whole > found.back().score)) {
                    Labelling labelling{whole, {k}};
                    for (int32_t up = best.prefix; up > 0; up = held_[up].before) labelling.tokens.push_back(held_[up].token);
                    std::reverse(labelling.tokens.begin(), labelling.tokens.end());
                    note(std::move(labelling), most, found);
                }
                if (goes_on) {
                    if (number >= limit) return false;
                    held_.push_back(std::move(made));
                    open.push({rest, number});
                }
            }
            // only the chain of tokens is still needed
            held_[best.prefix].label = held_[best.prefix].blank = {};
        }
        return true;
    }

  private:
    struct Prefix {
        int32_t before, token;
        std::vector<double> label, blank;  // [T + 1], the first for no frames
    };
    struct Open {
        double rest;
        int32_t prefix;
        bool operator<(const Open& other) const {
            return rest < other.rest || (rest == other.rest && prefix > other.prefix);
        }
    };

    double at(int64_t t, int64_t k) const { return y_[t * classes_ + k]; }

    Prefix extend(int32_t before, int32_t k, double& rest) const {
        const Prefix& from = held_[before];
        Prefix made{before, k, std::vector<double>(frames_ + 1, NEVER), std::vector<double>(frames_ + 1, NEVER)};
        double sum = NEVER;
        for (int64_t t = 0; t < frames_; t++) {
            double fresh = from.token == k ? from.blank[t] : log_add(from.blank[t], from.label[t]);
            made.label[t + 1] = at(t, k) + log_add(fresh, made.label[t]);
            made.blank[t + 1] = at(t, blank_) + log_add(made.blank[t], made.label[t]);
            sum = log_add(sum, fresh + at(t, k));
        }
        rest = log_less(sum, log_add(made.label[frames_], made.blank[frames_]));
        return made;
    }

    static void note(Labelling labelling, int64_t most, std::vector<Labelling>& found) {
        auto place = std::upper_bound(found.begin(), found.end(), labelling.score,
                                      [](double score, const Labelling& one) { return score > one.score; });
        found.insert(place, std::move(labelling));
        if (int64_t(found.size()) > most) found.pop_back();
    }

    const double* y_ = nullptr;
    int64_t frames_ = 0, classes_ = 0, blank_ = 0;
    std::vector<Prefix> held_;
};

// The likeliest path of given labels through frames [0, T): where each label's run begins and stops, and its peak.
// Returns the path's score; -infinity, and nothing written, if the labels do not fit.
inline double align(const double* y, int64_t frames, int64_t classes, int64_t blank, const int32_t* labels, int64_t count,
                    int32_t* starts, int32_t* stops, float* peaks) {
    int64_t states = 2 * count + 1;
    std::vector<double> score(states, NEVER), before;
    std::vector<uint8_t> from(frames * states, 0);
    for (int64_t t = 0; t < frames; t++) {
        const double* row = y + t * classes;
        before = score;
        for (int64_t s = 0; s < states; s++) {
            // at the beginning one may stand on the first blank or the first label
            double best = t ? before[s] : (s < 2 ? 0 : NEVER);
            uint8_t way = 0;
            if (t && s && before[s - 1] > best) best = before[s - 1], way = 1;
            bool skips = t && (s & 1) && s >= 3 && labels[s / 2] != labels[s / 2 - 1];
            if (skips && before[s - 2] > best) best = before[s - 2], way = 2;
            score[s] = best + row[s & 1 ? labels[s / 2] : blank];
            from[t * states + s] = way;
        }
    }
    if (frames == 0) return count ? NEVER : 0;
    int64_t s = states - 1;
    if (count && score[s - 1] > score[s]) s--;
    double found = score[s];
    if (found == NEVER) return found;
    for (int64_t i = 0; i < count; i++) starts[i] = int32_t(frames), stops[i] = 0, peaks[i] = float(NEVER);
    for (int64_t t = frames - 1; t >= 0; t--) {
        if (s & 1) {
            int64_t i = s / 2;
            starts[i] = int32_t(t);
            stops[i] = std::max(stops[i], int32_t(t + 1));
            peaks[i] = std::max(peaks[i], float(y[t * classes + labels[i]]));
        }
        s -= from[t * states + s];
    }
    return found;
}

}  // namespace karussell
