// The words of a model in the making, numbered in the order they come: 0 <unk>, 1 <s>, 2 </s>, then the others.
#pragma once
#include "ngram_file.h"
#include "ngram_trie.h"

namespace karussell {

// whether bytes are well-formed UTF-8
inline bool ngram_utf8(const char* text, uint64_t bytes) {
    const uint8_t *at = reinterpret_cast<const uint8_t*>(text), *end = at + bytes;
    while (at < end) {
        uint8_t lead = *at++;
        if (lead < 0x80) continue;
        int more = lead >= 0xc2 && lead <= 0xdf ? 1 : (lead & 0xf0) == 0xe0 ? 2 : lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
        if (!more || end - at < more) return false;
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) return false;
        for (int i = 1; i < more; i++)
            if ((at[i] & 0xc0) != 0x80) return false;
        at += more;
    }
    return true;
}

// what stands between words of a text, as KenLM has it
inline bool ngram_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == 0; }

class NgramWords {
  public:
    static constexpr uint32_t BEGIN = 1, END = 2;
    static constexpr uint64_t LONGEST = 1 << 16;

    NgramWords() : slots_(16) {
        offsets_.push_back(0);
        for (const char* word : {"<unk>", "<s>", "</s>"}) add(word, std::strlen(word));
    }

    uint32_t size() const { return uint32_t(offsets_.size() - 1); }
    const std::string& text() const { return text_; }
    const std::vector<uint32_t>& offsets() const { return offsets_; }
    const std::vector<uint32_t>& slots() const { return slots_; }
    std::string word(uint32_t number) const {
        return text_.substr(offsets_[number], offsets_[number + 1] - offsets_[number]);
    }

    // the number of a word, or NgramTrie::ROOT
    uint32_t find(const char* word, uint64_t bytes) const {
        uint32_t found = slots_[slot(word, bytes)];
        return found ? found - 1 : NgramTrie::ROOT;
    }

    // the same, a new word gets the next number
    uint32_t add(const char* word, uint64_t bytes) {
        uint32_t at = slot(word, bytes);
        if (slots_[at]) return slots_[at] - 1;
        if (bytes > LONGEST) throw NgramError("a word is longer than 65,536 bytes; words are divided by spaces");
        if (!ngram_utf8(word, bytes)) throw NgramError("a word is not UTF-8; convert the file, for example with iconv");
        if (text_.size() + bytes > 0xffffffffull || size() > (1u << 30))
            throw NgramError("there are more different words than a model can hold");
        text_.append(word, bytes);
        offsets_.push_back(uint32_t(text_.size()));
        slots_[at] = size();
        if (uint64_t(size()) * 2 > slots_.size()) grow();
        return size() - 1;
    }

  private:
    uint32_t slot(const char* word, uint64_t bytes) const {
        uint32_t mask = uint32_t(slots_.size()) - 1, at = uint32_t(ngram_hash(word, bytes)) & mask;
        for (; slots_[at]; at = (at + 1) & mask) {
            uint32_t found = slots_[at] - 1, begin = offsets_[found];
            if (offsets_[found + 1] - begin == bytes && std::memcmp(text_.data() + begin, word, bytes) == 0) break;
        }
        return at;
    }

    void grow() {
        slots_.assign(slots_.size() * 2, 0);
        for (uint32_t number = 0; number < size(); number++) {
            uint32_t begin = offsets_[number];
            slots_[slot(text_.data() + begin, offsets_[number + 1] - begin)] = number + 1;
        }
    }

    std::string text_;
    std::vector<uint32_t> offsets_, slots_;
};

}  // namespace karussell
