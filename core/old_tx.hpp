// SPDX-License-Identifier: Apache-2.0
// Signers of transactions from before EIP-2, whose s may be in the upper half.
#pragma once

#include "core/tx.hpp"

namespace trainyard {

enum class SRange : uint8_t { low_s, any_s };
/// As `recover_sender`, which takes low s alone.
[[nodiscard]] Result<Address, TxError> recover_sender(const Tx& tx, SRange range);

}  // namespace trainyard
