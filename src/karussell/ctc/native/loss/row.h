// What all recursions over one row have in common: its target as vectors, its emissions, and memory for them.
//
// The states of a target of n labels are n + 1 blanks and n labels. They stand apart, blank i before label i:
//
//     blank i  <-  blank i, label i-1
//     label i  <-  label i, blank i, and label i-1 unless it is the same label
//
// so that a frame is a few vectors of blanks, which share one emission, and as many of labels. At least one lane behind
// the last state is never reached.
#pragma once
#include <cstdlib>
#include <limits>

#include "call.h"
#include "extended.h"

namespace karussell {

INLINE int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// one piece of memory, grown when a row needs more; null where there is none
class Memory {
  public:
    ~Memory() { std::free(data_); }
    // for the next call, unless it is much
    void rest() {
        if (size_ > (int64_t(1) << 23)) std::free(data_), data_ = nullptr, size_ = 0;
    }
    template <class U> U* get(int64_t count) {
        int64_t bytes = rounded(count * int64_t(sizeof(U)) + 64, 64);
        if (bytes > size_) {
            std::free(data_);
            data_ = std::aligned_alloc(64, size_t(bytes));
            size_ = data_ ? bytes : 0;
        }
        return static_cast<U*>(data_);
    }

  private:
    void* data_ = nullptr;
    int64_t size_ = 0;
};

// the states at one frame: mantissas of blanks, of labels, exponents of blanks, of labels, each of `lanes` numbers. What
// stands before the first label is the last blank's lane, which is never reached
template <class T> struct States {
    T* m;
    Integer<T>* e;
    int64_t lanes;
    static constexpr int64_t parts = 4;

    States(T* at, int64_t lanes) : m(at), e(reinterpret_cast<Integer<T>*>(at + 2 * lanes)), lanes(lanes) {}
    INLINE Wide<T> blank(int64_t i) const { return {load(m + i), load_whole<T>(e + i)}; }
    INLINE Wide<T> label(int64_t i) const { return {load(m + lanes + i), load_whole<T>(e + lanes + i)}; }
    INLINE void set_blank(int64_t i, Wide<T> w) { store<T>(m + i, w.m), store_whole<T>(e + i, w.e); }
    INLINE void set_label(int64_t i, Wide<T> w) { store<T>(m + lanes + i, w.m), store_whole<T>(e + lanes + i, w.e); }
    void clear() {
        for (int64_t i = 0; i < 2 * lanes; i++) m[i] = 1, e[i] = Range<T>::never;
    }
};

template <class T> struct Row {
    static constexpr int64_t N = Lanes<T>::count;
    const Call<T>& c;
    int64_t b, n, frames, lanes;  // lanes: of n + 1 states and one that is never reached, in whole vectors
    const int64_t* labels;
    T top;            // what no log-probability may exceed
    bool bad = false;  // NaN, or beyond the top

    Row(const Call<T>& c, int64_t b, const int64_t* labels)
        : c(c), b(b), n(c.target_lengths[b]), frames(c.input_lengths[b]), lanes(rounded(n + 2, N)), labels(labels) {
        top = T(0.17) * T(-Range<T>::never) / T(frames > 0 ? frames : 1);
    }

    // cap[i]: the largest exponent that may arrive from the label before; one vector more than the lanes
    void caps(Integer<T>* cap) const {
        for (int64_t i = 0; i < lanes + N; i++)
            cap[i] = i > 0 && i < n && labels[i] != labels[i - 1] ? -Range<T>::never : Range<T>::never;
    }
    const T* frame(int64_t t) const { return c.x + t * c.x_step + b * c.x_row; }

    // the log-probabilities of the target's labels, -inf in the other lanes; returns that of the blank
    T gather(int64_t t, T* out) {
        const T* x = frame(t);
        T shift = c.logits ? c.shift[t * c.batch + b] : T(0);
        for (int64_t i = 0; i < n; i++) out[i] = x[labels[i] * c.x_class] - shift;
        for (int64_t i = n; i < lanes; i++) out[i] = -INFINITY;
        T blank = x[c.blank * c.x_class] - shift;
        // a comparison that NaN fails, too
        bool good = blank <= top;
        for (int64_t i = 0; i < n; i++) good &= out[i] <= top;
        bad |= !good;
        return blank;
    }
    // the emissions of frame t: labels into y[2 * lanes], mantissas before exponents; returns the blank's
    Wide<T> emit(int64_t t, T* y) {
        T blank = gather(t, y);
        if (bad) return {all<T>(1), whole<T>(Range<T>::never)};
        Integer<T>* e = reinterpret_cast<Integer<T>*>(y + lanes);
        for (int64_t i = 0; i < lanes; i += N) {
            Wide<T> w = exponential<T>(load(y + i));
            store<T>(y + i, w.m), store_whole<T>(e + i, w.e);
        }
        return exponential<T>(all<T>(blank));
    }
    static INLINE Wide<T> emitted(const T* y, int64_t i, int64_t lanes) {
        return {load(y + i), load_whole<T>(reinterpret_cast<const Integer<T>*>(y + lanes) + i)};
    }
    T* occupancy(int64_t t) const { return c.occupancy + (t * c.batch + b) * (c.width + 1); }
    void fill_occupancy(T value) const {
        for (int64_t t = 0; t < frames; t++)
            for (int64_t i = 0; i <= c.width; i++) occupancy(t)[i] = value;
    }
};

// as many of x[k], x[k + 1], ... as there are lanes; `rest` where the classes end
template <class T> INLINE Vec<T> classes_from(const T* x, int64_t k, int64_t classes, int64_t stride, T rest) {
    constexpr int64_t N = Lanes<T>::count;
    if (stride == 1 && k + N <= classes) return load(x + k);
    T block[N];
    for (int64_t j = 0; j < N; j++) block[j] = k + j < classes ? x[(k + j) * stride] : rest;
    return load(block);
}

// log sum over k of exp(x[k]) of logits; -inf logits count as nothing, NaN goes through
template <class T> T log_sum_exp(const T* x, int64_t classes, int64_t stride) {
    constexpr int64_t N = Lanes<T>::count;
    Vec<T> tops = all<T>(T(-INFINITY)), sums{};
    Whole<T> nan{};
    for (int64_t k = 0; k < classes; k += N) {
        Vec<T> v = classes_from<T>(x, k, classes, stride, T(-INFINITY));
        tops = most<Vec<T>>(v, tops);
        nan |= v != v;
    }
    T top = -INFINITY;
    for (int64_t j = 0; j < N; j++) {
        if (nan[j]) return NAN;
        top = tops[j] > top ? tops[j] : top;
    }
    if (!(top <= std::numeric_limits<T>::max())) return NAN;
    if (top == -INFINITY) return top;
    for (int64_t k = 0; k < classes; k += N)
        sums += ordinary_exponential<T>(classes_from<T>(x, k, classes, stride, T(-INFINITY)) - top);
    return top + std::log(total<T>(sums));
}

}  // namespace karussell
