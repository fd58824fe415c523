/* The log mel filter bank, frame by frame (Kaldi's arithmetic: mean out, pre-emphasis, Povey window, power spectrum,
   triangles on mel, natural logarithm; the signal mirrored at both ends). */
#ifndef KARUSSELL_BANK_H
#define KARUSSELL_BANK_H
#include "model.h"

/* x[2 n] complex becomes its Fourier transform; n a power of two, turns of a transform of 2 n points */
static void k_fourier(float *x, int n, const float *turns) {
    int i, j = 0, half, k;
    for (i = 1; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            float re = x[2 * i], im = x[2 * i + 1];
            x[2 * i] = x[2 * j], x[2 * i + 1] = x[2 * j + 1];
            x[2 * j] = re, x[2 * j + 1] = im;
        }
    }
    for (half = 1; half < n; half *= 2)
        for (i = 0; i < n; i += 2 * half)
            for (k = 0; k < half; k++) {
                const float *t = turns + 2 * (k * (n / half));
                float *a = x + 2 * (i + k), *b = a + 2 * half;
                float re = b[0] * t[0] - b[1] * t[1], im = b[0] * t[1] + b[1] * t[0];
                b[0] = a[0] - re, b[1] = a[1] - im;
                a[0] += re, a[1] += im;
            }
}

/* samples [window] to log energies [bands]; work [fft] */
static void k_energies(const k_model *m, const float *samples, float *K_RESTRICT work, float *out) {
    const float *weight = m->weights;
    float mean = 0.0f, before, now;
    int i, n = m->fft / 2;
    for (i = 0; i < m->window; i++) mean += samples[i] * 32768.0f;
    mean /= (float)m->window;
    before = samples[0] * 32768.0f - mean;
    for (i = 0; i < m->window; i++) {
        now = samples[i] * 32768.0f - mean;
        work[i] = (now - 0.97f * before) * m->taper[i];
        before = now;
    }
    for (; i < m->fft; i++) work[i] = 0.0f;
    /* even samples real, odd ones imaginary: a transform of half the size, taken apart below */
    k_fourier(work, n, m->turns);
    before = work[0];
    work[0] = (before + work[1]) * (before + work[1]);
    for (i = 1; i <= n / 2; i++) {
        float a = work[2 * i], b = work[2 * i + 1], c = work[2 * (n - i)], d = work[2 * (n - i) + 1];
        float even_re = 0.5f * (a + c), even_im = 0.5f * (b - d), odd_re = 0.5f * (b + d), odd_im = 0.5f * (c - a);
        float turn_re = m->turns[2 * i], turn_im = m->turns[2 * i + 1];
        float re = odd_re * turn_re - odd_im * turn_im, im = odd_re * turn_im + odd_im * turn_re;
        /* the power of bin i waits where its real part was, that of its mirror image where that one's was */
        work[2 * i] = (even_re + re) * (even_re + re) + (even_im + im) * (even_im + im);
        if (i < n - i) work[2 * (n - i)] = (even_re - re) * (even_re - re) + (im - even_im) * (im - even_im);
    }
    for (i = 0; i < m->bands; i++) {
        int first = m->filter[2 * i], count = m->filter[2 * i + 1], k;
        float energy = 0.0f;
        for (k = 0; k < count; k++) energy += work[2 * (first + k)] * *weight++;
        out[i] = logf(energy > 1.0f ? energy : 1.0f);
    }
}

/* where a position beyond either end of n samples is mirrored to */
static int k_mirrored(int i, int n) {
    while (i < 0 || i >= n) i = i < 0 ? -i - 1 : 2 * n - 1 - i;
    return i;
}
#endif
