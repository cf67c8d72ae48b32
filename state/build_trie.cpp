// SPDX-License-Identifier: Apache-2.0
// A trie from all its keys at once, from the leaves up (Yellow Paper, appendix D).
#include <algorithm>

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/snapshot.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

struct Item {
    Bytes path;  ///< nibbles of the whole key
    const Bytes* value;
};
using Items = std::span<const Item>;

class Builder {
public:
    Builder(std::string_view place, const EmitNode& emit) : place_(place), emit_(emit) {}

    /// The encoding of the node over `items`, which share `depth` nibbles.
    [[nodiscard]] Bytes node(Items items, size_t depth) const {
        const BytesView first = BytesView(items.front().path).subspan(depth);
        if (items.size() == 1) {
            rlp::Writer leaf;
            leaf.begin_list().bytes(encode_path(first, true)).bytes(*items.front().value);
            return leaf.end_list().take();
        }
        // Sorted: what the first and the last share, all share.
        const BytesView last = BytesView(items.back().path).subspan(depth);
        const auto shared = static_cast<size_t>(
            std::mismatch(first.begin(), first.end(), last.begin()).first - first.begin());
        if (shared == 0) return branch(items, depth);
        rlp::Writer extension;
        extension.begin_list().bytes(encode_path(first.first(shared), false));
        return extension.raw(reference(items, depth + shared)).end_list().take();
    }
    void emit(const Hash& hash, BytesView path, const Bytes& encoded) const {
        emit_(hash, place_ + std::string(as_text(path)), encoded);
    }

private:
    [[nodiscard]] Bytes branch(Items items, size_t depth) const {
        rlp::Writer out;
        out.begin_list();
        for (uint8_t nibble = 0; nibble < 16; ++nibble) {
            const auto end = std::find_if(items.begin(), items.end(), [&](const Item& item) {
                return item.path[depth] != nibble;
            });
            const auto count = static_cast<size_t>(end - items.begin());
            if (count == 0)
                out.bytes({});
            else
                out.raw(reference(items.first(count), depth + 1));
            items = items.subspan(count);
        }
        return out.bytes({}).end_list().take();
    }
    [[nodiscard]] Bytes reference(Items items, size_t depth) const {
        Bytes encoded = node(items, depth);
        if (encoded.size() < 32) return encoded;
        const Hash hash = keccak256(encoded);
        emit(hash, BytesView(items.front().path).first(depth), encoded);
        return rlp::Writer().fixed(hash).take();
    }

    const std::string place_;
    const EmitNode& emit_;
};

}  // namespace

Hash build_trie(const std::vector<TrieItem>& sorted, std::string_view place, const EmitNode& emit) {
    if (sorted.empty()) return kEmptyTrieRoot;
    std::vector<Item> items;
    items.reserve(sorted.size());
    for (const TrieItem& item : sorted) {
        DEBUG_ASSERT(items.empty() || items.back().path < to_nibbles(item.key));
        items.push_back({to_nibbles(item.key), &item.value});
    }
    const Builder builder(place, emit);
    const Bytes root = builder.node(items, 0);
    const Hash hash = keccak256(root);
    builder.emit(hash, {}, root);
    return hash;
}

}  // namespace trainyard::state
