// SPDX-License-Identifier: Apache-2.0
// The validators of one epoch: sorted, indexed and weighted by stake, with the quorum they give;
// and which set belongs to which epoch.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/units.hpp"

namespace trainyard::consensus {

inline constexpr size_t kValidatorsMax = 200;
/// The sum of all stakes stays below this, so that no sum of weights can overflow.
inline constexpr uint64_t kTotalStakeGweiMax = uint64_t{1} << 62;

/// Position in the sorted set; what votes and bitmaps name.
using ValidatorIndex = uint16_t;
inline constexpr ValidatorIndex kNoValidator = 0xffff;

/// The address owns the funds; the three keys are pairwise different and shared with nobody.
struct Validator {
    Address address;
    PublicKey consensus_key;
    PublicKey vrf_key;
    PublicKey p2p_key;
    uint64_t stake_gwei = 0;
    bool operator==(const Validator&) const = default;
};

enum class ValidatorSetError {
    empty,
    too_many,  ///< more than kValidatorsMax
    duplicate_address,
    duplicate_key,   ///< one key in two places, be it of one validator or of two
    no_stake,        ///< a validator without weight
    too_much_stake,  ///< the sum reaches kTotalStakeGweiMax
};

/// Immutable and never empty. Invariant: sorted by address, all addresses and keys distinct.
class ValidatorSet {
public:
    /// Sorts by address and checks the invariants.
    [[nodiscard]] static Result<ValidatorSet, ValidatorSetError> make(
        std::vector<Validator> validators);

    [[nodiscard]] size_t size() const { return validators_.size(); }
    /// Precondition: index < size().
    [[nodiscard]] const Validator& at(ValidatorIndex index) const;
    [[nodiscard]] const std::vector<Validator>& all() const { return validators_; }

    [[nodiscard]] uint64_t total_weight() const { return total_; }           ///< W
    [[nodiscard]] uint64_t quorum() const { return quorum_weight(total_); }  ///< Q
    [[nodiscard]] uint64_t fault_bound() const { return (total_ - 1) / 3; }  ///< F

    [[nodiscard]] std::optional<ValidatorIndex> find_address(const Address& address) const;
    [[nodiscard]] std::optional<ValidatorIndex> find_p2p_key(const PublicKey& key) const;
    [[nodiscard]] std::optional<ValidatorIndex> find_consensus_key(const PublicKey& key) const;

    /// floor(2 * total / 3) + 1 without overflow.
    [[nodiscard]] static uint64_t quorum_weight(uint64_t total) {
        return total / 3 * 2 + total % 3 * 2 / 3 + 1;
    }

private:
    explicit ValidatorSet(std::vector<Validator> sorted, uint64_t total)
        : validators_(std::move(sorted)), total_(total) {}

    std::vector<Validator> validators_;
    uint64_t total_ = 0;
};

[[nodiscard]] std::string_view to_text(ValidatorSetError error);

/// The epoch of a block: epoch e holds the heights e * length + 1 to (e + 1) * length, genesis is
/// in none. Precondition: height >= 1, length >= 1.
[[nodiscard]] Epoch epoch_of(Height height, uint64_t length);
/// The last height of an epoch, whose block is its boundary.
[[nodiscard]] Height boundary_of(Epoch epoch, uint64_t length);

using SetPtr = std::shared_ptr<const ValidatorSet>;

/// Who votes in which epoch. The sets of epochs 0 and 1 are that of genesis; that of e + 2 is fixed
/// by the state after the boundary of e.
class ValidatorSets {
public:
    virtual ~ValidatorSets() = default;
    /// Never null. Asked only for epochs whose set is fixed by a final block.
    [[nodiscard]] virtual SetPtr of_epoch(Epoch epoch) const = 0;
};

}  // namespace trainyard::consensus
