// SPDX-License-Identifier: Apache-2.0
// yard_*: jobs and providers, decoded from the market's contracts.
#include "rpc/method.hpp"

namespace trainyard::rpc {

std::span<const Method> market_methods() {
    return {};
}

}  // namespace trainyard::rpc
