// SPDX-License-Identifier: Apache-2.0
// Insertion, deletion and hashing of a trie whose untouched parts stay references.
#include "state/trie.hpp"

#include <atomic>
#include <deque>
#include <iterator>
#include <memory>
#include <memory_resource>

#include "core/assert.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

struct Node;

constexpr uint8_t kHashPrefix = 0xa0;    ///< RLP of a string of 32 bytes
constexpr size_t kSideBySideLeast = 64;  ///< keys, below which threads cost more than they give

/// A child: its reference (the RLP of its hash, or of itself if that is short), its node once
/// loaded, or both. Only the node: it has changed since it was hashed. Neither: there is no child.
struct Ref {
    const uint8_t* text = nullptr;  ///< in an arena, or in what its parent was read from
    Node* node = nullptr;

    [[nodiscard]] bool empty() const { return text == nullptr && node == nullptr; }
    [[nodiscard]] size_t size() const { return text == nullptr ? 0 : 1 + (*text & kLengthBits); }
    [[nodiscard]] BytesView reference() const { return {text, size()}; }

private:
    /// Of the first byte: 0x80 + 32 for a hash, 0xc0 + n for a node of n < 31 bytes.
    static constexpr uint8_t kLengthBits = 0x3f;
};

/// A node as it was read, by which superseded ones are known.
struct Origin {
    StaleNode id;
    NodePtr encoded;       ///< nodes point into it
    bool is_kept = false;  ///< it is still part of the trie
};

/// Lies in an arena with all it points to, or points into what it was read from.
struct Node {
    BytesView path;            ///< nibbles; of leaves and extensions
    BytesView value;           ///< of leaves and, rarely, branches; empty: none
    std::span<Ref> children;   ///< none: leaf; 1: extension; 16: branch
    Origin* origin = nullptr;  ///< where it was read, if it stands there still

    [[nodiscard]] bool is_leaf() const { return children.empty(); }
    [[nodiscard]] bool is_branch() const { return children.size() == 16; }
};

/// Memory of one thread's nodes, which all go together.
class Arena {
public:
    [[nodiscard]] BytesView copy(BytesView from) { return join(from, {}); }
    [[nodiscard]] BytesView join(BytesView a, BytesView b) {
        if (a.empty() && b.empty()) return {};
        auto* to = static_cast<uint8_t*>(memory_.allocate(a.size() + b.size(), 1));
        std::copy(b.begin(), b.end(), std::copy(a.begin(), a.end(), to));
        return {to, a.size() + b.size()};
    }
    [[nodiscard]] const uint8_t* make_hash_reference(const Hash& hash) {
        return join({&kHashPrefix, 1}, hash.bytes).data();
    }
    [[nodiscard]] Node* make_node(size_t children) {
        Node* node = new (memory_.allocate(sizeof(Node), alignof(Node))) Node;
        if (children == 0) return node;
        auto* refs = static_cast<Ref*>(memory_.allocate(children * sizeof(Ref), alignof(Ref)));
        std::uninitialized_value_construct_n(refs, children);
        node->children = {refs, children};
        return node;
    }
    [[nodiscard]] Node* make_leaf(BytesView path, BytesView value) {
        Node* leaf = make_node(0);
        leaf->path = copy(path);
        leaf->value = copy(value);
        return leaf;
    }
    /// `child` behind `path`, with no node of its own for an empty path.
    [[nodiscard]] Ref make_extension(BytesView path, const Ref& child) {
        if (path.empty()) return child;
        Ref ref;
        ref.node = make_node(1);
        ref.node->path = copy(path);
        ref.node->children[0] = child;
        return ref;
    }
    [[nodiscard]] Origin* make_origin(const Hash& hash, const std::string& place, NodePtr encoded) {
        return &origins_.emplace_back(Origin{{hash, place}, std::move(encoded)});
    }
    [[nodiscard]] std::deque<Origin>& origins() { return origins_; }

private:
    static constexpr size_t kFirstBytes = 4 << 10;
    std::pmr::monotonic_buffer_resource memory_{kFirstBytes};
    std::deque<Origin> origins_;
};

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
    for (const Ref& child : node.children) payload += std::max<size_t>(child.size(), 1);
    Bytes out(head_size(payload) + payload);
    uint8_t* to = put_head(out.data(), 0xc0, payload);
    if (!path.empty()) to = put_string(to, path);
    for (const Ref& child : node.children)
        to = child.empty() ? put_head(to, 0x80, 0) : std::copy_n(child.text, child.size(), to);
    if (has_value) to = put_string(to, node.value);
    ASSERT(to == out.data() + out.size());
    return out;
}

using Changed = Result<bool, TrieError>;

/// The nibbles of a hash.
class Path {
public:
    explicit Path(const Hash& key) {
        for (size_t i = 0; i < key.size(); ++i) {
            nibbles_[2 * i] = key[i] >> 4;
            nibbles_[2 * i + 1] = key[i] & 15;
        }
    }
    [[nodiscard]] BytesView view() const { return nibbles_; }

private:
    std::array<uint8_t, 2 * Hash::size()> nibbles_;
};

/// Indices of keys by their first nibble, each of which is sorted by whoever works on it.
class ByNibble {
public:
    explicit ByNibble(std::span<const Hash> keys) : keys_(keys) {
        for (uint32_t i = 0; i < keys.size(); ++i) parts_[keys[i][0] >> 4].push_back(i);
    }
    [[nodiscard]] std::span<const uint32_t> sorted(uint8_t nibble) {
        auto& part = parts_[nibble];
        std::sort(part.begin(), part.end(),
                  [&](uint32_t a, uint32_t b) { return keys_[a] < keys_[b]; });
        return part;
    }

private:
    const std::span<const Hash> keys_;
    std::array<std::vector<uint32_t>, 16> parts_;
};

/// One thread's way through the trie.
struct Walk {
    std::string place;  ///< of the node at hand
    Arena& arena;
};

/// Goes down by some nibbles for as long as it lives.
class Descent {
public:
    Descent(Walk& walk, BytesView nibbles) : walk_(walk), before_(walk.place.size()) {
        walk.place += as_text(nibbles);
    }
    ~Descent() { walk_.place.resize(before_); }
    Descent(const Descent&) = delete;
    Descent& operator=(const Descent&) = delete;

private:
    Walk& walk_;
    const size_t before_;
};

struct ChangedNode {
    Ref* ref;
    std::string place;
};
using Levels = std::vector<std::vector<ChangedNode>>;

void mark_kept(const Node& node) {
    if (node.origin != nullptr) node.origin->is_kept = true;
    for (const Ref& child : node.children)
        if (child.node) mark_kept(*child.node);
}

/// The changed nodes from `ref` down, by their depth; what was only read is marked as kept.
void collect(Ref& ref, const std::string& place, size_t depth, Levels& levels) {
    if (!ref.node) return;
    if (ref.text != nullptr) return mark_kept(*ref.node);
    if (levels.size() <= depth) levels.resize(depth + 1);
    levels[depth].push_back({&ref, place});
    Node& node = *ref.node;
    for (size_t i = 0; i < node.children.size(); ++i) {
        if (!node.children[i].node) continue;
        std::string below = place;
        if (node.is_branch())
            below.push_back(static_cast<char>(i));
        else
            below += as_text(node.path);
        collect(node.children[i], below, depth + 1, levels);
    }
}

/// Nodes that were read in `arena` and are in the trie no more; forgets what was read there, which
/// nobody looks at again.
void list_stale(Arena& arena, const NodeMap& fresh, std::vector<StaleNode>& stale) {
    for (Origin& origin : arena.origins())
        if (!origin.is_kept && !fresh.contains(origin.id.hash, origin.id.place))
            stale.push_back(std::move(origin.id));
    arena.origins().clear();
}

/// From the bottom up, so that all nodes of a level can be hashed together.
void hash_levels(Levels levels, NodeMap& out, Arena& arena) {
    std::vector<std::shared_ptr<Bytes>> encoded;
    std::vector<BytesView> messages;
    std::vector<Hash> digests;
    std::vector<ChangedNode*> hashed;
    for (; !levels.empty(); levels.pop_back()) {
        encoded.clear(), messages.clear(), hashed.clear();
        for (ChangedNode& changed : levels.back()) {
            changed.ref->node->origin = nullptr;  // as it was read it is no more
            Bytes bytes = encode(*changed.ref->node);
            if (bytes.size() < 32) {
                changed.ref->text = arena.copy(bytes).data();
                continue;
            }
            encoded.push_back(std::make_shared<Bytes>(std::move(bytes)));
            messages.emplace_back(*encoded.back());
            hashed.push_back(&changed);
        }
        digests.resize(messages.size());
        keccak256_many(messages, digests);
        for (size_t i = 0; i < hashed.size(); ++i) {
            hashed[i]->ref->text = arena.make_hash_reference(digests[i]);
            out.emplace(digests[i], std::move(encoded[i]), std::move(hashed[i]->place));
        }
    }
}

}  // namespace

struct Trie::Impl {
    const NodeSource& nodes;
    const std::string place;
    Ref root;
    std::array<Arena, 17> arenas;  ///< by the first nibble; the last: of all
    static constexpr size_t kRootArena = 16;

    [[nodiscard]] Walk walk_from_root() { return {place, arenas[kRootArena]}; }
    [[nodiscard]] Result<Done, TrieError> load(Ref& ref, Walk& walk) const;
    [[nodiscard]] Result<BytesView, TrieError> find(Ref& from, BytesView path, Walk& walk) const;
    [[nodiscard]] Changed change(Ref& ref, BytesView path, BytesView value, Walk& walk) const {
        return value.empty() ? erase(ref, path, walk) : insert(ref, path, value, walk);
    }
    [[nodiscard]] Changed insert(Ref& ref, BytesView path, BytesView value, Walk& walk) const;
    [[nodiscard]] Changed insert_below(Ref& ref, BytesView path, BytesView value, Walk& walk) const;
    [[nodiscard]] Changed erase(Ref& ref, BytesView path, Walk& walk) const;
    [[nodiscard]] Changed erase_below(Ref& ref, BytesView path, Walk& walk) const;
    [[nodiscard]] Changed tidy(Ref& ref, Walk& walk) const;
    static void split(Ref& ref, size_t common, BytesView path, BytesView value, Arena& arena);
    static void merge_extension(Ref& ref, Arena& arena);
    template <class Each>
    [[nodiscard]] Result<Done, TrieError> for_all(std::span<const Hash> keys,
                                                  const SideBySide& side_by_side, const Each& each);
    void hash(NodeMap& out, std::vector<StaleNode>* stale, const SideBySide& side_by_side);
    void hash_below_root(NodeMap& out, std::vector<StaleNode>* stale,
                         const SideBySide& side_by_side);
};

Result<Done, TrieError> Trie::Impl::load(Ref& ref, Walk& walk) const {
    if (ref.node) return Done{};
    BytesView encoded = ref.reference();
    NodePtr kept;
    const auto hash = hash_in(encoded);
    if (hash) {
        kept = nodes.node(*hash, walk.place);
        if (!kept) return unexpected(TrieError{TrieError::Kind::missing_node, *hash});
        encoded = *kept;
    }
    auto parsed = parse_node(encoded);
    if (!parsed) return unexpected(TrieError{TrieError::Kind::bad_node, hash ? *hash : Hash{}});
    Node* node = walk.arena.make_node(parsed->children.size());
    node->path = walk.arena.copy(parsed->path);
    node->value = parsed->value;
    for (size_t i = 0; i < parsed->children.size(); ++i)
        node->children[i].text = parsed->children[i].data();
    if (hash) node->origin = walk.arena.make_origin(*hash, walk.place, std::move(kept));
    ref.node = node;
    return Done{};
}

/// The value at the end of `path`; empty if there is none.
Result<BytesView, TrieError> Trie::Impl::find(Ref& from, BytesView path, Walk& walk) const {
    const Descent back(walk, {});
    const BytesView none;
    for (Ref* at = &from; !at->empty();) {
        if (const auto loaded_now = load(*at, walk); !loaded_now)
            return unexpected(loaded_now.error());
        Node& node = *at->node;
        if (common_length(node.path, path) != node.path.size()) return none;
        path = path.subspan(node.path.size());
        if (node.is_leaf() || (node.is_branch() && path.empty()))
            return path.empty() ? node.value : none;
        walk.place += as_text(node.path);
        at = &node.children[node.is_branch() ? path[0] : 0];
        if (!node.is_branch()) continue;
        walk.place.push_back(static_cast<char>(path[0]));
        path = path.subspan(1);
    }
    return none;
}

/// Turns a leaf or extension that shares only `common` nibbles with `path` into a branch.
void Trie::Impl::split(Ref& ref, size_t common, BytesView path, BytesView value, Arena& arena) {
    const Node& old = *ref.node;
    Ref fork;
    fork.node = arena.make_node(16);
    Node& branch = *fork.node;
    if (old.path.size() == common) {
        branch.value = old.value;
    } else {
        const BytesView rest = old.path.subspan(common + 1);
        Ref& place_of_old = branch.children[old.path[common]];
        if (old.is_leaf())
            place_of_old.node = arena.make_leaf(rest, old.value);
        else
            place_of_old = arena.make_extension(rest, old.children[0]);
    }
    if (path.size() == common)
        branch.value = arena.copy(value);
    else
        branch.children[path[common]].node = arena.make_leaf(path.subspan(common + 1), value);
    ref = arena.make_extension(path.first(common), fork);
}

Changed Trie::Impl::insert(Ref& ref, BytesView path, BytesView value, Walk& walk) const {
    if (ref.empty()) {
        ref.node = walk.arena.make_leaf(path, value);
        return true;
    }
    if (const auto loaded_now = load(ref, walk); !loaded_now) return unexpected(loaded_now.error());
    auto changed = insert_below(ref, path, value, walk);
    if (changed && *changed) ref.text = nullptr;
    return changed;
}

Changed Trie::Impl::insert_below(Ref& ref, BytesView path, BytesView value, Walk& walk) const {
    Node& node = *ref.node;
    if (node.is_branch() && !path.empty()) {
        const Descent down(walk, path.first(1));
        return insert(node.children[path[0]], path.subspan(1), value, walk);
    }
    const size_t common = common_length(node.path, path);
    const bool is_extension = !node.is_leaf() && !node.is_branch();
    if (is_extension && common == node.path.size()) {
        const Descent down(walk, node.path);
        return insert(node.children[0], path.subspan(common), value, walk);
    }
    if (is_extension || common != node.path.size() || common != path.size()) {
        split(ref, common, path, value, walk.arena);
        return true;
    }
    if (std::equal(value.begin(), value.end(), node.value.begin(), node.value.end())) return false;
    node.value = walk.arena.copy(value);
    return true;
}

Changed Trie::Impl::erase(Ref& ref, BytesView path, Walk& walk) const {
    if (ref.empty()) return false;
    if (const auto loaded_now = load(ref, walk); !loaded_now) return unexpected(loaded_now.error());
    auto changed = erase_below(ref, path, walk);
    if (!changed || !*changed) return changed;
    ref.text = nullptr;
    return ref.node ? tidy(ref, walk) : changed;
}

/// Takes the value away; the shape of `ref` itself is left to tidy(), save for a leaf that goes.
Changed Trie::Impl::erase_below(Ref& ref, BytesView path, Walk& walk) const {
    Node& node = *ref.node;
    if (node.is_branch() && !path.empty()) {
        const Descent down(walk, path.first(1));
        return erase(node.children[path[0]], path.subspan(1), walk);
    }
    if (node.is_branch()) {
        if (node.value.empty()) return false;
        node.value = {};
        return true;
    }
    const size_t common = common_length(node.path, path);
    if (common != node.path.size()) return false;
    if (!node.is_leaf()) {
        const Descent down(walk, node.path);
        return erase(node.children[0], path.subspan(common), walk);
    }
    if (common != path.size()) return false;
    ref = {};
    return true;
}

/// Restores the one canonical shape after something below has gone. Always changed, unless an
/// error.
Changed Trie::Impl::tidy(Ref& ref, Walk& walk) const {
    Node& node = *ref.node;
    if (node.is_leaf()) return true;
    if (!node.is_branch()) {
        merge_extension(ref, walk.arena);
        return true;
    }
    size_t count = 0, last = 0;
    for (size_t i = 0; i < 16; ++i)
        if (!node.children[i].empty()) ++count, last = i;
    if (count + (node.value.empty() ? 0 : 1) > 1) return true;
    if (count == 0) {
        if (node.value.empty())
            ref = {};
        else
            node.children = {};
        return true;
    }
    const auto nibble = static_cast<uint8_t>(last);
    {
        const Descent down(walk, {&nibble, 1});
        if (const auto loaded_now = load(node.children[last], walk); !loaded_now)
            return unexpected(loaded_now.error());
    }
    ref = walk.arena.make_extension({&nibble, 1}, node.children[last]);
    merge_extension(ref, walk.arena);
    return true;
}

/// An extension swallows a child that is a leaf or an extension. Its child is loaded here, or a
/// reference to a branch that nobody touched.
void Trie::Impl::merge_extension(Ref& ref, Arena& arena) {
    Node& node = *ref.node;
    Ref& child = node.children[0];
    if (child.empty()) {
        ref = {};
        return;
    }
    if (!child.node || child.node->is_branch()) return;
    Node* below = child.node;
    below->path = arena.join(node.path, below->path);
    below->origin = nullptr;
    ref.node = below;
}

/// Calls `each(index, ref, path, walk)` for every key, in the order of the keys; with threads, for
/// keys of different first nibbles side by side. True results change the root.
template <class Each>
Result<Done, TrieError> Trie::Impl::for_all(std::span<const Hash> keys,
                                            const SideBySide& side_by_side, const Each& each) {
    ByNibble order(keys);
    Walk walk = walk_from_root();
    if (!root.empty())
        if (const auto there = load(root, walk); !there) return unexpected(there.error());
    if (!side_by_side || keys.size() < kSideBySideLeast || !root.node || !root.node->is_branch()) {
        for (uint8_t nibble = 0; nibble < 16; ++nibble)
            for (const uint32_t i : order.sorted(nibble))
                if (const auto done = each(i, root, Path(keys[i]).view(), walk); !done)
                    return unexpected(done.error());
        return Done{};
    }
    std::vector<Changed> results(16, Changed(false));
    std::atomic<uint8_t> next = 0;
    side_by_side([&] {
        for (uint8_t nibble = next++; nibble < 16; nibble = next++) {
            Walk below{place + static_cast<char>(nibble), arenas[nibble]};
            Changed& result = results[nibble];
            for (const uint32_t i : order.sorted(nibble)) {
                const auto done =
                    each(i, root.node->children[nibble], Path(keys[i]).view().subspan(1), below);
                if (!done || *done) result = done;
                if (!done) break;
            }
        }
    });
    bool is_changed = false;
    for (const auto& result : results) {
        if (!result) return unexpected(result.error());
        is_changed |= *result;
    }
    if (!is_changed) return Done{};
    root.text = nullptr;
    const auto tidied = tidy(root, walk);
    return tidied ? Result<Done, TrieError>(Done{}) : unexpected(tidied.error());
}

/// The subtries of the root side by side: what changes below one nibble has its place there, before
/// and after.
void Trie::Impl::hash_below_root(NodeMap& out, std::vector<StaleNode>* stale,
                                 const SideBySide& side_by_side) {
    struct Part {
        NodeMap fresh;
        std::vector<StaleNode> stale;
    };
    std::array<Part, 16> parts;
    std::atomic<size_t> next = 0;
    side_by_side([&] {
        for (size_t nibble = next++; nibble < 16; nibble = next++) {
            Levels levels;
            Ref& child = root.node->children[nibble];
            collect(child, place + static_cast<char>(nibble), 0, levels);
            hash_levels(std::move(levels), parts[nibble].fresh, arenas[nibble]);
            child.node = nullptr;  // the root needs no more of it than its hash
            if (stale != nullptr)
                list_stale(arenas[nibble], parts[nibble].fresh, parts[nibble].stale);
        }
    });
    size_t count = out.size() + 1;
    for (const Part& part : parts) count += part.fresh.size();
    out.reserve(count);
    for (Part& part : parts) {
        out.merge(part.fresh);
        if (stale != nullptr)
            std::move(part.stale.begin(), part.stale.end(), std::back_inserter(*stale));
    }
}

void Trie::Impl::hash(NodeMap& out, std::vector<StaleNode>* stale, const SideBySide& side_by_side) {
    if (root.text == nullptr && root.node && root.node->is_branch() && side_by_side)
        hash_below_root(out, stale, side_by_side);
    Levels levels;
    collect(root, place, 0, levels);
    hash_levels(std::move(levels), out, arenas[kRootArena]);
}

Trie::Trie(const NodeSource& nodes, const Hash& root, std::string_view place)
    : impl_(new Impl{nodes, std::string(place), {}, {}}) {
    if (root != kEmptyTrieRoot)
        impl_->root.text = impl_->arenas[Impl::kRootArena].make_hash_reference(root);
}

Trie::~Trie() = default;
Trie::Trie(Trie&&) noexcept = default;
Trie& Trie::operator=(Trie&&) noexcept = default;

Result<std::optional<Bytes>, TrieError> Trie::get(BytesView key) {
    Walk walk = impl_->walk_from_root();
    const Bytes path = to_nibbles(key);
    const auto found = impl_->find(impl_->root, path, walk);
    if (!found) return unexpected(found.error());
    if (found->empty()) return std::optional<Bytes>();
    return std::optional<Bytes>(std::in_place, found->begin(), found->end());
}

Result<Done, TrieError> Trie::put(BytesView key, BytesView value) {
    Walk walk = impl_->walk_from_root();
    const auto changed = impl_->change(impl_->root, to_nibbles(key), value, walk);
    if (!changed) return unexpected(changed.error());
    return Done{};
}

Result<Done, TrieError> Trie::visit_all(std::span<const Hash> keys, const VisitValue& visit,
                                        const SideBySide& side_by_side) {
    return impl_->for_all(keys, side_by_side,
                          [&](size_t i, Ref& ref, BytesView path, Walk& walk) -> Changed {
                              const auto found = impl_->find(ref, path, walk);
                              if (!found) return unexpected(found.error());
                              visit(i, *found);
                              return false;
                          });
}

Result<Done, TrieError> Trie::change_all(std::span<const Hash> keys, const ChangeValue& change,
                                         const SideBySide& side_by_side) {
    return impl_->for_all(keys, side_by_side,
                          [&](size_t i, Ref& ref, BytesView path, Walk& walk) -> Changed {
                              const auto found = impl_->find(ref, path, walk);
                              if (!found) return unexpected(found.error());
                              const auto value = change(i, *found);
                              return value ? impl_->change(ref, path, *value, walk) : false;
                          });
}

Result<Done, TrieError> Trie::put_all(std::span<const Hash> keys, std::span<const Bytes> values,
                                      const SideBySide& side_by_side) {
    ASSERT(keys.size() == values.size());
    return impl_->for_all(keys, side_by_side, [&](size_t i, Ref& ref, BytesView path, Walk& walk) {
        return impl_->change(ref, path, values[i], walk);
    });
}

Hash Trie::commit(NodeMap& out, std::vector<StaleNode>* stale, const SideBySide& side_by_side) {
    Ref& root = impl_->root;
    Hash digest = kEmptyTrieRoot;
    if (!root.empty()) {
        impl_->hash(out, stale, side_by_side);
        if (const auto hash = hash_in(root.reference())) {
            digest = *hash;
        } else {
            // A root is referred to by its hash however short it is.
            auto encoded =
                std::make_shared<Bytes>(root.reference().begin(), root.reference().end());
            digest = keccak256(*encoded);
            if (!out.contains(digest, impl_->place))
                out.emplace(digest, std::move(encoded), impl_->place);
        }
    }
    if (stale != nullptr)
        for (Arena& arena : impl_->arenas) list_stale(arena, out, *stale);
    return digest;
}

}  // namespace trainyard::state
