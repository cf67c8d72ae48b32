// SPDX-License-Identifier: Apache-2.0
// The snapshots that a node keeps on disk for others.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "node/p2p/messages.hpp"
#include "state/snapshot.hpp"

namespace trainyard::sync {

/// One folder each, named by its height; the newest few stay. Thread-safe; one thread makes them.
class SnapshotShelf {
public:
    struct Options {
        std::filesystem::path folder;
        size_t keep = 2;
    };
    /// Finds what earlier runs have left whole, and removes the rest.
    [[nodiscard]] static Result<std::unique_ptr<SnapshotShelf>, std::string> open(Options options);

    struct Made {
        p2p::SnapshotOffer offer;
        uint64_t time_s = 0;  ///< of its block
    };
    /// Writes the snapshot of the state after block `number`, which `tables` hold, and removes what
    /// is too old; the one that is there already if it is. Ends early with an error once `stops` is
    /// true.
    [[nodiscard]] Result<Made, std::string> make(const state::World& world,
                                                 const state::KvReader& tables, uint64_t number,
                                                 const std::atomic<bool>& stops);

    [[nodiscard]] std::vector<p2p::SnapshotOffer> offers() const;  ///< newest first
    [[nodiscard]] std::optional<Made> newest() const;
    /// One read of a file; nullopt where there is no such part.
    [[nodiscard]] std::optional<Bytes> part(const p2p::GetSnapshotPart& request) const;

private:
    explicit SnapshotShelf(Options options) : options_(std::move(options)) {}
    [[nodiscard]] std::filesystem::path folder_of(Height height) const;
    [[nodiscard]] Result<Made, std::string> read(const std::filesystem::path& folder) const;
    void keep_newest();

    const Options options_;
    mutable std::mutex mutex_;
    std::vector<Made> made_;  ///< newest first
};

}  // namespace trainyard::sync
