// The functions that instructions call. float32: exp, sigmoid and tanh are within 3 units in the last place over
// the whole range (tests measure it); subnormal results of sigmoid and of tanh's exp flush to zero. NaN goes through,
// infinities give their limits. What is rare in a cell is computed lane by lane with the C library.
#pragma once
#include "vector.h"

namespace karussell {

template <class T> struct Exp;
template <> struct Exp<float> {
    static constexpr float log2e = 1.44269504088896341f, hi = 0.693359375f, lo = -2.12194440e-4f, magic = 12582912.0f,
                           floor = -88.0f, bottom = -104.0f, top = 89.0f;
    static constexpr int shift = 23, bias = 127;
    // e^r - 1 - r over r^2, |r| <= ln 2 / 2 (Cephes expf)
    static INLINE Vec<float> tail(Vec<float> r) {
        Vec<float> p = 1.9875691500e-4f * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        return p * r + 5.0000001201e-1f;
    }
};
template <> struct Exp<double> {
    static constexpr double log2e = 1.4426950408889634074, hi = 6.93145751953125e-1, lo = 1.42860682030941723212e-6,
                            magic = 6755399441055744.0, floor = -709.0, bottom = -746.0, top = 710.0;
    static constexpr int shift = 52, bias = 1023;
    static INLINE Vec<double> tail(Vec<double> r) {
        Vec<double> p = r * (1 / 6227020800.0) + 1 / 479001600.0;
        p = p * r + 1 / 39916800.0;
        p = p * r + 1 / 3628800.0;
        p = p * r + 1 / 362880.0;
        p = p * r + 1 / 40320.0;
        p = p * r + 1 / 5040.0;
        p = p * r + 1 / 720.0;
        p = p * r + 1 / 120.0;
        p = p * r + 1 / 24.0;
        p = p * r + 1 / 6.0;
        return p * r + 0.5;
    }
};

// y = n ln 2 + r: the integer n, and e^r - 1
template <class T> INLINE void reduce(Vec<T> y, Mask<T>& n, Vec<T>& p) {
    using E = Exp<T>;
    Vec<T> shifted = y * E::log2e + E::magic;
    n = bits<T>(shifted) - bits<T>(all<T>(E::magic));
    Vec<T> whole = shifted - E::magic;
    Vec<T> r = y - whole * E::hi - whole * E::lo;
    p = r + r * r * E::tail(r);
}
template <class T> INLINE Vec<T> power_of_two(Mask<T> n) { return floats<T>((n + Exp<T>::bias) << Exp<T>::shift); }

// for y <= 0: s = 2^n and p with e^y = s (1 + p); below the normal range s is 0
template <class T> INLINE void decay(Vec<T> y, Vec<T>& s, Vec<T>& p) {
    y = y < Exp<T>::floor ? all<T>(Exp<T>::floor) : y;
    Mask<T> n;
    reduce<T>(y, n, p);
    s = power_of_two<T>(n);
}
#if defined(__AVX512F__) && KARUSSELL_BYTES == 64
// the processor rounds and scales by powers of two itself; the limit's operands stand so that a NaN goes through
template <> INLINE void decay<float>(Vec<float> y, Vec<float>& s, Vec<float>& p) {
    using E = Exp<float>;
    y = (Vec<float>)_mm512_max_ps(_mm512_set1_ps(E::bottom), (__m512)y);
    Vec<float> n = (Vec<float>)_mm512_roundscale_ps((__m512)(y * E::log2e), 0);
    Vec<float> r = y - n * E::hi - n * E::lo;
    p = r + r * r * E::tail(r);
    s = (Vec<float>)_mm512_scalef_ps(_mm512_set1_ps(1.0f), (__m512)n);
}
#endif
template <class T> INLINE Vec<T> absolute(Vec<T> x) {
    return floats<T>(bits<T>(x) & ~bits<T>(all<T>(T(-0.0))));
}

template <class T> INLINE Vec<T> exp_(Vec<T> x) {
    using E = Exp<T>;
    x = x < E::bottom ? all<T>(E::bottom) : x;
    x = x > E::top ? all<T>(E::top) : x;
    Mask<T> n;
    Vec<T> p;
    reduce<T>(x, n, p);
    Mask<T> half = n >> 1;
    return (1 + p) * power_of_two<T>(half) * power_of_two<T>(n - half);
}
template <class T> INLINE Vec<T> sigmoid_(Vec<T> x) {
    Vec<T> s, p;
    decay<T>(-absolute<T>(x), s, p);
    Vec<T> e = s * p + s;
    return ratio<T>(x >= 0 ? all<T>(1) : e, 1 + e);
}
template <class T> INLINE Vec<T> tanh_(Vec<T> x) {
    Vec<T> s, p;
    decay<T>(-2 * absolute<T>(x), s, p);
    Vec<T> less_one = s * p + (s - 1);  // e^(-2|x|) - 1, exact for small x
    Vec<T> t = ratio<T>(-less_one, 2 + less_one);
    Mask<T> sign = bits<T>(all<T>(T(-0.0)));
    return floats<T>((bits<T>(t) & ~sign) | (bits<T>(x) & sign));
}

template <class T, class F> INLINE Vec<T> each(Vec<T> x, F f) {
    for (int k = 0; k < Lanes<T>::count; k++) x[k] = f(x[k]);
    return x;
}
template <class T, class F> INLINE Vec<T> each(Vec<T> x, Vec<T> y, F f) {
    for (int k = 0; k < Lanes<T>::count; k++) x[k] = f(x[k], y[k]);
    return x;
}
// operands stand so that a NaN on either side comes out
template <class T> INLINE Vec<T> maximum_(Vec<T> a, Vec<T> b) { return (a > b) | (a != a) ? a : b; }
template <class T> INLINE Vec<T> minimum_(Vec<T> a, Vec<T> b) { return (a < b) | (a != a) ? a : b; }
template <class T> INLINE Vec<T> sign_(Vec<T> x) {
    return x > 0 ? all<T>(1) : x < 0 ? all<T>(-1) : Vec<T>{};
}
template <class T> INLINE Vec<T> remainder_(Vec<T> a, Vec<T> b) {
    return each<T>(a, b, [](T x, T y) {
        T r = std::fmod(x, y);
        return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    });
}

}  // namespace karussell
