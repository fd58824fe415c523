// How the occupancy changes when the log-probabilities change in a direction v: the loss's second derivative.
//
//     a_t(s) = v_t(s) + mean of a_{t-1} over the states before s, weighed by their alphas        a: d log alpha
//     b_t(s) = mean of v_{t+1} + b_{t+1} over the states after s, weighed by y beta               b: d log beta
//     d occupancy = occupancy (a + b - d log p)
//
// A number that is added to v in all classes of one frame changes nothing: v is centred on its mean under the occupancy,
// so that a and b are small and their sum loses no digits.
#pragma once
#include "paths.h"

namespace karussell {

template <class T> struct Tangent {
    static constexpr int64_t N = Lanes<T>::count;
    Paths<T>& paths;
    Row<T>& row;
    T *v, *a, *b, *shares;  // [frames][lanes + N] labels, then the blank; [frames + 1][2 * lanes]; two frames; [lanes]

    static int64_t numbers(int64_t frames, int64_t lanes) {
        return frames * (lanes + N) + (frames + 1) * 2 * lanes + 2 * 2 * lanes + N + lanes;
    }
    Tangent(Paths<T>& paths, T* memory) : paths(paths), row(paths.row), v(memory) {
        a = v + row.frames * (row.lanes + N);
        b = a + (row.frames + 1) * 2 * row.lanes;
        shares = b + 2 * 2 * row.lanes + N;
    }

    static INLINE Vec<T> weighed(Vec<T> weight, Vec<T> value) {
        // chosen, not multiplied by 0: what is not reached may be anything
        return weight > 0 ? weight * value : Vec<T>{};
    }
    static INLINE Vec<T> mean(Wide<T> p, Vec<T> x, Wide<T> q, Vec<T> y) {
        Whole<T> e = most<Whole<T>>(p.e, q.e);
        Vec<T> wp = ordinary<T>(p.m, p.e - e), wq = ordinary<T>(q.m, q.e - e);
        return (weighed(wp, x) + weighed(wq, y)) / (wp + wq);
    }
    static INLINE Vec<T> mean(Wide<T> p, Vec<T> x, Wide<T> q, Vec<T> y, Wide<T> r, Vec<T> z) {
        Whole<T> e = most<Whole<T>>(most<Whole<T>>(p.e, q.e), r.e);
        Vec<T> wp = ordinary<T>(p.m, p.e - e), wq = ordinary<T>(q.m, q.e - e), wr = ordinary<T>(r.m, r.e - e);
        return (weighed(wp, x) + weighed(wq, y) + weighed(wr, z)) / (wp + wq + wr);
    }
    T* line(int64_t t) const { return v + t * (row.lanes + N); }
    T* dalpha(int64_t t) const { return a + (t + 1) * 2 * row.lanes; }

    void gather() {
        const Call<T>& c = row.c;
        for (int64_t t = 0; t < row.frames; t++) {
            const T *from = c.v + t * c.v_step + row.b * c.v_row, *share = row.occupancy(t);
            T* to = line(t);
            T blank = from[c.blank * c.v_class], centre = share[0] > 0 ? share[0] * blank : T(0);
            for (int64_t i = 0; i < row.n; i++) {
                to[i] = from[row.labels[i] * c.v_class];
                if (share[1 + i] > 0) centre += share[1 + i] * to[i];
            }
            for (int64_t i = 0; i < row.n; i++) to[i] -= centre;
            for (int64_t i = row.n; i < row.lanes; i++) to[i] = 0;
            to[row.lanes] = blank - centre;
        }
    }
    void forward() {
        int64_t lanes = row.lanes;
        for (int64_t i = 0; i < 2 * lanes; i++) dalpha(-1)[i] = 0;
        for (int64_t t = 0; t < row.frames; t++) {
            States<T> last = paths.alpha(t - 1);
            const T *da = dalpha(t - 1), *y = line(t);
            T* to = dalpha(t);
            for (int64_t i = 0; i < lanes; i += N) {
                auto from = paths.arrivals(last, i);
                Vec<T> db = load(da + i), dl = load(da + lanes + i), before = load(da + lanes + i - 1);
                store<T>(to + i, y[lanes] + mean(from.stay_b, db, from.before, before));
                store<T>(to + lanes + i,
                         load(y + i) + mean(from.stay_l, dl, from.stay_b, db, from.skip(), before));
            }
        }
    }
    T dp() const {
        int64_t n = row.n, lanes = row.lanes;
        States<T> end = paths.alpha(row.frames - 1);
        const T* da = dalpha(row.frames - 1);
        if (n == 0) return da[0];
        Wide<T> p{all<T>(end.m[n]), whole<T>(end.e[n])};
        Wide<T> q{all<T>(end.m[lanes + n - 1]), whole<T>(end.e[lanes + n - 1])};
        return mean(p, all<T>(da[n]), q, all<T>(da[lanes + n - 1]))[0];
    }
    void backward() {
        int64_t lanes = row.lanes;
        T centre = dp();
        T *next = b, *now = b + 2 * lanes;
        for (int64_t i = 0; i < 4 * lanes + N; i++) b[i] = 0;
        Vec<T> blanks{}, labels{}, blank_change{};
        auto begin = [&](int64_t) { blanks = labels = blank_change = Vec<T>{}; };
        // paths.backward shows the sums; their parts are asked for before it steps on
        auto visit = [&](int64_t t, int64_t i, const States<T>& alpha, Wide<T> beta_b, Wide<T> beta_l,
                         const typename Paths<T>::Departures& d) {
            Vec<T> nb = load(next + i), nl = load(next + lanes + i);
            Vec<T> nb1 = load(next + i + 1), nl1 = load(next + lanes + i + 1);
            Vec<T> db = mean(d.stay_b, nb, d.stay_l, nl), dl = mean(d.stay_l, nl, d.next_b, nb1, d.skip, nl1);
            const T* da = dalpha(t);
            Wide<T> p = alpha.blank(i), q = alpha.label(i);
            Vec<T> sb = ordinary<T>(p.m * beta_b.m, p.e + (beta_b.e - paths.p_e));
            Vec<T> sl = ordinary<T>(q.m * beta_l.m, q.e + (beta_l.e - paths.p_e));
            blanks += sb, labels += sl;
            blank_change += weighed(sb, load(da + i) + db - centre);
            store<T>(shares + i, weighed(sl, load(da + lanes + i) + dl - centre));
            store<T>(now + i, db + line(t)[lanes]);
            store<T>(now + lanes + i, dl + load(line(t) + i));
        };
        auto end = [&](int64_t t) {
            T scale = 1 / (total<T>(blanks) + total<T>(labels));
            T* out = row.c.change + (t * row.c.batch + row.b) * (row.c.width + 1);
            out[0] = total<T>(blank_change) * scale;
            for (int64_t i = 0; i < row.n; i++) out[1 + i] = shares[i] * scale;
            for (int64_t i = row.n; i < row.c.width; i++) out[1 + i] = 0;
            T* other = next;
            next = now, now = other;
        };
        paths.backward(begin, visit, end);
    }
};

}  // namespace karussell
