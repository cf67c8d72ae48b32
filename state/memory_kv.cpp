// SPDX-License-Identifier: Apache-2.0
// A store that forgets at exit, for tests, simulations and throw-away chains.
#include <map>
#include <mutex>
#include <shared_mutex>

#include "state/kv.hpp"

namespace trainyard::state {
namespace {

/// By bytes, and without a copy to look one up.
struct ByteOrder {
    using is_transparent = void;
    bool operator()(BytesView a, BytesView b) const { return as_text(a) < as_text(b); }
};

class MemoryKv final : public Kv {
    using Records = std::map<Bytes, Bytes, ByteOrder>;

public:
    explicit MemoryKv(Records records = {}) : records_(std::move(records)) {}

    std::optional<Bytes> get(BytesView key) const override {
        const std::shared_lock lock(mutex_);
        const auto at = records_.find(key);
        return at == records_.end() ? std::nullopt : std::optional(at->second);
    }

    Result<Done, KvError> write(const Batch& batch, Durability) override {
        const std::unique_lock lock(mutex_);
        for (const auto& [key, value] : batch.entries) {
            if (value)
                records_.insert_or_assign(key, *value);
            else
                records_.erase(key);
        }
        return Done{};
    }

    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override {
        const std::shared_lock lock(mutex_);
        for (auto at = records_.lower_bound(prefix); at != records_.end(); ++at) {
            const Bytes& key = at->first;
            if (!as_text(key).starts_with(as_text(prefix))) return;
            if (!visit(key, at->second)) return;
        }
    }

    std::unique_ptr<const KvReader> freeze() const override {
        const std::shared_lock lock(mutex_);
        return std::make_unique<MemoryKv>(records_);
    }

private:
    mutable std::shared_mutex mutex_;
    Records records_;
};

}  // namespace

void Batch::put(BytesView key, BytesView value) {
    entries.push_back({{key.begin(), key.end()}, Bytes(value.begin(), value.end())});
}

void Batch::put(Bytes&& key, Bytes&& value) {
    entries.push_back({std::move(key), std::move(value)});
}

void Batch::erase(BytesView key) {
    entries.push_back({{key.begin(), key.end()}, std::nullopt});
}

std::unique_ptr<Kv> make_memory_kv() {
    return std::make_unique<MemoryKv>();
}

}  // namespace trainyard::state
