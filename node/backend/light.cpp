// SPDX-License-Identifier: Apache-2.0
// What light clients are given.
#include "consensus/bft/messages.hpp"
#include "consensus/light/light.hpp"
#include "node/backend/node_backend.hpp"

namespace trainyard::node::backend {
namespace {

using Kind = rpc::CallError::Kind;

constexpr uint64_t kSearchMax = 100;  ///< blocks whose certificate is a descendant's

rpc::CallError not_final() {
    return {Kind::unknown_block, "this epoch is not over yet", {}};
}

/// The certificate if it is this very block's.
std::optional<Bytes> own_certificate(const chain::Chain& chain, const Header& header) {
    auto bytes = chain.certificate(header.number);
    if (!bytes) return std::nullopt;
    const auto certificate = consensus::bft::decode_certificate(*bytes);
    if (!certificate || certificate->block != hash_header(header)) return std::nullopt;
    return bytes;
}

}  // namespace

std::optional<rpc::FinalHeader> NodeBackend::final_header(uint64_t number) const {
    const uint64_t last = std::min(number, parts_.chain.finalised()->height());
    for (uint64_t at = last; at > 0 && at + kSearchMax > last; --at) {
        auto header = parts_.chain.header(at);
        if (!header) return std::nullopt;
        if (auto certificate = own_certificate(parts_.chain, *header))
            return rpc::FinalHeader{std::move(*header), std::move(*certificate)};
    }
    return std::nullopt;
}

Result<rpc::BoundaryProof, rpc::CallError> NodeBackend::boundary(uint64_t epoch) const {
    const auto& config = parts_.chain.config();
    const uint64_t last = parts_.chain.finalised()->height();
    if (parts_.chain.is_foreign() || epoch >= last / config.epoch_length)
        return unexpected(not_final());
    if (const auto record = parts_.chain.boundary({epoch}))
        if (auto proof = consensus::light::decode_boundary(*record))
            return rpc::BoundaryProof{
                {std::move(proof->header), consensus::bft::encode_certificate(proof->certificate)},
                std::move(proof->witness)};
    return boundary_from_state(epoch);
}

/// The latest is recorded with the block after it; data folders of older programs have none.
Result<rpc::BoundaryProof, rpc::CallError> NodeBackend::boundary_from_state(uint64_t epoch) const {
    const auto& config = parts_.chain.config();
    const uint64_t number = consensus::boundary_of({epoch}, config.epoch_length).value;
    const auto block = parts_.chain.by_number(number);
    if (!block) return unexpected(not_final());
    const Header& header = block->block.header;
    auto certificate = own_certificate(parts_.chain, header);
    const auto nodes = parts_.chain.nodes(block->hash);
    auto witness =
        nodes ? consensus::light::witness_of_sets(*nodes, header.state_root, config, {epoch})
              : std::nullopt;
    if (!certificate || !witness)
        return unexpected(
            rpc::CallError{Kind::state_unavailable,
                           "the proof of block " + std::to_string(number) +
                               " is not recorded here and its state is not kept; ask another node",
                           {}});
    return rpc::BoundaryProof{{header, std::move(*certificate)}, std::move(*witness)};
}

}  // namespace trainyard::node::backend
