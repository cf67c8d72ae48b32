// SPDX-License-Identifier: Apache-2.0
// Every kind of message on the wire with its lane, its size limit and what answers it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trainyard::p2p {

/// Priority of sending, highest first; each peer has one bounded queue per lane.
enum class Lane : uint8_t { votes, proposals, repair, txs, bulk };
inline constexpr size_t kLanes = 5;
inline constexpr std::array<std::string_view, kLanes> kLaneNames{"votes", "proposals", "repair",
                                                                 "txs", "bulk"};

/// The byte that names a message on the wire; numbers are never reused.
enum class Kind : uint8_t {
    hello = 1,
    goodbye = 2,
    ping = 3,
    pong = 4,
    refused = 5,  ///< the answer to any request that is not served: throttled or unsupported
    status = 8,
    get_peers = 9,  ///< addresses of other nodes
    peers = 10,
    permit = 11,       ///< a validator's word that a sentry carries its messages
    no_route = 12,     ///< a sentry no longer reaches a validator
    routed_vote = 13,  ///< a message of consensus on its way through a sentry, by lane
    routed_proposal = 14,
    routed_repair = 15,
    bft_vote = 16,  ///< NOTARIZE, FINALIZE or NULLIFY of one validator
    bft_certificate = 17,
    bft_proposal = 18,
    bft_ask = 19,    ///< the vote machine asks for a certificate or block, or says where it stands
    bft_block = 20,  ///< an unfinished block that a peer asked for
    tx = 24,
    get_block = 32,  ///< one block by hash
    block = 33,
    get_blocks = 34,  ///< finalised blocks by height
    blocks = 35,
    get_snapshots = 40,  ///< which snapshots do you offer?
    snapshots = 41,
    get_boundaries = 42,  ///< proofs of the last blocks of epochs
    boundaries = 43,
    get_snapshot_part = 44,
    snapshot_part = 45,
    have_blob = 48,  ///< who has this blob?
    has_blob = 49,
    get_blob_manifest = 50,
    blob_manifest = 51,
    get_blob_chunk = 52,
    blob_chunk = 53,
};

inline constexpr size_t kFrameBytesMax = 4u << 20;

/// One row of the protocol. `payload_max` is checked before a byte of the payload is read.
struct KindRow {
    Kind kind;
    std::string_view name;
    Lane lane;
    size_t payload_max;
    Kind answer = Kind{0};  ///< what answers it; 0: it is not a request
    size_t work_cost = 0;   ///< bytes charged to the sender's bucket for the work it makes

    [[nodiscard]] constexpr bool is_request() const { return answer != Kind{0}; }
};

/// Around a message that passes through a sentry: its origin, its receiver and its kind.
inline constexpr size_t kRoutedOverhead = 33 + 33 + 1;

// Source: docs/spec/wire.md, section 3.
inline constexpr std::array kKinds{
    KindRow{Kind::hello, "hello", Lane::votes, 256},
    KindRow{Kind::goodbye, "goodbye", Lane::votes, 256},
    KindRow{Kind::ping, "ping", Lane::votes, 16},
    KindRow{Kind::pong, "pong", Lane::votes, 16},
    KindRow{Kind::refused, "refused", Lane::repair, 16},
    KindRow{Kind::status, "status", Lane::votes, 256},
    KindRow{Kind::get_peers, "get_peers", Lane::txs, 0, Kind::peers, 64u << 10},
    KindRow{Kind::peers, "peers", Lane::txs, 4u << 10},
    KindRow{Kind::permit, "permit", Lane::repair, 138, Kind{0}, 64u << 10},
    KindRow{Kind::no_route, "no_route", Lane::repair, 33},
    KindRow{Kind::routed_vote, "routed_vote", Lane::votes, (16u << 10) + kRoutedOverhead},
    KindRow{Kind::routed_proposal, "routed_proposal", Lane::proposals,
            (9u << 18) + kRoutedOverhead},
    KindRow{Kind::routed_repair, "routed_repair", Lane::repair, (9u << 18) + kRoutedOverhead},
    KindRow{Kind::bft_vote, "bft_vote", Lane::votes, 256},
    KindRow{Kind::bft_certificate, "bft_certificate", Lane::votes, 16u << 10},
    KindRow{Kind::bft_proposal, "bft_proposal", Lane::proposals, 9u << 18},
    KindRow{Kind::bft_ask, "bft_ask", Lane::repair, 256},
    KindRow{Kind::bft_block, "bft_block", Lane::repair, 9u << 18},
    KindRow{Kind::tx, "tx", Lane::txs, 128u << 10},
    KindRow{Kind::get_block, "get_block", Lane::repair, 64, Kind::block, 64u << 10},
    KindRow{Kind::block, "block", Lane::repair, 3u << 20},
    KindRow{Kind::get_blocks, "get_blocks", Lane::bulk, 64, Kind::blocks, 256u << 10},
    KindRow{Kind::blocks, "blocks", Lane::bulk, 4'000'000},
    KindRow{Kind::get_snapshots, "get_snapshots", Lane::bulk, 16, Kind::snapshots, 1u << 10},
    KindRow{Kind::snapshots, "snapshots", Lane::bulk, 1u << 10},
    KindRow{Kind::get_boundaries, "get_boundaries", Lane::bulk, 64, Kind::boundaries, 256u << 10},
    KindRow{Kind::boundaries, "boundaries", Lane::bulk, 4'000'000},
    KindRow{Kind::get_snapshot_part, "get_snapshot_part", Lane::bulk, 64, Kind::snapshot_part,
            1u << 20},
    KindRow{Kind::snapshot_part, "snapshot_part", Lane::bulk, (1u << 20) + 64},
    KindRow{Kind::have_blob, "have_blob", Lane::bulk, 64, Kind::has_blob, 1u << 10},
    KindRow{Kind::has_blob, "has_blob", Lane::bulk, 16},
    KindRow{Kind::get_blob_manifest, "get_blob_manifest", Lane::bulk, 64, Kind::blob_manifest,
            256u << 10},
    KindRow{Kind::blob_manifest, "blob_manifest", Lane::bulk, 3u << 20},
    KindRow{Kind::get_blob_chunk, "get_blob_chunk", Lane::bulk, 64, Kind::blob_chunk, 256u << 10},
    KindRow{Kind::blob_chunk, "blob_chunk", Lane::bulk, (256u << 10) + 64},
};

/// The row of a kind, or nullptr for a byte that names none.
[[nodiscard]] constexpr const KindRow* find_kind(uint8_t byte) {
    for (const KindRow& row : kKinds) {
        if (static_cast<uint8_t>(row.kind) == byte) return &row;
    }
    return nullptr;
}
[[nodiscard]] constexpr const KindRow* find_kind(Kind kind) {
    return find_kind(static_cast<uint8_t>(kind));
}

}  // namespace trainyard::p2p
