// The LSTM as its first papers trained it: real-time recurrent learning inside the cell, error truncated at the gates.
//
// 1997  s(t) = s(t-1) + y_in g(net_c),  y_c = y_out h(s);  gates may be fed back to every hidden unit
// 2000  s(t) = y_f s(t-1) + y_in g(net_c)
// 2002  the gates of a block see its states: s(t-1) the input and forget gate, s(t) the output gate
//
// Rows of the hidden matrix: cells C = B * S, then gates, B a kind, in the order input, forget, output.
// Its columns: inputs I, then the last y_c [C], the last gates [G] if they are fed back, and 1 for the bias.
// Derivatives of a state with respect to the weights of its cell, input gate and forget gate are carried along:
//
//     d_c(t)  = y_f d_c(t-1) + g'(net_c) y_in source
//     d_in(t) = y_f d_in(t-1) + g(net_c) f'(net_in) source
//     d_f(t)  = y_f d_f(t-1) + s(t-1) f'(net_f) source
//
// and nothing flows from a net input to an earlier time. With one-hot inputs only the columns of symbols that a
// sequence has shown are touched, so a step costs the same with ten symbols and with a thousand.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

enum Squash : int64_t { kIdentity = 0, kLogistic = 1, kWide = 2, kCentred = 3 };  // wide: [-2, 2], centred: [-1, 1]
enum Learn : int64_t { kNever = 0, kEveryStep = 1, kEverySequence = 2, kOnlyGradient = 3 };

// mirrored field by field in net.py
struct Net {
  int64_t inputs, blocks, size, outputs;
  int64_t input_gate, forget_gate, output_gate, feed_gates, peepholes, shortcuts, recurrent;
  int64_t g, h, out, cross_entropy;
  int64_t learn, has_momentum;
  double rate, decay, momentum, carry, stop;
  double* weights;      // [W] hidden rows, peepholes [G][S], output rows [K][C + (I) + 1]
  const double* mask;   // [W] 1 where a weight exists
  double* velocity;     // [W] with momentum
  double* gradient;     // [W] zeroed by the caller, for learning once a sequence and for the gradient alone
  double* memory;       // carried between calls: s [C], y_c [C], gates [G], rate, then the derivatives
};

struct Data {
  int64_t begin, end;         // steps to run
  const int32_t* symbols;     // [steps] or null
  const double* x;            // [steps][I] or null
  const uint8_t* fresh;       // [steps] 1 where a sequence begins
  const uint8_t* due;         // [steps] 1 where a target stands
  const double* targets;      // [due][K]
  const int64_t* rows;        // [steps] row of the first target at or after a step
  double* y;                  // [due][K] outputs, written where due
  double* states;             // [steps][C] or null
  double* gates;              // [steps][G] or null
};

// e^x to within 2 units in the last place, without branches, so that loops over it use vectors; clipped at +-708
inline double exponential(double x) {
  x = x < -708.0 ? -708.0 : x;
  x = x > 708.0 ? 708.0 : x;
  const double shift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to a whole number
  const double shifted = x * 1.4426950408889634 + shift, k = shifted - shift;
  const double r = (x - k * 6.93145751953125e-1) - k * 1.42860682030941723212e-6;
  double p = 1.0 / 479001600.0;
  for (const double c : {1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0,
                         1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0})
    p = p * r + c;
  int64_t bits;
  std::memcpy(&bits, &shifted, 8);
  bits <<= 52;
  int64_t whole;
  std::memcpy(&whole, &p, 8);
  whole += bits;
  std::memcpy(&p, &whole, 8);
  return p;
}

inline double logistic(double x) { return 1.0 / (1.0 + exponential(-x)); }

// y <- squash(z), slope <- its derivative
inline void squash(int64_t kind, const double* z, double* y, double* slope, int64_t count) {
  if (kind == kIdentity) {
    for (int64_t k = 0; k < count; ++k) y[k] = z[k], slope[k] = 1.0;
    return;
  }
  const double scale = kind == kLogistic ? 1.0 : kind == kWide ? 4.0 : 2.0;
  const double shift = kind == kLogistic ? 0.0 : 0.5 * scale;
  for (int64_t k = 0; k < count; ++k) {
    const double f = logistic(z[k]);
    y[k] = scale * f - shift;
    slope[k] = scale * f * (1.0 - f);
  }
}

struct Runner {
  Net& n;
  const int64_t I, B, S, C, K, kinds, G, R, N, M, PW, OW;
  double *W, *P, *V;
  double *s, *yc, *yg, *rate;
  double *dc, *di, *df, *pi, *pf;  // [C][N] thrice, [C][S] twice
  std::vector<double> r, z, gslope, gvalue, gate_slope, hval, hslope, es, zout;
  std::vector<int32_t> touched;
  std::vector<uint8_t> is_touched;

  explicit Runner(Net& net)
      : n(net), I(net.inputs), B(net.blocks), S(net.size), C(B * S), K(net.outputs),
        kinds(net.input_gate + net.forget_gate + net.output_gate), G(kinds * B),
        R((net.recurrent ? C + (net.feed_gates ? G : 0) : 0) + 1), N(I + R), M((C + G) * N),
        PW(net.peepholes ? G * S : 0), OW(C + (net.shortcuts ? I : 0) + 1),
        W(net.weights), P(W + M), V(P + PW), r(R), z(C + G), gslope(C), gvalue(C), gate_slope(G + 1), hval(C), hslope(C), es(C), zout(K),
        touched(), is_touched(I) {
    double* m = net.memory;
    s = m, m += C;
    yc = m, m += C;
    yg = m, m += G;
    rate = m++;
    dc = m, m += C * N;
    di = m, m += C * N;
    df = m, m += C * N;
    pi = m, m += C * S;
    pf = m, m += C * S;
  }

  int64_t row_in(int64_t b) const { return C + b; }
  int64_t row_forget(int64_t b) const { return C + (n.input_gate ? B : 0) + b; }
  int64_t row_out(int64_t b) const { return C + (kinds - 1) * B + b; }

  void fresh_sequence(bool sparse) {
    std::memset(s, 0, sizeof(double) * C);
    std::memset(yc, 0, sizeof(double) * C);
    std::memset(yg, 0, sizeof(double) * G);
    *rate = n.rate;
    if (sparse) {
      for (int64_t c = 0; c < C; ++c)
        for (double* d : {dc, di, df}) {
          for (int32_t k : touched) d[c * N + k] = 0.0;
          std::memset(d + c * N + I, 0, sizeof(double) * R);
        }
      for (int32_t k : touched) is_touched[k] = 0;
      touched.clear();
    } else {
      std::memset(dc, 0, sizeof(double) * 3 * C * N);
    }
    std::memset(pi, 0, sizeof(double) * C * S);
    std::memset(pf, 0, sizeof(double) * C * S);
  }

  // adds scale * (one row of sources or derivatives) to the weights, or to the gradient
  void change(double* weight, const double* by, double scale, bool sparse) {
    const int64_t at = weight - n.weights;
    const double* mask = n.mask + at;
    if (n.has_momentum) return gather(n.gradient + at, by, scale, sparse);
    double* to = n.learn == kEveryStep ? weight : n.gradient + at;
    const double a = n.learn == kEveryStep ? *rate * scale : scale;
    if (sparse) {
      for (int32_t k : touched) to[k] += a * by[k] * mask[k];
    } else {
      for (int64_t k = 0; k < I; ++k) to[k] += a * by[k] * mask[k];
    }
    for (int64_t k = I; k < N; ++k) to[k] += a * by[k] * mask[k];
  }

  void gather(double* to, const double* by, double scale, bool sparse) {
    if (sparse) {
      for (int32_t k : touched) to[k] += scale * by[k];
    } else {
      for (int64_t k = 0; k < I; ++k) to[k] += scale * by[k];
    }
    for (int64_t k = I; k < N; ++k) to[k] += scale * by[k];
  }

  void change_one(double* weight, double by) {
    const int64_t at = weight - n.weights;
    if (n.has_momentum || n.learn != kEveryStep) n.gradient[at] += by * n.mask[at];
    else *weight += *rate * by * n.mask[at];
  }

  // one step of learning with what the gradient holds; it is zero afterwards
  void apply() {
    const int64_t total = M + PW + K * OW;
    for (int64_t k = 0; k < total; ++k) {
      double by = *rate * n.gradient[k] * n.mask[k];
      if (n.has_momentum) by = n.velocity[k] = n.momentum * n.velocity[k] + by;
      n.weights[k] += by;
      n.gradient[k] = 0.0;
    }
  }

  double net_input(int64_t row, const double* x, int32_t symbol) const {
    const double* w = W + row * N;
    double sum = 0.0;
    if (symbol >= 0) {
      sum = w[symbol];
    } else {
      for (int64_t k = 0; k < I; ++k) sum += w[k] * x[k];
    }
    for (int64_t k = 0; k < R; ++k) sum += w[I + k] * r[k];
    return sum;
  }

  double peep(int64_t gate, int64_t b, const double* state) const {
    double sum = 0.0;
    if (n.peepholes)
      for (int64_t v = 0; v < S; ++v) sum += P[gate * S + v] * state[b * S + v];
    return sum;
  }

  // d <- keep * d + scale * source, over the columns that can differ from zero
  void carry_on(double* d, double keep, double scale, const double* x, int32_t symbol) {
    if (symbol >= 0) {
      if (keep != 1.0)
        for (int32_t k : touched) d[k] *= keep;
      d[symbol] += scale;
    } else {
      for (int64_t k = 0; k < I; ++k) d[k] = keep * d[k] + scale * x[k];
    }
    for (int64_t k = 0; k < R; ++k) d[I + k] = keep * d[I + k] + scale * r[k];
  }

  void forward(const double* x, int32_t symbol, bool learning) {
    int64_t at = 0;
    if (n.recurrent) {
      std::memcpy(r.data(), yc, sizeof(double) * C);
      at = C;
      if (n.feed_gates) std::memcpy(r.data() + C, yg, sizeof(double) * G), at += G;
    }
    r[at] = 1.0;
    if (symbol >= 0 && !is_touched[symbol]) is_touched[symbol] = 1, touched.push_back(symbol);

    const int64_t late = n.output_gate && n.peepholes ? G - B : G;  // gates that do not wait for the new states
    for (int64_t u = 0; u < C + late; ++u) z[u] = net_input(u, x, symbol);
    if (n.peepholes)
      for (int64_t u = 0; u < late; ++u) z[C + u] += peep(u, u % B, s);
    squash(n.g, z.data(), gvalue.data(), gslope.data(), C);
    squash(kLogistic, z.data() + C, yg, gate_slope.data(), late);
    for (int64_t b = 0; b < B; ++b) {
      const double y_in = n.input_gate ? yg[row_in(b) - C] : 1.0;
      const double keep = n.forget_gate ? yg[row_forget(b) - C] : n.carry;
      for (int64_t v = 0; v < S && learning; ++v) {
        const int64_t c = b * S + v;
        carry_on(dc + c * N, keep, gslope[c] * y_in, x, symbol);
        if (n.input_gate) {
          const double a = gvalue[c] * gate_slope[row_in(b) - C];
          carry_on(di + c * N, keep, a, x, symbol);
          if (n.peepholes)
            for (int64_t w = 0; w < S; ++w) pi[c * S + w] = keep * pi[c * S + w] + a * s[b * S + w];
        }
        if (n.forget_gate) {
          const double a = s[c] * gate_slope[row_forget(b) - C];
          carry_on(df + c * N, keep, a, x, symbol);
          if (n.peepholes)
            for (int64_t w = 0; w < S; ++w) pf[c * S + w] = keep * pf[c * S + w] + a * s[b * S + w];
        }
      }
      for (int64_t v = 0; v < S; ++v) {
        const int64_t c = b * S + v;
        s[c] = keep * s[c] + y_in * gvalue[c];
      }
    }
    for (int64_t u = late; u < G; ++u) z[C + u] = net_input(C + u, x, symbol) + peep(u, u % B, s);
    squash(kLogistic, z.data() + C + late, yg + late, gate_slope.data() + late, G - late);
    squash(n.h, s, hval.data(), hslope.data(), C);
    for (int64_t b = 0; b < B; ++b) {
      const double y_out = n.output_gate ? yg[row_out(b) - C] : 1.0;
      for (int64_t v = 0; v < S; ++v) yc[b * S + v] = y_out * hval[b * S + v];
    }
  }

  void outputs(const double* x, int32_t symbol, double* y, double* slope) {
    for (int64_t k = 0; k < K; ++k) {
      const double* v = V + k * OW;
      double sum = v[OW - 1];
      for (int64_t c = 0; c < C; ++c) sum += v[c] * yc[c];
      if (n.shortcuts) {
        if (symbol >= 0) {
          sum += v[C + symbol];
        } else {
          for (int64_t j = 0; j < I; ++j) sum += v[C + j] * x[j];
        }
      }
      zout[k] = sum;
    }
    squash(n.out, zout.data(), y, slope, K);
  }

  void learn(const double* x, int32_t symbol, const double* y, const double* slope, const double* target) {
    const bool sparse = symbol >= 0;
    std::vector<double>& e = es;
    std::memset(e.data(), 0, sizeof(double) * C);
    double delta;
    for (int64_t k = 0; k < K; ++k) {
      double* v = V + k * OW;
      delta = (target[k] - y[k]) * (n.cross_entropy ? 1.0 : slope[k]);
      for (int64_t c = 0; c < C; ++c) e[c] += v[c] * delta;
      for (int64_t c = 0; c < C; ++c) change_one(v + c, delta * yc[c]);
      if (n.shortcuts) {
        if (sparse) {
          change_one(v + C + symbol, delta);
        } else {
          for (int64_t j = 0; j < I; ++j) change_one(v + C + j, delta * x[j]);
        }
      }
      change_one(v + OW - 1, delta);
    }
    for (int64_t b = 0; b < B; ++b) {
      double y_out = 1.0;
      if (n.output_gate) {
        const int64_t u = row_out(b) - C;
        y_out = yg[u];
        double a = 0.0;
        for (int64_t v = 0; v < S; ++v) a += hval[b * S + v] * e[b * S + v];
        a *= gate_slope[u];
        double* w = W + (C + u) * N;
        if (sparse) {
          change_one(w + symbol, a);
        } else {
          for (int64_t k = 0; k < I; ++k) change_one(w + k, a * x[k]);
        }
        for (int64_t k = 0; k < R; ++k) change_one(w + I + k, a * r[k]);
        if (n.peepholes)
          for (int64_t v = 0; v < S; ++v) change_one(P + u * S + v, a * s[b * S + v]);
      }
      for (int64_t v = 0; v < S; ++v) {
        const int64_t c = b * S + v;
        const double a = y_out * hslope[c] * e[c];
        change(W + c * N, dc + c * N, a, sparse);
        if (n.input_gate) {
          change(W + row_in(b) * N, di + c * N, a, sparse);
          if (n.peepholes)
            for (int64_t w = 0; w < S; ++w) change_one(P + (row_in(b) - C) * S + w, a * pi[c * S + w]);
        }
        if (n.forget_gate) {
          change(W + row_forget(b) * N, df + c * N, a, sparse);
          if (n.peepholes)
            for (int64_t w = 0; w < S; ++w) change_one(P + (row_forget(b) - C) * S + w, a * pf[c * S + w]);
        }
      }
    }
  }

  // the step after the last one that was run; a target further off than `stop` ends the run there
  int64_t run(const Data& d, bool anew = false) {
    const bool sparse = d.symbols != nullptr, learning = n.learn != kNever;
    std::vector<double> slope(K);
    int64_t due = d.rows[d.begin];
    anew |= d.fresh[d.begin] != 0;
    if (sparse && touched.empty())  // of what an earlier call left nothing is known
      for (int64_t k = 0; k < I; ++k) is_touched[k] = 1, touched.push_back(int32_t(k));
    for (int64_t t = d.begin; t < d.end; ++t) {
      const int32_t symbol = sparse ? d.symbols[t] : -1;
      const double* x = sparse ? nullptr : d.x + t * I;
      if (d.fresh[t] || (anew && t == d.begin)) {
        if (n.learn == kEverySequence && t > d.begin) apply();
        fresh_sequence(sparse);
      }
      forward(x, symbol, learning);
      if (d.states) std::memcpy(d.states + t * C, s, sizeof(double) * C);
      if (d.gates) std::memcpy(d.gates + t * G, yg, sizeof(double) * G);
      *rate *= n.decay;
      if (!d.due[t]) continue;
      double* y = d.y + due * K;
      const double* target = d.targets + due * K;
      outputs(x, symbol, y, slope.data());
      ++due;
      if (learning) {
        learn(x, symbol, y, slope.data(), target);
        if (n.learn == kEveryStep && n.has_momentum) apply();
      }
      bool close = true;  // what is no number is not close
      for (int64_t k = 0; k < K; ++k) close &= std::fabs(target[k] - y[k]) <= n.stop;
      if (!close) return t + 1;
    }
    if (n.learn == kEverySequence) apply();
    return d.end;
  }

  // streams from mark to mark: each begins at the first mark after the last one ended, and ends as `run` does or after
  // `most` steps; their lengths are written, their number is returned
  int64_t streams(const Data& d, const int64_t* marks, int64_t count, int64_t most, int64_t* lengths) {
    Data piece = d;
    int64_t at = d.begin, done = 0;
    for (int64_t m = 0; m < count; ++m) {
      if (marks[m] < at) continue;
      piece.begin = marks[m];
      piece.end = std::min(d.end, marks[m] + most);
      at = run(piece, true);
      lengths[done++] = at - marks[m];
    }
    return done;
  }
};

}  // namespace

#define PUBLIC extern "C" __attribute__((visibility("default")))

PUBLIC int64_t literal_run(Net* net, const Data* data) { return Runner(*net).run(*data); }

PUBLIC int64_t literal_streams(Net* net, const Data* data, const int64_t* marks, int64_t count, int64_t most,
                               int64_t* lengths) {
  return Runner(*net).streams(*data, marks, count, most, lengths);
}
