// Forgetting what a search will not need again, so that a stream of any length is searched in the memory of its text.
#pragma once
#include "search_beam.h"

namespace karussell {

// What no prefix of the beam refers to is forgotten; numbers keep their order, so ties fall as before.
inline void Beam::compact() {
    std::vector<int32_t*> listed;
    for (Entry& e : entries_) listed.push_back(&e.node);
    nodes_.compact(listed);
    std::vector<Standing*> standings;
    for (int32_t i = 0; i < nodes_.size(); i++) standings.push_back(&nodes_[i].standing);
    meaning_.compact(standings);

    std::vector<int32_t> place(runs_.size(), -1);
    auto mark = [&](int32_t at) {
        for (; at >= 0 && place[at] < 0; at = runs_[at].before) place[at] = 0;
    };
    for (Entry& e : entries_)
        for (Path* path : {&e.at_blank, &e.at_label}) mark(path->run.before), mark(path->kept);
    int32_t kept = 0;
    for (size_t i = 0; i < runs_.size(); i++) {
        if (place[i] < 0) continue;
        place[i] = kept;
        Run run = runs_[i];
        if (run.before >= 0) run.before = place[run.before];
        runs_[kept++] = run;
    }
    runs_.resize(kept);
    for (Entry& e : entries_)
        for (Path* path : {&e.at_blank, &e.at_label})
            for (int32_t* at : {&path->run.before, &path->kept})
                if (*at >= 0) *at = place[*at];
    limit_ = std::max(1 << 16, 2 * std::max(nodes_.size(), kept / 2));
}

}  // namespace karussell
