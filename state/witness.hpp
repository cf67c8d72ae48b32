// SPDX-License-Identifier: Apache-2.0
// What a computation read of a state, so that somebody without the state can repeat it.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "state/trie.hpp"

namespace trainyard::state {

/// Passes reads on to `inner` and remembers what they gave: trie nodes and codes. Errors stay here:
/// a state that is not kept any more is no damage.
class RecordingNodes final : public NodeSource {
public:
    explicit RecordingNodes(const NodeSource& inner) : inner_(inner) {}
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const override;
    void report(const TrieError& error) const override;
    /// Everything read so far, by hash; nullopt if something was missing or broken.
    [[nodiscard]] std::optional<std::vector<Bytes>> witness() const;

private:
    const NodeSource& inner_;
    mutable std::mutex mutex_;
    mutable std::map<Hash, NodePtr> read_;
    mutable bool is_damaged_ = false;
};

/// Nodes from anybody, each under its own hash: whatever is read of them below a known root is
/// true.
class WitnessNodes final : public NodeSource {
public:
    explicit WitnessNodes(std::vector<Bytes> witness);
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const override;
    void report(const TrieError&) const override { is_complete_ = false; }
    /// False once a read met a node that is not here: what was read then means nothing.
    [[nodiscard]] bool is_complete() const { return is_complete_; }

private:
    std::map<Hash, NodePtr> nodes_;
    mutable std::atomic<bool> is_complete_ = true;
};

}  // namespace trainyard::state
