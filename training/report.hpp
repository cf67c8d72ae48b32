// SPDX-License-Identifier: Apache-2.0
// What a finished run shows people: the loss curve, the loss log, the Hugging Face folder's texts.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "training/program.hpp"

namespace trainyard::training {

struct LossPoint {
    uint32_t step = 0;
    float loss = 0;
};

/// A self-contained SVG of the loss over the steps, for light and dark pages.
[[nodiscard]] std::string loss_svg(const std::vector<LossPoint>& points, std::string_view title);
/// "step,loss\n" lines.
[[nodiscard]] std::string loss_csv(const std::vector<LossPoint>& points);

/// Text of config.json.
[[nodiscard]] std::string hugging_face_config(const Program& program);

struct ModelCard {
    std::string name;
    std::string licence;                   ///< SPDX identifier, or "unknown"
    std::string task = "text-generation";  ///< as Hugging Face names it
    std::string unit = "nats per byte";    ///< of the losses
    Hash program;
    Hash data_root;
    Hash state_root;
    float train_loss = 0;
    std::optional<float> held_out_loss;  ///< absent where the data is too small to hold some out
    std::vector<std::pair<std::string, std::string>> facts;  ///< rows of the table: name, value
};
/// Sets what the program's models are for.
void describe_purpose(ModelCard& card, const Program& program);
/// Text of README.md with the metadata block that Hugging Face reads.
[[nodiscard]] std::string model_card(const ModelCard& card);

}  // namespace trainyard::training
