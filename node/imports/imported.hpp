// SPDX-License-Identifier: Apache-2.0
// Models of other formats as programs with weights: docs/spec/import.md.
#pragma once

#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/builder.hpp"
#include "training/program.hpp"
#include "training/tensor.hpp"

namespace trainyard::node::imports {

/// A program without data of its own (`trainyard program finetune` gives it some) and its weights.
struct Imported {
    training::Program program;
    std::vector<training::Tensor> w;
};

/// Text of config.json and bytes of model.safetensors, for model_type gpt2 or llama. `sequence`: at
/// most so many positions are kept; 0: 256 or the model's own, whichever is less. The error names
/// the setting or tensor and says what is due.
[[nodiscard]] Result<Imported, std::string> import_hugging_face(std::string_view config,
                                                                BytesView safetensors,
                                                                uint32_t sequence);

/// A forward graph over images (N x C x H x W or N x features) that ends in one row of class scores
/// per image. The error names the node and its operator.
[[nodiscard]] Result<Imported, std::string> import_onnx(BytesView file);

/// Parameters under their names, with values that come from elsewhere.
class WeightedBuilder {
public:
    training::GraphBuilder graph;
    std::vector<training::Tensor> w;

    /// Names are brought to what programs allow: lower case, and '_' for other characters.
    training::Ref parameter(const std::string& name, training::Tensor value);
    /// Text data of T tokens, or images; the smallest data that the program's checks accept.
    [[nodiscard]] Result<Imported, std::string> finish(const training::DataSpec& data);
};

/// rows x cols turned.
[[nodiscard]] training::Tensor turned(const training::Tensor& t);

}  // namespace trainyard::node::imports
