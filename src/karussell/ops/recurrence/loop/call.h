// What one call of the loop gets: plain pointers, the same struct in Python (cpp.py). All arrays are dense, row-major
// and the caller's; none may overlap another unless it says so. H units, states H wide, T steps, B rows.
#pragma once
#include <cstdint>

namespace karussell {

constexpr int MOST_VALUES = 48;  // states, twice; values between stages; unit vectors; per-step inputs
constexpr int MOST_STAGES = 16;

template <class T> struct Call {
    int64_t steps, batch, inputs, hidden, threads;
    int64_t reverse;              // run from the last valid step to the first
    int64_t by_units;             // threads share rows and divide units; otherwise each has rows of its own
    const int64_t* lengths;       // [B] or null
    const T* x;                   // [T, B, I]
    const T* w;                   // [fed gates * H, I], the parameter's order
    const T* bias;                // [arrivals * H], the program's order, or null
    const T* r[MOST_STAGES];      // [gates * H, sees * H] a stage, the parameter's order; null where nothing is seen
    const T* fixed[MOST_VALUES];  // by value: unit vectors [H]; per-step inputs [T, B] or [T, B, H]
    int64_t wide[MOST_VALUES];    // by value: 1 if a per-step input is [T, B, H]
    T* packed;                    // panels of w and r, `packed_size` numbers, 64-byte aligned; filled if `pack`
    int64_t pack;
    const T* initial[MOST_VALUES];  // by state: [B, H], null for zeros
    // forward writes; backward reads
    T* final_[MOST_VALUES];    // by state: [B, H]; forward only
    T* history[MOST_VALUES];   // by value (state after the step, or between stages): [T, B, H], or null; 0th: y
    T* lines;                  // [T, B, width * H], null if nothing will be differentiated: stored values, which
                               // backward overwrites with the gradients of pre-activations
    // backward reads; null for zeros
    const T* d_history[MOST_VALUES];  // by value, [T, B, H]
    const T* d_final[MOST_VALUES];    // by state, [B, H]
    // backward writes
    T* d_initial[MOST_VALUES];  // by state, [B, H]
    T* d_units[MOST_VALUES];    // by value: [H], null where not learned
    T* d_bias;                  // [arrivals * H], the program's order, or null
};

}  // namespace karussell
