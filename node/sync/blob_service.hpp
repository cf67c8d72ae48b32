// SPDX-License-Identifier: Apache-2.0
// Serves the blobs that are here, and fetches those that are not from whoever has them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "node/blobs/fetch_plan.hpp"
#include "node/blobs/store.hpp"
#include "node/p2p/network.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"

namespace trainyard::sync {

enum class FetchError : uint8_t {
    no_source,  ///< nobody who has it answered for too long
    store,      ///< our own disk or quota refused it
    busy,       ///< too many fetches at once
};

struct FetchFailure {
    FetchError error;
    std::string detail;
};

using Fetched = Result<Done, FetchFailure>;
using OnFetched = std::function<void(Fetched)>;

struct FetchProgress {
    Hash id;
    uint64_t chunks_done = 0;
    uint64_t chunks_total = 0;  ///< 0 until the manifest is known
    runtime::Duration taken{};  ///< since it began
};

class BlobService {
public:
    struct Parts {
        runtime::Runtime& runtime;
        p2p::Network& network;
        blobs::BlobStore& store;
        runtime::Logger log;
    };
    struct Options {
        blobs::FetchLimits limits;
        runtime::Duration answer_timeout{10'000};
        size_t fetches_max = 256;
        size_t serving_max = 256;  ///< answers in preparation; above that askers are throttled
        size_t serving_of_peer_max = 32;
    };

    /// Registers its handlers: construct before Network::start.
    BlobService(Parts parts, Options options);
    explicit BlobService(Parts parts) : BlobService(std::move(parts), Options{}) {}
    ~BlobService();
    BlobService(const BlobService&) = delete;
    BlobService& operator=(const BlobService&) = delete;

    /// Calls `on_fetched` once on `strand`, when the blob is in the store or cannot be had. Fetches
    /// of one id share their work. From any thread.
    void fetch(const Hash& id, const runtime::Strand& strand, OnFetched on_fetched);

    /// Fetches under way, by id; as of the last half second.
    [[nodiscard]] std::vector<FetchProgress> progress() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::sync
