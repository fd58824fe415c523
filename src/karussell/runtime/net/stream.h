/* A recording on its way through the model: samples in as they come, log-posteriors out as they become certain.

   Every part keeps what it still needs of its past and hands each finished frame to the next. Where a part needs the
   whole recording (normalisation by the utterance, layers in both directions) it collects frames until the end. */
#ifndef KARUSSELL_STREAM_H
#define KARUSSELL_STREAM_H
#include "bank.h"

typedef struct {
    const k_model *m;
    int longest, most;           /* frames, and steps of the layers, that can be collected */
    int filled, frames, started; /* samples waiting; frames made; whether the first one was */
    long samples;                /* samples so far */
    int got[K_CONVOLUTIONS];     /* frames each convolution has seen */
    int projected, steps, rows;  /* frames before the context, before the layers, written */
    int failed;                  /* more came than there is room for */
    double energy, spread;       /* of the running normalisation */
    long count, louds;
    float *wave, *work, *frame, *kept, *past[K_CONVOLUTIONS], *made[K_CONVOLUTIONS];
    float *mixed, *around, *sum, *h, *c, *z, *own, *columns, *both;
    float *out; /* where rows are written, `room` of them */
    int room;
} k_stream;

static int k_frame_size(const k_convolution *c) { return (c->bands + 2) * c->inputs; }

/* divide the memory among the parts; with memory NULL only count it, in floats */
static size_t k_divide(k_stream *s, const k_model *m, float *memory, int longest) {
    size_t used = 0, H = (size_t)m->hidden;
    size_t most = 0;
    int k, whole = !m->running && (m->own || m->levelled);
    if (m->directions == 2) {
        s->most = longest;
        for (k = 0; k < m->convolutions; k++) s->most = (s->most - 1) / m->convolution[k].time_stride + 1;
        most = (size_t)s->most;
    }
#define K_TAKE(place, count) (place) = memory ? memory + used : NULL, used += (size_t)(count)
    K_TAKE(s->wave, m->window);
    K_TAKE(s->work, m->fft);
    K_TAKE(s->frame, m->bands);
    K_TAKE(s->own, m->bands);
    K_TAKE(s->kept, whole ? (size_t)longest * (size_t)m->bands : 0);
    for (k = 0; k < m->convolutions; k++) {
        K_TAKE(s->past[k], 3 * k_frame_size(m->convolution + k));
        K_TAKE(s->made[k], m->convolution[k].out_bands * m->convolution[k].outputs);
    }
    K_TAKE(s->mixed, H);
    K_TAKE(s->around, (size_t)m->context * H);
    K_TAKE(s->sum, H);
    K_TAKE(s->h, (size_t)m->layers * (size_t)m->directions * H);
    K_TAKE(s->c, (size_t)m->layers * (size_t)m->directions * H);
    K_TAKE(s->z, 4 * H);
    K_TAKE(s->columns, most * 2 * H);
    K_TAKE(s->both, most * 2 * H);
#undef K_TAKE
    return used;
}

static size_t k_start(k_stream *s, const k_model *m, float *memory, int longest) {
    size_t used;
    memset(s, 0, sizeof *s);
    used = k_divide(s, m, memory, longest);
    s->m = m, s->longest = longest;
    if (memory) memset(memory, 0, used * sizeof *memory);
    s->filled = m->window / 2 - m->hop / 2;
    s->energy = m->level * m->prior;
    return used;
}

static void k_row(k_stream *s, const float *y) {
    if (s->rows >= s->room) {
        s->failed = 1;
        return;
    }
    k_posteriors(s->m, y, s->out + (size_t)s->rows * (size_t)s->m->labels);
    s->rows++;
}

/* a frame for the layers, [H] */
static void k_step(k_stream *s, const float *x) {
    const k_model *m = s->m;
    int layer;
    if (m->directions == 2) {
        if (s->steps >= s->most) {
            s->failed = 1;
            return;
        }
        memcpy(s->columns + (size_t)s->steps++ * (size_t)m->hidden, x, (size_t)m->hidden * sizeof *x);
        return;
    }
    for (layer = 0; layer < m->layers; layer++) {
        float *h = s->h + layer * m->hidden;
        k_lstm_step(m->lstm + layer, m->hidden, x, h, s->c + layer * m->hidden, s->z);
        x = h;
    }
    s->steps++;
    k_row(s, x);
}

/* a frame before the context, or NULL beyond the end */
static void k_project(k_stream *s, const float *x) {
    const k_model *m = s->m;
    const int H = m->hidden, width = m->context, right = width - 1 - (width - 1) / 2;
    const float *centre;
    if (x) {
        memcpy(s->mixed, m->project_b, (size_t)H * sizeof *x);
        k_multiply(m->project, x, s->mixed, m->features, H);
        k_norm_relu(s->mixed, m->project_gain, m->project_shift, H);
    }
    if (!width) {
        if (x) k_step(s, s->mixed);
        return;
    }
    memmove(s->around, s->around + H, (size_t)((width - 1) * H) * sizeof *x);
    if (x)
        memcpy(s->around + (width - 1) * H, s->mixed, (size_t)H * sizeof *x);
    else
        memset(s->around + (width - 1) * H, 0, (size_t)H * sizeof *x);
    if (s->projected++ < right) return;
    memcpy(s->sum, m->around_b, (size_t)H * sizeof *x);
    k_multiply(m->around, s->around, s->sum, width * H, H);
    k_norm_relu(s->sum, m->around_gain, m->around_shift, H);
    centre = s->around + (width - 1 - right) * H;
    {
        int j;
        for (j = 0; j < H; j++) s->sum[j] += centre[j];
    }
    k_step(s, s->sum);
}

static void k_convolve(k_stream *s, int k, const float *x);

/* the frame in the middle of a convolution's past is done */
static void k_convolved(k_stream *s, int k) {
    const k_convolution *c = s->m->convolution + k;
    const int size = k_frame_size(c);
    int band, t;
    for (band = 0; band < c->out_bands; band++) {
        float *y = s->made[k] + band * c->outputs;
        memcpy(y, c->b, (size_t)c->outputs * sizeof *y);
        for (t = 0; t < 3; t++)
            k_multiply(c->w + (size_t)t * 3 * (size_t)(c->inputs * c->outputs),
                       s->past[k] + t * size + band * c->band_stride * c->inputs, y, 3 * c->inputs, c->outputs);
        for (t = 0; t < c->outputs; t++) y[t] = y[t] > 0.0f ? y[t] : 0.0f;
    }
    k_convolve(s, k + 1, s->made[k]);
}

/* a frame [bands][inputs] for convolution k; after the last one, for the projection */
static void k_convolve(k_stream *s, int k, const float *x) {
    const k_convolution *c = s->m->convolution + k;
    if (k == s->m->convolutions) {
        k_project(s, x);
        return;
    }
    {
        const int size = k_frame_size(c);
        memmove(s->past[k], s->past[k] + size, (size_t)(2 * size) * sizeof *x);
        memset(s->past[k] + 2 * size, 0, (size_t)size * sizeof *x);
        memcpy(s->past[k] + 2 * size + c->inputs, x, (size_t)(c->bands * c->inputs) * sizeof *x);
    }
    /* the frame before this one is the middle now */
    if (s->got[k]++ >= 1 && (s->got[k] - 2) % c->time_stride == 0) k_convolved(s, k);
}
#endif
