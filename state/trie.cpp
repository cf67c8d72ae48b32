// SPDX-License-Identifier: Apache-2.0
// Insertion, deletion and hashing of a trie whose untouched parts stay references.
#include "state/trie.hpp"

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

struct Node;

constexpr uint8_t kHashPrefix = 0xa0;  ///< RLP of a string of 32 bytes

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
    void set_hash(const Hash& hash) {
        text[0] = kHashPrefix;
        std::copy(hash.begin(), hash.end(), text.begin() + 1);
        size = 33;
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

size_t head_size(size_t length) {
    return length <= 55         ? 1
           : length <= 0xff     ? 2
           : length <= 0xffff   ? 3
           : length <= 0xffffff ? 4
                                : 5;
}
/// Writes what stands before a payload of `length` bytes: `kind` is 0x80 for strings, 0xc0 for
/// lists.
uint8_t* put_head(uint8_t* to, uint8_t kind, size_t length) {
    const size_t size = head_size(length);
    if (size == 1) {
        *to = static_cast<uint8_t>(kind + length);
    } else {
        *to = static_cast<uint8_t>(kind + 55 + size - 1);
        for (size_t i = size - 1; i > 0; --i, length >>= 8) to[i] = static_cast<uint8_t>(length);
    }
    return to + size;
}
bool is_own_encoding(BytesView value) {
    return value.size() == 1 && value[0] < 0x80;
}
size_t string_size(BytesView value) {
    return is_own_encoding(value) ? 1 : head_size(value.size()) + value.size();
}
uint8_t* put_string(uint8_t* to, BytesView value) {
    if (!is_own_encoding(value)) to = put_head(to, 0x80, value.size());
    return std::copy(value.begin(), value.end(), to);
}

/// The RLP of a node whose children all have their references. Written here, because nearly all the
/// time of a root goes into hashing and writing nodes.
Bytes encode(const Node& node) {
    const Bytes path = node.is_branch() ? Bytes() : encode_path(node.path, node.is_leaf());
    const bool has_value = node.is_branch() || node.is_leaf();
    size_t payload =
        (path.empty() ? 0 : string_size(path)) + (has_value ? string_size(node.value) : 0);
    for (const Ref& child : node.children) payload += std::max<size_t>(child.size, 1);
    Bytes out(head_size(payload) + payload);
    uint8_t* to = put_head(out.data(), 0xc0, payload);
    if (!path.empty()) to = put_string(to, path);
    for (const Ref& child : node.children)
        to =
            child.empty() ? put_head(to, 0x80, 0) : std::copy_n(child.text.begin(), child.size, to);
    if (has_value) to = put_string(to, node.value);
    ASSERT(to == out.data() + out.size());
    return out;
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
    using Levels = std::vector<std::vector<Ref*>>;
    static void collect(Ref& ref, size_t depth, Levels& levels);
    static void hash(Ref& top, NodeMap& out);
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

/// The changed nodes from `ref` down, by their depth.
void Trie::Impl::collect(Ref& ref, size_t depth, Levels& levels) {
    if (ref.size != 0 || !ref.node) return;
    if (levels.size() <= depth) levels.resize(depth + 1);
    levels[depth].push_back(&ref);
    for (Ref& child : ref.node->children) collect(child, depth + 1, levels);
}

/// From the bottom up, so that all nodes of a level can be hashed together.
void Trie::Impl::hash(Ref& top, NodeMap& out) {
    Levels levels;
    collect(top, 0, levels);
    std::vector<Bytes> encoded;
    std::vector<BytesView> messages;
    std::vector<Hash> digests;
    std::vector<Ref*> hashed;
    for (; !levels.empty(); levels.pop_back()) {
        encoded.clear(), messages.clear(), hashed.clear();
        for (Ref* ref : levels.back()) {
            Bytes bytes = encode(*ref->node);
            if (bytes.size() < 32) {
                ref->set_reference(bytes);
                continue;
            }
            encoded.push_back(std::move(bytes));
            hashed.push_back(ref);
        }
        messages.assign(encoded.begin(), encoded.end());
        digests.resize(messages.size());
        keccak256_many(messages, digests);
        for (size_t i = 0; i < hashed.size(); ++i) {
            hashed[i]->set_hash(digests[i]);
            out.emplace(digests[i], std::move(encoded[i]));
        }
    }
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
    out.emplace(digest, Bytes(encoded.begin(), encoded.end()));
    return digest;
}

}  // namespace trainyard::state
