// SPDX-License-Identifier: Apache-2.0
// Recording and replaying of reads.
#include "state/witness.hpp"

namespace trainyard::state {

NodePtr RecordingNodes::node(const Hash& hash, std::string_view place) const {
    auto found = inner_.node(hash, place);
    const std::lock_guard lock(mutex_);
    if (found) read_.try_emplace(hash, found);
    return found;
}

void RecordingNodes::report(const TrieError&) const {
    const std::lock_guard lock(mutex_);
    is_damaged_ = true;
}

std::optional<std::vector<Bytes>> RecordingNodes::witness() const {
    const std::lock_guard lock(mutex_);
    if (is_damaged_) return std::nullopt;
    std::vector<Bytes> out;
    for (const auto& [hash, node] : read_) out.push_back(*node);
    return out;
}

WitnessNodes::WitnessNodes(std::vector<Bytes> witness) {
    for (auto& bytes : witness) {
        const Hash hash = keccak256(bytes);
        nodes_.try_emplace(hash, std::make_shared<const Bytes>(std::move(bytes)));
    }
}

NodePtr WitnessNodes::node(const Hash& hash, std::string_view) const {
    const auto found = nodes_.find(hash);
    return found == nodes_.end() ? nullptr : found->second;
}

}  // namespace trainyard::state
