// SPDX-License-Identifier: Apache-2.0
// Boundary after boundary: certificate, then the set that votes two epochs later.
#include "consensus/light/light.hpp"

#include "consensus/bft/verify.hpp"
#include "consensus/staking/read_set.hpp"
#include "state/witness.hpp"

namespace trainyard::consensus::light {
namespace {

/// The set that the state after `header` fixes for `epoch`; null where it leaves the one before in
/// force (docs/spec/consensus.md, section 13).
Result<SetPtr, LightError> fixed_set(const Boundary& boundary, const ChainConfig& config,
                                     Epoch epoch) {
    size_t size_bytes = 0;
    for (const auto& node : boundary.witness) size_bytes += node.size();
    if (boundary.witness.size() > kWitnessNodesMax || size_bytes > kWitnessSizeMax_bytes)
        return unexpected(LightError::witness_too_large);
    const state::WitnessNodes nodes(boundary.witness);
    const state::TrieView view(nodes, boundary.header.state_root);
    auto set = read_set(view, config, epoch);
    if (!nodes.is_complete()) return unexpected(LightError::incomplete_witness);
    if (!set) return SetPtr{};
    return std::make_shared<const ValidatorSet>(std::move(*set));
}

}  // namespace

std::optional<std::vector<Bytes>> witness_of_set(const state::NodeSource& nodes,
                                                 const Hash& state_root, const ChainConfig& config,
                                                 Epoch epoch) {
    const state::RecordingNodes recording(nodes);
    // What the set is does not matter here, nor that it is one: the client decides by itself.
    (void)read_set(state::TrieView(recording, state_root), config, epoch);
    return recording.witness();
}

LightChain::Start LightChain::at_genesis(const bft::ChainIdentity& chain,
                                         const ValidatorSet& validators) {
    const auto set = std::make_shared<const ValidatorSet>(validators);
    return {chain, {}, set, set};
}

Height LightChain::next_boundary() const {
    return boundary_of(at_.epoch, config_->epoch_length);
}

Result<Done, LightError> LightChain::advance(const Boundary& boundary) {
    if (boundary.header.number != next_boundary().value) return unexpected(LightError::wrong_block);
    if (auto done = verify_final(boundary.header, boundary.certificate); !done) return done;
    auto set = fixed_set(boundary, *config_, at_.epoch + 2);
    if (!set) return unexpected(set.error());
    at_.epoch = at_.epoch + 1;
    at_.current = at_.next;
    if (*set) at_.next = *set;
    return Done{};
}

Result<Done, LightError> LightChain::verify_final(const Header& header,
                                                  const bft::Certificate& certificate) const {
    const auto seal = bft::decode_seal(header.extra_data);
    if (!seal || seal->epoch != at_.epoch || header.number == 0 ||
        epoch_of({header.number}, config_->epoch_length) != at_.epoch)
        return unexpected(LightError::wrong_block);
    const bool fits = certificate.kind == bft::VoteKind::finalize &&
                      certificate.epoch == at_.epoch && certificate.block == hash_header(header);
    if (!fits || !bft::verify_certificate(certificate, *at_.current, at_.chain))
        return unexpected(LightError::wrong_certificate);
    return Done{};
}

std::string_view to_text(LightError error) {
    switch (error) {
        case LightError::wrong_block:
            return "not the block that comes next";
        case LightError::wrong_certificate:
            return "no certificate of a quorum for this block";
        case LightError::witness_too_large:
            return "a witness above its limits";
        case LightError::incomplete_witness:
            return "the witness does not show the next validator set";
    }
    return "unknown";
}

}  // namespace trainyard::consensus::light
