// SPDX-License-Identifier: Apache-2.0
// A store that stops at a chosen batch, for tests of what is found afterwards.
#pragma once

#include "state/kv.hpp"

namespace trainyard::state {

/// A store whose power fails after a number of batches: later ones are lost.
class FailingKv final : public Kv {
public:
    FailingKv(Kv& below, int batches) : below_(below), left_(batches) {}
    std::optional<Bytes> get(BytesView key) const override { return below_.get(key); }
    Result<Done, KvError> write(const Batch& batch, Durability durability) override {
        if (left_-- <= 0) return unexpected(KvError::io);
        return below_.write(batch, durability);
    }
    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override {
        below_.scan(prefix, visit);
    }
    [[nodiscard]] bool has_failed() const { return left_ < 0; }

private:
    Kv& below_;
    int left_;
};

}  // namespace trainyard::state
