// The whole recurrence: packing, the team, forward or backward. A cell's program, printed as a struct, is the only
// thing that differs from one compiled engine to the next.
#pragma once
#include "backward.h"
#include "forward.h"

namespace karussell {

// one item is one panel of one gate (forward) or of one seen value (backward)
template <class C, class T> void pack_panels(const Call<T>& c, bool backward, int member, int members) {
    Panels<C, T> panels(c.inputs, c.hidden, c.projected, backward);
    const int64_t H = c.hidden, P = c.projected, blocks = Block<T>::count(H), N = Block<T>::units;
    Share mine(blocks, member, members);
    for (int64_t ub = mine.first; ub < mine.last; ub++) {
        if (!backward && !c.normed)
            for (int a = 0; a < C::fed; a++)
                pack(c.w + (a * H + ub * N) * c.inputs, c.inputs, 1, H - ub * N, c.inputs,
                     c.packed + panels.inputs + (ub * C::fed + a) * c.inputs * N);
        for (int k = 0; k < C::stages; k++)
            for (int a = 0; a < C::products[k]; a++)
                for (int s = 0; s < C::sees[k]; s++) {
                    int last = C::first_edge[k] + C::sees[k] - 1, e = C::first_edge[k] + s;
                    int64_t across = column<C>(c, last) + seen_width<C>(c, last);  // columns of r
                    int64_t seen = seen_width<C>(c, e);
                    const T* r = c.r[k] + C::gate_row[k][a] * H * across + column<C>(c, e);
                    T* to = c.packed + panels.recurrent[k];
                    if (backward)  // panel of value s: K runs over arrivals and their units
                        pack(r + ub * N, 1, across, seen - ub * N, H,
                             to + (s * blocks + ub) * C::products[k] * H * N + a * H * N);
                    else
                        pack(r + ub * N * across, across, 1, H - ub * N, seen,
                             to + ((ub * C::products[k] + a) * C::sees[k] + s) * H * N);
                }
        if (!P) continue;
        if (backward)  // K runs over outputs
            pack(c.p + ub * N, 1, H, H - ub * N, P, c.packed + panels.projection + ub * P * N);
        else if (ub * N < P)
            pack(c.p + ub * N * H, H, 1, P - ub * N, H, c.packed + panels.projection + ub * H * N);
    }
}

template <class C, class T, template <class, class> class Run> void recurrence(const Call<T>& c, bool backward) {
    int members = int(c.threads);
    using Engine = Run<C, T>;
    struct Job {
        Group<T> group;
        Engine engine;
        Job(const Call<T>& c, int m, int members) : group(c, m, members), engine(c, group) {}
    };
    Job* shared = c.by_units || members == 1 ? new Job(c, 0, 1) : nullptr;
    std::vector<Job*> jobs(members, nullptr);
    team(members, [&](int m, int given, Barrier& barrier) {
        if (c.pack) pack_panels<C, T>(c, backward, m, given);
        if (c.pack) barrier.wait();
        if (shared) {
            shared->engine.run(m, given, barrier);
            barrier.wait();
        } else {
            jobs[m] = new Job(c, m, given);
            Barrier alone;
            jobs[m]->engine.run(0, 1, alone);
            barrier.wait();
        }
        if constexpr (std::is_same_v<Engine, Backward<C, T>>) {
            if (m) return;
            if (shared) return collect<C, T>(c, shared->engine, true);
            // summed in the order of the members, whoever was done first
            for (int k = 0; k < given; k++) collect<C, T>(c, jobs[k]->engine, k == 0);
        }
    });
    delete shared;
    for (Job* job : jobs) delete job;
}

// add one group's gradients of unit vectors and biases to the call's, or begin with them
template <class C, class T> void collect(const Call<T>& c, const Backward<C, T>& from, bool first) {
    auto add = [&](T* to, const T* part) {
        for (int64_t u = 0; to && u < c.hidden; u++) to[u] = first ? part[u] : to[u] + part[u];
    };
    for (int k = 0; k < C::fixed; k++) add(c.d_units[2 * C::states + C::between + k], from.d_unit[k]);
    for (int k = 0; k < C::stages && c.normed; k++)
        for (int p = 0; p < C::products[k] && C::sees[k]; p++)
            add(c.d_gain[k] + p * c.hidden, from.d_gain + (C::first_product[k] + p) * Block<T>::stride(c.hidden));
    for (int a = 0; a < C::arrivals; a++)
        add(c.d_bias ? c.d_bias + a * c.hidden : nullptr, from.d_bias + a * Block<T>::stride(c.hidden));
}

}  // namespace karussell

#define KARUSSELL_PUBLIC __attribute__((visibility("default")))
#define KARUSSELL_EXPORT(CELL, NAME, T)                                                                              \
    extern "C" KARUSSELL_PUBLIC void NAME##_forward(const karussell::Call<T>* c) {                                                    \
        karussell::recurrence<CELL, T, karussell::Forward>(*c, false);                                               \
    }                                                                                                                \
    extern "C" KARUSSELL_PUBLIC void NAME##_backward(const karussell::Call<T>* c) {                                                   \
        karussell::recurrence<CELL, T, karussell::Backward>(*c, true);                                               \
    }                                                                                                                \
    extern "C" KARUSSELL_PUBLIC int64_t NAME##_packed(int64_t inputs, int64_t hidden, int64_t projected, int64_t backward) { \
        return karussell::Panels<CELL, T>(inputs, hidden, projected, backward != 0).total;                           \
    }
