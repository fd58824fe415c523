/* From the last values of a series to its forecasts: filling, scale, patches, two LSTMs, a linear path, quantiles. */
#ifndef KARUSSELL_FORECAST_H
#define KARUSSELL_FORECAST_H
#include "cell.h"

#define F_LAYERS 16
typedef struct {
    int context, horizon, season, patch, past_patches, future_patches; /* steps */
    int past, future, fixed, position;                                 /* columns beside the values */
    int hidden, layers, levels, middle, positive;
    const float *read_past, *read_past_b, *read_future, *read_future_b, *read_fixed; /* [inputs][H] */
    const float *place;                                                /* [future patches][position] */
    const float *out, *out_b;                                          /* [H][patch * levels] */
    const float *skip, *skip_b;                                        /* [context][horizon] */
    const float *stretch, *weight;                                     /* [levels] */
    k_lstm read[F_LAYERS], write[F_LAYERS];
} f_model;

typedef struct {
    float *raw, *filled, *row, *x, *h, *c, *z, *made, *base;
} f_memory;

static int f_there(float x) { return x == x && x - x == 0.0f; }

/* gaps from the season before, else the one after; what is left stays a gap */
static void f_fill(const f_model *m, const float *raw, float *filled) {
    int k;
    memcpy(filled, raw, (size_t)m->context * sizeof *raw);
    for (k = m->season; k < m->context; k++)
        if (!f_there(filled[k])) filled[k] = filled[k - m->season];
    for (k = m->context - 1 - m->season; k >= 0; k--)
        if (!f_there(filled[k])) filled[k] = filled[k + m->season];
}

/* the mean of the last season, and the spread of all */
static void f_scale(const f_model *m, const float *raw, double *centre, double *scale) {
    double sum = 0.0, square = 0.0, recent = 0.0, mean;
    int k, count = 0, recents = 0;
    for (k = m->context - 1; k >= 0; k--)
        if (f_there(raw[k])) {
            sum += raw[k], count++;
            if (count <= m->season) recent += raw[k], recents++;
        }
    mean = sum / (count ? count : 1);
    for (k = 0; k < m->context; k++)
        if (f_there(raw[k])) square += (raw[k] - mean) * (raw[k] - mean);
    *centre = recent / (recents ? recents : 1);
    *scale = sqrt(square / (count ? count : 1)) + 1e-3 * fabs(*centre);
    if (!(*scale > 0.0)) *scale = 1.0;
}

/* one patch through its linear map and ReLU, then the layers */
static void f_patch(const f_model *m, const k_lstm *lstm, const float *w, const float *b, int inputs, const float *fixed,
                    f_memory *s) {
    const float *x = s->x;
    int j, layer, H = m->hidden;
    memcpy(s->x, b, (size_t)H * sizeof *b);
    k_multiply(w, s->row, s->x, inputs, H);
    if (m->fixed) k_multiply(m->read_fixed, fixed, s->x, m->fixed, H);
    for (j = 0; j < H; j++) s->x[j] = s->x[j] > 0.0f ? s->x[j] : 0.0f;
    for (layer = 0; layer < m->layers; layer++) {
        k_lstm_step(lstm + layer, H, x, s->h + layer * H, s->c + layer * H, s->z);
        x = s->h + layer * H;
    }
}

static float f_softplus(float x) { return x > 20.0f ? x : log1pf(expf(x)); }

/* raw outputs of one step to quantiles and their mean, in the data's units */
static void f_quantiles(const f_model *m, const float *raw, double centre, double scale, float *quantiles, float *mean) {
    const int Q = m->levels, at = m->middle;
    float up = 0.0f, down = 0.0f, sum = 0.0f;
    int k, j;
    quantiles[at] = raw[at];
    for (k = at + 1; k < Q; k++) up += f_softplus(raw[k] - 1.0f), quantiles[k] = raw[at] + up;
    for (k = at - 1; k >= 0; k--) down += f_softplus(raw[k] - 1.0f), quantiles[k] = raw[at] - down;
    for (k = 0; k < Q; k++) sum += quantiles[k] * m->weight[k];
    for (k = 0; k < Q; k++) quantiles[k] = raw[at] + (quantiles[k] - raw[at]) * m->stretch[k];
    /* levels that were stretched past one another stand in order again */
    for (k = 1; k < Q; k++)
        for (j = k; j > 0 && quantiles[j] < quantiles[j - 1]; j--) {
            float other = quantiles[j];
            quantiles[j] = quantiles[j - 1], quantiles[j - 1] = other;
        }
    for (k = 0; k <= Q; k++) {
        float *place = k < Q ? quantiles + k : mean;
        double value = (k < Q ? quantiles[k] : sum) * scale + centre;
        *place = (float)(m->positive && value < 0.0 ? 0.0 : value);
    }
}

/* quantiles [horizon][levels] and mean [horizon] after the last `count` values; 0, or -1 if there is none */
static int f_forecast(const f_model *m, f_memory *s, const float *values, int count, const float *past,
                      const float *future, const float *fixed, float *quantiles, float *mean) {
    const int L = m->context, H = m->hidden, wide = 2 + m->past, Q = m->levels;
    double centre, scale;
    int p, j, k, t, any = 0;
    if (count > L) values += count - L, count = L;
    for (k = 0; k < L; k++) s->raw[k] = k < L - count ? NAN : values[k - (L - count)];
    for (k = 0; k < L; k++) any += f_there(s->raw[k]);
    if (!any) return -1;
    f_fill(m, s->raw, s->filled);
    f_scale(m, s->raw, &centre, &scale);
    for (k = 0; k < L; k++) {
        double z = f_there(s->filled[k]) ? (s->filled[k] - centre) / scale : 0.0;
        s->filled[k] = (float)(z > 20.0 ? 20.0 : z < -20.0 ? -20.0 : z);
    }
    memset(s->h, 0, (size_t)(m->layers * H) * sizeof(float));
    memset(s->c, 0, (size_t)(m->layers * H) * sizeof(float));
    for (p = 0; p < m->past_patches; p++) {
        for (j = 0; j < m->patch; j++) {
            float *to = s->row + j * wide;
            t = L - m->past_patches * m->patch + p * m->patch + j;
            for (k = 0; k < wide; k++)
                to[k] = t < 0 ? 0.0f : k == 0 ? s->filled[t] : k == 1 ? (float)f_there(s->raw[t]) : past[t * m->past + k - 2];
        }
        f_patch(m, m->read, m->read_past, m->read_past_b, m->patch * wide, fixed, s);
    }
    memcpy(s->base, m->skip_b, (size_t)m->horizon * sizeof(float));
    k_multiply(m->skip, s->filled, s->base, L, m->horizon);
    for (p = 0; p < m->future_patches; p++) {
        for (j = 0; j < m->patch; j++)
            for (k = 0, t = p * m->patch + j; k < m->future; k++)
                s->row[j * m->future + k] = t < m->horizon ? future[t * m->future + k] : 0.0f;
        memcpy(s->row + m->patch * m->future, m->place + p * m->position, (size_t)m->position * sizeof(float));
        f_patch(m, m->write, m->read_future, m->read_future_b, m->patch * m->future + m->position, fixed, s);
        memcpy(s->made, m->out_b, (size_t)(m->patch * Q) * sizeof(float));
        k_multiply(m->out, s->h + (m->layers - 1) * H, s->made, H, m->patch * Q);
        for (j = 0; j < m->patch && (t = p * m->patch + j) < m->horizon; j++) {
            s->made[j * Q + m->middle] += s->base[t];
            f_quantiles(m, s->made + j * Q, centre, scale, quantiles + t * Q, mean + t);
        }
    }
    return 0;
}
#endif
