// SPDX-License-Identifier: Apache-2.0
// The real signatures behind the machine's Signer and Checks.
#include "consensus/bft/bft.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus::bft {

bool RealChecks::verify(const PublicKey& key, const Hash& digest,
                        const CompactSig& signature) const {
    return trainyard::verify(key, digest, signature);
}

std::optional<Hash> RealChecks::verify_vrf(const PublicKey& key, BytesView alpha,
                                           const vrf::Proof& proof) const {
    return vrf::verify(key, alpha, proof);
}

KeySigner::KeySigner(const SecretKey& consensus_key, const SecretKey& vrf_key)
    : consensus_key_(consensus_key), vrf_key_(vrf_key) {
    const auto vrf_public = public_key(vrf_key);
    ASSERT(is_valid_secret(consensus_key) && vrf_public.has_value());
    vrf_public_ = *vrf_public;
}

std::optional<CompactSig> KeySigner::sign(const ChainIdentity& chain, const Vote& vote) {
    return trainyard::sign(consensus_key_, vote_digest(chain, vote)).rs;
}

std::optional<Signer::VrfOutput> KeySigner::prove(BytesView alpha) {
    const vrf::Proof proof = vrf::prove(vrf_key_, alpha);
    const auto beta = vrf::verify(vrf_public_, alpha, proof);
    ASSERT(beta.has_value());
    return VrfOutput{proof, *beta};
}

}  // namespace trainyard::consensus::bft
