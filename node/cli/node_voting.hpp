// SPDX-License-Identifier: Apache-2.0
// A validator's signer with all that guards it.
#pragma once

#include <memory>
#include <string>

#include "node/cli/node_setup.hpp"
#include "node/metrics/exposition.hpp"
#include "node/runtime/log.hpp"
#include "node/signer/guarded_signer.hpp"

namespace trainyard::node::cli {

class NodeVoting {
public:
    /// Opens the signing database in `votes`, which outlives this. Precondition: `setup.keys`.
    [[nodiscard]] static Result<std::unique_ptr<NodeVoting>, std::string> open(
        const NodeSetup& setup, state::Kv& votes, const runtime::Logger& log);

    [[nodiscard]] consensus::bft::Signer& signer() { return *signer_; }
    void add_metrics(metrics::Metrics& out) const;

private:
    std::unique_ptr<signer::SigningDb> db_;
    std::unique_ptr<signer::GuardedSigner> signer_;
};

}  // namespace trainyard::node::cli
