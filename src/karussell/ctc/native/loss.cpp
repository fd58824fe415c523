// The CTC loss (Graves et al., ICML 2006) of a batch: its value, what each state has to do with it, the gradient, and the
// second derivative in a direction. A plain C interface; rows are divided among threads and do not touch each other, so
// the number of threads changes no bit.
#include <limits>

#include "best.h"
#include "call.h"
#include "paths.h"
#include "tangent.h"
#include "team.h"

namespace karussell {
namespace {

constexpr int64_t kMost = int64_t(1) << 40;

// a * b, or a number too large for everything
int64_t times(int64_t a, int64_t b) {
    int64_t c;
    return __builtin_mul_overflow(a, b, &c) || c > kMost ? kMost : c;
}
bool reaches(int64_t count, int64_t steps, int64_t step, int64_t rows, int64_t row, int64_t classes, int64_t cls) {
    int64_t last = times(steps - 1, step) + times(rows - 1, row) + times(classes - 1, cls);
    return last < kMost && last < count;
}

template <class T> int64_t check(const Call<T>& c) {
    auto size = [](int64_t v, int64_t least) { return v >= least && v < kMost; };
    if (!size(c.frames, 1) || !size(c.batch, 1) || !size(c.classes, 1) || !size(c.width, 0)) return kSizes;
    if (c.blank < 0 || c.blank >= c.classes || c.threads < 1 || c.threads > 4096) return kSizes;
    if (!size(c.x_step, 0) || !size(c.x_row, 0) || !size(c.x_class, 0)) return kSizes;
    if (times(times(c.frames, c.width + 64), 16) >= kMost) return kSizes;
    if (!c.x || !reaches(c.x_count, c.frames, c.x_step, c.batch, c.x_row, c.classes, c.x_class)) return kShort;
    if (!c.input_lengths || !c.target_lengths || c.rows_count < c.batch) return kShort;
    if (c.labels_count < 0 || (c.labels_count > 0 && !c.labels)) return kShort;
    if (c.logits && (!c.shift || c.shift_count < times(c.frames, c.batch))) return kShort;
    if (c.labels_row < -1 || c.labels_row >= kMost) return kSizes;
    int64_t end = 0;
    for (int64_t b = 0; b < c.batch; b++) {
        int64_t n = c.target_lengths[b];
        if (c.input_lengths[b] < 0 || c.input_lengths[b] > c.frames) return kLengths;
        if (n < 0 || n > c.width || (c.labels_row >= 0 && n > c.labels_row)) return kLengths;
        const int64_t begin = c.labels_row < 0 ? end : times(b, c.labels_row);
        end = begin + n;
        if (end > c.labels_count) return kLengths;
        for (int64_t i = begin; i < end; i++)
            if (c.labels[i] < 0 || c.labels[i] >= c.classes || c.labels[i] == c.blank) return kLabels;
    }
    return c.labels_row < 0 && end != c.labels_count ? kLengths : kDone;
}
// where each target begins; null where there is no memory
template <class T> const int64_t* begins(const Call<T>& c, Memory& memory) {
    int64_t* begin = memory.get<int64_t>(c.batch);
    if (begin)
        for (int64_t b = 0, sum = 0; b < c.batch; sum += c.target_lengths[b++])
            begin[b] = c.labels_row < 0 ? sum : b * c.labels_row;
    return begin;
}
// one frame is enough to tell log-probabilities from logits and from probabilities; all would cost a pass
template <class T> bool adds_up(const Call<T>& c) {
    for (int64_t b = 0; b < c.batch && c.tolerance > 0; b++)
        if (c.input_lengths[b] > 0 &&
            std::abs(std::exp(double(log_sum_exp(c.x + b * c.x_row, c.classes, c.x_class))) - 1) > c.tolerance)
            return false;
    return true;
}
template <class T> bool holds_occupancy(const Call<T>& c) {
    return c.occupancy_count >= times(times(c.frames, c.batch), c.width + 1) && c.occupancy_count < kMost;
}

// run(b, its labels, memory) for every row; false where memory is short
template <class T, class F> int64_t every_row(const Call<T>& c, F run) {
    Memory starts;
    const int64_t* start = begins(c, starts);
    if (!start) return kMemory;
    std::atomic<int64_t> failed{0};
    auto part = [&](std::atomic<int64_t>& next) {
        // a call that returns its memory to the system pays for every page of it again
        static thread_local Memory memory;
        for (int64_t b; (b = next.fetch_add(1)) < c.batch;) failed += !run(b, c.labels + start[b], memory);
        memory.rest();
    };
    Team::one().together(c.batch, c.threads < c.batch ? c.threads : c.batch, part);
    return failed ? kMemory : kDone;
}

template <class T> int64_t forward(const Call<T>& c) {
    if (int64_t status = check(c)) return status;
    if (!c.losses || (c.occupancy && !holds_occupancy(c))) return kShort;
    if (!adds_up(c)) return kNoSum;
    int64_t status = every_row(c, [&](int64_t b, const int64_t* labels, Memory& memory) {
        Row<T> row(c, b, labels);
        if (c.logits)
            for (int64_t t = 0; t < row.frames; t++)
                c.shift[t * c.batch + b] = log_sum_exp(row.frame(t), c.classes, c.x_class);
        bool keep = c.occupancy, found;
        if (c.best) {
            T* at = memory.get<T>(Best<T>::numbers(row.frames, row.lanes));
            if (!at) return false;
            Best<T> best(row, at);
            found = best.forward() && best.trace();
            c.losses[b] = found ? T(best.loss) : T(INFINITY);
        } else {
            int64_t numbers = Paths<T>::numbers(row.frames, row.lanes, keep);
            T* at = memory.get<T>(numbers + 2 * row.lanes);
            if (!at) return false;
            Paths<T> paths(row, at, keep);
            found = paths.forward() && paths.possible();
            c.losses[b] = found ? T(-logarithm<T>(paths.p_m, paths.p_e)) : T(INFINITY);
            if (c.scores) c.scores[b] = 0;
            if (found && keep)
                occupancy(paths, at + numbers, at + numbers + row.lanes, c.scores ? c.scores + b : nullptr);
        }
        if (row.bad) c.losses[b] = NAN;
        if (!found && keep) row.fill_occupancy(row.bad ? T(NAN) : T(0));
        return true;
    });
    bool closed = false;
    for (int64_t b = 0; b < c.batch && !status; b++) closed |= c.losses[b] == T(INFINITY);
    return closed ? int64_t(kClosed) : status;
}

// gradient[t, b, k] = upstream[b] ((softmax of logits) - occupancy of k), 0 beyond a row's frames
template <class T> int64_t spread(const Call<T>& c) {
    if (int64_t status = check(c)) return status;
    if (!c.occupancy || !holds_occupancy(c) || !c.upstream || !c.gradient) return kShort;
    if (c.gradient_count < times(times(c.frames, c.batch), c.classes) || c.gradient_count >= kMost) return kShort;
    constexpr int64_t N = Lanes<T>::count;
    Memory starts;
    const int64_t* start = begins(c, starts);
    if (!start) return kMemory;
    auto frame = [&](int64_t t) {
        for (int64_t b = 0; b < c.batch; b++) {
            T* out = c.gradient + (t * c.batch + b) * c.classes;
            T g = c.upstream[b];
            // exactly 0, also where the row is not to be looked at
            bool nothing = t >= c.input_lengths[b] || g == 0;
            if (nothing || !c.logits) std::memset(out, 0, size_t(c.classes) * sizeof(T));
            if (nothing) continue;
            if (c.logits) {
                const T* x = c.x + t * c.x_step + b * c.x_row;
                T shift = c.shift[t * c.batch + b];
                for (int64_t k = 0; k < c.classes; k += N) {
                    Vec<T> y = ordinary_exponential<T>(classes_from<T>(x, k, c.classes, c.x_class, shift) - shift) * g;
                    if (k + N <= c.classes)
                        store<T>(out + k, y);
                    else
                        std::memcpy(out + k, &y, size_t(c.classes - k) * sizeof(T));
                }
            }
            const T* share = c.occupancy + (t * c.batch + b) * (c.width + 1);
            out[c.blank] -= g * share[0];
            const int64_t* labels = c.labels + start[b];
            for (int64_t i = 0; i < c.target_lengths[b]; i++) out[labels[i]] -= g * share[1 + i];
        }
    };
    // so many that taking them costs nothing
    constexpr int64_t BLOCK = 8;
    auto part = [&](std::atomic<int64_t>& next) {
        for (int64_t t; (t = BLOCK * next.fetch_add(1)) < c.frames;)
            for (int64_t end = t + BLOCK < c.frames ? t + BLOCK : c.frames; t < end; t++) frame(t);
    };
    int64_t blocks = (c.frames + BLOCK - 1) / BLOCK;
    Team::one().together(blocks, c.threads < blocks ? c.threads : blocks, part);
    return kDone;
}

template <class T> int64_t tangent(const Call<T>& c) {
    if (int64_t status = check(c)) return status;
    auto size = [](int64_t v) { return v >= 0 && v < kMost; };
    if (!size(c.v_step) || !size(c.v_row) || !size(c.v_class)) return kSizes;
    if (!c.occupancy || !holds_occupancy(c) || !c.change || !c.v) return kShort;
    if (!reaches(c.v_count, c.frames, c.v_step, c.batch, c.v_row, c.classes, c.v_class)) return kShort;
    return every_row(c, [&](int64_t b, const int64_t* labels, Memory& memory) {
        Row<T> row(c, b, labels);
        int64_t numbers = Paths<T>::numbers(row.frames, row.lanes, true);
        T* at = memory.get<T>(numbers + Tangent<T>::numbers(row.frames, row.lanes));
        if (!at) return false;
        Paths<T> paths(row, at, true);
        if (!c.best && paths.forward() && paths.possible()) {
            Tangent<T> tangent(paths, at + numbers);
            tangent.gather(), tangent.forward(), tangent.backward();
        } else {
            for (int64_t t = 0; t < row.frames; t++)
                for (int64_t i = 0; i <= c.width; i++)
                    c.change[(t * c.batch + b) * (c.width + 1) + i] = row.bad ? T(NAN) : T(0);
        }
        return true;
    });
}

}  // namespace
}  // namespace karussell

#define EXPORT extern "C" __attribute__((visibility("default")))
using karussell::Call;
EXPORT int64_t f32_forward(const Call<float>* c) { return karussell::forward(*c); }
EXPORT int64_t f64_forward(const Call<double>* c) { return karussell::forward(*c); }
EXPORT int64_t f32_spread(const Call<float>* c) { return karussell::spread(*c); }
EXPORT int64_t f64_spread(const Call<double>* c) { return karussell::spread(*c); }
EXPORT int64_t f32_tangent(const Call<float>* c) { return karussell::tangent(*c); }
EXPORT int64_t f64_tangent(const Call<double>* c) { return karussell::tangent(*c); }
