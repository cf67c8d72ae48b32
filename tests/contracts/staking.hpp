// SPDX-License-Identifier: Apache-2.0
// Staking as tests speak to it: typed calls, proofs of possession, votes that conflict.
#pragma once

#include "abi.hpp"
#include "chain.hpp"
#include "consensus/bft/evidence.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/units.hpp"

namespace trainyard::contracts {

struct CandidateState {
    bool known = false, tombstoned = false, contends = false;
    uint64_t jailed_until = 0, commission_bps = 0;
    Uint256 self, delegated, shares, leaving, weight_gwei;
    uint64_t led = 0, missed = 0;
    bool operator==(const CandidateState&) const = default;
};

class StakingChain {
public:
    explicit StakingChain(const std::vector<ChainValidator>& validators) : chain(validators) {}

    [[nodiscard]] const Address& at() const { return chain.address("Staking"); }
    Sent send(const Address& from, std::string_view signature, const Abi& args = {},
              const Uint256& value = 0) {
        return chain.send(from, at(), call_data(signature, args), value);
    }
    [[nodiscard]] Bytes view(std::string_view signature, const Abi& args = {}) {
        return chain.call(at(), call_data(signature, args));
    }

    /// register with the keys of duty_key; `signer` differs from `who` in forged proofs.
    Sent join(const Address& who, const Uint256& stake, uint64_t commission_bps = 0,
              const std::optional<Address>& keys_of = {});
    Sent deposit(const Address& from, const Address& to, const Uint256& wei) {
        return send(from, "deposit(address)", Abi().address(to), wei);
    }
    Sent unbond(const Address& who, const Uint256& wei) {
        return send(who, "unbond(uint256)", Abi().word(wei));
    }
    Sent delegate(const Address& from, const Address& to, const Uint256& wei) {
        return send(from, "delegate(address)", Abi().address(to), wei);
    }
    Sent undelegate(const Address& from, const Address& to, const Uint256& shares) {
        return send(from, "undelegate(address,uint256)", Abi().address(to).word(shares));
    }
    Sent withdraw(const Address& from, const Address& at_operator, uint64_t max = 99) {
        return send(from, "withdraw(address,uint256)", Abi().address(at_operator).word(max));
    }
    Sent claim(const Address& from, const Address& at_operator) {
        return send(from, "claim(address)", Abi().address(at_operator));
    }
    Sent set_commission(const Address& who, uint64_t bps) {
        return send(who, "setCommission(uint16)", Abi().word(bps));
    }
    Sent unjail(const Address& who) { return send(who, "unjail()"); }
    Sent slash(const Address& reporter, const Address& who, BytesView votes) {
        return send(reporter, "slashDoubleVote(address,bytes)", Abi().address(who).bytes(votes));
    }
    /// As the market calls it.
    Sent fine(const Address& who, const Uint256& wei) {
        return chain.impersonate(chain.address("ComputeMarket"), at(),
                                 call_data("fine(address,uint256)", Abi().address(who).word(wei)));
    }
    /// As the market calls it.
    Sent hold(const Address& who, uint64_t until) {
        const Abi args = Abi().address(who).word(until);
        return chain.impersonate(chain.address("ComputeMarket"), at(),
                                 call_data("hold(address,uint64)", args));
    }
    /// The fees of a block, as execution credits them.
    void pay_fees(const Uint256& wei) { chain.give(at(), wei); }
    /// Blocks until the first one of `epoch`.
    void enter_epoch(uint64_t epoch);

    /// Two votes of `who` for this chain, with its consensus key.
    [[nodiscard]] Bytes votes(const Address& who, consensus::bft::VoteKind first,
                              consensus::bft::VoteKind second, uint64_t view = 5) const;

    [[nodiscard]] CandidateState candidate(const Address& who);
    [[nodiscard]] uint64_t epoch() const { return (chain.number() - 1) / kEpoch; }
    [[nodiscard]] uint64_t weight_in(uint64_t epoch, const Address& who) const;
    [[nodiscard]] consensus::ValidatorSet set_of(uint64_t epoch) const;

    static constexpr uint64_t kEpoch = 64;    ///< genesis/devnet.json
    static constexpr uint64_t kUnbond = 400;  ///< genesis/devnet.json
    Chain chain;
};

}  // namespace trainyard::contracts
