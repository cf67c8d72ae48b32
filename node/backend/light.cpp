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
    const auto bytes = chain.final_bytes(header.number);
    if (!bytes) return std::nullopt;
    const auto certificate = consensus::bft::decode_certificate(bytes->certificate);
    if (!certificate || certificate->block != hash_header(header)) return std::nullopt;
    return bytes->certificate;
}

}  // namespace

std::optional<rpc::FinalHeader> NodeBackend::final_header(uint64_t number) const {
    const uint64_t last = std::min(number, parts_.chain.finalised()->height());
    for (uint64_t at = last; at > 0 && at + kSearchMax > last; --at) {
        const auto block = parts_.chain.by_number(at);
        if (!block) return std::nullopt;
        if (auto certificate = own_certificate(parts_.chain, block->block.header))
            return rpc::FinalHeader{block->block.header, std::move(*certificate)};
    }
    return std::nullopt;
}

Result<rpc::BoundaryProof, rpc::CallError> NodeBackend::boundary(uint64_t epoch) const {
    const auto& config = parts_.chain.config();
    const uint64_t last = parts_.chain.finalised()->height();
    if (parts_.chain.is_foreign() || epoch >= last / config.epoch_length)
        return unexpected(not_final());
    const uint64_t number = consensus::boundary_of({epoch}, config.epoch_length).value;
    const auto block = parts_.chain.by_number(number);
    if (!block) return unexpected(not_final());
    const Header& header = block->block.header;
    auto certificate = own_certificate(parts_.chain, header);
    const auto nodes = parts_.chain.nodes(block->hash);
    auto witness =
        nodes ? consensus::light::witness_of_set(*nodes, header.state_root, config, {epoch + 2})
              : std::nullopt;
    if (!certificate || !witness)
        return unexpected(
            rpc::CallError{Kind::state_unavailable,
                           "the state after block " + std::to_string(number) +
                               " is not kept here; ask a node that keeps all states (archive)",
                           {}});
    return rpc::BoundaryProof{{header, std::move(*certificate)}, std::move(*witness)};
}

}  // namespace trainyard::node::backend
