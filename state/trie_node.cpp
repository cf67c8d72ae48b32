// SPDX-License-Identifier: Apache-2.0
// Strict reading of trie nodes, since proofs come from anybody.
#include "state/trie_node.hpp"

#include "core/rlp.hpp"

namespace trainyard::state {
namespace {

constexpr size_t kEmbeddedMax = 31;  ///< a node of 32 bytes or more is referred to by its hash
constexpr uint8_t kOdd = 1, kLeaf = 2;

void put_nibbles(BytesView key, uint8_t* to) {
    for (const uint8_t b : key) {
        *to++ = b >> 4;
        *to++ = b & 15;
    }
}

/// One reference; false if it is neither absent, nor a hash, nor a short node.
bool read_child(rlp::Reader& in, ParsedNode& node) {
    const bool embedded = in.next_is_list();
    const auto reference = in.raw();
    if (!reference) return false;
    if (embedded ? reference->size() > kEmbeddedMax
                 : reference->size() != 1 && !hash_in(*reference))
        return false;
    const bool absent = !embedded && reference->size() == 1;
    if (absent && reference->front() != 0x80) return false;
    node.children.push_back(absent ? BytesView{} : *reference);
    return true;
}

bool read_path(BytesView encoded, ParsedNode& node) {
    if (encoded.empty() || (encoded[0] >> 4) > (kOdd | kLeaf)) return false;
    const uint8_t flags = encoded[0] >> 4;
    const size_t odd = flags & kOdd;
    if (odd == 0 && (encoded[0] & 15) != 0) return false;
    node.is_leaf = (flags & kLeaf) != 0;
    node.path.resize(2 * (encoded.size() - 1) + odd);
    if (odd != 0) node.path[0] = encoded[0] & 15;
    put_nibbles(encoded.subspan(1), node.path.data() + odd);
    return true;
}

bool read_short(rlp::Reader& in, ParsedNode& node) {
    const auto path = in.bytes();
    if (!path || !read_path(*path, node)) return false;
    if (!node.is_leaf)
        return !node.path.empty() && read_child(in, node) && !node.children[0].empty();
    const auto value = in.bytes();
    if (!value || value->empty()) return false;
    node.value = *value;
    return true;
}

/// A branch's child that is a hash or absent, as nearly all are, without a reader.
bool take_plain_child(BytesView& rest, ParsedNode& node) {
    if (rest.empty()) return false;
    const size_t size = rest[0] == 0xa0 ? 33 : 1;
    if ((size == 1 && rest[0] != 0x80) || rest.size() < size) return false;
    node.children.push_back(size == 1 ? BytesView{} : rest.first(size));
    rest = rest.subspan(size);
    return true;
}

bool read_branch(rlp::Reader& in, ParsedNode& node) {
    BytesView rest = in.rest();
    while (node.children.size() < 16) {
        if (take_plain_child(rest, node)) continue;
        rlp::Reader reader(rest);
        if (!read_child(reader, node)) return false;
        rest = reader.rest();
    }
    in = rlp::Reader(rest);
    const auto value = in.bytes();
    if (!value) return false;
    node.value = *value;
    return true;
}

/// All children hashes or absent and no value: nearly every branch. Nothing else reads like it.
bool is_plain_branch(BytesView rest, ParsedNode& node) {
    while (node.children.size() < 16)
        if (!take_plain_child(rest, node)) return false;
    return rest.size() == 1 && rest[0] == 0x80;
}

bool has_two_items(rlp::Reader in) {
    return in.raw() && in.raw() && in.at_end();
}

}  // namespace

std::optional<ParsedNode> parse_node(BytesView rlp) {
    rlp::Reader outer(rlp);
    auto in = outer.list();
    if (!in || !outer.at_end()) return std::nullopt;
    ParsedNode node;
    if (is_plain_branch(in->rest(), node)) return node;
    node = {};
    const bool is_short = has_two_items(*in);
    const bool good = is_short ? read_short(*in, node) : read_branch(*in, node);
    if (!good || !in->at_end()) return std::nullopt;
    return node;
}

std::optional<Hash> hash_in(BytesView reference) {
    if (reference.size() != 33 || reference[0] != 0xa0) return std::nullopt;
    return fixed_from<Hash>(reference.subspan(1));
}

Bytes to_nibbles(BytesView key) {
    Bytes nibbles(2 * key.size());
    put_nibbles(key, nibbles.data());
    return nibbles;
}

Bytes encode_path(BytesView nibbles, bool is_leaf) {
    const bool odd = nibbles.size() % 2 != 0;
    uint8_t first = static_cast<uint8_t>((is_leaf ? kLeaf : 0) | (odd ? kOdd : 0)) << 4;
    if (odd) first |= nibbles[0];
    Bytes out{first};
    for (size_t i = odd ? 1 : 0; i < nibbles.size(); i += 2)
        out.push_back(static_cast<uint8_t>(nibbles[i] << 4 | nibbles[i + 1]));
    return out;
}

}  // namespace trainyard::state
