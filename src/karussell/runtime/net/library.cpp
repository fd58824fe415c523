// The transcriber's C for Python: the same headers that an exported C file is made of, behind a few functions.
#include "transcribe.h"

#define KARUSSELL_PUBLIC extern "C" __attribute__((visibility("default")))

KARUSSELL_PUBLIC size_t stream_size(void) { return sizeof(k_stream); }
KARUSSELL_PUBLIC size_t stream_start(void* stream, const k_model* model, float* memory, int longest) {
    return k_start(static_cast<k_stream*>(stream), model, memory, longest);
}
KARUSSELL_PUBLIC int stream_push(void* stream, const float* samples, long count, float* out, int room) {
    return k_push(static_cast<k_stream*>(stream), samples, count, out, room);
}
KARUSSELL_PUBLIC int stream_finish(void* stream, float* out, int room) {
    return k_finish(static_cast<k_stream*>(stream), out, room);
}
// all of a recording as normalised features [count, bands]
KARUSSELL_PUBLIC int stream_features(void* stream, const float* features, long count, float* out, int room) {
    k_stream* s = static_cast<k_stream*>(stream);
    s->out = out, s->room = room, s->rows = 0;
    for (long t = 0; t < count; t++) k_convolve(s, 0, features + t * s->m->bands);
    k_end(s);
    return s->failed ? -1 : s->rows;
}
KARUSSELL_PUBLIC size_t model_size(void) { return sizeof(k_model); }
