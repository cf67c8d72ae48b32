// SPDX-License-Identifier: Apache-2.0
// Boundary after boundary: certificate, then the set that votes two epochs later.
#include "consensus/light/light.hpp"

#include <array>

#include "consensus/bft/verify.hpp"
#include "consensus/staking/read_set.hpp"
#include "core/rlp.hpp"
#include "state/witness.hpp"

namespace trainyard::consensus::light {
namespace {

constexpr uint64_t kEpochsOfGenesis = 2;  ///< whose set is that of genesis

/// The set of `epoch` as the state below `state_root` names it; null where it names none that is
/// one, which leaves the set before in force (docs/spec/consensus.md, section 13).
Result<SetPtr, LightError> named_set(const std::vector<Bytes>& witness, const Hash& state_root,
                                     const ChainConfig& config, Epoch epoch) {
    size_t size_bytes = 0;
    for (const auto& node : witness) size_bytes += node.size();
    if (witness.size() > kWitnessNodesMax || size_bytes > kWitnessSizeMax_bytes)
        return unexpected(LightError::witness_too_large);
    const state::WitnessNodes nodes(witness);
    const state::TrieView view(nodes, state_root);
    auto set = read_set(view, config, epoch);
    if (!nodes.is_complete()) return unexpected(LightError::incomplete_witness);
    if (!set) return SetPtr{};
    return std::make_shared<const ValidatorSet>(std::move(*set));
}

}  // namespace

Bytes encode_boundary(const Boundary& boundary) {
    rlp::Writer out;
    out.begin_list().bytes(encode_header(boundary.header));
    out.bytes(bft::encode_certificate(boundary.certificate)).begin_list();
    for (const Bytes& node : boundary.witness) out.bytes(node);
    return out.end_list().end_list().take();
}

std::optional<Boundary> decode_boundary(BytesView encoded) {
    Bytes header_bytes, certificate_bytes;
    Boundary out;
    rlp::Fields outer(encoded);
    outer.list([&](rlp::Fields& in) {
        header_bytes = in.bytes();
        certificate_bytes = in.bytes();
        in.each([&](rlp::Fields& list) {
            out.witness.push_back(list.bytes());
            if (out.witness.size() > kWitnessNodesMax) list.fail(rlp::Error::bad_value);
        });
    });
    if (!outer.finish()) return std::nullopt;
    auto header = decode_header(header_bytes);
    auto certificate = bft::decode_certificate(certificate_bytes);
    if (!header || !certificate) return std::nullopt;
    out.header = *std::move(header);
    out.certificate = *std::move(certificate);
    return out;
}

std::optional<std::vector<Bytes>> witness_of_sets(const state::NodeSource& nodes,
                                                  const Hash& state_root, const ChainConfig& config,
                                                  Epoch epoch) {
    const state::RecordingNodes recording(nodes);
    const state::TrieView view(recording, state_root);
    // What the sets are does not matter here, nor that they are some: the client decides by itself.
    for (const uint64_t later : {0, 1, 2})
        if (const Epoch of = epoch + later; of.value >= kEpochsOfGenesis)
            (void)read_set(view, config, of);
    return recording.witness();
}

LightChain::Start LightChain::at_genesis(const bft::ChainIdentity& chain,
                                         const ValidatorSet& validators) {
    const auto set = std::make_shared<const ValidatorSet>(validators);
    return {chain, {}, set, set};
}

Result<LightChain::Start, LightError> LightChain::at_boundary(const ChainConfig& config,
                                                              const Start& genesis,
                                                              const Boundary& boundary) {
    const Header& header = boundary.header;
    if (header.number == 0 || header.number % config.epoch_length != 0)
        return unexpected(LightError::wrong_block);
    const Epoch epoch = epoch_of({header.number}, config.epoch_length);
    std::array<SetPtr, 3> sets;  // of this epoch and the two that follow
    for (uint64_t i = 0; i < sets.size(); ++i) {
        const Epoch of = epoch + i;
        auto set = of.value < kEpochsOfGenesis
                       ? Result<SetPtr, LightError>(genesis.current)
                       : named_set(boundary.witness, header.state_root, config, of);
        if (!set) return unexpected(set.error());
        sets[i] = *std::move(set);
    }
    if (!sets[0] || !sets[1]) return unexpected(LightError::no_set);
    const LightChain there(config, {genesis.chain, epoch, sets[0], sets[1]});
    if (auto done = there.verify_final(header, boundary.certificate); !done)
        return unexpected(done.error());
    return Start{genesis.chain, epoch + 1, sets[1], sets[2] ? sets[2] : sets[1]};
}

Height LightChain::next_boundary() const {
    return boundary_of(at_.epoch, config_->epoch_length);
}

Result<Done, LightError> LightChain::advance(const Boundary& boundary) {
    if (boundary.header.number != next_boundary().value) return unexpected(LightError::wrong_block);
    if (auto done = verify_final(boundary.header, boundary.certificate); !done) return done;
    auto set = named_set(boundary.witness, boundary.header.state_root, *config_, at_.epoch + 2);
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
        case LightError::no_set:
            return "the state names no validator set for its epoch or the next";
    }
    return "unknown";
}

}  // namespace trainyard::consensus::light
