// SPDX-License-Identifier: Apache-2.0
// Counts pairs of neighbouring tokens inside words, and merges the most frequent one again and
// again.
#include "training/tokenizer.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace trainyard::training {

namespace {

using Pair = std::pair<uint16_t, uint16_t>;
using Word = std::vector<uint16_t>;

constexpr uint32_t kTokenizerMagic = 0x31545954;  // "TYT1"

bool is_letter(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte >= 0x80 || byte == '_';
}

/// Length of the first word of a text that is not empty: an optional space and the letters after
/// it, or one other byte.
size_t word_length(BytesView text) {
    size_t end = text[0] == ' ' && text.size() > 1 && is_letter(text[1]) ? 1 : 0;
    if (!is_letter(text[end])) return 1;
    while (end < text.size() && is_letter(text[end]) && end < ProgramLimits::token_bytes_max) ++end;
    return end;
}

void merge_word(Word& word, Pair pair, uint16_t token) {
    size_t to = 0;
    for (size_t i = 0; i < word.size(); ++to)
        if (i + 1 < word.size() && word[i] == pair.first && word[i + 1] == pair.second) {
            word[to] = token;
            i += 2;
        } else {
            word[to] = word[i++];
        }
    word.resize(to);
}

/// Different words with how often they occur, and for each pair its count and the words it is in.
class Trainer {
public:
    explicit Trainer(BytesView text) {
        std::map<Word, uint64_t> counts;
        while (!text.empty()) {
            const size_t n = word_length(text);
            ++counts[Word(text.begin(), text.begin() + static_cast<ptrdiff_t>(n))];
            text = text.subspan(n);
        }
        for (auto& [word, count] : counts) {
            words_.push_back({word, count});
            add_pairs(words_.size() - 1, +1);
        }
    }

    /// The most frequent pair, the smallest of equals; nothing if none occurs twice.
    [[nodiscard]] bool best(Pair& pair) const {
        if (by_count_.empty() || -by_count_.begin()->first < 2) return false;
        pair = by_count_.begin()->second;
        return true;
    }

    void merge(Pair pair, uint16_t token) {
        const std::set<size_t> touched = where_[pair];
        for (const size_t w : touched) {
            add_pairs(w, -1);
            merge_word(words_[w].tokens, pair, token);
            add_pairs(w, +1);
        }
    }

private:
    struct Counted {
        Word tokens;
        uint64_t count;
    };

    void add_pairs(size_t w, int64_t sign) {
        const Counted& word = words_[w];
        for (size_t i = 0; i + 1 < word.tokens.size(); ++i) {
            const Pair pair{word.tokens[i], word.tokens[i + 1]};
            int64_t& count = counts_[pair];
            if (count > 0) by_count_.erase({-count, pair});
            count += sign * static_cast<int64_t>(word.count);
            if (count > 0) by_count_.insert({-count, pair});
            if (sign > 0)
                where_[pair].insert(w);
            else
                where_[pair].erase(w);
        }
    }

    std::vector<Counted> words_;
    std::map<Pair, int64_t> counts_;
    std::map<Pair, std::set<size_t>> where_;
    std::set<std::pair<int64_t, Pair>> by_count_;
};

}  // namespace

uint32_t vocabulary_of(const Tokenizer& tokenizer) {
    return 256 + static_cast<uint32_t>(tokenizer.merges.size());
}

Tokenizer train_tokenizer(BytesView text, uint32_t merges) {
    Tokenizer out;
    Trainer trainer(text);
    Pair pair;
    while (out.merges.size() < std::min(merges, ProgramLimits::merges_max) && trainer.best(pair)) {
        trainer.merge(pair, static_cast<uint16_t>(256 + out.merges.size()));
        out.merges.push_back(pair);
    }
    return out;
}

std::vector<uint16_t> encode_text(const Tokenizer& tokenizer, BytesView text) {
    std::map<Pair, uint16_t> ranks;
    for (size_t i = 0; i < tokenizer.merges.size(); ++i)
        ranks[tokenizer.merges[i]] = static_cast<uint16_t>(256 + i);
    std::map<Word, Word> known;
    std::vector<uint16_t> out;
    while (!text.empty()) {
        const size_t n = word_length(text);
        const Word bytes(text.begin(), text.begin() + static_cast<ptrdiff_t>(n));
        text = text.subspan(n);
        auto it = known.find(bytes);
        if (it == known.end()) {
            Word word = bytes;
            for (;;) {
                uint32_t token = 0x10000;
                for (size_t i = 0; i + 1 < word.size(); ++i)
                    if (const auto found = ranks.find({word[i], word[i + 1]}); found != ranks.end())
                        token = std::min<uint32_t>(token, found->second);
                if (token == 0x10000) break;
                merge_word(word, tokenizer.merges[token - 256], static_cast<uint16_t>(token));
            }
            it = known.emplace(bytes, std::move(word)).first;
        }
        out.insert(out.end(), it->second.begin(), it->second.end());
    }
    return out;
}

Bytes encode_tokenizer(const Tokenizer& tokenizer) {
    Bytes out;
    append_le(out, kTokenizerMagic);
    for (const auto& [left, right] : tokenizer.merges) {
        append_le(out, left);
        append_le(out, right);
    }
    return out;
}

std::optional<Tokenizer> decode_tokenizer(BytesView encoded) {
    if (encoded.size() % 4 != 0 || encoded.size() < 4 ||
        encoded.size() / 4 - 1 > ProgramLimits::merges_max ||
        load_le<uint32_t>(encoded.data()) != kTokenizerMagic)
        return std::nullopt;
    Tokenizer out;
    for (size_t i = 4; i < encoded.size(); i += 4) {
        const Pair pair{load_le<uint16_t>(&encoded[i]), load_le<uint16_t>(&encoded[i + 2])};
        if (std::max(pair.first, pair.second) >= 256 + out.merges.size()) return std::nullopt;
        out.merges.push_back(pair);
    }
    return out;
}

std::vector<Bytes> token_bytes(const Tokenizer& tokenizer) {
    std::vector<Bytes> out;
    for (uint32_t byte = 0; byte < 256; ++byte) out.push_back({static_cast<uint8_t>(byte)});
    for (const auto& [left, right] : tokenizer.merges) {
        Bytes joined = out[left];
        append(joined, out[right]);
        out.push_back(std::move(joined));
    }
    return out;
}

Bytes decode_tokens(const Tokenizer& tokenizer, const std::vector<uint32_t>& tokens) {
    const std::vector<Bytes> bytes = token_bytes(tokenizer);
    Bytes out;
    for (const uint32_t token : tokens)
        if (token < bytes.size()) append(out, bytes[token]);
    return out;
}

}  // namespace trainyard::training
