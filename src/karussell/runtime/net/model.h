/* What a transcriber is, as plain numbers: sizes and pointers to constants. C99 and C++; float32; nothing is allocated. */
#ifndef KARUSSELL_MODEL_H
#define KARUSSELL_MODEL_H
#include "cell.h"

#define K_CONVOLUTIONS 8
#define K_LAYERS 16

/* 3 x 3, padded by 1, batch norm folded in; a frame is [bands][channels] */
typedef struct {
    int inputs, outputs, bands, out_bands, time_stride, band_stride;
    const float *w; /* [3 time][3 band][inputs][outputs] */
    const float *b; /* [outputs] */
} k_convolution;

typedef struct {
    /* filter bank */
    int window, hop, fft, bands;
    const float *taper;   /* [window] */
    const float *turns;   /* [fft / 2][2] cos and -sin of 2 pi k / fft */
    const int *filter;    /* [bands][2] first bin and number of bins */
    const float *weights; /* the bins' weights, filter after filter */
    /* normalisation */
    int running, own, levelled;
    const float *mean, *deviation; /* [bands] */
    float prior, floor, loud, level;
    /* convolutions, projection, context */
    int convolutions, features, hidden, context;
    k_convolution convolution[K_CONVOLUTIONS];
    const float *project, *project_b, *project_gain, *project_shift; /* [features][H] */
    const float *around, *around_b, *around_gain, *around_shift;     /* [context][H][H] */
    /* layers, output */
    int layers, directions, labels, blank;
    k_lstm lstm[2 * K_LAYERS];
    const float *out, *out_b; /* [directions * H][labels] */
} k_model;

/* y = max(0, layer norm of y) */
static void k_norm_relu(float *y, const float *gain, const float *shift, int width) {
    float mean = 0.0f, square = 0.0f, scale;
    int j;
    for (j = 0; j < width; j++) mean += y[j];
    mean /= (float)width;
    for (j = 0; j < width; j++) square += (y[j] - mean) * (y[j] - mean);
    scale = 1.0f / sqrtf(square / (float)width + 1e-5f);
    for (j = 0; j < width; j++) {
        y[j] = (y[j] - mean) * scale * gain[j] + shift[j];
        y[j] = y[j] > 0.0f ? y[j] : 0.0f;
    }
}

/* log-posteriors [labels] of y [directions * H] */
static void k_posteriors(const k_model *m, const float *y, float *out) {
    float most, sum = 0.0f;
    int k;
    memcpy(out, m->out_b, (size_t)m->labels * sizeof *out);
    k_multiply(m->out, y, out, m->directions * m->hidden, m->labels);
    most = out[0];
    for (k = 1; k < m->labels; k++) most = out[k] > most ? out[k] : most;
    for (k = 0; k < m->labels; k++) sum += expf(out[k] - most);
    most += logf(sum);
    for (k = 0; k < m->labels; k++) out[k] -= most;
}
#endif
