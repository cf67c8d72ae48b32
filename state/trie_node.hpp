// SPDX-License-Identifier: Apache-2.0
// The bytes of one trie node: nibble paths in hex-prefix form, references to children.
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::state {

/// At most 16 references, without a heap block of their own.
class Children {
public:
    [[nodiscard]] size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] const BytesView& operator[](size_t i) const { return views_[i]; }
    void push_back(BytesView view) { views_[size_++] = view; }

private:
    std::array<BytesView, 16> views_{};
    size_t size_ = 0;
};

/// A node as read, with views into its RLP.
struct ParsedNode {
    bool is_leaf = false;
    Bytes path;         ///< nibbles; of leaves and extensions
    Children children;  ///< references: none in a leaf, 1 in an extension, 16 in a branch
    BytesView value;    ///< of a leaf, or the empty string or value of a branch
};

/// nullopt unless `rlp` is one canonical node. A child that is absent is an empty view.
[[nodiscard]] std::optional<ParsedNode> parse_node(BytesView rlp);

/// The hash in a reference, or nullopt where the child itself stands in its place.
[[nodiscard]] std::optional<Hash> hash_in(BytesView reference);

[[nodiscard]] Bytes to_nibbles(BytesView key);
/// Hex-prefix encoding (Yellow Paper, appendix C).
[[nodiscard]] Bytes encode_path(BytesView nibbles, bool is_leaf);

}  // namespace trainyard::state
