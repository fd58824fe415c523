// The one product of the loop, compiled once for all cells: a few rows times a block of units.
#pragma once
#include "product.h"

namespace karussell {

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
                for (int v = 0; v < V; v++) {
                    p[v] = load(panel + (k + u) * Block<T>::units + v * L);
                    if (M > 3) __builtin_prefetch(panel + (k + u + 16) * Block<T>::units + v * L);
                }
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
void product(int rows, const Factor<T>* factors, int count, const T* init, int64_t ldi, T* out, int64_t ldo) {
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

}  // namespace karussell
