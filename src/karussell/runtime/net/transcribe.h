/* From samples to log-posteriors: normalisation, the end of a recording, both directions; and the labels of best paths. */
#ifndef KARUSSELL_TRANSCRIBE_H
#define KARUSSELL_TRANSCRIBE_H
#include "stream.h"

static float k_mean_energy(const float *x, int bands) {
    float sum = 0.0f;
    int k;
    for (k = 0; k < bands; k++) sum += expf(x[k]);
    return sum / (float)bands;
}

static void k_levelled(const k_model *m, float *x, float level) {
    int k;
    if (m->levelled)
        for (k = 0; k < m->bands; k++) x[k] = logf(expf(x[k]) / level + m->floor);
}

/* around the training mean and the recording's own, of `louds` frames that sum to `own` */
static void k_centred(const k_model *m, float *x, const float *own, long louds) {
    int k;
    for (k = 0; k < m->bands; k++) {
        float centre = m->mean[k];
        if (m->own && louds) {
            float share = (float)louds / ((float)louds + m->prior);
            centre = share * own[k] / (float)louds + (1.0f - share) * centre;
        }
        x[k] = (x[k] - centre) / m->deviation[k];
    }
}

/* log energies of one frame, made complete: normalise by what was heard so far, or keep until the end */
static void k_frame(k_stream *s) {
    const k_model *m = s->m;
    float energy, level;
    int k;
    k_energies(m, s->wave, s->work, s->frame);
    s->frames++;
    if (!m->running && (m->own || m->levelled)) {
        if (s->frames > s->longest)
            s->failed = 1;
        else
            memcpy(s->kept + (size_t)(s->frames - 1) * (size_t)m->bands, s->frame, (size_t)m->bands * sizeof(float));
        return;
    }
    if (m->running) {
        energy = k_mean_energy(s->frame, m->bands);
        s->energy += energy, s->count++;
        level = (float)(s->energy / ((double)s->count + m->prior));
        k_levelled(m, s->frame, level);
        if (energy >= level * m->loud) {
            s->louds++;
            for (k = 0; k < m->bands; k++) s->own[k] += s->frame[k];
        }
    }
    k_centred(m, s->frame, s->own, s->louds);
    k_convolve(s, 0, s->frame);
}

/* take samples in [-1, 1]; rows of log-posteriors that are certain now go to `out`. Rows written; -1: no room */
static int k_push(k_stream *s, const float *samples, long count, float *out, int room) {
    const k_model *m = s->m;
    const int lead = m->window / 2 - m->hop / 2;
    s->out = out, s->room = room, s->rows = 0;
    s->samples += count;
    while (count > 0) {
        int take = m->window - s->filled, i;
        if (take > count) take = (int)count;
        memcpy(s->wave + s->filled, samples, (size_t)take * sizeof *samples);
        samples += take, count -= take, s->filled += take;
        if (s->filled < m->window) break;
        if (!s->started)
            for (i = 0; i < lead; i++) s->wave[i] = s->wave[lead + k_mirrored(i - lead, m->window - lead)];
        s->started = 1;
        k_frame(s);
        s->filled = m->window - m->hop;
        memmove(s->wave, s->wave + m->hop, (size_t)s->filled * sizeof *samples);
    }
    return s->failed ? -1 : s->rows;
}

/* normalise what was kept by the utterance itself, and send it on */
static void k_utterance(k_stream *s) {
    const k_model *m = s->m;
    double mean = 0.0;
    int t, k;
    for (t = 0; t < s->frames; t++) mean += k_mean_energy(s->kept + t * m->bands, m->bands);
    mean /= s->frames > 0 ? s->frames : 1;
    for (t = 0; t < s->frames; t++) k_levelled(m, s->kept + t * m->bands, (float)mean);
    if (m->levelled) {
        mean = 0.0;
        for (t = 0; t < s->frames; t++) mean += k_mean_energy(s->kept + t * m->bands, m->bands);
        mean /= s->frames > 0 ? s->frames : 1;
    }
    for (t = 0; t < s->frames && m->own; t++) {
        const float *x = s->kept + t * m->bands;
        if (k_mean_energy(x, m->bands) < (float)mean * m->loud) continue;
        s->louds++;
        for (k = 0; k < m->bands; k++) s->own[k] += x[k];
    }
    for (t = 0; t < s->frames; t++) {
        k_centred(m, s->kept + t * m->bands, s->own, s->louds);
        k_convolve(s, 0, s->kept + t * m->bands);
    }
}

/* the layers in both directions over all that was collected */
static void k_both(k_stream *s) {
    const k_model *m = s->m;
    const int H = m->hidden;
    int layer, d, t;
    float *x = s->columns, *y = s->both, *swap;
    for (layer = 0; layer < m->layers; layer++) {
        for (d = 0; d < 2; d++) {
            const k_lstm *l = m->lstm + 2 * layer + d;
            float *h = s->h + (2 * layer + d) * H, *c = s->c + (2 * layer + d) * H;
            for (t = 0; t < s->steps; t++) {
                int at = d ? s->steps - 1 - t : t;
                k_lstm_step(l, H, x + (size_t)at * (size_t)l->inputs, h, c, s->z);
                memcpy(y + (size_t)at * 2 * (size_t)H + d * H, h, (size_t)H * sizeof *h);
            }
        }
        swap = x, x = y, y = swap;
    }
    for (t = 0; t < s->steps; t++) k_row(s, x + (size_t)t * 2 * (size_t)H);
}

/* no frame comes any more: what every part still holds */
static void k_end(k_stream *s) {
    const k_model *m = s->m;
    int k;
    for (k = 0; k < m->convolutions && !s->failed; k++) {
        const k_convolution *c = m->convolution + k;
        const int size = k_frame_size(c);
        if (!s->got[k] || (s->got[k] - 1) % c->time_stride) continue;
        memmove(s->past[k], s->past[k] + size, (size_t)(2 * size) * sizeof *s->wave);
        memset(s->past[k] + 2 * size, 0, (size_t)size * sizeof *s->wave);
        k_convolved(s, k);
    }
    if (s->projected)
        for (k = m->context - 1 - (m->context - 1) / 2; k > 0; k--) k_project(s, NULL);
    if (m->directions == 2 && !s->failed) k_both(s);
}

/* the recording has ended: the last frames, mirrored at its end, and all rows that are left */
static int k_finish(k_stream *s, float *out, int room) {
    const k_model *m = s->m;
    const int lead = m->window / 2 - m->hop / 2, total = (int)((s->samples + m->hop / 2) / m->hop);
    int i, have, first;
    s->out = out, s->room = room, s->rows = 0;
    while (s->frames < total && !s->failed) {
        /* the last `have` positions before `filled` hold the newest samples */
        first = s->started ? 0 : lead;
        have = s->filled - first;
        if (have < 1) break;
        for (i = s->filled; i < m->window; i++) s->wave[i] = s->wave[first + k_mirrored(i - first, have)];
        for (i = 0; i < first; i++) s->wave[i] = s->wave[first + k_mirrored(i - first, have)];
        k_frame(s);
        if (!s->started) s->started = 1;
        memmove(s->wave, s->wave + m->hop, (size_t)(m->window - m->hop) * sizeof *s->wave);
        s->filled = s->filled - m->hop > 0 ? s->filled - m->hop : 0;
    }
    if (!m->running && (m->own || m->levelled) && !s->failed) k_utterance(s);
    k_end(s);
    return s->failed ? -1 : s->rows;
}

/* the likeliest label of a row; of equals the first */
static int k_best(const float *row, int labels) {
    int k, best = 0;
    for (k = 1; k < labels; k++)
        if (row[k] > row[best]) best = k;
    return best;
}
#endif
