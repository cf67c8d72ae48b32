// SPDX-License-Identifier: Apache-2.0
// Bytes that a verifier process may take, and how to keep to them.
#pragma once

#include <functional>
#include <string>

#include "node/verify/verifier.hpp"
#include "training/plan.hpp"

namespace trainyard::node::verify {

class Room {
public:
    /// `bytes_max` 0: no limit.
    Room(uint64_t bytes_max, unsigned threads) : bytes_max_(bytes_max), threads_(threads) {}

    /// Where the forward pass is cut so that audits, a replay or the turns of a dispute fit.
    /// Devices have memory of their own. Error: out_of_memory, with both numbers.
    [[nodiscard]] Result<training::Cuts, VerifyError> cuts(const training::Program& program,
                                                           const training::Backend& backend,
                                                           const AuditRequest& request) const;
    [[nodiscard]] Result<training::Cuts, VerifyError> cuts(const training::Program& program,
                                                           const training::Backend& backend,
                                                           const ReplayRequest& request) const;
    [[nodiscard]] Result<training::Cuts, VerifyError> cuts(const training::Program& program,
                                                           const training::Backend& backend,
                                                           const PickRequest& request) const;
    /// Of a dispute over any segment of a job of the program: before a bond is put up for it.
    [[nodiscard]] Result<Done, VerifyError> holds_dispute(const training::Program& program) const;

private:
    using BytesOf = std::function<uint64_t(const training::Plan&)>;
    [[nodiscard]] Result<training::Cuts, VerifyError> cuts(const training::Program& program,
                                                           const training::Backend& backend,
                                                           const std::string& what, uint64_t sent,
                                                           const BytesOf& working) const;
    [[nodiscard]] Result<training::Cuts, VerifyError> cuts_within(const training::Program& program,
                                                                  const std::string& what,
                                                                  uint64_t sent,
                                                                  const BytesOf& working) const;

    uint64_t bytes_max_;
    unsigned threads_;
};

}  // namespace trainyard::node::verify
