// SPDX-License-Identifier: Apache-2.0
// A store whose buffered writes travel with the next synced one, in one batch.
#pragma once

#include <mutex>

#include "state/kv.hpp"

namespace trainyard::node::signer {

/// What was written buffered before a synced write is on disk when that write is, whatever the
/// store below does with its logs in between; so a vote, its record against double signing and its
/// block cost one fsync together. A crash loses buffered writes that no synced one followed.
class JoinedStore final : public state::Kv {
public:
    static constexpr size_t kHeldBytesMax = 16u << 20;  ///< then they are written, and synced

    explicit JoinedStore(std::unique_ptr<state::Kv> below) : below_(std::move(below)) {}
    ~JoinedStore() override;  ///< writes what is held

    [[nodiscard]] std::optional<Bytes> get(BytesView key) const override;
    [[nodiscard]] Result<Done, state::KvError> write(const state::Batch& batch,
                                                     state::Durability durability) override;
    /// `visit` must not call this store.
    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override;
    [[nodiscard]] std::optional<state::KvError> read_failure() const override {
        return below_->read_failure();
    }

private:
    [[nodiscard]] Result<Done, state::KvError> flush();

    const std::unique_ptr<state::Kv> below_;
    mutable std::mutex mutex_;
    state::Batch held_;
    size_t held_bytes_ = 0;
};

}  // namespace trainyard::node::signer
