// The C interface of the searches. Every function that can fail gives a sentence, or null; none throws.
#include <atomic>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

#include "prefix_search.h"
#include "search_answer.h"
#include "token_passing.h"

using namespace karussell;

namespace {

constexpr const char* FULL = "there is not enough memory; narrow the beam";
constexpr const char* FAILED = "the prefix model failed, or gave NaN";

struct Search {
    Beam beam;
    std::vector<double> row;
    std::vector<Answer> answers;
};

// run(i) for i = 0 ... count - 1 on some threads; each i has its own data, so their number changes nothing
template <class F> void spread(int64_t count, int64_t threads, F run) {
    std::atomic<int64_t> next{0};
    auto work = [&] {
        for (int64_t i; (i = next.fetch_add(1)) < count;) run(i);
    };
    std::vector<std::thread> team;
    try {
        for (int64_t t = 1; t < std::min(threads, count); t++) team.emplace_back(work);
    } catch (const std::system_error&) {
        // as many as the system gives
    }
    work();
    for (std::thread& one : team) one.join();
}

// a frame's log-probabilities; false if one is NaN or +infinity
bool read(const void* data, bool wide, int64_t stride, int64_t classes, double* out) {
    double worst = 0;
    for (int64_t k = 0; k < classes; k++) {
        double v = wide ? static_cast<const double*>(data)[k * stride] : static_cast<const float*>(data)[k * stride];
        out[k] = v;
        worst = v < std::numeric_limits<double>::infinity() ? worst : 1;
    }
    return worst == 0;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

// log-probabilities [T, B, K], strides in numbers; lengths [B]
struct Posteriors {
    const void* data;
    int64_t wide, frames, batch, classes, frame_stride, batch_stride, class_stride;
    const int64_t* lengths;

    const void* frame(int64_t t, int64_t b) const {
        int64_t at = t * frame_stride + b * batch_stride;
        return static_cast<const char*>(data) + at * (wide ? 8 : 4);
    }
    const char* wrong(int64_t needed) const {
        if (classes != needed) return "the log-probabilities have another number of classes than the decoder";
        if (frames < 0 || batch < 0 || frames >= INT32_MAX || !lengths || (!data && frames && batch))
            return "shapes are wrong";
        for (int64_t b = 0; b < batch; b++)
            if (lengths[b] < 0 || lengths[b] > frames) return "a length is not between 0 and the number of frames";
        return nullptr;
    }
};

API const char* ctc_search_wrong(const SearchSettings* settings) { return wrong(*settings); }

API const char* ctc_search_new(const SearchSettings* settings, Search** made) {
    *made = nullptr;
    try {
        std::unique_ptr<Search> search(new Search);
        if (const char* bad = search->beam.open(*settings)) return bad;
        search->row.resize(settings->classes);
        *made = search.release();
    } catch (const std::bad_alloc&) {
        return FULL;
    }
    return nullptr;
}

API void ctc_search_free(Search* search) { delete search; }
API void ctc_search_begin(Search* search) { search->beam.begin(); }
API int64_t ctc_search_bytes(const Search* search) { return search->beam.bytes(); }
API int64_t ctc_search_frames(const Search* search) { return search->beam.frames(); }

// Feeds each search its row of the batch. bad [2]: utterance and frame of the first value that is no log-probability;
// then nothing was fed to that utterance.
API const char* ctc_search_feed(Search** searches, const Posteriors* y, int64_t threads, int64_t* bad) {
    bad[0] = bad[1] = -1;
    for (int64_t b = 0; b < y->batch; b++)
        if (const char* sentence = y->wrong(searches[b]->beam.settings().classes)) return sentence;
    std::vector<const char*> failed(y->batch, nullptr);
    std::vector<int64_t> at(y->batch, -1);
    spread(y->batch, threads, [&](int64_t b) {
        Search& search = *searches[b];
        double* row = search.row.data();
        for (int64_t t = 0; t < y->lengths[b]; t++)
            if (!read(y->frame(t, b), y->wide, y->class_stride, y->classes, row)) {
                at[b] = t;
                return;
            }
        try {
            for (int64_t t = 0; t < y->lengths[b] && !failed[b]; t++) {
                read(y->frame(t, b), y->wide, y->class_stride, y->classes, row);
                if (!search.beam.step(row)) failed[b] = FAILED;
            }
        } catch (const std::bad_alloc&) {
            failed[b] = FULL;
        }
    });
    for (int64_t b = 0; b < y->batch; b++) {
        if (at[b] >= 0) {
            bad[0] = b, bad[1] = at[b];
            return "it holds NaN or infinity";
        }
        if (failed[b]) return failed[b];
    }
    return nullptr;
}

// The n best of each search; they stay with it until the next call. sizes [n][2]: answers, and labels of them all
API const char* ctc_search_answer(Search** searches, int64_t count, int64_t most, int64_t last, int64_t* sizes) {
    try {
        for (int64_t i = 0; i < count; i++) {
            if (!answers(searches[i]->beam, most, last != 0, searches[i]->answers)) return FAILED;
            sizes[2 * i] = int64_t(searches[i]->answers.size());
            sizes[2 * i + 1] = 0;
            for (const Answer& one : searches[i]->answers) sizes[2 * i + 1] += int64_t(one.tokens.size());
        }
    } catch (const std::bad_alloc&) {
        return FULL;
    }
    return nullptr;
}

// scores [answers][4], counts [answers][2]: labels, and whether the last word is whole; the rest one a label
API void ctc_search_copy(const Search* search, double* scores, int64_t* counts, int32_t* tokens, int32_t* ends,
                         int32_t* starts, int32_t* stops, float* peaks) {
    for (const Answer& one : search->answers) {
        for (double part : {one.score, one.acoustic, one.language, one.boost}) *scores++ = part;
        *counts++ = int64_t(one.tokens.size()), *counts++ = one.whole;
        tokens = std::copy(one.tokens.begin(), one.tokens.end(), tokens);
        ends = std::copy(one.ends.begin(), one.ends.end(), ends);
        starts = std::copy(one.starts.begin(), one.starts.end(), starts);
        stops = std::copy(one.stops.begin(), one.stops.end(), stops);
        peaks = std::copy(one.peaks.begin(), one.peaks.end(), peaks);
    }
}

// Prefix search of one utterance, y [T][K] normalised. Frames whose blank reaches `cut` part the utterance into sections,
// each solved alone; cut > 0 (ln 1) for none. found: sizes [most], tokens [most][T], scores [most]; *count answers
API const char* ctc_prefix_search(const double* y, int64_t frames, int64_t classes, int64_t blank, double cut, int64_t most,
                                  int64_t limit, int64_t* count, int64_t* sizes, int32_t* tokens, double* scores) {
    if (frames < 0 || classes < 1 || blank < 0 || blank >= classes || most < 1 || limit < 1) return "shapes are wrong";
    *count = 0;
    try {
        PrefixSearch search;
        std::vector<Labelling> whole, part;
        bool one = cut > 0;
        if (!one) whole.push_back({0, {}});
        int64_t first = 0;
        for (int64_t t = 0; t <= frames; t++) {
            bool cuts = t < frames && y[t * classes + blank] >= cut && !one;
            if (t < frames && !cuts) continue;
            if (one || t > first) {
                if (!search.run(y, first, t, classes, blank, one ? most : 1, limit, part))
                    return "its likeliest labelling is not settled within the limit of prefixes; cut at a lower blank "
                           "threshold, or raise the limit";
                if (one) whole = part;
                else if (!part.empty()) {
                    whole[0].score += part[0].score;
                    whole[0].tokens.insert(whole[0].tokens.end(), part[0].tokens.begin(), part[0].tokens.end());
                }
            }
            if (cuts) whole[0].score += y[t * classes + blank];
            first = t + 1;
        }
        for (const Labelling& each : whole) {
            scores[*count] = each.score;
            sizes[*count] = int64_t(each.tokens.size());
            std::copy(each.tokens.begin(), each.tokens.end(), tokens + *count * frames);
            ++*count;
        }
    } catch (const std::bad_alloc&) {
        return FULL;
    }
    return nullptr;
}

API const char* ctc_token_passing(const PassingSettings* settings, const double* y, int64_t frames, double* score,
                                  int64_t* count, int32_t* words) {
    if (const char* bad = wrong(*settings)) return bad;
    try {
        std::vector<int32_t> found;
        *score = TokenPassing(*settings).run(y, frames, found);
        *count = int64_t(found.size());
        std::copy(found.begin(), found.end(), words);
    } catch (const std::bad_alloc&) {
        return FULL;
    }
    return nullptr;
}

// The likeliest path of given labels; *score is -infinity if they do not fit.
API const char* ctc_align(const double* y, int64_t frames, int64_t classes, int64_t blank, const int32_t* labels,
                          int64_t count, double* score, int32_t* starts, int32_t* stops, float* peaks) {
    for (int64_t i = 0; i < count; i++)
        if (labels[i] < 0 || labels[i] >= classes || labels[i] == blank) return "a label is none";
    try {
        *score = align(y, frames, classes, blank, labels, count, starts, stops, peaks);
    } catch (const std::bad_alloc&) {
        return FULL;
    }
    return nullptr;
}
