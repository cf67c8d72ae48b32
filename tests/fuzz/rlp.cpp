// SPDX-License-Identifier: Apache-2.0
// RLP: whatever decodes is canonical, so that writing it again gives the same bytes.
#include "core/assert.hpp"
#include "core/rlp.hpp"

namespace trainyard {
namespace {

/// Reads one item with all that is in it and writes it again; false if any of it is not RLP.
bool copy(rlp::Reader& in, rlp::Writer& out) {
    if (!in.next_is_list()) {
        const auto value = in.bytes();
        if (value) out.bytes(*value);
        return value.has_value();
    }
    auto inner = in.list();
    if (!inner) return false;
    out.begin_list();
    while (!inner->at_end())
        if (!copy(*inner, out)) return false;
    out.end_list();
    return true;
}

/// A number and its encoding are one to one.
void check_number(BytesView data) {
    rlp::Reader in(data);
    const auto number = in.number256();
    if (!number) return;
    rlp::Writer out;
    out.number(*number);
    const Bytes again = out.take();
    ASSERT(data.size() - in.rest().size() == again.size());
    ASSERT(std::equal(again.begin(), again.end(), data.begin()));
    rlp::Reader small(data);
    const auto u64 = small.number();
    ASSERT(u64.has_value() == number->fits_u64());
    if (u64) ASSERT(Uint256(*u64) == *number);
}

void fuzz_one(BytesView data) {
    check_number(data);
    rlp::Reader in(data);
    rlp::Writer out;
    if (!copy(in, out)) return;
    const Bytes again = out.take();
    ASSERT(again.size() + in.rest().size() == data.size());
    ASSERT(std::equal(again.begin(), again.end(), data.begin()));
    rlp::Reader raw(data);
    const auto whole = raw.raw();
    ASSERT(whole && whole->size() == again.size());
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::fuzz_one({data, size});
    return 0;
}
