// SPDX-License-Identifier: Apache-2.0
// Journal over a key-value store.
#include "node/bft/journal.hpp"

#include <algorithm>
#include <utility>

#include "core/big_endian.hpp"

namespace trainyard::node::bft {
namespace {

constexpr std::string_view kPrefix = "vote";
constexpr size_t kKeySize = kPrefix.size() + 24;

Bytes key_of(Epoch epoch, View view, uint64_t sequence) {
    Bytes key;
    append(key, as_bytes(kPrefix));
    append_be(key, epoch.value);
    append_be(key, view.value);
    append_be(key, sequence);
    return key;
}

}  // namespace

Journal::Journal(state::Kv& kv) : kv_(kv) {
    kv_.scan(as_bytes(kPrefix), [this](BytesView key, BytesView) {
        if (key.size() == kKeySize)
            next_ = std::max(next_, load_be<uint64_t>(&key[kKeySize - 8]) + 1);
        return true;
    });
}

std::vector<Bytes> Journal::load() const {
    std::vector<Bytes> records;
    kv_.scan(as_bytes(kPrefix), [&](BytesView key, BytesView value) {
        if (key.size() == kKeySize) records.emplace_back(value.begin(), value.end());
        return true;
    });
    return records;
}

Result<Done, state::KvError> Journal::append(Epoch epoch, View view, BytesView record, bool sync) {
    state::Batch batch;
    batch.put(key_of(epoch, view, next_++), record);
    return kv_.write(batch, sync ? state::Durability::synced : state::Durability::buffered);
}

Result<Done, state::KvError> Journal::forget(Epoch epoch, View below) {
    state::Batch batch;
    kv_.scan(as_bytes(kPrefix), [&](BytesView key, BytesView) {
        if (key.size() != kKeySize) return true;
        const uint8_t* at = &key[kPrefix.size()];
        const std::pair kept{epoch.value, below.value};
        if (std::pair{load_be<uint64_t>(at), load_be<uint64_t>(at + 8)} >= kept) return false;
        batch.erase(key);
        return true;
    });
    if (batch.entries.empty()) return Done{};
    return kv_.write(batch, state::Durability::buffered);
}

}  // namespace trainyard::node::bft
