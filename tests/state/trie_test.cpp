// SPDX-License-Identifier: Apache-2.0
// Tries against a plain recursive model, under random changes; proofs and what they must not
// accept.
#include "state/trie.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "core/rlp.hpp"

namespace trainyard::state {
namespace {

struct ByteOrder {
    bool operator()(const Bytes& a, const Bytes& b) const { return as_text(a) < as_text(b); }
};
using Model = std::map<Bytes, Bytes, ByteOrder>;  ///< key -> value, both not hashed

/// Yellow Paper appendix D word for word: c(I, i) and n(I, i) over a sorted map of nibble strings.
Bytes slow_node(const Model& items, size_t depth);

Bytes slow_path(BytesView nibbles, bool leaf) {
    Bytes out;
    const bool odd = nibbles.size() % 2 != 0;
    const unsigned flags = (leaf ? 2u : 0u) + (odd ? 1u : 0u);
    out.push_back(static_cast<uint8_t>(flags * 16 + (odd ? nibbles[0] : 0)));
    for (size_t i = odd ? 1 : 0; i < nibbles.size(); i += 2)
        out.push_back(static_cast<uint8_t>(nibbles[i] * 16 + nibbles[i + 1]));
    return out;
}

Bytes slow_reference(const Model& items, size_t depth) {
    if (items.empty()) return {0x80};
    const Bytes node = slow_node(items, depth);
    return node.size() < 32 ? node : rlp::Writer().fixed(keccak256(node)).take();
}

size_t shared_prefix(const Model& items) {
    const Bytes& first = items.begin()->first;
    size_t n = first.size();
    for (const auto& [key, value] : items) {
        size_t same = 0;
        while (same < std::min(n, key.size()) && key[same] == first[same]) ++same;
        n = same;
    }
    return n;
}

Bytes slow_node(const Model& items, size_t depth) {
    rlp::Writer out;
    out.begin_list();
    const auto& [first, value] = *items.begin();
    if (items.size() == 1) {
        out.bytes(slow_path(BytesView(first).subspan(depth), true)).bytes(value);
        return out.end_list().take();
    }
    const size_t shared = shared_prefix(items);
    if (shared > depth) {
        out.bytes(slow_path(BytesView(first).subspan(depth, shared - depth), false));
        return out.raw(slow_reference(items, shared)).end_list().take();
    }
    for (uint8_t digit = 0; digit < 16; ++digit) {
        Model below;
        for (const auto& item : items)
            if (item.first.size() > depth && item.first[depth] == digit) below.insert(item);
        out.raw(slow_reference(below, depth + 1));
    }
    return out.bytes(first.size() == depth ? value : Bytes{}).end_list().take();
}

Hash slow_root(const Model& items) {
    if (items.empty()) return kEmptyTrieRoot;
    Model by_nibbles;
    for (const auto& [key, value] : items) {
        Bytes nibbles;
        for (const uint8_t b : key) {
            nibbles.push_back(b >> 4);
            nibbles.push_back(b & 15);
        }
        by_nibbles[nibbles] = value;
    }
    return keccak256(slow_node(by_nibbles, 0));
}

Bytes random_key(std::mt19937& random) {
    // Few distinct bytes and lengths, so that keys are often prefixes of one another.
    Bytes key(random() % 4);
    for (uint8_t& b : key) b = static_cast<uint8_t>((random() % 3) * 0x11 + (random() % 2) * 0x0f);
    return key;
}

void expect_neighbours(const NodeSource& nodes, const Hash& root, const Bytes& key,
                       const Model& model) {
    const auto above = model.upper_bound(key), least = model.lower_bound(key);
    const auto key_at = [](auto at, bool is_there) {
        return is_there ? std::optional(at->first) : std::nullopt;
    };
    const auto next = next_key(nodes, root, key), previous = previous_key(nodes, root, key);
    ASSERT_TRUE(next && previous);
    ASSERT_EQ(*next, key_at(above, above != model.end())) << to_hex(key);
    const bool has_less = least != model.begin();
    ASSERT_EQ(*previous, key_at(has_less ? std::prev(least) : least, has_less)) << to_hex(key);
}

TEST(trie, equals_the_model_after_every_batch_of_random_changes) {
    const NoNodes none;
    std::mt19937 random(7);
    for (int run = 0; run < 60; ++run) {
        NodeMap nodes;
        const LayeredNodes source(none, nodes);
        Model model;
        Hash root = kEmptyTrieRoot;
        for (int batch = 0; batch < 12; ++batch) {
            Trie trie(source, root);
            for (int i = 0; i < 6; ++i) {
                const Bytes key = random_key(random);
                Bytes value(random() % 3 == 0 ? 0 : 1 + random() % 40, uint8_t(random()));
                ASSERT_TRUE(trie.put(key, value));
                if (value.empty())
                    model.erase(key);
                else
                    model[key] = value;
                const Bytes other = random_key(random);
                const auto found = trie.get(other);
                ASSERT_TRUE(found);
                ASSERT_EQ(found->value_or(Bytes{}), model.count(other) ? model[other] : Bytes{});
            }
            NodeMap fresh;
            root = trie.commit(fresh);
            ASSERT_EQ(root, slow_root(model)) << run << " " << batch;
            nodes.merge(fresh);
            for (int i = 0; i < 10; ++i) {
                const Bytes key = random_key(random);
                const auto found = lookup(source, root, key);
                ASSERT_TRUE(found);
                const auto expected = model.find(key);
                ASSERT_EQ(*found,
                          expected == model.end() ? std::nullopt : std::optional(expected->second));
                expect_neighbours(source, root, key, model);
            }
        }
    }
}

TEST(trie, ordered_root_of_many_items_equals_the_model) {
    for (const size_t count : {0u, 1u, 2u, 16u, 127u, 128u, 129u, 300u}) {
        std::vector<Bytes> items;
        Model model;
        for (size_t i = 0; i < count; ++i) {
            items.push_back(Bytes(1 + i % 50, uint8_t(i)));
            model[rlp::Writer().number(uint64_t{i}).take()] = items.back();
        }
        EXPECT_EQ(ordered_root(items), slow_root(model)) << count;
    }
}

/// Asks about keys on two threads, or on none.
void expect_changed_like_the_model(uint32_t seed, const SideBySide& side_by_side) {
    std::mt19937 random(seed);
    const NoNodes none;
    NodeMap nodes;
    const LayeredNodes source(none, nodes);
    Model model;
    Hash root = kEmptyTrieRoot;
    for (int batch = 0; batch < 6; ++batch) {
        std::map<Hash, Bytes> changes;
        while (changes.size() < 150)
            changes[keccak256(rlp::Writer().number(uint64_t(random() % 400)).take())] =
                Bytes(random() % 3 * 20, uint8_t(1 + random() % 255));
        std::vector<Hash> keys;
        for (const auto& [key, value] : changes) keys.push_back(key);
        std::shuffle(keys.begin(), keys.end(), random);
        const auto before_of = [&](size_t i) {
            const auto at = model.find(Bytes(keys[i].begin(), keys[i].end()));
            return at == model.end() ? Bytes() : at->second;
        };
        std::vector<Bytes> visited(keys.size()), before(keys.size());
        Trie trie(source, root);
        ASSERT_TRUE(trie.visit_all(
            keys, [&](size_t i, BytesView value) { visited[i].assign(value.begin(), value.end()); },
            side_by_side));
        ASSERT_TRUE(trie.change_all(
            keys,
            [&](size_t i, BytesView value) -> std::optional<Bytes> {
                before[i].assign(value.begin(), value.end());
                if (keys[i][31] % 4 == 0) return std::nullopt;
                return changes[keys[i]];
            },
            side_by_side));
        for (size_t i = 0; i < keys.size(); ++i) {
            ASSERT_EQ(visited[i], before_of(i));
            ASSERT_EQ(before[i], before_of(i));
            if (keys[i][31] % 4 == 0) continue;
            const Bytes key(keys[i].begin(), keys[i].end());
            model[key] = changes[keys[i]];
            if (model[key].empty()) model.erase(key);
        }
        NodeMap fresh;
        root = trie.commit(fresh, nullptr, side_by_side);
        ASSERT_EQ(root, slow_root(model)) << seed << " " << batch;
        nodes.merge(fresh);
    }
}

TEST(trie, many_keys_at_once_change_like_the_model_on_any_threads) {
    for (uint32_t seed = 1; seed <= 10; ++seed) {
        expect_changed_like_the_model(seed, {});
        expect_changed_like_the_model(seed, [](const std::function<void()>& work) {
            std::thread other(work);
            work();
            other.join();
        });
    }
}

struct Filled {
    NodeMap nodes;
    Hash root;
};

Filled filled_trie(int count) {
    const NoNodes none;
    Trie trie(none, kEmptyTrieRoot);
    for (int i = 0; i < count; ++i) {
        const Hash key = keccak256(rlp::Writer().number(uint64_t(i)).take());
        EXPECT_TRUE(trie.put(key, Bytes(1 + i % 40, uint8_t(i + 1))));
    }
    Filled out;
    out.root = trie.commit(out.nodes);
    return out;
}

TEST(trie, a_change_makes_only_the_nodes_on_its_path) {
    const NoNodes none;
    const Filled filled = filled_trie(5000);
    const LayeredNodes source(none, filled.nodes);
    Trie trie(source, filled.root);
    ASSERT_TRUE(trie.put(keccak256(as_bytes("new")), as_bytes("value")));
    NodeMap fresh;
    EXPECT_NE(trie.commit(fresh), filled.root);
    EXPECT_LE(fresh.size(), 6u);
}

TEST(trie, putting_what_is_there_changes_nothing) {
    const NoNodes none;
    const Filled filled = filled_trie(100);
    const LayeredNodes source(none, filled.nodes);
    Trie trie(source, filled.root);
    const Hash key = keccak256(rlp::Writer().number(uint64_t{3}).take());
    ASSERT_TRUE(trie.put(key, Bytes(4, 4)));
    ASSERT_TRUE(trie.put(keccak256(as_bytes("absent")), {}));
    NodeMap fresh;
    EXPECT_EQ(trie.commit(fresh), filled.root);
    EXPECT_TRUE(fresh.empty());
}

TEST(trie, reports_a_missing_node) {
    const NoNodes none;
    Trie trie(none, keccak256(as_bytes("nobody has this")));
    const auto put = trie.put(as_bytes("key"), as_bytes("value"));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, TrieError::Kind::missing_node);
    EXPECT_EQ(put.error().node, keccak256(as_bytes("nobody has this")));
    EXPECT_FALSE(lookup(none, put.error().node, as_bytes("key")));
}

TEST(proof, shows_values_and_absence) {
    const NoNodes none;
    const Filled filled = filled_trie(500);
    const LayeredNodes source(none, filled.nodes);
    for (int i = 0; i < 600; ++i) {
        const Hash key = keccak256(rlp::Writer().number(uint64_t(i)).take());
        std::vector<Bytes> proof;
        const auto found = lookup(source, filled.root, key, &proof);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->has_value(), i < 500);
        const auto shown = verify_proof(filled.root, key, proof);
        ASSERT_TRUE(shown);
        EXPECT_EQ(*shown, *found);
    }
}

TEST(proof, rejects_every_flipped_byte_and_every_missing_node) {
    const NoNodes none;
    const Filled filled = filled_trie(500);
    const LayeredNodes source(none, filled.nodes);
    const Hash key = keccak256(rlp::Writer().number(uint64_t{77}).take());
    std::vector<Bytes> proof;
    ASSERT_TRUE(lookup(source, filled.root, key, &proof));
    ASSERT_GE(proof.size(), 3u);
    for (size_t n = 0; n < proof.size(); ++n) {
        auto shorter = proof;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(n));
        EXPECT_FALSE(verify_proof(filled.root, key, shorter));
        for (size_t i = 0; i < proof[n].size(); ++i) {
            auto changed = proof;
            changed[n][i] ^= 1;
            EXPECT_FALSE(verify_proof(filled.root, key, changed)) << n << " " << i;
        }
    }
}

TEST(proof, rejects_nodes_that_are_not_canonical) {
    for (const char* text : {"", "80", "c0", "c180", "c3202020", "c2c080", "c22080", "c22101",
                             "c24001", "c20001", "c2008080", "c3816180"}) {
        const Bytes node = *from_hex(text);
        const auto shown = verify_proof(keccak256(node), as_bytes("k"), {node});
        if (keccak256(node) == kEmptyTrieRoot) continue;
        EXPECT_FALSE(shown) << text;
    }
}

}  // namespace
}  // namespace trainyard::state
