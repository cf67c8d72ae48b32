// SPDX-License-Identifier: Apache-2.0
// `trainyard program import`: models of other formats as model folders.
#pragma once

#include <cstdint>
#include <string>

#include "node/cli/output.hpp"

namespace trainyard::node::cli {

struct ForeignArgs {
    std::string hugging_face;  ///< folder with config.json and model.safetensors
    std::string onnx;          ///< file
    std::string out = "model";
    uint32_t sequence = 0;  ///< positions to keep; 0: 256 at most
};
int run_program_import(const Output& out, const ForeignArgs& args);

}  // namespace trainyard::node::cli
