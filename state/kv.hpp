// SPDX-License-Identifier: Apache-2.0
// What the ledger needs of a store: point reads, ordered ranges and one atomic, durable batch.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace trainyard::state {

enum class KvError {
    locked,   ///< another process has the store open
    corrupt,  ///< the store fails its own checksums
    io,       ///< the disk refused (full, read-only, gone)
};

/// Writes that become visible and durable together. Later entries win over earlier ones.
struct Batch {
    struct Entry {
        Bytes key;
        std::optional<Bytes> value;  ///< absent: erase
    };
    std::vector<Entry> entries;

    void put(BytesView key, BytesView value);
    void put(Bytes&& key, Bytes&& value);
    void erase(BytesView key);
};

enum class Durability { buffered, synced };

/// Thread-safe. Keys are ordered bytewise.
class KvReader {
public:
    virtual ~KvReader() = default;
    [[nodiscard]] virtual std::optional<Bytes> get(BytesView key) const = 0;
    /// The same for a caller that keeps what it reads: it pushes nothing out of the store's cache.
    [[nodiscard]] virtual std::optional<Bytes> get_once(BytesView key) const { return get(key); }
    /// Calls `visit(key, value)` in key order for keys with this prefix until it returns false.
    virtual void scan(BytesView prefix,
                      const std::function<bool(BytesView key, BytesView value)>& visit) const = 0;
    /// The first read that failed; such a read answered "absent". Stays set.
    [[nodiscard]] virtual std::optional<KvError> read_failure() const { return std::nullopt; }
};

/// Thread-safe.
class Kv : public KvReader {
public:
    [[nodiscard]] virtual Result<Done, KvError> write(const Batch& batch,
                                                      Durability durability) = 0;
    /// Gives back the space of what was erased between two keys. May take long; safe beside all
    /// else.
    virtual void compact(BytesView /*first*/, BytesView /*last*/) {}
    /// The records as they are now, whatever is written later; ends before the store does. Null
    /// where the store cannot.
    [[nodiscard]] virtual std::unique_ptr<const KvReader> freeze() const { return nullptr; }
};

[[nodiscard]] std::unique_ptr<Kv> make_memory_kv();
[[nodiscard]] Result<std::unique_ptr<Kv>, KvError> open_leveldb(const std::string& path);

}  // namespace trainyard::state
