// SPDX-License-Identifier: Apache-2.0
// Keys behind their signing database: what the database refuses is not signed.
#pragma once

#include <array>
#include <atomic>
#include <functional>

#include "consensus/bft/bft.hpp"
#include "node/signer/signing_db.hpp"

namespace trainyard::node::signer {

using RefusalCounts = std::array<uint64_t, kRefusals>;

class GuardedSigner final : public consensus::bft::Signer {
public:
    using OnRefusal = std::function<void(const consensus::bft::Vote&, Refusal)>;

    /// Precondition: both keys are valid, and `db` belongs to the consensus key. `on_refusal` is
    /// called by the thread that asks for the signature.
    GuardedSigner(const SecretKey& consensus_key, const SecretKey& vrf_key, SigningDb& db,
                  OnRefusal on_refusal);

    [[nodiscard]] std::optional<CompactSig> sign(const consensus::bft::ChainIdentity& chain,
                                                 const consensus::bft::Vote& vote) override;
    [[nodiscard]] Result<CompactSig, Refusal> sign_or_why(
        const consensus::bft::ChainIdentity& chain, const consensus::bft::Vote& vote);
    [[nodiscard]] std::optional<VrfOutput> prove(BytesView alpha) override;

    /// From any thread.
    [[nodiscard]] RefusalCounts refusals() const;

private:
    consensus::bft::KeySigner keys_;
    SigningDb& db_;
    const OnRefusal on_refusal_;
    std::array<std::atomic<uint64_t>, kRefusals> refusals_{};
};

}  // namespace trainyard::node::signer
