// SPDX-License-Identifier: Apache-2.0
// The check that a device passes before its results are trusted.
#include "cuda/cuda_backend.hpp"
#include "cuda/operator_cases.hpp"

namespace trainyard::cuda {

Result<Done, std::string> cuda_self_test(training::Backend& backend) {
    for (const auto& cases : {operator_cases(), general_operator_cases(backend)})
        for (const OperatorCase& c : cases) {
            auto same = check_case(backend, c);
            if (!same) return same;
        }
    return check_flags(backend);
}

}  // namespace trainyard::cuda
