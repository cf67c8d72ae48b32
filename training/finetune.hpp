// SPDX-License-Identifier: Apache-2.0
// Programs that go on from a finished model: all of its weights, or low-rank updates beside them.
#pragma once

#include <vector>

#include "training/builder.hpp"
#include "training/program.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

struct FinetuneOptions {
    uint32_t rank = 8;      ///< of the updates; 0 trains every weight
    double alpha = 16.0;    ///< the update counts alpha / rank
    uint32_t sequence = 0;  ///< of text; 0: the model's
    RunOptions run;
};

struct Finetune {
    Program program;          ///< its data is a placeholder until `bind_data`
    std::vector<Bytes> base;  ///< parts of the base section, in order
};

/// With a rank, the weight of each linear operator becomes an int8 constant W, and its output
/// x W + (x A) B alpha / rank; all other weights become binary32 constants. Source:
/// arXiv:2106.09685. Precondition: `w` fits `model`.
[[nodiscard]] Result<Finetune, ProgramFault> make_finetune(const Program& model,
                                                           const std::vector<Tensor>& w,
                                                           const FinetuneOptions& options);

/// Puts in the data set that already carries the base section, and the run.
[[nodiscard]] Result<Program, ProgramFault> bind_data(Finetune finetune, const DataSpec& data,
                                                      const FinetuneOptions& options);

}  // namespace trainyard::training
