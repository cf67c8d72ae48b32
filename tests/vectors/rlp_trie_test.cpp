// SPDX-License-Identifier: Apache-2.0
// The RLP and trie vectors of ethereum/tests.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"
#include "state/trie_node.hpp"
#include "tests/vectors/vectors.hpp"

namespace trainyard {
namespace {

namespace json = boost::json;

class vectors_hex_prefix : public vectors::VectorTest {};
class vectors_rlp : public vectors::VectorTest {};
class vectors_trie : public vectors::VectorTest {};

void write(rlp::Writer& out, const json::value& value) {
    if (const auto* list = value.if_array()) {
        out.begin_list();
        for (const auto& element : *list) write(out, element);
        out.end_list();
    } else if (const auto* text = value.if_string()) {
        const std::string_view plain(text->data(), text->size());
        if (plain.starts_with('#'))
            out.number(parse_uint256(plain.substr(1)).value());
        else
            out.bytes(as_bytes(plain));
    } else {
        out.number(value.to_number<uint64_t>());
    }
}

/// Reads one item with all that is in it and writes it again; nullopt if any of it is not RLP.
bool copy(rlp::Reader& in, rlp::Writer& out) {
    if (!in.next_is_list()) {
        const auto value = in.bytes();
        if (value) out.bytes(*value);
        return value.has_value();
    }
    auto inner = in.list();
    if (!inner) return false;
    out.begin_list();
    while (!inner->at_end())
        if (!copy(*inner, out)) return false;
    out.end_list();
    return true;
}

std::optional<Bytes> copy_of(BytesView encoded) {
    rlp::Reader in(encoded);
    rlp::Writer out;
    if (!copy(in, out) || !in.at_end()) return std::nullopt;
    return out.take();
}

TEST_F(vectors_rlp, all_cases) {
    const size_t count = vectors::for_each_case("rlp", [](const auto& name, const auto& c) {
        const Bytes encoded = from_hex(c.at("out").as_string()).value();
        const auto& in = c.at("in");
        const bool valid = in != "INVALID";
        EXPECT_EQ(copy_of(encoded), valid ? std::optional(encoded) : std::nullopt) << name;
        // "bigint" is 2^256, one more than any number of the ledger: only its bytes are copied.
        if (!valid || in == "VALID" || name == "rlptest/bigint") return;
        rlp::Writer out;
        write(out, in);
        EXPECT_EQ(out.take(), encoded) << name;
    });
    EXPECT_GE(count, 50u);
}

/// Runs one trie case; `keys_hashed`: the secure tries of the state.
void run_trie(const std::string& name, const json::value& c, bool keys_hashed) {
    const state::NoNodes none;
    state::NodeMap nodes;
    const state::LayeredNodes source(none, nodes);
    Hash root = kEmptyTrieRoot;
    const auto put = [&](const json::value& key_text, const json::value& value) {
        Bytes key = vectors::bytes_or_text(key_text);
        if (keys_hashed) {
            const Hash digest = keccak256(key);
            key.assign(digest.begin(), digest.end());
        }
        // A trie per change, so that every step goes through stored nodes.
        state::Trie trie(source, root);
        ASSERT_TRUE(trie.put(key, value.is_null() ? Bytes{} : vectors::bytes_or_text(value)));
        root = trie.commit(nodes);
    };
    if (const auto* list = c.at("in").if_array())
        for (const auto& pair : *list) put(pair.at(0), pair.at(1));
    else
        for (const auto& [key, value] : c.at("in").as_object()) put(json::value(key), value);
    EXPECT_EQ(to_hex0x(root), std::string_view(c.at("root").as_string())) << name;
}

TEST_F(vectors_trie, all_cases) {
    size_t count = 0;
    for (const char* file : {"trieanyorder", "trietest"})
        count += vectors::for_each_case(
            "trie/" + std::string(file) + ".json",
            [](const auto& name, const auto& c) { run_trie(name, c, false); });
    for (const char* file :
         {"trieanyorder_secureTrie", "trietest_secureTrie", "hex_encoded_securetrie_test"})
        count += vectors::for_each_case(
            "trie/" + std::string(file) + ".json",
            [](const auto& name, const auto& c) { run_trie(name, c, true); });
    EXPECT_GE(count, 20u);
}

/// "" where there is none.
Bytes key_or_none(const Result<std::optional<Bytes>, state::TrieError>& found) {
    EXPECT_TRUE(found);
    return found ? found->value_or(Bytes{}) : Bytes{};
}

TEST_F(vectors_trie, neighbours) {
    const auto run = [](const auto& name, const auto& c) {
        const state::NoNodes none;
        state::NodeMap nodes;
        const state::LayeredNodes source(none, nodes);
        state::Trie trie(source, kEmptyTrieRoot);
        for (const auto& key : c.at("in").as_array())
            ASSERT_TRUE(trie.put(vectors::bytes_or_text(key), Bytes{1}));
        const Hash root = trie.commit(nodes);
        for (const auto& test : c.at("tests").as_array()) {
            const Bytes key = vectors::bytes_or_text(test.at(0));
            EXPECT_EQ(key_or_none(state::previous_key(source, root, key)),
                      vectors::bytes_or_text(test.at(1)))
                << name;
            EXPECT_EQ(key_or_none(state::next_key(source, root, key)),
                      vectors::bytes_or_text(test.at(2)))
                << name;
        }
    };
    EXPECT_EQ(vectors::for_each_case("trie/trietestnextprev.json", run), 1u);
}

TEST_F(vectors_hex_prefix, all_cases) {
    const auto count =
        vectors::for_each_case("basic/hexencodetest.json", [](const auto& name, const auto& c) {
            Bytes nibbles;
            for (const auto& n : c.at("seq").as_array())
                nibbles.push_back(static_cast<uint8_t>(n.as_int64()));
            EXPECT_EQ(to_hex(state::encode_path(nibbles, c.at("term").as_bool())),
                      std::string_view(c.at("out").as_string()))
                << name;
        });
    EXPECT_GE(count, 4u);
}

}  // namespace
}  // namespace trainyard
