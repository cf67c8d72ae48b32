// SPDX-License-Identifier: Apache-2.0
// Messages of the vote machine and certificates: what decodes encodes to the same bytes.
#include "consensus/bft/messages.hpp"

#include "core/assert.hpp"

namespace trainyard::consensus::bft {
namespace {

void expect_same(const Bytes& again, BytesView data) {
    ASSERT(again.size() == data.size() && std::equal(again.begin(), again.end(), data.begin()));
}

void fuzz_one(BytesView data) {
    if (const auto message = decode_message(data)) {
        expect_same(encode_message(*message), data);
        (void)epoch_of_message(*message);
        (void)lane_of(*message);
    }
    if (const auto certificate = decode_certificate(data))
        expect_same(encode_certificate(*certificate), data);
}

}  // namespace
}  // namespace trainyard::consensus::bft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::consensus::bft::fuzz_one({data, size});
    return 0;
}
