// One call of the loss; the same struct, field by field, stands in ctc/kernel.py.
#pragma once
#include <cstdint>

namespace karussell {

// T frames, B rows, K classes, W the longest target. All memory is the caller's; nothing overlaps. Every array comes
// with how many numbers it holds, and a call that would reach beyond one is refused before anything is written.
template <class T> struct Call {
    int64_t frames, batch, classes, width;  // T, B, K, W
    int64_t blank, threads;
    int64_t best;                    // 1: the best path alone counts, 0: all paths
    int64_t logits;                  // 1: x is unnormalised, and its log-sum-exp is taken away from it
    int64_t x_count;                 // numbers that may be read from x, from x[0] on
    int64_t x_step, x_row, x_class;  // strides of x in numbers, 0 or more
    int64_t rows_count;              // numbers in each of the arrays [B]
    int64_t labels_count, shift_count, occupancy_count, gradient_count;
    int64_t labels_row;  // numbers from one target to the next where they are padded; -1 where they follow each other
    int64_t v_count, v_step, v_row, v_class;
    double tolerance;  // how far from 1 the probabilities of a row's first frame may add up; 0: anything may be passed

    const T* x;                     // [T, B, K] by its strides
    const int64_t* labels;          // all targets: padded [B, labels_row], or one after the other
    const int64_t* input_lengths;   // [B]
    const int64_t* target_lengths;  // [B]
    T* losses;                      // [B] written by forward; infinite where there is no path
    T* shift;                       // [T, B] log-sum-exp of logits: written by forward, read by the others; else null
    T* occupancy;  // [T, B, W + 1] of the blank and of each label of the target: written by forward unless null
    double* scores;     // [B] the expected log-probability of a path: written by forward unless null
    const T* upstream;  // [B] read by spread
    T* gradient;        // [T, B, K] written by spread
    const T* v;         // [T, B, K] by its strides: the direction of tangent
    T* change;          // [T, B, W + 1] written by tangent: how the occupancy changes in the direction v
};

enum Status : int64_t {
    kDone = 0,
    kSizes = 1,    // a size, a stride or the blank is out of its range
    kShort = 2,    // an array is missing or holds fewer numbers than the sizes say
    kLengths = 3,  // a length is outside 0..T or 0..W, or targets are not as long as the labels
    kLabels = 4,   // a label is outside 0..K-1, or the blank
    kMemory = 5,   // there is no memory for the work
    kNoSum = 6,    // the probabilities of a row's first frame do not add up to 1
    kClosed = -1,  // done, and some loss is infinite
};

}  // namespace karussell
