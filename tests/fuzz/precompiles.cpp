// SPDX-License-Identifier: Apache-2.0
// Any precompile on any input: it ends within its gas, says the same twice, and its price is exact.
//
// Input: number 1 | fork 1 | input of the precompile.
#include "core/assert.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::vm {
namespace {

constexpr int64_t kGas = 1'000'000;

void run(uint8_t number, Revision revision, BytesView input) {
    Address address;
    address[19] = number;
    if (!is_precompile(address, revision)) return;
    const auto result = run_precompile(address, revision, input, kGas);
    ASSERT(result.gas_left >= 0 && result.gas_left <= kGas);
    const auto again = run_precompile(address, revision, input, kGas);
    ASSERT(again.status == result.status && again.output == result.output);
    if (result.status != Status::success) {
        ASSERT(result.output.empty() && result.gas_left == 0);
        return;
    }
    const int64_t price = kGas - result.gas_left;
    ASSERT(run_precompile(address, revision, input, price).gas_left == 0);
    ASSERT(run_precompile(address, revision, input, price - 1).status == Status::out_of_gas);
}

}  // namespace
}  // namespace trainyard::vm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace trainyard;
    if (size < 2) return 0;
    constexpr uint8_t kLast = 0x11;
    vm::run(static_cast<uint8_t>(data[0] % (kLast + 1)),
            static_cast<vm::Revision>(data[1] % vm::kRevisionCount), BytesView(data + 2, size - 2));
    return 0;
}
