// SPDX-License-Identifier: Apache-2.0
// Blob ids and bundle indexes.
#include "node/wallet/blob.hpp"

#include "core/blob.hpp"

namespace trainyard::node::wallet {

Hash blob_id(BytesView content) {
    return blob::id(content);
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
