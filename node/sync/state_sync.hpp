// SPDX-License-Identifier: Apache-2.0
// Makes an empty store into that of a recent boundary, from snapshots of peers.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "consensus/light/light.hpp"
#include "core/block.hpp"
#include "node/p2p/network.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"
#include "node/sync/state_plan.hpp"
#include "state/kv.hpp"

namespace trainyard::sync {

/// A boundary that the operator knows to be final from somebody it trusts.
struct TrustedBoundary {
    Epoch epoch;
    Hash block;
};
/// "EPOCH:HASH"; nullopt on anything else.
[[nodiscard]] std::optional<TrustedBoundary> trusted_boundary_from(std::string_view text);

/// What is here survives a kill at any moment: boundaries and chunks are files, whole or absent,
/// and are read again instead of fetched.
class StateSync {
public:
    struct Parts {
        runtime::Runtime& runtime;
        p2p::Network& network;
        state::Kv& store;  ///< empty; touched only by the import at the end
        runtime::Logger log;
    };
    enum class End : uint8_t {
        synced,        ///< the store holds the chain at the boundary
        none_offered,  ///< nobody has a snapshot: blocks are the way
        failed,        ///< the disk refused; the log says what
    };
    struct Options {
        consensus::ChainConfig chain;
        consensus::bft::ChainIdentity identity;
        consensus::ValidatorSet genesis_validators;
        Block genesis_block;
        std::filesystem::path folder;  ///< for what has come
        std::optional<TrustedBoundary> trust;
        /// The key of the store under which a boundary is kept.
        std::function<Bytes(Epoch)> boundary_key;
        StateLimits limits;
        runtime::Duration part_timeout{60'000};    ///< four at once, over a slow line
        runtime::Duration answer_timeout{15'000};  ///< of all else: who is silent delays the rest
        std::function<void(End)> on_end;           ///< once, on the strand of the sync
    };
    StateSync(Parts parts, Options options);
    ~StateSync();
    StateSync(const StateSync&) = delete;
    StateSync& operator=(const StateSync&) = delete;

    void start();  ///< after Network::start
    /// An import that runs ends early; to be called before the runtime is joined.
    void stop();

    struct Progress {
        Epoch next_epoch;     ///< whose boundary is not proven yet
        Height height;        ///< of the snapshot; 0: none is chosen
        uint64_t time_s = 0;  ///< of its block
        uint64_t chunks = 0, chunks_here = 0;
        uint64_t bytes_received = 0;  ///< of offers, boundaries, manifests and chunks
        bool is_importing = false;
        [[nodiscard]] std::string words() const;
    };
    [[nodiscard]] Progress progress() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::sync
