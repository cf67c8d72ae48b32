// SPDX-License-Identifier: Apache-2.0
// A byte-pair tokenizer trained deterministically: docs/spec/data.md, section 3.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "training/program.hpp"

namespace trainyard::training {

/// Tokens of text without merges are its bytes.
[[nodiscard]] uint32_t vocabulary_of(const Tokenizer& tokenizer);

/// Trains up to `merges` merges on the words of `text`; fewer if no pair occurs twice. The same
/// text gives the same merges everywhere: the most frequent pair wins, the smaller one if two are
/// equal.
[[nodiscard]] Tokenizer train_tokenizer(BytesView text, uint32_t merges);

/// Tokens of a text: its words one by one, in each the earliest merge first, left to right.
[[nodiscard]] std::vector<uint16_t> encode_text(const Tokenizer& tokenizer, BytesView text);
/// The bytes of tokens; a token beyond the vocabulary has none.
[[nodiscard]] Bytes decode_tokens(const Tokenizer& tokenizer, const std::vector<uint32_t>& tokens);
/// "TYT1" and two little-endian uint16 per merge; nothing if it is not that, or a merge names a
/// later token.
[[nodiscard]] Bytes encode_tokenizer(const Tokenizer& tokenizer);
[[nodiscard]] std::optional<Tokenizer> decode_tokenizer(BytesView encoded);
/// The bytes of every token.
[[nodiscard]] std::vector<Bytes> token_bytes(const Tokenizer& tokenizer);

}  // namespace trainyard::training
