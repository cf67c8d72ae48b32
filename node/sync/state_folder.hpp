// SPDX-License-Identifier: Apache-2.0
// What a state sync has on disk while it runs, and the checks that everything passes on its way
// there. No network: what comes is judged, and what is here is read again.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consensus/light/light.hpp"
#include "core/block.hpp"
#include "node/p2p/messages.hpp"
#include "state/snapshot.hpp"

namespace trainyard::sync {

/// What judges the manifest of a snapshot.
struct SnapshotDue {
    p2p::SnapshotOffer offer;
    const consensus::light::Boundary& boundary;  ///< proven
    const Block& genesis;
    const consensus::ChainConfig& config;
};
/// A manifest of this snapshot in which all but the chunks is proven; its certificate is the
/// boundary's. Errors say what is wrong with it.
[[nodiscard]] Result<state::CheckedManifest, std::string> check_snapshot(BytesView encoded,
                                                                         const SnapshotDue& due);

/// A folder with the files `boundary-<epoch>` and, for one snapshot, `<id>/manifest` and
/// `<id>/chunk-<number>`. Not thread-safe but for put_chunk and reads.
class StateFolder {
public:
    explicit StateFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
    [[nodiscard]] Result<Done, std::string> make() const;

    [[nodiscard]] std::optional<consensus::light::Boundary> boundary(Epoch epoch) const;
    [[nodiscard]] Result<Done, std::string> put_boundary(Epoch epoch, BytesView encoded) const;

    /// The snapshot that was begun.
    [[nodiscard]] std::optional<Hash> begun() const;
    /// Forgets others.
    [[nodiscard]] Result<Done, std::string> begin(const Hash& id) const;
    [[nodiscard]] std::optional<Bytes> manifest(const Hash& id) const;
    [[nodiscard]] Result<Done, std::string> put_manifest(const Hash& id, BytesView encoded) const;
    /// Reads all chunks that are here; those whose hash is not the manifest's are missing.
    [[nodiscard]] std::set<uint64_t> missing_chunks(const Hash& id,
                                                    const state::Manifest& manifest) const;
    [[nodiscard]] Result<Done, std::string> put_chunk(const Hash& id, uint64_t index,
                                                      BytesView chunk) const;
    [[nodiscard]] Result<Bytes, std::string> chunk(const Hash& id, uint64_t index) const;
    void forget(const Hash& id) const;

private:
    [[nodiscard]] std::filesystem::path of(const Hash& id) const;
    [[nodiscard]] std::filesystem::path of(Epoch epoch) const;
    const std::filesystem::path folder_;
};

}  // namespace trainyard::sync
