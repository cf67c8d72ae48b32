// SPDX-License-Identifier: Apache-2.0
// Diffs, views and the roots of worlds: a view at a root reads what the diffs wrote.
#include <algorithm>
#include <iterator>
#include <random>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "state/trie.hpp"

namespace trainyard::state {
namespace {

Address address_at(uint8_t i) {
    Address address;
    address.bytes.fill(i);
    return address;
}

AccountChange rich(uint64_t balance) {
    AccountChange change;
    change.balance = balance;
    return change;
}

StateDiff random_diff(std::mt19937& random) {
    StateDiff diff;
    for (int i = 0; i < 4; ++i) {
        auto& change = diff.accounts[address_at(uint8_t(random() % 8))];
        change.reset();
        if (random() % 4 == 0) continue;
        change = rich(random());
        change->nonce = random() % 3;
        change->storage_cleared = random() % 5 == 0;
        for (int j = 0; j < 5; ++j) change->storage[random() % 10] = random() % 3;
    }
    const Bytes code(1 + random() % 5, uint8_t(random()));
    diff.codes[keccak256(code)] = code;
    return diff;
}

/// A deleted account that comes back has none of its old slots, and says so.
StateDiff made_consistent(StateDiff diff, const StateView& before) {
    for (auto& [address, change] : diff.accounts)
        if (change && !before.account(address)) change->storage_cleared = true;
    return diff;
}

void expect_same(const StateView& a, const StateView& b) {
    for (uint8_t i = 0; i < 8; ++i) {
        auto left = a.account(address_at(i)), right = b.account(address_at(i));
        ASSERT_EQ(left.has_value(), right.has_value()) << int{i};
        if (left) {
            EXPECT_EQ(left->balance, right->balance);
            EXPECT_EQ(left->nonce, right->nonce);
        }
        for (uint64_t slot = 0; slot < 10; ++slot)
            ASSERT_EQ(a.storage(address_at(i), slot), b.storage(address_at(i), slot))
                << int{i} << " " << slot;
    }
}

TEST(state_root, many_small_diffs_equal_one_merged_diff) {
    const NoNodes none;
    std::mt19937 random(11);
    for (int run = 0; run < 50; ++run) {
        NodeMap nodes;
        const LayeredNodes source(none, nodes);
        Hash root = kEmptyTrieRoot;
        StateDiff all;
        const TrieView empty(none, kEmptyTrieRoot);
        for (int block = 0; block < 12; ++block) {
            const TrieView before(source, root);
            const StateDiff diff = made_consistent(random_diff(random), before);
            const auto update = state_root(root, diff, source);
            ASSERT_TRUE(update);
            for (const auto& [hash, node, place] : update->new_nodes)
                nodes.emplace(hash, node, place);
            const TrieView after(source, update->root);
            expect_same(after, OverlayView(before, diff));
            all = merge(std::move(all), diff);
            expect_same(after, OverlayView(empty, all));
            for (const auto& [address, storage] : update->storage_roots)
                EXPECT_EQ(after.account(address)->storage_root, storage);
            for (const auto& [hash, code] : diff.codes) EXPECT_EQ(after.code(hash), code);
            root = update->root;
        }
        const auto at_once = state_root(kEmptyTrieRoot, all, none);
        ASSERT_TRUE(at_once);
        EXPECT_EQ(at_once->root, root) << run;
    }
}

/// Every node of a state with its place: of the accounts and of all their storage.
std::set<std::string> all_nodes(const NodeSource& source, const Hash& root) {
    std::set<std::string> found;
    const auto take = [&](const std::string& place) {
        return [&found, place](const Hash& hash, const NodePtr&, BytesView path) {
            found.insert(place + std::string(as_text(path)) + std::string(as_text(hash.bytes)));
            return true;
        };
    };
    EXPECT_TRUE(
        visit_nodes(source, root, kAccountPlace, take(std::string(kAccountPlace))).has_value());
    const TrieView view(source, root);
    for (uint8_t i = 0; i < 8; ++i) {
        const auto account = view.account(address_at(i));
        if (!account) continue;
        const std::string place = storage_place(keccak256(address_at(i)));
        EXPECT_TRUE(visit_nodes(source, account->storage_root, place, take(place)).has_value());
    }
    return found;
}

TEST(state_root, names_exactly_the_nodes_that_a_diff_supersedes) {
    const NoNodes none;
    std::mt19937 random(5);
    for (int run = 0; run < 60; ++run) {
        NodeMap nodes;
        const LayeredNodes source(none, nodes);
        Hash root = kEmptyTrieRoot;
        std::set<std::string> before;
        for (int block = 0; block < 12; ++block) {
            const StateDiff diff = made_consistent(random_diff(random), TrieView(source, root));
            const auto update = state_root(root, diff, source);
            ASSERT_TRUE(update);
            for (const auto& [hash, node, place] : update->new_nodes)
                nodes.emplace(hash, node, place);
            const auto after = all_nodes(source, update->root);
            std::set<std::string> expected, stale;
            std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                                std::inserter(expected, expected.end()));
            for (const auto& node : update->stale)
                stale.insert(node.place + std::string(as_text(node.hash.bytes)));
            ASSERT_TRUE(stale == expected) << run << " " << block;
            ASSERT_EQ(stale.size(), update->stale.size());
            for (const std::string& node : after) {
                const bool is_new = std::any_of(
                    update->new_nodes.begin(), update->new_nodes.end(), [&](const auto& entry) {
                        return entry.place + std::string(as_text(entry.hash.bytes)) == node;
                    });
                ASSERT_TRUE(is_new || before.count(node) == 1);
            }
            root = update->root;
            before = after;
        }
    }
}

/// Two threads for every call.
void on_two_threads(const std::function<void()>& work) {
    std::thread other(work);
    work();
    other.join();
}

TEST(state_root, is_the_same_on_several_threads) {
    const NoNodes none;
    std::mt19937 random(17);
    NodeMap nodes;
    const LayeredNodes source(none, nodes);
    Hash root = kEmptyTrieRoot;
    const auto any_address = [&] {
        Address address;
        for (uint8_t& b : address.bytes) b = static_cast<uint8_t>(random());
        return address;
    };
    std::vector<Address> known;
    for (int block = 0; block < 12; ++block) {
        StateDiff diff;
        for (int i = 0; i < 150; ++i) {
            if (known.empty() || random() % 2 == 0) known.push_back(any_address());
            auto& change = diff.accounts[known[random() % known.size()]];
            if (block % 4 == 3 || random() % 8 == 0) {
                change.reset();
                continue;
            }
            change = rich(random());
            change->storage_cleared = random() % 20 == 0;
            const unsigned slots = i == 0 ? 600 : random() % 4;
            for (unsigned j = 0; j < slots; ++j) change->storage[random() % 900] = random() % 5;
        }
        if (block == 11)
            for (const Address& address : known) diff.accounts[address] = std::nullopt;
        diff = made_consistent(std::move(diff), TrieView(source, root));
        const auto alone = state_root(root, diff, source);
        const auto together = state_root(root, diff, source, on_two_threads);
        ASSERT_TRUE(alone && together);
        ASSERT_EQ(alone->root, together->root) << block;
        EXPECT_EQ(alone->storage_roots, together->storage_roots);
        const auto keys = [](const auto& list) {
            std::multiset<std::string> out;
            for (const auto& n : list) out.insert(n.place + std::string(as_text(n.hash.bytes)));
            return out;
        };
        EXPECT_TRUE(keys(alone->new_nodes) == keys(together->new_nodes)) << block;
        EXPECT_TRUE(keys(alone->stale) == keys(together->stale)) << block;
        for (const auto& [hash, node, place] : together->new_nodes)
            nodes.emplace(hash, node, place);
        root = together->root;
    }
    EXPECT_EQ(root, kEmptyTrieRoot);
}

std::set<std::string> names_of(const std::vector<StaleNode>& nodes) {
    std::set<std::string> names;
    for (const auto& node : nodes) names.insert(node.place + std::string(as_text(node.hash.bytes)));
    return names;
}

TEST(parent_state, changes_alike_whatever_was_read_before) {
    const NoNodes none;
    std::mt19937 random(23);
    const auto on_two_threads = [](const std::function<void()>& work) {
        std::thread other(work);
        work();
        other.join();
    };
    NodeMap nodes;
    const LayeredNodes source(none, nodes);
    StateDiff many;
    std::vector<Address> asked;
    for (uint64_t i = 0; i < 300; ++i) {
        const Address address =
            *fixed_from<Address>(BytesView(keccak256(to_hash(Uint256(i)).bytes).bytes).first(20));
        if (i < 200) many.accounts[address] = rich(i);
        if (i % 3 != 0) asked.push_back(address);
    }
    asked.push_back(asked.front());  // twice is no harm
    const auto first = state_root(kEmptyTrieRoot, many, none);
    ASSERT_TRUE(first);
    for (const auto& [hash, node, place] : first->new_nodes) nodes.emplace(hash, node, place);
    const TrieView view(source, first->root);
    for (int run = 0; run < 20; ++run) {
        StateDiff diff;
        for (const auto& [address, change] : many.accounts)
            if (random() % 4 == 0) diff.accounts[address] = rich(random());
        if (run % 2 == 0) diff.accounts[many.accounts.begin()->first] = std::nullopt;
        ParentState parent(view, source, first->root);
        const auto found = parent.accounts(asked, run < 10 ? SideBySide() : on_two_threads);
        for (size_t i = 0; i < asked.size(); ++i) ASSERT_EQ(found[i], view.account(asked[i])) << i;
        const auto update = parent.change(diff, on_two_threads);
        const auto expected = state_root(first->root, diff, source);
        ASSERT_TRUE(update && expected);
        EXPECT_EQ(update->root, expected->root);
        EXPECT_EQ(update->new_nodes.size(), expected->new_nodes.size());
        EXPECT_EQ(names_of(update->stale), names_of(expected->stale));
    }
}

TEST(parent_state, reports_what_it_could_not_read) {
    const NoNodes none;
    struct Told final : NodeSource {
        NodePtr node(const Hash&, std::string_view) const override { return nullptr; }
        void report(const TrieError& error) const override { errors.push_back(error); }
        mutable std::vector<TrieError> errors;
    } told;
    const Hash root = keccak256(as_bytes("a root"));
    const TrieView view(told, root);
    const ParentState parent(view, told, root);
    const std::vector<Address> asked{address_at(1), address_at(2)};
    const auto found = parent.accounts(asked);
    EXPECT_EQ(found, (std::vector<std::optional<Account>>(2)));
    ASSERT_EQ(told.errors.size(), 1u);
    EXPECT_EQ(told.errors[0], (TrieError{TrieError::Kind::missing_node, root}));
}

TEST(state_root, deleting_everything_gives_the_empty_root) {
    const NoNodes none;
    StateDiff born, gone;
    for (uint8_t i = 0; i < 40; ++i) {
        born.accounts[address_at(i)] = rich(i);
        gone.accounts[address_at(i)] = std::nullopt;
    }
    const auto first = state_root(kEmptyTrieRoot, born, none);
    ASSERT_TRUE(first);
    const LayeredNodes source(none, first->new_nodes);
    EXPECT_EQ(state_root(first->root, gone, source)->root, kEmptyTrieRoot);
}

TEST(overlay_view, an_account_born_again_has_none_of_its_old_slots) {
    StateDiff first, second, third;
    first.accounts[address_at(1)] = rich(5);
    first.accounts[address_at(1)]->storage = {{1, 10}, {2, 20}};
    second.accounts[address_at(1)] = std::nullopt;
    third.accounts[address_at(1)] = rich(6);
    third.accounts[address_at(1)]->storage = {{2, 21}};
    const StateDiff later = merge(second, third);
    EXPECT_TRUE(later.accounts.at(address_at(1))->storage_cleared);
    const NoNodes none;
    const TrieView empty(none, kEmptyTrieRoot);
    const OverlayView before(empty, first), after(before, later);
    EXPECT_EQ(before.storage(address_at(1), 1), 10);
    EXPECT_EQ(after.storage(address_at(1), 1), 0);
    EXPECT_EQ(after.storage(address_at(1), 2), 21);
    EXPECT_EQ(merge(first, later), merge(merge(first, second), third));
}

TEST(prove_account, shows_accounts_slots_and_their_absence) {
    const NoNodes none;
    StateDiff diff;
    for (uint8_t i = 0; i < 30; ++i) {
        diff.accounts[address_at(i)] = rich(i + 1);
        for (uint64_t slot = 0; slot < 20; ++slot)
            diff.accounts[address_at(i)]->storage[slot] = slot;
    }
    const auto update = state_root(kEmptyTrieRoot, diff, none);
    ASSERT_TRUE(update);
    const LayeredNodes source(none, update->new_nodes);
    const auto proof = prove_account(source, update->root, address_at(3), {0, 7, 99});
    ASSERT_TRUE(proof);
    const auto shown = verify_proof(update->root, keccak256(address_at(3)), proof->nodes);
    ASSERT_TRUE(shown && *shown);
    EXPECT_EQ(decode_account(**shown), proof->account);
    EXPECT_EQ(proof->account->balance, 4);
    const std::vector<uint64_t> expected{0, 7, 0};
    for (size_t i = 0; i < expected.size(); ++i) {
        const StorageProof& slot = proof->storage[i];
        EXPECT_EQ(slot.value, expected[i]);
        const auto value =
            verify_proof(proof->account->storage_root, keccak256(to_hash(slot.slot)), slot.nodes);
        ASSERT_TRUE(value);
        EXPECT_EQ(value->has_value(), expected[i] != 0);
    }
    const auto absent = prove_account(source, update->root, address_at(200), {1});
    ASSERT_TRUE(absent);
    EXPECT_FALSE(absent->account);
    EXPECT_FALSE(absent->nodes.empty());
    EXPECT_EQ(absent->storage[0].value, 0);
}

TEST(trie_view, reports_what_it_could_not_read) {
    struct Deaf final : NodeSource {
        mutable int reports = 0;
        NodePtr node(const Hash&, std::string_view) const override { return nullptr; }
        void report(const TrieError&) const override { ++reports; }
    } nodes;
    const TrieView view(nodes, keccak256(as_bytes("gone")));
    EXPECT_EQ(view.account(address_at(1)), std::nullopt);
    EXPECT_EQ(view.storage(address_at(1), 1), 0);
    EXPECT_EQ(view.code(keccak256(as_bytes("code"))), Bytes{});
    EXPECT_EQ(nodes.reports, 3);
}

TEST(account, rejects_records_of_other_shapes) {
    const Bytes good = encode_account({1, 2, kEmptyCodeHash, kEmptyTrieRoot});
    EXPECT_TRUE(decode_account(good));
    for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(decode_account(BytesView(good).first(n)));
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(decode_account(longer));
}

}  // namespace
}  // namespace trainyard::state
