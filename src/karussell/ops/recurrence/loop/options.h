// What every cell can do beyond its equations, in the loop: masks from a counter (ops/noise.py has the same numbers),
// states that start anew, layer norm of recurrent products.
#pragma once
#include <algorithm>

#include "call.h"
#include "vector.h"

namespace karussell {

INLINE uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
template <class U> INLINE U mix32(U z) {
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    return z ^ (z >> 16);
}
// which of the uniform numbers of (key, t, row, unit and those after it) are below a limit, in units of 2^-24
template <class T> INLINE Mask<T> below(uint64_t key, int64_t t, int64_t row, int64_t unit, int64_t limit) {
    constexpr int L = Lanes<T>::count;
    using numbers = typename Lanes<T>::numbers;
    using signs = typename Lanes<T>::signs;
    uint64_t cell = mix64(key + uint64_t(row) * 0xD1342543DE82EF95ull);
    cell = mix64(cell + uint64_t(t) * 0xF1357AEA2E62A9C5ull);
    numbers z;
    for (int k = 0; k < L; k++) z[k] = uint32_t(unit + k) * 0x9E3779B1u + uint32_t(cell);
    z = mix32(mix32(z) ^ uint32_t(cell >> 32)) >> 8;
    signs low = (signs)z < int32_t(limit);  // of 24 bits, so the sign does not matter
    return __builtin_convertvector(low, Mask<T>);
}

// whether a row's state is set to its start before step t
template <class T> INLINE bool anew(const Call<T>& c, int64_t t, int64_t row) {
    int64_t at = c.reverse ? t + 1 : t;
    return c.resets && at < c.steps && c.resets[at * c.batch + row];
}
template <class T> INLINE Vec<T> start(const Call<T>& c, int state, int64_t row, int64_t u, int lanes) {
    return c.start[state] ? load(c.start[state] + row * width(c, state) + u, lanes) : Vec<T>{};
}
// a state's new value and its old one, mixed: units that stay keep the old one
template <class T>
INLINE Vec<T> zoned(const Call<T>& c, int state, int64_t t, int64_t row, int64_t u, Vec<T> fresh, Vec<T> old) {
    if (!c.training) return T(c.zone[state]) * old + T(1 - c.zone[state]) * fresh;
    return below<T>(c.zone_key[state], c.first + t, row, u, c.zone_below[state]) ? old : fresh;
}
// a state's new value within its limits
template <class T> INLINE Vec<T> clipped(const Call<T>& c, int state, Vec<T> v) {
    Vec<T> most = all(T(c.clip[state]));
    v = v > most ? most : v;  // nan compares false and passes
    return v < -most ? -most : v;
}
// recurrent dropout's factor for one number
template <class T>
INLINE Vec<T> dropped(const Call<T>& c, uint64_t key, int64_t t, int64_t row, int64_t u) {
    return below<T>(key, t, row, u, c.drop_below) ? Vec<T>{} : all(T(c.drop_scale));
}

// One row of one gate, normalised over its units in place: (z - mean) / deviation. Returns 1 / deviation.
template <class T> T normalise(T* z, int64_t H) {
    constexpr int L = Lanes<T>::count;
    auto sum = [&](auto f) {
        Vec<T> s{};
        for (int64_t u = 0; u < H; u += L) s += f(load(z + u, int(std::min<int64_t>(L, H - u))), int(H - u));
        T total = 0;
        for (int k = 0; k < L; k++) total += s[k];
        return total / T(H);
    };
    T mean = sum([](Vec<T> v, int) { return v; });
    T variance = sum([&](Vec<T> v, int valid) {
        v -= all(mean);
        for (int k = valid; k < L; k++) v[k] = 0;
        return v * v;
    });
    T scale = 1 / std::sqrt(variance + T(1e-5));
    for (int64_t u = 0; u < H; u += L) store(z + u, (load(z + u) - all(mean)) * scale);
    return scale;
}
// The gradient of that: from d, the gradient of gain * normalised, to out, that of z; d_gain gathers.
template <class T>
void normalise_back(const T* d, const T* normal, const T* gain, T scale, int64_t H, T* d_gain, T* out) {
    constexpr int L = Lanes<T>::count;
    Vec<T> first{}, second{};
    for (int64_t u = 0; u < H; u += L) {
        int lanes = int(std::min<int64_t>(L, H - u));
        Vec<T> x = load(normal + u, lanes), g = load(d + u, lanes);
        store(d_gain + u, load(d_gain + u, lanes) + g * x, lanes);
        g *= load(gain + u, lanes);
        first += g, second += g * x;
    }
    T a = 0, b = 0;
    for (int k = 0; k < L; k++) a += first[k], b += second[k];
    a /= T(H), b /= T(H);
    for (int64_t u = 0; u < H; u += L) {
        int lanes = int(std::min<int64_t>(L, H - u));
        Vec<T> x = load(normal + u, lanes);
        store(out + u, (load(d + u, lanes) * load(gain + u, lanes) - all(a) - x * b) * scale, lanes);
    }
}

}  // namespace karussell
