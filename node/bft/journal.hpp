// SPDX-License-Identifier: Apache-2.0
// The vote machine's memory across restarts: records by view, durable before a vote leaves.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/units.hpp"
#include "state/kv.hpp"

namespace trainyard::node::bft {

/// Not thread-safe. Keys: "vote" | view u64 big-endian | sequence u64 big-endian.
class Journal {
public:
    explicit Journal(state::Kv& kv);

    /// Every record that survived, in the order of views.
    [[nodiscard]] std::vector<Bytes> load() const;
    [[nodiscard]] Result<Done, state::KvError> append(View view, BytesView record, bool sync);
    /// Deletes the records of views below `view`; not synced, since old records do no harm.
    [[nodiscard]] Result<Done, state::KvError> forget(View below);

private:
    state::Kv& kv_;
    uint64_t next_ = 0;
};

}  // namespace trainyard::node::bft
