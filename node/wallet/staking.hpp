// SPDX-License-Identifier: Apache-2.0
// The Staking contract as typed calls: docs/spec/staking.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/uint256.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/keyring.hpp"
#include "node/wallet/tx_sender.hpp"

namespace trainyard::node::wallet {

struct Candidate {
    Address operator_address;
    bool known = false, tombstoned = false, contends = false;
    uint64_t jailed_until = 0;  ///< block; zero: not jailed
    uint32_t commission_bps = 0;
    Uint256 self_wei, delegated_wei, shares, leaving_wei;
    uint64_t weight_gwei = 0;  ///< in the next election, before the cap
    uint32_t led = 0, missed = 0;
    bool operator==(const Candidate&) const = default;
};

/// Staking.candidate(who) as call data, and what such a call gave; nullopt: no such contract.
[[nodiscard]] Bytes candidate_call(const Address& who);
[[nodiscard]] std::optional<Candidate> candidate_from(const Address& who, BytesView answer);

struct Delegation {
    Uint256 shares, amount_wei, rewards_wei;
};

struct Exit {
    Uint256 amount_wei;
    uint64_t release_block = 0;
};

struct SeatWeight {
    Address operator_address;
    uint64_t weight_gwei = 0;
};

/// What a key signs to show that its owner wants it in `contract` as the `kind`th key of
/// `operator_address`; equal to Staking.possessionDigest.
[[nodiscard]] Hash possession_digest(uint64_t chain_id, const Address& operator_address,
                                     uint64_t kind);

/// Reads at the latest block; calls send a transaction of the key's account and wait for it.
class StakingApi {
public:
    [[nodiscard]] static Answer<std::unique_ptr<StakingApi>> open(std::string_view url,
                                                                  const SecretKey& key,
                                                                  SenderOptions sending = {});
    ~StakingApi();

    [[nodiscard]] Address self() const;
    [[nodiscard]] Answer<Candidate> candidate(const Address& who);
    [[nodiscard]] Answer<Delegation> delegation(const Address& at, const Address& who);
    [[nodiscard]] Answer<std::vector<Exit>> exits(const Address& at, const Address& who);
    /// Booked to an account; those of delegations that were not settled since come on top.
    [[nodiscard]] Answer<Uint256> rewards(const Address& who);
    [[nodiscard]] Answer<std::vector<Address>> contenders();
    /// Members of the last set that is fixed, and its epoch.
    [[nodiscard]] Answer<std::vector<SeatWeight>> next_set(uint64_t* epoch);
    /// Members of the set in force.
    [[nodiscard]] Answer<std::vector<Address>> members();
    [[nodiscard]] Answer<uint64_t> block_number();

    /// Joins with the keyring's keys; its account must be this one.
    Answer<TxReceipt> join(const ValidatorKeys& keys, uint32_t commission_bps,
                           const Uint256& stake_wei);
    Answer<TxReceipt> deposit(const Address& to, const Uint256& wei);
    Answer<TxReceipt> unbond(const Uint256& wei);
    Answer<TxReceipt> delegate(const Address& to, const Uint256& wei);
    Answer<TxReceipt> undelegate(const Address& at, const Uint256& shares);
    Answer<TxReceipt> withdraw(const Address& at);
    Answer<TxReceipt> claim(const Address& at);
    Answer<TxReceipt> set_commission(uint32_t bps);
    Answer<TxReceipt> unjail();
    /// Reports two conflicting votes, in consensus/bft/evidence.hpp's bytes.
    Answer<TxReceipt> slash_double_vote(const Address& who, BytesView votes);

    /// Makes calls in progress and later ones fail soon; from another thread.
    void close();

private:
    struct Impl;
    explicit StakingApi(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::wallet
