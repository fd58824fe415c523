// The one product of the loop: a few rows times a block of units of one gate, from a panel packed K-major.
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

// out[m, :] = init[m, :] + sum over factors and k of a[m, k] panel[k, :],   m < M
//   init   rows with stride ldi (0: the same row for all; null: zero)
//   out    [M, Block::units] with stride ldo
template <class T, int M>
void product(const Factor<T>* factors, int count, const T* init, int64_t ldi, T* out, int64_t ldo) {
    constexpr int V = Block<T>::vectors, L = Lanes<T>::count;
    // a multiply-add takes four cycles: with few rows, more accumulators over k keep the units busy
    constexpr int U = M == 1 ? 4 : M <= 3 ? 2 : 1;
    Vec<T> sum[U][M][V];
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            sum[0][m][v] = init ? load(init + m * ldi + v * L) : Vec<T>{};
#pragma GCC unroll 4
            for (int u = 1; u < U; u++) sum[u][m][v] = Vec<T>{};
        }
    for (int f = 0; f < count; f++) {
        const T *a = factors[f].a, *panel = factors[f].panel;
        const int64_t lda = factors[f].lda, K = factors[f].K;
        int64_t k = 0;
#pragma GCC unroll 2
        for (; k + U <= K; k += U)
#pragma GCC unroll 4
            for (int u = 0; u < U; u++) {
                Vec<T> p[V];
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) p[v] = load(panel + (k + u) * Block<T>::units + v * L);
#pragma GCC unroll 16
                for (int m = 0; m < M; m++) {
                    Vec<T> x = all(a[m * lda + k + u]);
#pragma GCC unroll 4
                    for (int v = 0; v < V; v++) sum[u][m][v] += x * p[v];
                }
            }
        for (; U > 1 && k < K; k++)
#pragma GCC unroll 16
            for (int m = 0; m < M; m++)
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) sum[0][m][v] += a[m * lda + k] * load(panel + k * Block<T>::units + v * L);
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
            for (int u = 1; u < U; u++) sum[0][m][v] += sum[u][m][v];
            store(out + m * ldo + v * L, sum[0][m][v]);
        }
}

template <class T>
INLINE void product(int rows, const Factor<T>* factors, int count, const T* init, int64_t ldi, T* out, int64_t ldo) {
    switch (rows) {
#define KARUSSELL_CASE(M) \
    case M: return product<T, M>(factors, count, init, ldi, out, ldo);
        KARUSSELL_CASE(1) KARUSSELL_CASE(2) KARUSSELL_CASE(3) KARUSSELL_CASE(4) KARUSSELL_CASE(5) KARUSSELL_CASE(6)
#if KARUSSELL_BYTES == 64
        KARUSSELL_CASE(7) KARUSSELL_CASE(8) KARUSSELL_CASE(9) KARUSSELL_CASE(10) KARUSSELL_CASE(11) KARUSSELL_CASE(12)
#endif
#undef KARUSSELL_CASE
    }
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
