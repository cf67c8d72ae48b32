// SPDX-License-Identifier: Apache-2.0
// Stands before a signer: while it is shut nothing is signed.
#pragma once

#include <mutex>
#include <string>

#include "consensus/bft/bft.hpp"

namespace trainyard::node::signer {

class Gate final : public consensus::bft::Signer {
public:
    /// `why_shut` empty: open. `inner` outlives the gate.
    Gate(consensus::bft::Signer& inner, std::string why_shut)
        : inner_(inner), why_shut_(std::move(why_shut)) {}

    [[nodiscard]] std::optional<CompactSig> sign(const consensus::bft::ChainIdentity& chain,
                                                 const consensus::bft::Vote& vote) override {
        return why_shut().empty() ? inner_.sign(chain, vote) : std::nullopt;
    }
    [[nodiscard]] std::optional<VrfOutput> prove(BytesView alpha) override {
        return why_shut().empty() ? inner_.prove(alpha) : std::nullopt;
    }

    // From any thread.
    void open() { shut(""); }
    void shut(std::string why) {
        const std::lock_guard lock(mutex_);
        why_shut_ = std::move(why);
    }
    [[nodiscard]] std::string why_shut() const {
        const std::lock_guard lock(mutex_);
        return why_shut_;
    }

private:
    consensus::bft::Signer& inner_;
    mutable std::mutex mutex_;
    std::string why_shut_;
};

}  // namespace trainyard::node::signer
