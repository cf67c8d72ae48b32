// SPDX-License-Identifier: Apache-2.0
// A block of plain transfers: execution with sender recovery, and the new state root.
#include <benchmark/benchmark.h>

#include "consensus/transition/block.hpp"
#include "state/trie.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kChainId = 7777;

SecretKey sender_key() {
    SecretKey key;
    key[31] = 1;
    return key;
}

Tx transfer(uint64_t nonce) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = kChainId;
    tx.nonce = nonce;
    tx.max_fee_per_gas = Uint256(2'000'000'000);
    tx.gas_limit = 21'000;
    tx.to = Address{};
    for (int i = 0; i < 8; ++i) tx.to->bytes[i] = static_cast<uint8_t>(nonce >> (8 * i)) ^ 0x5a;
    tx.value = Uint256(1);
    sign_tx(tx, sender_key());
    return tx;
}

void transfers(benchmark::State& state) {
    ChainConfig config;
    config.chain_id = kChainId;
    state::StateDiff alloc;
    alloc.accounts[*address_of(sender_key())] =
        state::AccountChange{0, Uint256::max() >> 8, kEmptyCodeHash, false, {}};
    const auto genesis = *state::state_root(kEmptyTrieRoot, alloc, state::NoNodes());
    const state::NoNodes none;
    const state::LayeredNodes nodes(none, genesis.new_nodes);
    const state::TrieView view(nodes, genesis.root);
    Header parent;
    parent.gas_limit = 60'000'000;
    parent.base_fee_per_gas = Uint256(1'000'000'000);
    parent.state_root = genesis.root;
    std::vector<Candidate> candidates;
    for (int64_t i = 0; i < state.range(0); ++i)
        candidates.push_back({transfer(static_cast<uint64_t>(i)), *address_of(sender_key())});
    size_t next = 0;
    const BuildInput input{parent,
                           make_header(parent, {}, config),
                           [](uint64_t) { return Hash{}; },
                           config,
                           [&]() -> std::optional<Candidate> {
                               if (next == candidates.size()) return std::nullopt;
                               return candidates[next++];
                           },
                           {}};
    const auto built = build_block(view, input);
    for (auto _ : state) {
        const auto outcome = apply_block(view, parent, built->block, {}, config);
        const auto update = state::state_root(genesis.root, outcome->diff, nodes);
        benchmark::DoNotOptimize(update->root);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(transfers)
    ->Name("consensus::apply_block_and_root/transfers")
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard::consensus
