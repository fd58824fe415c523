// Numbers m 2^e with an exponent of their own, an integer beside every mantissa.
//
// Probabilities of paths are products of thousands of factors: a float holds none of them, and its logarithm near -500
// has steps of 3e-5. Here a sum or a product is right to half a unit in the last place of its mantissa, whatever its
// size, and costs neither exp nor log. Zero is an exponent that nothing real reaches; its mantissa is any finite number.
#pragma once
#include "lanes.h"

namespace karussell {

template <class T> struct Range;
template <> struct Range<float> {
    static constexpr int32_t never = -(1 << 29), bias = 127, field = 255, mantissa = 0x007fffff, one = 0x3f800000;
    static constexpr int shift = 23;
    static constexpr float log2e = 1.44269504088896341f, hi = 0.693359375f, lo = -2.12194440e-4f;
    // e^r - 1 - r over r^2 for |r| <= ln 2 / 2 (Cephes expf)
    static INLINE Vec<float> tail(Vec<float> r) {
        Vec<float> p = 1.9875691500e-4f * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        return p * r + 5.0000001201e-1f;
    }
    static INLINE Whole<float> nearest(Vec<float> v) {
        return __builtin_convertvector(v + (v < 0 ? all<float>(-0.5f) : all<float>(0.5f)), Whole<float>);
    }
};
template <> struct Range<double> {
    static constexpr int64_t never = -(int64_t(1) << 40), bias = 1023, field = 2047, mantissa = 0x000fffffffffffff,
                             one = 0x3ff0000000000000;
    static constexpr int shift = 52;
    static constexpr double log2e = 1.4426950408889634074, hi = 6.93145751953125e-1, lo = 1.42860682030941723212e-6;
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
    // AVX2 has no conversion to 64-bit integers: the sum's last bits are the integer
    static INLINE Whole<double> nearest(Vec<double> v) {
        return bits<double>(v + 6755399441055744.0) - bits<double>(all<double>(6755399441055744.0));
    }
};

// what counts as probability zero: a quarter of the way between nothing and everything a sum of logarithms may reach
template <class T> constexpr Integer<T> kImpossible = Range<T>::never / 2;

template <class T> struct Wide {
    Vec<T> m;
    Whole<T> e;
};

template <class T> INLINE Vec<T> power_of_two(Whole<T> biased) {
    return floats<T>(most<Whole<T>>(biased, Whole<T>{}) << Range<T>::shift);
}
// m 2^e as an ordinary number, 0 where that is too small; e must not be too large for one
template <class T> INLINE Vec<T> ordinary(Vec<T> m, Whole<T> e) {
    Whole<T> biased = e + Range<T>::bias;
    // chosen, not multiplied by 0: the mantissa of a lane that is not used may be NaN
    return biased > 0 ? m * power_of_two<T>(biased) : Vec<T>{};
}
// sums leave the mantissa as it comes, below 2 or 3 times the greatest
template <class T> INLINE Wide<T> sum(Wide<T> a, Wide<T> b) {
    Whole<T> e = most<Whole<T>>(a.e, b.e), base = e - Range<T>::bias;
    return {a.m * power_of_two<T>(a.e - base) + b.m * power_of_two<T>(b.e - base), e};
}
template <class T> INLINE Wide<T> sum(Wide<T> a, Wide<T> b, Wide<T> c) {
    Whole<T> e = most<Whole<T>>(most<Whole<T>>(a.e, b.e), c.e), base = e - Range<T>::bias;
    return {a.m * power_of_two<T>(a.e - base) + b.m * power_of_two<T>(b.e - base) + c.m * power_of_two<T>(c.e - base),
            e};
}
// the product, its mantissa in [1, 2) and finite whatever came in
template <class T> INLINE Wide<T> product(Wide<T> a, Wide<T> b) {
    using R = Range<T>;
    Whole<T> w = bits<T>(a.m * b.m);
    Whole<T> e = a.e + b.e + (((w >> R::shift) & R::field) - R::bias);
    return {floats<T>((w & R::mantissa) | R::one), most<Whole<T>>(e, whole<T>(R::never))};
}
// e^x with a mantissa in [0.7, 1.5); probability 0 where x is -inf. NaN and what is too large must not come here
template <class T> INLINE Wide<T> exponential(Vec<T> x) {
    using R = Range<T>;
    x = most<Vec<T>>(x, all<T>(T(R::never) / R::log2e));
    Whole<T> n = R::nearest(x * R::log2e);
    Vec<T> y = __builtin_convertvector(n, Vec<T>);
    Vec<T> r = x - y * R::hi - y * R::lo;
    // beyond some ten thousand the reduction is no better than x itself
    r = most<Vec<T>>(least<Vec<T>>(r, all<T>(T(0.36))), all<T>(T(-0.36)));
    return {1 + (r + r * r * R::tail(r)), most<Whole<T>>(n, whole<T>(R::never))};
}
// e^x as an ordinary number, for x up to 0
template <class T> INLINE Vec<T> ordinary_exponential(Vec<T> x) {
    Wide<T> w = exponential<T>(x);
    return ordinary<T>(w.m, w.e);
}
template <class T> INLINE double logarithm(T m, Integer<T> e) {
    return std::log(double(m)) + double(e) * 0.69314718055994530942;
}

}  // namespace karussell
