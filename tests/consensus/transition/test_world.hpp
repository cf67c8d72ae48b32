// SPDX-License-Identifier: Apache-2.0
// A small world for tests of transitions: accounts with known keys, a chain with our own flags.
#pragma once

#include <map>
#include <utility>

#include "consensus/transition/block.hpp"
#include "consensus/transition/simulate.hpp"
#include "core/hash.hpp"
#include "core/keys.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

/// The state without accounts.
class EmptyView final : public state::StateView {
public:
    [[nodiscard]] std::optional<state::Account> account(const Address&) const override {
        return std::nullopt;
    }
    [[nodiscard]] Uint256 storage(const Address&, const Uint256&) const override { return {}; }
    [[nodiscard]] Bytes code(const Hash&) const override { return {}; }
};

inline constexpr uint64_t kChainId = 7117;
inline constexpr uint64_t kGwei = 1'000'000'000;

inline SecretKey key_number(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}
inline Address account_number(uint8_t n) {
    return *address_of(key_number(n));
}
inline Address address_number(uint8_t n) {
    Address a;
    a[0] = 0xaa;
    a[19] = n;
    return a;
}

/// Accounts 1 to 3 hold 10^21 wei each; `deploy` puts code at an address.
class TestWorld {
public:
    ChainConfig config = make_config();
    Header parent = make_parent();

    TestWorld() {
        for (uint8_t n = 1; n <= 3; ++n)
            diff_.accounts[account_number(n)].emplace().balance =
                Uint256(1'000'000'000) * Uint256(1'000'000'000'000);
    }
    void deploy(const Address& address, std::string_view code_hex) {
        const Bytes code = from_hex(code_hex).value();
        auto& change = diff_.accounts[address].emplace();
        change.nonce = 1;
        change.code_hash = keccak256(code);
        diff_.codes[change.code_hash] = code;
    }
    void apply(const state::StateDiff& diff) { diff_ = state::merge(std::move(diff_), diff); }
    [[nodiscard]] state::OverlayView view() const { return {empty_, diff_}; }
    [[nodiscard]] ExecutionContext context() const {
        return {config, env_after(parent, parent.timestamp + 1, config), {}};
    }

    /// A signed transaction of account `from` with nonce 0, 100000 gas, tip 1 gwei.
    [[nodiscard]] static Tx make_tx(uint8_t from, std::optional<Address> to, Bytes data = {},
                                    uint64_t nonce = 0) {
        Tx tx;
        tx.type = TxType::dynamic_fee;
        tx.chain_id = kChainId;
        tx.nonce = nonce;
        tx.max_fee_per_gas = 10 * kGwei;
        tx.max_priority_fee_per_gas = kGwei;
        tx.gas_limit = 100'000;
        tx.to = to;
        tx.data = std::move(data);
        sign_tx(tx, key_number(from));
        return tx;
    }

private:
    static ChainConfig make_config() {
        ChainConfig config;
        config.chain_id = kChainId;
        config.mini_epoch_length = 8;
        config.staking_contract = false;  // its beneficiaries get the fees themselves
        return config;
    }
    static Header make_parent() {
        Header header;
        header.number = 4;
        header.timestamp = 1'800'000'000;
        header.gas_limit = kGenesisGasLimit;
        header.gas_used = kGenesisGasLimit / 2;  // keeps the base fee where it is
        header.base_fee_per_gas = kGwei;
        header.withdrawals_root = kEmptyTrieRoot;
        header.blob_gas_used = 0;
        header.excess_blob_gas = 0;
        header.parent_beacon_block_root = Hash{};
        header.requests_hash = sha256({});
        header.prev_randao[0] = 0x77;
        return header;
    }

    EmptyView empty_;
    state::StateDiff diff_;
};

}  // namespace trainyard::consensus
