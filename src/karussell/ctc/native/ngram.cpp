// Language models for Python: a plain C interface, called by lm/native.py.
//
// A function that can fail gives 0, or -1 with a sentence, or errno with the system's words; ngram_error() has both.
// Makers of models (a trainer, a reader of ARPA) are handles: new, feed, write, free.
#include "ngram.h"
#include "ngram_arpa.h"
#include "ngram_estimate.h"
#include "ngram_use.h"
#include "ngram_verify.h"

#define KARUSSELL_API extern "C" __attribute__((visibility("default")))

using namespace karussell;

namespace {

thread_local std::string last_error;

template <class F> int32_t guard(F run) {
    try {
        run();
        return 0;
    } catch (const NgramError& error) {
        last_error = error.what();
        return error.code ? error.code : -1;
    } catch (const std::bad_alloc&) {
        last_error = std::strerror(ENOMEM);
        return ENOMEM;
    } catch (const std::exception& error) {
        last_error = error.what();
        return -1;
    }
}

struct Trainer {
    NgramPlan plan;
    NgramCorpus corpus;
    explicit Trainer(const NgramPlan& plan) : plan(plan), corpus(plan) {}
};

// mirrored in lm/native.py
struct TrainerOptions {
    int64_t order, memory, closed, fall_back;
    int64_t prune[NGRAM_MOST_ORDER];
    double discounts[3];
};

struct TrainerReport {
    uint64_t sentences, tokens, words;
    uint64_t counts[NGRAM_MOST_ORDER];  // n-grams kept
    double discounts[NGRAM_MOST_ORDER][3];
};

struct Facts {
    uint64_t order, words, begin, end, probing, has_text, unknown;
    uint64_t counts[NGRAM_MOST_ORDER];
};

}  // namespace

KARUSSELL_API const char* ngram_error() { return last_error.c_str(); }

// making: from a text

KARUSSELL_API int32_t ngram_trainer_new(const TrainerOptions* options, const char* folder, void** made) {
    return guard([&] {
        NgramPlan plan;
        plan.order = int(options->order);
        plan.memory = uint64_t(options->memory);
        plan.folder = folder;
        plan.closed = options->closed != 0;
        plan.fall_back = options->fall_back != 0;
        for (int k = 0; k < plan.order; k++) plan.prune.push_back(uint64_t(options->prune[k]));
        for (int k = 0; k < 3; k++) plan.discounts[k] = options->discounts[k];
        *made = new Trainer(plan);
    });
}

KARUSSELL_API int32_t ngram_trainer_word(void* trainer, const char* word, uint64_t bytes) {
    return guard([&] { static_cast<Trainer*>(trainer)->corpus.only(word, bytes); });
}

KARUSSELL_API int32_t ngram_trainer_feed(void* trainer, const char* text, uint64_t bytes) {
    return guard([&] { static_cast<Trainer*>(trainer)->corpus.feed(text, bytes); });
}

KARUSSELL_API int32_t ngram_trainer_write(void* trainer, int32_t file, TrainerReport* report) {
    return guard([&] {
        Trainer& self = *static_cast<Trainer*>(trainer);
        self.corpus.end();
        NgramEstimator estimator(self.plan, self.corpus);
        report->sentences = self.corpus.sentences();
        report->tokens = self.corpus.tokens();
        report->words = self.corpus.words().size();
        for (int k = 0; k < self.plan.order; k++) {
            report->counts[k] = estimator.counts()[k].kept;
            for (int d = 0; d < 3; d++) report->discounts[k][d] = estimator.discounts()[k].of[d + 1];
        }
        estimator.write(file);
    });
}

KARUSSELL_API void ngram_trainer_free(void* trainer) { delete static_cast<Trainer*>(trainer); }

// making: from an ARPA file

KARUSSELL_API int32_t ngram_arpa_new(const char* folder, uint64_t memory, void** made) {
    return guard([&] { *made = new NgramArpaReader(folder, memory); });
}

KARUSSELL_API int32_t ngram_arpa_feed(void* reader, const char* text, uint64_t bytes) {
    return guard([&] { static_cast<NgramArpaReader*>(reader)->feed(text, bytes); });
}

KARUSSELL_API int32_t ngram_arpa_write(void* reader, int32_t file) {
    return guard([&] { static_cast<NgramArpaReader*>(reader)->write(file); });
}

KARUSSELL_API void ngram_arpa_free(void* reader) { delete static_cast<NgramArpaReader*>(reader); }

// a model: `verify` is 0 only for memory that was verified before

KARUSSELL_API int32_t ngram_open(const void* data, uint64_t bytes, int32_t verify, void** made) {
    return guard([&] {
        auto model = std::make_unique<Ngram>();
        const char* wrong = verify ? ngram_verify(data, bytes) : nullptr;
        if (!wrong) wrong = model->open(data, bytes);
        if (wrong) throw NgramError(wrong);
        *made = model.release();
    });
}

KARUSSELL_API void ngram_close(void* model) { delete static_cast<Ngram*>(model); }

KARUSSELL_API void ngram_facts(const void* model, Facts* facts) {
    const Ngram& self = *static_cast<const Ngram*>(model);
    *facts = Facts{};
    facts->order = uint64_t(self.order());
    facts->words = self.words();
    facts->begin = self.begin_word();
    facts->end = self.end_word();
    facts->probing = self.probing();
    facts->has_text = self.probing() ? self.tables().has_text() : 1;
    facts->unknown = self.probing() ? 1 : self.trie().header().unknown;
    for (int k = 0; k < self.order() && !self.probing(); k++) facts->counts[k] = self.trie().header().counts[k];
}

// the words one after the other, those of KenLM ended by zeros; `offsets` is null there
KARUSSELL_API const char* ngram_text(const void* model, const uint32_t** offsets, uint64_t* bytes) {
    const Ngram& self = *static_cast<const Ngram*>(model);
    if (self.probing()) {
        *offsets = nullptr;
        *bytes = self.tables().text_bytes();
        return self.tables().text();
    }
    uint32_t ignored;
    *offsets = self.trie().offsets();
    *bytes = self.trie().header().text;
    return self.trie().text(0, ignored);
}

KARUSSELL_API uint32_t ngram_find(const void* model, const char* word, uint64_t bytes) {
    return static_cast<const Ngram*>(model)->find(word, bytes);
}

KARUSSELL_API void ngram_begin(const void* model, NgramState* state) {
    *state = static_cast<const Ngram*>(model)->begin();
}

KARUSSELL_API double ngram_score(const void* model, const NgramState* state, uint32_t word, NgramState* next) {
    return static_cast<const Ngram*>(model)->score(*state, word, *next);
}

// ln p of each word after those before it; `state` is where it begins, and where it ends
KARUSSELL_API void ngram_scores(const void* model, NgramState* state, const uint32_t* words, uint64_t count, double* to) {
    for (uint64_t i = 0; i < count; i++) to[i] = static_cast<const Ngram*>(model)->score(*state, words[i], *state);
}

KARUSSELL_API void ngram_sums(const void* model, const char* text, uint64_t bytes, NgramSums* sums) {
    ngram_measure(*static_cast<const Ngram*>(model), text, bytes, *sums);
}

KARUSSELL_API double ngram_worst_sum(const void* model) {
    const Ngram& self = *static_cast<const Ngram*>(model);
    return self.probing() ? std::nan("") : ngram_normalisation(self.trie());
}

// writing ARPA: pieces until one is empty

KARUSSELL_API int32_t ngram_writer_new(const void* model, void** made) {
    return guard([&] { *made = new NgramArpaWriter(static_cast<const Ngram*>(model)->trie()); });
}

KARUSSELL_API int32_t ngram_writer_next(void* writer, const char** text, uint64_t* bytes) {
    return guard([&] {
        const std::string& piece = static_cast<NgramArpaWriter*>(writer)->next();
        *text = piece.data();
        *bytes = piece.size();
    });
}

KARUSSELL_API void ngram_writer_free(void* writer) { delete static_cast<NgramArpaWriter*>(writer); }

// the checksum that a file of our own form should have: for tests, which change such files on purpose
KARUSSELL_API uint64_t ngram_sign(const char* data, uint64_t bytes) {
    return bytes < NGRAM_SUMMED ? 0 : ngram_checksum(data + NGRAM_SUMMED, bytes - NGRAM_SUMMED);
}
