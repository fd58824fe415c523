// The best prefixes of a beam as whole hypotheses: labels with their times, scores apart.
#pragma once
#include "search_compact.h"

namespace karussell {

struct Answer {
    double score, acoustic, language, boost;
    int64_t whole;                 // 0: a closed vocabulary was left within a word
    std::vector<int32_t> tokens, ends, starts, stops;
    std::vector<float> peaks;
};

// `last`: the text ends here, so last words are completed and ends are scored; else what is likeliest so far. If
// no prefix ends with a whole word, the broken ones are all there is, and marked.
inline bool answers(Beam& beam, int64_t most, bool last, std::vector<Answer>& out) {
    out.clear();
    if (!beam.ask()) return false;
    struct Final {
        double score;
        int32_t entry;
        bool whole;
        Standing standing;
    };
    std::vector<Final> finals;
    bool any = false;
    for (int32_t i = 0; i < int32_t(beam.entries().size()); i++) {
        const Entry& e = beam.entries()[i];
        Final one{0, i, true, beam.nodes()[e.node].standing};
        if (last) {
            one.whole = beam.meaning().finish(one.standing, beam.settings().bounds);
            if (beam.settings().bounds) one.standing.language += beam.ending(e);
        }
        one.score = e.total + one.standing.bonus();
        any = any || one.whole;
        if (e.total > NEVER) finals.push_back(one);
    }
    if (any) std::erase_if(finals, [](const Final& one) { return !one.whole; });
    std::sort(finals.begin(), finals.end(), [](const Final& a, const Final& b) {
        return a.score > b.score || (a.score == b.score && a.entry < b.entry);
    });
    if (int64_t(finals.size()) > most) finals.resize(most);

    for (const Final& one : finals) {
        const Entry& e = beam.entries()[one.entry];
        Answer made{one.score, e.total, one.standing.language, one.standing.boost, one.whole, {}, {}, {}, {}, {}};
        const Path& path = e.at_blank.score >= e.at_label.score ? e.at_blank : e.at_label;
        Run run = path.run;
        for (int32_t at = e.node; beam.nodes()[at].parent >= 0; at = beam.nodes()[at].parent) {
            made.tokens.push_back(beam.nodes()[at].token);
            made.ends.push_back(beam.nodes()[at].ends);
            made.starts.push_back(run.start);
            made.stops.push_back(run.end);
            made.peaks.push_back(run.peak);
            if (run.before >= 0) run = beam.runs()[run.before];
        }
        for (auto* list : {&made.tokens, &made.ends, &made.starts, &made.stops}) std::reverse(list->begin(), list->end());
        std::reverse(made.peaks.begin(), made.peaks.end());
        out.push_back(std::move(made));
    }
    return true;
}

}  // namespace karussell
