// SPDX-License-Identifier: Apache-2.0
// Whether something was refused for the reason that a vector names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "consensus/rules/block.hpp"
#include "consensus/rules/tx.hpp"

namespace trainyard::conformance {

/// Why a block or a transaction was refused. No fault and no transaction error: it does not decode.
struct Refusal {
    std::optional<consensus::BlockFault> fault;
    std::optional<consensus::TxInvalid> tx_error;
    std::string text;  ///< for people
};

[[nodiscard]] Refusal refusal_of(const consensus::BlockInvalid& invalid);
[[nodiscard]] Refusal refusal_of(consensus::TxInvalid invalid);
[[nodiscard]] Refusal undecodable(std::string text);

/// True if one of the names in `expected`, which are separated by |, is a name of this refusal.
/// TransactionException.RLP_… is what does not decode; another name that no row of the table has is
/// never right.
[[nodiscard]] bool is_refused_as(std::string_view expected, const Refusal& refusal);

}  // namespace trainyard::conformance
