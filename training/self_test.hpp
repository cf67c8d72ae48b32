// SPDX-License-Identifier: Apache-2.0
// The check that a device or a CPU path passes before its results are trusted: every operator on
// fixed odd shapes against committed hashes.
#pragma once

#include <string>
#include <vector>

#include "core/hash.hpp"
#include "core/result.hpp"
#include "training/backend.hpp"

namespace trainyard::training {

/// SHA-256 over the bits of all outputs of one operator's cases.
struct OperatorDigest {
    std::string name;  ///< "linear_grad"
    Hash digest;
    bool operator==(const OperatorDigest&) const = default;
};

/// The digests that every backend must give. A changed case changes them, on purpose only.
[[nodiscard]] std::vector<OperatorDigest> committed_digests();

/// The digests of `backend`; the error names the operator at which it failed.
[[nodiscard]] Result<std::vector<OperatorDigest>, std::string> operator_digests(Backend& backend);

/// Compares all operators, and the flag for values that are not finite; the number of operators.
/// The error names the first operator that differs, and where: against the reference of this
/// machine, unless that differs too. A tenth of a second to a second of one core.
[[nodiscard]] Result<uint32_t, std::string> self_test(Backend& backend);

}  // namespace trainyard::training
