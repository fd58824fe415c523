// The prefixes a search has kept, as a tree; a prefix is one node, however often it leaves the beam and comes back.
#pragma once
#include <cstdint>
#include <vector>

#include "search_standing.h"

namespace karussell {

struct Node {
    int32_t parent, token;
    int32_t ends;        // the word that ends with this token in writing 2, else -1
    int32_t slot = -1;   // its place in the beam
    Standing standing;
};

class Nodes {
  public:
    void begin(const Standing& standing) {
        nodes_.assign(1, Node{-1, -1, -1, -1, standing});
        table_.assign(1024, -1);
    }

    Node& operator[](int32_t at) { return nodes_[at]; }
    const Node& operator[](int32_t at) const { return nodes_[at]; }
    int32_t size() const { return int32_t(nodes_.size()); }
    int64_t bytes() const { return int64_t(nodes_.capacity() * sizeof(Node) + table_.capacity() * 4); }

    // the child if it is there, else -1
    int32_t find(int32_t parent, int32_t token, int32_t ends) const {
        size_t mask = table_.size() - 1;
        for (size_t at = hash(parent, token, ends) & mask; table_[at] >= 0; at = (at + 1) & mask) {
            const Node& node = nodes_[table_[at]];
            if (node.parent == parent && node.token == token && node.ends == ends) return table_[at];
        }
        return -1;
    }

    int32_t add(int32_t parent, int32_t token, int32_t ends, const Standing& standing) {
        if (2 * nodes_.size() > table_.size()) rehash(2 * table_.size());
        nodes_.push_back(Node{parent, token, ends, -1, standing});
        enter(size() - 1);
        return size() - 1;
    }

    // keeps the nodes on the way from the root to those listed, in their order; `listed` gets the new numbers
    void compact(std::vector<int32_t*>& listed) {
        std::vector<int32_t> place(nodes_.size(), -1);
        for (int32_t* one : listed)
            for (int32_t at = *one; at >= 0 && place[at] < 0; at = nodes_[at].parent) place[at] = 0;
        place[0] = 0;
        int32_t kept = 0;
        for (int32_t i = 0; i < size(); i++) {
            if (place[i] < 0) continue;
            place[i] = kept;
            Node node = nodes_[i];
            if (node.parent >= 0) node.parent = place[node.parent];
            nodes_[kept++] = node;
        }
        nodes_.resize(kept);
        for (int32_t* one : listed) *one = place[*one];
        size_t size = 1024;
        while (size < 4 * size_t(kept)) size *= 2;
        rehash(size);
    }

  private:
    static size_t hash(int32_t parent, int32_t token, int32_t ends) {
        uint64_t h = uint64_t(uint32_t(parent)) * 0x9e3779b97f4a7c15ull ^ uint64_t(uint32_t(token)) * 0xc2b2ae3d27d4eb4full;
        h ^= uint64_t(uint32_t(ends)) * 0x165667b19e3779f9ull;
        return size_t(h ^ (h >> 29));
    }
    void enter(int32_t at) {
        size_t mask = table_.size() - 1, place = hash(nodes_[at].parent, nodes_[at].token, nodes_[at].ends) & mask;
        while (table_[place] >= 0) place = (place + 1) & mask;
        table_[place] = at;
    }
    void rehash(size_t size) {
        table_.assign(size, -1);
        for (int32_t i = 1; i < this->size(); i++) enter(i);
    }

    std::vector<Node> nodes_;
    std::vector<int32_t> table_;  // open addressing, looked up only, never walked
};

// One label of a likeliest path; paths share their beginnings.
struct Run {
    int32_t before, start, end;  // the label before, or -1; frames
    float peak;                  // the greatest log-probability within
};

// The likeliest path of a prefix that ends in a blank, or in its last label; its last run is held here.
struct Path {
    double score = NEVER;
    Run run{-1, 0, 0, 0};
    int32_t kept = -1;  // where the run stands among the runs, once it does
};

}  // namespace karussell
