// SPDX-License-Identifier: Apache-2.0
// The market in memory: the phases of docs/spec/audits.md with free money, for tests without a
// chain.
#pragma once

#include <memory>

#include "fake_ledger.hpp"

namespace trainyard::test {

/// One account's view of the ledger.
[[nodiscard]] std::unique_ptr<wallet::MarketApi> fake_market(std::shared_ptr<FakeLedger> ledger,
                                                             const Address& account);

}  // namespace trainyard::test
