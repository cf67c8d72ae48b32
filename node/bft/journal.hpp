// SPDX-License-Identifier: Apache-2.0
// The vote machine's memory across restarts: records by epoch and view, durable before a vote
// leaves.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/units.hpp"
#include "state/kv.hpp"

namespace trainyard::node::bft {

/// Not thread-safe. Keys: "vote" | epoch u64 | view u64 | sequence u64, all big-endian.
class Journal {
public:
    explicit Journal(state::Kv& kv);

    /// Every record that survived, in the order of epochs and views.
    [[nodiscard]] std::vector<Bytes> load() const;
    [[nodiscard]] Result<Done, state::KvError> append(Epoch epoch, View view, BytesView record,
                                                      bool sync);
    /// Deletes the records of older epochs, and of views of this one below `below`; not synced,
    /// since old records do no harm.
    [[nodiscard]] Result<Done, state::KvError> forget(Epoch epoch, View below);

private:
    state::Kv& kv_;
    uint64_t next_ = 0;
};

}  // namespace trainyard::node::bft
