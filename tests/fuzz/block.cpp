// SPDX-License-Identifier: Apache-2.0
// Blocks, headers and receipts: what decodes encodes to the same bytes.
#include "consensus/rules/block.hpp"
#include "core/assert.hpp"
#include "core/block.hpp"
#include "core/hash.hpp"

namespace trainyard {
namespace {

void expect_same(const Bytes& again, BytesView data) {
    ASSERT(again.size() == data.size() && std::equal(again.begin(), again.end(), data.begin()));
}

void fuzz_one(BytesView data) {
    if (const auto header = decode_header(data)) {
        expect_same(encode_header(*header), data);
        ASSERT(hash_header(*header) == keccak256(data));
    }
    if (const auto block = decode_block(data)) {
        expect_same(encode_block(*block), data);
        const auto config = consensus::ethereum_config(1, {{vm::Revision::osaka, 0, 0, {6, 9, 1}}});
        // The body belongs to its own header at most, and a header is not its own parent.
        (void)consensus::check_body(*block, config);
        ASSERT(!consensus::check_header(block->header, block->header, config));
    }
    // One receipt in two forms: status byte or state root; 0x01 is the only byte that is a status.
    if (const auto receipt = decode_receipt(data)) expect_same(encode_receipt(*receipt), data);
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::fuzz_one({data, size});
    return 0;
}
