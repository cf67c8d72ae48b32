// SPDX-License-Identifier: Apache-2.0
// eth_chainId, eth_syncing, net_* and web3_*: who the node is and how it stands.
#include "core/hash.hpp"
#include "rpc/method.hpp"

namespace trainyard::rpc {

namespace {

Outcome chain_id(Call& call) {
    call.out.quantity(call.backend.chain_id());
    return Done{};
}

Outcome syncing(Call& call) {
    const auto status = call.backend.syncing();
    if (!status) {
        call.out.boolean(false);
        return Done{};
    }
    call.out.begin_object().key("startingBlock").quantity(status->starting_block);
    call.out.key("currentBlock").quantity(status->current_block);
    call.out.key("highestBlock").quantity(status->highest_block);
    if (status->snapshot_chunks > 0) {
        call.out.key("snapshotChunks").quantity(status->snapshot_chunks);
        call.out.key("snapshotChunksHere").quantity(status->snapshot_chunks_here);
    }
    call.out.end_object();
    return Done{};
}

Outcome net_version(Call& call) {
    call.out.text(std::to_string(call.backend.chain_id()));
    return Done{};
}

Outcome net_listening(Call& call) {
    call.out.boolean(true);
    return Done{};
}

Outcome net_peer_count(Call& call) {
    call.out.quantity(uint64_t{call.backend.peers().size()});
    return Done{};
}

Outcome client_version(Call& call) {
    call.out.text(call.backend.client_version());
    return Done{};
}

Outcome sha3(Call& call) {
    call.out.data(keccak256(call.args.at<Bytes>(0)));
    return Done{};
}

constexpr Method kMethods[] = {
    {"eth_chainId", chain_id, {}, Shape::quantity, false, "chain id (EIP-155)"},
    {"eth_syncing", syncing, {}, Shape::any, false, "false, or how far the node is behind"},
    {"net_version", net_version, {}, Shape::text, false, "chain id in decimal"},
    {"net_listening", net_listening, {}, Shape::boolean, false, "true: the node accepts peers"},
    {"net_peerCount", net_peer_count, {}, Shape::quantity, false, "connected peers"},
    {"web3_clientVersion",
     client_version,
     {},
     Shape::text,
     false,
     "name and version of the program"},
    {"web3_sha3", sha3, {{{"data", Kind::data, true}}}, Shape::data, false, "keccak-256"},
};

}  // namespace

std::span<const Method> net_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
