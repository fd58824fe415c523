// As many numbers as one register holds, with the compiler's own vector arithmetic; no intrinsics, no fast-math.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX512F__)
#define KARUSSELL_BYTES 64
#elif defined(__AVX__)
#define KARUSSELL_BYTES 32
#else
#define KARUSSELL_BYTES 16
#endif

#define INLINE inline __attribute__((always_inline))

namespace karussell {

template <class T> struct Lanes;
template <> struct Lanes<float> {
    typedef float vec __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef int32_t whole __attribute__((vector_size(KARUSSELL_BYTES)));
    using integer = int32_t;
    static constexpr int count = KARUSSELL_BYTES / 4;
};
template <> struct Lanes<double> {
    typedef double vec __attribute__((vector_size(KARUSSELL_BYTES)));
    typedef int64_t whole __attribute__((vector_size(KARUSSELL_BYTES)));
    using integer = int64_t;
    static constexpr int count = KARUSSELL_BYTES / 8;
};
template <class T> using Vec = typename Lanes<T>::vec;
template <class T> using Whole = typename Lanes<T>::whole;
template <class T> using Integer = typename Lanes<T>::integer;

template <class T> INLINE Vec<T> all(T value) { return value - Vec<T>{}; }
template <class T> INLINE Whole<T> whole(Integer<T> value) { return value - Whole<T>{}; }
template <class T> INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T> INLINE Whole<T> load_whole(const Integer<T>* p) {
    Whole<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T> INLINE void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }
template <class T> INLINE void store_whole(Integer<T>* p, Whole<T> v) { std::memcpy(p, &v, sizeof v); }
template <class T> INLINE Whole<T> bits(Vec<T> v) {
    Whole<T> w;
    std::memcpy(&w, &v, sizeof w);
    return w;
}
template <class T> INLINE Vec<T> floats(Whole<T> w) {
    Vec<T> v;
    std::memcpy(&v, &w, sizeof v);
    return v;
}
template <class V> INLINE V most(V a, V b) { return a > b ? a : b; }
template <class V> INLINE V least(V a, V b) { return a < b ? a : b; }
// in the order of the lanes, so that the result does not depend on the compiler
template <class T> INLINE T total(Vec<T> v) {
    T sum = v[0];
    for (int k = 1; k < Lanes<T>::count; k++) sum += v[k];
    return sum;
}

}  // namespace karussell
