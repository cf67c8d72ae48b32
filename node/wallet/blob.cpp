// SPDX-License-Identifier: Apache-2.0
// Blob ids and bundle indexes.
#include "node/wallet/blob.hpp"

#include <algorithm>
#include <thread>

#include "core/blob.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kSharedBytesMin = size_t{16} << 20;  ///< below, threads would not be worth it
constexpr unsigned kThreadsMax = 8;

}  // namespace

Hash blob_id(BytesView content) {
    if (content.size() < kSharedBytesMin) return blob::id(content);
    training::Pool pool(std::clamp(std::thread::hardware_concurrency(), 1U, kThreadsMax));
    return blob::id(content.size(), training::piece_root(content, &pool));
}

Bytes encode_bundle_index(const std::vector<BundleEntry>& entries) {
    rlp::Writer out;
    out.begin_list();
    for (const auto& entry : entries)
        out.begin_list().fixed(entry.auditor).fixed(entry.blob).end_list();
    out.end_list();
    return out.take();
}

Result<std::vector<BundleEntry>, rlp::Error> decode_bundle_index(BytesView encoded) {
    rlp::Reader top(encoded);
    auto list = top.list();
    if (!list) return unexpected(list.error());
    if (auto done = top.finish(); !done) return unexpected(done.error());
    std::vector<BundleEntry> out;
    while (!list->at_end()) {
        if (out.size() == kBundleEntriesMax) return unexpected(rlp::Error::too_long);
        auto entry = list->list();
        if (!entry) return unexpected(entry.error());
        const auto auditor = entry->fixed<Address>();
        if (!auditor) return unexpected(auditor.error());
        const auto blob = entry->fixed<Hash>();
        if (!blob) return unexpected(blob.error());
        if (auto done = entry->finish(); !done) return unexpected(done.error());
        out.push_back({*auditor, *blob});
    }
    return out;
}

}  // namespace trainyard::node::wallet
