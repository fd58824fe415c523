/* One step of an LSTM, and products and functions that others share. C99 and C++; float32; nothing is allocated.
   Matrices lie input after input, [inputs][outputs], so that sums run over whole rows. */
#ifndef KARUSSELL_CELL_H
#define KARUSSELL_CELL_H
#include <math.h>
#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
#define K_RESTRICT __restrict
#else
#define K_RESTRICT restrict
#endif

/* one LSTM in one direction, gates i f g o */
typedef struct {
    int inputs;
    const float *w; /* [inputs][4 H] */
    const float *r; /* [H][4 H] */
    const float *b; /* [4 H] */
} k_lstm;

/* y += x W */
static void k_multiply(const float *K_RESTRICT w, const float *K_RESTRICT x, float *K_RESTRICT y, int inputs,
                       int outputs) {
    int k = 0, j;
    for (; k + 4 <= inputs; k += 4) {
        const float *a = w + (size_t)k * (size_t)outputs, *b = a + outputs, *c = b + outputs, *d = c + outputs;
        const float p = x[k], q = x[k + 1], r = x[k + 2], s = x[k + 3];
        for (j = 0; j < outputs; j++) y[j] += p * a[j] + q * b[j] + r * c[j] + s * d[j];
    }
    for (; k < inputs; k++) {
        const float *a = w + (size_t)k * (size_t)outputs;
        for (j = 0; j < outputs; j++) y[j] += x[k] * a[j];
    }
}

/* e^x within two units in the last place; 0 and infinity beyond the range (Cephes' polynomial) */
static float k_exp(float x) {
    float whole, r, p, scale;
    int bits;
    x = x > -87.0f ? x : -87.0f; /* also what is no number */
    x = x > 88.0f ? 88.0f : x;
    whole = x * 1.44269504088896341f + 12582912.0f;
    whole -= 12582912.0f;
    r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    bits = ((int)whole + 127) << 23;
    memcpy(&scale, &bits, sizeof scale);
    return (p * r * r + r + 1.0f) * scale;
}
static float k_sigmoid(float x) { return 1.0f / (1.0f + k_exp(-x)); }
static float k_tanh(float x) { return 1.0f - 2.0f / (1.0f + k_exp(2.0f * x)); }

/* one step: state h[H], c[H]; z[4 H] is scratch */
static void k_lstm_step(const k_lstm *l, int hidden, const float *x, float *K_RESTRICT h, float *K_RESTRICT c,
                        float *K_RESTRICT z) {
    int j;
    memcpy(z, l->b, (size_t)(4 * hidden) * sizeof *z);
    k_multiply(l->w, x, z, l->inputs, 4 * hidden);
    k_multiply(l->r, h, z, hidden, 4 * hidden);
    for (j = 0; j < hidden; j++) {
        float i = k_sigmoid(z[j]), f = k_sigmoid(z[hidden + j]);
        float g = k_tanh(z[2 * hidden + j]), o = k_sigmoid(z[3 * hidden + j]);
        c[j] = f * c[j] + i * g;
        h[j] = o * k_tanh(c[j]);
    }
}
#endif
