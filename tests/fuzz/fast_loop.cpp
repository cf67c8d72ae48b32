// SPDX-License-Identifier: Apache-2.0
// The plain, the traced and the fast loop on any code and any gas: the same status, gas and
// effects.
#include "core/assert.hpp"
#include "tests/vm/differential.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace trainyard;
    if (size < 4) return 0;
    // fork | static or not | gas 2 | call data up to 32 | code
    const auto revision = static_cast<vm::Revision>(data[0] % vm::kRevisionCount);
    const bool is_static = data[1] % 8 == 0;
    const int64_t gas = 4 * (data[2] << 8 | data[3]);
    const BytesView rest(data + 4, size - 4);
    const BytesView input = rest.first(std::min<size_t>(rest.size(), 32));
    ASSERT(vm::difference(rest.subspan(input.size()), input, gas, is_static, revision).empty());
    return 0;
}
