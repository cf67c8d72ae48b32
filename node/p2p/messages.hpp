// SPDX-License-Identifier: Apache-2.0
// The payloads that the network, sync and blobs exchange, as plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/units.hpp"

namespace trainyard::p2p {

inline constexpr size_t kAgentBytesMax = 64;
inline constexpr size_t kReasonBytesMax = 200;
inline constexpr uint32_t kBlocksPerRequestMax = 64;

struct Hello {
    Hash genesis;
    uint64_t instance = 0;  ///< random at each start; tells a restart from a second connection
    uint16_t listen_port = 0;
    std::string agent;
    bool operator==(const Hello&) const = default;
};

struct Status {
    Height finalised_height;
    Hash finalised_hash;
    Epoch epoch;
    View view;
    bool operator==(const Status&) const = default;
};

struct GetBlocks {
    Height from_height;
    uint32_t count = 0;  ///< 1 to kBlocksPerRequestMax
    bool operator==(const GetBlocks&) const = default;
};

/// A block and the certificate that makes it final. The certificate is empty where that of a later
/// block of the same answer covers it.
struct FinalisedBlock {
    Bytes block;
    Bytes certificate;
    bool operator==(const FinalisedBlock&) const = default;
};

inline constexpr size_t kOffersMax = 4;
inline constexpr uint32_t kBoundariesPerRequestMax = 64;
/// A manifest is sent in parts of this size; a chunk is at most so large.
inline constexpr size_t kSnapshotPartBytes = size_t{1} << 20;

/// What a peer says that it can give (docs/spec/state-sync.md).
struct SnapshotOffer {
    Hash id, block;
    Height height;
    uint32_t chunks = 0;
    uint64_t size_bytes = 0;
    uint32_t manifest_bytes = 0;
    bool operator==(const SnapshotOffer&) const = default;
};

struct GetBoundaries {
    Epoch from_epoch;
    uint32_t count = 0;  ///< 1 to kBoundariesPerRequestMax
    bool operator==(const GetBoundaries&) const = default;
};

struct GetSnapshotPart {
    Hash id;
    bool is_manifest = false;
    uint32_t index = 0;
    bool operator==(const GetSnapshotPart&) const = default;
};

struct BlobRequest {
    Hash id;
    uint32_t chunk = 0;  ///< only for get_blob_chunk
    bool operator==(const BlobRequest&) const = default;
};

struct BlobManifest {
    uint64_t size_bytes = 0;
    std::vector<Hash> leaves;
    bool operator==(const BlobManifest&) const = default;
};

// Each decoder gives nullopt for what is not exactly one such message within its limits.
[[nodiscard]] Bytes encode_hello(const Hello& hello);
[[nodiscard]] std::optional<Hello> decode_hello(BytesView from);
[[nodiscard]] Bytes encode_goodbye(std::string_view reason);
[[nodiscard]] std::optional<std::string> decode_goodbye(BytesView from);
[[nodiscard]] Bytes encode_status(const Status& status);
[[nodiscard]] std::optional<Status> decode_status(BytesView from);
[[nodiscard]] Bytes encode_get_block(const Hash& hash);
[[nodiscard]] std::optional<Hash> decode_get_block(BytesView from);
[[nodiscard]] Bytes encode_get_blocks(const GetBlocks& request);
[[nodiscard]] std::optional<GetBlocks> decode_get_blocks(BytesView from);
/// count u8 | for each: block length u32 LE | block | certificate length u32 LE | certificate. Not
/// Protobuf: its repeated messages let two bytes on the wire cost a hundred in memory.
[[nodiscard]] Bytes encode_blocks(const std::vector<FinalisedBlock>& blocks);
[[nodiscard]] std::optional<std::vector<FinalisedBlock>> decode_blocks(BytesView from);
[[nodiscard]] Bytes encode_snapshots(const std::vector<SnapshotOffer>& offers);
[[nodiscard]] std::optional<std::vector<SnapshotOffer>> decode_snapshots(BytesView from);
[[nodiscard]] Bytes encode_get_boundaries(const GetBoundaries& request);
[[nodiscard]] std::optional<GetBoundaries> decode_get_boundaries(BytesView from);
/// count u8 | for each: length u32 LE | consensus::light::Boundary, encoded
[[nodiscard]] Bytes encode_boundaries(const std::vector<Bytes>& boundaries);
[[nodiscard]] std::optional<std::vector<Bytes>> decode_boundaries(BytesView from);
[[nodiscard]] Bytes encode_get_snapshot_part(const GetSnapshotPart& request);
[[nodiscard]] std::optional<GetSnapshotPart> decode_get_snapshot_part(BytesView from);
[[nodiscard]] Bytes encode_blob_request(const BlobRequest& request);
[[nodiscard]] std::optional<BlobRequest> decode_blob_request(BytesView from);
[[nodiscard]] Bytes encode_has_blob(bool has);
[[nodiscard]] std::optional<bool> decode_has_blob(BytesView from);
[[nodiscard]] Bytes encode_blob_manifest(const BlobManifest& manifest);
[[nodiscard]] std::optional<BlobManifest> decode_blob_manifest(BytesView from);

}  // namespace trainyard::p2p
