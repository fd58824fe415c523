// Prefix beam search, one frame at a time.
//
// For each prefix p the beam holds ln of the summed paths that end in a blank, b(p), and in p's last label, n(p)
// (Graves et al. 2006, section 3.2; Hannun et al. 2014). With y the frame's log-probabilities, c the last label of p and
// q its parent,
//
//     b'(p) = [b(p) + n(p)] y(blank)
//     n'(p) = n(p) y(c) + ([b(q) + n(q)] or, if q ends in c, b(q)) y(c)
//
// Prefixes are ranked by ln [b + n] + the bonus of the language models and phrases. A prefix that is not in the beam gets
// mass from its parent alone, so new ones never meet each other, and one that cannot reach the worst of the beam is
// not looked at: rank(parent) + y(k) + reach(k) bounds it. That is exact as long as no token gains more than its reach.
#pragma once
#include <numeric>

#include "search_nodes.h"

namespace karussell {

inline double log_add(double a, double b) {
    double high = a > b ? a : b, low = a > b ? b : a, gap = low - high;
    // below, or not a number for two infinities, nothing is added; what log1p would add is lost beside `high` anyway
    return gap > -37.0 ? high + std::log(1.0 + std::exp(gap)) : high;
}

struct Entry {
    double blank = NEVER, label = NEVER;  // b, n
    double total = NEVER, rank = NEVER;   // b + n, and with the bonus
    Path at_blank, at_label;
    int32_t node = 0;
    int32_t row = -1;                     // of the prefix model
    int32_t child = -1, sibling = -1;     // places in the beam
};

class Beam {
  public:
    const char* open(const SearchSettings& settings) {
        s_ = settings;
        if (const char* bad = meaning_.open(s_)) return bad;
        reach_.resize(s_.classes);
        for (int32_t k = 0; k < s_.classes; k++) reach_[k] = meaning_.reach(k);
        begin();
        return nullptr;
    }

    void begin() {
        nodes_.begin(meaning_.begin());
        runs_.clear();
        entries_.assign(1, Entry{});
        Entry& root = entries_[0];
        root.blank = root.total = root.at_blank.score = 0;
        root.rank = nodes_[0].standing.bonus();
        nodes_[0].slot = 0;
        frame_ = 0;
        limit_ = 1 << 16;
        rows_.clear(), row_top_.clear(), free_rows_.clear();
    }

    // the prefix model has to have been asked for new prefixes; false if it failed
    bool ask() {
        if (!s_.prefix_scores) return true;
        std::vector<int32_t> asked, tokens;
        std::vector<int64_t> first{0};
        for (int32_t i = 0; i < int32_t(entries_.size()); i++)
            if (entries_[i].row < 0) {
                asked.push_back(i);
                spell(entries_[i].node, tokens);
                first.push_back(int64_t(tokens.size()));
            }
        if (asked.empty()) return true;
        tokens.push_back(0);
        std::vector<double> out(asked.size() * s_.classes);
        if (s_.prefix_scores(int64_t(asked.size()), first.data(), tokens.data(), out.data())) return false;
        for (size_t i = 0; i < asked.size(); i++) {
            int32_t row;
            if (free_rows_.empty()) {
                row = int32_t(row_top_.size());
                rows_.resize(rows_.size() + s_.classes), row_top_.push_back(0);
            } else {
                row = free_rows_.back();
                free_rows_.pop_back();
            }
            double* to = rows_.data() + row * s_.classes;
            double top = NEVER;
            for (int64_t k = 0; k < s_.classes; k++) {
                to[k] = s_.prefix_weight * out[i * s_.classes + k];
                if (std::isnan(to[k])) return false;
                top = std::max(top, to[k]);
            }
            row_top_[row] = top;
            entries_[asked[i]].row = row;
        }
        return true;
    }

    bool step(const double* y) {
        if (!ask()) return false;
        y_ = y;
        choose_tokens(y);
        stay(y);
        grow(y);
        select();
        frame_++;
        if (nodes_.size() > limit_ || int64_t(runs_.size()) > 2 * int64_t(limit_)) compact();
        return true;
    }

    std::vector<Entry>& entries() { return entries_; }
    Nodes& nodes() { return nodes_; }
    Meaning& meaning() { return meaning_; }
    const std::vector<Run>& runs() const { return runs_; }
    const SearchSettings& settings() const { return s_; }
    int64_t frames() const { return frame_; }
    double ending(const Entry& entry) const { return s_.prefix_scores ? rows_[entry.row * s_.classes + s_.blank] : 0; }

    int64_t bytes() const {
        return nodes_.bytes() + meaning_.bytes() + int64_t(runs_.capacity() * sizeof(Run)) +
               int64_t((entries_.capacity() + next_.capacity() + made_.capacity()) * sizeof(Entry)) +
               int64_t(candidates_.capacity() * sizeof(Candidate) + rows_.capacity() * 8);
    }

    void spell(int32_t node, std::vector<int32_t>& tokens) const {
        size_t at = tokens.size();
        for (; nodes_[node].parent >= 0; node = nodes_[node].parent) tokens.push_back(nodes_[node].token);
        std::reverse(tokens.begin() + at, tokens.end());
    }

  private:
    struct Candidate {
        double rank, mass;
        int32_t entry;              // who stays, or whose child this is
        int32_t token = -1, ends = -1;
    };

    double add(double a, double b) const { return s_.best_path ? std::max(a, b) : log_add(a, b); }

    void choose_tokens(const double* y) {
        tokens_.clear();
        if (entries_.empty()) return;
        int32_t best = int32_t(std::max_element(y, y + s_.classes) - y);
        allowed_.assign(s_.classes, 0);
        for (int32_t k = 0; k < s_.classes; k++)
            if (k != s_.blank && y[k] > NEVER && (y[k] >= s_.token_floor || k == best)) tokens_.push_back(k);
        auto likelier = [y](int32_t a, int32_t b) { return y[a] > y[b] || (y[a] == y[b] && a < b); };
        if (s_.top_tokens && int64_t(tokens_.size()) > s_.top_tokens) {
            std::nth_element(tokens_.begin(), tokens_.begin() + s_.top_tokens, tokens_.end(), likelier);
            tokens_.resize(s_.top_tokens);
        }
        for (int32_t k : tokens_) allowed_[k] = 1;
    }

    // the path of a prefix that goes on with another label; from its blank alone if the label is the same
    static Path& path_to(Entry& from, bool same) {
        return same || from.at_blank.score >= from.at_label.score ? from.at_blank : from.at_label;
    }

    // the path that begins a label after `path`, which is one of `from`
    Path started(const Entry& from, Path& path, double y) {
        if (nodes_[from.node].parent >= 0 && path.kept < 0) {
            runs_.push_back(path.run);
            path.kept = int32_t(runs_.size() - 1);
        }
        return Path{path.score + y, Run{path.kept, int32_t(frame_), int32_t(frame_ + 1), float(y)}, -1};
    }

    void stay(const double* y) {
        int32_t n = int32_t(entries_.size());
        next_.resize(n);
        candidates_.clear();
        for (Entry& e : entries_) e.child = -1;
        for (int32_t i = 0; i < n; i++) {
            Entry& e = entries_[i];
            Entry& to = next_[i];
            const Node& node = nodes_[e.node];
            to.node = e.node, to.row = e.row;
            to.blank = e.total + y[s_.blank];
            to.at_blank = e.at_blank.score >= e.at_label.score ? e.at_blank : e.at_label;
            to.at_blank.score += y[s_.blank];
            to.label = to.at_label.score = NEVER;
            if (node.token >= 0) {
                double here = y[node.token];
                to.label = e.label + here;
                to.at_label = e.at_label;
                to.at_label.score += here;
                to.at_label.run.end = int32_t(frame_ + 1);
                to.at_label.run.peak = std::max(to.at_label.run.peak, float(here));
                to.at_label.kept = -1;
                int32_t above = nodes_[node.parent].slot;
                if (above >= 0) {
                    Entry& from = entries_[above];
                    e.sibling = from.child, from.child = i;
                    bool same = nodes_[from.node].token == node.token;
                    if (allowed_[node.token]) {
                        to.label = add(to.label, (same ? from.blank : from.total) + here);
                        Path& path = path_to(from, same);
                        if (path.score + here > to.at_label.score) to.at_label = started(from, path, here);
                    }
                }
            }
            to.total = add(to.blank, to.label);
            to.rank = to.total + node.standing.bonus();
            if (to.total > NEVER) candidates_.push_back({to.rank, to.total, i});
        }
    }

    void grow(const double* y) {
        if (entries_.empty()) return;
        size_t room = s_.beam ? size_t(s_.beam) : SIZE_MAX;
        worst_.clear();
        best_ = NEVER;
        for (const Candidate& c : candidates_) worst_.push_back(c.rank), best_ = std::max(best_, c.rank);
        if (worst_.size() >= room) std::make_heap(worst_.begin(), worst_.end(), std::greater<>());
        double extra = 0;
        if (s_.prefix_scores) {
            extra = NEVER;
            for (const Entry& e : entries_) extra = std::max(extra, row_top_[e.row]);
        }
        double top = entries_[0].rank;
        std::vector<int32_t>& tokens = tried_;
        tokens.clear();
        for (int32_t k : tokens_)
            if (top + y[k] + reach_[k] + extra >= threshold(room)) tokens.push_back(k);
        std::sort(tokens.begin(), tokens.end(), [y](int32_t a, int32_t b) { return y[a] > y[b] || (y[a] == y[b] && a < b); });
        for (int32_t k : tokens) {
            double step = y[k] + reach_[k] + extra;
            for (int32_t i = 0; i < int32_t(entries_.size()); i++) {
                if (!(entries_[i].rank + step >= threshold(room))) break;
                if (s_.writing == ADJOINED) {
                    const int32_t *word, *last;
                    bool goes_on;
                    meaning_.endings(nodes_[entries_[i].node].standing, k, word, last, goes_on);
                    if (goes_on) consider(i, k, -1, y[k], room);
                    for (; word != last; word++) consider(i, k, *word, y[k], room);
                } else {
                    consider(i, k, -1, y[k], room);
                }
            }
        }
    }

    double threshold(size_t room) const {
        double full = worst_.size() >= room ? worst_.front() : NEVER;
        return std::max(full, best_ - s_.beam_drop);
    }

    void consider(int32_t i, int32_t k, int32_t ends, double y, size_t room) {
        const Entry& e = entries_[i];
        const Node& node = nodes_[e.node];
        double mass = (node.token == k ? e.blank : e.total) + y;
        if (!(mass > NEVER)) return;
        for (int32_t child = e.child; child >= 0; child = entries_[child].sibling) {
            const Node& known = nodes_[entries_[child].node];
            if (known.token == k && known.ends == ends) return;
        }
        double rank = mass;
        if (!meaning_.plain() || s_.prefix_scores) {
            Standing to;
            if (!meaning_.extend(node.standing, k, ends, to, false)) return;
            if (s_.prefix_scores) to.language += rows_[e.row * s_.classes + k];
            rank += to.bonus();
        }
        // a newcomer must be better than the worst, whose place it takes
        if (!(rank > NEVER) || (worst_.size() >= room && rank <= worst_.front())) return;
        best_ = std::max(best_, rank);
        candidates_.push_back({rank, mass, i, k, ends});
        worst_.push_back(rank);
        if (worst_.size() > room) {
            std::push_heap(worst_.begin(), worst_.end(), std::greater<>());
            std::pop_heap(worst_.begin(), worst_.end(), std::greater<>());
            worst_.pop_back();
        } else if (worst_.size() == room) {
            std::make_heap(worst_.begin(), worst_.end(), std::greater<>());
        }
    }

    void select() {
        order_.resize(candidates_.size());
        double least = best_ - s_.beam_drop;
        size_t n = 0;
        for (size_t i = 0; i < candidates_.size(); i++)
            if (candidates_[i].rank >= least) order_[n++] = {candidates_[i].rank, int32_t(i)};
        order_.resize(n);
        auto better = [](const Place& a, const Place& b) { return a.rank > b.rank || (a.rank == b.rank && a.at < b.at); };
        if (s_.beam && int64_t(n) > s_.beam) {
            std::nth_element(order_.begin(), order_.begin() + s_.beam, order_.end(), better);
            order_.resize(s_.beam);
        }
        std::sort(order_.begin(), order_.end(), better);

        made_.clear();
        stayed_.assign(entries_.size(), 0);
        for (const Place& place : order_) {
            const Candidate& c = candidates_[place.at];
            if (c.token < 0) {
                made_.push_back(next_[c.entry]);
                stayed_[c.entry] = 1;
            } else {
                made_.push_back(born(c));
            }
        }
        if (s_.recombine && !s_.prefix_scores) recombine();
        for (const Entry& e : entries_) nodes_[e.node].slot = -1;
        for (size_t i = 0; i < made_.size(); i++) nodes_[made_[i].node].slot = int32_t(i);
        for (size_t i = 0; s_.prefix_scores && i < entries_.size(); i++)
            if (!stayed_[i] && entries_[i].row >= 0) free_rows_.push_back(entries_[i].row);
        std::swap(entries_, made_);
    }

    // Of prefixes with equal standings, which everything later treats alike, those go whose mass in either ending is
    // not above that of a better one. What is left could lead to another best text only by mass that comes back.
    void recombine() {
        size_t size = 64, kept = 0;
        while (size < 2 * made_.size()) size *= 2;
        met_.assign(size, -1);
        for (size_t i = 0; i < made_.size(); i++) {
            const Node& node = nodes_[made_[i].node];
            double bonus = node.standing.bonus();
            bool goes = false;
            size_t at = node.standing.hash(node.token) & (size - 1);
            for (; met_[at] >= 0 && !goes; at = (at + 1) & (size - 1)) {
                const Entry& better = made_[met_[at]];
                const Node& other = nodes_[better.node];
                if (other.token != node.token || !other.standing.leads_alike(node.standing)) continue;
                double gap = other.standing.bonus() - bonus;
                goes = better.blank + gap >= made_[i].blank && better.label + gap >= made_[i].label;
            }
            if (goes) continue;
            met_[at] = int32_t(kept);
            if (kept != i) made_[kept] = made_[i];
            kept++;
        }
        made_.resize(kept);
    }

    Entry born(const Candidate& c) {
        Entry& from = entries_[c.entry];
        int32_t parent = from.node;
        Entry made;
        made.node = nodes_.find(parent, c.token, c.ends);
        if (made.node < 0) {
            Standing to;
            meaning_.extend(nodes_[parent].standing, c.token, c.ends, to, true);
            if (s_.prefix_scores) to.language += rows_[from.row * s_.classes + c.token];
            made.node = nodes_.add(parent, c.token, c.ends, to);
        }
        made.label = made.total = c.mass;
        made.rank = c.rank;
        made.at_label = started(from, path_to(from, nodes_[parent].token == c.token), y_[c.token]);
        return made;
    }

    void compact();

    SearchSettings s_{};
    Meaning meaning_;
    Nodes nodes_;
    std::vector<Run> runs_;
    std::vector<Entry> entries_, next_, made_;  // best first
    std::vector<double> reach_;
    int64_t frame_ = 0;
    int32_t limit_ = 1 << 16;
    double best_ = NEVER;
    const double* y_ = nullptr;

    struct Place {
        double rank;
        int32_t at;
    };
    std::vector<Candidate> candidates_;
    std::vector<Place> order_;
    std::vector<double> worst_;  // a heap once it is full
    std::vector<int32_t> tokens_, tried_;
    std::vector<uint8_t> allowed_, stayed_;
    std::vector<double> rows_, row_top_;  // [rows][classes] of the prefix model, and their maxima
    std::vector<int32_t> free_rows_, met_;
};

}  // namespace karussell
