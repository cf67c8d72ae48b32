// SPDX-License-Identifier: Apache-2.0
// Judging manifests, and files of a state sync.
#include "node/sync/state_folder.hpp"

#include "consensus/rules/block.hpp"
#include "node/sync/snapshot_files.hpp"

namespace trainyard::sync {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBoundaryBytesMax = consensus::light::kWitnessSizeMax_bytes + (size_t{1} << 20);
constexpr uint8_t kNoReceipts = 0xc0;  ///< block 0 has none: an empty list in RLP

std::optional<Hash> id_from(const fs::path& path) {
    return fixed_from_hex<Hash>(path.filename().string());
}

}  // namespace

Result<state::CheckedManifest, std::string> check_snapshot(BytesView encoded,
                                                           const SnapshotDue& due) {
    auto checked = state::check_manifest(encoded);
    if (!checked) return checked;
    state::Manifest& manifest = checked->manifest;
    const Header& header = checked->block.header;
    if (checked->hash != hash_header(due.boundary.header))
        return unexpected(std::string("the manifest is of another block"));
    if (state::snapshot_id(manifest, checked->hash) != due.offer.id ||
        manifest.chunks.size() != due.offer.chunks)
        return unexpected(std::string("the manifest lists other chunks than were offered"));
    if (!consensus::check_body(checked->block, due.config))
        return unexpected(std::string("the manifest's block has another body"));
    if (consensus::receipts_root(checked->receipts) != header.receipts_root)
        return unexpected(std::string("the manifest's receipts are not the block's"));
    if (manifest.first_block != encode_block(due.genesis) ||
        manifest.first_receipts != Bytes{kNoReceipts})
        return unexpected(std::string("the manifest is of a chain with another block 0"));
    if (manifest.headers.size() != std::min(header.number, state::kSnapshotHeaders))
        return unexpected(std::string("the manifest lacks headers"));
    manifest.certificate = consensus::bft::encode_certificate(due.boundary.certificate);
    return checked;
}

fs::path StateFolder::of(const Hash& id) const {
    return folder_ / to_hex(id.bytes);
}
fs::path StateFolder::of(Epoch epoch) const {
    return folder_ / ("boundary-" + std::to_string(epoch.value));
}

Result<Done, std::string> StateFolder::make() const {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) return unexpected(folder_.string() + ": cannot be made (" + error.message() + ")");
    return Done{};
}

std::optional<consensus::light::Boundary> StateFolder::boundary(Epoch epoch) const {
    const auto bytes = read_whole(of(epoch), kBoundaryBytesMax);
    return bytes ? consensus::light::decode_boundary(*bytes) : std::nullopt;
}

Result<Done, std::string> StateFolder::put_boundary(Epoch epoch, BytesView encoded) const {
    return write_whole(of(epoch), encoded);
}

std::optional<Hash> StateFolder::begun() const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error))
        if (const auto id = id_from(entry.path()); id && manifest(*id)) return id;
    return std::nullopt;
}

Result<Done, std::string> StateFolder::begin(const Hash& id) const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error))
        if (const auto other = id_from(entry.path()); other && *other != id) forget(*other);
    fs::create_directories(of(id), error);
    if (error) return unexpected(of(id).string() + ": cannot be made (" + error.message() + ")");
    return Done{};
}

std::optional<Bytes> StateFolder::manifest(const Hash& id) const {
    auto bytes = read_whole(manifest_path(of(id)), state::kManifestBytesMax);
    return bytes ? std::optional(*std::move(bytes)) : std::nullopt;
}

Result<Done, std::string> StateFolder::put_manifest(const Hash& id, BytesView encoded) const {
    return write_whole(manifest_path(of(id)), encoded);
}

std::set<uint64_t> StateFolder::missing_chunks(const Hash& id,
                                               const state::Manifest& manifest) const {
    std::set<uint64_t> missing;
    for (uint64_t i = 0; i < manifest.chunks.size(); ++i) {
        const auto here = chunk(id, i);
        if (!here || keccak256(*here) != manifest.chunks[i]) missing.insert(missing.end(), i);
    }
    return missing;
}

Result<Done, std::string> StateFolder::put_chunk(const Hash& id, uint64_t index,
                                                 BytesView chunk) const {
    return write_whole(chunk_path(of(id), index), chunk);
}

Result<Bytes, std::string> StateFolder::chunk(const Hash& id, uint64_t index) const {
    return read_whole(chunk_path(of(id), index), state::kChunkBytesMax);
}

void StateFolder::forget(const Hash& id) const {
    std::error_code error;
    fs::remove_all(of(id), error);
}

}  // namespace trainyard::sync
