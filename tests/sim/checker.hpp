// SPDX-License-Identifier: Apache-2.0
// What must hold in every run: one chain, honest nodes without contradictions, equal state.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "tests/sim/electorate.hpp"

namespace trainyard::sim {

/// Sees everything that honest nodes send and finalize; keeps the first violation.
class Checker {
public:
    struct Chain {
        consensus::bft::ChainIdentity identity;
        uint64_t epoch_length = 0;
        const Electorate& electorate;
        const consensus::bft::Checks& checks;
    };
    /// What `chain` names outlives the checker.
    Checker(std::vector<bool> honest, Chain chain)
        : honest_(std::move(honest)), chain_(std::move(chain)) {}

    /// An honest node decides on a vote, and has it on its disk.
    void on_intent(const consensus::bft::Vote& vote);
    void on_vote(const consensus::bft::Vote& vote);
    /// `certificate` is null where it is not to be looked at.
    void on_final(unsigned node, const consensus::bft::BlockData& block, const Hash& state,
                  const consensus::bft::Certificate* certificate);
    void on_evidence(const consensus::bft::Evidence& evidence);
    void fail(std::string what) {
        if (failure_.empty()) failure_ = std::move(what);
    }
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] uint64_t evidence() const { return evidence_; }
    /// The one true set of an epoch, once the block that fixes it is final somewhere.
    [[nodiscard]] consensus::SetPtr set_of(Epoch epoch) const;
    [[nodiscard]] uint64_t height() const { return finals_.size(); }  ///< the highest anywhere

private:
    struct Final {
        Hash block, state;
        bool operator==(const Final&) const = default;
    };
    using Slot = std::tuple<Epoch, consensus::ValidatorIndex, View, consensus::bft::VoteKind>;

    [[nodiscard]] bool is_proven(const consensus::bft::Certificate& certificate,
                                 uint64_t height) const;
    void conflict(const consensus::bft::Vote& vote, const char* with);

    std::vector<bool> honest_;  ///< by owner
    Chain chain_;
    std::map<uint64_t, Final> finals_;                    ///< by height
    std::map<unsigned, std::pair<uint64_t, Hash>> tips_;  ///< by node
    std::map<Slot, Hash> votes_;
    std::set<std::tuple<Epoch, consensus::ValidatorIndex, View>> nullified_;
    uint64_t evidence_ = 0;
    std::string failure_;
};

}  // namespace trainyard::sim
