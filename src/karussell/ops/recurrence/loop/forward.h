// The forward recurrence over one group of rows. Per block of units and a few rows: one product a gate into a tile in
// the first cache, then the stage's instructions on the tile.
#pragma once
#include <utility>

#include "functions.h"
#include "group.h"
#include "options.h"

namespace karussell {

template <class C, class T> class Forward {
    static constexpr int S = C::states, L = Lanes<T>::count, N = Block<T>::units, V = Block<T>::vectors;
    const Call<T>& c;
    const Group<T>& g;
    const Panels<C, T> panels;
    const int64_t H, wide, n;
    // with enough rows, input products are made step by step together with the recurrent ones, and need no memory;
    // with few, those of several steps are made at once, so that each panel of W is read for many rows
    const bool fused;
    const int64_t chunk;
    const std::vector<Share> sees;  // by block of units
    // compact states [rank, wide], two of each where a product reads what a step writes; values between stages;
    // unit vectors, padded; input products of a few steps [fed arrival][step, rank][wide]
    Buffer<T> memory;
    T *state[S][2], *between[C::between + 1], *unit[C::fixed + 1], *z, *lines;
    // by edge, with one mask a sequence on what R sees: the mask, and what is seen under it [rank, wide]
    T *gal[C::edges + 1], *seen[C::edges + 1][2];
    T* full;       // with a projection: what the step wrote for state 0 [rank, wide]
    T* recurrent;  // with layer norm: normalised recurrent products of one stage [product][rank][wide]

  public:
    Forward(const Call<T>& call, const Group<T>& group)
        : c(call), g(group), panels(call.inputs, call.hidden, call.projected, false), H(call.hidden), wide(Block<T>::stride(H)),
          n(std::max<int64_t>(group.size(), 1)), fused(call.normed || (n >= 8 && !(group.ragged && call.by_units))),
          chunk(fused ? 1 : steps_at_once(call, n)), sees(reach<T>(call.sees, call.hidden)) {
        int64_t rows = n * wide;
        int64_t more = (c.gal ? 3 * C::edges : 0) + (c.normed ? C::most_products : 0) + (c.projected ? 1 : 0);
        memory.resize(rows * (2 * S + C::between + C::fed * chunk + more) + wide * (C::fixed + 1) +
                      chunk * n * c.inputs + 64);
        T* p = memory.get();
        for (int s = 0; s < S; s++)
            for (int k = 0; k < 2; k++, p += rows) state[s][k] = p;
        for (int s = 0; s < C::between; s++, p += rows) between[s] = p;
        z = p, p += rows * C::fed * chunk;
        for (int k = 0; k < C::fixed; k++, p += wide) {
            unit[k] = p;
            const T* source = C::is_unit[k] ? c.fixed[2 * S + C::between + k] : nullptr;
            for (int64_t u = 0; u < wide; u++) p[u] = source && u < H ? source[u] : T(0);
        }
        full = p, p += c.projected ? rows : 0;
        recurrent = p, p += c.normed ? C::most_products * rows : 0;
        for (int e = 0; e < C::edges && c.gal; e++, p += 3 * rows)
            gal[e] = p, seen[e][0] = p + rows, seen[e][1] = p + 2 * rows;
        lines = p;
        if (c.gal) draw_masks<C>(c, g, wide, gal);
        for (int64_t r = 0; r < g.size(); r++) {
            bool fresh = anew(c, c.reverse ? g.length[r] - 1 : 0, g.row[r]);
            for (int s = 0; s < S; s++) {
                const T* from = fresh ? c.start[s] : c.initial[s];
                int64_t units = width(c, s);
                for (int64_t u = 0; u < wide; u++)
                    state[s][0][r * wide + u] = from && u < units ? from[g.row[r] * units + u] : T(0);
                for (int e = 0; e < C::edges && c.gal; e++)
                    for (int64_t u = 0; u < wide && C::edge_value[e] == S + s && C::edge_later[e]; u++)
                        for (int k = 0; k < 2; k++)
                            seen[e][k][r * wide + u] = state[s][0][r * wide + u] * gal[e][r * wide + u];
            }
        }
    }

    // member `m` of `members` that share this group's rows and divide its units
    void run(int m, int members, Barrier& barrier) {
        Share mine(Block<T>::count(H), m, members);
        bool down = c.reverse;
        int64_t longest = g.longest(), parity = 0;
        if (m == 0) clear();
        for (int64_t done = 0; done < longest;) {
            int64_t here = std::min(chunk, longest - done);
            int64_t low = down ? longest - done - here : done;
            gather(low, here, m, members, barrier);
            for (int64_t ub = mine.first; ub < mine.last && !fused; ub++) input_products(low, here, ub);
            for (int64_t k = 0; k < here; k++, parity ^= 1) {
                int64_t t = down ? low + here - 1 - k : low + k;
                int64_t active = g.active(t);
                if (m == 0) keep_idle(active, parity);
                stages(t, active, offset(low, t), parity, mine, barrier, std::make_index_sequence<C::stages>{});
            }
            done += here;
        }
        if (members > 1) barrier.wait();
        if (m == 0) finish(parity);
    }

  private:
    // enough rows for an efficient product, few enough for the second cache
    static int64_t steps_at_once(const Call<T>& c, int64_t rows) {
        int64_t wanted = (48 + rows - 1) / rows;
        return std::max<int64_t>(1, std::min(c.steps, wanted));
    }
    // products read rows of x where they lie, if these are one stretch of memory
    bool contiguous() const { return !g.ragged && g.size() == c.batch; }
    int64_t offset(int64_t low, int64_t t) const {
        int64_t rows = 0;
        for (int64_t k = low; k < t; k++) rows += g.active(k);
        return rows;
    }
    void gather(int64_t low, int64_t here, int m, int members, Barrier& barrier) {
        if (contiguous()) return;
        if (members > 1) barrier.wait();
        int64_t line = 0;
        for (int64_t t = low; t < low + here; t++)
            for (int64_t r = 0; r < g.active(t); r++, line++)
                if (line % members == m)
                    std::memcpy(lines + line * c.inputs, c.x + (t * c.batch + g.row[r]) * c.inputs,
                                c.inputs * sizeof(T));
        if (members > 1) barrier.wait();
    }
    const T* inputs_of(int64_t low) const { return contiguous() ? c.x + low * c.batch * c.inputs : lines; }
    const T* input_panel(int fed, int64_t ub) const {
        return c.packed + panels.inputs + (ub * C::fed + fed) * c.inputs * N;
    }
    void input_products(int64_t low, int64_t here, int64_t ub) {
        const T* x = inputs_of(low);
        int64_t rows = offset(low, low + here), stride = n * chunk * wide;
        for (int a = 0; a < C::fed; a++) {
            T bias[N];
            bias_of(C::fed_arrival[a], ub, bias);
            for (int64_t r = 0; r < rows;) {
                int take = share<T>(rows - r);
                Factor<T> factor{x + r * c.inputs, c.inputs, input_panel(a, ub), c.inputs};
                c.product(take, &factor, 1, bias, 0, z + a * stride + r * wide + ub * N, wide);
                r += take;
            }
        }
    }
    void bias_of(int arrival, int64_t ub, T* bias) const {
        for (int u = 0; u < N; u++) bias[u] = c.bias && ub * N + u < H ? c.bias[arrival * H + ub * N + u] : T(0);
    }
    template <size_t... k>
    void stages(int64_t t, int64_t active, int64_t first, int64_t parity, Share mine, Barrier& barrier,
                std::index_sequence<k...>) {
        ((stage<k>(t, active, first, parity, mine, barrier), project<k>(t, active, parity, mine, barrier)), ...);
    }
    template <int k>
    void stage(int64_t t, int64_t active, int64_t first, int64_t parity, Share mine, Barrier& barrier) {
        using Stage = typename C::template Stage<k>;
        constexpr int A = Stage::arrivals;
        if (c.normed) return normed_stage<k>(t, active, parity);
        alignas(64) T tile[A][Block<T>::rows * N], bias[A][N];
        // what the last step left in the cache is used first: every other step runs the other way
        bool back = parity;
        for (int64_t q = mine.first; q < mine.last; q++) {
            int64_t ub = back ? mine.first + mine.last - 1 - q : q;
            for (int a = 0; a < A; a++) bias_of(Stage::arrival + a, ub, bias[a]);
            for (int64_t r = 0; r < active;) {
                int rows = share<T>(active - r);
                if (c.lines) fetch_ahead<k>(t, r, rows, ub);
                const T* at[A];
                int64_t ld[A];
                for (int a = 0; a < A; a++) {
                    Factor<T> factors[std::max(1, C::sees[k]) + 1];
                    int count = 0, input = Stage::fed_index[a], p = a - Stage::alone;
                    const T* made = input < 0 ? nullptr : z + input * n * chunk * wide + (first + r) * wide + ub * N;
                    if (input >= 0 && fused)
                        factors[count++] = {inputs_of(t) + r * c.inputs, c.inputs, input_panel(input, ub), c.inputs};
                    if (p >= 0) seen_factors<k>(factors + count, p, r, ub, parity), count += C::sees[k];
                    at[a] = count ? tile[a] : made, ld[a] = count ? N : wide;
                    if (count && (fused || input < 0))
                        c.product(rows, factors, count, bias[a], 0, tile[a], N);
                    else if (count)
                        c.product(rows, factors, count, made, wide, tile[a], N);
                }
                elementwise<k>(t, r, rows, ub, parity, at, ld);
                r += rows;
            }
        }
        barrier.wait();
    }
    // the memory that the step's values go to, fetched while the products are made
    template <int k> INLINE void fetch_ahead(int64_t t, int64_t r, int rows, int64_t ub) const {
        using Stage = typename C::template Stage<k>;
        for (int m = 0; m < rows; m++) {
            int64_t at = t * c.batch + g.row[r + m], u = ub * N;
            for (int i = 0; i < Stage::saved_count; i++)
                summon<T, 1>(c.lines + (at * C::width + Stage::column + i) * H + u);
            for (int value : Stage::writes)
                if (const T* history = c.history[value - S]) summon<T, 1>(history + at * H + u);
        }
    }
    // state 0 from what the stage wrote for it, where the stage did
    template <int k> void project(int64_t t, int64_t active, int64_t parity, Share units, Barrier& barrier) {
        if (!c.projected || !writes_output<C, k>()) return;
        const int64_t P = c.projected, all = Block<T>::count(H), blocks = Block<T>::count(P);
        alignas(64) T tile[Block<T>::rows * N];
        for (int64_t ub = units.first * blocks / all; ub < units.last * blocks / all; ub++)
            for (int64_t r = 0; r < active;) {
                int rows = share<T>(active - r);
                Factor<T> factor{full + r * wide, wide, c.packed + panels.projection + ub * H * N, H};
                c.product(rows, &factor, 1, nullptr, 0, tile, N);
                for (int m = 0; m < rows; m++)
                    for (int64_t u = ub * N; u < std::min(P, (ub + 1) * N); u += L) {
                        int lanes = int(std::min<int64_t>(L, P - u));
                        Vec<T> v = load(tile + m * N + u - ub * N);
                        if (c.special)
                            v = settle(S, v, t, r + m, u, lanes, parity);
                        else
                            store(source(S, parity) + (r + m) * wide + u, v);
                        if (c.history[0]) store(c.history[0] + (t * c.batch + g.row[r + m]) * P + u, v, lanes);
                    }
                r += rows;
            }
        barrier.wait();
    }
    // With layer norm a gate needs all its units before any is used: the recurrent products of the whole stage first.
    template <int k> void normed_stage(int64_t t, int64_t active, int64_t parity) {
        using Stage = typename C::template Stage<k>;
        constexpr int A = Stage::arrivals, P = C::products[k];
        alignas(64) T tile[A][Block<T>::rows * N];
        const T* at[A];
        int64_t ld[A], blocks = Block<T>::count(H);
        for (int a = 0; a < A; a++) at[a] = tile[a], ld[a] = N;
        for (int p = 0; p < P && C::sees[k]; p++) {
            for (int64_t ub = 0; ub < blocks; ub++)
                for (int64_t r = 0; r < active;) {
                    int rows = share<T>(active - r);
                    Factor<T> factors[std::max(1, C::sees[k])];
                    seen_factors<k>(factors, p, r, ub, parity);
                    c.product(rows, factors, C::sees[k], nullptr, 0, recurrent + (p * n + r) * wide + ub * N, wide);
                    r += rows;
                }
            for (int64_t r = 0; r < active; r++) {
                T* row = recurrent + (p * n + r) * wide;
                int64_t line = (t * c.batch + g.row[r]) * C::all_products + C::first_product[k] + p;
                T scale = normalise(row, H);
                if (!c.norms) continue;
                std::memcpy(c.norms + line * H, row, H * sizeof(T));
                c.scales[line] = scale;
            }
        }
        for (int64_t ub = 0; ub < blocks; ub++)
            for (int64_t r = 0; r < active;) {
                int rows = share<T>(active - r);
                for (int a = 0; a < A; a++)
                    for (int m = 0; m < rows; m++)
                        for (int v = 0; v < V && ub * N + v * L < H; v++)
                            store(tile[a] + m * N + v * L, normed_arrival<k>(a, t, r + m, ub * N + v * L));
                elementwise<k>(t, r, rows, ub, parity, at, ld);
                r += rows;
            }
    }
    template <int k> Vec<T> normed_arrival(int a, int64_t t, int64_t rank, int64_t u) const {
        using Stage = typename C::template Stage<k>;
        int lanes = int(std::min<int64_t>(L, H - u)), input = Stage::fed_index[a], p = a - Stage::alone;
        Vec<T> sum = c.bias ? load(c.bias + (Stage::arrival + a) * H + u, lanes) : Vec<T>{};
        if (input >= 0) sum += load(c.x + ((t * c.batch + g.row[rank]) * C::fed + input) * H + u, lanes);
        if (p >= 0 && C::sees[k]) sum += load(c.gain[k] + p * H + u, lanes) * load(recurrent + (p * n + rank) * wide + u);
        return sum;
    }
    // what product p of stage k multiplies, for rows from rank r on
    template <int k> INLINE void seen_factors(Factor<T>* to, int p, int64_t r, int64_t ub, int64_t parity) const {
        using Stage = typename C::template Stage<k>;
        for (int s = 0; s < C::sees[k]; s++) {
            int e = C::first_edge[k] + s;
            const T* rows = c.gal ? seen[e][C::edge_later[e] ? parity : 0] : source(Stage::sees[s], parity);
            const T* panel =
                c.packed + panels.recurrent[k] + ((ub * C::products[k] + p) * C::sees[k] + s) * H * N;
            int64_t first = sees[ub].first, last = std::min(sees[ub].last, seen_width<C>(c, e));
            to[s] = {rows + r * wide + first, wide, panel + first * N, last - first};
        }
    }
    // where a value lies: states before the step, after it, between stages
    T* source(int value, int64_t parity) const {
        if (value < S) return state[value][C::twice[value] ? parity : 0];
        if (value < 2 * S) return state[value - S][C::twice[value - S] ? 1 - parity : 0];
        return between[value - 2 * S];
    }
    template <int value> INLINE Vec<T> fetch(int64_t t, int64_t rank, int64_t u, int64_t parity) const {
        constexpr int f = value - 2 * S - C::between;
        if constexpr (f < 0) {
            return load(source(value, parity) + rank * wide + u);
        } else if constexpr (C::is_unit[f < 0 ? 0 : f]) {
            return load(unit[f] + u);
        } else {
            if (value == c.drop_value) return dropped(c, c.drop_key, c.first + t, g.row[rank], u);
            int64_t at = t * c.batch + g.row[rank];
            return c.wide[value] ? load(c.fixed[value] + at * H + u, int(H - u)) : all(c.fixed[value][at]);
        }
    }
    // what a state is after the options, and what the next step finds
    Vec<T> settle(int value, Vec<T> fresh, int64_t t, int64_t rank, int64_t u, int lanes, int64_t parity) {
        int64_t row = g.row[rank], at = (t * c.batch + row) * (value < 2 * S ? width(c, value - S) : H) + u, next = c.reverse ? t - 1 : t + 1;
        Vec<T> now = fresh;
        if (value < 2 * S) {
            int s = value - S;
            if (c.fresh[s]) store(c.fresh[s] + at, fresh, lanes);
            if (c.clip[s] != 0) now = clipped(c, s, now);
            if (c.zone[s] != 0) now = zoned(c, s, t, row, u, now, load(source(s, parity) + rank * wide + u));
        }
        Vec<T> kept = now;
        if (value < 2 * S && next >= 0 && next < g.length[rank] && anew(c, next, row))
            kept = start(c, value - S, row, u, lanes);
        for (int e = 0; e < C::edges && c.gal; e++)
            if (C::edge_value[e] == value)
                store(seen[e][C::edge_later[e] ? 1 - parity : 0] + rank * wide + u,
                      kept * load(gal[e] + rank * wide + u));
        store(source(value, parity) + rank * wide + u, kept);
        return now;
    }
    template <int k>
    void elementwise(int64_t t, int64_t r, int rows, int64_t ub, int64_t parity, const T* const* arrivals,
                     const int64_t* ld) {
        using Stage = typename C::template Stage<k>;
        for (int m = 0; m < rows; m++)
            for (int v = 0; v < V; v++) {
                int64_t u = ub * N + v * L;
                if (u >= H) break;
                Vec<T> arrive[Stage::arrivals], take[Stage::takes_count + 1], write[Stage::writes_count],
                    save[Stage::saved_count + 1];
                for (int a = 0; a < Stage::arrivals; a++) arrive[a] = load(arrivals[a] + m * ld[a] + v * L);
                [&]<size_t... i>(std::index_sequence<i...>) {
                    ((take[i] = fetch<Stage::takes[i]>(t, r + m, u, parity)), ...);
                }(std::make_index_sequence<Stage::takes_count>{});
                Stage::template forward<T>(arrive, take, write, save);
                int64_t at = t * c.batch + g.row[r + m];
                int lanes = int(std::min<int64_t>(L, H - u));
                for (int i = 0; i < Stage::writes_count; i++) {
                    int value = Stage::writes[i];
                    if (__builtin_expect(c.projected && value == S, 0)) {
                        store(full + (r + m) * wide + u, write[i]);
                        if (c.made) store(c.made + at * H + u, write[i], lanes);
                        continue;
                    }
                    if (__builtin_expect(c.special, 0))
                        write[i] = settle(value, write[i], t, r + m, u, lanes, parity);
                    else
                        store(source(value, parity) + (r + m) * wide + u, write[i]);
                    if (T* history = c.history[value - S]) store(history + at * H + u, write[i], lanes);
                }
                if (c.lines)
                    for (int i = 0; i < Stage::saved_count; i++)
                        store(c.lines + (at * C::width + Stage::column + i) * H + u, save[i], lanes);
            }
    }
    // rows that wait keep their state in both copies, so that the parity of the step does not matter to them
    void keep_idle(int64_t active, int64_t parity) {
        if (!g.ragged) return;
        for (int s = 0; s < S; s++)
            if (C::twice[s])
                for (int64_t r = active; r < g.size(); r++)
                    std::memcpy(state[s][1 - parity] + r * wide, state[s][parity] + r * wide, wide * sizeof(T));
    }
    void clear() {
        if (!g.ragged) return;
        for (int value = 0; value < S + C::between; value++)
            if (T* history = c.history[value])
                for (int64_t r = 0; r < g.size(); r++)
                    for (int64_t t = g.length[r]; t < c.steps; t++) {
                        int64_t units = value < S ? width(c, value) : H;
                        std::memset(history + (t * c.batch + g.row[r]) * units, 0, units * sizeof(T));
                    }
    }
    void finish(int64_t parity) {
        for (int s = 0; s < S; s++)
            if (T* final_ = c.final_[s])
                for (int64_t r = 0; r < g.size(); r++)
                    std::memcpy(final_ + g.row[r] * width(c, s), state[s][C::twice[s] ? parity : 0] + r * wide,
                                width(c, s) * sizeof(T));
    }
};

}  // namespace karussell
