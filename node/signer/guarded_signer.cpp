// SPDX-License-Identifier: Apache-2.0
// The database first, the key after it.
#include "node/signer/guarded_signer.hpp"

namespace trainyard::node::signer {

GuardedSigner::GuardedSigner(const SecretKey& consensus_key, const SecretKey& vrf_key,
                             SigningDb& db, OnRefusal on_refusal)
    : keys_(consensus_key, vrf_key), db_(db), on_refusal_(std::move(on_refusal)) {}

std::optional<CompactSig> GuardedSigner::sign(const consensus::bft::ChainIdentity& chain,
                                              const consensus::bft::Vote& vote) {
    const auto signature = sign_or_why(chain, vote);
    return signature ? std::optional(*signature) : std::nullopt;
}

Result<CompactSig, Refusal> GuardedSigner::sign_or_why(const consensus::bft::ChainIdentity& chain,
                                                       const consensus::bft::Vote& vote) {
    const auto admitted = db_.admit(chain, vote);
    if (admitted) return *keys_.sign(chain, vote);
    ++refusals_[static_cast<size_t>(admitted.error())];
    if (on_refusal_) on_refusal_(vote, admitted.error());
    return unexpected(admitted.error());
}

std::optional<GuardedSigner::VrfOutput> GuardedSigner::prove(BytesView alpha) {
    return keys_.prove(alpha);
}

RefusalCounts GuardedSigner::refusals() const {
    RefusalCounts out{};
    for (size_t i = 0; i < out.size(); ++i) out[i] = refusals_[i];
    return out;
}

}  // namespace trainyard::node::signer
