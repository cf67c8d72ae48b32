// SPDX-License-Identifier: Apache-2.0
// Codes by hash, with what has been found out about them, kept from block to block.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/seeded_hasher.hpp"
#include "vm/code.hpp"
#include "vm/revision.hpp"

namespace trainyard::vm {

/// Thread-safe. Holds codes of at most `bytes_max` bytes in all, to which translations add up to 13
/// times as much; when it is full, the older half goes.
class CodeCache {
public:
    explicit CodeCache(size_t bytes_max = size_t{8} << 20) : bytes_max_(bytes_max) {}

    using Ptr = std::shared_ptr<const Code>;
    /// Null if it is not here, or was kept for another fork: a translation holds for one fork.
    [[nodiscard]] Ptr find(const Hash& hash, Revision revision);
    /// Keeps the first of those that came with this hash and fork, and gives it.
    Ptr put(const Hash& hash, Revision revision, Ptr code);

private:
    struct Entry {
        Revision revision;
        Ptr code;
    };
    void make_room();

    const size_t bytes_max_;
    std::mutex mutex_;
    std::unordered_map<Hash, Entry, SeededHasher> codes_;
    std::vector<Hash> order_;  ///< oldest first
    size_t bytes_ = 0;
};

}  // namespace trainyard::vm
