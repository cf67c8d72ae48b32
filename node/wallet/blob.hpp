// SPDX-License-Identifier: Apache-2.0
// Identity of blobs (docs/spec/wire.md) and the index that a provider serves to auditors.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"

namespace trainyard::node::wallet {

/// As a node would compute it (core/blob.hpp); of large blobs with several threads.
[[nodiscard]] Hash blob_id(BytesView content);

/// One line of a served index: the blob with what this auditor needs.
struct BundleEntry {
    Address auditor;
    Hash blob;
    bool operator==(const BundleEntry&) const = default;
};
inline constexpr size_t kBundleEntriesMax = 64;
/// Of 55 bytes each, and the list around them.
inline constexpr size_t kBundleIndexBytesMax = 55 * kBundleEntriesMax + 3;

/// rlp([[auditor, blob], ...]).
[[nodiscard]] Bytes encode_bundle_index(const std::vector<BundleEntry>& entries);
[[nodiscard]] Result<std::vector<BundleEntry>, rlp::Error> decode_bundle_index(BytesView encoded);

}  // namespace trainyard::node::wallet
