// SPDX-License-Identifier: Apache-2.0
// Transactions: what decodes encodes to the same bytes, and the rules judge it without a crash.
#include "consensus/rules/tx.hpp"
#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/old_tx.hpp"

namespace trainyard {
namespace {

void fuzz_one(BytesView data) {
    const auto tx = decode_tx(data);
    if (!tx) return;
    const Bytes again = encode_tx(*tx);
    ASSERT(again.size() == data.size() && std::equal(again.begin(), again.end(), data.begin()));
    ASSERT(hash_tx(*tx) == keccak256(data));
    const auto strict = recover_sender(*tx), lax = recover_sender(*tx, SRange::any_s);
    if (strict) ASSERT(lax && *strict == *lax);
    for (const auto revision : {vm::Revision::frontier, vm::Revision::osaka}) {
        const consensus::ForkAt fork{revision, 0, 0, consensus::ethereum_blobs(revision)};
        const auto config = consensus::ethereum_config(1, {fork});
        const auto& rules = vm::rules_of(revision);
        const bool shaped = consensus::check_tx_shape(*tx, fork, config).has_value();
        if (shaped) ASSERT(!tx->chain_id || (*tx->chain_id == 1 && rules.replay_protection));
        const auto due = consensus::intrinsic_gas(*tx, rules);
        if (consensus::check_tx_gas(*tx, rules)) ASSERT(tx->gas_limit >= due.intrinsic);
    }
    const auto cost = consensus::max_cost_wei(*tx);
    if (cost) ASSERT(*cost >= tx->value);
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::fuzz_one({data, size});
    return 0;
}
