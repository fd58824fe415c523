// A small vector type: as many numbers as one register holds, with the compiler's own vector arithmetic.
// GCC and clang print AVX-512, AVX2, NEON or plain code from it, by the flags they are given (AVX-512 and AVX2 are
// tested; NEON compiles and is untested). No intrinsic is needed but one reciprocal, and nothing relies on fast-math.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) || defined(__AVX__)
#include <immintrin.h>
#endif

#ifndef KARUSSELL_BYTES
#if defined(__AVX512F__)
#define KARUSSELL_BYTES 64
#elif defined(__AVX__)
#define KARUSSELL_BYTES 32
#else
#define KARUSSELL_BYTES 16
#endif
#endif

#define INLINE inline __attribute__((always_inline))

namespace karussell {

template <class T> struct Lanes;
template <> struct Lanes<float> {
    typedef float vec __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef int32_t mask __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef uint32_t numbers __attribute__((vector_size(KARUSSELL_BYTES)));  // 32 bits a lane
    typedef int32_t signs __attribute__((vector_size(KARUSSELL_BYTES)));
    static constexpr int count = KARUSSELL_BYTES / 4;
};
template <> struct Lanes<double> {
    typedef double vec __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef int64_t mask __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef uint32_t numbers __attribute__((vector_size(KARUSSELL_BYTES / 2)));
    typedef int32_t signs __attribute__((vector_size(KARUSSELL_BYTES / 2)));
    static constexpr int count = KARUSSELL_BYTES / 8;
};
template <class T> using Vec = typename Lanes<T>::vec;
template <class T> using Mask = typename Lanes<T>::mask;

template <class T> INLINE Vec<T> all(T value) { return value - Vec<T>{}; }
template <class T> INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T> INLINE void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }
// the first n lanes; the others are zero
template <class T> INLINE Vec<T> load(const T* p, int n) {
    if (__builtin_expect(n >= Lanes<T>::count, 1)) return load(p);
    Vec<T> v{};
    for (int k = 0; k < n; k++) v[k] = p[k];
    return v;
}
template <class T> INLINE void store(T* p, Vec<T> v, int n) {
    if (__builtin_expect(n >= Lanes<T>::count, 1)) return store(p, v);
    for (int k = 0; k < n; k++) p[k] = v[k];
}

template <class T> INLINE Mask<T> bits(Vec<T> v) {
    Mask<T> m;
    std::memcpy(&m, &v, sizeof m);
    return m;
}
template <class T> INLINE Vec<T> floats(Mask<T> m) {
    Vec<T> v;
    std::memcpy(&v, &m, sizeof v);
    return v;
}

// n / d for d from 1 to 4: two sigmoids and a tanh need no full division
template <class T> INLINE Vec<T> ratio(Vec<T> n, Vec<T> d) {
#if defined(__AVX512F__) && KARUSSELL_BYTES == 64
    if constexpr (sizeof(T) == 4) {
        // 14 bits from the table, squared by one correction of the quotient
        Vec<T> r = (Vec<T>)_mm512_rcp14_ps((__m512)d);
        Vec<T> q = n * r;
        return q + (n - d * q) * r;
    }
#endif
    return n / d;
}

}  // namespace karussell
