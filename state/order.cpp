// SPDX-License-Identifier: Apache-2.0
// A trie walked in order: the keys next to a key, and all nodes.
#include <algorithm>

#include "state/trie.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

using Found = Result<std::optional<Bytes>, TrieError>;

/// Nibbles of the key still to be compared below a node; none: every key there qualifies.
using Rest = std::optional<BytesView>;

/// `a` before `b`, a prefix before what it begins.
bool is_before(BytesView a, BytesView b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

class Step {
public:
    Step(const NodeSource& nodes, std::string_view place, bool up)
        : nodes_(nodes), place_(place), up_(up) {}

    /// The nearest key below the node of `hash`, as nibbles after those of `prefix`.
    [[nodiscard]] Found at_hash(const Hash& hash, const Bytes& prefix, Rest rest) const {
        const std::string place = std::string(place_) + std::string(as_text(prefix));
        const NodePtr encoded = nodes_.node(hash, place);
        if (!encoded) return unexpected(TrieError{TrieError::Kind::missing_node, hash});
        return at_node(*encoded, hash, prefix, rest);
    }

private:
    [[nodiscard]] Found at_node(BytesView encoded, const Hash& hash, const Bytes& prefix,
                                Rest rest) const {
        const auto node = parse_node(encoded);
        if (!node) return unexpected(TrieError{TrieError::Kind::bad_node, hash});
        if (node->children.size() == 16) return at_branch(*node, prefix, rest);
        Bytes key = prefix;
        append(key, node->path);
        if (node->is_leaf) {
            const bool fits =
                !rest || (up_ ? is_before(*rest, node->path) : is_before(node->path, *rest));
            return fits ? std::optional(key) : std::nullopt;
        }
        if (!rest) return at_child(node->children[0], key, rest);
        const size_t length = node->path.size();
        if (rest->size() >= length &&
            std::equal(node->path.begin(), node->path.end(), rest->begin()))
            return at_child(node->children[0], key, rest->subspan(length));
        if (up_ != is_before(*rest, node->path)) return std::optional<Bytes>();
        return at_child(node->children[0], key, std::nullopt);
    }

    [[nodiscard]] Found at_branch(const ParsedNode& node, const Bytes& prefix, Rest rest) const {
        const bool has_value = !node.value.empty();
        if (up_ && !rest && has_value) return std::optional(prefix);
        if (!up_ && rest && rest->empty()) return std::optional<Bytes>();
        // The child on the key's way comes first, then those beyond it as a whole.
        const bool on_way = rest && !rest->empty();
        const int first = on_way ? rest->front() : up_ ? 0 : 15;
        for (int i = first; i >= 0 && i < 16; i += up_ ? 1 : -1) {
            const BytesView child = node.children[static_cast<size_t>(i)];
            if (child.empty()) continue;
            Bytes key = prefix;
            key.push_back(static_cast<uint8_t>(i));
            auto found =
                at_child(child, key, on_way && i == first ? Rest(rest->subspan(1)) : Rest());
            if (!found || *found) return found;
        }
        return !up_ && has_value ? std::optional(prefix) : std::nullopt;
    }

    [[nodiscard]] Found at_child(BytesView reference, const Bytes& prefix, Rest rest) const {
        if (const auto hash = hash_in(reference)) return at_hash(*hash, prefix, rest);
        return at_node(reference, Hash{}, prefix, rest);
    }

    const NodeSource& nodes_;
    const std::string_view place_;
    const bool up_;
};

Found neighbour(const NodeSource& nodes, const Hash& root, BytesView key, std::string_view place,
                bool up) {
    if (root == kEmptyTrieRoot) return std::optional<Bytes>();
    const Bytes nibbles = to_nibbles(key);
    auto found = Step(nodes, place, up).at_hash(root, {}, BytesView(nibbles));
    if (!found || !*found) return found;
    Bytes bytes;
    for (size_t i = 0; i + 1 < (*found)->size(); i += 2)
        bytes.push_back(static_cast<uint8_t>((**found)[i] << 4 | (**found)[i + 1]));
    return std::optional(bytes);
}

class Visit {
public:
    Visit(const NodeSource& nodes, std::string_view place, const VisitNode& visit)
        : nodes_(nodes), place_(place), visit_(visit) {}

    /// False: the visitor has seen enough.
    [[nodiscard]] Result<bool, TrieError> at_hash(const Hash& hash, const Bytes& path) const {
        const NodePtr encoded = nodes_.node(hash, std::string(place_) + std::string(as_text(path)));
        if (!encoded) return unexpected(TrieError{TrieError::Kind::missing_node, hash});
        if (!visit_(hash, encoded, path)) return false;
        return below(*encoded, hash, path);
    }

private:
    [[nodiscard]] Result<bool, TrieError> below(BytesView encoded, const Hash& hash,
                                                const Bytes& path) const {
        const auto node = parse_node(encoded);
        if (!node) return unexpected(TrieError{TrieError::Kind::bad_node, hash});
        for (size_t i = 0; i < node->children.size(); ++i) {
            const BytesView child = node->children[i];
            if (child.empty()) continue;
            Bytes at = path;
            append(at, node->path);
            if (node->children.size() == 16) at.push_back(static_cast<uint8_t>(i));
            const auto inner = hash_in(child);
            const auto more = inner ? at_hash(*inner, at) : below(child, Hash{}, at);
            if (!more || !*more) return more;
        }
        return true;
    }

    const NodeSource& nodes_;
    const std::string_view place_;
    const VisitNode& visit_;
};

}  // namespace

Result<Done, TrieError> visit_nodes(const NodeSource& nodes, const Hash& root,
                                    std::string_view place, const VisitNode& visit) {
    if (root == kEmptyTrieRoot) return Done{};
    const auto more = Visit(nodes, place, visit).at_hash(root, {});
    if (!more) return unexpected(more.error());
    return Done{};
}

Found next_key(const NodeSource& nodes, const Hash& root, BytesView key, std::string_view place) {
    return neighbour(nodes, root, key, place, true);
}

Found previous_key(const NodeSource& nodes, const Hash& root, BytesView key,
                   std::string_view place) {
    return neighbour(nodes, root, key, place, false);
}

}  // namespace trainyard::state
