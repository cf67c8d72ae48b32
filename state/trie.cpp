// SPDX-License-Identifier: Apache-2.0
// Insertion, deletion and hashing of a trie whose untouched parts stay references.
#include "state/trie.hpp"

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

struct Node;

/// A child: its reference (RLP of at most 33 bytes), its node once loaded, or both. Only the node:
/// it has changed since it was hashed. Neither: there is no child.
struct Ref {
    std::array<uint8_t, 33> text{};
    uint8_t size = 0;
    std::unique_ptr<Node> node;

    [[nodiscard]] bool empty() const { return size == 0 && !node; }
    [[nodiscard]] BytesView reference() const { return BytesView(text).first(size); }
    void set_reference(BytesView from) {
        ASSERT(from.size() <= text.size());
        std::copy(from.begin(), from.end(), text.begin());
        size = static_cast<uint8_t>(from.size());
    }
};

struct Node {
    Bytes path;                 ///< nibbles; of leaves and extensions
    Bytes value;                ///< of leaves and, rarely, branches; empty: none
    std::vector<Ref> children;  ///< none: leaf; 1: extension; 16: branch

    [[nodiscard]] bool is_leaf() const { return children.empty(); }
    [[nodiscard]] bool is_branch() const { return children.size() == 16; }
};

std::unique_ptr<Node> make_leaf(BytesView path, BytesView value) {
    return std::make_unique<Node>(
        Node{{path.begin(), path.end()}, {value.begin(), value.end()}, {}});
}

/// `child` behind `path`, with no node of its own for an empty path.
Ref make_extension(BytesView path, Ref child) {
    if (path.empty()) return child;
    Ref ref;
    ref.node = std::make_unique<Node>(Node{{path.begin(), path.end()}, {}, {}});
    ref.node->children.push_back(std::move(child));
    return ref;
}

size_t common_length(BytesView a, BytesView b) {
    return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                               a.begin());
}

using Changed = Result<bool, TrieError>;

}  // namespace

struct Trie::Impl {
    const NodeSource& nodes;
    Ref root;

    [[nodiscard]] Result<Done, TrieError> load(Ref& ref) const;
    [[nodiscard]] Result<const Bytes*, TrieError> find(BytesView path);
    [[nodiscard]] Changed insert(Ref& ref, BytesView path, BytesView value) const;
    [[nodiscard]] Changed insert_below(Ref& ref, BytesView path, BytesView value) const;
    [[nodiscard]] Changed erase(Ref& ref, BytesView path) const;
    [[nodiscard]] Changed erase_below(Ref& ref, BytesView path) const;
    [[nodiscard]] Changed tidy(Ref& ref) const;
    static void split(Ref& ref, size_t common, BytesView path, BytesView value);
    static void merge_extension(Ref& ref);
    static void hash(Ref& ref, NodeMap& out);
};

Result<Done, TrieError> Trie::Impl::load(Ref& ref) const {
    if (ref.node) return Done{};
    Bytes encoded;
    const auto hash = hash_in(ref.reference());
    if (hash) {
        auto found = nodes.node(*hash);
        if (!found) return unexpected(TrieError{TrieError::Kind::missing_node, *hash});
        encoded = *std::move(found);
    } else {
        append(encoded, ref.reference());
    }
    auto parsed = parse_node(encoded);
    if (!parsed) return unexpected(TrieError{TrieError::Kind::bad_node, hash ? *hash : Hash{}});
    auto node = std::make_unique<Node>();
    node->path = std::move(parsed->path);
    node->value.assign(parsed->value.begin(), parsed->value.end());
    node->children.resize(parsed->children.size());
    for (size_t i = 0; i < parsed->children.size(); ++i)
        node->children[i].set_reference(parsed->children[i]);
    ref.node = std::move(node);
    return Done{};
}

/// The value at the end of `path`, or nullptr.
Result<const Bytes*, TrieError> Trie::Impl::find(BytesView path) {
    const Bytes* const none = nullptr;
    for (Ref* at = &root; !at->empty();) {
        if (const auto loaded = load(*at); !loaded) return unexpected(loaded.error());
        Node& node = *at->node;
        if (common_length(node.path, path) != node.path.size()) return none;
        path = path.subspan(node.path.size());
        if (node.is_leaf() || (node.is_branch() && path.empty()))
            return path.empty() && !node.value.empty() ? &node.value : none;
        at = &node.children[node.is_branch() ? path[0] : 0];
        if (node.is_branch()) path = path.subspan(1);
    }
    return none;
}

/// Turns a leaf or extension that shares only `common` nibbles with `path` into a branch.
void Trie::Impl::split(Ref& ref, size_t common, BytesView path, BytesView value) {
    Node& old = *ref.node;
    Ref fork;
    fork.node = std::make_unique<Node>();
    Node& branch = *fork.node;
    branch.children.resize(16);
    const BytesView shared = BytesView(path).first(common), old_path(old.path);
    if (old_path.size() == common) {
        branch.value = old.value;
    } else {
        const BytesView rest = old_path.subspan(common + 1);
        Ref& place = branch.children[old_path[common]];
        if (old.is_leaf())
            place.node = make_leaf(rest, old.value);
        else
            place = make_extension(rest, std::move(old.children[0]));
    }
    if (path.size() == common)
        branch.value.assign(value.begin(), value.end());
    else
        branch.children[path[common]].node = make_leaf(path.subspan(common + 1), value);
    ref = make_extension(shared, std::move(fork));
}

Changed Trie::Impl::insert(Ref& ref, BytesView path, BytesView value) const {
    if (ref.empty()) {
        ref.node = make_leaf(path, value);
        return true;
    }
    if (const auto loaded = load(ref); !loaded) return unexpected(loaded.error());
    auto changed = insert_below(ref, path, value);
    if (changed && *changed) ref.size = 0;
    return changed;
}

Changed Trie::Impl::insert_below(Ref& ref, BytesView path, BytesView value) const {
    Node& node = *ref.node;
    if (node.is_branch() && !path.empty())
        return insert(node.children[path[0]], path.subspan(1), value);
    const size_t common = common_length(node.path, path);
    const bool is_extension = !node.is_leaf() && !node.is_branch();
    if (is_extension && common == node.path.size())
        return insert(node.children[0], path.subspan(common), value);
    if (is_extension || common != node.path.size() || common != path.size()) {
        split(ref, common, path, value);
        return true;
    }
    if (std::equal(value.begin(), value.end(), node.value.begin(), node.value.end())) return false;
    node.value.assign(value.begin(), value.end());
    return true;
}

Changed Trie::Impl::erase(Ref& ref, BytesView path) const {
    if (ref.empty()) return false;
    if (const auto loaded = load(ref); !loaded) return unexpected(loaded.error());
    auto changed = erase_below(ref, path);
    if (!changed || !*changed) return changed;
    ref.size = 0;
    return ref.node ? tidy(ref) : changed;
}

/// Takes the value away; the shape of `ref` itself is left to tidy(), save for a leaf that goes.
Changed Trie::Impl::erase_below(Ref& ref, BytesView path) const {
    Node& node = *ref.node;
    if (node.is_branch() && !path.empty()) return erase(node.children[path[0]], path.subspan(1));
    if (node.is_branch()) {
        if (node.value.empty()) return false;
        node.value.clear();
        return true;
    }
    const size_t common = common_length(node.path, path);
    if (common != node.path.size()) return false;
    if (!node.is_leaf()) return erase(node.children[0], path.subspan(common));
    if (common != path.size()) return false;
    ref = {};
    return true;
}

/// Restores the one canonical shape after something below has gone. Always changed, unless an
/// error.
Changed Trie::Impl::tidy(Ref& ref) const {
    Node& node = *ref.node;
    if (node.is_leaf()) return true;
    if (!node.is_branch()) {
        merge_extension(ref);
        return true;
    }
    size_t count = 0, last = 0;
    for (size_t i = 0; i < 16; ++i)
        if (!node.children[i].empty()) ++count, last = i;
    if (count + (node.value.empty() ? 0 : 1) > 1) return true;
    if (count == 0) {
        node.children.clear();
        return true;
    }
    if (const auto loaded = load(node.children[last]); !loaded) return unexpected(loaded.error());
    const auto nibble = static_cast<uint8_t>(last);
    ref = make_extension({&nibble, 1}, std::move(node.children[last]));
    merge_extension(ref);
    return true;
}

/// An extension swallows a child that is a leaf or an extension. Its child is loaded here, or a
/// reference to a branch that nobody touched.
void Trie::Impl::merge_extension(Ref& ref) {
    Node& node = *ref.node;
    Ref& child = node.children[0];
    if (child.empty()) {
        ref = {};
        return;
    }
    if (!child.node || child.node->is_branch()) return;
    auto below = std::move(child.node);
    below->path.insert(below->path.begin(), node.path.begin(), node.path.end());
    ref.node = std::move(below);
}

void Trie::Impl::hash(Ref& ref, NodeMap& out) {
    if (ref.size != 0 || !ref.node) return;
    Node& node = *ref.node;
    rlp::Writer writer;
    writer.begin_list();
    if (!node.is_branch()) writer.bytes(encode_path(node.path, node.is_leaf()));
    for (Ref& child : node.children) {
        hash(child, out);
        if (child.empty())
            writer.bytes({});
        else
            writer.raw(child.reference());
    }
    if (node.is_branch() || node.is_leaf()) writer.bytes(node.value);
    Bytes encoded = writer.end_list().take();
    if (encoded.size() < 32) return ref.set_reference(encoded);
    const Hash digest = keccak256(encoded);
    out.insert_or_assign(digest, std::move(encoded));
    ref.text[0] = 0xa0;
    std::copy(digest.begin(), digest.end(), ref.text.begin() + 1);
    ref.size = 33;
}

Trie::Trie(const NodeSource& nodes, const Hash& root) : impl_(new Impl{nodes, {}}) {
    if (root == kEmptyTrieRoot) return;
    rlp::Writer reference;
    impl_->root.set_reference(reference.fixed(root).take());
}

Trie::~Trie() = default;
Trie::Trie(Trie&&) noexcept = default;
Trie& Trie::operator=(Trie&&) noexcept = default;

Result<std::optional<Bytes>, TrieError> Trie::get(BytesView key) {
    const auto found = impl_->find(to_nibbles(key));
    if (!found) return unexpected(found.error());
    return *found == nullptr ? std::optional<Bytes>() : std::optional(**found);
}

Result<Done, TrieError> Trie::put(BytesView key, BytesView value) {
    const Bytes path = to_nibbles(key);
    const auto changed =
        value.empty() ? impl_->erase(impl_->root, path) : impl_->insert(impl_->root, path, value);
    if (!changed) return unexpected(changed.error());
    return Done{};
}

Hash Trie::commit(NodeMap& out) {
    Ref& root = impl_->root;
    if (root.empty()) return kEmptyTrieRoot;
    Impl::hash(root, out);
    if (const auto hash = hash_in(root.reference())) return *hash;
    // A root is referred to by its hash however short it is.
    const BytesView encoded = root.reference();
    const Hash digest = keccak256(encoded);
    out.insert_or_assign(digest, Bytes(encoded.begin(), encoded.end()));
    return digest;
}

}  // namespace trainyard::state
