// The best path alone: sums become maxima of logarithms, and the path is found again from the scores.
#pragma once
#include "row.h"

namespace karussell {

template <class T> struct Best {
    static constexpr int64_t N = Lanes<T>::count;
    Row<T>& row;
    T *scores, *emissions, *penalty;  // [frames + 1][2 * lanes] blanks, labels; [frames][lanes]; [lanes]
    T* blanks;                        // [frames]
    double loss = 0;

    static int64_t numbers(int64_t frames, int64_t lanes) {
        return (frames + 1) * 2 * lanes + frames * lanes + lanes + rounded(frames + 1, N);
    }
    Best(Row<T>& row, T* memory) : row(row), scores(memory) {
        emissions = scores + (row.frames + 1) * 2 * row.lanes;
        penalty = emissions + row.frames * row.lanes;
        blanks = penalty + row.lanes;
        for (int64_t i = 0; i < row.lanes; i++)
            penalty[i] = i > 0 && i < row.n && row.labels[i] != row.labels[i - 1] ? T(0) : T(-INFINITY);
    }
    T* at(int64_t t) const { return scores + (t + 1) * 2 * row.lanes; }

    bool forward() {
        int64_t lanes = row.lanes;
        for (int64_t i = 0; i < 2 * lanes; i++) at(-1)[i] = -INFINITY;
        at(-1)[0] = 0;
        for (int64_t t = 0; t < row.frames; t++) {
            T* y = emissions + t * lanes;
            blanks[t] = row.gather(t, y);
            if (row.bad) return false;
            const T* last = at(t - 1);
            T* now = at(t);
            for (int64_t i = 0; i < lanes; i += N) {
                Vec<T> b = load(last + i), l = load(last + lanes + i), before = load(last + lanes + i - 1);
                Vec<T> skip = before + load(penalty + i);
                store<T>(now + i, most<Vec<T>>(b, before) + blanks[t]);
                store<T>(now + lanes + i, most<Vec<T>>(most<Vec<T>>(l, b), skip) + load(y + i));
            }
        }
        return true;
    }
    // the path, from its end; of equal ones that which stays longest where it is. False where there is none
    bool trace() {
        int64_t lanes = row.lanes, i = row.n, frames = row.frames;
        const T* end = at(frames - 1);
        bool label = i > 0 && end[lanes + i - 1] > end[i];
        if (!((label ? end[lanes + i - 1] : end[i]) > -INFINITY)) return false;
        i -= label;
        for (int64_t t = frames - 1; t >= 0; t--) {
            if (row.c.occupancy) {
                T* out = row.occupancy(t);
                for (int64_t k = 0; k <= row.c.width; k++) out[k] = 0;
                out[label ? 1 + i : 0] = 1;
            }
            loss -= label ? emissions[t * lanes + i] : blanks[t];
            const T* last = at(t - 1);
            if (label) {
                T stay = last[lanes + i], b = last[i];
                T skip = i > 0 ? last[lanes + i - 1] + penalty[i] : T(-INFINITY);
                if (stay >= b && stay >= skip) continue;
                label = !(b >= skip);
                i -= label;
            } else if (i > 0 && last[lanes + i - 1] > last[i]) {
                label = true;
                i -= 1;
            }
        }
        return true;
    }
};

}  // namespace karussell
