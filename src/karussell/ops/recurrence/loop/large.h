// The large products after the loop: the gradients of matrices and of inputs, from the gradients of pre-activations.
// They are the same for every cell. Rows are found through indices where not all of them count: what lies beyond a
// sequence's end is neither read nor multiplied.
#pragma once
#include <algorithm>

#include "group.h"
#include "kernel.h"

namespace karussell {

// One product; the same struct in Python (large.py). All arrays are row-major and the caller's; `out` overlaps nothing.
template <class T> struct Large {
    int64_t M, N, K;
    const T* a;             // `outer`: [., lda >= M], row k; `inner`: [., lda >= K], row m
    int64_t lda;
    const int64_t* a_rows;  // where the rows of a are, or null: 0, 1, 2, ...
    const T* b;             // [., ldb >= N], row k
    int64_t ldb;
    const int64_t* b_rows;
    T* out;  // [M, ldo >= N]; `inner`: row m is where a's is
    int64_t ldo;
    int64_t add;  // to what is there
    int64_t threads;
};

// rows of out in one tile, rounded up to whole registers
template <class T>
constexpr int tall = (Block<T>::rows + Lanes<T>::count - 1) / Lanes<T>::count * Lanes<T>::count;

// out[m, :] (+)= sum over k of a[k, m] panel[k, :],   m < M; valid columns of out
//   a  [K, tall]
template <class T, int M>
void outer_tile(const T* a, const T* panel, int64_t K, T* out, int64_t ldo, int64_t valid, bool add) {
    constexpr int V = Block<T>::vectors, L = Lanes<T>::count;
    Vec<T> sum[M][V];
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[m][v] = Vec<T>{};
#pragma GCC unroll 2
    for (int64_t k = 0; k < K; k++) {
        Vec<T> p[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) p[v] = load(panel + k * Block<T>::units + v * L);
#pragma GCC unroll 16
        for (int m = 0; m < M; m++) {
            Vec<T> x = all(a[k * tall<T> + m]);
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) sum[m][v] += x * p[v];
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            int64_t left = valid - v * L;
            if (left <= 0) continue;
            int lanes = int(std::min<int64_t>(L, left));
            T* p = out + m * ldo + v * L;
            store(p, add ? sum[m][v] + load(p, lanes) : sum[m][v], lanes);
        }
}
template <class T>
INLINE void outer_tile(int M, const T* a, const T* panel, int64_t K, T* out, int64_t ldo, int64_t valid, bool add) {
    switch (M) {
#define KARUSSELL_CASE(M) \
    case M: return outer_tile<T, M>(a, panel, K, out, ldo, valid, add);
        KARUSSELL_CASE(1) KARUSSELL_CASE(2) KARUSSELL_CASE(3) KARUSSELL_CASE(4) KARUSSELL_CASE(5) KARUSSELL_CASE(6)
#if KARUSSELL_BYTES == 64
        KARUSSELL_CASE(7) KARUSSELL_CASE(8) KARUSSELL_CASE(9) KARUSSELL_CASE(10) KARUSSELL_CASE(11) KARUSSELL_CASE(12)
#endif
#undef KARUSSELL_CASE
    }
}

// `valid` numbers, and zeros up to `count`, by whole registers where they can be
template <class T, int count> INLINE void copy_padded(const T* from, int64_t valid, T* to) {
    constexpr int L = Lanes<T>::count;
#pragma GCC unroll 4
    for (int i = 0; i < count; i += L) {
        int64_t left = valid - i;
        store(to + i, left >= L ? load(from + i) : load(from + i, int(std::max<int64_t>(left, 0))));
    }
}

// how many rows of b, and how many columns, are packed at once: half of a second cache of 1 MiB
constexpr int64_t LARGE_K = 256, LARGE_N = 512;

template <class T> class Panel {
    static constexpr int N = Block<T>::units;
    Buffer<T> memory;

  public:
    int64_t blocks, K;
    explicit Panel(const Large<T>& c)
        : memory(Block<T>::padded(std::min(c.N, LARGE_N)) * std::min(c.K, LARGE_K)) {}
    // rows k0.. and columns n0.. of b, by block of columns
    void fill(const Large<T>& c, int64_t k0, int64_t n0) {
        K = std::min(LARGE_K, c.K - k0);
        int64_t columns = std::min(LARGE_N, c.N - n0);
        blocks = Block<T>::count(columns);
        for (int64_t k = 0; k < K; k++) {
            const T* row = c.b + (c.b_rows ? c.b_rows[k0 + k] : k0 + k) * c.ldb + n0;
            for (int64_t j = 0; j < blocks; j++) {
                T* to = memory.get() + (j * K + k) * N;
                copy_padded<T, N>(row + j * N, std::min<int64_t>(N, columns - j * N), to);
            }
        }
    }
    const T* block(int64_t j) const { return memory.get() + j * K * N; }
};

// out[m, n] = sum over k of a[row k, m] b[row k, n]: each member has rows of out, and sums in the order of k
template <class T> void outer(const Large<T>& c, Share mine) {
    constexpr int N = Block<T>::units;
    Panel<T> panel(c);
    Buffer<T> tile(LARGE_K * tall<T>);
    for (int64_t n0 = 0; n0 < c.N; n0 += LARGE_N)
        for (int64_t k0 = 0; k0 < c.K; k0 += LARGE_K) {
            panel.fill(c, k0, n0);
            for (int64_t m = mine.first; m < mine.last;) {
                int rows = share<T>(mine.last - m);
                for (int64_t k = 0; k < panel.K; k++) {
                    const T* from = c.a + (c.a_rows ? c.a_rows[k0 + k] : k0 + k) * c.lda + m;
                    copy_padded<T, tall<T>>(from, c.M - m, tile.get() + k * tall<T>);
                    // where the next tile's numbers end: a stride this wide the processor does not foresee
                    __builtin_prefetch(from + rows + tall<T> - 1, 0, 2);
                }
                for (int64_t j = 0; j < panel.blocks; j++) {
                    int64_t n = n0 + j * N;
                    outer_tile<T>(rows, tile.get(), panel.block(j), panel.K, c.out + m * c.ldo + n, c.ldo,
                                  c.N - n, c.add || k0);
                }
                m += rows;
            }
        }
}

template <class T> int64_t at(const Large<T>& c, int64_t m) { return c.a_rows ? c.a_rows[m] : m; }

// out[row m, n] = sum over k of a[row m, k] b[row k, n]: each member has rows of a
template <class T> void inner(const Large<T>& c, Share mine) {
    constexpr int R = Block<T>::rows, N = Block<T>::units;
    constexpr int64_t stride = LARGE_K + Lanes<T>::count;  // rows a power of two apart would share few sets of a cache
    Panel<T> panel(c);
    Buffer<T> tile(R * stride), made(R * N);
    for (int64_t n0 = 0; n0 < c.N; n0 += LARGE_N)
        for (int64_t k0 = 0; k0 < c.K; k0 += LARGE_K) {
            panel.fill(c, k0, n0);
            for (int64_t m = mine.first; m < mine.last;) {
                int rows = share<T>(mine.last - m);
                for (int i = 0; i < rows; i++)
                    std::memcpy(tile.get() + i * stride, c.a + at(c, m + i) * c.lda + k0, panel.K * sizeof(T));
                for (int64_t j = 0; j < panel.blocks; j++) {
                    int64_t n = n0 + j * N, valid = std::min<int64_t>(N, c.N - n);
                    Factor<T> factor{tile.get(), stride, panel.block(j), panel.K};
                    bool direct = valid == N && !c.a_rows, add = c.add || k0;
                    T* out = c.out + m * c.ldo + n;
                    if (direct) {
                        product<T>(rows, &factor, 1, add ? out : nullptr, c.ldo, out, c.ldo);
                        continue;
                    }
                    product<T>(rows, &factor, 1, nullptr, 0, made.get(), N);
                    for (int i = 0; i < rows; i++) {
                        T* to = c.out + at(c, m + i) * c.ldo + n;
                        for (int64_t u = 0; u < valid; u++) to[u] = made.get()[i * N + u] + (add ? to[u] : T(0));
                    }
                }
                m += rows;
            }
        }
}
template <class T> void large(const Large<T>& c, void (*run)(const Large<T>&, Share)) {
    for (int64_t m = 0; m < c.M && c.K == 0 && !c.add; m++)
        std::memset(c.out + at(c, m) * c.ldo, 0, c.N * sizeof(T));
    if (c.M <= 0 || c.N <= 0 || c.K <= 0) return;
    team(int(c.threads), [&](int m, int members, Barrier&) { run(c, Share(c.M, m, members)); });
}

}  // namespace karussell

#define KARUSSELL_LARGE(NAME, T)                                                                                  \
    extern "C" __attribute__((visibility("default"))) void NAME##_product(                                        \
        int rows, const karussell::Factor<T>* factors, int count, const T* init, int64_t ldi, T* out, int64_t ldo) { \
        karussell::product<T>(rows, factors, count, init, ldi, out, ldo);                                         \
    }                                                                                                             \
    extern "C" __attribute__((visibility("default"))) void NAME##_outer(const karussell::Large<T>* c) {           \
        karussell::large<T>(*c, karussell::outer<T>);                                                             \
    }                                                                                                             \
    extern "C" __attribute__((visibility("default"))) void NAME##_inner(const karussell::Large<T>* c) {           \
        karussell::large<T>(*c, karussell::inner<T>);                                                             \
    }
