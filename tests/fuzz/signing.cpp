// SPDX-License-Identifier: Apache-2.0
// What a signer reads: requests, replies, the interchange file and the records of its store.
#include "core/assert.hpp"
#include "node/signer/interchange.hpp"
#include "node/signer/protocol.hpp"
#include "node/signer/signing_db.hpp"

namespace trainyard::node::signer {
namespace {

void fuzz_protocol(BytesView data) {
    if (const auto request = decode_request(data))
        ASSERT(as_text(encode_request(*request)) == as_text(data));
    if (const auto reply = decode_reply(data))
        ASSERT(as_text(encode_reply(*reply)) == as_text(data));
}

/// What was read reads back, and merging it refuses no less than before.
void fuzz_interchange(BytesView data) {
    const auto file = parse_interchange(as_text(data));
    if (!file) return;
    const auto again = parse_interchange(write_interchange(*file));
    ASSERT(again && *again == *file);
    History all;
    for (const auto& key : file->keys) (void)merge(all, key.history);
    for (const auto& key : file->keys) {
        ASSERT(all.mark >= key.history.mark);
        History merged = all;
        ASSERT(merge(merged, key.history).empty() && merged == all);
    }
    for (const auto& [at, view] : all.views) ASSERT(at >= all.mark);
}

/// One record of the store, under each of its keys: damage stops the database, it never crashes.
void fuzz_store(BytesView data) {
    for (const std::string_view key : {"sign/owner", "sign/mark", "sign/view0123456789abcdef"}) {
        const auto kv = state::make_memory_kv();
        state::Batch batch;
        batch.put(as_bytes(key), data);
        (void)kv->write(batch, state::Durability::synced);
        const auto history = read_history(*kv);
        if (history)
            for (const auto& [at, view] : history->views) ASSERT(view != SignedView{});
        (void)SigningDb::owner_of(*kv);
    }
}

}  // namespace
}  // namespace trainyard::node::signer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace trainyard::node::signer;
    fuzz_protocol({data, size});
    fuzz_interchange({data, size});
    fuzz_store({data, size});
    return 0;
}
