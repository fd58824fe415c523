// What the one product of the loop takes: a few rows times a block of units of one gate, from a panel packed K-major.
// The product itself is compiled once for all cells (kernel.h).
#pragma once
#include <utility>

#include "vector.h"

namespace karussell {

template <class T> struct Block {
    static constexpr int vectors = 2;
    static constexpr int units = vectors * Lanes<T>::count;
    // rows * vectors accumulators, the panel's vectors and one broadcast must fit the register file
    static constexpr int rows = KARUSSELL_BYTES == 64 ? 12 : 6;
    static INLINE int64_t count(int64_t hidden) { return (hidden + units - 1) / units; }
    static INLINE int64_t padded(int64_t hidden) { return count(hidden) * units; }
    // the distance of compact rows: one line more, or rows a power of two apart would share few sets of the cache
    static INLINE int64_t stride(int64_t hidden) { return padded(hidden) + Lanes<T>::count; }
};

// One factor of a product: rows a with stride lda, and a panel [K, Block::units], aligned.
template <class T> struct Factor {
    const T* a;
    int64_t lda;
    const T* panel;
    int64_t K;
};

// A block of units comes nearer, to the second cache, while something else is computed. Whoever calls this is inlined:
// the compiler drops calls of functions that do nothing else.
template <class T, int written = 0> INLINE void summon(const T* p) {
    for (int u = 0; u < Block<T>::units; u += 64 / int(sizeof(T))) __builtin_prefetch(p + u, written, 2);
}

// how many rows the next product takes of those left: even shares with wide registers, else full ones first
template <class T> INLINE int share(int64_t left) {
    constexpr int most = Block<T>::rows;
    if (left <= most) return int(left);
    if (KARUSSELL_BYTES != 64) return most;
    int64_t parts = (left + most - 1) / most;
    return int((left + parts - 1) / parts);
}

// exchange the off-diagonal squares of side `S` inside a pair of rows; log2(lanes) rounds transpose a square
template <class T, int S, size_t... l> INLINE void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<l...>) {
    constexpr int L = Lanes<T>::count;
    Vec<T> top = __builtin_shufflevector(a, b, (l & S ? int(l) - S + L : int(l))...);
    Vec<T> bottom = __builtin_shufflevector(a, b, (l & S ? int(l) + L : int(l) + S)...);
    a = top, b = bottom;
}
template <class T, int S> INLINE void transpose_round(Vec<T>* row) {
    constexpr int L = Lanes<T>::count;
#pragma GCC unroll 16
    for (int i = 0; i < L; i++)
        if (!(i & S)) exchange<T, S>(row[i], row[i + S], std::make_index_sequence<L>{});
    if constexpr (S > 1) transpose_round<T, S / 2>(row);
}

// panel[k, j] = w[j * sj + k * sk] for j < valid, zero beyond: one gate's block of units, K-major
template <class T>
void pack(const T* w, int64_t sj, int64_t sk, int64_t valid, int64_t K, T* panel) {
    constexpr int N = Block<T>::units, L = Lanes<T>::count;
    if (valid >= N && sj == 1) {
        for (int64_t k = 0; k < K; k++) std::memcpy(panel + k * N, w + k * sk, N * sizeof(T));
        return;
    }
    for (int64_t j0 = 0; j0 < N; j0 += L) {
        int64_t k = 0;
        if (sk == 1 && j0 + L <= valid)
            for (; k + L <= K; k += L) {
                Vec<T> row[L];
#pragma GCC unroll 16
                for (int i = 0; i < L; i++) row[i] = load(w + (j0 + i) * sj + k);
                transpose_round<T, L / 2>(row);
#pragma GCC unroll 16
                for (int i = 0; i < L; i++) store(panel + (k + i) * N + j0, row[i]);
            }
        for (; k < K; k++)
            for (int64_t j = j0; j < j0 + L; j++) panel[k * N + j] = j < valid ? w[j * sj + k * sk] : T(0);
    }
}

}  // namespace karussell
