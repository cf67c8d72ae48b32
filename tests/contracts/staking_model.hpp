// SPDX-License-Identifier: Apache-2.0
// Staking in plain C++: what docs/spec/staking.md says, with maps, sorting and searching by trial
// where the contract is clever.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "chain.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/uint256.hpp"
#include "staking.hpp"

namespace trainyard::contracts {

struct ModelPool {
    Uint256 tokens, shares;
    [[nodiscard]] Uint256 worth(const Uint256& of) const {
        return shares.is_zero() ? Uint256() : of * tokens / shares;
    }
    Uint256 add(const Uint256& amount);
    Uint256 remove(const Uint256& of);
    Uint256 slash() {
        const Uint256 lost = tokens / 20;
        tokens -= lost;
        return lost;
    }
};

struct ModelExit {
    Uint256 shares;
    uint64_t release_block = 0;
};

struct ModelCandidate {
    Uint256 self;
    ModelPool delegated, leaving;
    Uint256 reward_per_share;
    uint64_t jailed_until = 0, commission_bps = 0, raised_in = UINT64_MAX;
    bool tombstoned = false;
    uint64_t turns_epoch = 0, led = 0, missed = 0;
    std::map<Address, Uint256> shares, paid_per_share;
    std::map<Address, std::deque<ModelExit>> exits;
};

/// Every call says what the contract must say: "" where it succeeds, else its error.
class StakingModel {
public:
    explicit StakingModel(const std::vector<ChainValidator>& validators);

    std::string join(const Address& who, const Uint256& stake, uint64_t commission_bps);
    std::string deposit(const Address& to, const Uint256& wei);
    std::string unbond(const Address& who, const Uint256& wei);
    std::string delegate(const Address& who, const Address& to, const Uint256& wei);
    std::string undelegate(const Address& who, const Address& at, const Uint256& shares);
    std::string withdraw(const Address& who, const Address& at, uint64_t max);
    std::string claim(const Address& who, const Address& at);
    std::string set_commission(const Address& who, uint64_t bps);
    std::string unjail(const Address& who);
    std::string slash(const Address& reporter, const Address& who);
    std::string fine(const Address& who, const Uint256& wei);
    /// A block in `view`, after one in `parent_view` of the given fees; `seed` draws its leaders.
    void block(uint64_t number, uint64_t view, uint64_t parent_view, const Hash& seed,
               const Uint256& fees_before);

    [[nodiscard]] CandidateState state_of(const Address& who) const;
    [[nodiscard]] Uint256 earned(const Address& at, const Address& who) const;
    [[nodiscard]] Uint256 bonded() const;
    /// What is owed: stakes, exits, rewards. Less than what is held by what division left over.
    [[nodiscard]] Uint256 owed() const;
    [[nodiscard]] const consensus::ValidatorSet& set_of(uint64_t epoch) const;

    std::map<Address, ModelCandidate> candidates;
    std::map<Address, Uint256> rewards;
    std::map<Address, Uint256> paid_out;  ///< by withdraw and claim
    Uint256 held, burned, fined;
    uint64_t last_epoch = 1;

private:
    [[nodiscard]] uint64_t weight_of(const ModelCandidate& c) const;
    [[nodiscard]] std::string closed(const Address& who) const;
    std::string leave(const Address& at, const Address& who, const Uint256& amount);
    void settle(const Address& at, const Address& who);
    void pay(const Address& who, const Uint256& amount);
    void book_fees(const Uint256& fees);
    void turn(const Address& who, bool led);
    void jail();
    void elect();

    uint64_t number_ = 1;
    std::optional<Address> last_leader_;
    std::map<uint64_t, consensus::ValidatorSet> sets_;  ///< from the epoch on
};

}  // namespace trainyard::contracts
