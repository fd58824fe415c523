// The backward recurrence over one group of rows: the shape of the forward one, with the products the other way. Per
// block of units and a few rows: what the gradients of pre-activations already known send back through R, then the
// stage's vector-Jacobian product, which gives the gradients of its own pre-activations.
#pragma once
#include <utility>

#include "functions.h"
#include "group.h"

namespace karussell {

template <class C, class T> class Backward {
    static constexpr int S = C::states, L = Lanes<T>::count, N = Block<T>::units, V = Block<T>::vectors;
    const Call<T>& c;
    const Group<T>& g;
    const Panels<C, T> panels;
    // columns of lines; of what is sent back through R
    const int64_t H, wide, n, columns, sent;
    // the distance of compact rows: rows a power of two apart would share few sets of the cache
    const int64_t apart;
    const std::vector<Share> seen_by;  // by block of units
    // gradients of states and of values between stages [rank, wide]; of unit vectors; unit vectors, padded; the
    // gradients of what R gave at this step and the one before [rank, apart]
    Buffer<T> memory;
    T *d_state[S], *d_between[C::between + 1], *unit[C::fixed + 1], *compact[2];
    // what zoneout hands past a step, by state [rank, wide]; masks on what R saw, by edge [rank, wide]
    T *d_past[S], *gal[C::edges + 1];
    T* d_output;  // with a projection: the gradient of state 0 as it was projected [rank, wide]

  public:
    T *d_unit[C::fixed + 1], *d_bias, *d_gain;  // d_bias [arrivals, wide], d_gain [all products, wide]

    Backward(const Call<T>& call, const Group<T>& group)
        : c(call), g(group), panels(call.inputs, call.hidden, call.projected, true), H(call.hidden), wide(Block<T>::stride(H)),
          n(std::max<int64_t>(group.size(), 1)), columns(C::width * H), sent(call.normed ? C::all_products * H : columns),
          apart(sent + Lanes<T>::count), seen_by(reach<T>(call.seen_by, call.hidden)) {
        int64_t rows = n * wide, lines = n * apart, past = c.special ? S * rows : 0;
        int64_t masks = (c.gal ? C::edges * rows : 0) + (c.projected ? rows : 0), gains = c.normed ? C::all_products * wide : 0;
        memory.resize(rows * (S + C::between) + wide * (2 * C::fixed + C::arrivals) + 2 * lines + past + masks + gains +
                      64);
        T* p = memory.get();
        for (int s = 0; s < S; s++, p += rows) d_state[s] = p;
        for (int s = 0; s < C::between; s++, p += rows) d_between[s] = p;
        for (int k = 0; k < C::fixed; k++, p += 2 * wide) {
            unit[k] = p, d_unit[k] = p + wide;
            const T* source = C::is_unit[k] ? c.fixed[2 * S + C::between + k] : nullptr;
            for (int64_t u = 0; u < wide; u++) p[u] = source && u < H ? source[u] : T(0), p[wide + u] = 0;
        }
        d_bias = p, p += C::arrivals * wide;
        std::memset(d_bias, 0, C::arrivals * wide * sizeof(T));
        for (int k = 0; k < 2; k++, p += lines) compact[k] = p;
        for (int s = 0; s < S && c.special; s++, p += rows) d_past[s] = p;
        d_output = p, p += c.projected ? rows : 0;
        d_gain = p, p += gains;
        if (c.normed) std::memset(d_gain, 0, gains * sizeof(T));
        for (int e = 0; e < C::edges && c.gal; e++, p += rows) gal[e] = p;
        if (c.gal) draw_masks<C>(c, g, wide, gal);
        for (int s = 0; s < S; s++)
            for (int64_t r = 0; r < g.size(); r++)
                for (int64_t u = 0, units = width(c, s); u < wide; u++)
                    d_state[s][r * wide + u] = c.d_final[s] && u < units ? c.d_final[s][g.row[r] * units + u] : T(0);
    }

    void run(int m, int members, Barrier& barrier) {
        Share mine(Block<T>::count(H), m, members);
        if (m == 0) clear();
        int64_t longest = g.longest(), parity = 0;
        for (int64_t k = 0; k < longest; k++, parity ^= 1) {
            int64_t t = c.reverse ? k : longest - 1 - k;
            int64_t before = c.reverse ? t - 1 : t + 1;  // the step whose gradients are known
            int64_t active = g.active(t), known = k ? g.active(before) : 0;
            if (known > active) finish(active, known, before, parity, mine);
            stages(t, active, std::min(known, active), parity, mine, barrier, std::make_index_sequence<C::stages>{});
        }
        if (longest) {
            int64_t last = c.reverse ? longest - 1 : 0;
            finish(0, g.active(last), last, parity, mine);
        }
        finish_empty(mine);
    }

  private:
    template <size_t... k>
    void stages(int64_t t, int64_t active, int64_t known, int64_t parity, Share mine, Barrier& barrier,
                std::index_sequence<k...>) {
        (stage<C::stages - 1 - int(k)>(t, active, known, parity, mine, barrier), ...);
    }
    template <int k>
    void stage(int64_t t, int64_t active, int64_t known, int64_t parity, Share mine, Barrier& barrier) {
        using Stage = typename C::template Stage<k>;
        alignas(64) T tile[Stage::writes_count * Block<T>::rows * N];
        if (c.projected && writes_output<C, k>()) project_back(t, active, known, parity, mine, barrier);
        for (int64_t q = mine.first; q < mine.last; q++) {
            int64_t ub = parity ? mine.first + mine.last - 1 - q : q;
            for (int64_t r = 0; r < active;) {
                bool fresh = r >= known;  // rows whose last valid step this is: nothing is known of a later one
                int rows = share<T>(fresh ? active - r : known - r);
                fetch_ahead<k>(t, r, rows, ub);
                for (int w = 0; w < Stage::writes_count; w++) {
                    T* to = tile + w * Block<T>::rows * N;
                    if (c.projected && Stage::writes[w] == S) {
                        Factor<T> f{d_output + r * wide, wide, c.packed + panels.projection + ub * c.projected * N,
                                    c.projected};
                        c.product(rows, &f, 1, nullptr, 0, to, N);
                    } else
                        received(Stage::writes[w], t, r, rows, fresh, false, parity, ub, to);
                }
                elementwise<k>(t, r, rows, fresh, parity, ub, tile);
                r += rows;
            }
        }
        if (c.normed) normed<k>(t, active, parity);
        barrier.wait();
    }
    // what the instructions will read was written a whole pass ago, and is fetched while the products are made
    template <int k> INLINE void fetch_ahead(int64_t t, int64_t r, int rows, int64_t ub) const {
        using Stage = typename C::template Stage<k>;
        for (int m = 0; m < rows; m++) {
            int64_t at = t * c.batch + g.row[r + m], before = c.reverse ? at + c.batch : at - c.batch, u = ub * N;
            for (int i = 0; i < Stage::saved_count; i++) summon(c.stored + at * columns + (Stage::column + i) * H + u);
            for (int value : Stage::needs) {
                const T* course = value < 2 * S + C::between ? c.history[value < S ? value : value - S] : nullptr;
                if (course) summon(course + (value < S ? before : at) * H + u);
            }
            for (int value : Stage::writes)
                if (const T* d = c.d_history[value - S]) summon(d + at * H + u);
        }
    }
    // the gradient of state 0 as it was projected, of all its units, before any that the step wrote is known
    void project_back(int64_t t, int64_t active, int64_t known, int64_t parity, Share units, Barrier& barrier) {
        const int64_t P = c.projected, all = Block<T>::count(H), blocks = Block<T>::count(P);
        alignas(64) T tile[Block<T>::rows * N];
        for (int64_t ub = units.first * blocks / all; ub < units.last * blocks / all; ub++)
            for (int64_t r = 0; r < active;) {
                bool fresh = r >= known;
                int rows = share<T>(fresh ? active - r : known - r);
                received(S, t, r, rows, fresh, false, parity, ub, tile);
                for (int m = 0; m < rows; m++)
                    for (int64_t u = ub * N; u < std::min(P, (ub + 1) * N); u += L) {
                        int lanes = int(std::min<int64_t>(L, P - u));
                        int64_t at = (t * c.batch + g.row[r + m]) * P + u, here = (r + m) * wide + u;
                        Vec<T> d = load(tile + m * N + u - ub * N);
                        if (fresh) d += load(d_state[0] + here);
                        if (c.special)
                            d = unsettle(0, d, t, r + m, u, lanes, fresh);
                        else if (const T* shown = c.d_history[0])
                            d += load(shown + at, lanes);
                        store(d_output + here, d);
                        store(c.d_projected + at, d, lanes);
                    }
                r += rows;
            }
        barrier.wait();
    }
    // from the gradients of normalised recurrent products to those of the products themselves
    template <int k> void normed(int64_t t, int64_t active, int64_t parity) {
        for (int64_t r = 0; r < active && C::sees[k]; r++)
            for (int p = 0; p < C::products[k]; p++) {
                int64_t at = t * c.batch + g.row[r], q = C::first_product[k] + p;
                const T* normal = c.stored_norms + (at * C::all_products + q) * H;
                T* out = compact[parity] + r * apart + q * H;
                normalise_back(c.lines + at * columns + (C::column[k] + p) * H, normal, c.gain[k] + p * H,
                               c.scales[at * C::all_products + q], H, d_gain + q * wide, out);
                std::memcpy(c.norms + (at * C::all_products + q) * H, out, H * sizeof(T));
            }
    }
    // the gradients of what R gave to stage j, from rank r on
    const T* known_rows(int64_t r, int64_t parity, int j) const {
        return compact[parity] + r * apart + (c.normed ? C::first_product[j] : C::column[j]) * H;
    }
    // what a value gets back through the recurrent matrices of all stages that saw it
    //   fresh: of this step alone    over: of the step before alone
    void received(int value, int64_t t, int64_t r, int rows, bool fresh, bool over, int64_t parity, int64_t ub,
                  T* out) const {
        constexpr int most = std::max(1, C::edges * std::max(1, C::most_products));
        Factor<T> factors[most];
        int count = 0, edge[most];
        for (int e = 0; e < C::edges; e++) {
            if (C::edge_value[e] != value || (C::edge_later[e] ? fresh : over)) continue;
            int j = C::edge_stage[e];
            int64_t K = int64_t(C::products[j]) * H, blocks = Block<T>::count(H);
            const T* a = known_rows(r, C::edge_later[e] ? 1 - parity : parity, j);
            const T* panel = c.packed + panels.recurrent[j] + (C::edge_seen[e] * blocks + ub) * K * N;
            if (!c.seen_by) {
                factors[count] = {a, apart, panel, K}, edge[count++] = e;
                continue;
            }
            for (int p = 0; p < C::products[j]; p++, count++) {
                int64_t first = p * H + seen_by[ub].first, units = seen_by[ub].last - seen_by[ub].first;
                factors[count] = {a + first, apart, panel + first * N, units}, edge[count] = e;
            }
        }
        if (!c.gal) return c.product(rows, factors, count, nullptr, 0, out, N);
        alignas(64) T one[Block<T>::rows * N];
        std::memset(out, 0, rows * N * sizeof(T));
        for (int f = 0; f < count; f++) {
            c.product(rows, factors + f, 1, nullptr, 0, one, N);
            for (int m = 0; m < rows; m++)
                for (int64_t u = 0; u < N && ub * N + u < H; u++)
                    out[m * N + u] += one[m * N + u] * gal[edge[f]][(r + m) * wide + ub * N + u];
        }
    }
    template <int value> INLINE Vec<T> fetch(int64_t t, int64_t rank, int64_t u, int lanes) const {
        constexpr int f = value - 2 * S - C::between;
        int64_t at = t * c.batch + g.row[rank];
        if constexpr (value < S) {
            int64_t first = c.reverse ? g.length[rank] - 1 : 0;
            if (anew(c, t, g.row[rank])) return start(c, value, g.row[rank], u, lanes);
            if (t == first)
                return c.initial[value] ? load(c.initial[value] + g.row[rank] * H + u, lanes) : Vec<T>{};
            return load(c.history[value] + (c.reverse ? at + c.batch : at - c.batch) * H + u, lanes);
        } else if constexpr (f < 0) {
            if (value == S && c.projected) return load(c.made + at * H + u, lanes);
            const T* fresh = value < 2 * S ? c.fresh[value - S] : nullptr;
            return load((fresh ? fresh : c.history[value - S]) + at * H + u, lanes);
        } else if constexpr (C::is_unit[f < 0 ? 0 : f]) {
            return load(unit[f] + u);
        } else {
            if (value == c.drop_value) return dropped(c, c.drop_key, c.first + t, g.row[rank], u);
            return c.wide[value] ? load(c.fixed[value] + at * H + u, lanes) : all(c.fixed[value][at]);
        }
    }
    template <int k>
    void elementwise(int64_t t, int64_t r, int rows, bool fresh, int64_t parity, int64_t ub, const T* tile) {
        using Stage = typename C::template Stage<k>;
        for (int m = 0; m < rows; m++)
            for (int v = 0; v < V; v++) {
                int64_t u = ub * N + v * L;
                if (u >= H) break;
                int lanes = int(std::min<int64_t>(L, H - u));
                int64_t at = t * c.batch + g.row[r + m], here = (r + m) * wide + u;
                Vec<T> save[Stage::saved_count + 1], need[Stage::needs_count + 1], d_write[Stage::writes_count],
                    d_arrive[Stage::arrivals], d_take[Stage::d_takes_count + 1], d_units[Stage::d_units_count + 1];
                for (int i = 0; i < Stage::saved_count; i++)
                    save[i] = load(c.stored + at * columns + (Stage::column + i) * H + u, lanes);
                [&]<size_t... i>(std::index_sequence<i...>) {
                    ((need[i] = fetch<Stage::needs[i]>(t, r + m, u, lanes)), ...);
                }(std::make_index_sequence<Stage::needs_count>{});
                for (int w = 0; w < Stage::writes_count; w++) {
                    int value = Stage::writes[w];
                    d_write[w] = load(tile + (w * Block<T>::rows + m) * N + v * L);
                    if (__builtin_expect(c.projected && value == S, 0)) continue;
                    if (value >= 2 * S ? C::between_taken[value - 2 * S] : fresh || C::carried[value - S])
                        d_write[w] += load(gradient(value) + here);
                    if (__builtin_expect(c.special, 0) && value < 2 * S)
                        d_write[w] = unsettle(value - S, d_write[w], t, r + m, u, lanes, fresh);
                    else if (const T* d = c.d_history[value - S])
                        d_write[w] += load(d + at * H + u, lanes);
                }
                Stage::template backward<T>(save, need, d_write, d_arrive, d_take, d_units);
                for (int a = 0; a < Stage::arrivals; a++) {
                    store(c.lines + at * columns + (Stage::column + a) * H + u, d_arrive[a], lanes);
                    if (!c.normed)
                        store(compact[parity] + (r + m) * apart + (Stage::column + a) * H + u, d_arrive[a], lanes);
                    T* p = d_bias + (Stage::arrival + a) * wide + u;
                    store(p, load(p) + d_arrive[a]);
                }
                for (int i = 0; i < Stage::d_takes_count; i++) {
                    T* p = gradient(Stage::d_takes[i]) + here;
                    store(p, Stage::d_assign[i] ? d_take[i] : load(p) + d_take[i]);
                }
                for (int i = 0; i < Stage::d_units_count; i++) {
                    T* p = d_unit[Stage::d_unit_index[i]] + u;
                    store(p, load(p) + d_units[i]);
                }
            }
    }
    // the options' gradient: from what the next step sends back to that of the state as the step made it
    Vec<T> unsettle(int s, Vec<T> d, int64_t t, int64_t rank, int64_t u, int lanes, bool fresh) {
        int64_t row = g.row[rank], here = rank * wide + u;
        if (c.zone[s] != 0 && !fresh) d += load(d_past[s] + here);
        if (!fresh && anew(c, c.reverse ? t - 1 : t + 1, row)) {
            to_start(s, d, row, u, lanes);
            d = Vec<T>{};
        }
        const int64_t at = (t * c.batch + row) * width(c, s) + u;
        if (const T* shown = c.d_history[s]) d += load(shown + at, lanes);
        Vec<T> zero{}, made = d;
        if (c.zone[s] != 0) {
            Vec<T> past = T(c.zone[s]) * d;
            made = T(1 - c.zone[s]) * d;
            if (c.training) {
                Mask<T> stays = below<T>(c.zone_key[s], c.first + t, row, u, c.zone_below[s]);
                past = stays ? d : zero, made = stays ? zero : d;
            }
            store(d_past[s] + here, past);
        }
        if (c.clip[s] == 0) return made;
        // beyond its limits a state does not follow what made it; nan is beyond nothing
        Vec<T> was = load(c.fresh[s] + at, lanes);
        return (was > all(T(c.clip[s]))) | (was < all(T(-c.clip[s]))) ? zero : made;
    }
    void to_start(int s, Vec<T> d, int64_t row, int64_t u, int lanes) {
        T* p = c.d_start[s];
        int64_t at = row * width(c, s) + u;
        if (p) store(p + at, load(p + at, lanes) + d, lanes);
    }
    T* gradient(int value) const {
        if (value < 2 * S) return d_state[value < S ? value : value - S];
        return d_between[value - 2 * S];
    }
    // rows whose first step was the last one computed: what remains belongs to the initial state
    void finish(int64_t from, int64_t to, int64_t before, int64_t parity, Share mine) {
        alignas(64) T tile[Block<T>::rows * N];
        for (int s = 0; s < S; s++)
            if (c.d_initial[s] || (c.resets && c.d_start[s]))
                for (int64_t ub = mine.first; ub < mine.last && ub * N < width(c, s); ub++)
                    for (int64_t r = from; r < to;) {
                        int rows = share<T>(to - r);
                        received(S + s, c.reverse ? before + 1 : before - 1, r, rows, false, true, parity, ub, tile);
                        for (int m = 0; m < rows; m++)
                            for (int64_t u = ub * N; u < std::min(width(c, s), (ub + 1) * N); u += L)
                                first(s, before, r + m, u, load(tile + m * N + u - ub * N));
                        r += rows;
                    }
    }
    void first(int s, int64_t t, int64_t rank, int64_t u, Vec<T> d) {
        int64_t row = g.row[rank], here = rank * wide + u, units = width(c, s);
        int lanes = int(std::min<int64_t>(L, units - u));
        if (C::carried[s]) d += load(d_state[s] + here);
        if (c.special && c.zone[s] != 0) d += load(d_past[s] + here);
        bool cut = anew(c, t, row);
        if (cut) to_start(s, d, row, u, lanes);
        if (T* out = c.d_initial[s]) store(out + row * units + u, cut ? Vec<T>{} : d, lanes);
    }
    void finish_empty(Share mine) {
        for (int s = 0; s < S; s++)
            if (T* out = c.d_initial[s])
                for (int64_t r = g.size() - 1; r >= 0 && g.length[r] == 0; r--)
                    for (int64_t u = mine.first * N; u < std::min(width(c, s), mine.last * N); u++)
                        out[g.row[r] * width(c, s) + u] = d_state[s][r * wide + u];
    }
    void clear() {
        if (!g.ragged) return;
        for (int64_t r = 0; r < g.size(); r++)
            for (int64_t t = g.length[r]; t < c.steps; t++) {
                int64_t at = t * c.batch + g.row[r];
                std::memset(c.lines + at * columns, 0, columns * sizeof(T));
                if (c.normed) std::memset(c.norms + at * sent, 0, sent * sizeof(T));
                if (c.projected) std::memset(c.d_projected + at * c.projected, 0, c.projected * sizeof(T));
            }
    }
};

}  // namespace karussell
