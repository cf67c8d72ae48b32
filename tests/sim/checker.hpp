// SPDX-License-Identifier: Apache-2.0
// What must hold in every run: one chain, honest nodes without contradictions, equal state.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "consensus/bft/bft.hpp"

namespace trainyard::sim {

/// Sees everything that honest nodes send and finalize; keeps the first violation.
class Checker {
public:
    explicit Checker(std::vector<bool> honest) : honest_(std::move(honest)) {}

    /// An honest node decides on a vote, and has it on its disk.
    void on_intent(const consensus::bft::Vote& vote);
    void on_vote(const consensus::bft::Vote& vote);
    void on_final(unsigned node, const consensus::bft::BlockData& block, const Hash& state);
    void on_evidence(const consensus::bft::Evidence& evidence);
    void fail(std::string what) {
        if (failure_.empty()) failure_ = std::move(what);
    }
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] uint64_t evidence() const { return evidence_; }

private:
    struct Final {
        Hash block, state;
        bool operator==(const Final&) const = default;
    };
    using Slot = std::tuple<consensus::ValidatorIndex, uint64_t, consensus::bft::VoteKind>;

    void conflict(const consensus::bft::Vote& vote, const char* with);

    std::vector<bool> honest_;
    std::map<uint64_t, Final> finals_;                    ///< by height
    std::map<unsigned, std::pair<uint64_t, Hash>> tips_;  ///< by node
    std::map<Slot, Hash> votes_;
    std::set<std::pair<consensus::ValidatorIndex, uint64_t>> nullified_;  ///< views, by signer
    uint64_t evidence_ = 0;
    std::string failure_;
};

}  // namespace trainyard::sim
