// What one call of the loop gets: plain pointers, the same struct in Python (cpp.py). All arrays are dense, row-major
// and the caller's; none may overlap another unless it says so. H units, states H wide, T steps, B rows.
#pragma once
#include <cstdint>

namespace karussell {

template <class T> struct Factor;  // product.h

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
    const T* stored;           // backward only: where the stored values are, `lines` itself or memory to be left alone
    // backward reads; null for zeros
    const T* d_history[MOST_VALUES];  // by value, [T, B, H]
    const T* d_final[MOST_VALUES];    // by state, [B, H]
    // backward writes
    T* d_initial[MOST_VALUES];  // by state, [B, H]
    T* d_units[MOST_VALUES];    // by value: [H], null where not learned
    T* d_bias;                  // [arrivals * H], the program's order, or null
    // options; zero and null where they are not used
    int64_t special;                   // resets, zoneout, recurrent dropout or clipping
    int64_t training;                  // masks are drawn; otherwise zoneout is an expectation
    const uint8_t* resets;             // [T, B]: the row's state is set to its start before this step
    const T* start[MOST_VALUES];       // by state: [B, H], null for zeros
    T* d_start[MOST_VALUES];           // by state: [B, H], added to; or null
    T* fresh[MOST_VALUES];             // by state: [T, B, H], the state before zoneout where backward reads it, or null
    double zone[MOST_VALUES];          // by state: the rate of zoneout
    uint64_t zone_key[MOST_VALUES];    // by state: of its masks
    int64_t zone_below[MOST_VALUES];   // by state: the rate in units of 2^-24
    int64_t gal;                       // one mask a sequence on what R multiplies
    uint64_t gal_key[MOST_STAGES];     // by stage
    int64_t drop_value;                // the per-step input that is a drawn mask, or 0
    uint64_t drop_key;
    int64_t drop_below;                // the probability in units of 2^-24
    double drop_scale;                 // 1 / (1 - probability)
    int64_t normed;                    // layer norm: x is [T, B, fed gates * H], normalised products; inputs is 0
    const T* gain[MOST_STAGES];        // by stage: [products * H], the program's order
    T* norms;                          // [T, B, all products * H]: normalised R h, which backward overwrites with the
                                       // gradients of R h; null if nothing will be differentiated
    const T* stored_norms;             // backward only: where the normalised R h are, `norms` itself or elsewhere
    T* scales;                         // [T, B, all products]: 1 / deviation
    T* d_gain[MOST_STAGES];            // backward writes, like gain
    int64_t first;                     // the time of step 0, by which masks are counted
    double clip[MOST_VALUES];          // by state: it is kept within -clip and clip; 0 for no limit
    const int64_t* sees;               // [H, 2] or null for all: the units that a unit's row of R multiplies, from and to
    const int64_t* seen_by;            // [H, 2] or null for all: the units whose rows of R multiply it
    int64_t projected;                 // P, or 0: state 0 is p times what the step writes, and P wide wherever it stands
    const T* p;                        // [P, H]
    T* made;                           // [T, B, H]: what the step wrote for state 0; null if nothing will be differentiated
    T* d_projected;                    // backward writes: [T, B, P], the gradient of state 0 as it was projected
    // kernel.h's: out[m, :] = init[m, :] + sum over factors, m < rows
    void (*product)(int rows, const Factor<T>* factors, int count, const T* init, int64_t ldi, T* out, int64_t ldo);
};

// units of a state
template <class T> inline int64_t width(const Call<T>& c, int state) {
    return state == 0 && c.projected ? c.projected : c.hidden;
}

}  // namespace karussell
