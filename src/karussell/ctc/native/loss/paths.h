// The sum over all paths, forward and backward, and what each state's share of it is.
//
//     alpha_t(s) = y_t(s) (sum of alpha_{t-1} over the states before s)
//     beta_t(s)  = sum over the states s' after s of y_{t+1}(s') beta_{t+1}(s')
//     p          = alpha_F(last blank) + alpha_F(last label),    occupancy_t(s) = alpha_t(s) beta_t(s) / p
//
// One frame before the first, all of the probability is at blank 0; one after the last, at the last blank: this way the
// first and the last frame are frames as any other.
#pragma once
#include "row.h"

namespace karussell {

// alpha of every frame, and the emissions, kept for the way back
template <class T> struct Paths {
    static constexpr int64_t N = Lanes<T>::count;
    Row<T>& row;
    T *alphas, *emissions;  // [frames + 1][4 * lanes], [frames][2 * lanes]; when not kept, of two frames and one
    T* blanks;              // [frames] mantissa and exponent, broadcast: 2 * N numbers each
    Integer<T>* cap;        // [lanes + N]
    bool keep;
    T p_m = 1;
    Integer<T> p_e = 0;

    static int64_t numbers(int64_t frames, int64_t lanes, bool keep) {
        int64_t f = keep ? frames : 1;
        return (f + 1) * 4 * lanes + f * 2 * lanes + f * 2 * N + (lanes + N) + 2 * 4 * lanes + N;
    }
    Paths(Row<T>& row, T* memory, bool keep) : row(row), keep(keep) {
        int64_t f = keep ? row.frames : 1;
        alphas = memory;
        emissions = alphas + (f + 1) * 4 * row.lanes;
        blanks = emissions + f * 2 * row.lanes;
        cap = reinterpret_cast<Integer<T>*>(blanks + f * 2 * N);
        row.caps(cap);
    }
    // memory for two frames of beta, and a vector behind them that is read but never matters
    T* betas() const { return reinterpret_cast<T*>(cap + row.lanes + N); }
    States<T> alpha(int64_t t) const { return {alphas + (keep ? t + 1 : (t + 1) & 1) * 4 * row.lanes, row.lanes}; }
    T* emission(int64_t t) const { return emissions + (keep ? t : 0) * 2 * row.lanes; }
    Wide<T> blank(int64_t t) const {
        const T* at = blanks + (keep ? t : 0) * 2 * N;
        return {load(at), load_whole<T>(reinterpret_cast<const Integer<T>*>(at + N))};
    }
    void set_blank(int64_t t, Wide<T> w) {
        T* at = blanks + (keep ? t : 0) * 2 * N;
        store<T>(at, w.m), store_whole<T>(reinterpret_cast<Integer<T>*>(at + N), w.e);
    }
    bool possible() const { return p_e > kImpossible<T>; }

    // what arrives at blank i and label i and their neighbours from frame t, before the emission
    struct Arrivals {
        Wide<T> stay_b, stay_l, before;  // before: the label in front, as the blank sees it
        Integer<T>* cap;
        INLINE Wide<T> skip() const { return {before.m, least<Whole<T>>(before.e, load_whole<T>(cap))}; }
    };
    INLINE Arrivals arrivals(const States<T>& last, int64_t i) const {
        return {last.blank(i), last.label(i), last.label(i - 1), cap + i};
    }

    // p of the row; false where a log-probability is none
    bool forward() {
        States<T> first = alpha(-1);
        first.clear();
        first.m[0] = 1, first.e[0] = 0;
        for (int64_t t = 0; t < row.frames; t++) {
            T* y = emission(t);
            Wide<T> yb = row.emit(t, y);
            if (row.bad) return false;
            set_blank(t, yb);
            States<T> last = alpha(t - 1), now = alpha(t);
            for (int64_t i = 0; i < row.lanes; i += N) {
                Arrivals a = arrivals(last, i);
                now.set_blank(i, product<T>(sum<T>(a.stay_b, a.before), yb));
                now.set_label(i, product<T>(sum<T>(a.stay_l, a.stay_b, a.skip()), Row<T>::emitted(y, i, row.lanes)));
            }
        }
        finish(alpha(row.frames - 1));
        return true;
    }
    void finish(const States<T>& end) {
        int64_t n = row.n;
        Wide<T> b{all<T>(end.m[n]), whole<T>(end.e[n])}, l{all<T>(1), whole<T>(Range<T>::never)};
        if (n > 0) l = {all<T>(end.m[end.lanes + n - 1]), whole<T>(end.e[end.lanes + n - 1])};
        Wide<T> p = product<T>(sum<T>(b, l), {all<T>(1), whole<T>(0)});
        p_m = p.m[0], p_e = p.e[0];
    }

    // what leaves blank i and label i towards frame t + 1, emissions included
    struct Departures {
        Wide<T> stay_b, stay_l, next_b, skip;
    };

    // calls visit(t, i, alpha_t, beta of blanks i.., beta of labels i.., what they are made of) for every frame, the last
    // one first
    template <class Begin, class Visit, class End> void backward(Begin begin, Visit visit, End end) {
        int64_t lanes = row.lanes;
        States<T> next{betas(), lanes}, now{betas() + 4 * lanes, lanes};
        next.clear(), now.clear();
        for (int64_t k = 0; k < N; k++) betas()[8 * lanes + k] = 0;
        next.m[row.n] = 1, next.e[row.n] = 0;
        for (int64_t t = row.frames - 1; t >= 0; t--) {
            States<T> alpha_t = alpha(t);
            const T* y = emission(t);
            Wide<T> yb = blank(t);
            begin(t);
            for (int64_t i = 0; i < lanes; i += N) {
                Departures d{next.blank(i), next.label(i), next.blank(i + 1), next.label(i + 1)};
                d.skip.e = least<Whole<T>>(d.skip.e, load_whole<T>(cap + i + 1));
                Wide<T> beta_b = sum<T>(d.stay_b, d.stay_l);
                Wide<T> beta_l = sum<T>(d.stay_l, d.next_b, d.skip);
                visit(t, i, alpha_t, beta_b, beta_l, d);
                now.set_blank(i, product<T>(beta_b, yb));
                now.set_label(i, product<T>(beta_l, Row<T>::emitted(y, i, lanes)));
            }
            end(t);
            States<T> other = next;
            next = now, now = other;
        }
    }
};

// the shares of all states at every frame, their sum made 1; label by label of the target, all blanks together
template <class T> void occupancy(Paths<T>& paths, T* shares, T* logs, double* score) {
    Row<T>& row = paths.row;
    Vec<T> blanks{}, labels{};
    double expected = 0;
    auto begin = [&](int64_t) { blanks = Vec<T>{}, labels = Vec<T>{}; };
    auto visit = [&](int64_t, int64_t i, const States<T>& alpha, Wide<T> beta_b, Wide<T> beta_l,
                     const typename Paths<T>::Departures&) {
        Wide<T> b = alpha.blank(i), l = alpha.label(i);
        blanks += ordinary<T>(b.m * beta_b.m, b.e + (beta_b.e - paths.p_e));
        Vec<T> share = ordinary<T>(l.m * beta_l.m, l.e + (beta_l.e - paths.p_e));
        store<T>(shares + i, share);
        labels += share;
    };
    auto end = [&](int64_t t) {
        T blank = total<T>(blanks), scale = 1 / (blank + total<T>(labels));
        T* out = row.occupancy(t);
        out[0] = blank * scale;
        for (int64_t i = 0; i < row.n; i++) out[1 + i] = shares[i] * scale;
        for (int64_t i = row.n; i < row.c.width; i++) out[1 + i] = 0;
        if (score) {
            // a share of 0 and a probability of 0 are nothing together
            T log_blank = row.gather(t, logs);
            if (out[0] > 0) expected += double(out[0]) * log_blank;
            for (int64_t i = 0; i < row.n; i++)
                if (out[1 + i] > 0) expected += double(out[1 + i]) * logs[i];
        }
    };
    paths.backward(begin, visit, end);
    if (score) *score = expected;
}

}  // namespace karussell
