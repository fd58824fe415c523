// Rows that run together: which they are, how many are active at each step, and where the threads cut the work.
#pragma once
#include <algorithm>
#include <vector>

#include "options.h"
#include "product.h"
#include "team.h"

namespace karussell {

// Rows of one thread (or of the whole team, where it divides units), the longest first: at every step the active
// rows are a prefix, so rows that ended, or have not begun, cost nothing.
template <class T> struct Group {
    std::vector<int64_t> row;     // rank -> row of the batch
    std::vector<int64_t> length;  // rank -> length
    std::vector<int64_t> counts;  // t -> active rows, a prefix of the ranks
    bool ragged = false;

    Group(const Call<T>& c, int member, int members) {
        std::vector<int64_t> order(c.batch);
        for (int64_t b = 0; b < c.batch; b++) order[b] = b;
        if (c.lengths) {
            std::stable_sort(order.begin(), order.end(),
                             [&](int64_t p, int64_t q) { return c.lengths[p] > c.lengths[q]; });
            // dealt like cards, so that every thread has long and short ones
            for (int64_t k = member; k < c.batch; k += members) row.push_back(order[k]);
            ragged = true;
        } else {
            int64_t first = c.batch * member / members, last = c.batch * (member + 1) / members;
            row.assign(order.begin() + first, order.begin() + last);
        }
        for (int64_t b : row) length.push_back(c.lengths ? c.lengths[b] : c.steps);
        int64_t n = size();
        for (int64_t t = 0; t < c.steps; t++) {
            while (n > 0 && length[n - 1] <= t) n--;
            counts.push_back(n);
        }
    }
    int64_t size() const { return int64_t(row.size()); }
    int64_t active(int64_t t) const { return t >= 0 && t < int64_t(counts.size()) ? counts[t] : 0; }
    int64_t longest() const { return size() ? length[0] : 0; }
};

// the blocks of units that a member computes
struct Share {
    int64_t first, last;
    Share(int64_t from, int64_t to) : first(from), last(to) {}
    Share(int64_t blocks, int member, int members)
        : first(blocks * member / members), last(blocks * (member + 1) / members) {}
};

// by block of units: the first unit that any of them sees (or that sees any of them), and the one after the last
template <class T> std::vector<Share> reach(const int64_t* units, int64_t H) {
    std::vector<Share> found;
    for (int64_t ub = 0; ub < Block<T>::count(H); ub++) {
        Share s{units ? H : 0, units ? 0 : H};
        for (int64_t u = ub * Block<T>::units; units && u < std::min(H, (ub + 1) * Block<T>::units); u++)
            s.first = std::min(s.first, units[2 * u]), s.last = std::max(s.last, units[2 * u + 1]);
        found.push_back({std::min(s.first, s.last), s.last});
    }
    return found;
}

// units of what an edge sees, and the first of R's columns that multiply them
template <class C, class T> int64_t seen_width(const Call<T>& c, int edge) {
    return C::edge_value[edge] == C::states ? width(c, 0) : c.hidden;
}
template <class C, class T> int64_t column(const Call<T>& c, int edge) {
    int64_t found = 0;
    for (int e = edge - C::edge_seen[edge]; e < edge; e++) found += seen_width<C>(c, e);
    return found;
}

// whether a stage writes state 0, the output
template <class C, int k> constexpr bool writes_output() {
    for (int value : C::template Stage<k>::writes)
        if (value == C::states) return true;
    return false;
}

// recurrent dropout's masks of a group's rows, by edge: [rank, wide]
template <class C, class T> void draw_masks(const Call<T>& c, const Group<T>& g, int64_t wide, T* const* masks) {
    for (int e = 0; e < C::edges; e++)
        for (int64_t r = 0; r < g.size(); r++)
            for (int64_t u = 0; u + Lanes<T>::count <= wide; u += Lanes<T>::count)
                store(masks[e] + r * wide + u,
                      dropped(c, c.gal_key[C::edge_stage[e]], 0, g.row[r], column<C>(c, e) + u));
}

// Layout of the panels, each [K, Block::units], in the order in which a step reads them: input products by block and
// arrival; recurrent products by stage, block, arrival and seen value; or, backward, by stage, seen value and block, with
// K = arrivals of the stage * H; the projection's by block of outputs, backward of units.
template <class C, class T> struct Panels {
    int64_t inputs = 0, recurrent[MOST_STAGES + 1] = {}, projection = 0, total = 0;
    Panels(int64_t I, int64_t H, int64_t P, bool backward) {
        int64_t wide = Block<T>::padded(H);
        inputs = 0;
        total = backward ? 0 : int64_t(C::fed) * wide * I;
        for (int k = 0; k < C::stages; k++) {
            recurrent[k] = total;
            total += int64_t(C::products[k]) * C::sees[k] * wide * H;
        }
        projection = total;
        total += backward ? wide * P : Block<T>::padded(P) * H;
    }
};

}  // namespace karussell
