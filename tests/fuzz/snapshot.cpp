// SPDX-License-Identifier: Apache-2.0
// What a peer sends as a snapshot: a manifest, or a chunk under a manifest that names it. What
// decodes encodes to the same bytes, and no store gets a head from a state that is not the block's.
#include "core/assert.hpp"
#include "core/hash.hpp"
#include "state/snapshot.hpp"

namespace trainyard::state {
namespace {

void fuzz_manifest(BytesView data) {
    const auto checked = check_manifest(data);
    if (checked) ASSERT(as_text(encode_manifest(checked->manifest)) == as_text(data));
}

void fuzz_chunk(BytesView data) {
    CheckedManifest checked;
    checked.manifest.chunks = {keccak256(data)};
    checked.block.header.state_root[0] = 1;  // of no state
    const auto kv = make_memory_kv();
    SnapshotReader reader(checked, kv.get());
    if (!reader.add(data)) return;
    ASSERT(!reader.finish());
    ASSERT(!holds_chain(*kv));
}

}  // namespace
}  // namespace trainyard::state

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::state::fuzz_manifest({data, size});
    trainyard::state::fuzz_chunk({data, size});
    return 0;
}
